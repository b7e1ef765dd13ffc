#include "engine/db/db_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Whether a plan has room: tried out on the sums themselves, which are as before when a trial ends,
 * and of which nobody is told.
 *
 * Without victims what the gang's own pods hold is added back first, whatever the order of its
 * binds; then each bind is taken off, and all is put back. That costs nothing but the binds.
 *
 * With victims that does not do: a row that is to be vacated, or whose binds wait for it already,
 * may be taken twice over, and its devices have then forgotten by how much. So the sums of the rows
 * of the binds are made anew from their pods, without the victims and without the gang's own pods,
 * and the true ones are copied back from the side.
 */

/* --- on the sums as they are ----------------------------------------------------------------- */

static bool fits(const struct mu_db *db, const struct mu_plan_bind *bind, const struct mu_class *c)
{
    const int64_t *free = mu_row_free(db, bind->node.v);
    if (free[MU_RES_PODS] < 1)
        return false;
    for (uint32_t i = 0; i < c->demand_count; i++)
        if (free[c->demands[i].resource.v] < c->demands[i].amount)
            return false;
    const struct mu_device_row *devices = mu_row_devices(db, bind->node.v);
    struct mu_device_ask ask = {0, 0};
    if (devices != NULL)
        ask = mu_device_ask(devices, db->share_resource, c);
    return ask.count == 0 ? bind->devices == 0 : mu_device_fits(devices, ask, bind->devices);
}

/* Add (+1) or take off (-1) a class's demands, with these devices; neither overflows where it is
 * called. */
static void shift(struct mu_db *db, uint32_t row, const struct mu_class *c, uint64_t devices,
                  int sign)
{
    int64_t *free = mu_row_free(db, row);
    free[MU_RES_PODS] += sign;
    for (uint32_t i = 0; i < c->demand_count; i++)
        free[c->demands[i].resource.v] += sign * c->demands[i].amount;
    struct mu_device_row *tracked = mu_row_devices(db, row);
    if (tracked == NULL)
        return;
    struct mu_device_ask ask = mu_device_ask(tracked, db->share_resource, c);
    if (ask.count != 0 && sign > 0)
        mu_device_give(tracked, ask, (uint16_t)devices);
    else if (ask.count != 0)
        mu_device_take(tracked, ask, (uint16_t)devices);
    mu_row_devices_derive(db, tracked, mu_row_chunk(db, row)->stride, free);
}

/* Give back (+1) or take again (-1) the room that the binds' own pods hold. A sum on the floor has
 * forgotten its true value and no room whatever is given back: left alone both times. */
static void shift_holds(struct mu_db *db, const struct mu_plan_gang *plan, int sign)
{
    for (uint32_t i = 0; i < plan->bind_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, plan->binds[i].pod.v);
        if (p->ledger != MU_LEDGER_HELD || mu_row_floored(db, p->node.v))
            continue;
        shift(db, p->node.v, mu_model_get_class(db->model, p->class_ix), p->devices, sign);
    }
}

/* The devices that the bind had best have of its row, as the row is. */
static uint64_t devices_for(struct mu_db *db, const struct mu_plan_bind *bind,
                            const struct mu_class *c)
{
    const struct mu_device_row *devices = mu_row_devices(db, bind->node.v);
    if (devices == NULL)
        return 0;
    struct mu_device_ask ask = mu_device_ask(devices, db->share_resource, c);
    return ask.count == 0 ? 0 : mu_device_choose(devices, ask);
}

