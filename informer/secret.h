#ifndef MU_INFORMER_SECRET_H
#define MU_INFORMER_SECRET_H
/*
 * Bytes that must not be left behind: keys, tokens, and files that hold them. The storage is wiped
 * whenever it is given back, also when it grows, and nothing here puts a byte of it into an error.
 */
#include <stdbool.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

/* Zero-initialised is empty. */
struct mu_secret {
    char *data;   /* NUL-terminated behind len; NULL when empty */
    uint32_t len; /* bytes */
    uint32_t cap; /* bytes of storage, all of them wiped at the end */
};

/* Wipe, free, leave it empty. */
void mu_secret_fini(struct mu_secret *secret);
struct mu_str mu_secret_str(const struct mu_secret *secret);

/* The following fill *out, which must be empty, and leave it empty on an error. */

/* Errors: MU_ENOMEM. */
int mu_secret_copy(struct mu_str text, struct mu_secret *out);
/* Standard base64 with its padding; white space anywhere is skipped (YAML folds lines). Errors:
 * MU_EINVAL, MU_ENOMEM. Cost: O(bytes). */
int mu_secret_base64(struct mu_str text, struct mu_secret *out);
/* A whole file, at most bytes_max. only_files: refuse what is no regular file, so that reading does
 * not block (a loop may call it: credentials are a few pages of local memory); else pipes are read
 * to their end. Errors, the file named: MU_ENOENT, MU_EIO, MU_EINVAL, MU_ELIMIT, MU_ENOMEM. */
int mu_secret_read(const char *path, uint32_t bytes_max, bool only_files, struct mu_secret *out,
                   struct mu_error *error);

#endif
