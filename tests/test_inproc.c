#include "tools/kubesim/inproc.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "tests/kubesim_call.h"

#define PODS      "/api/v1/namespaces/default/pods"
#define S         MU_NS_PER_S
#define TOKENS    4096
#define TIMEOUT_S 30

/* What came of one request. */
struct outcome {
    int status;
    int error;
    bool headed, ended, lost;
    uint64_t over_ns;
    uint32_t pieces;
    struct mu_watch_decoder decoder;
    struct seen *seen; /* streams */
};

struct fixture {
    struct mu_apiserver *server;
    struct mu_inproc *inproc;
    struct mu_outbox outbox;
    uint64_t now_ns, trace, token;
    struct outcome outcomes[TOKENS];
};

static void on_reply(void *context, uint32_t client, const struct mu_reply *reply)
{
    struct fixture *f = context;
    assert_true(reply->token < TOKENS);
    struct outcome *o = &f->outcomes[reply->token];
    uint64_t piece[] = {f->now_ns,
                        client,
                        reply->token,
                        reply->kind,
                        (uint64_t)reply->status,
                        mu_hash_str(reply->data, 0)};
    f->trace = mu_hash_bytes(piece, sizeof piece, f->trace);
    assert_false(o->ended || o->lost); /* nothing comes behind the end */
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        assert_false(o->headed);
        o->headed = true;
        o->status = reply->status;
        break;
    case MU_REPLY_DATA:
        assert_true(o->headed && reply->data.len > 0);
        o->pieces++;
        if (o->seen != NULL && o->status == 200) {
            struct mu_error error;
            assert_int_equal(
                mu_watch_decoder_feed(&o->decoder, reply->data, seen_event, o->seen, &error), 0);
        }
        break;
    case MU_REPLY_END:
        assert_true(o->headed);
        o->ended = true;
        break;
    case MU_REPLY_LOST:
        o->lost = true;
        o->error = reply->error;
        break;
    }
    o->over_ns = f->now_ns;
}

static struct fixture *open_fixture(const char *faults, uint64_t seed)
{
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    struct mu_faults parsed;
    struct mu_error error;
    mu_random_init_seed(&random, seed);
    assert_int_equal(mu_faults_parse(faults, &parsed, &error), 0);
    struct mu_apiserver_config config = {.history_events = 256};
    f->server = mu_apiserver_create(&config, &random);
    f->inproc = mu_inproc_create(f->server, &parsed, &random, on_reply, f);
    assert_non_null(f->inproc);
    return f;
}

static void close_fixture(struct fixture *f)
{
    mu_inproc_destroy(f->inproc);
    mu_apiserver_destroy(f->server);
    mu_outbox_fini(&f->outbox);
    for (int i = 0; i < TOKENS; i++) {
        if (f->outcomes[i].seen != NULL) {
            mu_watch_decoder_fini(&f->outcomes[i].decoder);
            mu_mem_free(f->outcomes[i].seen);
        }
    }
    mu_mem_free(f);
}

/* Put a request into the outbox; its token. */
static uint64_t ask(struct fixture *f, enum mu_method method, const char *url, const char *body)
{
    struct mu_request *request = mu_outbox_add(&f->outbox);
    assert_non_null(request);
    request->token = ++f->token;
    request->method = method;
    request->content = MU_MEDIA_JSON;
    request->timeout_ns = TIMEOUT_S * S;
    (void)mu_buf_append_text(&request->path, url);
    (void)mu_buf_append_text(&request->body, body);
    return request->token;
}

static uint64_t ask_pod(struct fixture *f, int i)
{
    char body[128];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"p%d\"},\"spec\":{\"containers\":[{\"name\":"
                   "\"c\"}]}}",
                   i);
    return ask(f, MU_POST, PODS, body);
}

static uint64_t ask_watch(struct fixture *f, const char *url)
{
    uint64_t token = ask(f, MU_GET, url, "");
    struct mu_request *request = &f->outbox.requests[f->outbox.count - 1];
    request->stream = true;
    request->timeout_ns = 0;
    struct outcome *o = &f->outcomes[token];
    o->seen = mu_mem_zalloc(sizeof *o->seen);
    mu_watch_decoder_init(&o->decoder);
    return token;
}

