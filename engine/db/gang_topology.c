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
 * When too many keys are in use, the gang's is not one of them: it fits nowhere if it must stay in
 * one domain, which is counted, and is tried again whenever the row changes.
 */

static void drop(struct mu_db *db, struct mu_gang_rec *g)
{
    if (g->topology_key.v == 0)
        return;
    mu_topology_unref(db, g->topology);
    g->topology_key.v = 0;
}

void mu_gang_topology_drop(struct mu_db *db, uint32_t gang)
{
    drop(db, mu_gang_at(db, gang));
}

int mu_gang_topology_follow(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    uint32_t topology = 0;
    if (g->topology_key.v == g->row.pack_key.v)
        return 0;
    if (g->row.pack_key.v != 0) {
        int rc = db->books == NULL ? mu_census_open(db) : 0;
        if (rc == 0)
            rc = mu_topology_obtain(db, g->row.pack_key,
                                    (g->row.flags & MU_GANG_PACK_REQUIRED) != 0, &topology);
        if (rc == MU_ELIMIT) {
            db->counts.limit_reduced++;
            drop(db, g);
            return 0;
        }
        if (rc != 0)
            return rc;
    }
    drop(db, g); /* after the new one, so that one key stays in use */
    g->topology_key = g->row.pack_key;
    g->topology = topology;
    return 0;
}

/* A row whose node has changed is in no domain until the books are brought up to date: what was
 * planned there is planned again. */
static uint32_t domain_of(const struct mu_db *db, const struct mu_gang_rec *g, uint32_t row)
{
    return g->topology_key.v == 0 ? MU_NONE
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
