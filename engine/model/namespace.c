#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/model/model.h"
#include "engine/model/model_priv.h"

/*
 * The labels of namespaces, which namespace selectors of pod terms look at. Only the writer reads
 * them: what depends on them is worked out there, and replicas get its results.
 *
 * Records with an index by name; those given back are in a list and used first. A namespace without
 * labels is no different from one that is not known, and is kept all the same: it counts.
 */

struct mu_namespace {
    struct mu_symbol name;
    struct mu_symbol hostname; /* label sets keep this label apart */
    struct mu_label_set_ix labels;
    uint32_t mark; /* of the relist that named it last */
    uint32_t next_free;
    bool unknown; /* it has labels that could not be had: what selects by them cannot be told */
};

static bool name_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_model *model = context;
    const struct mu_symbol *name = key;
    return model->namespaces[value].name.v == name->v;
}

static uint64_t symbol_hash(struct mu_symbol name)
{
    return mu_hash_mix(name.v, 0);
}

static uint64_t name_hash(const void *context, uint32_t value)
{
    const struct mu_model *model = context;
    return symbol_hash(model->namespaces[value].name);
}

int mu_namespaces_init(struct mu_model *model)
{
    model->namespace_free = MU_INDEX_NONE;
    model->namespace_index = mu_index_create(16, name_equal, name_hash, model);
    return model->namespace_index == NULL ? MU_ENOMEM : 0;
}

void mu_namespaces_fini(struct mu_model *model)
{
    mu_mem_free(model->namespaces);
    mu_index_destroy(model->namespace_index);
}

static uint32_t namespace_find(const struct mu_model *model, struct mu_symbol name)
{
    return mu_index_find(model->namespace_index, symbol_hash(name), &name);
}

bool mu_model_get_namespace(const struct mu_model *m, struct mu_symbol name,
                            struct mu_labels_view *out)
{
    uint32_t at = namespace_find(m, name);
    if (at == MU_INDEX_NONE)
        return false;
    *out = mu_model_labels(m, m->namespaces[at].labels, m->namespaces[at].hostname);
    return true;
}

bool mu_model_namespace_unknown(const struct mu_model *m, struct mu_symbol name)
{
    uint32_t at = namespace_find(m, name);
    return at != MU_INDEX_NONE && m->namespaces[at].unknown;
}

uint32_t mu_model_namespace_count(const struct mu_model *m)
{
    return m->namespace_count;
}

void mu_model_namespaces_relist(struct mu_model *m)
{
    m->namespace_mark++;
}

uint32_t mu_model_namespace_bound(const struct mu_model *m)
{
    return m->namespace_bound;
}

bool mu_model_namespace_stale(const struct mu_model *m, uint32_t at, struct mu_str *name)
{
    MU_ASSERT(at < m->namespace_bound);
    const struct mu_namespace *ns = &m->namespaces[at];
    if (ns->name.v == 0 || ns->mark == m->namespace_mark)
        return false;
    *name = mu_symbol_str(m->symbols, ns->name);
    return true;
}

bool mu_model_namespace_at(const struct mu_model *m, uint32_t at, struct mu_symbol *name,
                           struct mu_labels_view *out)
{
    MU_ASSERT(at < m->namespace_bound);
    const struct mu_namespace *ns = &m->namespaces[at];
    if (ns->name.v == 0)
        return false;
    *name = ns->name;
    *out = mu_model_labels(m, ns->labels, ns->hostname);
    return true;
}

static bool has_labels(const struct mu_namespace *ns)
{
    return ns->labels.v != 0 || ns->hostname.v != 0 || ns->unknown;
}

static void namespace_remove(struct mu_model *model, uint32_t at, uint64_t generation)
{
    struct mu_namespace *ns = &model->namespaces[at];
    mu_index_remove(model->namespace_index, symbol_hash(ns->name), at);
    mu_model_label_set_unref(model, ns->labels, ns->hostname, generation);
    mu_symbol_unref(model->symbols, ns->name, generation);
    *ns = (struct mu_namespace){.next_free = model->namespace_free};
    model->namespace_free = at;
    model->namespace_count--;
}

/* A record for one more. Errors: MU_ENOMEM, MU_ELIMIT. */
static int record_find_free(struct mu_model *model, uint32_t *at)
{
    *at = model->namespace_free;
    if (*at != MU_INDEX_NONE)
        return 0;
    void *array = model->namespaces;
    int status = mu_mem_grow(&array, &model->namespace_cap, model->namespace_bound + 1,
                             MU_NAMESPACES_MAX, sizeof *model->namespaces);
    model->namespaces = array;
    *at = model->namespace_bound;
    return status;
}

/* A new one takes over the references to its labels. */
static int namespace_add(struct mu_model *model, struct mu_str name, struct mu_namespace ns)
{
    uint32_t at;
    int status = record_find_free(model, &at);
    if (status == 0)
        status = mu_symbol_intern(model->symbols, name, &ns.name);
    if (status != 0)
        return status;
    uint32_t next_free = at == model->namespace_bound ? 0 : model->namespaces[at].next_free;
    model->namespaces[at] = ns;
    status = mu_index_insert(model->namespace_index, symbol_hash(ns.name), at);
    if (status != 0) {
        model->namespaces[at] = (struct mu_namespace){.next_free = next_free};
        mu_symbol_unref(model->symbols, ns.name, 0);
        return status;
    }
    if (at == model->namespace_bound)
        model->namespace_bound++;
    else
        model->namespace_free = next_free;
    model->namespace_count++;
    return 0;
}

int mu_model_namespace(struct mu_model *model, struct mu_str name, bool present,
                       const struct mu_label *labels, uint32_t count, uint64_t generation,
                       bool *changed)
{
    struct mu_symbol symbol;
    bool known = mu_symbol_find(model->symbols, name, &symbol);
    uint32_t at = known ? namespace_find(model, symbol) : MU_INDEX_NONE;
    *changed = false;
    if (!present) {
        if (at == MU_INDEX_NONE)
            return 0;
        *changed = has_labels(&model->namespaces[at]);
        namespace_remove(model, at, generation);
        return 0;
    }
    struct mu_namespace ns = {.mark = model->namespace_mark};
    int status = mu_model_label_set(model, labels, count, &ns.labels, &ns.hostname);
    ns.unknown = status == MU_ELIMIT || status == MU_EINVAL;
    if (ns.unknown) {
        status = mu_model_label_set(model, NULL, 0, &ns.labels, &ns.hostname);
        MU_ASSERT(status == 0);
    }
    if (status != 0)
        return status;
    if (at == MU_INDEX_NONE) {
        status = namespace_add(model, name, ns);
        if (status != 0)
            mu_model_label_set_unref(model, ns.labels, ns.hostname, generation);
        else
            *changed = has_labels(&ns);
        return status;
    }
    struct mu_namespace *held = &model->namespaces[at];
    *changed = held->labels.v != ns.labels.v || held->hostname.v != ns.hostname.v ||
               held->unknown != ns.unknown;
    mu_model_label_set_unref(model, held->labels, held->hostname, generation);
    held->labels = ns.labels;
    held->hostname = ns.hostname;
    held->mark = ns.mark;
    held->unknown = ns.unknown;
    return 0;
}
