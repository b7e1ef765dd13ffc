/*
 * Rules read the snapshot's censuses, and correct what these count by what would be different:
 *
 *     gone    a pod that leaves is no longer counted where it is
 *     moved   a label that is a topology key takes the row, and all that is counted on it, out of
 *             its domain and into another; into one of its own where no other node has the value
 *     more    where the pod's own affinity or tolerations have a say in which nodes a spread
 *             constraint looks at, more of them are looked at: the row, and others that the pod may
 *             use by now. Fewer are not: changes only widen what it may use
 *
 * A rule over a key that no node has is without a census. When a change gives the row that key, the
 * row is the only one of the only domain, and its pods are held against the rule one by one.
 *
 * A census that lost count cannot be corrected: its rule refuses, as it does in the engine.
 */
#include "tools/answer/judge.h"

#include <inttypes.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "engine/place/domain.h"

#define OWN_DOMAIN (MU_NONE - 1) /* of a value that no other node has */

/* ---- placed pods -------------------------------------------------------------------------- */

/* The pod `ix` if it is listed. */
static bool listed(const struct mu_changer *c, uint32_t ix, struct mu_pod_view *pod, uint32_t *seen)
{
    if (!mu_db_pod_get(c->db, (struct mu_pod_ix){ix}, pod))
        return false;
    *seen += !pod->terminal;
    return pod->node.v < c->snapshot->node_rows && !pod->terminal &&
           !mu_uid_equal(pod->uid, c->self);
}

const struct mu_placed *mu_placed_pods(struct mu_changer *c)
{
    struct mu_db_counts counts;
    struct mu_pod_view pod;
    uint32_t rows = c->snapshot->node_rows;
    uint32_t seen = 0;
    if (c->placed != NULL)
        return c->placed;
    mu_db_counts(c->db, &counts);
    struct mu_placed *placed = mu_arena_alloc(c->arena, sizeof *placed);
    uint32_t *begin = mu_arena_calloc(c->arena, (size_t)rows + 2, sizeof *begin);
    struct mu_placed_pod *pods = mu_arena_calloc(c->arena, (size_t)counts.pods + 1, sizeof *pods);
    if (placed == NULL || begin == NULL || pods == NULL)
        return NULL;
    /* begin[row + 2] counts the row's pods; then begin[row + 1] is where its next one goes. */
    for (uint32_t ix = 0; seen < counts.pods && ix < MU_PODS_MAX; ix++)
        if (listed(c, ix, &pod, &seen))
            begin[pod.node.v + 2]++;
    for (uint32_t row = 2; row < rows + 2; row++)
        begin[row] += begin[row - 1];
    seen = 0;
    for (uint32_t ix = 0; seen < counts.pods && ix < MU_PODS_MAX; ix++)
        if (listed(c, ix, &pod, &seen))
            pods[begin[pod.node.v + 1]++] =
                (struct mu_placed_pod){pod.ix, pod.class_ix, pod.kin, pod.terminating, pod.devices};
    *placed = (struct mu_placed){begin, pods};
    c->placed = placed;
    return placed;
}

bool mu_is_gone(const struct mu_placed_pod *const *gone, uint32_t count,
                const struct mu_placed_pod *pod)
{
    for (uint32_t i = 0; i < count; i++)
        if (gone[i] == pod)
            return true;
    return false;
}

/* ---- the row's domains -------------------------------------------------------------------- */

const struct mu_change *mu_label_change(const struct mu_change *changes, uint32_t count,
                                        struct mu_str key)
{
    for (uint32_t i = 0; i < count; i++)
        if ((changes[i].kind == MU_CHANGE_LABEL || changes[i].kind == MU_CHANGE_UNLABEL) &&
            mu_str_equal(changes[i].key, key))
            return &changes[i];
    return NULL;
}

