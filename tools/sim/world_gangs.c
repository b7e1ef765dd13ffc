/*
 * Gangs of small worlds, each in one of the dialects that need no group object: Muster's own sized
 * and not, lightweight, Volcano's annotations, Koordinator's gangs alone and in groups of two,
 * YuniKorn's task groups, Kueue and Armada. Two of them have sub-groups with minima of their own.
 * A pod carries what its dialect says of it, in labels and annotations: the scheduler and the
 * checker read it from there.
 */
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "tools/sim/sim.h"
#include "tools/sim/world_priv.h"

#include <stdio.h>

enum dialect {
    OWN,
    UNSIZED,
    LIGHTWEIGHT,
    VOLCANO,
    KOORDINATOR,
    KOORDINATOR_GROUP,
    YUNIKORN,
    KUEUE,
    ARMADA,
    DIALECTS
};

/* A gang while its members are made. Texts that pods borrow until they are copied. */
struct gang {
    enum dialect dialect;
    char name[32], size_text[16], list[160], part[2][40];
    uint32_t size;       /* the minimum */
    uint32_t part_of[2]; /* of sub-groups: how many of it must run; the second takes the rest */
    bool one_zone;
    struct mu_label labels[2 + 2], annotations[5];
};

static void gang_draw(struct mu_random *r, uint32_t number, struct gang *g)
{
    *g = (struct gang){.dialect = OWN};
    (void)snprintf(g->name, sizeof g->name, MU_SIM_GANG_NAME "%02u", number);
    g->size = (uint32_t)mu_random_between(r, 2, 6);
    if (mu_random_chance(r, 200))
        g->dialect = UNSIZED;
    else if (mu_random_chance(r, 700))
        g->dialect = LIGHTWEIGHT + (enum dialect)mu_random_below(r, DIALECTS - LIGHTWEIGHT);
    g->part_of[0] = (uint32_t)mu_random_between(r, 1, g->size - 1);
    g->part_of[1] = g->size - g->part_of[0];
    g->one_zone = g->dialect == ARMADA && mu_random_chance(r, 300);
    (void)snprintf(g->size_text, sizeof g->size_text, "%u", g->size);
    for (uint32_t p = 0; p < 2; p++)
        (void)snprintf(g->part[p], sizeof g->part[p], "%s-%c", g->name, p == 0 ? 'a' : 'b');
}

#define SAY(g, at, key_, value_)                                                                   \
    ((g)->annotations[at] = (struct mu_label){MU_STR(key_), mu_str_of(value_)})
#define KOORDINATOR_KEY(word) "gang.scheduling.koordinator.sh/" word

