#include "tools/answer/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/place/place.h"
#include "engine/place/score.h"
#include "tools/answer/change.h"
#include "tools/answer/preemption.h"
#include "tools/answer/words.h"
#include "tools/scheduler/report_words.h"

struct explainer {
    struct mu_db *db;
    struct mu_snapshot *snapshot;
    struct mu_arena *arena;
    struct mu_place *place;
    struct mu_changer changer;
    const struct mu_class *class_;
    uint32_t rules;
};

/* The score of a row where the pod fits, and with the tie-break behind it. */
static int score_row(const struct explainer *e, struct mu_place_pod pod, struct mu_explain_row *row)
{
    int rc = mu_place_score(e->place, pod, row->node, &row->score);
    MU_ASSERT(rc != 0 || row->score >= 0);
    if (rc == 0)
        row->key =
            row->score << MU_SCORE_TIE_BITS | mu_score_tie_key(e->snapshot->nodes[row->node.v].tie);
    return rc;
}

/* "Unsupported" is no filter of kube-scheduler: the rule is its filter's, which is not built
 * here. */
static int refuse_unbuilt(struct explainer *e, struct mu_explain_row *row, struct mu_str *words)
{
    if (words->data == NULL) {
        struct mu_report_text *text = mu_report_words_pod(e->rules);
        if (text == NULL)
            return MU_ENOMEM;
        *words = mu_arena_str(e->arena, mu_report_text_message(text));
        mu_report_text_unref(text);
        if (words->data == NULL)
            return MU_ENOMEM;
    }
    row->verdict.kind = MU_VERDICT_KINDS;
    row->message = *words;
    return 0;
}

static int refuse(struct explainer *e, struct mu_explain_row *row)
{
    struct mu_buf text = {.max = 0};
    mu_report_words_verdict(&text, e->snapshot, e->class_, row->node, row->verdict);
    if (text.failed == 0)
        row->message =
            mu_arena_str(e->arena, (struct mu_str){(const char *)text.data, (uint32_t)text.len});
    mu_buf_fini(&text);
    return row->message.data == NULL
               ? MU_ENOMEM
               : mu_change_find(&e->changer, row->node, &row->changes, &row->change_count);
}

/* Nodes are looked at as if no room was kept for nominated pods, which says where it could go once
 * they have gone elsewhere; whether they keep it away now is told beside. */
static int mark_kept(struct explainer *e, const struct mu_pod_view *view,
                     struct mu_explain_row *rows, uint32_t count)
{
    struct mu_place_pod pod = {view->class_ix, view->kin};
    int rc = 0;
    if (e->snapshot->nominated_count == 0)
        return 0;
    mu_place_whom(e->place, view->priority, view->gang);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct mu_verdict verdict = {.kind = MU_FITS};
        if (rows[i].verdict.kind == MU_FITS)
            rc = mu_place_verdict(e->place, pod, rows[i].node, &verdict);
        rows[i].kept = verdict.kind != MU_FITS;
    }
    return rc;
}

static int explain_rows(struct explainer *e, struct mu_place_pod pod, struct mu_explain_row *rows,
                        struct mu_explanation *out)
{
    struct mu_str unbuilt = {NULL, 0};
    int rc = 0;
    for (uint32_t r = 0; r < e->snapshot->node_rows && rc == 0; r++) {
        if ((e->snapshot->nodes[r].flags & MU_NODE_PRESENT) == 0)
            continue;
        struct mu_explain_row *row = &rows[out->row_count++];
        row->node.v = r;
        row->name = mu_symbol_str(mu_model_names(e->snapshot->model), e->snapshot->nodes[r].name);
        if (e->rules != 0) {
            rc = refuse_unbuilt(e, row, &unbuilt);
            continue;
        }
        rc = mu_place_verdict(e->place, pod, row->node, &row->verdict);
        if (rc == 0 && row->verdict.kind == MU_FITS) {
            rc = score_row(e, pod, row);
            out->feasible_count++;
        } else if (rc == 0) {
            rc = refuse(e, row);
        }
    }
    return rc;
}

