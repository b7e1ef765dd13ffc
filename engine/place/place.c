#include "engine/place/place_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/device.h"

#define LOG_MAX (1u << 25)
/* Undoing a change costs about as much as computing so many rows anew. */
#define ENTRIES_WORTH_UNDOING 16u

/* ---- lifetime ----------------------------------------------------------------------------- */

struct mu_place *mu_place_create(const struct mu_profile *profile, const struct mu_scan_ops *ops)
{
    struct mu_place *place = mu_mem_zalloc(sizeof *place);
    if (place == NULL)
        return NULL;
    if (ops == NULL)
        ops = mu_scan_best();
    mu_room_init(&place->room, ops, profile);
    mu_choose_init(&place->choose);
    mu_fragment_init(&place->fragment);
    mu_place_run_init(&place->run);
    mu_prefer_init(&place->prefers);
    place->filter = mu_filter_create(ops);
    place->terms = mu_terms_create();
    if (place->filter == NULL || place->terms == NULL) {
        mu_place_destroy(place);
        return NULL;
    }
    return place;
}

void mu_place_destroy(struct mu_place *place)
{
    if (place == NULL)
        return;
    MU_ASSERT(place->snapshot == NULL);
    mu_place_classes_forget(place);
    mu_mem_free(place->classes);
    mu_mem_free(place->log);
    mu_mem_free(place->saved);
    mu_filter_destroy(place->filter);
    mu_terms_destroy(place->terms);
    mu_choose_fini(&place->choose);
    mu_fragment_fini(&place->fragment);
    mu_place_run_fini(&place->run);
    mu_room_fini(&place->room);
    mu_place_within_fini(place);
    mu_place_pins_fini(&place->pins);
    mu_mem_free(place);
}

void mu_place_drop_caches(struct mu_place *place)
{
    MU_ASSERT(place->snapshot == NULL);
    mu_place_classes_forget(place);
    mu_filter_drop(place->filter);
    mu_terms_drop(place->terms);
    mu_choose_drop(&place->choose);
    mu_fragment_fini(&place->fragment);
    mu_place_run_fini(&place->run);
    mu_place_pins_fini(&place->pins);
    mu_room_drop(&place->room);
}

/* Of all that a session may touch. */
static uint64_t touched_digest(const struct mu_snapshot *snapshot)
{
    uint64_t digest = 0;
    for (uint32_t r = 0; r < snapshot->resource_count; r++)
        digest = mu_hash_bytes(snapshot->free[r], snapshot->node_rows * sizeof(int64_t), digest);
    if (snapshot->devices != NULL)
        digest = mu_hash_bytes(snapshot->devices, snapshot->node_rows * sizeof *snapshot->devices,
                               digest);
    for (uint32_t c = 0; c < snapshot->census_count; c++) {
        const struct mu_census *census = &snapshot->censuses[c];
        digest =
            mu_hash_bytes(census->counts, census->domain_count * sizeof *census->counts, digest);
    }
    return digest;
}

void mu_place_begin(struct mu_place *place, struct mu_snapshot *snapshot)
{
    MU_ASSERT(place->snapshot == NULL && place->log_count == 0);
    if (place->model_serial != mu_model_serial(snapshot->model)) {
        mu_place_classes_forget(place);
        mu_place_pins_fini(&place->pins);
    }
    place->model = snapshot->model;
    place->model_serial = mu_model_serial(snapshot->model);
    place->snapshot = snapshot;
    place->session++;
    mu_filter_begin(place->filter, snapshot);
    mu_prefer_begin(&place->prefers, snapshot);
    mu_terms_begin(place->terms, snapshot);
    mu_room_begin(&place->room, snapshot);
    mu_nominated_begin(place);
    mu_place_within_begin(place);
    if (MU_VERIFY_ON)
        place->digest = touched_digest(snapshot);
}

/* What a class asks of a row's devices; count 0 where none are tracked. */
struct mu_device_ask mu_place_device_ask(const struct mu_place *place, struct mu_class_ix class_ix,
                                         uint32_t row)
{
    const struct mu_snapshot *s = place->snapshot;
    if (s->devices == NULL || s->devices[row].count == 0)
        return (struct mu_device_ask){0, 0};
    return mu_device_ask(&s->devices[row], s->share_resource,
                         mu_model_get_class(place->model, class_ix));
}

