/*
 * "0/10 nodes are available: 3 Insufficient nvidia.com/gpu, 4 node(s) had untolerated taint {a: b},
 * 3 node(s) were unschedulable.": nodes by the first filter that refuses them, sorted by text. The
 * counts come with the plan; which taint it was, and how many members of a gang fit at once, is
 * counted here, once per class and plan, because only text needs it.
 */
#include "tools/scheduler/report_words.h"

#include <inttypes.h>
#include <stdlib.h>
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

#define CLASSES_KEPT  256u       /* a power of two; another class takes the place */
#define ROWS_PER_PLAN (1u << 20) /* about a millisecond */
#define ARENA_BYTES   (64u << 20)
#define TAINTS_NAMED  8u /* more are counted together */
#define REASONS_MAX   (MU_VERDICT_KINDS + MU_RESOURCES_MAX + TAINTS_NAMED + 1)

/* What is told about the nodes of one class in one plan. */
struct class_words {
    const uint32_t *key; /* its counts by verdict; NULL: free */
    struct mu_str nodes; /* "0/10 nodes are available: ..." without what comes before ':' */
    uint32_t fits, total;
    uint64_t slots;              /* pods of the class that fit at once; UINT64_MAX: not said */
    struct mu_report_text *lone; /* the whole text of a lone pod */
};

struct mu_report_words {
    struct mu_arena *arena;
    uint64_t rows; /* looked at for this plan */
    struct class_words classes[CLASSES_KEPT];
};

struct reason {
    uint32_t count;
    struct mu_str text;
};
struct reasons {
    struct mu_arena *arena;
    uint32_t count;
    bool failed;
    struct reason items[REASONS_MAX];
};

struct mu_report_words *mu_report_words_create(void)
{
    struct mu_report_words *w = mu_mem_zalloc(sizeof *w);
    if (w == NULL)
        return NULL;
    w->arena = mu_arena_create(ARENA_BYTES);
    if (w->arena == NULL) {
        mu_mem_free(w);
        return NULL;
    }
    return w;
}

void mu_report_words_destroy(struct mu_report_words *w)
{
    if (w == NULL)
        return;
    mu_report_words_end(w);
    mu_arena_destroy(w->arena);
    mu_mem_free(w);
}

void mu_report_words_begin(struct mu_report_words *w)
{
    w->rows = 0;
}

void mu_report_words_end(struct mu_report_words *w)
{
    if (w->rows == 0)
        return; /* nothing was kept */
    for (uint32_t i = 0; i < CLASSES_KEPT; i++)
        mu_report_text_unref(w->classes[i].lone);
    memset(w->classes, 0, sizeof w->classes);
    mu_arena_reset(w->arena);
}

bool mu_report_words_ready(const struct mu_report_words *w)
{
    return w->rows < ROWS_PER_PLAN;
}

/* --- reasons --------------------------------------------------------------------------------- */

/* Add `count` nodes for the reason first + second + third. */
static void reason_add(struct reasons *r, uint32_t count, struct mu_str first, struct mu_str second,
                       const char *third)
{
    if (count == 0)
        return;
    MU_ASSERT(r->count < REASONS_MAX);
    struct mu_str last = mu_str_of(third);
    char *text = mu_arena_alloc(r->arena, (size_t)first.len + second.len + last.len + 1);
    if (text == NULL) {
        r->failed = true;
        return;
    }
    uint32_t len = 0;
    for (int i = 0; i < 3; i++) {
        struct mu_str part = i == 0 ? first : i == 1 ? second : last;
        if (part.len > 0)
            memcpy(text + len, part.data, part.len);
        len += part.len;
    }
    r->items[r->count++] = (struct reason){count, {text, len}};
}

static int reason_compare(const void *left, const void *right)
{
    const struct reason *a = left, *b = right;
    return mu_str_compare(a->text, b->text);
}

/* The first taint of the set that the class does not tolerate; NULL: none. */
static const struct mu_taint_item *
untolerated(const struct mu_model *model, const struct mu_class *c, const struct mu_taint_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const struct mu_taint_set one = {.count = 1, .items = &set->items[i]};
        if (!mu_class_tolerates(model, c, &one))
            return one.items;
    }
    return NULL;
}

/* "key: value" */
static void put_taint(struct mu_buf *out, const struct mu_snapshot *snapshot,
                      const struct mu_taint_item *taint)
{
    const struct mu_symtab *symbols = mu_model_names(snapshot->model);
    (void)mu_buf_printf(out, "%.*s: %.*s", MU_STR_ARGS(mu_symbol_str(symbols, taint->key)),
                        MU_STR_ARGS(mu_symbol_str(symbols, taint->value)));
}

