#ifndef MU_TESTS_CENSUS_WORLD_H
#define MU_TESTS_CENSUS_WORLD_H
/*
 * The world of the censuses' naive twin: nodes, pods and namespaces in plain arrays, a palette of
 * rules as texts, and how they are sent to the DB. What is counted anew from them is in
 * census_check.h, random changes in census_change.h, which a test includes.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"

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
    uint64_t voids;      /* rules over keys that no node carries */
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

#endif
