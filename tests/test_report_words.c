/* What waits are called, from real plans. The sentences of gangs are in test_scheduler_report.c. */
#include "tests/mu_test.h"

#include "tests/db_fixture.h"

#include "engine/place/filter.h"
#include "engine/session/session.h"
#include "informer/report_priv.h"
#include "tools/scheduler/report_words.h"

struct words_rig {
    struct mu_db *db;
    struct mu_snapshot *snapshot;
    struct mu_session *session;
    struct mu_report_words *words;
};

static struct words_rig rig_create_with(struct mu_session_config config)
{
    struct words_rig rig = {.db = fixture_create(0)};
    rig.snapshot = mu_db_replica_create(rig.db);
    config.profile = &mu_profile_spread;
    rig.session = mu_session_create(&config);
    rig.words = mu_report_words_create(&mu_profile_spread);
    assert_non_null(rig.words);
    return rig;
}

static struct words_rig rig_create(void)
{
    return rig_create_with((struct mu_session_config){.profile = NULL});
}

static void rig_destroy(struct words_rig *rig)
{
    mu_report_words_destroy(rig->words);
    mu_session_destroy(rig->session);
    mu_db_destroy(rig->db);
}

/* Of the gangs that wait the nth is told about in these words. */
static void assert_nth_told(struct words_rig *rig, uint32_t nth, uint64_t now_ns,
                            const char *expected)
{
    const struct mu_plan *plan;
    fixture_sync(rig->db, rig->snapshot);
    assert_int_equal(mu_session_run(rig->session, rig->snapshot, now_ns, &plan), 0);
    assert_true(nth < plan->wait_count);
    mu_report_words_begin(rig->words, rig->snapshot, plan);
    struct mu_report_text *text = mu_report_words_gang(rig->words, rig->db, &plan->waits[nth]);
    assert_non_null(text);
    char message[MU_REPORT_TEXT_MAX + 1];
    (void)snprintf(message, sizeof message, "%.*s", (int)text->len, text->data);
    assert_string_equal(message, expected);
    mu_report_text_unref(text);
    mu_report_words_end(rig->words);
}

/* The only gang that waits. */
static void assert_told(struct words_rig *rig, const char *expected)
{
    assert_nth_told(rig, 0, 0, expected);
}

static void put_pod(struct words_rig *rig, int64_t cpu_millis)
{
    struct fixture_pod pod;
    fixture_pod(&pod, 1, 1);
    pod.amounts[0].value = cpu_millis;
    fixture_put(rig->db, &pod, 0);
}

static void put_node(struct words_rig *rig, const char *name, struct mu_taint taint,
                     int64_t pod_slots)
{
    struct fixture_node node;
    fixture_node(&node, name, 1, 8, 0);
    node.amounts[2].value = pod_slots;
    node.object.taints = &taint;
    node.object.taint_count = taint.key.len > 0;
    assert_int_equal(mu_db_node_upsert(rig->db, &node.object, 0, NULL), 0);
}

static const struct mu_taint no_taint = {{NULL, 0}, {NULL, 0}, MU_EFFECT_ANY};

static void test_report_words__no_nodes__says_so(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    put_pod(&rig, 1000);
    assert_told(&rig, "no nodes available to schedule pods");
    rig_destroy(&rig);
}

static void test_report_words__several_reasons__sorted_by_text(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    put_pod(&rig, 9000);
    fixture_put_node(rig.db, "a", 1, 8);
    fixture_put_node(rig.db, "b", 1, 8);
    put_node(&rig, "c", no_taint, 0); /* no slot either */
    put_node(&rig, "d", (struct mu_taint){MU_STR("k"), MU_STR("v"), MU_EFFECT_NO_SCHEDULE}, 10);
    put_node(&rig, "e", (struct mu_taint){MU_STR("k"), MU_STR(""), MU_EFFECT_NO_EXECUTE}, 10);
    put_node(&rig, "f", (struct mu_taint){MU_STR("k"), MU_STR("v"), MU_EFFECT_PREFER_NO_SCHEDULE},
             10); /* filters nothing */
    assert_told(&rig, "0/6 nodes are available: 1 Too many pods, "
                      "1 node(s) had untolerated taint {k: v}, "
                      "1 node(s) had untolerated taint {k: }, 4 Insufficient cpu.");
    rig_destroy(&rig);
}

