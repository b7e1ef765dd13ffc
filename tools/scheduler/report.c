/*
 * Why gangs wait, from plans to the reporter.
 *
 * Every plan names every waiting gang, but little of it is news. A story is kept per gang row: what
 * was told last, as two digests, and when the gang is looked at next. Until then a plan costs a
 * comparison per waiting gang; text is made only when there is something to tell.
 *
 *   first seen    looked at after FIRST_NS: what resolves itself at once is never told
 *                 (TRANSIENT_NS where waiting is part of the normal course)
 *   looked at     told when its shape has changed (other reasons, other members, another revision)
 *                 or, numbers only, when NUMBERS_NS have passed since it was told
 *   then          looked at again after LOOK_NS at the earliest
 *
 * A gang whose victims are leaving is in no plan; it is looked at in the same way, and told once
 * for whom it waits. Its pods are written to only after FIRST_NS, so that a bind which follows at
 * once is not overtaken by that write.
 *
 * A look needs a plan, so a session is asked for at its time, but only when there is something to
 * tell then or the cluster has changed since the last look. A cluster at rest therefore falls
 * silent. A gang that is planned starts from the beginning when it waits again.
 *
 * One call makes text for a bounded number of rows and pods; the rest is due a moment later.
 */
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/scheduler/report_priority.h"
#include "tools/scheduler/report_words.h"
#include "tools/scheduler/scheduler_priv.h"

#define FIRST_NS      (500 * MU_NS_PER_MS)
#define TRANSIENT_NS  (5 * MU_NS_PER_S)
#define LOOK_NS       MU_NS_PER_S
#define NUMBERS_NS    (300 * MU_NS_PER_S)
#define ROUND_NS      (100 * MU_NS_PER_MS) /* looks share sessions */
#define FULL_NS       (5 * MU_NS_PER_S)    /* the reporter has no room */
#define PODS_PER_CALL 4096u

#define STORY_LEAVING UINT8_MAX /* beside enum mu_wait_kind */

/* --- the reporter's questions ---------------------------------------------------------------- */

/* A write to the pod is under way, or about to be. */
static bool binds(const struct mu_scheduler *s, struct mu_uid uid)
{
    enum mu_ledger_state state = mu_db_ledger_state(s->db, uid, NULL);
    return state != MU_LEDGER_NONE && state != MU_LEDGER_WAITING;
}

static bool subject(void *context, struct mu_uid uid, struct mu_report_subject *out)
{
    const struct mu_scheduler *s = context;
    struct mu_pod_view pod;
    if (!mu_db_pod_find(s->db, uid, &pod) || !pod.ours || pod.node.v != MU_NONE || pod.terminal ||
        pod.terminating || pod.gated || pod.version == 0 || binds(s, uid))
        return false;
    out->ns = pod.ns;
    out->name = pod.name;
    out->version = pod.version;
    out->report = pod.report;
    (void)mu_db_uid_text(s->db, uid, out->uid);
    return true;
}

static void written(void *context, struct mu_uid uid, uint64_t digest)
{
    struct mu_scheduler *s = context;
    mu_db_pod_report(s->db, uid, digest);
}

int mu_report_init(struct mu_scheduler *s)
{
    if (s->config.report_rate == 0)
        return 0;
    struct mu_reporter_config config = {.controller = s->config.scheduler_names[0],
                                        .instance = s->config.report_instance,
                                        .rate = s->config.report_rate,
                                        .burst = s->config.report_burst,
                                        .token_base = MU_TOKENS_REPORTER,
                                        .subject = subject,
                                        .written = written,
                                        .group = mu_group_status_subject,
                                        .group_written = mu_group_status_written,
                                        .context = s};
    s->reporter = mu_reporter_create(&config, &s->random);
    s->words = mu_report_words_create(s->config.profile);
    return s->reporter == NULL || s->words == NULL ? MU_ENOMEM : 0;
}

void mu_report_fini(struct mu_scheduler *s)
{
    mu_reporter_destroy(s->reporter);
    mu_report_words_destroy(s->words);
    mu_mem_free(s->stories);
}

