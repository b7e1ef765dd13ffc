/*
 * `muster explain` taken at its word: over random clusters, the change that it states for a node
 * that refuses the pod is made to the objects, and the pod fits there; with any one part of it left
 * out, it does not.
 */
#include "tests/manifest_kit.h"

#include <inttypes.h>

#define REQUIRED ".requiredDuringSchedulingIgnoredDuringExecution"

/* ---- random clusters ---------------------------------------------------------------------- */

static uint32_t below(struct mu_test_run *run, uint32_t n)
{
    return (uint32_t)(mu_random_u64(&run->random) % n);
}

static json_t *text_of(const char *before, uint32_t n, const char *behind)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%s%" PRIu32 "%s", before, n, behind);
    return json_string(text);
}

static const char *const zones[] = {"a", "b", "c"};
static const char *const policies[] = {"Honor", "Ignore"};
static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};

/* Sound, and none that a node could have meant. */
static const char *const indexes[] = {"0", "1", "0,1", "2,3", "17", "all"};

#define GPU      "x.com/gpu"
#define GPU_PART "muster.dev/gpu-milli"

static json_t *random_node(struct mu_test_run *run, uint32_t n)
{
    json_t *taints = json_array();
    json_t *labels = json_object();
    for (uint32_t i = below(run, 4); i > 1; i--)
        (void)json_array_append_new(
            taints, json_pack("{s:o, s:s, s:s}", "key", text_of("t", below(run, 3), ""), "value",
                              below(run, 2) ? "x" : "", "effect", effects[below(run, 3)]));
    (void)json_object_set_new(labels, "kubernetes.io/hostname", text_of("n", n, ""));
    if (below(run, 4) > 0)
        (void)json_object_set_new(labels, "zone", json_string(zones[below(run, 3)]));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "rank", text_of("", below(run, 10), ""));
    json_t *alloc =
        json_pack("{s:o, s:I, s:o}", "cpu", text_of("", below(run, 8) * 500, "m"), "memory",
                  (json_int_t)below(run, 5) << 30, "pods", json_integer(below(run, 3)));
    if (below(run, 2) > 0)
        (void)json_object_set_new(alloc, GPU, json_integer(below(run, 5)));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "muster.dev/gpu-sharing", json_string("true"));
    if (below(run, 2) > 0)
        (void)json_object_set_new(labels, "muster.dev/gpu-index", json_string("honored"));
    return json_pack("{s:s, s:s, s:{s:o, s:o}, s:{s:b, s:o}, s:{s:o}}", "apiVersion", "v1", "kind",
                     "Node", "metadata", "name", text_of("n", n, ""), "labels", labels, "spec",
                     "unschedulable", below(run, 5) == 0, "taints", taints, "status", "allocatable",
                     alloc);
}

/* One requirement on a label that nodes may have. */
static json_t *random_expression(struct mu_test_run *run)
{
    static const char *const ops[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};
    const char *op = ops[below(run, 6)];
    bool number = op[0] == 'G' || op[0] == 'L';
    bool rank = number || below(run, 3) == 0;
    json_t *values = json_array();
    for (uint32_t i = number ? 1 : op[0] == 'I' || op[0] == 'N' ? 1 + below(run, 2) : 0; i > 0; i--)
        (void)json_array_append_new(values, rank ? text_of("", below(run, 10), "")
                                                 : json_string(zones[below(run, 3)]));
    return json_pack("{s:s, s:s, s:o}", "key", rank ? "rank" : "zone", "operator", op, "values",
                     values);
}

