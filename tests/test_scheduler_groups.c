/* Objects that describe gangs, as the ring learns of them (tests/scheduler_rig.h). */
#include "tests/scheduler_rig.h"

#define NATIVE       "/apis/scheduling.k8s.io/v1beta1/namespaces/default/podgroups"
#define COSCHEDULING "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups"

static int send_json(struct rig *r, enum mu_method method, const char *path, const char *text)
{
    const struct mu_api_request request = {.method = method,
                                           .path = mu_str_of(path),
                                           .content = method == MU_PATCH ? MU_MEDIA_MERGE_PATCH
                                                                         : MU_MEDIA_JSON,
                                           .body = mu_str_of(text)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    mu_buf_fini(&response.body);
    return response.status;
}

/* A gang g of scheduler-plugins whose object wants so many. */
static void post_group(struct rig *r, const char *min)
{
    char text[128];
    (void)snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"minMember\":%s}}",
                   min);
    assert_int_equal(send_json(r, MU_POST, COSCHEDULING, text), 201);
}

/* Members of gang g: "p<from>" on. The encoder of workloads has no labels of dialects. */
static void post_members(struct rig *r, const char *name, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < from + count; i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"metadata\":{\"name\":\"p%u\",\"labels\":{\"%s\":\"g\"}},\"spec\":{"
                       "\"schedulerName\":\"muster\",\"containers\":[{\"name\":\"c\",\"image\":"
                       "\"i\",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}}",
                       i, name);
        assert_int_equal(send_json(r, MU_POST, "/api/v1/namespaces/default/pods", text), 201);
    }
}
#define LABEL "scheduling.x-k8s.io/pod-group"

static enum mu_group_access access_of(struct rig *r)
{
    return stats_of(r).group_access[MU_GANG_COSCHEDULING];
}

/* The condition of a pod, as the server has it. */
static void assert_told(struct rig *r, const char *pod, const char *words)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/default/pods/%s", pod);
    const struct mu_api_request request = {.method = MU_GET, .path = mu_str_of(path)};
    struct mu_api_response response = {0};
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(mu_buf_append(&response.body, "", 1), 0);
    if (strstr((const char *)response.body.data, words) == NULL)
        fail_msg("no '%s' in %s", words, (const char *)response.body.data);
    mu_buf_fini(&response.body);
}

/* End the watches of groups, as a server does whose custom resource is deleted. */
static void end_group_watches(struct rig *r)
{
    for (int i = 0; i < WATCHES_MAX; i++) {
        const uint64_t token = r->watches[i].token;
        if (r->watches[i].watch == NULL || token >> 56 != 9)
            continue;
        mu_api_watch_close(r->watches[i].watch);
        r->watches[i].watch = NULL;
        reply(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
    }
}

/* ---- cases -------------------------------------------------------------------------------- */

static void test_groups__no_gang_asks__nobody_is_asked(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    r.groups = BREAK;
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    run_for(&r, 600 * MU_NS_PER_S);
    assert_int_equal(r.group_requests, 0);
    assert_int_equal(tally(&r).bound, 1);
    assert_int_equal(access_of(&r), MU_GROUPS_UNASKED);
    rig_fini(&r);
}

static void test_groups__there_at_the_start__gang_is_placed(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    post_group(&r, "3");
    post_members(&r, LABEL, 0, 2);
    start(&r);
    assert_int_equal(tally(&r).bound, 0); /* two of three */
    assert_int_equal(access_of(&r), MU_GROUPS_KNOWN);
    assert_true(stats_of(&r).groups[MU_GANG_COSCHEDULING].synced);
    assert_int_equal(stats_of(&r).db.groups, 1);
    post_members(&r, LABEL, 2, 1);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    rig_fini(&r);
}

static void test_groups__object_comes_and_changes__watched(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    post_members(&r, LABEL, 0, 2);
    start(&r);
    assert_int_equal(tally(&r).bound, 0);
    post_group(&r, "3");
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(send_json(&r, MU_PATCH, COSCHEDULING "/g", "{\"spec\":{\"minMember\":2}}"),
                     200);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(send_json(&r, MU_DELETE, COSCHEDULING "/g", ""), 200);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(stats_of(&r).db.groups, 0);
    post_members(&r, LABEL, 2, 1); /* a late one waits for an object again */
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2);
    rig_fini(&r);
}

static void test_groups__many__all_are_known(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    for (const char *name = "abcdefg"; *name != '\0'; name++) {
        char text[96];
        (void)snprintf(text, sizeof text,
                       "{\"metadata\":{\"name\":\"%c\"},\"spec\":{\"minMember\":1}}", *name);
        assert_int_equal(send_json(&r, MU_POST, COSCHEDULING, text), 201);
    }
    add_node(&r, "n1", 4000);
    post_members(&r, LABEL, 0, 1);
    start(&r);
    assert_int_equal(stats_of(&r).db.groups, 7);
    assert_int_equal(tally(&r).bound, 1);
    rig_fini(&r);
}

