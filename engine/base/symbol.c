#include "engine/base/symbol.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"

/*
 * A symbol is a record in a block of BLOCK_SYMBOLS records; the table of block addresses is
 * allocated once for the stated maximum. Neither ever moves, and a text is a block of its own: a
 * reader that got an id by a hand-over reads what the writer wrote before that hand-over and
 * nothing that is written later (references and list links are the writer's alone).
 *
 * States of an id:
 *
 *     free --intern--> used (refs > 0) --last unref--> retired --reclaim--> free
 *                        ^-----------intern, ref------------'
 *
 * Retired symbols stay in the index, so that the same text finds the same id, and wait in a doubly
 * linked list in the order of their generation: retiring, reviving and reclaiming are O(1) and
 * allocate nothing. The list is kept sorted by taking a generation below the newest for the newest,
 * which delays a reclaim and never hastens one.
 */

enum { BLOCK_LOG2 = 12, BLOCK_SYMBOLS = 1 << BLOCK_LOG2, INDEX_HINT = 1024, RECENT_LOG2 = 11 };

#define NONE UINT32_MAX

/* A million nodes have a symbol each for their names: what only retired ones need shares the place
 * of what only used ones do. */
struct record {
    const char *text; /* NUL-terminated, owned; NULL: a free id */
    uint32_t len;
    union {
        uint32_t refs; /* used */
        uint32_t next; /* retired: newer neighbour; free: next free id */
    };
    uint32_t prev;       /* retired: older neighbour; USED: it is not retired */
    uint32_t generation; /* retired: of the last unref, its low half (generation_of) */
};
_Static_assert(sizeof(struct record) == 24, "no padding");
#define USED (UINT32_MAX - 1)

struct mu_symtab {
    struct record **blocks; /* fixed length; NULL: not yet needed */
    uint32_t blocks_max;
    uint32_t symbols_max;
    uint32_t bound;       /* ids ever used: [0, bound) */
    uint32_t free_head;   /* list of free ids below bound */
    uint32_t retired_old; /* ends of the list of retired ids */
    uint32_t retired_new;
    uint64_t retired_last; /* generation that was appended last: none in the list is newer */
    struct mu_index *index;
    uint32_t *recent; /* 2^RECENT_LOG2 ids that were found lately, by recent_slot() */
    uint64_t seed;    /* random: texts come from outside */
    size_t bytes;     /* without the index */
};

static struct record *record_of(const struct mu_symtab *table, uint32_t id)
{
    MU_ASSERT(id < table->bound);
    return &table->blocks[id >> BLOCK_LOG2][id & (BLOCK_SYMBOLS - 1)];
}

/* The generation of a retired symbol, from its low half: none is newer than the last one. One that
 * is 2^32 generations old is taken for a newer one, which delays its reclaim. */
static uint64_t generation_of(const struct mu_symtab *table, const struct record *r)
{
    return table->retired_last - (uint32_t)((uint32_t)table->retired_last - r->generation);
}

static struct mu_str record_text(const struct record *r)
{
    return (struct mu_str){r->text, r->len};
}

static bool text_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_str *text = key;
    return mu_str_equal(record_text(record_of(context, value)), *text);
}

static uint64_t text_hash(const void *context, uint32_t value)
{
    const struct mu_symtab *table = context;
    return mu_hash_str(record_text(record_of(table, value)), table->seed);
}

/* ---- create, destroy ---- */

struct mu_symtab *mu_symtab_create(uint32_t symbols_max)
{
    MU_ASSERT(symbols_max > 0 && symbols_max <= USED);
    struct mu_symtab *table = mu_mem_zalloc(sizeof *table);
    if (table == NULL)
        return NULL;
    struct mu_random random;
    mu_random_init_kernel(&random);
    table->seed = mu_random_u64(&random);
    table->symbols_max = symbols_max;
    table->blocks_max = (uint32_t)(((uint64_t)symbols_max + BLOCK_SYMBOLS - 1) >> BLOCK_LOG2);
    table->free_head = table->retired_old = table->retired_new = NONE;
    table->blocks = mu_mem_calloc(table->blocks_max, sizeof(struct record *));
    table->index = mu_index_create(INDEX_HINT, text_equal, text_hash, table);
    table->bytes = sizeof *table + table->blocks_max * sizeof(struct record *);
    table->recent = mu_mem_calloc((size_t)1 << RECENT_LOG2, sizeof *table->recent);
    table->bytes += sizeof *table->recent << RECENT_LOG2;
    struct mu_symbol empty; /* id 0, which `recent` is full of at first */
    if (table->blocks == NULL || table->index == NULL || table->recent == NULL ||
        mu_symbol_intern(table, MU_STR(""), &empty) != 0) {
        mu_symtab_destroy(table);
        return NULL;
    }
    MU_ASSERT(empty.v == 0);
    return table;
}

