#include "engine/quantity.h"

#include "engine/base/assert.h"

/*
 * Quantities, in two steps: cut the text into its parts by the grammar, then turn the parts into a
 * count of nano units, exactly.
 *
 * The input may have any number of digits ("0.000…1Ei"), and rounding up needs to know whether
 * anything at all was lost, so no step may round by itself:
 *
 *   decimal  value = D * 10^shift nanos, where D is the digit string without its point. Digits are
 *            taken while they are worth a nano or more; of the rest only "was any of them not 0"
 *            is kept. Missing digits are zeros; the loop ends at saturation, so a huge exponent
 *            costs nothing.
 *   binary   value = I.F * M nanos, M = 2^k * 10^9 < 2^90. The fraction is a Horner chain from its
 *            last digit: x = (digit * M + x) / 10. Nested floors equal the floor of the exact
 *            value, and the exact value is whole if and only if no step left a remainder.
 *
 * Everything below 2^94 fits in 128 bits; whatever exceeds the bound stays at the bound and is
 * marked. Deviations from apimachinery: a lone sign, point or suffix (which it reads as 0) is an
 * error, and large decimal values saturate too (it keeps those unbounded).
 */

#define NANOS_PER_UNIT  1000000000u
#define NANOS_PER_MILLI 1000000u
#define NANO_DIGITS     9
/* Exponents beyond this change nothing any more: every digit string that memory can hold is below
 * 2^32 digits long. */
#define EXPONENT_MAX (INT64_C(1) << 33)

/* Borrowed parts of one text. */
struct parts {
    struct mu_str whole;    /* digits before the point */
    struct mu_str fraction; /* digits behind it */
    struct mu_str suffix;
    bool negative;
};

