/*
 * See checker.h. Lists hold raw objects; each check decodes what it needs into a scratch arena.
 * That is slow and on purpose: there is no state here that could be wrong in the same way as the
 * scheduler's.
 */
#include "tools/sim/checker_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/codec.h"

void mu_checker_violate(struct mu_checker *c, const char *invariant, const char *format, ...)
{
    if (c->violation_count == MU_CHECKER_VIOLATIONS_MAX)
        return;
    struct mu_violation *v = &c->violations[c->violation_count++];
    (void)snprintf(v->invariant, sizeof v->invariant, "%s", invariant);
    v->step = c->step;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(v->what, sizeof v->what, format, args);
    va_end(args);
}

/* The checker runs in tests only: without memory there is nothing to check. */
static void *must(void *pointer)
{
    MU_ASSERT(pointer != NULL);
    return pointer;
}

struct mu_checker *mu_checker_create(const struct mu_checker_config *config)
{
    struct mu_checker *c = mu_mem_zalloc(sizeof *c);
    if (c == NULL)
        return NULL;
    c->config = *config;
    c->arena = mu_arena_create(256u << 20);
    if (c->arena == NULL) {
        mu_mem_free(c);
        return NULL;
    }
    return c;
}

static void list_clear(struct mu_naive_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        mu_buf_fini(&list->objects[i].raw);
    list->count = 0;
}

void mu_checker_destroy(struct mu_checker *c)
{
    if (c == NULL)
        return;
    for (int kind = 0; kind < MU_DB_KINDS; kind++) {
        list_clear(&c->view[kind]);
        list_clear(&c->server[kind]);
        mu_mem_free(c->view[kind].objects);
        mu_mem_free(c->server[kind].objects);
    }
    list_clear(&c->budgets);
    list_clear(&c->slots);
    mu_mem_free(c->budgets.objects);
    mu_mem_free(c->slots.objects);
    mu_checker_plans_clear(c);
    mu_mem_free(c->plans);
    mu_mem_free(c->epochs);
    mu_mem_free(c->decisions);
    mu_mem_free(c->seen);
    mu_arena_destroy(c->arena);
    mu_mem_free(c);
}

void mu_checker_step(struct mu_checker *c, uint64_t step)
{
    c->step = step;
    c->opened_before = c->opened;
}

/* ---- lists -------------------------------------------------------------------------------- */

static struct mu_object_meta meta_of(struct mu_str raw)
{
    struct mu_object_meta meta = {0};
    MU_ASSERT(mu_meta_decode(raw, &meta, NULL) == 0);
    return meta;
}

static struct mu_str raw_of(const struct mu_naive_object *object)
{
    return (struct mu_str){(const char *)object->raw.data, (uint32_t)object->raw.len};
}

static void list_add(struct mu_naive_list *list, struct mu_str raw)
{
    MU_ASSERT(mu_mem_grow((void **)&list->objects, &list->cap, list->count + 1,
                          MU_CHECKER_OBJECTS_MAX, sizeof *list->objects) == 0);
    struct mu_naive_object *object = &list->objects[list->count++];
    *object = (struct mu_naive_object){0};
    MU_ASSERT(mu_buf_append_str(&object->raw, raw) == 0);
}

static void list_remove(struct mu_naive_list *list, uint32_t at)
{
    mu_buf_fini(&list->objects[at].raw);
    list->objects[at] = list->objects[--list->count];
}

void mu_checker_view_object(struct mu_checker *c, enum mu_db_kind kind, struct mu_str raw,
                            bool removed)
{
    struct mu_naive_list *list = &c->view[kind];
    struct mu_object_meta meta = meta_of(raw);
    for (uint32_t i = 0; i < list->count; i++) {
        struct mu_object_meta old = meta_of(raw_of(&list->objects[i]));
        if (!mu_str_equal(old.ns, meta.ns) || !mu_str_equal(old.name, meta.name))
            continue;
        if (!removed && mu_str_equal(old.uid, meta.uid) && old.version > meta.version) {
            list->objects[i].marked = false;
            return; /* never an older version */
        }
        list_remove(list, i);
        break;
    }
    if (!removed)
        list_add(list, raw);
}

