#ifndef MU_SHARDS_JOURNAL_H
#define MU_SHARDS_JOURNAL_H
/*
 * The journal's interface: a plan is durable before its first write to the cluster. Group commit:
 * entries appended since the last commit become durable together, by one compare-and-swap of a
 * slot. A pure state machine: `commit` yields the bytes of the slot to write, `committed` is told
 * the outcome. mu_journal_memory_* keeps the slots in memory; a later backend writes them to the
 * cluster through the same three calls.
 *
 * Entry life: APPENDED -> DURABLE -> CLEARED (each of its writes settled).
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/snapshot.h"
#include "shards/limits.h"

#define MU_JOURNAL_FORMAT 1u

struct mu_journal_write {
    struct mu_uid uid; /* one of the form (MU_UID_TEXT, symbol) means nothing to another process */
    uint64_t version;
    struct mu_str node; /* bind target */
};
struct mu_journal_entry {
    uint64_t id;        /* out: assigned by append; increasing */
    struct mu_str gang; /* "namespace/name" */
    uint32_t count;
    const struct mu_journal_write *writes;
};

enum mu_journal_state { MU_JOURNAL_APPENDED, MU_JOURNAL_DURABLE, MU_JOURNAL_CLEARED };

struct mu_journal; /* opaque; one thread */

/* incarnation: new at every start. */
struct mu_journal *mu_journal_create(uint64_t epoch, uint64_t incarnation);
void mu_journal_destroy(struct mu_journal *journal);
/* Add an entry (copied); its id through *id. Errors, nothing changed: MU_ELIMIT (ring full: wait
 * for clears), MU_EINVAL (an entry without writes, or that fits no slot), MU_ECLOSED (fenced),
 * MU_ENOMEM. */
int mu_journal_append(struct mu_journal *journal, const struct mu_journal_entry *entry,
                      uint64_t *id);
/* Next slot to write, if any entry is not durable or any clear is not recorded and no write is
 * under way: its number, and its whole new content (replacing what the buffer held). New entries go
 * before clears. Returns false when there is nothing to do, the journal is fenced, or memory is out
 * (content->failed is set then; nothing is under way). Cost: O(bytes of the slot). */
bool mu_journal_commit(struct mu_journal *journal, uint32_t *slot, struct mu_buf *content);
/* The outcome of that write. ok: its entries are durable. !ok (compare-and-swap lost): the journal
 * is fenced, nothing becomes durable any more. */
void mu_journal_committed(struct mu_journal *journal, uint32_t slot, bool ok);
/* One more write of this entry is settled; at the last one it is cleared. Also before the entry is
 * durable: a write that was never sent is settled by dropping it. Asserts that the entry is not
 * cleared. */
void mu_journal_settle(struct mu_journal *journal, uint64_t id);
/* State of an id that append has given out. */
enum mu_journal_state mu_journal_state(const struct mu_journal *journal, uint64_t id);
bool mu_journal_fenced(const struct mu_journal *journal);
uint32_t mu_journal_open_entries(const struct mu_journal *journal);
uint64_t mu_journal_epoch(const struct mu_journal *journal);

struct mu_journal_slot_head {
    uint32_t format;
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t sequence; /* of this write among the incarnation's: no two contents are equal */
    uint32_t slot;
    uint32_t entry_count;
};
/* Read a slot back: for recovery and tests. The whole content is checked before *head is filled and
 * `entry` is called for each; ids, epoch and incarnation as written; names point into content and
 * are valid as long as it is, `writes` during the call. A non-zero return of `entry` ends the
 * reading and is returned. Errors: MU_EPROTO (bad magic, format, checksum or structure),
 * MU_ETRUNCATED, MU_ENOMEM. Thread: any. Cost: O(bytes). */
int mu_journal_slot_read(struct mu_str content, struct mu_journal_slot_head *head,
                         int (*entry)(void *context, const struct mu_journal_entry *entry),
                         void *context, struct mu_error *error);

#endif
