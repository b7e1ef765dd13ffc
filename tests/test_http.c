/* Client against server over loopback: what callers rely on, in bulk and in the awkward cases. */
#include "tests/http_harness.h"

static const struct mu_http_server_config server_defaults;
static const struct mu_http_client_config client_defaults;

static void test_http__get_not_found__head_data_end(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 7, "/nothing?a=b&c=%2F");
    assert_int_equal(h->done, 0); /* never from inside send */
    HARNESS_UNTIL(h, h->done == 1);
    struct harness_record *r = &h->records[7];
    assert_int_equal(r->heads, 1);
    assert_int_equal(r->ends, 1);
    assert_int_equal(r->status, 404);
    assert_int_equal(r->media, MU_MEDIA_TEXT);
    assert_string_equal(r->first, "no such thing");
    assert_string_equal(h->last_path, "/nothing");
    assert_string_equal(h->last_query, "a=b&c=%2F");
    assert_string_equal(h->last_accept, "application/vnd.kubernetes.protobuf, application/json");
    assert_non_null(strstr(h->last_agent, "muster/"));
    assert_true(h->last_http2);
    harness_free(h);
}

static void test_http__each_method_with_body__arrives_whole(void **state)
{
    (void)state;
    static const enum mu_method methods[] = {MU_GET, MU_POST, MU_PUT, MU_PATCH, MU_DELETE};
    struct harness *h = harness_pair(server_defaults, client_defaults);
    for (uint32_t i = 0; i < 5; i++) {
        struct mu_request request = harness_request(i + 1, methods[i], "/echo");
        request.content = methods[i] == MU_PATCH ? MU_MEDIA_MERGE_PATCH : MU_MEDIA_PROTOBUF;
        if (methods[i] != MU_GET)
            harness_fill(&request.body, 100 + i);
        harness_send(h, request);
        HARNESS_UNTIL(h, h->done == i + 1);
        assert_int_equal(h->last_method, methods[i]);
        assert_true(h->last_body_ok);
        assert_int_equal(h->last_body_len, methods[i] == MU_GET ? 0 : 100 + i);
        assert_int_equal(h->records[i + 1].status, 200);
        assert_int_equal(h->records[i + 1].bytes, h->last_body_len);
        assert_true(h->records[i + 1].pattern_ok);
    }
    assert_string_equal(h->last_content_type, "application/vnd.kubernetes.protobuf");
    assert_int_equal(h->records[4].media, MU_MEDIA_MERGE_PATCH);
    assert_int_equal(h->records[1].media, MU_MEDIA_NONE);
    harness_free(h);
}

static void test_http__throttled__retry_after_is_reported(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 1, "/busy");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].status, 429);
    assert_int_equal(h->records[1].retry_after_s, 7);
    assert_int_equal(h->records[1].media, MU_MEDIA_TEXT);
    harness_free(h);
}

static void test_http_send__bad_requests__refused(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    struct mu_request zero = harness_request(0, MU_GET, "/x");
    assert_int_equal(mu_http_client_send(h->client, &zero), MU_EINVAL);
    assert_non_null(zero.path.data); /* still the caller's */
    mu_buf_fini(&zero.path);
    struct mu_request relative = harness_request(1, MU_GET, "x");
    assert_int_equal(mu_http_client_send(h->client, &relative), MU_EINVAL);
    mu_buf_fini(&relative.path);
    harness_get(h, 1, "/hold");
    struct mu_request again = harness_request(1, MU_GET, "/x");
    assert_int_equal(mu_http_client_send(h->client, &again), MU_EINVAL);
    /* A bad request in an outbox does not hold up the ones behind it. */
    struct mu_outbox outbox = {0};
    struct mu_request *slot = mu_outbox_add(&outbox);
    *slot = again;
    slot = mu_outbox_add(&outbox);
    *slot = harness_request(2, MU_GET, "/status?s=200");
    assert_int_equal(mu_http_client_drain(h->client, &outbox), MU_EINVAL);
    assert_true(mu_outbox_empty(&outbox));
    mu_outbox_fini(&outbox);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[2].ends, 1);
    harness_free(h);
}