/* Take the binds off one after another, as long as they fit. *taken: how many did. */
static int take_binds(struct mu_db *db, const struct mu_plan_gang *plan,
                      struct mu_plan_bind *choose, uint32_t *taken, struct mu_error *why)
{
    for (*taken = 0; *taken < plan->bind_count; ++*taken) {
        const struct mu_plan_bind *bind = &plan->binds[*taken];
        const struct mu_class *c =
            mu_model_get_class(db->model, mu_pod_at(db, bind->pod.v)->class_ix);
        if (choose != NULL)
            choose[*taken].devices = devices_for(db, bind, c);
        if (!fits(db, bind, c))
            return mu_plan_conflict(db, why, bind->pod.v, "its node has no room for it");
        if (db->nomination_count > 0 && !mu_nominated_leave_room(db, bind->node.v, c, plan->gang.v))
            return mu_plan_conflict(db, why, bind->pod.v,
                                    "room on its node is kept for a nominated pod");
        shift(db, bind->node.v, c, bind->devices, -1);
    }
    return 0;
}

static int check_present(struct mu_db *db, const struct mu_plan_gang *plan,
                         struct mu_plan_bind *choose, struct mu_error *why)
{
    uint32_t taken;
    shift_holds(db, plan, 1);
    int rc = take_binds(db, plan, choose, &taken, why);
    while (taken-- > 0) {
        const struct mu_plan_bind *bind = &plan->binds[taken];
        const struct mu_pod_rec *p = mu_pod_at(db, bind->pod.v);
        shift(db, bind->node.v, mu_model_get_class(db->model, p->class_ix), bind->devices, 1);
    }
    shift_holds(db, plan, -1);
    return rc;
}

/* --- on sums without victims ------------------------------------------------------------------ */

/* A row's own sums, while those of a trial are in their place. */
struct saved {
    uint32_t row;
    struct mu_device_row devices; /* count 0: not tracked */
    int64_t sums[MU_RESOURCES_MAX];
};

static int by_row(const void *left, const void *right)
{
    const struct saved *a = left;
    const struct saved *b = right;
    return (a->row > b->row) - (a->row < b->row);
}

static void vacate(struct mu_db *db, struct saved *saved)
{
    int64_t sums[MU_RESOURCES_MAX];
    struct mu_device_row devices;
    struct mu_device_row *tracked = mu_row_devices(db, saved->row);
    int64_t *free = mu_row_free(db, saved->row);
    size_t bytes = mu_row_chunk(db, saved->row)->stride * sizeof *free;
    (void)mu_row_sum(db, saved->row, MU_POD_PICKED, sums, &devices);
    memcpy(saved->sums, free, bytes);
    memcpy(free, sums, bytes);
    saved->devices.count = 0;
    if (tracked != NULL) {
        saved->devices = *tracked;
        *tracked = devices;
    }
}

static void put_back(struct mu_db *db, const struct saved *saved)
{
    size_t bytes = mu_row_chunk(db, saved->row)->stride * sizeof saved->sums[0];
    memcpy(mu_row_free(db, saved->row), saved->sums, bytes);
    if (saved->devices.count != 0)
        *mu_row_devices(db, saved->row) = saved->devices;
}

static int check_vacated(struct mu_db *db, const struct mu_plan_gang *plan,
                         struct mu_plan_bind *choose, struct mu_error *why)
{
    struct saved *rows = mu_mem_calloc(plan->bind_count, sizeof *rows);
    uint32_t count = 0;
    uint32_t taken;
    if (rows == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < plan->bind_count; i++)
        rows[i].row = plan->binds[i].node.v;
    qsort(rows, plan->bind_count, sizeof *rows, by_row);
    for (uint32_t i = 0; i < plan->bind_count; i++)
        if (count == 0 || rows[count - 1].row != rows[i].row)
            rows[count++].row = rows[i].row;
    for (uint32_t i = 0; i < count; i++)
        vacate(db, &rows[i]);
    int rc = take_binds(db, plan, choose, &taken, why);
    for (uint32_t i = 0; i < count; i++)
        put_back(db, &rows[i]);
    mu_mem_free(rows);
    return rc;
}

int mu_trial_room(struct mu_db *db, const struct mu_plan_gang *plan, struct mu_plan_bind *choose,
                  struct mu_error *why)
{
    return plan->evict_count == 0 ? check_present(db, plan, choose, why)
                                  : check_vacated(db, plan, choose, why);
}
