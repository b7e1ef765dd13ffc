/*
 * A checker that finds nothing proves nothing: each invariant is broken by hand here and has to be
 * reported, and the same scene unbroken must not be.
 */
#include "tests/db_fixture.h"

#include "informer/codec.h"
#include "informer/dialect.h"
#include "informer/proto/core.pb-c.h"
#include "shards/journal.h"
#include "tools/kubesim/wire.h"
#include "tools/sim/checker.h"

#define MINUTE_NS (UINT64_C(60) * 1000000000)

struct pod_spec {
    const char *name; /* its UID is derived from it */
    const char *node; /* NULL: unbound */
    const char *cpu;
    const char *gang; /* NULL: none */
    const char *size;
    const char *scheduler; /* NULL: ours */
    const char *resource;  /* of which `cpu` is an amount; NULL: cpu */
    const char *devices;   /* annotation; NULL: none */
    const char *ns;        /* NULL: default */
    const char *app;       /* label; NULL: none */
    const char *apart;     /* no pod of that app on its node, in namespaces of team=a */
    const char *near;      /* one of that app on its node, likewise */
    bool zoned;            /* `apart` and `near` speak of its zone instead: all nodes are in one */
    const char *plan;      /* annotation of its binding; NULL: none */
    int32_t port;          /* host port; 0: none */
    int32_t priority;
    bool gated, terminating, never;
    int version;
};

struct scene {
    struct mu_checker *checker;
    struct mu_db *db;
    struct mu_arena *arena;
};

static struct scene scene_make(void)
{
    struct mu_str ours = MU_STR("muster");
    struct mu_checker_config checker = {.scheduler_name = MU_STR("muster"),
                                        .gang_deadline_ns = MINUTE_NS};
    struct mu_db_config db = {.scheduler_names = &ours, .scheduler_name_count = 1};
    struct scene s = {.checker = mu_checker_create(&checker),
                      .db = mu_db_create(&db),
                      .arena = mu_arena_create(1 << 20)};
    assert_non_null(s.checker);
    assert_non_null(s.db);
    return s;
}

static void scene_drop(struct scene *s)
{
    mu_checker_destroy(s->checker);
    mu_db_destroy(s->db);
    mu_arena_destroy(s->arena);
}

/* protobuf-c wants writable text. */
static char *text(struct scene *s, const char *t)
{
    return (char *)(uintptr_t)mu_arena_str(s->arena, mu_str_of(t)).data;
}

static struct mu_str pack(struct scene *s, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *raw = mu_arena_alloc(s->arena, size + 1);
    assert_int_equal(protobuf_c_message_pack(message, raw), size);
    return (struct mu_str){(const char *)raw, (uint32_t)size};
}

static const char *uid_of(const char *name)
{
    static char uid[64];
    (void)snprintf(uid, sizeof uid, "uid-of-%s", name);
    return uid;
}

static Kube__StringEntry *entry(struct scene *s, const char *key, const char *value)
{
    Kube__StringEntry *e = mu_arena_alloc(s->arena, sizeof *e);
    kube__string_entry__init(e);
    e->key = text(s, key);
    e->value = text(s, value);
    return e;
}

static Kube__LabelSelector *selector_of(struct scene *s, const char *key, const char *value)
{
    Kube__LabelSelector *selector = mu_arena_alloc(s->arena, sizeof *selector);
    kube__label_selector__init(selector);
    selector->matchlabels = mu_arena_alloc(s->arena, sizeof *selector->matchlabels);
    selector->matchlabels[0] = entry(s, key, value);
    selector->n_matchlabels = 1;
    return selector;
}

static Kube__Affinity *affinity_to(struct scene *s, const char *app, bool apart, const char *key)
{
    Kube__PodAffinityTerm **terms = mu_arena_alloc(s->arena, sizeof *terms);
    Kube__PodAffinity *near = mu_arena_alloc(s->arena, sizeof *near);
    Kube__PodAntiAffinity *anti = mu_arena_alloc(s->arena, sizeof *anti);
    Kube__Affinity *affinity = mu_arena_alloc(s->arena, sizeof *affinity);
    terms[0] = mu_arena_alloc(s->arena, sizeof **terms);
    kube__pod_affinity_term__init(terms[0]);
    terms[0]->topologykey = text(s, key);
    terms[0]->labelselector = selector_of(s, "app", app);
    terms[0]->namespaceselector = selector_of(s, "team", "a");
    kube__pod_anti_affinity__init(anti);
    anti->requiredduringschedulingignoredduringexecution = terms;
    anti->n_requiredduringschedulingignoredduringexecution = 1;
    kube__pod_affinity__init(near);
    near->requiredduringschedulingignoredduringexecution = terms;
    near->n_requiredduringschedulingignoredduringexecution = 1;
    kube__affinity__init(affinity);
    affinity->podantiaffinity = apart ? anti : NULL;
    affinity->podaffinity = apart ? NULL : near;
    return affinity;
}

