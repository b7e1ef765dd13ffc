#ifndef MU_INFORMER_PKI_H
#define MU_INFORMER_PKI_H
/*
 * A certificate authority in memory: makes the certificates that the embedded API server starts
 * with, and those of tests. ECDSA on P-256 with SHA-256, X.509 v3, everything as PEM. Keys and
 * serial numbers come from the system's randomness; nothing here is repeatable, and nothing is
 * written to a file.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/str.h"

struct mu_pki; /* opaque: a CA and its key; one thread */

#define MU_PKI_NAMES_MAX 32u  /* of each list of one certificate */
#define MU_PKI_TEXT_MAX  255u /* bytes of one name */

/* Seconds since the Unix epoch, from 1950 to 9999; both ends included. */
struct mu_pki_validity {
    int64_t from_s, until_s;
};

/* A new, self-signed CA. Owns: caller, until destroy. Errors: MU_EINVAL (no name, a validity that
 * ends before it begins), MU_ELIMIT, MU_ENOMEM; *out unchanged. */
int mu_pki_create(struct mu_str common_name, struct mu_pki_validity validity, struct mu_pki **out,
                  struct mu_error *error);
void mu_pki_destroy(struct mu_pki *pki); /* wipes the key; NULL is fine */
/* Its certificate; valid until destroy. */
struct mu_str mu_pki_ca(const struct mu_pki *pki);

struct mu_pki_request {
    struct mu_str common_name;
    const struct mu_str *organizations;
    uint32_t organization_count;
    const struct mu_str *dns; /* subject alternative names */
    uint32_t dns_count;
    const struct mu_str *addresses; /* the same, "127.0.0.1" or "::1" */
    uint32_t address_count;
    bool server, client; /* extended key usage */
    struct mu_pki_validity validity;
};
/* A new key and its certificate, signed by the CA. Both are appended as PEM; *key is to be wiped by
 * mu_pki_wipe. Errors: MU_EINVAL (names the field), MU_ELIMIT, MU_ENOMEM; *cert and *key then hold
 * what they held. */
int mu_pki_issue(struct mu_pki *pki, const struct mu_pki_request *request, struct mu_buf *cert,
                 struct mu_buf *key, struct mu_error *error);

/* Overwrite and free a buffer's storage. Storage that it grew out of is not reached: reserve first
 * where that matters. */
void mu_pki_wipe(struct mu_buf *buf);
/* Append 32 random bytes as 64 hexadecimal digits: a bearer token. Errors: MU_ENOMEM, MU_EIO. */
int mu_pki_token(struct mu_buf *out);

#endif
