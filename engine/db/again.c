#include "engine/db/db_priv.h"

#include "engine/base/assert.h"

/*
 * A plan from before this DB was there: a journal has kept who goes where, and no more, since rows,
 * versions and generations mean nothing to another process. The rest is filled in as it is now;
 * admitting it then checks it like any other.
 *
 * Which devices the binds were to have is not kept either: they are chosen anew, one bind after the
 * other, on the sums without the victims.
 */

static int fill_bind(struct mu_db *db, struct mu_plan_gang *gang, struct mu_plan_bind *bind,
                     struct mu_error *why)
{
    uint32_t pod = mu_pod_find(db, bind->uid);
    if (pod == MU_NONE)
        return mu_error_set(why, MU_ECONFLICT, "a pod of the plan is gone");
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (p->gang.v == MU_NONE || (gang->gang.v != MU_NONE && gang->gang.v != p->gang.v))
        return mu_plan_conflict(db, why, pod, "it is not a member of the gang");
    if (!mu_row_used(db, bind->node.v))
        return mu_plan_conflict(db, why, pod, "its node is gone");
    gang->gang = p->gang;
    bind->pod.v = pod;
    bind->version = p->version;
    bind->node_generation = mu_row_rec(db, bind->node.v)->generation;
    bind->devices = 0;
    return mu_row_reserve(db, bind->node.v, mu_row_class_stride(db, p->class_ix));
}

int mu_db_plan_again(struct mu_db *db, struct mu_plan_gang *gang, struct mu_plan_bind *binds,
                     struct mu_error *why)
{
    MU_ASSERT(gang->binds == binds && gang->bind_count > 0);
    int rc = 0;
    gang->gang.v = MU_NONE;
    for (uint32_t i = 0; rc == 0 && i < gang->bind_count; i++)
        rc = fill_bind(db, gang, &binds[i], why);
    if (rc != 0)
        return rc;
    mu_gang_recount(db, gang->gang.v);
    const struct mu_gang_row *row = &mu_gang_at(db, gang->gang.v)->row;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    gang->gang_generation = row->generation;
    gang->gang_revision = row->revision;
    gang->size = settled ? row->size : row->placed_count + gang->bind_count;
    rc = gang->evict_count == 0 ? 0 : mu_evict_check(db, gang, why);
    if (rc == 0)
        rc = mu_trial_room(db, gang, binds, why);
    mu_evict_unpick(db, gang);
    return rc;
}
