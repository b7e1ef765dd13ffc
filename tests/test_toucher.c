/* Touches of pods on the embedded API server, with every way of not hearing of one. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "informer/codec.h"
#include "informer/toucher.h"
#include "tools/kubesim/apiserver.h"

#define WALL_NS (UINT64_C(1767225600) * MU_NS_PER_S) /* 2026-01-01 */

enum serve { PASS, LOSE_REPLY, LOSE_REQUEST, CONFLICT, THROTTLE, BROKEN };

struct rig {
    struct mu_random random;
    struct mu_apiserver *server;
    struct mu_toucher *toucher;
    struct mu_outbox out;
    struct mu_arena *arena;
    uint64_t now_ns;
    char uid[MU_UID_BYTES_MAX + 1];
    uint64_t version;
    enum mu_method method; /* of the last request that was served, and its body */
    char body[512];
};

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static struct mu_toucher *new_toucher(struct rig *r, const char *mark)
{
    struct mu_toucher_config config = {.scheduler_name = MU_STR("muster"),
                                       .mark = mu_str_of(mark),
                                       .token_base = UINT64_C(7) << 56,
                                       .wall_offset_ns = WALL_NS};
    struct mu_toucher *toucher = mu_toucher_create(&config, &r->random);
    assert_non_null(toucher);
    return toucher;
}

static int look(void *context, struct mu_str raw)
{
    struct rig *r = context;
    struct mu_pod_bound pod;
    mu_arena_reset(r->arena);
    assert_int_equal(mu_pod_bound_decode(raw, r->arena, &pod, NULL), 0);
    (void)snprintf(r->uid, sizeof r->uid, "%.*s", MU_STR_ARGS(pod.uid));
    r->version = pod.version;
    return 0;
}

static void create_pod(struct rig *r)
{
    const char *pod =
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"},"
        "\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}";
    struct mu_api_request request = {.method = MU_POST,
                                     .path = MU_STR("/api/v1/namespaces/default/pods"),
                                     .content = MU_MEDIA_JSON,
                                     .body = mu_str_of(pod)};
    struct mu_api_response response;
    mu_apiserver_handle(r->server, &request, 0, &response);
    assert_int_equal(response.status, 201);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    assert_int_equal(mu_apiserver_each(r->server, "pods", look, r), 0);
}

static void rig_init(struct rig *r)
{
    struct mu_apiserver_config server = {.wall_base_ns = WALL_NS};
    *r = (struct rig){.now_ns = MU_NS_PER_S};
    mu_random_init_seed(&r->random, 3);
    r->arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    r->server = mu_apiserver_create(&server, &r->random);
    r->toucher = new_toucher(r, "mark-1");
    create_pod(r);
}

static void rig_fini(struct rig *r)
{
    mu_toucher_destroy(r->toucher);
    mu_apiserver_destroy(r->server);
    mu_arena_destroy(r->arena);
    mu_outbox_fini(&r->out);
}

static void give(struct rig *r, struct mu_reply reply)
{
    assert_true(mu_toucher_reply(r->toucher, &reply, r->now_ns, &r->out));
}

static void serve(struct rig *r, enum serve how)
{
    struct mu_request *request = mu_outbox_take(&r->out);
    assert_non_null(request);
    uint64_t token = request->token;
    r->method = request->method;
    (void)snprintf(r->body, sizeof r->body, "%.*s", (int)request->body.len,
                   request->body.len > 0 ? (const char *)request->body.data : "");
    struct mu_api_request api = {.method = request->method,
                                 .path = view(&request->path),
                                 .content = request->content,
                                 .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                 .body = view(&request->body)};
    struct mu_api_response response = {0};
    if (how == PASS || how == LOSE_REPLY)
        mu_apiserver_handle(r->server, &api, r->now_ns, &response);
    if (how == LOSE_REPLY || how == LOSE_REQUEST) {
        give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_LOST, .error = MU_ETIMEOUT});
    } else {
        int status = how == CONFLICT   ? 409
                     : how == THROTTLE ? 429
                     : how == BROKEN   ? 200
                                       : response.status;
        struct mu_str body = how == PASS ? view(&response.body) : MU_STR("no object");
        give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_HEAD, .status = status});
        give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_DATA, .data = body});
        give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
    }
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void touch(struct rig *r, const char *name, const char *uid)
{
    struct mu_touch in = {
        .id = 42, .ns = MU_STR("default"), .name = mu_str_of(name), .uid = mu_str_of(uid)};
    assert_int_equal(mu_toucher_touch(r->toucher, &in, r->now_ns, &r->out), 0);
}

static uint64_t settle(struct rig *r)
{
    struct mu_touch_outcome outcome = {.id = 0};
    for (uint32_t turns = 0; turns < 100; turns++) {
        if (mu_toucher_take(r->toucher, &outcome))
            break;
        if (!mu_outbox_empty(&r->out)) {
            serve(r, PASS);
            continue;
        }
        r->now_ns = mu_toucher_next_ns(r->toucher);
        assert_true(r->now_ns != UINT64_MAX);
        mu_toucher_tick(r->toucher, r->now_ns, &r->out);
    }
    assert_int_equal(outcome.id, 42);
    return outcome.version;
}

