#include "engine/place.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/choose.h"
#include "engine/device.h"
#include "engine/fragment.h"
#include "engine/prefer.h"

#define LOG_MAX (1u << 25)
/* Undoing a change costs about as much as computing so many rows anew. */
#define ENTRIES_WORTH_UNDOING 16u

_Static_assert(MU_NO_NODE_AFFINITY < MU_NO_PORTS && MU_NO_PORTS < MU_NO_PODS,
               "host ports come behind the static rules and before the room");

/* What is known about a class. */
struct place_class {
    uint64_t id;      /* of the class that this describes */
    uint64_t session; /* in which mask and feasibility were last looked up */
    uint64_t mask_epoch;
    const struct mu_filter_mask *mask;
    struct mu_affinity_ix affinity;
    struct mu_symbol hostname; /* pinned to nodes of it, or to the one of this name; 0: not so */
    struct mu_symbol only_name;
    uint64_t resources; /* bits of all resources it asks for, pods included */
    bool nowhere;       /* impossible, or asks for a resource that no node has */
    /* "Fits nowhere" holds: in this session; until this trial is rolled back; for the snapshots
     * of one model with these generations. 0: not known. */
    uint64_t none_session;
    uint64_t none_trial;
    bool none_known;
    uint64_t none_static, none_capacity;
    /* For whom: MU_NONE and 0 where no rule about other pods had a say. */
    uint32_t none_kin;
    uint64_t none_state, none_terms;
    /* No more than so many fit: held as true as "fits nowhere" is. */
    uint32_t slots_max;
    uint64_t slots_session;
    bool slots_known;
    uint64_t slots_static, slots_capacity;
    /* Refusals: counted in which session; for the untouched snapshot of which generation. */
    uint64_t refusals_session;
    bool refusals_untouched;
    uint64_t refusals_generation, refusals_static;
    struct mu_place_refusals *refusals;
    struct mu_prefer *prefer; /* as of mask_epoch; NULL: indifferent */
    struct mu_choose_class choose;
    struct mu_scan_need *need; /* behind this struct, in the same block */
};

struct log_entry {
    struct mu_place_pod pod;
    uint32_t row;
    int16_t sign;
    uint16_t devices; /* that go with it */
    uint64_t state;   /* of the terms, before */
};

/* What the rows are that pass all rules but room, for the last pod that such rules concerned. */
struct concerned_mask {
    const struct mu_filter_mask *mask; /* NULL: none */
    struct mu_place_pod pod;
    uint64_t session, state, mask_epoch;
};

/* For whom, and in which state, the bonus of a class was made last; session 0: for nobody. */
struct bonus_of {
    struct mu_place_pod pod;
    uint64_t session, state, mask_version, changes;
};

struct mu_place {
    struct bonus_of bonus;
    struct mu_room room;
    struct mu_choose choose;
    struct mu_fragment fragment;
    struct mu_filter *filter;
    struct mu_terms *terms;
    struct concerned_mask concerned;
    struct mu_snapshot *snapshot; /* NULL: between sessions */
    const struct mu_model *model; /* of the classes known */
    uint64_t session;             /* number of the present one */
    uint64_t trial;               /* number of the present or last one */
    bool in_trial;
    bool given; /* held room is handed back: the state is not one to remember */
    uint32_t trial_begin;
    uint64_t prefer_bytes;
    bool taints_known, taints_matter; /* some node has a PreferNoSchedule taint: as of these */
    uint64_t taints_static;
    uint32_t taints_rows;
    struct place_class **classes; /* by class index */
    uint32_t class_cap;
    struct log_entry *log;
    uint32_t log_count;
    uint32_t log_cap;
    uint16_t devices; /* of the last take */
    uint64_t digest;  /* MU_VERIFY: of the free columns as they came */
    struct mu_place_counts counts;
};

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
    place->filter = mu_filter_create(ops);
    place->terms = mu_terms_create();
    if (place->filter == NULL || place->terms == NULL) {
        mu_place_destroy(place);
        return NULL;
    }
    return place;
}

