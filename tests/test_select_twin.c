/*
 * Random selectors against a twin that reads the objects themselves: whatever interning does to a
 * spec (sorting, dropping, sharing), the answers are those of the texts as they came; and a spec
 * whose lists are shuffled and repeated is the same entry.
 */
#include "tests/mu_test.h"

#include "engine/model/model.h"

enum { TERMS = 4, REQUIREMENTS = 3, VALUES = 3, LABELS = 4, NAMESPACES = 2 };

static const char *const keys[] = {"a", "b", "c", MU_HOSTNAME_KEY};
static const char *const texts[] = {"x", "y", "", "7", "-12", "9223372036854775808"};
static const char *const names[] = {"n1", "n2", "x"};

static struct mu_str pick(struct mu_random *random, const char *const *words, uint64_t count)
{
    return mu_str_of(words[mu_random_below(random, count)]);
}

static uint32_t below(struct mu_random *random, uint32_t bound)
{
    return (uint32_t)mu_random_below(random, bound);
}

/* ---- specs ---- */

struct spec {
    struct mu_requirement requirements[TERMS][3 * REQUIREMENTS];
    struct mu_str values[TERMS][3 * REQUIREMENTS][VALUES];
    struct mu_node_term terms[TERMS];
    struct mu_pod_term pod_terms[TERMS];
    struct mu_selector by_namespace[TERMS];
    struct mu_str namespaces[TERMS][NAMESPACES];
    struct mu_label selector[LABELS];
    struct mu_pod_object pod;
};

static struct mu_selector draw_selector(struct mu_random *random, struct spec *s, uint32_t term,
                                        uint32_t begin, bool fields)
{
    uint32_t count = below(random, REQUIREMENTS + 1);
    for (uint32_t i = begin; i < begin + count; i++) {
        struct mu_requirement *r = &s->requirements[term][i];
        struct mu_str *values = s->values[term][i];
        *r =
            (struct mu_requirement){pick(random, keys, 4), (enum mu_op)below(random, 7), values, 0};
        if (fields)
            *r = (struct mu_requirement){MU_STR("metadata.name"), (enum mu_op)below(random, 2),
                                         values, 1};
        else if (r->op == MU_OP_IN || r->op == MU_OP_NOT_IN)
            r->value_count = 1 + below(random, VALUES);
        else if (r->op == MU_OP_GT || r->op == MU_OP_LT)
            r->value_count = 1;
        if (!fields && mu_random_chance(random, 30))
            r->value_count = below(random, VALUES); /* perhaps of the wrong shape */
        for (uint32_t v = 0; v < r->value_count; v++)
            values[v] = fields ? pick(random, names, 3) : pick(random, texts, 6);
    }
    return (struct mu_selector){.nothing = mu_random_chance(random, 30),
                                .requirements = &s->requirements[term][begin],
                                .requirement_count = count};
}

static void draw_spec(struct mu_random *random, struct spec *s)
{
    memset(s, 0, sizeof *s);
    s->pod.ns = MU_STR("own");
    s->pod.has_node_terms = mu_random_chance(random, 700);
    s->pod.node_terms = s->terms;
    s->pod.node_term_count = below(random, TERMS + 1);
    s->pod.terms = s->pod_terms;
    s->pod.term_count = below(random, TERMS + 1);
    s->pod.selector = s->selector;
    s->pod.selector_count = mu_random_chance(random, 500) ? 0 : below(random, LABELS);
    for (uint32_t i = 0; i < LABELS; i++)
        s->selector[i] = (struct mu_label){pick(random, keys, 4), pick(random, texts, 3)};
    for (uint32_t t = 0; t < TERMS; t++) {
        s->terms[t].labels = draw_selector(random, s, t, 0, false);
        if (mu_random_chance(random, 300))
            s->terms[t].fields = draw_selector(random, s, t, REQUIREMENTS, true);
        s->by_namespace[t] = draw_selector(random, s, t, 2 * REQUIREMENTS, false);
        s->namespaces[t][0] = MU_STR("own");
        s->namespaces[t][1] = MU_STR("red");
        s->pod_terms[t] = (struct mu_pod_term){
            .kind = mu_random_chance(random, 600) ? MU_TERM_AFFINITY : MU_TERM_ANTI_AFFINITY,
            .topology_key = pick(random, keys, 2),
            .selector = s->terms[t].labels,
            .namespaces = s->namespaces[t],
            .namespace_count = below(random, NAMESPACES + 1),
            .namespace_selector = mu_random_chance(random, 300) ? &s->by_namespace[t] : NULL};
    }
}

/* ---- the twin ---- */

struct thing {
    struct mu_label labels[LABELS];
    uint32_t label_count;
    struct mu_str name;
};

static void draw_thing(struct mu_random *random, struct thing *t)
{
    t->label_count = below(random, LABELS + 1);
    for (uint32_t i = 0; i < LABELS; i++)
        t->labels[i] = (struct mu_label){pick(random, keys, 4), pick(random, texts, 6)};
    t->name = pick(random, names, 3);
}

