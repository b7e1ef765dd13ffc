/* Resources that speak JSON, have several versions, and need not be there. */
#include "tests/reflector_rig.h"

#define GROUPS(version) "/apis/g/" version "/podgroups"

static struct rig *rig_create_json(void)
{
    struct rig *rig = mu_mem_zalloc(sizeof *rig);
    assert_non_null(rig);
    rig->json = true;
    rig->now_ns = 1000 * MU_NS_PER_S;
    mu_random_init_seed(&rig->random, 42);
    const struct mu_reflector_config config = {
        .name = MU_STR("podgroups.g"),
        .path = MU_STR(GROUPS("v2")),
        .further_paths = {MU_STR(GROUPS("v1")), MU_STR(GROUPS("v1beta1"))},
        .optional = true,
        .json = true,
        .page_limit = 2,
        .token_base = TOKEN_BASE,
    };
    const struct mu_reflector_sink sink = {.context = rig,
                                           .upsert = sink_upsert,
                                           .remove = sink_remove,
                                           .relist_begin = sink_begin,
                                           .relist_sweep = sink_sweep};
    rig->reflector = mu_reflector_create(&config, &sink, &rig->random);
    assert_non_null(rig->reflector);
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    return rig;
}

/* The next request; it must ask for JSON under this path. */
static void take_from(struct rig *rig, const char *path, const char *query)
{
    struct mu_request *request = mu_outbox_take(&rig->box);
    assert_non_null(request);
    rig->token = request->token;
    rig->stream = request->stream;
    rig->cancel = request->cancel;
    assert_true(request->json || request->cancel);
    (void)snprintf(rig->path, sizeof rig->path, "%.*s", (int)request->path.len,
                   (const char *)request->path.data);
    if (strncmp(rig->path, path, strlen(path)) != 0 || strstr(rig->path, query) == NULL)
        fail_msg("%s: expected %s and %s", rig->path, path, query);
}

static void answer(struct rig *rig, int status, const char *text)
{
    struct mu_buf body = {0};
    assert_int_equal(mu_buf_append_text(&body, text), 0);
    rig_body(rig, status, &body);
}

static void answer_404(struct rig *rig)
{
    answer(rig, 404, "404 page not found\n"); /* what a real server says of an unknown group */
}

static void say(struct rig *rig, const char *text)
{
    rig_reply(rig, MU_REPLY_DATA, 0, mu_str_of(text));
}

#define LIST(version, items)                                                                       \
    "{\"kind\":\"PodGroupList\",\"metadata\":{\"resourceVersion\":\"" version                      \
    "\"},\"items\":[" items "]}"
#define ITEM(name, version)                                                                        \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"},\"spec\":{}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" ITEM(name, version) "}\n"

/* Listed {a@5, b@6} at version 10 under v2 and watching. */
static struct rig *rig_watching_json(void)
{
    struct rig *rig = rig_create_json();
    take_from(rig, GROUPS("v2"), "limit=2&resourceVersion=0");
    answer(rig, 200, LIST("10", ITEM("a", "5") "," ITEM("b", "6")));
    take_from(rig, GROUPS("v2"), "watch=true&allowWatchBookmarks=true&resourceVersion=10");
    rig_head(rig, 200);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    assert_string_equal(mu_reflector_problem(rig->reflector), "");
    return rig;
}

static void go_to(struct rig *rig, uint64_t now_ns)
{
    assert_true(now_ns >= rig->now_ns);
    rig->now_ns = now_ns;
    mu_reflector_tick(rig->reflector, now_ns, &rig->box);
}

/* Sweeping, one object a call, until it is over. */
static void sweep(struct rig *rig)
{
    for (int i = 0; rig_stats(rig).state == MU_REFLECTOR_SWEEPING; i++) {
        assert_true(i < 16);
        assert_quiet(rig);
        mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    }
}

/* ---- cases -------------------------------------------------------------------------------- */

static void test_reflector_json__list_and_watch__objects_as_text(void **state)
{
    (void)state;
    struct rig *rig = rig_watching_json();
    assert_int_equal(rig->count, 2);
    assert_true(rig_stats(rig).synced);
    say(rig, EVENT("ADDED", "c", "11") EVENT("DELETED", "a", "12"));
    say(rig, EVENT("BOOKMARK", "", "20"));
    assert_int_equal(rig->count, 2);
    assert_object(rig, "c", 11);
    assert_int_equal(rig_stats(rig).last_version, 20);
    assert_int_equal(rig_stats(rig).bookmarks, 1);
    assert_int_equal(rig_stats(rig).events, 2);
    rig->now_ns += 300 * MU_NS_PER_S;
    rig_end(rig); /* the server's timeout: resumed */
    take_from(rig, GROUPS("v2"), "watch=true&allowWatchBookmarks=true&resourceVersion=20");
    rig_destroy(rig);
}