static struct mu_str space(struct scene *s, const char *name, const char *team, int version)
{
    Kube__StringEntry *label = entry(s, "team", team);
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    char number[16];
    (void)snprintf(number, sizeof number, "%d", version);
    metadata.name = text(s, name);
    metadata.uid = text(s, uid_of(name));
    metadata.resourceversion = text(s, number);
    metadata.labels = &label;
    metadata.n_labels = 1;
    Kube__Namespace message = KUBE__NAMESPACE__INIT;
    message.metadata = &metadata;
    return pack(s, &message.base);
}

static struct mu_str pod(struct scene *s, struct pod_spec spec)
{
    Kube__StringEntry gang = KUBE__STRING_ENTRY__INIT, size = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *annotations[] = {&gang, &size};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    char version[16];
    (void)snprintf(version, sizeof version, "%d", spec.version);
    metadata.name = text(s, spec.name);
    metadata.namespace_ = text(s, spec.ns != NULL ? spec.ns : "default");
    metadata.uid = text(s, uid_of(spec.name));
    metadata.resourceversion = text(s, version);
    Kube__StringEntry *app = entry(s, "app", spec.app != NULL ? spec.app : "");
    metadata.labels = &app;
    metadata.n_labels = spec.app != NULL;
    if (spec.gang != NULL) {
        gang.key = text(s, MU_GANG_ANNOTATION);
        gang.value = text(s, spec.gang);
        size.key = text(s, MU_GANG_SIZE_ANNOTATION);
        size.value = text(s, spec.size);
        metadata.annotations = annotations;
        metadata.n_annotations = 2;
    }
    if (spec.devices != NULL) {
        gang.key = text(s, MU_DEVICE_ANNOTATION);
        gang.value = text(s, spec.devices);
        metadata.annotations = annotations;
        metadata.n_annotations = 1;
    }
    if (spec.plan != NULL) {
        gang.key = text(s, MU_PLAN_ANNOTATION);
        gang.value = text(s, spec.plan);
        metadata.annotations = annotations;
        metadata.n_annotations = 1;
    }
    Kube__Time now = KUBE__TIME__INIT;
    now.has_seconds = true;
    now.seconds = 1;
    metadata.deletiontimestamp = spec.terminating ? &now : NULL;
    Kube__Quantity amount = KUBE__QUANTITY__INIT;
    amount.string = text(s, spec.cpu);
    Kube__QuantityEntry cpu = KUBE__QUANTITY_ENTRY__INIT;
    cpu.key = text(s, spec.resource != NULL ? spec.resource : "cpu");
    cpu.value = &amount;
    Kube__QuantityEntry *requests[] = {&cpu};
    Kube__ResourceRequirements resources = KUBE__RESOURCE_REQUIREMENTS__INIT;
    resources.requests = requests;
    resources.n_requests = 1;
    Kube__Container container = KUBE__CONTAINER__INIT;
    container.name = text(s, "main");
    container.resources = &resources;
    Kube__Container *containers[] = {&container};
    Kube__ContainerPort port = KUBE__CONTAINER_PORT__INIT;
    Kube__ContainerPort *ports[] = {&port};
    port.has_containerport = port.has_hostport = true;
    port.containerport = port.hostport = spec.port;
    container.ports = ports;
    container.n_ports = spec.port != 0;
    Kube__PodSchedulingGate gate = KUBE__POD_SCHEDULING_GATE__INIT;
    gate.name = text(s, "example.com/gate");
    Kube__PodSchedulingGate *gates[] = {&gate};
    Kube__PodSpec ps = KUBE__POD_SPEC__INIT;
    ps.containers = containers;
    ps.n_containers = 1;
    ps.nodename = spec.node != NULL ? text(s, spec.node) : NULL;
    ps.schedulername = text(s, spec.scheduler != NULL ? spec.scheduler : "muster");
    ps.schedulinggates = gates;
    ps.n_schedulinggates = spec.gated;
    ps.has_priority = true;
    ps.priority = spec.priority;
    ps.preemptionpolicy = spec.never ? text(s, "Never") : NULL;
    if (spec.apart != NULL || spec.near != NULL)
        ps.affinity =
            affinity_to(s, spec.apart != NULL ? spec.apart : spec.near, spec.apart != NULL,
                        spec.zoned ? "zone" : "kubernetes.io/hostname");
    Kube__Pod message = KUBE__POD__INIT;
    message.metadata = &metadata;
    message.spec = &ps;
    return pack(s, &message.base);
}

