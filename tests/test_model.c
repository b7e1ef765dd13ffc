/*
 * The model: stated cases first, then random operations against a naive twin that keeps every
 * content as sorted text and looks for it in a list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "engine/limits.h"
#include "engine/model/model.h"

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static struct mu_model *model_new(void)
{
    struct mu_model *m = mu_model_create();
    assert_non_null(m);
    return m;
}

static struct mu_label label(const char *key, const char *value)
{
    return (struct mu_label){mu_str_of(key), mu_str_of(value)};
}

static struct mu_amount amount(const char *name, int64_t value)
{
    return (struct mu_amount){mu_str_of(name), value};
}

static const char *text_of(struct mu_model *m, struct mu_symbol symbol)
{
    return mu_symbol_str(mu_model_symbols(m), symbol).data;
}

static const struct mu_class *class_new(struct mu_model *m, const struct mu_pod_object *pod,
                                        struct mu_class_ix *ix)
{
    assert_int_equal(mu_model_class(m, pod, ix), 0);
    return mu_model_get_class(m, *ix);
}

/* Of a node without a name. */
static bool selects(const struct mu_model *m, const struct mu_class *c,
                    struct mu_label_set_ix labels, struct mu_symbol hostname)
{
    const struct mu_labels_view view = mu_model_labels(m, labels, hostname);
    return mu_class_selects(m, c, &view, (struct mu_symbol){0});
}

/* ---- errors first ---- */

static void test_model_create__out_of_memory_anywhere__null_and_no_leak(void **state)
{
    (void)state;
    size_t before = mu_mem_live_bytes();
    uint64_t n = 1;
    for (;; n++) {
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = n});
        struct mu_model *m = mu_model_create();
        mu_mem_debug_set((struct mu_mem_debug){0});
        if (m != NULL) {
            mu_model_destroy(m);
            break;
        }
        assert_true(mu_mem_live_bytes() == before);
    }
    assert_true(n > 10);
    assert_true(mu_mem_live_bytes() == before);
    mu_model_destroy(NULL);
}

/* Everything that a failed call could have left behind. */
struct footprint {
    uint32_t symbols, resources, classes, labels, taints, namespaces;
};

static struct footprint footprint_of(struct mu_model *m)
{
    mu_model_reclaim(m, 0, UINT32_MAX); /* symbols that nothing took, at generation 0 */
    return (struct footprint){mu_symtab_count(mu_model_symbols(m)),
                              mu_resource_count(mu_model_resources(m)),
                              mu_model_class_bound(m),
                              mu_model_label_set_bound(m),
                              mu_model_taint_set_bound(m),
                              mu_model_namespace_count(m)};
}

static void assert_same_footprint(struct mu_model *m, struct footprint before)
{
    struct footprint now = footprint_of(m);
    assert_memory_equal(&now, &before, sizeof now);
}

enum kind { LABELS, TAINTS, CAPACITY, CLASS, KINDS };

static int intern_sample(struct mu_model *m, enum kind kind, uint32_t *ix)
{
    struct mu_label labels[] = {label("b", "1"), label(MU_HOSTNAME_KEY, "h"), label("a", "2")};
    struct mu_taint taints[] = {{MU_STR("t"), MU_STR("v"), MU_EFFECT_NO_SCHEDULE}};
    struct mu_toleration tolerations[] = {
        {MU_STR("t2"), MU_STR("v2"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY}};
    struct mu_amount requests[] = {amount("example.com/gpu", 1), amount("cpu", 100)};
    struct mu_pod_object pod = {.requests = requests,
                                .request_count = 2,
                                .selector = labels,
                                .selector_count = 3,
                                .tolerations = tolerations,
                                .toleration_count = 1};
    int64_t allocatable[MU_RESOURCES_MAX] = {4000, 1 << 20};
    struct mu_label_set_ix label_ix = {*ix};
    struct mu_taint_set_ix taint_ix = {*ix};
    struct mu_capacity_ix capacity_ix = {*ix};
    struct mu_class_ix class_ix = {*ix};
    struct mu_symbol hostname = {77};
    int status;
    switch (kind) {
    case LABELS:
        status = mu_model_label_set(m, labels, 3, &label_ix, &hostname);
        assert_true(status == 0 || hostname.v == 77);
        *ix = label_ix.v;
        return status;
    case TAINTS:
        status = mu_model_taint_set(m, taints, 1, &taint_ix);
        *ix = taint_ix.v;
        return status;
    case CAPACITY:
        status = mu_model_capacity(m, allocatable, &capacity_ix);
        *ix = capacity_ix.v;
        return status;
    default:
        status = mu_model_class(m, &pod, &class_ix);
        *ix = class_ix.v;
        return status;
    }
}

static void test_model_intern__out_of_memory_anywhere__changes_nothing(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct mu_model *m = model_new();
        struct footprint before = footprint_of(m);
        uint64_t n = 1;
        uint32_t ix = 99;
        for (;; n++) {
            mu_mem_debug_set((struct mu_mem_debug){.fail_nth = n});
            int status = intern_sample(m, (enum kind)kind, &ix);
            mu_mem_debug_set((struct mu_mem_debug){0});
            if (status == 0)
                break;
            assert_int_equal(status, MU_ENOMEM);
            assert_int_equal(ix, 99);
            assert_same_footprint(m, before);
        }
        assert_in_range(n, 2, 100);
        assert_int_not_equal(ix, 99);
        mu_model_destroy(m);
    }
}

