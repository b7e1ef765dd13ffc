/* Bytes on a TLS connection, for both sides: nothing crashes or leaks, an error is put into words,
 * and no plain byte comes out that did not go in. The first byte chooses what the rest is:
 *
 *   0, 1    the first flight as it is, to the server or to the client, in pieces of the 2nd byte
 *   else    a program for two of our own sessions: shake hands, write, cut, flip and insert bytes,
 *           finish; the same program does not always give the same bytes, since keys are fresh
 *
 * covers: informer/tls_session.c */
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/pki.h"
#include "informer/tls_session.h"

#define INPUT_MAX 4096u
#define ROUNDS    8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mu_tls *servers[2]; /* the second asks for certificates */
static struct mu_tls *clients[4]; /* nobody, somebody, a stranger, without trust */

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static struct mu_tls *client_of(struct mu_pki *ca, struct mu_pki *issuer,
                                struct mu_pki_validity validity)
{
    static const struct mu_str groups[] = {{"system:masters", 14}, {"team", 4}};
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    struct mu_tls *tls = NULL;
    const struct mu_pki_request request = {.common_name = MU_STR("fuzz"),
                                           .organizations = groups,
                                           .organization_count = 2,
                                           .client = true,
                                           .validity = validity};
    int r = issuer != NULL ? mu_pki_issue(issuer, &request, &cert, &key, NULL) : 0;
    MU_ASSERT(r == 0);
    const struct mu_tls_client_config config = {
        .ca = mu_pki_ca(ca), .cert = view(&cert), .key = view(&key)};
    r = mu_tls_client_create(&config, &tls, NULL);
    MU_ASSERT(r == 0);
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
    return tls;
}

static void prepare(void)
{
    const struct mu_clock *clock = mu_clock_real();
    int64_t now_s = (int64_t)(clock->wall_ns(clock) / MU_NS_PER_S);
    const struct mu_pki_validity validity = {now_s - 3600, now_s + 86400};
    const struct mu_str name = MU_STR("localhost");
    struct mu_pki *ca = NULL;
    struct mu_pki *stranger = NULL;
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    int r = mu_pki_create(MU_STR("fuzz CA"), validity, &ca, NULL);
    MU_ASSERT(r == 0);
    r = mu_pki_create(MU_STR("stranger"), validity, &stranger, NULL);
    MU_ASSERT(r == 0);
    const struct mu_pki_request request = {
        .common_name = name, .dns = &name, .dns_count = 1, .server = true, .validity = validity};
    r = mu_pki_issue(ca, &request, &cert, &key, NULL);
    MU_ASSERT(r == 0);
    struct mu_tls_server_config config = {.cert = view(&cert), .key = view(&key)};
    r = mu_tls_server_create(&config, &servers[0], NULL);
    MU_ASSERT(r == 0);
    config.client_ca = mu_pki_ca(ca);
    r = mu_tls_server_create(&config, &servers[1], NULL);
    MU_ASSERT(r == 0);
    clients[0] = client_of(ca, NULL, validity);
    clients[1] = client_of(ca, ca, validity);
    clients[2] = client_of(ca, stranger, validity);
    clients[3] = client_of(stranger, NULL, validity);
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
    mu_pki_destroy(ca);
    mu_pki_destroy(stranger);
}

struct side {
    struct mu_tls_session *session;
    struct mu_buf wire; /* said and not delivered */
    size_t heard;       /* plain bytes */
    size_t told;        /* plain bytes that the other one has written */
    int error;
};

static void side_read(struct side *s, const uint8_t *data, size_t len)
{
    uint8_t room[1024];
    ptrdiff_t n = 1;
    if (s->error != 0)
        return;
    mu_tls_session_feed(s->session, data, len);
    if (!mu_tls_session_established(s->session))
        n = mu_tls_session_handshake(s->session);
    while (n > 0 && (n = mu_tls_session_read(s->session, room, sizeof room)) > 0) {
        s->heard += (size_t)n;
        for (ptrdiff_t i = 0; i < n; i++)
            MU_ASSERT(room[i] == 'x');
    }
    MU_ASSERT(s->heard <= s->told);
    s->error = n < 0 ? (int)n : 0;
    if (s->error == 0) {
        MU_ASSERT(!mu_tls_session_failed(s->session));
        return;
    }
    MU_ASSERT(mu_tls_session_failed(s->session) == (s->error != MU_ECLOSED));
    MU_ASSERT(s->error == MU_ECLOSED || mu_tls_session_problem(s->session)[0] != '\0');
    if (s->error == MU_ETLS && mu_tls_session_met_http(s->session))
        (void)mu_tls_session_say_plain(s->session, MU_STR("400"));
}

