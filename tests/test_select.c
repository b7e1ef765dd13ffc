/*
 * Selectors: what node selection, pod terms and their parts match, case by case as Kubernetes has
 * it; what makes two specs one entry; and entries that come, fail and go.
 */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/limits.h"
#include "engine/model/model.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static struct mu_model *model_new(void)
{
    struct mu_model *m = mu_model_create();
    assert_non_null(m);
    return m;
}

static const struct mu_class *class_new(struct mu_model *m, const struct mu_pod_object *pod)
{
    struct mu_class_ix ix;
    assert_int_equal(mu_model_class(m, pod, &ix), 0);
    return mu_model_get_class(m, ix);
}

static struct mu_symbol symbol_new(struct mu_model *m, const char *text)
{
    struct mu_symbol symbol;
    assert_int_equal(mu_symbol_intern(mu_model_symbols(m), mu_str_of(text), &symbol), 0);
    return symbol;
}

/* ---- the shorthand of the tables ---- */

enum { VALUES = 3, REQUIREMENTS = 3, LABELS = 4 };

struct need {
    const char *key; /* NULL: no requirement here */
    enum mu_op op;
    const char *values[VALUES];
};

/* A selector of the table's requirements; storage is the caller's. */
struct kit {
    struct mu_requirement requirements[REQUIREMENTS];
    struct mu_str values[REQUIREMENTS][VALUES];
};

static struct mu_selector selector_of(struct kit *kit, const struct need *needs)
{
    uint32_t count = 0;
    for (; count < REQUIREMENTS && needs[count].key != NULL; count++) {
        uint32_t values = 0;
        for (; values < VALUES && needs[count].values[values] != NULL; values++)
            kit->values[count][values] = mu_str_of(needs[count].values[values]);
        kit->requirements[count] = (struct mu_requirement){
            mu_str_of(needs[count].key), needs[count].op, kit->values[count], values};
    }
    return (struct mu_selector){.requirements = kit->requirements, .requirement_count = count};
}

/* Does a node take a pod? labels: key, value, key, value, NULL. */
static bool node_takes(struct mu_model *m, const struct mu_pod_object *pod,
                       const char *const *labels, const char *name)
{
    struct mu_label list[LABELS];
    uint32_t count = 0;
    for (; labels[2 * count] != NULL; count++)
        list[count] =
            (struct mu_label){mu_str_of(labels[2 * count]), mu_str_of(labels[2 * count + 1])};
    struct mu_label_set_ix set;
    struct mu_symbol hostname;
    assert_int_equal(mu_model_label_set(m, list, count, &set, &hostname), 0);
    const struct mu_labels_view view = mu_model_labels(m, set, hostname);
    return mu_class_selects(m, class_new(m, pod), &view, symbol_new(m, name));
}

/* ---- operators ---- */

