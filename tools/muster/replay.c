#include "tools/muster/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/quantity.h"

/* What a trace is counted in: the largest of which it has two, so that the number moves. */
static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {
    {"day", 86400 * MU_NS_PER_S}, {"hour", 3600 * MU_NS_PER_S}, {"minute", 60 * MU_NS_PER_S}};

static const struct unit *unit_of(uint64_t last_ns)
{
    const struct unit *unit = units;
    while (unit + 1 < units + sizeof units / sizeof units[0] && last_ns < 2 * unit->ns)
        unit++;
    return unit;
}

int mu_replay_init(struct mu_replay *replay, const struct mu_workload *workload, uint32_t speed,
                   struct mu_error *error)
{
    MU_ASSERT(speed <= MU_REPLAY_SPEED_MAX);
    if (speed > 0 && !workload->timed)
        return mu_error_set(error, MU_EINVAL,
                            "--replay needs a trace with arrivals and run times; this list of pods "
                            "has none");
    *replay = (struct mu_replay){.workload = workload, .speed = speed, .start_ns = UINT64_MAX};
    if (workload->pod_count > 0) {
        replay->first_ns = workload->pods[0].arrival_ns;
        replay->last_ns = workload->pods[workload->pod_count - 1].arrival_ns;
    }
    return 0;
}

void mu_replay_start(struct mu_replay *replay, uint64_t now_ns)
{
    replay->start_ns = now_ns;
}

uint64_t mu_replay_due_ns(const struct mu_replay *replay, uint32_t i)
{
    MU_ASSERT(i < replay->workload->pod_count);
    if (!mu_replay_active(replay))
        return 0;
    if (replay->start_ns == UINT64_MAX)
        return UINT64_MAX;
    uint64_t arrival_ns = replay->workload->pods[i].arrival_ns;
    MU_ASSERT(arrival_ns >= replay->first_ns); /* finish ordered them */
    return replay->start_ns + (arrival_ns - replay->first_ns) / replay->speed;
}

struct mu_workload_pod mu_replay_pod(const struct mu_replay *replay, uint32_t i)
{
    MU_ASSERT(i < replay->workload->pod_count);
    struct mu_workload_pod pod = replay->workload->pods[i];
    if (!mu_replay_active(replay)) {
        pod.duration_ns = 0;
    } else if (pod.duration_ns > 0) {
        pod.duration_ns /= replay->speed;
        if (pod.duration_ns < MU_NS_PER_MS)
            pod.duration_ns = MU_NS_PER_MS; /* it does end */
    }
    return pod;
}

void mu_replay_text(const struct mu_replay *replay, uint64_t now_ns,
                    char text[MU_REPLAY_TEXT_BYTES])
{
    bool started = mu_replay_active(replay) && replay->start_ns <= now_ns;
    mu_u128 passed_ns = started ? (mu_u128)(now_ns - replay->start_ns) * replay->speed : 0;
    const struct unit *unit = unit_of(replay->last_ns);
    uint64_t at = (uint64_t)((replay->first_ns + passed_ns) / (unit->ns / 10));
    uint64_t end = replay->last_ns / (unit->ns / 10);
    int len = snprintf(text, MU_REPLAY_TEXT_BYTES, "%s %" PRIu64 ".%" PRIu64, unit->name, at / 10,
                       at % 10);
    if (at < end)
        (void)snprintf(text + len, MU_REPLAY_TEXT_BYTES - (size_t)len, " of %" PRIu64 ".%" PRIu64,
                       end / 10, end % 10);
}
