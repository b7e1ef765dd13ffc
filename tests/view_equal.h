#ifndef MU_TESTS_VIEW_EQUAL_H
#define MU_TESTS_VIEW_EQUAL_H
/* Two views of one type, compared field by field, as deep as they go. For tests and fuzzing. */
#include "informer/view_priv.h"

static inline bool view_text_equal(const struct mu_str *a, const struct mu_str *b)
{
    return (a->data == NULL) == (b->data == NULL) && mu_str_equal(*a, *b);
}

static inline bool view_equal(const struct mu_view_type *type, const void *a, const void *b);

static inline bool view_list_equal(const struct mu_field *field, const void *a, const void *b)
{
    struct mu_any_list x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    bool texts = field->kind == MU_FIELD_TEXTS;
    size_t size = texts ? sizeof(struct mu_str) : field->type->bytes;
    bool equal = x.count == y.count;
    for (uint32_t i = 0; equal && i < x.count; i++) {
        const void *u = (const uint8_t *)x.items + i * size;
        const void *v = (const uint8_t *)y.items + i * size;
        equal = texts ? view_text_equal(u, v) : view_equal(field->type, u, v);
    }
    return equal;
}

static inline bool view_field_equal(const struct mu_field *field, const void *a, const void *b)
{
    const void *x, *y;
    switch (field->kind) {
    case MU_FIELD_UNKNOWN:
        return true;
    case MU_FIELD_TEXT:
        return view_text_equal(a, b);
    case MU_FIELD_BOOL:
        return memcmp(a, b, sizeof(bool)) == 0;
    case MU_FIELD_INT32:
        return memcmp(a, b, sizeof(int32_t)) == 0;
    case MU_FIELD_INT64:
        return memcmp(a, b, sizeof(int64_t)) == 0;
    case MU_FIELD_TEXTS:
    case MU_FIELD_MESSAGES:
        return view_list_equal(field, a, b);
    case MU_FIELD_MESSAGE:
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return (x == NULL) == (y == NULL) && (x == NULL || view_equal(field->type, x, y));
    case MU_FIELD_INLINE:
        return true; /* its fields lie in a view of their own type, see below */
    }
    return false;
}

static inline bool view_equal(const struct mu_view_type *type, const void *a, const void *b)
{
    bool equal = !type->has_numbers || memcmp(a, b, sizeof(mu_numbers)) == 0;
    for (uint32_t i = 0; equal && i < type->field_count; i++) {
        const struct mu_field *field = &type->fields[i];
        if (!field->kept)
            continue;
        if (field->kind == MU_FIELD_INLINE)
            equal = view_equal(field->type, a, b);
        else
            equal = view_field_equal(field, (const uint8_t *)a + field->at,
                                     (const uint8_t *)b + field->at);
    }
    return equal;
}

#endif
