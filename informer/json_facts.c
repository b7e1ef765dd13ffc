#include "informer/json_facts.h"

#include <stdlib.h>
#include <string.h>

#define BIT(n) (UINT64_C(1) << (n))
/* The set of these field numbers, at most 12. Unused places set bit 0, which no field has. */
#define BITS(...)    BITS_OF(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
#define BITS_OF(...) BITS_OF_12(__VA_ARGS__, 0)
#define BITS_OF_12(a, b, c, d, e, f, g, h, i, j, k, l, ...)                                        \
    (BIT(a) | BIT(b) | BIT(c) | BIT(d) | BIT(e) | BIT(f) | BIT(g) | BIT(h) | BIT(i) | BIT(j) |     \
     BIT(k) | BIT(l))
#define NONE 0

/* The published Go types, field by field: `always` are those without omitempty and the structures
 * that are no pointers, `pointer` the scalars that are pointers. Sorted by name in byte order; a
 * message that is not here has neither. */
struct presence_row {
    const char *message; /* without the package's first part */
    uint64_t always, pointer;
};
static const struct presence_row presences[] = {
    {"AWSElasticBlockStoreVolumeSource", BITS(1), NONE},
    {"AppArmorProfile", BITS(1), BITS(2)},
    {"AttachedVolume", BITS(1, 2), NONE},
    {"AzureDiskVolumeSource", BITS(1, 2), BITS(3, 4, 5, 6)},
    {"AzureFileVolumeSource", BITS(1, 2), NONE},
    {"Binding", BITS(1, 2), NONE},
    {"CSIVolumeSource", BITS(1), BITS(2, 3)},
    {"CinderVolumeSource", BITS(1), NONE},
    {"ClusterTrustBundleProjection", BITS(4), BITS(1, 2, 5, 6)},
    {"Condition", BITS(1, 2, 4, 5, 6), NONE},
    {"ConfigMap", BITS(1), BITS(4)},
    {"ConfigMapEnvSource", NONE, BITS(2)},
    {"ConfigMapKeySelector", BITS(2), BITS(3)},
    {"ConfigMapList", BITS(1), NONE},
    {"ConfigMapNodeConfigSource", BITS(1, 2, 5), NONE},
    {"ConfigMapProjection", NONE, BITS(4)},
    {"ConfigMapVolumeSource", NONE, BITS(3, 4, 5)},
    {"Container", BITS(1, 8), BITS(24)},
    {"ContainerExtendedResourceRequest", BITS(1, 2, 3), NONE},
    {"ContainerPort", BITS(3), NONE},
    {"ContainerResizePolicy", BITS(1, 2), NONE},
    {"ContainerStateRunning", BITS(1), NONE},
    {"ContainerStateTerminated", BITS(1, 5, 6), NONE},
    {"ContainerStatus", BITS(1, 2, 3, 4, 5, 6, 7), BITS(9, 15)},
    {"DaemonEndpoint", BITS(1), NONE},
    {"DeleteOptions", NONE, BITS(1, 3, 4, 6)},
    {"DownwardAPIVolumeFile", BITS(1), BITS(4, 5)},
    {"DownwardAPIVolumeSource", NONE, BITS(2, 3)},
    {"EmptyDirVolumeSource", NONE, BITS(3)},
    {"EnvVar", BITS(1), NONE},
    {"EphemeralContainerCommon", BITS(1, 8), BITS(24)},
    {"Event", BITS(1, 2, 5, 6, 7, 10, 14, 15), NONE},
    {"EventList", BITS(1), NONE},
    {"EventSeries", BITS(2), NONE},
    {"Eviction", BITS(1), NONE},
    {"EvictionResponder", BITS(1), BITS(2)},
    {"FCVolumeSource", NONE, BITS(2)},
    {"FieldSelectorRequirement", BITS(1, 2), NONE},
    {"FileKeySelector", BITS(1, 2, 3), BITS(4)},
    {"FlexVolumeSource", BITS(1), NONE},
    {"GCEPersistentDiskVolumeSource", BITS(1), NONE},
    {"GRPCAction", BITS(1), BITS(2, 3)},
    {"GitRepoVolumeSource", BITS(1), NONE},
    {"GlusterfsVolumeSource", BITS(1, 2), NONE},
    {"HTTPGetAction", BITS(2), BITS(6)},
    {"HTTPHeader", BITS(1, 2), NONE},
    {"HostAlias", BITS(1), NONE},
    {"HostIP", BITS(1), NONE},
    {"HostPathVolumeSource", BITS(1), BITS(2)},
    {"ISCSIVolumeSource", BITS(1, 2, 3), BITS(12)},
    {"KeyToPath", BITS(1, 2), BITS(3, 4)},
    {"LabelSelectorRequirement", BITS(1, 2), NONE},
    {"Lease", BITS(1, 2), NONE},
    {"LeaseList", BITS(1), NONE},
    {"LeaseSpec", NONE, BITS(1, 2, 5, 6, 7)},
    {"Lifecycle", NONE, BITS(3)},
    {"LinuxContainerUser", BITS(1, 2), NONE},
    {"ListMeta", NONE, BITS(4)},
    {"ListOptions", NONE, BITS(5, 11)},
    {"LocalSubjectAccessReview", BITS(1, 2, 3), NONE},
    {"NFSVolumeSource", BITS(1, 2), NONE},
    {"Namespace", BITS(1, 2, 3), NONE},
    {"NamespaceCondition", BITS(1, 2, 4), NONE},
    {"NamespaceList", BITS(1), NONE},
    {"Node", BITS(1, 2, 3), NONE},
    {"NodeAddress", BITS(1, 2), NONE},
    {"NodeAllocatableMappedResources", BITS(1), NONE},
    {"NodeAllocatableOverheadResources", BITS(1), NONE},
    {"NodeAllocatableResourceClaimStatus", BITS(1), NONE},
    {"NodeCondition", BITS(1, 2, 3, 4), NONE},
    {"NodeDaemonEndpoints", BITS(1), NONE},
    {"NodeFeatures", NONE, BITS(1)},
    {"NodeList", BITS(1), NONE},
    {"NodeRuntimeHandler", BITS(1), NONE},
    {"NodeRuntimeHandlerFeatures", NONE, BITS(1, 2)},
    {"NodeSelectorRequirement", BITS(1, 2), NONE},
    {"NodeStatus", BITS(6, 7), NONE},
    {"NodeSwapStatus", NONE, BITS(1)},
    {"NodeSystemInfo", BITS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), BITS(12)},
    {"ObjectFieldSelector", BITS(2), NONE},
    {"ObjectMeta", NONE, BITS(10)},
    {"OwnerReference", BITS(1, 3, 4, 5), BITS(6, 7)},
    {"PartialObjectMetadata", BITS(1), NONE},
    {"PartialObjectMetadataList", BITS(1), NONE},
    {"PatchOptions", NONE, BITS(2)},
    {"PersistentVolumeClaimSpec", BITS(2), BITS(5, 6, 9)},
    {"PersistentVolumeClaimTemplate", BITS(1, 2), NONE},
    {"PersistentVolumeClaimVolumeSource", BITS(1), NONE},
    {"PhotonPersistentDiskVolumeSource", BITS(1), NONE},
    {"Pod", BITS(1, 2, 3), NONE},
    {"PodAffinityTerm", BITS(3), NONE},
    {"PodCertificateProjection", NONE, BITS(3, 8)},
    {"PodCondition", BITS(1, 2, 3, 4), NONE},
    {"PodDNSConfigOption", NONE, BITS(2)},
    {"PodDisruptionBudget", BITS(1, 2, 3), NONE},
    {"PodDisruptionBudgetList", BITS(1), NONE},
    {"PodDisruptionBudgetSpec", NONE, BITS(4)},
    {"PodDisruptionBudgetStatus", BITS(3, 4, 5, 6), NONE},
    {"PodExtendedResourceClaimStatus", BITS(2), NONE},
    {"PodIP", BITS(1), NONE},
    {"PodList", BITS(1), NONE},
    {"PodOS", BITS(1), NONE},
    {"PodReadinessGate", BITS(1), NONE},
    {"PodResourceClaim", BITS(1), BITS(3, 4)},
    {"PodResourceClaimStatus", BITS(1), BITS(2)},
    {"PodSchedulingGate", BITS(1), NONE},
    {"PodSchedulingGroup", NONE, BITS(1)},
    {"PodSecurityContext", NONE, BITS(2, 3, 5, 6, 9, 12, 13)},
    {"PodSpec", NONE, BITS(4, 5, 21, 25, 27, 29, 30, 31, 35, 37, 41)},
    {"PodTemplateSpec", BITS(1, 2), NONE},
    {"PodVolumeHealth", BITS(1, 3), NONE},
    {"PortworxVolumeSource", BITS(1), NONE},
    {"Preconditions", NONE, BITS(1, 2)},
    {"PreferredSchedulingTerm", BITS(1, 2), NONE},
    {"PriorityClass", BITS(1, 2), BITS(5)},
    {"PriorityClassList", BITS(1), NONE},
    {"Probe", NONE, BITS(7)},
    {"ProjectedVolumeSource", NONE, BITS(2, 3)},
    {"QuobyteVolumeSource", BITS(1, 2), NONE},
    {"RBDVolumeSource", BITS(2), NONE},
    {"ResourceClaim", BITS(1), NONE},
    {"ResourceFieldSelector", BITS(2, 3), NONE},
    {"ResourceHealth", BITS(1), BITS(6)},
    {"ResourceStatus", BITS(1), NONE},
    {"ScaleIOVolumeSource", BITS(1, 2), NONE},
    {"SeccompProfile", BITS(1), BITS(2)},
    {"SecretEnvSource", NONE, BITS(2)},
    {"SecretKeySelector", BITS(2), BITS(3)},
    {"SecretProjection", NONE, BITS(4)},
    {"SecretVolumeSource", NONE, BITS(3, 4, 5)},
    {"SecurityContext", NONE, BITS(2, 4, 5, 6, 7, 8, 9)},
    {"SelfSubjectAccessReview", BITS(1, 2, 3), NONE},
    {"SelfSubjectReview", BITS(1, 2), NONE},
    {"SelfSubjectReviewStatus", BITS(1), NONE},
    {"SelfSubjectRulesReview", BITS(1, 2, 3), NONE},
    {"ServiceAccount", BITS(1), BITS(4)},
    {"ServiceAccountList", BITS(1), NONE},
    {"ServiceAccountTokenProjection", BITS(3), BITS(2, 4)},
    {"ShardInfo", BITS(1), NONE},
    {"SleepAction", BITS(1), NONE},
    {"Status", BITS(1), NONE},
    {"SubjectAccessReview", BITS(1, 2, 3), NONE},
    {"SubjectAccessReviewStatus", BITS(1), NONE},
    {"SubjectRulesReviewStatus", BITS(3), NONE},
    {"Sysctl", BITS(1, 2), NONE},
    {"TCPSocketAction", BITS(1), NONE},
    {"Taint", BITS(1, 3), NONE},
    {"TokenRequest", BITS(1, 2, 3), NONE},
    {"TokenRequestSpec", NONE, BITS(4)},
    {"TokenRequestStatus", BITS(1, 2), NONE},
    {"TokenReview", BITS(1, 2, 3), NONE},
    {"TokenReviewStatus", BITS(2), NONE},
    {"Toleration", NONE, BITS(5)},
    {"TopologySpreadConstraint", BITS(1, 2, 3), BITS(5, 6, 7)},
    {"TypedLocalObjectReference", BITS(2, 3), BITS(1)},
    {"TypedObjectReference", BITS(2, 3), BITS(1, 4)},
    {"Volume", BITS(1), NONE},
    {"VolumeDevice", BITS(1, 2), NONE},
    {"VolumeHealthCondition", BITS(1, 2), NONE},
    {"VolumeMount", BITS(1, 3), BITS(5, 7)},
    {"VolumeMountStatus", BITS(1, 2), BITS(4)},
    {"VsphereVirtualDiskVolumeSource", BITS(1), NONE},
    {"WatchEvent", BITS(1, 2), NONE},
    {"WeightedPodAffinityTerm", BITS(1, 2), NONE},
    {"WindowsSecurityContextOptions", NONE, BITS(1, 2, 3, 4)},
    {"events.Event", BITS(1, 2, 8, 12, 13, 14), NONE},
    {"events.EventList", BITS(1), NONE},
    {"events.EventSeries", BITS(1, 2), NONE},
    {"gang.CompositeGangSchedulingPolicy", BITS(1), NONE},
    {"gang.CompositePodGroup", BITS(1, 2, 3), NONE},
    {"gang.CompositePodGroupList", BITS(1), NONE},
    {"gang.CompositePodGroupSpec", BITS(3), BITS(1, 7, 8)},
    {"gang.CompositePodGroupTemplate", BITS(1, 2), BITS(6, 7)},
    {"gang.GangSchedulingPolicy", BITS(1), NONE},
    {"gang.PodGroup", BITS(1, 2, 3), NONE},
    {"gang.PodGroupList", BITS(1), NONE},
    {"gang.PodGroupResourceClaim", BITS(1), BITS(2, 3)},
    {"gang.PodGroupResourceClaimStatus", BITS(1), BITS(2)},
    {"gang.PodGroupSpec", BITS(3), BITS(1, 8, 9)},
    {"gang.PodGroupTemplate", BITS(1, 2), BITS(7, 8)},
    {"gang.TopologyConstraint", BITS(1), NONE},
    {"gang.TypedLocalObjectReference", BITS(2, 3), NONE},
    {"gang.Workload", BITS(1, 2), NONE},
    {"gang.WorkloadList", BITS(1), NONE},
    {"gang.WorkloadReference", BITS(1, 2), NONE},
};

