/* Taking over a journal, step by step: what is asked for, in which order, and what is not. */
#include "tests/mu_test.h"

#include "shards/recovery.h"

static struct mu_buf content;

static int setup(void **state)
{
    (void)state;
    mu_buf_init(&content, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_buf_fini(&content);
    return 0;
}

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* The slots of a world: what a store would hold. */
struct world {
    struct mu_buf slots[MU_JOURNAL_SLOTS];
};

static void world_fini(struct world *w)
{
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        mu_buf_fini(&w->slots[i]);
}

static void store(struct world *w, uint32_t slot, const struct mu_buf *from)
{
    mu_buf_clear(&w->slots[slot]);
    if (from->len == 0)
        return;
    assert_int_equal(mu_buf_append(&w->slots[slot], from->data, from->len), 0);
}

static void append(struct mu_journal *journal, const struct mu_journal_write *writes,
                   uint32_t count)
{
    struct mu_journal_entry entry = {.gang = MU_STR("ns/g"), .count = count, .writes = writes};
    uint64_t id;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
}

/* Write what waits; the slot that was written. */
static uint32_t commit(struct mu_journal *journal, struct world *w)
{
    uint32_t slot = 0;
    struct mu_buf bytes = {0};
    assert_true(mu_journal_commit(journal, false, &slot, &bytes));
    store(w, slot, &bytes);
    mu_journal_committed(journal, slot, true);
    mu_buf_fini(&bytes);
    return slot;
}

static struct mu_recovery_step next(struct mu_recovery *r)
{
    struct mu_recovery_step step;
    assert_int_equal(mu_recovery_next(r, &step, &content), 0);
    return step;
}

static void answer_read(struct mu_recovery *r, const struct world *w, uint32_t slot)
{
    struct mu_error error;
    assert_int_equal(
        mu_recovery_read(r, slot, w->slots[slot].len > 0, view(&w->slots[slot]), &error), 0);
}

/* All slots are read and closed; the epoch of each content is checked. */
static void close_all(struct mu_recovery *r, struct world *w)
{
    uint32_t closes = 0;
    for (;;) {
        struct mu_recovery_step step = next(r);
        if (step.ask == MU_RECOVERY_READ) {
            assert_int_equal(closes, 0); /* the epoch is not known before */
            answer_read(r, w, step.slot);
            continue;
        }
        if (step.ask != MU_RECOVERY_CLOSE) {
            assert_int_equal(step.ask, MU_RECOVERY_LIST);
            break;
        }
        struct mu_journal_slot_head head;
        assert_int_equal(mu_journal_slot_read(view(&content), &head, NULL, NULL, NULL), 0);
        assert_int_equal(head.epoch, mu_recovery_epoch(r));
        assert_int_equal(head.slot, step.slot);
        store(w, step.slot, &content);
        mu_recovery_closed(r, step.slot, true);
        closes++;
    }
    assert_int_equal(closes, MU_JOURNAL_SLOTS);
}

static const struct mu_journal_write three[] = {
    {.uid = {1, 1}, .version = 10, .node = {"a", 1}},
    {.kind = MU_JOURNAL_DELETE, .uid = {2, 2}, .version = 20, .node = {"a", 1}},
    {.uid_text = {"pod-3", 5}, .version = 30, .node = {"b", 1}},
};

static void test_recovery__nothing_written_before__epoch_one(void **state)
{
    (void)state;
    struct world w = {0};
    struct mu_recovery *r = mu_recovery_create(9);
    close_all(r, &w);
    assert_int_equal(mu_recovery_epoch(r), 1);
    assert_int_equal(next(r).ask, MU_RECOVERY_WAIT); /* the list */
    mu_recovery_listed(r);
    assert_int_equal(next(r).ask, MU_RECOVERY_DONE);
    assert_int_equal(next(r).ask, MU_RECOVERY_DONE);
    mu_recovery_destroy(r);
    mu_recovery_destroy(NULL);
    world_fini(&w);
}

/* Writes of the entries that are told, and where it was enough. */
struct told {
    uint32_t entries, writes, enough;
};
static int told_entry(void *context, uint64_t incarnation, const struct mu_journal_entry *entry)
{
    struct told *told = context;
    assert_int_equal(incarnation, 5);
    told->entries++;
    told->writes += entry->count;
    return told->entries == told->enough ? MU_ELIMIT : 0;
}

static void test_recovery__entries__closed_listed_touched_seen(void **state)
{
    (void)state;
    struct world w = {0};
    struct mu_journal *old = mu_journal_create(4, 5);
    append(old, three, 3);
    (void)commit(old, &w);
    append(old, three, 2); /* the same pods once more, in another slot */
    (void)commit(old, &w);
    struct mu_recovery *r = mu_recovery_create(9);
    close_all(r, &w);
    assert_int_equal(mu_recovery_epoch(r), 5);
    assert_int_equal(next(r).ask, MU_RECOVERY_WAIT); /* nothing is touched before the list */
    mu_recovery_listed(r);
    struct mu_recovery_step steps[3];
    for (uint32_t i = 0; i < 3; i++) {
        steps[i] = next(r);
        assert_int_equal(steps[i].ask, MU_RECOVERY_TOUCH);
        assert_int_equal(steps[i].number, i);
    }
    assert_true(mu_str_equal(steps[0].write->uid_text, MU_STR("pod-3")));
    assert_true(mu_uid_equal(steps[1].write->uid, (struct mu_uid){1, 1}));
    assert_int_equal(steps[2].write->kind, MU_JOURNAL_DELETE);
    assert_int_equal(next(r).ask, MU_RECOVERY_WAIT);
    mu_recovery_touched(r, 1, 0); /* gone */
    mu_recovery_touched(r, 2, 77);
    assert_int_equal(next(r).ask, MU_RECOVERY_WAIT); /* one is still out */
    mu_recovery_touched(r, 0, 66);
    for (uint32_t i = 0; i < 2; i++) {
        struct mu_recovery_step step = next(r);
        assert_int_equal(step.ask, MU_RECOVERY_SEE);
        assert_int_equal(step.version, i == 0 ? 66 : 77);
        assert_int_equal(next(r).ask, MU_RECOVERY_SEE); /* until it is seen */
        mu_recovery_seen(r, step.number);
    }
    assert_int_equal(next(r).ask, MU_RECOVERY_DONE);
    struct mu_recovery_stats stats;
    mu_recovery_stats(r, &stats);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.slots_closed, 2);
    assert_int_equal(stats.writes, 3);
    assert_int_equal(stats.touched, 2);
    struct told all = {.enough = 0}, first = {.enough = 1};
    assert_int_equal(mu_recovery_entries(r, told_entry, &all), 0);
    assert_int_equal(all.entries, 2);
    assert_int_equal(all.writes, 5);
    assert_int_equal(mu_recovery_entries(r, told_entry, &first), MU_ELIMIT);
    assert_int_equal(first.entries, 1);
    mu_recovery_destroy(r);
    mu_journal_destroy(old);
    world_fini(&w);
}

