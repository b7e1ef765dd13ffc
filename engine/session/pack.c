#include "engine/session/pack.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/resource.h"

/* Patterns that are listed for one bin; beyond it the list is cut, and NO is out of reach. */
#define PATTERNS_MAX 512u
/* Groups up to which each is held against each other one for being dispensable. */
#define DOMINANCE_GROUPS_MAX 512u
/* Prices: all subsets of a few types, a threshold and an amount for each dimension, all at once. */
#define SUBSET_TYPES_MAX 5u
#define PRICES_MAX       128u
/* Prices are cut to so many bits, so that sums over all items and bins do not overflow. */
#define PRICE_BITS 24u
/* Failures that are remembered; a power of two. */
#define MEMO_SLOTS  (1u << 13)
#define VECTORS_MAX (1u << 16) /* patterns of all frames together */

/* So many items of each type. */
struct vector {
    uint16_t of[MU_PACK_TYPES_MAX];
};
_Static_assert(MU_GANG_MEMBERS_MAX <= UINT16_MAX, "counts of items fit");

struct group {
    uint32_t types;
    uint32_t first; /* bin; next[] has the others */
    uint32_t last;
    uint32_t count; /* that matter */
    int64_t size;   /* for the order */
    const int64_t *free;
};

struct price {
    int64_t of[MU_PACK_TYPES_MAX];
    uint8_t order[MU_PACK_TYPES_MAX]; /* types, cheapest first */
    int64_t *suffix;                  /* by group: what it and those behind it are worth at most */
    int64_t *worth;                   /* by group: what one bin of it is worth at most */
};

struct frame {
    uint32_t group, copy; /* the bin */
    uint32_t begin, end;  /* its patterns: vectors[begin .. end) */
    uint32_t at;          /* the one in hand */
    struct vector left;   /* items before this bin is filled */
};

struct memo {
    uint32_t group, copy; /* group UINT32_MAX: empty */
    struct vector left;
};

struct search {
    const struct mu_pack *pack;
    struct mu_arena *arena;
    uint64_t steps, step_budget;
    bool cut; /* something was left out: NO is out of reach */
    uint32_t items;
    uint8_t type_order[MU_PACK_TYPES_MAX]; /* largest first */
    struct group *groups;
    uint32_t group_count;
    uint32_t *next; /* by bin: the next one of its group */
    struct price *prices;
    uint32_t price_count;
    struct vector *vectors;
    uint32_t vector_count;
    struct frame *frames;
    uint32_t frame_count;
    struct memo *memos;
};

/* ---- reduce --------------------------------------------------------------------------------- */

/* What all items ask for of a dimension. */
static int64_t demand_total(const struct mu_pack *pack, uint32_t d)
{
    int64_t total = 0;
    for (uint32_t t = 0; t < pack->type_count; t++) {
        int64_t demand = pack->types[t].demand[d], count = pack->types[t].count;
        MU_ASSERT(demand >= 0);
        total =
            mu_amount_add(total, demand > MU_AMOUNT_MAX / count ? MU_AMOUNT_MAX : demand * count);
    }
    return total;
}

/* A part of all that is asked for, in 2^-20. */
static int64_t share_of(int64_t amount, int64_t total)
{
    int64_t unit = total >> 20;
    return amount / (unit > 0 ? unit : 1);
}

/* Cut each bin's room to what its types could use of it. */
static void bins_cut(const struct mu_pack *pack, const int64_t *total)
{
    for (uint32_t b = 0; b < pack->bin_count; b++) {
        int64_t *room = &pack->bin_free[(size_t)b * pack->dim_count];
        for (uint32_t d = 0; d < pack->dim_count; d++) {
            bool asked = false;
            for (uint32_t t = 0; t < pack->type_count; t++)
                asked =
                    asked || ((pack->bin_types[b] >> t & 1) != 0 && pack->types[t].demand[d] > 0);
            room[d] = room[d] < total[d] ? room[d] : total[d];
            room[d] = asked && room[d] > 0 ? room[d] : 0;
        }
    }
}

