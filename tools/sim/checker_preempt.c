/*
 * Victims, by plain lists (I5, I6). A plan is judged twice: when its session has ended, on exactly
 * what that session was shown, and when it is admitted, which is when the scheduler decides.
 *
 *   whole units   a pod without a gang; of a gang so many that its minimum (each sub-group's too)
 *                 goes on, or all of its pods that run, and none of it is on its way to a node
 *   lower         a unit has the highest priority of its gang's members if the whole gang goes,
 *                 else its pod's own; a plan has the lowest of the pods that it binds
 *   enough        with the victims gone, and whoever else is leaving, each bind has its room and
 *                 breaks no rule, and the gang has its minimum
 *   few           with any one unit back, the pods do not stay where the plan has them; and they
 *                 fit nowhere else either, where a plain pass is sure to find a way: alike pods in
 *                 a world without rules about others. For one pod no node takes it for fewer of
 *                 the units, all with a pod on that node
 *
 * "Few" is asked of the session only: by its admission more room may have come. All about units is
 * asked of the admission only. A session lists units once, as its snapshot has them, and its plans
 * follow one another: one may complete a gang, or bring it surplus, of which a later one evicts the
 * members that ran before. That is no whole unit, and it is no decision either: plans are admitted
 * in the same order, and the later one is refused, since a member is on its way by then. The check
 * is made again before the first delete and before each batch. What it costs is that the preemptor
 * asks again in the next session.
 */
#include "tools/sim/checker_priv.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* ---- plans that wait ------------------------------------------------------------------------ */

static void plan_drop(struct mu_checker *c, uint32_t at)
{
    mu_mem_free(c->plans[at].binds);
    mu_mem_free(c->plans[at].victims);
    c->plans[at] = c->plans[--c->plan_count];
}

void mu_checker_plans_clear(struct mu_checker *c)
{
    while (c->plan_count > 0)
        plan_drop(c, c->plan_count - 1);
}

static bool has_left(const struct mu_pod_object *pod)
{
    return pod == NULL || mu_naive_terminal(pod);
}

void mu_checker_plan_bound(struct mu_checker *c, const struct mu_naive_world *w, const char *uid)
{
    for (uint32_t p = c->plan_count; p-- > 0;) {
        bool is_it = false;
        for (uint32_t i = 0; i < c->plans[p].bind_count; i++)
            is_it = is_it || strcmp(c->plans[p].binds[i].uid, uid) == 0;
        if (!is_it)
            continue;
        for (uint32_t v = 0; v < c->plans[p].victim_count; v++)
            if (!has_left(mu_naive_find_pod(w, c->plans[p].victims[v])))
                mu_checker_violate(c, "I5", "pod %s is bound before victim %s is gone", uid,
                                   c->plans[p].victims[v]);
        plan_drop(c, p);
    }
}

static enum mu_ledger_state ledger_of(struct mu_db *db, struct mu_str text, struct mu_node_ix *node)
{
    struct mu_uid uid;
    return mu_db_uid_parse(db, text, &uid) == 0 ? mu_db_ledger_state(db, uid, node)
                                                : MU_LEDGER_NONE;
}

/* Forget plans that were given up: the scheduler keeps no room for them any more. */
static void forget_dropped(struct mu_checker *c, struct mu_db *db)
{
    for (uint32_t p = c->plan_count; p-- > 0;) {
        bool waits = false;
        for (uint32_t i = 0; i < c->plans[p].bind_count; i++)
            waits = waits ||
                    ledger_of(db, mu_str_of(c->plans[p].binds[i].uid), NULL) == MU_LEDGER_WAITING;
        if (!waits)
            plan_drop(c, p);
    }
}

/* Where room is held for a pod whose bind was refused; empty: nowhere. */
static struct mu_str held_on(struct mu_db *db, const struct mu_pod_object *pod)
{
    struct mu_node_ix node = {MU_NONE};
    bool held = pod->node_name.len == 0 && ledger_of(db, pod->uid, &node) == MU_LEDGER_HELD;
    return held ? mu_db_node_name(db, node) : MU_STR("");
}

