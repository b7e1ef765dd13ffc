/* The ring ends in the middle of its work and starts again, with the journal that it left. */
#include "tests/scheduler_rig.h"

#include "engine/base/log.h"
#include "informer/slot_store.h"
#include "tools/scheduler/scheduler_priv.h"

static void setup(struct rig *r)
{
    rig_init(r, &mu_profile_spread);
    mu_scheduler_destroy(r->scheduler);
    mu_session_destroy(r->session);
    r->journal = mu_slot_memory_create(MU_JOURNAL_SLOTS);
    assert_non_null(r->journal);
    rig_start_ring(r, &mu_profile_spread, 0);
}

static void teardown(struct rig *r)
{
    struct mu_slot_memory *journal = r->journal;
    rig_fini(r);
    mu_slot_memory_destroy(journal);
}

static struct {
    uint32_t touches;
} seen;

static enum hook_answer count_touches(struct rig *r, const struct mu_request *request)
{
    (void)r;
    seen.touches +=
        request->body.len > 0 && memmem(request->body.data, request->body.len, MU_TOUCH_CONDITION,
                                        sizeof MU_TOUCH_CONDITION - 1) != NULL;
    return PASS;
}

static enum hook_answer park_all(uint32_t nth)
{
    (void)nth;
    return PARK;
}

static enum hook_answer lose_second(uint32_t nth)
{
    return nth == 2 ? PARK : PASS;
}

static void test_restart__nothing_under_way__next_epoch_no_touch(void **state)
{
    struct rig r;
    (void)state;
    seen.touches = 0;
    setup(&r);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    run_for(&r, 5 * MU_NS_PER_S); /* what is cleared is recorded by then */
    assert_int_equal(stats_of(&r).journal_epoch, 1);
    rig_restart(&r, &mu_profile_spread, 0);
    r.report_hook = count_touches;
    start(&r);
    assert_int_equal(stats_of(&r).journal_epoch, 2);
    assert_int_equal(stats_of(&r).recovered.entries, 0);
    assert_int_equal(seen.touches, 0);
    assert_int_equal(tally(&r).bound, 1);
    teardown(&r);
}

/* A bind was sent and nobody knows what became of it: its pod is touched before it is placed. */
static void test_restart__bind_under_way__touched_then_placed(void **state)
{
    struct rig r;
    (void)state;
    seen.touches = 0;
    setup(&r);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    r.hook = park_all;
    start(&r);
    assert_int_equal(r.bindings, 1);
    rig_restart(&r, &mu_profile_spread, 0);
    r.hook = NULL;
    r.report_hook = count_touches;
    start(&r);
    assert_int_equal(stats_of(&r).recovered.entries, 1);
    assert_int_equal(stats_of(&r).recovered.touched, 1);
    assert_int_equal(seen.touches, 1);
    assert_int_equal(tally(&r).bound, 1);
    teardown(&r);
}

/* One member of two is bound when the ring ends: its successor completes the gang. */
static void test_restart__gang_partly_bound__rolled_forward(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    add_node(&r, "n1", 4000);
    add_pod(&r, "g-0", 1000, gang_of("g", 2), false);
    add_pod(&r, "g-1", 1000, gang_of("g", 2), false);
    r.hook = lose_second;
    start(&r);
    assert_int_equal(tally(&r).bound, 1);
    rig_restart(&r, &mu_profile_spread, 0);
    r.hook = NULL;
    start(&r);
    assert_int_equal(tally(&r).bound, 2);
    assert_int_equal(stats_of(&r).plans_completing, 1);
    assert_int_equal(stats_of(&r).recovered.touched, 1); /* the bound one needs none */
    teardown(&r);
}

/* The journal is another's: what is under way ends, and nothing new begins. */
static void test_journal__closed_by_another__ends(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    add_node(&r, "n1", 4000);
    start(&r);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        assert_int_equal(mu_slot_memory_put(r.journal, i, MU_STR("closed")), 0);
    add_pod(&r, "p", 1000, solo, false);
    assert_false(mu_scheduler_ended(r.scheduler));
    run_for(&r, 5 * MU_NS_PER_S);
    assert_true(mu_scheduler_ended(r.scheduler));
    assert_true(stats_of(&r).journal_fenced);
    assert_int_equal(r.bindings, 0);
    assert_int_equal(tally(&r).bound, 0);
    teardown(&r);
}

static void test_journal__not_ours__start_ends_in_words(void **state)
{
    struct rig r;
    (void)state;
    setup(&r);
    assert_int_equal(mu_slot_memory_put(r.journal, 5, MU_STR("something else entirely")), 0);
    add_node(&r, "n1", 4000);
    add_pod(&r, "p", 1000, solo, false);
    start(&r);
    assert_true(mu_scheduler_ended(r.scheduler));
    assert_true(stats_of(&r).journal_failed);
    assert_non_null(strstr(stats_of(&r).journal_problem, "journal slot"));
    assert_int_equal(tally(&r).bound, 0);
    teardown(&r);
}

/* A gang larger than a slot: its entries span several, and it begins when the last one is in. */
static void test_journal__gang_over_several_slots__bound_whole(void **state)
{
    enum { MEMBERS = 1500 };
    struct rig r;
    (void)state;
    setup(&r);
    for (uint32_t i = 0; i < 15; i++) {
        char name[240];
        memset(name, 'n', sizeof name);
        (void)snprintf(name + 200, sizeof name - 200, "%u", i);
        add_node(&r, name, 110000);
    }
    for (uint32_t i = 0; i < MEMBERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "g-%u", i);
        add_pod(&r, name, 100, gang_of("g", MEMBERS), false);
    }
    start(&r);
    run_for(&r, 5 * MU_NS_PER_S);
    assert_int_equal(tally(&r).bound, MEMBERS);
    assert_int_equal(stats_of(&r).plans_admitted, 1);
    assert_true(stats_of(&r).journal.written >= MU_JOURNAL_SLOTS + 2);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart__nothing_under_way__next_epoch_no_touch),
        cmocka_unit_test(test_restart__bind_under_way__touched_then_placed),
        cmocka_unit_test(test_restart__gang_partly_bound__rolled_forward),
        cmocka_unit_test(test_journal__closed_by_another__ends),
        cmocka_unit_test(test_journal__not_ours__start_ends_in_words),
        cmocka_unit_test(test_journal__gang_over_several_slots__bound_whole),
    };
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