void mu_report_bound_pod(struct mu_scheduler *s, struct mu_uid uid, struct mu_str node)
{
    struct mu_pod_view pod;
    char text[MU_UID_BYTES_MAX + 1];
    if (s->reporter == NULL || !mu_db_pod_find(s->db, uid, &pod))
        return;
    uint32_t len = mu_db_uid_text(s->db, uid, text);
    struct mu_report_bound bound = {
        .ns = pod.ns, .name = pod.name, .uid = {text, len}, .node = node};
    mu_reporter_bound(s->reporter, &bound, s->now_ns);
    mu_group_status_told(s, pod.gang, NULL);
}

void mu_report_preempted(struct mu_scheduler *s, const struct mu_pod_view *victim,
                         const struct mu_plan_gang *gang)
{
    struct mu_pod_view by;
    char uid[MU_UID_BYTES_MAX + 1], by_uid[MU_UID_BYTES_MAX + 1];
    if (s->reporter == NULL || !mu_db_pod_find(s->db, gang->binds[0].uid, &by))
        return;
    const struct mu_report_preempted preempted = {
        .victim = {.ns = victim->ns,
                   .name = victim->name,
                   .uid = {uid, mu_db_uid_text(s->db, victim->uid, uid)},
                   .node = mu_db_node_name(s->db, victim->node)},
        .by_ns = by.ns,
        .by_name = by.name,
        .by_uid = {by_uid, mu_db_uid_text(s->db, by.uid, by_uid)},
        .gang = gang->size > 1 ? mu_db_gang_name(s->db, gang->gang) : MU_STR("")};
    mu_reporter_preempted(s->reporter, &preempted, s->now_ns);
}

/* --- stories --------------------------------------------------------------------------------- */

static int stories_reserve(struct mu_scheduler *s, uint32_t rows)
{
    uint32_t old = s->story_cap;
    if (rows <= old)
        return 0;
    void *stories = s->stories;
    int rc = mu_mem_grow(&stories, &s->story_cap, rows, MU_GANGS_MAX, sizeof *s->stories);
    s->stories = stories;
    if (rc == 0)
        memset(s->stories + old, 0, (s->story_cap - old) * sizeof *s->stories);
    return rc;
}

/* The time that it was given has passed. */
static bool is_late(const struct mu_plan_wait *wait)
{
    return wait->overdue || wait->kept;
}

/* Digests of what there is to tell: with its numbers, and without those that move with the
 * cluster rather than with the gang. By what is told: verdicts that preemption tells apart (no room
 * now, no room ever) are told alike. */
static void digest(const struct mu_snapshot *snapshot, const struct mu_plan_wait *wait,
                   uint64_t *full, uint64_t *shape)
{
    uint32_t nodes = 0;
    uint64_t told = 0;
    uint64_t hash = mu_hash_mix((uint64_t)wait->kind << 32 | wait->rules,
                                (uint64_t)wait->have << 32 | wait->need);
    hash = mu_hash_mix(hash, is_late(wait));
    if (wait->class_ix.v == MU_NONE) {
        *full = *shape = hash;
        return;
    }
    for (uint32_t i = 0; i < MU_VERDICT_KINDS; i++) {
        nodes += wait->nodes_by_verdict[i];
        told |= (uint64_t)(wait->nodes_by_reason[i] != 0) << i;
    }
    for (uint32_t i = 0; i < snapshot->resource_count; i++)
        told |= (uint64_t)(wait->nodes_by_resource[i] != 0) << (MU_VERDICT_KINDS + i);
    *shape = mu_hash_mix(mu_hash_mix(hash, wait->nodes_by_verdict[MU_FITS] != 0), told);
    hash = mu_hash_mix(*shape, (uint64_t)wait->nodes_by_verdict[MU_FITS] << 32 | nodes);
    hash = mu_hash_bytes(wait->nodes_by_reason, MU_VERDICT_KINDS * sizeof(uint32_t), hash);
    hash = mu_hash_bytes(wait->nodes_by_resource, MU_RESOURCES_MAX * sizeof(uint32_t), hash);
    hash = mu_hash_mix(hash, wait->behind.v);
    /* Which taints there are is told too. */
    if (wait->nodes_by_verdict[MU_NO_TAINT] != 0)
        hash = mu_hash_mix(hash, snapshot->static_generation);
    *full = hash;
}

/* Whom one telling is about. */
struct telling {
    struct mu_gang_ix gang;
    const struct mu_plan_wait *wait;      /* what the plan says; NULL: */
    const struct mu_evict_group *leaving; /* its victims are leaving */
};

