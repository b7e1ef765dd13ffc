/* Events: what is in them, series, tries, bounds. Conditions are in test_reporter.c. */
#include "tests/reporter_rig.h"

#include <inttypes.h>

#define EVENTS "/apis/events.k8s.io/v1/namespaces/default/events"

/* Take the next request about an event; conditions are taken by the server at once. */
static bool next_event(struct rig *rig, struct rig_request *request)
{
    while (rig_take(rig, request)) {
        if (strstr(request->path, "/apis/events.k8s.io/") == request->path)
            return true;
        rig_answer(rig, request->token, 200, 0);
    }
    return false;
}

static void assert_preempted(struct rig *rig, const char *gang, const char *note)
{
    const struct mu_report_preempted preempted = {.victim = {.ns = MU_STR("default"),
                                                             .name = MU_STR("p3"),
                                                             .uid = MU_STR("uid-x"),
                                                             .node = MU_STR("node-7")},
                                                  .by_ns = MU_STR("other"),
                                                  .by_name = MU_STR("big-0"),
                                                  .by_uid = MU_STR("uid-y"),
                                                  .gang = mu_str_of(gang)};
    struct rig_request request;
    mu_reporter_preempted(rig->reporter, &preempted, rig->now_ns);
    rig_tick(rig);
    assert_true(next_event(rig, &request));
    assert_string_equal(request.path, EVENTS);
    Kube__Event *event = rig_event(&request);
    assert_string_equal(event->reason, "Preempted");
    assert_string_equal(event->action, "Preempting");
    assert_string_equal(event->type, "Normal");
    assert_string_equal(event->note, note);
    assert_string_equal(event->regarding->name, "p3");
    assert_non_null(event->related);
    assert_string_equal(event->related->kind, "Pod");
    assert_string_equal(event->related->namespace_, "other");
    assert_string_equal(event->related->name, "big-0");
    assert_string_equal(event->related->uid, "uid-y");
    kube__event__free_unpacked(event, NULL);
    rig_answer(rig, request.token, 201, 0);
}

static void test_reporter_preempted__event__names_who_needs_the_room(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_preempted(rig, "", "Preempted by pod uid-y on node node-7");
    assert_preempted(rig, "big", "Preempted by gang other/big on node node-7");
    assert_int_equal(rig_stats(rig).events, 2);
    rig_destroy(rig);
}

/* Say that pod 0 waits, for another reason than before, and let it be written. */
static void fail_again(struct rig *rig)
{
    static uint32_t number;
    char message[32];
    (void)snprintf(message, sizeof message, "reason %" PRIu32, ++number);
    assert_int_equal(rig_pending(rig, 0, message), 0);
    rig_pass(rig, 10 * MU_NS_PER_S); /* back-off is never longer */
}

/* The same, answering everything; returns the requests about events. */
static uint32_t fail_through(struct rig *rig, struct rig_request *last)
{
    struct rig_request request;
    uint32_t count = 0;
    fail_again(rig);
    while (next_event(rig, &request)) {
        *last = request;
        rig_answer(rig, request.token, request.method == MU_POST ? 201 : 200, 0);
        count++;
    }
    return count;
}

static void test_reporter_bound__event__is_as_kube_scheduler_writes_it(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    char name[64];
    (void)state;
    rig_bound(rig, 3, "node-7");
    rig_tick(rig);
    assert_true(next_event(rig, &request));
    assert_int_equal(request.method, MU_POST);
    assert_int_equal(request.content, MU_MEDIA_PROTOBUF);
    assert_string_equal(request.path, EVENTS);
    Kube__Event *event = rig_event(&request);
    (void)snprintf(name, sizeof name, "p3.%" PRIx64, RIG_WALL_NS);
    assert_string_equal(event->metadata->name, name);
    assert_string_equal(event->metadata->namespace_, "default");
    assert_true(event->eventtime->seconds == (int64_t)(RIG_WALL_NS / MU_NS_PER_S));
    assert_null(event->series);
    assert_string_equal(event->reportingcontroller, "muster");
    assert_string_equal(event->reportinginstance, "musterd-host");
    assert_string_equal(event->action, "Binding");
    assert_string_equal(event->reason, "Scheduled");
    assert_string_equal(event->type, "Normal");
    assert_string_equal(event->note, "Successfully assigned default/p3 to node-7");
    assert_string_equal(event->regarding->kind, "Pod");
    assert_string_equal(event->regarding->apiversion, "v1");
    assert_string_equal(event->regarding->namespace_, "default");
    assert_string_equal(event->regarding->name, "p3");
    assert_string_equal(event->regarding->uid, "uid-x");
    assert_null(event->related);
    assert_null(event->deprecatedsource);
    assert_false(event->has_deprecatedcount);
    kube__event__free_unpacked(event, NULL);
    rig_answer(rig, request.token, 201, 0);
    rig_pass(rig, 3600 * MU_NS_PER_S);
    assert_false(next_event(rig, &request));
    assert_int_equal(rig_stats(rig).events, 1);
    rig_destroy(rig);
}

