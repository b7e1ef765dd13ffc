#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Pod objects.
 *
 * A pod's place, its charge and its part in a gang follow from its record alone:
 *
 *     node     where its object says it is bound; else where the ledger charges it; else none
 *     charged  a ledger entry, or bound and not terminal (terminating pods keep their room)
 *     member   ours, neither terminal nor terminating; a solo pod only until it is seen bound
 *     role     of a member: placed (bound, or in the ledger on its way to it), blocked (gated,
 *              unbuilt rules), else pending
 *
 * so an upsert sets the record's fields and moves charge and membership from what they were to
 * what they are now. A ledger entry ends in the same call when the pod is seen bound (anywhere) or
 * terminal; room held for a pod that is going away is given up.
 *
 * A class that cannot be had (a bound, a bad request) must not keep the record at its old version,
 * or whoever waits for a newer one waits for ever. The pod is then marked MU_RULE_OVERSIZED, which
 * keeps it from being placed, and takes the class of its readable requests alone; if that cannot
 * be had either (the table is full), the class that it has. Only a new pod can be refused here.
 *
 * A pending member that comes with nothing new but its version is a quiet change: the gang's block
 * is rebuilt for the next replica, and nothing says that there is something to decide.
 *
 * UID is identity: an object with a held name and another UID is another pod, and the held one is
 * gone. Equal versions are equal objects and cost two lookups.
 */

/* --- identity ------------------------------------------------------------------------------ */

struct pod_name_key {
    struct mu_symbol ns;
    struct mu_str name;
};

static uint64_t uid_hash(const struct mu_db *db, struct mu_uid uid)
{
    return mu_hash_mix(uid.hi ^ db->seed, uid.lo);
}

static uint64_t pod_name_hash(const struct mu_db *db, struct mu_symbol ns, struct mu_str name)
{
    return mu_hash_str(name, db->seed + ns.v);
}

bool mu_pod_uid_equal(const void *context, uint32_t value, const void *key)
{
    return mu_uid_equal(mu_pod_at(context, value)->uid, *(const struct mu_uid *)key);
}

uint64_t mu_pod_uid_hash(const void *context, uint32_t value)
{
    return uid_hash(context, mu_pod_at(context, value)->uid);
}

bool mu_pod_name_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_pod_rec *p = mu_pod_at(context, value);
    const struct pod_name_key *k = key;
    return p->ns.v == k->ns.v && mu_str_equal(mu_pod_name(p), k->name);
}

uint64_t mu_pod_name_hash(const void *context, uint32_t value)
{
    const struct mu_pod_rec *p = mu_pod_at(context, value);
    return pod_name_hash(context, p->ns, mu_pod_name(p));
}

uint32_t mu_pod_find(const struct mu_db *db, struct mu_uid uid)
{
    return mu_index_find(db->pod_by_uid, uid_hash(db, uid), &uid);
}

/* By its UID, or else by its name. For a new pod both lines are cold: the second is asked for
 * before the first is waited for. */
static void find_pod(struct mu_db *db, const struct mu_pod_object *pod, uint32_t *by_uid,
                     uint32_t *by_name)
{
    struct mu_uid uid;
    struct pod_name_key key = {.name = pod->name};
    bool known_uid = mu_db_uid_parse(db, pod->uid, &uid) == 0;
    uint64_t hash = known_uid ? uid_hash(db, uid) : 0;
    if (known_uid)
        mu_index_prefetch(db->pod_by_uid, hash);
    bool known_ns = mu_symbol_find(db->symbols, pod->ns, &key.ns);
    uint64_t name_hash = known_ns ? pod_name_hash(db, key.ns, pod->name) : 0;
    if (known_ns)
        mu_index_prefetch(db->pod_by_name, name_hash);
    *by_uid = known_uid ? mu_index_find(db->pod_by_uid, hash, &uid) : MU_NONE;
    *by_name = MU_NONE;
    if (*by_uid == MU_NONE && known_ns)
        *by_name = mu_index_find(db->pod_by_name, name_hash, &key);
}

uint32_t mu_pod_find_name(const struct mu_db *db, struct mu_symbol ns, struct mu_str name)
{
    const struct pod_name_key key = {ns, name};
    return mu_index_find(db->pod_by_name, pod_name_hash(db, ns, name), &key);
}

