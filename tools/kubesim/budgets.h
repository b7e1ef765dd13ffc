#ifndef MU_TOOLS_KUBESIM_BUDGETS_H
#define MU_TOOLS_KUBESIM_BUDGETS_H
/*
 * The disruption controller: keeps the status of PodDisruptionBudgets true to the pods. It reads
 * the server's history as kubelets do, so its work is what changed: a pod's change is matched
 * against the budgets of its namespace alone, and without budgets pods cost nothing at all.
 */
#include "tools/kubesim/apiserver.h"
#include "tools/kubesim/kobject.h"

struct mu_budgets; /* opaque; one thread */

/* The server is the caller's and outlives it. Errors: NULL. */
struct mu_budgets *mu_budgets_create(struct mu_apiserver *server);
void mu_budgets_destroy(struct mu_budgets *budgets);
/* Read what changed and write the statuses that it changes. */
void mu_budgets_run(struct mu_budgets *budgets, uint64_t now_ns);
/* When run has something to do: 0 when there are unread changes; UINT64_MAX: not by itself. */
uint64_t mu_budgets_next_ns(const struct mu_budgets *budgets);

/* True when the budget selects the pod: same namespace, a selector that is there and matches (an
 * empty one matches every pod). Both are encoded objects. Cost: a walk over their top levels. */
bool mu_budget_selects(const struct mu_kobject *budget, const struct mu_kobject *pod);
/* True when the pod's Ready condition is True. */
bool mu_pod_ready(const struct mu_kobject *pod);

#endif