static void test_reporter_bound__same_instant__names_differ(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    char names[2][300];
    (void)state;
    memset(rig->pods[0].name, 'x', 253); /* the longest there is: cut, its last part kept clean */
    memcpy(rig->pods[0].name + 234, "-.-", 3);
    for (int i = 0; i < 2; i++) {
        rig_bound(rig, 0, "n");
        rig_tick(rig);
        assert_true(next_event(rig, &request));
        Kube__Event *event = rig_event(&request);
        assert_true(strlen(event->metadata->name) <= 253);
        assert_int_equal(strlen(event->metadata->name), 234 + 1 + 16);
        (void)snprintf(names[i], sizeof names[i], "%s", event->metadata->name);
        kube__event__free_unpacked(event, NULL);
    }
    assert_string_not_equal(names[0], names[1]);
    rig_destroy(rig);
}

static void test_reporter_event__long_note__is_cut_between_characters(void **state)
{
    static char message[1500];
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    memset(message, 'a', 1022);
    memcpy(message + 1022, "\xe2\x82\xac and more", 12);
    assert_int_equal(rig_pending(rig, 0, message), 0);
    rig_tick(rig);
    assert_true(next_event(rig, &request));
    Kube__Event *event = rig_event(&request);
    assert_int_equal(strlen(event->note), 1022);
    assert_string_equal(event->reason, "FailedScheduling");
    assert_string_equal(event->action, "Scheduling");
    assert_string_equal(event->type, "Warning");
    assert_string_equal(event->regarding->uid, "uid-0");
    kube__event__free_unpacked(event, NULL);
    rig_destroy(rig);
}

static void test_reporter_create__long_words__are_cut_to_128(void **state)
{
    static char word[300];
    struct mu_random random;
    struct mu_outbox box = {0};
    (void)state;
    memset(word, 'w', sizeof word - 1);
    mu_random_init_seed(&random, 1);
    const struct mu_reporter_config config = {
        .controller = mu_str_of(word), .instance = mu_str_of(word), .token_base = RIG_TOKEN_BASE};
    struct mu_reporter *reporter = mu_reporter_create(&config, &random);
    const struct mu_report_bound bound = {MU_STR("ns"), MU_STR("p"), MU_STR("u"), MU_STR("n")};
    mu_reporter_bound(reporter, &bound, 0);
    mu_reporter_tick(reporter, 0, &box);
    struct mu_request *sent = mu_outbox_take(&box);
    struct rig_request request = {.body_len = sent->body.len};
    memcpy(request.body, sent->body.data, sent->body.len);
    Kube__Event *event = rig_event(&request);
    assert_int_equal(strlen(event->reportinginstance), 128);
    assert_int_equal(strlen(event->reportingcontroller), 128);
    kube__event__free_unpacked(event, NULL);
    mu_reporter_destroy(reporter);
    mu_outbox_fini(&box);
}

/* --- series ---------------------------------------------------------------------------------- */

