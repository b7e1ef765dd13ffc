/*
 * Objects in: what a reflector hands over is decoded and stored; a bind that waits for this very
 * pod is told. A bad object is reported and skipped, the rest of the cluster is unaffected; only
 * lack of memory stops a feed, and then a relist repairs it.
 */
#include "engine/base/log.h"
#include "tools/scheduler/scheduler_priv.h"

static int report_bad(struct mu_scheduler *s, const char *what, struct mu_str ns,
                      struct mu_str name, int code, const struct mu_error *error)
{
    s->stats.bad_objects++;
    mu_log(MU_LOG_WARN, what, MU_F_STR("namespace", ns), MU_F_STR("name", name),
           MU_F_TEXT("error", error->code != 0 ? error->text : mu_error_text(code)), MU_F_END);
    return code == MU_ENOMEM ? code : 0;
}

/* An object that cannot be read as what it is: named as far as its metadata can be. */
static int report_undecoded(struct mu_scheduler *s, const char *what, struct mu_str raw, int code,
                            const struct mu_error *error)
{
    struct mu_object_meta meta;
    if (mu_meta_decode(raw, &meta, NULL) != 0 || meta.name.len == 0)
        return report_bad(s, what, MU_STR(""), MU_STR("(unknown)"), code, error);
    return report_bad(s, what, meta.ns, meta.name, code, error);
}

static void report_warning(const char *what, struct mu_str ns, struct mu_str name,
                           const struct mu_error *warn)
{
    if (warn->code != 0)
        mu_log(MU_LOG_WARN, what, MU_F_STR("namespace", ns), MU_F_STR("name", name),
               MU_F_TEXT("problem", warn->text), MU_F_END);
}

static void tell_observer(struct mu_scheduler *s, enum mu_db_kind kind, struct mu_str raw,
                          bool removed)
{
    if (s->config.observer.object != NULL)
        s->config.observer.object(s->config.observer.context, kind, raw, removed);
}

static int node_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_node_object node;
    struct mu_error error = {0}, warn = {0};
    (void)version; /* the object carries its own */
    mu_arena_reset(s->decode);
    int rc = mu_node_decode(raw, s->decode, &node, &warn, &error);
    if (rc != 0)
        return report_undecoded(s, "node skipped", raw, rc, &error);
    report_warning("node read with a problem", MU_STR(""), node.name, &warn);
    rc = mu_db_node_upsert(s->db, &node, now_ns, &error);
    if (rc != 0)
        return report_bad(s, "node skipped", MU_STR(""), node.name, rc, &error);
    tell_observer(s, MU_DB_NODES, raw, false);
    return 0;
}

static int node_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_object_meta meta;
    struct mu_error error = {0};
    (void)version;
    (void)now_ns;
    int rc = mu_meta_decode(raw, &meta, &error);
    if (rc == 0)
        rc = mu_db_node_remove(s->db, meta.name, meta.uid);
    if (rc != 0)
        return report_undecoded(s, "node removal skipped", raw, rc, &error);
    tell_observer(s, MU_DB_NODES, raw, true);
    return 0;
}

/* Name the rules that keep one of our pods from being placed: the first pod of each rule at once,
 * the others for those who look closely. */
static void report_blocked(struct mu_scheduler *s, const struct mu_pod_object *pod,
                           struct mu_uid uid)
{
    static const struct {
        uint32_t rule;
        const char *text;
    } rules[] = {
#define RULE_ROW(name, bit, sentence) {name, sentence},
        MU_RULE_LIST(RULE_ROW)
#undef RULE_ROW
    };
    struct mu_pod_view view;
    if (!mu_db_pod_find(s->db, uid, &view) || !view.ours || view.terminal)
        return;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if ((pod->unbuilt & rules[i].rule) == 0)
            continue;
        bool named = (s->rules_named & rules[i].rule) != 0;
        s->rules_named |= rules[i].rule;
        mu_log(named ? MU_LOG_DEBUG : MU_LOG_INFO, "pod stays pending",
               MU_F_STR("namespace", pod->ns), MU_F_STR("name", pod->name),
               MU_F_TEXT("rule", rules[i].text), MU_F_END);
    }
}

