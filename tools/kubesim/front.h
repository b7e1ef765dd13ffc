#ifndef MU_TOOLS_KUBESIM_FRONT_H
#define MU_TOOLS_KUBESIM_FRONT_H
/*
 * The HTTP front: serves an API server and its kubelets on a libuv loop, in real time. It moves
 * bytes and tells the time; every rule is in the pure core. One loop thread.
 */
#include <uv.h>
#include "engine/base/error.h"
#include "tools/kubesim/apiserver.h"
#include "tools/kubesim/fault.h"
#include "tools/kubesim/kubelet.h"

struct mu_front; /* opaque */

struct mu_front_config {
    struct mu_str host; /* to listen on; copied */
    uint16_t port;      /* 0: any free one */
    struct mu_tls *tls; /* NULL: cleartext; a reference is taken */
    /* Injected between the peers and the API server; no latency beside what they say. All zero:
     * requests are answered as they come. */
    struct mu_faults faults;
    struct mu_random *random; /* the faults' draws are forked from it */
};
/* server and kubelets are the caller's and outlive the front. *port: the one in use. Errors: libuv
 * codes (the address cannot be bound), MU_ENOMEM. */
int mu_front_create(uv_loop_t *loop, const struct mu_front_config *config,
                    struct mu_apiserver *server, struct mu_kubelets *kubelets,
                    struct mu_front **out, uint16_t *port);
/* New connections use this context; those that are up keep theirs. A reference is taken. */
void mu_front_set_tls(struct mu_front *front, struct mu_tls *tls);
/* Stop serving; `closed` is called once, then the front is gone. */
void mu_front_close(struct mu_front *front, void (*closed)(void *context), void *context);

#endif
