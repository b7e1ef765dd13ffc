#include "engine/place/prefer.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * Making a column takes two passes over the rows: the largest counts, then the entries. What a set
 * of taints, labels or images is worth to the class is found out once per set, and once per row
 * where its terms look at what sets leave out. Following takes the changed rows alone, and judges
 * each by itself.
 */

#define BLOCK   MU_NODE_CHUNK
#define UNKNOWN (-1)
enum { REMAKE_SHARE = 8 }; /* more than one row in so many changed: make anew */

_Static_assert((MU_PREFER_LOG & (MU_PREFER_LOG - 1)) == 0, "used as a mask");

/* ---- the log ------------------------------------------------------------------------------ */

void mu_prefer_init(struct mu_prefer_log *log)
{
    uint64_t epoch = log->epoch, looks = log->looks;
    memset(log, 0, sizeof *log);
    log->epoch = epoch + 1;
    log->looks = looks;
    log->first = log->logged = 1; /* 0 is what nobody has read */
}

/* True when the snapshot says which rows have changed since what the log knows. */
static bool is_listed(const struct mu_prefer_log *log, const struct mu_snapshot *snapshot)
{
    return snapshot->static_changed != NULL &&
           log->model_serial == mu_model_serial(snapshot->model) &&
           log->row_cap == snapshot->node_cap && log->static_generation >= snapshot->static_base &&
           log->static_generation <= snapshot->static_generation &&
           log->image_generation >= snapshot->image_base &&
           log->image_generation <= snapshot->image_generation;
}

void mu_prefer_begin(struct mu_prefer_log *log, const struct mu_snapshot *snapshot)
{
    log->snapshot = snapshot;
    bool same_static = log->model_serial == mu_model_serial(snapshot->model) &&
                       log->row_cap == snapshot->node_cap &&
                       log->static_generation == snapshot->static_generation;
    if (same_static && log->image_generation == snapshot->image_generation)
        return;
    if (is_listed(log, snapshot)) {
        for (uint32_t i = 0; i < snapshot->static_changed_count; i++)
            log->rows[log->logged++ & (MU_PREFER_LOG - 1)] = snapshot->static_changed[i];
    } else {
        log->first = ++log->logged;
    }
    log->taints_known = log->taints_known && same_static;
    log->model_serial = mu_model_serial(snapshot->model);
    log->row_cap = snapshot->node_cap;
    log->static_generation = snapshot->static_generation;
    log->image_generation = snapshot->image_generation;
    log->epoch++;
}

static bool has_soft_taint(const struct mu_taint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].effect == MU_EFFECT_PREFER_NO_SCHEDULE)
            return true;
    }
    return false;
}

/* Else a class without preferred terms and images is indifferent. */
static bool taints_matter(struct mu_prefer_log *log)
{
    const struct mu_snapshot *snapshot = log->snapshot;
    struct mu_taint_set_ix last = {0}; /* the empty set */
    if (log->taints_known)
        return log->taints_matter;
    log->taints_known = true;
    log->taints_matter = false;
    for (uint32_t row = 0; row < snapshot->node_rows && !log->taints_matter; row++) {
        const struct mu_node_static *n = &snapshot->nodes[row];
        if ((n->flags & MU_NODE_PRESENT) == 0 || n->taints.v == last.v)
            continue;
        last = n->taints;
        log->taints_matter = has_soft_taint(mu_model_get_taint_set(snapshot->model, last));
    }
    return log->taints_matter;
}

/* ---- what a row is to a class -------------------------------------------------------------- */

/* What is looked at, by whom, and what it is measured by. */
struct judge {
    const struct mu_snapshot *snapshot;
    const struct mu_score *score;
    const struct mu_class *class_;
    bool taints, affinity, images;
    int32_t taints_max, affinity_max;
    struct mu_image_scale scale;
    uint64_t *looks; /* the log's */
};

