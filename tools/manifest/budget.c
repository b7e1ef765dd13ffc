/*
 * What a disruption budget allows, where no controller has said so. As the disruption controller
 * works it out, but that no scale of a Deployment or the like is known here:
 *
 *     expected  pods that it selects and that have not finished
 *     healthy   those of them that are bound and not being deleted
 *     desired   minAvailable, or expected - maxUnavailable; a percentage is of the expected ones,
 *               rounded up
 *     allowed   healthy - desired, at least 0; 0 also when nothing is expected or asked for
 */
#include "tools/manifest/manifest_priv.h"

static int32_t desired_of(const struct mu_budget_wish *wish, uint32_t expected)
{
    uint64_t pods = (uint64_t)wish->value;
    if (wish->percent)
        pods = (pods * expected + 99) / 100;
    if (wish->kind == MU_BUDGET_MAX_UNAVAILABLE)
        pods = pods < expected ? expected - pods : 0;
    return pods < INT32_MAX ? (int32_t)pods : INT32_MAX;
}

int mu_manifest_budget_allows(struct mu_db *db, uint32_t pods, const struct mu_budget_wish *wish,
                              struct mu_budget_object *budget)
{
    struct mu_model *model = mu_db_model(db);
    struct mu_matcher_ix matcher;
    struct mu_pod_view view;
    uint32_t expected = 0;
    uint32_t healthy = 0;
    budget->allowed = 0;
    if (wish->kind == MU_BUDGET_ASKS_NOTHING || budget->selector.nothing)
        return 0;
    int rc = mu_model_matcher(model, budget->ns, &budget->selector, &matcher);
    if (rc != 0)
        return rc;
    const struct mu_matcher *selector = mu_model_get_matcher(model, matcher);
    for (uint32_t i = 0; i < pods; i++) {
        if (!mu_db_pod_get(db, (struct mu_pod_ix){i}, &view) || view.terminal ||
            !mu_str_equal(view.ns, budget->ns) ||
            !mu_matcher_matches(model, selector, mu_model_get_kin(model, view.kin)))
            continue;
        expected++;
        healthy += view.node.v != MU_NONE && !view.terminating;
    }
    /* No session has begun: what is given back here nobody has seen. */
    mu_model_matcher_unref(model, matcher, 0);
    int32_t desired = desired_of(wish, expected);
    if (expected > 0 && (int64_t)healthy > desired)
        budget->allowed = (int32_t)healthy - desired;
    return 0;
}
