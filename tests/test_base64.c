/* Base64: the published answers, what is none, and random bytes there and back. */
#include "tests/mu_test.h"

#include "engine/base/error.h"
#include "engine/base/random.h"
#include "informer/base64.h"

#define SPACES " \t\r\n"

static const struct {
    struct mu_str plain;
    const char *coded;
} known[] = {/* RFC 4648 §10 */
             {{"", 0}, ""},
             {{"f", 1}, "Zg=="},
             {{"fo", 2}, "Zm8="},
             {{"foo", 3}, "Zm9v"},
             {{"foob", 4}, "Zm9vYg=="},
             {{"fooba", 5}, "Zm9vYmE="},
             {{"foobar", 6}, "Zm9vYmFy"},
             {{"\xfb\xff\xfe", 3}, "+//+"}};

static void test_base64_append__known_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct mu_buf out = {0};
        assert_int_equal(mu_buf_append_text(&out, ">"), 0);
        assert_int_equal(mu_base64_append(&out, known[i].plain), 0);
        assert_int_equal(out.len, 1 + strlen(known[i].coded));
        assert_memory_equal(out.data + 1, known[i].coded, out.len - 1);
        mu_buf_fini(&out);
    }
}

static void test_base64_append__no_room__sticky_and_nothing_added(void **state)
{
    struct mu_buf small;
    (void)state;
    mu_buf_init(&small, 4);
    assert_int_equal(mu_base64_append(&small, MU_STR("foob")), MU_ELIMIT);
    assert_int_equal(small.len, 0);
    assert_int_equal(mu_base64_append(&small, MU_STR("f")), MU_ELIMIT);
    mu_buf_fini(&small);
}

static void test_base64_decode__known_answers(void **state)
{
    uint8_t room[MU_BASE64_ROOM(8)];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t len = 99;
        assert_true(mu_base64_decode(mu_str_of(known[i].coded), "", room, &len));
        assert_int_equal(len, known[i].plain.len);
        assert_memory_equal(room, known[i].plain.data, len);
    }
}

static void test_base64_decode__what_is_none__refused(void **state)
{
    static const char *const bad[] = {"Z",    "Zg",   "Zg=",      "Zg===", "=",        "====",
                                      "Z===", "Zg=g", "Zg==Zg==", "Zm9v=", "Zm 9v",    "Zm9v\n",
                                      "Zm9-", "Zm9_", "Zm9\xc3",  "Zg== ", "Zm8=Zm8=", "Zm8=="};
    uint8_t room[MU_BASE64_ROOM(16)];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t len = 99;
        if (mu_base64_decode(mu_str_of(bad[i]), "", room, &len))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(len, 99);
    }
    size_t len = 0;
    assert_false(mu_base64_decode(MU_STR("Zm9\0"), SPACES, room, &len));
    assert_false(mu_base64_decode(MU_STR("Zm9v Zg=="), "\r\n", room, &len));
    assert_true(mu_base64_decode(MU_STR(" Zm9v\r\nZ\tg = =\n"), SPACES, room, &len));
    assert_int_equal(len, 4);
    assert_memory_equal(room, "foof", 4);
}

static void test_base64__random_bytes__there_and_back(void **state)
{
    struct mu_test_run run = mu_test_run_begin(64);
    uint8_t plain[80], back[MU_BASE64_ROOM(108)];
    (void)state;
    for (run.step = 0; run.step < 2000; run.step++) {
        struct mu_buf coded = {0};
        size_t size = mu_random_below(&run.random, sizeof plain + 1), len = 0;
        for (size_t i = 0; i < size; i++)
            plain[i] = (uint8_t)mu_random_below(&run.random, 256);
        struct mu_str in = {(const char *)plain, (uint32_t)size};
        MU_TEST_CHECK(&run, mu_base64_append(&coded, in) == 0);
        struct mu_str text = {(const char *)coded.data, (uint32_t)coded.len};
        MU_TEST_CHECK(&run, MU_BASE64_ROOM(text.len) <= sizeof back);
        MU_TEST_CHECK(&run, mu_base64_decode(text, "", back, &len));
        MU_TEST_CHECK(&run, len == size && memcmp(plain, back, size) == 0);
        mu_buf_fini(&coded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_append__known_answers),
        cmocka_unit_test(test_base64_append__no_room__sticky_and_nothing_added),
        cmocka_unit_test(test_base64_decode__known_answers),
        cmocka_unit_test(test_base64_decode__what_is_none__refused),
        cmocka_unit_test(test_base64__random_bytes__there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
