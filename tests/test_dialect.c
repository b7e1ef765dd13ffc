#include "informer/dialect.h"

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/limits.h"
#include "tests/mu_test.h"

/*
 * A pod is written as words: "L key=value" a label, "A key=value" an annotation, "G name" its
 * schedulingGroup, "W workload podGroup replica" its workloadRef; each on a line. What becomes of
 * it is written as words too (render()), so that a table is readable.
 */
enum { PAIRS_MAX = 16, ARENA_BYTES = 1 << 20 };

struct pod {
    char text[4096];
    struct mu_label labels[PAIRS_MAX], annotations[PAIRS_MAX];
    struct mu_dialect_pod view;
};

static void add_pair(struct mu_label *pairs, uint32_t *count, char *text)
{
    char *equals = strchr(text, '=');
    assert_non_null(equals);
    assert_true(*count < PAIRS_MAX);
    *equals = '\0';
    pairs[(*count)++] = (struct mu_label){mu_str_of(text), mu_str_of(equals + 1)};
}

static struct mu_str next_word(char **text)
{
    char *word = strsep(text, " ");
    return word == NULL ? MU_STR("") : mu_str_of(word);
}

static void pod_of(struct pod *pod, const char *words)
{
    *pod = (struct pod){.view.ns = MU_STR("ns")};
    pod->view.labels = pod->labels;
    pod->view.annotations = pod->annotations;
    assert_true(strlen(words) < sizeof pod->text);
    memcpy(pod->text, words, strlen(words) + 1);
    char *rest = pod->text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char *value = line[0] == '\0' || line[1] == '\0' ? line : line + 2;
        switch (line[0]) {
        case 'L':
            add_pair(pod->labels, &pod->view.label_count, value);
            break;
        case 'A':
            add_pair(pod->annotations, &pod->view.annotation_count, value);
            break;
        case 'G':
            pod->view.has_group = true;
            pod->view.group = mu_str_of(value);
            break;
        case 'W':
            pod->view.has_workload = true;
            pod->view.workload = next_word(&value);
            pod->view.pod_group = next_word(&value);
            pod->view.replica = next_word(&value);
            break;
        default:
            assert_int_equal(line[0], '\0');
        }
    }
}

static const char *const sources[MU_GANG_SOURCES] = {
    [MU_GANG_SOLO] = "solo",
    [MU_GANG_PLAIN] = "plain",
    [MU_GANG_MUSTER] = "muster",
    [MU_GANG_NATIVE] = "native",
    [MU_GANG_COSCHEDULING] = "coscheduling",
    [MU_GANG_VOLCANO] = "volcano",
    [MU_GANG_WORKLOAD] = "workload",
    [MU_GANG_KAI] = "kai",
    [MU_GANG_GODEL] = "godel",
    [MU_GANG_LIGHTWEIGHT] = "lightweight",
    [MU_GANG_KOORDINATOR] = "koordinator",
    [MU_GANG_YUNIKORN] = "yunikorn",
    [MU_GANG_KUEUE] = "kueue",
    [MU_GANG_ARMADA] = "armada",
};

static void render(struct mu_buf *out, const struct mu_gang_ref *gang, bool spared,
                   const struct mu_dialect_problem *problem)
{
    (void)mu_buf_append_text(out, sources[gang->source]);
    if (gang->name.len > 0)
        (void)mu_buf_printf(out, " %.*s", MU_STR_ARGS(gang->name));
    if (gang->size > 0)
        (void)mu_buf_printf(out, " size=%u", gang->size);
    if (gang->subgroup.len > 0)
        (void)mu_buf_printf(out, " sub=%.*s", MU_STR_ARGS(gang->subgroup));
    if (gang->subgroup_min > 0)
        (void)mu_buf_printf(out, " submin=%u", gang->subgroup_min);
    for (uint32_t i = 0; i < gang->subgroup_count; i++)
        (void)mu_buf_printf(out, "%s%.*s:%u", i == 0 ? " of=" : ",",
                            MU_STR_ARGS(gang->subgroups[i].name), gang->subgroups[i].min);
    if (gang->object.len > 0)
        (void)mu_buf_printf(out, " object=%.*s/%.*s", MU_STR_ARGS(gang->object),
                            MU_STR_ARGS(gang->part));
    if (gang->pack_key.len > 0)
        (void)mu_buf_printf(out, " pack=%.*s%s", MU_STR_ARGS(gang->pack_key),
                            gang->pack_required ? "!" : "");
    if (gang->timeout_s > 0)
        (void)mu_buf_printf(out, " timeout=%u", gang->timeout_s);
    if (gang->waiting_only)
        (void)mu_buf_append_text(out, " waiting-only");
    if (spared)
        (void)mu_buf_append_text(out, " spared");
    if (problem->rule != 0) {
        assert_true(strncmp(problem->expected, "expected ", 9) == 0);
        (void)mu_buf_printf(out, " %c%s[%.*s]", problem->rule == MU_RULE_GANG_SPEC ? '!' : '?',
                            problem->field, MU_STR_ARGS(problem->key));
    }
}

