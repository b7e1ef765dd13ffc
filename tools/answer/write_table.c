/*
 * Tables. Nodes that refuse a pod for one reason are one entry: how many, which, and what would
 * have to change on the one of them that is nearest to taking it. The nearest is the node with the
 * fewest changes, then with the least to free, by name.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "engine/base/mem.h"
#include "tools/answer/words.h"
#include "tools/answer/write.h"

#define NODES_NAMED    5u
#define NODES_SCORED   10u
#define VICTIMS_NAMED  10u
#define CELL_BYTES_MAX 1024u /* two names and a number */

/* ---- columns ------------------------------------------------------------------------------ */

static uint32_t wider(uint32_t width, struct mu_str text)
{
    return text.len > width ? text.len : width;
}

static void put_cell(struct mu_buf *out, struct mu_str text, uint32_t width)
{
    (void)mu_buf_printf(out, "%-*.*s  ", (int)width, MU_STR_ARGS(text));
}

/* A lone pod's gang is itself: nothing to say. */
static struct mu_str shown_gang(struct mu_str pod, struct mu_str gang)
{
    return mu_str_equal(pod, gang) ? MU_STR("-") : gang;
}

/* Devices have a column where any were chosen. */
static void put_bindings(const struct mu_settled *settled, struct mu_buf *out)
{
    char text[MU_ANSWER_DEVICES_BYTES];
    const struct mu_str heading = MU_STR("DEVICES");
    uint32_t pods = 3, nodes = 4, devices = 0;
    for (uint32_t i = 0; i < settled->binding_count; i++) {
        const struct mu_settled_binding *b = &settled->bindings[i];
        pods = wider(pods, b->pod);
        nodes = wider(nodes, b->node);
        if (b->devices != 0) {
            uint32_t len = mu_answer_devices(text, b->devices);
            devices = wider(wider(devices, heading), (struct mu_str){text, len});
        }
    }
    if (settled->binding_count > 0) {
        put_cell(out, MU_STR("POD"), pods);
        put_cell(out, MU_STR("NODE"), nodes);
        if (devices > 0)
            put_cell(out, heading, devices);
        (void)mu_buf_append_text(out, "GANG\n");
    }
    for (uint32_t i = 0; i < settled->binding_count; i++) {
        const struct mu_settled_binding *b = &settled->bindings[i];
        put_cell(out, b->pod, pods);
        put_cell(out, b->node, nodes);
        if (devices > 0) {
            uint32_t len = mu_answer_devices(text, b->devices);
            put_cell(out, len > 0 ? (struct mu_str){text, len} : MU_STR("-"), devices);
        }
        (void)mu_buf_append_str(out, shown_gang(b->pod, b->gang));
        (void)mu_buf_append_text(out, "\n");
    }
}

static void put_evictions(const struct mu_settled *settled, struct mu_buf *out)
{
    uint32_t pods = 7, gangs = 4;
    for (uint32_t i = 0; i < settled->eviction_count; i++) {
        const struct mu_settled_eviction *e = &settled->evictions[i];
        pods = wider(pods, e->pod);
        gangs = wider(gangs, shown_gang(e->pod, e->gang));
    }
    if (settled->eviction_count > 0)
        (void)mu_buf_printf(out, "%s%-*s  %-*s  FOR\n", settled->binding_count > 0 ? "\n" : "",
                            (int)pods, "EVICTED", (int)gangs, "GANG");
    for (uint32_t i = 0; i < settled->eviction_count; i++) {
        const struct mu_settled_eviction *e = &settled->evictions[i];
        put_cell(out, e->pod, pods);
        put_cell(out, shown_gang(e->pod, e->gang), gangs);
        (void)mu_buf_append_str(out, e->by);
        (void)mu_buf_append_text(out, e->violates ? "  against a disruption budget\n" : "\n");
    }
}

/* Members of one gang that wait for one reason: a line. They stand in the order of their first. */
struct waiting {
    const struct mu_settled_pending *first;
    uint32_t count;
};

static int compare_waiting(const void *left, const void *right)
{
    const struct mu_settled_pending *a = ((const struct waiting *)left)->first;
    const struct mu_settled_pending *b = ((const struct waiting *)right)->first;
    int order = mu_str_compare(a->gang, b->gang);
    if (order == 0 && a->reason != b->reason)
        order = a->reason < b->reason ? -1 : 1;
    if (order == 0)
        order = mu_str_compare(a->message, b->message);
    return order != 0 ? order : (a > b) - (a < b);
}

