#ifndef MU_ENGINE_LIMITS_H
#define MU_ENGINE_LIMITS_H
/*
 * Every bound of the engine, in one place. Reaching one is a reported condition (MU_ELIMIT with the
 * object named), never a crash. Relations between bounds are asserted at the end.
 */
#define MU_NODES_MAX           (1u << 21) /* node rows, holes included */
#define MU_PODS_MAX            (1u << 24)
#define MU_GANGS_MAX           (1u << 23)
#define MU_GANG_MEMBERS_MAX    (1u << 14)
#define MU_SUBGROUPS_MAX       64u
#define MU_CLAIMS_MAX          MU_GANGS_MAX /* different things that pods state about gangs */
#define MU_CLASSES_MAX         (1u << 20)
#define MU_LABEL_SETS_MAX      (1u << 20)
#define MU_TAINT_SETS_MAX      (1u << 16)
#define MU_CAPACITIES_MAX      MU_NODES_MAX /* distinct allocatable vectors: memory varies by KiB */
#define MU_SYMBOLS_MAX         (1u << 24)
#define MU_RESOURCES_MAX       32u /* cpu, memory, ephemeral-storage, pods; others; 2 of padding */
#define MU_LABELS_PER_OBJECT   1024u
#define MU_TAINTS_PER_NODE     256u
#define MU_TOLERATIONS_PER_POD 256u
#define MU_KINS_MAX            MU_PODS_MAX /* distinct (namespace, labels) of pods */
#define MU_NAMESPACES_MAX      (1u << 20)
#define MU_AFFINITIES_MAX      (1u << 20)
#define MU_TOLERANCES_MAX      (1u << 18)
#define MU_MATCHERS_MAX        (1u << 16)
#define MU_CENSUSES_MAX        (1u << 16)
#define MU_CENSUS_CELLS_MAX                                                                        \
    (UINT64_C(1) << 30)              /* domains of all censuses together: beyond it none is begun */
#define MU_FIELDS_MAX          1024u /* distinct sets of eligible nodes under spread */
#define MU_MATCHES_MAX         (1u << 24) /* (kin, matcher) pairs that match */
#define MU_TOPOLOGIES_MAX      64u        /* distinct topology keys in use */
#define MU_SELECTOR_TERMS_MAX  1024u      /* of one pod: node terms; pod terms; spreads */
#define MU_REQUIREMENTS_MAX    1024u      /* of one pod, over all its selectors */
#define MU_VALUES_MAX          4096u      /* of one pod, over all its requirements */
#define MU_PORTS_PER_POD       256u
#define MU_IMAGES_PER_POD      64u
#define MU_IMAGES_PER_NODE     256u
#define MU_IMAGE_SETS_MAX      MU_NODES_MAX /* lists of images that differ */
#define MU_DEVICES_PER_NODE    16u
#define MU_TYPICAL_MAX         32u   /* requests for devices by which fragmentation is judged */
#define MU_NOMINATIONS_MAX     1024u /* pods that wait for their own node; more are not heeded */
#define MU_REPLICAS_MAX        64u
#define MU_STRING_BYTES_MAX    (1u << 18) /* one label value or annotation: 256 KiB */
#define MU_NAME_BYTES_MAX      253u       /* Kubernetes object names */
#define MU_GANG_NAME_BYTES_MAX 1024u      /* some dialects name a gang by several names */
#define MU_UID_BYTES_MAX       128u
/* An image's name: 255 bytes of repository, 128 of tag, 71 of digest, and what joins them. */
#define MU_IMAGE_NAME_BYTES_MAX 512u
#define MU_IMAGE_BYTES_MAX      (INT64_C(1) << 50)
/* Rows copied by one writer step of a snapshot sync: well below 1 ms of work. */
#define MU_SYNC_ROWS_PER_STEP 8192u
/* Rows that a snapshot lists as changed since the one before; beyond it, all count as changed. */
#define MU_STATIC_CHANGED_MAX 4096u
#define MU_FREE_CHANGED_MAX   16384u
/* Pods on one node among which victims are looked for; on a node with more nobody is one. */
#define MU_OCCUPANTS_MAX (1u << 14)
/* Disruption budgets; names of pods whose disruption they know of, all together: others count as
 * not disrupted yet. */
#define MU_BUDGETS_MAX   (1u << 14)
#define MU_DISRUPTED_MAX 4096u
/* Steps of looking for victims, each about a pod that leaves or a member that is placed: of one
 * search, beyond a first answer; and of a run, beyond which no other search is begun, once for
 * gangs in the order of the queue, and once more for those that went without before. About 20 and
 * 200 ms. */
#define MU_PREEMPT_SEARCH_STEPS (1u << 18)
#define MU_PREEMPT_RUN_STEPS    (1u << 21)
/* Syncs after the last one that could preempt: so long is kept what is known of who is where. */
#define MU_OCCUPANTS_IDLE_MAX 256u
/* Topology keys in use beyond which only a required rule gets another one: preferences cannot use
 * them up. */
#define MU_TOPOLOGIES_PREFERRED 48u
/* Numbers of resources that only nodes may take: names made up in pods cannot keep devices out. */
#define MU_RESOURCES_FOR_NODES     12u
#define MU_RESOURCE_NAME_BYTES_MAX 317u /* qualified name: 253 + '/' + 63 */
#define MU_REQUESTS_PER_POD        64u

_Static_assert(MU_GANG_MEMBERS_MAX <= MU_PODS_MAX, "a gang fits the pod table");
_Static_assert(MU_NODES_MAX <= (1u << 31), "indexes stay below the 32-bit sentinel");
_Static_assert(MU_RESOURCES_FOR_NODES + 4 < MU_RESOURCES_MAX, "pods can name resources too");
_Static_assert(MU_PREEMPT_SEARCH_STEPS <= MU_PREEMPT_RUN_STEPS, "a run has room for a search");
_Static_assert(MU_TOPOLOGIES_PREFERRED < MU_TOPOLOGIES_MAX, "some keys are for required rules");
_Static_assert(MU_RESOURCES_MAX <= 64, "a resource set is one 64-bit word");

#endif
