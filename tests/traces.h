#ifndef MU_TESTS_TRACES_H
#define MU_TESTS_TRACES_H
/*
 * Where the real cluster traces are: $MUSTER_TRACES, else ../shared/data beside the checkout. They
 * are test input only and never part of the project; a test that finds none says so in one line.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Fill path with <traces>/name. False, with one line on stderr, when there is no such file. */
static inline bool traces_find(const char *name, char *path, size_t path_bytes)
{
    const char *folder = getenv("MUSTER_TRACES");
    if (folder == NULL || folder[0] == '\0')
        folder = MU_TRACES_DEFAULT;
    int len = snprintf(path, path_bytes, "%s/%s", folder, name);
    if (len > 0 && (size_t)len < path_bytes && access(path, R_OK) == 0)
        return true;
    (void)fprintf(stderr, "no trace %s in %s (set MUSTER_TRACES): skipped\n", name, folder);
    return false;
}

#endif
