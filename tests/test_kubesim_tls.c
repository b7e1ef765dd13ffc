/* muster-kubesim over TLS: the kubeconfig that it writes, certificates from files, faults. */
#include "tools/kubesim/identity.h"

#include <libgen.h>
#include <sys/stat.h>
#include "informer/kubeconfig.h"
#include "tests/http_harness.h"
#include "tests/tls_kit.h"
#include "tools/kubesim/front.h"

struct place {
    char folder[40];
    char file[80]; /* the kubeconfig or the announcement */
    char cert[80], key[80], ca[80];
};

static struct place place_make(void)
{
    struct place p = {.folder = "/tmp/muster-kubesim-tls-XXXXXX"};
    assert_non_null(mkdtemp(p.folder));
    (void)snprintf(p.file, sizeof p.file, "%s/file", p.folder);
    (void)snprintf(p.cert, sizeof p.cert, "%s/cert", p.folder);
    (void)snprintf(p.key, sizeof p.key, "%s/key", p.folder);
    (void)snprintf(p.ca, sizeof p.ca, "%s/ca", p.folder);
    return p;
}

/* Nothing but what is known is left there. */
static void place_remove(const struct place *p)
{
    (void)unlink(p->file);
    (void)unlink(p->cert);
    (void)unlink(p->key);
    (void)unlink(p->ca);
    assert_int_equal(rmdir(p->folder), 0);
}

/* Its stderr goes to `log`. */
static pid_t start_program(const char *const *arguments, const char *log)
{
    static char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 32);
    assert_true(len > 0);
    path[len] = '\0';
    char program[4200];
    (void)snprintf(program, sizeof program, "%s/muster-kubesim", dirname(path));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)!freopen(log, "w", stderr);
        (void)execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    return pid;
}

static int exit_status(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void wait_for_file(const char *path)
{
    for (int i = 0; i < 6000; i++) {
        if (access(path, R_OK) == 0)
            return;
        uv_sleep(10);
    }
    fail_msg("muster-kubesim does not serve");
}

/* A client as musterd makes one. */
static void client_by(struct harness *h, const char *path, const char *context)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_tls *tls = NULL;
    struct mu_error error;
    if (mu_kubeconfig_load(path, context, &config, &error) != 0)
        fail_msg("%s", error.text);
    struct mu_kubeconfig_view view = mu_kubeconfig_view(config);
    assert_true(view.tls && !view.insecure && !view.may_change);
    assert_true((view.token.len > 0) != (view.cert.len > 0));
    const struct mu_tls_client_config client = {
        .ca = view.ca, .cert = view.cert, .key = view.key, .server_name = view.server_name};
    if (mu_tls_client_create(&client, &tls, &error) != 0)
        fail_msg("%s", error.text);
    h->port = view.port;
    harness_client(h, (struct mu_http_client_config){.host = view.host, .tls = tls});
    mu_tls_unref(tls);
    if (view.token.len > 0) {
        char header[200];
        int len = snprintf(header, sizeof header, "Bearer %.*s", MU_STR_ARGS(view.token));
        assert_int_equal(
            mu_http_client_set_authorization(h->client, (struct mu_str){header, (uint32_t)len}), 0);
    }
    mu_kubeconfig_destroy(config);
}

static void assert_lists_nodes(struct harness *h, uint64_t token)
{
    harness_get(h, token, "/api/v1/nodes?limit=2");
    HARNESS_UNTIL(h, h->records[token].ends + h->records[token].losts == 1);
    if (h->records[token].losts == 1)
        fail_msg("%s", mu_http_client_problem(h->client));
    assert_int_equal(h->records[token].status, 200);
}

static void test_kubesim__write_kubeconfig__both_contexts_work(void **state)
{
    (void)state;
    static const char *const hosts[] = {"--host=127.0.0.1", "--host=0.0.0.0"};
    for (size_t i = 0; i < 2; i++) {
        struct place p = place_make();
        const char *const arguments[] = {"muster-kubesim",     "--nodes", "3", hosts[i],
                                         "--write-kubeconfig", p.file,    NULL};
        pid_t pid = start_program(arguments, "/dev/null");
        wait_for_file(p.file); /* whole, since it was renamed into place */
        struct stat about;
        assert_int_equal(stat(p.file, &about), 0);
        assert_int_equal(about.st_mode & 07777, 0600);
        struct harness *h = harness_new();
        static const char *const contexts[] = {NULL, "muster-kubesim-token"};
        for (uint64_t c = 0; c < 2; c++) {
            client_by(h, p.file, contexts[c]);
            assert_lists_nodes(h, c + 1);
            harness_close_client(h);
        }
        /* A hang-up reloads nothing here, and ends nothing. */
        assert_int_equal(kill(pid, SIGHUP), 0);
        client_by(h, p.file, NULL);
        assert_lists_nodes(h, 3);
        harness_free(h);
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(exit_status(pid), 0);
        place_remove(&p);
    }
}

