/*
 * The bodies of engine/place/scan.h for one instruction set. No include guard: engine/place/scan.c
 * includes it once per variant, with NAME(x)  the variant's name of x TARGET   the function
 * attribute that selects the instruction set LANES    64-bit lanes of its vectors LANE_BITS(m)  a
 * vector of all-ones and all-zeros lanes as LANES bits
 *
 * The functions run over exactly 64 entries (a tree's block: 16) without a branch. Loops that
 * select bits use GNU
 * vectors of the native width (gcc 12 takes wider ones apart lane by lane); the others are plain
 * loops that gcc 12 and clang 14 vectorise at -O3. Arithmetic that may pass the range on entries
 * that are masked out anyway is unsigned.
 */
#define CHUNK  ((int)MU_NODE_CHUNK)
#define GROUPS (CHUNK / LANES)
#define TREE   ((int)MU_SCAN_TREE)
/* Typedefs, because a vector type has no tag. */
typedef int64_t NAME(lanes_i64) __attribute__((vector_size(8 * LANES), may_alias));
typedef uint64_t NAME(lanes_u64) __attribute__((vector_size(8 * LANES), may_alias));
#define I64           NAME(lanes_i64)
#define U64           NAME(lanes_u64)
#define COLUMN(start) ((const int64_t *)__builtin_assume_aligned((start), 64))
#define VECTOR(start) ((const I64 *)__builtin_assume_aligned((start), 64))

static TARGET int64_t NAME(max)(const int64_t *values_)
{
    const int64_t *values = COLUMN(values_);
    int64_t best = values[0];
    for (int i = 0; i < CHUNK; i++)
        best = values[i] > best ? values[i] : best;
    return best;
}

static TARGET int64_t NAME(min)(const int64_t *values_)
{
    const int64_t *values = COLUMN(values_);
    int64_t best = values[0];
    for (int i = 0; i < CHUNK; i++)
        best = values[i] < best ? values[i] : best;
    return best;
}

static TARGET uint64_t NAME(equal)(const int64_t *values, int64_t value)
{
    const I64 *v = VECTOR(values);
    uint64_t bits = 0;
    for (int g = 0; g < GROUPS; g++)
        bits |= LANE_BITS(v[g] == value) << (LANES * g);
    return bits;
}

static TARGET uint64_t NAME(less)(const int64_t *values, int64_t value)
{
    const I64 *v = VECTOR(values);
    uint64_t bits = 0;
    for (int g = 0; g < GROUPS; g++)
        bits |= LANE_BITS(v[g] < value) << (LANES * g);
    return bits;
}

static TARGET int64_t NAME(max_of_min)(const int64_t *a_, const int64_t *b_)
{
    const int64_t *a = COLUMN(a_), *b = COLUMN(b_);
    int64_t best = INT64_MIN;
    for (int i = 0; i < CHUNK; i++) {
        int64_t least = a[i] < b[i] ? a[i] : b[i];
        best = least > best ? least : best;
    }
    return best;
}

/* What the class costs in a form, and its key there. */
static inline TARGET void NAME(form)(const struct mu_scan_need *need,
                                     const struct mu_scan_columns *columns, uint32_t begin,
                                     uint32_t form, int64_t *restrict cost, int64_t *restrict out)
{
    for (int i = 0; i < CHUNK; i++)
        cost[i] = 0;
    for (uint32_t c = 0; c < need->cost_count[form]; c++) {
        const struct mu_scan_cost *part = &need->costs[form][c];
        const int64_t *weight = COLUMN(mu_scan_weights(columns, form, part->slot, begin));
        const uint64_t units = (uint64_t)part->units;
        const int64_t least = -part->limit; /* no weight that counts is beyond */
        if (__builtin_expect(part->padded, 0)) {
            for (int i = 0; i < CHUNK; i++)
                cost[i] = (int64_t)((uint64_t)cost[i] + (uint64_t)mu_score_cost_part(
                                                            part->units, weight[i], part->limit));
            continue;
        }
        for (int i = 0; i < CHUNK; i++) {
            int64_t w = weight[i] > least ? weight[i] : least;
            cost[i] = (int64_t)((uint64_t)cost[i] + units * (uint64_t)w);
        }
    }
    const int64_t *base = COLUMN(columns->base[form] + begin);
    for (int i = 0; i < CHUNK; i++) {
        cost[i] = mu_score_cost(cost[i]);
        out[i] = (int64_t)((uint64_t)base[i] - (uint64_t)cost[i]);
    }
}

