/* Slots of a journal in ConfigMaps of the embedded API server, and in memory. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "informer/slot_store.h"
#include "tools/kubesim/apiserver.h"

enum serve { PASS, LOSE_REPLY, LOSE_REQUEST, NOT_SENT, CONFLICT, THROTTLE, BROKEN };

struct rig {
    struct mu_random random;
    struct mu_apiserver *server;
    struct mu_slot_store *store;
    struct mu_outbox out;
    uint64_t now_ns;
    uint32_t served, writes;
    uint64_t bytes;
};

static void rig_init(struct rig *r, const char *ns, uint32_t bytes_per_s)
{
    struct mu_apiserver_config server = {.wall_base_ns = UINT64_C(1767225600) * MU_NS_PER_S};
    struct mu_slot_store_config config = {.ns = mu_str_of(ns),
                                          .name = MU_STR("j"),
                                          .slot_count = 4,
                                          .bytes_per_s = bytes_per_s,
                                          .token_base = UINT64_C(6) << 56};
    *r = (struct rig){.now_ns = MU_NS_PER_S};
    mu_random_init_seed(&r->random, 3);
    r->server = mu_apiserver_create(&server, &r->random);
    r->store = mu_slot_store_create(&config, &r->random);
    assert_non_null(r->server);
    assert_non_null(r->store);
}

static void rig_fini(struct rig *r)
{
    mu_slot_store_destroy(r->store);
    mu_apiserver_destroy(r->server);
    mu_outbox_fini(&r->out);
}

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static void give(struct rig *r, struct mu_reply reply)
{
    assert_true(mu_slot_store_reply(r->store, &reply, r->now_ns, &r->out));
}

static void give_status(struct rig *r, uint64_t token, int status, struct mu_str body)
{
    give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_HEAD, .status = status});
    give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_DATA, .data = body});
    give(r, (struct mu_reply){.token = token, .kind = MU_REPLY_END});
}

/* Serve the next request, which is there. */
static void serve(struct rig *r, enum serve how)
{
    struct mu_request *request = mu_outbox_take(&r->out);
    assert_non_null(request);
    uint64_t token = request->token;
    struct mu_api_request api = {.method = request->method,
                                 .path = view(&request->path),
                                 .content = request->content,
                                 .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                 .body = view(&request->body)};
    struct mu_api_response response = {0};
    r->served++;
    r->writes += request->method != MU_GET;
    r->bytes += request->body.len;
    if (how == PASS || how == LOSE_REPLY)
        mu_apiserver_handle(r->server, &api, r->now_ns, &response);
    if (how == PASS)
        give_status(r, token, response.status, view(&response.body));
    else if (how == CONFLICT || how == THROTTLE)
        give_status(r, token, how == CONFLICT ? 409 : 429, MU_STR("no status"));
    else if (how == BROKEN)
        give_status(r, token, 200, MU_STR("no object"));
    else
        give(r, (struct mu_reply){.token = token,
                                  .kind = MU_REPLY_LOST,
                                  .error = MU_ETIMEOUT,
                                  .not_sent = how == NOT_SENT});
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
}

/* Serve and let time pass until there is a result. */
static struct mu_slot_result settle(struct rig *r)
{
    struct mu_slot_result result = {.slot = UINT32_MAX};
    for (uint32_t turns = 0; turns < 1000; turns++) {
        if (mu_slot_store_take(r->store, &result))
            break;
        if (!mu_outbox_empty(&r->out)) {
            serve(r, PASS);
            continue;
        }
        r->now_ns = mu_slot_store_next_ns(r->store);
        assert_true(r->now_ns != UINT64_MAX);
        mu_slot_store_tick(r->store, r->now_ns, &r->out);
    }
    assert_int_not_equal(result.slot, UINT32_MAX); /* none came */
    return result;
}

static struct mu_slot_result do_read(struct rig *r, uint32_t slot)
{
    mu_slot_store_read(r->store, slot, r->now_ns, &r->out);
    struct mu_slot_result result = settle(r);
    assert_int_equal(result.slot, slot);
    assert_int_equal(result.outcome, MU_SLOT_READ);
    return result;
}

static void begin_write(struct rig *r, uint32_t slot, const char *content)
{
    assert_int_equal(mu_slot_store_write(r->store, slot, mu_str_of(content), r->now_ns, &r->out),
                     0);
    assert_true(mu_slot_store_busy(r->store, slot));
}

