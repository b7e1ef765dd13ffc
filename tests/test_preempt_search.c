/*
 * Preemption against exhaustive search on small clusters: every set of units is tried by placing
 * the gang with it gone. Checked: an answer places the gang and no proper subset of it would; where
 * there is none, nobody is evicted; what leaves already is enough exactly when the answer says so.
 * How far answers for gangs are from the best set is counted and printed.
 *
 * Lone pods against kube-scheduler's rules, written down once more over pods.
 */
#include "tests/preempt_rig.h"

#define UNITS_MAX 12u
#define GI        (INT64_C(1) << 30)

struct gap {
    uint64_t asked, found, best, none_missed, minimal_missed;
};

static uint32_t below(struct mu_test_run *run, uint32_t bound)
{
    return (uint32_t)mu_random_below(&run->random, bound);
}

static struct mu_class_ix draw_class(struct preempt_rig *rig, struct mu_test_run *run)
{
    return mu_cluster_plain_class(&rig->cluster, 1000 * (1 + below(run, 4)), GI * below(run, 4),
                                  below(run, 4) == 0 ? 1 : 0);
}

/* Nodes, and pods on them: some of gangs, some that leave, some spared. */
static void draw_pods(struct preempt_rig *rig, struct mu_test_run *run, bool gangs, uint32_t nodes,
                      uint32_t pods)
{
    uint32_t budgets = below(run, 3);
    struct mu_gang_ix of[3] = {{MU_NONE}, {MU_NONE}, {MU_NONE}};
    struct mu_kin_ix kins[3];
    rig_init(rig, nodes, 32);
    for (uint32_t n = 0; n < nodes; n++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", n);
        (void)mu_cluster_plain_node(&rig->cluster, name, 1000 * (3 + below(run, 5)),
                                    GI * (4 + below(run, 6)), 2 + below(run, 5), 2);
    }
    mu_crowd_init(&rig->crowd, &rig->cluster);
    for (uint32_t i = 0; i < 3; i++) {
        kins[i] = mu_crowd_kin(&rig->crowd);
        if (gangs)
            of[i] = mu_crowd_gang(&rig->crowd, below(run, 4) == 0 ? MU_GANG_SINGLE : 0,
                                  (int32_t)below(run, 3), 1 + below(run, 3), 0);
    }
    for (uint32_t b = 0; b < budgets; b++) {
        uint32_t budget = mu_crowd_budget(&rig->crowd, (int32_t)below(run, 3));
        for (uint32_t i = 0; i < 3; i++)
            if (below(run, 2) == 0)
                mu_crowd_cover(&rig->crowd, kins[i], budget);
    }
    for (uint32_t i = 0; i < pods; i++) {
        uint32_t row = below(run, nodes);
        struct mu_occupant o = {.class_ix = draw_class(rig, run),
                                .kin = kins[below(run, 3)],
                                .gang = {MU_NONE},
                                .priority = (int32_t)below(run, 4) - 1,
                                .started = below(run, 5) == 0 ? UINT32_MAX : below(run, 4)};
        if (mu_oracle_verdict(&rig->cluster.snapshot,
                              mu_model_get_class(rig->cluster.model, o.class_ix), row)
                .kind != MU_FITS)
            continue;
        if (gangs && below(run, 2) == 0)
            o.gang = of[below(run, 3)];
        if (gangs && below(run, 12) == 0)
            o.flags = MU_OCCUPANT_SPARED;
        if (gangs && o.gang.v == MU_NONE && below(run, 12) == 0)
            o.flags = MU_OCCUPANT_TERMINATING;
        if (o.gang.v != MU_NONE) {
            struct mu_gang_row *gang = &rig->cluster.snapshot.gangs[o.gang.v];
            gang->member_count++;
            gang->placed_count++;
            gang->bound_count++;
            o.priority = gang->priority;
        }
        (void)mu_crowd_add(&rig->crowd, row, o);
    }
}

static void draw_cluster(struct preempt_rig *rig, struct mu_test_run *run, bool gangs)
{
    uint32_t nodes = 1 + below(run, 5);
    draw_pods(rig, run, gangs, nodes, below(run, UNITS_MAX + 1));
}