static bool same(const struct mu_buf *a, const struct mu_buf *b)
{
    return mu_str_equal(view(a), view(b));
}

/* The former owner appends after his slots were read: the close of that slot loses, as a
 * compare-and-swap does, and what is found then counts. */
static void test_recovery__append_before_the_close__its_entry_is_found(void **state)
{
    (void)state;
    struct world w = {0}, seen = {0};
    struct mu_journal *old = mu_journal_create(4, 5);
    struct mu_recovery *r = mu_recovery_create(9);
    struct mu_recovery_step step;
    uint32_t lost = 0, reads = 0;
    append(old, three, 1);
    (void)commit(old, &w);
    while ((step = next(r)).ask != MU_RECOVERY_LIST) {
        if (step.ask == MU_RECOVERY_READ) {
            answer_read(r, &w, step.slot);
            store(&seen, step.slot, &w.slots[step.slot]);
            if (++reads == MU_JOURNAL_SLOTS) {
                append(old, three + 1, 1);
                (void)commit(old, &w);
            }
            continue;
        }
        assert_int_equal(step.ask, MU_RECOVERY_CLOSE);
        bool swapped = same(&w.slots[step.slot], &seen.slots[step.slot]);
        if (swapped)
            store(&w, step.slot, &content);
        lost += !swapped;
        mu_recovery_closed(r, step.slot, swapped);
    }
    struct mu_recovery_stats stats;
    mu_recovery_stats(r, &stats);
    assert_int_equal(lost, 1);
    assert_int_equal(reads, MU_JOURNAL_SLOTS + 1);
    assert_int_equal(stats.entries, 2);
    assert_int_equal(stats.writes, 2);
    assert_int_equal(stats.rivals, 0);
    assert_int_equal(mu_recovery_epoch(r), 5);
    mu_recovery_destroy(r);
    mu_journal_destroy(old);
    world_fini(&w);
    world_fini(&seen);
}