static void test_toucher__pod_there__moves_to_a_newer_version(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    uint64_t before = r.version;
    touch(&r, "p", r.uid);
    uint64_t version = settle(&r);
    assert_int_equal(mu_apiserver_each(r.server, "pods", look, &r), 0);
    assert_true(version > before && version == r.version);
    /* The same mark changes nothing and is answered; another one changes bytes. */
    touch(&r, "p", r.uid);
    assert_int_equal(settle(&r), version);
    mu_toucher_destroy(r.toucher);
    r.toucher = new_toucher(&r, "mark-2");
    touch(&r, "p", r.uid);
    assert_true(settle(&r) > version);
    rig_fini(&r);
}

static void test_toucher__gone_or_replaced__version_zero(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    uint64_t before = r.version;
    touch(&r, "q", r.uid);
    assert_int_equal(settle(&r), 0);
    touch(&r, "p", "00000000-0000-4000-8000-000000000000"); /* its predecessor of that name */
    assert_int_equal(settle(&r), 0);
    touch(&r, "p", "with \"quotes\" and \\");
    assert_int_equal(settle(&r), 0);
    assert_int_equal(mu_apiserver_each(r.server, "pods", look, &r), 0);
    assert_int_equal(r.version, before); /* nobody else's pod was touched */
    rig_fini(&r);
}

static void test_toucher__reply_unknown__repeated_until_answered(void **state)
{
    static const enum serve ways[] = {LOSE_REPLY, LOSE_REQUEST, CONFLICT, THROTTLE, BROKEN};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct rig r;
        struct mu_touch_outcome outcome;
        rig_init(&r);
        uint64_t before = r.version;
        touch(&r, "p", r.uid);
        serve(&r, ways[i]);
        assert_false(mu_toucher_take(r.toucher, &outcome));
        uint64_t version = settle(&r);
        assert_int_equal(mu_apiserver_each(r.server, "pods", look, &r), 0);
        assert_true(version > before && version == r.version);
        rig_fini(&r);
    }
}

static void test_toucher__too_many__limit(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    for (uint32_t i = 0; i < MU_TOUCHES_MAX; i++)
        touch(&r, "p", r.uid);
    struct mu_touch one = {
        .id = 1, .ns = MU_STR("default"), .name = MU_STR("p"), .uid = mu_str_of(r.uid)};
    assert_int_equal(mu_toucher_touch(r.toucher, &one, r.now_ns, &r.out), MU_ELIMIT);
    (void)settle(&r);
    assert_int_equal(mu_toucher_touch(r.toucher, &one, r.now_ns, &r.out), 0);
    rig_fini(&r);
}

/* ---- evictions ------------------------------------------------------------------------------ */

static void evict(struct rig *r)
{
    struct mu_touch in = {.id = 42,
                          .ns = MU_STR("default"),
                          .name = MU_STR("p"),
                          .uid = mu_str_of(r->uid),
                          .version = r->version};
    assert_int_equal(mu_toucher_touch(r->toucher, &in, r->now_ns, &r->out), 0);
}

/* The journal was read, and is ours or not. */
static void check(struct rig *r, bool ours)
{
    assert_true(mu_toucher_wants_check(r->toucher));
    assert_true(mu_outbox_empty(&r->out)); /* it waits for that */
    mu_toucher_check_begun(r->toucher);
    assert_false(mu_toucher_wants_check(r->toucher));
    mu_toucher_checked(r->toucher, ours, r->now_ns, &r->out);
}

/* The pod as the server shows it, or by any write of others moved on. */
static bool pod_says(struct rig *r, const char *text)
{
    struct mu_api_request request = {.method = MU_GET,
                                     .path = MU_STR("/api/v1/namespaces/default/pods/p"),
                                     .accept = MU_STR("application/json")};
    struct mu_api_response response;
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    bool says = response.status == 200 &&
                memmem(response.body.data, response.body.len, text, strlen(text)) != NULL;
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return says;
}