/* gpus: NULL, or so many that are shared. */
static struct mu_str node_with(struct scene *s, const char *name, const char *cpu,
                               bool unschedulable, const char *gpus)
{
    Kube__StringEntry sharing = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[] = {entry(s, "kubernetes.io/hostname", name), entry(s, "zone", "z"),
                                   &sharing};
    Kube__ObjectMeta metadata = KUBE__OBJECT_META__INIT;
    metadata.name = text(s, name);
    metadata.uid = text(s, uid_of(name));
    metadata.resourceversion = text(s, "1");
    Kube__Quantity amounts[3] = {KUBE__QUANTITY__INIT, KUBE__QUANTITY__INIT, KUBE__QUANTITY__INIT};
    Kube__QuantityEntry entries[3] = {KUBE__QUANTITY_ENTRY__INIT, KUBE__QUANTITY_ENTRY__INIT,
                                      KUBE__QUANTITY_ENTRY__INIT};
    Kube__QuantityEntry *allocatable[] = {&entries[0], &entries[1], &entries[2]};
    amounts[0].string = text(s, cpu);
    amounts[1].string = text(s, "110");
    amounts[2].string = text(s, gpus != NULL ? gpus : "0");
    entries[2].key = text(s, "nvidia.com/gpu");
    entries[2].value = &amounts[2];
    sharing.key = text(s, MU_SHARING_LABEL);
    sharing.value = text(s, "true");
    metadata.labels = labels;
    metadata.n_labels = gpus != NULL ? 3 : 2;
    entries[0].key = text(s, "cpu");
    entries[0].value = &amounts[0];
    entries[1].key = text(s, "pods");
    entries[1].value = &amounts[1];
    Kube__NodeSpec spec = KUBE__NODE_SPEC__INIT;
    spec.has_unschedulable = spec.unschedulable = unschedulable;
    Kube__NodeStatus status = KUBE__NODE_STATUS__INIT;
    status.allocatable = allocatable;
    status.n_allocatable = gpus != NULL ? 3 : 2;
    Kube__Node message = KUBE__NODE__INIT;
    message.metadata = &metadata;
    message.spec = &spec;
    message.status = &status;
    return pack(s, &message.base);
}

static struct mu_str node(struct scene *s, const char *name, const char *cpu, bool unschedulable)
{
    return node_with(s, name, cpu, unschedulable, NULL);
}

static void see_node(struct scene *s, struct mu_str raw)
{
    struct mu_node_object object;
    struct mu_error warn, error;
    mu_checker_view_object(s->checker, MU_DB_NODES, raw, false);
    assert_int_equal(mu_node_decode(raw, s->arena, &object, &warn, &error), 0);
    assert_int_equal(mu_db_node_upsert(s->db, &object, 0, &error), 0);
}

static void see_space(struct scene *s, struct mu_str raw)
{
    struct mu_namespace_object object;
    struct mu_error warn, error;
    mu_checker_view_object(s->checker, MU_DB_NAMESPACES, raw, false);
    assert_int_equal(mu_namespace_decode(raw, s->arena, &object, &warn, &error), 0);
    assert_int_equal(
        mu_db_namespace_upsert(s->db, object.name, object.labels, object.label_count, &error), 0);
}

static void see_pod(struct scene *s, struct mu_str raw)
{
    struct mu_pod_object object;
    struct mu_error warn, error;
    mu_checker_view_object(s->checker, MU_DB_PODS, raw, false);
    assert_int_equal(mu_pod_decode(raw, s->arena, &object, &warn, &error), 0);
    assert_int_equal(mu_db_pod_upsert(s->db, &object, 0, &error), 0);
}

/* A decision that binds the named pods to the first node row. */
static void decide(struct scene *s, uint32_t count, const char *const *names, uint32_t size)
{
    struct mu_plan_bind binds[4] = {{.node = {0}}};
    for (uint32_t i = 0; i < count; i++) {
        struct mu_uid uid;
        assert_int_equal(mu_db_uid_parse(s->db, mu_str_of(uid_of(names[i])), &uid), 0);
        binds[i].uid = uid;
    }
    struct mu_plan_gang gang = {.size = size, .bind_count = count, .binds = binds};
    mu_checker_decision(s->checker, s->db, &gang);
}
#define DECIDE(s, size, ...)                                                                       \
    decide(s, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),                        \
           (const char *const[]){__VA_ARGS__}, size)

static void serve(struct scene *s, uint64_t now_ns, struct mu_str n, uint32_t count,
                  const struct pod_spec *pods)
{
    mu_checker_server_begin(s->checker);
    assert_int_equal(mu_checker_server_object(s->checker, MU_DB_NODES, n), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(mu_checker_server_object(s->checker, MU_DB_PODS, pod(s, pods[i])), 0);
    mu_checker_server_end(s->checker, now_ns);
}

/* Exactly the violations of this invariant were found; NULL: none. */
static void found(struct scene *s, const char *invariant)
{
    const struct mu_violation *violations;
    uint32_t count = mu_checker_violations(s->checker, &violations);
    for (uint32_t i = 0; i < count; i++) {
        if (invariant == NULL || strcmp(violations[i].invariant, invariant) != 0)
            print_error("%s: %s\n", violations[i].invariant, violations[i].what);
        assert_non_null(invariant);
        assert_string_equal(violations[i].invariant, invariant);
    }
    assert_int_equal(count > 0, invariant != NULL);
}

/* One of the violations is of this invariant. */
static void found_among(struct scene *s, const char *invariant)
{
    const struct mu_violation *violations;
    uint32_t count = mu_checker_violations(s->checker, &violations);
    bool is_there = false;
    for (uint32_t i = 0; i < count; i++)
        is_there = is_there || strcmp(violations[i].invariant, invariant) == 0;
    assert_true(is_there);
}

/* ---- decisions ---------------------------------------------------------------------------- */

static void test_checker_decision__sound__nothing_found(void **state)
{
    (void)state;
    struct scene s = scene_make();
    see_node(&s, node(&s, "n", "4", false));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "a", .cpu = "4", .version = 1}));
    DECIDE(&s, 1, "a");
    found(&s, NULL);
    scene_drop(&s);
}