static void prefer_forget(struct mu_place *place, struct place_class *known)
{
    if (known->prefer != NULL)
        place->prefer_bytes -= known->prefer->bytes;
    mu_prefer_destroy(known->prefer);
    known->prefer = NULL;
    memset(known->need->pref, 0, sizeof known->need->pref);
}

static void classes_forget(struct mu_place *place)
{
    for (uint32_t c = 0; c < place->class_cap; c++) {
        if (place->classes[c] == NULL)
            continue;
        mu_mem_free(place->classes[c]->refusals);
        mu_prefer_destroy(place->classes[c]->prefer);
        mu_mem_free(place->classes[c]);
        place->classes[c] = NULL;
    }
    place->prefer_bytes = 0;
    place->taints_known = false;
}

void mu_place_destroy(struct mu_place *place)
{
    if (place == NULL)
        return;
    MU_ASSERT(place->snapshot == NULL);
    classes_forget(place);
    mu_mem_free(place->classes);
    mu_mem_free(place->log);
    mu_filter_destroy(place->filter);
    mu_terms_destroy(place->terms);
    mu_choose_fini(&place->choose);
    mu_fragment_fini(&place->fragment);
    mu_room_fini(&place->room);
    mu_mem_free(place);
}

void mu_place_drop_caches(struct mu_place *place)
{
    MU_ASSERT(place->snapshot == NULL);
    classes_forget(place);
    mu_filter_drop(place->filter);
    mu_terms_drop(place->terms);
    mu_choose_drop(&place->choose);
    mu_fragment_fini(&place->fragment);
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
    if (place->model != snapshot->model)
        classes_forget(place);
    place->model = snapshot->model;
    place->snapshot = snapshot;
    place->session++;
    mu_filter_begin(place->filter, snapshot);
    mu_terms_begin(place->terms, snapshot);
    mu_room_begin(&place->room, snapshot);
    if (MU_VERIFY_ON)
        place->digest = touched_digest(snapshot);
}

/* What a class asks of a row's devices; count 0 where none are tracked. */
static struct mu_device_ask device_ask(const struct mu_place *place, struct mu_class_ix class_ix,
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

/* Take back what an entry counted, to the state that it found. */
static void uncount(struct mu_place *place, const struct log_entry *entry)
{
    int error =
        mu_terms_count(place->terms, entry->pod.class_ix, entry->pod.kin, entry->row, -entry->sign);
    MU_ASSERT(error == 0);
    mu_terms_restore(place->terms, entry->state);
}

static void undo(struct mu_place *place, uint32_t log_count);

void mu_place_end(struct mu_place *place)
{
    MU_ASSERT(place->snapshot != NULL && !place->in_trial);
    struct mu_snapshot *snapshot = place->snapshot;
    /* A few changes are undone in the summaries too, for a session over the same snapshot; of many,
     * the columns alone, and the summaries are computed anew. */
    if (place->log_count <= snapshot->node_rows / ENTRIES_WORTH_UNDOING)
        undo(place, 0);
    else
        place->room.fresh = false;
    while (place->log_count > 0) {
        const struct log_entry *entry = &place->log[--place->log_count];
        const struct mu_scan_need *need = place->classes[entry->pod.class_ix.v]->need;
        for (uint32_t d = 0; d < need->count; d++)
            snapshot->free[need->demands[d].resource][entry->row] +=
                entry->sign * need->demands[d].amount;
        struct mu_device_ask ask = device_ask(place, entry->pod.class_ix, entry->row);
        if (ask.count != 0) {
            struct mu_device_row *devices = &snapshot->devices[entry->row];
            devices_move(devices, ask, entry->devices, -entry->sign);
            snapshot->free[snapshot->share_resource][entry->row] = mu_device_most_left(devices);
            snapshot->free[devices->resource][entry->row] = mu_device_whole_free(devices);
        }
        uncount(place, entry);
    }
    mu_terms_end(place->terms);
    MU_VERIFY(touched_digest(snapshot) == place->digest);
    place->snapshot = NULL;
    place->room.snapshot = NULL;
}

/* ---- classes ------------------------------------------------------------------------------ */

static void known_fill(const struct mu_model *model, const struct mu_class *class_,
                       struct place_class *known)
{
    known->id = class_->id;
    known->none_kin = MU_NONE;
    known->affinity = class_->affinity;
    known->hostname = class_->hostname;
    known->only_name = mu_model_get_affinity(model, class_->affinity)->only_name;
    known->nowhere = class_->impossible;
    known->resources = UINT64_C(1) << MU_RES_PODS;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        MU_ASSERT(class_->demands[d].resource.v < MU_RESOURCES_MAX);
        known->resources |= UINT64_C(1) << class_->demands[d].resource.v;
        known->nowhere = known->nowhere || class_->demands[d].amount == MU_AMOUNT_MAX;
    }
}

