/* Lists, back-off and memory of the reflector, one test per behaviour. */
#include "tests/reflector_rig.h"

/* --- lists --------------------------------------------------------------------------------- */

static void test_reflector_start__first_list__any_version_in_pages(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_string_equal(rig->path, "/api/v1/pods?limit=2&resourceVersion=0"
                                   "&fieldSelector=status.phase%21%3DFailed");
    assert_false(rig->stream);
    assert_true(rig->timeout_ns == 60 * MU_NS_PER_S);
    rig_page(rig, 10, "to/ken", "a@5 b@6");
    rig_take(rig);
    assert_string_equal(rig->path, "/api/v1/pods?limit=2&continue=to%2Fken"
                                   "&fieldSelector=status.phase%21%3DFailed");
    assert_false(rig_stats(rig).synced);
    assert_int_equal(rig->sweeps, 0);
    rig_page(rig, 10, NULL, "c@7");
    assert_int_equal(rig->count, 3);
    assert_int_equal(rig->relists, 1);
    assert_int_equal(rig->sweeps, 1);
    struct mu_reflector_stats stats = rig_stats(rig);
    assert_true(stats.synced);
    assert_int_equal(stats.pages, 2);
    assert_int_equal(stats.lists, 1);
    assert_int_equal(stats.last_version, 10);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "?watch=true&allowWatchBookmarks=true&resourceVersion=10&timeoutSeconds=");
    rig_destroy(rig);
}

static void test_reflector_reply__foreign_token__not_ours(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    struct mu_reply reply = {.token = TOKEN_BASE - 1, .kind = MU_REPLY_END};
    assert_false(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    reply.token = TOKEN_BASE + (UINT64_C(1) << 32);
    assert_false(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    reply.token = rig->token - 1; /* the list's, long closed */
    assert_true(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_list__expired_continue__starts_again_after_a_pause(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_page(rig, 10, "token", "a@5 b@6");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 1);
    assert_int_equal(rig->sweeps, 0); /* half a list removes nothing */
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "continue=");
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    rig_page(rig, 12, NULL, "a@5");
    assert_int_equal(rig_stats(rig).state, MU_REFLECTOR_SWEEPING);
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    assert_int_equal(rig->count, 1);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_list__older_than_seen__refused(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_MODIFIED, "a", 20);
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    assert_true(rig->cancel);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=20&resourceVersionMatch=NotOlderThan");
    rig_page(rig, 19, NULL, "a@5");
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    assert_object(rig, "a", 20);
    assert_int_equal(rig->relists, 1);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "version 19"));
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion"); /* the next is not left to a cache */
    rig_page(rig, 21, NULL, "a@20");
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    assert_int_equal(rig->count, 1);
    rig_destroy(rig);
}

static void test_reflector_list__version_refused__consistent_list_at_once(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct rig *rig = rig_watching();
        rig_error_event(rig, 410, "Expired");
        rig_take(rig); /* cancel */
        rig_take(rig);
        assert_path_has(rig, "NotOlderThan");
        if (kind == 0)
            rig_status(rig, 410, "Expired", NULL);
        else
            rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        rig_take(rig);
        assert_string_equal(rig->path, "/api/v1/pods?limit=2"
                                       "&fieldSelector=status.phase%21%3DFailed");
        /* A consistent list that fails is asked for again, after a pause. */
        rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        (void)rig_wait(rig);
        rig_take(rig);
        assert_path_lacks(rig, "resourceVersion");
        rig_destroy(rig);
    }
}

static void test_reflector_list__absent_object__swept_in_steps(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_ADDED, "d", 12);
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    rig_take(rig);
    rig_page(rig, 15, NULL, "d@14 e@15");
    uint32_t steps = 1;
    while (rig_stats(rig).state == MU_REFLECTOR_SWEEPING) {
        assert_quiet(rig); /* no watch before the sweep is over */
        assert_true(mu_reflector_next_ns(rig->reflector) <= rig->now_ns);
        mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
        steps++;
    }
    assert_int_equal(steps, 4); /* a, b, c, and one that finds nothing */
    assert_int_equal(rig->count, 2);
    assert_object(rig, "d", 14);
    assert_object(rig, "e", 15);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=15");
    rig_destroy(rig);
}

static void test_reflector_list__401_and_403__in_words_and_backs_off(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    uint64_t waited = 0;
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    for (int i = 0; i < 6; i++) { /* no hot loop */
        rig_take(rig);
        rig_status(rig, i < 3 ? 401 : 403, i < 3 ? "Unauthorized" : "Forbidden", NULL);
        assert_int_equal(rig_stats(rig).last_failure, i < 3 ? 401 : 403);
        assert_int_equal(rig_stats(rig).failures_alike, i % 3 + 1);
        const char *problem = mu_reflector_problem(rig->reflector);
        const char *expected = i < 3 ? "pods: list: the API server refuses our credentials (401): "
                                     : "pods: list: forbidden (403): ";
        assert_ptr_equal(strstr(problem, expected), problem);
        uint64_t wait = rig_wait(rig);
        assert_true(i == 0 || wait > waited / 2);
        waited = wait;
    }
    assert_true(waited > 10 * MU_NS_PER_S);
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5");
    assert_int_equal(rig_stats(rig).last_failure, 0);
    assert_int_equal(rig_stats(rig).failures_alike, 0);
    rig_destroy(rig);
}

