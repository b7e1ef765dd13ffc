/* Deletes: options, collections, namespaces and what is in them; and dry runs. */
#include "tests/kubesim_fixture.h"

#define POD(name)                                                                                  \
    "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}"
#define NAMESPACES "/api/v1/namespaces"

/* ---- options ------------------------------------------------------------------------------ */

static void test_api_delete__bad_options__422(void **state)
{
    struct fixture *f = *state;
    add_pod(f, "default", "p", "", "");
    expect(f, 422, MU_DELETE, FIXTURE_PODS "/p", "{\"propagationPolicy\":\"Maybe\"}");
    has(f, "supported values: \\\"Background\\\"");
    expect(f, 422, MU_DELETE, FIXTURE_PODS "/p?propagationPolicy=x", NULL);
    expect(f, 422, MU_DELETE, FIXTURE_PODS "/p",
           "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}");
    has(f, "cannot be both set");
    expect(f, 422, MU_DELETE, FIXTURE_PODS "/p", "{\"dryRun\":[\"Some\"]}");
    expect(f, 422, MU_DELETE, FIXTURE_PODS "/p", "{\"gracePeriodSeconds\":-2}");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
}

static void test_api_delete__propagation_policies__accepted(void **state)
{
    static const char *const policies[] = {"Background", "Foreground", "Orphan"};
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        char body[64];
        add_pod(f, "default", "p", "", "");
        (void)snprintf(body, sizeof body, "{\"propagationPolicy\":\"%s\"}", policies[i]);
        expect(f, 200, MU_DELETE, FIXTURE_PODS "/p", body);
        expect(f, 404, MU_GET, FIXTURE_PODS "/p", NULL);
    }
}

/* ---- dry runs ----------------------------------------------------------------------------- */

static void test_api_dry_run__create__all_but_the_object(void **state)
{
    struct fixture *f = *state;
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 422, MU_POST, FIXTURE_PODS "?dryRun=Some", POD("p"));
    expect(f, 422, MU_POST, FIXTURE_PODS "?dryRun=All", POD("Bad"));
    expect(f, 201, MU_POST, FIXTURE_PODS "?dryRun=All", POD("p"));
    has(f, "\"uid\":\"");
    has(f, "\"phase\":\"Pending\"");
    has_not(f, "resourceVersion");
    expect(f, 201, MU_POST, NAMESPACES "?dryRun=All", "{\"metadata\":{\"name\":\"team\"}}");
    expect(f, 404, MU_GET, NAMESPACES "/team", NULL);
    expect(f, 404, MU_GET, NAMESPACES "/team/serviceaccounts/default", NULL);
    assert_int_equal(mu_apiserver_version(f->server), version);
}

static void test_api_dry_run__change_and_delete__object_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n");
    add_pod(f, "default", "p", "", "");
    add_pod(f, "default", "bound", "", "n");
    uint64_t version = mu_apiserver_version(f->server);
    expect(f, 200, MU_PATCH, FIXTURE_PODS "/p?dryRun=All",
           "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    has(f, "\"a\":\"b\"");
    expect(f, 201, MU_POST, FIXTURE_PODS "/p/binding?dryRun=All",
           "{\"metadata\":{\"name\":\"p\"},\"target\":{\"kind\":\"Node\",\"name\":\"n\"}}");
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/p?dryRun=All", NULL);
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/p", "{\"dryRun\":[\"All\"]}");
    expect(f, 200, MU_DELETE, FIXTURE_PODS "/bound", "{\"dryRun\":[\"All\"]}");
    has(f, "deletionTimestamp");
    expect(f, 200, MU_DELETE, FIXTURE_PODS "?dryRun=All", NULL);
    expect(f, 201, MU_POST, FIXTURE_PODS "/p/eviction?dryRun=All",
           "{\"metadata\":{\"name\":\"p\"}}");
    expect(f, 200, MU_GET, FIXTURE_PODS "/p", NULL);
    has_not(f, "\"a\":\"b\"");
    has_not(f, "nodeName");
    has_not(f, "deletionTimestamp");
    assert_int_equal(mu_apiserver_version(f->server), version);
}

