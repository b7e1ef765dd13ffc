/*
 * One pass over labels and annotations collects the values of known keys, which nearly all pods
 * have none of; then the first dialect that any of them belongs to is read, and the others are not.
 *
 * Nothing is guessed. Within the dialect that decides, two names, a size that is no number in
 * bounds or a part without the rest is a problem, and the pod stays pending with it. The gang is
 * still named where a name can be read, so that the rest of the gang waits with the pod.
 *
 * That a pod is no victim is a mark of its own, whichever dialect decides, or none.
 */
#include "informer/dialect.h"

#include "engine/limits.h"
#include "informer/dialect_priv.h"
#include "informer/names.h"

static const char labels_field[] = "metadata.labels";
static const char annotations_field[] = "metadata.annotations";

/* ---- collecting --------------------------------------------------------------------------- */

static const struct {
    struct mu_str text;
    uint8_t place;
} keys[] = {
#define KEY_ROW(name, text_, place_) [name] = {{text_, sizeof(text_) - 1}, place_},
    MU_DIALECT_KEYS(KEY_ROW)
#undef KEY_ROW
};
_Static_assert(sizeof keys / sizeof keys[0] == MU_KEY_COUNT, "a row for each key");
_Static_assert(MU_KEY_COUNT <= 64, "a set of keys is one word");

#define LENGTH_BIT(name, text, place) | UINT64_C(1) << (sizeof(text) - 1)

static const struct mu_str koordinator = {MU_KOORDINATOR_PREFIX, sizeof MU_KOORDINATOR_PREFIX - 1};

/* The number of a key in such a place; MU_KEY_COUNT: none. Nearly all keys of a cluster are ruled
 * out by their length or first letter. */
static unsigned key_number(struct mu_str key, unsigned place)
{
    const uint64_t lengths = 0 MU_DIALECT_KEYS(LENGTH_BIT);
    if (key.len == 0 ||
        memchr(MU_DIALECT_LETTERS, key.data[0], sizeof MU_DIALECT_LETTERS - 1) == NULL)
        return MU_KEY_COUNT;
    const bool length = key.len < 64 && (lengths >> key.len & 1) != 0;
    for (unsigned k = 0; length && k < MU_KEY_COUNT; k++)
        if ((keys[k].place & place) != 0 && mu_str_equal(keys[k].text, key))
            return k;
    return mu_str_starts_with(key, koordinator) ? MU_KOORDINATOR_OTHER : MU_KEY_COUNT;
}

/* Of a key that comes twice the later one counts. */
static uint64_t collect(const struct mu_label *pairs, uint32_t count, unsigned place,
                        struct mu_str *values)
{
    uint64_t have = 0;
    for (uint32_t i = 0; i < count; i++) {
        unsigned k = key_number(pairs[i].key, place);
        if (k == MU_KEY_COUNT)
            continue;
        have |= UINT64_C(1) << k;
        values[k] = pairs[i].value;
    }
    return have;
}

/* ---- values ------------------------------------------------------------------------------- */

static bool on_annotation(const struct mu_dialect *d, unsigned key)
{
    return (d->have_annotations >> key & 1) != 0;
}

void mu_dialect_complain(struct mu_dialect *d, unsigned key, const char *expected)
{
    if (d->problem->rule != 0)
        return;
    bool label = key == MU_KEY_COUNT      ? false
                 : mu_dialect_has(d, key) ? !on_annotation(d, key)
                                          : keys[key].place == MU_ON_LABEL;
    *d->problem =
        (struct mu_dialect_problem){.rule = MU_RULE_GANG_SPEC,
                                    .field = label ? labels_field : annotations_field,
                                    .key = key == MU_KEY_COUNT ? MU_STR("") : keys[key].text,
                                    .expected = expected};
}

struct mu_str mu_dialect_text(struct mu_dialect *d, unsigned key)
{
    if (!mu_dialect_has(d, key))
        return (struct mu_str){NULL, 0};
    if (!on_annotation(d, key))
        return d->labels[key];
    if ((d->have_labels >> key & 1) != 0 && !mu_str_equal(d->labels[key], d->annotations[key]))
        mu_dialect_complain(d, key, "expected the same in label and annotation");
    return d->annotations[key];
}