/* Bins that are alike, by a table of open addresses. */
static int bins_group(struct search *s, const int64_t *total)
{
    const struct mu_pack *pack = s->pack;
    uint32_t slots = 16, bytes = pack->dim_count * (uint32_t)sizeof(int64_t);
    while (slots < 2 * pack->bin_count)
        slots *= 2;
    uint32_t *table = mu_arena_calloc(s->arena, slots, sizeof *table); /* group + 1 */
    s->groups = mu_arena_calloc(s->arena, pack->bin_count + 1, sizeof *s->groups);
    s->next = mu_arena_calloc(s->arena, pack->bin_count + 1, sizeof *s->next);
    if (table == NULL || s->groups == NULL || s->next == NULL)
        return MU_ENOMEM;
    for (uint32_t b = 0; b < pack->bin_count; b++) {
        const int64_t *room = &pack->bin_free[(size_t)b * pack->dim_count];
        if (pack->bin_types[b] == 0)
            continue;
        uint32_t slot = (uint32_t)mu_hash_bytes(room, bytes, pack->bin_types[b]) & (slots - 1);
        for (; table[slot] != 0; slot = (slot + 1) & (slots - 1)) {
            const struct group *g = &s->groups[table[slot] - 1];
            if (g->types == pack->bin_types[b] && memcmp(g->free, room, bytes) == 0)
                break;
        }
        if (table[slot] == 0) {
            struct group *g = &s->groups[s->group_count++];
            *g = (struct group){.types = pack->bin_types[b], .first = b, .last = b, .free = room};
            for (uint32_t d = 0; d < pack->dim_count; d++)
                g->size += share_of(room[d], total[d]);
            table[slot] = s->group_count;
        }
        struct group *g = &s->groups[table[slot] - 1];
        if (g->count == s->items)
            continue;
        s->next[g->last] = b;
        g->last = b;
        g->count++;
    }
    return 0;
}

static bool is_as_good(const struct mu_pack *pack, const struct group *a, const struct group *b)
{
    bool good = (b->types & ~a->types) == 0;
    for (uint32_t d = 0; d < pack->dim_count && good; d++)
        good = a->free[d] >= b->free[d];
    return good;
}

/* Drop groups of which enough others are at least as good: at most `items` bins are used, and one
 * of the better ones would be left. Those that are dropped have the same ones above them. */
static void groups_thin(struct search *s)
{
    bool drop[DOMINANCE_GROUPS_MAX];
    if (s->group_count > DOMINANCE_GROUPS_MAX)
        return;
    for (uint32_t g = 0; g < s->group_count; g++) {
        uint32_t better = 0;
        for (uint32_t o = 0; o < s->group_count && better < s->items; o++)
            if (o != g && is_as_good(s->pack, &s->groups[o], &s->groups[g]))
                better += s->groups[o].count;
        drop[g] = better >= s->items;
    }
    uint32_t kept = 0;
    for (uint32_t g = 0; g < s->group_count; g++)
        if (!drop[g])
            s->groups[kept++] = s->groups[g];
    s->group_count = kept;
}

static int group_compare(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    int a_types = __builtin_popcount(a->types), b_types = __builtin_popcount(b->types);
    if (a_types != b_types)
        return a_types < b_types ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    return a->first < b->first ? -1 : 1;
}

static void types_order(struct search *s, const int64_t *total)
{
    const struct mu_pack *pack = s->pack;
    int64_t share[MU_PACK_TYPES_MAX] = {0};
    for (uint32_t t = 0; t < pack->type_count; t++) {
        for (uint32_t d = 0; d < pack->dim_count; d++) {
            int64_t part = share_of(pack->types[t].demand[d], total[d]);
            share[t] = part > share[t] ? part : share[t];
        }
        uint32_t at = t;
        for (; at > 0 && share[s->type_order[at - 1]] < share[t]; at--)
            s->type_order[at] = s->type_order[at - 1];
        s->type_order[at] = (uint8_t)t;
    }
}