static void test_node_term__every_operator__as_kubernetes(void **state)
{
    (void)state;
    static const struct {
        struct need need;
        const char *labels[5];
        bool taken;
    } rows[] = {
        {{"k", MU_OP_IN, {"a", "b"}}, {"k", "b"}, true},
        {{"k", MU_OP_IN, {"a", "b"}}, {"k", "c"}, false},
        {{"k", MU_OP_IN, {"a"}}, {"other", "a"}, false},
        {{"k", MU_OP_IN, {""}}, {"k", ""}, true},
        {{"k", MU_OP_IN, {""}}, {"other", ""}, false}, /* absent is not empty */
        {{"k", MU_OP_IN, {0}}, {"k", "a"}, false},     /* wrong arity: never */
        {{"k", MU_OP_NOT_IN, {"a"}}, {"k", "b"}, true},
        {{"k", MU_OP_NOT_IN, {"a"}}, {"k", "a"}, false},
        {{"k", MU_OP_NOT_IN, {"a"}}, {"other", "a"}, true}, /* an absent key matches */
        {{"k", MU_OP_NOT_IN, {0}}, {"k", "a"}, false},
        {{"k", MU_OP_EXISTS, {0}}, {"k", ""}, true},
        {{"k", MU_OP_EXISTS, {0}}, {"other", "a"}, false},
        {{"k", MU_OP_EXISTS, {"a"}}, {"k", "a"}, false},
        {{"k", MU_OP_DOES_NOT_EXIST, {0}}, {"other", "a"}, true},
        {{"k", MU_OP_DOES_NOT_EXIST, {0}}, {"k", ""}, false},
        {{"k", MU_OP_GT, {"5"}}, {"k", "6"}, true},
        {{"k", MU_OP_GT, {"5"}}, {"k", "5"}, false},
        {{"k", MU_OP_GT, {"5"}}, {"k", "x"}, false},
        {{"k", MU_OP_GT, {"5"}}, {"k", ""}, false},
        {{"k", MU_OP_GT, {"5"}}, {"other", "6"}, false},
        {{"k", MU_OP_GT, {"-9223372036854775808"}}, {"k", "-9223372036854775807"}, true},
        {{"k", MU_OP_GT, {"5"}}, {"k", "9223372036854775807"}, true},
        {{"k", MU_OP_GT, {"5"}}, {"k", "9223372036854775808"}, false}, /* no int64 */
        {{"k", MU_OP_GT, {"5"}}, {"k", "0x10"}, false},                /* base 10 */
        {{"k", MU_OP_GT, {"5"}}, {"k", "+06"}, true},                  /* as Go reads it */
        {{"k", MU_OP_GT, {"5"}}, {"k", " 6"}, false},
        {{"k", MU_OP_GT, {"5"}}, {"k", "-"}, false},
        {{"k", MU_OP_GT, {"five"}}, {"k", "6"}, false},
        {{"k", MU_OP_GT, {"1", "2"}}, {"k", "6"}, false},
        {{"k", MU_OP_LT, {"5"}}, {"k", "-6"}, true},
        {{"k", MU_OP_LT, {"5"}}, {"k", "5"}, false},
        {{"k", MU_OP_LT, {"5"}}, {"other", "1"}, false},
        {{"k", MU_OP_LT, {"5"}}, {"k", "-9223372036854775809"}, false},
        {{"k", MU_OP_NEVER, {0}}, {"k", "a"}, false},
        {{MU_HOSTNAME_KEY, MU_OP_IN, {"h"}}, {MU_HOSTNAME_KEY, "h"}, true},
        {{MU_HOSTNAME_KEY, MU_OP_NOT_IN, {"h"}}, {MU_HOSTNAME_KEY, "h"}, false},
        {{MU_HOSTNAME_KEY, MU_OP_EXISTS, {0}}, {"k", "v"}, false},
    };
    struct mu_model *m = model_new();
    for (uint32_t i = 0; i < COUNT(rows); i++) {
        struct kit kit;
        const struct need needs[REQUIREMENTS] = {rows[i].need};
        const struct mu_node_term term = {.labels = selector_of(&kit, needs)};
        const struct mu_pod_object pod = {
            .has_node_terms = true, .node_terms = &term, .node_term_count = 1};
        if (node_takes(m, &pod, rows[i].labels, "n") != rows[i].taken)
            fail_msg("row %u", i);
    }
    mu_model_destroy(m);
}

static void test_node_term__fields__only_the_name(void **state)
{
    (void)state;
    static const struct {
        struct need field;
        bool taken; /* node n1 */
    } rows[] = {
        {{"metadata.name", MU_OP_IN, {"n1"}}, true},
        {{"metadata.name", MU_OP_IN, {"n2"}}, false},
        {{"metadata.name", MU_OP_NOT_IN, {"n2"}}, true},
        {{"metadata.name", MU_OP_NOT_IN, {"n1"}}, false},
        {{"metadata.name", MU_OP_IN, {"n1", "n2"}}, false}, /* exactly one value */
        {{"metadata.name", MU_OP_EXISTS, {0}}, false},
        {{"metadata.namespace", MU_OP_IN, {"n1"}}, false},
    };
    struct mu_model *m = model_new();
    static const char *const labels[] = {"metadata.name", "n2", "k", "v", NULL};
    for (uint32_t i = 0; i < COUNT(rows); i++) {
        struct kit fields, kit;
        const struct need needs[REQUIREMENTS] = {rows[i].field};
        const struct need on_labels[2][REQUIREMENTS] = {{{"k", MU_OP_IN, {"v"}}},
                                                        {{"k", MU_OP_IN, {"w"}}}};
        struct mu_node_term term = {.fields = selector_of(&fields, needs)};
        const struct mu_pod_object pod = {
            .has_node_terms = true, .node_terms = &term, .node_term_count = 1};
        assert_int_equal(node_takes(m, &pod, labels, "n1"), rows[i].taken);
        /* Together with labels: both must match. */
        term.labels = selector_of(&kit, on_labels[0]);
        assert_int_equal(node_takes(m, &pod, labels, "n1"), rows[i].taken);
        term.labels = selector_of(&kit, on_labels[1]);
        assert_false(node_takes(m, &pod, labels, "n1"));
    }
    mu_model_destroy(m);
}

/* ---- terms and selector together ---- */

