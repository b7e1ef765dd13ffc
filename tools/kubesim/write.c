/*
 * Create, update, patch, delete: the rules that hold for every kind. Each change is one version:
 * decode, change, encode, store; whatever fails on the way leaves the store untouched.
 */
#include "tools/kubesim/api_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/json.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/validate.h"

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

static int not_found(struct mu_call *call)
{
    return mu_api_fail(call, 404, "NotFound", "%s \"%.*s\" not found",
                       mu_kinds[call->route.kind].plural, MU_STR_ARGS(call->route.name));
}

static int conflict(struct mu_call *call, const char *why)
{
    return mu_api_fail(call, 409, "Conflict", "Operation cannot be fulfilled on %s \"%.*s\": %s",
                       mu_kinds[call->route.kind].plural, MU_STR_ARGS(call->route.name), why);
}

/* ---- the store ---------------------------------------------------------------------------- */

/* Encode with `version` as resourceVersion. */
static struct mu_kobject *pack_at(struct mu_apiserver *server, ProtobufCMessage *message,
                                  uint64_t version)
{
    Kube__ObjectMeta *meta = mu_api_meta(message);
    meta->resourceversion = mu_api_print(server, "%" PRIu64, version);
    return meta->resourceversion == NULL ? NULL : mu_kobject_pack(message);
}

int mu_api_store(struct mu_call *call, enum mu_kind_ix kind, ProtobufCMessage *message,
                 struct mu_kobject **out)
{
    struct mu_apiserver *server = call->server;
    const Kube__ObjectMeta *meta = mu_api_meta(message);
    if (protobuf_c_message_get_packed_size(message) > MU_KUBESIM_OBJECT_MAX) {
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "the object exceeds %u bytes",
                           MU_KUBESIM_OBJECT_MAX);
    }
    struct mu_kobject *old = mu_store_get(
        server->store, kind, mu_str_of(mu_kinds[kind].namespaced ? meta->namespace_ : NULL),
        mu_str_of(meta->name));
    struct mu_kobject *object = NULL;
    if (old != NULL) {
        object = pack_at(server, message, old->version);
        bool same = object != NULL && mu_str_equal(mu_kobject_raw(object), mu_kobject_raw(old));
        mu_kobject_unref(object);
        if (same) {
            if (out != NULL) {
                *out = old;
            }
            return 0;
        }
    }
    object = pack_at(server, message, mu_store_version(server->store) + 1);
    int code = object == NULL ? MU_ENOMEM : mu_store_put(server->store, kind, object);
    if (code != 0) {
        mu_kobject_unref(object);
        return mu_api_internal(call, code);
    }
    if (out != NULL) {
        *out = object;
    }
    return 0;
}

int mu_api_erase(struct mu_call *call, enum mu_kind_ix kind, const struct mu_kobject *object,
                 struct mu_kobject **out)
{
    struct mu_store *store = call->server->store;
    struct mu_kobject *last = mu_kobject_stamp(object, mu_store_version(store) + 1);
    int code = last == NULL ? MU_ENOMEM : mu_store_remove(store, kind, last);
    if (code != 0) {
        mu_kobject_unref(last);
        return mu_api_internal(call, code);
    }
    if (out != NULL) {
        *out = mu_kobject_ref(last);
    }
    return 0;
}

/* ---- create ------------------------------------------------------------------------------- */

static char *make_uid(struct mu_apiserver *server)
{
    uint64_t a = mu_random_u64(&server->random);
    uint64_t b = mu_random_u64(&server->random);
    a = (a & ~UINT64_C(0xf000)) | UINT64_C(0x4000);       /* version 4 */
    b = (b & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62); /* variant 10 */
    return mu_api_print(
        server, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, a >> 32,
        a >> 16 & 0xffff, a & 0xffff, b >> 48, b & UINT64_C(0xffffffffffff));
}

