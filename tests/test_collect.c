/* Lists of all objects, with the wire in the test's hands. */
#include "tests/mu_test.h"

#include "engine/base/mem.h"
#include "informer/codec.h"
#include "informer/proto/core.pb-c.h"
#include "tools/muster/collect.h"

enum { TOKENS = 1000, TRIES = 5 };

struct rig {
    struct mu_collect *collect;
    struct mu_outbox box;
    uint64_t token; /* of the request taken last */
};

static struct rig rig_create(void)
{
    struct rig rig = {.collect = mu_collect_create(MU_STR("/api/v1/pods"), TOKENS)};
    assert_non_null(rig.collect);
    mu_collect_start(rig.collect, &rig.box);
    return rig;
}

static void rig_destroy(struct rig *rig)
{
    mu_collect_destroy(rig->collect);
    mu_outbox_fini(&rig->box);
}

static bool take(struct rig *rig, const char *path)
{
    struct mu_request *request = mu_outbox_take(&rig->box);
    if (request == NULL)
        return false;
    rig->token = request->token;
    assert_int_equal(request->path.len, strlen(path));
    assert_memory_equal(request->path.data, path, strlen(path));
    return true;
}

static void reply(struct rig *rig, enum mu_reply_kind kind, int status, const struct mu_buf *data)
{
    struct mu_reply reply = {.token = rig->token, .kind = kind, .status = status};
    if (data != NULL)
        reply.data = (struct mu_str){(const char *)data->data, (uint32_t)data->len};
    assert_true(mu_collect_reply(rig->collect, &reply, &rig->box));
}

/* A page with one pod. */
static void answer_page(struct rig *rig, const char *name, const char *next)
{
    struct mu_buf body = {0};
    uint8_t raw[512];
    Kube__ObjectMeta pod_meta = KUBE__OBJECT_META__INIT;
    Kube__ListMeta list_meta = KUBE__LIST_META__INIT;
    Kube__Pod pod = KUBE__POD__INIT, *items[] = {&pod};
    Kube__PodList list = KUBE__POD_LIST__INIT;
    pod_meta.name = (char *)(uintptr_t)name;
    pod.metadata = &pod_meta;
    list_meta.resourceversion = (char[]){"7"};
    list_meta.continue_ = (char *)(uintptr_t)next;
    list.metadata = &list_meta;
    list.items = items;
    list.n_items = 1;
    assert_true(kube__pod_list__get_packed_size(&list) <= sizeof raw);
    size_t len = kube__pod_list__pack(&list, raw);
    assert_int_equal(mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("PodList"),
                                      (struct mu_str){(const char *)raw, (uint32_t)len}),
                     0);
    reply(rig, MU_REPLY_HEAD, 200, NULL);
    reply(rig, MU_REPLY_DATA, 0, &body);
    reply(rig, MU_REPLY_END, 0, NULL);
    mu_buf_fini(&body);
}

static void assert_name(const struct rig *rig, uint32_t i, const char *name)
{
    struct mu_object_meta meta;
    assert_int_equal(mu_meta_decode(mu_collect_get(rig->collect, i), &meta, NULL), 0);
    assert_true(mu_str_equal(meta.name, mu_str_of(name)));
}

static void test_collect__breaks_off_once__starts_over_and_has_each_object_once(void **state)
{
    struct rig rig = rig_create();
    struct mu_error error;
    (void)state;
    assert_true(take(&rig, "/api/v1/pods?limit=1000"));
    answer_page(&rig, "a", "x/1");
    assert_true(take(&rig, "/api/v1/pods?limit=1000&continue=x%2F1"));
    reply(&rig, MU_REPLY_HEAD, 410, NULL);
    reply(&rig, MU_REPLY_END, 0, NULL);
    assert_true(take(&rig, "/api/v1/pods?limit=1000"));
    answer_page(&rig, "a", "y");
    assert_int_equal(mu_collect_state(rig.collect, &error), 0);
    assert_true(take(&rig, "/api/v1/pods?limit=1000&continue=y"));
    answer_page(&rig, "b", "");
    assert_int_equal(mu_collect_state(rig.collect, &error), 1);
    assert_int_equal(mu_collect_count(rig.collect), 2);
    assert_name(&rig, 0, "a");
    assert_name(&rig, 1, "b");
    assert_false(take(&rig, ""));
    rig_destroy(&rig);
}

/* A server whose first page always arrives is not asked for ever. */
static void test_collect__breaks_off_every_time__ends_with_the_status(void **state)
{
    struct rig rig = rig_create();
    struct mu_error error;
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        assert_true(take(&rig, "/api/v1/pods?limit=1000"));
        answer_page(&rig, "a", "x");
        assert_int_equal(mu_collect_state(rig.collect, &error), 0);
        assert_true(take(&rig, "/api/v1/pods?limit=1000&continue=x"));
        reply(&rig, MU_REPLY_HEAD, 410, NULL);
        reply(&rig, MU_REPLY_END, 0, NULL);
    }
    assert_int_equal(mu_collect_state(rig.collect, &error), MU_EIO);
    assert_string_equal(error.text, "list /api/v1/pods: the server answers HTTP 410");
    assert_false(take(&rig, ""));
    rig_destroy(&rig);
}

static void test_collect__no_answer__ends_and_says_so(void **state)
{
    struct rig rig = rig_create();
    struct mu_error error;
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        assert_true(take(&rig, "/api/v1/pods?limit=1000"));
        reply(&rig, MU_REPLY_LOST, 0, NULL);
    }
    assert_int_equal(mu_collect_state(rig.collect, &error), MU_EIO);
    assert_string_equal(error.text, "list /api/v1/pods: no answer");
    rig_destroy(&rig);
}

static void test_collect__no_list__is_refused(void **state)
{
    static uint8_t nonsense[] = "k8s?";
    const struct mu_buf body = {.data = nonsense, .len = 4};
    struct rig rig = rig_create();
    struct mu_error error;
    (void)state;
    assert_true(take(&rig, "/api/v1/pods?limit=1000"));
    reply(&rig, MU_REPLY_HEAD, 200, NULL);
    reply(&rig, MU_REPLY_DATA, 0, &body);
    reply(&rig, MU_REPLY_END, 0, NULL);
    assert_true(mu_collect_state(rig.collect, &error) < 0);
    assert_true(error.text[0] != '\0');
    rig_destroy(&rig);
}

static void test_collect__out_of_memory__fails_and_leaks_nothing(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        size_t before = mu_mem_live_bytes();
        struct mu_outbox box = {0};
        struct mu_error error = {0};
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        struct mu_collect *collect = mu_collect_create(MU_STR("/api/v1/pods"), TOKENS);
        if (collect != NULL)
            mu_collect_start(collect, &box);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 0});
        bool whole = collect != NULL && mu_collect_state(collect, &error) == 0;
        assert_true(collect == NULL || whole || error.code == MU_ENOMEM);
        mu_collect_destroy(collect);
        mu_outbox_fini(&box);
        assert_int_equal(mu_mem_live_bytes(), before);
        if (whole)
            break;
        assert_true(nth < 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collect__breaks_off_once__starts_over_and_has_each_object_once),
        cmocka_unit_test(test_collect__breaks_off_every_time__ends_with_the_status),
        cmocka_unit_test(test_collect__no_answer__ends_and_says_so),
        cmocka_unit_test(test_collect__no_list__is_refused),
        cmocka_unit_test(test_collect__out_of_memory__fails_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
