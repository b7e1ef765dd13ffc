#include "tools/kubesim/store.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/base/random.h"
#include "informer/proto/core.pb-c.h"
#include "tools/kubesim/wire.h"

static struct mu_kobject *make(const char *ns, const char *name, uint64_t version, int content)
{
    char version_text[24];
    char content_text[16];
    (void)snprintf(version_text, sizeof version_text, "%" PRIu64, version);
    (void)snprintf(content_text, sizeof content_text, "%d", content);
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    char uid[] = "u-1";
    char node[16];
    (void)snprintf(node, sizeof node, "%s", content_text);
    meta.namespace_ = (char *)(uintptr_t)ns;
    meta.name = (char *)(uintptr_t)name;
    meta.uid = uid;
    meta.resourceversion = version_text;
    spec.nodename = node;
    pod.metadata = &meta;
    pod.spec = &spec;
    return mu_kobject_pack(&pod.base);
}

static int content_of(const struct mu_kobject *object)
{
    struct mu_str text = mu_pb_bytes(mu_kobject_raw(object), 2, 10);
    uint64_t value = 0;
    assert_true(mu_str_to_u64(text, &value));
    return (int)value;
}

static void put(struct mu_store *store, uint32_t kind, const char *ns, const char *name,
                int content)
{
    struct mu_kobject *object = make(ns, name, mu_store_version(store) + 1, content);
    assert_non_null(object);
    assert_int_equal(mu_store_put(store, kind, object), 0);
}

static void take(struct mu_store *store, uint32_t kind, const char *ns, const char *name)
{
    const struct mu_kobject *object = mu_store_get(store, kind, mu_str_of(ns), mu_str_of(name));
    assert_non_null(object);
    struct mu_kobject *last = mu_kobject_stamp(object, mu_store_version(store) + 1);
    assert_non_null(last);
    assert_int_equal(mu_store_remove(store, kind, last), 0);
}

static int count_one(void *context, struct mu_kobject *object)
{
    (void)object;
    (*(uint32_t *)context)++;
    return 0;
}

/* ---- kobject ------------------------------------------------------------------------------ */

static void test_kobject_stamp__new_version__rest_unchanged(void **state)
{
    (void)state;
    struct mu_kobject *object = make("ns", "name", 7, 42);
    struct mu_kobject *copy = mu_kobject_stamp(object, 123456);
    assert_int_equal(copy->version, 123456);
    assert_true(mu_str_equal(mu_kobject_ns(copy), MU_STR("ns")));
    assert_true(mu_str_equal(mu_kobject_name(copy), MU_STR("name")));
    assert_true(mu_str_equal(mu_kobject_uid(copy), MU_STR("u-1")));
    assert_int_equal(content_of(copy), 42);
    assert_int_equal(object->version, 7);
    mu_kobject_unref(object);
    mu_kobject_unref(copy);
}

/* ---- errors first ------------------------------------------------------------------------- */

static void test_store_put__out_of_memory__changes_nothing(void **state)
{
    (void)state;
    /* Every allocation of a put that must add a chunk and grow the ring fails in turn. */
    for (uint64_t nth = 1; nth <= 3; nth++) {
        struct mu_store *store = mu_store_create(1, 64);
        struct mu_kobject *object = make("a", "b", mu_store_version(store) + 1, 1);
        uint64_t version = mu_store_version(store);
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int code = mu_store_put(store, 0, object);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(code, MU_ENOMEM);
        assert_int_equal(mu_store_version(store), version);
        assert_null(mu_store_get(store, 0, MU_STR("a"), MU_STR("b")));
        assert_int_equal(mu_store_count(store, 0), 0);
        assert_int_equal(mu_store_head(store, 0), 0);
        assert_int_equal(mu_store_put(store, 0, object), 0);
        mu_store_destroy(store);
    }
}

