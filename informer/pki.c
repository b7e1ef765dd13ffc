/*
 * Certificates, field by field as RFC 5280 has them: version 3, random serial of 127 bits, subject
 * and authority key identifiers, critical basic constraints and key usage, SANs from typed values
 * (never from configuration text, where a comma in a name would become another name).
 *
 * Every step can only fail for lack of memory once the request was checked, so the check comes
 * first and names the field, and the steps share one error.
 */
#include "informer/pki.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"

#define SERIAL_BITS  127
#define TOKEN_BYTES  32u
#define FROM_MIN_S   INT64_C(-631152000)   /* 1950: what UTCTime begins with */
#define UNTIL_MAX_S  INT64_C(253402300799) /* the last second of 9999 */
#define PEM_KEY_ROOM 1024u                 /* a P-256 key in PKCS#8 takes 241 bytes */

struct mu_pki {
    X509 *cert;
    EVP_PKEY *key;
    struct mu_buf pem;
};

/* ---- checks -------------------------------------------------------------------------------- */

static int check_text(struct mu_str text, const char *field, struct mu_error *error)
{
    if (text.len == 0)
        return mu_error_set(error, MU_EINVAL, "%s: empty", field);
    if (text.len > MU_PKI_TEXT_MAX)
        return mu_error_set(error, MU_ELIMIT, "%s: longer than %u bytes", field, MU_PKI_TEXT_MAX);
    for (uint32_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e)
            return mu_error_set(error, MU_EINVAL, "%s: expected printable ASCII", field);
    }
    return 0;
}

static int check_list(const struct mu_str *list, uint32_t count, const char *field,
                      struct mu_error *error)
{
    if (count > MU_PKI_NAMES_MAX)
        return mu_error_set(error, MU_ELIMIT, "%s: more than %u", field, MU_PKI_NAMES_MAX);
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = check_text(list[i], field, error);
    return r;
}

static int check_validity(struct mu_pki_validity v, struct mu_error *error)
{
    if (v.from_s > v.until_s || v.from_s < FROM_MIN_S || v.until_s > UNTIL_MAX_S)
        return mu_error_set(error, MU_EINVAL,
                            "validity: expected a time between 1950 and 9999 and a later one");
    return 0;
}

static int check_request(const struct mu_pki_request *q, struct mu_error *error)
{
    int r = check_text(q->common_name, "common name", error);
    if (r == 0)
        r = check_list(q->organizations, q->organization_count, "organization", error);
    if (r == 0)
        r = check_list(q->dns, q->dns_count, "DNS name", error);
    if (r == 0)
        r = check_list(q->addresses, q->address_count, "address", error);
    if (r == 0)
        r = check_validity(q->validity, error);
    return r;
}

/* Something of OpenSSL's has failed after the checks. */
static int out_of_memory(struct mu_error *error)
{
    ERR_clear_error();
    return mu_error_set(error, MU_ENOMEM, "certificate: out of memory");
}

/* ---- the fields of a certificate ------------------------------------------------------------ */

static bool add_name(X509_NAME *name, const char *field, struct mu_str text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text.data,
                                      (int)text.len, -1, 0) == 1;
}

static bool set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    ASN1_INTEGER *serial = X509_get_serialNumber(cert);
    bool ok = number != NULL &&
              BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(number, serial) != NULL;
    BN_free(number);
    return ok;
}

static bool set_validity(X509 *cert, struct mu_pki_validity v)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)v.from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)v.until_s) != NULL;
}

/* An extension from OpenSSL's own words: constants of ours only. */
static bool add_constant(X509 *cert, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* Takes the value. */
static bool push_name(GENERAL_NAMES *names, int kind, ASN1_STRING *value)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL || value == NULL) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, kind, value);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool push_dns(GENERAL_NAMES *names, struct mu_str dns)
{
    ASN1_STRING *value = ASN1_IA5STRING_new();
    if (value != NULL && ASN1_STRING_set(value, dns.data, (int)dns.len) != 1) {
        ASN1_STRING_free(value);
        value = NULL;
    }
    return push_name(names, GEN_DNS, value);
}

/* 4 or 16 bytes in network order; 0: not an address. */
static int parse_address(struct mu_str text, uint8_t room[16])
{
    char name[MU_PKI_TEXT_MAX + 1] = {0};
    memcpy(name, text.data, text.len);
    if (inet_pton(AF_INET, name, room) == 1)
        return 4;
    return inet_pton(AF_INET6, name, room) == 1 ? 16 : 0;
}

static bool push_address(GENERAL_NAMES *names, struct mu_str address)
{
    uint8_t bytes[16];
    ASN1_STRING *value = ASN1_OCTET_STRING_new();
    if (value != NULL && ASN1_STRING_set(value, bytes, parse_address(address, bytes)) != 1) {
        ASN1_STRING_free(value);
        value = NULL;
    }
    return push_name(names, GEN_IPADD, value);
}

static bool add_alternative_names(X509 *cert, const struct mu_pki_request *q)
{
    if (q->dns_count + q->address_count == 0)
        return true;
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    for (uint32_t i = 0; ok && i < q->dns_count; i++)
        ok = push_dns(names, q->dns[i]);
    for (uint32_t i = 0; ok && i < q->address_count; i++)
        ok = push_address(names, q->addresses[i]);
    ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1;
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    return ok;
}

/* What every certificate has. issuer NULL: itself. */
static bool fill(X509 *cert, X509 *issuer, EVP_PKEY *key, struct mu_str common_name,
                 struct mu_pki_validity validity)
{
    X509 *by = issuer != NULL ? issuer : cert;
    return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
           set_validity(cert, validity) && X509_set_pubkey(cert, key) == 1 &&
           add_name(X509_get_subject_name(cert), "CN", common_name) &&
           X509_set_issuer_name(cert, X509_get_subject_name(by)) == 1 &&
           add_constant(cert, by, NID_subject_key_identifier, "hash");
}

