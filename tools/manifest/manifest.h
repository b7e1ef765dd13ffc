#ifndef MU_TOOLS_MANIFEST_MANIFEST_H
#define MU_TOOLS_MANIFEST_MANIFEST_H
/*
 * Manifests as a cluster: files of YAML or JSON read into objects, and objects put into a cluster
 * DB as if an API server had taken them.
 *
 *   text ──cut──▶ pieces ──parse──▶ trees ──schema──▶ messages ──checks, defaults──▶ objects ──▶ DB
 *
 * Read are pods, nodes, namespaces, priority classes, disruption budgets and PodGroups; what else
 * is there is noted and skipped. An object that is wrong costs one line and is left out; the others
 * are read all the same.
 *
 * Objects are numbered in the order of the input. The number is the tail of the UID that an object
 * gets here, whatever it says itself: texts that are edited by hand repeat UIDs. A pod without a
 * creationTimestamp counts as created after all that have one.
 */
#include "engine/db/db.h"

struct mu_manifest; /* opaque; one thread */

/* Owns: caller. Errors: NULL (memory). */
struct mu_manifest *mu_manifest_create(void);
void mu_manifest_destroy(struct mu_manifest *manifest);

/* Called now and then while a text is read (bytes) and while objects are loaded. */
typedef void (*mu_manifest_progress_fn)(void *context, uint32_t done, uint32_t total);
void mu_manifest_set_progress(struct mu_manifest *manifest, mu_manifest_progress_fn progress,
                              void *context);

/* Read a text; `name` stands for it in complaints. Complaints are no errors: ask for them below.
 * Errors: MU_ENOMEM, MU_ELIMIT (limits.h; one more complaint). Cost: O(bytes). */
int mu_manifest_read(struct mu_manifest *manifest, const char *name, struct mu_str text);

/* All texts are read: settle what depends on several of them: priorities, and who names a group. */
void mu_manifest_resolve(struct mu_manifest *manifest);

/* What is wrong, one line each: `file:line: Kind ns/name: field: problem`, and what is to be known
 * beside (unknown fields, kinds that were skipped). Valid until the next call. */
uint32_t mu_manifest_error_count(const struct mu_manifest *manifest);
struct mu_str mu_manifest_errors(struct mu_manifest *manifest);
struct mu_str mu_manifest_notes(struct mu_manifest *manifest);

struct mu_manifest_counts {
    uint32_t nodes, pods, namespaces, priority_classes, budgets, groups, skipped;
};
void mu_manifest_counts(const struct mu_manifest *manifest, struct mu_manifest_counts *out);

/* A pod by name: its UID in the DB. False: there is none. */
bool mu_manifest_find(const struct mu_manifest *manifest, struct mu_str ns, struct mu_str name,
                      struct mu_uid *out);
/* Put everything, resolved, into an empty DB, at time now_ns. The pod `unbound` (may be zero) loses
 * its node: it is looked at as if it were still to be placed. Complaints are added where an object
 * cannot be taken. Errors: MU_ENOMEM. */
int mu_manifest_load(struct mu_manifest *manifest, struct mu_db *db, struct mu_uid unbound,
                     uint64_t now_ns);
/* What the pod that was loaded without its node was before: `node` is empty when it had none. Valid
 * as long as the manifest. */
struct mu_manifest_was {
    struct mu_str node;
    bool finished, deleted;
};
void mu_manifest_was(const struct mu_manifest *manifest, struct mu_manifest_was *out);
/* The pod is bound now: put it into the DB again as running on that node. Errors: MU_ENOMEM,
 * MU_ENOENT (not a pod from here). */
int mu_manifest_bind(struct mu_manifest *manifest, struct mu_db *db,
                     const struct mu_plan_bind *bind, uint64_t now_ns);

#endif
