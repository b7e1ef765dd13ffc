/*
 * Small worlds: trouble for a minute and a half of virtual time, then peace until rest. In half of
 * those with churn members of gangs are deleted, and a gang that is bound in part is ended sooner.
 */
#include "engine/base/clock.h"
#include "engine/base/random.h"
#include "tools/sim/sim.h"

#include <stdio.h>

#define TROUBLE_NS (90 * MU_NS_PER_S)
#define GANG_NS    (3 * MU_NS_PER_S) /* until a gang that is bound in part is ended */
#define SHORT_NS   MU_NS_PER_S       /* the same where members are deleted */
/* Longer than the silence after which a watch is given up plus the longest back-off, so that
 * nothing is merely asleep. */
#define REST_NS    (400 * MU_NS_PER_S)
#define HORIZON_NS (3600 * MU_NS_PER_S)
#define STEPS_MAX  100000u /* most runs take fewer than 6,000 */

static bool is_word(const char *list, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(list, word, len) == 0;
}

/* Cut our own words out of the list; what is left are kubesim's faults. */
int mu_sim_faults_parse(const char *list, struct mu_sim_small *small, struct mu_error *error)
{
    char rest[256] = "";
    size_t len = 0;
    bool all = list == NULL || strcmp(list, "all") == 0;
    small->churn = small->kills = small->pauses = all;
    small->wakes = false;
    if (all)
        return mu_faults_parse(MU_FAULTS_ALL, &small->faults, error);
    if (strcmp(list, "none") == 0)
        return mu_faults_parse("", &small->faults, error);
    while (*list != '\0') {
        size_t word = strcspn(list, ",");
        if (is_word(list, word, "churn")) {
            small->churn = true;
        } else if (is_word(list, word, "kill")) {
            small->kills = true;
        } else if (is_word(list, word, "pause")) {
            small->pauses = true;
        } else if (is_word(list, word, "wake")) {
            small->pauses = small->wakes = true;
        } else {
            if (len + word + 2 > sizeof rest)
                return mu_error_set(error, MU_EINVAL, "list of faults is longer than 254 bytes");
            if (len > 0)
                rest[len++] = ',';
            memcpy(rest + len, list, word);
            len += word;
            rest[len] = '\0';
        }
        list += word + (list[word] == ',');
    }
    struct mu_error why = {0};
    int rc = mu_faults_parse(rest, &small->faults, &why);
    return rc == 0 ? 0
                   : mu_error_set(error, rc, "%s (here also: churn, kill, pause, wake, all, none)",
                                  why.text);
}

int mu_sim_small_run(const struct mu_sim_small *small, uint64_t seed, struct mu_sim_result *result,
                     struct mu_error *error)
{
    struct mu_workload *workload = NULL;
    struct mu_sim_budget budgets[MU_SIM_BUDGETS_MAX];
    int rc = mu_sim_small_world(seed, &workload, error);
    if (rc != 0)
        return rc;
    struct mu_random random;
    mu_random_init_seed(&random, ~seed * 3);
    bool deletes = small->churn && mu_random_chance(&random, 500);
    struct mu_sim_config config = {.seed = seed,
                                   .workload = workload,
                                   .profile = small->profile,
                                   .faults = small->faults,
                                   .heal_ns = TROUBLE_NS,
                                   .churn = small->churn,
                                   .deletes = deletes,
                                   .kills = small->kills,
                                   .pauses = small->pauses,
                                   .wakes = small->wakes,
                                   .preempts = true,
                                   .gang_deadline_ns = deletes ? SHORT_NS : GANG_NS,
                                   .budgets = budgets,
                                   .budget_count = mu_sim_small_budgets(seed, budgets),
                                   .namespaces = mu_sim_small_namespaces,
                                   .namespace_count = MU_SIM_SMALL_NAMESPACES,
                                   .check = true,
                                   .rest_ns = REST_NS,
                                   .horizon_ns = HORIZON_NS,
                                   .steps_max = STEPS_MAX,
                                   .session_delay_ns = 20 * MU_NS_PER_MS};
    struct mu_sim *sim = mu_sim_create(&config);
    rc = sim == NULL ? mu_error_set(error, MU_ENOMEM, "out of memory")
                     : mu_sim_run(sim, result, NULL, NULL, error);
    if (rc == 0 && !result->rested && result->violation_count < MU_SIM_VIOLATIONS_KEPT) {
        struct mu_violation *v = &result->violations[result->violation_count++];
        *v = (struct mu_violation){.invariant = "I8", .step = result->steps};
        (void)snprintf(
            v->what, sizeof v->what, "not at rest after %llu s of virtual time and %llu steps",
            (unsigned long long)(result->end_ns / MU_NS_PER_S), (unsigned long long)result->steps);
    }
    mu_sim_destroy(sim);
    mu_workload_destroy(workload);
    return rc;
}
