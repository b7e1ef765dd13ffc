#include "engine/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One write(2) of a line built on the stack: no allocation and no stdio lock, since either may be
 * the thing that is broken. */
void mu_assert_fail(const char *file, int line, const char *text)
{
    char out[512];
    int len = snprintf(out, sizeof out, "%s:%d: assertion failed: %s\n", file, line, text);
    if (len >= (int)sizeof out) {
        len = (int)sizeof out - 1;
        out[len - 1] = '\n';
    }
    ssize_t ignored = write(STDERR_FILENO, out, len > 0 ? (size_t)len : 0);
    (void)ignored; /* about to abort: there is nobody left to tell */
    abort();
}
