/*
 * Namespaces: what comes with them, and how they end.
 *
 *   Active       has a ServiceAccount `default`, made with it and made again when it is deleted
 *   Terminating  nothing can be created there any more; what is there is deleted (pods gracefully),
 *                a slice at a time; when nothing is left the namespace itself goes
 *
 * The second half is a controller's work and runs with the kubelets: without them a namespace stays
 * Terminating. Since nothing new can come, one pass that finds nothing left to delete is enough;
 * from then on only the end is waited for.
 */
#include "tools/kubesim/namespace.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/proto/object.pb-c.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/wire.h"

#define FINALIZER "kubernetes"

static const struct mu_str none = {NULL, 0};

/* ---- rules -------------------------------------------------------------------------------- */

int mu_namespace_create(struct mu_call *call, ProtobufCMessage *fresh)
{
    struct mu_apiserver *server = call->server;
    Kube__Namespace *ns = (Kube__Namespace *)fresh;
    ns->status = (Kube__NamespaceStatus *)mu_api_new(server, &kube__namespace_status__descriptor);
    if (ns->spec == NULL) {
        ns->spec = (Kube__NamespaceSpec *)mu_api_new(server, &kube__namespace_spec__descriptor);
    }
    if (ns->status == NULL || ns->spec == NULL) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    ns->status->phase = mu_api_text(server, MU_STR("Active"));
    for (size_t i = 0; i < ns->spec->n_finalizers; i++) {
        if (strcmp(ns->spec->finalizers[i], FINALIZER) == 0) {
            return 0;
        }
    }
    int code = mu_api_push(server, &ns->spec->finalizers, &ns->spec->n_finalizers,
                           mu_api_text(server, MU_STR(FINALIZER)));
    code = code != 0 ? code
                     : mu_api_map_set(server, &ns->metadata->labels, &ns->metadata->n_labels,
                                      MU_STR("kubernetes.io/metadata.name"), call->route.name);
    return code == 0 ? 0 : mu_api_internal(call, code);
}

bool mu_object_terminating(const struct mu_kobject *object)
{
    struct mu_pb_field field;
    return mu_pb_find(mu_pb_bytes(mu_kobject_raw(object), 1, 0), 9, &field);
}

int mu_namespace_check_create(struct mu_call *call)
{
    struct mu_str ns = call->route.ns;
    const struct mu_kobject *object =
        mu_store_get(call->server->store, MU_KIND_NAMESPACES, none, ns);
    if (object == NULL) {
        return mu_api_fail(call, 404, "NotFound", "namespaces \"%.*s\" not found", MU_STR_ARGS(ns));
    }
    if (mu_object_terminating(object)) {
        char cause[128];
        (void)snprintf(cause, sizeof cause, "namespace %.*s is being terminated", MU_STR_ARGS(ns));
        return mu_api_fail_cause(call, 403, "Forbidden", "NamespaceTerminating", cause, 0,
                                 "%s \"%.*s\" is forbidden: unable to create new content in "
                                 "namespace %.*s because it is being terminated",
                                 mu_kinds[call->route.kind].plural, MU_STR_ARGS(call->route.name),
                                 MU_STR_ARGS(ns));
    }
    return 0;
}

int mu_namespace_check_delete(struct mu_call *call)
{
    static const char *const kept[] = {"default", "kube-system", "kube-public"};
    struct mu_str name = call->route.name;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (mu_str_equal(name, mu_str_of(kept[i]))) {
            return mu_api_fail(call, 403, "Forbidden",
                               "namespaces \"%s\" is forbidden: this namespace may not be deleted",
                               kept[i]);
        }
    }
    const struct mu_kobject *object =
        mu_store_get(call->server->store, MU_KIND_NAMESPACES, none, name);
    if (object != NULL && mu_object_terminating(object)) {
        return mu_api_conflict(call, "The system is ensuring all content is removed from this "
                                     "namespace.  Upon completion, this namespace will "
                                     "automatically be purged by the system.");
    }
    return 0;
}

void mu_namespace_terminate(struct mu_call *call, Kube__Namespace *ns)
{
    if (ns->status == NULL) {
        ns->status =
            (Kube__NamespaceStatus *)mu_api_new(call->server, &kube__namespace_status__descriptor);
    }
    if (ns->status != NULL) {
        ns->status->phase = mu_api_text(call->server, MU_STR("Terminating"));
    }
}

