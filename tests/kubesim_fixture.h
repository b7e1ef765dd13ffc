#ifndef MU_TESTS_KUBESIM_FIXTURE_H
#define MU_TESTS_KUBESIM_FIXTURE_H
/* A server with kubelets and controllers under virtual time, for tests of what the API does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"
#include "tools/kubesim/kubelet.h"

#define FIXTURE_WALL_S UINT64_C(1767225600) /* 2026-01-01T00:00:00Z */
#define FIXTURE_PODS   "/api/v1/namespaces/default/pods"
#define FIXTURE_SECOND MU_NS_PER_S

struct fixture {
    struct mu_apiserver *server;
    struct mu_kubelets *kubelets;
    uint64_t now_ns;
    struct mu_str authorization; /* of the next requests */
    char text[32768];            /* of the last answer */
};

static inline int fixture_open(void **state, const struct mu_apiserver_config *config)
{
    static const struct mu_kubelets_config kubelets = {.start_ns_min = FIXTURE_SECOND,
                                                       .start_ns_max = FIXTURE_SECOND,
                                                       .grace_ns_max = 3 * FIXTURE_SECOND,
                                                       .evict_ns = 5 * FIXTURE_SECOND};
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    f->server = mu_apiserver_create(config, &random);
    f->kubelets = mu_kubelets_create(f->server, &kubelets, &random);
    *state = f;
    return f->server == NULL || f->kubelets == NULL;
}

static inline int fixture_setup(void **state)
{
    return fixture_open(
        state, &(struct mu_apiserver_config){.history_events = 256,
                                             .wall_base_ns = FIXTURE_WALL_S * MU_NS_PER_S});
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    mu_kubelets_destroy(f->kubelets);
    mu_apiserver_destroy(f->server);
    mu_mem_free(f);
    return 0;
}

/* Send; the answer's start stays in f->text. Returns the status. */
static inline int fixture_send(struct fixture *f, enum mu_method method, const char *url,
                               enum mu_media content, const char *body)
{
    const char *mark = strchr(url, '?');
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(url),
                                     .query = mu_str_of(mark == NULL ? "" : mark + 1),
                                     .content = content,
                                     .accept = MU_STR("application/json"),
                                     .authorization = f->authorization,
                                     .body = mu_str_of(body)};
    if (mark != NULL) {
        request.path.len = (uint32_t)(mark - url);
    }
    struct mu_api_response response;
    mu_apiserver_handle(f->server, &request, f->now_ns, &response);
    (void)snprintf(f->text, sizeof f->text, "%.*s", (int)response.body.len,
                   response.body.len > 0 ? (const char *)response.body.data : "");
    mu_api_watch_close(response.watch);
    mu_buf_fini(&response.body);
    mu_buf_fini(&response.warnings);
    return response.status;
}

static inline void expect(struct fixture *f, int status, enum mu_method method, const char *url,
                          const char *body)
{
    enum mu_media media = method == MU_PATCH ? MU_MEDIA_MERGE_PATCH : MU_MEDIA_JSON;
    int got = fixture_send(f, method, url, media, body);
    if (got != status) {
        fail_msg("%s %s: %d, expected %d: %s", mu_method_text(method), url, got, status, f->text);
    }
}

static inline void has(const struct fixture *f, const char *part)
{
    if (strstr(f->text, part) == NULL) {
        fail_msg("'%s' is not in: %s", part, f->text);
    }
}

static inline void has_not(const struct fixture *f, const char *part)
{
    if (strstr(f->text, part) != NULL) {
        fail_msg("'%s' is in: %s", part, f->text);
    }
}

/* Let time pass, step by step as a driver would. */
static inline void run_for(struct fixture *f, uint64_t ns)
{
    uint64_t until_ns = f->now_ns + ns;
    uint64_t next_ns = 0;
    while ((next_ns = mu_kubelets_next_ns(f->kubelets)) <= until_ns) {
        f->now_ns = next_ns > f->now_ns ? next_ns : f->now_ns;
        mu_kubelets_run(f->kubelets, f->now_ns);
    }
    f->now_ns = until_ns;
}

static inline void add_node(struct fixture *f, const char *name)
{
    char body[512];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\"},\"status\":{\"allocatable\":{\"cpu\":\"64\","
                   "\"memory\":\"64Gi\",\"pods\":\"100\"},\"conditions\":[{\"type\":\"Ready\","
                   "\"status\":\"True\"}]}}",
                   name);
    expect(f, 201, MU_POST, "/api/v1/nodes", body);
}

/* A pod with labels ("" or `"a":"b"`), on a node ("": not bound). */
static inline void add_pod(struct fixture *f, const char *ns, const char *name, const char *labels,
                           const char *node)
{
    char url[128];
    char body[512];
    (void)snprintf(url, sizeof url, "/api/v1/namespaces/%s/pods", ns);
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{\"nodeName\":\"%s\","
                   "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
                   name, labels, node);
    expect(f, 201, MU_POST, url, body);
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