void mu_checker_apply_held(struct mu_db *db, struct mu_naive_world *w)
{
    for (uint32_t i = 0; i < w->pod_count; i++) {
        struct mu_str node = held_on(db, &w->pods[i]);
        if (node.len == 0)
            continue;
        w->pods[i].node_name = node;
        w->holding[i] = true;
    }
}

void mu_checker_apply_plans(struct mu_checker *c, struct mu_db *db, struct mu_naive_world *w)
{
    forget_dropped(c, db);
    for (uint32_t p = 0; p < c->plan_count; p++) {
        for (uint32_t i = 0; i < c->plans[p].bind_count; i++) {
            const struct mu_naive_decision *bind = &c->plans[p].binds[i];
            struct mu_pod_object *pod = mu_naive_find_pod(w, bind->uid);
            struct mu_str node = mu_arena_str(c->arena, mu_str_of(bind->node));
            MU_ASSERT(node.data != NULL);
            if (pod == NULL || pod->node_name.len > 0)
                continue;
            pod->node_name = node;
            pod->devices = bind->devices;
            w->holding[pod - w->pods] = true;
        }
    }
}

/* ---- a plan in a world ---------------------------------------------------------------------- */

/* A plan of the scheduler, as pods of the world. */
struct plan {
    struct mu_pod_object *pods[MU_NAIVE_GANG_MAX]; /* to be bound */
    struct mu_str nodes[MU_NAIVE_GANG_MAX];
    uint64_t devices[MU_NAIVE_GANG_MAX];
    uint32_t pod_count;
    struct mu_pod_object *victims[MU_NAIVE_GANG_MAX]; /* that were running */
    uint32_t victim_count;
    int32_t priority; /* of the lowest pod to be bound */
};

static void uid_text(struct mu_db *db, struct mu_uid uid, char text[MU_UID_BYTES_MAX + 1])
{
    text[mu_db_uid_text(db, uid, text)] = '\0';
}

/* Out of the world; the phase stands for it. back: in it again. */
static void leave(struct mu_pod_object *pod, bool back)
{
    pod->phase = back ? MU_POD_RUNNING : MU_POD_SUCCEEDED;
}

/* Its victims; of those that leave anyway nothing is asked but that they have left. */
static void read_victims(struct mu_db *db, const struct mu_naive_world *w,
                         const struct mu_plan_gang *gang, struct plan *plan)
{
    for (uint32_t i = 0; i < gang->evict_count; i++) {
        struct mu_pod_view view;
        char uid[MU_UID_BYTES_MAX + 1];
        if (!mu_db_evict_get(db, &gang->evicts[i], &view))
            continue;
        uid_text(db, view.uid, uid);
        struct mu_pod_object *pod = mu_naive_find_pod(w, uid);
        if (has_left(pod))
            continue;
        if (pod->terminating || (gang->evicts[i].flags & MU_EVICT_LEAVING) != 0)
            leave(pod, false);
        else if (plan->victim_count < MU_NAIVE_GANG_MAX)
            plan->victims[plan->victim_count++] = pod;
    }
}

static bool read_plan(struct mu_checker *c, struct mu_db *db, const struct mu_naive_world *w,
                      const struct mu_plan_gang *gang, struct plan *plan)
{
    *plan = (struct plan){.priority = INT32_MAX};
    MU_ASSERT(gang->bind_count <= MU_NAIVE_GANG_MAX);
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        char uid[MU_UID_BYTES_MAX + 1];
        uid_text(db, gang->binds[i].uid, uid);
        struct mu_pod_object *pod = mu_naive_find_pod(w, uid);
        if (pod == NULL) {
            mu_checker_violate(c, "I5", "preemption for pod %s, which is not there", uid);
            return false;
        }
        plan->nodes[i] = mu_db_node_name(db, gang->binds[i].node);
        plan->devices[i] = gang->binds[i].devices;
        plan->pods[plan->pod_count++] = pod;
        if (pod->priority < plan->priority)
            plan->priority = pod->priority;
    }
    read_victims(db, w, gang, plan);
    return true;
}

