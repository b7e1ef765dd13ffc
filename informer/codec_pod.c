/*
 * A Kubernetes pod, translated.
 *
 * The effective request follows kubernetes-wire §3.3: app containers and sidecars summed, compared
 * with the peak of the init phase, replaced by pod-level requests, plus overhead. For a placed pod
 * three such sums exist (what the spec asks, what the kubelet allocated, what the containers
 * actually have); the largest counts, since each of them may become true under an in-place resize.
 *
 * Scores see more (§3.4): the same sums once more, with 100m and 200 MiB for each container that
 * asks for no cpu or no memory, init containers too. Only what that adds is told.
 *
 * A pod that uses a rule which is not built yet is marked, never misplaced. The same holds for a
 * part beyond its bound: it is left out, named in a warning, and the pod marked. Were the object
 * refused instead, its holder would keep an older version of the pod for as long as it lives: a
 * bind that waits for a newer one would wait for ever, and a placed pod might never be charged.
 */
#include "informer/codec.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/hash.h"
#include "informer/codec_pod_priv.h"
#include "informer/decode_priv.h"
#include "informer/dialect.h"

/* The newest volume source known when this was written; a newer kind may bind to nodes. */
#define VOLUME_SOURCE_NEWEST 30u

void mu_pod_warn(const struct mu_pod_reader *r, const char *field, struct mu_str name,
                 const char *expected)
{
    if (r->warn != NULL && r->warn->code == 0)
        (void)mu_error_set(r->warn, MU_EINVAL, "pod %.*s/%.*s: %s[%.*s]: %s",
                           MU_STR_ARGS(r->out->ns), MU_STR_ARGS(r->out->name), field,
                           (int)(name.len > 64 ? 64 : name.len), name.len > 0 ? name.data : "",
                           expected);
}

int mu_pod_leave_out(struct mu_pod_reader *r, const char *field, size_t count, uint32_t max)
{
    char expected[80];
    (void)snprintf(expected, sizeof expected, "%zu entries, expected at most %u; left out", count,
                   max);
    mu_pod_warn(r, field, MU_STR("*"), expected);
    r->out->unbuilt |= MU_RULE_OVERSIZED;
    return 0;
}

int mu_pod_no_memory(const struct mu_pod_reader *r, const char *what)
{
    return mu_error_set(r->error, MU_ENOMEM, "pod: %s: no memory", what);
}

/* --- requests ------------------------------------------------------------------------------ */

/* Read a quantity map; a later duplicate wins. Faults mark the pod. A name that the engine would
 * refuse is left out: no node can offer it. */
static void read_map(struct mu_pod_reader *r, const struct mu_pair_list *map, const char *field,
                     struct mu_tally *tally)
{
    mu_tally_init(tally);
    for (uint32_t i = 0; i < map->count; i++) {
        struct mu_str name = map->items[i].key;
        enum mu_tally_unit unit = mu_tally_unit(name, false);
        if (unit == MU_UNIT_NONE)
            continue;
        if (name.len > MU_RESOURCE_NAME_BYTES_MAX) {
            r->out->unbuilt |= MU_RULE_REQUEST;
            mu_pod_warn(r, field, name, "expected a name of at most 317 bytes");
            continue;
        }
        int64_t value;
        enum mu_tally_fault fault = mu_tally_read(map->items[i].value, unit, &value);
        if (fault != MU_TALLY_OK) {
            r->out->unbuilt |= MU_RULE_REQUEST;
            mu_pod_warn(r, field, name, mu_tally_fault_text(fault));
        }
        mu_tally_set(tally, name, value);
    }
}

static void read_requests(struct mu_pod_reader *r, const struct mu_view_resources *resources,
                          const char *field, struct mu_tally *tally)
{
    mu_tally_init(tally);
    if (resources != NULL)
        read_map(r, &resources->requests, field, tally);
}

/* What scores take a container for that asks for no cpu, no memory. */
#define CPU_ASSUMED    INT64_C(100)
#define MEMORY_ASSUMED (INT64_C(200) << 20)

enum source { FROM_SPEC, FROM_ALLOCATED, FROM_ACTUAL };

/* Absent text is nobody's name. */
static bool same_text(struct mu_str a, struct mu_str b)
{
    return a.data != NULL && b.data != NULL && mu_str_equal(a, b);
}

