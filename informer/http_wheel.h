#ifndef MU_INFORMER_HTTP_WHEEL_H
#define MU_INFORMER_HTTP_WHEEL_H
/*
 * Deadlines, many and mostly never reached: a hashed timing wheel (Varghese and Lauck's scheme 6).
 *
 * An entry waits in slot (its tick modulo the slot count); arming and disarming are O(1), which a
 * heap is not, and every request pays both. An entry further away than one turn is passed over
 * once per turn. Invariants: an entry is in exactly one list (a slot, or `expired`) while armed;
 * every armed entry outside `expired` has a tick >= wheel->tick, or sits in the slot of
 * wheel->tick. So an entry expires never early, and at most one tick late.
 */
#include <stdint.h>
#include "informer/http_link.h"

#define MU_WHEEL_TICK_NS UINT64_C(16000000)
#define MU_WHEEL_SLOTS   512u

struct mu_wheel_entry {
    struct mu_link link;
    uint64_t tick; /* expires when this tick is over; UINT64_MAX while not armed */
    uint32_t kind; /* the user's: what holds the entry */
};

struct mu_wheel {
    struct mu_link slots[MU_WHEEL_SLOTS];
    struct mu_link expired; /* due, not yet popped */
    uint64_t tick;          /* slots of earlier ticks have been visited */
    uint32_t count;         /* armed entries, expired ones included */
};

void mu_wheel_init(struct mu_wheel *wheel, uint64_t now_ns);
void mu_wheel_entry_init(struct mu_wheel_entry *entry, uint32_t kind);
bool mu_wheel_armed(const struct mu_wheel_entry *entry);
/* Arm, or move an armed entry. Cost: O(1). */
void mu_wheel_arm(struct mu_wheel *wheel, struct mu_wheel_entry *entry, uint64_t due_ns);
void mu_wheel_disarm(struct mu_wheel *wheel, struct mu_wheel_entry *entry);
/* Take one entry out whose time has come, or NULL. Cost: O(1) and the slots passed by. */
struct mu_wheel_entry *mu_wheel_pop(struct mu_wheel *wheel, uint64_t now_ns);
/* When to call mu_wheel_pop next: never after the first deadline's tick, maybe before it (the
 * slot's entry belongs to a later turn). UINT64_MAX when empty. Cost: O(MU_WHEEL_SLOTS). */
uint64_t mu_wheel_next_ns(const struct mu_wheel *wheel);

#endif
