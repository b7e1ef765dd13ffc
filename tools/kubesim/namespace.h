#ifndef MU_TOOLS_KUBESIM_NAMESPACE_H
#define MU_TOOLS_KUBESIM_NAMESPACE_H
/* The namespace controller: empties namespaces that are being deleted, then removes them. */
#include "tools/kubesim/apiserver.h"

struct mu_namespaces; /* opaque; one thread */

/* The server is the caller's and outlives it. Errors: NULL. */
struct mu_namespaces *mu_namespaces_create(struct mu_apiserver *server);
void mu_namespaces_destroy(struct mu_namespaces *namespaces);
void mu_namespaces_run(struct mu_namespaces *namespaces, uint64_t now_ns);
/* When run has something to do; UINT64_MAX: not by itself. Without a namespace that ends this costs
 * nothing. */
uint64_t mu_namespaces_next_ns(const struct mu_namespaces *namespaces);

#endif
