/*
 * `preemption` in `muster explain`: who would have to go, in JSON and in words; and over random
 * clusters the same that `muster place` does, for every pod of the one gang that waits.
 */
#include "tests/manifest_kit.h"

#define NODE(name, more)                                                                           \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n" more                           \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
#define POD(name, meta, spec, cpu)                                                                 \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: " cpu "}}}]}\n"
#define RUNS(name, node, priority, cpu)                                                            \
    POD(name, ", labels: {app: " name "}", "nodeName: " node ", priority: " priority ", ", cpu)
#define WAITS(name, priority, cpu) POD(name, "", "priority: " priority ", ", cpu)
#define GANG(name, size)                                                                           \
    ", annotations: {muster.dev/pod-group: " name ", muster.dev/pod-group-size: '" size "'}"
#define BUDGET(app)                                                                                \
    "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\n"                 \
    "spec: {minAvailable: 1, selector: {matchLabels: {app: " app "}}}\n"

/* ---- cases -------------------------------------------------------------------------------- */

struct explained {
    const char *text, *pod, *json; /* ' for " */
    const char *words;             /* the end of the table from "preemption:" on; "": nothing */
};
static const struct explained cases[] = {
    {NODE("n1", "") RUNS("a", "n1", "10", "2") RUNS("b", "n1", "10", "2") WAITS("p", "20", "4"),
     "p", "{'node':'n1','victims':['default/a','default/b'],'pdb_violations':0}",
     "preemption:\n  would fit on n1 if default/a, default/b (priority 10) were evicted\n"},
    /* the most important first, each with its priority */
    {NODE("n1", "") RUNS("a", "n1", "10", "2") RUNS("b", "n1", "11", "2") WAITS("p", "20", "4"),
     "p", "{'node':'n1','victims':['default/b','default/a'],'pdb_violations':0}",
     "preemption:\n  would fit on n1 if default/b (priority 11), default/a (priority 10) were "
     "evicted\n"},
    {BUDGET("a") NODE("n1", "") RUNS("a", "n1", "10", "4") WAITS("p", "20", "4"), "p",
     "{'node':'n1','victims':['default/a'],'pdb_violations':1}",
     "preemption:\n  would fit on n1 if default/a (priority 10) were evicted, 1 of them against a "
     "disruption budget\n"},
    /* its gang goes with it, and beside it */
    {NODE("n1", "") NODE("n2", "") POD("a", GANG("low", "2"), "nodeName: n1, priority: 1, ", "3")
         POD("b", GANG("low", "2"), "nodeName: n2, priority: 1, ", "3") WAITS("p", "2", "3"),
     "p", "{'node':'n2','victims':['default/b','default/a'],'pdb_violations':0}",
     "preemption:\n  would fit on n2 if default/b, default/a (priority 1) were evicted\n"},
    {NODE("n1", "") NODE("n2", "") RUNS("a", "n1", "1", "3") RUNS("b", "n2", "1", "3") POD(
         "p", GANG("g", "2"), "priority: 9, ", "4") POD("q", GANG("g", "2"), "priority: 9, ", "4"),
     "p",
     "{'node':'n2','victims':['default/b','default/a'],'pdb_violations':0,'gang':'default/g',"
     "'nodes':{'default/p':'n2','default/q':'n1'}}",
     "preemption:\n  gang default/g would fit if default/b, default/a (priority 1) were evicted\n"
     "    it on n2, default/q on n1\n"},
    /* this pod alone would fit, its gang does not */
    {NODE("n1", "") NODE("n2", "") RUNS("a", "n1", "1", "3") POD(
         "p", GANG("g", "2"), "priority: 9, ", "4") POD("q", GANG("g", "2"), "priority: 9, ", "4"),
     "q",
     "{'node':'n1','victims':['default/a'],'pdb_violations':0,'gang':'default/g',"
     "'nodes':{'default/p':'n2','default/q':'n1'}}",
     "preemption:\n  gang default/g would fit if default/a (priority 1) were evicted\n"
     "    it on n1, default/p on n2\n"},
    /* a member beyond the minimum displaces nobody */
    {NODE("n1", "") NODE("n2", "") RUNS("a", "n1", "1", "4") RUNS("b", "n2", "7", "4") POD(
         "p", GANG("g", "1"), "priority: 5, ", "4") POD("q", GANG("g", "1"), "priority: 5, ", "4"),
     "q",
     "{'node':null,'victims':['default/a'],'pdb_violations':0,'gang':'default/g',"
     "'nodes':{'default/p':'n1'}}",
     "preemption:\n  gang default/g would fit if default/a (priority 1) were evicted\n"
     "    it would wait all the same, default/p on n1\n"},
    /* room is there, or it is not room that it waits for */
    {NODE("n1", "") RUNS("a", "n1", "1", "1") WAITS("p", "9", "3"), "p", "null", ""},
    {NODE("n1", "") RUNS("a", "n1", "1", "4")
         POD("p", "", "priority: 9, schedulingGates: [{name: x}], ", "4"),
     "p", "null", ""},
    {NODE("n1", "") RUNS("a", "n1", "1", "4")
         POD("p", "", "priority: 9, schedulerName: other, ", "4"),
     "p", "null", ""},
    {NODE("n1", "") RUNS("a", "n1", "1", "4") POD("p", GANG("g", "2"), "priority: 9, ", "4"), "p",
     "null", ""},
    {NODE("n1", "") RUNS("a", "n1", "1", "4")
         POD("p", "", "priority: 9, resourceClaims: [{name: x, resourceClaimName: claim}], ", "4"),
     "p", "null", ""},
    /* nobody may go, or the pod asks nobody to */
    {NODE("n1", "") RUNS("a", "n1", "9", "4") WAITS("p", "9", "4"), "p", "null",
     "preemption: nobody was found who could make room for it\n"},
    {NODE("n1", "") RUNS("a", "n1", "1", "4") POD("p", GANG("g", "2"), "priority: 9, ", "4")
         POD("q", GANG("g", "2"), "priority: 9, ", "4"),
     "p", "null", "preemption: nobody was found who could make room for its gang\n"},
    {NODE("n1", "") RUNS("a", "n1", "1", "4")
         POD("p", "", "priority: 9, preemptionPolicy: Never, ", "4"),
     "p", "null", "preemption: none, its preemptionPolicy is Never\n"},
    /* one that runs is looked at as if it were to come */
    {NODE("n1", "") RUNS("a", "n1", "1", "4") RUNS("p", "n1", "9", "4"), "p",
     "{'node':'n1','victims':['default/a'],'pdb_violations':0}",
     "preemption:\n  would fit on n1 if default/a (priority 1) were evicted\n"},
    /* another pod that waits takes no room from it */
    {NODE("n1", "") RUNS("a", "n1", "1", "4") WAITS("p", "2", "4") WAITS("first", "3", "4"), "p",
     "{'node':'n1','victims':['default/a'],'pdb_violations':0}",
     "preemption:\n  would fit on n1 if default/a (priority 1) were evicted\n"},
};

