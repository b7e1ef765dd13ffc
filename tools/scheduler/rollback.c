/*
 * The end of gangs that are bound in part: journal -> deletes -> gone.
 *
 *   JOURNAL  admitted: nobody of the gang is placed any more. The entry names its bound members
 * that a controller owns, at the versions that they have DELETE   durable, and the gang is still
 * bound in part: they are deleted, as many at a time as there is room for. From the first delete on
 * there is no way back LEAVE    every delete has been answered; over when our own view shows none
 * of them as a member
 *
 * Whether a gang is ended is a session's decision (engine/session/end.c), what it may be the DB's
 * (engine/db/gang_end.c). Before the first delete it is given up when the gang is no longer what
 * the plan took it for. A delete names the journaled version, or one that was seen before the
 * journal was found open (informer/toucher.h): a scheduler that ends in between leaves no late
 * delete behind, and its successor finds a gang that is bound in part, of which some have gone.
 *
 * Who has no controller is kept, since nobody would make him again. What such a gang, or one that
 * the operator wants to keep, amounts to is told once.
 */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "tools/scheduler/scheduler_priv.h"

#include <stdio.h>

#define AGAIN_NS      MU_NS_PER_S          /* a plan that was refused is made again */
#define SHORTAGE_NS   (100 * MU_NS_PER_MS) /* the journal is full, or memory short */
#define ROLLBACK_MARK (UINT64_C(1) << 63)  /* in the id of a touch */
_Static_assert(MU_ROLLBACKS_MAX <= 1u << 31, "a slot fits an id beside the mark");

static void rollback_free(struct mu_rollback *r)
{
    if (r == NULL)
        return;
    mu_mem_free(r->pods);
    mu_mem_free(r->entries);
    mu_mem_free(r);
}

void mu_rollback_fini(struct mu_scheduler *s)
{
    for (uint32_t i = 0; i < MU_ROLLBACKS_MAX; i++)
        rollback_free(s->rollbacks[i]);
    mu_mem_free(s->shorts_told);
}

static void tell(struct mu_scheduler *s, enum mu_log_level level, const char *what,
                 const struct mu_plan_end *end, uint32_t members)
{
    mu_log(level, what, MU_F_STR("namespace", mu_db_gang_ns(s->db, end->gang)),
           MU_F_STR("gang", mu_db_gang_name(s->db, end->gang)), MU_F_U64("bound", end->have),
           MU_F_U64("needs", end->need), MU_F_U64("members", members), MU_F_END);
}

/* ---- those that are kept ------------------------------------------------------------------------
 */

/* False: it was told before. */
static bool note_kept(struct mu_scheduler *s, const struct mu_plan_end *end)
{
    void *told = s->shorts_told;
    uint32_t old = s->shorts_cap;
    if (end->gang.v >= old) {
        if (mu_mem_grow(&told, &s->shorts_cap, end->gang.v + 1, MU_GANGS_MAX,
                        sizeof *s->shorts_told) != 0)
            return false; /* the next session says it again */
        s->shorts_told = told;
        memset(&s->shorts_told[old], 0, (s->shorts_cap - old) * sizeof *s->shorts_told);
    }
    struct mu_short_told *t = &s->shorts_told[end->gang.v];
    if (t->since_ns == end->since_ns && t->generation == end->gang_generation)
        return false;
    *t = (struct mu_short_told){end->since_ns, end->gang_generation};
    return true;
}

/* ---- admitting ----------------------------------------------------------------------------------
 */

/* Members whose end it is; with r->pods, they are written there. Returns how many. */
static uint32_t collect(const struct mu_scheduler *s, const struct mu_plan_end *end,
                        struct mu_rollback *r)
{
    struct mu_pod_ix ix = {MU_NONE};
    uint32_t count = 0;
    while (mu_db_gang_member(s->db, end->gang, &ix)) {
        struct mu_pod_view pod;
        if (!mu_db_pod_get(s->db, ix, &pod) || pod.node.v == MU_NONE || !pod.controlled)
            continue;
        if (r->pods != NULL)
            r->pods[count] = (struct mu_rollback_pod){pod.uid, pod.version};
        count++;
    }
    return count;
}