/* A name from generateName that is not taken, or NULL. */
static char *generate_name(struct mu_call *call, const Kube__ObjectMeta *meta)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    for (int attempt = 0; attempt < 8; attempt++) {
        char tail[6] = "";
        for (int i = 0; i < 5; i++) {
            tail[i] = letters[mu_random_below(&call->server->random, sizeof letters - 1)];
        }
        char *name = mu_api_print(call->server, "%.58s%s", meta->generatename, tail);
        if (name == NULL || mu_store_get(call->server->store, call->route.kind, call->route.ns,
                                         mu_str_of(name)) == NULL) {
            return name;
        }
    }
    return NULL;
}

/* Name and namespace of a new object, from the body and the path. */
static int place(struct mu_call *call, Kube__ObjectMeta *meta)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    if (!kind->namespaced) {
        meta->namespace_ = NULL;
    } else if (empty(meta->namespace_)) {
        meta->namespace_ = mu_api_text(call->server, call->route.ns);
    } else if (!mu_str_equal(mu_str_of(meta->namespace_), call->route.ns)) {
        return mu_api_fail(call, 400, "BadRequest",
                           "the namespace of the provided object (%.80s) does not match the "
                           "namespace sent on the request",
                           meta->namespace_);
    }
    if (!empty(meta->resourceversion)) {
        return mu_api_fail(call, 400, "BadRequest",
                           "resourceVersion should not be set on objects to be created");
    }
    if (empty(meta->name) && !empty(meta->generatename)) {
        meta->name = generate_name(call, meta);
        if (meta->name == NULL && !call->server->arena_full) {
            return mu_api_fail(call, 409, "AlreadyExists",
                               "no free name was found for generateName %.80s", meta->generatename);
        }
    }
    call->route.name = meta->name == NULL ? MU_STR("") : mu_str_of(meta->name);
    if (kind->namespaced && mu_store_get(call->server->store, MU_KIND_NAMESPACES,
                                         (struct mu_str){NULL, 0}, call->route.ns) == NULL) {
        return mu_api_fail(call, 404, "NotFound", "namespaces \"%.*s\" not found",
                           MU_STR_ARGS(call->route.ns));
    }
    return 0;
}

static int decode_body(struct mu_call *call, ProtobufCMessage **out)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    const char *const versions[] = {kind->api_version, NULL};
    int code = mu_api_body(call, kind->descriptor, versions, kind->kind, out);
    if (code == 0 && mu_api_meta(*out) == NULL) {
        Kube__ObjectMeta *meta =
            (Kube__ObjectMeta *)mu_api_new(call->server, &kube__object_meta__descriptor);
        if (meta == NULL) {
            return mu_api_internal(call, MU_ENOMEM);
        }
        mu_api_set_meta(*out, meta);
    }
    return code;
}

int mu_api_create(struct mu_call *call)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    struct mu_apiserver *server = call->server;
    ProtobufCMessage *fresh = NULL;
    int code = decode_body(call, &fresh);
    if (code != 0) {
        return code;
    }
    Kube__ObjectMeta *meta = mu_api_meta(fresh);
    code = place(call, meta);
    if (code == 0) {
        code = mu_api_validate_meta(call, kind, meta);
    }
    if (code != 0) {
        return code;
    }
    meta->uid = make_uid(server);
    meta->creationtimestamp = mu_api_time(call, 0);
    meta->deletiontimestamp = NULL;
    meta->has_deletiongraceperiodseconds = 0;
    meta->selflink = NULL;
    meta->has_generation = kind->has_generation;
    meta->generation = 1;
    if (kind->create != NULL) {
        code = kind->create(call, fresh);
        if (code != 0) {
            return code;
        }
    }
    if (server->arena_full) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    if (mu_store_get(server->store, call->route.kind, call->route.ns, call->route.name) != NULL) {
        return mu_api_fail(call, 409, "AlreadyExists", "%s \"%.*s\" already exists", kind->plural,
                           MU_STR_ARGS(call->route.name));
    }
    struct mu_kobject *stored = NULL;
    code = mu_api_store(call, call->route.kind, fresh, &stored);
    return code != 0 ? code : mu_api_respond_object(call, 201, stored);
}

/* ---- update ------------------------------------------------------------------------------- */

