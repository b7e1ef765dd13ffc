#include "tools/kubesim/kubelet.h"

#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "tools/kubesim/kubelet_priv.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/wire.h"

#define UNREACHABLE "node.kubernetes.io/unreachable"

/* A timer's item: what it is for in the top bits, then generation and slot. A pod has at most one
 * step that is next, so a timer whose due time is not the record's is void too. */
enum timer { TIMER_POD, TIMER_NODE_EVICT, TIMER_NODE_BACK, TIMER_CHURN };

_Static_assert(sizeof(uintptr_t) == 8, "a timer's item holds a slot, a generation and a kind");

static void add_timer(struct mu_kubelets *k, enum timer kind, uint32_t slot, uint32_t generation,
                      uint64_t due_ns)
{
    uint64_t item = (uint64_t)kind << 62 | (uint64_t)(generation & 0x3fffffff) << 32 | slot;
    struct mu_heap_entry entry = {due_ns, k->timer_count++, (void *)(uintptr_t)item};
    if (mu_heap_push(&k->timers, entry) != 0) {
        k->lost = true; /* out of memory: a resync arms the steps of pods again */
        k->retry_ns = k->now_ns + MU_NS_PER_S;
    }
}

static enum timer timer_kind(struct mu_heap_entry entry)
{
    return (enum timer)((uintptr_t)entry.item >> 62);
}

static uint32_t timer_slot(struct mu_heap_entry entry)
{
    return (uint32_t)(uintptr_t)entry.item;
}

/* True when what the timer was set for still stands. */
static bool timer_valid(const struct mu_kubelets *k, struct mu_heap_entry entry)
{
    uint32_t slot = timer_slot(entry);
    uint32_t generation = (uint32_t)((uintptr_t)entry.item >> 32) & 0x3fffffff;
    switch (timer_kind(entry)) {
    case TIMER_POD:
        return slot < k->pod_slots && k->pods[slot].object != NULL &&
               (k->pods[slot].generation & 0x3fffffff) == generation &&
               k->pods[slot].due_ns == entry.key;
    case TIMER_NODE_EVICT:
        return (k->nodes[slot].generation & 0x3fffffff) == generation && k->nodes[slot].down &&
               !k->nodes[slot].evicted;
    case TIMER_NODE_BACK:
        return k->nodes[slot].live; /* whatever happened to it since: it comes back */
    default:
        return true;
    }
}

/* Set the pod's next step. */
static void arm(struct mu_kubelets *k, uint32_t slot, uint64_t due_ns)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    pod->due_ns = due_ns;
    add_timer(k, TIMER_POD, slot, pod->generation, due_ns);
}

/* ---- writing to the server ------------------------------------------------------------------ */

struct edit {
    const char *phase, *reason, *ready;
    bool start;
};

static int edit_pod(void *context, struct mu_call *call, ProtobufCMessage *message)
{
    const struct edit *edit = context;
    Kube__Pod *pod = (Kube__Pod *)message;
    pod->status->phase = mu_api_text(call->server, mu_str_of(edit->phase));
    if (edit->reason != NULL) {
        pod->status->reason = mu_api_text(call->server, mu_str_of(edit->reason));
    }
    if (edit->start) {
        pod->status->starttime = mu_api_time(call, 0);
    }
    /* What else kubectl shows of a pod follows from this (shown.h). */
    bool completed = strcmp(edit->phase, "Succeeded") == 0;
    return mu_api_set_condition(call, pod->status, "Ready", edit->ready,
                                completed ? "PodCompleted" : edit->reason, NULL);
}

/* False when the step could not be made and was put off. */
static bool write_phase(struct mu_kubelets *k, uint32_t slot, struct edit edit, uint64_t now_ns)
{
    struct mu_kobject *object = k->pods[slot].object;
    int code = mu_api_edit(k->server, MU_KIND_PODS, mu_kobject_ns(object), mu_kobject_name(object),
                           now_ns, edit_pod, &edit);
    if (code == MU_ENOMEM) {
        arm(k, slot, now_ns + MU_NS_PER_S);
    }
    return code != MU_ENOMEM;
}

static void remove_pod(struct mu_kubelets *k, uint32_t slot, uint64_t now_ns)
{
    struct mu_kobject *object = mu_kobject_ref(k->pods[slot].object);
    int code = mu_api_remove(k->server, MU_KIND_PODS, mu_kobject_ns(object),
                             mu_kobject_name(object), mu_kobject_uid(object), 0, now_ns);
    mu_kobject_unref(object);
    k->stats.removed += code == 0;
    if (code == MU_ENOMEM) {
        arm(k, slot, now_ns + MU_NS_PER_S);
    }
}