static void test_reporter_series__repetitions__post_then_patch_then_count(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    char path[320], body[128];
    (void)state;
    assert_int_equal(fail_through(rig, &request), 1);
    assert_int_equal(request.method, MU_POST);
    (void)snprintf(path, sizeof path, EVENTS "/p0.%" PRIx64, RIG_WALL_NS);
    assert_int_equal(fail_through(rig, &request), 1);
    assert_int_equal(request.method, MU_PATCH);
    assert_int_equal(request.content, MU_MEDIA_STRATEGIC_PATCH);
    assert_string_equal(request.path, path);
    (void)snprintf(
        body, sizeof body,
        "{\"series\":{\"count\":2,\"lastObservedTime\":\"2026-01-01T00:00:11.000000Z\"}}");
    assert_string_equal(request.body, body);
    for (int i = 0; i < 5; i++) /* 3 to 7: counted here */
        assert_int_equal(fail_through(rig, &request), 0);
    assert_int_equal(rig_stats(rig).events_counted, 5);
    /* Six minutes without one more: the series ends with a last patch, and is over. */
    rig_pass(rig, 360 * MU_NS_PER_S);
    assert_true(next_event(rig, &request));
    assert_string_equal(request.path, path);
    assert_non_null(strstr(request.body, "\"count\":7,"));
    rig_answer(rig, request.token, 200, 0);
    assert_int_equal(rig_stats(rig).pods, 0);
    rig_pass(rig, 3600 * MU_NS_PER_S);
    assert_false(next_event(rig, &request));
    assert_int_equal(fail_through(rig, &request), 1);
    assert_int_equal(request.method, MU_POST);
    rig_destroy(rig);
}

static void test_reporter_series__single_event__ends_in_silence(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    assert_int_equal(fail_through(rig, &request), 1);
    rig_pass(rig, 3600 * MU_NS_PER_S);
    assert_false(next_event(rig, &request));
    rig_destroy(rig);
}

static void test_reporter_series__that_goes_on__is_patched_every_30_minutes(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    uint32_t patches = 0;
    (void)state;
    (void)fail_through(rig, &request);
    (void)fail_through(rig, &request);
    uint64_t begin_ns = rig->now_ns;
    while (rig->now_ns < begin_ns + 3700 * MU_NS_PER_S) {
        uint32_t sent = fail_through(rig, &request);
        assert_true(sent == 0 || request.method == MU_PATCH);
        patches += sent;
        rig_pass(rig, 50 * MU_NS_PER_S);
    }
    assert_int_equal(patches, 2);
    rig_destroy(rig);
}

static void test_reporter_series__event_gone__is_created_again_with_its_series(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    assert_int_equal(fail_through(rig, &request), 1);
    fail_again(rig);
    assert_true(next_event(rig, &request));
    assert_int_equal(request.method, MU_PATCH);
    rig_answer(rig, request.token, 404, 0);
    assert_true(next_event(rig, &request));
    assert_int_equal(request.method, MU_POST);
    Kube__Event *event = rig_event(&request);
    assert_null(event->metadata->resourceversion);
    assert_non_null(event->series);
    assert_int_equal(event->series->count, 2);
    kube__event__free_unpacked(event, NULL);
    rig_answer(rig, request.token, 201, 0);
    assert_int_equal(fail_through(rig, &request), 0);
    assert_int_equal(rig_stats(rig).events_dropped, 0);
    rig_destroy(rig);
}

static void test_reporter_series__repeated_while_created__is_patched_after(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request first, request;
    (void)state;
    fail_again(rig);
    assert_true(next_event(rig, &first));
    assert_false(next_event(rig, &request)); /* the condition is taken */
    fail_again(rig);
    fail_again(rig);
    assert_false(next_event(rig, &request)); /* one request of an event at a time */
    fail_again(rig);
    rig_answer(rig, first.token, 201, 0);
    assert_true(next_event(rig, &request));
    assert_int_equal(request.method, MU_PATCH);
    assert_non_null(strstr(request.body, "\"count\":3,"));
    rig_destroy(rig);
}

/* --- tries ----------------------------------------------------------------------------------- */

static void test_reporter_event__exists_already__counts_as_created(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    rig_bound(rig, 0, "n");
    rig_tick(rig);
    assert_true(next_event(rig, &request));
    rig_reply(rig, request.token, MU_REPLY_LOST, 0, 0);
    rig_pass(rig, 15 * MU_NS_PER_S);
    assert_true(next_event(rig, &request));
    rig_answer(rig, request.token, 409, 0); /* the lost one had landed */
    assert_int_equal(rig_stats(rig).events, 1);
    assert_int_equal(rig_stats(rig).events_dropped, 0);
    rig_destroy(rig);
}

