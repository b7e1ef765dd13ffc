/* Lists, watch streams, metadata and Status in JSON. */
#include "informer/codec_json.h"
#include "tests/mu_test.h"

/* ---- lists -------------------------------------------------------------------------------- */

struct items {
    char text[256];
    uint32_t count;
    int stop_at, stop_with;
};

static int on_item(void *context, struct mu_str raw)
{
    struct items *items = context;
    size_t len = strlen(items->text);
    (void)snprintf(items->text + len, sizeof items->text - len, "%.*s;", MU_STR_ARGS(raw));
    return (int)++items->count == items->stop_at ? items->stop_with : 0;
}

static int open_list(const char *text, struct mu_list_head *head, struct items *items)
{
    struct mu_error error;
    return mu_json_list_open(mu_str_of(text), head, on_item, items, &error);
}

static void test_json_list_open__objects__cut_out_as_they_are(void **state)
{
    (void)state;
    struct mu_list_head head;
    struct items items = {.count = 0};
    assert_int_equal(
        open_list(
            " {\"kind\":\"PodGroupList\", \"items\" :[ {\"a\":\"}\\\"]\"} ,{ \"b\":[{},[1]]}],"
            "\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"abc\"}}\n",
            &head, &items),
        0);
    assert_string_equal(items.text, "{\"a\":\"}\\\"]\"};{ \"b\":[{},[1]]};");
    assert_true(mu_str_equal(head.resource_version, MU_STR("12")));
    assert_true(mu_str_equal(head.continue_token, MU_STR("abc")));
}

static void test_json_list_open__no_items__none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"metadata\":{\"resourceVersion\":\"12\"}}",
        "{\"metadata\":{\"resourceVersion\":\"12\"},\"items\":null}",
        "{\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"\"},\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"7\",\"resourceVersion\":\"12\"},\"items\":[ ]}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_list_head head;
        struct items items = {.count = 0};
        assert_int_equal(open_list(texts[i], &head, &items), 0);
        assert_int_equal(items.count, 0);
        assert_true(mu_str_equal(head.resource_version, MU_STR("12")));
        assert_int_equal(head.continue_token.len, 0);
    }
}

#define META "\"metadata\":{\"resourceVersion\":\"1\"}"
static void test_json_list_open__malformed__no_item_is_handed_on(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "[]",
        "{",
        "k8s",
        "{" META ",\"items\":[{}",
        "{" META ",\"items\":[{},]}",
        "{" META ",\"items\":[{} {}]}",
        "{" META ",\"items\":[{}],}",
        "{" META ",\"items\":[{}]}}",
        "{" META ",\"items\":[{}}}",
        "{" META ",\"items\":[{},7]}",
        "{" META ",\"items\":[{},\"x]}",
        "{" META ",\"items\":[{},{\"a\\",
        "{" META ",\"items\":{}}",
        "{" META ",\"items\":[{}],7:1}",
        "{" META ",\"items\":[{}],\"a\"1}",
        "{" META ",\"items\":[{}],\"a\":}",
        "{\"items\":[{}]}",
        "{\"items\":[{}],\"metadata\":7}",
        "{\"items\":[{}],\"metadata\":{\"resourceVersion\":\"1\",\"continue\":\"a\\u003d\"}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_list_head head;
        struct items items = {.count = 0};
        if (open_list(texts[i], &head, &items) != MU_EPROTO || items.count > 0)
            fail_msg("taken: %s", texts[i]);
    }
}

static void test_json_list_open__callback_stops__its_value(void **state)
{
    (void)state;
    struct mu_list_head head;
    struct items items = {.stop_at = 2, .stop_with = MU_ENOMEM};
    assert_int_equal(open_list("{" META ",\"items\":[{},{},{}]}", &head, &items), MU_ENOMEM);
    assert_int_equal(items.count, 2);
}

static void test_json_list_open__deeper_than_the_bound__refused(void **state)
{
    (void)state;
    static char text[2 * MU_JSON_NEST_MAX + 128];
    for (uint32_t depth = MU_JSON_NEST_MAX - 1; depth <= MU_JSON_NEST_MAX; depth++) {
        struct mu_list_head head;
        struct items items = {.count = 0};
        size_t at = (size_t)snprintf(text, sizeof text, "{" META ",\"items\":[{\"a\":");
        /* The object and the list around it are two. */
        memset(text + at, '[', depth - 2);
        memset(text + at + depth - 2, ']', depth - 2);
        (void)snprintf(text + at + 2 * (depth - 2), 16, "}]}");
        assert_int_equal(open_list(text, &head, &items), 0);
    }
    size_t at = (size_t)snprintf(text, sizeof text, "{" META ",\"items\":[{\"a\":");
    memset(text + at, '[', MU_JSON_NEST_MAX - 1);
    memset(text + at + MU_JSON_NEST_MAX - 1, ']', MU_JSON_NEST_MAX - 1);
    (void)snprintf(text + at + 2 * (MU_JSON_NEST_MAX - 1), 16, "}]}");
    struct mu_list_head head;
    struct items items = {.count = 0};
    assert_int_equal(open_list(text, &head, &items), MU_EPROTO);
}

