#include "engine/db/db_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/db/census_priv.h"

/*
 * Disruption budgets, and which pods each of them covers.
 *
 * A budget covers the pods of its namespace that its selector matches; an empty selector covers
 * nobody, and a pod without labels is covered by none (the rules of kube-scheduler's preemption).
 * Both sides of that are the same for all pods of a kin, so it is worked out once for each kin, and
 * only for kins of occupants: without those nobody asks. An occupant's block enters its pods' kins
 * when it is made and takes them off again when it is replaced (db/occupant.c); a kin that has been
 * entered is held, so that its number cannot come to mean another one.
 *
 *     a kin's first occupant, a budget that comes, goes or has another selector --> kins are stale
 *     a sync looks at stale kins, a few at a time, before it is complete
 *
 * What may be disrupted now, and whose disruption is known already, changes far more often and
 * concerns no kin: it is shown whole by every sync. Pods are named there; a name is looked up when
 * it is shown, since the pod of that name may be another one by then.
 */

/* What judging a kin costs a sync, in copied rows, besides the budgets that are looked at. */
enum { KIN_ROWS = 8, LOOKS_PER_ROW = 2, NS_BUCKETS = 1024, SEGMENT_SHIFT = 6, BATCH_ROWS = 16 };

struct budget {
    struct mu_symbol ns, name; /* held */
    struct mu_uid uid;
    uint64_t version;
    struct mu_matcher_ix matcher; /* held; MU_NONE: covers nobody */
    int32_t allowed;
    uint32_t mark;
    uint32_t ns_next, ns_prev;   /* of the same bucket of namespaces */
    struct mu_symbol *disrupted; /* names, held */
    uint32_t disrupted_count;
    bool used;
};
struct kin {
    uint32_t uses; /* occupants in blocks; the kin is held while there are some */
    const struct mu_kin_budgets *block;
};
struct mu_budget_table {
    struct mu_slab table;
    struct mu_index *by_name;
    uint32_t by_ns[NS_BUCKETS];
    uint32_t disrupted; /* names of all of them */
    uint32_t mark;      /* of the relist in hand, or of the last one */
    uint32_t sweep;
    struct mu_pages kins; /* no pages before the first one is entered */
    uint32_t kin_high;    /* one past the highest that was entered */
    struct mu_rowset stale;
    uint32_t *found; /* scratch: budgets of the kin at hand */
    uint32_t found_cap;
};

static struct budget *budget_at(const struct mu_budget_table *b, uint32_t number)
{
    return mu_slab_at(&b->table, number);
}
static struct kin *kin_at(const struct mu_budget_table *b, uint32_t kin)
{
    return mu_pages_at(&b->kins, kin);
}

/* --- names ----------------------------------------------------------------------------------- */

struct budget_key {
    struct mu_symbol ns, name;
};

static uint64_t key_hash(const struct budget_key *key)
{
    return mu_hash_mix((uint64_t)key->ns.v << 32 | key->name.v, MU_DB_KINDS);
}
static bool key_equal(const void *context, uint32_t value, const void *key)
{
    const struct budget *budget = budget_at(context, value);
    const struct budget_key *k = key;
    return budget->ns.v == k->ns.v && budget->name.v == k->name.v;
}
static uint64_t value_hash(const void *context, uint32_t value)
{
    const struct budget *budget = budget_at(context, value);
    return key_hash(&(struct budget_key){budget->ns, budget->name});
}
static uint32_t *bucket_of(struct mu_budget_table *b, struct mu_symbol ns)
{
    return &b->by_ns[ns.v % NS_BUCKETS];
}

static uint32_t budget_find(const struct mu_db *db, struct mu_str ns, struct mu_str name)
{
    struct budget_key key;
    if (!mu_symbol_find(db->symbols, ns, &key.ns) || !mu_symbol_find(db->symbols, name, &key.name))
        return MU_NONE;
    return mu_index_find(db->budgets->by_name, key_hash(&key), &key);
}

/* --- kins ------------------------------------------------------------------------------------ */

