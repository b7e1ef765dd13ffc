/*
 * Delete: one object, a collection, and what evictions and controllers share with them.
 *
 * An object goes at once, unless something has to happen first: a running pod has a grace period
 * that its kubelet ends, finalizers are their owners' to remove, and a namespace is emptied
 * (namespace.c). Until then it carries a deletionTimestamp, which nothing takes back.
 *
 * propagationPolicy and orphanDependents are accepted and have no effect: there is no garbage
 * collector here, owners and what they own are deleted each on its own.
 */
#include "tools/kubesim/api_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"

static bool empty(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/* ---- options ------------------------------------------------------------------------------ */

static bool is_policy(const char *policy)
{
    return strcmp(policy, "Orphan") == 0 || strcmp(policy, "Background") == 0 ||
           strcmp(policy, "Foreground") == 0;
}

int mu_api_delete_options(struct mu_call *call, const Kube__DeleteOptions *from,
                          struct mu_delete_options *out)
{
    struct mu_str text = mu_query_get(&call->query, "gracePeriodSeconds");
    struct mu_str policy = mu_query_get(&call->query, "propagationPolicy");
    uint64_t value = 0;
    *out = (struct mu_delete_options){.grace_s = -1,
                                      .preconditions = from == NULL ? NULL : from->preconditions};
    if (from != NULL && from->has_graceperiodseconds) {
        out->grace_s = from->graceperiodseconds;
    } else if (mu_str_to_u64(text, &value) && value <= INT32_MAX) {
        out->grace_s = (int64_t)value;
    } else if (text.len > 0) {
        return mu_api_fail(call, 400, "BadRequest",
                           "parameter gracePeriodSeconds: expected a number of seconds");
    }
    if (out->grace_s < -1 || out->grace_s > INT32_MAX) {
        return mu_api_invalid(call, "gracePeriodSeconds", "must be between 0 and %d", INT32_MAX);
    }
    if (from != NULL && !empty(from->propagationpolicy)) {
        policy = mu_str_of(from->propagationpolicy);
    }
    if (policy.len > 0 && !is_policy(policy.data)) {
        return mu_api_invalid(call, "propagationPolicy",
                              "Unsupported value: \"%.40s\": supported values: \"Background\", "
                              "\"Foreground\", \"Orphan\"",
                              policy.data);
    }
    if (from != NULL && from->has_orphandependents && !empty(from->propagationpolicy)) {
        return mu_api_invalid(call, "propagationPolicy",
                              "Invalid value: \"%.40s\": orphanDependents and "
                              "deletionPropagation cannot be both set",
                              from->propagationpolicy);
    }
    for (size_t i = 0; from != NULL && i < from->n_dryrun; i++) {
        if (strcmp(from->dryrun[i], "All") != 0) {
            return mu_api_invalid(call, "dryRun",
                                  "Unsupported value: \"%.40s\": supported "
                                  "values: \"All\"",
                                  from->dryrun[i]);
        }
        call->dry_run = true;
    }
    return 0;
}

/* The options in the request's body, or NULL. */
static int read_body(struct mu_call *call, const Kube__DeleteOptions **out)
{
    *out = NULL;
    if (call->request->body.len == 0) {
        return 0;
    }
    const char *const versions[] = {"v1", "meta.k8s.io/v1", mu_kinds[call->route.kind].api_version,
                                    NULL};
    ProtobufCMessage *message = NULL;
    int code =
        mu_api_body(call, &kube__delete_options__descriptor, versions, "DeleteOptions", &message);
    *out = (const Kube__DeleteOptions *)message;
    return code;
}

int mu_api_check_preconditions(struct mu_call *call, const struct mu_kobject *object,
                               const Kube__Preconditions *want)
{
    if (want != NULL && want->uid != NULL &&
        !mu_str_equal(mu_str_of(want->uid), mu_kobject_uid(object))) {
        return mu_api_conflict(call, "Precondition failed: UID in precondition differs from UID "
                                     "in object meta");
    }
    uint64_t version = 0;
    if (want != NULL && want->resourceversion != NULL &&
        (!mu_str_to_u64(mu_str_of(want->resourceversion), &version) ||
         version != object->version)) {
        return mu_api_conflict(call, "Precondition failed: ResourceVersion in precondition "
                                     "differs from ResourceVersion in object meta");
    }
    return 0;
}

/* ---- one object --------------------------------------------------------------------------- */

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
    if (call->route.kind == MU_KIND_NAMESPACES) {
        mu_namespace_terminate(call, (Kube__Namespace *)message);
    }
    return call->server->arena_full ? mu_api_internal(call, MU_ENOMEM)
                                    : mu_api_store(call, call->route.kind, message, out);
}

