#include "informer/reflector.h"

#include "engine/base/clock.h"
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
    /* the sink */
    struct object objects[16];
    uint32_t count;
    uint32_t relists, sweeps, sweep_steps;
    int fail; /* returned by upsert and remove */
};

static struct object *rig_find(struct rig *rig, const char *name)
{
    for (uint32_t i = 0; i < rig->count; i++) {
        if (strcmp(rig->objects[i].name, name) == 0)
            return &rig->objects[i];
    }
    return NULL;
}

static void name_of(struct mu_str raw, char name[16])
{
    struct mu_object_meta meta;
    assert_int_equal(mu_meta_decode(raw, &meta, NULL), 0);
    (void)snprintf(name, 16, "%.*s", MU_STR_ARGS(meta.name));
}

static int sink_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct rig *rig = context;
    char name[16];
    if (rig->fail != 0)
        return rig->fail;
    assert_int_equal(now_ns, rig->now_ns);
    name_of(raw, name);
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

static int sink_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct rig *rig = context;
    char name[16];
    (void)version;
    (void)now_ns;
    if (rig->fail != 0)
        return rig->fail;
    name_of(raw, name);
    struct object *object = rig_find(rig, name);
    if (object != NULL)
        *object = rig->objects[--rig->count];
    return 0;
}

static void sink_begin(void *context)
{
    struct rig *rig = context;
    rig->relists++;
    for (uint32_t i = 0; i < rig->count; i++)
        rig->objects[i].marked = true;
}

/* One object a call, so that sweeping takes several. */
static int sink_sweep(void *context, uint64_t now_ns)
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

static struct rig *rig_create_with(bool first_consistent)
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

static struct rig *rig_create(void)
{
    return rig_create_with(false);
}

static void rig_destroy(struct rig *rig)
{
    mu_reflector_destroy(rig->reflector);
    mu_outbox_fini(&rig->box);
    mu_mem_free(rig);
}

/* Take the next request; there must be one. */
static void rig_take(struct rig *rig)
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

static void assert_quiet(struct rig *rig)
{
    assert_true(mu_outbox_empty(&rig->box));
}