static json_t *random_affinity(struct mu_test_run *run, uint32_t nodes)
{
    json_t *terms = json_array();
    for (uint32_t i = 1 + below(run, 3); i > 0; i--) {
        json_t *expressions = json_array();
        json_t *term = json_pack("{s:o}", "matchExpressions", expressions);
        for (uint32_t e = below(run, 4); e > 0; e--)
            (void)json_array_append_new(expressions, random_expression(run));
        if (below(run, 4) == 0)
            (void)json_object_set_new(term, "matchFields",
                                      json_pack("[{s:s, s:s, s:[o]}]", "key", "metadata.name",
                                                "operator", below(run, 2) ? "In" : "NotIn",
                                                "values", text_of("n", below(run, nodes), "")));
        (void)json_array_append_new(terms, term);
    }
    return json_pack("{s:{s:{s:o}}}", "nodeAffinity",
                     "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms", terms);
}

static json_t *random_selector(struct mu_test_run *run)
{
    return json_pack("{s:{s:s}}", "matchLabels", "app", below(run, 2) ? "x" : "y");
}

/* Rules about other pods, on top of what the spec has. */
static void add_terms(struct mu_test_run *run, json_t *spec)
{
    static const char required[] = "requiredDuringSchedulingIgnoredDuringExecution";
    json_t *affinity = json_object_get(spec, "affinity");
    if (affinity == NULL) {
        affinity = json_object();
        (void)json_object_set_new(spec, "affinity", affinity);
    }
    if (below(run, 3) == 0)
        (void)json_object_set_new(affinity, "podAffinity",
                                  json_pack("{s:[{s:s, s:o}]}", required, "topologyKey", "zone",
                                            "labelSelector", random_selector(run)));
    if (below(run, 3) == 0)
        (void)json_object_set_new(affinity, "podAntiAffinity",
                                  json_pack("{s:[{s:s, s:o}]}", required, "topologyKey", "zone",
                                            "labelSelector", random_selector(run)));
    if (below(run, 3) == 0)
        (void)json_object_set_new(
            spec, "topologySpreadConstraints",
            json_pack("[{s:s, s:i, s:s, s:s, s:s, s:o}]", "topologyKey", "zone", "maxSkew", 1,
                      "whenUnsatisfiable", "DoNotSchedule", "nodeTaintsPolicy",
                      policies[below(run, 2)], "nodeAffinityPolicy", policies[below(run, 2)],
                      "labelSelector", random_selector(run)));
}

static json_t *random_pod(struct mu_test_run *run, const char *name, uint32_t nodes, bool bound)
{
    json_t *requests = json_object();
    json_t *spec = json_pack("{s:[{s:s, s:{s:o}}]}", "containers", "name", "c", "resources",
                             "requests", requests);
    if (below(run, 3) > 0)
        (void)json_object_set_new(requests, "cpu", text_of("", below(run, 30) * 100, "m"));
    if (below(run, 3) > 0)
        (void)json_object_set_new(requests, "memory", text_of("", below(run, 4000), "Mi"));
    if (below(run, 3) == 0)
        (void)json_object_set_new(requests, GPU, json_integer(below(run, 4)));
    else if (below(run, 2) == 0)
        (void)json_object_set_new(requests, GPU_PART, json_integer(1 + below(run, 1000)));
    if (bound)
        (void)json_object_set_new(spec, "nodeName", text_of("n", below(run, nodes), ""));
    if (!bound && below(run, 3) == 0)
        (void)json_object_set_new(spec, "nodeSelector",
                                  json_pack("{s:s}", "zone", zones[below(run, 3)]));
    else if (!bound && below(run, 5) == 0)
        (void)json_object_set_new(
            spec, "nodeSelector",
            json_pack("{s:o}", "kubernetes.io/hostname", text_of("n", below(run, nodes), "")));
    if (!bound && below(run, 3) == 0)
        (void)json_object_set_new(spec, "tolerations",
                                  json_pack("[{s:o, s:s}]", "key", text_of("t", below(run, 3), ""),
                                            "operator", "Exists"));
    if (!bound && below(run, 2) == 0)
        (void)json_object_set_new(spec, "affinity", random_affinity(run, nodes));
    if (below(run, 3) == 0)
        add_terms(run, spec);
    if (below(run, 4) == 0)
        (void)json_object_set_new(
            json_array_get(json_object_get(spec, "containers"), 0), "ports",
            json_pack("[{s:i, s:i}]", "hostPort", 80 + (int)below(run, 2), "containerPort", 80));
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}, s:{s:s}}, s:o}", "apiVersion", "v1", "kind",
                     "Pod", "metadata", "name", name, "labels", "app", below(run, 2) ? "x" : "y",
                     "annotations", "muster.dev/gpu-index", indexes[below(run, 6)], "spec", spec);
}

