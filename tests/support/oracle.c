#include "tests/support/oracle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"

__extension__ typedef __int128 signed_wide; /* no 64-bit overflow to think about */

/* ---- filters ------------------------------------------------------------------------------ */

/* A number in the only form that it is written in. */
static bool canonical(struct mu_str text, long long *number)
{
    char digits[32];
    if (!mu_str_to_i64(text, &(int64_t){0}))
        return false;
    *number = strtoll(text.data, NULL, 10);
    (void)snprintf(digits, sizeof digits, "%lld", *number);
    return mu_str_equal(text, mu_str_of(digits));
}

static bool toleration_matches(const struct mu_toleration_item *t, struct mu_str key,
                               struct mu_str value, enum mu_taint_effect effect,
                               const struct mu_symtab *symbols)
{
    bool key_ok = t->key.v == 0 || mu_str_equal(mu_symbol_str(symbols, t->key), key);
    struct mu_str wanted = mu_symbol_str(symbols, t->value);
    long long have, bound;
    bool value_ok = t->op == MU_TOLERATE_EXISTS;
    if (t->op == MU_TOLERATE_EQUAL)
        value_ok = mu_str_equal(wanted, value);
    else if (canonical(value, &have) && canonical(wanted, &bound))
        value_ok = value_ok || (t->op == MU_TOLERATE_LT ? have < bound : have > bound);
    bool effect_ok = t->effect == MU_EFFECT_ANY || t->effect == effect;
    return key_ok && value_ok && effect_ok;
}

static bool tolerated(const struct mu_snapshot *s, const struct mu_class *c, struct mu_str key,
                      struct mu_str value, enum mu_taint_effect effect)
{
    const struct mu_symtab *symbols = mu_model_symbols((struct mu_model *)s->model);
    for (uint32_t t = 0; t < c->toleration_count; t++) {
        if (toleration_matches(&c->tolerations[t], key, value, effect, symbols))
            return true;
    }
    return false;
}

/* The text of a node's label; NULL: absent. */
static const struct mu_str *label_text(const struct mu_snapshot *s, uint32_t row, struct mu_str key,
                                       struct mu_str *storage)
{
    const struct mu_symtab *symbols = mu_model_names(s->model);
    const struct mu_node_static *n = &s->nodes[row];
    const struct mu_label_set *set = mu_model_get_label_set(s->model, n->labels);
    if (n->hostname.v != 0 && mu_str_equal(key, mu_str_of(MU_HOSTNAME_KEY))) {
        *storage = mu_symbol_str(symbols, n->hostname);
        return storage;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (mu_str_equal(mu_symbol_str(symbols, set->pairs[i].key), key)) {
            *storage = mu_symbol_str(symbols, set->pairs[i].value);
            return storage;
        }
    }
    return NULL;
}

static bool parse_number(struct mu_str text, int64_t *out)
{
    char copy[32];
    if (text.len == 0 || text.len >= sizeof copy || text.data[0] == ' ')
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    long long value = strtoll(copy, &end, 10);
    *out = value;
    return *end == '\0' && errno == 0;
}

static bool requirement_holds(const struct mu_symtab *symbols,
                              const struct mu_requirement_item *item, const struct mu_str *text)
{
    bool among = false;
    int64_t number;
    for (uint32_t v = 0; v < item->value_count && text != NULL; v++)
        among = among || mu_str_equal(mu_symbol_str(symbols, item->values[v]), *text);
    switch (item->op) {
    case MU_OP_IN:
        return among;
    case MU_OP_NOT_IN:
        return !among;
    case MU_OP_EXISTS:
        return text != NULL;
    case MU_OP_DOES_NOT_EXIST:
        return text == NULL;
    case MU_OP_GT:
        return text != NULL && parse_number(*text, &number) && number > item->number;
    case MU_OP_LT:
        return text != NULL && parse_number(*text, &number) && number < item->number;
    case MU_OP_NEVER:
        break;
    }
    return false;
}

static bool term_holds(const struct mu_snapshot *s, const struct mu_node_term_item *term,
                       uint32_t row)
{
    const struct mu_symtab *symbols = mu_model_names(s->model);
    struct mu_str storage, name = mu_symbol_str(symbols, s->nodes[row].name);
    bool holds =
        !term->labels.nothing && !term->names.nothing && term->labels.count + term->names.count > 0;
    for (uint32_t i = 0; i < term->labels.count; i++) {
        const struct mu_requirement_item *item = &term->labels.items[i];
        holds = holds &&
                requirement_holds(symbols, item,
                                  label_text(s, row, mu_symbol_str(symbols, item->key), &storage));
    }
    for (uint32_t i = 0; i < term->names.count; i++)
        holds = holds && requirement_holds(symbols, &term->names.items[i], &name);
    return holds;
}

