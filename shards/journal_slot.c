#include "shards/journal_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/limits.h"

/*
 * Encoding and reading of slots. Reading takes nothing on trust: the checksum says that the bytes
 * are as they were written, not by whom. Every length is compared with what is left before it is
 * used, and the whole slot is walked once before the first entry is handed out.
 */

enum { ENTRY_HEAD_BYTES = 4 + 4 + 8 + 2, WRITE_HEAD_BYTES = 8 + 8 + 8 + 2 };
/* "namespace/name" and a node's name, at their longest. */
_Static_assert(ENTRY_HEAD_BYTES + 2 * MU_NAME_BYTES_MAX + 1 +
                       MU_JOURNAL_ENTRY_WRITES_MAX * (WRITE_HEAD_BYTES + MU_NAME_BYTES_MAX) <=
                   MU_JOURNAL_BODY_MAX,
               "an entry of MU_JOURNAL_ENTRY_WRITES_MAX writes fits a slot");

_Static_assert(MU_JOURNAL_BODY_MAX <= UINT16_MAX, "the length of a text that fits fits 16 bits");

static const char magic[4] = {'M', 'U', 'J', 'S'};

/* ---- writing ---- */

static uint8_t *put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + bytes;
}

static uint8_t *put_str(uint8_t *at, struct mu_str s)
{
    at = put(at, s.len, 2);
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

uint32_t mu_journal_entry_bytes(const struct mu_journal_entry *entry)
{
    uint64_t bytes = ENTRY_HEAD_BYTES + (uint64_t)entry->gang.len;
    for (uint32_t i = 0; i < entry->count && bytes <= MU_JOURNAL_BODY_MAX; i++)
        bytes += WRITE_HEAD_BYTES + (uint64_t)entry->writes[i].node.len;
    return bytes <= MU_JOURNAL_BODY_MAX ? (uint32_t)bytes : 0;
}

void mu_journal_entry_encode(const struct mu_journal_entry *entry, uint8_t *bytes, uint32_t len)
{
    uint8_t *at = put(bytes, len, 4);
    at = put(at, entry->count, 4);
    at = put(at, entry->id, 8);
    at = put_str(at, entry->gang);
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct mu_journal_write *w = &entry->writes[i];
        at = put(at, w->uid.hi, 8);
        at = put(at, w->uid.lo, 8);
        at = put(at, w->version, 8);
        at = put_str(at, w->node);
    }
    MU_ASSERT(at == bytes + len);
}

int mu_journal_content_begin(struct mu_buf *content, const struct mu_journal_slot_head *head,
                             uint32_t body_len)
{
    int error = mu_buf_reserve(content, (size_t)MU_JOURNAL_HEAD_BYTES + body_len +
                                            MU_JOURNAL_CHECKSUM_BYTES);
    if (error != 0) {
        content->failed = error;
        return error;
    }
    uint8_t bytes[MU_JOURNAL_HEAD_BYTES];
    memcpy(bytes, magic, sizeof magic);
    uint8_t *at = put(bytes + sizeof magic, head->format, 4);
    at = put(at, head->epoch, 8);
    at = put(at, head->incarnation, 8);
    at = put(at, head->sequence, 8);
    at = put(at, head->slot, 4);
    at = put(at, head->entry_count, 4);
    at = put(at, body_len, 4);
    at = put(at, 0, 4);
    MU_ASSERT(at == bytes + sizeof bytes);
    return mu_buf_append(content, bytes, sizeof bytes);
}

void mu_journal_content_end(struct mu_buf *content)
{
    uint8_t bytes[MU_JOURNAL_CHECKSUM_BYTES];
    (void)put(bytes, mu_hash_stable(content->data, content->len), sizeof bytes);
    (void)mu_buf_append(content, bytes, sizeof bytes);
}

/* ---- reading ---- */

/* What is left to read. The first read beyond the end fails and all later ones do. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static uint64_t get(struct reader *r, uint32_t bytes)
{
    if (r->failed || r->left < bytes) {
        r->failed = true;
        return 0;
    }
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint64_t)r->at[i] << (8 * i);
    r->at += bytes;
    r->left -= bytes;
    return value;
}

static struct mu_str get_str(struct reader *r)
{
    uint32_t len = (uint32_t)get(r, 2);
    if (r->failed || r->left < len) {
        r->failed = true;
        return (struct mu_str){NULL, 0};
    }
    struct mu_str s = {(const char *)r->at, len};
    r->at += len;
    r->left -= len;
    return s;
}

/* Read one entry; its writes into `writes` when that is not NULL. false: malformed. */
static bool read_entry(struct reader *body, struct mu_journal_entry *entry,
                       struct mu_journal_write *writes)
{
    size_t before = body->left;
    uint64_t len = get(body, 4);
    if (body->failed || len > before || len < ENTRY_HEAD_BYTES)
        return false;
    struct reader r = {body->at, (size_t)len - 4, false};
    body->at += r.left;
    body->left -= r.left;
    entry->count = (uint32_t)get(&r, 4);
    entry->id = get(&r, 8);
    entry->gang = get_str(&r);
    entry->writes = writes;
    /* Before any loop over it: the count has to fit the bytes that are there. */
    if (r.failed || entry->count == 0 || entry->count > r.left / WRITE_HEAD_BYTES)
        return false;
    for (uint32_t i = 0; i < entry->count; i++) {
        struct mu_journal_write w;
        w.uid.hi = get(&r, 8);
        w.uid.lo = get(&r, 8);
        w.version = get(&r, 8);
        w.node = get_str(&r);
        if (writes != NULL)
            writes[i] = w;
    }
    return !r.failed && r.left == 0;
}

