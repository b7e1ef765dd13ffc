#ifndef MU_TESTS_CENSUS_CHECK_H
#define MU_TESTS_CENSUS_CHECK_H
/* The censuses' naive twin: every census of a snapshot, counted anew from the world's arrays, and
 * the rules about other pods judged by them. */
#include "tests/census_world.h"

/* --- the naive count -------------------------------------------------------------------------- */

/* The node that a pod is counted on; -1: on none. The ledger is the DB's own word. */
static int place_of(struct world *w, const struct pod *p)
{
    struct mu_node_ix row;
    if (!p->exists || p->terminal)
        return -1;
    if (p->node >= 0)
        return p->node;
    if (mu_db_ledger_state(w->db, uid_of(w, p), &row) == MU_LEDGER_NONE)
        return -1;
    struct mu_str name = mu_db_node_name(w->db, row);
    return name.data[name.len - 1] - '0';
}

/* Whether it only holds room there, and may never be bound. */
static bool only_holds(struct world *w, const struct pod *p)
{
    enum mu_ledger_state state = mu_db_ledger_state(w->db, uid_of(w, p), NULL);
    return state == MU_LEDGER_HELD || state == MU_LEDGER_WAITING;
}

/* What a census is about: a rule of a live pod. */
struct about {
    const struct pod *owner;
    const struct term *term;
    const struct spread *spread;
    int port; /* + 1 */
};

static int32_t times_counted(struct world *w, const struct mu_census *c, const struct about *a,
                             const struct pod *p)
{
    int32_t times = 0;
    switch (c->kind) {
    case MU_CENSUS_MATCH:
        assert_int_equal(c->firm, a->term->kind == 1 + MU_TERM_AFFINITY);
        return term_matches(w, a->owner, a->term, p) && !(c->firm && only_holds(w, p));
    case MU_CENSUS_SPREAD:
        return !is_empty(&a->spread->pods) && !p->terminating &&
               spread_matches(a->owner, a->spread, p) &&
               eligible(w, &palette[a->owner->rules], a->spread, place_of(w, p));
    case MU_CENSUS_CARRY:
        /* A term of own namespaces is another one in another namespace. */
        for (int i = 0; i < 3; i++) {
            const struct term *t = &palette[p->rules].terms[i];
            times += t == a->term && (t->spaces != OWN || p->space == a->owner->space);
        }
        return times;
    case MU_CENSUS_PORT:
        for (int i = 0; i < 2; i++)
            times += palette[p->rules].ports[i] != 0 && i == a->port - 1;
        return times;
    }
    return 0;
}

static uint32_t domain_of(const struct mu_snapshot *s, const struct mu_census *c, uint32_t row)
{
    return c->topology == MU_TOPOLOGY_ROW ? row : s->topology[c->topology][row];
}

static bool row_is_eligible(struct world *w, const struct mu_snapshot *s, const struct mu_census *c,
                            int node)
{
    uint32_t row = fixture_row(w->db, s, node_name(node));
    return (c->eligible[row / 64] >> (row % 64) & 1) != 0;
}

