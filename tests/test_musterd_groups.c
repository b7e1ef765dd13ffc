/*
 * musterd and muster-kubesim as people run them, and one gang of each dialect with the objects that
 * describe them (tests/data/gang_dialects.yaml), some of which come late.
 */
#include "tests/cli_rig.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <sys/socket.h>

#include "informer/yaml_json.h"

#define ANSWER_BYTES (1 << 20)

/* ---- the least of an HTTP client ---------------------------------------------------------- */

/* Send one request over a connection of its own; the answer, head and body, until the server ends.
 * Returns the status. */
static int ask(uint16_t port, const char *method, const char *path, const char *body,
               char answer[ANSWER_BYTES])
{
    static char request[1 << 16];
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    const int len = snprintf(request, sizeof request,
                             "%s %s HTTP/1.1\r\nHost: kubesim\r\nAccept: application/json\r\n"
                             "Connection: close\r\nContent-Type: application/json\r\n"
                             "Content-Length: %zu\r\n\r\n%s",
                             method, path, strlen(body), body);
    assert_true(len > 0 && (size_t)len < sizeof request);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    size_t got = 0;
    ssize_t more;
    while ((more = recv(fd, answer + got, ANSWER_BYTES - 1 - got, 0)) > 0)
        got += (size_t)more;
    assert_int_equal(more, 0);
    assert_int_equal(close(fd), 0);
    answer[got] = '\0';
    assert_true(strncmp(answer, "HTTP/1.1 ", 9) == 0);
    return (int)strtol(answer + 9, NULL, 10);
}

/* ---- manifests ---------------------------------------------------------------------------- */

