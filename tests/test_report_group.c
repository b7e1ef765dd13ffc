/* What the status of a group says, dialect by dialect: the very bytes, and that they are read back
 * as what was said. */
#include "tests/mu_test.h"

#include "informer/report_group.h"

#include "informer/json_read.h"

#define RACK "12 of 16 placed"

struct row {
    struct mu_report_group group;
    const char *message;
    const char *status; /* of the patch; NULL: nothing is to be said */
};

static json_t *parse(struct mu_str text)
{
    json_t *tree = NULL;
    struct mu_error error = {0};
    assert_int_equal(mu_json_text_read(text, &tree, NULL, &error), 0);
    return tree;
}

/* What an object shows whose status is that of the patch. */
static void assert_read_back(const struct mu_buf *body, const struct mu_group_said *said)
{
    struct mu_group_object object = {.source = said->source};
    json_t *tree = parse((struct mu_str){(const char *)body->data, (uint32_t)body->len});
    mu_group_status_read(tree, &object);
    assert_true(object.report == mu_group_said_digest(said));
    assert_int_equal(object.shown, said->shown);
    json_decref(tree);
}

static void assert_says(struct row row)
{
    struct mu_group_said said;
    struct mu_buf body = {.max = 0};
    char expected[1024];
    row.group.version = 7;
    row.group.api = row.group.api.len > 0 ? row.group.api : MU_STR("/apis/g/v1");
    bool says = mu_group_say(&row.group, MU_STR("Unschedulable"), mu_str_of(row.message), &said);
    assert_int_equal(says, row.status != NULL);
    if (!says)
        return;
    mu_group_status_body(&body, &row.group, &said, 1767225600);
    assert_int_equal(mu_buf_append(&body, "", 1), 0);
    body.len--;
    (void)snprintf(expected, sizeof expected,
                   "{\"metadata\":{\"resourceVersion\":\"7\"},\"status\":{%s}}", row.status);
    assert_string_equal((const char *)body.data, expected);
    /* A patch that leaves a time as it is does not repeat it. */
    if ((row.group.shown & MU_GROUP_SHOWS_START) == 0)
        assert_read_back(&body, &said);
    mu_buf_fini(&body);
}

#define STAMP "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\""

static void test_report_group_say__native(void **state)
{
    const struct mu_report_group waits = {.source = MU_GANG_NATIVE, .min = 4, .members = 4};
    struct mu_report_group told = waits, stands = waits, placed = waits, old = waits, lone = waits;
    (void)state;
    told.shown = MU_GROUP_SHOWS_WAITING;
    stands.stands = true;
    placed.shown = MU_GROUP_SHOWS_PLACED;
    old.api = MU_STR("/apis/scheduling.k8s.io/v1alpha2");
    lone.single = true;
    assert_says((struct row){
        waits, RACK,
        "\"conditions\":[{\"type\":\"PodGroupInitiallyScheduled\",\"status\":\"False\","
        "\"reason\":\"Unschedulable\",\"message\":\"" RACK "\"," STAMP "}]"});
    assert_says((struct row){
        told, RACK,
        "\"conditions\":[{\"type\":\"PodGroupInitiallyScheduled\",\"status\":\"False\","
        "\"reason\":\"Unschedulable\",\"message\":\"" RACK "\"}]"});
    assert_says(
        (struct row){stands, RACK,
                     "\"conditions\":[{\"type\":\"PodGroupInitiallyScheduled\",\"status\":\"True\","
                     "\"reason\":\"Scheduled\",\"message\":\"\"," STAMP "}]"});
    assert_says((struct row){old, RACK,
                             "\"conditions\":[{\"type\":\"PodGroupScheduled\",\"status\":\"False\","
                             "\"reason\":\"Unschedulable\",\"message\":\"" RACK "\"," STAMP "}]"});
    assert_says((struct row){placed, RACK, NULL}); /* True stays, whatever comes */
    assert_says((struct row){waits, "", NULL});
    assert_says((struct row){lone, RACK, NULL}); /* basic: one of its pods waits, not the group */
}

static void test_report_group_say__scheduler_plugins(void **state)
{
    const struct mu_report_group waits = {.source = MU_GANG_COSCHEDULING, .min = 4, .members = 4};
    struct mu_report_group few = waits, begun = waits, bound = waits, runs = waits, ended = waits;
    struct mu_report_group ran;
    (void)state;
    few.members = 3;
    begun.shown = MU_GROUP_SHOWS_START;
    bound.stands = true;
    bound.bound = 4;
    bound.running = 1;
    runs.stands = true;
    runs.bound = runs.running = 4;
    ended.shown = MU_GROUP_SHOWS_ENDED;
    ran = bound;
    ran.shown = MU_GROUP_SHOWS_PLACED | MU_GROUP_SHOWS_START;
    assert_says((struct row){few, "waits for 1 more", "\"phase\":\"Pending\",\"running\":0"});
    assert_says((struct row){waits, RACK,
                             "\"phase\":\"Scheduling\",\"running\":0,"
                             "\"scheduleStartTime\":\"2026-01-01T00:00:00Z\""});
    assert_says((struct row){begun, RACK, "\"phase\":\"Scheduling\",\"running\":0"});
    assert_says((struct row){bound, "",
                             "\"phase\":\"Scheduling\",\"running\":1,"
                             "\"scheduleStartTime\":\"2026-01-01T00:00:00Z\""});
    assert_says((struct row){runs, "",
                             "\"phase\":\"Running\",\"running\":4,"
                             "\"scheduleStartTime\":\"2026-01-01T00:00:00Z\""});
    assert_says((struct row){ended, RACK, NULL}); /* Finished, Failed: its controller's */
    assert_says((struct row){ran, "", NULL});     /* some have succeeded, for all that we know */
    assert_says((struct row){waits, "", NULL});
}

