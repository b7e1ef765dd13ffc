/*
 * Plans out: admit -> journal -> binder -> outcome.
 *
 *   admitted (ledger charged) -> JOURNAL -> durable -> WRITING -> one of
 *     BOUND    final; the charge stays until the watch shows the pod
 *     REFUSED  its room is free, or HELD for a member of a gang that is partly bound; final once
 * our view has reached the version that the refusal saw (GONE: once the pod left it): before that a
 * new plan would repeat the stale write, and is not admitted denied   refused although nothing
 * changed: final, the pod waits (backoff.h)
 *
 * The journal entry of a bind is settled with its outcome; the ledger's charge lives longer (until
 * our own view shows the bind): that is what keeps a node from being given away twice.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "tools/scheduler/scheduler_priv.h"

#include <inttypes.h>
#include <stdio.h>

static bool slot_has_uid(const void *context, uint32_t slot, const void *key)
{
    const struct mu_scheduler *s = context;
    const struct mu_uid *uid = key;
    return mu_uid_equal(s->binds[slot].uid, *uid);
}

static uint64_t uid_hash(struct mu_uid uid)
{
    return mu_hash_mix(uid.hi, uid.lo);
}

static uint64_t slot_hash(const void *context, uint32_t slot)
{
    const struct mu_scheduler *s = context;
    return uid_hash(s->binds[slot].uid);
}

int mu_commit_init(struct mu_scheduler *s)
{
    s->bind_free = MU_NONE;
    s->pump_ns = UINT64_MAX;
    s->bind_by_uid = mu_index_create(1024, slot_has_uid, slot_hash, s);
    s->backoff = mu_backoff_create();
    return s->bind_by_uid == NULL || s->backoff == NULL ? MU_ENOMEM : 0;
}

static void group_unref(struct mu_commit_group *group)
{
    MU_ASSERT(group->refs > 0);
    if (--group->refs > 0)
        return;
    mu_mem_free(group->bind_slots);
    mu_mem_free(group->entries);
    mu_mem_free(group->names);
    mu_mem_free(group);
}

void mu_commit_fini(struct mu_scheduler *s)
{
    while (s->commit_head != NULL) {
        struct mu_commit_group *group = s->commit_head;
        s->commit_head = group->next;
        group_unref(group);
    }
    for (uint32_t i = 0; i < s->bind_cap; i++)
        if (s->binds[i].state != MU_OPEN_FREE)
            group_unref(s->binds[i].group);
    mu_evict_fini(s);
    mu_rollback_fini(s);
    mu_mem_free(s->binds);
    mu_mem_free(s->holds);
    mu_index_destroy(s->bind_by_uid);
    mu_backoff_destroy(s->backoff);
}

/* ---- slots -------------------------------------------------------------------------------- */

static int slots_reserve(struct mu_scheduler *s, uint32_t more)
{
    uint32_t old = s->bind_cap;
    if (s->bind_open + more <= old)
        return 0;
    void *binds = s->binds;
    int rc =
        mu_mem_grow(&binds, &s->bind_cap, s->bind_open + more, MU_OPEN_BINDS_MAX, sizeof *s->binds);
    if (rc != 0)
        return rc;
    s->binds = binds;
    for (uint32_t i = old; i < s->bind_cap; i++)
        s->binds[i] = (struct mu_open_bind){.state = MU_OPEN_FREE, .next_free = i + 1};
    s->binds[s->bind_cap - 1].next_free = s->bind_free;
    s->bind_free = old;
    return 0;
}

static uint64_t bind_id(const struct mu_scheduler *s, uint32_t slot)
{
    return (uint64_t)s->binds[slot].serial << 32 | slot;
}

