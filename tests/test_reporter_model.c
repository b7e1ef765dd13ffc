/*
 * The reporter against a naive twin: a server that takes, loses, repeats and refuses writes, pods
 * that are changed, bound and deleted under it, and a view of them that lags.
 *
 *   safety    a condition never lands on a bound pod; nothing is sent beyond the budget, beyond the
 *             bound on requests in flight, or while the server asked for quiet; one request of a
 *             pod at a time
 *   liveness  when the trouble is over, every waiting pod carries what was last said about it, and
 *             the reporter falls silent
 */
#include "tests/reporter_rig.h"

#include <stdlib.h>

enum { PODS = 40, OPEN_MAX = 8, TEXTS = 5 };
#define RATE  20u
#define BURST 30u

struct twin_pod {
    uint64_t version;   /* the server's */
    uint64_t condition; /* digest that it carries */
    uint64_t wanted;    /* digest last said; 0: nothing */
    bool bound, open;
};
struct open_request {
    uint64_t token, version, digest;
    uint32_t pod; /* PODS: an event */
};
struct model {
    struct rig *rig;
    struct mu_test_run run;
    struct twin_pod pods[PODS];
    struct open_request open[OPEN_MAX];
    uint32_t open_count;
    uint64_t tokens_milli, tokens_ns; /* of the budget, as the twin counts it */
    uint64_t quiet_until_ns;
    uint64_t landed, conflicts, lost;
};

static const char *const texts[TEXTS] = {"a", "b", "c", "d", "e"};

static uint64_t digest_of(uint32_t text)
{
    return mu_pod_report_digest(MU_STR("Unschedulable"), mu_str_of(texts[text]));
}

/* The watch catches up with one pod. */
static void see(struct model *m, uint32_t i)
{
    m->rig->pods[i].version = m->pods[i].version;
    m->rig->pods[i].report = m->pods[i].condition;
    m->rig->pods[i].gone = m->pods[i].bound;
}

static void spend(struct model *m)
{
    uint64_t now_ns = m->rig->now_ns;
    m->tokens_milli += (now_ns - m->tokens_ns) * RATE / (MU_NS_PER_MS);
    if (m->tokens_milli > BURST * 1000)
        m->tokens_milli = BURST * 1000;
    m->tokens_ns = now_ns;
    MU_TEST_CHECK(&m->run, m->tokens_milli >= 990); /* a token, but for rounding */
    m->tokens_milli -= m->tokens_milli < 1000 ? m->tokens_milli : 1000;
}

static void collect(struct model *m)
{
    struct rig_request request;
    while (rig_take(m->rig, &request)) {
        struct open_request *o = &m->open[m->open_count++];
        MU_TEST_CHECK(&m->run, m->open_count <= OPEN_MAX);
        MU_TEST_CHECK(&m->run, m->rig->now_ns >= m->quiet_until_ns);
        spend(m);
        *o = (struct open_request){.token = request.token, .pod = PODS};
        const char *name = strstr(request.path, "/pods/p");
        if (name == NULL)
            continue;
        o->pod = (uint32_t)strtoul(name + 7, NULL, 10);
        o->version = strtoull(strstr(request.body, "\"resourceVersion\":\"") + 19, NULL, 10);
        const char *message = strstr(request.body, "\"message\":\"") + 11;
        o->digest = digest_of((uint32_t)(*message - 'a'));
        MU_TEST_CHECK(&m->run, !m->pods[o->pod].open);
        m->pods[o->pod].open = true;
    }
}

/* The server handles a write. Returns the status. */
static int land(struct model *m, const struct open_request *o)
{
    if (o->pod == PODS)
        return 201;
    struct twin_pod *pod = &m->pods[o->pod];
    if (pod->version != o->version)
        return 409;
    MU_TEST_CHECK(&m->run, !pod->bound);
    if (pod->condition != o->digest) {
        pod->condition = o->digest;
        pod->version++;
        m->landed++;
    }
    return 200;
}

