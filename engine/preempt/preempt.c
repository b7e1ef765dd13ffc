#include "engine/preempt/preempt_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

#define ARENA_BYTES_MAX ((size_t)4 << 30)

/* ---- lifetime ----------------------------------------------------------------------------- */

struct mu_preempt *mu_preempt_create(const struct mu_preempt_config *config)
{
    struct mu_preempt *p = mu_mem_zalloc(sizeof *p);
    if (p == NULL)
        return NULL;
    p->config = *config;
    if (p->config.steps_max == 0)
        p->config.steps_max = MU_PREEMPT_SEARCH_STEPS;
    if (p->config.run_steps == 0)
        p->config.run_steps = MU_PREEMPT_RUN_STEPS;
    mu_victims_init(&p->victims);
    p->arena = mu_arena_create(ARENA_BYTES_MAX);
    if (p->arena == NULL) {
        mu_preempt_destroy(p);
        return NULL;
    }
    return p;
}

void mu_preempt_destroy(struct mu_preempt *preempt)
{
    if (preempt == NULL)
        return;
    for (uint32_t h = 0; h < MU_PREEMPT_HEAPS; h++) {
        mu_mem_free(preempt->heaps[h].stamps);
        mu_mem_free(preempt->heaps[h].rows);
    }
    mu_victims_fini(&preempt->victims);
    mu_arena_destroy(preempt->arena);
    mu_mem_free(preempt->memos);
    mu_mem_free(preempt->touched);
    mu_mem_free(preempt->row_units);
    mu_mem_free(preempt->chosen);
    mu_mem_free(preempt->marks);
    mu_mem_free(preempt->picked);
    mu_mem_free(preempt->violations);
    mu_mem_free(preempt);
}

void mu_preempt_begin(struct mu_preempt *preempt, const struct mu_snapshot *snapshot,
                      uint32_t now_s)
{
    if (preempt->model_serial != mu_model_serial(snapshot->model))
        mu_preempt_drop_caches(preempt);
    preempt->model_serial = mu_model_serial(snapshot->model);
    preempt->snapshot = snapshot;
    preempt->now_s = now_s;
    preempt->session++;
    preempt->built = false;
    preempt->touched_count = 0;
    preempt->chosen_count = 0;
    preempt->spent = preempt->spent_in_turn = 0;
    preempt->turn = preempt->next_turn;
    preempt->asked = preempt->next_turn = 0;
}

void mu_preempt_drop_caches(struct mu_preempt *preempt)
{
    for (uint32_t g = 0; g < preempt->memo_cap; g++)
        preempt->memos[g].none = false;
    for (uint32_t n = 0; n < MU_PREEMPT_NONES; n++)
        preempt->nones[n].session = 0;
    for (uint32_t h = 0; h < MU_PREEMPT_HEAPS; h++)
        preempt->heaps[h].session = 0;
}

void mu_preempt_counts(const struct mu_preempt *preempt, struct mu_preempt_counts *out)
{
    *out = preempt->counts;
}

/* ---- costs and answers -------------------------------------------------------------------- */

void mu_cost_init(struct mu_preempt_cost *cost)
{
    *cost = (struct mu_preempt_cost){.priority = INT32_MIN, .started = UINT32_MAX};
}

void mu_cost_add(struct mu_preempt_cost *cost, const struct mu_victim_unit *unit,
                 uint32_t violations)
{
    if (cost->pods == 0 || unit->priority > cost->priority)
        cost->started = unit->started;
    else if (unit->priority == cost->priority && unit->started < cost->started)
        cost->started = unit->started;
    cost->priority =
        cost->pods == 0 || unit->priority > cost->priority ? unit->priority : cost->priority;
    cost->violations += violations;
    cost->weight += unit->weight;
    cost->pods += unit->count;
}

