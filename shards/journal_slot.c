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

enum { ENTRY_LEN_BYTES = 2, VARINT_MAX = 10, LENGTH_MAX = 3 /* of a text that fits a slot */ };
enum { FLAG_SPLIT = 1, FLAG_GANG = 2, FLAGS = 3 };
enum { TAG_KIND = 3, TAG_TEXT = 4, TAG_SAME_NODE = 8, TAG_GRANT = 16, TAGS = 31 };

/* "namespace/name", a UID that is no UUID and a node's name, at their longest. */
enum {
    ENTRY_BYTES_MAX =
        ENTRY_LEN_BYTES + 1 + 4 * VARINT_MAX + LENGTH_MAX + 2 * MU_NAME_BYTES_MAX + 1 + LENGTH_MAX,
    WRITE_BYTES_MAX =
        1 + LENGTH_MAX + MU_UID_BYTES_MAX + LENGTH_MAX + MU_NAME_BYTES_MAX + 3 * VARINT_MAX,
    WRITE_BYTES_MIN = 1 + 2 + 1 /* a text of one byte, a version, the same node */
};
_Static_assert(ENTRY_BYTES_MAX + MU_JOURNAL_ENTRY_WRITES_MAX * WRITE_BYTES_MAX <=
                   MU_JOURNAL_BODY_MAX,
               "an entry of MU_JOURNAL_ENTRY_WRITES_MAX writes fits a slot");
_Static_assert(MU_JOURNAL_BODY_MAX <= UINT16_MAX, "the length of an entry fits 16 bits");
_Static_assert((int)MU_JOURNAL_KINDS <= (int)TAG_KIND, "a kind fits its bits");

static const char magic[4] = {'M', 'U', 'J', 'S'};

/* ---- writing ---- */

static uint8_t *put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + bytes;
}

