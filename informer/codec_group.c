/*
 * The tree of an object, field by field, into struct mu_group_object. A field that may be missing
 * is as its absence where it is null. What is checked is what decides on placing; whoever serves
 * the object has checked the rest.
 */
#include "informer/codec_group.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "engine/base/assert.h"
#include "engine/limits.h"
#include "informer/json_read.h"
#include "informer/names.h"
#include "informer/report_group.h"

#define WORD_MAX 80

struct reader {
    struct mu_arena *arena;
    struct mu_group_reading *out;
    int error; /* the first */
};

enum mu_gang_source mu_group_source(struct mu_str api_version, struct mu_str kind)
{
    static const struct {
        const char *version, *kind;
        enum mu_gang_source source;
    } known[] = {{"scheduling.k8s.io/v1beta1", "PodGroup", MU_GANG_NATIVE},
                 {"scheduling.k8s.io/v1alpha3", "PodGroup", MU_GANG_NATIVE},
                 {"scheduling.k8s.io/v1alpha2", "PodGroup", MU_GANG_NATIVE},
                 {"scheduling.k8s.io/v1alpha1", "Workload", MU_GANG_WORKLOAD},
                 {"scheduling.x-k8s.io/v1alpha1", "PodGroup", MU_GANG_COSCHEDULING},
                 {"scheduling.volcano.sh/v1beta1", "PodGroup", MU_GANG_VOLCANO},
                 {"scheduling.run.ai/v2alpha2", "PodGroup", MU_GANG_KAI},
                 {"scheduling.godel.kubewharf.io/v1alpha1", "PodGroup", MU_GANG_GODEL}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (mu_str_equal(api_version, mu_str_of(known[i].version)) &&
            mu_str_equal(kind, mu_str_of(known[i].kind)))
            return known[i].source;
    return MU_GANG_SOLO;
}

/* ---- fields ------------------------------------------------------------------------------- */

/* Note what is wrong, unless something was before. */
__attribute__((format(printf, 3, 4))) static void bad(struct reader *r, const char *path,
                                                      const char *format, ...)
{
    if (r->error != 0)
        return;
    va_list args;
    va_start(args, format);
    (void)snprintf(r->out->path, sizeof r->out->path, "%s", path);
    (void)vsnprintf(r->out->problem, sizeof r->out->problem, format, args);
    va_end(args);
    r->error = MU_EINVAL;
}

/* What comes next is wrong only in that it is beyond a bound of ours. */
static void beyond(struct reader *r)
{
    r->out->beyond = r->out->beyond || r->error == 0;
}

static void not_built(struct reader *r, const char *path, uint32_t rule)
{
    if (r->out->unbuilt == NULL)
        r->out->unbuilt = path;
    r->out->object.unbuilt |= rule;
}

/* A text in the arena; empty where it is missing, or is none. */
static struct mu_str text_of(struct reader *r, const json_t *object, const char *key,
                             const char *path)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return MU_STR("");
    if (!json_is_string(value)) {
        bad(r, path, "expected a text");
        return MU_STR("");
    }
    struct mu_str copy = mu_arena_str(
        r->arena, (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)});
    if (copy.data == NULL)
        r->error = MU_ENOMEM;
    return copy;
}

/* A whole number; `least` - 1 where it is missing. */
static int64_t number_of(struct reader *r, const json_t *object, const char *key, const char *path,
                         int64_t least, int64_t most)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value))
        return least - 1;
    const int64_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= least && number <= most)
        return number;
    if (json_is_integer(value) && number > most && number <= INT32_MAX)
        beyond(r);
    bad(r, path, "expected a whole number, %lld to %lld", (long long)least, (long long)most);
    return least - 1;
}

/* A number of pods; 0 where it is missing. */
static uint32_t count_of(struct reader *r, const json_t *object, const char *key, const char *path,
                         int64_t least)
{
    int64_t count = number_of(r, object, key, path, least, MU_GANG_MEMBERS_MAX);
    return count < 0 ? 0 : (uint32_t)count;
}