/* ---- what a pod goes through ---------------------------------------------------------------- */

static void start_pod(struct mu_kubelets *k, uint32_t slot, uint64_t now_ns)
{
    char reason[80];
    if (!k->pods[slot].charged && !mu_kubelet_admit(k, slot, reason, sizeof reason)) {
        k->stats.refused +=
            write_phase(k, slot, (struct edit){"Failed", reason, "False", true}, now_ns);
        return;
    }
    if (!write_phase(k, slot, (struct edit){"Running", NULL, "True", true}, now_ns)) {
        return; /* charged, and tried again */
    }
    k->stats.started++;
    k->pods[slot].state = MU_KPOD_RUNNING;
    if (k->pods[slot].duration_ns != 0) {
        arm(k, slot, now_ns + k->pods[slot].duration_ns);
    }
}

static void step_pod(struct mu_kubelets *k, uint32_t slot, uint64_t now_ns)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    if (pod->node == MU_KUBELET_NONE) {
        pod->due_ns = UINT64_MAX;
        k->stats.evicted++;
        remove_pod(k, slot, now_ns); /* its node does not exist */
        return;
    }
    if (k->nodes[pod->node].down) {
        return; /* due_ns stays: recovery arms it again */
    }
    pod->due_ns = UINT64_MAX;
    switch (pod->state) {
    case MU_KPOD_STARTING:
        start_pod(k, slot, now_ns);
        break;
    case MU_KPOD_RUNNING:
        k->stats.succeeded +=
            write_phase(k, slot, (struct edit){"Succeeded", NULL, "False", false}, now_ns);
        break;
    case MU_KPOD_TERMINATING:
        remove_pod(k, slot, now_ns);
        break;
    }
}

static uint64_t start_delay(struct mu_kubelets *k)
{
    uint64_t low = k->config.start_ns_min;
    uint64_t high = k->config.start_ns_max;
    return low + (high > low ? mu_random_below(&k->random, high - low + 1) : 0);
}

/* ---- what the server shows ------------------------------------------------------------------ */

/* Fields of a pod that kubelets follow. */
struct view {
    struct mu_str node, phase;
    bool terminating;
    uint64_t grace_s;
};

static struct view view_pod(const struct mu_kobject *object)
{
    struct mu_str raw = mu_kobject_raw(object);
    struct mu_str meta = mu_pb_bytes(raw, 1, 0);
    struct mu_pb_field field = {0};
    struct view view = {.node = mu_pb_bytes(raw, 2, 10), .phase = mu_pb_bytes(raw, 3, 1)};
    view.terminating = mu_pb_find(meta, 9, &field);
    if (view.terminating && mu_pb_find(meta, 10, &field)) {
        view.grace_s = field.varint;
    }
    return view;
}

static void begin_termination(struct mu_kubelets *k, uint32_t slot, uint64_t grace_s,
                              uint64_t now_ns)
{
    struct mu_kubelet_pod *pod = &k->pods[slot];
    uint64_t cap_ns = k->config.grace_ns_max;
    uint64_t grace_ns = grace_s > cap_ns / MU_NS_PER_S ? cap_ns : grace_s * MU_NS_PER_S;
    if (pod->state == MU_KPOD_TERMINATING && pod->due_ns <= now_ns + grace_ns) {
        return;
    }
    pod->state = MU_KPOD_TERMINATING;
    arm(k, slot, now_ns + grace_ns);
}

static int track_pod(struct mu_kubelets *k, struct mu_kobject *object, struct mu_str node_name,
                     uint64_t now_ns, uint32_t *slot)
{
    int code = mu_kubelet_add_pod(k, object, slot);
    if (code != 0) {
        return code;
    }
    uint32_t node = mu_kubelet_find_node(k, node_name);
    if (node != MU_KUBELET_NONE) {
        mu_kubelet_link_pod(k, *slot, node);
        arm(k, *slot, now_ns + start_delay(k));
    } else {
        arm(k, *slot, now_ns + k->config.evict_ns);
    }
    return 0;
}