/* The outcome is final: forget the bind, and its group with the last one. */
static void bind_close(struct mu_scheduler *s, uint32_t slot)
{
    struct mu_open_bind *bind = &s->binds[slot];
    MU_ASSERT(bind->state != MU_OPEN_FREE);
    mu_index_remove(s->bind_by_uid, uid_hash(bind->uid), slot);
    group_unref(bind->group);
    *bind = (struct mu_open_bind){.state = MU_OPEN_FREE, .next_free = s->bind_free};
    s->bind_free = slot;
    s->bind_open--;
}

/* ---- admitting ---------------------------------------------------------------------------- */

static struct mu_commit_group *group_create(struct mu_scheduler *s, const struct mu_plan_gang *gang)
{
    size_t name_bytes = 0;
    for (uint32_t i = 0; i < gang->bind_count; i++)
        name_bytes += mu_db_node_name(s->db, gang->binds[i].node).len;
    uint32_t entries = (gang->bind_count + MU_WRITES_PER_ENTRY - 1) / MU_WRITES_PER_ENTRY;
    struct mu_commit_group *group = mu_mem_zalloc(sizeof *group);
    if (group == NULL)
        return NULL;
    group->refs = 1;
    group->bind_slots = mu_mem_calloc(gang->bind_count, sizeof *group->bind_slots);
    group->entries = mu_mem_calloc(entries, sizeof *group->entries);
    group->names = mu_mem_alloc(name_bytes + 1);
    if (group->bind_slots == NULL || group->entries == NULL || group->names == NULL) {
        group_unref(group);
        return NULL;
    }
    group->bind_count = gang->bind_count;
    group->entry_count = entries;
    group->serial = ++s->plan_serial;
    (void)snprintf(group->plan, sizeof group->plan, "%" PRIx64 "-%" PRIx64, s->config.incarnation,
                   group->serial);
    return group;
}

/* Fill the reserved bind slots. On failure nothing is left of it. */
static int group_fill(struct mu_scheduler *s, struct mu_commit_group *group,
                      const struct mu_plan_gang *gang)
{
    char *name_at = group->names;
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        const struct mu_plan_bind *planned = &gang->binds[i];
        struct mu_str node = mu_db_node_name(s->db, planned->node);
        uint32_t slot = s->bind_free;
        MU_ASSERT(slot < s->bind_cap && s->binds[slot].state == MU_OPEN_FREE);
        struct mu_open_bind *bind = &s->binds[slot];
        uint32_t next_free = bind->next_free;
        *bind = (struct mu_open_bind){.state = MU_OPEN_JOURNAL,
                                      .serial = ++s->bind_serial,
                                      .uid = planned->uid,
                                      .version = planned->version,
                                      .devices = planned->devices,
                                      .node = {name_at, node.len},
                                      .group = group};
        memcpy(name_at, node.data, node.len);
        name_at += node.len;
        if (mu_index_insert(s->bind_by_uid, uid_hash(bind->uid), slot) != 0) {
            *bind = (struct mu_open_bind){.state = MU_OPEN_FREE, .next_free = next_free};
            while (i-- > 0)
                bind_close(s, group->bind_slots[i]);
            return MU_ENOMEM;
        }
        s->bind_free = next_free;
        s->bind_open++;
        group->bind_slots[i] = slot;
        group->refs++;
    }
    return 0;
}

/* Append the group's journal entries. When one is refused the earlier ones are settled at once:
 * nothing was written for them. */