/* --- what a record amounts to -------------------------------------------------------------- */

static bool is_member(uint16_t flags)
{
    const uint16_t gone = MU_POD_TERMINAL | MU_POD_TERMINATING;
    return (flags & MU_POD_OURS) != 0 && (flags & gone) == 0 &&
           (flags & (MU_POD_SOLO | MU_POD_BOUND)) != (MU_POD_SOLO | MU_POD_BOUND);
}

enum mu_role mu_pod_role(const struct mu_pod_rec *p)
{
    if (!is_member(p->flags))
        return MU_ROLE_NONE;
    if ((p->flags & MU_POD_BOUND) != 0 || p->ledger == MU_LEDGER_IN_FLIGHT ||
        p->ledger == MU_LEDGER_WAITING)
        return MU_ROLE_PLACED;
    return (p->flags & MU_POD_GATED) != 0 || p->unbuilt != 0 ? MU_ROLE_BLOCKED : MU_ROLE_PENDING;
}

static void count(struct mu_db *db, const struct mu_pod_rec *p, uint32_t step)
{
    const uint16_t gone = MU_POD_TERMINAL | MU_POD_TERMINATING;
    if ((p->flags & MU_POD_USED) == 0)
        return;
    if ((p->flags & MU_POD_TERMINAL) == 0) {
        db->counts.pods += step;
        db->class_live[p->class_ix.v] += step;
        db->pod_moves++;
    }
    if ((p->flags & (MU_POD_BOUND | MU_POD_TERMINAL)) == MU_POD_BOUND)
        db->counts.pods_bound += step;
    if ((p->flags & MU_POD_OURS) != 0 && (p->flags & (gone | MU_POD_BOUND)) == 0)
        db->counts.pods_ours_pending += step;
    if (p->ledger != MU_LEDGER_NONE)
        db->counts.ledger += step;
}

/* Changes of these alone move nothing in the books: confirmed, gated, ours and the like. */
static bool counts_alike(uint16_t before, uint16_t after)
{
    const unsigned asked = MU_POD_USED | MU_POD_TERMINAL | MU_POD_TERMINATING;
    return ((before ^ after) & asked) == 0;
}

void mu_pod_place(struct mu_db *db, uint32_t pod, uint32_t row, struct mu_class_ix class_ix,
                  struct mu_kin_ix kin, uint16_t flags, enum mu_ledger_state ledger,
                  uint16_t devices)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    const struct mu_pod_rec after = {.flags = flags, .ledger = (uint8_t)ledger};
    uint32_t old_row = p->node.v;
    const uint16_t before_flags = p->flags;
    struct mu_class_ix old_class = p->class_ix;
    bool was_charged = old_row != MU_NONE && mu_pod_charged(p);
    bool charged = mu_pod_charged(&after);
    bool same = old_row == row && was_charged == charged && old_class.v == class_ix.v &&
                p->devices == devices;
    MU_ASSERT(!charged || row != MU_NONE);
    bool counts_same = p->kin.v == kin.v && counts_alike(p->flags, flags) &&
                       mu_pod_only_holds(p) == mu_pod_only_holds(&after);
    if (!same || !counts_same) {
        mu_census_pod_leave(db, pod);
        if (!db->books_wanted)
            mu_census_class_seen(db, class_ix);
    }
    count(db, p, UINT32_MAX); /* minus one */
    /* Off the list before the sums are touched: a recount must not see a half-changed pod. */
    if (!same && old_row != MU_NONE)
        mu_node_detach(db, pod);
    if (!same && was_charged)
        mu_row_uncharge(db, old_row, old_class, p->devices);
    p->class_ix = class_ix;
    p->kin = kin;
    p->flags = flags;
    p->ledger = (uint8_t)ledger;
    if (!same && row != MU_NONE)
        mu_node_attach(db, row, pod);
    p->devices = devices;
    if (!same && charged)
        p->devices = mu_row_charge(db, row, class_ix, devices);
    if (old_row != MU_NONE && old_row != row)
        mu_node_drop_if_empty(db, old_row);
    count(db, p, 1);
    /* Room that was kept for it may be free. */
    if ((before_flags & MU_POD_NOMINATED) != 0) {
        db->capacity_generation++;
        db->changed = true;
    }
}

