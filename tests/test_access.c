/* A kubeconfig as a client that is kept fresh, against a server of this process. */
#include "tests/tls_kit.h"

#include <fcntl.h>

#include "informer/access.h"
#include "informer/limits.h"

/* ---- a server that notes who asks ---- */

struct site {
    struct tls_kit *kit;
    uv_loop_t loop;
    struct mu_http_server *server;
    uint16_t port;
    char path[256], query[64], authorization[64], peer[64]; /* of the last request */
    uint32_t authorization_len;
    struct mu_access *access;
    struct mu_http_client *client;
    uint64_t token;
    int status; /* of the last reply */
    bool ended;
    char dir[64], file[128];
};

static void keep(char *out, size_t bytes, struct mu_str s)
{
    (void)snprintf(out, bytes, "%.*s", MU_STR_ARGS(s));
}

static void on_request(void *context, struct mu_http_exchange *exchange,
                       const struct mu_http_request *request)
{
    struct site *s = context;
    keep(s->path, sizeof s->path, request->path);
    keep(s->query, sizeof s->query, request->query);
    keep(s->authorization, sizeof s->authorization, request->authorization);
    s->authorization_len = request->authorization.len;
    keep(s->peer, sizeof s->peer,
         request->peer != NULL ? request->peer->name : (struct mu_str){NULL, 0});
    assert_int_equal(mu_http_respond(exchange, 200, MU_STR("text/plain"), 0, MU_STR("ok")), 0);
}

static void on_reply(void *context, const struct mu_reply *reply)
{
    struct site *s = context;
    if (reply->kind == MU_REPLY_HEAD)
        s->status = reply->status;
    s->ended = reply->kind == MU_REPLY_END || reply->kind == MU_REPLY_LOST;
}

static const char *site_put(struct site *s, const char *name, struct mu_str text)
{
    (void)snprintf(s->file, sizeof s->file, "%s/%s", s->dir, name);
    int fd = open(s->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.data, text.len), (ssize_t)text.len);
    assert_int_equal(close(fd), 0);
    return s->file;
}

static void site_open(struct site *s, bool tls)
{
    struct mu_tls *context = NULL;
    struct mu_error error;
    *s = (struct site){.kit = kit_new()};
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/muster-access-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(uv_loop_init(&s->loop), 0);
    const struct mu_tls_server_config server = {.cert = kit_str(&s->kit->server.cert),
                                                .key = kit_str(&s->kit->server.key),
                                                .client_ca = mu_pki_ca(s->kit->ca)};
    if (tls)
        assert_int_equal(mu_tls_server_create(&server, &context, &error), 0);
    const struct mu_http_server_config config = {
        .host = MU_STR("127.0.0.1"), .tls = context, .on_request = on_request, .context = s};
    assert_int_equal(mu_http_server_create(&s->loop, &config, &s->server, &s->port), 0);
    mu_tls_unref(context);
}

static void site_close(struct site *s)
{
    static const char *const names[] = {"ca", "cert", "key", "token", "config"};
    if (s->client != NULL) {
        mu_access_forget(s->access);
        mu_http_client_close(s->client, NULL, NULL);
    }
    mu_http_server_close(s->server, NULL, NULL);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    mu_access_destroy(s->access);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(s->file, sizeof s->file, "%s/%s", s->dir, names[i]);
        (void)unlink(s->file);
    }
    assert_int_equal(rmdir(s->dir), 0);
    kit_free(s->kit);
}

