/*
 * musterd with credentials, as people run it: over TLS, by certificate and by token, refused in one
 * line, and with a token that changes under it.
 */
#include "tests/cli_rig.h"

#include "informer/access.h"
#include "informer/base64.h"
#include "informer/codec.h"
#include "informer/limits.h"
#include "informer/pki.h"
#include "tools/kubesim/api_priv.h"

#define TEXT_BYTES 16384

/* ---- a server with TLS, and variations of its kubeconfig ---- */

struct site {
    struct place place;
    pid_t kubesim;
    char kubeconfig[TEXT_BYTES];
    char token[128];
};

static void site_open(struct site *s)
{
    s->place = place_make();
    s->kubesim =
        start("muster-kubesim",
              (const char *const[]){"--nodes", "3", "--write-kubeconfig", s->place.url, NULL},
              "/dev/null", "/dev/null");
    char first[128];
    wait_for_url(s->place.url, first);
    static char text[OUTPUT_BYTES];
    read_file(s->place.url, text);
    assert_true(strlen(text) < sizeof s->kubeconfig);
    memcpy(s->kubeconfig, text, strlen(text) + 1);
    const char *token = strstr(text, "token: ");
    assert_non_null(token);
    assert_int_equal(sscanf(token, "token: %127s", s->token), 1);
}

static void site_close(struct site *s)
{
    assert_int_equal(kill(s->kubesim, SIGTERM), 0);
    assert_int_equal(finish(s->kubesim), 0);
    place_drop(&s->place);
}

/* The site's kubeconfig with another rest of the line that begins with `key`, in place->file. */
static void site_vary(struct site *s, const char *key, const char *rest)
{
    static char text[2 * TEXT_BYTES];
    const char *at = strstr(s->kubeconfig, key);
    assert_non_null(at);
    const char *line_end = strchr(at, '\n');
    assert_non_null(line_end);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - s->kubeconfig), s->kubeconfig, rest,
                   line_end);
    write_file(s->place.file, text);
}

/* What musterd says with that kubeconfig; it must be one line. */
static const char *complaint(struct site *s, const char *context, int status)
{
    static struct result r;
    r = run("musterd", (const char *const[]){"--kubeconfig", s->place.file, "--context", context,
                                             "--log-level", "error", NULL});
    if (r.status != status || lines_of(r.err) != 1)
        print_error("status %d, stderr: %s\n", r.status, r.err);
    assert_int_equal(r.status, status);
    assert_int_equal(lines_of(r.err), 1);
    assert_null(strstr(r.err, s->token));
    return r.err;
}

static void wait_for_line(const char *path, const char *word)
{
    static char log[OUTPUT_BYTES];
    for (int i = 0; i < 3000; i++) {
        read_file(path, log);
        if (strstr(log, word) != NULL)
            return;
        (void)poll(NULL, 0, 10);
    }
    fail_msg("no '%s' in: %s", word, log);
}

static void terminate(pid_t pid)
{
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(finish(pid), 0);
}

/* ---- accepted ---- */

static void test_musterd_kubeconfig__certificate_and_token__follow_the_server(void **state)
{
    static const char *const contexts[] = {"muster-kubesim", "muster-kubesim-token"};
    static char log[OUTPUT_BYTES];
    static struct site s;
    (void)state;
    site_open(&s);
    for (size_t i = 0; i < 2; i++) {
        pid_t musterd = start("musterd",
                              (const char *const[]){"--kubeconfig", s.place.url, "--context",
                                                    contexts[i], "--log-level", "debug", NULL},
                              s.place.out, s.place.err);
        wait_for_line(s.place.err, "nodes=3");
        assert_int_equal(kill(musterd, SIGHUP), 0);
        wait_for_line(s.place.err, "nothing has changed");
        terminate(musterd);
        read_file(s.place.err, log);
        assert_non_null(strstr(log, "server=https://127.0.0.1:"));
        assert_null(strstr(log, s.token));
        assert_null(strstr(log, "PRIVATE KEY"));
        assert_null(strstr(log, "LS0tLS1")); /* how PEM in base64 begins */
    }
    site_close(&s);
}