static void test_checker_decision__too_much__i2(void **state)
{
    (void)state;
    struct scene s = scene_make();
    see_node(&s, node(&s, "n", "4", false));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "a", .cpu = "3", .version = 1}));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "b", .cpu = "2", .version = 1}));
    DECIDE(&s, 1, "a");
    found(&s, NULL);
    DECIDE(&s, 1, "b"); /* beside a decision that the view does not show yet */
    found(&s, "I2");
    scene_drop(&s);
}

static void test_checker_decision__refused_room_is_free_again(void **state)
{
    (void)state;
    struct scene s = scene_make();
    see_node(&s, node(&s, "n", "4", false));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "a", .cpu = "3", .version = 1}));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "b", .cpu = "2", .version = 1}));
    DECIDE(&s, 1, "a");
    mu_checker_outcome(s.checker, mu_str_of(uid_of("a")), MU_BIND_REFUSED);
    DECIDE(&s, 1, "b");
    found(&s, NULL);
    scene_drop(&s);
}

static void test_checker_decision__forbidden_pods__i9(void **state)
{
    static const struct pod_spec bad[] = {
        {.name = "a", .cpu = "1", .gated = true, .version = 1},
        {.name = "a", .cpu = "1", .scheduler = "other", .version = 1},
        {.name = "a", .cpu = "1", .node = "n", .version = 1},
        {.name = "a", .cpu = "1", .gang = "g", .size = "2", .version = 1}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct scene s = scene_make();
        see_node(&s, node(&s, "n", "4", false));
        see_pod(&s, pod(&s, bad[i]));
        DECIDE(&s, 1, "a");
        found(&s, "I9");
        scene_drop(&s);
    }
}

static void test_checker_decision__cordoned_node__i11(void **state)
{
    (void)state;
    struct scene s = scene_make();
    see_node(&s, node(&s, "n", "4", true));
    see_pod(&s, pod(&s, (struct pod_spec){.name = "a", .cpu = "1", .version = 1}));
    DECIDE(&s, 1, "a");
    found(&s, "I11");
    scene_drop(&s);
}