bool mu_preempt_cheaper(const struct mu_preempt_cost *a, const struct mu_preempt_cost *b)
{
    if (a->violations != b->violations)
        return a->violations < b->violations;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->weight != b->weight)
        return a->weight < b->weight;
    if (a->pods != b->pods)
        return a->pods < b->pods;
    return a->started > b->started;
}

void mu_preempt_choose_none(struct mu_preempt *p)
{
    while (p->chosen_count > 0)
        p->picked[p->chosen[--p->chosen_count]] = 0;
}

int mu_preempt_choose(struct mu_preempt *p, uint32_t unit)
{
    const struct mu_victim_unit *u = &p->victims.units[unit];
    uint32_t along = (u->flags & MU_VICTIM_WHOLE) != 0 ? u->surplus_count : 0;
    void *array = p->chosen;
    if (mu_mem_grow(&array, &p->chosen_cap, p->chosen_count + 1 + along, MU_PODS_MAX,
                    sizeof *p->chosen) != 0)
        return MU_ENOMEM;
    p->chosen = array;
    for (uint32_t i = 0; i <= along; i++) {
        uint32_t one = i == 0 ? unit : u->whole + i - 1;
        if (p->picked[one] || !mu_victim_below(&p->victims.units[one], INT32_MAX))
            continue;
        p->picked[one] = 1;
        p->chosen[p->chosen_count++] = one;
    }
    return 0;
}

int mu_preempt_evict_unit(struct mu_preempt *p, struct mu_place *place, uint32_t unit)
{
    const struct mu_victims *v = &p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    int error = 0;
    for (uint32_t i = u->begin; i < u->begin + u->count && error == 0; i++)
        error = mu_place_evict(place, (struct mu_node_ix){v->pods[i].row},
                               mu_victim_occupant(v, &v->pods[i]));
    return error;
}

int mu_preempt_evict_leaving(struct mu_preempt *p, struct mu_place *place)
{
    const struct mu_victims *v = &p->victims;
    int error = 0;
    for (uint32_t i = 0; i < v->leaving_count && error == 0; i++) {
        const struct mu_victim_pod *pod = &v->pods[v->leaving[i]];
        error = mu_place_evict(place, (struct mu_node_ix){pod->row}, mu_victim_occupant(v, pod));
    }
    return error;
}

/* ---- what is known ------------------------------------------------------------------------ */

static bool memo_recall(const struct mu_preempt *p, const struct mu_preempt_gang *gang)
{
    const struct mu_snapshot *s = p->snapshot;
    if (gang->ask->gang.v >= p->memo_cap)
        return false;
    const struct mu_preempt_memo *memo = &p->memos[gang->ask->gang.v];
    if (!memo->none)
        return false;
    bool same = memo->generation == gang->row->generation &&
                memo->revision == gang->row->revision &&
                memo->static_generation == s->static_generation &&
                memo->term_generation == s->term_generation &&
                memo->occupant_generation == s->occupant_generation &&
                (p->config.min_run_s == 0 || memo->now_s == p->now_s);
    if (memo->shrinks)
        return same && memo->capacity_generation == s->capacity_generation;
    return same && memo->snapshot_generation == s->generation &&
           mu_place_untouched(gang->ask->place);
}

static struct mu_preempt_none *none_of(struct mu_preempt *p, const struct mu_preempt_gang *gang)
{
    return &p->nones[gang->pod.class_ix.v % MU_PREEMPT_NONES];
}

struct mu_preempt_memo *mu_preempt_memo(struct mu_preempt *p, const struct mu_preempt_gang *gang)
{
    const uint32_t ix = gang->ask->gang.v;
    void *array = p->memos;
    uint32_t cap = p->memo_cap;
    if (mu_mem_grow(&array, &cap, ix + 1, MU_GANGS_MAX, sizeof *p->memos) != 0)
        return NULL;
    p->memos = array;
    if (cap > p->memo_cap)
        memset(&p->memos[p->memo_cap], 0, (cap - p->memo_cap) * sizeof *p->memos);
    p->memo_cap = cap;
    return &p->memos[ix];
}