/* Selector and required terms, by the texts. */
static bool selected(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    const struct mu_symtab *symbols = mu_model_names(s->model);
    const struct mu_affinity *a = mu_model_get_affinity(s->model, c->affinity);
    bool holds = !a->nothing;
    struct mu_str storage;
    for (uint32_t i = 0; i < a->selector_count; i++) {
        const struct mu_str *text =
            label_text(s, row, mu_symbol_str(symbols, a->selector[i].key), &storage);
        holds = holds && text != NULL &&
                mu_str_equal(*text, mu_symbol_str(symbols, a->selector[i].value));
    }
    if (a->hostname.v != 0) {
        const struct mu_str *text = label_text(s, row, mu_str_of(MU_HOSTNAME_KEY), &storage);
        holds = holds && text != NULL && mu_str_equal(*text, mu_symbol_str(symbols, a->hostname));
    }
    bool any = !a->has_terms;
    for (uint32_t i = 0; i < a->term_count; i++)
        any = any || term_holds(s, &a->terms[i], row);
    return holds && any;
}

struct mu_verdict mu_oracle_verdict(const struct mu_snapshot *snapshot, const struct mu_class *c,
                                    uint32_t row)
{
    const struct mu_symtab *symbols = mu_model_symbols((struct mu_model *)snapshot->model);
    const struct mu_node_static *n = &snapshot->nodes[row];
    if ((n->flags & MU_NODE_UNSCHEDULABLE) != 0 &&
        !tolerated(snapshot, c, MU_STR("node.kubernetes.io/unschedulable"), MU_STR(""),
                   MU_EFFECT_NO_SCHEDULE))
        return mu_verdict_of(MU_NO_UNSCHEDULABLE);
    const struct mu_taint_set *taints = mu_model_get_taint_set(snapshot->model, n->taints);
    for (uint32_t t = 0; t < taints->count; t++) {
        const struct mu_taint_item *taint = &taints->items[t];
        if (taint->effect != MU_EFFECT_NO_SCHEDULE && taint->effect != MU_EFFECT_NO_EXECUTE)
            continue;
        if (!tolerated(snapshot, c, mu_symbol_str(symbols, taint->key),
                       mu_symbol_str(symbols, taint->value), taint->effect))
            return mu_verdict_of(MU_NO_TAINT);
    }
    if (!selected(snapshot, c, row))
        return mu_verdict_of(MU_NO_NODE_AFFINITY);
    struct mu_verdict verdict = {.kind = MU_FITS};
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++) {
        for (uint32_t d = 0; d < c->demand_count; d++) {
            if (c->demands[d].resource.v != r)
                continue;
            int64_t room = r < snapshot->resource_count ? snapshot->free[r][row] : 0;
            if (c->demands[d].amount <= room && c->demands[d].amount != MU_AMOUNT_MAX)
                continue;
            enum mu_verdict_kind kind = mu_oracle_short(snapshot, r, c->demands[d].amount, row);
            if (kind == MU_NO_RESOURCE || kind == MU_NO_RESOURCE_EVER)
                verdict.lacking += UINT64_C(1) << r;
            else
                verdict.reasons |= 1u << kind;
            if (verdict.kind == MU_FITS) {
                verdict.kind = kind;
                verdict.resource.v = r;
            } else if (mu_verdict_may_preempt(verdict.kind) && !mu_verdict_may_preempt(kind)) {
                verdict.kind = MU_NO_RESOURCE_EVER;
            }
        }
    }
    bool full = snapshot->free[MU_RES_PODS][row] <= 0;
    verdict.reasons |= c->impossible ? 1u << MU_NO_RESOURCE_NAMED : 0;
    verdict.reasons |= full ? 1u << MU_NO_PODS : 0;
    if (verdict.kind != MU_FITS && !mu_verdict_may_preempt(verdict.kind))
        return verdict;
    if (c->impossible)
        verdict.kind = MU_NO_RESOURCE_NAMED;
    else if (full)
        verdict.kind = MU_NO_PODS;
    return verdict;
}

