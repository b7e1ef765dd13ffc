/*
 * Objects into the DB: namespaces and nodes first, then pods in the order of the input, so that the
 * order of first sight, which decides between pods of one second, is that order; then budgets.
 *
 * Priorities are resolved here, since the class of a pod may stand behind it. A pod that states its
 * priority keeps it: so does one that an API server has admitted, and then its class may be absent.
 * Objects that describe gangs come before the pods, with the priority of their class.
 */
#include "tools/manifest/manifest_priv.h"

#include <string.h>
#include "informer/codec.h"

#define PROGRESS_EVERY 4096u

_Static_assert(MU_DECODE_ARENA_BYTES <= MU_MANIFEST_ARENA_MAX, "what is decoded fits the scratch");

struct loader {
    struct mu_manifest *m;
    struct mu_db *db;
    struct mu_uid unbound;
    uint64_t now_ns;
    struct mu_str last_ns; /* of a pod, made last */
};

/* Texts of the decoder start with "pod ns/name: ", which the place of a line says already. */
static const char *behind_name(const char *text)
{
    const char *colon = strstr(text, ": ");
    bool names = strncmp(text, "pod", 3) == 0 || strncmp(text, "node", 4) == 0 ||
                 strncmp(text, "namespace", 9) == 0 || strncmp(text, "budget", 6) == 0;
    return names && colon != NULL ? colon + 2 : text;
}

/* A decode or the DB has refused an object: a line, unless it is for lack of memory. */
static int refused(struct loader *l, const struct mu_manifest_object *object, int rc,
                   const struct mu_error *error)
{
    struct mu_manifest_place place = mu_manifest_place_of(l->m, object);
    if (rc != MU_ENOMEM)
        mu_manifest_error(l->m, &place, "%s",
                          error->text[0] != '\0' ? behind_name(error->text) : mu_error_text(rc));
    return rc == MU_ENOMEM ? rc : 0;
}

static void warned(struct loader *l, const struct mu_manifest_object *object,
                   const struct mu_error *warn)
{
    struct mu_manifest_place place = mu_manifest_place_of(l->m, object);
    if (warn->code != 0)
        mu_manifest_note(l->m, &place, "%s", behind_name(warn->text));
}

static int load_node(struct loader *l, const struct mu_manifest_object *object)
{
    struct mu_node_object node;
    struct mu_error warn = {0, ""};
    struct mu_error error = {0, ""};
    mu_arena_reset(l->m->scratch);
    int rc = mu_node_decode(object->raw, l->m->scratch, &node, &warn, &error);
    if (rc == 0) {
        warned(l, object, &warn);
        node.version = 1;
        rc = mu_db_node_upsert(l->db, &node, l->now_ns, &error);
    }
    return rc == 0 ? 0 : refused(l, object, rc, &error);
}

static int put_namespace(struct loader *l, const struct mu_manifest_object *object)
{
    struct mu_namespace_object ns;
    struct mu_error warn = {0, ""};
    struct mu_error error = {0, ""};
    mu_arena_reset(l->m->scratch);
    int rc = mu_namespace_decode(object->raw, l->m->scratch, &ns, &warn, &error);
    if (rc == 0) {
        warned(l, object, &warn);
        rc = mu_db_namespace_upsert(l->db, ns.name, ns.labels,
                                    ns.labels_unknown ? MU_LABELS_UNKNOWN : ns.label_count, &error);
    }
    return rc == 0 ? 0 : refused(l, object, rc, &error);
}

/* Every namespace carries its name as a label; so does one that only pods speak of. */
static int put_pods_namespace(struct loader *l, const struct mu_manifest_object *pod)
{
    struct mu_error error = {0, ""};
    if (mu_str_equal(pod->ns, l->last_ns) ||
        mu_manifest_lookup(l->m, MU_OBJECT_NAMESPACE, MU_STR(""), pod->ns) != MU_INDEX_NONE)
        return 0;
    l->last_ns = pod->ns;
    const struct mu_label label = {MU_STR("kubernetes.io/metadata.name"), pod->ns};
    int rc = mu_db_namespace_upsert(l->db, pod->ns, &label, 1, &error);
    return rc == 0 ? 0 : refused(l, pod, rc, &error);
}

/* Its priority may come from a class. */
static int put_group(struct loader *l, const struct mu_manifest_object *object)
{
    struct mu_group_object group = *object->described;
    struct mu_error error = {0, ""};
    group.version = 1;
    group.has_priority = object->has_priority;
    group.priority = object->priority;
    group.never_preempts = object->policy == MU_POLICY_NEVER;
    int rc = mu_db_group_upsert(l->db, &group, &error);
    return rc == 0 ? 0 : refused(l, object, rc, &error);
}

/* ---- pods --------------------------------------------------------------------------------- */

/* The two classes that every cluster has. */
static bool find_system_class(struct mu_str name, int32_t *priority)
{
    bool cluster = mu_str_equal(name, MU_STR("system-cluster-critical"));
    bool node = mu_str_equal(name, MU_STR("system-node-critical"));
    if (cluster || node)
        *priority = node ? 2000001000 : 2000000000;
    return cluster || node;
}

