#include "tools/kubesim/fault.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/str.h"

#define REORDER_NS (20 * MU_NS_PER_MS)

/* Watches are few and long: their faults are frequent, or they would not be seen. */
static const struct {
    const char *name;
    uint32_t permille;
} knobs[MU_FAULT_COUNT] = {
    [MU_FAULT_DROP] = {"drop", 10},
    [MU_FAULT_DELAY] = {"delay", 50},
    [MU_FAULT_DUPLICATE] = {"duplicate", 10},
    [MU_FAULT_REORDER] = {"reorder", 50},
    [MU_FAULT_410] = {"410", 100},
    [MU_FAULT_409] = {"409", 10},
    [MU_FAULT_429] = {"429", 10},
    [MU_FAULT_LOST_REPLY] = {"lost-reply", 10},
    [MU_FAULT_LATE] = {"late", 10},
    [MU_FAULT_CUT] = {"cut", 200},
};

const char *mu_fault_name(enum mu_fault fault)
{
    MU_ASSERT(fault < MU_FAULT_COUNT);
    return knobs[fault].name;
}

/* One "name[=permille]". */
static int parse_one(struct mu_str word, struct mu_faults *faults, struct mu_error *error)
{
    const char *equals = word.len == 0 ? NULL : memchr(word.data, '=', word.len);
    struct mu_str name = word;
    uint64_t permille = 0;
    if (equals != NULL) {
        name.len = (uint32_t)(equals - word.data);
    }
    for (int i = 0; i < MU_FAULT_COUNT; i++) {
        if (!mu_str_equal(name, mu_str_of(knobs[i].name))) {
            continue;
        }
        permille = knobs[i].permille;
        struct mu_str value = {equals == NULL ? NULL : equals + 1, word.len - name.len - 1};
        if (equals != NULL && (!mu_str_to_u64(value, &permille) || permille > 1000)) {
            return mu_error_set(error, MU_EINVAL, "fault %s: '%.*s' is not between 0 and 1000",
                                knobs[i].name, (int)(value.len < 40 ? value.len : 40), value.data);
        }
        faults->permille[i] = (uint32_t)permille;
        return 0;
    }
    return mu_error_set(error, MU_EINVAL, "'%.*s' is not a fault; expected some of " MU_FAULTS_ALL,
                        (int)(name.len < 40 ? name.len : 40), name.data);
}

int mu_faults_parse(const char *list, struct mu_faults *out, struct mu_error *error)
{
    struct mu_faults faults = {.latency_ns_min = 0};
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        uint32_t cut = len < 4096 ? (uint32_t)len : 4096;
        int code = parse_one((struct mu_str){list, cut}, &faults, error);
        if (code != 0) {
            return code;
        }
        list += len;
        if (*list == ',' && *++list == '\0') {
            return mu_error_set(error, MU_EINVAL, "the list of faults ends with a comma");
        }
    }
    *out = faults;
    return 0;
}

/* ---- plans -------------------------------------------------------------------------------- */

/* A knob draws whether or not it is on, so that switching one off moves the others' draws
 * little. */
static bool fires(const struct mu_faults *faults, struct mu_random *random, enum mu_fault fault,
                  struct mu_fault_plan *plan)
{
    bool yes = mu_random_chance(random, faults->permille[fault]);
    plan->fired |= yes ? 1u << fault : 0;
    return yes;
}

static uint64_t up_to(struct mu_random *random, uint64_t max)
{
    return 1 + mu_random_below(random, max);
}

static uint64_t latency(const struct mu_faults *faults, struct mu_random *random)
{
    uint64_t low = faults->latency_ns_min;
    uint64_t high = faults->latency_ns_max;
    if (low == 0 && high == 0) {
        low = 100 * MU_NS_PER_US;
        high = MU_NS_PER_MS;
    }
    return low + (high > low ? mu_random_below(random, high - low + 1) : 0);
}

/* The request or its reply is lost: the connection breaks soon, or only a timeout tells. */
static void lose(struct mu_random *random, struct mu_fault_plan *plan, uint64_t after_ns)
{
    plan->answers = false;
    plan->reset = mu_random_chance(random, 700);
    plan->reset_ns = after_ns + up_to(random, 100 * MU_NS_PER_MS);
}

static void plan_watch(const struct mu_faults *faults, struct mu_random *random,
                       struct mu_fault_plan *plan)
{
    uint64_t max_ns = faults->cut_ns_max != 0 ? faults->cut_ns_max : 10 * MU_NS_PER_S;
    if (fires(faults, random, MU_FAULT_CUT, plan)) {
        plan->cut_ns = up_to(random, max_ns);
    }
    if (fires(faults, random, MU_FAULT_410, plan)) {
        if (mu_random_chance(random, 500)) {
            plan->forced = 410;
        } else {
            plan->expire_ns = up_to(random, max_ns);
        }
    }
}

void mu_fault_plan(const struct mu_faults *faults, struct mu_random *random,
                   const struct mu_fault_request *request, struct mu_fault_plan *out)
{
    struct mu_fault_plan plan = {.arrives = true, .answers = true};
    plan.arrive_ns = latency(faults, random);
    plan.reply_ns = latency(faults, random);
    uint64_t delay_ns = faults->delay_ns_max != 0 ? faults->delay_ns_max : 2 * MU_NS_PER_S;
    uint64_t late_ns = faults->late_ns_max != 0 ? faults->late_ns_max : 10 * MU_NS_PER_S;
    if (fires(faults, random, MU_FAULT_DELAY, &plan)) {
        uint64_t more_ns = up_to(random, delay_ns);
        *(mu_random_chance(random, 500) ? &plan.arrive_ns : &plan.reply_ns) += more_ns;
    }
    if (fires(faults, random, MU_FAULT_REORDER, &plan)) {
        plan.arrive_ns += up_to(random, REORDER_NS);
    }
    /* A second copy of a stream would be a second stream: only plain requests are repeated. */
    bool again = fires(faults, random, MU_FAULT_DUPLICATE, &plan);
    if (again && !request->watch) {
        plan.again = true;
        plan.again_ns = plan.arrive_ns + up_to(random, delay_ns);
        plan.second_answers = mu_random_chance(random, 500);
    }
    if (request->watch) {
        plan_watch(faults, random, &plan);
    } else if (request->page && fires(faults, random, MU_FAULT_410, &plan)) {
        plan.forced = 410;
    }
    if (request->write && fires(faults, random, MU_FAULT_409, &plan)) {
        plan.forced = 409;
    }
    if (fires(faults, random, MU_FAULT_429, &plan)) {
        plan.forced = 429;
    }
    if (fires(faults, random, MU_FAULT_LOST_REPLY, &plan)) {
        lose(random, &plan, plan.arrive_ns);
    }
    if (fires(faults, random, MU_FAULT_DROP, &plan)) {
        plan.arrives = plan.again = false;
        lose(random, &plan, plan.arrive_ns);
    }
    if (fires(faults, random, MU_FAULT_LATE, &plan) && !request->watch && plan.arrives) {
        lose(random, &plan, plan.arrive_ns);
        plan.reset = true;
        plan.arrive_ns = plan.reset_ns + up_to(random, late_ns);
        plan.again_ns = plan.arrive_ns + up_to(random, late_ns);
        plan.forced = 0; /* what lands late is the real thing */
    }
    MU_ASSERT(plan.arrives || !plan.answers);
    *out = plan;
}