/* Credentials of the kit's client, in files, and a token; the server behind a path. */
static void site_access(struct site *s)
{
    char text[1024];
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    (void)site_put(s, "ca", mu_pki_ca(s->kit->ca));
    (void)site_put(s, "cert", kit_str(&s->kit->client.cert));
    (void)site_put(s, "key", kit_str(&s->kit->client.key));
    (void)site_put(s, "token", MU_STR("one"));
    int len = snprintf(text, sizeof text,
                       "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                       "clusters: [{name: k, cluster: {certificate-authority: ca, server: "
                       "'https://127.0.0.1:%u/k8s/c-1/'}}]\n"
                       "users: [{name: u, user: {client-certificate: cert, client-key: key, "
                       "tokenFile: token}}]\n",
                       s->port);
    const char *path = site_put(s, "config", (struct mu_str){text, (uint32_t)len});
    if (mu_kubeconfig_load(path, NULL, &config, &error) != 0 ||
        mu_access_create(config, 0, &s->access, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(mu_access_connect(s->access, &s->loop, 1, on_reply, s, &s->client), 0);
}

static void ask(struct site *s, const char *path)
{
    struct mu_request request = {.token = ++s->token, .method = MU_GET};
    (void)mu_buf_append_text(&request.path, path);
    s->ended = false;
    assert_int_equal(mu_http_client_send(s->client, &request), 0);
    while (!s->ended)
        (void)uv_run(&s->loop, UV_RUN_ONCE);
    assert_int_equal(s->status, 200);
}

static enum mu_credentials_news read_now(struct site *s, uint64_t now_s, struct mu_error *error)
{
    mu_access_wish(s->access, now_s * MU_NS_PER_S);
    return mu_access_tick(s->access, now_s * MU_NS_PER_S, error);
}

/* ---- tests ---- */

static void test_access__cleartext__nothing_is_sent_of_us(void **state)
{
    struct site s;
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    char url[64];
    (void)state;
    site_open(&s, false);
    assert_int_equal(mu_kubeconfig_cleartext("127.0.0.1", s.port, &config), 0);
    assert_int_equal(mu_access_create(config, 0, &s.access, &error), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", s.port);
    assert_string_equal(mu_access_url(s.access), url);
    assert_int_equal(mu_access_connect(s.access, &s.loop, 1, on_reply, &s, &s.client), 0);
    ask(&s, "/version");
    assert_string_equal(s.path, "/version");
    assert_string_equal(s.authorization, "");
    assert_true(mu_access_next_ns(s.access) == UINT64_MAX);
    assert_int_equal(read_now(&s, 1, &error), MU_CREDENTIALS_CHANGED_NONE);
    site_close(&s);
}

static void test_access__path_certificate_and_token__reach_the_server(void **state)
{
    struct site s;
    char url[64];
    (void)state;
    site_open(&s, true);
    site_access(&s);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/k8s/c-1", s.port);
    assert_string_equal(mu_access_url(s.access), url);
    ask(&s, "/api/v1/nodes?limit=1");
    assert_string_equal(s.path, "/k8s/c-1/api/v1/nodes");
    assert_string_equal(s.query, "limit=1");
    assert_string_equal(s.authorization, "Bearer one");
    assert_string_equal(s.peer, "alice");
    site_close(&s);
}

static void test_access_tick__token_rotated__used_from_the_next_request(void **state)
{
    struct site s;
    struct mu_error error;
    (void)state;
    site_open(&s, true);
    site_access(&s);
    assert_true(mu_access_next_ns(s.access) == 60 * MU_NS_PER_S);
    (void)site_put(&s, "token", MU_STR("two\n"));
    assert_int_equal(mu_access_tick(s.access, 59 * MU_NS_PER_S, &error), MU_CREDENTIALS_NOTHING);
    ask(&s, "/a");
    assert_string_equal(s.authorization, "Bearer one");
    assert_int_equal(mu_access_tick(s.access, 60 * MU_NS_PER_S, &error), MU_CREDENTIALS_CHANGED);
    ask(&s, "/a");
    assert_string_equal(s.authorization, "Bearer two");
    (void)site_put(&s, "token", MU_STR("three"));
    assert_int_equal(mu_access_answer(s.access, 401, 90 * MU_NS_PER_S), MU_CREDENTIALS_REFUSED);
    assert_true(mu_access_next_ns(s.access) == 90 * MU_NS_PER_S);
    assert_int_equal(mu_access_tick(s.access, 90 * MU_NS_PER_S, &error), MU_CREDENTIALS_CHANGED);
    ask(&s, "/a");
    assert_string_equal(s.authorization, "Bearer three");
    site_close(&s);
}

static void test_access__longest_token__reaches_the_server(void **state)
{
    static char token[MU_TOKEN_BYTES_MAX];
    struct site s;
    struct mu_error error;
    (void)state;
    memset(token, 't', sizeof token);
    site_open(&s, true);
    site_access(&s);
    (void)site_put(&s, "token", (struct mu_str){token, sizeof token});
    assert_int_equal(read_now(&s, 1, &error), MU_CREDENTIALS_CHANGED);
    ask(&s, "/a");
    assert_int_equal(s.authorization_len, sizeof "Bearer " - 1 + sizeof token);
    assert_memory_equal(s.authorization, "Bearer ttt", 10);
    site_close(&s);
}

/* The certificate is written first, its key a moment later, the token between them. */
static void test_access_tick__key_arrives_late__old_pair_until_then(void **state)
{
    struct site s;
    struct mu_error error = {0};
    (void)state;
    site_open(&s, true);
    site_access(&s);
    const struct mu_pki_request bob = {
        .common_name = MU_STR("bob"), .client = true, .validity = kit_valid(-3600, 3600)};
    struct kit_pair pair = kit_issue(s.kit->ca, bob);
    (void)site_put(&s, "cert", kit_str(&pair.cert));
    (void)site_put(&s, "token", MU_STR("two"));
    assert_int_equal(read_now(&s, 1, &error), MU_CREDENTIALS_UNREADABLE);
    assert_non_null(strstr(error.text, "client key: does not belong to the certificate"));
    ask(&s, "/a");
    assert_string_equal(s.peer, "alice");
    assert_string_equal(s.authorization, "Bearer two"); /* what is sound is used */
    (void)site_put(&s, "key", kit_str(&pair.key));
    assert_int_equal(read_now(&s, 2, &error), MU_CREDENTIALS_CHANGED);
    ask(&s, "/a");
    assert_string_equal(s.peer, "bob");
    assert_int_equal(read_now(&s, 3, &error), MU_CREDENTIALS_CHANGED_NONE);
    kit_pair_free(&pair);
    site_close(&s);
}

static void test_access_create__wrong_pair__says_so_and_keeps_nothing(void **state)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_access *access = NULL;
    struct mu_error error;
    const char text[] =
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
        "users: [{name: u, user: {client-certificate-data: aGVsbG8=, client-key-data: "
        "aGVsbG8=}}]\n";
    (void)state;
    size_t live = mu_mem_live_bytes();
    assert_int_equal(mu_kubeconfig_parse(mu_str_of(text), "k", "/", NULL, &config, &error), 0);
    assert_int_equal(mu_access_create(config, 0, &access, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "client certificate"));
    assert_null(access);
    assert_int_equal(mu_mem_live_bytes(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access__cleartext__nothing_is_sent_of_us),
        cmocka_unit_test(test_access__path_certificate_and_token__reach_the_server),
        cmocka_unit_test(test_access_tick__token_rotated__used_from_the_next_request),
        cmocka_unit_test(test_access__longest_token__reaches_the_server),
        cmocka_unit_test(test_access_tick__key_arrives_late__old_pair_until_then),
        cmocka_unit_test(test_access_create__wrong_pair__says_so_and_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
