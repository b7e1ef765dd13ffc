/*
 * Texts in. A piece becomes a tree of jansson, a tree an encoding by the complete schema (which is
 * the check of grammar and types), and the encoding the trimmed message that the rules read: it is
 * checked, gets its defaults, and is kept encoded. So whatever decodes objects from an API server
 * decodes these.
 *
 * What is wrong with one object is told and ends its reading, not that of the others.
 */
#include "tools/manifest/manifest_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "engine/base/assert.h"
#include "informer/codec_group.h"
#include "informer/json_read.h"
#include "informer/limits.h"
#include "informer/yaml_json.h"
#include "informer/yaml_line.h"
#include "tools/kubesim/kinds.h"
#include "tools/kubesim/pod_defaults.h"
#include "tools/manifest/check.h"
#include "tools/manifest/split.h"
#include "tools/manifest/unknown.h"

#define PATH_BYTES     512
#define PROGRESS_EVERY 256u

struct reader {
    struct mu_manifest *m;
    uint16_t file;
    uint32_t bytes;       /* of the text */
    uint32_t piece_count; /* so far */
    int fatal;            /* MU_ENOMEM: nothing more can be read */
    uint32_t head_line;   /* of the piece: where its object starts */
    struct mu_buf narrow; /* a piece of JSON without its indentation */
    /* Of the list whose items come: what they are when they do not say. */
    char item_kind[64], item_version[64];
};

/* An object on its way: where it stands and what it says it is. */
struct object {
    struct reader *r;
    const struct mu_piece *piece;
    const char *prefix; /* of paths in the piece: "" or "items[3]" */
    const json_t *tree;
    struct mu_manifest_place place;
};

/* ---- complaints --------------------------------------------------------------------------- */