static void rig_reply(struct rig *rig, enum mu_reply_kind kind, int status, struct mu_str data)
{
    const struct mu_reply reply = {.token = rig->token,
                                   .kind = kind,
                                   .status = status,
                                   .media = MU_MEDIA_PROTOBUF,
                                   .data = data,
                                   .error = kind == MU_REPLY_LOST ? MU_ECLOSED : 0};
    assert_true(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
}

static void rig_head(struct rig *rig, int status)
{
    rig_reply(rig, MU_REPLY_HEAD, status, (struct mu_str){NULL, 0});
}

static void rig_end(struct rig *rig)
{
    rig_reply(rig, MU_REPLY_END, 0, (struct mu_str){NULL, 0});
}

static void rig_lost(struct rig *rig)
{
    rig_reply(rig, MU_REPLY_LOST, 0, (struct mu_str){NULL, 0});
}

static void rig_body(struct rig *rig, int status, struct mu_buf *body)
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

static void rig_status(struct rig *rig, int status, const char *reason, const char *cause)
{
    struct mu_buf body = {0};
    fixture_status(&body, status, reason, cause, 0);
    rig_body(rig, status, &body);
}

/* Answer with a page. names: "a@5 b@6", in the order given. */
static void rig_page(struct rig *rig, uint64_t version, const char *next, const char *names)
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

static void put_event(struct mu_buf *out, enum mu_watch_type type, const char *name, uint64_t v)
{
    struct mu_buf raw = {0};
    fixture_object(&raw, name, v);
    assert_int_equal(
        mu_watch_frame_write(out, type, MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

static void rig_event(struct rig *rig, enum mu_watch_type type, const char *name, uint64_t v)
{
    struct mu_buf frame = {0};
    put_event(&frame, type, name, v);
    rig_reply(rig, MU_REPLY_DATA, 0, fixture_str(&frame));
    mu_buf_fini(&frame);
}

static void rig_error_event_cause(struct rig *rig, int code, const char *reason, const char *cause)
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

static void rig_error_event(struct rig *rig, int code, const char *reason)
{
    rig_error_event_cause(rig, code, reason, NULL);
}

static struct mu_reflector_stats rig_stats(const struct rig *rig)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(rig->reflector, &stats);
    return stats;
}

static void assert_state(const struct rig *rig, enum mu_reflector_state state)
{
    assert_int_equal(rig_stats(rig).state, state);
}

static void assert_object(struct rig *rig, const char *name, uint64_t version)
{
    struct object *object = rig_find(rig, name);
    assert_non_null(object);
    assert_int_equal(object->version, version);
}

static void assert_path_has(const struct rig *rig, const char *part)
{
    if (strstr(rig->path, part) == NULL)
        fail_msg("%s: expected %s in it", rig->path, part);
}

static void assert_path_lacks(const struct rig *rig, const char *part)
{
    if (strstr(rig->path, part) != NULL)
        fail_msg("%s: expected no %s in it", rig->path, part);
}

/* Go to the end of a back-off. Returns how long it was. */
static uint64_t rig_wait(struct rig *rig)
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
static struct rig *rig_watching(void)
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

/* --- lists --------------------------------------------------------------------------------- */

static void test_reflector_start__first_list__any_version_in_pages(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_string_equal(rig->path, "/api/v1/pods?limit=2&resourceVersion=0"
                                   "&fieldSelector=status.phase%21%3DFailed");
    assert_false(rig->stream);
    assert_true(rig->timeout_ns == 60 * MU_NS_PER_S);
    rig_page(rig, 10, "to/ken", "a@5 b@6");
    rig_take(rig);
    assert_string_equal(rig->path, "/api/v1/pods?limit=2&continue=to%2Fken"
                                   "&fieldSelector=status.phase%21%3DFailed");
    assert_false(rig_stats(rig).synced);
    assert_int_equal(rig->sweeps, 0);
    rig_page(rig, 10, NULL, "c@7");
    assert_int_equal(rig->count, 3);
    assert_int_equal(rig->relists, 1);
    assert_int_equal(rig->sweeps, 1);
    struct mu_reflector_stats stats = rig_stats(rig);
    assert_true(stats.synced);
    assert_int_equal(stats.pages, 2);
    assert_int_equal(stats.lists, 1);
    assert_int_equal(stats.last_version, 10);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "?watch=true&allowWatchBookmarks=true&resourceVersion=10&timeoutSeconds=");
    rig_destroy(rig);
}

static void test_reflector_reply__foreign_token__not_ours(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    struct mu_reply reply = {.token = TOKEN_BASE - 1, .kind = MU_REPLY_END};
    assert_false(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    reply.token = TOKEN_BASE + (UINT64_C(1) << 32);
    assert_false(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    reply.token = rig->token - 1; /* the list's, long closed */
    assert_true(mu_reflector_reply(rig->reflector, &reply, rig->now_ns, &rig->box));
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_list__expired_continue__starts_again_after_a_pause(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_page(rig, 10, "token", "a@5 b@6");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 1);
    assert_int_equal(rig->sweeps, 0); /* half a list removes nothing */
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "continue=");
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    rig_page(rig, 12, NULL, "a@5");
    assert_int_equal(rig_stats(rig).state, MU_REFLECTOR_SWEEPING);
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    assert_int_equal(rig->count, 1);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_list__older_than_seen__refused(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_MODIFIED, "a", 20);
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    assert_true(rig->cancel);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=20&resourceVersionMatch=NotOlderThan");
    rig_page(rig, 19, NULL, "a@5");
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    assert_object(rig, "a", 20);
    assert_int_equal(rig->relists, 1);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "version 19"));
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion"); /* the next is not left to a cache */
    rig_page(rig, 21, NULL, "a@20");
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    assert_state(rig, MU_REFLECTOR_WATCHING);
    assert_int_equal(rig->count, 1);
    rig_destroy(rig);
}

static void test_reflector_list__version_refused__consistent_list_at_once(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct rig *rig = rig_watching();
        rig_error_event(rig, 410, "Expired");
        rig_take(rig); /* cancel */
        rig_take(rig);
        assert_path_has(rig, "NotOlderThan");
        if (kind == 0)
            rig_status(rig, 410, "Expired", NULL);
        else
            rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        rig_take(rig);
        assert_string_equal(rig->path, "/api/v1/pods?limit=2"
                                       "&fieldSelector=status.phase%21%3DFailed");
        /* A consistent list that fails is asked for again, after a pause. */
        rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        (void)rig_wait(rig);
        rig_take(rig);
        assert_path_lacks(rig, "resourceVersion");
        rig_destroy(rig);
    }
}

