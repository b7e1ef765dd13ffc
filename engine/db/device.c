#include "engine/db/db_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Devices of node rows (engine/device.h), and which pods have which.
 *
 * A chunk has device rows once one of its nodes is tracked. A charged pod's devices stand in its
 * record: those that the plan chose, or that its object names, or, where there are none or they do
 * not answer its request, those that best fit gave it when it was first charged here. They stay
 * until the pod leaves, so that taking and giving back match, and a recount from the pods (audit, a
 * row that is over-committed) needs no order.
 *
 *     left[i] = max(1000 - what pods with device i take of it, 0)
 *
 * When a row begins or ceases to be tracked, or has another number of devices, its pods keep what
 * still answers; then the others are given devices, in the order of the row's list.
 */

int mu_row_devices_reserve(struct mu_db *db, uint32_t row)
{
    struct mu_chunk *chunk = mu_row_chunk(db, row);
    if (chunk->devices == NULL)
        chunk->devices = mu_mem_calloc(MU_NODE_CHUNK, sizeof *chunk->devices);
    return chunk->devices == NULL ? MU_ENOMEM : 0;
}

struct mu_device_row *mu_row_devices(const struct mu_db *db, uint32_t row)
{
    struct mu_device_row *devices = mu_row_chunk(db, row)->devices;
    if (devices == NULL || devices[row % MU_NODE_CHUNK].count == 0)
        return NULL;
    return &devices[row % MU_NODE_CHUNK];
}

struct mu_device_ask mu_row_device_ask(const struct mu_db *db, const struct mu_device_row *devices,
                                       struct mu_class_ix class_ix)
{
    return mu_device_ask(devices, db->share_resource, mu_model_get_class(db->model, class_ix));
}

void mu_row_devices_derive(const struct mu_db *db, const struct mu_device_row *devices,
                           uint32_t stride, int64_t *free)
{
    MU_ASSERT(db->share_resource < stride);
    free[db->share_resource] = mu_device_most_left(devices);
    if (devices->resource < stride)
        free[devices->resource] = mu_device_whole_free(devices);
}

/* Take, and count what cannot be true. */
static void take(struct mu_db *db, struct mu_device_row *devices, struct mu_device_ask ask,
                 uint16_t taken)
{
    bool over = (devices->flags & MU_DEVICE_OVER) != 0;
    mu_device_take(devices, ask, taken);
    db->counts.device_conflicts += !over && (devices->flags & MU_DEVICE_OVER) != 0;
}

bool mu_row_devices_usable(const struct mu_db *db, uint32_t row, struct mu_class_ix class_ix,
                           uint16_t named)
{
    const struct mu_device_row *devices = mu_row_devices(db, row);
    if (named == 0 || devices == NULL)
        return named != 0;
    struct mu_device_ask ask = mu_row_device_ask(db, devices, class_ix);
    return ask.count == 0 || mu_device_answers(devices, ask, named);
}

uint16_t mu_row_devices_charge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix,
                               uint16_t named)
{
    struct mu_device_row *devices = mu_row_devices(db, row);
    if (devices == NULL)
        return named; /* the node may come to be tracked */
    struct mu_device_ask ask = mu_row_device_ask(db, devices, class_ix);
    if (ask.count == 0)
        return named;
    if (!mu_device_answers(devices, ask, named)) {
        db->counts.device_conflicts += named != 0;
        named = mu_device_choose(devices, ask);
    }
    take(db, devices, ask, named);
    return named;
}

/* Take what charged pods of the row have, those whose devices answer (or do not: `missing`). */
static void take_listed(struct mu_db *db, uint32_t row, struct mu_device_row *devices, bool missing)
{
    for (uint32_t pod = mu_row_rec(db, row)->pods; pod != MU_NONE;) {
        struct mu_pod_rec *p = mu_pod_at(db, pod);
        struct mu_device_ask ask = mu_row_device_ask(db, devices, p->class_ix);
        pod = p->node_next;
        if (ask.count == 0 || !mu_pod_charged(p) ||
            mu_device_answers(devices, ask, p->devices) == missing)
            continue;
        if (missing)
            p->devices = mu_device_choose(devices, ask);
        take(db, devices, ask, p->devices);
    }
}

void mu_row_devices_sum(const struct mu_db *db, uint32_t row, uint16_t without,
                        struct mu_device_row *out)
{
    const struct mu_device_row *shown = mu_row_devices(db, row);
    MU_ASSERT(shown != NULL);
    mu_device_init(out, shown->count, shown->resource, (shown->flags & MU_DEVICE_WHOLE) != 0);
    for (uint32_t pod = mu_row_rec(db, row)->pods; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        struct mu_device_ask ask = mu_row_device_ask(db, out, p->class_ix);
        if (ask.count != 0 && mu_pod_charged(p) && (p->flags & without) == 0) {
            MU_ASSERT(mu_device_answers(out, ask, p->devices));
            mu_device_take(out, ask, p->devices);
        }
        pod = p->node_next;
    }
}

bool mu_row_devices_configure(struct mu_db *db, uint32_t row, const struct mu_device_row *as)
{
    struct mu_chunk *chunk = mu_row_chunk(db, row);
    if (chunk->devices == NULL) {
        MU_ASSERT(as->count == 0);
        return false;
    }
    struct mu_device_row *devices = &chunk->devices[row % MU_NODE_CHUNK];
    bool same = devices->count == as->count && devices->resource == as->resource &&
                ((devices->flags ^ as->flags) & MU_DEVICE_WHOLE) == 0;
    if (same)
        return false;
    *devices = *as;
    if (devices->count != 0) {
        take_listed(db, row, devices, false);
        take_listed(db, row, devices, true);
    }
    return true;
}
