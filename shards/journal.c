#include "shards/journal.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"
#include "shards/journal_priv.h"

/*
 * A ring of slots, each written whole by one compare-and-swap.
 *
 * An entry is encoded when it is appended and belongs to one slot from then on; a slot's next
 * content is its head, the entries that are not cleared, and a checksum. So a clear needs no record
 * of its own (the entry is missing from the next content) and gives its bytes free at once. Room is
 * reserved at append: the bytes of a slot's entries never exceed BODY_MAX, and what was accepted
 * can be written.
 *
 * New entries gather in one slot while they fit, so that a group commit is one write as a rule;
 * each group begins in the emptiest slot, the one written last left out. By the time a slot has its
 * turn again most of what it held is cleared: an entry is written about once, though slots are
 * written whole. Entries that live long pin only their own bytes: a slot need not be empty to be
 * used again.
 *
 * One write is under way at a time. What is appended meanwhile, to the same slot too, waits for the
 * next (the group). An entry is
 *
 *     APPENDED --in the content of a write that succeeded--> DURABLE --last settle--> gone
 *         `-----------------------last settle (nothing was sent)--------------------^
 *
 * A lost compare-and-swap means that somebody has closed the journal: it is fenced for good,
 * nothing becomes durable any more, and the entries stay as they are.
 *
 * Invariants: slot.bytes is the sum of its entries' bytes; slot.unwritten counts its APPENDED
 * entries that no write under way carries; open entries are exactly those in `index`.
 */

enum entry_phase { PHASE_UNWRITTEN, PHASE_WRITING, PHASE_DURABLE };

struct entry {
    uint8_t *bytes; /* encoded; NULL: a free record */
    uint64_t id;
    uint32_t len;
    uint32_t unsettled;
    uint32_t slot;
    enum entry_phase phase;
    uint32_t prev; /* in the slot's list, by rising id */
    uint32_t next; /* the same, or the next free record */
};

struct slot {
    uint32_t first;
    uint32_t last;
    uint32_t count;
    uint32_t bytes;
    uint32_t unwritten;
    bool stale; /* the stored content has entries that are cleared */
};

#define NONE UINT32_MAX

struct mu_journal {
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t next_id;
    uint64_t sequence; /* of the next write */
    struct slot slots[MU_JOURNAL_SLOTS];
    uint32_t current;
    uint32_t unwritten; /* sum over slots */
    uint32_t stale;     /* slots that are */
    bool writing;
    uint32_t writing_slot;
    bool fenced;
    struct entry *entries;
    uint32_t entry_cap;
    uint32_t entry_bound; /* records ever used */
    uint32_t free_head;
    struct mu_index *index; /* id -> record */
};

/* ---- entries by id ---- */

static uint64_t id_hash(uint64_t id)
{
    return mu_hash_mix(id, 0);
}

static bool entry_has_id(const void *context, uint32_t value, const void *key)
{
    const struct mu_journal *journal = context;
    return journal->entries[value].id == *(const uint64_t *)key;
}

static uint64_t entry_hash(const void *context, uint32_t value)
{
    const struct mu_journal *journal = context;
    return id_hash(journal->entries[value].id);
}

static uint32_t find(const struct mu_journal *journal, uint64_t id)
{
    return mu_index_find(journal->index, id_hash(id), &id);
}

/* ---- create, destroy ---- */

struct mu_journal *mu_journal_create(uint64_t epoch, uint64_t incarnation)
{
    struct mu_journal *journal = mu_mem_zalloc(sizeof *journal);
    if (journal == NULL)
        return NULL;
    journal->epoch = epoch;
    journal->incarnation = incarnation;
    journal->next_id = 1;
    journal->free_head = NONE;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        journal->slots[i].first = journal->slots[i].last = NONE;
    journal->index = mu_index_create(0, entry_has_id, entry_hash, journal);
    if (journal->index == NULL) {
        mu_mem_free(journal);
        return NULL;
    }
    return journal;
}

void mu_journal_destroy(struct mu_journal *journal)
{
    if (journal == NULL)
        return;
    for (uint32_t i = 0; i < journal->entry_bound; i++)
        mu_mem_free(journal->entries[i].bytes);
    mu_mem_free(journal->entries);
    mu_index_destroy(journal->index);
    mu_mem_free(journal);
}

/* ---- append ---- */

/* The slot for an entry of `len` bytes: the one that gathers, else the emptiest; NONE when none has
 * room. */
