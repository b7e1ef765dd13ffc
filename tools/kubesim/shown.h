#ifndef MU_TOOLS_KUBESIM_SHOWN_H
#define MU_TOOLS_KUBESIM_SHOWN_H
/*
 * Objects as clients see them. What is the same for every pod or follows from what is stored is not
 * stored, so that a million pods stay small: it is added when an object is shown.
 *
 *   pods   the defaults of the API (DNS and image pull policies, the tolerations of nodes that are
 *          not ready or unreachable, ...); and of a pod that runs on a simulated kubelet its
 *          addresses, its further conditions and the states of its containers
 *   nodes  addresses, node info and conditions, when a kubelet has not written its own
 *
 * Both are functions of the stored bytes alone: every reader sees the same, in every form, and a
 * shown object shown again is itself. What a client writes back is compared with what it was shown
 * (write.c), and what it left alone is stored as it was.
 */
#include "engine/base/buf.h"
#include "engine/base/str.h"

/* Append the shown form of an encoded Pod or Node. Errors: MU_EPROTO, the buffer's; *out is then as
 * it was. Cost: O(object). Thread: any. */
int mu_pod_show(struct mu_str raw, struct mu_buf *out);
int mu_node_show(struct mu_str raw, struct mu_buf *out);

#endif