int mu_cover_kin_reserve(struct mu_db *db, struct mu_kin_ix kin)
{
    struct mu_budget_table *b = db->budgets;
    int rc = 0;
    if (b->kins.pages == NULL)
        rc = mu_pages_init(&b->kins, MU_KINS_MAX, sizeof(struct kin));
    if (rc == 0)
        rc = mu_pages_reserve(&b->kins, kin.v);
    if (rc == 0)
        rc = mu_rowset_reserve(&b->stale, kin.v + 1);
    for (uint32_t i = 0; rc == 0 && i < db->replica_count; i++)
        if (db->replicas[i]->kin_budgets != NULL)
            rc = mu_rowset_reserve(&db->replicas[i]->kin_budgets_dirty, kin.v + 1);
    return rc;
}

void mu_cover_kin_enter(struct mu_db *db, struct mu_kin_ix kin)
{
    struct mu_budget_table *b = db->budgets;
    struct kin *k = kin_at(b, kin.v);
    if (k->uses++ != 0)
        return;
    mu_model_kin_ref(db->model, kin);
    b->kin_high = kin.v >= b->kin_high ? kin.v + 1 : b->kin_high;
    if (b->table.used != 0)
        (void)mu_rowset_add(&b->stale, kin.v);
}

/* What has led to it has said that something moves. */
static void kin_show(struct mu_db *db, uint32_t kin, const struct mu_kin_budgets *block)
{
    struct kin *k = kin_at(db->budgets, kin);
    if (k->block == NULL && block == NULL)
        return;
    mu_shown_release(db, k->block);
    k->block = block;
    for (uint32_t i = 0; i < db->replica_count; i++)
        if (db->replicas[i]->kin_budgets != NULL)
            (void)mu_rowset_add(&db->replicas[i]->kin_budgets_dirty, kin);
}

void mu_cover_kin_exit(struct mu_db *db, struct mu_kin_ix kin)
{
    struct kin *k = kin_at(db->budgets, kin.v);
    MU_ASSERT(k->uses > 0);
    if (--k->uses != 0)
        return;
    kin_show(db, kin.v, NULL);
    mu_model_kin_unref(db->model, kin, db->reach);
}

void mu_cover_rest(struct mu_db *db)
{
    struct mu_budget_table *b = db->budgets;
    mu_pages_fini(&b->kins);
    mu_rowset_fini(&b->stale);
    b->kin_high = 0;
}

/* All that have been entered are to be judged again. */
static void kins_stale(struct mu_db *db)
{
    struct mu_budget_table *b = db->budgets;
    mu_rowset_fill(&b->stale, b->kin_high);
    mu_occupants_moved(db);
}