/* Whether there is more than an empty list, object or text. */
static bool says_something(const json_t *value)
{
    return json_array_size(value) > 0 || json_object_size(value) > 0 ||
           json_string_length(value) > 0;
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static void read_meta(struct reader *r, const json_t *meta)
{
    struct mu_group_object *out = &r->out->object;
    struct mu_str version = text_of(r, meta, "resourceVersion", "metadata.resourceVersion");
    struct mu_str name = text_of(r, meta, "name", "metadata.name");
    struct mu_str ns = text_of(r, meta, "namespace", "metadata.namespace");
    out->uid = text_of(r, meta, "uid", "metadata.uid");
    if (!mu_str_to_u64(version, &out->version))
        out->version = 0;
    if (name.len == 0)
        bad(r, "metadata.name", "expected a name");
    else if (!mu_name_is_subdomain(name))
        bad(r, "metadata.name",
            "'%.*s' is not a name; expected at most 253 of a-z, 0-9, '-' and '.'", WORD_MAX,
            name.data);
    else
        out->name = name;
    if (ns.len > 63 || (ns.len > 0 && !mu_name_is_subdomain(ns)) ||
        (ns.len > 0 && memchr(ns.data, '.', ns.len) != NULL))
        bad(r, "metadata.namespace", "expected a namespace: at most 63 of a-z, 0-9 and '-'");
    else
        out->ns = ns;
}

static void read_priority(struct reader *r, const json_t *spec)
{
    const json_t *priority = json_object_get(spec, "priority");
    const json_int_t value = json_integer_value(priority);
    r->out->priority_class = text_of(r, spec, "priorityClassName", "spec.priorityClassName");
    if (priority == NULL || json_is_null(priority))
        return;
    if (!json_is_integer(priority) || value < INT32_MIN || value > INT32_MAX)
        bad(r, "spec.priority", "expected a 32-bit whole number");
    r->out->object.has_priority = true;
    r->out->object.priority = (int32_t)value;
}

static void read_timeout(struct reader *r, const json_t *spec)
{
    int64_t seconds =
        number_of(r, spec, "scheduleTimeoutSeconds", "spec.scheduleTimeoutSeconds", 0, INT32_MAX);
    r->out->object.timeout_s = seconds < 0 ? 0 : (uint32_t)seconds;
}

static struct mu_group_subgroup *make_subgroups(struct reader *r, size_t count, const char *path)
{
    if (count > MU_SUBGROUPS_MAX) {
        beyond(r);
        bad(r, path, "expected at most %u", MU_SUBGROUPS_MAX);
        return NULL;
    }
    struct mu_group_subgroup *made = mu_arena_calloc(r->arena, count + 1, sizeof *made);
    if (made == NULL)
        r->error = MU_ENOMEM;
    r->out->object.subgroups = made;
    return made;
}

/* ---- scheduling.k8s.io -------------------------------------------------------------------- */

/* Exactly one of basic and gang. Returns the minimum; 0: basic. */
static uint32_t read_policy(struct reader *r, const json_t *policy, const char *path,
                            const char *min_path)
{
    const json_t *gang = json_object_get(policy, "gang");
    const bool basic = json_is_object(json_object_get(policy, "basic"));
    if (basic == json_is_object(gang)) {
        bad(r, path, "expected one of basic and gang");
        return 1;
    }
    if (basic)
        return 0;
    uint32_t min = count_of(r, gang, "minCount", min_path, 1);
    if (min == 0)
        bad(r, min_path, "expected at least 1");
    return min;
}

static void read_native_topology(struct reader *r, const json_t *spec)
{
    const json_t *list =
        json_object_get(json_object_get(spec, "schedulingConstraints"), "topology");
    if (json_array_size(list) == 0)
        return;
    if (json_array_size(list) > 1)
        not_built(r, "spec.schedulingConstraints", MU_RULE_GANG_DIALECT);
    r->out->object.pack_key =
        text_of(r, json_array_get(list, 0), "key", "spec.schedulingConstraints.topology[0].key");
    r->out->object.pack_required = true;
    if (!mu_name_is_label_key(r->out->object.pack_key))
        bad(r, "spec.schedulingConstraints.topology[0].key", "expected the key of a node label");
}

static void read_native(struct reader *r, const json_t *spec)
{
    const json_t *mode = json_object_get(spec, "disruptionMode");
    struct mu_group_object *out = &r->out->object;
    out->min = read_policy(r, json_object_get(spec, "schedulingPolicy"), "spec.schedulingPolicy",
                           "spec.schedulingPolicy.gang.minCount");
    out->single_policy = out->min == 0;
    /* A word in 1.36, an object with one of two members since. */
    out->single_victims =
        !is_text(mode, "PodGroup") && !json_is_object(json_object_get(mode, "all"));
    out->never_preempts = is_text(json_object_get(spec, "preemptionPolicy"), "Never");
    read_native_topology(r, spec);
    read_priority(r, spec);
    if (says_something(json_object_get(spec, "parentCompositePodGroupName")))
        not_built(r, "spec.parentCompositePodGroupName", MU_RULE_GANG_DIALECT);
    if (says_something(json_object_get(spec, "resourceClaims")))
        not_built(r, "spec.resourceClaims", MU_RULE_RESOURCE_CLAIMS);
}

static void read_workload(struct reader *r, const json_t *spec)
{
    const json_t *list = json_object_get(spec, "podGroups");
    struct mu_group_subgroup *parts = make_subgroups(r, json_array_size(list), "spec.podGroups");
    size_t i;
    json_t *value;
    if (parts == NULL)
        return;
    r->out->object.subgroup_count = (uint32_t)json_array_size(list);
    json_array_foreach(list, i, value)
    {
        parts[i].name = text_of(r, value, "name", "spec.podGroups.name");
        parts[i].min = read_policy(r, json_object_get(value, "policy"), "spec.podGroups.policy",
                                   "spec.podGroups.policy.gang.minCount");
        parts[i].single = parts[i].min == 0;
        if (parts[i].name.len == 0)
            bad(r, "spec.podGroups.name", "expected a name");
        for (size_t k = 0; k < i; k++)
            if (mu_str_equal(parts[k].name, parts[i].name))
                bad(r, "spec.podGroups.name", "'%.*s' comes twice", WORD_MAX, parts[i].name.data);
    }
}

/* ---- custom resources --------------------------------------------------------------------- */

static void read_plain(struct reader *r, const json_t *spec)
{
    uint32_t min = count_of(r, spec, "minMember", "spec.minMember", 1);
    r->out->object.min = min > 0 ? min : 1;
    read_timeout(r, spec);
}

static void read_godel(struct reader *r, const json_t *spec)
{
    read_plain(r, spec);
    read_priority(r, spec);
}

static void read_tasks(struct reader *r, const json_t *spec)
{
    json_t *tasks = json_object_get(spec, "minTaskMember");
    struct mu_group_subgroup *subgroups =
        make_subgroups(r, json_object_size(tasks), "spec.minTaskMember");
    uint64_t sum = 0;
    uint32_t at = 0;
    const char *key;
    json_t *value;
    if (subgroups == NULL)
        return;
    json_object_foreach(tasks, key, value)
    {
        const struct mu_str name = mu_arena_str(r->arena, mu_str_of(key));
        if (name.data == NULL)
            r->error = MU_ENOMEM;
        subgroups[at] = (struct mu_group_subgroup){
            .name = name, .min = count_of(r, tasks, key, "spec.minTaskMember", 0)};
        sum += subgroups[at++].min;
    }
    if (sum > MU_GANG_MEMBERS_MAX) {
        beyond(r);
        bad(r, "spec.minTaskMember", "expected at most %u in all", MU_GANG_MEMBERS_MAX);
    }
    r->out->object.subgroup_count = at;
}

/* On the object as on a pod; an annotation counts before a label. */
static bool is_spared(const json_t *meta)
{
    static const char key[] = "volcano.sh/preemptable";
    const json_t *value = json_object_get(json_object_get(meta, "annotations"), key);
    if (value == NULL)
        value = json_object_get(json_object_get(meta, "labels"), key);
    return is_text(value, "false") || is_text(value, "False") || is_text(value, "FALSE") ||
           is_text(value, "f") || is_text(value, "F") || is_text(value, "0");
}

static void read_volcano(struct reader *r, const json_t *spec)
{
    const json_t *topology = json_object_get(spec, "networkTopology");
    uint32_t min = count_of(r, spec, "minMember", "spec.minMember", 0);
    r->out->object.min = min > 0 ? min : 1;
    read_tasks(r, spec);
    read_priority(r, spec);
    if (says_something(json_object_get(spec, "subGroupPolicy")))
        not_built(r, "spec.subGroupPolicy", MU_RULE_GANG_DIALECT);
    if (says_something(topology) && !is_text(json_object_get(topology, "mode"), "soft"))
        not_built(r, "spec.networkTopology", MU_RULE_GANG_DIALECT);
}

/*
 * KAI's sub-groups form a tree, whose leaves have the pods. All children of a sub-group have to run
 * (minSubGroup may ask for fewer, which is not built), so that the gang needs the minima of all
 * leaves, and the tree adds nothing, unless a sub-group above asks for more than those below it do
 * together: which of them gives more is left open, and not built.
 */
struct kai_subgroup {
    struct mu_str name;
    uint32_t parent;   /* NO_PARENT: the gang itself */
    uint32_t children; /* that name it as their parent */
    uint32_t min;
    uint32_t below; /* the sum of its leaves' minima */
    int64_t wanted; /* minSubGroup; -1: all of the children */
};
#define NO_PARENT UINT32_MAX

static void read_kai_subgroup(struct reader *r, const json_t *value, struct kai_subgroup *out)
{
    *out = (struct kai_subgroup){
        .name = text_of(r, value, "name", "spec.subGroups.name"),
        .parent = NO_PARENT,
        .min = count_of(r, value, "minMember", "spec.subGroups.minMember", 0),
        .wanted =
            number_of(r, value, "minSubGroup", "spec.subGroups.minSubGroup", 0, MU_SUBGROUPS_MAX)};
    if (out->name.len == 0)
        bad(r, "spec.subGroups.name", "expected a name");
    if (says_something(json_object_get(value, "topologyConstraint")))
        not_built(r, "spec.subGroups.topologyConstraint", MU_RULE_GANG_DIALECT);
}

/* Names to numbers. A name that is not there, comes twice, or leads round in a circle is wrong. */
static void link_kai_subgroups(struct reader *r, const json_t *list, struct kai_subgroup *all,
                               uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_str parent =
            text_of(r, json_array_get(list, i), "parent", "spec.subGroups.parent");
        for (uint32_t k = 0; k < count; k++) {
            if (k < i && mu_str_equal(all[k].name, all[i].name))
                bad(r, "spec.subGroups.name", "'%.*s' comes twice", WORD_MAX, all[i].name.data);
            if (parent.len > 0 && mu_str_equal(all[k].name, parent))
                all[i].parent = k;
        }
        if (parent.len > 0 && all[i].parent == NO_PARENT)
            bad(r, "spec.subGroups.parent", "'%.*s' is no sub-group", WORD_MAX, parent.data);
        else if (parent.len > 0)
            all[all[i].parent].children++;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t steps = 0;
        for (uint32_t at = all[i].parent; at != NO_PARENT && steps <= count; at = all[at].parent)
            steps++;
        if (steps > count)
            bad(r, "spec.subGroups.parent", "'%.*s' is below itself", WORD_MAX, all[i].name.data);
    }
}

