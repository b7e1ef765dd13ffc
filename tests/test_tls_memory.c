/*
 * OpenSSL's own memory runs out: whichever of its allocations fails, contexts, certificates and
 * sessions end in an error that says so or go on, and leave nothing of ours behind.
 *
 * Its allocator can be replaced only before its first use: hence a program of its own. What OpenSSL
 * keeps for the process is made before the first failure.
 */
#include "informer/tls_session.h"
#include "tests/tls_kit.h"

static struct tls_kit *kit;
static uint64_t fail_after; /* allocations that still work; 0: all do */
static bool failed;

static bool refuse(void)
{
    if (fail_after == 0 || --fail_after > 0)
        return false;
    failed = true;
    return true;
}

static void *hook_alloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return bytes == 0 || refuse() ? NULL : mu_mem_alloc(bytes);
}

static void *hook_realloc(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (bytes == 0) {
        mu_mem_free(old);
        return NULL;
    }
    return refuse() ? NULL : mu_mem_realloc(old, bytes);
}

static void hook_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    mu_mem_free(block);
}

/* One side reads what the other has said. */
static int hear(struct mu_tls_session *from, struct mu_tls_session *to, struct mu_buf *said)
{
    uint8_t room[256];
    mu_buf_clear(said);
    int r = mu_tls_session_flush(from, said);
    if (r != 0)
        return r;
    mu_tls_session_feed(to, said->data, said->len);
    if (!mu_tls_session_established(to)) {
        r = mu_tls_session_handshake(to);
        if (r != 1)
            return r;
    }
    ptrdiff_t n;
    while ((n = mu_tls_session_read(to, room, sizeof room)) > 0) {
    }
    return (int)n;
}

static int shake_hands(struct mu_tls *client, struct mu_tls *server)
{
    struct mu_tls_session *a = NULL;
    struct mu_tls_session *b = NULL;
    struct mu_buf said = {0};
    int r = mu_tls_session_create(client, "localhost", &a);
    if (r == 0)
        r = mu_tls_session_create(server, NULL, &b);
    if (r == 0)
        r = mu_tls_session_handshake(a);
    for (int round = 0; r == 0 && round < 3; round++) {
        r = hear(a, b, &said);
        if (r == 0)
            r = hear(b, a, &said);
    }
    mu_buf_clear(&said);
    if (r == 0)
        r = mu_tls_session_write(a, (const uint8_t *)"x", 1, &said);
    /* A client of OpenSSL's that lacks the memory to sign shows no certificate, and is nobody. */
    if (r == 0 && !failed)
        assert_non_null(mu_tls_session_peer(b));
    mu_tls_session_destroy(a);
    mu_tls_session_destroy(b);
    mu_buf_fini(&said);
    return r;
}

static int make_contexts(struct mu_tls **client, struct mu_tls **server)
{
    struct mu_error error = {0};
    const struct mu_tls_client_config c = {.ca = mu_pki_ca(kit->ca),
                                           .cert = kit_str(&kit->client.cert),
                                           .key = kit_str(&kit->client.key)};
    const struct mu_tls_server_config s = {.cert = kit_str(&kit->server.cert),
                                           .key = kit_str(&kit->server.key),
                                           .client_ca = mu_pki_ca(kit->ca)};
    int r = mu_tls_client_create(&c, client, &error);
    if (r == 0)
        r = mu_tls_server_create(&s, server, &error);
    assert_true(r == 0 || error.text[0] != '\0');
    return r;
}

static int issue(void)
{
    struct mu_pki *pki = NULL;
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    struct mu_error error = {0};
    const struct mu_pki_request request = {
        .common_name = MU_STR("x"), .server = true, .validity = kit_valid(0, 60)};
    int r = mu_pki_create(MU_STR("x"), kit_valid(0, 60), &pki, &error);
    if (r == 0)
        r = mu_pki_issue(pki, &request, &cert, &key, &error);
    assert_true(r == 0 || (cert.len == 0 && key.len == 0 && error.text[0] != '\0'));
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
    mu_pki_destroy(pki);
    return r;
}

/* With the nth allocation failing, until all works without one. There are thousands: beyond the
 * first hundreds one in seven stands for its neighbours. */
static uint64_t fail_each(int (*body)(void))
{
    for (uint64_t nth = 1;; nth += nth < 300 ? 1 : 7) {
        fail_after = nth;
        failed = false;
        int r = body();
        fail_after = 0;
        assert_int_equal(ERR_peek_error(), 0);
        /* OpenSSL can do without some: then it has to work. */
        assert_true(r == 0 || failed);
        assert_true(r == 0 || r == MU_ENOMEM || r == MU_EINVAL || r == MU_ETLS);
        if (!failed)
            return nth - 1;
    }
}

static int contexts_body(void)
{
    struct mu_tls *client = NULL;
    struct mu_tls *server = NULL;
    int r = make_contexts(&client, &server);
    mu_tls_unref(client);
    mu_tls_unref(server);
    return r;
}

static struct mu_tls *ready_client, *ready_server;

static int session_body(void)
{
    return shake_hands(ready_client, ready_server);
}

static void test_memory__contexts__an_error_each_time(void **state)
{
    (void)state;
    assert_int_equal(contexts_body(), 0);
    assert_true(fail_each(contexts_body) > 100);
}

static void test_memory__sessions__an_error_each_time(void **state)
{
    (void)state;
    assert_int_equal(make_contexts(&ready_client, &ready_server), 0);
    assert_int_equal(session_body(), 0);
    assert_true(fail_each(session_body) > 100);
    mu_tls_unref(ready_client);
    mu_tls_unref(ready_server);
}

static void test_memory__certificates__an_error_each_time(void **state)
{
    (void)state;
    assert_int_equal(issue(), 0);
    assert_true(fail_each(issue) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__contexts__an_error_each_time),
        cmocka_unit_test(test_memory__sessions__an_error_each_time),
        cmocka_unit_test(test_memory__certificates__an_error_each_time),
    };
    if (CRYPTO_set_mem_functions(hook_alloc, hook_realloc, hook_free) != 1)
        return 1;
    kit = kit_new();
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    kit_free(kit);
    return status;
}
