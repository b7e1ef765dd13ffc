/*
 * What users and controllers do, past the fault layer, as with a good connection: objects that are
 * there from the start, pods that arrive, namespaces whose labels change, and controllers that make
 * their pods again when these are deleted, under the old name or another, a few times each.
 *
 * With `deletes` somebody deletes bound members of gangs that a controller makes again, by force:
 * they are gone at once. Their room is anybody's until they are there again, or nobody's for a
 * while, where the node is drained: so their gang is bound in part, and may not be completed in
 * time.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "tools/kubesim/wire.h"
#include "tools/sim/sim_priv.h"
#include "tools/workload/encode.h"

#include <stdio.h>

#define RELABEL_NS  (6 * MU_NS_PER_S) /* mean time between changes of a namespace's label */
#define REMADE_MAX  3u                /* or two controllers would fight for ever */
#define REMAKE_NS   (3 * MU_NS_PER_S) /* the longest that a controller takes */
#define DELETE_SEED UINT64_C(0xd31e7e)
#define DELETE_NS   (2 * MU_NS_PER_S) /* mean time between deletions by force */
#define DRAIN_NS    (4 * MU_NS_PER_S) /* and for which their node takes nobody */

/* ---- pods by UID ---------------------------------------------------------------------------- */

static bool uid_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_sim *sim = context;
    const struct mu_str *uid = key;
    return mu_str_equal(mu_str_of(sim->pods[value].uid), *uid);
}

static uint64_t uid_hash(const void *context, uint32_t value)
{
    const struct mu_sim *sim = context;
    return mu_hash_str(mu_str_of(sim->pods[value].uid), 0);
}

int mu_sim_pods_init(struct mu_sim *sim)
{
    uint32_t pods = sim->config.workload->pod_count;
    sim->pods = mu_mem_calloc((size_t)pods + 1, sizeof *sim->pods);
    sim->times = mu_mem_calloc((size_t)pods + 1, sizeof *sim->times);
    sim->by_uid = mu_index_create(pods, uid_equal, uid_hash, sim);
    sim->relabel_ns =
        sim->config.churn && sim->config.namespace_count > 0 ? MU_NS_PER_S : UINT64_MAX;
    /* Not forked: the other streams, and the worlds without deletions, stay as they are. */
    mu_random_init_seed(&sim->delete_random, sim->config.seed ^ DELETE_SEED);
    sim->delete_ns = sim->config.deletes ? MU_NS_PER_S : UINT64_MAX;
    sim->drained_ns = UINT64_MAX;
    return sim->pods == NULL || sim->times == NULL || sim->by_uid == NULL ? MU_ENOMEM : 0;
}

void mu_sim_pods_fini(struct mu_sim *sim)
{
    mu_index_destroy(sim->by_uid);
    mu_mem_free(sim->pods);
    mu_mem_free(sim->times);
}

uint32_t mu_sim_pod_find(const struct mu_sim *sim, struct mu_str uid)
{
    return mu_index_find(sim->by_uid, mu_hash_str(uid, 0), &uid);
}

/* ---- making objects ------------------------------------------------------------------------- */

/* Create an object; the body is freed. What the server refuses ends the run, in its words. The
 * answer may be NULL. */
static int post(struct mu_sim *sim, const char *path, enum mu_media content, struct mu_buf *body,
                struct mu_buf *answer)
{
    struct mu_api_request request = {.method = MU_POST,
                                     .path = mu_str_of(path),
                                     .content = content,
                                     .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                     .body = {(const char *)body->data, (uint32_t)body->len}};
    struct mu_api_response response = {0};
    int rc = body->failed;
    if (rc == 0) {
        mu_apiserver_handle(sim->server, &request, mu_sim_now(sim), &response);
        rc = response.status == 201 ? 0 : MU_EINVAL;
    }
    struct mu_str text = {(const char *)response.body.data, (uint32_t)response.body.len};
    struct mu_status status;
    if (rc != 0 && sim->failure.code == 0 && mu_status_decode(text, sim->scratch, &status) == 0)
        (void)mu_error_set(&sim->failure, MU_EINVAL, "refused with HTTP %d: %.*s",
                           (int)response.status, MU_STR_ARGS(status.message));
    if (answer != NULL)
        *answer = response.body;
    else
        mu_buf_fini(&response.body);
    mu_buf_fini(body);
    return rc;
}