/* Take (sign 1) or give back devices; the columns are the caller's. */
static void devices_move(struct mu_device_row *row, struct mu_device_ask ask, uint16_t devices,
                         int sign)
{
    if (sign > 0)
        mu_device_take(row, ask, devices);
    else
        mu_device_give(row, ask, devices);
}

static unsigned counted_as(uint32_t flags)
{
    return ((flags & MU_ENTRY_TERMINATING) != 0 ? MU_TERMS_TERMINATING : 0u) |
           ((flags & MU_ENTRY_HOLDING) != 0 ? MU_TERMS_HOLDING : 0u);
}

/* Take back what an entry counted, to the state that it found. */
static void uncount(struct mu_place *place, const struct mu_place_entry *entry)
{
    int error = mu_terms_count(place->terms, entry->pod.class_ix, entry->pod.kin, entry->row,
                               -entry->sign, counted_as(entry->flags));
    MU_ASSERT(error == 0);
    mu_terms_restore(place->terms, entry->state);
    place->vacated -= (entry->flags & MU_ENTRY_EVICTED) != 0;
}

/* The row's devices as they were before the entry. */
static void devices_undo(struct mu_place *place, const struct mu_place_entry *entry,
                         struct mu_device_ask ask)
{
    struct mu_device_row *devices = &place->snapshot->devices[entry->row];
    if ((entry->flags & MU_ENTRY_SAVED) != 0)
        *devices = place->saved[--place->saved_count];
    else
        devices_move(devices, ask, entry->devices, -entry->sign);
}

/* Put back what an entry changed in the snapshot. */
static void columns_restore(struct mu_place *place, const struct mu_place_entry *entry)
{
    struct mu_snapshot *snapshot = place->snapshot;
    const struct mu_scan_need *need = place->classes[entry->pod.class_ix.v]->need;
    for (uint32_t d = 0; d < need->count + need->padding_count; d++)
        snapshot->free[need->demands[d].resource][entry->row] +=
            entry->sign * (int64_t)entry->times * need->demands[d].amount;
    struct mu_device_ask ask = mu_place_device_ask(place, entry->pod.class_ix, entry->row);
    if (ask.count != 0) {
        struct mu_device_row *devices = &snapshot->devices[entry->row];
        devices_undo(place, entry, ask);
        snapshot->free[snapshot->share_resource][entry->row] = mu_device_most_left(devices);
        snapshot->free[devices->resource][entry->row] = mu_device_whole_free(devices);
    }
    mu_room_stray(&place->room, entry->row);
}

void mu_place_end(struct mu_place *place)
{
    MU_ASSERT(place->snapshot != NULL && !place->in_trial);
    struct mu_snapshot *snapshot = place->snapshot;
    /* A few changes are undone one by one; of many, the columns alone, and what follows from them
     * once for each row. */
    if (place->log_count <= snapshot->node_rows / ENTRIES_WORTH_UNDOING)
        mu_place_undo(place, 0);
    bool strays = place->log_count > 0;
    while (place->log_count > 0) {
        const struct mu_place_entry *entry = &place->log[--place->log_count];
        columns_restore(place, entry);
        uncount(place, entry);
    }
    if (strays)
        mu_room_settle(&place->room);
    mu_terms_end(place->terms);
    MU_VERIFY(touched_digest(snapshot) == place->digest);
    place->snapshot = NULL;
    place->room.snapshot = NULL;
}
/* ---- picking ------------------------------------------------------------------------------ */

/* The better of the best row so far and another one; a row that is not in the mask, or not one that
 * the class is pinned to, is none. */
static void pinned_try(const struct mu_place *place, const struct mu_place_class *known,
                       const struct mu_filter_mask *mask, uint32_t row, uint32_t *best,
                       int64_t *best_key)
{
    if (!mu_bitset_test(mask->bits[0], row) || !mu_place_pinned_to(place, known, row))
        return;
    int64_t key = mu_room_key(&place->room, known->need, row);
    if (key > *best_key ||
        (key >= 0 && key == *best_key && mu_room_wins_tie(&place->room, row, *best))) {
        *best = row;
        *best_key = key;
    }
}