void mu_checker_view_relist(struct mu_checker *c, enum mu_db_kind kind, bool done)
{
    struct mu_naive_list *list = &c->view[kind];
    for (uint32_t i = list->count; i-- > 0;) {
        if (!done)
            list->objects[i].marked = true;
        else if (list->objects[i].marked)
            list_remove(list, i);
    }
}

static int compare_pods(const void *left, const void *right)
{
    const struct mu_pod_object *a = left, *b = right;
    if (a->created_s != b->created_s)
        return a->created_s < b->created_s ? -1 : 1;
    return mu_str_compare(a->uid, b->uid);
}

static int compare_nodes(const void *left, const void *right)
{
    const struct mu_node_object *a = left, *b = right;
    return mu_str_compare(a->name, b->name);
}

/* Pods in canonical order, nodes by name. */
struct mu_naive_world mu_checker_world(struct mu_checker *c,
                                       struct mu_naive_list lists[MU_DB_KINDS])
{
    struct mu_naive_list *nodes = &lists[MU_DB_NODES], *pods = &lists[MU_DB_PODS];
    struct mu_naive_list *spaces = &lists[MU_DB_NAMESPACES];
    struct mu_naive_world w = {0};
    struct mu_error warn;
    w.nodes = must(mu_arena_calloc(c->arena, nodes->count + 1, sizeof *w.nodes));
    w.pods = must(mu_arena_calloc(c->arena, 2 * pods->count + 1, sizeof *w.pods));
    w.holding = must(mu_arena_calloc(c->arena, 2 * pods->count + 1, sizeof *w.holding));
    for (uint32_t i = 0; i < nodes->count; i++)
        if (mu_node_decode(raw_of(&nodes->objects[i]), c->arena, &w.nodes[w.node_count], &warn,
                           NULL) == 0)
            w.node_count++;
    for (uint32_t i = 0; i < pods->count; i++)
        if (mu_pod_decode(raw_of(&pods->objects[i]), c->arena, &w.pods[w.pod_count], &warn, NULL) ==
            0)
            w.pod_count++;
    w.namespaces = must(mu_arena_calloc(c->arena, spaces->count + 1, sizeof *w.namespaces));
    for (uint32_t i = 0; i < spaces->count; i++) {
        struct mu_namespace_object ns;
        if (mu_namespace_decode(raw_of(&spaces->objects[i]), c->arena, &ns, &warn, NULL) == 0)
            w.namespaces[w.namespace_count++] =
                (struct mu_rules_namespace){ns.name, ns.labels, ns.label_count};
    }
    w.rules = mu_rules_any(w.pods, w.pod_count);
    qsort(w.nodes, w.node_count, sizeof *w.nodes, compare_nodes);
    qsort(w.pods, w.pod_count, sizeof *w.pods, compare_pods);
    return w;
}

struct mu_pod_object *mu_naive_find_pod(const struct mu_naive_world *w, const char *uid)
{
    for (uint32_t i = 0; i < w->pod_count; i++)
        if (mu_str_equal(w->pods[i].uid, mu_str_of(uid)))
            return &w->pods[i];
    return NULL;
}

const struct mu_node_object *mu_naive_find_node(const struct mu_naive_world *w, struct mu_str name)
{
    for (uint32_t i = 0; i < w->node_count; i++)
        if (mu_str_equal(w->nodes[i].name, name))
            return &w->nodes[i];
    return NULL;
}

/* ---- decisions ---------------------------------------------------------------------------- */

/* Charge every decision that the view does not show yet; forget those that it shows. Node names are
 * copied: the world outlives the list's storage, which moves when a decision is added. */
void mu_checker_apply_decisions(struct mu_checker *c, struct mu_naive_world *w)
{
    for (uint32_t i = c->decision_count; i-- > 0;) {
        struct mu_pod_object *pod = mu_naive_find_pod(w, c->decisions[i].uid);
        if (pod == NULL || pod->node_name.len > 0)
            c->decisions[i] = c->decisions[--c->decision_count];
    }
    for (uint32_t i = 0; i < c->decision_count; i++) {
        struct mu_str node = mu_arena_str(c->arena, mu_str_of(c->decisions[i].node));
        MU_ASSERT(node.data != NULL);
        mu_naive_find_pod(w, c->decisions[i].uid)->node_name = node;
        mu_naive_find_pod(w, c->decisions[i].uid)->devices = c->decisions[i].devices;
    }
}

