#ifndef MU_TOOLS_KUBESIM_KINDS_H
#define MU_TOOLS_KUBESIM_KINDS_H
/*
 * The kinds that the server knows: rows of one table. A new kind is a row here, its messages in
 * tools/kubesim/schema, and hooks where it has rules of its own.
 */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/str.h"

enum mu_kind_ix {
    MU_KIND_PODS,
    MU_KIND_NODES,
    MU_KIND_NAMESPACES,
    MU_KIND_PRIORITYCLASSES,
    MU_KIND_CONFIGMAPS,
    MU_KIND_EVENTS,
    MU_KIND_LEASES,
    MU_KIND_SERVICEACCOUNTS,
    MU_KIND_DISRUPTIONBUDGETS,
    MU_KIND_WORKLOADS,
    MU_KIND_PODGROUPS,
    MU_KIND_COMPOSITEPODGROUPS,
    MU_KIND_COSCHEDULING_PODGROUPS,
    MU_KIND_VOLCANO_PODGROUPS,
    MU_KIND_KAI_PODGROUPS,
    MU_KIND_GODEL_PODGROUPS,
    MU_KIND_WORKLOADS_135,
    MU_KIND_PODGROUPS_136,
    MU_KIND_SELFSUBJECTACCESSREVIEWS,
    MU_KIND_SUBJECTACCESSREVIEWS,
    MU_KIND_LOCALSUBJECTACCESSREVIEWS,
    MU_KIND_SELFSUBJECTRULESREVIEWS,
    MU_KIND_TOKENREVIEWS,
    MU_KIND_SELFSUBJECTREVIEWS,
    MU_KIND_COUNT
};
_Static_assert(MU_KIND_COUNT <= 32, "sets of kinds are 32 bits");

struct mu_call; /* tools/kubesim/api_priv.h */

/* A field that field selectors may name: where it is on the wire. metadata.name and
 * metadata.namespace are selectable on every kind and not listed. */
struct mu_kind_field {
    const char *name;
    uint32_t path[2]; /* field numbers; the second 0: a field of the object itself */
    bool is_bool;
};

/* Hooks answer the call with an error and return non-zero, or return 0. Messages are of the kind's
 * type and live in the call's arena. */
typedef int (*mu_kind_create_fn)(struct mu_call *call, ProtobufCMessage *fresh);
typedef int (*mu_kind_update_fn)(struct mu_call *call, const ProtobufCMessage *before,
                                 ProtobufCMessage *after);

/* Top-level field numbers of a served form whose message is not the stored one: events.k8s.io names
 * and numbers the fields of an Event anew. A bijection, so the bytes of the fields travel as they
 * are. */
struct mu_renumber {
    uint32_t stored, served;
};

/* A further group and version under which a kind's objects are served. One store: an object written
 * through one is read through all. */
struct mu_kind_api {
    const char *group;
    const char *version;
    const char *api_version;
    const ProtobufCMessageDescriptor *schema; /* NULL: the kind's */
    const struct mu_renumber *renumber;       /* ends with {0, 0}; NULL: the same numbers */
};

/* A subresource that is written with POST (binding, eviction, token). `status` has a flag of its
 * own. */
struct mu_kind_sub {
    const char *name;
    const char *group, *version, *kind; /* of its body */
    int (*post)(struct mu_call *call);  /* answers the call */
};

struct mu_kind {
    const char *group; /* "" for core */
    const char *version;
    const char *api_version; /* group/version as objects carry it */
    const char *kind;
    const char *list_kind;
    const char *plural;
    const char *singular;
    bool namespaced;
    bool has_status;     /* a status subresource: PUT of the object leaves status alone */
    bool has_generation; /* metadata.generation counts changes of spec */
    bool json_only;      /* a custom resource: no protobuf (406, 415), no strategic patches */
    bool no_update;      /* only created (access reviews): never stored */
    const char *const *short_names; /* ends with NULL; NULL: none */
    const struct mu_kind_api *apis; /* beside group and version; ends with group NULL; or NULL */
    const struct mu_kind_sub *subs; /* ends with name NULL; or NULL */
    bool in_all;                    /* of the category that `kubectl get all` lists */
    /* What the rules of this kind read and write: its .proto of informer/, or the schema. */
    const ProtobufCMessageDescriptor *descriptor;
    /* All that the API has, for JSON and YAML (tools/kubesim/schema); NULL: as descriptor. */
    const ProtobufCMessageDescriptor *schema;
    const struct mu_kind_field *fields; /* ends with name NULL */
    /* Append an object as clients see it (tools/kubesim/shown.h); NULL: as it is stored. */
    int (*show)(struct mu_str raw, struct mu_buf *out);
    mu_kind_create_fn create; /* defaults, admission and validation; may be NULL */
    mu_kind_update_fn update; /* what may change; may be NULL */
};

extern const struct mu_kind mu_kinds[MU_KIND_COUNT];

/* A resource as messages name it: "pods", "poddisruptionbudgets.policy". */
#define MU_KIND_FORMAT     "%s%s%s"
#define MU_KIND_ARGS(kind) (kind)->plural, (kind)->group[0] != '\0' ? "." : "", (kind)->group

static inline const ProtobufCMessageDescriptor *mu_kind_schema(const struct mu_kind *kind)
{
    return kind->schema != NULL ? kind->schema : kind->descriptor;
}

/* The row of a group, version and plural, or MU_KIND_COUNT. *api: by which of its further group
 * versions it was named, NULL: by its own. */
enum mu_kind_ix mu_kind_find(struct mu_str group, struct mu_str version, struct mu_str plural,
                             const struct mu_kind_api **api);
/* The subresource of that name, or NULL. */
const struct mu_kind_sub *mu_kind_sub_find(const struct mu_kind *kind, struct mu_str name);
/* By plural alone ("pods"), or MU_KIND_COUNT. */
enum mu_kind_ix mu_kind_by_plural(const char *plural);

#endif