static bool wait_alike(const struct mu_settled_pending *a, const struct mu_settled_pending *b)
{
    return a->reason == b->reason && mu_str_equal(a->gang, b->gang) &&
           mu_str_equal(a->message, b->message);
}

static int compare_first(const void *left, const void *right)
{
    const struct mu_settled_pending *a = ((const struct waiting *)left)->first;
    const struct mu_settled_pending *b = ((const struct waiting *)right)->first;
    return (a > b) - (a < b);
}

/* NULL: out of memory. Owned by the caller. */
static struct waiting *group_pending(const struct mu_settled *settled, uint32_t *out)
{
    const uint32_t count = settled->pending_count;
    uint32_t lines = 0;
    struct waiting *all = mu_mem_calloc((size_t)count + 1, sizeof *all);
    if (all == NULL)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        all[i] = (struct waiting){&settled->pending[i], 1};
    qsort(all, count, sizeof *all, compare_waiting);
    for (uint32_t i = 0; i < count; i++) {
        if (lines > 0 && wait_alike(all[lines - 1].first, all[i].first))
            all[lines - 1].count++;
        else
            all[lines++] = all[i];
    }
    qsort(all, lines, sizeof *all, compare_first);
    *out = lines;
    return all;
}

/* "ns/name" or "ns/name and 15 more". */
static void put_waiting(struct mu_buf *out, const struct waiting *w)
{
    (void)mu_buf_append_str(out, w->first->pod);
    if (w->count > 1)
        (void)mu_buf_printf(out, " and %" PRIu32 " more", w->count - 1);
}

static int put_pending(const struct mu_settled *settled, struct mu_buf *out)
{
    uint32_t count = 0, pods = 7, reasons = 6, gangs = 4;
    struct waiting *lines = group_pending(settled, &count);
    struct mu_buf cell;
    if (lines == NULL)
        return MU_ENOMEM;
    mu_buf_init(&cell, CELL_BYTES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_settled_pending *p = lines[i].first;
        mu_buf_clear(&cell);
        put_waiting(&cell, &lines[i]);
        pods = cell.len > pods ? (uint32_t)cell.len : pods;
        gangs = wider(gangs, shown_gang(p->pod, p->gang));
        reasons = wider(reasons, mu_str_of(mu_pending_reason_text(p->reason)));
    }
    if (count > 0)
        (void)mu_buf_printf(out, "%s%-*s  %-*s  %-*s  MESSAGE\n",
                            settled->binding_count > 0 ? "\n" : "", (int)pods, "PENDING",
                            (int)gangs, "GANG", (int)reasons, "REASON");
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_settled_pending *p = lines[i].first;
        mu_buf_clear(&cell);
        put_waiting(&cell, &lines[i]);
        put_cell(out, (struct mu_str){(const char *)cell.data, (uint32_t)cell.len}, pods);
        put_cell(out, shown_gang(p->pod, p->gang), gangs);
        put_cell(out, mu_str_of(mu_pending_reason_text(p->reason)), reasons);
        (void)mu_buf_append_str(out, p->message);
        (void)mu_buf_append_text(out, "\n");
    }
    int rc = cell.failed;
    mu_buf_fini(&cell);
    mu_mem_free(lines);
    return rc;
}

int mu_settled_write_table(const struct mu_settled *settled, struct mu_buf *out)
{
    put_bindings(settled, out);
    put_evictions(settled, out);
    int rc = put_pending(settled, out);
    if (rc != 0)
        return rc;
    return mu_buf_printf(out, "%s%" PRIu32 " placed, %" PRIu32 " evicted, %" PRIu32 " pending\n",
                         settled->binding_count + settled->pending_count > 0 ? "\n" : "",
                         settled->binding_count, settled->eviction_count, settled->pending_count);
}

/* ---- explain: changes --------------------------------------------------------------------- */

static int64_t change_cost(const struct mu_explain_row *row)
{
    int64_t sum = 0;
    for (uint32_t c = 0; c < row->change_count; c++)
        sum = mu_amount_add(sum, row->changes[c].amount > 0 ? row->changes[c].amount : 0);
    return sum;
}