static void test_store_walk__out_of_memory_for_undo__error(void **state)
{
    (void)state;
    struct mu_store *store = mu_store_create(1, 64);
    put(store, 0, "a", "b", 1);
    uint64_t version = mu_store_version(store);
    put(store, 0, "a", "b", 2);
    uint32_t count = 0;
    struct mu_store_range range = {.version = version};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    int code = mu_store_walk(store, 0, &range, count_one, &count);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(code, MU_ENOMEM);
    assert_int_equal(count, 0);
    mu_store_destroy(store);
}

static void test_store_seek__older_than_history__expired(void **state)
{
    (void)state;
    struct mu_store *store = mu_store_create(2, 4);
    uint64_t at = 0;
    for (int i = 0; i < 5; i++) {
        put(store, 0, "a", "b", i);
    }
    /* Versions 2..6 were given; the ring of 4 forgot version 2. */
    assert_int_equal(mu_store_floor(store, 0), 2);
    assert_int_equal(mu_store_seek(store, 0, 1, &at), MU_EEXPIRED);
    assert_int_equal(mu_store_seek(store, 0, 2, &at), 0);
    struct mu_store_event event;
    assert_int_equal(mu_store_read(store, 0, at, &event), 1);
    assert_int_equal(event.object->version, 3);
    assert_int_equal(mu_store_read(store, 0, at - 1, &event), MU_EEXPIRED);
    /* Another kind's history is its own. */
    assert_int_equal(mu_store_seek(store, 1, 1, &at), 0);
    uint32_t count = 0;
    struct mu_store_range range = {.version = 1};
    assert_int_equal(mu_store_walk(store, 0, &range, count_one, &count), MU_EEXPIRED);
    mu_store_compact(store);
    assert_int_equal(mu_store_seek(store, 0, mu_store_version(store), &at), 0);
    assert_int_equal(mu_store_seek(store, 1, mu_store_version(store) - 1, &at), MU_EEXPIRED);
    mu_store_destroy(store);
}

/* ---- the model ---------------------------------------------------------------------------- */

/* The naive twin: every change ever made, in order; a state is found by replaying them. */
#define TWIN_KEYS 700
#define TWIN_OPS  6000

struct change {
    uint64_t version;
    int key;
    int content; /* -1: removed */
};
struct twin {
    struct change changes[TWIN_OPS];
    size_t count;
    uint64_t floor;
};

static void key_text(int key, char *ns, char *name)
{
    (void)snprintf(ns, 8, "n%d", key % 7);
    (void)snprintf(name, 16, "p%d", key / 7); /* p10 sorts before p9: byte order */
}

static void twin_state(const struct twin *twin, uint64_t version, int *contents)
{
    for (int i = 0; i < TWIN_KEYS; i++) {
        contents[i] = -1;
    }
    for (size_t i = 0; i < twin->count && twin->changes[i].version <= version; i++) {
        contents[twin->changes[i].key] = twin->changes[i].content;
    }
}

struct check {
    const int *contents;
    const char *ns; /* NULL: all */
    int seen;
    int last; /* key visited before, -1: none */
    int stop_after;
    uint64_t seed;
};

static int compare_keys(int a, int b)
{
    char ns_a[8], ns_b[8], name_a[16], name_b[16];
    key_text(a, ns_a, name_a);
    key_text(b, ns_b, name_b);
    int order = strcmp(ns_a, ns_b);
    return order != 0 ? order : strcmp(name_a, name_b);
}

static int key_of(const struct mu_kobject *object)
{
    uint64_t ns = 0, name = 0;
    struct mu_str a = mu_kobject_ns(object);
    struct mu_str b = mu_kobject_name(object);
    assert_true(mu_str_to_u64((struct mu_str){a.data + 1, a.len - 1}, &ns));
    assert_true(mu_str_to_u64((struct mu_str){b.data + 1, b.len - 1}, &name));
    return (int)(name * 7 + ns);
}

