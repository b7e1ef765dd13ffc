/*
 * tools/muster: what a replay creates when, by hand and as a whole under virtual time: the loader
 * that sends what is due, the API server and its kubelets, and the watcher that sees pods bound and
 * ended.
 */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "tests/kubesim_call.h"
#include "tools/kubesim/inproc.h"
#include "tools/kubesim/kubelet.h"
#include "tools/muster/loader.h"
#include "tools/muster/replay.h"
#include "tools/muster/watcher.h"
#include "tools/workload/encode.h"

#define S  MU_NS_PER_S
#define MS MU_NS_PER_MS

struct span {
    uint64_t arrival_s, duration_s;
};

/* Pods p-0, p-1, ... that arrive and run as given. */
static struct mu_workload *make(const struct span *spans, uint32_t count)
{
    struct mu_workload *w = mu_workload_create();
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p-%u", i);
        struct mu_workload_pod pod = {.object = {.ns = MU_STR("default"), .name = mu_str_of(name)},
                                      .arrival_ns = spans[i].arrival_s * S,
                                      .duration_ns = spans[i].duration_s * S};
        assert_int_equal(mu_workload_add_pod(w, &pod, "test", NULL), 0);
    }
    assert_int_equal(mu_workload_finish(w, NULL), 0);
    w->timed = true;
    return w;
}

static const struct span four[] = {{100, 60}, {100, 600}, {400, 0}, {1000, 3}};

/* ---- times by hand ------------------------------------------------------------------------ */

static void test_replay_due__is_the_arrival_by_speed_from_the_first(void **state)
{
    (void)state;
    struct mu_workload *w = make(four, 4);
    struct mu_replay r;
    assert_int_equal(mu_replay_init(&r, w, 100, NULL), 0);
    assert_true(mu_replay_active(&r));
    assert_true(mu_replay_due_ns(&r, 0) == UINT64_MAX); /* not started */
    mu_replay_start(&r, 7 * S);
    assert_true(mu_replay_due_ns(&r, 0) == 7 * S); /* what is empty before it is skipped */
    assert_true(mu_replay_due_ns(&r, 1) == 7 * S);
    assert_true(mu_replay_due_ns(&r, 2) == 10 * S);
    assert_true(mu_replay_due_ns(&r, 3) == 16 * S);
    mu_workload_destroy(w);
}

static void test_replay_pod__runs_for_its_duration_by_speed(void **state)
{
    (void)state;
    struct mu_workload *w = make(four, 4);
    struct mu_replay r;
    assert_int_equal(mu_replay_init(&r, w, 100, NULL), 0);
    assert_true(mu_replay_pod(&r, 0).duration_ns == 600 * MS);
    assert_true(mu_replay_pod(&r, 2).duration_ns == 0); /* it does not end */
    assert_true(mu_str_equal(mu_replay_pod(&r, 3).object.name, MU_STR("p-3")));
    assert_int_equal(mu_replay_init(&r, w, MU_REPLAY_SPEED_MAX, NULL), 0);
    assert_true(mu_replay_pod(&r, 3).duration_ns == MS); /* but this one does, however fast */
    mu_workload_destroy(w);
}

static void test_replay__no_speed__is_all_at_once_and_for_ever(void **state)
{
    (void)state;
    struct mu_workload *w = make(four, 4);
    struct mu_replay r;
    w->timed = false;
    assert_int_equal(mu_replay_init(&r, w, 0, NULL), 0);
    assert_false(mu_replay_active(&r));
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(mu_replay_due_ns(&r, i) == 0);
        assert_true(mu_replay_pod(&r, i).duration_ns == 0);
    }
    mu_workload_destroy(w);
}

static void test_replay_init__list_without_times__is_refused(void **state)
{
    (void)state;
    struct mu_workload *w = make(four, 4);
    struct mu_replay r;
    struct mu_error error;
    w->timed = false;
    assert_int_equal(mu_replay_init(&r, w, 1, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "--replay needs"));
    assert_null(strchr(error.text, '\n'));
    mu_workload_destroy(w);
}

