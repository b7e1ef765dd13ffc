/*
 * Why the orders are as they are, each with what would go wrong else:
 *
 *   a close per slot       an append to a slot left open would still succeed, and its bind would
 *                          land on a node that is given away
 *   entries after closing  an entry that is appended between the read and the close is seen: the
 *                          close is refused then, and the slot read again
 *   list after closing     a bind may land and its entry be cleared while we read: it would be in
 *                          neither view
 *   touch after closing    a write that is checked before the close and sent after the touch would
 *                          be valid
 *   SEE                    a bind that lands between the list and its touch is in the touch's
 *                          answer only
 *
 * A pod that the list does not show is gone: it was there when the entry was written, and UIDs do
 * not come back. A pod that it shows bound can not be bound again; only as a victim it is touched.
 *
 * A slot is UNREAD -> READING -> READ -> CLOSING -> CLOSED; a close that is refused makes it UNREAD
 * again. The epoch is chosen while no slot is READING or CLOSING. Finding an epoch that is not
 * below ours means a rival: all slots are read again, for an epoch above his. Two who do this to
 * each other for long are one too many: RIVALS_MAX ends it.
 *
 * All parts of a plan are touched, an incomplete one's too: a part that is missing may have been
 * cleared.
 */
#include "shards/recovery.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/plant.h"
#include "engine/limits.h"

enum slot_state { UNREAD, READING, READ, CLOSING, CLOSED };
enum phase { PHASE_CLOSE, PHASE_LIST, PHASE_LISTING, PHASE_TOUCH, PHASE_SEE, PHASE_DONE };

#define RIVALS_MAX  16u
#define TOUCHES_MAX 128u /* under way at once */

struct slot {
    enum slot_state state;
    uint64_t epoch; /* as read */
    struct mu_buf content;
};

struct item {
    struct mu_journal_write write;
    char *text; /* of a UID that is no UUID */
    uint64_t version;
    bool answered;
};

struct mu_recovery {
    uint64_t incarnation;
    uint64_t epoch; /* 0: not chosen yet */
    uint64_t floor; /* the highest epoch seen */
    uint64_t sequence;
    bool answered; /* some slot has been read */
    enum phase phase;
    struct slot slots[MU_JOURNAL_SLOTS];
    struct item *items;
    uint32_t item_count, item_cap;
    uint32_t next_touch, touching, next_see;
    struct mu_recovery_stats stats;
};

struct mu_recovery *mu_recovery_create(uint64_t incarnation)
{
    MU_ASSERT(incarnation != 0);
    struct mu_recovery *r = mu_mem_zalloc(sizeof *r);
    if (r != NULL)
        r->incarnation = incarnation;
    return r;
}

static void items_clear(struct mu_recovery *r)
{
    for (uint32_t i = 0; i < r->item_count; i++)
        mu_mem_free(r->items[i].text);
    r->item_count = 0;
}

void mu_recovery_destroy(struct mu_recovery *r)
{
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        mu_buf_fini(&r->slots[i].content);
    items_clear(r);
    mu_mem_free(r->items);
    mu_mem_free(r);
}

/* ---- entries ---- */

static int item_compare(const void *left, const void *right)
{
    const struct mu_journal_write *a = &((const struct item *)left)->write;
    const struct mu_journal_write *b = &((const struct item *)right)->write;
    if (a->uid.hi != b->uid.hi)
        return a->uid.hi < b->uid.hi ? -1 : 1;
    if (a->uid.lo != b->uid.lo)
        return a->uid.lo < b->uid.lo ? -1 : 1;
    return mu_str_compare(a->uid_text, b->uid_text);
}

static int collect_entry(void *context, const struct mu_journal_entry *entry)
{
    struct mu_recovery *r = context;
    r->stats.entries++;
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct mu_journal_write *w = &entry->writes[i];
        int rc = mu_mem_grow((void **)&r->items, &r->item_cap, r->item_count + 1,
                             MU_RECOVERY_WRITES_MAX, sizeof *r->items);
        if (rc != 0)
            return rc;
        struct item item = {.write = {.kind = w->kind, .uid = w->uid, .version = w->version}};
        if (w->uid_text.len > 0) {
            item.text = mu_mem_alloc(w->uid_text.len);
            if (item.text == NULL)
                return MU_ENOMEM;
            memcpy(item.text, w->uid_text.data, w->uid_text.len);
            item.write.uid_text = (struct mu_str){item.text, w->uid_text.len};
        }
        r->items[r->item_count++] = item;
    }
    return 0;
}

/* One item for a pod, however many entries name it: a victim if one of them says so. */
static void items_unite(struct mu_recovery *r)
{
    uint32_t kept = 0;
    if (r->item_count > 0)
        qsort(r->items, r->item_count, sizeof *r->items, item_compare);
    for (uint32_t i = 0; i < r->item_count; i++) {
        struct item *item = &r->items[i];
        if (kept > 0 && item_compare(&r->items[kept - 1], item) == 0) {
            if (item->write.kind == MU_JOURNAL_DELETE)
                r->items[kept - 1].write.kind = MU_JOURNAL_DELETE;
            mu_mem_free(item->text);
        } else {
            r->items[kept++] = *item;
        }
    }
    r->item_count = kept;
}