static void test_reflector_list__absent_object__swept_in_steps(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_ADDED, "d", 12);
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    rig_take(rig);
    rig_page(rig, 15, NULL, "d@14 e@15");
    uint32_t steps = 1;
    while (rig_stats(rig).state == MU_REFLECTOR_SWEEPING) {
        assert_quiet(rig); /* no watch before the sweep is over */
        assert_true(mu_reflector_next_ns(rig->reflector) <= rig->now_ns);
        mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
        steps++;
    }
    assert_int_equal(steps, 4); /* a, b, c, and one that finds nothing */
    assert_int_equal(rig->count, 2);
    assert_object(rig, "d", 14);
    assert_object(rig, "e", 15);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=15");
    rig_destroy(rig);
}

static void test_reflector_list__unreadable_reply__backs_off(void **state)
{
    (void)state;
    const struct mu_str bodies[] = {MU_STR("{\"kind\":\"PodList\"}"), MU_STR(""),
                                    MU_STR("k8s\0\x12\x02\x0a\x00"),     /* no version */
                                    MU_STR("k8s\0\x12\x04\x0a\x02\x12"), /* cut */
                                    MU_STR("k8s\0\x12\x05\x0a\x03\x12\x01x")};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct rig *rig = rig_create();
        struct mu_buf body = {0};
        mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
        rig_take(rig);
        assert_int_equal(mu_buf_append_str(&body, bodies[i]), 0);
        rig_body(rig, 200, &body);
        assert_int_equal(rig->relists, 0);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: list"));
        (void)rig_wait(rig);
        rig_take(rig);
        assert_path_has(rig, "resourceVersion=0");
        rig_destroy(rig);
    }
}

static void test_reflector_list__sink_fails__lists_again(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig->fail = MU_ENOMEM;
    rig_page(rig, 10, NULL, "a@5");
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "out of memory"));
    assert_int_equal(rig->sweeps, 0);
    rig->fail = 0;
    (void)rig_wait(rig);
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5");
    assert_state(rig, MU_REFLECTOR_WATCHING);
    assert_object(rig, "a", 5);
    rig_destroy(rig);
}

static void test_reflector_list__lost_and_5xx__back_off_and_list(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    rig_lost(rig);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "no reply"));
    (void)rig_wait(rig);
    rig_take(rig);
    rig_status(rig, 503, "ServiceUnavailable", NULL);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=0");
    rig_page(rig, 10, NULL, "a@5");
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

/* --- watches ------------------------------------------------------------------------------- */

static void test_reflector_watch__events__reach_the_sink_and_move_the_version(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_MODIFIED, "a", 12);
    rig_event(rig, MU_WATCH_DELETED, "b", 13);
    assert_object(rig, "c", 11);
    assert_object(rig, "a", 12);
    assert_null(rig_find(rig, "b"));
    assert_int_equal(rig_stats(rig).last_version, 13);
    assert_int_equal(rig_stats(rig).events, 3);
    assert_string_equal(mu_reflector_problem(rig->reflector), "");
    rig_destroy(rig);
}

static void test_reflector_watch__clean_end__resumes_at_last_version_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_event(rig, MU_WATCH_BOOKMARK, "", 17);
    assert_int_equal(rig->count, 3);
    rig_end(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=17&");
    assert_int_equal(rig_stats(rig).bookmarks, 1);
    assert_int_equal(rig_stats(rig).watches, 2);
    assert_int_equal(rig_stats(rig).failures, 0);
    /* A long watch without any event is a clean end too. */
    rig_head(rig, 200);
    rig->now_ns += 400 * MU_NS_PER_S;
    rig_end(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=17&");
    rig_destroy(rig);
}

static void test_reflector_watch__timeout_seconds__random_between_5_and_10_min(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    unsigned long lowest = 1000;
    unsigned long highest = 0;
    for (int i = 0; i < 200; i++) {
        rig_event(rig, MU_WATCH_BOOKMARK, "", 20);
        rig_end(rig);
        rig_take(rig);
        rig_head(rig, 200);
        unsigned long seconds = strtoul(strstr(rig->path, "timeoutSeconds=") + 15, NULL, 10);
        lowest = seconds < lowest ? seconds : lowest;
        highest = seconds > highest ? seconds : highest;
        assert_true(rig->timeout_ns == 150 * MU_NS_PER_S); /* of silence */
    }
    assert_true(lowest >= 300 && lowest < 330);
    assert_true(highest <= 600 && highest > 570);
    rig_destroy(rig);
}

static void test_reflector_watch__ends_at_once_empty__counts_as_failure(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->now_ns += MU_NS_PER_S / 2;
    rig_end(rig);
    assert_int_equal(rig_stats(rig).failures, 1);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "resourceVersion=10&");
    rig_destroy(rig);
}