/* A gang of some members of a class, or of up to three. */
static uint32_t draw_gang(struct preempt_rig *rig, struct mu_test_run *run, uint32_t members,
                          bool mixed)
{
    struct mu_cluster_member list[8];
    struct mu_class_ix classes[3] = {draw_class(rig, run), draw_class(rig, run),
                                     draw_class(rig, run)};
    const uint32_t kinds = 2 + below(run, 2);
    assert_true(members <= 8);
    for (uint32_t m = 0; m < members; m++)
        list[m] = (struct mu_cluster_member){classes[mixed ? m % kinds : 0], MU_NONE, 0};
    const struct mu_cluster_subgroup subgroup = {members, 0, members, list};
    const struct mu_cluster_gang gang = {.flags = MU_GANG_SETTLED,
                                         .priority = (int32_t)below(run, 4),
                                         .size = members,
                                         .subgroup_count = 1,
                                         .subgroups = &subgroup};
    return mu_cluster_gang(&rig->cluster, &gang);
}

/* ---- every set ---------------------------------------------------------------------------- */

/* The units that may leave for the gang, and which of them have to leave with another. */
struct sets {
    struct preempt_rig *rig;
    const struct mu_victims *victims;
    uint32_t count;
    uint32_t units[UNITS_MAX + 4];
    uint32_t violations[UNITS_MAX + 4];
};

static void sets_open(struct sets *sets, struct preempt_rig *rig, int32_t priority)
{
    struct mu_victims *v = &rig->preempt->victims;
    *sets = (struct sets){.rig = rig, .victims = v};
    for (uint32_t u = 0; u < v->unit_count; u++)
        if (mu_victim_below(&v->units[u], priority))
            sets->units[sets->count++] = u;
    /* by importance, for the budgets: the most important first */
    for (uint32_t i = 1; i < sets->count; i++)
        for (uint32_t j = i;
             j > 0 && mu_victim_more_important(v, sets->units[j], sets->units[j - 1]); j--) {
            uint32_t unit = sets->units[j];
            sets->units[j] = sets->units[j - 1];
            sets->units[j - 1] = unit;
        }
    for (uint32_t i = 0; i < sets->count; i++)
        sets->violations[i] = mu_victims_classify(v, sets->units[i]);
    mu_victims_classified(v);
}

/* Whole gangs take their surplus along. */
static bool is_valid(const struct sets *sets, uint32_t set)
{
    for (uint32_t i = 0; i < sets->count; i++) {
        const struct mu_victim_unit *u = &sets->victims->units[sets->units[i]];
        if ((set >> i & 1) != 0 || (u->flags & MU_VICTIM_SURPLUS) == 0)
            continue;
        for (uint32_t j = 0; j < sets->count; j++)
            if ((set >> j & 1) != 0 && sets->units[j] == u->whole)
                return false;
    }
    return true;
}

/* Whether the gang is placed with the set gone. */
static bool is_enough(const struct sets *sets, uint32_t set)
{
    struct preempt_rig *rig = sets->rig;
    bool done;
    mu_place_trial(rig->place);
    assert_int_equal(mu_preempt_evict_leaving(rig->preempt, rig->place), 0);
    for (uint32_t i = 0; i < sets->count; i++)
        if ((set >> i & 1) != 0)
            assert_int_equal(mu_preempt_evict_unit(rig->preempt, rig->place, sets->units[i]), 0);
    assert_int_equal(rig_lay(rig, &done), 0);
    mu_place_rollback(rig->place);
    return done;
}

static struct mu_preempt_cost cost_of(const struct sets *sets, uint32_t set)
{
    struct mu_preempt_cost cost = {.priority = INT32_MIN, .started = UINT32_MAX};
    for (uint32_t i = 0; i < sets->count; i++) {
        const struct mu_victim_unit *u = &sets->victims->units[sets->units[i]];
        if ((set >> i & 1) == 0)
            continue;
        cost.violations += sets->violations[i];
        cost.weight += u->weight;
        cost.pods += u->count;
        if (u->priority > cost.priority ||
            (u->priority == cost.priority && u->started < cost.started))
            cost.started = u->started;
        cost.priority = u->priority > cost.priority ? u->priority : cost.priority;
    }
    return cost;
}

