#include "informer/report_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "informer/proto/events.pb-c.h"
#include "informer/utf8.h"

/*
 * Conditions are JSON because strategic-merge patches are; events are protobuf. What comes from
 * outside (names, resources, taints) may hold any bytes: it is made UTF-8 once, when a text is
 * created, so that both forms carry the same characters.
 */

struct mu_str mu_report_reason_text(enum mu_report_reason reason)
{
    switch (reason) {
    case MU_REPORT_UNSCHEDULABLE:
        return MU_STR("Unschedulable");
    case MU_REPORT_SCHEDULER_ERROR:
        return MU_STR("SchedulerError");
    }
    MU_UNREACHABLE("a reason outside its enum");
}

/* --- UTF-8 ----------------------------------------------------------------------------------- */

uint32_t mu_report_cut(struct mu_str text, uint32_t max)
{
    uint32_t len = text.len < max ? text.len : max;
    while (len > 0 && len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void mu_report_clean(struct mu_buf *out, struct mu_str text)
{
    while (text.len > 0) {
        uint32_t code;
        uint32_t len = mu_utf8_length((const uint8_t *)text.data, text.len, &code);
        (void)mu_buf_append(out, len > 0 ? text.data : "?", len > 0 ? len : 1);
        text.data += len > 0 ? len : 1;
        text.len -= len > 0 ? len : 1;
    }
}

/* --- texts ----------------------------------------------------------------------------------- */

struct mu_report_text *mu_report_text_create(enum mu_report_reason reason, struct mu_str message)
{
    struct mu_buf clean = {.max = 0};
    struct mu_str head = {message.data, mu_report_cut(message, MU_REPORT_TEXT_MAX)};
    mu_report_clean(&clean, head);
    struct mu_report_text *text =
        clean.failed != 0 ? NULL : mu_mem_alloc(sizeof *text + clean.len + 1);
    if (text != NULL) {
        *text = (struct mu_report_text){.refs = 1, .reason = reason, .len = (uint32_t)clean.len};
        if (clean.len > 0)
            memcpy(text->data, clean.data, clean.len);
        text->digest = mu_pod_report_digest(mu_report_reason_text(reason),
                                            (struct mu_str){text->data, text->len});
    }
    mu_buf_fini(&clean);
    return text;
}

struct mu_report_text *mu_report_text_ref(struct mu_report_text *text)
{
    if (text != NULL)
        text->refs++;
    return text;
}

struct mu_str mu_report_text_message(const struct mu_report_text *text)
{
    return (struct mu_str){text->data, text->len};
}

void mu_report_text_unref(struct mu_report_text *text)
{
    if (text == NULL)
        return;
    MU_ASSERT(text->refs > 0);
    if (--text->refs == 0)
        mu_mem_free(text);
}

/* --- JSON ------------------------------------------------------------------------------------ */

void mu_report_put_json(struct mu_buf *out, struct mu_str text)
{
    (void)mu_buf_append_text(out, "\"");
    uint32_t from = 0; /* start of the run that needs no escape */
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        (void)mu_buf_append(out, text.data + from, i - from);
        (void)mu_buf_printf(out, "\\u%04x", c);
        from = i + 1;
    }
    (void)mu_buf_append(out, text.data + from, text.len - from);
    (void)mu_buf_append_text(out, "\"");
}

void mu_report_put_time(struct mu_buf *out, uint64_t wall_s)
{
    struct tm tm;
    char text[32];
    time_t at = (time_t)wall_s;
    if (gmtime_r(&at, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        MU_UNREACHABLE("a wall time beyond all years");
    (void)mu_buf_append_text(out, text);
}

void mu_report_condition_body(struct mu_buf *out, const struct mu_report_subject *subject,
                              const struct mu_report_text *text, uint64_t transition_s)
{
    (void)mu_buf_append_text(out, "{\"metadata\":{\"uid\":");
    mu_report_put_json(out, mu_str_of(subject->uid));
    (void)mu_buf_printf(out,
                        ",\"resourceVersion\":\"%" PRIu64
                        "\"},\"status\":{\"conditions\":[{\"type\":\"PodScheduled\","
                        "\"status\":\"False\",\"reason\":",
                        subject->version);
    mu_report_put_json(out, mu_report_reason_text(text->reason));
    (void)mu_buf_append_text(out, ",\"message\":");
    mu_report_put_json(out, (struct mu_str){text->data, text->len});
    (void)mu_buf_append_text(out, ",\"lastProbeTime\":null");
    if (transition_s != 0) {
        (void)mu_buf_append_text(out, ",\"lastTransitionTime\":\"");
        mu_report_put_time(out, transition_s);
        (void)mu_buf_append_text(out, "Z\"");
    }
    (void)mu_buf_append_text(out, "}]}}");
}

/* --- events ---------------------------------------------------------------------------------- */

/* "<pod>.<hex>", as client-go names events; the pod's name is cut where both are too long. */
static void put_event_name(struct mu_buf *out, const struct mu_report_event *event, char *plain)
{
    char suffix[24];
    int suffix_len = snprintf(suffix, sizeof suffix, ".%" PRIx64, event->stamp_ns);
    uint32_t len = event->name.len;
    if (len + (uint32_t)suffix_len > MU_EVENT_NAME_MAX) {
        len = MU_EVENT_NAME_MAX - (uint32_t)suffix_len;
        while (len > 0 && (event->name.data[len - 1] == '.' || event->name.data[len - 1] == '-'))
            len--; /* a part of a name ends in a letter or a digit */
    }
    if (plain != NULL)
        (void)snprintf(plain, MU_EVENT_NAME_MAX + 1, "%.*s%s", (int)len, event->name.data, suffix);
    if (out != NULL) {
        (void)mu_path_append_encoded(out, (struct mu_str){event->name.data, len});
        (void)mu_buf_append_text(out, suffix);
    }
}

void mu_report_event_path(struct mu_buf *out, const struct mu_report_event *event, bool named)
{
    (void)mu_buf_append_text(out, "/apis/events.k8s.io/v1/namespaces/");
    (void)mu_path_append_encoded(out, event->ns);
    (void)mu_buf_append_text(out, named ? "/events/" : "/events");
    if (named)
        put_event_name(out, event, NULL);
}

void mu_report_series_body(struct mu_buf *out, const struct mu_report_event *event)
{
    (void)mu_buf_printf(out, "{\"series\":{\"count\":%" PRIu32 ",\"lastObservedTime\":\"",
                        event->count);
    mu_report_put_time(out, event->last_ns / MU_NS_PER_S);
    (void)mu_buf_printf(out, ".%06" PRIu64 "Z\"}}", event->last_ns % MU_NS_PER_S / 1000);
}

/* Strings of a message that is packed at once, NUL-terminated in one buffer. */
struct strings {
    struct mu_buf buf;
    size_t at[11];
    uint32_t count;
};

/* Returns the string's number. */
static uint32_t keep(struct strings *s, struct mu_str text)
{
    MU_ASSERT(s->count < sizeof s->at / sizeof s->at[0]);
    s->at[s->count] = s->buf.len;
    mu_report_clean(&s->buf, text);
    (void)mu_buf_append(&s->buf, "", 1);
    return s->count++;
}

static char *kept(const struct strings *s, uint32_t number)
{
    return (char *)s->buf.data + s->at[number];
}

static Kube__MicroTime micro_time(uint64_t wall_ns)
{
    Kube__MicroTime time = KUBE__MICRO_TIME__INIT;
    time.has_seconds = time.has_nanos = 1;
    time.seconds = (int64_t)(wall_ns / MU_NS_PER_S);
    time.nanos = (int32_t)(wall_ns % MU_NS_PER_S / 1000 * 1000);
    return time;
}

static int pack(struct mu_buf *out, const Kube__Event *event)
{
    size_t size = kube__event__get_packed_size(event);
    struct mu_buf raw = {.max = 0};
    int rc = mu_buf_reserve(&raw, size);
    if (rc == 0) {
        raw.len = kube__event__pack(event, raw.data);
        MU_ASSERT(raw.len == size);
        rc = mu_envelope_wrap(out, MU_STR("events.k8s.io/v1"), MU_STR("Event"),
                              (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
    }
    mu_buf_fini(&raw);
    return rc;
}

static void pod_reference(Kube__ObjectReference *out, char *ns, char *name, char *uid)
{
    static char api_version[] = "v1", kind[] = "Pod";
    out->kind = kind;
    out->apiversion = api_version;
    out->namespace_ = ns;
    out->name = name;
    out->uid = uid;
}

int mu_report_event_body(struct mu_buf *out, const struct mu_report_event *event)
{
    static char warning[] = "Warning", normal[] = "Normal";
    char name[MU_EVENT_NAME_MAX + 1];
    struct strings s = {.count = 0};
    put_event_name(NULL, event, name);
    struct mu_str note = {event->note.data, mu_report_cut(event->note, MU_EVENT_NOTE_MAX)};
    uint32_t pod_name = keep(&s, event->name), ns = keep(&s, event->ns), uid = keep(&s, event->uid);
    uint32_t reason = keep(&s, event->reason), action = keep(&s, event->action);
    uint32_t note_at = keep(&s, note);
    uint32_t controller = keep(&s, event->controller), instance = keep(&s, event->instance);
    uint32_t other_ns = keep(&s, event->related_ns), other = keep(&s, event->related_name);
    uint32_t other_uid = keep(&s, event->related_uid);
    int rc = s.buf.failed;
    if (rc == 0) {
        Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
        Kube__ObjectReference regarding = KUBE__OBJECT_REFERENCE__INIT;
        Kube__EventSeries series = KUBE__EVENT_SERIES__INIT;
        Kube__MicroTime first = micro_time(event->stamp_ns), last = micro_time(event->last_ns);
        Kube__Event message = KUBE__EVENT__INIT;
        meta.name = name;
        meta.namespace_ = kept(&s, ns);
        Kube__ObjectReference related = KUBE__OBJECT_REFERENCE__INIT;
        pod_reference(&regarding, kept(&s, ns), kept(&s, pod_name), kept(&s, uid));
        pod_reference(&related, kept(&s, other_ns), kept(&s, other), kept(&s, other_uid));
        series.has_count = 1;
        series.count = event->count > INT32_MAX ? INT32_MAX : (int32_t)event->count;
        series.lastobservedtime = &last;
        message.metadata = &meta;
        message.eventtime = &first;
        message.series = event->count > 1 ? &series : NULL;
        message.reportingcontroller = kept(&s, controller);
        message.reportinginstance = kept(&s, instance);
        message.action = kept(&s, action);
        message.reason = kept(&s, reason);
        message.regarding = &regarding;
        message.related = event->related_name.len > 0 ? &related : NULL;
        message.note = kept(&s, note_at);
        message.type = event->warning ? warning : normal;
        rc = pack(out, &message);
    }
    mu_buf_fini(&s.buf);
    return rc;
}
