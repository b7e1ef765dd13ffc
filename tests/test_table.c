#include "tools/kubesim/table.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "tools/kubesim/wire.h"

#define NOW_S 1000000

/* ---- messages as text: "1{1'name' 8{1:5}}" is field 1 with a text and a message inside ------- */

static void encode(const char **at, struct mu_buf *out)
{
    while (**at == ' ') {
        (*at)++;
    }
    while (isdigit((unsigned char)**at)) {
        char *end = NULL;
        uint32_t number = (uint32_t)strtoul(*at, &end, 10);
        *at = end + 1;
        if (*end == ':') {
            mu_pb_put_varint(out, (uint64_t)number << 3);
            mu_pb_put_varint(out, (uint64_t)strtoll(*at, &end, 10));
            *at = end;
        } else if (*end == '\'') {
            const char *close = strchr(*at, '\'');
            mu_pb_put_bytes(out, number, (struct mu_str){*at, (uint32_t)(close - *at)});
            *at = close + 1;
        } else {
            MU_ASSERT(*end == '{');
            struct mu_buf inner = {0};
            encode(at, &inner);
            MU_ASSERT(**at == '}');
            (*at)++;
            mu_pb_put_bytes(out, number,
                            (struct mu_str){(const char *)inner.data, (uint32_t)inner.len});
            mu_buf_fini(&inner);
        }
        while (**at == ' ') {
            (*at)++;
        }
    }
}

static const struct mu_kind *kind_of(const char *group, const char *kind)
{
    for (int i = 0; i < MU_KIND_COUNT; i++) {
        if (strcmp(mu_kinds[i].group, group) == 0 && strcmp(mu_kinds[i].kind, kind) == 0) {
            return &mu_kinds[i];
        }
    }
    /* Printers go by the names of a kind: a row of our own does for those not in the table. */
    static struct mu_kind other;
    other = (struct mu_kind){
        .group = group, .kind = kind, .descriptor = mu_kinds[MU_KIND_PODS].descriptor};
    return &other;
}

/* The cells of an object, without the brackets. */
static void expect_in(const struct mu_kind *kind, const char *object, const char *cells)
{
    struct mu_buf raw = {0};
    struct mu_buf out = {0};
    encode(&object, &raw);
    assert_string_equal(object, "");
    mu_table_cells(kind, (struct mu_str){(const char *)raw.data, (uint32_t)raw.len}, NOW_S, &out);
    assert_int_equal(out.failed, 0);
    assert_true(out.len >= 2 && out.data[0] == '[' && out.data[out.len - 1] == ']');
    out.data[out.len - 1] = '\0';
    assert_string_equal((const char *)out.data + 1, cells);
    mu_buf_fini(&raw);
    mu_buf_fini(&out);
}

static void expect(const char *group, const char *kind, const char *object, const char *cells)
{
    expect_in(kind_of(group, kind), object, cells);
}