static int check_visit(void *context, struct mu_kobject *object)
{
    struct check *check = context;
    int key = key_of(object);
    if (check->contents[key] != content_of(object) ||
        (check->last >= 0 && compare_keys(check->last, key) >= 0)) {
        fail_msg("seed %" PRIu64 ": key %d shows %d, twin %d", check->seed, key, content_of(object),
                 check->contents[key]);
    }
    check->seen++;
    check->last = key;
    return check->stop_after > 0 && check->seen >= check->stop_after ? 1 : 0;
}

static int expected_count(const int *contents, const char *ns, int after)
{
    int count = 0;
    for (int key = 0; key < TWIN_KEYS; key++) {
        char ns_text[8], name[16];
        key_text(key, ns_text, name);
        count += contents[key] >= 0 && (ns == NULL || strcmp(ns, ns_text) == 0) &&
                 (after < 0 || compare_keys(after, key) < 0);
    }
    return count;
}

/* Walk a state in pages and compare each object and the number of them. */
static void check_walk(const struct mu_store *store, const struct twin *twin, uint64_t version,
                       const char *ns, int page, uint64_t seed)
{
    int contents[TWIN_KEYS];
    twin_state(twin, version, contents);
    struct check check = {contents, ns, 0, -1, page, seed};
    struct mu_store_range range = {.version = version};
    if (ns != NULL) {
        range.ns = mu_str_of(ns);
    }
    char after_ns[8], after_name[16];
    int total = 0;
    int code = 1;
    while (code == 1) {
        check.seen = 0;
        code = mu_store_walk(store, 0, &range, check_visit, &check);
        if (version < twin->floor) {
            assert_int_equal(code, MU_EEXPIRED);
            return;
        }
        assert_true(code >= 0);
        total += check.seen;
        if (code == 1) {
            key_text(check.last, after_ns, after_name);
            range.resume = true;
            range.after_ns = mu_str_of(after_ns);
            range.after_name = mu_str_of(after_name);
        }
    }
    if (total != expected_count(contents, ns, -1)) {
        fail_msg("seed %" PRIu64 ": walk at %" PRIu64 " saw %d objects, twin has %d", seed, version,
                 total, expected_count(contents, ns, -1));
    }
}

static void check_history(const struct mu_store *store, const struct twin *twin, uint64_t version,
                          uint64_t seed)
{
    uint64_t at = 0;
    int code = mu_store_seek(store, 0, version, &at);
    if (version < twin->floor) {
        assert_int_equal(code, MU_EEXPIRED);
        return;
    }
    assert_int_equal(code, 0);
    struct mu_store_event event;
    int contents[TWIN_KEYS];
    twin_state(twin, version, contents);
    size_t i = 0;
    while (i < twin->count && twin->changes[i].version <= version) {
        i++;
    }
    for (; mu_store_read(store, 0, at, &event) == 1; at++, i++) {
        const struct change *change = &twin->changes[i];
        if (i >= twin->count || event.object->version != change->version ||
            key_of(event.object) != change->key || event.removed != (change->content < 0) ||
            (event.before == NULL) != (contents[change->key] < 0) ||
            content_of(event.object) != (event.removed ? contents[change->key] : change->content)) {
            fail_msg("seed %" PRIu64 ": event %zu differs from the twin's", seed, i);
        }
        contents[change->key] = change->content;
    }
    assert_int_equal(i, twin->count);
}

