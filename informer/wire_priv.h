#ifndef MU_INFORMER_WIRE_PRIV_H
#define MU_INFORMER_WIRE_PRIV_H
/*
 * Protobuf on the level of fields: enough to find a few of them in a message without decoding the
 * rest, and to write the envelope around an encoded object. Whole objects are the work of walk.c.
 *
 * The reader is a cursor over borrowed bytes. Every length is checked against what is left, so a
 * hostile message costs at most one pass and yields views inside the input, never beyond it.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/str.h"
#include "informer/codec.h"

enum mu_wire_type {
    MU_WIRE_VARINT = 0,
    MU_WIRE_FIXED64 = 1,
    MU_WIRE_BYTES = 2,
    MU_WIRE_FIXED32 = 5
};

struct mu_wire {
    const uint8_t *at;
    const uint8_t *end;
};
struct mu_wire_field {
    uint32_t number;
    enum mu_wire_type type;
    uint64_t varint;     /* MU_WIRE_VARINT, FIXED64, FIXED32 */
    struct mu_str bytes; /* MU_WIRE_BYTES: a view */
};

static inline void mu_wire_open(struct mu_wire *wire, struct mu_str message)
{
    wire->at = (const uint8_t *)message.data;
    wire->end = message.len == 0 ? wire->at : wire->at + message.len; /* data may be NULL */
}
/* Take the next field. Returns 1, 0 at the end of the message, MU_ETRUNCATED when a field runs
 * past the end, MU_EPROTO for a malformed varint, a group, or a field number out of range. */
int mu_wire_next_any(struct mu_wire *wire, struct mu_wire_field *field);
static inline int mu_wire_next(struct mu_wire *wire, struct mu_wire_field *field)
{
    /* Nearly every field: bytes, with a tag and a length of one byte each. */
    const uint8_t *at = wire->at;
    size_t left = (size_t)(wire->end - at);
    if (left < 2 || at[0] >= 0x80 || (at[0] & 7) != MU_WIRE_BYTES || at[0] < 8 || at[1] >= 0x80 ||
        at[1] > left - 2)
        return mu_wire_next_any(wire, field);
    *field = (struct mu_wire_field){
        .number = at[0] >> 3, .type = MU_WIRE_BYTES, .bytes = {(const char *)at + 2, at[1]}};
    wire->at = at + 2 + at[1];
    return 1;
}

/* The object that follows the one at hand: fetched ahead as far as an object usually goes. Objects
 * are read by jumps over what nobody needs, which the processor does not foresee. */
static inline void mu_wire_prefetch(const void *at, size_t left)
{
    enum { LINE_BYTES = 64, AHEAD_BYTES = 24 * LINE_BYTES };
    for (size_t i = 0; i < AHEAD_BYTES && i < left; i += LINE_BYTES)
        __builtin_prefetch((const char *)at + i);
}

/* Bytes that a varint, and that a length-delimited field with `len` bytes of content, takes. */
size_t mu_wire_varint_size(uint64_t value);
size_t mu_wire_bytes_size(uint32_t number, size_t len);
/* Append. The buffer's sticky error tells of failure. */
void mu_wire_put_varint(struct mu_buf *out, uint64_t value);
/* Tag and length of a length-delimited field; its content follows. */
void mu_wire_put_head(struct mu_buf *out, uint32_t number, size_t len);
void mu_wire_put_bytes(struct mu_buf *out, uint32_t number, struct mu_str bytes);

/* The word of a watch event (codec_watch.c). */
bool mu_watch_type_find(struct mu_str text, enum mu_watch_type *type);

#endif
