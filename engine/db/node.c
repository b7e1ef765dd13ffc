#include "engine/db/db_priv.h"

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Node objects.
 *
 * A node is found by its name's symbol. It is present while its object exists, and absent while
 * only pods name it: their charges stand from the start, so that the sums are right at the moment
 * the node arrives, whichever of the two is listed first.
 *
 *     unknown --pod names it--> absent --object--> present --removed, pods left--> absent
 *     unknown --object--> present --removed, no pods--> unknown;  absent --last pod--> unknown
 *
 * A node whose allocatable changes moves to a row of its new capacity class, its pods and ledger
 * entries with it. Whenever a row's occupant changes - moved, removed, replaced by an object with
 * another UID - the row's generation moves, and a plan made for the old occupant is refused.
 *
 * An object that asks for more than a bound allows does not leave its row at an old version: the
 * row then offers less (a resource without a number), or nothing (rules that cannot be kept).
 */

/* --- finding ------------------------------------------------------------------------------- */

/* Symbols are small dense numbers, so name -> row is an array in pages: a third of an index's
 * bytes, and growing it never moves anything. A page is made before its first entry is set. */
static int map_reserve(struct mu_db *db, struct mu_symbol name)
{
    uint32_t **page = &db->node_pages[name.v / MU_NODE_PAGE];
    if (*page == NULL)
        *page = mu_mem_calloc(MU_NODE_PAGE, sizeof **page);
    return *page == NULL ? MU_ENOMEM : 0;
}

/* MU_NONE: forget. */
static void map_set(struct mu_db *db, struct mu_symbol name, uint32_t row)
{
    uint32_t *page = db->node_pages[name.v / MU_NODE_PAGE];
    MU_ASSERT(page != NULL);
    page[name.v % MU_NODE_PAGE] = row + 1; /* 0: none */
}

uint32_t mu_node_row(const struct mu_db *db, struct mu_symbol name)
{
    const uint32_t *page = db->node_pages[name.v / MU_NODE_PAGE];
    return page == NULL ? MU_NONE : page[name.v % MU_NODE_PAGE] - 1;
}

static uint32_t node_find(const struct mu_db *db, struct mu_str name)
{
    struct mu_symbol symbol;
    if (!mu_symbol_find(db->symbols, name, &symbol))
        return MU_NONE;
    return mu_node_row(db, symbol);
}

struct mu_node_ix mu_db_node_find(const struct mu_db *db, struct mu_str name)
{
    return (struct mu_node_ix){node_find(db, name)};
}

/* --- pods on a node ------------------------------------------------------------------------ */

void mu_node_attach(struct mu_db *db, uint32_t row, uint32_t pod)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    struct mu_node_rec *rec = mu_row_rec(db, row);
    MU_ASSERT(p->node.v == MU_NONE);
    p->node.v = row;
    p->node_prev = MU_NONE;
    p->node_next = rec->pods;
    if (rec->pods != MU_NONE)
        mu_pod_at(db, rec->pods)->node_prev = pod;
    rec->pods = pod;
}

void mu_node_detach(struct mu_db *db, uint32_t pod)
{
    struct mu_pod_rec *p = mu_pod_at(db, pod);
    MU_ASSERT(p->node.v != MU_NONE);
    if (p->node_prev != MU_NONE) {
        mu_pod_at(db, p->node_prev)->node_next = p->node_next;
    } else {
        MU_ASSERT(mu_row_rec(db, p->node.v)->pods == pod);
        mu_row_rec(db, p->node.v)->pods = p->node_next;
    }
    if (p->node_next != MU_NONE)
        mu_pod_at(db, p->node_next)->node_prev = p->node_prev;
    p->node.v = MU_NONE;
}

/* Pending members show the room held for them with its row's generation: show it anew. */
static void touch_holders(struct mu_db *db, uint32_t row)
{
    for (uint32_t pod = mu_row_rec(db, row)->pods; pod != MU_NONE;) {
        const struct mu_pod_rec *p = mu_pod_at(db, pod);
        if (p->ledger == MU_LEDGER_HELD && p->gang.v != MU_NONE)
            mu_gang_touch(db, p->gang.v);
        pod = p->node_next;
    }
}

