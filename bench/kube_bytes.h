#ifndef MU_BENCH_KUBE_BYTES_H
#define MU_BENCH_KUBE_BYTES_H
/*
 * Objects as an API server sends them, for benches of the way in. Each is a template whose places
 * are then overwritten with numbers, so that making many costs little.
 *
 * A pod is about 1.4 KB on the wire, as a Deployment of one container with a volume, a probe and an
 * environment gives it; a node about 3 KB with its labels, conditions and a dozen images. Much of
 * both are fields that a scheduler skips.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"

/* Append the template of a pod of "muster"; bound: running on a node. managed_fields: 1 KB more. */
void mu_bytes_pod(struct mu_buf *out, bool bound, bool managed_fields);
/* Make `pod`, a copy of a template, the pod `number` (below 10^8), which asks for so much CPU; if
 * it is bound, to the node `node` (below 10^6). */
void mu_bytes_stamp_pod(struct mu_buf *pod, uint32_t number, uint32_t cpu_millis, uint32_t node);
/* The same for a node: 64 cores, 252 GiB, 110 pods. Its name is "node-" and six digits. */
void mu_bytes_node(struct mu_buf *out);
void mu_bytes_stamp_node(struct mu_buf *node, uint32_t number);

#endif