/* The domain of the other nodes that have this value of the key. */
static uint32_t domain_of_value(const struct mu_judged *j, uint32_t topology, struct mu_str value)
{
    const struct mu_snapshot *s = j->changer->snapshot;
    struct mu_symbol key = s->topology_keys[topology];
    struct mu_symbol symbol;
    if (!mu_symbol_find(mu_model_names(s->model), value, &symbol))
        return OWN_DOMAIN;
    for (uint32_t row = 0; row < s->node_rows; row++) {
        if (row == j->row || s->topology[topology][row] == MU_NONE)
            continue;
        const struct mu_label_set *set = mu_model_get_label_set(s->model, s->nodes[row].labels);
        for (uint32_t i = 0; i < set->count; i++)
            if (set->pairs[i].key.v == key.v && set->pairs[i].value.v == symbol.v)
                return s->topology[topology][row];
    }
    return OWN_DOMAIN;
}

/* Where the judged row is then. */
static uint32_t domain_then(const struct mu_judged *j, uint32_t topology)
{
    const struct mu_snapshot *s = j->changer->snapshot;
    if (topology == MU_TOPOLOGY_ROW)
        return j->row;
    struct mu_str key = mu_symbol_str(mu_model_names(s->model), s->topology_keys[topology]);
    const struct mu_change *change = mu_label_change(j->changes, j->change_count, key);
    if (change == NULL)
        return mu_domain_of(s, topology, j->row);
    return change->kind == MU_CHANGE_UNLABEL ? MU_NONE
                                             : domain_of_value(j, topology, change->value);
}

/* ---- who is counted ----------------------------------------------------------------------- */

static bool contains(const struct mu_census_ix *list, uint32_t count, uint32_t census)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].v == census)
            return true;
    return false;
}

/* Whether the census counts pods of this kin, where it looks. */
static bool counts_kin(const struct mu_snapshot *s, struct mu_kin_ix kin, uint32_t census)
{
    const struct mu_kin_census *k = kin.v < s->kin_census_count ? s->kin_census[kin.v] : NULL;
    if (k == NULL)
        return false;
    return s->censuses[census].kind == MU_CENSUS_SPREAD
               ? contains(k->spread, k->spread_count, census)
               : contains(k->match, k->match_count, census);
}

static bool counts_pod(const struct mu_snapshot *s, const struct mu_placed_pod *pod,
                       uint32_t census)
{
    bool spread = s->censuses[census].kind == MU_CENSUS_SPREAD;
    return counts_kin(s, pod->kin, census) && !(spread && pod->terminating);
}

static int32_t count_on_row(const struct mu_snapshot *s, const struct mu_placed *placed,
                            uint32_t row, uint32_t census)
{
    int32_t count = 0;
    for (uint32_t i = placed->begin[row]; i < placed->begin[row + 1]; i++)
        count += counts_pod(s, &placed->pods[i], census);
    return count;
}

/* ---- keys that no node has ---------------------------------------------------------------- */

/* Whether the row has a label then. */
static bool key_then(const struct mu_judged *j, struct mu_symbol key)
{
    const struct mu_snapshot *s = j->changer->snapshot;
    const struct mu_change *change =
        mu_label_change(j->changes, j->change_count, mu_symbol_str(mu_model_names(s->model), key));
    if (change != NULL)
        return change->kind == MU_CHANGE_LABEL;
    const struct mu_labels_view labels = mu_snapshot_labels(s, (struct mu_node_ix){j->row});
    bool has = labels.hostname.v != 0 && key.v == labels.hostname_key.v;
    for (uint32_t i = 0; i < labels.set->count; i++)
        has = has || labels.set->pairs[i].key.v == key.v;
    return has;
}

static bool matches(const struct mu_judged *j, struct mu_matcher_ix matcher, struct mu_kin_ix kin)
{
    const struct mu_model *model = j->changer->snapshot->model;
    return mu_matcher_matches(model, mu_model_get_matcher(model, matcher),
                              mu_model_get_kin(model, kin));
}

/* Pods of the row that stay and match. */
static int64_t staying(const struct mu_judged *j, const struct mu_placed *placed,
                       struct mu_matcher_ix matcher, bool terminating)
{
    int64_t count = 0;
    for (uint32_t i = placed->begin[j->row]; i < placed->begin[j->row + 1]; i++) {
        const struct mu_placed_pod *pod = &placed->pods[i];
        count += (terminating || !pod->terminating) && matches(j, matcher, pod->kin) &&
                 !mu_is_gone(j->gone, j->gone_count, pod);
    }
    return count;
}

