#include "shards/journal.h"

#include "engine/base/hash.h"
#include "engine/limits.h"
#include "tests/mu_test.h"

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

static const struct mu_journal_write one_write[] = {
    {.uid = {1, 2}, .version = 3, .node = {"node-a", 6}}};

static struct mu_journal_entry small_entry(void)
{
    return (struct mu_journal_entry){.gang = MU_STR("ns/gang"), .count = 1, .writes = one_write};
}

static uint64_t append_small(struct mu_journal *journal)
{
    struct mu_journal_entry entry = small_entry();
    uint64_t id = 0;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    return id;
}

/* Write whatever waits; all writes succeed. Returns how many there were. */
static uint32_t commit_all(struct mu_journal *journal)
{
    uint32_t writes = 0;
    uint32_t slot;
    while (mu_journal_commit(journal, true, &slot, &content)) {
        mu_journal_committed(journal, slot, true);
        writes++;
    }
    return writes;
}

static struct mu_str content_str(void)
{
    return (struct mu_str){(const char *)content.data, (uint32_t)content.len};
}

/* ---- append ---- */

static char long_name[70000];

static void test_journal_append__bad_entries__refused(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(1, 1);
    memset(long_name, 'n', sizeof long_name);
    uint64_t id = 99;
    struct mu_journal_entry entry = small_entry();
    entry.count = 0;
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_EINVAL);
    entry = small_entry();
    entry.gang = (struct mu_str){long_name, sizeof long_name};
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_EINVAL);
    struct mu_journal_write write = {
        .uid = {1, 2}, .version = 3, .node = {long_name, sizeof long_name}};
    entry = (struct mu_journal_entry){.gang = MU_STR("g"), .count = 1, .writes = &write};
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_EINVAL);
    /* One byte more than a slot holds, and exactly as much. */
    /* Head and checksum; length, flags, id, plan, gang, count; tag, UID, version, node's length. */
    write.node.len =
        MU_JOURNAL_SLOT_BYTES - 56 - 8 - (2 + 1 + 1 + 1 + 2 + 1) - (1 + 16 + 1 + 3) + 1;
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_EINVAL);
    assert_int_equal(mu_journal_open_entries(journal), 0);
    assert_int_equal(id, 99);
    write.node.len--;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    uint32_t slot;
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    assert_int_equal(content.len, MU_JOURNAL_SLOT_BYTES);
    mu_journal_destroy(journal);
    mu_journal_destroy(NULL);
}

static void test_journal_append__most_writes_with_longest_names__fits(void **state)
{
    (void)state;
    static struct mu_journal_write writes[MU_JOURNAL_ENTRY_WRITES_MAX];
    memset(long_name, 'n', sizeof long_name);
    for (uint32_t i = 0; i < MU_JOURNAL_ENTRY_WRITES_MAX; i++)
        writes[i] = (struct mu_journal_write){
            .uid_text = {long_name, MU_UID_BYTES_MAX},
            .version = UINT64_MAX,
            .node = {long_name, MU_NAME_BYTES_MAX - i % 2}, /* none is that of the one before */
            .grant = {UINT64_MAX, UINT64_MAX}};
    struct mu_journal_entry entry = {.plan = UINT64_MAX,
                                     .part = UINT32_MAX - 1,
                                     .parts = UINT32_MAX,
                                     .gang = {long_name, 2 * MU_NAME_BYTES_MAX + 1},
                                     .count = MU_JOURNAL_ENTRY_WRITES_MAX,
                                     .writes = writes};
    struct mu_journal *journal = mu_journal_create(1, 1);
    uint64_t id;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_int_equal(commit_all(journal), 1);
    mu_journal_destroy(journal);
}

