/*
 * The rules of shared devices from a manifest to a decision, case by case: one node with two GPUs,
 * pods that run there already, and one that waits. It gets the devices that are named, or none,
 * with the reason and whether preemption may help.
 */
#include "tests/manifest_kit.h"

#include <stdio.h>
#include "engine/session/session.h"

#define GPU  "x.com/gpu"
#define PART "muster.dev/gpu-milli"
#define RUN  3 /* pods that run there */

/* Labels of the node. */
#define PLAIN  ""
#define SHARED "muster.dev/gpu-sharing: 'true'"
#define ALL    SHARED ", muster.dev/gpu-index: honored"

#define NO_SHARING  "node(s) weren't labelled for sharing their devices"
#define NO_WHOLE    "node(s) gave parts of their devices only"
#define NOT_FREE    "node(s) didn't have enough entirely free devices"
#define NOT_LEFT    "node(s) didn't have a device with that much left"
#define SHORT_WHOLE "Insufficient x.com/gpu"
#define SHORT_PART  "Insufficient muster.dev/gpu-milli"
#define SHORT_CPU   "Insufficient cpu"
#define UNREADABLE  "a request that cannot be read"
#define BOTH        "a part of a GPU and whole ones"

struct pod {
    const char *requests;    /* NULL: no such pod */
    const char *annotations; /* NULL: none */
    const char *phase;       /* NULL: Running */
};
#define TAKES(amount, index)                                                                       \
    {                                                                                              \
        PART ": " amount, "muster.dev/gpu-index: '" index "'", NULL                                \
    }
#define WHOLE(count, index)                                                                        \
    {                                                                                              \
        GPU ": " count, "muster.dev/gpu-index: '" index "'", NULL                                  \
    }
#define ASKS(requests)                                                                             \
    {                                                                                              \
        requests, NULL, NULL                                                                       \
    }
#define NOTED(annotations)                                                                         \
    {                                                                                              \
        "cpu: 1", annotations, NULL                                                                \
    }