static int collect(struct mu_recovery *r)
{
    items_clear(r);
    r->stats.entries = r->stats.slots_closed = 0;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++) {
        const struct mu_buf *content = &r->slots[i].content;
        struct mu_journal_slot_head head;
        struct mu_error error;
        if (content->len == 0)
            continue;
        int rc =
            mu_journal_slot_read((struct mu_str){(char *)content->data, (uint32_t)content->len},
                                 &head, collect_entry, r, &error);
        MU_ASSERT(rc == 0 || rc == MU_ENOMEM); /* it was checked when it was read */
        if (rc != 0)
            return rc;
        r->stats.slots_closed += head.entry_count > 0;
    }
    items_unite(r);
    r->stats.writes = r->item_count;
    return 0;
}

/* ---- closing ---- */

static uint32_t slots_in(const struct mu_recovery *r, enum slot_state state, uint32_t *first)
{
    uint32_t count = 0;
    for (uint32_t i = MU_JOURNAL_SLOTS; i-- > 0;) {
        if (r->slots[i].state != state)
            continue;
        count++;
        *first = i;
    }
    return count;
}

static int close_slot(struct mu_recovery *r, uint32_t number, struct mu_recovery_step *step,
                      struct mu_buf *content)
{
    struct slot *slot = &r->slots[number];
    struct mu_str old = {(const char *)slot->content.data, (uint32_t)slot->content.len};
    struct mu_error error;
    int rc =
        old.len == 0
            ? mu_journal_slot_blank(number, r->epoch, r->incarnation, r->sequence, content)
            : mu_journal_slot_close(old, r->epoch, r->incarnation, r->sequence, content, &error);
    MU_ASSERT(rc == 0 || rc == MU_ENOMEM);
    if (rc != 0)
        return rc;
    r->sequence++;
    slot->state = CLOSING;
    *step = (struct mu_recovery_step){.ask = MU_RECOVERY_CLOSE, .slot = number};
    return 0;
}

static int next_close(struct mu_recovery *r, struct mu_recovery_step *step, struct mu_buf *content)
{
    uint32_t slot = 0;
    *step = (struct mu_recovery_step){.ask = MU_RECOVERY_WAIT};
    /* The first answer says whether we may read slots at all. */
    if (!r->answered && slots_in(r, READING, &slot) > 0)
        return 0;
    if (slots_in(r, UNREAD, &slot) > 0) {
        r->slots[slot].state = READING;
        *step = (struct mu_recovery_step){.ask = MU_RECOVERY_READ, .slot = slot};
        return 0;
    }
    if (r->epoch == 0) {
        if (slots_in(r, READING, &slot) > 0 || slots_in(r, CLOSING, &slot) > 0)
            return 0;
        r->epoch = r->floor + 1;
    }
    if (slots_in(r, READ, &slot) > 0)
        return close_slot(r, slot, step, content);
    if (slots_in(r, CLOSED, &slot) < MU_JOURNAL_SLOTS)
        return 0;
    int rc = collect(r);
    if (rc == 0)
        r->phase = PHASE_LIST;
    return rc;
}

/* Somebody else has closed the journal with an epoch that is not below ours: begin again. What is
 * under way is answered first; its slot is read again then. */
static void meet_rival(struct mu_recovery *r)
{
    r->stats.rivals++;
    r->epoch = 0;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        if (r->slots[i].state == READ || r->slots[i].state == CLOSED)
            r->slots[i].state = UNREAD;
}

int mu_recovery_read(struct mu_recovery *r, uint32_t number, bool present, struct mu_str content,
                     struct mu_error *error)
{
    MU_ASSERT(number < MU_JOURNAL_SLOTS && r->slots[number].state == READING);
    struct slot *slot = &r->slots[number];
    struct mu_journal_slot_head head = {.epoch = 0};
    r->answered = true;
    if (!present)
        content.len = 0;
    if (content.len > 0) {
        int rc = mu_journal_slot_read(content, &head, NULL, NULL, error);
        if (rc == MU_ENOMEM)
            slot->state = UNREAD;
        if (rc != 0)
            return rc;
        if (head.slot != number || head.epoch >= UINT64_MAX - RIVALS_MAX)
            return mu_error_set(error, MU_EPROTO,
                                "journal slot %u: holds slot %u of epoch %llu, which is none of "
                                "this journal",
                                number, head.slot, (unsigned long long)head.epoch);
    }
    mu_buf_clear(&slot->content);
    int rc = mu_buf_append_str(&slot->content, content);
    if (rc != 0) {
        slot->state = UNREAD;
        return mu_error_set(error, rc, "journal slot %u: no memory for it", number);
    }
    const bool left_open = MU_PLANTED(MU_PLANT_CLOSE_HEAD) && number > 0;
    slot->state = MU_PLANTED(MU_PLANT_READ_ONLY) || left_open ? CLOSED : READ;
    if (head.epoch > r->floor)
        r->floor = head.epoch;
    if (r->epoch != 0 && head.epoch >= r->epoch && head.writer != r->incarnation)
        meet_rival(r);
    if (r->stats.rivals > RIVALS_MAX)
        return mu_error_set(error, MU_ECONFLICT,
                            "journal: somebody else keeps closing it; does it run twice?");
    return 0;
}

