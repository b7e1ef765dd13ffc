/*
 * Random intern, ref, unref and reclaim against a naive twin.
 *
 * The twin writes every content as sorted text, straight from the object that was interned, and
 * keeps the texts in a list. The model must have one number per text and one text per number,
 * give back the same text when it is read, keep a retired entry readable until its generation is
 * safe, and answer the static rules as a search through the objects does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/model/model.h"

/* ---- objects of few words, so that contents repeat ---- */

enum { LIST_MAX = 4 };

struct sample {
    struct mu_label labels[LIST_MAX];
    struct mu_taint taints[LIST_MAX];
    struct mu_toleration tolerations[LIST_MAX];
    struct mu_amount requests[LIST_MAX];
    uint32_t label_count, taint_count, toleration_count, request_count;
    int64_t allocatable[MU_RESOURCES_MAX];
};

static struct mu_str pick(struct mu_random *random, const char *const *words, uint64_t count)
{
    return mu_str_of(words[mu_random_below(random, count)]);
}

static void sample_fill(struct mu_random *random, struct sample *s)
{
    static const char *const keys[] = {"a", "b", MU_HOSTNAME_KEY};
    static const char *const values[] = {"", "1", "2"};
    static const char *const taint_keys[] = {"x", "y", ""};
    static const char *const names[] = {"cpu", "memory", "pods", "example.com/gpu", "e.io/fpga"};
    static const int64_t amounts[] = {0, 1, 2, MU_AMOUNT_MAX};
    memset(s, 0, sizeof *s);
    s->label_count = (uint32_t)mu_random_below(random, LIST_MAX + 1);
    s->taint_count = (uint32_t)mu_random_below(random, LIST_MAX);
    s->toleration_count = (uint32_t)mu_random_below(random, LIST_MAX);
    s->request_count = (uint32_t)mu_random_below(random, LIST_MAX);
    for (uint32_t i = 0; i < LIST_MAX; i++) {
        s->labels[i] = (struct mu_label){pick(random, keys, 3), pick(random, values, 3)};
        s->taints[i] = (struct mu_taint){pick(random, taint_keys, 2), pick(random, values, 3),
                                         (enum mu_taint_effect)mu_random_between(random, 1, 4)};
        s->tolerations[i] =
            (struct mu_toleration){pick(random, taint_keys, 3), pick(random, values, 3),
                                   (enum mu_toleration_op)mu_random_below(random, 5),
                                   (enum mu_taint_effect)mu_random_below(random, 5)};
        s->requests[i] =
            (struct mu_amount){pick(random, names, 5), amounts[mu_random_below(random, 4)]};
        s->allocatable[i] = (int64_t)mu_random_below(random, 3);
    }
}

/* ---- contents as sorted text ---- */

enum { PARTS_MAX = 16, PART_BYTES = 96, TEXT_BYTES = 1024 };

struct parts {
    char part[PARTS_MAX][PART_BYTES];
    uint32_t count;
};

static char *part_next(struct parts *p)
{
    assert_true(p->count < PARTS_MAX);
    return p->part[p->count++];
}

static void part_check(int len)
{
    assert_in_range(len, 0, PART_BYTES - 1);
}

#define part_add(p, ...) part_check(snprintf(part_next(p), PART_BYTES, __VA_ARGS__))

static int part_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void parts_join(struct parts *p, char text[TEXT_BYTES])
{
    qsort(p->part, p->count, PART_BYTES, part_compare);
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < p->count; i++) {
        if (i == 0 || strcmp(p->part[i], p->part[i - 1]) != 0)
            at += (size_t)snprintf(text + at, TEXT_BYTES - at, "%s;", p->part[i]);
        assert_true(at < TEXT_BYTES);
    }
}

static bool is_hostname(struct mu_str key)
{
    return mu_str_equal(key, mu_str_of(MU_HOSTNAME_KEY));
}

