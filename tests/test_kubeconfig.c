/* kubeconfigs good and bad: what each says, and the exact line where it says nothing useful. */
#include "tests/mu_test.h"

#include <sys/stat.h>

#include "informer/kubeconfig.h"
#include "informer/limits.h"
#include "tests/memory_scan.h"

/* ---- building ---- */

/* A kubeconfig of one context, from lines of its cluster and its user. */
#define KUBECONFIG(cluster, user)                                                                  \
    "apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                           \
    "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"                                     \
    "clusters:\n- name: k\n  cluster: {" cluster "}\n"                                             \
    "users:\n- name: u\n  user: {" user "}\n"
#define SERVER "server: 'https://h:6443'"

struct folder {
    char dir[64];
    char path[128]; /* of the last file named */
};

static struct folder folder_make(void)
{
    struct folder f;
    (void)snprintf(f.dir, sizeof f.dir, "/tmp/muster-kubeconfig-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    return f;
}

static const char *folder_path(struct folder *f, const char *name)
{
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    return f->path;
}

static void folder_put(struct folder *f, const char *name, const char *text)
{
    int fd = open(folder_path(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void folder_drop(struct folder *f)
{
    static const char *const names[] = {"a", "b", "ca.crt", "cert", "key", "token", "namespace"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(folder_path(f, names[i]));
    assert_int_equal(rmdir(f->dir), 0);
}

static struct mu_kubeconfig *parse_in(const char *text, const char *folder, const char *context)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    if (mu_kubeconfig_parse(mu_str_of(text), "k", folder, context, &config, &error) != 0)
        fail_msg("%s\n%s", error.text, text);
    return config;
}

static void check_str(struct mu_str got, const char *expected)
{
    if (!mu_str_equal(got, mu_str_of(expected)))
        fail_msg("'%.*s', expected '%s'", MU_STR_ARGS(got), expected);
}

/* ---- good ones ---- */

static void test_kubeconfig_parse__inline__is_decoded(void **state)
{
    (void)state;
    struct mu_kubeconfig *config = parse_in(
        KUBECONFIG(SERVER ", certificate-authority-data: Y2E=, tls-server-name: api.example",
                   "client-certificate-data: Y2VydA==, client-key-data: a2V5, token: ' to.ken-1 '"),
        "/", NULL);
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    assert_true(v.tls && !v.insecure && !v.may_change);
    check_str(v.host, "h");
    assert_int_equal(v.port, 6443);
    check_str(v.path, "");
    check_str(v.ca, "ca");
    check_str(v.cert, "cert");
    check_str(v.key, "key");
    check_str(v.token, "to.ken-1");
    check_str(v.server_name, "api.example");
    check_str(v.ns, "");
    struct mu_error error;
    assert_int_equal(mu_kubeconfig_reload(config, &error), 0);
    mu_kubeconfig_destroy(config);
    mu_kubeconfig_destroy(NULL);
}

static void test_kubeconfig_parse__json__is_yaml(void **state)
{
    (void)state;
    struct mu_kubeconfig *config =
        parse_in("{\"kind\":\"Config\",\"apiVersion\":\"v1\",\"preferences\":{\"colors\":true},"
                 "\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"https://[::1]/k8s/\","
                 "\"insecure-skip-tls-verify\":true,\"disable-compression\":true,"
                 "\"extensions\":[{\"name\":\"x\",\"extension\":{\"a\":1}}]}}],"
                 "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\",\"exec\":null,\"as\":\"\","
                 "\"as-groups\":[]}}],"
                 "\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\",\"user\":\"u\","
                 "\"namespace\":\"prod\"}}],\"current-context\":\"c\"}",
                 "/", NULL);
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    assert_true(v.tls && v.insecure);
    check_str(v.host, "::1");
    assert_int_equal(v.port, 443);
    check_str(v.path, "/k8s");
    check_str(v.token, "t");
    check_str(v.ns, "prod");
    mu_kubeconfig_destroy(config);
}

/* Somebody else's exec plugin is none of our business; a context without a user has none. */
static void test_kubeconfig_parse__context__is_chosen_by_name(void **state)
{
    static const char text[] =
        "current-context: plugin\n"
        "contexts:\n"
        "- {name: plugin, context: {cluster: k, user: plugin}}\n"
        "- {name: plain, context: {cluster: local}}\n"
        "- {name: empty}\n"
        "clusters:\n"
        "- {name: k, cluster: {server: 'https://h', proxy-url: 'http://p'}}\n"
        "- {name: local, cluster: {server: 'http://127.0.0.1:8001', certificate-authority: /no}}\n"
        "users: [{name: plugin, user: {exec: {command: x}}}]\n";
    (void)state;
    struct mu_kubeconfig *config = parse_in(text, "/", "plain");
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    assert_true(!v.tls && v.token.len == 0 && v.ca.len == 0);
    assert_int_equal(v.port, 8001);
    mu_kubeconfig_destroy(config);
}

static void test_kubeconfig_load__files__relative_to_its_folder(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    (void)state;
    folder_put(&f, "ca.crt", "CA");
    folder_put(&f, "cert", "CERT");
    folder_put(&f, "key", "KEY");
    folder_put(&f, "token", "\n tok \n");
    char text[1024];
    (void)snprintf(text, sizeof text,
                   KUBECONFIG(SERVER ", certificate-authority: ca.crt",
                              "client-certificate: ./cert, client-key: %s/key, token: old, "
                              "tokenFile: token"),
                   f.dir);
    folder_put(&f, "a", text);
    int rc = mu_kubeconfig_load(folder_path(&f, "a"), NULL, &config, &error);
    if (rc != 0)
        fail_msg("%s", error.text);
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    check_str(v.ca, "CA");
    check_str(v.cert, "CERT");
    check_str(v.key, "KEY");
    check_str(v.token, "tok");
    assert_true(v.may_change);
    mu_kubeconfig_destroy(config);
    folder_drop(&f);
}

static void test_kubeconfig_parse__data_and_file__data_wins(void **state)
{
    (void)state;
    struct mu_kubeconfig *config =
        parse_in(KUBECONFIG(SERVER ", certificate-authority: /nonexistent, "
                                   "certificate-authority-data: Y2E=",
                            ""),
                 "/", NULL);
    check_str(mu_kubeconfig_view(config).ca, "ca");
    assert_false(mu_kubeconfig_view(config).may_change);
    mu_kubeconfig_destroy(config);
}

static void test_kubeconfig_load_list__several__the_first_definition_wins(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    char list[512];
    (void)state;
    folder_put(&f, "token", "from-b");
    folder_put(&f, "a",
               "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
               "clusters: [{name: k, cluster: {server: 'https://first'}}]\n");
    folder_put(&f, "b",
               "current-context: c\n"
               "contexts: [{name: c, context: {cluster: other}}]\n"
               "clusters: [{name: k, cluster: {server: 'https://second'}}]\n"
               "users: [{name: u, user: {tokenFile: token}}]\n");
    (void)snprintf(list, sizeof list, ":%s/missing:%s/a::%s/b:", f.dir, f.dir, f.dir);
    if (mu_kubeconfig_load_list(list, NULL, &config, &error) != 0)
        fail_msg("%s", error.text);
    check_str(mu_kubeconfig_view(config).host, "first");
    check_str(mu_kubeconfig_view(config).token, "from-b");
    mu_kubeconfig_destroy(config);
    config = NULL;
    (void)snprintf(list, sizeof list, "%s/missing:%s/gone", f.dir, f.dir);
    assert_int_equal(mu_kubeconfig_load_list(list, NULL, &config, &error), MU_ENOENT);
    assert_non_null(strstr(error.text, "found no file"));
    static char many[4096];
    for (int i = 0; i <= (int)MU_KUBECONFIG_FILES_MAX; i++)
        (void)snprintf(many + strlen(many), sizeof many - strlen(many), "%s/a:", f.dir);
    assert_int_equal(mu_kubeconfig_load_list(many, NULL, &config, &error), MU_ELIMIT);
    assert_string_equal(error.text, "expected at most 16 kubeconfigs");
    assert_null(config);
    folder_drop(&f);
}

/* ---- bad ones ---- */

struct bad {
    const char *text;
    const char *line; /* the whole error */
};

static const struct bad bad_structure[] = {
    {"", "k: no context chosen; expected current-context in the file, or a context by name"},
    {"hello", "k:1:1: expected a mapping, found something else"},
    {"[]", "k:1:1: expected a mapping, found a sequence"},
    {"a: *b", "k:1:5: expected no anchors, aliases or tags"},
    {"a: 1\na: 2", "k:2:1: expected each key once, found one again"},
    {"kind: Pod", "k:1:1: 'kind': expected Config: a kubeconfig, found something else"},
    {"kind: [Config]", "k:1:1: 'kind': expected text, found a sequence"},
    {"current-context: {}",
     "k: no context chosen; expected current-context in the file, or a context by name"},
    {"current-context: [c]", "k:1:1: 'current-context': expected text, found a sequence"},
    {"current-context: c", "k: no context 'c'; expected one to be defined"},
    {"current-context: c\ncontexts: 5",
     "k:2:1: 'contexts': expected a sequence, found something else"},
    {"current-context: c\ncontexts: [x]",
     "k:2:12: expected a mapping with a name, found something else"},
    {"current-context: c\ncontexts: [{name: []}, {name: [c]}]",
     "k:2:25: 'name': expected text, found a sequence"},
    {"current-context: c\ncontexts: [{name: a}, {name: b}]",
     "k: no context 'c'; expected one of: a, b"},
    {"current-context: c\ncontexts: [{name: c, context: 5}]",
     "k:2:22: 'context': expected a mapping, found something else"},
    {"current-context: c\ncontexts: [{name: c}]", "k:2:12: context 'c': expected a cluster"},
    {"current-context: c\ncontexts: [{name: c}, {name: c}]",
     "k:2:23: contexts: expected each name once, found 'c' again"},
    {"current-context: c\ncontexts: [{name: c, context: {cluster: k}}]",
     "k:2:32: context 'c' names cluster 'k', which is not defined under clusters"},
    {"current-context: c\ncontexts: [{name: c, context: {cluster: [k]}}]",
     "k:2:32: 'cluster': expected text, found a sequence"},
    {"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
     "clusters: [{name: k, cluster: {server: 'https://h'}}]",
     "k:2:44: context 'c' names user 'u', which is not defined under users"},
    {"current-context: c\ncontexts: [{name: c, context: {cluster: k, namespace: {a: b}}}]\n"
     "clusters: [{name: k, cluster: {server: 'https://h'}}]",
     "k:2:44: 'namespace': expected text, found a mapping"},
};

#define BAD_URL " is no server address; expected https://HOST:PORT or http://HOST:PORT"
static const struct bad bad_cluster[] = {
    {KUBECONFIG("", ""), "k:8:3: cluster 'k': expected a server"},
    {KUBECONFIG("server: ''", ""), "k:8:3: cluster 'k': expected a server"},
    {KUBECONFIG("server: [x]", ""), "k:9:13: 'server': expected text, found a sequence"},
    {KUBECONFIG("server: 'h:6443'", ""), "k:9:13: server: 'h:6443'" BAD_URL},
    {KUBECONFIG("server: 'https://u:p@h'", ""), "k:9:13: server: 'https://u:p@h'" BAD_URL},
    {KUBECONFIG(SERVER ", proxy-url: 'http://p'", ""),
     "k:9:39: cluster 'k' uses 'proxy-url': proxies are not supported"},
    {KUBECONFIG(SERVER ", insecure-skip-tls-verify: perhaps", ""),
     "k:9:39: 'insecure-skip-tls-verify': expected true or false, found something else"},
    {KUBECONFIG(SERVER ", insecure-skip-tls-verify: true, certificate-authority-data: Y2E=", ""),
     "k:9:39: cluster 'k': expected a certificate authority or insecure-skip-tls-verify, found "
     "both"},
    {KUBECONFIG(SERVER ", certificate-authority-data: '%%%'", ""),
     "k:9:39: 'certificate-authority-data': expected base64"},
    {KUBECONFIG(SERVER ", certificate-authority: missing", ""),
     "k:9:39: 'certificate-authority': /nonexistent/missing: No such file or directory"},
    {KUBECONFIG(SERVER ", certificate-authority: /dev/null", ""),
     "k:9:39: 'certificate-authority': /dev/null: expected a regular file"},
    {KUBECONFIG(SERVER ", tls-server-name: {}, certificate-authority: [x]", ""),
     "k:9:60: 'certificate-authority': expected text, found a sequence"},
    {KUBECONFIG("server: 'http://h'", "token: t"),
     "k:11:3: user 'u' has credentials, which a server of http:// must not see; expected "
     "https://"},
};

#define NOT_THIS ": not supported; expected a token or a client certificate"
#define NO_TOKEN "expected one token of at most 16 KiB, without spaces or control characters"
static const struct bad bad_user[] = {
    {KUBECONFIG(SERVER, "exec: {command: x}"), "k:12:10: user 'u' uses 'exec'" NOT_THIS},
    {KUBECONFIG(SERVER, "auth-provider: {name: gcp}"),
     "k:12:10: user 'u' uses 'auth-provider'" NOT_THIS},
    {KUBECONFIG(SERVER, "username: x, password: y"), "k:12:10: user 'u' uses 'username'" NOT_THIS},
    {KUBECONFIG(SERVER, "password: y"), "k:12:10: user 'u' uses 'password'" NOT_THIS},
    {KUBECONFIG(SERVER, "token: t, as: root"),
     "k:12:20: user 'u' uses 'as': impersonation is not supported"},
    {KUBECONFIG(SERVER, "as-uid: '7'"),
     "k:12:10: user 'u' uses 'as-uid': impersonation is not supported"},
    {KUBECONFIG(SERVER, "as-groups: [x]"),
     "k:12:10: user 'u' uses 'as-groups': impersonation is not supported"},
    {KUBECONFIG(SERVER, "as-user-extra: {x: [y]}"),
     "k:12:10: user 'u' uses 'as-user-extra': impersonation is not supported"},
    {KUBECONFIG(SERVER, "client-certificate-data: Y2U="),
     "k:11:3: user 'u': expected client-certificate and client-key, found only the certificate"},
    {KUBECONFIG(SERVER, "client-key-data: Y2U="),
     "k:11:3: user 'u': expected client-certificate and client-key, found only the key"},
    {KUBECONFIG(SERVER, "client-key-data: SECRET"), "k:12:10: 'client-key-data': expected base64"},
    {KUBECONFIG(SERVER, "token: [SECRET]"), "k:12:10: 'token': expected text, found a sequence"},
    {KUBECONFIG(SERVER, "token: SECRET more"), "k:12:10: 'token': " NO_TOKEN},
    {KUBECONFIG(SERVER, "token: \"SECRET\\e\""), "k:12:10: 'token': " NO_TOKEN},
    {KUBECONFIG(SERVER, "token: ' '"), "k:12:10: 'token': " NO_TOKEN},
    {KUBECONFIG(SERVER, "tokenFile: missing, token: SECRET"),
     "k:12:10: 'tokenFile': /nonexistent/missing: No such file or directory"},
    {KUBECONFIG(SERVER, "tokenFile: /"),
     "k:12:10: 'tokenFile': /: is a directory, expected a file"},
};

static void check_bad(const struct bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mu_kubeconfig *config = NULL;
        struct mu_error error = {0};
        size_t live = mu_mem_live_bytes();
        int rc = mu_kubeconfig_parse(mu_str_of(rows[i].text), "k", "/nonexistent", NULL, &config,
                                     &error);
        if (rc == 0 || strcmp(error.text, rows[i].line) != 0)
            fail_msg("%s\n  said     %s\n  expected %s", rows[i].text, error.text, rows[i].line);
        assert_int_equal(rc, error.code);
        assert_null(config);
        assert_int_equal(mu_mem_live_bytes(), live);
    }
}

static void test_kubeconfig_parse__bad_structure__one_line_with_its_place(void **state)
{
    (void)state;
    check_bad(bad_structure, sizeof bad_structure / sizeof bad_structure[0]);
}

static void test_kubeconfig_parse__bad_cluster__one_line_with_its_place(void **state)
{
    (void)state;
    check_bad(bad_cluster, sizeof bad_cluster / sizeof bad_cluster[0]);
}

static void test_kubeconfig_parse__bad_user__one_line_with_its_place(void **state)
{
    (void)state;
    check_bad(bad_user, sizeof bad_user / sizeof bad_user[0]);
}

static void test_kubeconfig_parse__long_texts__are_refused_or_cut(void **state)
{
    static char text[40000], name[301];
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    (void)state;
    memset(name, 'n', sizeof name - 1);
    assert_int_equal(mu_kubeconfig_parse(MU_STR("contexts: []"), "k", "/", name, &config, &error),
                     MU_EINVAL);
    assert_int_equal(strlen(error.text),
                     strlen("k: no context ''; expected one to be defined") + 64);
    int head = snprintf(text, sizeof text, "%s", KUBECONFIG(SERVER, "token: "));
    char *at = text + head - 2; /* before the closing brace */
    memset(at, 't', MU_TOKEN_BYTES_MAX);
    memcpy(at + MU_TOKEN_BYTES_MAX, "}", 2);
    config = parse_in(text, "/", NULL);
    assert_int_equal(mu_kubeconfig_view(config).token.len, MU_TOKEN_BYTES_MAX);
    mu_kubeconfig_destroy(config);
    config = NULL;
    memcpy(at + MU_TOKEN_BYTES_MAX, "t}", 3);
    assert_int_equal(mu_kubeconfig_parse(mu_str_of(text), "k", "/", NULL, &config, &error),
                     MU_EINVAL);
    assert_string_equal(error.text, "k:12:10: 'token': " NO_TOKEN);
    (void)snprintf(text, sizeof text, KUBECONFIG(SERVER ", certificate-authority: %05000d", ""), 1);
    assert_int_equal(mu_kubeconfig_parse(mu_str_of(text), "k", "/", NULL, &config, &error),
                     MU_EINVAL);
    assert_string_equal(error.text, "k:9:39: 'certificate-authority': path too long");
    assert_null(config);
}

static void test_kubeconfig_load__no_file__is_named(void **state)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    (void)state;
    assert_int_equal(mu_kubeconfig_load("/nonexistent/config", NULL, &config, &error), MU_ENOENT);
    assert_string_equal(error.text, "/nonexistent/config: No such file or directory");
    assert_int_equal(mu_kubeconfig_load("/", NULL, &config, &error), MU_EIO);
    assert_string_equal(error.text, "/: is a directory, expected a file");
}

/* A file that is no kubeconfig at all, but a token: not a byte of it is in the error. */
static void test_kubeconfig_load__a_token_by_mistake__is_not_quoted(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    (void)state;
    folder_put(&f, "a", "eyJhbGciOiJSUzI1NiJ9.SECRET\n");
    assert_int_equal(mu_kubeconfig_load(folder_path(&f, "a"), NULL, &config, &error), MU_EINVAL);
    assert_null(strstr(error.text, "SECRET"));
    assert_null(strstr(error.text, "eyJ"));
    folder_drop(&f);
}

/* ---- out of memory, secrets ---- */

static bool parse_once(void *context)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    int rc = mu_kubeconfig_load(context, NULL, &config, &error);
    assert_true(rc == 0 || (rc == MU_ENOMEM && error.code == rc && config == NULL));
    mu_kubeconfig_destroy(config);
    return rc == 0;
}

static void test_kubeconfig_load__out_of_memory__says_so_and_leaks_nothing(void **state)
{
    struct folder f = folder_make();
    (void)state;
    folder_put(&f, "token", "t");
    folder_put(&f, "a",
               KUBECONFIG(SERVER ", certificate-authority-data: Y2E=",
                          "client-certificate-data: Y2U=, client-key-data: a2V5, "
                          "tokenFile: token"));
    assert_true(mu_test_fail_each(parse_once, (void *)(uintptr_t)folder_path(&f, "a")) > 10);
    folder_drop(&f);
}

static void test_kubeconfig_destroy__secrets__are_nowhere_in_memory(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    char secret[MU_SCAN_SECRET_BYTES];
    (void)state;
    folder_put(&f, "a", KUBECONFIG(SERVER, "token: \"                                \""));
    int fd = open(f.path, O_WRONLY | O_CLOEXEC);
    mu_scan_secret(3, secret);
    off_t at = (off_t)(strlen(KUBECONFIG(SERVER, "token: \"")) - 2);
    assert_int_equal(pwrite(fd, secret, sizeof secret, at), sizeof secret);
    (void)close(fd);
    explicit_bzero(secret, sizeof secret);
    assert_int_equal(mu_kubeconfig_load(f.path, NULL, &config, &error), 0);
    assert_int_equal(mu_kubeconfig_view(config).token.len, sizeof secret);
    assert_int_equal(mu_scan_memory(3), 1); /* the value itself: no copy is left of the file */
    mu_kubeconfig_destroy(config);
    assert_int_equal(mu_scan_memory(3), 0);
    folder_drop(&f);
}

/* ---- reload ---- */

static struct mu_kubeconfig *load_files(struct folder *f)
{
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    folder_put(f, "ca.crt", "CA");
    folder_put(f, "cert", "CERT");
    folder_put(f, "key", "KEY");
    folder_put(f, "token", "one");
    folder_put(f, "a",
               KUBECONFIG(SERVER ", certificate-authority: ca.crt",
                          "client-certificate: cert, client-key: key, tokenFile: token"));
    if (mu_kubeconfig_load(folder_path(f, "a"), NULL, &config, &error) != 0)
        fail_msg("%s", error.text);
    return config;
}

static void test_kubeconfig_reload__changes__are_told_apart(void **state)
{
    struct folder f = folder_make();
    struct mu_error error;
    struct mu_kubeconfig *config = load_files(&f);
    (void)state;
    assert_int_equal(mu_kubeconfig_reload(config, &error), 0);
    folder_put(&f, "token", " one\n"); /* the same but for white space */
    assert_int_equal(mu_kubeconfig_reload(config, &error), 0);
    folder_put(&f, "token", "two");
    assert_int_equal(mu_kubeconfig_reload(config, &error), 2);
    check_str(mu_kubeconfig_view(config).token, "two");
    static const char *const files[] = {"ca.crt", "cert", "key"};
    for (size_t i = 0; i < 3; i++) {
        folder_put(&f, files[i], "NEW");
        assert_int_equal(mu_kubeconfig_reload(config, &error), 1);
        assert_int_equal(mu_kubeconfig_reload(config, &error), 0);
    }
    folder_put(&f, "token", "three");
    folder_put(&f, "cert", "NEWER");
    assert_int_equal(mu_kubeconfig_reload(config, &error), 1);
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    check_str(v.ca, "NEW");
    check_str(v.cert, "NEWER");
    check_str(v.key, "NEW");
    check_str(v.token, "three");
    mu_kubeconfig_destroy(config);
    folder_drop(&f);
}

static void test_kubeconfig_reload__one_file_bad__all_old_values_stay(void **state)
{
    struct folder f = folder_make();
    struct mu_error error;
    struct mu_kubeconfig *config = load_files(&f);
    (void)state;
    folder_put(&f, "cert", "NEW");
    folder_put(&f, "token", " \n");
    assert_int_equal(mu_kubeconfig_reload(config, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "/token: " NO_TOKEN));
    check_str(mu_kubeconfig_view(config).cert, "CERT");
    check_str(mu_kubeconfig_view(config).token, "one");
    folder_put(&f, "token", "");
    assert_int_equal(mu_kubeconfig_reload(config, &error), MU_EINVAL);
    assert_non_null(strstr(error.text, "/token: is empty"));
    assert_int_equal(unlink(folder_path(&f, "token")), 0);
    assert_int_equal(mu_kubeconfig_reload(config, &error), MU_ENOENT);
    check_str(mu_kubeconfig_view(config).cert, "CERT");
    folder_put(&f, "token", "two");
    assert_int_equal(mu_kubeconfig_reload(config, &error), 1);
    check_str(mu_kubeconfig_view(config).cert, "NEW");
    check_str(mu_kubeconfig_view(config).token, "two");
    mu_kubeconfig_destroy(config);
    folder_drop(&f);
}

static bool reload_once(void *context)
{
    struct mu_kubeconfig *config = context;
    struct mu_error error;
    int rc = mu_kubeconfig_reload(config, &error);
    assert_true(rc == 1 || rc == MU_ENOMEM);
    check_str(mu_kubeconfig_view(config).token, rc == 1 ? "two" : "one");
    return rc == 1;
}

static void test_kubeconfig_reload__out_of_memory__all_old_values_stay(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = load_files(&f);
    (void)state;
    folder_put(&f, "token", "two");
    folder_put(&f, "key", "NEW");
    assert_int_equal(mu_test_fail_each(reload_once, config), 4);
    mu_kubeconfig_destroy(config);
    folder_drop(&f);
}

/* ---- in a pod ---- */

static void test_kubeconfig_in_cluster__environment_and_files__make_it_whole(void **state)
{
    struct folder f = folder_make();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0};
    (void)state;
    (void)setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    (void)setenv("KUBERNETES_SERVICE_PORT", "8443", 1);
    assert_int_equal(mu_kubeconfig_in_cluster(f.dir, &config, &error), MU_ENOENT);
    folder_put(&f, "token", "tok\n");
    assert_int_equal(mu_kubeconfig_in_cluster(f.dir, &config, &error), MU_ENOENT);
    assert_non_null(strstr(error.text, "/ca.crt: No such file or directory"));
    folder_put(&f, "ca.crt", "CA");
    assert_int_equal(mu_kubeconfig_in_cluster(f.dir, &config, &error), 0);
    struct mu_kubeconfig_view v = mu_kubeconfig_view(config);
    assert_true(v.tls && v.may_change);
    check_str(v.host, "fd00::1");
    assert_int_equal(v.port, 8443);
    check_str(v.ca, "CA");
    check_str(v.token, "tok");
    check_str(v.ns, "");
    folder_put(&f, "token", "next");
    assert_int_equal(mu_kubeconfig_reload(config, &error), 2);
    mu_kubeconfig_destroy(config);
    config = NULL;
    folder_put(&f, "namespace", "kube-system\n");
    assert_int_equal(mu_kubeconfig_in_cluster(f.dir, &config, &error), 0);
    check_str(mu_kubeconfig_view(config).ns, "kube-system");
    mu_kubeconfig_destroy(config);
    folder_drop(&f);
}

