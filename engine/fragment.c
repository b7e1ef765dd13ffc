#include "engine/fragment.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/* ---- one row ------------------------------------------------------------------------------ */

/* What of these devices a typical request cannot use. */
static int64_t lost(const struct mu_device_row *row, const struct mu_typical *t)
{
    int64_t all = 0, unusable = 0;
    uint32_t usable = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        bool suffices = row->left[i] >= t->millis;
        all += row->left[i];
        unusable += suffices ? 0 : row->left[i];
        usable += suffices;
    }
    bool allowed = t->millis < MU_DEVICE_MILLIS || (row->flags & MU_DEVICE_WHOLE) != 0;
    return allowed && usable >= t->devices ? unusable : all;
}

static int64_t weigh(const struct mu_snapshot *snapshot, const struct mu_device_row *devices,
                     int64_t cpu, int64_t memory, int64_t pods)
{
    int64_t all = 0, sum = 0;
    for (uint32_t i = 0; i < devices->count; i++)
        all += devices->left[i];
    for (uint32_t n = 0; n < snapshot->typical_count && all > 0; n++) {
        const struct mu_typical *t = &snapshot->typical[n];
        bool fits = cpu >= t->cpu && memory >= t->memory && pods >= 1;
        sum += t->permille * (fits ? lost(devices, t) : all);
    }
    MU_ASSERT(sum >= 0 && sum <= MU_FRAGMENT_MAX);
    return sum;
}

int64_t mu_fragment_of(const struct mu_snapshot *snapshot, uint32_t row)
{
    if (snapshot->devices == NULL || snapshot->devices[row].count == 0)
        return 0;
    return weigh(snapshot, &snapshot->devices[row], snapshot->free[MU_RES_CPU][row],
                 snapshot->free[MU_RES_MEMORY][row], snapshot->free[MU_RES_PODS][row]);
}

/* F(node) once the pod is there with these devices. */
static int64_t after(const struct mu_snapshot *snapshot, uint32_t row,
                     const struct mu_fragment_pod *pod, uint16_t devices)
{
    struct mu_device_row left = snapshot->devices[row];
    mu_device_take(&left, pod->ask, devices);
    return weigh(snapshot, &left, snapshot->free[MU_RES_CPU][row] - pod->cpu,
                 snapshot->free[MU_RES_MEMORY][row] - pod->memory,
                 snapshot->free[MU_RES_PODS][row] - 1);
}

int64_t mu_fragment_worth(const struct mu_snapshot *snapshot, uint32_t row,
                          const struct mu_fragment_pod *pod, uint16_t *devices)
{
    *devices = 0;
    if (snapshot->devices == NULL || snapshot->devices[row].count == 0)
        return 0;
    const struct mu_device_row *tracked = &snapshot->devices[row];
    int64_t before = mu_fragment_of(snapshot, row);
    if (pod->ask.count != 1) { /* entirely free devices are alike */
        *devices = pod->ask.count == 0 ? 0 : mu_device_choose(tracked, pod->ask);
        return before - after(snapshot, row, pod, *devices);
    }
    int64_t least = INT64_MAX;
    uint32_t least_left = 0;
    for (uint32_t i = 0; i < tracked->count; i++) {
        uint32_t left = tracked->left[i];
        bool skip = left < pod->ask.millis;
        for (uint32_t e = 0; e < i && !skip; e++) /* devices with as much left are alike */
            skip = tracked->left[e] == left;
        if (skip)
            continue;
        int64_t rest = after(snapshot, row, pod, (uint16_t)(1u << i));
        if (rest < least || (rest == least && left < least_left)) {
            least = rest;
            least_left = left;
            *devices = (uint16_t)(1u << i);
        }
    }
    MU_ASSERT(*devices != 0);
    return before - least;
}

/* ---- columns ------------------------------------------------------------------------------ */

void mu_fragment_init(struct mu_fragment *fragment)
{
    memset(fragment, 0, sizeof *fragment);
}

void mu_fragment_fini(struct mu_fragment *fragment)
{
    for (uint32_t c = 0; c < MU_FRAGMENT_COLUMNS; c++)
        mu_mem_free(fragment->columns[c].values);
    mu_fragment_init(fragment);
}

static int64_t bonus_of(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                        uint32_t row, int64_t scale)
{
    struct mu_fragment_pod pod = {0, 0, {0, 0}};
    uint16_t devices;
    if (snapshot->devices[row].count == 0)
        return MU_FRAGMENT_MAX * scale;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t resource = class_->demands[d].resource.v;
        /* Where it does not fit the value does not matter. */
        if (resource >= snapshot->resource_count ||
            snapshot->free[resource][row] < class_->demands[d].amount)
            return 0;
        pod.cpu = resource == MU_RES_CPU ? class_->demands[d].amount : pod.cpu;
        pod.memory = resource == MU_RES_MEMORY ? class_->demands[d].amount : pod.memory;
    }
    pod.ask = mu_device_ask(&snapshot->devices[row], snapshot->share_resource, class_);
    int64_t worth = mu_fragment_worth(snapshot, row, &pod, &devices);
    return (worth + MU_FRAGMENT_MAX) * scale;
}

/* The column of this class, else the one used longest ago. */
static struct mu_fragment_column *column_of(struct mu_fragment *fragment, uint64_t class_id,
                                            uint32_t rows)
{
    uint64_t most = MU_FRAGMENT_BYTES_MAX / (rows * sizeof(int64_t) + 1);
    uint32_t count = most == 0                    ? 1
                     : most < MU_FRAGMENT_COLUMNS ? (uint32_t)most
                                                  : MU_FRAGMENT_COLUMNS;
    struct mu_fragment_column *oldest = &fragment->columns[0];
    for (uint32_t c = 0; c < count; c++) {
        struct mu_fragment_column *column = &fragment->columns[c];
        if (column->class_id == class_id)
            return column;
        if (column->used < oldest->used)
            oldest = column;
    }
    return oldest;
}

const int64_t *mu_fragment_bonus(struct mu_fragment *fragment, const struct mu_room *room,
                                 const struct mu_class *class_, int64_t scale)
{
    MU_ASSERT(room->fresh && room->snapshot->devices != NULL);
    struct mu_fragment_column *column = column_of(fragment, class_->id, room->cap[0]);
    if (column->cap < room->cap[0]) {
        mu_mem_free(column->values);
        *column = (struct mu_fragment_column){.values = NULL};
        column->values = mu_mem_zalloc_aligned(64, room->cap[0] * sizeof *column->values);
        if (column->values == NULL)
            return NULL;
        column->cap = room->cap[0];
    }
    bool current = column->class_id == class_->id && column->batch == room->batch &&
                   room->changes - column->changes <= MU_ROOM_LOG;
    if (current) {
        for (; column->changes < room->changes; column->changes++) {
            uint32_t row = room->log[column->changes & (MU_ROOM_LOG - 1)];
            column->values[row] = bonus_of(room->snapshot, class_, row, scale);
        }
    } else {
        for (uint32_t row = 0; row < room->rows; row++)
            column->values[row] = bonus_of(room->snapshot, class_, row, scale);
    }
    column->class_id = class_->id;
    column->batch = room->batch;
    column->changes = room->changes;
    column->used = ++fragment->stamp;
    return column->values;
}
