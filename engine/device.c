#include "engine/device.h"

#include <string.h>

#include "engine/base/assert.h"

void mu_device_init(struct mu_device_row *row, uint32_t count, uint32_t resource, bool whole)
{
    MU_ASSERT(count <= MU_DEVICES_PER_NODE && resource < MU_RESOURCES_MAX);
    memset(row, 0, sizeof *row);
    row->count = (uint8_t)count;
    row->resource = (uint8_t)resource;
    row->flags = whole ? MU_DEVICE_WHOLE : 0;
    for (uint32_t i = 0; i < count; i++)
        row->left[i] = MU_DEVICE_MILLIS;
}

struct mu_device_ask mu_device_ask(const struct mu_device_row *row, uint32_t share,
                                   const struct mu_class *class_)
{
    if (row->count == 0)
        return (struct mu_device_ask){0, 0};
    uint64_t wanted = UINT64_C(1) << row->resource;
    wanted |= share != MU_NONE ? UINT64_C(1) << share : 0;
    if ((class_->resource_mask & wanted) == 0)
        return (struct mu_device_ask){0, 0};
    int64_t millis = 0, whole = 0;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        if (class_->demands[d].resource.v == share)
            millis = class_->demands[d].amount;
        else if (class_->demands[d].resource.v == row->resource)
            whole = class_->demands[d].amount;
    }
    if (whole == 0 && millis <= MU_DEVICE_MILLIS)
        return (struct mu_device_ask){1, (uint32_t)millis};
    const int64_t most = MU_DEVICES_PER_NODE + 1;
    int64_t parts = millis / MU_DEVICE_MILLIS + (millis % MU_DEVICE_MILLIS != 0);
    int64_t count = mu_amount_add(whole, parts);
    return (struct mu_device_ask){(uint32_t)(count < most ? count : most), MU_DEVICE_MILLIS};
}

bool mu_device_answers(const struct mu_device_row *row, struct mu_device_ask ask, uint64_t devices)
{
    uint32_t want = ask.count < row->count ? ask.count : row->count;
    return devices >> row->count == 0 && (uint32_t)__builtin_popcountll(devices) == want;
}

bool mu_device_fits(const struct mu_device_row *row, struct mu_device_ask ask, uint64_t devices)
{
    if (ask.count > row->count || !mu_device_answers(row, ask, devices))
        return false;
    bool fits = true;
    for (; devices != 0; devices &= devices - 1)
        fits = fits && row->left[__builtin_ctzll(devices)] >= ask.millis;
    return fits;
}

/* Of two devices that may be taken: true when one with `left` comes before one with `best`. */
static bool comes_first(uint32_t left, uint32_t best, uint32_t millis)
{
    bool suffices = left >= millis, best_suffices = best >= millis;
    if (suffices != best_suffices)
        return suffices;
    return suffices ? left < best : left > best;
}

uint16_t mu_device_choose(const struct mu_device_row *row, struct mu_device_ask ask)
{
    uint32_t chosen = 0;
    for (uint32_t n = 0; n < ask.count && n < row->count; n++) {
        uint32_t best = MU_DEVICES_PER_NODE;
        for (uint32_t i = 0; i < row->count; i++) {
            if ((chosen >> i & 1) == 0 && (best == MU_DEVICES_PER_NODE ||
                                           comes_first(row->left[i], row->left[best], ask.millis)))
                best = i;
        }
        chosen |= 1u << best;
    }
    return (uint16_t)chosen;
}

void mu_device_take(struct mu_device_row *row, struct mu_device_ask ask, uint16_t devices)
{
    if (ask.count > row->count)
        row->flags |= MU_DEVICE_OVER;
    for (uint32_t rest = devices; rest != 0; rest &= rest - 1) {
        uint16_t *left = &row->left[__builtin_ctz(rest)];
        if (*left < ask.millis)
            row->flags |= MU_DEVICE_OVER;
        *left = (uint16_t)(*left < ask.millis ? 0 : *left - ask.millis);
    }
}

void mu_device_give(struct mu_device_row *row, struct mu_device_ask ask, uint16_t devices)
{
    for (uint32_t rest = devices; rest != 0; rest &= rest - 1) {
        uint16_t *left = &row->left[__builtin_ctz(rest)];
        MU_ASSERT(*left + ask.millis <= MU_DEVICE_MILLIS);
        *left = (uint16_t)(*left + ask.millis);
    }
}

int64_t mu_device_most_left(const struct mu_device_row *row)
{
    uint16_t most = 0;
    for (uint32_t i = 0; i < row->count; i++)
        most = row->left[i] > most ? row->left[i] : most;
    return most;
}

int64_t mu_device_whole_free(const struct mu_device_row *row)
{
    if ((row->flags & MU_DEVICE_WHOLE) == 0)
        return 0;
    int64_t count = 0;
    for (uint32_t i = 0; i < row->count; i++)
        count += row->left[i] == MU_DEVICE_MILLIS;
    return count;
}

/* ---- refusals ------------------------------------------------------------------------------ */

struct mu_device_resources mu_device_resources(const struct mu_snapshot *snapshot)
{
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    struct mu_device_resources found = {0, MU_NONE};
    uint32_t count = mu_resource_count(names);
    for (uint32_t r = MU_RES_EXTENDED; r < count; r++) {
        struct mu_str name = mu_resource_name(names, (struct mu_resource_ix){r});
        if (mu_is_device_resource(name))
            found.whole |= UINT64_C(1) << r;
        if (mu_str_equal(name, MU_STR(MU_GPU_SHARE_RESOURCE)))
            found.share = r;
    }
    return found;
}

/* A node that counts its devices could share them. */
static bool counts_devices(const struct mu_snapshot *snapshot, uint64_t whole, uint32_t row)
{
    for (; whole != 0; whole &= whole - 1) {
        uint32_t r = (uint32_t)__builtin_ctzll(whole);
        if (r < snapshot->resource_count && mu_snapshot_alloc(snapshot, r, row) > 0)
            return true;
    }
    return false;
}

enum mu_verdict_kind mu_device_refusal(const struct mu_snapshot *snapshot,
                                       const struct mu_device_resources *resources,
                                       uint32_t resource, int64_t amount, uint32_t row)
{
    const struct mu_device_row *devices =
        snapshot->devices != NULL && snapshot->devices[row].count != 0 ? &snapshot->devices[row]
                                                                       : NULL;
    bool share = resource == resources->share;
    bool whole = devices != NULL && resource == devices->resource;
    int64_t alloc =
        resource < snapshot->resource_count ? mu_snapshot_alloc(snapshot, resource, row) : 0;
    if (whole && (devices->flags & MU_DEVICE_WHOLE) == 0)
        return MU_NO_DEVICE_WHOLE;
    if (share && devices == NULL && amount <= MU_DEVICE_MILLIS &&
        counts_devices(snapshot, resources->whole, row))
        return MU_NO_DEVICE_SHARED;
    if (amount > alloc || amount == MU_AMOUNT_MAX)
        return MU_NO_RESOURCE_EVER;
    return whole ? MU_NO_DEVICE_FREE : share ? MU_NO_DEVICE : MU_NO_RESOURCE;
}
