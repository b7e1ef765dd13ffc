#include "informer/credentials.h"

#include "engine/base/assert.h"
#include "engine/base/clock.h"

#define PERIOD_NS (60 * MU_NS_PER_S)
#define GAP_NS    MU_NS_PER_S

void mu_credentials_init(struct mu_credentials *c, bool may_change, uint64_t now_ns)
{
    *c = (struct mu_credentials){.may_change = may_change,
                                 .not_before_ns = now_ns,
                                 .next_ns = may_change ? now_ns + PERIOD_NS : UINT64_MAX};
}

/* Answers that only somebody who knows us gives. 429 and 5xx can come from in front of that. */
static bool shows_trust(int status)
{
    return (status >= 200 && status < 300) || status == 403 || status == 404 || status == 409 ||
           status == 410 || status == 422;
}

enum mu_credentials_news mu_credentials_answer(struct mu_credentials *c, int status,
                                               uint64_t now_ns)
{
    if (status == 401 && !c->refused) {
        c->refused = true;
        c->pause_ns = GAP_NS;
        if (c->may_change && !c->wished)
            c->next_ns = c->not_before_ns > now_ns ? c->not_before_ns : now_ns;
        return MU_CREDENTIALS_REFUSED;
    }
    if (c->refused && shows_trust(status)) {
        c->refused = false;
        if (c->may_change && !c->wished)
            c->next_ns = now_ns + PERIOD_NS;
        return MU_CREDENTIALS_TAKEN;
    }
    return MU_CREDENTIALS_NOTHING;
}

void mu_credentials_wish(struct mu_credentials *c, uint64_t now_ns)
{
    c->wished = true;
    c->next_ns = now_ns;
}

uint64_t mu_credentials_next_ns(const struct mu_credentials *c)
{
    return c->next_ns;
}

enum mu_credentials_news mu_credentials_read(struct mu_credentials *c, int result, uint64_t now_ns)
{
    MU_ASSERT(c->next_ns <= now_ns);
    bool wished = c->wished, unreadable = c->unreadable;
    c->wished = false;
    c->unreadable = result < 0;
    c->not_before_ns = now_ns + GAP_NS;
    c->next_ns = UINT64_MAX;
    if (c->may_change) {
        c->next_ns = now_ns + (c->refused ? c->pause_ns : PERIOD_NS);
        if (c->refused)
            c->pause_ns = c->pause_ns < PERIOD_NS / 2 ? 2 * c->pause_ns : PERIOD_NS;
    }
    if (result > 0)
        return MU_CREDENTIALS_CHANGED;
    if (result < 0)
        return unreadable && !wished ? MU_CREDENTIALS_NOTHING : MU_CREDENTIALS_UNREADABLE;
    if (wished)
        return MU_CREDENTIALS_CHANGED_NONE;
    return unreadable ? MU_CREDENTIALS_READABLE : MU_CREDENTIALS_NOTHING;
}
