/*
 * An API server that lies, against reflectors on the real client and sockets: one reflector is told
 * the truth, one is told lies, over the same connection. The lies are found out: nothing of them
 * reaches the sink, they are met with a growing pause, not with a storm of requests, and the other
 * reflector is served all the while.
 */
#include "engine/base/random.h"
#include "informer/limits.h"
#include "informer/reflector.h"
#include "tests/http_harness.h"
#include "tests/kube_fixture.h"

#define TRUE_TOKENS (UINT64_C(1) << 32)
#define LIE_TOKENS  (UINT64_C(2) << 32)
#define TRUE_EVENTS 50u /* seen while the lies go on */
#define REQUESTS_MAX                                                                               \
    (8 + 2 * MU_LIST_BARREN_PAGES_MAX) /* that lies may provoke: a second of growing pauses */

enum lie {
    LIE_HTML,
    LIE_JSON,
    LIE_GZIP,
    LIE_REDIRECT,
    LIE_EMPTY,
    LIE_STATUS,
    LIE_CUT,
    LIE_NO_VERSION,
    LIE_ENDLESS,
    LIE_WATCH_HTML,
    LIE_WATCH_JSON,
    LIE_WATCH_4_GIB,
    LIE_WATCH_BOOKMARK_BACK,
    LIE_WATCH_EVENT_BACK,
    LIE_WATCH_ENDS,
    LIE_COUNT
};

static const char *const lie_names[LIE_COUNT] = {
    [LIE_HTML] = "200 with a page for people",
    [LIE_JSON] = "JSON instead of protobuf",
    [LIE_GZIP] = "compressed without being asked",
    [LIE_REDIRECT] = "a redirect",
    [LIE_EMPTY] = "200 with nothing",
    [LIE_STATUS] = "200 with a Status",
    [LIE_CUT] = "half a list",
    [LIE_NO_VERSION] = "a list without a version",
    [LIE_ENDLESS] = "a list without an end",
    [LIE_WATCH_HTML] = "a page as a watch",
    [LIE_WATCH_JSON] = "JSON as a watch",
    [LIE_WATCH_4_GIB] = "a frame of 4 GiB announced",
    [LIE_WATCH_BOOKMARK_BACK] = "a bookmark that goes back",
    [LIE_WATCH_EVENT_BACK] = "an event that goes back",
    [LIE_WATCH_ENDS] = "watches that end at once",
};

struct follower {
    struct mu_reflector *reflector;
    uint64_t version; /* of the newest object stored */
    uint32_t stored;
};

struct world {
    struct harness *h;
    struct mu_random random;
    struct mu_outbox outbox;
    struct follower truth, liar;
    enum lie lie;
    uint32_t lies_told; /* requests of the one that is lied to */
    uint64_t version;   /* of the truth */
    struct mu_http_exchange *watch;
    uv_timer_t tick;
};

/* ---- the server --------------------------------------------------------------------------- */

