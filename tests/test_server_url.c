/* Addresses of API servers. */
#include "tests/mu_test.h"

#include "informer/server_url.h"

static void test_server_url__accepted_forms(void **state)
{
    static const struct {
        const char *text, *host, *path;
        bool tls;
        uint16_t port;
    } good[] = {
        {"http://127.0.0.1:8001", "127.0.0.1", "", false, 8001},
        {"https://api.example.com:6443/", "api.example.com", "", true, 6443},
        {"https://api", "api", "", true, 443},
        {"http://api_1/", "api_1", "", false, 80},
        {"https://[::1]:65535", "::1", "", true, 65535},
        {"https://[fd00::10.0.0.1]", "fd00::10.0.0.1", "", true, 443},
        {"https://rancher/k8s/clusters/c-1%20x/", "rancher", "/k8s/clusters/c-1%20x", true, 443},
        {"https://h:1///", "h", "", true, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct mu_server_url url;
        struct mu_error error = {0};
        if (mu_server_url_parse(mu_str_of(good[i].text), &url, &error) != 0)
            fail_msg("%s: %s", good[i].text, error.text);
        assert_string_equal(url.host, good[i].host);
        assert_true(mu_str_equal(url.path, mu_str_of(good[i].path)));
        assert_int_equal(url.tls, good[i].tls);
        assert_int_equal(url.port, good[i].port);
    }
}

static void test_server_url__everything_else__is_refused_and_changes_nothing(void **state)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1:80",
                                      "http://",
                                      "http://:80",
                                      "http://h:",
                                      "http://h:0",
                                      "http://h:65536",
                                      "http://h:8o",
                                      "http://h:+8",
                                      "http://h:80x",
                                      "ftp://h:80",
                                      "HTTP://h",
                                      "https://u@h",
                                      "https://u:p@h:1",
                                      "https://h?x=1",
                                      "https://h#x",
                                      "https://h/a b",
                                      "https://h/a\nb",
                                      "https://h/?q",
                                      "https://[::1",
                                      "https://::1",
                                      "https://[]:1",
                                      "https://[zz]",
                                      "https://[1:2]",
                                      "https://[fe80::1%25e]",
                                      "https://[127.0.0.1]",
                                      "https://h\\x",
                                      "https://h:1:2",
                                      "https:///x"};
    struct mu_server_url url = {.port = 7};
    struct mu_error error;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (mu_server_url_parse(mu_str_of(bad[i]), &url, &error) != MU_EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(error.text, "expected https://HOST:PORT or http://HOST:PORT"));
    }
    assert_int_equal(mu_server_url_parse((struct mu_str){"https://h\0", 10}, &url, &error),
                     MU_EINVAL);
    assert_int_equal(url.port, 7);
}

static void test_server_url__bounds__of_host_and_path(void **state)
{
    static char text[4096];
    struct mu_server_url url;
    struct mu_error error;
    (void)state;
    for (uint32_t extra = 0; extra < 2; extra++) {
        int status = extra == 0 ? 0 : MU_EINVAL;
        memset(text, 'h', sizeof text);
        memcpy(text, "https://", 8);
        struct mu_str host = {text, 8 + MU_HOST_BYTES_MAX + extra};
        assert_int_equal(mu_server_url_parse(host, &url, &error), status);
        memcpy(text, "https://h/", 10);
        struct mu_str path = {text, 9 + 1024 + extra};
        assert_int_equal(mu_server_url_parse(path, &url, &error), status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_url__accepted_forms),
        cmocka_unit_test(test_server_url__everything_else__is_refused_and_changes_nothing),
        cmocka_unit_test(test_server_url__bounds__of_host_and_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