static void assert_reads(const char *words, const char *expected)
{
    struct pod pod;
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    struct mu_gang_ref gang = {.size = 77};
    struct mu_dialect_problem problem = {.rule = 77};
    bool spared = true;
    struct mu_buf out = {.max = 0};
    assert_non_null(arena);
    pod_of(&pod, words);
    assert_int_equal(mu_dialect_read(&pod.view, arena, &gang, &spared, &problem), 0);
    render(&out, &gang, spared, &problem);
    if (out.len != strlen(expected) || memcmp(out.data, expected, out.len) != 0)
        fail_msg("%s\n  is        %.*s\n  should be %s", words, (int)out.len,
                 (const char *)out.data, expected);
    mu_buf_fini(&out);
    mu_arena_destroy(arena);
}

struct row {
    const char *pod, *gang;
};
static void assert_table(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_reads(rows[i].pod, rows[i].gang);
}
#define ASSERT_TABLE(rows) assert_table(rows, sizeof(rows) / sizeof((rows)[0]))

/* --- one table a dialect --------------------------------------------------------------------- */

static const struct row solo[] = {
    {"", "solo"},
    {"A kubernetes.io/config.seen=x\nA queue=q\nL app=web\nA =", "solo"},
    {"A volcano.sh/task-spec=ps\nA volcano.sh/queue-name=q\nL kai.scheduler/queue=q", "solo"},
    {"A yunikorn.apache.org/app-id=a\nL applicationId=a\nL queue=root", "solo"},
    {"L kueue.x-k8s.io/queue-name=q", "solo"},
    {"L pod-group=g\nL pod-group-name=g\nL scheduling.k8s.io/group-name=g", "solo"},
    {"A scheduling.x-k8s.io/pod-group=g\nA kueue.x-k8s.io/pod-group-name=g", "solo"},
};
static void test_dialect__nothing_named__gang_of_one(void **state)
{
    (void)state;
    ASSERT_TABLE(solo);
}

#define OWN   "A muster.dev/pod-group=g\n"
#define SIZE  "A muster.dev/pod-group-size="
#define NOT_A " !metadata.annotations[muster.dev/pod-group-size]"
static const struct row own[] = {
    {"A pod-group=g1", "plain g1"},
    {"A pod_group=g2", "plain g2"},
    {"A pod_group=g\nA pod-group=g", "plain g"},
    {OWN, "muster g"},
    {SIZE "64\n" OWN, "muster g size=64"},
    {OWN SIZE "16384", "muster g size=16384"},
    {"A pod-group=g\n" OWN, "muster g"},
    {"A muster.dev/pod-group=old\n" OWN, "muster g"},
    /* no size in bounds */
    {OWN SIZE, "muster g" NOT_A},
    {OWN SIZE "0", "muster g" NOT_A},
    {OWN SIZE "-1", "muster g" NOT_A},
    {OWN SIZE "+4", "muster g" NOT_A},
    {OWN SIZE "4 ", "muster g" NOT_A},
    {OWN SIZE "4.0", "muster g" NOT_A},
    {OWN SIZE "0x4", "muster g" NOT_A},
    {OWN SIZE "04", "muster g" NOT_A},
    {OWN SIZE "4k", "muster g" NOT_A},
    {OWN SIZE "16385", "muster g" NOT_A},
    {OWN SIZE "18446744073709551620", "muster g" NOT_A},
    {OWN SIZE "four", "muster g" NOT_A},
    /* a size without its group, no name, two names */
    {SIZE "4", "solo" NOT_A},
    {"A pod-group=g\n" SIZE "4", "plain g" NOT_A},
    {"A muster.dev/pod-group=", "solo !metadata.annotations[muster.dev/pod-group]"},
    {"A pod-group=", "solo !metadata.annotations[pod-group]"},
    {"A pod_group=", "solo !metadata.annotations[pod_group]"},
    {"A pod-group=a\nA pod_group=b", "plain a !metadata.annotations[pod_group]"},
    {"A pod-group=a\nA muster.dev/pod-group=b",
     "muster b !metadata.annotations[muster.dev/pod-group]"},
    {OWN "A pod-group=g\nA pod_group=b", "muster g !metadata.annotations[pod_group]"},
};
static void test_dialect_own__table(void **state)
{
    (void)state;
    ASSERT_TABLE(own);
}