static bool same_taint(const struct mu_taint_item *a, const struct mu_taint_item *b)
{
    return a->key.v == b->key.v && a->value.v == b->value.v;
}

/* Split the nodes that a taint refuses by taint. */
static void reasons_taints(struct reasons *r, const struct mu_snapshot *snapshot,
                           const struct mu_class *c, uint32_t refused)
{
    const struct mu_taint_item *named[TAINTS_NAMED];
    uint32_t counts[TAINTS_NAMED] = {0}, kinds = 0, told = 0;
    const struct mu_taint_item *last = NULL;
    uint32_t last_set = MU_NONE;
    bool cordoned_is_fine = mu_class_tolerates_unschedulable(snapshot->model, c);
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        const struct mu_node_static *node = &snapshot->nodes[row];
        if ((node->flags & MU_NODE_PRESENT) == 0 || node->taints.v == 0 ||
            ((node->flags & MU_NODE_UNSCHEDULABLE) != 0 && !cordoned_is_fine))
            continue;
        if (node->taints.v != last_set)
            last = untolerated(snapshot->model, c,
                               mu_model_get_taint_set(snapshot->model, node->taints));
        last_set = node->taints.v;
        uint32_t k = 0;
        while (last != NULL && k < kinds && !same_taint(named[k], last))
            k++;
        if (last == NULL || k == TAINTS_NAMED)
            continue;
        named[k] = last;
        kinds += k == kinds;
        counts[k]++;
    }
    for (uint32_t k = 0; k < kinds; k++) {
        struct mu_buf taint = {.max = 0};
        put_taint(&taint, snapshot, named[k]);
        r->failed = r->failed || taint.failed != 0;
        reason_add(r, counts[k], MU_STR("node(s) had untolerated taint {"),
                   (struct mu_str){(const char *)taint.data, (uint32_t)taint.len}, "}");
        mu_buf_fini(&taint);
        told += counts[k];
    }
    if (refused > told)
        reason_add(r, refused - told, MU_STR("node(s) had other untolerated taints"), MU_STR(""),
                   "");
}

static void reasons_collect(struct reasons *r, const struct mu_snapshot *snapshot,
                            const struct mu_plan_wait *wait, const struct mu_class *c)
{
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    const uint32_t *by = wait->nodes_by_verdict;
    const struct mu_str none = MU_STR("");
    for (int kind = MU_FITS + 1; kind < MU_VERDICT_KINDS; kind++) {
        if (kind == MU_NO_TAINT && by[kind] > 0)
            reasons_taints(r, snapshot, c, by[kind]);
        else if (kind != MU_NO_TAINT && kind != MU_NO_RESOURCE && kind != MU_NO_RESOURCE_EVER)
            reason_add(r, by[kind], mu_str_of(mu_verdict_text((enum mu_verdict_kind)kind)), none,
                       "");
    }
    for (uint32_t i = 0; i < snapshot->resource_count; i++)
        reason_add(r, wait->nodes_by_resource[i], MU_STR("Insufficient "),
                   mu_resource_name(names, (struct mu_resource_ix){i}), "");
    qsort(r->items, r->count, sizeof r->items[0], reason_compare);
}

void mu_report_words_verdict(struct mu_buf *out, const struct mu_snapshot *snapshot,
                             const struct mu_class *class_, struct mu_node_ix node,
                             struct mu_verdict verdict)
{
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    (void)mu_buf_append_text(out, mu_verdict_text(verdict.kind));
    if (verdict.kind == MU_NO_RESOURCE || verdict.kind == MU_NO_RESOURCE_EVER)
        (void)mu_buf_append_str(out, mu_resource_name(names, verdict.resource));
    if (verdict.kind != MU_NO_TAINT)
        return;
    const struct mu_taint_item *taint =
        untolerated(snapshot->model, class_,
                    mu_model_get_taint_set(snapshot->model, snapshot->nodes[node.v].taints));
    if (taint == NULL)
        return;
    (void)mu_buf_append_text(out, " {");
    put_taint(out, snapshot, taint);
    (void)mu_buf_append_text(out, "}");
}

