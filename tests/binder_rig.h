#ifndef MU_TESTS_BINDER_RIG_H
#define MU_TESTS_BINDER_RIG_H
/* A binder with the wire in the test's hands, and what it reported. */
#include "engine/base/clock.h"
#include "informer/binder.h"
#include "tests/kube_fixture.h"

#define RIG_TOKEN_BASE (UINT64_C(3) << 56)
enum { RIG_OUTCOMES = 64 };

struct rig_request {
    uint64_t token;
    enum mu_method method;
    char path[256];
    uint8_t body[512];
    size_t body_len;
};
struct binder_rig {
    struct mu_random random;
    struct mu_binder *binder;
    struct mu_outbox box;
    uint64_t now_ns;
    struct mu_bind_outcome outcomes[RIG_OUTCOMES];
    uint32_t outcome_count;
    uint32_t checked; /* outcomes that a test has looked at */
};

static inline void rig_outcome(void *context, const struct mu_bind_outcome *outcome)
{
    struct binder_rig *rig = context;
    assert_true(rig->outcome_count < RIG_OUTCOMES);
    rig->outcomes[rig->outcome_count++] = *outcome;
}

static inline struct binder_rig *rig_create(uint32_t in_flight_max)
{
    struct binder_rig *rig = mu_mem_zalloc(sizeof *rig);
    assert_non_null(rig);
    rig->now_ns = 5000 * MU_NS_PER_S;
    mu_random_init_seed(&rig->random, 11);
    const struct mu_binder_config config = {.in_flight_max = in_flight_max,
                                            .token_base = RIG_TOKEN_BASE,
                                            .outcome = rig_outcome,
                                            .context = rig};
    rig->binder = mu_binder_create(&config, &rig->random);
    assert_non_null(rig->binder);
    return rig;
}

static inline void rig_destroy(struct binder_rig *rig)
{
    assert_int_equal(rig->checked, rig->outcome_count); /* no outcome nobody expected */
    mu_binder_destroy(rig->binder);
    mu_outbox_fini(&rig->box);
    mu_mem_free(rig);
}

/* Pods p<first>.. with ids and uids of that number, at version 100, each to node n<number>. */
static inline int rig_submit(struct binder_rig *rig, uint64_t first, uint32_t count, bool claim)
{
    struct mu_bind binds[16];
    char text[16][3][24];
    assert_true(count <= 16);
    for (uint32_t i = 0; i < count; i++) {
        unsigned long long number = first + i;
        (void)snprintf(text[i][0], sizeof text[i][0], "p%llu", number);
        (void)snprintf(text[i][1], sizeof text[i][1], "u%llu", number);
        (void)snprintf(text[i][2], sizeof text[i][2], "n%llu", number);
        binds[i] = (struct mu_bind){.id = first + i,
                                    .ns = MU_STR("ns"),
                                    .name = mu_str_of(text[i][0]),
                                    .uid = mu_str_of(text[i][1]),
                                    .node = mu_str_of(text[i][2]),
                                    .version = 100};
    }
    const struct mu_bind_group group = {
        .plan = MU_STR("plan-1"), .claim = claim, .count = count, .binds = binds};
    return mu_binder_submit(rig->binder, &group, rig->now_ns, &rig->box);
}

static inline struct rig_request rig_take(struct binder_rig *rig)
{
    struct rig_request copy = {.token = 0};
    struct mu_request *request = mu_outbox_take(&rig->box);
    assert_non_null(request);
    assert_false(request->stream || request->cancel);
    assert_true(request->timeout_ns == 30 * MU_NS_PER_S);
    assert_true(request->path.len < sizeof copy.path && request->body.len <= sizeof copy.body);
    copy.token = request->token;
    copy.method = request->method;
    memcpy(copy.path, request->path.data, request->path.len);
    if (request->body.len > 0)
        memcpy(copy.body, request->body.data, request->body.len);
    copy.body_len = request->body.len;
    return copy;
}

static inline struct rig_request rig_take_post(struct binder_rig *rig, uint64_t number)
{
    char path[64];
    struct rig_request request = rig_take(rig);
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/ns/pods/p%llu/binding",
                   (unsigned long long)number);
    assert_int_equal(request.method, MU_POST);
    assert_string_equal(request.path, path);
    return request;
}

static inline struct rig_request rig_take_get(struct binder_rig *rig, uint64_t number)
{
    char path[64];
    struct rig_request request = rig_take(rig);
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/ns/pods/p%llu",
                   (unsigned long long)number);
    assert_int_equal(request.method, MU_GET);
    assert_string_equal(request.path, path); /* without a version: a consistent read */
    assert_int_equal(request.body_len, 0);
    return request;
}