/* Whether a is nearer to taking the pod than b. Rows without a change are farthest. */
static bool nearer(const struct mu_explain_row *a, const struct mu_explain_row *b)
{
    uint32_t a_count = a->change_count - 1;
    uint32_t b_count = b->change_count - 1;
    return a_count != b_count ? a_count < b_count : change_cost(a) < change_cost(b);
}

static void put_taint(struct mu_buf *out, const struct mu_change *change)
{
    (void)mu_buf_append_str(out, change->key);
    if (change->value.len > 0)
        (void)mu_buf_printf(out, "=%.*s", MU_STR_ARGS(change->value));
    (void)mu_buf_append_text(out,
                             change->effect == MU_EFFECT_NO_EXECUTE ? ":NoExecute" : ":NoSchedule");
}

/* Whether the amount is no more than one thing, or of what is not counted in things. */
static bool is_one(const struct mu_change *change)
{
    int64_t one = mu_str_equal(change->key, MU_STR("cpu")) ? 1000 : 1;
    return change->amount <= one || mu_answer_is_bytes(change->key);
}

static void put_amount(struct mu_buf *out, const struct mu_change *change)
{
    bool pods = mu_str_equal(change->key, MU_STR("pods"));
    struct mu_str name = pods && is_one(change) ? MU_STR("pod") : change->key;
    mu_answer_amount(out, change->key, change->amount, true);
    (void)mu_buf_printf(out, " more %.*s", MU_STR_ARGS(name));
}

static void put_change(struct mu_buf *out, const struct mu_change *change)
{
    switch (change->kind) {
    case MU_CHANGE_UNCORDON:
        (void)mu_buf_append_text(out, "if it is uncordoned");
        break;
    case MU_CHANGE_TOLERATION:
        (void)mu_buf_append_text(out, "with toleration ");
        put_taint(out, change);
        break;
    case MU_CHANGE_LABEL:
        (void)mu_buf_printf(out, "if it is labelled %.*s=%.*s", MU_STR_ARGS(change->key),
                            MU_STR_ARGS(change->value));
        break;
    case MU_CHANGE_UNLABEL:
        (void)mu_buf_printf(out, "if it loses its label %.*s", MU_STR_ARGS(change->key));
        break;
    case MU_CHANGE_FREE:
        (void)mu_buf_append_text(out, "if ");
        put_amount(out, change);
        (void)mu_buf_append_text(out, is_one(change) ? " frees up" : " free up");
        break;
    case MU_CHANGE_GROW:
        (void)mu_buf_append_text(out, "if it had ");
        put_amount(out, change);
        break;
    case MU_CHANGE_PORTS:
        (void)mu_buf_printf(out, "if host port%s %.*s %s free",
                            memchr(change->value.data, ',', change->value.len) != NULL ? "s" : "",
                            MU_STR_ARGS(change->value),
                            memchr(change->value.data, ',', change->value.len) != NULL ? "are"
                                                                                       : "is");
        break;
    case MU_CHANGE_DEVICE:
        (void)mu_buf_append_text(out, "if one device has ");
        put_amount(out, change);
        break;
    case MU_CHANGE_REMOVE:
        (void)mu_buf_printf(out, "if %.*s leaves", MU_STR_ARGS(change->key));
        break;
    case MU_CHANGE_DROP:
        (void)mu_buf_printf(out, "without %.*s", MU_STR_ARGS(change->key));
        break;
    }
}

/* ---- explain: groups ---------------------------------------------------------------------- */

/* The first verdict of the same filter. */
static unsigned filter_rank(struct mu_verdict verdict)
{
    const char *filter = mu_answer_filter(verdict);
    struct mu_verdict first = {.kind = MU_FITS};
    while (first.kind < verdict.kind && strcmp(mu_answer_filter(first), filter) != 0)
        first.kind++;
    return (unsigned)first.kind;
}

static int compare_heading(const struct mu_explain_row *a, const struct mu_explain_row *b)
{
    unsigned a_rank = filter_rank(a->verdict);
    unsigned b_rank = filter_rank(b->verdict);
    return a_rank != b_rank ? (a_rank < b_rank ? -1 : 1) : mu_str_compare(a->message, b->message);
}