static void labels_text(const struct sample *s, char text[TEXT_BYTES], struct mu_str *hostname)
{
    struct parts p = {.count = 0};
    *hostname = MU_STR("");
    for (uint32_t i = 0; i < s->label_count; i++) {
        bool last = true;
        for (uint32_t j = i + 1; j < s->label_count; j++)
            last = last && !mu_str_equal(s->labels[i].key, s->labels[j].key);
        if (!last)
            continue;
        if (is_hostname(s->labels[i].key) && s->labels[i].value.len != 0)
            *hostname = s->labels[i].value;
        else
            part_add(&p, "%.*s=%.*s", MU_STR_ARGS(s->labels[i].key),
                     MU_STR_ARGS(s->labels[i].value));
    }
    parts_join(&p, text);
}

static void taints_text(const struct sample *s, char text[TEXT_BYTES])
{
    struct parts p = {.count = 0};
    for (uint32_t i = 0; i < s->taint_count; i++)
        part_add(&p, "%.*s=%.*s:%d", MU_STR_ARGS(s->taints[i].key), MU_STR_ARGS(s->taints[i].value),
                 (int)s->taints[i].effect);
    parts_join(&p, text);
}

static void capacity_text(const int64_t *allocatable, char text[TEXT_BYTES])
{
    struct parts p = {.count = 0};
    for (uint32_t i = 0; i < LIST_MAX; i++)
        part_add(&p, "%u:%lld", i, (long long)allocatable[i]);
    parts_join(&p, text);
}

static bool request_parts(const struct sample *s, struct parts *p)
{
    bool impossible = false;
    for (uint32_t i = 0; i < s->request_count; i++) {
        int64_t sum = 0;
        for (uint32_t j = 0; j < s->request_count; j++) {
            if (mu_str_equal(s->requests[i].resource, s->requests[j].resource))
                sum = mu_amount_add(sum, s->requests[j].value);
        }
        if (sum == 0 || mu_str_equal(s->requests[i].resource, MU_STR("pods")))
            continue;
        impossible = impossible || sum == MU_AMOUNT_MAX;
        part_add(p, "demand %.*s=%lld", MU_STR_ARGS(s->requests[i].resource), (long long)sum);
    }
    return impossible;
}

static bool selector_parts(const struct sample *s, struct parts *p)
{
    bool impossible = false;
    for (uint32_t i = 0; i < s->label_count; i++) {
        bool agreed = true;
        for (uint32_t j = 0; j < s->label_count; j++)
            agreed = agreed && (!mu_str_equal(s->labels[i].key, s->labels[j].key) ||
                                mu_str_equal(s->labels[i].value, s->labels[j].value));
        impossible = impossible || !agreed;
        if (agreed)
            part_add(p, "label %.*s=%.*s", MU_STR_ARGS(s->labels[i].key),
                     MU_STR_ARGS(s->labels[i].value));
    }
    return impossible;
}

static void class_text(const struct sample *s, char text[TEXT_BYTES])
{
    struct parts p = {.count = 0};
    if (request_parts(s, &p))
        part_add(&p, "endless");
    if (selector_parts(s, &p))
        part_add(&p, "nothing");
    for (uint32_t i = 0; i < s->toleration_count; i++) {
        const struct mu_toleration *t = &s->tolerations[i];
        if (t->op == MU_TOLERATE_EXISTS && t->effect != MU_EFFECT_OTHER)
            part_add(&p, "exists %.*s:%d", MU_STR_ARGS(t->key), (int)t->effect);
        else if (t->op == MU_TOLERATE_EQUAL && t->effect != MU_EFFECT_OTHER)
            part_add(&p, "equal %.*s=%.*s:%d", MU_STR_ARGS(t->key), MU_STR_ARGS(t->value),
                     (int)t->effect);
        else if (t->op != MU_TOLERATE_NEVER && t->effect != MU_EFFECT_OTHER && t->value.len > 0)
            part_add(&p, "compare %.*s %d %.*s:%d", MU_STR_ARGS(t->key), (int)t->op,
                     MU_STR_ARGS(t->value), (int)t->effect);
    }
    parts_join(&p, text);
}