static void test_model_intern__more_than_an_object_may_have__limit(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct footprint before = footprint_of(m);
    static struct mu_label labels[MU_LABELS_PER_OBJECT + 1];
    static struct mu_taint taints[MU_TAINTS_PER_NODE + 1];
    static struct mu_toleration tolerations[MU_TOLERATIONS_PER_POD + 1];
    static struct mu_amount requests[MU_REQUESTS_PER_POD + 1];
    struct mu_label_set_ix label_ix = {99};
    struct mu_taint_set_ix taint_ix = {99};
    struct mu_class_ix ix = {99};
    struct mu_symbol hostname = {99};
    assert_int_equal(mu_model_label_set(m, labels, COUNT(labels), &label_ix, &hostname), MU_ELIMIT);
    assert_int_equal(mu_model_taint_set(m, taints, COUNT(taints), &taint_ix), MU_ELIMIT);
    struct mu_pod_object pod = {.selector = labels, .selector_count = COUNT(labels)};
    assert_int_equal(mu_model_class(m, &pod, &ix), MU_ELIMIT);
    pod =
        (struct mu_pod_object){.tolerations = tolerations, .toleration_count = COUNT(tolerations)};
    assert_int_equal(mu_model_class(m, &pod, &ix), MU_ELIMIT);
    pod = (struct mu_pod_object){.requests = requests, .request_count = COUNT(requests)};
    assert_int_equal(mu_model_class(m, &pod, &ix), MU_ELIMIT);
    static char huge[MU_STRING_BYTES_MAX + 1];
    labels[0] = (struct mu_label){MU_STR("k"), {huge, sizeof huge}};
    assert_int_equal(mu_model_label_set(m, labels, 1, &label_ix, &hostname), MU_ELIMIT);
    assert_true(label_ix.v == 99 && taint_ix.v == 99 && ix.v == 99 && hostname.v == 99);
    assert_same_footprint(m, before);
    mu_model_destroy(m);
}

static void test_model_class__bad_requests__refused(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct footprint before = footprint_of(m);
    char name[MU_RESOURCE_NAME_BYTES_MAX + 1];
    memset(name, 'x', sizeof name);
    struct mu_amount bad[] = {
        amount("cpu", -1), amount("", 1), {{name, sizeof name}, 1}, amount("new", INT64_MIN)};
    for (uint32_t i = 0; i < COUNT(bad); i++) {
        struct mu_amount requests[] = {amount("example.com/x", 1), bad[i]};
        struct mu_pod_object pod = {.requests = requests, .request_count = 2};
        struct mu_class_ix ix = {99};
        assert_int_equal(mu_model_class(m, &pod, &ix), MU_EINVAL);
        assert_int_equal(ix.v, 99);
    }
    assert_same_footprint(m, before);
    mu_model_destroy(m);
}

/* ---- sets ---- */

static void test_model_sets__empty__number_zero(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_label_set_ix labels = {9};
    struct mu_taint_set_ix taints = {9};
    struct mu_symbol hostname = {9};
    assert_int_equal(mu_model_label_set(m, NULL, 0, &labels, &hostname), 0);
    assert_int_equal(mu_model_taint_set(m, NULL, 0, &taints), 0);
    assert_true(labels.v == 0 && taints.v == 0 && hostname.v == 0);
    assert_int_equal(mu_model_get_label_set(m, labels)->count, 0);
    mu_model_label_set_unref(m, labels, hostname, 1);
    mu_model_taint_set_unref(m, taints, 1);
    mu_model_reclaim(m, UINT64_MAX, UINT32_MAX);
    assert_int_equal(mu_model_get_taint_set(m, taints)->count, 0); /* never goes away */
    mu_model_destroy(m);
}

