#include "engine/place/place_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * What is known about classes, by class index. An entry is of the class with its id: an index that
 * was used again finds another id and starts anew. What depends on the snapshot is brought up to
 * date at the first use in a session.
 */

/* ---- what is known ------------------------------------------------------------------------ */

static void prefer_forget(struct mu_place *place, struct mu_place_class *known)
{
    if (known->prefer != NULL)
        place->prefer_bytes -= known->prefer->bytes;
    mu_prefer_destroy(known->prefer);
    known->prefer = NULL;
    known->prefer_epoch = 0;
    memset(known->need->pref, 0, sizeof known->need->pref);
}

void mu_place_classes_forget(struct mu_place *place)
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
    mu_prefer_init(&place->prefers);
}

static void known_fill(const struct mu_model *model, const struct mu_class *class_,
                       struct mu_place_class *known)
{
    known->id = class_->id;
    known->none_kin = MU_NONE;
    known->affinity = class_->affinity;
    known->hostname = class_->hostname;
    known->only_name = mu_model_get_affinity(model, class_->affinity)->only_name;
    known->impossible = class_->impossible;
    known->resources = UINT64_C(1) << MU_RES_PODS;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        MU_ASSERT(class_->demands[d].resource.v < MU_RESOURCES_MAX);
        known->resources |= UINT64_C(1) << class_->demands[d].resource.v;
        known->impossible = known->impossible || class_->demands[d].amount == MU_AMOUNT_MAX;
    }
}

struct mu_place_class *mu_place_class_meet(struct mu_place *place, struct mu_class_ix ix)
{
    const struct mu_class *class_ = mu_model_get_class(place->model, ix);
    void *array = place->classes;
    uint32_t cap = place->class_cap;
    if (mu_mem_grow(&array, &cap, ix.v + 1, MU_CLASSES_MAX, sizeof *place->classes) != 0)
        return NULL;
    place->classes = array;
    for (; place->class_cap < cap; place->class_cap++)
        place->classes[place->class_cap] = NULL;
    struct mu_place_class *known = place->classes[ix.v];
    if (known == NULL || known->id != class_->id) {
        struct mu_place_class *fresh = mu_mem_zalloc(
            sizeof *fresh + sizeof *fresh->need +
            (class_->demand_count + class_->padding_count + 1) * sizeof(struct mu_scan_demand));
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
    known->nowhere = known->impossible;
    for (uint32_t d = 0; d < class_->demand_count; d++)
        known->nowhere =
            known->nowhere || !mu_filter_known(place->snapshot, class_->demands[d].resource);
    mu_room_need(&place->room, class_, known->need);
    known->session = place->session;
    return known;
}

/* What the class prefers, for the present snapshot and the class's mask. */
static int class_prefer(struct mu_place *place, const struct mu_class *class_,
                        struct mu_place_class *known)
{
    for (uint32_t c = 0; c < place->class_cap && place->prefer_bytes > MU_PREFER_BYTES_MAX; c++) {
        if (place->classes[c] != NULL && place->classes[c] != known)
            prefer_forget(place, place->classes[c]); /* made again when asked for */
    }
    uint64_t bytes = known->prefer == NULL ? 0 : known->prefer->bytes;
    int error =
        mu_prefer_bring(&place->prefers, &place->room.score, class_, known->mask, &known->prefer);
    if (error != 0)
        return error;
    place->prefer_bytes += (known->prefer == NULL ? 0 : known->prefer->bytes) - bytes;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++)
        known->need->pref[l] = known->prefer == NULL ? NULL : known->prefer->levels[l];
    known->prefer_epoch = place->prefers.epoch;
    return 0;
}

int mu_place_class_renew(struct mu_place *place, struct mu_class_ix ix,
                         struct mu_place_class *known)
{
    const struct mu_class *class_ = mu_model_get_class(place->model, ix);
    int error = mu_filter_mask(place->filter, class_, &known->mask);
    if (error == 0)
        error = class_prefer(place, class_, known);
    if (error != 0) {
        known->mask = NULL;
        return error;
    }
    known->mask_epoch = mu_filter_epoch(place->filter);
    /* Without levels all that pass are liked the same: as if there was no preference. */
    bool levels = known->prefer != NULL && known->prefer->levels[0] != NULL;
    uint64_t prefer_version = levels ? known->prefer->version : 0;
    if (known->prefer_version != prefer_version)
        known->taste = ++place->taste_last;
    known->prefer_version = prefer_version;
    return 0;
}

int mu_place_mask_cut(struct mu_place *place, struct mu_place_pod pod,
                      const struct mu_place_class *known, const struct mu_filter_mask **out)
{
    struct mu_place_mask_of *last = &place->concerned;
    uint64_t state = mu_terms_state(place->terms);
    *out = last->mask;
    if (last->mask != NULL && last->pod.class_ix.v == pod.class_ix.v &&
        last->pod.kin.v == pod.kin.v && last->session == place->session && last->state == state &&
        last->mask_epoch == known->mask_epoch)
        return 0;
    last->mask = NULL;
    int error = mu_terms_mask(place->terms, pod.class_ix, pod.kin, known->mask, out);
    if (error == 0)
        *last = (struct mu_place_mask_of){*out, pod, place->session, state, known->mask_epoch};
    return error;
}

/* ---- fits nowhere ------------------------------------------------------------------------- */

/* Whom, and which state of the counts, a fact about a pod is about. */
static bool none_is_about(const struct mu_place *place, const struct mu_place_class *known,
                          struct mu_place_pod pod)
{
    if (!mu_place_concerned(place, pod))
        return known->none_kin == MU_NONE;
    return known->none_kin == pod.kin.v && known->none_state == mu_terms_state(place->terms) &&
           known->none_terms == place->snapshot->term_generation;
}

bool mu_place_none_recall(const struct mu_place *place, const struct mu_place_class *known,
                          struct mu_place_pod pod)
{
    if (known->nowhere)
        return true;
    if (place->given || place->vacated > 0 || !none_is_about(place, known, pod))
        return false;
    return known->none_session == place->session ||
           (place->in_trial && known->none_trial == place->trial) ||
           (known->none_known && known->none_static == place->snapshot->static_generation &&
            known->none_capacity == place->snapshot->capacity_generation);
}

void mu_place_none_remember(struct mu_place *place, struct mu_place_class *known,
                            struct mu_place_pod pod)
{
    if (place->given || place->vacated > 0 || place->within.on)
        return;
    if (!none_is_about(place, known, pod)) {
        bool concerned = mu_place_concerned(place, pod);
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

/* ---- pins --------------------------------------------------------------------------------- */

/* A row of the mask, which knows of no pins, against those of the class. */
bool mu_place_pinned_to(const struct mu_place *place, const struct mu_place_class *known,
                        uint32_t row)
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
