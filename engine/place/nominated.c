#include "engine/place/place_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"

/*
 * Room that is kept for nominated pods (kube-scheduler's RunFilterPluginsWithNominatedPods).
 *
 * A pod fits a node if it passes the filters there, and passes them too when all pods are added
 * that are nominated to that node with a priority that is not lower. Adding can refuse (room,
 * ports, anti-affinity, spread) and can please (affinity): both must hold. A gang's own members do
 * not count against it, nor do pods that this session has placed already. Members of a placed gang
 * that found no room do: the DB lets nobody have what is kept for them (db/nominated.c).
 *
 * Nominations are few, so nothing is done ahead. The best node is found as if there were none; if
 * pods are nominated to it, they are taken there by way of the log, the verdict is asked for, and
 * they are undone. A node that refuses then loses its pod slots until the pick is over, by the same
 * change that a placement makes, so that every way of searching heeds it; what is found meanwhile
 * is not remembered.
 *
 * Nominations may be a thousand, on as many nodes, and whoever waits is told about all of these: so
 * they are found by row, in an order that is made once in a session.
 *
 * Devices are chosen while what is kept on the node is taken. Whatever makes one device better than
 * another, those that are left will do for the nominated pods, as the verdict has found.
 */

#define ALL_SLOTS (INT64_C(1) << 40)

/* What takes all slots of a row: a need of one resource. */
union blocker {
    struct mu_scan_need need;
    unsigned char bytes[sizeof(struct mu_scan_need) + sizeof(struct mu_scan_demand)];
};

static void block(struct mu_place *place, uint32_t row, int sign)
{
    union blocker blocker = {.need = {.count = 1}};
    blocker.need.demands[0] = (struct mu_scan_demand){ALL_SLOTS, MU_RES_PODS};
    mu_room_change(&place->room, &blocker.need, row, sign);
}

/* True when nomination n keeps room from the pods that are being placed. */
static bool counts(const struct mu_place *place, uint32_t n)
{
    const struct mu_nominated *nominated = &place->snapshot->nominated[n];
    bool own = nominated->gang.v != MU_NONE && nominated->gang.v == place->whom_gang.v;
    return nominated->priority >= place->whom_priority && !own &&
           !(place->nominations_over[n / 64] >> (n % 64) & 1);
}

void mu_place_whom(struct mu_place *place, int32_t priority, struct mu_gang_ix gang)
{
    place->whom_priority = priority;
    place->whom_gang = gang;
}

/* ---- finding them ------------------------------------------------------------------------- */