static int group_journal(struct mu_scheduler *s, struct mu_commit_group *group, struct mu_str gang)
{
    struct mu_journal_write writes[MU_WRITES_PER_ENTRY];
    char texts[MU_WRITES_PER_ENTRY][MU_UID_BYTES_MAX + 1];
    for (uint32_t e = 0; e < group->entry_count; e++) {
        uint32_t begin = e * MU_WRITES_PER_ENTRY;
        uint32_t count = group->bind_count - begin;
        if (count > MU_WRITES_PER_ENTRY)
            count = MU_WRITES_PER_ENTRY;
        for (uint32_t i = 0; i < count; i++) {
            const struct mu_open_bind *bind = &s->binds[group->bind_slots[begin + i]];
            writes[i] = (struct mu_journal_write){.kind = MU_JOURNAL_BIND,
                                                  .uid = bind->uid,
                                                  .version = bind->version,
                                                  .node = bind->node};
            if (bind->uid.hi == MU_UID_TEXT) {
                uint32_t len = mu_db_uid_text(s->db, bind->uid, texts[i]);
                writes[i].uid_text = (struct mu_str){texts[i], len};
            }
        }
        struct mu_journal_entry entry = {.plan = group->serial,
                                         .part = e,
                                         .parts = group->entry_count,
                                         .gang = gang,
                                         .count = count,
                                         .writes = writes};
        int rc = mu_journal_append(s->journal, &entry, &group->entries[e]);
        if (rc != 0) {
            for (uint32_t i = 0; i < begin; i++)
                mu_journal_settle(s->journal, group->entries[i / MU_WRITES_PER_ENTRY]);
            return rc;
        }
        for (uint32_t i = 0; i < count; i++)
            s->binds[group->bind_slots[begin + i]].entry = group->entries[e];
    }
    return 0;
}

/* Take back a group that was not admitted: nothing was written for it. */
static void group_drop(struct mu_scheduler *s, struct mu_commit_group *group, bool journaled)
{
    for (uint32_t i = 0; i < group->bind_count; i++) {
        uint32_t slot = group->bind_slots[i];
        if (journaled)
            mu_journal_settle(s->journal, s->binds[slot].entry);
        bind_close(s, slot);
    }
    group_unref(group);
}

/* A pod with a bind that is not final yet (a refusal waits for our view) is not bound again. */
static bool any_open(const struct mu_scheduler *s, const struct mu_plan_gang *gang)
{
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        struct mu_uid uid = gang->binds[i].uid;
        if (mu_index_find(s->bind_by_uid, uid_hash(uid), &uid) != MU_INDEX_NONE)
            return true;
    }
    return false;
}

int mu_commit_unwritable(struct mu_scheduler *s, const struct mu_plan_gang *gang, uint32_t writes,
                         int rc)
{
    /* An entry that no slot takes, or a gang that not even the empty ring takes, will never do. */
    bool never = rc == MU_EINVAL || (rc == MU_ELIMIT && mu_journal_open_entries(s->journal) == 0);
    if (!never)
        return rc;
    s->stats.plans_unwritable++;
    mu_log(MU_LOG_ERROR, "gang too large for the journal",
           MU_F_STR("namespace", mu_db_gang_ns(s->db, gang->gang)),
           MU_F_STR("gang", mu_db_gang_name(s->db, gang->gang)), MU_F_U64("writes", writes),
           MU_F_END);
    return MU_ECONFLICT;
}

static int journal_gang(struct mu_scheduler *s, struct mu_commit_group *group,
                        const struct mu_plan_gang *gang)
{
    char name[512];
    struct mu_str ns = mu_db_gang_ns(s->db, gang->gang), gn = mu_db_gang_name(s->db, gang->gang);
    int len = snprintf(name, sizeof name, "%.*s/%.*s", MU_STR_ARGS(ns), MU_STR_ARGS(gn));
    uint32_t kept = len < (int)sizeof name ? (uint32_t)len : (uint32_t)sizeof name - 1;
    if (gang->bind_count == 1 && gang->size == 1)
        kept = 0; /* a lone pod: its UID says it */
    int rc = group_journal(s, group, (struct mu_str){name, kept});
    return rc == 0 ? 0 : mu_commit_unwritable(s, gang, gang->bind_count, rc);
}

/* Reserve, journal, then admit: what can fail comes before the ledger is touched, and an entry that
 * is settled before it was written costs nothing. */