static const struct {
    const char *what, *labels;
    struct pod run[RUN];
    struct pod asks;
    uint64_t devices;    /* bit per device */
    const char *refused; /* NULL: not */
    bool may;            /* preemption may help */
} cases[] = {
    /* Whole devices are to be entirely free. */
    {"two of two", ALL, {{0}}, ASKS(GPU ": 2"), 3, NULL, false},
    {"the other one", ALL, {WHOLE("1", "0")}, ASKS(GPU ": 1"), 2, NULL, false},
    {"a part is in the way", ALL, {TAKES("1", "1")}, ASKS(GPU ": 2"), 0, NOT_FREE, true},
    {"and leaves one", ALL, {TAKES("1", "0")}, ASKS(GPU ": 1"), 2, NULL, false},
    {"parts on both", ALL, {TAKES("1", "0"), TAKES("1", "1")}, ASKS(GPU ": 1"), 0, NOT_FREE, true},
    {"more than there are", ALL, {{0}}, ASKS(GPU ": 3"), 0, SHORT_WHOLE, false},
    {"more than any node has", ALL, {{0}}, ASKS(GPU ": 17"), 0, SHORT_WHOLE, false},
    {"shared, not honoured", SHARED, {{0}}, ASKS(GPU ": 1"), 0, NO_WHOLE, false},
    {"by count", PLAIN, {WHOLE("1", "0")}, ASKS(GPU ": 1"), 0, NULL, false},
    {"by count, too many", PLAIN, {WHOLE("1", "0")}, ASKS(GPU ": 2"), 0, SHORT_WHOLE, true},
    {"honoured, not shared",
     "muster.dev/gpu-index: honored",
     {{0}},
     ASKS(GPU ": 1"),
     0,
     NULL,
     false},
    {"none asked for", SHARED, {{0}}, ASKS(GPU ": 0"), 0, NULL, false},
    /* A part needs one device with that much left: best fit, the lowest number first. */
    {"the lowest", SHARED, {{0}}, ASKS(PART ": 500"), 1, NULL, false},
    {"all of one", ALL, {{0}}, ASKS(PART ": 1000"), 1, NULL, false},
    {"the fullest that suffices", ALL, {TAKES("500", "1")}, ASKS(PART ": 500"), 2, NULL, false},
    {"one that does not", ALL, {TAKES("501", "1")}, ASKS(PART ": 500"), 1, NULL, false},
    {"beside a whole one", ALL, {WHOLE("1", "0")}, ASKS(PART ": 1"), 2, NULL, false},
    {"enough on two, not on one",
     ALL,
     {TAKES("600", "0"), TAKES("600", "1")},
     ASKS(PART ": 401"),
     0,
     NOT_LEFT,
     true},
    {"both given whole", ALL, {WHOLE("2", "0,1")}, ASKS(PART ": 1"), 0, NOT_LEFT, true},
    {"more than a device", ALL, {{0}}, ASKS(PART ": 1001"), 0, SHORT_PART, false},
    {"not labelled", PLAIN, {{0}}, ASKS(PART ": 1"), 0, NO_SHARING, false},
    {"labelled otherwise",
     "muster.dev/gpu-sharing: 'yes'",
     {{0}},
     ASKS(PART ": 1"),
     0,
     NO_SHARING,
     false},
    {"none asked for", PLAIN, {{0}}, ASKS(PART ": 0"), 0, NULL, false},
    {"short of cpu first", PLAIN, {{0}}, ASKS("cpu: 9, " PART ": 1"), 0, SHORT_CPU, false},
    {"short of cpu for now",
     SHARED,
     {ASKS("cpu: 8")},
     ASKS("cpu: 1, " PART ": 1001"),
     0,
     SHORT_CPU,
     false},
    /* The annotation of KAI's users; what is no share of one is refused before (test_manifest). */
    {"half", SHARED, {TAKES("501", "0")}, NOTED("gpu-fraction: '0.5'"), 2, NULL, false},
    {"rounded up",
     SHARED,
     {TAKES("500", "0"), TAKES("500", "1")},
     NOTED("gpu-fraction: '0.5001'"),
     0,
     NOT_LEFT,
     true},
    {"of two devices",
     SHARED,
     {{0}},
     NOTED("gpu-fraction: '0.5', gpu-fraction-num-devices: '2'"),
     0,
     UNREADABLE,
     false},
    {"by memory", SHARED, {{0}}, NOTED("gpu-memory: '2000'"), 0, UNREADABLE, false},
    {"a part twice",
     SHARED,
     {{0}},
     {PART ": 100", "gpu-fraction: '0.5'", NULL},
     0,
     UNREADABLE,
     false},
    {"a part and whole ones", ALL, {{0}}, ASKS(PART ": 100, " GPU ": 1"), 0, BOTH, false},
    {"the same by annotation",
     ALL,
     {{0}},
     {GPU ": 1", "gpu-fraction: '0.5'", NULL},
     0,
     BOTH,
     false},
    /* Which devices somebody has is read from bound pods alone, and not believed blindly: one that
     * names none, or not as many as it asks for, is given some by best fit. */
    {"a wish of the pod's own",
     ALL,
     {{0}},
     {PART ": 1", "muster.dev/gpu-index: '1'", NULL},
     1,
     NULL,
     false},
    {"nothing named", ALL, {{PART ": 700", NULL, NULL}}, ASKS(PART ": 400"), 2, NULL, false},
    {"garbage", ALL, {TAKES("700", "first")}, ASKS(PART ": 400"), 2, NULL, false},
    {"a device that is not there", ALL, {TAKES("700", "2")}, ASKS(PART ": 400"), 2, NULL, false},
    {"a number beyond all",
     ALL,
     {TAKES("700", "99999999999999999999")},
     ASKS(PART ": 400"),
     2,
     NULL,
     false},
    {"one device twice", ALL, {WHOLE("2", "0,0")}, ASKS(PART ": 1"), 0, NOT_LEFT, true},
    {"too few named", ALL, {WHOLE("2", "1")}, ASKS(PART ": 1"), 0, NOT_LEFT, true},
    {"too many named", ALL, {TAKES("1", "0,1")}, ASKS(GPU ": 1"), 2, NULL, false},
    {"two on one device",
     ALL,
     {TAKES("900", "0"), TAKES("900", "0")},
     ASKS(GPU ": 1"),
     2,
     NULL,
     false},
    {"nothing is left there",
     ALL,
     {TAKES("900", "0"), TAKES("900", "0"), TAKES("1", "1")},
     ASKS(PART ": 1000"),
     0,
     NOT_LEFT,
     true},
    {"a part and whole ones, bound",
     ALL,
     {{PART ": 1, " GPU ": 1", NULL, NULL}},
     ASKS(PART ": 1"),
     0,
     NOT_LEFT,
     true},
    {"more than a device, bound",
     ALL,
     {{PART ": 1001", NULL, NULL}},
     ASKS(PART ": 1"),
     0,
     NOT_LEFT,
     true},
    {"whole ones where none are given",
     SHARED,
     {WHOLE("1", "0")},
     ASKS(PART ": 1"),
     2,
     NULL,
     false},
    {"has ended",
     ALL,
     {{GPU ": 2", "muster.dev/gpu-index: '0,1'", "Succeeded"}},
     ASKS(GPU ": 2"),
     3,
     NULL,
     false},
};