static uint32_t set_of(const struct sets *sets, const struct mu_preempt_found *found)
{
    uint32_t set = 0, pods = 0;
    for (uint32_t i = 0; i < sets->count; i++) {
        const struct mu_victim_unit *u = &sets->victims->units[sets->units[i]];
        uint32_t there = 0;
        for (uint32_t n = u->begin; n < u->begin + u->count; n++)
            for (uint32_t e = 0; e < found->evict_count; e++)
                there += found->evicts[e].pod.v ==
                         mu_victim_occupant(sets->victims, &sets->victims->pods[n])->pod.v;
        assert_true(there == 0 || there == u->count); /* whole units */
        set |= (there > 0 ? 1u : 0u) << i;
        pods += there;
    }
    assert_int_equal(pods, found->cost.pods);
    return set;
}

static void check(struct mu_test_run *run, struct preempt_rig *rig, uint32_t gang, bool monotone,
                  struct gap *gap)
{
    struct mu_preempt_found found;
    struct sets sets;
    bool done;
    (void)rig_ask(rig, gang);
    assert_int_equal(rig_lay(rig, &done), 0);
    if (done) /* nothing to ask for */
        return;
    assert_int_equal(rig_find(rig, gang, &found), 0);
    if (!rig->preempt->built)
        return;
    gap->asked++;
    sets_open(&sets, rig, rig->cluster.snapshot.gangs[gang].priority);
    MU_TEST_CHECK(run, sets.count <= UNITS_MAX);
    MU_TEST_CHECK(run, (found.outcome == MU_PREEMPT_WAIT) == is_enough(&sets, 0));
    if (found.outcome == MU_PREEMPT_WAIT)
        return;
    uint32_t best = 0;
    bool any = false;
    for (uint32_t set = 1; set < 1u << sets.count; set++) {
        const struct mu_preempt_cost one = cost_of(&sets, set), first = cost_of(&sets, best);
        if (is_valid(&sets, set) && (!any || mu_preempt_cheaper(&one, &first)) &&
            is_enough(&sets, set)) {
            best = set;
            any = true;
        }
    }
    if (found.outcome != MU_PREEMPT_FOUND) {
        gap->none_missed += any;
        MU_TEST_CHECK(run, !any || !monotone);
        return;
    }
    uint32_t set = set_of(&sets, &found);
    MU_TEST_CHECK(run, any && is_valid(&sets, set) && is_enough(&sets, set));
    gap->found++;
    bool minimal = true;
    for (uint32_t part = (set - 1) & set; set != 0 && part != 0; part = (part - 1) & set)
        minimal = minimal && (!is_valid(&sets, part) || !is_enough(&sets, part));
    gap->minimal_missed += !minimal;
    MU_TEST_CHECK(run, minimal || !monotone);
    struct mu_preempt_cost got = cost_of(&sets, set), want = cost_of(&sets, best);
    bool is_best = !mu_preempt_cheaper(&want, &got);
    gap->best += is_best;
    MU_TEST_CHECK(run, is_best || !monotone);
}

static void run_search(uint64_t seed, uint32_t steps, bool mixed, struct gap *gap)
{
    struct mu_test_run run = mu_test_run_begin(seed);
    for (run.step = 0; run.step < steps; run.step++) {
        struct preempt_rig rig;
        draw_pods(&rig, &run, true, 1 + below(&run, 7), below(&run, UNITS_MAX + 1));
        uint32_t gang = draw_gang(&rig, &run, 2 + below(&run, mixed ? 5 : 3), mixed);
        if (below(&run, 2) == 0) /* many may be evicted */
            rig.cluster.snapshot.gangs[gang].priority = 3;
        rig_open(&rig);
        check(&run, &rig, gang, !mixed, gap);
        rig_close(&rig);
    }
}

