/* Watches of the embedded API server. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tests/kubesim_call.h"

#define PODS "/api/v1/namespaces/default/pods"

struct fixture {
    struct mu_apiserver *server;
    struct seen seen;
    int wakes;
    void *woken;
};

static void on_wake(void *context, void *user)
{
    struct fixture *f = context;
    f->wakes++;
    f->woken = user;
}

static int setup(void **state)
{
    struct fixture *f = mu_mem_zalloc(sizeof *f);
    struct mu_random random;
    mu_random_init_seed(&random, 1);
    struct mu_apiserver_config config = {.history_events = 16};
    f->server = mu_apiserver_create(&config, &random);
    mu_apiserver_on_wake(f->server, on_wake, f);
    *state = f;
    return f->server == NULL;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mu_apiserver_destroy(f->server);
    mu_mem_free(f);
    return 0;
}

static void create(struct fixture *f, const char *name, const char *labels)
{
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\",\"labels\":{%s}},\"spec\":{\"containers\":[{"
                   "\"name\":\"c\"}]}}",
                   name, labels);
    assert_int_equal(call_status(f->server, MU_POST, PODS, body, NULL, 0), 201);
}

static void label(struct fixture *f, const char *name, const char *labels)
{
    char url[128], body[128];
    (void)snprintf(url, sizeof url, PODS "/%s", name);
    (void)snprintf(body, sizeof body, "{\"metadata\":{\"labels\":{%s}}}", labels);
    struct answer a = call_media(f->server, MU_PATCH, url, MU_MEDIA_MERGE_PATCH, mu_str_of(body),
                                 MU_MEDIA_JSON, 0);
    assert_int_equal(a.status, 200);
    mu_buf_fini(&a.body);
}

static void bind(struct fixture *f, const char *name)
{
    char url[128], body[128];
    (void)snprintf(url, sizeof url, PODS "/%s/binding", name);
    (void)snprintf(body, sizeof body,
                   "{\"metadata\":{\"name\":\"%s\"},\"target\":{\"name\":\"n1\"}}", name);
    assert_int_equal(call_status(f->server, MU_POST, url, body, NULL, 0), 201);
}

static void delete (struct fixture *f, const char *name)
{
    char url[128];
    (void)snprintf(url, sizeof url, PODS "/%s?gracePeriodSeconds=0", name);
    assert_int_equal(call_status(f->server, MU_DELETE, url, NULL, NULL, 0), 200);
}

static struct mu_api_watch *watch(struct fixture *f, const char *url)
{
    struct answer a =
        call_media(f->server, MU_GET, url, MU_MEDIA_NONE, MU_STR(""), MU_MEDIA_PROTOBUF, 0);
    assert_int_equal(a.status, 200);
    assert_non_null(a.watch);
    mu_buf_fini(&a.body);
    return a.watch;
}

/* Pull everything, compare, and forget it. */
static void shows(struct fixture *f, struct mu_api_watch *w, size_t bytes, const char *expected)
{
    memset(&f->seen, 0, sizeof f->seen);
    assert_int_equal(pull_all(w, 0, bytes, &f->seen), MU_WATCH_IDLE);
    assert_string_equal(f->seen.text, expected);
}

