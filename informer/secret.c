#include "informer/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/base64.h"

/*
 * Growing means a new block, a copy and a wiped old one: realloc would leave the old bytes in the
 * allocator's hands. explicit_bzero, since a memset before free is one that a compiler may drop.
 */

enum { FIRST_BYTES = 4096, NAME_BYTES = 128 };

void mu_secret_fini(struct mu_secret *secret)
{
    if (secret->data != NULL)
        explicit_bzero(secret->data, secret->cap);
    mu_mem_free(secret->data);
    *secret = (struct mu_secret){0};
}

struct mu_str mu_secret_str(const struct mu_secret *secret)
{
    return (struct mu_str){secret->data, secret->len};
}

/* Storage for `bytes` and the NUL; what is there moves along. Errors: MU_ENOMEM, *secret as it
 * was. */
static int grow(struct mu_secret *secret, uint32_t bytes)
{
    MU_ASSERT(bytes < UINT32_MAX && bytes >= secret->len);
    char *data = mu_mem_alloc((size_t)bytes + 1);
    if (data == NULL)
        return MU_ENOMEM;
    struct mu_secret old = *secret;
    if (old.len > 0)
        memcpy(data, old.data, old.len);
    data[old.len] = '\0';
    *secret = (struct mu_secret){data, old.len, bytes + 1};
    mu_secret_fini(&old);
    return 0;
}

int mu_secret_copy(struct mu_str text, struct mu_secret *out)
{
    MU_ASSERT(out->data == NULL);
    if (text.len == 0)
        return 0;
    if (grow(out, text.len) != 0)
        return MU_ENOMEM;
    memcpy(out->data, text.data, text.len);
    out->len = text.len;
    out->data[out->len] = '\0';
    return 0;
}

/* ---- base64 ---- */

int mu_secret_base64(struct mu_str text, struct mu_secret *out)
{
    MU_ASSERT(out->data == NULL);
    if (grow(out, (uint32_t)MU_BASE64_ROOM(text.len)) != 0)
        return MU_ENOMEM;
    size_t len = 0;
    if (mu_base64_decode(text, " \t\r\n", (uint8_t *)out->data, &len) && len > 0) {
        out->len = (uint32_t)len;
        out->data[len] = '\0';
        return 0;
    }
    mu_secret_fini(out);
    return MU_EINVAL;
}

/* ---- files ---- */

static int fail(struct mu_error *error, int code, const char *path, const char *what)
{
    size_t len = strlen(path);
    bool cut = len > NAME_BYTES; /* the end of a path says most */
    return mu_error_set(error, code, "%s%s: %s", cut ? "..." : "",
                        cut ? path + len - NAME_BYTES : path, what);
}

static int open_file(const char *path, bool only_files, int *out, struct mu_error *error)
{
    /* Without O_NONBLOCK the open itself would wait for a pipe's writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | (only_files ? O_NONBLOCK : 0));
    if (fd < 0)
        return fail(error, errno == ENOENT ? MU_ENOENT : MU_EIO, path, strerror(errno));
    struct stat st;
    const char *wrong = NULL;
    if (fstat(fd, &st) != 0)
        wrong = strerror(errno);
    else if (S_ISDIR(st.st_mode))
        wrong = "is a directory, expected a file";
    else if (only_files && !S_ISREG(st.st_mode))
        wrong = "expected a regular file";
    if (wrong != NULL) {
        (void)close(fd);
        return fail(error, MU_EIO, path, wrong);
    }
    *out = fd;
    return 0;
}

static int read_all(int fd, const char *path, uint32_t bytes_max, struct mu_secret *secret,
                    struct mu_error *error)
{
    for (;;) {
        if (secret->len + 1 >= secret->cap &&
            grow(secret, secret->cap == 0 ? FIRST_BYTES : 2 * (secret->cap - 1)) != 0)
            return fail(error, MU_ENOMEM, path, "out of memory");
        ssize_t got = read(fd, secret->data + secret->len, secret->cap - 1 - secret->len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(error, MU_EIO, path, strerror(errno));
        secret->len += (uint32_t)got;
        secret->data[secret->len] = '\0';
        if (secret->len > bytes_max)
            return fail(error, MU_ELIMIT, path, "larger than the bound for such a file");
        if (got == 0)
            return 0;
    }
}

int mu_secret_read(const char *path, uint32_t bytes_max, bool only_files, struct mu_secret *out,
                   struct mu_error *error)
{
    MU_ASSERT(out->data == NULL && bytes_max < UINT32_MAX / 4);
    int fd = -1;
    int status = open_file(path, only_files, &fd, error);
    if (status != 0)
        return status;
    status = read_all(fd, path, bytes_max, out, error);
    (void)close(fd);
    if (status != 0 || out->len == 0)
        mu_secret_fini(out);
    return status;
}