static void decision_add(struct mu_checker *c, const char *uid, struct mu_str node,
                         uint64_t devices)
{
    MU_ASSERT(mu_mem_grow((void **)&c->decisions, &c->decision_cap, c->decision_count + 1,
                          MU_CHECKER_OBJECTS_MAX, sizeof *c->decisions) == 0);
    struct mu_naive_decision *d = &c->decisions[c->decision_count++];
    (void)snprintf(d->uid, sizeof d->uid, "%s", uid);
    (void)snprintf(d->node, sizeof d->node, "%.*s", MU_STR_ARGS(node));
    d->devices = devices;
}

/* No device gives more than it has, and every pod that asks for some names them. */
static void check_devices(struct mu_checker *c, const struct mu_naive_world *w,
                          const struct mu_node_object *node, const char *who)
{
    struct mu_devices_left left;
    if (node->device_count == 0)
        return;
    if (!mu_naive_devices_left(w, node, &left))
        mu_checker_violate(c, "I11", "%s: node %.*s: a pod without the devices that it asks for",
                           who, MU_STR_ARGS(node->name));
    for (uint32_t d = 0; d < MU_DEVICES_PER_NODE; d++)
        if (left.millis[d] < 0)
            mu_checker_violate(c, "I2", "%s: node %.*s: device %u has %" PRId64 " thousandths left",
                               who, MU_STR_ARGS(node->name), d, left.millis[d]);
}

static void check_node_room(struct mu_checker *c, const struct mu_naive_world *w,
                            const struct mu_node_object *node, const char *who)
{
    check_devices(c, w, node, who);
    for (uint32_t i = 0; i < node->allocatable_count; i++) {
        struct mu_str resource = node->allocatable[i].resource;
        int64_t used = mu_naive_used(w, node->name, resource);
        if (used > node->allocatable[i].value)
            mu_checker_violate(c, "I2", "%s: node %.*s: %.*s %" PRId64 " of %" PRId64, who,
                               MU_STR_ARGS(node->name), MU_STR_ARGS(resource), used,
                               node->allocatable[i].value);
    }
}

/* One bind of a decision: may this pod be bound, may it be bound here? Places it in w. */
static struct mu_pod_object *check_bind(struct mu_checker *c, struct mu_naive_world *w,
                                        const char *uid, struct mu_str node_name, uint64_t devices)
{
    struct mu_pod_object *pod = mu_naive_find_pod(w, uid);
    const struct mu_node_object *node = mu_naive_find_node(w, node_name);
    if (pod == NULL || node == NULL) {
        mu_checker_violate(c, pod == NULL ? "I9" : "I11", "bind of %s to %.*s: no such %s in view",
                           uid, MU_STR_ARGS(node_name), pod == NULL ? "pod" : "node");
        return NULL;
    }
    if (!mu_naive_wants_node(pod, c->config.scheduler_name))
        mu_checker_violate(
            c, "I9", "pod %.*s must not be bound (gated %d, terminating %d, rules %x, node %.*s)",
            MU_STR_ARGS(pod->name), pod->gated, pod->terminating, pod->unbuilt,
            MU_STR_ARGS(pod->node_name));
    enum mu_verdict_kind broken = mu_rules_static(node, pod);
    if (broken != MU_FITS)
        mu_checker_violate(c, "I11", "pod %.*s on %.*s: %s", MU_STR_ARGS(pod->name),
                           MU_STR_ARGS(node_name), mu_verdict_text(broken));
    for (uint32_t i = 0; i < pod->request_count; i++)
        if (pod->requests[i].value > 0 && !mu_devices_tell(node, pod->requests[i].resource) &&
            mu_naive_amount(node->allocatable, node->allocatable_count,
                            pod->requests[i].resource) == 0)
            mu_checker_violate(c, "I2", "pod %.*s: node %.*s has no %.*s", MU_STR_ARGS(pod->name),
                               MU_STR_ARGS(node_name), MU_STR_ARGS(pod->requests[i].resource));
    if (!node->devices_whole && node->device_count > 0 &&
        mu_naive_amount(pod->requests, pod->request_count, node->device_resource) > 0)
        mu_checker_violate(c, "I11", "pod %.*s: node %.*s takes no whole devices",
                           MU_STR_ARGS(pod->name), MU_STR_ARGS(node_name));
    pod->node_name = node_name;
    pod->devices = devices;
    return pod;
}