static uint32_t pick_pinned(struct mu_place *place, const struct mu_place_class *known,
                            const struct mu_filter_mask *mask)
{
    uint32_t best = MU_NONE;
    int64_t best_key = MU_SCORE_KEY_NONE;
    if (mu_place_pins_current(place)) {
        struct mu_place_pin_rows rows = mu_place_pin_rows(place, known, 0);
        for (uint32_t row; (row = mu_place_pin_next(&rows)) != MU_NONE;)
            pinned_try(place, known, mask, row, &best, &best_key);
        return best;
    }
    for (uint32_t row = 0; row < place->snapshot->node_rows; row++)
        pinned_try(place, known, mask, row, &best, &best_key);
    return best;
}

/* `mask` is the class's own, or what rules about other pods leave of it. */
uint32_t mu_place_pick_row(struct mu_place *place, struct mu_place_class *known,
                           const struct mu_filter_mask *mask)
{
    if (mu_place_pinned(known)) {
        place->counts.pinned++;
        return pick_pinned(place, known, mask);
    }
    if (mask != known->mask || known->need->bonus[0] != NULL) {
        place->counts.by_search++;
        return mu_room_best(&place->room, known->need, mask);
    }
    return mu_choose_best(&place->choose, &place->room, &known->choose, known->id, known->taste,
                          known->need, known->mask);
}

bool mu_place_fragmenting(const struct mu_place *place)
{
    return place->room.score.fragmentation > 0 && place->snapshot->devices != NULL &&
           place->snapshot->typical_count > 0;
}

/* Let the class's need say what depends on the pods placed: how the placement would leave the
 * devices, and what such a pod prefers of the rows of the mask in the present state of the
 * counts. */
static int bonus_prepare(struct mu_place *place, struct mu_place_pod pod,
                         struct mu_place_class *known, const struct mu_filter_mask *mask)
{
    struct mu_scan_need *need = known->need;
    const struct mu_score *score = &place->room.score;
    struct mu_terms_preference preference = {.most = 0};
    const struct mu_place_bonus_of now = {.pod = pod,
                                          .session = place->session,
                                          .state = mu_terms_state(place->terms),
                                          .mask_version = known->mask->version,
                                          .changes = place->room.changes};
    struct mu_place_bonus_of *last = &place->bonus;
    if (last->session == now.session && last->pod.class_ix.v == pod.class_ix.v &&
        last->pod.kin.v == pod.kin.v && last->state == now.state &&
        last->mask_version == now.mask_version && last->changes == now.changes)
        return 0;
    last->session = 0;
    memset(need->bonus, 0, sizeof need->bonus);
    need->bonus_max = 0;
    if (mu_place_fragmenting(place)) {
        need->bonus[0] =
            mu_fragment_bonus(&place->fragment, &place->room,
                              mu_model_get_class(place->model, pod.class_ix), score->fragmentation);
        need->bonus_max = mu_fragment_share(MU_FRAGMENT_MAX, score->fragmentation);
        if (need->bonus[0] == NULL)
            return MU_ENOMEM;
    }
    if (!mu_place_concerned(place, pod)) {
        *last = now;
        return 0;
    }
    preference.bonus[0] = need->bonus[0];
    preference.most = need->bonus_max;
    int error = mu_terms_prefer(place->terms, pod.class_ix, pod.kin, score->spread,
                                score->pod_affinity, mask, &preference);
    if (error != 0)
        return error;
    memcpy(need->bonus, preference.bonus, sizeof need->bonus);
    need->bonus_max = preference.most;
    *last = now;
    return 0;
}

/* The best row by bounds of what the profile says of fragmentation (engine/place/fragment.h).
 * False: not decided, for want of memory or of bounds that are worth it. */
static bool pick_by_bounds(struct mu_place *place, struct mu_place_pod pod,
                           struct mu_place_class *known, struct mu_node_ix *out)
{
    struct mu_scan_need *need = known->need;
    const struct mu_class *class_ = mu_model_get_class(place->model, pod.class_ix);
    const int64_t most = place->room.score.fragmentation;
    bool settled = false, tries_left = true;
    place->bonus.session = 0; /* what the need says is gone behind this */
    memset(need->bonus, 0, sizeof need->bonus);
    if (!mu_fragment_open(&place->fragment, &place->room, class_, most, need->bonus))
        return false;
    need->bonus_max = mu_fragment_share(MU_FRAGMENT_MAX, most);
    while (!settled && tries_left) {
        out->v = mu_room_best(&place->room, need, known->mask);
        settled = out->v == MU_NONE || mu_fragment_settle(&place->fragment, &place->room, class_,
                                                          most, out->v, &tries_left);
    }
    mu_fragment_close(&place->fragment);
    memset(need->bonus, 0, sizeof need->bonus);
    need->bonus_max = 0;
    return settled;
}