/* The line of a piece on which its object starts: behind comments and what starts a document. */
static uint32_t head_line(const struct mu_piece *piece)
{
    const char *at = piece->text.data;
    const char *end = at + piece->text.len;
    for (uint32_t line = piece->line; at < end; line++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *next = feed != NULL ? feed + 1 : end;
        bool marker = next - at >= 3 && memcmp(at, "---", 3) == 0;
        at += marker ? 3 : *at == '%' ? next - at : 0;
        while (at < next && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
            at++;
        if (at < next && *at != '#')
            return line;
        at = next;
    }
    return piece->line;
}

/* The place of a field of the object; of the object when enough text was searched already. */
static struct mu_manifest_place place_of(const struct object *o, const char *path)
{
    char full[2 * PATH_BYTES];
    struct mu_manifest *m = o->r->m;
    const char *dot = o->prefix[0] != '\0' && path[0] != '\0' ? "." : "";
    (void)snprintf(full, sizeof full, "%s%s%s", o->prefix, dot, path);
    struct mu_manifest_place place = o->place;
    if (full[0] == '\0' || m->searched_bytes + o->piece->text.len > MU_MANIFEST_SEARCH_MAX)
        return place;
    m->searched_bytes += o->piece->text.len;
    place.line = o->piece->line + mu_yaml_line(o->piece->text, full) - 1;
    return place;
}

static void fault(const struct object *o, const char *path, const char *problem)
{
    struct mu_manifest_place place = place_of(o, path);
    mu_manifest_error(o->r->m, &place, "%s%s%s", path, path[0] != '\0' ? ": " : "", problem);
}

/* An error whose text starts with the field's path and a colon. */
static void fault_text(const struct object *o, const char *text)
{
    char path[PATH_BYTES] = "";
    const char *colon = strstr(text, ": ");
    if (colon != NULL && (size_t)(colon - text) < sizeof path)
        memcpy(path, text, (size_t)(colon - text));
    struct mu_manifest_place place = place_of(o, path);
    mu_manifest_error(o->r->m, &place, "%s", text);
}

/* "line N: " in front of a text: how many bytes that is, and N; 0: it does not begin so. */
static uint32_t leading_line(struct mu_str text, uint32_t *line)
{
    uint32_t at = 5;
    if (!mu_str_starts_with(text, MU_STR("line ")))
        return 0;
    *line = 0;
    for (; at < text.len && text.data[at] >= '0' && text.data[at] <= '9' && *line < 1u << 24; at++)
        *line = *line * 10 + (uint32_t)(text.data[at] - '0');
    bool ends = at > 5 && at + 1 < text.len && text.data[at] == ':' && text.data[at + 1] == ' ';
    return ends ? at + 2 : 0;
}

/* The path in a text like: unknown field "spec.a". Empty: there is none. */
static void quoted_path(struct mu_str text, char out[PATH_BYTES])
{
    const char *open = memchr(text.data, '"', text.len);
    const char *end = text.data + text.len;
    const char *close = open != NULL ? memchr(open + 1, '"', (size_t)(end - open - 1)) : NULL;
    bool fits = close != NULL && close - open - 1 < PATH_BYTES;
    (void)snprintf(out, PATH_BYTES, "%.*s", fits ? (int)(close - open - 1) : 0,
                   fits ? open + 1 : "");
}

/* Unknown fields change nothing; of doubled ones the last counts, as it does for an API server that
 * is not asked to be strict. What YAML says of keys starts with a line of the piece, where the
 * later one stands; else the field has one. */
static void note_problems(const struct object *o, const struct mu_json_problems *problems)
{
    if (problems->lines.len == 0)
        return;
    const char *at = (const char *)problems->lines.data;
    const char *end = at + problems->lines.len;
    for (uint32_t i = 0; i < problems->count && at < end; i++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        struct mu_str text = {at, (uint32_t)((feed != NULL ? feed : end) - at)};
        struct mu_manifest_place place = o->place;
        uint32_t line = 0;
        uint32_t used = leading_line(text, &line);
        at += text.len + 1;
        if (used > 0) {
            place.line = o->piece->line + line - 1;
            text = (struct mu_str){text.data + used, text.len - used};
        } else if (o->r->m->note_count < MU_MANIFEST_LINES_MAX) {
            char path[PATH_BYTES];
            quoted_path(text, path);
            place = place_of(o, path);
        }
        bool unknown = mu_str_starts_with(text, MU_STR("unknown field"));
        mu_manifest_note(o->r->m, &place, "%.*s: %s", MU_STR_ARGS(text),
                         unknown    ? "ignored"
                         : used > 0 ? "the value here replaces the earlier one"
                                    : "the last of its values counts");
    }
}

static void note_unknown(void *object, const char *path, const char *text)
{
    const struct object *o = object;
    struct mu_manifest_place place = place_of(o, path);
    mu_manifest_note(o->r->m, &place, "%s", text);
}

/* ---- messages ----------------------------------------------------------------------------- */

static void *arena_take(void *arena, size_t size)
{
    return mu_arena_alloc(arena, size);
}

static void arena_keep(void *arena, void *block)
{
    (void)arena;
    (void)block;
}

static struct mu_str pack(struct mu_arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = size <= MU_OBJECT_BYTES_MAX ? mu_arena_alloc(arena, size + 1) : NULL;
    if (bytes == NULL)
        return (struct mu_str){NULL, 0};
    (void)protobuf_c_message_pack(message, bytes);
    return (struct mu_str){(const char *)bytes, (uint32_t)size};
}

/* The scratch arena is bounded: it is full when the object is too large. No part of one takes half
 * of it, so an arena that is less than half full has not met its bound: then memory is out. */
static ProtobufCMessage *too_large(const struct object *o)
{
    if (mu_arena_used_bytes(o->r->m->scratch) > MU_MANIFEST_ARENA_MAX / 2)
        fault(o, "", "too large; expected at most 16 MiB, encoded");
    else
        o->r->fatal = MU_ENOMEM;
    return NULL;
}

/* The object as the message that rules read; NULL: it was complained about, or r->fatal. */
static ProtobufCMessage *read_message(const struct object *o, enum mu_kind_ix ix)
{
    const ProtobufCMessageDescriptor *schema = mu_kind_schema(&mu_kinds[ix]);
    const ProtobufCMessageDescriptor *type = mu_kinds[ix].descriptor;
    struct mu_arena *arena = o->r->m->scratch;
    struct mu_json_problems problems = {.count = 0};
    struct mu_error error = {0, ""};
    ProtobufCMessage *full = mu_arena_alloc(arena, schema->sizeof_message);
    if (full == NULL)
        return too_large(o);
    protobuf_c_message_init(schema, full);
    int rc = mu_json_message_read(full, o->tree, arena, &problems, &error);
    if (rc == 0)
        note_problems(o, &problems);
    mu_json_problems_fini(&problems);
    if (rc == MU_EINVAL) {
        fault_text(o, error.text);
        return NULL;
    }
    struct mu_str raw = rc == 0 ? pack(arena, full) : (struct mu_str){NULL, 0};
    ProtobufCAllocator allocator = {arena_take, arena_keep, arena};
    ProtobufCMessage *message =
        raw.data == NULL
            ? NULL
            : protobuf_c_message_unpack(type, &allocator, raw.len, (const uint8_t *)raw.data);
    return message != NULL ? message : too_large(o);
}

static struct mu_str json_text(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value)
               ? (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)}
               : (struct mu_str){NULL, 0};
}

