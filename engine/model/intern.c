#include "engine/model/intern.h"

#include <string.h>

#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * States of a number, as of a symbol (engine/base/symbol.c):
 *
 *     free --insert--> used (refs > 0) --last unref--> retired --free--> free
 *                        ^------------ ref ----------------'
 *
 * Invariants: the index holds exactly the used and the retired numbers; the retired ones are in a
 * doubly linked list, oldest generation first (a generation below the newest is taken for the
 * newest: that delays freeing and never hastens it); free numbers below the bound are in a singly
 * linked list and have no block.
 *
 * The writer's records are kept apart from the blocks: counting a reference must not take the
 * cache line of content that sessions read.
 */

struct mu_intern_meta {
    uint64_t hash;
    uint64_t generation; /* retired: of the last unref */
    uint32_t key_bytes;
    uint32_t refs;
    uint32_t next; /* retired: newer neighbour; free: next free number */
    uint32_t prev; /* retired: older neighbour */
};

enum { INDEX_HINT = 64, ALIGNMENT = 16 };

static struct mu_intern_meta *meta_of(const struct mu_intern *table, uint32_t ix)
{
    return &table->metas[ix >> MU_INTERN_CHUNK_LOG2][ix & (MU_INTERN_CHUNK - 1)];
}

static void **block_of(const struct mu_intern *table, uint32_t ix)
{
    return &table->directory[ix >> MU_INTERN_CHUNK_LOG2][ix & (MU_INTERN_CHUNK - 1)];
}

static bool key_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_intern *table = context;
    const struct mu_intern_key *wanted = key;
    const struct mu_intern_meta *meta = meta_of(table, value);
    return meta->hash == wanted->hash && meta->key_bytes == wanted->bytes &&
           (wanted->bytes == 0 ||
            memcmp(mu_intern_key_data(table, value), wanted->data, wanted->bytes) == 0);
}

static uint64_t key_hash(const void *context, uint32_t value)
{
    return meta_of(context, value)->hash;
}

static uint32_t chunks_max(const struct mu_intern *table)
{
    return (table->entries_max + MU_INTERN_CHUNK - 1) >> MU_INTERN_CHUNK_LOG2;
}

int mu_intern_init(struct mu_intern *table, uint32_t entries_max, uint32_t head_bytes)
{
    MU_ASSERT(entries_max > 0 && entries_max < MU_INTERN_NONE - MU_INTERN_CHUNK);
    MU_ASSERT(head_bytes % ALIGNMENT == 0);
    memset(table, 0, sizeof *table);
    table->entries_max = entries_max;
    table->head_bytes = head_bytes;
    table->free_head = table->retired_old = table->retired_new = MU_INTERN_NONE;
    table->directory = mu_mem_calloc(chunks_max(table), sizeof *table->directory);
    table->metas = mu_mem_calloc(chunks_max(table), sizeof *table->metas);
    table->index = mu_index_create(INDEX_HINT, key_equal, key_hash, table);
    if (table->directory == NULL || table->metas == NULL || table->index == NULL) {
        mu_intern_fini(table);
        return MU_ENOMEM;
    }
    return 0;
}

void mu_intern_fini(struct mu_intern *table)
{
    uint32_t bound = mu_intern_bound(table);
    for (uint32_t ix = 0; ix < bound; ix++)
        mu_mem_free(*block_of(table, ix));
    for (uint32_t chunk = 0; table->directory != NULL && chunk < chunks_max(table); chunk++)
        mu_mem_free(table->directory[chunk]);
    for (uint32_t chunk = 0; table->metas != NULL && chunk < chunks_max(table); chunk++)
        mu_mem_free(table->metas[chunk]);
    mu_mem_free(table->directory);
    mu_mem_free(table->metas);
    mu_index_destroy(table->index);
    memset(table, 0, sizeof *table);
}

/* ---- the list of retired entries ---- */

static void retired_append(struct mu_intern *table, uint32_t ix, uint64_t generation)
{
    struct mu_intern_meta *meta = meta_of(table, ix);
    meta->next = MU_INTERN_NONE;
    meta->prev = table->retired_new;
    meta->generation = generation;
    if (meta->prev == MU_INTERN_NONE) {
        table->retired_old = ix;
    } else {
        struct mu_intern_meta *prev = meta_of(table, meta->prev);
        if (prev->generation > generation)
            meta->generation = prev->generation;
        prev->next = ix;
    }
    table->retired_new = ix;
}

static void retired_remove(struct mu_intern *table, uint32_t ix)
{
    const struct mu_intern_meta *meta = meta_of(table, ix);
    if (meta->prev == MU_INTERN_NONE)
        table->retired_old = meta->next;
    else
        meta_of(table, meta->prev)->next = meta->next;
    if (meta->next == MU_INTERN_NONE)
        table->retired_new = meta->prev;
    else
        meta_of(table, meta->next)->prev = meta->prev;
}

/* ---- entries ---- */

uint32_t mu_intern_find(const struct mu_intern *table, const struct mu_intern_key *key)
{
    return mu_index_find(table->index, key->hash, key);
}