static void send(struct rig *r, enum mu_method method, enum mu_media content, const char *body)
{
    struct mu_api_request request = {.method = method,
                                     .path = MU_STR("/api/v1/namespaces/default/pods/p"),
                                     .content = content,
                                     .body = mu_str_of(body)};
    struct mu_api_response response;
    mu_apiserver_handle(r->server, &request, r->now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

static void test_toucher_evict__marked_checked_deleted(void **state)
{
    struct rig r;
    struct mu_touch_outcome outcome;
    (void)state;
    rig_init(&r);
    evict(&r);
    serve(&r, PASS);
    assert_int_equal(r.method, MU_PATCH);
    assert_non_null(strstr(r.body, r.uid));
    assert_true(pod_says(&r, "\"type\":\"DisruptionTarget\""));
    assert_true(pod_says(&r, "\"reason\":\"PreemptionByScheduler\""));
    assert_true(pod_says(&r, "\"lastTransitionTime\":\"2026-01-01T00:00:01Z\""));
    assert_true(pod_says(&r, "\"muster: preempting to accommodate a higher priority pod\""));
    check(&r, true);
    assert_false(mu_toucher_take(r.toucher, &outcome));
    serve(&r, PASS);
    assert_int_equal(r.method, MU_DELETE);
    assert_non_null(strstr(r.body, "\"resourceVersion\":"));
    assert_null(strstr(r.body, "gracePeriodSeconds")); /* the victim's own */
    assert_true(mu_toucher_take(r.toucher, &outcome));
    assert_true(outcome.evicted && outcome.version > r.version);
    assert_int_equal(outcome.grace_s, 30);
    assert_true(pod_says(&r, "\"deletionTimestamp\""));
    rig_fini(&r);
}

/* It is the same write each time, whatever the clock says: only so it needs no check. */
static void test_toucher_evict__reply_unknown__the_same_bytes_again(void **state)
{
    static const enum serve ways[] = {LOSE_REPLY, LOSE_REQUEST, THROTTLE, BROKEN};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct rig r;
        char first[sizeof r.body];
        rig_init(&r);
        evict(&r);
        serve(&r, ways[i]);
        memcpy(first, r.body, sizeof first);
        assert_true(mu_outbox_empty(&r.out));
        r.now_ns += 70 * MU_NS_PER_S;
        mu_toucher_set_wall(r.toucher, WALL_NS + 5 * MU_NS_PER_S);
        mu_toucher_tick(r.toucher, r.now_ns, &r.out);
        serve(&r, PASS); /* refused where the first has landed: then it is looked at */
        assert_string_equal(r.body, first);
        if (ways[i] == LOSE_REPLY || ways[i] == BROKEN)
            mu_toucher_tick(r.toucher, r.now_ns, &r.out);
        assert_true(pod_says(&r, "\"lastTransitionTime\":\"2026-01-01T00:00:01Z\""));
        rig_fini(&r);
    }
}

/* Somebody has written the pod since its plan was journaled. */
static void test_toucher_evict__newer_version__after_a_check_only(void **state)
{
    struct rig r;
    struct mu_touch_outcome outcome;
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        rig_init(&r);
        send(&r, MU_PATCH, MU_MEDIA_STRATEGIC_PATCH, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
        evict(&r);
        serve(&r, PASS); /* 409 */
        assert_false(pod_says(&r, "DisruptionTarget"));
        serve(&r, PASS);
        assert_int_equal(r.method, MU_GET);
        check(&r, ours);
        assert_int_equal(mu_outbox_empty(&r.out), !ours);
        if (ours) {
            serve(&r, PASS);
            assert_int_equal(r.method, MU_PATCH);
            check(&r, true);
            serve(&r, PASS);
            assert_true(mu_toucher_take(r.toucher, &outcome));
        }
        assert_int_equal(pod_says(&r, "\"deletionTimestamp\""), ours);
        rig_fini(&r);
    }
}

/* The journal is another's: marked is not evicted. */
static void test_toucher_evict__check_fails__never_deleted(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r);
    evict(&r);
    serve(&r, PASS);
    check(&r, false);
    r.now_ns += 100 * MU_NS_PER_S;
    mu_toucher_tick(r.toucher, r.now_ns, &r.out);
    assert_true(mu_outbox_empty(&r.out));
    assert_false(pod_says(&r, "\"deletionTimestamp\""));
    rig_fini(&r);
}

/* A pod of the same name came in its place: it is nobody's victim. */
static void test_toucher_evict__replaced__done(void **state)
{
    struct rig r;
    struct mu_touch_outcome outcome;
    char old[sizeof r.uid];
    (void)state;
    rig_init(&r);
    memcpy(old, r.uid, sizeof old);
    send(&r, MU_DELETE, MU_MEDIA_JSON, "{\"gracePeriodSeconds\":0}");
    create_pod(&r);
    memcpy(r.uid, old, sizeof old);
    evict(&r);
    while (!mu_toucher_take(r.toucher, &outcome))
        serve(&r, PASS);
    assert_int_equal(outcome.version, 0);
    assert_false(pod_says(&r, "DisruptionTarget"));
    assert_false(pod_says(&r, "\"deletionTimestamp\""));
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toucher__pod_there__moves_to_a_newer_version),
        cmocka_unit_test(test_toucher__gone_or_replaced__version_zero),
        cmocka_unit_test(test_toucher__reply_unknown__repeated_until_answered),
        cmocka_unit_test(test_toucher__too_many__limit),
        cmocka_unit_test(test_toucher_evict__marked_checked_deleted),
        cmocka_unit_test(test_toucher_evict__reply_unknown__the_same_bytes_again),
        cmocka_unit_test(test_toucher_evict__newer_version__after_a_check_only),
        cmocka_unit_test(test_toucher_evict__check_fails__never_deleted),
        cmocka_unit_test(test_toucher_evict__replaced__done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