/* --- absent nodes -------------------------------------------------------------------------- */

int mu_node_obtain(struct mu_db *db, struct mu_str name, uint32_t *row)
{
    uint32_t known = node_find(db, name);
    if (known != MU_NONE) {
        *row = known;
        return 0;
    }
    struct mu_symbol symbol;
    int rc = mu_symbol_intern(db->symbols, name, &symbol);
    if (rc != 0)
        return rc;
    uint32_t made = MU_NONE;
    rc = map_reserve(db, symbol);
    if (rc == 0)
        rc = mu_row_obtain(db, db->capacity_none, &made);
    if (rc == 0) {
        mu_row_rec(db, made)->name = symbol;
        mu_row_rec(db, made)->capacity = db->capacity_none;
        map_set(db, symbol, made);
    }
    if (rc != 0) {
        mu_symbol_unref(db->symbols, symbol, db->reach);
        return rc;
    }
    *row = made;
    return 0;
}

void mu_node_cancel(struct mu_db *db, uint32_t row)
{
    struct mu_node_rec *rec = mu_row_rec(db, row);
    if ((rec->flags & MU_NODE_PRESENT) != 0 || rec->pods != MU_NONE)
        return;
    MU_ASSERT(rec->capacity.v == db->capacity_none.v);
    map_set(db, rec->name, MU_NONE);
    mu_symbol_unref(db->symbols, rec->name, db->reach);
    mu_row_cancel(db, db->capacity_none, row);
}

/* Drop what a row's object refers to; name and capacity stay with the row, images are apart. */
static void release_object(struct mu_db *db, struct mu_node_rec *rec)
{
    mu_model_label_set_unref(db->model, rec->labels, rec->hostname, db->reach);
    mu_model_taint_set_unref(db->model, (struct mu_taint_set_ix){rec->taints}, db->reach);
    mu_uid_release(db, rec->uid);
}

/* A row's reference to its capacity; the empty one is held by the DB for good, by no row. */
static void release_capacity(struct mu_db *db, struct mu_capacity_ix capacity)
{
    if (capacity.v != db->capacity_none.v)
        mu_model_capacity_unref(db->model, capacity, db->reach);
}

void mu_node_drop_if_empty(struct mu_db *db, uint32_t row)
{
    struct mu_node_rec *rec = mu_row_rec(db, row);
    if ((rec->flags & MU_NODE_PRESENT) != 0 || rec->pods != MU_NONE)
        return;
    struct mu_capacity_ix capacity = rec->capacity;
    map_set(db, rec->name, MU_NONE);
    mu_symbol_unref(db->symbols, rec->name, db->reach);
    mu_row_release(db, capacity, row);
    release_capacity(db, capacity);
}

/* --- upsert -------------------------------------------------------------------------------- */

/* Everything a node object refers to, each with a reference. */
struct node_facts {
    struct mu_uid uid;
    struct mu_symbol name;
    struct mu_symbol hostname;
    struct mu_label_set_ix labels;
    struct mu_taint_set_ix taints;
    struct mu_capacity_ix capacity;
    struct mu_image_set_ix images;
    struct mu_device_row devices; /* all free; count 0: not tracked */
    bool reduced;                 /* a part was left out */
    unsigned have;                /* HAVE_* */
};
enum {
    HAVE_UID = 1,
    HAVE_NAME = 2,
    HAVE_LABELS = 4,
    HAVE_TAINTS = 8,
    HAVE_CAPACITY = 16,
    HAVE_IMAGES = 32
};