/* Of several default classes the lowest counts, as it does for the admission plugin. NULL: there is
 * none. */
static const struct mu_manifest_object *default_class(const struct mu_manifest *m)
{
    const struct mu_manifest_object *lowest = NULL;
    for (uint32_t i = 0; m->counts[MU_OBJECT_PRIORITY] > 0 && i < m->object_count; i++) {
        const struct mu_manifest_object *o = &m->objects[i];
        if (o->kind == MU_OBJECT_PRIORITY && o->has_priority &&
            (lowest == NULL || o->priority < lowest->priority))
            lowest = o;
    }
    return lowest;
}

/* Whether it preempts follows from its class, where the object does not say it. */
static void resolve_policy(struct mu_manifest_object *o, const struct mu_manifest_object *class_)
{
    if (o->policy == MU_POLICY_UNSAID && class_ != NULL)
        o->policy = class_->policy;
}

/* The priority of the class that an object names, unless it says one itself. */
static void resolve_class(struct mu_manifest *m, struct mu_manifest_object *o)
{
    uint32_t found = mu_manifest_lookup(m, MU_OBJECT_PRIORITY, MU_STR(""), o->priority_class);
    bool said = o->has_priority;
    resolve_policy(o, found != MU_INDEX_NONE ? &m->objects[found] : NULL);
    o->has_priority = true;
    if (said)
        return;
    if (found != MU_INDEX_NONE)
        o->priority = m->objects[found].priority;
    else if (!find_system_class(o->priority_class, &o->priority)) {
        struct mu_manifest_place place = mu_manifest_place_of(m, o);
        mu_manifest_error(
            m, &place, "spec.priorityClassName: '%.*s' is no PriorityClass of the input",
            (int)(o->priority_class.len < 80 ? o->priority_class.len : 80), o->priority_class.data);
    }
}

/* A pod counts as one of its group, whose priority, if it has one, is the pod's. */
static void resolve_pod(struct mu_manifest *m, struct mu_manifest_object *pod,
                        const struct mu_manifest_object *usual)
{
    uint32_t found = pod->group.len > 0
                         ? mu_manifest_lookup(m, pod->group_kind, pod->ns, pod->group)
                         : MU_INDEX_NONE;
    struct mu_manifest_object *group = found != MU_INDEX_NONE ? &m->objects[found] : NULL;
    if (pod->priority_class.len > 0) {
        resolve_class(m, pod);
    } else if (!pod->has_priority) {
        pod->priority = usual != NULL ? usual->priority : 0;
        resolve_policy(pod, usual);
    }
    if (group != NULL && group->has_priority)
        pod->priority = group->priority;
    pod->has_priority = true;
}

void mu_manifest_resolve(struct mu_manifest *m)
{
    const struct mu_manifest_object *usual = default_class(m);
    for (uint32_t i = 0; i < m->object_count; i++) {
        struct mu_manifest_object *o = &m->objects[i];
        if (o->kind >= MU_OBJECT_GROUP && o->priority_class.len > 0)
            resolve_class(m, o);
    }
    for (uint32_t i = 0; i < m->object_count; i++)
        if (m->objects[i].kind == MU_OBJECT_POD)
            resolve_pod(m, &m->objects[i], usual);
}

static void set_aside(struct mu_manifest_aside *aside, uint32_t number)
{
    if (aside->count++ == 0)
        aside->first = number;
}

/* Of the pods that have no part, some are told of. Errors: MU_ENOMEM. */
static int tally_aside(struct mu_manifest *m, uint32_t number, const struct mu_pod_object *pod)
{
    static const struct mu_str ours[] = {{"default-scheduler", 17}, {"muster", 6}};
    if (pod->phase == MU_POD_SUCCEEDED || pod->phase == MU_POD_FAILED)
        return 0;
    if (pod->node_name.len == 0) {
        if (!mu_str_equal(pod->scheduler_name, ours[0]) &&
            !mu_str_equal(pod->scheduler_name, ours[1]))
            set_aside(&m->others, number);
        return 0;
    }
    if (mu_manifest_lookup(m, MU_OBJECT_NODE, MU_STR(""), pod->node_name) != MU_INDEX_NONE)
        return 0;
    if (m->astray.count == 0)
        m->astray_node = mu_arena_str(m->store, pod->node_name);
    set_aside(&m->astray, number);
    return m->astray_node.data == NULL ? MU_ENOMEM : 0;
}