static void test_report_words__no_slot_left__too_many_pods(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    put_pod(&rig, 1000);
    put_node(&rig, "a", no_taint, 0);
    assert_told(&rig, "0/1 nodes are available: 1 Too many pods.");
    rig_destroy(&rig);
}

/* A node counts once for each thing that it lacks; numbers are sorted as text. */
static void test_report_words__several_lacks__all_told(void **state)
{
    struct words_rig rig = rig_create();
    struct fixture_pod pod;
    char name[16];
    (void)state;
    fixture_pod(&pod, 1, 1);
    pod.amounts[0].value = 9000;
    pod.amounts[1].value = 100 * GIB;
    fixture_put(rig.db, &pod, 0);
    for (int n = 0; n < 10; n++) {
        (void)snprintf(name, sizeof name, "n%d", n);
        put_node(&rig, name, no_taint, n < 2 ? 0 : 10);
    }
    fixture_put_node(rig.db, "wide", 1, 16); /* 64 GiB */
    assert_told(&rig, "0/11 nodes are available: 10 Insufficient cpu, 11 Insufficient memory, "
                      "2 Too many pods.");
    const struct mu_class *class_ =
        mu_model_get_class(rig.snapshot->model, rig.snapshot->gangs[0].block->members[0].class_ix);
    struct mu_buf out = {.max = 0};
    mu_report_words_verdict(&out, rig.snapshot, class_, (struct mu_node_ix){0},
                            mu_filter_verdict(rig.snapshot, class_, (struct mu_node_ix){0}));
    assert_true(mu_str_equal((struct mu_str){(const char *)out.data, (uint32_t)out.len},
                             MU_STR("Too many pods, Insufficient cpu, Insufficient memory")));
    mu_buf_fini(&out);
    rig_destroy(&rig);
}

static void test_report_words__more_taints_than_are_named__counted_together(void **state)
{
    struct words_rig rig = rig_create();
    char name[16], expected[1024] = "0/10 nodes are available: ";
    (void)state;
    put_pod(&rig, 1000);
    for (int i = 0; i < 10; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%d", i);
        (void)snprintf(name, sizeof name, "n%d", i);
        struct mu_taint taint = {MU_STR("k"), mu_str_of(value), MU_EFFECT_NO_SCHEDULE};
        put_node(&rig, name, taint, 10);
    }
    /* One capacity: rows in the order of arrival, so the first eight are named. */
    for (int i = 0; i < 8; i++) {
        (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
                       "1 node(s) had untolerated taint {k: %d}, ", i);
    }
    (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected),
                   "2 node(s) had other untolerated taints.");
    assert_told(&rig, expected);
    rig_destroy(&rig);
}

static void test_report_words__selector__says_affinity_or_selector(void **state)
{
    struct words_rig rig = rig_create();
    const struct mu_label zone = {MU_STR("zone"), MU_STR("x")};
    struct fixture_pod pod;
    (void)state;
    fixture_put_node(rig.db, "a", 1, 8);
    fixture_pod(&pod, 1, 1);
    pod.object.selector = &zone;
    pod.object.selector_count = 1;
    fixture_put(rig.db, &pod, 0);
    assert_told(&rig, "0/1 nodes are available: 1 node(s) didn't match Pod's node "
                      "affinity/selector.");
    rig_destroy(&rig);
}

static void test_report_words__partly_bound_gang__needs_more(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    fixture_put_node(rig.db, "a", 1, 1);
    for (uint32_t i = 1; i <= 3; i++) {
        struct fixture_pod pod;
        fixture_pod(&pod, i, 1);
        fixture_gang(&pod, "g", 3);
        pod.object.node_name = i == 1 ? MU_STR("a") : MU_STR("");
        fixture_put(rig.db, &pod, 0);
    }
    assert_told(&rig,
                "0/1 nodes are available: 1 Insufficient cpu. gang default/g: 1 of 3 placed; the "
                "other 2 need cpu: 1 free on one node.");
    rig_destroy(&rig);
}

