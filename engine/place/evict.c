#include "engine/place/place_priv.h"

#include "engine/base/assert.h"

/*
 * Occupants that leave: their room is given back in a trial, to see what would fit then. It is the
 * change that placing them made, the other way round, and undone like any other.
 *
 * What cannot be given back is what nobody knows the amount of. A request that is saturated, or a
 * sum that is at its floor, says of no pod how much would be free without it: such a pod cannot be
 * evicted here. Devices from which more is taken than they have have forgotten how much: then the
 * rest of the pod's room is given back, and no device.
 */

/* A sum of charges at or below it has lost its true value (engine/db/db_priv.h: MU_FREE_MIN). */
#define FREE_FLOOR (-(INT64_C(1) << 62))

int mu_place_evictable(struct mu_place *place, struct mu_node_ix row,
                       const struct mu_occupant *occupant, bool *evictable)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    const struct mu_place_class *known = mu_place_class_get(place, occupant->class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    *evictable = !known->nowhere;
    for (uint32_t d = 0; d < known->need->count && *evictable; d++)
        *evictable = snapshot->free[known->need->demands[d].resource][row.v] > FREE_FLOOR;
    return 0;
}

/* Leave (-1) or come back (1). */
static int move(struct mu_place *place, struct mu_node_ix row, const struct mu_occupant *occupant,
                int sign)
{
    MU_ASSERT(place->in_trial && row.v < place->snapshot->node_rows);
    const struct mu_place_pod pod = {occupant->class_ix, occupant->kin};
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : mu_room_prepare(&place->room, known->resources);
    if (error != 0)
        return error;
    MU_ASSERT(!known->nowhere);
    bool terminating = (occupant->flags & MU_OCCUPANT_TERMINATING) != 0;
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, row.v);
    bool known_devices =
        ask.count != 0 && (place->snapshot->devices[row.v].flags & MU_DEVICE_OVER) == 0 &&
        mu_device_answers(&place->snapshot->devices[row.v], ask, occupant->devices);
    return mu_place_change(place, pod, row.v, known_devices ? occupant->devices : 0, sign,
                           (sign < 0 ? MU_ENTRY_EVICTED : 0u) |
                               (terminating ? MU_ENTRY_TERMINATING : 0u));
}

int mu_place_evict(struct mu_place *place, struct mu_node_ix row,
                   const struct mu_occupant *occupant)
{
    return move(place, row, occupant, -1);
}

int mu_place_return(struct mu_place *place, struct mu_node_ix row,
                    const struct mu_occupant *occupant)
{
    return move(place, row, occupant, 1);
}

int mu_place_charge(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                    uint16_t devices, bool waits)
{
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : mu_room_prepare(&place->room, known->resources);
    if (error != 0)
        return error;
    MU_ASSERT(!known->nowhere && node.v < place->snapshot->node_rows);
    return mu_place_change(place, pod, node.v, devices, 1, waits ? MU_ENTRY_HOLDING : 0);
}