static int number_compare(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* The budgets that cover a kin, into `found`. */
static int kin_judge(struct mu_db *db, uint32_t kin, uint32_t *count, uint32_t *spent)
{
    struct mu_budget_table *b = db->budgets;
    const struct mu_kin *content = mu_model_get_kin(db->model, (struct mu_kin_ix){kin});
    uint32_t looks = 0;
    *count = 0;
    for (uint32_t i = *bucket_of(b, content->ns); i != MU_NONE; i = budget_at(b, i)->ns_next) {
        const struct budget *budget = budget_at(b, i);
        looks++;
        if (content->labels.count == 0 || budget->ns.v != content->ns.v ||
            budget->matcher.v == MU_NONE ||
            !mu_matcher_matches(db->model, mu_model_get_matcher(db->model, budget->matcher),
                                content))
            continue;
        int rc = mu_mem_grow((void **)&b->found, &b->found_cap, *count + 1, MU_BUDGETS_MAX,
                             sizeof *b->found);
        if (rc != 0)
            return rc;
        b->found[(*count)++] = i;
    }
    *spent += KIN_ROWS + looks / LOOKS_PER_ROW;
    return 0;
}

static int kin_refresh(struct mu_db *db, uint32_t kin, uint32_t *spent)
{
    struct mu_budget_table *b = db->budgets;
    struct mu_kin_budgets *block = NULL;
    uint32_t count = 0;
    const struct kin *k = kin_at(b, kin);
    *spent += 1;
    if (k == NULL || k->uses == 0)
        return 0;
    int rc = kin_judge(db, kin, &count, spent);
    if (rc == 0 && count != 0) {
        block = mu_shown_alloc(sizeof *block + count * sizeof block->budgets[0]);
        rc = block == NULL ? MU_ENOMEM : 0;
    }
    if (rc != 0)
        return rc;
    if (block != NULL) {
        qsort(b->found, count, sizeof *b->found, number_compare);
        block->count = count;
        memcpy(block->budgets, b->found, count * sizeof block->budgets[0]);
    }
    kin_show(db, kin, block);
    return 0;
}

/* --- objects --------------------------------------------------------------------------------- */

/* All that an object refers to, with references. */
struct facts {
    struct mu_symbol ns, name;
    struct mu_uid uid;
    struct mu_matcher_ix matcher;
    struct mu_symbol *disrupted;
    uint32_t disrupted_count;
    bool reduced;
    bool has_ns, has_name, has_uid;
};

static void facts_release(struct mu_db *db, const struct facts *f)
{
    for (uint32_t i = 0; i < f->disrupted_count; i++)
        mu_symbol_unref(db->symbols, f->disrupted[i], db->reach);
    mu_mem_free(f->disrupted);
    if (f->matcher.v != MU_NONE)
        mu_model_matcher_unref(db->model, f->matcher, db->reach);
    if (f->has_uid)
        mu_uid_release(db, f->uid);
    if (f->has_name)
        mu_symbol_unref(db->symbols, f->name, db->reach);
    if (f->has_ns)
        mu_symbol_unref(db->symbols, f->ns, db->reach);
}

/* A budget covers pods of its own namespace. One whose selector is beyond a bound covers nobody. */
static int obtain_matcher(struct mu_db *db, const struct mu_budget_object *object, struct facts *f)
{
    const struct mu_selector *selector = &object->selector;
    if (selector->nothing || selector->requirement_count == 0)
        return 0;
    struct mu_matcher_ix matcher;
    int rc = mu_model_matcher(db->model, object->ns, selector, &matcher);
    if (rc == 0)
        f->matcher = matcher;
    f->reduced |= rc == MU_ELIMIT;
    return rc == MU_ELIMIT ? 0 : rc;
}

/* Names of pods; those beyond the bound count as not disrupted. `others`: names of other budgets.
 */
static int obtain_disrupted(struct mu_db *db, const struct mu_budget_object *object,
                            uint32_t others, struct facts *f)
{
    uint32_t room = MU_DISRUPTED_MAX - others;
    uint32_t count = object->disrupted_count < room ? object->disrupted_count : room;
    f->reduced |= count < object->disrupted_count;
    if (count == 0)
        return 0;
    f->disrupted = mu_mem_calloc(count, sizeof *f->disrupted);
    if (f->disrupted == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct mu_symbol name;
        if (object->disrupted[i].len == 0 || object->disrupted[i].len > MU_NAME_BYTES_MAX)
            continue; /* no pod has such a name */
        int rc = mu_symbol_intern(db->symbols, object->disrupted[i], &name);
        if (rc == MU_ENOMEM)
            return rc;
        f->reduced |= rc != 0;
        if (rc == 0)
            f->disrupted[f->disrupted_count++] = name;
    }
    return 0;
}

/* On an error nothing is held, and *what names the field. */
static int facts_obtain(struct mu_db *db, const struct mu_budget_object *object, uint32_t others,
                        struct facts *f, const char **what)
{
    *f = (struct facts){.matcher = {MU_NONE}};
    *what = "metadata.namespace";
    int rc = mu_symbol_intern(db->symbols, object->ns, &f->ns);
    f->has_ns = rc == 0;
    if (rc == 0) {
        *what = "metadata.name";
        rc = mu_symbol_intern(db->symbols, object->name, &f->name);
        f->has_name = rc == 0;
    }
    if (rc == 0 && object->uid.len != 0) {
        *what = "metadata.uid";
        rc = mu_uid_obtain(db, object->uid, &f->uid);
        f->has_uid = rc == 0;
    }
    if (rc == 0) {
        *what = "spec.selector";
        rc = obtain_matcher(db, object, f);
    }
    if (rc == 0) {
        *what = "status.disruptedPods";
        rc = obtain_disrupted(db, object, others, f);
    }
    if (rc != 0)
        facts_release(db, f);
    return rc;
}

/* The facts that a budget holds, to be released. */
static struct facts facts_of(const struct budget *budget)
{
    return (struct facts){.ns = budget->ns,
                          .name = budget->name,
                          .uid = budget->uid,
                          .matcher = budget->matcher,
                          .disrupted = budget->disrupted,
                          .disrupted_count = budget->disrupted_count,
                          .has_ns = true,
                          .has_name = true,
                          .has_uid = true};
}

static int obtain_record(struct mu_budget_table *b, const struct facts *f, uint32_t *out)
{
    int rc = mu_slab_take(&b->table, out);
    if (rc != 0)
        return rc;
    struct budget *budget = budget_at(b, *out);
    *budget = (struct budget){.ns = f->ns, .name = f->name, .matcher = {MU_NONE}};
    rc = mu_index_insert(b->by_name, key_hash(&(struct budget_key){f->ns, f->name}), *out);
    if (rc != 0) {
        mu_slab_give(&b->table, *out);
        return rc;
    }
    uint32_t *head = bucket_of(b, f->ns);
    budget->ns_prev = MU_NONE;
    budget->ns_next = *head;
    if (*head != MU_NONE)
        budget_at(b, *head)->ns_prev = *out;
    *head = *out;
    return 0;
}

/* Write prepared facts; the record takes over all references. */
static void commit(struct mu_db *db, uint32_t number, const struct facts *f,
                   const struct mu_budget_object *object)
{
    struct mu_budget_table *b = db->budgets;
    struct budget *budget = budget_at(b, number);
    const struct facts before = facts_of(budget);
    bool is_new = !budget->used;
    bool turns = is_new || before.matcher.v != f->matcher.v;
    b->disrupted += f->disrupted_count - budget->disrupted_count;
    budget->uid = f->has_uid ? f->uid : (struct mu_uid){0, 0};
    budget->version = object->version;
    budget->matcher = f->matcher;
    budget->allowed = object->allowed;
    budget->mark = b->mark;
    budget->disrupted = f->disrupted;
    budget->disrupted_count = f->disrupted_count;
    budget->used = true;
    if (!is_new) /* the record has had its references to ns and name already: those of `f` go */
        facts_release(db, &before);
    if (turns)
        kins_stale(db);
    mu_occupants_moved(db);
    db->counts.limit_reduced += f->reduced;
}

int mu_db_budget_upsert(struct mu_db *db, const struct mu_budget_object *object,
                        struct mu_error *error)
{
    struct mu_budget_table *b = db->budgets;
    if (object->name.len == 0 || object->name.len > MU_NAME_BYTES_MAX ||
        object->ns.len > MU_NAME_BYTES_MAX)
        return mu_db_refuse(db, error, MU_EINVAL, "budget", object->ns, object->name,
                            "metadata.name: expected 1 to 253 bytes");
    uint32_t held = budget_find(db, object->ns, object->name);
    struct budget *known = held == MU_NONE ? NULL : budget_at(b, held);
    if (known != NULL && object->version <= known->version) {
        struct mu_uid uid = {0, 0};
        bool same = (object->uid.len == 0 || mu_db_uid_parse(db, object->uid, &uid) == 0) &&
                    mu_uid_equal(uid, known->uid);
        if (object->version < known->version || same) {
            known->mark = b->mark; /* whatever is listed, it is there */
            db->counts.stale_ignored += object->version < known->version;
            return 0;
        }
    }
    struct facts f;
    const char *what = "";
    uint32_t others = b->disrupted - (known == NULL ? 0 : known->disrupted_count);
    int rc = facts_obtain(db, object, others, &f, &what);
    if (rc == 0 && known == NULL) {
        what = "budget record";
        rc = obtain_record(b, &f, &held);
        if (rc != 0)
            facts_release(db, &f);
    }
    if (rc != 0)
        return mu_db_refuse(db, error, rc, "budget", object->ns, object->name, what);
    commit(db, held, &f, object);
    return 0;
}

static void budget_remove(struct mu_db *db, uint32_t number)
{
    struct mu_budget_table *b = db->budgets;
    struct budget *budget = budget_at(b, number);
    const struct facts f = facts_of(budget);
    mu_index_remove(b->by_name, key_hash(&(struct budget_key){f.ns, f.name}), number);
    if (budget->ns_prev != MU_NONE)
        budget_at(b, budget->ns_prev)->ns_next = budget->ns_next;
    else
        *bucket_of(b, f.ns) = budget->ns_next;
    if (budget->ns_next != MU_NONE)
        budget_at(b, budget->ns_next)->ns_prev = budget->ns_prev;
    b->disrupted -= budget->disrupted_count;
    facts_release(db, &f);
    *budget = (struct budget){.used = false};
    mu_slab_give(&b->table, number);
    kins_stale(db);
}

void mu_db_budget_remove(struct mu_db *db, struct mu_str ns, struct mu_str name, struct mu_str uid)
{
    uint32_t number = budget_find(db, ns, name);
    struct mu_uid parsed;
    if (number == MU_NONE)
        return;
    if (uid.len != 0 && (mu_db_uid_parse(db, uid, &parsed) != 0 ||
                         !mu_uid_equal(parsed, budget_at(db->budgets, number)->uid)))
        return;
    budget_remove(db, number);
}

bool mu_db_budgets_spend(struct mu_db *db, struct mu_kin_ix kin)
{
    const struct kin *k = kin.v < db->budgets->kin_high ? kin_at(db->budgets, kin.v) : NULL;
    bool none = false;
    if (k == NULL || k->block == NULL)
        return false;
    for (uint32_t i = 0; i < k->block->count; i++) {
        struct budget *budget = budget_at(db->budgets, k->block->budgets[i]);
        MU_ASSERT(budget->used);
        none |= budget->allowed <= 0;
        budget->allowed -= budget->allowed > INT32_MIN;
    }
    mu_occupants_moved(db);
    return none;
}

void mu_db_budgets_relist(struct mu_db *db)
{
    db->budgets->mark++;
    db->budgets->sweep = 0;
}

int mu_db_budgets_sweep(struct mu_db *db, uint32_t budget)
{
    struct mu_budget_table *b = db->budgets;
    MU_ASSERT(budget > 0);
    for (uint32_t looked = 0; looked < budget; looked++) {
        if (b->sweep >= b->table.high)
            return 0;
        const struct budget *at = budget_at(b, b->sweep++);
        if (at->used && at->mark != b->mark)
            budget_remove(db, b->sweep - 1);
    }
    return 1;
}

uint32_t mu_cover_count(const struct mu_db *db)
{
    return db->budgets->table.used;
}

uint64_t mu_cover_digest(const struct mu_db *db)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < db->budgets->table.high; i++) {
        const struct budget *budget = budget_at(db->budgets, i);
        char text[MU_UID_BYTES_MAX + 1];
        if (!budget->used)
            continue;
        uint64_t hash = mu_hash_str(mu_symbol_str(db->symbols, budget->ns), MU_DB_KINDS);
        hash = mu_hash_mix(hash, mu_hash_str(mu_symbol_str(db->symbols, budget->name), 0));
        uint32_t len = mu_db_uid_text(db, budget->uid, text);
        digest += mu_hash_mix(mu_hash_mix(hash, mu_hash_bytes(text, len, 0)), budget->version);
    }
    return digest;
}

