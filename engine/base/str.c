#include "engine/base/str.h"

/* Digits only, no leading zero unless it is the only digit, no overflow. */
static bool parse_decimal(const char *data, uint32_t len, uint64_t *value)
{
    uint64_t v = 0;
    if (len == 0 || (len > 1 && data[0] == '0'))
        return false;
    for (uint32_t i = 0; i < len; i++) {
        if (data[i] < '0' || data[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(data[i] - '0'), &v))
            return false;
    }
    *value = v;
    return true;
}

bool mu_str_to_u64(struct mu_str s, uint64_t *value)
{
    return parse_decimal(s.data, s.len, value);
}

bool mu_str_to_i64(struct mu_str s, int64_t *value)
{
    bool negative = s.len > 0 && s.data[0] == '-';
    uint32_t skip = negative ? 1 : 0;
    uint64_t magnitude;
    /* The end of an empty string may be NULL: skip only what is there. */
    const char *digits = negative ? s.data + 1 : s.data;
    if (!parse_decimal(digits, s.len - skip, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    /* -INT64_MIN does not exist: negate one less, then step down. */
    if (negative)
        *value = magnitude == 0 ? 0 : -(int64_t)(magnitude - 1) - 1;
    else
        *value = (int64_t)magnitude;
    return true;
}
