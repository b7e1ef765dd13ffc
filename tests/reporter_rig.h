#ifndef MU_TESTS_REPORTER_RIG_H
#define MU_TESTS_REPORTER_RIG_H
/* A reporter with pods and the wire in the test's hands. */
#include "tests/mu_test.h"

#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "informer/proto/events.pb-c.h"
#include "informer/reporter.h"

#define RIG_TOKEN_BASE (UINT64_C(4) << 56)
#define RIG_WALL_NS    (UINT64_C(1767225600) * MU_NS_PER_S) /* 2026-01-01T00:00:00Z */
enum { RIG_PODS = 600 };

struct rig_pod {
    char name[260];
    uint64_t version, report;
    bool gone; /* or bound, or about to be: not ours to write */
    uint32_t written;
};
struct rig {
    struct mu_random random;
    struct mu_reporter *reporter;
    struct mu_outbox box;
    uint64_t now_ns;
    struct rig_pod pods[RIG_PODS];
};
struct rig_request {
    uint64_t token;
    enum mu_method method;
    enum mu_media content;
    char path[1024];
    char body[8192];
    size_t body_len;
};

static inline struct mu_uid rig_uid(uint32_t i)
{
    return (struct mu_uid){UINT64_C(0xabcd000000000000), i};
}

static inline bool rig_subject(void *context, struct mu_uid uid, struct mu_report_subject *out)
{
    struct rig *rig = context;
    struct rig_pod *pod = &rig->pods[uid.lo];
    if (pod->gone)
        return false;
    out->ns = MU_STR("default");
    out->name = mu_str_of(pod->name);
    out->version = pod->version;
    out->report = pod->report;
    (void)snprintf(out->uid, sizeof out->uid, "uid-%u", (unsigned)uid.lo);
    return true;
}

static inline void rig_written(void *context, struct mu_uid uid, uint64_t digest)
{
    struct rig *rig = context;
    rig->pods[uid.lo].report = digest;
    rig->pods[uid.lo].written++;
}

static inline struct rig *rig_create(uint32_t rate, uint32_t burst, uint32_t in_flight)
{
    struct rig *rig = mu_mem_zalloc(sizeof *rig);
    assert_non_null(rig);
    rig->now_ns = 5000 * MU_NS_PER_S;
    mu_random_init_seed(&rig->random, 11);
    const struct mu_reporter_config config = {.controller = MU_STR("muster"),
                                              .instance = MU_STR("musterd-host"),
                                              .rate = rate,
                                              .burst = burst,
                                              .in_flight_max = in_flight,
                                              .token_base = RIG_TOKEN_BASE,
                                              .subject = rig_subject,
                                              .written = rig_written,
                                              .context = rig};
    rig->reporter = mu_reporter_create(&config, &rig->random);
    assert_non_null(rig->reporter);
    mu_reporter_set_wall(rig->reporter, RIG_WALL_NS - rig->now_ns);
    for (uint32_t i = 0; i < RIG_PODS; i++) {
        (void)snprintf(rig->pods[i].name, sizeof rig->pods[i].name, "p%u", i);
        rig->pods[i].version = 100;
    }
    return rig;
}

static inline void rig_destroy(struct rig *rig)
{
    mu_reporter_destroy(rig->reporter);
    mu_outbox_fini(&rig->box);
    mu_mem_free(rig);
}

static inline struct mu_reporter_stats rig_stats(const struct rig *rig)
{
    struct mu_reporter_stats stats;
    mu_reporter_stats(rig->reporter, &stats);
    return stats;
}

static inline int rig_pending(struct rig *rig, uint32_t i, const char *message)
{
    struct mu_report_text *text =
        mu_report_text_create(MU_REPORT_UNSCHEDULABLE, mu_str_of(message));
    if (text == NULL)
        return MU_ENOMEM;
    int rc = mu_reporter_pending(rig->reporter, rig_uid(i), text, rig->now_ns);
    mu_report_text_unref(text);
    return rc;
}

