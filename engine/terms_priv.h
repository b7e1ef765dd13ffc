#ifndef MU_ENGINE_TERMS_PRIV_H
#define MU_ENGINE_TERMS_PRIV_H
/* Inside the rules about other pods: terms.c (filters), terms_prefer.c (preferences). */
#include "engine/domain.h"
#include "engine/terms.h"

#define MU_TERMS_MOVES 64u /* last domains moved that a census remembers; a power of two */
#define MU_NO_VIEW     UINT32_MAX

/* What a session keeps beside a census of its snapshot. */
struct mu_tracked {
    uint64_t session; /* that the fields below, but for views, belong to */
    uint64_t moves;   /* counts that went up or down */
    uint32_t log[MU_TERMS_MOVES];
    /* SPREAD: the count of the least loaded domain that has eligible nodes, and how many have it. */
    bool least_known;
    int32_t least;
    uint32_t at_least;
    uint32_t domains; /* that have eligible nodes */
    uint32_t views;   /* first view of this census */
};

/* Rows in whose domain the census counts more than `limit`. */
struct mu_view {
    uint32_t next; /* view of the same census */
    /* What makes the limit: 0 where skew is 0, else of a spread constraint. */
    int32_t skew, min_domains;
    bool self;
    /* Up to where it is current. */
    uint64_t census_id, domain_generation, session, moves;
    int64_t limit;
    uint64_t *over; /* bit per domain */
    uint64_t *rows; /* bit per row; the same array as `over` where the row is the domain */
    uint32_t domain_cap, row_cap;
};

struct mu_terms {
    struct mu_snapshot *snapshot; /* NULL: between sessions */
    const struct mu_model *model; /* of what is cached */
    uint64_t session;
    uint64_t state, last_state;
    struct mu_domains domains;
    struct mu_tracked **tracked; /* by census number */
    uint32_t tracked_cap;
    struct mu_view *views;
    uint32_t view_count, view_cap;
    /* Censuses of host ports, collected once per session. */
    uint64_t ports_session;
    uint32_t *ports;
    uint32_t port_count, port_cap;
    /* The mask that was built last. */
    struct mu_filter_mask mask;
    uint64_t *words;
    uint64_t *nowhere; /* no row */
    uint32_t row_cap;
    /* The preferences that were computed last, by row and level, and sums on the way to them. */
    int64_t *raw, *bonus;
    uint32_t bonus_cap;
};

/* The censuses that a class asks, that match a kin; NULL: none. */
const struct mu_class_census *mu_terms_of_class(const struct mu_snapshot *s,
                                                struct mu_class_ix class_ix);
const struct mu_kin_census *mu_terms_of_kin(const struct mu_snapshot *s, struct mu_kin_ix kin);
/* What is kept beside a census, of this session. NULL when out of memory. */
struct mu_tracked *mu_terms_track(struct mu_terms *terms, uint32_t census);
/* The least loaded domain, anew. Cost: O(domains). */
void mu_terms_least(struct mu_tracked *t, const struct mu_census *census);

#endif
