#ifndef MU_INFORMER_ACCESS_H
#define MU_INFORMER_ACCESS_H
/*
 * The way to an API server: a kubeconfig turned into an HTTP client, and kept fresh while it is
 * used. What to read when is decided by informer/credentials.h; this is its shell: it reads files,
 * makes TLS contexts and hands both to the client, which puts them to use without losing a request.
 *
 * New values are used as far as they are sound: a certificate whose key has not arrived yet leaves
 * the old pair in place and is tried again at the next read.
 */
#include "informer/credentials.h"
#include "informer/http.h"
#include "informer/kubeconfig.h"

struct mu_access; /* opaque; the loop's thread */

/* Takes config over, also on an error. Errors, in words: MU_EINVAL (certificates, keys),
 * MU_ENOMEM; *out unchanged. Owns: caller, until destroy. */
int mu_access_create(struct mu_kubeconfig *config, uint64_t now_ns, struct mu_access **out,
                     struct mu_error *error);
/* After the client was closed. NULL is fine. */
void mu_access_destroy(struct mu_access *access);
/* "https://host:6443/path"; valid until destroy. */
const char *mu_access_url(const struct mu_access *access);

/* A client for the server. Once; the access refers to it until mu_access_forget, which is to come
 * before it is closed. Errors: of mu_http_client_create. */
int mu_access_connect(struct mu_access *access, uv_loop_t *loop, uint32_t connections,
                      mu_reply_fn reply, void *context, struct mu_http_client **out);
void mu_access_forget(struct mu_access *access);

/* The HTTP status of an answer has come; somebody wishes a read; when tick is due (UINT64_MAX:
 * not by itself). As in informer/credentials.h. */
enum mu_credentials_news mu_access_answer(struct mu_access *access, int status, uint64_t now_ns);
void mu_access_wish(struct mu_access *access, uint64_t now_ns);
uint64_t mu_access_next_ns(const struct mu_access *access);
/* Read when it is time. *error is set with MU_CREDENTIALS_UNREADABLE. Blocks for as long as reading
 * a few small files takes. */
enum mu_credentials_news mu_access_tick(struct mu_access *access, uint64_t now_ns,
                                        struct mu_error *error);

#endif