/* What every kind gets: the UID of its number, and nothing of the versions of where it was. */
static void set_identity(struct mu_manifest *m, Kube__ObjectMeta *meta, char *uid)
{
    meta->uid = (char *)(uintptr_t)mu_manifest_uid_text(m->object_count, uid).data;
    meta->resourceversion = NULL;
}

/* Keep the object. False: complained about, or r->fatal. */
static void add(const struct object *o, struct mu_manifest_object *object)
{
    struct mu_manifest *m = o->r->m;
    object->file = o->r->file;
    object->line = o->place.line;
    uint32_t twin = mu_manifest_lookup(m, object->kind, object->ns, object->name);
    if (twin != MU_INDEX_NONE) {
        const struct mu_manifest_object *t = &m->objects[twin];
        struct mu_manifest_place place = place_of(o, "metadata.name");
        mu_manifest_error(m, &place, "metadata.name: the same object stands at %.*s:%" PRIu32,
                          MU_STR_ARGS(m->files[t->file]), t->line);
        return;
    }
    int rc = mu_manifest_add(m, object);
    if (rc != 0)
        o->r->fatal = rc;
}

/* ---- kinds -------------------------------------------------------------------------------- */

static void add_encoded(const struct object *o, struct mu_manifest_object *object,
                        const ProtobufCMessage *message)
{
    object->raw = pack(o->r->m->scratch, message);
    if (object->raw.data == NULL)
        (void)too_large(o);
    else
        add(o, object);
}

/* A name for who asks the server to make one. */
static void generate_name(struct mu_manifest *m, Kube__ObjectMeta *meta, char *name, size_t bytes)
{
    if ((meta->name != NULL && meta->name[0] != '\0') || meta->generatename == NULL)
        return;
    (void)snprintf(name, bytes, "%s%05" PRIu32, meta->generatename, m->object_count);
    meta->name = name;
}

static uint8_t policy_of(const char *text)
{
    if (text == NULL || text[0] == '\0')
        return MU_POLICY_UNSAID;
    return strcmp(text, "Never") == 0 ? MU_POLICY_NEVER : MU_POLICY_LOWER;
}

