#include "tools/kubesim/negotiate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
    OBJECTS = MU_OFFER_PROTOBUF | MU_OFFER_OBJECTS,
    WATCHES = OBJECTS | MU_OFFER_STREAM,
    CUSTOM = MU_OFFER_OBJECTS,
    ROOT = MU_OFFER_DISCOVERY
};

#define PROTOBUF     "application/vnd.kubernetes.protobuf"
#define TABLE(v)     "application/json;as=Table;v=" v ";g=meta.k8s.io"
#define PARTIAL      ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define DISCOVERY(v) "application/json;g=apidiscovery.k8s.io;v=" v ";as=APIGroupDiscoveryList"

static void expect(const char *accept, unsigned offers, enum mu_media media, enum mu_api_as as,
                   bool beta)
{
    struct mu_api_form form;
    if (!mu_api_negotiate(mu_str_of(accept), offers, &form) || form.media != media ||
        form.as != as || form.beta != beta) {
        fail_msg("'%s': media %d, as %d, beta %d", accept, form.media, form.as, form.beta);
    }
}

static void expect_plain(const char *accept, unsigned offers, enum mu_media media)
{
    expect(accept, offers, media, MU_AS_ITSELF, false);
}

static void refuse(const char *accept, unsigned offers)
{
    struct mu_api_form form;
    if (mu_api_negotiate(mu_str_of(accept), offers, &form)) {
        fail_msg("'%s': accepted as %d", accept, form.media);
    }
    assert_int_equal(form.media, MU_MEDIA_JSON);
    assert_int_equal(form.as, MU_AS_ITSELF);
}