/* The patch strategies of the same types. A list that is not here is replaced as a whole, an object
 * is merged. Sorted. */
struct merge_row {
    const char *message;
    const char *field;
    struct mu_json_merge rule;
};
static const struct merge_row merges[] = {
    {"Container", "env", {true, "name", false, false}},
    {"Container", "ports", {true, "containerPort", false, false}},
    {"Container", "volumeDevices", {true, "devicePath", false, false}},
    {"Container", "volumeMounts", {true, "mountPath", false, false}},
    {"ContainerStatus", "allocatedResourcesStatus", {true, "name", false, false}},
    {"ContainerStatus", "volumeMounts", {true, "mountPath", false, false}},
    {"EphemeralContainerCommon", "env", {true, "name", false, false}},
    {"EphemeralContainerCommon", "ports", {true, "containerPort", false, false}},
    {"EphemeralContainerCommon", "volumeDevices", {true, "devicePath", false, false}},
    {"EphemeralContainerCommon", "volumeMounts", {true, "mountPath", false, false}},
    {"NamespaceStatus", "conditions", {true, "type", false, false}},
    {"NodeAllocatableResourceClaimStatus", "mapping", {true, "name", false, false}},
    {"NodeAllocatableResourceClaimStatus", "overhead", {true, "name", false, false}},
    {"NodeSpec", "podCIDRs", {true, NULL, false, false}},
    {"NodeStatus", "addresses", {true, "type", false, false}},
    {"NodeStatus", "conditions", {true, "type", false, false}},
    {"ObjectMeta", "finalizers", {true, NULL, false, false}},
    {"ObjectMeta", "ownerReferences", {true, "uid", false, false}},
    {"PodDisruptionBudgetSpec", "selector", {false, NULL, false, true}},
    {"PodDisruptionBudgetStatus", "conditions", {true, "type", false, false}},
    {"PodSpec", "containers", {true, "name", false, false}},
    {"PodSpec", "ephemeralContainers", {true, "name", false, false}},
    {"PodSpec", "evictionResponders", {true, "name", false, false}},
    {"PodSpec", "hostAliases", {true, "ip", false, false}},
    {"PodSpec", "imagePullSecrets", {true, "name", false, false}},
    {"PodSpec", "initContainers", {true, "name", false, false}},
    {"PodSpec", "resourceClaims", {true, "name", true, false}},
    {"PodSpec", "schedulingGates", {true, "name", false, false}},
    {"PodSpec", "topologySpreadConstraints", {true, "topologyKey", false, false}},
    {"PodSpec", "volumes", {true, "name", true, false}},
    {"PodStatus", "conditions", {true, "type", false, false}},
    {"PodStatus", "hostIPs", {true, "ip", false, false}},
    {"PodStatus",
     "nodeAllocatableResourceClaimStatuses",
     {true, "resourceClaimName", false, false}},
    {"PodStatus", "podIPs", {true, "ip", false, false}},
    {"PodStatus", "resourceClaimStatuses", {true, "name", true, false}},
    {"PodVolumeHealth", "healthConditions", {true, "status", false, false}},
    {"ServiceAccount", "secrets", {true, "name", false, false}},
    {"gang.CompositePodGroupStatus", "conditions", {true, "type", false, false}},
    {"gang.PodGroupSpec", "resourceClaims", {true, "name", true, false}},
    {"gang.PodGroupStatus", "conditions", {true, "type", false, false}},
    {"gang.PodGroupStatus", "resourceClaimStatuses", {true, "name", true, false}},
    {"gang.PodGroupTemplate", "resourceClaims", {true, "name", true, false}},
};