static uint32_t slot_for(const struct mu_journal *journal, uint32_t len)
{
    const struct slot *current = &journal->slots[journal->current];
    if (current->unwritten > 0 && current->bytes + len <= MU_JOURNAL_BODY_MAX)
        return journal->current;
    uint32_t best = NONE;
    for (uint32_t i = 1; i <= MU_JOURNAL_SLOTS; i++) {
        uint32_t slot = (journal->current + i) % MU_JOURNAL_SLOTS;
        if (best == NONE || journal->slots[slot].bytes < journal->slots[best].bytes)
            best = slot;
    }
    return journal->slots[best].bytes + len <= MU_JOURNAL_BODY_MAX ? best : NONE;
}

/* A free record, not yet taken. */
static int record_find_free(struct mu_journal *journal, uint32_t *record)
{
    if (journal->free_head != NONE) {
        *record = journal->free_head;
        return 0;
    }
    int error =
        mu_mem_grow((void **)&journal->entries, &journal->entry_cap, journal->entry_bound + 1,
                    MU_JOURNAL_ENTRIES_MAX, sizeof *journal->entries);
    *record = journal->entry_bound;
    return error;
}

static void slot_append(struct mu_journal *journal, uint32_t record)
{
    struct entry *e = &journal->entries[record];
    struct slot *slot = &journal->slots[e->slot];
    e->prev = slot->last;
    e->next = NONE;
    if (slot->last == NONE)
        slot->first = record;
    else
        journal->entries[slot->last].next = record;
    slot->last = record;
    slot->count++;
    slot->bytes += e->len;
    slot->unwritten++;
    journal->unwritten++;
    MU_ASSERT(slot->bytes <= MU_JOURNAL_BODY_MAX);
}

int mu_journal_append(struct mu_journal *journal, const struct mu_journal_entry *entry,
                      uint64_t *id)
{
    if (journal->fenced)
        return MU_ECLOSED;
    struct mu_journal_entry numbered = *entry;
    numbered.id = journal->next_id;
    uint32_t len = mu_journal_entry_bytes(&numbered);
    if (entry->count == 0 || len == 0)
        return MU_EINVAL;
    uint32_t slot = slot_for(journal, len);
    if (slot == NONE)
        return MU_ELIMIT;
    uint32_t record;
    int error = record_find_free(journal, &record);
    if (error != 0)
        return error;
    uint8_t *bytes = mu_mem_alloc(len);
    if (bytes == NULL)
        return MU_ENOMEM;
    uint64_t new_id = numbered.id;
    /* Before the record is taken: the index looks at it only when it is asked for this id. */
    error = mu_index_insert(journal->index, id_hash(new_id), record);
    if (error != 0) {
        mu_mem_free(bytes);
        return error;
    }
    mu_journal_entry_encode(&numbered, bytes, len);
    if (record == journal->entry_bound)
        journal->entry_bound++;
    else
        journal->free_head = journal->entries[record].next;
    journal->entries[record] =
        (struct entry){bytes, new_id, len, entry->count, slot, PHASE_UNWRITTEN, NONE, NONE};
    slot_append(journal, record);
    journal->current = slot;
    journal->next_id++;
    *id = new_id;
    return 0;
}

/* ---- settle ---- */

static void slot_remove(struct mu_journal *journal, uint32_t record)
{
    const struct entry *e = &journal->entries[record];
    struct slot *slot = &journal->slots[e->slot];
    if (e->prev == NONE)
        slot->first = e->next;
    else
        journal->entries[e->prev].next = e->next;
    if (e->next == NONE)
        slot->last = e->prev;
    else
        journal->entries[e->next].prev = e->prev;
    MU_ASSERT(slot->count > 0 && slot->bytes >= e->len);
    slot->count--;
    slot->bytes -= e->len;
    if (e->phase == PHASE_UNWRITTEN) {
        slot->unwritten--;
        journal->unwritten--;
    } else {
        journal->stale += !slot->stale;
        slot->stale = true;
    }
}

void mu_journal_settle(struct mu_journal *journal, uint64_t id)
{
    uint32_t record = find(journal, id);
    MU_ASSERT(record != MU_INDEX_NONE);
    struct entry *e = &journal->entries[record];
    MU_ASSERT(e->unsettled > 0);
    if (--e->unsettled > 0)
        return;
    mu_index_remove(journal->index, id_hash(id), record);
    slot_remove(journal, record);
    mu_mem_free(e->bytes);
    *e = (struct entry){.next = journal->free_head};
    journal->free_head = record;
}