struct site {
    struct place place;
    pid_t kubesim, musterd;
    uint16_t port;
    json_t *documents;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static void read_documents(struct site *s)
{
    static char text[OUTPUT_BYTES];
    struct mu_error error;
    read_file(MU_SOURCE_DIR "/tests/data/gang_dialects.yaml", text);
    assert_int_equal(mu_yaml_read(mu_str_of(text), "dialects", &s->documents, NULL, &error), 0);
    assert_true(json_array_size(s->documents) > 30);
}

/* Create what is of this API version ("": pods, nodes); "*": everything. Returns how many. */
static uint32_t create(struct site *s, const char *api_version)
{
    static char answer[ANSWER_BYTES];
    uint32_t count = 0;
    size_t i;
    json_t *document;
    json_array_foreach(s->documents, i, document)
    {
        char path[160];
        const char *version = text_of(document, "apiVersion");
        const char *kind = text_of(document, "kind");
        const bool core = strcmp(version, "v1") == 0;
        if (strcmp(api_version, "*") != 0 && strcmp(version, api_version) != 0)
            continue;
        (void)snprintf(path, sizeof path, "/%s/%s/%s%s", core ? "api" : "apis", version,
                       strcmp(kind, "Node") == 0 ? "" : "namespaces/default/",
                       strcmp(kind, "Node") == 0       ? "nodes"
                       : strcmp(kind, "Pod") == 0      ? "pods"
                       : strcmp(kind, "Workload") == 0 ? "workloads"
                                                       : "podgroups");
        char *body = json_dumps(document, JSON_COMPACT);
        assert_non_null(body);
        if (ask(s->port, "POST", path, body, answer) != 201)
            fail_msg("%s %s: %s", path, body, answer);
        free(body);
        count++;
    }
    return count;
}

/* ---- the two programs --------------------------------------------------------------------- */

static void site_open(struct site *s, const char *group_kinds)
{
    char url[128];
    s->place = place_make();
    read_documents(s);
    s->kubesim =
        start("muster-kubesim",
              (const char *const[]){"--announce", s->place.url, "--group-kinds", group_kinds, NULL},
              "/dev/null", "/dev/null");
    wait_for_url(s->place.url, url);
    const char *colon = strrchr(url, ':');
    assert_non_null(colon);
    s->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    s->musterd = start("musterd",
                       (const char *const[]){"--server", url, "--scheduler-name",
                                             "default-scheduler", "--journal", "memory", NULL},
                       s->place.out, s->place.err);
}

static void site_close(struct site *s)
{
    assert_int_equal(kill(s->musterd, SIGTERM), 0);
    assert_int_equal(finish(s->musterd), 0);
    assert_int_equal(kill(s->kubesim, SIGTERM), 0);
    assert_int_equal(finish(s->kubesim), 0);
    json_decref(s->documents);
    place_drop(&s->place);
}

/* Pods that are bound, and of those that are not the names. */
static uint32_t count_bound(struct site *s, char waiting[1024])
{
    static char answer[ANSWER_BYTES];
    uint32_t bound = 0;
    size_t i;
    json_t *pod;
    assert_int_equal(ask(s->port, "GET", "/api/v1/pods", "", answer), 200);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    const char *open = strchr(body, '{');
    assert_non_null(open);
    json_t *list = json_loads(open, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(list);
    waiting[0] = '\0';
    json_array_foreach(json_object_get(list, "items"), i, pod)
    {
        const bool has_node = text_of(json_object_get(pod, "spec"), "nodeName")[0] != '\0';
        const size_t len = strlen(waiting);
        bound += has_node;
        if (!has_node)
            (void)snprintf(waiting + len, 1024 - len, "%s ",
                           text_of(json_object_get(pod, "metadata"), "name"));
    }
    json_decref(list);
    return bound;
}

static void wait_for_bound(struct site *s, uint32_t want, uint32_t tries)
{
    char waiting[1024] = "";
    uint32_t bound = 0;
    for (uint32_t i = 0; i < tries && bound != want; i++) {
        (void)poll(NULL, 0, 100);
        bound = count_bound(s, waiting);
    }
    if (bound != want)
        fail_msg("%u are bound, not %u; waiting: %s", bound, want, waiting);
}

#define ALL_DIALECTS "native,native-1.35,scheduler-plugins,volcano,kai,godel"
#define PODS         26u /* two of each of thirteen dialects */

static void test_musterd__gang_of_each_dialect__is_placed(void **state)
{
    (void)state;
    struct site s;
    site_open(&s, ALL_DIALECTS);
    assert_true(create(&s, "*") > PODS);
    wait_for_bound(&s, PODS, 200);
    site_close(&s);
}

/* Pods first, their objects after them. */
static void test_musterd__objects_come_after_pods__gangs_wait_for_them(void **state)
{
    (void)state;
    static const char *const versions[] = {
        "scheduling.k8s.io/v1beta1",    "scheduling.k8s.io/v1alpha1",
        "scheduling.x-k8s.io/v1alpha1", "scheduling.volcano.sh/v1beta1",
        "scheduling.run.ai/v2alpha2",   "scheduling.godel.kubewharf.io/v1alpha1"};
    struct site s;
    site_open(&s, ALL_DIALECTS);
    assert_int_equal(create(&s, "v1"), PODS + 1);
    wait_for_bound(&s, PODS - 12, 200);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(create(&s, versions[i]), 1);
        wait_for_bound(&s, PODS - 12 + 2 * (i + 1), 200);
    }
    site_close(&s);
}

/* A kind that the server has not, and then has: looked for every 25 to 30 s. */
static void test_musterd__kind_appears_later__is_picked_up(void **state)
{
    (void)state;
    static char log[OUTPUT_BYTES];
    static char answer[ANSWER_BYTES];
    static const char path[] = "/apis/scheduling.run.ai/v2alpha2/podgroups";
    struct site s;
    site_open(&s, "kai=4");
    assert_int_equal(ask(s.port, "GET", path, "", answer), 404);
    assert_int_equal(create(&s, "v1"), PODS + 1);
    wait_for_bound(&s, PODS - 12, 200);
    for (int i = 0; i < 100 && ask(s.port, "GET", path, "", answer) != 200; i++)
        (void)poll(NULL, 0, 100);
    assert_int_equal(create(&s, "scheduling.run.ai/v2alpha2"), 1);
    wait_for_bound(&s, PODS - 10, 400);
    read_file(s.place.err, log);
    assert_non_null(
        strstr(log, "their groups cannot be listed\" kind=podgroups.scheduling.run.ai"));
    assert_non_null(strstr(log, "groups are known\" kind=podgroups.scheduling.run.ai"));
    site_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_musterd__gang_of_each_dialect__is_placed),
        cmocka_unit_test(test_musterd__objects_come_after_pods__gangs_wait_for_them),
        cmocka_unit_test(test_musterd__kind_appears_later__is_picked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