/* ---- collections -------------------------------------------------------------------------- */

static void test_api_delete_collection__selector__only_what_it_selects(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n");
    add_pod(f, "default", "a", "\"app\":\"x\"", "");
    add_pod(f, "default", "b", "\"app\":\"y\"", "");
    add_pod(f, "default", "c", "\"app\":\"x\"", "n");
    add_pod(f, "kube-system", "d", "\"app\":\"x\"", "");
    expect(f, 400, MU_DELETE, FIXTURE_PODS "?labelSelector=(", NULL);
    expect(f, 200, MU_DELETE, FIXTURE_PODS "?labelSelector=app%3Dx", NULL);
    expect(f, 404, MU_GET, FIXTURE_PODS "/a", NULL);
    expect(f, 200, MU_GET, FIXTURE_PODS "/b", NULL);
    expect(f, 200, MU_GET, FIXTURE_PODS "/c", NULL);
    has(f, "deletionTimestamp"); /* it ran: gracefully */
    expect(f, 200, MU_GET, NAMESPACES "/kube-system/pods/d", NULL);
    expect(f, 200, MU_DELETE, FIXTURE_PODS "?fieldSelector=metadata.name%3Db", NULL);
    expect(f, 404, MU_GET, FIXTURE_PODS "/b", NULL);
}

static void test_api_delete_collection__namespaces__405(void **state)
{
    struct fixture *f = *state;
    expect(f, 405, MU_DELETE, NAMESPACES, NULL);
}

/* ---- namespaces --------------------------------------------------------------------------- */

static void test_api_namespace__fresh__active_with_default_account(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, NAMESPACES, "{\"metadata\":{\"name\":\"team\"}}");
    has(f, "\"phase\":\"Active\"");
    has(f, "\"finalizers\":[\"kubernetes\"]");
    has(f, "\"kubernetes.io/metadata.name\":\"team\"");
    expect(f, 200, MU_GET, NAMESPACES "/team/serviceaccounts/default", NULL);
    expect(f, 200, MU_DELETE, NAMESPACES "/team/serviceaccounts/default", NULL);
    expect(f, 200, MU_GET, NAMESPACES "/team/serviceaccounts/default", NULL); /* made again */
}

static void test_api_namespace__system_ones__403(void **state)
{
    struct fixture *f = *state;
    expect(f, 403, MU_DELETE, NAMESPACES "/default", NULL);
    has(f, "this namespace may not be deleted");
    expect(f, 403, MU_DELETE, NAMESPACES "/kube-system", NULL);
}

static void test_api_namespace__deleted__emptied_then_gone(void **state)
{
    struct fixture *f = *state;
    add_node(f, "n");
    expect(f, 201, MU_POST, NAMESPACES, "{\"metadata\":{\"name\":\"team\"}}");
    add_pod(f, "team", "waits", "", "");
    add_pod(f, "team", "runs", "", "n");
    run_for(f, 2 * FIXTURE_SECOND);
    expect(f, 200, MU_DELETE, NAMESPACES "/team", NULL);
    has(f, "\"phase\":\"Terminating\"");
    has(f, "deletionTimestamp");
    expect(f, 409, MU_DELETE, NAMESPACES "/team", NULL);
    expect(f, 403, MU_POST, NAMESPACES "/team/pods", POD("late"));
    has(f, "because it is being terminated");
    has(f, "NamespaceTerminating");
    run_for(f, FIXTURE_SECOND);
    expect(f, 404, MU_GET, NAMESPACES "/team/pods/waits", NULL);
    expect(f, 404, MU_GET, NAMESPACES "/team/serviceaccounts/default", NULL);
    expect(f, 200, MU_GET, NAMESPACES "/team/pods/runs", NULL); /* has its grace period */
    has(f, "deletionTimestamp");
    expect(f, 200, MU_GET, NAMESPACES "/team", NULL);
    run_for(f, 5 * FIXTURE_SECOND);
    expect(f, 404, MU_GET, NAMESPACES "/team", NULL);
    expect(f, 404, MU_POST, NAMESPACES "/team/pods", POD("late"));
    expect(f, 201, MU_POST, NAMESPACES, "{\"metadata\":{\"name\":\"team\"}}");
    expect(f, 201, MU_POST, NAMESPACES "/team/pods", POD("fresh"));
}

