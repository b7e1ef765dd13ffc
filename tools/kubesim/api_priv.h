#ifndef MU_TOOLS_KUBESIM_API_PRIV_H
#define MU_TOOLS_KUBESIM_API_PRIV_H
/*
 * Inside the API server: the state of the server and of one call.
 *
 * A call is routed (apiserver.c), its parameters are read, and one of the verbs answers it (list.c,
 * watch.c, write.c, delete.c) with the kind's hooks (hooks.c, pods.c, objects.c, groups.c,
 * events.c). Every function that returns int and takes a call has either returned 0 or filled the
 * response with a Status and returned non-zero. Decoded messages live in the server's arena until
 * the call is over.
 */
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include "informer/proto/core.pb-c.h"
#include "informer/proto/meta.pb-c.h"
#include "informer/proto/policy.pb-c.h"
#include "informer/proto/scheduling.pb-c.h"
#include "tools/kubesim/apiserver.h"
#include "tools/kubesim/authn.h"
#include "tools/kubesim/kinds.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/negotiate.h"
#include "tools/kubesim/query.h"
#include "tools/kubesim/selector.h"
#include "tools/kubesim/store.h"

/* What pod admission needs of the priority classes; rebuilt when they change. */
struct mu_priority_entry {
    struct mu_str name; /* inside `object` */
    struct mu_kobject *object;
    int32_t value;
    bool global_default, never;
};

struct mu_apiserver {
    struct mu_apiserver_config config;
    struct mu_store *store;
    uint32_t hidden; /* kinds that are not served: bit 1 << enum mu_kind_ix */
    struct mu_random random;
    struct mu_arena *arena;      /* of the call in hand */
    struct mu_arena *item_arena; /* of one object that is translated to JSON */
    bool arena_full;             /* an allocation from `arena` failed */
    struct mu_buf items;         /* scratch: a list's items */
    struct mu_api_watch *watches[MU_KIND_COUNT];
    uint32_t watch_count;
    void (*wake)(void *context, void *user);
    void *wake_context;
    struct mu_priority_entry *priorities;
    uint32_t priority_count, priority_cap;
    uint64_t priority_head; /* position in the kind's history that they show; UINT64_MAX: none */
    struct mu_buf shown;    /* scratch: an object as it is shown */
    struct mu_tokens tokens;
    struct mu_secret admin_token; /* what config.admin_token shows */
    uint64_t events_swept_ns;     /* when old events were last looked for */
};

/* What a path names. Views live in the arena. */
struct mu_route {
    enum mu_kind_ix kind;
    const struct mu_kind_api *api; /* the group and version that was named; NULL: the kind's own */
    struct mu_str ns;              /* empty: all, or a kind without namespaces */
    struct mu_str name;            /* empty: the collection */
    struct mu_str sub;             /* "", "status", or one of the kind's subs */
};

/* A request's path, split and decoded. */
struct mu_api_path {
    uint32_t count;
    struct mu_str segments[MU_KUBESIM_SEGMENTS_MAX];
};
bool mu_api_path_is(const struct mu_api_path *path, uint32_t at, const char *segment);

struct mu_call {
    struct mu_apiserver *server;
    const struct mu_api_request *request;
    struct mu_api_response *response;
    uint64_t now_ns;
    struct mu_api_form form; /* of the answer */
    struct mu_route route;
    struct mu_query query;
    struct mu_user user;         /* who sent the request */
    bool dry_run;                /* everything but the change itself */
    struct mu_kobject *unstored; /* what a dry run would have stored: freed with the call */
};

/* ---- answers (status.c) ------------------------------------------------------------------- */

/* Read the form of the answer off the Accept header (enum mu_api_offer says what there is), or
 * answer 406 and return false. */
bool mu_api_accepts(struct mu_call *call, unsigned offers);
/* 406, in JSON. `why` may be empty. */
int mu_api_not_acceptable(struct mu_call *call, const char *why);
/* A failure Status. Its message is whole, or ends in "..." where memory is short. Always returns
 * MU_EINVAL. */
