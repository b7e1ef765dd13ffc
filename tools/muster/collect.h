#ifndef MU_TOOLS_MUSTER_COLLECT_H
#define MU_TOOLS_MUSTER_COLLECT_H
/*
 * Fetches all objects of one resource as raw encoded messages: a consistent paged LIST, once. A
 * pure state machine on the request seam. A list that breaks off (a lost reply, an expired continue
 * token) starts over, five times at most.
 */
#include "engine/base/error.h"
#include "informer/call.h"

struct mu_collect; /* opaque; one thread */

/* path: "/api/v1/pods". Errors: NULL. */
struct mu_collect *mu_collect_create(struct mu_str path, uint64_t token_base);
void mu_collect_destroy(struct mu_collect *collect);
void mu_collect_start(struct mu_collect *collect, struct mu_outbox *out);
bool mu_collect_reply(struct mu_collect *collect, const struct mu_reply *reply,
                      struct mu_outbox *out);
/* 1 done, 0 under way, negative: failed (*error says why). */
int mu_collect_state(const struct mu_collect *collect, struct mu_error *error);
uint32_t mu_collect_count(const struct mu_collect *collect);
/* Object i, valid until destroy. */
struct mu_str mu_collect_get(const struct mu_collect *collect, uint32_t i);

#endif
