/* TLS between two buffers: every way a handshake can go, and bytes cut anywhere. */
#include "informer/tls_session.h"

#include "informer/limits.h"
#include "tests/tls_kit.h"

static struct tls_kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_free(kit);
    return 0;
}

/* ---- two of ours ---------------------------------------------------------------------------- */

struct side {
    struct mu_tls_session *session;
    struct mu_buf plain; /* what it has read */
    int error;           /* the first of handshake and read */
};

struct pair {
    struct side client, server;
};

static struct pair pair_new(struct mu_tls *client, struct mu_tls *server, const char *host)
{
    struct pair p = {0};
    assert_int_equal(mu_tls_session_create(client, host, &p.client.session), 0);
    assert_int_equal(mu_tls_session_create(server, NULL, &p.server.session), 0);
    mu_tls_unref(client); /* the sessions hold theirs */
    mu_tls_unref(server);
    return p;
}

static void pair_free(struct pair *p)
{
    mu_tls_session_destroy(p->client.session);
    mu_tls_session_destroy(p->server.session);
    mu_buf_fini(&p->client.plain);
    mu_buf_fini(&p->server.plain);
}

/* Have a side read bytes as the wire does. */
static void side_read(struct side *s, const uint8_t *data, size_t len)
{
    uint8_t room[1000];
    ptrdiff_t n = 1;
    if (s->error != 0)
        return;
    mu_tls_session_feed(s->session, data, len);
    if (!mu_tls_session_established(s->session))
        n = mu_tls_session_handshake(s->session);
    while (n > 0 && (n = mu_tls_session_read(s->session, room, sizeof room)) > 0)
        assert_int_equal(mu_buf_append(&s->plain, room, (size_t)n), 0);
    s->error = n < 0 ? (int)n : 0;
}

/* Carry what `from` has to say over, `step` bytes a time. False: it had nothing to say. */
static bool carry(struct side *from, struct side *to, size_t step)
{
    struct mu_buf said = {0};
    assert_int_equal(mu_tls_session_flush(from->session, &said), 0);
    for (size_t at = 0; at < said.len; at += step)
        side_read(to, said.data + at, said.len - at < step ? said.len - at : step);
    bool any = said.len > 0;
    mu_buf_fini(&said);
    return any;
}

/* Until both are silent. */
static void converse(struct pair *p, size_t step)
{
    if (!mu_tls_session_established(p->client.session) && p->client.error == 0)
        side_read(&p->client, NULL, 0);
    bool more = true;
    while (more) {
        more = carry(&p->client, &p->server, step);
        more |= carry(&p->server, &p->client, step);
    }
}

static void say(struct side *from, struct side *to, const void *data, size_t len, size_t step)
{
    struct mu_buf said = {0};
    assert_int_equal(mu_tls_session_write(from->session, data, len, &said), 0);
    for (size_t at = 0; at < said.len; at += step)
        side_read(to, said.data + at, said.len - at < step ? said.len - at : step);
    mu_buf_fini(&said);
}

static void assert_up(const struct pair *p)
{
    if (p->client.error != 0 || p->server.error != 0)
        fail_msg("client: %s; server: %s", mu_tls_session_problem(p->client.session),
                 mu_tls_session_problem(p->server.session));
    assert_true(mu_tls_session_established(p->client.session));
    assert_true(mu_tls_session_established(p->server.session));
    assert_string_equal(mu_tls_session_problem(p->client.session), "");
}

static void assert_problem(const struct side *s, const char *words)
{
    assert_int_equal(s->error, MU_ETLS);
    assert_true(mu_tls_session_failed(s->session));
    if (strstr(mu_tls_session_problem(s->session), words) == NULL)
        fail_msg("expected '%s' in '%s'", words, mu_tls_session_problem(s->session));
}

static void assert_str(struct mu_str s, const char *text)
{
    assert_true(mu_str_equal(s, mu_str_of(text)));
}

