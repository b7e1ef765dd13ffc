/* Pods, translated: node affinity, terms about other pods, spread, ports, images. */
#include "tests/placement_kit.h"

/* A pod with every list that placement knows, each with one entry. */
struct rules {
    struct kit *kit;
    struct mu_arena *arena;
    Kube__Affinity affinity;
    Kube__NodeAffinity node;
    Kube__NodeSelector required;
    Kube__PreferredSchedulingTerm preferred;
    Kube__PodAffinity with;
    Kube__PodAntiAffinity against;
    Kube__PodAffinityTerm term;
    Kube__WeightedPodAffinityTerm weighted;
    Kube__TopologySpreadConstraint spread;
};

static struct rules *rules_create(void)
{
    struct rules *rules = mu_mem_zalloc(sizeof *rules);
    assert_non_null(rules);
    rules->kit = kit_create();
    rules->arena = mu_arena_create(32 << 20);
    assert_non_null(rules->arena);
    kube__affinity__init(&rules->affinity);
    kube__node_affinity__init(&rules->node);
    kube__node_selector__init(&rules->required);
    kube__preferred_scheduling_term__init(&rules->preferred);
    kube__pod_affinity__init(&rules->with);
    kube__pod_anti_affinity__init(&rules->against);
    kube__pod_affinity_term__init(&rules->term);
    kube__weighted_pod_affinity_term__init(&rules->weighted);
    kube__topology_spread_constraint__init(&rules->spread);
    rules->kit->spec.affinity = &rules->affinity;
    rules->term.topologykey = FIXTURE_TEXT("zone");
    rules->weighted.podaffinityterm = &rules->term;
    rules->spread.topologykey = FIXTURE_TEXT("zone");
    rules->spread.whenunsatisfiable = FIXTURE_TEXT("DoNotSchedule");
    rules->spread.has_maxskew = true;
    rules->spread.maxskew = 1;
    return rules;
}

static void rules_destroy(struct rules *rules)
{
    kit_destroy(rules->kit);
    mu_arena_destroy(rules->arena);
    mu_mem_free(rules);
}

static void require_nodes(struct rules *rules, const char *expressions, const char *fields)
{
    rules->required.nodeselectorterms =
        rule_one(rules->arena, rule_node_term(rules->arena, expressions, fields));
    rules->required.n_nodeselectorterms = 1;
    rules->node.requiredduringschedulingignoredduringexecution = &rules->required;
    rules->affinity.nodeaffinity = &rules->node;
}

static void require_term(struct rules *rules, Kube__LabelSelector *selector)
{
    rules->term.labelselector = selector;
    rules->with.requiredduringschedulingignoredduringexecution =
        rule_one(rules->arena, &rules->term);
    rules->with.n_requiredduringschedulingignoredduringexecution = 1;
    rules->affinity.podaffinity = &rules->with;
}

static void spread_over(struct rules *rules, Kube__LabelSelector *selector)
{
    rules->spread.labelselector = selector;
    rules->kit->spec.topologyspreadconstraints = rule_one(rules->arena, &rules->spread);
    rules->kit->spec.n_topologyspreadconstraints = 1;
}

/* --- node affinity ------------------------------------------------------------------------- */

