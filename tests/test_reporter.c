/* Conditions: what is written, when, and what is not. Events are in test_reporter_events.c. */
#include "tests/reporter_rig.h"

#include <stdlib.h>

#define EVENTS "/apis/events.k8s.io/v1/namespaces/default/events"

/* Take the next request, which is pod i's condition; its event goes by unseen. */
static struct rig_request take_patch(struct rig *rig, uint32_t i)
{
    char path[320];
    struct rig_request request;
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/p%u/status", i);
    while (rig_take(rig, &request)) {
        if (strstr(request.path, "/apis/events.k8s.io/") == request.path) {
            rig_answer(rig, request.token, request.method == MU_POST ? 201 : 200, 0);
            continue;
        }
        assert_int_equal(request.method, MU_PATCH);
        assert_int_equal(request.content, MU_MEDIA_STRATEGIC_PATCH);
        assert_string_equal(request.path, path);
        return request;
    }
    fail_msg("no condition of pod %u was sent", i);
    return request;
}

/* Nothing but events is sent from now on for `ns`. */
static void assert_no_patch(struct rig *rig, uint64_t ns)
{
    struct rig_request request;
    uint64_t end_ns = rig->now_ns + ns;
    for (;;) {
        while (rig_take(rig, &request)) {
            assert_true(strstr(request.path, "/apis/events.k8s.io/") == request.path);
            rig_answer(rig, request.token, request.method == MU_POST ? 201 : 200, 0);
        }
        uint64_t next_ns = mu_reporter_next_ns(rig->reporter);
        if (next_ns > end_ns)
            break;
        rig->now_ns = next_ns > rig->now_ns ? next_ns : rig->now_ns;
        rig_tick(rig);
    }
    rig->now_ns = end_ns;
}

static void test_reporter_pending__first_time__patches_the_condition(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "0/3 nodes are available: 3 Insufficient \"x\\y\"."), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    assert_string_equal(
        request.body,
        "{\"metadata\":{\"uid\":\"uid-0\",\"resourceVersion\":\"100\"},"
        "\"status\":{\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","
        "\"reason\":\"Unschedulable\",\"message\":\"0/3 nodes are available: 3 Insufficient "
        "\\u0022x\\u005cy\\u0022.\",\"lastProbeTime\":null,"
        "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}");
    rig_answer(rig, request.token, 200, 0);
    assert_int_equal(rig->pods[0].written, 1);
    assert_int_equal(rig_stats(rig).conditions, 1);
    assert_int_equal(rig_stats(rig).in_flight, 1); /* its event */
    assert_no_patch(rig, 3600 * MU_NS_PER_S);
    assert_int_equal(rig_stats(rig).pods, 0); /* forgotten */
    assert_true(mu_reporter_next_ns(rig->reporter) == UINT64_MAX);
    rig_destroy(rig);
}

static void test_reporter_pending__same_as_the_pod_carries__is_not_written(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    rig->pods[0].report = mu_pod_report_digest(MU_STR("Unschedulable"), MU_STR("no room"));
    assert_int_equal(rig_pending(rig, 0, "no room"), 0);
    rig_tick(rig);
    assert_quiet(rig); /* no event either */
    assert_int_equal(rig_stats(rig).conditions_same, 1);
    /* Another reason with the same message is news; the status was False already. */
    struct mu_report_text *text =
        mu_report_text_create(MU_REPORT_SCHEDULER_ERROR, MU_STR("no room"));
    assert_int_equal(mu_reporter_pending(rig->reporter, rig_uid(0), text, rig->now_ns), 0);
    mu_report_text_unref(text);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    assert_non_null(strstr(request.body, "\"reason\":\"SchedulerError\""));
    assert_null(strstr(request.body, "lastTransitionTime"));
    rig_destroy(rig);
}