/* ---- refused at start ---- */

static void test_musterd_kubeconfig__wrong_files__one_line_and_status_2(void **state)
{
    static struct site s;
    (void)state;
    site_open(&s);
    REFUSES("musterd", "/nonexistent: No such file", "--kubeconfig", "/nonexistent");
    REFUSES("musterd", "no context 'other'; expected one of: muster-kubesim", "--kubeconfig",
            s.place.url, "--context", "other");
    REFUSES("musterd", "https:// needs a kubeconfig", "--server", "https://127.0.0.1:6443");
    site_vary(&s, "client-key-data:", "client-key-data: '%'");
    assert_non_null(strstr(complaint(&s, "muster-kubesim", 2), "expected base64"));
    site_vary(&s, "client-key-data:", "client-key-data: aGVsbG8=");
    assert_non_null(strstr(complaint(&s, "muster-kubesim", 2), "key"));
    site_vary(&s, "client-key-data:", "exec: {command: whoami}");
    assert_non_null(strstr(complaint(&s, "muster-kubesim", 2), "uses 'exec': not supported"));
    site_close(&s);
}

/* `key` with a certificate or key of a stranger, in base64. */
static void stranger(const char *key, bool ca, char *out, size_t bytes)
{
    const struct mu_pki_validity validity = {1000000000, 4000000000};
    struct mu_pki *pki = NULL;
    struct mu_buf cert = {0}, secret = {0}, text = {0};
    struct mu_error error;
    const struct mu_pki_request request = {
        .common_name = MU_STR("stranger"), .client = true, .validity = validity};
    assert_int_equal(mu_pki_create(MU_STR("strangers"), validity, &pki, &error), 0);
    assert_int_equal(mu_pki_issue(pki, &request, &cert, &secret, &error), 0);
    struct mu_str pem =
        ca ? mu_pki_ca(pki) : (struct mu_str){(const char *)secret.data, (uint32_t)secret.len};
    assert_int_equal(mu_base64_append(&text, pem), 0);
    assert_true(text.len + strlen(key) + 1 < bytes);
    (void)snprintf(out, bytes, "%s %.*s", key, (int)text.len, (const char *)text.data);
    mu_pki_wipe(&secret);
    mu_buf_fini(&cert);
    mu_buf_fini(&text);
    mu_pki_destroy(pki);
}

static void test_musterd_kubeconfig__strangers__one_line_says_which(void **state)
{
    static struct site s;
    static char line[TEXT_BYTES];
    (void)state;
    site_open(&s);
    stranger("client-key-data:", false, line, sizeof line);
    site_vary(&s, "client-key-data:", line);
    const char *said = complaint(&s, "muster-kubesim", 2);
    assert_non_null(strstr(said, "client key: does not belong to the certificate"));
    stranger("certificate-authority-data:", true, line, sizeof line);
    site_vary(&s, "certificate-authority-data:", line);
    said = complaint(&s, "muster-kubesim", 1);
    assert_non_null(strstr(said, "musterd: https://127.0.0.1:"));
    assert_non_null(strstr(said, "certificate"));
    site_vary(&s, "token:", "token: wrong");
    said = complaint(&s, "muster-kubesim-token", 1);
    assert_non_null(strstr(said, "the API server refuses our credentials (401)"));
    static char longest[sizeof "token: " + MU_TOKEN_BYTES_MAX];
    memcpy(longest, "token: ", sizeof "token: ");
    memset(longest + strlen(longest), 't', MU_TOKEN_BYTES_MAX);
    site_vary(&s, "token:", longest);
    said = complaint(&s, "muster-kubesim-token", 1);
    assert_non_null(strstr(said, "the API server refuses our credentials (401)"));
    site_close(&s);
}

