#include "engine/db/db_priv.h"

#include "engine/base/assert.h"

/*
 * Gangs that are bound in part, and their end.
 *
 * A gang is bound in part (short_ns) while fewer of its members are bound than it needs, from its
 * first bind on. Who leaves while he runs, and was not told to go, has come to his end and counts
 * as if he ran (`ended`): the pods of a job end one after another, and the last of them are no
 * fragment. Once its minimum is bound it is whole, and stays so whatever it loses. Whether it was
 * is seen when it is recounted, which nobody asks for between its last bind and its next change; so
 * a bind that may have been the last one it lacked asks. All of this is of one generation, and
 * forgotten with its last placed member.
 *
 * Its end is decided by a session and held against the present here. Whoever has been admitted
 * deletes members one by one, which takes its time; meanwhile the gang is marked, so that none of
 * its other members is placed.
 */

/* --- bound in part --------------------------------------------------------------------------- */

/* Whether it is bound in part, and since when. A gang that was whole, or was bound before it was
 * first seen, is not while fewer members are left than it needs: then some have come to their end
 * (and who has ended is not in a list of pods). */
void mu_gang_end_settle(const struct mu_db *db, struct mu_gang_rec *g,
                        const struct mu_gang_terms *terms)
{
    struct mu_gang_row *row = &g->row;
    const uint32_t lacks = row->size == 0 ? 0 : mu_gang_lacks(db, g, terms, true);
    const bool known = !g->whole && !g->found;
    bool partly = row->bound_count != 0 && lacks > g->ended;
    partly = partly && (known || row->member_count + g->ended >= row->size);
    g->whole |= row->bound_count != 0 && row->size != 0 && lacks == 0;
    row->flags |= g->whole ? MU_GANG_WHOLE : 0;
    row->flags |= g->ending ? MU_GANG_ENDING : 0;
    if (!partly)
        row->short_ns = 0;
    else if (row->short_ns == 0)
        row->short_ns = db->now_ns != 0 ? db->now_ns : 1;
}

void mu_gang_member_ends(struct mu_db *db, uint32_t pod)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (p->gang.v != MU_NONE && (p->flags & MU_POD_BOUND) != 0)
        mu_gang_at(db, p->gang.v)->ended++;
}

void mu_gang_member_rises(struct mu_db *db, uint32_t gang)
{
    struct mu_gang_rec *g = mu_gang_at(db, gang);
    const uint32_t need = g->row.size != 0 ? g->row.size : g->frozen;
    const bool counted = g->row.member_count != 0;
    g->risen++;
    if (!g->whole && (!counted || (need != 0 && g->row.bound_count + g->risen >= need)))
        mu_gang_recount(db, gang);
}

/* --- its end ---------------------------------------------------------------------------------- */

static struct mu_gang_rec *find(const struct mu_db *db, const struct mu_plan_end *end)
{
    if (end->gang.v >= db->gangs.high)
        return NULL;
    struct mu_gang_rec *g = mu_gang_at(db, end->gang.v);
    return g->used && g->row.generation == end->gang_generation ? g : NULL;
}

/* A member that is on its way to a node: its bind may land, or its victims are leaving. */
static bool any_coming(const struct mu_db *db, const struct mu_gang_rec *g)
{
    for (uint32_t pod = g->members; pod != MU_NONE; pod = mu_pod_at(db, pod)->gang_next) {
        uint8_t state = mu_pod_at(db, pod)->ledger;
        if (state == MU_LEDGER_IN_FLIGHT || state == MU_LEDGER_WAITING)
            return true;
    }
    return false;
}

int mu_db_gang_end(struct mu_db *db, const struct mu_plan_end *end, struct mu_error *why)
{
    struct mu_gang_rec *g = find(db, end);
    const char *what = NULL;
    if (g == NULL)
        return mu_error_set(why, MU_ECONFLICT, "gang: it is gone");
    mu_gang_recount(db, end->gang.v);
    if (g->ending)
        what = "its members are being ended already";
    else if (g->row.short_ns == 0)
        what = "it is not bound in part any more";
    else if (g->row.controlled_count == 0)
        what = "none of its bound members has a controller";
    else if (any_coming(db, g))
        what = "one of its members is on its way to a node";
    if (what != NULL)
        return mu_error_set(why, MU_ECONFLICT, "gang %.*s: %s",
                            MU_STR_ARGS(mu_db_gang_name(db, end->gang)), what);
    for (uint32_t pod = g->members; pod != MU_NONE; pod = mu_pod_at(db, pod)->gang_next)
        mu_db_held_release(db, mu_pod_at(db, pod)->uid);
    g->ending = true;
    mu_gang_touch(db, end->gang.v);
    return 0;
}

bool mu_db_gang_end_holds(struct mu_db *db, const struct mu_plan_end *end)
{
    const struct mu_gang_rec *g = find(db, end);
    if (g == NULL)
        return false;
    MU_ASSERT(g->ending);
    mu_gang_recount(db, end->gang.v);
    return g->row.short_ns != 0 && !any_coming(db, g);
}

void mu_db_gang_end_over(struct mu_db *db, const struct mu_plan_end *end)
{
    struct mu_gang_rec *g = find(db, end);
    if (g == NULL)
        return;
    MU_ASSERT(g->ending);
    g->ending = false;
    mu_gang_touch(db, end->gang.v);
}