/* What of metadata a client cannot change is carried over. */
static int settle_meta(struct mu_call *call, const ProtobufCMessage *before,
                       ProtobufCMessage *after)
{
    const Kube__ObjectMeta *old = mu_api_meta(before);
    Kube__ObjectMeta *meta = mu_api_meta(after);
    if (!empty(meta->name) && !mu_str_equal(mu_str_of(meta->name), call->route.name)) {
        return mu_api_fail(call, 400, "BadRequest",
                           "the name of the object (%.80s) does not match the name on the URL",
                           meta->name);
    }
    if (!empty(meta->namespace_) && mu_kinds[call->route.kind].namespaced &&
        !mu_str_equal(mu_str_of(meta->namespace_), call->route.ns)) {
        return mu_api_fail(call, 400, "BadRequest",
                           "the namespace of the object (%.80s) does not match the request",
                           meta->namespace_);
    }
    if (!empty(meta->uid) && strcmp(meta->uid, old->uid) != 0) {
        return conflict(call, "Precondition failed: UID in precondition differs");
    }
    if (!empty(meta->resourceversion) && strcmp(meta->resourceversion, old->resourceversion) != 0) {
        return conflict(call, "the object has been modified; please apply your changes to the "
                              "latest version and try again");
    }
    meta->name = old->name;
    meta->namespace_ = old->namespace_;
    meta->generatename = old->generatename;
    meta->uid = old->uid;
    meta->selflink = old->selflink;
    meta->has_generation = old->has_generation;
    meta->generation = old->generation;
    meta->creationtimestamp = old->creationtimestamp;
    meta->deletiontimestamp = old->deletiontimestamp;
    meta->has_deletiongraceperiodseconds = old->has_deletiongraceperiodseconds;
    meta->deletiongraceperiodseconds = old->deletiongraceperiodseconds;
    return mu_api_validate_meta(call, &mu_kinds[call->route.kind], meta);
}

/* True when the two spec parts differ on the wire. */
static bool spec_moved(struct mu_apiserver *server, const ProtobufCMessage *a,
                       const ProtobufCMessage *b)
{
    const ProtobufCMessage *x = mu_api_part(a, 2);
    const ProtobufCMessage *y = mu_api_part(b, 2);
    if (x == NULL || y == NULL) {
        return x != y;
    }
    size_t size = protobuf_c_message_get_packed_size(x);
    if (size != protobuf_c_message_get_packed_size(y)) {
        return true;
    }
    uint8_t *bytes = mu_api_alloc(server, size * 2 + 1);
    if (bytes == NULL) {
        return true; /* arena_full fails the call */
    }
    (void)protobuf_c_message_pack(x, bytes);
    (void)protobuf_c_message_pack(y, bytes + size);
    return memcmp(bytes, bytes + size, size) != 0;
}

/* Replace `before` by `after`, whichever way the client described it. */
static int replace(struct mu_call *call, const struct mu_kobject *old,
                   const ProtobufCMessage *before, ProtobufCMessage *after)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    int code = settle_meta(call, before, after);
    if (code != 0) {
        return code;
    }
    bool status = call->route.sub.len > 0;
    if (kind->has_status) {
        uint32_t keep = status ? 2 : 3; /* spec or status, whichever this endpoint cannot change */
        mu_api_set_part(after, keep, mu_api_part(before, keep));
    }
    if (!status && kind->update != NULL) {
        code = kind->update(call, before, after);
        if (code != 0) {
            return code;
        }
    }
    Kube__ObjectMeta *meta = mu_api_meta(after);
    if (kind->has_generation && !status && spec_moved(call->server, before, after)) {
        meta->generation++;
    }
    if (call->server->arena_full) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    if (meta->deletiontimestamp != NULL && meta->n_finalizers == 0 &&
        mu_api_meta(before)->n_finalizers > 0 && meta->deletiongraceperiodseconds == 0) {
        struct mu_kobject *last = NULL; /* that was the last finalizer */
        code = mu_api_erase(call, call->route.kind, old, &last);
        code = code != 0 ? code : mu_api_respond_object(call, 200, last);
        mu_kobject_unref(last);
        return code;
    }
    struct mu_kobject *stored = NULL;
    code = mu_api_store(call, call->route.kind, after, &stored);
    return code != 0 ? code : mu_api_respond_object(call, 200, stored);
}

