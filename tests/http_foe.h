#ifndef MU_TESTS_HTTP_FOE_H
#define MU_TESTS_HTTP_FOE_H
/*
 * Hostile peers of a server, beside a well-behaved client of the same server: who is held up is
 * seen by counting the turns of the loop, not by a clock.
 *
 * A foe is a raw socket, in cleartext or with OpenSSL on it; once per millisecond it may act. What
 * it wants to send and the socket does not take is kept, up to a bound; what it receives is counted
 * and its beginning kept, unless it does not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "informer/http_server_priv.h"
#include "informer/pki.h"
#include "tests/http_harness.h"

#define FOES_MAX      320u
#define FOE_OUT_MAX   (256u << 10) /* a flood goes on below this */
#define FOE_KEEP      4096u        /* of what it received */
#define FOE_BATCH     10u          /* requests of the well-behaved client at a time */
#define FOE_TURNS_MAX 100u         /* of the loop, that a batch may take */

struct foe;
typedef void (*foe_act_fn)(struct foe *foe);

struct foe {
    struct stage *stage;
    int fd; /* -1: closed by us */
    SSL *tls;
    bool secured; /* the handshake is done */
    struct mu_buf out;
    struct mu_buf in; /* the first FOE_KEEP bytes */
    uint64_t received;
    uint64_t step; /* of its act */
    bool deaf;     /* does not read */
    bool ended;    /* the server has ended the connection */
    foe_act_fn act;
};

struct stage {
    struct harness *h;
    uv_timer_t tick;
    uv_prepare_t turn;
    struct mu_tls *server_tls, *client_tls;
    SSL_CTX *foe_tls;
    struct foe foes[FOES_MAX];
    uint32_t foe_count;
    uint64_t turns;
    uint64_t ticks;
    uint32_t batches; /* that the well-behaved client was served */
    uint64_t turns_max;
    size_t live_base, live_max;
};

/* ---- the foe ------------------------------------------------------------------------------ */

static inline void foe_close(struct foe *foe)
{
    if (foe->fd >= 0)
        (void)close(foe->fd);
    foe->fd = -1;
    SSL_free(foe->tls); /* NULL is fine */
    foe->tls = NULL;
    mu_buf_fini(&foe->out);
    mu_buf_fini(&foe->in);
}

/* Say bytes as soon as the socket takes them. */
static inline void foe_say(struct foe *foe, const void *data, size_t len)
{
    if (!foe->ended && len > 0)
        assert_int_equal(mu_buf_append(&foe->out, data, len), 0);
}

static inline void foe_text(struct foe *foe, const char *text)
{
    foe_say(foe, text, strlen(text));
}

/* May it say more, or is its flood waiting for the server? */
static inline bool foe_may_say(const struct foe *foe)
{
    return !foe->ended && foe->out.len < FOE_OUT_MAX;
}

static inline void foe_end_writing(struct foe *foe)
{
    assert_int_equal(foe->out.len, 0);
    (void)shutdown(foe->fd, SHUT_WR);
}

static inline bool foe_heard(const struct foe *foe, const char *text)
{
    return foe->in.len > 0 && memmem(foe->in.data, foe->in.len, text, strlen(text)) != NULL;
}

static inline void foe_keep(struct foe *foe, const uint8_t *data, size_t len)
{
    foe->received += len;
    size_t room = FOE_KEEP - foe->in.len;
    if (room > 0)
        assert_int_equal(mu_buf_append(&foe->in, data, len < room ? len : room), 0);
}