/* ---- patterns ------------------------------------------------------------------------------- */

struct listing {
    struct search *s;
    uint32_t types; /* that may go there */
    const int64_t *free;
    const struct vector *left;
    int64_t room[MU_RESOURCES_MAX];
    struct vector now;
    uint32_t max; /* patterns to list */
};

/* Items of a type that find room beside what is there. */
static uint32_t fits_more(const struct listing *l, uint32_t t)
{
    const struct mu_pack *pack = l->s->pack;
    int64_t most = l->left->of[t] - l->now.of[t];
    if ((l->types >> t & 1) == 0)
        return 0;
    for (uint32_t d = 0; d < pack->dim_count && most > 0; d++) {
        int64_t demand = pack->types[t].demand[d];
        if (demand > 0 && l->room[d] / demand < most)
            most = l->room[d] / demand;
    }
    return (uint32_t)most;
}

static void room_take(struct listing *l, uint32_t t, int64_t count)
{
    for (uint32_t d = 0; d < l->s->pack->dim_count; d++)
        l->room[d] -= count * l->s->pack->types[t].demand[d];
    l->now.of[t] = (uint16_t)(l->now.of[t] + count);
}

/* Choose for the types from the nth on; false: no more patterns may be listed. */
static bool list_from(struct listing *l, uint32_t nth)
{
    struct search *s = l->s;
    if (nth == s->pack->type_count) {
        s->steps++;
        for (uint32_t t = 0; t < s->pack->type_count; t++)
            if (fits_more(l, t) > 0)
                return true; /* not maximal: another one has all of this and more */
        if (l->max == 0 || s->vector_count == VECTORS_MAX)
            return false;
        l->max--;
        s->vectors[s->vector_count++] = l->now;
        return true;
    }
    uint32_t t = s->type_order[nth], most = fits_more(l, t);
    bool last = nth + 1 == s->pack->type_count, goes_on = true;
    for (uint32_t count = most;; count--) {
        room_take(l, t, count);
        goes_on = list_from(l, nth + 1);
        room_take(l, t, -(int64_t)count);
        if (!goes_on || count == 0 || last || s->steps >= s->step_budget)
            break;
    }
    return goes_on && (most == 0 || last || s->steps < s->step_budget);
}

/* List the maximal patterns of a bin behind the others. False: not all of them. */
static bool patterns_list(struct search *s, const struct group *g, const struct vector *left)
{
    struct listing l = {.s = s, .types = g->types, .left = left, .max = PATTERNS_MAX};
    memcpy(l.room, g->free, s->pack->dim_count * sizeof *l.room);
    return list_from(&l, 0);
}

/* ---- prices --------------------------------------------------------------------------------- */

static void price_add(struct search *s, const int64_t *of)
{
    bool any = false;
    MU_ASSERT(s->price_count < PRICES_MAX);
    struct price *p = &s->prices[s->price_count];
    for (uint32_t t = 0; t < s->pack->type_count; t++) {
        p->of[t] = of[t];
        any = any || of[t] > 0;
        uint32_t at = t;
        for (; at > 0 && of[p->order[at - 1]] > of[t]; at--)
            p->order[at] = p->order[at - 1];
        p->order[at] = (uint8_t)t;
    }
    s->price_count += any;
}

