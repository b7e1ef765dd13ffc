#include "informer/http_wheel.h"

#include "engine/base/assert.h"

void mu_wheel_init(struct mu_wheel *wheel, uint64_t now_ns)
{
    for (uint32_t i = 0; i < MU_WHEEL_SLOTS; i++)
        mu_link_init(&wheel->slots[i]);
    mu_link_init(&wheel->expired);
    wheel->tick = now_ns / MU_WHEEL_TICK_NS;
    wheel->count = 0;
}

void mu_wheel_entry_init(struct mu_wheel_entry *entry, uint32_t kind)
{
    mu_link_init(&entry->link);
    entry->tick = UINT64_MAX;
    entry->kind = kind;
}

bool mu_wheel_armed(const struct mu_wheel_entry *entry)
{
    return entry->tick != UINT64_MAX;
}

void mu_wheel_disarm(struct mu_wheel *wheel, struct mu_wheel_entry *entry)
{
    if (!mu_wheel_armed(entry))
        return;
    MU_ASSERT(wheel->count > 0);
    mu_link_remove(&entry->link);
    entry->tick = UINT64_MAX;
    wheel->count--;
}

void mu_wheel_arm(struct mu_wheel *wheel, struct mu_wheel_entry *entry, uint64_t due_ns)
{
    mu_wheel_disarm(wheel, entry);
    /* Rounded up, so that a deadline never comes early. */
    uint64_t tick = due_ns / MU_WHEEL_TICK_NS + (due_ns % MU_WHEEL_TICK_NS != 0);
    if (tick < wheel->tick)
        tick = wheel->tick;
    entry->tick = tick;
    mu_link_append(&wheel->slots[tick % MU_WHEEL_SLOTS], &entry->link);
    wheel->count++;
}

/* Move the due entries of one slot to the expired list. */
static void visit(struct mu_wheel *wheel, struct mu_link *slot, uint64_t now_tick)
{
    struct mu_link *link = slot->next;
    while (link != slot) {
        struct mu_wheel_entry *entry = MU_LINK_OWNER(link, struct mu_wheel_entry, link);
        link = link->next;
        if (entry->tick <= now_tick) {
            mu_link_remove(&entry->link);
            mu_link_append(&wheel->expired, &entry->link);
        }
    }
}

struct mu_wheel_entry *mu_wheel_pop(struct mu_wheel *wheel, uint64_t now_ns)
{
    uint64_t now_tick = now_ns / MU_WHEEL_TICK_NS;
    /* After a long sleep one turn sees every slot; more turns would see the same entries. */
    if (now_tick > wheel->tick && now_tick - wheel->tick >= MU_WHEEL_SLOTS)
        wheel->tick = now_tick - MU_WHEEL_SLOTS + 1;
    for (; wheel->tick <= now_tick; wheel->tick++)
        visit(wheel, &wheel->slots[wheel->tick % MU_WHEEL_SLOTS], now_tick);
    if (mu_link_empty(&wheel->expired))
        return NULL;
    struct mu_wheel_entry *entry = MU_LINK_OWNER(wheel->expired.next, struct mu_wheel_entry, link);
    MU_ASSERT(mu_wheel_armed(entry) && entry->tick <= now_tick);
    mu_wheel_disarm(wheel, entry);
    return entry;
}

uint64_t mu_wheel_next_ns(const struct mu_wheel *wheel)
{
    if (wheel->count == 0)
        return UINT64_MAX;
    if (!mu_link_empty(&wheel->expired))
        return 0;
    uint64_t tick = wheel->tick;
    while (mu_link_empty(&wheel->slots[tick % MU_WHEEL_SLOTS])) {
        tick++;
        MU_ASSERT(tick < wheel->tick + MU_WHEEL_SLOTS); /* an armed entry is in some slot */
    }
    return tick * MU_WHEEL_TICK_NS;
}