/* The last label of a key counts. */
static const struct mu_str *twin_label(const struct thing *t, struct mu_str key)
{
    const struct mu_str *value = NULL;
    for (uint32_t i = 0; i < t->label_count; i++) {
        if (mu_str_equal(t->labels[i].key, key))
            value = &t->labels[i].value;
    }
    return value;
}

static bool twin_number(struct mu_str text, int64_t *out)
{
    /* The texts of this test, spelt out. */
    *out = mu_str_equal(text, MU_STR("7")) ? 7 : -12;
    return mu_str_equal(text, MU_STR("7")) || mu_str_equal(text, MU_STR("-12"));
}

static bool twin_requirement(const struct mu_requirement *r, const struct mu_str *value)
{
    bool among = false;
    int64_t number, bound;
    for (uint32_t v = 0; v < r->value_count && value != NULL; v++)
        among = among || mu_str_equal(r->values[v], *value);
    switch (r->op) {
    case MU_OP_IN:
        return r->value_count > 0 && among;
    case MU_OP_NOT_IN:
        return r->value_count > 0 && !among;
    case MU_OP_EXISTS:
        return r->value_count == 0 && value != NULL;
    case MU_OP_DOES_NOT_EXIST:
        return r->value_count == 0 && value == NULL;
    case MU_OP_GT:
    case MU_OP_LT:
        return r->value_count == 1 && value != NULL && twin_number(r->values[0], &bound) &&
               twin_number(*value, &number) &&
               (r->op == MU_OP_GT ? number > bound : number < bound);
    case MU_OP_NEVER:
        break;
    }
    return false;
}

static bool twin_selector(const struct mu_selector *s, const struct thing *t)
{
    bool holds = !s->nothing;
    for (uint32_t i = 0; i < s->requirement_count; i++)
        holds =
            holds && twin_requirement(&s->requirements[i], twin_label(t, s->requirements[i].key));
    return holds;
}

static bool twin_node(const struct mu_pod_object *pod, const struct thing *node)
{
    bool takes = true, any = !pod->has_node_terms;
    for (uint32_t i = 0; i < pod->selector_count; i++) {
        const struct mu_str *value = twin_label(node, pod->selector[i].key);
        takes = takes && value != NULL && mu_str_equal(*value, pod->selector[i].value);
    }
    for (uint32_t t = 0; t < pod->node_term_count; t++) {
        const struct mu_node_term *term = &pod->node_terms[t];
        bool holds = term->labels.requirement_count + term->fields.requirement_count > 0 &&
                     twin_selector(&term->labels, node) && !term->fields.nothing;
        for (uint32_t f = 0; f < term->fields.requirement_count; f++)
            holds = holds && twin_requirement(&term->fields.requirements[f], &node->name);
        any = any || holds;
    }
    return takes && any;
}

static bool twin_term(const struct mu_pod_term *term, const struct thing *pod, struct mu_str ns,
                      const struct thing *namespace_)
{
    bool listed = false;
    for (uint32_t n = 0; n < term->namespace_count; n++)
        listed = listed || mu_str_equal(term->namespaces[n], ns);
    bool selected =
        term->namespace_selector != NULL && twin_selector(term->namespace_selector, namespace_);
    return (listed || selected) && twin_selector(&term->selector, pod);
}

/* ---- the run ---- */

static void check_nodes(struct mu_test_run *run, struct mu_model *m, const struct spec *s,
                        const struct mu_class *c)
{
    struct thing node;
    draw_thing(&run->random, &node);
    struct mu_label_set_ix set;
    struct mu_symbol hostname, name;
    MU_TEST_CHECK(run, mu_model_label_set(m, node.labels, node.label_count, &set, &hostname) == 0);
    MU_TEST_CHECK(run, mu_symbol_intern(mu_model_symbols(m), node.name, &name) == 0);
    const struct mu_labels_view view = mu_model_labels(m, set, hostname);
    bool takes = twin_node(&s->pod, &node);
    MU_TEST_CHECK(run, mu_class_selects(m, c, &view, name) == takes);
    /* What a bare form is for: with the pins it says what the whole affinity says. */
    const struct mu_affinity *a = mu_model_get_affinity(m, c->affinity);
    const struct mu_affinity *bare = mu_model_get_affinity(m, a->bare);
    MU_TEST_CHECK(run, !takes || mu_affinity_selects(m, bare, &view, name));
    MU_TEST_CHECK(run, !takes || a->hostname.v == 0 || a->hostname.v == hostname.v);
    MU_TEST_CHECK(run, !takes || a->only_name.v == 0 || a->only_name.v == name.v);
    MU_TEST_CHECK(run, bare->hostname.v == 0 && bare->only_name.v == 0);
    mu_model_label_set_unref(m, set, hostname, run->step);
    mu_symbol_unref(mu_model_symbols(m), name, run->step);
}