/* The hard spreads, one of whose keys no node has. */
static void judge_void_spreads(const struct mu_judged *j, const struct mu_placed *placed,
                               const struct mu_class *class_, uint32_t *kinds)
{
    for (uint32_t i = 0; i < class_->hard_spread_count; i++)
        *kinds |= key_then(j, class_->spreads[i].topology_key) ? 0 : 1u << MU_NO_SPREAD_LABEL;
    for (uint32_t i = 0; i < class_->hard_spread_count; i++) {
        const struct mu_spread_item *s = &class_->spreads[i];
        int64_t here = s->counts_none ? 0 : staying(j, placed, s->matcher, false);
        int64_t least = s->min_domains > 1 ? 0 : here; /* one domain: the row's */
        if (here + (s->counts_none || matches(j, s->matcher, j->changer->kin)) - least >
            s->max_skew)
            *kinds |= 1u << MU_NO_SPREAD;
    }
}

/* ---- affinity and anti-affinity ------------------------------------------------------------ */

/* What a census counts then: in the row's domain, and in all. False: the row has no domain. */
static bool count_then(const struct mu_judged *j, const struct mu_placed *placed, uint32_t census,
                       int64_t *here, int64_t *total)
{
    const struct mu_snapshot *s = j->changer->snapshot;
    const struct mu_census *c = &s->censuses[census];
    uint32_t before = mu_domain_of(s, c->topology, j->row);
    uint32_t then = domain_then(j, c->topology);
    int32_t own = then != before ? count_on_row(s, placed, j->row, census) : 0;
    *here = then < c->domain_count ? c->counts[then] : 0;
    *total = c->total + (before == MU_NONE ? own : 0) - (then == MU_NONE ? own : 0);
    *here += own;
    for (uint32_t i = 0; i < j->gone_count; i++) {
        bool moves = j->gone_rows[i] == j->row;
        uint32_t domain = moves ? then : mu_domain_of(s, c->topology, j->gone_rows[i]);
        if (domain == MU_NONE || !counts_pod(s, j->gone[i], census))
            continue;
        *here -= domain == then;
        *total -= 1;
    }
    return then != MU_NONE;
}

static void judge_affinity(const struct mu_judged *j, const struct mu_placed *placed,
                           const struct mu_class *class_, const struct mu_class_census *asked,
                           uint32_t *kinds)
{
    bool first = true, any_missing = false, all_keys = true;
    for (uint32_t i = 0; i < class_->term_count; i++) {
        uint32_t census = asked->terms[i].v;
        int64_t here, total;
        if (class_->terms[i].kind != MU_TERM_AFFINITY)
            continue;
        bool key;
        if (census == MU_CENSUS_VOID) {
            key = key_then(j, class_->terms[i].topology_key);
            total = here = key ? staying(j, placed, class_->terms[i].matcher, true) : 0;
            first = first && total == 0 && matches(j, class_->terms[i].matcher, j->changer->kin);
        } else {
            key = count_then(j, placed, census, &here, &total);
            first =
                first && total == 0 && counts_kin(j->changer->snapshot, j->changer->kin, census);
        }
        all_keys = all_keys && key;
        any_missing = any_missing || !key || here == 0;
    }
    if (first ? !all_keys : any_missing)
        *kinds |= 1u << MU_NO_POD_AFFINITY;
}

static void judge_anti(const struct mu_judged *j, const struct mu_placed *placed,
                       const struct mu_class *class_, const struct mu_class_census *asked,
                       uint32_t *kinds)
{
    for (uint32_t i = 0; i < class_->term_count; i++) {
        const struct mu_term_item *t = &class_->terms[i];
        int64_t here = 0, total;
        if (t->kind != MU_TERM_ANTI_AFFINITY)
            continue;
        if (asked->terms[i].v != MU_CENSUS_VOID)
            here = count_then(j, placed, asked->terms[i].v, &here, &total) ? here : 0;
        else if (key_then(j, t->topology_key))
            here = staying(j, placed, t->matcher, true);
        *kinds |= here > 0 ? 1u << MU_NO_ANTI_AFFINITY : 0;
    }
}

/* ---- ports -------------------------------------------------------------------------------- */

