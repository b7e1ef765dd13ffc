#include "engine/db/db_priv.h"

#include "engine/base/assert.h"

/*
 * The ledger: what is decided and not yet confirmed.
 *
 * An entry lives in its pod's record: one pod, one charge, found by UID.
 *
 *     NONE --admit--> IN_FLIGHT --seen bound, terminal or deleted--> NONE
 *     IN_FLIGHT --refused, hold--> HELD --admit--> IN_FLIGHT
 *     IN_FLIGHT --refused--> NONE        HELD --released, refused, pod going--> NONE
 *
 * and of a gang whose victims have to go first, all its binds together:
 *
 *     NONE, HELD --admit--> WAITING --victims gone, proved again--> IN_FLIGHT
 *     WAITING --dropped, refused, pod going--> NONE
 *
 * A plan was made on a snapshot, so all it says is checked again against the present (db/trial.c,
 * db/evict.c, db/rules.c have parts of it). The checks change nothing; only then, with nothing left
 * that can fail, are the binds charged. A WAITING bind is charged like any other, on top of the
 * victims that it waits for: its row may have less than nothing free for a while, so that nobody
 * else gets what they leave, one after another.
 */

/* --- checks -------------------------------------------------------------------------------- */

int mu_plan_conflict(struct mu_db *db, struct mu_error *why, uint32_t pod, const char *what)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    struct mu_str ns = mu_symbol_str(db->symbols, p->ns);
    struct mu_str name = mu_pod_name(p);
    return mu_error_set(why, MU_ECONFLICT, "pod %.*s/%.*s: %s", MU_STR_ARGS(ns), MU_STR_ARGS(name),
                        what);
}

/* The gang row that a plan is about, recounted. NULL: it is no longer that gang. `waits`: it was
 * admitted already, which has moved its revision. */
static struct mu_gang_rec *check_gang(struct mu_db *db, const struct mu_plan_gang *plan, bool waits,
                                      struct mu_error *why)
{
    struct mu_gang_rec *g = plan->gang.v < db->gangs.high ? mu_gang_at(db, plan->gang.v) : NULL;
    if (g == NULL || !g->used || g->row.generation != plan->gang_generation) {
        (void)mu_error_set(why, MU_ECONFLICT, "gang: it is gone");
        return NULL;
    }
    mu_gang_recount(db, plan->gang.v);
    const char *what = NULL;
    bool settled = (g->row.flags & MU_GANG_SETTLED) != 0;
    if (plan->bind_count == 0)
        what = "expected at least one bind";
    else if (g->ending)
        what = "its members are being ended";
    else if (g->held)
        what = "it is held back: by its object, or for its many members or sub-groups";
    else if (mu_gang_wants_singles(db, g) != (g->home != MU_NONE))
        what = "its object has changed its mind about placing members one by one";
    else if (!settled && (waits || g->row.revision != plan->gang_revision))
        what = "it changed before its size was settled";
    else if (!settled && (plan->size == 0 || plan->size > MU_GANG_MEMBERS_MAX))
        what = "expected a size";
    if (what == NULL)
        return g;
    struct mu_str ns = mu_db_gang_ns(db, plan->gang);
    struct mu_str name = mu_db_gang_name(db, plan->gang);
    (void)mu_error_set(why, MU_ECONFLICT, "gang %.*s/%.*s: %s", MU_STR_ARGS(ns), MU_STR_ARGS(name),
                       what);
    return NULL;
}

static const char *check_node(const struct mu_db *db, const struct mu_plan_bind *bind,
                              const struct mu_class *c)
{
    if (!mu_row_used(db, bind->node.v))
        return "its node is gone";
    const struct mu_node_rec *rec = mu_row_rec(db, bind->node.v);
    if ((rec->flags & MU_NODE_PRESENT) == 0 || rec->generation != bind->node_generation)
        return "its node is gone";
    if ((rec->flags & MU_NODE_UNSCHEDULABLE) != 0 &&
        !mu_class_tolerates_unschedulable(db->model, c))
        return "its node is unschedulable";
    if (!mu_class_tolerates(
            db->model, c, mu_model_get_taint_set(db->model, (struct mu_taint_set_ix){rec->taints})))
        return "its node has a taint that it does not tolerate";
    const struct mu_labels_view labels = mu_model_labels(db->model, rec->labels, rec->hostname);
    if (!mu_class_selects(db->model, c, &labels, rec->name))
        return "its node does not match its node affinity or selector";
    return NULL;
}

