/*
 * Objects in: what a reflector hands over is decoded and stored; a bind that waits for this very
 * pod is told. A bad object is reported and skipped, the rest of the cluster is unaffected; only
 * lack of memory stops a feed, and then a relist repairs it. The kinds of objects differ in how
 * they are decoded, stored and forgotten, and in nothing else.
 */
#include "engine/base/assert.h"
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

/* --- one object of any kind ------------------------------------------------------------------- */

struct object {
    struct mu_str ns, name;
    union {
        struct mu_node_object node;
        struct mu_pod_object pod;
        struct mu_namespace_object space;
    };
};
static const struct {
    const char *skipped, *removal_skipped, *problem;
} texts[MU_DB_KINDS] = {
    [MU_DB_NODES] = {"node skipped", "node removal skipped", "node read with a problem"},
    [MU_DB_PODS] = {"pod skipped", "pod removal skipped", "pod read with a problem"},
    [MU_DB_NAMESPACES] = {"namespace skipped", "namespace removal skipped",
                          "namespace read with a problem"},
};

static int decode(struct mu_feed *feed, struct mu_str raw, struct object *out,
                  struct mu_error *warn, struct mu_error *error)
{
    struct mu_arena *arena = feed->scheduler->decode;
    int rc = 0;
    mu_arena_reset(arena);
    switch (feed->kind) {
    case MU_DB_NODES:
        rc = mu_node_decode(raw, arena, &out->node, warn, error);
        out->ns = MU_STR("");
        out->name = rc == 0 ? out->node.name : MU_STR("");
        return rc;
    case MU_DB_PODS:
        rc = mu_pod_decode(raw, arena, &out->pod, warn, error);
        out->ns = rc == 0 ? out->pod.ns : MU_STR("");
        out->name = rc == 0 ? out->pod.name : MU_STR("");
        return rc;
    case MU_DB_NAMESPACES:
        rc = mu_namespace_decode(raw, arena, &out->space, warn, error);
        out->ns = MU_STR("");
        out->name = rc == 0 ? out->space.name : MU_STR("");
        return rc;
    case MU_DB_KINDS:
        break;
    }
    MU_UNREACHABLE("a kind that is fed");
}

static int store(struct mu_feed *feed, const struct object *object, uint64_t now_ns,
                 struct mu_error *error)
{
    struct mu_db *db = feed->scheduler->db;
    switch (feed->kind) {
    case MU_DB_NODES:
        return mu_db_node_upsert(db, &object->node, now_ns, error);
    case MU_DB_PODS:
        return mu_db_pod_upsert(db, &object->pod, now_ns, error);
    case MU_DB_NAMESPACES:
        return mu_db_namespace_upsert(
            db, object->space.name, object->space.labels,
            object->space.labels_unknown ? MU_LABELS_UNKNOWN : object->space.label_count, error);
    case MU_DB_KINDS:
        break;
    }
    MU_UNREACHABLE("a kind that is fed");
}

static int forget(struct mu_feed *feed, const struct mu_object_meta *meta, uint64_t now_ns)
{
    struct mu_db *db = feed->scheduler->db;
    switch (feed->kind) {
    case MU_DB_NODES:
        return mu_db_node_remove(db, meta->name, meta->uid);
    case MU_DB_PODS:
        return mu_db_pod_remove(db, meta->ns, meta->name, meta->uid, now_ns);
    case MU_DB_NAMESPACES:
        return mu_db_namespace_remove(db, meta->name);
    case MU_DB_KINDS:
        break;
    }
    MU_UNREACHABLE("a kind that is fed");
}

/* A pod has arrived in the DB: who waits for it, and what it waits for itself. */
static void pod_stored(struct mu_scheduler *s, const struct mu_pod_object *pod)
{
    struct mu_uid uid;
    mu_group_status_pod(s, pod);
    if (s->bind_open == 0 && pod->unbuilt == 0)
        return;
    if (mu_db_uid_parse(s->db, pod->uid, &uid) != 0)
        return;
    if (pod->unbuilt != 0 && pod->node_name.len == 0)
        report_blocked(s, pod, uid);
    mu_commit_observe(s, uid, false);
}

/* --- the sink of a reflector ------------------------------------------------------------------ */

static int upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_feed *feed = context;
    struct mu_scheduler *s = feed->scheduler;
    struct object object;
    struct mu_error error = {0}, warn = {0};
    (void)version; /* the object carries its own */
    int rc = decode(feed, raw, &object, &warn, &error);
    if (rc != 0)
        return report_undecoded(s, texts[feed->kind].skipped, raw, rc, &error);
    report_warning(texts[feed->kind].problem, object.ns, object.name, &warn);
    rc = store(feed, &object, now_ns, &error);
    if (rc != 0)
        return report_bad(s, texts[feed->kind].skipped, object.ns, object.name, rc, &error);
    tell_observer(s, feed->kind, raw, false);
    if (feed->kind == MU_DB_PODS)
        pod_stored(s, &object.pod);
    return 0;
}

static int remove_object(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_feed *feed = context;
    struct mu_scheduler *s = feed->scheduler;
    struct mu_object_meta meta;
    struct mu_error error = {0};
    struct mu_uid uid;
    (void)version;
    int rc = mu_meta_decode(raw, &meta, &error);
    if (rc != 0)
        return report_undecoded(s, texts[feed->kind].removal_skipped, raw, rc, &error);
    /* The UID is asked for first: the DB may forget it with the pod. */
    bool awaited =
        feed->kind == MU_DB_PODS && s->bind_open > 0 && mu_db_uid_parse(s->db, meta.uid, &uid) == 0;
    rc = forget(feed, &meta, now_ns);
    if (rc != 0)
        return report_bad(s, texts[feed->kind].removal_skipped, meta.ns, meta.name, rc, &error);
    tell_observer(s, feed->kind, raw, true);
    if (awaited)
        mu_commit_observe(s, uid, true);
    return 0;
}

static void relist_begin(void *context)
{
    struct mu_feed *feed = context;
    const struct mu_scheduler_observer *observer = &feed->scheduler->config.observer;
    mu_db_relist_begin(feed->scheduler->db, feed->kind);
    if (observer->relist != NULL)
        observer->relist(observer->context, feed->kind, false);
}

static int relist_sweep(void *context, uint64_t now_ns)
{
    struct mu_feed *feed = context;
    struct mu_scheduler *s = feed->scheduler;
    const struct mu_scheduler_observer *observer = &s->config.observer;
    int more = mu_db_relist_sweep(s->db, feed->kind, MU_SWEEP_BUDGET, now_ns);
    if (more != 0)
        return more;
    if (observer->relist != NULL)
        observer->relist(observer->context, feed->kind, true);
    if (feed->kind == MU_DB_PODS)
        mu_commit_observe_all(s);
    return 0;
}

struct mu_reflector_sink mu_feed_sink(struct mu_scheduler *s, enum mu_db_kind kind)
{
    s->feeds[kind] = (struct mu_feed){s, kind};
    return (struct mu_reflector_sink){&s->feeds[kind], upsert, remove_object, relist_begin,
                                      relist_sweep};
}