static void test_reflector_watch__410_as_status__relists_not_older(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_end(rig);
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 1);
    rig_take(rig);
    assert_false(rig->stream);
    assert_path_has(rig, "resourceVersion=11&resourceVersionMatch=NotOlderThan");
    rig_destroy(rig);
}

static void test_reflector_watch__410_as_event__cancels_and_relists(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    uint64_t watch = rig->token;
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    assert_true(rig->cancel);
    assert_int_equal(rig->token, watch);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    /* What the old stream still says is not heard. */
    uint64_t list = rig->token;
    rig->token = watch;
    rig_event(rig, MU_WATCH_ADDED, "late", 99);
    rig_lost(rig);
    rig->token = list;
    assert_null(rig_find(rig, "late"));
    assert_state(rig, MU_REFLECTOR_LISTING);
    rig_destroy(rig);
}

static void test_reflector_watch__410_again_after_a_fresh_list__backs_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_error_event(rig, 410, "Expired");
    rig_take(rig);
    rig_take(rig);
    rig_page(rig, 12, NULL, "a@5 b@6");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    assert_int_equal(rig_stats(rig).expired, 2);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__429_and_5xx__same_watch_after_back_off(void **state)
{
    (void)state;
    const int codes[] = {429, 500, 503, 504};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (int as_event = 0; as_event < 2; as_event++) {
            struct rig *rig = rig_watching();
            rig_event(rig, MU_WATCH_ADDED, "c", 11);
            if (as_event == 0) {
                rig_end(rig);
                rig_take(rig);
                rig_status(rig, codes[i], "Some", NULL);
            } else {
                rig_error_event(rig, codes[i], "Some");
                rig_take(rig);
                assert_true(rig->cancel);
            }
            (void)rig_wait(rig);
            rig_take(rig);
            assert_true(rig->stream);
            assert_path_has(rig, "resourceVersion=11&");
            assert_int_equal(rig_stats(rig).lists, 1);
            rig_destroy(rig);
        }
    }
}

static void test_reflector_watch__plain_text_429_with_retry_after__waits_that_long(void **state)
{
    (void)state;
    const struct {
        uint32_t asked_s;
        uint64_t least_s, most_s;
    } cases[] = {{17, 17, 17}, {4000000000u, 120, 120}};
    for (size_t i = 0; i < 2; i++) {
        struct rig *rig = rig_watching();
        rig_event(rig, MU_WATCH_ADDED, "c", 11);
        rig_end(rig);
        rig_take(rig);
        const struct mu_reply head = {.token = rig->token,
                                      .kind = MU_REPLY_HEAD,
                                      .status = 429,
                                      .media = MU_MEDIA_TEXT,
                                      .retry_after_s = cases[i].asked_s};
        assert_true(mu_reflector_reply(rig->reflector, &head, rig->now_ns, &rig->box));
        rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("Too many requests, please try again later."));
        rig_end(rig);
        uint64_t waited = rig_wait(rig);
        assert_true(waited >= cases[i].least_s * MU_NS_PER_S);
        assert_true(waited <= cases[i].most_s * MU_NS_PER_S);
        rig_take(rig);
        assert_true(rig->stream);
        rig_destroy(rig);
    }
}

static void test_reflector_watch__bad_request__lists_after_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_end(rig);
    rig_take(rig);
    rig_status(rig, 400, "BadRequest", NULL);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__end_inside_a_frame__broken_and_resumed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    struct mu_buf frames = {0};
    put_event(&frames, MU_WATCH_ADDED, "c", 11);
    size_t whole = frames.len;
    put_event(&frames, MU_WATCH_ADDED, "d", 12);
    struct mu_str part = {(const char *)frames.data, (uint32_t)whole + 9};
    rig_reply(rig, MU_REPLY_DATA, 0, part);
    rig_end(rig);
    mu_buf_fini(&frames);
    assert_object(rig, "c", 11);
    assert_null(rig_find(rig, "d"));
    assert_int_equal(rig_stats(rig).failures, 1);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=11&");
    /* The half frame is forgotten: the new stream starts clean. */
    rig_head(rig, 200);
    rig_event(rig, MU_WATCH_ADDED, "d", 12);
    assert_object(rig, "d", 12);
    rig_destroy(rig);
}