static void put_member(struct words_rig *rig, uint32_t number, uint32_t size, int64_t cpu_millis,
                       const struct mu_host_port *port, const char *subgroup)
{
    struct fixture_pod pod;
    fixture_pod(&pod, number, 1);
    fixture_gang(&pod, "g", size);
    pod.amounts[0].value = cpu_millis;
    pod.object.ports = port;
    pod.object.port_count = port != NULL;
    pod.object.gang.subgroup = mu_str_of(subgroup);
    fixture_put(rig->db, &pod, 0);
}

/* Every node takes a member: what the next one lacks shows only beside those placed. */
static void test_report_words__too_few_slots__says_what_the_next_member_lacks(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    fixture_put_node(rig.db, "a", 1, 1);
    fixture_put_node(rig.db, "b", 1, 1);
    for (uint32_t i = 1; i <= 3; i++)
        put_member(&rig, i, 3, 1000, NULL, "");
    assert_told(&rig,
                "0/2 nodes are available: 2 Insufficient cpu. gang default/g: 2 of 3 placed; the "
                "other one needs cpu: 1 free on one node.");
    rig_destroy(&rig);
}

/* Room for two, but one host port. */
static void test_report_words__rule_about_other_pods__judged_beside_members(void **state)
{
    struct words_rig rig = rig_create();
    const struct mu_host_port port = {MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 80};
    (void)state;
    fixture_put_node(rig.db, "a", 1, 2);
    for (uint32_t i = 1; i <= 3; i++)
        put_member(&rig, i, 3, 1000, &port, "");
    assert_told(&rig,
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod "
                "ports. gang default/g: 1 of 3 placed; no node takes another.");
    rig_destroy(&rig);
}

static void test_report_words__unequal_members__names_the_one_that_does_not_fit(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    fixture_put_node(rig.db, "a", 1, 4);
    put_member(&rig, 1, 3, 1000, NULL, "");
    put_member(&rig, 2, 3, 9000, NULL, "");
    put_member(&rig, 3, 3, 1000, NULL, "");
    assert_told(&rig,
                "0/1 nodes are available for pod-2: 1 Insufficient cpu. gang default/g: 2 of 3 "
                "placed; pod-2 needs cpu: 9 free on one node.");
    rig_destroy(&rig);
}

/* The first sub-group has its room; of the second the first member is passed over in vain. */
static void test_report_words__subgroups__names_the_member_of_the_one_that_is_short(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    fixture_put_node(rig.db, "a", 1, 4);
    put_member(&rig, 1, 4, 1000, NULL, "a");
    put_member(&rig, 2, 4, 2000, NULL, "a");
    put_member(&rig, 3, 4, 3000, NULL, "b");
    put_member(&rig, 4, 4, 1000, NULL, "b");
    assert_told(&rig,
                "0/1 nodes are available for pod-3: 1 Insufficient cpu. gang default/g: 3 of 4 "
                "placed; pod-3 needs cpu: 3 free on one node.");
    rig_destroy(&rig);
}

/* What the same plan places is in place too: a's room goes to the pod that is older. */
static void test_report_words__others_of_the_plan__have_their_room(void **state)
{
    struct words_rig rig = rig_create();
    struct fixture_pod pod;
    (void)state;
    fixture_put_node(rig.db, "a", 1, 2);
    fixture_put_node(rig.db, "b", 1, 1);
    fixture_pod(&pod, 9, 1);
    pod.amounts[0].value = 2000;
    pod.object.created_s = 1;
    fixture_put(rig.db, &pod, 0);
    put_member(&rig, 1, 2, 1000, NULL, "");
    put_member(&rig, 2, 2, 1000, NULL, "");
    assert_told(&rig,
                "0/2 nodes are available: 2 Insufficient cpu. gang default/g: 1 of 2 placed; the "
                "other one needs cpu: 1 free on one node.");
    rig_destroy(&rig);
}