/* NAME READY STATUS RESTARTS of a pod called p that is 10 s old. */
static void expect_pod(const char *spec, const char *status, const char *cells)
{
    char object[1024];
    char want[256];
    (void)snprintf(object, sizeof object, "1{1'p' 8{1:999990}} 2{%s} 3{%s}", spec, status);
    (void)snprintf(want, sizeof want,
                   "\"p\",%s,\"10s\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"", cells);
    expect("", "Pod", object, want);
}

/* ---- durations ---------------------------------------------------------------------------- */

static void test_table_duration__as_the_real_printers(void **state)
{
    (void)state;
    enum { M = 60, H = 3600, D = 24 * H, Y = 365 * D };
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {{-5, "<invalid>"},
                {-1, "0s"},
                {0, "0s"},
                {119, "119s"},
                {2 * M, "2m"},
                {5 * M + 12, "5m12s"},
                {10 * M + 12, "10m"},
                {179 * M + 59, "179m"},
                {3 * H, "3h"},
                {3 * H + 5 * M, "3h5m"},
                {8 * H + 5 * M, "8h"},
                {47 * H, "47h"},
                {2 * D, "2d"},
                {2 * D + 4 * H, "2d4h"},
                {8 * D + 4 * H, "8d"},
                {729 * (int64_t)D, "729d"},
                {2 * (int64_t)Y, "2y"},
                {2 * (int64_t)Y + 3 * D, "2y3d"},
                {9 * (int64_t)Y + 3 * D, "9y"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_buf out = {0};
        mu_table_duration(rows[i].seconds, &out);
        (void)mu_buf_append(&out, "", 1);
        assert_string_equal((const char *)out.data, rows[i].text);
        mu_buf_fini(&out);
    }
}

/* ---- pods --------------------------------------------------------------------------------- */

#define ONE        "2{1'a'}"
#define TWO        "2{1'a'} 2{1'b'}"
#define RUNS(name) "8{1'" name "' 2{2{}} 4:1}"

static void test_table_pod__phases_and_reasons(void **state)
{
    (void)state;
    expect_pod(ONE, "1'Pending'", "\"0/1\",\"Pending\",\"0\"");
    expect_pod(TWO, "1'Running' " RUNS("a") " 8{1'b' 2{2{}}}", "\"1/2\",\"Running\",\"0\"");
    expect_pod(ONE, "1'Failed' 4'Evicted'", "\"0/1\",\"Evicted\",\"0\"");
    expect_pod(ONE, "1'Pending' 2{1'PodScheduled' 2'False' 5'SchedulingGated'}",
               "\"0/1\",\"SchedulingGated\",\"0\"");
    expect_pod(ONE, "1'Pending' 2{1'PodScheduled' 2'False' 5'Unschedulable'}",
               "\"0/1\",\"Pending\",\"0\"");
    expect_pod("", "", "\"0/0\",\"\",\"0\"");
}

static void test_table_pod__containers__first_reason_wins(void **state)
{
    (void)state;
    expect_pod(TWO, "1'Pending' 8{1'a' 2{1{1'ContainerCreating'}}} 8{1'b' 2{1{1'ErrImagePull'}}}",
               "\"0/2\",\"ContainerCreating\",\"0\"");
    expect_pod(ONE, "1'Failed' 8{1'a' 2{3{1:3 3'Error'}}}", "\"0/1\",\"Error\",\"0\"");
    expect_pod(ONE, "1'Failed' 8{1'a' 2{3{1:3}}}", "\"0/1\",\"ExitCode:3\",\"0\"");
    expect_pod(ONE, "1'Failed' 8{1'a' 2{3{1:137 2:9}}}", "\"0/1\",\"Signal:9\",\"0\"");
    expect_pod(TWO, "1'Running' 8{1'a' 2{3{3'Completed'}}} " RUNS("b"),
               "\"1/2\",\"NotReady\",\"0\"");
    expect_pod(TWO, "1'Running' 2{1'Ready' 2'True'} 8{1'a' 2{3{3'Completed'}}} " RUNS("b"),
               "\"1/2\",\"Running\",\"0\"");
}

static void test_table_pod__init_containers__progress(void **state)
{
    (void)state;
    static const char spec[] = ONE " 20{1'i'} 20{1'j'}";
    expect_pod(spec, "1'Pending' 10{1'i' 2{2{}}} 10{1'j'}", "\"0/1\",\"Init:0/2\",\"0\"");
    expect_pod(spec, "1'Pending' 10{1'i' 2{3{1:0}}} 10{1'j' 2{1{1'PodInitializing'}}}",
               "\"0/1\",\"Init:1/2\",\"0\"");
    expect_pod(spec, "1'Pending' 10{1'i' 2{1{1'CrashLoopBackOff'}} 5:4}",
               "\"0/1\",\"Init:CrashLoopBackOff\",\"4\"");
    expect_pod(spec, "1'Pending' 10{1'i' 2{3{1:2}}}", "\"0/1\",\"Init:ExitCode:2\",\"0\"");
    expect_pod(spec, "1'Pending' 10{1'i' 2{3{1:2 2:9}}}", "\"0/1\",\"Init:Signal:9\",\"0\"");
    expect_pod(spec, "1'Pending' 10{1'i' 2{3{1:2 3'Error'}}}", "\"0/1\",\"Init:Error\",\"0\"");
    expect_pod(spec, "1'Running' 10{1'i' 2{3{1:0}} 5:3} 10{1'j' 2{3{1:0}}} " RUNS("a"),
               "\"1/1\",\"Running\",\"0\"");
}

static void test_table_pod__sidecars__count_as_containers(void **state)
{
    (void)state;
    static const char spec[] = ONE " 20{1's' 24'Always'} 20{1'i'}";
    expect_pod(spec, "1'Running' 10{1's' 2{2{}} 4:1 5:2 9:1} 10{1'i' 2{3{1:0}}} " RUNS("a"),
               "\"2/2\",\"Running\",\"2\"");
    expect_pod(spec, "1'Pending' 10{1's' 2{2{}}} 10{1'i'}", "\"0/2\",\"Init:0/2\",\"0\"");
    expect_pod(spec, "1'Pending' 2{1'Initialized' 2'True'} 10{1's' 2{2{}}} 10{1'i'} " RUNS("a"),
               "\"1/2\",\"Init:0/2\",\"0\"");
}

static void test_table_pod__restarts__say_when(void **state)
{
    (void)state;
    expect_pod(ONE, "1'Running' 8{1'a' 2{2{}} 3{3{6{1:999700}}} 4:1 5:7}",
               "\"1/1\",\"Running\",\"7 (5m ago)\"");
}

static void test_table_pod__deleted__terminating_until_it_ended(void **state)
{
    (void)state;
    static const char rest[] = ",\"0\",\"10s\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"";
    static const struct {
        const char *status, *shown;
    } rows[] = {{"1'Running'", "Terminating"},
                {"1'Succeeded'", "Succeeded"},
                {"1'Failed'", "Failed"},
                {"1'Running' 4'NodeLost'", "Unknown"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char object[256];
        char want[256];
        (void)snprintf(object, sizeof object, "1{1'p' 8{1:999990} 9{1:999999}} 2{" ONE "} 3{%s}",
                       rows[i].status);
        (void)snprintf(want, sizeof want, "\"p\",\"0/1\",\"%s\"%s", rows[i].shown, rest);
        expect("", "Pod", object, want);
    }
}

static void test_table_pod__wide__address_node_and_gates(void **state)
{
    (void)state;
    expect("", "Pod",
           "1{1'p'} 2{" ONE " 10'n1' 28{1'x'} 28{1'y'}} 3{1'Running' 2{1'x' 2'True'} 6'10.0.0.9'"
           " 12{1'10.0.0.1'} 12{1'fd00::1'} 11'n2'}",
           "\"p\",\"0/1\",\"Running\",\"0\",\"<unknown>\",\"10.0.0.1\",\"n1\",\"n2\",\"1/2\"");
    expect("", "Pod", "1{1'p'} 3{6'10.0.0.9'}",
           "\"p\",\"0/0\",\"\",\"0\",\"<unknown>\",\"10.0.0.9\",\"<none>\",\"<none>\",\"<none>\"");
}

/* ---- other kinds -------------------------------------------------------------------------- */

static void test_table_node__status_roles_and_system(void **state)
{
    (void)state;
    expect("", "Node", "1{1'n' 8{1:999990}}",
           "\"n\",\"Unknown\",\"<none>\",\"10s\",\"\",\"<none>\",\"<none>\",\"<unknown>\","
           "\"<unknown>\",\"<unknown>\"");
    expect("", "Node",
           "1{1'n' 8{1:999990} 11{1'node-role.kubernetes.io/worker'}"
           " 11{1'kubernetes.io/role' 2'edge'} 11{1'node-role.kubernetes.io/edge'}"
           " 11{1'node-role.kubernetes.io/'}} 2{4:1}"
           " 3{4{1'MemoryPressure' 2'False'} 4{1'Ready' 2'True'} 5{1'InternalIP' 2'10.0.0.1'}"
           " 5{1'ExternalIP' 2'1.2.3.4'} 7{4'6.1' 5'Linux' 6'run://1' 7'v1.35'}}",
           "\"n\",\"Ready,SchedulingDisabled\",\"edge,worker\",\"10s\",\"v1.35\",\"10.0.0.1\","
           "\"1.2.3.4\",\"Linux\",\"6.1\",\"run://1\"");
    expect("", "Node", "1{1'n' 8{1:999990}} 3{4{1'Ready' 2'Unknown'}}",
           "\"n\",\"NotReady\",\"<none>\",\"10s\",\"\",\"<none>\",\"<none>\",\"<unknown>\","
           "\"<unknown>\",\"<unknown>\"");
}

static void test_table_cells__small_kinds(void **state)
{
    (void)state;
    expect("", "Namespace", "1{1'x' 8{1:999990}} 3{1'Active'}", "\"x\",\"Active\",\"10s\"");
    expect("scheduling.k8s.io", "PriorityClass", "1{1'x' 8{1:999990}} 2:-5 3:1 5'Never'",
           "\"x\",-5,true,\"10s\",\"Never\"");
    expect("scheduling.k8s.io", "PriorityClass", "1{1'x' 8{1:999990}} 2:7",
           "\"x\",7,false,\"10s\",\"PreemptLowerPriority\"");
    expect("", "ConfigMap", "1{1'x' 8{1:999990}} 2{1'a'} 2{1'b'} 3{1'c'}", "\"x\",3,\"10s\"");
    expect("", "ServiceAccount", "1{1'x' 8{1:999990}} 2{3's'}", "\"x\",1,\"10s\"");
    expect("coordination.k8s.io", "Lease", "1{1'x' 8{1:999990}} 2{1'me'}", "\"x\",\"me\",\"10s\"");
    expect("policy", "PodDisruptionBudget", "1{1'x' 8{1:999990}} 2{1{1:1 3'50%'}} 3{3:2}",
           "\"x\",\"50%\",\"N/A\",2,\"10s\"");
    expect("policy", "PodDisruptionBudget", "1{1'x' 8{1:999990}} 2{3{1:0 2:1}}",
           "\"x\",\"N/A\",\"1\",0,\"10s\"");
    expect("no.such.group", "Thing", "1{1'x' 8{1:999990}}", "\"x\",\"10s\"");
}

static void test_table_cells__events(void **state)
{
    (void)state;
    expect("", "Event",
           "1{1'e'} 2{1'Pod' 3'p' 7'spec'} 3'Killing' 4' stopped \n' 5{1'kubelet' 2'n1'}"
           " 6{1:999880} 7{1:999990} 8:3 9'Normal'",
           "\"10s\",\"Normal\",\"Killing\",\"pod/p\",\"spec\",\"kubelet, n1\",\"stopped\","
           "\"2m\",3,\"e\"");
    expect("", "Event",
           "1{1'e'} 2{1'Pod' 3'p'} 3'Scheduled' 4'x' 9'Normal' 10{1:999940} 14'muster' 15'm-1'",
           "\"60s\",\"Normal\",\"Scheduled\",\"pod/p\",\"\",\"muster, m-1\",\"x\",\"60s\",1,\"e\"");
    expect("", "Event", "1{1'e'} 2{1'Node'} 9'Warning' 10{1:999940} 11{1:4 2{1:999995}}",
           "\"5s\",\"Warning\",\"\",\"node\",\"\",\"\",\"\",\"60s\",4,\"e\"");
}

/* A kind whose columns are named by paths, over a descriptor that has such fields: a pod's. */
static void test_table_cells__paths__by_the_descriptor(void **state)
{
    (void)state;
    struct mu_kind kind = {.group = "scheduling.x-k8s.io",
                           .kind = "PodGroup",
                           .descriptor = mu_kinds[MU_KIND_PODS].descriptor};
    expect_in(&kind, "1{1'x' 8{1:999990}} 3{1'Running'}",
              "\"x\",\"Running\",null,null,null,null,\"10s\"");
    expect_in(&kind, "1{1'x'}", "\"x\",null,null,null,null,null,null");
    kind.descriptor = NULL;
    expect_in(&kind, "1{1'x'} 3{1'Running'}", "\"x\",null,null,null,null,null,null");
}

static void test_table_cells__hostile_bytes__still_a_row(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    static const char bytes[] = "\x0a\x05\x0a\xff\xff\xff\xff\x12\x7f\x1a\x03\x42\x01\x80";
    for (uint32_t len = 0; len < sizeof bytes; len++) {
        for (int kind = 0; kind < MU_KIND_COUNT; kind++) {
            mu_buf_clear(&out);
            mu_table_cells(&mu_kinds[kind], (struct mu_str){bytes, len}, NOW_S, &out);
            assert_int_equal(out.failed, 0);
            assert_int_equal(out.data[out.len - 1], ']');
        }
    }
    mu_buf_fini(&out);
}

static void test_table__out_of_memory__sticky_error(void **state)
{
    (void)state;
    const char *text = "1{1'e' 11{1'kubernetes.io/role' 2'x'}} 2{1'Pod' 3'p'} 5{1'a' 2'b'}";
    struct mu_buf raw = {0};
    encode(&text, &raw);
    struct mu_str bytes = {(const char *)raw.data, (uint32_t)raw.len};
    for (int kind = 0; kind < MU_KIND_COUNT; kind++) {
        int code = MU_ENOMEM;
        for (uint64_t nth = 1; code != 0; nth++) {
            struct mu_buf out = {0};
            assert_true(nth < 50);
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
            mu_table_columns(&mu_kinds[kind], &out);
            mu_table_cells(&mu_kinds[kind], bytes, NOW_S, &out);
            mu_mem_debug_set((struct mu_mem_debug){0});
            code = out.failed;
            assert_true(code == 0 || code == MU_ENOMEM);
            mu_buf_fini(&out);
        }
    }
    mu_buf_fini(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_duration__as_the_real_printers),
        cmocka_unit_test(test_table_pod__phases_and_reasons),
        cmocka_unit_test(test_table_pod__containers__first_reason_wins),
        cmocka_unit_test(test_table_pod__init_containers__progress),
        cmocka_unit_test(test_table_pod__sidecars__count_as_containers),
        cmocka_unit_test(test_table_pod__restarts__say_when),
        cmocka_unit_test(test_table_pod__deleted__terminating_until_it_ended),
        cmocka_unit_test(test_table_pod__wide__address_node_and_gates),
        cmocka_unit_test(test_table_node__status_roles_and_system),
        cmocka_unit_test(test_table_cells__small_kinds),
        cmocka_unit_test(test_table_cells__events),
        cmocka_unit_test(test_table_cells__paths__by_the_descriptor),
        cmocka_unit_test(test_table_cells__hostile_bytes__still_a_row),
        cmocka_unit_test(test_table__out_of_memory__sticky_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