/* Look a class up for the first time in this session; make what is known about it if it is new.
 * NULL when out of memory. */
static __attribute__((noinline)) struct place_class *class_meet(struct mu_place *place,
                                                                struct mu_class_ix ix)
{
    const struct mu_class *class_ = mu_model_get_class(place->model, ix);
    void *array = place->classes;
    uint32_t cap = place->class_cap;
    if (mu_mem_grow(&array, &cap, ix.v + 1, MU_CLASSES_MAX, sizeof *place->classes) != 0)
        return NULL;
    place->classes = array;
    for (; place->class_cap < cap; place->class_cap++)
        place->classes[place->class_cap] = NULL;
    struct place_class *known = place->classes[ix.v];
    if (known == NULL || known->id != class_->id) {
        struct place_class *fresh =
            mu_mem_zalloc(sizeof *fresh + sizeof *fresh->need +
                          (class_->demand_count + 1) * sizeof(struct mu_scan_demand));
        if (fresh == NULL)
            return NULL;
        fresh->need = (struct mu_scan_need *)(void *)(fresh + 1);
        known_fill(place->model, class_, fresh);
        if (known != NULL) {
            mu_mem_free(known->refusals);
            prefer_forget(place, known);
        }
        mu_mem_free(known);
        known = place->classes[ix.v] = fresh;
    }
    for (uint32_t d = 0; d < class_->demand_count; d++)
        known->nowhere =
            known->nowhere || !mu_filter_known(place->snapshot, class_->demands[d].resource);
    mu_room_need(&place->room, class_, known->need);
    known->session = place->session;
    return known;
}

static inline struct place_class *class_get(struct mu_place *place, struct mu_class_ix ix)
{
    if (ix.v < place->class_cap && place->classes[ix.v] != NULL &&
        place->classes[ix.v]->session == place->session)
        return place->classes[ix.v];
    return class_meet(place, ix);
}

/* What the class prefers, for its new mask. */
static int class_prefer(struct mu_place *place, const struct mu_class *class_,
                        struct place_class *known)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    const struct mu_score *score = &place->room.score;
    prefer_forget(place, known);
    if (!place->taints_known || place->taints_static != snapshot->static_generation ||
        place->taints_rows != snapshot->node_rows) {
        place->taints_matter = mu_prefer_taints_matter(snapshot);
        place->taints_static = snapshot->static_generation;
        place->taints_rows = snapshot->node_rows;
        place->taints_known = true;
    }
    bool taints = score->taints > 0 && place->taints_matter;
    bool affinity = score->node_affinity > 0 && class_->preferred_node_count > 0;
    if (!taints && !affinity)
        return 0;
    for (uint32_t c = 0; c < place->class_cap && place->prefer_bytes > MU_PREFER_BYTES_MAX; c++) {
        if (place->classes[c] == NULL || place->classes[c]->prefer == NULL)
            continue;
        prefer_forget(place, place->classes[c]);
        place->classes[c]->mask = NULL; /* both are asked for again */
    }
    int error = mu_prefer_create(snapshot, score, class_, known->mask, &known->prefer);
    if (error != 0 || known->prefer == NULL)
        return error;
    place->prefer_bytes += known->prefer->bytes;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        known->need->pref[l] = known->prefer->levels[l];
    return 0;
}

static bool is_concerned(const struct mu_place *place, struct mu_place_pod pod)
{
    return mu_terms_concern(place->snapshot, pod.class_ix, pod.kin);
}

