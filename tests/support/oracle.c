#include "tests/support/oracle.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

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

/* What amount x of resource r is worth on a row, of `most` for all that the row has. */
static signed_wide worth(const struct mu_snapshot *s, uint32_t row, uint32_t r, int64_t x,
                         int64_t most)
{
    int64_t alloc = s->alloc[r][row], divisor = r == 1 || r == 2 ? 1024 : 1;
    int64_t amount = x < alloc ? x : alloc;
    if (amount <= 0 || alloc / divisor == 0)
        return 0;
    return (signed_wide)(amount / divisor) * (most / (alloc / divisor));
}

/* The number of a resource that some node knows, MU_NONE for others. */
static uint32_t number_of(const struct mu_snapshot *s, const char *name)
{
    struct mu_resource_ix ix;
    struct mu_resources *resources = mu_model_resources((struct mu_model *)s->model);
    bool known = mu_resource_find(resources, mu_str_of(name), &ix) && ix.v < s->resource_count;
    return known ? ix.v : MU_NONE;
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
        room += worth(s, row, r, s->free[r][row], most[r]);
        cost += worth(s, row, r, demand_of(c, r), most[r]);
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
    if (p->fragmentation > 0 && s->devices != NULL)
        score += mu_oracle_worth(s, c, row, &devices) *
                 (unit * p->fragmentation / (INT64_C(2) * 16 * 1000 * 1000));
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

/* ---- gangs -------------------------------------------------------------------------------- */

struct oracle {
    struct mu_snapshot *snapshot;
    const struct mu_profile *profile;
    uint64_t now_ns;
    struct mu_oracle_plan *plan;
    /* Charges made, to undo. */
    struct charge {
        struct mu_class_ix class_ix;
        uint32_t row;
        uint16_t devices;
    } * charges;
    uint32_t charge_count;
    int way;              /* of laying out, as engine/session_priv.h orders them: 0 is by score */
    uint32_t *counted_by; /* by class: gang row whose counts are the class's, MU_NONE: none yet */
    uint32_t class_count;
};

static bool goes_before(const struct mu_gang_row *a, const struct mu_gang_row *b)
{
    bool a_short = (a->flags & MU_GANG_SHORT) != 0, b_short = (b->flags & MU_GANG_SHORT) != 0;
    if (a_short != b_short)
        return a_short;
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s;
    return a->sequence < b->sequence;
}

static void charges_undo(struct oracle *o, uint32_t down_to)
{
    while (o->charge_count > down_to) {
        const struct charge *charge = &o->charges[--o->charge_count];
        mu_oracle_move(o->snapshot, charge->class_ix, charge->row, charge->devices, -1);
    }
}

/* What is left of what the class asks for, in 2^-16 of each amount of the node. */
static int64_t rest_of(const struct mu_snapshot *s, const struct mu_class *c, uint32_t row)
{
    int64_t rest = 0;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        int64_t unit = s->alloc[r][row] >> 16;
        rest += (s->free[r][row] - c->demands[d].amount) / (unit > 0 ? unit : 1);
    }
    return rest;
}

/* First by name (way 1) or best filled, then by name (way 3). */
static uint32_t pick_another_way(const struct oracle *o, struct mu_class_ix class_ix)
{
    const struct mu_snapshot *s = o->snapshot;
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    const struct mu_symtab *symbols = mu_model_names(s->model);
    uint32_t best = MU_NONE;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if ((s->nodes[row].flags & MU_NODE_PRESENT) == 0 ||
            mu_oracle_verdict(s, c, row).kind != MU_FITS)
            continue;
        if (best == MU_NONE) {
            best = row;
            continue;
        }
        int64_t gain = o->way == 3 ? rest_of(s, c, best) - rest_of(s, c, row) : 0;
        if (gain > 0 ||
            (gain == 0 && mu_str_compare(mu_symbol_str(symbols, s->nodes[row].name),
                                         mu_symbol_str(symbols, s->nodes[best].name)) < 0))
            best = row;
    }
    return best;
}

static int64_t share_of(const struct mu_snapshot *s, struct mu_class_ix class_ix)
{
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    int64_t share = 0;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        uint32_t r = c->demands[d].resource.v;
        int64_t total = 0;
        for (uint32_t row = 0; r < s->resource_count && row < s->node_rows; row++)
            total += s->alloc[r][row];
        int64_t unit = total >> 20 > 0 ? total >> 20 : 1;
        if (c->demands[d].amount / unit > share)
            share = c->demands[d].amount / unit;
    }
    return share;
}

