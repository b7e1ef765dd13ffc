/*
 * The reference scenarios of gangs and preemption through `muster place`: three nodes with room for
 * one such pod each, priorities low 100, medium 500, high 1000 (tests/data/scenarios/). Then the
 * errors that were seen in another implementation of them, each by its name. The same end to end:
 * test_scenarios_live.c.
 */
#include "tests/manifest_kit.h"

/* ---- the seven ---------------------------------------------------------------------------- */

/* How many pods of a list have a name that begins so. */
static size_t count(const json_t *answer, const char *list, const char *begin)
{
    const json_t *items = json_object_get(answer, list);
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const char *pod = json_string_value(json_object_get(json_array_get(items, i), "pod"));
        found += strncmp(strchr(pod, '/') + 1, begin, strlen(begin)) == 0;
    }
    return found;
}

/* Every item of the list says this of itself. */
static bool all_say(const json_t *answer, const char *list, const char *key, const char *value)
{
    const json_t *items = json_object_get(answer, list);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(items, i), key)), value) != 0)
            return false;
    return true;
}

static void read_scenario(const char *name, char *text, size_t bytes)
{
    char path[4096];
    (void)snprintf(path, sizeof path, MU_SOURCE_DIR "/tests/data/scenarios/%s.yaml", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, bytes - 1, file);
    assert_true(len > 0 && len < bytes - 1);
    text[len] = '\0';
    (void)fclose(file);
}

struct scenario {
    const char *name;
    size_t high_bound, low_bound, evicted, high_waits, low_waits;
    const char *gang; /* of all victims; NULL: each its own */
    const char *by;   /* for whom they go; NULL: not the same for all */
    const char *reason;
};
static const struct scenario scenarios[] = {
    {"1", 2, 1, 0, 0, 2, NULL, NULL, "Unschedulable"},
    {"2", 2, 0, 2, 0, 0, NULL, NULL, NULL},
    {"3", 2, 0, 2, 0, 0, NULL, "default/high-gang-1", NULL},
    {"4", 0, 0, 0, 4, 0, NULL, NULL, "Unschedulable"},
    {"5", 1, 0, 3, 0, 0, "default/low-gang-1", "default/high-1", NULL},
    {"6", 2, 0, 2, 0, 0, "default/low-gang-1", "default/high-gang-1", NULL},
    {"7", 1, 0, 0, 0, 0, NULL, NULL, NULL},
};

static bool is_right(const struct scenario *s, const json_t *answer)
{
    return count(answer, "bindings", "high-") == s->high_bound &&
           count(answer, "bindings", "low-") == s->low_bound &&
           count(answer, "evictions", "low-") == s->evicted &&
           count(answer, "evictions", "") == s->evicted &&
           count(answer, "pending", "high-") == s->high_waits &&
           count(answer, "pending", "low-") == s->low_waits &&
           (s->gang == NULL || all_say(answer, "evictions", "gang", s->gang)) &&
           (s->by == NULL || all_say(answer, "evictions", "for", s->by)) &&
           (s->reason == NULL || all_say(answer, "pending", "reason", s->reason));
}

static void test_place__reference_scenarios__as_the_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        char text[1 << 14];
        read_scenario(scenarios[i].name, text, sizeof text);
        struct offline_rig rig = rig_read("f", text);
        json_t *answer = rig_place(&rig, &mu_profile_spread);
        if (!is_right(&scenarios[i], answer))
            fail_msg("%s: %s", scenarios[i].name, json_dumps(answer, JSON_COMPACT));
        json_decref(answer);
        rig_drop(&rig);
    }
}

/* ---- manifests for the rest --------------------------------------------------------------- */

#define CLASS(name, value)                                                                         \
    "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: " name "}\n"     \
    "value: " value "\n"