/* --- replicas -------------------------------------------------------------------------------- */

static int column_reserve(struct mu_db *db, struct mu_replica *r)
{
    const struct mu_budget_table *b = db->budgets;
    int rc = mu_mem_grow((void **)&r->budgets, &r->budgets_cap, b->table.high, MU_BUDGETS_MAX,
                         sizeof *r->budgets);
    if (rc == 0)
        rc = mu_mem_grow((void **)&r->disrupted, &r->disrupted_cap, b->disrupted, MU_DISRUPTED_MAX,
                         sizeof *r->disrupted);
    if (rc != 0 || (r->kin_budgets != NULL && b->kin_high <= r->kin_budgets_cap))
        return rc;
    uint32_t cap = b->kin_high + b->kin_high / 8 + 1;
    cap = cap < MU_KINS_MAX ? cap : MU_KINS_MAX;
    rc = mu_rowset_reserve(&r->kin_budgets_dirty, cap);
    const struct mu_kin_budgets **column = mu_mem_calloc(cap, sizeof *column);
    if (rc != 0 || column == NULL) {
        mu_mem_free(column);
        return MU_ENOMEM;
    }
    mu_mem_free(r->kin_budgets);
    r->kin_budgets = column;
    r->kin_budgets_cap = cap;
    mu_rowset_fill(&r->kin_budgets_dirty, b->kin_high);
    return 0;
}