static struct mu_rollback *rollback_create(const struct mu_scheduler *s,
                                           const struct mu_plan_end *end)
{
    struct mu_rollback *r = mu_mem_zalloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->end = *end;
    r->count = collect(s, end, r);
    r->entry_count = (r->count + MU_WRITES_PER_ENTRY - 1) / MU_WRITES_PER_ENTRY;
    r->pods = mu_mem_calloc(r->count + 1u, sizeof *r->pods);
    r->entries = mu_mem_calloc(r->entry_count + 1u, sizeof *r->entries);
    if (r->pods == NULL || r->entries == NULL) {
        rollback_free(r);
        return NULL;
    }
    (void)collect(s, end, r);
    return r;
}

static void settle_entries(struct mu_scheduler *s, const struct mu_rollback *r, uint32_t writes)
{
    for (uint32_t i = 0; i < writes; i++)
        mu_journal_settle(s->journal, r->entries[i / MU_WRITES_PER_ENTRY]);
}

/* The names in it are valid as long as nothing is changed in the DB. */
static struct mu_journal_write write_of(struct mu_scheduler *s, const struct mu_rollback_pod *pod,
                                        char *text)
{
    struct mu_pod_view view;
    struct mu_journal_write w = {
        .kind = MU_JOURNAL_DELETE, .uid = pod->uid, .version = pod->version};
    if (mu_db_pod_find(s->db, pod->uid, &view))
        w.node = mu_db_node_name(s->db, view.node);
    if (w.uid.hi == MU_UID_TEXT)
        w.uid_text = (struct mu_str){text, mu_db_uid_text(s->db, w.uid, text)};
    return w;
}

/* Appends its entries, or nothing. */
static int rollback_journal(struct mu_scheduler *s, struct mu_rollback *r)
{
    struct mu_journal_write writes[MU_WRITES_PER_ENTRY];
    char texts[MU_WRITES_PER_ENTRY][MU_UID_BYTES_MAX + 1];
    struct mu_journal_entry entry = {.plan = ++s->plan_serial, .parts = r->entry_count};
    for (uint32_t e = 0; e < r->entry_count; e++) {
        const uint32_t begin = e * MU_WRITES_PER_ENTRY;
        entry.part = e;
        entry.writes = writes;
        entry.count = 0;
        while (entry.count < MU_WRITES_PER_ENTRY && begin + entry.count < r->count) {
            uint32_t at = entry.count++;
            writes[at] = write_of(s, &r->pods[begin + at], texts[at]);
        }
        int rc = mu_journal_append(s->journal, &entry, &r->entries[e]);
        if (rc != 0) {
            settle_entries(s, r, begin);
            return rc;
        }
    }
    return 0;
}

/* Returns 0; MU_ECONFLICT: the gang is not what the plan took it for; or an error: nothing has
 * changed, and no further one now. */
static int begin(struct mu_scheduler *s, const struct mu_plan_end *end)
{
    struct mu_error why = {0};
    uint32_t slot = 0;
    while (slot < MU_ROLLBACKS_MAX && s->rollbacks[slot] != NULL)
        slot++;
    if (slot == MU_ROLLBACKS_MAX)
        return MU_ELIMIT;
    struct mu_rollback *r = rollback_create(s, end);
    if (r == NULL)
        return MU_ENOMEM;
    int rc = r->count == 0 ? MU_ECONFLICT : rollback_journal(s, r);
    if (rc == 0) {
        rc = mu_db_gang_end(s->db, end, &why);
        if (rc != 0)
            settle_entries(s, r, r->count);
    }
    if (rc != 0) {
        rollback_free(r);
        return rc;
    }
    s->rollbacks[slot] = r;
    s->rollback_count++;
    return 0;
}

void mu_rollback_plan(struct mu_scheduler *s, const struct mu_plan *plan)
{
    for (uint32_t i = 0; i < plan->end_count; i++) {
        const struct mu_plan_end *end = &plan->ends[i];
        uint64_t again_ns = s->now_ns + AGAIN_NS;
        if (end->kept) {
            if (note_kept(s, end)) {
                s->stats.gangs_kept_short++;
                tell(s, MU_LOG_WARN, "gang stays bound in part", end, 0);
            }
            continue;
        }
        int rc = begin(s, end);
        if (rc == 0)
            continue;
        if (rc != MU_ECONFLICT) {
            again_ns = s->now_ns + SHORTAGE_NS;
            mu_log(MU_LOG_WARN, "gang not rolled back yet",
                   MU_F_STR("gang", mu_db_gang_name(s->db, end->gang)),
                   MU_F_TEXT("error", mu_error_text(rc)), MU_F_END);
        }
        if (again_ns < s->wake_ns)
            s->wake_ns = again_ns;
        if (rc != MU_ECONFLICT)
            return;
    }
}