static void test_reflector_watch__lost__resumed_after_back_off(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig_lost(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
    assert_path_has(rig, "resourceVersion=11&");
    rig_destroy(rig);
}

/* Let the guard pass: the watch is given up and asked for again. */
static void rig_outwait(struct rig *rig, uint64_t silence_ns)
{
    uint64_t watch = rig->token;
    uint64_t due_ns = mu_reflector_next_ns(rig->reflector);
    assert_true(due_ns - rig->now_ns == silence_ns);
    rig->now_ns = due_ns;
    mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_true(rig->cancel);
    assert_int_equal(rig->token, watch);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_true(rig->stream);
}

static void test_reflector_watch__silent__cancelled_and_resumed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->now_ns += 100 * MU_NS_PER_S;
    rig_event(rig, MU_WATCH_BOOKMARK, "b", 12); /* a sign of life */
    rig_outwait(rig, 150 * MU_NS_PER_S);
    assert_path_has(rig, "resourceVersion=12&");
    rig_destroy(rig);
}

static void test_reflector_watch__never_answered__asked_again_soon(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_outwait(rig, 150 * MU_NS_PER_S);
    rig_outwait(rig, 30 * MU_NS_PER_S); /* this one got no head */
    rig_destroy(rig);
}

static void test_reflector_watch__frame_of_3_gib__cancelled_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("\xc0\x00\x00\x00"));
    rig_take(rig);
    assert_true(rig->cancel);
    assert_non_null(strstr(mu_reflector_problem(rig->reflector), "3221225472 bytes"));
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__older_event__refused_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig_event(rig, MU_WATCH_MODIFIED, "a", 12);
    rig_event(rig, MU_WATCH_MODIFIED, "a", 11);
    assert_object(rig, "a", 12);
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    rig_take(rig);
    assert_true(rig->cancel);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

static void test_reflector_watch__sink_fails__cancelled_and_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    rig->fail = MU_ENOMEM;
    rig_event(rig, MU_WATCH_ADDED, "c", 11);
    rig->fail = 0;
    assert_int_equal(rig_stats(rig).last_version, 10); /* the event counts as not seen */
    rig_take(rig);
    assert_true(rig->cancel);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_false(rig->stream);
    rig_destroy(rig);
}

/* --- a store that went back ---------------------------------------------------------------- */

