/*
 * "0/10 nodes are available: 3 Insufficient nvidia.com/gpu, 3 node(s) were unschedulable, 4 node(s)
 * had untolerated taint {a: b}.": nodes by what the first filter that refuses them says of them,
 * which may be several things, sorted as kube-scheduler does: as text, the number included. The
 * counts come with the plan; which taint it was, how many members of a gang fit together, and why
 * the next one does not, is counted here, once per class or gang and plan, because only text needs
 * it. For that the gang's members are placed once more, beside all that the plan has placed.
 */
#include "tools/scheduler/report_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tools/scheduler/report_priority.h"

#define CLASSES_KEPT  256u       /* a power of two; another class takes the place */
#define ROWS_PER_PLAN (1u << 20) /* about a millisecond */
#define ARENA_BYTES   (64u << 20)
/* What a priority that would do may be looked for with. */
#define PRIORITY_ROWS_MAX (1u << 19)
/* A gang's members are placed to be told about as long as that looks at no more rows than this. */
#define REACH_ROWS_MAX (1u << 21)
#define TAINTS_NAMED   8u /* more are counted together */
#define NODES_NAMED    4u /* of those with victims */
#define REASONS_MAX    (MU_VERDICT_KINDS + MU_RESOURCES_MAX + TAINTS_NAMED + 1)

/* What is told about nodes. */
struct node_words {
    struct mu_str text; /* "3 Insufficient cpu, ..." */
    uint32_t fits, total;
};
/* How many members of a gang fit together, and why the next one does not. */
struct reach_words {
    bool told; /* else it cannot be said, or is too costly to find out */
    uint32_t placed;
    uint32_t member;         /* of the block: that next one */
    struct mu_symbol domain; /* struct mu_place_reach */
    struct node_words nodes;
    uint64_t lacking; /* bit per resource that some node has too little of for it */
};
/* What is told about one class in one plan. */
struct class_words {
    const uint32_t *key; /* its counts by verdict; NULL: free */
    struct node_words nodes;
    struct mu_report_text *lone; /* the whole text of a lone pod */
    /* Of gangs that are all of this class, and this kin. */
    bool reach_known;
    uint32_t reach_kin;
    struct reach_words reach;
};