static void check_pods(struct mu_test_run *run, struct mu_model *m, const struct spec *s,
                       const struct mu_class *c)
{
    struct thing pod, namespace_;
    bool changed;
    draw_thing(&run->random, &pod);
    draw_thing(&run->random, &namespace_);
    struct mu_str ns = mu_random_chance(&run->random, 500) ? MU_STR("own") : MU_STR("blue");
    MU_TEST_CHECK(run, mu_model_namespace(m, ns, true, namespace_.labels, namespace_.label_count,
                                          run->step, &changed) == 0);
    const struct mu_pod_object object = {
        .ns = ns, .labels = pod.labels, .label_count = pod.label_count};
    struct mu_kin_ix kin;
    MU_TEST_CHECK(run, mu_model_kin(m, &object, &kin) == 0);
    bool all = true;
    uint32_t anti_matched = 0, anti_expected = 0;
    for (uint32_t t = 0; t < s->pod.term_count; t++) {
        bool holds = twin_term(&s->pod.terms[t], &pod, ns, &namespace_);
        if (s->pod.terms[t].kind == MU_TERM_AFFINITY)
            all = all && holds;
        else
            anti_expected += holds;
    }
    MU_TEST_CHECK(run, c->term_count == s->pod.term_count);
    for (uint32_t t = 0; t < c->term_count; t++) {
        bool matches = mu_matcher_matches(m, mu_model_get_matcher(m, c->terms[t].matcher),
                                          mu_model_get_kin(m, kin));
        if (c->terms[t].kind == MU_TERM_AFFINITY)
            MU_TEST_CHECK(run, matches == all);
        else
            anti_matched += matches;
    }
    MU_TEST_CHECK(run, anti_matched == anti_expected);
    mu_model_kin_unref(m, kin, run->step);
}

/* Node terms and requirements in another order, some twice: the same class. */
static void check_shuffled(struct mu_test_run *run, struct mu_model *m, struct spec *s,
                           struct mu_class_ix want)
{
    struct mu_node_term terms[2 * TERMS];
    struct mu_requirement requirements[TERMS][REQUIREMENTS + 1];
    struct mu_pod_object pod = s->pod;
    uint32_t count = pod.node_term_count;
    for (uint32_t t = 0; t < count; t++) {
        struct mu_selector *labels = &s->terms[t].labels;
        uint32_t n = labels->requirement_count;
        uint32_t turn = n == 0 ? 0 : below(&run->random, n);
        for (uint32_t r = 0; r < n; r++)
            requirements[t][r] = labels->requirements[(r + turn) % n];
        if (n > 0)
            requirements[t][n] = requirements[t][0];
        terms[count - 1 - t] = s->terms[t];
        terms[count - 1 - t].labels.requirements = requirements[t];
        terms[count - 1 - t].labels.requirement_count = n == 0 ? 0 : n + 1;
    }
    for (uint32_t t = 0; t < count; t++)
        terms[count + t] = terms[t];
    pod.node_terms = terms;
    pod.node_term_count = count + (count == 0 ? 0 : below(&run->random, count));
    struct mu_class_ix ix;
    MU_TEST_CHECK(run, mu_model_class(m, &pod, &ix) == 0);
    MU_TEST_CHECK(run, ix.v == want.v);
    mu_model_class_unref(m, ix, run->step);
}

static void test_select__random_specs__as_the_texts_say(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(41);
    struct mu_model *m = mu_model_create();
    assert_non_null(m);
    uint32_t symbols = mu_symtab_count(mu_model_symbols(m));
    static struct spec spec;
    for (run.step = 1; run.step < 20000; run.step++) {
        struct mu_class_ix ix;
        draw_spec(&run.random, &spec);
        MU_TEST_CHECK(&run, mu_model_class(m, &spec.pod, &ix) == 0);
        const struct mu_class *c = mu_model_get_class(m, ix);
        for (int i = 0; i < 3; i++) {
            check_nodes(&run, m, &spec, c);
            check_pods(&run, m, &spec, c);
        }
        check_shuffled(&run, m, &spec, ix);
        mu_model_class_unref(m, ix, run.step);
        mu_model_reclaim(m, run.step > 20 ? run.step - 20 : 0, 256);
    }
    bool changed;
    assert_int_equal(mu_model_namespace(m, MU_STR("own"), false, NULL, 0, run.step, &changed), 0);
    assert_int_equal(mu_model_namespace(m, MU_STR("blue"), false, NULL, 0, run.step, &changed), 0);
    for (int i = 0; i < 4; i++)
        mu_model_reclaim(m, UINT64_MAX, UINT32_MAX);
    assert_int_equal(mu_symtab_count(mu_model_symbols(m)), symbols);
    mu_model_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select__random_specs__as_the_texts_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