int mu_api_fail(struct mu_call *call, int http, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with a cause, and (above 0) seconds after which to try again. */
int mu_api_fail_cause(struct mu_call *call, int http, const char *reason, const char *cause,
                      const char *cause_message, int32_t retry_after_s, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
/* 404 and 409 for the object that the call names. */
int mu_api_not_found(struct mu_call *call);
int mu_api_conflict(struct mu_call *call, const char *why);
/* 404 for a path that nothing is served at; texts may be NULL. */
struct mu_api_unknown {
    const char *group, *resource, *name;
};
void mu_api_fail_unknown(struct mu_call *call, const struct mu_api_unknown *unknown);
/* 422 Invalid with the field as cause; as mu_api_no_room when an allocation of the call failed:
 * what is judged then may lack a part, and its client is not to blame. */
int mu_api_invalid(struct mu_call *call, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 504 with the cause that clients look for: a version that the server has not reached. */
int mu_api_too_large_version(struct mu_call *call, uint64_t version);
/* 500: out of memory, or what a MU_E code says. */
int mu_api_internal(struct mu_call *call, int code);
/* The arena gave nothing: 413 when the body has filled it up to its bound, else 500. No single
 * allocation takes half of the bound (elements take at most twice their bytes, and a body is
 * bounded), so an arena that is at most half full has not met it. */
int mu_api_no_room(struct mu_call *call);
int mu_api_success(struct mu_call *call, int http);
int mu_api_respond_object(struct mu_call *call, int http, const struct mu_kobject *object);
/* A message of any type in its envelope, or as JSON. */
int mu_api_respond_message(struct mu_call *call, int http, const char *api_version,
                           const char *kind, const ProtobufCMessage *message);
/* The encoded Status that an ERROR event carries. */
int mu_api_status_pack(struct mu_buf *out, int http, const char *reason, const char *message,
                       const char *cause);

/* ---- messages in the arena (message.c) ---------------------------------------------------- */

void *mu_api_alloc(struct mu_apiserver *server, size_t bytes);
char *mu_api_text(struct mu_apiserver *server, struct mu_str text);
/* Whole, however long; NULL: the arena is full. */
char *mu_api_print(struct mu_apiserver *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *mu_api_vprint(struct mu_apiserver *server, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* A zeroed, initialised message, or NULL. */
ProtobufCMessage *mu_api_new(struct mu_apiserver *server,
                             const ProtobufCMessageDescriptor *descriptor);
/* Decode, or NULL: malformed, or (server->arena_full) too large. */
ProtobufCMessage *mu_api_unpack(struct mu_apiserver *server,
                                const ProtobufCMessageDescriptor *descriptor, struct mu_str raw);
ProtobufCMessage *mu_api_unpack_in(struct mu_arena *arena,
                                   const ProtobufCMessageDescriptor *descriptor, struct mu_str raw);
/* Append an element to a repeated field whose array and count are given. MU_ENOMEM. */
int mu_api_push(struct mu_apiserver *server, void *array, size_t *count, void *element);
int mu_api_push_in(struct mu_arena *arena, void *array, size_t *count, void *element);
Kube__ObjectMeta *mu_api_meta(const ProtobufCMessage *message);
void mu_api_set_meta(ProtobufCMessage *message, Kube__ObjectMeta *meta);
/* The submessage in field `number`, NULL when absent; and the other way round. */
ProtobufCMessage *mu_api_part(const ProtobufCMessage *message, uint32_t number);
void mu_api_set_part(ProtobufCMessage *message, uint32_t number, ProtobufCMessage *part);
/* Seconds since 1970 at the call's time. */
Kube__Time *mu_api_time(struct mu_call *call, int64_t offset_s);
/* map<string,string> fields. */
struct mu_str mu_api_map_get(Kube__StringEntry *const *map, size_t count, const char *key);
int mu_api_map_set(struct mu_apiserver *server, Kube__StringEntry ***map, size_t *count,
                   struct mu_str key, struct mu_str value);
/* Decode the request's body into a message of `descriptor`, checking media type, apiVersion (any
 * of a NULL-terminated list) and kind. */
int mu_api_body(struct mu_call *call, const ProtobufCMessageDescriptor *descriptor,
                const char *const *api_versions, const char *kind, ProtobufCMessage **out);
/* Set a condition (by type) on a pod. reason and message may be NULL. */
int mu_api_set_condition(struct mu_call *call, Kube__PodStatus *status, const char *type,
                         const char *value, const char *reason, const char *message);

/* ---- verbs -------------------------------------------------------------------------------- */

/* Parameters of LIST and WATCH. */
enum mu_version_match { MU_MATCH_NONE, MU_MATCH_NOT_OLDER, MU_MATCH_EXACT };
struct mu_list_options {
    bool watch, bookmarks, has_version, has_initial, initial;
    uint64_t version;
    enum mu_version_match match;
    uint64_t limit;     /* 0: none */
    uint64_t timeout_s; /* 0: unset */
    struct mu_str continue_token;
    struct mu_selector *selector; /* owned: destroy or hand over */
};
int mu_api_list_options(struct mu_call *call, struct mu_list_options *out);
int mu_api_get(struct mu_call *call);
int mu_api_list(struct mu_call *call, struct mu_list_options *options);
int mu_api_watch(struct mu_call *call, struct mu_list_options *options);
int mu_api_create(struct mu_call *call);
int mu_api_update(struct mu_call *call);
int mu_api_patch(struct mu_call *call);
int mu_api_delete(struct mu_call *call);
int mu_api_delete_collection(struct mu_call *call, struct mu_list_options *options);
int mu_api_bind(struct mu_call *call);
int mu_api_evict(struct mu_call *call);
/* Answer a create of a kind that is never stored. */
int mu_api_review(struct mu_call *call);
int mu_api_token(struct mu_call *call);
/* Wake the watches of a kind. */
void mu_api_wake_watches(struct mu_apiserver *server, uint32_t kind);
/* End them, with 410. */
void mu_api_expire_watches(struct mu_apiserver *server, uint32_t kind);

/* Stamp message with the next version, encode and store it. *out (may be NULL) is borrowed. When
 * nothing but the version would change, nothing is stored: *out is the old object. */
int mu_api_store(struct mu_call *call, enum mu_kind_ix kind, ProtobufCMessage *message,
                 struct mu_kobject **out);
/* Remove an object; *out (may be NULL) is a reference to its last state. */
int mu_api_erase(struct mu_call *call, enum mu_kind_ix kind, const struct mu_kobject *object,
                 struct mu_kobject **out);

/* A fresh UID, or NULL. */
char *mu_api_uid(struct mu_apiserver *server);
/* The object that the call names, borrowed, and its decoded form. */
int mu_api_load(struct mu_call *call, struct mu_kobject **old, ProtobufCMessage **message);

/* What a delete was asked to do. */
struct mu_delete_options {
    int64_t grace_s; /* -1: the object's own */
    const Kube__Preconditions *preconditions;
};
/* From the body's options (may be NULL) and the query; sets call->dry_run. */
int mu_api_delete_options(struct mu_call *call, const Kube__DeleteOptions *from,
                          struct mu_delete_options *out);
int mu_api_check_preconditions(struct mu_call *call, const struct mu_kobject *object,
                               const Kube__Preconditions *want);
/* Delete the object (message: decoded, changed by this), or begin to. *out: a reference to it as it
 * now is, or (*gone) last was. */
int mu_api_remove_object(struct mu_call *call, struct mu_kobject *object, ProtobufCMessage *message,
                         int64_t asked_s, bool *gone, struct mu_kobject **out);

/* A call that no client made; its answer is dropped. Takes the arena over. */
struct mu_inside {
    struct mu_api_request request;
    struct mu_api_response response;
    struct mu_call call;
};
void mu_inside_begin(struct mu_inside *inside, struct mu_apiserver *server, enum mu_kind_ix kind,
                     struct mu_str ns, struct mu_str name, uint64_t now_ns);
void mu_inside_end(struct mu_inside *inside);

/* A change made by the cluster itself (kubelets), not by a request: decode the object, let `edit`
 * change it, store it. No rules are applied. edit returns 0, or non-zero to leave the object as it
 * is, which is returned. Errors: MU_ENOENT, MU_ENOMEM. */
typedef int (*mu_api_edit_fn)(void *context, struct mu_call *call, ProtobufCMessage *message);
int mu_api_edit(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                struct mu_str name, uint64_t now_ns, mu_api_edit_fn edit, void *context);
/* Delete as a request with this grace period (-1: the object's own) and UID would. Returns 0,
 * MU_ENOENT (no such object, another UID) or MU_ENOMEM. */
int mu_api_remove(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                  struct mu_str name, struct mu_str uid, int64_t grace_s, uint64_t now_ns);

/* ---- hooks of kinds ----------------------------------------------------------------------- */

int mu_api_validate_meta(struct mu_call *call, const struct mu_kind *kind,
                         const Kube__ObjectMeta *meta);
int mu_api_validate_quantities(struct mu_call *call, const char *field, size_t count,
                               Kube__QuantityEntry *const *entries);
int mu_pod_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_pod_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
/* Priority admission (hooks.c): class name to priority and preemption policy. */
int mu_pod_admit_priority(struct mu_call *call, Kube__Pod *pod);
int mu_pod_validate(struct mu_call *call, const Kube__Pod *pod);
int mu_node_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_node_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
int mu_namespace_create(struct mu_call *call, ProtobufCMessage *fresh);
/* 404 or 403 when nothing can be created in the call's namespace. */
int mu_namespace_check_create(struct mu_call *call);
int mu_namespace_check_delete(struct mu_call *call);
void mu_namespace_terminate(struct mu_call *call, Kube__Namespace *ns);
/* Make what every namespace has. Takes the arena over. */
void mu_namespace_populate(struct mu_apiserver *server, struct mu_str name, uint64_t now_ns);
bool mu_object_terminating(const struct mu_kobject *object);
int mu_priorityclass_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_priorityclass_update(struct mu_call *call, const ProtobufCMessage *before,
                            ProtobufCMessage *after);
int mu_configmap_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_configmap_update(struct mu_call *call, const ProtobufCMessage *before,
                        ProtobufCMessage *after);
int mu_lease_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_lease_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
int mu_budget_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_budget_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
int mu_native_workload_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_native_workload_update(struct mu_call *call, const ProtobufCMessage *before,
                              ProtobufCMessage *after);
int mu_podgroup_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_podgroup_update(struct mu_call *call, const ProtobufCMessage *before,
                       ProtobufCMessage *after);
int mu_composite_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_composite_update(struct mu_call *call, const ProtobufCMessage *before,
                        ProtobufCMessage *after);
int mu_coscheduling_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_coscheduling_update(struct mu_call *call, const ProtobufCMessage *before,
                           ProtobufCMessage *after);
int mu_volcano_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_volcano_update(struct mu_call *call, const ProtobufCMessage *before,
                      ProtobufCMessage *after);
int mu_kai_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_kai_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
int mu_godel_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_godel_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
int mu_workload135_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_podgroup136_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_podgroup136_update(struct mu_call *call, const ProtobufCMessage *before,
                          ProtobufCMessage *after);
int mu_event_create(struct mu_call *call, ProtobufCMessage *fresh);
int mu_event_update(struct mu_call *call, const ProtobufCMessage *before, ProtobufCMessage *after);
/* Remove events whose hour is over; looks at most once a minute. */
void mu_events_expire(struct mu_apiserver *server, uint64_t now_ns);
/* Of MU_KUBESIM_EVENTS_MAX events, remove the oldest eighth. */
void mu_events_make_room(struct mu_apiserver *server);
/* The object by its kind's full schema, for reading: a copy in the arena. NULL: answered. */
ProtobufCMessage *mu_api_full(struct mu_call *call, const ProtobufCMessage *message);
/* True when the two (NULL: absent) are the same bytes on the wire. */
bool mu_api_same_message(struct mu_apiserver *server, const ProtobufCMessage *a,
                         const ProtobufCMessage *b);
/* Bring the condition DisruptionAllowed of a budget in line with its status. MU_ENOMEM. */
int mu_budget_condition(struct mu_call *call, Kube__PodDisruptionBudget *budget);
int mu_api_validate_selector(struct mu_call *call, const char *field,
                             const Kube__LabelSelector *selector);

#endif