static void test_http_create__bad_configuration__refused(void **state)
{
    (void)state;
    struct harness *h = harness_new();
    struct mu_http_client *client = NULL;
    struct mu_http_client_config config = {.host = MU_STR(""), .port = 1};
    assert_int_equal(mu_http_client_create(&h->loop, &config, harness_on_reply, h, &client),
                     MU_EINVAL);
    config.host = MU_STR("127.0.0.1");
    config.connections = 65;
    assert_int_equal(mu_http_client_create(&h->loop, &config, harness_on_reply, h, &client),
                     MU_EINVAL);
    struct mu_http_server_config bad = {.host = MU_STR("not an address"),
                                        .on_request = harness_on_request};
    struct mu_http_server *server = NULL;
    uint16_t port = 0;
    assert_int_equal(mu_http_server_create(&h->loop, &bad, &server, &port), MU_EINVAL);
    /* A port in use is libuv's to report. */
    harness_server(h, server_defaults);
    struct mu_http_server_config taken = {
        .host = MU_STR("127.0.0.1"), .port = h->port, .on_request = harness_on_request};
    assert_int_equal(mu_http_server_create(&h->loop, &taken, &server, &port), UV_EADDRINUSE);
    assert_null(server);
    harness_free(h);
}

/* ---- bulk ---------------------------------------------------------------------------------- */

struct bulk {
    uint32_t next, total;
};

static void bulk_send(struct harness *h, struct bulk *bulk)
{
    uint32_t token = ++bulk->next;
    struct mu_request request = harness_request(token, MU_POST, "/echo");
    request.content = MU_MEDIA_PROTOBUF;
    request.timeout_ns = 50 * MU_NS_PER_S;
    harness_fill(&request.body, 160 + token % 50);
    harness_send(h, request);
}

static void bulk_on_reply(struct harness *h, const struct mu_reply *reply)
{
    struct bulk *bulk = h->user;
    if (reply->kind == MU_REPLY_END && bulk->next < bulk->total)
        bulk_send(h, bulk);
}

static void bulk_run(uint32_t total, uint32_t in_flight, uint32_t connections, uint32_t each,
                     uint32_t server_streams)
{
    struct mu_http_server_config server = {.streams_max = server_streams};
    struct mu_http_client_config client = {.connections = connections, .streams_each = each};
    struct harness *h = harness_pair(server, client);
    struct bulk bulk = {0, total};
    struct mu_http_client_stats stats;
    h->user = &bulk;
    h->on_reply = bulk_on_reply;
    for (uint32_t i = 0; i < in_flight; i++)
        bulk_send(h, &bulk);
    HARNESS_UNTIL(h, h->done == total);
    for (uint32_t token = 1; token <= total; token++) {
        const struct harness_record *r = &h->records[token];
        assert_true(r->ends == 1 && r->status == 200 && r->pattern_ok);
        assert_int_equal(r->bytes, 160 + token % 50);
    }
    mu_http_client_stats(h->client, &stats);
    assert_int_equal(stats.replies, total);
    assert_int_equal(stats.lost + stats.open_requests + stats.queued, 0);
    assert_true(stats.connections >= 1 && stats.connections <= connections);
    if (in_flight > (uint64_t)each * (connections - 1))
        assert_int_equal(stats.connects, connections);
    harness_free(h);
}

static void test_http__10000_requests_1000_on_one_connection__all_answered(void **state)
{
    (void)state;
    bulk_run(10000, 1000, 1, 1000, 1000);
}

static void test_http__10000_requests_1000_on_four_connections__all_answered(void **state)
{
    (void)state;
    bulk_run(10000, 1000, 4, 250, 250);
}

static void test_http__server_allows_fewer_streams__the_rest_waits(void **state)
{
    (void)state;
    bulk_run(5000, 1000, 1, 1000, 7);
}

static void test_http__10000_queued_at_once_default_limits__all_answered(void **state)
{
    (void)state;
    bulk_run(10000, 10000, 4, 100, 100);
}

/* ---- large bodies and streams -------------------------------------------------------------- */

static void test_http__large_request_bodies__whole(void **state)
{
    (void)state;
    struct mu_http_server_config server = {.body_max = (size_t)64 << 20};
    struct harness *h = harness_pair(server, client_defaults);
    for (uint32_t i = 1; i <= 3; i++) {
        struct mu_request request = harness_request(i, MU_PUT, "/status?s=201");
        harness_fill(&request.body, (uint64_t)(8 + 4 * i) << 20);
        harness_send(h, request);
    }
    HARNESS_UNTIL(h, h->done == 3);
    for (uint32_t i = 1; i <= 3; i++)
        assert_int_equal(h->records[i].status, 201);
    assert_true(h->last_body_ok);
    harness_free(h);
}