/* Best effort: without memory it is not remembered. */
static void memo_remember(struct mu_preempt *p, const struct mu_preempt_gang *gang)
{
    const struct mu_snapshot *s = p->snapshot;
    if (gang->uniform)
        *none_of(p, gang) =
            (struct mu_preempt_none){.session = p->session,
                                     .class_ix = gang->pod.class_ix.v,
                                     .touched = p->touched_count,
                                     .need = gang->need,
                                     .pack_key = gang->row->pack_key.v,
                                     .flags = gang->row->flags & MU_GANG_PACK_REQUIRED,
                                     .priority = gang->row->priority};
    struct mu_preempt_memo *memo = mu_preempt_memo(p, gang);
    if (memo == NULL || !mu_place_untouched(gang->ask->place) || p->touched_count > 0)
        return;
    *memo = (struct mu_preempt_memo){
        .none = true,
        .shrinks = gang->uniform || p->refuted,
        .generation = gang->row->generation,
        .revision = gang->row->revision,
        .static_generation = s->static_generation,
        .capacity_generation = s->capacity_generation,
        .term_generation = s->term_generation,
        .occupant_generation = s->occupant_generation,
        .snapshot_generation = s->generation,
        .now_s = p->now_s,
    };
}

/* A gang of one class asks for no less than one that nobody could help in this session, and may do
 * no more. Room only shrinks in a session, but for what victims leave to those of a priority that
 * could not have made them leave: for one pod their rows are looked at. */
static bool none_recall(struct mu_preempt *p, const struct mu_preempt_gang *gang)
{
    struct mu_preempt_none *last = none_of(p, gang);
    bool same = gang->uniform && last->session == p->session &&
                last->class_ix == gang->pod.class_ix.v && last->need <= gang->need &&
                last->pack_key == gang->row->pack_key.v &&
                last->flags == (gang->row->flags & MU_GANG_PACK_REQUIRED) &&
                last->priority >= gang->row->priority;
    if (!same || last->touched == p->touched_count)
        return same;
    if (last->need != 1 || last->priority != gang->row->priority ||
        !mu_preempt_lone_none(p, gang, last->touched))
        return false;
    last->touched = p->touched_count;
    return true;
}

/* Whether the run has steps for one more search; *in_turn: of those that are for gangs which went
 * without. */
static bool turn_comes(struct mu_preempt *p, bool *in_turn)
{
    const uint32_t half = p->config.run_steps / 2, number = p->asked++;
    *in_turn = p->spent >= half;
    if (!*in_turn)
        return true;
    if (number < p->turn)
        return false;
    if (p->spent_in_turn < half)
        return true;
    if (p->next_turn == 0)
        p->next_turn = number;
    return false;
}

/* ---- which way ---------------------------------------------------------------------------- */

/* False: no node has what the gang's members ask for. */
static bool gang_see(const struct mu_preempt *p, const struct mu_preempt_ask *ask,
                     struct mu_preempt_gang *out)
{
    const struct mu_snapshot *s = p->snapshot;
    const struct mu_gang_row *row = &s->gangs[ask->gang.v];
    const struct mu_gang_block *block = row->block;
    *out = (struct mu_preempt_gang){
        .ask = ask, .row = row, .uniform = true, .member = MU_NONE, .steps = p->config.steps_max};
    MU_ASSERT(block != NULL && block->member_count > 0);
    for (uint32_t g = 0; g < block->subgroup_count; g++)
        out->need += mu_gang_subgroup_need(&block->subgroups[g]);
    if (ask->size > row->placed_count + out->need)
        out->need = ask->size - row->placed_count;
    out->pod = (struct mu_place_pod){block->members[0].class_ix, block->members[0].kin};
    bool held = false, possible = out->need > 0 && out->need <= block->member_count;
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *member = &block->members[m];
        const struct mu_class *class_ = mu_model_get_class(s->model, member->class_ix);
        bool lacking = class_->impossible;
        for (uint32_t d = 0; d < class_->demand_count; d++)
            lacking = lacking || class_->demands[d].resource.v >= s->resource_count;
        possible = possible && !(lacking && out->need == block->member_count);
        held = held || member->held.v != MU_NONE;
        out->uniform = out->uniform && !lacking && !held &&
                       member->class_ix.v == out->pod.class_ix.v &&
                       !mu_terms_concern(s, member->class_ix, member->kin);
    }
    if (block->member_count == 1 && !held)
        out->member = 0;
    /* On a part of the nodes, or beside those that are kept for others: the layout knows which. */
    bool within = mu_place_is_within(ask->place);
    if (within)
        out->member = MU_NONE;
    out->uniform = out->uniform && s->nominated_count == 0 && !within;
    return possible;
}