static void test_affinity__terms_and_selector__or_and_and(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    static const char *const labels[] = {"zone", "a", "disk", "ssd", NULL};
    const struct need in_a[REQUIREMENTS] = {{"zone", MU_OP_IN, {"a"}}};
    const struct need in_b[REQUIREMENTS] = {{"zone", MU_OP_IN, {"b"}}};
    const struct need both[REQUIREMENTS] = {{"zone", MU_OP_IN, {"a"}}, {"disk", MU_OP_IN, {"hdd"}}};
    struct kit kits[3];
    const struct mu_node_term a = {.labels = selector_of(&kits[0], in_a)};
    const struct mu_node_term b = {.labels = selector_of(&kits[1], in_b)};
    const struct mu_node_term ab = {.labels = selector_of(&kits[2], both)};
    const struct mu_node_term empty = {.labels = {.nothing = false}};
    const struct mu_label ssd = {MU_STR("disk"), MU_STR("ssd")};
    const struct mu_label hdd = {MU_STR("disk"), MU_STR("hdd")};
    struct mu_node_term list[2];
    struct mu_pod_object pod = {.has_node_terms = true, .node_terms = list};

    assert_false(node_takes(m, &pod, labels, "n")); /* present and empty: no node */
    pod.node_term_count = 2;
    list[0] = b, list[1] = a; /* one of them is enough */
    assert_true(node_takes(m, &pod, labels, "n"));
    list[1] = ab; /* all requirements of a term */
    assert_false(node_takes(m, &pod, labels, "n"));
    list[1] = empty; /* a term without a requirement matches nothing */
    assert_false(node_takes(m, &pod, labels, "n"));
    list[0] = a; /* and does not hurt another */
    assert_true(node_takes(m, &pod, labels, "n"));
    pod.selector = &ssd, pod.selector_count = 1; /* the selector must match too */
    assert_true(node_takes(m, &pod, labels, "n"));
    pod.selector = &hdd;
    assert_false(node_takes(m, &pod, labels, "n"));
    pod.has_node_terms = false; /* terms that are not stated do not count */
    pod.selector = &ssd;
    list[0] = b;
    assert_true(node_takes(m, &pod, labels, "n"));
    mu_model_destroy(m);
}

static void test_affinity__written_otherwise__one_number(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    const struct need left[REQUIREMENTS] = {
        {"b", MU_OP_IN, {"y", "x", "y"}}, {"a", MU_OP_GT, {"007"}}, {"b", MU_OP_IN, {"x", "y"}}};
    const struct need right[REQUIREMENTS] = {{"a", MU_OP_GT, {"7"}}, {"b", MU_OP_IN, {"x", "y"}}};
    const struct need never[REQUIREMENTS] = {{"c", MU_OP_GT, {"x"}}};
    struct kit kits[3];
    struct mu_node_term terms[] = {{.labels = selector_of(&kits[0], left)},
                                   {.labels = selector_of(&kits[1], right)},
                                   {.labels = selector_of(&kits[2], never)}};
    struct mu_pod_object pod = {.has_node_terms = true, .node_terms = terms, .node_term_count = 3};
    const struct mu_class *all = class_new(m, &pod);
    pod.node_term_count = 1;
    assert_ptr_equal(class_new(m, &pod), all);
    pod.node_terms = &terms[1];
    assert_ptr_equal(class_new(m, &pod), all);
    const struct mu_affinity *affinity = mu_model_get_affinity(m, all->affinity);
    assert_int_equal(affinity->term_count, 1);
    assert_int_equal(affinity->terms[0].labels.count, 2);
    pod.node_terms = &terms[2];
    assert_true(class_new(m, &pod)->impossible); /* nothing is left that could match */
    const struct mu_pod_object plain = {.request_count = 0};
    assert_int_equal(class_new(m, &plain)->affinity.v, 0);
    assert_int_equal(class_new(m, &plain)->tolerance.v, 0);
    mu_model_destroy(m);
}

/* Pods pinned to different nodes share a bare affinity; what else they ask stays in it. */
static void test_affinity__pinned__bare_form_shared(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    uint32_t bare[2], labelled[2];
    for (int i = 0; i < 2; i++) {
        const struct need on_name[REQUIREMENTS] = {
            {"metadata.name", MU_OP_IN, {i == 0 ? "n1" : "n2"}}};
        const struct need on_label[REQUIREMENTS] = {{"disk", MU_OP_IN, {"ssd"}}};
        struct kit kits[2];
        struct mu_node_term term = {.fields = selector_of(&kits[0], on_name)};
        struct mu_pod_object pod = {
            .has_node_terms = true, .node_terms = &term, .node_term_count = 1};
        const struct mu_affinity *a = mu_model_get_affinity(m, class_new(m, &pod)->affinity);
        assert_true(mu_str_equal(mu_symbol_str(mu_model_names(m), a->only_name),
                                 mu_str_of(i == 0 ? "n1" : "n2")));
        bare[i] = a->bare.v;
        term.labels = selector_of(&kits[1], on_label);
        a = mu_model_get_affinity(m, class_new(m, &pod)->affinity);
        labelled[i] = a->bare.v;
    }
    assert_true(bare[0] == 0 && bare[1] == 0);
    assert_true(labelled[0] == labelled[1] && labelled[0] != 0);
    const struct mu_affinity *shared =
        mu_model_get_affinity(m, (struct mu_affinity_ix){labelled[0]});
    assert_true(shared->bare.v == labelled[0] && shared->only_name.v == 0);
    assert_true(shared->terms[0].names.count == 0 && shared->terms[0].labels.count == 1);
    mu_model_destroy(m);
}

/* ---- pods ---- */

struct who {
    const char *ns;
    const char *labels[5];
};