/* The classes that pods name, and for those who never preempt one of each priority besides. */
static void create_priorities(struct mu_sim *sim)
{
    const struct mu_workload *w = sim->config.workload;
    for (uint32_t i = 0; i <= 2 * w->priority_count; i++) {
        struct mu_buf body = {0};
        bool never = i >= w->priority_count;
        uint32_t at = i < w->priority_count ? i : i - w->priority_count;
        int32_t priority = at < w->priority_count ? w->priorities[at] : 0;
        int rc = mu_workload_encode_priority_class(priority, never, sim->scratch, &body);
        if (rc != 0 || post(sim, MU_PRIORITY_CLASSES_PATH, MU_MEDIA_PROTOBUF, &body, NULL) != 0)
            mu_sim_fail(sim, rc != 0 ? rc : MU_EINVAL, "priority class", MU_STR(""));
    }
}

static void create_nodes(struct mu_sim *sim)
{
    for (uint32_t i = 0; i < sim->config.workload->node_count; i++) {
        const struct mu_node_object *node = &sim->config.workload->nodes[i];
        struct mu_buf body = {0};
        int rc = mu_workload_encode_node(node, sim->scratch, &body);
        if (rc != 0 || post(sim, "/api/v1/nodes", MU_MEDIA_PROTOBUF, &body, NULL) != 0)
            mu_sim_fail(sim, rc != 0 ? rc : MU_EINVAL, "node", node->name);
    }
}

static void create_namespaces(struct mu_sim *sim)
{
    for (uint32_t i = 0; i < sim->config.namespace_count; i++) {
        const struct mu_namespace_object *ns = &sim->config.namespaces[i];
        struct mu_buf body = {0};
        int rc = mu_workload_encode_namespace(ns, sim->scratch, &body);
        if (rc != 0 || post(sim, "/api/v1/namespaces", MU_MEDIA_PROTOBUF, &body, NULL) != 0)
            mu_sim_fail(sim, rc != 0 ? rc : MU_EINVAL, "namespace", ns->name);
    }
}

static void create_budgets(struct mu_sim *sim)
{
    for (uint32_t i = 0; i < sim->config.budget_count; i++) {
        const struct mu_sim_budget *budget = &sim->config.budgets[i];
        struct mu_buf body = {0};
        char path[512];
        (void)snprintf(path, sizeof path, "/apis/policy/v1/namespaces/%.*s/poddisruptionbudgets",
                       MU_STR_ARGS(budget->ns));
        (void)mu_buf_printf(&body,
                            "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\","
                            "\"metadata\":{\"name\":\"budget-%u\"},\"spec\":{\"%s\":%u,"
                            "\"selector\":{\"matchLabels\":{\"%.*s\":\"%.*s\"}}}}",
                            i, budget->keeps ? "minAvailable" : "maxUnavailable", budget->pods,
                            MU_STR_ARGS(budget->label.key), MU_STR_ARGS(budget->label.value));
        if (post(sim, path, MU_MEDIA_JSON, &body, NULL) != 0)
            mu_sim_fail(sim, MU_EINVAL, "disruption budget of", budget->ns);
    }
}

void mu_sim_cluster_create(struct mu_sim *sim)
{
    create_priorities(sim);
    create_namespaces(sim);
    create_nodes(sim);
    create_budgets(sim);
}

/* ---- pods ----------------------------------------------------------------------------------- */

static int remember_uid(struct mu_sim *sim, uint32_t i, const struct mu_buf *answer)
{
    struct mu_envelope envelope;
    struct mu_object_meta meta;
    struct mu_sim_pod *pod = &sim->pods[i];
    struct mu_str body = {(const char *)answer->data, (uint32_t)answer->len};
    int rc = mu_envelope_open(body, &envelope, NULL);
    if (rc == 0)
        rc = mu_meta_decode(envelope.raw, &meta, NULL);
    if (rc != 0)
        return rc;
    if (pod->uid[0] != '\0')
        mu_index_remove(sim->by_uid, uid_hash(sim, i), i);
    (void)snprintf(pod->uid, sizeof pod->uid, "%.*s", MU_STR_ARGS(meta.uid));
    pod->there = true;
    sim->times[i] = (struct mu_sim_times){.created_ns = mu_sim_now(sim)};
    return mu_index_insert(sim->by_uid, uid_hash(sim, i), i);
}