static struct mu_report_text *text_of(struct mu_scheduler *s, const struct telling *t)
{
    return t->wait != NULL ? mu_report_words_gang(s->words, s->db, t->wait)
                           : mu_report_words_leaving(s->db, &t->leaving->plan);
}

/* Hand the gang's story to the reporter, pod by pod. Errors: MU_ENOMEM, MU_ELIMIT: some pods were
 * not told, tell it again. */
static int tell(struct mu_scheduler *s, const struct telling *t, uint32_t *told)
{
    struct mu_pod_ix ix = {MU_NONE};
    struct mu_report_text *gang = NULL;
    int rc = 0;
    while (rc == 0 && mu_db_gang_member(s->db, t->gang, &ix)) {
        struct mu_pod_view pod;
        if (!mu_db_pod_get(s->db, ix, &pod) || pod.node.v != MU_NONE || pod.gated ||
            binds(s, pod.uid))
            continue;
        struct mu_report_text *own = NULL;
        if (pod.unbuilt != 0)
            own = mu_report_words_pod(pod.unbuilt);
        else if (gang == NULL)
            gang = text_of(s, t);
        struct mu_report_text *text = pod.unbuilt != 0 ? own : gang;
        rc = text == NULL ? MU_ENOMEM : mu_reporter_pending(s->reporter, pod.uid, text, s->now_ns);
        mu_report_text_unref(own);
        ++*told;
    }
    if (rc == 0 && gang != NULL)
        mu_group_status_told(s, t->gang, gang);
    mu_report_text_unref(gang);
    return rc;
}

/* Looks share sessions. */
static uint64_t rounded(uint64_t at_ns)
{
    return (at_ns + ROUND_NS - 1) / ROUND_NS * ROUND_NS;
}

static uint64_t first_look_ns(enum mu_wait_kind kind)
{
    bool passes = kind == MU_WAIT_QUIET || kind == MU_WAIT_CLAIM || kind == MU_WAIT_ENDING;
    return passes ? TRANSIENT_NS : FIRST_NS;
}

/* What is left of one call's work. */
struct allowance {
    uint32_t pods;
};

/* Tell the gang's story if it has changed. Returns when it has to be told although nothing changes
 * any more; UINT64_MAX: it is told. */
static uint64_t story_look(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                           const struct mu_plan_wait *wait, struct mu_story *story,
                           struct allowance *left)
{
    const struct mu_gang_row *row = &snapshot->gangs[wait->gang.v];
    uint64_t full, shape;
    uint32_t told = 0;
    digest(snapshot, wait, &full, &shape);
    shape = mu_hash_mix(shape, row->revision);
    full = mu_hash_mix(full, row->revision);
    if (story->told_ns != 0 && story->full == full)
        return UINT64_MAX;
    if (story->told_ns != 0 && story->shape == shape && s->now_ns < story->told_ns + NUMBERS_NS)
        return story->told_ns + NUMBERS_NS;
    if (left->pods == 0 || !mu_report_words_ready(s->words))
        return s->now_ns + 1;
    if (mu_reporter_room(s->reporter) < row->member_count)
        return s->now_ns + FULL_NS;
    int rc = tell(s, &(struct telling){.gang = wait->gang, .wait = wait}, &told);
    left->pods -= told < left->pods ? told : left->pods;
    if (rc != 0)
        return s->now_ns + LOOK_NS;
    story->told_ns = s->now_ns;
    story->full = full;
    story->shape = shape;
    return UINT64_MAX;
}

/* Returns when a plan should show this gang again; UINT64_MAX: not before something changes. */
static uint64_t story_step(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                           const struct mu_plan_wait *wait, struct allowance *left)
{
    struct mu_story *story = &s->stories[wait->gang.v];
    uint64_t first_ns = rounded(s->now_ns + first_look_ns(wait->kind));
    if (story->look_ns == 0 || story->generation != wait->gang_generation) {
        *story = (struct mu_story){.look_ns = first_ns,
                                   .due_ns = first_ns,
                                   .generation = wait->gang_generation,
                                   .kind = (uint8_t)wait->kind};
    } else if (story->told_ns == 0 && story->kind != wait->kind && first_ns < story->look_ns) {
        story->look_ns = story->due_ns = first_ns; /* it waits in earnest now */
        story->kind = (uint8_t)wait->kind;
    }
    bool changed = story->seen != snapshot->generation || story->kind != wait->kind ||
                   story->late != is_late(wait);
    if (s->now_ns < story->look_ns || (!changed && s->now_ns < story->due_ns))
        return changed && story->look_ns < story->due_ns ? story->look_ns : story->due_ns;
    story->due_ns = story_look(s, snapshot, wait, story, left);
    if (story->due_ns != UINT64_MAX)
        story->due_ns = rounded(story->due_ns);
    story->look_ns = rounded(s->now_ns + LOOK_NS);
    if (story->due_ns < story->look_ns)
        story->look_ns = story->due_ns;
    story->seen = snapshot->generation;
    story->late = is_late(wait);
    story->kind = (uint8_t)wait->kind;
    return story->due_ns;
}