/* Whether the pod is as the plan found it, or since its admission. */
static const char *check_pod(const struct mu_pod_rec *p, const struct mu_plan_bind *bind,
                             bool waits)
{
    if (!waits && p->version != bind->version)
        return "it has another version";
    if (!waits)
        return mu_pod_role(p) == MU_ROLE_PENDING ? NULL : "it does not want a node";
    if (p->ledger != MU_LEDGER_WAITING || p->node.v != bind->node.v || p->devices != bind->devices)
        return "the room that it waited for is no longer held";
    return (p->flags & MU_POD_GATED) == 0 && p->unbuilt == 0 ? NULL : "it does not want a node";
}

/* Check one bind but for room, and pick its pod. Errors: MU_ECONFLICT; MU_ENOMEM (the node's chunk
 * cannot be widened for the class). */
static int check_bind(struct mu_db *db, const struct mu_plan_gang *plan, uint32_t i, bool waits,
                      struct mu_error *why)
{
    const struct mu_plan_bind *bind = &plan->binds[i];
    struct mu_pod_rec *p = bind->pod.v < db->pods.high ? mu_pod_at(db, bind->pod.v) : NULL;
    if (p == NULL || (p->flags & MU_POD_USED) == 0 || !mu_uid_equal(p->uid, bind->uid))
        return mu_error_set(why, MU_ECONFLICT, "bind %u of the gang: its pod is gone", i);
    if ((p->flags & MU_POD_PICKED) != 0)
        return mu_plan_conflict(db, why, bind->pod.v, "it is bound twice by one plan");
    if (p->gang.v != plan->gang.v)
        return mu_plan_conflict(db, why, bind->pod.v, "it is not a member of the gang");
    const struct mu_class *c = mu_model_get_class(db->model, p->class_ix);
    const char *what = check_pod(p, bind, waits);
    if (what == NULL && c->impossible)
        what = "its requests fit nowhere";
    if (what == NULL)
        what = check_node(db, bind, c);
    if (what != NULL)
        return mu_plan_conflict(db, why, bind->pod.v, what);
    int rc = mu_row_reserve(db, bind->node.v, mu_row_class_stride(db, p->class_ix));
    if (rc == 0)
        p->flags |= MU_POD_PICKED;
    return rc;
}

/* The gang's minimum, by itself and for each sub-group. Its binds are members, each one once; those
 * that wait are among the placed ones. */
static int check_minimum(const struct mu_db *db, const struct mu_plan_gang *plan, bool waits,
                         struct mu_error *why)
{
    const struct mu_gang_rec *g = mu_gang_at(db, plan->gang.v);
    bool settled = (g->row.flags & MU_GANG_SETTLED) != 0;
    uint32_t need = settled ? g->row.size : plan->size;
    uint32_t have = g->row.placed_count + (waits ? 0 : plan->bind_count);
    if (have < need)
        return mu_error_set(why, MU_ECONFLICT, "gang: %u of %u members placed", have, need);
    if (g->split && !mu_gang_minimum_met(db, plan->gang.v, true))
        return mu_error_set(why, MU_ECONFLICT, "gang: one of its sub-groups is below its minimum");
    return 0;
}

static int check_others(struct mu_db *db, const struct mu_plan_gang *plan, struct mu_error *why)
{
    uint32_t which = 0;
    const char *what = NULL;
    int rc = mu_census_check(db, plan, &which, &what);
    if (rc != MU_ECONFLICT)
        return rc;
    return mu_plan_conflict(db, why, plan->binds[which].pod.v, what);
}