/* One census, domain by domain, and nothing beside them. */
static void check_census(struct world *w, const struct mu_snapshot *s, uint32_t number,
                         const struct about *a)
{
    const struct mu_census *c = &s->censuses[number];
    const char *key = a->term != NULL ? a->term->key : a->spread != NULL ? a->spread->key : NULL;
    int64_t total = 0;
    uint32_t nodes = 0;
    assert_true(c->id != 0 && !c->overflow);
    for (int n = 0; n < NODES; n++) {
        if (!w->nodes[n].present)
            continue;
        uint32_t row = fixture_row(w->db, s, node_name(n));
        const char *value = key == NULL ? node_name(n) : node_label(w, n, key);
        char own[16];
        (void)snprintf(own, sizeof own, "%s", value == NULL ? "" : value);
        uint32_t domain = domain_of(s, c, row);
        assert_true((domain == MU_NONE) == (value == NULL));
        if (value == NULL)
            continue;
        assert_true(domain < c->domain_count);
        int32_t expected = 0;
        uint32_t eligible_nodes = 0;
        bool first = true;
        for (int m = 0; m < NODES; m++) {
            const char *other = key == NULL ? node_name(m) : node_label(w, m, key);
            if (!w->nodes[m].present || other == NULL || strcmp(other, own) != 0)
                continue;
            first &= m >= n;
            bool is_eligible =
                a->spread != NULL && eligible(w, &palette[a->owner->rules], a->spread, m);
            eligible_nodes += is_eligible;
            if (a->spread != NULL)
                assert_int_equal(row_is_eligible(w, s, c, m), is_eligible);
            for (uint32_t p = 0; p < PODS; p++)
                if (place_of(w, &w->pods[p]) == m)
                    expected += times_counted(w, c, a, &w->pods[p]);
        }
        assert_int_equal(c->counts[domain], expected);
        if (a->spread != NULL)
            assert_int_equal(c->domains == NULL ? 0 : c->domains[domain], eligible_nodes);
        total += first ? expected : 0;
        nodes += first ? eligible_nodes : 0;
    }
    /* Ports count on absent nodes too: their row is named by pods. */
    for (int n = 0; key == NULL && n < NODES; n++)
        for (uint32_t p = 0; p < PODS && !w->nodes[n].present; p++)
            if (place_of(w, &w->pods[p]) == n)
                total += times_counted(w, c, a, &w->pods[p]);
    assert_int_equal(c->total, total);
    w->checked[c->kind] += total != 0;
    int64_t sum = 0;
    uint32_t sum_nodes = 0;
    for (uint32_t d = 0; d < c->domain_count; d++) {
        sum += c->counts[d];
        sum_nodes += c->domains == NULL ? 0 : c->domains[d];
    }
    assert_int_equal(sum, total);
    assert_int_equal(sum_nodes, nodes);
    /* Eligible rows are those of nodes: no bit is left of any that has moved or gone. */
    for (uint32_t word = 0; c->eligible != NULL && word < s->node_cap / 64; word++)
        nodes -= (uint32_t)__builtin_popcountll(c->eligible[word]);
    assert_true(a->spread == NULL || nodes == 0);
}

static bool lists(const struct mu_census_ix *list, uint32_t count, uint32_t number)
{
    uint32_t times = 0;
    for (uint32_t i = 0; i < count; i++)
        times += list[i].v == number;
    assert_true(times < 2);
    return times == 1;
}

/* Every live pod's kin lists exactly the censuses that match it. */
static void check_kins(struct world *w, const struct mu_snapshot *s, uint32_t number,
                       const struct about *a)
{
    static const struct mu_kin_census none = {.match_count = 0};
    const struct mu_census *c = &s->censuses[number];
    for (uint32_t i = 0; i < PODS; i++) {
        const struct pod *p = &w->pods[i];
        if (!p->exists || p->terminal)
            continue;
        uint32_t kin = mu_pod_at(w->db, mu_pod_find(w->db, uid_of(w, p)))->kin.v;
        const struct mu_kin_census *k = kin < s->kin_census_count ? s->kin_census[kin] : NULL;
        k = k == NULL ? &none : k;
        bool met = a->term != NULL ? term_matches(w, a->owner, a->term, p)
                                   : a->spread != NULL && !is_empty(&a->spread->pods) &&
                                         spread_matches(a->owner, a->spread, p);
        assert_int_equal(lists(k->match, k->match_count, number),
                         met && c->kind == MU_CENSUS_MATCH);
        assert_int_equal(lists(k->spread, k->spread_count, number),
                         met && c->kind == MU_CENSUS_SPREAD);
        assert_int_equal(lists(k->carry, k->carry_count, number),
                         met && c->kind == MU_CENSUS_CARRY);
    }
}

static void check_one(struct world *w, const struct mu_snapshot *s, struct mu_census_ix number,
                      const struct about *a, enum mu_census_kind kind, bool *seen)
{
    assert_true(number.v < s->census_count);
    assert_int_equal(s->censuses[number.v].kind, kind);
    if (seen[number.v])
        return;
    seen[number.v] = true;
    check_census(w, s, number.v, a);
    check_kins(w, s, number.v, a);
}

static const char *key_text(const struct mu_snapshot *s, struct mu_symbol key)
{
    return mu_symbol_str(mu_model_names(s->model), key).data;
}