/* --- facts: all that an object refers to, with references ----------------------------------- */

struct pod_facts {
    struct mu_gang_ref gang_ref; /* normalised */
    struct mu_uid uid;
    struct mu_symbol ns;
    uint32_t claim;
    struct mu_symbol nominated; /* a node's name; 0: none */
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    uint32_t node; /* row, or MU_NONE */
    uint32_t gang; /* row, or MU_NONE */
    uint32_t slot; /* record */
    uint32_t unbuilt;
    uint16_t flags;
    enum mu_ledger_state ledger;
    uint16_t devices;
    bool reduced; /* the class is not the object's own */
    char *name;
    unsigned have;
};
enum {
    HAVE_CLASS = 1u << 0,
    HAVE_CLAIM = 1u << 1,
    HAVE_NODE = 1u << 2,
    HAVE_GANG = 1u << 3,
    HAVE_KIN = 1u << 8,
    HAVE_NOMINATED = 1u << 9,
    /* of a new pod only */
    HAVE_UID = 1u << 4,
    HAVE_NS = 1u << 5,
    HAVE_SLOT = 1u << 6,
    HAVE_UID_INDEX = 1u << 7
};

static void facts_cancel(struct mu_db *db, const struct pod_facts *f)
{
    if ((f->have & HAVE_UID_INDEX) != 0)
        mu_index_remove(db->pod_by_uid, uid_hash(db, f->uid), f->slot);
    if ((f->have & HAVE_SLOT) != 0) {
        *mu_pod_at(db, f->slot) = (struct mu_pod_rec){0};
        mu_slab_give(&db->pods, f->slot);
    }
    mu_mem_free(f->name);
    if ((f->have & HAVE_NOMINATED) != 0)
        mu_symbol_unref(db->symbols, f->nominated, db->reach);
    if ((f->have & HAVE_GANG) != 0)
        mu_gang_cancel(db, f->gang);
    if ((f->have & HAVE_NODE) != 0)
        mu_node_cancel(db, f->node);
    if ((f->have & HAVE_CLAIM) != 0)
        mu_claim_unref(db, f->claim);
    if ((f->have & HAVE_CLASS) != 0)
        mu_model_class_unref(db->model, f->class_ix, db->reach);
    if ((f->have & HAVE_KIN) != 0)
        mu_model_kin_unref(db->model, f->kin, db->reach);
    if ((f->have & HAVE_NS) != 0)
        mu_symbol_unref(db->symbols, f->ns, db->reach);
    if ((f->have & HAVE_UID) != 0)
        mu_uid_release(db, f->uid);
}

static bool is_ours(const struct mu_db *db, struct mu_str scheduler_name)
{
    for (uint32_t i = 0; i < db->scheduler_name_count; i++)
        if (mu_str_equal(db->scheduler_names[i], scheduler_name))
            return true;
    return false;
}

/* True when it asks for a part of a device and for whole ones: the columns of a node cannot say
 * whether both are there (engine/device.h). */
static bool asks_both(const struct mu_pod_object *pod)
{
    bool part = false, whole = false;
    for (uint32_t i = 0; i < pod->request_count; i++) {
        part |= pod->requests[i].value > 0 &&
                mu_str_equal(pod->requests[i].resource, MU_STR(MU_GPU_SHARE_RESOURCE));
        whole |= pod->requests[i].value > 0 && mu_is_device_resource(pod->requests[i].resource);
    }
    return part && whole;
}

/* The gang that the pod states; solo where there is no name for it, without what is beyond a bound.
 * One that cannot be had as stated blocks its pod alone. */
static void derive_gang(const struct mu_pod_object *pod, struct pod_facts *f)
{
    const struct mu_gang_ref *ref = &pod->gang;
    const struct mu_gang_ref named = {.source = ref->source, .name = ref->name};
    const struct mu_str names[] = {ref->subgroup, ref->object, ref->part};
    bool ok = ref->size <= MU_GANG_MEMBERS_MAX && ref->subgroup_min <= MU_GANG_MEMBERS_MAX &&
              ref->subgroup_count <= MU_SUBGROUPS_MAX &&
              ref->pack_key.len <= MU_RESOURCE_NAME_BYTES_MAX;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ok = ok && names[i].len <= MU_NAME_BYTES_MAX;
    for (uint32_t i = 0; ok && i < ref->subgroup_count; i++)
        ok = ref->subgroups[i].name.len <= MU_NAME_BYTES_MAX &&
             ref->subgroups[i].min <= MU_GANG_MEMBERS_MAX;
    f->gang_ref = ok ? *ref : named;
    if (ref->source == MU_GANG_SOLO || ref->name.len == 0 ||
        ref->name.len > MU_GANG_NAME_BYTES_MAX) {
        ok = ok && ref->source == MU_GANG_SOLO;
        f->gang_ref = (struct mu_gang_ref){.source = MU_GANG_SOLO};
    }
    f->unbuilt |= ok ? 0 : MU_RULE_GANG_SPEC;
}