static bool ports_conflict(const struct mu_symtab *symbols, const struct mu_port_item *a,
                           const struct mu_port_item *b)
{
    const struct mu_str every = MU_STR("0.0.0.0");
    return a->protocol == b->protocol && a->port == b->port &&
           (a->ip.v == b->ip.v || mu_str_equal(mu_symbol_str(symbols, a->ip), every) ||
            mu_str_equal(mu_symbol_str(symbols, b->ip), every));
}

/* Whether somebody who is still on the row has the pod's port. */
static bool port_taken(const struct mu_judged *j, const struct mu_placed *placed,
                       const struct mu_port_item *port)
{
    const struct mu_model *model = j->changer->snapshot->model;
    for (uint32_t i = placed->begin[j->row]; i < placed->begin[j->row + 1]; i++) {
        const struct mu_class *other = mu_model_get_class(model, placed->pods[i].class_ix);
        for (uint32_t b = 0; b < other->port_count; b++)
            if (ports_conflict(mu_model_names(model), port, &other->ports[b]) &&
                !mu_is_gone(j->gone, j->gone_count, &placed->pods[i]))
                return true;
    }
    return false;
}

static void judge_ports(const struct mu_judged *j, const struct mu_placed *placed,
                        const struct mu_class *class_, uint32_t *kinds)
{
    for (uint32_t a = 0; a < class_->port_count; a++)
        if (port_taken(j, placed, &class_->ports[a]))
            *kinds |= 1u << MU_NO_PORTS;
}

/* A pod has at most some thousands of ports. */
#define PORTS_BYTES_MAX (64u << 10)

struct mu_str mu_judge_ports(const struct mu_judged *j, struct mu_arena *arena)
{
    static const char *const protocols[] = {
        [MU_PROTOCOL_TCP] = "TCP", [MU_PROTOCOL_UDP] = "UDP", [MU_PROTOCOL_SCTP] = "SCTP"};
    const struct mu_class *class_ =
        mu_model_get_class(j->changer->snapshot->model, j->changer->class_ix);
    const struct mu_placed *placed = mu_placed_pods(j->changer);
    struct mu_buf text;
    struct mu_str out = {NULL, 0};
    if (placed == NULL)
        return out;
    mu_buf_init(&text, PORTS_BYTES_MAX);
    for (int all = 0; all < 2 && text.len == 0; all++)
        for (uint32_t a = 0; a < class_->port_count; a++)
            if (all != 0 || port_taken(j, placed, &class_->ports[a]))
                (void)mu_buf_printf(&text, "%s%" PRIu32 "/%s", text.len == 0 ? "" : ",",
                                    class_->ports[a].port, protocols[class_->ports[a].protocol]);
    if (text.failed == 0)
        out = mu_arena_str(arena, (struct mu_str){(const char *)text.data, (uint32_t)text.len});
    mu_buf_fini(&text);
    return out;
}

/* ---- spread ------------------------------------------------------------------------------- */

/* One constraint. Counts by domain, and the nodes that it looks at; behind them the row's own. */
struct spread {
    const struct mu_judged *j;
    const struct mu_placed *placed;
    const struct mu_spread_item *item;
    uint32_t census;
    uint32_t then; /* the row's domain */
    uint32_t domain_count;
    int64_t *counts;
    uint32_t *nodes;
};

static bool has_keys(const struct spread *p, uint32_t row)
{
    const struct mu_snapshot *s = p->j->changer->snapshot;
    for (uint64_t keys = s->censuses[p->census].keys; keys != 0; keys &= keys - 1) {
        uint32_t topology = (uint32_t)__builtin_ctzll(keys);
        uint32_t domain =
            row == p->j->row ? domain_then(p->j, topology) : mu_domain_of(s, topology, row);
        if (domain == MU_NONE)
            return false;
    }
    return true;
}

