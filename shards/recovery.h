#ifndef MU_SHARDS_RECOVERY_H
#define MU_SHARDS_RECOVERY_H
/*
 * Taking over a journal: one's own after a restart, later that of another shard. A pure state
 * machine: `next` says what is to be done, whoever drives it tells what came of it.
 *
 *   READ   every slot, for the highest epoch
 *   CLOSE  every slot by compare-and-swap with a higher one, its entries kept. What a close has
 *          replaced is the reading of that slot
 *   LIST   the pods, by a quorum list that begins only now
 *   TOUCH  every pod of those entries that is not settled by that list: a status patch that changes
 *          bytes, so that every write that names an older version is dead
 *   SEE    what the touches answered: the view reaches each version, or shows the pod gone
 *   DONE   the epoch is ours; whatever the former incarnation sent has landed and been seen, or
 *          never will. The entries may be forgotten: the slots are overwritten
 *
 * The order is the whole point (commit-protocol.md section 2; the list may come before the touches
 * because their replies are waited for in the view). Nothing is ever decided by time.
 */
#include "shards/journal.h"

struct mu_recovery; /* opaque; one thread */

enum mu_recovery_ask {
    MU_RECOVERY_WAIT,  /* for what was asked before */
    MU_RECOVERY_READ,  /* slot; then mu_recovery_read */
    MU_RECOVERY_CLOSE, /* slot, content; then mu_recovery_closed */
    MU_RECOVERY_LIST,  /* then mu_recovery_listed */
    MU_RECOVERY_TOUCH, /* number, write; then mu_recovery_touched */
    MU_RECOVERY_SEE,   /* number, write, version: mu_recovery_seen once the view is as new */
    MU_RECOVERY_DONE
};
struct mu_recovery_step {
    enum mu_recovery_ask ask;
    uint32_t slot;
    uint32_t number;
    const struct mu_journal_write *write; /* node is empty; valid as long as the recovery */
    uint64_t version;
};

/* incarnation: new at every start, not 0. Errors: NULL when out of memory. */
struct mu_recovery *mu_recovery_create(uint64_t incarnation);
void mu_recovery_destroy(struct mu_recovery *recovery);

/* What is to be done next. READ, CLOSE and TOUCH are each said once and may be under way together;
 * call again until WAIT, SEE (said until it is answered) or DONE. content (of CLOSE) replaces what
 * the buffer held. Errors: MU_ENOMEM: nothing has changed, call again later. */
int mu_recovery_next(struct mu_recovery *recovery, struct mu_recovery_step *step,
                     struct mu_buf *content);

/* What the slot holds; not present or empty: it has never been written. Errors: MU_EPROTO,
 * MU_ETRUNCATED (no content of ours), MU_ECONFLICT (others keep closing the journal: it runs
 * twice): a recovery cannot go on; MU_ENOMEM: the slot is asked for again. */
int mu_recovery_read(struct mu_recovery *recovery, uint32_t slot, bool present,
                     struct mu_str content, struct mu_error *error);
/* The close was written, or somebody wrote the slot before it. */
void mu_recovery_closed(struct mu_recovery *recovery, uint32_t slot, bool written);
void mu_recovery_listed(struct mu_recovery *recovery);
/* The touch was answered at this version of the pod. 0: there is nothing to wait for, since the
 * pod is gone, or was seen bound in the list and is no victim. */
void mu_recovery_touched(struct mu_recovery *recovery, uint32_t number, uint64_t version);
void mu_recovery_seen(struct mu_recovery *recovery, uint32_t number);

struct mu_recovery_stats {
    uint32_t slots_closed; /* with entries */
    uint32_t entries;
    uint32_t writes; /* of different pods */
    uint32_t touched;
    uint32_t rivals; /* how often somebody else's close was met */
};
void mu_recovery_stats(const struct mu_recovery *recovery, struct mu_recovery_stats *out);
/* DONE: call `entry` for each entry of the journal that was taken over, as mu_journal_slot_read
 * does; with its number of a plan, `incarnation` names the plan. A non-zero return ends it and is
 * returned. Errors: MU_ENOMEM. */
int mu_recovery_entries(const struct mu_recovery *recovery,
                        int (*entry)(void *context, uint64_t incarnation,
                                     const struct mu_journal_entry *entry),
                        void *context);
/* The epoch of the closes; 0 before. */
uint64_t mu_recovery_epoch(const struct mu_recovery *recovery);

#endif