static void set_holding(struct mu_naive_world *w, const struct plan *plan, bool holding)
{
    for (uint32_t i = 0; i < plan->pod_count; i++)
        w->holding[plan->pods[i] - w->pods] = holding;
}

static void place(struct plan *plan, bool there)
{
    for (uint32_t i = 0; i < plan->pod_count; i++) {
        plan->pods[i]->node_name = there ? plan->nodes[i] : MU_STR("");
        plan->pods[i]->devices = there ? plan->devices[i] : 0;
    }
}

/* Whether the pods can be where the plan has them. in_order: rules about others are asked of each
 * as it gets there, else once all are there. */
static bool stands(struct mu_naive_world *w, struct plan *plan, bool in_order)
{
    const struct mu_rules_world rules = mu_naive_rules(w);
    bool fits = true;
    place(plan, false);
    for (uint32_t i = 0; fits && i < plan->pod_count; i++) {
        const struct mu_node_object *node = mu_naive_find_node(w, plan->nodes[i]);
        fits = node != NULL && mu_naive_has_room(w, node, plan->pods[i], plan->devices[i]) &&
               mu_rules_static(node, plan->pods[i]) == MU_FITS;
        if (fits && in_order && w->rules)
            fits = mu_rules_others(&rules, node, plan->pods[i]) == MU_FITS;
        plan->pods[i]->node_name = plan->nodes[i];
        plan->pods[i]->devices = plan->devices[i];
    }
    for (uint32_t i = 0; fits && w->rules && i < plan->pod_count; i++)
        fits = mu_rules_others(&rules, mu_naive_find_node(w, plan->nodes[i]), plan->pods[i]) ==
               MU_FITS;
    place(plan, false);
    return fits;
}

/* ---- units ---------------------------------------------------------------------------------- */

static bool is_ours(const struct mu_checker *c, const struct mu_pod_object *pod)
{
    return mu_str_equal(pod->scheduler_name, c->config.scheduler_name);
}

static bool same_unit(const struct mu_checker *c, const struct mu_pod_object *a,
                      const struct mu_pod_object *b)
{
    return a == b || (is_ours(c, a) && is_ours(c, b) && mu_naive_same_gang(a, b));
}

/* On its node by a decision alone, or a plan that waits: no list shows it there. */
static bool is_decided(const struct mu_checker *c, const struct mu_pod_object *pod)
{
    bool is = false;
    for (uint32_t d = 0; !is && d < c->decision_count; d++)
        is = mu_str_equal(mu_str_of(c->decisions[d].uid), pod->uid);
    for (uint32_t p = 0; !is && p < c->plan_count; p++)
        for (uint32_t i = 0; !is && i < c->plans[p].bind_count; i++)
            is = mu_str_equal(mu_str_of(c->plans[p].binds[i].uid), pod->uid);
    return is;
}

/* What is known of a victim's gang beside the gang itself. */
struct kin {
    uint32_t running, taken; /* of those that run, victims of this plan */
    uint32_t coming;         /* on their way to a node */
    int32_t highest;
    bool spared;
};

static struct kin kin_of(const struct mu_checker *c, const struct mu_naive_world *w,
                         const struct plan *plan, const struct mu_pod_object *victim)
{
    struct kin kin = {.highest = INT32_MIN};
    for (uint32_t i = 0; i < w->pod_count; i++) {
        const struct mu_pod_object *pod = &w->pods[i];
        bool is_victim = false;
        for (uint32_t v = 0; v < plan->victim_count; v++)
            is_victim = is_victim || plan->victims[v] == pod;
        if (!same_unit(c, pod, victim) || pod->terminating || mu_naive_terminal(pod))
            continue;
        if (pod->priority > kin.highest)
            kin.highest = pod->priority;
        kin.taken += is_victim;
        if (pod->node_name.len == 0)
            continue;
        bool seen = !is_decided(c, pod);
        kin.running += seen;
        kin.coming += !seen;
        kin.spared = kin.spared || pod->spared;
    }
    return kin;
}