/* ---- the same texts, read back from the model ---- */

static const char *symbol_text(struct mu_model *m, struct mu_symbol symbol)
{
    return mu_symbol_str(mu_model_symbols(m), symbol).data;
}

static void read_class(struct mu_model *m, uint32_t ix, struct parts *p)
{
    const struct mu_class *c = mu_model_get_class(m, (struct mu_class_ix){ix});
    uint64_t mask = 0;
    bool nothing = mu_model_get_affinity(m, c->affinity)->nothing, endless = false;
    for (uint32_t i = 0; i < c->demand_count; i++) {
        struct mu_str name = mu_resource_name(mu_model_resources(m), c->demands[i].resource);
        part_add(p, "demand %.*s=%lld", MU_STR_ARGS(name), (long long)c->demands[i].amount);
        assert_true(i == 0 || c->demands[i - 1].resource.v < c->demands[i].resource.v);
        mask |= UINT64_C(1) << c->demands[i].resource.v;
        endless = endless || c->demands[i].amount == MU_AMOUNT_MAX;
    }
    assert_true(mask == c->resource_mask);
    for (uint32_t i = 0; i < c->selector_count; i++) {
        part_add(p, "label %s=%s", symbol_text(m, c->selector[i].key),
                 symbol_text(m, c->selector[i].value));
        assert_true(i == 0 || c->selector[i - 1].key.v < c->selector[i].key.v);
    }
    if (c->hostname.v != 0)
        part_add(p, "label %s=%s", MU_HOSTNAME_KEY, symbol_text(m, c->hostname));
    assert_int_equal(c->impossible, nothing || endless);
    if (endless)
        part_add(p, "endless");
    if (nothing)
        part_add(p, "nothing");
    for (uint32_t i = 0; i < c->toleration_count; i++) {
        const struct mu_toleration_item *t = &c->tolerations[i];
        if (t->op == MU_TOLERATE_EXISTS)
            part_add(p, "exists %s:%d", symbol_text(m, t->key), (int)t->effect);
        else if (t->op != MU_TOLERATE_EQUAL)
            part_add(p, "compare %s %d %s:%d", symbol_text(m, t->key), (int)t->op,
                     symbol_text(m, t->value), (int)t->effect);
        else
            part_add(p, "equal %s=%s:%d", symbol_text(m, t->key), symbol_text(m, t->value),
                     (int)t->effect);
    }
}

enum kind { LABELS, TAINTS, CAPACITY, CLASS, KINDS };

static void read_text(struct mu_model *m, enum kind kind, uint32_t ix, char text[TEXT_BYTES])
{
    struct parts p = {.count = 0};
    if (kind == LABELS) {
        const struct mu_label_set *set = mu_model_get_label_set(m, (struct mu_label_set_ix){ix});
        for (uint32_t i = 0; i < set->count; i++)
            part_add(&p, "%s=%s", symbol_text(m, set->pairs[i].key),
                     symbol_text(m, set->pairs[i].value));
    } else if (kind == TAINTS) {
        const struct mu_taint_set *set = mu_model_get_taint_set(m, (struct mu_taint_set_ix){ix});
        for (uint32_t i = 0; i < set->count; i++)
            part_add(&p, "%s=%s:%d", symbol_text(m, set->items[i].key),
                     symbol_text(m, set->items[i].value), (int)set->items[i].effect);
    } else if (kind == CLASS) {
        read_class(m, ix, &p);
    } else {
        int64_t amounts[MU_RESOURCES_MAX];
        for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
            amounts[r] =
                mu_capacity_amount(mu_model_get_capacity(m, (struct mu_capacity_ix){ix}), r);
        capacity_text(amounts, text);
        return;
    }
    parts_join(&p, text);
}

