/* Watches of the reflector, and a store that went back in time, one test per behaviour. */
#include "tests/reflector_rig.h"

/* --- watches ------------------------------------------------------------------------------- */

static void test_reflector_watch__events__reach_the_sink_and_move_the_version(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_MODIFIED, "a", 12);
    rig_event(rig, MU_WATCH_DELETED, "b", 13);
    assert_object(rig, "c", 11);
    assert_object(rig, "a", 12);
    assert_null(rig_find(rig, "b"));
    assert_int_equal(rig_stats(rig).last_version, 13);
    assert_int_equal(rig_stats(rig).events, 3);
    assert_string_equal(mu_reflector_problem(rig->reflector), "");
    rig_destroy(rig);
}

static void test_reflector_watch__clean_end__resumes_at_last_version_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_BOOKMARK, "", 17);
    assert_int_equal(rig->count, 3);
    rig_end(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=17&");
    assert_int_equal(rig_stats(rig).bookmarks, 1);
    assert_int_equal(rig_stats(rig).watches, 2);
    assert_int_equal(rig_stats(rig).failures, 0);
    /* A long watch without any event is a clean end too. */
    rig_head(rig, 200);
    rig->now_ns += 400 * MU_NS_PER_S;
    rig_end(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=17&");
    rig_destroy(rig);
}

static void test_reflector_watch__timeout_seconds__random_between_5_and_10_min(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    unsigned long lowest = 1000;
    unsigned long highest = 0;
    for (int i = 0; i < 200; i++) {
        rig_event(rig, MU_WATCH_BOOKMARK, "", 20);
        rig_end(rig);
        rig_take(rig);
        rig_head(rig, 200);
        unsigned long seconds = strtoul(strstr(rig->path, "timeoutSeconds=") + 15, NULL, 10);
        lowest = seconds < lowest ? seconds : lowest;
        highest = seconds > highest ? seconds : highest;
        assert_true(rig->timeout_ns == 150 * MU_NS_PER_S); /* of silence */
    }
    assert_true(lowest >= 300 && lowest < 330);
    assert_true(highest <= 600 && highest > 570);
    rig_destroy(rig);
}

static void test_reflector_watch__ends_at_once_empty__counts_as_failure(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->now_ns += MU_NS_PER_S / 2;
    rig_end(rig);
    assert_int_equal(rig_stats(rig).failures, 1);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "resourceVersion=10&");
    rig_destroy(rig);
}

static void test_reflector_watch__410_as_status__relists_not_older(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_end(rig);
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 1);
    rig_take(rig);
    assert_false(rig->stream);
    assert_path_has(rig, "resourceVersion=11&resourceVersionMatch=NotOlderThan");
    rig_destroy(rig);
}

static void test_reflector_watch__410_as_event__cancels_and_relists(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    uint64_t watch = rig->token;
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    assert_true(rig->cancel);
    assert_int_equal(rig->token, watch);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    /* What the old stream still says is not heard. */
    uint64_t list = rig->token;
    rig->token = watch;
    rig_event(rig, MU_WATCH_ADDED, "late", 99);
    rig_lost(rig);
    rig->token = list;
    assert_null(rig_find(rig, "late"));
    assert_state(rig, MU_REFLECTOR_LISTING);
    rig_destroy(rig);
}

static void test_reflector_watch__410_again_after_a_fresh_list__backs_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    rig_take(rig);
    rig_page(rig, 12, NULL, "a@5 b@6");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 2);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__429_and_5xx__same_watch_after_back_off(void **state)
{
    (void)state;
    const int codes[] = {429, 500, 503, 504};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (int as_event = 0; as_event < 2; as_event++) {
            struct rig *rig = rig_watching();
            rig_event(rig, MU_WATCH_ADDED, "c", 11);
            if (as_event == 0) {
                rig_end(rig);
                rig_take(rig);
                rig_status(rig, codes[i], "Some", NULL);
            } else {
                rig_error_event(rig, codes[i], "Some");
                rig_take(rig);
                assert_true(rig->cancel);
            }
            (void)rig_wait(rig);
            rig_take(rig);
            assert_true(rig->stream);
            assert_path_has(rig, "resourceVersion=11&");
            assert_int_equal(rig_stats(rig).lists, 1);
            rig_destroy(rig);
        }
    }
}

