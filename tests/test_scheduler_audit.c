/* The audit in idle time, end to end on the embedded API server: drift that is planted in each of
 * the DB's sums is repaired and counted, and what is idle stays idle. */
#include "tests/scheduler_rig.h"

#include "engine/base/log.h"
#include "engine/db/census_priv.h"

/* Long enough for a round over a few nodes, and for the next one after a repair. */
#define ROUND_NS (500 * MU_NS_PER_MS)

static uint32_t row_of(struct rig *r, const char *name)
{
    const struct mu_db *db = mu_scheduler_db(r->scheduler);
    for (uint32_t row = 0; row < mu_row_count(db); row++)
        if (mu_str_equal(mu_db_node_name(db, (struct mu_node_ix){row}), mu_str_of(name)))
            return row;
    fail_msg("no node %s", name);
    return 0;
}

static void post_labelled(struct rig *r, const char *name, struct mu_pod_object object)
{
    const struct mu_amount request = {MU_STR("cpu"), 100};
    const struct mu_label label = {MU_STR("app"), MU_STR("web")};
    struct mu_buf body = {0};
    struct mu_api_response response;
    object.ns = MU_STR("default");
    object.name = mu_str_of(name);
    object.requests = &request;
    object.request_count = 1;
    object.labels = &label;
    object.label_count = 1;
    const struct mu_workload_pod pod = {.object = object};
    assert_int_equal(mu_workload_encode_pod(&pod, MU_STR("muster"), false, r->scratch, &body), 0);
    assert_int_equal(call(r, MU_POST, "/api/v1/namespaces/default/pods", &body, &response), 201);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* Three nodes, four pods of one spread: bound, and the books are kept. */
static void start_spread(struct rig *r)
{
    const struct mu_str web = MU_STR("web");
    const struct mu_requirement app_web = {MU_STR("app"), MU_OP_IN, &web, 1};
    const struct mu_spread spread = {.topology_key = MU_STR("kubernetes.io/hostname"),
                                     .selector = {.requirements = &app_web, .requirement_count = 1},
                                     .max_skew = 1,
                                     .min_domains = 1,
                                     .hard = true,
                                     .honor_affinity = true};
    rig_init(r, &mu_profile_spread);
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        const struct mu_label host = {MU_STR("kubernetes.io/hostname"), mu_str_of(name)};
        const struct mu_amount allocatable[] = {{MU_STR("cpu"), 4000}, {MU_STR("pods"), 110}};
        const struct mu_node_object node = {.name = mu_str_of(name),
                                            .labels = &host,
                                            .label_count = 1,
                                            .allocatable = allocatable,
                                            .allocatable_count = 2};
        post_node(r, &node);
    }
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        post_labelled(r, name, (struct mu_pod_object){.spreads = &spread, .spread_count = 1});
    }
    start(r);
    assert_int_equal(tally(r).bound, 4);
    run_for(r, ROUND_NS);
}

/* The change that makes a round begin: audits follow changes. */
static void stir(struct rig *r)
{
    static int serial;
    char name[24];
    (void)snprintf(name, sizeof name, "stir-%d", ++serial);
    add_node(r, name, 1000);
}

static void test_scheduler_audit__nothing_wrong__comes_to_rest(void **state)
{
    (void)state;
    struct rig r;
    start_spread(&r);
    struct mu_scheduler_stats before = stats_of(&r);
    assert_true(before.db.audit_rounds > 0);
    assert_int_equal(before.db.audit_drift, 0);
    assert_true(mu_scheduler_next_ns(r.scheduler) > r.now_ns + ROUND_NS);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.audit_rounds, before.db.audit_rounds);
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_true(stats_of(&r).db.audit_rounds > before.db.audit_rounds);
    assert_int_equal(stats_of(&r).db.audit_drift, 0);
    rig_fini(&r);
}

