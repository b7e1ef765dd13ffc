/*
 * The journal's slots to and from where they are kept, and the start of every scheduler: taking
 * over the journal of its former self.
 *
 *   CLOSING    slots are read and closed (shards/recovery.h); nodes and namespaces are listed
 *   LISTING    pods are listed: only now, so that nothing falls between journal and list
 *   TOUCHING   pods of the old entries are touched, and our view catches up with the answers
 *   OPEN       a new journal under the new epoch: sessions run, entries are written
 *   FENCED     somebody else has closed it: nothing is decided any more
 *
 * Group commit: one slot is written at a time; entries that are appended meanwhile go with the
 * next. What is cleared is recorded with the slot's next use, else after IDLE_NS without a commit,
 * and at once when we drain: the next start then has nothing to look at.
 *
 * Evictions that go on at a version which was seen after their plan was journaled wait for a check
 * that the journal is still open: the next write of a slot is one, since a compare-and-swap that
 * wins finds the slot as we left it; where nothing is to be written, a slot is read.
 *
 * A store in memory answers within the call, so all of this may happen in one call of
 * mu_durable_run.
 */
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "tools/scheduler/scheduler_priv.h"

#include <inttypes.h>
#include <stdio.h>

#define IDLE_NS  MU_NS_PER_S
#define RETRY_NS (10 * MU_NS_PER_MS) /* after memory was out */

_Static_assert(MU_JOURNAL_SLOTS <= MU_SLOTS_MAX, "the store has room for each slot");
_Static_assert(MU_JOURNAL_SLOT_BYTES <= MU_SLOT_BYTES_MAX, "a slot fits an object of the store");

int mu_durable_init(struct mu_scheduler *s)
{
    const struct mu_scheduler_config *c = &s->config;
    struct mu_slot_store_config store = {.ns = c->journal_ns,
                                         .name = c->journal_name,
                                         .slot_count = MU_JOURNAL_SLOTS,
                                         .bytes_per_s = c->journal_bytes_per_s,
                                         .token_base = MU_TOKENS_JOURNAL};
    struct mu_toucher_config toucher = {.scheduler_name = c->scheduler_names[0],
                                        .token_base = MU_TOKENS_TOUCHER,
                                        .wall_offset_ns = c->wall_offset_ns};
    char mark[24];
    s->durable_ns = UINT64_MAX;
    s->clear_ns = UINT64_MAX;
    if (c->journal_name.len > 0) {
        s->store = mu_slot_store_create(&store, &s->random);
    } else {
        struct mu_slot_memory *memory = c->journal_memory;
        if (memory == NULL)
            memory = s->journal_memory = mu_slot_memory_create(MU_JOURNAL_SLOTS);
        if (memory != NULL)
            s->store = mu_slot_store_create_memory(&store, memory, c->journal_delay_ns, &s->random);
    }
    (void)snprintf(mark, sizeof mark, "%016" PRIx64, c->incarnation);
    toucher.mark = mu_str_of(mark);
    s->toucher = mu_toucher_create(&toucher, &s->random);
    s->recovery = mu_recovery_create(c->incarnation);
    return s->store == NULL || s->toucher == NULL || s->recovery == NULL ? MU_ENOMEM : 0;
}

void mu_durable_fini(struct mu_scheduler *s)
{
    mu_recovery_destroy(s->recovery);
    mu_recovery_destroy(s->former);
    mu_toucher_destroy(s->toucher);
    mu_slot_store_destroy(s->store);
    mu_slot_memory_destroy(s->journal_memory);
    mu_journal_destroy(s->journal);
    mu_buf_fini(&s->slot_content);
}

/* ---- taking over ---------------------------------------------------------------------------- */

/* This start ends here: what the slots hold, or who writes them, is for people to look at. */
static void fail(struct mu_scheduler *s, const struct mu_error *error)
{
    s->journal_failure = *error;
    mu_log(MU_LOG_ERROR, "journal not taken over", MU_F_TEXT("problem", error->text), MU_F_END);
}

bool mu_durable_find_pod(const struct mu_scheduler *s, const struct mu_journal_write *write,
                         struct mu_pod_view *pod)
{
    struct mu_uid uid = write->uid;
    if (write->uid_text.len > 0 && mu_db_uid_parse(s->db, write->uid_text, &uid) != 0)
        return false;
    return mu_db_pod_find(s->db, uid, pod);
}

static void touch(struct mu_scheduler *s, const struct mu_recovery_step *step)
{
    struct mu_pod_view pod;
    char uid[MU_UID_BYTES_MAX + 1];
    bool victim = step->write->kind == MU_JOURNAL_DELETE && !MU_PLANTED(MU_PLANT_NO_VICTIM);
    if (MU_PLANTED(MU_PLANT_NO_TOUCH) || !mu_durable_find_pod(s, step->write, &pod) ||
        (pod.node.v != MU_NONE && !victim)) {
        mu_recovery_touched(s->recovery, step->number, 0);
        return;
    }
    struct mu_touch in = {.id = step->number, .ns = pod.ns, .name = pod.name};
    in.uid = (struct mu_str){uid, mu_db_uid_text(s->db, pod.uid, uid)};
    int rc = mu_toucher_touch(s->toucher, &in, s->now_ns, s->out);
    MU_ASSERT(rc == 0); /* a recovery has fewer under way than the toucher takes */
}