static int compare_group(const void *left, const void *right)
{
    const struct mu_explain_row *a = *(const struct mu_explain_row *const *)left;
    const struct mu_explain_row *b = *(const struct mu_explain_row *const *)right;
    int order = compare_heading(a, b);
    return order != 0 ? order : (a > b) - (a < b);
}

/* Preemption may help on all of them, or on some: a node that has not enough for the pod at all is
 * called as one that has given it to others. Nothing is promised where the search for victims has
 * found nobody, which is told below. */
static void put_preemption(struct mu_buf *out, enum mu_preemption_kind found,
                           const struct mu_explain_row *const *rows, uint32_t count)
{
    bool denied = found == MU_PREEMPTION_NOBODY || found == MU_PREEMPTION_NEVER;
    uint32_t may = 0;
    for (uint32_t i = 0; i < count && !denied; i++)
        may += mu_answer_may_preempt(rows[i]->verdict);
    if (may == count && may > 0)
        (void)mu_buf_append_text(out, "; preemption may help");
    else if (may > 0)
        (void)mu_buf_printf(out, "; preemption may help on %" PRIu32 " of them", may);
    (void)mu_buf_append_text(out, "\n");
}

/* rows[0 .. count) are one group. */
static void put_group(struct mu_buf *out, enum mu_preemption_kind found,
                      const struct mu_explain_row *const *rows, uint32_t count)
{
    const struct mu_explain_row *nearest = rows[0];
    (void)mu_buf_printf(out,
                        "  %s: %.*s\n    %" PRIu32 " node%s: ", mu_answer_filter(rows[0]->verdict),
                        MU_STR_ARGS(rows[0]->message), count, count == 1 ? "" : "s");
    for (uint32_t i = 0; i < count; i++) {
        if (i < NODES_NAMED)
            (void)mu_buf_printf(out, "%s%.*s", i == 0 ? "" : ", ", MU_STR_ARGS(rows[i]->name));
        nearest = nearer(rows[i], nearest) ? rows[i] : nearest;
    }
    if (count > NODES_NAMED)
        (void)mu_buf_printf(out, " and %" PRIu32 " more", count - NODES_NAMED);
    (void)mu_buf_append_text(out, "\n    ");
    if (nearest->change_count == 0)
        (void)mu_buf_append_text(out, "no change of a node would help");
    else
        (void)mu_buf_printf(out, "fits on %.*s ", MU_STR_ARGS(nearest->name));
    for (uint32_t c = 0; c < nearest->change_count; c++) {
        (void)mu_buf_append_text(out, c == 0 ? "" : " and ");
        put_change(out, &nearest->changes[c]);
    }
    put_preemption(out, found, rows, count);
}

static int put_rejected(const struct mu_explanation *x, struct mu_buf *out)
{
    uint32_t count = x->row_count - x->feasible_count;
    if (count == 0)
        return 0;
    const struct mu_explain_row **rows = mu_mem_calloc(count, sizeof *rows);
    if (rows == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = &x->rows[x->feasible_count + i];
    qsort(rows, count, sizeof *rows, compare_group);
    (void)mu_buf_append_text(out, "\nrejected:\n");
    for (uint32_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && compare_heading(rows[begin], rows[end]) == 0; end++) {
        }
        put_group(out, x->preemption.kind, rows + begin, end - begin);
    }
    mu_mem_free(rows);
    return 0;
}

/* ---- explain: preemption ------------------------------------------------------------------ */

/* "a, b (priority 10), c (priority 5) and 3 more": the priority once for those in a row. */
static void put_victims(struct mu_buf *out, const struct mu_preemption *p)
{
    uint32_t named = p->victim_count < VICTIMS_NAMED ? p->victim_count : VICTIMS_NAMED;
    for (uint32_t i = 0; i < named; i++) {
        const struct mu_preemption_victim *v = &p->victims[i];
        (void)mu_buf_printf(out, "%s%.*s", i == 0 ? "" : ", ", MU_STR_ARGS(v->pod));
        if (i + 1 == named || p->victims[i + 1].priority != v->priority)
            (void)mu_buf_printf(out, " (priority %" PRId32 ")", v->priority);
    }
    if (p->victim_count > named)
        (void)mu_buf_printf(out, " and %" PRIu32 " more", p->victim_count - named);
}

