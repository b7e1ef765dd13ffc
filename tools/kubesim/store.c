#include "tools/kubesim/store.h"

#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"

#define CHUNK      MU_KUBESIM_CHUNK_OBJECTS
#define CHUNKS_MAX (4 * (MU_KUBESIM_OBJECTS_MAX / CHUNK)) /* chunks are at least a quarter full */

struct chunk {
    uint32_t count; /* > 0 */
    struct mu_kobject *objects[CHUNK];
};

struct table {
    struct chunk **chunks; /* in key order */
    uint32_t chunk_count;
    uint32_t chunk_cap;
    uint32_t count; /* objects */
    struct mu_store_event *ring;
    uint32_t ring_cap; /* a power of two, or 0 */
    uint64_t tail;     /* position of the oldest change kept */
    uint64_t head;     /* position behind the newest */
    uint64_t floor;    /* version of the newest forgotten change */
};

struct mu_store {
    uint64_t version;
    uint32_t kind_count;
    uint32_t history; /* a power of two */
    void (*changed)(void *context, uint32_t kind);
    void *changed_context;
    struct table tables[];
};

/* ---- the ordered map ---------------------------------------------------------------------- */

/* Where an object is, or would go. */
struct place {
    uint32_t chunk;
    uint32_t slot;
    bool found;
};

static int compare_key(const struct mu_kobject *object, struct mu_str ns, struct mu_str name)
{
    int order = mu_str_compare(mu_kobject_ns(object), ns);
    return order != 0 ? order : mu_str_compare(mu_kobject_name(object), name);
}

