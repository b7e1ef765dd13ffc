/*
 * A Kubernetes pod, translated.
 *
 * The effective request follows kubernetes-wire §3.3: app containers and sidecars summed, compared
 * with the peak of the init phase, replaced by pod-level requests, plus overhead. For a placed pod
 * three such sums exist (what the spec asks, what the kubelet allocated, what the containers
 * actually have); the largest counts, since each of them may become true under an in-place resize.
 *
 * A pod that uses a rule which is not built yet is marked, never misplaced. The same holds for a
 * part beyond its bound: it is left out, named in a warning, and the pod marked. Were the object
 * refused instead, its holder would keep an older version of the pod for as long as it lives: a
 * bind that waits for a newer one would wait for ever, and a placed pod might never be charged.
 */
#include "informer/codec.h"

#include <stdio.h>

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
static void read_map(struct mu_pod_reader *r, Kube__QuantityEntry *const *entries, size_t count,
                     const char *field, struct mu_tally *tally)
{
    mu_tally_init(tally);
    for (size_t i = 0; i < count; i++) {
        struct mu_str name = mu_str_of(entries[i]->key);
        enum mu_tally_unit unit = mu_tally_unit(name, false);
        if (unit == MU_UNIT_NONE)
            continue;
        if (name.len > MU_RESOURCE_NAME_BYTES_MAX) {
            r->out->unbuilt |= MU_RULE_REQUEST;
            mu_pod_warn(r, field, name, "expected a name of at most 317 bytes");
            continue;
        }
        int64_t value;
        enum mu_tally_fault fault = mu_tally_read(entries[i]->value, unit, &value);
        if (fault != MU_TALLY_OK) {
            r->out->unbuilt |= MU_RULE_REQUEST;
            mu_pod_warn(r, field, name, mu_tally_fault_text(fault));
        }
        mu_tally_set(tally, name, value);
    }
}

static void read_requests(struct mu_pod_reader *r, const Kube__ResourceRequirements *resources,
                          const char *field, struct mu_tally *tally)
{
    mu_tally_init(tally);
    if (resources != NULL)
        read_map(r, resources->requests, resources->n_requests, field, tally);
}

enum source { FROM_SPEC, FROM_ALLOCATED, FROM_ACTUAL };

/* Status of the container `name`; the kubelet lists them in any order, mostly the spec's. */
static const Kube__ContainerStatus *status_of(Kube__ContainerStatus *const *statuses, size_t count,
                                              const char *name, size_t position)
{
    if (count > MU_CONTAINER_STATUSES_MAX)
        count = MU_CONTAINER_STATUSES_MAX;
    if (position < count && mu_text_is(statuses[position]->name, name))
        return statuses[position];
    for (size_t i = 0; i < count; i++) {
        if (mu_text_is(statuses[i]->name, name))
            return statuses[i];
    }
    return NULL;
}

/* What one container asks for or holds; falls back actual -> allocated -> spec. */
static void container_amounts(struct mu_pod_reader *r, const Kube__Container *container,
                              const Kube__ContainerStatus *status, enum source source,
                              struct mu_tally *tally)
{
    if (source == FROM_ACTUAL && status != NULL && status->resources != NULL)
        read_requests(r, status->resources, "status.containerStatuses.resources.requests", tally);
    else if (source != FROM_SPEC && status != NULL && status->n_allocatedresources > 0)
        read_map(r, status->allocatedresources, status->n_allocatedresources,
                 "status.containerStatuses.allocatedResources", tally);
    else
        read_requests(r, container->resources, "spec.containers.resources.requests", tally);
}