/* The member of [begin, begin + count) that comes at place `nth`: canonical, or by falling
 * share. */
static uint32_t member_at(const struct oracle *o, const struct mu_gang_block *block, uint32_t begin,
                          uint32_t count, uint32_t nth)
{
    if (o->way < 2)
        return begin + nth;
    for (uint32_t m = begin; m < begin + count; m++) {
        uint32_t before = 0;
        int64_t share = share_of(o->snapshot, block->members[m].class_ix);
        for (uint32_t n = begin; n < begin + count; n++) {
            int64_t other = share_of(o->snapshot, block->members[n].class_ix);
            before += other > share || (other == share && n < m);
        }
        if (before == nth)
            return m;
    }
    MU_ASSERT(false);
    return begin;
}

/* Where member `nth` of all comes from: sub-groups keep their places. */
static uint32_t member_of_all(const struct oracle *o, const struct mu_gang_block *block,
                              uint32_t nth)
{
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        if (nth >= sub->member_begin && nth < sub->member_begin + sub->member_count)
            return member_at(o, block, sub->member_begin, sub->member_count,
                             nth - sub->member_begin);
    }
    return nth;
}

/* The best row for a member, taken; and which of its devices. */
static uint32_t member_place(struct oracle *o, const struct mu_gang_member *m, uint16_t *devices)
{
    struct mu_snapshot *s = o->snapshot;
    bool holds = m->held.v != MU_NONE && m->held.v < s->node_rows &&
                 s->nodes[m->held.v].generation == m->held_generation;
    if (holds)
        mu_oracle_move(s, m->class_ix, m->held.v, m->held_devices, -1);
    bool by_score = holds || o->way == 0 || o->way == 2;
    uint32_t row =
        by_score ? mu_oracle_pick(s, o->profile, m->class_ix) : pick_another_way(o, m->class_ix);
    if (holds)
        mu_oracle_move(s, m->class_ix, m->held.v, m->held_devices, 1);
    *devices = holds ? m->held_devices : 0;
    if (row != MU_NONE && !(holds && row == m->held.v)) {
        *devices = mu_oracle_take(s, o->profile, m->class_ix, row);
        o->charges[o->charge_count++] = (struct charge){m->class_ix, row, *devices};
    }
    return row;
}

static bool wait_is(struct mu_oracle_gang *out, enum mu_wait_kind kind)
{
    out->wait.kind = kind;
    return false;
}

static bool may_try(struct oracle *o, const struct mu_gang_row *row, struct mu_oracle_gang *out)
{
    const struct mu_gang_block *block = row->block;
    bool settled = (row->flags & MU_GANG_SETTLED) != 0;
    out->size = settled ? row->size : row->member_count;
    if (!settled && o->now_ns < row->settle_ns) {
        out->wait.until_ns = row->settle_ns;
        if (row->settle_ns < o->plan->next_ns)
            o->plan->next_ns = row->settle_ns;
        return wait_is(out, MU_WAIT_QUIET);
    }
    if (row->placed_count > 0 && row->bound_count == 0 && block->member_count > 0)
        return wait_is(out, MU_WAIT_CLAIM);
    uint32_t have = row->placed_count + block->member_count;
    bool enough = have >= out->size && block->member_count > 0;
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        if (sub->min > 0 && sub->placed + sub->member_count < sub->min)
            enough = false;
    }
    if (enough)
        return true;
    if (row->blocked_count > 0) {
        out->wait.rules = row->blocked_rules;
        return wait_is(out, row->blocked_rules != 0 ? MU_WAIT_UNBUILT : MU_WAIT_GATED);
    }
    out->wait.have = have;
    out->wait.need = out->size;
    return wait_is(out, MU_WAIT_MEMBERS);
}

/* Place up to `need` members of [begin, begin + count) that have no row yet; returns how many are
 * missing. */
static uint32_t members_place(struct oracle *o, const struct mu_gang_block *block,
                              struct mu_oracle_gang *out, uint32_t begin, uint32_t count,
                              uint32_t need, struct mu_class_ix *failed)
{
    for (uint32_t i = begin; i < begin + count && need > 0; i++) {
        uint32_t m = member_of_all(o, block, i);
        if (out->nodes[m] != MU_NONE)
            continue;
        out->nodes[m] = member_place(o, &block->members[m], &out->devices[m]);
        if (out->nodes[m] != MU_NONE)
            need--;
        else if (failed->v == MU_NONE)
            *failed = block->members[m].class_ix;
    }
    return need;
}