static void test_checker_decision__rules_about_others__i11(void **state)
{
    static const struct {
        const char *team; /* of the namespace of `there` */
        struct pod_spec there, comes;
        const char *found;
    } cases[] = {
        {"a", {.app = "web"}, {.apart = "web"}, "I11"},
        {"a", {.app = "db"}, {.apart = "web"}, NULL},
        {"b", {.app = "web"}, {.apart = "web"}, NULL},  /* not of those namespaces */
        {"a", {.apart = "web"}, {.app = "web"}, "I11"}, /* a rule of the one that is there */
        {"b", {.apart = "web"}, {.app = "web"}, NULL},
        {"a", {.port = 80}, {.port = 80}, "I11"},
        {"a", {.port = 80}, {.port = 81}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s = scene_make();
        struct pod_spec there = cases[i].there, comes = cases[i].comes;
        there.name = "there";
        there.node = "n";
        comes.name = "comes";
        there.ns = comes.ns = "space";
        there.cpu = comes.cpu = "1";
        there.version = comes.version = 1;
        see_node(&s, node(&s, "n", "4", false));
        see_space(&s, space(&s, "space", cases[i].team, 1));
        see_pod(&s, pod(&s, there));
        see_pod(&s, pod(&s, comes));
        DECIDE(&s, 1, "comes");
        found(&s, cases[i].found);
        scene_drop(&s);
    }
}

/* `there` is bound to the node, or only holds its room; `comes` is bound there. */
static void check_beside(bool holds, struct pod_spec comes, const char *invariant)
{
    struct scene s = scene_make();
    struct pod_spec there = {.name = "there", .app = "web"};
    comes.name = "comes";
    there.ns = comes.ns = "space";
    there.cpu = comes.cpu = "1";
    there.version = comes.version = 1;
    see_node(&s, node(&s, "n", "4", false));
    see_space(&s, space(&s, "space", "a", 1));
    see_pod(&s, pod(&s, there));
    mu_db_batch_end(s.db);
    struct mu_snapshot *snapshot = mu_db_replica_create(s.db);
    struct fixture_plan plan;
    fixture_sync(s.db, snapshot);
    fixture_plan(&plan, snapshot, 0, fixture_row(s.db, snapshot, "n"));
    assert_int_equal(mu_db_admit(s.db, &plan.gang, NULL), 0);
    DECIDE(&s, 1, "there");
    if (holds) {
        mu_checker_outcome(s.checker, mu_str_of(uid_of("there")), MU_BIND_REFUSED);
        mu_db_bind_refused(s.db, plan.binds[0].uid, true);
    }
    see_pod(&s, pod(&s, comes));
    DECIDE(&s, 1, "comes");
    found(&s, invariant);
    scene_drop(&s);
}

static void test_checker_decision__beside_a_pod_that_only_holds__i11(void **state)
{
    (void)state;
    check_beside(false, (struct pod_spec){.near = "web"}, NULL);
    check_beside(true, (struct pod_spec){.near = "web"}, "I11");
    check_beside(false, (struct pod_spec){.apart = "web"}, "I11");
    check_beside(true, (struct pod_spec){.apart = "web"}, "I11");
}

/* Judged by the labels that the view shows, which may have changed since. */
static void test_checker_decision__namespace_relabelled__judged_by_the_new_label(void **state)
{
    (void)state;
    for (int changed = 0; changed < 2; changed++) {
        struct scene s = scene_make();
        see_node(&s, node(&s, "n", "4", false));
        see_space(&s, space(&s, "space", "b", 1));
        see_pod(&s, pod(&s, (struct pod_spec){.name = "there",
                                              .node = "n",
                                              .ns = "space",
                                              .app = "web",
                                              .cpu = "1",
                                              .version = 1}));
        see_pod(&s, pod(&s, (struct pod_spec){
                                .name = "comes", .apart = "web", .cpu = "1", .version = 1}));
        if (changed == 1)
            see_space(&s, space(&s, "space", "a", 2));
        DECIDE(&s, 1, "comes");
        found(&s, changed == 1 ? "I11" : NULL);
        scene_drop(&s);
    }
}

/* ---- server and rest ---------------------------------------------------------------------- */

static void test_checker_server__pod_moves__i1(void **state)
{
    (void)state;
    struct scene s = scene_make();
    struct mu_str n = node(&s, "n", "4", false);
    serve(&s, 0, n, 1, &(struct pod_spec){.name = "a", .cpu = "1", .node = "n", .version = 1});
    found(&s, NULL);
    serve(&s, 1, n, 1, &(struct pod_spec){.name = "a", .cpu = "1", .node = "m", .version = 2});
    found(&s, "I1");
    scene_drop(&s);
}

static void test_checker_server__over_committed__i2(void **state)
{
    static const struct pod_spec pods[] = {{.name = "a", .cpu = "3", .node = "n", .version = 1},
                                           {.name = "b", .cpu = "2", .node = "n", .version = 1}};
    (void)state;
    struct scene s = scene_make();
    serve(&s, 0, node(&s, "n", "4", false), 2, pods);
    found(&s, "I2");
    scene_drop(&s);
}

#define SHARE(pod, millis, list)                                                                   \
    {                                                                                              \
        .name = pod, .node = "n", .version = 1, .resource = MU_GPU_SHARE_RESOURCE, .cpu = millis,  \
        .devices = list                                                                            \
    }

static void test_checker_server__devices__each_on_its_own(void **state)
{
    static const struct {
        struct pod_spec pods[2];
        const char *found;
    } cases[] = {
        {{SHARE("a", "600", "0"), SHARE("b", "600", "1")}, NULL},
        {{SHARE("a", "600", "0"), SHARE("b", "400", "0")}, NULL},
        {{SHARE("a", "600", "0"), SHARE("b", "600", "0")}, "I2"},  /* the sums would do */
        {{SHARE("a", "600", "0"), SHARE("b", "400", "2")}, "I11"}, /* no such device */
        {{SHARE("a", "600", "0"), SHARE("b", "400", NULL)}, "I11"},
        {{SHARE("a", "600", "0"), SHARE("b", "100", "0,1")}, "I11"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s = scene_make();
        serve(&s, 0, node_with(&s, "n", "4", false, "2"), 2, cases[i].pods);
        found(&s, cases[i].found);
        scene_drop(&s);
    }
}

static void test_checker_server__gang_partly_bound_past_deadline__i4(void **state)
{
    static const struct pod_spec pods[] = {
        {.name = "a", .cpu = "1", .node = "n", .gang = "g", .size = "2", .version = 1},
        {.name = "b", .cpu = "1", .gang = "g", .size = "2", .version = 1}};
    (void)state;
    struct scene s = scene_make();
    struct mu_str n = node(&s, "n", "4", false);
    serve(&s, MINUTE_NS, n, 2, pods);
    serve(&s, 2 * MINUTE_NS, n, 2, pods);
    found(&s, NULL);
    serve(&s, 2 * MINUTE_NS + 1, n, 2, pods);
    found(&s, "I4");
    scene_drop(&s);
}

static void test_checker_rest__pod_that_fits__i8(void **state)
{
    (void)state;
    struct scene s = scene_make();
    struct mu_str n = node(&s, "n", "4", false);
    struct pod_spec big = {.name = "a", .cpu = "5", .version = 1};
    struct pod_spec small = {.name = "b", .cpu = "1", .version = 1};
    see_node(&s, n);
    see_pod(&s, pod(&s, big));
    serve(&s, 0, n, 1, &big);
    mu_checker_rest(s.checker, mu_db_digest(s.db));
    found(&s, NULL);
    see_pod(&s, pod(&s, small));
    serve(&s, 0, n, 2, (struct pod_spec[]){big, small});
    mu_checker_rest(s.checker, mu_db_digest(s.db));
    found(&s, "I8");
    scene_drop(&s);
}

static void test_checker_rest__db_lags__i7(void **state)
{
    (void)state;
    struct scene s = scene_make();
    struct mu_str n = node(&s, "n", "4", false);
    struct pod_spec a = {.name = "a", .cpu = "1", .node = "n", .version = 1};
    see_node(&s, n);
    see_pod(&s, pod(&s, a));
    a.version = 2;
    serve(&s, 0, n, 1, &a);
    mu_checker_rest(s.checker, mu_db_digest(s.db));
    found(&s, "I7");
    scene_drop(&s);
}

static void test_checker_rest__namespace_lags__i7(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct scene s = scene_make();
        see_space(&s, space(&s, "space", "a", 1));
        mu_checker_server_begin(s.checker);
        struct mu_str now = space(&s, "space", version == 1 ? "a" : "b", version);
        assert_int_equal(mu_checker_server_object(s.checker, MU_DB_NAMESPACES, now), 0);
        mu_checker_server_end(s.checker, 0);
        mu_checker_rest(s.checker, mu_db_digest(s.db));
        found(&s, version == 1 ? NULL : "I7");
        scene_drop(&s);
    }
}

/* ---- victims ------------------------------------------------------------------------------ */

/* A plan that has the pod on the first node row, with these devices, once the victims are gone: as
 * its session has made it, or as it is admitted. */
static void preempt_on(struct scene *s, bool session, const char *name, uint64_t devices,
                       uint32_t count, const char *const *victims)
{
    struct mu_plan_bind bind = {.node = {0}, .devices = devices};
    struct mu_plan_evict evicts[4];
    assert_int_equal(mu_db_uid_parse(s->db, mu_str_of(uid_of(name)), &bind.uid), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct mu_pod_view victim;
        struct mu_uid uid;
        assert_int_equal(mu_db_uid_parse(s->db, mu_str_of(uid_of(victims[i])), &uid), 0);
        assert_true(mu_db_pod_find(s->db, uid, &victim));
        evicts[i] = (struct mu_plan_evict){.pod = victim.ix, .check = mu_uid_check(uid)};
    }
    struct mu_plan_gang gang = {
        .size = 1, .bind_count = 1, .binds = &bind, .evict_count = count, .evicts = evicts};
    struct mu_plan plan = {.gang_count = 1, .gangs = &gang};
    if (session)
        mu_checker_plan(s->checker, s->db, &plan);
    else
        mu_checker_preemption(s->checker, s->db, &gang);
}
#define PREEMPT(s, session, name, ...)                                                             \
    preempt_on(s, session, name, 0, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),  \
               (const char *const[]){__VA_ARGS__})