static void test_http__large_response_bodies_at_once__whole(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    for (uint32_t i = 1; i <= 4; i++)
        harness_get(h, i, "/big?n=20000003");
    harness_get(h, 5, "/status?s=200"); /* is not starved by them */
    HARNESS_UNTIL(h, h->done == 5);
    for (uint32_t i = 1; i <= 4; i++) {
        assert_int_equal(h->records[i].bytes, 20000003);
        assert_true(h->records[i].pattern_ok && h->records[i].ends == 1);
    }
    assert_int_equal(h->records[5].ends, 1);
    harness_free(h);
}

static void test_http__stream__back_pressure_and_drain(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    struct mu_request request = harness_request(1, MU_GET, "/stream?n=30000000");
    request.stream = true;
    harness_send(h, request);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].bytes, 30000000);
    assert_true(h->records[1].pattern_ok && h->records[1].ends == 1);
    assert_int_equal(h->records[1].media, MU_MEDIA_PROTOBUF);
    assert_true(h->again > 0); /* the writer was told to wait, and woken as often */
    assert_int_equal(h->drains, h->again);
    harness_free(h);
}

static void test_http__reply_above_its_cap__lost(void **state)
{
    (void)state;
    struct mu_http_client_config client = {.body_max = 1000000};
    struct harness *h = harness_pair(server_defaults, client);
    harness_get(h, 1, "/big?n=1000000");
    harness_get(h, 2, "/big?n=1000001");
    struct mu_request request = harness_request(3, MU_GET, "/stream?n=2000000");
    request.stream = true; /* streams have no cap */
    harness_send(h, request);
    HARNESS_UNTIL(h, h->done == 3);
    assert_int_equal(h->records[1].ends, 1);
    assert_int_equal(h->records[2].losts, 1);
    assert_int_equal(h->records[2].error, MU_ELIMIT);
    assert_false(h->records[2].not_sent);
    assert_int_equal(h->records[3].bytes, 2000000);
    harness_free(h);
}

static void test_http__request_above_the_servers_cap__413_and_the_connection_lives(void **state)
{
    (void)state;
    struct mu_http_server_config server = {.body_max = 100000};
    struct mu_http_client_config client = {.connections = 1};
    struct harness *h = harness_pair(server, client);
    struct mu_request request = harness_request(1, MU_POST, "/echo");
    harness_fill(&request.body, 20 << 20);
    harness_send(h, request);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].ends, 1);
    assert_int_equal(h->records[1].status, 413);
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    struct mu_http_client_stats stats;
    mu_http_client_stats(h->client, &stats);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(h->requests, 1);        /* the first never reached the handler */
    assert_true(stats.bytes_out < 18 << 20); /* and was not sent to its end */
    harness_free(h);
}

/* ---- cancelling, deadlines, closing -------------------------------------------------------- */

static void test_http_cancel__open_and_queued__silence_and_abort(void **state)
{
    (void)state;
    struct mu_http_client_config client = {.connections = 1, .streams_each = 1};
    struct harness *h = harness_pair(server_defaults, client);
    harness_get(h, 1, "/hold");
    harness_get(h, 2, "/status?s=200"); /* waits for the only stream */
    harness_get(h, 3, "/status?s=200");
    HARNESS_UNTIL(h, h->requests == 1);
    harness_cancel(h, 2);
    harness_cancel(h, 1);
    harness_cancel(h, 99); /* unknown: fine */
    HARNESS_UNTIL(h, h->done == 1 && h->aborts == 1);
    assert_int_equal(h->records[3].ends, 1);
    assert_int_equal(h->records[1].heads + h->records[1].losts, 0);
    assert_int_equal(h->records[2].heads + h->records[2].losts, 0);
    harness_free(h);
}

static void cancel_on_head(struct harness *h, const struct mu_reply *reply)
{
    if (reply->token == 1)
        harness_cancel(h, 1);
}

static void test_http_cancel__from_inside_its_own_reply__nothing_follows(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    h->on_reply = cancel_on_head;
    harness_get(h, 1, "/big?n=3000000");
    HARNESS_UNTIL(h, h->records[1].heads == 1);
    harness_get(h, 2, "/big?n=3000000");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].datas + h->records[1].ends + h->records[1].losts, 0);
    assert_int_equal(h->records[2].bytes, 3000000);
    harness_free(h);
}