#define CLASSES CLASS("low", "100") CLASS("high", "1000")
#define NODE(name)                                                                                 \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n"                                \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
#define NODES CLASSES NODE("n1") NODE("n2") NODE("n3")
#define POD(name, meta, spec)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: 3}}}]}\n"
#define GANG(name, size)                                                                           \
    ", annotations: {muster.dev/pod-group: " name ", muster.dev/pod-group-size: '" size "'}"
#define LOW           "priorityClassName: low, "
#define HIGH          "priorityClassName: high, "
#define ON(node)      "nodeName: " node ", "
#define RUNS(n, node) POD(n, "", LOW ON(node))

/* The answer to `text` has these bindings ("pod@node"), evictions ("pod<for") and pending pods
 * ("pod:reason"), in this order, without "default/". */
static void places(const char *text, const char *expected)
{
    struct offline_rig rig = rig_read("f", text);
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    static const struct {
        const char *list, *key;
        char mark;
    } parts[] = {{"bindings", "node", '@'}, {"evictions", "for", '<'}, {"pending", "reason", ':'}};
    char got[1024] = "";
    size_t len = 0;
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        const json_t *items = json_object_get(answer, parts[p].list);
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *item = json_array_get(items, i);
            const char *pod = json_string_value(json_object_get(item, "pod"));
            const char *value = json_string_value(json_object_get(item, parts[p].key));
            pod += strncmp(pod, "default/", 8) == 0 ? 8 : 0;
            value += strncmp(value, "default/", 8) == 0 ? 8 : 0;
            len += (size_t)snprintf(got + len, sizeof got - len, "%s%s%c%s", len > 0 ? " " : "",
                                    pod, parts[p].mark, value);
            assert_true(len < sizeof got);
        }
    }
    assert_string_equal(got, expected);
    json_decref(answer);
    rig_drop(&rig);
}

/* ---- errors seen in another implementation ------------------------------------------------- */

/* The group of running pods was never read: half a gang was evicted. */
static void test_place__gang_that_runs__is_read_and_leaves_whole(void **state)
{
    (void)state;
    places(NODES POD("l1", GANG("lg", "2"), LOW ON("n1")) POD("l2", GANG("lg", "2"), LOW ON("n2"))
               RUNS("l3", "n3") POD("h1", "", HIGH),
           "h1@n3 l3<h1");
    places(NODES POD("l1", GANG("lg", "3"), LOW ON("n1")) POD("l2", GANG("lg", "3"), LOW ON("n2"))
               POD("l3", GANG("lg", "3"), LOW ON("n3"))
                   POD("h1", "", HIGH "nodeSelector: {x: z}, "),
           "h1:Unschedulable");
}

/* Free nodes were ignored when preempting: as many were evicted as were to come. */
static void test_place__free_node__is_used_before_anybody_goes(void **state)
{
    (void)state;
    places(NODES RUNS("l1", "n1") POD("h1", GANG("hg", "3"), HIGH) POD("h2", GANG("hg", "3"), HIGH)
               POD("h3", GANG("hg", "3"), HIGH),
           "h1@n3 h2@n2 h3@n1 l1<hg");
    places(NODES RUNS("l1", "n1") RUNS("l2", "n2") POD("h1", "", HIGH), "h1@n3");
}

/* Pods that were bound and still Pending were bound again. */
static void test_place__bound_and_still_pending__is_not_placed_again(void **state)
{
    (void)state;
    places(NODES POD("h1", "", HIGH ON("n3")) "status: {phase: Pending}\n", "");
    /* nor does it wait for members that it has, and its room is taken */
    places(NODES POD("h1", GANG("hg", "2"), HIGH ON("n3")) "status: {phase: Pending}\n" POD(
               "h2", GANG("hg", "2"), HIGH) RUNS("l1", "n1") RUNS("l2", "n2"),
           "h2@n2 l2<hg");
}

