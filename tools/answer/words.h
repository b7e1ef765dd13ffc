#ifndef MU_TOOLS_ANSWER_WORDS_H
#define MU_TOOLS_ANSWER_WORDS_H
/* Small texts of answers. */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/verdict.h"

/* "ns/name" in the arena; data NULL: no memory. */
struct mu_str mu_answer_name(struct mu_arena *arena, struct mu_str ns, struct mu_str name);
/* An amount in the scheduler's unit as Kubernetes writes it: "2", "500m" cpu. With `human`, bytes
 * of memory and storage as "1.5Gi" where that is exact to a hundredth. */
void mu_answer_amount(struct mu_buf *out, struct mu_str resource, int64_t amount, bool human);
/* Whether the resource is counted in bytes. */
bool mu_answer_is_bytes(struct mu_str resource);
/* Numbers of devices as their annotation has them, "0,3"; empty for none. Returns the length. */
#define MU_ANSWER_DEVICES_BYTES (3 * 64)
uint32_t mu_answer_devices(char text[MU_ANSWER_DEVICES_BYTES], uint64_t devices);
/* The filter's name; "Unsupported" for MU_VERDICT_KINDS, which stands for rules that are not
 * built. */
const char *mu_answer_filter(struct mu_verdict verdict);
bool mu_answer_may_preempt(struct mu_verdict verdict);

#endif