/* Best first, as the engine would choose; then those refused, by name. */
static int compare_rows(const void *left, const void *right)
{
    const struct mu_explain_row *a = left;
    const struct mu_explain_row *b = right;
    bool a_fits = a->verdict.kind == MU_FITS;
    bool b_fits = b->verdict.kind == MU_FITS;
    if (a_fits != b_fits)
        return a_fits ? -1 : 1;
    if (a_fits && a->key != b->key)
        return a->key > b->key ? -1 : 1;
    return mu_str_compare(a->name, b->name);
}

/* What is told of the pod beside the nodes. */
static int describe(struct explainer *e, const struct mu_pod_view *view, struct mu_explanation *out)
{
    *out = (struct mu_explanation){.rules = view->unbuilt,
                                   .gated = view->gated,
                                   .ours = view->ours,
                                   .running = view->node.v != MU_NONE};
    out->pod = mu_answer_name(e->arena, view->ns, view->name);
    if (view->gang.v != MU_NONE) {
        struct mu_pod_ix member = {MU_NONE};
        while (mu_db_gang_member(e->db, view->gang, &member))
            out->gang_size++;
        out->gang_need = e->snapshot->gangs[view->gang.v].size;
        out->gang = mu_answer_name(e->arena, mu_db_gang_ns(e->db, view->gang),
                                   mu_db_gang_name(e->db, view->gang));
        if (out->gang.data == NULL)
            return MU_ENOMEM;
        if (mu_str_equal(out->gang, out->pod))
            out->gang = MU_STR("");
    }
    return out->pod.data == NULL ? MU_ENOMEM : 0;
}

static int explain(struct explainer *e, const struct mu_pod_view *view, struct mu_explanation *out)
{
    struct mu_explain_row *rows =
        mu_arena_calloc(e->arena, (size_t)e->snapshot->node_rows + 1, sizeof *rows);
    struct mu_place_pod pod = {view->class_ix, view->kin};
    int rc = rows == NULL ? MU_ENOMEM : describe(e, view, out);
    if (rc != 0)
        return rc;
    e->class_ = mu_model_get_class(e->snapshot->model, pod.class_ix);
    e->rules = view->unbuilt;
    e->changer = (struct mu_changer){.snapshot = e->snapshot,
                                     .terms = mu_terms_create(),
                                     .arena = e->arena,
                                     .db = e->db,
                                     .self = view->uid,
                                     .class_ix = pod.class_ix,
                                     .kin = pod.kin};
    if (e->changer.terms == NULL)
        return MU_ENOMEM;
    mu_place_begin(e->place, e->snapshot);
    mu_terms_begin(e->changer.terms, e->snapshot);
    rc = explain_rows(e, pod, rows, out);
    if (rc == 0)
        rc = mark_kept(e, view, rows, out->row_count);
    mu_terms_end(e->changer.terms);
    mu_place_end(e->place);
    mu_terms_destroy(e->changer.terms);
    if (rc == 0)
        qsort(rows, out->row_count, sizeof *rows, compare_rows);
    out->rows = rows;
    return rc;
}

int mu_explain(struct mu_db *db, struct mu_snapshot *snapshot, const struct mu_profile *profile,
               struct mu_uid pod, struct mu_arena *arena, struct mu_explanation *out)
{
    struct mu_pod_view view;
    if (!mu_db_pod_find(db, pod, &view))
        return MU_ENOENT;
    struct explainer e = {.db = db, .snapshot = snapshot, .arena = arena};
    e.place = mu_place_create(profile, NULL);
    if (e.place == NULL)
        return MU_ENOMEM;
    int rc = explain(&e, &view, out);
    mu_place_destroy(e.place);
    return rc != 0 ? rc : mu_preemption_find(db, snapshot, profile, &view, arena, out);
}