/* The group's key was without its namespace: members of another's gang made up the number. */
static void test_place__gang_of_the_same_name_elsewhere__is_another(void **state)
{
    (void)state;
    places(NODES POD("a1", GANG("g", "2"), HIGH) POD("b1", GANG("g", "2") ", namespace: x", HIGH),
           "a1:WaitingForGang x/b1:WaitingForGang");
    /* and it is no victim with it */
    places(NODES POD("l1", GANG("g", "1"), LOW ON("n1"))
               POD("l2", GANG("g", "1") ", namespace: x", LOW ON("n2")) RUNS("l3", "n3")
                   POD("h1", "", HIGH) POD("h2", "", HIGH "nodeName: n9, "),
           "h1@n3 l3<h1");
}

/* A half-arrived gang was placed, and evicted others. */
static void test_place__half_arrived_gang__takes_nobodys_room(void **state)
{
    (void)state;
    places(NODES POD("h1", GANG("hg", "2"), HIGH), "h1:WaitingForGang");
    places(NODES RUNS("l1", "n1") RUNS("l2", "n2") RUNS("l3", "n3")
               POD("h1", GANG("hg", "2"), HIGH),
           "h1:WaitingForGang");
}

/* ---- what an eviction looks like ----------------------------------------------------------- */

static void test_place__evictions__say_who_and_for_whom(void **state)
{
    (void)state;
    struct offline_rig rig = rig_read(
        "f", CLASSES NODE("n1") POD("l1", GANG("lg", "1"), LOW ON("n1")) POD("h1", "", HIGH));
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    char *text = json_dumps(json_object_get(answer, "evictions"), JSON_COMPACT);
    assert_string_equal(
        text, "[{\"pod\":\"default/l1\",\"gang\":\"default/lg\",\"for\":\"default/h1\"}]");
    mu_mem_free(text);
    json_decref(answer);
    rig_drop(&rig);
}

static void test_place__evictions__as_a_table(void **state)
{
    (void)state;
    struct offline_rig rig =
        rig_read("f", NODES POD("l1", GANG("low", "2"), LOW ON("n1"))
                          POD("l2", GANG("low", "2"), LOW ON("n2")) RUNS("solo-l3", "n3")
                              POD("h1", GANG("hg", "3"), HIGH) POD("h2", GANG("hg", "3"), HIGH)
                                  POD("h3", GANG("hg", "3"), HIGH));
    struct mu_settle_config config = {
        .session = {.profile = &mu_profile_spread}, .now_ns = 2, .bind = rig_bind, .context = &rig};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    struct mu_buf out = {.max = 0};
    rig_load(&rig, (struct mu_uid){0, 0});
    assert_int_equal(mu_settle(rig.db, &config, rig.arena, &settled, &error), 0);
    assert_int_equal(mu_settled_write_table(&settled, &out), 0);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    assert_string_equal((const char *)out.data, "POD         NODE  GANG\n"
                                                "default/h1  n3    default/hg\n"
                                                "default/h2  n2    default/hg\n"
                                                "default/h3  n1    default/hg\n"
                                                "\n"
                                                "EVICTED          GANG         FOR\n"
                                                "default/solo-l3  -            default/hg\n"
                                                "default/l2       default/low  default/hg\n"
                                                "default/l1       default/low  default/hg\n"
                                                "\n"
                                                "3 placed, 3 evicted, 0 pending\n");
    mu_buf_fini(&out);
    rig_drop(&rig);
}