/* ---- one case ------------------------------------------------------------------------------- */

static void put_pod(struct mu_buf *text, const char *name, const struct pod *pod, bool bound)
{
    (void)mu_buf_printf(text,
                        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {%s}}\n"
                        "spec: {%scontainers: [{name: c, resources: {requests: {%s}}}]}\n",
                        name, pod->annotations != NULL ? pod->annotations : "",
                        bound ? "nodeName: g1, " : "", pod->requests);
    if (bound)
        (void)mu_buf_printf(text, "status: {phase: %s}\n",
                            pod->phase != NULL ? pod->phase : "Running");
}

static struct offline_rig rig_of(size_t i)
{
    struct mu_buf text = {.max = 0};
    (void)mu_buf_printf(&text,
                        "apiVersion: v1\nkind: Node\nmetadata: {name: g1, labels: {%s}}\n"
                        "status: {allocatable: {cpu: 8, memory: 8Gi, pods: 10, " GPU ": 2}}\n",
                        cases[i].labels);
    for (uint32_t p = 0; p < RUN && cases[i].run[p].requests != NULL; p++) {
        char name[8];
        (void)snprintf(name, sizeof name, "r%u", p);
        put_pod(&text, name, &cases[i].run[p], true);
    }
    put_pod(&text, "p", &cases[i].asks, false);
    assert_int_equal(mu_buf_append(&text, "", 1), 0);
    struct offline_rig rig = rig_read("f", (const char *)text.data);
    mu_buf_fini(&text);
    return rig;
}

/* Bit per device that the pod gets, or UINT64_MAX: it waits. */
static uint64_t devices_of(size_t i)
{
    struct offline_rig rig = rig_of(i);
    struct mu_session *session =
        mu_session_create(&(struct mu_session_config){.profile = &mu_profile_spread});
    const struct mu_plan *plan;
    assert_non_null(session);
    rig_load(&rig, (struct mu_uid){0, 0});
    struct mu_snapshot *snapshot = mu_db_replica_create(rig.db);
    assert_non_null(snapshot);
    while (mu_db_replica_sync(rig.db, snapshot, 0) == 1) {
    }
    assert_int_equal(mu_session_run(session, snapshot, 0, &plan), 0);
    uint64_t devices = plan->gang_count == 0 ? UINT64_MAX : plan->gangs[0].binds[0].devices;
    mu_session_destroy(session);
    rig_drop(&rig);
    return devices;
}

static void check_words(size_t i)
{
    struct offline_rig rig = rig_of(i);
    json_t *x = rig_explain_json(&rig, "default", "p");
    const json_t *row = json_array_get(json_object_get(x, "rejected"), 0);
    const char *message = json_string_value(json_object_get(row, "message"));
    const char *want = cases[i].refused;
    if ((message == NULL) != (want == NULL) || (want != NULL && strstr(message, want) == NULL))
        fail_msg("%zu, %s: '%s'", i, cases[i].what, message != NULL ? message : "it fits");
    if (json_is_true(json_object_get(row, "preemption_may_help")) != cases[i].may)
        fail_msg("%zu, %s: preemption_may_help", i, cases[i].what);
    json_decref(x);
    rig_drop(&rig);
}

static void test_device_rules__cases__as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t want = cases[i].refused != NULL ? UINT64_MAX : cases[i].devices;
        uint64_t got = devices_of(i);
        if (got != want)
            fail_msg("%zu, %s: devices %llx", i, cases[i].what, (unsigned long long)got);
        check_words(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_device_rules__cases__as_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