static void test_reporter_pending__newer_text__replaces_what_is_queued(void **state)
{
    struct rig *rig = rig_create(1, 1, 0);
    (void)state;
    rig_bound(rig, 1, "n"); /* takes the only token */
    rig_tick(rig);
    rig_expect(rig, MU_POST, EVENTS, 201);
    for (int i = 0; i < 50; i++)
        assert_int_equal(rig_pending(rig, 0, i == 49 ? "the last" : "one before"), 0);
    rig_tick(rig);
    assert_quiet(rig);
    rig_pass(rig, 2 * MU_NS_PER_S);
    struct rig_request request = take_patch(rig, 0);
    assert_non_null(strstr(request.body, "the last"));
    rig_destroy(rig);
}

static void test_reporter_pending__text_while_in_flight__follows_after_back_off(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    assert_int_equal(rig_pending(rig, 0, "two"), 0);
    rig_tick(rig);
    assert_no_patch(rig, 0); /* one write of a pod at a time */
    rig_answer(rig, request.token, 200, 0);
    assert_no_patch(rig, 999 * MU_NS_PER_MS);
    rig_pass(rig, MU_NS_PER_MS);
    request = take_patch(rig, 0);
    assert_non_null(strstr(request.body, "two"));
    rig_destroy(rig);
}

static void test_reporter_pending__message_churn__backs_off_from_1_s_to_10_s(void **state)
{
    static const uint64_t waits_s[] = {1, 2, 4, 8, 10, 10};
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "0"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 200, 0);
    for (size_t i = 0; i < sizeof waits_s / sizeof waits_s[0]; i++) {
        char message[8];
        (void)snprintf(message, sizeof message, "%zu", i + 1);
        assert_int_equal(rig_pending(rig, 0, message), 0);
        assert_no_patch(rig, waits_s[i] * MU_NS_PER_S - 1);
        rig_pass(rig, 1);
        rig_answer(rig, take_patch(rig, 0).token, 200, 0);
    }
    assert_no_patch(rig, 360 * MU_NS_PER_S); /* forgotten: back-off starts anew */
    assert_int_equal(rig_pending(rig, 0, "later"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 200, 0);
    assert_int_equal(rig_pending(rig, 0, "much later"), 0);
    rig_pass(rig, MU_NS_PER_S);
    (void)take_patch(rig, 0);
    rig_destroy(rig);
}

static void test_reporter_pending__pod_bound_or_gone_meanwhile__is_dropped(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig->pods[0].gone = true;
    rig_tick(rig);
    assert_quiet(rig);
    assert_int_equal(rig_stats(rig).conditions_moot, 1);
    /* Between the tries too. */
    assert_int_equal(rig_pending(rig, 1, "one"), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 1);
    rig_reply(rig, request.token, MU_REPLY_LOST, 0, 0);
    rig->pods[1].gone = true;
    assert_no_patch(rig, 60 * MU_NS_PER_S);
    assert_int_equal(rig_stats(rig).conditions_moot, 2);
    rig_destroy(rig);
}

static void test_reporter_reply__not_found__is_the_end_of_it(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 404, 0);
    assert_no_patch(rig, 3600 * MU_NS_PER_S);
    assert_int_equal(rig->pods[0].written, 0);
    rig_destroy(rig);
}

static void test_reporter_reply__conflict__is_tried_with_the_fresh_version(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 409, 0);
    rig->pods[0].version = 105;
    rig_pass(rig, 2 * MU_NS_PER_S);
    struct rig_request request = take_patch(rig, 0);
    assert_non_null(strstr(request.body, "\"resourceVersion\":\"105\""));
    rig_answer(rig, request.token, 409, 0);
    rig->pods[0].gone = true; /* it was the UID: the pod has a successor */
    assert_no_patch(rig, 60 * MU_NS_PER_S);
    assert_int_equal(rig_stats(rig).conflicts, 2);
    rig_destroy(rig);
}

