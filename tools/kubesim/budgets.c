/*
 * Counts per budget: pods selected, and those of them that are ready and not terminating. A pod's
 * change comes with the pod before and after it, so counts move by differences; a budget that is
 * new, or whose spec changed, is counted once from the store. A history that was shorter than what
 * was missed means counting everything anew.
 *
 * Invariant after each run: for every budget, its counts equal those of the store.
 *
 * Differences to the real controller: the number of expected pods is the number of those selected,
 * since there are no controllers here whose scale could be asked for. What holds as there: pods in
 * disruptedPods do not count as healthy until they are gone, or for two minutes when they stay.
 */
#include "tools/kubesim/budgets.h"

#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/proto/policy.pb-c.h"
#include "tools/kubesim/api_priv.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/wire.h"

#define DISRUPTED_S INT64_C(120)

struct record {
    struct mu_kobject *object; /* newest seen, a reference */
    int64_t pods, ready;
    uint64_t recheck_ns; /* a disrupted pod's time is over then; UINT64_MAX: none */
    bool dirty;          /* the status may have to change */
    bool uncounted;      /* the counts are void */
};

struct mu_budgets {
    struct mu_apiserver *server;
    struct record *records; /* in key order */
    uint32_t count, cap;
    uint64_t pods_at, budgets_at; /* positions in the server's history */
    bool lost;                    /* the positions are void */
    uint64_t retry_ns;            /* when to, after running out of memory */
    uint64_t recheck_ns;          /* the earliest of the records' */
};

/* ---- matching ----------------------------------------------------------------------------- */

enum { META = 1, META_LABELS = 11, META_DELETED = 9 };

static bool has_value(struct mu_str requirement, struct mu_str value)
{
    struct mu_pb_field field;
    while (mu_pb_next(&requirement, &field) == 1) {
        if (field.number == 3 && field.is_bytes && mu_str_equal(field.bytes, value)) {
            return true;
        }
    }
    return false;
}

static bool meets(struct mu_str requirement, struct mu_str meta)
{
    struct mu_str value = {NULL, 0};
    struct mu_str op = mu_pb_bytes(requirement, 2, 0);
    bool present = mu_pb_map_get(meta, META_LABELS, mu_pb_bytes(requirement, 1, 0), &value);
    if (mu_str_equal(op, MU_STR("In"))) {
        return present && has_value(requirement, value);
    }
    if (mu_str_equal(op, MU_STR("NotIn"))) {
        return !present || !has_value(requirement, value);
    }
    return mu_str_equal(op, MU_STR("Exists"))
               ? present
               : mu_str_equal(op, MU_STR("DoesNotExist")) && !present;
}

/* An encoded LabelSelector against an object's labels. */
static bool selector_matches(struct mu_str selector, struct mu_str meta)
{
    struct mu_pb_field field;
    while (mu_pb_next(&selector, &field) == 1) {
        struct mu_str value = {NULL, 0};
        if (field.number == 1 && field.is_bytes &&
            !(mu_pb_map_get(meta, META_LABELS, mu_pb_bytes(field.bytes, 1, 0), &value) &&
              mu_str_equal(value, mu_pb_bytes(field.bytes, 2, 0)))) {
            return false;
        }
        if (field.number == 2 && field.is_bytes && !meets(field.bytes, meta)) {
            return false;
        }
    }
    return true;
}

bool mu_budget_selects(const struct mu_kobject *budget, const struct mu_kobject *pod)
{
    struct mu_pb_field selector;
    return mu_str_equal(mu_kobject_ns(budget), mu_kobject_ns(pod)) &&
           mu_pb_find(mu_pb_bytes(mu_kobject_raw(budget), 2, 0), 2, &selector) &&
           selector.is_bytes &&
           selector_matches(selector.bytes, mu_pb_bytes(mu_kobject_raw(pod), META, 0));
}

bool mu_pod_ready(const struct mu_kobject *pod)
{
    struct mu_str status = mu_pb_bytes(mu_kobject_raw(pod), 3, 0);
    struct mu_pb_field field;
    bool ready = false;
    while (mu_pb_next(&status, &field) == 1) {
        if (field.number == 2 && field.is_bytes &&
            mu_str_equal(mu_pb_bytes(field.bytes, 1, 0), MU_STR("Ready"))) {
            ready = mu_str_equal(mu_pb_bytes(field.bytes, 2, 0), MU_STR("True"));
        }
    }
    return ready;
}

