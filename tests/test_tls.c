/* TLS contexts from PEM texts: what is taken, and what is said about the rest. */
#include "informer/tls.h"

#include "informer/limits.h"
#include "tests/tls_kit.h"

static struct tls_kit *kit;

static int setup(void **state)
{
    (void)state;
    kit = kit_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_free(kit);
    return 0;
}

static const char BROKEN_CERT[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/* Both create functions leave *out and memory alone, and say what is expected. */
static void assert_client(struct mu_tls_client_config config, int code, const char *text)
{
    struct mu_tls *tls = NULL;
    struct mu_error error = {0};
    size_t live = mu_mem_live_bytes();
    int r = mu_tls_client_create(&config, &tls, &error);
    if (r != code || (code != 0 && strstr(error.text, text) == NULL))
        fail_msg("%d, '%s'; expected %d, '%s'", r, error.text, code, text);
    assert_true((tls != NULL) == (code == 0));
    assert_int_equal(ERR_peek_error(), 0);
    mu_tls_unref(tls);
    assert_int_equal(mu_mem_live_bytes(), live);
}

static void assert_server(struct mu_tls_server_config config, int code, const char *text)
{
    struct mu_tls *tls = NULL;
    struct mu_error error = {0};
    size_t live = mu_mem_live_bytes();
    int r = mu_tls_server_create(&config, &tls, &error);
    if (r != code || (code != 0 && strstr(error.text, text) == NULL))
        fail_msg("%d, '%s'; expected %d, '%s'", r, error.text, code, text);
    assert_true((tls != NULL) == (code == 0));
    assert_int_equal(ERR_peek_error(), 0);
    mu_tls_unref(tls);
    assert_int_equal(mu_mem_live_bytes(), live);
}

static void test_tls_client__usual__made(void **state)
{
    (void)state;
    struct mu_str ca = mu_pki_ca(kit->ca);
    assert_client((struct mu_tls_client_config){0}, 0, ""); /* the system's store */
    assert_client((struct mu_tls_client_config){.ca = ca}, 0, "");
    assert_client((struct mu_tls_client_config){.ca = ca,
                                                .cert = kit_str(&kit->client.cert),
                                                .key = kit_str(&kit->client.key),
                                                .server_name = MU_STR("kubernetes")},
                  0, "");
}

static void test_tls_client__wrong_input__named(void **state)
{
    (void)state;
    struct mu_str ca = mu_pki_ca(kit->ca);
    struct mu_str cert = kit_str(&kit->client.cert);
    struct mu_str key = kit_str(&kit->client.key);
    char name[MU_TLS_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    const struct {
        struct mu_tls_client_config config;
        int code;
        const char *text;
    } cases[] = {
        {{.ca = MU_STR("nonsense")}, MU_EINVAL, "CA bundle: no PEM block of a certificate"},
        {{.ca = MU_STR("\0\0\0")}, MU_EINVAL, "CA bundle: no PEM block of a certificate"},
        {{.ca = key}, MU_EINVAL, "CA bundle: no PEM block of a certificate"},
        {{.ca = MU_STR(BROKEN_CERT)}, MU_EINVAL, "CA bundle: certificate 1: "},
        {{.ca = ca, .cert = cert}, MU_EINVAL, "client certificate: given without the key"},
        {{.ca = ca, .key = key}, MU_EINVAL, "client key: given without the certificate"},
        {{.ca = ca, .cert = key, .key = cert}, MU_EINVAL, "client certificate: no PEM block"},
        {{.ca = ca, .cert = cert, .key = cert},
         MU_EINVAL,
         "client key: no PEM block of a private key"},
        {{.ca = ca, .cert = cert, .key = kit_str(&kit->server.key)},
         MU_EINVAL,
         "client key: does not belong to the certificate"},
        {{.ca = ca, .server_name = {name, sizeof name}},
         MU_ELIMIT,
         "server name: longer than 255 bytes"},
        {{.ca = ca, .server_name = MU_STR("a\0b")}, MU_EINVAL, "server name: a zero byte"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_client(cases[i].config, cases[i].code, cases[i].text);
}

static void test_tls_server__wrong_input__named(void **state)
{
    (void)state;
    struct mu_str ca = mu_pki_ca(kit->ca);
    struct mu_str cert = kit_str(&kit->server.cert);
    struct mu_str key = kit_str(&kit->server.key);
    assert_server((struct mu_tls_server_config){.cert = cert, .key = key}, 0, "");
    assert_server((struct mu_tls_server_config){.cert = cert, .key = key, .client_ca = ca}, 0, "");
    const struct {
        struct mu_tls_server_config config;
        const char *text;
    } cases[] = {
        {{.key = key}, "server certificate: empty"},
        {{.cert = cert}, "server key: empty"},
        {{.cert = cert, .key = MU_STR("x")}, "server key: no PEM block of a private key"},
        {{.cert = cert, .key = kit_str(&kit->client.key)},
         "server key: does not belong to the certificate"},
        {{.cert = cert, .key = key, .client_ca = key}, "client CA bundle: no PEM block"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_server(cases[i].config, MU_EINVAL, cases[i].text);
}

/* Cut anywhere: never a context, unless only the last line's end is missing. */
static void test_tls_client__truncated__refused(void **state)
{
    (void)state;
    struct mu_str whole = mu_pki_ca(kit->ca);
    for (uint32_t len = 1; len < whole.len - 1; len++) {
        struct mu_tls *tls = NULL;
        struct mu_error error;
        const struct mu_tls_client_config config = {.ca = {whole.data, len}};
        assert_int_equal(mu_tls_client_create(&config, &tls, &error), MU_EINVAL);
        assert_int_equal(strncmp(error.text, "CA bundle: ", 11), 0);
    }
    whole = kit_str(&kit->client.key);
    for (uint32_t len = 1; len < whole.len - 1; len++) {
        struct mu_tls *tls = NULL;
        struct mu_error error;
        const struct mu_tls_client_config config = {
            .ca = mu_pki_ca(kit->ca), .cert = kit_str(&kit->client.cert), .key = {whole.data, len}};
        assert_int_equal(mu_tls_client_create(&config, &tls, &error), MU_EINVAL);
        assert_int_equal(strncmp(error.text, "client key: ", 12), 0);
    }
}

/* One wrong byte anywhere: no crash, and if it is taken, no byte that mattered was hit. */
static void test_tls_client__damaged__no_crash(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(31);
    uint32_t taken = 0;
    for (; run.step < 2000; run.step++) {
        struct mu_buf text = {0};
        struct mu_tls *tls = NULL;
        struct mu_error error;
        struct mu_str whole =
            run.step % 2 == 0 ? kit_str(&kit->client.cert) : kit_str(&kit->client.key);
        assert_int_equal(mu_buf_append_str(&text, whole), 0);
        text.data[mu_random_below(&run.random, whole.len)] =
            (uint8_t)mu_random_below(&run.random, 256);
        struct mu_tls_client_config config = {.ca = mu_pki_ca(kit->ca),
                                              .cert = kit_str(&kit->client.cert),
                                              .key = kit_str(&kit->client.key)};
        *(run.step % 2 == 0 ? &config.cert : &config.key) = kit_str(&text);
        int r = mu_tls_client_create(&config, &tls, &error);
        MU_TEST_CHECK(&run, r == 0 || r == MU_EINVAL);
        taken += r == 0;
        mu_tls_unref(tls);
        mu_buf_fini(&text);
    }
    assert_true(taken < 1000); /* signatures are not checked here, keys are */
}

static void test_tls_client__too_large__refused_before_parsing(void **state)
{
    (void)state;
    struct mu_buf text = {0};
    assert_int_equal(mu_buf_reserve(&text, MU_TLS_CA_BYTES_MAX + 1), 0);
    memset(text.data, '\n', MU_TLS_CA_BYTES_MAX + 1);
    text.len = MU_TLS_CA_BYTES_MAX + 1;
    struct mu_str big = kit_str(&text);
    struct mu_str cert = kit_str(&kit->client.cert);
    assert_client((struct mu_tls_client_config){.ca = big}, MU_ELIMIT,
                  "CA bundle: larger than 4096 KiB");
    assert_client((struct mu_tls_client_config){.cert = big, .key = big}, MU_ELIMIT,
                  "client certificate: larger than 64 KiB");
    assert_client((struct mu_tls_client_config){.cert = cert, .key = big}, MU_ELIMIT,
                  "client key: larger than 32 KiB");
    big.len = MU_TLS_CA_BYTES_MAX;
    assert_client((struct mu_tls_client_config){.ca = big}, MU_EINVAL, "no PEM block");
    mu_buf_fini(&text);
}

static void test_tls_server__long_chains__bounded(void **state)
{
    (void)state;
    struct mu_buf chain = {0};
    for (uint32_t count = 1; count <= MU_TLS_CERT_COUNT_MAX + 1; count++) {
        struct mu_str next = count == 1 ? kit_str(&kit->server.cert) : mu_pki_ca(kit->ca);
        assert_int_equal(mu_buf_append_str(&chain, next), 0);
        assert_int_equal(mu_buf_append_text(&chain, "a comment between\n"), 0);
        struct mu_tls_server_config config = {.cert = kit_str(&chain),
                                              .key = kit_str(&kit->server.key)};
        if (count <= MU_TLS_CERT_COUNT_MAX)
            assert_server(config, 0, "");
        else
            assert_server(config, MU_ELIMIT, "server certificate: more than 16 certificates");
    }
    mu_buf_fini(&chain);
}

/* A bundle whose third certificate is damaged is refused, not cut. */
static void test_tls_client__damaged_in_the_middle__refused(void **state)
{
    (void)state;
    struct mu_buf text = {0};
    assert_int_equal(mu_buf_append_str(&text, mu_pki_ca(kit->ca)), 0);
    assert_int_equal(mu_buf_append_str(&text, mu_pki_ca(kit->stranger)), 0);
    assert_client((struct mu_tls_client_config){.ca = kit_str(&text)}, 0, "");
    assert_int_equal(mu_buf_append_text(&text, BROKEN_CERT), 0);
    assert_int_equal(mu_buf_append_str(&text, mu_pki_ca(kit->ca)), 0);
    assert_client((struct mu_tls_client_config){.ca = kit_str(&text)}, MU_EINVAL,
                  "CA bundle: certificate 3: ");
    mu_buf_fini(&text);
}

/* Certificate and key in one file serve as both. */
static void test_tls_client__one_file_for_both__made(void **state)
{
    (void)state;
    struct mu_buf text = {0};
    assert_int_equal(mu_buf_append_str(&text, kit_str(&kit->client.key)), 0);
    assert_int_equal(mu_buf_append_str(&text, kit_str(&kit->client.cert)), 0);
    assert_client((struct mu_tls_client_config){.cert = kit_str(&text), .key = kit_str(&text)}, 0,
                  "");
    mu_buf_fini(&text);
}

/* Every usual form of a key, made by OpenSSL: PKCS#8 and the older ones; encrypted ones are refused
 * without a question on the terminal. */
static void test_tls_client__key_forms__taken_or_refused(void **state)
{
    (void)state;
    struct mu_str cert = kit_str(&kit->client.cert);
    char *data = NULL;
    BIO *in = BIO_new_mem_buf(kit->client.key.data, (int)kit->client.key.len);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
    assert_non_null(key);
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey_traditional(out, key, NULL, NULL, 0, NULL, NULL), 1);
    long len = BIO_get_mem_data(out, &data);
    assert_non_null(memmem(data, (size_t)len, "BEGIN EC PRIVATE KEY", 20));
    assert_client((struct mu_tls_client_config){.cert = cert, .key = {data, (uint32_t)len}}, 0, "");
    static unsigned char phrase[] = "open sesame";
    for (int form = 0; form < 2; form++) {
        (void)BIO_reset(out);
        int r = form == 0 ? PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(),
                                                          (char *)phrase, 11, NULL, NULL)
                          : PEM_write_bio_PrivateKey_traditional(out, key, EVP_aes_256_cbc(),
                                                                 phrase, 11, NULL, NULL);
        assert_int_equal(r, 1);
        len = BIO_get_mem_data(out, &data);
        assert_client((struct mu_tls_client_config){.cert = cert, .key = {data, (uint32_t)len}},
                      MU_EINVAL, "client key: encrypted; expected a key without pass phrase");
    }
    EVP_PKEY_free(key);
    BIO_free(in);
    BIO_free(out);
}

static void test_tls_ref__counted(void **state)
{
    (void)state;
    size_t live = mu_mem_live_bytes();
    struct mu_tls *tls = kit_client(kit->ca, NULL, "");
    assert_ptr_equal(mu_tls_ref(tls), tls);
    mu_tls_unref(tls);
    assert_true(mu_mem_live_bytes() > live);
    mu_tls_unref(tls);
    assert_int_equal(mu_mem_live_bytes(), live);
    mu_tls_unref(NULL);
}

static bool create_both(void *context)
{
    struct mu_tls *client = NULL;
    struct mu_tls *server = NULL;
    struct mu_error error;
    (void)context;
    const struct mu_tls_client_config c = {.ca = mu_pki_ca(kit->ca),
                                           .cert = kit_str(&kit->client.cert),
                                           .key = kit_str(&kit->client.key)};
    const struct mu_tls_server_config s = {.cert = kit_str(&kit->server.cert),
                                           .key = kit_str(&kit->server.key)};
    int r = mu_tls_client_create(&c, &client, &error);
    if (r == 0)
        r = mu_tls_server_create(&s, &server, &error);
    assert_true(r == 0 || r == MU_ENOMEM);
    mu_tls_unref(client);
    mu_tls_unref(server);
    return r == 0;
}

static void test_tls_create__out_of_memory__told(void **state)
{
    (void)state;
    assert_true(create_both(NULL));
    assert_int_equal(mu_test_fail_each(create_both, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_client__usual__made),
        cmocka_unit_test(test_tls_client__wrong_input__named),
        cmocka_unit_test(test_tls_server__wrong_input__named),
        cmocka_unit_test(test_tls_client__truncated__refused),
        cmocka_unit_test(test_tls_client__damaged__no_crash),
        cmocka_unit_test(test_tls_client__too_large__refused_before_parsing),
        cmocka_unit_test(test_tls_server__long_chains__bounded),
        cmocka_unit_test(test_tls_client__damaged_in_the_middle__refused),
        cmocka_unit_test(test_tls_client__one_file_for_both__made),
        cmocka_unit_test(test_tls_client__key_forms__taken_or_refused),
        cmocka_unit_test(test_tls_ref__counted),
        cmocka_unit_test(test_tls_create__out_of_memory__told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