static void test_pod_node_affinity__requirements__read_as_strictly_as_upstream(void **state)
{
    (void)state;
    const struct {
        const char *expressions, *fields, *labels, *names;
    } cases[] = {
        {"zone In a b", "", "zone In a b", "(all)"},
        {"zone NotIn a; disk Exists; gpu DoesNotExist", "",
         "zone NotIn a; disk Exists; gpu DoesNotExist", "(all)"},
        {"size Gt 5; size Lt 10", "", "size Gt 5; size Lt 10", "(all)"},
        {"size Gt 007", "", "size Gt 7", "(all)"},
        {"size Gt 000", "", "size Gt 0", "(all)"},
        {"size Lt 9223372036854775807", "", "size Lt 9223372036854775807", "(all)"},
        {"example.com/zone In a", "", "example.com/zone In a", "(all)"},
        /* arity */
        {"zone In", "", "zone NEVER", "(all)"},
        {"zone NotIn", "", "zone NEVER", "(all)"},
        {"zone Exists a", "", "zone NEVER", "(all)"},
        {"zone DoesNotExist a", "", "zone NEVER", "(all)"},
        {"size Gt", "", "size NEVER", "(all)"},
        {"size Lt 1 2", "", "size NEVER", "(all)"},
        /* numbers */
        {"size Gt five", "", "size NEVER", "(all)"},
        {"size Gt -5", "", "size NEVER", "(all)"},
        {"size Gt 5.0", "", "size NEVER", "(all)"},
        {"size Gt 9223372036854775808", "", "size NEVER", "(all)"},
        {"size Gt _", "", "size NEVER", "(all)"},
        /* words */
        {"zone in a", "", "zone NEVER", "(all)"},
        {"zone - a", "", "zone NEVER", "(all)"},
        {"zone Equals a", "", "zone NEVER", "(all)"},
        {"a/b/c Exists", "", "a/b/c NEVER", "(all)"},
        {"-x Exists", "", "-x NEVER", "(all)"},
        {"- Exists", "", " NEVER", "(all)"},
        {"Example.com/x Exists", "", "Example.com/x NEVER", "(all)"},
        {"zone In a -b", "", "zone NEVER", "(all)"},
        {"zone In a_b.c _", "", "zone In a_b.c ", "(all)"}, /* the empty value is one */
        /* one that cannot be read leaves the others as they are */
        {"zone In a; size Gt x", "", "zone In a; size NEVER", "(all)"},
        /* fields: the name, one value; nothing else is known of a node there */
        {"", "metadata.name In n1", "(all)", "metadata.name In n1"},
        {"zone In a", "metadata.name NotIn n1", "zone In a", "metadata.name NotIn n1"},
        {"", "metadata.name In n1 n2", "(all)", "metadata.name NEVER"},
        {"", "metadata.name In", "(all)", "metadata.name NEVER"},
        {"", "metadata.name Exists", "(all)", "metadata.name NEVER"},
        {"", "spec.unschedulable In true", "(all)", "spec.unschedulable NEVER"},
        {"", "", "(all)", "(all)"}, /* both empty: the engine lets it match no node */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        require_nodes(rules, cases[i].expressions, cases[i].fields);
        assert_marks(rules->kit, 0);
        const struct mu_pod_object *pod = &rules->kit->out;
        assert_true(pod->has_node_terms);
        assert_int_equal(pod->node_term_count, 1);
        assert_selector(&pod->node_terms[0].labels, cases[i].labels);
        assert_selector(&pod->node_terms[0].fields, cases[i].names);
        assert_int_equal(pod->preferred_node_count, 0);
        rules_destroy(rules);
    }
}

static void test_pod_node_affinity__required_without_terms__is_there(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    assert_marks(rules->kit, 0);
    assert_false(rules->kit->out.has_node_terms);
    rules->affinity.nodeaffinity = &rules->node;
    assert_marks(rules->kit, 0);
    assert_false(rules->kit->out.has_node_terms);
    rules->node.requiredduringschedulingignoredduringexecution = &rules->required;
    assert_marks(rules->kit, 0);
    assert_true(rules->kit->out.has_node_terms);
    assert_int_equal(rules->kit->out.node_term_count, 0);
    rules_destroy(rules);
}