/* Mask and summaries of a class that may fit somewhere. */
static int class_prepare(struct mu_place *place, struct mu_class_ix ix, struct place_class *known)
{
    if (known->mask == NULL || known->mask_epoch != mu_filter_epoch(place->filter)) {
        const struct mu_class *class_ = mu_model_get_class(place->model, ix);
        int error = mu_filter_mask(place->filter, class_, &known->mask);
        if (error == 0)
            error = class_prefer(place, class_, known);
        if (error != 0) {
            known->mask = NULL;
            return error;
        }
        known->mask_epoch = mu_filter_epoch(place->filter);
    }
    return mu_room_prepare(&place->room, known->resources);
}

/* The rows that pass all rules but room. The class is prepared. */
static int pod_mask(struct mu_place *place, struct mu_place_pod pod,
                    const struct place_class *known, const struct mu_filter_mask **out)
{
    struct concerned_mask *last = &place->concerned;
    uint64_t state = mu_terms_state(place->terms);
    *out = known->mask;
    if (!is_concerned(place, pod))
        return 0;
    *out = last->mask;
    if (last->mask != NULL && last->pod.class_ix.v == pod.class_ix.v &&
        last->pod.kin.v == pod.kin.v && last->session == place->session && last->state == state &&
        last->mask_epoch == known->mask_epoch)
        return 0;
    last->mask = NULL;
    int error = mu_terms_mask(place->terms, pod.class_ix, pod.kin, known->mask, out);
    if (error == 0)
        *last = (struct concerned_mask){*out, pod, place->session, state, known->mask_epoch};
    return error;
}

/* ---- fits nowhere ------------------------------------------------------------------------- */

/* Whom, and which state of the counts, a fact about a pod is about. */
static bool none_is_about(const struct mu_place *place, const struct place_class *known,
                          struct mu_place_pod pod)
{
    if (!is_concerned(place, pod))
        return known->none_kin == MU_NONE;
    return known->none_kin == pod.kin.v && known->none_state == mu_terms_state(place->terms) &&
           known->none_terms == place->snapshot->term_generation;
}

static bool none_recall(const struct mu_place *place, const struct place_class *known,
                        struct mu_place_pod pod)
{
    if (known->nowhere)
        return true;
    if (place->given || !none_is_about(place, known, pod))
        return false;
    return known->none_session == place->session ||
           (place->in_trial && known->none_trial == place->trial) ||
           (known->none_known && known->none_static == place->snapshot->static_generation &&
            known->none_capacity == place->snapshot->capacity_generation);
}

static void none_remember(struct mu_place *place, struct place_class *known,
                          struct mu_place_pod pod)
{
    if (place->given)
        return;
    if (!none_is_about(place, known, pod)) {
        bool concerned = is_concerned(place, pod);
        known->none_session = known->none_trial = 0;
        known->none_known = false;
        known->none_kin = concerned ? pod.kin.v : MU_NONE;
        known->none_state = concerned ? mu_terms_state(place->terms) : 0;
        known->none_terms = concerned ? place->snapshot->term_generation : 0;
    }
    bool empty_trial = !place->in_trial || place->log_count == place->trial_begin;
    if (place->log_count == 0) {
        known->none_known = true;
        known->none_static = place->snapshot->static_generation;
        known->none_capacity = place->snapshot->capacity_generation;
    }
    if (empty_trial)
        known->none_session = place->session;
    else
        known->none_trial = place->trial;
}

/* ---- picking ------------------------------------------------------------------------------ */

static bool is_pinned(const struct place_class *known)
{
    return (known->hostname.v | known->only_name.v) != 0;
}

/* A row of the mask, which knows of no pins, against those of the class. */
static bool is_its_pin(const struct mu_place *place, const struct place_class *known, uint32_t row)
{
    const struct mu_node_static *n = &place->snapshot->nodes[row];
    if ((known->hostname.v != 0 && n->hostname.v != known->hostname.v) ||
        (known->only_name.v != 0 && n->name.v != known->only_name.v))
        return false;
    const struct mu_labels_view labels =
        mu_snapshot_labels(place->snapshot, (struct mu_node_ix){row});
    return mu_affinity_selects(place->model, mu_model_get_affinity(place->model, known->affinity),
                               &labels, n->name);
}