static void facts_release(struct mu_db *db, const struct node_facts *f)
{
    if ((f->have & HAVE_UID) != 0)
        mu_uid_release(db, f->uid);
    if ((f->have & HAVE_NAME) != 0)
        mu_symbol_unref(db->symbols, f->name, db->reach);
    if ((f->have & HAVE_LABELS) != 0)
        mu_model_label_set_unref(db->model, f->labels, f->hostname, db->reach);
    if ((f->have & HAVE_TAINTS) != 0)
        mu_model_taint_set_unref(db->model, f->taints, db->reach);
    if ((f->have & HAVE_CAPACITY) != 0)
        mu_model_capacity_unref(db->model, f->capacity, db->reach);
    if ((f->have & HAVE_IMAGES) != 0)
        mu_model_image_set_unref(db->model, f->images, db->reach);
}

/* True for what one object can cause and must not keep its row at an old version. */
static bool is_reducible(int rc)
{
    return rc == MU_ELIMIT || rc == MU_EINVAL;
}

/* Devices that are tracked one by one, and what the node then has of their two resources. Devices
 * that cannot be tracked are not offered at all: pods that share one would be put on top. */
static int facts_devices(struct mu_db *db, const struct mu_node_object *node, int64_t *amounts,
                         struct node_facts *f)
{
    struct mu_resources *resources = mu_model_resources(db->model);
    struct mu_resource_ix whole, share;
    if (mu_resource_find(resources, MU_STR(MU_GPU_SHARE_RESOURCE), &share))
        amounts[share.v] = 0; /* parts are of devices that are tracked, whatever it states */
    if (node->device_count == 0)
        return 0;
    if (!mu_resource_find(resources, node->device_resource, &whole)) {
        f->reduced = true;
        return 0;
    }
    amounts[whole.v] = 0;
    int rc = mu_resource_intern(resources, MU_STR(MU_GPU_SHARE_RESOURCE), &share);
    if (is_reducible(rc) || node->device_count > MU_DEVICES_PER_NODE ||
        !mu_is_device_resource(node->device_resource)) {
        f->reduced = true;
        return 0;
    }
    if (rc != 0)
        return rc;
    db->share_resource = share.v;
    db->devices_tracked = true;
    mu_device_init(&f->devices, node->device_count, whole.v, node->devices_whole);
    amounts[share.v] = MU_DEVICE_MILLIS;
    amounts[whole.v] = node->devices_whole ? node->device_count : 0;
    return 0;
}

static int facts_capacity(struct mu_db *db, const struct mu_node_object *node, struct node_facts *f)
{
    int64_t amounts[MU_RESOURCES_MAX] = {0};
    for (uint32_t i = 0; i < node->allocatable_count; i++) {
        struct mu_resource_ix ix;
        int rc =
            mu_resource_intern(mu_model_resources(db->model), node->allocatable[i].resource, &ix);
        if (is_reducible(rc)) {
            f->reduced = true;
            continue;
        }
        if (rc != 0)
            return rc;
        /* A negative amount is a source's mistake: no room is the safe reading. */
        amounts[ix.v] = node->allocatable[i].value < 0 ? 0 : node->allocatable[i].value;
    }
    int rc = facts_devices(db, node, amounts, f);
    if (rc == 0)
        rc = mu_model_capacity(db->model, amounts, &f->capacity);
    if (is_reducible(rc)) {
        f->reduced = true;
        f->devices.count = 0;
        f->capacity = db->capacity_none;
        return 0;
    }
    if (rc != 0)
        return rc;
    /* The empty one is the DB's own, held by no row. */
    if (f->capacity.v == db->capacity_none.v)
        mu_model_capacity_unref(db->model, f->capacity, db->reach);
    else
        f->have |= HAVE_CAPACITY;
    return 0;
}

/* Labels and taints. When one of them cannot be had the node has neither (the empty sets are
 * always there), and *bare is set: without its rules it must not be offered. */