static void test_pod_node_affinity__preferred__weights_in_bounds(void **state)
{
    (void)state;
    const struct {
        int32_t weight;
        const char *expressions;
        int32_t expected; /* 0: left out */
    } cases[] = {{1, "zone In a", 1},  {100, "zone In a", 100}, {0, "zone In a", 0},
                 {-5, "zone In a", 0}, {101, "zone In a", 100}, {INT32_MAX, "zone In a", 100},
                 {50, "", 0},          {7, "zone In", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        rules->affinity.nodeaffinity = &rules->node;
        rules->preferred.has_weight = true;
        rules->preferred.weight = cases[i].weight;
        rules->preferred.preference = rule_node_term(rules->arena, cases[i].expressions, "");
        rules->node.preferredduringschedulingignoredduringexecution =
            rule_one(rules->arena, &rules->preferred);
        rules->node.n_preferredduringschedulingignoredduringexecution = 1;
        assert_marks(rules->kit, 0);
        const struct mu_pod_object *pod = &rules->kit->out;
        assert_false(pod->has_node_terms);
        assert_int_equal(pod->preferred_node_count, cases[i].expected != 0 ? 1 : 0);
        if (cases[i].expected != 0)
            assert_int_equal(pod->preferred_nodes[0].weight, cases[i].expected);
        rules->preferred.preference = NULL;
        assert_marks(rules->kit, 0);
        assert_int_equal(rules->kit->out.preferred_node_count, 0);
        rules_destroy(rules);
    }
}

/* --- terms about other pods ---------------------------------------------------------------- */

static void test_pod_terms__selectors__pairs_expressions_nil_and_empty(void **state)
{
    (void)state;
    const struct {
        const char *pairs, *expressions, *expected;
        uint32_t marks;
    } cases[] = {
        {NULL, NULL, "(nothing)", 0},
        {"", "", "(all)", 0},
        {"app web", "", "app In web", 0},
        {"app web", "tier NotIn db; x Exists; y DoesNotExist",
         "app In web; tier NotIn db; x Exists; y DoesNotExist", 0},
        {"app _", "", "app In ", 0},
        {"", "app In", "app NEVER", MU_RULE_UNREADABLE},
        {"", "app Exists x", "app NEVER", MU_RULE_UNREADABLE},
        {"", "size Gt 5", "size NEVER", MU_RULE_UNREADABLE}, /* of nodes only */
        {"", "app In a b_", "app NEVER", MU_RULE_UNREADABLE},
        {"a/b/c web", "", "a/b/c NEVER", MU_RULE_UNREADABLE},
        {"app a/b", "", "app NEVER", MU_RULE_UNREADABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        require_term(rules, rule_selector(rules->arena, cases[i].pairs, cases[i].expressions));
        assert_marks(rules->kit, cases[i].marks);
        assert_int_equal(rules->kit->out.term_count, 1);
        const struct mu_pod_term *term = &rules->kit->out.terms[0];
        assert_int_equal(term->kind, MU_TERM_AFFINITY);
        assert_int_equal(term->weight, 0);
        assert_str(term->topology_key, "zone");
        assert_selector(&term->selector, cases[i].expected);
        rules_destroy(rules);
    }
}

static void test_pod_terms__namespaces__own_listed_selected(void **state)
{
    (void)state;
    const struct {
        const char *namespaces, *pairs; /* pairs NULL: no selector of namespaces */
        const char *expected, *selector;
    } cases[] = {
        {"", NULL, "ns", NULL},          {"a b", NULL, "a b", NULL},        {"", "", "", "(all)"},
        {"", "team x", "", "team In x"}, {"a", "team x", "a", "team In x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        rules->term.namespaces =
            rule_list(rules->arena, cases[i].namespaces, &rules->term.n_namespaces);
        rules->term.namespaceselector = rule_selector(rules->arena, cases[i].pairs, NULL);
        require_term(rules, rule_selector(rules->arena, "app web", ""));
        assert_marks(rules->kit, 0);
        const struct mu_pod_term *term = &rules->kit->out.terms[0];
        struct mu_buf names = {.max = 0};
        for (uint32_t n = 0; n < term->namespace_count; n++)
            assert_int_equal(
                mu_buf_printf(&names, "%s%.*s", n > 0 ? " " : "", MU_STR_ARGS(term->namespaces[n])),
                0);
        assert_str(fixture_str(&names), cases[i].expected);
        mu_buf_fini(&names);
        assert_int_equal(term->namespace_selector != NULL, cases[i].selector != NULL);
        if (cases[i].selector != NULL)
            assert_selector(term->namespace_selector, cases[i].selector);
        rules_destroy(rules);
    }
}

static void test_pod_terms__unreadable_namespace_selector__marked(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    rules->term.namespaceselector = rule_selector(rules->arena, NULL, "team In");
    require_term(rules, rule_selector(rules->arena, "app web", ""));
    assert_marks(rules->kit, MU_RULE_UNREADABLE);
    assert_non_null(strstr(rules->kit->warn.text, "namespaceSelector[team]"));
    assert_selector(rules->kit->out.terms[0].namespace_selector, "team NEVER");
    rules_destroy(rules);
}

static void test_pod_terms__four_kinds__with_their_weights(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    require_term(rules, rule_selector(rules->arena, "app web", ""));
    rules->weighted.has_weight = true;
    rules->weighted.weight = 30;
    rules->affinity.podantiaffinity = &rules->against;
    rules->against.requiredduringschedulingignoredduringexecution =
        rules->with.requiredduringschedulingignoredduringexecution;
    rules->against.n_requiredduringschedulingignoredduringexecution = 1;
    rules->with.preferredduringschedulingignoredduringexecution =
        rule_one(rules->arena, &rules->weighted);
    rules->with.n_preferredduringschedulingignoredduringexecution = 1;
    rules->against.preferredduringschedulingignoredduringexecution =
        rules->with.preferredduringschedulingignoredduringexecution;
    rules->against.n_preferredduringschedulingignoredduringexecution = 1;
    assert_marks(rules->kit, 0);
    const struct mu_pod_object *pod = &rules->kit->out;
    assert_int_equal(pod->term_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(pod->terms[i].kind, i);
        assert_int_equal(pod->terms[i].weight, i >= 2 ? 30 : 0);
    }
    rules->weighted.weight = 0; /* says nothing */
    assert_marks(rules->kit, 0);
    assert_int_equal(rules->kit->out.term_count, 2);
    rules->weighted.weight = 1000;
    assert_marks(rules->kit, 0);
    assert_int_equal(rules->kit->out.terms[3].weight, 100);
    rules->weighted.podaffinityterm = NULL; /* a preference without a key says nothing */
    assert_marks(rules->kit, 0);
    assert_int_equal(rules->kit->out.term_count, 2);
    rules->term.topologykey = FIXTURE_TEXT("");
    assert_marks(rules->kit, MU_RULE_UNREADABLE);
    assert_int_equal(rules->kit->out.term_count, 2); /* what must hold is not left out */
    rules_destroy(rules);
}

static void test_pod_terms__own_keys__merged_unless_the_server_has(void **state)
{
    (void)state;
    const struct {
        const char *pairs, *expressions, *in, *not_in, *expected;
    } cases[] = {
        {"app web", "", "rev", "", "app In web; rev In 7"},
        {"app web", "", "", "tenant", "app In web; tenant NotIn t1"},
        {"app web", "", "rev absent", "tenant absent", "app In web; rev In 7; tenant NotIn t1"},
        /* merged already; also when the label has changed since */
        {"app web", "rev In 7", "rev", "", "app In web; rev In 7"},
        {"app web", "rev In 6; tenant NotIn t0", "rev", "tenant",
         "app In web; rev In 6; tenant NotIn t0"},
        {"app web", "", "rev rev", "", "app In web; rev In 7"},
        {"app web", "rev NotIn 7", "rev", "", "app In web; rev NotIn 7; rev In 7"},
        {NULL, NULL, "rev", "", "(nothing)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        rule_own_labels(rules->kit, rules->arena, "app web rev 5 rev 7 tenant t1");
        rules->term.matchlabelkeys =
            rule_list(rules->arena, cases[i].in, &rules->term.n_matchlabelkeys);
        rules->term.mismatchlabelkeys =
            rule_list(rules->arena, cases[i].not_in, &rules->term.n_mismatchlabelkeys);
        require_term(rules, rule_selector(rules->arena, cases[i].pairs, cases[i].expressions));
        assert_marks(rules->kit, 0);
        assert_selector(&rules->kit->out.terms[0].selector, cases[i].expected);
        rules_destroy(rules);
    }
}

/* --- spread -------------------------------------------------------------------------------- */

static void test_pod_spread__fields__read_with_their_defaults(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    spread_over(rules, rule_selector(rules->arena, "app web", ""));
    assert_marks(rules->kit, 0);
    const struct mu_pod_object *pod = &rules->kit->out;
    assert_int_equal(pod->spread_count, 1);
    assert_str(pod->spreads[0].topology_key, "zone");
    assert_selector(&pod->spreads[0].selector, "app In web");
    assert_int_equal(pod->spreads[0].max_skew, 1);
    assert_int_equal(pod->spreads[0].min_domains, 1);
    assert_true(pod->spreads[0].hard);
    assert_true(pod->spreads[0].honor_affinity);
    assert_false(pod->spreads[0].honor_taints);
    rules->spread.whenunsatisfiable = FIXTURE_TEXT("ScheduleAnyway");
    rules->spread.maxskew = 7;
    rules->spread.has_mindomains = true;
    rules->spread.mindomains = 3;
    rules->spread.nodeaffinitypolicy = FIXTURE_TEXT("Ignore");
    rules->spread.nodetaintspolicy = FIXTURE_TEXT("Honor");
    spread_over(rules, rule_selector(rules->arena, "", ""));
    assert_marks(rules->kit, 0);
    assert_selector(&pod->spreads[0].selector, "(all)");
    assert_int_equal(pod->spreads[0].max_skew, 7);
    assert_int_equal(pod->spreads[0].min_domains, 3);
    assert_false(pod->spreads[0].hard);
    assert_false(pod->spreads[0].honor_affinity);
    assert_true(pod->spreads[0].honor_taints);
    spread_over(rules, NULL);
    assert_marks(rules->kit, 0);
    assert_selector(&pod->spreads[0].selector, "(nothing)");
    rules_destroy(rules);
}

static void test_pod_spread__cannot_be_read__marked_and_kept_in_bounds(void **state)
{
    (void)state;
    for (int fault = 0; fault < 8; fault++) {
        struct rules *rules = rules_create();
        Kube__TopologySpreadConstraint *spread = &rules->spread;
        spread_over(rules, rule_selector(rules->arena, "app web", ""));
        if (fault == 0)
            spread->whenunsatisfiable = FIXTURE_TEXT("SomethingNew");
        if (fault == 1)
            spread->topologykey = NULL;
        if (fault == 2)
            spread->maxskew = 0;
        if (fault == 3)
            spread->maxskew = INT32_MIN;
        spread->has_mindomains = fault == 4; /* 0 */
        if (fault == 5)
            spread->nodeaffinitypolicy = FIXTURE_TEXT("honor");
        if (fault == 6)
            spread->nodetaintspolicy = FIXTURE_TEXT("Perhaps");
        if (fault == 7)
            spread->labelselector = rule_selector(rules->arena, "", "app Lt 1");
        assert_marks(rules->kit, MU_RULE_UNREADABLE);
        assert_non_null(strstr(rules->kit->warn.text, "spec.topologySpreadConstraints"));
        const struct mu_spread *out = &rules->kit->out.spreads[0];
        assert_true(out->max_skew >= 1 && out->min_domains >= 1 && out->hard);
        rules_destroy(rules);
    }
}

static void test_pod_spread__own_keys__merged_with_the_present_label(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    rule_own_labels(rules->kit, rules->arena, "app web rev 7");
    rules->spread.matchlabelkeys =
        rule_list(rules->arena, "rev absent", &rules->spread.n_matchlabelkeys);
    spread_over(rules, rule_selector(rules->arena, "app web", ""));
    assert_marks(rules->kit, 0);
    assert_selector(&rules->kit->out.spreads[0].selector, "app In web; rev In 7");
    spread_over(rules, rule_selector(rules->arena, "app web", "rev In 7"));
    assert_marks(rules->kit, 0);
    assert_selector(&rules->kit->out.spreads[0].selector, "app In web; rev In 7");
    spread_over(rules, rule_selector(rules->arena, "app web", "rev In 6")); /* relabelled since */
    assert_marks(rules->kit, 0);
    assert_selector(&rules->kit->out.spreads[0].selector, "app In web; rev In 6; rev In 7");
    rules_destroy(rules);
}

/* --- bounds -------------------------------------------------------------------------------- */

static void test_pod_terms__beyond_the_bound__left_out_and_marked(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    const uint32_t most = MU_SELECTOR_TERMS_MAX;
    void **list = rule_alloc(rules->arena, most + 1, sizeof *list);
    struct kit *kit = rules->kit;
    require_term(rules, NULL);
    for (uint32_t i = 0; i <= most; i++)
        list[i] = &rules->term;
    rules->with.requiredduringschedulingignoredduringexecution = (void *)list;
    rules->with.n_requiredduringschedulingignoredduringexecution = most;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.term_count, most);
    rules->with.n_requiredduringschedulingignoredduringexecution++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.term_count, 0);
    assert_non_null(strstr(kit->warn.text, "spec.affinity.podAffinity[*]: 1025 entries"));
    rules->affinity.podaffinity = NULL;
    for (uint32_t i = 0; i <= most; i++)
        list[i] = &rules->spread;
    kit->spec.topologyspreadconstraints = (void *)list;
    kit->spec.n_topologyspreadconstraints = most;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.spread_count, most);
    kit->spec.n_topologyspreadconstraints++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.spread_count, 0);
    kit->spec.n_topologyspreadconstraints = 0;
    require_nodes(rules, "", "");
    Kube__NodeSelectorTerm *term = rule_node_term(rules->arena, "", "");
    for (uint32_t i = 0; i <= most; i++)
        list[i] = term;
    rules->required.nodeselectorterms = (void *)list;
    rules->required.n_nodeselectorterms = most;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.node_term_count, most);
    rules->required.n_nodeselectorterms++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.node_term_count, 0);
    assert_true(kit->out.has_node_terms); /* even unmarked it would match no node */
    rules->node.requiredduringschedulingignoredduringexecution = NULL;
    for (uint32_t i = 0; i <= most; i++)
        list[i] = &rules->preferred;
    rules->node.preferredduringschedulingignoredduringexecution = (void *)list;
    rules->node.n_preferredduringschedulingignoredduringexecution = most + 1;
    assert_marks(kit, MU_RULE_OVERSIZED);
    rules_destroy(rules);
}

