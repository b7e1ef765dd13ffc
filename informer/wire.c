#include "informer/wire_priv.h"

#define FIELD_NUMBER_MAX ((1u << 29) - 1)

/* A varint of at most ten bytes; bits beyond the 64th are an error, not dropped. */
static inline int take_varint(struct mu_wire *wire, uint64_t *value)
{
    if (wire->at != wire->end && *wire->at < 0x80) { /* nearly every tag and length */
        *value = *wire->at++;
        return 0;
    }
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (wire->at == wire->end)
            return MU_ETRUNCATED;
        uint8_t byte = *wire->at++;
        if (shift == 63 && byte > 1)
            return MU_EPROTO;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = v;
            return 0;
        }
    }
    return MU_EPROTO;
}

static int take_fixed(struct mu_wire *wire, size_t len, uint64_t *value)
{
    if ((size_t)(wire->end - wire->at) < len)
        return MU_ETRUNCATED;
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v |= (uint64_t)wire->at[i] << (8 * i);
    wire->at += len;
    *value = v;
    return 0;
}

static int take_bytes(struct mu_wire *wire, struct mu_str *bytes)
{
    uint64_t len;
    int rc = take_varint(wire, &len);
    if (rc != 0)
        return rc;
    if (len > (uint64_t)(wire->end - wire->at))
        return MU_ETRUNCATED;
    /* The message came as a struct mu_str, so what is left of it fits 32 bits. */
    *bytes = (struct mu_str){(const char *)wire->at, (uint32_t)len};
    wire->at += len;
    return 0;
}

int mu_wire_next_any(struct mu_wire *wire, struct mu_wire_field *field)
{
    if (wire->at == wire->end)
        return 0;
    uint64_t tag;
    int rc = take_varint(wire, &tag);
    if (rc != 0)
        return rc;
    if ((tag >> 3) == 0 || (tag >> 3) > FIELD_NUMBER_MAX)
        return MU_EPROTO;
    field->number = (uint32_t)(tag >> 3);
    field->varint = 0;
    field->bytes = (struct mu_str){NULL, 0};
    switch (tag & 7) {
    case MU_WIRE_VARINT:
        field->type = MU_WIRE_VARINT;
        rc = take_varint(wire, &field->varint);
        break;
    case MU_WIRE_FIXED64:
        field->type = MU_WIRE_FIXED64;
        rc = take_fixed(wire, 8, &field->varint);
        break;
    case MU_WIRE_FIXED32:
        field->type = MU_WIRE_FIXED32;
        rc = take_fixed(wire, 4, &field->varint);
        break;
    case MU_WIRE_BYTES:
        field->type = MU_WIRE_BYTES;
        rc = take_bytes(wire, &field->bytes);
        break;
    default:
        return MU_EPROTO;
    }
    return rc == 0 ? 1 : rc;
}

size_t mu_wire_varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

size_t mu_wire_bytes_size(uint32_t number, size_t len)
{
    return mu_wire_varint_size((uint64_t)number << 3) + mu_wire_varint_size(len) + len;
}

void mu_wire_put_varint(struct mu_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;
    while (value >= 0x80) {
        bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[len++] = (uint8_t)value;
    (void)mu_buf_append(out, bytes, len);
}

void mu_wire_put_head(struct mu_buf *out, uint32_t number, size_t len)
{
    mu_wire_put_varint(out, (uint64_t)number << 3 | MU_WIRE_BYTES);
    mu_wire_put_varint(out, len);
}

void mu_wire_put_bytes(struct mu_buf *out, uint32_t number, struct mu_str bytes)
{
    mu_wire_put_head(out, number, bytes.len);
    (void)mu_buf_append_str(out, bytes);
}
