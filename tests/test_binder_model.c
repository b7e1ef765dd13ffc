/*
 * The binder against a naive API server over a hostile network: requests are lost, delayed past
 * their timeout, delivered twice; replies are lost; the server throttles, fails before or after it
 * has acted, and others bind, change and delete the pods meanwhile.
 *
 * Checked: every bind is settled exactly once; BOUND only if the server has bound that pod to that
 * node under that plan; GONE only if that pod no longer exists; a REFUSED write never lands, not
 * even by a copy that arrives long after; so no pod is ever meant for two nodes at once. And all of
 * it comes to an end once the network heals.
 */
#include "engine/base/clock.h"
#include "informer/binder.h"
#include "tests/kube_fixture.h"

enum { PODS = 24, NODES = 6, WIRE = 4096, BINDS = 4096 };

/* What the server knows of a pod name. uid counts up when the pod is made anew. */
struct pod {
    bool exists, terminating;
    uint32_t uid;
    uint64_t version;
    uint32_t node; /* 0: unbound */
    uint32_t plan;
};
/* A bind that was submitted, by id. */
struct record {
    uint32_t pod, uid, node, plan;
    uint64_t version;
    bool settled;
    enum mu_bind_result result;
};
/* A copy of a request on its way. */
struct packet {
    uint64_t arrives_ns;
    uint64_t token;
    uint64_t reply_ns; /* when the client hears of it; 0: never */
    bool get;
    uint32_t pod, uid, node, plan;
    uint64_t version;
};
/* An answer on its way, or a timeout of the client's. */
struct answer {
    uint64_t arrives_ns;
    uint64_t token;
    bool lost;
    int status;
    struct mu_buf body;
};
struct world {
    struct mu_test_run run;
    struct mu_binder *binder;
    struct mu_outbox box;
    uint64_t now_ns;
    uint64_t version;
    bool healed; /* the network behaves from now on */
    struct pod pods[PODS];
    struct pod before[PODS]; /* each pod's last state but one: what a lagging cache shows */
    uint32_t ours[PODS];     /* id of the open bind of that pod; 0: none */
    struct record records[BINDS];
    uint32_t record_count;
    uint32_t plans;
    struct packet packets[WIRE];
    uint32_t packet_count;
    struct answer answers[WIRE];
    uint32_t answer_count;
    uint32_t results[3];
};

static bool chance(struct world *w, uint32_t permille)
{
    return mu_random_chance(&w->run.random, permille);
}

static uint64_t below(struct world *w, uint64_t bound)
{
    return mu_random_below(&w->run.random, bound);
}

/* --- outcomes ------------------------------------------------------------------------------ */

static void on_outcome(void *context, const struct mu_bind_outcome *outcome)
{
    struct world *w = context;
    MU_TEST_CHECK(&w->run, outcome->id >= 1 && outcome->id <= w->record_count);
    struct record *r = &w->records[outcome->id - 1];
    const struct pod *p = &w->pods[r->pod];
    MU_TEST_CHECK(&w->run, !r->settled);
    r->settled = true;
    r->result = outcome->result;
    w->results[outcome->result]++;
    w->ours[r->pod] = 0;
    bool same = p->exists && p->uid == r->uid;
    if (outcome->result == MU_BIND_GONE)
        MU_TEST_CHECK(&w->run, !same);
    if (outcome->result == MU_BIND_REFUSED && same)
        MU_TEST_CHECK(&w->run, p->node == 0 || p->plan != r->plan);
    if (outcome->result == MU_BIND_BOUND && same) /* else deleted since */
        MU_TEST_CHECK(&w->run, p->node == r->node && p->plan == r->plan);
}

/* --- the server ---------------------------------------------------------------------------- */

static struct answer *answer_add(struct world *w, uint64_t token, uint64_t arrives_ns)
{
    MU_TEST_CHECK(&w->run, w->answer_count < WIRE);
    struct answer *a = &w->answers[w->answer_count++];
    *a = (struct answer){.token = token, .arrives_ns = arrives_ns};
    return a;
}