/* One bound over all selectors: the second list finds too little left. */
static void test_pod_selectors__requirements_of_one_pod__bounded_together(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    Kube__NodeSelectorTerm *term = rule_node_term(rules->arena, "zone Exists", "");
    void **list = rule_alloc(rules->arena, MU_REQUIREMENTS_MAX, sizeof *list);
    require_nodes(rules, "", "");
    for (uint32_t i = 0; i < MU_REQUIREMENTS_MAX; i++)
        list[i] = term->matchexpressions[0];
    term->matchexpressions = (void *)list;
    term->n_matchexpressions = MU_REQUIREMENTS_MAX - 1;
    rules->required.nodeselectorterms[0] = term;
    spread_over(rules, rule_selector(rules->arena, "app web", ""));
    assert_marks(kit, 0);
    assert_int_equal(kit->out.node_terms[0].labels.requirement_count, MU_REQUIREMENTS_MAX - 1);
    assert_int_equal(kit->out.spread_count, 1);
    term->n_matchexpressions++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.node_term_count, 1);
    assert_int_equal(kit->out.spread_count, 0);
    assert_non_null(strstr(kit->warn.text, "spec.topologySpreadConstraints[*]: the pod's sel"));
    rules_destroy(rules);
}

static void test_pod_selectors__values_of_one_pod__bounded_together(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    char **values = rule_alloc(rules->arena, MU_VALUES_MAX + 1, sizeof *values);
    for (uint32_t i = 0; i <= MU_VALUES_MAX; i++)
        values[i] = FIXTURE_TEXT("v");
    require_term(rules, rule_selector(rules->arena, "", "app In v"));
    rules->term.labelselector->matchexpressions[0]->values = values;
    rules->term.labelselector->matchexpressions[0]->n_values = MU_VALUES_MAX;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.terms[0].selector.requirements[0].value_count, MU_VALUES_MAX);
    rules->term.namespaces = values; /* names of namespaces are values too */
    rules->term.n_namespaces = 1;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.term_count, 0);
    rules->term.n_namespaces = 0;
    rules->term.labelselector->matchexpressions[0]->n_values++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.term_count, 0);
    rules_destroy(rules);
}

