#ifndef MU_SHARDS_BUCKET_H
#define MU_SHARDS_BUCKET_H
/*
 * Who owns a node: the sticky bucket table. bucket = hash(key) mod 16,384; the table says which
 * shard owns a bucket. The next table is a deterministic integer function of (old table, members,
 * bucket weights), so that anyone can verify it: orphaned buckets go to the relatively emptiest
 * shard, then buckets move from the fullest to the emptiest until all are within 1 +- epsilon of
 * their share. Nothing else moves (sticky).
 */
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"
#include "shards/limits.h"

#define MU_BUCKET_NONE       UINT16_MAX
#define MU_BUCKET_HASH_XXH64 1u /* version of the hash: mu_hash_stable */

struct mu_bucket_member {
    uint16_t shard;  /* its number, < MU_SHARDS_MAX */
    uint32_t weight; /* > 0: its share of the capacity */
};
struct mu_bucket_table {
    uint64_t epoch; /* advanced by compare-and-swap with every change */
    uint32_t hash_version;
    uint16_t owner[MU_BUCKETS]; /* shard, or MU_BUCKET_NONE */
};

/* An empty table: epoch 0, no owners. */
void mu_bucket_table_init(struct mu_bucket_table *table);
uint32_t mu_bucket_of(struct mu_str key);
/* Compute the successor of *old. weights: one per bucket (scalarised capacity, rounded; may be 0).
 * epsilon_permille: how far from its share a shard may stay (20 = 2 %), where its buckets are small
 * enough. *next (may be *old) has epoch old + 1 (the same table with the same epoch when nothing
 * moves). The order of the members does not matter. Errors, *next unchanged: MU_EINVAL (no member,
 * weight 0, duplicate or too large shard number, epsilon above 1000, another hash version),
 * MU_ENOMEM. Thread: any. Cost: O(buckets log buckets + placed buckets * members). */
int mu_bucket_table_next(const struct mu_bucket_table *old, const struct mu_bucket_member *members,
                         uint32_t member_count, const uint32_t *weights, uint32_t epsilon_permille,
                         struct mu_bucket_table *next, struct mu_error *error);
/* Largest load / fair share over members, in thousandths, rounded down (1000 = perfectly even).
 * Members as mu_bucket_table_next accepts them. */
uint32_t mu_bucket_imbalance_permille(const struct mu_bucket_table *table,
                                      const struct mu_bucket_member *members, uint32_t member_count,
                                      const uint32_t *weights);

#endif