static void copy(const struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent)
{
    uint32_t kins[BATCH_ROWS];
    while (*spent < budget) {
        uint32_t left = budget - *spent;
        uint32_t n =
            mu_rowset_take(&r->kin_budgets_dirty, kins, left < BATCH_ROWS ? left : BATCH_ROWS);
        for (uint32_t i = 0; i < n; i++) {
            const struct kin *k = kin_at(db->budgets, kins[i]);
            r->kin_budgets[kins[i]] = k == NULL ? NULL : k->block;
        }
        *spent += n;
        if (n == 0)
            return;
    }
}

int mu_cover_sync(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent)
{
    struct mu_rowset *stale = &db->budgets->stale;
    int rc = 0;
    while (rc == 0 && stale->count != 0 && *spent < budget) {
        uint32_t kin = mu_rowset_next(stale, 0);
        rc = kin_refresh(db, kin, spent);
        if (rc == 0)
            (void)mu_rowset_drop(stale, kin);
    }
    if (rc == 0 && mu_cover_count(db) != 0)
        rc = column_reserve(db, r);
    if (rc == 0 && mu_cover_count(db) != 0)
        copy(db, r, budget, spent);
    return rc;
}

uint64_t mu_cover_backlog(const struct mu_db *db, const struct mu_replica *r)
{
    const struct mu_budget_table *b = db->budgets;
    return (uint64_t)b->stale.count + (b->table.used != 0 ? r->kin_budgets_dirty.count : 0);
}