/* ---- metadata, Status --------------------------------------------------------------------- */

static void test_json_meta_decode__table(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        const char *name;
        uint64_t version;
    } rows[] = {
        {"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\","
         "\"resourceVersion\":\"34\"}}",
         0, "a", 34},
        {"{\"spec\":{\"metadata\":{\"name\":\"no\"}},\"metadata\":{\"name\":\"a\"}}", 0, "a", 0},
        {"{\"metadata\":{\"name\":7,\"resourceVersion\":34}}", 0, "", 0},
        {"{\"metadata\":{\"name\":\"a\\u0062\",\"resourceVersion\":\"x\"}}", 0, "", 0},
        {"{}", MU_EPROTO, "", 0},
        {"{\"metadata\":null}", MU_EPROTO, "", 0},
        {"7", MU_EPROTO, "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_object_meta meta;
        assert_int_equal(mu_json_meta_decode(mu_str_of(rows[i].text), &meta, NULL), rows[i].rc);
        assert_true(mu_str_equal(meta.name, mu_str_of(rows[i].name)));
        assert_int_equal(meta.version, rows[i].version);
    }
}

static void test_json_status_decode__whole__as_told(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(4096);
    struct mu_status status;
    static const char text[] =
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"too large\",\"reason\":\"Timeout\",\"code\":504,\"details\":{"
        "\"retryAfterSeconds\":3,\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}";
    assert_int_equal(mu_json_status_decode(MU_STR(text), arena, &status), 0);
    assert_int_equal(status.code, 504);
    assert_int_equal(status.retry_after_s, 3);
    assert_true(mu_str_equal(status.status, MU_STR("Failure")));
    assert_true(mu_str_equal(status.message, MU_STR("too large")));
    assert_true(mu_str_equal(status.reason, MU_STR("Timeout")));
    assert_true(mu_str_equal(status.cause, MU_STR("ResourceVersionTooLarge")));
    assert_int_equal(mu_json_status_decode(MU_STR("{\"kind\":\"Status\",\"code\":-1,\"reason\":7,"
                                                  "\"details\":7}"),
                                           arena, &status),
                     0);
    assert_int_equal(status.code, 0);
    assert_int_equal(status.reason.len, 0);
    assert_int_equal(mu_json_status_decode(MU_STR("{\"kind\":\"PodGroup\"}"), arena, &status),
                     MU_EPROTO);
    assert_int_equal(mu_json_status_decode(MU_STR("Too many requests"), arena, &status), MU_EPROTO);
    mu_arena_destroy(arena);
}

static void test_json_status_decode__no_room__told(void **state)
{
    (void)state;
    static char text[1024];
    struct mu_status status;
    struct mu_arena *arena = mu_arena_create(64);
    size_t at = (size_t)snprintf(text, sizeof text, "{\"kind\":\"Status\",\"message\":\"");
    memset(text + at, 'm', 512);
    (void)snprintf(text + at + 512, 16, "\"}");
    assert_int_equal(mu_json_status_decode(mu_str_of(text), arena, &status), MU_ENOMEM);
    mu_arena_destroy(arena);
}

/* ---- watch streams ------------------------------------------------------------------------ */

struct events {
    char text[512];
    int fail;
};

static int on_event(void *context, const struct mu_watch_event *event)
{
    struct events *events = context;
    size_t len = strlen(events->text);
    (void)snprintf(events->text + len, sizeof events->text - len, "%d %.*s %.*s %.*s\n",
                   (int)event->type, MU_STR_ARGS(event->object.api_version),
                   MU_STR_ARGS(event->object.kind), MU_STR_ARGS(event->object.raw));
    return events->fail;
}

#define ONE                                                                                        \
    "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"g/v1\",\"kind\":\"PodGroup\",\"a\":\"\\\\"   \
    "\\\"{\"}}"
#define TWO   "{\"object\":{\"kind\":\"Status\"},\"type\":\"ERROR\"}"
#define THREE "{\"type\":\"BOOKMARK\",\"object\":{}}"
static const char stream[] = "\n" ONE "\n" TWO THREE " \r\n";
static const char told[] = "0 g/v1 PodGroup {\"apiVersion\":\"g/v1\",\"kind\":\"PodGroup\","
                           "\"a\":\"\\\\\\\"{\"}\n"
                           "4  Status {\"kind\":\"Status\"}\n"
                           "3   {}\n";

static void test_json_watch_feed__cut_anywhere__same_events(void **state)
{
    (void)state;
    const uint32_t all = sizeof stream - 1;
    for (uint32_t first = 0; first <= all; first++) {
        for (uint32_t step = 1; step <= all; step += step < 4 ? 1 : 13) {
            struct mu_watch_decoder decoder;
            struct events events = {.fail = 0};
            struct mu_error error;
            mu_watch_decoder_init_json(&decoder);
            assert_int_equal(mu_watch_decoder_feed(&decoder, (struct mu_str){stream, first},
                                                   on_event, &events, &error),
                             0);
            for (uint32_t at = first; at < all; at += step) {
                uint32_t len = at + step < all ? step : all - at;
                assert_int_equal(mu_watch_decoder_feed(&decoder, (struct mu_str){stream + at, len},
                                                       on_event, &events, &error),
                                 0);
            }
            assert_string_equal(events.text, told);
            assert_false(mu_watch_decoder_partial(&decoder));
            mu_watch_decoder_fini(&decoder);
        }
    }
}