static void put_list(struct mu_buf *body, uint64_t version, const char *token, const char *pod)
{
    char text[24];
    struct mu_buf raw = {0};
    Kube__ListMeta meta = KUBE__LIST_META__INIT;
    Kube__PodList list = KUBE__POD_LIST__INIT;
    Kube__ObjectMeta object = KUBE__OBJECT_META__INIT;
    Kube__Pod item = KUBE__POD__INIT;
    Kube__Pod *items[] = {&item};
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    meta.resourceversion = version != 0 ? text : NULL;
    meta.continue_ = FIXTURE_TEXT(token);
    list.metadata = &meta;
    object.name = FIXTURE_TEXT(pod);
    object.resourceversion = text;
    item.metadata = &object;
    list.items = items;
    list.n_items = pod != NULL ? 1 : 0;
    fixture_pack(&raw, &list);
    assert_int_equal(mu_envelope_wrap(body, MU_STR("v1"), MU_STR("PodList"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

static void put_event(struct mu_buf *out, enum mu_watch_type type, uint64_t version)
{
    struct mu_buf raw = {0};
    fixture_object(&raw, "pod", version);
    assert_int_equal(
        mu_watch_frame_write(out, type, MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

static void answer(struct mu_http_exchange *ex, int status, const char *media, struct mu_buf *body)
{
    (void)mu_http_respond(ex, status, mu_str_of(media), 0, fixture_str(body));
    mu_buf_fini(body);
}

#define PROTOBUF "application/vnd.kubernetes.protobuf"

static void lie_list(struct world *w, struct mu_http_exchange *ex)
{
    struct mu_buf body = {0};
    const char *media = PROTOBUF;
    int status = 200;
    switch (w->lie) {
    case LIE_HTML:
        media = "text/html";
        (void)mu_buf_append_text(&body, "<html>Please log in</html>");
        break;
    case LIE_JSON:
        media = "application/json";
        (void)mu_buf_append_text(&body, "{\"kind\":\"PodList\",\"metadata\":"
                                        "{\"resourceVersion\":\"5\"},\"items\":[]}");
        break;
    case LIE_GZIP:
        (void)mu_buf_append(&body, "\x1f\x8b\x08\0\0\0\0\0\0\x03", 10);
        break;
    case LIE_REDIRECT:
        status = 302;
        break;
    case LIE_EMPTY:
        break;
    case LIE_STATUS:
        fixture_status(&body, 200, "", "", 0);
        break;
    case LIE_CUT:
        put_list(&body, 5, "", "pod");
        body.len /= 2;
        break;
    case LIE_NO_VERSION:
        put_list(&body, 0, "", "pod");
        break;
    case LIE_ENDLESS:
        put_list(&body, 5, "more", NULL);
        break;
    default:
        put_list(&body, 5, "", NULL);
        break;
    }
    answer(ex, status, media, &body);
}

static void lie_watch(struct world *w, struct mu_http_exchange *ex)
{
    struct mu_buf body = {0};
    const char *media = PROTOBUF ";stream=watch";
    if (w->lie == LIE_WATCH_HTML) {
        media = "text/html";
        (void)mu_buf_append_text(&body, "<html>Please log in</html>");
    } else if (w->lie == LIE_WATCH_JSON) {
        media = "application/json";
        (void)mu_buf_append_text(&body, "{\"type\":\"ADDED\",\"object\":{}}\n");
    } else if (w->lie == LIE_WATCH_4_GIB) {
        (void)mu_buf_append(&body, "\xff\xff\xff\xffk8s", 7);
    } else if (w->lie == LIE_WATCH_BOOKMARK_BACK) {
        put_event(&body, MU_WATCH_BOOKMARK, 3);
        put_event(&body, MU_WATCH_ADDED, 4);
    } else if (w->lie == LIE_WATCH_EVENT_BACK) {
        put_event(&body, MU_WATCH_ADDED, 4);
    }
    answer(ex, 200, media, &body);
}

static void tell_truth(struct world *w, struct mu_http_exchange *ex, bool watch)
{
    struct mu_buf body = {0};
    if (watch) {
        assert_int_equal(mu_http_respond_begin(ex, 200, MU_STR(PROTOBUF ";stream=watch")), 0);
        w->watch = ex;
        return;
    }
    put_list(&body, w->version, "", NULL);
    answer(ex, 200, PROTOBUF, &body);
}

static void on_request(void *context, struct mu_http_exchange *ex,
                       const struct mu_http_request *request)
{
    struct world *w = context;
    bool watch = request->query.len > 0 &&
                 memmem(request->query.data, request->query.len, "watch=", 6) != NULL;
    if (mu_str_starts_with(request->path, MU_STR("/true"))) {
        tell_truth(w, ex, watch);
        return;
    }
    w->lies_told++;
    if (watch)
        lie_watch(w, ex);
    else
        lie_list(w, ex);
}

/* The signature of a callback. */
/* cppcheck-suppress constParameter */
static void on_abort(void *context, struct mu_http_exchange *ex)
{
    struct world *w = context;
    if (w->watch == ex)
        w->watch = NULL;
}

/* ---- the followers ------------------------------------------------------------------------ */

static int on_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct follower *f = context;
    (void)raw;
    (void)now_ns;
    f->stored++;
    f->version = version;
    return 0;
}

static int on_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    return on_upsert(context, raw, version, now_ns);
}

static void on_relist(void *context)
{
    (void)context;
}

static int on_sweep(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
    return 0;
}

static void drain(struct world *w)
{
    assert_int_equal(mu_http_client_drain(w->h->client, &w->outbox), 0);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct world *w = context;
    struct mu_reflector *reflector =
        reply->token >= LIE_TOKENS ? w->liar.reflector : w->truth.reflector;
    (void)mu_reflector_reply(reflector, reply, uv_hrtime(), &w->outbox);
    drain(w);
}

static void on_tick(uv_timer_t *timer)
{
    struct world *w = timer->data;
    struct follower *followers[] = {&w->truth, &w->liar};
    for (size_t i = 0; i < 2; i++) {
        if (mu_reflector_next_ns(followers[i]->reflector) <= uv_hrtime())
            mu_reflector_tick(followers[i]->reflector, uv_hrtime(), &w->outbox);
    }
    drain(w);
    struct mu_buf frame = {0};
    if (w->watch != NULL) { /* something happens in the true world */
        put_event(&frame, MU_WATCH_MODIFIED, ++w->version);
        assert_int_equal(mu_http_respond_write(w->watch, fixture_str(&frame)), 0);
    }
    mu_buf_fini(&frame);
}

static void follow(struct world *w, struct follower *f, const char *path, uint64_t tokens)
{
    struct mu_reflector_config config = {.name = MU_STR("pods"),
                                         .path = mu_str_of(path),
                                         .token_base = tokens,
                                         .first_consistent = true};
    struct mu_reflector_sink sink = {.context = f,
                                     .upsert = on_upsert,
                                     .remove = on_remove,
                                     .relist_begin = on_relist,
                                     .relist_sweep = on_sweep};
    f->reflector = mu_reflector_create(&config, &sink, &w->random);
    assert_non_null(f->reflector);
    mu_reflector_start(f->reflector, uv_hrtime(), &w->outbox);
}

/* ---- a world with one lie in it ----------------------------------------------------------- */

static void on_closed(void *context)
{
    ((struct world *)context)->h->closed++;
}

static void live_with(enum lie lie)
{
    struct world world = {.lie = lie, .version = 10};
    struct world *w = &world;
    struct mu_reflector_stats stats;
    w->h = harness_new();
    mu_random_init_seed(&w->random, 1);
    struct mu_http_server_config server = {
        .host = MU_STR("127.0.0.1"), .on_request = on_request, .on_abort = on_abort, .context = w};
    assert_int_equal(mu_http_server_create(&w->h->loop, &server, &w->h->server, &w->h->port), 0);
    struct mu_http_client_config client = {
        .host = MU_STR("127.0.0.1"), .port = w->h->port, .connections = 1};
    assert_int_equal(mu_http_client_create(&w->h->loop, &client, on_reply, w, &w->h->client), 0);
    follow(w, &w->truth, "/true", TRUE_TOKENS);
    follow(w, &w->liar, "/lie", LIE_TOKENS);
    drain(w);
    assert_int_equal(uv_timer_init(&w->h->loop, &w->tick), 0);
    w->tick.data = w;
    assert_int_equal(uv_timer_start(&w->tick, on_tick, 1, 5), 0);
    do {
        (void)uv_run(&w->h->loop, UV_RUN_ONCE);
        assert_false(w->h->barked);
        mu_reflector_stats(w->liar.reflector, &stats);
    } while (stats.failures == 0 || w->truth.stored < TRUE_EVENTS);
    print_message("    %-32s %u requests, %.120s\n", lie_names[lie], w->lies_told,
                  mu_reflector_problem(w->liar.reflector));
    assert_int_equal(w->liar.stored, 0);
    assert_true(w->lies_told <= REQUESTS_MAX);
    mu_reflector_stats(w->truth.reflector, &stats);
    assert_int_equal(stats.lists, 1);
    assert_int_equal(stats.failures, 0);
    uv_close((uv_handle_t *)&w->tick, NULL);
    mu_http_client_close(w->h->client, on_closed, w);
    HARNESS_UNTIL(w->h, w->h->closed == 1);
    w->h->client = NULL;
    mu_reflector_destroy(w->truth.reflector);
    mu_reflector_destroy(w->liar.reflector);
    mu_outbox_fini(&w->outbox);
    harness_free(w->h);
}

static void test_api_hostile__each_lie__found_out_and_others_are_followed(void **state)
{
    (void)state;
    for (enum lie lie = 0; lie < LIE_COUNT; lie++)
        live_with(lie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_hostile__each_lie__found_out_and_others_are_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