static void test_report_group_say__volcano(void **state)
{
    const struct mu_report_group waits = {.source = MU_GANG_VOLCANO, .min = 4, .members = 4};
    struct mu_report_group part = waits, runs = waits, less = waits, ended = waits;
    (void)state;
    part.bound = part.running = 2;
    runs.bound = 4;
    runs.running = 3;
    runs.stands = true;
    less.shown = MU_GROUP_SHOWS_PLACED;
    less.bound = less.running = 1;
    ended.shown = MU_GROUP_SHOWS_ENDED;
    assert_says(
        (struct row){waits, RACK,
                     "\"phase\":\"Inqueue\",\"running\":0,\"conditions\":[{\"type\":"
                     "\"Unschedulable\",\"status\":\"True\",\"transitionID\":\"6955b900\"," STAMP
                     ",\"reason\":\"NotEnoughResources\",\"message\":\"" RACK "\"}]"});
    assert_says(
        (struct row){part, RACK,
                     "\"phase\":\"Unknown\",\"running\":2,\"conditions\":[{\"type\":"
                     "\"Unschedulable\",\"status\":\"True\",\"transitionID\":\"6955b900\"," STAMP
                     ",\"reason\":\"NotEnoughResources\",\"message\":\"" RACK "\"}]"});
#define READY                                                                                      \
    "\"conditions\":[{\"type\":\"Scheduled\",\"status\":\"True\",\"transitionID\":"                \
    "\"6955b900\"," STAMP ",\"reason\":\"tasks in gang are ready to be scheduled\","               \
    "\"message\":\"\"}]"
    assert_says((struct row){runs, "", "\"phase\":\"Running\",\"running\":3," READY});
    assert_says((struct row){less, "", "\"phase\":\"Running\",\"running\":1," READY});
    assert_says((struct row){ended, RACK, NULL});
    assert_says((struct row){waits, "", NULL});
}

static void test_report_group_say__other_dialects__have_no_status(void **state)
{
    (void)state;
    for (int source = 0; source < MU_GANG_SOURCES; source++) {
        const struct mu_report_group group = {.source = (enum mu_gang_source)source,
                                              .api = MU_STR("/apis/g/v1"),
                                              .min = 1,
                                              .members = 1};
        struct mu_group_said said;
        bool own =
            source == MU_GANG_NATIVE || source == MU_GANG_COSCHEDULING || source == MU_GANG_VOLCANO;
        assert_int_equal(mu_group_has_status(group.source), own);
        assert_int_equal(mu_group_say(&group, MU_STR("Unschedulable"), MU_STR(RACK), &said), own);
    }
}

/* Whatever others write there: nothing of it is ours, or it is not understood. */
static void test_report_group_read__strange_statuses(void **state)
{
    static const struct {
        enum mu_gang_source source;
        const char *text;
        uint32_t shown;
        bool says;
    } rows[] = {
        {MU_GANG_NATIVE, "{}", 0, false},
        {MU_GANG_NATIVE, "{\"status\":[]}", 0, false},
        {MU_GANG_NATIVE, "{\"status\":{\"conditions\":7}}", 0, false},
        {MU_GANG_NATIVE, "{\"status\":{\"conditions\":[1,{\"type\":2},{\"type\":\"Other\"}]}}", 0,
         false},
        {MU_GANG_NATIVE,
         "{\"status\":{\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\"},"
         "{\"type\":\"PodGroupScheduled\",\"status\":\"True\"}]}}",
         MU_GROUP_SHOWS_PLACED, true},
        {MU_GANG_COSCHEDULING, "{\"status\":{\"phase\":\"Finished\",\"running\":-4}}",
         MU_GROUP_SHOWS_ENDED, true},
        {MU_GANG_COSCHEDULING, "{\"status\":{\"phase\":\"\",\"running\":\"x\"}}", 0, false},
        {MU_GANG_VOLCANO, "{\"status\":{\"phase\":\"Completed\",\"conditions\":[{}]}}",
         MU_GROUP_SHOWS_ENDED, true},
        {MU_GANG_KAI, "{\"status\":{\"phase\":\"Running\"}}", 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mu_group_object object = {.source = rows[i].source, .report = 1, .shown = 99};
        json_t *tree = parse(mu_str_of(rows[i].text));
        mu_group_status_read(tree, &object);
        assert_int_equal(object.shown, rows[i].shown);
        assert_int_equal(object.report != 0, rows[i].says);
        json_decref(tree);
    }
}

static void test_report_group_path__names_are_encoded(void **state)
{
    const struct mu_report_group group = {.source = MU_GANG_VOLCANO,
                                          .api = MU_STR("/apis/scheduling.volcano.sh/v1beta1"),
                                          .ns = MU_STR("a b"),
                                          .name = MU_STR("g/h")};
    struct mu_buf path = {.max = 0};
    (void)state;
    mu_group_status_path(&path, &group, false);
    (void)mu_buf_append_text(&path, " ");
    mu_group_status_path(&path, &group, true);
    assert_true(mu_str_equal(
        (struct mu_str){(const char *)path.data, (uint32_t)path.len},
        MU_STR("/apis/scheduling.volcano.sh/v1beta1/namespaces/a%20b/podgroups/g%2Fh/status "
               "/apis/scheduling.volcano.sh/v1beta1/namespaces/a%20b/podgroups/g%2Fh")));
    mu_buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_group_say__native),
        cmocka_unit_test(test_report_group_say__scheduler_plugins),
        cmocka_unit_test(test_report_group_say__volcano),
        cmocka_unit_test(test_report_group_say__other_dialects__have_no_status),
        cmocka_unit_test(test_report_group_read__strange_statuses),
        cmocka_unit_test(test_report_group_path__names_are_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