static const struct row native[] = {
    {"G trainers", "native trainers"},
    {"G ", "solo !spec.schedulingGroup.podGroupName[]"},
    {"W job workers", "workload job/workers object=job/workers"},
    {"W job workers 3", "workload job/workers/3 object=job/workers"},
    {"W job", "solo !spec.workloadRef[]"},
    {"W  workers", "solo !spec.workloadRef[]"},
    {"G trainers\nW job workers", "native trainers"},
};
static void test_dialect_native__table(void **state)
{
    (void)state;
    ASSERT_TABLE(native);
}

#define VOLCANO "A scheduling.k8s.io/group-name=g\n"
static const struct row volcano[] = {
    {VOLCANO, "volcano g"},
    {"A scheduling.volcano.sh/group-name=g", "volcano g"},
    {VOLCANO "A scheduling.volcano.sh/group-name=g", "volcano g"},
    {VOLCANO "A volcano.sh/task-spec=ps\nA volcano.sh/job-name=j", "volcano g sub=ps"},
    {VOLCANO "A scheduling.volcano.sh/group-min-member=3", "volcano g size=3"},
    {VOLCANO "A scheduling.volcano.sh/group-min-resources={\"cpu\":\"4\"}", "volcano g"},
    {VOLCANO "A scheduling.volcano.sh/queue-name=q\nA volcano.sh/queue-name=q", "volcano g"},
    {"L scheduling.k8s.io/group-name=g", "solo"}, /* an annotation only */
    {VOLCANO "A volcano.sh/preemptable=false", "volcano g spared"},
    {VOLCANO "A volcano.sh/preemptable=true", "volcano g"},
    {VOLCANO "L volcano.sh/preemptable=False", "volcano g spared"},
    {VOLCANO "L volcano.sh/preemptable=false\nA volcano.sh/preemptable=true", "volcano g"},
    {VOLCANO "A volcano.sh/preemptable=no", "volcano g"},
    {"A volcano.sh/preemptable=false", "solo spared"},
    {VOLCANO "A scheduling.volcano.sh/group-name=h",
     "volcano g !metadata.annotations[scheduling.volcano.sh/group-name]"},
    {VOLCANO "A scheduling.volcano.sh/group-min-member=0",
     "volcano g !metadata.annotations[scheduling.volcano.sh/group-min-member]"},
    {VOLCANO "A volcano.sh/task-spec=", "volcano g !metadata.annotations[volcano.sh/task-spec]"},
    {VOLCANO "A scheduling.volcano.sh/group-min-member=16385",
     "volcano g !metadata.annotations[scheduling.volcano.sh/group-min-member]"},
    {VOLCANO "A scheduling.volcano.sh/group-min-member=three",
     "volcano g !metadata.annotations[scheduling.volcano.sh/group-min-member]"},
    {"A scheduling.k8s.io/group-name=", "solo !metadata.annotations[scheduling.k8s.io/group-name]"},
    /* the controller makes a group for it, and says so later */
    {"A scheduling.volcano.sh/group-min-member=3",
     "solo !metadata.annotations[scheduling.k8s.io/group-name]"},
    {"A scheduling.volcano.sh/group-min-resources={}",
     "solo !metadata.annotations[scheduling.k8s.io/group-name]"},
};
static void test_dialect_volcano__table(void **state)
{
    (void)state;
    ASSERT_TABLE(volcano);
}