/* A server that forbids everything, in this process. */
struct forbidding {
    uv_loop_t loop;
    struct mu_http_server *server;
    uint32_t requests;
};

static void forbid(void *context, struct mu_http_exchange *exchange,
                   const struct mu_http_request *request)
{
    /* What would clear the screen and tell a tale, were it written to a terminal as it is. */
    static const char message[] = "no\r\n\x1b[2Jmusterd: all is well";
    struct forbidding *f = context;
    struct mu_buf raw = {0}, body = {0};
    (void)request;
    f->requests++;
    assert_int_equal(mu_api_status_pack(&raw, 403, "Forbidden", message, NULL), 0);
    assert_int_equal(mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("Status"),
                                      (struct mu_str){(const char *)raw.data, (uint32_t)raw.len}),
                     0);
    assert_int_equal(mu_http_respond_take(exchange, 403,
                                          MU_STR("application/vnd.kubernetes.protobuf"), 0, &body),
                     0);
    mu_buf_fini(&raw);
}

static void test_musterd__forbidden__one_line_with_verb_and_resource(void **state)
{
    struct forbidding f = {.requests = 0};
    static char said[OUTPUT_BYTES];
    struct place p = place_make();
    char url[64];
    uint16_t port;
    int status;
    (void)state;
    assert_int_equal(uv_loop_init(&f.loop), 0);
    const struct mu_http_server_config config = {
        .host = MU_STR("127.0.0.1"), .on_request = forbid, .context = &f};
    assert_int_equal(mu_http_server_create(&f.loop, &config, &f.server, &port), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    pid_t musterd =
        start("musterd", (const char *const[]){"--server", url, "--log-level", "error", NULL},
              p.out, p.err);
    while (waitpid(musterd, &status, WNOHANG) == 0) {
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(WEXITSTATUS(status), 1);
    read_file(p.err, said);
    assert_int_equal(lines_of(said), 1);
    assert_non_null(strstr(said, "s: list: forbidden (403)")); /* nodes or pods */
    assert_non_null(strstr(said, ": no???[2Jmusterd: all is well\n"));
    assert_in_range(f.requests, 3, 6); /* two lists of each, one slot or two: no hot loop */
    mu_http_server_close(f.server, NULL, NULL);
    (void)uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    place_drop(&p);
}

/* ---- a token that changes ---- */

static void on_created(void *context, const struct mu_reply *reply)
{
    int *status = context;
    if (reply->kind == MU_REPLY_HEAD)
        *status = reply->status;
}

/* Create a pod for the scheduler, as the administrator. */
static void create_pod(const char *kubeconfig, const char *name)
{
    uv_loop_t loop;
    struct mu_kubeconfig *config = NULL;
    struct mu_access *access = NULL;
    struct mu_http_client *client = NULL;
    struct mu_error error;
    int status = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(mu_kubeconfig_load(kubeconfig, NULL, &config, &error), 0);
    assert_int_equal(mu_access_create(config, 0, &access, &error), 0);
    assert_int_equal(mu_access_connect(access, &loop, 1, on_created, &status, &client), 0);
    struct mu_request request = {.token = 1, .method = MU_POST, .content = MU_MEDIA_JSON};
    (void)mu_buf_append_text(&request.path, "/api/v1/namespaces/default/pods");
    (void)mu_buf_printf(&request.body,
                        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\"},"
                        "\"spec\":{\"schedulerName\":\"muster\",\"containers\":[{\"name\":\"c\","
                        "\"image\":\"i\"}]}}",
                        name);
    assert_int_equal(mu_http_client_send(client, &request), 0);
    while (status == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(status, 201);
    mu_access_forget(access);
    mu_http_client_close(client, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    mu_access_destroy(access);
}

static void test_musterd_token_file__rotated__used_without_a_restart(void **state)
{
    static struct site s;
    char rest[160];
    (void)state;
    site_open(&s);
    write_file(s.place.out, s.token);
    (void)snprintf(rest, sizeof rest, "tokenFile: %s", s.place.out);
    site_vary(&s, "token:", rest);
    pid_t musterd = start("musterd",
                          (const char *const[]){"--kubeconfig", s.place.file, "--context",
                                                "muster-kubesim-token", NULL},
                          "/dev/null", s.place.err);
    wait_for_line(s.place.err, "nodes=3");
    write_file(s.place.out, "expired");
    assert_int_equal(kill(musterd, SIGHUP), 0);
    wait_for_line(s.place.err, "new credentials in use");
    create_pod(s.place.url, "late");
    wait_for_line(s.place.err, "the API server refuses our credentials (401)");
    write_file(s.place.out, s.token); /* found after the 401, without being asked */
    wait_for_line(s.place.err, "takes our credentials again");
    assert_int_equal(unlink(s.place.out), 0);
    assert_int_equal(kill(musterd, SIGHUP), 0);
    wait_for_line(s.place.err, "the old ones stay in use");
    terminate(musterd);
    wait_for_line(s.place.err, "bound=1"); /* the same bind, repeated */
    site_close(&s);
}

/* ---- the demo ---- */

static void wait_gone(pid_t pid)
{
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++)
        (void)poll(NULL, 0, 10);
    assert_int_not_equal(kill(pid, 0), 0);
}

static void test_demo__keep__three_kubectl_lines_and_how_to_end(void **state)
{
    struct place p = place_make();
    static char text[OUTPUT_BYTES];
    char dir[96] = "", kubeconfig[160], path[160];
    (void)state;
    assert_int_equal(setenv("TMPDIR", p.dir, 1), 0);
    pid_t demo =
        start("muster", (const char *const[]){"demo", "--json", "--keep", NULL}, p.out, p.err);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_int_equal(finish(demo), 0);
    read_file(p.out, text);
    assert_int_equal(lines_of(text), 1);
    assert_int_equal(text[0], '{');
    read_file(p.err, text);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "    kubectl --kubeconfig ")) != NULL; at++)
        lines++;
    assert_int_equal(lines, 3);
    assert_non_null(strstr(text, "/kubeconfig get pods -o wide\n"));
    assert_non_null(strstr(text, "/kubeconfig describe pod "));
    assert_non_null(strstr(text, "/kubeconfig create -f "));
    int pids[2];
    const char *end = strstr(text, "End them with: kill ");
    assert_non_null(end);
    assert_int_equal(sscanf(end, "End them with: kill %d %d", &pids[0], &pids[1]), 2);
    const char *logs = strstr(text, "(logs in ");
    assert_non_null(logs);
    assert_int_equal(sscanf(logs, "(logs in %95[^)]", dir), 1);
    (void)snprintf(kubeconfig, sizeof kubeconfig, "%s/kubeconfig", dir);
    create_pod(kubeconfig, "by-hand");
    assert_int_equal(kill(pids[0], SIGTERM), 0);
    wait_gone(pids[0]);
    assert_int_equal(kill(pids[1], SIGTERM), 0);
    wait_gone(pids[1]);
    static const char *const left[] = {"kubeconfig", "pod.yaml", "muster-kubesim.log",
                                       "musterd.log"};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, left[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
    place_drop(&p);
}

int main(void)
{
    (void)unsetenv("KUBECONFIG");
    (void)unsetenv("KUBERNETES_SERVICE_HOST");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_musterd_kubeconfig__certificate_and_token__follow_the_server),
        cmocka_unit_test(test_musterd_kubeconfig__wrong_files__one_line_and_status_2),
        cmocka_unit_test(test_musterd_kubeconfig__strangers__one_line_says_which),
        cmocka_unit_test(test_musterd__forbidden__one_line_with_verb_and_resource),
        cmocka_unit_test(test_musterd_token_file__rotated__used_without_a_restart),
        cmocka_unit_test(test_demo__keep__three_kubectl_lines_and_how_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