/* ---- the twin's list ---- */

enum { ENTRIES_MAX = 8192, HANDLES_MAX = 512 };

struct entry {
    enum kind kind;
    char text[TEXT_BYTES];
    uint32_t ix;
    uint64_t class_id;
    uint32_t refs;
    uint64_t generation; /* refs == 0: since when */
    bool present;
};

struct handle {
    struct entry *entry;
    struct mu_symbol hostname;
    struct sample sample;
};

struct twin {
    struct mu_model *model;
    struct mu_random random;
    struct entry *entries;
    uint32_t entry_count;
    struct handle *handles;
    uint32_t handle_count;
    uint64_t generation;
    uint64_t class_id_max;
};

static struct entry *entry_find(struct twin *t, enum kind kind, const char *text)
{
    for (uint32_t i = 0; i < t->entry_count; i++) {
        if (t->entries[i].kind == kind && strcmp(t->entries[i].text, text) == 0)
            return &t->entries[i];
    }
    assert_true(t->entry_count < ENTRIES_MAX);
    struct entry *entry = &t->entries[t->entry_count++];
    *entry = (struct entry){.kind = kind};
    memcpy(entry->text, text, strlen(text) + 1);
    return entry;
}

static uint32_t intern_sample(struct twin *t, enum kind kind, const struct sample *s,
                              char text[TEXT_BYTES], struct mu_symbol *hostname)
{
    struct mu_label_set_ix labels = {0};
    struct mu_taint_set_ix taints = {0};
    struct mu_capacity_ix capacity = {0};
    struct mu_class_ix class_ix = {0};
    struct mu_str host;
    if (kind == LABELS) {
        labels_text(s, text, &host);
        assert_int_equal(mu_model_label_set(t->model, s->labels, s->label_count, &labels, hostname),
                         0);
        assert_true(mu_str_equal(mu_symbol_str(mu_model_symbols(t->model), *hostname), host));
        return labels.v;
    }
    if (kind == TAINTS) {
        taints_text(s, text);
        assert_int_equal(mu_model_taint_set(t->model, s->taints, s->taint_count, &taints), 0);
        return taints.v;
    }
    if (kind == CAPACITY) {
        capacity_text(s->allocatable, text);
        assert_int_equal(mu_model_capacity(t->model, s->allocatable, &capacity), 0);
        return capacity.v;
    }
    struct mu_pod_object pod = {.requests = s->requests,
                                .request_count = s->request_count,
                                .selector = s->labels,
                                .selector_count = s->label_count,
                                .tolerations = s->tolerations,
                                .toleration_count = s->toleration_count};
    class_text(s, text);
    assert_int_equal(mu_model_class(t->model, &pod, &class_ix), 0);
    return class_ix.v;
}

static void step_intern(struct twin *t)
{
    if (t->handle_count == HANDLES_MAX)
        return;
    struct handle *handle = &t->handles[t->handle_count++];
    enum kind kind = (enum kind)mu_random_below(&t->random, KINDS);
    char text[TEXT_BYTES], back[TEXT_BYTES];
    sample_fill(&t->random, &handle->sample);
    handle->hostname.v = 0;
    uint32_t ix = intern_sample(t, kind, &handle->sample, text, &handle->hostname);
    struct entry *entry = entry_find(t, kind, text);
    uint64_t id = kind == CLASS ? mu_model_get_class(t->model, (struct mu_class_ix){ix})->id : 0;
    if (entry->present) {
        assert_int_equal(entry->ix, ix);
        assert_true(entry->class_id == id);
    } else if (kind == CLASS) {
        assert_true(id > t->class_id_max);
        t->class_id_max = id;
    }
    entry->ix = ix;
    entry->class_id = id;
    entry->present = true;
    entry->refs++;
    handle->entry = entry;
    read_text(t->model, kind, ix, back);
    assert_string_equal(back, text);
}