int mu_commit_gang(struct mu_scheduler *s, const struct mu_plan_gang *gang, bool claim,
                   mu_commit_admit_fn admit)
{
    struct mu_error why = {0};
    int rc = slots_reserve(s, gang->bind_count);
    if (rc != 0)
        return rc;
    struct mu_commit_group *group = group_create(s, gang);
    if (group == NULL)
        return MU_ENOMEM;
    rc = group_fill(s, group, gang);
    if (rc != 0) {
        group_unref(group);
        return rc;
    }
    rc = journal_gang(s, group, gang);
    if (rc != 0) {
        group_drop(s, group, false);
        return rc;
    }
    rc = admit(s->db, gang, &why);
    if (rc != 0) {
        mu_log(MU_LOG_DEBUG, "plan overtaken", MU_F_TEXT("why", why.text), MU_F_END);
        group_drop(s, group, true);
        return rc;
    }
    group->claim = claim;
    if (s->commit_tail != NULL)
        s->commit_tail->next = group;
    else
        s->commit_head = group;
    s->commit_tail = group;
    s->stats.plans_admitted++;
    s->stats.binds_planned += gang->bind_count;
    if (s->config.observer.decision != NULL)
        s->config.observer.decision(s->config.observer.context, s->db, gang);
    return 0;
}

static int commit_planned(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                          const struct mu_plan_gang *gang)
{
    const struct mu_gang_row *row = &snapshot->gangs[gang->gang.v];
    if (any_open(s, gang))
        return MU_ECONFLICT;
    /* The session lets nobody follow an open claim, so what is placed already is bound. */
    bool claim = row->bound_count == 0 && gang->bind_count > 1;
    int rc = gang->evict_count > 0 ? mu_evict_gang(s, gang, claim, 0)
                                   : mu_commit_gang(s, gang, claim, mu_db_admit);
    if (rc == 0 && (row->flags & MU_GANG_SHORT) != 0)
        s->stats.plans_completing++;
    return rc;
}

/* What overtook the plan may have been a new version of a pod and nothing else, such as our own
 * report on it: that asks for no session by itself. */
static void note_conflict(struct mu_scheduler *s)
{
    struct mu_db_counts counts;
    mu_db_counts(s->db, &counts);
    if (counts.versions_moved != s->seen_versions && s->dirty_ns == UINT64_MAX)
        s->dirty_ns = s->now_ns;
}

static void wake_by(struct mu_scheduler *s, uint64_t at_ns)
{
    if (at_ns < s->wake_ns)
        s->wake_ns = at_ns;
}

/* It waits for victims of another gang of the plan, and that one was not admitted: nobody may ever
 * delete them. Tried again after a pause, when no change does it before. */
static bool relies_on_refused(struct mu_scheduler *s, const struct mu_plan_gang *gang)
{
    for (uint32_t i = 0; i < gang->evict_count; i++) {
        struct mu_pod_view pod;
        if ((gang->evicts[i].flags & MU_EVICT_LEAVING) == 0 ||
            !mu_db_evict_get(s->db, &gang->evicts[i], &pod) || pod.terminating)
            continue;
        wake_by(s, s->now_ns + MU_NS_PER_S);
        return true;
    }
    return false;
}