/* Pods of the class that fit at once, by room alone on the nodes whose rules allow them. */
static uint64_t count_slots(const struct mu_snapshot *snapshot, const struct mu_class *c)
{
    uint64_t slots = 0;
    bool cordoned_is_fine = mu_class_tolerates_unschedulable(snapshot->model, c);
    for (uint32_t row = 0; row < snapshot->node_rows; row++) {
        const struct mu_node_static *node = &snapshot->nodes[row];
        if ((node->flags & MU_NODE_PRESENT) == 0 ||
            ((node->flags & MU_NODE_UNSCHEDULABLE) != 0 && !cordoned_is_fine))
            continue;
        int64_t here = snapshot->free[MU_RES_PODS][row];
        for (uint32_t d = 0; d < c->demand_count && here > 0; d++) {
            uint32_t resource = c->demands[d].resource.v;
            int64_t free = resource < snapshot->resource_count ? snapshot->free[resource][row] : 0;
            int64_t fit = free / c->demands[d].amount;
            here = fit < here ? fit : here;
        }
        const struct mu_labels_view labels = mu_snapshot_labels(snapshot, (struct mu_node_ix){row});
        if (here > 0 &&
            mu_class_tolerates(snapshot->model, c,
                               mu_model_get_taint_set(snapshot->model, node->taints)) &&
            mu_class_selects(snapshot->model, c, &labels, node->name))
            slots += (uint64_t)here;
    }
    return slots;
}

/* Whether room decides alone how many pods of the class fit: no rule about other pods, neither the
 * class's own nor one that a placed pod has against it. */
static bool is_counted_by_room(const struct mu_class *c, const struct mu_plan_wait *wait)
{
    return c->term_count == 0 && c->hard_spread_count == 0 && c->port_count == 0 &&
           wait->nodes_by_verdict[MU_NO_EXISTING_ANTI_AFFINITY] == 0;
}

/* What is told about a class's nodes; NULL when memory is out. */
static struct class_words *class_get(struct mu_report_words *w, const struct mu_snapshot *snapshot,
                                     const struct mu_plan_wait *wait)
{
    uint64_t hash = mu_hash_mix((uintptr_t)wait->nodes_by_verdict, 0);
    struct class_words *words = &w->classes[hash % CLASSES_KEPT];
    if (words->key == wait->nodes_by_verdict)
        return words;
    const struct mu_class *c = mu_model_get_class(snapshot->model, wait->class_ix);
    struct reasons reasons = {.arena = w->arena};
    struct mu_buf text = {.max = 0};
    reasons_collect(&reasons, snapshot, wait, c);
    w->rows += 2 * (uint64_t)snapshot->node_rows + CLASSES_KEPT;
    for (uint32_t i = 0; i < reasons.count; i++)
        (void)mu_buf_printf(&text, "%s%" PRIu32 " %.*s", i == 0 ? "" : ", ", reasons.items[i].count,
                            MU_STR_ARGS(reasons.items[i].text));
    char *copy = reasons.failed || text.failed != 0 ? NULL : mu_arena_alloc(w->arena, text.len + 1);
    if (copy != NULL && text.len > 0)
        memcpy(copy, text.data, text.len);
    uint32_t len = (uint32_t)text.len;
    mu_buf_fini(&text);
    if (copy == NULL)
        return NULL;
    mu_report_text_unref(words->lone);
    *words = (struct class_words){.key = wait->nodes_by_verdict,
                                  .nodes = {copy, len},
                                  .fits = wait->nodes_by_verdict[MU_FITS],
                                  .slots = is_counted_by_room(c, wait) ? count_slots(snapshot, c)
                                                                       : UINT64_MAX};
    for (uint32_t i = 0; i < MU_VERDICT_KINDS; i++)
        words->total += wait->nodes_by_verdict[i];
    return words;
}

/* --- sentences ------------------------------------------------------------------------------- */

static void put_nodes(struct mu_buf *out, const struct class_words *words, const char *whom)
{
    if (words->total == 0) {
        (void)mu_buf_append_text(out, "no nodes available to schedule pods");
        return;
    }
    (void)mu_buf_printf(out, "%" PRIu32 "/%" PRIu32 " nodes are available%s", words->fits,
                        words->total, whom);
    if (words->nodes.len > 0) { /* else no node refuses a member: there are too few of them */
        (void)mu_buf_append_text(out, ": ");
        (void)mu_buf_append_str(out, words->nodes);
    }
    (void)mu_buf_append_text(out, ".");
}

static void put_rules(struct mu_buf *out, uint32_t rules)
{
    static const struct {
        uint32_t rule;
        const char *text;
    } all[] = {
#define RULE_ROW(name, bit, sentence) {name, sentence},
        MU_RULE_LIST(RULE_ROW)
#undef RULE_ROW
    };
    const char *comma = "";
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((rules & all[i].rule) == 0)
            continue;
        (void)mu_buf_printf(out, "%s%s", comma, all[i].text);
        comma = ", ";
    }
}

