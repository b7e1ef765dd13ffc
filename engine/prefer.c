#include "engine/prefer.h"

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

#define BLOCK   MU_NODE_CHUNK
#define UNKNOWN (-1)

/* What is counted of a class: by taint set and label set, UNKNOWN until first asked, and the
 * largest of each that a passing row has. */
struct tally {
    const struct mu_snapshot *snapshot;
    const struct mu_class *class_;
    int32_t *by_taints, *by_labels;
    bool by_row; /* some term looks at names or hostnames, which are per node */
    int32_t taints_max, affinity_max;
};

static int32_t taints_count(const struct mu_symtab *symbols, const struct mu_class *class_,
                            const struct mu_taint_set *set)
{
    int32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        bool counts = set->items[i].effect == MU_EFFECT_PREFER_NO_SCHEDULE;
        for (uint32_t t = 0; t < class_->toleration_count && counts; t++)
            counts = !mu_toleration_holds(symbols, &class_->tolerations[t], &set->items[i]);
        count += counts;
    }
    return count;
}

static int32_t affinity_sum(const struct tally *tally, uint32_t row)
{
    const struct mu_snapshot *s = tally->snapshot;
    const struct mu_labels_view labels = mu_snapshot_labels(s, (struct mu_node_ix){row});
    int32_t sum = 0;
    for (uint32_t i = 0; i < tally->class_->preferred_node_count; i++) {
        const struct mu_preferred_node_item *item = &tally->class_->preferred_nodes[i];
        if (mu_node_term_holds(s->model, &item->term, &labels, s->nodes[row].name))
            sum += item->weight;
    }
    return sum;
}

static int32_t row_taints(const struct tally *tally, uint32_t row)
{
    struct mu_taint_set_ix set = tally->snapshot->nodes[row].taints;
    int32_t *count = &tally->by_taints[set.v];
    if (*count == UNKNOWN)
        *count = taints_count(mu_model_names(tally->snapshot->model), tally->class_,
                              mu_model_get_taint_set(tally->snapshot->model, set));
    return *count;
}

static int32_t row_affinity(const struct tally *tally, uint32_t row)
{
    if (tally->by_row)
        return affinity_sum(tally, row);
    int32_t *sum = &tally->by_labels[tally->snapshot->nodes[row].labels.v];
    if (*sum == UNKNOWN)
        *sum = affinity_sum(tally, row);
    return *sum;
}

static bool looks_at_rows(const struct mu_class *class_, struct mu_symbol hostname_key)
{
    bool looks = false;
    for (uint32_t i = 0; i < class_->preferred_node_count; i++) {
        const struct mu_node_term_item *term = &class_->preferred_nodes[i].term;
        looks = looks || term->names.count > 0;
        for (uint32_t r = 0; r < term->labels.count; r++)
            looks = looks || term->labels.items[r].key.v == hostname_key.v;
    }
    return looks;
}

static int tally_open(struct tally *tally, const struct mu_snapshot *snapshot,
                      const struct mu_class *class_)
{
    uint32_t taints = mu_model_taint_set_bound(snapshot->model) + 1;
    uint32_t labels = mu_model_label_set_bound(snapshot->model) + 1;
    const struct mu_labels_view any =
        mu_model_labels(snapshot->model, (struct mu_label_set_ix){0}, (struct mu_symbol){0});
    *tally = (struct tally){.snapshot = snapshot, .class_ = class_};
    tally->by_row = looks_at_rows(class_, any.hostname_key);
    tally->by_taints = mu_mem_calloc((size_t)taints + labels, sizeof *tally->by_taints);
    if (tally->by_taints == NULL)
        return MU_ENOMEM;
    tally->by_labels = tally->by_taints + taints;
    for (uint32_t i = 0; i < taints + labels; i++)
        tally->by_taints[i] = UNKNOWN;
    return 0;
}