static void test_reporter_reply__called_wrong__is_given_up_until_the_text_changes(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 422, 0);
    assert_no_patch(rig, 300 * MU_NS_PER_S);
    assert_int_equal(rig_stats(rig).conditions_failed, 1);
    assert_int_equal(rig_pending(rig, 0, "two"), 0);
    rig_tick(rig);
    (void)take_patch(rig, 0);
    rig_destroy(rig);
}

static void test_reporter_reply__denied__is_tried_again_after_5_minutes(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 403, 0);
    assert_no_patch(rig, 300 * MU_NS_PER_S - 1);
    rig_pass(rig, 1);
    rig_answer(rig, take_patch(rig, 0).token, 200, 0);
    assert_int_equal(rig->pods[0].written, 1);
    rig_destroy(rig);
}

static void test_reporter_reply__errors_and_losses__are_tried_until_taken(void **state)
{
    static const int statuses[] = {500, 0, 503, 401, 0, 504, 302, 200};
    struct rig *rig = rig_create(0, 0, 0);
    uint64_t before_ns = 0;
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct rig_request request = take_patch(rig, 0);
        uint64_t waited_ns = rig->now_ns - before_ns;
        uint64_t least_ns = (MU_NS_PER_S / 2) << (i < 5 ? i : 5);
        if (i > 0)
            assert_true(waited_ns >= (least_ns > 10 * MU_NS_PER_S ? 10 * MU_NS_PER_S : least_ns) &&
                        waited_ns <= 13 * MU_NS_PER_S);
        before_ns = rig->now_ns;
        if (statuses[i] == 0)
            rig_reply(rig, request.token, MU_REPLY_LOST, 0, 0);
        else
            rig_answer(rig, request.token, statuses[i], 0);
        if (i == 0) /* its event */
            assert_no_patch(rig, 0);
        while (mu_outbox_empty(&rig->box) && statuses[i] != 200) {
            rig->now_ns = mu_reporter_next_ns(rig->reporter);
            rig_tick(rig);
        }
    }
    assert_int_equal(rig->pods[0].written, 1);
    assert_int_equal(rig_stats(rig).lost, 2);
    assert_int_equal(rig_stats(rig).errors, 3);
    rig_destroy(rig);
}

