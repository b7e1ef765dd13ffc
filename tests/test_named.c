/* Terms of a node affinity by the nodes that they name: the answer of looking at all of them, at a
 * bounded cost, and a gang that costs much all the same is named. */
#include "tests/mu_test.h"

#include "engine/base/bitset.h"
#include "engine/place/filter.h"
#include "engine/model/named.h"
#include "engine/session/session.h"
#include "tests/support/cluster.h"

enum { NODES = 600, TERMS = 1000 };

static char names[NODES + TERMS][8];

static struct mu_str name_of(uint32_t n)
{
    return mu_str_of(names[n]);
}

/* Nodes n0, n1 …, of which each third has no hostname label and each tenth an empty one. */
static void make_nodes(struct mu_cluster *cluster)
{
    const struct mu_amount amounts[] = {{MU_STR("cpu"), 4000}, {MU_STR("pods"), 110}};
    for (uint32_t n = 0; n < NODES + TERMS; n++)
        (void)snprintf(names[n], sizeof names[n], "n%u", n);
    mu_cluster_init(cluster, NODES, 4);
    for (uint32_t n = 0; n < NODES; n++) {
        const struct mu_label labels[] = {
            {MU_STR("disk"), n % 2 == 0 ? MU_STR("ssd") : MU_STR("hdd")},
            {MU_STR("kubernetes.io/hostname"), n % 10 == 0 ? MU_STR("") : name_of(n)}};
        const struct mu_node_object node = {.name = name_of(n),
                                            .labels = labels,
                                            .label_count = n % 3 == 0 ? 1 : 2,
                                            .allocatable = amounts,
                                            .allocatable_count = 2};
        (void)mu_cluster_node(cluster, &node);
    }
}

/* One requirement on a hostname or a name, sometimes one on a label besides. */
struct term_texts {
    struct mu_str values[2];
    struct mu_requirement labels[2];
    struct mu_requirement field;
};
static void random_term(struct mu_random *random, struct term_texts *texts,
                        struct mu_node_term *term)
{
    static const struct mu_str ssd = {"ssd", 3};
    static const enum mu_op ops[] = {MU_OP_IN, MU_OP_IN, MU_OP_IN, MU_OP_NOT_IN, MU_OP_EXISTS};
    enum mu_op op = ops[mu_random_below(random, 5)];
    uint32_t value_count = op == MU_OP_EXISTS ? 0 : 1 + (uint32_t)mu_random_below(random, 2);
    for (int v = 0; v < 2; v++)
        texts->values[v] = mu_random_below(random, 40) == 0
                               ? MU_STR("")
                               : name_of((uint32_t)mu_random_below(random, NODES + TERMS));
    texts->labels[0] =
        (struct mu_requirement){MU_STR("kubernetes.io/hostname"), op, texts->values, value_count};
    texts->labels[1] = (struct mu_requirement){MU_STR("disk"), MU_OP_IN, &ssd, 1};
    texts->field = (struct mu_requirement){MU_STR("metadata.name"), MU_OP_IN, texts->values, 1};
    *term = (struct mu_node_term){0};
    if (mu_random_below(random, 3) == 0) {
        term->fields = (struct mu_selector){.requirements = &texts->field, .requirement_count = 1};
        if (mu_random_below(random, 2) == 0)
            return;
    }
    uint32_t begin = (uint32_t)mu_random_below(random, 2);
    term->labels = (struct mu_selector){
        .requirements = texts->labels + begin,
        .requirement_count = begin == 1 ? 1 : 1 + (uint32_t)mu_random_below(random, 2)};
}

