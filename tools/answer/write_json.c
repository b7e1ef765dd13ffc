#include <inttypes.h>
#include <string.h>
#include "engine/base/assert.h"
#include "informer/json_object.h"
#include "tools/answer/words.h"
#include "tools/answer/write.h"

static void put_text(struct mu_buf *out, const char *before, struct mu_str text)
{
    (void)mu_buf_append_text(out, before);
    (void)mu_json_string_write(out, text);
}

int mu_settled_write_json(const struct mu_settled *settled, struct mu_buf *out)
{
    (void)mu_buf_append_text(out, "{\"bindings\":[");
    for (uint32_t i = 0; i < settled->binding_count; i++) {
        const struct mu_settled_binding *b = &settled->bindings[i];
        put_text(out, i == 0 ? "{\"pod\":" : ",{\"pod\":", b->pod);
        put_text(out, ",\"node\":", b->node);
        put_text(out, ",\"gang\":", b->gang);
        if (b->devices != 0) {
            char devices[MU_ANSWER_DEVICES_BYTES];
            (void)mu_answer_devices(devices, b->devices);
            (void)mu_buf_printf(out, ",\"devices\":\"%s\"", devices);
        }
        (void)mu_buf_append_text(out, "}");
    }
    (void)mu_buf_append_text(out, "],\"evictions\":[");
    for (uint32_t i = 0; i < settled->eviction_count; i++) {
        const struct mu_settled_eviction *e = &settled->evictions[i];
        put_text(out, i == 0 ? "{\"pod\":" : ",{\"pod\":", e->pod);
        put_text(out, ",\"gang\":", e->gang);
        put_text(out, ",\"for\":", e->by);
        (void)mu_buf_append_text(out, e->violates ? ",\"pdb_violated\":true}" : "}");
    }
    (void)mu_buf_append_text(out, "],\"pending\":[");
    for (uint32_t i = 0; i < settled->pending_count; i++) {
        const struct mu_settled_pending *p = &settled->pending[i];
        put_text(out, i == 0 ? "{\"pod\":" : ",{\"pod\":", p->pod);
        put_text(out, ",\"gang\":", p->gang);
        put_text(out, ",\"reason\":", mu_str_of(mu_pending_reason_text(p->reason)));
        put_text(out, ",\"message\":", p->message);
        (void)mu_buf_append_text(out, "}");
    }
    return mu_buf_append_text(out, "]}\n");
}

/* ---- explain ------------------------------------------------------------------------------ */

static const char *effect_text(enum mu_taint_effect effect)
{
    return effect == MU_EFFECT_NO_EXECUTE ? "NoExecute" : "NoSchedule";
}

static void put_toleration(struct mu_buf *out, const struct mu_change *change)
{
    put_text(out, "{\"toleration\":{\"key\":", change->key);
    put_text(out, ",\"operator\":\"Equal\",\"value\":", change->value);
    put_text(out, ",\"effect\":", mu_str_of(effect_text(change->effect)));
    (void)mu_buf_append_text(out, "}}");
}

/* {"NAME": amount}, a number where the unit is whole. */
static void put_amount(struct mu_buf *out, const char *before, const struct mu_change *change)
{
    bool whole = !mu_str_equal(change->key, MU_STR("cpu")) || change->amount % 1000 == 0;
    put_text(out, before, change->key);
    (void)mu_buf_append_text(out, whole ? ":" : ":\"");
    mu_answer_amount(out, change->key, change->amount, false);
    (void)mu_buf_append_text(out, whole ? "}}" : "\"}}");
}

static void put_change(struct mu_buf *out, struct mu_str node, const struct mu_change *change)
{
    switch (change->kind) {
    case MU_CHANGE_TOLERATION:
        put_toleration(out, change);
        return;
    case MU_CHANGE_DROP:
        put_text(out, "{\"drop\":", change->key);
        (void)mu_buf_append_text(out, "}");
        return;
    case MU_CHANGE_REMOVE:
        put_text(out, "{\"remove\":", change->key);
        (void)mu_buf_append_text(out, "}");
        return;
    default:
        put_text(out, "{\"node\":", node);
    }
    switch (change->kind) {
    case MU_CHANGE_UNCORDON:
        (void)mu_buf_append_text(out, ",\"uncordon\":true}");
        break;
    case MU_CHANGE_LABEL:
        put_text(out, ",\"label\":{", change->key);
        put_text(out, ":", change->value);
        (void)mu_buf_append_text(out, "}}");
        break;
    case MU_CHANGE_UNLABEL:
        put_text(out, ",\"label\":{", change->key);
        (void)mu_buf_append_text(out, ":null}}");
        break;
    case MU_CHANGE_FREE:
        put_amount(out, ",\"free\":{", change);
        break;
    case MU_CHANGE_GROW:
        put_amount(out, ",\"grow\":{", change);
        break;
    case MU_CHANGE_DEVICE:
        put_amount(out, ",\"device\":{", change);
        break;
    default:
        MU_ASSERT(change->kind == MU_CHANGE_PORTS);
        put_text(out, ",\"free_ports\":true,\"ports\":", change->value);
        (void)mu_buf_append_text(out, "}");
    }
}