static void test_http__deadline_passes__lost_and_aborted(void **state)
{
    (void)state;
    struct mu_http_client_config client = {.connections = 1, .streams_each = 1};
    struct harness *h = harness_pair(server_defaults, client);
    struct mu_request request = harness_request(1, MU_GET, "/hold");
    request.timeout_ns = 100 * MU_NS_PER_MS;
    harness_send(h, request);
    request = harness_request(2, MU_GET, "/status?s=200");
    request.timeout_ns = 40 * MU_NS_PER_MS; /* passes while it waits for the stream */
    harness_send(h, request);
    uint64_t start_ns = uv_hrtime();
    HARNESS_UNTIL(h, h->done == 2 && h->aborts == 1);
    assert_true(uv_hrtime() - start_ns >= 100 * MU_NS_PER_MS);
    assert_int_equal(h->records[1].error, MU_ETIMEOUT);
    assert_false(h->records[1].not_sent);
    assert_int_equal(h->records[2].error, MU_ETIMEOUT);
    assert_true(h->records[2].not_sent);
    harness_get(h, 3, "/status?s=200"); /* the stream is free again */
    HARNESS_UNTIL(h, h->done == 3);
    assert_int_equal(h->records[3].ends, 1);
    harness_free(h);
}

static void test_http__silent_stream__lost_only_after_silence(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    struct mu_request request = harness_request(1, MU_GET, "/open");
    request.stream = true;
    request.timeout_ns = 400 * MU_NS_PER_MS;
    harness_send(h, request);
    HARNESS_UNTIL(h, h->records[1].datas == 1);
    uint64_t start_ns = uv_hrtime();
    /* Bytes keep it alive beyond its first deadline ... */
    for (uint32_t i = 0; i < 8; i++) {
        harness_nap(h, 80);
        if (h->held[0] != NULL)
            assert_int_equal(mu_http_respond_write(h->held[0], MU_STR("x")), 0);
    }
    if (uv_hrtime() - start_ns < 1200 * MU_NS_PER_MS) /* else the machine slept through it */
        assert_int_equal(h->records[1].losts, 0);
    /* ... and silence ends it. */
    HARNESS_UNTIL(h, h->done == 1 && h->aborts == 1);
    assert_int_equal(h->records[1].error, MU_ETIMEOUT);
    harness_free(h);
}

static void test_http_close__requests_open_and_queued__each_lost_once(void **state)
{
    (void)state;
    struct mu_http_client_config client = {.connections = 2, .streams_each = 10};
    struct harness *h = harness_pair(server_defaults, client);
    for (uint32_t i = 1; i <= 100; i++)
        harness_get(h, i, "/hold");
    HARNESS_UNTIL(h, h->requests == 20);
    harness_close_client(h);
    assert_int_equal(h->done, 100);
    uint32_t not_sent = 0;
    for (uint32_t i = 1; i <= 100; i++) {
        assert_int_equal(h->records[i].losts, 1);
        assert_int_equal(h->records[i].error, MU_ECLOSED);
        not_sent += h->records[i].not_sent;
    }
    assert_int_equal(not_sent, 80);
    HARNESS_UNTIL(h, h->aborts == 20);
    harness_free(h);
}

static void close_on_reply(struct harness *h, const struct mu_reply *reply)
{
    if (reply->kind != MU_REPLY_DATA || h->closed > 0)
        return;
    struct mu_http_client *client = h->client;
    h->on_reply = NULL;
    mu_http_client_close(client, harness_on_closed, h);
    struct mu_request late = harness_request(50, MU_GET, "/x");
    assert_int_equal(mu_http_client_send(client, &late), MU_ECLOSED);
    mu_buf_fini(&late.path);
}

static void test_http_close__from_inside_a_reply__closes(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    h->on_reply = close_on_reply;
    harness_get(h, 1, "/big?n=5000000");
    harness_get(h, 2, "/hold");
    HARNESS_UNTIL(h, h->closed == 1);
    h->client = NULL;
    assert_int_equal(h->records[1].losts, 1);
    assert_int_equal(h->records[2].losts, 1);
    harness_free(h);
}

static void test_http_close__never_used__closed(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_close_client(h);
    harness_close_server(h);
    harness_free(h);
}