static bool append_pem(X509 *cert, EVP_PKEY *key, struct mu_buf *out)
{
    char *text = NULL;
    BIO *bio = BIO_new(key != NULL ? BIO_s_secmem() : BIO_s_mem());
    bool ok = bio != NULL;
    if (ok && key != NULL)
        ok = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    else if (ok)
        ok = PEM_write_bio_X509(bio, cert) == 1;
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;
    ok = ok && mu_buf_append(out, text, (size_t)len) == 0;
    BIO_free(bio); /* wipes its storage */
    return ok;
}

/* ---- the authority -------------------------------------------------------------------------- */

static int authority_make(struct mu_pki *pki, struct mu_str common_name,
                          struct mu_pki_validity validity)
{
    pki->key = EVP_EC_gen("P-256");
    pki->cert = X509_new();
    bool ok = pki->key != NULL && pki->cert != NULL &&
              fill(pki->cert, NULL, pki->key, common_name, validity) &&
              add_constant(pki->cert, pki->cert, NID_basic_constraints, "critical,CA:TRUE") &&
              add_constant(pki->cert, pki->cert, NID_key_usage,
                           "critical,digitalSignature,keyCertSign,cRLSign") &&
              X509_sign(pki->cert, pki->key, EVP_sha256()) > 0 &&
              append_pem(pki->cert, NULL, &pki->pem);
    return ok ? 0 : MU_ENOMEM;
}

int mu_pki_create(struct mu_str common_name, struct mu_pki_validity validity, struct mu_pki **out,
                  struct mu_error *error)
{
    int r = check_text(common_name, "common name", error);
    if (r == 0)
        r = check_validity(validity, error);
    if (r != 0)
        return r;
    struct mu_pki *pki = mu_mem_zalloc(sizeof *pki);
    if (pki == NULL)
        return out_of_memory(error);
    if (authority_make(pki, common_name, validity) != 0) {
        mu_pki_destroy(pki);
        return out_of_memory(error);
    }
    *out = pki;
    return 0;
}

void mu_pki_destroy(struct mu_pki *pki)
{
    if (pki == NULL)
        return;
    X509_free(pki->cert);
    EVP_PKEY_free(pki->key);
    ERR_clear_error(); /* without memory even freeing complains */
    mu_buf_fini(&pki->pem);
    mu_mem_free(pki);
}

struct mu_str mu_pki_ca(const struct mu_pki *pki)
{
    return (struct mu_str){(const char *)pki->pem.data, (uint32_t)pki->pem.len};
}

/* ---- issuing -------------------------------------------------------------------------------- */

static const char *extended_usage(const struct mu_pki_request *q)
{
    if (q->server && q->client)
        return "serverAuth,clientAuth";
    return q->server ? "serverAuth" : "clientAuth";
}

static bool issue(struct mu_pki *pki, const struct mu_pki_request *q, X509 *cert, EVP_PKEY *own)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    bool ok = true;
    for (uint32_t i = 0; ok && i < q->organization_count; i++)
        ok = add_name(subject, "O", q->organizations[i]);
    ok = ok && fill(cert, pki->cert, own, q->common_name, q->validity) &&
         add_constant(cert, pki->cert, NID_authority_key_identifier, "keyid") &&
         add_constant(cert, pki->cert, NID_basic_constraints, "critical,CA:FALSE") &&
         add_constant(cert, pki->cert, NID_key_usage, "critical,digitalSignature");
    if (ok && (q->server || q->client))
        ok = add_constant(cert, pki->cert, NID_ext_key_usage, extended_usage(q));
    return ok && add_alternative_names(cert, q) && X509_sign(cert, pki->key, EVP_sha256()) > 0;
}

int mu_pki_issue(struct mu_pki *pki, const struct mu_pki_request *q, struct mu_buf *cert,
                 struct mu_buf *key, struct mu_error *error)
{
    int r = check_request(q, error);
    for (uint32_t i = 0; r == 0 && i < q->address_count; i++) {
        uint8_t bytes[16];
        if (parse_address(q->addresses[i], bytes) == 0)
            r = mu_error_set(error, MU_EINVAL, "address: '%.*s' is none",
                             MU_STR_ARGS(q->addresses[i]));
    }
    if (r != 0)
        return r;
    size_t cert_before = cert->len;
    size_t key_before = key->len;
    X509 *fresh = X509_new();
    EVP_PKEY *own = EVP_EC_gen("P-256");
    bool ok = fresh != NULL && own != NULL && mu_buf_reserve(key, PEM_KEY_ROOM) == 0 &&
              issue(pki, q, fresh, own) && append_pem(fresh, NULL, cert) &&
              append_pem(NULL, own, key);
    X509_free(fresh);
    EVP_PKEY_free(own);
    ERR_clear_error();
    if (ok)
        return 0;
    cert->len = cert_before;
    key->len = key_before;
    cert->failed = key->failed = 0;
    return out_of_memory(error);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

void mu_pki_wipe(struct mu_buf *buf)
{
    if (buf->data != NULL)
        OPENSSL_cleanse(buf->data, buf->cap);
    mu_buf_fini(buf);
}

int mu_pki_token(struct mu_buf *out)
{
    unsigned char bytes[TOKEN_BYTES];
    if (RAND_bytes(bytes, (int)sizeof bytes) != 1) {
        ERR_clear_error();
        return MU_EIO;
    }
    int r = mu_buf_reserve(out, (size_t)2 * sizeof bytes);
    for (size_t i = 0; r == 0 && i < sizeof bytes; i++)
        r = mu_buf_printf(out, "%02x", bytes[i]);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return r;
}
