#ifndef MU_INFORMER_REPORTER_PRIV_H
#define MU_INFORMER_REPORTER_PRIV_H
/* Shared by the reporter's files: reporter.c (items, pods, sending), reporter_group.c,
 * reporter_event.c. */
#include "engine/base/clock.h"
#include "engine/base/heap.h"
#include "engine/base/index.h"
#include "informer/http_link.h"
#include "informer/report_priv.h"

#define MU_REP_WINDOW_NS (360 * MU_NS_PER_S) /* repetitions within it are one series */
/* Between two conditions of a pod, and between the tries of one. */
#define MU_REP_BACKOFF_FIRST_NS MU_NS_PER_S
#define MU_REP_BACKOFF_MAX_NS   (10 * MU_NS_PER_S)

enum mu_rep_kind { MU_REP_POD, MU_REP_EVENT }; /* POD: and groups */
enum mu_rep_state { MU_REP_IDLE, MU_REP_READY, MU_REP_OPEN, MU_REP_ASLEEP };
struct mu_rep_item {
    struct mu_link link; /* READY: its queue; an IDLE pod: the queue of those */
    enum mu_rep_kind kind;
    enum mu_rep_state state;
    uint32_t tries; /* since it last got through */
};

struct mu_rep_event {
    struct mu_rep_item item;
    struct mu_rep_pod *owner;    /* whose repetitions it counts; NULL: none will come */
    struct mu_report_text *text; /* note of FailedScheduling; NULL: Scheduled, to `node` */
    struct mu_str ns, name, uid, node;
    struct mu_str by_ns, by_name, by_uid, gang; /* Preempted on `node`; else empty */
    uint64_t stamp_ns;                          /* wall time of the first occurrence, unique */
    uint64_t wall_ns;                           /* wall time of the last one */
    uint64_t last_ns;                           /* of the last one, for the window */
    uint64_t written_ns;
    uint32_t count;
    uint32_t written; /* count that the server has; 0: not created */
    uint32_t sent;    /* count in the open request */
    bool patch;       /* the open request is a patch of the series */
    bool again;       /* it was created once and is gone: the new one carries the series */
    char strings[];
};

/* A pod, or a group. */
struct mu_rep_key {
    struct mu_uid uid; /* group: its number in `lo` */
    bool group;
};
struct mu_rep_pod {
    struct mu_rep_item item;
    struct mu_rep_key key;
    struct mu_report_text *wanted; /* NULL: nothing to tell */
    struct mu_rep_event *event;    /* FailedScheduling of the last MU_REP_WINDOW_NS */
    uint64_t sent;                 /* digest in the open request, or the last one */
    uint64_t sent_version;         /* its precondition */
    uint64_t doubt;                /* the precondition of a write that may have landed, 0: none */
    uint64_t observed;             /* digest of the last text that became an event */
    uint64_t next_ns;              /* no condition before it */
    uint64_t idle_ns;              /* IDLE since */
    uint32_t slot;
    uint32_t level; /* conditions written in a row: how far back-off has grown */
    /* Of a group: */
    uint64_t report; /* what the open request says */
    uint32_t shown;
    bool moved; /* since it was sent */
    bool main;  /* the request is for the object, not for its status */
};

struct mu_rep_slot {
    struct mu_rep_pod *pod; /* NULL: free */
    uint32_t next_free;
};

struct mu_rep_flight {
    struct mu_rep_item *item; /* NULL: free */
    uint32_t sequence;        /* tells a late reply of an older request apart */
    uint32_t next_free;
    uint32_t retry_after_s;
    int status;
};

struct mu_reporter {
    struct mu_reporter_config config;
    char controller[MU_EVENT_WORD_MAX + 1];
    char instance[MU_EVENT_WORD_MAX + 1];
    struct mu_random random;
    uint64_t wall_offset_ns;
    uint64_t last_stamp_ns;
    bool hold, binds_wait;
    struct mu_link ready[2]; /* by enum mu_rep_kind */
    enum mu_rep_kind turn;   /* whose turn it is when both are ready */
    struct mu_link idle;     /* pods, the one that is IDLE longest first */
    struct mu_heap timers;
    uint64_t timer_ties;
    struct mu_rep_slot *slots;
    uint32_t slot_count, slot_cap, slot_free;
    struct mu_index *by_key;
    struct mu_rep_flight *flights;
    uint32_t flight_free;
    uint32_t sequence;
    uint64_t interval_ns; /* of one token */
    uint64_t bucket_ns;   /* when all tokens taken so far are paid for (GCRA) */
    uint64_t sent_ns;     /* the last write */
    uint64_t paused_until_ns;
    uint32_t idle_pods;
    uint32_t events_live;           /* queued or in flight */
    struct mu_report_text *nothing; /* a group's text that does not wait */
    bool status_on_main;            /* this server's Volcano groups have no status of their own */
    struct mu_reporter_stats stats;
};

enum mu_rep_answer {
    MU_REP_TAKEN,
    MU_REP_GONE,     /* 404 */
    MU_REP_CONFLICT, /* 409 */
    MU_REP_LATER,    /* no answer, or not the API server's judgement of this write */
    MU_REP_DENIED,   /* 403 */
    MU_REP_WRONG     /* any other 4xx: the same again would fare the same */
};

/* --- items (reporter.c) ---------------------------------------------------------------------- */

void mu_rep_make_ready(struct mu_reporter *r, struct mu_rep_item *item);
void mu_rep_sleep_until(struct mu_reporter *r, struct mu_rep_item *item, uint64_t due_ns);
/* Try again later: the wait doubles up to MU_REP_BACKOFF_MAX_NS, with some spread, and is never
 * shorter than what the server asked for. */
void mu_rep_try_later(struct mu_reporter *r, struct mu_rep_item *item, uint64_t first_ns,
                      uint32_t retry_after_s, uint64_t now_ns);
/* Hand a request to the transport; takes the buffers. False: no memory, buffers freed. */
bool mu_rep_item_send(struct mu_reporter *r, struct mu_rep_item *item, struct mu_request *built,
                      uint64_t now_ns, struct mu_outbox *out);

/* A pod or group has nothing to tell for now. */
void mu_rep_pod_idle(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns);

/* --- groups (reporter_group.c) ---------------------------------------------------------------- */

void mu_rep_group_send(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns,
                       struct mu_outbox *out);
/* It was not found: true when it is to be sent again, to the object itself. */
bool mu_rep_group_elsewhere(struct mu_reporter *r, struct mu_rep_pod *pod);
void mu_rep_group_taken(struct mu_reporter *r, struct mu_rep_pod *pod);

/* --- events (reporter_event.c) --------------------------------------------------------------- */

/* Frees it wherever it is referred to from its pod. */
void mu_rep_event_free(struct mu_rep_event *event);
/* The pod could not be placed, once more: a new event, or one more in its series. */
void mu_rep_observe_failure(struct mu_reporter *r, struct mu_rep_pod *pod,
                            const struct mu_report_subject *subject, uint64_t now_ns);
/* No more repetitions: the last count is written, then the event is forgotten. */
void mu_rep_series_end(struct mu_reporter *r, struct mu_rep_pod *pod, uint64_t now_ns);
void mu_rep_event_send(struct mu_reporter *r, struct mu_rep_event *e, uint64_t now_ns,
                       struct mu_outbox *out);
void mu_rep_event_answered(struct mu_reporter *r, struct mu_rep_event *e, enum mu_rep_answer answer,
                           uint32_t retry_after_s, uint64_t now_ns);

#endif