static void test_negotiate__media_types__first_that_can_be_served(void **state)
{
    (void)state;
    expect_plain("", OBJECTS, MU_MEDIA_JSON);
    expect_plain("  ", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/json", OBJECTS, MU_MEDIA_JSON);
    expect_plain("Application/JSON; charset=utf-8", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/yaml", OBJECTS, MU_MEDIA_YAML);
    expect_plain(PROTOBUF, OBJECTS, MU_MEDIA_PROTOBUF);
    expect_plain(PROTOBUF ",application/json", OBJECTS, MU_MEDIA_PROTOBUF);
    expect_plain(PROTOBUF ",application/json", CUSTOM, MU_MEDIA_JSON);
    expect_plain("*/*", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/*", OBJECTS, MU_MEDIA_JSON);
    expect_plain("text/html, */*", OBJECTS, MU_MEDIA_JSON);
    expect_plain(",, application/yaml ,", OBJECTS, MU_MEDIA_YAML);
}

static void test_negotiate__nothing_fits__refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"text/html",
                                        "application",
                                        "json",
                                        "/json",
                                        "application/",
                                        "*/json",
                                        ";q=1",
                                        ",",
                                        "application/json;q=0",
                                        "application/json;q=0.000",
                                        "application/json;q=x",
                                        "application/json;q=2",
                                        "application/json;q=1x",
                                        "application/json;q=.5",
                                        "application/json;q=0.5x",
                                        "application/json;q=",
                                        "application/json;stream=frames",
                                        "application/json;as=Chart;g=meta.k8s.io;v=v1",
                                        "application/json;g=meta.k8s.io;v=v1",
                                        "application/json;as=Table;g=other;v=v1",
                                        "application/json;as=Table;g=meta.k8s.io;v=v2",
                                        "application/json;as=Table",
                                        DISCOVERY("v2"),
                                        PROTOBUF ";as=Table;g=meta.k8s.io;v=v1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        refuse(texts[i], OBJECTS);
    }
    refuse(PROTOBUF, CUSTOM);
    refuse(PROTOBUF, ROOT);
    refuse(TABLE("v1"), ROOT);
}

static void test_negotiate__quality__highest_wins_then_order(void **state)
{
    (void)state;
    expect_plain("application/json;q=0.5,application/yaml;q=0.7", OBJECTS, MU_MEDIA_YAML);
    expect_plain("application/json;q=0.7,application/yaml;q=0.7", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/json;q=0.9," PROTOBUF, OBJECTS, MU_MEDIA_PROTOBUF);
    expect_plain("application/json;q=0.001,text/plain;q=1.0", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/json; q = 0.3 ,application/yaml;q=\"0.4\"", OBJECTS, MU_MEDIA_YAML);
    expect_plain("application/json;q=0.7999,application/yaml;q=0.799", OBJECTS, MU_MEDIA_JSON);
    expect_plain("application/yaml;q=1.9,application/json", OBJECTS, MU_MEDIA_YAML);
}

static void test_negotiate__conversions__by_kind_group_and_version(void **state)
{
    (void)state;
    expect(TABLE("v1") "," TABLE("v1beta1") ",application/json", OBJECTS, MU_MEDIA_JSON,
           MU_AS_TABLE, false);
    expect(TABLE("v1beta1"), OBJECTS, MU_MEDIA_JSON, MU_AS_TABLE, true);
    expect(TABLE("v1") ",application/json", 0, MU_MEDIA_JSON, MU_AS_ITSELF, false);
    expect("application/yaml;as=Table;v=v1;g=meta.k8s.io", OBJECTS, MU_MEDIA_YAML, MU_AS_TABLE,
           false);
    expect("*/*;as=Table;v=v1;g=meta.k8s.io", OBJECTS, MU_MEDIA_JSON, MU_AS_TABLE, false);
    expect(PROTOBUF PARTIAL, OBJECTS, MU_MEDIA_PROTOBUF, MU_AS_PARTIAL, false);
    expect("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1", OBJECTS,
           MU_MEDIA_JSON, MU_AS_PARTIAL_LIST, true);
    expect(PROTOBUF PARTIAL ",application/json" PARTIAL, CUSTOM, MU_MEDIA_JSON, MU_AS_PARTIAL,
           false);
    expect("application/json;as=\"Table\";v=\"v1\";g=\"meta.k8s.io\"", OBJECTS, MU_MEDIA_JSON,
           MU_AS_TABLE, false);
    expect(DISCOVERY("v2") "," DISCOVERY("v2beta1") ",application/json", ROOT, MU_MEDIA_JSON,
           MU_AS_DISCOVERY, false);
    expect(DISCOVERY("v2beta1") ",application/json", ROOT, MU_MEDIA_JSON, MU_AS_DISCOVERY, true);
    expect(DISCOVERY("v3") ",application/json", ROOT, MU_MEDIA_JSON, MU_AS_ITSELF, false);
}

static void test_negotiate__streams__watch_and_no_yaml(void **state)
{
    (void)state;
    expect_plain(PROTOBUF ";stream=watch", WATCHES, MU_MEDIA_PROTOBUF);
    expect_plain("application/json;stream=watch", WATCHES, MU_MEDIA_JSON);
    expect_plain("application/json;stream=", WATCHES, MU_MEDIA_JSON);
    expect_plain("application/yaml,application/json;q=0.1", WATCHES, MU_MEDIA_JSON);
    refuse("application/yaml", WATCHES);
}

static void test_negotiate__quotes__hide_separators(void **state)
{
    (void)state;
    expect_plain("application/json;x=\"a,b;c\",application/yaml", OBJECTS, MU_MEDIA_JSON);
    expect_plain("text/plain;x=\",application/yaml\",application/json", OBJECTS, MU_MEDIA_JSON);
    refuse("text/plain;x=\"unclosed,application/json", OBJECTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_negotiate__media_types__first_that_can_be_served),
        cmocka_unit_test(test_negotiate__nothing_fits__refused),
        cmocka_unit_test(test_negotiate__quality__highest_wins_then_order),
        cmocka_unit_test(test_negotiate__conversions__by_kind_group_and_version),
        cmocka_unit_test(test_negotiate__streams__watch_and_no_yaml),
        cmocka_unit_test(test_negotiate__quotes__hide_separators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