static int pod_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_pod_object pod;
    struct mu_error error = {0}, warn = {0};
    (void)version;
    mu_arena_reset(s->decode);
    int rc = mu_pod_decode(raw, s->decode, &pod, &warn, &error);
    if (rc != 0)
        return report_undecoded(s, "pod skipped", raw, rc, &error);
    report_warning("pod read with a problem", pod.ns, pod.name, &warn);
    rc = mu_db_pod_upsert(s->db, &pod, now_ns, &error);
    if (rc != 0)
        return report_bad(s, "pod skipped", pod.ns, pod.name, rc, &error);
    tell_observer(s, MU_DB_PODS, raw, false);
    struct mu_uid uid;
    if (s->bind_open == 0 && pod.unbuilt == 0)
        return 0;
    if (mu_db_uid_parse(s->db, pod.uid, &uid) != 0)
        return 0;
    if (pod.unbuilt != 0 && pod.node_name.len == 0)
        report_blocked(s, &pod, uid);
    mu_commit_observe(s, uid, false);
    return 0;
}

static int pod_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_object_meta meta;
    struct mu_error error = {0};
    struct mu_uid uid;
    (void)version;
    int rc = mu_meta_decode(raw, &meta, &error);
    if (rc != 0)
        return report_undecoded(s, "pod removal skipped", raw, rc, &error);
    bool known = s->bind_open > 0 && mu_db_uid_parse(s->db, meta.uid, &uid) == 0;
    rc = mu_db_pod_remove(s->db, meta.ns, meta.name, meta.uid, now_ns);
    if (rc != 0)
        return report_bad(s, "pod removal skipped", meta.ns, meta.name, rc, &error);
    tell_observer(s, MU_DB_PODS, raw, true);
    if (known)
        mu_commit_observe(s, uid, true);
    return 0;
}

static int namespace_upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_namespace_object ns;
    struct mu_error error = {0}, warn = {0};
    (void)version; /* the reflector lets no older one pass */
    (void)now_ns;
    mu_arena_reset(s->decode);
    int rc = mu_namespace_decode(raw, s->decode, &ns, &warn, &error);
    if (rc != 0)
        return report_bad(s, "namespace skipped", MU_STR(""), MU_STR("(undecoded)"), rc, &error);
    report_warning("namespace read with a problem", MU_STR(""), ns.name, &warn);
    rc = mu_db_namespace_upsert(s->db, ns.name, ns.labels, ns.label_count, &error);
    if (rc != 0)
        return report_bad(s, "namespace skipped", MU_STR(""), ns.name, rc, &error);
    tell_observer(s, MU_DB_NAMESPACES, raw, false);
    return 0;
}

static int namespace_remove(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_object_meta meta;
    struct mu_error error = {0};
    (void)version;
    (void)now_ns;
    int rc = mu_meta_decode(raw, &meta, &error);
    if (rc == 0)
        rc = mu_db_namespace_remove(s->db, meta.name);
    if (rc != 0)
        return report_bad(s, "namespace removal skipped", MU_STR(""), MU_STR("(undecoded)"), rc,
                          &error);
    tell_observer(s, MU_DB_NAMESPACES, raw, true);
    return 0;
}

static void relist_begin(struct mu_scheduler *s, enum mu_db_kind kind)
{
    mu_db_relist_begin(s->db, kind);
    if (s->config.observer.relist != NULL)
        s->config.observer.relist(s->config.observer.context, kind, false);
}

static int relist_sweep(struct mu_scheduler *s, enum mu_db_kind kind, uint64_t now_ns)
{
    int more = mu_db_relist_sweep(s->db, kind, MU_SWEEP_BUDGET, now_ns);
    if (more == 0) {
        if (s->config.observer.relist != NULL)
            s->config.observer.relist(s->config.observer.context, kind, true);
        if (kind == MU_DB_PODS)
            mu_commit_observe_all(s);
    }
    return more;
}

static void nodes_begin(void *context)
{
    relist_begin(context, MU_DB_NODES);
}
static int nodes_sweep(void *context, uint64_t now_ns)
{
    return relist_sweep(context, MU_DB_NODES, now_ns);
}
static void pods_begin(void *context)
{
    relist_begin(context, MU_DB_PODS);
}
static int pods_sweep(void *context, uint64_t now_ns)
{
    return relist_sweep(context, MU_DB_PODS, now_ns);
}

static void namespaces_begin(void *context)
{
    relist_begin(context, MU_DB_NAMESPACES);
}
static int namespaces_sweep(void *context, uint64_t now_ns)
{
    return relist_sweep(context, MU_DB_NAMESPACES, now_ns);
}

struct mu_reflector_sink mu_feed_sink(struct mu_scheduler *s, enum mu_db_kind kind)
{
    if (kind == MU_DB_NODES)
        return (struct mu_reflector_sink){s, node_upsert, node_remove, nodes_begin, nodes_sweep};
    if (kind == MU_DB_PODS)
        return (struct mu_reflector_sink){s, pod_upsert, pod_remove, pods_begin, pods_sweep};
    return (struct mu_reflector_sink){s, namespace_upsert, namespace_remove, namespaces_begin,
                                      namespaces_sweep};
}