/* Make a pod, or make it again: some controllers take the old name, some a new one. */
static void create_pod(struct mu_sim *sim, uint32_t i)
{
    struct mu_workload_pod pod = sim->config.workload->pods[i];
    struct mu_buf body = {0}, answer = {0};
    char path[512], name[MU_NAME_BYTES_MAX + 16];
    struct mu_str scheduler = pod.object.scheduler_name;
    if (scheduler.len == 0)
        scheduler = MU_STR(MU_SIM_SCHEDULER);
    if (sim->pods[i].remade > 0 && mu_random_chance(&sim->remake_random, 500)) {
        (void)snprintf(name, sizeof name, "%.*s-r%u", MU_STR_ARGS(pod.object.name),
                       sim->pods[i].remade);
        pod.object.name = mu_str_of(name);
    }
    (void)snprintf(sim->pods[i].name, sizeof sim->pods[i].name, "%.*s",
                   MU_STR_ARGS(pod.object.name));
    (void)snprintf(path, sizeof path, "/api/v1/namespaces/%.*s/pods", MU_STR_ARGS(pod.object.ns));
    int rc = mu_workload_encode_pod(&pod, scheduler, true, sim->scratch, &body);
    if (rc == 0)
        rc = post(sim, path, MU_MEDIA_PROTOBUF, &body, &answer);
    if (rc == 0)
        rc = remember_uid(sim, i, &answer);
    if (rc != 0)
        mu_sim_fail(sim, rc, "pod", pod.object.name);
    mu_buf_fini(&answer);
}

static uint64_t arrival_ns(const struct mu_sim *sim)
{
    return sim->next_pod < sim->config.workload->pod_count
               ? MU_NS_PER_S + sim->config.workload->pods[sim->next_pod].arrival_ns
               : UINT64_MAX;
}

static int see_pod(void *context, struct mu_str raw)
{
    struct mu_sim *sim = context;
    struct mu_object_meta meta;
    int rc = mu_meta_decode(raw, &meta, NULL);
    uint32_t i = rc == 0 ? mu_sim_pod_find(sim, meta.uid) : MU_INDEX_NONE;
    if (i == MU_INDEX_NONE)
        return rc;
    struct mu_str node = mu_pb_bytes(raw, 2, 10); /* spec.nodeName */
    (void)snprintf(sim->pods[i].node, sizeof sim->pods[i].node, "%.*s", MU_STR_ARGS(node));
    sim->pods[i].there = true;
    return rc;
}

void mu_sim_cluster_look(struct mu_sim *sim)
{
    if (!sim->config.check)
        return; /* recorded workloads have no controllers */
    for (uint32_t i = 0; i < sim->next_pod; i++)
        sim->pods[i].there = false;
    (void)mu_apiserver_each(sim->server, "pods", see_pod, sim);
    for (uint32_t i = 0; i < sim->next_pod; i++) {
        struct mu_sim_pod *pod = &sim->pods[i];
        if (pod->there || pod->again_ns != 0 || pod->remade == REMADE_MAX ||
            !sim->config.workload->pods[i].object.controlled)
            continue;
        pod->remade++;
        pod->again_ns = mu_sim_now(sim) + 1 + mu_random_below(&sim->remake_random, REMAKE_NS);
    }
}

/* A label of one of the namespaces changes to what it is, or was, on one of them, or goes: their
 * pods are selected by other terms from then on. */
static void relabel(struct mu_sim *sim)
{
    const struct mu_namespace_object *spaces = sim->config.namespaces;
    struct mu_random *r = &sim->label_random;
    struct mu_str name = spaces[mu_random_below(r, sim->config.namespace_count)].name;
    const struct mu_namespace_object *from =
        &spaces[mu_random_below(r, sim->config.namespace_count)];
    bool gone = mu_random_chance(r, 300);
    sim->relabel_ns += 1 + mu_random_below(r, 2 * RELABEL_NS);
    if (from->label_count == 0)
        return;
    const struct mu_label *label = &from->labels[mu_random_below(r, from->label_count)];
    struct mu_buf path = {0}, body = {0};
    struct mu_api_response response = {.status = 0};
    const char *quote = gone ? "" : "\"";
    struct mu_str value = gone ? MU_STR("null") : label->value;
    int rc = mu_buf_printf(&path, "/api/v1/namespaces/%.*s", MU_STR_ARGS(name));
    if (rc == 0)
        rc = mu_buf_printf(&body, "{\"metadata\":{\"labels\":{\"%.*s\":%s%.*s%s}}}",
                           MU_STR_ARGS(label->key), quote, MU_STR_ARGS(value), quote);
    if (rc == 0) {
        struct mu_api_request request = {.method = MU_PATCH,
                                         .path = {(const char *)path.data, (uint32_t)path.len},
                                         .content = MU_MEDIA_MERGE_PATCH,
                                         .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF)),
                                         .body = {(const char *)body.data, (uint32_t)body.len}};
        mu_apiserver_handle(sim->server, &request, mu_sim_now(sim), &response);
    }
    if (rc != 0 || response.status != 200)
        mu_sim_fail(sim, rc != 0 ? rc : MU_EINVAL, "namespace", name);
    mu_buf_fini(&path);
    mu_buf_fini(&body);
    mu_buf_fini(&response.body);
}

