/*
 * Replays a corpus without libFuzzer: runs the harness over every regular file of the files and
 * directories named (directories are not descended into), in the order of their names. It fails
 * when there was nothing to replay: an empty corpus must not look like a passed test.
 *
 * Each input is copied into a block of exactly its size, so that a sanitizer sees a read past it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 4096, FILE_BYTES_MAX = 64 << 20 };

static bool replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || size > FILE_BYTES_MAX) {
        (void)fprintf(stderr, "%s: %s\n", path,
                      file == NULL ? strerror(errno) : "larger than 64 MiB");
        if (file != NULL)
            (void)fclose(file);
        return false;
    }
    uint8_t *data = mu_mem_alloc(size == 0 ? 1 : size);
    bool whole = data != NULL && fread(data, 1, size, file) == size;
    (void)fclose(file);
    if (whole)
        (void)LLVMFuzzerTestOneInput(data, size);
    else
        (void)fprintf(stderr, "%s: cannot be read\n", path);
    mu_mem_free(data);
    return whole;
}

/* Returns how many files were replayed, or -1. */
static int replay_path(const char *path, bool descend)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (S_ISREG(st.st_mode))
        return replay_file(path, (size_t)st.st_size) ? 1 : -1;
    if (!S_ISDIR(st.st_mode) || !descend)
        return 0;
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    int replayed = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        char name[PATH_BYTES];
        int len = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        int one = len > 0 && len < PATH_BYTES ? replay_path(name, false) : -1;
        replayed = one < 0 || replayed < 0 ? -1 : replayed + one;
        free(entries[i]); /* scandir's contract */
    }
    if (count >= 0)
        free(entries);
    return replayed;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int replayed = replay_path(argv[i], true);
        if (replayed < 0)
            return 1;
        total += replayed;
    }
    (void)printf("replayed %d inputs\n", total);
    if (total == 0) {
        (void)fprintf(stderr, "usage: %s FILE|DIRECTORY...: no input was found\n", argv[0]);
        return 1;
    }
    return 0;
}