void mu_oracle_count(struct mu_refusals *refusals, struct mu_verdict verdict)
{
    refusals->by_verdict[verdict.kind]++;
    for (uint32_t k = 0; k < MU_VERDICT_KINDS; k++)
        refusals->by_reason[k] += verdict.reasons >> k & 1;
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        refusals->by_resource[r] += (uint32_t)(verdict.lacking >> r & 1);
}

/* ---- scores ------------------------------------------------------------------------------- */

/* The number of a resource that some node or pod knows, MU_NONE for others. */
static uint32_t number_of(const struct mu_snapshot *s, const char *name)
{
    struct mu_resource_ix ix;
    struct mu_resources *resources = mu_model_resources((struct mu_model *)s->model);
    bool known = mu_resource_find(resources, mu_str_of(name), &ix) && ix.v < s->resource_count;
    return known ? ix.v : MU_NONE;
}

static int64_t demand_of(const struct mu_class *c, uint32_t resource)
{
    for (uint32_t d = 0; d < c->demand_count; d++) {
        if (c->demands[d].resource.v == resource)
            return c->demands[d].amount;
    }
    return 0;
}

/* Rounded down, as the engine's shift does it. */
static int64_t floor_shift(signed_wide value)
{
    signed_wide one = (signed_wide)1 << 29;
    signed_wide quotient = value / one;
    return (int64_t)(value % one < 0 ? quotient - 1 : quotient);
}

/* What is assumed of a resource beyond what is asked of it: its own resource, or MU_NONE. */
static uint32_t padding_of(const struct mu_snapshot *s, uint32_t r)
{
    return r == 0   ? number_of(s, "cpu (assumed)")
           : r == 1 ? number_of(s, "memory (assumed)")
                    : MU_NONE;
}

/* What is left of a resource on a row, of `most` for all that the row has. What is assumed may go
 * as far below nothing. */
static signed_wide left_worth(const struct mu_snapshot *s, uint32_t row, uint32_t r, int64_t most)
{
    int64_t alloc = mu_snapshot_alloc(s, r, row), divisor = r == 1 || r == 2 ? 1024 : 1;
    int64_t amount = s->free[r][row], least = 0;
    uint32_t padding = padding_of(s, r);
    if (alloc / divisor == 0)
        return 0;
    if (padding != MU_NONE) {
        amount -= s->free[padding][row];
        least = -(alloc / divisor * divisor);
    }
    amount = amount < alloc ? amount : alloc;
    amount = amount > least ? amount : least;
    int64_t units = amount / divisor - (amount % divisor < 0 ? 1 : 0);
    return (signed_wide)units * (most / (alloc / divisor));
}

/* What the class takes of it: at most all, in the same sense. */
static signed_wide taken_worth(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                               uint32_t r, int64_t most)
{
    int64_t alloc = mu_snapshot_alloc(s, r, row), divisor = r == 1 || r == 2 ? 1024 : 1;
    int64_t amount = demand_of(c, r);
    uint32_t padding = padding_of(s, r);
    for (uint32_t p = 0; p < c->padding_count; p++)
        amount -= c->paddings[p].resource.v == padding ? c->paddings[p].amount : 0;
    int64_t units = amount / divisor;
    if (units == 0 || alloc / divisor == 0)
        return 0;
    /* A unit weighs no more than where the class takes all that there is. */
    return (signed_wide)units * (most / (units > alloc / divisor ? units : alloc / divisor));
}

/* One of the two sums of which the score is the smaller: balanced allocation pulls cpu up and
 * memory down by half its weight in the one, the other way in the other. */
static int64_t sum_of(const struct mu_snapshot *s, const struct mu_profile *p,
                      const struct mu_class *c, uint32_t row, int64_t unit, int pull)
{
    int64_t all = 0, half = ((unit * p->balanced) << 29) / 2 * pull;
    for (uint32_t i = 0; i < p->resource_count; i++)
        all += p->resources[i].weight;
    int64_t most[MU_RESOURCES_MAX] = {0};
    for (uint32_t i = 0; i < p->resource_count && p->fit > 0; i++) {
        uint32_t r = number_of(s, p->resources[i].name);
        int64_t share = ((unit * p->fit) << 29) / all * p->resources[i].weight;
        if (r != MU_NONE)
            most[r] = p->strategy == MU_LEAST_ALLOCATED ? share : -share;
    }
    most[MU_RES_CPU] += half;
    most[MU_RES_MEMORY] -= half;
    signed_wide room = 0, cost = 0;
    for (uint32_t r = 0; r < s->resource_count; r++) {
        if (most[r] == 0)
            continue;
        room += left_worth(s, row, r, most[r]);
        cost += taken_worth(s, c, row, r, most[r]);
    }
    return floor_shift(room) - floor_shift(cost);
}