void mu_commit_plan(struct mu_scheduler *s, const struct mu_snapshot *snapshot,
                    const struct mu_plan *plan)
{
    bool refused = false; /* some gang with victims */
    for (uint32_t i = 0; i < plan->gang_count; i++) {
        const struct mu_plan_gang *gang = &plan->gangs[i];
        int rc = refused && relies_on_refused(s, gang) ? MU_ECONFLICT
                                                       : commit_planned(s, snapshot, gang);
        refused = refused || (rc != 0 && gang->evict_count > 0);
        if (rc == MU_ECONFLICT) {
            s->stats.plans_conflicted++;
            note_conflict(s);
        } else if (rc != 0) {
            /* Journal full or memory short: the rest stays pending, a later session takes it. */
            mu_log(MU_LOG_WARN, "plan cut short", MU_F_U64("admitted", i),
                   MU_F_U64("planned", plan->gang_count), MU_F_TEXT("error", mu_error_text(rc)),
                   MU_F_END);
            wake_by(s, s->now_ns + 100 * MU_NS_PER_MS);
            break;
        }
        if (i % 64 == 63)
            mu_commit_pump(s);
    }
    mu_commit_pump(s);
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool group_durable(const struct mu_scheduler *s, const struct mu_commit_group *group)
{
    for (uint32_t i = 0; i < group->entry_count; i++)
        if (mu_journal_state(s->journal, group->entries[i]) != MU_JOURNAL_DURABLE)
            return false;
    return true;
}

static void outcome_tell(struct mu_scheduler *s, struct mu_uid uid, enum mu_bind_result result)
{
    if (s->config.observer.outcome == NULL)
        return;
    char text[MU_UID_BYTES_MAX + 1];
    uint32_t len = mu_db_uid_text(s->db, uid, text);
    s->config.observer.outcome(s->config.observer.context, (struct mu_str){text, len}, result);
}

/* The bind can not be written (any more): free its room, settle its entry. */
static void bind_void(struct mu_scheduler *s, uint32_t slot)
{
    mu_journal_settle(s->journal, s->binds[slot].entry);
    outcome_tell(s, s->binds[slot].uid, MU_BIND_REFUSED);
    mu_db_bind_refused(s->db, s->binds[slot].uid, false);
    bind_close(s, slot);
}

static int group_submit(struct mu_scheduler *s, struct mu_commit_group *group)
{
    struct mu_bind *binds = mu_mem_calloc(group->bind_count, sizeof *binds);
    char(*uids)[MU_UID_BYTES_MAX + 1] = mu_mem_calloc(group->bind_count, sizeof *uids);
    int rc = binds == NULL || uids == NULL ? MU_ENOMEM : 0;
    uint32_t count = 0;
    for (uint32_t i = 0; rc == 0 && i < group->bind_count; i++) {
        struct mu_open_bind *bind = &s->binds[group->bind_slots[i]];
        struct mu_pod_view pod;
        if (!mu_db_pod_find(s->db, bind->uid, &pod))
            continue; /* deleted while the journal was written: voided below */
        uint32_t len = mu_db_uid_text(s->db, bind->uid, uids[i]);
        binds[count++] = (struct mu_bind){.id = bind_id(s, group->bind_slots[i]),
                                          .ns = pod.ns,
                                          .name = pod.name,
                                          .uid = {uids[i], len},
                                          .node = bind->node,
                                          .version = bind->version,
                                          .devices = bind->devices};
    }
    if (rc == 0 && count > 0) {
        struct mu_bind_group out = {
            .plan = mu_str_of(group->plan), .claim = group->claim, .count = count, .binds = binds};
        rc = mu_binder_submit(s->binder, &out, s->now_ns, s->out);
    }
    mu_mem_free(binds);
    mu_mem_free(uids);
    return rc;
}

/* True when each pod of the group is as it was when the gang was admitted. */
static bool group_whole(const struct mu_scheduler *s, const struct mu_commit_group *group)
{
    for (uint32_t i = 0; i < group->bind_count; i++) {
        const struct mu_open_bind *bind = &s->binds[group->bind_slots[i]];
        struct mu_pod_view pod;
        if (!mu_db_pod_find(s->db, bind->uid, &pod) || pod.version != bind->version)
            return false;
    }
    return true;
}

/* Hand a durable group to the binder. A gang that lost a member before its first write is not
 * begun: part of it would be bound by our own choice. */
static int group_hand_over(struct mu_scheduler *s, struct mu_commit_group *group)
{
    bool dead = group->claim && !group_whole(s, group);
    int rc = dead ? 0 : group_submit(s, group);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < group->bind_count; i++) {
        struct mu_pod_view pod;
        struct mu_open_bind *bind = &s->binds[group->bind_slots[i]];
        MU_ASSERT(bind->group == group && bind->state == MU_OPEN_JOURNAL);
        if (!dead && mu_db_pod_find(s->db, bind->uid, &pod))
            bind->state = MU_OPEN_WRITING;
        else
            bind_void(s, group->bind_slots[i]);
    }
    return 0;
}