/* The gang goes on without its victims: then each of them is a unit. */
static bool goes_on(const struct mu_checker *c, struct mu_naive_world *w, const struct plan *plan,
                    struct mu_pod_object *victim)
{
    if (victim->gang.source == MU_GANG_SOLO || !is_ours(c, victim))
        return true;
    for (uint32_t v = 0; v < plan->victim_count; v++)
        leave(plan->victims[v], false);
    struct mu_naive_gang g = mu_naive_gang_of(w, victim, c->config.scheduler_name);
    for (uint32_t v = 0; v < plan->victim_count; v++)
        leave(plan->victims[v], true);
    return g.size > 0 && g.bound >= g.size && !g.parted;
}

static void check_victim(struct mu_checker *c, struct mu_naive_world *w, const struct plan *plan,
                         struct mu_pod_object *victim)
{
    struct kin kin = kin_of(c, w, plan, victim);
    bool surplus = goes_on(c, w, plan, victim), sized = victim->gang.size > 0;
    if (victim->spared || (!surplus && kin.spared))
        mu_checker_violate(c, "I6", "victim %.*s, or its gang, is marked as none",
                           MU_STR_ARGS(victim->name));
    int32_t priority = surplus ? victim->priority : kin.highest;
    if (priority >= plan->priority)
        mu_checker_violate(c, "I6", "victim %.*s has priority %d, the preemptor %d",
                           MU_STR_ARGS(victim->name), priority, plan->priority);
    /* A gang that states no size has the one at which it was settled, by whoever settled it: after
     * a restart that is another, and a member that was made again since is surplus. No object says
     * so, and a list of them cannot contradict. Only PLAIN gangs are such. */
    bool whole =
        surplus || kin.taken == kin.running || (!sized && victim->gang.source == MU_GANG_PLAIN);
    if (!whole)
        mu_checker_violate(c, "I6", "victim %.*s: %u of %u of its gang, which cannot go on",
                           MU_STR_ARGS(victim->name), kin.taken, kin.running);
    if (!surplus && kin.coming > 0)
        mu_checker_violate(c, "I6", "victim %.*s: members of its gang are on their way",
                           MU_STR_ARGS(victim->name));
}

/* The unit of victim `v`: marked pods of the plan's victims. A surplus pod is one by itself. */
static uint32_t unit_of(const struct mu_checker *c, struct mu_naive_world *w,
                        const struct plan *plan, uint32_t v, bool unit[MU_NAIVE_GANG_MAX])
{
    bool alone = goes_on(c, w, plan, plan->victims[v]);
    uint32_t first = v;
    for (uint32_t i = 0; i < plan->victim_count; i++) {
        unit[i] = i == v || (!alone && same_unit(c, plan->victims[i], plan->victims[v]));
        if (i < first && unit[i])
            first = i;
    }
    return first;
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool amounts_equal(const struct mu_pod_object *a, const struct mu_pod_object *b)
{
    bool equal = a->request_count == b->request_count;
    for (uint32_t i = 0; equal && i < a->request_count; i++)
        equal = mu_str_equal(a->requests[i].resource, b->requests[i].resource) &&
                a->requests[i].value == b->requests[i].value;
    return equal;
}

/* A plain pass over the nodes finds a way for these pods if there is one. Members of one gang are
 * alike here but for their requests. */
static bool pass_is_exact(const struct mu_naive_world *w, const struct plan *plan)
{
    bool exact = plan->pod_count > 1 && !w->rules;
    for (uint32_t i = 1; exact && i < plan->pod_count; i++)
        exact = amounts_equal(plan->pods[0], plan->pods[i]);
    return exact;
}

static void check_few(struct mu_checker *c, struct mu_naive_world *w, struct plan *plan)
{
    for (uint32_t v = 0; v < plan->victim_count; v++) {
        bool unit[MU_NAIVE_GANG_MAX];
        if (unit_of(c, w, plan, v, unit) < v)
            continue; /* was judged with its first pod */
        for (uint32_t i = 0; i < plan->victim_count; i++)
            leave(plan->victims[i], unit[i]);
        bool stay = stands(w, plan, true);
        if (stay || (pass_is_exact(w, plan) && mu_naive_fit(w, plan->pods, plan->pod_count)))
            mu_checker_violate(c, "I6", "pod %.*s fits without victim %.*s%s",
                               MU_STR_ARGS(plan->pods[0]->name),
                               MU_STR_ARGS(plan->victims[v]->name), stay ? "" : ", elsewhere");
        for (uint32_t i = 0; i < plan->victim_count; i++)
            leave(plan->victims[i], true);
    }
}

/* Room that is held for a pod which is on its way nowhere, after its bind was refused: somebody
 * takes it who is no member of any gang. */
static void add_ghost(struct mu_naive_world *w, const struct mu_pod_object *pod, struct mu_str node)
{
    struct mu_pod_object *ghost = &w->pods[w->pod_count];
    w->holding[w->pod_count++] = true;
    *ghost = *pod;
    ghost->node_name = node;
    ghost->scheduler_name = MU_STR("");
    ghost->gang = (struct mu_gang_ref){.source = MU_GANG_SOLO};
}

static void lay_ghosts(struct mu_naive_world *w, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->pod_count; i++)
        for (uint32_t g = 0; g < w->pod_count; g++)
            if (&w->pods[g] != plan->pods[i] && mu_str_equal(w->pods[g].uid, plan->pods[i]->uid))
                leave(&w->pods[g], false);
}