static struct place locate(const struct table *table, struct mu_str ns, struct mu_str name)
{
    /* The last chunk whose first key is not above the key (or the first chunk). */
    uint32_t low = 0;
    uint32_t high = table->chunk_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_key(table->chunks[middle]->objects[0], ns, name) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    struct place place = {low, 0, false};
    if (table->chunk_count == 0) {
        return place;
    }
    const struct chunk *chunk = table->chunks[low];
    uint32_t from = 0;
    uint32_t to = chunk->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        int order = compare_key(chunk->objects[middle], ns, name);
        if (order == 0) {
            return (struct place){low, middle, true};
        }
        if (order < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    place.slot = from;
    return place;
}

/* Put an empty chunk into the directory at `at`. */
static int add_chunk(struct table *table, uint32_t at)
{
    int code = mu_mem_grow((void **)&table->chunks, &table->chunk_cap, table->chunk_count + 1,
                           CHUNKS_MAX, sizeof table->chunks[0]);
    if (code != 0) {
        return code;
    }
    struct chunk *chunk = mu_mem_alloc(sizeof *chunk);
    if (chunk == NULL) {
        return MU_ENOMEM;
    }
    chunk->count = 0;
    memmove(&table->chunks[at + 1], &table->chunks[at],
            (table->chunk_count - at) * sizeof table->chunks[0]);
    table->chunks[at] = chunk;
    table->chunk_count++;
    return 0;
}

static void drop_chunk(struct table *table, uint32_t at)
{
    MU_ASSERT(table->chunks[at]->count == 0);
    mu_mem_free(table->chunks[at]);
    table->chunk_count--;
    memmove(&table->chunks[at], &table->chunks[at + 1],
            (table->chunk_count - at) * sizeof table->chunks[0]);
}

/* Make room at *place in a full chunk. A key behind everything opens a fresh chunk, so that loading
 * in order leaves full ones; elsewhere the chunk is halved. */
static int split(struct table *table, struct place *place)
{
    struct chunk *left = table->chunks[place->chunk];
    bool append = place->chunk + 1 == table->chunk_count && place->slot == CHUNK;
    int code = add_chunk(table, place->chunk + 1);
    if (code != 0) {
        return code;
    }
    uint32_t keep = append ? CHUNK : CHUNK / 2;
    struct chunk *right = table->chunks[place->chunk + 1];
    right->count = CHUNK - keep;
    memcpy(right->objects, &left->objects[keep], right->count * sizeof right->objects[0]);
    left->count = keep;
    if (place->slot > keep || append) {
        place->chunk++;
        place->slot -= keep;
    }
    return 0;
}

static int insert(struct table *table, struct place place, struct mu_kobject *object)
{
    if (table->count >= MU_KUBESIM_OBJECTS_MAX) {
        return MU_ELIMIT;
    }
    int code = 0;
    if (table->chunk_count == 0) {
        code = add_chunk(table, 0);
    } else if (table->chunks[place.chunk]->count == CHUNK) {
        code = split(table, &place);
    }
    if (code != 0) {
        return code;
    }
    struct chunk *chunk = table->chunks[place.chunk];
    MU_ASSERT(place.slot <= chunk->count && chunk->count < CHUNK);
    memmove(&chunk->objects[place.slot + 1], &chunk->objects[place.slot],
            (chunk->count - place.slot) * sizeof chunk->objects[0]);
    chunk->objects[place.slot] = object;
    chunk->count++;
    table->count++;
    return 0;
}

/* Take the object out; its reference passes to the caller. Thin neighbours are joined, so that two
 * chunks side by side always hold more than half a chunk. */
static struct mu_kobject *extract(struct table *table, struct place place)
{
    struct chunk *chunk = table->chunks[place.chunk];
    struct mu_kobject *object = chunk->objects[place.slot];
    chunk->count--;
    memmove(&chunk->objects[place.slot], &chunk->objects[place.slot + 1],
            (chunk->count - place.slot) * sizeof chunk->objects[0]);
    table->count--;
    if (chunk->count == 0) {
        drop_chunk(table, place.chunk);
        return object;
    }
    uint32_t left = place.chunk > 0 ? place.chunk - 1 : 0;
    for (uint32_t at = left; at <= place.chunk && at + 1 < table->chunk_count; at++) {
        struct chunk *a = table->chunks[at];
        struct chunk *b = table->chunks[at + 1];
        if (a->count + b->count <= CHUNK / 2) {
            memcpy(&a->objects[a->count], b->objects, b->count * sizeof b->objects[0]);
            a->count += b->count;
            b->count = 0;
            drop_chunk(table, at + 1);
            break;
        }
    }
    return object;
}

/* ---- history ------------------------------------------------------------------------------ */

static struct mu_store_event *event_at(const struct table *table, uint64_t at)
{
    return &table->ring[at & (table->ring_cap - 1)];
}

static void forget_oldest(struct table *table)
{
    MU_ASSERT(table->tail < table->head);
    struct mu_store_event *event = event_at(table, table->tail);
    table->floor = event->object->version;
    mu_kobject_unref(event->object);
    mu_kobject_unref(event->before);
    table->tail++;
}

/* Room for one more change; nothing is forgotten yet. */
static int reserve_event(struct mu_store *store, struct table *table)
{
    uint64_t kept = table->head - table->tail;
    if (kept < table->ring_cap || table->ring_cap == store->history) {
        return 0;
    }
    uint32_t cap = table->ring_cap == 0 ? 16 : table->ring_cap * 2;
    cap = cap < store->history ? cap : store->history;
    struct mu_store_event *ring = mu_mem_calloc(cap, sizeof *ring);
    if (ring == NULL) {
        return MU_ENOMEM;
    }
    for (uint64_t at = table->tail; at < table->head; at++) {
        ring[at & (cap - 1)] = *event_at(table, at);
    }
    mu_mem_free(table->ring);
    table->ring = ring;
    table->ring_cap = cap;
    return 0;
}

/* Append a change whose room was reserved; takes both references. */
static void append_event(struct mu_store *store, uint32_t kind, struct mu_store_event event)
{
    struct table *table = &store->tables[kind];
    if (table->head - table->tail == table->ring_cap) {
        forget_oldest(table);
    }
    *event_at(table, table->head) = event;
    table->head++;
    store->version++;
    MU_ASSERT(event.object->version == store->version);
    if (store->changed != NULL) {
        store->changed(store->changed_context, kind);
    }
}

uint64_t mu_store_head(const struct mu_store *store, uint32_t kind)
{
    return store->tables[kind].head;
}

uint64_t mu_store_floor(const struct mu_store *store, uint32_t kind)
{
    return store->tables[kind].floor;
}

int mu_store_seek(const struct mu_store *store, uint32_t kind, uint64_t version, uint64_t *at)
{
    const struct table *table = &store->tables[kind];
    if (version < table->floor) {
        return MU_EEXPIRED;
    }
    uint64_t low = table->tail;
    uint64_t high = table->head;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (event_at(table, middle)->object->version <= version) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *at = low;
    return 0;
}

int mu_store_read(const struct mu_store *store, uint32_t kind, uint64_t at,
                  struct mu_store_event *out)
{
    const struct table *table = &store->tables[kind];
    MU_ASSERT(at <= table->head);
    if (at < table->tail) {
        return MU_EEXPIRED;
    }
    if (at == table->head) {
        return 0;
    }
    *out = *event_at(table, at);
    return 1;
}

void mu_store_compact(struct mu_store *store)
{
    for (uint32_t kind = 0; kind < store->kind_count; kind++) {
        struct table *table = &store->tables[kind];
        while (table->tail < table->head) {
            forget_oldest(table);
        }
        table->floor = store->version;
    }
}

/* ---- walks -------------------------------------------------------------------------------- */

/* The object that a later change replaced: an entry of the state as it was. */
struct undo {
    uint64_t at; /* position of the change */
    struct mu_kobject *key;
    struct mu_kobject *before; /* NULL: the object did not exist */
};

static int compare_undo(const void *a, const void *b)
{
    const struct undo *x = a;
    const struct undo *y = b;
    int order = compare_key(x->key, mu_kobject_ns(y->key), mu_kobject_name(y->key));
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

/* The changes since `version`, one per key (the oldest: its `before` is the state asked for), in
 * key order. */
static int collect_undo(const struct mu_store *store, uint32_t kind, uint64_t version,
                        struct undo **out, size_t *count)
{
    uint64_t from = 0;
    int code = mu_store_seek(store, kind, version, &from);
    *out = NULL;
    *count = 0;
    const struct table *table = &store->tables[kind];
    if (code != 0 || from == table->head) {
        return code;
    }
    size_t n = (size_t)(table->head - from);
    struct undo *list = mu_mem_calloc(n, sizeof *list);
    if (list == NULL) {
        return MU_ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct mu_store_event *event = event_at(table, from + i);
        list[i] = (struct undo){from + i, event->object, event->before};
    }
    qsort(list, n, sizeof *list, compare_undo);
    size_t kept = 1;
    for (size_t i = 1; i < n; i++) {
        struct mu_kobject *last = list[kept - 1].key;
        if (compare_key(list[i].key, mu_kobject_ns(last), mu_kobject_name(last)) != 0) {
            list[kept++] = list[i];
        }
    }
    *out = list;
    *count = kept;
    return 0;
}

/* Two sorted sequences walked as one: the map, and what newer changes replaced in it. */
struct walk {
    const struct table *table;
    struct place place;
    const struct undo *undo;
    size_t undo_at, undo_count;
};

static struct mu_kobject *map_peek(const struct walk *walk)
{
    return walk->place.chunk < walk->table->chunk_count
               ? walk->table->chunks[walk->place.chunk]->objects[walk->place.slot]
               : NULL;
}

static void map_settle(struct walk *walk)
{
    const struct table *table = walk->table;
    if (walk->place.chunk < table->chunk_count &&
        walk->place.slot == table->chunks[walk->place.chunk]->count) {
        walk->place.chunk++;
        walk->place.slot = 0;
    }
}

/* The next object of the state, or NULL at its end. */
static struct mu_kobject *walk_next(struct walk *walk)
{
    for (;;) {
        struct mu_kobject *now = map_peek(walk);
        const struct undo *undo =
            walk->undo_at < walk->undo_count ? &walk->undo[walk->undo_at] : NULL;
        if (now == NULL && undo == NULL) {
            return NULL;
        }
        int order = undo == NULL ? -1 : 1;
        if (now != NULL && undo != NULL) {
            order = compare_key(now, mu_kobject_ns(undo->key), mu_kobject_name(undo->key));
        }
        if (order <= 0) {
            walk->place.slot++;
            map_settle(walk);
        }
        if (order < 0) {
            return now;
        }
        walk->undo_at++;
        if (undo->before != NULL) {
            return undo->before;
        }
    }
}

/* Put both sequences behind or at the first key of the range. */
static void walk_start(struct walk *walk, const struct mu_store_range *range)
{
    struct mu_str ns = range->resume ? range->after_ns : range->ns;
    struct mu_str name = range->resume ? range->after_name : (struct mu_str){NULL, 0};
    walk->place = locate(walk->table, ns, name);
    if (walk->place.found && range->resume) {
        walk->place.slot++;
    }
    map_settle(walk);
    while (walk->undo_at < walk->undo_count) {
        int order = compare_key(walk->undo[walk->undo_at].key, ns, name);
        if (order > 0 || (order == 0 && !range->resume)) {
            break;
        }
        walk->undo_at++;
    }
}

int mu_store_walk(const struct mu_store *store, uint32_t kind, const struct mu_store_range *range,
                  mu_store_visit_fn visit, void *context)
{
    struct walk walk = {.table = &store->tables[kind]};
    struct undo *undo = NULL;
    if (range->version != 0) {
        MU_ASSERT(range->version <= store->version);
        int code = collect_undo(store, kind, range->version, &undo, &walk.undo_count);
        if (code != 0) {
            return code;
        }
        walk.undo = undo;
    }
    walk_start(&walk, range);
    int code = 0;
    struct mu_kobject *object = NULL;
    while (code == 0 && (object = walk_next(&walk)) != NULL) {
        if (range->ns.data != NULL && !mu_str_equal(mu_kobject_ns(object), range->ns)) {
            break;
        }
        code = visit(context, object);
    }
    mu_mem_free(undo);
    return code;
}

/* ---- the store ---------------------------------------------------------------------------- */

struct mu_store *mu_store_create(uint32_t kind_count, uint32_t history_events)
{
    MU_ASSERT(history_events > 0 && history_events <= MU_KUBESIM_HISTORY_MAX);
    struct mu_store *store = mu_mem_zalloc(sizeof *store + kind_count * sizeof store->tables[0]);
    if (store == NULL) {
        return NULL;
    }
    store->version = 1; /* "0" has a meaning of its own in requests */
    store->kind_count = kind_count;
    store->history = 1;
    while (store->history < history_events) {
        store->history *= 2;
    }
    return store;
}

void mu_store_destroy(struct mu_store *store)
{
    if (store == NULL) {
        return;
    }
    mu_store_compact(store);
    for (uint32_t kind = 0; kind < store->kind_count; kind++) {
        struct table *table = &store->tables[kind];
        for (uint32_t i = 0; i < table->chunk_count; i++) {
            for (uint32_t j = 0; j < table->chunks[i]->count; j++) {
                mu_kobject_unref(table->chunks[i]->objects[j]);
            }
            mu_mem_free(table->chunks[i]);
        }
        mu_mem_free(table->chunks);
        mu_mem_free(table->ring);
    }
    mu_mem_free(store);
}

uint64_t mu_store_version(const struct mu_store *store)
{
    return store->version;
}

uint32_t mu_store_count(const struct mu_store *store, uint32_t kind)
{
    return store->tables[kind].count;
}

struct mu_kobject *mu_store_get(const struct mu_store *store, uint32_t kind, struct mu_str ns,
                                struct mu_str name)
{
    MU_ASSERT(kind < store->kind_count);
    const struct table *table = &store->tables[kind];
    struct place place = locate(table, ns, name);
    return place.found ? table->chunks[place.chunk]->objects[place.slot] : NULL;
}

int mu_store_put(struct mu_store *store, uint32_t kind, struct mu_kobject *object)
{
    MU_ASSERT(kind < store->kind_count);
    MU_ASSERT(object->version == store->version + 1);
    struct table *table = &store->tables[kind];
    int code = reserve_event(store, table);
    if (code != 0) {
        return code;
    }
    struct place place = locate(table, mu_kobject_ns(object), mu_kobject_name(object));
    struct mu_kobject *before = NULL;
    if (place.found) {
        before = table->chunks[place.chunk]->objects[place.slot];
        table->chunks[place.chunk]->objects[place.slot] = object;
    } else {
        code = insert(table, place, object);
        if (code != 0) {
            return code;
        }
    }
    /* The map's reference on `before` passes to the history. */
    append_event(store, kind, (struct mu_store_event){mu_kobject_ref(object), before, false});
    return 0;
}

int mu_store_remove(struct mu_store *store, uint32_t kind, struct mu_kobject *last)
{
    MU_ASSERT(kind < store->kind_count);
    MU_ASSERT(last->version == store->version + 1);
    struct table *table = &store->tables[kind];
    int code = reserve_event(store, table);
    if (code != 0) {
        return code;
    }
    struct place place = locate(table, mu_kobject_ns(last), mu_kobject_name(last));
    MU_ASSERT(place.found);
    struct mu_kobject *before = extract(table, place);
    append_event(store, kind, (struct mu_store_event){last, before, true});
    return 0;
}

void mu_store_on_change(struct mu_store *store, void (*changed)(void *context, uint32_t kind),
                        void *context)
{
    store->changed = changed;
    store->changed_context = context;
}