/* Of a gang whose victims are leaving; returns as story_step(). */
static uint64_t leaving_step(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                             const struct mu_evict_group *group, struct allowance *left)
{
    const struct mu_gang_ix gang = group->plan.gang;
    struct mu_story *story = &s->stories[gang.v];
    uint32_t told = 0;
    if (story->look_ns == 0 || story->generation != group->plan.gang_generation ||
        story->kind != STORY_LEAVING) {
        uint64_t first_ns = rounded(s->now_ns + FIRST_NS);
        *story = (struct mu_story){.look_ns = first_ns,
                                   .due_ns = first_ns,
                                   .generation = group->plan.gang_generation,
                                   .kind = STORY_LEAVING};
    }
    if (story->told_ns != 0)
        return UINT64_MAX;
    if (s->now_ns < story->look_ns)
        return story->look_ns;
    bool room = mu_reporter_room(s->reporter) >= snapshot->gangs[gang.v].member_count;
    if (!room || left->pods == 0 ||
        tell(s, &(struct telling){.gang = gang, .leaving = group}, &told) != 0) {
        story->look_ns = rounded(s->now_ns + LOOK_NS);
        return story->look_ns;
    }
    left->pods -= told < left->pods ? told : left->pods;
    story->told_ns = s->now_ns;
    return UINT64_MAX;
}

static void tell_leaving(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                         struct allowance *left)
{
    for (uint32_t i = 0; s->evict_count > 0 && i < s->evict_cap; i++) {
        const struct mu_evict_group *group = s->evict_groups[i];
        if (group == NULL || group->phase == MU_EVICT_OVER ||
            group->plan.gang.v >= snapshot->gang_rows ||
            snapshot->gangs[group->plan.gang.v].generation != group->plan.gang_generation)
            continue;
        uint64_t at_ns = leaving_step(s, snapshot, group, left);
        if (at_ns < s->wake_ns)
            s->wake_ns = at_ns;
    }
}

/* True when the gang's story, if it is told, may name a priority. */
static bool wants_occupants(const struct mu_plan_wait *wait)
{
    return wait->class_ix.v != MU_NONE && wait->need > wait->have && wait->need > 1;
}

void mu_report_plan(struct mu_scheduler *s, struct mu_snapshot *snapshot,
                    const struct mu_plan *plan)
{
    struct allowance left = {PODS_PER_CALL};
    struct mu_db_counts counts;
    bool ask = false;
    if (s->reporter == NULL || s->draining)
        return;
    if (stories_reserve(s, snapshot->gang_rows) != 0)
        return; /* nothing is told until there is memory: the next plan says it all again */
    mu_report_words_preemption(s->words, s->config.preempts, s->config.min_run_s,
                               (uint32_t)((s->now_ns + s->config.wall_offset_ns) / MU_NS_PER_S));
    mu_report_words_begin(s->words, snapshot, plan);
    for (uint32_t i = 0; i < plan->gang_count; i++)
        s->stories[plan->gangs[i].gang.v].look_ns = 0;
    for (uint32_t i = 0; i < plan->wait_count; i++) {
        uint64_t at_ns = story_step(s, snapshot, &plan->waits[i], &left);
        if (at_ns < s->wake_ns)
            s->wake_ns = at_ns;
        ask = ask || (at_ns != UINT64_MAX && wants_occupants(&plan->waits[i]));
    }
    tell_leaving(s, snapshot, &left);
    mu_report_words_end(s->words);
    mu_db_counts(s->db, &counts);
    mu_db_occupants_ask(s->db, ask && s->config.preempts &&
                                   counts.pods_bound <= MU_REPORT_PRIORITY_PODS_MAX);
}