/* One pod, node by node: what its units with a pod there make room for. */
static void check_lone(struct mu_checker *c, struct mu_naive_world *w, const struct plan *plan)
{
    if (plan->pods[0]->gang.pack_required)
        return; /* where it may go is its gang's affair */
    bool unit[MU_NAIVE_GANG_MAX], gone[MU_NAIVE_GANG_MAX];
    for (uint32_t n = 0; n < w->node_count; n++) {
        uint32_t count = 0;
        uint64_t devices;
        memset(gone, 0, sizeof gone);
        for (uint32_t v = 0; v < plan->victim_count; v++) {
            (void)unit_of(c, w, plan, v, unit);
            for (uint32_t i = 0; i < plan->victim_count; i++)
                if (unit[i] && mu_str_equal(plan->victims[i]->node_name, w->nodes[n].name))
                    gone[v] = true;
            count += gone[v];
        }
        for (uint32_t v = 0; v < plan->victim_count; v++)
            leave(plan->victims[v], !gone[v]);
        if (count < plan->victim_count && mu_naive_takes(w, &w->nodes[n], plan->pods[0], &devices))
            mu_checker_violate(c, "I6", "pod %.*s fits on %.*s for %u of %u victims",
                               MU_STR_ARGS(plan->pods[0]->name), MU_STR_ARGS(w->nodes[n].name),
                               count, plan->victim_count);
        for (uint32_t v = 0; v < plan->victim_count; v++)
            leave(plan->victims[v], true);
    }
}

/* Victims, then the binds; the world is left with both done, the pods only holding their room. */
static void judge(struct mu_checker *c, struct mu_naive_world *w, struct plan *plan, bool few,
                  uint32_t size)
{
    MU_ASSERT(plan->pods[0] != NULL);
    for (uint32_t v = 0; !few && v < plan->victim_count; v++)
        check_victim(c, w, plan, plan->victims[v]);
    for (uint32_t i = 0; plan->victim_count > 0 && i < plan->pod_count; i++)
        if (plan->pods[i]->never_preempts)
            mu_checker_violate(c, "I6", "pod %.*s never preempts, and has victims",
                               MU_STR_ARGS(plan->pods[i]->name));
    place(plan, false);
    set_holding(w, plan, false);
    lay_ghosts(w, plan); /* what its own pods hold is theirs to take */
    if (few)
        check_few(c, w, plan);
    if (few && plan->pod_count == 1)
        check_lone(c, w, plan);
    for (uint32_t v = 0; v < plan->victim_count; v++)
        leave(plan->victims[v], false);
    if (!stands(w, plan, false))
        mu_checker_violate(c, "I5", "pod %.*s does not fit where it is to go, its victims gone",
                           MU_STR_ARGS(plan->pods[0]->name));
    place(plan, true);
    set_holding(w, plan, true); /* until its victims are gone */
    struct mu_naive_gang g = mu_naive_gang_of(w, plan->pods[0], c->config.scheduler_name);
    if (g.bound < (g.size != 0 ? g.size : size) || g.parted)
        mu_checker_violate(c, "I5", "pod %.*s: victims for a part of its gang",
                           MU_STR_ARGS(plan->pods[0]->name));
}

