/*
 * Objects that describe gangs: a reflector for each source that has them, in JSON, since most are
 * custom resources.
 *
 * Nobody asks for the objects of a source before a pod names a gang of it: a cluster without
 * Volcano never hears a question about Volcano. From then on they are listed and watched for good.
 * A source that the server does not have is asked for again every 30 s, under every version of its
 * API that we read; what it had is gone, and its gangs wait. So do those of a source that we may
 * not list, which is named once, in the log and in what the gangs' pods are told.
 *
 * Start: nothing is decided before the objects that the listed pods ask for are known, because they
 * say which running pods are no victims. They are waited for until the server has refused them or
 * failed three times: a custom resource whose conversion is broken must not stop the cluster. Later
 * nothing is waited for: a source is new, so its pods are, and a gang without its object waits
 * anyway.
 */
#include "engine/base/assert.h"
#include "engine/base/log.h"
#include "informer/codec_group.h"
#include "tools/scheduler/scheduler_priv.h"

#define FAILURES_PATIENCE 3u
/* Between two attempts to begin, when memory is out. */
#define MEMORY_PAUSE_NS MU_NS_PER_S

/* By source. The newest version that we read comes first; each has the same objects. */
static const struct {
    const char *name;
    const char *paths[MU_REFLECTOR_PATHS_MAX];
} kinds[MU_GANG_SOURCES] = {
    [MU_GANG_NATIVE] = {"podgroups.scheduling.k8s.io",
                        {"/apis/scheduling.k8s.io/v1beta1/podgroups",
                         "/apis/scheduling.k8s.io/v1alpha3/podgroups",
                         "/apis/scheduling.k8s.io/v1alpha2/podgroups"}},
    [MU_GANG_WORKLOAD] = {"workloads.scheduling.k8s.io",
                          {"/apis/scheduling.k8s.io/v1alpha1/workloads"}},
    [MU_GANG_COSCHEDULING] = {"podgroups.scheduling.x-k8s.io",
                              {"/apis/scheduling.x-k8s.io/v1alpha1/podgroups"}},
    [MU_GANG_VOLCANO] = {"podgroups.scheduling.volcano.sh",
                         {"/apis/scheduling.volcano.sh/v1beta1/podgroups"}},
    [MU_GANG_KAI] = {"podgroups.scheduling.run.ai", {"/apis/scheduling.run.ai/v2alpha2/podgroups"}},
    [MU_GANG_GODEL] = {"podgroups.scheduling.godel.kubewharf.io",
                       {"/apis/scheduling.godel.kubewharf.io/v1alpha1/podgroups"}},
};

/* What is told to pods that wait. */
static const char *const words[] = {[MU_GROUPS_UNASKED] = NULL,
                                    [MU_GROUPS_KNOWN] = NULL,
                                    [MU_GROUPS_ABSENT] = "the API server has no such kind",
                                    [MU_GROUPS_FORBIDDEN] =
                                        "the API server does not let this scheduler list that kind",
                                    [MU_GROUPS_FAILING] = "the API server fails to list that kind"};

/* ---- the sink ----------------------------------------------------------------------------- */

static int skipped(struct mu_group_feed *f, const char *what, const struct mu_group_object *object,
                   int rc, const struct mu_error *error)
{
    f->scheduler->stats.bad_objects++;
    mu_log(MU_LOG_WARN, what, MU_F_TEXT("kind", kinds[f->source].name),
           MU_F_STR("namespace", object->ns), MU_F_STR("name", object->name),
           MU_F_TEXT("error", error->code != 0 ? error->text : mu_error_text(rc)), MU_F_END);
    return rc == MU_ENOMEM ? rc : 0;
}