/* Whether some node carries a key; all that a class spreads over, as hard as this. */
static bool carried(const struct world *w, const char *key)
{
    bool any = false;
    for (int n = 0; n < NODES; n++)
        any |= w->nodes[n].present && node_label(w, n, key) != NULL;
    return any;
}
static bool all_carried(const struct world *w, const struct rules *r, bool hard)
{
    bool all = true;
    for (int t = 0; t < 2 && r->spreads[t].key != NULL; t++)
        all &= r->spreads[t].hard != hard || carried(w, r->spreads[t].key);
    return all;
}

/* The censuses of one live pod's class. */
static void check_class(struct world *w, const struct mu_snapshot *s, const struct pod *p,
                        bool *seen)
{
    struct mu_pod_view view;
    const struct rules *r = &palette[p->rules];
    assert_true(mu_db_pod_find(w->db, uid_of(w, p), &view));
    const struct mu_class *c = mu_model_get_class(s->model, view.class_ix);
    if (c->term_count + c->spread_count + c->port_count == 0)
        return;
    assert_true(view.class_ix.v < s->class_census_count);
    const struct mu_class_census *block = s->class_census[view.class_ix.v];
    assert_non_null(block);
    uint32_t carry = 0;
    for (uint32_t i = 0; i < c->term_count; i++) {
        struct about a = {.owner = p};
        for (int t = 0; t < 3; t++)
            if (r->terms[t].kind == 1 + (int)c->terms[i].kind &&
                strcmp(r->terms[t].key, key_text(s, c->terms[i].topology_key)) == 0)
                a.term = &r->terms[t];
        assert_non_null(a.term);
        if (!carried(w, a.term->key)) {
            assert_int_equal(block->terms[i].v, MU_CENSUS_VOID);
            w->voids++;
            continue;
        }
        check_one(w, s, block->terms[i], &a, MU_CENSUS_MATCH, seen);
        check_one(w, s, block->carry[carry], &a, MU_CENSUS_CARRY, seen);
        assert_int_equal(s->censuses[block->carry[carry].v].term, c->terms[i].kind);
        assert_int_equal(s->censuses[block->carry[carry].v].weight, c->terms[i].weight);
        carry++;
    }
    assert_int_equal(block->carry_count, carry);
    for (uint32_t i = 0; i < c->spread_count; i++) {
        struct about a = {.owner = p};
        for (int t = 0; t < 2 && r->spreads[t].key != NULL; t++)
            if (strcmp(r->spreads[t].key, key_text(s, c->spreads[i].topology_key)) == 0)
                a.spread = &r->spreads[t];
        assert_non_null(a.spread);
        if (!all_carried(w, r, a.spread->hard)) {
            assert_int_equal(block->spreads[i].v, MU_CENSUS_VOID);
            w->voids++;
            continue;
        }
        check_one(w, s, block->spreads[i], &a, MU_CENSUS_SPREAD, seen);
    }
    for (uint32_t i = 0; i < c->port_count; i++) {
        struct about a = {.owner = p, .port = c->ports[i].port == r->ports[0] ? 1 : 2};
        check_one(w, s, block->ports[i], &a, MU_CENSUS_PORT, seen);
    }
}

static void check(struct world *w, const struct mu_snapshot *s)
{
    bool seen[1024] = {false};
    assert_true(s->census_count <= 1024);
    for (uint32_t i = 0; i < PODS; i++)
        if (w->pods[i].exists && !w->pods[i].terminal)
            check_class(w, s, &w->pods[i], seen);
    /* None is left of rules that have gone, and each in use was reached. */
    for (uint32_t i = 0; i < s->census_count; i++)
        assert_int_equal(s->censuses[i].id != 0, seen[i]);
}

/* --- admission -------------------------------------------------------------------------------- */

/* How many other pods that `about` is about are where `key` has this value, NULL: any value. */
static int32_t naive_near(struct world *w, const struct pod *owner, const struct term *t,
                          const struct spread *s, const char *key, const char *value)
{
    int32_t count = 0;
    for (uint32_t i = 0; i < PODS; i++) {
        const struct pod *p = &w->pods[i];
        int m = p == owner ? -1 : place_of(w, p);
        const char *other = m < 0 || !w->nodes[m].present ? NULL : node_label(w, m, key);
        if (other == NULL)
            continue;
        char own[16]; /* node_label has one buffer */
        (void)snprintf(own, sizeof own, "%s", other);
        if (value != NULL && strcmp(own, value) != 0)
            continue;
        if (t != NULL && t->kind == 1 + MU_TERM_AFFINITY && only_holds(w, p))
            continue;
        count += t != NULL
                     ? term_matches(w, owner, t, p)
                     : !is_empty(&s->pods) && !p->terminating && spread_matches(owner, s, p) &&
                           eligible(w, &palette[owner->rules], s, m);
    }
    return count;
}