/* Who has no room, and nobody to displace, reads what would help. */
static void test_place__gang_without_room__says_from_which_priority(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *end;
    } cases[] = {{"priority: 5, ", " cpu: 3 free on one node, or priority ≥ 101."},
                 {"priority: 5, preemptionPolicy: Never, ", " cpu: 3 free on one node."}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text,
                       CLASSES NODE("n1") NODE("n2") RUNS("l1", "n1")
                           POD("g1", GANG("g", "2"), "%s") POD("g2", GANG("g", "2"), "%s"),
                       cases[i].spec, cases[i].spec);
        struct offline_rig rig = rig_read("f", text);
        json_t *answer = rig_place(&rig, &mu_profile_spread);
        const json_t *pending = json_object_get(answer, "pending");
        assert_int_equal(json_array_size(pending), 2);
        const char *message =
            json_string_value(json_object_get(json_array_get(pending, 0), "message"));
        size_t len = strlen(message), end = strlen(cases[i].end);
        assert_true(len > end);
        assert_string_equal(message + len - end, cases[i].end);
        json_decref(answer);
        rig_drop(&rig);
    }
}

/* ---- who is no victim, and who does not preempt -------------------------------------------- */

#define MARKED(name, node, mark) POD(name, mark, LOW ON(node))
#define KAI_GROUP(spec)                                                                            \
    "---\napiVersion: scheduling.run.ai/v2alpha2\nkind: PodGroup\nmetadata: {name: "               \
    "k}\nspec: " spec "\n"
#define NATIVE_GROUP(spec)                                                                         \
    "---\napiVersion: scheduling.k8s.io/v1beta1\nkind: PodGroup\nmetadata: {name: k}\nspec: " spec \
    "\n"

static void test_place__marked_in_its_dialect__is_no_victim(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        bool spared;
    } marks[] = {
        {", annotations: {volcano.sh/preemptable: 'false'}", true},
        {", labels: {volcano.sh/preemptable: 'false'}", true},
        {", annotations: {volcano.sh/preemptable: 'true'}", false},
        {", labels: {kai.scheduler/preemptibility: non-preemptible}", true},
        {", labels: {kai.scheduler/preemptibility: preemptible}", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text,
                       CLASSES NODE("n1") POD("l1", "%s", LOW ON("n1")) POD("h1", "", HIGH),
                       marks[i].meta);
        places(text, marks[i].spared ? "h1:Unschedulable" : "h1@n1 l1<h1");
    }
    /* of a gang one is enough, and the one beside it goes instead */
    places(NODES POD("l1",
                     ", annotations: {muster.dev/pod-group: lg, muster.dev/pod-group-size: '2', "
                     "volcano.sh/preemptable: 'false'}",
                     LOW ON("n1")) POD("l2", GANG("lg", "2"), LOW ON("n2")) RUNS("l3", "n3")
               POD("h1", "", HIGH) POD("h2", "", HIGH),
           "h1@n3 l3<h1 h2:Unschedulable");
}

static void test_place__group_says_non_preemptible__nobody_of_it_goes(void **state)
{
    (void)state;
    places(CLASSES NODE("n1") KAI_GROUP("{minMember: 1, preemptibility: non-preemptible}")
               POD("l1", ", annotations: {pod-group-name: k}", LOW ON("n1")) POD("h1", "", HIGH),
           "h1:Unschedulable");
    places(CLASSES NODE("n1") KAI_GROUP("{minMember: 1, preemptibility: preemptible}")
               POD("l1", ", annotations: {pod-group-name: k}", LOW ON("n1")) POD("h1", "", HIGH),
           "h1@n1 l1<h1");
}

