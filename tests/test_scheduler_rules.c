/* Rules about other pods, end to end on the embedded API server: decoded, counted, obeyed. */
#include "tests/scheduler_rig.h"

static const struct mu_str web[] = {{"web", 3}};
static const struct mu_requirement app_web[] = {{{"app", 3}, MU_OP_IN, web, 1}};
static const struct mu_selector selects_web = {.requirements = app_web, .requirement_count = 1};
static const struct mu_label labels_web[] = {{{"app", 3}, {"web", 3}}};
static const struct mu_str own_namespace[] = {{"default", 7}};

/* n0 and n1 in zone z0, n2 and n3 in z1, each with room for any pod here. */
static void rig_zones(struct rig *r)
{
    const struct mu_amount allocatable[] = {{MU_STR("cpu"), 64000}, {MU_STR("pods"), 110}};
    rig_init(r, &mu_profile_spread);
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        const struct mu_label labels[] = {{MU_STR("kubernetes.io/hostname"), mu_str_of(name)},
                                          {MU_STR("zone"), i < 2 ? MU_STR("z0") : MU_STR("z1")}};
        const struct mu_node_object node = {.name = mu_str_of(name),
                                            .labels = labels,
                                            .label_count = 2,
                                            .allocatable = allocatable,
                                            .allocatable_count = 2};
        post_node(r, &node);
    }
}

/* A pod of app=web with what `object` says besides; in "default" unless it says otherwise. */
static void post_pod(struct rig *r, const char *name, struct mu_pod_object object)
{
    const struct mu_amount request = {MU_STR("cpu"), 100};
    struct mu_buf body = {0};
    struct mu_api_response response;
    char path[96];
    if (object.ns.len == 0)
        object.ns = MU_STR("default");
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/%.*s/pods", MU_STR_ARGS(object.ns));
    object.name = mu_str_of(name);
    object.requests = &request;
    object.request_count = 1;
    object.labels = labels_web;
    object.label_count = 1;
    const struct mu_workload_pod pod = {.object = object};
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, r->scratch, &body), 0);
    int status = call(r, MU_POST, path, &body, &response);
    if (status != 201)
        fail_msg("%s: %d %.*s", name, status, (int)response.body.len,
                 (const char *)response.body.data);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* Nodes of all bound pods as bits, and how often the fullest has one. */
struct places {
    struct mu_arena *arena;
    uint32_t bound, pending, on[4];
};

static int see_place(void *context, struct mu_str raw)
{
    struct places *p = context;
    struct mu_pod_bound pod;
    mu_arena_reset(p->arena);
    assert_int_equal(mu_pod_bound_decode(raw, p->arena, &pod, NULL), 0);
    p->bound += pod.node.len > 0;
    p->pending += pod.node.len == 0;
    if (pod.node.len > 0)
        p->on[pod.node.data[1] - '0']++;
    return 0;
}

static struct places places_of(struct rig *r)
{
    struct places p = {.arena = mu_arena_create(1 << 20)};
    assert_int_equal(mu_apiserver_each(r->server, "pods", see_place, &p), 0);
    mu_arena_destroy(p.arena);
    return p;
}

static void post_many(struct rig *r, uint32_t count, struct mu_pod_object object)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%u", i);
        post_pod(r, name, object);
    }
}