/* Flags, ledger state and gang of the object, which need no memory. `p`: the held record, or
 * NULL. */
static void facts_derive(const struct mu_db *db, const struct mu_pod_object *pod,
                         const struct mu_pod_rec *p, struct pod_facts *f)
{
    bool terminal = pod->phase == MU_POD_SUCCEEDED || pod->phase == MU_POD_FAILED;
    bool bound = pod->node_name.len != 0;
    unsigned flags = MU_POD_USED;
    flags |= is_ours(db, pod->scheduler_name) ? MU_POD_OURS : 0u;
    flags |= pod->terminating ? MU_POD_TERMINATING : 0u;
    flags |= terminal ? MU_POD_TERMINAL : 0u;
    flags |= pod->gated ? MU_POD_GATED : 0u;
    flags |= pod->controlled ? MU_POD_CONTROLLED : 0u;
    flags |= bound ? MU_POD_BOUND : 0u;
    flags |= bound && pod->phase == MU_POD_RUNNING ? MU_POD_RUNS : 0u;
    flags |= pod->spared ? MU_POD_SPARED : 0u;
    flags |= pod->never_preempts ? MU_POD_NEVER : 0u;
    bool nominated = !bound && !terminal && pod->nominated_node.len != 0 &&
                     pod->nominated_node.len <= MU_NAME_BYTES_MAX;
    flags |= nominated ? MU_POD_NOMINATED : 0u;
    f->unbuilt = pod->unbuilt;
    derive_gang(pod, f);
    flags |= f->gang_ref.source == MU_GANG_SOLO ? MU_POD_SOLO : 0u;
    f->ledger = p == NULL ? MU_LEDGER_NONE : (enum mu_ledger_state)p->ledger;
    if (bound || terminal || (pod->terminating && p != NULL && mu_pod_only_holds(p)))
        f->ledger = MU_LEDGER_NONE;
    if (f->ledger == MU_LEDGER_IN_FLIGHT)
        flags |= p->flags & MU_POD_CONFIRMED;
    f->flags = (uint16_t)flags;
    f->node = f->ledger == MU_LEDGER_NONE ? MU_NONE : p->node.v;
    f->devices = f->ledger == MU_LEDGER_NONE ? 0 : p->devices;
    if (bound && pod->devices <= UINT16_MAX)
        f->devices = (uint16_t)pod->devices;
    if (asks_both(pod))
        f->unbuilt |= MU_RULE_DEVICES;
    f->gang = MU_NONE;
    f->slot = MU_NONE;
}

/* The requests of `pod` that a class can take, into `out`; no more than MU_REQUESTS_PER_POD. */
static uint32_t readable_requests(const struct mu_pod_object *pod, struct mu_amount *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < pod->request_count && count < MU_REQUESTS_PER_POD; i++) {
        const struct mu_amount *request = &pod->requests[i];
        uint32_t len = request->resource.len;
        if (request->value > 0 && len != 0 && len <= MU_RESOURCE_NAME_BYTES_MAX)
            out[count++] = *request;
    }
    return count;
}

static int obtain_class(struct mu_db *db, const struct mu_pod_object *pod,
                        const struct mu_pod_rec *p, struct pod_facts *f)
{
    int rc = mu_model_class(db->model, pod, &f->class_ix);
    if (rc != MU_ELIMIT && rc != MU_EINVAL)
        return rc;
    struct mu_amount requests[MU_REQUESTS_PER_POD];
    struct mu_pod_object reduced = {.requests = requests,
                                    .request_count = readable_requests(pod, requests)};
    rc = mu_model_class(db->model, &reduced, &f->class_ix);
    MU_ASSERT(rc != MU_EINVAL);
    if (rc == MU_ELIMIT && p != NULL) {
        f->class_ix = p->class_ix;
        mu_model_class_ref(db->model, f->class_ix);
        rc = 0;
    }
    f->unbuilt |= MU_RULE_OVERSIZED;
    f->reduced = true;
    return rc;
}