static bool naive_terms(struct world *w, const struct pod *owner, int node)
{
    bool met = true, nobody = true, self = true;
    for (int i = 0; i < 3; i++) {
        const struct term *t = &palette[owner->rules].terms[i];
        if (t->kind != 1 + MU_TERM_AFFINITY && t->kind != 1 + MU_TERM_ANTI_AFFINITY)
            continue;
        char value[16] = "";
        const char *label = node_label(w, node, t->key);
        if (label != NULL)
            (void)snprintf(value, sizeof value, "%s", label);
        bool near = label != NULL && naive_near(w, owner, t, NULL, t->key, value) > 0;
        if (t->kind == 1 + MU_TERM_ANTI_AFFINITY) {
            if (near)
                return false;
            continue;
        }
        if (label == NULL)
            return false;
        met &= near;
        nobody &= naive_near(w, owner, t, NULL, t->key, NULL) == 0;
        self &= term_matches(w, owner, t, owner);
    }
    return met || (nobody && self);
}

static bool naive_others(struct world *w, const struct pod *owner, int node)
{
    for (uint32_t i = 0; i < PODS; i++) {
        const struct pod *p = &w->pods[i];
        int m = p == owner ? -1 : place_of(w, p);
        for (int k = 0; m >= 0 && k < 2; k++)
            if (m == node && palette[owner->rules].ports[k] != 0 &&
                palette[owner->rules].ports[k] == palette[p->rules].ports[k])
                return false;
        for (int k = 0; m >= 0 && w->nodes[m].present && k < 3; k++) {
            const struct term *t = &palette[p->rules].terms[k];
            if (t->kind != 1 + MU_TERM_ANTI_AFFINITY || !term_matches(w, p, t, owner) ||
                node_label(w, m, t->key) == NULL)
                continue;
            char value[16];
            (void)snprintf(value, sizeof value, "%s", node_label(w, m, t->key));
            const char *label = node_label(w, node, t->key);
            if (label != NULL && strcmp(label, value) == 0)
                return false;
        }
    }
    return true;
}

static bool naive_spread(struct world *w, const struct pod *owner, int node)
{
    const struct rules *r = &palette[owner->rules];
    for (int i = 0; i < 2; i++) {
        const struct spread *s = &r->spreads[i];
        if (s->key == NULL || !s->hard)
            continue;
        if (node_label(w, node, s->key) == NULL)
            return false;
        int32_t least = INT32_MAX;
        for (int m = 0; m < NODES; m++) {
            char value[16];
            if (!eligible(w, r, s, m))
                continue;
            (void)snprintf(value, sizeof value, "%s", node_label(w, m, s->key));
            int32_t count = naive_near(w, owner, NULL, s, s->key, value);
            least = count < least ? count : least;
        }
        char value[16];
        (void)snprintf(value, sizeof value, "%s", node_label(w, node, s->key));
        int32_t count = naive_near(w, owner, NULL, s, s->key, value);
        bool self = is_empty(&s->pods) || spread_matches(owner, s, owner);
        if (count + self - (least == INT32_MAX ? 0 : least) > 1)
            return false;
    }
    return true;
}

/* Admit one bind, and see that the rules about others have been judged as they should. */
static void admit(struct world *w, struct pod *p, int node, const struct fixture_plan *plan)
{
    struct mu_error why = {0};
    bool allowed = naive_terms(w, p, node) && naive_others(w, p, node) && naive_spread(w, p, node);
    int rc = mu_db_admit(w->db, &plan->gang, &why);
    assert_true(rc == 0 || rc == MU_ECONFLICT);
    bool by_node = strstr(why.text, "taint") != NULL || strstr(why.text, "selector") != NULL ||
                   strstr(why.text, "unschedulable") != NULL || strstr(why.text, "room") != NULL;
    if (rc != 0 && by_node)
        return;
    assert_int_equal(rc == 0, allowed);
    w->admitted += rc == 0;
    w->refused += rc != 0;
}

#endif