/* Whether the constraint looks at a row that it does not look at now. */
static bool newly_eligible(const struct spread *p, uint32_t row)
{
    const struct mu_judged *j = p->j;
    const struct mu_snapshot *s = j->changer->snapshot;
    const struct mu_node_static *node = &s->nodes[row];
    if ((node->flags & MU_NODE_PRESENT) == 0 || !has_keys(p, row))
        return false;
    if (p->item->honor_affinity) {
        struct mu_labels_view labels = mu_snapshot_labels(s, (struct mu_node_ix){row});
        if (!mu_affinity_selects(s->model, j->affinity, &labels, node->name))
            return false;
    }
    return !p->item->honor_taints ||
           mu_tolerance_tolerates(mu_model_names(s->model), j->tolerance,
                                  mu_model_get_taint_set(s->model, node->taints));
}

static void add_row(struct spread *p, uint32_t row, uint32_t domain, int sign)
{
    uint32_t d = domain == OWN_DOMAIN ? p->domain_count : domain;
    MU_ASSERT(d <= p->domain_count);
    p->nodes[d] += (uint32_t)sign;
    p->counts[d] +=
        (int64_t)sign * count_on_row(p->j->changer->snapshot, p->placed, row, p->census);
}

/* The rows that are looked at besides, and the judged one where it is by then. */
static void widen(struct spread *p, bool others)
{
    const struct mu_snapshot *s = p->j->changer->snapshot;
    const struct mu_census *c = &s->censuses[p->census];
    if (mu_bitset_test(c->eligible, p->j->row))
        add_row(p, p->j->row, mu_domain_of(s, c->topology, p->j->row), -1);
    if (has_keys(p, p->j->row))
        add_row(p, p->j->row, p->then, 1);
    for (uint32_t row = 0; others && row < s->node_rows; row++)
        if (row != p->j->row && !mu_bitset_test(c->eligible, row) && newly_eligible(p, row))
            add_row(p, row, mu_domain_of(s, c->topology, row), 1);
}

/* Those that leave, from rows that are looked at. */
static void drop_gone(struct spread *p, bool others)
{
    const struct mu_judged *j = p->j;
    const struct mu_snapshot *s = j->changer->snapshot;
    const struct mu_census *c = &s->censuses[p->census];
    for (uint32_t i = 0; i < j->gone_count; i++) {
        uint32_t row = j->gone_rows[i];
        bool own = row == j->row;
        bool looked_at =
            own ? has_keys(p, row)
                : mu_bitset_test(c->eligible, row) || (others && newly_eligible(p, row));
        uint32_t domain = own ? p->then : mu_domain_of(s, c->topology, row);
        if (looked_at && counts_pod(s, j->gone[i], p->census))
            p->counts[domain == OWN_DOMAIN ? p->domain_count : domain]--;
    }
}

/* Whether the row's domain would hold too many. */
static bool too_many(const struct spread *p)
{
    const struct mu_changer *c = p->j->changer;
    int64_t least = INT64_MAX;
    uint32_t domains = 0;
    for (uint32_t d = 0; d <= p->domain_count; d++) {
        if (p->nodes[d] == 0)
            continue;
        domains++;
        least = p->counts[d] < least ? p->counts[d] : least;
    }
    if (domains < (uint32_t)p->item->min_domains || domains == 0)
        least = 0;
    bool self = p->item->counts_none || counts_kin(c->snapshot, c->kin, p->census);
    uint32_t d = p->then == OWN_DOMAIN ? p->domain_count : p->then;
    return p->counts[d] + self - least > p->item->max_skew;
}

static int judge_spread(const struct mu_judged *j, const struct mu_placed *placed,
                        const struct mu_spread_item *item, uint32_t census, uint32_t *kinds)
{
    const struct mu_census *c = &j->changer->snapshot->censuses[census];
    struct spread p = {.j = j,
                       .placed = placed,
                       .item = item,
                       .census = census,
                       .then = domain_then(j, c->topology),
                       .domain_count = c->domain_count};
    if (p.then == MU_NONE) {
        *kinds |= 1u << MU_NO_SPREAD_LABEL;
        return 0;
    }
    size_t n = (size_t)p.domain_count + 1;
    p.counts = mu_mem_calloc(n, sizeof *p.counts);
    p.nodes = mu_mem_calloc(n, sizeof *p.nodes);
    if (p.counts == NULL || p.nodes == NULL) {
        mu_mem_free(p.counts);
        mu_mem_free(p.nodes);
        return MU_ENOMEM;
    }
    for (uint32_t d = 0; d < p.domain_count; d++) {
        p.counts[d] = c->counts[d];
        p.nodes[d] = c->domains[d];
    }
    bool others = (item->honor_affinity && j->affinity != NULL) ||
                  (item->honor_taints && j->tolerance != NULL);
    struct mu_judged now = *j;
    const struct mu_model *model = j->changer->snapshot->model;
    const struct mu_class *class_ = mu_model_get_class(model, j->changer->class_ix);
    if (now.affinity == NULL)
        now.affinity = mu_model_get_affinity(model, class_->affinity);
    if (now.tolerance == NULL)
        now.tolerance = mu_model_get_tolerance(model, class_->tolerance);
    p.j = &now;
    widen(&p, others);
    drop_gone(&p, others);
    if (too_many(&p))
        *kinds |= 1u << MU_NO_SPREAD;
    mu_mem_free(p.counts);
    mu_mem_free(p.nodes);
    return 0;
}