static void touch_answered(struct mu_scheduler *s, const struct mu_touch_outcome *touched)
{
    mu_recovery_touched(s->recovery, (uint32_t)touched->id, touched->version);
    if (s->leaving_grace_s < touched->grace_s)
        s->leaving_grace_s = touched->grace_s;
}

/* Everything that was asked has been answered: the journal is ours. */
static void open_journal(struct mu_scheduler *s)
{
    uint64_t epoch = mu_recovery_epoch(s->recovery);
    s->journal = mu_journal_create(epoch, s->config.incarnation);
    if (s->journal == NULL) {
        s->durable_ns = s->now_ns + RETRY_NS;
        return;
    }
    mu_recovery_stats(s->recovery, &s->recovered);
    mu_log(MU_LOG_INFO, "journal open", MU_F_U64("epoch", epoch),
           MU_F_U64("old_entries", s->recovered.entries), MU_F_U64("pods", s->recovered.writes),
           MU_F_U64("touched", s->recovered.touched), MU_F_END);
    s->former = s->recovery; /* resume.c asks it once more */
    s->recovery = NULL;
}

/* Do the next step. False: there is nothing to do before something is answered. */
static bool recover(struct mu_scheduler *s)
{
    struct mu_recovery_step step;
    struct mu_pod_view pod;
    struct mu_str content;
    if (mu_recovery_next(s->recovery, &step, &s->slot_content) != 0) {
        s->durable_ns = s->now_ns + RETRY_NS;
        return false;
    }
    switch (step.ask) {
    case MU_RECOVERY_WAIT:
        return false;
    case MU_RECOVERY_READ:
        mu_slot_store_read(s->store, step.slot, s->now_ns, s->out);
        return true;
    case MU_RECOVERY_CLOSE:
        content =
            (struct mu_str){(const char *)s->slot_content.data, (uint32_t)s->slot_content.len};
        if (mu_slot_store_write(s->store, step.slot, content, s->now_ns, s->out) != 0)
            mu_recovery_closed(s->recovery, step.slot, false); /* no memory: from its reading on */
        return true;
    case MU_RECOVERY_LIST:
        s->listing = true;
        mu_reflector_start(s->reflectors[MU_DB_PODS], s->now_ns, s->out);
        return true;
    case MU_RECOVERY_TOUCH:
        touch(s, &step);
        return true;
    case MU_RECOVERY_SEE:
        if (mu_durable_find_pod(s, step.write, &pod) && pod.version < step.version)
            return false;
        mu_recovery_seen(s->recovery, step.number);
        return true;
    case MU_RECOVERY_DONE:
        open_journal(s);
        return false;
    }
    MU_UNREACHABLE("a step outside its enum");
}

static bool pods_listed(const struct mu_scheduler *s)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(s->reflectors[MU_DB_PODS], &stats);
    return stats.synced;
}

/* False: it is enough for now, or for good. */
static bool recovery_result(struct mu_scheduler *s, const struct mu_slot_result *result)
{
    struct mu_error error;
    if (result->outcome != MU_SLOT_READ) {
        mu_recovery_closed(s->recovery, result->slot, result->outcome == MU_SLOT_WRITTEN);
        return true;
    }
    int rc = mu_recovery_read(s->recovery, result->slot, result->present, result->content, &error);
    if (rc == MU_ENOMEM)
        s->durable_ns = s->now_ns + RETRY_NS;
    else if (rc != 0)
        fail(s, &error);
    return rc == 0;
}

/* ---- group commit --------------------------------------------------------------------------- */

static void write_slot(struct mu_scheduler *s)
{
    struct mu_str content = {(const char *)s->slot_content.data, (uint32_t)s->slot_content.len};
    s->slot_unsent = mu_slot_store_write(s->store, s->slot_number, content, s->now_ns, s->out) != 0;
    if (s->slot_unsent)
        s->durable_ns = s->now_ns + RETRY_NS;
}

/* Begin the next write of a slot. False: there is none to begin. */
static bool commit(struct mu_scheduler *s)
{
    bool waits = mu_journal_waits(s->journal);
    bool clears = mu_journal_stale(s->journal) &&
                  (s->clear_ns <= s->now_ns || (s->draining && s->bind_open == 0));
    /* A slot that is read for a check is not to be written meanwhile. */
    if ((!waits && !clears) || (s->checking && !mu_journal_writing(s->journal)))
        return false;
    if (!mu_journal_commit(s->journal, clears, &s->slot_number, &s->slot_content)) {
        if (s->slot_content.failed != 0)
            s->durable_ns = s->now_ns + RETRY_NS;
        return false;
    }
    if (waits)
        s->clear_ns = s->now_ns + IDLE_NS;
    if (mu_toucher_wants_check(s->toucher)) {
        mu_toucher_check_begun(s->toucher);
        s->checking = true;
    }
    write_slot(s);
    return true;
}

