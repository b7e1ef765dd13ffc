#ifndef MU_TESTS_CENSUS_WORLD_H
#define MU_TESTS_CENSUS_WORLD_H
/*
 * The censuses' naive twin: nodes, pods and namespaces in plain arrays, a palette of rules as
 * texts, every census of a snapshot counted anew from them, and random changes, sent to the DB and
 * made here alike. For one test file.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db_priv.h"

enum { NODES = 9, PODS = 32, SPACES = 3, RULES = 13 };

/* --- rules, as texts -------------------------------------------------------------------------- */

struct want {
    const char *key;
    enum mu_op op;
    const char *values[2]; /* NULL: fewer */
};
struct chosen {
    bool nothing;
    struct want wants[2]; /* key NULL: fewer */
};
enum spaces { OWN, TWO, RED, ALL }; /* n0 and n1; those of team red; every one */
struct term {
    int kind; /* enum mu_term_kind + 1; 0: no term */
    int32_t weight;
    const char *key;
    struct chosen pods;
    enum spaces spaces;
};
struct spread {
    const char *key; /* NULL: none */
    bool hard, honor_affinity, honor_taints;
    struct chosen pods;
};
struct rules {
    struct term terms[3];
    struct spread spreads[2];
    uint16_t ports[2];
    bool tolerates;
    const char *zone; /* node selector */
};
#define HOST "kubernetes.io/hostname"
#define APP_A                                                                                      \
    {                                                                                              \
        .wants = { {"app", MU_OP_IN, {"a"}} }                                                      \
    }
static const struct rules palette[RULES] = {
    {.zone = NULL},
    {.terms = {{1 + MU_TERM_ANTI_AFFINITY, 0, HOST, APP_A, OWN}}},
    {.terms = {{1 + MU_TERM_ANTI_AFFINITY,
                0,
                "zone",
                {.wants = {{"tier", MU_OP_IN, {"x", "y"}}}},
                TWO}}},
    {.terms = {{1 + MU_TERM_AFFINITY, 0, "zone", APP_A, OWN},
               {1 + MU_TERM_AFFINITY, 0, HOST, {.wants = {{"tier", MU_OP_IN, {"x"}}}}, OWN}}},
    {.terms =
         {{1 + MU_TERM_PREFERRED, 10, "zone", {.wants = {{"app", MU_OP_NOT_IN, {"b"}}}}, RED}}},
    {.terms = {{1 + MU_TERM_PREFERRED_ANTI, 5, HOST, {.wants = {{"tier", MU_OP_EXISTS}}}, ALL}}},
    {.spreads = {{"zone", true, true, false, APP_A}}},
    {.spreads = {{"zone", true, true, true, APP_A}, {HOST, true, false, true, APP_A}},
     .zone = "z1"},
    {.spreads = {{"zone", false, true, false, {.nothing = false}}}},
    {.ports = {8080, 53}, .tolerates = true},
    {.terms = {{1 + MU_TERM_ANTI_AFFINITY, 0, "zone", {.nothing = true}, OWN},
               {1 + MU_TERM_PREFERRED, 1, "rack", APP_A, OWN},
               {1 + MU_TERM_PREFERRED_ANTI, 1, "rack", {.wants = {{"app", MU_OP_EXISTS}}}, OWN}}},
    {.terms = {{1 + MU_TERM_AFFINITY, 0, "zone", APP_A, RED}},
     .spreads = {{HOST, false, true, true, {.wants = {{"tier", MU_OP_EXISTS}}}}},
     .tolerates = true},
    {.terms = {{1 + MU_TERM_ANTI_AFFINITY,
                0,
                HOST,
                {.wants = {{"app", MU_OP_IN, {"b"}}, {"tier", MU_OP_DOES_NOT_EXIST}}},
                ALL}},
     .ports = {8080}},
};

/* --- the twin --------------------------------------------------------------------------------- */