/* Pods whose disruption a budget knows of, from index `begin` of the replica's list on; returns
 * how many. */
static uint32_t show_disrupted(const struct mu_db *db, const struct budget *budget,
                               struct mu_pod_ix *to)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < budget->disrupted_count; i++) {
        uint32_t pod =
            mu_pod_find_name(db, budget->ns, mu_symbol_str(db->symbols, budget->disrupted[i]));
        if (pod != MU_NONE)
            to[count++].v = pod;
    }
    if (count > 1)
        qsort(to, count, sizeof *to, number_compare);
    return count;
}

void mu_cover_show(const struct mu_db *db, struct mu_replica *r, bool wanted)
{
    const struct mu_budget_table *b = db->budgets;
    struct mu_snapshot *s = &r->shown;
    uint32_t disrupted = 0;
    bool any = wanted && b->table.used != 0;
    s->budget_count = any ? b->table.high : 0;
    s->budgets = any ? r->budgets : NULL;
    s->budget_disrupted = any ? r->disrupted : NULL;
    s->kin_budgets = any ? r->kin_budgets : NULL;
    s->kin_budgets_count = any ? b->kin_high : 0;
    for (uint32_t i = 0; i < s->budget_count; i++) {
        const struct budget *budget = budget_at(b, i);
        uint32_t count =
            budget->disrupted_count == 0 ? 0 : show_disrupted(db, budget, r->disrupted + disrupted);
        r->budgets[i] = (struct mu_budget){budget->allowed, disrupted, count};
        disrupted += count;
        MU_ASSERT(disrupted <= r->disrupted_cap);
    }
}

void mu_cover_replica_fini(struct mu_replica *r)
{
    mu_mem_free(r->budgets);
    mu_mem_free(r->disrupted);
    mu_mem_free(r->kin_budgets);
    mu_rowset_fini(&r->kin_budgets_dirty);
    r->budgets = NULL;
    r->disrupted = NULL;
    r->kin_budgets = NULL;
    r->budgets_cap = r->disrupted_cap = r->kin_budgets_cap = 0;
}

/* --- life ------------------------------------------------------------------------------------ */

int mu_cover_create(struct mu_db *db)
{
    struct mu_budget_table *b = mu_mem_zalloc(sizeof *b);
    if (b == NULL)
        return MU_ENOMEM;
    db->budgets = b;
    mu_slab_init(&b->table, sizeof(struct budget), SEGMENT_SHIFT, MU_BUDGETS_MAX);
    for (uint32_t i = 0; i < NS_BUCKETS; i++)
        b->by_ns[i] = MU_NONE;
    b->by_name = mu_index_create(0, key_equal, value_hash, b);
    return b->by_name == NULL ? MU_ENOMEM : 0;
}

/* After the occupants, which have taken off all kins. */
void mu_cover_destroy(struct mu_db *db)
{
    struct mu_budget_table *b = db->budgets;
    if (b == NULL)
        return;
    for (uint32_t i = 0; i < b->table.high; i++)
        mu_mem_free(budget_at(b, i)->disrupted); /* NULL in a free record */
    mu_index_destroy(b->by_name);
    mu_slab_fini(&b->table);
    mu_pages_fini(&b->kins);
    mu_rowset_fini(&b->stale);
    mu_mem_free(b->found);
    mu_mem_free(b);
}
