#include "engine/place/fragment.h"

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

/* A way to place a pod that takes one device: how much that has left, now and then. */
struct option {
    uint32_t device;
    int64_t now, then;
    int64_t lost; /* F(node) then */
};

/* Devices with as much left are alike: so many of each sort. */
struct sort {
    int64_t left, count;
    uint32_t first; /* the lowest of them */
};

static uint32_t sorts_of(const struct mu_device_row *row, struct sort sorts[MU_DEVICES_PER_NODE])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        uint32_t s = 0;
        while (s < count && sorts[s].left != row->left[i])
            s++;
        if (s == count)
            sorts[count++] = (struct sort){row->left[i], 0, i};
        sorts[s].count++;
    }
    return count;
}

/* The same as of weigh() before and after each way, but what a typical request could not use of all
 * devices is summed up once: a way changes one of them. */
static int64_t worth_of_one(const struct mu_snapshot *snapshot, uint32_t row,
                            const struct mu_fragment_pod *pod, uint16_t *devices)
{
    const struct mu_device_row *d = &snapshot->devices[row];
    const int64_t cpu = snapshot->free[MU_RES_CPU][row], pods = snapshot->free[MU_RES_PODS][row];
    const int64_t memory = snapshot->free[MU_RES_MEMORY][row];
    struct option options[MU_DEVICES_PER_NODE];
    struct sort sorts[MU_DEVICES_PER_NODE];
    uint32_t sort_count = sorts_of(d, sorts), count = 0;
    int64_t all = 0, before = 0;
    for (uint32_t s = 0; s < sort_count; s++) {
        all += sorts[s].left * sorts[s].count;
        if (sorts[s].left >= pod->ask.millis)
            options[count++] = (struct option){sorts[s].first, sorts[s].left,
                                               sorts[s].left - (int64_t)pod->ask.millis, 0};
    }
    for (uint32_t n = 0; n < snapshot->typical_count; n++) {
        const struct mu_typical *t = &snapshot->typical[n];
        const int64_t least = t->millis;
        int64_t unusable = 0, usable = 0;
        for (uint32_t i = 0; i < sort_count; i++) {
            bool suffices = sorts[i].left >= least;
            unusable += suffices ? 0 : sorts[i].left * sorts[i].count;
            usable += suffices ? sorts[i].count : 0;
        }
        bool allowed = least < MU_DEVICE_MILLIS || (d->flags & MU_DEVICE_WHOLE) != 0;
        bool now = allowed && cpu >= t->cpu && memory >= t->memory && pods >= 1;
        bool then =
            now && cpu - pod->cpu >= t->cpu && memory - pod->memory >= t->memory && pods >= 2;
        before += t->permille * (now && usable >= t->devices ? unusable : all);
        for (uint32_t o = 0; o < count; o++) {
            struct option *way = &options[o];
            int64_t left =
                unusable - (way->now < least ? way->now : 0) + (way->then < least ? way->then : 0);
            int64_t good = usable - (way->now >= least) + (way->then >= least);
            bool runs = then && good >= t->devices;
            way->lost += t->permille * (runs ? left : all - pod->ask.millis);
        }
    }
    const struct option *best = &options[0];
    MU_ASSERT(count > 0);
    for (uint32_t o = 1; o < count; o++)
        if (options[o].lost < best->lost ||
            (options[o].lost == best->lost && options[o].now < best->now))
            best = &options[o];
    *devices = (uint16_t)(1u << best->device);
    return before - best->lost;
}

int64_t mu_fragment_worth(const struct mu_snapshot *snapshot, uint32_t row,
                          const struct mu_fragment_pod *pod, uint16_t *devices)
{
    *devices = 0;
    if (snapshot->devices == NULL || snapshot->devices[row].count == 0)
        return 0;
    if (pod->ask.count != 1) { /* entirely free devices are alike */
        if (pod->ask.count != 0)
            *devices = mu_device_choose(&snapshot->devices[row], pod->ask);
        return mu_fragment_of(snapshot, row) - after(snapshot, row, pod, *devices);
    }
    return worth_of_one(snapshot, row, pod, devices);
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
    for (uint32_t b = 0; b < MU_FRAGMENT_BOUNDS; b++)
        for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
            mu_mem_free(fragment->bounds[b].levels[l]);
    mu_fragment_init(fragment);
}