static void test_json_watch_feed__half_an_event__partial(void **state)
{
    (void)state;
    struct mu_watch_decoder decoder;
    struct events events = {.fail = 0};
    mu_watch_decoder_init_json(&decoder);
    assert_int_equal(mu_watch_decoder_feed(&decoder, MU_STR("{\"type\":"), on_event, &events, NULL),
                     0);
    assert_true(mu_watch_decoder_partial(&decoder));
    mu_watch_decoder_fini(&decoder);
}

static void test_json_watch_feed__malformed__refused_for_good(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x",
        "}",
        "[]",
        "{}",
        "{\"type\":\"ADDED\"}",
        "{\"type\":\"ADDED\",\"object\":7}",
        "{\"type\":\"added\",\"object\":{}}",
        "{\"type\":\"ADDED\",\"object\":{]}",
        "{\"type\":\"ADDED\",\"object\":{}]",
        "{\"object\":{},\"type\":7}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct mu_watch_decoder decoder;
        struct events events = {.fail = 0};
        struct mu_error error;
        mu_watch_decoder_init_json(&decoder);
        if (mu_watch_decoder_feed(&decoder, mu_str_of(texts[i]), on_event, &events, &error) !=
                MU_EPROTO ||
            events.text[0] != '\0')
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(mu_watch_decoder_feed(&decoder, MU_STR(THREE), on_event, &events, NULL),
                         MU_EPROTO);
        mu_watch_decoder_fini(&decoder);
    }
}

static void test_json_watch_feed__callback_fails__its_value_and_no_more_events(void **state)
{
    (void)state;
    struct mu_watch_decoder decoder;
    struct events events = {.fail = MU_EIO};
    mu_watch_decoder_init_json(&decoder);
    assert_int_equal(mu_watch_decoder_feed(&decoder, MU_STR(THREE THREE), on_event, &events, NULL),
                     MU_EIO);
    assert_string_equal(events.text, "3   {}\n");
    mu_watch_decoder_fini(&decoder);
}

static void test_json_watch_feed__endless_event__refused_at_the_bound(void **state)
{
    (void)state;
    static char piece[1 << 20];
    struct mu_watch_decoder decoder;
    struct events events = {.fail = 0};
    int rc = 0;
    uint32_t fed = 0;
    memset(piece, 'x', sizeof piece);
    mu_watch_decoder_init_json(&decoder);
    assert_int_equal(mu_watch_decoder_feed(&decoder, MU_STR("{\""), on_event, &events, NULL), 0);
    for (; rc == 0 && fed < 64; fed++)
        rc = mu_watch_decoder_feed(&decoder, (struct mu_str){piece, sizeof piece}, on_event,
                                   &events, NULL);
    assert_int_equal(rc, MU_ELIMIT);
    assert_int_equal(fed, MU_WATCH_FRAME_MAX / sizeof piece);
    mu_watch_decoder_fini(&decoder);
}

static bool feed_once(void *context)
{
    (void)context;
    struct mu_watch_decoder decoder;
    struct events events = {.fail = 0};
    mu_watch_decoder_init_json(&decoder);
    int rc = mu_watch_decoder_feed(&decoder, (struct mu_str){stream, 9}, on_event, &events, NULL);
    if (rc == 0)
        rc = mu_watch_decoder_feed(&decoder,
                                   (struct mu_str){stream + 9, (uint32_t)(sizeof stream - 10)},
                                   on_event, &events, NULL);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    mu_watch_decoder_fini(&decoder);
    return rc == 0;
}

static void test_json_watch_feed__no_memory__told_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(feed_once, NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_list_open__objects__cut_out_as_they_are),
        cmocka_unit_test(test_json_list_open__no_items__none),
        cmocka_unit_test(test_json_list_open__malformed__no_item_is_handed_on),
        cmocka_unit_test(test_json_list_open__callback_stops__its_value),
        cmocka_unit_test(test_json_list_open__deeper_than_the_bound__refused),
        cmocka_unit_test(test_json_meta_decode__table),
        cmocka_unit_test(test_json_status_decode__whole__as_told),
        cmocka_unit_test(test_json_status_decode__no_room__told),
        cmocka_unit_test(test_json_watch_feed__cut_anywhere__same_events),
        cmocka_unit_test(test_json_watch_feed__half_an_event__partial),
        cmocka_unit_test(test_json_watch_feed__malformed__refused_for_good),
        cmocka_unit_test(test_json_watch_feed__callback_fails__its_value_and_no_more_events),
        cmocka_unit_test(test_json_watch_feed__endless_event__refused_at_the_bound),
        cmocka_unit_test(test_json_watch_feed__no_memory__told_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
