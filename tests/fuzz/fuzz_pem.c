/* PEM texts as a kubeconfig or a file may hold them, into both create functions: nothing crashes or
 * leaks, a context or an error that names the input comes out, and OpenSSL's queue stays empty. The
 * first byte chooses the side and the allocation that fails; behind it are up to four texts, each
 * ended by a NUL: CA bundle, certificate, key, server name.
 * covers: informer/tls_pem.c informer/tls.c:-choose_protocol,mu_tls_ref */
#include <openssl/err.h>
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/tls.h"

#define INPUT_MAX (128u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text up to the next NUL. */
static struct mu_str next_text(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *from = *at;
    const uint8_t *nul = from < end ? memchr(from, '\0', (size_t)(end - from)) : NULL;
    const uint8_t *to = nul != NULL ? nul : end;
    *at = nul != NULL ? nul + 1 : end;
    return (struct mu_str){(const char *)from, (uint32_t)(to - from)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    const uint8_t *at = data + 1;
    const uint8_t *end = data + size;
    struct mu_str ca = next_text(&at, end);
    struct mu_str cert = next_text(&at, end);
    struct mu_str key = next_text(&at, end);
    struct mu_str name = next_text(&at, end);
    struct mu_tls *tls = NULL;
    struct mu_error error = {0};
    int r;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = data[0] >> 2 == 1});
    if ((data[0] & 1) != 0) {
        const struct mu_tls_server_config config = {.cert = cert, .key = key, .client_ca = ca};
        r = mu_tls_server_create(&config, &tls, &error);
    } else {
        const struct mu_tls_client_config config = {
            .ca = ca,
            .cert = cert,
            .key = key,
            .server_name = name,
            /* The system's store takes 50 ms to read: once in a while is enough. */
            .insecure = ca.len == 0 && data[0] != 0x82};
        r = mu_tls_client_create(&config, &tls, &error);
    }
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT((r == 0) == (tls != NULL));
    MU_ASSERT(r == 0 || (r == error.code && error.text[0] != '\0'));
    MU_ASSERT(r == 0 || r == MU_EINVAL || r == MU_ELIMIT || r == MU_ENOMEM);
    MU_ASSERT(ERR_peek_error() == 0);
    mu_tls_unref(tls);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
