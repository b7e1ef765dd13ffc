#ifndef MU_ENGINE_BASE_BUF_H
#define MU_ENGINE_BASE_BUF_H
/* A growable byte buffer with a cap. Zero-initialised is valid and empty (cap: none).
 * `data` moves when the buffer grows; what is appended must not lie in the buffer itself. */
#include <stddef.h>
#include <stdint.h>
#include "engine/base/str.h"

struct mu_buf {
    uint8_t *data;
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated; above len when data is not NULL */
    size_t max; /* most bytes it may ever hold; 0 = no bound of its own */
    int failed; /* first error of an append, sticky: check once at the end */
};

void mu_buf_init(struct mu_buf *buf, size_t max);
void mu_buf_fini(struct mu_buf *buf);
/* Keep the storage, drop the content and the sticky error. */
void mu_buf_clear(struct mu_buf *buf);
/* Room for `more` further bytes. Errors: MU_ENOMEM, MU_ELIMIT; content unchanged, not sticky. */
int mu_buf_reserve(struct mu_buf *buf, size_t more);
/* Append; each returns 0 or the sticky error, after which appends do nothing. */
int mu_buf_append(struct mu_buf *buf, const void *data, size_t len);
int mu_buf_append_str(struct mu_buf *buf, struct mu_str s);
int mu_buf_append_text(struct mu_buf *buf, const char *text);
int mu_buf_printf(struct mu_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Drop the first n (<= len) bytes. Cost: O(len - n). */
void mu_buf_consume(struct mu_buf *buf, size_t n);

#endif
