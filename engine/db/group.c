#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Group objects: what gangs say in objects of their own.
 *
 * A record is (source, namespace, name). It is there while the object is, or while some gang's row
 * waits for the object: so that a row finds its record once, and a record its rows. An object that
 * says something new makes its rows stale, and that is all: what a row must have is derived anew
 * from record and members (db/gang_terms.c). An object that comes in another version with nothing
 * new in it (its status was written) is a quiet change.
 *
 * An object with more than a bound allows is held all the same, without what is beyond and with the
 * rule that keeps its members from being placed, so that nobody acts on an older version of it.
 *
 * Objects of each source are listed by themselves: a relist marks and sweeps one source.
 */

enum { RECORD_SHIFT = 8 };

struct group_key {
    struct mu_symbol ns, name;
    uint8_t source;
};

static uint64_t key_hash(const struct group_key *key)
{
    return mu_hash_mix((uint64_t)key->ns.v << 32 | key->name.v, key->source);
}

static struct group_key key_of(const struct mu_group_rec *g)
{
    return (struct group_key){g->ns, g->name, g->source};
}

static bool group_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_group_rec *g = mu_group_at(context, value);
    const struct group_key *k = key;
    return g->ns.v == k->ns.v && g->name.v == k->name.v && g->source == k->source;
}

static uint64_t group_hash(const void *context, uint32_t value)
{
    struct group_key key = key_of(mu_group_at(context, value));
    return key_hash(&key);
}

int mu_groups_init(struct mu_db *db)
{
    mu_slab_init(&db->groups, sizeof(struct mu_group_rec), RECORD_SHIFT, MU_GANGS_MAX);
    db->group_by_name = mu_index_create(0, group_equal, group_hash, db);
    return db->group_by_name == NULL ? MU_ENOMEM : 0;
}

void mu_groups_fini(struct mu_db *db)
{
    for (uint32_t group = 0; group < db->groups.high; group++)
        mu_mem_free(mu_group_at(db, group)->subgroups); /* NULL in a free record */
    mu_slab_fini(&db->groups);
    mu_index_destroy(db->group_by_name);
}

/* --- records ------------------------------------------------------------------------------- */

uint32_t mu_group_find(const struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                       struct mu_str name)
{
    struct group_key key = {.source = (uint8_t)source};
    if (!mu_symbol_find(db->symbols, ns, &key.ns) || !mu_symbol_find(db->symbols, name, &key.name))
        return MU_NONE;
    return mu_index_find(db->group_by_name, key_hash(&key), &key);
}

static int group_make(struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                      struct mu_str name, uint32_t *group)
{
    struct group_key key = {.source = (uint8_t)source};
    int rc = mu_symbol_intern(db->symbols, ns, &key.ns);
    if (rc != 0)
        return rc;
    rc = mu_symbol_intern(db->symbols, name, &key.name);
    if (rc == 0) {
        rc = mu_slab_take(&db->groups, group);
        if (rc == 0) {
            *mu_group_at(db, *group) = (struct mu_group_rec){.ns = key.ns,
                                                             .name = key.name,
                                                             .source = key.source,
                                                             .rows = MU_NONE,
                                                             .flags = MU_GROUP_USED};
            rc = mu_index_insert(db->group_by_name, key_hash(&key), *group);
            if (rc == 0)
                return 0;
            mu_group_at(db, *group)->flags = 0;
            mu_slab_give(&db->groups, *group);
        }
        mu_symbol_unref(db->symbols, key.name, db->reach);
    }
    mu_symbol_unref(db->symbols, key.ns, db->reach);
    return rc;
}

int mu_group_obtain(struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                    struct mu_str name, uint32_t *group)
{
    *group = mu_group_find(db, source, ns, name);
    return *group != MU_NONE ? 0 : group_make(db, source, ns, name, group);
}

void mu_group_drop_if_unused(struct mu_db *db, uint32_t group)
{
    struct mu_group_rec *g = mu_group_at(db, group);
    struct group_key key = key_of(g);
    if ((g->flags & MU_GROUP_PRESENT) != 0 || g->rows != MU_NONE)
        return;
    mu_index_remove(db->group_by_name, key_hash(&key), group);
    mu_symbol_unref(db->symbols, g->ns, db->reach);
    mu_symbol_unref(db->symbols, g->name, db->reach);
    MU_ASSERT(g->subgroups == NULL);
    *g = (struct mu_group_rec){.rows = MU_NONE};
    mu_slab_give(&db->groups, group);
}

/* --- what an object says ------------------------------------------------------------------- */