static void test_http_close__while_connecting__lost_not_sent(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 1, "/x");
    (void)uv_run(&h->loop, UV_RUN_NOWAIT); /* the connect is under way, or its greeting */
    harness_close_client(h);
    assert_int_equal(h->records[1].losts, 1);
    assert_int_equal(h->records[1].error, MU_ECLOSED);
    harness_free(h);
}

static void test_http_server_close__requests_open__aborted_and_lost(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 1, "/hold");
    harness_get(h, 2, "/open");
    HARNESS_UNTIL(h, h->requests == 2 && h->records[2].datas == 1);
    harness_close_server(h);
    assert_int_equal(h->aborts, 2);
    HARNESS_UNTIL(h, h->done == 2);
    for (uint32_t i = 1; i <= 2; i++) {
        assert_int_equal(h->records[i].losts, 1);
        assert_false(h->records[i].not_sent);
    }
    /* The next request finds nobody. */
    harness_get(h, 3, "/x");
    HARNESS_UNTIL(h, h->done == 3);
    assert_int_equal(h->records[3].losts, 1);
    assert_true(h->records[3].not_sent);
    harness_free(h);
}

static void test_http_reset__lost_reply__sent(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 1, "/reset");
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].losts, 1);
    assert_int_equal(h->records[1].error, MU_ECLOSED);
    assert_false(h->records[1].not_sent);
    assert_int_equal(h->aborts, 0); /* whoever resets knows */
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    assert_int_equal(h->records[2].ends, 1);
    harness_free(h);
}

static void test_http__writer_ignores_the_mark__stream_is_cut_at_the_bound(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    struct mu_request request = harness_request(1, MU_GET, "/open");
    request.stream = true;
    harness_send(h, request);
    HARNESS_UNTIL(h, h->records[1].datas == 1);
    static char piece[1 << 20];
    uint64_t written = 0;
    int r = 0;
    do { /* without turning the loop: nothing is taken */
        r = mu_http_respond_write(h->held[0], (struct mu_str){piece, sizeof piece});
        written += r == 0 || r == MU_EAGAIN ? sizeof piece : 0;
        assert_true(written <= 64 << 20);
    } while (r == 0 || r == MU_EAGAIN);
    assert_int_equal(r, MU_ELIMIT);
    HARNESS_UNTIL(h, h->done == 1);
    assert_int_equal(h->records[1].losts, 1);
    assert_int_equal(h->aborts, 0);
    harness_free(h);
}

static void test_http__two_servers_in_turn__client_reconnects(void **state)
{
    (void)state;
    struct harness *h = harness_pair(server_defaults, client_defaults);
    harness_get(h, 1, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 1);
    harness_close_server(h);
    struct mu_http_server_config again = {.port = h->port};
    harness_server(h, again);
    harness_get(h, 2, "/status?s=200");
    HARNESS_UNTIL(h, h->done == 2);
    /* The loss of the old connection may be seen with the request on it, or before. */
    if (h->records[2].losts == 1) {
        harness_get(h, 3, "/status?s=200");
        HARNESS_UNTIL(h, h->done == 3);
        assert_int_equal(h->records[3].ends, 1);
    }
    harness_free(h);
}

/* ---- out of memory ------------------------------------------------------------------------- */

/* True when the failure that mu_test_fail_each has set is still to come: the code under test made
 * fewer allocations. It is used up here. */
static bool oom_unmet(void)
{
    for (uint32_t i = 0; i < 5000; i++) {
        void *block = mu_mem_alloc(1);
        if (block == NULL)
            return true;
        mu_mem_free(block);
    }
    return false;
}

static uint32_t oom_send(struct harness *h)
{
    static const char *const paths[] = {"/echo", "/busy", "/echo"};
    uint32_t sent = 0;
    for (uint32_t i = 0; i < 3 && h->client != NULL; i++) {
        struct mu_request request = {.token = i + 1, .method = MU_POST};
        request.timeout_ns = 5 * MU_NS_PER_S;
        (void)mu_buf_append_text(&request.path, paths[i]);
        (void)mu_buf_append(&request.body, "abc", 3);
        if (mu_http_client_send(h->client, &request) == 0) {
            sent++;
        } else {
            mu_buf_fini(&request.path);
            mu_buf_fini(&request.body);
        }
    }
    return sent;
}