/* Beyond the bound only what the plan says is told. */
static void test_report_words__costly_gang__no_number(void **state)
{
    struct words_rig rig = rig_create();
    const struct mu_host_port port = {MU_STR("0.0.0.0"), MU_PROTOCOL_TCP, 80};
    char name[16];
    (void)state;
    for (int n = 0; n < 700; n++) {
        (void)snprintf(name, sizeof name, "n%d", n);
        fixture_put_node(rig.db, name, 1, 8);
    }
    for (uint32_t i = 1; i <= 3500; i++)
        put_member(&rig, i, 3500, 1000, &port, "");
    assert_told(&rig, "700/700 nodes are available for a member. gang default/g needs 3500 members "
                      "placed together.");
    rig_destroy(&rig);
}

static void test_report_words__rules__are_named(void **state)
{
    (void)state;
    struct mu_report_text *text = mu_report_words_pod(MU_RULE_RESOURCE_CLAIMS | MU_RULE_VOLUMES);
    assert_int_equal(text->reason, MU_REPORT_UNSCHEDULABLE);
    struct mu_str message = {text->data, text->len};
    assert_true(
        mu_str_equal(message, MU_STR("this scheduler cannot place the pod, which uses: volumes "
                                     "that bind to nodes, resource claims")));
    mu_report_text_unref(text);
    text = mu_report_words_pod(MU_RULE_REFUSED | MU_RULE_VOLUMES);
    assert_int_equal(text->reason, MU_REPORT_SCHEDULER_ERROR);
    mu_report_text_unref(text);
}

static bool told_under_failure(void *context)
{
    struct words_rig *rig = context;
    const struct mu_plan *plan;
    assert_int_equal(mu_session_run(rig->session, rig->snapshot, 0, &plan), 0);
    mu_report_words_begin(rig->words, rig->snapshot, plan);
    struct mu_report_text *text = mu_report_words_gang(rig->words, rig->db, &plan->waits[0]);
    bool told = text != NULL;
    mu_report_text_unref(text);
    mu_report_words_end(rig->words);
    return told;
}

static void put_in_rack(struct words_rig *rig, const char *name, const char *rack, int64_t cpus)
{
    struct fixture_node node;
    const struct mu_label label = {MU_STR("example.com/rack"), mu_str_of(rack)};
    fixture_node(&node, name, 1, cpus, 0);
    node.object.labels = &label;
    node.object.label_count = 1;
    assert_int_equal(mu_db_node_upsert(rig->db, &node.object, 0, NULL), 0);
}

/* `count` pods from number `first` on that need a cpu each, all of them together. */
static void put_gang(struct words_rig *rig, const char *name, uint32_t first, uint32_t count,
                     const char *rack_key)
{
    for (uint32_t i = first; i < first + count; i++) {
        struct fixture_pod pod;
        fixture_pod(&pod, i, 1);
        fixture_gang(&pod, name, count);
        pod.object.created_s = first;
        pod.object.gang.pack_key = mu_str_of(rack_key);
        pod.object.gang.pack_required = rack_key[0] != '\0';
        fixture_put(rig->db, &pod, 0);
    }
}

static void test_report_words__no_rack_is_enough__names_the_best(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    put_in_rack(&rig, "a", "r10", 3);
    put_in_rack(&rig, "b", "r11", 4);
    put_in_rack(&rig, "c", "r12", 2);
    put_gang(&rig, "g", 1, 6, "example.com/rack");
    assert_told(&rig,
                "0/1 nodes are available: 1 Insufficient cpu. gang default/g: 4 of 6 placed; the "
                "other 2 need cpu: 1 free on one node in example.com/rack r11.");
    rig_destroy(&rig);
}

static void test_report_words__nobody_has_the_label__none_fits(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    put_in_rack(&rig, "a", "r10", 8);
    put_gang(&rig, "g", 1, 2, "example.com/block");
    assert_told(&rig, "1/1 nodes are available for a member. gang default/g needs 2 members placed "
                      "together, all in one example.com/block.");
    rig_destroy(&rig);
}