static TARGET void NAME(extras)(const struct mu_scan_need *need, uint32_t level, uint32_t begin,
                                int64_t *restrict out)
{
    if (need->pref[0] != NULL) {
        const int32_t *pref = __builtin_assume_aligned(need->pref[level] + begin, 64);
        for (int i = 0; i < CHUNK; i++)
            out[i] = (int64_t)((uint64_t)out[i] + ((uint64_t)pref[i] << MU_SCORE_TIE_BITS));
    }
    if (need->bonus[0] != NULL && need->bonus[level] != NULL) {
        const int64_t *bonus = COLUMN(need->bonus[level] + begin);
        for (int i = 0; i < CHUNK; i++)
            out[i] = (int64_t)((uint64_t)out[i] + ((uint64_t)bonus[i] << MU_SCORE_TIE_BITS));
    } else if (need->bonus[0] != NULL) {
        const uint64_t most = (uint64_t)need->bonus_max << MU_SCORE_TIE_BITS;
        for (int i = 0; i < CHUNK; i++)
            out[i] = (int64_t)((uint64_t)out[i] + most);
    }
}

static TARGET int64_t NAME(keys)(const struct mu_scan_need *need,
                                 const struct mu_scan_columns *columns, uint32_t begin,
                                 uint64_t mask, int64_t *restrict out_)
{
    const U64 *bit = (const U64 *)entry_bit;
    I64 fits[GROUPS]; /* -1: fits, 0: does not */
    for (int g = 0; g < GROUPS; g++)
        fits[g] = (I64)((mask & bit[g]) != 0);
    for (uint32_t r = 0; r < need->count; r++) {
        const I64 *room = VECTOR(columns->free[need->demands[r].resource] + begin);
        const int64_t amount = need->demands[r].amount;
        for (int g = 0; g < GROUPS; g++)
            fits[g] &= (I64)(room[g] >= amount);
    }
    int64_t *restrict out = __builtin_assume_aligned(out_, 64);
    int64_t cost[CHUNK] __attribute__((aligned(64)));
    NAME(form)(need, columns, begin, 0, cost, out);
    if (need->form_count > 1) {
        int64_t cost_1[CHUNK] __attribute__((aligned(64)));
        int64_t key_1[CHUNK] __attribute__((aligned(64)));
        NAME(form)(need, columns, begin, 1, cost_1, key_1);
        for (int i = 0; i < CHUNK; i++)
            out[i] = key_1[i] < out[i] ? key_1[i] : out[i];
        if (columns->both != NULL) {
            const int64_t *both = COLUMN(columns->both + begin);
            for (int i = 0; i < CHUNK; i++) {
                int64_t least = cost_1[i] < cost[i] ? cost_1[i] : cost[i];
                int64_t bound = (int64_t)((uint64_t)both[i] - (uint64_t)least);
                out[i] = bound < out[i] ? bound : out[i];
            }
        }
    }
    if (need->pref[0] != NULL || need->bonus[0] != NULL)
        NAME(extras)(need, columns->level, begin, out);
    const int64_t *ok = (const int64_t *)fits;
    for (int i = 0; i < CHUNK; i++)
        out[i] = (out[i] & ok[i]) | ~ok[i];
    return NAME(max)(out);
}

static TARGET void NAME(bases)(const struct mu_scan_room *room, int64_t *restrict terms_)
{
    int64_t *restrict terms = __builtin_assume_aligned(terms_, 64);
    int64_t parts[CHUNK] __attribute__((aligned(64)));
    for (int i = 0; i < CHUNK; i++)
        parts[i] = 0;
    for (uint32_t s = 0; s < room->slot_count; s++) {
        const int64_t *f = COLUMN(room->slots[s].free);
        const int64_t *a = COLUMN(room->slots[s].alloc);
        const int64_t *w = COLUMN(room->slots[s].weight);
        const int shift = room->slots[s].shift;
        const int64_t below = -(int64_t)room->slots[s].padded; /* all bits or none */
        for (int i = 0; i < CHUNK; i++)
            parts[i] = (int64_t)((uint64_t)parts[i] +
                                 (uint64_t)mu_score_room_part(
                                     f[i], a[i], mu_score_least(a[i], shift) & below, shift, w[i]));
    }
    const int64_t offset = room->offset;
    for (int i = 0; i < CHUNK; i++)
        terms[i] = mu_score_base(offset, parts[i], mu_score_base_tie(terms[i]));
}