static uint64_t entry_of(uint32_t what, uint32_t n)
{
    return (uint64_t)what << 32 | n;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The first of the entries that is not below this one. */
static uint32_t first_of(const uint64_t *entries, uint32_t count, uint64_t entry)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entries[middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void mu_nominated_begin(struct mu_place *place)
{
    const struct mu_snapshot *s = place->snapshot;
    memset(place->nominations_over, 0, sizeof place->nominations_over);
    mu_place_whom(place, INT32_MAX, (struct mu_gang_ix){MU_NONE});
    MU_ASSERT(s->nominated_count <= MU_NOMINATIONS_MAX);
    for (uint32_t n = 0; n < s->nominated_count; n++) {
        place->nominated_rows[n] = entry_of(s->nominated[n].node.v, n);
        place->nominated_pods[n] = entry_of(s->nominated[n].pod.v, n);
    }
    qsort(place->nominated_rows, s->nominated_count, sizeof(uint64_t), by_value);
    qsort(place->nominated_pods, s->nominated_count, sizeof(uint64_t), by_value);
}

void mu_place_nomination_over(struct mu_place *place, struct mu_pod_ix pod)
{
    const uint32_t count = place->snapshot->nominated_count;
    uint32_t i = first_of(place->nominated_pods, count, entry_of(pod.v, 0));
    for (; i < count && place->nominated_pods[i] >> 32 == pod.v; i++) {
        uint32_t n = (uint32_t)place->nominated_pods[i];
        place->nominations_over[n / 64] |= UINT64_C(1) << (n % 64);
    }
}

uint32_t mu_nominated_row(const struct mu_place *place, uint32_t *at)
{
    const uint32_t count = place->snapshot->nominated_count;
    if (*at >= count)
        return MU_NONE;
    uint32_t row = (uint32_t)(place->nominated_rows[*at] >> 32);
    while (*at < count && place->nominated_rows[*at] >> 32 == row)
        ++*at;
    return row;
}

/* The next nomination to a row that counts, from entry *i on; MU_NONE: none is left. */
static uint32_t next_to(struct mu_place *place, uint32_t row, uint32_t *i)
{
    for (; *i < place->snapshot->nominated_count; ++*i) {
        uint32_t n = (uint32_t)place->nominated_rows[*i];
        place->counts.nominations++;
        if (place->nominated_rows[*i] >> 32 != row)
            break;
        if (counts(place, n)) {
            ++*i;
            return n;
        }
    }
    return MU_NONE;
}

static uint32_t first_to(struct mu_place *place, uint32_t row, uint32_t *i)
{
    *i = first_of(place->nominated_rows, place->snapshot->nominated_count, entry_of(row, 0));
    return next_to(place, row, i);
}

bool mu_nominated_to(struct mu_place *place, uint32_t row)
{
    uint32_t i;
    return place->snapshot->nominated_count > 0 && first_to(place, row, &i) != MU_NONE;
}

/* ---- taking what they are nominated for ----------------------------------------------------- */

/* Add a nominated pod to its row. *refuses: it wants devices that are not there, and so there are
 * none for anybody. */
static int add(struct mu_place *place, const struct mu_nominated *nominated, bool *refuses)
{
    const struct mu_place_pod pod = {nominated->class_ix, nominated->kin};
    uint32_t row = nominated->node.v;
    struct mu_place_class *known = mu_place_class_get(place, pod.class_ix);
    int error = known == NULL ? MU_ENOMEM : 0;
    if (error != 0 || known->nowhere)
        return error;
    error = mu_room_prepare(&place->room, known->resources);
    if (error != 0)
        return error;
    uint16_t devices = 0;
    struct mu_device_ask ask = mu_place_device_ask(place, pod.class_ix, row);
    if (ask.count != 0) {
        devices = mu_device_choose(&place->snapshot->devices[row], ask);
        *refuses = !mu_device_fits(&place->snapshot->devices[row], ask, devices);
        if (*refuses)
            return 0;
    }
    return mu_place_change(place, pod, row, devices, 1, 0);
}

/* All that count. *refuses: one of them wants devices that are not there. */
static int occupy(struct mu_place *place, uint32_t row, bool *added, bool *refuses)
{
    uint32_t i;
    int error = 0;
    *added = *refuses = false;
    for (uint32_t n = first_to(place, row, &i); n != MU_NONE && error == 0;
         n = next_to(place, row, &i)) {
        bool none = false;
        error = add(place, &place->snapshot->nominated[n], &none);
        *refuses = *refuses || none;
        *added = true;
    }
    return error;
}

int mu_nominated_occupy(struct mu_place *place, uint32_t row)
{
    bool added, refuses;
    return occupy(place, row, &added, &refuses);
}

int mu_nominated_verdict(struct mu_place *place, struct mu_place_pod pod, uint32_t row,
                         struct mu_verdict *verdict)
{
    uint32_t mark = place->log_count;
    bool refuses, added, given = place->given;
    place->given = true;
    int error = occupy(place, row, &added, &refuses);
    if (error == 0 && added)
        error = mu_place_verdict_alone(place, pod, (struct mu_node_ix){row}, verdict);
    if (error == 0 && refuses && verdict->kind == MU_FITS &&
        mu_place_device_ask(place, pod.class_ix, row).count != 0)
        *verdict =
            (struct mu_verdict){.kind = MU_NO_RESOURCE,
                                .resource = {place->snapshot->devices[row].resource},
                                .lacking = UINT64_C(1) << place->snapshot->devices[row].resource};
    mu_place_undo(place, mark);
    place->given = given;
    return error;
}

int mu_nominated_pick(struct mu_place *place, struct mu_place_pod pod, struct mu_place_class *known,
                      const struct mu_filter_mask *mask, struct mu_node_ix *out)
{
    uint32_t blocked[MU_NOMINATIONS_MAX], count = 0;
    int error = 0;
    while (out->v != MU_NONE && mu_nominated_to(place, out->v)) {
        struct mu_verdict verdict = {.kind = MU_FITS};
        error = mu_nominated_verdict(place, pod, out->v, &verdict);
        if (error != 0 || verdict.kind == MU_FITS)
            break;
        MU_ASSERT(count < MU_NOMINATIONS_MAX);
        block(place, out->v, 1);
        blocked[count++] = out->v;
        out->v = mu_place_pick_row(place, known, mask);
    }
    while (count > 0)
        block(place, blocked[--count], -1);
    return error;
}