void mu_recovery_closed(struct mu_recovery *r, uint32_t number, bool written)
{
    MU_ASSERT(number < MU_JOURNAL_SLOTS && r->slots[number].state == CLOSING);
    r->slots[number].state = written && r->epoch != 0 ? CLOSED : UNREAD;
}

/* ---- what comes after ---- */

void mu_recovery_listed(struct mu_recovery *r)
{
    MU_ASSERT(r->phase == PHASE_LISTING);
    r->phase = PHASE_TOUCH;
}

void mu_recovery_touched(struct mu_recovery *r, uint32_t number, uint64_t version)
{
    MU_ASSERT(r->phase == PHASE_TOUCH && number < r->next_touch && !r->items[number].answered);
    r->items[number].answered = true;
    r->items[number].version = version;
    r->stats.touched += version > 0;
    MU_ASSERT(r->touching > 0);
    r->touching--;
}

void mu_recovery_seen(struct mu_recovery *r, uint32_t number)
{
    MU_ASSERT(r->phase == PHASE_SEE && number == r->next_see);
    r->next_see++;
}

static struct mu_recovery_step step_of(const struct mu_recovery *r, enum mu_recovery_ask ask,
                                       uint32_t number)
{
    const struct item *item = &r->items[number];
    return (struct mu_recovery_step){
        .ask = ask, .number = number, .write = &item->write, .version = item->version};
}

int mu_recovery_next(struct mu_recovery *r, struct mu_recovery_step *step, struct mu_buf *content)
{
    *step = (struct mu_recovery_step){.ask = MU_RECOVERY_WAIT};
    mu_buf_clear(content);
    if (r->phase == PHASE_CLOSE) {
        int rc = next_close(r, step, content);
        if (rc != 0 || r->phase == PHASE_CLOSE)
            return rc;
    }
    if (r->phase == PHASE_LIST) {
        r->phase = PHASE_LISTING;
        step->ask = MU_RECOVERY_LIST;
        return 0;
    }
    if (r->phase == PHASE_TOUCH && r->next_touch < r->item_count && r->touching < TOUCHES_MAX) {
        r->touching++;
        *step = step_of(r, MU_RECOVERY_TOUCH, r->next_touch++);
        return 0;
    }
    if (r->phase == PHASE_TOUCH && r->next_touch == r->item_count && r->touching == 0)
        r->phase = PHASE_SEE;
    if (r->phase == PHASE_SEE) {
        while (r->next_see < r->item_count && r->items[r->next_see].version == 0)
            r->next_see++;
        if (r->next_see < r->item_count)
            *step = step_of(r, MU_RECOVERY_SEE, r->next_see);
        else
            r->phase = PHASE_DONE;
    }
    if (r->phase == PHASE_DONE)
        step->ask = MU_RECOVERY_DONE;
    return 0;
}

struct telling {
    int (*entry)(void *context, uint64_t incarnation, const struct mu_journal_entry *entry);
    void *context;
    uint64_t incarnation;
};

static int tell_entry(void *context, const struct mu_journal_entry *entry)
{
    const struct telling *telling = context;
    return telling->entry(telling->context, telling->incarnation, entry);
}

int mu_recovery_entries(const struct mu_recovery *r,
                        int (*entry)(void *context, uint64_t incarnation,
                                     const struct mu_journal_entry *entry),
                        void *context)
{
    MU_ASSERT(r->phase == PHASE_DONE);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++) {
        const struct mu_buf *slot = &r->slots[i].content;
        struct mu_str content = {(const char *)slot->data, (uint32_t)slot->len};
        struct telling telling = {.entry = entry, .context = context};
        struct mu_journal_slot_head head = {.epoch = 0};
        struct mu_error error;
        int rc = 0;
        if (content.len > 0)
            rc = mu_journal_slot_read(content, &head, NULL, NULL, &error);
        if (rc == 0 && content.len > 0) {
            telling.incarnation = head.incarnation;
            rc = mu_journal_slot_read(content, &head, tell_entry, &telling, &error);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

void mu_recovery_stats(const struct mu_recovery *r, struct mu_recovery_stats *out)
{
    *out = r->stats;
}

uint64_t mu_recovery_epoch(const struct mu_recovery *r)
{
    return r->epoch;
}