/* What member `m` carries, on top of the labels that it has. */
static void say(struct gang *g, uint32_t m, struct mu_workload_pod *pod)
{
    uint32_t labels = pod->object.label_count, said = 0;
    uint32_t part = m < g->part_of[0] ? 0 : 1;
    MU_ASSERT(labels <= 2);
    for (uint32_t i = 0; i < labels; i++)
        g->labels[i] = pod->object.labels[i];
    switch (g->dialect) {
    case OWN:
    case UNSIZED:
        pod->object.gang = (struct mu_gang_ref){
            .source = g->dialect == OWN ? MU_GANG_MUSTER : MU_GANG_PLAIN,
            .name = mu_str_of(g->name),
            .size = g->dialect == OWN ? g->size : 0,
        };
        break;
    case LIGHTWEIGHT:
        g->labels[labels++] =
            (struct mu_label){MU_STR("pod-group.scheduling.sigs.k8s.io/name"), mu_str_of(g->name)};
        g->labels[labels++] = (struct mu_label){
            MU_STR("pod-group.scheduling.sigs.k8s.io/min-available"), mu_str_of(g->size_text)};
        break;
    case VOLCANO:
        SAY(g, said++, "scheduling.k8s.io/group-name", g->name);
        SAY(g, said++, "scheduling.volcano.sh/group-min-member", g->size_text);
        break;
    case KOORDINATOR:
        SAY(g, said++, KOORDINATOR_KEY("name"), g->name);
        SAY(g, said++, KOORDINATOR_KEY("min-available"), g->size_text);
        break;
    case KOORDINATOR_GROUP:
        (void)snprintf(g->size_text, sizeof g->size_text, "%u", g->part_of[part]);
        (void)snprintf(g->list, sizeof g->list, "[\"%.*s/%s\",\"%.*s/%s\"]",
                       MU_STR_ARGS(pod->object.ns), g->part[0], MU_STR_ARGS(pod->object.ns),
                       g->part[1]);
        SAY(g, said++, KOORDINATOR_KEY("name"), g->part[part]);
        SAY(g, said++, KOORDINATOR_KEY("min-available"), g->size_text);
        SAY(g, said++, KOORDINATOR_KEY("groups"), g->list);
        break;
    case YUNIKORN:
        (void)snprintf(g->list, sizeof g->list,
                       "[{\"name\":\"%s\",\"minMember\":%u},{\"name\":\"%s\",\"minMember\":%u}]",
                       g->part[0], g->part_of[0], g->part[1], g->part_of[1]);
        SAY(g, said++, "yunikorn.apache.org/app-id", g->name);
        SAY(g, said++, "yunikorn.apache.org/task-group-name", g->part[part]);
        SAY(g, said++, "yunikorn.apache.org/task-groups", g->list);
        break;
    case KUEUE:
        g->labels[labels++] =
            (struct mu_label){MU_STR("kueue.x-k8s.io/pod-group-name"), mu_str_of(g->name)};
        SAY(g, said++, "kueue.x-k8s.io/pod-group-total-count", g->size_text);
        break;
    case ARMADA:
        SAY(g, said++, "armadaproject.io/gangId", g->name);
        SAY(g, said++, "armadaproject.io/gangCardinality", g->size_text);
        if (g->one_zone)
            SAY(g, said++, "armadaproject.io/gangNodeUniformityLabel", "zone");
        break;
    case DIALECTS:
        MU_UNREACHABLE("no dialect");
    }
    MU_ASSERT(labels <= sizeof g->labels / sizeof g->labels[0]);
    if (pod->annotation_count > 0)
        g->annotations[said++] = pod->annotations[0];
    pod->object.labels = g->labels;
    pod->object.label_count = labels;
    pod->annotations = g->annotations;
    pod->annotation_count = said;
}

int mu_world_gang_add(struct mu_workload *w, struct mu_random *r, uint32_t number,
                      struct mu_world_template *t, uint32_t *pods, struct mu_error *error)
{
    struct gang g;
    gang_draw(r, number, &g);
    uint32_t members = g.size;
    if (mu_random_chance(r, 100))
        members--; /* never complete when sized */
    else if (mu_random_chance(r, 200))
        members += (uint32_t)mu_random_between(r, 1, 2); /* surplus */
    bool mixed = mu_random_chance(r, 100);
    /* An unsized gang whose members arrive further apart than the quiet time may rightly be placed
     * in parts: keep them close, so that parts are errors. */
    uint64_t spread_ns = g.dialect != UNSIZED ? 4 * MU_NS_PER_S : 300 * MU_NS_PER_MS;
    int rc = 0;
    for (uint32_t m = 0; rc == 0 && m < members; m++) {
        char name[64];
        struct mu_workload_pod pod;
        (void)snprintf(name, sizeof name, "%s-%u", g.name, m);
        if (mu_random_chance(r, 300)) /* mixed classes */
            t->requests[0].value = 250 * mu_random_between(r, 0, 16);
        if (mixed)
            t->pod.priority = (int32_t)mu_random_between(r, -1, 3) * 100;
        mu_world_template_pod(t, &pod);
        pod.arrival_ns += mu_random_below(r, spread_ns);
        pod.object.name = mu_str_of(name);
        say(&g, m, &pod);
        rc = mu_workload_add_pod(w, &pod, "small world", error);
    }
    *pods += members;
    return rc;
}