static void gap_print(const char *what, const struct gap *gap)
{
    print_message("%s: %llu gangs asked, %llu found victims, %llu of them the best set (%.1f %%); "
                  "%llu sets missed, %llu not minimal\n",
                  what, (unsigned long long)gap->asked, (unsigned long long)gap->found,
                  (unsigned long long)gap->best,
                  gap->found > 0 ? 100.0 * (double)gap->best / (double)gap->found : 100.0,
                  (unsigned long long)gap->none_missed, (unsigned long long)gap->minimal_missed);
}

static void test_preempt_find__one_class__the_best_of_all_sets(void **state)
{
    (void)state;
    struct gap gap = {0};
    run_search(1, 2000, false, &gap);
    gap_print("one class", &gap);
    assert_true(gap.found > 100);
}

static void test_preempt_find__several_classes__places_and_spares(void **state)
{
    (void)state;
    struct gap gap = {0};
    run_search(2, 2000, true, &gap);
    gap_print("two and three classes", &gap);
    assert_true(gap.found > 100);
    assert_true(gap.best * 100 >= gap.found * 98);
}

/* ---- one pod, as kube-scheduler does it ---------------------------------------------------- */

/* A victim on a node: everything that the rules look at. */
struct kube_pod {
    const struct mu_occupant *o;
    bool violates, victim;
};
struct kube_node {
    uint32_t violations, count, started;
    int32_t highest;
    int64_t sum;
};

static bool kube_more_important(const struct mu_occupant *a, const struct mu_occupant *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->started < b->started;
}

/* Whether the pod fits with these left on the node. */
static bool kube_fits(const struct mu_snapshot *s, const struct mu_class *class_, uint32_t row,
                      const struct kube_pod *pods, uint32_t count)
{
    for (uint32_t d = 0; d <= class_->demand_count; d++) {
        uint32_t r = d < class_->demand_count ? class_->demands[d].resource.v : MU_RES_PODS;
        int64_t need = d < class_->demand_count ? class_->demands[d].amount : 1;
        int64_t room = s->free[r][row];
        for (uint32_t i = 0; i < count; i++)
            room += pods[i].victim
                        ? mu_row_amount(mu_model_get_class(s->model, pods[i].o->class_ix), r)
                        : 0;
        if (room < need)
            return false;
    }
    return true;
}

/* Steps 3 and 4: by importance, and which of them violate a budget. */
static void kube_classify(const struct mu_snapshot *s, struct kube_pod *pods, uint32_t count)
{
    int32_t left[MU_CROWD_BUDGETS_MAX];
    for (uint32_t b = 0; b < s->budget_count; b++)
        left[b] = s->budgets[b].allowed;
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = i; j > 0 && kube_more_important(pods[j].o, pods[j - 1].o); j--) {
            struct kube_pod moved = pods[j];
            pods[j] = pods[j - 1];
            pods[j - 1] = moved;
        }
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_kin_budgets *of =
            pods[i].o->kin.v < s->kin_budgets_count ? s->kin_budgets[pods[i].o->kin.v] : NULL;
        for (uint32_t b = 0; of != NULL && b < of->count; b++)
            pods[i].violates = --left[of->budgets[b]] < 0 || pods[i].violates;
    }
}

/* The victims on one node; false: it is no candidate. */
static bool kube_victims(const struct mu_snapshot *s, const struct mu_class *class_, uint32_t row,
                         int32_t priority, struct kube_node *out)
{
    struct kube_pod pods[UNITS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; s->occupants[row] != NULL && i < s->occupants[row]->count; i++)
        if (s->occupants[row]->pods[i].priority < priority)
            pods[count++] = (struct kube_pod){&s->occupants[row]->pods[i], false, true};
    if (count == 0 || !kube_fits(s, class_, row, pods, count))
        return false;
    kube_classify(s, pods, count);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < count; i++) {
            if (pods[i].violates != (pass == 0))
                continue;
            pods[i].victim = false;
            pods[i].victim = !kube_fits(s, class_, row, pods, count);
        }
    *out = (struct kube_node){.highest = INT32_MIN, .started = UINT32_MAX};
    for (uint32_t i = 0; i < count; i++) {
        if (!pods[i].victim)
            continue;
        out->violations += pods[i].violates;
        out->sum += (int64_t)pods[i].o->priority + (INT64_C(1) << 31);
        out->count++;
        out->highest = pods[i].o->priority > out->highest ? pods[i].o->priority : out->highest;
    }
    for (uint32_t i = 0; i < count; i++)
        if (pods[i].victim && pods[i].o->priority == out->highest &&
            pods[i].o->started < out->started)
            out->started = pods[i].o->started;
    return out->count > 0;
}