void mu_symtab_destroy(struct mu_symtab *table)
{
    if (table == NULL)
        return;
    for (uint32_t id = 0; table->blocks != NULL && id < table->bound; id++)
        mu_mem_free((void *)(uintptr_t)record_of(table, id)->text);
    for (uint32_t i = 0; table->blocks != NULL && i < table->blocks_max; i++)
        mu_mem_free(table->blocks[i]);
    mu_mem_free(table->blocks);
    mu_mem_free(table->recent);
    mu_index_destroy(table->index);
    mu_mem_free(table);
}

/* ---- the list of retired symbols ---- */

static void retired_append(struct mu_symtab *table, uint32_t id, uint64_t generation)
{
    struct record *r = record_of(table, id);
    MU_ASSERT(r->prev == USED);
    r->next = NONE;
    r->prev = table->retired_new;
    if (r->prev == NONE) {
        table->retired_old = id;
        table->retired_last = generation;
    } else {
        record_of(table, r->prev)->next = id;
    }
    if (generation > table->retired_last)
        table->retired_last = generation;
    r->generation = (uint32_t)table->retired_last;
    table->retired_new = id;
}

static void retired_remove(struct mu_symtab *table, uint32_t id)
{
    struct record *r = record_of(table, id);
    if (r->prev == NONE)
        table->retired_old = r->next;
    else
        record_of(table, r->prev)->next = r->next;
    if (r->next == NONE)
        table->retired_new = r->prev;
    else
        record_of(table, r->next)->prev = r->prev;
    r->prev = USED;
}

/* ---- intern ---- */

/* An id whose record is ready to be written; not yet taken. Errors: MU_ELIMIT, MU_ENOMEM. */
static int id_find_free(struct mu_symtab *table, uint32_t *id)
{
    if (table->free_head != NONE) {
        *id = table->free_head;
        return 0;
    }
    if (table->bound == table->symbols_max)
        return MU_ELIMIT;
    struct record **block = &table->blocks[table->bound >> BLOCK_LOG2];
    if (*block == NULL) {
        *block = mu_mem_calloc(BLOCK_SYMBOLS, sizeof **block);
        if (*block == NULL)
            return MU_ENOMEM;
        table->bytes += BLOCK_SYMBOLS * sizeof **block;
    }
    *id = table->bound;
    return 0;
}

static void id_take(struct mu_symtab *table, uint32_t id)
{
    if (id == table->bound)
        table->bound++;
    else
        table->free_head = record_of(table, id)->next;
}

static int intern_new(struct mu_symtab *table, struct mu_str text, uint64_t hash, uint32_t *id)
{
    int error = id_find_free(table, id);
    if (error != 0)
        return error;
    char *copy = mu_mem_alloc((size_t)text.len + 1);
    if (copy == NULL)
        return MU_ENOMEM;
    error = mu_index_insert(table->index, hash, *id);
    if (error != 0) {
        mu_mem_free(copy);
        return error;
    }
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    id_take(table, *id);
    *record_of(table, *id) =
        (struct record){.text = copy, .len = text.len, .refs = 1, .prev = USED};
    table->bytes += (size_t)text.len + 1;
    return 0;
}

/* Where a text is among the recent ones: by its length and ends, which is quicker than a hash.
 * Texts that meet there push each other out and are found by the index. */
