/*
 * What group objects are told of their gangs (informer/report_group.h says in which words).
 *
 * Nothing is kept here: whoever sees something move names the group to the reporter, which asks
 * when it writes. It moves when
 *
 *   a story is told    the gang waits, and why (report.c)
 *   a bind is confirmed, or a bound member is seen anew    it stands, or one more of it runs
 *   the object is seen    it may show less than is known, or what another has written
 *
 * A group without pods of ours is another scheduler's: nothing is said of it.
 */
#include "engine/base/assert.h"
#include "tools/scheduler/scheduler_priv.h"

bool mu_group_status_subject(void *context, uint32_t group, struct mu_report_group *out)
{
    const struct mu_scheduler *s = context;
    struct mu_group_view view;
    if (!mu_db_group_get(s->db, group, &view) || view.members == 0 || view.version == 0 ||
        !mu_group_has_status(view.source))
        return false;
    *out = (struct mu_report_group){.source = view.source,
                                    .api = mu_groups_api(s, view.source),
                                    .ns = view.ns,
                                    .name = view.name,
                                    .version = view.version,
                                    .report = view.report,
                                    .shown = view.shown,
                                    .single = view.single,
                                    .min = view.min,
                                    .members = view.members,
                                    .running = view.running,
                                    .bound = view.bound,
                                    .stands = view.stands};
    return out->api.len > 0;
}

void mu_group_status_written(void *context, uint32_t group, uint64_t report, uint32_t shown)
{
    struct mu_scheduler *s = context;
    mu_db_group_report(s->db, group, report, shown);
}

/* Without memory or room it is left as it is: what moves next says so again. */
static void moved(struct mu_scheduler *s, uint32_t group, struct mu_report_text *text)
{
    if (group != MU_NONE)
        (void)mu_reporter_group(s->reporter, group, text, s->now_ns);
}

void mu_group_status_told(struct mu_scheduler *s, struct mu_gang_ix gang,
                          struct mu_report_text *text)
{
    moved(s, mu_db_gang_group(s->db, gang), text);
}

void mu_group_status_seen(struct mu_scheduler *s, enum mu_gang_source source, struct mu_str ns,
                          struct mu_str name)
{
    if (s->reporter != NULL && mu_group_has_status(source))
        moved(s, mu_db_group_find(s->db, source, ns, name), NULL);
}

void mu_group_status_pod(struct mu_scheduler *s, const struct mu_pod_object *pod)
{
    if (pod->node_name.len > 0)
        mu_group_status_seen(s, pod->gang.source, pod->ns, pod->gang.name);
}