struct mu_report_words {
    const struct mu_profile *profile;
    struct mu_arena *arena;
    uint64_t rows; /* looked at for this plan */
    struct mu_snapshot *snapshot;
    const struct mu_plan *plan;
    struct mu_place *place; /* with what the plan has placed; NULL: not needed yet */
    bool preempts;
    struct mu_report_priority priority;
    bool plan_evicts; /* whose victims are on their nodes still */
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

struct mu_report_words *mu_report_words_create(const struct mu_profile *profile)
{
    struct mu_report_words *w = mu_mem_zalloc(sizeof *w);
    if (w == NULL)
        return NULL;
    w->profile = profile != NULL ? profile : &mu_profile_default;
    w->arena = mu_arena_create(ARENA_BYTES);
    if (w->arena == NULL) {
        mu_mem_free(w);
        return NULL;
    }
    return w;
}

void mu_report_words_preemption(struct mu_report_words *w, bool preempts, uint32_t min_run_s,
                                uint32_t now_s)
{
    w->preempts = preempts;
    w->priority.min_run_s = min_run_s;
    w->priority.now_s = now_s;
}

void mu_report_words_destroy(struct mu_report_words *w)
{
    if (w == NULL)
        return;
    mu_report_words_end(w);
    mu_report_priority_fini(&w->priority);
    mu_arena_destroy(w->arena);
    mu_mem_free(w);
}

void mu_report_words_begin(struct mu_report_words *w, struct mu_snapshot *snapshot,
                           const struct mu_plan *plan)
{
    MU_ASSERT(w->place == NULL);
    mu_report_priority_begin(&w->priority);
    w->rows = 0;
    w->snapshot = snapshot;
    w->plan = plan;
    w->plan_evicts = false;
    for (uint32_t i = 0; i < plan->gang_count; i++)
        w->plan_evicts = w->plan_evicts || plan->gangs[i].evict_count > 0;
}

/* Give the snapshot back. */
static void place_close(struct mu_report_words *w)
{
    if (w->place == NULL)
        return;
    mu_place_end(w->place);
    mu_place_destroy(w->place);
    w->place = NULL;
}

void mu_report_words_end(struct mu_report_words *w)
{
    place_close(w);
    w->snapshot = NULL;
    w->plan = NULL;
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
    char x[16], y[16];
    (void)snprintf(x, sizeof x, "%" PRIu32 " ", a->count);
    (void)snprintf(y, sizeof y, "%" PRIu32 " ", b->count);
    int order = strcmp(x, y);
    return order != 0 ? order : mu_str_compare(a->text, b->text);
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
                            const uint32_t *by, const uint32_t *by_resource,
                            const struct mu_class *c)
{
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    const struct mu_str none = MU_STR("");
    for (int kind = MU_FITS + 1; kind < MU_VERDICT_KINDS; kind++) {
        if (kind == MU_NO_TAINT && by[kind] > 0)
            reasons_taints(r, snapshot, c, by[kind]);
        else if (kind != MU_NO_TAINT)
            reason_add(r, by[kind], mu_str_of(mu_verdict_text((enum mu_verdict_kind)kind)), none,
                       "");
    }
    for (uint32_t i = 0; i < snapshot->resource_count; i++)
        reason_add(r, by_resource[i], MU_STR("Insufficient "),
                   mu_resource_name(names, (struct mu_resource_ix){i}), "");
    qsort(r->items, r->count, sizeof r->items[0], reason_compare);
}

static void put_reason(struct mu_buf *out, const char **comma, const char *text,
                       struct mu_str resource)
{
    (void)mu_buf_printf(out, "%s%s%.*s", *comma, text, MU_STR_ARGS(resource));
    *comma = ", ";
}

/* All that NodeResourcesFit has to say, in its order: pods, then resources. */
void mu_report_words_verdict(struct mu_buf *out, const struct mu_snapshot *snapshot,
                             const struct mu_class *class_, struct mu_node_ix node,
                             struct mu_verdict verdict)
{
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    const uint32_t full = UINT32_C(1) << MU_NO_PODS;
    const char *comma = "";
    if ((verdict.reasons & full) != 0)
        put_reason(out, &comma, mu_verdict_text(MU_NO_PODS), MU_STR(""));
    for (uint64_t rest = verdict.lacking; rest != 0; rest &= rest - 1)
        put_reason(
            out, &comma, mu_verdict_text(MU_NO_RESOURCE),
            mu_resource_name(names, (struct mu_resource_ix){(uint32_t)__builtin_ctzll(rest)}));
    for (uint32_t rest = verdict.reasons & ~full; rest != 0; rest &= rest - 1)
        put_reason(out, &comma, mu_verdict_text((enum mu_verdict_kind)__builtin_ctz(rest)),
                   MU_STR(""));
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

/* Nodes by what refuses a class. Errors: MU_ENOMEM. */
static int nodes_describe(struct mu_report_words *w, struct mu_class_ix class_ix,
                          const uint32_t *by_verdict, const uint32_t *by_reason,
                          const uint32_t *by_resource, struct node_words *out)
{
    const struct mu_snapshot *snapshot = w->snapshot;
    struct reasons reasons = {.arena = w->arena};
    struct mu_buf text = {.max = 0};
    reasons_collect(&reasons, snapshot, by_reason, by_resource,
                    mu_model_get_class(snapshot->model, class_ix));
    w->rows += snapshot->node_rows + CLASSES_KEPT;
    for (uint32_t i = 0; i < reasons.count; i++)
        (void)mu_buf_printf(&text, "%s%" PRIu32 " %.*s", i == 0 ? "" : ", ", reasons.items[i].count,
                            MU_STR_ARGS(reasons.items[i].text));
    char *copy = reasons.failed || text.failed != 0 ? NULL : mu_arena_alloc(w->arena, text.len + 1);
    if (copy != NULL && text.len > 0)
        memcpy(copy, text.data, text.len);
    *out = (struct node_words){.text = {copy, (uint32_t)text.len}, .fits = by_verdict[MU_FITS]};
    mu_buf_fini(&text);
    for (uint32_t i = 0; i < MU_VERDICT_KINDS; i++)
        out->total += by_verdict[i];
    return copy == NULL ? MU_ENOMEM : 0;
}

/* What is told about a class's nodes; NULL when memory is out. */
static struct class_words *class_get(struct mu_report_words *w, const struct mu_plan_wait *wait)
{
    uint64_t hash = mu_hash_mix((uintptr_t)wait->nodes_by_verdict, 0);
    struct class_words *words = &w->classes[hash % CLASSES_KEPT];
    struct node_words nodes;
    if (words->key == wait->nodes_by_verdict)
        return words;
    if (nodes_describe(w, wait->class_ix, wait->nodes_by_verdict, wait->nodes_by_reason,
                       wait->nodes_by_resource, &nodes) != 0)
        return NULL;
    mu_report_text_unref(words->lone);
    *words = (struct class_words){.key = wait->nodes_by_verdict, .nodes = nodes};
    return words;
}

/* --- how far a gang gets --------------------------------------------------------------------- */

/* Members all of one class and kin, none with room held: how many fit is the same for all such
 * gangs. */
static bool is_uniform(const struct mu_gang_block *block)
{
    for (uint32_t m = 0; m < block->member_count; m++)
        if (block->members[m].class_ix.v != block->members[0].class_ix.v ||
            block->members[m].kin.v != block->members[0].kin.v ||
            block->members[m].held.v != MU_NONE)
            return false;
    return true;
}

/* Rows that placing the members may look at. */
static uint64_t reach_cost(const struct mu_snapshot *snapshot, const struct mu_gang_block *block)
{
    uint64_t rows = 4 * (uint64_t)snapshot->node_rows + CLASSES_KEPT; /* to begin and to count */
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *member = &block->members[m];
        bool concerned = mu_terms_concern(snapshot, member->class_ix, member->kin);
        rows += concerned ? snapshot->node_rows : snapshot->node_rows / 64 + 1;
    }
    return rows;
}

/* Placing beside what the plan has placed. Errors: MU_ENOMEM. */
static int place_open(struct mu_report_words *w)
{
    if (w->place != NULL)
        return 0;
    w->place = mu_place_create(w->profile, NULL);
    if (w->place == NULL)
        return MU_ENOMEM;
    mu_place_begin(w->place, w->snapshot);
    int error = mu_place_apply(w->place, w->plan);
    if (error != 0)
        place_close(w);
    return error;
}

/* Errors: MU_ENOMEM. */
static int reach_find(struct mu_report_words *w, const struct mu_plan_wait *wait,
                      struct reach_words *out)
{
    const struct mu_gang_row *gang = &w->snapshot->gangs[wait->gang.v];
    struct mu_place_reach reach;
    uint64_t cost = reach_cost(w->snapshot, gang->block);
    *out = (struct reach_words){.told = false};
    if (cost > REACH_ROWS_MAX)
        return 0;
    w->rows += cost;
    int error = place_open(w);
    if (error == 0) {
        mu_place_whom(w->place, gang->priority, wait->gang);
        error = mu_place_reach(w->place, gang, wait->need, &reach);
    }
    /* What the plan placed behind this gang may have made room for it: nothing stops it then. */
    if (error != 0 || reach.member == MU_NONE || reach.refusals.by_verdict[MU_FITS] > 0)
        return error;
    out->told = true;
    out->placed = reach.placed;
    out->member = reach.member;
    out->domain = reach.domain;
    for (uint32_t i = 0; i < w->snapshot->resource_count; i++)
        out->lacking |= (uint64_t)(reach.refusals.by_resource[i] > 0) << i;
    return nodes_describe(w, gang->block->members[reach.member].class_ix, reach.refusals.by_verdict,
                          reach.refusals.by_reason, reach.refusals.by_resource, &out->nodes);
}

/* The same, found once for gangs that are alike in this. What is kept for nominated pods is not
 * kept from all of them alike. Errors: MU_ENOMEM. */
static int reach_get(struct mu_report_words *w, const struct mu_plan_wait *wait,
                     struct class_words *words, struct reach_words *out)
{
    const struct mu_gang_block *block = w->snapshot->gangs[wait->gang.v].block;
    if (!is_uniform(block) || w->snapshot->nominated_count > 0 ||
        w->snapshot->gangs[wait->gang.v].pack_key.v != 0)
        return reach_find(w, wait, out);
    uint32_t kin = block->members[0].kin.v;
    if (!words->reach_known || words->reach_kin != kin) {
        int error = reach_find(w, wait, &words->reach);
        words->reach_known = error == 0;
        words->reach_kin = kin;
        if (error != 0)
            return error;
    }
    *out = words->reach;
    return 0;
}

/* --- sentences ------------------------------------------------------------------------------- */

static void put_gang(struct mu_buf *out, const struct mu_db *db, struct mu_gang_ix gang)
{
    (void)mu_buf_printf(out, "gang %.*s/%.*s", MU_STR_ARGS(mu_db_gang_ns(db, gang)),
                        MU_STR_ARGS(mu_db_gang_name(db, gang)));
}

/* whom: a pod, or empty. */
static void put_nodes(struct mu_buf *out, const struct node_words *words, struct mu_str whom)
{
    if (words->total == 0) {
        (void)mu_buf_append_text(out, "no nodes available to schedule pods");
        return;
    }
    (void)mu_buf_printf(out, "%" PRIu32 "/%" PRIu32 " nodes are available%s%.*s", words->fits,
                        words->total, whom.len > 0 ? " for " : "", MU_STR_ARGS(whom));
    if (words->text.len > 0) { /* else no node refuses a member: there are too few of them */
        (void)mu_buf_append_text(out, ": ");
        (void)mu_buf_append_str(out, words->text);
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

/* The name of a member that is not like the others; empty where it left meanwhile. */
static struct mu_str member_name(struct mu_db *db, const struct mu_gang_member *member)
{
    struct mu_pod_view pod;
    bool there = mu_db_pod_get(db, member->pod, &pod) && mu_uid_equal(pod.uid, member->uid);
    return there ? pod.name : MU_STR("");
}

/* "cpu: 500m", "memory: 2Gi", "nvidia.com/gpu: 8": as people write them. */
static void put_amount(struct mu_buf *out, const struct mu_snapshot *snapshot,
                       const struct mu_demand *demand)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi"};
    const struct mu_resources *names =
        mu_model_resources((struct mu_model *)(uintptr_t)snapshot->model); /* to read names */
    const bool bytes =
        demand->resource.v == MU_RES_MEMORY || demand->resource.v == MU_RES_EPHEMERAL;
    int64_t value = demand->amount;
    size_t unit = 0;
    for (; bytes && unit < 3 && value != 0 && value % 1024 == 0; unit++)
        value /= 1024;
    const char *suffix = units[unit];
    if (demand->resource.v == MU_RES_CPU && value % 1000 == 0)
        value /= 1000;
    else if (demand->resource.v == MU_RES_CPU)
        suffix = "m";
    (void)mu_buf_printf(out, "%.*s: %" PRId64 "%s",
                        MU_STR_ARGS(mu_resource_name(names, demand->resource)), value, suffix);
}

/* From which priority on it would have room, in a sentence that goes on. */
static int put_priority(struct mu_report_words *w, struct mu_buf *out,
                        const struct mu_plan_wait *wait)
{
    const struct mu_gang_row *row = &w->snapshot->gangs[wait->gang.v];
    int32_t priority = INT32_MIN;
    uint64_t cost = reach_cost(w->snapshot, row->block);
    const struct mu_gang_member *first = &row->block->members[0];
    if (!w->preempts || w->snapshot->occupants == NULL || (row->flags & MU_GANG_NEVER) != 0 ||
        w->plan_evicts || !is_uniform(row->block) ||
        mu_terms_concern(w->snapshot, first->class_ix, first->kin))
        return 0;
    int error = place_open(w);
    if (error == 0)
        error = mu_report_priority_find(&w->priority, w->place, w->snapshot, wait->gang, wait->need,
                                        cost, PRIORITY_ROWS_MAX, &w->rows, &priority);
    if (priority != INT32_MIN)
        (void)mu_buf_printf(out, ", or priority ≥ %" PRId32, priority);
    return error;
}

/* Where the gang was looked at, or has to be, if not anywhere. */
static void put_domain(struct mu_buf *out, const struct mu_symtab *names,
                       const struct mu_gang_row *row, struct mu_str value)
{
    if ((row->flags & MU_GANG_PACK_REQUIRED) == 0)
        return;
    struct mu_str key = mu_symbol_str(names, row->pack_key);
    (void)mu_buf_printf(out, "%s %.*s%s%.*s", value.len > 0 ? " in" : ", all in one",
                        MU_STR_ARGS(key), value.len > 0 ? " " : "", MU_STR_ARGS(value));
}

/* "12 of 16 placed; the other 4 need nvidia.com/gpu: 8 free on one node, or priority ≥ 1000." */
static int put_story(struct mu_report_words *w, struct mu_buf *out, struct mu_db *db,
                     const struct mu_plan_wait *wait, const struct reach_words *reach)
{
    const struct mu_gang_row *row = &w->snapshot->gangs[wait->gang.v];
    const struct mu_symtab *names = mu_model_names(w->snapshot->model);
    const struct mu_gang_member *next = &row->block->members[reach->member];
    const struct mu_class *c = mu_model_get_class(w->snapshot->model, next->class_ix);
    const uint32_t placed = wait->have + reach->placed;
    const uint32_t others = wait->need - placed;
    const struct mu_str domain =
        reach->domain.v != 0 ? mu_symbol_str(names, reach->domain) : MU_STR("");
    const char *comma = "";
    (void)mu_buf_printf(out, ": %" PRIu32 " of %" PRIu32 " placed", placed, wait->need);
    if (reach->lacking == 0) {
        put_domain(out, names, row, domain);
        (void)mu_buf_printf(out, "; no node takes %s", others == 1 ? "the other one" : "another");
    } else {
        struct mu_str name = is_uniform(row->block) ? MU_STR("") : member_name(db, next);
        if (name.len > 0)
            (void)mu_buf_printf(out, "; %.*s needs ", MU_STR_ARGS(name));
        else if (others == 1)
            (void)mu_buf_append_text(out, "; the other one needs ");
        else
            (void)mu_buf_printf(out, "; the other %" PRIu32 " need ", others);
        for (uint32_t i = 0; i < c->demand_count; i++) {
            if ((reach->lacking >> c->demands[i].resource.v & 1) == 0)
                continue;
            (void)mu_buf_append_text(out, comma);
            put_amount(out, w->snapshot, &c->demands[i]);
            comma = ", ";
        }
        (void)mu_buf_append_text(out, " free on one node");
        put_domain(out, names, row, domain);
    }
    int error = put_priority(w, out, wait);
    (void)mu_buf_append_text(out, ".");
    return error;
}

/* A gang without room: what kube-scheduler would say of its next member, then its story. Errors:
 * MU_ENOMEM. */
static int put_no_fit(struct mu_report_words *w, struct mu_buf *out, struct mu_db *db,
                      const struct mu_plan_wait *wait, struct class_words *words)
{
    const struct mu_gang_row *row = &w->snapshot->gangs[wait->gang.v];
    const struct mu_symtab *names = mu_model_names(w->snapshot->model);
    struct reach_words reach;
    int error = reach_get(w, wait, words, &reach);
    if (error != 0)
        return error;
    bool told = reach.told && wait->have + reach.placed < wait->need;
    const bool uniform = is_uniform(row->block);
    if (told)
        put_nodes(out, &reach.nodes,
                  uniform ? MU_STR("") : member_name(db, &row->block->members[reach.member]));
    else
        put_nodes(out, &words->nodes, words->nodes.fits > 0 ? MU_STR("a member") : MU_STR(""));
    (void)mu_buf_append_text(out, words->nodes.total == 0 ? ". " : " ");
    put_gang(out, db, wait->gang);
    if (told)
        return put_story(w, out, db, wait, &reach);
    (void)mu_buf_printf(out, " needs %" PRIu32 " %smembers placed together",
                        wait->need - wait->have, wait->have > 0 ? "more " : "");
    put_domain(out, names, row, MU_STR(""));
    (void)mu_buf_append_text(out, ".");
    return 0;
}

static void put_wait(struct mu_buf *out, struct mu_db *db, const struct mu_plan_wait *wait,
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
    case MU_WAIT_OBJECT:
        (void)mu_buf_append_text(out, " waits for the object that describes it, which is missing");
        if (mu_db_gang_object_unknown(db, wait->gang) != NULL)
            (void)mu_buf_printf(out, ": %s", mu_db_gang_object_unknown(db, wait->gang));
        break;
    case MU_WAIT_GATED:
        (void)mu_buf_printf(out, " waits for %" PRIu32 " member%s with scheduling gates",
                            row->blocked_count, row->blocked_count == 1 ? "" : "s");
        break;
    case MU_WAIT_UNBUILT:
        (void)mu_buf_printf(out,
                            " waits for %" PRIu32 " member%s that this scheduler cannot "
                            "place: ",
                            row->blocked_count, row->blocked_count == 1 ? "" : "s");
        put_rules(out, wait->rules);
        break;
    case MU_WAIT_CLAIM:
        (void)mu_buf_append_text(out, " waits for the answer to its first binding");
        break;
    case MU_WAIT_ENDING:
        (void)mu_buf_append_text(out,
                                 " waits until those of its members have gone that run without "
                                 "the rest of it");
        break;
    case MU_WAIT_BEHIND:
        (void)mu_buf_printf(out, " waits behind gang %.*s/%.*s, which has no room",
                            MU_STR_ARGS(mu_db_gang_ns(db, wait->behind)),
                            MU_STR_ARGS(mu_db_gang_name(db, wait->behind)));
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

/* Nodes that fit may be kept for another gang. */
static void put_kept(struct mu_buf *out, struct mu_db *db, const struct mu_plan_wait *wait)
{
    (void)mu_buf_printf(out, " Nodes are kept for gang %.*s/%.*s, which has waited for long.",
                        MU_STR_ARGS(mu_db_gang_ns(db, wait->behind)),
                        MU_STR_ARGS(mu_db_gang_name(db, wait->behind)));
}

struct mu_report_text *mu_report_words_gang(struct mu_report_words *w, struct mu_db *db,
                                            const struct mu_plan_wait *wait)
{
    const struct mu_gang_row *row = &w->snapshot->gangs[wait->gang.v];
    struct class_words *words = NULL;
    struct mu_buf out = {.max = 0};
    if (wait->class_ix.v != MU_NONE) {
        words = class_get(w, wait);
        if (words == NULL)
            return NULL;
        bool lone = wait->need <= wait->have || wait->need == 1;
        if (lone && wait->behind.v != MU_NONE) {
            put_nodes(&out, &words->nodes, MU_STR(""));
            put_kept(&out, db, wait);
            return text_of(&out, MU_REPORT_UNSCHEDULABLE);
        }
        if (lone && words->lone == NULL) {
            put_nodes(&out, &words->nodes, MU_STR(""));
            words->lone = text_of(&out, MU_REPORT_UNSCHEDULABLE);
        }
        if (lone)
            return mu_report_text_ref(words->lone);
    }
    if (words == NULL) {
        put_gang(&out, db, wait->gang);
        put_wait(&out, db, wait, row);
    } else if (put_no_fit(w, &out, db, wait, words) != 0) {
        out.failed = MU_ENOMEM;
    }
    if (words != NULL && wait->kind == MU_WAIT_UNDECIDED)
        (void)mu_buf_append_text(&out, " Whether another layout would fit is not decided.");
    if (words != NULL && wait->behind.v != MU_NONE)
        put_kept(&out, db, wait);
    if (wait->overdue)
        (void)mu_buf_printf(&out, "%s It has waited for longer than its timeout of %" PRIu32 " s.",
                            words == NULL ? "." : "", row->timeout_s);
    if (wait->kept)
        (void)mu_buf_printf(&out, "%s It is past its deadline; those of it that run are kept.",
                            words == NULL ? "." : "");
    return text_of(&out, words == NULL && wait->kind == MU_WAIT_UNDECIDED
                             ? MU_REPORT_SCHEDULER_ERROR
                             : MU_REPORT_UNSCHEDULABLE);
}

/* The nodes of the victims, some of them by name. They come unit by unit, so that those of one node
 * need not stand together. */
static void put_nodes_of(struct mu_buf *out, const struct mu_db *db,
                         const struct mu_plan_gang *gang)
{
    struct mu_node_ix named[NODES_NAMED];
    uint32_t count = 0;
    bool more = false;
    for (uint32_t e = 0; e < gang->evict_count && !more; e++) {
        uint32_t i = 0;
        while (i < count && named[i].v != gang->evicts[e].node.v)
            i++;
        more = i == NODES_NAMED;
        if (i < count || more)
            continue;
        (void)mu_buf_printf(out, "%s%.*s", count == 0 ? "" : ", ",
                            MU_STR_ARGS(mu_db_node_name(db, gang->evicts[e].node)));
        named[count++] = gang->evicts[e].node;
    }
    if (more)
        (void)mu_buf_append_text(out, " and other nodes");
}

struct mu_report_text *mu_report_words_leaving(struct mu_db *db, const struct mu_plan_gang *gang)
{
    struct mu_buf out = {.max = 0};
    uint32_t victims = 0;
    for (uint32_t e = 0; e < gang->evict_count; e++)
        victims += (gang->evicts[e].flags & MU_EVICT_LEAVING) == 0;
    if (gang->size > 1) {
        put_gang(&out, db, gang->gang);
        (void)mu_buf_append_text(&out, ": ");
    }
    if (victims > 0)
        (void)mu_buf_printf(&out, "preempting %" PRIu32 " pod%s of lower priority on ", victims,
                            victims == 1 ? "" : "s");
    else
        (void)mu_buf_append_text(&out, "waiting for pods to leave ");
    put_nodes_of(&out, db, gang);
    (void)mu_buf_append_text(&out, ".");
    return text_of(&out, MU_REPORT_UNSCHEDULABLE);
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