void mu_commit_pump(struct mu_scheduler *s)
{
    mu_durable_run(s);
    s->pump_ns = UINT64_MAX;
    if (mu_durable_open(s)) {
        mu_resume_run(s);
        mu_durable_run(s); /* what has just been appended is written within the same call */
        mu_evict_pump(s);
        mu_rollback_pump(s);
        mu_durable_run(s);
    }
    while (s->commit_head != NULL && mu_durable_open(s)) {
        struct mu_commit_group *group = s->commit_head;
        if (!group_durable(s, group) && !MU_PLANTED(MU_PLANT_UNAWAITED))
            return;
        if (group_hand_over(s, group) != 0) {
            s->pump_ns = s->now_ns + 10 * MU_NS_PER_MS; /* memory short, or the binder is full */
            return;
        }
        s->commit_head = group->next;
        if (s->commit_head == NULL)
            s->commit_tail = NULL;
        group->next = NULL;
        group_unref(group);
    }
}

/* ---- outcomes ----------------------------------------------------------------------------- */

static void hold_until_deadline(struct mu_scheduler *s, struct mu_uid uid)
{
    for (uint32_t i = s->hold_head; i < s->hold_count; i++)
        if (mu_uid_equal(s->holds[i].uid, uid))
            s->holds[i].live = false; /* an earlier hold of the pod must not end this one */
    if (s->hold_head == s->hold_count)
        s->hold_head = s->hold_count = 0;
    if (s->hold_count == s->hold_cap && s->hold_head > 0) {
        memmove(s->holds, s->holds + s->hold_head,
                (s->hold_count - s->hold_head) * sizeof *s->holds);
        s->hold_count -= s->hold_head;
        s->hold_head = 0;
    }
    void *holds = s->holds;
    if (mu_mem_grow(&holds, &s->hold_cap, s->hold_count + 1, MU_HOLDS_MAX, sizeof *s->holds) != 0) {
        mu_db_held_release(s->db, uid); /* the deadline cannot be remembered: do not hold */
        return;
    }
    s->holds = holds;
    s->holds[s->hold_count++] = (struct mu_hold){uid, s->now_ns + s->config.hold_ns, true};
}

/* A refusal is final when our view shows what the server saw. Its room was freed, or held, when it
 * was heard of: nothing may be placed by where the pod was to be. */
static void refusal_settle(struct mu_scheduler *s, uint32_t slot)
{
    struct mu_open_bind *bind = &s->binds[slot];
    struct mu_pod_view pod;
    bool there = mu_db_pod_find(s->db, bind->uid, &pod);
    if (there && pod.version < bind->version)
        return;
    bool held = there && pod.node.v == MU_NONE && !pod.terminating &&
                mu_db_ledger_state(s->db, bind->uid, NULL) == MU_LEDGER_HELD;
    if (held && mu_db_gang_started(s->db, bind->uid))
        hold_until_deadline(s, bind->uid);
    else
        mu_db_held_release(s->db, bind->uid);
    bind_close(s, slot);
    if (s->dirty_ns == UINT64_MAX) /* the pod may be planned again; its new version says nothing */
        s->dirty_ns = s->now_ns;
}

/* Denied although nothing changed: a new plan would be the same write. The pod waits, its room is
 * free. */
static void denial_settle(struct mu_scheduler *s, uint32_t slot)
{
    struct mu_uid uid = s->binds[slot].uid;
    struct mu_pod_view pod;
    bool first = false;
    mu_db_bind_refused(s->db, uid, false);
    bind_close(s, slot);
    if (mu_backoff_denied(s->backoff, uid, s->now_ns, &first) > s->now_ns)
        mu_db_pod_block(s->db, uid, MU_RULE_REFUSED, true);
    s->stats.binds_denied++;
    if (first && mu_db_pod_find(s->db, uid, &pod))
        mu_log(MU_LOG_WARN, "binding denied by the server", MU_F_STR("namespace", pod.ns),
               MU_F_STR("name", pod.name), MU_F_END);
}

