#include "engine/db/db_priv.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Nominated pods: those that are not bound and whose object says where they are expected to go.
 * They are few: a list that every sync shows whole. An entry holds the symbol of its node's name,
 * known or not; a pod with an entry has MU_POD_NOMINATED. Where a pod with an entry changes, room
 * that was kept may be free again, and the capacity generation moves (mu_pod_place).
 */

static uint32_t find(const struct mu_db *db, uint32_t pod)
{
    uint32_t i = 0;
    while (i < db->nomination_count && db->nominations[i].pod != pod)
        i++;
    return i;
}

int mu_nominated_obtain(struct mu_db *db, struct mu_str node, bool more, struct mu_symbol *out)
{
    int rc = mu_mem_grow((void **)&db->nominations, &db->nomination_cap,
                         db->nomination_count + more, MU_NOMINATIONS_MAX, sizeof *db->nominations);
    return rc == 0 ? mu_symbol_intern(db->symbols, node, out) : rc;
}

void mu_nominated_set(struct mu_db *db, uint32_t pod, struct mu_symbol node)
{
    uint32_t at = find(db, pod);
    bool had = at < db->nomination_count;
    db->changed = true;
    if (had)
        mu_symbol_unref(db->symbols, db->nominations[at].node, db->reach);
    if (node.v != 0) {
        MU_ASSERT(at < db->nomination_cap);
        db->nominations[at] = (struct mu_nomination){pod, node};
        db->nomination_count += !had;
    } else if (had) {
        db->nominations[at] = db->nominations[--db->nomination_count];
    }
}

struct mu_symbol mu_nominated_node(const struct mu_db *db, uint32_t pod)
{
    uint32_t at = find(db, pod);
    return at < db->nomination_count ? db->nominations[at].node : (struct mu_symbol){0};
}

/* --- the audit ------------------------------------------------------------------------------- */

enum { AUDIT_RATIO = 16 /* entries or pods looked at for the cost of a copied row */ };

static bool is_right(const struct mu_db *db, uint32_t at)
{
    const struct mu_nomination *n = &db->nominations[at];
    const unsigned asked = MU_POD_USED | MU_POD_NOMINATED | MU_POD_BOUND | MU_POD_TERMINAL;
    return n->pod < db->pods.high && n->node.v != 0 && find(db, n->pod) == at &&
           (mu_pod_at(db, n->pod)->flags & asked) == (MU_POD_USED | MU_POD_NOMINATED);
}

/* The next entry; the last one takes the place of a wrong one. A pod that has none left is found
 * among the pods. */
static uint32_t audit_entry(struct mu_db *db)
{
    uint32_t at = db->audit_nominated;
    if (is_right(db, at)) {
        db->audit_nominated++;
        return 0;
    }
    if (db->nominations[at].node.v != 0)
        mu_symbol_unref(db->symbols, db->nominations[at].node, db->reach);
    db->nominations[at] = db->nominations[--db->nomination_count];
    return 1;
}

static uint32_t audit_pod(struct mu_db *db, uint32_t pod)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    if ((p->flags & MU_POD_NOMINATED) == 0 || find(db, pod) < db->nomination_count)
        return 0;
    p->flags &= (uint16_t) ~(unsigned)MU_POD_NOMINATED;
    return 1;
}

uint32_t mu_nominated_audit(struct mu_db *db, uint32_t budget, bool *whole)
{
    const uint64_t most = (uint64_t)budget * AUDIT_RATIO;
    uint64_t looked = 0;
    uint32_t drift = 0;
    while (!db->audit_nominated_pods && looked < most) {
        if (db->audit_nominated < db->nomination_count) {
            looked += db->nomination_count;
            drift += audit_entry(db);
        } else {
            db->audit_nominated_pods = true;
            db->audit_nominated = 0;
        }
    }
    for (; db->audit_nominated_pods && looked < most && db->audit_nominated < db->pods.high;
         db->audit_nominated++) {
        looked++;
        drift += audit_pod(db, db->audit_nominated);
    }
    *whole = db->audit_nominated_pods && db->audit_nominated >= db->pods.high;
    if (*whole) {
        db->audit_nominated_pods = false;
        db->audit_nominated = 0;
    }
    db->capacity_generation += drift != 0; /* room that was kept is free */
    return drift;
}

/* --- room that is kept ----------------------------------------------------------------------- */

