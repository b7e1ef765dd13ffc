/*
 * Plans that need room which others take: journal -> deletes -> wait -> bind.
 *
 *   JOURNAL  admitted: the room of its binds is held beside the victims'. The entry names the pods
 *            for which room is held and the victims
 *   VICTIMS  durable. The proof is repeated before each batch of deletes; then it waits until the
 *            last victim is gone in our own view (a terminating one still takes its room)
 *   OVER     the proof was made once more and the binds took the way of any gang (commit.c), with
 *            an entry of their own: their versions are read now, and a version that was read
 *            after an entry was written may not be used under that entry. Or the plan was given
 *            up: the proof did not hold, or the deadline came. The entry is settled when no delete
 *            is open
 *
 * The deadline is that of the slowest victim: its grace period and evict_ns. Whoever is to be given
 * up has no victim that is not begun; those that are gone died for a plan that was proved when they
 * were deleted, and the gang is planned anew.
 */
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "tools/scheduler/scheduler_priv.h"

#define RETRY_NS (10 * MU_NS_PER_MS)
#define PAUSE_NS MU_NS_PER_S

static void group_free(struct mu_evict_group *g)
{
    if (g == NULL)
        return;
    mu_mem_free(g->binds);
    mu_mem_free(g->evicts);
    mu_mem_free(g->versions);
    mu_mem_free(g->entries);
    mu_mem_free(g);
}

void mu_evict_fini(struct mu_scheduler *s)
{
    for (uint32_t i = 0; i < s->evict_cap; i++)
        group_free(s->evict_groups[i]);
    mu_mem_free(s->evict_groups);
}

/* ---- the budget of evictions ------------------------------------------------------------------
 */

/* What is spent of the interval that *since_ns is set to the begin of; more than an interval's
 * worth is a debt. The first interval begins with the first eviction after all is paid off. */
static uint64_t spent_at(const struct mu_scheduler *s, uint64_t now_ns, uint64_t *since_ns)
{
    uint64_t passed = (now_ns - s->evictions_since_ns) / s->config.eviction_interval_ns;
    uint64_t worth = s->config.evictions_per_interval;
    if (passed >= (s->evictions_spent + worth - 1) / worth) {
        *since_ns = now_ns;
        return 0;
    }
    *since_ns = s->evictions_since_ns + passed * s->config.eviction_interval_ns;
    return s->evictions_spent - passed * worth;
}

void mu_scheduler_evictions(const struct mu_scheduler *s, uint64_t now_ns, uint32_t *max,
                            bool *any_first)
{
    uint64_t since_ns, worth = s->config.evictions_per_interval;
    *max = UINT32_MAX;
    *any_first = false;
    if (worth == 0)
        return;
    uint64_t spent = spent_at(s, now_ns, &since_ns);
    *max = spent < worth ? (uint32_t)(worth - spent) : 0;
    *any_first = spent == 0;
}

uint64_t mu_evict_refill_ns(const struct mu_scheduler *s)
{
    uint64_t since_ns;
    if (s->config.evictions_per_interval == 0)
        return UINT64_MAX;
    if (spent_at(s, s->now_ns, &since_ns) == 0)
        return s->now_ns + PAUSE_NS; /* what was planned was refused: not at once again */
    return since_ns + s->config.eviction_interval_ns;
}

static bool may_spend(const struct mu_scheduler *s, uint32_t victims)
{
    uint32_t max;
    bool any_first;
    mu_scheduler_evictions(s, s->now_ns, &max, &any_first);
    return any_first || victims <= max;
}

static void spend(struct mu_scheduler *s, uint32_t victims)
{
    if (s->config.evictions_per_interval != 0)
        s->evictions_spent = spent_at(s, s->now_ns, &s->evictions_since_ns) + victims;
}

/* They stay after all, or have gone by themselves. */
static void spare(struct mu_scheduler *s, uint32_t victims)
{
    if (s->config.evictions_per_interval == 0)
        return;
    uint64_t spent = spent_at(s, s->now_ns, &s->evictions_since_ns);
    s->evictions_spent = spent > victims ? spent - victims : 0;
}

/* ---- admitting ------------------------------------------------------------------------------ */

static void *copy_of(const void *from, uint32_t count, size_t size)
{
    void *copy = mu_mem_calloc(count, size);
    if (copy != NULL)
        memcpy(copy, from, count * size);
    return copy;
}