/* By the real placement, with the chosen units and who leaves already gone. The one pod that was
 * found a row takes it. */
static int prove(struct mu_preempt *p, const struct mu_preempt_gang *gang, uint32_t row, bool *done)
{
    struct mu_place *place = gang->ask->place;
    struct mu_victims *v = &p->victims;
    const bool direct = row != MU_NONE;
    int error = 0;
    *done = false;
    mu_place_trial(place);
    if (!direct)
        error = mu_preempt_evict_leaving(p, place);
    for (uint32_t i = v->row_begin[direct ? row : 0];
         direct && error == 0 && i < v->row_begin[row + 1]; i++) {
        const struct mu_victim_pod *pod = &v->pods[v->row_pods[i]];
        if ((v->units[pod->unit].flags & MU_VICTIM_LEAVING) != 0)
            error = mu_place_evict(place, (struct mu_node_ix){row}, mu_victim_occupant(v, pod));
    }
    for (uint32_t i = 0; i < p->chosen_count && error == 0; i++)
        error = mu_preempt_evict_unit(p, place, p->chosen[i]);
    if (error == 0 && !direct)
        error = gang->ask->lay(gang->ask->context, done);
    if (error == 0 && direct) {
        struct mu_verdict verdict;
        error = mu_place_verdict(place, gang->pod, (struct mu_node_ix){row}, &verdict);
        *done = error == 0 && verdict.kind == MU_FITS;
        if (*done)
            error = mu_place_take(place, gang->pod, (struct mu_node_ix){row});
        gang->ask->nodes[0] = row;
        gang->ask->devices[0] = mu_place_devices(place);
    }
    mu_place_rollback(place);
    return error;
}

/* One pod that was found a row in numbers, with all that placing would look at: the rules that no
 * pod's leaving changes are in the class's mask, amounts are the numbers. Where devices are chosen
 * one by one, placing says which. */
static int prove_lone(struct mu_preempt *p, const struct mu_preempt_gang *gang, uint32_t row,
                      bool *done)
{
    const struct mu_snapshot *s = p->snapshot;
    if (MU_VERIFY_ON || (s->devices != NULL && s->devices[row].count > 0))
        return prove(p, gang, row, done);
    gang->ask->nodes[0] = row;
    gang->ask->devices[0] = 0;
    *done = true;
    return 0;
}