struct mu_str mu_dialect_name(struct mu_dialect *d, unsigned key)
{
    struct mu_str text = mu_dialect_text(d, key);
    if (text.len > 0 && text.len <= MU_NAME_BYTES_MAX)
        return text;
    mu_dialect_complain(d, key, "expected a name of at most 253 bytes");
    return MU_STR("");
}

/* The name under either of two keys, which say the same. */
static struct mu_str name_of_two(struct mu_dialect *d, unsigned key, unsigned also)
{
    if (!mu_dialect_has(d, also))
        return mu_dialect_name(d, key);
    if (!mu_dialect_has(d, key))
        return mu_dialect_name(d, also);
    struct mu_str name = mu_dialect_name(d, key);
    if (!mu_str_equal(name, mu_dialect_text(d, also)))
        mu_dialect_complain(d, also, "expected one gang, it is named twice");
    return name;
}

uint32_t mu_dialect_count(struct mu_dialect *d, unsigned key)
{
    uint64_t value;
    if (mu_str_to_u64(mu_dialect_text(d, key), &value) && value > 0 && value <= MU_GANG_MEMBERS_MAX)
        return (uint32_t)value;
    mu_dialect_complain(d, key, "expected a number of pods, 1 to 16384");
    return 0;
}

static void set_name(struct mu_dialect *d, enum mu_gang_source source, struct mu_str name)
{
    if (name.len == 0)
        return;
    d->gang->source = source;
    d->gang->name = name;
}

/* ---- dialects with a group object ---------------------------------------------------------- */

static void read_group(struct mu_dialect *d)
{
    struct mu_str name = d->pod->group;
    if (name.len > 0 && name.len <= MU_NAME_BYTES_MAX) {
        set_name(d, MU_GANG_NATIVE, name);
        return;
    }
    *d->problem =
        (struct mu_dialect_problem){MU_RULE_GANG_SPEC, "spec.schedulingGroup.podGroupName",
                                    MU_STR(""), "expected a name of at most 253 bytes"};
}

/* Which replica it is makes another gang of the same part of the workload. */
static void read_workload(struct mu_dialect *d)
{
    const struct mu_dialect_pod *pod = d->pod;
    const struct mu_str parts[3] = {pod->workload, pod->pod_group, pod->replica};
    for (int i = 0; i < 3; i++) {
        if ((parts[i].len > 0 || i == 2) && parts[i].len <= MU_NAME_BYTES_MAX)
            continue;
        *d->problem =
            (struct mu_dialect_problem){MU_RULE_GANG_SPEC, "spec.workloadRef", MU_STR(""),
                                        "expected name and podGroup of at most 253 bytes each"};
        return;
    }
    struct mu_str name = mu_dialect_join(d, parts, parts[2].len > 0 ? 3 : 2, '/');
    if (name.data == NULL)
        return;
    set_name(d, MU_GANG_WORKLOAD, name);
    d->gang->object = pod->workload;
    d->gang->part = pod->pod_group;
}

static void read_volcano(struct mu_dialect *d)
{
    set_name(d, MU_GANG_VOLCANO, name_of_two(d, MU_VOLCANO_NAME, MU_VOLCANO_NAME_ALSO));
    if (mu_dialect_has(d, MU_VOLCANO_MIN))
        d->gang->size = mu_dialect_count(d, MU_VOLCANO_MIN);
    if (mu_dialect_has(d, MU_VOLCANO_TASK))
        d->gang->subgroup = mu_dialect_name(d, MU_VOLCANO_TASK);
}

static void read_coscheduling(struct mu_dialect *d)
{
    set_name(d, MU_GANG_COSCHEDULING, mu_dialect_name(d, MU_COSCHEDULING_NAME));
}

static void read_kai(struct mu_dialect *d)
{
    set_name(d, MU_GANG_KAI, mu_dialect_name(d, MU_KAI_NAME));
    if (mu_dialect_has(d, MU_KAI_SUBGROUP))
        d->gang->subgroup = mu_dialect_name(d, MU_KAI_SUBGROUP);
}