static void test_reflector_watch__plain_text_429_with_retry_after__waits_that_long(void **state)
{
    (void)state;
    const struct {
        uint32_t asked_s;
        uint64_t least_s, most_s;
    } cases[] = {{17, 17, 17}, {4000000000u, 120, 120}};
    for (size_t i = 0; i < 2; i++) {
        struct rig *rig = rig_watching();
        rig_event(rig, MU_WATCH_ADDED, "c", 11);
        rig_end(rig);
        rig_take(rig);
        const struct mu_reply head = {.token = rig->token,
                                      .kind = MU_REPLY_HEAD,
                                      .status = 429,
                                      .media = MU_MEDIA_TEXT,
                                      .retry_after_s = cases[i].asked_s};
        assert_true(mu_reflector_reply(rig->reflector, &head, rig->now_ns, &rig->box));
        rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("Too many requests, please try again later."));
        rig_end(rig);
        uint64_t waited = rig_wait(rig);
        assert_true(waited >= cases[i].least_s * MU_NS_PER_S);
        assert_true(waited <= cases[i].most_s * MU_NS_PER_S);
        rig_take(rig);
        assert_true(rig->stream);
        rig_destroy(rig);
    }
}

static void test_reflector_watch__bad_request__lists_after_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_end(rig);
    rig_take(rig);
    rig_status(rig, 400, "BadRequest", NULL);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__end_inside_a_frame__broken_and_resumed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    struct mu_buf frames = {0};
    put_event(&frames, MU_WATCH_ADDED, "c", 11);
    size_t whole = frames.len;
    put_event(&frames, MU_WATCH_ADDED, "d", 12);
    struct mu_str part = {(const char *)frames.data, (uint32_t)whole + 9};
    rig_reply(rig, MU_REPLY_DATA, 0, part);
    rig_end(rig);
    mu_buf_fini(&frames);
    assert_object(rig, "c", 11);
    assert_null(rig_find(rig, "d"));
    assert_int_equal(rig_stats(rig).failures, 1);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=11&");
    /* The half frame is forgotten: the new stream starts clean. */
    rig_head(rig, 200);
    rig_event(rig, MU_WATCH_ADDED, "d", 12);
    assert_object(rig, "d", 12);
    rig_destroy(rig);
}

static void test_reflector_watch__lost__resumed_after_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_lost(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "resourceVersion=11&");
    rig_destroy(rig);
}

/* Let the guard pass: the watch is given up and asked for again. */
static void rig_outwait(struct rig *rig, uint64_t silence_ns)
{
    uint64_t watch = rig->token;
    uint64_t due_ns = mu_reflector_next_ns(rig->reflector);
    assert_true(due_ns - rig->now_ns == silence_ns);
    rig->now_ns = due_ns;
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_true(rig->cancel);
    assert_int_equal(rig->token, watch);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
}

static void test_reflector_watch__silent__cancelled_and_resumed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->now_ns += 100 * MU_NS_PER_S;
    rig_event(rig, MU_WATCH_BOOKMARK, "b", 12); /* a sign of life */
    rig_outwait(rig, 150 * MU_NS_PER_S);
    assert_path_has(rig, "resourceVersion=12&");
    rig_destroy(rig);
}

static void test_reflector_watch__never_answered__asked_again_soon(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_outwait(rig, 150 * MU_NS_PER_S);
    rig_outwait(rig, 30 * MU_NS_PER_S); /* this one got no head */
    rig_destroy(rig);
}