/* The pod itself first, then some of its gang. */
static void put_places(struct mu_buf *out, const struct mu_explanation *x)
{
    const struct mu_preemption *p = &x->preemption;
    uint32_t named = 0, rest = p->place_count - (p->node.len > 0 ? 1u : 0u);
    if (p->node.len > 0)
        (void)mu_buf_printf(out, "    it on %.*s", MU_STR_ARGS(p->node));
    else
        (void)mu_buf_printf(out, "    it would wait all the same");
    for (uint32_t i = 0; i < p->place_count && named < NODES_NAMED; i++) {
        if (mu_str_equal(p->places[i].pod, x->pod))
            continue;
        (void)mu_buf_printf(out, ", %.*s on %.*s", MU_STR_ARGS(p->places[i].pod),
                            MU_STR_ARGS(p->places[i].node));
        named++;
    }
    if (rest > named)
        (void)mu_buf_printf(out, " and %" PRIu32 " more", rest - named);
    (void)mu_buf_append_text(out, "\n");
}

static void put_preemption_found(struct mu_buf *out, const struct mu_explanation *x)
{
    const struct mu_preemption *p = &x->preemption;
    (void)mu_buf_append_text(out, "\npreemption:\n");
    if (x->gang.len > 0)
        (void)mu_buf_printf(out, "  gang %.*s would fit if ", MU_STR_ARGS(x->gang));
    else
        (void)mu_buf_printf(out, "  would fit on %.*s if ", MU_STR_ARGS(p->node));
    put_victims(out, p);
    (void)mu_buf_append_text(out, " were evicted");
    if (p->violations > 0)
        (void)mu_buf_printf(out, ", %" PRIu32 " of them against a disruption budget",
                            p->violations);
    (void)mu_buf_append_text(out, "\n");
    if (x->gang.len > 0)
        put_places(out, x);
}

static void put_preempting(struct mu_buf *out, const struct mu_explanation *x)
{
    switch (x->preemption.kind) {
    case MU_PREEMPTION_NOT_ASKED:
        break;
    case MU_PREEMPTION_FOUND:
        put_preemption_found(out, x);
        break;
    case MU_PREEMPTION_NOBODY:
        (void)mu_buf_printf(out, "\npreemption: nobody was found who could make room for %s\n",
                            x->gang.len > 0 ? "its gang" : "it");
        break;
    case MU_PREEMPTION_NEVER:
        (void)mu_buf_append_text(out, "\npreemption: none, its preemptionPolicy is Never\n");
        break;
    }
}

/* Most of its texts say whose they are. */
static void put_gang_wait(struct mu_buf *out, const struct mu_explanation *x)
{
    static const char whose[] = "gang ";
    struct mu_str text = x->gang_message;
    if (text.len == 0)
        return;
    if (!mu_str_starts_with(text, mu_str_of(whose)))
        (void)mu_buf_printf(out, "%s%.*s waits: ", whose, MU_STR_ARGS(x->gang));
    (void)mu_buf_append_str(out, text);
    (void)mu_buf_append_text(out, "\n");
}

int mu_explanation_write_table(const struct mu_explanation *x, struct mu_buf *out)
{
    uint32_t width = 4;
    (void)mu_buf_printf(out, "%.*s fits on %" PRIu32 " of %" PRIu32 " nodes\n", MU_STR_ARGS(x->pod),
                        x->feasible_count, x->row_count);
    put_gang_wait(out, x);
    (void)mu_explanation_write_notes(x, out);
    const uint32_t scored = x->feasible_count < NODES_SCORED ? x->feasible_count : NODES_SCORED;
    for (uint32_t i = 0; i < scored; i++)
        width = wider(width, x->rows[i].name);
    if (x->feasible_count > 0)
        (void)mu_buf_printf(out, "\n%-*s  SCORE (best first)\n", (int)width, "NODE");
    for (uint32_t i = 0; i < scored; i++) {
        put_cell(out, x->rows[i].name, width);
        (void)mu_buf_printf(out, "%" PRId64 "\n", x->rows[i].score);
    }
    if (x->feasible_count > scored)
        (void)mu_buf_printf(out, "and %" PRIu32 " more; -o json has all\n",
                            x->feasible_count - scored);
    int rc = put_rejected(x, out);
    put_preempting(out, x);
    return rc != 0 ? rc : out->failed;
}