static void step_ref(struct twin *t)
{
    if (t->handle_count == 0 || t->handle_count == HANDLES_MAX)
        return;
    const struct handle *from = &t->handles[mu_random_below(&t->random, t->handle_count)];
    if (from->entry->kind != CLASS)
        return;
    mu_model_class_ref(t->model, (struct mu_class_ix){from->entry->ix});
    from->entry->refs++;
    t->handles[t->handle_count++] = *from;
}

static void step_unref(struct twin *t)
{
    if (t->handle_count == 0)
        return;
    uint32_t at = (uint32_t)mu_random_below(&t->random, t->handle_count);
    struct handle handle = t->handles[at];
    t->handles[at] = t->handles[--t->handle_count];
    uint32_t ix = handle.entry->ix;
    if (handle.entry->kind == LABELS)
        mu_model_label_set_unref(t->model, (struct mu_label_set_ix){ix}, handle.hostname,
                                 t->generation);
    else if (handle.entry->kind == TAINTS)
        mu_model_taint_set_unref(t->model, (struct mu_taint_set_ix){ix}, t->generation);
    else if (handle.entry->kind == CAPACITY)
        mu_model_capacity_unref(t->model, (struct mu_capacity_ix){ix}, t->generation);
    else
        mu_model_class_unref(t->model, (struct mu_class_ix){ix}, t->generation);
    handle.entry->refs--;
    handle.entry->generation = t->generation;
}

static bool is_empty_set(const struct entry *e)
{
    return (e->kind == LABELS || e->kind == TAINTS) && e->text[0] == '\0';
}

static void step_reclaim(struct twin *t)
{
    uint64_t safe = t->generation - mu_random_below(&t->random, 4);
    mu_model_reclaim(t->model, safe, UINT32_MAX);
    for (uint32_t i = 0; i < t->entry_count; i++) {
        struct entry *e = &t->entries[i];
        if (e->present && e->refs == 0 && e->generation <= safe && !is_empty_set(e))
            e->present = false;
    }
}

/* Every entry that must be there says what it said, and no two share a number. */
static void check_all(struct twin *t)
{
    for (uint32_t i = 0; i < t->entry_count; i++) {
        const struct entry *e = &t->entries[i];
        if (!e->present)
            continue;
        char text[TEXT_BYTES];
        read_text(t->model, e->kind, e->ix, text);
        assert_string_equal(text, e->text);
        for (uint32_t j = 0; j < i; j++)
            assert_false(t->entries[j].present && t->entries[j].kind == e->kind &&
                         t->entries[j].ix == e->ix);
    }
}

/* ---- rules, by searching the objects ---- */

static bool naive_selects(const struct sample *pod, const struct sample *node)
{
    struct parts unused = {.count = 0};
    if (request_parts(pod, &unused) || selector_parts(pod, &unused))
        return false;
    for (uint32_t i = 0; i < pod->label_count; i++) {
        const struct mu_str *value = NULL;
        for (uint32_t j = 0; j < node->label_count; j++) {
            if (mu_str_equal(node->labels[j].key, pod->labels[i].key))
                value = &node->labels[j].value;
        }
        if (value == NULL || !mu_str_equal(*value, pod->labels[i].value))
            return false;
    }
    return true;
}

/* Values are "", which is no number, "1" and "2". */
static bool naive_below(struct mu_str a, struct mu_str b)
{
    return a.len > 0 && b.len > 0 && a.data[0] < b.data[0];
}

static bool naive_one(const struct mu_toleration *t, const struct mu_taint *taint)
{
    return (t->effect == MU_EFFECT_ANY || t->effect == taint->effect) &&
           (t->key.len == 0 || mu_str_equal(t->key, taint->key)) &&
           (t->op == MU_TOLERATE_EXISTS ||
            (t->op == MU_TOLERATE_EQUAL && mu_str_equal(t->value, taint->value)) ||
            (t->op == MU_TOLERATE_LT && naive_below(taint->value, t->value)) ||
            (t->op == MU_TOLERATE_GT && naive_below(t->value, taint->value)));
}

