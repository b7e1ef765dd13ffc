#ifndef MU_TOOLS_KUBESIM_GROUP_KINDS_H
#define MU_TOOLS_KUBESIM_GROUP_KINDS_H
/*
 * Kinds of objects that describe gangs need not be served: most are custom resources, and of
 * Kubernetes' own each release has others. Dialects, by their names here, have these:
 *
 *   native             Workload, PodGroup, CompositePodGroup (v1beta1, v1alpha3: Kubernetes 1.37)
 *   native-1.36        PodGroup (v1alpha2)
 *   native-1.35        Workload (v1alpha1)
 *   scheduler-plugins, volcano, kai, godel     their PodGroup
 */
#include "engine/base/error.h"
#include "tools/kubesim/apiserver.h"

#define MU_GROUP_DIALECTS      7u
#define MU_GROUP_DIALECT_NAMES "native,native-1.36,native-1.35,scheduler-plugins,volcano,kai,godel"

/* From when on each is served; UINT64_MAX: never. */
struct mu_group_kinds {
    uint64_t after_ns[MU_GROUP_DIALECTS];
};
/* All of them, from the beginning. */
void mu_group_kinds_all(struct mu_group_kinds *out);
/* A list such as "volcano,kai=10" (seconds after the start), or "none"; what is not named is never
 * served. Errors: MU_EINVAL; *out unchanged. */
int mu_group_kinds_parse(const char *text, struct mu_group_kinds *out, struct mu_error *error);
/* Serve those whose time has come, and no others. Watches of a kind that is not served any more
 * end; its objects are kept, and are there again with it. Returns when to be called again;
 * UINT64_MAX: never. */
uint64_t mu_group_kinds_apply(const struct mu_group_kinds *kinds, struct mu_apiserver *server,
                              uint64_t elapsed_ns);

#endif
