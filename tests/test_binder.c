/* The binder, case by case. Random runs against a naive server: test_binder_model.c. */
#include "tests/binder_rig.h"

/* --- sending ------------------------------------------------------------------------------- */

static void test_binder_submit__plain_group__all_at_once_up_to_the_budget(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(3);
    assert_int_equal(rig_submit(rig, 1, 5, false), 0);
    struct rig_request first = rig_take_post(rig, 1);
    struct rig_request second = rig_take_post(rig, 2);
    struct rig_request third = rig_take_post(rig, 3);
    assert_quiet(rig);
    assert_int_equal(rig_stats(rig).in_flight, 3);
    assert_int_equal(rig_stats(rig).queued, 2);
    rig_status(rig, second.token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    struct rig_request fourth = rig_take_post(rig, 4);
    rig_status(rig, first.token, 201, NULL);
    rig_status(rig, third.token, 201, NULL);
    rig_status(rig, fourth.token, 201, NULL);
    rig_status(rig, rig_take_post(rig, 5).token, 201, NULL);
    for (uint64_t id = 1; id <= 5; id++) {
        if (id != 2)
            assert_outcome(rig, id, MU_BIND_BOUND);
    }
    struct mu_binder_stats stats = rig_stats(rig);
    assert_int_equal(stats.bound, 5);
    assert_int_equal(stats.sent, 5);
    assert_int_equal(stats.queued + stats.in_flight, 0);
    assert_true(mu_binder_next_ns(rig->binder) == UINT64_MAX);
    rig_destroy(rig);
}

static void test_binder_submit__body__carries_uid_version_and_plan(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    struct mu_envelope envelope;
    assert_int_equal(rig_submit(rig, 7, 1, false), 0);
    struct rig_request post = rig_take_post(rig, 7);
    const struct mu_str body = {(const char *)post.body, (uint32_t)post.body_len};
    assert_int_equal(mu_envelope_open(body, &envelope, NULL), 0);
    Kube__Binding *binding =
        kube__binding__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(binding);
    assert_string_equal(binding->metadata->name, "p7");
    assert_string_equal(binding->metadata->uid, "u7");
    assert_string_equal(binding->metadata->resourceversion, "100");
    assert_string_equal(binding->metadata->annotations[0]->value, "plan-1");
    assert_string_equal(binding->target->name, "n7");
    kube__binding__free_unpacked(binding, NULL);
    rig_destroy(rig);
}

static void test_binder_submit__claim__first_alone_then_the_rest(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 3, true), 0);
    struct rig_request claim = rig_take_post(rig, 1);
    assert_quiet(rig);
    assert_int_equal(rig_stats(rig).queued, 2);
    rig_status(rig, claim.token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_status(rig, rig_take_post(rig, 2).token, 201, NULL);
    rig_status(rig, rig_take_post(rig, 3).token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    assert_outcome(rig, 3, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_submit__claim_refused__rest_released_unsent(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 3, true), 0);
    rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
    rig_pod(rig, rig_take_get(rig, 1).token, (struct rig_pod){"u1", "other", NULL, 104, false});
    for (uint64_t id = 1; id <= 3; id++)
        assert_outcome(rig, id, MU_BIND_REFUSED);
    assert_int_equal(rig->outcomes[0].version, 104);
    assert_int_equal(rig->outcomes[0].attempts, 1);
    assert_int_equal(rig->outcomes[1].attempts, 0);
    assert_int_equal(rig->outcomes[2].attempts, 0);
    assert_quiet(rig);
    assert_int_equal(rig_stats(rig).refused, 3);
    rig_destroy(rig);
}

static void test_binder_submit__claim_gone__rest_refused(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 2, true), 0);
    rig_status(rig, rig_take_post(rig, 1).token, 404, "NotFound");
    assert_outcome(rig, 1, MU_BIND_GONE);
    assert_outcome(rig, 2, MU_BIND_REFUSED);
    assert_quiet(rig);
    rig_destroy(rig);
}

static void test_binder_submit__beyond_the_bound__elimit_and_nothing_taken(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    const struct mu_bind_group group = {.count = MU_BINDS_OPEN_MAX + 1};
    assert_int_equal(mu_binder_submit(rig->binder, &group, rig->now_ns, &rig->box), MU_ELIMIT);
    assert_int_equal(rig_stats(rig).queued, 0);
    assert_quiet(rig);
    rig_destroy(rig);
}