static void test_place__never_preempts__waits_by_whatever_says_so(void **state)
{
    (void)state;
#define MEEK                                                                                       \
    "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: meek}\n"         \
    "value: 1000\npreemptionPolicy: Never\n"
    static const char one[] = CLASSES NODE("n1") RUNS("l1", "n1");
    static const struct {
        const char *more, *expected;
    } cases[] = {
        {POD("h1", "", HIGH "preemptionPolicy: Never, "), "h1:Unschedulable"},
        {POD("h1", "", HIGH "preemptionPolicy: PreemptLowerPriority, "), "h1@n1 l1<h1"},
        {MEEK POD("h1", "", "priorityClassName: meek, "), "h1:Unschedulable"},
        /* admitted by a server: priority and class */
        {MEEK POD("h1", "", "priorityClassName: meek, priority: 1000, "), "h1:Unschedulable"},
        {MEEK POD("h1", "", "priorityClassName: meek, preemptionPolicy: PreemptLowerPriority, "),
         "h1@n1 l1<h1"},
        {MEEK "globalDefault: true\n" POD("h1", "", ""), "h1:Unschedulable"},
        {MEEK "globalDefault: true\n" POD("h1", "", HIGH), "h1@n1 l1<h1"},
        /* one member, its group, its group's class */
        {POD("h1", GANG("hg", "1"), HIGH "preemptionPolicy: Never, "), "h1:Unschedulable"},
        {NATIVE_GROUP("{schedulingPolicy: {gang: {minCount: 1}}, preemptionPolicy: Never}")
             POD("h1", "", HIGH "schedulingGroup: {podGroupName: k}, "),
         "h1:Unschedulable"},
        {MEEK NATIVE_GROUP("{schedulingPolicy: {gang: {minCount: 1}}, priorityClassName: meek}")
             POD("h1", "", "schedulingGroup: {podGroupName: k}, "),
         "h1:Unschedulable"},
        {NATIVE_GROUP("{schedulingPolicy: {gang: {minCount: 1}}, priorityClassName: high}")
             POD("h1", "", "schedulingGroup: {podGroupName: k}, "),
         "h1@n1 l1<k"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[4096];
        (void)snprintf(text, sizeof text, "%s%s", one, cases[i].more);
        places(text, cases[i].expected);
    }
    /* it takes room that is free all the same */
    places(CLASSES NODE("n1") POD("h1", "", HIGH "preemptionPolicy: Never, "), "h1@n1");
}

/* Limits of a live cluster's pace: no answer depends on when it is asked for. */
static void test_place__run_time_and_eviction_budget__do_not_apply(void **state)
{
    (void)state;
    static const char text[] = NODES POD(
        "l1", "", LOW ON("n1")) "status: {startTime: '2099-01-01T00:00:00Z'}\n" RUNS("l2", "n2")
        RUNS("l3", "n3") POD("h1", "", HIGH) POD("h2", "", HIGH) POD("h3", "", HIGH);
    struct offline_rig rig = rig_read("f", text);
    struct mu_settle_config config = {
        .session = {.profile = &mu_profile_spread, .min_run_s = 1000000000, .evictions_max = 1},
        .now_ns = 2,
        .bind = rig_bind,
        .context = &rig};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    rig_load(&rig, (struct mu_uid){0, 0});
    assert_int_equal(mu_settle(rig.db, &config, rig.arena, &settled, &error), 0);
    assert_int_equal(settled.eviction_count, 3);
    assert_int_equal(settled.binding_count, 3);
    assert_int_equal(settled.pending_count, 0);
    rig_drop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__reference_scenarios__as_the_rules_say),
        cmocka_unit_test(test_place__gang_that_runs__is_read_and_leaves_whole),
        cmocka_unit_test(test_place__free_node__is_used_before_anybody_goes),
        cmocka_unit_test(test_place__bound_and_still_pending__is_not_placed_again),
        cmocka_unit_test(test_place__gang_of_the_same_name_elsewhere__is_another),
        cmocka_unit_test(test_place__half_arrived_gang__takes_nobodys_room),
        cmocka_unit_test(test_place__evictions__say_who_and_for_whom),
        cmocka_unit_test(test_place__evictions__as_a_table),
        cmocka_unit_test(test_place__gang_without_room__says_from_which_priority),
        cmocka_unit_test(test_place__marked_in_its_dialect__is_no_victim),
        cmocka_unit_test(test_place__group_says_non_preemptible__nobody_of_it_goes),
        cmocka_unit_test(test_place__never_preempts__waits_by_whatever_says_so),
        cmocka_unit_test(test_place__run_time_and_eviction_budget__do_not_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
