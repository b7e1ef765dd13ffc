#ifndef MU_TESTS_REFLECTOR_RIG_H
#define MU_TESTS_REFLECTOR_RIG_H
#include "informer/reflector.h"
#include "engine/base/clock.h"
#include "informer/codec_json.h"
#include "tests/kube_fixture.h"

#define TOKEN_BASE (UINT64_C(7) << 32)

/* --- the rig: a reflector, a sink that remembers, and the wire by hand --------------------- */

struct object {
    char name[16];
    uint64_t version;
    bool marked;
};
struct rig {
    struct mu_random random;
    struct mu_reflector *reflector;
    struct mu_outbox box;
    uint64_t now_ns;
    /* the request taken last */
    uint64_t token;
    uint64_t timeout_ns;
    bool stream, cancel;
    char path[512];
    bool json;
    /* the sink */
    struct object objects[16];
    uint32_t count;
    uint32_t relists, sweeps, sweep_steps;
    int fail; /* returned by upsert and remove */
};

static inline struct object *rig_find(struct rig *rig, const char *name)
{
    for (uint32_t i = 0; i < rig->count; i++) {
        if (strcmp(rig->objects[i].name, name) == 0)
            return &rig->objects[i];
    }
    return NULL;
}

static inline void name_of(const struct rig *rig, struct mu_str raw, char name[16])
{
    struct mu_object_meta meta;
    assert_int_equal(
        rig->json ? mu_json_meta_decode(raw, &meta, NULL) : mu_meta_decode(raw, &meta, NULL), 0);
    (void)snprintf(name, 16, "%.*s", MU_STR_ARGS(meta.name));
}

static inline int sink_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct rig *rig = context;
    char name[16];
    if (rig->fail != 0)
        return rig->fail;
    assert_int_equal(now_ns, rig->now_ns);
    name_of(rig, raw, name);
    struct object *object = rig_find(rig, name);
    if (object == NULL) {
        assert_true(rig->count < 16);
        object = &rig->objects[rig->count++];
        memcpy(object->name, name, sizeof name);
    }
    object->version = version;
    object->marked = false;
    return 0;
}

static inline int sink_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct rig *rig = context;
    char name[16];
    (void)version;
    (void)now_ns;
    if (rig->fail != 0)
        return rig->fail;
    name_of(rig, raw, name);
    struct object *object = rig_find(rig, name);
    if (object != NULL)
        *object = rig->objects[--rig->count];
    return 0;
}

static inline void sink_begin(void *context)
{
    struct rig *rig = context;
    rig->relists++;
    for (uint32_t i = 0; i < rig->count; i++)
        rig->objects[i].marked = true;
}

/* One object a call, so that sweeping takes several. */
static inline int sink_sweep(void *context, uint64_t now_ns)
{
    struct rig *rig = context;
    (void)now_ns;
    rig->sweep_steps++;
    for (uint32_t i = 0; i < rig->count; i++) {
        if (rig->objects[i].marked) {
            rig->objects[i] = rig->objects[--rig->count];
            return 1;
        }
    }
    rig->sweeps++;
    return 0;
}

static inline struct rig *rig_create_with(bool first_consistent)
{
    struct rig *rig = mu_mem_zalloc(sizeof *rig);
    assert_non_null(rig);
    rig->now_ns = 1000 * MU_NS_PER_S;
    mu_random_init_seed(&rig->random, 42);
    const struct mu_reflector_config config = {
        .name = MU_STR("pods"),
        .path = MU_STR("/api/v1/pods"),
        .field_selector = MU_STR("status.phase!=Failed"),
        .page_limit = 2,
        .token_base = TOKEN_BASE,
        .first_consistent = first_consistent,
    };
    const struct mu_reflector_sink sink = {.context = rig,
                                           .upsert = sink_upsert,
                                           .remove = sink_remove,
                                           .relist_begin = sink_begin,
                                           .relist_sweep = sink_sweep};
    rig->reflector = mu_reflector_create(&config, &sink, &rig->random);
    assert_non_null(rig->reflector);
    assert_true(mu_reflector_next_ns(rig->reflector) == UINT64_MAX);
    return rig;
}

static inline struct rig *rig_create(void)
{
    return rig_create_with(false);
}

static inline void rig_destroy(struct rig *rig)
{
    mu_reflector_destroy(rig->reflector);
    mu_outbox_fini(&rig->box);
    mu_mem_free(rig);
}

/* Take the next request; there must be one. */
static inline void rig_take(struct rig *rig)
{
    struct mu_request *request = mu_outbox_take(&rig->box);
    assert_non_null(request);
    assert_true(request->token - TOKEN_BASE < UINT64_C(1) << 32);
    rig->token = request->token;
    rig->stream = request->stream;
    rig->cancel = request->cancel;
    rig->timeout_ns = request->timeout_ns;
    assert_int_equal(request->method, MU_GET);
    (void)snprintf(rig->path, sizeof rig->path, "%.*s", (int)request->path.len,
                   request->path.len > 0 ? (const char *)request->path.data : "");
}

static inline void assert_quiet(struct rig *rig)
{
    assert_true(mu_outbox_empty(&rig->box));
}

