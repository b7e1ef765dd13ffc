#ifndef MU_ENGINE_PLACE_TERMS_H
#define MU_ENGINE_PLACE_TERMS_H
/*
 * Rules about other pods, for a session: host ports, required pod affinity and anti-affinity in
 * both directions, topology spread. Answered from the snapshot's censuses (engine/census.h), on
 * which the session counts what it places itself.
 *
 * For one class and kin, a row is refused, in this order (kube-scheduler's):
 *
 *     ports          a port that the class wants is in use there: same protocol and number, equal
 *                    addresses or one of them 0.0.0.0
 *     spread         the row lacks a key, which is told first; or its domain would hold more than
 *                    max_skew pods above the least loaded domain of eligible nodes, which counts as
 *                    empty when there are fewer than min_domains of them
 *     affinity       the row lacks a key, or one of its domains holds no pod that matches all
 *                    terms; unless no pod anywhere does and this one matches them itself
 *     anti-affinity  one of its domains holds a pod that one of the terms matches
 *     existing       one of its domains holds a pod with an anti-affinity term that matches this
 *                    one
 *
 * A *view* is the bitmap of rows in whose domain a census counts more than some limit. For all
 * rules but spread the limit is 0 for ever; for spread it follows the least loaded domain. A view
 * is brought up to date when it is used, from the list of domains whose count has moved since; only
 * a domain that crosses the limit touches its rows. The rows that pass all rules are the static
 * mask without the views: a few words per 64 rows.
 *
 * What is counted can enable a class as well as disable it (a pod that others want to be near), so
 * "fits nowhere" holds only in one state of the counts: mu_terms_state(). Undoing in reverse comes
 * back to the earlier state, number included.
 */
#include "engine/place/filter.h"

struct mu_terms; /* opaque; one thread */

/* Owns: caller. Errors: NULL when out of memory. */
struct mu_terms *mu_terms_create(void);
void mu_terms_destroy(struct mu_terms *terms);
/* Work on this snapshot until end, by which all counts must be taken back. Cost: O(1). */
void mu_terms_begin(struct mu_terms *terms, struct mu_snapshot *snapshot);
void mu_terms_end(struct mu_terms *terms);
/* Forget all caches; between sessions. */
void mu_terms_drop(struct mu_terms *terms);

/* Whether some rule decides where a pod of this class and kin may go. Cost: O(1). */
bool mu_terms_concern(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                      struct mu_kin_ix kin);
/* Whether pods of this class and kin can be placed one after the other wherever they fit, and no
 * choice of nodes for the first ones leaves less for the rest than another: as many as possible are
 * placed in the end. It is so where at most one rule changes with what they take themselves, and
 * that is an anti-affinity (each takes one domain) or a spread (the least loaded domains end full
 * whatever comes first). Cost: O(rules). */
bool mu_terms_independent(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                          struct mu_kin_ix kin);
/* Whether a pod of this class and kin is counted anywhere: for others' rules, or its own. */
bool mu_terms_counted(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                      struct mu_kin_ix kin);
/* The rows of `mask` that no rule refuses now. *out is valid until the next call. Errors:
 * MU_ENOMEM. Cost: O(rows / 64 * rules + rows whose verdict has changed since the last call), where
 * rules are the class's own, the ports in use that are in the way of its ports, and those that
 * other pods have about the kin; a search among all ports in use for each of its ports; more the
 * first time that a rule is met in a session. */
int mu_terms_mask(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                  const struct mu_filter_mask *mask, const struct mu_filter_mask **out);
/* Whether the rules pass one row, or the first that refuses it. Errors: MU_ENOMEM. Cost: O(rules),
 * as above, however many rows there are; but what other pods have about the kin counts as one rule
 * from the second call on (with many rows, some calls more), until one of their counts moves. */
int mu_terms_verdict(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                     uint32_t row, enum mu_verdict_kind *out);
/* The same for all rows at once, which mu_terms_judged() then says one by one: as the counts are at
 * this call, until the next call or the session's end. Errors: MU_ENOMEM. Cost: that of
 * mu_terms_mask(), whatever the number of rows asked for. */
int mu_terms_judge(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin);
enum mu_verdict_kind mu_terms_judged(const struct mu_terms *terms, uint32_t row);
/* All that refuse it: a bit per enum mu_verdict_kind. Errors: MU_ENOMEM. */
int mu_terms_verdicts(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                      uint32_t row, uint32_t *out);
/* What a pod prefers of the rows of `mask`, in units of the score, 0 elsewhere: as far as pods of
 * its kind are spread (at most spread_most), and as far as those that it wants to be near are, and
 * those that want to be near it (at most affinity_most). engine/place/terms_prefer.c says how. It
 * is added to what is in *out, a bonus per row (NULL: none) that is at most out->most; when the pod
 * prefers nothing, that is left as it is. The arrays have an entry per row, then per 64 entries
 * below the largest of them, and are valid until the next call. Errors: MU_ENOMEM. Cost: O(rows *
 * topology keys + terms), and O(domains * terms) for the first time in a session, where terms are
 * those of the class and those that others have about the kin. */
struct mu_terms_preference {
    const int64_t *bonus[MU_LEVELS_MAX];
    int64_t most;
};
int mu_terms_prefer(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                    int64_t spread_most, int64_t affinity_most, const struct mu_filter_mask *mask,
                    struct mu_terms_preference *out);
/* What a pod is counted as, if not as any that is placed. */
enum mu_terms_as {
    MU_TERMS_TERMINATING = 1u << 0, /* no spread counts it */
    MU_TERMS_HOLDING = 1u << 1      /* it only holds room: no required affinity goes by it */
};
/* A pod was placed on a row (sign 1), or is taken back or leaves it (-1). `as`: of enum
 * mu_terms_as. Errors: MU_ENOMEM; nothing is counted. Undoing what was counted in this session
 * cannot fail. Cost: O(censuses it is counted in). */
int mu_terms_count(struct mu_terms *terms, struct mu_class_ix class_ix, struct mu_kin_ix kin,
                   uint32_t row, int sign, unsigned as);
/* What rules and preferences have cost so far, as requirements of selectors that could have been
 * looked at instead. */
uint64_t mu_terms_looks(const struct mu_terms *terms);
/* The state of the counts: equal numbers, equal counts, as long as the snapshot is the same. 0: as
 * in the snapshot. */
uint64_t mu_terms_state(const struct mu_terms *terms);
/* The caller has taken back, in reverse, all that was counted since the state was `state`. */
void mu_terms_restore(struct mu_terms *terms, uint64_t state);

#endif