/* 4,000 keys to merge, each to be looked for among 1,000 labels: refused before it is done. */
static void test_pod_terms__keys_to_merge__paid_from_the_bound(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    char **keys = rule_alloc(rules->arena, 4000, sizeof *keys);
    for (uint32_t i = 0; i < 4000; i++)
        keys[i] = FIXTURE_TEXT("rev");
    rule_own_labels(rules->kit, rules->arena, "rev 1");
    require_term(rules, rule_selector(rules->arena, "", ""));
    rules->term.matchlabelkeys = keys;
    rules->term.n_matchlabelkeys = MU_REQUIREMENTS_MAX;
    assert_marks(rules->kit, 0);
    assert_selector(&rules->kit->out.terms[0].selector, "rev In 1");
    rules->term.n_matchlabelkeys = 4000;
    assert_marks(rules->kit, MU_RULE_OVERSIZED);
    assert_int_equal(rules->kit->out.term_count, 0);
    rules_destroy(rules);
}

static void test_pod_labels__kept_and_bounded(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    void **list = rule_alloc(rules->arena, MU_LABELS_PER_OBJECT + 1, sizeof *list);
    for (uint32_t i = 0; i <= MU_LABELS_PER_OBJECT; i++)
        list[i] = &entry;
    entry.key = FIXTURE_TEXT("app");
    entry.value = FIXTURE_TEXT("web");
    kit->meta.labels = (void *)list;
    kit->meta.n_labels = MU_LABELS_PER_OBJECT;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.label_count, MU_LABELS_PER_OBJECT);
    assert_str(kit->out.labels[0].key, "app");
    assert_str(kit->out.labels[0].value, "web");
    kit->meta.n_labels++;
    assert_marks(kit, MU_RULE_OVERSIZED);
    assert_int_equal(kit->out.label_count, 0);
    assert_non_null(strstr(kit->warn.text, "metadata.labels[*]: 1025 entries"));
    rules_destroy(rules);
}