static void assert_json(const json_t *got, const char *expected)
{
    char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '"' ? '\'' : *c;
    assert_string_equal(text, expected);
    mu_mem_free(text);
}

static void test_explain__preemption__who_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct offline_rig rig = rig_read("f", cases[i].text);
        struct mu_explanation x = rig_explain(&rig, "default", cases[i].pod);
        struct mu_buf json = {.max = 0}, table = {.max = 0};
        assert_int_equal(mu_explanation_write_json(&x, &json), 0);
        json_t *answer = rig_json(&json);
        assert_json(json_object_get(answer, "preemption"), cases[i].json);
        assert_int_equal(mu_explanation_write_table(&x, &table), 0);
        assert_int_equal(mu_buf_append(&table, "", 1), 0);
        const char *words = strstr((const char *)table.data, "\npreemption:");
        assert_string_equal(words != NULL ? words + 1 : "", cases[i].words);
        mu_buf_fini(&table);
        json_decref(answer);
        rig_drop(&rig);
    }
}

/* Long lists are cut in words, and whole in JSON. */
static void test_explain__many_victims__some_are_named(void **state)
{
    (void)state;
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", NODE("n1", "") WAITS("p", "9", "4"));
    for (int i = 0; i < 10; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, RUNS("v%d", "n1", "1", "300m"), i, i);
    for (int i = 0; i < 10; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, RUNS("w%d", "n1", "0", "100m"), i, i);
    struct offline_rig rig = rig_read("f", text);
    struct mu_explanation x = rig_explain(&rig, "default", "p");
    struct mu_buf table = {.max = 0};
    assert_int_equal(x.preemption.kind, MU_PREEMPTION_FOUND);
    assert_int_equal(x.preemption.victim_count, 20);
    assert_int_equal(mu_explanation_write_table(&x, &table), 0);
    assert_int_equal(mu_buf_append(&table, "", 1), 0);
    assert_non_null(
        strstr((const char *)table.data, "default/v9 (priority 1) and 10 more were evicted\n"));
    mu_buf_fini(&table);
    rig_drop(&rig);
}