/* A pod whose labels cannot be had is of the kin that it was of, or of one without labels. */
static int obtain_kin(struct mu_db *db, const struct mu_pod_object *pod, const struct mu_pod_rec *p,
                      struct pod_facts *f)
{
    int rc = mu_model_kin(db->model, pod, &f->kin);
    if (rc != MU_ELIMIT && rc != MU_EINVAL)
        return rc;
    f->unbuilt |= MU_RULE_OVERSIZED;
    f->reduced = true;
    if (p != NULL) {
        f->kin = p->kin;
        mu_model_kin_ref(db->model, f->kin);
        return 0;
    }
    const struct mu_pod_object bare = {.ns = pod->ns};
    return mu_model_kin(db->model, &bare, &f->kin);
}

static int obtain_node(struct mu_db *db, const struct mu_pod_object *pod, struct pod_facts *f)
{
    if ((f->flags & MU_POD_BOUND) != 0) {
        int rc = mu_node_obtain(db, pod->node_name, &f->node);
        if (rc != 0)
            return rc;
        f->have |= HAVE_NODE;
    }
    const struct mu_pod_rec after = {.flags = f->flags, .ledger = (uint8_t)f->ledger};
    if (!mu_pod_charged(&after))
        return 0;
    return mu_row_reserve(db, f->node, mu_row_class_stride(db, f->class_ix));
}

static int obtain_gang(struct mu_db *db, const struct mu_pod_rec *p, struct pod_facts *f)
{
    if (!is_member(f->flags))
        return 0;
    bool solo = f->gang_ref.source == MU_GANG_SOLO;
    /* In a row of its own because its gang's object says so, it stays there. */
    uint32_t named = p == NULL ? MU_NONE : p->gang.v;
    if (named != MU_NONE && mu_gang_at(db, named)->home != MU_NONE)
        named = mu_gang_at(db, named)->home;
    if (named != MU_NONE &&
        (solo ? (p->flags & MU_POD_SOLO) != 0 : mu_gang_is(db, named, f->ns, &f->gang_ref))) {
        f->gang = p->gang.v;
        return 0;
    }
    int rc = mu_gang_obtain(db, f->ns, &f->gang_ref, &f->gang);
    f->have |= rc == 0 ? HAVE_GANG : 0;
    return rc;
}

/* A pod whose claim cannot be had makes none. */
static int obtain_claim(struct mu_db *db, struct pod_facts *f)
{
    f->claim = MU_NONE;
    if ((f->flags & MU_POD_OURS) == 0 || f->gang_ref.source == MU_GANG_SOLO)
        return 0;
    int rc = mu_claim_obtain(db, &f->gang_ref, &f->claim);
    if (rc != MU_ELIMIT)
        return rc;
    f->claim = MU_NONE;
    f->unbuilt |= MU_RULE_OVERSIZED;
    f->reduced = true;
    return 0;
}

/* Of more nominations than may be the later ones are not heeded. */
static int obtain_nomination(struct mu_db *db, const struct mu_pod_object *pod,
                             const struct mu_pod_rec *p, struct pod_facts *f)
{
    bool more = p == NULL || (p->flags & MU_POD_NOMINATED) == 0;
    int rc = mu_nominated_obtain(db, pod->nominated_node, more, &f->nominated);
    if (rc == 0) {
        f->have |= HAVE_NOMINATED;
        return 0;
    }
    if (rc != MU_ELIMIT)
        return rc;
    f->flags &= (uint16_t) ~(unsigned)MU_POD_NOMINATED;
    f->reduced = true;
    return 0;
}