static const struct row with_object[] = {
    {"L scheduling.x-k8s.io/pod-group=g", "coscheduling g"},
    {"L scheduling.x-k8s.io/pod-group=", "solo !metadata.labels[scheduling.x-k8s.io/pod-group]"},
    {"L pod-group.scheduling.sigs.k8s.io=g",
     "solo ?metadata.labels[pod-group.scheduling.sigs.k8s.io]"},
    {"A pod-group-name=g", "kai g"},
    {"A pod-group-name=g\nL kai.scheduler/subgroup-name=s", "kai g sub=s"},
    {"A pod-group-name=g\nL kai.scheduler/queue=q", "kai g"},
    {"A pod-group-name=", "solo !metadata.annotations[pod-group-name]"},
    {"L godel.bytedance.com/pod-group-name=",
     "solo !metadata.labels[godel.bytedance.com/pod-group-name]"},
    {"A pod-group-name=g\nL kai.scheduler/preemptibility=non-preemptible", "kai g spared"},
    {"A pod-group-name=g\nL kai.scheduler/preemptibility=preemptible", "kai g"},
    {"L kai.scheduler/preemptibility=non-preemptible", "solo spared"},
    {"L kai.scheduler/subgroup-name=s", "solo !metadata.annotations[pod-group-name]"},
    {"A pod-group-name=g\nL kai.scheduler/subgroup-name=",
     "kai g !metadata.labels[kai.scheduler/subgroup-name]"},
    {"A godel.bytedance.com/pod-group-name=g", "godel g"},
    {"L godel.bytedance.com/pod-group-name=g", "godel g"},
    {"L godel.bytedance.com/pod-group-name=g\nA godel.bytedance.com/pod-group-name=g", "godel g"},
    {"L godel.bytedance.com/pod-group-name=h\nA godel.bytedance.com/pod-group-name=g",
     "godel g !metadata.annotations[godel.bytedance.com/pod-group-name]"},
};
static void test_dialect_with_object__table(void **state)
{
    (void)state;
    ASSERT_TABLE(with_object);
}

#define LIGHT  "L pod-group.scheduling.sigs.k8s.io/"
#define LIGHTX "L pod-group.scheduling.x-k8s.io/"
static const struct row lightweight[] = {
    {LIGHT "name=g\n" LIGHT "min-available=3", "lightweight g size=3"},
    {LIGHTX "name=g\n" LIGHTX "min-available=3", "lightweight g size=3"},
    {LIGHTX "name=g\n" LIGHT "min-available=3", "lightweight g size=3"},
    {LIGHT "name=g\n" LIGHT "min-available=3\n" LIGHTX "name=g\n" LIGHTX "min-available=3",
     "lightweight g size=3"},
    {LIGHT "name=g\n" LIGHT "min-available=3\n" LIGHTX "min-available=4",
     "lightweight g size=3 !metadata.labels[pod-group.scheduling.x-k8s.io/min-available]"},
    {LIGHT "name=g\n" LIGHT "min-available=3\n" LIGHTX "name=h",
     "lightweight g size=3 !metadata.labels[pod-group.scheduling.x-k8s.io/name]"},
    {LIGHT "name=g", "lightweight g !metadata.labels[pod-group.scheduling.x-k8s.io/min-available]"},
    {LIGHT "min-available=3", "solo !metadata.labels[pod-group.scheduling.sigs.k8s.io/name]"},
    {LIGHTX "min-available=3", "solo !metadata.labels[pod-group.scheduling.sigs.k8s.io/name]"},
    {LIGHT "name=g\n" LIGHT "min-available=0",
     "lightweight g !metadata.labels[pod-group.scheduling.sigs.k8s.io/min-available]"},
    {LIGHT "name=\n" LIGHT "min-available=3",
     "solo !metadata.labels[pod-group.scheduling.sigs.k8s.io/name]"},
};
static void test_dialect_lightweight__table(void **state)
{
    (void)state;
    ASSERT_TABLE(lightweight);
}