/* ---- as `muster place` -------------------------------------------------------------------- */

static uint32_t below(struct mu_test_run *run, uint32_t bound)
{
    return (uint32_t)mu_random_below(&run->random, bound);
}

struct drawing {
    struct mu_test_run *run;
    char text[1 << 15];
    size_t len;
    uint32_t nodes, members;
};

__attribute__((format(printf, 2, 3))) static void draw(struct drawing *d, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    d->len += (size_t)vsnprintf(d->text + d->len, sizeof d->text - d->len, format, args);
    va_end(args);
    assert_true(d->len < sizeof d->text);
}

static void draw_node(struct drawing *d, uint32_t n)
{
    draw(d, "---\napiVersion: v1\nkind: Node\nmetadata: {name: n%u, labels: {zone: z%u%s}}\n", n,
         below(d->run, 2), below(d->run, 3) == 0 ? ", muster.dev/gpu-sharing: 'true'" : "");
    if (below(d->run, 8) == 0)
        draw(d, "spec: {taints: [{key: t, effect: NoSchedule}]}\n");
    draw(d, "status: {allocatable: {cpu: %u, memory: 8Gi, pods: %u, x.com/gpu: %u}}\n",
         2 + below(d->run, 5), 2 + below(d->run, 4), below(d->run, 3));
}

static void draw_rules(struct drawing *d)
{
    static const char *const rules[] = {
        "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
        "[{topologyKey: zone, labelSelector: {matchLabels: {app: x}}}]}}, ",
        "topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: "
        "DoNotSchedule, labelSelector: {matchLabels: {app: x}}}], ",
        "nodeSelector: {zone: z1}, ", "tolerations: [{key: t, operator: Exists}], "};
    uint32_t which = below(d->run, 16);
    draw(d, "%s", which < sizeof rules / sizeof rules[0] ? rules[which] : "");
}

static void draw_container(struct drawing *d)
{
    draw(d, "containers: [{name: c, %sresources: {requests: {cpu: %u}, limits: {%s}}}]}\n",
         below(d->run, 8) == 0 ? "ports: [{containerPort: 80, hostPort: 80}], " : "",
         1 + below(d->run, 3), below(d->run, 4) == 0 ? "x.com/gpu: 1" : "");
}

static void draw_running(struct drawing *d, uint32_t p)
{
    static const char *const gangs[] = {
        "", "", ", annotations: {muster.dev/pod-group: ga, muster.dev/pod-group-size: '2'}",
        ", annotations: {muster.dev/pod-group: gb, muster.dev/pod-group-size: '1'}",
        ", annotations: {volcano.sh/preemptable: 'false'}"};
    draw(d, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: r%u, labels: {app: %s}%s%s}\n", p,
         below(d->run, 2) ? "x" : "z", gangs[below(d->run, 5)],
         below(d->run, 12) == 0 ? ", deletionTimestamp: '2026-01-01T00:00:00Z'" : "");
    draw(d, "status: {phase: Running, startTime: '2026-01-01T00:00:0%uZ'}\n", below(d->run, 4));
    draw(d, "spec: {nodeName: n%u, priority: %u, ", below(d->run, d->nodes), below(d->run, 4));
    draw_rules(d);
    draw_container(d);
}

