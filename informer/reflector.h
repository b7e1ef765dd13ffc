#ifndef MU_INFORMER_REFLECTOR_H
#define MU_INFORMER_REFLECTOR_H
/*
 * LIST then WATCH of one resource, in protobuf or in JSON: a pure state machine (state, reply or
 * tick, now) -> (sink calls, requests). Behaviour of client-go's reflector (kubernetes-wire §4.5):
 * paged first list, resume at the last resourceVersion, bookmarks, 410 as HTTP status and as ERROR
 * event, relist as a diff (the sink sweeps what the list did not name), back-off 0.8 s x2 to 30 s
 * with jitter, reset after 2 min without failure, and never a version older than one already seen.
 *
 *   IDLE -> LISTING -> SWEEPING -> WATCHING -> (end) WATCHING | (410) LISTING | (error) BACKOFF
 *
 * Every BACKOFF leads to the same watch again, or to a list: when the server does not know our
 * version yet (ResourceVersionTooLarge), and after three failed watches in a row without an event
 * (429 and lost connections do not count: the watch is resumed, without a list).
 * There we leave client-go, which repeats a watch for ever after 429 and a refused connection: a
 * version that the server will never reach must be found out.
 *
 * A resource that need not be there (`optional`) may have several paths, one for each version of
 * its API. 404 leads to the next path; when no path is served all objects are swept, and after 25
 * to 30 s the paths are tried again:
 *
 *   LISTING -> (404 of the last path) SWEEPING -> ABSENT -> LISTING
 *
 * RESTORED is the end: a consistent list older than a version already seen proves that the
 * server's store went back (etcd restored, or emptied). Versions mean nothing any more then, and
 * what was decided on the lost objects cannot be told from what holds; only a restart helps. A
 * store that went back and has grown past our version before we ask is not recognised.
 */
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/codec.h"

/* Where objects go. `raw` is borrowed for the call. Return non-zero only for failures that a
 * relist should repair (out of memory); bad objects are the sink's to report and skip. */
struct mu_reflector_sink {
    void *context;
    int (*upsert)(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns);
    int (*remove)(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns);
    void (*relist_begin)(void *context);
    int (*relist_sweep)(void *context, uint64_t now_ns); /* 1: call again, 0: done */
};

#define MU_REFLECTOR_PATHS_MAX 4
struct mu_reflector_config {
    struct mu_str name; /* for logs: "pods" */
    struct mu_str path; /* "/api/v1/pods" */
    /* Other versions of the API, in this order, where `path` is not served; up to the first empty
     * one. */
    struct mu_str further_paths[MU_REFLECTOR_PATHS_MAX - 1];
    bool optional;                /* 404: there are no such objects, now */
    bool json;                    /* ask for JSON; the sink is given texts of JSON */
    struct mu_str field_selector; /* not percent-encoded; empty: none */
    uint32_t page_limit;          /* 0: 500 */
    uint64_t token_base;          /* tokens of this machine are token_base + [0, 2^32) */
    uint64_t list_timeout_ns;     /* 0: 60 s */
    /* The first list is consistent (a quorum read, no resourceVersion) instead of any version that
     * the server's cache has. Set it for pods: after a restart the ledger is empty, so a list that
     * lacks the binds of the former life would show their room as free. (The commit protocol lists
     * the pods last, consistently, before anything is placed.) */
    bool first_consistent;
};

enum mu_reflector_state {
    MU_REFLECTOR_IDLE,
    MU_REFLECTOR_LISTING,
    MU_REFLECTOR_SWEEPING,
    MU_REFLECTOR_WATCHING,
    MU_REFLECTOR_BACKOFF,
    MU_REFLECTOR_ABSENT,  /* no path is served; they are tried again later */
    MU_REFLECTOR_RESTORED /* final: the store went back; no request follows */
};
struct mu_reflector_stats {
    uint64_t lists, pages, watches, events, bookmarks, expired, failures, stale_refused;
    uint64_t last_version;
    int last_failure; /* HTTP status, or the code (< 0) of a reply that did not come; 0: none */
    uint32_t failures_alike; /* so often in a row it was last_failure */
    bool synced;             /* a full list has been applied since start */
    enum mu_reflector_state state;
};

struct mu_reflector; /* opaque; one thread */

/* Strings of config are copied. Random (back-off jitter, watch timeouts) is forked from *random.
 * Errors: NULL. */
struct mu_reflector *mu_reflector_create(const struct mu_reflector_config *config,
                                         const struct mu_reflector_sink *sink,
                                         struct mu_random *random);
void mu_reflector_destroy(struct mu_reflector *reflector);
/* Begin: asks for the first list. */
void mu_reflector_start(struct mu_reflector *reflector, uint64_t now_ns, struct mu_outbox *out);
/* Feed a reply; false when its token is not ours. */
bool mu_reflector_reply(struct mu_reflector *reflector, const struct mu_reply *reply,
                        uint64_t now_ns, struct mu_outbox *out);
/* Time has passed: call at or after mu_reflector_next_ns (UINT64_MAX: nothing to wait for). */
void mu_reflector_tick(struct mu_reflector *reflector, uint64_t now_ns, struct mu_outbox *out);
uint64_t mu_reflector_next_ns(const struct mu_reflector *reflector);
/* We have new credentials: what was refused with 401 is asked for again at the next tick. */
void mu_reflector_retry(struct mu_reflector *reflector, uint64_t now_ns);
void mu_reflector_stats(const struct mu_reflector *reflector, struct mu_reflector_stats *out);
/* The path that lists and watches are asked for under, or will be next. Valid as long as the
 * reflector. */
struct mu_str mu_reflector_path(const struct mu_reflector *reflector);
/* Last problem in words, for logs and status: never empty in BACKOFF, ABSENT and RESTORED, empty as
 * soon as a watch has been answered. Valid until the next call that takes the reflector. */
const char *mu_reflector_problem(const struct mu_reflector *reflector);

#endif