static void test_named_selects__random_terms__as_looking_at_all(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(31);
    static struct mu_node_term terms[TERMS];
    static struct term_texts texts[TERMS];
    static struct mu_named named;
    uint32_t selected = 0, refused = 0;
    for (run.step = 0; run.step < 60; run.step++) {
        struct mu_cluster cluster;
        make_nodes(&cluster);
        uint32_t count = (uint32_t)mu_random_below(&run.random, run.step % 2 == 0 ? 200 : 5);
        for (uint32_t t = 0; t < count; t++)
            random_term(&run.random, &texts[t], &terms[t]);
        const struct mu_pod_object pod = {
            .has_node_terms = true, .node_terms = terms, .node_term_count = count};
        const struct mu_class *c =
            mu_model_get_class(cluster.model, mu_cluster_class(&cluster, &pod));
        const struct mu_affinity *affinity = mu_model_get_affinity(cluster.model, c->affinity);
        mu_named_make(&named, cluster.model, affinity);
        for (uint32_t n = 0; n < NODES; n++) {
            const struct mu_labels_view labels =
                mu_snapshot_labels(&cluster.snapshot, (struct mu_node_ix){n});
            struct mu_symbol name = cluster.snapshot.nodes[n].name;
            uint64_t looks = 0;
            bool wanted = mu_affinity_selects(cluster.model, affinity, &labels, name);
            assert_int_equal(mu_named_selects(&named, cluster.model, &labels, name, &looks),
                             wanted);
            assert_true(looks > 0);
            selected += wanted;
            refused += !wanted;
        }
        mu_cluster_fini(&cluster);
    }
    assert_true(selected > 1000 && refused > 1000);
}

/* A class of TERMS terms, each about a node of its own. */
static struct mu_class_ix costly_class(struct mu_cluster *cluster, enum mu_op op)
{
    static struct mu_str values[TERMS];
    static struct mu_requirement requirements[TERMS];
    static struct mu_node_term terms[TERMS];
    for (uint32_t t = 0; t < TERMS; t++) {
        values[t] = name_of(NODES / 2 + t); /* some of them are there */
        requirements[t] =
            (struct mu_requirement){MU_STR("kubernetes.io/hostname"), op, &values[t], 1};
        terms[t] = (struct mu_node_term){
            .labels = {.requirements = &requirements[t], .requirement_count = 1}};
    }
    const struct mu_amount cpu = {MU_STR("cpu"), 100};
    const struct mu_pod_object pod = {.has_node_terms = true,
                                      .node_terms = terms,
                                      .node_term_count = TERMS,
                                      .requests = &cpu,
                                      .request_count = 1};
    return mu_cluster_class(cluster, &pod);
}

static void test_filter_mask__a_thousand_hostnames__cost_a_look_a_node(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    make_nodes(&cluster);
    struct mu_class_ix ix = costly_class(&cluster, MU_OP_IN);
    struct mu_filter *filter = mu_filter_create(mu_scan_best());
    const struct mu_filter_mask *mask;
    const struct mu_class *c = mu_model_get_class(cluster.model, ix);
    mu_filter_begin(filter, &cluster.snapshot);
    assert_int_equal(mu_filter_mask(filter, c, &mask), 0);
    assert_true(mu_filter_looks(filter) < 4 * NODES);
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(mu_bitset_test(mask->bits[0], n),
                         mu_filter_verdict(&cluster.snapshot, c, (struct mu_node_ix){n}).kind ==
                             MU_FITS);
    mu_filter_destroy(filter);
    mu_cluster_fini(&cluster);
}

/* What cannot be told by names costs what the bound allows, and the session says whose it is. */
static void test_session_costliest__many_requirements__the_gang_is_named(void **state)
{
    (void)state;
    struct mu_cluster cluster;
    make_nodes(&cluster);
    const struct mu_session_config config = {.profile = &mu_profile_spread};
    struct mu_session *session = mu_session_create(&config);
    const struct mu_plan *plan = NULL;
    struct mu_gang_ix gang;
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    assert_int_equal(mu_session_costliest(session, &gang), 0);
    assert_int_equal(gang.v, MU_NONE);
    (void)mu_cluster_plain_gang(&cluster, mu_cluster_plain_class(&cluster, 100, 0, 0), 1);
    uint32_t costly = mu_cluster_plain_gang(&cluster, costly_class(&cluster, MU_OP_NOT_IN), 1);
    assert_int_equal(mu_session_run(session, &cluster.snapshot, 0, &plan), 0);
    uint64_t looks = mu_session_costliest(session, &gang);
    assert_int_equal(gang.v, costly);
    assert_true(looks >= NODES);
    assert_true(looks <= (uint64_t)NODES * (1 + 2 * TERMS));
    mu_session_destroy(session);
    mu_cluster_fini(&cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named_selects__random_terms__as_looking_at_all),
        cmocka_unit_test(test_filter_mask__a_thousand_hostnames__cost_a_look_a_node),
        cmocka_unit_test(test_session_costliest__many_requirements__the_gang_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
