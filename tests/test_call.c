#include "informer/call.h"

#include "tests/mu_test.h"

static void test_outbox_take__requests_added__come_out_in_order(void **state)
{
    (void)state;
    struct mu_outbox box = {0};
    assert_true(mu_outbox_empty(&box));
    assert_null(mu_outbox_take(&box));
    for (uint64_t token = 1; token <= 100; token++) {
        struct mu_request *request = mu_outbox_add(&box);
        assert_non_null(request);
        request->token = token;
        assert_int_equal(mu_buf_append_text(&request->path, "/x"), 0);
    }
    for (uint64_t token = 1; token <= 100; token++) {
        struct mu_request *request = mu_outbox_take(&box);
        assert_non_null(request);
        assert_int_equal(request->token, token);
        assert_int_equal(request->path.len, 2);
    }
    assert_true(mu_outbox_empty(&box));
    assert_null(mu_outbox_take(&box));
    mu_outbox_fini(&box);
}

static void test_outbox_take__adding_meanwhile__taken_request_stays_valid(void **state)
{
    (void)state;
    struct mu_outbox box = {0};
    struct mu_request *request = mu_outbox_add(&box);
    request->token = 7;
    assert_int_equal(mu_buf_append_text(&request->path, "/kept"), 0);
    struct mu_request *taken = mu_outbox_take(&box);
    for (int i = 0; i < 1000; i++)
        assert_non_null(mu_outbox_add(&box));
    assert_int_equal(taken->token, 7);
    assert_memory_equal(taken->path.data, "/kept", 5);
    mu_outbox_fini(&box);
}

static void test_outbox_take__buffers_moved_out__freed_once(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    struct mu_outbox box = {0};
    struct mu_request *request = mu_outbox_add(&box);
    assert_int_equal(mu_buf_append_text(&request->body, "body"), 0);
    request = mu_outbox_take(&box);
    struct mu_buf moved = request->body;
    request->body = (struct mu_buf){0};
    assert_null(mu_outbox_take(&box));
    assert_memory_equal(moved.data, "body", 4);
    mu_buf_fini(&moved);
    mu_outbox_fini(&box);
    assert_int_equal(mu_mem_live_bytes(), live);
}

static void test_outbox_add__steady_traffic__array_stays_small(void **state)
{
    (void)state;
    struct mu_outbox box = {0};
    for (int i = 0; i < 50; i++)
        assert_non_null(mu_outbox_add(&box));
    for (int i = 0; i < 10000; i++) {
        assert_non_null(mu_outbox_add(&box));
        assert_non_null(mu_outbox_take(&box));
    }
    assert_true(box.cap <= 256);
    mu_outbox_fini(&box);
}

static void test_outbox_add__out_of_memory__null_and_unchanged(void **state)
{
    (void)state;
    struct mu_outbox box = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_null(mu_outbox_add(&box));
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_true(mu_outbox_empty(&box));
    assert_non_null(mu_outbox_add(&box));
    mu_outbox_fini(&box);
}

static void test_path_append_encoded__reserved_characters__percent_encoded(void **state)
{
    (void)state;
    struct mu_buf path = {0};
    assert_int_equal(mu_path_append_encoded(&path, MU_STR("status.phase!=Failed,a/b c\xff~")), 0);
    const char *expected = "status.phase%21%3DFailed%2Ca%2Fb%20c%FF~";
    assert_int_equal(path.len, strlen(expected));
    assert_memory_equal(path.data, expected, path.len);
    mu_buf_fini(&path);
}

static void test_texts__every_value__has_one(void **state)
{
    (void)state;
    for (int m = MU_GET; m <= MU_DELETE; m++)
        assert_true(strlen(mu_method_text((enum mu_method)m)) > 2);
    for (int m = MU_MEDIA_PROTOBUF; m <= MU_MEDIA_TEXT; m++)
        assert_non_null(strchr(mu_media_text((enum mu_media)m), '/'));
    assert_string_equal(mu_media_text(MU_MEDIA_NONE), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_take__requests_added__come_out_in_order),
        cmocka_unit_test(test_outbox_take__adding_meanwhile__taken_request_stays_valid),
        cmocka_unit_test(test_outbox_take__buffers_moved_out__freed_once),
        cmocka_unit_test(test_outbox_add__steady_traffic__array_stays_small),
        cmocka_unit_test(test_outbox_add__out_of_memory__null_and_unchanged),
        cmocka_unit_test(test_path_append_encoded__reserved_characters__percent_encoded),
        cmocka_unit_test(test_texts__every_value__has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