static int see_pod(struct mu_kubelets *k, struct mu_kobject *object, bool removed, uint64_t now_ns)
{
    uint32_t slot = mu_kubelet_find_pod(k, mu_kobject_ns(object), mu_kobject_name(object));
    bool known = slot != MU_KUBELET_NONE;
    if (known && !mu_str_equal(mu_kobject_uid(k->pods[slot].object), mu_kobject_uid(object))) {
        mu_kubelet_drop_pod(k, slot); /* another pod of that name */
        known = false;
    }
    struct view view = view_pod(object);
    bool over =
        mu_str_equal(view.phase, MU_STR("Succeeded")) || mu_str_equal(view.phase, MU_STR("Failed"));
    if (removed || over || view.node.len == 0) {
        if (known) {
            mu_kubelet_drop_pod(k, slot);
        }
        return 0;
    }
    if (!known) {
        int code = track_pod(k, object, view.node, now_ns, &slot);
        if (code != 0) {
            return code;
        }
    } else {
        mu_kobject_unref(k->pods[slot].object);
        k->pods[slot].object = mu_kobject_ref(object);
    }
    k->pods[slot].seen = k->resync;
    if (view.terminating) {
        begin_termination(k, slot, view.grace_s, now_ns);
    }
    return 0;
}

static int see_node(struct mu_kubelets *k, struct mu_kobject *object, bool removed, uint64_t now_ns)
{
    uint32_t slot = mu_kubelet_find_node(k, mu_kobject_name(object));
    if (removed) {
        if (slot == MU_KUBELET_NONE) {
            return 0;
        }
        for (uint32_t at = k->nodes[slot].pods; at != MU_KUBELET_NONE; at = k->pods[at].next) {
            arm(k, at, now_ns + k->config.evict_ns);
        }
        mu_kubelet_drop_node(k, slot);
        return 0;
    }
    bool fresh = slot == MU_KUBELET_NONE;
    int code = mu_kubelet_set_node(k, object, &slot);
    if (code != 0) {
        return code;
    }
    k->nodes[slot].seen = k->resync;
    if (fresh && k->stats.pods > 0) {
        /* Pods may have been bound to it before it was there. */
        for (uint32_t i = 0; i < k->pod_slots; i++) {
            struct mu_kubelet_pod *pod = &k->pods[i];
            if (pod->object != NULL && pod->node == MU_KUBELET_NONE &&
                mu_str_equal(view_pod(pod->object).node, mu_kobject_name(object))) {
                mu_kubelet_link_pod(k, i, slot);
                arm(k, i, now_ns + start_delay(k));
            }
        }
    }
    return 0;
}

/* ---- reading the history -------------------------------------------------------------------- */

struct resync {
    struct mu_kubelets *k;
    uint64_t now_ns;
};

static int resync_node(void *context, struct mu_kobject *object)
{
    struct resync *resync = context;
    return see_node(resync->k, object, false, resync->now_ns);
}

static int resync_pod(void *context, struct mu_kobject *object)
{
    struct resync *resync = context;
    struct mu_kubelets *k = resync->k;
    int code = see_pod(k, object, false, resync->now_ns);
    uint32_t slot = mu_kubelet_find_pod(k, mu_kobject_ns(object), mu_kobject_name(object));
    if (code == 0 && slot != MU_KUBELET_NONE && k->pods[slot].due_ns != UINT64_MAX) {
        arm(k, slot, k->pods[slot].due_ns); /* in case the timer itself was lost */
    }
    return code;
}

/* Read everything anew: the history was shorter than what was missed, or memory ran out. */
static void read_all(struct mu_kubelets *k, uint64_t now_ns)
{
    const struct mu_store *store = k->server->store;
    struct mu_store_range all = {.version = 0};
    struct resync resync = {k, now_ns};
    k->lost = false;
    k->resync++;
    k->pods_at = mu_store_head(store, MU_KIND_PODS);
    k->nodes_at = mu_store_head(store, MU_KIND_NODES);
    int code = mu_store_walk(store, MU_KIND_NODES, &all, resync_node, &resync);
    if (code == 0) {
        code = mu_store_walk(store, MU_KIND_PODS, &all, resync_pod, &resync);
    }
    if (code != 0) {
        k->lost = true;
        k->retry_ns = now_ns + MU_NS_PER_S;
        return;
    }
    for (uint32_t i = 0; i < k->pod_slots; i++) {
        if (k->pods[i].object != NULL && k->pods[i].seen != k->resync) {
            mu_kubelet_drop_pod(k, i);
        }
    }
    for (uint32_t i = 0; i < k->node_slots; i++) {
        if (k->nodes[i].live && k->nodes[i].seen != k->resync) {
            mu_kubelet_drop_node(k, i);
        } else if (k->nodes[i].live && k->nodes[i].down && !k->nodes[i].evicted) {
            add_timer(k, TIMER_NODE_EVICT, i, k->nodes[i].generation, now_ns + k->config.evict_ns);
        }
    }
}