static bool kube_better(const struct kube_node *a, const struct kube_node *b)
{
    if (a->violations != b->violations)
        return a->violations < b->violations;
    if (a->highest != b->highest)
        return a->highest < b->highest;
    if (a->sum != b->sum)
        return a->sum < b->sum;
    return a->count != b->count ? a->count < b->count : a->started > b->started;
}

/* The answer is on a node than which kube-scheduler has no better one, and is its choice there.
 * False: there is no answer. */
static bool kube_check(struct mu_test_run *run, struct preempt_rig *rig, uint32_t gang,
                       uint32_t *candidates)
{
    const struct mu_snapshot *s = &rig->cluster.snapshot;
    const struct mu_class *class_ =
        mu_model_get_class(s->model, s->gangs[gang].block->members[0].class_ix);
    struct mu_preempt_found found;
    struct kube_node best = {.count = 0}, one;
    bool any = false;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if (kube_fits(s, class_, row, NULL, 0))
            return false; /* there is room: nothing to ask for */
        if (!kube_victims(s, class_, row, s->gangs[gang].priority, &one))
            continue;
        ++*candidates;
        if (!any || kube_better(&one, &best))
            best = one;
        any = true;
    }
    assert_int_equal(rig_find(rig, gang, &found), 0);
    MU_TEST_CHECK(run, any == (found.outcome == MU_PREEMPT_FOUND));
    if (!any)
        return false;
    MU_TEST_CHECK(run, kube_victims(s, class_, rig->nodes[0], s->gangs[gang].priority, &one));
    MU_TEST_CHECK(run, !kube_better(&best, &one) && found.evicts[0].node.v == rig->nodes[0]);
    MU_TEST_CHECK(run, found.cost.violations == one.violations && found.cost.pods == one.count &&
                           found.cost.priority == one.highest && found.cost.weight == one.sum &&
                           found.cost.started == one.started);
    return true;
}

static void test_preempt_find__lone_pod__kube_schedulers_choice(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(3);
    uint32_t candidates = 0;
    for (run.step = 0; run.step < 5000; run.step++) {
        struct preempt_rig rig;
        uint32_t gangs[4];
        draw_cluster(&rig, &run, false);
        for (uint32_t i = 0; i < 4; i++)
            gangs[i] = draw_gang(&rig, &run, 1, false);
        rig_open(&rig);
        for (uint32_t i = 0; i < 4; i++)
            (void)kube_check(&run, &rig, gangs[i], &candidates);
        rig_close(&rig);
    }
    assert_true(candidates > 1000);
}

/* Of so many candidates kube-scheduler looks no further: a tenth of the nodes, at least 100, and on
 * until one violates no budget. Where it begins is random there. */
static struct kube_node kube_pick(const struct mu_snapshot *s, const struct mu_class *class_,
                                  int32_t priority, uint32_t offset)
{
    uint32_t limit = s->node_rows / 10 > 100 ? s->node_rows / 10 : 100;
    uint32_t candidates = 0, clean = 0;
    struct kube_node best = {.count = 0}, one;
    for (uint32_t i = 0; i < s->node_rows && (candidates < limit || clean == 0); i++) {
        if (!kube_victims(s, class_, (offset + i) % s->node_rows, priority, &one))
            continue;
        if (candidates == 0 || kube_better(&one, &best))
            best = one;
        candidates++;
        clean += one.violations == 0;
    }
    return best;
}

