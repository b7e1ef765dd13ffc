#ifndef MU_ENGINE_MODEL_INTERN_H
#define MU_ENGINE_MODEL_INTERN_H
/*
 * An interning table: content, given as bytes, becomes a numbered, immutable, shared entry. Equal
 * bytes have equal numbers. The model's tables are of this kind; it is private to the engine.
 *
 * An entry is one block: a head of the table's own (a struct that points into the rest), then the
 * key itself, aligned to 16, then room for what is decoded from it, aligned to 16. Blocks and the
 * directory that finds them never move.
 *
 * One writer makes every call but the inline readers at the end. Those may run in any thread that
 * learned the number by a hand-over, until the entry is freed.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/assert.h"
#include "engine/base/index.h"

#define MU_INTERN_CHUNK_LOG2 10u
#define MU_INTERN_CHUNK      (1u << MU_INTERN_CHUNK_LOG2)
#define MU_INTERN_NONE       MU_INDEX_NONE

struct mu_intern_key {
    const void *data; /* may be NULL when bytes is 0 */
    uint32_t bytes;
    uint64_t hash; /* of data, by one seed for the table's whole life */
};

struct mu_intern_meta; /* the writer's record of an entry */

struct mu_intern {
    /* Constant after init: what readers touch, away from the writer's cache lines. */
    void ***directory; /* [chunk][slot] -> block; chunks appear as they are needed */
    uint32_t entries_max;
    uint32_t head_bytes; /* multiple of 16 */
    /* The writer's. */
    _Alignas(64) struct mu_intern_meta **metas; /* [chunk][slot] */
    struct mu_index *index;
    /* Numbers ever used are [0, bound). Writer: the one; readers: any thread that sizes a cache.
     * Release here pairs with acquire in mu_intern_bound. */
    _Atomic uint32_t bound;
    uint32_t free_head;   /* freed numbers */
    uint32_t retired_old; /* entries without references, in the order of their generation */
    uint32_t retired_new;
};

/* Set up for at most entries_max entries with heads of head_bytes. Errors: MU_ENOMEM; *table is
 * then as after fini. fini of a zeroed table is fine. */
int mu_intern_init(struct mu_intern *table, uint32_t entries_max, uint32_t head_bytes);
void mu_intern_fini(struct mu_intern *table);

/* The number of an entry, retired ones included, without a reference; MU_INTERN_NONE: absent. */
uint32_t mu_intern_find(const struct mu_intern *table, const struct mu_intern_key *key);
/* Add a key that is absent, with one reference. *head is zeroed, for the caller to fill before
 * anyone can read it, and so are `extra_bytes` behind the key. Errors: MU_ENOMEM, MU_ELIMIT;
 * nothing changed. Cost: O(bytes). */
int mu_intern_insert(struct mu_intern *table, const struct mu_intern_key *key, uint32_t extra_bytes,
                     uint32_t *ix, void **head);
/* The room behind the key of an entry. Thread: the writer's; its address stays for all. */
void *mu_intern_extra(const struct mu_intern *table, uint32_t ix);
/* One reference more; revives a retired entry. */
void mu_intern_ref(struct mu_intern *table, uint32_t ix);
/* One less. At zero the entry is retired: kept, and found by its key, until it is freed. */
void mu_intern_unref(struct mu_intern *table, uint32_t ix, uint64_t generation);
/* The entry that has been retired longest, if that was at a generation <= safe_generation, with
 * the generation that it was retired at; else MU_INTERN_NONE. */
uint32_t mu_intern_oldest(const struct mu_intern *table, uint64_t safe_generation,
                          uint64_t *generation);
/* Free a retired entry: its number will be used again. */
void mu_intern_free(struct mu_intern *table, uint32_t ix);
/* Entries that can be found, retired ones included. */
uint32_t mu_intern_count(const struct mu_intern *table);

/* One past the largest number ever used. Thread: any. */
static inline uint32_t mu_intern_bound(const struct mu_intern *table)
{
    return atomic_load_explicit(&table->bound, memory_order_acquire);
}
/* Head and key of an entry; valid until it is freed. */
static inline void *mu_intern_head(const struct mu_intern *table, uint32_t ix)
{
    MU_ASSERT(ix < table->entries_max);
    void *block = table->directory[ix >> MU_INTERN_CHUNK_LOG2][ix & (MU_INTERN_CHUNK - 1)];
    MU_ASSERT(block != NULL);
    return block;
}
static inline void *mu_intern_key_data(const struct mu_intern *table, uint32_t ix)
{
    return (unsigned char *)mu_intern_head(table, ix) + table->head_bytes;
}

#endif