static void test_reflector_retry__only_what_credentials_can_mend__at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    mu_reflector_retry(rig->reflector, rig->now_ns); /* nothing to mend */
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_status(rig, 403, "Forbidden", NULL);
    uint64_t due_ns = mu_reflector_next_ns(rig->reflector);
    mu_reflector_retry(rig->reflector, rig->now_ns);
    assert_true(mu_reflector_next_ns(rig->reflector) == due_ns);
    (void)rig_wait(rig);
    rig_take(rig);
    rig_status(rig, 401, "Unauthorized", NULL);
    assert_state(rig, MU_REFLECTOR_BACKOFF);
    mu_reflector_retry(rig->reflector, rig->now_ns);
    assert_true(mu_reflector_next_ns(rig->reflector) == rig->now_ns);
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_true(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_list__unreadable_reply__backs_off(void **state)
{
    (void)state;
    const struct mu_str bodies[] = {MU_STR("{\"kind\":\"PodList\"}"), MU_STR(""),
                                    MU_STR("k8s\0\x12\x02\x0a\x00"),     /* no version */
                                    MU_STR("k8s\0\x12\x04\x0a\x02\x12"), /* cut */
                                    MU_STR("k8s\0\x12\x05\x0a\x03\x12\x01x")};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct rig *rig = rig_create();
        struct mu_buf body = {0};
        mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
        rig_take(rig);
        assert_int_equal(mu_buf_append_str(&body, bodies[i]), 0);
        rig_body(rig, 200, &body);
        assert_int_equal(rig->relists, 0);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: list"));
        (void)rig_wait(rig);
        rig_take(rig);
        assert_path_has(rig, "resourceVersion=0");
        rig_destroy(rig);
    }
}

static void test_reflector_list__sink_fails__lists_again(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig->fail = MU_ENOMEM;
    rig_page(rig, 10, NULL, "a@5");
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "out of memory"));
    assert_int_equal(rig->sweeps, 0);
    rig->fail = 0;
    (void)rig_wait(rig);
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5");
    assert_state(rig, MU_REFLECTOR_WATCHING);
    assert_object(rig, "a", 5);
    rig_destroy(rig);
}

static void test_reflector_list__lost_and_5xx__back_off_and_list(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_lost(rig);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "no reply"));
    (void)rig_wait(rig);
    rig_take(rig);
    rig_status(rig, 503, "ServiceUnavailable", NULL);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=0");
    rig_page(rig, 10, NULL, "a@5");
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

/* --- back-off ------------------------------------------------------------------------------ */

static void test_reflector_backoff__repeated_failures__doubles_with_jitter_to_the_cap(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    uint64_t base = 800 * MU_NS_PER_MS;
    bool jitter = false;
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    for (int i = 0; i < 12; i++) {
        rig_take(rig);
        rig_lost(rig);
        uint64_t waited = rig_wait(rig);
        assert_true(waited >= base && waited <= 2 * base);
        jitter = jitter || (waited != base && waited != 2 * base);
        base = base * 2 < 30 * MU_NS_PER_S ? base * 2 : 30 * MU_NS_PER_S;
    }
    assert_true(jitter);
    assert_int_equal(rig_stats(rig).failures, 12);
    rig_destroy(rig);
}

static void test_reflector_backoff__two_minutes_without_failure__reset(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    for (int i = 0; i < 8; i++) {
        rig_take(rig);
        rig_lost(rig);
        (void)rig_wait(rig);
    }
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5");
    rig_take(rig);
    rig_head(rig, 200);
    rig->now_ns += 121 * MU_NS_PER_S;
    rig_lost(rig);
    assert_true(rig_wait(rig) <= 1600 * MU_NS_PER_MS);
    rig_destroy(rig);
}

static void test_reflector_backoff__two_reflectors__not_in_step(void **state)
{
    (void)state;
    struct mu_random random;
    uint64_t waits[2];
    mu_random_init_seed(&random, 1);
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_create();
        struct mu_reflector_config config = {.name = MU_STR("x"), .path = MU_STR("/x")};
        const struct mu_reflector_sink sink = {.context = rig};
        struct mu_reflector *reflector = mu_reflector_create(&config, &sink, &random);
        mu_reflector_start(reflector, 0, &rig->box);
        struct mu_request *request = mu_outbox_take(&rig->box);
        const struct mu_reply lost = {.token = request->token, .kind = MU_REPLY_LOST};
        assert_true(mu_reflector_reply(reflector, &lost, 0, &rig->box));
        waits[i] = mu_reflector_next_ns(reflector);
        mu_reflector_destroy(reflector);
        rig_destroy(rig);
    }
    assert_true(waits[0] != waits[1]);
}