/* A few exchanges while the nth allocation fails: whatever it hits, every request that was taken
 * is answered or lost, both sides close, and nothing leaks. True when no allocation failed. */
static bool oom_body(void *context)
{
    struct harness *h = context; /* its memory was there before the failures began */
    memset(h->records, 0, 16 * sizeof *h->records);
    h->done = h->requests = h->closed = 0;
    h->server = NULL;
    h->client = NULL;
    assert_int_equal(uv_loop_init(&h->loop), 0);
    struct mu_http_server_config server = {.host = MU_STR("127.0.0.1"),
                                           .on_request = harness_on_request,
                                           .on_abort = harness_on_abort,
                                           .on_drain = harness_on_drain,
                                           .context = h};
    if (mu_http_server_create(&h->loop, &server, &h->server, &h->port) != 0)
        h->server = NULL;
    struct mu_http_client_config client = {
        .host = MU_STR("127.0.0.1"), .port = h->port, .connections = 1};
    if (mu_http_client_create(&h->loop, &client, harness_on_reply, h, &h->client) != 0)
        h->client = NULL;
    uint32_t sent = oom_send(h);
    while (h->done < sent)
        assert_int_equal(uv_run(&h->loop, UV_RUN_ONCE) != 0 || h->done == sent, 1);
    bool unmet = oom_unmet();
    if (unmet)
        assert_int_equal(h->records[1].ends + h->records[2].ends + h->records[3].ends, 3);
    uint32_t open = (h->client != NULL ? 1u : 0u) + (h->server != NULL ? 1u : 0u);
    if (h->client != NULL)
        mu_http_client_close(h->client, harness_on_closed, h);
    if (h->server != NULL)
        mu_http_server_close(h->server, harness_on_closed, h);
    (void)uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(h->closed, open);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    return unmet;
}

static void test_http__each_allocation_fails__answered_or_lost_never_hung(void **state)
{
    (void)state;
    struct harness *h = mu_mem_zalloc(sizeof *h);
    assert_non_null(h);
    h->records = mu_mem_calloc(16, sizeof *h->records);
    assert_non_null(h->records);
    assert_true(mu_test_fail_each(oom_body, h) > 50);
    mu_mem_free(h->records);
    mu_mem_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http__get_not_found__head_data_end),
        cmocka_unit_test(test_http__each_method_with_body__arrives_whole),
        cmocka_unit_test(test_http__throttled__retry_after_is_reported),
        cmocka_unit_test(test_http_send__bad_requests__refused),
        cmocka_unit_test(test_http_create__bad_configuration__refused),
        cmocka_unit_test(test_http__10000_requests_1000_on_one_connection__all_answered),
        cmocka_unit_test(test_http__10000_requests_1000_on_four_connections__all_answered),
        cmocka_unit_test(test_http__server_allows_fewer_streams__the_rest_waits),
        cmocka_unit_test(test_http__10000_queued_at_once_default_limits__all_answered),
        cmocka_unit_test(test_http__large_request_bodies__whole),
        cmocka_unit_test(test_http__large_response_bodies_at_once__whole),
        cmocka_unit_test(test_http__stream__back_pressure_and_drain),
        cmocka_unit_test(test_http__reply_above_its_cap__lost),
        cmocka_unit_test(test_http__request_above_the_servers_cap__413_and_the_connection_lives),
        cmocka_unit_test(test_http_cancel__open_and_queued__silence_and_abort),
        cmocka_unit_test(test_http_cancel__from_inside_its_own_reply__nothing_follows),
        cmocka_unit_test(test_http__deadline_passes__lost_and_aborted),
        cmocka_unit_test(test_http__silent_stream__lost_only_after_silence),
        cmocka_unit_test(test_http_close__requests_open_and_queued__each_lost_once),
        cmocka_unit_test(test_http_close__from_inside_a_reply__closes),
        cmocka_unit_test(test_http_close__never_used__closed),
        cmocka_unit_test(test_http_close__while_connecting__lost_not_sent),
        cmocka_unit_test(test_http_server_close__requests_open__aborted_and_lost),
        cmocka_unit_test(test_http_reset__lost_reply__sent),
        cmocka_unit_test(test_http__writer_ignores_the_mark__stream_is_cut_at_the_bound),
        cmocka_unit_test(test_http__two_servers_in_turn__client_reconnects),
        cmocka_unit_test(test_http__each_allocation_fails__answered_or_lost_never_hung),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