/* The view with all that is decided and held. leaving: without those that leave. Victims of plans
 * that wait are there until they are seen to leave. */
static struct mu_naive_world world_for_victims(struct mu_checker *c, struct mu_db *db, bool leaving)
{
    mu_arena_reset(c->arena);
    struct mu_naive_world w = mu_checker_world(c, c->view);
    const uint32_t pods = w.pod_count;
    mu_checker_apply_decisions(c, &w);
    mu_checker_apply_plans(c, db, &w);
    for (uint32_t i = 0; i < pods; i++) {
        struct mu_str node = held_on(db, &w.pods[i]);
        if (w.pods[i].terminating && leaving)
            leave(&w.pods[i], false);
        else if (node.len > 0)
            add_ghost(&w, &w.pods[i], node);
    }
    return w;
}

void mu_checker_plan(struct mu_checker *c, struct mu_db *db, const struct mu_plan *plan)
{
    bool preempts = false;
    forget_dropped(c, db);
    for (uint32_t i = 0; i < plan->gang_count; i++)
        preempts = preempts || plan->gangs[i].evict_count > 0;
    if (!preempts)
        return;
    struct mu_naive_world w = world_for_victims(c, db, true);
    for (uint32_t i = 0; i < plan->gang_count; i++) {
        struct plan judged;
        if (!read_plan(c, db, &w, &plan->gangs[i], &judged))
            continue;
        if (plan->gangs[i].evict_count > 0) {
            judge(c, &w, &judged, true, plan->gangs[i].size);
            continue;
        }
        lay_ghosts(&w, &judged); /* held for its pods, which have it now */
        place(&judged, true);
    }
}

void mu_checker_preemption(struct mu_checker *c, struct mu_db *db, const struct mu_plan_gang *gang)
{
    struct mu_naive_world w = world_for_victims(c, db, false);
    struct plan plan;
    if (!read_plan(c, db, &w, gang, &plan))
        return;
    judge(c, &w, &plan, false, gang->size);
    MU_ASSERT(mu_mem_grow((void **)&c->plans, &c->plan_cap, c->plan_count + 1,
                          MU_CHECKER_OBJECTS_MAX, sizeof *c->plans) == 0);
    struct mu_naive_plan *kept = &c->plans[c->plan_count++];
    *kept = (struct mu_naive_plan){.bind_count = plan.pod_count, .victim_count = plan.victim_count};
    kept->binds = mu_mem_calloc(plan.pod_count, sizeof *kept->binds);
    kept->victims = mu_mem_calloc(plan.victim_count + 1, sizeof *kept->victims);
    MU_ASSERT(kept->binds != NULL && kept->victims != NULL);
    for (uint32_t i = 0; i < plan.pod_count; i++) {
        struct mu_naive_decision *bind = &kept->binds[i];
        (void)snprintf(bind->uid, sizeof bind->uid, "%.*s", MU_STR_ARGS(plan.pods[i]->uid));
        (void)snprintf(bind->node, sizeof bind->node, "%.*s", MU_STR_ARGS(plan.nodes[i]));
        bind->devices = plan.devices[i];
    }
    for (uint32_t v = 0; v < plan.victim_count; v++)
        (void)snprintf(kept->victims[v], sizeof kept->victims[v], "%.*s",
                       MU_STR_ARGS(plan.victims[v]->uid));
}