static void prices_choose(struct search *s, const int64_t *total)
{
    const struct mu_pack *pack = s->pack;
    uint32_t types = pack->type_count;
    int64_t of[MU_PACK_TYPES_MAX], mix[MU_PACK_TYPES_MAX] = {0};
    uint32_t subsets = types <= SUBSET_TYPES_MAX ? (1u << types) - 1 : types + 1;
    for (uint32_t n = 1; n <= subsets; n++) {
        for (uint32_t t = 0; t < types; t++) {
            bool in = types <= SUBSET_TYPES_MAX ? (n >> t & 1) != 0 : t + 1 == n || n > types;
            of[t] = in ? 1 : 0;
        }
        price_add(s, of);
    }
    for (uint32_t d = 0; d < pack->dim_count; d++) {
        uint32_t shift = 0;
        while (total[d] >> shift >= INT64_C(1) << PRICE_BITS)
            shift++;
        int64_t most = 0;
        for (uint32_t t = 0; t < types; t++) {
            of[t] = pack->types[t].demand[d] >> shift;
            mix[t] += share_of(pack->types[t].demand[d], total[d]);
            most = of[t] > most ? of[t] : most;
        }
        price_add(s, of);
        for (uint32_t t = 0; t < types; t++)
            of[t] = 2 * of[t] > most ? 1 : 0; /* the large ones */
        price_add(s, of);
    }
    price_add(s, mix);
}

/* The least that what is still wanted can be worth: of each part its cheapest items, then the
 * cheapest of all the others. */
static int64_t least_worth(const struct search *s, const struct price *p, const struct vector *left)
{
    const struct mu_pack *pack = s->pack;
    uint32_t part_left[MU_SUBGROUPS_MAX], placed = 0, sum = 0;
    memcpy(part_left, pack->part_need, pack->part_count * sizeof *part_left);
    for (uint32_t t = 0; t < pack->type_count; t++) {
        uint32_t done = pack->types[t].count - left->of[t], *part = &part_left[pack->types[t].part];
        *part -= done < *part ? done : *part;
        placed += done;
    }
    for (uint32_t part = 0; part < pack->part_count; part++)
        sum += part_left[part];
    uint32_t others = placed < pack->need ? pack->need - placed : 0;
    others = others > sum ? others - sum : 0;
    int64_t worth = 0;
    for (uint32_t n = 0; n < pack->type_count; n++) {
        uint32_t t = p->order[n], have = left->of[t], *part = &part_left[pack->types[t].part];
        uint32_t take = have < *part ? have : *part;
        *part -= take;
        uint32_t more = have - take < others ? have - take : others;
        others -= more;
        worth += (int64_t)(take + more) * p->of[t];
    }
    return worth;
}

/* What one bin of each group is worth at most, and all of them from each one on. */
static int prices_value(struct search *s)
{
    struct vector all = {{0}};
    for (uint32_t t = 0; t < s->pack->type_count; t++)
        all.of[t] = (uint16_t)s->pack->types[t].count;
    for (uint32_t p = 0; p < s->price_count; p++) {
        s->prices[p].suffix = mu_arena_calloc(s->arena, s->group_count + 1, sizeof(int64_t));
        s->prices[p].worth = mu_arena_calloc(s->arena, s->group_count + 1, sizeof(int64_t));
        if (s->prices[p].suffix == NULL || s->prices[p].worth == NULL)
            return MU_ENOMEM;
    }
    for (uint32_t g = s->group_count; g-- > 0;) {
        uint32_t begin = s->vector_count;
        bool whole = patterns_list(s, &s->groups[g], &all);
        struct listing alone = {.s = s, .types = s->groups[g].types, .left = &all};
        memcpy(alone.room, s->groups[g].free, s->pack->dim_count * sizeof *alone.room);
        for (uint32_t p = 0; p < s->price_count; p++) {
            struct price *price = &s->prices[p];
            int64_t most = 0, sum = 0;
            for (uint32_t t = 0; t < s->pack->type_count && !whole; t++)
                sum += price->of[t] * fits_more(&alone, t); /* each as if it was alone */
            for (uint32_t v = begin; v < s->vector_count && whole; v++) {
                int64_t worth = 0;
                for (uint32_t t = 0; t < s->pack->type_count; t++)
                    worth += price->of[t] * s->vectors[v].of[t];
                most = worth > most ? worth : most;
            }
            price->worth[g] = whole ? most : sum;
            price->suffix[g] = price->suffix[g + 1] + price->worth[g] * s->groups[g].count;
        }
        s->vector_count = begin;
    }
    return 0;
}