/* The node that a pod was deleted from takes nobody for a while; one node at a time. */
static void drain(struct mu_sim *sim, const char *node)
{
    if (sim->drained[0] != '\0')
        return;
    (void)snprintf(sim->drained, sizeof sim->drained, "%s", node);
    sim->drained_ns = mu_sim_now(sim) + 1 + mu_random_below(&sim->delete_random, 2 * DRAIN_NS);
    (void)mu_kubelets_cordon(sim->kubelets, mu_str_of(node), true, mu_sim_now(sim));
}

static void undrain(struct mu_sim *sim)
{
    (void)mu_kubelets_cordon(sim->kubelets, mu_str_of(sim->drained), false, mu_sim_now(sim));
    sim->drained[0] = '\0';
    sim->drained_ns = UINT64_MAX;
}

/* A bound member of a gang that has a controller, the first from a place drawn. */
static void delete_by_force(struct mu_sim *sim)
{
    struct mu_random *r = &sim->delete_random;
    uint32_t begin = (uint32_t)mu_random_below(r, sim->config.workload->pod_count);
    sim->delete_ns += 1 + mu_random_below(r, 2 * DELETE_NS);
    for (uint32_t k = 0; k < sim->next_pod; k++) {
        uint32_t i = (begin + k) % sim->next_pod;
        const struct mu_pod_object *object = &sim->config.workload->pods[i].object;
        char path[512];
        if (!object->controlled || !sim->pods[i].there || sim->pods[i].node[0] == '\0' ||
            !mu_str_starts_with(object->name, MU_STR(MU_SIM_GANG_NAME)))
            continue;
        (void)snprintf(path, sizeof path, "/api/v1/namespaces/%.*s/pods/%s",
                       MU_STR_ARGS(object->ns), sim->pods[i].name);
        struct mu_api_request request = {.method = MU_DELETE,
                                         .path = mu_str_of(path),
                                         .query = MU_STR("gracePeriodSeconds=0"),
                                         .accept = mu_str_of(mu_media_text(MU_MEDIA_PROTOBUF))};
        struct mu_api_response response = {.status = 0};
        mu_apiserver_handle(sim->server, &request, mu_sim_now(sim), &response);
        if (response.status != 200 && response.status != 404)
            mu_sim_fail(sim, MU_EINVAL, "pod to be deleted", object->name);
        mu_buf_fini(&response.body);
        drain(sim, sim->pods[i].node);
        return;
    }
}

/* ---- time ----------------------------------------------------------------------------------- */

void mu_sim_cluster_run(struct mu_sim *sim)
{
    uint64_t now_ns = mu_sim_now(sim);
    while (!sim->healed && sim->relabel_ns <= now_ns)
        relabel(sim);
    while (!sim->healed && sim->delete_ns <= now_ns)
        delete_by_force(sim);
    if (sim->drained_ns <= now_ns)
        undrain(sim);
    while (arrival_ns(sim) <= now_ns)
        create_pod(sim, sim->next_pod++);
    for (uint32_t i = 0; sim->config.check && i < sim->next_pod; i++) {
        if (sim->pods[i].again_ns == 0 || sim->pods[i].again_ns > now_ns)
            continue;
        sim->pods[i].again_ns = 0;
        create_pod(sim, i);
    }
}

uint64_t mu_sim_cluster_next_ns(const struct mu_sim *sim)
{
    uint64_t next_ns = arrival_ns(sim);
    if (!sim->healed && sim->relabel_ns < next_ns)
        next_ns = sim->relabel_ns;
    if (sim->drained_ns < next_ns)
        next_ns = sim->drained_ns;
    if (!sim->healed && sim->delete_ns < next_ns)
        next_ns = sim->delete_ns;
    for (uint32_t i = 0; sim->config.check && i < sim->next_pod; i++)
        if (sim->pods[i].again_ns != 0 && sim->pods[i].again_ns < next_ns)
            next_ns = sim->pods[i].again_ns;
    return next_ns;
}

bool mu_sim_cluster_busy(const struct mu_sim *sim)
{
    bool busy = arrival_ns(sim) != UINT64_MAX;
    for (uint32_t i = 0; sim->config.check && i < sim->next_pod; i++)
        busy = busy || sim->pods[i].again_ns != 0;
    return busy;
}