static void read_pod(struct object *o)
{
    Kube__Pod *pod = (Kube__Pod *)read_message(o, MU_KIND_PODS);
    struct mu_check check;
    char uid[MU_UID_BYTES_MAX + 1];
    char name[MU_NAME_BYTES_MAX + 16];
    static char default_namespace[] = "default";
    if (pod == NULL)
        return;
    Kube__ObjectMeta *meta = pod->metadata;
    if (meta != NULL)
        generate_name(o->r->m, meta, name, sizeof name);
    if (!mu_check_pod(pod, &check)) {
        fault(o, check.path, check.problem);
        return;
    }
    MU_ASSERT(meta != NULL); /* it has a name */
    mu_unknown_of_pod(meta, note_unknown, o);
    if (meta->namespace_ == NULL || meta->namespace_[0] == '\0')
        meta->namespace_ = default_namespace;
    set_identity(o->r->m, meta, uid);
    if (mu_pod_default(o->r->m->scratch, pod) != 0 ||
        mu_pod_default_tolerations(o->r->m->scratch, pod->spec) != 0) {
        (void)too_large(o);
        return;
    }
    struct mu_group_name group;
    if (mu_group_of_pod(pod, o->r->m->scratch, &group) != 0) {
        (void)too_large(o);
        return;
    }
    const Kube__Time *created = meta->creationtimestamp;
    struct mu_manifest_object object = {
        .kind = MU_OBJECT_POD,
        .ns = mu_str_of(meta->namespace_),
        .name = mu_str_of(meta->name),
        .priority_class = mu_str_of(pod->spec->priorityclassname),
        .priority = pod->spec->priority,
        .has_priority = pod->spec->has_priority,
        .policy = policy_of(pod->spec->preemptionpolicy),
        .group = group.name,
        .group_kind = (uint8_t)(MU_OBJECT_GROUP + group.source),
        .created_s = created != NULL && created->seconds > 0 ? (uint64_t)created->seconds : 0};
    add_encoded(o, &object, &pod->base);
}

/* What a node can take is what it has, where it does not say. */
static void default_allocatable(const struct object *o, Kube__Node *node)
{
    Kube__NodeStatus *status = node->status;
    if (status != NULL && status->n_allocatable == 0) {
        status->n_allocatable = status->n_capacity;
        status->allocatable = status->capacity;
    }
    bool pods = false;
    for (size_t i = 0; status != NULL && i < status->n_allocatable; i++)
        pods = pods || (status->allocatable[i]->key != NULL &&
                        strcmp(status->allocatable[i]->key, "pods") == 0);
    if (!pods)
        mu_manifest_note(o->r->m, &o->place,
                         "status.allocatable.pods: not stated, so that no pod fits");
}

static void read_node(struct object *o)
{
    Kube__Node *node = (Kube__Node *)read_message(o, MU_KIND_NODES);
    struct mu_check check;
    char uid[MU_UID_BYTES_MAX + 1];
    if (node == NULL)
        return;
    if (!mu_check_node(node, &check)) {
        fault(o, check.path, check.problem);
        return;
    }
    default_allocatable(o, node);
    mu_unknown_of_node(node, note_unknown, o);
    set_identity(o->r->m, node->metadata, uid);
    struct mu_manifest_object object = {.kind = MU_OBJECT_NODE,
                                        .name = mu_str_of(node->metadata->name)};
    add_encoded(o, &object, &node->base);
}

static void read_namespace(struct object *o)
{
    Kube__Namespace *ns = (Kube__Namespace *)read_message(o, MU_KIND_NAMESPACES);
    struct mu_check check;
    if (ns == NULL)
        return;
    if (!mu_check_namespace(ns, &check)) {
        fault(o, check.path, check.problem);
        return;
    }
    char uid[MU_UID_BYTES_MAX + 1];
    set_identity(o->r->m, ns->metadata, uid);
    if (mu_namespace_default(o->r->m->scratch, ns) != 0) {
        (void)too_large(o);
        return;
    }
    struct mu_manifest_object object = {.kind = MU_OBJECT_NAMESPACE,
                                        .name = mu_str_of(ns->metadata->name)};
    add_encoded(o, &object, &ns->base);
}

static void read_budget(struct object *o)
{
    Kube__PodDisruptionBudget *budget =
        (Kube__PodDisruptionBudget *)read_message(o, MU_KIND_DISRUPTIONBUDGETS);
    struct mu_check check;
    char uid[MU_UID_BYTES_MAX + 1];
    static char default_namespace[] = "default";
    if (budget == NULL)
        return;
    if (!mu_check_budget(budget, &check)) {
        fault(o, check.path, check.problem);
        return;
    }
    Kube__ObjectMeta *meta = budget->metadata;
    if (meta->namespace_ == NULL || meta->namespace_[0] == '\0')
        meta->namespace_ = default_namespace;
    set_identity(o->r->m, meta, uid);
    struct mu_manifest_object object = {
        .kind = MU_OBJECT_BUDGET, .ns = mu_str_of(meta->namespace_), .name = mu_str_of(meta->name)};
    add_encoded(o, &object, &budget->base);
}

