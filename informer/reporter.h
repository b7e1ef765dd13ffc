#ifndef MU_INFORMER_REPORTER_H
#define MU_INFORMER_REPORTER_H
/*
 * Tells the API server why pods wait and where they went: a pure state machine
 * (state, input or reply or tick, now) -> requests.
 *
 * Three kinds of writes, all of them worth less than a bind:
 *
 *   condition  PodScheduled=False with reason and message, a strategic-merge PATCH of pods/status.
 *              One per pod is wanted at a time, the latest; it is written until the server has it
 *              or the pod no longer wants it. The patch names UID and resourceVersion, so it never
 *              lands on a pod that was bound or replaced meanwhile.
 *   group      the status of a gang's group object (informer/report_group.h), in the same way. What
 *              it says is made up when it is sent, from what is known of the gang by then, so that
 *              many changes become one write
 *   event      events.k8s.io/v1: Scheduled for a bound pod, FailedScheduling with each condition,
 *              Preempted for a victim. Repetitions within 6 minutes are one event with a series:
 * POST, then one PATCH at the second, then counted here, patched every 30 minutes and when the
 * series ends. Best effort: dropped when the queue is full, or after 12 tries.
 *
 * The budget: a token bucket over everything that is sent, retries included, and a bound on
 * requests in flight. While binds wait for their turn it is a tenth of the rate, and no burst. 429
 * stops all writes for as long as the server asks.
 *
 * Nothing is written that the pod carries already. After each written condition the pod's next one
 * waits 1 s, 2 s ... 10 s; after 6 minutes without one the pod is forgotten.
 */
#include "engine/base/random.h"
#include "engine/snapshot.h"
#include "informer/call.h"
#include "informer/limits.h"
#include "informer/report_group.h"

enum mu_report_reason { MU_REPORT_UNSCHEDULABLE, MU_REPORT_SCHEDULER_ERROR };

/* A reason in words, shared by the pods that it is about. Valid while referenced. */
struct mu_report_text;
/* Cut to MU_REPORT_TEXT_MAX bytes; what is not UTF-8 in it becomes '?'. One reference, the
 * caller's. Errors: NULL (memory). */
struct mu_report_text *mu_report_text_create(enum mu_report_reason reason, struct mu_str message);
struct mu_report_text *mu_report_text_ref(struct mu_report_text *text); /* NULL is fine */
void mu_report_text_unref(struct mu_report_text *text);
/* The message. Valid while the text is referenced. */
struct mu_str mu_report_text_message(const struct mu_report_text *text);

/* A pod, at the moment of writing. Strings are valid until the next call into the DB. */
struct mu_report_subject {
    struct mu_str ns, name;
    char uid[MU_UID_BYTES_MAX + 1];
    uint64_t version; /* as last seen */
    uint64_t report;  /* digest of the condition that it carries (struct mu_pod_object) */
};
/* False when the pod's condition is not ours to write (any more): gone, bound, about to be. */
typedef bool (*mu_report_subject_fn)(void *context, struct mu_uid uid,
                                     struct mu_report_subject *out);
/* The server has taken this condition. */
typedef void (*mu_report_written_fn)(void *context, struct mu_uid uid, uint64_t digest);

/* The same for a group: false when it is gone, or its objects are nowhere to be written. `report`
 * and `shown` of the group are what was last seen or written. */
typedef bool (*mu_report_group_fn)(void *context, uint32_t group, struct mu_report_group *out);
typedef void (*mu_report_group_written_fn)(void *context, uint32_t group, uint64_t report,
                                           uint32_t shown);

