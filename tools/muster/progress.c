#include "tools/muster/progress.h"
#include "engine/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CELLS     32
#define BAR_CELLS_MIN 8

void mu_progress_init(struct mu_progress *p)
{
    *p = (struct mu_progress){.terminal = isatty(STDERR_FILENO) == 1};
}

/* A line that is wider than the terminal cannot be drawn over: the bar gives way, then the end of
 * the text. One column stays free, where some terminals would already wrap. */
static void draw_bar(const char *stage, uint32_t done, uint32_t total, const char *detail)
{
    char bar[BAR_CELLS + 1], text[160];
    struct winsize size = {0};
    int columns =
        ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    int len = snprintf(text, sizeof text, "%" PRIu32 "/%" PRIu32 "  %s", done, total, detail);
    int cells = columns - 1 - len - (16 + 2 + 2); /* stage and brackets, each with a space */
    cells = cells > BAR_CELLS ? BAR_CELLS : cells < BAR_CELLS_MIN ? BAR_CELLS_MIN : cells;
    int filled = total == 0 ? cells : (int)((uint64_t)done * (uint64_t)cells / total);
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[cells] = '\0';
    int room = columns - 1 - cells - (16 + 2 + 2);
    (void)fprintf(stderr, "\r%-16.16s [%s] %.*s\033[K", stage, bar, room > 0 ? room : 0, text);
    (void)fflush(stderr);
}

void mu_progress_show(struct mu_progress *p, const char *stage, uint32_t done, uint32_t total,
                      const char *detail, uint64_t now_ns)
{
    bool new_stage = p->stage == NULL || strcmp(p->stage, stage) != 0;
    uint64_t interval_ns = p->terminal ? 100 * MU_NS_PER_MS : MU_NS_PER_S;
    if (p->start_ns == 0)
        p->start_ns = now_ns;
    if (p->terminal && now_ns - p->start_ns < MU_NS_PER_S)
        return;
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
        (void)fputs("\r\033[K", stderr);
    p->drawn = false;
}