static uint32_t varint_bytes(uint64_t value)
{
    uint32_t bytes = 1;
    for (; value >= 0x80; value >>= 7)
        bytes++;
    return bytes;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint64_t str_bytes(struct mu_str s)
{
    return varint_bytes(s.len) + (uint64_t)s.len;
}

static uint8_t *put_str(uint8_t *at, struct mu_str s)
{
    at = put_varint(at, s.len);
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

static uint8_t tag_of(const struct mu_journal_write *w, const struct mu_journal_write *before)
{
    MU_ASSERT((uint32_t)w->kind < MU_JOURNAL_KINDS);
    uint32_t tag = (uint32_t)w->kind;
    tag |= w->uid_text.len > 0 ? TAG_TEXT : 0;
    tag |= before != NULL && mu_str_equal(w->node, before->node) ? TAG_SAME_NODE : 0;
    tag |= w->grant.number > 0 ? TAG_GRANT : 0;
    return (uint8_t)tag;
}

static uint64_t write_bytes(const struct mu_journal_write *w, uint8_t tag)
{
    uint64_t bytes = 1 + (uint64_t)varint_bytes(w->version);
    bytes += (tag & TAG_TEXT) != 0 ? str_bytes(w->uid_text) : 16;
    bytes += (tag & TAG_SAME_NODE) != 0 ? 0 : str_bytes(w->node);
    if ((tag & TAG_GRANT) != 0)
        bytes += (uint64_t)varint_bytes(w->grant.epoch) + varint_bytes(w->grant.number);
    return bytes;
}

static uint8_t *put_write(uint8_t *at, const struct mu_journal_write *w, uint8_t tag)
{
    *at++ = tag;
    if ((tag & TAG_TEXT) != 0) {
        at = put_str(at, w->uid_text);
    } else {
        at = put(at, w->uid.hi, 8);
        at = put(at, w->uid.lo, 8);
    }
    at = put_varint(at, w->version);
    if ((tag & TAG_SAME_NODE) == 0)
        at = put_str(at, w->node);
    if ((tag & TAG_GRANT) != 0) {
        at = put_varint(at, w->grant.epoch);
        at = put_varint(at, w->grant.number);
    }
    return at;
}

uint32_t mu_journal_entry_bytes(const struct mu_journal_entry *entry)
{
    uint64_t bytes = ENTRY_LEN_BYTES + 1 + (uint64_t)varint_bytes(entry->id) +
                     varint_bytes(entry->plan) + varint_bytes(entry->count);
    if (entry->parts > 1)
        bytes += (uint64_t)varint_bytes(entry->part) + varint_bytes(entry->parts);
    if (entry->gang.len > 0)
        bytes += str_bytes(entry->gang);
    for (uint32_t i = 0; i < entry->count && bytes <= MU_JOURNAL_BODY_MAX; i++) {
        const struct mu_journal_write *w = &entry->writes[i];
        bytes += write_bytes(w, tag_of(w, i > 0 ? w - 1 : NULL));
    }
    return bytes <= MU_JOURNAL_BODY_MAX ? (uint32_t)bytes : 0;
}

void mu_journal_entry_encode(const struct mu_journal_entry *entry, uint8_t *bytes, uint32_t len)
{
    uint8_t *at = put(bytes, len, ENTRY_LEN_BYTES);
    bool split = entry->parts > 1;
    *at++ = (uint8_t)((split ? FLAG_SPLIT : 0) | (entry->gang.len > 0 ? FLAG_GANG : 0));
    at = put_varint(at, entry->id);
    at = put_varint(at, entry->plan);
    if (split) {
        at = put_varint(at, entry->part);
        at = put_varint(at, entry->parts);
    }
    if (entry->gang.len > 0)
        at = put_str(at, entry->gang);
    at = put_varint(at, entry->count);
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct mu_journal_write *w = &entry->writes[i];
        at = put_write(at, w, tag_of(w, i > 0 ? w - 1 : NULL));
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
    at = put(at, head->writer, 8);
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

/* In its shortest form, or it is malformed. */
static uint64_t get_varint(struct reader *r)
{
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        uint64_t byte = get(r, 1);
        if (r->failed)
            return 0;
        value |= (byte & 0x7f) << shift;
        bool fits = shift < 63 || byte <= 1;
        if (byte < 0x80 && fits && (byte != 0 || shift == 0))
            return value;
        if (byte < 0x80)
            break;
    }
    r->failed = true;
    return 0;
}

static struct mu_str get_str(struct reader *r)
{
    uint64_t len = get_varint(r);
    if (r->failed || r->left < len) {
        r->failed = true;
        return (struct mu_str){NULL, 0};
    }
    struct mu_str s = {(const char *)r->at, (uint32_t)len};
    r->at += len;
    r->left -= len;
    return s;
}

/* One write; `node` is that of the write before it, NULL where there is none. */
static struct mu_journal_write get_write(struct reader *r, const struct mu_str *node)
{
    struct mu_journal_write w = {.kind = MU_JOURNAL_BIND};
    uint8_t tag = (uint8_t)get(r, 1);
    r->failed = r->failed || (tag & ~TAGS) != 0 || (tag & TAG_KIND) >= MU_JOURNAL_KINDS ||
                ((tag & TAG_SAME_NODE) != 0 && node == NULL);
    if (r->failed)
        return w;
    w.kind = (enum mu_journal_kind)(tag & TAG_KIND);
    if ((tag & TAG_TEXT) != 0) {
        w.uid_text = get_str(r);
        r->failed = r->failed || w.uid_text.len == 0 || w.uid_text.len > MU_UID_BYTES_MAX;
    } else {
        w.uid.hi = get(r, 8);
        w.uid.lo = get(r, 8);
    }
    w.version = get_varint(r);
    if ((tag & TAG_SAME_NODE) != 0) {
        w.node = *node;
    } else {
        w.node = get_str(r);
        r->failed = r->failed || (node != NULL && mu_str_equal(w.node, *node));
    }
    if ((tag & TAG_GRANT) != 0) {
        w.grant.epoch = get_varint(r);
        w.grant.number = get_varint(r);
        r->failed = r->failed || w.grant.number == 0;
    }
    return w;
}

/* What comes before the writes. */
static void get_entry_head(struct reader *r, struct mu_journal_entry *entry)
{
    uint8_t flags = (uint8_t)get(r, 1);
    r->failed = r->failed || (flags & ~FLAGS) != 0;
    entry->id = get_varint(r);
    entry->plan = get_varint(r);
    entry->part = 0;
    entry->parts = 1;
    entry->gang = MU_STR("");
    if ((flags & FLAG_SPLIT) != 0) {
        uint64_t part = get_varint(r), parts = get_varint(r);
        r->failed = r->failed || parts < 2 || part >= parts || parts > UINT32_MAX;
        entry->part = (uint32_t)part;
        entry->parts = (uint32_t)parts;
    }
    if ((flags & FLAG_GANG) != 0) {
        entry->gang = get_str(r);
        r->failed = r->failed || entry->gang.len == 0;
    }
    uint64_t count = get_varint(r);
    /* Before any loop over it: the count has to fit the bytes that are there. */
    r->failed = r->failed || count == 0 || count > r->left / WRITE_BYTES_MIN;
    entry->count = r->failed ? 0 : (uint32_t)count;
}

/* Read one entry; its writes into `writes` when that is not NULL. false: malformed. */
static bool read_entry(struct reader *body, struct mu_journal_entry *entry,
                       struct mu_journal_write *writes)
{
    size_t before = body->left;
    uint64_t len = get(body, ENTRY_LEN_BYTES);
    if (body->failed || len > before || len < ENTRY_LEN_BYTES)
        return false;
    struct reader r = {body->at, (size_t)len - ENTRY_LEN_BYTES, false};
    body->at += r.left;
    body->left -= r.left;
    get_entry_head(&r, entry);
    entry->writes = writes;
    struct mu_str node = {NULL, 0};
    for (uint32_t i = 0; i < entry->count && !r.failed; i++) {
        struct mu_journal_write w = get_write(&r, i > 0 ? &node : NULL);
        node = w.node;
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
    head->writer = get(&r, 8);
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
    for (uint32_t i = 0; entry != NULL && i < read.entry_count && rc == 0; i++) {
        struct mu_journal_entry e;
        bool sound = read_entry(&body, &e, writes);
        MU_ASSERT(sound); /* as check_entries found it */
        rc = entry(context, &e);
    }
    mu_mem_free(writes);
    return rc;
}

/* ---- closing ---- */

int mu_journal_slot_close(struct mu_str content, uint64_t epoch, uint64_t writer, uint64_t sequence,
                          struct mu_buf *out, struct mu_error *error)
{
    struct mu_journal_slot_head head = {0};
    struct reader body = {0};
    uint32_t count_max = 0;
    MU_ASSERT(out->len == 0);
    int rc = read_head(content, &head, &body, error);
    if (rc == 0)
        rc = check_entries(body, &head, &count_max, error);
    if (rc != 0)
        return rc;
    head.epoch = epoch;
    head.writer = writer;
    head.sequence = sequence;
    rc = mu_journal_content_begin(out, &head, (uint32_t)body.left);
    if (rc != 0)
        return mu_error_set(error, rc, "journal slot %u: no memory to close it", head.slot);
    (void)mu_buf_append(out, body.at, body.left);
    mu_journal_content_end(out);
    return 0;
}

int mu_journal_slot_blank(uint32_t slot, uint64_t epoch, uint64_t writer, uint64_t sequence,
                          struct mu_buf *out)
{
    const struct mu_journal_slot_head head = {.format = MU_JOURNAL_FORMAT,
                                              .epoch = epoch,
                                              .writer = writer,
                                              .incarnation = writer,
                                              .sequence = sequence,
                                              .slot = slot};
    MU_ASSERT(out->len == 0 && slot < MU_JOURNAL_SLOTS);
    int rc = mu_journal_content_begin(out, &head, 0);
    if (rc == 0)
        mu_journal_content_end(out);
    return rc;
}