/* Steps 1 to 3 of §3.3: max(app + sidecars, peak of the init phase) for each resource. */
static void sum_containers(struct mu_pod_reader *r, enum source source, struct mu_tally *sum)
{
    const Kube__PodStatus *st = source == FROM_SPEC ? NULL : r->status;
    struct mu_tally one;
    struct mu_tally peak;
    struct mu_tally sidecars;
    mu_tally_init(sum);
    mu_tally_init(&peak);
    mu_tally_init(&sidecars);
    for (size_t i = 0; i < r->spec->n_containers; i++) {
        const Kube__Container *c = r->spec->containers[i];
        const Kube__ContainerStatus *cs =
            st == NULL ? NULL
                       : status_of(st->containerstatuses, st->n_containerstatuses, c->name, i);
        container_amounts(r, c, cs, source, &one);
        mu_tally_add_all(sum, &one);
    }
    for (size_t i = 0; i < r->spec->n_initcontainers; i++) {
        const Kube__Container *c = r->spec->initcontainers[i];
        const Kube__ContainerStatus *cs =
            st == NULL
                ? NULL
                : status_of(st->initcontainerstatuses, st->n_initcontainerstatuses, c->name, i);
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
    const Kube__PodStatus *st = r->status;
    if (source == FROM_ACTUAL && st != NULL && st->resources != NULL)
        read_requests(r, st->resources, "status.resources.requests", tally);
    else if (source != FROM_SPEC && st != NULL && st->n_allocatedresources > 0)
        read_map(r, st->allocatedresources, st->n_allocatedresources, "status.allocatedResources",
                 tally);
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

/* Does any status say what was allocated or is in use? Else all three sums are the spec's. */
static bool has_status_amounts(const Kube__PodStatus *st)
{
    if (st == NULL)
        return false;
    for (size_t i = 0; i < st->n_containerstatuses; i++) {
        if (st->containerstatuses[i]->resources != NULL ||
            st->containerstatuses[i]->n_allocatedresources > 0)
            return true;
    }
    for (size_t i = 0; i < st->n_initcontainerstatuses; i++) {
        if (st->initcontainerstatuses[i]->resources != NULL ||
            st->initcontainerstatuses[i]->n_allocatedresources > 0)
            return true;
    }
    return st->resources != NULL || st->n_allocatedresources > 0;
}

/* The kubelet has said that the wanted size will never fit its node: it stays as it is. */
static bool is_resize_infeasible(const Kube__PodStatus *st)
{
    for (size_t i = 0; i < st->n_conditions; i++) {
        if (mu_text_is(st->conditions[i]->type, "PodResizePending") &&
            mu_text_is(st->conditions[i]->reason, "Infeasible"))
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
    read_map(r, r->spec->overhead, r->spec->n_overhead, "spec.overhead", &overhead);
    mu_tally_add_all(sum, &overhead);
}

static int put_requests(struct mu_pod_reader *r)
{
    struct mu_tally sum;
    effective_requests(r, &sum);
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

static bool volume_binds(const Kube__VolumeSource *source)
{
    if (source == NULL)
        return false;
    for (size_t i = 0; i < source->base.n_unknown_fields; i++) {
        if (source->base.unknown_fields[i].tag > VOLUME_SOURCE_NEWEST)
            return true;
    }
    return source->persistentvolumeclaim != NULL || source->ephemeral != NULL ||
           source->gcepersistentdisk != NULL || source->awselasticblockstore != NULL ||
           source->iscsi != NULL || source->rbd != NULL || source->cinder != NULL ||
           source->vspherevolume != NULL || source->azuredisk != NULL ||
           source->portworxvolume != NULL;
}

static uint32_t container_rules(const Kube__Container *container)
{
    uint32_t rules = 0;
    if (container->resources != NULL && container->resources->n_claims > 0)
        rules |= MU_RULE_RESOURCE_CLAIMS;
    for (size_t i = 0; i < container->n_restartpolicyrules; i++) {
        /* "Restart" needs nothing of the node; "RestartAllContainers" does. */
        if (!mu_text_is(container->restartpolicyrules[i]->action, "Restart"))
            rules |= MU_RULE_DECLARED_FEATURES;
    }
    return rules;
}

static uint32_t spec_rules(const Kube__PodSpec *spec)
{
    uint32_t rules = 0;
    for (size_t i = 0; i < spec->n_volumes; i++) {
        if (volume_binds(spec->volumes[i]->volumesource))
            rules |= MU_RULE_VOLUMES;
    }
    for (size_t i = 0; i < spec->n_containers; i++)
        rules |= container_rules(spec->containers[i]);
    for (size_t i = 0; i < spec->n_initcontainers; i++)
        rules |= container_rules(spec->initcontainers[i]);
    if (spec->n_resourceclaims > 0 || (spec->resources != NULL && spec->resources->n_claims > 0))
        rules |= MU_RULE_RESOURCE_CLAIMS;
    if (spec->hostnetwork && spec->has_hostusers && !spec->hostusers)
        rules |= MU_RULE_DECLARED_FEATURES;
    return rules;
}

/* --- selector, tolerations, labels, gang --------------------------------------------------- */

static int put_selector(struct mu_pod_reader *r)
{
    size_t count = r->spec->n_nodeselector;
    if (count > MU_LABELS_PER_OBJECT)
        return mu_pod_leave_out(r, "spec.nodeSelector", count, MU_LABELS_PER_OBJECT);
    if (count == 0)
        return 0;
    struct mu_label *selector = mu_decode_pairs(r->arena, r->spec->nodeselector, count);
    if (selector == NULL)
        return mu_pod_no_memory(r, "spec.nodeSelector");
    r->out->selector = selector;
    r->out->selector_count = (uint32_t)count;
    return 0;
}

/* An unknown operator tolerates nothing, which can only keep the pod from nodes. */
static enum mu_toleration_op read_operator(const char *word)
{
    if (word == NULL || word[0] == '\0' || mu_text_is(word, "Equal"))
        return MU_TOLERATE_EQUAL;
    if (mu_text_is(word, "Exists"))
        return MU_TOLERATE_EXISTS;
    if (mu_text_is(word, "Lt"))
        return MU_TOLERATE_LT;
    return mu_text_is(word, "Gt") ? MU_TOLERATE_GT : MU_TOLERATE_NEVER;
}

static int put_tolerations(struct mu_pod_reader *r)
{
    size_t count = r->spec->n_tolerations;
    if (count > MU_TOLERATIONS_PER_POD)
        return mu_pod_leave_out(r, "spec.tolerations", count, MU_TOLERATIONS_PER_POD);
    if (count == 0)
        return 0;
    struct mu_toleration *items = mu_arena_calloc(r->arena, count, sizeof *items);
    if (items == NULL)
        return mu_pod_no_memory(r, "spec.tolerations");
    for (size_t i = 0; i < count; i++) {
        const Kube__Toleration *t = r->spec->tolerations[i];
        items[i] = (struct mu_toleration){
            .key = mu_str_of(t->key),
            .value = mu_str_of(t->value),
            .op = read_operator(t->operator_),
            .effect = mu_decode_effect(t->effect),
        };
    }
    r->out->tolerations = items;
    r->out->toleration_count = (uint32_t)count;
    return 0;
}

/* Labels are read in full for the gang's sake: a dialect's key may be anywhere among them. */
static int put_labels(struct mu_pod_reader *r)
{
    const Kube__ObjectMeta *meta = r->pod->metadata;
    bool native = r->spec->schedulinggroup != NULL || r->spec->workloadref != NULL;
    if (meta->n_labels == 0 && meta->n_annotations == 0 && !native)
        return 0;
    if (meta->n_labels + meta->n_annotations > UINT32_MAX)
        return mu_error_set(r->error, MU_ELIMIT, "pod: metadata.labels: too many");
    const struct mu_label *labels = mu_decode_pairs(r->arena, meta->labels, meta->n_labels);
    const struct mu_label *annotations =
        mu_decode_pairs(r->arena, meta->annotations, meta->n_annotations);
    if (labels == NULL || annotations == NULL)
        return mu_pod_no_memory(r, "metadata.labels");
    r->annotations = annotations;
    r->annotation_count = (uint32_t)meta->n_annotations;
    mu_dialect_normalise(labels, (uint32_t)meta->n_labels, annotations, r->annotation_count, native,
                         &r->out->gang, &r->out->unbuilt);
    if (meta->n_labels > MU_LABELS_PER_OBJECT)
        return mu_pod_leave_out(r, "metadata.labels", meta->n_labels, MU_LABELS_PER_OBJECT);
    r->out->labels = labels;
    r->out->label_count = (uint32_t)meta->n_labels;
    return 0;
}

/* --- the whole ----------------------------------------------------------------------------- */

static enum mu_pod_phase read_phase(const Kube__PodStatus *status)
{
    const char *phase = status == NULL ? NULL : status->phase;
    if (phase == NULL || phase[0] == '\0' || strcmp(phase, "Pending") == 0)
        return MU_POD_PENDING;
    if (strcmp(phase, "Running") == 0)
        return MU_POD_RUNNING;
    if (strcmp(phase, "Succeeded") == 0)
        return MU_POD_SUCCEEDED;
    if (strcmp(phase, "Failed") == 0)
        return MU_POD_FAILED;
    return MU_POD_UNKNOWN;
}

uint64_t mu_pod_report_digest(struct mu_str reason, struct mu_str message)
{
    uint64_t digest = mu_hash_str(message, mu_hash_str(reason, 1));
    return digest != 0 ? digest : 1;
}

/* 0 also when the condition is there with another status: then its next transition is ours. */
static uint64_t read_report(const Kube__PodStatus *status)
{
    for (size_t i = 0; status != NULL && i < status->n_conditions; i++) {
        const Kube__PodCondition *c = status->conditions[i];
        if (mu_text_is(c->type, "PodScheduled"))
            return mu_text_is(c->status, "False")
                       ? mu_pod_report_digest(mu_str_of(c->reason), mu_str_of(c->message))
                       : 0;
    }
    return 0;
}

static bool is_controlled(const Kube__ObjectMeta *meta)
{
    for (size_t i = 0; i < meta->n_ownerreferences; i++) {
        if (meta->ownerreferences[i]->controller)
            return true;
    }
    return false;
}

/* The server checks neither name's length. One that is too long names no node and no scheduler
 * that can exist; cut to the bound it still says that the pod is bound, or another's. */
static struct mu_str read_name(struct mu_pod_reader *r, const char *text, const char *field)
{
    struct mu_str name = mu_str_of(text);
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
    struct mu_str name = mu_str_of(r->status->nominatednodename);
    if (name.len <= MU_NAME_BYTES_MAX)
        r->out->nominated_node = name;
}

static int read_identity(struct mu_pod_reader *r)
{
    const Kube__ObjectMeta *meta = r->pod->metadata;
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
    out->node_name = read_name(r, r->spec->nodename, "spec.nodeName");
    out->scheduler_name = read_name(r, r->spec->schedulername, "spec.schedulerName");
    if (meta->creationtimestamp != NULL && meta->creationtimestamp->seconds > 0)
        out->created_s = (uint64_t)meta->creationtimestamp->seconds;
    out->terminating = meta->deletiontimestamp != NULL;
    out->controlled = is_controlled(meta);
    return 0;
}

int mu_pod_decode(struct mu_str raw, struct mu_arena *arena, struct mu_pod_object *out,
                  struct mu_error *warn, struct mu_error *error)
{
    static const Kube__PodSpec no_spec = KUBE__POD_SPEC__INIT;
    const void *message;
    if (warn != NULL)
        warn->code = 0;
    int rc = mu_decode_message(raw, &kube__pod__descriptor, arena, "pod", &message, error);
    if (rc != 0)
        return rc;
    const Kube__Pod *pod = message;
    struct mu_pod_object object = {.version = 0};
    struct mu_pod_reader r = {
        .pod = pod,
        .spec = pod->spec != NULL ? pod->spec : &no_spec,
        .status = pod->status,
        .arena = arena,
        .out = &object,
        .requirements_left = MU_REQUIREMENTS_MAX,
        .values_left = MU_VALUES_MAX,
        .warn = warn,
        .error = error,
    };
    if ((rc = read_identity(&r)) != 0)
        return rc;
    object.priority = r.spec->priority;
    object.phase = read_phase(r.status);
    object.report = read_report(r.status);
    object.gated = r.spec->n_schedulinggates > 0;
    object.unbuilt |= spec_rules(r.spec);
    if ((rc = put_labels(&r)) != 0 || (rc = put_requests(&r)) != 0 ||
        (rc = put_selector(&r)) != 0 || (rc = put_tolerations(&r)) != 0 ||
        (rc = mu_pod_put_node_affinity(&r)) != 0 || (rc = mu_pod_put_terms(&r)) != 0 ||
        (rc = mu_pod_put_spreads(&r)) != 0 || (rc = mu_pod_put_ports(&r)) != 0 ||
        (rc = mu_pod_put_images(&r)) != 0)
        return rc;
    mu_pod_put_devices(&r);
    read_nomination(&r);
    *out = object;
    return 0;
}