static inline int pick(struct mu_place *place, struct mu_place_pod pod,
                       struct mu_place_class *known, struct mu_node_ix *out)
{
    if (mu_place_none_recall(place, known, pod) || place->snapshot->node_rows == 0) {
        place->counts.picks++;
        place->counts.recalled++;
        out->v = MU_NONE;
        return 0;
    }
    const struct mu_filter_mask *mask = NULL;
    int error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error == 0)
        error = mu_place_mask(place, pod, known, &mask);
    bool bounded = error == 0 && mu_place_fragmenting(place) && mask == known->mask &&
                   place->snapshot->nominated_count == 0 && !mu_place_pinned(known) &&
                   !mu_place_concerned(place, pod) && pick_by_bounds(place, pod, known, out);
    if (error == 0 && !bounded)
        error = bonus_prepare(place, pod, known, mask);
    if (error != 0)
        return error;
    place->counts.picks++;
    place->counts.by_search += bounded;
    if (!bounded)
        out->v = mu_place_pick_row(place, known, mask);
    if (out->v == MU_NONE)
        mu_place_none_remember(place, known, pod);
    if (place->snapshot->nominated_count > 0)
        error = mu_nominated_pick(place, pod, known, mask, out);
    return error;
}

int mu_place_pick(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out)
{
    MU_ASSERT(place->snapshot != NULL);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    return known == NULL ? MU_ENOMEM : pick(place, pod, known, out);
}

int mu_place_score(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                   int64_t *score)
{
    MU_ASSERT(place->snapshot != NULL && node.v < place->snapshot->node_rows);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    *score = -1;
    if (known->nowhere)
        return 0;
    int error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    const struct mu_filter_mask *mask;
    error = mu_place_mask(place, pod, known, &mask);
    if (error == 0)
        error = bonus_prepare(place, pod, known, mask);
    if (error != 0)
        return error;
    int64_t key = mu_room_key(&place->room, known->need, node.v);
    *score = key < 0 ? -1 : key >> MU_SCORE_TIE_BITS;
    return 0;
}

/* ---- taking and giving back ---------------------------------------------------------------- */

static int64_t demand_of(const struct mu_scan_need *need, uint32_t resource)
{
    for (uint32_t d = 0; d < need->count; d++)
        if (need->demands[d].resource == resource)
            return need->demands[d].amount;
    return 0;
}

/* Change the room of a row whose devices have been changed already. Their columns are set to what
 * they will be, and what is asked for besides: the change then takes that off again. */
static void room_change(struct mu_place *place, struct mu_class_ix class_ix, uint32_t row,
                        struct mu_device_ask ask, int sign, uint32_t times)
{
    const struct mu_scan_need *need = place->classes[class_ix.v]->need;
    MU_ASSERT(ask.count == 0 || times == 1);
    if (ask.count != 0) {
        struct mu_device_row *tracked = &place->snapshot->devices[row];
        uint32_t share = place->snapshot->share_resource;
        mu_room_set(&place->room, share, row,
                    mu_device_most_left(tracked) + sign * demand_of(need, share));
        mu_room_set(&place->room, tracked->resource, row,
                    mu_device_whole_free(tracked) + sign * demand_of(need, tracked->resource));
    }
    mu_room_change(&place->room, need, row, sign * (int64_t)times);
}

int mu_place_log_reserve(struct mu_place *place, uint32_t entries)
{
    if (place->log_cap - place->log_count >= entries)
        return 0;
    void *array = place->log;
    if (mu_mem_grow(&array, &place->log_cap, place->log_count + entries, LOG_MAX,
                    sizeof *place->log) != 0)
        return MU_ENOMEM;
    place->log = array;
    return 0;
}

/* Devices that do not have as much left, since victims are to leave them, are kept as they were:
 * giving back what was taken would not come back to that. */