static void test_reflector_json__pages__next_by_token(void **state)
{
    (void)state;
    struct rig *rig = rig_create_json();
    take_from(rig, GROUPS("v2"), "limit=2");
    answer(rig, 200,
           "{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"to/ken\"},\"items\":[" ITEM(
               "a", "5") "]}");
    take_from(rig, GROUPS("v2"), "continue=to%2Fken");
    answer(rig, 200, LIST("10", ITEM("b", "6")));
    assert_int_equal(rig->count, 2);
    assert_int_equal(rig->relists, 1);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_json__expired__relists_as_a_diff(void **state)
{
    (void)state;
    for (int form = 0; form < 2; form++) {
        struct rig *rig = rig_watching_json();
        if (form == 0) {
            say(rig, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
                     "\"reason\":\"Expired\",\"message\":\"too old\"}}");
            take_from(rig, "", ""); /* the cancel */
            assert_true(rig->cancel);
        } else {
            rig->now_ns += 300 * MU_NS_PER_S;
            rig_end(rig);
            take_from(rig, GROUPS("v2"), "watch=true");
            answer(rig, 410, "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
        }
        assert_int_equal(rig_stats(rig).expired, 1);
        take_from(rig, GROUPS("v2"), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
        answer(rig, 200, LIST("12", ITEM("b", "11")));
        sweep(rig);
        assert_int_equal(rig->count, 1);
        assert_object(rig, "b", 11);
        assert_state(rig, MU_REFLECTOR_WATCHING);
        rig_destroy(rig);
    }
}

static void test_reflector_json__version_too_large__told_from_the_status(void **state)
{
    (void)state;
    struct rig *rig = rig_watching_json();
    rig->now_ns += 300 * MU_NS_PER_S;
    rig_end(rig);
    take_from(rig, GROUPS("v2"), "watch=true");
    answer(rig, 504,
           "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\",\"details\":{\"causes\":["
           "{\"reason\":\"ResourceVersionTooLarge\"}],\"retryAfterSeconds\":7}}");
    assert_true(rig_wait(rig) >= 7 * MU_NS_PER_S);
    take_from(rig, GROUPS("v2"), "resourceVersionMatch=NotOlderThan"); /* a list, no watch */
    rig_destroy(rig);
}

static void test_reflector_json__older_than_seen__refused(void **state)
{
    (void)state;
    struct rig *rig = rig_watching_json();
    say(rig, EVENT("MODIFIED", "a", "9"));
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    assert_object(rig, "a", 5);
    take_from(rig, "", "");
    assert_true(rig->cancel);
    (void)rig_wait(rig);
    take_from(rig, GROUPS("v2"), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    answer(rig, 200, LIST("9", ""));
    assert_int_equal(rig_stats(rig).stale_refused, 2);
    assert_int_equal(rig->count, 2);
    rig_destroy(rig);
}

static void test_reflector_json__unreadable__backs_off(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        " ",           "k8s",         "{}",           "{\"metadata\":{},\"items\":[]}",
        LIST("0", ""), LIST("x", ""), LIST("10", "7")};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct rig *rig = rig_create_json();
        take_from(rig, GROUPS("v2"), "limit=2");
        answer(rig, 200, bodies[i]);
        assert_int_equal(rig->relists, 0);
        (void)rig_wait(rig);
        take_from(rig, GROUPS("v2"), "limit=2"); /* the same path: it is served */
        rig_destroy(rig);
    }
}

static void test_reflector_optional__404__next_version_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_create_json();
    take_from(rig, GROUPS("v2"), "limit=2&resourceVersion=0");
    answer_404(rig);
    take_from(rig, GROUPS("v1"), "limit=2&resourceVersion=0");
    answer_404(rig);
    take_from(rig, GROUPS("v1beta1"), "limit=2&resourceVersion=0");
    answer(rig, 200, LIST("10", ITEM("a", "5")));
    take_from(rig, GROUPS("v1beta1"), "watch=true");
    rig_head(rig, 200);
    assert_true(mu_str_equal(mu_reflector_path(rig->reflector), MU_STR(GROUPS("v1beta1"))));
    assert_true(rig_stats(rig).synced);
    assert_int_equal(rig_stats(rig).failures, 0);
    rig_destroy(rig);
}

static void test_reflector_optional__no_version_served__looks_again_every_half_minute(void **state)
{
    (void)state;
    struct rig *rig = rig_create_json();
    for (int round = 0; round < 3; round++) {
        take_from(rig, GROUPS("v2"), "limit=2");
        answer_404(rig);
        take_from(rig, GROUPS("v1"), "limit=2");
        answer_404(rig);
        take_from(rig, GROUPS("v1beta1"), "limit=2");
        answer_404(rig);
        assert_quiet(rig);
        assert_state(rig, MU_REFLECTOR_ABSENT);
        assert_false(rig_stats(rig).synced);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "HTTP 404"));
        uint64_t due_ns = mu_reflector_next_ns(rig->reflector);
        assert_in_range(due_ns - rig->now_ns, 25 * MU_NS_PER_S, 30 * MU_NS_PER_S);
        go_to(rig, due_ns - 1);
        assert_quiet(rig);
        go_to(rig, due_ns);
    }
    take_from(rig, GROUPS("v2"), "limit=2"); /* it has come */
    answer(rig, 200, LIST("10", ITEM("a", "5")));
    assert_object(rig, "a", 5);
    assert_true(rig_stats(rig).synced);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_optional__disappears__store_is_emptied_and_filled_again(void **state)
{
    (void)state;
    struct rig *rig = rig_watching_json();
    rig->now_ns += 300 * MU_NS_PER_S;
    rig_end(rig);
    take_from(rig, GROUPS("v2"), "watch=true");
    answer_404(rig);
    assert_int_equal(rig->count, 2);
    (void)rig_wait(rig); /* who lists but does not let watch is not asked in a hot loop */
    take_from(rig, GROUPS("v2"), "limit=2");
    answer_404(rig);
    take_from(rig, GROUPS("v1"), "limit=2");
    answer_404(rig);
    take_from(rig, GROUPS("v1beta1"), "limit=2");
    answer_404(rig);
    sweep(rig);
    assert_int_equal(rig->count, 0);
    assert_state(rig, MU_REFLECTOR_ABSENT);
    go_to(rig, mu_reflector_next_ns(rig->reflector));
    take_from(rig, GROUPS("v2"), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    answer(rig, 200, LIST("30", ITEM("a", "29")));
    sweep(rig);
    assert_object(rig, "a", 29);
    rig_destroy(rig);
}

static void test_reflector_optional__forbidden__stays_with_its_version(void **state)
{
    (void)state;
    struct rig *rig = rig_create_json();
    take_from(rig, GROUPS("v2"), "limit=2");
    answer(rig, 403, "{\"kind\":\"Status\",\"code\":403,\"message\":\"podgroups.g is forbidden\"}");
    assert_int_equal(rig_stats(rig).last_failure, 403);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "podgroups.g is forbidden"));
    (void)rig_wait(rig);
    take_from(rig, GROUPS("v2"), "limit=2");
    rig_destroy(rig);
}

static void test_reflector_required__404__is_a_failure_like_others(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_status(rig, 404, "NotFound", NULL);
    assert_int_equal(rig_stats(rig).failures, 1);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_has(rig, "/api/v1/pods?");
    rig_destroy(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reflector_json__list_and_watch__objects_as_text),
        cmocka_unit_test(test_reflector_json__pages__next_by_token),
        cmocka_unit_test(test_reflector_json__expired__relists_as_a_diff),
        cmocka_unit_test(test_reflector_json__version_too_large__told_from_the_status),
        cmocka_unit_test(test_reflector_json__older_than_seen__refused),
        cmocka_unit_test(test_reflector_json__unreadable__backs_off),
        cmocka_unit_test(test_reflector_optional__404__next_version_at_once),
        cmocka_unit_test(test_reflector_optional__no_version_served__looks_again_every_half_minute),
        cmocka_unit_test(test_reflector_optional__disappears__store_is_emptied_and_filled_again),
        cmocka_unit_test(test_reflector_optional__forbidden__stays_with_its_version),
        cmocka_unit_test(test_reflector_required__404__is_a_failure_like_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