/* Apply the changes of one kind since the last look. Returns true when there were any. */
static bool read_kind(struct mu_kubelets *k, enum mu_kind_ix kind, uint64_t *at, uint64_t now_ns)
{
    bool any = false;
    struct mu_store_event event;
    int code = 0;
    while (!k->lost && (code = mu_store_read(k->server->store, kind, *at, &event)) != 0) {
        if (code == 1) {
            code = kind == MU_KIND_PODS ? see_pod(k, event.object, event.removed, now_ns)
                                        : see_node(k, event.object, event.removed, now_ns);
        }
        if (code < 0) {
            k->lost = true;
            k->retry_ns = code == MU_EEXPIRED ? now_ns : now_ns + MU_NS_PER_S;
            break;
        }
        (*at)++;
        any = true;
    }
    return any;
}

/* Know everything that the server shows. False: not now (memory). */
static bool catch_up(struct mu_kubelets *k, uint64_t now_ns)
{
    bool any = true;
    k->now_ns = now_ns;
    while (any) {
        if (k->lost && k->retry_ns > now_ns) {
            return false;
        }
        if (k->lost) {
            read_all(k, now_ns);
        }
        any = read_kind(k, MU_KIND_NODES, &k->nodes_at, now_ns);
        any |= read_kind(k, MU_KIND_PODS, &k->pods_at, now_ns);
        any |= k->lost;
    }
    return true;
}

/* ---- nodes that come and go ----------------------------------------------------------------- */

static int edit_cordon(void *context, struct mu_call *call, ProtobufCMessage *message)
{
    const bool *on = context;
    Kube__Node *node = (Kube__Node *)message;
    if (node->spec == NULL) {
        node->spec = (Kube__NodeSpec *)mu_api_new(call->server, &kube__node_spec__descriptor);
    }
    if (node->spec == NULL) {
        return MU_ENOMEM;
    }
    node->spec->has_unschedulable = *on;
    node->spec->unschedulable = *on;
    return 0;
}

int mu_kubelets_cordon(struct mu_kubelets *k, struct mu_str node, bool on, uint64_t now_ns)
{
    return mu_api_edit(k->server, MU_KIND_NODES, (struct mu_str){NULL, 0}, node, now_ns,
                       edit_cordon, &on);
}

/* Remove our taints, and add them when the node is down. */
static int edit_ready(void *context, struct mu_call *call, ProtobufCMessage *message)
{
    static const char *const effects[] = {"NoSchedule", "NoExecute"};
    const bool *ready = context;
    struct mu_apiserver *server = call->server;
    Kube__Node *node = (Kube__Node *)message;
    if (node->spec == NULL) {
        node->spec = (Kube__NodeSpec *)mu_api_new(server, &kube__node_spec__descriptor);
    }
    if (node->spec == NULL) {
        return MU_ENOMEM;
    }
    size_t kept = 0;
    for (size_t i = 0; i < node->spec->n_taints; i++) {
        const char *key = node->spec->taints[i]->key;
        if (key == NULL || strcmp(key, UNREACHABLE) != 0) {
            node->spec->taints[kept++] = node->spec->taints[i];
        }
    }
    node->spec->n_taints = kept;
    for (size_t i = 0; !*ready && i < 2; i++) {
        Kube__Taint *taint = (Kube__Taint *)mu_api_new(server, &kube__taint__descriptor);
        if (mu_api_push(server, &node->spec->taints, &node->spec->n_taints, taint) != 0) {
            return MU_ENOMEM;
        }
        taint->key = mu_api_text(server, MU_STR(UNREACHABLE));
        taint->effect = mu_api_text(server, mu_str_of(effects[i]));
    }
    for (size_t i = 0; node->status != NULL && i < node->status->n_conditions; i++) {
        Kube__NodeCondition *condition = node->status->conditions[i];
        if (condition->type != NULL && strcmp(condition->type, "Ready") == 0) {
            condition->status = mu_api_text(server, mu_str_of(*ready ? "True" : "Unknown"));
            condition->lasttransitiontime = mu_api_time(call, 0);
        }
    }
    return 0;
}