static int devices_save(struct mu_place *place, uint32_t row)
{
    void *array = place->saved;
    if (mu_mem_grow(&array, &place->saved_cap, place->saved_count + 1, LOG_MAX,
                    sizeof *place->saved) != 0)
        return MU_ENOMEM;
    place->saved = array;
    place->saved[place->saved_count] = place->snapshot->devices[row];
    return 0;
}

/* `devices`: of the row, where the class asks for some. */
int mu_place_change(struct mu_place *place, struct mu_place_pod pod, uint32_t row, uint16_t devices,
                    int sign, uint32_t flags)
{
    if (mu_place_log_reserve(place, 1) != 0)
        return MU_ENOMEM;
    uint64_t state = mu_terms_state(place->terms);
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, row);
    bool save =
        ask.count != 0 && sign > 0 && !mu_device_fits(&place->snapshot->devices[row], ask, devices);
    int error = save ? devices_save(place, row) : 0;
    if (error == 0)
        error = mu_terms_count(place->terms, pod.class_ix, pod.kin, row, sign, counted_as(flags));
    if (error != 0)
        return error;
    place->saved_count += save;
    place->vacated += (flags & MU_ENTRY_EVICTED) != 0;
    place->log[place->log_count++] =
        (struct mu_place_entry){.pod = pod,
                                .row = row,
                                .times = 1,
                                .sign = (int8_t)sign,
                                .flags = (uint8_t)(flags | (save ? MU_ENTRY_SAVED : 0)),
                                .devices = devices,
                                .state = state};
    if (ask.count != 0)
        devices_move(&place->snapshot->devices[row], ask, devices, sign);
    room_change(place, pod.class_ix, row, ask, sign, 1);
    return 0;
}

static uint16_t devices_best(const struct mu_place *place, const struct mu_place_class *known,
                             uint32_t row, struct mu_device_ask ask)
{
    if (!mu_place_fragmenting(place))
        return mu_device_choose(&place->snapshot->devices[row], ask);
    const struct mu_fragment_pod pod = {demand_of(known->need, MU_RES_CPU),
                                        demand_of(known->need, MU_RES_MEMORY), ask};
    uint16_t devices;
    (void)mu_fragment_worth(place->snapshot, row, &pod, &devices);
    return devices;
}

/* Which devices such a pod gets on a row where it fits: the best of those that leave nominated pods
 * theirs, where that can be. */
static int devices_choose(struct mu_place *place, const struct mu_place_class *known, uint32_t row,
                          struct mu_device_ask ask, uint16_t *devices)
{
    const struct mu_device_row *tracked = &place->snapshot->devices[row];
    const uint32_t mark = place->log_count;
    bool chosen = false;
    if (mu_nominated_to(place, row)) {
        int error = mu_nominated_occupy(place, row);
        chosen = error == 0 && mu_device_fits(tracked, ask, mu_device_choose(tracked, ask));
        if (chosen)
            *devices = devices_best(place, known, row, ask);
        mu_place_undo(place, mark);
        if (error != 0)
            return error;
    }
    if (!chosen)
        *devices = devices_best(place, known, row, ask);
    return 0;
}

static int take(struct mu_place *place, struct mu_place_pod pod, const struct mu_place_class *known,
                uint32_t row)
{
    for (uint32_t d = 0; d < known->need->count; d++) {
        const struct mu_scan_demand *demand = &known->need->demands[d];
        MU_ASSERT(place->snapshot->free[demand->resource][row] >= demand->amount);
    }
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, row);
    place->devices = 0;
    if (ask.count != 0) {
        int error = devices_choose(place, known, row, ask, &place->devices);
        if (error != 0)
            return error;
        MU_ASSERT(mu_device_fits(&place->snapshot->devices[row], ask, place->devices));
    }
    return mu_place_change(place, pod, row, place->devices, 1, 0);
}

void mu_place_undo(struct mu_place *place, uint32_t log_count)
{
    while (place->log_count > log_count) {
        const struct mu_place_entry *entry = &place->log[--place->log_count];
        struct mu_device_ask ask = mu_place_device_ask(place, entry->pod.class_ix, entry->row);
        if (ask.count != 0)
            devices_undo(place, entry, ask);
        room_change(place, entry->pod.class_ix, entry->row, ask, -entry->sign, entry->times);
        uncount(place, entry);
    }
}

int mu_place_take(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node)
{
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : mu_room_prepare(&place->room, known->resources);
    return error != 0 ? error : take(place, pod, known, node.v);
}