/* All of it, with references, ready to be written into the record. */
struct content {
    struct mu_named_min *subgroups;
    uint32_t subgroup_count;
    struct mu_symbol pack_key;
    uint32_t min, timeout_s, unbuilt;
    int32_t priority;
    uint16_t flags;
};

static void content_release(struct mu_db *db, const struct content *c)
{
    for (uint32_t i = 0; i < c->subgroup_count; i++)
        mu_symbol_unref(db->symbols, c->subgroups[i].name, db->reach);
    mu_mem_free(c->subgroups);
    mu_symbol_unref(db->symbols, c->pack_key, db->reach);
    if ((c->flags & MU_GROUP_HAS_PRIORITY) != 0)
        mu_occupants_let_go(db, c->priority);
}

static bool beyond_bounds(const struct mu_group_object *object)
{
    if (object->min > MU_GANG_MEMBERS_MAX || object->subgroup_count > MU_SUBGROUPS_MAX ||
        object->pack_key.len > MU_RESOURCE_NAME_BYTES_MAX)
        return true;
    for (uint32_t i = 0; i < object->subgroup_count; i++)
        if (object->subgroups[i].min > MU_GANG_MEMBERS_MAX ||
            object->subgroups[i].name.len > MU_NAME_BYTES_MAX)
            return true;
    return false;
}

/* Errors: MU_ENOMEM, MU_ELIMIT (of the table of symbols); nothing is held. `out` has the rest. */
static int content_obtain(struct mu_db *db, const struct mu_group_object *object,
                          struct content *out)
{
    const uint32_t count = object->subgroup_count;
    out->pack_key = (struct mu_symbol){0};
    out->subgroup_count = 0;
    out->subgroups = count == 0 ? NULL : mu_mem_calloc(count, sizeof *out->subgroups);
    if (count > 0 && out->subgroups == NULL)
        return MU_ENOMEM;
    int rc = mu_symbol_intern(db->symbols, object->pack_key, &out->pack_key);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        const struct mu_group_subgroup *from = &object->subgroups[i];
        struct mu_named_min *to = &out->subgroups[i];
        *to = (struct mu_named_min){.min = from->min, .single = from->single};
        rc = mu_symbol_intern(db->symbols, from->name, &to->name);
        out->subgroup_count += rc == 0;
    }
    if (rc == 0 && object->has_priority) {
        rc = mu_occupants_hold(db, object->priority);
        out->flags |= rc == 0 ? MU_GROUP_HAS_PRIORITY : 0;
    }
    if (rc != 0)
        content_release(db, out);
    return rc;
}

static uint16_t content_flags(const struct mu_group_object *object)
{
    unsigned flags = MU_GROUP_USED | MU_GROUP_PRESENT;
    flags |= object->single_policy ? MU_GROUP_SINGLE_POLICY : 0u;
    flags |= object->never_preempts ? MU_GROUP_NEVER : 0u;
    flags |= object->spared ? MU_GROUP_SPARED : 0u;
    flags |= object->single_victims ? MU_GROUP_SINGLE_VICTIMS : 0u;
    flags |= object->pack_required ? MU_GROUP_PACK_REQUIRED : 0u;
    return (uint16_t)flags;
}

/* What cannot be had is left out, and no member is placed. Errors: MU_ENOMEM. */
static int content_make(struct mu_db *db, const struct mu_group_object *object, struct content *out)
{
    *out = (struct content){.min = object->min,
                            .timeout_s = object->timeout_s,
                            .unbuilt = object->unbuilt,
                            .priority = object->has_priority ? object->priority : 0,
                            .flags = content_flags(object)};
    int rc = beyond_bounds(object) ? MU_ELIMIT : content_obtain(db, object, out);
    if (rc != MU_ELIMIT)
        return rc;
    *out = (struct content){.flags = MU_GROUP_USED | MU_GROUP_PRESENT,
                            .unbuilt = object->unbuilt | MU_RULE_GANG_SPEC};
    db->counts.limit_reduced++;
    return 0;
}

static bool content_same(const struct mu_group_rec *g, const struct content *c)
{
    if (g->flags != c->flags || g->min != c->min || g->timeout_s != c->timeout_s ||
        g->unbuilt != c->unbuilt || g->priority != c->priority || g->pack_key.v != c->pack_key.v ||
        g->subgroup_count != c->subgroup_count)
        return false;
    for (uint32_t i = 0; i < g->subgroup_count; i++) {
        const struct mu_named_min *a = &g->subgroups[i], *b = &c->subgroups[i];
        if (a->name.v != b->name.v || a->min != b->min || a->single != b->single)
            return false;
    }
    return true;
}