/* The stored object and its decoded form. */
static int load(struct mu_call *call, struct mu_kobject **old, ProtobufCMessage **message)
{
    *old = mu_store_get(call->server->store, call->route.kind, call->route.ns, call->route.name);
    if (*old == NULL) {
        return not_found(call);
    }
    *message =
        mu_api_unpack(call->server, mu_kinds[call->route.kind].descriptor, mu_kobject_raw(*old));
    return *message == NULL ? mu_api_internal(call, MU_ENOMEM) : 0;
}

int mu_api_update(struct mu_call *call)
{
    ProtobufCMessage *after = NULL;
    ProtobufCMessage *before = NULL;
    struct mu_kobject *old = NULL;
    int code = decode_body(call, &after);
    if (code == 0) {
        code = load(call, &old, &before);
    }
    return code != 0 ? code : replace(call, old, before, after);
}

int mu_api_patch(struct mu_call *call)
{
    bool strategic = call->request->content == MU_MEDIA_STRATEGIC_PATCH;
    if (!strategic && call->request->content != MU_MEDIA_MERGE_PATCH) {
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "body: expected application/merge-patch+json or "
                           "application/strategic-merge-patch+json");
    }
    struct mu_str body = call->request->body;
    if (body.len > MU_KUBESIM_BODY_MAX) {
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "body: longer than %u bytes",
                           MU_KUBESIM_BODY_MAX);
    }
    struct mu_kobject *old = NULL;
    ProtobufCMessage *before = NULL;
    ProtobufCMessage *after = NULL;
    int code = load(call, &old, &before);
    if (code == 0) {
        code = load(call, &old, &after);
    }
    if (code != 0) {
        return code;
    }
    /* A resourceVersion in the patch is a precondition; without one any version will do. */
    mu_api_meta(after)->resourceversion = NULL;
    json_error_t where;
    json_t *patch =
        json_loadb(body.data != NULL ? body.data : "", body.len, JSON_REJECT_DUPLICATES, &where);
    struct mu_error error = {0, ""};
    if (patch == NULL || !json_is_object(patch)) {
        code = mu_api_fail(call, 400, "BadRequest", "body: not a JSON object");
    } else {
        int merged = mu_kube_json_merge(after, patch, strategic, call->server->arena, &error);
        if (merged == MU_EINVAL) {
            code = mu_api_fail(call, 422, "Invalid", "patch: %s", error.text);
        } else if (merged != 0) {
            code = mu_api_internal(call, merged);
        }
    }
    json_decref(patch);
    if (code == 0 && mu_api_meta(after) == NULL) {
        code = mu_api_invalid(call, "metadata", "may not be removed");
    }
    return code != 0 ? code : replace(call, old, before, after);
}

/* ---- delete ------------------------------------------------------------------------------- */

static int delete_options(struct mu_call *call, const Kube__DeleteOptions **out)
{
    static const char *const versions[] = {"v1", "meta.k8s.io/v1", NULL};
    *out = NULL;
    if (call->request->body.len == 0) {
        return 0;
    }
    const char *const own[] = {versions[0], versions[1], mu_kinds[call->route.kind].api_version,
                               NULL};
    ProtobufCMessage *message = NULL;
    int code = mu_api_body(call, &kube__delete_options__descriptor, own, "DeleteOptions", &message);
    *out = (const Kube__DeleteOptions *)message;
    if (code == 0 && (*out)->n_dryrun > 0) {
        return mu_api_fail(call, 400, "BadRequest", "dryRun is not supported by this server");
    }
    return code;
}

