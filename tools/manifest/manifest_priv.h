#ifndef MU_TOOLS_MANIFEST_MANIFEST_PRIV_H
#define MU_TOOLS_MANIFEST_MANIFEST_PRIV_H
/* Inside manifests: manifest.c (objects, complaints), read.c (texts in), load.c (into the DB),
 * budget.c (what disruption budgets allow). */
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/index.h"
#include "informer/codec.h"
#include "tools/manifest/group.h"
#include "tools/manifest/limits.h"
#include "tools/manifest/manifest.h"

enum mu_manifest_kind {
    MU_OBJECT_POD,
    MU_OBJECT_NODE,
    MU_OBJECT_NAMESPACE,
    MU_OBJECT_PRIORITY,
    MU_OBJECT_BUDGET,
    MU_OBJECT_GROUP /* + enum mu_gang_source: dialects have names of their own */
};
#define MU_OBJECT_KINDS (MU_OBJECT_GROUP + (unsigned)MU_GANG_SOURCES)

/* What an object says of preempting others. */
enum mu_manifest_policy { MU_POLICY_UNSAID, MU_POLICY_LOWER, MU_POLICY_NEVER };

/* Strings live in the manifest's store. */
struct mu_manifest_object {
    struct mu_str raw; /* encoded, with defaults; empty for priority classes and groups */
    struct mu_str ns, name;
    struct mu_str priority_class;            /* pods, groups; empty: none named */
    struct mu_str group;                     /* pods: the group object that it names; empty: none */
    const struct mu_group_object *described; /* groups: what it says but for the priority */
    uint64_t created_s;                      /* pods; 0: not said */
    int32_t priority;   /* pods, groups: what spec.priority says; priority classes: their value */
    bool has_priority;  /* pods, groups: it says something; priority classes: global default */
    uint8_t policy;     /* enum mu_manifest_policy; pods, groups, priority classes */
    uint8_t group_kind; /* pods: the kind of that object */
    uint8_t kind;       /* enum mu_manifest_kind */
    uint16_t file;
    uint32_t line;
};

struct mu_manifest_skipped {
    char kind[64];
    uint32_t count;
    uint32_t line; /* of the first */
    uint16_t file;
};

/* Pods that are sound and yet have no part: how many, and the first of them. */
struct mu_manifest_aside {
    uint32_t count, first;
};

struct mu_manifest {
    struct mu_arena *store;   /* objects */
    struct mu_arena *scratch; /* one object in the making */
    struct mu_manifest_object *objects;
    uint32_t object_count, object_cap;
    struct mu_index *by_name; /* kind, namespace, name */
    struct mu_str files[MU_MANIFEST_FILES_MAX];
    uint32_t file_count;
    uint32_t counts[MU_OBJECT_KINDS];
    uint64_t created_max_s;
    mu_manifest_progress_fn progress; /* may be NULL */
    void *progress_context;
    struct mu_buf errors, notes;
    uint32_t error_count, note_count;
    uint64_t searched_bytes; /* for the lines of complaints */
    struct mu_manifest_skipped skipped[MU_MANIFEST_KINDS_MAX];
    uint32_t skipped_kinds, skipped_count;
    struct mu_manifest_was was;              /* the pod that was loaded as one that waits */
    struct mu_manifest_aside others, astray; /* another scheduler's; on nodes that are not here */
    struct mu_str astray_node;               /* of the first */
};

/* Who is complained about. */
struct mu_manifest_place {
    uint16_t file;
    uint32_t line;
    struct mu_str kind, ns, name; /* empty: not known */
};
/* One line, made as by printf behind "file:line: Kind ns/name: "; control characters become '?'.
 * Cost: lines beyond MU_MANIFEST_LINES_MAX are counted only. */
void mu_manifest_error(struct mu_manifest *m, const struct mu_manifest_place *place,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));
void mu_manifest_note(struct mu_manifest *m, const struct mu_manifest_place *place,
                      const char *format, ...) __attribute__((format(printf, 3, 4)));
struct mu_manifest_place mu_manifest_place_of(const struct mu_manifest *m,
                                              const struct mu_manifest_object *object);
const char *mu_manifest_kind_name(enum mu_manifest_kind kind);

/* What the disruption controller would allow, as if it had looked at this DB, into which all pods
 * have been put: at most `pods` records. `wish` is sound. Errors: MU_ENOMEM, MU_ELIMIT.
 * Cost: O(pods). */
int mu_manifest_budget_allows(struct mu_db *db, uint32_t pods, const struct mu_budget_wish *wish,
                              struct mu_budget_object *budget);

/* The object of that name, or MU_INDEX_NONE. */
uint32_t mu_manifest_lookup(const struct mu_manifest *m, enum mu_manifest_kind kind,
                            struct mu_str ns, struct mu_str name);
/* Add an object, whose strings are copied. Errors: MU_ENOMEM, MU_ELIMIT; nothing was added. */
int mu_manifest_add(struct mu_manifest *m, const struct mu_manifest_object *object);
/* UIDs here: this number in hi, the object's number + 1 in lo. */
#define MU_MANIFEST_UID_HI UINT64_C(0x6d75737465724000)
/* As text: buf has MU_UID_BYTES_MAX + 1 bytes. */
struct mu_str mu_manifest_uid_text(uint32_t object, char *buf);

#endif