/* The record of a new pod, findable by UID and name, without place and gang. */
static int obtain_record(struct mu_db *db, const struct mu_pod_object *pod, struct pod_facts *f)
{
    f->name = mu_mem_alloc(pod->name.len);
    if (f->name == NULL)
        return MU_ENOMEM;
    memcpy(f->name, pod->name.data, pod->name.len);
    int rc = mu_slab_take(&db->pods, &f->slot);
    if (rc != 0)
        return rc;
    f->have |= HAVE_SLOT;
    rc = mu_census_pods_reserve(db, db->pods.high);
    if (rc != 0)
        return rc;
    *mu_pod_at(db, f->slot) = (struct mu_pod_rec){.uid = f->uid,
                                                  .ns = f->ns,
                                                  .name = f->name,
                                                  .name_len = (uint8_t)pod->name.len,
                                                  .node = {MU_NONE},
                                                  .gang = {MU_NONE},
                                                  .claim = MU_NONE};
    rc = mu_index_insert(db->pod_by_uid, uid_hash(db, f->uid), f->slot);
    if (rc != 0)
        return rc;
    f->have |= HAVE_UID_INDEX;
    return mu_index_insert(db->pod_by_name, pod_name_hash(db, f->ns, pod->name), f->slot);
}

/* `held`: the pod's record, or MU_NONE for a new one. On error *what names the field and nothing
 * is held. */
static int facts_obtain(struct mu_db *db, const struct mu_pod_object *pod, uint32_t held,
                        struct pod_facts *f, const char **what)
{
    const struct mu_pod_rec *p = held == MU_NONE ? NULL : mu_pod_at(db, held);
    *f = (struct pod_facts){0};
    facts_derive(db, pod, p, f);
    int rc = 0;
    if (p != NULL) {
        f->uid = p->uid;
        f->ns = p->ns;
    } else {
        *what = "metadata.uid";
        rc = mu_uid_obtain(db, pod->uid, &f->uid);
        f->have |= rc == 0 ? HAVE_UID : 0;
        if (rc == 0) {
            *what = "metadata.namespace";
            rc = mu_symbol_intern(db->symbols, pod->ns, &f->ns);
            f->have |= rc == 0 ? HAVE_NS : 0;
        }
    }
    if (rc == 0) {
        *what = "spec";
        rc = obtain_class(db, pod, p, f);
        f->have |= rc == 0 ? HAVE_CLASS : 0;
        if (rc == 0)
            rc = mu_typical_reserve(db, f->class_ix);
    }
    if (rc == 0) {
        *what = "metadata.labels";
        rc = obtain_kin(db, pod, p, f);
        f->have |= rc == 0 ? HAVE_KIN : 0;
    }
    if (rc == 0) {
        *what = "gang";
        rc = obtain_claim(db, f);
        f->have |= rc == 0 ? HAVE_CLAIM : 0;
    }
    if (rc == 0) {
        *what = "spec.nodeName";
        rc = obtain_node(db, pod, f);
    }
    if (rc == 0) {
        *what = "gang";
        rc = obtain_gang(db, p, f);
    }
    if (rc == 0) {
        *what = "priority";
        rc = mu_occupants_reserve(db, pod->priority);
    }
    if (rc == 0 && (f->flags & MU_POD_NOMINATED) != 0) {
        *what = "status.nominatedNodeName";
        rc = obtain_nomination(db, pod, p, f);
    }
    if (rc == 0 && p == NULL) {
        *what = "pod record";
        rc = obtain_record(db, pod, f);
    }
    if (rc != 0)
        facts_cancel(db, f);
    return rc;
}

/* --- upsert -------------------------------------------------------------------------------- */

/* True when a member's gang must be decided anew: anything that its row or block derives from,
 * other than the member's version. */
static bool gang_affected(const struct mu_pod_rec *before, const struct mu_pod_rec *after)
{
    const uint16_t is_bound = MU_POD_BOUND | MU_POD_CONFIRMED;
    enum mu_role role = mu_pod_role(after);
    return role != mu_pod_role(before) ||
           ((before->flags & is_bound) != 0) != ((after->flags & is_bound) != 0) ||
           before->priority != after->priority || before->created_s != after->created_s ||
           before->claim != after->claim || before->unbuilt != after->unbuilt ||
           ((before->flags ^ after->flags) & (MU_POD_NEVER | MU_POD_CONTROLLED)) != 0 ||
           (role == MU_ROLE_PENDING &&
            (before->class_ix.v != after->class_ix.v || before->kin.v != after->kin.v));
}

