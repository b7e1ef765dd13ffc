/* Namespaces, translated. */
#include "tests/kube_fixture.h"

struct space {
    Kube__ObjectMeta meta;
    Kube__Namespace message;
    struct mu_arena *arena;
    struct mu_buf raw;
    struct mu_error warn, error;
    struct mu_namespace_object out;
};

static void space_init(struct space *s)
{
    *s = (struct space){.arena = mu_arena_create(8 << 20)};
    assert_non_null(s->arena);
    kube__object_meta__init(&s->meta);
    kube__namespace__init(&s->message);
    s->message.metadata = &s->meta;
    s->meta.name = FIXTURE_TEXT("team-a");
    s->meta.uid = FIXTURE_TEXT("u");
    s->meta.resourceversion = FIXTURE_TEXT("7");
}

static void space_fini(struct space *s)
{
    mu_buf_fini(&s->raw);
    mu_arena_destroy(s->arena);
}

static int space_try(struct space *s)
{
    mu_buf_clear(&s->raw);
    fixture_pack(&s->raw, &s->message);
    mu_arena_reset(s->arena);
    s->warn.code = 1;
    return mu_namespace_decode(fixture_str(&s->raw), s->arena, &s->out, &s->warn, &s->error);
}

static void test_namespace_decode__labels__translated(void **state)
{
    (void)state;
    struct space s;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[1] = {&label};
    space_init(&s);
    assert_int_equal(space_try(&s), 0);
    assert_int_equal(s.warn.code, 0);
    assert_int_equal(s.out.label_count, 0);
    label.key = FIXTURE_TEXT("team");
    label.value = FIXTURE_TEXT("a");
    s.meta.labels = labels;
    s.meta.n_labels = 1;
    assert_int_equal(space_try(&s), 0);
    assert_true(mu_str_equal(s.out.name, MU_STR("team-a")));
    assert_true(mu_str_equal(s.out.uid, MU_STR("u")));
    assert_int_equal(s.out.version, 7);
    assert_int_equal(s.out.label_count, 1);
    assert_true(mu_str_equal(s.out.labels[0].key, MU_STR("team")));
    assert_true(mu_str_equal(s.out.labels[0].value, MU_STR("a")));
    space_fini(&s);
}

static void test_namespace_decode__too_many_labels__unknown_and_named(void **state)
{
    (void)state;
    struct space s;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[MU_LABELS_PER_OBJECT + 1];
    space_init(&s);
    for (uint32_t i = 0; i <= MU_LABELS_PER_OBJECT; i++)
        labels[i] = &label;
    s.meta.labels = labels;
    s.meta.n_labels = MU_LABELS_PER_OBJECT;
    assert_int_equal(space_try(&s), 0);
    assert_int_equal(s.out.label_count, MU_LABELS_PER_OBJECT);
    assert_false(s.out.labels_unknown);
    s.meta.n_labels++;
    assert_int_equal(space_try(&s), 0);
    assert_true(s.out.labels_unknown && s.out.label_count == 0);
    assert_non_null(strstr(s.warn.text, "namespace team-a: metadata.labels: 1025 entries"));
    space_fini(&s);
}

static void test_namespace_decode__bad_identity__refused(void **state)
{
    (void)state;
    struct space s;
    space_init(&s);
    s.message.metadata = NULL;
    assert_int_equal(space_try(&s), MU_EPROTO);
    s.message.metadata = &s.meta;
    s.meta.name = NULL;
    assert_int_equal(space_try(&s), MU_EPROTO);
    s.meta.name = FIXTURE_TEXT("n");
    s.meta.resourceversion = FIXTURE_TEXT("x");
    assert_int_equal(space_try(&s), MU_EPROTO);
    assert_non_null(strstr(s.error.text, "namespace \"n\""));
    assert_int_equal(mu_namespace_decode(MU_STR("\xff"), s.arena, &s.out, NULL, &s.error),
                     MU_EPROTO);
    assert_int_equal(s.out.name.len, 0);
    space_fini(&s);
}

static void test_namespace_decode__memory_out_anywhere__nothing_touched(void **state)
{
    (void)state;
    struct space s;
    Kube__StringEntry label = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *labels[1] = {&label};
    space_init(&s);
    s.meta.labels = labels;
    s.meta.n_labels = 1;
    assert_int_equal(space_try(&s), 0);
    size_t whole = mu_arena_used_bytes(s.arena);
    memset(&s.out, 0, sizeof s.out);
    for (size_t bytes = 0; bytes < whole; bytes += 16) {
        mu_arena_destroy(s.arena);
        s.arena = mu_arena_create(bytes);
        assert_non_null(s.arena);
        assert_int_equal(space_try(&s), MU_ENOMEM);
        assert_int_equal(s.out.name.len, 0);
    }
    space_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_namespace_decode__labels__translated),
        cmocka_unit_test(test_namespace_decode__too_many_labels__unknown_and_named),
        cmocka_unit_test(test_namespace_decode__bad_identity__refused),
        cmocka_unit_test(test_namespace_decode__memory_out_anywhere__nothing_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