static const struct mu_kin *kin_new(struct mu_model *m, const struct who *who)
{
    struct mu_label list[LABELS];
    uint32_t count = 0;
    for (; who->labels[2 * count] != NULL; count++)
        list[count] = (struct mu_label){mu_str_of(who->labels[2 * count]),
                                        mu_str_of(who->labels[2 * count + 1])};
    const struct mu_pod_object pod = {
        .ns = mu_str_of(who->ns), .labels = list, .label_count = count};
    struct mu_kin_ix ix;
    assert_int_equal(mu_model_kin(m, &pod, &ix), 0);
    return mu_model_get_kin(m, ix);
}

static const struct mu_matcher *matcher_of(struct mu_model *m, const struct mu_pod_term *terms,
                                           uint32_t count)
{
    const struct mu_pod_object pod = {.terms = terms, .term_count = count};
    const struct mu_class *c = class_new(m, &pod);
    assert_int_equal(c->term_count, count);
    return mu_model_get_matcher(m, c->terms[0].matcher);
}

static void namespace_set(struct mu_model *m, const char *name, const char *key, const char *value,
                          bool want_changed)
{
    const struct mu_label label = {mu_str_of(key), mu_str_of(value)};
    bool changed;
    assert_int_equal(mu_model_namespace(m, mu_str_of(name), true, &label, 1, 1, &changed), 0);
    assert_int_equal(changed, want_changed);
}

static void test_matcher__namespaces__listed_or_selected(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    namespace_set(m, "red", "team", "a", true);
    namespace_set(m, "red", "team", "a", false);
    namespace_set(m, "blue", "team", "b", true);
    const struct need team_a[REQUIREMENTS] = {{"team", MU_OP_IN, {"a"}}};
    const struct need not_a[REQUIREMENTS] = {{"team", MU_OP_NOT_IN, {"a"}}};
    struct kit kits[2];
    const struct mu_selector selects_a = selector_of(&kits[0], team_a);
    const struct mu_selector selects_not_a = selector_of(&kits[1], not_a);
    const struct mu_selector everything = {.nothing = false}, nothing = {.nothing = true};
    const struct mu_str listed[] = {MU_STR("own")};
    const struct {
        const struct mu_selector *by;
        uint32_t listed;
        bool own, red, blue, unknown;
    } rows[] = {
        {NULL, 1, true, false, false, false},         {NULL, 0, false, false, false, false},
        {&selects_a, 1, true, true, false, false},    {&selects_a, 0, false, true, false, false},
        {&selects_not_a, 0, true, false, true, true}, /* an unknown namespace has no labels */
        {&everything, 0, true, true, true, true},     {&nothing, 1, true, false, false, false},
    };
    for (uint32_t i = 0; i < COUNT(rows); i++) {
        const struct mu_pod_term term = {.kind = MU_TERM_ANTI_AFFINITY,
                                         .topology_key = MU_STR("zone"),
                                         .namespaces = listed,
                                         .namespace_count = rows[i].listed,
                                         .namespace_selector = rows[i].by};
        const struct mu_matcher *matcher = matcher_of(m, &term, 1);
        const struct who who[] = {{"own", {0}}, {"red", {0}}, {"blue", {0}}, {"green", {0}}};
        const bool want[] = {rows[i].own, rows[i].red, rows[i].blue, rows[i].unknown};
        for (uint32_t w = 0; w < COUNT(who); w++) {
            if (mu_matcher_matches(m, matcher, kin_new(m, &who[w])) != want[w])
                fail_msg("row %u, namespace %s", i, who[w].ns);
        }
    }
    mu_model_destroy(m);
}

static void test_matcher__selector_nil_and_empty__nothing_and_everything(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    const struct mu_str own = MU_STR("own");
    const struct who who = {"own", {"app", "web", MU_HOSTNAME_KEY, "h"}};
    const struct need on_host[REQUIREMENTS] = {{MU_HOSTNAME_KEY, MU_OP_IN, {"h"}}};
    struct kit kit;
    struct mu_pod_term term = {.kind = MU_TERM_AFFINITY,
                               .topology_key = MU_STR("zone"),
                               .namespaces = &own,
                               .namespace_count = 1,
                               .selector = {.nothing = true}};
    assert_false(mu_matcher_matches(m, matcher_of(m, &term, 1), kin_new(m, &who)));
    term.selector = (struct mu_selector){.nothing = false};
    assert_true(mu_matcher_matches(m, matcher_of(m, &term, 1), kin_new(m, &who)));
    term.selector = selector_of(&kit, on_host); /* to pods it is a label like any other */
    assert_true(mu_matcher_matches(m, matcher_of(m, &term, 1), kin_new(m, &who)));
    mu_model_destroy(m);
}