static uint32_t recent_slot(struct mu_str text)
{
    uint64_t first = 0, last = 0;
    if (text.len >= 8) {
        memcpy(&first, text.data, 8);
        memcpy(&last, text.data + text.len - 8, 8);
    } else if (text.len >= 4) {
        memcpy(&first, text.data, 4);
        memcpy(&last, text.data + text.len - 4, 4);
    } else if (text.len > 0) {
        first = (unsigned char)text.data[0];
        last = (uint64_t)(unsigned char)text.data[text.len / 2] << 8 |
               (unsigned char)text.data[text.len - 1];
    }
    uint64_t mixed = (first ^ (last << 29 | last >> 35)) + text.len;
    return (uint32_t)(mixed * UINT64_C(0x9E3779B97F4A7C15) >> (64 - RECENT_LOG2));
}

/* A recent id proves nothing by itself, it may have been freed since: its text does. */
bool mu_symbol_find(const struct mu_symtab *table, struct mu_str text, struct mu_symbol *out)
{
    uint32_t *recent = &table->recent[recent_slot(text)];
    if (*recent < table->bound) { /* an empty table has not even id 0 */
        const struct record *r = record_of(table, *recent);
        if (r->text != NULL && mu_str_equal(record_text(r), text)) {
            *out = (struct mu_symbol){*recent};
            return true;
        }
    }
    uint32_t id = mu_index_find(table->index, mu_hash_str(text, table->seed), &text);
    if (id == MU_INDEX_NONE)
        return false;
    *recent = id;
    *out = (struct mu_symbol){id};
    return true;
}

int mu_symbol_intern(struct mu_symtab *table, struct mu_str text, struct mu_symbol *out)
{
    if (mu_symbol_find(table, text, out)) {
        mu_symbol_ref(table, *out);
        return 0;
    }
    uint32_t id;
    int error = intern_new(table, text, mu_hash_str(text, table->seed), &id);
    if (error == 0)
        *out = (struct mu_symbol){id};
    return error;
}

/* ---- references ---- */

void mu_symbol_ref(struct mu_symtab *table, struct mu_symbol symbol)
{
    if (symbol.v == 0)
        return;
    struct record *r = record_of(table, symbol.v);
    MU_ASSERT(r->text != NULL);
    if (r->prev != USED) {
        retired_remove(table, symbol.v);
        r->refs = 0;
    }
    MU_ASSERT(r->refs < UINT32_MAX);
    r->refs++;
}

void mu_symbol_unref(struct mu_symtab *table, struct mu_symbol symbol, uint64_t generation)
{
    if (symbol.v == 0)
        return;
    struct record *r = record_of(table, symbol.v);
    MU_ASSERT(r->text != NULL && r->prev == USED && r->refs > 0);
    if (--r->refs == 0)
        retired_append(table, symbol.v, generation);
}

uint32_t mu_symtab_reclaim(struct mu_symtab *table, uint64_t safe_generation, uint32_t budget)
{
    uint32_t freed = 0;
    while (freed < budget && table->retired_old != NONE) {
        uint32_t id = table->retired_old;
        struct record *r = record_of(table, id);
        MU_ASSERT(r->prev != USED && r->text != NULL);
        if (generation_of(table, r) > safe_generation)
            break;
        mu_index_remove(table->index, text_hash(table, id), id);
        retired_remove(table, id);
        table->bytes -= (size_t)r->len + 1;
        mu_mem_free((void *)(uintptr_t)r->text);
        *r = (struct record){.next = table->free_head, .prev = USED};
        table->free_head = id;
        freed++;
    }
    return freed;
}

/* ---- reading ---- */

struct mu_str mu_symbol_str(const struct mu_symtab *table, struct mu_symbol symbol)
{
    /* No check against `bound`: that is the writer's, and this may run in another thread. */
    const struct record *block = table->blocks[symbol.v >> BLOCK_LOG2];
    const struct record *r = &block[symbol.v & (BLOCK_SYMBOLS - 1)];
    MU_ASSERT(r->text != NULL);
    return record_text(r);
}

uint32_t mu_symtab_count(const struct mu_symtab *table)
{
    return mu_index_count(table->index);
}

size_t mu_symtab_bytes(const struct mu_symtab *table)
{
    return table->bytes + mu_index_bytes(table->index);
}