static void test_reporter_reply__throttled__everything_stops_for_as_long(void **state)
{
    struct rig *rig = rig_create(1000, 1000, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    assert_no_patch(rig, 0);
    rig_answer(rig, request.token, 429, 7);
    assert_int_equal(rig_pending(rig, 1, "one"), 0);
    rig_bound(rig, 2, "n");
    rig_pass(rig, 7 * MU_NS_PER_S - 1);
    assert_quiet(rig);
    rig_pass(rig, 1);
    assert_int_equal(rig_stats(rig).throttled, 1);
    assert_int_equal(rig_stats(rig).in_flight, 4); /* both pods', p1's event, the binding's */
    rig_destroy(rig);
}

static void test_reporter_reply__retry_after_of_an_error__is_obeyed(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    rig_answer(rig, take_patch(rig, 0).token, 503, 30);
    assert_no_patch(rig, 30 * MU_NS_PER_S - 1);
    rig_pass(rig, 1);
    (void)take_patch(rig, 0);
    rig_destroy(rig);
}

static void test_reporter_reply__stale_or_foreign_token__changes_nothing(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    const struct mu_reply foreign = {.token = 5, .kind = MU_REPLY_END};
    (void)state;
    assert_false(mu_reporter_reply(rig->reporter, &foreign, rig->now_ns, &rig->box));
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    rig_answer(rig, request.token, 200, 0);
    rig_answer(rig, request.token, 500, 0); /* late, of a request that is settled */
    rig_reply(rig, RIG_TOKEN_BASE + 77, MU_REPLY_END, 0, 0);
    rig_reply(rig, RIG_TOKEN_BASE + 60000, MU_REPLY_END, 0, 0);
    assert_int_equal(rig_stats(rig).errors, 0);
    assert_int_equal(rig->pods[0].written, 1);
    rig_destroy(rig);
}

/* --- pace ------------------------------------------------------------------------------------ */

static void test_reporter_pace__in_flight__is_bounded(void **state)
{
    struct rig *rig = rig_create(100000, 1000, 3);
    struct rig_request request;
    uint32_t sent = 0;
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        rig_bound(rig, i, "n");
    rig_tick(rig);
    rig_tick(rig);
    assert_int_equal(rig_stats(rig).in_flight, 3);
    assert_true(mu_reporter_next_ns(rig->reporter) == UINT64_MAX); /* a reply goes on from there */
    while (rig_take(rig, &request)) {
        assert_true(rig_stats(rig).in_flight <= 3);
        rig_answer(rig, request.token, 201, 0);
        sent++;
    }
    assert_int_equal(sent, 20);
    rig_destroy(rig);
}

static void test_reporter_pace__hold__keeps_conditions_back_but_not_events(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    mu_reporter_set_pace(rig->reporter, true, false);
    assert_int_equal(rig_pending(rig, 0, "one"), 0);
    assert_true(mu_reporter_next_ns(rig->reporter) == UINT64_MAX);
    rig_bound(rig, 1, "n");
    rig_tick(rig);
    rig_expect(rig, MU_POST, EVENTS, 201);
    assert_quiet(rig);
    mu_reporter_set_pace(rig->reporter, false, false);
    assert_true(mu_reporter_next_ns(rig->reporter) <= rig->now_ns);
    rig_tick(rig);
    (void)take_patch(rig, 0);
    rig_destroy(rig);
}

static void test_reporter_pace__binds_wait__a_tenth_of_the_rate(void **state)
{
    struct rig *rig = rig_create(100, 50, 1000);
    (void)state;
    for (uint32_t i = 0; i < 500; i++)
        rig_bound(rig, i, "n");
    mu_reporter_set_pace(rig->reporter, false, true);
    rig_pass(rig, 10 * MU_NS_PER_S);
    assert_in_range(rig_stats(rig).sent, 99, 101);
    mu_reporter_set_pace(rig->reporter, false, false);
    rig_pass(rig, MU_NS_PER_S);
    assert_in_range(rig_stats(rig).sent, 245, 255); /* with the burst that was saved */
    rig_destroy(rig);
}

/* --- limits and memory ----------------------------------------------------------------------- */

static void test_reporter_pending__table_full__refuses_or_forgets_the_oldest(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    rig->pods[0].report = mu_pod_report_digest(MU_STR("Unschedulable"), MU_STR("x"));
    struct mu_report_text *text = mu_report_text_create(MU_REPORT_UNSCHEDULABLE, MU_STR("x"));
    assert_int_equal(mu_reporter_pending(rig->reporter, rig_uid(0), text, rig->now_ns), 0);
    rig_tick(rig); /* carried already: known and idle */
    for (uint32_t i = 1; i < MU_REPORT_PODS_MAX; i++)
        assert_int_equal(mu_reporter_pending(rig->reporter, rig_uid(i), text, rig->now_ns), 0);
    assert_int_equal(mu_reporter_room(rig->reporter), 1);
    assert_int_equal(rig_stats(rig).pods, MU_REPORT_PODS_MAX);
    uint32_t next = MU_REPORT_PODS_MAX;
    assert_int_equal(mu_reporter_pending(rig->reporter, rig_uid(next), text, rig->now_ns), 0);
    assert_int_equal(mu_reporter_room(rig->reporter), 0);
    assert_int_equal(mu_reporter_pending(rig->reporter, rig_uid(next + 1), text, rig->now_ns),
                     MU_ELIMIT);
    assert_int_equal(rig_stats(rig).conditions_queued, MU_REPORT_PODS_MAX);
    mu_report_text_unref(text);
    rig_destroy(rig);
}

static void test_reporter_tick__many_moot_at_once__a_bounded_number_a_call(void **state)
{
    enum { MANY = 50000, A_CALL = 1024 };
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    struct mu_report_text *text = mu_report_text_create(MU_REPORT_UNSCHEDULABLE, MU_STR("x"));
    rig->pods[0].gone = true;
    for (uint32_t i = 0; i < MANY; i++) {
        const struct mu_uid uid = {i, 0}; /* all of them pod 0, which is gone */
        assert_int_equal(mu_reporter_pending(rig->reporter, uid, text, rig->now_ns), 0);
    }
    for (uint64_t seen = 0; seen < MANY;) {
        assert_true(mu_reporter_next_ns(rig->reporter) <=
                    rig->now_ns); /* the rest is due at once */
        rig_tick(rig);
        uint64_t moot = rig_stats(rig).conditions_moot;
        assert_true(moot > seen && moot - seen <= A_CALL);
        seen = moot;
    }
    rig->now_ns += 360 * MU_NS_PER_S;
    for (uint32_t known = MANY; known > 0;) {
        assert_true(mu_reporter_next_ns(rig->reporter) <= rig->now_ns);
        rig_tick(rig);
        const struct mu_reporter_stats stats = rig_stats(rig);
        uint32_t left = stats.pods;
        assert_true(left < known && known - left <= A_CALL);
        known = left;
    }
    assert_true(mu_reporter_next_ns(rig->reporter) == UINT64_MAX);
    mu_report_text_unref(text);
    rig_destroy(rig);
}

/* Else a lack of memory that lasts would be tried against for ever, within one call. */
static void test_reporter_tick__no_memory_for_a_request__the_try_costs_a_token(void **state)
{
    struct rig *rig = rig_create(1, 1, 0);
    struct rig_request request;
    (void)state;
    assert_int_equal(rig_pending(rig, 0, "x"), 0);
    assert_int_equal(rig_pending(rig, 1, "x"), 0);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 2}); /* after the event that goes with it */
    rig_tick(rig);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
    assert_false(rig_take(rig, &request));
    rig_pass(rig, MU_NS_PER_S - 1);
    assert_false(rig_take(rig, &request));
    rig_pass(rig, 1);
    rig_tick(rig);
    assert_true(rig_take(rig, &request));
    rig_destroy(rig);
}