/* A pod counts for required affinity only if it matches all of the terms at once. */
static void test_matcher__several_affinity_terms__one_conjunction(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    const struct mu_str own = MU_STR("own");
    const struct need web[REQUIREMENTS] = {{"app", MU_OP_IN, {"web"}}};
    const struct need gold[REQUIREMENTS] = {{"tier", MU_OP_IN, {"gold"}}};
    struct kit kits[2];
    struct mu_pod_term terms[] = {
        {.kind = MU_TERM_AFFINITY,
         .topology_key = MU_STR("zone"),
         .namespaces = &own,
         .namespace_count = 1,
         .selector = selector_of(&kits[0], web)},
        {.kind = MU_TERM_AFFINITY,
         .topology_key = MU_STR("rack"),
         .namespaces = &own,
         .namespace_count = 1,
         .selector = selector_of(&kits[1], gold)},
        {.kind = MU_TERM_ANTI_AFFINITY,
         .topology_key = MU_STR("zone"),
         .namespaces = &own,
         .namespace_count = 1,
         .selector = selector_of(&kits[1], gold)},
    };
    const struct mu_pod_object pod = {.terms = terms, .term_count = 3};
    const struct mu_class *c = class_new(m, &pod);
    assert_int_equal(c->term_count, 3);
    assert_true(c->terms[0].kind == MU_TERM_AFFINITY && c->terms[1].kind == MU_TERM_AFFINITY);
    assert_int_equal(c->terms[0].matcher.v, c->terms[1].matcher.v);
    assert_int_not_equal(c->terms[2].matcher.v, c->terms[0].matcher.v);
    const struct mu_matcher *all = mu_model_get_matcher(m, c->terms[0].matcher);
    assert_int_equal(all->part_count, 2);
    const struct who both = {"own", {"app", "web", "tier", "gold"}};
    const struct who one = {"own", {"app", "web"}};
    assert_true(mu_matcher_matches(m, all, kin_new(m, &both)));
    assert_false(mu_matcher_matches(m, all, kin_new(m, &one)));
    mu_model_destroy(m);
}

static void test_class__spreads_ports_images_preferences__whole(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    const struct need web[REQUIREMENTS] = {{"app", MU_OP_IN, {"web"}}};
    const struct need in_a[REQUIREMENTS] = {{"zone", MU_OP_IN, {"a"}}};
    struct kit kits[2];
    const struct mu_spread spreads[] = {
        {MU_STR("zone"), {.nothing = false}, 2, 1, false, true, false},
        {MU_STR("rack"), selector_of(&kits[0], web), 1, 3, true, false, true}};
    const struct mu_host_port ports[] = {{MU_STR("0.0.0.0"), MU_PROTOCOL_UDP, 53},
                                         {MU_STR("10.0.0.1"), MU_PROTOCOL_TCP, 80},
                                         {MU_STR("0.0.0.0"), MU_PROTOCOL_UDP, 53}};
    const struct mu_image images[] = {{MU_STR("b:1"), 0}, {MU_STR("a:1"), 0}, {MU_STR("b:1"), 0}};
    const struct mu_node_term a = {.labels = selector_of(&kits[1], in_a)};
    const struct mu_preferred_node preferred[] = {
        {5, a}, {0, a}, {5, a}, {7, {.labels = {.nothing = false}}}};
    const struct mu_pod_term term = {.kind = MU_TERM_PREFERRED,
                                     .weight = 9,
                                     .topology_key = MU_STR("zone"),
                                     .selector = {.nothing = false}};
    const struct mu_pod_object pod = {.ns = MU_STR("own"),
                                      .spreads = spreads,
                                      .spread_count = 2,
                                      .ports = ports,
                                      .port_count = 3,
                                      .images = images,
                                      .image_count = 3,
                                      .preferred_nodes = preferred,
                                      .preferred_node_count = 4,
                                      .terms = &term,
                                      .term_count = 1};
    const struct mu_class *c = class_new(m, &pod);
    const struct mu_symtab *symbols = mu_model_names(m);
    assert_true(c->spread_count == 2 && c->hard_spread_count == 1);
    assert_true(c->spreads[0].hard && c->spreads[0].max_skew == 1 &&
                c->spreads[0].min_domains == 3 && c->spreads[0].honor_taints &&
                !c->spreads[0].honor_affinity && !c->spreads[0].counts_none);
    assert_true(!c->spreads[1].hard && c->spreads[1].counts_none && c->spreads[1].honor_affinity);
    const struct who web_pod = {"own", {"app", "web"}}, stranger = {"other", {"app", "web"}};
    const struct mu_matcher *own = mu_model_get_matcher(m, c->spreads[0].matcher);
    assert_true(mu_matcher_matches(m, own, kin_new(m, &web_pod)));
    assert_false(mu_matcher_matches(m, own, kin_new(m, &stranger)));
    assert_int_equal(c->port_count, 2);
    for (uint32_t p = 0; p < 2; p++)
        assert_int_equal(c->ports[p].port, c->ports[p].protocol == MU_PROTOCOL_UDP ? 53 : 80);
    assert_int_equal(c->image_count, 3);
    uint32_t b_count = 0;
    for (uint32_t i = 0; i < 3; i++)
        b_count += mu_str_equal(mu_symbol_str(symbols, c->images[i]), MU_STR("b:1"));
    assert_int_equal(b_count, 2);
    assert_int_equal(c->preferred_node_count, 2); /* equal ones both weigh */
    assert_true(c->preferred_nodes[0].weight == 5 && c->preferred_nodes[1].weight == 5);
    assert_int_equal(c->preferred_nodes[1].term.labels.count, 1);
    assert_true(c->term_count == 1 && c->terms[0].weight == 9);
    mu_model_destroy(m);
}