static uint32_t pick_pinned(const struct mu_place *place, const struct place_class *known,
                            const struct mu_filter_mask *mask)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    uint32_t best = MU_NONE;
    int64_t best_key = MU_SCORE_KEY_NONE;
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row) || !is_its_pin(place, known, row))
            continue;
        int64_t key = mu_room_key(&place->room, known->need, row);
        if (key > best_key ||
            (key >= 0 && key == best_key && mu_room_wins_tie(&place->room, row, best))) {
            best = row;
            best_key = key;
        }
    }
    return best;
}

/* `mask` is the class's own, or what rules about other pods leave of it. */
static uint32_t pick_row(struct mu_place *place, struct place_class *known,
                         const struct mu_filter_mask *mask)
{
    if (is_pinned(known)) {
        place->counts.pinned++;
        return pick_pinned(place, known, mask);
    }
    if (mask != known->mask || known->need->bonus[0] != NULL) {
        place->counts.by_search++;
        return mu_room_best(&place->room, known->need, mask);
    }
    return mu_choose_best(&place->choose, &place->room, &known->choose, known->id,
                          known->mask->version, known->need, known->mask);
}

/* True when the profile looks at fragmentation, and there is something to see. */
static bool is_fragmenting(const struct mu_place *place)
{
    return place->room.score.fragmentation > 0 && place->snapshot->devices != NULL &&
           place->snapshot->typical_count > 0;
}

/* Let the class's need say what depends on the pods placed: how the placement would leave the
 * devices, and what such a pod prefers of the rows of the mask in the present state of the counts. */