static void test_replay_text__says_the_day_of_the_trace(void **state)
{
    (void)state;
    static const struct span days[] = {{43200, 1}, {10 * 86400, 1}};
    struct mu_workload *w = make(days, 2);
    struct mu_replay r;
    char text[MU_REPLAY_TEXT_BYTES];
    assert_int_equal(mu_replay_init(&r, w, 86400, NULL), 0);
    mu_replay_text(&r, 5 * S, text); /* not started */
    assert_string_equal(text, "day 0.5 of 10.0");
    mu_replay_start(&r, 5 * S);
    mu_replay_text(&r, 7 * S + 300 * MS, text);
    assert_string_equal(text, "day 2.8 of 10.0");
    mu_replay_text(&r, 20 * S, text);
    assert_string_equal(text, "day 15.5"); /* past its last arrival */
    assert_int_equal(mu_replay_init(&r, w, MU_REPLAY_SPEED_MAX, NULL), 0);
    mu_replay_start(&r, 0);
    mu_replay_text(&r, UINT64_MAX, text); /* absurd, but no overflow */
    assert_non_null(strstr(text, "day 2135039"));
    mu_workload_destroy(w);
    static const struct span hour[] = {{0, 1}, {3600, 1}}, hours[] = {{3600, 1}, {36000, 1}};
    w = make(hour, 2);
    assert_int_equal(mu_replay_init(&r, w, 1, NULL), 0);
    mu_replay_start(&r, 0);
    mu_replay_text(&r, 90 * S, text);
    assert_string_equal(text, "minute 1.5 of 60.0");
    mu_workload_destroy(w);
    w = make(hours, 2);
    assert_int_equal(mu_replay_init(&r, w, 1, NULL), 0);
    mu_replay_text(&r, 90 * S, text);
    assert_string_equal(text, "hour 1.0 of 10.0");
    mu_workload_destroy(w);
    w = make(hour, 0); /* no pods at all */
    assert_int_equal(mu_replay_init(&r, w, 1, NULL), 0);
    mu_replay_text(&r, 90 * S, text);
    assert_string_equal(text, "minute 0.0");
    mu_workload_destroy(w);
}

/* ---- the whole under virtual time --------------------------------------------------------- */

struct rig {
    struct mu_workload *workload;
    struct mu_replay replay;
    struct mu_random random;
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    struct mu_inproc *inproc;
    struct mu_loader *loader;
    struct mu_watcher watcher;
    struct mu_outbox box;
    struct mu_arena *scratch;
    uint64_t now_ns;
    bool bound[64];
    bool hold; /* leave pods unbound */
    uint32_t client;
};

static int encode(void *context, uint32_t i, struct mu_buf *path, struct mu_buf *body)
{
    struct rig *rig = context;
    struct mu_workload_pod pod = mu_replay_pod(&rig->replay, i);
    (void)mu_buf_append_text(path, "/api/v1/namespaces/default/pods");
    return mu_workload_encode_pod(&pod, MU_STR("test"), true, rig->scratch, body);
}

static uint64_t due_ns(void *context, uint32_t i)
{
    struct rig *rig = context;
    return mu_replay_due_ns(&rig->replay, i);
}

static void sending(void *context, uint32_t i, uint64_t now_ns)
{
    struct rig *rig = context;
    assert_true(rig->watcher.times[i].created_ns == 0); /* first attempts only */
    rig->watcher.times[i].created_ns = now_ns;
}

static void on_reply(void *context, uint32_t client, const struct mu_reply *reply)
{
    struct rig *rig = context;
    (void)client;
    if (!mu_loader_reply(rig->loader, reply, rig->now_ns, &rig->box))
        (void)mu_reflector_reply(rig->watcher.reflector, reply, rig->now_ns, &rig->box);
}

static struct rig *rig_create(const struct span *spans, uint32_t count, uint32_t speed,
                              const char *faults)
{
    struct rig *rig = mu_mem_zalloc(sizeof *rig);
    struct mu_faults plan = {0};
    struct mu_error error;
    assert_int_equal(mu_faults_parse(faults, &plan, &error), 0);
    rig->now_ns = 50 * S;
    rig->client = 1;
    rig->workload = make(spans, count);
    mu_random_init_seed(&rig->random, 3);
    assert_int_equal(mu_replay_init(&rig->replay, rig->workload, speed, NULL), 0);
    struct mu_apiserver_config server = {.history_events = 64};
    struct mu_kubelets_config kubelets = {.start_ns_min = MS, .start_ns_max = MS};
    rig->server = mu_apiserver_create(&server, &rig->random);
    rig->kubelets = mu_kubelets_create(rig->server, &kubelets, &rig->random);
    rig->inproc = mu_inproc_create(rig->server, &plan, &rig->random, on_reply, rig);
    rig->scratch = mu_arena_create(1u << 20);
    struct mu_loader_config loader = {.count = count,
                                      .token_base = 1,
                                      .encode = encode,
                                      .due_ns = due_ns,
                                      .sending = sending,
                                      .context = rig};
    rig->loader = mu_loader_create(&loader);
    assert_int_equal(mu_watcher_init(&rig->watcher, rig->workload, UINT64_C(1) << 40, &rig->random),
                     0);
    assert_int_equal(call_status(rig->server, MU_POST, "/api/v1/nodes",
                                 "{\"metadata\":{\"name\":\"n\"},\"status\":{\"allocatable\":"
                                 "{\"pods\":\"110\"}}}",
                                 NULL, 0),
                     201);
    mu_reflector_start(rig->watcher.reflector, rig->now_ns, &rig->box);
    mu_inproc_submit(rig->inproc, rig->client, &rig->box, rig->now_ns);
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    mu_watcher_fini(&rig->watcher);
    mu_loader_destroy(rig->loader);
    mu_inproc_destroy(rig->inproc);
    mu_kubelets_destroy(rig->kubelets);
    mu_apiserver_destroy(rig->server);
    mu_outbox_fini(&rig->box);
    mu_arena_destroy(rig->scratch);
    mu_workload_destroy(rig->workload);
    mu_mem_free(rig);
}

