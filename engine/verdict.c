#include "engine/verdict.h"

#include "engine/base/assert.h"

/* Sentences only: which verdict applies is decided where the rule is evaluated. */

const char *mu_verdict_text(enum mu_verdict_kind kind)
{
    static const char *const texts[] = {
#define MU_VERDICT_TEXT(name, filter, may_preempt, text) [name] = (text),
        MU_VERDICT_LIST(MU_VERDICT_TEXT)
#undef MU_VERDICT_TEXT
    };
    MU_ASSERT((unsigned)kind < (unsigned)MU_VERDICT_KINDS);
    return texts[kind];
}

const char *mu_verdict_filter(enum mu_verdict_kind kind)
{
    static const char *const filters[] = {
#define MU_VERDICT_FILTER(name, filter, may_preempt, text) [name] = (filter),
        MU_VERDICT_LIST(MU_VERDICT_FILTER)
#undef MU_VERDICT_FILTER
    };
    MU_ASSERT((unsigned)kind < (unsigned)MU_VERDICT_KINDS);
    return filters[kind];
}

bool mu_verdict_may_preempt(enum mu_verdict_kind kind)
{
    static const bool may[] = {
#define MU_VERDICT_MAY(name, filter, may_preempt, text) [name] = (may_preempt),
        MU_VERDICT_LIST(MU_VERDICT_MAY)
#undef MU_VERDICT_MAY
    };
    MU_ASSERT((unsigned)kind < (unsigned)MU_VERDICT_KINDS);
    return may[kind];
}

const char *mu_wait_text(enum mu_wait_kind kind)
{
    static const char *const texts[] = {
#define MU_WAIT_TEXT(name, text) [name] = (text),
        MU_WAIT_LIST(MU_WAIT_TEXT)
#undef MU_WAIT_TEXT
    };
    MU_ASSERT((unsigned)kind < (unsigned)MU_WAIT_KINDS);
    return texts[kind];
}

void mu_refusals_add(struct mu_refusals *refusals, struct mu_verdict verdict, int sign)
{
    uint32_t one = (uint32_t)sign;
    refusals->by_verdict[verdict.kind] += one;
    for (uint32_t rest = verdict.reasons; rest != 0; rest &= rest - 1)
        refusals->by_reason[__builtin_ctz(rest)] += one;
    for (uint64_t rest = verdict.lacking; rest != 0; rest &= rest - 1)
        refusals->by_resource[__builtin_ctzll(rest)] += one;
}