static int bonus_prepare(struct mu_place *place, struct mu_place_pod pod, struct place_class *known,
                         const struct mu_filter_mask *mask)
{
    struct mu_scan_need *need = known->need;
    const struct mu_score *score = &place->room.score;
    struct mu_terms_preference preference = {.most = 0};
    const struct bonus_of now = {.pod = pod,
                                 .session = place->session,
                                 .state = mu_terms_state(place->terms),
                                 .mask_version = known->mask->version,
                                 .changes = place->room.changes};
    struct bonus_of *last = &place->bonus;
    if (last->session == now.session && last->pod.class_ix.v == pod.class_ix.v &&
        last->pod.kin.v == pod.kin.v && last->state == now.state &&
        last->mask_version == now.mask_version && last->changes == now.changes)
        return 0;
    last->session = 0;
    memset(need->bonus, 0, sizeof need->bonus);
    need->bonus_max = 0;
    if (is_fragmenting(place)) {
        int64_t scale = score->fragmentation / (2 * MU_FRAGMENT_MAX);
        need->bonus[0] = mu_fragment_bonus(&place->fragment, &place->room,
                                           mu_model_get_class(place->model, pod.class_ix), scale);
        need->bonus_max = 2 * MU_FRAGMENT_MAX * scale;
        if (need->bonus[0] == NULL)
            return MU_ENOMEM;
    }
    if (!is_concerned(place, pod)) {
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

static inline int pick(struct mu_place *place, struct mu_place_pod pod, struct place_class *known,
                       struct mu_node_ix *out)
{
    if (none_recall(place, known, pod) || place->snapshot->node_rows == 0) {
        place->counts.picks++;
        place->counts.recalled++;
        out->v = MU_NONE;
        return 0;
    }
    const struct mu_filter_mask *mask;
    int error = class_prepare(place, pod.class_ix, known);
    if (error == 0)
        error = pod_mask(place, pod, known, &mask);
    if (error == 0)
        error = bonus_prepare(place, pod, known, mask);
    if (error != 0)
        return error;
    place->counts.picks++;
    out->v = pick_row(place, known, mask);
    if (out->v == MU_NONE)
        none_remember(place, known, pod);
    return 0;
}

int mu_place_pick(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out)
{
    MU_ASSERT(place->snapshot != NULL);
    struct place_class *known = class_get(place, pod.class_ix);
    return known == NULL ? MU_ENOMEM : pick(place, pod, known, out);
}

int mu_place_score(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                   int64_t *score)
{
    MU_ASSERT(place->snapshot != NULL && node.v < place->snapshot->node_rows);
    struct place_class *known = class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    *score = -1;
    if (known->nowhere)
        return 0;
    int error = class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    const struct mu_filter_mask *mask;
    error = pod_mask(place, pod, known, &mask);
    if (error == 0)
        error = bonus_prepare(place, pod, known, mask);
    if (error != 0)
        return error;
    int64_t key = mu_room_key(&place->room, known->need, node.v);
    *score = key < 0 ? -1 : key >> MU_SCORE_TIE_BITS;
    return 0;
}

/* ---- room for several ---------------------------------------------------------------------- */

/* The class is prepared and not known to fit nowhere. */
static uint64_t fits_in(const struct mu_place *place, const struct place_class *known,
                        const struct mu_filter_mask *mask, uint32_t begin)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    const bool pinned = is_pinned(known);
    uint64_t bits = mask->bits[0][begin / MU_NODE_CHUNK];
    for (uint32_t d = 0; d < known->need->count && bits != 0; d++) {
        const struct mu_scan_demand *demand = &known->need->demands[d];
        bits &= ~place->room.ops->less(snapshot->free[demand->resource] + begin, demand->amount);
    }
    for (uint64_t left = pinned ? bits : 0; left != 0; left &= left - 1)
        if (!is_its_pin(place, known, begin + (uint32_t)__builtin_ctzll(left)))
            bits &= ~(left & -left);
    return bits;
}

int mu_place_fits(struct mu_place *place, struct mu_place_pod pod, uint32_t begin, uint64_t *bits)
{
    MU_ASSERT(begin % MU_NODE_CHUNK == 0 && begin < place->snapshot->node_rows);
    struct place_class *known = class_get(place, pod.class_ix);
    *bits = 0;
    if (known == NULL)
        return MU_ENOMEM;
    if (known->nowhere)
        return 0;
    const struct mu_filter_mask *mask;
    int error = class_prepare(place, pod.class_ix, known);
    if (error == 0)
        error = pod_mask(place, pod, known, &mask);
    if (error == 0)
        *bits = fits_in(place, known, mask, begin);
    return error;
}

/* Pods that fit, counted up to `want`: a row that fits counts for one at least, so that no more
 * than `want` of them are divided. */
static uint32_t slots_count(const struct mu_place *place, const struct place_class *known,
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
    struct place_class *known = class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    bool bounded = known->slots_session == place->session ||
                   (known->slots_known && known->slots_static == snapshot->static_generation &&
                    known->slots_capacity == snapshot->capacity_generation);
    *is_short = want > 0 && (none_recall(place, known, pod) || snapshot->node_rows == 0 ||
                             (bounded && known->slots_max < want));
    if (*is_short || want == 0)
        return 0;
    int error = class_prepare(place, pod.class_ix, known);
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

/* ---- taking and giving back ---------------------------------------------------------------- */

static int64_t demand_of(const struct mu_scan_need *need, uint32_t resource)
{
    for (uint32_t d = 0; d < need->count; d++)
        if (need->demands[d].resource == resource)
            return need->demands[d].amount;
    return 0;
}

/* Change the room of a row, with these devices of it. Their columns are set to what they will be,
 * and what is asked for besides: the change then takes that off again. */
static void room_change(struct mu_place *place, struct mu_class_ix class_ix, uint32_t row,
                        uint16_t devices, int sign)
{
    const struct mu_scan_need *need = place->classes[class_ix.v]->need;
    struct mu_device_ask ask = device_ask(place, class_ix, row);
    if (ask.count != 0) {
        struct mu_device_row *tracked = &place->snapshot->devices[row];
        uint32_t share = place->snapshot->share_resource;
        devices_move(tracked, ask, devices, sign);
        mu_room_set(&place->room, share, row,
                    mu_device_most_left(tracked) + sign * demand_of(need, share));
        mu_room_set(&place->room, tracked->resource, row,
                    mu_device_whole_free(tracked) + sign * demand_of(need, tracked->resource));
    }
    mu_room_change(&place->room, need, row, sign);
}

/* `devices`: of the row, where the class asks for some. */
static int change(struct mu_place *place, struct mu_place_pod pod, uint32_t row, uint16_t devices,
                  int sign)
{
    if (place->log_count == place->log_cap) {
        void *array = place->log;
        if (mu_mem_grow(&array, &place->log_cap, place->log_count + 1, LOG_MAX,
                        sizeof *place->log) != 0)
            return MU_ENOMEM;
        place->log = array;
    }
    uint64_t state = mu_terms_state(place->terms);
    int error = mu_terms_count(place->terms, pod.class_ix, pod.kin, row, sign);
    if (error != 0)
        return error;
    place->log[place->log_count++] = (struct log_entry){pod, row, (int16_t)sign, devices, state};
    room_change(place, pod.class_ix, row, devices, sign);
    return 0;
}

static uint16_t devices_choose(const struct mu_place *place, const struct place_class *known,
                               uint32_t row, struct mu_device_ask ask)
{
    if (!is_fragmenting(place))
        return mu_device_choose(&place->snapshot->devices[row], ask);
    const struct mu_fragment_pod pod = {demand_of(known->need, MU_RES_CPU),
                                        demand_of(known->need, MU_RES_MEMORY), ask};
    uint16_t devices;
    (void)mu_fragment_worth(place->snapshot, row, &pod, &devices);
    return devices;
}

static int take(struct mu_place *place, struct mu_place_pod pod, const struct place_class *known,
                uint32_t row)
{
    for (uint32_t d = 0; d < known->need->count; d++) {
        const struct mu_scan_demand *demand = &known->need->demands[d];
        MU_ASSERT(place->snapshot->free[demand->resource][row] >= demand->amount);
    }
    struct mu_device_ask ask = device_ask(place, pod.class_ix, row);
    place->devices = 0;
    if (ask.count != 0) {
        place->devices = devices_choose(place, known, row, ask);
        MU_ASSERT(mu_device_fits(&place->snapshot->devices[row], ask, place->devices));
    }
    return change(place, pod, row, place->devices, 1);
}

static void undo(struct mu_place *place, uint32_t log_count)
{
    while (place->log_count > log_count) {
        const struct log_entry *entry = &place->log[--place->log_count];
        room_change(place, entry->pod.class_ix, entry->row, entry->devices, -entry->sign);
        uncount(place, entry);
    }
}

int mu_place_take(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node)
{
    struct place_class *known = class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : mu_room_prepare(&place->room, known->resources);
    return error != 0 ? error : take(place, pod, known, node.v);
}

int mu_place_put(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix *out)
{
    MU_ASSERT(place->snapshot != NULL);
    struct place_class *known = class_get(place, pod.class_ix);
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

int mu_place_pick_held(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix held,
                       uint16_t devices, struct mu_node_ix *out)
{
    MU_ASSERT(!place->given);
    /* Of over-committed devices nothing can be given back. */
    struct mu_device_ask ask = device_ask(place, pod.class_ix, held.v);
    if (ask.count != 0 && (place->snapshot->devices[held.v].flags & MU_DEVICE_OVER) != 0)
        return mu_place_put(place, pod, out);
    struct place_class *known = class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : 0;
    out->v = MU_NONE;
    if (error != 0 || known->nowhere)
        return error;
    error = class_prepare(place, pod.class_ix, known);
    if (error != 0)
        return error;
    uint32_t mark = place->log_count;
    devices = ask.count != 0 ? devices : 0;
    error = change(place, pod, held.v, devices, -1);
    if (error != 0)
        return error;
    place->given = true;
    error = pick(place, pod, known, out);
    place->given = false;
    undo(place, mark);
    /* On the held node, giving back and taking cancel out. */
    place->devices = devices;
    if (error == 0 && out->v != MU_NONE && out->v != held.v)
        error = take(place, pod, known, out->v);
    if (error != 0)
        out->v = MU_NONE;
    return error;
}

void mu_place_trial(struct mu_place *place)
{
    MU_ASSERT(!place->in_trial);
    place->in_trial = true;
    place->trial++;
    place->trial_begin = place->log_count;
}

void mu_place_commit(struct mu_place *place)
{
    MU_ASSERT(place->in_trial);
    place->in_trial = false;
}

void mu_place_rollback(struct mu_place *place)
{
    MU_ASSERT(place->in_trial);
    undo(place, place->trial_begin);
    place->in_trial = false;
}

bool mu_place_untouched(const struct mu_place *place)
{
    return place->log_count == 0;
}

uint32_t mu_place_taken(const struct mu_place *place)
{
    return place->log_count;
}

/* ---- explaining --------------------------------------------------------------------------- */

/* The same as mu_filter_count() with the rules about other pods in their places: host ports before
 * the room, the others behind it. */
static int count_concerned(struct mu_place *place, struct mu_place_pod pod, uint32_t *by_verdict,
                           uint32_t *by_resource)
{
    const struct mu_snapshot *snapshot = place->snapshot;
    memset(by_verdict, 0, MU_VERDICT_KINDS * sizeof *by_verdict);
    memset(by_resource, 0, MU_RESOURCES_MAX * sizeof *by_resource);
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        struct mu_verdict verdict;
        if ((snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        int error = mu_place_verdict(place, pod, (struct mu_node_ix){row}, &verdict);
        if (error != 0)
            return error;
        by_verdict[verdict.kind]++;
        if (verdict.kind == MU_NO_RESOURCE || verdict.kind == MU_NO_RESOURCE_EVER)
            by_resource[verdict.resource.v]++;
    }
    return 0;
}

int mu_place_verdict(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                     struct mu_verdict *out)
{
    MU_ASSERT(place->snapshot != NULL);
    *out = mu_filter_verdict(place->snapshot, mu_model_get_class(place->model, pod.class_ix), node);
    if (!is_concerned(place, pod) || (out->kind != MU_FITS && out->kind < MU_NO_PORTS))
        return 0;
    enum mu_verdict_kind kind;
    int error = mu_terms_verdict(place->terms, pod.class_ix, pod.kin, node.v, &kind);
    if (error == 0 && kind != MU_FITS && (out->kind == MU_FITS || kind == MU_NO_PORTS))
        *out = (struct mu_verdict){.kind = kind};
    return error;
}

int mu_place_explain(struct mu_place *place, struct mu_place_pod pod,
                     const struct mu_place_refusals **out)
{
    MU_ASSERT(place->snapshot != NULL && !place->in_trial);
    const struct mu_snapshot *snapshot = place->snapshot;
    struct place_class *known = class_get(place, pod.class_ix);
    if (known == NULL)
        return MU_ENOMEM;
    if (known->refusals == NULL) {
        known->refusals = mu_mem_zalloc(sizeof *known->refusals);
        if (known->refusals == NULL)
            return MU_ENOMEM;
    }
    bool untouched = place->log_count == 0, concerned = is_concerned(place, pod);
    bool counted = !concerned && (known->refusals_session == place->session ||
                                  (untouched && known->refusals_untouched &&
                                   known->refusals_generation == snapshot->generation &&
                                   known->refusals_static == snapshot->static_generation));
    if (!counted) {
        known->refusals_untouched = false;
        known->refusals_session = 0;
        int error =
            concerned
                ? count_concerned(place, pod, known->refusals->by_verdict,
                                  known->refusals->by_resource)
                : mu_filter_count(place->filter, mu_model_get_class(place->model, pod.class_ix),
                                  known->refusals->by_verdict, known->refusals->by_resource);
        if (error != 0)
            return error;
        known->refusals_untouched = untouched && !concerned;
        known->refusals_generation = snapshot->generation;
        known->refusals_static = snapshot->static_generation;
    }
    known->refusals_session = concerned ? 0 : place->session;
    *out = known->refusals;
    return 0;
}

void mu_place_counts(const struct mu_place *place, struct mu_place_counts *out)
{
    *out = place->counts;
    out->by_tree = place->choose.by_tree;
    out->by_search += place->choose.by_search;
    out->by_bounds = place->choose.by_bounds;
    out->visits = place->room.visits;
    out->trees_built = place->choose.trees_built;
}
