#include "tools/muster/progress.h"
#include "engine/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 32

void mu_progress_init(struct mu_progress *p)
{
    *p = (struct mu_progress){.terminal = isatty(STDERR_FILENO) == 1};
}

static void draw_bar(const char *stage, uint32_t done, uint32_t total, const char *detail)
{
    char bar[BAR_CELLS + 1];
    uint64_t filled = total == 0 ? BAR_CELLS : (uint64_t)done * BAR_CELLS / total;
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    (void)fprintf(stderr, "\r%-16s [%s] %" PRIu32 "/%" PRIu32 "  %s\033[K", stage, bar, done, total,
                  detail);
    (void)fflush(stderr);
}

void mu_progress_show(struct mu_progress *p, const char *stage, uint32_t done, uint32_t total,
                      const char *detail, uint64_t now_ns)
{
    bool new_stage = p->stage == NULL || strcmp(p->stage, stage) != 0;
    uint64_t interval_ns = p->terminal ? 100 * MU_NS_PER_MS : MU_NS_PER_S;
    if (!new_stage && now_ns - p->last_ns < interval_ns)
        return;
    if (new_stage)
        mu_progress_end(p);
    p->stage = stage;
    p->last_ns = now_ns;
    if (p->terminal) {
        draw_bar(stage, done, total, detail);
        p->drawn = true;
    } else {
        (void)fprintf(stderr, "%s: %" PRIu32 " of %" PRIu32 "%s%s\n", stage, done, total,
                      *detail != '\0' ? ", " : "", detail);
    }
}

void mu_progress_end(struct mu_progress *p)
{
    if (p->drawn)
        (void)fputc('\n', stderr);
    p->drawn = false;
}
