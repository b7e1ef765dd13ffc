#include "informer/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int mu_base64_append(struct mu_buf *out, struct mu_str data)
{
    size_t need = (((size_t)data.len + 2) / 3) * 4;
    if (out->failed == 0)
        out->failed = mu_buf_reserve(out, need);
    if (out->failed != 0)
        return out->failed;
    for (size_t i = 0; i < data.len; i += 3) {
        size_t left = data.len - i;
        uint32_t bits = (uint32_t)(uint8_t)data.data[i] << 16;
        bits |= left > 1 ? (uint32_t)(uint8_t)data.data[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)(uint8_t)data.data[i + 2] : 0;
        uint8_t *to = out->data + out->len;
        to[0] = (uint8_t)digits[bits >> 18];
        to[1] = (uint8_t)digits[bits >> 12 & 63];
        to[2] = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
        to[3] = left > 2 ? (uint8_t)digits[bits & 63] : '=';
        out->len += 4;
    }
    return 0;
}

/* The value of a digit, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool mu_base64_decode(struct mu_str text, const char *skip, uint8_t *room, size_t *out_len)
{
    uint32_t bits = 0;
    size_t count = 0, padding = 0, n = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c != '\0' && strchr(skip, c) != NULL)
            continue;
        int value = c == '=' ? 0 : value_of(c);
        bool padded = c == '=' && count % 4 >= 2; /* the third or fourth of four, or both */
        if (value < 0 || (c == '=' ? !padded : padding > 0))
            return false;
        padding += padded;
        bits = bits << 6 | (uint32_t)value;
        if (++count % 4 != 0)
            continue;
        for (size_t byte = 0; byte < 3 - padding; byte++)
            room[n++] = (uint8_t)(bits >> (16 - 8 * byte));
        if (padding > 0)
            padding = 3; /* the end: nothing but what is skipped may follow */
    }
    if (count % 4 != 0)
        return false;
    *out_len = n;
    return true;
}