static int facts_sets(struct mu_db *db, const struct mu_node_object *node, struct node_facts *f,
                      bool *bare, const char **what)
{
    *what = "metadata.labels";
    int rc =
        mu_model_label_set(db->model, node->labels, node->label_count, &f->labels, &f->hostname);
    f->have |= rc == 0 ? HAVE_LABELS : 0;
    if (rc == 0) {
        *what = "spec.taints";
        rc = mu_model_taint_set(db->model, node->taints, node->taint_count, &f->taints);
        f->have |= rc == 0 ? HAVE_TAINTS : 0;
    }
    *bare = is_reducible(rc);
    if (!*bare)
        return rc;
    if ((f->have & HAVE_LABELS) != 0)
        mu_model_label_set_unref(db->model, f->labels, f->hostname, db->reach);
    f->have &= ~(unsigned)HAVE_LABELS;
    f->reduced = true;
    rc = mu_model_label_set(db->model, NULL, 0, &f->labels, &f->hostname);
    MU_ASSERT(rc == 0);
    rc = mu_model_taint_set(db->model, NULL, 0, &f->taints);
    MU_ASSERT(rc == 0);
    f->have |= HAVE_LABELS | HAVE_TAINTS;
    return 0;
}

/* Only scores look at images: those that cannot be had are none. */
static int facts_images(struct mu_db *db, const struct mu_node_object *node, struct node_facts *f)
{
    int rc = mu_model_image_set(db->model, node->images, node->image_count, &f->images);
    if (is_reducible(rc)) {
        f->reduced = true;
        rc = mu_model_image_set(db->model, NULL, 0, &f->images);
        MU_ASSERT(rc == 0);
    }
    f->have |= rc == 0 ? HAVE_IMAGES : 0;
    return rc;
}

/* Returns 0 or an error with *what naming the field; on error nothing is held. */
static int facts_obtain(struct mu_db *db, const struct mu_node_object *node, struct node_facts *f,
                        const char **what)
{
    *f = (struct node_facts){0};
    *what = "metadata.uid";
    int rc = node->uid.len == 0 ? 0 : mu_uid_obtain(db, node->uid, &f->uid);
    f->have |= rc == 0 ? HAVE_UID : 0;
    if (rc == 0) {
        *what = "metadata.name";
        rc = mu_symbol_intern(db->symbols, node->name, &f->name);
        f->have |= rc == 0 ? HAVE_NAME : 0;
    }
    bool bare = false;
    if (rc == 0)
        rc = facts_sets(db, node, f, &bare, what);
    if (rc == 0 && bare)
        f->capacity = db->capacity_none;
    if (rc == 0 && !bare) {
        *what = "status.allocatable";
        rc = facts_capacity(db, node, f);
    }
    if (rc == 0) {
        *what = "status.images";
        rc = facts_images(db, node, f);
    }
    if (rc != 0)
        facts_release(db, f);
    return rc;
}

/* A row of its capacity for the node, with room for what its pods take. `old`: its row now, or
 * MU_NONE. On error nothing is held. */
static int obtain_row(struct mu_db *db, const struct node_facts *f, uint32_t old, uint32_t *out)
{
    uint32_t row = MU_NONE;
    int rc = map_reserve(db, f->name);
    if (rc == 0)
        rc = mu_row_obtain(db, f->capacity, &row);
    if (rc != 0)
        return rc;
    /* Pods follow: their charges may touch resources that the node itself does not have. */
    if (old != MU_NONE)
        rc = mu_row_reserve(db, row, mu_row_chunk(db, old)->stride);
    if (rc != 0) {
        mu_row_cancel(db, f->capacity, row);
        return rc;
    }
    *out = row;
    return 0;
}

/* Move occupant and pods from `old` to `row`, which obtain_row prepared. */
static void move_row(struct mu_db *db, uint32_t old, uint32_t row)
{
    struct mu_node_rec *from = mu_row_rec(db, old);
    struct mu_node_rec *to = mu_row_rec(db, row);
    struct mu_capacity_ix capacity = from->capacity;
    mu_census_row_leave(db, old);
    to->pods = from->pods;
    from->pods = MU_NONE;
    for (uint32_t pod = to->pods; pod != MU_NONE;) {
        struct mu_pod_rec *p = mu_pod_at(db, pod);
        p->node.v = row;
        pod = p->node_next;
    }
    to->flags = from->flags;
    to->labels = from->labels;
    to->taints = from->taints;
    to->hostname = from->hostname;
    to->uid = from->uid;
    mu_row_images_move(db, old, row);
    mu_occupants_row_moved(db, old, row);
    /* The name's reference moves along; obtain_row's caller holds another for the facts. */
    mu_row_release(db, capacity, old);
    release_capacity(db, capacity);
}