/* Rules about other pods, with the whole gang in its places: they hold whatever the order in which
 * its members got there. */
static void check_others(struct mu_checker *c, const struct mu_naive_world *w,
                         const struct mu_pod_object *pod)
{
    const struct mu_rules_world rules = mu_naive_rules(w);
    const struct mu_node_object *node = mu_naive_find_node(w, pod->node_name);
    enum mu_verdict_kind broken = node == NULL ? MU_FITS : mu_rules_others(&rules, node, pod);
    if (broken != MU_FITS)
        mu_checker_violate(c, "I11", "pod %.*s on %.*s: %s", MU_STR_ARGS(pod->name),
                           MU_STR_ARGS(pod->node_name), mu_verdict_text(broken));
}

void mu_checker_decision(struct mu_checker *c, struct mu_db *db, const struct mu_plan_gang *gang)
{
    mu_arena_reset(c->arena);
    struct mu_naive_world w = mu_checker_world(c, c->view);
    const struct mu_pod_object *first = NULL;
    mu_checker_apply_decisions(c, &w);
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        char uid[MU_UID_BYTES_MAX + 1];
        struct mu_str node = mu_db_node_name(db, gang->binds[i].node);
        uid[mu_db_uid_text(db, gang->binds[i].uid, uid)] = '\0';
        struct mu_pod_object *pod = check_bind(c, &w, uid, node, gang->binds[i].devices);
        if (pod == NULL)
            continue;
        if (first != NULL && !mu_naive_same_gang(first, pod))
            mu_checker_violate(c, "I9", "pods %.*s and %.*s bound as one gang",
                               MU_STR_ARGS(first->name), MU_STR_ARGS(pod->name));
        first = pod;
        mu_checker_plan_bound(c, &w, uid);
        decision_add(c, uid, node, gang->binds[i].devices);
    }
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        const struct mu_node_object *node =
            mu_naive_find_node(&w, mu_db_node_name(db, gang->binds[i].node));
        if (node != NULL)
            check_node_room(c, &w, node, "decision");
    }
    /* Pods that are only expected keep others away, and draw nobody: they may never come. */
    mu_checker_apply_plans(c, db, &w);
    mu_checker_apply_held(db, &w);
    for (uint32_t i = 0; i < gang->bind_count && w.rules; i++) {
        char uid[MU_UID_BYTES_MAX + 1];
        uid[mu_db_uid_text(db, gang->binds[i].uid, uid)] = '\0';
        const struct mu_pod_object *pod = mu_naive_find_pod(&w, uid);
        if (pod != NULL)
            check_others(c, &w, pod);
    }
    if (first != NULL && first->gang.source != MU_GANG_SOLO) {
        struct mu_naive_gang g = mu_naive_gang_of(&w, first, c->config.scheduler_name);
        uint32_t left = g.members < gang->size ? g.members : gang->size;
        uint32_t size = g.size != 0 ? g.size : left; /* nobody waits for members that have ended */
        if (g.bound < size || g.parted)
            mu_checker_violate(c, "I9", "gang %.*s: %u of %u placed by a decision%s",
                               MU_STR_ARGS(first->gang.name), g.bound, size,
                               g.parted ? ", a sub-group without its minimum" : "");
    }
}

void mu_checker_outcome(struct mu_checker *c, struct mu_str uid, enum mu_bind_result result)
{
    if (result == MU_BIND_BOUND)
        return; /* charged until the view shows it */
    for (uint32_t i = c->decision_count; i-- > 0;)
        if (mu_str_equal(mu_str_of(c->decisions[i].uid), uid))
            c->decisions[i] = c->decisions[--c->decision_count];
}

void mu_checker_restart(struct mu_checker *c)
{
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        list_clear(&c->view[kind]);
    c->decision_count = 0;
    mu_checker_plans_clear(c);
}

/* ---- the server's truth ------------------------------------------------------------------- */

void mu_checker_server_begin(struct mu_checker *c)
{
    for (int kind = 0; kind < MU_DB_KINDS; kind++)
        list_clear(&c->server[kind]);
    list_clear(&c->budgets);
    list_clear(&c->slots);
}

