#ifndef MU_ENGINE_BASE_STR_H
#define MU_ENGINE_BASE_STR_H
/* A borrowed run of bytes: not NUL-terminated, never owned. Valid as long as its source is. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mu_str {
    const char *data; /* may be NULL when len is 0 */
    uint32_t len;     /* bytes */
};

#define MU_STR(literal) ((struct mu_str){(literal), (uint32_t)(sizeof(literal) - 1)})
/* For printf("%.*s", MU_STR_ARGS(s)). */
#define MU_STR_ARGS(s) (int)(s).len, (s).data != NULL ? (s).data : ""

static inline struct mu_str mu_str_of(const char *text)
{
    return (struct mu_str){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

static inline bool mu_str_equal(struct mu_str a, struct mu_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Byte order, then length: <0, 0, >0. */
static inline int mu_str_compare(struct mu_str a, struct mu_str b)
{
    uint32_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool mu_str_starts_with(struct mu_str s, struct mu_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* Parse all of s as a decimal uint64 without sign, space or leading zeros beyond "0". Returns
 * false, *value unchanged, on anything else or on overflow. */
bool mu_str_to_u64(struct mu_str s, uint64_t *value);
/* The same for int64 with an optional leading '-'. */
bool mu_str_to_i64(struct mu_str s, int64_t *value);

#endif