/* --- judging ------------------------------------------------------------------------------- */

static void test_binder_reply__foreign_or_stale_token__no_effect(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    struct rig_request post = rig_take_post(rig, 1);
    struct mu_reply reply = {.token = RIG_TOKEN_BASE - 1, .kind = MU_REPLY_END};
    assert_false(mu_binder_reply(rig->binder, &reply, rig->now_ns, &rig->box));
    reply.token = RIG_TOKEN_BASE + (UINT64_C(1) << 48);
    assert_false(mu_binder_reply(rig->binder, &reply, rig->now_ns, &rig->box));
    rig_lost(rig, RIG_TOKEN_BASE + 12345);  /* no such slot */
    rig_lost(rig, post.token + (1u << 24)); /* another request of this slot */
    assert_int_equal(rig_stats(rig).in_flight, 1);
    rig_status(rig, post.token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_lost(rig, post.token); /* it has already ended */
    assert_int_equal(rig_stats(rig).lost, 0);
    rig_destroy(rig);
}

static void test_binder_reply__201_with_failure_inside__not_believed(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    struct mu_buf body = {0};
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    fixture_status(&body, 500, "InternalError", NULL, 0);
    rig_answer(rig, rig_take_post(rig, 1).token, 201, 0, fixture_str(&body));
    assert_int_equal(rig->outcome_count, 0);
    (void)rig_wait(rig);
    rig_answer(rig, rig_take_post(rig, 1).token, 201, 0, (struct mu_str){NULL, 0}); /* no body */
    assert_outcome(rig, 1, MU_BIND_BOUND);
    mu_buf_fini(&body);
    rig_destroy(rig);
}

static void test_binder_reply__409__judged_by_the_pod(void **state)
{
    (void)state;
    const struct {
        struct rig_pod pod;
        enum mu_bind_result result;
    } cases[] = {
        {{"u1", "n1", "plan-1", 101, false}, MU_BIND_BOUND},
        {{"u1", "n1", "plan-1", 101, true}, MU_BIND_BOUND},
        {{"u1", "n1", "plan-2", 101, false}, MU_BIND_REFUSED}, /* our node, not our plan */
        {{"u1", "n1", NULL, 101, false}, MU_BIND_REFUSED},
        {{"u1", "n2", "plan-1", 101, false}, MU_BIND_REFUSED},
        {{"u1", "", NULL, 101, false}, MU_BIND_REFUSED}, /* newer: every copy is dead */
        {{"u1", NULL, NULL, 100, true}, MU_BIND_REFUSED},
        {{"u9", NULL, NULL, 105, false}, MU_BIND_GONE}, /* another pod of that name */
        {{"u9", "n1", "plan-1", 101, false}, MU_BIND_GONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct binder_rig *rig = rig_create(0);
        assert_int_equal(rig_submit(rig, 1, 1, false), 0);
        rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
        assert_int_equal(rig_stats(rig).conflicts, 1);
        rig_pod(rig, rig_take_get(rig, 1).token, cases[i].pod);
        assert_outcome(rig, 1, cases[i].result);
        assert_int_equal(rig->outcomes[0].version, cases[i].pod.version);
        assert_quiet(rig);
        rig_destroy(rig);
    }
}

static void test_binder_reply__409_and_pod_unchanged__same_write_again(void **state)
{
    (void)state;
    /* unchanged, and two answers of a cache that lags */
    const struct rig_pod pods[] = {{"u1", NULL, NULL, 100, false},
                                   {"u1", NULL, NULL, 99, false},
                                   {"u0", "n1", "plan-1", 98, false}};
    for (int i = 0; i < 3; i++) {
        struct binder_rig *rig = rig_create(0);
        assert_int_equal(rig_submit(rig, 1, 1, false), 0);
        struct rig_request post = rig_take_post(rig, 1);
        rig_status(rig, post.token, 409, "Conflict");
        rig_pod(rig, rig_take_get(rig, 1).token, pods[i]);
        assert_true(rig_wait(rig) >= 200 * MU_NS_PER_MS);
        struct rig_request again = rig_take_post(rig, 1);
        assert_int_equal(again.body_len, post.body_len);
        assert_memory_equal(again.body, post.body, post.body_len);
        rig_status(rig, again.token, 201, NULL);
        assert_outcome(rig, 1, MU_BIND_BOUND);
        assert_int_equal(rig->outcomes[0].attempts, 2);
        rig_destroy(rig);
    }
}

static void test_binder_reply__409_then_pod_not_found__gone(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
    rig_status(rig, rig_take_get(rig, 1).token, 404, "NotFound");
    assert_outcome(rig, 1, MU_BIND_GONE);
    rig_destroy(rig);
}

static void test_binder_reply__get_fails_or_cannot_be_read__asked_again(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
    rig_status(rig, rig_take_get(rig, 1).token, 503, "ServiceUnavailable");
    (void)rig_wait(rig);
    rig_lost(rig, rig_take_get(rig, 1).token);
    (void)rig_wait(rig);
    rig_answer(rig, rig_take_get(rig, 1).token, 404, 0, MU_STR("404 page not found")); /* a proxy */
    (void)rig_wait(rig);
    rig_answer(rig, rig_take_get(rig, 1).token, 200, 0, MU_STR("{\"kind\":\"Pod\"}"));
    (void)rig_wait(rig);
    rig_answer(rig, rig_take_get(rig, 1).token, 200, 0, MU_STR("k8s\0\x0a\x05\x12\x03Pod"));
    (void)rig_wait(rig);
    rig_pod(rig, rig_take_get(rig, 1).token, (struct rig_pod){"u1", "n1", "plan-1", 101, false});
    assert_outcome(rig, 1, MU_BIND_BOUND);
    assert_int_equal(rig_stats(rig).sent, 1); /* GETs are not binds */
    rig_destroy(rig);
}

static void test_binder_reply__404__gone_only_by_the_servers_own_word(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_answer(rig, rig_take_post(rig, 1).token, 404, 0, MU_STR("404 page not found"));
    assert_int_equal(rig->outcome_count, 0);
    (void)rig_wait(rig);
    rig_status(rig, rig_take_post(rig, 1).token, 404, "NotFound");
    assert_outcome(rig, 1, MU_BIND_GONE);
    rig_destroy(rig);
}

static void test_binder_reply__other_4xx__refused_when_no_copy_can_land(void **state)
{
    (void)state;
    const int codes[] = {400, 403, 405, 413, 415, 422};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct binder_rig *rig = rig_create(0);
        assert_int_equal(rig_submit(rig, 1, 1, false), 0);
        rig_status(rig, rig_take_post(rig, 1).token, codes[i], "Some");
        assert_outcome(rig, 1, MU_BIND_REFUSED);
        /* After a lost reply the first copy may still land: the pod must be read. */
        assert_int_equal(rig_submit(rig, 2, 1, false), 0);
        rig_lost(rig, rig_take_post(rig, 2).token);
        (void)rig_wait(rig);
        rig_status(rig, rig_take_post(rig, 2).token, codes[i], "Some");
        assert_int_equal(rig->outcome_count, 1);
        rig_pod(rig, rig_take_get(rig, 2).token,
                (struct rig_pod){"u2", "n2", "plan-1", 101, false});
        assert_outcome(rig, 2, MU_BIND_BOUND);
        rig_destroy(rig);
    }
}

static void test_binder_reply__401_and_5xx__unknown_same_write_again(void **state)
{
    (void)state;
    const int codes[] = {401, 500, 502, 503, 504, 302};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct binder_rig *rig = rig_create(0);
        assert_int_equal(rig_submit(rig, 1, 1, false), 0);
        struct rig_request post = rig_take_post(rig, 1);
        rig_answer(rig, post.token, codes[i], 0, MU_STR("words"));
        assert_int_equal(rig->outcome_count, 0);
        (void)rig_wait(rig);
        struct rig_request again = rig_take_post(rig, 1);
        assert_memory_equal(again.body, post.body, post.body_len);
        rig_status(rig, again.token, 201, NULL);
        assert_outcome(rig, 1, MU_BIND_BOUND);
        assert_int_equal(rig_stats(rig).repeated, 1);
        rig_destroy(rig);
    }
}

