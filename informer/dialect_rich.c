/*
 * The two dialects whose annotations are more than names and numbers.
 *
 * Koordinator. A gang may be one of a gang group: gangs that run together or not at all. The group
 * is one gang for us, named by its gangs in the order of their names, and each of them is a
 * sub-group. A pod states the minimum of its own gang alone; of the others it says that they must
 * be there. Its modes differ in what becomes of members that hold room while others wait for some,
 * which nobody does here; so Strict and NonStrict are the same.
 *
 * YuniKorn. An application is a gang whose task groups are listed in JSON on some of its pods, with
 * their minima. All who state the list must state it alike; who does not is a member all the same.
 */
#include <stdlib.h>
#include "engine/base/error.h"
#include "informer/dialect_priv.h"
#include "informer/json_read.h"
#include "informer/limits.h"

struct mu_str mu_dialect_join(struct mu_dialect *d, const struct mu_str *parts, uint32_t count,
                              char between)
{
    const struct mu_str none = {NULL, 0};
    uint64_t len = count - 1;
    for (uint32_t i = 0; i < count; i++)
        len += parts[i].len;
    if (len > MU_GANG_NAME_BYTES_MAX) {
        mu_dialect_complain(d, MU_KEY_COUNT, "expected names of at most 1024 bytes together");
        return none;
    }
    char *text = mu_arena_alloc(d->arena, len);
    if (text == NULL) {
        d->error = MU_ENOMEM;
        return none;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            text[at++] = between;
        memcpy(text + at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return (struct mu_str){text, at};
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* The list under a key; NULL: none, with a problem or an error. Owns: caller. */
static json_t *read_list(struct mu_dialect *d, unsigned key)
{
    struct mu_str text = mu_dialect_text(d, key);
    json_t *list = NULL;
    int rc =
        text.len > MU_GANG_JSON_BYTES_MAX ? MU_ELIMIT : mu_json_value_read(text, &list, NULL, NULL);
    if (rc == MU_ENOMEM)
        d->error = rc;
    else if (rc != 0 || !json_is_array(list) || json_array_size(list) > MU_SUBGROUPS_MAX)
        mu_dialect_complain(d, key, "expected a JSON list of at most 64");
    if (rc == 0 && json_is_array(list) && json_array_size(list) <= MU_SUBGROUPS_MAX)
        return list;
    json_decref(list);
    return NULL;
}

/* A text of the tree, in the arena. Empty: it is none that can be a name. */
static struct mu_str take_name(struct mu_dialect *d, const json_t *value)
{
    const struct mu_str text = {json_string_value(value), (uint32_t)json_string_length(value)};
    if (text.len == 0 || text.len > 2 * MU_NAME_BYTES_MAX)
        return MU_STR("");
    struct mu_str copy = mu_arena_str(d->arena, text);
    if (copy.data == NULL)
        d->error = MU_ENOMEM;
    return copy;
}

/* ---- Koordinator -------------------------------------------------------------------------- */

/* The part of a Go duration ("1h30m", "0.5s") up to and with its unit, in nanoseconds. */
static bool read_part(struct mu_str *rest, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ms", 1000000},     {"us", 1000},        {"ns", 1},
                 {"s", 1000000000u},  {"m", 60000000000u}, {"h", 3600000000000u},
                 {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000}};
    uint64_t whole = 0, part = 0, scale = 1;
    uint32_t at = 0, digits = 0;
    bool point = false;
    for (; at < rest->len; at++) {
        const char c = rest->data[at];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        digits++;
        if (!point && whole < UINT32_MAX)
            whole = whole * 10 + (uint64_t)(c - '0');
        if (point && scale < 1000000000u) {
            part = part * 10 + (uint64_t)(c - '0');
            scale *= 10;
        }
    }
    const struct mu_str tail = {rest->data + at, rest->len - at};
    for (size_t u = 0; digits > 0 && u < sizeof units / sizeof units[0]; u++) {
        const struct mu_str unit = mu_str_of(units[u].name);
        if (!mu_str_starts_with(tail, unit))
            continue;
        __extension__ const unsigned __int128 sum =
            (unsigned __int128)whole * units[u].ns + (unsigned __int128)part * units[u].ns / scale;
        *ns = sum > UINT64_MAX / 2 ? UINT64_MAX / 2 : (uint64_t)sum;
        *rest = (struct mu_str){tail.data + unit.len, tail.len - unit.len};
        return true;
    }
    return false;
}

/* A Go duration in seconds, rounded up. False: it is none, or negative. */
static bool read_duration(struct mu_str text, uint32_t *seconds)
{
    uint64_t sum = 0, part;
    if (mu_str_equal(text, MU_STR("0"))) {
        *seconds = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        if (!read_part(&text, &part))
            return false;
        sum = sum > UINT64_MAX / 2 - part ? UINT64_MAX / 2 : sum + part;
    }
    sum = sum / 1000000000u + (sum % 1000000000u != 0);
    *seconds = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
    return true;
}

static int compare_subgroups(const void *left, const void *right)
{
    const struct mu_group_subgroup *a = left;
    const struct mu_group_subgroup *b = right;
    return mu_str_compare(a->name, b->name);
}

/* The gangs of a list of "namespace/name", which are of the pod's namespace, without repetition.
 * False: there is a problem or an error. */
static bool read_gangs(struct mu_dialect *d, const json_t *list, struct mu_group_subgroup *gangs,
                       uint32_t *count)
{
    size_t i;
    json_t *value;
    *count = 0;
    json_array_foreach(list, i, value)
    {
        struct mu_str text = take_name(d, value);
        const struct mu_str ns = d->pod->ns;
        if (d->error != 0)
            return false;
        if (text.len <= ns.len + 1 || !mu_str_starts_with(text, ns) || text.data[ns.len] != '/' ||
            text.len - ns.len - 1 > MU_NAME_BYTES_MAX) {
            mu_dialect_complain(d, MU_KOORDINATOR_GROUPS,
                                "expected gangs of the pod's own namespace, \"namespace/name\"");
            return false;
        }
        gangs[(*count)++].name = (struct mu_str){text.data + ns.len + 1, text.len - ns.len - 1};
    }
    if (*count > 0)
        qsort(gangs, *count, sizeof *gangs, compare_subgroups);
    uint32_t kept = 0;
    for (uint32_t g = 0; g < *count; g++)
        if (kept == 0 || !mu_str_equal(gangs[kept - 1].name, gangs[g].name))
            gangs[kept++] = gangs[g];
    *count = kept;
    return true;
}

/* The pod's gang is one of several. */
static void join_gangs(struct mu_dialect *d, const struct mu_group_subgroup *gangs, uint32_t count)
{
    struct mu_str names[MU_SUBGROUPS_MAX];
    const struct mu_str own = d->gang->name;
    bool found = false;
    for (uint32_t g = 0; g < count; g++) {
        names[g] = gangs[g].name;
        found |= mu_str_equal(names[g], own);
    }
    if (!found) {
        mu_dialect_complain(d, MU_KOORDINATOR_GROUPS, "expected the pod's own gang among them");
        return;
    }
    struct mu_str name = mu_dialect_join(d, names, count, ',');
    if (name.data == NULL)
        return;
    d->gang->name = name;
    d->gang->subgroup = own;
    d->gang->subgroup_min = d->gang->size;
    d->gang->size = 0;
    d->gang->subgroups = gangs;
    d->gang->subgroup_count = count;
}

static void read_gang_group(struct mu_dialect *d)
{
    json_t *list = read_list(d, MU_KOORDINATOR_GROUPS);
    if (list == NULL)
        return;
    uint32_t count = 0;
    struct mu_group_subgroup *gangs =
        mu_arena_calloc(d->arena, json_array_size(list) + 1, sizeof *gangs);
    if (gangs == NULL)
        d->error = MU_ENOMEM;
    if (gangs != NULL && read_gangs(d, list, gangs, &count) && count > 0)
        join_gangs(d, gangs, count);
    json_decref(list);
}

static void read_koordinator_words(struct mu_dialect *d)
{
    struct mu_str mode = mu_dialect_text(d, MU_KOORDINATOR_MODE);
    struct mu_str match = mu_dialect_text(d, MU_KOORDINATOR_MATCH);
    struct mu_str wait = mu_dialect_text(d, MU_KOORDINATOR_WAIT);
    if (mode.data != NULL && !mu_str_equal(mode, MU_STR("Strict")) &&
        !mu_str_equal(mode, MU_STR("NonStrict")))
        mu_dialect_complain(d, MU_KOORDINATOR_MODE, "expected Strict or NonStrict");
    d->gang->waiting_only = mu_str_equal(match, MU_STR("only-waiting"));
    if (match.data != NULL && !d->gang->waiting_only &&
        !mu_str_equal(match, MU_STR("once-satisfied")) &&
        !mu_str_equal(match, MU_STR("waiting-and-running")))
        mu_dialect_complain(d, MU_KOORDINATOR_MATCH,
                            "expected once-satisfied, waiting-and-running or only-waiting");
    if (wait.data != NULL && !read_duration(wait, &d->gang->timeout_s))
        mu_dialect_complain(d, MU_KOORDINATOR_WAIT, "expected a duration such as 600s");
}

void mu_dialect_read_koordinator(struct mu_dialect *d)
{
    struct mu_str name = mu_dialect_name(d, MU_KOORDINATOR_NAME);
    if (name.len == 0)
        return;
    d->gang->source = MU_GANG_KOORDINATOR;
    d->gang->name = name;
    d->gang->size = mu_dialect_count(d, MU_KOORDINATOR_MIN);
    if (mu_dialect_has(d, MU_KOORDINATOR_TOTAL) &&
        mu_dialect_count(d, MU_KOORDINATOR_TOTAL) < d->gang->size)
        mu_dialect_complain(d, MU_KOORDINATOR_TOTAL, "expected at least min-available");
    read_koordinator_words(d);
    if (mu_dialect_text(d, MU_KOORDINATOR_GROUPS).len > 0)
        read_gang_group(d);
    if (mu_dialect_has(d, MU_KOORDINATOR_OTHER) && d->problem->rule == 0) {
        mu_dialect_complain(d, MU_KOORDINATOR_OTHER, "expected no others below this prefix");
        d->problem->rule = MU_RULE_GANG_DIALECT;
    }
}

/* ---- YuniKorn ----------------------------------------------------------------------------- */

/* One of "task-groups". False: it has no name, or its minimum is none. */
static bool read_task(struct mu_dialect *d, const json_t *value, struct mu_group_subgroup *out)
{
    const json_t *min = json_object_get(value, "minMember");
    *out =
        (struct mu_group_subgroup){.name = take_name(d, json_object_get(value, "name")), .min = 0};
    if (out->name.len == 0 || out->name.len > MU_NAME_BYTES_MAX || !json_is_integer(min) ||
        json_integer_value(min) < 1 || json_integer_value(min) > MU_GANG_MEMBERS_MAX)
        return false;
    out->min = (uint32_t)json_integer_value(min);
    return true;
}

/* In the order of their names. False: there is a problem or an error. */
static bool read_tasks(struct mu_dialect *d, const json_t *list, struct mu_group_subgroup *tasks)
{
    size_t i;
    json_t *value;
    uint64_t sum = 0;
    const size_t count = json_array_size(list);
    json_array_foreach(list, i, value)
    {
        if (!read_task(d, value, &tasks[i])) {
            mu_dialect_complain(d, MU_YUNIKORN_TASKS,
                                "expected of each a name and minMember, 1 to 16384");
            return false;
        }
        sum += tasks[i].min;
    }
    if (count > 0)
        qsort(tasks, count, sizeof *tasks, compare_subgroups);
    for (size_t t = 1; t < count; t++)
        if (mu_str_equal(tasks[t - 1].name, tasks[t].name))
            mu_dialect_complain(d, MU_YUNIKORN_TASKS, "expected no name twice");
    if (sum > MU_GANG_MEMBERS_MAX)
        mu_dialect_complain(d, MU_YUNIKORN_TASKS, "expected at most 16384 pods in all");
    return d->problem->rule == 0;
}

static void read_task_groups(struct mu_dialect *d)
{
    json_t *list = read_list(d, MU_YUNIKORN_TASKS);
    if (list == NULL)
        return;
    const uint32_t count = (uint32_t)json_array_size(list);
    bool found = d->gang->subgroup.len == 0;
    struct mu_group_subgroup *tasks = mu_arena_calloc(d->arena, count + 1u, sizeof *tasks);
    if (tasks == NULL)
        d->error = MU_ENOMEM;
    if (tasks != NULL && read_tasks(d, list, tasks)) {
        for (uint32_t t = 0; t < count; t++)
            found |= mu_str_equal(tasks[t].name, d->gang->subgroup);
        if (!found)
            mu_dialect_complain(d, MU_YUNIKORN_TASK, "expected one of its task-groups");
        d->gang->subgroups = tasks;
        d->gang->subgroup_count = count;
    }
    json_decref(list);
}

/* Words with values; of all of them the time that the room of a gang is kept. */
static void read_parameters(struct mu_dialect *d)
{
    const struct mu_str word = MU_STR("placeholderTimeoutInSeconds=");
    struct mu_str text = mu_dialect_text(d, MU_YUNIKORN_PARAMETERS);
    while (text.len > 0) {
        const char *space = memchr(text.data, ' ', text.len);
        uint32_t len = space == NULL ? text.len : (uint32_t)(space - text.data);
        struct mu_str one = {text.data, len};
        uint64_t seconds;
        text = (struct mu_str){text.data + len + (space != NULL), text.len - len - (space != NULL)};
        if (!mu_str_starts_with(one, word))
            continue;
        one = (struct mu_str){one.data + word.len, one.len - word.len};
        if (mu_str_to_u64(one, &seconds) && seconds <= UINT32_MAX)
            d->gang->timeout_s = (uint32_t)seconds;
        else
            mu_dialect_complain(d, MU_YUNIKORN_PARAMETERS,
                                "expected a number of seconds as placeholderTimeoutInSeconds");
    }
}

void mu_dialect_read_yunikorn(struct mu_dialect *d)
{
    const bool named = mu_dialect_has(d, MU_YUNIKORN_APP);
    struct mu_str name = mu_dialect_name(d, named ? MU_YUNIKORN_APP : MU_YUNIKORN_APP_OLD);
    if (named && mu_dialect_has(d, MU_YUNIKORN_APP_OLD) &&
        !mu_str_equal(name, mu_dialect_text(d, MU_YUNIKORN_APP_OLD)))
        mu_dialect_complain(d, MU_YUNIKORN_APP_OLD, "expected the name of app-id");
    if (name.len == 0)
        return;
    d->gang->source = MU_GANG_YUNIKORN;
    d->gang->name = name;
    if (mu_dialect_has(d, MU_YUNIKORN_TASK))
        d->gang->subgroup = mu_dialect_name(d, MU_YUNIKORN_TASK);
    if (mu_dialect_has(d, MU_YUNIKORN_TASKS))
        read_task_groups(d);
    if (mu_dialect_has(d, MU_YUNIKORN_PARAMETERS))
        read_parameters(d);
}