static void test_report_words__behind_others__names_them(void **state)
{
    struct words_rig rig = rig_create_with((struct mu_session_config){.strict = true});
    (void)state;
    put_in_rack(&rig, "a", "r10", 3);
    put_gang(&rig, "large", 1, 4, "");
    put_gang(&rig, "small", 5, 2, "");
    assert_nth_told(&rig, 1, 0,
                    "gang default/small waits behind gang default/large, which has no room");
    rig_destroy(&rig);
    rig = rig_create_with((struct mu_session_config){.reserve_after_ns = MU_NS_PER_S});
    put_in_rack(&rig, "a", "r10", 4);
    put_gang(&rig, "large", 1, 4, "");
    put_gang(&rig, "small", 5, 2, "");
    struct fixture_pod running;
    fixture_pod(&running, 9, 1);
    running.object.node_name = MU_STR("a");
    fixture_put(rig.db, &running, 0);
    assert_nth_told(&rig, 1, 10 * MU_NS_PER_S,
                    "1/1 nodes are available for a member. gang default/small needs 2 members "
                    "placed together. Nodes are kept for gang default/large, which has waited for "
                    "long.");
    rig_destroy(&rig);
}

static void test_report_words__timeout_is_over__said(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    fixture_put_node(rig.db, "a", 1, 1);
    for (uint32_t i = 1; i <= 2; i++) {
        struct fixture_pod pod;
        fixture_pod(&pod, i, 1);
        fixture_gang(&pod, "g", 2);
        pod.object.gang.timeout_s = 30;
        fixture_put(rig.db, &pod, 0);
    }
    const char *told =
        "0/1 nodes are available: 1 Insufficient cpu. gang default/g: 1 of 2 placed; "
        "the other one needs cpu: 1 free on one node.";
    assert_nth_told(&rig, 0, 20 * MU_NS_PER_S, told);
    char late[512];
    (void)snprintf(late, sizeof late, "%s It has waited for longer than its timeout of 30 s.",
                   told);
    assert_nth_told(&rig, 0, 40 * MU_NS_PER_S, late);
    rig_destroy(&rig);
}

static void assert_leaving(struct words_rig *rig, const struct mu_plan_gang *gang,
                           const char *expected)
{
    struct mu_report_text *text = mu_report_words_leaving(rig->db, gang);
    assert_non_null(text);
    assert_true(mu_str_equal((struct mu_str){text->data, text->len}, mu_str_of(expected)));
    mu_report_text_unref(text);
}

/* Nodes are named once each, and not too many of them; who leaves by itself is no victim. */
static void test_report_words__victims_leave__nodes_are_named(void **state)
{
    struct words_rig rig = rig_create();
    struct mu_plan_evict evicts[6];
    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        fixture_put_node(rig.db, name, 1, 1);
        evicts[i] = (struct mu_plan_evict){.node = {i}};
    }
    put_member(&rig, 1, 2, 1000, NULL, "");
    put_member(&rig, 2, 2, 1000, NULL, "");
    const struct mu_gang_ix g = fixture_find(rig.db, 1).gang;
    struct mu_plan_gang gang = {.gang = g, .size = 2, .evict_count = 6, .evicts = evicts};
    assert_leaving(&rig, &gang,
                   "gang default/g: preempting 6 pods of lower priority on a, b, c, d and other "
                   "nodes.");
    evicts[2].node.v = 0;
    gang.evict_count = 3;
    assert_leaving(&rig, &gang, "gang default/g: preempting 3 pods of lower priority on a, b.");
    gang.size = 1;
    gang.evict_count = 1;
    assert_leaving(&rig, &gang, "preempting 1 pod of lower priority on a.");
    evicts[0].flags = MU_EVICT_LEAVING;
    assert_leaving(&rig, &gang, "waiting for pods to leave a.");
    rig_destroy(&rig);
}

/* --- from which priority on there would be room ----------------------------------------------- */