static int upsert(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_group_feed *f = context;
    struct mu_scheduler *s = f->scheduler;
    struct mu_group_object object = {.version = 0};
    struct mu_error error = {0}, warn = {0};
    (void)version; /* the object carries its own */
    (void)now_ns;
    mu_arena_reset(s->decode);
    int rc = mu_group_decode(f->source, raw, s->decode, &object, &warn, &error);
    if (rc == 0 && warn.code != 0)
        mu_log(MU_LOG_WARN, "group read with a problem", MU_F_TEXT("kind", kinds[f->source].name),
               MU_F_STR("namespace", object.ns), MU_F_STR("name", object.name),
               MU_F_TEXT("problem", warn.text), MU_F_END);
    if (rc == 0)
        rc = mu_db_group_upsert(s->db, &object, &error);
    if (rc != 0)
        return skipped(f, "group skipped", &object, rc, &error);
    mu_group_status_seen(s, f->source, object.ns, object.name);
    return 0;
}

static int forget(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    struct mu_group_feed *f = context;
    struct mu_scheduler *s = f->scheduler;
    struct mu_group_object object = {.version = 0};
    struct mu_error error = {0};
    (void)version;
    (void)now_ns;
    mu_arena_reset(s->decode);
    int rc = mu_group_decode(f->source, raw, s->decode, &object, NULL, &error);
    if (rc != 0)
        return skipped(f, "group removal skipped", &object, rc, &error);
    mu_db_group_remove(s->db, f->source, object.ns, object.name);
    return 0;
}

static void relist_begin(void *context)
{
    struct mu_group_feed *f = context;
    mu_db_groups_relist(f->scheduler->db, f->source);
}

static int relist_sweep(void *context, uint64_t now_ns)
{
    struct mu_group_feed *f = context;
    (void)now_ns;
    return mu_db_groups_sweep(f->scheduler->db, f->source, MU_SWEEP_BUDGET);
}

/* ---- life --------------------------------------------------------------------------------- */

void mu_groups_feed_init(struct mu_scheduler *s)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++)
        s->groups[source] =
            (struct mu_group_feed){.scheduler = s, .source = (enum mu_gang_source)source};
    s->groups_ns = UINT64_MAX;
}

void mu_groups_feed_fini(struct mu_scheduler *s)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++)
        mu_reflector_destroy(s->groups[source].reflector);
}

static int begin(struct mu_scheduler *s, struct mu_group_feed *f)
{
    const struct mu_reflector_sink sink = {f, upsert, forget, relist_begin, relist_sweep};
    struct mu_reflector_config config = {.name = mu_str_of(kinds[f->source].name),
                                         .path = mu_str_of(kinds[f->source].paths[0]),
                                         .optional = true,
                                         .json = true,
                                         .page_limit = s->config.page_limit,
                                         .token_base =
                                             MU_TOKENS_GROUPS + ((uint64_t)f->source << 48)};
    for (uint32_t i = 1; i < MU_REFLECTOR_PATHS_MAX && kinds[f->source].paths[i] != NULL; i++)
        config.further_paths[i - 1] = mu_str_of(kinds[f->source].paths[i]);
    f->reflector = mu_reflector_create(&config, &sink, &s->random);
    if (f->reflector == NULL)
        return MU_ENOMEM;
    f->access = MU_GROUPS_KNOWN;
    mu_reflector_start(f->reflector, s->now_ns, s->out);
    return 0;
}

static enum mu_group_access access_of(const struct mu_reflector_stats *stats)
{
    if (stats->state == MU_REFLECTOR_ABSENT)
        return MU_GROUPS_ABSENT;
    if (stats->state != MU_REFLECTOR_BACKOFF)
        return MU_GROUPS_UNASKED;
    if (stats->last_failure == 403)
        return MU_GROUPS_FORBIDDEN;
    return !stats->synced && stats->failures >= FAILURES_PATIENCE ? MU_GROUPS_FAILING
                                                                  : MU_GROUPS_UNASKED;
}