static struct mu_evict_group *group_create(const struct mu_plan_gang *gang)
{
    struct mu_evict_group *g = mu_mem_zalloc(sizeof *g);
    if (g == NULL)
        return NULL;
    g->write_count = gang->bind_count + gang->evict_count;
    g->entry_count = (g->write_count + MU_WRITES_PER_ENTRY - 1) / MU_WRITES_PER_ENTRY;
    g->binds = copy_of(gang->binds, gang->bind_count, sizeof *g->binds);
    g->evicts = copy_of(gang->evicts, gang->evict_count, sizeof *g->evicts);
    g->versions = mu_mem_calloc(gang->evict_count, sizeof *g->versions);
    g->entries = mu_mem_calloc(g->entry_count, sizeof *g->entries);
    if (g->binds == NULL || g->evicts == NULL || g->versions == NULL || g->entries == NULL) {
        group_free(g);
        return NULL;
    }
    g->plan = *gang;
    g->plan.binds = g->binds;
    g->plan.evicts = g->evicts;
    return g;
}

/* A free slot for one group more, of which there are fewer than MU_EVICT_GROUPS_MAX. */
static int slot_reserve(struct mu_scheduler *s, uint32_t *slot)
{
    for (*slot = 0; *slot < s->evict_cap; ++*slot)
        if (s->evict_groups[*slot] == NULL)
            return 0;
    void *groups = s->evict_groups;
    int rc = mu_mem_grow(&groups, &s->evict_cap, s->evict_cap + 1, MU_EVICT_GROUPS_MAX,
                         sizeof(struct mu_evict_group *));
    if (rc != 0)
        return rc;
    s->evict_groups = groups;
    for (uint32_t i = *slot; i < s->evict_cap; i++)
        s->evict_groups[i] = NULL;
    return 0;
}

/* Write number i of the plan: room that is held, then a victim. Names are valid for the call. */
static struct mu_journal_write write_of(struct mu_scheduler *s, struct mu_evict_group *g,
                                        uint32_t i, char *text)
{
    struct mu_journal_write w = {.kind = MU_JOURNAL_HOLD};
    struct mu_pod_view victim;
    if (i < g->plan.bind_count) {
        const struct mu_plan_bind *bind = &g->binds[i];
        w.uid = bind->uid;
        w.version = bind->version;
        w.node = mu_db_node_name(s->db, bind->node);
    } else {
        uint32_t e = i - g->plan.bind_count;
        w.kind = MU_JOURNAL_DELETE;
        w.node = mu_db_node_name(s->db, g->evicts[e].node);
        if (mu_db_evict_get(s->db, &g->evicts[e], &victim)) {
            w.uid = victim.uid;
            w.version = g->versions[e] = victim.version;
        }
    }
    if (w.uid.hi == MU_UID_TEXT) {
        uint32_t len = mu_db_uid_text(s->db, w.uid, text);
        w.uid_text = (struct mu_str){text, len};
    }
    return w;
}

static void settle_entries(struct mu_scheduler *s, const struct mu_evict_group *g, uint32_t writes)
{
    for (uint32_t i = 0; i < writes; i++)
        mu_journal_settle(s->journal, g->entries[i / MU_WRITES_PER_ENTRY]);
}

static int group_journal(struct mu_scheduler *s, struct mu_evict_group *g)
{
    struct mu_journal_write writes[MU_WRITES_PER_ENTRY];
    char texts[MU_WRITES_PER_ENTRY][MU_UID_BYTES_MAX + 1];
    struct mu_journal_entry entry = {.plan = ++s->plan_serial, .parts = g->entry_count};
    for (uint32_t e = 0; e < g->entry_count; e++) {
        uint32_t begin = e * MU_WRITES_PER_ENTRY;
        entry.part = e;
        entry.writes = writes;
        entry.count = 0;
        while (entry.count < MU_WRITES_PER_ENTRY && begin + entry.count < g->write_count) {
            uint32_t at = entry.count++;
            writes[at] = write_of(s, g, begin + at, texts[at]);
        }
        int rc = mu_journal_append(s->journal, &entry, &g->entries[e]);
        if (rc != 0) {
            settle_entries(s, g, begin); /* nothing was written for them */
            return rc;
        }
    }
    return 0;
}