/* Up to 100 candidates its choice is ours wherever it begins; of more ours is never worse. */
static void test_preempt_find__lone_pod_many_nodes__never_worse_than_kube_scheduler(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(5);
    uint32_t better = 0, equal = 0;
    for (run.step = 0; run.step < 60; run.step++) {
        struct preempt_rig rig;
        uint32_t nodes = run.step % 2 == 0 ? 100 : 250, candidates = 0;
        draw_pods(&rig, &run, false, nodes, 8 * nodes);
        uint32_t gang = draw_gang(&rig, &run, 1, false);
        rig.cluster.snapshot.gangs[gang].priority = 3;
        rig_open(&rig);
        if (kube_check(&run, &rig, gang, &candidates)) {
            const struct mu_snapshot *s = &rig.cluster.snapshot;
            const struct mu_class *class_ =
                mu_model_get_class(s->model, s->gangs[gang].block->members[0].class_ix);
            struct kube_node ours;
            MU_TEST_CHECK(&run, kube_victims(s, class_, rig.nodes[0], 3, &ours));
            for (uint32_t offset = 0; offset < nodes; offset += 7) {
                struct kube_node theirs = kube_pick(s, class_, 3, offset);
                MU_TEST_CHECK(&run, !kube_better(&theirs, &ours));
                MU_TEST_CHECK(&run, candidates > 100 || !kube_better(&ours, &theirs));
                better += kube_better(&ours, &theirs);
                equal += !kube_better(&ours, &theirs);
            }
        }
        rig_close(&rig);
    }
    print_message("lone pods on 100 and 250 nodes: as kube-scheduler %u times, better %u times\n",
                  equal, better);
    assert_true(equal > 100 && better > 0);
}

/* ---- a session of them -------------------------------------------------------------------- */

/* What was found, as a number. */
static uint64_t answers(struct preempt_rig *rig, const uint32_t *gangs, uint32_t count, bool anew)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct mu_preempt_found found;
        bool done;
        if (anew)
            mu_preempt_drop_caches(rig->preempt);
        (void)rig_ask(rig, gangs[i]);
        assert_int_equal(rig_lay(rig, &done), 0);
        hash = hash * 31 + done;
        if (done) /* it stays placed */
            continue;
        assert_int_equal(rig_find(rig, gangs[i], &found), 0);
        hash = hash * 31 + found.outcome;
        for (uint32_t e = 0; e < found.evict_count; e++)
            hash = hash * 31 + found.evicts[e].pod.v * 2 + found.evicts[e].flags;
        if (found.outcome == MU_PREEMPT_FOUND)
            assert_int_equal(rig_commit(rig, gangs[i]), 0);
    }
    return hash;
}

/* Many preemptors of several classes, alone and in gangs, of one class or of two, get the same in
 * one session with everything that is known forgotten in between. */
static void test_preempt_find__caches_dropped__the_same_answers(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(4);
    for (run.step = 0; run.step < 3000; run.step++) {
        struct preempt_rig rig;
        uint32_t gangs[12];
        draw_cluster(&rig, &run, true);
        struct mu_class_ix classes[4];
        for (uint32_t c = 0; c < 4; c++)
            classes[c] = draw_class(&rig, &run);
        for (uint32_t i = 0; i < 12; i++) {
            uint32_t members = below(&run, 3) > 0 ? 1 : 1 + below(&run, 3);
            gangs[i] =
                members > 1 && below(&run, 2) == 0
                    ? draw_gang(&rig, &run, members, true)
                    : rig_gang(&rig, classes[below(&run, 4)], members, 1 + (int32_t)below(&run, 3));
        }
        rig_open(&rig);
        uint64_t first = answers(&rig, gangs, 12, false);
        mu_place_end(rig.place);
        mu_place_begin(rig.place, &rig.cluster.snapshot);
        mu_preempt_begin(rig.preempt, &rig.cluster.snapshot, 0);
        MU_TEST_CHECK(&run, answers(&rig, gangs, 12, true) == first);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preempt_find__one_class__the_best_of_all_sets),
        cmocka_unit_test(test_preempt_find__several_classes__places_and_spares),
        cmocka_unit_test(test_preempt_find__lone_pod__kube_schedulers_choice),
        cmocka_unit_test(test_preempt_find__lone_pod_many_nodes__never_worse_than_kube_scheduler),
        cmocka_unit_test(test_preempt_find__caches_dropped__the_same_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