static void test_kubeconfig_in_cluster__bad_environment__is_named(void **state)
{
    static const char *const bad[][2] = {
        {"", "443"}, {"10.0.0.1", ""}, {"10.0.0.1", "x"}, {"10.0.0.1/x", "1"}, {"a", "1/x"}};
    struct mu_kubeconfig *config = NULL;
    struct mu_error error;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)setenv("KUBERNETES_SERVICE_HOST", bad[i][0], 1);
        (void)setenv("KUBERNETES_SERVICE_PORT", bad[i][1], 1);
        assert_int_equal(mu_kubeconfig_in_cluster("/nonexistent", &config, &error), MU_EINVAL);
        assert_non_null(strstr(error.text, "KUBERNETES_SERVICE_HOST"));
    }
    (void)unsetenv("KUBERNETES_SERVICE_HOST");
    assert_int_equal(mu_kubeconfig_in_cluster(NULL, &config, &error), MU_EINVAL);
    assert_null(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubeconfig_parse__inline__is_decoded),
        cmocka_unit_test(test_kubeconfig_parse__json__is_yaml),
        cmocka_unit_test(test_kubeconfig_parse__context__is_chosen_by_name),
        cmocka_unit_test(test_kubeconfig_load__files__relative_to_its_folder),
        cmocka_unit_test(test_kubeconfig_parse__data_and_file__data_wins),
        cmocka_unit_test(test_kubeconfig_load_list__several__the_first_definition_wins),
        cmocka_unit_test(test_kubeconfig_parse__bad_structure__one_line_with_its_place),
        cmocka_unit_test(test_kubeconfig_parse__bad_cluster__one_line_with_its_place),
        cmocka_unit_test(test_kubeconfig_parse__bad_user__one_line_with_its_place),
        cmocka_unit_test(test_kubeconfig_parse__long_texts__are_refused_or_cut),
        cmocka_unit_test(test_kubeconfig_load__no_file__is_named),
        cmocka_unit_test(test_kubeconfig_load__a_token_by_mistake__is_not_quoted),
        cmocka_unit_test(test_kubeconfig_load__out_of_memory__says_so_and_leaks_nothing),
        cmocka_unit_test(test_kubeconfig_destroy__secrets__are_nowhere_in_memory),
        cmocka_unit_test(test_kubeconfig_reload__changes__are_told_apart),
        cmocka_unit_test(test_kubeconfig_reload__one_file_bad__all_old_values_stay),
        cmocka_unit_test(test_kubeconfig_reload__out_of_memory__all_old_values_stay),
        cmocka_unit_test(test_kubeconfig_in_cluster__environment_and_files__make_it_whole),
        cmocka_unit_test(test_kubeconfig_in_cluster__bad_environment__is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
