/* Statuses of groups through the reporter: when they are written, where, and when not. */
#include "tests/reporter_rig.h"

#include "informer/report_priv.h"

#define NATIVE  "/apis/scheduling.k8s.io/v1beta1/namespaces/ns/podgroups/g/status"
#define VOLCANO "/apis/scheduling.volcano.sh/v1beta1/namespaces/ns/podgroups/g"

enum { GROUPS = 3 };

struct groups {
    struct mu_random random;
    struct rig rig; /* its reporter is ours; pods unused */
    struct mu_report_group group[GROUPS];
    bool gone[GROUPS];
    uint32_t written;
};

static bool ask(void *context, uint32_t group, struct mu_report_group *out)
{
    struct groups *g = context;
    *out = g->group[group];
    return !g->gone[group];
}

static void written(void *context, uint32_t group, uint64_t report, uint32_t shown)
{
    struct groups *g = context;
    g->group[group].report = report;
    g->group[group].shown = shown;
    g->written++;
}

static bool no_pod(void *context, struct mu_uid uid, struct mu_report_subject *out)
{
    (void)context;
    (void)uid;
    (void)out;
    return false;
}

static void no_condition(void *context, struct mu_uid uid, uint64_t digest)
{
    (void)context;
    (void)uid;
    (void)digest;
    fail_msg("no pod was to be told anything");
}

static struct groups *groups_create(enum mu_gang_source source)
{
    struct groups *g = mu_mem_zalloc(sizeof *g);
    assert_non_null(g);
    mu_random_init_seed(&g->random, 5);
    g->rig.now_ns = 5000 * MU_NS_PER_S;
    const struct mu_reporter_config config = {.controller = MU_STR("muster"),
                                              .instance = MU_STR("i"),
                                              .token_base = RIG_TOKEN_BASE,
                                              .subject = no_pod,
                                              .written = no_condition,
                                              .group = ask,
                                              .group_written = written,
                                              .context = g};
    g->rig.reporter = mu_reporter_create(&config, &g->random);
    assert_non_null(g->rig.reporter);
    for (int i = 0; i < GROUPS; i++)
        g->group[i] = (struct mu_report_group){
            .source = source,
            .api = source == MU_GANG_NATIVE ? MU_STR("/apis/scheduling.k8s.io/v1beta1")
                                            : MU_STR("/apis/scheduling.volcano.sh/v1beta1"),
            .ns = MU_STR("ns"),
            .name = MU_STR("g"),
            .version = 50,
            .min = 2,
            .members = 2};
    return g;
}

static void groups_destroy(struct groups *g)
{
    mu_reporter_destroy(g->rig.reporter);
    mu_outbox_fini(&g->rig.box);
    mu_mem_free(g);
}

/* The gang of the group waits; NULL: something else has moved. */
static void moved(struct groups *g, uint32_t group, const char *message)
{
    struct mu_report_text *text =
        message == NULL ? NULL : mu_report_text_create(MU_REPORT_UNSCHEDULABLE, mu_str_of(message));
    assert_int_equal(mu_reporter_group(g->rig.reporter, group, text, g->rig.now_ns), 0);
    mu_report_text_unref(text);
    rig_pass(&g->rig, 20 * MU_NS_PER_S); /* back-off is never longer */
}

static void test_reporter_group__story__written_once(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    struct rig_request request;
    (void)state;
    moved(g, 0, "no room");
    assert_true(rig_take(&g->rig, &request));
    assert_int_equal(request.method, MU_PATCH);
    assert_int_equal(request.content, MU_MEDIA_STRATEGIC_PATCH);
    assert_string_equal(request.path, NATIVE);
    assert_non_null(strstr(request.body, "\"message\":\"no room\""));
    rig_answer(&g->rig, request.token, 200, 0);
    assert_int_equal(g->written, 1);
    g->group[0].version = 51;
    moved(g, 0, "no room");
    moved(g, 0, NULL);
    assert_quiet(&g->rig);
    assert_int_equal(rig_stats(&g->rig).groups, 1);
    assert_int_equal(rig_stats(&g->rig).groups_same, 1);
    assert_int_equal(rig_stats(&g->rig).groups_moot, 1); /* nothing is known of a wait */
    assert_int_equal(rig_stats(&g->rig).conditions, 0);
    groups_destroy(g);
}

/* It says what is true when it is sent. */
static void test_reporter_group__placed_meanwhile__true_is_written(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    struct rig_request request;
    (void)state;
    g->group[0].stands = true;
    moved(g, 0, "no room");
    assert_true(rig_take(&g->rig, &request));
    assert_non_null(strstr(request.body, "\"status\":\"True\""));
    rig_answer(&g->rig, request.token, 200, 0);
    g->group[0].stands = false; /* a member is gone: True stays */
    moved(g, 0, "no room");
    assert_quiet(&g->rig);
    groups_destroy(g);
}

/* That something else has moved does not take back what is to be told. */
static void test_reporter_group__moved_before_told__is_told(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    struct mu_report_text *text = mu_report_text_create(MU_REPORT_UNSCHEDULABLE, MU_STR("why"));
    struct rig_request request;
    (void)state;
    assert_int_equal(mu_reporter_group(g->rig.reporter, 1, text, g->rig.now_ns), 0);
    mu_report_text_unref(text);
    moved(g, 1, NULL);
    assert_true(rig_take(&g->rig, &request));
    assert_non_null(strstr(request.body, "\"message\":\"why\""));
    rig_answer(&g->rig, request.token, 200, 0);
    groups_destroy(g);
}

