#include "informer/file.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"

/*
 * Two stages: a source (descriptor or memory) fills the input buffer; the decoder, if there is one,
 * turns it into output. Whether there is one is decided once, when the first bytes are in.
 *
 *     source -> input[begin, end) -> (copy | liblzma) -> caller
 *
 * liblzma allocates through our allocator: its memory is capped by itself (memlimit) and takes part
 * in out-of-memory tests. The first error is kept and given again.
 */

enum { INPUT_BYTES = 1 << 16, PIECE_BYTES = 1 << 14, NAME_BYTES = 128, MAGIC_BYTES = 6 };

static const unsigned char xz_magic[MAGIC_BYTES] = {0xFD, '7', 'z', 'X', 'Z', 0x00};

struct mu_file {
    int fd;               /* -1: memory */
    struct mu_str memory; /* what is left of it */
    bool source_ended;
    bool ended; /* nothing comes any more */
    bool xz;
    lzma_stream lzma;
    lzma_ret xz_result;     /* of the last lzma_code */
    uint64_t bytes_left;    /* that may still come out */
    struct mu_error failed; /* code 0: not yet */
    size_t begin, end;
    char name[NAME_BYTES];
    unsigned char input[INPUT_BYTES];
};

static void *xz_alloc(void *opaque, size_t count, size_t size)
{
    (void)opaque;
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return mu_mem_alloc(bytes == 0 ? 1 : bytes);
}

static void xz_free(void *opaque, void *block)
{
    (void)opaque;
    mu_mem_free(block);
}

static const lzma_allocator xz_allocator = {xz_alloc, xz_free, NULL};

/* Keep the first error and report it. */
static int fail(struct mu_file *file, struct mu_error *error, int code, const char *what)
{
    (void)mu_error_set(&file->failed, code, "%s: %s", file->name, what);
    return mu_error_set(error, code, "%s", file->failed.text);
}

/* ---- source ---- */