/* Whether the bins from this one on are worth too little for what is still wanted. */
static bool is_hopeless(const struct search *s, uint32_t group, uint32_t copy,
                        const struct vector *left)
{
    for (uint32_t p = 0; p < s->price_count; p++) {
        const struct price *price = &s->prices[p];
        int64_t most =
            group == s->group_count ? 0 : price->suffix[group] - price->worth[group] * copy;
        if (most < least_worth(s, price, left))
            return true;
    }
    return false;
}

/* ---- search --------------------------------------------------------------------------------- */

static bool is_enough(const struct search *s, const struct vector *left)
{
    const struct mu_pack *pack = s->pack;
    uint32_t done[MU_SUBGROUPS_MAX] = {0}, all = 0;
    for (uint32_t t = 0; t < pack->type_count; t++) {
        uint32_t placed = pack->types[t].count - left->of[t];
        done[pack->types[t].part] += placed;
        all += placed;
    }
    bool enough = all >= pack->need;
    for (uint32_t part = 0; part < pack->part_count; part++)
        enough = enough && done[part] >= pack->part_need[part];
    return enough;
}

static struct memo *memo_at(const struct search *s, uint32_t group, uint32_t copy,
                            const struct vector *left)
{
    uint64_t hash = mu_hash_bytes(left, sizeof *left, (uint64_t)group << 32 | copy);
    return &s->memos[hash & (MEMO_SLOTS - 1)];
}

/* Open the first bin from (group, copy) on that something fits into. False: there is none, it is
 * known to fail, or it is hopeless. */
static bool bin_open(struct search *s, uint32_t group, uint32_t copy, const struct vector *left)
{
    static const struct vector nothing;
    for (;; group++, copy = 0) {
        if (group < s->group_count && copy == s->groups[group].count) {
            group++;
            copy = 0;
        }
        s->steps++;
        if (group == s->group_count || is_hopeless(s, group, copy, left))
            return false;
        const struct memo *memo = memo_at(s, group, copy, left);
        if (memo->group == group && memo->copy == copy &&
            memcmp(&memo->left, left, sizeof *left) == 0)
            return false;
        uint32_t begin = s->vector_count;
        s->cut = !patterns_list(s, &s->groups[group], left) || s->cut;
        if (s->steps >= s->step_budget) {
            s->cut = true;
            s->vector_count = begin;
            return false;
        }
        /* Where nothing fits, the empty pattern is the only one; nor into others of the group. */
        if (s->vector_count > begin && memcmp(&s->vectors[begin], &nothing, sizeof nothing) != 0) {
            MU_ASSERT(s->frame_count < s->items); /* each bin that is open has an item at least */
            s->frames[s->frame_count++] = (struct frame){.group = group,
                                                         .copy = copy,
                                                         .begin = begin,
                                                         .end = s->vector_count,
                                                         .at = begin,
                                                         .left = *left};
            return true;
        }
        s->vector_count = begin;
    }
}

/* The items left once the pattern in hand is placed. */
static struct vector left_after(const struct search *s, const struct frame *f)
{
    struct vector left = f->left;
    for (uint32_t t = 0; t < s->pack->type_count; t++)
        left.of[t] = (uint16_t)(left.of[t] - s->vectors[f->at].of[t]);
    return left;
}