/* Bound to a node, with this priority, of a gang of its own unless `gang` names one. */
static void put_running(struct words_rig *rig, uint32_t number, const char *node, int32_t priority,
                        const char *gang, uint32_t size)
{
    struct fixture_pod pod;
    fixture_pod(&pod, number, 1);
    if (gang[0] != '\0')
        fixture_gang(&pod, gang, size);
    pod.object.node_name = mu_str_of(node);
    pod.object.phase = MU_POD_RUNNING;
    pod.object.priority = priority;
    fixture_put(rig->db, &pod, 0);
}

/* A gang of `size` of one cpu each is told this, on nodes of two cpus. */
static void assert_priority_told(struct words_rig *rig, uint32_t size, const char *rack,
                                 const char *expected)
{
    put_gang(rig, "g", 1, size, rack);
    mu_db_occupants_ask(rig->db, true);
    mu_report_words_preemption(rig->words, true, 0, 0);
    assert_told(rig, expected);
}

static struct words_rig rig_of_nodes(uint32_t count)
{
    struct words_rig rig = rig_create();
    for (uint32_t i = 0; i < count; i++) {
        char name[2] = {(char)('a' + i), '\0'}, rack[4] = {'r', (char)('1' + i), '\0'};
        put_in_rack(&rig, name, rack, 2);
    }
    return rig;
}

#define FULL "0/2 nodes are available: 2 Insufficient cpu. gang default/g: "

static void test_report_words_priority__lowest_that_does(void **state)
{
    (void)state;
    struct words_rig rig = rig_of_nodes(2);
    put_running(&rig, 11, "a", 500, "", 0);
    put_running(&rig, 12, "a", 100, "", 0);
    put_running(&rig, 13, "b", 300, "", 0);
    put_running(&rig, 14, "b", 900, "", 0);
    assert_priority_told(&rig, 2, "",
                         FULL "0 of 2 placed; the other 2 need cpu: 1 free on one node, or "
                              "priority ≥ 301.");
    rig_destroy(&rig);
}

/* The pod of priority 100 leaves only with its whole gang, which has a member of 700. */
static void test_report_words_priority__whole_gangs_leave(void **state)
{
    (void)state;
    struct words_rig rig = rig_of_nodes(2);
    put_running(&rig, 11, "a", 100, "v", 2);
    put_running(&rig, 12, "b", 700, "v", 2);
    put_running(&rig, 13, "a", 800, "", 0);
    put_running(&rig, 14, "b", 900, "", 0);
    assert_priority_told(&rig, 1 + 1, "",
                         FULL "0 of 2 placed; the other 2 need cpu: 1 free on one node, or "
                              "priority ≥ 701.");
    rig_destroy(&rig);
}

/* Nodes are full of pods of system priority: nothing that a user could give helps. */
static void test_report_words_priority__beyond_a_users__not_said(void **state)
{
    (void)state;
    struct words_rig rig = rig_of_nodes(2);
    put_running(&rig, 11, "a", 2000001000, "", 0);
    put_running(&rig, 12, "a", 2000001000, "", 0);
    put_running(&rig, 13, "b", 2000001000, "", 0);
    put_running(&rig, 14, "b", 5, "", 0);
    assert_priority_told(&rig, 2, "",
                         FULL "0 of 2 placed; the other 2 need cpu: 1 free on one node.");
    rig_destroy(&rig);
}

/* In one rack: both in r1, or both in r2, whichever is cheaper. */
static void test_report_words_priority__one_domain__the_cheapest(void **state)
{
    (void)state;
    struct words_rig rig = rig_of_nodes(2);
    put_running(&rig, 11, "a", 100, "", 0);
    put_running(&rig, 12, "a", 800, "", 0);
    put_running(&rig, 13, "b", 400, "", 0);
    put_running(&rig, 14, "b", 500, "", 0);
    assert_priority_told(&rig, 2, "example.com/rack",
                         "0/2 nodes are available: 2 Insufficient cpu. gang default/g: 0 of 2 "
                         "placed; the other 2 need cpu: 1 free on one node, all in one "
                         "example.com/rack, or priority ≥ 501.");
    rig_destroy(&rig);
}