int mu_place_put(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out)
{
    MU_ASSERT(place->snapshot != NULL);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    int error = pick(place, pod, known, out);
    if (error == 0 && out->v != MU_NONE)
        error = take(place, pod, known, out->v);
    return error;
}

uint16_t mu_place_devices(const struct mu_place *place)
{
    return place->devices;
}

/* On the held node giving back and taking cancel out, but for what goes by pods that are placed and
 * not by those that only hold room. */
static int stay(struct mu_place *place, struct mu_place_pod pod, uint32_t held, uint16_t devices)
{
    const uint32_t mark = place->log_count;
    if (!mu_terms_counted(place->snapshot, pod.class_ix, pod.kin))
        return 0;
    int error = mu_place_change(place, pod, held, devices, -1, MU_ENTRY_HOLDING);
    if (error == 0)
        error = mu_place_change(place, pod, held, devices, 1, 0);
    if (error != 0)
        mu_place_undo(place, mark);
    return error;
}

int mu_place_stay(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix held,
                  uint16_t devices)
{
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : mu_room_prepare(&place->room, known->resources);
    if (error != 0)
        return error;
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, held.v);
    /* Of over-committed devices nothing can be given back, and nobody is moved on. */
    if (ask.count != 0 && (place->snapshot->devices[held.v].flags & MU_DEVICE_OVER) != 0)
        return 0;
    return stay(place, pod, held.v, ask.count != 0 ? devices : 0);
}

int mu_place_pick_held(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix held,
                       uint16_t devices, struct mu_node_ix *out)
{
    MU_ASSERT(!place->given);
    /* Of over-committed devices nothing can be given back. */
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, held.v);
    if (ask.count != 0 && (place->snapshot->devices[held.v].flags & MU_DEVICE_OVER) != 0)
        return mu_place_put(place, pod, out);
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : 0;
    out->v = MU_NONE;
    if (error != 0 || known->nowhere)
        return error;
    error = mu_place_class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    uint32_t mark = place->log_count;
    devices = ask.count != 0 ? devices : 0;
    error = mu_place_change(place, pod, held.v, devices, -1, MU_ENTRY_HOLDING);
    if (error != 0)
        return error;
    place->given = true;
    error = pick(place, pod, known, out);
    place->given = false;
    mu_place_undo(place, mark);
    place->devices = devices;
    if (error == 0 && out->v == held.v)
        error = stay(place, pod, held.v, devices);
    else if (error == 0 && out->v != MU_NONE)
        error = take(place, pod, known, out->v);
    if (error != 0)
        out->v = MU_NONE;
    return error;
}

void mu_place_trial(struct mu_place *place)
{
    MU_ASSERT(place->trial_depth < MU_PLACE_TRIALS_MAX);
    if (!place->in_trial)
        place->trial_begin = place->log_count;
    place->trial_begins[place->trial_depth++] = place->log_count;
    place->in_trial = true;
    place->trial++;
}

/* What was found within the trial is forgotten with it, also in the one around it. */
static void trial_close(struct mu_place *place)
{
    MU_ASSERT(place->in_trial);
    place->in_trial = --place->trial_depth > 0;
    place->trial += place->in_trial;
}

void mu_place_commit(struct mu_place *place)
{
    trial_close(place);
    MU_ASSERT(place->in_trial || place->vacated == 0);
}

void mu_place_rollback(struct mu_place *place)
{
    MU_ASSERT(place->in_trial);
    mu_place_undo(place, place->trial_begins[place->trial_depth - 1]);
    trial_close(place);
}

bool mu_place_untouched(const struct mu_place *place)
{
    return place->log_count == 0;
}

uint32_t mu_place_taken(const struct mu_place *place)
{
    return place->log_count;
}

void mu_place_counts(const struct mu_place *place, struct mu_place_counts *out)
{
    *out = place->counts;
    out->by_rank = place->choose.by_rank;
    out->by_tree = place->choose.by_tree;
    out->by_search += place->choose.by_search;
    out->by_bounds = place->choose.by_bounds;
    out->visits = place->room.visits;
    out->trees_built = place->choose.trees_built;
    out->looks =
        mu_filter_looks(place->filter) + place->prefers.looks + mu_terms_looks(place->terms);
}