/* Victims from number `from` on that are to be deleted for this plan. */
static uint32_t victims_of(const struct mu_plan_gang *gang, uint32_t from)
{
    uint32_t count = 0;
    for (uint32_t e = from; e < gang->evict_count; e++)
        count += (gang->evicts[e].flags & MU_EVICT_LEAVING) == 0;
    return count;
}

static int group_admit(struct mu_scheduler *s, struct mu_evict_group *g)
{
    struct mu_error why = {0};
    int rc = group_journal(s, g);
    if (rc != 0)
        return mu_commit_unwritable(s, &g->plan, g->write_count, rc);
    rc = mu_db_admit(s->db, &g->plan, &why);
    if (rc == 0)
        return 0;
    settle_entries(s, g, g->write_count);
    mu_log(MU_LOG_DEBUG, "preemption overtaken", MU_F_TEXT("why", why.text), MU_F_END);
    return rc;
}

int mu_evict_gang(struct mu_scheduler *s, const struct mu_plan_gang *gang, bool claim,
                  uint64_t extra_ns)
{
    uint32_t slot = 0;
    MU_ASSERT(gang->bind_count > 0 && gang->evict_count > 0);
    if (s->evict_count == MU_EVICT_GROUPS_MAX)
        return MU_ECONFLICT; /* the end of one of them is a change */
    if (!may_spend(s, victims_of(gang, 0))) {
        uint64_t refill_ns = mu_evict_refill_ns(s);
        s->wake_ns = refill_ns < s->wake_ns ? refill_ns : s->wake_ns;
        return MU_ECONFLICT;
    }
    int rc = slot_reserve(s, &slot);
    if (rc != 0)
        return rc;
    struct mu_evict_group *g = group_create(gang);
    if (g == NULL)
        return MU_ENOMEM;
    rc = group_admit(s, g);
    if (rc != 0) {
        group_free(g);
        return rc;
    }
    spend(s, victims_of(gang, 0));
    g->claim = claim;
    g->deadline_ns = s->now_ns + s->config.evict_ns + extra_ns;
    s->evict_groups[slot] = g;
    s->evict_count++;
    s->stats.plans_preempting++;
    mu_log(MU_LOG_INFO, "preempting", MU_F_STR("namespace", mu_db_gang_ns(s->db, gang->gang)),
           MU_F_STR("gang", mu_db_gang_name(s->db, gang->gang)),
           MU_F_U64("victims", victims_of(gang, 0)),
           MU_F_U64("budget_violations", gang->budget_violations), MU_F_END);
    if (s->config.observer.preemption != NULL)
        s->config.observer.preemption(s->config.observer.context, s->db, gang);
    return 0;
}

/* ---- going on ------------------------------------------------------------------------------- */

static void give_up(struct mu_scheduler *s, struct mu_evict_group *g, const char *why)
{
    mu_log(MU_LOG_INFO, "preemption given up",
           MU_F_STR("gang", mu_db_gang_name(s->db, g->plan.gang)),
           MU_F_U64("victims", g->plan.evict_count), MU_F_U64("begun", g->sent),
           MU_F_TEXT("why", why), MU_F_END);
    s->stats.plans_given_up++;
    spare(s, victims_of(&g->plan, g->sent));
    mu_db_waiting_drop(s->db, &g->plan);
    g->phase = MU_EVICT_OVER;
}

static bool durable(const struct mu_scheduler *s, const struct mu_evict_group *g)
{
    for (uint32_t i = 0; i < g->entry_count; i++)
        if (mu_journal_state(s->journal, g->entries[i]) != MU_JOURNAL_DURABLE)
            return false;
    return true;
}

/* Begin as many deletes as there is room for. The plan has just been proved. */
static void delete_batch(struct mu_scheduler *s, struct mu_evict_group *g, uint32_t slot)
{
    while (g->sent < g->plan.evict_count && mu_toucher_room(s->toucher) > 0) {
        struct mu_pod_view victim;
        char uid[MU_UID_BYTES_MAX + 1];
        uint32_t e = g->sent++;
        if ((g->evicts[e].flags & MU_EVICT_LEAVING) != 0)
            continue;
        if (g->versions[e] == 0 || !mu_db_evict_get(s->db, &g->evicts[e], &victim) ||
            victim.terminating) {
            spare(s, 1);
            continue;
        }
        struct mu_touch touch = {.id = (uint64_t)slot << 32 | e,
                                 .ns = victim.ns,
                                 .name = victim.name,
                                 .version = g->versions[e]};
        touch.uid = (struct mu_str){uid, mu_db_uid_text(s->db, victim.uid, uid)};
        int rc = mu_toucher_touch(s->toucher, &touch, s->now_ns, s->out);
        MU_ASSERT(rc == 0); /* there was room */
        g->open++;
        s->stats.victims++;
        mu_report_preempted(s, &victim, &g->plan);
    }
}