/* Nobody preempts; or the gang never does; or the pods have not run for long enough. */
static void test_report_words_priority__no_preemption__not_said(void **state)
{
    static const char expected[] = FULL "0 of 2 placed; the other 2 need cpu: 1 free on one node.";
    (void)state;
    struct words_rig rig = rig_of_nodes(2);
    for (uint32_t i = 0; i < 4; i++)
        put_running(&rig, 11 + i, i < 2 ? "a" : "b", 100, "", 0);
    put_gang(&rig, "g", 1, 2, "");
    mu_db_occupants_ask(rig.db, true);
    assert_told(&rig, expected);
    mu_report_words_preemption(rig.words, true, 60, 1000000);
    assert_told(&rig, expected); /* not known to have run at all */
    mu_report_words_preemption(rig.words, true, 0, 0);
    assert_told(&rig, FULL "0 of 2 placed; the other 2 need cpu: 1 free on one node, or "
                           "priority ≥ 101.");
    struct fixture_pod pod;
    fixture_pod(&pod, 2, 2);
    fixture_gang(&pod, "g", 2);
    pod.object.created_s = 1;
    pod.object.never_preempts = true;
    fixture_put(rig.db, &pod, 0);
    assert_told(&rig, expected);
    rig_destroy(&rig);
}

static void test_report_words__out_of_memory__no_text(void **state)
{
    struct words_rig rig = rig_create();
    (void)state;
    for (uint32_t i = 1; i <= 2; i++)
        put_member(&rig, i, 2, 5000, NULL, "");
    fixture_put_node(rig.db, "a", 1, 8);
    put_node(&rig, "b", (struct mu_taint){MU_STR("k"), MU_STR("v"), MU_EFFECT_NO_SCHEDULE}, 10);
    fixture_sync(rig.db, rig.snapshot);
    assert_true(told_under_failure(&rig)); /* the session's own memory is there from now on */
    assert_true(mu_test_fail_each(told_under_failure, &rig) > 3);
    rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_words__no_nodes__says_so),
        cmocka_unit_test(test_report_words__several_reasons__sorted_by_text),
        cmocka_unit_test(test_report_words__no_slot_left__too_many_pods),
        cmocka_unit_test(test_report_words__several_lacks__all_told),
        cmocka_unit_test(test_report_words__more_taints_than_are_named__counted_together),
        cmocka_unit_test(test_report_words__selector__says_affinity_or_selector),
        cmocka_unit_test(test_report_words__partly_bound_gang__needs_more),
        cmocka_unit_test(test_report_words__too_few_slots__says_what_the_next_member_lacks),
        cmocka_unit_test(test_report_words__rule_about_other_pods__judged_beside_members),
        cmocka_unit_test(test_report_words__unequal_members__names_the_one_that_does_not_fit),
        cmocka_unit_test(test_report_words__subgroups__names_the_member_of_the_one_that_is_short),
        cmocka_unit_test(test_report_words__others_of_the_plan__have_their_room),
        cmocka_unit_test(test_report_words__costly_gang__no_number),
        cmocka_unit_test(test_report_words__no_rack_is_enough__names_the_best),
        cmocka_unit_test(test_report_words__nobody_has_the_label__none_fits),
        cmocka_unit_test(test_report_words__behind_others__names_them),
        cmocka_unit_test(test_report_words__rules__are_named),
        cmocka_unit_test(test_report_words__timeout_is_over__said),
        cmocka_unit_test(test_report_words__victims_leave__nodes_are_named),
        cmocka_unit_test(test_report_words_priority__lowest_that_does),
        cmocka_unit_test(test_report_words_priority__whole_gangs_leave),
        cmocka_unit_test(test_report_words_priority__beyond_a_users__not_said),
        cmocka_unit_test(test_report_words_priority__one_domain__the_cheapest),
        cmocka_unit_test(test_report_words_priority__no_preemption__not_said),
        cmocka_unit_test(test_report_words__out_of_memory__no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