/* --- memory -------------------------------------------------------------------------------- */

/* Bring a reflector to where it has seen one event, whatever fails on the way. */
static void drive_to_event(struct rig *rig, struct mu_str frame)
{
    const struct mu_str page = MU_STR("k8s\0\x12\x06\x0a\x04\x12\x02"
                                      "10");
    for (int round = 0; rig_find(rig, "a") == NULL; round++) {
        assert_true(round < 10);
        if (rig_stats(rig).state == MU_REFLECTOR_BACKOFF) {
            assert_true(strlen(mu_reflector_problem(rig->reflector)) > 0);
            while (!mu_outbox_empty(&rig->box)) { /* the cancel of what failed */
                rig_take(rig);
                assert_true(rig->cancel);
            }
            (void)rig_wait(rig);
            continue; /* sending may have failed again */
        }
        rig_take(rig);
        rig_head(rig, 200);
        if (rig->stream) { /* in two pieces, so that a frame must be gathered */
            uint64_t events = rig_stats(rig).failures;
            rig_reply(rig, MU_REPLY_DATA, 0, (struct mu_str){frame.data, 7});
            if (rig_stats(rig).failures == events)
                rig_reply(rig, MU_REPLY_DATA, 0, (struct mu_str){frame.data + 7, frame.len - 7});
        } else {
            rig_reply(rig, MU_REPLY_DATA, 0, page);
            if (rig_stats(rig).state == MU_REFLECTOR_LISTING)
                rig_end(rig);
        }
    }
}

struct life {
    struct rig *rig;
    struct mu_buf frame;
    bool created;
};

/* A whole life with one allocation failing. Returns true when it met no failure. */
static bool live_once(void *context)
{
    struct life *life = context;
    struct rig *rig = life->rig;
    struct mu_random random;
    *rig = (struct rig){.now_ns = 1000 * MU_NS_PER_S};
    mu_random_init_seed(&random, 3);
    const struct mu_reflector_config config = {
        .name = MU_STR("pods"), .path = MU_STR("/pods"), .token_base = TOKEN_BASE};
    const struct mu_reflector_sink sink = {.context = rig,
                                           .upsert = sink_upsert,
                                           .remove = sink_remove,
                                           .relist_begin = sink_begin,
                                           .relist_sweep = sink_sweep};
    rig->reflector = mu_reflector_create(&config, &sink, &random);
    if (rig->reflector == NULL)
        return false;
    life->created = true;
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    drive_to_event(rig, fixture_str(&life->frame));
    bool passed = rig_stats(rig).failures == 0;
    mu_reflector_destroy(rig->reflector);
    mu_outbox_fini(&rig->box);
    return passed;
}

static void test_reflector__out_of_memory_anywhere__gets_there_and_leaks_nothing(void **state)
{
    (void)state;
    struct life life = {.rig = mu_mem_alloc(sizeof *life.rig)};
    assert_non_null(life.rig);
    put_event(&life.frame, MU_WATCH_ADDED, "a", 11);
    assert_true(mu_test_fail_each(live_once, &life) >= 8);
    assert_true(life.created);
    mu_buf_fini(&life.frame);
    mu_mem_free(life.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reflector_start__first_list__any_version_in_pages),
        cmocka_unit_test(test_reflector_reply__foreign_token__not_ours),
        cmocka_unit_test(test_reflector_list__expired_continue__starts_again_after_a_pause),
        cmocka_unit_test(test_reflector_list__older_than_seen__refused),
        cmocka_unit_test(test_reflector_list__version_refused__consistent_list_at_once),
        cmocka_unit_test(test_reflector_list__absent_object__swept_in_steps),
        cmocka_unit_test(test_reflector_list__401_and_403__in_words_and_backs_off),
        cmocka_unit_test(test_reflector_retry__only_what_credentials_can_mend__at_once),
        cmocka_unit_test(test_reflector_list__unreadable_reply__backs_off),
        cmocka_unit_test(test_reflector_list__sink_fails__lists_again),
        cmocka_unit_test(test_reflector_list__lost_and_5xx__back_off_and_list),
        cmocka_unit_test(test_reflector_backoff__repeated_failures__doubles_with_jitter_to_the_cap),
        cmocka_unit_test(test_reflector_backoff__two_minutes_without_failure__reset),
        cmocka_unit_test(test_reflector_backoff__two_reflectors__not_in_step),
        cmocka_unit_test(test_reflector__out_of_memory_anywhere__gets_there_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