/* The leaves, into the object. */
static void flatten_kai_subgroups(struct reader *r, struct kai_subgroup *all, uint32_t count,
                                  struct mu_group_subgroup *leaves)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].children > 0)
            continue;
        leaves[r->out->object.subgroup_count++] =
            (struct mu_group_subgroup){.name = all[i].name, .min = all[i].min};
        for (uint32_t at = all[i].parent; at != NO_PARENT; at = all[at].parent)
            all[at].below += all[i].min;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].children > 0 && all[i].min > all[i].below)
            not_built(r, "spec.subGroups.minMember", MU_RULE_GANG_DIALECT);
        if (all[i].wanted >= 0 && all[i].wanted != all[i].children)
            not_built(r, "spec.subGroups.minSubGroup", MU_RULE_GANG_DIALECT);
    }
}

static void read_kai_subgroups(struct reader *r, const json_t *spec)
{
    const json_t *list = json_object_get(spec, "subGroups");
    const uint32_t count = (uint32_t)json_array_size(list);
    const int64_t wanted =
        number_of(r, spec, "minSubGroup", "spec.minSubGroup", 1, MU_SUBGROUPS_MAX);
    struct mu_group_subgroup *leaves = make_subgroups(r, json_array_size(list), "spec.subGroups");
    struct kai_subgroup all[MU_SUBGROUPS_MAX];
    uint32_t roots = 0;
    if (leaves == NULL)
        return;
    MU_ASSERT(count <= MU_SUBGROUPS_MAX);
    for (uint32_t i = 0; i < count; i++)
        read_kai_subgroup(r, json_array_get(list, i), &all[i]);
    link_kai_subgroups(r, list, all, count);
    if (r->error != 0)
        return;
    flatten_kai_subgroups(r, all, count, leaves);
    for (uint32_t i = 0; i < count; i++)
        roots += all[i].parent == NO_PARENT;
    if (wanted > 0 && wanted != roots)
        not_built(r, "spec.minSubGroup", MU_RULE_GANG_DIALECT);
    if (wanted > 0 && count_of(r, spec, "minMember", "spec.minMember", 0) > 0)
        bad(r, "spec.minSubGroup", "expected it or minMember, not both");
}

