#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Typical requests: what the live pods ask of devices, by which fragmentation is judged
 * (engine/place/fragment.h).
 *
 * Live pods are counted by class. Of the classes that ask for devices the MU_TYPICAL_MAX with most
 * pods are kept, equal ones in the order of their numbers, and shown with their shares of the pods
 * of all that are kept. They are looked for anew when pods have come or gone an eighth as often as
 * there are pods; in between the counts are current and the list is not, but for classes that have
 * no pods any more, which are left out. What is shown is copied: it refers to no class.
 *
 * Placing needs a figure of what is about, not the truth of the moment; that sessions are pure
 * functions of their snapshots is kept, since the figure is in it.
 *
 * Pods count here of which nothing else takes notice: those that wait for another scheduler. So the
 * generation moves when what is shown does, and what a session remembers of one generation is of
 * one figure.
 */
int mu_typical_reserve(struct mu_db *db, struct mu_class_ix class_ix)
{
    uint32_t old = db->class_live_cap;
    if (class_ix.v < old)
        return 0;
    void *array = db->class_live;
    int rc = mu_mem_grow(&array, &db->class_live_cap, class_ix.v + 1, MU_CLASSES_MAX,
                         sizeof *db->class_live);
    db->class_live = array;
    if (db->class_live_cap > old)
        memset(db->class_live + old, 0, (db->class_live_cap - old) * sizeof *db->class_live);
    return rc;
}

/* Resources of which a request is one for devices. */
static uint64_t device_resources(struct mu_db *db)
{
    const struct mu_resources *resources = mu_model_resources(db->model);
    uint64_t set = 0;
    for (uint32_t r = MU_RES_EXTENDED; r < mu_resource_count(resources); r++) {
        struct mu_str name = mu_resource_name(resources, (struct mu_resource_ix){r});
        if (mu_is_device_resource(name) || r == db->share_resource)
            set |= UINT64_C(1) << r;
    }
    return set;
}

static void look_anew(struct mu_db *db, uint64_t resources)
{
    db->typical_count = 0;
    for (uint32_t c = 0; c < db->class_live_cap; c++) {
        uint32_t live = db->class_live[c];
        if (live == 0 || (mu_model_get_class(db->model, (struct mu_class_ix){c})->resource_mask &
                          resources) == 0)
            continue;
        uint32_t at = db->typical_count;
        while (at > 0 && db->class_live[db->typical[at - 1].v] < live)
            at--;
        if (at == MU_TYPICAL_MAX)
            continue;
        db->typical_count += db->typical_count < MU_TYPICAL_MAX;
        for (uint32_t i = db->typical_count - 1; i > at; i--)
            db->typical[i] = db->typical[i - 1];
        db->typical[at].v = c;
    }
    db->typical_moves = db->pod_moves + db->counts.pods / 8 + 1;
}

/* What the list says by now: `out` has room for it. Returns how many. */
static uint32_t describe(struct mu_db *db, struct mu_typical *out)
{
    uint32_t count = 0;
    uint64_t resources = device_resources(db);
    if (db->pod_moves >= db->typical_moves)
        look_anew(db, resources);
    uint64_t total = 0;
    for (uint32_t i = 0; i < db->typical_count; i++)
        total += db->class_live[db->typical[i].v];
    for (uint32_t i = 0; i < db->typical_count; i++) {
        uint32_t live = db->class_live[db->typical[i].v];
        if (live == 0)
            continue;
        const struct mu_class *c = mu_model_get_class(db->model, db->typical[i]);
        struct mu_typical t = {.permille = (uint32_t)(live * UINT64_C(1000) / total)};
        struct mu_device_row any = {.count = 1};
        for (uint32_t d = 0; d < c->demand_count; d++) {
            uint32_t r = c->demands[d].resource.v;
            t.cpu = r == MU_RES_CPU ? c->demands[d].amount : t.cpu;
            t.memory = r == MU_RES_MEMORY ? c->demands[d].amount : t.memory;
            if (r != db->share_resource && (resources >> r & 1) != 0)
                any.resource = (uint8_t)r;
        }
        if (any.resource == 0)
            any.resource = (uint8_t)db->share_resource;
        struct mu_device_ask ask = mu_device_ask(&any, db->share_resource, c);
        t.devices = ask.count;
        t.millis = ask.millis;
        if (ask.count != 0) /* else another class has its number now */
            out[count++] = t;
    }
    return count;
}

static bool is_equal(const struct mu_typical *a, const struct mu_typical *b)
{
    return a->cpu == b->cpu && a->memory == b->memory && a->devices == b->devices &&
           a->millis == b->millis && a->permille == b->permille;
}

void mu_typical_show(struct mu_db *db, struct mu_snapshot *snapshot)
{
    struct mu_typical *shown = db->typical_shown, now[MU_TYPICAL_MAX];
    uint32_t count = db->devices_tracked ? describe(db, now) : 0;
    bool same = count == db->typical_shown_count;
    for (uint32_t i = 0; i < count && same; i++)
        same = is_equal(&now[i], &shown[i]);
    if (!same) {
        memcpy(shown, now, count * sizeof *shown);
        db->typical_shown_count = count;
        db->counts.generation++;
    }
    snapshot->typical_count = count;
    memcpy(snapshot->typical, shown, count * sizeof *shown);
}