static void read_priority_class(struct object *o)
{
    Kube__PriorityClass *class_ = (Kube__PriorityClass *)read_message(o, MU_KIND_PRIORITYCLASSES);
    struct mu_check check;
    if (class_ == NULL)
        return;
    if (!mu_check_priority_class(class_, &check)) {
        fault(o, check.path, check.problem);
        return;
    }
    struct mu_manifest_object object = {.kind = MU_OBJECT_PRIORITY,
                                        .name = mu_str_of(class_->metadata->name),
                                        .priority = class_->value,
                                        .has_priority = class_->globaldefault != 0,
                                        .policy = policy_of(class_->preemptionpolicy)};
    add(o, &object);
}

static void read_group(struct object *o, enum mu_gang_source source)
{
    struct mu_group_reading group;
    int rc = mu_group_read(source, o->tree, o->r->m->store, &group);
    struct mu_group_object *described = mu_arena_alloc(o->r->m->store, sizeof *described);
    if (rc == MU_EINVAL) {
        if (!group.beyond || group.object.name.len == 0) {
            fault(o, group.path, group.problem);
            return;
        }
        struct mu_manifest_place place = place_of(o, group.path);
        mu_manifest_note(o->r->m, &place, "%s: %s, so that no member is placed", group.path,
                         group.problem);
        rc = 0; /* it is sound for others: its gang waits, and nobody else */
    }
    if (rc != 0 || described == NULL) {
        o->r->fatal = MU_ENOMEM;
        return;
    }
    if (group.object.ns.len == 0)
        group.object.ns = MU_STR("default");
    *described = group.object;
    mu_unknown_of_group(source, o->tree, note_unknown, o);
    if (group.unbuilt != NULL) {
        struct mu_manifest_place place = place_of(o, group.unbuilt);
        mu_manifest_note(o->r->m, &place, "%s: not built yet, so that no member is placed",
                         group.unbuilt);
    }
    struct mu_manifest_object object = {.kind = (uint8_t)(MU_OBJECT_GROUP + source),
                                        .ns = group.object.ns,
                                        .name = group.object.name,
                                        .priority_class = group.priority_class,
                                        .priority = group.object.priority,
                                        .has_priority = group.object.has_priority,
                                        .policy = group.object.never_preempts ? MU_POLICY_NEVER
                                                                              : MU_POLICY_UNSAID,
                                        .described = described};
    add(o, &object);
}

static const struct {
    const char *kind;
    const char *version;
    void (*read)(struct object *o);
} kinds[] = {{"Pod", "v1", read_pod},
             {"Node", "v1", read_node},
             {"Namespace", "v1", read_namespace},
             {"PriorityClass", "scheduling.k8s.io/v1", read_priority_class},
             {"PodDisruptionBudget", "policy/v1", read_budget}};