static bool use_journal(void *context)
{
    (void)context;
    struct mu_journal *journal = mu_journal_create(1, 1);
    if (journal == NULL)
        return false;
    bool passed = true;
    uint64_t last = 0;
    for (uint32_t i = 0; i < 40; i++) {
        struct mu_journal_entry entry = small_entry();
        uint64_t id = 0;
        int rc = mu_journal_append(journal, &entry, &id);
        if (rc != 0) {
            assert_int_equal(rc, MU_ENOMEM);
            assert_int_equal(mu_journal_open_entries(journal), i);
            passed = false;
            id = append_small(journal);
        }
        assert_int_equal(id, last + 1); /* no id was used up */
        last = id;
    }
    struct mu_buf fresh = {0};
    uint32_t slot;
    if (!mu_journal_commit(journal, true, &slot, &fresh)) {
        assert_int_equal(fresh.failed, MU_ENOMEM);
        passed = false;
        assert_true(mu_journal_commit(journal, true, &slot, &fresh));
    }
    mu_journal_committed(journal, slot, true);
    for (uint64_t id = 1; id <= last; id++)
        assert_int_equal(mu_journal_state(journal, id), MU_JOURNAL_DURABLE);
    mu_buf_fini(&fresh);
    mu_journal_destroy(journal);
    return passed;
}

static void test_journal__each_allocation_fails__nothing_changes(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(use_journal, NULL) >= 44);
}

static void test_journal_append__ring_full__limit_until_a_clear(void **state)
{
    (void)state;
    /* 6,000-byte entries: ten fit a slot. */
    memset(long_name, 'n', sizeof long_name);
    struct mu_journal_write write = {.uid = {1, 2}, .version = 3, .node = {long_name, 6000}};
    struct mu_journal_entry entry = {.gang = MU_STR("g"), .count = 1, .writes = &write};
    struct mu_journal *journal = mu_journal_create(1, 1);
    uint64_t id = 0;
    uint32_t count = 0;
    while (mu_journal_append(journal, &entry, &id) == 0)
        count++;
    assert_int_equal(count, 10 * MU_JOURNAL_SLOTS);
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_ELIMIT);
    assert_int_equal(commit_all(journal), MU_JOURNAL_SLOTS);
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_ELIMIT); /* durable, not clear */
    mu_journal_settle(journal, 137);
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_ELIMIT);
    assert_int_equal(commit_all(journal), 1); /* the new entry, in the place of the clear one */
    mu_journal_destroy(journal);
}

static void test_journal_append__most_entries__limit(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(1, 1);
    struct mu_journal_write write = {.uid = {1, 2}, .version = 3};
    struct mu_journal_entry entry = {.count = 1, .writes = &write};
    uint64_t id = 0;
    for (uint32_t i = 0; i < MU_JOURNAL_ENTRIES_MAX; i++)
        assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_ELIMIT);
    mu_journal_settle(journal, 1);
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_int_equal(id, MU_JOURNAL_ENTRIES_MAX + 1);
    mu_journal_destroy(journal);
}

/* ---- group commit, fencing ---- */

static void test_journal_commit__several_appends__one_write(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(1, 1);
    uint32_t slot;
    assert_false(mu_journal_commit(journal, true, &slot, &content));
    uint64_t a = append_small(journal);
    uint64_t b = append_small(journal);
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    uint64_t late = append_small(journal); /* while the write is under way */
    assert_false(mu_journal_commit(journal, true, &(uint32_t){0}, &content));
    assert_int_equal(mu_journal_state(journal, a), MU_JOURNAL_APPENDED);
    mu_journal_committed(journal, slot, true);
    assert_int_equal(mu_journal_state(journal, a), MU_JOURNAL_DURABLE);
    assert_int_equal(mu_journal_state(journal, b), MU_JOURNAL_DURABLE);
    assert_int_equal(mu_journal_state(journal, late), MU_JOURNAL_APPENDED);
    assert_int_equal(commit_all(journal), 1);
    assert_int_equal(mu_journal_state(journal, late), MU_JOURNAL_DURABLE);
    assert_int_equal(commit_all(journal), 0);
    mu_journal_destroy(journal);
}

static void test_journal_settle__last_write__clears_and_is_recorded(void **state)
{
    (void)state;
    const struct mu_journal_write writes[] = {
        {.uid = {1, 1}, .version = 1, .node = {"a", 1}},
        {.uid = {2, 2}, .version = 2, .node = {"b", 1}},
    };
    struct mu_journal_entry entry = {.gang = MU_STR("g"), .count = 2, .writes = writes};
    struct mu_journal *journal = mu_journal_create(7, 8);
    uint64_t id;
    assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    assert_int_equal(commit_all(journal), 1);
    mu_journal_settle(journal, id);
    assert_int_equal(mu_journal_state(journal, id), MU_JOURNAL_DURABLE);
    assert_int_equal(commit_all(journal), 0);
    mu_journal_settle(journal, id);
    assert_int_equal(mu_journal_state(journal, id), MU_JOURNAL_CLEARED);
    assert_int_equal(mu_journal_open_entries(journal), 0);
    uint32_t slot;
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    struct mu_journal_slot_head head;
    assert_int_equal(mu_journal_slot_read(content_str(), &head, NULL, NULL, NULL), 0);
    assert_int_equal(head.entry_count, 0);
    assert_int_equal(head.epoch, 7);
    assert_int_equal(head.incarnation, 8);
    mu_journal_committed(journal, slot, true);
    assert_int_equal(commit_all(journal), 0);
    mu_journal_destroy(journal);
}

