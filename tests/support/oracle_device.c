#include "tests/support/oracle_device.h"

#include "engine/base/assert.h"
#include "engine/device.h"

static const struct mu_device_row *tracked(const struct mu_snapshot *s, uint32_t row)
{
    return s->devices != NULL && s->devices[row].count > 0 ? &s->devices[row] : NULL;
}

bool mu_oracle_is_tracked(const struct mu_snapshot *s, uint32_t row)
{
    return tracked(s, row) != NULL;
}

static int64_t demand_of(const struct mu_class *c, uint32_t resource)
{
    for (uint32_t d = 0; d < c->demand_count; d++)
        if (c->demands[d].resource.v == resource)
            return c->demands[d].amount;
    return 0;
}

static struct mu_str name_of(const struct mu_snapshot *s, uint32_t resource)
{
    struct mu_resources *names = mu_model_resources((struct mu_model *)(uintptr_t)s->model);
    return mu_resource_name(names, (struct mu_resource_ix){resource});
}

enum mu_verdict_kind mu_oracle_short(const struct mu_snapshot *s, uint32_t resource, int64_t amount,
                                     uint32_t row)
{
    const struct mu_device_row *devices = tracked(s, row);
    bool part = mu_str_equal(name_of(s, resource), MU_STR(MU_GPU_SHARE_RESOURCE)), has = false;
    for (uint32_t r = MU_RES_EXTENDED; r < s->resource_count; r++)
        has = has || (mu_is_device_resource(name_of(s, r)) && mu_snapshot_alloc(s, r, row) > 0);
    if (part && devices == NULL && has && amount <= 1000)
        return MU_NO_DEVICE_SHARED;
    if (devices != NULL && resource == devices->resource && (devices->flags & MU_DEVICE_WHOLE) == 0)
        return MU_NO_DEVICE_WHOLE;
    if (resource >= s->resource_count || amount > mu_snapshot_alloc(s, resource, row) ||
        amount == MU_AMOUNT_MAX)
        return MU_NO_RESOURCE_EVER;
    if (devices != NULL && resource == devices->resource)
        return MU_NO_DEVICE_FREE;
    return part ? MU_NO_DEVICE : MU_NO_RESOURCE;
}

/* So many devices, and so much of each; a class asks for parts or for whole ones. */
static uint32_t wants(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                      int64_t *millis)
{
    const struct mu_device_row *devices = tracked(s, row);
    *millis = 0;
    if (devices == NULL)
        return 0;
    int64_t part = demand_of(c, s->share_resource), whole = demand_of(c, devices->resource);
    *millis = whole > 0 ? 1000 : part;
    return whole > 0 ? (uint32_t)whole : part > 0 ? 1 : 0;
}

bool mu_oracle_asks_devices(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    int64_t millis;
    return wants(s, c, row, &millis) > 0;
}

/* What pods like the typical ones could not use of what is left, with so much room beside it. */
static int64_t fragmentation(const struct mu_snapshot *s, const struct mu_device_row *devices,
                             int64_t cpu, int64_t memory, int64_t pods)
{
    int64_t sum = 0;
    for (uint32_t t = 0; t < s->typical_count; t++) {
        const struct mu_typical *typical = &s->typical[t];
        int64_t all = 0, bad = 0;
        uint32_t good = 0;
        for (uint32_t i = 0; i < devices->count; i++) {
            all += devices->left[i];
            bad += devices->left[i] < typical->millis ? devices->left[i] : 0;
            good += devices->left[i] >= typical->millis;
        }
        bool runs = cpu >= typical->cpu && memory >= typical->memory && pods > 0 &&
                    good >= typical->devices &&
                    (typical->millis < 1000 || (devices->flags & MU_DEVICE_WHOLE) != 0);
        sum += typical->permille * (runs ? bad : all);
    }
    return sum;
}

/* The best of all sets of devices that would do: by what it leaves, where that counts, then with
 * the least left on them, then the lowest numbers. Returns by how much less fragmented the row
 * is. */
static int64_t best_set(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                        bool counts, uint16_t *best)
{
    const struct mu_device_row *now = &s->devices[row];
    int64_t millis, most = 0, least_left = 0;
    uint32_t count = wants(s, c, row, &millis);
    int64_t cpu = s->free[MU_RES_CPU][row], memory = s->free[MU_RES_MEMORY][row];
    int64_t pods = s->free[MU_RES_PODS][row];
    int64_t before = fragmentation(s, now, cpu, memory, pods);
    bool found = false;
    for (uint32_t set = 0; set < 1u << now->count; set++) {
        struct mu_device_row then = *now;
        int64_t left = 0;
        bool fits = (uint32_t)__builtin_popcount(set) == count;
        for (uint32_t i = 0; i < now->count; i++) {
            if ((set >> i & 1) == 0)
                continue;
            fits = fits && now->left[i] >= millis;
            left += now->left[i];
            then.left[i] = (uint16_t)(now->left[i] - millis);
        }
        int64_t gain = !fits
                           ? 0
                           : before - fragmentation(s, &then, cpu - demand_of(c, MU_RES_CPU),
                                                    memory - demand_of(c, MU_RES_MEMORY), pods - 1);
        bool better = !found || (counts && gain > most);
        bool equal = found && (!counts || gain == most);
        if (fits && (better || (equal && left < least_left))) {
            *best = (uint16_t)set;
            most = gain;
            least_left = left;
            found = true;
        }
    }
    MU_ASSERT(found);
    return most;
}

int64_t mu_oracle_worth(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                        uint16_t *devices)
{
    *devices = 0;
    return tracked(s, row) == NULL ? 0 : best_set(s, c, row, true, devices);
}

uint16_t mu_oracle_devices(const struct mu_snapshot *s, const struct mu_profile *profile,
                           const struct mu_class *c, uint32_t row)
{
    uint16_t devices = 0;
    if (mu_oracle_asks_devices(s, c, row))
        (void)best_set(s, c, row, profile->fragmentation > 0, &devices);
    return devices;
}

void mu_oracle_devices_derive(struct mu_snapshot *s, uint32_t row)
{
    const struct mu_device_row *devices = &s->devices[row];
    int64_t most = 0, whole = 0;
    for (uint32_t i = 0; i < devices->count; i++) {
        most = devices->left[i] > most ? devices->left[i] : most;
        whole += devices->left[i] == 1000;
    }
    s->free[s->share_resource][row] = most;
    s->free[devices->resource][row] = (devices->flags & MU_DEVICE_WHOLE) != 0 ? whole : 0;
}

void mu_oracle_devices_move(struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                            uint16_t devices, int sign)
{
    int64_t millis;
    uint32_t count = wants(s, c, row, &millis);
    MU_ASSERT(count == (uint32_t)__builtin_popcount(devices));
    for (uint32_t i = 0; i < MU_DEVICES_PER_NODE; i++) {
        if ((devices >> i & 1) == 0)
            continue;
        int64_t left = s->devices[row].left[i] - sign * millis;
        MU_ASSERT(left >= 0 && left <= 1000);
        s->devices[row].left[i] = (uint16_t)left;
    }
    if (tracked(s, row) != NULL)
        mu_oracle_devices_derive(s, row);
}
