#ifndef MU_TOOLS_KUBESIM_LIMITS_H
#define MU_TOOLS_KUBESIM_LIMITS_H
/*
 * Every bound of the embedded API server, in one place. Reaching one is answered with a Status that
 * names it, never with a crash.
 */
#include "engine/limits.h"

#define MU_KUBESIM_OBJECTS_MAX   (1u << 24) /* per kind */
#define MU_KUBESIM_CHUNK_OBJECTS 256u       /* leaf of the ordered map */
#define MU_KUBESIM_HISTORY       65536u     /* events kept per kind unless configured */
#define MU_KUBESIM_HISTORY_MAX   (1u << 24)
#define MU_KUBESIM_BODY_MAX      (3u << 20)     /* request body, as the real server */
#define MU_KUBESIM_OBJECT_MAX    (1536u * 1024) /* encoded object, as etcd's request limit */
#define MU_KUBESIM_DECODE_MAX    (64u << 20)    /* memory of one request's decoded objects */
#define MU_KUBESIM_RESPONSE_MAX  (256u << 20)   /* one page of a list */
#define MU_KUBESIM_WATCHES_MAX   65536u         /* open at once, all kinds */
#define MU_KUBESIM_SEGMENTS_MAX  8u             /* of a request path */
#define MU_KUBESIM_QUERY_BYTES   (64u << 10)    /* decoded query string */
#define MU_KUBESIM_REQUIREMENTS  256u           /* of one selector */
#define MU_KUBESIM_VALUES_MAX    1024u          /* of one selector's sets */
#define MU_KUBESIM_JSON_DEPTH    192u           /* of an answer that is turned into YAML */
#define MU_KUBESIM_PATCH_DEPTH   256u           /* of a patch, and of what a JSON patch makes */
#define MU_KUBESIM_PATCH_OPS     10000u         /* of one JSON patch, as the real server */
#define MU_KUBESIM_PATCH_COPIED  (3u << 20)     /* bytes of JSON that a JSON patch copies */
#define MU_KUBESIM_PATCH_VISITED (1u << 24)     /* values that a JSON patch walks over or shifts */
#define MU_KUBESIM_SCHEMAS_MAX   1024u          /* messages that one group version reaches */
#define MU_KUBESIM_EVENTS_MAX    65536u         /* Event objects; more push out the oldest */
#define MU_KUBESIM_CONFIGMAP_MAX (1u << 20)     /* data of a ConfigMap, as the real server */
#define MU_KUBESIM_TOKENS_MAX    4096u          /* of service accounts, at once */
#define MU_KUBESIM_AUDIENCES_MAX 8u             /* of one token */
#define MU_KUBESIM_DISRUPTED_MAX 2000u          /* pods in a budget's disruptedPods, as there */
#define MU_KUBESIM_TIMERS_MAX    (1u << 25)     /* kubelets: two per pod at most */
#define MU_KUBESIM_IN_FLIGHT_MAX (1u << 22)     /* in-process front: deliveries under way */

_Static_assert(MU_KUBESIM_OBJECT_MAX <= MU_KUBESIM_BODY_MAX, "an object arrives in one body");
_Static_assert(MU_KUBESIM_OBJECTS_MAX >= MU_PODS_MAX, "the store holds what the engine can");
_Static_assert(MU_KUBESIM_TIMERS_MAX >= 2 * MU_PODS_MAX, "each pod can start and end");

#endif