static void test_journal_settle__before_and_during_the_write__cleared(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(1, 1);
    uint64_t never_written = append_small(journal);
    mu_journal_settle(journal, never_written);
    assert_int_equal(commit_all(journal), 0); /* nothing was ever stored: nothing to record */
    uint64_t id = append_small(journal);
    uint32_t slot;
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    mu_journal_settle(journal, id);
    mu_journal_committed(journal, slot, true);
    assert_int_equal(mu_journal_state(journal, id), MU_JOURNAL_CLEARED);
    assert_int_equal(commit_all(journal), 1); /* the stored content still has it */
    mu_journal_destroy(journal);
}

static void test_journal_committed__swap_lost__fenced_for_good(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(5, 1);
    uint64_t durable = append_small(journal);
    assert_int_equal(commit_all(journal), 1);
    uint64_t lost = append_small(journal);
    uint32_t slot;
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    uint64_t waiting = append_small(journal);
    mu_journal_committed(journal, slot, false);
    assert_true(mu_journal_fenced(journal));
    struct mu_journal_entry entry = small_entry();
    uint64_t id = 77;
    assert_int_equal(mu_journal_append(journal, &entry, &id), MU_ECLOSED);
    assert_int_equal(id, 77);
    assert_false(mu_journal_commit(journal, true, &slot, &content));
    assert_int_equal(mu_journal_state(journal, durable), MU_JOURNAL_DURABLE);
    assert_int_equal(mu_journal_state(journal, lost), MU_JOURNAL_APPENDED);
    assert_int_equal(mu_journal_state(journal, waiting), MU_JOURNAL_APPENDED);
    mu_journal_settle(journal, durable);
    assert_false(mu_journal_commit(journal, true, &slot, &content)); /* not even a clear */
    assert_int_equal(mu_journal_open_entries(journal), 2);
    assert_int_equal(mu_journal_epoch(journal), 5);
    mu_journal_destroy(journal);
}

static void settle_cleared(void *context)
{
    mu_journal_settle(context, 1);
}

static void committed_unasked(void *context)
{
    mu_journal_committed(context, 0, true);
}

static void state_of_unknown(void *context)
{
    (void)mu_journal_state(context, 2);
}

static void test_journal__misuse__asserts(void **state)
{
    (void)state;
    struct mu_journal *journal = mu_journal_create(1, 1);
    mu_journal_settle(journal, append_small(journal));
    assert_true(mu_test_aborts(settle_cleared, journal));
    assert_true(mu_test_aborts(committed_unasked, journal));
    assert_true(mu_test_aborts(state_of_unknown, journal));
    mu_journal_destroy(journal);
}

/* ---- reading ---- */

static int count_entry(void *context, const struct mu_journal_entry *entry)
{
    (void)entry;
    ++*(uint32_t *)context;
    return 0;
}

static int stop_at_second(void *context, const struct mu_journal_entry *entry)
{
    ++*(uint32_t *)context;
    return entry->id == 2 ? MU_ECANCELED : 0;
}

/* Three entries of one and two writes in `content`. */
static void write_three(void)
{
    const struct mu_journal_write writes[] = {
        {.uid = {11, 12}, .version = 13, .node = {"node-a", 6}},
        {.kind = MU_JOURNAL_DELETE, .uid_text = {"seven", 5}, .version = UINT64_MAX},
    };
    struct mu_journal *journal = mu_journal_create(3, 4);
    for (uint32_t i = 0; i < 3; i++) {
        struct mu_journal_entry entry = {
            .plan = 300, .gang = MU_STR("ns/gang"), .count = 1 + i % 2, .writes = writes};
        uint64_t id;
        assert_int_equal(mu_journal_append(journal, &entry, &id), 0);
    }
    uint32_t slot;
    assert_true(mu_journal_commit(journal, true, &slot, &content));
    mu_journal_destroy(journal);
}

