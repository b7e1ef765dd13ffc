#ifndef MU_TOOLS_KUBESIM_STORE_H
#define MU_TOOLS_KUBESIM_STORE_H
/*
 * The object store: what etcd and the watch cache are to a real API server. Pure; no rules of any
 * kind live here, kinds are numbers.
 *
 * Each kind has
 *   an ordered map of its objects by (namespace, name): chunks of at most 256 references under one
 *   directory, so that a million objects cost 8 bytes each beside their own bytes, loading in
 *   order only appends, and a page of a list is a walk;
 *   a ring of its last changes, each with the object after and before it. A watch is a position in
 *   this ring; a list at an older version is the map with the newer changes undone.
 *
 * Invariants: versions come from one counter, each change takes the next; the ring of a kind holds
 * every change newer than its floor, in order; the map equals the result of all changes.
 */
#include "tools/kubesim/kobject.h"

struct mu_store; /* opaque; one thread */

/* history_events: kept per kind. Errors: NULL. */
struct mu_store *mu_store_create(uint32_t kind_count, uint32_t history_events);
void mu_store_destroy(struct mu_store *store);

/* The newest version given out; never 0. The next change takes this + 1. */
uint64_t mu_store_version(const struct mu_store *store);
uint32_t mu_store_count(const struct mu_store *store, uint32_t kind);

/* Borrowed until the next change, or NULL. Cost: O(log count). */
struct mu_kobject *mu_store_get(const struct mu_store *store, uint32_t kind, struct mu_str ns,
                                struct mu_str name);
/* Add or replace the object of that key. object->version is the next version. Takes the reference
 * on success. Errors: MU_ENOMEM, MU_ELIMIT; nothing changed. */
int mu_store_put(struct mu_store *store, uint32_t kind, struct mu_kobject *object);
/* Remove the object with the key of `last`, which is its last content at the next version: what
 * watches are shown. Asserts that it exists. Takes the reference on success. Errors: as above. */
int mu_store_remove(struct mu_store *store, uint32_t kind, struct mu_kobject *last);

struct mu_store_event {
    struct mu_kobject *object; /* after; for a removal the last content at the new version */
    struct mu_kobject *before; /* NULL: added */
    bool removed;
};
/* Position behind the newest change of a kind. */
uint64_t mu_store_head(const struct mu_store *store, uint32_t kind);
/* Position of the first change newer than version. MU_EEXPIRED when one of them is forgotten. */
int mu_store_seek(const struct mu_store *store, uint32_t kind, uint64_t version, uint64_t *at);
/* The change at a position: 1, 0 at the head, MU_EEXPIRED. Borrowed until the next change. */
int mu_store_read(const struct mu_store *store, uint32_t kind, uint64_t at,
                  struct mu_store_event *out);
/* Oldest version whose successors are all known. */
uint64_t mu_store_floor(const struct mu_store *store, uint32_t kind);
/* Forget all changes up to now. */
void mu_store_compact(struct mu_store *store);

/* Where a walk begins and ends. */
struct mu_store_range {
    struct mu_str ns; /* only this namespace; data NULL: all */
    bool resume;      /* begin behind (after_ns, after_name) */
    struct mu_str after_ns, after_name;
    uint64_t version; /* state as of this version; 0: now */
};
typedef int (*mu_store_visit_fn)(void *context, struct mu_kobject *object);
/* Visit objects in key order until visit returns non-zero, which is returned. The store must not
 * change meanwhile. Errors: MU_EEXPIRED, MU_ENOMEM. Cost: O(log count + visited + d log d), d the
 * changes since the version. */
int mu_store_walk(const struct mu_store *store, uint32_t kind, const struct mu_store_range *range,
                  mu_store_visit_fn visit, void *context);

/* Called after each change of a kind. */
void mu_store_on_change(struct mu_store *store, void (*changed)(void *context, uint32_t kind),
                        void *context);

#endif
