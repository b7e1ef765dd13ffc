#include "engine/db/db_priv.h"

#include "engine/base/assert.h"
#include "engine/base/plant.h"

/*
 * Victims of a plan, against the present.
 *
 * A victim that is gone, terminal or terminating is no question any more: it leaves, or has left,
 * and only makes room. Every other one must be what the plan took it for: bound to that node, a
 * member of that gang or of none, and one that this gang may displace. That is asked of units:
 *
 *     a pod of no gang of ours, or of a gang whose pods are units one by one (MU_GANG_SINGLE)
 *     members of a gang that stands without them: each is a unit (surplus)
 *     all bound members of a gang, none of whose members is on its way to a node; it has the
 *     highest priority of its members
 *
 * and the priority of each unit is strictly below that of the plan's gang. Whether victims are few,
 * or whether fewer would do, is the session's business: a plan that has become more than is needed
 * is still a right one.
 */

uint32_t mu_evict_pod(const struct mu_db *db, const struct mu_plan_evict *evict)
{
    const unsigned asked = MU_POD_USED | MU_POD_BOUND | MU_POD_TERMINAL;
    if (evict->pod.v >= db->pods.high)
        return MU_NONE;
    const struct mu_pod_rec *p = mu_pod_at(db, evict->pod.v);
    if ((p->flags & asked) != (MU_POD_USED | MU_POD_BOUND) || mu_uid_check(p->uid) != evict->check)
        return MU_NONE;
    return evict->pod.v;
}

uint32_t mu_db_evict_left(const struct mu_db *db, const struct mu_plan_gang *gang, uint32_t from)
{
    while (from < gang->evict_count &&
           (MU_PLANTED(MU_PLANT_LEAVING) || mu_evict_pod(db, &gang->evicts[from]) == MU_NONE))
        from++;
    return from;
}

bool mu_db_evict_get(const struct mu_db *db, const struct mu_plan_evict *evict,
                     struct mu_pod_view *out)
{
    uint32_t pod = mu_evict_pod(db, evict);
    return pod != MU_NONE && mu_db_pod_get(db, (struct mu_pod_ix){pod}, out);
}

/* --- one by one ------------------------------------------------------------------------------ */

static const char *check_pod(const struct mu_db *db, const struct mu_plan_gang *plan,
                             const struct mu_plan_evict *evict, const struct mu_pod_rec *p)
{
    const int32_t priority = mu_gang_at(db, plan->gang.v)->row.priority;
    if ((p->flags & MU_POD_PICKED) != 0)
        return "it is evicted twice by one plan, or bound by it";
    if ((p->flags & MU_POD_TERMINATING) != 0)
        return NULL;
    if (p->node.v != evict->node.v)
        return "it is not on the node that it is to be evicted from";
    if (p->gang.v != evict->gang.v)
        return "it is not of the gang that it is to be evicted with";
    if ((p->flags & MU_POD_SPARED) != 0)
        return "it is marked as no victim";
    if (p->priority >= priority)
        return "its priority is not below that of the gang that preempts";
    return NULL;
}

/* --- gangs ----------------------------------------------------------------------------------- */

/* Of members of a gang that have been picked. Terminating ones are no members any more. */
static const char *check_unit(struct mu_db *db, const struct mu_plan_gang *plan, uint32_t gang)
{
    const int32_t priority = mu_gang_at(db, plan->gang.v)->row.priority;
    uint32_t bound = 0;
    uint32_t picked = 0;
    uint32_t coming = 0;
    mu_gang_recount(db, gang);
    const struct mu_gang_rec *g = mu_gang_at(db, gang);
    if ((g->row.flags & MU_GANG_SPARED) != 0)
        return "its gang is marked as no victim";
    if ((g->row.flags & MU_GANG_SINGLE) != 0 || mu_gang_stands_without(db, gang))
        return NULL;
    int32_t highest = g->row.priority_high;
    for (uint32_t pod = g->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        bool is_bound = (p->flags & MU_POD_BOUND) != 0;
        bound += is_bound;
        picked += (p->flags & MU_POD_PICKED) != 0;
        coming += !is_bound && mu_pod_role(p) == MU_ROLE_PLACED;
        highest = p->priority > highest ? p->priority : highest;
        pod = p->gang_next;
    }
    MU_ASSERT(picked <= bound);
    if (picked < bound)
        return "its gang would be left without its minimum";
    if (coming != 0)
        return "members of its gang are on their way to a node";
    return highest < priority ? NULL
                              : "its gang's priority is not below that of the gang that preempts";
}

/* --- the plan -------------------------------------------------------------------------------- */

static const char *check_preemptor(const struct mu_db *db, const struct mu_plan_gang *plan)
{
    bool never = (mu_gang_at(db, plan->gang.v)->row.flags & MU_GANG_NEVER) != 0;
    for (uint32_t i = 0; i < plan->bind_count && !never; i++)
        never = (mu_pod_at(db, plan->binds[i].pod.v)->flags & MU_POD_NEVER) != 0;
    return never ? "its gang never preempts" : NULL;
}

int mu_evict_check(struct mu_db *db, const struct mu_plan_gang *plan, struct mu_error *why)
{
    const char *what = check_preemptor(db, plan);
    if (what != NULL)
        return mu_plan_conflict(db, why, plan->binds[0].pod.v, what);
    for (uint32_t i = 0; i < plan->evict_count; i++) {
        uint32_t pod = mu_evict_pod(db, &plan->evicts[i]);
        if (pod == MU_NONE)
            continue;                                        /* gone */
        if ((plan->evicts[i].flags & MU_EVICT_LEAVING) == 0) /* else another's victim, if any's */
            what = check_pod(db, plan, &plan->evicts[i], mu_pod_at(db, pod));
        if (what != NULL)
            return mu_plan_conflict(db, why, pod, what);
        mu_pod_at(db, pod)->flags |= MU_POD_PICKED;
    }
    /* Units come one after another: each gang is looked at once. */
    uint32_t last = MU_NONE;
    for (uint32_t i = 0; i < plan->evict_count; i++) {
        bool leaves = (plan->evicts[i].flags & MU_EVICT_LEAVING) != 0;
        uint32_t pod = leaves ? MU_NONE : mu_evict_pod(db, &plan->evicts[i]);
        uint32_t gang = pod == MU_NONE ? MU_NONE : mu_pod_at(db, pod)->gang.v;
        if (gang == MU_NONE || gang == last)
            continue;
        what = check_unit(db, plan, gang);
        if (what != NULL)
            return mu_plan_conflict(db, why, pod, what);
        last = gang;
    }
    return 0;
}

void mu_evict_unpick(struct mu_db *db, const struct mu_plan_gang *plan)
{
    for (uint32_t i = 0; i < plan->evict_count; i++) {
        uint32_t pod = mu_evict_pod(db, &plan->evicts[i]);
        if (pod != MU_NONE)
            mu_pod_at(db, pod)->flags &= (uint16_t)~MU_POD_PICKED;
    }
}
