#include "engine/place/domain.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/bitset.h"
#include "engine/base/mem.h"

void mu_domains_init(struct mu_domains *domains)
{
    memset(domains, 0, sizeof *domains);
}

static void table_free(struct mu_domain_table *table)
{
    mu_mem_free(table->begin);
    mu_mem_free(table->rows);
    mu_mem_free(table->has_key);
    *table = (struct mu_domain_table){.valid = false};
}

void mu_domains_fini(struct mu_domains *domains)
{
    for (uint32_t t = 0; t < MU_TOPOLOGIES_MAX; t++)
        table_free(&domains->tables[t]);
}

void mu_domains_drop(struct mu_domains *domains)
{
    for (uint32_t t = 0; t < MU_TOPOLOGIES_MAX; t++)
        domains->tables[t].valid = false;
}

void mu_domains_begin(struct mu_domains *domains, const struct mu_snapshot *snapshot)
{
    if (domains->model_serial != mu_model_serial(snapshot->model))
        mu_domains_drop(domains);
    domains->model_serial = mu_model_serial(snapshot->model);
    domains->snapshot = snapshot;
}

static int table_reserve(struct mu_domain_table *table, uint32_t domains, uint32_t rows)
{
    if (domains + 1 > table->domain_cap) {
        uint32_t *begin = mu_mem_calloc((size_t)domains + domains / 8 + 1, sizeof *begin);
        if (begin == NULL)
            return MU_ENOMEM;
        mu_mem_free(table->begin);
        table->begin = begin;
        table->domain_cap = domains + domains / 8 + 1;
    }
    if (rows > table->row_cap || table->has_key == NULL) {
        uint32_t cap = rows + rows / 8 + 1;
        uint32_t *list = mu_mem_calloc(cap, sizeof *list);
        uint64_t *has_key = mu_mem_calloc(MU_BITSET_WORDS(cap), sizeof *has_key);
        if (list == NULL || has_key == NULL) {
            mu_mem_free(list);
            mu_mem_free(has_key);
            return MU_ENOMEM;
        }
        mu_mem_free(table->rows);
        mu_mem_free(table->has_key);
        table->rows = list;
        table->has_key = has_key;
        table->row_cap = cap;
    }
    return 0;
}

static void table_fill(struct mu_domain_table *table, const uint32_t *column, uint32_t rows)
{
    uint32_t *begin = table->begin;
    memset(begin, 0, ((size_t)table->domain_count + 1) * sizeof *begin);
    memset(table->has_key, 0, MU_BITSET_WORDS(rows) * sizeof *table->has_key);
    for (uint32_t row = 0; row < rows; row++) {
        if (column[row] == MU_NONE)
            continue;
        MU_ASSERT(column[row] < table->domain_count);
        begin[column[row]]++;
        mu_bitset_set(table->has_key, row);
    }
    /* Each begin becomes its domain's end; placing rows from the last one down moves it back. */
    for (uint32_t d = 1; d <= table->domain_count; d++)
        begin[d] += begin[d - 1];
    for (uint32_t row = rows; row-- > 0;)
        if (column[row] != MU_NONE)
            table->rows[--begin[column[row]]] = row;
}

const struct mu_domain_table *mu_domains_table(struct mu_domains *domains, uint32_t topology)
{
    const struct mu_snapshot *snapshot = domains->snapshot;
    MU_ASSERT(topology < snapshot->topology_count);
    struct mu_domain_table *table = &domains->tables[topology];
    if (table->valid && table->generation == snapshot->domain_generation[topology] &&
        table->row_count == snapshot->node_rows)
        return table;
    table->valid = false;
    uint32_t count = snapshot->domain_bound[topology];
    if (table_reserve(table, count, snapshot->node_rows) != 0)
        return NULL;
    table->domain_count = count;
    table->row_count = snapshot->node_rows;
    table_fill(table, snapshot->topology[topology], snapshot->node_rows);
    table->generation = snapshot->domain_generation[topology];
    table->valid = true;
    return table;
}