static int search(struct mu_preempt *p, struct mu_preempt_gang *gang,
                  enum mu_preempt_outcome *outcome)
{
    uint32_t row = MU_NONE;
    bool proved = false, lone = gang->need == 1 && (gang->member == 0 || gang->uniform);
    bool concerned = lone && (p->snapshot->nominated_count > 0 ||
                              mu_terms_concern(p->snapshot, gang->pod.class_ix, gang->pod.kin));
    int error = 0;
    bool enough = true;
    *outcome = MU_PREEMPT_NONE;
    if (!lone && gang->uniform)
        error =
            mu_row_enough(p, gang->ask->place, gang->pod, gang->row->priority, gang->need, &enough);
    if (error != 0 || !enough)
        return error;
    if (lone)
        error = mu_preempt_lone(p, gang, outcome, &row);
    else if (gang->uniform)
        error = mu_preempt_slots(p, gang, outcome);
    if (gang->member == MU_NONE || (gang->row->flags & MU_GANG_PACK_REQUIRED) != 0)
        row = MU_NONE;
    if (error == 0 && (lone || gang->uniform)) {
        if (*outcome == MU_PREEMPT_FOUND && row != MU_NONE && !concerned)
            error = prove_lone(p, gang, row, &proved);
        else if (*outcome == MU_PREEMPT_FOUND)
            error = prove(p, gang, row, &proved);
        else
            proved = *outcome == MU_PREEMPT_WAIT || !concerned || gang->member == 0;
    }
    MU_VERIFY(error != 0 || proved || concerned || row == MU_NONE);
    if (error != 0 || proved)
        return error;
    error = mu_preempt_mixed(p, gang, outcome);
    if (error == 0 && *outcome == MU_PREEMPT_FOUND) {
        error = prove(p, gang, MU_NONE, &proved);
        if (error == 0 && !proved) /* a layout that depends on more than what is there */
            *outcome = MU_PREEMPT_NONE;
    }
    return error;
}

/* ---- the answer --------------------------------------------------------------------------- */

static struct mu_plan_evict evict_of(const struct mu_victims *v, uint32_t pod, uint32_t flags)
{
    const struct mu_occupant *o = mu_victim_occupant(v, &v->pods[pod]);
    return (struct mu_plan_evict){.pod = o->pod,
                                  .check = o->check,
                                  .node = {v->pods[pod].row},
                                  .gang = o->gang,
                                  .flags = flags};
}

/* Where the gang goes to a row that somebody leaves already, and would not fit there without that
 * one's room, it waits for who leaves. Where rules about other pods concern it, any pod that they
 * count can be what kept it out, on whatever row. */
struct reliance {
    uint32_t count;
    uint32_t *pods; /* that leave, by number, in the order in which they do */
};

/* A member on its row. */
struct seat {
    uint32_t row, member;
};

static int compare_seats(const void *left, const void *right)
{
    const struct seat *a = left, *b = right;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->member > b->member) - (a->member < b->member);
}

static bool is_leaving(const struct mu_victims *v, uint32_t pod)
{
    return (v->units[v->pods[pod].unit].flags & MU_VICTIM_LEAVING) != 0;
}

/* Whether these members, all on one row, need more of it than is free once the victims have left.
 * Who has which devices is not looked at: who asks for some of a row that tracks them relies on
 * all that leave it. */
static bool seats_rely(const struct mu_preempt *p, const struct mu_preempt_gang *gang,
                       const struct seat *seats, uint32_t count)
{
    const struct mu_snapshot *s = p->snapshot;
    const struct mu_victims *v = &p->victims;
    const uint32_t row = seats[0].row;
    bool tracked = s->devices != NULL && s->devices[row].count > 0;
    int64_t lacking[MU_RESOURCES_MAX];
    for (uint32_t d = 0; d < s->resource_count; d++)
        lacking[d] = -s->free[d][row];
    for (uint32_t i = v->row_begin[row]; i < v->row_begin[row + 1]; i++) {
        const struct mu_victim_pod *pod = &v->pods[v->row_pods[i]];
        const struct mu_class *class_ =
            mu_model_get_class(s->model, mu_victim_occupant(v, pod)->class_ix);
        for (uint32_t d = 0; p->picked[pod->unit] != 0 && d < s->resource_count; d++)
            lacking[d] -= mu_row_amount(class_, d);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_class *class_ =
            mu_model_get_class(s->model, gang->row->block->members[seats[i].member].class_ix);
        for (uint32_t d = 0; d < s->resource_count; d++)
            lacking[d] += mu_row_amount(class_, d);
        if (tracked && mu_device_ask(&s->devices[row], s->share_resource, class_).count > 0)
            return true;
    }
    bool relies = false;
    for (uint32_t d = 0; d < s->resource_count; d++)
        relies = relies || lacking[d] > 0;
    return relies;
}