static bool terminating(const struct mu_kobject *pod)
{
    struct mu_pb_field field;
    return mu_pb_find(mu_pb_bytes(mu_kobject_raw(pod), META, 0), META_DELETED, &field);
}

static bool healthy(const struct mu_kobject *pod)
{
    return !terminating(pod) && mu_pod_ready(pod);
}

/* ---- counting ----------------------------------------------------------------------------- */

static void count_pod(struct record *record, const struct mu_kobject *pod, int64_t by)
{
    if (pod != NULL && mu_budget_selects(record->object, pod)) {
        record->pods += by;
        record->ready += healthy(pod) ? by : 0;
        record->dirty = true;
    }
}

static int add_pod(void *context, struct mu_kobject *pod)
{
    count_pod(context, pod, 1);
    return 0;
}

static void recount(struct mu_budgets *b, struct record *record)
{
    struct mu_store_range range = {.ns = mu_kobject_ns(record->object)};
    record->pods = record->ready = 0;
    (void)mu_store_walk(b->server->store, MU_KIND_PODS, &range, add_pod, record);
    record->uncounted = false;
    record->dirty = true;
}

static int compare(const struct record *record, struct mu_str ns, struct mu_str name)
{
    int order = mu_str_compare(mu_kobject_ns(record->object), ns);
    return order != 0 ? order : mu_str_compare(mu_kobject_name(record->object), name);
}