static int64_t bonus_of(const struct mu_snapshot *snapshot, const struct mu_class *class_,
                        uint32_t row, int64_t most)
{
    struct mu_fragment_pod pod = {0, 0, {0, 0}};
    uint16_t devices;
    if (snapshot->devices[row].count == 0)
        return mu_fragment_share(0, most);
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t resource = class_->demands[d].resource.v;
        /* Where it does not fit the value does not matter. */
        if (class_->demands[d].amount > 0 &&
            (resource >= snapshot->resource_count ||
             snapshot->free[resource][row] < class_->demands[d].amount))
            return 0;
        pod.cpu = resource == MU_RES_CPU ? class_->demands[d].amount : pod.cpu;
        pod.memory = resource == MU_RES_MEMORY ? class_->demands[d].amount : pod.memory;
    }
    pod.ask = mu_device_ask(&snapshot->devices[row], snapshot->share_resource, class_);
    return mu_fragment_share(mu_fragment_worth(snapshot, row, &pod, &devices), most);
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
                                 const struct mu_class *class_, int64_t most)
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
            column->values[row] = bonus_of(room->snapshot, class_, row, most);
        }
    } else {
        for (uint32_t row = 0; row < room->rows; row++)
            column->values[row] = bonus_of(room->snapshot, class_, row, most);
    }
    column->class_id = class_->id;
    column->batch = room->batch;
    column->changes = room->changes;
    column->used = ++fragment->stamp;
    return column->values;
}

/* ---- bounds ------------------------------------------------------------------------------- */

static bool is_shared(struct mu_resource_ix resource)
{
    return resource.v == MU_RES_CPU || resource.v == MU_RES_MEMORY;
}

/* What a class asks for, cpu and memory first: 0 where it asks for none. 0: too much to be kept. */
static uint32_t demands_of(const struct mu_class *class_, struct mu_demand *out)
{
    uint32_t count = 2;
    out[0] = (struct mu_demand){{MU_RES_CPU}, 0};
    out[1] = (struct mu_demand){{MU_RES_MEMORY}, 0};
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        const struct mu_demand *demand = &class_->demands[d];
        if (is_shared(demand->resource))
            out[demand->resource.v == MU_RES_CPU ? 0 : 1].amount = demand->amount;
        else if (count == MU_FRAGMENT_DEMANDS)
            return 0;
        else
            out[count++] = *demand;
    }
    return count;
}

static bool asks_the_same(const struct mu_fragment_bound *bound, const struct mu_demand *demands,
                          uint32_t count)
{
    bool same = bound->demand_count == count;
    for (uint32_t d = 2; same && d < count; d++)
        same = bound->demands[d].resource.v == demands[d].resource.v &&
               bound->demands[d].amount == demands[d].amount;
    return same;
}

/* The bounds for these demands, else those used longest ago, made theirs. */
static struct mu_fragment_bound *bound_of(struct mu_fragment *fragment,
                                          const struct mu_demand *demands, uint32_t count,
                                          uint32_t rows)
{
    uint64_t most = MU_FRAGMENT_BYTES_MAX / (rows * sizeof(int64_t) + 1);
    uint32_t kept = most == 0 ? 1 : most < MU_FRAGMENT_BOUNDS ? (uint32_t)most : MU_FRAGMENT_BOUNDS;
    struct mu_fragment_bound *oldest = &fragment->bounds[0];
    for (uint32_t b = 0; b < kept; b++) {
        struct mu_fragment_bound *bound = &fragment->bounds[b];
        if (asks_the_same(bound, demands, count)) {
            for (uint32_t d = 0; d < 2; d++) {
                if (demands[d].amount >= bound->demands[d].amount)
                    continue;
                bound->demands[d].amount = demands[d].amount;
                bound->batch = 0; /* promises less than this class can keep */
            }
            return bound;
        }
        if (bound->used < oldest->used)
            oldest = bound;
    }
    memcpy(oldest->demands, demands, count * sizeof *demands);
    oldest->demand_count = count;
    oldest->batch = 0;
    return oldest;
}

