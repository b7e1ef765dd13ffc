#include "tools/answer/preemption.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/session/session.h"
#include "tools/answer/words.h"
#include "tools/scheduler/report_words.h"

/*
 * The session is the oracle: it looks for room first, and its own preemption says who leaves. It is
 * given the snapshot with other rows for the gangs, in which the pod's is the only one that waits.
 * Whoever else waits has no room in any ledger, so that nothing else changes by that.
 */

/* No more members come, as far as this answer goes: a gang without a size is what there is of it.
 */
#define AFTER_ALL_NS (UINT64_MAX / 2)

/* The snapshot, with nobody waiting but the gang. False: no memory. */
static bool alone(const struct mu_snapshot *snapshot, struct mu_gang_ix gang,
                  struct mu_arena *arena, struct mu_snapshot *out)
{
    *out = *snapshot;
    out->gangs = mu_arena_alloc(arena, ((size_t)snapshot->gang_rows + 1) * sizeof *out->gangs);
    if (out->gangs == NULL)
        return false;
    memcpy(out->gangs, snapshot->gangs, snapshot->gang_rows * sizeof *out->gangs);
    for (uint32_t row = 0; row < out->gang_rows; row++)
        out->gangs[row].flags &= row == gang.v ? UINT32_MAX : ~(uint32_t)MU_GANG_PENDING;
    out->gang_cap = out->gang_rows;
    out->pending_gangs = 1;
    return true;
}

static int tell_victims(const struct mu_db *db, const struct mu_plan_gang *plan,
                        struct mu_arena *arena, struct mu_preemption *out)
{
    struct mu_preemption_victim *victims =
        mu_arena_calloc(arena, (size_t)plan->evict_count + 1, sizeof *victims);
    if (victims == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < plan->evict_count; i++) {
        struct mu_pod_view view;
        if ((plan->evicts[i].flags & MU_EVICT_LEAVING) != 0)
            continue;
        bool found = mu_db_evict_get(db, &plan->evicts[i], &view);
        MU_ASSERT(found); /* the snapshot is in sync */
        struct mu_preemption_victim *v = &victims[out->victim_count++];
        *v = (struct mu_preemption_victim){.pod = mu_answer_name(arena, view.ns, view.name),
                                           .priority = view.priority};
        if (v->pod.data == NULL)
            return MU_ENOMEM;
    }
    out->victims = victims;
    return 0;
}

static int tell_places(const struct mu_db *db, const struct mu_plan_gang *plan,
                       const struct mu_pod_view *pod, struct mu_arena *arena,
                       struct mu_preemption *out)
{
    struct mu_preemption_place *places =
        mu_arena_calloc(arena, (size_t)plan->bind_count + 1, sizeof *places);
    if (places == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < plan->bind_count; i++) {
        struct mu_pod_view view;
        bool found = mu_db_pod_get(db, plan->binds[i].pod, &view);
        MU_ASSERT(found);
        places[i] = (struct mu_preemption_place){
            .pod = mu_answer_name(arena, view.ns, view.name),
            .node = mu_arena_str(arena, mu_db_node_name(db, plan->binds[i].node))};
        if (places[i].pod.data == NULL || places[i].node.data == NULL)
            return MU_ENOMEM;
        if (plan->binds[i].pod.v == pod->ix.v)
            out->node = places[i].node;
    }
    out->place_count = plan->bind_count;
    out->places = places;
    return 0;
}

/* Who leaves by the plan for the one gang that it is about. */
static int tell_found(const struct mu_db *db, const struct mu_plan_gang *gang,
                      const struct mu_pod_view *pod, struct mu_arena *arena,
                      struct mu_preemption *out)
{
    MU_ASSERT(gang->gang.v == pod->gang.v);
    if (gang->evict_count == 0 || pod->gated || pod->unbuilt != 0)
        return 0;
    out->kind = MU_PREEMPTION_FOUND;
    out->violations = gang->budget_violations;
    int rc = tell_victims(db, gang, arena, out);
    return rc != 0 ? rc : tell_places(db, gang, pod, arena, out);
}

/* The gang's wait in words, over the snapshot that the plan was made on. */
static int tell_wait(struct mu_db *db, struct mu_snapshot *snapshot,
                     const struct mu_profile *profile, const struct mu_plan *plan,
                     struct mu_arena *arena, struct mu_explanation *out)
{
    const struct mu_plan_wait *wait = &plan->waits[0];
    struct mu_report_words *words = mu_report_words_create(profile);
    if (words == NULL)
        return MU_ENOMEM;
    mu_report_words_preemption(words, true, 0, 0);
    mu_report_words_begin(words, snapshot, plan);
    struct mu_report_text *text = mu_report_words_gang(words, db, wait);
    if (text != NULL) {
        out->gang_reason = mu_pending_reason_of(wait);
        out->gang_message = mu_arena_str(arena, mu_report_text_message(text));
        mu_report_text_unref(text);
    }
    mu_report_words_end(words);
    mu_report_words_destroy(words);
    return out->gang_message.data == NULL ? MU_ENOMEM : 0;
}

/* What the plan says of it. */
static int tell(struct mu_db *db, struct mu_snapshot *snapshot, const struct mu_profile *profile,
                const struct mu_plan *plan, const struct mu_pod_view *pod, struct mu_arena *arena,
                struct mu_explanation *out)
{
    MU_ASSERT(plan->gang_count + plan->wait_count == 1);
    if (plan->gang_count > 0)
        return tell_found(db, &plan->gangs[0], pod, arena, &out->preemption);
    const struct mu_plan_wait *wait = &plan->waits[0];
    MU_ASSERT(wait->gang.v == pod->gang.v);
    bool no_room = wait->kind == MU_WAIT_NO_FIT || wait->kind == MU_WAIT_UNDECIDED;
    bool never = (snapshot->gangs[pod->gang.v].flags & MU_GANG_NEVER) != 0;
    if (no_room && !pod->gated && pod->unbuilt == 0)
        out->preemption.kind = never ? MU_PREEMPTION_NEVER : MU_PREEMPTION_NOBODY;
    return out->gang.len > 0 ? tell_wait(db, snapshot, profile, plan, arena, out) : 0;
}

int mu_preemption_find(struct mu_db *db, const struct mu_snapshot *snapshot,
                       const struct mu_profile *profile, const struct mu_pod_view *pod,
                       struct mu_arena *arena, struct mu_explanation *out)
{
    const struct mu_session_config config = {.profile = profile, .preempts = true};
    struct mu_snapshot only;
    const struct mu_plan *plan;
    out->preemption = (struct mu_preemption){.kind = MU_PREEMPTION_NOT_ASKED};
    out->gang_message = (struct mu_str){NULL, 0};
    /* A lone pod that is held back by itself waits for no room. */
    bool held = out->gang.len == 0 && (pod->gated || pod->unbuilt != 0);
    if (!pod->ours || pod->node.v != MU_NONE || pod->gang.v == MU_NONE || held ||
        (snapshot->gangs[pod->gang.v].flags & MU_GANG_PENDING) == 0)
        return 0;
    if (!alone(snapshot, pod->gang, arena, &only))
        return MU_ENOMEM;
    struct mu_session *session = mu_session_create(&config);
    if (session == NULL)
        return MU_ENOMEM;
    int rc = mu_session_run(session, &only, AFTER_ALL_NS, &plan);
    if (rc == 0)
        rc = tell(db, &only, profile, plan, pod, arena, out);
    mu_session_destroy(session);
    return rc;
}