static const struct pod_spec low = {.priority = 0};
static const struct pod_spec middle = {.priority = 5};
static const struct pod_spec high = {.priority = 10};

/* A node of 4 with v and w, of 2 each, and p, which waits. */
static struct scene victims_make(struct pod_spec v, struct pod_spec w, struct pod_spec p)
{
    struct scene s = scene_make();
    v.name = "v";
    w.name = "w";
    p.name = "p";
    v.node = w.node = "n";
    v.cpu = w.cpu = "2";
    v.version = w.version = p.version = 1;
    see_node(&s, node(&s, "n", "4", false));
    see_pod(&s, pod(&s, v));
    see_pod(&s, pod(&s, w));
    see_pod(&s, pod(&s, p));
    mu_db_batch_end(s.db);
    return s;
}

static void test_checker_victims__sound__nothing_found(void **state)
{
    (void)state;
    struct scene s = victims_make(low, middle, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, true, "p", "v");
    PREEMPT(&s, false, "p", "v");
    found(&s, NULL);
    scene_drop(&s);
}

static void test_checker_victims__one_too_many__i6(void **state)
{
    (void)state;
    struct scene s = victims_make(low, middle, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, true, "p", "v", "w");
    found(&s, "I6");
    scene_drop(&s);
}

static void test_checker_victims__same_priority__i6(void **state)
{
    (void)state;
    struct scene s = victims_make(high, middle, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, false, "p", "v");
    found(&s, "I6");
    scene_drop(&s);
}

static void test_checker_victims__part_of_a_gang__i6(void **state)
{
    (void)state;
    const struct pod_spec member = {.gang = "g", .size = "2"};
    struct scene s = victims_make(member, member, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, false, "p", "v");
    found(&s, "I6");
    scene_drop(&s);
    s = victims_make(member, member, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, true, "p", "v", "w");
    PREEMPT(&s, false, "p", "v", "w");
    found(&s, NULL);
    scene_drop(&s);
    const struct pod_spec surplus = {.gang = "g", .size = "1"};
    s = victims_make(surplus, surplus, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, false, "p", "v");
    found(&s, NULL);
    scene_drop(&s);
}

static void test_checker_victims__never_preempts__i6(void **state)
{
    (void)state;
    struct scene s =
        victims_make(low, middle, (struct pod_spec){.cpu = "2", .priority = 10, .never = true});
    PREEMPT(&s, false, "p", "v");
    found(&s, "I6");
    scene_drop(&s);
}