static void test_reporter_event__no_answer__12_tries_10_s_apart(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    uint32_t tries = 0;
    uint64_t last_ns = 0;
    (void)state;
    rig_bound(rig, 0, "n");
    rig_tick(rig);
    for (uint64_t end_ns = rig->now_ns + 600 * MU_NS_PER_S; rig->now_ns < end_ns;) {
        while (next_event(rig, &request)) {
            assert_true(tries == 0 || (rig->now_ns - last_ns >= 10 * MU_NS_PER_S &&
                                       rig->now_ns - last_ns <= 13 * MU_NS_PER_S));
            last_ns = rig->now_ns;
            tries++;
            if (tries % 2 == 0)
                rig_answer(rig, request.token, 500, 0);
            else
                rig_reply(rig, request.token, MU_REPLY_LOST, 0, 0);
        }
        uint64_t next_ns = mu_reporter_next_ns(rig->reporter);
        rig->now_ns = next_ns < end_ns ? next_ns : end_ns;
        rig_tick(rig);
    }
    assert_int_equal(tries, 12);
    assert_int_equal(rig_stats(rig).events_dropped, 1);
    rig_destroy(rig);
}

static void test_reporter_event__refused__is_dropped(void **state)
{
    static const int statuses[] = {400, 403, 404, 422};
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        rig_bound(rig, i, "n");
        rig_tick(rig);
        assert_true(next_event(rig, &request));
        rig_answer(rig, request.token, statuses[i], 0);
        assert_int_equal(rig_stats(rig).events_dropped, i + 1);
    }
    rig_pass(rig, 600 * MU_NS_PER_S);
    assert_false(next_event(rig, &request));
    rig_destroy(rig);
}

static void test_reporter_event__refused_in_a_series__the_next_one_is_new(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    (void)state;
    fail_again(rig);
    assert_true(next_event(rig, &request));
    rig_answer(rig, request.token, 422, 0);
    assert_int_equal(fail_through(rig, &request), 1);
    assert_int_equal(request.method, MU_POST);
    rig_destroy(rig);
}

static void test_reporter_event__queue_full__drops_and_counts(void **state)
{
    struct rig *rig = rig_create(1, 1, 1);
    (void)state;
    for (uint32_t i = 0; i < MU_REPORT_EVENTS_MAX + 10; i++)
        rig_bound(rig, i % RIG_PODS, "n");
    assert_int_equal(rig_stats(rig).events_dropped, 10);
    assert_int_equal(rig_stats(rig).events_queued, MU_REPORT_EVENTS_MAX);
    rig_tick(rig);
    rig_expect(rig, MU_POST, EVENTS, 201);
    rig_bound(rig, 0, "n"); /* room again */
    assert_int_equal(rig_stats(rig).events_dropped, 10);
    rig_destroy(rig);
}

static void test_reporter_event__queue_full__the_condition_is_written_all_the_same(void **state)
{
    struct rig *rig = rig_create(1000, 10, 100);
    struct rig_request request;
    (void)state;
    for (uint32_t i = 0; i < MU_REPORT_EVENTS_MAX; i++)
        rig_bound(rig, i % RIG_PODS, "n");
    assert_int_equal(rig_pending(rig, 0, "no room"), 0);
    rig_tick(rig);
    while (next_event(rig, &request)) {
    }
    assert_int_equal(rig->pods[0].written, 1);
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reporter_bound__event__is_as_kube_scheduler_writes_it),
        cmocka_unit_test(test_reporter_preempted__event__names_who_needs_the_room),
        cmocka_unit_test(test_reporter_bound__same_instant__names_differ),
        cmocka_unit_test(test_reporter_event__long_note__is_cut_between_characters),
        cmocka_unit_test(test_reporter_create__long_words__are_cut_to_128),
        cmocka_unit_test(test_reporter_series__repetitions__post_then_patch_then_count),
        cmocka_unit_test(test_reporter_series__single_event__ends_in_silence),
        cmocka_unit_test(test_reporter_series__that_goes_on__is_patched_every_30_minutes),
        cmocka_unit_test(test_reporter_series__event_gone__is_created_again_with_its_series),
        cmocka_unit_test(test_reporter_series__repeated_while_created__is_patched_after),
        cmocka_unit_test(test_reporter_event__exists_already__counts_as_created),
        cmocka_unit_test(test_reporter_event__no_answer__12_tries_10_s_apart),
        cmocka_unit_test(test_reporter_event__refused__is_dropped),
        cmocka_unit_test(test_reporter_event__refused_in_a_series__the_next_one_is_new),
        cmocka_unit_test(test_reporter_event__queue_full__drops_and_counts),
        cmocka_unit_test(test_reporter_event__queue_full__the_condition_is_written_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