static void no_fit(struct oracle *o, uint32_t gang, struct mu_class_ix failed)
{
    const struct mu_gang_row *row = &o->snapshot->gangs[gang];
    struct mu_oracle_gang *out = &o->plan->gangs[gang];
    out->wait.kind = MU_WAIT_NO_FIT;
    out->wait.have = row->placed_count;
    out->wait.need = out->size;
    out->wait.class_ix = failed;
    uint32_t *counted_by = &o->counted_by[failed.v];
    if (*counted_by != MU_NONE) {
        const struct mu_oracle_gang *first = &o->plan->gangs[*counted_by];
        out->refusals = first->refusals;
        return;
    }
    *counted_by = gang;
    const struct mu_class *c = mu_model_get_class(o->snapshot->model, failed);
    for (uint32_t n = 0; n < o->snapshot->node_rows; n++) {
        if ((o->snapshot->nodes[n].flags & MU_NODE_PRESENT) == 0)
            continue;
        mu_oracle_count(&out->refusals, mu_oracle_verdict(o->snapshot, c, n));
    }
}

/* Lay the minimum out in way o->way; returns how many are missing and leaves no trace of a
 * failure. */
static uint32_t minimum_place(struct oracle *o, const struct mu_gang_row *row,
                              struct mu_oracle_gang *out, struct mu_class_ix *failed)
{
    const struct mu_gang_block *block = row->block;
    uint32_t mark = o->charge_count, missing = 0, have = row->placed_count;
    for (uint32_t g = 0; g < block->subgroup_count && missing == 0; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        uint32_t need = sub->min == 0            ? sub->member_count
                        : sub->min > sub->placed ? sub->min - sub->placed
                                                 : 0;
        missing = members_place(o, block, out, sub->member_begin, sub->member_count, need, failed);
        have += need - missing;
    }
    if (missing == 0 && have < out->size)
        missing = members_place(o, block, out, 0, block->member_count, out->size - have, failed);
    if (missing > 0) {
        charges_undo(o, mark);
        for (uint32_t m = 0; m < block->member_count; m++)
            out->nodes[m] = MU_NONE;
    }
    return missing;
}

/* Members of several classes, or with held room. */
static bool mixed(const struct mu_gang_block *block)
{
    bool differ = false;
    for (uint32_t m = 0; m < block->member_count; m++)
        differ = differ || block->members[m].class_ix.v != block->members[0].class_ix.v ||
                 block->members[m].held.v != MU_NONE;
    return differ && block->member_count > 1;
}

/* How many pods of the class fit in all, one put after the other where there is still room. */
static uint32_t room_for(struct mu_snapshot *s, struct mu_class_ix class_ix, uint32_t enough)
{
    const struct mu_class *c = mu_model_get_class(s->model, class_ix);
    uint32_t count = 0;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        uint16_t taken[MU_ORACLE_SLOTS_MAX];
        uint32_t here = 0;
        MU_ASSERT(enough <= MU_ORACLE_SLOTS_MAX);
        while ((s->nodes[row].flags & MU_NODE_PRESENT) != 0 && count + here < enough &&
               mu_oracle_verdict(s, c, row).kind == MU_FITS)
            taken[here++] = mu_oracle_take(s, &mu_profile_spread, class_ix, row);
        count += here;
        while (here-- > 0)
            mu_oracle_move(s, class_ix, row, taken[here], -1);
    }
    return count;
}

/* Of which of the gang's first 16 classes there are too few places for those members without held
 * room that cannot be spared; MU_NONE: of none. */
static struct mu_class_ix short_class(struct oracle *o, const struct mu_gang_row *row,
                                      uint32_t size)
{
    const struct mu_gang_block *block = row->block;
    uint32_t minima = 0, classes = 0;
    for (uint32_t g = 0; g < block->subgroup_count; g++) {
        const struct mu_gang_subgroup *sub = &block->subgroups[g];
        minima += sub->min == 0            ? sub->member_count
                  : sub->min > sub->placed ? sub->min - sub->placed
                                           : 0;
    }
    uint32_t rest = size > row->placed_count ? size - row->placed_count : 0;
    uint32_t spare = block->member_count - (minima > rest ? minima : rest);
    for (uint32_t m = 0; m < block->member_count; m++) {
        struct mu_class_ix class_ix = block->members[m].class_ix;
        uint32_t before = 0, count = 0;
        for (uint32_t n = 0; n < block->member_count; n++) {
            bool same =
                block->members[n].class_ix.v == class_ix.v && block->members[n].held.v == MU_NONE;
            before += same && n < m;
            count += same;
        }
        if (before > 0 || block->members[m].held.v != MU_NONE)
            continue;
        if (++classes > 16)
            break;
        if (count > spare && room_for(o->snapshot, class_ix, count - spare) < count - spare)
            return class_ix;
    }
    return (struct mu_class_ix){MU_NONE};
}

