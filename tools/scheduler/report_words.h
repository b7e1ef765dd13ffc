#ifndef MU_TOOLS_SCHEDULER_REPORT_WORDS_H
#define MU_TOOLS_SCHEDULER_REPORT_WORDS_H
/* What waits are called in words, in kube-scheduler's form where it has one. */
#include "engine/base/buf.h"
#include "engine/db/db.h"
#include "engine/place/place.h"
#include "engine/plan.h"
#include "engine/place/profile.h"
#include "informer/reporter.h"

/* Texts of one plan: gangs that wait for one class share what is told about its nodes, and lone
 * pods the whole text. */
struct mu_report_words; /* opaque */
/* `profile` is the sessions', borrowed for its life; NULL: default. Errors: NULL (memory). */
struct mu_report_words *mu_report_words_create(const struct mu_profile *profile);
void mu_report_words_destroy(struct mu_report_words *words);
/* Between plans: whether sessions preempt, and not whom that has run for less than min_run_s at
 * now_s, Unix seconds. Before the first call nothing is said of priorities. */
void mu_report_words_preemption(struct mu_report_words *words, bool preempts, uint32_t min_run_s,
                                uint32_t now_s);
/* The waits of a plan, made over this very snapshot, are about to be told. Both are borrowed, and
 * nobody else looks at the snapshot, until `end`, which lets go of what the texts shared and leaves
 * the snapshot as it was. */
void mu_report_words_begin(struct mu_report_words *words, struct mu_snapshot *snapshot,
                           const struct mu_plan *plan);
void mu_report_words_end(struct mu_report_words *words);
/* False when enough rows were looked at for one plan: the rest is told with a later one. */
bool mu_report_words_ready(const struct mu_report_words *words);

/* Why this gang of the plan waits. One reference, the caller's. Errors: NULL (memory). Cost:
 * O(text), the first time for a class O(rows), and for a gang of several what mu_place_reach()
 * costs, within a bound, once for gangs of one class. */
struct mu_report_text *mu_report_words_gang(struct mu_report_words *words, struct mu_db *db,
                                            const struct mu_plan_wait *wait);
/* What a gang waits for that has been given room: that its victims leave. Errors: NULL. Cost:
 * O(victims). */
struct mu_report_text *mu_report_words_leaving(struct mu_db *db, const struct mu_plan_gang *gang);
/* Why a pod is held back by itself: a set of enum mu_rule. Errors: NULL. */
struct mu_report_text *mu_report_words_pod(uint32_t rules);

/* One verdict on one node. Appends; the buffer's sticky error tells. Cost: O(taints). */
void mu_report_words_verdict(struct mu_buf *out, const struct mu_snapshot *snapshot,
                             const struct mu_class *class_, struct mu_node_ix node,
                             struct mu_verdict verdict);

#endif
