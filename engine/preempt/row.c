#include "engine/preempt/preempt_priv.h"

#include "engine/base/assert.h"

/*
 * One row as one class sees it, in numbers of its own: the snapshot is not touched. Only what the
 * class asks for is looked at.
 *
 * Devices go by the same rules as placing's (engine/device.h, engine/place/evict.c): a pod gives
 * back those that it has, unless the row has forgotten how much was taken.
 */

void mu_row_need_of(const struct mu_snapshot *snapshot, struct mu_class_ix class_ix,
                    struct mu_row_need *out)
{
    out->class_ = mu_model_get_class(snapshot->model, class_ix);
    out->count = 0;
    for (uint32_t d = 0; d < out->class_->demand_count; d++) {
        MU_ASSERT(out->class_->demands[d].resource.v < snapshot->resource_count);
        out->resources[out->count] = out->class_->demands[d].resource.v;
        out->amounts[out->count++] = out->class_->demands[d].amount;
    }
    out->resources[out->count] = MU_RES_PODS;
    out->amounts[out->count++] = 1;
}

int64_t mu_row_amount(const struct mu_class *class_, uint32_t resource)
{
    if (resource == MU_RES_PODS)
        return 1;
    if ((class_->resource_mask >> resource & 1) == 0)
        return 0;
    uint32_t d = 0;
    while (class_->demands[d].resource.v != resource)
        d++;
    return class_->demands[d].amount;
}

void mu_row_room_move(const struct mu_preempt *p, const struct mu_row_need *need,
                      struct mu_row_room *r, const struct mu_victim_pod *pod, int sign)
{
    const struct mu_occupant *o = mu_victim_occupant(&p->victims, pod);
    const struct mu_class *class_ = mu_model_get_class(p->snapshot->model, o->class_ix);
    for (uint32_t d = 0; d < need->count; d++)
        r->room[d] += sign * mu_row_amount(class_, need->resources[d]);
    if (!r->tracked || (r->devices.flags & MU_DEVICE_OVER) != 0)
        return;
    struct mu_device_ask ask = mu_device_ask(&r->devices, p->snapshot->share_resource, class_);
    if (ask.count == 0 || !mu_device_answers(&r->devices, ask, o->devices))
        return;
    if (sign > 0)
        mu_device_give(&r->devices, ask, o->devices);
    else
        mu_device_take(&r->devices, ask, o->devices);
}

void mu_row_room_open(const struct mu_preempt *p, const struct mu_row_need *need, uint32_t row,
                      int64_t *room, struct mu_row_room *out)
{
    const struct mu_snapshot *s = p->snapshot;
    const struct mu_victims *v = &p->victims;
    *out = (struct mu_row_room){.row = row, .share = s->share_resource, .room = room};
    for (uint32_t d = 0; d < need->count; d++)
        room[d] = s->free[need->resources[d]][row];
    if (s->devices != NULL && s->devices[row].count > 0) {
        out->tracked = mu_device_ask(&s->devices[row], s->share_resource, need->class_).count > 0;
        out->devices = s->devices[row];
    }
    for (uint32_t i = v->row_begin[row]; i < v->row_begin[row + 1] && !p->leaving_gone; i++) {
        const struct mu_victim_pod *pod = &v->pods[v->row_pods[i]];
        if ((v->units[pod->unit].flags & MU_VICTIM_LEAVING) != 0)
            mu_row_room_move(p, need, out, pod, 1);
    }
}

int64_t mu_row_room_slots(const struct mu_row_need *need, const struct mu_row_room *r, int64_t most)
{
    for (uint32_t d = 0; d < need->count && most > 0; d++) {
        int64_t room = r->room[d], amount = need->amounts[d], slots;
        if (r->tracked && need->resources[d] == r->devices.resource)
            room = mu_device_whole_free(&r->devices);
        if (r->tracked && need->resources[d] == r->share)
            slots = mu_device_slots(&r->devices, amount, 0);
        else
            slots = room < amount ? 0 : room / amount;
        most = slots < most ? slots : most;
    }
    return most;
}

/* How often the class fits the row with all units below the priority gone. */
static int64_t slots_at_most(struct mu_preempt *p, const struct mu_row_need *need, uint32_t row,
                             int32_t priority, int64_t most)
{
    const struct mu_victims *v = &p->victims;
    int64_t room[MU_RESOURCES_MAX + 1];
    struct mu_row_room r;
    mu_row_room_open(p, need, row, room, &r);
    if (!mu_victims_matter(v, row, priority))
        return mu_row_room_slots(need, &r, most);
    for (uint32_t i = v->row_begin[row]; i < v->row_begin[row + 1]; i++) {
        const struct mu_victim_pod *pod = &v->pods[v->row_pods[i]];
        if (mu_victim_below(&v->units[pod->unit], priority))
            mu_row_room_move(p, need, &r, pod, 1);
    }
    mu_preempt_walk(p, v->row_begin[row + 1] - v->row_begin[row]);
    return mu_row_room_slots(need, &r, most);
}

int mu_row_enough(struct mu_preempt *p, struct mu_place *place, struct mu_place_pod pod,
                  int32_t priority, uint32_t want, bool *enough)
{
    struct mu_row_need need;
    int64_t left = want;
    mu_row_need_of(p->snapshot, pod.class_ix, &need);
    for (uint32_t begin = 0; left > 0 && begin < p->snapshot->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_may(place, pod, begin, &bits);
        if (error != 0)
            return error;
        mu_preempt_walk(p, 4);
        for (; bits != 0 && left > 0; bits &= bits - 1)
            left -=
                slots_at_most(p, &need, begin + (uint32_t)__builtin_ctzll(bits), priority, left);
    }
    *enough = left <= 0;
    return 0;
}
