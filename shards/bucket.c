#include "shards/bucket.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * The successor of a bucket table
 *
 * A published table is verified by whoever reads it, so that the successor must come out the same
 * everywhere: integers only, no hash of an address, members sorted by number before anything else,
 * every choice with a tie-break.
 *
 *  1. Orphans (no owner, or one that is no member) go, heaviest bucket first, then by number, to
 *     the relatively emptiest shard: least load / weight, then the lowest number.
 *  2. While the fullest shard is above 1 + epsilon of its share or the emptiest is below
 *     1 - epsilon, one bucket moves from the fullest to the emptiest:
 *       - the heaviest one that takes neither of them across its share; if there is none,
 *       - the lightest one, if it does not make the receiver fuller than the giver remains;
 *       - else this giver has nothing to give and is passed over from here on.
 *
 * Buckets without weight (no node in them yet, but gangs hash into them too) are balanced by their
 * number, apart from the others and by the same two steps: otherwise all of them would go to
 * whichever shard is a hair emptier than the rest, and with them all nodes still to come.
 *
 * Termination: a move leaves giver and receiver below the giver's former level, and nobody else's
 * level changes; so the levels of all shards, sorted from the top, fall lexicographically.
 *
 * Stickiness: a shard within the band gives only to one below it, takes only from one above it, and
 * the moved weight ends where the band begins: adding a member moves (1 - epsilon) of its share.
 *
 * Cost: sorting the buckets, then per placed bucket one pass over the members.
 */

__extension__ typedef unsigned __int128 u128;

enum { EPSILON_MAX_PERMILLE = 1000, RANK_WORDS = MU_BUCKETS / 64 };
_Static_assert(MU_BUCKETS % 64 == 0, "rank sets are whole words");

struct ranked {
    uint32_t weight;
    uint16_t bucket;
};

struct shard {
    struct mu_bucket_member member;
    uint64_t load;
    bool passed_over;
    uint64_t ranks[RANK_WORDS]; /* its buckets of the class at hand, by rank */
};

/* One class of buckets (with weight, or without) while it is balanced. */
struct balance {
    struct shard *shards; /* by rising shard number */
    uint32_t shard_count;
    uint32_t epsilon_permille;
    uint64_t member_weight;         /* sum */
    uint64_t total;                 /* load to share out */
    struct ranked rank[MU_BUCKETS]; /* the buckets, lightest first, then by falling number */
    uint32_t rank_count;
    uint16_t owner[MU_BUCKETS]; /* the table in the making, by bucket */
};

void mu_bucket_table_init(struct mu_bucket_table *table)
{
    table->epoch = 0;
    table->hash_version = MU_BUCKET_HASH_XXH64;
    for (uint32_t b = 0; b < MU_BUCKETS; b++)
        table->owner[b] = MU_BUCKET_NONE;
}

uint32_t mu_bucket_of(struct mu_str key)
{
    return (uint32_t)(mu_hash_stable(key.data, key.len) % MU_BUCKETS);
}

/* ---- loads and shares ---- */

/* Order of load / weight: <0, 0, >0. */
static int compare_level(const struct shard *a, const struct shard *b)
{
    u128 left = (u128)a->load * b->member.weight;
    u128 right = (u128)b->load * a->member.weight;
    return (left > right) - (left < right);
}

static uint64_t share_floor(const struct balance *b, const struct shard *s)
{
    return (uint64_t)((u128)b->total * s->member.weight / b->member_weight);
}

static uint64_t share_ceil(const struct balance *b, const struct shard *s)
{
    u128 product = (u128)b->total * s->member.weight;
    return (uint64_t)((product + b->member_weight - 1) / b->member_weight);
}

static bool above_band(const struct balance *b, const struct shard *s)
{
    return (u128)s->load * b->member_weight * 1000 >
           (u128)b->total * s->member.weight * (1000 + b->epsilon_permille);
}

static bool below_band(const struct balance *b, const struct shard *s)
{
    return (u128)s->load * b->member_weight * 1000 <
           (u128)b->total * s->member.weight * (1000 - b->epsilon_permille);
}

static struct shard *emptiest(const struct balance *b)
{
    struct shard *best = &b->shards[0];
    for (uint32_t i = 1; i < b->shard_count; i++) {
        if (compare_level(&b->shards[i], best) < 0)
            best = &b->shards[i];
    }
    return best;
}

/* Among those not passed over; NULL when there is none. */
static struct shard *fullest(const struct balance *b)
{
    struct shard *best = NULL;
    for (uint32_t i = 0; i < b->shard_count; i++) {
        struct shard *s = &b->shards[i];
        if (!s->passed_over && (best == NULL || compare_level(s, best) > 0))
            best = s;
    }
    return best;
}

/* ---- ownership by rank ---- */