static bool bound_reserve(struct mu_fragment_bound *bound, const struct mu_room *room)
{
    for (uint32_t l = 0; l < room->level_count; l++) {
        if (bound->cap[l] >= room->cap[l])
            continue;
        mu_mem_free(bound->levels[l]);
        bound->batch = 0;
        bound->cap[l] = 0;
        bound->levels[l] = mu_mem_zalloc_aligned(64, room->cap[l] * sizeof *bound->levels[l]);
        if (bound->levels[l] == NULL)
            return false;
        bound->cap[l] = room->cap[l];
    }
    return true;
}

/* The block of this entry has changed: its largest value is told above. */
static void bound_raise(const struct mu_fragment_bound *bound, const struct mu_room *room,
                        uint32_t entry)
{
    for (uint32_t l = 0; l + 1 < room->level_count; l++) {
        entry /= MU_NODE_CHUNK;
        bound->levels[l + 1][entry] =
            room->ops->max(bound->levels[l] + (size_t)entry * MU_NODE_CHUNK);
    }
}

static void bound_renew(struct mu_fragment_bound *bound, const struct mu_room *room, int64_t most)
{
    struct mu_class least = {.demands = bound->demands, .demand_count = bound->demand_count};
    for (uint32_t d = 0; d < bound->demand_count; d++)
        least.resource_mask |= UINT64_C(1) << bound->demands[d].resource.v;
    bool current = bound->batch == room->batch && room->changes - bound->changes <= MU_ROOM_LOG;
    for (; current && bound->changes < room->changes; bound->changes++) {
        uint32_t row = room->log[bound->changes & (MU_ROOM_LOG - 1)];
        bound->levels[0][row] = bonus_of(room->snapshot, &least, row, most);
        bound_raise(bound, room, row);
    }
    for (uint32_t row = 0; !current && row < room->rows; row++) {
        bound->levels[0][row] = bonus_of(room->snapshot, &least, row, most);
        if (row % MU_NODE_CHUNK == MU_NODE_CHUNK - 1 || row + 1 == room->rows)
            bound_raise(bound, room, row);
    }
    bound->batch = room->batch;
    bound->changes = room->changes;
}

bool mu_fragment_open(struct mu_fragment *fragment, const struct mu_room *room,
                      const struct mu_class *class_, int64_t most,
                      const int64_t *levels[MU_LEVELS_MAX])
{
    struct mu_demand demands[MU_FRAGMENT_DEMANDS];
    MU_ASSERT(room->fresh && room->snapshot->devices != NULL && fragment->open == NULL);
    uint32_t count = demands_of(class_, demands);
    if (count == 0)
        return false;
    struct mu_fragment_bound *bound = bound_of(fragment, demands, count, room->cap[0]);
    if (!bound_reserve(bound, room))
        return false;
    bound_renew(bound, room, most);
    bound->used = ++fragment->stamp;
    fragment->open = bound;
    fragment->tried_count = 0;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        levels[l] = l < room->level_count ? bound->levels[l] : NULL;
    return true;
}

bool mu_fragment_settle(struct mu_fragment *fragment, const struct mu_room *room,
                        const struct mu_class *class_, int64_t most, uint32_t row, bool *tries_left)
{
    int64_t *value = &fragment->open->levels[0][row];
    int64_t own = bonus_of(room->snapshot, class_, row, most);
    MU_ASSERT(own <= *value);
    *tries_left = fragment->tried_count < MU_FRAGMENT_TRIES;
    if (own == *value || !*tries_left)
        return own == *value;
    fragment->tried[fragment->tried_count] = row;
    fragment->bound_of[fragment->tried_count++] = *value;
    *value = own; /* what is above stays a bound */
    return false;
}

void mu_fragment_close(struct mu_fragment *fragment)
{
    while (fragment->tried_count > 0) {
        fragment->tried_count--;
        fragment->open->levels[0][fragment->tried[fragment->tried_count]] =
            fragment->bound_of[fragment->tried_count];
    }
    fragment->open = NULL;
}