/* ---- at rest -------------------------------------------------------------------------------- */

/* Gangs of which it is not known who would leave a node: more of them are not gone into. */
#define OPEN_GANGS_MAX 6u

/* Who could leave a node for a pod: gangs as a whole where their highest is lower. Of a gang that
 * has surplus, and that could be all that it has on the node, one bit of `choice` says whether it
 * is whole or just that. Marks them in `cleared`; returns how many such gangs there are. */
static uint32_t clear_lower(struct mu_checker *c, struct mu_naive_world *w,
                            const struct mu_pod_object *pod, const struct mu_node_object *node,
                            uint32_t choice, bool *cleared)
{
    const struct plan none = {.pod_count = 0};
    uint32_t open = 0;
    for (uint32_t i = 0; i < w->pod_count; i++) {
        struct mu_pod_object *on = &w->pods[i];
        if (cleared[i] || !mu_str_equal(on->node_name, node->name) || mu_naive_terminal(on))
            continue;
        struct kin kin = kin_of(c, w, &none, on);
        if (kin.highest >= pod->priority || kin.spared)
            continue;
        struct mu_naive_gang g = mu_naive_gang_of(w, on, c->config.scheduler_name);
        uint32_t here = 0;
        for (uint32_t k = 0; k < w->pod_count; k++)
            here += !mu_naive_terminal(&w->pods[k]) && same_unit(c, &w->pods[k], on) &&
                    mu_str_equal(w->pods[k].node_name, node->name);
        bool either = is_ours(c, on) && g.size > 0 && !g.parts && g.bound >= g.size + here;
        bool whole = !either || (choice >> open & 1) != 0;
        open += either;
        for (uint32_t k = 0; k < w->pod_count; k++)
            cleared[k] =
                cleared[k] || (!mu_naive_terminal(&w->pods[k]) && w->pods[k].node_name.len > 0 &&
                               same_unit(c, &w->pods[k], on) &&
                               (whole || mu_str_equal(w->pods[k].node_name, node->name)));
    }
    return open;
}

static void leave_marked(struct mu_naive_world *w, const bool *marked, bool back)
{
    for (uint32_t k = 0; k < w->pod_count; k++)
        if (marked[k])
            leave(&w->pods[k], back);
}

/* Whether the node takes the pod once those have left who could, whichever of them are surplus. */
static bool would_take(struct mu_checker *c, struct mu_naive_world *w,
                       const struct mu_pod_object *pod, const struct mu_node_object *node,
                       bool *cleared)
{
    bool takes = true;
    for (uint32_t choice = 0, choices = 1; takes && choice < choices; choice++) {
        uint64_t devices;
        memset(cleared, 0, w->pod_count + 1);
        uint32_t open = clear_lower(c, w, pod, node, choice, cleared);
        if (open > OPEN_GANGS_MAX)
            return false;
        choices = 1u << open;
        leave_marked(w, cleared, false);
        takes = mu_naive_takes(w, node, pod, &devices);
        leave_marked(w, cleared, true);
    }
    return takes;
}

/* Lone pods only: there the answer is exact, node by node. */
void mu_checker_rest_preempt(struct mu_checker *c, struct mu_naive_world *w)
{
    bool *cleared = mu_arena_alloc(c->arena, w->pod_count + 1);
    MU_ASSERT(cleared != NULL);
    for (uint32_t i = 0; i < w->pod_count; i++) {
        const struct mu_pod_object *pod = &w->pods[i];
        if (pod->gang.source != MU_GANG_SOLO || pod->never_preempts ||
            !mu_naive_wants_node(pod, c->config.scheduler_name))
            continue;
        bool takes = false;
        for (uint32_t n = 0; !takes && n < w->node_count; n++)
            takes = would_take(c, w, pod, &w->nodes[n], cleared);
        if (takes)
            mu_checker_violate(c, "I8", "pod %.*s is pending at rest, and could preempt",
                               MU_STR_ARGS(pod->name));
    }
}