/* Put the pod in, on this node if there is one. */
static int put_pod(struct loader *l, uint32_t number, const struct mu_plan_bind *bind)
{
    const struct mu_manifest_object *object = &l->m->objects[number];
    struct mu_pod_object pod;
    struct mu_error warn = {0, ""};
    struct mu_error error = {0, ""};
    mu_arena_reset(l->m->scratch);
    int rc = mu_pod_decode(object->raw, l->m->scratch, &pod, &warn, &error);
    if (rc != 0)
        return refused(l, object, rc, &error);
    pod.version = bind != NULL ? bind->version + 1 : 1;
    pod.priority = object->priority;
    pod.never_preempts = object->policy == MU_POLICY_NEVER;
    pod.created_s = object->created_s != 0 ? object->created_s : l->m->created_max_s + 1;
    if (bind != NULL) {
        pod.node_name = mu_db_node_name(l->db, bind->node);
        pod.phase = MU_POD_RUNNING;
        pod.devices = bind->devices;
    } else {
        warned(l, object, &warn);
        rc = tally_aside(l->m, number, &pod);
        if (rc != 0)
            return rc;
    }
    if (l->unbound.lo == (uint64_t)number + 1) {
        l->m->was = (struct mu_manifest_was){.node = mu_arena_str(l->m->store, pod.node_name),
                                             .finished = pod.phase == MU_POD_SUCCEEDED ||
                                                         pod.phase == MU_POD_FAILED,
                                             .deleted = pod.terminating};
        if (l->m->was.node.data == NULL)
            return MU_ENOMEM;
        pod.node_name = (struct mu_str){NULL, 0};
        pod.phase = MU_POD_PENDING;
        pod.terminating = false;
    }
    rc = mu_db_pod_upsert(l->db, &pod, l->now_ns, &error);
    return rc == 0 ? 0 : refused(l, object, rc, &error);
}

/* ---- disruption budgets -------------------------------------------------------------------- */

/* Once all pods are there: what it allows follows from them where no controller has said it. */
static int put_budget(struct loader *l, const struct mu_manifest_object *object)
{
    struct mu_budget_object budget;
    struct mu_budget_wish wish;
    struct mu_error warn = {0, ""};
    struct mu_error error = {0, ""};
    mu_arena_reset(l->m->scratch);
    int rc = mu_budget_decode(object->raw, l->m->scratch, &budget, &wish, &warn, &error);
    if (rc == 0) {
        warned(l, object, &warn);
        budget.version = 1;
        if (!wish.stated)
            rc = mu_manifest_budget_allows(l->db, l->m->counts[MU_OBJECT_POD], &wish, &budget);
    }
    if (rc == 0)
        rc = mu_db_budget_upsert(l->db, &budget, &error);
    return rc == 0 ? 0 : refused(l, object, rc, &error);
}

/* ---- all ---------------------------------------------------------------------------------- */

static int load_object(struct loader *l, uint32_t number)
{
    const struct mu_manifest_object *object = &l->m->objects[number];
    if (object->kind == MU_OBJECT_NAMESPACE)
        return put_namespace(l, object);
    if (object->kind == MU_OBJECT_NODE)
        return load_node(l, object);
    if (object->kind == MU_OBJECT_BUDGET)
        return put_budget(l, object);
    if (object->kind >= MU_OBJECT_GROUP)
        return put_group(l, object);
    int rc = put_pods_namespace(l, object);
    return rc != 0 ? rc : put_pod(l, number, NULL);
}

static int load_kind(struct loader *l, uint32_t kind)
{
    int rc = 0;
    uint32_t done = 0;
    for (uint32_t i = 0; i < l->m->object_count && rc == 0; i++) {
        const struct mu_manifest_object *object = &l->m->objects[i];
        if (object->kind != kind)
            continue;
        rc = load_object(l, i);
        done++;
        if (done % PROGRESS_EVERY == 0 && l->m->progress != NULL)
            l->m->progress(l->m->progress_context, done, l->m->counts[kind]);
        if (done % PROGRESS_EVERY == 0)
            mu_db_batch_end(l->db);
    }
    return rc;
}

int mu_manifest_load(struct mu_manifest *m, struct mu_db *db, struct mu_uid unbound,
                     uint64_t now_ns)
{
    struct loader l = {.m = m, .db = db, .unbound = unbound, .now_ns = now_ns};
    int rc = load_kind(&l, MU_OBJECT_NAMESPACE);
    if (rc == 0)
        rc = load_kind(&l, MU_OBJECT_NODE);
    for (uint32_t kind = MU_OBJECT_GROUP; rc == 0 && kind < MU_OBJECT_KINDS; kind++)
        rc = m->counts[kind] > 0 ? load_kind(&l, kind) : 0;
    if (rc == 0)
        rc = load_kind(&l, MU_OBJECT_POD);
    if (rc == 0)
        rc = load_kind(&l, MU_OBJECT_BUDGET);
    if (rc == 0)
        mu_db_batch_end(db);
    return rc;
}

int mu_manifest_bind(struct mu_manifest *m, struct mu_db *db, const struct mu_plan_bind *bind,
                     uint64_t now_ns)
{
    if (bind->uid.hi != MU_MANIFEST_UID_HI || bind->uid.lo == 0 || bind->uid.lo > m->object_count ||
        m->objects[bind->uid.lo - 1].kind != MU_OBJECT_POD)
        return MU_ENOENT;
    struct loader l = {.m = m, .db = db, .now_ns = now_ns};
    return put_pod(&l, (uint32_t)bind->uid.lo - 1, bind);
}