static void decide(struct oracle *o, uint32_t gang)
{
    const struct mu_gang_row *row = &o->snapshot->gangs[gang];
    const struct mu_gang_block *block = row->block;
    struct mu_oracle_gang *out = &o->plan->gangs[gang];
    out->wait.class_ix.v = MU_NONE;
    out->nodes = mu_mem_calloc(block->member_count + 1, sizeof *out->nodes);
    out->devices = mu_mem_calloc(block->member_count + 1, sizeof *out->devices);
    MU_ASSERT(out->nodes != NULL && out->devices != NULL);
    for (uint32_t m = 0; m < block->member_count; m++)
        out->nodes[m] = MU_NONE;
    if (!may_try(o, row, out))
        return;
    struct mu_class_ix failed = {MU_NONE}, later = {MU_NONE};
    bool several = mixed(block);
    if (several)
        failed = short_class(o, row, out->size);
    if (failed.v != MU_NONE) {
        no_fit(o, gang, failed);
        return;
    }
    /* Other ways as far as they are allowed (engine/session_layout.c: CONSTRUCT_ROWS_MAX). */
    several = several && (uint64_t)block->member_count * o->snapshot->node_rows <= (1u << 18);
    o->way = 0;
    uint32_t missing = minimum_place(o, row, out, &failed);
    for (o->way = 1; missing > 0 && o->way < 4 && several; o->way++)
        missing = minimum_place(o, row, out, &later);
    if (missing > 0) {
        no_fit(o, gang, failed);
        return;
    }
    o->way = 0;
    members_place(o, block, out, 0, block->member_count, block->member_count, &failed);
    for (uint32_t m = 0; m < block->member_count; m++)
        out->placed = out->placed || out->nodes[m] != MU_NONE;
    if (!out->placed)
        no_fit(o, gang, failed);
}

void mu_oracle_session(struct mu_snapshot *snapshot, const struct mu_profile *profile,
                       uint64_t now_ns, struct mu_oracle_plan *out)
{
    uint32_t members = 0;
    for (uint32_t g = 0; g < snapshot->gang_rows; g++)
        members += snapshot->gangs[g].block != NULL ? snapshot->gangs[g].block->member_count : 0;
    struct oracle o = {.snapshot = snapshot, .profile = profile, .now_ns = now_ns, .plan = out};
    o.class_count = mu_model_class_bound(snapshot->model);
    o.charges = mu_mem_calloc(members + 1, sizeof *o.charges);
    o.counted_by = mu_mem_calloc(o.class_count + 1, sizeof *o.counted_by);
    out->gang_rows = snapshot->gang_rows;
    out->gangs = mu_mem_calloc(snapshot->gang_rows + 1, sizeof *out->gangs);
    out->next_ns = UINT64_MAX;
    bool *seen = mu_mem_calloc(snapshot->gang_rows + 1, sizeof *seen);
    MU_ASSERT(o.charges != NULL && o.counted_by != NULL && out->gangs != NULL && seen != NULL);
    for (uint32_t c = 0; c < o.class_count; c++)
        o.counted_by[c] = MU_NONE;
    for (uint32_t order = 0;; order++) {
        uint32_t next = MU_NONE;
        for (uint32_t g = 0; g < snapshot->gang_rows; g++) {
            bool candidate = !seen[g] && (snapshot->gangs[g].flags & MU_GANG_PENDING) != 0;
            if (candidate &&
                (next == MU_NONE || goes_before(&snapshot->gangs[g], &snapshot->gangs[next])))
                next = g;
        }
        if (next == MU_NONE)
            break;
        seen[next] = true;
        out->gangs[next].order = order;
        decide(&o, next);
    }
    charges_undo(&o, 0);
    mu_mem_free(o.charges);
    mu_mem_free(o.counted_by);
    mu_mem_free(seen);
}

void mu_oracle_plan_fini(struct mu_oracle_plan *plan)
{
    for (uint32_t g = 0; g < plan->gang_rows; g++) {
        mu_mem_free(plan->gangs[g].nodes);
        mu_mem_free(plan->gangs[g].devices);
    }
    mu_mem_free(plan->gangs);
    memset(plan, 0, sizeof *plan);
}

/* ---- comparing ---------------------------------------------------------------------------- */