static struct shard *shard_find(const struct balance *b, uint16_t number)
{
    uint32_t low = 0;
    uint32_t high = b->shard_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (b->shards[middle].member.shard < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->shard_count && b->shards[low].member.shard == number ? &b->shards[low] : NULL;
}

static void give(struct balance *b, struct shard *to, uint32_t rank)
{
    mu_bitset_set(to->ranks, rank);
    to->load += b->rank[rank].weight;
    b->owner[b->rank[rank].bucket] = to->member.shard;
}

static void take(struct balance *b, struct shard *from, uint32_t rank)
{
    MU_ASSERT(mu_bitset_test(from->ranks, rank) && from->load >= b->rank[rank].weight);
    mu_bitset_clear(from->ranks, rank);
    from->load -= b->rank[rank].weight;
}

/* The highest rank of this shard below `end`; MU_BUCKETS when there is none. */
static uint32_t rank_before(const struct shard *s, uint32_t end)
{
    uint32_t word = end / 64;
    uint64_t bits = end % 64 == 0 ? 0 : s->ranks[word] & ((UINT64_C(1) << (end % 64)) - 1);
    while (bits == 0) {
        if (word == 0)
            return MU_BUCKETS;
        bits = s->ranks[--word];
    }
    return word * 64 + 63 - (uint32_t)__builtin_clzll(bits);
}

/* Number of ranks that weigh at most `limit`. */
static uint32_t ranks_up_to(const struct balance *b, uint64_t limit)
{
    uint32_t low = 0;
    uint32_t high = b->rank_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (b->rank[middle].weight <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- the two steps ---- */

static void place_orphans(struct balance *b)
{
    for (uint32_t rank = b->rank_count; rank-- > 0;) {
        if (b->owner[b->rank[rank].bucket] == MU_BUCKET_NONE)
            give(b, emptiest(b), rank);
    }
}

/* The bucket to move, by the rules above; MU_BUCKETS when there is none. */
static uint32_t choose_rank(const struct balance *b, const struct shard *from,
                            const struct shard *to)
{
    uint64_t excess = from->load > share_ceil(b, from) ? from->load - share_ceil(b, from) : 0;
    uint64_t room = to->load < share_floor(b, to) ? share_floor(b, to) - to->load : 0;
    uint32_t rank = rank_before(from, ranks_up_to(b, excess < room ? excess : room));
    if (rank != MU_BUCKETS)
        return rank;
    rank = mu_bitset_next(from->ranks, MU_BUCKETS, 0);
    if (rank == MU_BUCKETS)
        return MU_BUCKETS;
    /* (to + w) / to.weight <= (from - w) / from.weight */
    uint64_t w = b->rank[rank].weight;
    MU_ASSERT(from->load >= w);
    bool keeps_order =
        (u128)(to->load + w) * from->member.weight <= (u128)(from->load - w) * to->member.weight;
    return keeps_order ? rank : MU_BUCKETS;
}

static void even_out(struct balance *b)
{
    for (;;) {
        struct shard *from = fullest(b);
        struct shard *to = emptiest(b);
        if (from == NULL || from == to || (!above_band(b, from) && !below_band(b, to)))
            return;
        uint32_t rank = choose_rank(b, from, to);
        if (rank == MU_BUCKETS) {
            from->passed_over = true;
            continue;
        }
        take(b, from, rank);
        give(b, to, rank);
        MU_VERIFY(compare_level(to, from) <= 0 || to->load <= share_floor(b, to));
    }
}

/* ---- putting it together ---- */

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return (x->bucket < y->bucket) - (x->bucket > y->bucket); /* falling */
}

/* Make b the class of buckets with (or without) weight, as they are owned in b->owner. */
static void load_class(struct balance *b, const uint32_t *weights, bool weighted)
{
    b->rank_count = 0;
    b->total = 0;
    for (uint32_t i = 0; i < MU_BUCKETS; i++) {
        if ((weights[i] != 0) != weighted)
            continue;
        struct ranked ranked = {weighted ? weights[i] : 1, (uint16_t)i};
        b->rank[b->rank_count++] = ranked;
        b->total += ranked.weight;
    }
    qsort(b->rank, b->rank_count, sizeof b->rank[0], compare_ranked);
    for (uint32_t i = 0; i < b->shard_count; i++) {
        struct shard *s = &b->shards[i];
        s->load = 0;
        s->passed_over = false;
        memset(s->ranks, 0, sizeof s->ranks);
    }
    for (uint32_t rank = 0; rank < b->rank_count; rank++) {
        uint16_t owner = b->owner[b->rank[rank].bucket];
        if (owner == MU_BUCKET_NONE)
            continue;
        struct shard *s = shard_find(b, owner);
        MU_ASSERT(s != NULL); /* what belonged to no member was made an orphan */
        give(b, s, rank);
    }
}

static int compare_shard(const void *a, const void *b)
{
    const struct shard *x = a;
    const struct shard *y = b;
    return (x->member.shard > y->member.shard) - (x->member.shard < y->member.shard);
}

static int load_members(struct balance *b, const struct mu_bucket_member *members, uint32_t count,
                        struct mu_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (members[i].shard >= MU_SHARDS_MAX)
            return mu_error_set(error, MU_EINVAL, "member %u: shard %u, expected below %u", i,
                                members[i].shard, MU_SHARDS_MAX);
        if (members[i].weight == 0)
            return mu_error_set(error, MU_EINVAL, "shard %u: weight 0, expected at least 1",
                                members[i].shard);
        b->shards[i].member = members[i];
        b->member_weight += members[i].weight;
    }
    qsort(b->shards, count, sizeof b->shards[0], compare_shard);
    for (uint32_t i = 1; i < count; i++) {
        if (b->shards[i].member.shard == b->shards[i - 1].member.shard)
            return mu_error_set(error, MU_EINVAL, "shard %u: named twice among the members",
                                b->shards[i].member.shard);
    }
    b->shard_count = count;
    return 0;
}

static int check_input(const struct mu_bucket_table *old, uint32_t member_count,
                       uint32_t epsilon_permille, struct mu_error *error)
{
    if (member_count == 0 || member_count > MU_SHARDS_MAX)
        return mu_error_set(error, MU_EINVAL, "bucket table: %u members, expected 1 to %u",
                            member_count, MU_SHARDS_MAX);
    if (epsilon_permille > EPSILON_MAX_PERMILLE)
        return mu_error_set(error, MU_EINVAL, "bucket table: epsilon %u, expected at most %d",
                            epsilon_permille, EPSILON_MAX_PERMILLE);
    if (old->hash_version != MU_BUCKET_HASH_XXH64)
        return mu_error_set(error, MU_EINVAL, "bucket table: hash version %u, expected %u",
                            old->hash_version, MU_BUCKET_HASH_XXH64);
    return 0;
}

int mu_bucket_table_next(const struct mu_bucket_table *old, const struct mu_bucket_member *members,
                         uint32_t member_count, const uint32_t *weights, uint32_t epsilon_permille,
                         struct mu_bucket_table *next, struct mu_error *error)
{
    int rc = check_input(old, member_count, epsilon_permille, error);
    if (rc != 0)
        return rc;
    struct balance *b = mu_mem_zalloc(sizeof *b);
    struct shard *shards = mu_mem_calloc(member_count, sizeof *shards);
    if (b == NULL || shards == NULL) {
        rc = mu_error_set(error, MU_ENOMEM, "bucket table: no memory for %u members", member_count);
        goto out;
    }
    b->shards = shards;
    b->epsilon_permille = epsilon_permille;
    rc = load_members(b, members, member_count, error);
    if (rc != 0)
        goto out;
    for (uint32_t i = 0; i < MU_BUCKETS; i++)
        b->owner[i] = shard_find(b, old->owner[i]) != NULL ? old->owner[i] : MU_BUCKET_NONE;
    for (int weighted = 1; weighted >= 0; weighted--) {
        load_class(b, weights, weighted);
        place_orphans(b);
        even_out(b);
    }
    bool moved = memcmp(b->owner, old->owner, sizeof b->owner) != 0;
    next->epoch = old->epoch + (moved ? 1 : 0);
    next->hash_version = old->hash_version;
    memcpy(next->owner, b->owner, sizeof b->owner);
out:
    mu_mem_free(shards);
    mu_mem_free(b);
    return rc;
}

uint32_t mu_bucket_imbalance_permille(const struct mu_bucket_table *table,
                                      const struct mu_bucket_member *members, uint32_t member_count,
                                      const uint32_t *weights)
{
    uint64_t load[MU_SHARDS_MAX] = {0};
    uint64_t total = 0;
    uint64_t member_weight = 0;
    for (uint32_t i = 0; i < MU_BUCKETS; i++) {
        total += weights[i];
        if (table->owner[i] < MU_SHARDS_MAX)
            load[table->owner[i]] += weights[i];
    }
    for (uint32_t i = 0; i < member_count; i++)
        member_weight += members[i].weight;
    uint32_t worst = total == 0 ? 1000 : 0;
    for (uint32_t i = 0; total != 0 && i < member_count; i++) {
        MU_ASSERT(members[i].shard < MU_SHARDS_MAX && members[i].weight > 0);
        u128 permille =
            (u128)load[members[i].shard] * member_weight * 1000 / ((u128)total * members[i].weight);
        uint32_t cut = permille > UINT32_MAX ? UINT32_MAX : (uint32_t)permille;
        worst = cut > worst ? cut : worst;
    }
    return worst;
}