/* One run of what a reporter does, all of it under memory that fails once. Returns true when the
 * run was not touched by the failure. */
static bool run_under(uint64_t nth)
{
    struct rig *rig = rig_create(0, 0, 0);
    struct rig_request request;
    bool failed = false;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
    for (uint32_t i = 0; i < 6; i++) {
        while (rig_pending(rig, i, "no room") != 0)
            failed = true; /* said again */
        rig_bound(rig, 100 + i, "n1");
    }
    for (int turns = 0; turns < 200; turns++) {
        rig_tick(rig);
        while (rig_take(rig, &request))
            rig_answer(rig, request.token, request.method == MU_POST ? 201 : 200, 0);
        uint64_t next_ns = mu_reporter_next_ns(rig->reporter);
        if (next_ns > rig->now_ns + 300 * MU_NS_PER_S)
            break;
        rig->now_ns = next_ns > rig->now_ns ? next_ns : rig->now_ns;
    }
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(rig->pods[i].written, 1);
    struct mu_reporter_stats stats = rig_stats(rig);
    assert_int_equal(stats.events + stats.events_dropped, 12);
    assert_true(stats.events_dropped <= 1);
    bool touched = failed || stats.events_dropped > 0 || rig->now_ns != 5000 * MU_NS_PER_S;
    rig_destroy(rig);
    return !touched;
}

static void test_reporter__out_of_memory__loses_no_condition(void **state)
{
    (void)state;
    uint32_t clean = 0;
    for (uint64_t nth = 1; clean < 20; nth++) {
        clean = run_under(nth) ? clean + 1 : 0;
        assert_true(nth < 5000);
    }
}