struct node {
    bool present, tainted;
    int zone, rack, host; /* 0: no label; host 2: one that is shared */
    int64_t cpus;
    uint64_t version;
};
struct pod {
    bool exists, terminating, terminal, ours;
    uint32_t uid, space, rules;
    int app, tier, node; /* app, tier 0: no label; node -1: unbound */
    uint64_t version;
};
struct world {
    struct mu_db *db;
    struct mu_random random;
    struct node nodes[NODES];
    struct pod pods[PODS];
    int team[SPACES]; /* 0: no label; 1: red; 2: blue */
    struct mu_snapshot *replicas[2];
    uint64_t version;
    uint32_t uid;
    uint32_t admitted, refused;
    uint64_t checked[4]; /* censuses that were not all 0, by kind */
};
static const char *const apps[] = {NULL, "a", "b", "c"};
static const char *const tiers[] = {NULL, "x", "y"};
static const char *const zones[] = {NULL, "z1", "z2"};
static const char *const racks[] = {NULL, "r1", "r2", ""};
static const char *const spaces[] = {"n0", "n1", "n2"};
static const char *const teams[] = {NULL, "red", "blue"};

static uint32_t below(struct world *w, uint32_t bound)
{
    return (uint32_t)mu_random_below(&w->random, bound);
}
static bool chance(struct world *w, uint32_t permille)
{
    return mu_random_chance(&w->random, permille);
}

static const char *node_name(int node)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "node-%d", node);
    return name;
}
static const char *node_label(const struct world *w, int node, const char *key)
{
    const struct node *n = &w->nodes[node];
    if (strcmp(key, "zone") == 0)
        return zones[n->zone];
    if (strcmp(key, "rack") == 0)
        return racks[n->rack];
    return n->host == 0 ? NULL : n->host == 2 ? "shared" : node_name(node);
}
static const char *pod_label(const struct pod *p, const char *key)
{
    return strcmp(key, "app") == 0 ? apps[p->app] : tiers[p->tier];
}

static bool chooses(const struct chosen *c, const struct pod *p)
{
    if (c->nothing)
        return false;
    for (int i = 0; i < 2 && c->wants[i].key != NULL; i++) {
        const struct want *want = &c->wants[i];
        const char *value = pod_label(p, want->key);
        bool in = false;
        for (int v = 0; v < 2 && want->values[v] != NULL; v++)
            in |= value != NULL && strcmp(value, want->values[v]) == 0;
        bool holds = want->op == MU_OP_IN       ? in
                     : want->op == MU_OP_NOT_IN ? !in
                     : want->op == MU_OP_EXISTS ? value != NULL
                                                : value == NULL;
        if (!holds)
            return false;
    }
    return true;
}
static bool in_spaces(const struct world *w, enum spaces s, const struct pod *owner,
                      const struct pod *p)
{
    switch (s) {
    case OWN:
        return p->space == owner->space;
    case TWO:
        return p->space < 2;
    case RED:
        return w->team[p->space] == 1;
    case ALL:
        return true;
    }
    return false;
}
/* Whether a pod is one that a term of `owner` is about. */
static bool term_matches(const struct world *w, const struct pod *owner, const struct term *t,
                         const struct pod *p)
{
    if (t->kind != 1 + MU_TERM_AFFINITY)
        return in_spaces(w, t->spaces, owner, p) && chooses(&t->pods, p);
    bool all = true;
    const struct rules *r = &palette[owner->rules];
    for (int i = 0; i < 3; i++)
        if (r->terms[i].kind == t->kind)
            all &= in_spaces(w, r->terms[i].spaces, owner, p) && chooses(&r->terms[i].pods, p);
    return all;
}
static bool spread_matches(const struct pod *owner, const struct spread *s, const struct pod *p)
{
    return p->space == owner->space && chooses(&s->pods, p);
}
static bool is_empty(const struct chosen *c)
{
    return !c->nothing && c->wants[0].key == NULL;
}
static bool eligible(const struct world *w, const struct rules *r, const struct spread *s, int node)
{
    if (node < 0 || !w->nodes[node].present)
        return false;
    for (int i = 0; i < 2 && r->spreads[i].key != NULL; i++)
        if (r->spreads[i].hard == s->hard && node_label(w, node, r->spreads[i].key) == NULL)
            return false;
    if (s->honor_affinity && r->zone != NULL) {
        const char *zone = node_label(w, node, "zone");
        if (zone == NULL || strcmp(zone, r->zone) != 0)
            return false;
    }
    return !(s->honor_taints && w->nodes[node].tainted && !r->tolerates);
}

/* --- objects ---------------------------------------------------------------------------------- */