static void read_godel(struct mu_dialect *d)
{
    set_name(d, MU_GANG_GODEL, mu_dialect_name(d, MU_GODEL_NAME));
}

/* ---- inline dialects ----------------------------------------------------------------------- */

static void read_own(struct mu_dialect *d)
{
    const bool own = mu_dialect_has(d, MU_OWN_NAME);
    const bool plain = mu_dialect_has(d, MU_PLAIN_NAME) || mu_dialect_has(d, MU_PLAIN_NAME_ALSO);
    struct mu_str name = {NULL, 0};
    if (own)
        name = mu_dialect_name(d, MU_OWN_NAME);
    if (plain) {
        struct mu_str said = name_of_two(d, MU_PLAIN_NAME, MU_PLAIN_NAME_ALSO);
        if (own && !mu_str_equal(said, name))
            mu_dialect_complain(d, MU_OWN_NAME, "expected one gang, it is named twice");
        name = own ? name : said;
    }
    set_name(d, own ? MU_GANG_MUSTER : MU_GANG_PLAIN, name);
    if (mu_dialect_has(d, MU_OWN_SIZE) && !own)
        mu_dialect_complain(d, MU_OWN_SIZE, "expected muster.dev/pod-group with it");
    else if (mu_dialect_has(d, MU_OWN_SIZE))
        d->gang->size = mu_dialect_count(d, MU_OWN_SIZE);
}

static void read_lightweight(struct mu_dialect *d)
{
    set_name(d, MU_GANG_LIGHTWEIGHT, name_of_two(d, MU_LIGHT_NAME, MU_LIGHT_NAME_ALSO));
    unsigned min = mu_dialect_has(d, MU_LIGHT_MIN) ? MU_LIGHT_MIN : MU_LIGHT_MIN_ALSO;
    d->gang->size = mu_dialect_count(d, min);
    if (mu_dialect_has(d, MU_LIGHT_MIN) && mu_dialect_has(d, MU_LIGHT_MIN_ALSO) &&
        d->gang->size != mu_dialect_count(d, MU_LIGHT_MIN_ALSO))
        mu_dialect_complain(d, MU_LIGHT_MIN_ALSO, "expected one number, it is stated twice");
}

static void read_kueue(struct mu_dialect *d)
{
    set_name(d, MU_GANG_KUEUE, mu_dialect_name(d, MU_KUEUE_NAME));
    d->gang->size = mu_dialect_count(d, MU_KUEUE_TOTAL);
}

static void read_armada(struct mu_dialect *d)
{
    set_name(d, MU_GANG_ARMADA, mu_dialect_name(d, MU_ARMADA_ID));
    d->gang->size = mu_dialect_count(d, MU_ARMADA_SIZE);
    struct mu_str label = mu_dialect_text(d, MU_ARMADA_LABEL);
    if (label.len == 0)
        return;
    if (!mu_name_is_label_key(label)) {
        mu_dialect_complain(d, MU_ARMADA_LABEL, "expected the key of a node label");
        return;
    }
    d->gang->pack_key = label;
    d->gang->pack_required = true;
}

/* ---- which one decides --------------------------------------------------------------------- */

#define BIT(key) (UINT64_C(1) << (key))