static void run_model(uint64_t seed, uint32_t history)
{
    struct twin *twin = mu_mem_zalloc(sizeof *twin);
    struct mu_store *store = mu_store_create(1, history);
    struct mu_random random;
    mu_random_init_seed(&random, seed);
    int contents[TWIN_KEYS];
    twin_state(twin, 0, contents);
    for (int op = 0; op < TWIN_OPS; op++) {
        int key = (int)mu_random_below(&random, TWIN_KEYS);
        char ns[8], name[16];
        key_text(key, ns, name);
        /* Grow for the first half, shrink in the second, so that chunks split and join. */
        bool remove = mu_random_chance(&random, op < TWIN_OPS / 2 ? 200 : 700);
        if (remove && contents[key] < 0) {
            assert_null(mu_store_get(store, 0, mu_str_of(ns), mu_str_of(name)));
            continue;
        }
        if (remove) {
            take(store, 0, ns, name);
            contents[key] = -1;
        } else {
            contents[key] = op;
            put(store, 0, ns, name, op);
        }
        twin->changes[twin->count++] = (struct change){mu_store_version(store), key, contents[key]};
        if (mu_random_chance(&random, 2)) {
            mu_store_compact(store);
            twin->floor = mu_store_version(store);
        }
        if (mu_store_floor(store, 0) > twin->floor) {
            twin->floor = mu_store_floor(store, 0);
            assert_true(mu_store_version(store) - twin->floor == history);
        }
        if (op % 50 == 0) {
            uint64_t now = mu_store_version(store);
            uint64_t then = 1 + mu_random_below(&random, now);
            check_walk(store, twin, now, NULL, 0, seed);
            check_walk(store, twin, then, NULL, (int)mu_random_below(&random, 90), seed);
            check_walk(store, twin, now, "n3", 17, seed);
            check_walk(store, twin, then, "n5", 0, seed);
            check_history(store, twin, then, seed);
        }
    }
    mu_store_destroy(store);
    mu_mem_free(twin);
}

static void test_store__random_operations__equal_naive_twin(void **state)
{
    (void)state;
    run_model(1, 64);
    run_model(2, 1024);
    run_model(3, 8192);
}

static void test_store__many_in_order_then_all_removed__nothing_left(void **state)
{
    (void)state;
    size_t before = mu_mem_live_bytes();
    struct mu_store *store = mu_store_create(1, 16);
    char name[16];
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "p%08d", i);
        put(store, 0, "a", name, i);
    }
    assert_int_equal(mu_store_count(store, 0), 20000);
    uint32_t count = 0;
    struct mu_store_range all = {.version = 0};
    assert_int_equal(mu_store_walk(store, 0, &all, count_one, &count), 0);
    assert_int_equal(count, 20000);
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(name, sizeof name, "p%08d", (i * 7919) % 20000);
        take(store, 0, "a", name);
    }
    assert_int_equal(mu_store_count(store, 0), 0);
    mu_store_destroy(store);
    assert_int_equal(mu_mem_live_bytes(), before);
}

/* The README's figure: 41 bytes beside the encoded object, allocator rounding apart. */
static void test_store__memory__as_stated(void **state)
{
    (void)state;
    size_t before = mu_mem_live_bytes();
    struct mu_store *store = mu_store_create(1, 1);
    size_t encoded = 0;
    char name[16];
    for (int i = 0; i < 50000; i++) {
        (void)snprintf(name, sizeof name, "p%08d", i);
        put(store, 0, "a", name, i);
        encoded += mu_store_get(store, 0, MU_STR("a"), mu_str_of(name))->size;
    }
    size_t each = (mu_mem_live_bytes() - before - encoded) / 50000;
    if (each > 41 + 32) { /* blocks are rounded up by at most a quarter */
        fail_msg("%zu bytes per object beside its encoding", each);
    }
    mu_store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kobject_stamp__new_version__rest_unchanged),
        cmocka_unit_test(test_store_put__out_of_memory__changes_nothing),
        cmocka_unit_test(test_store_walk__out_of_memory_for_undo__error),
        cmocka_unit_test(test_store_seek__older_than_history__expired),
        cmocka_unit_test(test_store__random_operations__equal_naive_twin),
        cmocka_unit_test(test_store__many_in_order_then_all_removed__nothing_left),
        cmocka_unit_test(test_store__memory__as_stated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