/* A cluster; its first item is the pod in question. */
static json_t *random_cluster(struct mu_test_run *run, uint32_t nodes)
{
    json_t *items = json_array();
    (void)json_array_append_new(items, random_pod(run, "p", nodes, false));
    for (uint32_t i = 0; i < nodes; i++)
        (void)json_array_append_new(items, random_node(run, i));
    for (uint32_t i = below(run, 8); i > 0; i--) {
        char name[16];
        (void)snprintf(name, sizeof name, "r%u", i);
        (void)json_array_append_new(items, random_pod(run, name, nodes, true));
    }
    return json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "List", "items", items);
}

/* An amount in thousandths of a unit. */
static json_int_t milli_of(const json_t *quantity)
{
    const char *text = json_string_value(quantity);
    if (text == NULL)
        return json_integer_value(quantity) * 1000;
    json_int_t n = strtoll(text, NULL, 10);
    return strchr(text, 'm') != NULL ? n : n * 1000;
}

/* ---- changes made -------------------------------------------------------------------------- */

/* More of a resource on the node: what is freed and what is added look the same from outside. */
static void apply_more(json_t *node, const json_t *more)
{
    const char *key;
    json_t *amount;
    json_t *alloc = json_object_get(json_object_get(node, "status"), "allocatable");
    json_object_foreach((json_t *)(uintptr_t)more, key, amount)
    {
        json_int_t sum = milli_of(json_object_get(alloc, key)) + milli_of(amount);
        char text[32];
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT "m", sum);
        (void)json_object_set_new(
            alloc, key, strcmp(key, "cpu") == 0 ? json_string(text) : json_integer(sum / 1000));
    }
}

static void apply_label(json_t *node, const json_t *label)
{
    const char *key;
    json_t *value;
    json_t *labels = json_object_get(json_object_get(node, "metadata"), "labels");
    json_object_foreach((json_t *)(uintptr_t)label, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(labels, key);
        else
            (void)json_object_set(labels, key, value);
    }
}

/* Drop "spec.a.b" from the pod. */
static void apply_drop(json_t *pod, const char *path)
{
    char part[128];
    json_t *at = pod;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(path, '.')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        at = json_object_get(at, part);
        path = dot + 1;
    }
    assert_int_equal(json_object_del(at, path), 0); /* it was there */
}

static json_t *find_item(json_t *cluster, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        if (strcmp(json_string_value(json_object_get(json_object_get(item, "metadata"), "name")),
                   name) == 0)
            return item;
    }
    fail_msg("no object called %s", name);
    return NULL;
}

/* The pods that run on the node give their host ports back. */
static void free_ports(json_t *cluster, const char *node)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        json_t *spec = json_object_get(item, "spec");
        const char *on = json_string_value(json_object_get(spec, "nodeName"));
        if (on != NULL && strcmp(on, node) == 0)
            (void)json_object_del(json_array_get(json_object_get(spec, "containers"), 0), "ports");
    }
}

/* Those give their devices back. */
static void free_devices(json_t *cluster, const char *node)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(cluster, "items"), i, item)
    {
        json_t *spec = json_object_get(item, "spec");
        const char *on = json_string_value(json_object_get(spec, "nodeName"));
        json_t *container = json_array_get(json_object_get(spec, "containers"), 0);
        json_t *requests = json_object_get(json_object_get(container, "resources"), "requests");
        if (on == NULL || strcmp(on, node) != 0)
            continue;
        (void)json_object_del(requests, GPU);
        (void)json_object_del(requests, GPU_PART);
    }
}

