/*
 * What the journal says of what lands. When a binding or a delete of the scheduler's lands, a slot
 * of the journal on the server has it: it was recorded before it was sent, and is kept until it is
 * settled. And it is of the newest scheduler that has taken the journal over, or of none yet: what
 * an earlier one sent is dead by then (I3, I5). Nobody else deletes pods here by a grace period.
 */
#include "tools/sim/checker_priv.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/codec.h"
#include "shards/journal.h"
#include "tools/kubesim/wire.h"

void mu_checker_opened(struct mu_checker *c, uint64_t incarnation, uint64_t epoch)
{
    MU_ASSERT(mu_mem_grow((void **)&c->epochs, &c->epoch_cap, c->epoch_count + 1,
                          MU_CHECKER_OBJECTS_MAX, sizeof *c->epochs) == 0);
    c->epochs[c->epoch_count++] = (struct mu_naive_epoch){incarnation, epoch};
    if (c->opened < epoch)
        c->opened = epoch;
}

/* 0: it has never taken the journal over. */
static uint64_t epoch_of(const struct mu_checker *c, uint64_t incarnation)
{
    uint64_t epoch = 0;
    for (uint32_t i = 0; i < c->epoch_count; i++)
        if (c->epochs[i].incarnation == incarnation)
            epoch = c->epochs[i].epoch;
    return epoch;
}

/* "1f-2": incarnation and number of a plan. False: it is none. */
static bool read_plan(struct mu_str text, uint64_t *incarnation, uint64_t *number)
{
    char copy[48] = "", *end = NULL;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    *incarnation = strtoull(copy, &end, 16);
    if (*end != '-')
        return false;
    *number = strtoull(end + 1, &end, 16);
    return *end == '\0';
}

/* A UUID as its 128 bits. */
static struct mu_uid uid_bits(struct mu_str text)
{
    uint64_t halves[2] = {0, 0};
    uint32_t digits = 0;
    for (uint32_t i = 0; i < text.len && digits < 32; i++) {
        char c = text.data[i];
        uint64_t value = c >= 'a' ? (uint64_t)(c - 'a') + 10 : (uint64_t)(c - '0');
        if (c == '-')
            continue;
        halves[digits / 16] = halves[digits / 16] << 4 | value;
        digits++;
    }
    return (struct mu_uid){halves[0], halves[1]};
}

struct search {
    enum mu_journal_kind kind;
    struct mu_str uid, node;
    struct mu_uid bits;
    uint64_t number; /* of its plan; 0: any */
    bool here;       /* in the slot at hand */
};

static int look_at(void *context, const struct mu_journal_entry *entry)
{
    struct search *s = context;
    for (uint32_t i = 0; i < entry->count; i++) {
        const struct mu_journal_write *w = &entry->writes[i];
        bool same =
            w->uid_text.len > 0 ? mu_str_equal(w->uid_text, s->uid) : mu_uid_equal(w->uid, s->bits);
        if (same && w->kind == s->kind && mu_str_equal(w->node, s->node) &&
            (s->number == 0 || s->number == entry->plan))
            s->here = true;
    }
    return 0;
}

/* Of those whose entries have the write the one that opened last; 0: no slot has it. */
static uint64_t find(const struct mu_checker *c, struct search *s)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < c->slots.count; i++) {
        const struct mu_buf *raw = &c->slots.objects[i].raw;
        struct mu_str slot =
            mu_pb_bytes((struct mu_str){(const char *)raw->data, (uint32_t)raw->len}, 3, 2);
        struct mu_journal_slot_head head;
        s->here = false;
        if (mu_journal_slot_read(slot, &head, look_at, s, NULL) == 0 && s->here &&
            (newest == 0 || epoch_of(c, head.incarnation) > epoch_of(c, newest)))
            newest = head.incarnation;
    }
    return newest;
}

/* The pod's own annotations are lost in decoding: they are read from the object again. */
static bool plan_of(struct mu_checker *c, const struct mu_pod_object *pod, uint64_t *incarnation,
                    uint64_t *number)
{
    const struct mu_naive_list *pods = &c->server[MU_DB_PODS];
    for (uint32_t i = 0; i < pods->count; i++) {
        const struct mu_buf *raw = &pods->objects[i].raw;
        struct mu_pod_bound bound;
        if (mu_pod_bound_decode((struct mu_str){(const char *)raw->data, (uint32_t)raw->len},
                                c->arena, &bound, NULL) == 0 &&
            mu_str_equal(bound.uid, pod->uid))
            return read_plan(bound.plan, incarnation, number);
    }
    return false;
}

void mu_checker_landed(struct mu_checker *c, const struct mu_pod_object *pod, bool terminating)
{
    struct search s = {.kind = terminating ? MU_JOURNAL_DELETE : MU_JOURNAL_BIND,
                       .uid = pod->uid,
                       .node = pod->node_name,
                       .bits = uid_bits(pod->uid)};
    const char *what = terminating ? "deleted" : "bound";
    const char *invariant = terminating ? "I5" : "I3";
    uint64_t incarnation = 0;
    if (c->slots.count == 0)
        return; /* it is kept in memory */
    if (!terminating && !plan_of(c, pod, &incarnation, &s.number)) {
        mu_checker_violate(c, invariant, "pod %.*s is bound by no plan", MU_STR_ARGS(pod->name));
        return;
    }
    uint64_t found = find(c, &s);
    if (found == 0 || (!terminating && found != incarnation))
        mu_checker_violate(c, invariant, "pod %.*s was %s and no slot of the journal has it",
                           MU_STR_ARGS(pod->name), what);
    if (!terminating)
        found = incarnation;
    if (found != 0 && epoch_of(c, found) < c->opened_before)
        mu_checker_violate(c, invariant,
                           "pod %.*s was %s by a scheduler whose journal had been taken over",
                           MU_STR_ARGS(pod->name), what);
}
