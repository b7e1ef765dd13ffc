#include "tools/kubesim/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "engine/base/mem.h"
#include "informer/proto/core.pb-c.h"
#include "tools/kubesim/limits.h"

/* A pod with labels app=web, tier="", size=7 and fields node n1, scheduler muster, phase
 * Running. */
static struct mu_kobject *make_pod(void)
{
    static Kube__StringEntry app = KUBE__STRING_ENTRY__INIT;
    static Kube__StringEntry tier = KUBE__STRING_ENTRY__INIT;
    static Kube__StringEntry size = KUBE__STRING_ENTRY__INIT;
    static Kube__StringEntry *labels[] = {&app, &tier, &size};
    static char texts[][12] = {"app", "web",    "tier", "",        "default", "p",
                               "1",   "muster", "n1",   "Running", "size",    "7"};
    app.key = texts[0];
    app.value = texts[1];
    tier.key = texts[2];
    tier.value = texts[3];
    size.key = texts[10];
    size.value = texts[11];
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__PodStatus status = KUBE__POD_STATUS__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    meta.namespace_ = texts[4];
    meta.name = texts[5];
    meta.resourceversion = texts[6];
    meta.n_labels = 3;
    meta.labels = labels;
    spec.schedulername = texts[7];
    spec.nodename = texts[8];
    status.phase = texts[9];
    pod.metadata = &meta;
    pod.spec = &spec;
    pod.status = &status;
    return mu_kobject_pack(&pod.base);
}

static void refuses(const char *labels, const char *fields)
{
    struct mu_selector *selector = NULL;
    struct mu_error error = {0, ""};
    int code = mu_selector_create(&mu_kinds[MU_KIND_PODS], mu_str_of(labels), mu_str_of(fields),
                                  &selector, &error);
    if (code != MU_EINVAL || selector != NULL || error.text[0] == '\0') {
        mu_selector_destroy(selector);
        fail_msg("'%s' '%s': code %d", labels, fields, code);
    }
}

static void test_selector_create__malformed__one_line(void **state)
{
    (void)state;
    static const char *const labels[] = {
        "=",    "a=b=c", "a in",    "a in b", "a in (b",   "a in (b c)", "a is b",    "!",
        "!a=b", "a,",    ",a",      "a b",    "-a=b",      "a=-b",       "a/b/c",     "a<b",
        "a>",   "a>1.5", "a in b)", "a!b",    "a in (b,,", "a = b c=d",  "a=\xc3\xa4"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        refuses(labels[i], "");
    }
    static const char *const fields[] = {"spec.nodeName",
                                         "spec.nodeName!n1",
                                         "spec.unknown=a",
                                         "=a",
                                         "metadata.name=a\\",
                                         "status.phase=a\\b",
                                         "a=b",
                                         "metadata.name>a"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        refuses("", fields[i]);
    }
}

static void test_selector_create__too_many_requirements__limit(void **state)
{
    (void)state;
    char text[4 * (MU_KUBESIM_REQUIREMENTS + 1)] = "a";
    for (uint32_t i = 0; i < MU_KUBESIM_REQUIREMENTS; i++) {
        text[2 * i + 1] = ',';
        text[2 * i + 2] = 'a';
    }
    struct mu_selector *selector = NULL;
    struct mu_error error = {0, ""};
    assert_int_equal(
        mu_selector_create(&mu_kinds[MU_KIND_PODS], mu_str_of(text), MU_STR(""), &selector, &error),
        MU_ELIMIT);
    assert_null(selector);
}

static void test_selector_create__out_of_memory__error(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        struct mu_selector *selector = NULL;
        struct mu_error error = {0, ""};
        mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
        int code =
            mu_selector_create(&mu_kinds[MU_KIND_PODS], MU_STR("a"), MU_STR(""), &selector, &error);
        mu_mem_debug_set((struct mu_mem_debug){0});
        assert_int_equal(code, MU_ENOMEM);
        assert_null(selector);
    }
}

static void test_selector_match__table__as_kubernetes(void **state)
{
    (void)state;
    static const struct {
        const char *labels, *fields;
        bool match;
    } cases[] = {
        {"", "", true},
        {"app=web", "", true},
        {"app==web", "", true},
        {"app=api", "", false},
        {"app!=api", "", true},
        {"app!=web", "", false},
        {"other!=x", "", true}, /* an absent key matches != and notin */
        {"app in (api, web)", "", true},
        {"app in (api)", "", false},
        {"app notin (api,web)", "", false},
        {"other notin (x)", "", true},
        {"app", "", true},
        {"other", "", false},
        {"!other", "", true},
        {"!app", "", false},
        {"size>6", "", true},
        {"size > 7", "", false},
        {"size<8,size>-9", "", true},
        {"size<7", "", false},
        {"other<9", "", false}, /* absent, or no number: neither */
        {"app<9", "", false},
        {"tier=", "", true}, /* present and empty */
        {"other=", "", false},
        {"tier in ()", "", true},
        {" app = web , !other ", "", true},
        {"app=web,other", "", false},
        {"x.io/app", "", false},
        {"", "spec.nodeName=n1", true},
        {"", "spec.nodeName=", false},
        {"", "spec.nodeName!=", true},
        {"", "spec.nodeName!=n1", false},
        {"", "status.phase!=Succeeded,status.phase!=Failed", true},
        {"", "status.phase!=Succeeded,status.phase!=Running", false},
        {"", "spec.schedulerName==muster", true},
        {"", "metadata.name=p,metadata.namespace=default", true},
        {"", "metadata.namespace=kube-system", false},
        {"", "spec.hostNetwork=false", true},
        {"", "status.nominatedNodeName=", true},
        {"", "metadata.name=p\\,", false},
        {"app=web", "spec.nodeName=n2", false},
    };
    struct mu_kobject *pod = make_pod();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_selector *selector = NULL;
        struct mu_error error = {0, ""};
        int code = mu_selector_create(&mu_kinds[MU_KIND_PODS], mu_str_of(cases[i].labels),
                                      mu_str_of(cases[i].fields), &selector, &error);
        if (code != 0 || mu_selector_match(selector, pod) != cases[i].match) {
            fail_msg("'%s' '%s': %s", cases[i].labels, cases[i].fields, error.text);
        }
        mu_selector_destroy(selector);
    }
    mu_kobject_unref(pod);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selector_create__malformed__one_line),
        cmocka_unit_test(test_selector_create__too_many_requirements__limit),
        cmocka_unit_test(test_selector_create__out_of_memory__error),
        cmocka_unit_test(test_selector_match__table__as_kubernetes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