static void read_kai(struct reader *r, const json_t *spec)
{
    struct mu_group_object *out = &r->out->object;
    const json_t *topology = json_object_get(spec, "topologyConstraint");
    uint32_t min = count_of(r, spec, "minMember", "spec.minMember", 0);
    out->min = min > 0 ? min : 1;
    out->spared = is_text(json_object_get(spec, "preemptibility"), "non-preemptible");
    read_kai_subgroups(r, spec);
    read_priority(r, spec);
    struct mu_str required = text_of(r, topology, "requiredTopologyLevel",
                                     "spec.topologyConstraint.requiredTopologyLevel");
    struct mu_str preferred = text_of(r, topology, "preferredTopologyLevel",
                                      "spec.topologyConstraint.preferredTopologyLevel");
    out->pack_required = required.len > 0;
    out->pack_key = required.len > 0 ? required : preferred;
    if (out->pack_key.len > 0 && !mu_name_is_label_key(out->pack_key))
        bad(r, "spec.topologyConstraint", "expected the key of a node label");
}

/* ---- all ---------------------------------------------------------------------------------- */

static void read_spec(struct reader *r, enum mu_gang_source source, const json_t *spec)
{
    switch (source) {
    case MU_GANG_NATIVE:
        read_native(r, spec);
        break;
    case MU_GANG_WORKLOAD:
        read_workload(r, spec);
        break;
    case MU_GANG_VOLCANO:
        read_volcano(r, spec);
        break;
    case MU_GANG_KAI:
        read_kai(r, spec);
        break;
    case MU_GANG_GODEL:
        read_godel(r, spec);
        break;
    default:
        read_plain(r, spec);
    }
}