/* ---- commit ---- */

/* New entries first, and among them the slot of the oldest: its first unwritten entry has the
 * lowest id. Then, with `clears`, any stale slot. NONE: nothing to write. */
static uint32_t slot_to_write(const struct mu_journal *journal, bool clears)
{
    uint32_t best = NONE;
    uint64_t best_id = UINT64_MAX;
    uint32_t stale = NONE;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++) {
        const struct slot *slot = &journal->slots[i];
        if (clears && slot->stale && stale == NONE)
            stale = i;
        if (slot->unwritten == 0)
            continue;
        /* The unwritten ones are the last of the list: walk back to the first of them. */
        uint32_t record = slot->last;
        for (uint32_t left = slot->unwritten; left > 1; left--)
            record = journal->entries[record].prev;
        MU_ASSERT(journal->entries[record].phase == PHASE_UNWRITTEN);
        if (journal->entries[record].id < best_id) {
            best_id = journal->entries[record].id;
            best = i;
        }
    }
    MU_ASSERT((best == NONE) == (journal->unwritten == 0));
    return best != NONE ? best : stale;
}

bool mu_journal_commit(struct mu_journal *journal, bool clears, uint32_t *slot_number,
                       struct mu_buf *content)
{
    mu_buf_clear(content);
    if (journal->writing || journal->fenced)
        return false;
    uint32_t number = slot_to_write(journal, clears);
    if (number == NONE)
        return false;
    struct slot *slot = &journal->slots[number];
    struct mu_journal_slot_head head = {.format = MU_JOURNAL_FORMAT,
                                        .epoch = journal->epoch,
                                        .writer = journal->incarnation,
                                        .incarnation = journal->incarnation,
                                        .sequence = journal->sequence,
                                        .slot = number,
                                        .entry_count = slot->count};
    if (mu_journal_content_begin(content, &head, slot->bytes) != 0)
        return false;
    for (uint32_t r = slot->first; r != NONE; r = journal->entries[r].next)
        (void)mu_buf_append(content, journal->entries[r].bytes, journal->entries[r].len);
    mu_journal_content_end(content);
    MU_ASSERT(content->failed == 0 && content->len <= MU_JOURNAL_SLOT_BYTES);
    for (uint32_t r = slot->first; r != NONE; r = journal->entries[r].next) {
        if (journal->entries[r].phase == PHASE_UNWRITTEN)
            journal->entries[r].phase = PHASE_WRITING;
    }
    journal->unwritten -= slot->unwritten;
    slot->unwritten = 0;
    journal->stale -= slot->stale;
    slot->stale = false;
    journal->sequence++;
    journal->writing = true;
    journal->writing_slot = number;
    *slot_number = number;
    return true;
}

void mu_journal_committed(struct mu_journal *journal, uint32_t slot, bool ok)
{
    MU_ASSERT(journal->writing && slot == journal->writing_slot);
    journal->writing = false;
    if (!ok) {
        journal->fenced = true;
        return;
    }
    for (uint32_t r = journal->slots[slot].first; r != NONE; r = journal->entries[r].next) {
        if (journal->entries[r].phase == PHASE_WRITING)
            journal->entries[r].phase = PHASE_DURABLE;
    }
}

/* ---- looking ---- */

enum mu_journal_state mu_journal_state(const struct mu_journal *journal, uint64_t id)
{
    MU_ASSERT(id > 0 && id < journal->next_id);
    uint32_t record = find(journal, id);
    if (record == MU_INDEX_NONE)
        return MU_JOURNAL_CLEARED;
    return journal->entries[record].phase == PHASE_DURABLE ? MU_JOURNAL_DURABLE
                                                           : MU_JOURNAL_APPENDED;
}

void mu_journal_fence(struct mu_journal *journal)
{
    journal->fenced = true;
}

bool mu_journal_fenced(const struct mu_journal *journal)
{
    return journal->fenced;
}

uint32_t mu_journal_open_entries(const struct mu_journal *journal)
{
    return mu_index_count(journal->index);
}

bool mu_journal_waits(const struct mu_journal *journal)
{
    return journal->unwritten > 0;
}

bool mu_journal_writing(const struct mu_journal *journal)
{
    return journal->writing;
}

bool mu_journal_stale(const struct mu_journal *journal)
{
    return journal->stale > 0;
}

uint64_t mu_journal_epoch(const struct mu_journal *journal)
{
    return journal->epoch;
}