static void test_reflector_watch__frame_of_3_gib__cancelled_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("\xc0\x00\x00\x00"));
    rig_take(rig);
    assert_true(rig->cancel);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "3221225472 bytes"));
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__older_event__refused_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_MODIFIED, "a", 12);
    rig_event(rig, MU_WATCH_MODIFIED, "a", 11);
    assert_object(rig, "a", 12);
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    rig_take(rig);
    assert_true(rig->cancel);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__sink_fails__cancelled_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->fail = MU_ENOMEM;
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig->fail = 0;
    assert_int_equal(rig_stats(rig).last_version, 10); /* the event counts as not seen */
    rig_take(rig);
    assert_true(rig->cancel);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

/* --- a store that went back ---------------------------------------------------------------- */

static void test_reflector_start__first_consistent__no_version_until_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_create_with(true);
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion");
    rig_lost(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion"); /* a failure makes it no cheaper */
    rig_page(rig, 10, NULL, "a@5");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    rig_destroy(rig);
}

static void test_reflector_watch__version_too_large__lists_after_back_off(void **state)
{
    (void)state;
    for (int as_event = 0; as_event < 2; as_event++) {
        struct rig *rig = rig_watching();
        rig_event(rig, MU_WATCH_ADDED, "c", 11);
        if (as_event == 0) {
            rig_end(rig);
            rig_take(rig);
            rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        } else {
            rig_error_event_cause(rig, 504, "Timeout", "ResourceVersionTooLarge");
            rig_take(rig);
            assert_true(rig->cancel);
        }
        (void)rig_wait(rig);
        rig_take(rig);
        assert_false(rig->stream);
        assert_path_has(rig, "resourceVersion=11&resourceVersionMatch=NotOlderThan");
        rig_destroy(rig);
    }
}

enum watch_end { END_503, END_LOST, END_BRIEF, END_SILENT, END_IN_FRAME, END_COUNT };

/* The open watch fails; its cancel, if any, is taken. */
static void rig_fail_watch(struct rig *rig, enum watch_end end)
{
    assert_state(rig, MU_REFLECTOR_WATCHING);
    switch (end) {
    case END_503:
        rig_status(rig, 503, "ServiceUnavailable", NULL);
        break;
    case END_LOST:
        rig_lost(rig);
        break;
    case END_BRIEF:
        rig_head(rig, 200);
        rig_end(rig);
        break;
    case END_SILENT:
        rig->now_ns = mu_reflector_next_ns(rig->reflector);
        mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
        rig_take(rig);
        assert_true(rig->cancel);
        break;
    default:
        rig_head(rig, 200);
        rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("\0\0"));
        rig_end(rig);
        break;
    }
}

static void test_reflector_watch__third_failure_in_a_row__lists(void **state)
{
    (void)state;
    for (int end = 0; end < END_COUNT; end++) {
        if (end == END_LOST)
            continue;
        struct rig *rig = rig_watching();
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rig_stats(rig).lists, 1);
            rig_fail_watch(rig, (enum watch_end)end);
            (void)rig_wait(rig);
            rig_take(rig);
            assert_true(rig->stream == (i < 2));
        }
        assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
        rig_destroy(rig);
    }
}

