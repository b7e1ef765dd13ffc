#include "engine/db/census_priv.h"

#include "engine/base/assert.h"

/*
 * Domains of node labels that gangs must or want to stay in.
 *
 * Sessions know the domains of a label only while something uses it as a topology key. A row with a
 * pack_key keeps its key in use, for as long as it has it: as members come and go, running ones
 * included, so that nodes are not gone through anew for each gang. The books of censuses are opened
 * for the first one.
 *
 * The key has a number only while some node carries it, and not when too many keys are in use,
 * which is counted: the gang fits nowhere then if it must stay in one domain. It is looked at again
 * once that has changed.
 */

static void drop(struct mu_db *db, struct mu_gang_rec *g)
{
    if (g->topology_key.v == 0)
        return;
    if (g->topology != MU_NONE)
        mu_topology_unref(db, g->topology);
    mu_label_key_unask(db->books, g->topology_key);
    g->topology_key.v = 0;
}

void mu_gang_topology_drop(struct mu_db *db, uint32_t gang)
{
    drop(db, mu_gang_at(db, gang));
}

/* The number of a key for a row; MU_NONE when it has none, *untracked when that is for want of
 * numbers. Errors: MU_ENOMEM. */
static int number_of(struct mu_db *db, const struct mu_gang_rec *g, struct mu_symbol key,
                     uint32_t *out, bool *untracked)
{
    *out = MU_NONE;
    *untracked = false;
    if (!mu_label_key_carried(db->books, key))
        return 0;
    int rc = mu_topology_obtain(db, key, (g->row.flags & MU_GANG_PACK_REQUIRED) != 0, out);
    *untracked = rc == MU_ELIMIT;
    return *untracked ? 0 : rc;
}

int mu_gang_topology_follow(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    const struct mu_symbol key = g->row.pack_key;
    uint32_t topology = MU_NONE;
    bool untracked = false;
    if (g->topology_key.v == key.v)
        return 0;
    if (key.v != 0) {
        int rc = db->books == NULL ? mu_census_open(db) : 0;
        if (rc == 0)
            rc = mu_label_key_ask(db->books, key);
        if (rc != 0)
            return rc;
        rc = number_of(db, g, key, &topology, &untracked);
        if (rc != 0) {
            mu_label_key_unask(db->books, key);
            return rc;
        }
    }
    drop(db, g); /* after the new one, so that one key stays in use */
    g->topology_key = key;
    g->topology = topology;
    g->untracked = untracked;
    db->counts.limit_reduced += untracked;
    return 0;
}

int mu_gang_keys_follow(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = gang < db->gangs.high ? mu_gang_at(db, gang) : NULL;
    if (g == NULL || !g->used || g->topology_key.v == 0)
        return 0;
    const bool before = g->untracked;
    if (g->topology == MU_NONE) {
        int rc = number_of(db, g, g->topology_key, &g->topology, &g->untracked);
        db->counts.limit_reduced += g->untracked && !before;
        return rc;
    }
    if (!mu_label_key_carried(db->books, g->topology_key)) {
        mu_topology_unref(db, g->topology);
        g->topology = MU_NONE;
    }
    return 0;
}

/* A row whose node has changed is in no domain until the books are brought up to date: what was
 * planned there is planned again. */
static uint32_t domain_of(const struct mu_db *db, const struct mu_gang_rec *g, uint32_t row)
{
    return g->topology_key.v == 0 || g->topology == MU_NONE
               ? MU_NONE
               : mu_topology_domain(&db->books->topologies[g->topology], row);
}

bool mu_gang_topology_allows(const struct mu_db *db, const struct mu_plan_gang *plan)
{
    const struct mu_gang_rec *g = mu_gang_at(db, plan->gang.v);
    MU_ASSERT(plan->bind_count > 0);
    if ((g->row.flags & MU_GANG_PACK_REQUIRED) == 0)
        return true;
    uint32_t domain = domain_of(db, g, plan->binds[0].node.v);
    bool allowed = domain != MU_NONE;
    for (uint32_t i = 1; i < plan->bind_count && allowed; i++)
        allowed = domain_of(db, g, plan->binds[i].node.v) == domain;
    return allowed && (g->row.home.v == MU_NONE || domain_of(db, g, g->row.home.v) == domain);
}