/* Soft taints that the class does not tolerate. */
static int64_t soft_taints(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    const struct mu_symtab *symbols = mu_model_names(s->model);
    const struct mu_taint_set *set = mu_model_get_taint_set(s->model, s->nodes[row].taints);
    int64_t count = 0;
    for (uint32_t t = 0; t < set->count; t++)
        count +=
            set->items[t].effect == MU_EFFECT_PREFER_NO_SCHEDULE &&
            !tolerated(s, c, mu_symbol_str(symbols, set->items[t].key),
                       mu_symbol_str(symbols, set->items[t].value), MU_EFFECT_PREFER_NO_SCHEDULE);
    return count;
}

static int64_t liked(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < c->preferred_node_count; i++)
        sum += term_holds(s, &c->preferred_nodes[i].term, row) ? c->preferred_nodes[i].weight : 0;
    return sum;
}

/* The size of an image on a row, by its name; -1: it is not there. */
static int64_t image_bytes(const struct mu_snapshot *s, uint32_t row, struct mu_symbol image)
{
    const struct mu_symtab *symbols = mu_model_names(s->model);
    const struct mu_image_set *set =
        s->images == NULL ? NULL : mu_model_get_image_set(s->model, s->images[row]);
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        if (mu_str_equal(mu_symbol_str(symbols, set->items[i].name), mu_symbol_str(symbols, image)))
            return (int64_t)(set->items[i].bytes_high * (UINT64_C(1) << 32)) +
                   set->items[i].bytes_low;
    }
    return -1;
}

static int64_t ten_digits(int64_t nodes)
{
    int64_t step = 1;
    while (nodes / step >= 1024)
        step *= 2;
    return nodes - nodes % step;
}

/* ImageLocality, 0 to 100. */
static int64_t image_points(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row,
                            const struct mu_oracle_scale *scale)
{
    const int64_t mib = 1048576;
    signed_wide worth = 0, least = 23 * mib, most = 1000 * mib * c->image_count;
    for (uint32_t i = 0; i < c->image_count; i++) {
        int64_t bytes = image_bytes(s, row, c->images[i]);
        if (bytes >= 0)
            worth += (signed_wide)bytes * scale->having[i] / scale->nodes;
    }
    if (worth <= least)
        return 0;
    return worth >= most ? 100 : (int64_t)(100 * (worth - least) / (most - least));
}

static void scale_images(const struct mu_snapshot *s, const struct mu_class *c,
                         struct mu_oracle_scale *scale)
{
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        scale->nodes++;
        for (uint32_t i = 0; i < c->image_count; i++)
            scale->having[i] += image_bytes(s, row, c->images[i]) >= 0;
    }
    scale->nodes = ten_digits(scale->nodes);
    for (uint32_t i = 0; i < c->image_count; i++)
        scale->having[i] = ten_digits(scale->having[i]);
}

/* The largest of each over the rows that the static filters let pass. */
static struct mu_oracle_scale scale_of(const struct mu_snapshot *s, const struct mu_class *c)
{
    struct mu_oracle_scale scale = {0};
    scale_images(s, c, &scale);
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0)
            continue;
        int64_t taints = soft_taints(s, c, row), weights = liked(s, c, row);
        if (taints <= scale.taints && weights <= scale.affinity)
            continue;
        enum mu_verdict_kind kind = mu_oracle_verdict(s, c, row).kind;
        if (kind == MU_NO_UNSCHEDULABLE || kind == MU_NO_TAINT || kind == MU_NO_NODE_AFFINITY)
            continue;
        scale.taints = taints > scale.taints ? taints : scale.taints;
        scale.affinity = weights > scale.affinity ? weights : scale.affinity;
    }
    return scale;
}