/* Soft taints of a row that the class does not tolerate. */
static int32_t taints_of(const struct judge *judge, uint32_t row)
{
    const struct mu_class *class_ = judge->class_;
    const struct mu_symtab *symbols = mu_model_names(judge->snapshot->model);
    const struct mu_taint_set *set =
        mu_model_get_taint_set(judge->snapshot->model, judge->snapshot->nodes[row].taints);
    int32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        bool counts = set->items[i].effect == MU_EFFECT_PREFER_NO_SCHEDULE;
        for (uint32_t t = 0; t < class_->toleration_count && counts; t++)
            counts = !mu_toleration_holds(symbols, &class_->tolerations[t], &set->items[i]);
        count += counts;
    }
    return count;
}

/* Weights of the preferred terms that hold. */
static int32_t affinity_of(const struct judge *judge, uint32_t row)
{
    const struct mu_snapshot *s = judge->snapshot;
    const struct mu_labels_view labels = mu_snapshot_labels(s, (struct mu_node_ix){row});
    int32_t sum = 0;
    for (uint32_t i = 0; i < judge->class_->preferred_node_count; i++) {
        const struct mu_preferred_node_item *item = &judge->class_->preferred_nodes[i];
        *judge->looks += 1 + item->term.labels.count + item->term.names.count;
        if (mu_node_term_holds(s->model, &item->term, &labels, s->nodes[row].name))
            sum += item->weight;
    }
    return sum;
}

static int32_t points_of(const struct judge *judge, uint32_t row)
{
    const struct mu_snapshot *s = judge->snapshot;
    return (int32_t)mu_image_points(judge->class_, &judge->scale,
                                    mu_model_get_image_set(s->model, s->images[row]));
}

static int32_t value_of(const struct judge *judge, int32_t taints, int32_t affinity, int32_t points)
{
    int64_t sum = judge->score->images * points / MU_IMAGE_POINTS;
    if (judge->taints_max > 0)
        sum += judge->score->taints * (judge->taints_max - taints) / judge->taints_max;
    if (judge->affinity_max > 0)
        sum += judge->score->node_affinity * affinity / judge->affinity_max;
    MU_ASSERT(sum >= 0 && sum <= MU_SCORE_MAX);
    return (int32_t)sum;
}

/* ---- columns ------------------------------------------------------------------------------- */

static int levels_alloc(struct mu_prefer *prefer, uint32_t row_cap)
{
    uint64_t entries[MU_LEVELS_MAX], total = 0, below = row_cap;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; l++) {
        entries[l] = (below + BLOCK - 1) / BLOCK * BLOCK;
        total += entries[l];
        below = entries[l] / BLOCK;
    }
    int32_t *at = mu_mem_zalloc_aligned(64, total * sizeof *at);
    if (at == NULL)
        return MU_ENOMEM;
    prefer->bytes += total * sizeof *at;
    for (uint32_t l = 0; l < MU_LEVELS_MAX; at += entries[l++])
        prefer->levels[l] = at;
    return 0;
}

static void entry_set(struct mu_prefer *prefer, uint32_t row, int32_t value)
{
    prefer->levels[0][row] = value;
    for (uint32_t l = 1, entry = row / BLOCK; l < MU_LEVELS_MAX; l++, entry /= BLOCK) {
        const int32_t *below = &prefer->levels[l - 1][(size_t)entry * BLOCK];
        int32_t most = 0;
        for (uint32_t e = 0; e < BLOCK; e++)
            most = below[e] > most ? below[e] : most;
        prefer->levels[l][entry] = most;
    }
}

/* ---- making -------------------------------------------------------------------------------- */

/* What sets are worth to the class, UNKNOWN until first asked. */
struct memo {
    int32_t *by_taints, *by_labels, *by_images; /* the first is the allocation */
    bool by_row; /* terms look at names or hostnames: by_labels is by row */
};

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

static int memo_open(struct memo *memo, const struct judge *judge)
{
    const struct mu_model *model = judge->snapshot->model;
    const struct mu_labels_view any =
        mu_model_labels(model, (struct mu_label_set_ix){0}, (struct mu_symbol){0});
    memo->by_row = looks_at_rows(judge->class_, any.hostname_key);
    uint32_t taints = judge->taints ? mu_model_taint_set_bound(model) : 0;
    uint32_t labels = !judge->affinity ? 0
                      : memo->by_row   ? judge->snapshot->node_cap
                                       : mu_model_label_set_bound(model);
    uint32_t images = judge->images ? mu_model_image_set_bound(model) : 0;
    size_t count = (size_t)taints + labels + images;
    memo->by_taints = mu_mem_calloc(count, sizeof *memo->by_taints);
    if (memo->by_taints == NULL)
        return MU_ENOMEM;
    memo->by_labels = memo->by_taints + taints;
    memo->by_images = memo->by_labels + labels;
    for (size_t i = 0; i < count; i++)
        memo->by_taints[i] = UNKNOWN;
    return 0;
}