/* ---- the default account ------------------------------------------------------------------ */

void mu_namespace_populate(struct mu_apiserver *server, struct mu_str name, uint64_t now_ns)
{
    static const struct mu_str account = {"default", 7};
    struct mu_kobject *ns = mu_store_get(server->store, MU_KIND_NAMESPACES, none, name);
    if (ns == NULL || mu_object_terminating(ns) ||
        mu_store_get(server->store, MU_KIND_SERVICEACCOUNTS, name, account) != NULL) {
        return;
    }
    struct mu_inside inside;
    name = mu_kobject_name(ns); /* the caller's may lie in the arena, which starts afresh */
    mu_inside_begin(&inside, server, MU_KIND_SERVICEACCOUNTS, name, account, now_ns);
    Kube__Object *object = (Kube__Object *)mu_api_new(server, &kube__object__descriptor);
    Kube__ObjectMeta *meta = (Kube__ObjectMeta *)mu_api_new(server, &kube__object_meta__descriptor);
    if (object != NULL && meta != NULL) {
        object->metadata = meta;
        meta->name = mu_api_text(server, account);
        meta->namespace_ = mu_api_text(server, inside.call.route.ns);
        meta->uid = mu_api_uid(server);
        meta->creationtimestamp = mu_api_time(&inside.call, 0);
        if (!server->arena_full) {
            (void)mu_api_store(&inside.call, MU_KIND_SERVICEACCOUNTS, &object->base, NULL);
        }
    }
    mu_inside_end(&inside);
}

/* ---- the end ------------------------------------------------------------------------------ */

#define SLICE 1024u /* objects deleted between two looks at everything else */

struct ending {
    struct mu_kobject *object; /* a reference: the name */
    bool emptied;              /* a pass found nothing left to delete */
};

struct mu_namespaces {
    struct mu_apiserver *server;
    struct ending *endings;
    uint32_t count, cap;
    uint64_t at; /* position in the kind's history */
    bool lost;
    bool again;       /* a slice was full */
    uint64_t version; /* of the store at the last look */
    uint64_t retry_ns;
};

static int note(struct mu_namespaces *n, struct mu_kobject *object)
{
    for (uint32_t i = 0; i < n->count; i++) {
        if (mu_str_equal(mu_kobject_uid(n->endings[i].object), mu_kobject_uid(object))) {
            return 0;
        }
    }
    int code = mu_mem_grow((void **)&n->endings, &n->cap, n->count + 1, MU_KUBESIM_OBJECTS_MAX,
                           sizeof n->endings[0]);
    if (code == 0) {
        n->endings[n->count++] = (struct ending){mu_kobject_ref(object), false};
    }
    return code;
}

static int note_terminating(void *context, struct mu_kobject *object)
{
    return mu_object_terminating(object) ? note(context, object) : 0;
}

static void catch_up(struct mu_namespaces *n, uint64_t now_ns)
{
    const struct mu_store *store = n->server->store;
    struct mu_store_event event;
    int code = 0;
    if (n->lost) {
        struct mu_store_range all = {.version = 0};
        n->at = mu_store_head(store, MU_KIND_NAMESPACES);
        code = mu_store_walk(store, MU_KIND_NAMESPACES, &all, note_terminating, n);
    }
    n->lost = false;
    while (code == 0 && (code = mu_store_read(store, MU_KIND_NAMESPACES, n->at, &event)) == 1) {
        code = event.removed ? 0 : note_terminating(n, event.object);
        n->at += code == 0;
    }
    if (code != 0) {
        n->lost = true;
        n->retry_ns = now_ns + MU_NS_PER_S;
    }
}

struct slice {
    struct mu_kobject *objects[SLICE];
    uint32_t count;
};

static int add_to_slice(void *context, struct mu_kobject *object)
{
    struct slice *slice = context;
    if (slice->count == SLICE) {
        return 1;
    }
    if (!mu_object_terminating(object)) {
        slice->objects[slice->count++] = mu_kobject_ref(object);
    }
    return 0;
}

