#include "engine/db/db_priv.h"

/*
 * Namespace objects: their labels live in the model, which reads them when a selector of namespaces
 * is matched. All that the DB adds is to say so to the censuses when a label has changed.
 */

static int set_labels(struct mu_db *db, struct mu_str name, bool present,
                      const struct mu_label *labels, uint32_t label_count)
{
    bool changed = false;
    int rc = mu_model_namespace(db->model, name, present, labels, label_count, db->reach, &changed);
    struct mu_symbol symbol;
    if (rc == 0 && changed && present && mu_symbol_find(db->symbols, name, &symbol))
        db->counts.limit_reduced += mu_model_namespace_unknown(db->model, symbol);
    /* Pods of the namespace hold its name; without one nobody is concerned. */
    if (rc == 0 && changed && mu_symbol_find(db->symbols, name, &symbol))
        mu_census_namespace(db, symbol);
    return rc;
}

int mu_db_namespace_upsert(struct mu_db *db, struct mu_str name, const struct mu_label *labels,
                           uint32_t label_count, struct mu_error *error)
{
    const struct mu_str none = {NULL, 0};
    if (name.len == 0 || name.len > MU_NAME_BYTES_MAX)
        return mu_db_refuse(db, error, MU_EINVAL, "namespace", none, name,
                            "metadata.name: expected 1 to 253 bytes");
    int rc = set_labels(db, name, true, labels, label_count);
    return rc == 0 ? 0 : mu_db_refuse(db, error, rc, "namespace", none, name, "metadata.labels");
}

int mu_db_namespace_remove(struct mu_db *db, struct mu_str name)
{
    return set_labels(db, name, false, NULL, 0);
}

void mu_namespace_sweep(struct mu_db *db, uint32_t record)
{
    struct mu_str name;
    if (mu_model_namespace_stale(db->model, record, &name))
        (void)set_labels(db, name, false, NULL, 0); /* taking away needs no memory */
}
