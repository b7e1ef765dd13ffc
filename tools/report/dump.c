#include "tools/report/dump.h"

#include <errno.h>
#include <stdio.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "informer/json_object.h"
#include "informer/limits.h"

/* JSON of one object: escapes make it at most six times its text, names and braces included. */
#define OBJECT_JSON_BYTES_MAX ((size_t)MU_OBJECT_BYTES_MAX * 8)

struct mu_dump {
    FILE *file;
    const char *path; /* behind the struct */
    uint64_t count;
    struct mu_arena *arena;
    struct mu_buf text;
};

int mu_dump_open(const char *path, struct mu_dump **out, struct mu_error *error)
{
    size_t path_bytes = strlen(path) + 1;
    struct mu_dump *dump = mu_mem_zalloc(sizeof *dump + path_bytes);
    struct mu_arena *arena = mu_arena_create(MU_DECODE_BYTES_MAX);
    if (dump == NULL || arena == NULL) {
        mu_arena_destroy(arena);
        mu_mem_free(dump);
        return mu_error_set(error, MU_ENOMEM, "%s: no memory", path);
    }
    memcpy(dump + 1, path, path_bytes);
    dump->path = (const char *)(dump + 1);
    dump->arena = arena;
    mu_buf_init(&dump->text, OBJECT_JSON_BYTES_MAX);
    dump->file = fopen(path, "we");
    if (dump->file == NULL) {
        (void)mu_error_set(error, MU_EIO, "%s: cannot be written: %s", path, strerror(errno));
        mu_arena_destroy(arena);
        mu_mem_free(dump);
        return MU_EIO;
    }
    (void)fputs("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"metadata\":{},\"items\":[", dump->file);
    *out = dump;
    return 0;
}

int mu_dump_add(struct mu_dump *dump, struct mu_str kind, struct mu_str raw, struct mu_error *error)
{
    mu_arena_reset(dump->arena);
    mu_buf_clear(&dump->text);
    int status = mu_json_object_write(&dump->text, kind, raw, dump->arena, error);
    if (status != 0)
        return status;
    (void)fputs(dump->count > 0 ? ",\n" : "\n", dump->file);
    if (fwrite(dump->text.data, 1, dump->text.len, dump->file) != dump->text.len)
        return mu_error_set(error, MU_EIO, "%s: not written: %s", dump->path, strerror(errno));
    dump->count++;
    return 0;
}

int mu_dump_close(struct mu_dump *dump, struct mu_error *error)
{
    if (dump == NULL)
        return 0;
    (void)fputs("\n]}\n", dump->file);
    bool failed = ferror(dump->file) != 0;
    failed = fclose(dump->file) != 0 || failed;
    int status = 0;
    if (failed)
        status = mu_error_set(error, MU_EIO, "%s: not complete: %s", dump->path, strerror(errno));
    mu_buf_fini(&dump->text);
    mu_arena_destroy(dump->arena);
    mu_mem_free(dump);
    return status;
}