static const struct {
    uint64_t marks; /* any of them makes the pod one of a gang of this dialect */
    void (*read)(struct mu_dialect *d);
} dialects[] = {
    {BIT(MU_VOLCANO_NAME) | BIT(MU_VOLCANO_NAME_ALSO) | BIT(MU_VOLCANO_MIN) |
         BIT(MU_VOLCANO_RESOURCES),
     read_volcano},
    {BIT(MU_COSCHEDULING_NAME), read_coscheduling},
    {BIT(MU_KAI_NAME) | BIT(MU_KAI_SUBGROUP), read_kai},
    {BIT(MU_GODEL_NAME), read_godel},
    {BIT(MU_OWN_NAME) | BIT(MU_OWN_SIZE), read_own},
    {BIT(MU_LIGHT_NAME) | BIT(MU_LIGHT_NAME_ALSO) | BIT(MU_LIGHT_MIN) | BIT(MU_LIGHT_MIN_ALSO),
     read_lightweight},
    {BIT(MU_KOORDINATOR_NAME) | BIT(MU_KOORDINATOR_MIN) | BIT(MU_KOORDINATOR_TOTAL) |
         BIT(MU_KOORDINATOR_WAIT) | BIT(MU_KOORDINATOR_MODE) | BIT(MU_KOORDINATOR_GROUPS) |
         BIT(MU_KOORDINATOR_MATCH) | BIT(MU_KOORDINATOR_OTHER),
     mu_dialect_read_koordinator},
    {BIT(MU_YUNIKORN_TASK) | BIT(MU_YUNIKORN_TASKS), mu_dialect_read_yunikorn},
    {BIT(MU_KUEUE_NAME) | BIT(MU_KUEUE_TOTAL), read_kueue},
    {BIT(MU_ARMADA_ID) | BIT(MU_ARMADA_SIZE), read_armada},
    {BIT(MU_PLAIN_NAME) | BIT(MU_PLAIN_NAME_ALSO), read_own},
};

static void read_deciding(struct mu_dialect *d)
{
    const uint64_t have = d->have_labels | d->have_annotations;
    if (d->pod->has_group) {
        read_group(d);
        return;
    }
    if (d->pod->has_workload) {
        read_workload(d);
        return;
    }
    for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++) {
        if ((have & dialects[i].marks) != 0) {
            dialects[i].read(d);
            return;
        }
    }
    if ((have & BIT(MU_COSCHEDULING_OLD)) != 0) {
        mu_dialect_complain(d, MU_COSCHEDULING_OLD,
                            "expected scheduling.x-k8s.io/pod-group in its place");
        d->problem->rule = MU_RULE_GANG_DIALECT;
    }
}

/* Volcano reads a bool as Go does; a value that is none marks nothing. */
static bool is_spared(struct mu_dialect *d)
{
    static const char *const no[] = {"false", "0", "f", "F", "FALSE", "False"};
    const struct mu_str preemptable = on_annotation(d, MU_VOLCANO_PREEMPTABLE)
                                          ? d->annotations[MU_VOLCANO_PREEMPTABLE]
                                          : d->labels[MU_VOLCANO_PREEMPTABLE];
    for (size_t i = 0; mu_dialect_has(d, MU_VOLCANO_PREEMPTABLE) && i < sizeof no / sizeof no[0];
         i++)
        if (mu_str_equal(preemptable, mu_str_of(no[i])))
            return true;
    return mu_dialect_has(d, MU_KAI_PREEMPTIBILITY) &&
           mu_str_equal(d->labels[MU_KAI_PREEMPTIBILITY], MU_STR("non-preemptible"));
}

int mu_dialect_read(const struct mu_dialect_pod *pod, struct mu_arena *arena,
                    struct mu_gang_ref *gang, bool *spared, struct mu_dialect_problem *problem)
{
    struct mu_dialect d; /* the values of keys that are not there are left as they are */
    d.pod = pod;
    d.arena = arena;
    d.gang = gang;
    d.problem = problem;
    d.error = 0;
    *gang = (struct mu_gang_ref){.source = MU_GANG_SOLO};
    *problem = (struct mu_dialect_problem){.rule = 0};
    *spared = false;
    d.have_labels = collect(pod->labels, pod->label_count, MU_ON_LABEL, d.labels);
    d.have_annotations =
        collect(pod->annotations, pod->annotation_count, MU_ON_ANNOTATION, d.annotations);
    if ((d.have_labels | d.have_annotations) == 0 && !pod->has_group && !pod->has_workload)
        return 0;
    read_deciding(&d);
    *spared = is_spared(&d);
    if (gang->source == MU_GANG_SOLO)
        *gang = (struct mu_gang_ref){.source = MU_GANG_SOLO};
    return d.error;
}