static void test_api_namespace__many_objects__emptied_in_slices(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, NAMESPACES, "{\"metadata\":{\"name\":\"team\"}}");
    for (int i = 0; i < 2500; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "p%d", i);
        add_pod(f, "team", name, "", "");
    }
    expect(f, 200, MU_DELETE, NAMESPACES "/team", NULL);
    mu_kubelets_run(f->kubelets, f->now_ns);
    expect(f, 200, MU_GET, NAMESPACES "/team/pods?limit=1", NULL);
    has(f, "\"name\":\"p"); /* one turn is bounded */
    run_for(f, FIXTURE_SECOND);
    expect(f, 404, MU_GET, NAMESPACES "/team", NULL);
}

static void test_api_namespace__own_finalizer__stays_until_it_is_removed(void **state)
{
    struct fixture *f = *state;
    expect(f, 201, MU_POST, NAMESPACES,
           "{\"metadata\":{\"name\":\"team\",\"finalizers\":[\"x.io/hold\"]}}");
    expect(f, 200, MU_DELETE, NAMESPACES "/team", NULL);
    run_for(f, 5 * FIXTURE_SECOND);
    expect(f, 200, MU_GET, NAMESPACES "/team", NULL);
    expect(f, 200, MU_PATCH, NAMESPACES "/team", "{\"metadata\":{\"finalizers\":null}}");
    run_for(f, FIXTURE_SECOND);
    expect(f, 404, MU_GET, NAMESPACES "/team", NULL);
}

static void test_api_namespace__out_of_memory__finished_later(void **state)
{
    struct fixture *f = *state;
    for (int64_t nth = 1; nth < 60; nth++) {
        expect(f, 201, MU_POST, NAMESPACES, "{\"metadata\":{\"name\":\"team\"}}");
        add_pod(f, "team", "p", "", "");
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = (uint64_t)nth});
        int status = fixture_send(f, MU_DELETE, NAMESPACES "/team", MU_MEDIA_JSON, NULL);
        mu_kubelets_run(f->kubelets, f->now_ns);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_true(status == 200 || status == 500);
        if (status != 200) {
            status = fixture_send(f, MU_DELETE, NAMESPACES "/team", MU_MEDIA_JSON, NULL);
            assert_true(status == 200 || status == 409 || status == 404);
        }
        run_for(f, 3 * FIXTURE_SECOND);
        expect(f, 404, MU_GET, NAMESPACES "/team", NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_api_delete__bad_options__422),
        FIXTURE_TEST(test_api_delete__propagation_policies__accepted),
        FIXTURE_TEST(test_api_dry_run__create__all_but_the_object),
        FIXTURE_TEST(test_api_dry_run__change_and_delete__object_stays_as_it_was),
        FIXTURE_TEST(test_api_delete_collection__selector__only_what_it_selects),
        FIXTURE_TEST(test_api_delete_collection__namespaces__405),
        FIXTURE_TEST(test_api_namespace__fresh__active_with_default_account),
        FIXTURE_TEST(test_api_namespace__system_ones__403),
        FIXTURE_TEST(test_api_namespace__deleted__emptied_then_gone),
        FIXTURE_TEST(test_api_namespace__many_objects__emptied_in_slices),
        FIXTURE_TEST(test_api_namespace__own_finalizer__stays_until_it_is_removed),
        FIXTURE_TEST(test_api_namespace__out_of_memory__finished_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