/* A server that is away for long is not greeted with lists. */
static void test_reflector_watch__connection_lost_often__resumed_without_a_list(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    for (int i = 0; i < 20; i++) {
        rig_fail_watch(rig, END_LOST);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    assert_int_equal(rig_stats(rig).lists, 1);
    rig_destroy(rig);
}

static void test_reflector_watch__event_or_list_between_failures__counts_anew(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    for (int i = 0; i < 5; i++) { /* an event in each */
        rig_head(rig, 200);
        rig_event(rig, MU_WATCH_BOOKMARK, "", 20);
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    for (int i = 0; i < 2; i++) {
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
    }
    assert_false(rig->stream); /* the last of the five and these two */
    rig_page(rig, 21, NULL, "a@5 b@6");
    rig_take(rig);
    for (int i = 0; i < 2; i++) {
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    rig_destroy(rig);
}

/* The store is at version 3 after 10 had been seen; the consistent list is open. */
static struct rig *rig_store_went_back(void)
{
    struct rig *rig = rig_watching();
    rig_error_event_cause(rig, 504, "Timeout", "ResourceVersionTooLarge");
    rig_take(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion");
    return rig;
}

static void test_reflector_list__consistent_and_older__restored_for_good(void **state)
{
    (void)state;
    struct rig *rig = rig_store_went_back();
    rig_page(rig, 3, NULL, "z@2");
    assert_state(rig, MU_REFLECTOR_RESTORED);
    assert_string_equal(mu_reflector_problem(rig->reflector),
                        "pods: the server's store went back from version 10 to 3; restart needed");
    assert_true(mu_reflector_next_ns(rig->reflector) == UINT64_MAX);
    mu_reflector_tick(rig->reflector, UINT64_MAX, &rig->box);
    rig_lost(rig); /* a late reply of the list */
    assert_quiet(rig);
    assert_state(rig, MU_REFLECTOR_RESTORED);
    assert_int_equal(rig_stats(rig).last_version, 10);
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    assert_int_equal(rig->relists, 1); /* the sink saw nothing of it */
    assert_null(rig_find(rig, "z"));
    rig_destroy(rig);
}

static void test_reflector_list__consistent_and_no_older__goes_on(void **state)
{
    (void)state;
    struct rig *rig = rig_store_went_back();
    rig_page(rig, 10, NULL, "a@5 b@6"); /* the server had only lagged */
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_problem__watch_answered__empty_again(void **state)
{
    (void)state;
    for (int end = 0; end < END_COUNT; end++) {
        struct rig *rig = rig_watching();
        rig_fail_watch(rig, (enum watch_end)end);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: watch"));
        (void)rig_wait(rig);
        rig_take(rig);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: watch"));
        rig_head(rig, 200);
        assert_string_equal(mu_reflector_problem(rig->reflector), "");
        rig_destroy(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reflector_watch__events__reach_the_sink_and_move_the_version),
        cmocka_unit_test(test_reflector_watch__clean_end__resumes_at_last_version_at_once),
        cmocka_unit_test(test_reflector_watch__timeout_seconds__random_between_5_and_10_min),
        cmocka_unit_test(test_reflector_watch__ends_at_once_empty__counts_as_failure),
        cmocka_unit_test(test_reflector_watch__410_as_status__relists_not_older),
        cmocka_unit_test(test_reflector_watch__410_as_event__cancels_and_relists),
        cmocka_unit_test(test_reflector_watch__410_again_after_a_fresh_list__backs_off),
        cmocka_unit_test(test_reflector_watch__429_and_5xx__same_watch_after_back_off),
        cmocka_unit_test(test_reflector_watch__plain_text_429_with_retry_after__waits_that_long),
        cmocka_unit_test(test_reflector_watch__bad_request__lists_after_back_off),
        cmocka_unit_test(test_reflector_watch__end_inside_a_frame__broken_and_resumed),
        cmocka_unit_test(test_reflector_watch__lost__resumed_after_back_off),
        cmocka_unit_test(test_reflector_watch__silent__cancelled_and_resumed),
        cmocka_unit_test(test_reflector_watch__never_answered__asked_again_soon),
        cmocka_unit_test(test_reflector_watch__frame_of_3_gib__cancelled_and_listed),
        cmocka_unit_test(test_reflector_watch__older_event__refused_and_listed),
        cmocka_unit_test(test_reflector_watch__sink_fails__cancelled_and_listed),
        cmocka_unit_test(test_reflector_start__first_consistent__no_version_until_listed),
        cmocka_unit_test(test_reflector_watch__version_too_large__lists_after_back_off),
        cmocka_unit_test(test_reflector_watch__third_failure_in_a_row__lists),
        cmocka_unit_test(test_reflector_watch__connection_lost_often__resumed_without_a_list),
        cmocka_unit_test(test_reflector_watch__event_or_list_between_failures__counts_anew),
        cmocka_unit_test(test_reflector_list__consistent_and_older__restored_for_good),
        cmocka_unit_test(test_reflector_list__consistent_and_no_older__goes_on),
        cmocka_unit_test(test_reflector_problem__watch_answered__empty_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