/* Status of the container `name`; the kubelet lists them in any order, mostly the spec's. */
static const struct mu_view_container_status *
status_of(const struct mu_container_status_list *statuses, struct mu_str name, uint32_t position)
{
    uint32_t count = statuses->count;
    if (count > MU_CONTAINER_STATUSES_MAX)
        count = MU_CONTAINER_STATUSES_MAX;
    if (position < count && same_text(statuses->items[position].name, name))
        return &statuses->items[position];
    for (uint32_t i = 0; i < count; i++) {
        if (same_text(statuses->items[i].name, name))
            return &statuses->items[i];
    }
    return NULL;
}

/* 0 is asked for, too. */
static bool asks_for(const struct mu_tally *tally, const struct mu_view_container *container,
                     struct mu_str name)
{
    for (uint32_t i = 0; i < tally->count; i++)
        if (mu_str_equal(tally->items[i].resource, name))
            return true;
    const struct mu_view_resources *spec = container->resources;
    for (uint32_t i = 0; spec != NULL && i < spec->requests.count; i++)
        if (mu_str_equal(spec->requests.items[i].key, name))
            return true;
    return false;
}

static void assume(struct mu_pod_reader *r, const struct mu_view_container *container,
                   struct mu_tally *tally)
{
    bool cpu = asks_for(tally, container, MU_STR("cpu"));
    bool memory = asks_for(tally, container, MU_STR("memory"));
    r->incomplete = r->incomplete || !cpu || !memory;
    if (!cpu && r->assuming)
        mu_tally_set(tally, MU_STR("cpu"), CPU_ASSUMED);
    if (!memory && r->assuming)
        mu_tally_set(tally, MU_STR("memory"), MEMORY_ASSUMED);
}

/* What one container asks for or holds, or what scores take it for; falls back actual -> allocated
 * -> spec. */
static void container_amounts(struct mu_pod_reader *r, const struct mu_view_container *container,
                              const struct mu_view_container_status *status, enum source source,
                              struct mu_tally *tally)
{
    if (source == FROM_ACTUAL && status != NULL && status->resources != NULL)
        read_requests(r, status->resources, "status.containerStatuses.resources.requests", tally);
    else if (source != FROM_SPEC && status != NULL && status->allocated.count > 0)
        read_map(r, &status->allocated, "status.containerStatuses.allocatedResources", tally);
    else
        read_requests(r, container->resources, "spec.containers.resources.requests", tally);
    assume(r, container, tally);
}

/* Steps 1 to 3 of §3.3: max(app + sidecars, peak of the init phase) for each resource. */
static void sum_containers(struct mu_pod_reader *r, enum source source, struct mu_tally *sum)
{
    const struct mu_view_status *st = source == FROM_SPEC ? NULL : r->status;
    struct mu_tally one;
    struct mu_tally peak;
    struct mu_tally sidecars;
    mu_tally_init(sum);
    mu_tally_init(&peak);
    mu_tally_init(&sidecars);
    for (uint32_t i = 0; i < r->spec->containers.count; i++) {
        const struct mu_view_container *c = &r->spec->containers.items[i];
        const struct mu_view_container_status *cs =
            st == NULL ? NULL : status_of(&st->containers, c->name, i);
        container_amounts(r, c, cs, source, &one);
        mu_tally_add_all(sum, &one);
    }
    for (uint32_t i = 0; i < r->spec->init_containers.count; i++) {
        const struct mu_view_container *c = &r->spec->init_containers.items[i];
        const struct mu_view_container_status *cs =
            st == NULL ? NULL : status_of(&st->init_containers, c->name, i);
        container_amounts(r, c, cs, source, &one);
        if (mu_pod_is_sidecar(c)) {
            mu_tally_add_all(sum, &one);
            mu_tally_add_all(&sidecars, &one);
            mu_tally_max_all(&peak, &sidecars);
        } else {
            mu_tally_add_all(&one, &sidecars);
            mu_tally_max_all(&peak, &one);
        }
    }
    mu_tally_max_all(sum, &peak);
}

/* Step 4: pod-level amounts replace the containers' for the resources that may be set there. */
static void replace_pod_level(struct mu_tally *sum, const struct mu_tally *pod_level)
{
    for (uint32_t i = 0; i < pod_level->count; i++) {
        struct mu_str name = pod_level->items[i].resource;
        if (mu_str_equal(name, MU_STR("cpu")) || mu_str_equal(name, MU_STR("memory")) ||
            mu_str_starts_with(name, MU_STR("hugepages-")))
            mu_tally_set(sum, name, pod_level->items[i].value);
    }
}