static void test_session__name_and_client_certificate__knows_the_peer(void **state)
{
    (void)state;
    struct pair p = pair_new(kit_client(kit->ca, &kit->client, ""),
                             kit_server(&kit->server, kit->ca), "localhost");
    converse(&p, SIZE_MAX);
    assert_up(&p);
    assert_str(mu_tls_session_protocol(p.client.session), "h2");
    assert_str(mu_tls_session_protocol(p.server.session), "h2");
    const struct mu_tls_peer *peer = mu_tls_session_peer(p.server.session);
    assert_non_null(peer);
    assert_str(peer->name, "alice");
    assert_int_equal(peer->group_count, 2);
    assert_str(peer->groups[0], "system:masters");
    assert_str(peer->groups[1], "team");
    assert_null(mu_tls_session_peer(p.client.session));
    say(&p.client, &p.server, "ping", 4, SIZE_MAX);
    say(&p.server, &p.client, "pong", 4, SIZE_MAX);
    assert_str(kit_str(&p.server.plain), "ping");
    assert_str(kit_str(&p.client.plain), "pong");
    pair_free(&p);
}

static void test_session__no_client_certificate__nobody(void **state)
{
    (void)state;
    struct pair p =
        pair_new(kit_client(kit->ca, NULL, ""), kit_server(&kit->server, kit->ca), "127.0.0.1");
    converse(&p, SIZE_MAX);
    assert_up(&p);
    assert_null(mu_tls_session_peer(p.server.session));
    pair_free(&p);
    /* Not asked for: a certificate is not shown. */
    p = pair_new(kit_client(kit->ca, &kit->client, ""), kit_server(&kit->server, NULL), "::1");
    converse(&p, SIZE_MAX);
    assert_up(&p);
    assert_null(mu_tls_session_peer(p.server.session));
    pair_free(&p);
}

static void test_session__hosts__verified(void **state)
{
    (void)state;
    static const struct {
        const char *host, *name, *problem;
    } cases[] = {
        {"localhost", "", NULL},
        {"LOCALHOST.", "", NULL},
        {"127.0.0.1", "", NULL},
        {"::1", "", NULL},
        {"0:0:0:0:0:0:0:1", "", NULL},
        {"::1%lo", "", NULL},
        {"a.wild.example", "", NULL},
        {"10.0.0.1", "localhost", NULL},
        {"elsewhere.example", "127.0.0.1", NULL},
        {"elsewhere.example", "", "hostname mismatch (it is not valid for elsewhere.example)"},
        {"a.b.wild.example", "", "hostname mismatch"},
        {"wild.example", "", "hostname mismatch"},
        {"127.0.0.2", "", "IP address mismatch (it is not valid for 127.0.0.2)"},
        {"::2", "", "IP address mismatch"},
        {"localhost", "kubernetes", "hostname mismatch (it is not valid for kubernetes)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair p = pair_new(kit_client(kit->ca, NULL, cases[i].name),
                                 kit_server(&kit->server, NULL), cases[i].host);
        converse(&p, SIZE_MAX);
        if (cases[i].problem == NULL) {
            assert_up(&p);
        } else {
            assert_problem(&p.client, cases[i].problem);
            assert_false(mu_tls_session_established(p.client.session));
            assert_problem(&p.server, "does not accept our certificate");
        }
        pair_free(&p);
    }
}