/* Many changes while a write is open are one write more. */
static void test_reporter_group__changes_under_way__one_write_more(void **state)
{
    struct groups *g = groups_create(MU_GANG_VOLCANO);
    struct rig_request request;
    (void)state;
    g->group[0].stands = true;
    g->group[0].bound = 2;
    moved(g, 0, NULL);
    assert_true(rig_take(&g->rig, &request));
    assert_int_equal(request.content, MU_MEDIA_MERGE_PATCH);
    for (uint32_t i = 1; i <= 2; i++) {
        g->group[0].running = i;
        moved(g, 0, NULL);
    }
    assert_quiet(&g->rig);
    rig_answer(&g->rig, request.token, 200, 0);
    g->group[0].version = 60;
    rig_pass(&g->rig, 10 * MU_NS_PER_S);
    assert_true(rig_take(&g->rig, &request));
    assert_non_null(strstr(request.body, "\"running\":2"));
    rig_answer(&g->rig, request.token, 200, 0);
    rig_pass(&g->rig, 600 * MU_NS_PER_S);
    assert_quiet(&g->rig);
    groups_destroy(g);
}

/* After a reply that did not come, what the object was seen to show before proves nothing: the
 * write may have landed on top of it. */
static void test_reporter_group__lost_reply__repeated_until_known(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    struct mu_group_said said;
    (void)state;
    moved(g, 0, "no room");
    rig_expect(&g->rig, MU_PATCH, NATIVE, 0);
    assert_true(mu_group_say(&g->group[0], MU_STR("Unschedulable"), MU_STR("other"), &said));
    written(g, 0, mu_group_said_digest(&said), said.shown);
    moved(g, 0, "other");
    rig_expect(&g->rig, MU_PATCH, NATIVE, 409); /* the first one did land */
    g->group[0].version = 51;                   /* seen, as it says there */
    rig_pass(&g->rig, 600 * MU_NS_PER_S);
    assert_quiet(&g->rig);
    assert_int_equal(rig_stats(&g->rig).conflicts, 1);
    assert_int_equal(rig_stats(&g->rig).groups_same, 1);
    assert_int_equal(rig_stats(&g->rig).groups, 0);
    groups_destroy(g);
}

static void test_reporter_group__gone__forgotten(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    (void)state;
    g->gone[2] = true;
    moved(g, 2, "no room");
    assert_quiet(&g->rig);
    moved(g, 1, "no room");
    rig_expect(&g->rig, MU_PATCH, NATIVE, 404);
    rig_pass(&g->rig, 600 * MU_NS_PER_S);
    assert_quiet(&g->rig);
    assert_int_equal(rig_stats(&g->rig).groups_moot, 2);
    moved(g, 1, "no room");
    rig_expect(&g->rig, MU_PATCH, NATIVE, 422);
    rig_pass(&g->rig, 600 * MU_NS_PER_S);
    assert_quiet(&g->rig);
    assert_int_equal(rig_stats(&g->rig).groups_failed, 1);
    groups_destroy(g);
}

/* The resource has no status: the object takes it, from then on at once. */
static void test_reporter_group__volcano_without_status__written_to_the_object(void **state)
{
    struct groups *g = groups_create(MU_GANG_VOLCANO);
    (void)state;
    moved(g, 0, "no room");
    rig_expect(&g->rig, MU_PATCH, VOLCANO "/status", 404);
    rig_expect(&g->rig, MU_PATCH, VOLCANO, 200);
    moved(g, 1, "no room");
    rig_expect(&g->rig, MU_PATCH, VOLCANO, 200);
    assert_int_equal(g->written, 2);
    groups_destroy(g);
}

/* Not found at all: nothing is learned from it. */
static void test_reporter_group__volcano_object_gone__status_is_tried_first_again(void **state)
{
    struct groups *g = groups_create(MU_GANG_VOLCANO);
    (void)state;
    moved(g, 0, "no room");
    rig_expect(&g->rig, MU_PATCH, VOLCANO "/status", 404);
    rig_expect(&g->rig, MU_PATCH, VOLCANO, 404);
    assert_quiet(&g->rig);
    moved(g, 1, "no room");
    rig_expect(&g->rig, MU_PATCH, VOLCANO "/status", 200);
    assert_quiet(&g->rig);
    groups_destroy(g);
}

static void test_reporter_group__no_memory__said_so_and_told_later(void **state)
{
    struct groups *g = groups_create(MU_GANG_NATIVE);
    struct mu_report_text *text = mu_report_text_create(MU_REPORT_UNSCHEDULABLE, MU_STR("why"));
    uint64_t nth = 0;
    int rc;
    (void)state;
    do {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = ++nth});
        rc = mu_reporter_group(g->rig.reporter, 0, text, g->rig.now_ns);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(rc == 0 || rc == MU_ENOMEM);
        assert_int_equal(rig_stats(&g->rig).pods, rc == 0);
    } while (rc != 0);
    assert_true(nth > 2);
    mu_report_text_unref(text);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    rig_tick(&g->rig); /* no memory for the request: it is tried again */
    mu_mem_debug_set((struct mu_mem_debug){0});
    rig_pass(&g->rig, 10 * MU_NS_PER_S);
    rig_expect(&g->rig, MU_PATCH, NATIVE, 200);
    groups_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reporter_group__story__written_once),
        cmocka_unit_test(test_reporter_group__placed_meanwhile__true_is_written),
        cmocka_unit_test(test_reporter_group__moved_before_told__is_told),
        cmocka_unit_test(test_reporter_group__changes_under_way__one_write_more),
        cmocka_unit_test(test_reporter_group__lost_reply__repeated_until_known),
        cmocka_unit_test(test_reporter_group__gone__forgotten),
        cmocka_unit_test(test_reporter_group__volcano_without_status__written_to_the_object),
        cmocka_unit_test(test_reporter_group__volcano_object_gone__status_is_tried_first_again),
        cmocka_unit_test(test_reporter_group__no_memory__said_so_and_told_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