static void pod_level_amounts(struct mu_pod_reader *r, enum source source, struct mu_tally *tally)
{
    const struct mu_view_status *st = r->status;
    if (source == FROM_ACTUAL && st != NULL && st->resources != NULL)
        read_requests(r, st->resources, "status.resources.requests", tally);
    else if (source != FROM_SPEC && st != NULL && st->allocated.count > 0)
        read_map(r, &st->allocated, "status.allocatedResources", tally);
    else
        read_requests(r, r->spec->resources, "spec.resources.requests", tally);
}

static void aggregate(struct mu_pod_reader *r, enum source source, struct mu_tally *sum)
{
    sum_containers(r, source, sum);
    if (r->spec->resources != NULL) {
        struct mu_tally pod_level;
        pod_level_amounts(r, source, &pod_level);
        replace_pod_level(sum, &pod_level);
    }
}

static bool any_amounts(const struct mu_container_status_list *statuses)
{
    for (uint32_t i = 0; i < statuses->count; i++) {
        if (statuses->items[i].resources != NULL || statuses->items[i].allocated.count > 0)
            return true;
    }
    return false;
}

/* Does any status say what was allocated or is in use? Else all three sums are the spec's. */
static bool has_status_amounts(const struct mu_view_status *st)
{
    return st != NULL && (any_amounts(&st->containers) || any_amounts(&st->init_containers) ||
                          st->resources != NULL || st->allocated.count > 0);
}

/* The kubelet has said that the wanted size will never fit its node: it stays as it is. */
static bool is_resize_infeasible(const struct mu_view_status *st)
{
    for (uint32_t i = 0; i < st->conditions.count; i++) {
        if (mu_text_is(st->conditions.items[i].type, "PodResizePending") &&
            mu_text_is(st->conditions.items[i].reason, "Infeasible"))
            return true;
    }
    return false;
}

static void effective_requests(struct mu_pod_reader *r, struct mu_tally *sum)
{
    bool placed = r->out->node_name.len > 0;
    if (placed && has_status_amounts(r->status)) {
        struct mu_tally other;
        aggregate(r, FROM_ALLOCATED, sum);
        aggregate(r, FROM_ACTUAL, &other);
        mu_tally_max_all(sum, &other);
        if (!is_resize_infeasible(r->status)) {
            aggregate(r, FROM_SPEC, &other);
            mu_tally_max_all(sum, &other);
        }
    } else {
        aggregate(r, FROM_SPEC, sum);
    }
    struct mu_tally overhead;
    read_map(r, &r->spec->overhead, "spec.overhead", &overhead);
    mu_tally_add_all(sum, &overhead);
}

static int64_t amount_of(const struct mu_tally *tally, struct mu_str name)
{
    for (uint32_t i = 0; i < tally->count; i++)
        if (mu_str_equal(tally->items[i].resource, name))
            return tally->items[i].value;
    return 0;
}

/* Assuming more of a container never makes the sum smaller. */
static void put_padding(struct mu_pod_reader *r, const struct mu_tally *asked)
{
    struct mu_tally seen;
    r->assuming = true;
    effective_requests(r, &seen);
    r->assuming = false;
    int64_t cpu = amount_of(&seen, MU_STR("cpu")) - amount_of(asked, MU_STR("cpu"));
    int64_t memory = amount_of(&seen, MU_STR("memory")) - amount_of(asked, MU_STR("memory"));
    r->out->cpu_padding = cpu > 0 ? cpu : 0;
    r->out->memory_padding = memory > 0 ? memory : 0;
}

static int put_requests(struct mu_pod_reader *r)
{
    struct mu_tally sum;
    effective_requests(r, &sum);
    if (r->incomplete)
        put_padding(r, &sum);
    mu_pod_add_share(r, &sum);
    if (sum.overflow) {
        r->out->unbuilt |= MU_RULE_REQUEST;
        mu_pod_warn(r, "spec.containers.resources.requests", MU_STR("*"), "too many resources");
    }
    if (sum.count == 0)
        return 0;
    struct mu_amount *requests = mu_arena_calloc(r->arena, sum.count, sizeof *requests);
    if (requests == NULL)
        return mu_pod_no_memory(r, "spec.containers.resources.requests");
    uint32_t count = 0;
    for (uint32_t i = 0; i < sum.count; i++) {
        if (sum.items[i].value == MU_AMOUNT_MAX)
            r->out->unbuilt |= MU_RULE_REQUEST; /* a sum can saturate where no part did */
        if (sum.items[i].value > 0)
            requests[count++] = sum.items[i];
    }
    r->out->requests = requests;
    r->out->request_count = count;
    return 0;
}