static void expect(struct rig *r, uint32_t slot, enum mu_slot_outcome outcome)
{
    struct mu_slot_result result = settle(r);
    assert_int_equal(result.slot, slot);
    assert_int_equal(result.outcome, outcome);
    assert_false(mu_slot_store_busy(r->store, slot));
}

static void expect_content(struct rig *r, uint32_t slot, const char *content)
{
    struct mu_slot_result result = do_read(r, slot);
    assert_true(result.present);
    assert_true(mu_str_equal(result.content, mu_str_of(content)));
}

/* Another store's write, as of another process. */
static void foreign_write(struct rig *r, uint32_t slot, const char *content)
{
    struct mu_slot_store *ours = r->store;
    struct mu_slot_store_config config = {.ns = MU_STR("default"),
                                          .name = MU_STR("j"),
                                          .slot_count = 4,
                                          .token_base = UINT64_C(6) << 56};
    struct mu_outbox out = r->out;
    r->out = (struct mu_outbox){0};
    r->store = mu_slot_store_create(&config, &r->random);
    (void)do_read(r, slot);
    begin_write(r, slot, content);
    expect(r, slot, MU_SLOT_WRITTEN);
    mu_slot_store_destroy(r->store);
    mu_outbox_fini(&r->out);
    r->store = ours;
    r->out = out;
}

static void test_slot_store__absent__created_then_swapped(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, "default", 0);
    assert_false(do_read(&r, 2).present);
    begin_write(&r, 2, "one");
    expect(&r, 2, MU_SLOT_WRITTEN);
    begin_write(&r, 2, "two");
    expect(&r, 2, MU_SLOT_WRITTEN);
    expect_content(&r, 2, "two");
    assert_false(do_read(&r, 0).present);
    rig_fini(&r);
}

static void test_slot_store_write__somebody_was_first__taken(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, "default", 0);
    (void)do_read(&r, 0);
    foreign_write(&r, 0, "theirs"); /* created before us */
    begin_write(&r, 0, "ours");
    expect(&r, 0, MU_SLOT_TAKEN);
    expect_content(&r, 0, "theirs");
    foreign_write(&r, 0, "theirs again"); /* written before us */
    begin_write(&r, 0, "ours");
    expect(&r, 0, MU_SLOT_TAKEN);
    expect_content(&r, 0, "theirs again");
    begin_write(&r, 0, "ours");
    expect(&r, 0, MU_SLOT_WRITTEN);
    rig_fini(&r);
}

static void test_slot_store_write__removed__taken(void **state)
{
    struct rig r;
    struct mu_api_response response;
    struct mu_api_request remove = {.method = MU_DELETE,
                                    .path = MU_STR("/api/v1/namespaces/default/configmaps/j-1")};
    (void)state;
    rig_init(&r, "default", 0);
    (void)do_read(&r, 1);
    begin_write(&r, 1, "one");
    expect(&r, 1, MU_SLOT_WRITTEN);
    mu_apiserver_handle(r.server, &remove, r.now_ns, &response);
    assert_int_equal(response.status, 200);
    mu_buf_fini(&response.body);
    begin_write(&r, 1, "two");
    expect(&r, 1, MU_SLOT_TAKEN);
    assert_false(do_read(&r, 1).present);
    rig_fini(&r);
}

/* Each way of not hearing, at a slot's creation and at a later write: settled by reading it. */
static void test_slot_store_write__reply_unknown__read_again(void **state)
{
    static const enum serve ways[] = {LOSE_REPLY, LOSE_REQUEST, NOT_SENT,
                                      CONFLICT,   THROTTLE,     BROKEN};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct rig r;
        struct mu_slot_store_stats stats;
        rig_init(&r, "default", 0);
        (void)do_read(&r, 0);
        for (uint32_t n = 0; n < 2; n++) {
            begin_write(&r, 0, n == 0 ? "one" : "two");
            serve(&r, ways[i]);
            expect(&r, 0, MU_SLOT_WRITTEN);
            expect_content(&r, 0, n == 0 ? "one" : "two");
        }
        mu_slot_store_stats(r.store, &stats);
        assert_int_equal(stats.written, 2);
        assert_int_equal(stats.verified, ways[i] == LOSE_REPLY ? 2 : 0);
        assert_int_equal(stats.writes, ways[i] == LOSE_REPLY ? 2 : 4);
        assert_int_equal(stats.busy, 0);
        rig_fini(&r);
    }
}

