#include "engine/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * Storage always has one byte more than the content may need, so that vsnprintf can end what it
 * prints in place: cap > len whenever data is not NULL. The cap `max` bounds the content alone.
 */

enum { FIRST_BYTES = 64 };

void mu_buf_init(struct mu_buf *buf, size_t max)
{
    *buf = (struct mu_buf){NULL, 0, 0, max, 0};
}

void mu_buf_fini(struct mu_buf *buf)
{
    mu_mem_free(buf->data);
    *buf = (struct mu_buf){NULL, 0, 0, buf->max, 0};
}

void mu_buf_clear(struct mu_buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
}

int mu_buf_reserve(struct mu_buf *buf, size_t more)
{
    MU_ASSERT(buf->len == 0 || buf->len < buf->cap);
    size_t need;
    if (__builtin_add_overflow(buf->len, more, &need) || need == SIZE_MAX)
        return MU_ELIMIT;
    if (buf->max != 0 && need > buf->max)
        return MU_ELIMIT;
    if (need < buf->cap)
        return 0;
    size_t cap = buf->cap < FIRST_BYTES ? FIRST_BYTES : buf->cap;
    while (cap <= need) {
        if (__builtin_mul_overflow(cap, (size_t)2, &cap))
            cap = need + 1;
    }
    if (buf->max != 0 && cap > buf->max + 1)
        cap = buf->max + 1;
    uint8_t *data = mu_mem_realloc(buf->data, cap);
    if (data == NULL)
        return MU_ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

/* Room for `more`, or the sticky error. */
static int make_room(struct mu_buf *buf, size_t more)
{
    if (buf->failed == 0)
        buf->failed = mu_buf_reserve(buf, more);
    return buf->failed;
}

int mu_buf_append(struct mu_buf *buf, const void *data, size_t len)
{
    if (len == 0)
        return buf->failed;
    int error = make_room(buf, len);
    if (error != 0)
        return error;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

int mu_buf_append_str(struct mu_buf *buf, struct mu_str s)
{
    return mu_buf_append(buf, s.data, s.len);
}

int mu_buf_append_text(struct mu_buf *buf, const char *text)
{
    return mu_buf_append(buf, text, strlen(text));
}

int mu_buf_printf(struct mu_buf *buf, const char *format, ...)
{
    if (buf->failed != 0)
        return buf->failed;
    va_list args;
    va_start(args, format);
    size_t room = buf->cap - buf->len;
    char *at = room == 0 ? NULL : (char *)buf->data + buf->len;
    int printed = vsnprintf(at, room, format, args);
    va_end(args);
    MU_ASSERT(printed >= 0); /* only a bad format or more than INT_MAX bytes */
    size_t len = (size_t)printed;
    int error = make_room(buf, len);
    if (error != 0)
        return error;
    if (len >= room) {
        va_start(args, format);
        int again = vsnprintf((char *)buf->data + buf->len, len + 1, format, args);
        va_end(args);
        MU_ASSERT(again == printed);
    }
    buf->len += len;
    return 0;
}

void mu_buf_consume(struct mu_buf *buf, size_t n)
{
    MU_ASSERT(n <= buf->len);
    if (n > 0 && n < buf->len)
        memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
}
