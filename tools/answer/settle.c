#include "tools/answer/settle.h"

#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tools/answer/words.h"
#include "tools/scheduler/report_priority.h"
#include "tools/scheduler/report_words.h"

struct settler {
    struct mu_db *db;
    const struct mu_settle_config *config;
    struct mu_arena *arena;
    struct mu_snapshot *snapshot;
    struct mu_session *session;
    uint64_t now_ns;
    struct mu_settled_binding *bindings;
    uint32_t binding_count, binding_cap;
    struct mu_settled_eviction *evictions;
    uint32_t eviction_count, eviction_cap;
    struct mu_settled_pending *pending;
    uint32_t pending_count, pending_cap;
    uint32_t sessions;
    struct mu_error *error;
};

const char *mu_pending_reason_text(enum mu_pending_reason reason)
{
    static const char *const texts[] = {"Unschedulable", "SchedulingGated", "WaitingForGang",
                                        "Unsupported", "Undecided"};
    MU_ASSERT((unsigned)reason < sizeof texts / sizeof texts[0]);
    return texts[reason];
}

static struct mu_str gang_name(struct settler *s, struct mu_gang_ix gang)
{
    return mu_answer_name(s->arena, mu_db_gang_ns(s->db, gang), mu_db_gang_name(s->db, gang));
}

/* ---- sessions ----------------------------------------------------------------------------- */

static int note_binding(struct settler *s, const struct mu_plan_bind *bind, struct mu_str gang)
{
    struct mu_pod_view view;
    void *array = s->bindings;
    int rc = mu_mem_grow(&array, &s->binding_cap, s->binding_count + 1, MU_PODS_MAX,
                         sizeof *s->bindings);
    s->bindings = array;
    if (rc != 0)
        return rc;
    bool found = mu_db_pod_get(s->db, bind->pod, &view);
    MU_ASSERT(found); /* it was admitted just now */
    struct mu_settled_binding *b = &s->bindings[s->binding_count];
    b->pod = mu_answer_name(s->arena, view.ns, view.name);
    b->node = mu_arena_str(s->arena, mu_db_node_name(s->db, bind->node));
    b->gang = gang;
    b->devices = bind->devices;
    if (b->pod.data == NULL || b->node.data == NULL)
        return MU_ENOMEM;
    s->binding_count++;
    return 0;
}

static int note_eviction(struct settler *s, const struct mu_pod_view *view, struct mu_str by,
                         bool violates)
{
    void *array = s->evictions;
    int rc = mu_mem_grow(&array, &s->eviction_cap, s->eviction_count + 1, MU_PODS_MAX,
                         sizeof *s->evictions);
    s->evictions = array;
    if (rc != 0)
        return rc;
    struct mu_settled_eviction *e = &s->evictions[s->eviction_count];
    e->pod = mu_answer_name(s->arena, view->ns, view->name);
    e->gang = view->gang.v == MU_NONE ? e->pod : gang_name(s, view->gang);
    e->by = by;
    e->violates = violates;
    if (e->pod.data == NULL || e->gang.data == NULL)
        return MU_ENOMEM;
    s->eviction_count++;
    return 0;
}

/* Victims leave; so do those that were leaving already, untold. */
static int evict(struct settler *s, const struct mu_plan_evict *victim, struct mu_str by)
{
    struct mu_pod_view view;
    char text[MU_UID_BYTES_MAX + 1];
    if (!mu_db_evict_get(s->db, victim, &view))
        return 0;
    int rc = 0;
    if ((victim->flags & MU_EVICT_LEAVING) == 0)
        rc = note_eviction(s, &view, by, mu_db_budgets_spend(s->db, view.kin));
    struct mu_str uid = {text, mu_db_uid_text(s->db, view.uid, text)};
    return rc != 0 ? rc : mu_db_pod_remove(s->db, view.ns, view.name, uid, s->now_ns);
}

static int apply_gang(struct settler *s, const struct mu_plan_gang *gang)
{
    int rc = mu_db_admit(s->db, gang, s->error);
    struct mu_str name = gang_name(s, gang->gang);
    if (rc == 0 && name.data == NULL)
        rc = MU_ENOMEM;
    for (uint32_t i = 0; i < gang->evict_count && rc == 0; i++)
        rc = evict(s, &gang->evicts[i], name);
    if (rc == 0 && gang->evict_count > 0)
        rc = mu_db_waiting_bind(s->db, gang, s->error);
    for (uint32_t i = 0; i < gang->bind_count && rc == 0; i++) {
        rc = note_binding(s, &gang->binds[i], name);
        if (rc == 0)
            rc = s->config->bind(s->config->context, &gang->binds[i], s->now_ns);
    }
    return rc;
}

