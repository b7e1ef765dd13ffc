#ifndef MU_INFORMER_REPORT_GROUP_H
#define MU_INFORMER_REPORT_GROUP_H
/*
 * What the status of a group object says of its gang, each dialect in its own fields:
 *
 *   native             condition PodGroupInitiallyScheduled (1.36: PodGroupScheduled), False with
 *                      Unschedulable or SchedulerError, or True. Once True it stays so
 *   scheduler-plugins  phase Pending (members are missing), Scheduling, Running (the minimum runs);
 *                      scheduleStartTime; running. Its controller writes the same by the same
 *                      rules, and what comes after (Finished, Failed), which is left alone
 *   Volcano            phase Inqueue (a controller may create its pods), Unknown (a part of the
 *                      minimum is bound, the other waits), Running; one condition, Unschedulable or
 *                      Scheduled, both True as Volcano has them; running. Completed is left alone
 *
 * Objects of other dialects have no status that a scheduler writes.
 *
 * Two statuses with the same digest say the same. Times are no part of it.
 */
#include <jansson.h>
#include "engine/base/buf.h"
#include "engine/object.h"

/* A group, at the moment of writing. Strings are valid until the next call into the DB. */
struct mu_report_group {
    enum mu_gang_source source;
    struct mu_str api; /* "/apis/GROUP/VERSION" */
    struct mu_str ns, name;
    uint64_t version; /* as last seen */
    uint64_t report;  /* struct mu_group_object, as are the next */
    uint32_t shown;
    bool single; /* its pods are placed one by one: what one of them waits for is not the group's */
    uint32_t min, members, running;
    uint32_t bound;
    bool stands; /* the minimum is bound */
};

/* What a status says. Strings are borrowed. */
struct mu_group_said {
    enum mu_gang_source source;
    uint32_t shown;                /* set of enum mu_group_shown */
    struct mu_str phase;           /* empty: native, or none */
    struct mu_str reason, message; /* of the condition; empty: none */
    uint32_t running;
};

bool mu_group_has_status(enum mu_gang_source source);
/* What an object shows, into its `report` and `shown`. Whatever cannot be read is not there. */
void mu_group_status_read(const json_t *tree, struct mu_group_object *object);
/* What there is to say: of a gang that waits for `message` (empty: of one that does not). False:
 * nothing, or what is there is not ours to change. */
bool mu_group_say(const struct mu_report_group *group, struct mu_str reason, struct mu_str message,
                  struct mu_group_said *out);
/* Never 0. */
uint64_t mu_group_said_digest(const struct mu_group_said *said);

/* Append the path of the object, or of its status, and the patch that makes it say so; the buffers'
 * sticky errors tell. The patch names the resourceVersion. */
void mu_group_status_path(struct mu_buf *out, const struct mu_report_group *group, bool main);
/* Strategic merge for native groups, whose conditions merge by type; merge patch for the others. */
void mu_group_status_body(struct mu_buf *out, const struct mu_report_group *group,
                          const struct mu_group_said *said, uint64_t wall_s);

#endif
