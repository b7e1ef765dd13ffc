#ifndef MU_ENGINE_DEVICE_H
#define MU_ENGINE_DEVICE_H
/*
 * Devices (GPUs) that are tracked one by one, so that pods can share one.
 *
 * A tracked node has up to MU_DEVICES_PER_NODE devices of MU_DEVICE_MILLIS thousandths each. What a
 * pod asks of it becomes a number of devices and what it takes of each:
 *
 *     m of MU_GPU_SHARE_RESOURCE, 0 < m <= 1000   one device with m left
 *     k of the node's device resource             k devices that are entirely free
 *     both, or m > 1000                           whole devices, shares rounded up: only bound pods
 *                                                 can (the DB keeps pending ones from being placed,
 *                                                 or no node offers so much)
 *
 * Two columns of the row's sums are derived from its devices, so that filters, scans, summaries and
 * bounds need to know nothing about them:
 *
 *     free[share]     the most that one device has left
 *     free[resource]  entirely free devices; 0 where whole ones are not ours to choose
 *
 * A request fits the columns exactly when it fits the devices, since it asks for either one device
 * or whole ones. Taking and giving back change the devices, and the columns are derived anew.
 *
 * Which device: of those that suffice the one with the least left, the lowest number first (best
 * fit). The same rule, with the fullest-left ones where none suffices, stands for devices that
 * nobody names: a bound pod without a (usable) list of devices is charged by it when it is first
 * seen on the node.
 *
 * Sums of hostile lists stay within bounds: a device from which more is taken than it has is at 0,
 * and the row says MU_DEVICE_OVER until its sums are made anew from its pods.
 */
#include "engine/snapshot.h"
#include "engine/verdict.h"

#define MU_DEVICE_MILLIS 1000u

enum {
    MU_DEVICE_WHOLE = 1u << 0, /* takes pods that ask for whole devices */
    MU_DEVICE_OVER = 1u << 1   /* more is taken than there is: left[] has forgotten how much */
};
struct mu_device_row {
    uint16_t left[MU_DEVICES_PER_NODE]; /* 0 beyond `count` */
    uint8_t count;                      /* 0: not tracked */
    uint8_t resource;                   /* number of the resource of whole ones */
    uint8_t flags;
    uint8_t unused;
};
_Static_assert(sizeof(struct mu_device_row) == 36, "no padding");
_Static_assert(MU_DEVICES_PER_NODE <= 16, "a set of devices is 16 bits");
_Static_assert(MU_RESOURCES_MAX <= 255, "a resource's number fits its field");

/* Devices asked for, and what is taken of each. 0 devices: none. */
struct mu_device_ask {
    uint32_t count; /* at most MU_DEVICES_PER_NODE + 1 */
    uint32_t millis;
};

/* All below work on a row, a class or a snapshot of the caller's, and call nothing else. Thread:
 * the owner's.
 *
 * A row of `count` devices, all free. */
void mu_device_init(struct mu_device_row *row, uint32_t count, uint32_t resource, bool whole);
/* What a class asks of this row. `share`: number of MU_GPU_SHARE_RESOURCE, or MU_NONE. */
struct mu_device_ask mu_device_ask(const struct mu_device_row *row, uint32_t share,
                                   const struct mu_class *class_);
/* True when `devices` can be an answer: as many as asked for (all, where it asks for more), and
 * none that the node lacks. */
bool mu_device_answers(const struct mu_device_row *row, struct mu_device_ask ask, uint64_t devices);
/* True when it is an answer and each of them has that much left. */
bool mu_device_fits(const struct mu_device_row *row, struct mu_device_ask ask, uint64_t devices);
/* The devices that such a request gets, by the rule above; always an answer. Cost: O(devices). */
uint16_t mu_device_choose(const struct mu_device_row *row, struct mu_device_ask ask);
/* Take from these devices, saturating. */
void mu_device_take(struct mu_device_row *row, struct mu_device_ask ask, uint16_t devices);
/* Give back what was taken while it fitted. */
void mu_device_give(struct mu_device_row *row, struct mu_device_ask ask, uint16_t devices);
/* Pods that ask for a share of `millis` (> 0) and find room, one after another; `untracked` for a
 * row that is not tracked. */
static inline int64_t mu_device_slots(const struct mu_device_row *row, int64_t millis,
                                      int64_t untracked)
{
    int64_t slots = 0;
    for (uint32_t i = 0; i < row->count; i++)
        slots += row->left[i] / millis;
    return row->count == 0 ? untracked : slots;
}
/* The two derived columns. */
int64_t mu_device_most_left(const struct mu_device_row *row);
int64_t mu_device_whole_free(const struct mu_device_row *row);

/* ---- refusals ------------------------------------------------------------------------------ */

/* Which resources are about devices, by number: of whole ones, as a set, and of parts (MU_NONE:
 * none has that name). Cost: O(resources). */
struct mu_device_resources {
    uint64_t whole;
    uint32_t share;
};
struct mu_device_resources mu_device_resources(const struct mu_snapshot *snapshot);
/* What it means that a row has less free than `amount` of a resource: what MU_NO_DEVICE and its
 * kinds say where devices are the reason, else MU_NO_RESOURCE, or _EVER where the amount is beyond
 * all that the row has. Cost: O(resources of whole devices). */
enum mu_verdict_kind mu_device_refusal(const struct mu_snapshot *snapshot,
                                       const struct mu_device_resources *resources,
                                       uint32_t resource, int64_t amount, uint32_t row);

#endif
