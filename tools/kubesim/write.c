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
#include "tools/kubesim/body.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/patch.h"
#include "tools/kubesim/validate.h"

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

int mu_api_not_found(struct mu_call *call)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    return mu_api_fail(call, 404, "NotFound", MU_KIND_FORMAT " \"%.*s\" not found",
                       MU_KIND_ARGS(kind), MU_STR_ARGS(call->route.name));
}

int mu_api_conflict(struct mu_call *call, const char *why)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    return mu_api_fail(call, 409, "Conflict",
                       "Operation cannot be fulfilled on " MU_KIND_FORMAT " \"%.*s\": %s",
                       MU_KIND_ARGS(kind), MU_STR_ARGS(call->route.name), why);
}

/* ---- the store ---------------------------------------------------------------------------- */

/* Encode with `version` as resourceVersion. */
static struct mu_kobject *pack_at(struct mu_apiserver *server, ProtobufCMessage *message,
                                  uint64_t version)
{
    Kube__ObjectMeta *meta = mu_api_meta(message);
    meta->resourceversion = version == 0 ? NULL : mu_api_print(server, "%" PRIu64, version);
    return version != 0 && meta->resourceversion == NULL ? NULL : mu_kobject_pack(message);
}

/* What a dry run would have stored lives until the call is over. */
static int keep_unstored(struct mu_call *call, struct mu_kobject *object, struct mu_kobject **out)
{
    if (object == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    mu_kobject_unref(call->unstored);
    call->unstored = object;
    if (out != NULL) {
        *out = object;
    }
    return 0;
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
    if (call->dry_run) {
        return keep_unstored(call, pack_at(server, message, old == NULL ? 0 : old->version), out);
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
    struct mu_kobject *last =
        mu_kobject_stamp(object, call->dry_run ? object->version : mu_store_version(store) + 1);
    int code = last == NULL ? MU_ENOMEM : 0;
    if (code == 0 && call->dry_run) {
        if (out != NULL) {
            *out = mu_kobject_ref(last);
        }
        return keep_unstored(call, last, NULL);
    }
    code = code != 0 ? code : mu_store_remove(store, kind, last);
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

char *mu_api_uid(struct mu_apiserver *server)
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
    return kind->namespaced ? mu_namespace_check_create(call) : 0;
}

static int decode_body(struct mu_call *call, ProtobufCMessage **out)
{
    int code = mu_body_object(call, out);
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
    meta->uid = mu_api_uid(server);
    meta->creationtimestamp = mu_api_time(call, 0);
    meta->deletiontimestamp = NULL;
    meta->has_deletiongraceperiodseconds = 0;
    meta->selflink = NULL;
    meta->has_generation = kind->has_generation;
    meta->generation = 1;
    if (kind->has_status && call->route.kind != MU_KIND_NODES) {
        mu_api_set_part(fresh, 3, NULL); /* a controller's to write; a kubelet registers with one */
    }
    if (kind->create != NULL) {
        code = kind->create(call, fresh);
        if (code != 0) {
            return code;
        }
    }
    if (server->arena_full) {
        return mu_api_no_room(call);
    }
    if (mu_store_get(server->store, call->route.kind, call->route.ns, call->route.name) != NULL) {
        return mu_api_fail(call, 409, "AlreadyExists", MU_KIND_FORMAT " \"%.*s\" already exists",
                           MU_KIND_ARGS(kind), MU_STR_ARGS(call->route.name));
    }
    struct mu_kobject *stored = NULL;
    code = mu_api_store(call, call->route.kind, fresh, &stored);
    if (code != 0) {
        return code;
    }
    code = mu_api_respond_object(call, 201, stored);
    if (call->route.kind == MU_KIND_NAMESPACES && !call->dry_run) {
        mu_namespace_populate(server, call->route.name,
                              call->now_ns); /* last: it takes the arena */
    }
    return code;
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
        return mu_api_conflict(call, "Precondition failed: UID in precondition differs");
    }
    if (!empty(meta->resourceversion) && strcmp(meta->resourceversion, old->resourceversion) != 0) {
        return mu_api_conflict(call,
                               "the object has been modified; please apply your changes to the "
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
    return !mu_api_same_message(server, mu_api_part(a, 2), mu_api_part(b, 2));
}

/* What a change starts from. */
struct basis {
    struct mu_kobject *old;
    ProtobufCMessage *stored; /* as it is stored */
    ProtobufCMessage *before; /* as its client sees it */
    struct mu_str shown;      /* the same, encoded */
};

/* An object as it is shown, encoded in the one way in which the full schema encodes it, so that two
 * that say the same are the same bytes. */
static int shown_form(struct mu_call *call, struct mu_str raw, struct mu_str *shown,
                      ProtobufCMessage **out)
{
    struct mu_apiserver *server = call->server;
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    mu_buf_clear(&server->shown);
    int code = kind->show(raw, &server->shown);
    if (code != 0) {
        return mu_api_internal(call, code);
    }
    raw = (struct mu_str){(const char *)server->shown.data, (uint32_t)server->shown.len};
    const ProtobufCMessage *full = mu_api_unpack(server, mu_kind_schema(kind), raw);
    if (full == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    code = mu_body_encode(call, full, shown);
    if (code == 0) {
        *out = mu_api_unpack(server, kind->descriptor, *shown);
        code = *out == NULL ? mu_api_internal(call, MU_ENOMEM) : 0;
    }
    return code;
}

/* What a client sends gets the defaults that it left out. */
static int normalise(struct mu_call *call, ProtobufCMessage **message)
{
    struct mu_str raw = {NULL, 0};
    struct mu_str shown = {NULL, 0};
    int code = mu_body_encode(call, *message, &raw);
    return code != 0 ? code : shown_form(call, raw, &shown, message);
}

static int load_basis(struct mu_call *call, struct basis *basis)
{
    int code = mu_api_load(call, &basis->old, &basis->stored);
    if (code != 0) {
        return code;
    }
    basis->before = basis->stored;
    basis->shown = mu_kobject_raw(basis->old);
    return mu_kinds[call->route.kind].show == NULL
               ? 0
               : shown_form(call, basis->shown, &basis->shown, &basis->before);
}

/* A part that is what its client was shown is stored as it was: without what showing adds. */
static void keep_small(struct mu_apiserver *server, const struct basis *basis,
                       ProtobufCMessage *after, uint32_t part)
{
    if (mu_api_same_message(server, mu_api_part(basis->before, part), mu_api_part(after, part))) {
        mu_api_set_part(after, part, mu_api_part(basis->stored, part));
    }
}

/* Replace the basis by `after`, whichever way the client described it. */
static int replace(struct mu_call *call, const struct basis *basis, ProtobufCMessage *after)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    const ProtobufCMessage *before = basis->before;
    int code = kind->show == NULL ? 0 : normalise(call, &after);
    code = code != 0 ? code : settle_meta(call, before, after);
    if (code != 0) {
        return code;
    }
    bool status = call->route.sub.len > 0;
    if (kind->has_status) {
        uint32_t keep = status ? 2 : 3; /* spec or status, whichever this endpoint cannot change */
        mu_api_set_part(after, keep, mu_api_part(basis->stored, keep));
        const ProtobufCMessage *was = mu_api_part(before, 3);
        if (was != NULL && mu_api_part(after, 3) == NULL) { /* left out is empty, it is not gone */
            mu_api_set_part(after, 3, mu_api_new(call->server, was->descriptor));
        }
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
    if (kind->show != NULL) {
        keep_small(call->server, basis, after, status ? 3 : 2);
    }
    if (call->server->arena_full) {
        return mu_api_no_room(call);
    }
    if (meta->deletiontimestamp != NULL && meta->n_finalizers == 0 &&
        mu_api_meta(before)->n_finalizers > 0 && meta->deletiongraceperiodseconds == 0 &&
        call->route.kind != MU_KIND_NAMESPACES) { /* that goes when it is empty */
        struct mu_kobject *last = NULL;           /* that was the last finalizer */
        code = mu_api_erase(call, call->route.kind, basis->old, &last);
        code = code != 0 ? code : mu_api_respond_object(call, 200, last);
        mu_kobject_unref(last);
        return code;
    }
    struct mu_kobject *stored = NULL;
    code = mu_api_store(call, call->route.kind, after, &stored);
    return code != 0 ? code : mu_api_respond_object(call, 200, stored);
}

int mu_api_load(struct mu_call *call, struct mu_kobject **old, ProtobufCMessage **message)
{
    *old = mu_store_get(call->server->store, call->route.kind, call->route.ns, call->route.name);
    if (*old == NULL) {
        return mu_api_not_found(call);
    }
    *message =
        mu_api_unpack(call->server, mu_kinds[call->route.kind].descriptor, mu_kobject_raw(*old));
    return *message == NULL ? mu_api_internal(call, MU_ENOMEM) : 0;
}

int mu_api_update(struct mu_call *call)
{
    ProtobufCMessage *after = NULL;
    struct basis basis = {.old = NULL};
    int code = decode_body(call, &after);
    if (code == 0) {
        code = load_basis(call, &basis);
    }
    return code != 0 ? code : replace(call, &basis, after);
}

int mu_api_patch(struct mu_call *call)
{
    struct basis basis = {.old = NULL};
    ProtobufCMessage *after = NULL;
    int code = mu_patch_check_media(call);
    if (code == 0) {
        code = load_basis(call, &basis);
    }
    if (code == 0) {
        code = mu_patch_object(call, basis.shown, &after);
    }
    if (code == 0 && after == NULL) { /* nothing changes */
        code = mu_api_load(call, &basis.old, &after);
    }
    if (code == 0 && mu_api_meta(after) == NULL) {
        code = mu_api_invalid(call, "metadata", "may not be removed");
    }
    return code != 0 ? code : replace(call, &basis, after);
}