static void test_scheduler_audit__drift_in_free_amounts__is_repaired_and_counted(void **state)
{
    (void)state;
    struct rig r;
    start_spread(&r);
    int64_t *free = mu_row_free(mu_scheduler_db(r.scheduler), row_of(&r, "n1"));
    int64_t cpu = free[MU_RES_CPU];
    free[MU_RES_CPU] += 4000;
    stir(&r);
    run_for(&r, ROUND_NS);
    free = mu_row_free(mu_scheduler_db(r.scheduler), row_of(&r, "n1"));
    assert_int_equal(free[MU_RES_CPU], cpu);
    assert_int_equal(stats_of(&r).db.audit_drift, 1);
    assert_true(mu_scheduler_next_ns(r.scheduler) > r.now_ns + ROUND_NS);
    rig_fini(&r);
}

/* Room that was thought to be there: a pod that waits for it is placed once it is found. */
static void test_scheduler_audit__lost_room__is_found_by_who_waits(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n0", 4000);
    start(&r);
    struct mu_db *db = mu_scheduler_db(r.scheduler);
    mu_row_free(db, row_of(&r, "n0"))[MU_RES_CPU] = 0;
    mu_row_mark_free(db, row_of(&r, "n0"));
    add_pod(&r, "waits", 1000, solo, false);
    run_for(&r, 5 * MU_NS_PER_MS);
    assert_int_equal(tally(&r).pending, 1);
    run_for(&r, ROUND_NS);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(stats_of(&r).db.audit_drift, 1);
    rig_fini(&r);
}

static void test_scheduler_audit__drift_in_counts__is_repaired_and_counted(void **state)
{
    (void)state;
    struct rig r;
    start_spread(&r);
    struct mu_db *db = mu_scheduler_db(r.scheduler);
    const struct mu_books *b = db->books;
    assert_non_null(b);
    uint32_t census = 0;
    while (mu_census_at(b, census)->refs == 0)
        census++;
    const struct mu_census_rec *c = mu_census_at(b, census);
    assert_int_equal(c->own.kind, MU_CENSUS_SPREAD);
    uint32_t domain = mu_topology_domain(&b->topologies[c->own.topology], row_of(&r, "n2"));
    int32_t count = c->own.counts[domain];
    mu_census_debug_drift(db, census, domain, 3);
    mu_census_debug_field_drift(db, census, domain, 1);
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(c->own.counts[domain], count);
    assert_int_equal(mu_field_at(b, c->field)->domains[domain], 1);
    assert_int_equal(c->own.total, 4);
    assert_int_equal(stats_of(&r).db.audit_drift, 2);
    rig_fini(&r);
}

static void test_scheduler_audit__drift_in_devices__is_repaired_and_counted(void **state)
{
    (void)state;
    struct rig r;
    start_spread(&r);
    const struct mu_label label = {MU_STR("muster.dev/gpu-sharing"), MU_STR("true")};
    const struct mu_amount allocatable[] = {
        {MU_STR("cpu"), 64000}, {MU_STR("pods"), 110}, {MU_STR("nvidia.com/gpu"), 2}};
    const struct mu_node_object node = {.name = MU_STR("gpus"),
                                        .labels = &label,
                                        .label_count = 1,
                                        .allocatable = allocatable,
                                        .allocatable_count = 3};
    post_node(&r, &node);
    run_for(&r, ROUND_NS);
    struct mu_db *db = mu_scheduler_db(r.scheduler);
    uint32_t row = row_of(&r, "gpus");
    struct mu_device_row *devices = mu_row_devices(db, row);
    assert_non_null(devices);
    uint32_t share = db->share_resource;
    devices->left[0] = 10;
    mu_row_free(db, row)[share] = 7;
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(mu_row_devices(db, row)->left[0], MU_DEVICE_MILLIS);
    assert_int_equal(mu_row_free(db, row)[share], MU_DEVICE_MILLIS);
    assert_int_equal(stats_of(&r).db.audit_drift, 1);
    rig_fini(&r);
}

/* Work without end puts a slice off, but not for ever. */
static void test_scheduler_audit__always_busy__goes_on(void **state)
{
    (void)state;
    struct rig r;
    start_spread(&r);
    int64_t *free = mu_row_free(mu_scheduler_db(r.scheduler), row_of(&r, "n1"));
    free[MU_RES_CPU] += 4000;
    uint64_t rounds = stats_of(&r).db.audit_rounds;
    add_pod(&r, "big", 900000, solo, false);
    /* A session is due from the first change on, and nobody runs one. */
    for (int i = 0; i < 300; i++) {
        pull_watches(&r);
        r.now_ns += 10 * MU_NS_PER_MS;
        mu_scheduler_tick(r.scheduler, r.now_ns, &r.outbox);
        if (i == 50) /* half a second: put off until now */
            assert_int_equal(stats_of(&r).db.audit_drift, 0);
    }
    assert_int_equal(stats_of(&r).db.audit_drift, 1);
    assert_true(stats_of(&r).db.audit_rounds > rounds);
    rig_fini(&r);
}