static bool differ(const char *what, uint32_t gang, uint64_t want, uint64_t got)
{
    (void)fprintf(stderr, "gang %" PRIu32 ": %s: oracle %" PRIu64 ", session %" PRIu64 "\n", gang,
                  what, want, got);
    return false;
}

static bool binds_equal(const struct mu_snapshot *s, const struct mu_oracle_gang *want,
                        const struct mu_plan_gang *got)
{
    const struct mu_gang_row *row = &s->gangs[got->gang.v];
    uint32_t at = 0;
    for (uint32_t m = 0; m < row->block->member_count; m++) {
        if (want->nodes[m] == MU_NONE)
            continue;
        if (at == got->bind_count)
            return differ("too few binds", got->gang.v, at + 1, got->bind_count);
        const struct mu_plan_bind *bind = &got->binds[at++];
        const struct mu_gang_member *member = &row->block->members[m];
        if (bind->node.v != want->nodes[m])
            return differ("node", got->gang.v, want->nodes[m], bind->node.v);
        if (bind->devices != want->devices[m])
            return differ("devices", got->gang.v, want->devices[m], bind->devices);
        if (bind->pod.v != member->pod.v || !mu_uid_equal(bind->uid, member->uid) ||
            bind->version != member->version)
            return differ("pod", got->gang.v, member->pod.v, bind->pod.v);
        if (bind->node_generation != s->nodes[bind->node.v].generation)
            return differ("node generation", got->gang.v, 0, bind->node_generation);
    }
    if (at != got->bind_count)
        return differ("binds", got->gang.v, at, got->bind_count);
    if (want->size != got->size)
        return differ("size", got->gang.v, want->size, got->size);
    return row->generation == got->gang_generation && row->revision == got->gang_revision;
}

static bool wait_equal(const struct mu_oracle_gang *want, const struct mu_plan_wait *got)
{
    uint32_t gang = got->gang.v;
    const struct mu_plan_wait *w = &want->wait;
    if (w->kind != got->kind)
        return differ("wait", gang, w->kind, got->kind);
    if (w->have != got->have)
        return differ("have", gang, w->have, got->have);
    if (w->need != got->need)
        return differ("need", gang, w->need, got->need);
    if (w->rules != got->rules || w->until_ns != got->until_ns)
        return differ("rules or until", gang, w->until_ns, got->until_ns);
    if (w->class_ix.v != got->class_ix.v)
        return differ("class", gang, w->class_ix.v, got->class_ix.v);
    for (uint32_t k = 0; k < MU_VERDICT_KINDS; k++) {
        if (want->refusals.by_verdict[k] != got->nodes_by_verdict[k])
            return differ(mu_verdict_text(k), gang, want->refusals.by_verdict[k],
                          got->nodes_by_verdict[k]);
        if (want->refusals.by_reason[k] != got->nodes_by_reason[k])
            return differ("told reason", gang, want->refusals.by_reason[k],
                          got->nodes_by_reason[k]);
    }
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++) {
        if (want->refusals.by_resource[r] != got->nodes_by_resource[r])
            return differ("short of a resource", gang, want->refusals.by_resource[r],
                          got->nodes_by_resource[r]);
    }
    return true;
}

bool mu_oracle_plan_equal(const struct mu_snapshot *snapshot, const struct mu_oracle_plan *want,
                          const struct mu_plan *got)
{
    if (want->next_ns != got->next_ns || got->snapshot_generation != snapshot->generation)
        return differ("next_ns or generation", MU_NONE, want->next_ns, got->next_ns);
    if (got->gang_count + got->wait_count != snapshot->pending_gangs)
        return differ("gangs", MU_NONE, snapshot->pending_gangs, got->gang_count + got->wait_count);
    for (uint32_t i = 0; i < got->gang_count; i++) {
        const struct mu_oracle_gang *gang = &want->gangs[got->gangs[i].gang.v];
        if (!gang->placed)
            return differ("placed", got->gangs[i].gang.v, 0, 1);
        if (i > 0 && gang->order <= want->gangs[got->gangs[i - 1].gang.v].order)
            return differ("order", got->gangs[i].gang.v, gang->order, i);
        if (!binds_equal(snapshot, gang, &got->gangs[i]))
            return false;
    }
    for (uint32_t i = 0; i < got->wait_count; i++) {
        const struct mu_oracle_gang *gang = &want->gangs[got->waits[i].gang.v];
        if (gang->placed)
            return differ("placed", got->waits[i].gang.v, 1, 0);
        if (!wait_equal(gang, &got->waits[i]))
            return false;
    }
    return true;
}