/* A number whose slots exist, not yet taken. Chunks that a failure leaves behind serve the next
 * call. Errors: MU_ELIMIT, MU_ENOMEM. */
static int number_find_free(struct mu_intern *table, uint32_t *ix)
{
    if (table->free_head != MU_INTERN_NONE) {
        *ix = table->free_head;
        return 0;
    }
    uint32_t bound = mu_intern_bound(table);
    if (bound == table->entries_max)
        return MU_ELIMIT;
    uint32_t chunk = bound >> MU_INTERN_CHUNK_LOG2;
    if (table->metas[chunk] == NULL)
        table->metas[chunk] = mu_mem_calloc(MU_INTERN_CHUNK, sizeof **table->metas);
    if (table->directory[chunk] == NULL)
        table->directory[chunk] = mu_mem_calloc(MU_INTERN_CHUNK, sizeof **table->directory);
    if (table->metas[chunk] == NULL || table->directory[chunk] == NULL)
        return MU_ENOMEM;
    *ix = bound;
    return 0;
}

static void number_take(struct mu_intern *table, uint32_t ix)
{
    if (ix == table->free_head)
        table->free_head = meta_of(table, ix)->next;
    else
        atomic_store_explicit(&table->bound, ix + 1, memory_order_release);
}

/* Where the room behind the key begins, from the head. */
static size_t extra_offset(const struct mu_intern *table, uint32_t key_bytes)
{
    return ((size_t)table->head_bytes + key_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

int mu_intern_insert(struct mu_intern *table, const struct mu_intern_key *key, uint32_t extra_bytes,
                     uint32_t *ix, void **head)
{
    MU_VERIFY(mu_intern_find(table, key) == MU_INTERN_NONE);
    MU_ASSERT(table->head_bytes + key->bytes > 0);
    uint32_t number;
    int status = number_find_free(table, &number);
    if (status != 0)
        return status;
    size_t bytes = (size_t)table->head_bytes + key->bytes;
    if (extra_bytes != 0)
        bytes = extra_offset(table, key->bytes) + extra_bytes;
    unsigned char *block = mu_mem_alloc(bytes);
    if (block == NULL)
        return MU_ENOMEM;
    status = mu_index_insert(table->index, key->hash, number);
    if (status != 0) {
        mu_mem_free(block);
        return status;
    }
    memset(block, 0, table->head_bytes);
    if (key->bytes > 0)
        memcpy(block + table->head_bytes, key->data, key->bytes);
    if (extra_bytes != 0)
        memset(block + extra_offset(table, key->bytes), 0, extra_bytes);
    number_take(table, number);
    *meta_of(table, number) = (struct mu_intern_meta){
        .hash = key->hash,
        .key_bytes = key->bytes,
        .refs = 1,
        .next = MU_INTERN_NONE,
        .prev = MU_INTERN_NONE,
    };
    *block_of(table, number) = block;
    *ix = number;
    *head = block;
    return 0;
}

void *mu_intern_extra(const struct mu_intern *table, uint32_t ix)
{
    return (unsigned char *)mu_intern_head(table, ix) +
           extra_offset(table, meta_of(table, ix)->key_bytes);
}

void mu_intern_ref(struct mu_intern *table, uint32_t ix)
{
    MU_ASSERT(ix < mu_intern_bound(table) && *block_of(table, ix) != NULL);
    struct mu_intern_meta *meta = meta_of(table, ix);
    MU_ASSERT(meta->refs < UINT32_MAX);
    if (meta->refs == 0)
        retired_remove(table, ix);
    meta->refs++;
}

void mu_intern_unref(struct mu_intern *table, uint32_t ix, uint64_t generation)
{
    MU_ASSERT(ix < mu_intern_bound(table) && *block_of(table, ix) != NULL);
    struct mu_intern_meta *meta = meta_of(table, ix);
    MU_ASSERT(meta->refs > 0);
    meta->refs--;
    if (meta->refs == 0)
        retired_append(table, ix, generation);
}

uint32_t mu_intern_oldest(const struct mu_intern *table, uint64_t safe_generation,
                          uint64_t *generation)
{
    uint32_t ix = table->retired_old;
    if (ix == MU_INTERN_NONE || meta_of(table, ix)->generation > safe_generation)
        return MU_INTERN_NONE;
    *generation = meta_of(table, ix)->generation;
    return ix;
}

void mu_intern_free(struct mu_intern *table, uint32_t ix)
{
    struct mu_intern_meta *meta = meta_of(table, ix);
    MU_ASSERT(meta->refs == 0 && *block_of(table, ix) != NULL);
    mu_index_remove(table->index, meta->hash, ix);
    retired_remove(table, ix);
    mu_mem_free(*block_of(table, ix));
    *block_of(table, ix) = NULL;
    meta->next = table->free_head;
    table->free_head = ix;
}

uint32_t mu_intern_count(const struct mu_intern *table)
{
    return mu_index_count(table->index);
}