/* Each allocation fails once: an error or a pod, never half of one. */
static void test_pod_decode__every_rule__memory_out_anywhere(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    Kube__Container *container = kit_container(kit, false, "cpu=1");
    Kube__ContainerPort port = KUBE__CONTAINER_PORT__INIT;
    require_nodes(rules, "zone In a", "metadata.name In n1");
    rules->preferred.has_weight = rules->weighted.has_weight = true;
    rules->preferred.weight = rules->weighted.weight = 5;
    rules->preferred.preference = rule_node_term(rules->arena, "zone In b", "");
    rules->node.preferredduringschedulingignoredduringexecution =
        rule_one(rules->arena, &rules->preferred);
    rules->node.n_preferredduringschedulingignoredduringexecution = 1;
    rules->term.namespaceselector = rule_selector(rules->arena, "team x", "");
    require_term(rules, rule_selector(rules->arena, "app web", "tier Exists"));
    spread_over(rules, rule_selector(rules->arena, "app web", ""));
    rule_own_labels(kit, rules->arena, "app web");
    container->image = FIXTURE_TEXT("nginx");
    container->ports = rule_one(rules->arena, &port);
    container->n_ports = 1;
    port.has_hostport = true;
    port.hostport = 80;
    assert_marks(kit, 0);
    size_t whole = mu_arena_used_bytes(kit->arena);
    uint32_t refused = 0;
    for (size_t bytes = 0; bytes < whole; bytes += 16) {
        mu_arena_destroy(kit->arena);
        kit->arena = mu_arena_create(bytes);
        assert_non_null(kit->arena);
        assert_int_equal(kit_try(kit), MU_ENOMEM);
        assert_true(kit->error.text[0] != '\0');
        assert_int_equal(kit->out.uid.len, 0); /* not touched */
        refused++;
    }
    assert_true(refused > 20);
    rules_destroy(rules);
}