static void test_model_label_set__duplicate_keys__the_later_wins(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_label twice[] = {label("k", "old"), label("j", "x"), label("k", "new")};
    struct mu_label once[] = {label("k", "new"), label("j", "x")};
    struct mu_label_set_ix a, b;
    struct mu_symbol none;
    assert_int_equal(mu_model_label_set(m, twice, 3, &a, &none), 0);
    assert_int_equal(mu_model_label_set(m, once, 2, &b, &none), 0);
    assert_int_equal(a.v, b.v);
    assert_int_equal(mu_model_get_label_set(m, a)->count, 2);
    struct mu_symbol old;
    mu_model_reclaim(m, 0, UINT32_MAX);
    assert_false(mu_symbol_find(mu_model_symbols(m), MU_STR("old"), &old)); /* nothing kept it */
    mu_model_destroy(m);
}

static void test_model_label_set__hostname__kept_apart(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_label one[] = {label("zone", "z"), label(MU_HOSTNAME_KEY, "n1")};
    struct mu_label two[] = {label(MU_HOSTNAME_KEY, "n2"), label("zone", "z")};
    struct mu_label empty[] = {label(MU_HOSTNAME_KEY, ""), label("zone", "z")};
    struct mu_label_set_ix a, b, c;
    struct mu_symbol host_a, host_b, host_c;
    assert_int_equal(mu_model_label_set(m, one, 2, &a, &host_a), 0);
    assert_int_equal(mu_model_label_set(m, two, 2, &b, &host_b), 0);
    assert_int_equal(mu_model_label_set(m, empty, 2, &c, &host_c), 0);
    assert_int_equal(a.v, b.v);
    assert_string_equal(text_of(m, host_a), "n1");
    assert_string_equal(text_of(m, host_b), "n2");
    assert_int_not_equal(a.v, c.v); /* the empty one is a label like any other */
    assert_int_equal(host_c.v, 0);
    mu_model_label_set_unref(m, a, host_a, 5);
    mu_model_reclaim(m, 5, UINT32_MAX);
    struct mu_symbol gone;
    assert_false(mu_symbol_find(mu_model_symbols(m), MU_STR("n1"), &gone));
    assert_true(mu_symbol_find(mu_model_symbols(m), MU_STR("n2"), &gone));
    mu_model_destroy(m);
}

static void test_model_label_set__many_unsorted__sorted_and_found_again(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    static char names[MU_LABELS_PER_OBJECT][8];
    static struct mu_label labels[MU_LABELS_PER_OBJECT], reversed[MU_LABELS_PER_OBJECT];
    for (uint32_t i = 0; i < MU_LABELS_PER_OBJECT; i++) {
        (void)snprintf(names[i], sizeof names[i], "k%u", i);
        labels[i] = label(names[i], "v");
        reversed[MU_LABELS_PER_OBJECT - 1 - i] = labels[i];
    }
    struct mu_label_set_ix a, b;
    struct mu_symbol none;
    assert_int_equal(mu_model_label_set(m, labels, MU_LABELS_PER_OBJECT, &a, &none), 0);
    assert_int_equal(mu_model_label_set(m, reversed, MU_LABELS_PER_OBJECT, &b, &none), 0);
    assert_int_equal(a.v, b.v);
    const struct mu_label_set *set = mu_model_get_label_set(m, a);
    assert_int_equal(set->count, MU_LABELS_PER_OBJECT);
    for (uint32_t i = 1; i < set->count; i++)
        assert_true(set->pairs[i - 1].key.v < set->pairs[i].key.v);
    mu_model_destroy(m);
}

static void test_model_capacity__equal_amounts__equal_number(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    int64_t a[MU_RESOURCES_MAX] = {4000, 1 << 30, 0, 110};
    int64_t b[MU_RESOURCES_MAX] = {4000, 1 << 30, 0, 111};
    struct mu_capacity_ix first, again, other;
    assert_int_equal(mu_model_capacity(m, a, &first), 0);
    assert_int_equal(mu_model_capacity(m, a, &again), 0);
    assert_int_equal(mu_model_capacity(m, b, &other), 0);
    assert_int_equal(first.v, again.v);
    assert_int_not_equal(first.v, other.v);
    assert_int_equal(mu_model_get_capacity(m, other)->count, 4);
    for (uint32_t r = 0; r < MU_RESOURCES_MAX; r++)
        assert_int_equal(mu_capacity_amount(mu_model_get_capacity(m, other), r), b[r]);
    mu_model_capacity_unref(m, other, 1);
    mu_model_reclaim(m, 1, 1);
    struct mu_capacity_ix reused;
    b[0] = 1;
    assert_int_equal(mu_model_capacity(m, b, &reused), 0);
    assert_int_equal(reused.v, other.v);
    mu_model_destroy(m);
}

