#ifndef MU_SHARDS_JOURNAL_H
#define MU_SHARDS_JOURNAL_H
/*
 * The journal's interface: a plan is durable before its first write to the cluster. Group commit:
 * entries appended since the last commit become durable together, by one compare-and-swap of a
 * slot. A pure state machine: `commit` yields the bytes of the slot to write, `committed` is told
 * the outcome. Whoever drives it keeps the slots (in Kubernetes: informer/slot_store.h).
 *
 * Entry life: APPENDED -> DURABLE -> CLEARED (each of its writes settled).
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/snapshot.h"
#include "shards/limits.h"

#define MU_JOURNAL_FORMAT 2u

enum mu_journal_kind {
    MU_JOURNAL_BIND,
    MU_JOURNAL_DELETE, /* a victim, on its node */
    MU_JOURNAL_HOLD,   /* room on the node, kept for this pod */
    MU_JOURNAL_KINDS
};
/* By whose leave a write goes to a node that another shard owns. */
struct mu_journal_grant {
    uint64_t epoch;  /* the owner's */
    uint64_t number; /* the holder's request; 0: no grant, the node is our own */
};
struct mu_journal_write {
    enum mu_journal_kind kind;
    struct mu_uid uid;      /* (MU_UID_TEXT, symbol) means nothing to another process: */
    struct mu_str uid_text; /* not empty: the UID, in the place of uid */
    uint64_t version;
    struct mu_str node;
    struct mu_journal_grant grant;
};
struct mu_journal_entry {
    uint64_t id;   /* out: assigned by append; increasing */
    uint64_t plan; /* number of the plan, by which incarnation and it name the plan's binds */
    /* A plan that spans several entries counts once all of them are durable. part < parts. A
     * reader that misses a part cannot tell whether it was never written or is cleared. */
    uint32_t part, parts;
    struct mu_str gang; /* "namespace/name"; empty: a lone pod, which its UID names */
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
/* Next slot to write, if any entry is not durable and no write is under way: its number, and its
 * whole new content (replacing what the buffer held). With `clears` also a slot whose stored
 * content has entries that are cleared, once no entry waits: a clear that is not recorded costs the
 * next start a look and nothing else, so it need not be at once. Returns false when there is
 * nothing to do, the journal is fenced, or memory is out (content->failed is set then; nothing is
 * under way). Cost: O(bytes of the slot). */
bool mu_journal_commit(struct mu_journal *journal, bool clears, uint32_t *slot,
                       struct mu_buf *content);
/* The outcome of that write. ok: its entries are durable. !ok (compare-and-swap lost): the journal
 * is fenced, nothing becomes durable any more. */
void mu_journal_committed(struct mu_journal *journal, uint32_t slot, bool ok);
/* One more write of this entry is settled; at the last one it is cleared. Also before the entry is
 * durable: a write that was never sent is settled by dropping it. Asserts that the entry is not
 * cleared. */
void mu_journal_settle(struct mu_journal *journal, uint64_t id);
/* State of an id that append has given out. */
enum mu_journal_state mu_journal_state(const struct mu_journal *journal, uint64_t id);
/* It was seen that somebody else has closed it: as after a swap that was lost. */
void mu_journal_fence(struct mu_journal *journal);
bool mu_journal_fenced(const struct mu_journal *journal);
uint32_t mu_journal_open_entries(const struct mu_journal *journal);
/* Some entry waits for a commit; a commit is under way; some clear is not recorded. */
bool mu_journal_waits(const struct mu_journal *journal);
bool mu_journal_writing(const struct mu_journal *journal);
bool mu_journal_stale(const struct mu_journal *journal);
uint64_t mu_journal_epoch(const struct mu_journal *journal);

struct mu_journal_slot_head {
    uint32_t format;
    uint64_t epoch;
    uint64_t writer;      /* incarnation of who wrote this content: by appending, or by closing */
    uint64_t incarnation; /* whose entries these are */
    uint64_t sequence;    /* of this write among the writer's: no two contents are equal */
    uint32_t slot;
    uint32_t entry_count;
};
/* The same slot, closed: its entries as they are, under another epoch and writer. Appends to *out,
 * which is empty. Errors: those of mu_journal_slot_read; nothing appended. */
int mu_journal_slot_close(struct mu_str content, uint64_t epoch, uint64_t writer, uint64_t sequence,
                          struct mu_buf *out, struct mu_error *error);
/* A closed slot without entries: of one that never was. Appends to *out. Errors: MU_ENOMEM. */
int mu_journal_slot_blank(uint32_t slot, uint64_t epoch, uint64_t writer, uint64_t sequence,
                          struct mu_buf *out);
/* Read a slot back: for recovery and tests. The whole content is checked before *head is filled and
 * `entry` (NULL: nothing) is called for each; all as written; texts point into content and are
 * valid as long as it is, `writes` during the call. A non-zero return of `entry` ends the reading
 * and is returned. Errors: MU_EPROTO (bad magic, format, checksum or structure), MU_ETRUNCATED,
 * MU_ENOMEM. Thread: any. Cost: O(bytes). */
int mu_journal_slot_read(struct mu_str content, struct mu_journal_slot_head *head,
                         int (*entry)(void *context, const struct mu_journal_entry *entry),
                         void *context, struct mu_error *error);

#endif