/* True: the frames are a way to place what is wanted. */
static bool run(struct search *s)
{
    struct vector left = {{0}};
    for (uint32_t t = 0; t < s->pack->type_count; t++)
        left.of[t] = (uint16_t)s->pack->types[t].count;
    if (is_enough(s, &left))
        return true;
    (void)bin_open(s, 0, 0, &left);
    while (s->frame_count > 0 && s->steps < s->step_budget) {
        struct frame *f = &s->frames[s->frame_count - 1];
        if (f->at == f->end) {
            *memo_at(s, f->group, f->copy, &f->left) = (struct memo){f->group, f->copy, f->left};
            s->vector_count = f->begin;
            if (--s->frame_count > 0)
                s->frames[s->frame_count - 1].at++;
            continue;
        }
        left = left_after(s, f);
        if (is_enough(s, &left))
            return true;
        if (!bin_open(s, f->group, f->copy + 1, &left))
            f->at++;
    }
    s->cut = s->cut || s->frame_count > 0;
    return false;
}

/* What the frames place, bin by bin: copy c of a group is its c-th bin. */
static int puts_collect(const struct search *s, struct mu_pack_result *out)
{
    struct mu_pack_put *puts = mu_arena_alloc(s->arena, (s->items + 1) * sizeof *puts);
    if (puts == NULL)
        return MU_ENOMEM;
    uint32_t bin = 0, copy = 0, group = UINT32_MAX;
    for (uint32_t n = 0; n < s->frame_count; n++) {
        const struct frame *f = &s->frames[n];
        if (f->group != group) {
            group = f->group;
            bin = s->groups[group].first;
            copy = 0;
        }
        for (; copy < f->copy; copy++)
            bin = s->next[bin];
        for (uint32_t t = 0; t < s->pack->type_count; t++) {
            uint32_t count = s->vectors[f->at].of[t];
            if (count > 0)
                puts[out->put_count++] = (struct mu_pack_put){bin, t, count};
        }
    }
    out->puts = puts;
    return 0;
}

static int reserve(struct search *s)
{
    s->prices = mu_arena_calloc(s->arena, PRICES_MAX, sizeof *s->prices);
    s->vectors = mu_arena_alloc(s->arena, VECTORS_MAX * sizeof *s->vectors);
    s->frames = mu_arena_alloc(s->arena, s->items * sizeof *s->frames);
    s->memos = mu_arena_alloc(s->arena, MEMO_SLOTS * sizeof *s->memos);
    if (s->prices == NULL || s->vectors == NULL || s->frames == NULL || s->memos == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < MEMO_SLOTS; i++)
        s->memos[i].group = UINT32_MAX;
    return 0;
}

int mu_pack_solve(const struct mu_pack *pack, uint64_t step_budget, struct mu_arena *arena,
                  struct mu_pack_result *out)
{
    MU_ASSERT(pack->type_count > 0 && pack->type_count <= MU_PACK_TYPES_MAX);
    MU_ASSERT(pack->dim_count <= MU_RESOURCES_MAX && pack->part_count <= MU_SUBGROUPS_MAX);
    struct search s = {.pack = pack, .arena = arena, .step_budget = step_budget};
    int64_t total[MU_RESOURCES_MAX] = {0};
    *out = (struct mu_pack_result){.answer = MU_PACK_UNDECIDED};
    for (uint32_t t = 0; t < pack->type_count; t++)
        s.items += pack->types[t].count;
    MU_ASSERT(pack->need <= s.items && s.items <= MU_GANG_MEMBERS_MAX);
    for (uint32_t d = 0; d < pack->dim_count; d++)
        total[d] = demand_total(pack, d);
    bins_cut(pack, total);
    int error = reserve(&s);
    if (error == 0)
        error = bins_group(&s, total);
    if (error != 0)
        return error;
    groups_thin(&s);
    qsort(s.groups, s.group_count, sizeof *s.groups, group_compare);
    types_order(&s, total);
    prices_choose(&s, total);
    error = prices_value(&s);
    if (error != 0)
        return error;
    bool found = run(&s);
    out->steps = s.steps;
    if (found) {
        out->answer = MU_PACK_FIT;
        return puts_collect(&s, out);
    }
    out->answer = s.cut ? MU_PACK_UNDECIDED : MU_PACK_NO;
    return 0;
}