static void run_to(struct fixture *f, uint64_t now_ns)
{
    mu_inproc_submit(f->inproc, 1, &f->outbox, f->now_ns);
    uint64_t next_ns = 0;
    while ((next_ns = mu_inproc_next_ns(f->inproc)) <= now_ns) {
        f->now_ns = next_ns > f->now_ns ? next_ns : f->now_ns;
        mu_inproc_run(f->inproc, f->now_ns);
    }
    f->now_ns = now_ns;
}

static bool pod_exists(struct fixture *f, int i)
{
    char url[64];
    (void)snprintf(url, sizeof url, PODS "/p%d", i);
    return call_status(f->server, MU_GET, url, NULL, NULL, 0) == 200;
}

/* ---- faults, one by one --------------------------------------------------------------------- */

static void test_inproc__drop__lost_and_not_handled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("drop=1000", 1);
    int timeouts = 0, resets = 0;
    for (int i = 0; i < 40; i++) {
        (void)ask_pod(f, i);
    }
    run_to(f, 100 * S);
    for (int i = 0; i < 40; i++) {
        const struct outcome *o = &f->outcomes[i + 1];
        assert_true(o->lost && !o->headed);
        timeouts += o->error == MU_ETIMEOUT && o->over_ns == TIMEOUT_S * S;
        resets += o->error == MU_ECLOSED;
        assert_false(pod_exists(f, i));
    }
    assert_true(timeouts > 0 && resets > 0 && timeouts + resets == 40);
    close_fixture(f);
}

static void test_inproc__lost_reply__lost_and_handled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("lost-reply=1000", 1);
    (void)ask_pod(f, 0);
    run_to(f, 100 * S);
    assert_true(f->outcomes[1].lost);
    assert_true(pod_exists(f, 0));
    close_fixture(f);
}

static void test_inproc__late__lost_first_then_handled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("late=1000", 1);
    (void)ask_pod(f, 0);
    while (!f->outcomes[1].lost) {
        run_to(f, f->now_ns + MU_NS_PER_MS);
    }
    assert_false(pod_exists(f, 0));
    run_to(f, 100 * S);
    assert_true(pod_exists(f, 0));
    close_fixture(f);
}

static void test_inproc__late_then_heal__still_lands(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("late=1000", 1);
    (void)ask_pod(f, 0);
    mu_inproc_submit(f->inproc, 1, &f->outbox, 0);
    mu_inproc_heal(f->inproc);
    (void)ask_pod(f, 1);
    run_to(f, 100 * S);
    assert_true(f->outcomes[1].lost && pod_exists(f, 0));
    assert_int_equal(f->outcomes[2].status, 201);
    close_fixture(f);
}

static void test_inproc__duplicate__handled_twice(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("duplicate=1000", 1);
    int created = 0, exists = 0;
    for (int i = 0; i < 20; i++) {
        (void)ask_pod(f, i);
    }
    run_to(f, 100 * S);
    for (int i = 1; i <= 20; i++) {
        created += f->outcomes[i].status == 201;
        exists += f->outcomes[i].status == 409; /* the second handling answered */
        assert_true(f->outcomes[i].ended);
    }
    assert_true(created > 0 && exists > 0 && created + exists == 20);
    close_fixture(f);
}

static void test_inproc__forced_answers__not_handled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("409=1000", 1);
    (void)ask_pod(f, 0);
    (void)ask(f, MU_GET, PODS, "");
    run_to(f, S);
    assert_int_equal(f->outcomes[1].status, 409);
    assert_int_equal(f->outcomes[2].status, 200); /* only writes conflict */
    assert_false(pod_exists(f, 0));
    close_fixture(f);
    f = open_fixture("429=1000", 1);
    (void)ask_pod(f, 0);
    run_to(f, S);
    assert_int_equal(f->outcomes[1].status, 429);
    assert_false(pod_exists(f, 0));
    close_fixture(f);
}