/* Read a slot for those who wait for it, unless a write of one is under way. */
static bool check(struct mu_scheduler *s)
{
    if (s->checking || mu_journal_writing(s->journal) || mu_journal_fenced(s->journal) ||
        !mu_toucher_wants_check(s->toucher))
        return false;
    mu_toucher_check_begun(s->toucher);
    s->checking = true;
    mu_slot_store_read(s->store, 0, s->now_ns, s->out);
    return true;
}

static void checked(struct mu_scheduler *s, bool ours)
{
    if (!s->checking)
        return;
    s->checking = false;
    mu_toucher_checked(s->toucher, ours, s->now_ns, s->out);
}

/* Whether a slot that was read is as we left it. */
static bool is_ours(const struct mu_scheduler *s, const struct mu_slot_result *result)
{
    struct mu_journal_slot_head head;
    return result->present && mu_journal_slot_read(result->content, &head, NULL, NULL, NULL) == 0 &&
           head.epoch == mu_journal_epoch(s->journal) && head.writer == s->config.incarnation;
}

static void commit_result(struct mu_scheduler *s, const struct mu_slot_result *result)
{
    bool ours = result->outcome == MU_SLOT_WRITTEN;
    if (result->outcome == MU_SLOT_READ) {
        ours = is_ours(s, result);
        if (!ours)
            mu_journal_fence(s->journal);
    } else {
        mu_journal_committed(s->journal, result->slot, ours);
    }
    checked(s, ours);
    if (!ours)
        mu_log(MU_LOG_ERROR, "journal closed by another scheduler: nothing is decided any more",
               MU_F_U64("slot", result->slot), MU_F_U64("epoch", mu_journal_epoch(s->journal)),
               MU_F_END);
}

/* ---- inputs --------------------------------------------------------------------------------- */

void mu_durable_run(struct mu_scheduler *s)
{
    struct mu_slot_result result;
    struct mu_touch_outcome touched;
    bool more = true;
    if (s->durable_ns <= s->now_ns)
        s->durable_ns = UINT64_MAX;
    if (s->slot_unsent)
        write_slot(s);
    while (more && s->journal_failure.code == 0) {
        more = mu_slot_store_take(s->store, &result);
        if (more && s->recovery != NULL && !recovery_result(s, &result))
            return;
        if (more && s->recovery == NULL)
            commit_result(s, &result);
        if (mu_toucher_take(s->toucher, &touched)) {
            if (!touched.evicted)
                touch_answered(s, &touched);
            else if (!mu_rollback_outcome(s, &touched))
                mu_evict_outcome(s, &touched);
            more = true;
        }
        if (s->recovery != NULL && s->listing && pods_listed(s)) {
            s->listing = false;
            mu_recovery_listed(s->recovery);
        }
        if (s->recovery != NULL)
            more = recover(s) || more;
        else
            more = commit(s) || check(s) || more;
    }
}

bool mu_durable_reply(struct mu_scheduler *s, const struct mu_reply *reply)
{
    return mu_slot_store_reply(s->store, reply, s->now_ns, s->out) ||
           mu_toucher_reply(s->toucher, reply, s->now_ns, s->out);
}

void mu_durable_tick(struct mu_scheduler *s)
{
    mu_slot_store_tick(s->store, s->now_ns, s->out);
    mu_toucher_tick(s->toucher, s->now_ns, s->out);
}

uint64_t mu_durable_next_ns(const struct mu_scheduler *s)
{
    uint64_t next_ns = mu_slot_store_next_ns(s->store), touch_ns = mu_toucher_next_ns(s->toucher);
    if (touch_ns < next_ns)
        next_ns = touch_ns;
    if (s->durable_ns < next_ns)
        next_ns = s->durable_ns;
    if (s->journal != NULL && mu_journal_stale(s->journal) && !mu_journal_fenced(s->journal) &&
        !mu_journal_writing(s->journal) && !s->checking && s->clear_ns < next_ns)
        next_ns = s->clear_ns; /* a check ends with a reply, and that goes on with it */
    return next_ns;
}

bool mu_durable_open(const struct mu_scheduler *s)
{
    return s->journal != NULL && !mu_journal_fenced(s->journal);
}

bool mu_durable_drained(const struct mu_scheduler *s)
{
    return s->journal == NULL || mu_journal_fenced(s->journal) ||
           (!mu_journal_stale(s->journal) && !mu_journal_writing(s->journal));
}

const char *mu_durable_problem(const struct mu_scheduler *s)
{
    if (s->journal_failure.code != 0)
        return s->journal_failure.text;
    const char *problem = mu_slot_store_problem(s->store);
    return *problem == '\0' ? mu_toucher_problem(s->toucher) : problem;
}
