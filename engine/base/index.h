#ifndef MU_ENGINE_BASE_INDEX_H
#define MU_ENGINE_BASE_INDEX_H
/*
 * A hash index: hash -> 32-bit value (a record's index), keys live in the records.
 *
 * Open addressing in 8-byte slots (32-bit tag of the hash, 32-bit value + 1), split by the top
 * bits of the hash into segments that grow one at a time, so that no insertion moves more than one
 * segment (bounded at MU_INDEX_SEGMENT_SLOTS_MAX; segments beyond that split in two). One writer;
 * readers only in the writer's thread.
 *
 * Only the upper 32 bits of a hash are used, and all of them should vary (XXH3 does). Where keys
 * come from outside, hash them with a seed that outsiders do not know.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_index; /* opaque */

#define MU_INDEX_NONE              UINT32_MAX
#define MU_INDEX_SEGMENT_SLOTS_MAX 4096u /* 32 KiB: what one insertion may move */

/* True when the record `value` has the key behind `key`. */
typedef bool (*mu_index_equal_fn)(const void *context, uint32_t value, const void *key);
/* The full hash of record `value`: MU_VERIFY checks by it that no key changed under the index. It
 * is asked of values whose insertion has returned. */
typedef uint64_t (*mu_index_hash_fn)(const void *context, uint32_t value);

/* Create with room for count_hint entries. `context` is passed to both callbacks and must outlive
 * the index. Owns: caller. Errors: NULL when out of memory. */
struct mu_index *mu_index_create(uint32_t count_hint, mu_index_equal_fn equal,
                                 mu_index_hash_fn hash_of, const void *context);
void mu_index_destroy(struct mu_index *index);
/* The value with this key, or MU_INDEX_NONE. Cost: O(1). */
uint32_t mu_index_find(const struct mu_index *index, uint64_t hash, const void *key);
/* Add a value (not MU_INDEX_NONE) whose key is known to be absent. Errors: MU_ENOMEM; nothing
 * changed. Cost: O(1); at worst one segment is rehashed and the directory (one word per segment)
 * copied. */
int mu_index_insert(struct mu_index *index, uint64_t hash, uint32_t value);
/* Remove exactly this value; asserts that it was there. */
void mu_index_remove(struct mu_index *index, uint64_t hash, uint32_t value);
/* Start loading the slot of `hash`: worth 2x in batches of 16. */
void mu_index_prefetch(const struct mu_index *index, uint64_t hash);
uint32_t mu_index_count(const struct mu_index *index);
size_t mu_index_bytes(const struct mu_index *index);

#endif