static void test_checker_victims__not_enough__i5(void **state)
{
    (void)state;
    struct scene s = victims_make(low, middle, (struct pod_spec){.cpu = "4", .priority = 10});
    PREEMPT(&s, false, "p", "v");
    found(&s, "I5");
    scene_drop(&s);
}

/* More of a device may be promised than there is, until victims leave: that is no question of a pod
 * which takes none of it. */
static void test_checker_victims__device_promised_twice__only_its_takers_are_asked(void **state)
{
    (void)state;
    for (uint64_t takes = 0; takes < 2; takes++) {
        struct scene s = scene_make();
        struct pod_spec p = {.name = "p", .cpu = "4", .priority = 10, .version = 1};
        p.resource = takes ? MU_GPU_SHARE_RESOURCE : NULL;
        see_node(&s, node_with(&s, "n", "4", false, "1"));
        see_pod(&s, pod(&s, (struct pod_spec)SHARE("a", "600", "0")));
        see_pod(&s, pod(&s, (struct pod_spec)SHARE("b", "600", "0")));
        see_pod(&s, pod(&s, (struct pod_spec){.name = "v", .node = "n", .cpu = "4", .version = 1}));
        see_pod(&s, pod(&s, p));
        mu_db_batch_end(s.db);
        preempt_on(&s, false, "p", takes, 1, (const char *const[]){"v"});
        found(&s, takes ? "I5" : NULL);
        scene_drop(&s);
    }
}

static void test_checker_victims__bound_while_one_is_there__i5(void **state)
{
    (void)state;
    struct scene s = victims_make(low, middle, (struct pod_spec){.cpu = "2", .priority = 10});
    PREEMPT(&s, false, "p", "v");
    found(&s, NULL);
    DECIDE(&s, 1, "p");
    found_among(&s, "I5");
    scene_drop(&s);
}

static void test_checker_rest__could_preempt__i8(void **state)
{
    static const struct pod_spec pods[] = {{.name = "v", .cpu = "3", .node = "n", .version = 1},
                                           {.name = "p", .cpu = "2", .priority = 10, .version = 1}};
    (void)state;
    struct scene s = scene_make();
    serve(&s, 0, node(&s, "n", "4", false), 2, pods);
    mu_checker_rest(s.checker, 0);
    found_among(&s, "I8");
    scene_drop(&s);
}

/* A pod that wants its zone for itself, and one of whose members it would have to evict on n is
 * surplus, or not: as surplus it leaves alone, and the one on m stays. A whole gang leaves. */