/* The simplest scheduler: every pod that is there goes to the one node at once. */
static void bind_all(struct rig *rig)
{
    for (uint32_t i = 0; !rig->hold && i < rig->workload->pod_count; i++) {
        char url[96], body[160];
        (void)snprintf(url, sizeof url, "/api/v1/namespaces/default/pods/p-%u/binding", i);
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"p-%u\"},\"target\":{\"name\":\"n\"}}", i);
        if (!rig->bound[i])
            rig->bound[i] = call_status(rig->server, MU_POST, url, body, NULL, 0) == 201;
    }
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void run_to(struct rig *rig, uint64_t end_ns)
{
    while (rig->now_ns < end_ns) {
        uint64_t next = min_ns(mu_loader_next_ns(rig->loader), mu_inproc_next_ns(rig->inproc));
        next = min_ns(next, mu_kubelets_next_ns(rig->kubelets));
        next = min_ns(next, mu_reflector_next_ns(rig->watcher.reflector));
        next = min_ns(next, end_ns);
        rig->now_ns = next > rig->now_ns ? next : rig->now_ns;
        mu_loader_tick(rig->loader, rig->now_ns, &rig->box);
        mu_reflector_tick(rig->watcher.reflector, rig->now_ns, &rig->box);
        mu_inproc_submit(rig->inproc, rig->client, &rig->box, rig->now_ns);
        mu_inproc_run(rig->inproc, rig->now_ns);
        bind_all(rig);
        mu_kubelets_run(rig->kubelets, rig->now_ns);
        mu_inproc_submit(rig->inproc, rig->client, &rig->box, rig->now_ns);
    }
}

static void test_replay__under_virtual_time__pods_come_and_end_when_due(void **state)
{
    (void)state;
    struct rig *rig = rig_create(four, 4, 100, "");
    const struct mu_watcher *w = &rig->watcher;
    assert_true(mu_loader_next_ns(rig->loader) == UINT64_MAX);
    run_to(rig, 55 * S);
    assert_int_equal(mu_loader_created(rig->loader), 0); /* not started */
    mu_replay_start(&rig->replay, 60 * S);
    run_to(rig, 60 * S + 500 * MS);
    assert_int_equal(mu_loader_created(rig->loader), 2);
    assert_int_equal(w->bound, 2);
    assert_int_equal(w->finished, 0);
    assert_true(mu_loader_next_ns(rig->loader) == 63 * S);
    run_to(rig, 61 * S); /* 60 s at speed 100, and on its way */
    assert_int_equal(w->finished, 1);
    assert_true(w->times[0].finished && !w->times[1].finished);
    assert_in_range(w->last_finished_ns - 60 * S, 600 * MS, 800 * MS);
    run_to(rig, 64 * S);
    assert_int_equal(mu_loader_created(rig->loader), 3);
    run_to(rig, 80 * S);
    assert_true(mu_loader_done(rig->loader));
    assert_true(mu_loader_next_ns(rig->loader) == UINT64_MAX);
    assert_int_equal(w->bound, 4); /* finished ones stay counted */
    assert_int_equal(w->finished, 3);
    assert_false(w->times[2].finished); /* the one without an end */
    for (uint32_t i = 0; i < 4; i++)
        assert_true(w->times[i].created_ns == mu_replay_due_ns(&rig->replay, i));
    rig_destroy(rig);
}

/* Requests and replies get lost, doubled, refused and delayed, and the watch breaks: every pod is
 * still created once, not before it is due, and seen to its end. */
