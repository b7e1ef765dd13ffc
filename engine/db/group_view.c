#include "engine/db/db_priv.h"

/*
 * What can be told of a group object: counts over the live members of the gang that it describes.
 * Nothing is kept for it, since it is asked for only when its status is about to be written; the
 * gang's own row may be older than the last event.
 */

uint32_t mu_db_gang_group(const struct mu_db *db, struct mu_gang_ix gang)
{
    if (gang.v >= db->gangs.high || !mu_gang_at(db, gang.v)->used)
        return MU_NONE;
    const struct mu_gang_rec *g = mu_gang_at(db, gang.v);
    if (g->home != MU_NONE)
        g = mu_gang_at(db, g->home);
    if (g->source == MU_GANG_WORKLOAD || g->group == MU_NONE)
        return MU_NONE;
    return (mu_group_at(db, g->group)->flags & MU_GROUP_PRESENT) != 0 ? g->group : MU_NONE;
}

uint32_t mu_db_group_find(const struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                          struct mu_str name)
{
    uint32_t group = mu_group_find(db, source, ns, name);
    bool there = group != MU_NONE && (mu_group_at(db, group)->flags & MU_GROUP_PRESENT) != 0;
    return there ? group : MU_NONE;
}

/* Members of one row; returns how many are placed, bound or not. */
static uint32_t count_members(const struct mu_db *db, uint32_t gang, struct mu_group_view *out)
{
    uint32_t placed = 0;
    for (uint32_t pod = mu_gang_at(db, gang)->members; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        out->members++;
        out->bound += (p->flags & (MU_POD_BOUND | MU_POD_CONFIRMED)) != 0;
        out->running += (p->flags & MU_POD_RUNS) != 0;
        placed += mu_pod_role(p) == MU_ROLE_PLACED;
        pod = p->gang_next;
    }
    return placed;
}

bool mu_db_group_get(const struct mu_db *db, uint32_t group, struct mu_group_view *out)
{
    if (group >= db->groups.high)
        return false;
    const struct mu_group_rec *g = mu_group_at(db, group);
    if ((g->flags & MU_GROUP_PRESENT) == 0)
        return false;
    *out = (struct mu_group_view){.source = (enum mu_gang_source)g->source,
                                  .ns = mu_symbol_str(db->symbols, g->ns),
                                  .name = mu_symbol_str(db->symbols, g->name),
                                  .version = g->version,
                                  .report = g->report,
                                  .shown = g->shown,
                                  .single = (g->flags & MU_GROUP_SINGLE_POLICY) != 0,
                                  .min = g->min};
    for (uint32_t row = g->rows; row != MU_NONE; row = mu_gang_at(db, row)->next) {
        uint32_t placed = count_members(db, row, out);
        for (uint32_t at = mu_gang_at(db, row)->singles; at != MU_NONE;
             at = mu_gang_at(db, at)->next)
            (void)count_members(db, at, out);
        /* Those on their way may be the very ones that a sub-group's minimum lacks. */
        bool plain = g->subgroup_count == 0 && out->bound >= g->min;
        if (!out->single && g->min > 0 && (plain || placed == out->bound))
            out->stands = mu_gang_minimum_met(db, row, false);
    }
    if (out->single)
        out->stands = out->bound > 0;
    return true;
}

void mu_db_group_report(struct mu_db *db, uint32_t group, uint64_t report, uint32_t shown)
{
    if (group >= db->groups.high || (mu_group_at(db, group)->flags & MU_GROUP_PRESENT) == 0)
        return;
    mu_group_at(db, group)->report = report;
    mu_group_at(db, group)->shown = (uint8_t)shown;
}
