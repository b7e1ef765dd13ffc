#include "engine/preempt/preempt_priv.h"

/*
 * When time alone changes an answer: pods that are no victims become ones by running for long
 * enough. Those that were left out of the index for that (engine/preempt/victim.c) say when the
 * first of them will have. Whoever is below whom is not asked: to look in vain is cheaper than to
 * remember.
 */

uint32_t mu_preempt_ripe_s(const struct mu_preempt *preempt)
{
    if (preempt->config.min_run_s == 0)
        return UINT32_MAX;
    return preempt->built ? preempt->victims.ripe_s : preempt->now_s + 1;
}