/* --- ports and images ---------------------------------------------------------------------- */

static void add_port(struct rules *rules, Kube__Container *container, int32_t number,
                     const char *protocol, const char *ip)
{
    Kube__ContainerPort *port = rule_alloc(rules->arena, 1, sizeof *port);
    kube__container_port__init(port);
    port->has_hostport = true;
    port->hostport = number;
    port->protocol = FIXTURE_TEXT(protocol);
    port->hostip = FIXTURE_TEXT(ip);
    if (container->ports == NULL)
        container->ports = rule_alloc(rules->arena, MU_PORTS_PER_POD + 1, sizeof port);
    container->ports[container->n_ports++] = port;
}

static void test_pod_ports__of_app_containers_and_sidecars(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    Kube__Container *app = kit_container(kit, false, "");
    Kube__Container *init = kit_container(kit, true, "");
    Kube__Container *sidecar = kit_container(kit, true, "");
    sidecar->restartpolicy = FIXTURE_TEXT("Always");
    add_port(rules, app, 80, NULL, NULL);
    add_port(rules, app, 0, NULL, NULL);
    add_port(rules, app, 65535, "UDP", "10.0.0.1");
    add_port(rules, init, 81, NULL, NULL);
    add_port(rules, sidecar, 82, "SCTP", "::");
    add_port(rules, sidecar, 82, "", "");
    assert_marks(kit, 0);
    const struct {
        uint16_t port;
        enum mu_protocol protocol;
        const char *ip;
    } expected[] = {{80, MU_PROTOCOL_TCP, "0.0.0.0"},
                    {65535, MU_PROTOCOL_UDP, "10.0.0.1"},
                    {82, MU_PROTOCOL_SCTP, "::"},
                    {82, MU_PROTOCOL_TCP, "0.0.0.0"}};
    assert_int_equal(kit->out.port_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(kit->out.ports[i].port, expected[i].port);
        assert_int_equal(kit->out.ports[i].protocol, expected[i].protocol);
        assert_str(kit->out.ports[i].ip, expected[i].ip);
    }
    rules_destroy(rules);
}