/* ---- names -------------------------------------------------------------------------------- */

/* The package of the trimmed messages. */
static const char trimmed_package[] = "kube";

/* "kubeapi.gang.PodGroup" is "gang.PodGroup". */
static const char *name_of(const ProtobufCMessageDescriptor *type)
{
    const char *dot = strchr(type->name, '.');
    return dot == NULL ? type->name : dot + 1;
}

/* Custom resources are stored as they came: what is set is printed. */
static bool is_custom(const ProtobufCMessageDescriptor *type)
{
    static const char *const packages[] = {"kubeapi.coscheduling", "kubeapi.volcano", "kubeapi.kai",
                                           "kubeapi.godel"};
    for (size_t i = 0; i < sizeof packages / sizeof packages[0]; i++)
        if (strcmp(type->package_name, packages[i]) == 0)
            return true;
    return false;
}

/* ---- lookup ------------------------------------------------------------------------------- */

/* What is known of one message. */
struct facts {
    const ProtobufCMessageDescriptor *type;
    enum mu_json_shape shape;
    const char *inline_as; /* in a field of this name it is inlined; NULL: nowhere */
    struct mu_json_presence presence;
};

static int presence_order(const void *key, const void *row)
{
    return strcmp(key, ((const struct presence_row *)row)->message);
}