static void test_binder_problem__401_and_403__in_words_until_a_bind_is_taken(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_string_equal(mu_binder_problem(rig->binder), "");
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_status(rig, rig_take_post(rig, 1).token, 403, "Forbidden");
    assert_outcome(rig, 1, MU_BIND_REFUSED);
    const char *problem = mu_binder_problem(rig->binder);
    assert_ptr_equal(strstr(problem, "create pods/binding: forbidden (403): "), problem);
    assert_int_equal(rig_submit(rig, 2, 1, false), 0);
    rig_answer(rig, rig_take_post(rig, 2).token, 401, 0, MU_STR("Unauthorized"));
    assert_string_equal(mu_binder_problem(rig->binder),
                        "create pods/binding: the API server refuses our credentials (401)");
    assert_true(rig_wait(rig) >= 200 * MU_NS_PER_MS);
    rig_status(rig, rig_take_post(rig, 2).token, 409, "Conflict");
    rig_status(rig, rig_take_get(rig, 2).token, 403, "Forbidden"); /* binds, but may not read */
    assert_non_null(strstr(mu_binder_problem(rig->binder), "get pods: forbidden (403): "));
    (void)rig_wait(rig);
    rig_pod(rig, rig_take_get(rig, 2).token, (struct rig_pod){"u2", NULL, NULL, 100, false});
    (void)rig_wait(rig);
    rig_status(rig, rig_take_post(rig, 2).token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    assert_string_equal(mu_binder_problem(rig->binder), "");
    rig_destroy(rig);
}

/* --- lost replies -------------------------------------------------------------------------- */

static void test_binder_lost__write_had_landed__409_then_bound(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    struct rig_request post = rig_take_post(rig, 1);
    rig_lost(rig, post.token);
    assert_int_equal(rig_stats(rig).lost, 1);
    assert_int_equal(rig_stats(rig).queued, 1);
    (void)rig_wait(rig);
    struct rig_request again = rig_take_post(rig, 1);
    assert_int_equal(again.body_len, post.body_len);
    assert_memory_equal(again.body, post.body, post.body_len); /* the same version */
    assert_true(again.token != post.token);
    rig_status(rig, again.token, 409, "Conflict");
    rig_pod(rig, rig_take_get(rig, 1).token, (struct rig_pod){"u1", "n1", "plan-1", 101, false});
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_lost__late_copy_lands_while_the_repeat_is_refused__bound(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_lost(rig, rig_take_post(rig, 1).token);
    (void)rig_wait(rig);
    rig_lost(rig, rig_take_post(rig, 1).token); /* both copies are on their way */
    (void)rig_wait(rig);
    rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
    rig_pod(rig, rig_take_get(rig, 1).token, (struct rig_pod){"u1", NULL, NULL, 100, false});
    assert_int_equal(rig->outcome_count, 0); /* unbound and unchanged proves nothing */
    (void)rig_wait(rig);
    rig_status(rig, rig_take_post(rig, 1).token, 409, "Conflict");
    rig_pod(rig, rig_take_get(rig, 1).token, (struct rig_pod){"u1", "n1", "plan-1", 101, false});
    assert_outcome(rig, 1, MU_BIND_BOUND);
    assert_int_equal(rig->outcomes[0].attempts, 4);
    rig_destroy(rig);
}

static void test_binder_lost__claim__rest_waits_for_the_truth(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 2, true), 0);
    rig_lost(rig, rig_take_post(rig, 1).token);
    (void)rig_wait(rig);
    struct rig_request again = rig_take_post(rig, 1);
    assert_quiet(rig);
    rig_status(rig, again.token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_status(rig, rig_take_post(rig, 2).token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_backoff__repeated_losses__grows_with_jitter_to_the_cap(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    const uint64_t tick = 50 * MU_NS_PER_MS;
    uint64_t base = 200 * MU_NS_PER_MS;
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    for (int i = 0; i < 40; i++) {
        rig_lost(rig, rig_take_post(rig, 1).token);
        uint64_t waited = rig_wait(rig);
        assert_true(waited >= base && waited <= 2 * base + tick);
        base = base * 2 < 10 * MU_NS_PER_S ? base * 2 : 10 * MU_NS_PER_S;
    }
    rig_status(rig, rig_take_post(rig, 1).token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_destroy(rig);
}

/* --- throttling ---------------------------------------------------------------------------- */

static void test_binder_throttled__retry_after__everything_pauses(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(2);
    assert_int_equal(rig_submit(rig, 1, 3, false), 0);
    struct rig_request first = rig_take_post(rig, 1);
    struct rig_request second = rig_take_post(rig, 2);
    rig_answer(rig, first.token, 429, 7, MU_STR("Too many requests, please try again later."));
    assert_int_equal(rig_stats(rig).throttled, 1);
    rig_status(rig, second.token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    assert_quiet(rig); /* there is room for the third, but the server asked for quiet */
    assert_int_equal(rig_submit(rig, 4, 1, false), 0);
    assert_quiet(rig);
    uint64_t waited = rig_wait(rig);
    assert_true(waited == 7 * MU_NS_PER_S);
    rig_status(rig, rig_take_post(rig, 3).token, 201, NULL);
    rig_status(rig, rig_take_post(rig, 4).token, 201, NULL);
    assert_outcome(rig, 3, MU_BIND_BOUND);
    assert_outcome(rig, 4, MU_BIND_BOUND);
    if (mu_outbox_empty(&rig->box))
        (void)rig_wait(rig);
    rig_status(rig, rig_take_post(rig, 1).token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_throttled__absurd_retry_after__capped(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 1, false), 0);
    rig_answer(rig, rig_take_post(rig, 1).token, 429, UINT32_MAX, (struct mu_str){NULL, 0});
    uint64_t waited = rig_wait(rig);
    assert_true(waited >= 60 * MU_NS_PER_S && waited <= 61 * MU_NS_PER_S);
    /* and so is one from inside a Status */
    struct mu_buf body = {0};
    fixture_status(&body, 503, "ServiceUnavailable", NULL, 2000000000);
    rig_answer(rig, rig_take_post(rig, 1).token, 503, 0, fixture_str(&body));
    waited = rig_wait(rig);
    assert_true(waited >= 60 * MU_NS_PER_S && waited <= 61 * MU_NS_PER_S);
    mu_buf_fini(&body);
    rig_destroy(rig);
}

/* --- what the watch shows ------------------------------------------------------------------ */

static void observe(struct binder_rig *rig, uint64_t id, uint64_t version, bool planned,
                    bool elsewhere, bool gone)
{
    mu_binder_observe(rig->binder, id, version, planned, elsewhere, gone, rig->now_ns, &rig->box);
}

static void test_binder_observe__asleep__settled_by_what_is_seen(void **state)
{
    (void)state;
    const struct {
        uint64_t version;
        bool planned, elsewhere, gone;
        int result; /* -1: proves nothing */
    } cases[] = {
        {101, true, false, false, MU_BIND_BOUND}, {101, false, true, false, MU_BIND_REFUSED},
        {101, false, false, true, MU_BIND_GONE},  {101, false, false, false, MU_BIND_REFUSED},
        {100, false, false, false, -1},           {99, false, false, false, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct binder_rig *rig = rig_create(0);
        assert_int_equal(rig_submit(rig, 1, 1, false), 0);
        rig_lost(rig, rig_take_post(rig, 1).token);
        observe(rig, 1, cases[i].version, cases[i].planned, cases[i].elsewhere, cases[i].gone);
        if (cases[i].result >= 0) {
            assert_outcome(rig, 1, (enum mu_bind_result)cases[i].result);
            assert_int_equal(rig->outcomes[0].version, cases[i].version);
            assert_true(mu_binder_next_ns(rig->binder) == UINT64_MAX);
        } else {
            assert_int_equal(rig->outcome_count, 0);
            assert_true(mu_binder_next_ns(rig->binder) != UINT64_MAX);
        }
        observe(rig, 77, 1, true, false, false); /* nobody's */
        rig_destroy(rig);
    }
}

static void test_binder_observe__request_open__place_kept_until_its_end(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(1);
    assert_int_equal(rig_submit(rig, 1, 2, false), 0);
    struct rig_request post = rig_take_post(rig, 1);
    observe(rig, 1, 101, true, false, false);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    assert_quiet(rig);
    assert_int_equal(rig_stats(rig).in_flight, 1);
    rig_status(rig, post.token, 409, "Conflict"); /* late, and no longer of interest */
    assert_int_equal(rig_stats(rig).conflicts, 0);
    rig_status(rig, rig_take_post(rig, 2).token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    assert_int_equal(rig_stats(rig).in_flight, 0);
    rig_destroy(rig);
}

static void test_binder_observe__behind_a_claim__settled_alone(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 3, true), 0);
    struct rig_request claim = rig_take_post(rig, 1);
    observe(rig, 2, 105, false, true, false);
    assert_outcome(rig, 2, MU_BIND_REFUSED);
    rig_status(rig, claim.token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_status(rig, rig_take_post(rig, 3).token, 201, NULL);
    assert_outcome(rig, 3, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_observe__claim_seen_bound__rest_goes(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 2, true), 0);
    rig_lost(rig, rig_take_post(rig, 1).token);
    observe(rig, 1, 101, true, false, false);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    rig_status(rig, rig_take_post(rig, 2).token, 201, NULL);
    assert_outcome(rig, 2, MU_BIND_BOUND);
    rig_destroy(rig);
}

static void test_binder_observe__ready_in_the_queue__leaves_it(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(1);
    assert_int_equal(rig_submit(rig, 1, 4, false), 0);
    struct rig_request first = rig_take_post(rig, 1);
    observe(rig, 4, 1, false, false, true); /* the tail, the head, the one that is left */
    assert_outcome(rig, 4, MU_BIND_GONE);
    observe(rig, 2, 1, false, false, true);
    assert_outcome(rig, 2, MU_BIND_GONE);
    rig_status(rig, first.token, 201, NULL);
    assert_outcome(rig, 1, MU_BIND_BOUND);
    struct rig_request third = rig_take_post(rig, 3);
    assert_int_equal(rig_submit(rig, 5, 1, false), 0);
    rig_status(rig, third.token, 201, NULL);
    assert_outcome(rig, 3, MU_BIND_BOUND);
    rig_status(rig, rig_take_post(rig, 5).token, 201, NULL);
    assert_outcome(rig, 5, MU_BIND_BOUND);
    rig_destroy(rig);
}

/* --- time and memory ----------------------------------------------------------------------- */

static void test_binder_tick__clock_jumps_far__every_sleeper_wakes_once(void **state)
{
    (void)state;
    struct binder_rig *rig = rig_create(0);
    assert_int_equal(rig_submit(rig, 1, 8, false), 0);
    for (uint64_t id = 1; id <= 8; id++)
        rig_lost(rig, rig_take_post(rig, id).token);
    rig->now_ns += 3600 * MU_NS_PER_S;
    mu_binder_tick(rig->binder, rig->now_ns, &rig->box);
    uint64_t seen = 0;
    for (int i = 0; i < 8; i++) {
        struct rig_request post = rig_take(rig);
        uint64_t id = strtoull(strstr(post.path, "/pods/p") + 7, NULL, 10);
        seen |= UINT64_C(1) << id;
        rig_status(rig, post.token, 201, NULL);
        assert_outcome(rig, id, MU_BIND_BOUND);
    }
    assert_int_equal(seen, 0x1fe);
    assert_quiet(rig);
    rig_destroy(rig);
}

static void test_binder_destroy__binds_in_every_state__leaks_nothing(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    struct binder_rig *rig = rig_create(2);
    assert_int_equal(rig_submit(rig, 1, 3, true), 0);  /* open, waiting, waiting */
    assert_int_equal(rig_submit(rig, 4, 3, false), 0); /* open, ready, ready */
    (void)rig_take_post(rig, 1);
    rig_lost(rig, rig_take_post(rig, 4).token); /* asleep */
    (void)rig_take_post(rig, 5);
    observe(rig, 5, 101, true, false, false); /* done, still open */
    assert_outcome(rig, 5, MU_BIND_BOUND);
    rig_destroy(rig);
    assert_int_equal(mu_mem_live_bytes(), live);
}

struct life {
    struct binder_rig *rig;
    struct mu_buf status;
    struct mu_buf pod;
};

/* One claim group through a 409 and a success, with one allocation failing somewhere. Returns true
 * when nothing had to be tried twice. */
static bool live_once(void *context)
{
    struct life *life = context;
    struct binder_rig *rig = life->rig;
    *rig = (struct binder_rig){.now_ns = 5000 * MU_NS_PER_S};
    mu_random_init_seed(&rig->random, 11);
    const struct mu_binder_config config = {
        .token_base = RIG_TOKEN_BASE, .outcome = rig_outcome, .context = rig};
    rig->binder = mu_binder_create(&config, &rig->random);
    if (rig->binder == NULL)
        return false;
    bool passed = true;
    while (rig_submit(rig, 1, 2, true) != 0) {
        assert_int_equal(rig_stats(rig).queued, 0);
        assert_quiet(rig);
        passed = false;
    }
    for (int rounds = 0; rig->outcome_count < 2; rounds++) {
        assert_true(rounds < 20);
        if (mu_outbox_empty(&rig->box)) {
            (void)rig_wait(rig);
            passed = false; /* nothing but a failure makes it wait here */
        }
        struct rig_request request = rig_take(rig);
        bool get = request.method == MU_GET;
        bool first = strstr(request.path, "/p1") != NULL;
        if (get)
            rig_answer(rig, request.token, 200, 0, fixture_str(&life->pod));
        else
            rig_answer(rig, request.token, first ? 409 : 201, 0, fixture_str(&life->status));
    }
    for (uint64_t id = 1; id <= 2; id++) {
        assert_int_equal(rig->outcomes[id - 1].id, id);
        assert_int_equal(rig->outcomes[id - 1].result, MU_BIND_BOUND);
    }
    mu_binder_destroy(rig->binder);
    mu_outbox_fini(&rig->box);
    return passed;
}

static void test_binder__out_of_memory_anywhere__every_bind_is_settled(void **state)
{
    (void)state;
    struct life life = {.rig = mu_mem_alloc(sizeof *life.rig)};
    const struct rig_pod bound = {"u1", "n1", "plan-1", 101, false};
    rig_put_pod(&life.pod, &bound);
    fixture_status(&life.status, 201, NULL, NULL, 0);
    uint32_t hindered = 0;
    for (uint64_t nth = 1; nth <= 64; nth++) { /* more than one life allocates */
        size_t live = mu_mem_live_bytes();
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        hindered += !live_once(&life);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes(), live);
    }
    assert_true(hindered >= 12 && hindered < 64);
    mu_buf_fini(&life.pod);
    mu_buf_fini(&life.status);
    mu_mem_free(life.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binder_submit__plain_group__all_at_once_up_to_the_budget),
        cmocka_unit_test(test_binder_submit__body__carries_uid_version_and_plan),
        cmocka_unit_test(test_binder_submit__claim__first_alone_then_the_rest),
        cmocka_unit_test(test_binder_submit__claim_refused__rest_released_unsent),
        cmocka_unit_test(test_binder_submit__claim_gone__rest_refused),
        cmocka_unit_test(test_binder_submit__beyond_the_bound__elimit_and_nothing_taken),
        cmocka_unit_test(test_binder_reply__foreign_or_stale_token__no_effect),
        cmocka_unit_test(test_binder_reply__201_with_failure_inside__not_believed),
        cmocka_unit_test(test_binder_reply__409__judged_by_the_pod),
        cmocka_unit_test(test_binder_reply__409_and_pod_unchanged__same_write_again),
        cmocka_unit_test(test_binder_reply__409_then_pod_not_found__gone),
        cmocka_unit_test(test_binder_reply__get_fails_or_cannot_be_read__asked_again),
        cmocka_unit_test(test_binder_reply__404__gone_only_by_the_servers_own_word),
        cmocka_unit_test(test_binder_reply__other_4xx__refused_when_no_copy_can_land),
        cmocka_unit_test(test_binder_reply__401_and_5xx__unknown_same_write_again),
        cmocka_unit_test(test_binder_problem__401_and_403__in_words_until_a_bind_is_taken),
        cmocka_unit_test(test_binder_lost__write_had_landed__409_then_bound),
        cmocka_unit_test(test_binder_lost__late_copy_lands_while_the_repeat_is_refused__bound),
        cmocka_unit_test(test_binder_lost__claim__rest_waits_for_the_truth),
        cmocka_unit_test(test_binder_backoff__repeated_losses__grows_with_jitter_to_the_cap),
        cmocka_unit_test(test_binder_throttled__retry_after__everything_pauses),
        cmocka_unit_test(test_binder_throttled__absurd_retry_after__capped),
        cmocka_unit_test(test_binder_observe__asleep__settled_by_what_is_seen),
        cmocka_unit_test(test_binder_observe__request_open__place_kept_until_its_end),
        cmocka_unit_test(test_binder_observe__behind_a_claim__settled_alone),
        cmocka_unit_test(test_binder_observe__claim_seen_bound__rest_goes),
        cmocka_unit_test(test_binder_observe__ready_in_the_queue__leaves_it),
        cmocka_unit_test(test_binder_tick__clock_jumps_far__every_sleeper_wakes_once),
        cmocka_unit_test(test_binder_destroy__binds_in_every_state__leaks_nothing),
        cmocka_unit_test(test_binder__out_of_memory_anywhere__every_bind_is_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