static void test_groups__kind_appears_and_disappears__gangs_follow(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, 100);
    r.groups = NOT_SERVED;
    add_node(&r, "n1", 8000);
    post_group(&r, "2");
    post_members(&r, LABEL, 0, 2);
    start(&r);
    assert_true(stats_of(&r).synced); /* an absent kind holds up nobody else */
    assert_int_equal(access_of(&r), MU_GROUPS_ABSENT);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_told(&r, "p0", "which is missing: the API server has no such kind");
    const uint32_t before = r.group_requests;
    run_for(&r, 600 * MU_NS_PER_S);
    assert_in_range(r.group_requests - before, 18, 24); /* one each 25 to 30 s */
    r.groups = PASS;
    run_for(&r, 31 * MU_NS_PER_S);
    assert_int_equal(access_of(&r), MU_GROUPS_KNOWN);
    assert_int_equal(tally(&r).bound, 2);
    r.groups = NOT_SERVED;
    end_group_watches(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(access_of(&r), MU_GROUPS_ABSENT);
    assert_int_equal(stats_of(&r).db.groups, 0);
    post_members(&r, LABEL, 2, 1);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 2); /* what runs runs on, what waits waits */
    rig_fini(&r);
}

static void test_groups__forbidden__gang_waits_and_others_do_not(void **state)
{
    struct rig r;
    (void)state;
    rig_init_reporting(&r, &mu_profile_spread, 100);
    r.groups = FORBID;
    add_node(&r, "n1", 8000);
    post_group(&r, "2");
    post_members(&r, LABEL, 0, 2);
    add_pod(&r, "other", 1000, solo, false);
    start(&r);
    run_for(&r, 10 * MU_NS_PER_S);
    assert_int_equal(access_of(&r), MU_GROUPS_FORBIDDEN);
    assert_int_equal(tally(&r).bound, 1);
    assert_told(&r, "p0", "does not let this scheduler list that kind");
    r.groups = PASS;
    run_for(&r, 120 * MU_NS_PER_S);
    assert_int_equal(access_of(&r), MU_GROUPS_KNOWN);
    assert_int_equal(tally(&r).bound, 3);
    rig_fini(&r);
}

/* A custom resource whose conversion is broken answers 500 for ever. */
static void test_groups__broken__given_up_after_three_failures(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    r.groups = BREAK;
    add_node(&r, "n1", 8000);
    post_members(&r, LABEL, 0, 2);
    add_pod(&r, "other", 1000, solo, false);
    start(&r);
    assert_false(stats_of(&r).synced);
    assert_int_equal(tally(&r).bound, 0);
    run_for(&r, 15 * MU_NS_PER_S);
    assert_true(stats_of(&r).synced);
    assert_int_equal(access_of(&r), MU_GROUPS_FAILING);
    assert_int_equal(tally(&r).bound, 1);
    rig_fini(&r);
}

/* What the listed pods ask for is known before anything is decided; what comes later holds up
 * nobody. */
static void test_groups__not_answered__start_waits_but_later_nobody_does(void **state)
{
    struct rig r;
    (void)state;
    for (int late = 0; late < 2; late++) {
        rig_init(&r, &mu_profile_spread);
        r.groups = PARK;
        add_node(&r, "n1", 8000);
        if (!late)
            post_members(&r, LABEL, 0, 1);
        start(&r);
        if (late)
            post_members(&r, LABEL, 0, 1);
        add_pod(&r, "other", 1000, solo, false);
        run_for(&r, 10 * MU_NS_PER_S);
        assert_int_equal(r.group_requests, 1);
        assert_int_equal(stats_of(&r).synced, late);
        assert_int_equal(tally(&r).bound, late);
        rig_fini(&r);
    }
}

static void test_groups__bad_object__named_and_members_wait(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    assert_int_equal(send_json(&r, MU_POST, NATIVE,
                               "{\"metadata\":{\"name\":\"g\"},\"spec\":{\"schedulingPolicy\":{"
                               "\"gang\":{\"minCount\":2000000}}}}"),
                     201);
    assert_int_equal(send_json(&r, MU_POST, "/api/v1/namespaces/default/pods",
                               "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"schedulerName\":"
                               "\"muster\",\"schedulingGroup\":{\"podGroupName\":\"g\"},"
                               "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"),
                     201);
    start(&r);
    assert_int_equal(stats_of(&r).db.groups, 1);
    assert_int_equal(tally(&r).bound, 0);
    assert_int_equal(send_json(&r, MU_PATCH, NATIVE "/g",
                               "{\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":1}}}}"),
                     200);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 1);
    rig_fini(&r);
}

/* A restart knows the objects again before it decides: a gang that runs is left alone. */
static void test_groups__restart__known_again(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, &mu_profile_spread);
    add_node(&r, "n1", 4000);
    post_group(&r, "2");
    post_members(&r, LABEL, 0, 2);
    start(&r);
    assert_int_equal(tally(&r).bound, 2);
    rig_restart(&r, &mu_profile_spread, 0);
    start(&r);
    assert_true(stats_of(&r).synced);
    assert_int_equal(stats_of(&r).db.groups, 1);
    post_members(&r, LABEL, 2, 1);
    run_for(&r, MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, 3);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups__no_gang_asks__nobody_is_asked),
        cmocka_unit_test(test_groups__there_at_the_start__gang_is_placed),
        cmocka_unit_test(test_groups__object_comes_and_changes__watched),
        cmocka_unit_test(test_groups__many__all_are_known),
        cmocka_unit_test(test_groups__kind_appears_and_disappears__gangs_follow),
        cmocka_unit_test(test_groups__forbidden__gang_waits_and_others_do_not),
        cmocka_unit_test(test_groups__broken__given_up_after_three_failures),
        cmocka_unit_test(test_groups__not_answered__start_waits_but_later_nobody_does),
        cmocka_unit_test(test_groups__bad_object__named_and_members_wait),
        cmocka_unit_test(test_groups__restart__known_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