static int32_t memo_taints(const struct memo *memo, const struct judge *judge, uint32_t row)
{
    if (!judge->taints)
        return 0;
    int32_t *known = &memo->by_taints[judge->snapshot->nodes[row].taints.v];
    return *known != UNKNOWN ? *known : (*known = taints_of(judge, row));
}

static int32_t memo_affinity(const struct memo *memo, const struct judge *judge, uint32_t row)
{
    if (!judge->affinity)
        return 0;
    int32_t *known = &memo->by_labels[memo->by_row ? row : judge->snapshot->nodes[row].labels.v];
    return *known != UNKNOWN ? *known : (*known = affinity_of(judge, row));
}

static int32_t memo_points(const struct memo *memo, const struct judge *judge, uint32_t row)
{
    if (!judge->images)
        return 0;
    int32_t *known = &memo->by_images[judge->snapshot->images[row].v];
    return *known != UNKNOWN ? *known : (*known = points_of(judge, row));
}

static void find_largest(struct judge *judge, const struct memo *memo,
                         const struct mu_filter_mask *mask)
{
    for (uint32_t row = 0; row < judge->snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row))
            continue;
        int32_t taints = memo_taints(memo, judge, row);
        int32_t affinity = memo_affinity(memo, judge, row);
        judge->taints_max = taints > judge->taints_max ? taints : judge->taints_max;
        judge->affinity_max = affinity > judge->affinity_max ? affinity : judge->affinity_max;
    }
}

static int32_t memo_value(const struct memo *memo, const struct judge *judge, uint32_t row)
{
    return value_of(judge, memo_taints(memo, judge, row), memo_affinity(memo, judge, row),
                    memo_points(memo, judge, row));
}

/* Whether two passing rows are liked differently; *common: how the first is. */
static bool rows_differ(const struct judge *judge, const struct memo *memo,
                        const struct mu_filter_mask *mask, int32_t *common)
{
    *common = -1;
    for (uint32_t row = 0; row < judge->snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row))
            continue;
        int32_t value = memo_value(memo, judge, row);
        if (*common >= 0 && value != *common)
            return true;
        *common = value;
    }
    return false;
}

static void fill(struct mu_prefer *prefer, const struct judge *judge, const struct memo *memo,
                 const struct mu_filter_mask *mask)
{
    for (uint32_t row = 0; row < judge->snapshot->node_rows; row++) {
        if (!mu_bitset_test(mask->bits[0], row))
            continue;
        int32_t value = memo_value(memo, judge, row);
        for (uint32_t l = 0, entry = row; l < MU_LEVELS_MAX; l++, entry /= BLOCK) {
            if (prefer->levels[l][entry] < value)
                prefer->levels[l][entry] = value;
        }
    }
}

static int make(struct judge *judge, const struct mu_filter_mask *mask, struct mu_prefer **out)
{
    struct memo memo;
    int error = memo_open(&memo, judge);
    if (error != 0)
        return error;
    find_largest(judge, &memo, mask);
    struct mu_prefer *prefer = mu_mem_zalloc(sizeof *prefer);
    if (prefer == NULL) {
        mu_mem_free(memo.by_taints);
        return MU_ENOMEM;
    }
    *prefer = (struct mu_prefer){.bytes = sizeof *prefer,
                                 .taints_max = judge->taints_max,
                                 .affinity_max = judge->affinity_max,
                                 .images = judge->scale};
    if (rows_differ(judge, &memo, mask, &prefer->common)) {
        error = levels_alloc(prefer, judge->snapshot->node_cap);
        if (error == 0)
            fill(prefer, judge, &memo, mask);
    }
    mu_mem_free(memo.by_taints);
    if (error != 0) {
        mu_prefer_destroy(prefer);
        return error;
    }
    *out = prefer;
    return 0;
}