static void find_shape(struct facts *facts)
{
    static const struct {
        const char *name;
        enum mu_json_shape shape;
        const char *inline_as;
    } shapes[] = {
        {"Quantity", MU_JSON_QUANTITY, NULL},
        {"Time", MU_JSON_TIME, NULL},
        {"MicroTime", MU_JSON_MICRO_TIME, NULL},
        {"IntOrString", MU_JSON_INT_OR_STRING, NULL},
        {"FieldsV1", MU_JSON_RAW, NULL},
        {"RawExtension", MU_JSON_RAW, NULL},
        {"ExtraValue", MU_JSON_LIST, NULL},
        {"StringEntry", MU_JSON_ENTRY, NULL},
        {"QuantityEntry", MU_JSON_ENTRY, NULL},
        {"BytesEntry", MU_JSON_ENTRY, NULL},
        {"TimeEntry", MU_JSON_ENTRY, NULL},
        {"Int32Entry", MU_JSON_ENTRY, NULL},
        {"ExtraValueEntry", MU_JSON_ENTRY, NULL},
        {"VolumeSource", MU_JSON_OBJECT, "volumeSource"},
        {"ProbeHandler", MU_JSON_OBJECT, "handler"},
        {"EphemeralContainerCommon", MU_JSON_OBJECT, "ephemeralContainerCommon"},
        {"LocalObjectReference", MU_JSON_OBJECT, "localObjectReference"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (strcmp(facts->type->short_name, shapes[i].name) == 0) {
            facts->shape = shapes[i].shape;
            facts->inline_as = shapes[i].inline_as;
        }
    }
}

static void find_presence(struct facts *facts)
{
    bool trimmed = strcmp(facts->type->package_name, trimmed_package) == 0;
    if (trimmed || is_custom(facts->type)) {
        facts->presence =
            (struct mu_json_presence){.pointer = UINT64_MAX, .no_empty_text = trimmed};
        return;
    }
    const struct presence_row *row =
        bsearch(name_of(facts->type), presences, sizeof presences / sizeof presences[0],
                sizeof presences[0], presence_order);
    if (row != NULL)
        facts->presence = (struct mu_json_presence){.always = row->always, .pointer = row->pointer};
}

/* The facts of a message, remembered per thread: they are the same whenever they are looked up, and
 * objects of one kind have the same few dozen messages. */
static const struct facts *facts_of(const ProtobufCMessageDescriptor *type)
{
    enum { SLOTS = 256 };
    static _Thread_local struct facts slots[SLOTS];
    struct facts *slot = &slots[((uintptr_t)type >> 4 ^ (uintptr_t)type >> 11) % SLOTS];
    if (slot->type != type) {
        *slot = (struct facts){.type = type};
        find_shape(slot);
        find_presence(slot);
    }
    return slot;
}

enum mu_json_shape mu_json_shape_of(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return MU_JSON_OBJECT;
    const struct facts *facts = facts_of(field->descriptor);
    bool is_inline = facts->inline_as != NULL && strcmp(facts->inline_as, field->name) == 0;
    return is_inline ? MU_JSON_INLINE : facts->shape;
}

struct mu_json_presence mu_json_presence_of(const ProtobufCMessageDescriptor *type)
{
    return facts_of(type)->presence;
}

struct merge_key {
    const char *message, *field;
};

static int merge_order(const void *key, const void *row)
{
    const struct merge_key *k = key;
    const struct merge_row *r = row;
    int order = strcmp(k->message, r->message);
    return order != 0 ? order : strcmp(k->field, r->field);
}

struct mu_json_merge mu_json_merge_of(const ProtobufCMessageDescriptor *type, const char *field)
{
    struct merge_key key = {name_of(type), field};
    const struct merge_row *row =
        bsearch(&key, merges, sizeof merges / sizeof merges[0], sizeof merges[0], merge_order);
    return row != NULL ? row->rule : (struct mu_json_merge){.merge = false};
}