static void skip_kind(const struct object *o)
{
    struct mu_manifest *m = o->r->m;
    m->skipped_count++;
    for (uint32_t i = 0; i < m->skipped_kinds; i++) {
        if (mu_str_equal(mu_str_of(m->skipped[i].kind), o->place.kind)) {
            m->skipped[i].count++;
            return;
        }
    }
    if (m->skipped_kinds == MU_MANIFEST_KINDS_MAX)
        return;
    struct mu_manifest_skipped *s = &m->skipped[m->skipped_kinds++];
    *s = (struct mu_manifest_skipped){.count = 1, .line = o->place.line, .file = o->r->file};
    (void)snprintf(s->kind, sizeof s->kind, "%.*s", MU_STR_ARGS(o->place.kind));
    for (char *c = s->kind; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x20 || *c == 0x7F ? '?' : *c;
}

/* A kind that is read here, but for its capitals. True: complained about. */
static bool is_other_case(const struct object *o)
{
    for (size_t i = 0; i <= sizeof kinds / sizeof kinds[0]; i++) {
        const char *kind = i < sizeof kinds / sizeof kinds[0] ? kinds[i].kind : "PodGroup";
        char problem[96];
        if (o->place.kind.len != strlen(kind) || mu_str_equal(o->place.kind, mu_str_of(kind)) ||
            strncasecmp(o->place.kind.data, kind, o->place.kind.len) != 0)
            continue;
        (void)snprintf(problem, sizeof problem, "'%.*s'; expected %s", MU_STR_ARGS(o->place.kind),
                       kind);
        fault(o, "kind", problem);
        return true;
    }
    return false;
}

/* ---- trees -------------------------------------------------------------------------------- */

static bool ends_with_list(struct mu_str kind)
{
    return kind.len >= 4 && memcmp(kind.data + kind.len - 4, "List", 4) == 0;
}

/* Items of this list are of the kind that its name says, where they do not say. */
static void set_item_kind(struct reader *r, struct mu_str kind, struct mu_str version)
{
    uint32_t len = kind.len - 4 < sizeof r->item_kind ? kind.len - 4 : 0;
    (void)snprintf(r->item_kind, sizeof r->item_kind, "%.*s", (int)len, kind.data);
    (void)snprintf(r->item_version, sizeof r->item_version, "%.*s",
                   version.len < sizeof r->item_version ? (int)version.len : 0,
                   version.len > 0 ? version.data : "");
}

/* Name the object as its tree does, which is one. */
static void identify(struct object *o, bool item, struct mu_str *version)
{
    const json_t *meta = json_object_get(o->tree, "metadata");
    o->place.kind = json_text(o->tree, "kind");
    o->place.name = json_text(meta, "name");
    if (o->place.name.len == 0)
        o->place.name = json_text(meta, "generateName");
    *version = json_text(o->tree, "apiVersion");
    bool inherits = item && o->place.kind.len == 0 && o->r->item_kind[0] != '\0';
    if (inherits) {
        o->place.kind = mu_str_of(o->r->item_kind);
        *version = mu_str_of(o->r->item_version);
    }
    if (mu_str_equal(o->place.kind, MU_STR("Pod")) ||
        mu_str_equal(o->place.kind, MU_STR("PodDisruptionBudget")) ||
        mu_str_equal(o->place.kind, MU_STR("PodGroup"))) {
        o->place.ns = json_text(meta, "namespace");
        if (o->place.ns.len == 0)
            o->place.ns = MU_STR("default");
    }
}

/* What the tree says it is. False: complained about. */
static bool read_type(struct object *o, bool item, struct mu_str *version)
{
    if (!json_is_object(o->tree)) {
        fault(o, "", "expected an object with apiVersion and kind");
        return false;
    }
    identify(o, item, version);
    if (o->place.kind.len == 0)
        fault(o, "kind", "expected a text such as Pod or Node");
    else if (version->len == 0)
        fault(o, "apiVersion", "expected a text such as v1");
    return o->place.kind.len > 0 && version->len > 0;
}

static void read_tree(struct reader *r, const struct mu_piece *piece, const char *prefix,
                      json_t *tree, uint32_t depth);

/* A list that was not cut up: small, or in a style that the cut does not know. */
static void read_list(const struct object *o, struct mu_str version, uint32_t depth)
{
    const json_t *items = json_object_get(o->tree, "items");
    if (items != NULL && !json_is_array(items) && !json_is_null(items)) {
        fault(o, "items", "expected a list");
        return;
    }
    if (depth == MU_MANIFEST_NEST_MAX) {
        fault(o, "items", "expected fewer lists inside lists");
        return;
    }
    for (size_t i = 0; i < json_array_size(items) && o->r->fatal == 0; i++) {
        char prefix[PATH_BYTES];
        (void)snprintf(prefix, sizeof prefix, "%s%sitems[%zu]", o->prefix,
                       o->prefix[0] != '\0' ? "." : "", i);
        set_item_kind(o->r, o->place.kind, version);
        read_tree(o->r, o->piece, prefix, json_array_get(items, i), depth + 1);
    }
}

static void read_tree(struct reader *r, const struct mu_piece *piece, const char *prefix,
                      json_t *tree, uint32_t depth)
{
    struct object o = {.r = r,
                       .piece = piece,
                       .prefix = prefix,
                       .tree = tree,
                       .place = {.file = r->file, .line = r->head_line}};
    struct mu_str version;
    if (!read_type(&o, depth > 0 || piece->kind == MU_PIECE_ITEM, &version))
        return;
    if (ends_with_list(o.place.kind)) {
        read_list(&o, version, depth);
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!mu_str_equal(o.place.kind, mu_str_of(kinds[i].kind)))
            continue;
        if (!mu_str_equal(version, mu_str_of(kinds[i].version))) {
            char problem[160];
            (void)snprintf(problem, sizeof problem, "'%.*s'; expected %s",
                           (int)(version.len < 64 ? version.len : 64), version.data,
                           kinds[i].version);
            fault(&o, "apiVersion", problem);
            return;
        }
        json_t *meta = json_object_get(tree, "metadata");
        if (json_is_object(meta))
            (void)json_object_del(meta, "managedFields"); /* large, and nothing is in it */
        mu_arena_reset(r->m->scratch);
        kinds[i].read(&o);
        return;
    }
    if (is_other_case(&o))
        return;
    enum mu_gang_source dialect = mu_group_source(version, o.place.kind);
    if (dialect != MU_GANG_SOLO)
        read_group(&o, dialect);
    else
        skip_kind(&o);
}

