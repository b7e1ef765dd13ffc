#ifndef MU_TESTS_CENSUS_CHANGE_H
#define MU_TESTS_CENSUS_CHANGE_H
/* Random changes of the censuses' world, sent to the DB and made in the arrays alike. For one test
 * file. */
#include "tests/census_check.h"

/* --- random changes --------------------------------------------------------------------------- */

static void change_node(struct world *w)
{
    int i = (int)below(w, NODES);
    struct node *n = &w->nodes[i];
    if (n->present && chance(w, 150)) {
        n->present = false;
        assert_int_equal(mu_db_node_remove(w->db, mu_str_of(node_name(i)), MU_STR("")), 0);
        return;
    }
    if (!n->present || chance(w, 200))
        n->cpus = 4 + below(w, 3);
    if (!n->present || chance(w, 500))
        n->zone = (int)below(w, 3);
    if (!n->present || chance(w, 300)) {
        n->rack = (int)below(w, 4);
        n->host = (int)below(w, 3);
    }
    n->tainted = chance(w, 300);
    n->present = true;
    n->version = ++w->version;
    send_node(w, i);
}

/* No node carries one of the keys any more. */
static void strip_key(struct world *w)
{
    uint32_t key = below(w, 3);
    for (int i = 0; i < NODES; i++) {
        struct node *n = &w->nodes[i];
        if (!n->present)
            continue;
        n->zone = key == 0 ? 0 : n->zone;
        n->rack = key == 1 ? 0 : n->rack;
        n->host = key == 2 ? 0 : n->host;
        n->version = ++w->version;
        send_node(w, i);
    }
}

static void change_pod(struct world *w, uint32_t rules_bound)
{
    uint32_t i = below(w, PODS);
    struct pod *p = &w->pods[i];
    if (p->exists && chance(w, 120)) {
        p->exists = false;
        char name[16];
        (void)snprintf(name, sizeof name, "pod-%u", i);
        assert_int_equal(
            mu_db_pod_remove(w->db, mu_str_of(spaces[p->space]), mu_str_of(name), MU_STR(""), 0),
            0);
        return;
    }
    bool fresh = !p->exists;
    if (fresh)
        *p = (struct pod){.exists = true,
                          .uid = ++w->uid,
                          .node = -1,
                          .space = below(w, SPACES),
                          .rules = below(w, rules_bound),
                          .ours = chance(w, 700)};
    if (fresh || chance(w, 150)) {
        p->app = (int)below(w, 4);
        p->tier = (int)below(w, 3);
    }
    if (chance(w, 60))
        p->rules = below(w, rules_bound);
    if (p->node < 0 && chance(w, p->ours ? 300 : 600))
        p->node = (int)below(w, NODES);
    p->terminating = chance(w, p->terminating ? 800 : 80);
    p->terminal = chance(w, p->terminal ? 800 : 40);
    p->version = ++w->version;
    send_pod(w, i);
}

static void change_ledger(struct world *w)
{
    struct mu_snapshot *s = w->replicas[0];
    struct pod *p = &w->pods[below(w, PODS)];
    if (!p->exists)
        return;
    switch (below(w, 4)) {
    case 0:
        mu_db_bind_refused(w->db, uid_of(w, p), true);
        return;
    case 1:
        mu_db_bind_refused(w->db, uid_of(w, p), false);
        return;
    case 2:
        mu_db_bind_confirmed(w->db, uid_of(w, p));
        return;
    default:
        break;
    }
    fixture_sync(w->db, s);
    uint32_t tries = 0; /* the later ones see what the earlier ones have placed */
    for (uint32_t g = 0; g < s->gang_rows && tries < 4; g++) {
        struct fixture_plan plan;
        struct mu_pod_view view;
        int node = (int)below(w, NODES);
        uint32_t row = fixture_row(w->db, s, node_name(node));
        if ((s->gangs[g].flags & MU_GANG_PENDING) == 0 || row == MU_NONE || chance(w, 500))
            continue;
        fixture_plan(&plan, s, g, row);
        assert_int_equal(plan.gang.bind_count, 1);
        assert_true(mu_db_pod_get(w->db, plan.binds[0].pod, &view));
        admit(w,
              &w->pods[view.name.data[view.name.len - 1] - '0' +
                       (view.name.len > 5 ? 10 * (view.name.data[4] - '0') : 0)],
              node, &plan);
        tries++;
    }
}

static void change_space(struct world *w)
{
    uint32_t i = below(w, SPACES);
    w->team[i] = (int)below(w, 3);
    struct mu_label team = {MU_STR("team"), MU_STR("")};
    if (w->team[i] != 0)
        team.value = mu_str_of(teams[w->team[i]]);
    if (w->team[i] == 0 && chance(w, 500))
        assert_int_equal(mu_db_namespace_remove(w->db, mu_str_of(spaces[i])), 0);
    else
        assert_int_equal(
            mu_db_namespace_upsert(w->db, mu_str_of(spaces[i]), &team, w->team[i] != 0, NULL), 0);
}

static void change(struct world *w, uint32_t rules_bound)
{
    uint32_t what = below(w, 100);
    if (what == 99)
        strip_key(w);
    else if (what < 20)
        change_node(w);
    else if (what < 80)
        change_pod(w, rules_bound);
    else if (what < 95)
        change_ledger(w);
    else
        change_space(w);
}

/* A world of so many random changes, with one replica that knows nothing yet and one that is up to
 * date with the first half. */
static void make_world(struct world *w, uint64_t seed, uint32_t steps)
{
    *w = (struct world){.db = fixture_create(0)};
    mu_random_init_seed(&w->random, seed);
    w->replicas[0] = mu_db_replica_create(w->db);
    w->replicas[1] = mu_db_replica_create(w->db);
    assert_true(w->replicas[0] != NULL && w->replicas[1] != NULL);
    for (uint32_t i = 0; i < steps; i++)
        change(w, RULES);
    fixture_sync(w->db, w->replicas[1]);
    for (uint32_t i = 0; i < steps; i++)
        change(w, RULES);
}

#endif
