#include "tools/kubesim/served.h"

#include <stdlib.h>
#include <string.h>
#include "engine/base/assert.h"

bool mu_served_next(struct mu_served *at)
{
    if (at->kind != NULL && at->kind->apis != NULL && at->kind->apis[at->next_api].group != NULL) {
        const struct mu_kind_api *api = &at->kind->apis[at->next_api++];
        at->group = api->group;
        at->version = api->version;
        at->api_version = api->api_version;
        at->schema = api->schema != NULL ? api->schema : mu_kind_schema(at->kind);
        return true;
    }
    while (at->next_kind < MU_KIND_COUNT && (at->hidden >> at->next_kind & 1) != 0) {
        at->next_kind++;
    }
    if (at->next_kind == MU_KIND_COUNT) {
        return false;
    }
    at->kind = &mu_kinds[at->next_kind++];
    at->next_api = 0;
    at->group = at->kind->group;
    at->version = at->kind->version;
    at->api_version = at->kind->api_version;
    at->schema = mu_kind_schema(at->kind);
    return true;
}

bool mu_served_next_in(struct mu_served *at, const char *group, const char *version)
{
    while (mu_served_next(at)) {
        if (strcmp(at->group, group) == 0 && strcmp(at->version, version) == 0) {
            return true;
        }
    }
    return false;
}

/* How stable a version is: 2 for v1, 1 for v1beta1, 0 for v1alpha1; and its numbers. */
struct rank {
    int stage;
    unsigned long major, minor;
};

static struct rank rank_of(const char *version)
{
    struct rank rank = {.stage = 2};
    char *rest = NULL;
    MU_ASSERT(version[0] == 'v');
    rank.major = strtoul(version + 1, &rest, 10);
    if (strncmp(rest, "beta", 4) == 0) {
        rank.stage = 1;
        rank.minor = strtoul(rest + 4, NULL, 10);
    } else if (strncmp(rest, "alpha", 5) == 0) {
        rank.stage = 0;
        rank.minor = strtoul(rest + 5, NULL, 10);
    }
    return rank;
}

/* Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1. */
static bool is_preferred(const char *a, const char *b)
{
    struct rank x = rank_of(a);
    struct rank y = rank_of(b);
    if (x.stage != y.stage) {
        return x.stage > y.stage;
    }
    return x.major != y.major ? x.major > y.major : x.minor > y.minor;
}

static void add_version(struct mu_served_group *group, const char *version)
{
    if (mu_served_version_find(group, mu_str_of(version)) != NULL) {
        return;
    }
    MU_ASSERT(group->version_count < sizeof group->versions / sizeof group->versions[0]);
    uint32_t at = group->version_count++;
    for (; at > 0 && is_preferred(version, group->versions[at - 1]); at--) {
        group->versions[at] = group->versions[at - 1];
    }
    group->versions[at] = version;
}

void mu_served_groups(uint32_t hidden, struct mu_served_groups *out)
{
    *out = (struct mu_served_groups){.count = 1, .hidden = hidden, .groups = {{.group = ""}}};
    for (struct mu_served at = {.hidden = hidden}; mu_served_next(&at);) {
        uint32_t i = 0;
        while (i < out->count && strcmp(out->groups[i].group, at.group) != 0) {
            i++;
        }
        MU_ASSERT(i < sizeof out->groups / sizeof out->groups[0]);
        if (i == out->count) {
            out->groups[out->count++] = (struct mu_served_group){.group = at.group};
        }
        add_version(&out->groups[i], at.version);
    }
}

const struct mu_served_group *mu_served_group_find(const struct mu_served_groups *groups,
                                                   struct mu_str group)
{
    for (uint32_t i = 0; i < groups->count; i++) {
        if (mu_str_equal(group, mu_str_of(groups->groups[i].group))) {
            return &groups->groups[i];
        }
    }
    return NULL;
}

const char *mu_served_version_find(const struct mu_served_group *group, struct mu_str version)
{
    for (uint32_t i = 0; i < group->version_count; i++) {
        if (mu_str_equal(version, mu_str_of(group->versions[i]))) {
            return group->versions[i];
        }
    }
    return NULL;
}

const char *const mu_served_status_verbs[] = {"get", "patch", "update", NULL};
const char *const mu_served_sub_verbs[] = {"create", NULL};

const char *const *mu_served_verbs(const struct mu_kind *kind)
{
    static const char *const all[] = {"create", "delete", "get",   "list",
                                      "patch",  "update", "watch", NULL};
    return kind->no_update ? mu_served_sub_verbs : all;
}
