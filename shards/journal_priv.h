#ifndef MU_SHARDS_JOURNAL_PRIV_H
#define MU_SHARDS_JOURNAL_PRIV_H
/*
 * The bytes of a journal slot (journal_slot.c). Fixed numbers are little-endian; "v" is a varint of
 * 7 bits a byte, lowest first, in its shortest form.
 *
 *     slot    "MUJS" | format u32 | epoch u64 | writer u64 | incarnation u64 | sequence u64
 *             | slot u32 | entry_count u32 | body_len u32 | 0 u32
 *             | body: the entries | checksum u64: XXH64 of everything before it
 *     entry   len u16: of the whole entry | flags u8 | id v | plan v
 *             | SPLIT: part v, parts v | GANG: len v, bytes | count v | count times: write
 *     write   tag u8 | uid: hi u64, lo u64, or TEXT: len v, bytes | version v
 *             | unless SAME_NODE: len v, bytes | GRANT: epoch v, number v
 *
 * A tag's low bits are the kind; SAME_NODE says that the node is that of the write before. There is
 * one way to write an entry: a flag that says nothing, or a node spelled twice, is malformed.
 *
 * A lone pod's bind takes about 40 bytes: the budget of a megabyte a second is 25,000 of them.
 *
 * A change of it is a new MU_JOURNAL_FORMAT; releases N and N + 1 read each other's. Format 1 was
 * never stored anywhere.
 */
#include "shards/journal.h"

#define MU_JOURNAL_HEAD_BYTES     56u
#define MU_JOURNAL_CHECKSUM_BYTES 8u
#define MU_JOURNAL_BODY_MAX                                                                        \
    (MU_JOURNAL_SLOT_BYTES - MU_JOURNAL_HEAD_BYTES - MU_JOURNAL_CHECKSUM_BYTES)

/* Encoded size of an entry; 0 when it is more than a slot holds. */
uint32_t mu_journal_entry_bytes(const struct mu_journal_entry *entry);
/* Encode into exactly len = mu_journal_entry_bytes(entry) bytes. */
void mu_journal_entry_encode(const struct mu_journal_entry *entry, uint8_t *bytes, uint32_t len);
/* Reserve the whole slot in *content (empty) and append the head; then the caller appends the
 * entries, which cannot fail. Errors: MU_ENOMEM, sticky in *content. */
int mu_journal_content_begin(struct mu_buf *content, const struct mu_journal_slot_head *head,
                             uint32_t body_len);
/* Append the checksum. */
void mu_journal_content_end(struct mu_buf *content);

#endif