/* The whole plan of a gang that check_gang has let pass. */
static int check(struct mu_db *db, const struct mu_plan_gang *plan, bool waits,
                 struct mu_error *why)
{
    int rc = 0;
    uint32_t picked = 0;
    for (; rc == 0 && picked < plan->bind_count; picked += rc == 0)
        rc = check_bind(db, plan, picked, waits, why);
    if (rc == 0)
        rc = check_minimum(db, plan, waits, why);
    if (rc == 0 && !mu_gang_topology_allows(db, plan))
        rc = mu_error_set(why, MU_ECONFLICT, "gang: its nodes are not in one domain");
    if (rc == 0 && plan->evict_count != 0)
        rc = mu_evict_check(db, plan, why);
    if (rc == 0)
        rc = mu_trial_room(db, plan, NULL, why);
    for (uint32_t i = 0; i < picked; i++)
        mu_pod_at(db, plan->binds[i].pod.v)->flags &= (uint16_t)~MU_POD_PICKED;
    mu_evict_unpick(db, plan);
    return rc == 0 ? check_others(db, plan, why) : rc;
}

/* --- admit --------------------------------------------------------------------------------- */

/* Room that is held elsewhere goes first: one of the binds may take what another of them holds. */
static void charge(struct mu_db *db, const struct mu_plan_gang *gang)
{
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, gang->binds[i].pod.v);
        bool stays = p->node.v == gang->binds[i].node.v && p->devices == gang->binds[i].devices;
        if (p->ledger == MU_LEDGER_HELD && !stays)
            mu_pod_place(db, gang->binds[i].pod.v, MU_NONE, p->class_ix, p->kin, p->flags,
                         MU_LEDGER_NONE, 0);
    }
    const bool waits = gang->evict_count != 0;
    const uint64_t conflicts = db->counts.device_conflicts;
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, gang->binds[i].pod.v);
        mu_pod_place(db, gang->binds[i].pod.v, gang->binds[i].node.v, p->class_ix, p->kin, p->flags,
                     waits ? MU_LEDGER_WAITING : MU_LEDGER_IN_FLIGHT,
                     (uint16_t)gang->binds[i].devices);
    }
    if (waits) /* devices that its victims still have: as it is meant to be */
        db->counts.device_conflicts = conflicts;
}

int mu_db_admit(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why)
{
    struct mu_gang_rec *g = check_gang(db, gang, false, why);
    int rc = g == NULL ? MU_ECONFLICT : check(db, gang, false, why);
    if (rc != 0)
        return rc;
    charge(db, gang);
    if ((g->row.flags & MU_GANG_SETTLED) == 0)
        g->frozen = gang->size;
    mu_gang_touch(db, gang->gang.v);
    return 0;
}

/* --- waiting for victims ------------------------------------------------------------------- */

int mu_db_reprove(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why)
{
    const struct mu_gang_rec *g = check_gang(db, gang, true, why);
    return g == NULL ? MU_ECONFLICT : check(db, gang, true, why);
}

int mu_db_waiting_bind(struct mu_db *db, const struct mu_plan_gang *gang, struct mu_error *why)
{
    int rc = mu_db_reprove(db, gang, why);
    if (rc != 0)
        return rc;
    uint32_t left = mu_db_evict_left(db, gang, 0);
    if (left < gang->evict_count)
        return mu_plan_conflict(db, why, gang->evicts[left].pod.v, "it has not gone yet");
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, gang->binds[i].pod.v);
        mu_pod_place(db, gang->binds[i].pod.v, p->node.v, p->class_ix, p->kin, p->flags,
                     MU_LEDGER_IN_FLIGHT, p->devices);
    }
    mu_gang_touch(db, gang->gang.v);
    return 0;
}

/* --- outcomes ------------------------------------------------------------------------------ */