void mu_settle_ask_occupants(struct mu_db *db)
{
    struct mu_db_counts counts;
    mu_db_counts(db, &counts);
    mu_db_occupants_ask(db, counts.pods_bound <= MU_REPORT_PRIORITY_PODS_MAX);
}

/* One session; *again: it decided something, or time has moved to where it may. */
static int step(struct settler *s, const struct mu_plan **plan, bool *again)
{
    int rc;
    mu_settle_ask_occupants(s->db);
    do
        rc = mu_db_replica_sync(s->db, s->snapshot, 0);
    while (rc == 1);
    if (rc == 0)
        rc = mu_session_run(s->session, s->snapshot, s->now_ns, plan);
    if (rc != 0)
        return rc;
    s->sessions++;
    for (uint32_t i = 0; i < (*plan)->gang_count && rc == 0; i++) {
        rc = apply_gang(s, &(*plan)->gangs[i]);
        if (s->config->progress != NULL && (i & 1023) == 0)
            s->config->progress(s->config->context, s->binding_count, s->snapshot->pending_gangs);
    }
    *again = (*plan)->gang_count > 0 || (*plan)->next_ns != UINT64_MAX;
    if ((*plan)->gang_count == 0 && *again) {
        MU_ASSERT((*plan)->next_ns > s->now_ns);
        s->now_ns = (*plan)->next_ns;
    }
    return rc;
}

/* ---- who waits ---------------------------------------------------------------------------- */

enum mu_pending_reason mu_pending_reason_of(const struct mu_plan_wait *wait)
{
    switch (wait->kind) {
    case MU_WAIT_NO_FIT:
        return MU_PENDING_UNSCHEDULABLE;
    case MU_WAIT_UNDECIDED:
        return MU_PENDING_UNDECIDED;
    default:
        return MU_PENDING_GANG;
    }
}

/* The words about a gang, made once and shared by its members. */
struct gang_words {
    const struct mu_plan_wait *wait;
    struct mu_str gang, message;
};

/* Own words of a pod that is held back by itself. False: it waits with its gang. */
static bool own_words(struct settler *s, const struct mu_pod_view *view,
                      struct mu_settled_pending *out)
{
    if (view->gated) {
        out->reason = MU_PENDING_GATED;
        out->message = MU_STR("Scheduling is blocked due to non-empty scheduling gates");
        return true;
    }
    if (view->unbuilt == 0)
        return false;
    struct mu_report_text *text = mu_report_words_pod(view->unbuilt);
    out->reason = MU_PENDING_UNSUPPORTED;
    if (text != NULL)
        out->message = mu_arena_str(s->arena, mu_report_text_message(text));
    mu_report_text_unref(text);
    return true;
}

static int note_pending(struct settler *s, const struct mu_pod_view *view,
                        const struct gang_words *words)
{
    void *array = s->pending;
    int rc =
        mu_mem_grow(&array, &s->pending_cap, s->pending_count + 1, MU_PODS_MAX, sizeof *s->pending);
    s->pending = array;
    if (rc != 0)
        return rc;
    struct mu_settled_pending *p = &s->pending[s->pending_count];
    *p = (struct mu_settled_pending){.uid = view->uid, .gang = words->gang};
    p->pod = mu_answer_name(s->arena, view->ns, view->name);
    if (!own_words(s, view, p)) {
        p->reason = words->wait != NULL ? mu_pending_reason_of(words->wait) : MU_PENDING_GANG;
        p->message = words->message;
    }
    if (p->pod.data == NULL || p->message.data == NULL)
        return MU_ENOMEM;
    s->pending_count++;
    return 0;
}