/* Add what the source has to the input, at least one byte unless it has ended. */
static int input_fill(struct mu_file *file, struct mu_error *error)
{
    memmove(file->input, file->input + file->begin, file->end - file->begin);
    file->end -= file->begin;
    file->begin = 0;
    size_t room = INPUT_BYTES - file->end;
    MU_ASSERT(room > 0);
    if (file->fd < 0) {
        size_t len = file->memory.len < room ? file->memory.len : room;
        if (len > 0) {
            memcpy(file->input + file->end, file->memory.data, len);
            file->memory.data += len;
            file->memory.len -= (uint32_t)len;
            file->end += len;
        }
        file->source_ended = file->memory.len == 0;
        return 0;
    }
    ssize_t got;
    do {
        got = read(file->fd, file->input + file->end, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail(file, error, MU_EIO, strerror(errno));
    file->end += (size_t)got;
    file->source_ended = got == 0;
    return 0;
}

/* ---- decoders ---- */

static const char *xz_text(lzma_ret ret, int *code)
{
    switch (ret) {
    case LZMA_BUF_ERROR:
        *code = MU_ETRUNCATED;
        return "the .xz data ends early, expected a complete file";
    case LZMA_MEM_ERROR:
        *code = MU_ENOMEM;
        return "out of memory while unpacking";
    case LZMA_MEMLIMIT_ERROR:
        *code = MU_ELIMIT;
        return "unpacking needs more memory than is allowed (128 MiB)";
    default:
        *code = MU_EINVAL;
        return "damaged .xz data, or data behind its end";
    }
}

static int xz_read(struct mu_file *file, void *data, size_t cap, size_t *len,
                   struct mu_error *error)
{
    lzma_stream *lzma = &file->lzma;
    lzma->next_out = data;
    lzma->avail_out = cap;
    lzma_ret ret = file->xz_result;
    while (ret == LZMA_OK && lzma->avail_out == cap) {
        if (file->begin == file->end && !file->source_ended) {
            int status = input_fill(file, error);
            if (status != 0)
                return status;
        }
        lzma->next_in = file->input + file->begin;
        lzma->avail_in = file->end - file->begin;
        ret = lzma_code(lzma, file->source_ended ? LZMA_FINISH : LZMA_RUN);
        file->begin = file->end - lzma->avail_in;
    }
    *len = cap - lzma->avail_out;
    file->xz_result = ret; /* an error behind good bytes comes with the next call */
    file->ended = ret == LZMA_STREAM_END;
    if (ret == LZMA_OK || ret == LZMA_STREAM_END || *len > 0)
        return 0;
    int code;
    const char *text = xz_text(ret, &code);
    return fail(file, error, code, text);
}

static int plain_read(struct mu_file *file, void *data, size_t cap, size_t *len,
                      struct mu_error *error)
{
    if (file->begin == file->end && !file->source_ended) {
        int status = input_fill(file, error);
        if (status != 0)
            return status;
    }
    size_t have = file->end - file->begin;
    *len = have < cap ? have : cap;
    memcpy(data, file->input + file->begin, *len);
    file->begin += *len;
    file->ended = *len == 0;
    return 0;
}

/* ---- open, close ---- */

static struct mu_file *file_new(const char *name, uint64_t bytes_max)
{
    MU_ASSERT(bytes_max > 0);
    struct mu_file *file = mu_mem_zalloc(sizeof *file);
    if (file == NULL)
        return NULL;
    size_t len = strlen(name);
    bool cut = len >= NAME_BYTES;
    (void)snprintf(file->name, sizeof file->name, "%s%s", cut ? "..." : "",
                   cut ? name + len - (NAME_BYTES - 4) : name);
    file->fd = -1;
    file->bytes_left = bytes_max;
    return file;
}

/* Look at the first bytes and set up the decoder. On error the file is closed. */
static int file_begin(struct mu_file *file, struct mu_file **out, struct mu_error *error)
{
    int status = 0;
    while (status == 0 && file->end < MAGIC_BYTES && !file->source_ended)
        status = input_fill(file, error);
    file->xz = file->end >= MAGIC_BYTES && memcmp(file->input, xz_magic, MAGIC_BYTES) == 0;
    if (status == 0 && file->xz) {
        file->lzma.allocator = &xz_allocator;
        lzma_ret ret = lzma_stream_decoder(&file->lzma, MU_FILE_XZ_MEMORY_MAX, LZMA_CONCATENATED);
        if (ret != LZMA_OK)
            status = fail(file, error, MU_ENOMEM, "out of memory");
    }
    if (status != 0) {
        mu_file_close(file);
        return status;
    }
    *out = file;
    return 0;
}

int mu_file_open(const char *path, uint64_t bytes_max, struct mu_file **out, struct mu_error *error)
{
    struct mu_file *file = file_new(path, bytes_max);
    if (file == NULL)
        return mu_error_set(error, MU_ENOMEM, "%s: out of memory", path);
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int status = 0;
    if (file->fd < 0)
        status = fail(file, error, errno == ENOENT ? MU_ENOENT : MU_EIO, strerror(errno));
    else if (fstat(file->fd, &st) == 0 && S_ISDIR(st.st_mode))
        status = fail(file, error, MU_EIO, "is a directory, expected a file");
    if (status != 0) {
        mu_file_close(file);
        return status;
    }
    return file_begin(file, out, error);
}

int mu_file_open_memory(const char *name, struct mu_str data, uint64_t bytes_max,
                        struct mu_file **out, struct mu_error *error)
{
    struct mu_file *file = file_new(name, bytes_max);
    if (file == NULL)
        return mu_error_set(error, MU_ENOMEM, "%s: out of memory", name);
    file->memory = data;
    return file_begin(file, out, error);
}

void mu_file_close(struct mu_file *file)
{
    if (file == NULL)
        return;
    if (file->xz)
        lzma_end(&file->lzma);
    if (file->fd >= 0)
        (void)close(file->fd);
    mu_mem_free(file);
}

/* ---- reading ---- */

int mu_file_read(struct mu_file *file, void *data, size_t cap, size_t *len, struct mu_error *error)
{
    MU_ASSERT(cap > 0);
    *len = 0;
    if (file->failed.code != 0)
        return mu_error_set(error, file->failed.code, "%s", file->failed.text);
    if (file->ended)
        return 0;
    int status =
        file->xz ? xz_read(file, data, cap, len, error) : plain_read(file, data, cap, len, error);
    if (status != 0)
        return status;
    if (*len > file->bytes_left) {
        *len = 0;
        return fail(file, error, MU_ELIMIT, "larger than the bound for such a file");
    }
    file->bytes_left -= *len;
    return 0;
}

int mu_file_read_all(struct mu_file *file, struct mu_buf *out, struct mu_error *error)
{
    size_t before = out->len;
    unsigned char piece[PIECE_BYTES];
    size_t len = 0;
    int status;
    do {
        status = mu_file_read(file, piece, sizeof piece, &len, error);
        if (status == 0) {
            status = mu_buf_append(out, piece, len);
            if (status != 0)
                (void)fail(file, error, status, mu_error_text(status));
        }
    } while (status == 0 && len > 0);
    if (status != 0) {
        out->len = before;
        out->failed = 0;
    }
    return status;
}

const char *mu_file_name(const struct mu_file *file)
{
    return file->name;
}
