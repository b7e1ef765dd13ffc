#include "engine/place/place_priv.h"

#include "engine/base/assert.h"

/*
 * Room for several: where a class fits, a bit per row, and whether it fits often enough.
 */

/* Those of a word of rows that a pinned class is pinned to. */
static uint64_t pinned_in(struct mu_place *place, const struct mu_place_class *known,
                          uint32_t begin, uint64_t bits)
{
    if (bits == 0 || !mu_place_pinned(known))
        return bits;
    if (mu_place_pins_current(place)) {
        struct mu_place_pin_rows rows = mu_place_pin_rows(place, known, begin);
        uint64_t may = 0;
        for (uint32_t row; (row = mu_place_pin_next(&rows)) < begin + MU_NODE_CHUNK;)
            may |= UINT64_C(1) << (row - begin);
        bits &= may;
    }
    for (uint64_t left = bits; left != 0; left &= left - 1)
        if (!mu_place_pinned_to(place, known, begin + (uint32_t)__builtin_ctzll(left)))
            bits &= ~(left & -left);
    return bits;
}

/* The class is prepared and not known to fit nowhere. */
static uint64_t fits_in(struct mu_place *place, const struct mu_place_class *known,
                        const struct mu_filter_mask *mask, uint32_t begin)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    uint64_t bits = pinned_in(place, known, begin, mask->bits[0][begin / MU_NODE_CHUNK]);
    for (uint32_t d = 0; d < known->need->count && bits != 0; d++) {
        const struct mu_scan_demand *demand = &known->need->demands[d];
        bits &= ~place->room.ops->less(snapshot->free[demand->resource] + begin, demand->amount);
    }
    return bits;
}

int mu_place_fits(struct mu_place *place, struct mu_place_pod pod, uint32_t begin, uint64_t *bits)
{
    MU_ASSERT(begin % MU_NODE_CHUNK == 0 && begin < place->snapshot->node_rows);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    *bits = 0;
    if (known == NULL)
        return MU_ENOMEM;
    if (known->nowhere)
        return 0;
    const struct mu_filter_mask *mask;
    int error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error == 0)
        error = mu_place_mask(place, pod, known, &mask);
    if (error == 0)
        *bits = fits_in(place, known, mask, begin);
    for (uint64_t left = place->snapshot->nominated_count > 0 ? *bits : 0; left != 0 && error == 0;
         left &= left - 1) {
        struct mu_verdict verdict = {.kind = MU_FITS};
        uint32_t row = begin + (uint32_t)__builtin_ctzll(left);
        if (mu_nominated_to(place, row))
            error = mu_nominated_verdict(place, pod, row, &verdict);
        if (verdict.kind != MU_FITS)
            *bits &= ~(left & -left);
    }
    return error;
}

int mu_place_may(struct mu_place *place, struct mu_place_pod pod, uint32_t begin, uint64_t *bits)
{
    MU_ASSERT(begin % MU_NODE_CHUNK == 0 && begin < place->snapshot->node_rows);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    *bits = 0;
    if (known == NULL)
        return MU_ENOMEM;
    if (known->nowhere)
        return 0;
    int error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    *bits = pinned_in(place, known, begin, known->mask->bits[0][begin / MU_NODE_CHUNK]);
    return 0;
}

/* Pods that fit, counted up to `want`: a row that fits counts for one at least, so that no more
 * than `want` of them are divided. */
static uint32_t slots_count(struct mu_place *place, const struct mu_place_class *known,
                            uint32_t want)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    uint32_t count = 0;
    for (uint32_t begin = 0; begin < snapshot->node_rows; begin += MU_NODE_CHUNK) {
        for (uint64_t bits = fits_in(place, known, known->mask, begin); bits != 0;
             bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            int64_t slots = want - count;
            for (uint32_t d = 0; d < known->need->count; d++) {
                const struct mu_scan_demand *demand = &known->need->demands[d];
                int64_t room = snapshot->free[demand->resource][row] / demand->amount;
                if (snapshot->devices != NULL && demand->resource == snapshot->share_resource)
                    room = mu_device_slots(&snapshot->devices[row], demand->amount, room);
                slots = room < slots ? room : slots;
            }
            MU_ASSERT(slots > 0);
            count += (uint32_t)slots;
            if (count == want)
                return count;
        }
    }
    return count;
}

int mu_place_short(struct mu_place *place, struct mu_place_pod pod, uint32_t want, bool *is_short)
{
    MU_ASSERT(place->snapshot != NULL && !place->in_trial && !place->given);
    const struct mu_snapshot *snapshot = place->snapshot;
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    bool bounded = known->slots_session == place->session ||
                   (known->slots_known && known->slots_static == snapshot->static_generation &&
                    known->slots_capacity == snapshot->capacity_generation);
    /* What is known of a pod that such rules concern is about the rules too. */
    bool none =
        mu_place_concerned(place, pod) ? known->nowhere : mu_place_none_recall(place, known, pod);
    *is_short =
        want > 0 && (none || snapshot->node_rows == 0 || (bounded && known->slots_max < want));
    if (*is_short || want == 0)
        return 0;
    int error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    uint32_t count = slots_count(place, known, want);
    if (count == want)
        return 0;
    *is_short = true;
    known->slots_max = count;
    known->slots_session = place->session;
    known->slots_known = place->log_count == 0;
    known->slots_static = snapshot->static_generation;
    known->slots_capacity = snapshot->capacity_generation;
    return 0;
}
