/*
 * Objects that describe gangs, and the lists and watch streams that bring them, in JSON. The first
 * byte chooses the kind, and whether the rest is one object, a list, a watch stream or a Status;
 * the second lets that allocation fail, or gives an arena of little room.
 *
 * What is read holds what the cluster DB takes: an object whose field is wrong is marked, so that
 * nobody stays at an older version of it. A stream yields the same events however it is cut.
 *
 * covers: informer/codec_group.c informer/codec_json.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/limits.h"
#include "informer/codec_group.h"
#include "informer/codec_json.h"

enum { ARENA_BYTES = 1 << 20, SMALL = 224, SMALL_STEP = 48, SOURCES = 8 };
enum { ONE, LIST, STREAM, STATUS, FORMS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every kind that is read, and one that is none. */
static enum mu_gang_source source_of(uint32_t number)
{
    static const struct {
        const char *version, *kind;
    } kinds[SOURCES] = {{"scheduling.k8s.io/v1beta1", "PodGroup"},
                        {"scheduling.k8s.io/v1alpha1", "Workload"},
                        {"scheduling.x-k8s.io/v1alpha1", "PodGroup"},
                        {"scheduling.volcano.sh/v1beta1", "PodGroup"},
                        {"scheduling.run.ai/v2alpha2", "PodGroup"},
                        {"scheduling.godel.kubewharf.io/v1alpha1", "PodGroup"},
                        {"scheduling.k8s.io/v1alpha2", "PodGroup"},
                        {"scheduling.k8s.io/v1alpha2", "Workload"}};
    const enum mu_gang_source source =
        mu_group_source(mu_str_of(kinds[number].version), mu_str_of(kinds[number].kind));
    return source == MU_GANG_SOLO ? MU_GANG_GODEL : source;
}

static bool is_text(struct mu_str text)
{
    return text.data != NULL && memchr(text.data, '\0', text.len) == NULL;
}

static void check_object(const struct mu_group_object *o, const struct mu_error *warn)
{
    MU_ASSERT(o->name.len > 0 && o->name.len <= MU_NAME_BYTES_MAX && is_text(o->name));
    MU_ASSERT(o->ns.len <= 63);
    MU_ASSERT(((o->unbuilt & MU_RULE_GANG_SPEC) != 0) == (warn->code != 0));
    MU_ASSERT(o->min <= MU_GANG_MEMBERS_MAX && o->subgroup_count <= MU_SUBGROUPS_MAX);
    for (uint32_t i = 0; i < o->subgroup_count; i++)
        MU_ASSERT(o->subgroups[i].min <= MU_GANG_MEMBERS_MAX);
    MU_ASSERT(!o->pack_required || o->pack_key.len > 0);
}

struct reader {
    struct mu_arena *arena;
    enum mu_gang_source source;
    uint64_t digest;
    uint32_t count;
};

static int read_object(void *context, struct mu_str raw)
{
    struct reader *r = context;
    struct mu_group_object object = {.version = 0};
    struct mu_error warn = {0, ""}, error = {0, ""};
    struct mu_object_meta meta;
    mu_arena_reset(r->arena);
    int rc = mu_group_decode(r->source, raw, r->arena, &object, &warn, &error);
    MU_ASSERT(rc == 0 || rc == MU_EPROTO || rc == MU_ENOMEM);
    MU_ASSERT(rc == error.code);
    if (rc == 0)
        check_object(&object, &warn);
    /* The scanner takes whatever JSON the parser takes, as deep as it looks. */
    if (mu_json_meta_decode(raw, &meta, &error) == 0 && rc == 0 && meta.version != 0)
        MU_ASSERT(meta.version == object.version);
    r->count++;
    r->digest = r->digest * 31 + raw.len;
    return 0;
}

static int read_event(void *context, const struct mu_watch_event *event)
{
    struct reader *r = context;
    r->digest = r->digest * 31 + (uint64_t)event->type;
    return read_object(context, event->object.raw);
}

/* Feed a stream in pieces of `step` bytes. */
static int feed(struct reader *r, struct mu_str text, uint32_t step)
{
    struct mu_watch_decoder decoder;
    struct mu_error error = {0, ""};
    int rc = 0;
    mu_watch_decoder_init_json(&decoder);
    for (uint32_t at = 0; at < text.len && rc == 0; at += step) {
        const uint32_t len = text.len - at < step ? text.len - at : step;
        rc = mu_watch_decoder_feed(&decoder, (struct mu_str){text.data + at, len}, read_event, r,
                                   &error);
    }
    (void)mu_watch_decoder_partial(&decoder);
    mu_watch_decoder_fini(&decoder);
    return rc;
}

static void run(struct reader *r, struct mu_str text, int form, bool starved)
{
    struct mu_list_head head;
    struct mu_status status;
    struct mu_error error = {0, ""};
    struct reader twin = {.arena = r->arena, .source = r->source};
    switch (form) {
    case ONE:
        (void)read_object(r, text);
        break;
    case LIST:
        if (mu_json_list_open(text, &head, read_object, r, &error) != 0)
            MU_ASSERT(r->count == 0 && error.code == MU_EPROTO);
        break;
    case STREAM: {
        int rc = feed(r, text, 7);
        int other = feed(&twin, text, UINT32_MAX);
        MU_ASSERT(starved || (rc == other && r->digest == twin.digest));
        break;
    }
    default:
        mu_arena_reset(r->arena);
        (void)mu_json_status_decode(text, r->arena, &status);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 1 << 16)
        return 0;
    const size_t live = mu_mem_live_bytes();
    const bool small = data[1] >= SMALL;
    struct reader r = {
        .arena = mu_arena_create(small ? SMALL_STEP * (size_t)(data[1] - SMALL + 1) : ARENA_BYTES),
        .source = source_of(data[0] / FORMS % SOURCES)};
    MU_ASSERT(r.arena != NULL);
    const struct mu_str text = {(const char *)data + 2, (uint32_t)size - 2};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = small ? 0 : data[1]});
    run(&r, text, data[0] % FORMS, small || data[1] != 0);
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_arena_destroy(r.arena);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