/* Write the facts into a row whose pods are in place. The row takes over all references. */
static void commit_row(struct mu_db *db, uint32_t row, const struct node_facts *f,
                       const struct mu_node_object *node, bool moved, bool same_object)
{
    struct mu_node_rec *rec = mu_row_rec(db, row);
    uint16_t flags =
        (uint16_t)(MU_NODE_PRESENT | (node->unschedulable ? MU_NODE_UNSCHEDULABLE : 0u));
    bool was_present = (rec->flags & MU_NODE_PRESENT) != 0;
    bool same_shown = !moved && same_object && rec->flags == flags &&
                      rec->labels.v == f->labels.v && rec->taints == f->taints.v &&
                      rec->hostname.v == f->hostname.v;
    if (moved || !was_present || rec->labels.v != f->labels.v || rec->taints != f->taints.v ||
        rec->hostname.v != f->hostname.v)
        mu_census_row_leave(db, row);
    if (was_present)
        release_object(db, rec);
    else
        db->nodes_present++;
    /* A moved or new row's generation moved when it was last released. */
    if (was_present && !moved && !same_object)
        rec->generation++;
    rec->flags = flags;
    rec->labels = f->labels;
    rec->taints = (uint16_t)f->taints.v;
    rec->hostname = f->hostname;
    rec->capacity = f->capacity;
    rec->name = f->name;
    map_set(db, f->name, row);
    rec->tie = (uint32_t)mu_hash_stable(node->name.data, node->name.len);
    rec->uid = f->uid;
    rec->version = node->version;
    mu_row_list(db, row);
    struct mu_image_set_ix images = mu_row_images(db, row);
    mu_row_images_set(db, row, f->images);
    if (was_present)
        mu_model_image_set_unref(db->model, images, db->reach);
    bool retracked = mu_row_devices_configure(db, row, &f->devices);
    if (moved || !was_present || retracked) {
        mu_row_restore(db, row);
        mu_row_mark_free(db, row);
        db->capacity_generation++;
    }
    if (!same_shown || retracked) {
        mu_row_mark_static(db, row);
        touch_holders(db, row);
    }
}

static int upsert(struct mu_db *db, const struct mu_node_object *node, uint32_t old,
                  const char **what)
{
    struct node_facts f;
    int rc = facts_obtain(db, node, &f, what);
    if (rc != 0)
        return rc;
    struct mu_node_rec *rec = old == MU_NONE ? NULL : mu_row_rec(db, old);
    bool present = rec != NULL && (rec->flags & MU_NODE_PRESENT) != 0;
    bool same_object = present && mu_uid_equal(rec->uid, f.uid);
    uint32_t row = old;
    bool moved = rec == NULL || rec->capacity.v != f.capacity.v;
    if (moved) {
        *what = "node row";
        rc = obtain_row(db, &f, old, &row);
    }
    bool obtained = rc == 0 && moved;
    if (rc == 0 && f.devices.count != 0) {
        *what = "devices";
        rc = mu_row_devices_reserve(db, row);
    }
    if (rc == 0) {
        *what = "status.images";
        rc = mu_row_images_reserve(db, row, f.images);
    }
    if (rc == 0 && present) /* they move along before they are replaced */
        rc = mu_row_images_reserve(db, row, mu_row_images(db, old));
    if (rc != 0 && obtained)
        mu_row_cancel(db, f.capacity, row);
    if (rc != 0) {
        facts_release(db, &f);
        return rc;
    }
    if (old != MU_NONE) {
        /* The row had a reference to its name already. */
        mu_symbol_unref(db->symbols, f.name, db->reach);
        if (moved)
            move_row(db, old, row);
        else
            release_capacity(db, f.capacity);
    }
    db->counts.limit_reduced += f.reduced;
    commit_row(db, row, &f, node, moved, same_object);
    return 0;
}