static void send_node(struct world *w, int node)
{
    const struct node *n = &w->nodes[node];
    struct fixture_node f;
    struct mu_label labels[3];
    struct mu_taint taint = {MU_STR("dedicated"), MU_STR("x"), MU_EFFECT_NO_SCHEDULE};
    static const char *const keys[] = {"zone", "rack", HOST};
    uint32_t count = 0;
    char name[16];
    (void)snprintf(name, sizeof name, "%s", node_name(node));
    fixture_node(&f, name, n->version, n->cpus, 0);
    for (int k = 0; k < 3; k++)
        if (node_label(w, node, keys[k]) != NULL)
            labels[count++] =
                (struct mu_label){mu_str_of(keys[k]), mu_str_of(node_label(w, node, keys[k]))};
    f.object.labels = labels;
    f.object.label_count = count;
    f.object.taints = &taint;
    f.object.taint_count = n->tainted;
    assert_int_equal(mu_db_node_upsert(w->db, &f.object, 0, NULL), 0);
}

/* Room for the arrays of one pod object. */
struct pod_arrays {
    struct mu_requirement requirements[8];
    struct mu_str values[16];
    struct mu_str names[8];
    struct mu_selector selectors[4];
    struct mu_pod_term terms[3];
    struct mu_spread spreads[2];
    struct mu_host_port ports[2];
    struct mu_label labels[2];
    uint32_t requirement_count, value_count, name_count, selector_count;
};

static struct mu_selector make_selector(struct pod_arrays *a, const struct chosen *c)
{
    struct mu_selector s = {.nothing = c->nothing,
                            .requirements = &a->requirements[a->requirement_count]};
    for (int i = 0; i < 2 && c->wants[i].key != NULL; i++) {
        struct mu_requirement *r = &a->requirements[a->requirement_count++];
        *r = (struct mu_requirement){.key = mu_str_of(c->wants[i].key),
                                     .op = c->wants[i].op,
                                     .values = &a->values[a->value_count]};
        for (int v = 0; v < 2 && c->wants[i].values[v] != NULL; v++)
            a->values[a->value_count + r->value_count++] = mu_str_of(c->wants[i].values[v]);
        a->value_count += r->value_count;
        s.requirement_count++;
    }
    return s;
}

static void make_term(struct pod_arrays *a, const struct pod *p, const struct term *t,
                      struct mu_pod_term *out)
{
    static const struct mu_str red = {"red", 3};
    *out = (struct mu_pod_term){.kind = (enum mu_term_kind)(t->kind - 1),
                                .weight = t->weight,
                                .topology_key = mu_str_of(t->key),
                                .selector = make_selector(a, &t->pods),
                                .namespaces = &a->names[a->name_count]};
    if (t->spaces == OWN) {
        a->names[a->name_count++] = mu_str_of(spaces[p->space]);
        out->namespace_count = 1;
    } else if (t->spaces == TWO) {
        a->names[a->name_count++] = mu_str_of(spaces[1]);
        a->names[a->name_count++] = mu_str_of(spaces[0]);
        out->namespace_count = 2;
    } else {
        struct mu_selector *s = &a->selectors[a->selector_count++];
        *s = (struct mu_selector){.nothing = false};
        if (t->spaces == RED) {
            struct mu_requirement *r = &a->requirements[a->requirement_count++];
            *r = (struct mu_requirement){
                .key = MU_STR("team"), .op = MU_OP_IN, .values = &red, .value_count = 1};
            *s = (struct mu_selector){.requirements = r, .requirement_count = 1};
        }
        out->namespace_selector = s;
    }
}

static void make_rules(struct pod_arrays *a, const struct pod *p, struct mu_pod_object *out)
{
    const struct rules *r = &palette[p->rules];
    out->terms = a->terms;
    out->spreads = a->spreads;
    out->ports = a->ports;
    for (int i = 0; i < 3; i++)
        if (r->terms[i].kind != 0)
            make_term(a, p, &r->terms[i], &a->terms[out->term_count++]);
    for (int i = 0; i < 2; i++) {
        const struct spread *s = &r->spreads[i];
        if (s->key == NULL)
            continue;
        a->spreads[out->spread_count++] = (struct mu_spread){.topology_key = mu_str_of(s->key),
                                                             .selector = make_selector(a, &s->pods),
                                                             .max_skew = 1,
                                                             .min_domains = 1,
                                                             .hard = s->hard,
                                                             .honor_affinity = s->honor_affinity,
                                                             .honor_taints = s->honor_taints};
    }
    for (int i = 0; i < 2; i++)
        if (r->ports[i] != 0)
            a->ports[out->port_count++] =
                (struct mu_host_port){i == 0 ? MU_STR("0.0.0.0") : MU_STR("10.0.0.1"),
                                      i == 0 ? MU_PROTOCOL_TCP : MU_PROTOCOL_UDP, r->ports[i]};
}

