#include "informer/report_group.h"

#include <inttypes.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "informer/call.h"
#include "informer/report_priv.h"

/*
 * Saying and reading are two ways to one struct mu_group_said: what an object shows is read into
 * the same words that would be written, so that the digests of both tell whether a write would
 * change anything, also after a restart.
 *
 * A gang that does not wait and does not stand either is one of which members have ended, or are on
 * their way: whatever was said of it stays true.
 */

#define V1ALPHA2_END "/v1alpha2" /* 1.36: the condition had another name */

static const char initially_scheduled[] = "PodGroupInitiallyScheduled";
static const char scheduled_1_36[] = "PodGroupScheduled";

bool mu_group_has_status(enum mu_gang_source source)
{
    return source == MU_GANG_NATIVE || source == MU_GANG_COSCHEDULING || source == MU_GANG_VOLCANO;
}

uint64_t mu_group_said_digest(const struct mu_group_said *said)
{
    uint64_t digest = mu_hash_mix(mu_hash_str(said->phase, said->shown), said->running);
    digest = mu_hash_str(said->message, mu_hash_str(said->reason, digest));
    return digest != 0 ? digest : 1;
}

static bool is(struct mu_str text, const char *word)
{
    return mu_str_equal(text, mu_str_of(word));
}

/* --- reading --------------------------------------------------------------------------------- */

static struct mu_str text_at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len > UINT32_MAX)
        return MU_STR("");
    return (struct mu_str){json_string_value(value), (uint32_t)len};
}

static uint32_t count_at(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value < 0 || value > INT32_MAX ? 0 : (uint32_t)value;
}

static void read_condition(const json_t *condition, struct mu_group_said *out)
{
    out->reason = text_at(condition, "reason");
    out->message = text_at(condition, "message");
}

static void read_native(const json_t *status, struct mu_group_said *out)
{
    size_t i;
    json_t *condition;
    json_array_foreach(json_object_get(status, "conditions"), i, condition)
    {
        struct mu_str type = text_at(condition, "type");
        if (!is(type, initially_scheduled) && !is(type, scheduled_1_36))
            continue;
        bool placed = is(text_at(condition, "status"), "True");
        out->shown = placed ? MU_GROUP_SHOWS_PLACED : MU_GROUP_SHOWS_WAITING;
        read_condition(condition, out);
    }
}

static void read_coscheduling(const json_t *status, struct mu_group_said *out)
{
    out->phase = text_at(status, "phase");
    out->running = count_at(status, "running");
    if (is(out->phase, "Running"))
        out->shown |= MU_GROUP_SHOWS_PLACED;
    if (is(out->phase, "Finished") || is(out->phase, "Failed"))
        out->shown |= MU_GROUP_SHOWS_ENDED;
    if (text_at(status, "scheduleStartTime").len > 0)
        out->shown |= MU_GROUP_SHOWS_START;
}

static void read_volcano(const json_t *status, struct mu_group_said *out)
{
    size_t i;
    json_t *condition;
    out->phase = text_at(status, "phase");
    out->running = count_at(status, "running");
    if (is(out->phase, "Completed"))
        out->shown |= MU_GROUP_SHOWS_ENDED;
    json_array_foreach(json_object_get(status, "conditions"), i, condition)
    {
        struct mu_str type = text_at(condition, "type");
        if (is(type, "Unschedulable"))
            out->shown |= MU_GROUP_SHOWS_WAITING;
        else if (is(type, "Scheduled"))
            out->shown |= MU_GROUP_SHOWS_PLACED;
        else
            continue;
        read_condition(condition, out);
    }
}

void mu_group_status_read(const json_t *tree, struct mu_group_object *object)
{
    const json_t *status = json_object_get(tree, "status");
    struct mu_group_said said = {.source = object->source, .phase = MU_STR("")};
    said.reason = said.message = MU_STR("");
    object->report = 0;
    object->shown = 0;
    if (object->source == MU_GANG_NATIVE)
        read_native(status, &said);
    else if (object->source == MU_GANG_COSCHEDULING)
        read_coscheduling(status, &said);
    else if (object->source == MU_GANG_VOLCANO)
        read_volcano(status, &said);
    if (said.shown == 0 && said.phase.len == 0)
        return;
    object->shown = said.shown;
    object->report = mu_group_said_digest(&said);
}

/* --- saying ---------------------------------------------------------------------------------- */

static bool say_native(const struct mu_report_group *g, struct mu_group_said *out)
{
    if ((g->shown & MU_GROUP_SHOWS_PLACED) != 0)
        return false;
    if (g->stands) {
        out->shown = MU_GROUP_SHOWS_PLACED;
        out->reason = MU_STR("Scheduled");
        out->message = MU_STR("");
        return true;
    }
    out->shown = MU_GROUP_SHOWS_WAITING;
    return out->message.len > 0;
}

static bool say_coscheduling(const struct mu_report_group *g, struct mu_group_said *out)
{
    const bool waits = out->message.len > 0;
    const bool runs = g->running >= g->min;
    out->reason = out->message = MU_STR("");
    out->running = g->running;
    out->shown = MU_GROUP_SHOWS_START;
    if (g->members < g->min && waits) {
        out->phase = MU_STR("Pending");
        out->shown = g->shown & MU_GROUP_SHOWS_START;
        return true;
    }
    if (g->stands && runs) {
        out->phase = MU_STR("Running");
        out->shown |= MU_GROUP_SHOWS_PLACED;
        return true;
    }
    out->phase = MU_STR("Scheduling");
    return waits || (g->stands && (g->shown & MU_GROUP_SHOWS_PLACED) == 0);
}