static void draw_world(struct drawing *d)
{
    d->len = 0;
    d->nodes = 1 + below(d->run, 5);
    d->members = below(d->run, 2) ? 1 : 1 + below(d->run, 4);
    uint32_t running = below(d->run, 12), size = 1 + below(d->run, d->members);
    uint32_t priority = below(d->run, 5);
    bool alike = below(d->run, 2) == 0;
    for (uint32_t n = 0; n < d->nodes; n++)
        draw_node(d, n);
    for (uint32_t p = 0; p < running; p++)
        draw_running(d, p);
    if (below(d->run, 3) == 0)
        draw(d, BUDGET("%s"), below(d->run, 2) ? "x" : "z");
    const uint64_t seed = mu_random_u64(&d->run->random);
    for (uint32_t m = 0; m < d->members; m++) {
        struct mu_random saved = d->run->random;
        if (alike)
            mu_random_init_seed(&d->run->random, seed);
        draw(d, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%u, labels: {app: x}", m);
        if (d->members > 1)
            draw(d, GANG("g", "%u"), size);
        draw(d, "}\nspec: {priority: %u, ", priority);
        draw_rules(d);
        draw_container(d);
        if (alike)
            d->run->random = saved;
    }
}

static const json_t *find_pod(const json_t *list, struct mu_str pod)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (mu_str_equal(mu_str_of(json_string_value(json_object_get(item, "pod"))), pod))
            return item;
    }
    return NULL;
}

/* Both say the same: the victims in one order, and where each pod goes that both speak of. */
static void compare(struct mu_test_run *run, const json_t *placed, const struct mu_explanation *x)
{
    const struct mu_preemption *p = &x->preemption;
    const json_t *evictions = json_object_get(placed, "evictions");
    const json_t *bindings = json_object_get(placed, "bindings");
    MU_TEST_CHECK(run, json_array_size(evictions) == p->victim_count);
    for (uint32_t i = 0; i < p->victim_count; i++) {
        const json_t *item = json_array_get(evictions, i);
        const char *pod = json_string_value(json_object_get(item, "pod"));
        MU_TEST_CHECK(run, mu_str_equal(mu_str_of(pod), p->victims[i].pod));
    }
    for (uint32_t i = 0; i < p->place_count; i++) {
        const json_t *item = find_pod(bindings, p->places[i].pod);
        MU_TEST_CHECK(run, item != NULL);
        const char *node = json_string_value(json_object_get(item, "node"));
        MU_TEST_CHECK(run, mu_str_equal(mu_str_of(node), p->places[i].node));
        if (mu_str_equal(p->places[i].pod, x->pod))
            MU_TEST_CHECK(run, mu_str_equal(p->places[i].node, p->node));
    }
    if (p->kind == MU_PREEMPTION_NOBODY)
        MU_TEST_CHECK(run, json_array_size(bindings) == 0);
}

static void test_explain__random_clusters__as_place_does(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(1);
    struct drawing *d = mu_mem_calloc(1, sizeof *d);
    uint32_t found = 0, gangs = 0, several = 0;
    assert_non_null(d);
    d->run = &run;
    for (run.step = 0; run.step < 1200; run.step++) {
        draw_world(d);
        struct offline_rig rig = rig_read("f", d->text);
        json_t *placed = rig_place(&rig, &mu_profile_spread);
        rig_drop(&rig);
        for (uint32_t m = 0; m < d->members; m++) {
            char name[16];
            (void)snprintf(name, sizeof name, "p%u", m);
            rig = rig_read("f", d->text);
            struct mu_explanation x = rig_explain(&rig, "default", name);
            compare(&run, placed, &x);
            found += x.preemption.kind == MU_PREEMPTION_FOUND;
            gangs += x.preemption.place_count > 1;
            several += x.preemption.victim_count > 1;
            rig_drop(&rig);
        }
        json_decref(placed);
    }
    print_message("%u answers with victims: %u of several pods, %u with several victims\n", found,
                  gangs, several);
    assert_true(found > 150 && gangs > 50 && several > 50);
    mu_mem_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain__preemption__who_and_where),
        cmocka_unit_test(test_explain__many_victims__some_are_named),
        cmocka_unit_test(test_explain__random_clusters__as_place_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
