/*
 * The bodies of engine/scan.h for one instruction set. No include guard: engine/scan.c includes it
 * once per variant, with
 *     NAME(x)  the variant's name of x
 *     TARGET   the function attribute that selects the instruction set
 *     LANES    64-bit lanes of its vectors
 *     LANE_BITS(m)  a vector of all-ones and all-zeros lanes as LANES bits
 *
 * The functions run over exactly 64 entries (a tree's block: 16) without a branch. Loops that select
 * bits use GNU
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
    const int64_t *ok = (const int64_t *)fits;
    const int64_t *base = COLUMN(columns->base + begin);
    const int64_t *weight_cpu = COLUMN(columns->weight_cpu + begin);
    const int64_t *weight_memory = COLUMN(columns->weight_memory + begin);
    const uint64_t units_cpu = (uint64_t)need->units_cpu;
    const uint64_t units_memory = (uint64_t)need->units_memory;
    const int64_t limit_cpu = need->limit_cpu, limit_memory = need->limit_memory;
    const uint64_t sign = (uint64_t)need->sign;
    for (int i = 0; i < CHUNK; i++) {
        int64_t wc = weight_cpu[i] < limit_cpu ? weight_cpu[i] : limit_cpu;
        int64_t wm = weight_memory[i] < limit_memory ? weight_memory[i] : limit_memory;
        uint64_t cost = units_cpu * (uint64_t)wc + units_memory * (uint64_t)wm;
        cost = cost >> MU_SCORE_SUM_SHIFT << MU_SCORE_TIE_BITS;
        int64_t key = (int64_t)((uint64_t)base[i] + ((cost ^ sign) - sign));
        out[i] = (key & ok[i]) | ~ok[i];
    }
    return NAME(max)(out);
}

static TARGET void NAME(bases)(const struct mu_scan_room *room, uint32_t begin,
                               int64_t *restrict out_)
{
    const int64_t flip = room->pack ? MU_SCORE_LEFT_MAX : 0; /* LEFT_MAX - x == LEFT_MAX ^ x */
    const int64_t *fc = COLUMN(room->free_cpu + begin), *fm = COLUMN(room->free_memory + begin);
    const int64_t *ac = COLUMN(room->alloc_cpu + begin), *am = COLUMN(room->alloc_memory + begin);
    const int64_t *wc = COLUMN(room->weight_cpu + begin), *wm = COLUMN(room->weight_memory + begin);
    const int64_t *tie = COLUMN(room->tie_key + begin);
    int64_t *restrict out = __builtin_assume_aligned(out_, 64);
    for (int i = 0; i < CHUNK; i++) {
        uint64_t parts = mu_score_room_part(fc[i], ac[i], MU_SCORE_SHIFT_CPU, wc[i]) +
                         mu_score_room_part(fm[i], am[i], MU_SCORE_SHIFT_MEMORY, wm[i]);
        uint64_t score = (parts >> MU_SCORE_SUM_SHIFT) ^ (uint64_t)flip;
        out[i] = (int64_t)(score << MU_SCORE_TIE_BITS) | tie[i];
    }
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

static const struct mu_scan_ops NAME(ops) = {
    .name = NAME_TEXT,
    .keys = NAME(keys),
    .max = NAME(max),
    .min = NAME(min),
    .equal = NAME(equal),
    .less = NAME(less),
    .bases = NAME(bases),
    .climb = NAME(climb),
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