static void test_journal_slot_read__cut_anywhere__truncated(void **state)
{
    (void)state;
    write_three();
    struct mu_journal_slot_head head = {.format = 99};
    for (uint32_t len = 0; len < content.len; len++) {
        struct mu_error error;
        uint32_t seen = 0;
        /* A copy of just that size: the sanitizers see every read beyond it. */
        char *copy = mu_mem_alloc(len + 1);
        memcpy(copy, content.data, len);
        copy = mu_mem_realloc(copy, len > 0 ? len : 1);
        assert_int_equal(
            mu_journal_slot_read((struct mu_str){copy, len}, &head, count_entry, &seen, &error),
            MU_ETRUNCATED);
        assert_int_equal(seen, 0);
        assert_int_equal(head.format, 99);
        mu_mem_free(copy);
    }
    assert_int_equal(mu_buf_append(&content, "x", 1), 0);
    uint32_t seen = 0;
    assert_int_equal(mu_journal_slot_read(content_str(), &head, count_entry, &seen, NULL),
                     MU_EPROTO);
    assert_int_equal(seen, 0);
}

static void test_journal_slot_read__any_bit_flipped__refused(void **state)
{
    (void)state;
    write_three();
    for (uint32_t bit = 0; bit < 8 * content.len; bit++) {
        struct mu_journal_slot_head head;
        struct mu_error error;
        uint32_t seen = 0;
        content.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        int rc = mu_journal_slot_read(content_str(), &head, count_entry, &seen, &error);
        assert_true(rc == MU_EPROTO || rc == MU_ETRUNCATED);
        assert_int_equal(seen, 0);
        content.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void fix_checksum(void)
{
    uint64_t sum = mu_hash_stable(content.data, content.len - 8);
    for (uint32_t i = 0; i < 8; i++)
        content.data[content.len - 8 + i] = (uint8_t)(sum >> (8 * i));
}

/* Bytes changed at random behind a valid checksum: an attacker can do that. Whatever comes out is
 * an error or well-formed entries; the sanitizers watch the reads. */
static void test_journal_slot_read__forged_checksum__never_out_of_bounds(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(6);
    uint32_t refused = 0;
    for (; run.step < 5000; run.step++) {
        write_three();
        for (uint64_t n = 1 + mu_random_below(&run.random, 3); n > 0; n--) {
            uint64_t at = mu_random_below(&run.random, content.len - 8);
            bool extreme = mu_random_chance(&run.random, 500);
            content.data[at] = extreme ? (uint8_t)(0xFF * mu_random_below(&run.random, 2))
                                       : (uint8_t)mu_random_below(&run.random, 256);
        }
        fix_checksum();
        uint32_t seen = 0;
        struct mu_journal_slot_head head;
        int rc = mu_journal_slot_read(content_str(), &head, count_entry, &seen, NULL);
        MU_TEST_CHECK(&run, rc == MU_EPROTO || rc == MU_ETRUNCATED ||
                                (rc == 0 && seen == head.entry_count));
        refused += rc != 0;
    }
    MU_TEST_CHECK(&run, refused > 500 && refused < run.step);
}

static void test_journal_slot_read__callback_stops__its_code_is_returned(void **state)
{
    (void)state;
    write_three();
    uint32_t seen = 0;
    struct mu_journal_slot_head head;
    assert_int_equal(mu_journal_slot_read(content_str(), &head, stop_at_second, &seen, NULL),
                     MU_ECANCELED);
    assert_int_equal(seen, 2);
    seen = 0;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_journal_slot_read(content_str(), &head, count_entry, &seen, NULL),
                     MU_ENOMEM);
    assert_int_equal(seen, 0);
}

/* ---- the model: what a store of slots shows after each write ---- */

enum { MODEL_IDS = 4000 };

struct model_entry {
    uint32_t unsettled; /* 0: cleared */
    uint32_t count;
    bool durable;
    bool in_flight;
    bool stored; /* found in the store */
};

struct model {
    struct mu_test_run run;
    struct model_entry entries[MODEL_IDS + 1];
    uint64_t last_id;
    uint32_t open;
    struct mu_buf store[MU_JOURNAL_SLOTS]; /* what a crash would leave behind */
    uint64_t sequence_seen;
};
static struct model model;

/* An entry's content follows from its id. */
static uint32_t writes_of(uint64_t id, struct mu_journal_write *writes, char names[][32])
{
    uint32_t count = 1 + (uint32_t)(mu_hash_mix(id, 1) % 20);
    for (uint32_t i = 0; i < count; i++) {
        int len = snprintf(names[i], 32, "node-%llu-%u", (unsigned long long)id, i);
        writes[i] = (struct mu_journal_write){.kind = (enum mu_journal_kind)(id % MU_JOURNAL_KINDS),
                                              .uid = {mu_hash_mix(id, i), id},
                                              .version = id * 100 + i,
                                              .node = {names[i], (uint32_t)len}};
    }
    return count;
}

static int check_stored(void *context, const struct mu_journal_entry *entry)
{
    struct model *m = context;
    struct mu_journal_write writes[20];
    char names[20][32];
    MU_TEST_CHECK(&m->run, entry->id <= m->last_id);
    MU_TEST_CHECK(&m->run, !m->entries[entry->id].stored); /* in one slot only */
    m->entries[entry->id].stored = true;
    uint32_t count = writes_of(entry->id, writes, names);
    MU_TEST_CHECK(&m->run, entry->count == count);
    MU_TEST_CHECK(&m->run, mu_str_equal(entry->gang, MU_STR("ns/gang")));
    for (uint32_t i = 0; i < count; i++) {
        MU_TEST_CHECK(&m->run, mu_uid_equal(entry->writes[i].uid, writes[i].uid));
        MU_TEST_CHECK(&m->run, entry->writes[i].kind == writes[i].kind);
        MU_TEST_CHECK(&m->run, entry->writes[i].version == writes[i].version);
        MU_TEST_CHECK(&m->run, mu_str_equal(entry->writes[i].node, writes[i].node));
    }
    return 0;
}

/* Every durable, open entry is in the store exactly once, whole; nothing that was never committed
 * is; when nothing waits, nothing cleared is either. */
static void model_check_store(struct model *m, bool quiet)
{
    for (uint64_t id = 1; id <= m->last_id; id++)
        m->entries[id].stored = false;
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++) {
        if (m->store[i].len == 0)
            continue;
        struct mu_str stored = {(const char *)m->store[i].data, (uint32_t)m->store[i].len};
        struct mu_journal_slot_head head;
        struct mu_error error;
        MU_TEST_CHECK(&m->run, mu_journal_slot_read(stored, &head, check_stored, m, &error) == 0);
        MU_TEST_CHECK(&m->run, head.slot == i && head.epoch == 9 && head.incarnation == 10);
    }
    for (uint64_t id = 1; id <= m->last_id; id++) {
        const struct model_entry *e = &m->entries[id];
        if (e->unsettled > 0)
            MU_TEST_CHECK(&m->run, e->stored == e->durable);
        else
            MU_TEST_CHECK(&m->run, !e->stored || (e->durable && !quiet));
    }
}