static void content_set(struct mu_db *db, uint32_t group, const struct content *c)
{
    struct mu_group_rec *g = mu_group_at(db, group);
    const struct content before = {.subgroups = g->subgroups,
                                   .subgroup_count = g->subgroup_count,
                                   .pack_key = g->pack_key,
                                   .priority = g->priority,
                                   .flags = g->flags};
    content_release(db, &before);
    g->subgroups = c->subgroups;
    g->subgroup_count = c->subgroup_count;
    g->pack_key = c->pack_key;
    g->min = c->min;
    g->timeout_s = c->timeout_s;
    g->unbuilt = c->unbuilt;
    g->priority = c->priority;
    g->flags = c->flags;
    for (uint32_t row = g->rows; row != MU_NONE; row = mu_gang_at(db, row)->next)
        mu_gang_terms_moved(db, row);
}

/* --- objects ------------------------------------------------------------------------------- */

static const char *invalid(const struct mu_group_object *object)
{
    if (!mu_gang_has_object(object->source))
        return "a source that has no objects";
    if (object->name.len == 0 || object->name.len > MU_NAME_BYTES_MAX)
        return "metadata.name: expected 1 to 253 bytes";
    if (object->ns.len > MU_NAME_BYTES_MAX)
        return "metadata.namespace: expected at most 253 bytes";
    return NULL;
}

int mu_db_group_upsert(struct mu_db *db, const struct mu_group_object *object,
                       struct mu_error *error)
{
    const char *what = invalid(object);
    if (what != NULL)
        return mu_db_refuse(db, error, MU_EINVAL, "group", object->ns, object->name, what);
    uint32_t group;
    int rc = mu_group_obtain(db, object->source, object->ns, object->name, &group);
    if (rc != 0)
        return mu_db_refuse(db, error, rc, "group", object->ns, object->name, "metadata");
    struct mu_group_rec *g = mu_group_at(db, group);
    const bool present = (g->flags & MU_GROUP_PRESENT) != 0;
    if (present && object->version <= g->version) {
        g->mark = db->group_marks[object->source];
        db->counts.stale_ignored += object->version < g->version;
        return 0;
    }
    struct content content;
    rc = content_make(db, object, &content);
    if (rc != 0) {
        mu_group_drop_if_unused(db, group);
        return mu_db_refuse(db, error, rc, "group", object->ns, object->name, "spec");
    }
    g->version = object->version;
    g->report = object->report;
    g->shown = (uint8_t)object->shown;
    g->mark = db->group_marks[object->source];
    db->counts.groups += !present;
    if (present && content_same(g, &content))
        content_release(db, &content);
    else
        content_set(db, group, &content);
    return 0;
}

static void group_remove(struct mu_db *db, uint32_t group)
{
    const struct content nothing = {.flags = MU_GROUP_USED};
    MU_ASSERT((mu_group_at(db, group)->flags & MU_GROUP_PRESENT) != 0);
    content_set(db, group, &nothing);
    db->counts.groups--;
    mu_group_drop_if_unused(db, group);
}

void mu_db_group_remove(struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                        struct mu_str name)
{
    uint32_t group = mu_group_find(db, source, ns, name);
    if (group != MU_NONE && (mu_group_at(db, group)->flags & MU_GROUP_PRESENT) != 0)
        group_remove(db, group);
}

void mu_db_groups_relist(struct mu_db *db, enum mu_gang_source source)
{
    MU_ASSERT(mu_gang_has_object(source));
    db->group_marks[source]++;
    db->group_sweep[source] = 0;
}

int mu_db_groups_sweep(struct mu_db *db, enum mu_gang_source source, uint32_t budget)
{
    MU_ASSERT(budget > 0 && mu_gang_has_object(source));
    for (uint32_t looked = 0; looked < budget; looked++) {
        const uint32_t group = db->group_sweep[source]++;
        if (group >= db->groups.high)
            return 0;
        const struct mu_group_rec *g = mu_group_at(db, group);
        if ((g->flags & MU_GROUP_PRESENT) != 0 && g->source == source &&
            g->mark != db->group_marks[source])
            group_remove(db, group);
    }
    return 1;
}

uint32_t mu_db_group_sources(const struct mu_db *db)
{
    return db->group_sources;
}

void mu_db_groups_unknown(struct mu_db *db, enum mu_gang_source source, const char *why)
{
    MU_ASSERT(mu_gang_has_object(source));
    db->group_unknown[source] = why;
}