#define KOORD  "A gang.scheduling.koordinator.sh/"
#define KOORD3 KOORD "name=g\n" KOORD "min-available=3\n"
#define BAD_K  " !metadata.annotations[gang.scheduling.koordinator.sh/"
static const struct row koordinator[] = {
    {KOORD3, "koordinator g size=3"},
    {"L gang.scheduling.koordinator.sh/name=g\nL gang.scheduling.koordinator.sh/min-available=3",
     "koordinator g size=3"},
    {KOORD3 KOORD "total-number=3\n" KOORD "mode=Strict", "koordinator g size=3"},
    {KOORD3 KOORD "total-number=8\n" KOORD "mode=NonStrict", "koordinator g size=3"},
    {KOORD3 KOORD "waiting-time=600s", "koordinator g size=3 timeout=600"},
    {KOORD3 KOORD "waiting-time=1h30m0.5s", "koordinator g size=3 timeout=5401"},
    {KOORD3 KOORD "waiting-time=1500ms", "koordinator g size=3 timeout=2"},
    {KOORD3 KOORD "waiting-time=1.000000001h", "koordinator g size=3 timeout=3601"},
    {KOORD3 KOORD "waiting-time=1us2ns", "koordinator g size=3 timeout=1"},
    {KOORD3 KOORD "waiting-time=99999999999999999999999h",
     "koordinator g size=3 timeout=4294967295"},
    {KOORD3 KOORD "waiting-time=99999999999h99999999999h99999999999h",
     "koordinator g size=3 timeout=4294967295"},
    {KOORD3 KOORD "waiting-time=0", "koordinator g size=3"},
    {KOORD3 KOORD "match-policy=once-satisfied", "koordinator g size=3"},
    {KOORD3 KOORD "match-policy=waiting-and-running", "koordinator g size=3"},
    {KOORD3 KOORD "match-policy=only-waiting", "koordinator g size=3 waiting-only"},
    {KOORD3 KOORD "groups=[\"ns/g\"]", "koordinator g sub=g submin=3 of=g:0"},
    {KOORD3 KOORD "groups=[\"ns/h\",\"ns/g\",\"ns/a\",\"ns/g\"]",
     "koordinator a,g,h sub=g submin=3 of=a:0,g:0,h:0"},
    {KOORD3 KOORD "groups=[]", "koordinator g size=3"},
    {KOORD3 KOORD "groups=", "koordinator g size=3"},
    /* what contradicts or cannot be read */
    {KOORD3 KOORD "total-number=2", "koordinator g size=3" BAD_K "total-number]"},
    {KOORD3 KOORD "total-number=x", "koordinator g size=3" BAD_K "total-number]"},
    {KOORD3 KOORD "mode=strict", "koordinator g size=3" BAD_K "mode]"},
    {KOORD3 KOORD "match-policy=never", "koordinator g size=3" BAD_K "match-policy]"},
    {KOORD3 KOORD "waiting-time=600", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "waiting-time=", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "waiting-time=-5s", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "waiting-time=.s", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "waiting-time=1.2.3s", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "waiting-time=5d", "koordinator g size=3" BAD_K "waiting-time]"},
    {KOORD3 KOORD "groups=[\"ns/h\"]", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups=[\"other/g\",\"ns/g\"]", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups=[\"ns/\",\"ns/g\"]", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups=[\"ns/g\",7]", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups=[\"g\"]", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups={\"ns\":\"g\"}", "koordinator g size=3" BAD_K "groups]"},
    {KOORD3 KOORD "groups=[\"ns/g\"", "koordinator g size=3" BAD_K "groups]"},
    {KOORD "name=g", "koordinator g" BAD_K "min-available]"},
    {KOORD "min-available=3", "solo" BAD_K "name]"},
    {KOORD3 "L gang.scheduling.koordinator.sh/name=h", "koordinator g size=3" BAD_K "name]"},
    {KOORD3 KOORD "network-topology-spec={}",
     "koordinator g size=3 ?metadata.annotations[gang.scheduling.koordinator.sh/]"},
};
static void test_dialect_koordinator__table(void **state)
{
    (void)state;
    ASSERT_TABLE(koordinator);
}

#define YUNI "A yunikorn.apache.org/"
#define APP  YUNI "app-id=a\n"
#define TASKS                                                                                      \
    "[{\"name\":\"w\",\"minMember\":4,\"minResource\":{}},{\"name\":\"d\",\"minMember\":1}]"
#define BAD_Y " !metadata.annotations[yunikorn.apache.org/"
static const struct row yunikorn[] = {
    {APP YUNI "task-group-name=w", "yunikorn a sub=w"},
    {APP YUNI "task-group-name=w\n" YUNI "task-groups=" TASKS, "yunikorn a sub=w of=d:1,w:4"},
    {APP YUNI "task-groups=" TASKS, "yunikorn a of=d:1,w:4"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":2,\"minResource\":{\"cpu\":\"1\"},"
              "\"nodeSelector\":{\"a\":\"b\"},\"tolerations\":[],\"affinity\":{}}]",
     "yunikorn a of=w:2"},
    {APP YUNI "queue=root.a\n" YUNI "task-group-name=w", "yunikorn a sub=w"},
    {"L applicationId=a\n" YUNI "task-group-name=w", "yunikorn a sub=w"},
    {"L yunikorn.apache.org/app-id=a\n" YUNI "task-group-name=w", "yunikorn a sub=w"},
    {APP "L applicationId=a\n" YUNI "task-group-name=w", "yunikorn a sub=w"},
    {APP YUNI "task-group-name=w\n" YUNI
              "schedulingPolicyParameters=placeholderTimeoutInSeconds=60 gangSchedulingStyle=Hard",
     "yunikorn a sub=w timeout=60"},
    {APP YUNI "task-group-name=w\n" YUNI "schedulingPolicyParameters=gangSchedulingStyle=Soft",
     "yunikorn a sub=w"},
    {APP "L applicationId=b\n" YUNI "task-group-name=w",
     "yunikorn a sub=w !metadata.labels[applicationId]"},
    {YUNI "task-group-name=w", "solo !metadata.labels[applicationId]"},
    {APP YUNI "task-group-name=", "yunikorn a" BAD_Y "task-group-name]"},
    {APP YUNI "task-group-name=x\n" YUNI "task-groups=" TASKS,
     "yunikorn a sub=x of=d:1,w:4" BAD_Y "task-group-name]"},
    {APP YUNI "task-groups=[", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups={}", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\"}]", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":0}]", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":16385}]",
     "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"\",\"minMember\":1}]", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":\"1\"}]",
     "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":1},{\"name\":\"w\",\"minMember\":2}]",
     "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[{\"name\":\"w\",\"minMember\":16384},{\"name\":\"v\",\"minMember\":2}]",
     "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-groups=[7]", "yunikorn a" BAD_Y "task-groups]"},
    {APP YUNI "task-group-name=w\n" YUNI
              "schedulingPolicyParameters=placeholderTimeoutInSeconds=soon",
     "yunikorn a sub=w" BAD_Y "schedulingPolicyParameters]"},
};
static void test_dialect_yunikorn__table(void **state)
{
    (void)state;
    ASSERT_TABLE(yunikorn);
}

#define KUEUE  "L kueue.x-k8s.io/pod-group-name=g\n"
#define ARMADA "A armadaproject.io/gangId=g\nA armadaproject.io/gangCardinality=4\n"
static const struct row others[] = {
    {KUEUE "A kueue.x-k8s.io/pod-group-total-count=4", "kueue g size=4"},
    {KUEUE, "kueue g !metadata.annotations[kueue.x-k8s.io/pod-group-total-count]"},
    {"A kueue.x-k8s.io/pod-group-total-count=4",
     "solo !metadata.labels[kueue.x-k8s.io/pod-group-name]"},
    {KUEUE "A kueue.x-k8s.io/pod-group-total-count=x",
     "kueue g !metadata.annotations[kueue.x-k8s.io/pod-group-total-count]"},
    {KUEUE "A kueue.x-k8s.io/pod-group-total-count=4\nL kueue.x-k8s.io/queue-name=q",
     "kueue g size=4"},
    {"L kueue.x-k8s.io/pod-group-name=\nA kueue.x-k8s.io/pod-group-total-count=4",
     "solo !metadata.labels[kueue.x-k8s.io/pod-group-name]"},
    {ARMADA, "armada g size=4"},
    {ARMADA "A armadaproject.io/gangNodeUniformityLabel=example.com/rack",
     "armada g size=4 pack=example.com/rack!"},
    {ARMADA "A armadaproject.io/gangNodeUniformityLabel=", "armada g size=4"},
    {ARMADA "A armadaproject.io/gangCardinality=0",
     "armada g !metadata.annotations[armadaproject.io/gangCardinality]"},
    {"A armadaproject.io/gangId=\nA armadaproject.io/gangCardinality=4",
     "solo !metadata.annotations[armadaproject.io/gangId]"},
    {ARMADA "A armadaproject.io/gangNodeUniformityLabel=a b",
     "armada g size=4 !metadata.annotations[armadaproject.io/gangNodeUniformityLabel]"},
    {"A armadaproject.io/gangId=g",
     "armada g !metadata.annotations[armadaproject.io/gangCardinality]"},
    {"A armadaproject.io/gangCardinality=4", "solo !metadata.annotations[armadaproject.io/gangId]"},
    {"A armadaproject.io/gangNodeUniformityLabel=rack", "solo"},
};
static void test_dialect_kueue_and_armada__table(void **state)
{
    (void)state;
    ASSERT_TABLE(others);
}

/* --- between dialects ------------------------------------------------------------------------- */

/* Each dialect in the order of precedence, with a name of its own. */
static const struct row in_order[] = {
    {"G 0", "native 0"},
    {"W 1 1", "workload 1/1"},
    {"A scheduling.k8s.io/group-name=2", "volcano 2"},
    {"L scheduling.x-k8s.io/pod-group=3", "coscheduling 3"},
    {"A pod-group-name=4", "kai 4"},
    {"L godel.bytedance.com/pod-group-name=5", "godel 5"},
    {"A muster.dev/pod-group=6", "muster 6"},
    {LIGHT "name=7\n" LIGHT "min-available=1", "lightweight 7"},
    {KOORD "name=8\n" KOORD "min-available=1", "koordinator 8"},
    {YUNI "app-id=9\n" YUNI "task-group-name=w", "yunikorn 9"},
    {"L kueue.x-k8s.io/pod-group-name=10\nA kueue.x-k8s.io/pod-group-total-count=1", "kueue 10"},
    {"A armadaproject.io/gangId=11\nA armadaproject.io/gangCardinality=1", "armada 11"},
    {"A pod-group=12", "plain 12"},
};
enum { DIALECTS = sizeof in_order / sizeof in_order[0] };
_Static_assert(DIALECTS == MU_GANG_SOURCES - 1, "each one");

static void test_dialect_order__of_any_two__the_earlier_decides(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    for (int i = 0; i < DIALECTS; i++) {
        for (int j = i + 1; j < DIALECTS; j++) {
            /* These two are one: another name is a contradiction. */
            if (strncmp(in_order[i].gang, "muster", 6) == 0 &&
                strncmp(in_order[j].gang, "plain", 5) == 0)
                continue;
            char words[512], name[300];
            struct pod pod;
            struct mu_gang_ref gang;
            struct mu_dialect_problem problem;
            bool spared;
            (void)snprintf(words, sizeof words, "%s\n%s", in_order[j].pod, in_order[i].pod);
            pod_of(&pod, words);
            assert_int_equal(mu_dialect_read(&pod.view, arena, &gang, &spared, &problem), 0);
            (void)snprintf(name, sizeof name, "%s %.*s", sources[gang.source],
                           MU_STR_ARGS(gang.name));
            assert_string_equal(name, in_order[i].gang);
            assert_int_equal(problem.rule, 0);
            mu_arena_reset(arena);
        }
    }
    mu_arena_destroy(arena);
}

static const struct row mixed[] = {
    /* What decides and is wrong is wrong: there is no falling back. */
    {"G \n" VOLCANO, "solo !spec.schedulingGroup.podGroupName[]"},
    {"A scheduling.k8s.io/group-name=\n" OWN,
     "solo !metadata.annotations[scheduling.k8s.io/group-name]"},
    /* What does not decide may be wrong. */
    {"G g\nA scheduling.k8s.io/group-name=\n" OWN SIZE "x", "native g"},
    {VOLCANO OWN SIZE "x", "volcano g"},
    {OWN SIZE "2\n" KUEUE, "muster g size=2"},
    /* Marks about victims stand by themselves. */
    {OWN "A volcano.sh/preemptable=false", "muster g spared"},
};
static void test_dialect_order__who_decides__is_all_that_is_read(void **state)
{
    (void)state;
    ASSERT_TABLE(mixed);
}

/* --- bounds and memory ------------------------------------------------------------------------ */

static void test_dialect_name__longest_and_longer(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "A pod-group=",
        "A pod_group=",
        "A muster.dev/pod-group=",
        VOLCANO "A volcano.sh/task-spec=",
        "A pod-group-name=",
        "G ",
        "L scheduling.x-k8s.io/pod-group=",
        "W j ",
    };
    char longest[MU_NAME_BYTES_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[MU_NAME_BYTES_MAX + 1] = '\0';
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char words[512];
        struct pod pod;
        struct mu_gang_ref gang;
        struct mu_dialect_problem problem;
        bool spared;
        for (int cut = 0; cut < 2; cut++) {
            (void)snprintf(words, sizeof words, "%s%s", keys[i], longest + cut);
            pod_of(&pod, words);
            assert_int_equal(mu_dialect_read(&pod.view, arena, &gang, &spared, &problem), 0);
            assert_int_equal(problem.rule, cut == 0 ? MU_RULE_GANG_SPEC : 0);
            assert_true(gang.name.len <= MU_NAME_BYTES_MAX + 2);
        }
    }
    mu_arena_destroy(arena);
}

/* Names of several parts have a bound of their own. */
static void test_dialect_groups__too_many_or_too_long__gang_spec(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    char list[4096];
    struct {
        uint32_t count, width;
        bool ok;
    } cases[] = {{MU_SUBGROUPS_MAX, 3, true},
                 {MU_SUBGROUPS_MAX + 1, 3, false},
                 {4, 250, true},
                 {5, 250, false}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        int at = snprintf(list, sizeof list,
                          KOORD "min-available=1\n" KOORD "name=%0*d\n" KOORD "groups=[",
                          (int)cases[c].width, 0);
        for (uint32_t i = 0; i < cases[c].count; i++)
            at += snprintf(list + at, sizeof list - (size_t)at, "%s\"ns/%0*u\"", i == 0 ? "" : ",",
                           (int)cases[c].width, i);
        (void)snprintf(list + at, sizeof list - (size_t)at, "]");
        struct pod pod;
        struct mu_gang_ref gang;
        struct mu_dialect_problem problem;
        bool spared;
        pod_of(&pod, list);
        assert_int_equal(mu_dialect_read(&pod.view, arena, &gang, &spared, &problem), 0);
        assert_int_equal(problem.rule, cases[c].ok ? 0 : MU_RULE_GANG_SPEC);
        assert_int_equal(gang.subgroup_count, cases[c].ok ? cases[c].count : 0);
        mu_arena_reset(arena);
    }
    mu_arena_destroy(arena);
}

static bool read_once(void *context)
{
    struct pod *pod = context;
    struct mu_gang_ref gang;
    struct mu_dialect_problem problem;
    bool spared;
    struct mu_arena *arena = mu_arena_create(ARENA_BYTES);
    if (arena == NULL)
        return false;
    int rc = mu_dialect_read(&pod->view, arena, &gang, &spared, &problem);
    assert_true(rc == 0 || rc == MU_ENOMEM);
    assert_int_equal(problem.rule, 0); /* a lack of memory is no fault of the pod */
    mu_arena_destroy(arena);
    return rc == 0;
}

static void test_dialect__out_of_memory__said_and_nothing_leaks(void **state)
{
    (void)state;
    static const char *const words[] = {"W job workers 3",
                                        KOORD3 KOORD "groups=[\"ns/h\",\"ns/g\"]",
                                        APP YUNI "task-groups=" TASKS};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct pod pod;
        pod_of(&pod, words[i]);
        assert_true(mu_test_fail_each(read_once, &pod) > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialect__nothing_named__gang_of_one),
        cmocka_unit_test(test_dialect_own__table),
        cmocka_unit_test(test_dialect_native__table),
        cmocka_unit_test(test_dialect_volcano__table),
        cmocka_unit_test(test_dialect_with_object__table),
        cmocka_unit_test(test_dialect_lightweight__table),
        cmocka_unit_test(test_dialect_koordinator__table),
        cmocka_unit_test(test_dialect_yunikorn__table),
        cmocka_unit_test(test_dialect_kueue_and_armada__table),
        cmocka_unit_test(test_dialect_order__of_any_two__the_earlier_decides),
        cmocka_unit_test(test_dialect_order__who_decides__is_all_that_is_read),
        cmocka_unit_test(test_dialect_name__longest_and_longer),
        cmocka_unit_test(test_dialect_groups__too_many_or_too_long__gang_spec),
        cmocka_unit_test(test_dialect__out_of_memory__said_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