/* ---- pieces ------------------------------------------------------------------------------- */

/* "…:LINE:COLUMN: text" of YAML, "not JSON: line N, column M: text" of JSON: the line as the file
 * counts it, and the text. */
static void syntax_error(struct reader *r, const struct mu_piece *piece, const char *text)
{
    struct mu_manifest_place place = {.file = r->file, .line = piece->line};
    static const char json[] = "not JSON: line ";
    const char *number = piece->json ? text + sizeof json - 1 : text + 1;
    if (piece->json ? strncmp(text, json, sizeof json - 1) == 0 : text[0] == ':') {
        char *end;
        unsigned long line = strtoul(number, &end, 10);
        if (line > 0 && line <= UINT32_MAX - piece->line)
            place.line = piece->line + (uint32_t)line - 1;
        const char *rest = strstr(end, ": ");
        if (rest != NULL) {
            mu_manifest_error(r->m, &place, "%s%s", piece->json ? "not JSON: " : "", rest + 2);
            return;
        }
    }
    mu_manifest_error(r->m, &place, "%s", text + (strncmp(text, ": ", 2) == 0 ? 2 : 0));
}

/* The text without the spaces that its lines start with, which are two thirds of a list as kubectl
 * prints it, and what the parser is slow at. Lines stay lines; inside strings there are none. */
static int narrow(struct mu_buf *out, struct mu_str text)
{
    const char *end = text.data + text.len;
    mu_buf_clear(out);
    for (const char *at = text.data, *next; at < end; at = next) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        next = feed != NULL ? feed + 1 : end;
        if (mu_buf_append(out, at, (size_t)(next - at)) != 0)
            return MU_ENOMEM;
    }
    return 0;
}

static int read_json(struct reader *r, const struct mu_piece *piece, json_t **trees,
                     struct mu_json_problems *problems, struct mu_error *error)
{
    json_t *tree = NULL;
    if (piece->text.len > MU_MANIFEST_PIECE_MAX)
        return mu_error_set(error, MU_ELIMIT, "expected an object of at most 16 MiB");
    if (narrow(&r->narrow, piece->text) != 0)
        return MU_ENOMEM;
    struct mu_str text = {(const char *)r->narrow.data, (uint32_t)r->narrow.len};
    int rc = mu_json_value_read(text, &tree, problems, error);
    /* YAML in flow style starts like JSON. If it is neither, it is JSON that is wrong. */
    if (rc == MU_EINVAL && piece->kind == MU_PIECE_DOCUMENT &&
        mu_yaml_read(piece->text, "", trees, problems, NULL) == 0)
        return 0;
    if (rc == 0) {
        *trees = json_array();
        rc = *trees == NULL || json_array_append(*trees, tree) != 0 ? MU_ENOMEM : 0;
    }
    json_decref(tree);
    return rc;
}