static int compare_order_of_leaving(const void *left, const void *right, void *context)
{
    const struct mu_victim_pod *pods = context;
    uint32_t a = pods[*(const uint32_t *)left].left, b = pods[*(const uint32_t *)right].left;
    return (a > b) - (a < b);
}

/* The members that have a row, by row. */
static uint32_t seats_list(const struct mu_preempt_gang *gang, struct seat *seats)
{
    uint32_t count = 0;
    for (uint32_t m = 0; m < gang->row->block->member_count; m++)
        if (gang->ask->nodes[m] != MU_NONE)
            seats[count++] = (struct seat){gang->ask->nodes[m], m};
    if (count > 1)
        qsort(seats, count, sizeof *seats, compare_seats);
    return count;
}

static bool is_concerned(const struct mu_preempt *p, const struct mu_preempt_gang *gang,
                         const struct seat *seats, uint32_t count)
{
    const struct mu_gang_member *members = gang->row->block->members;
    bool concerned = false;
    for (uint32_t i = 0; i < count && !concerned; i++)
        concerned = mu_terms_concern(p->snapshot, members[seats[i].member].class_ix,
                                     members[seats[i].member].kin);
    return concerned;
}

/* In the order of leaving, each once. */
static void reliance_sort(const struct mu_victims *v, struct reliance *r)
{
    uint32_t kept = 0;
    if (r->count > 1)
        qsort_r(r->pods, r->count, sizeof *r->pods, compare_order_of_leaving, v->pods);
    for (uint32_t i = 0; i < r->count; i++)
        if (i == 0 || r->pods[i] != r->pods[i - 1])
            r->pods[kept++] = r->pods[i];
    r->count = kept;
}

/* Cost: O(members * log members + pods of their rows); where it is concerned, and all who leave. */
static int reliance_find(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                         struct reliance *r)
{
    struct mu_victims *v = &p->victims;
    struct seat *seats = mu_arena_alloc(p->arena, gang->row->block->member_count * sizeof *seats);
    if (seats == NULL)
        return MU_ENOMEM;
    const uint32_t seat_count = seats_list(gang, seats);
    uint32_t most = 0;
    for (uint32_t i = 0; i < seat_count; i++)
        if (i == 0 || seats[i].row != seats[i - 1].row)
            most += v->row_begin[seats[i].row + 1] - v->row_begin[seats[i].row];
    const bool concerned = is_concerned(p, gang, seats, seat_count);
    const size_t bound = (size_t)most + (concerned ? v->leaving_count : 0);
    r->pods = mu_arena_alloc(p->arena, (bound + 1) * sizeof *r->pods);
    if (r->pods == NULL)
        return MU_ENOMEM;
    for (uint32_t begin = 0, end; begin < seat_count; begin = end) {
        const uint32_t row = seats[begin].row, before = r->count;
        for (end = begin + 1; end < seat_count && seats[end].row == row;)
            end++;
        for (uint32_t i = v->row_begin[row]; i < v->row_begin[row + 1]; i++)
            if (is_leaving(v, v->row_pods[i]))
                r->pods[r->count++] = v->row_pods[i];
        if (r->count > before && !seats_rely(p, gang, seats + begin, end - begin))
            r->count = before;
    }
    for (uint32_t i = 0; concerned && i < v->leaving_count; i++) {
        const struct mu_occupant *o = mu_victim_occupant(v, &v->pods[v->leaving[i]]);
        if (mu_terms_counted(p->snapshot, o->class_ix, o->kin))
            r->pods[r->count++] = v->leaving[i];
    }
    reliance_sort(v, r);
    return 0;
}

