#ifndef MU_INFORMER_BASE64_H
#define MU_INFORMER_BASE64_H
/* Base64 with padding, RFC 4648 §4. Pure functions; any thread; O(bytes). */
#include <stdbool.h>
#include "engine/base/buf.h"

/* Append data, without line breaks. Returns 0 or the buffer's error, sticky as of any append. */
int mu_base64_append(struct mu_buf *out, struct mu_str data);

/* What decoding text of this length needs at most. */
#define MU_BASE64_ROOM(len) ((size_t)(len) / 4 * 3 + 3)

/* Decode; the bytes in `skip` (a NUL-terminated set, not of base64's own) may stand anywhere.
 * False: it is no base64, or not padded; *out_len is then unchanged, and room may be written. */
bool mu_base64_decode(struct mu_str text, const char *skip, uint8_t *room, size_t *out_len);

#endif