static bool shares_devices(json_t *node)
{
    json_t *labels = json_object_get(json_object_get(node, "metadata"), "labels");
    return json_object_get(labels, "muster.dev/gpu-sharing") != NULL;
}

static void remove_pod(json_t *cluster, const char *name)
{
    json_t *items = json_object_get(cluster, "items");
    const json_t *pod = find_item(cluster, strchr(name, '/') + 1);
    for (size_t i = 0; i < json_array_size(items); i++)
        if (json_array_get(items, i) == pod) {
            (void)json_array_remove(items, i);
            return;
        }
}

static void apply_change(json_t *cluster, const json_t *change)
{
    json_t *pod = find_item(cluster, "p");
    const json_t *name = json_object_get(change, "node");
    json_t *node = name != NULL ? find_item(cluster, json_string_value(name)) : NULL;
    const json_t *toleration = json_object_get(change, "toleration");
    const json_t *drop = json_object_get(change, "drop");
    if (toleration != NULL) {
        json_t *spec = json_object_get(pod, "spec");
        if (json_object_get(spec, "tolerations") == NULL)
            (void)json_object_set_new(spec, "tolerations", json_array());
        (void)json_array_append(json_object_get(spec, "tolerations"),
                                (json_t *)(uintptr_t)toleration);
    } else if (drop != NULL) {
        apply_drop(pod, json_string_value(drop));
    } else if (json_object_get(change, "remove") != NULL) {
        remove_pod(cluster, json_string_value(json_object_get(change, "remove")));
    } else if (json_object_get(change, "free_ports") != NULL) {
        free_ports(cluster, json_string_value(name));
    } else if (json_object_get(change, "uncordon") != NULL) {
        (void)json_object_set_new(json_object_get(node, "spec"), "unschedulable", json_false());
    } else if (json_object_get(change, "label") != NULL) {
        apply_label(node, json_object_get(change, "label"));
    } else {
        const json_t *free = json_object_get(change, "free");
        const json_t *grow = json_object_get(change, "grow");
        bool devices = json_object_get(change, "device") != NULL ||
                       (json_object_get(free, GPU) != NULL && shares_devices(node));
        assert_true(free != NULL || grow != NULL || devices);
        if (devices)
            free_devices(cluster, json_string_value(name));
        else
            apply_more(node, free != NULL ? free : grow);
    }
}

static json_t *explain_cluster(const json_t *cluster)
{
    char *text = json_dumps(cluster, 0);
    assert_non_null(text);
    struct offline_rig rig = rig_read("f", text);
    json_t *x = rig_explain_json(&rig, "default", "p");
    mu_mem_free(text);
    rig_drop(&rig);
    return x;
}

static bool is_feasible(const json_t *x, const char *node)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(x, "feasible"), i, name)
    {
        if (strcmp(json_string_value(name), node) == 0)
            return true;
    }
    return false;
}

/* Which causes were met, by the name of their change. */
static const char *const causes[] = {"uncordon",
                                     "toleration",
                                     "label",
                                     "unlabel",
                                     "free",
                                     "free pods",
                                     "grow",
                                     "free_ports",
                                     "remove",
                                     "spec.nodeSelector",
                                     "spec.affinity.nodeAffinity" REQUIRED,
                                     "spec.affinity.podAffinity" REQUIRED,
                                     "spec.affinity.podAntiAffinity" REQUIRED,
                                     "spec.topologySpreadConstraints",
                                     "device"};
#define CAUSES (sizeof causes / sizeof causes[0])
struct met {
    uint32_t count[CAUSES];
};