static bool naive_tolerates(const struct sample *pod, const struct sample *node)
{
    for (uint32_t i = 0; i < node->taint_count; i++) {
        const struct mu_taint *taint = &node->taints[i];
        bool tolerated =
            taint->effect != MU_EFFECT_NO_SCHEDULE && taint->effect != MU_EFFECT_NO_EXECUTE;
        for (uint32_t j = 0; j < pod->toleration_count; j++)
            tolerated = tolerated || naive_one(&pod->tolerations[j], taint);
        if (!tolerated)
            return false;
    }
    return true;
}

static void step_rules(struct twin *t)
{
    if (t->handle_count < 2)
        return;
    const struct handle *a = &t->handles[mu_random_below(&t->random, t->handle_count)];
    const struct handle *b = &t->handles[mu_random_below(&t->random, t->handle_count)];
    if (a->entry->kind != CLASS)
        return;
    const struct mu_class *c = mu_model_get_class(t->model, (struct mu_class_ix){a->entry->ix});
    if (b->entry->kind == LABELS) {
        const struct mu_labels_view labels =
            mu_model_labels(t->model, (struct mu_label_set_ix){b->entry->ix}, b->hostname);
        assert_int_equal(mu_class_selects(t->model, c, &labels, (struct mu_symbol){0}),
                         naive_selects(&a->sample, &b->sample));
    } else if (b->entry->kind == TAINTS) {
        const struct mu_taint_set *set =
            mu_model_get_taint_set(t->model, (struct mu_taint_set_ix){b->entry->ix});
        assert_int_equal(mu_class_tolerates(t->model, c, set),
                         naive_tolerates(&a->sample, &b->sample));
    }
}

/* ---- the walk ---- */

static void walk(uint64_t seed, uint32_t steps)
{
    struct twin t = {.model = mu_model_create(), .generation = 10};
    assert_non_null(t.model);
    mu_random_init_seed(&t.random, seed);
    t.entries = mu_mem_calloc(ENTRIES_MAX, sizeof *t.entries);
    t.handles = mu_mem_calloc(HANDLES_MAX, sizeof *t.handles);
    assert_true(t.entries != NULL && t.handles != NULL);
    uint32_t symbols_before = mu_symtab_count(mu_model_symbols(t.model));
    /* Phases that grow and phases that shrink, so that entries retire, revive and go. */
    for (uint32_t i = 0; i < steps; i++) {
        bool growing = i / 500 % 2 == 0;
        uint64_t draw = mu_random_below(&t.random, 100);
        if (draw < (growing ? 50u : 15u))
            step_intern(&t);
        else if (draw < (growing ? 55u : 20u))
            step_ref(&t);
        else if (draw < 80)
            step_unref(&t);
        else if (draw < 95)
            step_rules(&t);
        else if (draw < 98)
            t.generation++;
        else
            step_reclaim(&t);
        if (i % 97 == 0)
            check_all(&t);
    }
    while (t.handle_count > 0)
        step_unref(&t);
    check_all(&t);
    /* In small portions: a budget delays, it does not lose anything. */
    for (uint32_t i = 0; i < 20000; i++)
        mu_model_reclaim(t.model, t.generation, 1);
    assert_int_equal(mu_symtab_count(mu_model_symbols(t.model)), symbols_before);
    mu_mem_free(t.handles);
    mu_mem_free(t.entries);
    mu_model_destroy(t.model);
}

static void test_model_walk__random_operations__as_the_twin(void **state)
{
    (void)state;
    size_t before = mu_mem_live_bytes();
    const char *given = getenv("MUSTER_TEST_SEED"); /* replay one walk */
    uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t last = given != NULL ? first : 5;
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        walk(seed, 10000);
    }
    assert_true(mu_mem_live_bytes() == before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_walk__random_operations__as_the_twin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