static void test_scheduler__host_ports__one_pod_a_node(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_host_port port = {MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 8080};
    rig_zones(&r);
    post_many(&r, 6, (struct mu_pod_object){.ports = &port, .port_count = 1});
    start(&r);
    struct places p = places_of(&r);
    assert_int_equal(p.bound, 4);
    assert_int_equal(p.pending, 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(p.on[i], 1);
    rig_fini(&r);
}

static struct mu_pod_term term_of(enum mu_term_kind kind)
{
    return (struct mu_pod_term){.kind = kind,
                                .topology_key = MU_STR("zone"),
                                .selector = selects_web,
                                .namespaces = own_namespace,
                                .namespace_count = 1};
}

static void test_scheduler__anti_affinity__one_pod_a_zone(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_pod_term term = term_of(MU_TERM_ANTI_AFFINITY);
    rig_zones(&r);
    post_many(&r, 5, (struct mu_pod_object){.terms = &term, .term_count = 1});
    start(&r);
    struct places p = places_of(&r);
    assert_int_equal(p.bound, 2);
    assert_int_equal(p.on[0] + p.on[1], 1);
    assert_int_equal(p.on[2] + p.on[3], 1);
    rig_fini(&r);
}

/* The placed pod's own rule keeps others out, though they have none. */
static void test_scheduler__anti_affinity_of_a_placed_pod__holds(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_pod_term term = term_of(MU_TERM_ANTI_AFFINITY);
    rig_zones(&r);
    post_pod(&r, "first", (struct mu_pod_object){.terms = &term, .term_count = 1});
    start(&r);
    assert_int_equal(places_of(&r).bound, 1);
    post_many(&r, 3, (struct mu_pod_object){.priority = 0});
    run_for(&r, MU_NS_PER_S);
    struct places p = places_of(&r);
    assert_int_equal(p.bound, 4);
    assert_true(p.on[0] + p.on[1] == 1 || p.on[2] + p.on[3] == 1);
    rig_fini(&r);
}

static void test_scheduler__affinity__all_in_the_zone_of_the_first(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_pod_term term = term_of(MU_TERM_AFFINITY);
    rig_zones(&r);
    post_many(&r, 6, (struct mu_pod_object){.terms = &term, .term_count = 1});
    start(&r);
    struct places p = places_of(&r);
    assert_int_equal(p.bound, 6);
    assert_true(p.on[0] + p.on[1] == 6 || p.on[2] + p.on[3] == 6);
    rig_fini(&r);
}

static void test_scheduler__spread__zones_stay_level(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_spread spread = {.topology_key = MU_STR("zone"),
                                     .selector = selects_web,
                                     .max_skew = 1,
                                     .min_domains = 1,
                                     .hard = true,
                                     .honor_affinity = true};
    rig_zones(&r);
    post_many(&r, 9, (struct mu_pod_object){.spreads = &spread, .spread_count = 1});
    start(&r);
    struct places p = places_of(&r);
    uint32_t z0 = p.on[0] + p.on[1], z1 = p.on[2] + p.on[3];
    assert_int_equal(p.bound, 9);
    assert_true(z0 + 1 >= z1 && z1 + 1 >= z0);
    rig_fini(&r);
}

/* --- labels of namespaces --------------------------------------------------------------------- */

static const struct mu_str prod[] = {{"prod", 4}};
static const struct mu_requirement env_prod[] = {{{"env", 3}, MU_OP_IN, prod, 1}};
static const struct mu_selector selects_prod = {.requirements = env_prod, .requirement_count = 1};

static void set_env(struct rig *r, const char *name, const char *env)
{
    char path[96], body[96];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/%s", name);
    int len = snprintf(body, sizeof body, "{\"metadata\":{\"labels\":{\"env\":\"%s\"}}}", env);
    struct mu_api_request request = {.method = MU_PATCH,
                                     .path = mu_str_of(path),
                                     .content = MU_MEDIA_MERGE_PATCH,
                                     .body = {body, (uint32_t)len}};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
    run_for(r, MU_NS_PER_S);
}

/* A pod of team-a on n3, whatever else there is. */
static void post_friend(struct rig *r)
{
    const struct mu_namespace_object team = {.name = MU_STR("team-a")};
    const struct mu_label host = {MU_STR("kubernetes.io/hostname"), MU_STR("n3")};
    struct mu_buf body = {0};
    struct mu_api_response response;
    assert_int_equal(mu_workload_encode_namespace(&team, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
    post_pod(
        r, "friend",
        (struct mu_pod_object){.ns = MU_STR("team-a"), .selector = &host, .selector_count = 1});
}

/* It wants to be near pods of namespaces with env=prod, of which there are none until one is given
 * that label: nothing but the namespace changes. */
static void test_scheduler__namespace_relabelled__affinity_is_met(void **state)
{
    (void)state;
    struct rig r;
    struct mu_pod_term term = term_of(MU_TERM_AFFINITY);
    term.namespaces = NULL;
    term.namespace_count = 0;
    term.namespace_selector = &selects_prod;
    rig_zones(&r);
    post_friend(&r);
    post_pod(&r, "waits", (struct mu_pod_object){.terms = &term, .term_count = 1});
    start(&r);
    assert_int_equal(places_of(&r).on[3], 1);
    assert_int_equal(places_of(&r).pending, 1);
    set_env(&r, "team-a", "test");
    assert_int_equal(places_of(&r).pending, 1);
    set_env(&r, "team-a", "prod");
    struct places p = places_of(&r);
    assert_int_equal(p.bound, 2);
    assert_int_equal(p.on[2] + p.on[3], 2); /* in the friend's zone */
    rig_fini(&r);
}

/* The other way round: the label that is taken away lets it in. */
static void test_scheduler__namespace_relabelled__anti_affinity_is_lifted(void **state)
{
    (void)state;
    struct rig r;
    struct mu_pod_term term = term_of(MU_TERM_ANTI_AFFINITY);
    const struct mu_label zone = {MU_STR("zone"), MU_STR("z1")};
    term.namespaces = NULL;
    term.namespace_count = 0;
    term.namespace_selector = &selects_prod;
    rig_zones(&r);
    post_friend(&r);
    start(&r);
    set_env(&r, "team-a", "prod");
    post_pod(&r, "waits",
             (struct mu_pod_object){
                 .terms = &term, .term_count = 1, .selector = &zone, .selector_count = 1});
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(places_of(&r).pending, 1);
    set_env(&r, "team-a", "test");
    assert_int_equal(places_of(&r).pending, 0);
    rig_fini(&r);
}

/* --- node affinity ---------------------------------------------------------------------------- */

/* By name, by labels, and by both at once; terms are alternatives. */
static void test_scheduler__node_affinity__decides_the_node(void **state)
{
    static const struct mu_str z1[] = {{"z1", 2}}, n1[] = {{"n1", 2}}, n2[] = {{"n2", 2}};
    static const struct mu_str nowhere[] = {{"n9", 2}};
    static const struct mu_requirement in_z1 = {{"zone", 4}, MU_OP_IN, z1, 1};
    static const struct mu_requirement is_n1 = {{"metadata.name", 13}, MU_OP_IN, n1, 1};
    static const struct mu_requirement not_n2 = {{"metadata.name", 13}, MU_OP_NOT_IN, n2, 1};
    static const struct mu_requirement is_n9 = {{"metadata.name", 13}, MU_OP_IN, nowhere, 1};
    static const struct {
        struct mu_node_term terms[2];
        uint32_t count;
        int node; /* -1: none */
    } cases[] = {
        {{{.fields = {false, &is_n1, 1}}}, 1, 1},
        {{{.labels = {false, &in_z1, 1}, .fields = {false, &not_n2, 1}}}, 1, 3},
        {{{.labels = {false, &in_z1, 1}, .fields = {false, &is_n1, 1}}}, 1, -1},
        {{{.fields = {false, &is_n9, 1}}, {.fields = {false, &is_n1, 1}}}, 2, 1},
        {{{.fields = {false, &is_n9, 1}}}, 1, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        rig_zones(&r);
        post_many(&r, 3,
                  (struct mu_pod_object){.has_node_terms = true,
                                         .node_terms = cases[i].terms,
                                         .node_term_count = cases[i].count});
        start(&r);
        struct places p = places_of(&r);
        assert_int_equal(p.bound, cases[i].node < 0 ? 0 : 3);
        for (int n = 0; n < 4; n++)
            assert_int_equal(p.on[n], n == cases[i].node ? 3 : 0);
        rig_fini(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler__host_ports__one_pod_a_node),
        cmocka_unit_test(test_scheduler__anti_affinity__one_pod_a_zone),
        cmocka_unit_test(test_scheduler__anti_affinity_of_a_placed_pod__holds),
        cmocka_unit_test(test_scheduler__affinity__all_in_the_zone_of_the_first),
        cmocka_unit_test(test_scheduler__spread__zones_stay_level),
        cmocka_unit_test(test_scheduler__namespace_relabelled__affinity_is_met),
        cmocka_unit_test(test_scheduler__namespace_relabelled__anti_affinity_is_lifted),
        cmocka_unit_test(test_scheduler__node_affinity__decides_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
