#include "informer/names.h"

#include "tests/mu_test.h"

static void test_name__label_keys_and_values__by_the_published_grammar(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool key, value;
    } cases[] = {
        {"a", true, true},
        {"A", true, true},
        {"0", true, true},
        {"a-b_c.D", true, true},
        {"", false, true},
        {"-a", false, false},
        {"a-", false, false},
        {".a", false, false},
        {"a b", false, false},
        {"a\n", false, false},
        {"\xc3\xa4", false, false},
        {"a/b", true, false},
        {"example.com/a", true, false},
        {"example.com/A_b", true, false},
        {"a-b.c0/x", true, false},
        {"Example.com/a", false, false},
        {"example..com/a", false, false},
        {"example.com./a", false, false},
        {"example.-com/a", false, false},
        {"example-.com/a", false, false},
        {"exa_mple.com/a", false, false},
        {"/a", false, false},
        {"a/", false, false},
        {"a/b/c", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_str text = mu_str_of(cases[i].text);
        if (mu_name_is_label_key(text) != cases[i].key ||
            mu_name_is_label_value(text) != cases[i].value)
            fail_msg("\"%s\"", cases[i].text);
    }
}

static void test_name__lengths__at_and_above_their_bounds(void **state)
{
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text);
    assert_true(mu_name_is_part((struct mu_str){text, 63}));
    assert_false(mu_name_is_part((struct mu_str){text, 64}));
    assert_false(mu_name_is_part((struct mu_str){text, 0}));
    assert_true(mu_name_is_subdomain((struct mu_str){text, 253}));
    assert_false(mu_name_is_subdomain((struct mu_str){text, 254}));
    assert_false(mu_name_is_subdomain((struct mu_str){text, 0}));
    text[253] = '/';
    assert_true(mu_name_is_label_key((struct mu_str){text, 253 + 1 + 63}));
    assert_false(mu_name_is_label_key((struct mu_str){text, 253 + 1 + 64}));
    text[253] = 'a';
    text[254] = '/';
    assert_false(mu_name_is_label_key((struct mu_str){text, 256}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name__label_keys_and_values__by_the_published_grammar),
        cmocka_unit_test(test_name__lengths__at_and_above_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