struct mu_reporter_config {
    struct mu_str controller; /* of events; copied, cut to MU_EVENT_WORD_MAX */
    struct mu_str instance;   /* likewise */
    uint32_t rate;            /* writes a second, sustained; 0: 100 */
    uint32_t burst;           /* writes at once after a pause; 0: twice the rate */
    uint32_t in_flight_max;   /* requests open at once; 0: 32 */
    uint64_t timeout_ns;      /* per request; 0: 30 s */
    uint64_t token_base;      /* tokens are token_base + [0, 2^48) */
    mu_report_subject_fn subject;
    mu_report_written_fn written;
    mu_report_group_fn group; /* both NULL: no groups */
    mu_report_group_written_fn group_written;
    void *context; /* no callback may call back into the reporter */
};
struct mu_reporter_stats {
    uint64_t conditions;      /* written */
    uint64_t conditions_same; /* not written: the pod carries it */
    uint64_t conditions_moot; /* not written: the pod is gone, bound or about to be */
    uint64_t
        conditions_failed; /* given up until the message changes: the server calls them wrong */
    uint64_t groups;       /* statuses of groups, as the four of conditions above */
    uint64_t groups_same, groups_moot, groups_failed;
    uint64_t events, series; /* created; patched */
    uint64_t events_counted; /* repetitions that were only counted */
    uint64_t events_dropped; /* queue full, memory out, tries used up or refused */
    uint64_t sent;           /* requests, retries included */
    uint64_t conflicts, throttled, lost, errors;
    uint32_t pods; /* and groups; known: waiting, in flight, or written lately */
    uint32_t conditions_queued, events_queued; /* sleeping ones included, without those in flight */
    uint32_t in_flight;
};

struct mu_reporter; /* opaque; one thread */

/* Owns: caller, until destroy. Errors: NULL when out of memory. */
struct mu_reporter *mu_reporter_create(const struct mu_reporter_config *config,
                                       struct mu_random *random);
void mu_reporter_destroy(struct mu_reporter *reporter);

/* Wall time is now_ns + offset from now on (timestamps only). */
void mu_reporter_set_wall(struct mu_reporter *reporter, uint64_t offset_ns);
/* Conditions are held back while `hold` (a session may be placing the pods); while binds wait a
 * tenth of the rate is used. */
void mu_reporter_set_pace(struct mu_reporter *reporter, bool hold, bool binds_wait);

/* This pod waits for that reason; takes a reference to the text. Replaces what it was to be told
 * before. Errors: MU_ENOMEM, MU_ELIMIT (MU_REPORT_PODS_MAX wait to be written): nothing changed,
 * to be said again later. Cost: O(1). */
int mu_reporter_pending(struct mu_reporter *reporter, struct mu_uid uid,
                        struct mu_report_text *text, uint64_t now_ns);
/* This pod was bound: an event. All strings are copied. Dropped and counted when there is no room
 * or memory for it. */
struct mu_report_bound {
    struct mu_str ns, name, uid, node;
};
void mu_reporter_bound(struct mu_reporter *reporter, const struct mu_report_bound *bound,
                       uint64_t now_ns);
/* This pod has to make room, on its node, for the gang of which `by` is a pod: an event. As above.
 * gang: its name in that pod's namespace; empty: it is that pod alone. */
struct mu_report_preempted {
    struct mu_report_bound victim;
    struct mu_str by_ns, by_name, by_uid, gang;
};
void mu_reporter_preempted(struct mu_reporter *reporter,
                           const struct mu_report_preempted *preempted, uint64_t now_ns);
/* Something may have changed for the group of this number (struct mu_reporter_config: group): its
 * status is written if it then says something else. text: what its gang waits for, takes a
 * reference; NULL: whether it waits has not changed. Errors: as mu_reporter_pending(). */
int mu_reporter_group(struct mu_reporter *reporter, uint32_t group, struct mu_report_text *text,
                      uint64_t now_ns);
/* Pods for which mu_reporter_pending has room. */
uint32_t mu_reporter_room(const struct mu_reporter *reporter);

/* False when the token is not ours. */
bool mu_reporter_reply(struct mu_reporter *reporter, const struct mu_reply *reply, uint64_t now_ns,
                       struct mu_outbox *out);
void mu_reporter_tick(struct mu_reporter *reporter, uint64_t now_ns, struct mu_outbox *out);
/* When tick next has something to do; UINT64_MAX: only an input will tell. */
uint64_t mu_reporter_next_ns(const struct mu_reporter *reporter);
void mu_reporter_stats(const struct mu_reporter *reporter, struct mu_reporter_stats *out);

#endif