/* Deliver what `from` has said, `step` bytes a time. */
static void deliver(struct side *from, struct side *to, size_t step)
{
    int r = mu_tls_session_flush(from->session, &from->wire);
    MU_ASSERT(r == 0 || r == MU_ENOMEM);
    for (size_t at = 0; at < from->wire.len; at += step)
        side_read(to, from->wire.data + at,
                  from->wire.len - at < step ? from->wire.len - at : step);
    mu_buf_clear(&from->wire);
}

static void side_write(struct side *from, struct side *to, size_t len)
{
    static uint8_t plain[40000];
    memset(plain, 'x', sizeof plain);
    if (!mu_tls_session_established(from->session) || mu_tls_session_failed(from->session))
        return;
    int r = mu_tls_session_write(from->session, plain, len, &from->wire);
    MU_ASSERT(r == 0 || r == MU_ENOMEM || r == MU_ETLS); /* ETLS: our direction is ended */
    to->told += len;
}

/* One instruction: the operation, the side, and an argument. */
static void step_of(struct side *a, struct side *b, uint8_t op, uint8_t argument)
{
    struct side *from = (op & 8) != 0 ? a : b;
    struct side *to = from == a ? b : a;
    struct mu_buf *wire = &from->wire;
    switch (op & 7) {
    case 0:
        deliver(from, to, (size_t)argument + 1);
        break;
    case 1: /* shake hands as far as it goes */
        for (int round = 0; round < ROUNDS; round++) {
            deliver(from, to, SIZE_MAX);
            deliver(to, from, SIZE_MAX);
        }
        break;
    case 2:
        side_write(from, to, 1 + (size_t)argument * 150);
        break;
    case 3: /* flip a bit */
        (void)mu_tls_session_flush(from->session, wire);
        if (wire->len > 0)
            wire->data[argument % wire->len] ^= (uint8_t)(1u << (argument & 7));
        break;
    case 4: /* insert bytes */
        (void)mu_buf_append(wire, &argument, 1);
        break;
    case 5: /* lose the rest */
        (void)mu_tls_session_flush(from->session, wire);
        if (wire->len > argument)
            wire->len = argument;
        break;
    case 6:
        (void)mu_tls_session_finish(from->session, wire);
        break;
    default:
        mu_tls_session_cut(from->session);
        if (mu_tls_session_established(from->session)) {
            (void)mu_tls_session_protocol(from->session);
            (void)mu_tls_session_peer(from->session);
        }
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = (uint64_t)argument % 8 + 1});
        break;
    }
}

/* Bytes of the fuzzer's own to a fresh session. */
static void raw(struct mu_tls *tls, const uint8_t *data, size_t size)
{
    struct side s = {0};
    size_t step = (size_t)data[1] + 1;
    int r = mu_tls_session_create(tls, "localhost", &s.session);
    MU_ASSERT(r == 0);
    if (data[0] == 1)
        side_read(&s, NULL, 0);
    for (size_t at = 2; at < size; at += step)
        side_read(&s, data + at, size - at < step ? size - at : step);
    r = mu_tls_session_flush(s.session, &s.wire);
    MU_ASSERT(r == 0);
    mu_tls_session_destroy(s.session);
    mu_buf_fini(&s.wire);
}

static void program(const uint8_t *data, size_t size)
{
    static const char *const hosts[] = {"localhost", "localhost.", "127.0.0.1", "fe80::1%lo",
                                        "elsewhere", "",           "localhost", "localhost"};
    struct side a = {0};
    struct side b = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = data[1] >> 5 == 7 ? 1 : 0});
    int r = mu_tls_session_create(clients[data[0] & 3], hosts[data[1] & 7], &a.session);
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT(r == 0 || r == MU_EINVAL || r == MU_ENOMEM);
    if (r != 0)
        return;
    r = mu_tls_session_create(servers[data[0] >> 2 & 1], NULL, &b.session);
    MU_ASSERT(r == 0);
    side_read(&a, NULL, 0);
    for (size_t at = 2; at + 1 < size; at += 2)
        step_of(&a, &b, data[at], data[at + 1]);
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_tls_session_destroy(a.session);
    mu_tls_session_destroy(b.session);
    mu_buf_fini(&a.wire);
    mu_buf_fini(&b.wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > INPUT_MAX)
        return 0;
    if (servers[0] == NULL)
        prepare();
    size_t live = mu_mem_live_bytes();
    if (data[0] < 2)
        raw(data[0] == 0 ? servers[1] : clients[0], data, size);
    else
        program(data, size);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
