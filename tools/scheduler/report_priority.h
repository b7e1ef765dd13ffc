#ifndef MU_TOOLS_SCHEDULER_REPORT_PRIORITY_H
#define MU_TOOLS_SCHEDULER_REPORT_PRIORITY_H
/* From which priority on a gang that found no room would make others leave. */
#include "engine/place/place.h"
#include "engine/preempt/victim.h"

#define MU_REPORT_PRIORITY_PODS_MAX (1u << 15) /* with more bound pods it is not found out */

/* Of one plan. Zero is valid and empty. */
struct mu_report_priority {
    struct mu_victims victims;
    enum {
        MU_REPORT_PRIORITY_UNKNOWN,
        MU_REPORT_PRIORITY_KNOWN, /* the victims are */
        MU_REPORT_PRIORITY_COSTLY
    } state;
    uint32_t min_run_s; /* the caller's: pods that have run for less at now_s are no victims */
    uint32_t now_s;
};
void mu_report_priority_fini(struct mu_report_priority *p);
/* Another plan. */
void mu_report_priority_begin(struct mu_report_priority *p);

/* The lowest priority with which `size` members of the gang would find room, had it that priority:
 * units of lower priority leave (engine/preempt/victim.h), and nothing but what is placed is in the
 * way. INT32_MIN: none that a PriorityClass can give; who leaves already is enough; it is too
 * costly to find out. The gang is of one class that no rule about other pods concerns: more room
 * may lead others astray, so that nothing holds for every higher priority. `rows_max`: what may be
 * looked at; *rows is raised by what was. Everything is as before on return. Errors: MU_ENOMEM.
 * Cost: O(occupants) once for a plan, then O(log of the priorities that there are) times
 * mu_place_reach() and the victims. */
int mu_report_priority_find(struct mu_report_priority *p, struct mu_place *place,
                            const struct mu_snapshot *snapshot, struct mu_gang_ix gang,
                            uint32_t size, uint64_t reach_rows, uint64_t rows_max, uint64_t *rows,
                            int32_t *out);

#endif