static const char *cause_of(const json_t *change)
{
    const json_t *label = json_object_get(change, "label");
    const json_t *free = json_object_get(change, "free");
    const char *drop = json_string_value(json_object_get(change, "drop"));
    if (label != NULL)
        return json_is_null(json_object_iter_value(json_object_iter((json_t *)(uintptr_t)label)))
                   ? "unlabel"
                   : "label";
    if (free != NULL)
        return json_object_get(free, "pods") != NULL ? "free pods" : "free";
    if (drop != NULL)
        return drop;
    for (size_t i = 0; i < CAUSES; i++)
        if (json_object_get(change, causes[i]) != NULL)
            return causes[i];
    return "none";
}

static void note_causes(struct met *met, const json_t *changes)
{
    size_t i;
    json_t *change;
    json_array_foreach(changes, i, change)
    {
        const char *cause = cause_of(change);
        bool known = false;
        for (size_t c = 0; c < CAUSES; c++) {
            if (strcmp(cause, causes[c]) == 0) {
                met->count[c]++;
                known = true;
            }
        }
        assert_true(known);
    }
}

/* Whether the node takes the pod with the changes made, but for one of them (`size`: all). */
static bool fits_without(const json_t *cluster, const json_t *changes, size_t left_out,
                         const char *node)
{
    json_t *changed = json_deep_copy(cluster);
    for (size_t i = 0; i < json_array_size(changes); i++)
        if (i != left_out)
            apply_change(changed, json_array_get(changes, i));
    json_t *after = explain_cluster(changed);
    bool fits = is_feasible(after, node);
    json_decref(after);
    json_decref(changed);
    return fits;
}

/* Devices that were freed for one resource of them may do for the other one too, and here all are
 * freed at once: of two such changes either one may be left out. */
static bool is_of_devices(const json_t *change)
{
    const json_t *free = json_object_get(change, "free");
    return json_object_get(change, "device") != NULL || json_object_get(free, GPU) != NULL ||
           json_object_get(free, GPU_PART) != NULL;
}

static bool has_alternative(const json_t *changes, size_t at)
{
    size_t i;
    json_t *change;
    uint32_t count = 0;
    json_array_foreach(changes, i, change) count += is_of_devices(change);
    return count > 1 && is_of_devices(json_array_get(changes, at));
}

/* One that refuses the pod by a rule that is built, or NULL. */
static const json_t *random_rejected(struct mu_test_run *run, const json_t *x)
{
    const json_t *rejected = json_object_get(x, "rejected");
    uint32_t count = (uint32_t)json_array_size(rejected);
    const json_t *row = count == 0 ? NULL : json_array_get(rejected, below(run, count));
    const char *filter = json_string_value(json_object_get(row, "filter"));
    return filter != NULL && strcmp(filter, "Unsupported") != 0 ? row : NULL;
}

static void test_explain__stated_change_made__pod_fits_there(void **state)
{
    struct met met = {.count = {0}};
    struct mu_test_run run = mu_test_run_begin(41);
    uint32_t tried = 0, parts = 0;
    (void)state;
    for (; tried < 1000; run.step++) {
        json_t *cluster = random_cluster(&run, 1 + below(&run, 6));
        json_t *x = explain_cluster(cluster);
        const json_t *row = random_rejected(&run, x);
        const char *node = json_string_value(json_object_get(row, "node"));
        const json_t *changes = json_object_get(row, "change");
        MU_TEST_CHECK(&run, row == NULL || json_array_size(changes) > 0);
        note_causes(&met, changes);
        if (row != NULL)
            MU_TEST_CHECK(&run, fits_without(cluster, changes, SIZE_MAX, node));
        for (size_t i = 0; json_array_size(changes) > 1 && i < json_array_size(changes); i++) {
            if (has_alternative(changes, i))
                continue;
            MU_TEST_CHECK(&run, !fits_without(cluster, changes, i, node));
            parts++;
        }
        tried += row != NULL;
        json_decref(x);
        json_decref(cluster);
    }
    assert_in_range(parts, 1000, UINT32_MAX);
    for (size_t c = 0; c < CAUSES; c++)
        if (met.count[c] < 10)
            fail_msg("%s: met %u times", causes[c], met.count[c]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_explain__stated_change_made__pod_fits_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
