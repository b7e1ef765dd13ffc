/*
 * Plans with victims that the journal's former incarnation had under way.
 *
 * By the time that they are looked at, the journal is ours and every victim was touched: it is gone
 * or terminating, or no delete of old will ever take it. So of each plan it is known who was begun.
 *
 *   nobody            the plan is dropped: a session decides anew
 *   somebody          the pods are placed as the plan says, with those gone who were begun, and
 *                     nobody else. If that fits, the plan goes on: the room is held, and journaled
 *                     under our own epoch, until the last one is gone. If all are, it is bound
 *   it does not fit   a session finds who else has to leave. For it the terminating ones have left,
 *                     so that they are used first, and its proof is of now
 *
 * Thus nobody is evicted here, and no old proof is trusted. A plan counts when all of its parts are
 * there; one that was given up, or bound in the meantime, is no different: it fits and harms
 * nobody, or it does not.
 *
 * This has to wait for the nodes, which may be listed after the journal is ours, and comes before
 * the first session.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "tools/scheduler/scheduler_priv.h"

/* One write of an entry. */
struct kept {
    uint64_t incarnation, plan;
    uint32_t part, parts;
    uint32_t order;
    enum mu_journal_kind kind;
    bool there; /* its pod */
    struct mu_uid uid;
    struct mu_node_ix node;
};
struct keeping {
    const struct mu_scheduler *scheduler;
    struct kept *kept;
    uint32_t count, cap;
};

static int keep_entry(void *context, uint64_t incarnation, const struct mu_journal_entry *entry)
{
    struct keeping *k = context;
    void *array = k->kept;
    if (entry->writes[0].kind == MU_JOURNAL_BIND)
        return 0;
    if (mu_mem_grow(&array, &k->cap, k->count + entry->count, MU_RECOVERY_WRITES_MAX,
                    sizeof *k->kept) != 0)
        return MU_ENOMEM;
    k->kept = array;
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct mu_journal_write *write = &entry->writes[i];
        struct mu_pod_view pod;
        struct kept *kept = &k->kept[k->count];
        *kept = (struct kept){.incarnation = incarnation,
                              .plan = entry->plan,
                              .part = entry->part,
                              .parts = entry->parts,
                              .order = k->count++,
                              .kind = write->kind,
                              .node = mu_db_node_find(k->scheduler->db, write->node)};
        kept->there = mu_durable_find_pod(k->scheduler, write, &pod);
        if (kept->there)
            kept->uid = pod.uid;
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct kept *a = left, *b = right;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    if (a->plan != b->plan)
        return a->plan < b->plan ? -1 : 1;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Every part of the plan is there. */
static bool is_whole(const struct kept *kept, uint32_t count)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept[i].part > next)
            return false;
        next = kept[i].part + 1;
    }
    return next == kept[0].parts;
}

/* What is left of the plan. Returns how many of its victims were begun. */
static uint32_t plan_left(const struct mu_scheduler *s, const struct kept *kept, uint32_t count,
                          struct mu_plan_gang *plan, struct mu_plan_bind *binds,
                          struct mu_plan_evict *evicts)
{
    uint32_t begun = 0;
    *plan = (struct mu_plan_gang){.binds = binds, .evicts = evicts};
    for (uint32_t i = 0; i < count; i++) {
        struct mu_pod_view pod;
        bool there = kept[i].there && mu_db_pod_find(s->db, kept[i].uid, &pod);
        if (kept[i].kind == MU_JOURNAL_HOLD && there && pod.node.v == MU_NONE && !pod.terminating)
            binds[plan->bind_count++] =
                (struct mu_plan_bind){.uid = kept[i].uid, .node = kept[i].node};
        if (kept[i].kind != MU_JOURNAL_DELETE || (there && !pod.terminating))
            continue;
        begun++;
        if (there)
            evicts[plan->evict_count++] = (struct mu_plan_evict){.pod = pod.ix,
                                                                 .check = mu_uid_check(pod.uid),
                                                                 .node = pod.node,
                                                                 .gang = pod.gang,
                                                                 .flags = MU_EVICT_LEAVING};
    }
    return begun;
}

static int plan_go_on(struct mu_scheduler *s, struct mu_plan_gang *plan, struct mu_plan_bind *binds)
{
    struct mu_error why = {0};
    int rc = mu_db_plan_again(s->db, plan, binds, &why);
    if (rc == 0) {
        bool claim = plan->bind_count > 1 && !mu_db_gang_started(s->db, binds[0].uid);
        rc = plan->evict_count > 0 ? mu_evict_gang(s, plan, claim, s->leaving_grace_s * MU_NS_PER_S)
                                   : mu_commit_gang(s, plan, claim, mu_db_admit);
    }
    if (rc == 0) {
        s->stats.plans_resumed++;
        mu_log(MU_LOG_INFO, "preemption goes on",
               MU_F_STR("gang", mu_db_gang_name(s->db, plan->gang)),
               MU_F_U64("victims_left", plan->evict_count), MU_F_END);
    } else if (rc == MU_ECONFLICT) {
        mu_log(MU_LOG_DEBUG, "preemption does not go on", MU_F_TEXT("why", why.text), MU_F_END);
    }
    return rc == MU_ECONFLICT ? 0 : rc;
}

static int resume_plan(struct mu_scheduler *s, const struct kept *kept, uint32_t count)
{
    if (!is_whole(kept, count))
        return 0; /* never begun, or settled in part */
    struct mu_plan_bind *binds = mu_mem_calloc(count, sizeof *binds);
    struct mu_plan_evict *evicts = mu_mem_calloc(count, sizeof *evicts);
    int rc = binds == NULL || evicts == NULL ? MU_ENOMEM : 0;
    if (rc == 0) {
        struct mu_plan_gang plan;
        uint32_t begun = plan_left(s, kept, count, &plan, binds, evicts);
        if (begun > 0 && plan.bind_count > 0)
            rc = plan_go_on(s, &plan, binds);
    }
    mu_mem_free(binds);
    mu_mem_free(evicts);
    return rc;
}

void mu_resume_run(struct mu_scheduler *s)
{
    if (s->former == NULL || !mu_scheduler_synced(s))
        return;
    struct keeping k = {.scheduler = s};
    int rc = mu_recovery_entries(s->former, keep_entry, &k);
    if (k.count > 0)
        qsort(k.kept, k.count, sizeof *k.kept, compare);
    for (uint32_t i = 0, end; rc == 0 && i < k.count; i = end) {
        for (end = i + 1; end < k.count && k.kept[end].incarnation == k.kept[i].incarnation &&
                          k.kept[end].plan == k.kept[i].plan;)
            end++;
        rc = resume_plan(s, &k.kept[i], end - i);
    }
    if (rc != 0) /* sessions decide anew: room that was to be held may go to others */
        mu_log(MU_LOG_WARN, "preemptions of the former run not looked at",
               MU_F_TEXT("error", mu_error_text(rc)), MU_F_END);
    mu_mem_free(k.kept);
    mu_recovery_destroy(s->former);
    s->former = NULL;
}