static void answer(struct model *m, uint32_t at, bool trouble)
{
    struct open_request o = m->open[at];
    m->open[at] = m->open[--m->open_count];
    if (o.pod < PODS)
        m->pods[o.pod].open = false;
    uint64_t fate = trouble ? mu_random_below(&m->run.random, 10) : 9;
    if (fate == 0) {
        m->lost++;
        rig_reply(m->rig, o.token, MU_REPLY_LOST, 0, 0); /* it never arrived */
    } else if (fate == 1) {
        (void)land(m, &o);
        m->lost++;
        rig_reply(m->rig, o.token, MU_REPLY_LOST, 0, 0);
    } else if (fate == 2) {
        rig_answer(m->rig, o.token, 500, 0);
    } else if (fate == 3) {
        uint32_t wait_s = (uint32_t)mu_random_below(&m->run.random, 4);
        m->quiet_until_ns = m->rig->now_ns + (wait_s > 0 ? wait_s : 1) * MU_NS_PER_S;
        rig_answer(m->rig, o.token, 429, wait_s);
    } else {
        int status = land(m, &o);
        m->conflicts += status == 409;
        rig_answer(m->rig, o.token, status, 0);
    }
}

static void say(struct model *m, uint32_t i)
{
    uint32_t text = (uint32_t)mu_random_below(&m->run.random, TEXTS);
    assert_int_equal(rig_pending(m->rig, i, texts[text]), 0);
    m->pods[i].wanted = digest_of(text);
}

static void step(struct model *m, bool trouble)
{
    uint32_t i = (uint32_t)mu_random_below(&m->run.random, PODS);
    switch (mu_random_below(&m->run.random, trouble ? 8 : 3)) {
    case 0:
        if (m->open_count > 0)
            answer(m, (uint32_t)mu_random_below(&m->run.random, m->open_count), trouble);
        break;
    case 1:
        see(m, i);
        break;
    case 2:
        m->rig->now_ns += mu_random_below(&m->run.random, 300 * MU_NS_PER_MS);
        rig_tick(m->rig);
        break;
    case 3:
        m->pods[i].version++; /* somebody writes to it */
        break;
    case 4:
        if (mu_random_chance(&m->run.random, 20) && !m->pods[i].bound) {
            m->pods[i].bound = true;
            m->pods[i].condition = 0;
            m->pods[i].version++;
            rig_bound(m->rig, i, "n");
        }
        break;
    default:
        if (!m->pods[i].bound && mu_random_chance(&m->run.random, 300))
            say(m, i);
        break;
    }
    collect(m);
}

/* Trouble is over: everything is answered, every view catches up. */
static void settle(struct model *m)
{
    for (uint32_t turn = 0;; turn++) {
        MU_TEST_CHECK(&m->run, turn < 100000);
        collect(m);
        while (m->open_count > 0) {
            answer(m, 0, false);
            collect(m);
        }
        for (uint32_t i = 0; i < PODS; i++)
            see(m, i);
        uint64_t next_ns = mu_reporter_next_ns(m->rig->reporter);
        if (next_ns == UINT64_MAX)
            return;
        m->rig->now_ns = next_ns > m->rig->now_ns ? next_ns : m->rig->now_ns;
        rig_tick(m->rig);
    }
}

static void run(uint64_t seed)
{
    struct model m = {.rig = rig_create(RATE, BURST, OPEN_MAX), .tokens_milli = BURST * 1000};
    m.run = mu_test_run_begin(seed);
    m.tokens_ns = m.rig->now_ns;
    for (uint32_t i = 0; i < PODS; i++) {
        m.pods[i].version = 100 + i;
        see(&m, i);
    }
    for (; m.run.step < 4000; m.run.step++)
        step(&m, true);
    for (uint32_t s = 0; s < 200; s++)
        step(&m, false);
    settle(&m);
    for (uint32_t i = 0; i < PODS; i++) {
        const struct twin_pod *pod = &m.pods[i];
        if (!pod->bound && pod->wanted != 0)
            MU_TEST_CHECK(&m.run, pod->condition == pod->wanted);
        else
            MU_TEST_CHECK(&m.run, pod->condition == 0);
    }
    struct mu_reporter_stats stats = rig_stats(m.rig);
    assert_int_equal(stats.in_flight + stats.conditions_queued + stats.events_queued, 0);
    assert_int_equal(stats.pods, 0);
    MU_TEST_CHECK(&m.run, m.landed > 0 && m.conflicts > 0 && m.lost > 0);
    rig_destroy(m.rig);
}

static void test_reporter__random_trouble__says_it_all_within_its_budget(void **state)
{
    (void)state;
    uint64_t seeds = getenv("MUSTER_SEED") != NULL ? 1 : 300;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reporter__random_trouble__says_it_all_within_its_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