/* All victims are gone: the binds, at the versions that their pods have now. False: again later. */
static bool bind(struct mu_scheduler *s, struct mu_evict_group *g)
{
    for (uint32_t i = 0; i < g->plan.bind_count; i++) {
        struct mu_pod_view pod;
        if (!mu_db_pod_find(s->db, g->binds[i].uid, &pod)) {
            give_up(s, g, "a member left");
            return true;
        }
        g->binds[i].pod = pod.ix;
        g->binds[i].version = pod.version;
    }
    int rc = mu_commit_gang(s, &g->plan, g->claim, mu_db_waiting_bind);
    if (rc == MU_ECONFLICT)
        give_up(s, g, "the room is another's by now");
    else if (rc == 0)
        g->phase = MU_EVICT_OVER;
    return rc == 0 || rc == MU_ECONFLICT;
}

/* Go on with one plan. False: memory or the journal was short. */
static bool group_pump(struct mu_scheduler *s, struct mu_evict_group *g, uint32_t slot)
{
    struct mu_error why = {0};
    if (g->phase == MU_EVICT_JOURNAL && durable(s, g))
        g->phase = MU_EVICT_VICTIMS;
    if (g->phase == MU_EVICT_VICTIMS && g->sent < g->plan.evict_count &&
        mu_toucher_room(s->toucher) > 0) {
        int rc = mu_db_reprove(s->db, &g->plan, &why);
        if (rc == MU_ECONFLICT)
            give_up(s, g, why.text);
        else if (rc != 0)
            return false;
        else
            delete_batch(s, g, slot);
    }
    if (g->phase == MU_EVICT_VICTIMS && g->sent == g->plan.evict_count) {
        g->left = mu_db_evict_left(s->db, &g->plan, g->left);
        if (g->left == g->plan.evict_count)
            return bind(s, g);
    }
    if (g->phase != MU_EVICT_OVER && g->deadline_ns <= s->now_ns)
        give_up(s, g, "the victims take too long to leave");
    return true;
}

void mu_evict_pump(struct mu_scheduler *s)
{
    for (uint32_t i = 0; s->evict_count > 0 && i < s->evict_cap; i++) {
        struct mu_evict_group *g = s->evict_groups[i];
        if (g == NULL)
            continue;
        if (!group_pump(s, g, i))
            s->pump_ns = s->now_ns + RETRY_NS;
        if (g->phase != MU_EVICT_OVER || g->open > 0)
            continue;
        settle_entries(s, g, g->write_count);
        group_free(g);
        s->evict_groups[i] = NULL;
        s->evict_count--;
    }
}

void mu_evict_outcome(struct mu_scheduler *s, const struct mu_touch_outcome *outcome)
{
    uint32_t slot = (uint32_t)(outcome->id >> 32);
    MU_ASSERT(slot < s->evict_cap && s->evict_groups[slot] != NULL);
    struct mu_evict_group *g = s->evict_groups[slot];
    MU_ASSERT(g->open > 0);
    g->open--;
    uint64_t deadline_ns = s->now_ns + s->config.evict_ns + outcome->grace_s * MU_NS_PER_S;
    if (g->deadline_ns < deadline_ns)
        g->deadline_ns = deadline_ns;
}

uint64_t mu_evict_next_ns(const struct mu_scheduler *s)
{
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = 0; s->evict_count > 0 && i < s->evict_cap; i++) {
        const struct mu_evict_group *g = s->evict_groups[i];
        if (g != NULL && g->phase != MU_EVICT_OVER && g->deadline_ns < next_ns)
            next_ns = g->deadline_ns;
    }
    return next_ns;
}

bool mu_evict_drained(const struct mu_scheduler *s)
{
    for (uint32_t i = 0; s->evict_count > 0 && i < s->evict_cap; i++)
        if (s->evict_groups[i] != NULL && s->evict_groups[i]->open > 0)
            return false;
    return true;
}