static void test_reporter_create__out_of_memory__leaves_nothing(void **state)
{
    struct mu_random random;
    (void)state;
    mu_random_init_seed(&random, 1);
    const struct mu_reporter_config config = {.subject = rig_subject, .written = rig_written};
    for (uint64_t nth = 1;; nth++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        struct mu_reporter *reporter = mu_reporter_create(&config, &random);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        mu_reporter_destroy(reporter);
        if (reporter != NULL)
            break;
        assert_true(nth < 50);
    }
}

/* --- texts ----------------------------------------------------------------------------------- */

static void test_report_text__bytes_that_are_no_utf8__become_question_marks(void **state)
{
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    assert_int_equal(rig_pending(rig, 0,
                                 "a\xff\xc0\x80z\xe2\x82\xac \xed\xa0\x80\xf4\x90\x80\x80"
                                 "\x01"),
                     0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    assert_non_null(strstr(request.body, "\"message\":\"a???z\xe2\x82\xac ???\?\?\?\?\\u0001\""));
    rig_destroy(rig);
}

static void test_report_text__too_long__is_cut_between_characters(void **state)
{
    static char message[3 * MU_REPORT_TEXT_MAX];
    struct rig *rig = rig_create(0, 0, 0);
    (void)state;
    message[0] = 'x';
    for (size_t i = 1; i + 3 < sizeof message; i += 3)
        memcpy(message + i, "\xe2\x82\xac", 3);
    assert_int_equal(rig_pending(rig, 0, message), 0);
    rig_tick(rig);
    struct rig_request request = take_patch(rig, 0);
    const char *from = strstr(request.body, "\"message\":\"") + strlen("\"message\":\"");
    const char *to = strchr(from, '"');
    assert_int_equal(to - from, 1 + (MU_REPORT_TEXT_MAX - 1) / 3 * 3);
    assert_null(memchr(from, '?', (size_t)(to - from)));
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reporter_pending__first_time__patches_the_condition),
        cmocka_unit_test(test_reporter_pending__same_as_the_pod_carries__is_not_written),
        cmocka_unit_test(test_reporter_pending__newer_text__replaces_what_is_queued),
        cmocka_unit_test(test_reporter_pending__text_while_in_flight__follows_after_back_off),
        cmocka_unit_test(test_reporter_pending__message_churn__backs_off_from_1_s_to_10_s),
        cmocka_unit_test(test_reporter_pending__pod_bound_or_gone_meanwhile__is_dropped),
        cmocka_unit_test(test_reporter_reply__not_found__is_the_end_of_it),
        cmocka_unit_test(test_reporter_reply__conflict__is_tried_with_the_fresh_version),
        cmocka_unit_test(test_reporter_reply__called_wrong__is_given_up_until_the_text_changes),
        cmocka_unit_test(test_reporter_reply__denied__is_tried_again_after_5_minutes),
        cmocka_unit_test(test_reporter_reply__errors_and_losses__are_tried_until_taken),
        cmocka_unit_test(test_reporter_reply__throttled__everything_stops_for_as_long),
        cmocka_unit_test(test_reporter_reply__retry_after_of_an_error__is_obeyed),
        cmocka_unit_test(test_reporter_reply__stale_or_foreign_token__changes_nothing),
        cmocka_unit_test(test_reporter_pace__in_flight__is_bounded),
        cmocka_unit_test(test_reporter_pace__hold__keeps_conditions_back_but_not_events),
        cmocka_unit_test(test_reporter_pace__binds_wait__a_tenth_of_the_rate),
        cmocka_unit_test(test_reporter_pending__table_full__refuses_or_forgets_the_oldest),
        cmocka_unit_test(test_reporter_tick__many_moot_at_once__a_bounded_number_a_call),
        cmocka_unit_test(test_reporter_tick__no_memory_for_a_request__the_try_costs_a_token),
        cmocka_unit_test(test_reporter__out_of_memory__loses_no_condition),
        cmocka_unit_test(test_reporter_create__out_of_memory__leaves_nothing),
        cmocka_unit_test(test_report_text__bytes_that_are_no_utf8__become_question_marks),
        cmocka_unit_test(test_report_text__too_long__is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