static void test_api_watch__from_compacted_version__410_event(void **state)
{
    struct fixture *f = *state;
    char url[128];
    create(f, "a", "");
    (void)snprintf(url, sizeof url, "/api/v1/pods?watch=1&resourceVersion=%" PRIu64,
                   mu_apiserver_version(f->server) - 1);
    mu_apiserver_compact(f->server);
    struct mu_api_watch *w = watch(f, url);
    assert_int_equal(mu_api_watch_next_ns(w), 0);
    assert_int_equal(pull_all(w, 0, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.error_code, 410);
    assert_int_equal(f->seen.events, 1);
    assert_int_equal(pull_all(w, 0, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.events, 1); /* said once */
    mu_api_watch_close(w);
}

static void test_api_watch__falls_behind_history__410_event(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1");
    shows(f, w, 4096, "");
    char name[16];
    for (int i = 0; i < 17; i++) { /* one more than the history holds */
        (void)snprintf(name, sizeof name, "p%d", i);
        create(f, name, "");
    }
    memset(&f->seen, 0, sizeof f->seen);
    assert_int_equal(pull_all(w, 0, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.error_code, 410);
    mu_api_watch_close(w);
    /* The same while the initial state is still being sent. */
    w = watch(f, "/api/v1/pods?watch=1");
    struct mu_buf out = {0};
    assert_int_equal(mu_api_watch_pull(w, 0, 1, &out), MU_WATCH_MORE);
    for (int i = 17; i < 40; i++) {
        (void)snprintf(name, sizeof name, "p%d", i);
        create(f, name, "");
    }
    memset(&f->seen, 0, sizeof f->seen);
    assert_int_equal(pull_all(w, 0, 1, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.error_code, 410);
    mu_buf_fini(&out);
    mu_api_watch_close(w);
}

static void test_api_watch__version_from_the_future__504_event(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1&resourceVersion=99999");
    assert_int_equal(pull_all(w, 0, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.error_code, 504);
    mu_api_watch_close(w);
}

static void test_api_watch__expired_by_fault__410_event(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1");
    shows(f, w, 4096, "");
    mu_api_watch_expire(w);
    assert_int_equal(mu_api_watch_next_ns(w), 0);
    assert_int_equal(pull_all(w, 0, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.error_code, 410);
    mu_api_watch_close(w);
}

static void test_api_watch__out_of_memory__ends(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1");
    shows(f, w, 4096, "");
    create(f, "a", "");
    struct mu_buf out = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    enum mu_watch_pull pull = mu_api_watch_pull(w, 0, 4096, &out);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(pull, MU_WATCH_ENDED);
    mu_buf_fini(&out);
    mu_api_watch_close(w);
}

static void test_api_watch__from_version__only_newer(void **state)
{
    struct fixture *f = *state;
    char url[128];
    create(f, "a", "");
    (void)snprintf(url, sizeof url, "/api/v1/pods?watch=1&resourceVersion=%" PRIu64,
                   mu_apiserver_version(f->server));
    create(f, "b", "");
    struct mu_api_watch *w = watch(f, url);
    shows(f, w, 1, "ADDED b\n");
    bind(f, "b");
    label(f, "a", "\"x\":\"y\"");
    delete (f, "b");
    shows(f, w, 1, "MODIFIED b\nMODIFIED a\nDELETED b\n");
    assert_int_equal(f->seen.last_version, mu_apiserver_version(f->server));
    mu_api_watch_close(w);
}

static void test_api_watch__initial_state__of_one_version(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "");
    create(f, "b", "");
    create(f, "c", "");
    struct mu_api_watch *w =
        watch(f, "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
                 "&allowWatchBookmarks=true");
    uint64_t version = mu_apiserver_version(f->server);
    struct mu_buf first = {0};
    assert_int_equal(mu_api_watch_pull(w, 0, 1, &first), MU_WATCH_MORE);
    mu_buf_fini(&first); /* a was sent */
    delete (f, "b");
    create(f, "bb", "");
    shows(f, w, 1, "ADDED b\nADDED c\nBOOKMARK \nDELETED b\nADDED bb\n");
    assert_true(f->seen.initial_end);
    assert_true(f->seen.last_version > version);
    mu_api_watch_close(w);
    /* Without a version the state comes first too; told not to, it does not. */
    w = watch(f, "/api/v1/pods?watch=1");
    shows(f, w, 4096, "ADDED a\nADDED bb\nADDED c\n");
    assert_false(f->seen.initial_end);
    mu_api_watch_close(w);
    w = watch(f, "/api/v1/pods?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
    shows(f, w, 4096, "");
    mu_api_watch_close(w);
}

static void test_api_watch__selector_transitions__added_and_deleted(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *unbound = watch(f, "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D");
    struct mu_api_watch *bound = watch(f, "/api/v1/pods?watch=1&fieldSelector=spec.nodeName!%3D");
    struct mu_api_watch *blue = watch(f, "/api/v1/pods?watch=1&labelSelector=color%3Dblue");
    struct mu_api_watch *other = watch(f, "/api/v1/namespaces/kube-system/pods?watch=1");
    create(f, "a", "\"color\":\"red\"");
    shows(f, unbound, 4096, "ADDED a\n");
    label(f, "a", "\"color\":\"blue\"");
    bind(f, "a");
    label(f, "a", "\"color\":\"red\"");
    uint64_t version = mu_apiserver_version(f->server);
    shows(f, unbound, 4096, "MODIFIED a\nDELETED a\n");
    shows(f, bound, 4096, "ADDED a\nMODIFIED a\n");
    shows(f, blue, 4096, "ADDED a\nMODIFIED a\nDELETED a\n");
    assert_int_equal(f->seen.last_version, version); /* the version of the change */
    delete (f, "a");
    shows(f, unbound, 4096, "");
    shows(f, bound, 4096, "DELETED a\n");
    shows(f, blue, 4096, "");
    shows(f, other, 4096, "");
    mu_api_watch_close(unbound);
    mu_api_watch_close(bound);
    mu_api_watch_close(blue);
    mu_api_watch_close(other);
}

static void test_api_watch__deleted_by_selector__previous_content(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "\"color\":\"blue\"");
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1&labelSelector=color%3Dblue");
    shows(f, w, 4096, "ADDED a\n");
    label(f, "a", "\"color\":\"red\"");
    struct mu_buf out = {0};
    (void)mu_api_watch_pull(w, 0, 4096, &out);
    assert_non_null(memmem(out.data, out.len, "blue", 4));
    assert_null(memmem(out.data, out.len, "red", 3));
    mu_buf_fini(&out);
    mu_api_watch_close(w);
}

static void test_api_watch__idle__woken_once(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w = watch(f, "/api/v1/pods?watch=1");
    int user = 0;
    mu_api_watch_set_user(w, &user);
    create(f, "a", "");
    assert_int_equal(f->wakes, 0); /* it was never idle */
    shows(f, w, 4096, "ADDED a\n");
    create(f, "b", "");
    create(f, "c", "");
    assert_int_equal(f->wakes, 1);
    assert_ptr_equal(f->woken, &user);
    shows(f, w, 4096, "ADDED b\nADDED c\n");
    assert_int_equal(call_status(f->server, MU_POST, "/api/v1/nodes",
                                 "{\"metadata\":{\"name\":\"n\"}}", NULL, 0),
                     201);
    assert_int_equal(f->wakes, 1); /* another kind */
    mu_api_watch_close(w);
}

static void test_api_watch__time__bookmarks_and_end(void **state)
{
    struct fixture *f = *state;
    struct mu_api_watch *w =
        watch(f, "/api/v1/pods?watch=1&allowWatchBookmarks=1&timeoutSeconds=150&resourceVersion=1");
    shows(f, w, 4096, "");
    assert_true(mu_api_watch_next_ns(w) == 60 * MU_NS_PER_S);
    memset(&f->seen, 0, sizeof f->seen);
    assert_int_equal(pull_all(w, 60 * MU_NS_PER_S, 4096, &f->seen), MU_WATCH_IDLE);
    assert_string_equal(f->seen.text, "BOOKMARK \n");
    assert_int_equal(f->seen.last_version, mu_apiserver_version(f->server));
    assert_int_equal(pull_all(w, 120 * MU_NS_PER_S, 4096, &f->seen), MU_WATCH_IDLE);
    assert_true(mu_api_watch_next_ns(w) == 148 * MU_NS_PER_S);
    assert_int_equal(pull_all(w, 148 * MU_NS_PER_S, 4096, &f->seen), MU_WATCH_IDLE);
    assert_string_equal(f->seen.text, "BOOKMARK \nBOOKMARK \nBOOKMARK \n");
    assert_true(mu_api_watch_next_ns(w) == 150 * MU_NS_PER_S);
    assert_int_equal(pull_all(w, 150 * MU_NS_PER_S, 4096, &f->seen), MU_WATCH_ENDED);
    assert_int_equal(f->seen.events, 3);
    assert_int_equal(f->seen.error_code, 0); /* a clean end */
    mu_api_watch_close(w);
    w = watch(f, "/api/v1/pods?watch=1&resourceVersion=1");
    shows(f, w, 4096, "");
    uint64_t end_ns = mu_api_watch_next_ns(w);
    assert_in_range(end_ns / MU_NS_PER_S, 1800, 3599);
    mu_api_watch_close(w);
}

static void test_api_watch__json__lines(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "");
    struct answer a = call(f->server, MU_GET, "/api/v1/pods?watch=1&allowWatchBookmarks=true", "");
    mu_buf_fini(&a.body);
    struct mu_buf out = {0};
    while (mu_api_watch_pull(a.watch, 0, 1, &out) == MU_WATCH_MORE) {
    }
    mu_api_watch_expire(a.watch);
    assert_int_equal(mu_api_watch_pull(a.watch, 0, 1, &out), MU_WATCH_ENDED);
    (void)mu_buf_append(&out, "", 1);
    const char *text = (const char *)out.data;
    assert_memory_equal(text, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"", 37);
    assert_non_null(strstr(text, "\n{\"type\":\"BOOKMARK\",\"object\":"));
    assert_non_null(strstr(text, "initial-events-end\":\"true\""));
    assert_non_null(strstr(text, "\n{\"type\":\"ERROR\""));
    assert_non_null(strstr(text, "\"code\":410"));
    mu_buf_fini(&out);
    mu_api_watch_close(a.watch);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_api_watch__from_compacted_version__410_event),
        TEST(test_api_watch__falls_behind_history__410_event),
        TEST(test_api_watch__version_from_the_future__504_event),
        TEST(test_api_watch__expired_by_fault__410_event),
        TEST(test_api_watch__out_of_memory__ends),
        TEST(test_api_watch__from_version__only_newer),
        TEST(test_api_watch__initial_state__of_one_version),
        TEST(test_api_watch__selector_transitions__added_and_deleted),
        TEST(test_api_watch__deleted_by_selector__previous_content),
        TEST(test_api_watch__idle__woken_once),
        TEST(test_api_watch__time__bookmarks_and_end),
        TEST(test_api_watch__json__lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
