#ifndef MU_TOOLS_KUBESIM_APISERVER_H
#define MU_TOOLS_KUBESIM_APISERVER_H
/*
 * The embedded API server: one object store and the REST rules on top of it, as a pure state
 * machine. Two fronts move bytes to and from it: in-process under virtual time
 * (tools/kubesim/inproc.h) and HTTP (tools/kubesim/front.h). No I/O, no clock of its own.
 *
 * Store: an object is its encoded protobuf (immutable, reference counted), keyed by (kind,
 * namespace, name), with a UID and a resourceVersion from one counter. A ring of past events per
 * kind serves watches; compaction makes older resourceVersions answer 410.
 */
#include "engine/base/buf.h"
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/codec.h"
#include "informer/tls.h"

struct mu_apiserver; /* opaque; one thread */

struct mu_apiserver_config {
    uint32_t history_events; /* per kind kept for watches, rounded up to 2^n; 0: 65536 */
    uint64_t wall_base_ns;   /* creationTimestamp = (wall_base_ns + now_ns) in seconds */
    uint64_t start_ns;       /* the time at which the objects of every cluster are made */
    uint64_t bookmark_ns;    /* interval of bookmarks; 0: 60 s */
    /* Whoever shows neither a verified certificate nor a token is answered 401. Off: everybody is
     * the administrator (in process, and on cleartext ports that only this machine reaches). */
    bool authenticate;
    struct mu_str admin_token; /* accepted as the administrator's; copied; empty: none */
};
struct mu_apiserver *mu_apiserver_create(const struct mu_apiserver_config *config,
                                         struct mu_random *random);
void mu_apiserver_destroy(struct mu_apiserver *server);

struct mu_api_request {
    enum mu_method method;
    struct mu_str path;             /* percent-encoded, without query */
    struct mu_str query;            /* without '?' */
    enum mu_media content;          /* of body */
    struct mu_str accept;           /* the header's text; empty: JSON */
    struct mu_str authorization;    /* the header's text; empty: none */
    const struct mu_tls_peer *peer; /* of a verified client certificate; NULL: none */
    struct mu_str body;
};
struct mu_api_response {
    int status;
    enum mu_media media;
    const char *content_type; /* static text; NULL: that of media (of a watch: + ";stream=watch") */
    struct mu_buf warnings;   /* lines, each to become a Warning header; caller frees */
    uint32_t retry_after_s;
    struct mu_buf body;         /* caller frees */
    struct mu_api_watch *watch; /* non-NULL: a stream begins; body is empty */
};
/* Handle one request. Always fills *out (errors are Status objects). Cost: O(objects named). */
void mu_apiserver_handle(struct mu_apiserver *server, const struct mu_api_request *request,
                         uint64_t now_ns, struct mu_api_response *out);

/* A watch: events are pulled as frames (JSON watches: as lines). Pull once right after it began;
 * from the first IDLE on, wake (below) and next_ns tell when to pull again. */
enum mu_watch_pull { MU_WATCH_IDLE, MU_WATCH_MORE, MU_WATCH_ENDED };
/* Append whole frames, at most about bytes_max, to *out. ENDED: the stream is over (timeout, 410
 * as ERROR event): close the watch. */
enum mu_watch_pull mu_api_watch_pull(struct mu_api_watch *watch, uint64_t now_ns, size_t bytes_max,
                                     struct mu_buf *out);
/* When the watch next has something to say by itself (bookmark, timeout). */
uint64_t mu_api_watch_next_ns(const struct mu_api_watch *watch);
void mu_api_watch_close(struct mu_api_watch *watch);
/* The next pull yields an ERROR event with 410 Expired and ends the stream (fault injection). */
void mu_api_watch_expire(struct mu_api_watch *watch);
/* Called when a watch gets its first unread event, from inside handle/kubelet steps. One per
 * server; `user` is what mu_api_watch_set_user stored. It may only take note: no call into the
 * server or its watches. */
void mu_apiserver_on_wake(struct mu_apiserver *server, void (*wake)(void *context, void *user),
                          void *context);
void mu_api_watch_set_user(struct mu_api_watch *watch, void *user);

/* Walk all objects of a kind ("pods", "nodes") in key order: for checks and dumps. */
typedef int (*mu_api_object_fn)(void *context, struct mu_str raw);
int mu_apiserver_each(const struct mu_apiserver *server, const char *plural, mu_api_object_fn fn,
                      void *context);
uint64_t mu_apiserver_version(const struct mu_apiserver *server);
/* Forget history up to now: every older watch or continue token gets 410. */
void mu_apiserver_compact(struct mu_apiserver *server);

#endif
