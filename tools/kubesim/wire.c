#include "tools/kubesim/wire.h"

#include "engine/base/error.h"
#include "tools/kubesim/kinds.h"

/* Decode a varint at *at. False when it runs past the end or beyond 64 bits. */
static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *value = v;
            return true;
        }
    }
    return false;
}

int mu_pb_next(struct mu_str *rest, struct mu_pb_field *field)
{
    if (rest->len == 0) {
        return 0;
    }
    const uint8_t *start = (const uint8_t *)rest->data;
    const uint8_t *at = start;
    const uint8_t *end = start + rest->len;
    uint64_t tag = 0;
    if (!varint(&at, end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return MU_EPROTO;
    }
    *field = (struct mu_pb_field){.number = (uint32_t)(tag >> 3)};
    uint64_t len = 0;
    switch (tag & 7) {
    case 0:
        if (!varint(&at, end, &field->varint)) {
            return MU_EPROTO;
        }
        break;
    case 1:
    case 5:
        len = (tag & 7) == 1 ? 8 : 4;
        if (len > (uint64_t)(end - at)) {
            return MU_EPROTO;
        }
        for (uint64_t i = 0; i < len; i++) {
            field->varint |= (uint64_t)at[i] << (8 * i);
        }
        at += len;
        break;
    case 2:
        if (!varint(&at, end, &len) || len > (uint64_t)(end - at)) {
            return MU_EPROTO;
        }
        field->is_bytes = true;
        field->bytes = (struct mu_str){(const char *)at, (uint32_t)len};
        at += len;
        break;
    default: /* groups do not occur in Kubernetes messages */
        return MU_EPROTO;
    }
    field->whole = (struct mu_str){(const char *)start, (uint32_t)(at - start)};
    *rest = (struct mu_str){(const char *)at, (uint32_t)(end - at)};
    return 1;
}

bool mu_pb_find(struct mu_str message, uint32_t number, struct mu_pb_field *out)
{
    bool found = false;
    struct mu_pb_field field;
    while (mu_pb_next(&message, &field) == 1) {
        if (field.number == number) {
            *out = field;
            found = true;
        }
    }
    return found;
}

struct mu_str mu_pb_bytes(struct mu_str message, uint32_t a, uint32_t b)
{
    struct mu_pb_field field;
    if (!mu_pb_find(message, a, &field) || !field.is_bytes) {
        return (struct mu_str){NULL, 0};
    }
    return b == 0 ? field.bytes : mu_pb_bytes(field.bytes, b, 0);
}

bool mu_pb_map_get(struct mu_str message, uint32_t number, struct mu_str key, struct mu_str *value)
{
    bool found = false;
    struct mu_pb_field field;
    while (mu_pb_next(&message, &field) == 1) {
        if (field.number == number && field.is_bytes &&
            mu_str_equal(mu_pb_bytes(field.bytes, 1, 0), key)) {
            *value = mu_pb_bytes(field.bytes, 2, 0);
            found = true;
        }
    }
    return found;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7) {
        size++;
    }
    return size;
}

/* Write a varint; returns its bytes, at most 10. */
static size_t write_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        out[n++] = (uint8_t)(value | 0x80);
    }
    out[n++] = (uint8_t)value;
    return n;
}

void mu_pb_put_varint(struct mu_buf *out, uint64_t value)
{
    uint8_t bytes[10];
    (void)mu_buf_append(out, bytes, write_varint(bytes, value));
}

void mu_pb_put_head(struct mu_buf *out, uint32_t number, size_t len)
{
    uint8_t bytes[20];
    size_t n = write_varint(bytes, (uint64_t)number << 3 | 2);
    n += write_varint(bytes + n, len);
    (void)mu_buf_append(out, bytes, n);
}

void mu_pb_put_bytes(struct mu_buf *out, uint32_t number, struct mu_str bytes)
{
    mu_pb_put_head(out, number, bytes.len);
    (void)mu_buf_append_str(out, bytes);
}

size_t mu_pb_bytes_size(uint32_t number, size_t len)
{
    return varint_size((uint64_t)number << 3 | 2) + varint_size(len) + len;
}

/* The number on the other side, or 0. */
static uint32_t other_number(const struct mu_renumber *map, bool to_stored, uint32_t number)
{
    for (; map->stored != 0; map++) {
        if (number == (to_stored ? map->served : map->stored)) {
            return to_stored ? map->stored : map->served;
        }
    }
    return 0;
}

int mu_pb_renumber(struct mu_str message, const struct mu_renumber *map, bool to_stored,
                   struct mu_buf *out)
{
    size_t before = out->len;
    struct mu_pb_field field;
    int code = 0;
    while ((code = mu_pb_next(&message, &field)) == 1) {
        uint32_t number = other_number(map, to_stored, field.number);
        if (number == 0) {
            continue;
        }
        struct mu_str rest = field.whole; /* behind the tag, which need not be the shortest one */
        uint8_t wire_type = (uint8_t)rest.data[0] & 7;
        uint8_t byte = 0;
        do {
            byte = (uint8_t)rest.data[0];
            rest = (struct mu_str){rest.data + 1, rest.len - 1};
        } while ((byte & 0x80) != 0);
        mu_pb_put_varint(out, (uint64_t)number << 3 | wire_type);
        (void)mu_buf_append_str(out, rest);
    }
    code = code != 0 ? code : out->failed;
    if (code != 0) {
        out->len = before;
    }
    return code;
}