int mu_group_read(enum mu_gang_source source, const json_t *tree, struct mu_arena *arena,
                  struct mu_group_reading *out)
{
    const json_t *spec = json_object_get(tree, "spec");
    const json_t *meta = json_object_get(tree, "metadata");
    struct reader r = {.arena = arena, .out = out};
    *out = (struct mu_group_reading){.object = {.source = source}};
    read_meta(&r, meta);
    if (spec != NULL && !json_is_null(spec) && !json_is_object(spec))
        bad(&r, "spec", "expected an object");
    else
        read_spec(&r, source, spec);
    if (source == MU_GANG_VOLCANO && is_spared(meta))
        out->object.spared = true;
    if (r.error == MU_EINVAL) {
        out->object = (struct mu_group_object){.source = source,
                                               .ns = out->object.ns,
                                               .name = out->object.name,
                                               .uid = out->object.uid,
                                               .version = out->object.version,
                                               .unbuilt = MU_RULE_GANG_SPEC};
    }
    return r.error;
}

int mu_group_decode(enum mu_gang_source source, struct mu_str text, struct mu_arena *arena,
                    struct mu_group_object *out, struct mu_error *warn, struct mu_error *error)
{
    struct mu_group_reading reading;
    json_t *tree = NULL;
    struct mu_error syntax = {.code = 0};
    int rc = mu_json_text_read(text, &tree, NULL, &syntax);
    if (rc != 0)
        return mu_error_set(error, rc == MU_ENOMEM ? rc : MU_EPROTO, "group: %.160s", syntax.text);
    rc = mu_group_read(source, tree, arena, &reading);
    mu_group_status_read(tree, &reading.object);
    json_decref(tree);
    if (rc == MU_ENOMEM)
        return mu_error_set(error, rc, "group: no memory");
    if (reading.object.name.len == 0)
        return mu_error_set(error, MU_EPROTO, "group: metadata.name: expected a name");
    if (rc != 0 && warn != NULL)
        (void)mu_error_set(warn, MU_EINVAL, "%s: %s", reading.path, reading.problem);
    *out = reading.object;
    return 0;
}