static void test_reflector_start__first_consistent__no_version_until_listed(void **state)
{
    (void)state;
    struct rig *rig = rig_create_with(true);
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion");
    rig_lost(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion"); /* a failure makes it no cheaper */
    rig_page(rig, 10, NULL, "a@5");
    rig_take(rig);
    rig_status(rig, 410, "Expired", NULL);
    rig_take(rig);
    assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
    rig_destroy(rig);
}

static void test_reflector_watch__version_too_large__lists_after_back_off(void **state)
{
    (void)state;
    for (int as_event = 0; as_event < 2; as_event++) {
        struct rig *rig = rig_watching();
        rig_event(rig, MU_WATCH_ADDED, "c", 11);
        if (as_event == 0) {
            rig_end(rig);
            rig_take(rig);
            rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
        } else {
            rig_error_event_cause(rig, 504, "Timeout", "ResourceVersionTooLarge");
            rig_take(rig);
            assert_true(rig->cancel);
        }
        (void)rig_wait(rig);
        rig_take(rig);
        assert_false(rig->stream);
        assert_path_has(rig, "resourceVersion=11&resourceVersionMatch=NotOlderThan");
        rig_destroy(rig);
    }
}

enum watch_end { END_503, END_LOST, END_BRIEF, END_SILENT, END_IN_FRAME, END_COUNT };

/* The open watch fails; its cancel, if any, is taken. */
static void rig_fail_watch(struct rig *rig, enum watch_end end)
{
    assert_state(rig, MU_REFLECTOR_WATCHING);
    switch (end) {
    case END_503:
        rig_status(rig, 503, "ServiceUnavailable", NULL);
        break;
    case END_LOST:
        rig_lost(rig);
        break;
    case END_BRIEF:
        rig_head(rig, 200);
        rig_end(rig);
        break;
    case END_SILENT:
        rig->now_ns = mu_reflector_next_ns(rig->reflector);
        mu_reflector_tick(rig->reflector, rig->now_ns, &rig->box);
        rig_take(rig);
        assert_true(rig->cancel);
        break;
    default:
        rig_head(rig, 200);
        rig_reply(rig, MU_REPLY_DATA, 0, MU_STR("\0\0"));
        rig_end(rig);
        break;
    }
}

static void test_reflector_watch__third_failure_in_a_row__lists(void **state)
{
    (void)state;
    for (int end = 0; end < END_COUNT; end++) {
        if (end == END_LOST)
            continue;
        struct rig *rig = rig_watching();
        for (int i = 0; i < 3; i++) {
            assert_int_equal(rig_stats(rig).lists, 1);
            rig_fail_watch(rig, (enum watch_end)end);
            (void)rig_wait(rig);
            rig_take(rig);
            assert_true(rig->stream == (i < 2));
        }
        assert_path_has(rig, "resourceVersion=10&resourceVersionMatch=NotOlderThan");
        rig_destroy(rig);
    }
}

/* A server that is away for long is not greeted with lists. */
static void test_reflector_watch__connection_lost_often__resumed_without_a_list(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    for (int i = 0; i < 20; i++) {
        rig_fail_watch(rig, END_LOST);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    assert_int_equal(rig_stats(rig).lists, 1);
    rig_destroy(rig);
}

static void test_reflector_watch__event_or_list_between_failures__counts_anew(void **state)
{
    (void)state;
    struct rig *rig = rig_watching();
    for (int i = 0; i < 5; i++) { /* an event in each */
        rig_head(rig, 200);
        rig_event(rig, MU_WATCH_BOOKMARK, "", 20);
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    for (int i = 0; i < 2; i++) {
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
    }
    assert_false(rig->stream); /* the last of the five and these two */
    rig_page(rig, 21, NULL, "a@5 b@6");
    rig_take(rig);
    for (int i = 0; i < 2; i++) {
        rig_fail_watch(rig, END_503);
        (void)rig_wait(rig);
        rig_take(rig);
        assert_true(rig->stream);
    }
    rig_destroy(rig);
}

/* The store is at version 3 after 10 had been seen; the consistent list is open. */
static struct rig *rig_store_went_back(void)
{
    struct rig *rig = rig_watching();
    rig_error_event_cause(rig, 504, "Timeout", "ResourceVersionTooLarge");
    rig_take(rig);
    (void)rig_wait(rig);
    rig_take(rig);
    rig_status(rig, 504, "Timeout", "ResourceVersionTooLarge");
    rig_take(rig);
    assert_path_lacks(rig, "resourceVersion");
    return rig;
}

static void test_reflector_list__consistent_and_older__restored_for_good(void **state)
{
    (void)state;
    struct rig *rig = rig_store_went_back();
    rig_page(rig, 3, NULL, "z@2");
    assert_state(rig, MU_REFLECTOR_RESTORED);
    assert_string_equal(mu_reflector_problem(rig->reflector),
                        "pods: the server's store went back from version 10 to 3; restart needed");
    assert_true(mu_reflector_next_ns(rig->reflector) == UINT64_MAX);
    mu_reflector_tick(rig->reflector, UINT64_MAX, &rig->box);
    rig_lost(rig); /* a late reply of the list */
    assert_quiet(rig);
    assert_state(rig, MU_REFLECTOR_RESTORED);
    assert_int_equal(rig_stats(rig).last_version, 10);
    assert_int_equal(rig_stats(rig).stale_refused, 1);
    assert_int_equal(rig->relists, 1); /* the sink saw nothing of it */
    assert_null(rig_find(rig, "z"));
    rig_destroy(rig);
}

static void test_reflector_list__consistent_and_no_older__goes_on(void **state)
{
    (void)state;
    struct rig *rig = rig_store_went_back();
    rig_page(rig, 10, NULL, "a@5 b@6"); /* the server had only lagged */
    assert_state(rig, MU_REFLECTOR_WATCHING);
    rig_destroy(rig);
}

static void test_reflector_problem__watch_answered__empty_again(void **state)
{
    (void)state;
    for (int end = 0; end < END_COUNT; end++) {
        struct rig *rig = rig_watching();
        rig_fail_watch(rig, (enum watch_end)end);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: watch"));
        (void)rig_wait(rig);
        rig_take(rig);
        assert_non_null(strstr(mu_reflector_problem(rig->reflector), "pods: watch"));
        rig_head(rig, 200);
        assert_string_equal(mu_reflector_problem(rig->reflector), "");
        rig_destroy(rig);
    }
}

/* --- back-off ------------------------------------------------------------------------------ */

static void test_reflector_backoff__repeated_failures__doubles_with_jitter_to_the_cap(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    uint64_t base = 800 * MU_NS_PER_MS;
    bool jitter = false;
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    for (int i = 0; i < 12; i++) {
        rig_take(rig);
        rig_lost(rig);
        uint64_t waited = rig_wait(rig);
        assert_true(waited >= base && waited <= 2 * base);
        jitter = jitter || (waited != base && waited != 2 * base);
        base = base * 2 < 30 * MU_NS_PER_S ? base * 2 : 30 * MU_NS_PER_S;
    }
    assert_true(jitter);
    assert_int_equal(rig_stats(rig).failures, 12);
    rig_destroy(rig);
}

static void test_reflector_backoff__two_minutes_without_failure__reset(void **state)
{
    (void)state;
    struct rig *rig = rig_create();
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    for (int i = 0; i < 8; i++) {
        rig_take(rig);
        rig_lost(rig);
        (void)rig_wait(rig);
    }
    rig_take(rig);
    rig_page(rig, 10, NULL, "a@5");
    rig_take(rig);
    rig_head(rig, 200);
    rig->now_ns += 121 * MU_NS_PER_S;
    rig_lost(rig);
    assert_true(rig_wait(rig) <= 1600 * MU_NS_PER_MS);
    rig_destroy(rig);
}

static void test_reflector_backoff__two_reflectors__not_in_step(void **state)
{
    (void)state;
    struct mu_random random;
    uint64_t waits[2];
    mu_random_init_seed(&random, 1);
    for (int i = 0; i < 2; i++) {
        struct rig *rig = rig_create();
        struct mu_reflector_config config = {.name = MU_STR("x"), .path = MU_STR("/x")};
        const struct mu_reflector_sink sink = {.context = rig};
        struct mu_reflector *reflector = mu_reflector_create(&config, &sink, &random);
        mu_reflector_start(reflector, 0, &rig->box);
        struct mu_request *request = mu_outbox_take(&rig->box);
        const struct mu_reply lost = {.token = request->token, .kind = MU_REPLY_LOST};
        assert_true(mu_reflector_reply(reflector, &lost, 0, &rig->box));
        waits[i] = mu_reflector_next_ns(reflector);
        mu_reflector_destroy(reflector);
        rig_destroy(rig);
    }
    assert_true(waits[0] != waits[1]);
}

/* --- memory -------------------------------------------------------------------------------- */

/* Bring a reflector to where it has seen one event, whatever fails on the way. */
static void drive_to_event(struct rig *rig, struct mu_str frame)
{
    const struct mu_str page = MU_STR("k8s\0\x12\x06\x0a\x04\x12\x02"
                                      "10");
    for (int round = 0; rig_find(rig, "a") == NULL; round++) {
        assert_true(round < 10);
        if (rig_stats(rig).state == MU_REFLECTOR_BACKOFF) {
            assert_true(strlen(mu_reflector_problem(rig->reflector)) > 0);
            while (!mu_outbox_empty(&rig->box)) { /* the cancel of what failed */
                rig_take(rig);
                assert_true(rig->cancel);
            }
            (void)rig_wait(rig);
            continue; /* sending may have failed again */
        }
        rig_take(rig);
        rig_head(rig, 200);
        if (rig->stream) { /* in two pieces, so that a frame must be gathered */
            uint64_t events = rig_stats(rig).failures;
            rig_reply(rig, MU_REPLY_DATA, 0, (struct mu_str){frame.data, 7});
            if (rig_stats(rig).failures == events)
                rig_reply(rig, MU_REPLY_DATA, 0, (struct mu_str){frame.data + 7, frame.len - 7});
        } else {
            rig_reply(rig, MU_REPLY_DATA, 0, page);
            if (rig_stats(rig).state == MU_REFLECTOR_LISTING)
                rig_end(rig);
        }
    }
}

struct life {
    struct rig *rig;
    struct mu_buf frame;
    bool created;
};

/* A whole life with one allocation failing. Returns true when it met no failure. */
static bool live_once(void *context)
{
    struct life *life = context;
    struct rig *rig = life->rig;
    struct mu_random random;
    *rig = (struct rig){.now_ns = 1000 * MU_NS_PER_S};
    mu_random_init_seed(&random, 3);
    const struct mu_reflector_config config = {
        .name = MU_STR("pods"), .path = MU_STR("/pods"), .token_base = TOKEN_BASE};
    const struct mu_reflector_sink sink = {.context = rig,
                                           .upsert = sink_upsert,
                                           .remove = sink_remove,
                                           .relist_begin = sink_begin,
                                           .relist_sweep = sink_sweep};
    rig->reflector = mu_reflector_create(&config, &sink, &random);
    if (rig->reflector == NULL)
        return false;
    life->created = true;
    mu_reflector_start(rig->reflector, rig->now_ns, &rig->box);
    drive_to_event(rig, fixture_str(&life->frame));
    bool passed = rig_stats(rig).failures == 0;
    mu_reflector_destroy(rig->reflector);
    mu_outbox_fini(&rig->box);
    return passed;
}

static void test_reflector__out_of_memory_anywhere__gets_there_and_leaks_nothing(void **state)
{
    (void)state;
    struct life life = {.rig = mu_mem_alloc(sizeof *life.rig)};
    assert_non_null(life.rig);
    put_event(&life.frame, MU_WATCH_ADDED, "a", 11);
    assert_true(mu_test_fail_each(live_once, &life) >= 8);
    assert_true(life.created);
    mu_buf_fini(&life.frame);
    mu_mem_free(life.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reflector_start__first_list__any_version_in_pages),
        cmocka_unit_test(test_reflector_reply__foreign_token__not_ours),
        cmocka_unit_test(test_reflector_list__expired_continue__starts_again_after_a_pause),
        cmocka_unit_test(test_reflector_list__older_than_seen__refused),
        cmocka_unit_test(test_reflector_list__version_refused__consistent_list_at_once),
        cmocka_unit_test(test_reflector_list__absent_object__swept_in_steps),
        cmocka_unit_test(test_reflector_list__unreadable_reply__backs_off),
        cmocka_unit_test(test_reflector_list__sink_fails__lists_again),
        cmocka_unit_test(test_reflector_list__lost_and_5xx__back_off_and_list),
        cmocka_unit_test(test_reflector_watch__events__reach_the_sink_and_move_the_version),
        cmocka_unit_test(test_reflector_watch__clean_end__resumes_at_last_version_at_once),
        cmocka_unit_test(test_reflector_watch__timeout_seconds__random_between_5_and_10_min),
        cmocka_unit_test(test_reflector_watch__ends_at_once_empty__counts_as_failure),
        cmocka_unit_test(test_reflector_watch__410_as_status__relists_not_older),
        cmocka_unit_test(test_reflector_watch__410_as_event__cancels_and_relists),
        cmocka_unit_test(test_reflector_watch__410_again_after_a_fresh_list__backs_off),
        cmocka_unit_test(test_reflector_watch__429_and_5xx__same_watch_after_back_off),
        cmocka_unit_test(test_reflector_watch__plain_text_429_with_retry_after__waits_that_long),
        cmocka_unit_test(test_reflector_watch__bad_request__lists_after_back_off),
        cmocka_unit_test(test_reflector_watch__end_inside_a_frame__broken_and_resumed),
        cmocka_unit_test(test_reflector_watch__lost__resumed_after_back_off),
        cmocka_unit_test(test_reflector_watch__silent__cancelled_and_resumed),
        cmocka_unit_test(test_reflector_watch__never_answered__asked_again_soon),
        cmocka_unit_test(test_reflector_watch__frame_of_3_gib__cancelled_and_listed),
        cmocka_unit_test(test_reflector_watch__older_event__refused_and_listed),
        cmocka_unit_test(test_reflector_watch__sink_fails__cancelled_and_listed),
        cmocka_unit_test(test_reflector_start__first_consistent__no_version_until_listed),
        cmocka_unit_test(test_reflector_watch__version_too_large__lists_after_back_off),
        cmocka_unit_test(test_reflector_watch__third_failure_in_a_row__lists),
        cmocka_unit_test(test_reflector_watch__connection_lost_often__resumed_without_a_list),
        cmocka_unit_test(test_reflector_watch__event_or_list_between_failures__counts_anew),
        cmocka_unit_test(test_reflector_list__consistent_and_older__restored_for_good),
        cmocka_unit_test(test_reflector_list__consistent_and_no_older__goes_on),
        cmocka_unit_test(test_reflector_problem__watch_answered__empty_again),
        cmocka_unit_test(test_reflector_backoff__repeated_failures__doubles_with_jitter_to_the_cap),
        cmocka_unit_test(test_reflector_backoff__two_minutes_without_failure__reset),
        cmocka_unit_test(test_reflector_backoff__two_reflectors__not_in_step),
        cmocka_unit_test(test_reflector__out_of_memory_anywhere__gets_there_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
