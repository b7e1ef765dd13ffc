#ifndef MU_ENGINE_CENSUS_H
#define MU_ENGINE_CENSUS_H
/*
 * Censuses: how many pods of some sort there are in each domain of a topology key. Rules about
 * other pods (terms, spread, host ports) are answered from these counts, never by a walk over pods.
 *
 * The writer keeps them current as pods and nodes come, change and go; a census exists as long as a
 * class of some pod needs it. A replica has a copy, point-in-time like everything in a snapshot;
 * a session counts its own placements on top and takes them off again.
 *
 *     MATCH    pods that the matcher matches. Terminating ones count. A `firm` one, which required
 *              affinity asks, leaves out those that only hold room: they may never be bound
 *     SPREAD   the same, but not terminating, and only on eligible nodes: those that have every key
 *              in `keys` and, as far as the constraint honours them, match the affinity and have no
 *              taint beyond the tolerance. `domains` counts the eligible nodes of each domain
 *     CARRY    pods whose class has a term of this kind, weight, matcher and key: for symmetry, met
 *              by those that the matcher matches
 *     PORT     pods that use this host port. The domain is the row itself
 *
 * Counted is a pod with a place that is not terminal: bound, or in the ledger.
 */
#include "engine/model/model.h"

enum mu_census_kind { MU_CENSUS_MATCH, MU_CENSUS_SPREAD, MU_CENSUS_CARRY, MU_CENSUS_PORT };

struct mu_census_ix {
    uint32_t v;
};
/* A topology key in use, by number. Domains of a key are numbered from 0; numbers are used
 * again. */
#define MU_TOPOLOGY_ROW UINT32_MAX /* not a key: each row is its own domain */
/* No census for this rule: a table is full, of topology keys or another one. It cannot be judged,
 * so its class fits nowhere. */
#define MU_CENSUS_NONE   UINT32_MAX
#define MU_CENSUS_NO_KEY (UINT32_MAX - 1)
/* None, and none is needed: no node has the topology key, or one of a group of spreads. Affinity
 * and hard spreads refuse everywhere; anti-affinity and preferences come to nothing. */
#define MU_CENSUS_VOID (UINT32_MAX - 2)

/* Whether there is a census of this number. */
static inline bool mu_census_is(struct mu_census_ix census)
{
    return census.v < MU_CENSUS_VOID;
}

struct mu_census {
    uint64_t id; /* unique over the process's life; 0: this number is not in use */
    enum mu_census_kind kind;
    uint32_t topology;                /* number, or MU_TOPOLOGY_ROW */
    struct mu_matcher_ix matcher;     /* MATCH, SPREAD, CARRY */
    enum mu_term_kind term;           /* CARRY */
    int32_t weight;                   /* CARRY */
    uint64_t keys;                    /* SPREAD: bit per topology number that a node must have */
    struct mu_affinity_ix affinity;   /* SPREAD; 0: not honoured, or none */
    struct mu_tolerance_ix tolerance; /* SPREAD */
    bool honor_taints;                /* SPREAD */
    bool counts_none;                 /* SPREAD: an empty selector */
    bool firm;                        /* MATCH: bound, or on its way to be */
    bool overflow;            /* not all matches could be kept: what asks it cannot be judged */
    struct mu_port_item port; /* PORT */
    uint32_t domain_count;    /* entries of the arrays below: domain numbers of all rows fit */
    int32_t *counts;          /* pods by domain; the session may use it as scratch */
    const uint32_t *domains;  /* SPREAD: eligible nodes by domain, else NULL */
    const uint64_t *eligible; /* SPREAD: bit per row, whole words up to node_cap */
    int64_t total;            /* of counts */
};

/* The censuses that a class asks: one per term, spread and port, in the order of the class. */
struct mu_class_census {
    const struct mu_census_ix *terms;
    const struct mu_census_ix *spreads;
    const struct mu_census_ix *ports;
    uint32_t carry_count; /* CARRY censuses in which a pod of this class is counted: of those terms
                           * whose key has a number, in the order of the class */
    const struct mu_census_ix *carry;
};
/* The censuses whose matcher matches a kin, by kind; a pod of this kin is counted in the first two
 * and met by the terms of the third. Those with counts_none count nobody and are not listed.
 * `partial`: not all could be kept. What may keep a pod of this kin away cannot be judged. */
struct mu_kin_census {
    bool partial;
    uint32_t match_count, spread_count, carry_count;
    const struct mu_census_ix *match, *spread, *carry;
};

#endif