static bool say_volcano(const struct mu_report_group *g, struct mu_group_said *out)
{
    out->running = g->running;
    if (g->stands || (out->message.len == 0 && (g->shown & MU_GROUP_SHOWS_PLACED) != 0)) {
        out->phase = MU_STR("Running");
        out->reason = MU_STR("tasks in gang are ready to be scheduled");
        out->message = MU_STR("");
        out->shown = MU_GROUP_SHOWS_PLACED;
        return true;
    }
    out->phase = g->bound > 0 ? MU_STR("Unknown") : MU_STR("Inqueue");
    out->reason = MU_STR("NotEnoughResources"); /* its word for whatever keeps a gang waiting */
    out->shown = MU_GROUP_SHOWS_WAITING;
    return out->message.len > 0;
}

bool mu_group_say(const struct mu_report_group *group, struct mu_str reason, struct mu_str message,
                  struct mu_group_said *out)
{
    *out = (struct mu_group_said){
        .source = group->source, .phase = MU_STR(""), .reason = reason, .message = message};
    if ((group->shown & MU_GROUP_SHOWS_ENDED) != 0)
        return false;
    if (group->single && !group->stands)
        return false;
    switch (group->source) {
    case MU_GANG_NATIVE:
        return say_native(group, out);
    case MU_GANG_COSCHEDULING:
        return say_coscheduling(group, out);
    case MU_GANG_VOLCANO:
        return say_volcano(group, out);
    default:
        return false;
    }
}

/* --- writing --------------------------------------------------------------------------------- */

void mu_group_status_path(struct mu_buf *out, const struct mu_report_group *group, bool main)
{
    (void)mu_buf_append_str(out, group->api);
    (void)mu_buf_append_text(out, "/namespaces/");
    (void)mu_path_append_encoded(out, group->ns);
    (void)mu_buf_append_text(out, "/podgroups/");
    (void)mu_path_append_encoded(out, group->name);
    if (!main)
        (void)mu_buf_append_text(out, "/status");
}

static void put_member(struct mu_buf *out, const char *key, struct mu_str value)
{
    (void)mu_buf_printf(out, ",\"%s\":", key);
    mu_report_put_json(out, value);
}

static void put_stamp(struct mu_buf *out, const char *key, uint64_t wall_s)
{
    (void)mu_buf_printf(out, ",\"%s\":\"", key);
    mu_report_put_time(out, wall_s);
    (void)mu_buf_append_text(out, "Z\"");
}

/* Where the status stays as it is, so does the time of its last change: a merge by type keeps it.
 */
static void put_native(struct mu_buf *out, const struct mu_report_group *group,
                       const struct mu_group_said *said, uint64_t wall_s)
{
    bool old = group->api.len >= sizeof V1ALPHA2_END - 1 &&
               memcmp(group->api.data + group->api.len - (sizeof V1ALPHA2_END - 1), V1ALPHA2_END,
                      sizeof V1ALPHA2_END - 1) == 0;
    bool placed = (said->shown & MU_GROUP_SHOWS_PLACED) != 0;
    (void)mu_buf_printf(out, "\"conditions\":[{\"type\":\"%s\",\"status\":\"%s\"",
                        old ? scheduled_1_36 : initially_scheduled, placed ? "True" : "False");
    put_member(out, "reason", said->reason);
    put_member(out, "message", said->message);
    if (placed || (group->shown & MU_GROUP_SHOWS_WAITING) == 0)
        put_stamp(out, "lastTransitionTime", wall_s);
    (void)mu_buf_append_text(out, "}]");
}

static void put_coscheduling(struct mu_buf *out, const struct mu_report_group *group,
                             const struct mu_group_said *said, uint64_t wall_s)
{
    (void)mu_buf_printf(out, "\"phase\":\"%.*s\",\"running\":%" PRIu32, MU_STR_ARGS(said->phase),
                        said->running);
    if ((said->shown & ~group->shown & MU_GROUP_SHOWS_START) != 0)
        put_stamp(out, "scheduleStartTime", wall_s);
}

/* There are no other conditions than these two, and the scheduler's is the only hand in the list.
 */
static void put_volcano(struct mu_buf *out, const struct mu_group_said *said, uint64_t wall_s)
{
    bool placed = (said->shown & MU_GROUP_SHOWS_PLACED) != 0;
    (void)mu_buf_printf(out, "\"phase\":\"%.*s\",\"running\":%" PRIu32, MU_STR_ARGS(said->phase),
                        said->running);
    (void)mu_buf_printf(out, ",\"conditions\":[{\"type\":\"%s\",\"status\":\"True\"",
                        placed ? "Scheduled" : "Unschedulable");
    (void)mu_buf_printf(out, ",\"transitionID\":\"%" PRIx64 "\"", wall_s);
    put_stamp(out, "lastTransitionTime", wall_s);
    put_member(out, "reason", said->reason);
    put_member(out, "message", said->message);
    (void)mu_buf_append_text(out, "}]");
}

void mu_group_status_body(struct mu_buf *out, const struct mu_report_group *group,
                          const struct mu_group_said *said, uint64_t wall_s)
{
    MU_ASSERT(mu_group_has_status(group->source) && said->source == group->source);
    (void)mu_buf_printf(out, "{\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"},\"status\":{",
                        group->version);
    if (group->source == MU_GANG_NATIVE)
        put_native(out, group, said, wall_s);
    else if (group->source == MU_GANG_COSCHEDULING)
        put_coscheduling(out, group, said, wall_s);
    else
        put_volcano(out, said, wall_s);
    (void)mu_buf_append_text(out, "}}");
}
