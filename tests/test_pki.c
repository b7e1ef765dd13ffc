/* The certificate authority, as OpenSSL reads what it has made. */
#include "informer/pki.h"

#include <openssl/x509v3.h>
#include "tests/tls_kit.h"

static X509 *read_cert(struct mu_str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static struct mu_pki *ca_new(void)
{
    struct mu_pki *pki = NULL;
    struct mu_error error;
    assert_int_equal(mu_pki_create(MU_STR("a CA"), kit_valid(-60, 3600), &pki, &error), 0);
    return pki;
}

static const struct mu_str two_names[] = {{"one.example", 11}, {"two,DNS:three.example", 21}};
static const struct mu_str two_addresses[] = {{"127.0.0.1", 9}, {"fd00::1", 7}};
static const struct mu_str one_group[] = {{"system:masters", 14}};

static struct mu_pki_request usual(void)
{
    return (struct mu_pki_request){.common_name = MU_STR("somebody"),
                                   .organizations = one_group,
                                   .organization_count = 1,
                                   .dns = two_names,
                                   .dns_count = 2,
                                   .addresses = two_addresses,
                                   .address_count = 2,
                                   .server = true,
                                   .client = true,
                                   .validity = kit_valid(-60, 600)};
}

static void test_pki_issue__usual__as_asked(void **state)
{
    (void)state;
    struct mu_pki *pki = ca_new();
    struct kit_pair pair = kit_issue(pki, usual());
    X509 *ca = read_cert(mu_pki_ca(pki));
    X509 *cert = read_cert(kit_str(&pair.cert));
    EVP_PKEY *ca_key = X509_get0_pubkey(ca);
    assert_int_equal(X509_verify(ca, ca_key), 1);
    assert_int_equal(X509_verify(cert, ca_key), 1);
    assert_int_equal(X509_check_issued(ca, cert), X509_V_OK);
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_check_ca(cert), 0);
    assert_int_equal(X509_get_version(cert), X509_VERSION_3);
    assert_int_equal(X509_get_extended_key_usage(cert), XKU_SSL_SERVER | XKU_SSL_CLIENT);
    assert_int_equal(X509_get_key_usage(cert), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_check_host(cert, "one.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "two.example", 0, 0, NULL), 0);
    /* A comma in a name stays a part of it. */
    assert_int_equal(X509_check_host(cert, "three.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "fd00:0::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
    char text[200];
    assert_true(X509_NAME_oneline(X509_get_subject_name(cert), text, sizeof text) != NULL);
    assert_string_equal(text, "/O=system:masters/CN=somebody");
    time_t now = (time_t)kit_now_s();
    time_t later = now + 700;
    assert_true(X509_cmp_time(X509_get0_notBefore(cert), &now) < 0);
    assert_true(X509_cmp_time(X509_get0_notAfter(cert), &now) > 0);
    assert_true(X509_cmp_time(X509_get0_notAfter(cert), &later) < 0);
    X509_free(cert);
    X509_free(ca);
    kit_pair_free(&pair);
    mu_pki_destroy(pki);
}

static void test_pki_issue__twice__other_keys_and_serials(void **state)
{
    (void)state;
    struct mu_pki *pki = ca_new();
    struct kit_pair a = kit_issue(pki, usual());
    struct kit_pair b = kit_issue(pki, usual());
    X509 *one = read_cert(kit_str(&a.cert));
    X509 *two = read_cert(kit_str(&b.cert));
    assert_true(EVP_PKEY_eq(X509_get0_pubkey(one), X509_get0_pubkey(two)) != 1);
    assert_true(ASN1_INTEGER_cmp(X509_get0_serialNumber(one), X509_get0_serialNumber(two)) != 0);
    assert_false(mu_str_equal(kit_str(&a.key), kit_str(&b.key)));
    X509_free(one);
    X509_free(two);
    kit_pair_free(&a);
    kit_pair_free(&b);
    mu_pki_destroy(pki);
}

static void assert_issue(struct mu_pki *pki, struct mu_pki_request request, int code,
                         const char *text)
{
    struct kit_pair pair = {0};
    struct mu_error error = {0};
    assert_int_equal(mu_buf_append_text(&pair.cert, "kept"), 0);
    assert_int_equal(mu_buf_append_text(&pair.key, "kept"), 0);
    int r = mu_pki_issue(pki, &request, &pair.cert, &pair.key, &error);
    if (r != code || strstr(error.text, text) == NULL)
        fail_msg("%d, '%s'; expected %d, '%s'", r, error.text, code, text);
    assert_true(mu_str_equal(kit_str(&pair.cert), MU_STR("kept")));
    assert_true(mu_str_equal(kit_str(&pair.key), MU_STR("kept")));
    kit_pair_free(&pair);
}

static void test_pki_issue__wrong_request__named(void **state)
{
    (void)state;
    struct mu_pki *pki = ca_new();
    struct mu_pki_request q = usual();
    q.common_name = MU_STR("");
    assert_issue(pki, q, MU_EINVAL, "common name: empty");
    q.common_name = MU_STR("a\nb");
    assert_issue(pki, q, MU_EINVAL, "common name: expected printable ASCII");
    static char longer[MU_PKI_TEXT_MAX + 1];
    memset(longer, 'x', sizeof longer);
    q.common_name = (struct mu_str){longer, sizeof longer};
    assert_issue(pki, q, MU_ELIMIT, "common name: longer than 255 bytes");
    q = usual();
    static const struct mu_str bad[] = {{"127.0.0.1", 9}, {"localhost", 9}};
    q.addresses = bad;
    assert_issue(pki, q, MU_EINVAL, "address: 'localhost' is none");
    static struct mu_str many[MU_PKI_NAMES_MAX + 1];
    for (size_t i = 0; i <= MU_PKI_NAMES_MAX; i++)
        many[i] = MU_STR("name");
    q = usual();
    q.dns = many;
    q.dns_count = MU_PKI_NAMES_MAX + 1;
    assert_issue(pki, q, MU_ELIMIT, "DNS name: more than 32");
    q = usual();
    q.organizations = many;
    q.organization_count = MU_PKI_NAMES_MAX + 1;
    assert_issue(pki, q, MU_ELIMIT, "organization: more than 32");
    q = usual();
    q.validity = kit_valid(10, -10);
    assert_issue(pki, q, MU_EINVAL, "validity: ");
    q.validity = (struct mu_pki_validity){0, INT64_C(253402300800)}; /* the year 10000 */
    assert_issue(pki, q, MU_EINVAL, "validity: ");
    mu_pki_destroy(pki);
}

static void test_pki_create__wrong_input__named(void **state)
{
    (void)state;
    struct mu_pki *pki = NULL;
    struct mu_error error;
    assert_int_equal(mu_pki_create(MU_STR(""), kit_valid(0, 60), &pki, &error), MU_EINVAL);
    assert_string_equal(error.text, "common name: empty");
    assert_int_equal(mu_pki_create(MU_STR("x"), kit_valid(60, 0), &pki, &error), MU_EINVAL);
    assert_null(pki);
    mu_pki_destroy(NULL);
}

static bool make_all(void *context)
{
    (void)context;
    struct mu_pki *pki = NULL;
    struct kit_pair pair = {0};
    struct mu_error error;
    struct mu_pki_request request = usual();
    int r = mu_pki_create(MU_STR("a CA"), kit_valid(-60, 3600), &pki, &error);
    if (r == 0)
        r = mu_pki_issue(pki, &request, &pair.cert, &pair.key, &error);
    assert_true(r == 0 || (r == MU_ENOMEM && strstr(error.text, "out of memory") != NULL));
    assert_true(r == 0 || (pair.cert.len == 0 && pair.key.len == 0));
    kit_pair_free(&pair);
    mu_pki_destroy(pki);
    return r == 0;
}

static void test_pki__out_of_memory__told(void **state)
{
    (void)state;
    assert_true(make_all(NULL));
    assert_true(mu_test_fail_each(make_all, NULL) >= 3);
}

static void test_pki_token__hexadecimal_and_fresh(void **state)
{
    (void)state;
    struct mu_buf one = {0};
    struct mu_buf two = {0};
    assert_int_equal(mu_pki_token(&one), 0);
    assert_int_equal(mu_pki_token(&two), 0);
    assert_int_equal(one.len, 64);
    for (size_t i = 0; i < one.len; i++)
        assert_non_null(strchr("0123456789abcdef", one.data[i]));
    assert_false(mu_str_equal(kit_str(&one), kit_str(&two)));
    mu_pki_wipe(&one);
    mu_pki_wipe(&two);
    assert_null(one.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pki_issue__usual__as_asked),
        cmocka_unit_test(test_pki_issue__twice__other_keys_and_serials),
        cmocka_unit_test(test_pki_issue__wrong_request__named),
        cmocka_unit_test(test_pki_create__wrong_input__named),
        cmocka_unit_test(test_pki__out_of_memory__told),
        cmocka_unit_test(test_pki_token__hexadecimal_and_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
