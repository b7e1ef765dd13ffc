#include "informer/http_h2.h"

#include <string.h>
#include <strings.h>
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

static void *h2_malloc(size_t size, void *context)
{
    (void)context;
    return mu_mem_alloc(size == 0 ? 1 : size);
}

static void h2_free(void *block, void *context)
{
    (void)context;
    mu_mem_free(block);
}

static void *h2_calloc(size_t count, size_t size, void *context)
{
    (void)context;
    return mu_mem_calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

static void *h2_realloc(void *block, size_t size, void *context)
{
    (void)context;
    return mu_mem_realloc(block, size == 0 ? 1 : size);
}

nghttp2_mem *mu_h2_mem(void)
{
    static nghttp2_mem mem = {NULL, h2_malloc, h2_free, h2_calloc, h2_realloc};
    return &mem;
}

static nghttp2_nv field(struct mu_str name, struct mu_str value, uint8_t flags)
{
    nghttp2_nv nv;
    /* nghttp2 takes pointers to non-const and does not write through them. */
    nv.name = (uint8_t *)(uintptr_t)name.data;
    nv.namelen = name.len;
    nv.value = (uint8_t *)(uintptr_t)(value.data != NULL ? value.data : "");
    nv.valuelen = value.len;
    nv.flags = flags;
    return nv;
}

nghttp2_nv mu_h2_nv(struct mu_str name, struct mu_str value)
{
    return field(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME);
}

nghttp2_nv mu_h2_nv_static(struct mu_str name, struct mu_str value)
{
    return field(name, value, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
}

int mu_h2_error(int code)
{
    MU_ASSERT(code < 0);
    return code == NGHTTP2_ERR_NOMEM ? MU_ENOMEM : MU_EPROTO;
}

int mu_h2_input(struct mu_h2 *h2, const uint8_t *data, size_t len)
{
    ssize_t n = nghttp2_session_mem_recv(h2->session, data, len);
    if (n < 0)
        return mu_h2_error((int)n);
    return (size_t)n == len ? 0 : MU_EPROTO; /* short only when a callback paused: none does */
}

ptrdiff_t mu_h2_output(struct mu_h2 *h2, uint8_t *room, size_t cap)
{
    size_t len = 0;
    while (len < cap) {
        if (h2->pending_len == 0) {
            ssize_t n = nghttp2_session_mem_send(h2->session, &h2->pending);
            if (n < 0)
                return mu_h2_error((int)n);
            if (n == 0)
                break;
            h2->pending_len = (size_t)n;
        }
        size_t part = h2->pending_len < cap - len ? h2->pending_len : cap - len;
        memcpy(room + len, h2->pending, part);
        h2->pending += part;
        h2->pending_len -= part;
        len += part;
    }
    return (ptrdiff_t)len;
}

bool mu_h2_done(const struct mu_h2 *h2)
{
    return h2->pending_len == 0 && !nghttp2_session_want_read(h2->session) &&
           !nghttp2_session_want_write(h2->session);
}

void mu_h2_fini(struct mu_h2 *h2)
{
    nghttp2_session_del(h2->session);
    *h2 = (struct mu_h2){NULL, NULL, 0};
}

bool mu_http_equal_nocase(struct mu_str a, struct mu_str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}
