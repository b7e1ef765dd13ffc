#ifndef MU_TOOLS_KUBESIM_SERVED_H
#define MU_TOOLS_KUBESIM_SERVED_H
/*
 * What the table of kinds serves, seen from outside: groups, their versions, and the kinds in a
 * group and version. Discovery and OpenAPI are printed from it.
 */
#include "tools/kubesim/kinds.h"

/* A kind in one of the group versions that it is served in. */
struct mu_served {
    const struct mu_kind *kind; /* NULL before the first step */
    const char *group, *version, *api_version;
    const ProtobufCMessageDescriptor *schema;
    uint32_t next_kind, next_api;
    uint32_t hidden; /* kinds that are left out: bit 1 << enum mu_kind_ix */
};
/* Step through all kinds in all their group versions, from an `at` that is zero but for `hidden`.
 */
bool mu_served_next(struct mu_served *at);
/* The same within one group and version. */
bool mu_served_next_in(struct mu_served *at, const char *group, const char *version);

struct mu_served_group {
    const char *group; /* "" for core */
    uint32_t version_count;
    const char *versions[8]; /* preferred first */
};
struct mu_served_groups {
    uint32_t count;
    uint32_t hidden;
    struct mu_served_group groups[32]; /* core first, then in the table's order */
};
/* Thread: any. Cost: O(kinds * groups). */
void mu_served_groups(uint32_t hidden, struct mu_served_groups *out);
const struct mu_served_group *mu_served_group_find(const struct mu_served_groups *groups,
                                                   struct mu_str group);
/* The version of that name in a group, or NULL. */
const char *mu_served_version_find(const struct mu_served_group *group, struct mu_str version);

/* The verbs of a kind's objects, of its status and of its other subresources. End with NULL. */
const char *const *mu_served_verbs(const struct mu_kind *kind);
extern const char *const mu_served_status_verbs[];
extern const char *const mu_served_sub_verbs[];

#endif