/* ---- all ---------------------------------------------------------------------------------- */

static bool cannot_tell(const struct mu_snapshot *s, struct mu_census_ix census)
{
    return census.v != MU_CENSUS_VOID && (!mu_census_is(census) || s->censuses[census.v].overflow);
}

/* The rules whose censuses cannot tell. */
static uint32_t untold(const struct mu_snapshot *s, const struct mu_class *class_,
                       const struct mu_class_census *asked)
{
    uint32_t kinds = 0;
    for (uint32_t i = 0; i < class_->port_count; i++)
        kinds |= cannot_tell(s, asked->ports[i]) ? 1u << MU_NO_PORTS : 0;
    for (uint32_t i = 0; i < class_->hard_spread_count; i++)
        kinds |= cannot_tell(s, asked->spreads[i]) ? 1u << MU_NO_SPREAD : 0;
    for (uint32_t i = 0; i < class_->term_count; i++)
        if (class_->terms[i].kind <= MU_TERM_ANTI_AFFINITY && cannot_tell(s, asked->terms[i]))
            kinds |= 1u << (class_->terms[i].kind == MU_TERM_AFFINITY ? MU_NO_POD_AFFINITY
                                                                      : MU_NO_ANTI_AFFINITY);
    return kinds;
}

static bool has_term(const struct mu_class *class_, enum mu_term_kind kind)
{
    for (uint32_t i = 0; i < class_->term_count; i++)
        if (class_->terms[i].kind == kind)
            return true;
    return false;
}

int mu_judge(const struct mu_judged *j, uint32_t *kinds)
{
    const struct mu_changer *c = j->changer;
    const struct mu_snapshot *s = c->snapshot;
    const struct mu_class *class_ = mu_model_get_class(s->model, c->class_ix);
    const struct mu_class_census *asked =
        c->class_ix.v < s->class_census_count ? s->class_census[c->class_ix.v] : NULL;
    const struct mu_placed *placed = asked == NULL ? NULL : mu_placed_pods(j->changer);
    int rc = 0;
    *kinds = 0;
    if (asked == NULL)
        return 0;
    if (placed == NULL)
        return MU_ENOMEM;
    uint32_t blind = untold(s, class_, asked);
    *kinds = blind;
    if ((blind & 1u << MU_NO_PORTS) == 0 && class_->port_count > 0)
        judge_ports(j, placed, class_, kinds);
    bool no_key = class_->hard_spread_count > 0 && asked->spreads[0].v == MU_CENSUS_VOID;
    if (no_key)
        judge_void_spreads(j, placed, class_, kinds);
    bool spreads = !no_key && (blind & 1u << MU_NO_SPREAD) == 0;
    for (uint32_t i = 0; spreads && i < class_->hard_spread_count; i++)
        if (rc == 0)
            rc = judge_spread(j, placed, &class_->spreads[i], asked->spreads[i].v, kinds);
    if ((blind & 1u << MU_NO_POD_AFFINITY) == 0 && has_term(class_, MU_TERM_AFFINITY))
        judge_affinity(j, placed, class_, asked, kinds);
    if ((blind & 1u << MU_NO_ANTI_AFFINITY) == 0)
        judge_anti(j, placed, class_, asked, kinds);
    return rc;
}