static void set_state(struct mu_db *db, uint32_t pod, enum mu_ledger_state state)
{
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    uint32_t gang = p->gang.v;
    mu_pod_place(db, pod, state == MU_LEDGER_NONE ? MU_NONE : p->node.v, p->class_ix, p->kin,
                 (uint16_t)(p->flags & ~(unsigned)MU_POD_CONFIRMED), state,
                 state == MU_LEDGER_NONE ? 0 : p->devices);
    if (gang != MU_NONE)
        mu_gang_touch(db, gang);
}

void mu_db_waiting_drop(struct mu_db *db, const struct mu_plan_gang *gang)
{
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        uint32_t pod = mu_pod_find(db, gang->binds[i].uid);
        if (pod != MU_NONE && mu_pod_at(db, pod)->ledger == MU_LEDGER_WAITING)
            set_state(db, pod, MU_LEDGER_NONE);
    }
}

void mu_db_bind_refused(struct mu_db *db, struct mu_uid uid, bool hold)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod == MU_NONE)
        return;
    const struct mu_pod_rec *p = mu_pod_at(db, pod);
    /* A confirmed bind has happened: what was refused is a repetition of it. */
    if (p->ledger == MU_LEDGER_NONE || (p->flags & MU_POD_CONFIRMED) != 0)
        return;
    bool leaving = (p->flags & MU_POD_TERMINATING) != 0;
    if (hold && !leaving && p->ledger == MU_LEDGER_HELD)
        return;
    set_state(db, pod, hold && !leaving ? MU_LEDGER_HELD : MU_LEDGER_NONE);
}

void mu_db_bind_confirmed(struct mu_db *db, struct mu_uid uid)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod == MU_NONE || mu_pod_at(db, pod)->ledger != MU_LEDGER_IN_FLIGHT)
        return;
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    if (p->gang.v != MU_NONE)
        mu_gang_touch(db, p->gang.v); /* the rest of the gang may follow */
    const bool rises = (p->flags & (MU_POD_BOUND | MU_POD_CONFIRMED)) == 0;
    p->flags |= MU_POD_CONFIRMED;
    if (rises && p->gang.v != MU_NONE)
        mu_gang_member_rises(db, p->gang.v);
}

bool mu_db_gang_started(struct mu_db *db, struct mu_uid uid)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod == MU_NONE || mu_pod_at(db, pod)->gang.v == MU_NONE)
        return false;
    struct mu_gang_ix gang = mu_pod_at(db, pod)->gang;
    mu_gang_recount(db, gang.v);
    return mu_gang_at(db, gang.v)->row.bound_count > 0;
}

void mu_db_pod_block(struct mu_db *db, struct mu_uid uid, uint32_t rule, bool on)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod == MU_NONE)
        return;
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    uint32_t unbuilt = on ? p->unbuilt | rule : p->unbuilt & ~rule;
    if (unbuilt == p->unbuilt)
        return;
    p->unbuilt = unbuilt;
    if (p->gang.v != MU_NONE)
        mu_gang_touch(db, p->gang.v);
}

void mu_db_pod_report(struct mu_db *db, struct mu_uid uid, uint64_t digest)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod != MU_NONE)
        mu_pod_at(db, pod)->report = digest;
}

void mu_db_held_release(struct mu_db *db, struct mu_uid uid)
{
    uint32_t pod = mu_pod_find(db, uid);
    if (pod != MU_NONE && mu_pod_at(db, pod)->ledger == MU_LEDGER_HELD)
        set_state(db, pod, MU_LEDGER_NONE);
}

enum mu_ledger_state mu_db_ledger_state(const struct mu_db *db, struct mu_uid uid,
                                        struct mu_node_ix *node)
{
    uint32_t pod = mu_pod_find(db, uid);
    enum mu_ledger_state state = MU_LEDGER_NONE;
    if (pod != MU_NONE)
        state = (enum mu_ledger_state)mu_pod_at(db, pod)->ledger;
    if (node != NULL)
        node->v = state == MU_LEDGER_NONE ? MU_NONE : mu_pod_at(db, pod)->node.v;
    return state;
}