/* ---- following ----------------------------------------------------------------------------- */

/* What a changed row is to a class by now. False when it may move what all rows are measured by. */
static bool row_value(const struct judge *judge, const struct mu_filter_mask *mask, uint32_t row,
                      int32_t *value)
{
    bool passes = row < judge->snapshot->node_rows && mu_bitset_test(mask->bits[0], row);
    *value = -1;
    if (!passes)
        return true;
    int32_t taints = judge->taints ? taints_of(judge, row) : 0;
    int32_t affinity = judge->affinity ? affinity_of(judge, row) : 0;
    if (taints > judge->taints_max || affinity > judge->affinity_max)
        return false;
    *value = value_of(judge, taints, affinity, judge->images ? points_of(judge, row) : 0);
    return true;
}

/* Bring a column up to date by the rows that it has not read. False when it must be made anew; it
 * may have been changed in part. */
static bool follow(struct mu_prefer_log *log, struct judge *judge,
                   const struct mu_filter_mask *mask, struct mu_prefer *prefer)
{
    uint64_t missed = log->logged - prefer->read;
    /* A largest may have shrunk with a row that had it. */
    bool measured = prefer->taints_max > 0 || prefer->affinity_max > 0;
    if (prefer->read < log->first || missed > MU_PREFER_LOG ||
        missed > judge->snapshot->node_rows / REMAKE_SHARE ||
        (measured && prefer->static_generation != log->static_generation) ||
        memcmp(&prefer->images, &judge->scale, sizeof judge->scale) != 0)
        return false;
    judge->taints_max = prefer->taints_max;
    judge->affinity_max = prefer->affinity_max;
    bool moved = false;
    for (uint64_t n = prefer->read; n < log->logged; n++) {
        uint32_t row = log->rows[n & (MU_PREFER_LOG - 1)];
        int32_t value;
        if (!row_value(judge, mask, row, &value))
            return false;
        if (prefer->levels[0] == NULL) {
            if (value >= 0 && value != prefer->common)
                return false;
            continue;
        }
        value = value > 0 ? value : 0;
        if (row >= log->row_cap || prefer->levels[0][row] == value)
            continue;
        entry_set(prefer, row, value);
        moved = true;
    }
    if (moved)
        prefer->version = ++log->version_last;
    prefer->read = log->logged;
    prefer->static_generation = log->static_generation;
    return true;
}

int mu_prefer_bring(struct mu_prefer_log *log, const struct mu_score *score,
                    const struct mu_class *class_, const struct mu_filter_mask *mask,
                    struct mu_prefer **prefer)
{
    struct judge judge = {
        .snapshot = log->snapshot, .score = score, .class_ = class_, .looks = &log->looks};
    if (score->images > 0 && class_->image_count > 0)
        mu_image_scale(log->snapshot, class_, &judge.scale, &judge.images);
    if (!judge.images)
        memset(&judge.scale, 0, sizeof judge.scale);
    judge.affinity = score->node_affinity > 0 && class_->preferred_node_count > 0;
    judge.taints = score->taints > 0 && taints_matter(log);
    if (!judge.taints && !judge.affinity && !judge.images) {
        mu_prefer_destroy(*prefer);
        *prefer = NULL;
        return 0;
    }
    if (*prefer != NULL && follow(log, &judge, mask, *prefer))
        return 0;
    struct mu_prefer *made;
    judge.taints_max = judge.affinity_max = 0;
    int error = make(&judge, mask, &made);
    if (error != 0) {
        if (*prefer != NULL)
            (*prefer)->read = 0; /* it may have been changed in part */
        return error;
    }
    made->version = ++log->version_last;
    made->read = log->logged;
    made->static_generation = log->static_generation;
    mu_prefer_destroy(*prefer);
    *prefer = made;
    return 0;
}

void mu_prefer_destroy(struct mu_prefer *prefer)
{
    if (prefer == NULL)
        return;
    mu_mem_free(prefer->levels[0]);
    mu_mem_free(prefer);
}