static void test_replay__faults__every_pod_comes_once_and_ends(void **state)
{
    struct span spans[40];
    (void)state;
    for (uint32_t i = 0; i < 40; i++)
        spans[i] = (struct span){60 * i, 30 + i};
    struct rig *rig = rig_create(spans, 40, 60, "drop,delay,429,lost-reply,late,cut,410");
    mu_replay_start(&rig->replay, 60 * S);
    run_to(rig, 95 * S);
    uint32_t early = mu_loader_created(rig->loader);
    assert_in_range(early, 1, 36);
    run_to(rig, 150 * S);
    mu_inproc_heal(rig->inproc);
    run_to(rig, 900 * S);
    struct mu_error error;
    if (mu_loader_failed(rig->loader, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(mu_loader_created(rig->loader), 40);
    assert_int_equal(rig->watcher.bound, 40);
    assert_int_equal(rig->watcher.finished, 40);
    for (uint32_t i = 0; i < 40; i++)
        assert_true(rig->watcher.times[i].created_ns >= mu_replay_due_ns(&rig->replay, i));
    rig_destroy(rig);
}

/* A pod that is deleted makes room too; one that was never bound has not finished. */
static void test_watcher__pods_deleted__count_as_finished_when_bound(void **state)
{
    (void)state;
    struct rig *rig = rig_create(four, 2, 1, "");
    mu_replay_start(&rig->replay, rig->now_ns);
    run_to(rig, rig->now_ns + 5 * S);
    assert_int_equal(rig->watcher.bound, 2);
    assert_int_equal(
        call_status(rig->server, MU_DELETE, "/api/v1/namespaces/default/pods/p-1", NULL, NULL, 0),
        200);
    run_to(rig, rig->now_ns + 40 * S);
    assert_int_equal(rig->watcher.bound, 2);
    assert_int_equal(rig->watcher.finished, 1);
    assert_true(rig->watcher.times[1].finished);
    rig_destroy(rig);
    rig = rig_create(four, 2, 1, "");
    rig->hold = true;
    mu_replay_start(&rig->replay, rig->now_ns);
    run_to(rig, rig->now_ns + 5 * S);
    assert_int_equal(mu_loader_created(rig->loader), 2);
    assert_int_equal(
        call_status(rig->server, MU_DELETE, "/api/v1/namespaces/default/pods/p-1", NULL, NULL, 0),
        200);
    run_to(rig, rig->now_ns + 40 * S);
    assert_int_equal(rig->watcher.bound, 0);
    assert_int_equal(rig->watcher.finished, 0);
    rig_destroy(rig);
}

/* Deleted while the watch was cut and the history went on: only a new list shows that it is
 * gone. */
static void test_watcher__deleted_unseen__is_found_gone_by_the_next_list(void **state)
{
    (void)state;
    struct rig *rig = rig_create(four, 2, 1, "");
    mu_replay_start(&rig->replay, rig->now_ns);
    run_to(rig, rig->now_ns + 5 * S);
    assert_int_equal(rig->watcher.bound, 2);
    assert_int_equal(rig->watcher.lists, 1);
    mu_inproc_disconnect(rig->inproc, rig->client++);
    const char *url = "/api/v1/namespaces/default/pods/p-1?gracePeriodSeconds=0";
    assert_int_equal(call_status(rig->server, MU_DELETE, url, NULL, NULL, 0), 200);
    for (int i = 0; i < 100; i++) {
        char body[128];
        (void)snprintf(body, sizeof body,
                       "{\"metadata\":{\"name\":\"o-%d\"},\"spec\":{\"containers\":[{\"name\":"
                       "\"c\"}]}}",
                       i);
        assert_int_equal(
            call_status(rig->server, MU_POST, "/api/v1/namespaces/default/pods", body, NULL, 0),
            201);
    }
    run_to(rig, rig->now_ns + 1000 * S);
    assert_true(rig->watcher.lists > 1);
    assert_int_equal(rig->watcher.bound, 2);
    assert_true(rig->watcher.times[1].finished);
    rig_destroy(rig);
}

static bool create_under_failure(void *context)
{
    struct mu_loader_config config = {
        .count = 3, .token_base = 1, .encode = encode, .due_ns = due_ns, .context = context};
    struct mu_loader *loader = mu_loader_create(&config);
    mu_loader_destroy(loader);
    return loader != NULL;
}

static void test_loader_create__memory_runs_out__leaves_nothing(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(create_under_failure, NULL) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_due__is_the_arrival_by_speed_from_the_first),
        cmocka_unit_test(test_replay_pod__runs_for_its_duration_by_speed),
        cmocka_unit_test(test_replay__no_speed__is_all_at_once_and_for_ever),
        cmocka_unit_test(test_replay_init__list_without_times__is_refused),
        cmocka_unit_test(test_replay_text__says_the_day_of_the_trace),
        cmocka_unit_test(test_replay__under_virtual_time__pods_come_and_end_when_due),
        cmocka_unit_test(test_replay__faults__every_pod_comes_once_and_ends),
        cmocka_unit_test(test_watcher__pods_deleted__count_as_finished_when_bound),
        cmocka_unit_test(test_watcher__deleted_unseen__is_found_gone_by_the_next_list),
        cmocka_unit_test(test_loader_create__memory_runs_out__leaves_nothing),
    };
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