/* Delete a slice of one kind. Returns how many were found; *failed: some are still there. */
static uint32_t delete_slice(struct mu_namespaces *n, enum mu_kind_ix kind, struct mu_str ns,
                             uint64_t now_ns, bool *failed)
{
    struct slice slice = {.count = 0};
    struct mu_store_range range = {.ns = ns};
    (void)mu_store_walk(n->server->store, kind, &range, add_to_slice, &slice);
    for (uint32_t i = 0; i < slice.count; i++) {
        struct mu_kobject *object = slice.objects[i];
        int code = mu_api_remove(n->server, kind, ns, mu_kobject_name(object),
                                 mu_kobject_uid(object), -1, now_ns);
        *failed |= code == MU_ENOMEM;
        mu_kobject_unref(object);
    }
    return slice.count;
}

static int first_object(void *context, struct mu_kobject *object)
{
    (void)context;
    (void)object;
    return 1;
}

static bool is_empty(const struct mu_namespaces *n, struct mu_str ns)
{
    for (enum mu_kind_ix kind = 0; kind < MU_KIND_COUNT; kind++) {
        struct mu_store_range range = {.ns = ns};
        if (mu_kinds[kind].namespaced &&
            mu_store_walk(n->server->store, kind, &range, first_object, NULL) != 0) {
            return false;
        }
    }
    return true;
}

/* True when the namespace is gone. */
static bool finish(struct mu_namespaces *n, struct mu_str name, uint64_t now_ns)
{
    struct mu_kobject *object = mu_store_get(n->server->store, MU_KIND_NAMESPACES, none, name);
    if (object == NULL || !mu_object_terminating(object)) {
        return true; /* gone, or another of that name */
    }
    struct mu_pb_field finalizer;
    if (mu_pb_find(mu_pb_bytes(mu_kobject_raw(object), 1, 0), 14, &finalizer)) {
        return false; /* its owner's to remove */
    }
    struct mu_inside inside;
    mu_inside_begin(&inside, n->server, MU_KIND_NAMESPACES, none, name, now_ns);
    int code = mu_api_erase(&inside.call, MU_KIND_NAMESPACES, object, NULL);
    mu_inside_end(&inside);
    if (code != 0) {
        n->retry_ns = now_ns + MU_NS_PER_S;
    }
    return code == 0;
}

/* Bring one namespace nearer to its end. True when it is over. */
static bool step(struct mu_namespaces *n, struct ending *ending, uint64_t now_ns)
{
    struct mu_str name = mu_kobject_name(ending->object);
    bool failed = false;
    uint32_t found = 0;
    for (enum mu_kind_ix kind = 0; !ending->emptied && kind < MU_KIND_COUNT; kind++) {
        if (mu_kinds[kind].namespaced) {
            uint32_t count = delete_slice(n, kind, name, now_ns, &failed);
            found += count;
            n->again |= count == SLICE && !failed;
        }
    }
    if (failed) {
        n->retry_ns = now_ns + MU_NS_PER_S;
    }
    ending->emptied = found == 0;
    return is_empty(n, name) && finish(n, name, now_ns);
}

void mu_namespaces_run(struct mu_namespaces *n, uint64_t now_ns)
{
    if (mu_namespaces_next_ns(n) > now_ns) {
        return;
    }
    n->retry_ns = UINT64_MAX;
    n->again = false;
    catch_up(n, now_ns);
    for (uint32_t i = 0; i < n->count;) {
        struct ending *ending = &n->endings[i];
        if (step(n, ending, now_ns)) {
            mu_kobject_unref(ending->object);
            n->endings[i] = n->endings[--n->count];
        } else {
            n->again |= !ending->emptied && n->retry_ns == UINT64_MAX;
            i++;
        }
    }
    n->version = mu_store_version(n->server->store);
}

uint64_t mu_namespaces_next_ns(const struct mu_namespaces *n)
{
    const struct mu_store *store = n->server->store;
    if (n->lost || n->retry_ns != UINT64_MAX) {
        return n->retry_ns;
    }
    bool changed = n->at != mu_store_head(store, MU_KIND_NAMESPACES) ||
                   (n->count > 0 && n->version != mu_store_version(store));
    return n->again || changed ? 0 : UINT64_MAX;
}

struct mu_namespaces *mu_namespaces_create(struct mu_apiserver *server)
{
    struct mu_namespaces *n = mu_mem_zalloc(sizeof *n);
    if (n != NULL) {
        n->server = server;
        n->lost = true; /* the first run reads what is there */
    }
    return n;
}

void mu_namespaces_destroy(struct mu_namespaces *n)
{
    if (n == NULL) {
        return;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        mu_kobject_unref(n->endings[i].object);
    }
    mu_mem_free(n->endings);
    mu_mem_free(n);
}
