#include "tools/kubesim/group_kinds.h"

#include <string.h>
#include "engine/base/clock.h"
#include "tools/kubesim/api_priv.h"

#define SECONDS_MAX UINT64_C(1000000)
#define BIT(kind)   (UINT32_C(1) << (kind))

static const struct {
    const char *name;
    uint32_t kinds;
} dialects[MU_GROUP_DIALECTS] = {
    {"native", BIT(MU_KIND_WORKLOADS) | BIT(MU_KIND_PODGROUPS) | BIT(MU_KIND_COMPOSITEPODGROUPS)},
    {"native-1.36", BIT(MU_KIND_PODGROUPS_136)},
    {"native-1.35", BIT(MU_KIND_WORKLOADS_135)},
    {"scheduler-plugins", BIT(MU_KIND_COSCHEDULING_PODGROUPS)},
    {"volcano", BIT(MU_KIND_VOLCANO_PODGROUPS)},
    {"kai", BIT(MU_KIND_KAI_PODGROUPS)},
    {"godel", BIT(MU_KIND_GODEL_PODGROUPS)},
};

void mu_group_kinds_all(struct mu_group_kinds *out)
{
    *out = (struct mu_group_kinds){.after_ns = {0}};
}

/* One "name" or "name=seconds". */
static int parse_one(struct mu_str word, struct mu_group_kinds *out, struct mu_error *error)
{
    const char *equals = memchr(word.data, '=', word.len);
    struct mu_str name = {word.data, equals == NULL ? word.len : (uint32_t)(equals - word.data)};
    uint64_t seconds = 0;
    if (equals != NULL &&
        (!mu_str_to_u64((struct mu_str){equals + 1, word.len - name.len - 1}, &seconds) ||
         seconds > SECONDS_MAX)) {
        return mu_error_set(error, MU_EINVAL, "'%.*s': expected seconds, 0 to %u, behind '='",
                            (int)(word.len < 80 ? word.len : 80), word.data, (unsigned)SECONDS_MAX);
    }
    for (uint32_t i = 0; i < MU_GROUP_DIALECTS; i++) {
        if (mu_str_equal(name, mu_str_of(dialects[i].name))) {
            out->after_ns[i] = seconds * MU_NS_PER_S;
            return 0;
        }
    }
    return mu_error_set(error, MU_EINVAL,
                        "'%.*s': expected none, or some of " MU_GROUP_DIALECT_NAMES,
                        (int)(name.len < 80 ? name.len : 80), name.data);
}

int mu_group_kinds_parse(const char *text, struct mu_group_kinds *out, struct mu_error *error)
{
    struct mu_group_kinds kinds;
    memset(&kinds, 0xff, sizeof kinds);
    const char *at = strcmp(text, "none") == 0 ? NULL : text;
    while (at != NULL) {
        const char *comma = strchr(at, ',');
        struct mu_str word = {at, comma == NULL ? (uint32_t)strlen(at) : (uint32_t)(comma - at)};
        int code = parse_one(word, &kinds, error);
        if (code != 0) {
            return code;
        }
        at = comma == NULL ? NULL : comma + 1;
    }
    *out = kinds;
    return 0;
}

uint64_t mu_group_kinds_apply(const struct mu_group_kinds *kinds, struct mu_apiserver *server,
                              uint64_t elapsed_ns)
{
    uint64_t next_ns = UINT64_MAX;
    uint32_t hidden = 0;
    for (uint32_t i = 0; i < MU_GROUP_DIALECTS; i++) {
        if (kinds->after_ns[i] <= elapsed_ns) {
            continue;
        }
        hidden |= dialects[i].kinds;
        next_ns = kinds->after_ns[i] < next_ns ? kinds->after_ns[i] : next_ns;
    }
    const uint32_t ended = hidden & ~server->hidden;
    server->hidden = hidden;
    for (uint32_t kind = 0; kind < MU_KIND_COUNT; kind++) {
        if ((ended & BIT(kind)) != 0) {
            mu_api_expire_watches(server, kind);
        }
    }
    return next_ns;
}