static void test_session__server_not_to_be_trusted__refused(void **state)
{
    (void)state;
    const struct {
        const struct mu_pki *trusted;
        const struct kit_pair *shown;
        const char *problem;
    } cases[] = {
        {kit->stranger, &kit->server, "unable to get local issuer certificate"},
        {kit->ca, &kit->expired, "certificate has expired"},
        {kit->ca, &kit->early, "certificate is not yet valid"},
        {kit->ca, &kit->nameless, "hostname mismatch"}, /* its CN would fit */
        {kit->ca, &kit->client, "unsuitable certificate purpose"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair p = pair_new(kit_client(cases[i].trusted, NULL, ""),
                                 kit_server(cases[i].shown, NULL), "localhost");
        converse(&p, SIZE_MAX);
        assert_problem(&p.client, cases[i].problem);
        assert_non_null(
            strstr(mu_tls_session_problem(p.client.session), "certificate verify failed: "));
        assert_true(p.server.error != 0);
        pair_free(&p);
    }
}

static void test_session__insecure__anything_goes(void **state)
{
    (void)state;
    struct mu_tls *tls = NULL;
    struct mu_error error;
    const struct mu_tls_client_config config = {.ca = mu_pki_ca(kit->stranger), .insecure = true};
    assert_int_equal(mu_tls_client_create(&config, &tls, &error), 0);
    struct pair p = pair_new(tls, kit_server(&kit->expired, NULL), "elsewhere");
    converse(&p, SIZE_MAX);
    assert_up(&p);
    pair_free(&p);
}

/* A leaf in the bundle is an anchor by itself, as Go has it. */
static void test_session__leaf_as_anchor__trusted(void **state)
{
    (void)state;
    struct mu_tls *tls = NULL;
    struct mu_error error;
    const struct mu_tls_client_config config = {.ca = kit_str(&kit->server.cert)};
    assert_int_equal(mu_tls_client_create(&config, &tls, &error), 0);
    struct pair p = pair_new(tls, kit_server(&kit->server, NULL), "localhost");
    converse(&p, SIZE_MAX);
    assert_up(&p);
    pair_free(&p);
}

static void test_session__strangers_client_certificate__both_say_why(void **state)
{
    (void)state;
    struct pair p = pair_new(kit_client(kit->ca, &kit->no_name, ""),
                             kit_server(&kit->server, kit->ca), "localhost");
    converse(&p, SIZE_MAX);
    assert_problem(&p.server, "certificate verify failed: unable to get local issuer certificate");
    assert_null(mu_tls_session_peer(p.server.session));
    /* TLS 1.3: the client was through already, and hears of it behind the handshake. */
    assert_problem(&p.client, "the server does not accept our certificate: unknown CA");
    pair_free(&p);
}

/* ---- cut anywhere --------------------------------------------------------------------------- */

static void test_session__one_byte_at_a_time__the_same(void **state)
{
    (void)state;
    struct pair p = pair_new(kit_client(kit->ca, &kit->client, ""),
                             kit_server(&kit->server, kit->ca), "localhost");
    converse(&p, 1);
    assert_up(&p);
    assert_non_null(mu_tls_session_peer(p.server.session));
    uint8_t data[40000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    say(&p.client, &p.server, data, sizeof data, 1); /* three records */
    assert_int_equal(p.server.plain.len, sizeof data);
    assert_memory_equal(p.server.plain.data, data, sizeof data);
    pair_free(&p);
}

static void test_session__random_cuts__the_same(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(11);
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)mu_random_below(&run.random, 256);
    for (; run.step < 40; run.step++) {
        struct pair p = pair_new(kit_client(kit->ca, &kit->client, ""),
                                 kit_server(&kit->server, kit->ca), "localhost");
        converse(&p, 1 + mu_random_below(&run.random, 300));
        assert_up(&p);
        for (int i = 0; i < 5; i++) {
            struct side *from = mu_random_below(&run.random, 2) == 0 ? &p.client : &p.server;
            struct side *to = from == &p.client ? &p.server : &p.client;
            size_t len = 1 + mu_random_below(&run.random, sizeof data);
            mu_buf_clear(&to->plain);
            say(from, to, data, len, 1 + mu_random_below(&run.random, 20000));
            MU_TEST_CHECK(&run, to->plain.len == len && memcmp(to->plain.data, data, len) == 0);
        }
        pair_free(&p);
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

static void test_session__finish__the_other_side_may_go_on(void **state)
{
    (void)state;
    struct pair p =
        pair_new(kit_client(kit->ca, NULL, ""), kit_server(&kit->server, NULL), "localhost");
    struct mu_buf said = {0};
    converse(&p, SIZE_MAX);
    assert_up(&p);
    assert_int_equal(mu_tls_session_finish(p.client.session, &said), 0);
    assert_true(said.len > 0);
    side_read(&p.server, said.data, said.len);
    assert_int_equal(p.server.error, MU_ECLOSED);
    assert_false(mu_tls_session_failed(p.server.session));
    size_t before = said.len;
    assert_int_equal(mu_tls_session_finish(p.client.session, &said), 0);
    assert_int_equal(said.len, before); /* once is enough */
    say(&p.server, &p.client, "answer", 6, SIZE_MAX);
    assert_str(kit_str(&p.client.plain), "answer");
    mu_buf_fini(&said);
    pair_free(&p);
}

static void test_session__cut_in_the_handshake__said_so(void **state)
{
    (void)state;
    struct pair p =
        pair_new(kit_client(kit->ca, NULL, ""), kit_server(&kit->server, NULL), "localhost");
    side_read(&p.client, NULL, 0);
    mu_tls_session_cut(p.client.session);
    assert_string_equal(mu_tls_session_problem(p.client.session),
                        "the server closed the connection during the TLS handshake");
    pair_free(&p);
    p = pair_new(kit_client(kit->ca, NULL, ""), kit_server(&kit->server, NULL), "localhost");
    converse(&p, SIZE_MAX);
    mu_tls_session_cut(p.client.session); /* up: an end like any other */
    assert_string_equal(mu_tls_session_problem(p.client.session), "");
    pair_free(&p);
}

/* ---- what the peer should not do ------------------------------------------------------------ */

static void test_session__damaged_record__fails_with_an_alert(void **state)
{
    (void)state;
    struct pair p =
        pair_new(kit_client(kit->ca, NULL, ""), kit_server(&kit->server, NULL), "localhost");
    struct mu_buf said = {0};
    converse(&p, SIZE_MAX);
    assert_int_equal(mu_tls_session_write(p.client.session, (const uint8_t *)"secret", 6, &said),
                     0);
    said.data[said.len - 1] ^= 1;
    side_read(&p.server, said.data, said.len);
    assert_problem(&p.server, "decryption failed or bad record mac");
    assert_int_equal(p.server.plain.len, 0);
    (void)carry(&p.server, &p.client, SIZE_MAX);
    assert_problem(&p.client, "the server ended TLS with the alert \"bad record mac\"");
    mu_buf_fini(&said);
    pair_free(&p);
}

static struct side server_side(void)
{
    struct side s = {0};
    struct mu_tls *tls = kit_server(&kit->server, NULL);
    assert_int_equal(mu_tls_session_create(tls, NULL, &s.session), 0);
    mu_tls_unref(tls);
    return s;
}

static void side_free(struct side *s)
{
    mu_tls_session_destroy(s->session);
    mu_buf_fini(&s->plain);
}

static void test_session__cleartext_http__recognised(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool http;
    } cases[] = {{"GET / HTTP/1.1\r\nhost: x\r\n\r\n", true},
                 {"POST /api HTTP/1.1\r\n", true},
                 {"PUT /api HTTP/1.1\r\n", true},
                 {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
                 {"SSH-2.0-OpenSSH_9.2p1\r\n", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side s = server_side();
        side_read(&s, (const uint8_t *)cases[i].text, strlen(cases[i].text));
        assert_problem(&s, "the client does not speak TLS");
        assert_true(mu_tls_session_met_http(s.session) == cases[i].http);
        struct mu_buf said = {0};
        assert_int_equal(mu_tls_session_say_plain(s.session, MU_STR("400")), 0);
        assert_int_equal(mu_tls_session_flush(s.session, &said), 0);
        assert_true(said.len >= 3 && memcmp(said.data + said.len - 3, "400", 3) == 0);
        mu_buf_fini(&said);
        side_free(&s);
    }
}

static void test_session__random_bytes__fail(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(12);
    for (; run.step < 300; run.step++) {
        uint8_t data[600];
        struct side s = server_side();
        size_t len = 1 + mu_random_below(&run.random, sizeof data);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)mu_random_below(&run.random, 256);
        if (run.step % 2 == 0) { /* looks like a handshake record for a while */
            static const uint8_t record[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
            memcpy(data, record, len < sizeof record ? len : sizeof record);
        }
        side_read(&s, data, len);
        MU_TEST_CHECK(&run, !mu_tls_session_established(s.session));
        MU_TEST_CHECK(&run, s.error == 0 || s.error == MU_ETLS);
        MU_TEST_CHECK(&run, (s.error == 0) == (mu_tls_session_problem(s.session)[0] == '\0'));
        side_free(&s);
    }
}

/* ---- OpenSSL's own as the peer --------------------------------------------------------------- */

/* Both directions until nothing moves. */
static void converse_raw(struct side *s, struct raw_tls *raw)
{
    uint8_t room[20000];
    bool more = true;
    if (!mu_tls_session_established(s->session) && s->error == 0)
        side_read(s, NULL, 0);
    while (more) {
        struct mu_buf said = {0};
        assert_int_equal(mu_tls_session_flush(s->session, &said), 0);
        if (said.len > 0)
            assert_int_equal(BIO_write(raw->in, said.data, (int)said.len), (int)said.len);
        more = said.len > 0;
        mu_buf_fini(&said);
        (void)SSL_do_handshake(raw->ssl);
        ERR_clear_error();
        int n = BIO_read(raw->out, room, sizeof room);
        if (n > 0)
            side_read(s, room, (size_t)n);
        more |= n > 0;
    }
}

static void test_session__versions__1_2_and_1_3_alone(void **state)
{
    (void)state;
    static const struct {
        int version;
        bool works;
    } cases[] = {{TLS1_3_VERSION, true},
                 {TLS1_2_VERSION, true},
                 {TLS1_1_VERSION, false},
                 {TLS1_VERSION, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side s = server_side();
        struct raw_tls raw = raw_new(false, cases[i].version, cases[i].version, "\x02h2", NULL);
        converse_raw(&s, &raw);
        assert_true(mu_tls_session_established(s.session) == cases[i].works);
        if (cases[i].works)
            assert_int_equal(SSL_version(raw.ssl), cases[i].version);
        else
            assert_problem(&s, "unsupported protocol");
        raw_free(&raw);
        side_free(&s);
        /* And the other way round. */
        raw = raw_new(true, cases[i].version, cases[i].version, NULL, &kit->server);
        struct mu_tls *tls = kit_client(kit->ca, NULL, "");
        s = (struct side){0};
        assert_int_equal(mu_tls_session_create(tls, "localhost", &s.session), 0);
        mu_tls_unref(tls);
        converse_raw(&s, &raw);
        assert_true(mu_tls_session_established(s.session) == cases[i].works);
        if (!cases[i].works)
            assert_problem(&s, "protocol version");
        raw_free(&raw);
        side_free(&s);
    }
}

static void test_session__alpn__chosen_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *offered, *chosen;
    } cases[] = {{NULL, ""},
                 {"\x08http/1.1", "http/1.1"},
                 {"\x08http/1.1\x02h2", "h2"},
                 {"\x03xyz", NULL},
                 {"\x03xyz\x08http/1.1", "http/1.1"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct side s = server_side();
        struct raw_tls raw = raw_new(false, TLS1_2_VERSION, TLS1_3_VERSION, cases[i].offered, NULL);
        converse_raw(&s, &raw);
        if (cases[i].chosen == NULL) {
            assert_problem(&s, "no application protocol");
        } else {
            assert_true(mu_tls_session_established(s.session));
            assert_str(mu_tls_session_protocol(s.session), cases[i].chosen);
        }
        raw_free(&raw);
        side_free(&s);
    }
}

static void test_session__renegotiation__refused(void **state)
{
    (void)state;
    struct side s = server_side();
    struct raw_tls raw = raw_new(false, TLS1_2_VERSION, TLS1_2_VERSION, NULL, NULL);
    converse_raw(&s, &raw);
    assert_true(mu_tls_session_established(s.session));
    size_t finished_before = SSL_get_finished(raw.ssl, NULL, 0);
    assert_int_equal(SSL_renegotiate(raw.ssl), 1);
    converse_raw(&s, &raw);
    assert_int_equal(SSL_total_renegotiations(raw.ssl), 1);                /* asked for */
    assert_true(SSL_renegotiate_pending(raw.ssl) || SSL_in_init(raw.ssl)); /* and never done */
    assert_true(finished_before > 0);
    raw_free(&raw);
    side_free(&s);
}

/* A peer that asks for new keys and never reads makes us hold no more than the bound. */
static void test_session__key_update_flood__bounded(void **state)
{
    (void)state;
    struct side s = server_side();
    struct raw_tls raw = raw_new(false, TLS1_3_VERSION, TLS1_3_VERSION, NULL, NULL);
    converse_raw(&s, &raw);
    assert_true(mu_tls_session_established(s.session));
    size_t live = mu_mem_live_bytes();
    for (int i = 0; i < 20000 && s.error == 0; i++) {
        uint8_t room[4096];
        assert_int_equal(SSL_key_update(raw.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(raw.ssl), 1);
        int n = BIO_read(raw.out, room, sizeof room);
        assert_true(n > 0);
        side_read(&s, room, (size_t)n);
        assert_true(mu_mem_live_bytes() <= live + 2 * MU_TLS_OUT_MAX);
    }
    assert_true(s.error == 0 || s.error == MU_ELIMIT);
    raw_free(&raw);
    side_free(&s);
}

static void test_session__server_demands_a_certificate__said_so(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct side s = {0};
        struct raw_tls raw = raw_new(true, versions[i], versions[i], NULL, &kit->server);
        SSL_set_verify(raw.ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        struct mu_tls *tls = kit_client(kit->ca, NULL, "");
        assert_int_equal(mu_tls_session_create(tls, "localhost", &s.session), 0);
        mu_tls_unref(tls);
        converse_raw(&s, &raw);
        assert_int_equal(s.error, MU_ETLS);
        const char *problem = mu_tls_session_problem(s.session);
        /* TLS 1.2 has no word of its own for it. */
        assert_true(strcmp(problem, "the server demands a client certificate") == 0 ||
                    (versions[i] == TLS1_2_VERSION && strstr(problem, "handshake failure")));
        raw_free(&raw);
        side_free(&s);
    }
}

/* ---- odd names ------------------------------------------------------------------------------- */

static void test_session__odd_subjects__are_nobody(void **state)
{
    (void)state;
    struct mu_str many[MU_TLS_GROUPS_MAX + 1];
    for (size_t i = 0; i < sizeof many / sizeof many[0]; i++)
        many[i] = MU_STR("team");
    for (uint32_t count = MU_TLS_GROUPS_MAX; count <= MU_TLS_GROUPS_MAX + 1; count++) {
        struct kit_pair own =
            kit_issue(kit->ca, (struct mu_pki_request){.common_name = MU_STR("bob"),
                                                       .organizations = many,
                                                       .organization_count = count,
                                                       .client = true,
                                                       .validity = kit_valid(-60, 3600)});
        struct pair p =
            pair_new(kit_client(kit->ca, &own, ""), kit_server(&kit->server, kit->ca), "localhost");
        converse(&p, SIZE_MAX);
        assert_up(&p);
        const struct mu_tls_peer *peer = mu_tls_session_peer(p.server.session);
        assert_true((peer != NULL) == (count == MU_TLS_GROUPS_MAX));
        if (peer != NULL)
            assert_int_equal(peer->group_count, MU_TLS_GROUPS_MAX);
        pair_free(&p);
        kit_pair_free(&own);
    }
}

static void test_session__hosts_that_cannot_be__refused(void **state)
{
    (void)state;
    char longer[MU_TLS_NAME_MAX + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct mu_tls *tls = kit_client(kit->ca, NULL, "");
    struct mu_tls_session *s = NULL;
    assert_int_equal(mu_tls_session_create(tls, "", &s), MU_EINVAL);
    assert_int_equal(mu_tls_session_create(tls, longer, &s), MU_EINVAL);
    assert_null(s);
    mu_tls_unref(tls);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool whole_life(void *context)
{
    (void)context;
    struct mu_tls *client = kit_client(kit->ca, &kit->client, "");
    struct mu_tls *server = kit_server(&kit->server, kit->ca);
    struct pair p = {0};
    bool ok = mu_tls_session_create(client, "localhost", &p.client.session) == 0 &&
              mu_tls_session_create(server, NULL, &p.server.session) == 0;
    mu_tls_unref(client);
    mu_tls_unref(server);
    struct mu_buf said = {0};
    struct side *sides[] = {&p.client, &p.server};
    if (ok)
        side_read(&p.client, NULL, 0);
    for (int turn = 0; ok && turn < 6; turn++) {
        struct side *from = sides[turn % 2];
        mu_buf_clear(&said);
        ok = from->error == 0 && mu_tls_session_flush(from->session, &said) == 0;
        if (ok && said.len > 0)
            side_read(sides[(turn + 1) % 2], said.data, said.len);
        ok = ok && sides[(turn + 1) % 2]->error == 0;
    }
    mu_buf_clear(&said);
    ok = ok && mu_tls_session_write(p.client.session, (const uint8_t *)"x", 1, &said) == 0;
    if (!ok) /* and then it is nothing but memory */
        assert_true((p.client.error == 0 || p.client.error == MU_ENOMEM) &&
                    (p.server.error == 0 || p.server.error == MU_ENOMEM));
    mu_buf_fini(&said);
    pair_free(&p);
    return ok;
}

/* kit_client and kit_server want their memory: only what comes behind them fails. */
static void test_session__out_of_memory__fails_whole(void **state)
{
    (void)state;
    assert_true(whole_life(NULL));
    for (uint64_t nth = 3; nth < 100; nth++) { /* the contexts take two blocks */
        size_t live = mu_mem_live_bytes();
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        bool passed = whole_life(NULL);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(mu_mem_live_bytes(), live);
        if (passed) {
            assert_true(nth > 6);
            return;
        }
    }
    fail_msg("it fails however late the failing allocation is");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session__name_and_client_certificate__knows_the_peer),
        cmocka_unit_test(test_session__no_client_certificate__nobody),
        cmocka_unit_test(test_session__hosts__verified),
        cmocka_unit_test(test_session__server_not_to_be_trusted__refused),
        cmocka_unit_test(test_session__insecure__anything_goes),
        cmocka_unit_test(test_session__leaf_as_anchor__trusted),
        cmocka_unit_test(test_session__strangers_client_certificate__both_say_why),
        cmocka_unit_test(test_session__one_byte_at_a_time__the_same),
        cmocka_unit_test(test_session__random_cuts__the_same),
        cmocka_unit_test(test_session__finish__the_other_side_may_go_on),
        cmocka_unit_test(test_session__cut_in_the_handshake__said_so),
        cmocka_unit_test(test_session__damaged_record__fails_with_an_alert),
        cmocka_unit_test(test_session__cleartext_http__recognised),
        cmocka_unit_test(test_session__random_bytes__fail),
        cmocka_unit_test(test_session__versions__1_2_and_1_3_alone),
        cmocka_unit_test(test_session__alpn__chosen_or_refused),
        cmocka_unit_test(test_session__renegotiation__refused),
        cmocka_unit_test(test_session__key_update_flood__bounded),
        cmocka_unit_test(test_session__server_demands_a_certificate__said_so),
        cmocka_unit_test(test_session__odd_subjects__are_nobody),
        cmocka_unit_test(test_session__hosts_that_cannot_be__refused),
        cmocka_unit_test(test_session__out_of_memory__fails_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