/* --- rules that are not built -------------------------------------------------------------- */

/* Numbers in VolumeSource: gcePersistentDisk, awsElasticBlockStore, iscsi, persistentVolumeClaim,
 * rbd, cinder, vsphereVolume, azureDisk, portworxVolume, ephemeral; and those not yet thought
 * of. */
static bool volume_binds(const struct mu_view_volume_source *source)
{
    const mu_numbers binding = UINT64_C(1) << 3 | 1 << 4 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 13 |
                               1 << 20 | 1 << 22 | 1 << 24 | 1 << 29;
    const mu_numbers newer = ~((UINT64_C(2) << VOLUME_SOURCE_NEWEST) - 1);
    return source != NULL && (source->numbers & (binding | newer)) != 0;
}

static bool has_claims(const struct mu_view_resources *resources)
{
    return resources != NULL && mu_numbers_have(resources->numbers, MU_RESOURCES_CLAIMS);
}

static uint32_t container_rules(const struct mu_container_list *containers)
{
    uint32_t rules = 0;
    for (uint32_t i = 0; i < containers->count; i++) {
        const struct mu_view_container *container = &containers->items[i];
        if (has_claims(container->resources))
            rules |= MU_RULE_RESOURCE_CLAIMS;
        for (uint32_t k = 0; k < container->restart_rules.count; k++) {
            /* "Restart" needs nothing of the node; "RestartAllContainers" does. */
            if (!mu_text_is(container->restart_rules.items[k].action, "Restart"))
                rules |= MU_RULE_DECLARED_FEATURES;
        }
    }
    return rules;
}

static uint32_t spec_rules(const struct mu_view_spec *spec)
{
    uint32_t rules = container_rules(&spec->containers) | container_rules(&spec->init_containers);
    for (uint32_t i = 0; i < spec->volumes.count; i++) {
        if (volume_binds(spec->volumes.items[i].source))
            rules |= MU_RULE_VOLUMES;
    }
    if (mu_numbers_have(spec->numbers, MU_SPEC_RESOURCE_CLAIMS) || has_claims(spec->resources))
        rules |= MU_RULE_RESOURCE_CLAIMS;
    if (spec->host_network && mu_numbers_have(spec->numbers, MU_SPEC_HOST_USERS) &&
        !spec->host_users)
        rules |= MU_RULE_DECLARED_FEATURES;
    return rules;
}

/* --- selector, tolerations, labels, gang --------------------------------------------------- */

/* An entry of a map, and where it stands. */
struct placed_label {
    struct mu_label label;
    uint32_t at;
};

static int compare_placed(const void *left, const void *right)
{
    const struct placed_label *a = left, *b = right;
    int order = mu_str_compare(a->label.key, b->label.key);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* Of a key that stands twice in the map the later value counts: to ask for both would be to ask for
 * what no node has. */
static int put_selector(struct mu_pod_reader *r)
{
    const struct mu_pair_list *from = &r->spec->node_selector;
    if (from->count > MU_LABELS_PER_OBJECT)
        return mu_pod_leave_out(r, "spec.nodeSelector", from->count, MU_LABELS_PER_OBJECT);
    r->out->selector = from->items;
    r->out->selector_count = from->count;
    if (from->count < 2)
        return 0;
    struct placed_label *sorted = mu_arena_calloc(r->arena, from->count, sizeof *sorted);
    struct mu_label *kept = mu_arena_calloc(r->arena, from->count, sizeof *kept);
    if (sorted == NULL || kept == NULL)
        return mu_pod_no_memory(r, "spec.nodeSelector");
    for (uint32_t i = 0; i < from->count; i++)
        sorted[i] = (struct placed_label){from->items[i], i};
    qsort(sorted, from->count, sizeof *sorted, compare_placed);
    uint32_t count = 0;
    for (uint32_t i = 0; i < from->count; i++)
        if (i + 1 == from->count || !mu_str_equal(sorted[i].label.key, sorted[i + 1].label.key))
            kept[count++] = sorted[i].label;
    r->out->selector = kept;
    r->out->selector_count = count;
    return 0;
}

/* An unknown operator tolerates nothing, which can only keep the pod from nodes. */
static enum mu_toleration_op read_operator(struct mu_str word)
{
    if (word.len == 0 || mu_text_is(word, "Equal"))
        return MU_TOLERATE_EQUAL;
    if (mu_text_is(word, "Exists"))
        return MU_TOLERATE_EXISTS;
    if (mu_text_is(word, "Lt"))
        return MU_TOLERATE_LT;
    return mu_text_is(word, "Gt") ? MU_TOLERATE_GT : MU_TOLERATE_NEVER;
}

static int put_tolerations(struct mu_pod_reader *r)
{
    uint32_t count = r->spec->tolerations.count;
    if (count > MU_TOLERATIONS_PER_POD)
        return mu_pod_leave_out(r, "spec.tolerations", count, MU_TOLERATIONS_PER_POD);
    if (count == 0)
        return 0;
    struct mu_toleration *items = mu_arena_calloc(r->arena, count, sizeof *items);
    if (items == NULL)
        return mu_pod_no_memory(r, "spec.tolerations");
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_view_toleration *t = &r->spec->tolerations.items[i];
        items[i] = (struct mu_toleration){
            .key = t->key,
            .value = t->value,
            .op = read_operator(t->op),
            .effect = mu_decode_effect(t->effect),
        };
    }
    r->out->tolerations = items;
    r->out->toleration_count = count;
    return 0;
}