/* ---- classes ---- */

static void test_model_class__order_and_duplicates__one_class(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_amount r1[] = {amount("cpu", 300), amount("example.com/gpu", 2), amount("pods", 5),
                             amount("memory", 0)};
    struct mu_amount r2[] = {amount("example.com/gpu", 2), amount("cpu", 100), amount("cpu", 200)};
    struct mu_label s1[] = {label("a", "1"), label(MU_HOSTNAME_KEY, "n1"), label("b", "2")};
    struct mu_label s2[] = {label("b", "2"), label("a", "1"), label("a", "1"),
                            label(MU_HOSTNAME_KEY, "n1")};
    struct mu_toleration t1[] = {
        {MU_STR("x"), MU_STR("ignored"), MU_TOLERATE_EXISTS, MU_EFFECT_NO_EXECUTE},
        {MU_STR("y"), MU_STR("v"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {MU_STR("z"), MU_STR("v"), MU_TOLERATE_NEVER, MU_EFFECT_ANY},
        {MU_STR("w"), MU_STR("v"), MU_TOLERATE_EQUAL, MU_EFFECT_OTHER}};
    struct mu_toleration t2[] = {
        {MU_STR("y"), MU_STR("v"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {MU_STR("y"), MU_STR("v"), MU_TOLERATE_EQUAL, MU_EFFECT_ANY},
        {MU_STR("x"), MU_STR(""), MU_TOLERATE_EXISTS, MU_EFFECT_NO_EXECUTE}};
    struct mu_pod_object p1 = {.requests = r1,
                               .request_count = 4,
                               .selector = s1,
                               .selector_count = 3,
                               .tolerations = t1,
                               .toleration_count = 4};
    struct mu_pod_object p2 = {.requests = r2,
                               .request_count = 3,
                               .selector = s2,
                               .selector_count = 4,
                               .tolerations = t2,
                               .toleration_count = 3};
    struct mu_class_ix a, b;
    const struct mu_class *c = class_new(m, &p1, &a);
    (void)class_new(m, &p2, &b);
    assert_int_equal(a.v, b.v);
    assert_int_equal(c->demand_count, 2);
    assert_true(c->demands[0].resource.v == MU_RES_CPU && c->demands[0].amount == 300);
    assert_true(c->demands[1].resource.v == MU_RES_EXTENDED && c->demands[1].amount == 2);
    assert_true(c->resource_mask == (1u << MU_RES_CPU | 1u << MU_RES_EXTENDED));
    assert_int_equal(c->selector_count, 2);
    assert_int_equal(c->toleration_count, 2);
    assert_string_equal(text_of(m, c->hostname), "n1");
    assert_false(c->impossible);
    struct mu_symbol ignored;
    assert_false(mu_symbol_find(mu_model_symbols(m), MU_STR("ignored"), &ignored));
    mu_model_destroy(m);
}

static void test_model_class__contradictory_selector__impossible(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_label both[] = {label("a", "1"), label("b", "x"), label("a", "2")};
    struct mu_label swapped[] = {label("a", "2"), label("b", "x"), label("a", "1")};
    struct mu_label hosts[] = {label(MU_HOSTNAME_KEY, "n1"), label(MU_HOSTNAME_KEY, "n2")};
    struct mu_label half[] = {label(MU_HOSTNAME_KEY, ""), label(MU_HOSTNAME_KEY, "n2")};
    struct mu_pod_object pod = {.selector = both, .selector_count = 3};
    struct mu_class_ix a, b, c, d;
    assert_true(class_new(m, &pod, &a)->impossible);
    pod.selector = swapped;
    (void)class_new(m, &pod, &b);
    assert_int_equal(a.v, b.v);
    assert_int_equal(mu_model_get_class(m, a)->selector_count, 1); /* b=x */
    pod = (struct mu_pod_object){.selector = hosts, .selector_count = 2};
    assert_true(class_new(m, &pod, &c)->impossible);
    pod.selector = half;
    assert_true(class_new(m, &pod, &d)->impossible);
    struct mu_label_set_ix set;
    struct mu_symbol host;
    assert_int_equal(mu_model_label_set(m, hosts + 1, 1, &set, &host), 0);
    assert_false(selects(m, mu_model_get_class(m, c), set, host));
    mu_model_destroy(m);
}

static void test_model_class__saturated_request__impossible(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_amount whole[] = {amount("memory", MU_AMOUNT_MAX)};
    struct mu_amount sum[] = {amount("memory", MU_AMOUNT_MAX - 1), amount("memory", 1)};
    struct mu_amount below[] = {amount("memory", MU_AMOUNT_MAX - 1)};
    struct mu_pod_object pod = {.requests = whole, .request_count = 1};
    struct mu_class_ix a, b, c;
    assert_true(class_new(m, &pod, &a)->impossible);
    pod = (struct mu_pod_object){.requests = sum, .request_count = 2};
    assert_true(class_new(m, &pod, &b)->impossible);
    assert_int_equal(a.v, b.v);
    pod = (struct mu_pod_object){.requests = below, .request_count = 1};
    assert_false(class_new(m, &pod, &c)->impossible);
    mu_model_destroy(m);
}

static void test_model_class__made_up_resources__numbers_kept_for_nodes(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    char name[32];
    uint32_t possible = 0;
    for (uint32_t i = 0; i < 2 * MU_RESOURCES_MAX; i++) {
        (void)snprintf(name, sizeof name, "tenant.example/r%u", i);
        struct mu_amount requests[] = {amount("cpu", 100), amount(name, 1)};
        struct mu_pod_object pod = {.requests = requests, .request_count = 2};
        struct mu_class_ix ix;
        const struct mu_class *c = class_new(m, &pod, &ix);
        assert_int_equal(c->demands[0].amount, 100); /* still charged */
        assert_int_equal(c->demand_count, c->impossible ? 1 : 2);
        possible += c->impossible ? 0 : 1;
    }
    assert_int_equal(possible, MU_RESOURCES_MAX - MU_RESOURCES_FOR_NODES - MU_RES_EXTENDED);
    for (uint32_t i = 0; i < MU_RESOURCES_FOR_NODES; i++) {
        struct mu_resource_ix ix;
        (void)snprintf(name, sizeof name, "vendor.example/d%u", i);
        assert_int_equal(mu_resource_intern(mu_model_resources(m), mu_str_of(name), &ix), 0);
    }
    struct mu_amount known[] = {amount(name, 1)}; /* a node brought it: pods may ask for it */
    struct mu_pod_object pod = {.requests = known, .request_count = 1};
    struct mu_class_ix ix;
    assert_false(class_new(m, &pod, &ix)->impossible);
    mu_model_destroy(m);
}

static void test_model_class__number_reused__id_not(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_amount requests[] = {amount("cpu", 1)};
    struct mu_pod_object pod = {.requests = requests, .request_count = 1};
    struct mu_class_ix first, second;
    uint64_t id = class_new(m, &pod, &first)->id;
    mu_model_class_unref(m, first, 7);
    mu_model_reclaim(m, 6, UINT32_MAX);
    assert_true(mu_model_get_class(m, first)->id == id); /* a reader at 6 may still look */
    (void)class_new(m, &pod, &second);                   /* revived */
    assert_true(second.v == first.v && mu_model_get_class(m, second)->id == id);
    mu_model_reclaim(m, UINT64_MAX, UINT32_MAX); /* in use: stays */
    assert_true(mu_model_get_class(m, second)->id == id);
    mu_model_class_ref(m, second);
    mu_model_class_unref(m, second, 8);
    mu_model_class_unref(m, second, 9);
    mu_model_reclaim(m, 9, UINT32_MAX);
    requests[0].value = 2;
    assert_true(class_new(m, &pod, &second)->id > id);
    assert_int_equal(second.v, first.v);
    mu_model_destroy(m);
}

/* ---- static rules ---- */

/* True for a number as printf writes it. */
static bool naive_number(struct mu_str text, long long *number)
{
    char digits[32] = "";
    if (text.len >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.len);
    *number = strtoll(digits, NULL, 10);
    (void)snprintf(digits, sizeof digits, "%lld", *number);
    return mu_str_equal(text, mu_str_of(digits));
}

static bool naive_tolerates(const struct mu_toleration *t, const struct mu_taint *taint)
{
    if (t->effect != MU_EFFECT_ANY && t->effect != taint->effect)
        return false;
    if (t->key.len != 0 && !mu_str_equal(t->key, taint->key))
        return false;
    if (t->op == MU_TOLERATE_EQUAL)
        return mu_str_equal(t->value, taint->value);
    if (t->op == MU_TOLERATE_EXISTS || t->op == MU_TOLERATE_NEVER)
        return t->op == MU_TOLERATE_EXISTS;
    long long have, bound;
    if (!naive_number(taint->value, &have) || !naive_number(t->value, &bound))
        return false;
    return t->op == MU_TOLERATE_LT ? have < bound : have > bound;
}

static bool naive_filters(const struct mu_taint *taint)
{
    return taint->effect == MU_EFFECT_NO_SCHEDULE || taint->effect == MU_EFFECT_NO_EXECUTE;
}

static void check_toleration(struct mu_model *m, struct mu_toleration t, struct mu_taint taint)
{
    struct mu_pod_object pod = {.tolerations = &t, .toleration_count = 1};
    struct mu_class_ix class_ix;
    struct mu_taint_set_ix taint_ix;
    const struct mu_class *c = class_new(m, &pod, &class_ix);
    assert_int_equal(mu_model_taint_set(m, &taint, 1, &taint_ix), 0);
    const struct mu_taint_set *set = mu_model_get_taint_set(m, taint_ix);
    bool expected = !naive_filters(&taint) || naive_tolerates(&t, &taint);
    if (mu_class_tolerates(m, c, set) != expected)
        fail_msg("toleration %.*s/%.*s op %d effect %d, taint %.*s/%.*s effect %d",
                 MU_STR_ARGS(t.key), MU_STR_ARGS(t.value), (int)t.op, (int)t.effect,
                 MU_STR_ARGS(taint.key), MU_STR_ARGS(taint.value), (int)taint.effect);
    mu_model_class_unref(m, class_ix, 0);
    mu_model_taint_set_unref(m, taint_ix, 0);
}

static void test_class_tolerates__whole_truth_table__as_stated(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    static const char *const keys[] = {"", "k", "other"};
    static const char *const values[] = {"", "v", "7", "-30"};
    for (uint32_t i = 0; i < 3 * 4 * 5 * 5; i++) {
        struct mu_toleration t = {mu_str_of(keys[i % 3]), mu_str_of(values[i / 3 % 4]),
                                  (enum mu_toleration_op)(i / 12 % 5),
                                  (enum mu_taint_effect)(i / 60)};
        for (uint32_t j = 0; j < 2 * 4 * 4; j++) {
            struct mu_taint taint = {mu_str_of(keys[1 + j % 2]), mu_str_of(values[j / 2 % 4]),
                                     (enum mu_taint_effect)(1 + j / 8)};
            check_toleration(m, t, taint);
        }
    }
    mu_model_destroy(m);
}

/* Lt and Gt compare canonical numbers; what is none is neither below nor above. */
static void test_class_tolerates__numbers__in_canonical_form_only(void **state)
{
    (void)state;
    static const struct {
        const char *taint, *toleration;
        bool below, above; /* whether Lt, whether Gt tolerates it */
    } cases[] = {
        {"1", "2", true, false},
        {"2", "1", false, true},
        {"2", "2", false, false},
        {"-5", "0", true, false},
        {"9", "10", true, false}, /* not as texts */
        {"0", "-1", false, true},
        {"-9223372036854775808", "9223372036854775807", true, false},
        {"9223372036854775807", "9223372036854775808", false, false}, /* beyond int64 */
        {"9223372036854775808", "1", false, false},
        {"01", "2", false, false},
        {"1", "02", false, false},
        {"+1", "2", false, false},
        {"1", "+2", false, false},
        {"-0", "2", false, false},
        {"1", "-0", false, false},
        {"", "2", false, false},
        {"1", "", false, false},
        {"1.0", "2", false, false},
        {"1", "2 ", false, false},
        {"-", "2", false, false},
    };
    struct mu_model *m = model_new();
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        bool gt = i % 2 != 0;
        struct mu_taint taint = {MU_STR("k"), mu_str_of(cases[i / 2].taint), MU_EFFECT_NO_SCHEDULE};
        struct mu_toleration t = {MU_STR("k"), mu_str_of(cases[i / 2].toleration),
                                  gt ? MU_TOLERATE_GT : MU_TOLERATE_LT, MU_EFFECT_ANY};
        struct mu_pod_object pod = {.tolerations = &t, .toleration_count = 1};
        struct mu_class_ix ix;
        struct mu_taint_set_ix set;
        const struct mu_class *c = class_new(m, &pod, &ix);
        assert_int_equal(mu_model_taint_set(m, &taint, 1, &set), 0);
        if (mu_class_tolerates(m, c, mu_model_get_taint_set(m, set)) !=
            (gt ? cases[i / 2].above : cases[i / 2].below))
            fail_msg("taint %s %s %s", cases[i / 2].taint, gt ? "Gt" : "Lt",
                     cases[i / 2].toleration);
    }
    mu_model_destroy(m);
}

static void test_class_tolerates__several_taints__each_needs_one(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_taint taints[] = {{MU_STR("a"), MU_STR(""), MU_EFFECT_NO_SCHEDULE},
                                {MU_STR("b"), MU_STR("x"), MU_EFFECT_NO_EXECUTE},
                                {MU_STR("c"), MU_STR("x"), MU_EFFECT_PREFER_NO_SCHEDULE},
                                {MU_STR("d"), MU_STR("x"), MU_EFFECT_OTHER}};
    struct mu_toleration tolerations[] = {
        {MU_STR("a"), MU_STR(""), MU_TOLERATE_EXISTS, MU_EFFECT_ANY},
        {MU_STR("b"), MU_STR("x"), MU_TOLERATE_EQUAL, MU_EFFECT_NO_EXECUTE}};
    struct mu_taint_set_ix set;
    assert_int_equal(mu_model_taint_set(m, taints, 4, &set), 0);
    for (uint32_t count = 0; count <= 2; count++) {
        struct mu_pod_object pod = {.tolerations = tolerations, .toleration_count = count};
        struct mu_class_ix ix;
        const struct mu_class *c = class_new(m, &pod, &ix);
        assert_int_equal(mu_class_tolerates(m, c, mu_model_get_taint_set(m, set)), count == 2);
    }
    mu_model_destroy(m);
}

static void test_class_tolerates_unschedulable__only_a_matching_toleration(void **state)
{
    (void)state;
    static const struct {
        struct mu_toleration t;
        bool tolerated;
    } rows[] = {
        {{{"node.kubernetes.io/unschedulable", 32}, {"", 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, 1},
        {{{"node.kubernetes.io/unschedulable", 32},
          {"", 0},
          MU_TOLERATE_EQUAL,
          MU_EFFECT_NO_SCHEDULE},
         1},
        {{{"", 0}, {"", 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, 1},
        {{{"node.kubernetes.io/unschedulable", 32}, {"x", 1}, MU_TOLERATE_EQUAL, MU_EFFECT_ANY}, 0},
        {{{"node.kubernetes.io/unschedulable", 32},
          {"", 0},
          MU_TOLERATE_EXISTS,
          MU_EFFECT_NO_EXECUTE},
         0},
        {{{"other", 5}, {"", 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY}, 0},
    };
    struct mu_model *m = model_new();
    struct mu_class_ix ix;
    struct mu_pod_object plain = {0};
    assert_false(mu_class_tolerates_unschedulable(m, class_new(m, &plain, &ix)));
    for (uint32_t i = 0; i < COUNT(rows); i++) {
        struct mu_pod_object pod = {.tolerations = &rows[i].t, .toleration_count = 1};
        assert_int_equal(mu_class_tolerates_unschedulable(m, class_new(m, &pod, &ix)),
                         rows[i].tolerated);
    }
    mu_model_destroy(m);
}

static void test_class_selects__labels_and_hostname__all_must_match(void **state)
{
    (void)state;
    struct mu_model *m = model_new();
    struct mu_label node[] = {label("a", "1"), label("b", "2"), label("c", ""),
                              label(MU_HOSTNAME_KEY, "n1")};
    struct mu_label_set_ix set;
    struct mu_symbol host;
    assert_int_equal(mu_model_label_set(m, node, 4, &set, &host), 0);
    static const struct {
        struct mu_label pairs[2];
        bool selected;
    } rows[] = {
        {{{{"a", 1}, {"1", 1}}, {{"b", 1}, {"2", 1}}}, true},
        {{{{"b", 1}, {"2", 1}}, {{"c", 1}, {"", 0}}}, true},
        {{{{"a", 1}, {"1", 1}}, {{"b", 1}, {"1", 1}}}, false},
        {{{{"a", 1}, {"1", 1}}, {{"z", 1}, {"1", 1}}}, false},
        {{{{"a", 1}, {"", 0}}, {{"a", 1}, {"", 0}}}, false},
        {{{{"a", 1}, {"1", 1}}, {{MU_HOSTNAME_KEY, 22}, {"n1", 2}}}, true},
        {{{{"a", 1}, {"1", 1}}, {{MU_HOSTNAME_KEY, 22}, {"n2", 2}}}, false},
        {{{{"a", 1}, {"1", 1}}, {{MU_HOSTNAME_KEY, 22}, {"", 0}}}, false},
    };
    for (uint32_t i = 0; i < COUNT(rows); i++) {
        struct mu_pod_object pod = {.selector = rows[i].pairs, .selector_count = 2};
        struct mu_class_ix ix;
        if (selects(m, class_new(m, &pod, &ix), set, host) != rows[i].selected)
            fail_msg("row %u", i);
    }
    struct mu_pod_object any = {0};
    struct mu_class_ix ix;
    assert_true(selects(m, class_new(m, &any, &ix), set, host));
    mu_model_destroy(m);
}

/* ---- readers ---- */

enum { HANDOVERS = 3000, UNSET = 0 };

struct handover {
    struct mu_model *model;
    _Atomic uint32_t class_plus_one[HANDOVERS]; /* release by the writer, acquire by the reader */
};

/* Read every class as soon as it is handed over, while the writer goes on. */
static void *reader(void *argument)
{
    struct handover *h = argument;
    uintptr_t wrong = 0;
    for (uint32_t i = 0; i < HANDOVERS; i++) {
        uint32_t got;
        do {
            got = atomic_load_explicit(&h->class_plus_one[i], memory_order_acquire);
        } while (got == UNSET);
        const struct mu_class *c = mu_model_get_class(h->model, (struct mu_class_ix){got - 1});
        char expected[16];
        (void)snprintf(expected, sizeof expected, "v%u", i);
        struct mu_str value = mu_symbol_str(mu_model_symbols(h->model), c->selector[0].value);
        wrong += !mu_str_equal(value, mu_str_of(expected));
        wrong += c->demands[0].amount != (int64_t)i + 1;
        wrong += mu_model_class_bound(h->model) < got;
    }
    return (void *)wrong;
}

static void test_model_get_class__read_while_writing__whole_content(void **state)
{
    (void)state;
    static struct handover h;
    h.model = model_new();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, reader, &h), 0);
    for (uint32_t i = 0; i < HANDOVERS; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "v%u", i);
        struct mu_label selector = label("key", value);
        struct mu_amount request = amount("cpu", (int64_t)i + 1);
        struct mu_pod_object pod = {
            .requests = &request, .request_count = 1, .selector = &selector, .selector_count = 1};
        struct mu_class_ix ix;
        assert_int_equal(mu_model_class(h.model, &pod, &ix), 0);
        atomic_store_explicit(&h.class_plus_one[i], ix.v + 1, memory_order_release);
    }
    void *wrong;
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    mu_model_destroy(h.model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_create__out_of_memory_anywhere__null_and_no_leak),
        cmocka_unit_test(test_model_intern__out_of_memory_anywhere__changes_nothing),
        cmocka_unit_test(test_model_intern__more_than_an_object_may_have__limit),
        cmocka_unit_test(test_model_class__bad_requests__refused),
        cmocka_unit_test(test_model_sets__empty__number_zero),
        cmocka_unit_test(test_model_label_set__duplicate_keys__the_later_wins),
        cmocka_unit_test(test_model_label_set__hostname__kept_apart),
        cmocka_unit_test(test_model_label_set__many_unsorted__sorted_and_found_again),
        cmocka_unit_test(test_model_capacity__equal_amounts__equal_number),
        cmocka_unit_test(test_model_class__order_and_duplicates__one_class),
        cmocka_unit_test(test_model_class__contradictory_selector__impossible),
        cmocka_unit_test(test_model_class__saturated_request__impossible),
        cmocka_unit_test(test_model_class__made_up_resources__numbers_kept_for_nodes),
        cmocka_unit_test(test_model_class__number_reused__id_not),
        cmocka_unit_test(test_class_tolerates__whole_truth_table__as_stated),
        cmocka_unit_test(test_class_tolerates__numbers__in_canonical_form_only),
        cmocka_unit_test(test_class_tolerates__several_taints__each_needs_one),
        cmocka_unit_test(test_class_tolerates_unschedulable__only_a_matching_toleration),
        cmocka_unit_test(test_class_selects__labels_and_hostname__all_must_match),
        cmocka_unit_test(test_model_get_class__read_while_writing__whole_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
