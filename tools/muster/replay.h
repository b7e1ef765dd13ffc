#ifndef MU_TOOLS_MUSTER_REPLAY_H
#define MU_TOOLS_MUSTER_REPLAY_H
/*
 * A workload's recorded times, played back in real time `speed` times as fast: when each pod is to
 * be created, and how long it is to run. A pure function of the workload, the speed and one moment:
 * the one at which the first pod arrives. Whatever the trace leaves empty before that is skipped.
 *
 *     trace time = first arrival + (now - start) * speed
 *
 * The machines keep to it because each pod states its run time (tools/workload/encode.h), by real
 * time, which simulated kubelets honour.
 */
#include "tools/workload/workload.h"

#define MU_REPLAY_SPEED_MAX                                                                        \
    1000000u /* eleven days a second: a request takes a quarter of an hour */

struct mu_replay {
    const struct mu_workload *workload;
    uint64_t speed;    /* seconds of the trace in one; 0: no replay, everything at once, for ever */
    uint64_t start_ns; /* when the first pod arrives; UINT64_MAX: not started */
    uint64_t first_ns, last_ns; /* arrivals, in trace time */
};

/* The workload must outlive it; speed 0 (no replay) to MU_REPLAY_SPEED_MAX. Errors: MU_EINVAL with
 * one line when there is a speed and the workload has no times. */
int mu_replay_init(struct mu_replay *replay, const struct mu_workload *workload, uint32_t speed,
                   struct mu_error *error);
static inline bool mu_replay_active(const struct mu_replay *replay)
{
    return replay->speed > 0;
}
void mu_replay_start(struct mu_replay *replay, uint64_t now_ns);
/* When pod i is to be created, real time; ascending in i. 0 without a replay, UINT64_MAX before its
 * start. */
uint64_t mu_replay_due_ns(const struct mu_replay *replay, uint32_t i);
/* Pod i as it is to be created: its duration in real time, at least a millisecond; 0 (for ever)
 * without a replay. Shares the workload's storage. */
struct mu_workload_pod mu_replay_pod(const struct mu_replay *replay, uint32_t i);
/* "day 3.2 of 125.2": where the replay is in the trace, up to its last arrival; "day 130.1" later.
 * Short traces are counted in hours or minutes. */
#define MU_REPLAY_TEXT_BYTES 64
void mu_replay_text(const struct mu_replay *replay, uint64_t now_ns,
                    char text[MU_REPLAY_TEXT_BYTES]);

#endif