static void test_checker_rest__surplus_may_leave_alone__i8_if_whole(void **state)
{
    static const struct {
        const char *size;
        const char *found;
    } cases[] = {{"2", "I8"}, {"1", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene s = scene_make();
        struct pod_spec v = {.name = "v", .cpu = "3", .app = "web", .gang = "g", .version = 1};
        v.size = cases[i].size;
        v.node = "n";
        struct pod_spec w = v;
        w.name = "w";
        w.node = "m";
        struct pod_spec p = {.name = "p", .cpu = "2", .priority = 10, .version = 1};
        p.apart = "web";
        p.zoned = true;
        see_space(&s, space(&s, "default", "a", 1));
        see_node(&s, node(&s, "n", "4", false));
        see_node(&s, node(&s, "m", "4", true));
        see_pod(&s, pod(&s, v));
        see_pod(&s, pod(&s, w));
        see_pod(&s, pod(&s, p));
        mu_db_batch_end(s.db);
        mu_checker_server_begin(s.checker);
        (void)mu_checker_server_object(s.checker, MU_DB_NAMESPACES, space(&s, "default", "a", 1));
        (void)mu_checker_server_object(s.checker, MU_DB_NODES, node(&s, "n", "4", false));
        (void)mu_checker_server_object(s.checker, MU_DB_NODES, node(&s, "m", "4", true));
        (void)mu_checker_server_object(s.checker, MU_DB_PODS, pod(&s, v));
        (void)mu_checker_server_object(s.checker, MU_DB_PODS, pod(&s, w));
        (void)mu_checker_server_object(s.checker, MU_DB_PODS, pod(&s, p));
        mu_checker_rest(s.checker, mu_db_digest(s.db));
        found(&s, cases[i].found);
        scene_drop(&s);
    }
}

/* ---- the journal -------------------------------------------------------------------------- */

/* A slot with one write for the pod on n, by plan 1 of incarnation 5; name NULL: an empty one. */
static void serve_slot(struct scene *s, enum mu_journal_kind kind, const char *name)
{
    struct mu_journal *journal = mu_journal_create(1, 5);
    struct mu_buf content = {0}, map = {0};
    const struct mu_journal_write write = {.kind = kind,
                                           .uid_text = mu_str_of(name != NULL ? uid_of(name) : "x"),
                                           .version = 1,
                                           .node = MU_STR("n")};
    const struct mu_journal_entry entry = {.plan = 1, .parts = 1, .count = 1, .writes = &write};
    uint64_t id;
    uint32_t slot;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_true(mu_journal_commit(journal, false, &slot, &content));
    struct mu_str bytes = {(const char *)content.data, (uint32_t)content.len};
    mu_pb_put_head(&map, 3, mu_pb_bytes_size(1, 4) + mu_pb_bytes_size(2, bytes.len));
    mu_pb_put_bytes(&map, 1, MU_STR("slot"));
    mu_pb_put_bytes(&map, 2, bytes);
    mu_checker_server_map(s->checker, (struct mu_str){(const char *)map.data, (uint32_t)map.len});
    mu_buf_fini(&content);
    mu_buf_fini(&map);
    mu_journal_destroy(journal);
}

/* Pod a on node n, with what the journal has of it. */
static struct scene landed(struct pod_spec a, enum mu_journal_kind kind, const char *name,
                           uint64_t opened)
{
    struct scene s = scene_make();
    a.name = "a";
    a.node = "n";
    a.cpu = "1";
    a.version = 1;
    if (opened != 0)
        mu_checker_opened(s.checker, 5, 1);
    if (opened > 1)
        mu_checker_opened(s.checker, 6, opened);
    mu_checker_step(s.checker, 1);
    mu_checker_server_begin(s.checker);
    assert_int_equal(mu_checker_server_object(s.checker, MU_DB_NODES, node(&s, "n", "4", false)),
                     0);
    assert_int_equal(mu_checker_server_object(s.checker, MU_DB_PODS, pod(&s, a)), 0);
    serve_slot(&s, kind, name);
    mu_checker_server_end(s.checker, 0);
    return s;
}

static void test_checker_journal__bind_lands__it_has_it(void **state)
{
    (void)state;
    struct scene s = landed((struct pod_spec){.plan = "5-1"}, MU_JOURNAL_BIND, "a", 1);
    found(&s, NULL);
    scene_drop(&s);
    s = landed((struct pod_spec){.plan = "5-1"}, MU_JOURNAL_BIND, "b", 1);
    found(&s, "I3");
    scene_drop(&s);
    s = landed((struct pod_spec){.plan = "5-2"}, MU_JOURNAL_BIND, "a", 1); /* of another plan */
    found(&s, "I3");
    scene_drop(&s);
    s = landed((struct pod_spec){.plan = NULL}, MU_JOURNAL_BIND, "a", 1);
    found(&s, "I3");
    scene_drop(&s);
}

static void test_checker_journal__taken_over__nothing_lands(void **state)
{
    (void)state;
    struct scene s = landed((struct pod_spec){.plan = "5-1"}, MU_JOURNAL_BIND, "a", 2);
    found(&s, "I3");
    scene_drop(&s);
}

static void test_checker_journal__delete_lands__it_has_it(void **state)
{
    (void)state;
    /* The pod is seen for the first time: bound and deleted at once. */
    struct scene s =
        landed((struct pod_spec){.plan = "5-1", .terminating = true}, MU_JOURNAL_BIND, "a", 1);
    found(&s, "I5");
    scene_drop(&s);
    s = landed((struct pod_spec){.plan = "5-1", .terminating = true}, MU_JOURNAL_DELETE, "a", 1);
    found(&s, "I3"); /* the bind this time */
    scene_drop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checker_decision__sound__nothing_found),
        cmocka_unit_test(test_checker_decision__too_much__i2),
        cmocka_unit_test(test_checker_decision__refused_room_is_free_again),
        cmocka_unit_test(test_checker_decision__forbidden_pods__i9),
        cmocka_unit_test(test_checker_decision__cordoned_node__i11),
        cmocka_unit_test(test_checker_decision__rules_about_others__i11),
        cmocka_unit_test(test_checker_decision__beside_a_pod_that_only_holds__i11),
        cmocka_unit_test(test_checker_decision__namespace_relabelled__judged_by_the_new_label),
        cmocka_unit_test(test_checker_server__pod_moves__i1),
        cmocka_unit_test(test_checker_server__over_committed__i2),
        cmocka_unit_test(test_checker_server__devices__each_on_its_own),
        cmocka_unit_test(test_checker_server__gang_partly_bound_past_deadline__i4),
        cmocka_unit_test(test_checker_rest__pod_that_fits__i8),
        cmocka_unit_test(test_checker_rest__db_lags__i7),
        cmocka_unit_test(test_checker_rest__namespace_lags__i7),
        cmocka_unit_test(test_checker_victims__sound__nothing_found),
        cmocka_unit_test(test_checker_victims__one_too_many__i6),
        cmocka_unit_test(test_checker_victims__same_priority__i6),
        cmocka_unit_test(test_checker_victims__part_of_a_gang__i6),
        cmocka_unit_test(test_checker_victims__never_preempts__i6),
        cmocka_unit_test(test_checker_victims__not_enough__i5),
        cmocka_unit_test(test_checker_victims__device_promised_twice__only_its_takers_are_asked),
        cmocka_unit_test(test_checker_victims__bound_while_one_is_there__i5),
        cmocka_unit_test(test_checker_rest__could_preempt__i8),
        cmocka_unit_test(test_checker_rest__surplus_may_leave_alone__i8_if_whole),
        cmocka_unit_test(test_checker_journal__bind_lands__it_has_it),
        cmocka_unit_test(test_checker_journal__taken_over__nothing_lands),
        cmocka_unit_test(test_checker_journal__delete_lands__it_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