struct scale {
    int64_t exponent; /* decimal: value = digits * 10^exponent */
    uint32_t binary;  /* 2^binary; 0: decimal */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct mu_str take_digits(struct mu_str text, uint32_t *at)
{
    uint32_t begin = *at;
    while (*at < text.len && is_digit(text.data[*at]))
        (*at)++;
    return (struct mu_str){text.data + begin, *at - begin};
}

/* Cut text into parts; NULL, or what was expected instead. */
static const char *cut(struct mu_str text, struct parts *out)
{
    uint32_t at = 0;
    if (text.len == 0)
        return "a number";
    out->negative = text.data[0] == '-';
    if (text.data[0] == '-' || text.data[0] == '+')
        at++;
    out->whole = take_digits(text, &at);
    out->fraction = (struct mu_str){text.data, 0};
    if (at < text.len && text.data[at] == '.') {
        at++;
        out->fraction = take_digits(text, &at);
    }
    if (out->whole.len == 0 && out->fraction.len == 0)
        return "digits";
    out->suffix = (struct mu_str){text.data + at, text.len - at};
    return NULL;
}

/* 'e' or 'E' followed by a signed integer. False when s is not of that form. */
static bool scale_from_exponent(struct mu_str s, struct scale *out)
{
    if (s.len < 2 || (s.data[0] != 'e' && s.data[0] != 'E'))
        return false;
    uint32_t at = 1;
    bool negative = s.data[at] == '-';
    if (s.data[at] == '-' || s.data[at] == '+')
        at++;
    if (at == s.len)
        return false;
    int64_t value = 0;
    for (; at < s.len; at++) {
        if (!is_digit(s.data[at]))
            return false;
        if (value < EXPONENT_MAX)
            value = value * 10 + (s.data[at] - '0');
    }
    *out = (struct scale){.exponent = negative ? -value : value, .binary = 0};
    return true;
}

static bool scale_from_suffix(struct mu_str s, struct scale *out)
{
    static const char decimal[] = "num.kMGTPE"; /* '.' stands for no suffix: 10^0 */
    static const char binary[] = "KMGTPE";
    *out = (struct scale){0, 0};
    if (s.len == 0)
        return true;
    if (s.len == 1 && s.data[0] != '.') {
        const char *found = memchr(decimal, s.data[0], sizeof decimal - 1);
        if (found == NULL)
            return false;
        out->exponent = (found - decimal) * 3 - NANO_DIGITS;
        return true;
    }
    if (s.len == 2 && s.data[1] == 'i') {
        const char *found = memchr(binary, s.data[0], sizeof binary - 1);
        if (found == NULL)
            return false;
        out->binary = (uint32_t)(found - binary + 1) * 10;
        return true;
    }
    return scale_from_exponent(s, out);
}

/* The digit at position i of whole and fraction written one after the other. */
static uint32_t digit_at(const struct parts *p, int64_t i)
{
    char c = i < p->whole.len ? p->whole.data[i] : p->fraction.data[i - (int64_t)p->whole.len];
    return (uint32_t)(c - '0');
}

/* nanos = ceil(whole.fraction * 10^(exponent + 9)); above the bound: the bound plus 1. */
static mu_u128 decimal_nanos(const struct parts *p, int64_t exponent)
{
    int64_t digit_count = (int64_t)p->whole.len + p->fraction.len;
    int64_t kept_count = (int64_t)p->whole.len + exponent + NANO_DIGITS;
    int64_t i = 0;
    mu_u128 nanos = 0;
    while (i < digit_count && i < kept_count) {
        nanos = nanos * 10 + digit_at(p, i++);
        if (nanos > MU_QUANTITY_NANOS_MAX)
            return MU_QUANTITY_NANOS_MAX + 1;
    }
    for (int64_t zeros = kept_count - i; nanos != 0 && zeros > 0; zeros--) {
        nanos *= 10;
        if (nanos > MU_QUANTITY_NANOS_MAX)
            return MU_QUANTITY_NANOS_MAX + 1;
    }
    while (i < digit_count) {
        if (digit_at(p, i++) != 0)
            return nanos + 1;
    }
    return nanos;
}

/* nanos = ceil(whole.fraction * 2^power * 10^9); above the bound: more than the bound. */
static mu_u128 binary_nanos(const struct parts *p, uint32_t power)
{
    mu_u128 unit = (mu_u128)NANOS_PER_UNIT << power;
    mu_u128 whole_max = MU_QUANTITY_NANOS_MAX / unit;
    mu_u128 whole = 0;
    for (uint32_t i = 0; i < p->whole.len; i++) {
        whole = whole * 10 + (uint32_t)(p->whole.data[i] - '0');
        if (whole > whole_max)
            return MU_QUANTITY_NANOS_MAX + 1;
    }
    mu_u128 fraction = 0;
    bool inexact = false;
    for (uint32_t i = p->fraction.len; i-- > 0;) {
        mu_u128 x = unit * (uint32_t)(p->fraction.data[i] - '0') + fraction;
        fraction = x / 10;
        inexact = inexact || x % 10 != 0;
    }
    MU_ASSERT(fraction <= unit);
    return whole * unit + fraction + (inexact ? 1 : 0);
}

int mu_quantity_parse(struct mu_str text, struct mu_quantity *out, struct mu_error *error)
{
    struct parts parts;
    struct scale scale;
    const char *expected = cut(text, &parts);
    if (expected == NULL && !scale_from_suffix(parts.suffix, &scale))
        expected = "no suffix, one of n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent";
    if (expected != NULL) {
        int shown = text.len < 64 ? (int)text.len : 64;
        return mu_error_set(error, MU_EINVAL, "quantity '%.*s%s': expected %s", shown,
                            shown > 0 ? text.data : "", text.len > 64 ? "..." : "", expected);
    }
    mu_u128 nanos = scale.binary != 0 ? binary_nanos(&parts, scale.binary)
                                      : decimal_nanos(&parts, scale.exponent);
    out->saturated = nanos > MU_QUANTITY_NANOS_MAX;
    out->nanos = out->saturated ? MU_QUANTITY_NANOS_MAX : nanos;
    out->negative = parts.negative && nanos != 0;
    return 0;
}

/* ceil(q * 10^9 / unit) towards +infinity, so a negative value loses its fraction. */
static int64_t scaled(const struct mu_quantity *q, uint32_t unit)
{
    MU_ASSERT(q->nanos <= MU_QUANTITY_NANOS_MAX);
    mu_u128 whole = q->nanos / unit;
    if (!q->negative && q->nanos % unit != 0)
        whole++;
    int64_t magnitude = whole > (mu_u128)INT64_MAX ? INT64_MAX : (int64_t)whole;
    return q->negative ? -magnitude : magnitude;
}

int64_t mu_quantity_value(const struct mu_quantity *q)
{
    return scaled(q, NANOS_PER_UNIT);
}

int64_t mu_quantity_milli_value(const struct mu_quantity *q)
{
    return scaled(q, NANOS_PER_MILLI);
}