bool mu_prefer_taints_matter(const struct mu_snapshot *snapshot)
{
    struct mu_taint_set_ix last = {0}; /* the empty set */
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        const struct mu_node_static *n = &snapshot->nodes[row];
        if ((n->flags & MU_NODE_PRESENT) == 0 || n->taints.v == last.v)
            continue;
        last = n->taints;
        const struct mu_taint_set *set = mu_model_get_taint_set(snapshot->model, last);
        for (uint32_t i = 0; i < set->count; i++) {
            if (set->items[i].effect == MU_EFFECT_PREFER_NO_SCHEDULE)
                return true;
        }
    }
    return false;
}

static struct mu_prefer *prefer_alloc(uint32_t rows)
{
    uint64_t entries[MU_LEVELS_MAX], total = 0, below = rows;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        entries[l] = (below + BLOCK - 1) / BLOCK * BLOCK;
        total += entries[l];
        below = entries[l] / BLOCK;
    }
    struct mu_prefer *prefer = mu_mem_zalloc(sizeof *prefer);
    int32_t *at = mu_mem_zalloc_aligned(64, total * sizeof *at);
    if (prefer == NULL || at == NULL) {
        mu_mem_free(prefer);
        mu_mem_free(at);
        return NULL;
    }
    prefer->bytes = total * sizeof *at;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; at += entries[l++])
        prefer->levels[l] = at;
    return prefer;
}

static int32_t score_of(const struct tally *tally, const struct mu_score *score, uint32_t row)
{
    int64_t sum = 0;
    if (tally->taints_max > 0)
        sum += score->taints * (tally->taints_max - row_taints(tally, row)) / tally->taints_max;
    if (tally->affinity_max > 0)
        sum += score->node_affinity * row_affinity(tally, row) / tally->affinity_max;
    MU_ASSERT(sum >= 0 && sum <= MU_SCORE_MAX);
    return (int32_t)sum;
}

/* Columns from the tally's largest. Returns whether two passing rows differ. */
static bool prefer_fill(struct mu_prefer *prefer, const struct tally *tally,
                        const struct mu_score *score, const struct mu_filter_mask *mask)
{
    int32_t least = INT32_MAX, most = 0;
    for (uint32_t row = 0; row < tally->snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row))
            continue;
        int32_t value = score_of(tally, score, row);
        least = value < least ? value : least;
        most = value > most ? value : most;
        for (uint32_t l = 0, entry = row; l < MU_LEVELS_MAX; l++, entry /= BLOCK) {
            if (prefer->levels[l][entry] < value)
                prefer->levels[l][entry] = value;
        }
    }
    return least < most;
}

int mu_prefer_create(const struct mu_snapshot *snapshot, const struct mu_score *score,
                     const struct mu_class *class_, const struct mu_filter_mask *mask,
                     struct mu_prefer **out)
{
    struct tally tally;
    int error = tally_open(&tally, snapshot, class_);
    if (error != 0)
        return error;
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row))
            continue;
        int32_t taints = row_taints(&tally, row), affinity = row_affinity(&tally, row);
        tally.taints_max = taints > tally.taints_max ? taints : tally.taints_max;
        tally.affinity_max = affinity > tally.affinity_max ? affinity : tally.affinity_max;
    }
    struct mu_prefer *prefer = NULL;
    if (tally.taints_max > 0 || tally.affinity_max > 0) {
        prefer = prefer_alloc(snapshot->node_rows);
        error = prefer == NULL ? MU_ENOMEM : 0;
        if (error == 0 && !prefer_fill(prefer, &tally, score, mask)) {
            mu_prefer_destroy(prefer);
            prefer = NULL;
        }
    }
    mu_mem_free(tally.by_taints);
    if (error == 0)
        *out = prefer;
    return error;
}

void mu_prefer_destroy(struct mu_prefer *prefer)
{
    if (prefer == NULL)
        return;
    mu_mem_free(prefer->levels[0]);
    mu_mem_free(prefer);
}
