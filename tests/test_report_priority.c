/* "or priority ≥ N": what is said is what a session does. Random small clusters; the gang is given
 * that priority, and one less, and a session that preempts decides. MUSTER_SEED repeats a run. */
#include "tests/mu_test.h"

#include "tests/db_fixture.h"

#include "engine/session/session.h"
#include "informer/report_priv.h"
#include "tools/scheduler/report_words.h"

enum { NODES = 4, CPUS = 3, SIZE_LARGEST = 5, ROUNDS = 400 };

struct world {
    struct mu_db *db;
    struct mu_snapshot *snapshot;
    struct mu_session *session; /* preempts */
    struct mu_report_words *words;
    uint32_t size;
    bool packed;
    uint64_t version;
};

static void put_gang_of(struct world *w, int32_t priority)
{
    w->version++;
    for (uint32_t i = 0; i < w->size; i++) {
        struct fixture_pod pod;
        fixture_pod(&pod, 1 + i, w->version);
        fixture_gang(&pod, "g", w->size);
        pod.object.priority = priority;
        pod.object.created_s = 1;
        if (w->packed) {
            pod.object.gang.pack_key = MU_STR("example.com/rack");
            pod.object.gang.pack_required = true;
        }
        fixture_put(w->db, &pod, 0);
    }
}

static void put_victims(struct world *w, struct mu_random *random)
{
    static const int32_t priorities[] = {5, 20, 40, 41, 300};
    uint32_t number = 100;
    for (uint32_t n = 0; n < NODES; n++) {
        char name[2] = {(char)('a' + n), '\0'};
        for (uint32_t c = (uint32_t)mu_random_below(random, 3); c < CPUS + 1; c++) {
            struct fixture_pod pod;
            char gang[2] = {(char)('p' + mu_random_below(random, 3)), '\0'};
            fixture_pod(&pod, number++, 1);
            if (mu_random_below(random, 2) == 0)
                fixture_gang(&pod, gang, 2);
            pod.object.node_name = mu_str_of(name);
            pod.object.phase = MU_POD_RUNNING;
            pod.object.priority = priorities[mu_random_below(random, 5)];
            pod.object.spared = mu_random_below(random, 12) == 0;
            pod.object.terminating = mu_random_below(random, 12) == 0;
            fixture_put(w->db, &pod, 0);
        }
    }
}

static struct world world_create(struct mu_random *random)
{
    struct world w = {.db = fixture_create(0)};
    const struct mu_session_config session = {.profile = &mu_profile_pack, .preempts = true};
    w.snapshot = mu_db_replica_create(w.db);
    w.session = mu_session_create(&session);
    w.words = mu_report_words_create(&mu_profile_pack);
    w.size = 2 + (uint32_t)mu_random_below(random, SIZE_LARGEST - 1);
    w.packed = mu_random_below(random, 3) == 0;
    for (uint32_t n = 0; n < NODES; n++) {
        char name[2] = {(char)('a' + n), '\0'};
        const struct mu_label label = {MU_STR("example.com/rack"),
                                       n % 2 == 0 ? MU_STR("r1") : MU_STR("r2")};
        struct fixture_node node;
        fixture_node(&node, name, 1, CPUS, 0);
        node.object.labels = &label;
        node.object.label_count = 1;
        assert_int_equal(mu_db_node_upsert(w.db, &node.object, 0, NULL), 0);
    }
    put_victims(&w, random);
    mu_db_occupants_ask(w.db, true);
    mu_report_words_preemption(w.words, true, 0, 0);
    return w;
}

static void world_destroy(struct world *w)
{
    mu_report_words_destroy(w->words);
    mu_session_destroy(w->session);
    mu_db_destroy(w->db);
}

/* Whether a session makes room for the gang with this priority, or waits for those who leave; the
 * plan is left in *plan. */
static bool finds_room(struct world *w, int32_t priority, const struct mu_plan **plan)
{
    put_gang_of(w, priority);
    fixture_sync(w->db, w->snapshot);
    mu_session_drop_caches(w->session);
    assert_int_equal(mu_session_run(w->session, w->snapshot, 0, plan), 0);
    for (uint32_t i = 0; i < (*plan)->gang_count; i++)
        if ((*plan)->gangs[i].bind_count == w->size)
            return true;
    return false;
}

/* The number behind "priority ≥ " that the waiting gang is told, INT32_MIN: none. */
static int32_t told(struct world *w, const struct mu_plan *plan)
{
    static const char mark[] = "priority ≥ ";
    int32_t number = INT32_MIN;
    mu_report_words_begin(w->words, w->snapshot, plan);
    for (uint32_t i = 0; i < plan->wait_count; i++) {
        if (plan->waits[i].kind != MU_WAIT_NO_FIT)
            continue;
        struct mu_report_text *text = mu_report_words_gang(w->words, w->db, &plan->waits[i]);
        assert_non_null(text);
        char message[MU_REPORT_TEXT_MAX + 1];
        (void)snprintf(message, sizeof message, "%.*s", (int)text->len, text->data);
        const char *at = strstr(message, mark);
        if (at != NULL)
            number = (int32_t)strtol(at + strlen(mark), NULL, 10);
        mu_report_text_unref(text);
    }
    mu_report_words_end(w->words);
    return number;
}

static void test_report_priority__random_clusters__sessions_agree(void **state)
{
    struct mu_test_run run = mu_test_run_begin(1);
    uint32_t said = 0, unsaid = 0;
    (void)state;
    for (run.step = 0; run.step < ROUNDS; run.step++) {
        const struct mu_plan *plan;
        struct world w = world_create(&run.random);
        if (!finds_room(&w, 0, &plan)) {
            int32_t priority = told(&w, plan);
            if (priority != INT32_MIN) {
                said++;
                MU_TEST_CHECK(&run, !finds_room(&w, priority - 1, &plan));
                MU_TEST_CHECK(&run, finds_room(&w, priority, &plan));
                MU_TEST_CHECK(&run, finds_room(&w, 1000000000, &plan));
            } else {
                unsaid++;
                MU_TEST_CHECK(&run, !finds_room(&w, 1000000000, &plan));
            }
        }
        world_destroy(&w);
    }
    assert_true(said > ROUNDS / 8 && unsaid > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report_priority__random_clusters__sessions_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
