#ifndef MU_ENGINE_PLACE_DOMAIN_H
#define MU_ENGINE_PLACE_DOMAIN_H
/*
 * Which rows make up a domain: the inverse of a snapshot's topology columns, so that a rule that
 * starts or stops to hold in a domain touches that domain's rows and no others.
 *
 * Built when first asked for in a generation of the key's domains, in two passes over the column:
 * rows per domain, then their places. MU_TOPOLOGY_ROW needs no table: domain and row are one
 * number.
 */
#include "engine/snapshot.h"

struct mu_domain_table {
    uint32_t *begin; /* domain d has rows[begin[d] .. begin[d + 1]) */
    uint32_t *rows;
    uint64_t *has_key;                /* bit per row that is in some domain, whole words */
    uint32_t domain_count, row_count; /* that it was built for */
    uint32_t domain_cap, row_cap;
    uint64_t generation; /* of the domains */
    bool valid;
};
struct mu_domains {
    const struct mu_snapshot *snapshot;
    uint64_t model_serial; /* of the tables */
    struct mu_domain_table tables[MU_TOPOLOGIES_MAX];
};

void mu_domains_init(struct mu_domains *domains);
void mu_domains_fini(struct mu_domains *domains);
/* Work on this snapshot; tables of other generations are built anew when asked for. */
void mu_domains_begin(struct mu_domains *domains, const struct mu_snapshot *snapshot);
void mu_domains_drop(struct mu_domains *domains);
/* The table of a topology in use. Valid until the next begin. Errors: NULL when out of memory.
 * Cost: O(1), or O(rows) the first time in a generation. */
const struct mu_domain_table *mu_domains_table(struct mu_domains *domains, uint32_t topology);

/* The domain of a row, MU_NONE: it lacks the key. */
static inline uint32_t mu_domain_of(const struct mu_snapshot *snapshot, uint32_t topology,
                                    uint32_t row)
{
    return topology == MU_TOPOLOGY_ROW ? row : snapshot->topology[topology][row];
}

#endif