static int answer(struct mu_preempt *p, const struct mu_preempt_gang *gang,
                  struct mu_preempt_found *out)
{
    const struct mu_victims *v = &p->victims;
    struct reliance r = {.count = 0};
    out->cost = p->cost;
    if (p->cost.pods > gang->ask->evict_max) {
        out->outcome = MU_PREEMPT_LIMIT;
        return 0;
    }
    int error = v->leaving_count > 0 ? reliance_find(p, gang, &r) : 0;
    if (error != 0)
        return error;
    struct mu_plan_evict *evicts =
        mu_arena_alloc(gang->ask->arena, ((size_t)p->cost.pods + r.count) * sizeof *evicts);
    if (evicts == NULL)
        return MU_ENOMEM;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        const struct mu_victim_unit *u = &v->units[p->chosen[i]];
        for (uint32_t n = u->begin; n < u->begin + u->count; n++)
            evicts[count++] = evict_of(v, n, 0);
    }
    MU_ASSERT(count == p->cost.pods);
    for (uint32_t i = 0; i < r.count; i++)
        evicts[count++] = evict_of(v, r.pods[i], MU_EVICT_LEAVING);
    out->outcome = MU_PREEMPT_FOUND;
    out->evict_count = count;
    out->evicts = evicts;
    return 0;
}

/* ---- all ---------------------------------------------------------------------------------- */

/* The index of this session, and a mark for each unit. */
static int build(struct mu_preempt *p, struct mu_place *place)
{
    if (p->built)
        return 0;
    int error = mu_victims_build(&p->victims, place, p->snapshot, p->config.min_run_s, p->now_s);
    uint32_t count = p->victims.unit_count;
    if (error == 0 && count > p->mark_cap) {
        uint8_t *marks = mu_mem_calloc(count, sizeof *marks);
        uint8_t *picked = mu_mem_calloc(count, sizeof *picked);
        uint32_t *violations = mu_mem_calloc(count, sizeof *violations);
        if (marks == NULL || picked == NULL || violations == NULL) {
            mu_mem_free(marks);
            mu_mem_free(picked);
            mu_mem_free(violations);
            return MU_ENOMEM;
        }
        mu_mem_free(p->marks);
        mu_mem_free(p->picked);
        mu_mem_free(p->violations);
        p->marks = marks;
        p->picked = picked;
        p->violations = violations;
        p->mark_cap = count;
    } else if (error == 0 && count > 0) {
        memset(p->picked, 0, count * sizeof *p->picked);
    }
    p->chosen_count = 0;
    p->built = error == 0;
    return error;
}

int mu_preempt_find(struct mu_preempt *preempt, const struct mu_preempt_ask *ask,
                    struct mu_preempt_found *out)
{
    struct mu_preempt *p = preempt;
    struct mu_preempt_gang gang;
    *out = (struct mu_preempt_found){.outcome = MU_PREEMPT_NONE};
    MU_ASSERT(p->snapshot == ask->snapshot);
    if (p->snapshot->occupants == NULL ||
        (p->snapshot->gangs[ask->gang.v].flags & MU_GANG_NEVER) != 0 || !gang_see(p, ask, &gang))
        return 0;
    p->counts.searches++;
    bool in_turn, its_turn = turn_comes(p, &in_turn);
    if (memo_recall(p, &gang) || none_recall(p, &gang)) {
        p->counts.recalled++;
        return 0;
    }
    if (!its_turn) {
        p->counts.postponed++;
        out->outcome = MU_PREEMPT_LATER;
        return 0;
    }
    mu_arena_reset(p->arena);
    int error = build(p, ask->place);
    if (error != 0)
        return error;
    mu_preempt_choose_none(p);
    p->refuted = p->ran_out = false;
    enum mu_preempt_outcome outcome = MU_PREEMPT_NONE;
    const uint64_t before = p->counts.steps;
    mu_preempt_walk(p, 1);
    if (p->victims.lowest < gang.row->priority || p->victims.leaving_count > 0)
        error = search(p, &gang, &outcome);
    mu_preempt_walk(p, p->config.steps_max - gang.steps);
    *(in_turn ? &p->spent_in_turn : &p->spent) += p->counts.steps - before;
    if (error != 0)
        return error;
    out->outcome = outcome;
    if (outcome == MU_PREEMPT_NONE && p->ran_out)
        out->outcome = MU_PREEMPT_LATER;
    else if (outcome == MU_PREEMPT_NONE)
        memo_remember(p, &gang);
    return outcome == MU_PREEMPT_FOUND ? answer(p, &gang, out) : 0;
}