static void model_append(struct model *m, struct mu_journal *journal)
{
    struct mu_journal_write writes[20];
    char names[20][32];
    uint64_t id = 0;
    if (m->last_id == MODEL_IDS)
        return;
    uint32_t count = writes_of(m->last_id + 1, writes, names);
    struct mu_journal_entry entry = {
        .plan = 7, .gang = MU_STR("ns/gang"), .count = count, .writes = writes};
    MU_TEST_CHECK(&m->run, mu_journal_append(journal, &entry, &id) == 0);
    MU_TEST_CHECK(&m->run, id == m->last_id + 1);
    m->last_id = id;
    m->entries[id] = (struct model_entry){.unsettled = count, .count = count};
    m->open++;
}

static void model_settle(struct model *m, struct mu_journal *journal)
{
    if (m->last_id == 0)
        return;
    /* Mostly the older ones; a few live long. */
    uint64_t id = 1 + mu_random_below(&m->run.random, m->last_id);
    struct model_entry *e = &m->entries[id];
    if (id % 17 == 0 && mu_random_chance(&m->run.random, 900))
        return;
    if (!e->durable && mu_random_chance(&m->run.random, 950))
        return;
    for (uint32_t n = e->unsettled; n > 0 && mu_random_chance(&m->run.random, 950); n--) {
        mu_journal_settle(journal, id);
        e->unsettled--;
        m->open -= e->unsettled == 0;
    }
}