/* What the pod says about its gang. A problem is told as others are: the pod waits with it. */
static int put_gang(struct mu_pod_reader *r)
{
    const struct mu_view_workload_ref *workload = r->spec->workload;
    const struct mu_view_scheduling_group *group = r->spec->group;
    struct mu_dialect_pod pod = {.ns = r->out->ns,
                                 .labels = r->meta->labels.items,
                                 .label_count = r->meta->labels.count,
                                 .annotations = r->meta->annotations.items,
                                 .annotation_count = r->meta->annotations.count,
                                 .has_group = group != NULL,
                                 .has_workload = workload != NULL};
    struct mu_dialect_problem problem;
    if (group != NULL)
        pod.group = group->name;
    if (workload != NULL) {
        pod.workload = workload->name;
        pod.pod_group = workload->pod_group;
        pod.replica = workload->replica;
    }
    if (mu_dialect_read(&pod, r->arena, &r->out->gang, &r->out->spared, &problem) != 0)
        return mu_pod_no_memory(r, "gang");
    if (problem.rule == 0)
        return 0;
    r->out->unbuilt |= problem.rule;
    mu_pod_warn(r, problem.field, problem.key, problem.expected);
    return 0;
}

/* Labels are read in full for the gang's sake: a dialect's key may be anywhere among them. */
static int put_labels(struct mu_pod_reader *r)
{
    const struct mu_pair_list *labels = &r->meta->labels;
    int rc = put_gang(r);
    if (rc != 0)
        return rc;
    if (labels->count > MU_LABELS_PER_OBJECT)
        return mu_pod_leave_out(r, "metadata.labels", labels->count, MU_LABELS_PER_OBJECT);
    r->out->labels = labels->items;
    r->out->label_count = labels->count;
    return 0;
}

/* --- the whole ----------------------------------------------------------------------------- */

static enum mu_pod_phase read_phase(const struct mu_view_status *status)
{
    if (status == NULL || status->phase.len == 0 || mu_text_is(status->phase, "Pending"))
        return MU_POD_PENDING;
    if (mu_text_is(status->phase, "Running"))
        return MU_POD_RUNNING;
    if (mu_text_is(status->phase, "Succeeded"))
        return MU_POD_SUCCEEDED;
    if (mu_text_is(status->phase, "Failed"))
        return MU_POD_FAILED;
    return MU_POD_UNKNOWN;
}

uint64_t mu_pod_report_digest(struct mu_str reason, struct mu_str message)
{
    uint64_t digest = mu_hash_str(message, mu_hash_str(reason, 1));
    return digest != 0 ? digest : 1;
}

/* 0 also when the condition is there with another status: then its next transition is ours. */
static uint64_t read_report(const struct mu_view_status *status)
{
    for (uint32_t i = 0; status != NULL && i < status->conditions.count; i++) {
        const struct mu_view_condition *c = &status->conditions.items[i];
        if (mu_text_is(c->type, "PodScheduled"))
            return mu_text_is(c->status, "False") ? mu_pod_report_digest(c->reason, c->message) : 0;
    }
    return 0;
}

static bool is_controlled(const struct mu_view_meta *meta)
{
    for (uint32_t i = 0; i < meta->owners.count; i++) {
        if (meta->owners.items[i].controller)
            return true;
    }
    return false;
}