static int try_pod(struct world *w, uint32_t pod)
{
    const struct pod *p = &w->pods[pod];
    struct pod_arrays a = {.requirement_count = 0};
    struct fixture_pod f;
    struct mu_toleration toleration = {MU_STR("dedicated"), MU_STR(""), MU_TOLERATE_EXISTS,
                                       MU_EFFECT_ANY};
    struct mu_label zone = {MU_STR("zone"), MU_STR("z1")};
    fixture_pod(&f, p->uid, p->version);
    (void)snprintf(f.name, sizeof f.name, "pod-%u", pod);
    struct mu_pod_object *o = &f.object;
    o->name = mu_str_of(f.name);
    o->ns = mu_str_of(spaces[p->space]);
    o->scheduler_name = p->ours ? fixture_scheduler : MU_STR("other");
    o->node_name = p->node < 0 ? MU_STR("") : mu_str_of(node_name(p->node));
    o->phase = p->terminal ? MU_POD_FAILED : MU_POD_PENDING;
    o->terminating = p->terminating;
    o->labels = a.labels;
    if (p->app != 0)
        a.labels[o->label_count++] = (struct mu_label){MU_STR("app"), mu_str_of(apps[p->app])};
    if (p->tier != 0)
        a.labels[o->label_count++] = (struct mu_label){MU_STR("tier"), mu_str_of(tiers[p->tier])};
    o->tolerations = &toleration;
    o->toleration_count = palette[p->rules].tolerates;
    o->selector = &zone;
    o->selector_count = palette[p->rules].zone != NULL;
    make_rules(&a, p, o);
    return mu_db_pod_upsert(w->db, o, 0, NULL);
}
static void send_pod(struct world *w, uint32_t pod)
{
    assert_int_equal(try_pod(w, pod), 0);
}
static struct mu_uid uid_of(struct world *w, const struct pod *p)
{
    char text[40];
    (void)snprintf(text, sizeof text, "00000000-0000-4000-8000-%012x", p->uid);
    return fixture_uid(w->db, text);
}

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
        return term_matches(w, a->owner, a->term, p);
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
    assert_int_equal(block->carry_count, c->term_count);
    for (uint32_t i = 0; i < c->term_count; i++) {
        struct about a = {.owner = p};
        for (int t = 0; t < 3; t++)
            if (r->terms[t].kind == 1 + (int)c->terms[i].kind &&
                strcmp(r->terms[t].key, key_text(s, c->terms[i].topology_key)) == 0)
                a.term = &r->terms[t];
        assert_non_null(a.term);
        check_one(w, s, block->terms[i], &a, MU_CENSUS_MATCH, seen);
        check_one(w, s, block->carry[i], &a, MU_CENSUS_CARRY, seen);
        assert_int_equal(s->censuses[block->carry[i].v].term, c->terms[i].kind);
        assert_int_equal(s->censuses[block->carry[i].v].weight, c->terms[i].weight);
    }
    for (uint32_t i = 0; i < c->spread_count; i++) {
        struct about a = {.owner = p};
        for (int t = 0; t < 2 && r->spreads[t].key != NULL; t++)
            if (strcmp(r->spreads[t].key, key_text(s, c->spreads[i].topology_key)) == 0)
                a.spread = &r->spreads[t];
        assert_non_null(a.spread);
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

/* --- random changes --------------------------------------------------------------------------- */

static void change_node(struct world *w)
{
    int i = (int)below(w, NODES);
    struct node *n = &w->nodes[i];
    if (n->present && chance(w, 150)) {
        n->present = false;
        assert_int_equal(mu_db_node_remove(w->db, mu_str_of(node_name(i)), MU_STR("")), 0);
        return;
    }
    if (!n->present || chance(w, 200))
        n->cpus = 4 + below(w, 3);
    if (!n->present || chance(w, 500))
        n->zone = (int)below(w, 3);
    if (!n->present || chance(w, 300)) {
        n->rack = (int)below(w, 4);
        n->host = (int)below(w, 3);
    }
    n->tainted = chance(w, 300);
    n->present = true;
    n->version = ++w->version;
    send_node(w, i);
}

static void change_pod(struct world *w, uint32_t rules_bound)
{
    uint32_t i = below(w, PODS);
    struct pod *p = &w->pods[i];
    if (p->exists && chance(w, 120)) {
        p->exists = false;
        char name[16];
        (void)snprintf(name, sizeof name, "pod-%u", i);
        assert_int_equal(
            mu_db_pod_remove(w->db, mu_str_of(spaces[p->space]), mu_str_of(name), MU_STR(""), 0),
            0);
        return;
    }
    bool fresh = !p->exists;
    if (fresh)
        *p = (struct pod){.exists = true,
                          .uid = ++w->uid,
                          .node = -1,
                          .space = below(w, SPACES),
                          .rules = below(w, rules_bound),
                          .ours = chance(w, 700)};
    if (fresh || chance(w, 150)) {
        p->app = (int)below(w, 4);
        p->tier = (int)below(w, 3);
    }
    if (chance(w, 60))
        p->rules = below(w, rules_bound);
    if (p->node < 0 && chance(w, p->ours ? 300 : 600))
        p->node = (int)below(w, NODES);
    p->terminating = chance(w, p->terminating ? 800 : 80);
    p->terminal = chance(w, p->terminal ? 800 : 40);
    p->version = ++w->version;
    send_pod(w, i);
}

static void change_ledger(struct world *w)
{
    struct mu_snapshot *s = w->replicas[0];
    struct pod *p = &w->pods[below(w, PODS)];
    if (!p->exists)
        return;
    switch (below(w, 4)) {
    case 0:
        mu_db_bind_refused(w->db, uid_of(w, p), true);
        return;
    case 1:
        mu_db_bind_refused(w->db, uid_of(w, p), false);
        return;
    case 2:
        mu_db_bind_confirmed(w->db, uid_of(w, p));
        return;
    default:
        break;
    }
    fixture_sync(w->db, s);
    uint32_t tries = 0; /* the later ones see what the earlier ones have placed */
    for (uint32_t g = 0; g < s->gang_rows && tries < 4; g++) {
        struct fixture_plan plan;
        struct mu_pod_view view;
        int node = (int)below(w, NODES);
        uint32_t row = fixture_row(w->db, s, node_name(node));
        if ((s->gangs[g].flags & MU_GANG_PENDING) == 0 || row == MU_NONE || chance(w, 500))
            continue;
        fixture_plan(&plan, s, g, row);
        assert_int_equal(plan.gang.bind_count, 1);
        assert_true(mu_db_pod_get(w->db, plan.binds[0].pod, &view));
        admit(w,
              &w->pods[view.name.data[view.name.len - 1] - '0' +
                       (view.name.len > 5 ? 10 * (view.name.data[4] - '0') : 0)],
              node, &plan);
        tries++;
    }
}

static void change_space(struct world *w)
{
    uint32_t i = below(w, SPACES);
    w->team[i] = (int)below(w, 3);
    struct mu_label team = {MU_STR("team"), MU_STR("")};
    if (w->team[i] != 0)
        team.value = mu_str_of(teams[w->team[i]]);
    if (w->team[i] == 0 && chance(w, 500))
        assert_int_equal(mu_db_namespace_remove(w->db, mu_str_of(spaces[i])), 0);
    else
        assert_int_equal(
            mu_db_namespace_upsert(w->db, mu_str_of(spaces[i]), &team, w->team[i] != 0, NULL), 0);
}

static void change(struct world *w, uint32_t rules_bound)
{
    uint32_t what = below(w, 100);
    if (what < 20)
        change_node(w);
    else if (what < 80)
        change_pod(w, rules_bound);
    else if (what < 95)
        change_ledger(w);
    else
        change_space(w);
}

/* A world of so many random changes, with one replica that knows nothing yet and one that is up to
 * date with the first half. */
static void make_world(struct world *w, uint64_t seed, uint32_t steps)
{
    *w = (struct world){.db = fixture_create(0)};
    mu_random_init_seed(&w->random, seed);
    w->replicas[0] = mu_db_replica_create(w->db);
    w->replicas[1] = mu_db_replica_create(w->db);
    assert_true(w->replicas[0] != NULL && w->replicas[1] != NULL);
    for (uint32_t i = 0; i < steps; i++)
        change(w, RULES);
    fixture_sync(w->db, w->replicas[1]);
    for (uint32_t i = 0; i < steps; i++)
        change(w, RULES);
}

#endif