int mu_api_remove_object(struct mu_call *call, struct mu_kobject *object, ProtobufCMessage *message,
                         int64_t asked_s, bool *gone, struct mu_kobject **out)
{
    MU_ASSERT(message != NULL);
    int64_t grace_s = grace_of(call, message, asked_s);
    *out = NULL;
    *gone = grace_s == 0 && mu_api_meta(message)->n_finalizers == 0 &&
            call->route.kind != MU_KIND_NAMESPACES;
    if (*gone) {
        return mu_api_erase(call, call->route.kind, object, out);
    }
    struct mu_kobject *stored = NULL;
    int code = begin_termination(call, object, message, grace_s, &stored);
    *out = code == 0 ? mu_kobject_ref(stored) : NULL;
    return code;
}

int mu_api_delete(struct mu_call *call)
{
    const Kube__DeleteOptions *body = NULL;
    struct mu_delete_options options;
    struct mu_kobject *object = NULL;
    ProtobufCMessage *message = NULL;
    int code = read_body(call, &body);
    if (code == 0) {
        code = mu_api_delete_options(call, body, &options);
    }
    if (code == 0) {
        code = mu_api_load(call, &object, &message);
    }
    if (code == 0) {
        code = mu_api_check_preconditions(call, object, options.preconditions);
    }
    if (code == 0 && call->route.kind == MU_KIND_NAMESPACES) {
        code = mu_namespace_check_delete(call);
    }
    if (code != 0) {
        return code;
    }
    bool gone = false;
    struct mu_kobject *last = NULL;
    code = mu_api_remove_object(call, object, message, options.grace_s, &gone, &last);
    if (code == 0) {
        bool show = !gone || call->route.kind == MU_KIND_PODS;
        code = show ? mu_api_respond_object(call, 200, last) : mu_api_success(call, 200);
    }
    mu_kobject_unref(last);
    if (code == 0 && !call->dry_run && call->route.kind == MU_KIND_SERVICEACCOUNTS) {
        mu_namespace_populate(call->server, call->route.ns,
                              call->now_ns); /* `default` comes back */
    }
    return code;
}

/* ---- a collection ------------------------------------------------------------------------- */

struct gathered {
    const struct mu_selector *selector;
    struct mu_kobject **list;
    uint32_t count, cap;
};

static int gather(void *context, struct mu_kobject *object)
{
    struct gathered *all = context;
    if (!mu_selector_match(all->selector, object)) {
        return 0;
    }
    int code = mu_mem_grow((void **)&all->list, &all->cap, all->count + 1, MU_KUBESIM_OBJECTS_MAX,
                           sizeof all->list[0]);
    if (code == 0) {
        all->list[all->count++] = mu_kobject_ref(object);
    }
    return code;
}

/* Each object is deleted as if it had been named, in key order; the arena is reset in between, so
 * nothing of the call may live there by now. The first failure ends it: what went is gone, as on
 * the real server. */
static int remove_all(struct mu_call *call, const struct gathered *all, int64_t grace_s)
{
    struct mu_apiserver *server = call->server;
    const enum mu_kind_ix kind = call->route.kind;
    int code = 0;
    for (uint32_t i = 0; code == 0 && i < all->count; i++) {
        struct mu_kobject *object = all->list[i];
        if (call->dry_run) {
            continue;
        }
        code = mu_api_remove(server, kind, mu_kobject_ns(object), mu_kobject_name(object),
                             mu_kobject_uid(object), grace_s, call->now_ns);
        code = code == MU_ENOENT ? 0 : code; /* gone meanwhile */
    }
    return code;
}

int mu_api_delete_collection(struct mu_call *call, struct mu_list_options *options)
{
    const Kube__DeleteOptions *body = NULL;
    struct mu_delete_options parsed;
    int code = read_body(call, &body);
    if (code == 0) {
        code = mu_api_delete_options(call, body, &parsed);
    }
    if (code == 0 && call->route.kind == MU_KIND_NAMESPACES) {
        code = mu_api_fail(call, 405, "MethodNotAllowed",
                           "the server does not allow this method on the requested resource");
    }
    if (code != 0) {
        return code;
    }
    struct gathered all = {.selector = options->selector};
    struct mu_store_range range = {.version = 0};
    if (call->route.ns.len > 0) {
        range.ns = call->route.ns;
    }
    int walked = mu_store_walk(call->server->store, call->route.kind, &range, gather, &all);
    if (walked == 0) {
        walked = remove_all(call, &all, parsed.grace_s);
    }
    for (uint32_t i = 0; i < all.count; i++) {
        mu_kobject_unref(all.list[i]);
    }
    mu_mem_free(all.list);
    call->route.name = (struct mu_str){"", 0};
    return walked == 0 ? mu_api_success(call, 200) : mu_api_internal(call, walked);
}
