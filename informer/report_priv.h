#ifndef MU_INFORMER_REPORT_PRIV_H
#define MU_INFORMER_REPORT_PRIV_H
/* What the reporter writes, as text and bytes (report_body.c). No state. */
#include "informer/reporter.h"

struct mu_report_text {
    uint32_t refs;
    enum mu_report_reason reason;
    uint64_t digest; /* mu_pod_report_digest of both */
    uint32_t len;
    char data[]; /* UTF-8 */
};
struct mu_str mu_report_reason_text(enum mu_report_reason reason);

/* Length of the longest prefix of at most `max` bytes that ends between characters. */
uint32_t mu_report_cut(struct mu_str text, uint32_t max);
/* Append text as UTF-8: each byte that belongs to no character becomes '?'. */
void mu_report_clean(struct mu_buf *out, struct mu_str text);

/* A JSON string; `text` is UTF-8. */
void mu_report_put_json(struct mu_buf *out, struct mu_str text);
/* "2026-01-02T03:04:05", without a zone. */
void mu_report_put_time(struct mu_buf *out, uint64_t wall_s);

/* The strategic-merge patch of pods/status. `transition_s`: wall time when the status changes with
 * it, 0: it does not. Appends; the buffer's sticky error tells. */
void mu_report_condition_body(struct mu_buf *out, const struct mu_report_subject *subject,
                              const struct mu_report_text *text, uint64_t transition_s);

/* One event, as it stands. */
struct mu_report_event {
    struct mu_str controller, instance;
    struct mu_str ns, name, uid;                         /* the pod's */
    struct mu_str related_ns, related_name, related_uid; /* another pod; empty: none */
    struct mu_str reason, action;
    struct mu_str note; /* cut to MU_EVENT_NOTE_MAX here */
    bool warning;
    uint64_t stamp_ns; /* wall time of the first occurrence, unique: it is in the name */
    uint32_t count;    /* of the series; 1: no series */
    uint64_t last_ns;  /* wall time of the last occurrence */
};
/* Path of the collection, or (named) of the event itself. */
void mu_report_event_path(struct mu_buf *out, const struct mu_report_event *event, bool named);
/* The whole event in its envelope. Errors: MU_ENOMEM, the buffer's. */
int mu_report_event_body(struct mu_buf *out, const struct mu_report_event *event);
/* The strategic-merge patch of its series. */
void mu_report_series_body(struct mu_buf *out, const struct mu_report_event *event);

#endif