/* The server checks neither name's length. One that is too long names no node and no scheduler
 * that can exist; cut to the bound it still says that the pod is bound, or another's. */
static struct mu_str read_name(struct mu_pod_reader *r, struct mu_str name, const char *field)
{
    if (name.len <= MU_NAME_BYTES_MAX)
        return name;
    mu_pod_warn(r, field, name, "expected at most 253 bytes; cut");
    r->out->unbuilt |= MU_RULE_OVERSIZED;
    name.len = MU_NAME_BYTES_MAX;
    return name;
}

/* A hint, and of an unbound pod only. One that names no node is none. */
static void read_nomination(struct mu_pod_reader *r)
{
    if (r->status == NULL || r->out->node_name.len > 0)
        return;
    struct mu_str name = r->status->nominated_node;
    if (name.len <= MU_NAME_BYTES_MAX)
        r->out->nominated_node = name;
}

static void read_preemption(struct mu_pod_reader *r)
{
    r->out->never_preempts = mu_text_is(r->spec->preemption_policy, "Never");
    const struct mu_view_time *started = r->status == NULL ? NULL : r->status->started;
    if (started != NULL && started->seconds > 0)
        r->out->started_s = (uint64_t)started->seconds;
}

static int read_identity(struct mu_pod_reader *r)
{
    const struct mu_view_meta *meta = r->meta;
    struct mu_pod_object *out = r->out;
    struct mu_decode_identity id;
    int rc = mu_decode_identity(meta, "pod", &id, r->error);
    if (rc != 0)
        return rc;
    out->ns = id.ns;
    out->name = id.name;
    out->uid = id.uid;
    out->version = id.version;
    if (out->ns.len == 0)
        return mu_error_set(r->error, MU_EPROTO, "pod %.*s: metadata.namespace: expected one",
                            MU_STR_ARGS(out->name));
    out->node_name = read_name(r, r->spec->node_name, "spec.nodeName");
    out->scheduler_name = read_name(r, r->spec->scheduler_name, "spec.schedulerName");
    if (meta->created != NULL && meta->created->seconds > 0)
        out->created_s = (uint64_t)meta->created->seconds;
    out->terminating = meta->deleted != NULL;
    out->controlled = is_controlled(meta);
    return 0;
}

int mu_pod_translate(const struct mu_view_pod *view, struct mu_arena *arena,
                     struct mu_pod_object *out, struct mu_error *warn, struct mu_error *error)
{
    static const struct mu_view_spec no_spec = {.numbers = 0};
    struct mu_pod_object object = {.version = 0};
    struct mu_pod_reader r = {
        .meta = view->meta,
        .spec = view->spec != NULL ? view->spec : &no_spec,
        .status = view->status,
        .arena = arena,
        .out = &object,
        .requirements_left = MU_REQUIREMENTS_MAX,
        .values_left = MU_VALUES_MAX,
        .warn = warn,
        .error = error,
    };
    if (warn != NULL)
        warn->code = 0;
    int rc;
    if ((rc = read_identity(&r)) != 0)
        return rc;
    object.priority = r.spec->priority;
    object.phase = read_phase(r.status);
    object.report = read_report(r.status);
    object.gated = mu_numbers_have(r.spec->numbers, MU_SPEC_GATES);
    object.unbuilt |= spec_rules(r.spec);
    if ((rc = put_labels(&r)) != 0 || (rc = put_requests(&r)) != 0 ||
        (rc = put_selector(&r)) != 0 || (rc = put_tolerations(&r)) != 0 ||
        (rc = mu_pod_put_node_affinity(&r)) != 0 || (rc = mu_pod_put_terms(&r)) != 0 ||
        (rc = mu_pod_put_spreads(&r)) != 0 || (rc = mu_pod_put_ports(&r)) != 0 ||
        (rc = mu_pod_put_images(&r)) != 0)
        return rc;
    mu_pod_put_devices(&r);
    read_nomination(&r);
    read_preemption(&r);
    *out = object;
    return 0;
}

int mu_pod_decode(struct mu_str raw, struct mu_arena *arena, struct mu_pod_object *out,
                  struct mu_error *warn, struct mu_error *error)
{
    struct mu_view_pod view;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_view_open(raw, &mu_view_of_pod, arena, "pod", &view, error);
    return rc != 0 ? rc : mu_pod_translate(&view, arena, out, warn, error);
}