/* Two starts at once: one of them closes all, under an epoch of its own. */
static void test_recovery__rival__higher_epoch_or_an_end(void **state)
{
    (void)state;
    struct world w = {0};
    struct mu_recovery *a = mu_recovery_create(1), *b = mu_recovery_create(2);
    close_all(b, &w);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++) {
        struct mu_recovery_step step = next(a);
        struct mu_error error;
        assert_int_equal(step.ask, MU_RECOVERY_READ);
        assert_int_equal(mu_recovery_read(a, step.slot, false, MU_STR(""), &error), 0);
    }
    struct mu_recovery_step lost = next(a); /* of a slot that b has closed meanwhile */
    assert_int_equal(lost.ask, MU_RECOVERY_CLOSE);
    mu_recovery_closed(a, lost.slot, false);
    lost = next(a);
    assert_int_equal(lost.ask, MU_RECOVERY_READ);
    answer_read(a, &w, lost.slot);
    assert_int_equal(mu_recovery_epoch(a), 0);
    close_all(a, &w);
    assert_int_equal(mu_recovery_epoch(a), 2);
    mu_recovery_destroy(a);
    mu_recovery_destroy(b);
    world_fini(&w);
}

static void test_recovery_read__foreign_bytes__refused(void **state)
{
    (void)state;
    struct mu_error error;
    struct mu_recovery *r = mu_recovery_create(9);
    struct mu_recovery_step step = next(r);
    assert_int_equal(mu_recovery_read(r, step.slot, true, MU_STR("something else"), &error),
                     MU_EPROTO);
    assert_non_null(strstr(error.text, "journal slot"));
    mu_recovery_destroy(r);
    r = mu_recovery_create(9);
    step = next(r);
    assert_int_equal(mu_journal_slot_blank(step.slot + 1, 3, 4, 5, &content), 0);
    assert_int_equal(mu_recovery_read(r, step.slot, true, view(&content), &error), MU_EPROTO);
    mu_recovery_destroy(r);
    r = mu_recovery_create(9);
    step = next(r);
    mu_buf_clear(&content);
    assert_int_equal(mu_journal_slot_blank(step.slot, UINT64_MAX, 4, 5, &content), 0);
    assert_int_equal(mu_recovery_read(r, step.slot, true, view(&content), &error), MU_EPROTO);
    mu_recovery_destroy(r);
}

static bool use_recovery(void *context)
{
    struct world *w = context;
    struct mu_recovery *r = mu_recovery_create(9);
    struct mu_recovery_step step = {.ask = MU_RECOVERY_WAIT};
    bool passed = r != NULL;
    struct mu_buf bytes = {0};
    for (uint32_t turns = 0; r != NULL && step.ask != MU_RECOVERY_LIST && turns < 1000; turns++) {
        struct mu_error error;
        if (mu_recovery_next(r, &step, &bytes) != 0) {
            passed = false;
            step.ask = MU_RECOVERY_WAIT;
        }
        if (step.ask == MU_RECOVERY_READ) {
            int rc = mu_recovery_read(r, step.slot, w->slots[step.slot].len > 0,
                                      view(&w->slots[step.slot]), &error);
            assert_true(rc == 0 || rc == MU_ENOMEM);
            passed = passed && rc == 0;
        } else if (step.ask == MU_RECOVERY_CLOSE) {
            mu_recovery_closed(r, step.slot, true);
        }
    }
    if (r != NULL) {
        struct mu_recovery_stats stats;
        mu_recovery_stats(r, &stats);
        assert_int_equal(step.ask, MU_RECOVERY_LIST);
        assert_int_equal(stats.writes, 3);
    }
    mu_buf_fini(&bytes);
    mu_recovery_destroy(r);
    return passed;
}

static void test_recovery__each_allocation_fails__goes_on_later(void **state)
{
    (void)state;
    struct world w = {0};
    struct mu_journal *old = mu_journal_create(4, 5);
    append(old, three, 3);
    (void)commit(old, &w);
    assert_true(mu_test_fail_each(use_recovery, &w) > 5);
    mu_journal_destroy(old);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_recovery__nothing_written_before__epoch_one),
        TEST(test_recovery__entries__closed_listed_touched_seen),
        TEST(test_recovery__append_before_the_close__its_entry_is_found),
        TEST(test_recovery__rival__higher_epoch_or_an_end),
        TEST(test_recovery_read__foreign_bytes__refused),
        TEST(test_recovery__each_allocation_fails__goes_on_later),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