int mu_db_node_upsert(struct mu_db *db, const struct mu_node_object *node, uint64_t now_ns,
                      struct mu_error *error)
{
    (void)now_ns;
    const struct mu_str none = {NULL, 0};
    if (node->name.len == 0 || node->name.len > MU_NAME_BYTES_MAX)
        return mu_db_refuse(db, error, MU_EINVAL, "node", none, node->name,
                            "metadata.name: expected 1 to 253 bytes");
    uint32_t old = node_find(db, node->name);
    if (old != MU_NONE && (mu_row_rec(db, old)->flags & MU_NODE_PRESENT) != 0) {
        struct mu_node_rec *rec = mu_row_rec(db, old);
        struct mu_uid uid = {0, 0}; /* a source may have none */
        bool same = (node->uid.len == 0 || mu_db_uid_parse(db, node->uid, &uid) == 0) &&
                    mu_uid_equal(uid, rec->uid);
        if (node->version < rec->version || (same && node->version == rec->version)) {
            /* Whatever is listed, the node is there: a held newer version outlives a relist. */
            mu_row_list(db, old);
            db->counts.stale_ignored += node->version < rec->version;
            return 0;
        }
    }
    const char *what = "";
    int rc = upsert(db, node, old, &what);
    return rc == 0 ? 0 : mu_db_refuse(db, error, rc, "node", none, node->name, what);
}

/* --- remove -------------------------------------------------------------------------------- */

void mu_node_remove_row(struct mu_db *db, uint32_t row)
{
    struct mu_node_rec *rec = mu_row_rec(db, row);
    MU_ASSERT((rec->flags & MU_NODE_PRESENT) != 0);
    MU_ASSERT(db->nodes_present > 0);
    mu_census_row_leave(db, row);
    struct mu_image_set_ix images = mu_row_images(db, row);
    mu_row_images_set(db, row, (struct mu_image_set_ix){0});
    mu_model_image_set_unref(db->model, images, db->reach);
    release_object(db, rec);
    db->nodes_present--;
    rec->flags = 0;
    rec->labels.v = 0;
    rec->taints = 0;
    rec->hostname.v = 0;
    rec->uid = (struct mu_uid){0, 0};
    rec->version = 0;
    rec->generation++;
    (void)mu_row_devices_configure(db, row, &(struct mu_device_row){.count = 0});
    mu_row_restore(db, row);
    mu_row_mark_free(db, row);
    mu_row_mark_static(db, row);
    touch_holders(db, row);
    mu_node_drop_if_empty(db, row);
}

int mu_db_node_remove(struct mu_db *db, struct mu_str name, struct mu_str uid)
{
    uint32_t row = node_find(db, name);
    if (row == MU_NONE || (mu_row_rec(db, row)->flags & MU_NODE_PRESENT) == 0)
        return 0;
    struct mu_uid parsed;
    if (uid.len != 0 &&
        (mu_db_uid_parse(db, uid, &parsed) != 0 || !mu_uid_equal(parsed, mu_row_rec(db, row)->uid)))
        return 0;
    mu_node_remove_row(db, row);
    return 0;
}

void mu_node_destroy_all(struct mu_db *db)
{
    for (uint32_t i = 0; i < db->chunk_count; i++) {
        mu_mem_free(db->chunks[i].recs);
        mu_mem_free(db->chunks[i].free);
        mu_mem_free(db->chunks[i].devices);
        mu_mem_free(db->chunks[i].images);
    }
    for (uint32_t i = 0; i < MU_NODE_PAGES; i++)
        mu_mem_free(db->node_pages[i]);
    mu_mem_free(db->chunks);
    mu_mem_free(db->capacities);
}