/* Under virtual time there is always time for a round. It waits for as many changes as the last one
 * took slices: however long nothing happens, a change costs no more than a slice. */
static void test_scheduler_audit__by_changes__a_slice_for_each(void **state)
{
    (void)state;
    enum { NODES = 300, SLICE_ROWS = 64, STIRS = 60 };
    struct rig r;
    rig_init(&r, &mu_profile_spread);
    r.audit_by_changes = true;
    rig_restart(&r, &mu_profile_spread, 0);
    for (int i = 0; i < NODES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%d", i);
        add_node(&r, name, 1000);
    }
    start(&r);
    run_for(&r, ROUND_NS);
    struct mu_scheduler_stats before = stats_of(&r);
    assert_true(before.db.audit_rounds > 0);
    int64_t *free = mu_row_free(mu_scheduler_db(r.scheduler), row_of(&r, "n7"));
    free[MU_RES_CPU] += 4000;
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(stats_of(&r).db.audit_rows, before.db.audit_rows);
    for (int i = 0; i < STIRS; i++) {
        stir(&r);
        run_for(&r, ROUND_NS);
    }
    struct mu_scheduler_stats after = stats_of(&r);
    assert_int_equal(after.db.audit_drift, 1); /* what is wrong is found all the same */
    assert_true(after.db.audit_rounds > before.db.audit_rounds + 1);
    assert_true(after.db.audit_rows - before.db.audit_rows <=
                (after.db.generation - before.db.generation) * SLICE_ROWS + NODES + STIRS);
    rig_fini(&r);
}

static uint32_t lines_seen;
static char line_seen[256];

static void see_line(void *context, enum mu_log_level level, const char *line, uint32_t len)
{
    (void)context;
    assert_int_equal(level, MU_LOG_WARN);
    (void)snprintf(line_seen, sizeof line_seen, "%.*s", (int)len, line);
    lines_seen++;
}

/* What the DB leaves out, or finds to contradict, is told when it begins, and once. */
static void test_scheduler_audit__counts_begin__named_once(void **state)
{
    (void)state;
    struct rig r;
    const struct mu_log_config warnings = {MU_LOG_WARN, MU_LOG_LOGFMT, NULL, see_line, NULL};
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n0", 4000);
    mu_log_configure(&warnings);
    start(&r);
    assert_int_equal(lines_seen, 0);
    struct mu_db *db = mu_scheduler_db(r.scheduler);
    db->counts.limit_reduced = 3;
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(lines_seen, 1);
    assert_non_null(strstr(line_seen, "limit_reduced=3"));
    db->counts.limit_reduced = 5;
    db->counts.device_conflicts = 2;
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(lines_seen, 2);
    assert_non_null(strstr(line_seen, "device_conflicts=2"));
    db->counts.device_conflicts = 9;
    stir(&r);
    run_for(&r, ROUND_NS);
    assert_int_equal(lines_seen, 2);
    mu_log_configure(&(const struct mu_log_config){.level = MU_LOG_INFO});
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduler_audit__nothing_wrong__comes_to_rest),
        cmocka_unit_test(test_scheduler_audit__drift_in_free_amounts__is_repaired_and_counted),
        cmocka_unit_test(test_scheduler_audit__lost_room__is_found_by_who_waits),
        cmocka_unit_test(test_scheduler_audit__drift_in_counts__is_repaired_and_counted),
        cmocka_unit_test(test_scheduler_audit__drift_in_devices__is_repaired_and_counted),
        cmocka_unit_test(test_scheduler_audit__always_busy__goes_on),
        cmocka_unit_test(test_scheduler_audit__by_changes__a_slice_for_each),
        cmocka_unit_test(test_scheduler_audit__counts_begin__named_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