static void model_write(struct model *m, struct mu_journal *journal, bool *flying, uint32_t *slot)
{
    if (*flying) {
        mu_journal_committed(journal, *slot, true);
        *flying = false;
        mu_buf_clear(&m->store[*slot]);
        MU_TEST_CHECK(&m->run, mu_buf_append(&m->store[*slot], content.data, content.len) == 0);
        for (uint64_t id = 1; id <= m->last_id; id++) {
            m->entries[id].durable |= m->entries[id].in_flight;
            m->entries[id].in_flight = false;
        }
        if (mu_random_chance(&m->run.random, 100)) /* all of it: the dear part */
            model_check_store(m, false);
    } else if (mu_journal_commit(journal, true, slot, &content)) {
        *flying = true;
        struct mu_journal_slot_head head;
        for (uint64_t id = 1; id <= m->last_id; id++)
            m->entries[id].stored = false;
        MU_TEST_CHECK(&m->run,
                      mu_journal_slot_read(content_str(), &head, check_stored, m, NULL) == 0);
        for (uint64_t id = 1; id <= m->last_id; id++)
            m->entries[id].in_flight = m->entries[id].stored;
        MU_TEST_CHECK(&m->run, head.sequence == m->sequence_seen++);
    }
}

static void model_run(uint64_t seed)
{
    struct model *m = &model;
    memset(m, 0, sizeof *m);
    m->run = mu_test_run_begin(seed);
    struct mu_journal *journal = mu_journal_create(9, 10);
    bool flying = false;
    uint32_t slot = 0;
    for (; m->run.step < 20000; m->run.step++) {
        uint64_t what = mu_random_below(&m->run.random, 100);
        if (what < 25)
            model_append(m, journal);
        else if (what < 97)
            model_settle(m, journal);
        else
            model_write(m, journal, &flying, &slot);
        MU_TEST_CHECK(&m->run, mu_journal_open_entries(journal) == m->open);
        uint64_t id = 1 + mu_random_below(&m->run.random, m->last_id + 1);
        if (id > m->last_id)
            continue;
        const struct model_entry *e = &m->entries[id];
        MU_TEST_CHECK(&m->run,
                      mu_journal_state(journal, id) == (e->unsettled == 0 ? MU_JOURNAL_CLEARED
                                                        : e->durable      ? MU_JOURNAL_DURABLE
                                                                          : MU_JOURNAL_APPENDED));
    }
    if (flying)
        model_write(m, journal, &flying, &slot);
    do {
        model_write(m, journal, &flying, &slot);
        if (!flying)
            break;
        model_write(m, journal, &flying, &slot);
    } while (true);
    model_check_store(m, true);
    for (uint32_t i = 0; i < MU_JOURNAL_SLOTS; i++)
        mu_buf_fini(&m->store[i]);
    mu_journal_destroy(journal);
}

static void test_journal__random_life__store_equals_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        model_run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_append__bad_entries__refused),
        cmocka_unit_test(test_journal_append__most_writes_with_longest_names__fits),
        cmocka_unit_test(test_journal__each_allocation_fails__nothing_changes),
        cmocka_unit_test(test_journal_append__ring_full__limit_until_a_clear),
        cmocka_unit_test(test_journal_append__most_entries__limit),
        cmocka_unit_test(test_journal_commit__several_appends__one_write),
        cmocka_unit_test(test_journal_settle__last_write__clears_and_is_recorded),
        cmocka_unit_test(test_journal_settle__before_and_during_the_write__cleared),
        cmocka_unit_test(test_journal_committed__swap_lost__fenced_for_good),
        cmocka_unit_test(test_journal__misuse__asserts),
        cmocka_unit_test(test_journal_slot_read__cut_anywhere__truncated),
        cmocka_unit_test(test_journal_slot_read__any_bit_flipped__refused),
        cmocka_unit_test(test_journal_slot_read__forged_checksum__never_out_of_bounds),
        cmocka_unit_test_teardown(test_journal_slot_read__callback_stops__its_code_is_returned,
                                  teardown),
        cmocka_unit_test(test_journal__random_life__store_equals_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
