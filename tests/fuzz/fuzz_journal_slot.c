/*
 * A journal slot read back: no input crashes, a refused one delivers nothing, and an accepted one
 * is the only encoding of what it says: written again, it has the same bytes. The input is tried
 * as it is and with its checksum put right, which no mutation would find.
 *
 * covers: shards/journal_slot.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "shards/journal_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    struct mu_buf body; /* the entries, encoded again */
    uint32_t count;
};

static int encode_again(void *context, const struct mu_journal_entry *entry)
{
    struct seen *seen = context;
    uint32_t len = mu_journal_entry_bytes(entry);
    MU_ASSERT(len > 0 && entry->count > 0);
    uint8_t *bytes = mu_mem_alloc(len);
    MU_ASSERT(bytes != NULL);
    mu_journal_entry_encode(entry, bytes, len);
    MU_ASSERT(mu_buf_append(&seen->body, bytes, len) == 0);
    mu_mem_free(bytes);
    seen->count++;
    return 0;
}

/* Closing takes what reading takes, and keeps the entries. */
static void close_one(struct mu_str content, int expected, uint32_t entry_count)
{
    struct mu_buf closed = {0};
    struct mu_journal_slot_head head;
    struct mu_error error = {0, ""};
    int rc = mu_journal_slot_close(content, 6, 7, 8, &closed, &error);
    MU_ASSERT(rc == expected && (rc == 0) == (closed.len > 0));
    if (rc == 0) {
        struct mu_str again = {(const char *)closed.data, (uint32_t)closed.len};
        MU_ASSERT(mu_journal_slot_read(again, &head, NULL, NULL, &error) == 0);
        MU_ASSERT(head.epoch == 6 && head.writer == 7 && head.entry_count == entry_count);
    }
    mu_buf_fini(&closed);
}

static void read_one(const uint8_t *bytes, size_t size)
{
    struct mu_str content = {(const char *)bytes, (uint32_t)size};
    struct mu_journal_slot_head head = {.format = 77};
    struct mu_error error = {0, ""};
    struct seen seen = {0};
    int rc = mu_journal_slot_read(content, &head, encode_again, &seen, &error);
    if (rc != 0) {
        MU_ASSERT(rc == MU_EPROTO || rc == MU_ETRUNCATED);
        MU_ASSERT(error.code == rc && head.format == 77 && seen.count == 0);
    } else {
        struct mu_buf again = {0};
        MU_ASSERT(seen.count == head.entry_count);
        MU_ASSERT(mu_journal_content_begin(&again, &head, (uint32_t)seen.body.len) == 0);
        MU_ASSERT(mu_buf_append(&again, seen.body.data, seen.body.len) == 0);
        mu_journal_content_end(&again);
        MU_ASSERT(again.len == size && memcmp(again.data, bytes, size) == 0);
        mu_buf_fini(&again);
    }
    close_one(content, rc, seen.count);
    mu_buf_fini(&seen.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2 * MU_JOURNAL_SLOT_BYTES)
        return 0;
    read_one(data, size);
    if (size < MU_JOURNAL_CHECKSUM_BYTES)
        return 0;
    uint8_t *copy = mu_mem_alloc(size);
    MU_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    size_t body_end = size - MU_JOURNAL_CHECKSUM_BYTES;
    uint64_t sum = mu_hash_stable(copy, body_end);
    for (uint32_t i = 0; i < MU_JOURNAL_CHECKSUM_BYTES; i++)
        copy[body_end + i] = (uint8_t)(sum >> (8 * i));
    read_one(copy, size);
    mu_mem_free(copy);
    return 0;
}
