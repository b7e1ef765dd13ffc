/* A namespace with more labels than are read: where rules select namespaces, nobody is placed by
 * what is not known of it. */
#include "tests/manifest_kit.h"

#include "engine/limits.h"

/* Namespace `big` with so many labels, a node, one pod on it and one that waits. */
static char *world_of(uint32_t labels, const char *there, const char *waits)
{
    struct mu_buf text = {.max = 0};
    int rc = mu_buf_append_text(&text, "{apiVersion: v1, kind: Namespace, metadata: {name: big, "
                                       "labels: {");
    for (uint32_t i = 0; i < labels && rc == 0; i++)
        rc = mu_buf_printf(&text, "%sk%u: v", i == 0 ? "" : ", ", i);
    if (rc == 0)
        rc = mu_buf_printf(&text,
                           "}}}\n---\n"
                           "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: "
                           "{kubernetes.io/hostname: n1}},\n"
                           " status: {allocatable: {cpu: 8, memory: 8Gi, pods: 10}}}\n---\n"
                           "{apiVersion: v1, kind: Pod, metadata: {name: there, %s,\n"
                           "  nodeName: n1}}\n---\n"
                           "{apiVersion: v1, kind: Pod, metadata: {name: waits, %s}}\n",
                           there, waits);
    assert_int_equal(rc, 0);
    char *copy = mu_mem_zalloc(text.len + 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    mu_buf_fini(&text);
    return copy;
}

static bool is_placed(const char *text)
{
    struct offline_rig rig = rig_read("f", text);
    json_t *out = rig_place(&rig, &mu_profile_spread);
    size_t placed = json_array_size(json_object_get(out, "bindings"));
    assert_int_equal(placed + json_array_size(json_object_get(out, "pending")), 1);
    json_decref(out);
    rig_drop(&rig);
    return placed == 1;
}

#define PLAIN(ns) "namespace: " ns ", labels: {app: x}}, spec: {containers: [{name: c}]"
#define RULE(ns, kind, app, namespaces)                                                            \
    "namespace: " ns ", labels: {app: w}}, spec: {containers: [{name: c}], affinity: {" kind ": {" \
    "requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, "      \
    "labelSelector: {matchLabels: {app: " app "}}, namespaceSelector: " namespaces "}]}}"

struct unknown_case {
    const char *what, *there, *waits;
    bool known_placed, unknown_placed;
};
/* Known, `big` has k0 to k9 and no team. */
static const struct unknown_case unknown_cases[] = {
    {"kept away from pods of such a namespace", PLAIN("big"),
     RULE("b", "podAntiAffinity", "x", "{matchLabels: {team: red}}"), true, false},
    {"the pod there keeps those of such a namespace away",
     RULE("b", "podAntiAffinity", "x", "{matchLabels: {team: red}}"), PLAIN("big"), true, false},
    {"drawn to pods of such a namespace", PLAIN("big"),
     RULE("b", "podAffinity", "x", "{matchLabels: {k1: v}}"), true, false},
    {"by what a namespace lacks", PLAIN("big"),
     RULE("b", "podAffinity", "x", "{matchExpressions: [{key: team, operator: DoesNotExist}]}"),
     true, false},
    {"other pods of it are meant", PLAIN("big"),
     RULE("b", "podAntiAffinity", "z", "{matchLabels: {team: red}}"), true, true},
    {"every namespace is meant", PLAIN("big"), RULE("b", "podAffinity", "x", "{}"), true, true},
    {"every namespace is kept away from", PLAIN("big"), RULE("b", "podAntiAffinity", "x", "{}"),
     false, false},
    {"pods of another namespace", PLAIN("c"),
     RULE("b", "podAntiAffinity", "x", "{matchLabels: {team: red}}"), true, true},
};

static void test_place__namespace_with_unknown_labels__closed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof unknown_cases / sizeof unknown_cases[0]; i++) {
        const struct unknown_case *c = &unknown_cases[i];
        char *known = world_of(10, c->there, c->waits);
        char *unknown = world_of(MU_LABELS_PER_OBJECT + 1, c->there, c->waits);
        bool known_placed = is_placed(known), unknown_placed = is_placed(unknown);
        if (known_placed != c->known_placed || unknown_placed != c->unknown_placed)
            print_message("%s: %d, %d\n", c->what, known_placed, unknown_placed);
        assert_int_equal(known_placed, c->known_placed);
        assert_int_equal(unknown_placed, c->unknown_placed);
        mu_mem_free(known);
        mu_mem_free(unknown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__namespace_with_unknown_labels__closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