static void test_kubesim__tls_flags_that_do_not_fit__exit_2(void **state)
{
    (void)state;
    static const char *const cases[][6] = {
        {"muster-kubesim", "--tls-cert", "x", NULL},
        {"muster-kubesim", "--tls-cert=x", "--tls-key=x", NULL},
        {"muster-kubesim", "--tls-cert=x", "--client-ca=x", NULL},
        {"muster-kubesim", "--tls-cert=x", "--tls-key=x", "--client-ca=x", "--tls", NULL},
        {"muster-kubesim", "--tls-cert=x", "--tls-key=x", "--client-ca=x", "--write-kubeconfig=y",
         NULL},
        {"muster-kubesim", "--write-kubeconfig=/nowhere/x", NULL},
        {"muster-kubesim", "--write-kubeconfig=/", NULL},
        {"muster-kubesim", "--announce=/nowhere/x", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(exit_status(start_program(cases[i], "/dev/null")), 2);
    /* These fit, and cannot be had. */
    static const char *const missing[] = {"muster-kubesim", "--tls-cert=/nowhere/x",
                                          "--tls-key=/nowhere/x", "--client-ca=/nowhere/x", NULL};
    assert_int_equal(exit_status(start_program(missing, "/dev/null")), 1);
}

/* ---- certificates from files ----------------------------------------------------------------- */

static void write_file(const char *path, struct mu_str text)
{
    struct mu_error error;
    if (mu_write_in_place(path, text, true, &error) != 0)
        fail_msg("%s", error.text);
}

static bool log_has(const char *path, const char *text)
{
    static char room[65536];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(room, 1, sizeof room - 1, file);
    (void)fclose(file);
    room[len] = '\0';
    return strstr(room, text) != NULL;
}

static void hang_up(struct harness *h, pid_t pid, const char *log, const char *expected)
{
    assert_int_equal(kill(pid, SIGHUP), 0);
    for (int i = 0; !log_has(log, expected); i++) {
        assert_true(i < 6000);
        harness_nap(h, 10);
    }
}

static void test_kubesim__hang_up__new_certificates_old_streams(void **state)
{
    (void)state;
    struct tls_kit *kit = kit_new();
    struct place p = place_make();
    char log[80];
    (void)snprintf(log, sizeof log, "%s.log", p.folder);
    write_file(p.cert, kit_str(&kit->server.cert));
    write_file(p.key, kit_str(&kit->server.key));
    write_file(p.ca, mu_pki_ca(kit->ca));
    const char *const arguments[] = {
        "muster-kubesim", "--tls-cert", p.cert,       "--tls-key", p.key,
        "--client-ca",    p.ca,         "--announce", p.file,      NULL};
    pid_t pid = start_program(arguments, log);
    wait_for_file(p.file);
    FILE *in = fopen(p.file, "re");
    unsigned port = 0;
    assert_non_null(in);
    assert_int_equal(fscanf(in, "https://127.0.0.1:%u", &port), 1);
    (void)fclose(in);

    struct harness *h = harness_new();
    h->port = (uint16_t)port;
    struct mu_tls *tls = kit_client(kit->ca, &kit->client, "");
    harness_client(h, (struct mu_http_client_config){.tls = tls, .connections = 1});
    mu_tls_unref(tls);
    assert_lists_nodes(h, 1);
    struct mu_request watch = harness_request(2, MU_GET, "/api/v1/nodes?watch=1");
    watch.stream = true;
    harness_send(h, watch);
    HARNESS_UNTIL(h, h->records[2].heads == 1);

    /* Wrong files change nothing. */
    write_file(p.key, MU_STR("nonsense"));
    hang_up(h, pid, log, "server key: no PEM block of a private key");
    assert_lists_nodes(h, 3);
    /* Right ones are shown to those who come. */
    write_file(p.cert, kit_str(&kit->expired.cert));
    write_file(p.key, kit_str(&kit->expired.key));
    hang_up(h, pid, log, "certificates reloaded");
    assert_lists_nodes(h, 4); /* over the old connection */
    struct mu_http_client *old = h->client;
    tls = kit_client(kit->ca, &kit->client, "");
    harness_client(h, (struct mu_http_client_config){.tls = tls});
    mu_tls_unref(tls);
    harness_get(h, 5, "/api/v1/nodes");
    HARNESS_UNTIL(h, h->records[5].losts == 1);
    assert_string_equal(mu_http_client_problem(h->client),
                        "certificate verify failed: certificate has expired");
    harness_close_client(h);
    h->client = old;
    assert_int_equal(h->records[2].ends + h->records[2].losts, 0);

    harness_free(h);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(exit_status(pid), 0);
    (void)unlink(log);
    place_remove(&p);
    kit_free(kit);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void on_front_closed(void *context)
{
    *(bool *)context = true;
}

/* The gate keeps a request beyond its connection, with who sent it: late, repeated and lost ones
 * are the administrator's all the same. */
static void test_front__faults_over_tls__the_peer_stays_who_it_was(void **state)
{
    (void)state;
    struct mu_random random;
    struct mu_error error;
    struct mu_identity identity;
    mu_random_init_seed(&random, 5);
    struct harness *h = harness_new();
    assert_int_equal(mu_identity_make(MU_STR("127.0.0.1"), &identity, &error), 0);
    const struct mu_apiserver_config server_config = {.authenticate = true};
    const struct mu_kubelets_config kubelet_config = {0};
    struct mu_apiserver *server = mu_apiserver_create(&server_config, &random);
    struct mu_kubelets *kubelets = mu_kubelets_create(server, &kubelet_config, &random);
    struct mu_front_config config = {
        .host = MU_STR("127.0.0.1"), .tls = identity.tls, .random = &random};
    assert_int_equal(
        mu_faults_parse("drop=100,late=300,lost-reply=100,duplicate=100", &config.faults, &error),
        0);
    struct mu_front *front = NULL;
    assert_int_equal(mu_front_create(&h->loop, &config, server, kubelets, &front, &h->port), 0);
    struct mu_tls *tls = NULL;
    const struct mu_tls_client_config client = {.ca = kit_str(&identity.ca),
                                                .cert = kit_str(&identity.cert),
                                                .key = kit_str(&identity.key)};
    assert_int_equal(mu_tls_client_create(&client, &tls, &error), 0);
    harness_client(h, (struct mu_http_client_config){.tls = tls});
    mu_tls_unref(tls);
    uint32_t answered = 0;
    for (uint64_t token = 1; token <= 300; token++) {
        struct mu_request request = harness_request(token, MU_GET, "/api/v1/nodes");
        request.timeout_ns = 3 * MU_NS_PER_S;
        harness_send(h, request);
    }
    HARNESS_UNTIL(h, h->done == 300);
    for (uint64_t token = 1; token <= 300; token++) {
        if (h->records[token].ends == 1)
            assert_int_equal(h->records[token].status, 200);
        answered += h->records[token].ends;
    }
    assert_true(answered > 100 && answered < 300);
    harness_close_client(h);
    bool closed = false;
    mu_front_close(front, on_front_closed, &closed);
    HARNESS_UNTIL(h, closed);
    mu_kubelets_destroy(kubelets);
    mu_apiserver_destroy(server);
    mu_identity_fini(&identity);
    harness_free(h);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool make_identity(void *context)
{
    struct mu_identity identity;
    struct mu_error error;
    (void)context;
    int rc = mu_identity_make(MU_STR("127.0.0.1"), &identity, &error);
    assert_true(rc == 0 || (rc == MU_ENOMEM && error.text[0] != '\0'));
    mu_identity_fini(&identity);
    return rc == 0;
}

static void test_identity__out_of_memory__told(void **state)
{
    (void)state;
    assert_true(make_identity(NULL));
    assert_true(mu_test_fail_each(make_identity, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubesim__write_kubeconfig__both_contexts_work),
        cmocka_unit_test(test_kubesim__tls_flags_that_do_not_fit__exit_2),
        cmocka_unit_test(test_kubesim__hang_up__new_certificates_old_streams),
        cmocka_unit_test(test_front__faults_over_tls__the_peer_stays_who_it_was),
        cmocka_unit_test(test_identity__out_of_memory__told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