static int set_ready(struct mu_kubelets *k, struct mu_str name, bool ready, uint64_t now_ns,
                     uint32_t *slot)
{
    if (!catch_up(k, now_ns)) { /* the node may be newer than our last look */
        return MU_ENOMEM;
    }
    *slot = mu_kubelet_find_node(k, name);
    if (*slot == MU_KUBELET_NONE) {
        return MU_ENOENT;
    }
    return mu_api_edit(k->server, MU_KIND_NODES, (struct mu_str){NULL, 0}, name, now_ns, edit_ready,
                       &ready);
}

int mu_kubelets_fail_node(struct mu_kubelets *k, struct mu_str name, uint64_t now_ns)
{
    uint32_t slot = MU_KUBELET_NONE;
    int code = set_ready(k, name, false, now_ns, &slot);
    if (code != 0 || k->nodes[slot].down) {
        return code;
    }
    struct mu_kubelet_node *node = &k->nodes[slot];
    node->down = true;
    node->evicted = false;
    node->generation++;
    k->stats.node_failures++;
    add_timer(k, TIMER_NODE_EVICT, slot, node->generation, now_ns + k->config.evict_ns);
    return 0;
}

int mu_kubelets_recover_node(struct mu_kubelets *k, struct mu_str name, uint64_t now_ns)
{
    uint32_t slot = MU_KUBELET_NONE;
    int code = set_ready(k, name, true, now_ns, &slot);
    if (code != 0 || !k->nodes[slot].down) {
        return code;
    }
    struct mu_kubelet_node *node = &k->nodes[slot];
    node->down = false;
    node->generation++;
    for (uint32_t at = node->pods; at != MU_KUBELET_NONE; at = k->pods[at].next) {
        if (k->pods[at].due_ns != UINT64_MAX) {
            arm(k, at, k->pods[at].due_ns > now_ns ? k->pods[at].due_ns : now_ns);
        }
    }
    return 0;
}

/* The node has been away too long: what it ran is gone. */
static void evict(struct mu_kubelets *k, uint32_t slot, uint64_t now_ns)
{
    k->nodes[slot].evicted = true;
    for (uint32_t at = k->nodes[slot].pods; at != MU_KUBELET_NONE; at = k->pods[at].next) {
        k->stats.evicted++;
        remove_pod(k, at, now_ns);
    }
}

static void churn(struct mu_kubelets *k, uint64_t now_ns)
{
    uint64_t next_ns = now_ns + 1 + mu_random_below(&k->random, 2 * k->config.churn_ns);
    if (next_ns < k->config.churn_until_ns) {
        add_timer(k, TIMER_CHURN, 0, 0, next_ns);
    }
    if (k->node_slots == 0) {
        return;
    }
    uint32_t slot = (uint32_t)mu_random_below(&k->random, k->node_slots);
    bool fail = mu_random_chance(&k->random, 500);
    uint64_t back_ns = now_ns + 1 + mu_random_below(&k->random, k->config.outage_ns_max);
    struct mu_kubelet_node *node = &k->nodes[slot];
    if (!node->live || node->down) {
        return;
    }
    struct mu_str name = mu_str_of(node->name);
    int code =
        fail ? mu_kubelets_fail_node(k, name, now_ns) : mu_kubelets_cordon(k, name, true, now_ns);
    if (code == 0) {
        add_timer(k, TIMER_NODE_BACK, slot, k->nodes[slot].generation, back_ns);
    }
}

static void come_back(struct mu_kubelets *k, uint32_t slot, uint64_t now_ns)
{
    char copy[sizeof k->nodes[slot].name]; /* the table may move */
    memcpy(copy, k->nodes[slot].name, sizeof copy);
    struct mu_str name = mu_str_of(copy);
    (void)mu_kubelets_recover_node(k, name, now_ns);
    (void)mu_kubelets_cordon(k, name, false, now_ns);
}

/* ---- running -------------------------------------------------------------------------------- */