/* The reply is lost, and before we look again somebody else writes: ours has been, and is gone. */
static void test_slot_store_write__overwritten_before_verified__taken(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, "default", 0);
    (void)do_read(&r, 0);
    begin_write(&r, 0, "one");
    serve(&r, LOSE_REPLY);
    foreign_write(&r, 0, "theirs");
    expect(&r, 0, MU_SLOT_TAKEN);
    rig_fini(&r);
}

static void test_slot_store_write__no_namespace__problem_in_words(void **state)
{
    struct rig r;
    struct mu_slot_result result;
    (void)state;
    rig_init(&r, "nowhere", 0);
    (void)do_read(&r, 0);
    begin_write(&r, 0, "one");
    for (uint32_t i = 0; i < 5; i++) {
        serve(&r, PASS);
        assert_false(mu_slot_store_take(r.store, &result));
        assert_non_null(strstr(mu_slot_store_problem(r.store), "create configmaps/j-0 in nowhere"));
        r.now_ns = mu_slot_store_next_ns(r.store); /* never at once */
        assert_true(r.now_ns != UINT64_MAX);
        mu_slot_store_tick(r.store, r.now_ns, &r.out);
    }
    rig_fini(&r);
}

/* Whatever is asked for: no window sees more bytes than the rate and one burst. */
static void test_slot_store_write__much_to_write__keeps_the_budget(void **state)
{
    static char content[60000];
    struct rig r;
    const uint32_t rate = 1000000;
    uint64_t begin_ns, last_ns = 0, last_bytes = 0;
    (void)state;
    rig_init(&r, "default", rate);
    memset(content, 'x', sizeof content - 1);
    (void)do_read(&r, 0);
    begin_ns = r.now_ns;
    for (uint32_t i = 0; i < 100; i++) {
        content[0] = (char)('A' + i % 26);
        content[1] = (char)('A' + i / 26);
        begin_write(&r, 0, content);
        expect(&r, 0, MU_SLOT_WRITTEN);
        uint64_t passed_ns = r.now_ns - begin_ns;
        assert_true(r.bytes <=
                    MU_SLOT_BURST_BYTES + sizeof content + 1000 + passed_ns * rate / MU_NS_PER_S);
        if (i == 49) {
            last_ns = r.now_ns;
            last_bytes = r.bytes;
        }
    }
    /* And it is used: the second half went at the rate. */
    double per_s = (double)(r.bytes - last_bytes) * 1e9 / (double)(r.now_ns - last_ns);
    assert_true(per_s > 0.95 * rate && per_s < 1.01 * rate);
    struct mu_slot_store_stats stats;
    mu_slot_store_stats(r.store, &stats);
    assert_int_equal(stats.bytes, r.bytes);
    rig_fini(&r);
}

static void test_slot_store_reply__late_or_foreign__ignored(void **state)
{
    struct rig r;
    struct mu_slot_result result;
    struct mu_reply stray = {.token = 77, .kind = MU_REPLY_END};
    (void)state;
    rig_init(&r, "default", 0);
    assert_false(mu_slot_store_reply(r.store, &stray, r.now_ns, &r.out));
    stray.token = (UINT64_C(6) << 56) + (9 << 8) + 1; /* ours, of no open request */
    assert_true(mu_slot_store_reply(r.store, &stray, r.now_ns, &r.out));
    stray.token = (UINT64_C(6) << 56) + (9 << 8) + 200; /* no such slot */
    assert_true(mu_slot_store_reply(r.store, &stray, r.now_ns, &r.out));
    assert_false(mu_slot_store_take(r.store, &result));
    rig_fini(&r);
}

static bool use_store(void *context)
{
    struct mu_slot_memory *memory = mu_slot_memory_create(1);
    struct mu_slot_store_config config = {.slot_count = 1};
    struct rig r = {.now_ns = MU_NS_PER_S};
    (void)context;
    mu_random_init_seed(&r.random, 3);
    if (memory == NULL)
        return false;
    r.store = mu_slot_store_create_memory(&config, memory, 0, &r.random);
    if (r.store == NULL) {
        mu_slot_memory_destroy(memory);
        return false;
    }
    bool put = mu_slot_memory_put(memory, 0, MU_STR("zero")) == 0;
    if (!put)
        assert_int_equal(mu_slot_memory_put(memory, 0, MU_STR("zero")), 0);
    uint64_t begin_ns = r.now_ns;
    expect_content(&r, 0, "zero");
    bool passed = mu_slot_store_write(r.store, 0, MU_STR("one"), r.now_ns, &r.out) == 0;
    if (!passed)
        begin_write(&r, 0, "one");
    expect(&r, 0, MU_SLOT_WRITTEN);
    expect_content(&r, 0, "one");
    passed = put && passed && r.now_ns == begin_ns;
    mu_slot_store_destroy(r.store);
    mu_slot_memory_destroy(memory);
    return passed;
}