/* Whether the member's room on its node is one that it holds: charged already. */
static bool holds(const struct mu_preempt_ask *ask, const struct mu_gang_member *member,
                  uint32_t node)
{
    return member->held.v == node &&
           ask->snapshot->nodes[node].generation == member->held_generation;
}

static int charge(const struct mu_preempt_ask *ask)
{
    const struct mu_gang_block *block = ask->snapshot->gangs[ask->gang.v].block;
    int error = 0;
    mu_place_trial(ask->place);
    for (uint32_t m = 0; m < block->member_count && error == 0; m++) {
        const struct mu_gang_member *member = &block->members[m];
        const struct mu_place_pod pod = {member->class_ix, member->kin};
        struct mu_node_ix node = {ask->nodes[m]};
        if (node.v != MU_NONE && !holds(ask, member, node.v))
            error = mu_place_charge(ask->place, pod, node, ask->devices[m], true);
    }
    if (error != 0)
        mu_place_rollback(ask->place);
    else
        mu_place_commit(ask->place);
    return error;
}

static void rows_touch(struct mu_preempt *p, uint32_t unit, uint32_t from)
{
    const struct mu_victims *v = &p->victims;
    const struct mu_victim_unit *u = &v->units[unit];
    for (uint32_t n = u->begin; n < u->begin + u->count; n++)
        if (p->touched_count == from || p->touched[p->touched_count - 1] != v->pods[n].row)
            p->touched[p->touched_count++] = v->pods[n].row;
}

/* The unit that has less surplus to take along when this one leaves; MU_NONE: none. */
static uint32_t whole_of(const struct mu_victims *v, uint32_t unit)
{
    return (v->units[unit].flags & MU_VICTIM_SURPLUS) != 0 ? v->units[unit].whole : MU_NONE;
}

int mu_preempt_commit(struct mu_preempt *preempt, const struct mu_preempt_ask *ask)
{
    struct mu_preempt *p = preempt;
    struct mu_victims *v = &p->victims;
    MU_ASSERT(p->built && p->chosen_count > 0);
    void *array = p->touched;
    uint32_t pods = 0, others = 0, last = MU_NONE;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        uint32_t whole = whole_of(v, p->chosen[i]);
        pods += v->units[p->chosen[i]].count;
        others += whole == MU_NONE || whole == last ? 0 : v->units[whole].count;
        last = whole;
    }
    if (mu_mem_grow(&array, &p->touched_cap, p->touched_count + pods + others, UINT32_MAX / 8,
                    sizeof *p->touched) != 0)
        return MU_ENOMEM;
    p->touched = array;
    int error = mu_victims_reserve(v, pods);
    if (error == 0)
        error = charge(ask);
    if (error != 0)
        return error;
    const uint32_t from = p->touched_count;
    bool covered = false;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        covered = mu_victims_take(v, p->chosen[i]) || covered;
        rows_touch(p, p->chosen[i], from);
    }
    last = MU_NONE;
    /* To evict a gang that has less surplus costs less, wherever it is. */
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        uint32_t whole = whole_of(v, p->chosen[i]);
        if (whole != MU_NONE && whole != last)
            rows_touch(p, whole, from);
        last = whole;
    }
    /* With less of a budget left other pods violate it, and others are spared in their place, on
     * any row. */
    for (uint32_t h = 0; covered && h < MU_PREEMPT_HEAPS; h++)
        p->heaps[h].session = 0;
    mu_preempt_choose_none(p);
    return 0;
}