static inline void assert_quiet(const struct binder_rig *rig)
{
    assert_true(mu_outbox_empty(&rig->box));
}

static inline void rig_reply(struct binder_rig *rig, uint64_t token, enum mu_reply_kind kind,
                             int status, uint32_t retry_after_s, struct mu_str data)
{
    const struct mu_reply reply = {.token = token,
                                   .kind = kind,
                                   .status = status,
                                   .media = MU_MEDIA_PROTOBUF,
                                   .retry_after_s = retry_after_s,
                                   .data = data,
                                   .error = kind == MU_REPLY_LOST ? MU_ETIMEOUT : 0};
    assert_true(mu_binder_reply(rig->binder, &reply, rig->now_ns, &rig->box));
}

static inline void rig_answer(struct binder_rig *rig, uint64_t token, int status,
                              uint32_t retry_after_s, struct mu_str body)
{
    const struct mu_str none = {NULL, 0};
    rig_reply(rig, token, MU_REPLY_HEAD, status, retry_after_s, none);
    if (body.len > 0)
        rig_reply(rig, token, MU_REPLY_DATA, 0, 0, body);
    rig_reply(rig, token, MU_REPLY_END, 0, 0, none);
}

/* HTTP status with a Status of the same code in its body. */
static inline void rig_status(struct binder_rig *rig, uint64_t token, int status,
                              const char *reason)
{
    struct mu_buf body = {0};
    fixture_status(&body, status, reason, NULL, 0);
    rig_answer(rig, token, status, 0, fixture_str(&body));
    mu_buf_fini(&body);
}

static inline void rig_lost(struct binder_rig *rig, uint64_t token)
{
    rig_reply(rig, token, MU_REPLY_LOST, 0, 0, (struct mu_str){NULL, 0});
}

struct rig_pod {
    const char *uid, *node, *plan;
    uint64_t version;
    bool terminating;
};

static inline void rig_put_pod(struct mu_buf *body, const struct rig_pod *p)
{
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *entries[1] = {&entry};
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__Time time = KUBE__TIME__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_buf raw = {0};
    char version[24];
    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)p->version);
    entry.key = FIXTURE_TEXT(MU_PLAN_ANNOTATION);
    entry.value = FIXTURE_TEXT(p->plan);
    meta.n_annotations = p->plan != NULL;
    meta.annotations = entries;
    meta.uid = FIXTURE_TEXT(p->uid);
    meta.resourceversion = version;
    meta.deletiontimestamp = p->terminating ? &time : NULL;
    spec.nodename = FIXTURE_TEXT(p->node);
    pod.metadata = &meta;
    pod.spec = &spec;
    fixture_pack(&raw, &pod);
    assert_int_equal(mu_envelope_wrap(body, MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

static inline void rig_pod(struct binder_rig *rig, uint64_t token, struct rig_pod pod)
{
    struct mu_buf body = {0};
    rig_put_pod(&body, &pod);
    rig_answer(rig, token, 200, 0, fixture_str(&body));
    mu_buf_fini(&body);
}

static inline void assert_outcome(struct binder_rig *rig, uint64_t id, enum mu_bind_result result)
{
    assert_true(rig->checked < rig->outcome_count);
    const struct mu_bind_outcome *outcome = &rig->outcomes[rig->checked++];
    assert_int_equal(outcome->id, id);
    assert_int_equal(outcome->result, result);
}

static inline struct mu_binder_stats rig_stats(const struct binder_rig *rig)
{
    struct mu_binder_stats stats;
    mu_binder_stats(rig->binder, &stats);
    return stats;
}

/* Nothing to send now: go to the binder's next time. Returns how long that was. */
static inline uint64_t rig_wait(struct binder_rig *rig)
{
    assert_quiet(rig);
    uint64_t start_ns = rig->now_ns;
    for (int ticks = 0; mu_outbox_empty(&rig->box); ticks++) {
        uint64_t due_ns = mu_binder_next_ns(rig->binder);
        assert_true(due_ns != UINT64_MAX && ticks < 100);
        assert_true(due_ns > rig->now_ns);
        rig->now_ns = due_ns - 1;
        mu_binder_tick(rig->binder, rig->now_ns, &rig->box);
        assert_quiet(rig); /* not a nanosecond early */
        rig->now_ns = due_ns;
        mu_binder_tick(rig->binder, rig->now_ns, &rig->box);
    }
    return rig->now_ns - start_ns;
}

#endif