/* The number of bytes moved, 0: not now, < 0: the connection is over. */
static inline ssize_t foe_moved(struct foe *foe, ssize_t n)
{
    if (n > 0)
        return n;
    if (foe->tls == NULL)
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    int error = SSL_get_error(foe->tls, (int)n);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static inline ssize_t foe_write_some(struct foe *foe)
{
    size_t len = foe->out.len < FOE_OUT_MAX ? foe->out.len : FOE_OUT_MAX;
    return foe_moved(foe, foe->tls != NULL
                              ? SSL_write(foe->tls, foe->out.data, (int)len)
                              : send(foe->fd, foe->out.data, len, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static inline ssize_t foe_read_some(struct foe *foe)
{
    static uint8_t room[65536];
    ssize_t n = foe_moved(foe, foe->tls != NULL ? SSL_read(foe->tls, room, sizeof room)
                                                : recv(foe->fd, room, sizeof room, MSG_DONTWAIT));
    if (n > 0)
        foe_keep(foe, room, (size_t)n);
    return n;
}

/* Whoever reads nothing sees only that the connection was torn down. */
static inline bool foe_torn_down(const struct foe *foe)
{
    struct pollfd look = {.fd = foe->fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 1;
}

static inline void foe_pump(struct foe *foe)
{
    if (foe->fd < 0 || foe->ended)
        return;
    if (foe->tls != NULL && !foe->secured) {
        ssize_t n = foe_moved(foe, SSL_connect(foe->tls));
        foe->secured = n > 0;
        foe->ended = n < 0;
        if (n <= 0)
            return;
    }
    ssize_t n = 1;
    while (n > 0 && foe->out.len > 0) {
        n = foe_write_some(foe);
        if (n > 0)
            mu_buf_consume(&foe->out, (size_t)n);
    }
    foe->ended = foe->deaf && foe_torn_down(foe);
    for (int i = 0; i < 4 && n >= 0 && !foe->deaf; i++)
        n = foe_read_some(foe);
    foe->ended = foe->ended || n < 0;
}

/* Connect, and begin the handshake. Loopback: the kernel accepts at once. */
static inline struct foe *foe_open(struct stage *stage, foe_act_fn act)
{
    assert_true(stage->foe_count < FOES_MAX);
    struct foe *foe = &stage->foes[stage->foe_count++];
    *foe = (struct foe){.stage = stage, .act = act};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(stage->h->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    foe->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(foe->fd >= 0);
    assert_int_equal(connect(foe->fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(foe->fd, F_SETFL, O_NONBLOCK), 0);
    if (stage->foe_tls != NULL) {
        foe->tls = SSL_new(stage->foe_tls);
        assert_non_null(foe->tls);
        assert_int_equal(SSL_set_fd(foe->tls, foe->fd), 1);
    }
    return foe;
}

static inline bool foe_ready(const struct foe *foe)
{
    return foe->tls == NULL || foe->secured;
}

/* ---- the stage ---------------------------------------------------------------------------- */

static inline void stage_on_tick(uv_timer_t *timer)
{
    struct stage *stage = timer->data;
    stage->ticks++;
    for (uint32_t i = 0; i < stage->foe_count; i++) {
        struct foe *foe = &stage->foes[i];
        if (!foe->ended && foe->fd >= 0 && foe->act != NULL && foe_ready(foe))
            foe->act(foe);
        foe_pump(foe);
    }
    size_t live = mu_mem_live_bytes();
    stage->live_max = live > stage->live_max ? live : stage->live_max;
}

static inline void stage_on_turn(uv_prepare_t *prepare)
{
    ((struct stage *)prepare->data)->turns++;
}

/* Foes speak the protocol that they offer, and believe anybody. */
static inline void stage_make_foe_tls(struct stage *stage, bool http2)
{
    static const unsigned char h2[] = "\2h2";
    static const unsigned char h1[] = "\10http/1.1";
    stage->foe_tls = SSL_CTX_new(TLS_client_method());
    assert_non_null(stage->foe_tls);
    (void)SSL_CTX_set_mode(stage->foe_tls,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_int_equal(SSL_CTX_set_alpn_protos(stage->foe_tls, http2 ? h2 : h1,
                                             http2 ? sizeof h2 - 1 : sizeof h1 - 1),
                     0);
}

static inline void stage_make_tls(struct stage *stage)
{
    struct mu_pki *pki;
    struct mu_error error;
    struct mu_buf cert = {0};
    struct mu_buf key = {0};
    struct mu_str address = MU_STR("127.0.0.1");
    struct mu_pki_validity always = {0, INT64_C(4102444800)};
    struct mu_pki_request request = {.common_name = MU_STR("server"),
                                     .addresses = &address,
                                     .address_count = 1,
                                     .server = true,
                                     .validity = always};
    assert_int_equal(mu_pki_create(MU_STR("ca"), always, &pki, &error), 0);
    assert_int_equal(mu_pki_issue(pki, &request, &cert, &key, &error), 0);
    struct mu_tls_server_config server = {
        .cert = {(const char *)cert.data, (uint32_t)cert.len},
        .key = {(const char *)key.data, (uint32_t)key.len},
    };
    struct mu_tls_client_config client = {.ca = mu_pki_ca(pki)};
    assert_int_equal(mu_tls_server_create(&server, &stage->server_tls, &error), 0);
    assert_int_equal(mu_tls_client_create(&client, &stage->client_tls, &error), 0);
    mu_pki_destroy(pki);
    mu_buf_fini(&cert);
    mu_pki_wipe(&key);
}

/* PLAIN: the server wants TLS, the foes speak none. */
enum stage_tls { STAGE_CLEAR, STAGE_TLS_H1, STAGE_TLS_H2, STAGE_TLS_PLAIN };

/* A server of that configuration, and its well-behaved client. */
static inline struct stage *stage_new(struct mu_http_server_config config, enum stage_tls tls)
{
    struct stage *stage = mu_mem_zalloc(sizeof *stage);
    assert_non_null(stage);
    if (tls != STAGE_CLEAR)
        stage_make_tls(stage);
    if (tls == STAGE_TLS_H1 || tls == STAGE_TLS_H2)
        stage_make_foe_tls(stage, tls == STAGE_TLS_H2);
    stage->h = harness_new();
    config.tls = stage->server_tls;
    harness_server(stage->h, config);
    struct mu_http_client_config client = {.connections = 1, .tls = stage->client_tls};
    harness_client(stage->h, client);
    assert_int_equal(uv_timer_init(&stage->h->loop, &stage->tick), 0);
    assert_int_equal(uv_prepare_init(&stage->h->loop, &stage->turn), 0);
    stage->tick.data = stage->turn.data = stage;
    assert_int_equal(uv_timer_start(&stage->tick, stage_on_tick, 1, 1), 0);
    assert_int_equal(uv_prepare_start(&stage->turn, stage_on_turn), 0);
    return stage;
}

static inline void stage_free(struct stage *stage)
{
    for (uint32_t i = 0; i < stage->foe_count; i++)
        foe_close(&stage->foes[i]);
    uv_close((uv_handle_t *)&stage->tick, NULL);
    uv_close((uv_handle_t *)&stage->turn, NULL);
    harness_free(stage->h);
    SSL_CTX_free(stage->foe_tls);
    mu_tls_unref(stage->server_tls);
    mu_tls_unref(stage->client_tls);
    mu_mem_free(stage);
}

/* Send what is not answered yet of a batch, and wait. Returns how many are answered. */
static inline uint32_t stage_ask(struct stage *stage)
{
    struct harness *h = stage->h;
    uint32_t answered = 0;
    h->done = 0;
    for (uint32_t i = 1; i <= FOE_BATCH; i++) {
        h->done += h->records[i].ends;
        if (h->records[i].ends > 0)
            continue;
        h->records[i] = (struct harness_record){0};
        harness_get(h, i, "/status?s=200");
    }
    HARNESS_UNTIL(h, h->done == FOE_BATCH);
    for (uint32_t i = 1; i <= FOE_BATCH; i++) {
        answered += h->records[i].ends;
        if (h->records[i].losts > 0 && !h->records[i].not_sent)
            fail_msg("a request is lost: %s", mu_error_text(h->records[i].error));
        assert_true(h->records[i].losts > 0 || h->records[i].status == 200);
    }
    return answered;
}

/* One batch of the well-behaved client: all are answered, within a few turns of the loop. On a
 * machine that stands still for the idle time its own connection is ended too: then its requests
 * were not sent, and are sent again. */
static inline void stage_serve(struct stage *stage)
{
    uint64_t ticks = stage->ticks;
    HARNESS_UNTIL(stage->h, stage->ticks != ticks); /* at most one in a millisecond */
    uint64_t turns = stage->turns;
    bool connected = stage->batches > 0;
    memset(stage->h->records, 0, (FOE_BATCH + 1) * sizeof *stage->h->records);
    while (stage_ask(stage) < FOE_BATCH)
        connected = false;
    stage->batches++;
    if (!connected)
        return;
    turns = stage->turns - turns;
    stage->turns_max = turns > stage->turns_max ? turns : stage->turns_max;
    assert_true(turns <= FOE_TURNS_MAX);
}

/* Serve until so many batches are done and the condition holds. */
#define STAGE_SERVE(stage_, batches_, condition_)                                                  \
    do {                                                                                           \
        uint32_t want_ = (stage_)->batches + (batches_);                                           \
        while ((stage_)->batches < want_ || !(condition_))                                         \
            stage_serve(stage_);                                                                   \
    } while (0)

static inline bool stage_all_ended(const struct stage *stage)
{
    for (uint32_t i = 0; i < stage->foe_count; i++) {
        if (!stage->foes[i].ended)
            return false;
    }
    return true;
}

#endif
