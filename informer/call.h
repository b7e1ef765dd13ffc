#ifndef MU_INFORMER_CALL_H
#define MU_INFORMER_CALL_H
/*
 * The seam between protocol state machines and the wire. A machine (reflector, binder, kubesim's
 * loader) never performs I/O: it appends requests to an outbox, and is fed replies. Two transports
 * serve it: the HTTP client on libuv, and the in-process front of the simulator.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/str.h"

enum mu_method { MU_GET, MU_POST, MU_PUT, MU_PATCH, MU_DELETE };
const char *mu_method_text(enum mu_method method);

enum mu_media {
    MU_MEDIA_NONE,
    MU_MEDIA_PROTOBUF,    /* application/vnd.kubernetes.protobuf */
    MU_MEDIA_JSON,        /* application/json */
    MU_MEDIA_MERGE_PATCH, /* application/merge-patch+json */
    MU_MEDIA_STRATEGIC_PATCH,
    MU_MEDIA_JSON_PATCH,  /* application/json-patch+json */
    MU_MEDIA_APPLY_PATCH, /* application/apply-patch+yaml */
    MU_MEDIA_YAML,        /* application/yaml */
    MU_MEDIA_TEXT         /* text/plain; as content: anything else */
};
const char *mu_media_text(enum mu_media media);
/* The media type of a content-type field; parameters (;stream=watch) are ignored. What starts with
 * "text/" is TEXT, anything unknown NONE. */
enum mu_media mu_http_media(struct mu_str content_type);

/* A request to be sent. The outbox owns path and body until the transport has taken them. */
struct mu_request {
    uint64_t token; /* chosen by the machine, unique among its open requests, never 0 */
    enum mu_method method;
    enum mu_media content; /* of body */
    bool json;             /* only JSON is accepted; else protobuf first, JSON second */
    bool stream;           /* a watch: DATA arrives as it comes, no body cap */
    bool cancel;           /* not a request: give up the open request with this token */
    uint64_t timeout_ns;   /* from sending to END; streams: longest silence. 0: none */
    struct mu_buf path;    /* percent-encoded path and query, not NUL-terminated */
    struct mu_buf body;
};

/* Append text to a path or query, percent-encoded: everything but letters, digits and "-._~".
 * Returns 0 or the buffer's sticky error. */
int mu_path_append_encoded(struct mu_buf *path, struct mu_str text);

/* A queue of requests in order. Zero-initialised is empty. */
struct mu_outbox {
    struct mu_request *requests;
    uint32_t count;
    uint32_t cap;
    uint32_t taken;            /* requests [0, taken) have been handed to the transport */
    struct mu_request current; /* the one handed out last: adding requests does not move it */
};
#define MU_OUTBOX_MAX (1u << 20)
void mu_outbox_fini(struct mu_outbox *outbox);
/* A fresh request at the end, zeroed; its buffers are the caller's to fill before the next call.
 * Errors: NULL (memory, MU_OUTBOX_MAX). */
struct mu_request *mu_outbox_add(struct mu_outbox *outbox);
/* Oldest request not yet taken, or NULL. It belongs to the outbox and is valid until the next
 * mu_outbox_take or fini (move its buffers out, or copy); adding requests does not touch it. */
struct mu_request *mu_outbox_take(struct mu_outbox *outbox);
bool mu_outbox_empty(const struct mu_outbox *outbox);

enum mu_reply_kind {
    MU_REPLY_HEAD, /* status, retry_after_s, media are valid; comes once, first */
    MU_REPLY_DATA, /* data: a piece of the body, borrowed for the call */
    MU_REPLY_END,  /* the body is complete */
    MU_REPLY_LOST  /* no (further) reply will come; error says why */
};
struct mu_reply {
    uint64_t token;
    enum mu_reply_kind kind;
    int status; /* HTTP status */
    enum mu_media media;
    uint32_t retry_after_s; /* 0: none */
    struct mu_str data;
    int error;     /* LOST: MU_ETIMEOUT, MU_ECLOSED, MU_ELIMIT (body cap), libuv code */
    bool not_sent; /* LOST: the request certainly never reached the server */
};

#endif