static void test_pod_ports__cannot_be_read__marked(void **state)
{
    (void)state;
    const struct {
        int32_t number;
        const char *protocol;
        uint32_t kept;
    } cases[] = {{-1, "TCP", 0}, {65536, "TCP", 0}, {INT32_MIN, NULL, 0}, {80, "tcp", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules = rules_create();
        add_port(rules, kit_container(rules->kit, false, ""), cases[i].number, cases[i].protocol,
                 NULL);
        assert_marks(rules->kit, MU_RULE_UNREADABLE);
        assert_int_equal(rules->kit->out.port_count, cases[i].kept);
        rules_destroy(rules);
    }
}

static void test_pod_ports__beyond_the_bound__left_out_and_marked(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    Kube__Container *app = kit_container(rules->kit, false, "");
    for (uint32_t i = 0; i < MU_PORTS_PER_POD; i++)
        add_port(rules, app, (int32_t)i + 1, NULL, NULL);
    assert_marks(rules->kit, 0);
    assert_int_equal(rules->kit->out.port_count, MU_PORTS_PER_POD);
    add_port(rules, app, 1000, NULL, NULL);
    assert_marks(rules->kit, MU_RULE_OVERSIZED);
    assert_int_equal(rules->kit->out.port_count, 0);
    rules_destroy(rules);
}

static void test_pod_images__normalised_as_nodes_name_them(void **state)
{
    (void)state;
    const struct {
        const char *image, *expected;
    } cases[] = {
        {"nginx", "nginx:latest"},
        {"nginx:1.25", "nginx:1.25"},
        {"registry.example.com/team/web", "registry.example.com/team/web:latest"},
        {"registry.example.com:5000/team/web", "registry.example.com:5000/team/web:latest"},
        {"registry.example.com:5000/web:v1", "registry.example.com:5000/web:v1"},
        {"web@sha256:0123", "web@sha256:0123"},
        {NULL, ":latest"},
        {"", ":latest"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kit *kit = kit_create();
        kit_container(kit, false, "")->image = FIXTURE_TEXT(cases[i].image);
        kit_container(kit, true, "")->image = FIXTURE_TEXT("init:1");
        assert_marks(kit, 0);
        assert_int_equal(kit->out.image_count, 2);
        assert_str(kit->out.images[0].name, "init:1");
        assert_str(kit->out.images[1].name, cases[i].expected);
        kit_destroy(kit);
    }
}

static void test_pod_images__beyond_bounds__the_pod_is_as_placeable_as_ever(void **state)
{
    (void)state;
    struct rules *rules = rules_create();
    struct kit *kit = rules->kit;
    char name[MU_IMAGE_NAME_BYTES_MAX + 2];
    void **list = rule_alloc(rules->arena, MU_IMAGES_PER_POD + 1, sizeof *list);
    Kube__Container *container = kit_container(kit, false, "");
    memset(name, 'i', sizeof name);
    name[MU_IMAGE_NAME_BYTES_MAX + 1] = '\0';
    container->image = name;
    for (uint32_t i = 0; i <= MU_IMAGES_PER_POD; i++)
        list[i] = container;
    kit->spec.containers = (void *)list;
    kit->spec.n_containers = MU_IMAGES_PER_POD + 1;
    assert_marks(kit, 0);
    assert_int_equal(kit->out.image_count, MU_IMAGES_PER_POD);
    assert_str(kit->out.images[0].name, ":latest");
    name[MU_IMAGE_NAME_BYTES_MAX] = '\0';
    assert_marks(kit, 0);
    assert_int_equal(kit->out.images[0].name.len, MU_IMAGE_NAME_BYTES_MAX + 7);
    rules_destroy(rules);
}

/* --- nomination ---------------------------------------------------------------------------- */

static void test_pod_nomination__of_unbound_pods_only(void **state)
{
    (void)state;
    char longest[MU_NAME_BYTES_MAX + 2];
    struct kit *kit = kit_create();
    memset(longest, 'n', sizeof longest);
    longest[MU_NAME_BYTES_MAX + 1] = '\0';
    assert_marks(kit, 0);
    assert_int_equal(kit->out.nominated_node.len, 0);
    kit->status.nominatednodename = FIXTURE_TEXT("n7");
    assert_marks(kit, 0);
    assert_str(kit->out.nominated_node, "n7");
    kit->spec.nodename = FIXTURE_TEXT("n1");
    assert_marks(kit, 0);
    assert_int_equal(kit->out.nominated_node.len, 0);
    kit->spec.nodename = NULL;
    kit->status.nominatednodename = longest; /* no node is called that */
    assert_marks(kit, 0);
    assert_int_equal(kit->out.nominated_node.len, 0);
    kit_destroy(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pod_node_affinity__requirements__read_as_strictly_as_upstream),
        cmocka_unit_test(test_pod_node_affinity__required_without_terms__is_there),
        cmocka_unit_test(test_pod_node_affinity__preferred__weights_in_bounds),
        cmocka_unit_test(test_pod_terms__selectors__pairs_expressions_nil_and_empty),
        cmocka_unit_test(test_pod_terms__namespaces__own_listed_selected),
        cmocka_unit_test(test_pod_terms__unreadable_namespace_selector__marked),
        cmocka_unit_test(test_pod_terms__four_kinds__with_their_weights),
        cmocka_unit_test(test_pod_terms__own_keys__merged_unless_the_server_has),
        cmocka_unit_test(test_pod_spread__fields__read_with_their_defaults),
        cmocka_unit_test(test_pod_spread__cannot_be_read__marked_and_kept_in_bounds),
        cmocka_unit_test(test_pod_spread__own_keys__merged_with_the_present_label),
        cmocka_unit_test(test_pod_terms__beyond_the_bound__left_out_and_marked),
        cmocka_unit_test(test_pod_selectors__requirements_of_one_pod__bounded_together),
        cmocka_unit_test(test_pod_selectors__values_of_one_pod__bounded_together),
        cmocka_unit_test(test_pod_terms__keys_to_merge__paid_from_the_bound),
        cmocka_unit_test(test_pod_labels__kept_and_bounded),
        cmocka_unit_test(test_pod_decode__every_rule__memory_out_anywhere),
        cmocka_unit_test(test_pod_ports__of_app_containers_and_sidecars),
        cmocka_unit_test(test_pod_ports__cannot_be_read__marked),
        cmocka_unit_test(test_pod_ports__beyond_the_bound__left_out_and_marked),
        cmocka_unit_test(test_pod_images__normalised_as_nodes_name_them),
        cmocka_unit_test(test_pod_images__beyond_bounds__the_pod_is_as_placeable_as_ever),
        cmocka_unit_test(test_pod_nomination__of_unbound_pods_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
