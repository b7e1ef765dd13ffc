/* The objects that were read, by number and by name, and what there is to complain about. */
#include "tools/manifest/manifest_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

#define LINE_BYTES 1024

struct key {
    enum mu_manifest_kind kind;
    struct mu_str ns, name;
};

static uint64_t key_hash(enum mu_manifest_kind kind, struct mu_str ns, struct mu_str name)
{
    return mu_hash_str(name, mu_hash_str(ns, (uint64_t)kind));
}

static bool key_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_manifest *m = context;
    const struct mu_manifest_object *o = &m->objects[value];
    const struct key *k = key;
    return o->kind == k->kind && mu_str_equal(o->name, k->name) && mu_str_equal(o->ns, k->ns);
}

static uint64_t hash_of(const void *context, uint32_t value)
{
    const struct mu_manifest *m = context;
    const struct mu_manifest_object *o = &m->objects[value];
    return key_hash(o->kind, o->ns, o->name);
}

struct mu_manifest *mu_manifest_create(void)
{
    struct mu_manifest *m = mu_mem_zalloc(sizeof *m);
    if (m == NULL)
        return NULL;
    m->store = mu_arena_create(MU_MANIFEST_STORE_MAX);
    m->scratch = mu_arena_create(MU_MANIFEST_ARENA_MAX);
    m->by_name = mu_index_create(0, key_equal, hash_of, m);
    if (m->store == NULL || m->scratch == NULL || m->by_name == NULL) {
        mu_manifest_destroy(m);
        return NULL;
    }
    return m;
}

void mu_manifest_destroy(struct mu_manifest *m)
{
    if (m == NULL)
        return;
    mu_index_destroy(m->by_name);
    mu_arena_destroy(m->store);
    mu_arena_destroy(m->scratch);
    mu_mem_free(m->objects);
    mu_buf_fini(&m->errors);
    mu_buf_fini(&m->notes);
    mu_mem_free(m);
}

void mu_manifest_set_progress(struct mu_manifest *m, mu_manifest_progress_fn progress,
                              void *context)
{
    m->progress = progress;
    m->progress_context = context;
}

