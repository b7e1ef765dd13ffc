#include "engine/db_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Nominated pods: those that are not bound and whose object says where they are expected to go.
 * They are few: a list that every sync shows whole. An entry holds the symbol of its node's name,
 * known or not; a pod with an entry has MU_POD_NOMINATED. Where a pod with an entry changes, room
 * that was kept may be free again, and the capacity generation moves (mu_pod_place).
 */

static uint32_t find(const struct mu_db *db, uint32_t pod)
{
    uint32_t i = 0;
    while (i < db->nomination_count && db->nominations[i].pod != pod)
        i++;
    return i;
}

int mu_nominated_obtain(struct mu_db *db, struct mu_str node, struct mu_symbol *out)
{
    int rc = mu_mem_grow((void **)&db->nominations, &db->nomination_cap, db->nomination_count + 1,
                         MU_NOMINATIONS_MAX, sizeof *db->nominations);
    return rc == 0 ? mu_symbol_intern(db->symbols, node, out) : rc;
}

void mu_nominated_set(struct mu_db *db, uint32_t pod, struct mu_symbol node)
{
    uint32_t at = find(db, pod);
    bool had = at < db->nomination_count;
    db->changed = true;
    if (had)
        mu_symbol_unref(db->symbols, db->nominations[at].node, db->reach);
    if (node.v != 0) {
        MU_ASSERT(at < db->nomination_cap);
        db->nominations[at] = (struct mu_nomination){pod, node};
        db->nomination_count += !had;
    } else if (had) {
        db->nominations[at] = db->nominations[--db->nomination_count];
    }
}

/* A pod that is in the ledger is charged where it goes; one that is being deleted will not come. */
static bool waits(const struct mu_pod_rec *p)
{
    return !mu_pod_charged(p) && (p->flags & MU_POD_TERMINATING) == 0;
}

bool mu_nominated_leave_room(const struct mu_db *db, uint32_t row, const struct mu_class *c,
                             uint32_t gang)
{
    const int64_t *free = mu_row_free(db, row);
    const int32_t priority = mu_gang_at(db, gang)->row.priority;
    int64_t kept[MU_RESOURCES_MAX] = {0};
    bool any = false;
    for (uint32_t i = 0; i < db->nomination_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, db->nominations[i].pod);
        if (db->nominations[i].node.v != mu_row_rec(db, row)->name.v || !waits(p) ||
            p->priority < priority || p->gang.v == gang)
            continue;
        const struct mu_class *other = mu_model_get_class(db->model, p->class_ix);
        kept[MU_RES_PODS]++;
        for (uint32_t d = 0; d < other->demand_count; d++)
            kept[other->demands[d].resource.v] =
                mu_amount_add(kept[other->demands[d].resource.v], other->demands[d].amount);
        any = true;
    }
    if (any && free[MU_RES_PODS] - 1 < kept[MU_RES_PODS])
        return false;
    for (uint32_t d = 0; any && d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        if (free[r] - c->demands[d].amount < kept[r])
            return false;
    }
    return true;
}

int mu_nominated_replica_reserve(const struct mu_db *db, struct mu_replica *r)
{
    return mu_mem_grow((void **)&r->nominated, &r->nominated_cap, db->nomination_count,
                       MU_NOMINATIONS_MAX, sizeof *r->nominated);
}

void mu_nominated_show(const struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    s->nominated = r->nominated;
    s->nominated_count = 0;
    for (uint32_t i = 0; i < db->nomination_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, db->nominations[i].pod);
        uint32_t row = mu_node_row(db, db->nominations[i].node);
        if (!waits(p) || row == MU_NONE || (mu_row_rec(db, row)->flags & MU_NODE_PRESENT) == 0)
            continue;
        r->nominated[s->nominated_count++] =
            (struct mu_nominated){{row}, p->priority, p->class_ix, p->kin, p->gang};
    }
}