int64_t mu_oracle_score(const struct mu_snapshot *s, const struct mu_profile *p,
                        const struct mu_class *c, uint32_t row, struct mu_oracle_scale scale)
{
    int64_t weights = (int64_t)p->fit + p->balanced + p->taints + p->node_affinity + p->spread +
                      p->pod_affinity + p->images + p->fragmentation;
    if (padding_of(s, MU_RES_CPU) != MU_NONE || padding_of(s, MU_RES_MEMORY) != MU_NONE)
        weights += 2 * (p->fit + p->balanced); /* room goes from -2 to 1 */
    int64_t unit = ((INT64_C(1) << 31) - 1024) / weights;
    int64_t one = sum_of(s, p, c, row, unit, 1), other = sum_of(s, p, c, row, unit, -1);
    int64_t score = one < other ? one : other;
    if (scale.taints > 0)
        score += unit * p->taints * (scale.taints - soft_taints(s, c, row)) / scale.taints;
    if (scale.affinity > 0)
        score += unit * p->node_affinity * liked(s, c, row) / scale.affinity;
    if (scale.nodes > 0 && p->images > 0)
        score += unit * p->images * image_points(s, c, row, &scale) / 100;
    uint16_t devices;
    if (p->fragmentation > 0 && s->devices != NULL) {
        const int64_t range = INT64_C(2) * 16 * 1000 * 1000, most = unit * p->fragmentation;
        int64_t worth = mu_oracle_worth(s, c, row, &devices);
        score += most >= range ? worth * (most / range) : (worth + range / 2) * most / range;
    }
    return score;
}

/* True when row a is preferred to row b; the class fits both. */
static bool preferred(const struct mu_snapshot *s, const struct mu_profile *profile,
                      const struct mu_class *c, uint32_t a, uint32_t b,
                      struct mu_oracle_scale scale)
{
    int64_t score_a = mu_oracle_score(s, profile, c, a, scale);
    int64_t score_b = mu_oracle_score(s, profile, c, b, scale);
    if (score_a != score_b)
        return score_a > score_b;
    if (s->nodes[a].tie != s->nodes[b].tie)
        return s->nodes[a].tie < s->nodes[b].tie;
    const struct mu_symtab *symbols = mu_model_symbols((struct mu_model *)s->model);
    return mu_str_compare(mu_symbol_str(symbols, s->nodes[a].name),
                          mu_symbol_str(symbols, s->nodes[b].name)) < 0;
}

uint32_t mu_oracle_pick(const struct mu_snapshot *snapshot, const struct mu_profile *profile,
                        struct mu_class_ix class_ix)
{
    const struct mu_class *c = mu_model_get_class(snapshot->model, class_ix);
    uint32_t best = MU_NONE;
    struct mu_oracle_scale scale = {0};
    if (profile->taints + profile->node_affinity + profile->images > 0)
        scale = scale_of(snapshot, c);
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        if ((snapshot->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            mu_oracle_verdict(snapshot, c, row).kind != MU_FITS)
            continue;
        if (best == MU_NONE || preferred(snapshot, profile, c, row, best, scale))
            best = row;
    }
    return best;
}

void mu_oracle_move(struct mu_snapshot *snapshot, struct mu_class_ix class_ix, uint32_t row,
                    uint16_t devices, int sign)
{
    const struct mu_class *c = mu_model_get_class(snapshot->model, class_ix);
    snapshot->free[MU_RES_PODS][row] -= sign;
    for (uint32_t d = 0; d < c->demand_count; d++)
        snapshot->free[c->demands[d].resource.v][row] -= sign * c->demands[d].amount;
    for (uint32_t p = 0; p < c->padding_count; p++) {
        uint32_t r = c->paddings[p].resource.v;
        if (r < snapshot->resource_count)
            snapshot->free[r][row] -= sign * c->paddings[p].amount;
    }
    if (mu_oracle_is_tracked(snapshot, row))
        mu_oracle_devices_move(snapshot, c, row, devices, sign);
}

void mu_oracle_charge(struct mu_snapshot *snapshot, struct mu_class_ix class_ix, uint32_t row,
                      int sign)
{
    mu_oracle_move(snapshot, class_ix, row, 0, sign);
}

uint16_t mu_oracle_take(struct mu_snapshot *snapshot, const struct mu_profile *profile,
                        struct mu_class_ix class_ix, uint32_t row)
{
    const struct mu_class *c = mu_model_get_class(snapshot->model, class_ix);
    uint16_t devices = mu_oracle_devices(snapshot, profile, c, row);
    mu_oracle_move(snapshot, class_ix, row, devices, 1);
    return devices;
}