static int check_preconditions(struct mu_call *call, const struct mu_kobject *object,
                               const Kube__Preconditions *want)
{
    if (want != NULL && want->uid != NULL &&
        !mu_str_equal(mu_str_of(want->uid), mu_kobject_uid(object))) {
        return conflict(call, "Precondition failed: UID in precondition differs from UID in "
                              "object meta");
    }
    uint64_t version = 0;
    if (want != NULL && want->resourceversion != NULL &&
        (!mu_str_to_u64(mu_str_of(want->resourceversion), &version) ||
         version != object->version)) {
        return conflict(call, "Precondition failed: ResourceVersion in precondition differs from "
                              "ResourceVersion in object meta");
    }
    return 0;
}

/* The grace period that applies, in seconds: 0 for everything but running pods. */
static int64_t grace_of(const struct mu_call *call, const ProtobufCMessage *message, int64_t asked)
{
    if (call->route.kind != MU_KIND_PODS) {
        return 0;
    }
    const Kube__Pod *pod = (const Kube__Pod *)message;
    const char *phase = pod->status == NULL ? NULL : pod->status->phase;
    bool over = !empty(phase) && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
    if (pod->spec == NULL || empty(pod->spec->nodename) || over) {
        return 0;
    }
    if (asked >= 0) {
        return asked;
    }
    int64_t own = pod->spec->has_terminationgraceperiodseconds
                      ? pod->spec->terminationgraceperiodseconds
                      : 30;
    return own >= 0 ? own : 0;
}

/* Mark the object as going away; what removes it is the kubelet, or the last finalizer. */
static int begin_termination(struct mu_call *call, struct mu_kobject *object,
                             ProtobufCMessage *message, int64_t grace_s, struct mu_kobject **out)
{
    Kube__ObjectMeta *meta = mu_api_meta(message);
    *out = object;
    if (meta->deletiontimestamp != NULL && meta->deletiongraceperiodseconds <= grace_s) {
        return 0; /* under way, and not later than this */
    }
    meta->deletiontimestamp = mu_api_time(call, grace_s);
    meta->has_deletiongraceperiodseconds = 1;
    meta->deletiongraceperiodseconds = grace_s;
    if (meta->has_generation) {
        meta->generation++;
    }
    return meta->deletiontimestamp == NULL ? mu_api_internal(call, MU_ENOMEM)
                                           : mu_api_store(call, call->route.kind, message, out);
}

/* Delete or begin to. *out: a reference to the object as it now is (or last was). */
static int remove_object(struct mu_call *call, struct mu_kobject *object, ProtobufCMessage *message,
                         int64_t asked_s, bool *gone, struct mu_kobject **out)
{
    MU_ASSERT(message != NULL);
    int64_t grace_s = grace_of(call, message, asked_s);
    *gone = grace_s == 0 && mu_api_meta(message)->n_finalizers == 0;
    if (*gone) {
        return mu_api_erase(call, call->route.kind, object, out);
    }
    struct mu_kobject *stored = NULL;
    int code = begin_termination(call, object, message, grace_s, &stored);
    *out = code == 0 ? mu_kobject_ref(stored) : NULL;
    return code;
}

static int first_object(void *context, struct mu_kobject *object)
{
    (void)context;
    (void)object;
    return 1;
}

/* Namespaces do not cascade here: only an empty one can go. */
static bool namespace_in_use(struct mu_call *call)
{
    for (enum mu_kind_ix kind = 0; kind < MU_KIND_COUNT; kind++) {
        struct mu_store_range range = {.ns = call->route.name};
        if (mu_kinds[kind].namespaced &&
            mu_store_walk(call->server->store, kind, &range, first_object, NULL) != 0) {
            return true;
        }
    }
    return false;
}