static inline void rig_reply(struct rig *rig, enum mu_reply_kind kind, int status,
                             struct mu_str data)
{
    const struct mu_reply reply = {.token = rig->token,
                                   .kind = kind,
                                   .status = status,
                                   .media = MU_MEDIA_PROTOBUF,
                                   .data = data,
                                   .error = kind == MU_REPLY_LOST ? MU_ECLOSED : 0};
    assert_true(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
}

static inline void rig_head(struct rig *rig, int status)
{
    rig_reply(rig, MU_REPLY_HEAD, status, (struct mu_str){NULL, 0});
}

static inline void rig_end(struct rig *rig)
{
    rig_reply(rig, MU_REPLY_END, 0, (struct mu_str){NULL, 0});
}

static inline void rig_lost(struct rig *rig)
{
    rig_reply(rig, MU_REPLY_LOST, 0, (struct mu_str){NULL, 0});
}

static inline void rig_body(struct rig *rig, int status, struct mu_buf *body)
{
    struct mu_str all = fixture_str(body);
    struct mu_str half = {all.data, all.len / 2};
    struct mu_str rest = {all.data + half.len, all.len - half.len};
    rig_head(rig, status);
    rig_reply(rig, MU_REPLY_DATA, 0, half);
    rig_reply(rig, MU_REPLY_DATA, 0, rest);
    rig_end(rig);
    mu_buf_fini(body);
}

static inline void rig_status(struct rig *rig, int status, const char *reason, const char *cause)
{
    struct mu_buf body = {0};
    fixture_status(&body, status, reason, cause, 0);
    rig_body(rig, status, &body);
}

/* Answer with a page. names: "a@5 b@6", in the order given. */
static inline void rig_page(struct rig *rig, uint64_t version, const char *next, const char *names)
{
    struct mu_buf raw = {0};
    struct mu_buf body = {0};
    char text[24];
    Kube__ListMeta meta = KUBE__LIST_META__INIT;
    Kube__PodList list = KUBE__POD_LIST__INIT;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    meta.resourceversion = text;
    meta.continue_ = FIXTURE_TEXT(next);
    list.metadata = &meta;
    fixture_pack(&raw, &list);
    char name[16];
    unsigned long long v;
    int used;
    while (sscanf(names, " %15[^@]@%llu%n", name, &v, &used) == 2) {
        struct mu_buf item = {0};
        fixture_object(&item, name, v);
        const uint8_t head[] = {0x12, (uint8_t)item.len};
        assert_true(item.len < 128);
        assert_int_equal(mu_buf_append(&raw, head, 2), 0);
        assert_int_equal(mu_buf_append(&raw, item.data, item.len), 0);
        mu_buf_fini(&item);
        names += used;
    }
    assert_int_equal(mu_envelope_wrap(&body, MU_STR("v1"), MU_STR("PodList"), fixture_str(&raw)),
                     0);
    mu_buf_fini(&raw);
    rig_body(rig, 200, &body);
}

static inline void put_event(struct mu_buf *out, enum mu_watch_type type, const char *name,
                             uint64_t v)
{
    struct mu_buf raw = {0};
    fixture_object(&raw, name, v);
    assert_int_equal(
        mu_watch_frame_write(out, type, MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

static inline void rig_event(struct rig *rig, enum mu_watch_type type, const char *name, uint64_t v)
{
    struct mu_buf frame = {0};
    put_event(&frame, type, name, v);
    rig_reply(rig, MU_REPLY_DATA, 0, fixture_str(&frame));
    mu_buf_fini(&frame);
}

static inline void rig_error_event_cause(struct rig *rig, int code, const char *reason,
                                         const char *cause)
{
    struct mu_buf body = {0};
    struct mu_buf frame = {0};
    struct mu_envelope envelope;
    fixture_status(&body, code, reason, cause, 0);
    assert_int_equal(mu_envelope_open(fixture_str(&body), &envelope, NULL), 0);
    assert_int_equal(
        mu_watch_frame_write(&frame, MU_WATCH_ERROR, MU_STR("v1"), MU_STR("Status"), envelope.raw),
        0);
    rig_reply(rig, MU_REPLY_DATA, 0, fixture_str(&frame));
    mu_buf_fini(&body);
    mu_buf_fini(&frame);
}

static inline void rig_error_event(struct rig *rig, int code, const char *reason)
{
    rig_error_event_cause(rig, code, reason, NULL);
}

static inline struct mu_reflector_stats rig_stats(const struct rig *rig)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(rig->reflector, &stats);
    return stats;
}

static inline void assert_state(const struct rig *rig, enum mu_reflector_state state)
{
    assert_int_equal(rig_stats(rig).state, state);
}

static inline void assert_object(struct rig *rig, const char *name, uint64_t version)
{
    struct object *object = rig_find(rig, name);
    assert_non_null(object);
    assert_int_equal(object->version, version);
}

static inline void assert_path_has(const struct rig *rig, const char *part)
{
    if (strstr(rig->path, part) == NULL)
        fail_msg("%s: expected %s in it", rig->path, part);
}

static inline void assert_path_lacks(const struct rig *rig, const char *part)
{
    if (strstr(rig->path, part) != NULL)
        fail_msg("%s: expected no %s in it", rig->path, part);
}

/* Go to the end of a back-off. Returns how long it was. */
static inline uint64_t rig_wait(struct rig *rig)
{
    assert_state(rig, MU_REFLECTOR_BACKOFF);
    assert_true(strlen(mu_reflector_problem(rig->reflector)) > 0);
    assert_quiet(rig);
    uint64_t due_ns = mu_reflector_next_ns(rig->reflector);
    uint64_t waited = due_ns - rig->now_ns;
    rig->now_ns = due_ns - 1;
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    assert_quiet(rig); /* not a nanosecond early */
    rig->now_ns = due_ns;
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    return waited;
}

/* Listed {a@5, b@6} at version 10 and watching; the watch's HEAD has come. */
static inline struct rig *rig_watching(void)
{
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5 b@6");
    rig_take(rig);
    rig_head(rig, 200);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    return rig;
}

#endif