/* Check head and checksum; *body becomes the entries. */
static int read_head(struct mu_str content, struct mu_journal_slot_head *head, struct reader *body,
                     struct mu_error *error)
{
    struct reader r = {(const uint8_t *)content.data, content.len, false};
    if (content.len >= sizeof magic && memcmp(content.data, magic, sizeof magic) != 0)
        return mu_error_set(error, MU_EPROTO, "journal slot: does not begin with \"MUJS\"");
    (void)get(&r, sizeof magic);
    head->format = (uint32_t)get(&r, 4);
    if (!r.failed && head->format != MU_JOURNAL_FORMAT)
        return mu_error_set(error, MU_EPROTO, "journal slot: format %u, expected %u", head->format,
                            MU_JOURNAL_FORMAT);
    head->epoch = get(&r, 8);
    head->incarnation = get(&r, 8);
    head->sequence = get(&r, 8);
    head->slot = (uint32_t)get(&r, 4);
    head->entry_count = (uint32_t)get(&r, 4);
    uint32_t body_len = (uint32_t)get(&r, 4);
    uint32_t zero = (uint32_t)get(&r, 4);
    if (r.failed)
        return mu_error_set(error, MU_ETRUNCATED, "journal slot: %u bytes, a head has %u",
                            content.len, MU_JOURNAL_HEAD_BYTES);
    if (zero != 0 || body_len > MU_JOURNAL_BODY_MAX || head->slot >= MU_JOURNAL_SLOTS)
        return mu_error_set(error, MU_EPROTO,
                            "journal slot: body of %u bytes in slot %u, expected "
                            "at most %u in slots below %u",
                            body_len, head->slot, MU_JOURNAL_BODY_MAX, MU_JOURNAL_SLOTS);
    uint64_t whole = (uint64_t)body_len + MU_JOURNAL_CHECKSUM_BYTES;
    if (r.left < whole)
        return mu_error_set(error, MU_ETRUNCATED, "journal slot %u: ends %llu bytes early",
                            head->slot, (unsigned long long)(whole - r.left));
    if (r.left > whole)
        return mu_error_set(error, MU_EPROTO, "journal slot %u: %llu bytes behind its end",
                            head->slot, (unsigned long long)(r.left - whole));
    *body = (struct reader){r.at, body_len, false};
    struct reader tail = {r.at + body_len, MU_JOURNAL_CHECKSUM_BYTES, false};
    uint64_t expected = get(&tail, MU_JOURNAL_CHECKSUM_BYTES);
    if (expected != mu_hash_stable(content.data, content.len - MU_JOURNAL_CHECKSUM_BYTES))
        return mu_error_set(error, MU_EPROTO, "journal slot %u: wrong checksum", head->slot);
    return 0;
}

/* Walk all entries: well formed, ids rising, as many as the head says. *count_max: most writes. */
static int check_entries(struct reader body, const struct mu_journal_slot_head *head,
                         uint32_t *count_max, struct mu_error *error)
{
    uint64_t last_id = 0;
    *count_max = 0;
    for (uint32_t i = 0; i < head->entry_count; i++) {
        struct mu_journal_entry entry = {0};
        if (!read_entry(&body, &entry, NULL) || entry.id <= last_id)
            return mu_error_set(error, MU_EPROTO, "journal slot %u: entry %u of %u is malformed",
                                head->slot, i, head->entry_count);
        last_id = entry.id;
        if (entry.count > *count_max)
            *count_max = entry.count;
    }
    if (body.left != 0)
        return mu_error_set(error, MU_EPROTO, "journal slot %u: %zu bytes behind its %u entries",
                            head->slot, body.left, head->entry_count);
    return 0;
}

int mu_journal_slot_read(struct mu_str content, struct mu_journal_slot_head *head,
                         int (*entry)(void *context, const struct mu_journal_entry *entry),
                         void *context, struct mu_error *error)
{
    struct mu_journal_slot_head read = {0};
    struct reader body = {0};
    uint32_t count_max = 0;
    int rc = read_head(content, &read, &body, error);
    if (rc == 0)
        rc = check_entries(body, &read, &count_max, error);
    if (rc != 0)
        return rc;
    struct mu_journal_write *writes = NULL;
    if (count_max > 0) {
        writes = mu_mem_calloc(count_max, sizeof *writes);
        if (writes == NULL)
            return mu_error_set(error, MU_ENOMEM, "journal slot %u: no memory for %u writes",
                                read.slot, count_max);
    }
    *head = read;
    for (uint32_t i = 0; i < read.entry_count && rc == 0; i++) {
        struct mu_journal_entry e;
        bool sound = read_entry(&body, &e, writes);
        MU_ASSERT(sound); /* as check_entries found it */
        rc = entry(context, &e);
    }
    mu_mem_free(writes);
    return rc;
}