/* A refused binding is not tried again because the pod was written to: the refusal may itself be
 * what was written, into its status. */
static void keep_refusal(const struct mu_pod_rec *p, const struct mu_pod_object *pod,
                         struct pod_facts *f)
{
    const unsigned learned = MU_POD_CONFIRMED | MU_POD_NOMINATED;
    bool same = p->class_ix.v == f->class_ix.v && p->kin.v == f->kin.v && p->gang.v == f->gang &&
                ((p->flags ^ f->flags) & ~learned) == 0 && p->claim == f->claim &&
                p->priority == pod->priority &&
                (p->unbuilt & ~(uint32_t)MU_RULE_REFUSED) == f->unbuilt;
    if (same)
        f->unbuilt = p->unbuilt;
}

/* Seconds as a record keeps them. */
static uint32_t seconds(uint64_t s)
{
    return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX - 1;
}

/* Write prepared facts into the record; it takes over all references. */
static void commit(struct mu_db *db, uint32_t pod, const struct mu_pod_object *object,
                   const struct pod_facts *f, uint64_t now_ns)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    const struct mu_pod_rec before = *p;
    const unsigned is_bound = MU_POD_BOUND | MU_POD_CONFIRMED;
    if (before.gang.v != MU_NONE && before.gang.v != f->gang) {
        if ((f->flags & MU_POD_TERMINAL) != 0 && object->phase == MU_POD_SUCCEEDED)
            mu_gang_member_ends(db, pod);
        mu_gang_leave(db, pod);
    }
    /* Devices that nobody named, or named in vain, stay as they were given. */
    bool stays = before.node.v != MU_NONE && before.node.v == f->node &&
                 !mu_row_devices_usable(db, f->node, f->class_ix, f->devices);
    mu_pod_place(db, pod, f->node, f->class_ix, f->kin, f->flags, f->ledger,
                 stays ? before.devices : f->devices);
    if (((before.flags | f->flags) & MU_POD_NOMINATED) != 0)
        mu_nominated_set(db, pod, f->nominated);
    p->version = object->version;
    p->created_s = seconds(object->created_s);
    p->started_s = object->started_s == 0 ? UINT32_MAX : seconds(object->started_s);
    p->claim = f->claim;
    p->unbuilt = f->unbuilt;
    p->priority = object->priority;
    p->report = object->report;
    p->mark = db->pod_mark;
    if (f->gang != MU_NONE) {
        if (before.gang.v != f->gang)
            mu_gang_join(db, f->gang, pod, now_ns);
        else if (gang_affected(&before, p))
            mu_gang_touch(db, f->gang);
        else if (mu_pod_role(p) == MU_ROLE_PENDING)
            mu_gang_renew(db, f->gang);
    }
    mu_occupants_pod_moved(db, &before, p);
    const bool was_bound = before.gang.v == f->gang && (before.flags & is_bound) != 0;
    if (f->gang != MU_NONE && !was_bound && (p->flags & is_bound) != 0)
        mu_gang_member_rises(db, f->gang);
    if (before.gang.v != MU_NONE && before.gang.v != f->gang)
        mu_gang_drop_if_empty(db, before.gang.v);
    if ((before.flags & MU_POD_USED) != 0) {
        mu_model_class_unref(db->model, before.class_ix, db->reach);
        mu_model_kin_unref(db->model, before.kin, db->reach);
        mu_claim_unref(db, before.claim);
    }
}

static const char *invalid(const struct mu_pod_object *pod)
{
    if (pod->name.len == 0 || pod->name.len > MU_NAME_BYTES_MAX)
        return "metadata.name: expected 1 to 253 bytes";
    if (pod->ns.len > MU_NAME_BYTES_MAX)
        return "metadata.namespace: expected at most 253 bytes";
    if (pod->uid.len == 0 || pod->uid.len > MU_UID_BYTES_MAX)
        return "metadata.uid: expected 1 to 128 bytes";
    if (pod->node_name.len > MU_NAME_BYTES_MAX)
        return "spec.nodeName: expected at most 253 bytes";
    return NULL;
}