void mu_checker_server_budget(struct mu_checker *c, struct mu_str raw)
{
    list_add(&c->budgets, raw);
}

void mu_checker_server_map(struct mu_checker *c, struct mu_str raw)
{
    list_add(&c->slots, raw);
}

int mu_checker_server_object(struct mu_checker *c, enum mu_db_kind kind, struct mu_str raw)
{
    list_add(&c->server[kind], raw);
    return 0;
}

static struct mu_naive_seen *seen_of(struct mu_checker *c, const struct mu_pod_object *pod)
{
    for (uint32_t i = 0; i < c->seen_count; i++)
        if (mu_str_equal(mu_str_of(c->seen[i].uid), pod->uid))
            return &c->seen[i];
    MU_ASSERT(mu_mem_grow((void **)&c->seen, &c->seen_cap, c->seen_count + 1,
                          MU_CHECKER_OBJECTS_MAX, sizeof *c->seen) == 0);
    struct mu_naive_seen *seen = &c->seen[c->seen_count++];
    *seen = (struct mu_naive_seen){0};
    mu_checker_landed(c, pod, false);
    (void)snprintf(seen->uid, sizeof seen->uid, "%.*s", MU_STR_ARGS(pod->uid));
    (void)snprintf(seen->node, sizeof seen->node, "%.*s", MU_STR_ARGS(pod->node_name));
    return seen;
}

/* A gang is partly bound when fewer run than its minimum although enough members are alive, and
 * the missing ones would find room. Such a state must end before the deadline. */
static bool partly_bound(struct mu_checker *c, struct mu_naive_world *w,
                         const struct mu_pod_object *pod)
{
    struct mu_naive_gang g = mu_naive_gang_of(w, pod, c->config.scheduler_name);
    return g.size > 0 && (g.bound < g.size || g.parted) && g.bound + g.waiting >= g.size &&
           !g.lacking && mu_naive_gang_fits(w, pod, c->config.scheduler_name);
}

void mu_checker_server_end(struct mu_checker *c, uint64_t now_ns)
{
    mu_arena_reset(c->arena);
    struct mu_naive_world w = mu_checker_world(c, c->server);
    for (uint32_t i = 0; i < w.pod_count; i++) {
        struct mu_pod_object *pod = &w.pods[i];
        if (pod->node_name.len == 0 || !mu_str_equal(pod->scheduler_name, c->config.scheduler_name))
            continue;
        struct mu_naive_seen *seen = seen_of(c, pod);
        if (!mu_str_equal(mu_str_of(seen->node), pod->node_name))
            mu_checker_violate(c, "I1", "pod %.*s moved from %s to %.*s", MU_STR_ARGS(pod->name),
                               seen->node, MU_STR_ARGS(pod->node_name));
        if (pod->terminating && !seen->terminating)
            mu_checker_landed(c, pod, true);
        seen->terminating = pod->terminating;
        if (pod->gated || pod->unbuilt != 0)
            mu_checker_violate(c, "I9", "pod %.*s is bound but gated or uses an unbuilt rule",
                               MU_STR_ARGS(pod->name));
        bool partly = pod->gang.source != MU_GANG_SOLO && !mu_naive_terminal(pod) &&
                      !pod->terminating && partly_bound(c, &w, pod);
        if (partly && !seen->partly)
            seen->partly_since_ns = now_ns;
        seen->partly = partly;
        if (partly && now_ns - seen->partly_since_ns > c->config.gang_deadline_ns)
            mu_checker_violate(c, "I4", "gang %.*s partly bound for %" PRIu64 " ms",
                               MU_STR_ARGS(pod->gang.name),
                               (now_ns - seen->partly_since_ns) / 1000000);
    }
    for (uint32_t i = 0; i < w.node_count; i++)
        check_node_room(c, &w, &w.nodes[i], "server");
}

/* ---- at rest ------------------------------------------------------------------------------ */