/* The piece as trees, an array; NULL: complained about, or r->fatal. */
static json_t *parse_piece(struct reader *r, const struct mu_piece *piece)
{
    struct mu_json_problems problems = {.count = 0};
    struct mu_error error = {0, ""};
    json_t *trees = NULL;
    int rc = piece->json ? read_json(r, piece, &trees, &problems, &error)
                         : mu_yaml_read(piece->text, "", &trees, &problems, &error);
    if (rc == 0 && problems.count > 0) {
        struct mu_piece here = *piece;
        struct object o = {
            .r = r, .piece = &here, .prefix = "", .place = {.file = r->file, .line = piece->line}};
        struct mu_str version;
        o.tree = json_array_get(trees, 0);
        if (json_array_size(trees) == 1 && json_is_object(o.tree))
            identify(&o, piece->kind == MU_PIECE_ITEM, &version);
        note_problems(&o, &problems);
    }
    mu_json_problems_fini(&problems);
    if (rc == 0)
        return trees;
    json_decref(trees);
    if (rc == MU_ENOMEM)
        r->fatal = rc;
    else
        syntax_error(r, piece, error.text);
    return NULL;
}

/* The shell of a list: says what its items are, and whether it is a list at all. */
static int read_shell(struct reader *r, const struct mu_piece *piece)
{
    struct mu_error error = {0, ""};
    json_t *trees = NULL;
    json_t *tree = NULL;
    int rc = piece->json ? mu_json_value_read(piece->text, &tree, NULL, &error)
                         : mu_yaml_read(piece->text, "", &trees, NULL, &error);
    const json_t *shell = piece->json ? tree : json_array_get(trees, 0);
    struct mu_str kind = json_text(shell, "kind");
    struct mu_str version = json_text(shell, "apiVersion");
    bool is_list = rc == 0 && ends_with_list(kind) && version.len > 0;
    if (is_list)
        set_item_kind(r, kind, version);
    json_decref(tree);
    json_decref(trees);
    return is_list ? 0 : MU_PIECE_WHOLE; /* as a whole it is complained about */
}

static int read_piece(void *context, const struct mu_piece *piece)
{
    struct reader *r = context;
    if (r->m->progress != NULL && r->piece_count++ % PROGRESS_EVERY == 0)
        r->m->progress(r->m->progress_context, piece->offset, r->bytes);
    if (piece->kind == MU_PIECE_SHELL)
        return read_shell(r, piece);
    r->head_line = head_line(piece);
    json_t *trees = parse_piece(r, piece);
    for (size_t i = 0; i < json_array_size(trees) && r->fatal == 0; i++)
        read_tree(r, piece, "", json_array_get(trees, i), 0);
    json_decref(trees);
    return r->fatal;
}

int mu_manifest_read(struct mu_manifest *m, const char *name, struct mu_str text)
{
    if (m->file_count == MU_MANIFEST_FILES_MAX)
        return MU_ELIMIT;
    struct mu_str copy = mu_arena_str(m->store, mu_str_of(name));
    if (copy.data == NULL)
        return MU_ENOMEM;
    struct reader r = {.m = m, .file = (uint16_t)m->file_count, .bytes = text.len};
    m->files[m->file_count++] = copy;
    if (text.len > MU_MANIFEST_BYTES_MAX) {
        struct mu_manifest_place place = {.file = r.file, .line = 1};
        mu_manifest_error(m, &place, "expected at most 3 GiB");
        return 0;
    }
    int rc = mu_manifest_split(text, read_piece, &r);
    mu_buf_fini(&r.narrow);
    return rc;
}
