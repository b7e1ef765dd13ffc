#ifndef MU_TOOLS_MUSTER_PROGRESS_H
#define MU_TOOLS_MUSTER_PROGRESS_H
/* Live progress on stderr: a bar that redraws itself on a terminal, once a second has passed, and
 * is gone at the end, since what it was drawn last is not all; a plain line a second (or when the
 * stage changes) elsewhere. */
#include <stdbool.h>
#include <stdint.h>

struct mu_progress {
    bool terminal;
    bool drawn;        /* a bar stands on the current line */
    uint64_t start_ns; /* of the first call; 0: there was none */
    uint64_t last_ns;
    const char *stage;
};
void mu_progress_init(struct mu_progress *progress);
/* done of total in this stage; detail (may be "") follows. Cheap when nothing is due. */
void mu_progress_show(struct mu_progress *progress, const char *stage, uint32_t done,
                      uint32_t total, const char *detail, uint64_t now_ns);
/* Take the bar away, before anything else is written. */
void mu_progress_end(struct mu_progress *progress);

#endif
