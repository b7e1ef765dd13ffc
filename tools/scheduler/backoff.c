#include "tools/scheduler/backoff.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/heap.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"

enum entry_state { ENTRY_FREE, ENTRY_WAITING, ENTRY_REMEMBERED };

struct entry {
    struct mu_uid uid;
    enum entry_state state;
    uint64_t delay_ns;
    uint64_t due_ns; /* end of its state; a heap entry with another time is stale */
    uint32_t next_free;
};

struct mu_backoff {
    struct entry *entries;
    uint32_t cap, free;
    uint32_t waiting;
    uint64_t ties;
    struct mu_index *by_uid;
    struct mu_heap timers; /* item: slot */
};

static uint64_t uid_hash(struct mu_uid uid)
{
    return mu_hash_mix(uid.hi, uid.lo);
}

static bool entry_equal(const void *context, uint32_t slot, const void *key)
{
    const struct mu_backoff *b = context;
    return mu_uid_equal(b->entries[slot].uid, *(const struct mu_uid *)key);
}

static uint64_t entry_hash(const void *context, uint32_t slot)
{
    const struct mu_backoff *b = context;
    return uid_hash(b->entries[slot].uid);
}

struct mu_backoff *mu_backoff_create(void)
{
    struct mu_backoff *b = mu_mem_zalloc(sizeof *b);
    if (b == NULL)
        return NULL;
    b->free = MU_NONE;
    mu_heap_init(&b->timers, 4 * MU_BACKOFF_PODS_MAX);
    b->by_uid = mu_index_create(16, entry_equal, entry_hash, b);
    if (b->by_uid == NULL) {
        mu_backoff_destroy(b);
        return NULL;
    }
    return b;
}

void mu_backoff_destroy(struct mu_backoff *b)
{
    if (b == NULL)
        return;
    mu_index_destroy(b->by_uid);
    mu_heap_fini(&b->timers);
    mu_mem_free(b->entries);
    mu_mem_free(b);
}

static bool set_timer(struct mu_backoff *b, uint32_t slot, uint64_t due_ns)
{
    struct mu_heap_entry timer = {due_ns, ++b->ties, (void *)(uintptr_t)slot};
    if (mu_heap_push(&b->timers, timer) != 0)
        return false;
    b->entries[slot].due_ns = due_ns;
    return true;
}

static uint32_t entry_add(struct mu_backoff *b, struct mu_uid uid)
{
    if (b->free == MU_NONE) {
        uint32_t old = b->cap;
        void *entries = b->entries;
        if (mu_mem_grow(&entries, &b->cap, old + 1, MU_BACKOFF_PODS_MAX, sizeof *b->entries) != 0)
            return MU_NONE;
        b->entries = entries;
        for (uint32_t i = b->cap; i-- > old;) {
            b->entries[i] = (struct entry){.state = ENTRY_FREE, .next_free = b->free};
            b->free = i;
        }
    }
    uint32_t slot = b->free;
    uint32_t next = b->entries[slot].next_free;
    b->entries[slot].uid = uid;
    if (mu_index_insert(b->by_uid, uid_hash(uid), slot) != 0)
        return MU_NONE;
    b->free = next;
    b->entries[slot].state = ENTRY_REMEMBERED;
    b->entries[slot].delay_ns = 0;
    return slot;
}

static void entry_drop(struct mu_backoff *b, uint32_t slot)
{
    mu_index_remove(b->by_uid, uid_hash(b->entries[slot].uid), slot);
    b->entries[slot].state = ENTRY_FREE;
    b->entries[slot].next_free = b->free;
    b->free = slot;
}

uint64_t mu_backoff_denied(struct mu_backoff *b, struct mu_uid uid, uint64_t now_ns, bool *first)
{
    uint32_t slot = mu_index_find(b->by_uid, uid_hash(uid), &uid);
    *first = slot == MU_INDEX_NONE;
    if (*first)
        slot = entry_add(b, uid);
    if (slot == MU_NONE)
        return now_ns;
    struct entry *e = &b->entries[slot];
    uint64_t delay_ns = e->delay_ns == 0 ? MU_BACKOFF_FIRST_NS : 2 * e->delay_ns;
    if (delay_ns > MU_BACKOFF_LAST_NS)
        delay_ns = MU_BACKOFF_LAST_NS;
    if (!set_timer(b, slot, now_ns + delay_ns)) {
        if (*first)
            entry_drop(b, slot);
        return now_ns;
    }
    b->waiting += e->state != ENTRY_WAITING;
    e->state = ENTRY_WAITING;
    e->delay_ns = delay_ns;
    return e->due_ns;
}

bool mu_backoff_due(struct mu_backoff *b, uint64_t now_ns, struct mu_uid *uid)
{
    struct mu_heap_entry timer;
    while (mu_heap_peek(&b->timers, &timer) && timer.key <= now_ns) {
        uint32_t slot = (uint32_t)(uintptr_t)timer.item;
        struct entry *e = &b->entries[slot];
        (void)mu_heap_pop(&b->timers, &timer);
        if (e->state == ENTRY_FREE || e->due_ns != timer.key)
            continue;
        if (e->state == ENTRY_REMEMBERED) {
            entry_drop(b, slot);
            continue;
        }
        *uid = e->uid;
        e->state = ENTRY_REMEMBERED;
        b->waiting--;
        if (!set_timer(b, slot, now_ns + e->delay_ns))
            entry_drop(b, slot); /* forgotten early: it starts from 1 s again */
        return true;
    }
    return false;
}

uint64_t mu_backoff_next_ns(const struct mu_backoff *b)
{
    struct mu_heap_entry timer;
    return mu_heap_peek(&b->timers, &timer) ? timer.key : UINT64_MAX;
}

uint32_t mu_backoff_waiting(const struct mu_backoff *b)
{
    return b->waiting;
}
