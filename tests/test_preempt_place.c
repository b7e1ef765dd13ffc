/*
 * The reference scenarios of preemption, from manifests to `muster place`: a cluster of three nodes
 * with room for one such pod each, priorities low 100, medium 500, high 1000. And errors that were
 * seen in another implementation of them.
 */
#include "tests/manifest_kit.h"

#define CLASSES                                                                                    \
    "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: low}\n"          \
    "value: 100\n---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\n"                     \
    "metadata: {name: high}\nvalue: 1000\n"
#define NODE(name)                                                                                 \
    "---\napiVersion: v1\nkind: Node\nmetadata: {name: " name "}\n"                                \
    "status: {allocatable: {cpu: 4, memory: 8Gi, pods: 10}}\n"
#define NODES CLASSES NODE("n1") NODE("n2") NODE("n3")
#define POD(name, meta, spec)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name meta "}\nspec: {" spec                \
    "containers: [{name: c, resources: {requests: {cpu: 3}}}]}\n"
#define GANG(name, size)                                                                           \
    ", annotations: {muster.dev/pod-group: " name ", muster.dev/pod-group-size: '" size "'}"
#define LOW          "priorityClassName: low, "
#define HIGH         "priorityClassName: high, "
#define ON(node)     "nodeName: " node ", "
#define L(name)      POD(name, "", LOW)
#define H(name)      POD(name, "", HIGH)
#define RUN(n, node) POD(n, "", LOW ON(node))

/* How many pods of a list have a name that begins so; evictions by the victim's. */
static size_t count(const json_t *list, const char *begin)
{
    size_t found = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *pod = json_string_value(json_object_get(json_array_get(list, i), "pod"));
        const char *name = strchr(pod, '/');
        assert_non_null(name);
        found += strncmp(name + 1, begin, strlen(begin)) == 0;
    }
    return found;
}

struct scenario {
    const char *what, *text;
    size_t high_bound, low_bound, evicted, high_pending, low_pending;
};
static const struct scenario scenarios[] = {
    {"1: two high and three low, all solo", NODES L("l1") L("l2") L("l3") H("h1") H("h2"), 2, 1, 0,
     0, 2},
    {"2: three low run, two high come",
     NODES RUN("l1", "n1") RUN("l2", "n2") RUN("l3", "n3") H("h1") H("h2"), 2, 0, 2, 0, 0},
    {"3: three low run, a gang of two high comes",
     NODES RUN("l1", "n1") RUN("l2", "n2") RUN("l3", "n3") POD("h1", GANG("hg", "2"), HIGH)
         POD("h2", GANG("hg", "2"), HIGH),
     2, 0, 2, 0, 0},
    {"4: a low gang of three runs, a high gang of four comes",
     NODES POD("l1", GANG("lg", "3"), LOW ON("n1")) POD("l2", GANG("lg", "3"), LOW ON("n2"))
         POD("l3", GANG("lg", "3"), LOW ON("n3")) POD("h1", GANG("hg", "4"), HIGH)
             POD("h2", GANG("hg", "4"), HIGH) POD("h3", GANG("hg", "4"), HIGH)
                 POD("h4", GANG("hg", "4"), HIGH),
     0, 0, 0, 4, 0},
    {"5: a low gang of three runs, one high comes",
     NODES POD("l1", GANG("lg", "3"), LOW ON("n1")) POD("l2", GANG("lg", "3"), LOW ON("n2"))
         POD("l3", GANG("lg", "3"), LOW ON("n3")) H("h1"),
     1, 0, 3, 0, 0},
    {"6: a low gang of two runs, one node is free, a high gang of two comes",
     NODES POD("l1", GANG("lg", "2"), LOW ON("n1")) POD("l2", GANG("lg", "2"), LOW ON("n2"))
         POD("h1", GANG("hg", "2"), HIGH) POD("h2", GANG("hg", "2"), HIGH),
     2, 0, 2, 0, 0},
    {"7: a low gang of two runs, one node is free, one high comes",
     NODES POD("l1", GANG("lg", "2"), LOW ON("n1")) POD("l2", GANG("lg", "2"), LOW ON("n2"))
         H("h1"),
     1, 0, 0, 0, 0},
    /* Errors seen elsewhere. */
    {"the gang of running pods is read",
     NODES POD("l1", GANG("lg", "2"), LOW ON("n1")) POD("l2", GANG("lg", "2"), LOW ON("n2"))
         RUN("l3", "n3") H("h1"),
     1, 0, 1, 0, 0}, /* the solo one leaves, not half a gang */
    {"a gang is of its namespace",
     NODES POD("l1", GANG("g", "1"), LOW ON("n1")) POD("h1", GANG("g", "3") ", namespace: x", HIGH),
     0, 0, 0, 0, 0}, /* it waits for its own members */
    {"half a gang displaces nobody",
     NODES RUN("l1", "n1") RUN("l2", "n2") RUN("l3", "n3") POD("h1", GANG("hg", "2"), HIGH), 0, 0,
     0, 1, 0},
    {"bound and still pending is bound",
     NODES RUN("l1", "n1") RUN("l2", "n2") POD("h1", "", HIGH ON("n3")), 0, 0, 0, 0, 0},
};

static void test_place__reference_scenarios__as_the_rules_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        const struct scenario *s = &scenarios[i];
        struct offline_rig rig = rig_read("f", s->text);
        json_t *answer = rig_place(&rig, &mu_profile_spread);
        const json_t *bound = json_object_get(answer, "bindings");
        const json_t *evicted = json_object_get(answer, "evictions");
        const json_t *pending = json_object_get(answer, "pending");
        bool right = count(bound, "h") == s->high_bound && count(bound, "l") == s->low_bound &&
                     json_array_size(evicted) == s->evicted && count(evicted, "h") == 0 &&
                     count(pending, "l") == s->low_pending &&
                     (s->high_pending == 0 || count(pending, "h") == s->high_pending);
        if (!right) {
            char *text = json_dumps(answer, JSON_COMPACT);
            fail_msg("%s: %s", s->what, text);
        }
        json_decref(answer);
        rig_drop(&rig);
    }
}

static void test_place__eviction__says_who_for_whom(void **state)
{
    (void)state;
    struct offline_rig rig =
        rig_read("f", CLASSES NODE("n1") POD("l1", GANG("lg", "1"), LOW ON("n1")) H("h1"));
    json_t *answer = rig_place(&rig, &mu_profile_spread);
    char *text = json_dumps(json_object_get(answer, "evictions"), JSON_COMPACT);
    assert_string_equal(
        text, "[{\"pod\":\"default/l1\",\"gang\":\"default/lg\",\"for\":\"default/h1\"}]");
    mu_mem_free(text);
    json_decref(answer);
    rig_drop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__reference_scenarios__as_the_rules_say),
        cmocka_unit_test(test_place__eviction__says_who_for_whom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