/* Members all of one class, none with room held: how many fit is a number, not a search. */
static bool is_uniform(const struct mu_gang_block *block)
{
    for (uint32_t m = 0; m < block->member_count; m++)
        if (block->members[m].class_ix.v != block->members[0].class_ix.v ||
            block->members[m].held.v != MU_NONE)
            return false;
    return true;
}

/* A gang without room. */
static void put_no_fit(struct mu_buf *out, const struct mu_plan_wait *wait,
                       const struct mu_gang_row *row, const struct class_words *words)
{
    uint32_t need = wait->need - wait->have;
    (void)mu_buf_printf(out, " needs %" PRIu32 " %smembers placed together", need,
                        wait->have > 0 ? "more " : "");
    if (is_uniform(row->block) && words->slots < need)
        (void)mu_buf_printf(out, "; %" PRIu64 " fit", words->slots);
    (void)mu_buf_append_text(out, ": ");
    put_nodes(out, words, words->fits > 0 ? " for a member" : "");
}

static void put_wait(struct mu_buf *out, const struct mu_plan_wait *wait,
                     const struct mu_gang_row *row)
{
    switch (wait->kind) {
    case MU_WAIT_MEMBERS:
        (void)mu_buf_printf(out, " waits for %" PRIu32 " more of its %" PRIu32 " members",
                            wait->need - wait->have, wait->need);
        break;
    case MU_WAIT_QUIET:
        (void)mu_buf_append_text(out, " states no size: it waits until no member has arrived for "
                                      "the quiet time");
        break;
    case MU_WAIT_GATED:
        (void)mu_buf_printf(out, " waits for %" PRIu32 " member(s) with scheduling gates",
                            row->blocked_count);
        break;
    case MU_WAIT_UNBUILT:
        (void)mu_buf_printf(out,
                            " waits for %" PRIu32 " member(s) that this scheduler cannot "
                            "place: ",
                            row->blocked_count);
        put_rules(out, wait->rules);
        break;
    case MU_WAIT_CLAIM:
        (void)mu_buf_append_text(out, " waits for the answer to its first binding");
        break;
    case MU_WAIT_UNDECIDED:
        (void)mu_buf_append_text(out, " was not decided within the step budget of a session");
        break;
    case MU_WAIT_NONE:
    case MU_WAIT_NO_FIT:
    case MU_WAIT_KINDS:
        MU_UNREACHABLE("a wait that is told elsewhere");
    }
}

static struct mu_report_text *text_of(struct mu_buf *out, enum mu_report_reason reason)
{
    struct mu_report_text *text = NULL;
    if (out->failed == 0)
        text = mu_report_text_create(reason,
                                     (struct mu_str){(const char *)out->data, (uint32_t)out->len});
    mu_buf_fini(out);
    return text;
}

struct mu_report_text *mu_report_words_gang(struct mu_report_words *w, struct mu_db *db,
                                            const struct mu_snapshot *snapshot,
                                            const struct mu_plan_wait *wait)
{
    const struct mu_gang_row *row = &snapshot->gangs[wait->gang.v];
    struct class_words *words = NULL;
    struct mu_buf out = {.max = 0};
    if (wait->kind == MU_WAIT_NO_FIT) {
        words = class_get(w, snapshot, wait);
        if (words == NULL)
            return NULL;
        bool lone = wait->need <= wait->have || wait->need == 1;
        if (lone && words->lone == NULL) {
            put_nodes(&out, words, "");
            words->lone = text_of(&out, MU_REPORT_UNSCHEDULABLE);
        }
        if (lone)
            return mu_report_text_ref(words->lone);
    }
    (void)mu_buf_printf(&out, "gang %.*s/%.*s", MU_STR_ARGS(mu_db_gang_ns(db, wait->gang)),
                        MU_STR_ARGS(mu_db_gang_name(db, wait->gang)));
    if (words != NULL)
        put_no_fit(&out, wait, row, words);
    else
        put_wait(&out, wait, row);
    return text_of(&out, wait->kind == MU_WAIT_UNDECIDED ? MU_REPORT_SCHEDULER_ERROR
                                                         : MU_REPORT_UNSCHEDULABLE);
}

struct mu_report_text *mu_report_words_pod(uint32_t rules)
{
    struct mu_buf out = {.max = 0};
    if ((rules & MU_RULE_REFUSED) != 0) {
        (void)mu_buf_append_text(&out, "the API server refuses the binding; it is tried again");
        return text_of(&out, MU_REPORT_SCHEDULER_ERROR);
    }
    (void)mu_buf_append_text(&out, "this scheduler cannot place the pod, which uses: ");
    put_rules(&out, rules);
    return text_of(&out, MU_REPORT_UNSCHEDULABLE);
}