/* The largest of a tree block's keys but that of entry `skip`; *where: the others that have it. */
static inline TARGET int64_t NAME(others)(const int64_t *block, uint32_t skip, uint64_t *where)
{
    const I64 *v = VECTOR(block);
    const U64 *bit = (const U64 *)entry_bit;
    const uint64_t skipped = UINT64_C(1) << skip;
    int64_t keys[TREE] __attribute__((aligned(64)));
    I64 *k = (I64 *)keys;
    for (int g = 0; g < TREE / LANES; g++)
        k[g] = v[g] | (I64)((bit[g] & skipped) != 0); /* skipped: all bits set, no key */
    int64_t largest = keys[0];
    for (int i = 0; i < TREE; i++)
        largest = keys[i] > largest ? keys[i] : largest;
    uint64_t bits = 0;
    for (int g = 0; g < TREE / LANES; g++)
        bits |= LANE_BITS(k[g] == largest) << (LANES * g);
    *where = bits & ~skipped;
    return largest;
}

static TARGET uint32_t NAME(climb)(const struct mu_scan_tree *tree, uint32_t row, int64_t key)
{
    uint32_t best = key < 0 ? MU_NONE : row;
    for (uint32_t l = 0, entry = row; l < tree->level_count; l++, entry /= TREE) {
        const uint32_t begin = entry / TREE * TREE;
        uint64_t where;
        int64_t others = NAME(others)(tree->keys[l] + begin, entry % TREE, &where);
        tree->keys[l][entry] = key;
        if (l > 0)
            tree->rows[l][entry] = best;
        if (others < key || others < 0)
            continue;
        uint32_t other = mu_scan_tree_row(tree, l, begin + (uint32_t)__builtin_ctzll(where));
        for (where &= where - 1; __builtin_expect(where != 0, 0); where &= where - 1) {
            uint32_t rival = mu_scan_tree_row(tree, l, begin + (uint32_t)__builtin_ctzll(where));
            other = tree->wins_tie(tree->context, rival, other) ? rival : other;
        }
        if (others > key || tree->wins_tie(tree->context, other, best))
            best = other;
        key = others;
    }
    return best;
}

static TARGET uint32_t NAME(tree_best)(const struct mu_scan_tree *tree, uint32_t level,
                                       uint32_t begin, int64_t *key)
{
    const int64_t *keys = COLUMN(tree->keys[level] + begin);
    const I64 *v = VECTOR(keys);
    int64_t largest = keys[0];
    for (int i = 0; i < TREE; i++)
        largest = keys[i] > largest ? keys[i] : largest;
    *key = largest < 0 ? MU_SCORE_KEY_NONE : largest;
    if (largest < 0)
        return MU_NONE;
    uint64_t where = 0;
    for (int g = 0; g < TREE / LANES; g++)
        where |= LANE_BITS(v[g] == largest) << (LANES * g);
    uint32_t best = mu_scan_tree_row(tree, level, begin + (uint32_t)__builtin_ctzll(where));
    for (where &= where - 1; __builtin_expect(where != 0, 0); where &= where - 1) {
        uint32_t rival = mu_scan_tree_row(tree, level, begin + (uint32_t)__builtin_ctzll(where));
        best = tree->wins_tie(tree->context, rival, best) ? rival : best;
    }
    return best;
}

static const struct mu_scan_ops NAME(ops) = {
    .name = NAME_TEXT,
    .keys = NAME(keys),
    .max = NAME(max),
    .max_of_min = NAME(max_of_min),
    .min = NAME(min),
    .equal = NAME(equal),
    .less = NAME(less),
    .bases = NAME(bases),
    .climb = NAME(climb),
    .tree_best = NAME(tree_best),
};

#undef CHUNK
#undef GROUPS
#undef TREE
#undef I64
#undef U64
#undef COLUMN
#undef VECTOR
#undef NAME
#undef NAME_TEXT
#undef TARGET
#undef LANES
#undef LANE_BITS