static uint64_t fresh_digest(struct mu_checker *c, const struct mu_naive_world *w)
{
    struct mu_db_config config = {.scheduler_names = &c->config.scheduler_name,
                                  .scheduler_name_count = 1};
    struct mu_db *db = must(mu_db_create(&config));
    for (uint32_t i = 0; i < w->node_count; i++)
        MU_ASSERT(mu_db_node_upsert(db, &w->nodes[i], 0, NULL) == 0);
    for (uint32_t i = 0; i < w->pod_count; i++)
        if (!mu_naive_terminal(&w->pods[i]))
            MU_ASSERT(mu_db_pod_upsert(db, &w->pods[i], 0, NULL) == 0);
    for (uint32_t i = 0; i < w->namespace_count; i++)
        MU_ASSERT(mu_db_namespace_upsert(db, w->namespaces[i].name, w->namespaces[i].labels,
                                         w->namespaces[i].label_count, NULL) == 0);
    for (uint32_t i = 0; i < c->budgets.count; i++) {
        struct mu_budget_object budget;
        struct mu_error warn;
        MU_ASSERT(mu_budget_decode(raw_of(&c->budgets.objects[i]), c->arena, &budget, NULL, &warn,
                                   NULL) == 0);
        MU_ASSERT(mu_db_budget_upsert(db, &budget, NULL) == 0);
    }
    mu_db_batch_end(db);
    uint64_t digest = mu_db_digest(db);
    mu_db_destroy(db);
    return digest;
}

/* Pods that have ended are not shown to the scheduler. */
static bool has_ended(struct mu_checker *c, enum mu_db_kind kind, struct mu_str raw)
{
    struct mu_pod_object pod;
    struct mu_error warn;
    return kind == MU_DB_PODS && mu_pod_decode(raw, c->arena, &pod, &warn, NULL) == 0 &&
           mu_naive_terminal(&pod);
}

/* Name the objects in which what the scheduler was shown differs from the server. */
static void explain_difference(struct mu_checker *c)
{
    for (int kind = 0; kind < MU_DB_KINDS; kind++) {
        for (uint32_t side = 0; side < 2; side++) {
            const struct mu_naive_list *from = side == 0 ? &c->server[kind] : &c->view[kind];
            const struct mu_naive_list *to = side == 0 ? &c->view[kind] : &c->server[kind];
            for (uint32_t i = 0; i < from->count; i++) {
                struct mu_object_meta meta = meta_of(raw_of(&from->objects[i]));
                uint32_t at = 0;
                while (at < to->count &&
                       !mu_str_equal(meta_of(raw_of(&to->objects[at])).uid, meta.uid))
                    at++;
                uint64_t other = at < to->count ? meta_of(raw_of(&to->objects[at])).version : 0;
                if (other != meta.version &&
                    !has_ended(c, (enum mu_db_kind)kind, raw_of(&from->objects[i])))
                    mu_checker_violate(c, "I7",
                                       "%.*s: version %" PRIu64 " %s, %" PRIu64 " (0: none) %s",
                                       MU_STR_ARGS(meta.name), meta.version,
                                       side == 0 ? "on the server" : "in the view", other,
                                       side == 0 ? "in the view" : "on the server");
            }
        }
    }
}

void mu_checker_rest(struct mu_checker *c, uint64_t db_digest)
{
    mu_arena_reset(c->arena);
    struct mu_naive_world w = mu_checker_world(c, c->server);
    if (fresh_digest(c, &w) != db_digest) {
        mu_checker_violate(c, "I7", "the cluster DB differs from the server at rest");
        explain_difference(c);
    }
    for (uint32_t i = 0; i < w.pod_count; i++) {
        struct mu_pod_object *pod = &w.pods[i];
        if (!mu_naive_wants_node(pod, c->config.scheduler_name))
            continue;
        struct mu_naive_gang g = mu_naive_gang_of(&w, pod, c->config.scheduler_name);
        uint32_t size = g.size != 0 ? g.size : g.members;
        bool complete =
            g.bound + g.waiting >= size && g.waiting + g.bound == g.members && !g.lacking;
        if (!complete || !mu_naive_gang_fits(&w, pod, c->config.scheduler_name))
            continue;
        mu_checker_violate(c, g.bound > 0 && g.bound < size ? "I4" : "I8",
                           "pod %.*s is pending at rest although its gang (%u of %u bound) fits",
                           MU_STR_ARGS(pod->name), g.bound, size);
    }
    mu_checker_rest_preempt(c, &w);
}

uint32_t mu_checker_violations(const struct mu_checker *c, const struct mu_violation **violations)
{
    *violations = c->violations;
    return c->violation_count;
}