int mu_db_pod_upsert(struct mu_db *db, const struct mu_pod_object *pod, uint64_t now_ns,
                     struct mu_error *error)
{
    const char *what = invalid(pod);
    if (what != NULL)
        return mu_db_refuse(db, error, MU_EINVAL, "pod", pod->ns, pod->name, what);
    uint32_t held, replaced;
    find_pod(db, pod, &held, &replaced);
    if (held != MU_NONE) {
        const struct mu_pod_rec *p = mu_pod_at(db, held);
        if (!mu_str_equal(mu_pod_name(p), pod->name) ||
            !mu_str_equal(mu_symbol_str(db->symbols, p->ns), pod->ns))
            return mu_db_refuse(db, error, MU_EINVAL, "pod", pod->ns, pod->name,
                                "metadata.uid: expected one that no other pod has");
    }
    uint32_t known = held != MU_NONE ? held : replaced;
    if (known != MU_NONE) {
        struct mu_pod_rec *p = mu_pod_at(db, known);
        if (pod->version < p->version || (held != MU_NONE && pod->version == p->version)) {
            /* Whatever is listed, the pod is there: a held newer version outlives a relist. */
            p->mark = db->pod_mark;
            db->counts.stale_ignored += pod->version < p->version;
            return 0;
        }
    }
    struct pod_facts f;
    int rc = facts_obtain(db, pod, held, &f, &what);
    if (rc != 0)
        return mu_db_refuse(db, error, rc, "pod", pod->ns, pod->name, what);
    mu_db_time(db, now_ns);
    if (held != MU_NONE)
        keep_refusal(mu_pod_at(db, held), pod, &f);
    db->counts.limit_reduced += f.reduced;
    commit(db, held != MU_NONE ? held : f.slot, pod, &f, now_ns);
    if (replaced != MU_NONE)
        mu_pod_remove_rec(db, replaced, now_ns);
    return 0;
}

/* --- remove -------------------------------------------------------------------------------- */

void mu_pod_remove_rec(struct mu_db *db, uint32_t pod, uint64_t now_ns)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    mu_db_time(db, now_ns);
    MU_ASSERT((p->flags & MU_POD_USED) != 0);
    const struct mu_pod_rec before = *p;
    uint32_t gang = p->gang.v;
    struct mu_class_ix class_ix = p->class_ix;
    struct mu_kin_ix kin = p->kin;
    mu_index_remove(db->pod_by_uid, uid_hash(db, p->uid), pod);
    mu_index_remove(db->pod_by_name, pod_name_hash(db, p->ns, mu_pod_name(p)), pod);
    if (gang != MU_NONE)
        mu_gang_leave(db, pod);
    if ((p->flags & MU_POD_NOMINATED) != 0)
        mu_nominated_set(db, pod, (struct mu_symbol){0});
    mu_pod_place(db, pod, MU_NONE, class_ix, kin, 0, MU_LEDGER_NONE, 0);
    mu_occupants_pod_moved(db, &before, p);
    if (gang != MU_NONE)
        mu_gang_drop_if_empty(db, gang);
    mu_model_class_unref(db->model, class_ix, db->reach);
    mu_model_kin_unref(db->model, kin, db->reach);
    mu_claim_unref(db, p->claim);
    mu_symbol_unref(db->symbols, p->ns, db->reach);
    mu_uid_release(db, p->uid);
    mu_mem_free(p->name);
    *p = (struct mu_pod_rec){0};
    mu_slab_give(&db->pods, pod);
}

int mu_db_pod_remove(struct mu_db *db, struct mu_str ns, struct mu_str name, struct mu_str uid,
                     uint64_t now_ns)
{
    struct mu_symbol space;
    struct mu_uid parsed;
    uint32_t pod = MU_NONE;
    if (mu_symbol_find(db->symbols, ns, &space))
        pod = mu_pod_find_name(db, space, name);
    if (pod == MU_NONE)
        return 0;
    if (uid.len != 0 &&
        (mu_db_uid_parse(db, uid, &parsed) != 0 || !mu_uid_equal(parsed, mu_pod_at(db, pod)->uid)))
        return 0;
    mu_gang_member_ends(db, pod);
    mu_pod_remove_rec(db, pod, now_ns);
    return 0;
}

void mu_pod_destroy_all(struct mu_db *db)
{
    for (uint32_t pod = 0; pod < db->pods.high; pod++)
        mu_mem_free(mu_pod_at(db, pod)->name); /* NULL in a free record */
    mu_slab_fini(&db->pods);
}
