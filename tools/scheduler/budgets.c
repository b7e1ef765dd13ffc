/*
 * Disruption budgets: a reflector of their own. They are no condition for binding, only for
 * choosing victims; so a server that does not have them, or does not let us read them, keeps
 * nothing from being scheduled, and is named once. Until it has answered in one way or the other
 * nothing is decided: a victim that is chosen before its budget is known is chosen in vain.
 */
#include "engine/base/log.h"
#include "tools/scheduler/scheduler_priv.h"

/* A bad object is named and skipped; only lack of memory asks for a relist. */
static int skipped(struct mu_scheduler *s, const char *what, struct mu_str name, int rc,
                   const struct mu_error *error)
{
    s->stats.bad_objects++;
    mu_log(MU_LOG_WARN, what, MU_F_STR("name", name),
           MU_F_TEXT("error", error->code != 0 ? error->text : mu_error_text(rc)), MU_F_END);
    return rc == MU_ENOMEM ? rc : 0;
}

static int upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_budget_object budget = {.version = 0};
    struct mu_error error = {0}, warn = {0};
    (void)version; /* the object carries its own */
    (void)now_ns;
    mu_arena_reset(s->decode);
    int rc = mu_budget_decode(raw, s->decode, &budget, NULL, &warn, &error);
    if (rc == 0 && warn.code != 0)
        mu_log(MU_LOG_WARN, "disruption budget read with a problem",
               MU_F_TEXT("problem", warn.text), MU_F_END);
    if (rc == 0)
        rc = mu_db_budget_upsert(s->db, &budget, &error);
    return rc == 0 ? 0 : skipped(s, "disruption budget skipped", budget.name, rc, &error);
}

static int forget(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    struct mu_object_meta meta;
    struct mu_error error = {0};
    (void)version;
    (void)now_ns;
    int rc = mu_meta_decode(raw, &meta, &error);
    if (rc != 0)
        return skipped(s, "disruption budget removal skipped", MU_STR(""), rc, &error);
    mu_db_budget_remove(s->db, meta.ns, meta.name, meta.uid);
    return 0;
}

static void relist_begin(void *context)
{
    struct mu_scheduler *s = context;
    mu_db_budgets_relist(s->db);
}

static int relist_sweep(void *context, uint64_t now_ns)
{
    struct mu_scheduler *s = context;
    (void)now_ns;
    return mu_db_budgets_sweep(s->db, MU_SWEEP_BUDGET);
}

int mu_budgets_feed_create(struct mu_scheduler *s)
{
    const struct mu_reflector_config config = {.name = MU_STR("poddisruptionbudgets"),
                                               .path =
                                                   MU_STR("/apis/policy/v1/poddisruptionbudgets"),
                                               .page_limit = s->config.page_limit,
                                               .token_base = MU_TOKENS_BUDGETS};
    const struct mu_reflector_sink sink = {s, upsert, forget, relist_begin, relist_sweep};
    s->budgets = mu_reflector_create(&config, &sink, &s->random);
    return s->budgets == NULL ? MU_ENOMEM : 0;
}

static bool is_refused(const struct mu_reflector_stats *stats)
{
    return stats->last_failure == 403 || stats->last_failure == 404;
}

bool mu_budgets_feed_settled(const struct mu_scheduler *s)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(s->budgets, &stats);
    return stats.synced || is_refused(&stats);
}

void mu_budgets_feed_note(struct mu_scheduler *s)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(s->budgets, &stats);
    if (s->budgets_named || stats.synced || !is_refused(&stats))
        return;
    s->budgets_named = true;
    mu_log(MU_LOG_WARN, "disruption budgets are not heeded: they cannot be listed",
           MU_F_TEXT("problem", mu_reflector_problem(s->budgets)), MU_F_END);
}
