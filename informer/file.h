#ifndef MU_INFORMER_FILE_H
#define MU_INFORMER_FILE_H
/*
 * Input files, read once from front to back: plain, or .xz (told by its first bytes, whatever the
 * name). What comes out is capped, so that a small compressed file cannot fill the memory; an .xz
 * file that ends early, or is followed by anything, is an error.
 *
 * Reading blocks: this is for start-up, never for a thread that runs an event loop.
 */
#include <stddef.h>
#include <stdint.h>
#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/str.h"

struct mu_file; /* opaque */

/* Open for reading at most bytes_max (> 0) unpacked bytes. Errors, with the file named in *error:
 * MU_ENOENT, MU_EIO (what the system said), MU_ENOMEM; *out unchanged. Owns: caller, until close.
 * Thread: one user. */
int mu_file_open(const char *path, uint64_t bytes_max, struct mu_file **out,
                 struct mu_error *error);
/* The same over bytes in memory (borrowed until close); `name` stands for the file in errors. */
int mu_file_open_memory(const char *name, struct mu_str data, uint64_t bytes_max,
                        struct mu_file **out, struct mu_error *error);
void mu_file_close(struct mu_file *file);

/* The next bytes, at most cap (> 0): *len of them, 0 at the end of the file only. Errors: MU_ELIMIT
 * (more than bytes_max), MU_ETRUNCATED (.xz ends early), MU_EINVAL (.xz damaged), MU_EIO,
 * MU_ENOMEM; every later call fails in the same way. */
int mu_file_read(struct mu_file *file, void *data, size_t cap, size_t *len, struct mu_error *error);
/* All that is left, appended to *out. On error *out holds what it held before. */
int mu_file_read_all(struct mu_file *file, struct mu_buf *out, struct mu_error *error);
/* The name for messages, cut at its front when long. */
const char *mu_file_name(const struct mu_file *file);

#endif