/* ---- errors, limits, lifetime ---- */

/* A pod that uses every part. */
static int rich_class(struct mu_model *m, struct mu_class_ix *ix)
{
    const struct need needs[REQUIREMENTS] = {{"zone", MU_OP_IN, {"a", "b"}},
                                             {"disk", MU_OP_EXISTS, {0}}};
    const struct need on_name[REQUIREMENTS] = {{"metadata.name", MU_OP_IN, {"n1"}}};
    struct kit kits[2];
    const struct mu_selector selector = selector_of(&kits[0], needs);
    const struct mu_node_term term = {.labels = selector, .fields = selector_of(&kits[1], on_name)};
    const struct mu_preferred_node preferred = {5, {.labels = selector}};
    const struct mu_str namespaces[] = {MU_STR("ns1"), MU_STR("ns2")};
    const struct mu_pod_term terms[] = {
        {.kind = MU_TERM_AFFINITY,
         .topology_key = MU_STR("zone"),
         .selector = selector,
         .namespaces = namespaces,
         .namespace_count = 2,
         .namespace_selector = &selector},
        {.kind = MU_TERM_ANTI_AFFINITY, .topology_key = MU_STR("rack"), .selector = selector}};
    const struct mu_spread spread = {MU_STR("zone"), selector, 1, 1, true, true, false};
    const struct mu_host_port port = {MU_STR("10.1.2.3"), MU_PROTOCOL_TCP, 80};
    const struct mu_image image = {MU_STR("web:1"), 0};
    const struct mu_label labels[] = {{MU_STR(MU_HOSTNAME_KEY), MU_STR("h")},
                                      {MU_STR("arch"), MU_STR("arm64")}};
    const struct mu_toleration toleration = {MU_STR("t"), MU_STR("v"), MU_TOLERATE_EQUAL,
                                             MU_EFFECT_ANY};
    const struct mu_pod_object pod = {.ns = MU_STR("own"),
                                      .selector = labels,
                                      .selector_count = 2,
                                      .tolerations = &toleration,
                                      .toleration_count = 1,
                                      .has_node_terms = true,
                                      .node_terms = &term,
                                      .node_term_count = 1,
                                      .preferred_nodes = &preferred,
                                      .preferred_node_count = 1,
                                      .terms = terms,
                                      .term_count = 2,
                                      .spreads = &spread,
                                      .spread_count = 1,
                                      .ports = &port,
                                      .port_count = 1,
                                      .images = &image,
                                      .image_count = 1};
    return mu_model_class(m, &pod, ix);
}

static int rich_kin(struct mu_model *m, struct mu_kin_ix *ix)
{
    const struct mu_label labels[] = {{MU_STR("app"), MU_STR("web")},
                                      {MU_STR("app"), MU_STR("db")},
                                      {MU_STR("tier"), MU_STR("gold")}};
    const struct mu_pod_object pod = {.ns = MU_STR("own"), .labels = labels, .label_count = 3};
    return mu_model_kin(m, &pod, ix);
}

static int rich_namespace(struct mu_model *m)
{
    const struct mu_label labels[] = {{MU_STR("team"), MU_STR("a")},
                                      {MU_STR(MU_HOSTNAME_KEY), MU_STR("odd")}};
    bool changed;
    return mu_model_namespace(m, MU_STR("ns1"), true, labels, 2, 1, &changed);
}

/* What can be told from outside: symbols and live memory are as they were once all is reclaimed. */
static void assert_empty(struct mu_model *m, uint32_t symbols)
{
    for (int i = 0; i < 4; i++)
        mu_model_reclaim(m, UINT64_MAX, UINT32_MAX);
    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
    assert_int_equal(mu_model_namespace_count(m), 0);
}

static bool fails(struct mu_model *m, int what, uint64_t nth, int *status)
{
    struct mu_class_ix class_ix = {99};
    struct mu_kin_ix kin = {99};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
    *status = what == 0   ? rich_class(m, &class_ix)
              : what == 1 ? rich_kin(m, &kin)
                          : rich_namespace(m);
    mu_mem_debug_set((struct mu_mem_debug){0});
    if (*status == 0) {
        if (what == 0)
            mu_model_class_unref(m, class_ix, 7);
        if (what == 1)
            mu_model_kin_unref(m, kin, 7);
        bool changed;
        assert_int_equal(mu_model_namespace(m, MU_STR("ns1"), false, NULL, 0, 7, &changed), 0);
        assert_int_equal(changed, what == 2);
        return false;
    }
    assert_int_equal(*status, MU_ENOMEM);
    assert_true(what != 0 || class_ix.v == 99);
    return true;
}