/* Say what is new. A list that is under way again leaves what is said until it has its answer. */
static void note(struct mu_scheduler *s, struct mu_group_feed *f)
{
    struct mu_reflector_stats stats;
    mu_reflector_stats(f->reflector, &stats);
    enum mu_group_access access = access_of(&stats);
    if (stats.state == MU_REFLECTOR_WATCHING && *mu_reflector_problem(f->reflector) == '\0')
        access = MU_GROUPS_KNOWN;
    if (access == MU_GROUPS_UNASKED || access == f->access) {
        f->settled = f->settled || stats.synced;
        return;
    }
    f->access = access;
    f->settled = true;
    mu_db_groups_unknown(s->db, f->source, words[access]);
    if (access == MU_GROUPS_KNOWN)
        mu_log(MU_LOG_INFO, "groups are known", MU_F_TEXT("kind", kinds[f->source].name), MU_F_END);
    else
        mu_log(access == MU_GROUPS_ABSENT ? MU_LOG_INFO : MU_LOG_WARN,
               "gangs wait: their groups cannot be listed",
               MU_F_TEXT("kind", kinds[f->source].name),
               MU_F_TEXT("problem", mu_reflector_problem(f->reflector)), MU_F_END);
    if (s->dirty_ns == UINT64_MAX)
        s->dirty_ns = s->now_ns; /* who waits is told why */
}

void mu_groups_feed_run(struct mu_scheduler *s)
{
    const uint32_t asked = mu_db_group_sources(s->db);
    struct mu_reflector_stats pods;
    bool all = true;
    s->groups_ns = UINT64_MAX;
    for (uint32_t source = 0; asked >> source != 0; source++) {
        struct mu_group_feed *f = &s->groups[source];
        if ((asked >> source & 1) == 0)
            continue;
        if (f->reflector == NULL && begin(s, f) != 0) {
            s->groups_ns = s->now_ns + MEMORY_PAUSE_NS;
            all = false;
            continue;
        }
        note(s, f);
        all = all && f->settled;
    }
    if (s->groups_settled)
        return;
    mu_reflector_stats(s->reflectors[MU_DB_PODS], &pods);
    s->groups_settled = all && pods.synced;
}

/* ---- inputs ------------------------------------------------------------------------------- */

bool mu_groups_feed_reply(struct mu_scheduler *s, const struct mu_reply *reply)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++)
        if (s->groups[source].reflector != NULL &&
            mu_reflector_reply(s->groups[source].reflector, reply, s->now_ns, s->out))
            return true;
    return false;
}

void mu_groups_feed_tick(struct mu_scheduler *s)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++)
        if (s->groups[source].reflector != NULL &&
            mu_reflector_next_ns(s->groups[source].reflector) <= s->now_ns)
            mu_reflector_tick(s->groups[source].reflector, s->now_ns, s->out);
}

uint64_t mu_groups_feed_next_ns(const struct mu_scheduler *s)
{
    uint64_t next = s->groups_ns;
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++) {
        if (s->groups[source].reflector == NULL)
            continue;
        uint64_t due_ns = mu_reflector_next_ns(s->groups[source].reflector);
        next = due_ns < next ? due_ns : next;
    }
    return next;
}

void mu_groups_feed_retry(struct mu_scheduler *s)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++)
        if (s->groups[source].reflector != NULL)
            mu_reflector_retry(s->groups[source].reflector, s->now_ns);
}

void mu_groups_feed_stats(const struct mu_scheduler *s, struct mu_scheduler_stats *out)
{
    for (uint32_t source = 0; source < MU_GANG_SOURCES; source++) {
        const struct mu_group_feed *f = &s->groups[source];
        out->group_access[source] = f->access;
        if (f->reflector != NULL)
            mu_reflector_stats(f->reflector, &out->groups[source]);
    }
}

struct mu_str mu_groups_api(const struct mu_scheduler *s, enum mu_gang_source source)
{
    const struct mu_group_feed *f = &s->groups[source];
    if (f->reflector == NULL || f->access != MU_GROUPS_KNOWN || !f->settled)
        return MU_STR("");
    struct mu_str path = mu_reflector_path(f->reflector);
    while (path.len > 0 && path.data[path.len - 1] != '/')
        path.len--;
    MU_ASSERT(path.len > 1);
    return (struct mu_str){path.data, path.len - 1};
}