/* The first record at or behind the key. */
static uint32_t lower_bound(const struct mu_budgets *b, struct mu_str ns, struct mu_str name)
{
    uint32_t low = 0;
    uint32_t high = b->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(&b->records[middle], ns, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void see_pod(struct mu_budgets *b, const struct mu_store_event *event)
{
    struct mu_str ns = mu_kobject_ns(event->object);
    for (uint32_t i = lower_bound(b, ns, (struct mu_str){NULL, 0});
         i < b->count && mu_str_equal(mu_kobject_ns(b->records[i].object), ns); i++) {
        count_pod(&b->records[i], event->before, -1);
        count_pod(&b->records[i], event->removed ? NULL : event->object, 1);
    }
}

static void drop_record(struct mu_budgets *b, uint32_t at)
{
    mu_kobject_unref(b->records[at].object);
    b->count--;
    memmove(&b->records[at], &b->records[at + 1], (b->count - at) * sizeof b->records[0]);
}

static int see_budget(struct mu_budgets *b, struct mu_kobject *object, bool removed)
{
    uint32_t at = lower_bound(b, mu_kobject_ns(object), mu_kobject_name(object));
    bool known = at < b->count &&
                 compare(&b->records[at], mu_kobject_ns(object), mu_kobject_name(object)) == 0;
    if (removed) {
        if (known) {
            drop_record(b, at);
        }
        return 0;
    }
    if (known) {
        struct record *record = &b->records[at];
        record->uncounted |= !mu_str_equal(mu_pb_bytes(mu_kobject_raw(record->object), 2, 0),
                                           mu_pb_bytes(mu_kobject_raw(object), 2, 0));
        record->dirty = true;
        mu_kobject_unref(record->object);
        record->object = mu_kobject_ref(object);
        return 0;
    }
    int code = mu_mem_grow((void **)&b->records, &b->cap, b->count + 1, MU_KUBESIM_OBJECTS_MAX,
                           sizeof b->records[0]);
    if (code != 0) {
        return code;
    }
    memmove(&b->records[at + 1], &b->records[at], (b->count - at) * sizeof b->records[0]);
    b->count++;
    b->records[at] = (struct record){.object = mu_kobject_ref(object),
                                     .recheck_ns = UINT64_MAX,
                                     .dirty = true,
                                     .uncounted = true};
    return 0;
}

/* ---- the status --------------------------------------------------------------------------- */

struct verdict {
    struct mu_budgets *budgets;
    struct record *record;
};

/* A bound in pods: percentages of the expected number are rounded up. */
static int64_t scaled(const Kube__IntOrString *bound, int64_t expected)
{
    if (bound->type == 0) {
        return bound->intval;
    }
    int64_t percent = 0;
    for (const char *c = bound->strval; c != NULL && *c >= '0' && *c <= '9' && percent <= 100;
         c++) {
        percent = percent * 10 + (*c - '0');
    }
    return (expected * percent + 99) / 100;
}

static int64_t desired_of(const Kube__PodDisruptionBudgetSpec *spec, int64_t expected)
{
    if (spec != NULL && spec->maxunavailable != NULL) {
        int64_t desired = expected - scaled(spec->maxunavailable, expected);
        return desired > 0 ? desired : 0;
    }
    return spec != NULL && spec->minavailable != NULL ? scaled(spec->minavailable, expected) : 0;
}

/* Keep of disruptedPods what still says something; returns how many pods that count as ready in
 * the record it takes away. */
static int64_t settle_disrupted(struct mu_call *call, struct record *record,
                                Kube__PodDisruptionBudgetStatus *status)
{
    const struct mu_store *store = call->server->store;
    uint64_t wall_ns = call->server->config.wall_base_ns + call->now_ns;
    int64_t now_s = (int64_t)(wall_ns / MU_NS_PER_S);
    int64_t unready = 0;
    size_t kept = 0;
    record->recheck_ns = UINT64_MAX;
    for (size_t i = 0; i < status->n_disruptedpods; i++) {
        Kube__TimeEntry *entry = status->disruptedpods[i];
        const struct mu_kobject *pod =
            mu_store_get(store, MU_KIND_PODS, mu_kobject_ns(record->object), mu_str_of(entry->key));
        int64_t until_s = (entry->value == NULL ? 0 : entry->value->seconds) + DISRUPTED_S;
        if (pod == NULL || terminating(pod) || until_s <= now_s) {
            continue;
        }
        uint64_t due_ns = call->now_ns + (uint64_t)(until_s - now_s) * MU_NS_PER_S;
        record->recheck_ns = due_ns < record->recheck_ns ? due_ns : record->recheck_ns;
        unready += mu_budget_selects(record->object, pod) && healthy(pod);
        status->disruptedpods[kept++] = entry;
    }
    status->n_disruptedpods = kept;
    return unready;
}

int mu_budget_condition(struct mu_call *call, Kube__PodDisruptionBudget *budget)
{
    Kube__PodDisruptionBudgetStatus *status = budget->status;
    bool allowed = status->disruptionsallowed > 0;
    Kube__Condition *condition = NULL;
    for (size_t i = 0; i < status->n_conditions; i++) {
        const char *type = status->conditions[i]->type;
        if (type != NULL && strcmp(type, "DisruptionAllowed") == 0) {
            condition = status->conditions[i];
        }
    }
    if (condition == NULL) {
        condition = (Kube__Condition *)mu_api_new(call->server, &kube__condition__descriptor);
        if (mu_api_push(call->server, &status->conditions, &status->n_conditions, condition) != 0) {
            return MU_ENOMEM;
        }
    }
    const char *value = allowed ? "True" : "False";
    if (condition->status == NULL || strcmp(condition->status, value) != 0) {
        condition->lasttransitiontime = mu_api_time(call, 0);
    }
    condition->type = mu_api_text(call->server, MU_STR("DisruptionAllowed"));
    condition->status = mu_api_text(call->server, mu_str_of(value));
    condition->reason =
        mu_api_text(call->server, mu_str_of(allowed ? "SufficientPods" : "InsufficientPods"));
    condition->message = NULL;
    condition->has_observedgeneration = 1;
    condition->observedgeneration = budget->metadata->generation;
    return call->server->arena_full ? MU_ENOMEM : 0;
}

static int32_t clamped(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static int edit_status(void *context, struct mu_call *call, ProtobufCMessage *message)
{
    struct verdict *verdict = context;
    struct record *record = verdict->record;
    Kube__PodDisruptionBudget *budget = (Kube__PodDisruptionBudget *)message;
    if (budget->status == NULL) {
        budget->status = (Kube__PodDisruptionBudgetStatus *)mu_api_new(
            call->server, &kube__pod_disruption_budget_status__descriptor);
    }
    Kube__PodDisruptionBudgetStatus *status = budget->status;
    if (status == NULL) {
        return MU_ENOMEM;
    }
    int64_t current = record->ready - settle_disrupted(call, record, status);
    int64_t desired = desired_of(budget->spec, record->pods);
    int64_t allowed = record->pods > 0 && current > desired ? current - desired : 0;
    MU_ASSERT(record->pods >= record->ready && current >= 0);
    status->has_observedgeneration = status->has_disruptionsallowed = 1;
    status->has_currenthealthy = status->has_desiredhealthy = status->has_expectedpods = 1;
    status->observedgeneration = budget->metadata->generation;
    status->disruptionsallowed = clamped(allowed);
    status->currenthealthy = clamped(current);
    status->desiredhealthy = clamped(desired);
    status->expectedpods = clamped(record->pods);
    return mu_budget_condition(call, budget);
}

/* ---- running ------------------------------------------------------------------------------ */

static int resync_budget(void *context, struct mu_kobject *object)
{
    return see_budget(context, object, false);
}

static void read_all(struct mu_budgets *b, uint64_t now_ns)
{
    const struct mu_store *store = b->server->store;
    struct mu_store_range all = {.version = 0};
    while (b->count > 0) {
        drop_record(b, b->count - 1);
    }
    b->pods_at = mu_store_head(store, MU_KIND_PODS);
    b->budgets_at = mu_store_head(store, MU_KIND_DISRUPTIONBUDGETS);
    b->lost = mu_store_walk(store, MU_KIND_DISRUPTIONBUDGETS, &all, resync_budget, b) != 0;
    b->retry_ns = now_ns + MU_NS_PER_S;
}

/* Take in all changes: pods first, with the budgets that were there, then budgets, which are
 * counted from the store as it now is. */
static void catch_up(struct mu_budgets *b, uint64_t now_ns)
{
    const struct mu_store *store = b->server->store;
    struct mu_store_event event;
    int code = 0;
    if (b->count == 0) {
        b->pods_at = mu_store_head(store, MU_KIND_PODS);
    }
    while ((code = mu_store_read(store, MU_KIND_PODS, b->pods_at, &event)) == 1) {
        see_pod(b, &event);
        b->pods_at++;
    }
    while (code == 0 &&
           (code = mu_store_read(store, MU_KIND_DISRUPTIONBUDGETS, b->budgets_at, &event)) == 1) {
        code = see_budget(b, event.object, event.removed);
        b->budgets_at += code == 0;
    }
    if (code != 0) {
        b->lost = true;
        b->retry_ns = code == MU_EEXPIRED ? now_ns : now_ns + MU_NS_PER_S;
    }
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->records[i].uncounted) {
            recount(b, &b->records[i]);
        }
    }
}

void mu_budgets_run(struct mu_budgets *b, uint64_t now_ns)
{
    if (b->lost && now_ns < b->retry_ns) {
        return;
    }
    if (b->lost) {
        read_all(b, now_ns);
    }
    catch_up(b, now_ns);
    for (uint32_t i = 0; i < b->count; i++) {
        struct record *record = &b->records[i];
        if (!record->dirty && record->recheck_ns > now_ns) {
            continue;
        }
        struct verdict verdict = {b, record};
        int code = mu_api_edit(b->server, MU_KIND_DISRUPTIONBUDGETS, mu_kobject_ns(record->object),
                               mu_kobject_name(record->object), now_ns, edit_status, &verdict);
        if (code == MU_ENOMEM) {
            record->recheck_ns = now_ns + MU_NS_PER_S; /* tried again */
        }
    }
    catch_up(b, now_ns); /* our own writes: they change no counts */
    b->recheck_ns = UINT64_MAX;
    for (uint32_t i = 0; i < b->count; i++) {
        struct record *record = &b->records[i];
        record->dirty = false;
        b->recheck_ns = record->recheck_ns < b->recheck_ns ? record->recheck_ns : b->recheck_ns;
    }
}

uint64_t mu_budgets_next_ns(const struct mu_budgets *b)
{
    const struct mu_store *store = b->server->store;
    if (b->lost) {
        return b->retry_ns;
    }
    if (b->budgets_at != mu_store_head(store, MU_KIND_DISRUPTIONBUDGETS) ||
        (b->count > 0 && b->pods_at != mu_store_head(store, MU_KIND_PODS))) {
        return 0;
    }
    return b->count > 0 ? b->recheck_ns : UINT64_MAX;
}

struct mu_budgets *mu_budgets_create(struct mu_apiserver *server)
{
    struct mu_budgets *b = mu_mem_zalloc(sizeof *b);
    if (b != NULL) {
        b->server = server;
        b->lost = true; /* the first run reads what is there */
    }
    return b;
}

void mu_budgets_destroy(struct mu_budgets *b)
{
    if (b == NULL) {
        return;
    }
    while (b->count > 0) {
        drop_record(b, b->count - 1);
    }
    mu_mem_free(b->records);
    mu_mem_free(b);
}