int mu_api_delete(struct mu_call *call)
{
    const Kube__DeleteOptions *options = NULL;
    struct mu_kobject *object = NULL;
    ProtobufCMessage *message = NULL;
    int code = delete_options(call, &options);
    if (code == 0) {
        code = load(call, &object, &message);
    }
    if (code == 0) {
        code = check_preconditions(call, object, options == NULL ? NULL : options->preconditions);
    }
    if (code != 0) {
        return code;
    }
    MU_ASSERT(message != NULL);
    int64_t grace_s = -1;
    uint64_t value = 0;
    struct mu_str text = mu_query_get(&call->query, "gracePeriodSeconds");
    if (options != NULL && options->has_graceperiodseconds) {
        grace_s = options->graceperiodseconds;
    } else if (mu_str_to_u64(text, &value) && value <= INT32_MAX) {
        grace_s = (int64_t)value;
    } else if (text.len > 0) {
        return mu_api_fail(call, 400, "BadRequest",
                           "parameter gracePeriodSeconds: expected a number of seconds");
    }
    if (grace_s < -1 || grace_s > INT32_MAX) {
        return mu_api_invalid(call, "gracePeriodSeconds", "must be between 0 and %d", INT32_MAX);
    }
    if (call->route.kind == MU_KIND_NAMESPACES && namespace_in_use(call)) {
        return conflict(call, "the namespace is not empty, and this server does not cascade");
    }
    bool gone = false;
    struct mu_kobject *last = NULL;
    code = remove_object(call, object, message, grace_s, &gone, &last);
    if (code == 0) {
        bool show = !gone || call->route.kind == MU_KIND_PODS;
        code = show ? mu_api_respond_object(call, 200, last) : mu_api_success(call, 200);
    }
    mu_kobject_unref(last);
    return code;
}

/* ---- changes from inside ------------------------------------------------------------------ */

/* A call that no client made; its answer is dropped. */
struct inside {
    struct mu_api_request request;
    struct mu_api_response response;
    struct mu_call call;
};

static void begin_inside(struct inside *inside, struct mu_apiserver *server, enum mu_kind_ix kind,
                         struct mu_str ns, struct mu_str name, uint64_t now_ns)
{
    *inside = (struct inside){.response = {.status = 0}};
    mu_arena_reset(server->arena);
    server->arena_full = false;
    /* Answers print the names as NUL-terminated text. */
    ns = (struct mu_str){mu_api_text(server, ns), ns.len};
    name = (struct mu_str){mu_api_text(server, name), name.len};
    inside->call = (struct mu_call){.server = server,
                                    .request = &inside->request,
                                    .response = &inside->response,
                                    .now_ns = now_ns,
                                    .route = {.kind = kind, .ns = ns, .name = name}};
}

int mu_api_edit(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                struct mu_str name, uint64_t now_ns, mu_api_edit_fn edit, void *context)
{
    struct mu_kobject *object = mu_store_get(server->store, kind, ns, name);
    if (object == NULL) {
        return MU_ENOENT;
    }
    struct inside inside;
    begin_inside(&inside, server, kind, ns, name, now_ns);
    ProtobufCMessage *message =
        mu_api_unpack(server, mu_kinds[kind].descriptor, mu_kobject_raw(object));
    bool full = message == NULL || server->arena_full;
    int code = full ? MU_ENOMEM : edit(context, &inside.call, message);
    if (code == 0 && (server->arena_full || mu_api_store(&inside.call, kind, message, NULL) != 0)) {
        code = MU_ENOMEM;
    }
    mu_buf_fini(&inside.response.body);
    return code;
}

int mu_api_remove(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                  struct mu_str name, struct mu_str uid, int64_t grace_s, uint64_t now_ns)
{
    struct mu_kobject *object = mu_store_get(server->store, kind, ns, name);
    if (object == NULL || !mu_str_equal(mu_kobject_uid(object), uid)) {
        return MU_ENOENT;
    }
    struct inside inside;
    begin_inside(&inside, server, kind, ns, name, now_ns);
    ProtobufCMessage *message =
        mu_api_unpack(server, mu_kinds[kind].descriptor, mu_kobject_raw(object));
    bool gone = false;
    struct mu_kobject *last = NULL;
    bool full = message == NULL || server->arena_full;
    int code =
        full ? MU_ENOMEM : remove_object(&inside.call, object, message, grace_s, &gone, &last);
    mu_kobject_unref(last);
    mu_buf_fini(&inside.response.body);
    return code == 0 ? 0 : MU_ENOMEM;
}