static void test_inproc__delay_and_reorder__overtaking(void **state)
{
    (void)state;
    static const char *const lists[] = {"delay=500", "reorder=500"};
    for (int l = 0; l < 2; l++) {
        struct fixture *f = open_fixture(lists[l], 1);
        int overtaken = 0;
        uint64_t last_ns = 0;
        for (int i = 0; i < 40; i++) {
            (void)ask_pod(f, i);
            run_to(f, f->now_ns + 3 * MU_NS_PER_MS); /* apart by more than the plain latency */
        }
        run_to(f, 10 * S);
        for (int i = 1; i <= 40; i++) {
            assert_int_equal(f->outcomes[i].status, 201);
            overtaken += f->outcomes[i].over_ns < last_ns;
            last_ns = f->outcomes[i].over_ns > last_ns ? f->outcomes[i].over_ns : last_ns;
        }
        assert_true(overtaken > 0);
        close_fixture(f);
    }
}

static void test_inproc__watch_faults__410_and_cut(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("410=1000", 1);
    int heads = 0, events = 0;
    for (int i = 0; i < 10; i++) {
        (void)ask_watch(f, "/api/v1/pods?watch=1");
    }
    run_to(f, 20 * S);
    for (int i = 1; i <= 10; i++) {
        const struct outcome *o = &f->outcomes[i];
        assert_true(o->ended);
        heads += o->status == 410;
        events += o->status == 200 && o->seen->error_code == 410;
    }
    assert_true(heads > 0 && events > 0 && heads + events == 10);
    close_fixture(f);
    f = open_fixture("cut=1000", 1);
    int partial = 0;
    for (int i = 0; i < 10; i++) {
        (void)ask_watch(f, "/api/v1/pods?watch=1");
    }
    run_to(f, 100 * MU_NS_PER_MS);
    for (int i = 0; i < 2000; i++) {
        (void)ask_pod(f, i);
        run_to(f, f->now_ns + 6 * MU_NS_PER_MS);
    }
    for (int i = 1; i <= 10; i++) {
        assert_true(f->outcomes[i].lost && f->outcomes[i].error == MU_ECLOSED);
        partial += mu_watch_decoder_partial(&f->outcomes[i].decoder);
    }
    assert_true(partial > 0); /* some broke off inside a frame */
    close_fixture(f);
}

static void test_inproc__out_of_memory__lost_not_sent(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("", 1);
    (void)ask_pod(f, 0);
    run_to(f, S); /* tables exist now */
    int lost = 0;
    for (int i = 1; i < 20; i++) {
        (void)ask_pod(f, i);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
        mu_inproc_submit(f->inproc, 1, &f->outbox, f->now_ns);
        mu_mem_debug_set((struct mu_mem_debug){0});
        lost += f->outcomes[i + 1].lost && f->outcomes[i + 1].error == MU_ENOMEM;
    }
    assert_int_equal(lost, 19);
    run_to(f, 10 * S);
    struct mu_inproc_stats stats;
    mu_inproc_stats(f->inproc, &stats);
    assert_int_equal(stats.open, 0);
    close_fixture(f);
}

/* ---- without faults ------------------------------------------------------------------------- */

static void test_inproc__requests__answered_in_pieces(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("", 1);
    for (int i = 0; i < 50; i++) {
        (void)ask_pod(f, i);
    }
    run_to(f, S);
    for (int i = 1; i <= 50; i++) {
        assert_int_equal(f->outcomes[i].status, 201);
    }
    uint64_t list = ask(f, MU_GET, PODS "?limit=500", "");
    run_to(f, 2 * S);
    assert_true(f->outcomes[list].ended && f->outcomes[list].pieces > 1);
    assert_true(mu_inproc_next_ns(f->inproc) == UINT64_MAX ||
                mu_inproc_next_ns(f->inproc) > f->now_ns);
    close_fixture(f);
}