static void test_model__out_of_memory_anywhere__nothing_left(void **state)
{
    (void)state;
    for (int what = 0; what < 3; what++) {
        /* Once with what failed calls left reclaimed in between, once with all of it piled up. */
        for (int reclaim = 0; reclaim < 2; reclaim++) {
            struct mu_model *m = model_new();
            uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
            uint64_t nth = 1;
            int status;
            while (fails(m, what, nth, &status)) {
                if (reclaim == 1) {
                    mu_model_reclaim(m, 1, UINT32_MAX);
                    mu_model_reclaim(m, 1, UINT32_MAX);
                    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
                }
                nth++;
                assert_true(nth < 1000);
            }
            assert_true(what != 0 || reclaim == 0 || nth > 20);
            assert_empty(m, symbols);
            mu_model_destroy(m);
        }
    }
}

/* A pinned affinity whose bare form failed is completed by the next call that finds it. */
static void test_model__bare_form_failed__completed_later(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_class_ix ix;
    int status = MU_ENOMEM;
    for (uint64_t nth = 1; status != 0; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        status = rich_class(m, &ix);
        mu_mem_debug_set((struct mu_mem_debug){0});
    }
    const struct mu_affinity *a = mu_model_get_affinity(m, mu_model_get_class(m, ix)->affinity);
    const struct mu_affinity *bare = mu_model_get_affinity(m, a->bare);
    assert_true(a->hostname.v != 0 && a->only_name.v != 0);
    assert_true(bare != a && bare->hostname.v == 0 && bare->only_name.v == 0);
    assert_int_equal(bare->selector_count, 1);
    mu_model_destroy(m);
}

static void test_model_class__hit__allocates_nothing(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_class_ix first, again;
    struct mu_kin_ix kin, kin_again;
    assert_int_equal(rich_class(m, &first), 0);
    assert_int_equal(rich_kin(m, &kin), 0);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    int status = rich_class(m, &again);
    int kin_status = rich_kin(m, &kin_again);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(status, 0);
    assert_int_equal(kin_status, 0);
    assert_true(again.v == first.v && kin_again.v == kin.v);
    mu_model_destroy(m);
}

/* In small portions: a budget delays, it does not lose anything. */
static void test_model_reclaim__step_by_step__everything_goes(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
    struct mu_class_ix ix;
    struct mu_kin_ix kin;
    assert_int_equal(rich_class(m, &ix), 0);
    assert_int_equal(rich_kin(m, &kin), 0);
    struct mu_matcher_ix matcher = mu_model_get_class(m, ix)->terms[0].matcher;
    struct mu_affinity_ix affinity = mu_model_get_class(m, ix)->affinity;
    mu_model_matcher_ref(m, matcher);
    mu_model_affinity_ref(m, affinity);
    mu_model_class_unref(m, ix, 5);
    mu_model_kin_unref(m, kin, 6);
    mu_model_reclaim(m, 4, UINT32_MAX);
    assert_int_equal(mu_model_get_class(m, ix)->port_count, 1); /* a reader at 5 may look */
    assert_int_equal(mu_model_get_kin(m, kin)->labels.count, 2);
    for (int i = 0; i < 500; i++)
        mu_model_reclaim(m, 6, 1);
    /* Who took a reference of its own keeps it. */
    assert_int_equal(mu_model_get_matcher(m, matcher)->part_count, 1);
    assert_true(mu_model_get_affinity(m, affinity)->hostname.v != 0);
    mu_model_matcher_unref(m, matcher, 7);
    mu_model_affinity_unref(m, affinity, 7);
    for (int i = 0; i < 500; i++)
        mu_model_reclaim(m, 7, 1);
    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
    mu_model_destroy(m);
}