void mu_commit_outcome(void *context, const struct mu_bind_outcome *outcome)
{
    struct mu_scheduler *s = context;
    uint32_t slot = (uint32_t)outcome->id;
    MU_ASSERT(slot < s->bind_cap && s->binds[slot].serial == (uint32_t)(outcome->id >> 32));
    struct mu_open_bind *bind = &s->binds[slot];
    MU_ASSERT(bind->state == MU_OPEN_JOURNAL || bind->state == MU_OPEN_WRITING);
    mu_journal_settle(s->journal, bind->entry);
    outcome_tell(s, bind->uid, outcome->result);
    if (outcome->result == MU_BIND_BOUND) {
        if (MU_PLANTED(MU_PLANT_FREED))
            mu_db_bind_refused(s->db, bind->uid, false);
        mu_db_bind_confirmed(s->db, bind->uid);
        mu_report_bound_pod(s, bind->uid, bind->node);
        bind_close(s, slot);
    } else if (outcome->result == MU_BIND_REFUSED && outcome->version == 0 &&
               outcome->attempts > 0) {
        denial_settle(s, slot);
    } else {
        /* Gone: until our own view shows that the pod left, it would be planned again. */
        bind->state = MU_OPEN_REFUSED;
        bind->version = outcome->result == MU_BIND_GONE ? UINT64_MAX : outcome->version;
        mu_db_bind_refused(s->db, bind->uid, mu_db_gang_started(s->db, bind->uid));
        refusal_settle(s, slot);
    }
}

void mu_commit_observe(struct mu_scheduler *s, struct mu_uid uid, bool gone)
{
    uint32_t slot = mu_index_find(s->bind_by_uid, uid_hash(uid), &uid);
    if (slot == MU_INDEX_NONE)
        return;
    struct mu_open_bind *bind = &s->binds[slot];
    struct mu_pod_view pod = {.node = {MU_NONE}};
    bool there = !gone && mu_db_pod_find(s->db, uid, &pod);
    if (bind->state == MU_OPEN_REFUSED) {
        refusal_settle(s, slot);
    } else if (bind->state == MU_OPEN_WRITING) {
        bool bound = there && pod.node.v != MU_NONE;
        bool ours = bound && mu_str_equal(mu_db_node_name(s->db, pod.node), bind->node);
        mu_binder_observe(s->binder, bind_id(s, slot), there ? pod.version : 0, ours,
                          bound && !ours, !there, s->now_ns, s->out);
    }
}

void mu_commit_observe_all(struct mu_scheduler *s)
{
    for (uint32_t i = 0; i < s->bind_cap; i++) {
        struct mu_pod_view pod;
        if (s->binds[i].state != MU_OPEN_FREE && !mu_db_pod_find(s->db, s->binds[i].uid, &pod))
            mu_commit_observe(s, s->binds[i].uid, true);
    }
}

void mu_commit_expire(struct mu_scheduler *s)
{
    struct mu_uid uid;
    while (s->hold_head < s->hold_count && s->holds[s->hold_head].deadline_ns <= s->now_ns) {
        const struct mu_hold *hold = &s->holds[s->hold_head++];
        if (hold->live)
            mu_db_held_release(s->db, hold->uid);
    }
    while (mu_backoff_due(s->backoff, s->now_ns, &uid))
        mu_db_pod_block(s->db, uid, MU_RULE_REFUSED, false);
}

uint64_t mu_commit_next_ns(const struct mu_scheduler *s)
{
    uint64_t next_ns = mu_backoff_next_ns(s->backoff);
    if (s->hold_head < s->hold_count && s->holds[s->hold_head].deadline_ns < next_ns)
        next_ns = s->holds[s->hold_head].deadline_ns;
    return s->pump_ns < next_ns ? s->pump_ns : next_ns;
}