static void test_slot_store__each_allocation_fails__nothing_is_lost(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(use_store, NULL) >= 6);
}

/* The request finds no memory: it is sent later. */
static void test_slot_store_write__no_memory_for_the_request__sent_later(void **state)
{
    struct rig r;
    (void)state;
    rig_init(&r, "default", 0);
    (void)do_read(&r, 0);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        char content[32];
        (void)snprintf(content, sizeof content, "content %u", (unsigned)nth);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int rc = mu_slot_store_write(r.store, 0, mu_str_of(content), r.now_ns, &r.out);
        mu_mem_debug_set((struct mu_mem_debug){0});
        if (rc != 0) {
            assert_int_equal(rc, MU_ENOMEM);
            begin_write(&r, 0, content);
        }
        expect(&r, 0, MU_SLOT_WRITTEN);
        expect_content(&r, 0, content);
    }
    rig_fini(&r);
}

static void test_slot_memory__as_the_server(void **state)
{
    struct mu_slot_memory *memory = mu_slot_memory_create(2);
    struct mu_slot_store_config config = {.slot_count = 2};
    struct mu_outbox out = {0};
    struct mu_random random;
    struct mu_slot_result result;
    struct mu_str content;
    (void)state;
    mu_random_init_seed(&random, 1);
    struct mu_slot_store *store =
        mu_slot_store_create_memory(&config, memory, 5 * MU_NS_PER_MS, &random);
    mu_slot_store_read(store, 1, 0, &out);
    assert_false(mu_slot_store_take(store, &result));
    assert_int_equal(mu_slot_store_next_ns(store), 5 * MU_NS_PER_MS);
    mu_slot_store_tick(store, 5 * MU_NS_PER_MS, &out);
    assert_true(mu_slot_store_take(store, &result));
    assert_false(result.present);
    assert_int_equal(mu_slot_store_write(store, 1, MU_STR("one"), 0, &out), 0);
    assert_false(mu_slot_memory_get(memory, 1, &content)); /* it takes its time */
    mu_slot_store_tick(store, 5 * MU_NS_PER_MS, &out);
    assert_true(mu_slot_store_take(store, &result));
    assert_int_equal(result.outcome, MU_SLOT_WRITTEN);
    assert_true(mu_slot_memory_get(memory, 1, &content));
    assert_true(mu_str_equal(content, MU_STR("one")));
    assert_int_equal(mu_slot_memory_put(memory, 1, MU_STR("theirs")), 0);
    assert_int_equal(mu_slot_store_write(store, 1, MU_STR("two"), 0, &out), 0);
    mu_slot_store_tick(store, 5 * MU_NS_PER_MS, &out);
    assert_true(mu_slot_store_take(store, &result));
    assert_int_equal(result.outcome, MU_SLOT_TAKEN);
    mu_slot_store_destroy(store);
    mu_slot_store_destroy(NULL);
    mu_slot_memory_destroy(memory);
    mu_slot_memory_destroy(NULL);
    mu_outbox_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_store__absent__created_then_swapped),
        cmocka_unit_test(test_slot_store_write__somebody_was_first__taken),
        cmocka_unit_test(test_slot_store_write__removed__taken),
        cmocka_unit_test(test_slot_store_write__reply_unknown__read_again),
        cmocka_unit_test(test_slot_store_write__overwritten_before_verified__taken),
        cmocka_unit_test(test_slot_store_write__no_namespace__problem_in_words),
        cmocka_unit_test(test_slot_store_write__much_to_write__keeps_the_budget),
        cmocka_unit_test(test_slot_store_reply__late_or_foreign__ignored),
        cmocka_unit_test(test_slot_store__each_allocation_fails__nothing_is_lost),
        cmocka_unit_test(test_slot_store_write__no_memory_for_the_request__sent_later),
        cmocka_unit_test(test_slot_memory__as_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