/* Values for n requirements of one value each, all different. */
static struct mu_requirement *requirements_new(uint32_t count, uint32_t values)
{
    static char names[2 * MU_VALUES_MAX + 2][8];
    struct mu_requirement *list = mu_mem_calloc(count, sizeof *list);
    struct mu_str *texts = mu_mem_calloc(values + 1, sizeof *texts);
    assert_true(list != NULL && texts != NULL);
    for (uint32_t v = 0; v < values; v++) {
        (void)snprintf(names[v], sizeof names[v], "v%u", values - v);
        texts[v] = mu_str_of(names[v]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t own = i == 0 ? values - (count - 1) : 1;
        uint32_t begin = i == 0 ? 0 : values - count + i;
        list[i] = (struct mu_requirement){texts[begin], MU_OP_IN, texts + begin, own};
    }
    return list;
}

static void requirements_free(struct mu_requirement *list)
{
    mu_mem_free((void *)(uintptr_t)list[0].values);
    mu_mem_free(list);
}

static void test_model_class__at_the_limits__whole_and_one_more_refused(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
    struct mu_class_ix ix;
    for (uint32_t over = 0; over < 3; over++) {
        uint32_t count = MU_REQUIREMENTS_MAX + (over == 1 ? 1 : 0);
        uint32_t values = MU_VALUES_MAX + (over == 2 ? 1 : 0);
        struct mu_requirement *list = requirements_new(count, values);
        /* One term of all of them, then as many terms as there are. */
        struct mu_node_term one = {.labels = {.requirements = list, .requirement_count = count}};
        struct mu_pod_object pod = {
            .has_node_terms = true, .node_terms = &one, .node_term_count = 1};
        assert_int_equal(mu_model_class(m, &pod, &ix), over == 0 ? 0 : MU_ELIMIT);
        if (over == 0) {
            const struct mu_affinity *a =
                mu_model_get_affinity(m, mu_model_get_class(m, ix)->affinity);
            assert_int_equal(a->terms[0].labels.count, MU_REQUIREMENTS_MAX);
            mu_model_class_unref(m, ix, 1);
        }
        struct mu_node_term *many = mu_mem_calloc(count, sizeof *many);
        struct mu_pod_term *terms = mu_mem_calloc(count, sizeof *terms);
        assert_true(many != NULL && terms != NULL);
        for (uint32_t i = 0; i < count; i++) {
            many[i].labels = (struct mu_selector){.requirements = list + i, .requirement_count = 1};
            terms[i] = (struct mu_pod_term){.kind = MU_TERM_ANTI_AFFINITY,
                                            .topology_key = MU_STR("zone"),
                                            .selector = many[i].labels};
        }
        pod.node_terms = many;
        pod.node_term_count = count;
        assert_int_equal(mu_model_class(m, &pod, &ix), over == 0 ? 0 : MU_ELIMIT);
        if (over == 0)
            mu_model_class_unref(m, ix, 1);
        pod = (struct mu_pod_object){.terms = terms, .term_count = count};
        assert_int_equal(mu_model_class(m, &pod, &ix), over == 0 ? 0 : MU_ELIMIT);
        if (over == 0) {
            assert_int_equal(mu_model_get_class(m, ix)->term_count, MU_SELECTOR_TERMS_MAX);
            mu_model_class_unref(m, ix, 1);
        }
        mu_mem_free(many);
        mu_mem_free(terms);
        requirements_free(list);
    }
    assert_empty(m, symbols);
    mu_model_destroy(m);
}

static void test_model_class__far_too_many_terms__refused_at_once(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    enum { MANY = 10000 };
    struct mu_node_term *terms = mu_mem_calloc(MANY, sizeof *terms);
    struct mu_host_port *ports = mu_mem_calloc(MANY, sizeof *ports);
    struct mu_image *images = mu_mem_calloc(MANY, sizeof *images);
    struct mu_spread *spreads = mu_mem_calloc(MANY, sizeof *spreads);
    struct mu_pod_term *pod_terms = mu_mem_calloc(MANY, sizeof *pod_terms);
    assert_true(terms && ports && images && spreads && pod_terms);
    const struct mu_pod_object pods[] = {
        {.has_node_terms = true, .node_terms = terms, .node_term_count = MANY},
        {.ports = ports, .port_count = MANY},
        {.images = images, .image_count = MANY},
        {.spreads = spreads, .spread_count = MANY},
        {.terms = pod_terms, .term_count = MANY},
    };
    struct mu_class_ix ix = {99};
    for (uint32_t i = 0; i < COUNT(pods); i++)
        assert_int_equal(mu_model_class(m, &pods[i], &ix), MU_ELIMIT);
    assert_int_equal(ix.v, 99);
    mu_mem_free(terms);
    mu_mem_free(ports);
    mu_mem_free(images);
    mu_mem_free(spreads);
    mu_mem_free(pod_terms);
    mu_model_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__out_of_memory_anywhere__nothing_left),
        cmocka_unit_test(test_model__bare_form_failed__completed_later),
        cmocka_unit_test(test_model_class__at_the_limits__whole_and_one_more_refused),
        cmocka_unit_test(test_model_class__far_too_many_terms__refused_at_once),
        cmocka_unit_test(test_model_class__hit__allocates_nothing),
        cmocka_unit_test(test_model_reclaim__step_by_step__everything_goes),
        cmocka_unit_test(test_node_term__every_operator__as_kubernetes),
        cmocka_unit_test(test_node_term__fields__only_the_name),
        cmocka_unit_test(test_affinity__terms_and_selector__or_and_and),
        cmocka_unit_test(test_affinity__written_otherwise__one_number),
        cmocka_unit_test(test_affinity__pinned__bare_form_shared),
        cmocka_unit_test(test_matcher__namespaces__listed_or_selected),
        cmocka_unit_test(test_matcher__selector_nil_and_empty__nothing_and_everything),
        cmocka_unit_test(test_matcher__several_affinity_terms__one_conjunction),
        cmocka_unit_test(test_class__spreads_ports_images_preferences__whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