static inline void rig_bound(struct rig *rig, uint32_t i, const char *node)
{
    const struct mu_report_bound bound = {.ns = MU_STR("default"),
                                          .name = mu_str_of(rig->pods[i].name),
                                          .uid = MU_STR("uid-x"),
                                          .node = mu_str_of(node)};
    mu_reporter_bound(rig->reporter, &bound, rig->now_ns);
}

static inline void rig_tick(struct rig *rig)
{
    mu_reporter_tick(rig->reporter, rig->now_ns, &rig->box);
}

/* Let time pass, a due moment at a time, without answering anything. */
static inline void rig_pass(struct rig *rig, uint64_t ns)
{
    uint64_t end_ns = rig->now_ns + ns;
    for (uint32_t turns = 0; turns < 100000; turns++) {
        uint64_t next_ns = mu_reporter_next_ns(rig->reporter);
        if (next_ns > end_ns)
            break;
        rig->now_ns = next_ns > rig->now_ns ? next_ns : rig->now_ns;
        rig_tick(rig);
        assert_true(turns < 99999); /* something is due for ever */
    }
    rig->now_ns = end_ns;
}

static inline bool rig_take(struct rig *rig, struct rig_request *copy)
{
    struct mu_request *request = mu_outbox_take(&rig->box);
    *copy = (struct rig_request){.token = 0};
    if (request == NULL)
        return false;
    assert_false(request->stream || request->cancel);
    assert_true(request->timeout_ns == 30 * MU_NS_PER_S);
    assert_true(request->path.len < sizeof copy->path && request->body.len < sizeof copy->body);
    copy->token = request->token;
    copy->method = request->method;
    copy->content = request->content;
    memcpy(copy->path, request->path.data, request->path.len);
    if (request->body.len > 0)
        memcpy(copy->body, request->body.data, request->body.len);
    copy->body_len = request->body.len;
    return true;
}

static inline void rig_reply(struct rig *rig, uint64_t token, enum mu_reply_kind kind, int status,
                             uint32_t retry_after_s)
{
    const struct mu_reply reply = {.token = token,
                                   .kind = kind,
                                   .status = status,
                                   .retry_after_s = retry_after_s,
                                   .error = kind == MU_REPLY_LOST ? MU_ETIMEOUT : 0};
    assert_true(mu_reporter_reply(rig->reporter, &reply, rig->now_ns, &rig->box));
}

static inline void rig_answer(struct rig *rig, uint64_t token, int status, uint32_t retry_after_s)
{
    rig_reply(rig, token, MU_REPLY_HEAD, status, retry_after_s);
    rig_reply(rig, token, MU_REPLY_END, 0, 0);
}

/* The next request is this one; answer it. */
static inline void rig_expect(struct rig *rig, enum mu_method method, const char *path, int status)
{
    struct rig_request request;
    assert_true(rig_take(rig, &request));
    assert_int_equal(request.method, method);
    assert_string_equal(request.path, path);
    if (status > 0)
        rig_answer(rig, request.token, status, 0);
    else
        rig_reply(rig, request.token, MU_REPLY_LOST, 0, 0);
}

static inline void assert_quiet(struct rig *rig)
{
    struct rig_request request;
    assert_false(rig_take(rig, &request));
}

/* The event in a request's body; free with kube__event__free_unpacked. */
static inline Kube__Event *rig_event(const struct rig_request *request)
{
    struct mu_envelope envelope;
    struct mu_str body = {request->body, (uint32_t)request->body_len};
    assert_int_equal(mu_envelope_open(body, &envelope, NULL), 0);
    assert_true(mu_str_equal(envelope.api_version, MU_STR("events.k8s.io/v1")));
    assert_true(mu_str_equal(envelope.kind, MU_STR("Event")));
    Kube__Event *event =
        kube__event__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(event);
    return event;
}

#endif