static void put_pod(const struct pod *p, struct mu_buf *body)
{
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *entries[1] = {&entry};
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__Time time = KUBE__TIME__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_buf raw = {0};
    char text[4][24];
    (void)snprintf(text[0], 24, "u%u", p->uid);
    (void)snprintf(text[1], 24, "%llu", (unsigned long long)p->version);
    (void)snprintf(text[2], 24, "n%u", p->node);
    (void)snprintf(text[3], 24, "plan%u", p->plan);
    entry.key = FIXTURE_TEXT(MU_PLAN_ANNOTATION);
    entry.value = text[3];
    meta.uid = text[0];
    meta.resourceversion = text[1];
    meta.n_annotations = p->plan != 0;
    meta.annotations = entries;
    meta.deletiontimestamp = p->terminating ? &time : NULL;
    spec.nodename = p->node != 0 ? text[2] : NULL;
    pod.metadata = &meta;
    pod.spec = &spec;
    fixture_pack(&raw, &pod);
    assert_int_equal(mu_envelope_wrap(body, MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

/* The binding rules of the API server. Returns the HTTP status. */
static int serve_bind(struct world *w, const struct packet *k)
{
    struct pod *p = &w->pods[k->pod];
    if (!p->exists)
        return 404;
    if (p->uid != k->uid || p->version != k->version || p->node != 0 || p->terminating)
        return 409;
    /* A write lands: it must not be one that was reported refused. */
    for (uint32_t i = 0; i < w->record_count; i++) {
        const struct record *r = &w->records[i];
        if (r->pod != k->pod || r->uid != k->uid || r->plan != k->plan)
            continue;
        MU_TEST_CHECK(&w->run, !r->settled || r->result == MU_BIND_BOUND);
        MU_TEST_CHECK(&w->run, r->version == k->version && r->node == k->node);
    }
    w->before[k->pod] = *p;
    p->node = k->node;
    p->plan = k->plan;
    p->version = ++w->version;
    return 201;
}

static void serve(struct world *w, const struct packet *k)
{
    int status;
    struct mu_buf body = {0};
    bool before = !w->healed && chance(w, 60); /* fails before it acts, or after */
    bool after = !w->healed && chance(w, 60);
    bool lags = !w->healed && w->before[k->pod].exists && chance(w, 200);
    if (before)
        status = chance(w, 500) ? 429 : 503;
    else if (k->get)
        status = w->pods[k->pod].exists ? 200 : 404;
    else
        status = serve_bind(w, k);
    if (after)
        status = 500;
    if (status == 200)
        put_pod(lags ? &w->before[k->pod] : &w->pods[k->pod], &body);
    else if (status == 429)
        assert_int_equal(mu_buf_append_text(&body, "too many requests"), 0);
    else
        fixture_status(&body, status, status == 404 ? "NotFound" : "Conflict", NULL, 0);
    if (k->reply_ns == 0) {
        mu_buf_fini(&body);
        return;
    }
    struct answer *a = answer_add(w, k->token, k->reply_ns > w->now_ns ? k->reply_ns : w->now_ns);
    a->status = status;
    a->body = body;
}

/* Others change the pods, and the watch may show it. */
static void meddle(struct world *w)
{
    uint32_t ix = (uint32_t)below(w, PODS);
    struct pod *p = &w->pods[ix];
    uint64_t what = below(w, 10);
    w->before[ix] = *p;
    if (!p->exists) {
        *p = (struct pod){.exists = true, .uid = p->uid + 1, .version = ++w->version};
    } else if (what < 3 && p->node == 0) { /* a status patch */
        p->version = ++w->version;
    } else if (what < 4 && p->node == 0) { /* another scheduler */
        p->node = 1 + (uint32_t)below(w, NODES);
        p->plan = 0;
        p->version = ++w->version;
    } else if (what < 5) {
        p->terminating = true;
        p->version = ++w->version;
    } else if (p->terminating || p->node != 0 || what < 6) {
        p->exists = false;
        p->version = ++w->version;
    }
}

/* --- the network --------------------------------------------------------------------------- */

static uint32_t number_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    assert_non_null(at);
    return (uint32_t)strtoul(at + strlen(key), NULL, 10);
}

static void read_request(struct world *w, const struct mu_request *request, struct packet *k)
{
    char path[128];
    struct mu_envelope envelope;
    (void)snprintf(path, sizeof path, "%.*s", (int)request->path.len,
                   (const char *)request->path.data);
    *k = (struct packet){.token = request->token, .get = request->method == MU_GET};
    k->pod = number_after(path, "/pods/p");
    MU_TEST_CHECK(&w->run, k->pod < PODS);
    if (k->get)
        return;
    assert_int_equal(mu_envelope_open(fixture_str(&request->body), &envelope, NULL), 0);
    Kube__Binding *b =
        kube__binding__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(b);
    k->uid = number_after(b->metadata->uid, "u");
    k->version = strtoull(b->metadata->resourceversion, NULL, 10);
    k->node = number_after(b->target->name, "n");
    k->plan = number_after(b->metadata->annotations[0]->value, "plan");
    kube__binding__free_unpacked(b, NULL);
}

static uint64_t soon(struct world *w)
{
    return w->now_ns + (1 + below(w, 20)) * MU_NS_PER_MS;
}

static void packet_add(struct world *w, struct packet k, uint64_t arrives_ns)
{
    MU_TEST_CHECK(&w->run, w->packet_count < WIRE);
    k.arrives_ns = arrives_ns;
    w->packets[w->packet_count++] = k;
}

/* Put what the binder wants to send on the wire, or into the void. */
static void transmit(struct world *w)
{
    struct mu_request *request;
    while ((request = mu_outbox_take(&w->box)) != NULL) {
        struct packet k;
        read_request(w, request, &k);
        uint64_t timeout_ns = w->now_ns + request->timeout_ns;
        uint64_t arrives_ns = soon(w);
        uint64_t fate = w->healed ? 999 : below(w, 1000);
        k.reply_ns = arrives_ns + MU_NS_PER_MS;
        if (fate < 80) { /* lost */
            answer_add(w, k.token, timeout_ns)->lost = true;
            continue;
        }
        if (fate < 160) { /* arrives, its reply does not */
            k.reply_ns = 0;
            answer_add(w, k.token, timeout_ns)->lost = true;
        } else if (fate < 240) { /* arrives long after the client gave up */
            k.reply_ns = 0;
            arrives_ns = timeout_ns + below(w, 120 * MU_NS_PER_S);
            answer_add(w, k.token, timeout_ns)->lost = true;
        } else if (fate < 300) { /* twice: once now, once late */
            struct packet copy = k;
            copy.reply_ns = 0;
            packet_add(w, copy, w->now_ns + below(w, 200 * MU_NS_PER_S));
        }
        packet_add(w, k, arrives_ns);
    }
}

static void deliver(struct world *w, struct answer a)
{
    struct mu_reply reply = {.token = a.token, .kind = MU_REPLY_LOST, .error = MU_ETIMEOUT};
    if (!a.lost) {
        reply.kind = MU_REPLY_HEAD;
        reply.status = a.status;
        reply.retry_after_s = a.status == 429 ? (uint32_t)below(w, 3) : 0;
        MU_TEST_CHECK(&w->run, mu_binder_reply(w->binder, &reply, w->now_ns, &w->box));
        reply.kind = MU_REPLY_DATA;
        reply.data = fixture_str(&a.body);
        MU_TEST_CHECK(&w->run, mu_binder_reply(w->binder, &reply, w->now_ns, &w->box));
        reply.kind = MU_REPLY_END;
    }
    MU_TEST_CHECK(&w->run, mu_binder_reply(w->binder, &reply, w->now_ns, &w->box));
    mu_buf_fini(&a.body);
}

/* --- the run ------------------------------------------------------------------------------- */

static void submit(struct world *w)
{
    struct mu_bind binds[4];
    char text[4][3][24];
    char plan[24];
    uint32_t count = 0;
    uint32_t want = 1 + (uint32_t)below(w, 4);
    uint32_t start = (uint32_t)below(w, PODS);
    uint32_t plan_number = ++w->plans;
    (void)snprintf(plan, sizeof plan, "plan%u", plan_number);
    for (uint32_t i = 0; i < PODS && count < want; i++) {
        uint32_t ix = (start + i) % PODS;
        const struct pod *p = &w->pods[ix];
        if (!p->exists || p->node != 0 || p->terminating || w->ours[ix] != 0)
            continue;
        if (w->record_count == BINDS)
            break;
        uint32_t id = ++w->record_count;
        uint32_t node = 1 + (uint32_t)below(w, NODES);
        w->records[id - 1] = (struct record){
            .pod = ix, .uid = p->uid, .node = node, .plan = plan_number, .version = p->version};
        w->ours[ix] = id;
        (void)snprintf(text[count][0], 24, "p%u", ix);
        (void)snprintf(text[count][1], 24, "u%u", p->uid);
        (void)snprintf(text[count][2], 24, "n%u", node);
        binds[count] = (struct mu_bind){.id = id,
                                        .ns = MU_STR("ns"),
                                        .name = mu_str_of(text[count][0]),
                                        .uid = mu_str_of(text[count][1]),
                                        .node = mu_str_of(text[count][2]),
                                        .version = p->version};
        count++;
    }
    if (count == 0)
        return;
    const struct mu_bind_group group = {
        .plan = mu_str_of(plan), .claim = chance(w, 700), .count = count, .binds = binds};
    assert_int_equal(mu_binder_submit(w->binder, &group, w->now_ns, &w->box), 0);
}

/* The watch shows the present state of a pod with an open bind. */
static void show(struct world *w, uint32_t ix)
{
    uint32_t id = w->ours[ix];
    if (id == 0)
        return;
    const struct record *r = &w->records[id - 1];
    const struct pod *p = &w->pods[ix];
    bool gone = !p->exists || p->uid != r->uid;
    bool planned = !gone && p->node == r->node && p->plan == r->plan;
    bool elsewhere = !gone && p->node != 0 && !planned;
    mu_binder_observe(w->binder, id, p->version, planned, elsewhere, gone, w->now_ns, &w->box);
}

/* Everything that is due by now, in order of time. */
static void pass_time(struct world *w, uint64_t to_ns)
{
    for (;;) {
        uint64_t next_ns = to_ns;
        int what = 0;
        uint32_t which = 0;
        for (uint32_t i = 0; i < w->packet_count; i++) {
            if (w->packets[i].arrives_ns < next_ns) {
                next_ns = w->packets[i].arrives_ns;
                what = 1;
                which = i;
            }
        }
        for (uint32_t i = 0; i < w->answer_count; i++) {
            if (w->answers[i].arrives_ns < next_ns) {
                next_ns = w->answers[i].arrives_ns;
                what = 2;
                which = i;
            }
        }
        uint64_t tick_ns = mu_binder_next_ns(w->binder);
        if (tick_ns < next_ns) {
            next_ns = tick_ns;
            what = 3;
        }
        w->now_ns = next_ns > w->now_ns ? next_ns : w->now_ns;
        if (what == 0)
            return;
        if (what == 1) {
            struct packet k = w->packets[which];
            w->packets[which] = w->packets[--w->packet_count];
            serve(w, &k);
        } else if (what == 2) {
            struct answer a = w->answers[which];
            w->answers[which] = w->answers[--w->answer_count];
            deliver(w, a);
        } else {
            mu_binder_tick(w->binder, w->now_ns, &w->box);
        }
        transmit(w);
    }
}

static uint32_t unsettled(const struct world *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->record_count; i++)
        count += !w->records[i].settled;
    return count;
}

static void run_world(uint64_t seed, uint32_t steps, uint32_t results[3])
{
    struct world *w = mu_mem_zalloc(sizeof *w);
    assert_non_null(w);
    w->run = mu_test_run_begin(seed);
    w->now_ns = MU_NS_PER_S;
    const struct mu_binder_config config = {.in_flight_max = 1 + (uint32_t)below(w, 8),
                                            .token_base = UINT64_C(1) << 48,
                                            .outcome = on_outcome,
                                            .context = w};
    w->binder = mu_binder_create(&config, &w->run.random);
    for (; w->run.step < steps; w->run.step++) {
        uint64_t what = below(w, 10);
        if (what < 4)
            meddle(w);
        else if (what < 7)
            submit(w);
        else if (what < 8)
            show(w, (uint32_t)below(w, PODS));
        transmit(w);
        pass_time(w, w->now_ns + below(w, chance(w, 50) ? 40 * MU_NS_PER_S : 30 * MU_NS_PER_MS));
    }
    w->healed = true;
    for (int i = 0; i < 40 && (unsettled(w) > 0 || w->packet_count > 0); i++)
        pass_time(w, w->now_ns + 20 * MU_NS_PER_S);
    MU_TEST_CHECK(&w->run, unsettled(w) == 0);
    struct mu_binder_stats stats;
    mu_binder_stats(w->binder, &stats);
    MU_TEST_CHECK(&w->run, stats.queued == 0);
    MU_TEST_CHECK(&w->run, stats.bound + stats.refused + stats.gone == w->record_count);
    for (int i = 0; i < 3; i++)
        results[i] += w->results[i];
    for (uint32_t i = 0; i < w->answer_count; i++)
        mu_buf_fini(&w->answers[i].body);
    mu_binder_destroy(w->binder);
    mu_outbox_fini(&w->box);
    mu_mem_free(w);
}

static void test_binder_model__hostile_network__every_outcome_is_true(void **state)
{
    (void)state;
    uint32_t results[3] = {0, 0, 0};
    uint64_t seeds = getenv("MUSTER_SEED") != NULL ? 1 : 300;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run_world(seed, 1500, results);
    /* All three ends must have been reached often, or the run proves little. */
    for (int i = 0; i < 3 && seeds > 1; i++)
        assert_true(results[i] > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binder_model__hostile_network__every_outcome_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
