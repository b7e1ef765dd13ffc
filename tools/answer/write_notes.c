#include <inttypes.h>
#include "tools/answer/write.h"

#define NODES_NAMED 5u

/* A pod that is placed, or needs no place any more. */
static void put_was(const struct mu_explanation *x, struct mu_buf *out)
{
    bool on = x->was_on.len > 0;
    if (!on && !x->was_finished && !x->was_deleted)
        return;
    (void)mu_buf_append_text(out, x->was_finished  ? "it has finished"
                                  : x->was_deleted ? "it is being deleted"
                                                   : "it runs");
    if (on)
        (void)mu_buf_printf(out, " on %.*s", MU_STR_ARGS(x->was_on));
    (void)mu_buf_append_text(out, ": looked at as if it were still to be placed\n");
}

static void put_gang(const struct mu_explanation *x, struct mu_buf *out)
{
    if (x->gang.len == 0)
        return;
    if (x->gang_need > x->gang_size)
        (void)mu_buf_printf(
            out, "one of gang %.*s, which has %" PRIu32 " of the %" PRIu32 " pods that it needs, ",
            MU_STR_ARGS(x->gang), x->gang_size, x->gang_need);
    else
        (void)mu_buf_printf(out, "one of %" PRIu32 " pod%s of gang %.*s, ", x->gang_size,
                            x->gang_size == 1 ? "" : "s", MU_STR_ARGS(x->gang));
    (void)mu_buf_append_text(out, "looked at by itself here (see `muster place`)\n");
}

static void put_kept(const struct mu_explanation *x, struct mu_buf *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < x->feasible_count; i++) {
        if (!x->rows[i].kept)
            continue;
        if (count < NODES_NAMED)
            (void)mu_buf_printf(out, "%s%.*s",
                                count == 0 ? "room is kept for nominated pods on " : ", ",
                                MU_STR_ARGS(x->rows[i].name));
        count++;
    }
    if (count > NODES_NAMED)
        (void)mu_buf_printf(out, " and %" PRIu32 " more", count - NODES_NAMED);
    if (count > 0)
        (void)mu_buf_append_text(out, ": it does not fit there beside them\n");
}

int mu_explanation_write_notes(const struct mu_explanation *x, struct mu_buf *out)
{
    put_was(x, out);
    if (!x->ours)
        (void)mu_buf_append_text(out, "another scheduler places it\n");
    if (x->gated)
        (void)mu_buf_append_text(out, "it has scheduling gates: nobody places it before they go\n");
    put_gang(x, out);
    put_kept(x, out);
    return out->failed;
}