/* ---- complaints --------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 0))) static void put_line(struct mu_manifest *m,
                                                           struct mu_buf *out,
                                                           const struct mu_manifest_place *place,
                                                           const char *format, va_list args)
{
    char line[LINE_BYTES];
    const struct mu_str none = {NULL, 0};
    /* A namespace alone says nothing, nor does a name of one knows not what. */
    struct mu_str name = place->kind.len > 0 ? place->name : none;
    struct mu_str ns = name.len > 0 ? place->ns : none;
    int n = snprintf(line, sizeof line, "%.*s:%" PRIu32 ": %.*s%s%.*s%s%.*s%s",
                     MU_STR_ARGS(m->files[place->file]), place->line, MU_STR_ARGS(place->kind),
                     name.len > 0 ? " " : "", MU_STR_ARGS(ns), ns.len > 0 ? "/" : "",
                     MU_STR_ARGS(name), place->kind.len > 0 ? ": " : "");
    size_t at = n > 0 && (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    (void)vsnprintf(line + at, sizeof line - at, format, args);
    for (char *c = line; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x20 || *c == 0x7F ? '?' : *c;
    (void)mu_buf_printf(out, "%s\n", line);
}

void mu_manifest_error(struct mu_manifest *m, const struct mu_manifest_place *place,
                       const char *format, ...)
{
    if (m->error_count++ >= MU_MANIFEST_LINES_MAX)
        return;
    va_list args;
    va_start(args, format);
    put_line(m, &m->errors, place, format, args);
    va_end(args);
}

void mu_manifest_note(struct mu_manifest *m, const struct mu_manifest_place *place,
                      const char *format, ...)
{
    if (m->note_count++ >= MU_MANIFEST_LINES_MAX)
        return;
    va_list args;
    va_start(args, format);
    put_line(m, &m->notes, place, format, args);
    va_end(args);
}

uint32_t mu_manifest_error_count(const struct mu_manifest *m)
{
    return m->error_count;
}

struct mu_str mu_manifest_errors(struct mu_manifest *m)
{
    if (m->error_count > MU_MANIFEST_LINES_MAX)
        (void)mu_buf_printf(&m->errors, "and %" PRIu32 " more\n",
                            m->error_count - MU_MANIFEST_LINES_MAX);
    m->error_count =
        m->error_count > MU_MANIFEST_LINES_MAX ? MU_MANIFEST_LINES_MAX : m->error_count;
    return (struct mu_str){(const char *)m->errors.data, (uint32_t)m->errors.len};
}

/* Why a kind is skipped, where that is not for want of any part in placing. */
static const char *skip_reason(const char *kind)
{
    static const char makes_none[] = "no pods are made of it";
    static const char gives_none[] = "what it would give to pods is not applied";
    static const struct {
        const char *kind, *reason;
    } known[] = {{"Deployment", makes_none},
                 {"ReplicaSet", makes_none},
                 {"StatefulSet", makes_none},
                 {"DaemonSet", makes_none},
                 {"Job", makes_none},
                 {"CronJob", makes_none},
                 {"ReplicationController", makes_none},
                 {"LimitRange", gives_none},
                 {"RuntimeClass", gives_none},
                 {"PodGroup", "its apiVersion is not known here"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(kind, known[i].kind) == 0)
            return known[i].reason;
    return "no part in placing";
}

/* One line for all of them, about the first. */
static void note_aside(struct mu_manifest *m, struct mu_manifest_aside *aside, const char *what,
                       struct mu_str node)
{
    const uint32_t count = aside->count;
    if (count == 0)
        return;
    struct mu_manifest_place place = mu_manifest_place_of(m, &m->objects[aside->first]);
    aside->count = 0;
    if (count == 1)
        mu_manifest_note(m, &place, "%s%.*s", what, MU_STR_ARGS(node));
    else
        mu_manifest_note(m, &place, "%s%.*s (%" PRIu32 " such pods)", what, MU_STR_ARGS(node),
                         count);
}

/* The kinds that were skipped become lines when they are all known. */
struct mu_str mu_manifest_notes(struct mu_manifest *m)
{
    note_aside(m, &m->others, "left out, another scheduler places it", MU_STR(""));
    note_aside(m, &m->astray, "charged to nobody, its node is not in the input: ", m->astray_node);
    if (m->note_count > MU_MANIFEST_LINES_MAX)
        (void)mu_buf_printf(&m->notes, "and %" PRIu32 " more\n",
                            m->note_count - MU_MANIFEST_LINES_MAX);
    m->note_count = 0;
    for (uint32_t i = 0; i < m->skipped_kinds; i++) {
        const struct mu_manifest_skipped *s = &m->skipped[i];
        (void)mu_buf_printf(&m->notes, "%.*s:%" PRIu32 ": %s: skipped, %s",
                            MU_STR_ARGS(m->files[s->file]), s->line, s->kind, skip_reason(s->kind));
        if (s->count > 1)
            (void)mu_buf_printf(&m->notes, " (%" PRIu32 " objects)", s->count);
        (void)mu_buf_append_text(&m->notes, "\n");
    }
    m->skipped_kinds = 0;
    return (struct mu_str){(const char *)m->notes.data, (uint32_t)m->notes.len};
}

const char *mu_manifest_kind_name(enum mu_manifest_kind kind)
{
    static const char *const names[] = {"Pod", "Node", "Namespace", "PriorityClass",
                                        "PodDisruptionBudget"};
    MU_ASSERT((unsigned)kind < MU_OBJECT_KINDS);
    if (kind == MU_OBJECT_GROUP + (unsigned)MU_GANG_WORKLOAD)
        return "Workload";
    return kind >= MU_OBJECT_GROUP ? "PodGroup" : names[kind];
}

struct mu_manifest_place mu_manifest_place_of(const struct mu_manifest *m,
                                              const struct mu_manifest_object *object)
{
    (void)m;
    return (struct mu_manifest_place){.file = object->file,
                                      .line = object->line,
                                      .kind = mu_str_of(mu_manifest_kind_name(object->kind)),
                                      .ns = object->ns,
                                      .name = object->name};
}

/* ---- objects ------------------------------------------------------------------------------ */

uint32_t mu_manifest_lookup(const struct mu_manifest *m, enum mu_manifest_kind kind,
                            struct mu_str ns, struct mu_str name)
{
    struct key key = {kind, ns, name};
    return mu_index_find(m->by_name, key_hash(kind, ns, name), &key);
}

int mu_manifest_add(struct mu_manifest *m, const struct mu_manifest_object *object)
{
    void *array = m->objects;
    int rc = mu_mem_grow(&array, &m->object_cap, m->object_count + 1, MU_PODS_MAX + MU_NODES_MAX,
                         sizeof *m->objects);
    m->objects = array;
    if (rc != 0)
        return rc;
    struct mu_manifest_object *o = &m->objects[m->object_count];
    *o = *object;
    o->raw = mu_arena_str(m->store, object->raw);
    o->ns = mu_arena_str(m->store, object->ns);
    o->name = mu_arena_str(m->store, object->name);
    o->priority_class = mu_arena_str(m->store, object->priority_class);
    o->group = mu_arena_str(m->store, object->group);
    if (o->raw.data == NULL || o->ns.data == NULL || o->name.data == NULL ||
        o->priority_class.data == NULL || o->group.data == NULL ||
        mu_index_insert(m->by_name, key_hash(o->kind, o->ns, o->name), m->object_count) != 0)
        return MU_ENOMEM;
    m->object_count++;
    m->counts[o->kind]++;
    if (o->created_s > m->created_max_s)
        m->created_max_s = o->created_s;
    return 0;
}

bool mu_manifest_find(const struct mu_manifest *m, struct mu_str ns, struct mu_str name,
                      struct mu_uid *out)
{
    uint32_t found = mu_manifest_lookup(m, MU_OBJECT_POD, ns, name);
    if (found == MU_INDEX_NONE)
        return false;
    *out = (struct mu_uid){MU_MANIFEST_UID_HI, (uint64_t)found + 1};
    return true;
}

void mu_manifest_counts(const struct mu_manifest *m, struct mu_manifest_counts *out)
{
    *out = (struct mu_manifest_counts){.nodes = m->counts[MU_OBJECT_NODE],
                                       .pods = m->counts[MU_OBJECT_POD],
                                       .namespaces = m->counts[MU_OBJECT_NAMESPACE],
                                       .priority_classes = m->counts[MU_OBJECT_PRIORITY],
                                       .budgets = m->counts[MU_OBJECT_BUDGET],
                                       .skipped = m->skipped_count};
    for (uint32_t kind = MU_OBJECT_GROUP; kind < MU_OBJECT_KINDS; kind++)
        out->groups += m->counts[kind];
}

void mu_manifest_was(const struct mu_manifest *m, struct mu_manifest_was *out)
{
    *out = m->was;
}

struct mu_str mu_manifest_uid_text(uint32_t object, char *buf)
{
    uint64_t hi = MU_MANIFEST_UID_HI;
    uint64_t lo = (uint64_t)object + 1;
    int n =
        snprintf(buf, MU_UID_BYTES_MAX + 1,
                 "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, hi >> 32,
                 hi >> 16 & 0xFFFF, hi & 0xFFFF, lo >> 48, lo & UINT64_C(0xFFFFFFFFFFFF));
    return (struct mu_str){buf, (uint32_t)n};
}