static bool run_timer(struct mu_kubelets *k, uint64_t now_ns)
{
    struct mu_heap_entry entry;
    if (!mu_heap_peek(&k->timers, &entry)) {
        return false;
    }
    bool valid = timer_valid(k, entry);
    if (valid && entry.key > now_ns) {
        return false;
    }
    (void)mu_heap_pop(&k->timers, &entry);
    if (!valid) {
        return true; /* void timers go as soon as they are first: they must not keep time busy */
    }
    uint32_t slot = timer_slot(entry);
    switch (timer_kind(entry)) {
    case TIMER_POD:
        step_pod(k, slot, now_ns);
        break;
    case TIMER_NODE_EVICT:
        evict(k, slot, now_ns);
        break;
    case TIMER_NODE_BACK:
        come_back(k, slot, now_ns);
        break;
    case TIMER_CHURN:
        churn(k, now_ns);
        break;
    }
    return true;
}

void mu_kubelets_run(struct mu_kubelets *k, uint64_t now_ns)
{
    /* All changes before each step: a step acts on what is, not on what was. */
    while (catch_up(k, now_ns) && run_timer(k, now_ns)) {
    }
    mu_namespaces_run(k->namespaces, now_ns);
    if (mu_budgets_next_ns(k->budgets) <= now_ns) {
        mu_budgets_run(k->budgets, now_ns);
    }
}

static uint64_t next_step_ns(const struct mu_kubelets *k)
{
    if (k->lost) {
        return k->retry_ns;
    }
    if (k->pods_at != mu_store_head(k->server->store, MU_KIND_PODS) ||
        k->nodes_at != mu_store_head(k->server->store, MU_KIND_NODES)) {
        return 0;
    }
    struct mu_heap_entry entry;
    return mu_heap_peek(&k->timers, &entry) ? entry.key : UINT64_MAX;
}

uint64_t mu_kubelets_next_ns(const struct mu_kubelets *k)
{
    uint64_t next_ns = next_step_ns(k);
    uint64_t others_ns[] = {mu_namespaces_next_ns(k->namespaces), mu_budgets_next_ns(k->budgets)};
    for (int i = 0; i < 2; i++) {
        next_ns = others_ns[i] < next_ns ? others_ns[i] : next_ns;
    }
    return next_ns;
}

/* ---- life cycle ----------------------------------------------------------------------------- */

static void set_defaults(struct mu_kubelets_config *config)
{
    if (config->start_ns_min == 0 && config->start_ns_max == 0) {
        config->start_ns_min = 50 * MU_NS_PER_MS;
        config->start_ns_max = 500 * MU_NS_PER_MS;
    }
    config->grace_ns_max = config->grace_ns_max != 0 ? config->grace_ns_max : 2 * MU_NS_PER_S;
    config->evict_ns = config->evict_ns != 0 ? config->evict_ns : 5 * MU_NS_PER_S;
    config->outage_ns_max = config->outage_ns_max != 0 ? config->outage_ns_max : 20 * MU_NS_PER_S;
}

struct mu_kubelets *mu_kubelets_create(struct mu_apiserver *server,
                                       const struct mu_kubelets_config *config,
                                       struct mu_random *random)
{
    struct mu_kubelets *k = mu_mem_zalloc(sizeof *k);
    if (k == NULL) {
        return NULL;
    }
    k->server = server;
    k->config = *config;
    set_defaults(&k->config);
    mu_random_fork(random, &k->random);
    mu_heap_init(&k->timers, MU_KUBESIM_TIMERS_MAX);
    k->lost = true; /* the first run reads what is there */
    k->arena = mu_arena_create(MU_KUBESIM_DECODE_MAX);
    k->budgets = mu_budgets_create(server);
    k->namespaces = mu_namespaces_create(server);
    bool failed = k->arena == NULL || k->budgets == NULL || k->namespaces == NULL;
    if (mu_kubelet_tables_init(k) != 0 || failed) {
        mu_kubelets_destroy(k);
        return NULL;
    }
    if (k->config.churn_ns != 0) {
        add_timer(k, TIMER_CHURN, 0, 0, mu_random_below(&k->random, 2 * k->config.churn_ns));
    }
    return k;
}

void mu_kubelets_destroy(struct mu_kubelets *k)
{
    if (k == NULL) {
        return;
    }
    mu_kubelet_tables_fini(k);
    mu_heap_fini(&k->timers);
    mu_arena_destroy(k->arena);
    mu_budgets_destroy(k->budgets);
    mu_namespaces_destroy(k->namespaces);
    mu_mem_free(k);
}

void mu_kubelets_stats(const struct mu_kubelets *k, struct mu_kubelets_stats *out)
{
    *out = k->stats;
}