static void test_inproc__watch__sees_everything_and_can_be_cancelled(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("", 1);
    uint64_t all = ask_watch(f, "/api/v1/pods?watch=1");
    uint64_t one = ask_watch(f, "/api/v1/pods?watch=1");
    run_to(f, S);
    for (int i = 0; i < 100; i++) {
        (void)ask_pod(f, i);
        run_to(f, f->now_ns + MU_NS_PER_MS);
    }
    run_to(f, f->now_ns + S);
    assert_int_equal(f->outcomes[all].seen->events, 100);
    assert_int_equal(f->outcomes[one].seen->events, 100);
    struct mu_request *request = mu_outbox_add(&f->outbox);
    request->token = one;
    request->cancel = true;
    request = mu_outbox_add(&f->outbox);
    request->token = 4000; /* not open: nothing happens */
    request->cancel = true;
    (void)ask_pod(f, 100);
    run_to(f, f->now_ns + S);
    assert_int_equal(f->outcomes[all].seen->events, 101);
    assert_int_equal(f->outcomes[one].seen->events, 100);
    assert_false(f->outcomes[one].ended || f->outcomes[one].lost);
    mu_inproc_disconnect(f->inproc, 1);
    struct mu_inproc_stats stats;
    mu_inproc_stats(f->inproc, &stats);
    assert_int_equal(stats.open, 0);
    close_fixture(f);
}

static void test_inproc__silent_stream__times_out(void **state)
{
    (void)state;
    struct fixture *f = open_fixture("", 1);
    uint64_t token = ask_watch(f, "/api/v1/pods?watch=1");
    f->outbox.requests[f->outbox.count - 1].timeout_ns = 10 * S;
    run_to(f, 8 * S);
    (void)ask_pod(f, 0); /* something to say: patience begins anew */
    run_to(f, 17 * S);
    assert_false(f->outcomes[token].lost);
    run_to(f, 19 * S);
    assert_true(f->outcomes[token].lost && f->outcomes[token].error == MU_ETIMEOUT);
    close_fixture(f);
}

/* ---- determinism ---------------------------------------------------------------------------- */

static uint64_t storm(uint64_t seed, uint64_t *fired)
{
    struct fixture *f = open_fixture(MU_FAULTS_ALL ",410=500,cut=500", seed);
    uint64_t watch = 0;
    for (int i = 0; i < 1000; i++) {
        if (watch == 0 || f->outcomes[watch].ended || f->outcomes[watch].lost) {
            watch = ask_watch(f, "/api/v1/pods?watch=1&allowWatchBookmarks=1");
            f->outbox.requests[f->outbox.count - 1].timeout_ns = S; /* a dropped one is silent */
        }
        (void)ask_pod(f, i);
        if (i % 10 == 9) {
            (void)ask(f, MU_GET, PODS "?limit=7", "");
        }
        run_to(f, f->now_ns + 20 * MU_NS_PER_MS);
    }
    run_to(f, f->now_ns + 200 * S);
    struct mu_inproc_stats stats;
    mu_inproc_stats(f->inproc, &stats);
    memcpy(fired, stats.fired, sizeof stats.fired);
    uint64_t trace = mu_hash_mix(f->trace, mu_apiserver_version(f->server));
    close_fixture(f);
    return trace;
}

static void test_inproc__same_seed__same_trace(void **state)
{
    (void)state;
    uint64_t first[MU_FAULT_COUNT], second[MU_FAULT_COUNT];
    uint64_t a = storm(7, first);
    uint64_t b = storm(7, second);
    uint64_t c = storm(8, second);
    assert_true(a == b);
    assert_true(a != c);
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        if (first[i] == 0) {
            fail_msg("fault %s never fired", mu_fault_name((enum mu_fault)i));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inproc__drop__lost_and_not_handled),
        cmocka_unit_test(test_inproc__lost_reply__lost_and_handled),
        cmocka_unit_test(test_inproc__late__lost_first_then_handled),
        cmocka_unit_test(test_inproc__late_then_heal__still_lands),
        cmocka_unit_test(test_inproc__duplicate__handled_twice),
        cmocka_unit_test(test_inproc__forced_answers__not_handled),
        cmocka_unit_test(test_inproc__delay_and_reorder__overtaking),
        cmocka_unit_test(test_inproc__watch_faults__410_and_cut),
        cmocka_unit_test(test_inproc__out_of_memory__lost_not_sent),
        cmocka_unit_test(test_inproc__requests__answered_in_pieces),
        cmocka_unit_test(test_inproc__watch__sees_everything_and_can_be_cancelled),
        cmocka_unit_test(test_inproc__silent_stream__times_out),
        cmocka_unit_test(test_inproc__same_seed__same_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