static void put_rejected(struct mu_buf *out, const struct mu_explain_row *row)
{
    put_text(out, "{\"node\":", row->name);
    put_text(out, ",\"filter\":", mu_str_of(mu_answer_filter(row->verdict)));
    put_text(out, ",\"message\":", row->message);
    (void)mu_buf_printf(out, ",\"preemption_may_help\":%s,\"change\":[",
                        mu_answer_may_preempt(row->verdict) ? "true" : "false");
    for (uint32_t c = 0; c < row->change_count; c++) {
        (void)mu_buf_append_text(out, c == 0 ? "" : ",");
        put_change(out, row->name, &row->changes[c]);
    }
    (void)mu_buf_append_text(out, "]}");
}

static void put_notes(struct mu_buf *out, const struct mu_explanation *x)
{
    struct mu_buf lines = {.max = 0};
    (void)mu_explanation_write_notes(x, &lines);
    (void)mu_buf_append_text(out, ",\"notes\":[");
    for (size_t at = 0; lines.failed == 0 && at < lines.len;) {
        const char *line = (const char *)lines.data + at;
        const char *feed = memchr(line, '\n', lines.len - at);
        MU_ASSERT(feed != NULL);
        put_text(out, at == 0 ? "" : ",", (struct mu_str){line, (uint32_t)(feed - line)});
        at += (size_t)(feed - line) + 1;
    }
    (void)mu_buf_append_text(out, "]");
    out->failed = out->failed != 0 ? out->failed : lines.failed;
    mu_buf_fini(&lines);
}

/* A gang's members go together: where each would, beside whom it asked about. */
static void put_preemption(struct mu_buf *out, const struct mu_explanation *x)
{
    const struct mu_preemption *p = &x->preemption;
    (void)mu_buf_append_text(out, ",\"preemption\":");
    if (p->kind != MU_PREEMPTION_FOUND) {
        (void)mu_buf_append_text(out, "null");
        return;
    }
    if (p->node.len > 0)
        put_text(out, "{\"node\":", p->node);
    else
        (void)mu_buf_append_text(out, "{\"node\":null");
    (void)mu_buf_append_text(out, ",\"victims\":[");
    for (uint32_t i = 0; i < p->victim_count; i++)
        put_text(out, i == 0 ? "" : ",", p->victims[i].pod);
    (void)mu_buf_printf(out, "],\"pdb_violations\":%" PRIu32, p->violations);
    if (x->gang.len > 0) {
        put_text(out, ",\"gang\":", x->gang);
        (void)mu_buf_append_text(out, ",\"nodes\":{");
        for (uint32_t i = 0; i < p->place_count; i++) {
            put_text(out, i == 0 ? "" : ",", p->places[i].pod);
            put_text(out, ":", p->places[i].node);
        }
        (void)mu_buf_append_text(out, "}");
    }
    (void)mu_buf_append_text(out, "}");
}

/* Null for a pod that is alone; reason and message are null for a gang that would be placed. */
static void put_gang(struct mu_buf *out, const struct mu_explanation *x)
{
    if (x->gang.len == 0) {
        (void)mu_buf_append_text(out, ",\"gang\":null");
        return;
    }
    put_text(out, ",\"gang\":{\"name\":", x->gang);
    if (x->gang_message.len > 0) {
        put_text(out, ",\"reason\":", mu_str_of(mu_pending_reason_text(x->gang_reason)));
        put_text(out, ",\"message\":", x->gang_message);
        (void)mu_buf_append_text(out, "}");
    } else {
        (void)mu_buf_append_text(out, ",\"reason\":null,\"message\":null}");
    }
}

int mu_explanation_write_json(const struct mu_explanation *x, struct mu_buf *out)
{
    put_text(out, "{\"pod\":", x->pod);
    put_gang(out, x);
    put_notes(out, x);
    (void)mu_buf_append_text(out, ",\"feasible\":[");
    for (uint32_t i = 0; i < x->feasible_count; i++)
        put_text(out, i == 0 ? "" : ",", x->rows[i].name);
    (void)mu_buf_append_text(out, "],\"scores\":{");
    for (uint32_t i = 0; i < x->feasible_count; i++) {
        put_text(out, i == 0 ? "" : ",", x->rows[i].name);
        (void)mu_buf_printf(out, ":%" PRId64, x->rows[i].score);
    }
    (void)mu_buf_append_text(out, "},\"rejected\":[");
    for (uint32_t i = x->feasible_count; i < x->row_count; i++) {
        (void)mu_buf_append_text(out, i == x->feasible_count ? "" : ",");
        put_rejected(out, &x->rows[i]);
    }
    (void)mu_buf_append_text(out, "]");
    put_preemption(out, x);
    return mu_buf_append_text(out, "}\n");
}