/* A pod that is in the ledger is charged where it goes; one that is being deleted will not come. */
static bool waits(const struct mu_pod_rec *p)
{
    return !mu_pod_charged(p) && (p->flags & MU_POD_TERMINATING) == 0;
}

/* What is kept on a row. Two of the sums follow from devices, which are taken one by one: what is
 * kept of those is taken from a copy of them. */
struct kept {
    int64_t sums[MU_RESOURCES_MAX];
    struct mu_device_row devices; /* what is left of them; count 0: none are tracked */
    bool too_many;                /* more of them are wanted than there are: none is left */
    bool any;
};

/* Of a request that no node can ever meet nothing is kept: engine/place/nominated.c says the same.
 */
static bool is_hopeless(const struct mu_class *c)
{
    bool hopeless = c->impossible;
    for (uint32_t d = 0; d < c->demand_count; d++)
        hopeless = hopeless || c->demands[d].amount == MU_AMOUNT_MAX;
    return hopeless;
}

static void keep(const struct mu_db *db, const struct mu_class *c, struct kept *kept)
{
    kept->any = true;
    if (is_hopeless(c))
        return;
    struct mu_device_ask ask = {0, 0};
    if (kept->devices.count != 0)
        ask = mu_device_ask(&kept->devices, db->share_resource, c);
    if (ask.count != 0) {
        uint16_t devices = mu_device_choose(&kept->devices, ask);
        if (!mu_device_fits(&kept->devices, ask, devices)) {
            kept->too_many = true;
            return;
        }
        mu_device_take(&kept->devices, ask, devices);
    }
    kept->sums[MU_RES_PODS]++;
    for (uint32_t d = 0; d < c->demand_count; d++) {
        int64_t *sum = &kept->sums[c->demands[d].resource.v];
        *sum = mu_amount_add(*sum, c->demands[d].amount);
    }
}

/* What is left beside what is kept, of a resource of which something is free. */
static int64_t left(const struct mu_db *db, const int64_t *free, const struct kept *kept,
                    uint32_t resource)
{
    if (kept->devices.count != 0 && resource == db->share_resource)
        return kept->too_many ? 0 : mu_device_most_left(&kept->devices);
    if (kept->devices.count != 0 && resource == kept->devices.resource)
        return kept->too_many ? 0 : mu_device_whole_free(&kept->devices);
    return free[resource] - kept->sums[resource];
}

bool mu_nominated_leave_room(const struct mu_db *db, uint32_t row, const struct mu_class *c,
                             uint32_t gang)
{
    const int64_t *free = mu_row_free(db, row);
    const struct mu_device_row *devices = mu_row_devices(db, row);
    const int32_t priority = mu_gang_at(db, gang)->row.priority;
    struct kept kept = {.any = false};
    if (devices != NULL)
        kept.devices = *devices;
    for (uint32_t i = 0; i < db->nomination_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, db->nominations[i].pod);
        if (db->nominations[i].node.v == mu_row_rec(db, row)->name.v && waits(p) &&
            p->priority >= priority && p->gang.v != gang)
            keep(db, mu_model_get_class(db->model, p->class_ix), &kept);
    }
    bool leaves = !kept.any || left(db, free, &kept, MU_RES_PODS) >= 1;
    for (uint32_t d = 0; kept.any && leaves && d < c->demand_count; d++)
        leaves = left(db, free, &kept, c->demands[d].resource.v) >= c->demands[d].amount;
    return leaves;
}

int mu_nominated_replica_reserve(const struct mu_db *db, struct mu_replica *r)
{
    return mu_mem_grow((void **)&r->nominated, &r->nominated_cap, db->nomination_count,
                       MU_NOMINATIONS_MAX, sizeof *r->nominated);
}

void mu_nominated_show(const struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    s->nominated = r->nominated;
    s->nominated_count = 0;
    for (uint32_t i = 0; i < db->nomination_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(db, db->nominations[i].pod);
        uint32_t row = mu_node_row(db, db->nominations[i].node);
        if (!waits(p) || row == MU_NONE || (mu_row_rec(db, row)->flags & MU_NODE_PRESENT) == 0)
            continue;
        r->nominated[s->nominated_count++] = (struct mu_nominated){.pod = {db->nominations[i].pod},
                                                                   .node = {row},
                                                                   .priority = p->priority,
                                                                   .class_ix = p->class_ix,
                                                                   .kin = p->kin,
                                                                   .gang = p->gang};
    }
}