/* ---- going on -----------------------------------------------------------------------------------
 */

static bool durable(const struct mu_scheduler *s, const struct mu_rollback *r)
{
    for (uint32_t i = 0; i < r->entry_count; i++)
        if (mu_journal_state(s->journal, r->entries[i]) != MU_JOURNAL_DURABLE)
            return false;
    return true;
}

/* A pod that is still there and was not told to go. */
static bool stays(const struct mu_scheduler *s, const struct mu_rollback_pod *pod,
                  struct mu_pod_view *view)
{
    return mu_db_pod_find(s->db, pod->uid, view) && !view->terminating && !view->terminal;
}

static void delete_batch(struct mu_scheduler *s, struct mu_rollback *r, uint32_t slot)
{
    while (r->sent < r->count && mu_toucher_room(s->toucher) > 0) {
        const uint32_t i = r->sent++;
        struct mu_pod_view pod;
        char uid[MU_UID_BYTES_MAX + 1];
        if (!stays(s, &r->pods[i], &pod))
            continue;
        struct mu_touch touch = {.id = ROLLBACK_MARK | (uint64_t)slot << 32 | i,
                                 .ns = pod.ns,
                                 .name = pod.name,
                                 .version = r->pods[i].version,
                                 .cause = MU_TOUCH_GANG_SHORT};
        touch.uid = (struct mu_str){uid, mu_db_uid_text(s->db, pod.uid, uid)};
        int rc = mu_toucher_touch(s->toucher, &touch, s->now_ns, s->out);
        MU_ASSERT(rc == 0); /* there was room */
        r->open++;
        s->stats.members_ended++;
    }
}

/* Durable: the first delete, unless the gang is another by now. False: given up. */
static bool commence(struct mu_scheduler *s, struct mu_rollback *r)
{
    if (!mu_db_gang_end_holds(s->db, &r->end)) {
        mu_log(MU_LOG_DEBUG, "gang not rolled back: it is no longer bound in part", MU_F_END);
        return false;
    }
    tell(s, MU_LOG_WARN, "gang rolled back", &r->end, r->count);
    s->stats.gangs_rolled_back++;
    if (s->config.observer.ending != NULL)
        s->config.observer.ending(s->config.observer.context, s->db, &r->end);
    r->commenced = true;
    return true;
}

/* True when it is over. */
static bool rollback_pump(struct mu_scheduler *s, struct mu_rollback *r, uint32_t slot)
{
    struct mu_pod_view pod;
    if (!r->commenced && !durable(s, r))
        return false;
    if (!r->commenced && !commence(s, r))
        return true;
    delete_batch(s, r, slot);
    while (r->left < r->sent && !stays(s, &r->pods[r->left], &pod))
        r->left++;
    return r->open == 0 && r->left == r->count;
}

void mu_rollback_pump(struct mu_scheduler *s)
{
    for (uint32_t i = 0; s->rollback_count > 0 && i < MU_ROLLBACKS_MAX; i++) {
        struct mu_rollback *r = s->rollbacks[i];
        if (r == NULL || !rollback_pump(s, r, i))
            continue;
        settle_entries(s, r, r->count);
        mu_db_gang_end_over(s->db, &r->end);
        rollback_free(r);
        s->rollbacks[i] = NULL;
        s->rollback_count--;
    }
}

bool mu_rollback_outcome(struct mu_scheduler *s, const struct mu_touch_outcome *outcome)
{
    if ((outcome->id & ROLLBACK_MARK) == 0)
        return false;
    const uint32_t slot = (uint32_t)((outcome->id ^ ROLLBACK_MARK) >> 32);
    MU_ASSERT(slot < MU_ROLLBACKS_MAX && s->rollbacks[slot] != NULL);
    MU_ASSERT(s->rollbacks[slot]->open > 0);
    s->rollbacks[slot]->open--;
    return true;
}

bool mu_rollback_drained(const struct mu_scheduler *s)
{
    for (uint32_t i = 0; s->rollback_count > 0 && i < MU_ROLLBACKS_MAX; i++)
        if (s->rollbacks[i] != NULL && s->rollbacks[i]->open > 0)
            return false;
    return true;
}