static int note_gang(struct settler *s, struct mu_report_words *words,
                     const struct mu_plan_wait *wait)
{
    struct mu_report_text *text = mu_report_words_gang(words, s->db, wait);
    if (text == NULL)
        return MU_ENOMEM;
    struct gang_words shared = {.wait = wait,
                                .gang = gang_name(s, wait->gang),
                                .message = mu_arena_str(s->arena, mu_report_text_message(text))};
    mu_report_text_unref(text);
    int rc = shared.gang.data == NULL ? MU_ENOMEM : 0;
    struct mu_pod_ix member = {MU_NONE};
    while (rc == 0 && mu_db_gang_member(s->db, wait->gang, &member)) {
        struct mu_pod_view view;
        if (mu_db_pod_get(s->db, member, &view) && view.ours && view.node.v == MU_NONE &&
            !view.terminating && !view.terminal)
            rc = note_pending(s, &view, &shared);
    }
    return rc;
}

static int compare_pending(const void *left, const void *right)
{
    const struct mu_settled_pending *a = left;
    const struct mu_settled_pending *b = right;
    if (a->uid.hi != b->uid.hi)
        return a->uid.hi < b->uid.hi ? -1 : 1;
    return (a->uid.lo > b->uid.lo) - (a->uid.lo < b->uid.lo);
}

/* The last plan names every gang that waits. */
static int note_all_pending(struct settler *s, const struct mu_plan *plan)
{
    struct mu_report_words *words = mu_report_words_create(s->config->session.profile);
    int rc = words == NULL ? MU_ENOMEM : 0;
    if (rc == 0) {
        mu_report_words_preemption(words, true, 0, 0);
        mu_report_words_begin(words, s->snapshot, plan);
    }
    for (uint32_t i = 0; i < plan->wait_count && rc == 0; i++)
        rc = note_gang(s, words, &plan->waits[i]);
    if (rc == 0)
        mu_report_words_end(words);
    mu_report_words_destroy(words);
    if (s->pending_count > 0)
        qsort(s->pending, s->pending_count, sizeof *s->pending, compare_pending);
    return rc;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int settle(struct settler *s, struct mu_settled *out)
{
    const struct mu_plan *plan = NULL;
    bool again = true;
    int rc = 0;
    while (again && rc == 0)
        rc = step(s, &plan, &again);
    if (rc == 0)
        rc = note_all_pending(s, plan);
    if (rc != 0)
        return rc;
    struct mu_settled_binding *bindings =
        mu_arena_calloc(s->arena, (size_t)s->binding_count + 1, sizeof *bindings);
    struct mu_settled_eviction *evictions =
        mu_arena_calloc(s->arena, (size_t)s->eviction_count + 1, sizeof *evictions);
    struct mu_settled_pending *pending =
        mu_arena_calloc(s->arena, (size_t)s->pending_count + 1, sizeof *pending);
    if (bindings == NULL || evictions == NULL || pending == NULL)
        return MU_ENOMEM;
    if (s->eviction_count > 0)
        memcpy(evictions, s->evictions, s->eviction_count * sizeof *evictions);
    if (s->binding_count > 0)
        memcpy(bindings, s->bindings, s->binding_count * sizeof *bindings);
    if (s->pending_count > 0)
        memcpy(pending, s->pending, s->pending_count * sizeof *pending);
    *out = (struct mu_settled){.binding_count = s->binding_count,
                               .bindings = bindings,
                               .eviction_count = s->eviction_count,
                               .evictions = evictions,
                               .pending_count = s->pending_count,
                               .pending = pending,
                               .sessions = s->sessions};
    return 0;
}

int mu_settle(struct mu_db *db, const struct mu_settle_config *config, struct mu_arena *arena,
              struct mu_settled *out, struct mu_error *error)
{
    struct settler s = {
        .db = db, .config = config, .arena = arena, .now_ns = config->now_ns, .error = error};
    s.snapshot = mu_db_replica_create(db);
    struct mu_session_config session = config->session;
    /* As fast as it may be: what limits evictions in time is no matter of who goes where. */
    session.preempts = true;
    session.min_run_s = 0;
    session.evictions_max = 0;
    s.session = mu_session_create(&session);
    int rc = s.snapshot == NULL || s.session == NULL ? MU_ENOMEM : settle(&s, out);
    mu_session_destroy(s.session);
    if (s.snapshot != NULL)
        mu_db_replica_destroy(db, s.snapshot);
    mu_mem_free(s.bindings);
    mu_mem_free(s.evictions);
    mu_mem_free(s.pending);
    return rc;
}
