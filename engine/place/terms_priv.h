#ifndef MU_ENGINE_PLACE_TERMS_PRIV_H
#define MU_ENGINE_PLACE_TERMS_PRIV_H
/* Inside the rules about other pods: place/terms.c (filters), place/terms_view.c (views),
 * place/terms_ports.c (host ports), place/terms_prefer.c (preferences), place/terms_sum.c (what
 * they are made of). */
#include "engine/place/cut.h"
#include "engine/place/domain.h"
#include "engine/place/terms.h"

#define MU_TERMS_MOVES 64u /* last domains moved that a census remembers; a power of two */
#define MU_NO_VIEW     UINT32_MAX
/* Of one census, and of all; and the memory for all their bits, beyond which these are dropped. */
#define MU_VIEWS_PER_CENSUS 32u
#define MU_VIEWS_MAX        (4 * MU_CENSUSES_MAX)
#define MU_VIEW_BYTES_MAX   (UINT64_C(512) << 20)

/* Sums that are kept, censuses in one, and the memory for all of them, of which at least one is
 * kept. */
#define MU_SUMS_MAX      16u
#define MU_SUM_PARTS_MAX (MU_CENSUSES_MAX + MU_SELECTOR_TERMS_MAX)
#define MU_SUM_BYTES_MAX (UINT64_C(64) << 20)

/* What work costs in cells, of about 0.75 ns: to look at a census that may have a say, and to bring
 * its view up to date when little has moved. */
#define MU_CENSUS_CELLS 4u
#define MU_VIEW_CELLS   16u

_Static_assert(MU_NODES_MAX <= UINT32_MAX / 2, "a move is a domain and a sign");

/* What a session keeps beside a census of its snapshot. */
struct mu_tracked {
    uint64_t session;             /* that the fields below, but for views, belong to */
    uint64_t moves;               /* counts that went up or down */
    uint32_t log[MU_TERMS_MOVES]; /* the last of them: domain and sign */
    /* SPREAD: the count of the least loaded domain that has eligible nodes, and how many have
     * it. */
    bool least_known;
    int32_t least;
    uint32_t at_least;
    uint32_t domains; /* that have eligible nodes */
    uint32_t views;   /* first view of this census: the one asked last */
};

static inline uint32_t mu_move_of(uint32_t domain, int sign)
{
    return domain << 1 | (sign < 0);
}
static inline uint32_t mu_move_domain(uint32_t move)
{
    return move >> 1;
}
static inline int mu_move_sign(uint32_t move)
{
    return (move & 1) != 0 ? -1 : 1;
}

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
    size_t bytes;
};

/* The sum of weight * count over censuses, by domain, for one class and kin in one session. */
struct mu_sum_part {
    uint32_t census;
    int64_t weight;
    uint64_t moves; /* of the census that are in the sum */
};
struct mu_sum_column {
    int64_t *sums; /* by domain */
    uint32_t cap;
};
struct mu_sum {
    uint64_t session; /* 0: no parts yet */
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    bool spread;
    bool made;     /* columns match the parts' moves */
    uint64_t used; /* when it was asked for last */
    uint64_t keys; /* bit per topology with a column */
    struct mu_sum_part *parts;
    uint32_t part_count, part_cap;
    struct mu_sum_column columns[MU_TOPOLOGIES_MAX];
    uint64_t bytes;
};

/* A census of a host port: number and protocol, address, which census. */
struct mu_port_census {
    uint64_t port;
    uint32_t ip, census;
};
/* Some of them, in their order. */
struct mu_port_range {
    uint32_t begin, end;
};
#define MU_PORT_RANGES_MAX 2u

/* Which rule refuses each row: bitmaps over rows, one for each binary digit of the verdict's kind.
 * `left`: the rows that none has refused so far. */
#define MU_JUDGED_DIGITS 5u
_Static_assert(MU_FITS == 0 && MU_VERDICT_KINDS <= 1 << MU_JUDGED_DIGITS, "a kind has few digits");
struct mu_judged {
    uint64_t *left;
    uint64_t *digits[MU_JUDGED_DIGITS];
    uint32_t row_cap, rows; /* rows: that were judged */
};

/* The rows that anti-affinity terms of others keep a kin from, all of them together: current as
 * long as none of these terms' counts has moved. */
struct mu_kept_away {
    uint64_t *rows; /* a bit per row */
    uint32_t row_cap;
    bool made; /* for whom and when: */
    struct mu_kin_ix kin;
    uint64_t session, moves;
    uint64_t asked; /* times that one row was asked for without them */
};

struct mu_terms {
    struct mu_snapshot *snapshot; /* NULL: between sessions */
    uint64_t model_serial;        /* of what is cached */
    uint64_t session;
    uint64_t state, last_state;
    struct mu_domains domains;
    struct mu_tracked **tracked; /* by census number */
    uint32_t tracked_cap;
    struct mu_view *views;
    uint32_t view_count, view_cap;
    uint64_t view_bytes;
    /* Censuses of host ports, collected and sorted once per session. */
    uint64_t ports_session;
    struct mu_port_census *ports;
    uint32_t port_count, port_cap;
    uint32_t every_ip; /* the symbol of 0.0.0.0; 0: none of them is at it */
    struct mu_kept_away away;
    uint64_t away_moves; /* of counts of anti-affinity terms that pods carry, ever */
    struct mu_judged judged;
    struct mu_mask_cut cut; /* the mask that was built last; its rows are none */
    /* The preferences that were computed last, by row and level, and sums on the way to them. */
    int64_t *raw, *bonus;
    uint32_t bonus_cap;
    struct mu_sum sums[MU_SUMS_MAX];
    uint64_t sum_stamp, sum_bytes;
    uint64_t cells; /* what all this has cost, ever, in counts looked at */
};

/* The censuses that a class asks, that match a kin; NULL: none. */
const struct mu_class_census *mu_terms_of_class(const struct mu_snapshot *s,
                                                struct mu_class_ix class_ix);
const struct mu_kin_census *mu_terms_of_kin(const struct mu_snapshot *s, struct mu_kin_ix kin);
/* What is kept beside a census, of this session. NULL when out of memory. */
struct mu_tracked *mu_terms_track(struct mu_terms *terms, uint32_t census);
/* The least loaded domain, anew. Cost: O(domains). */
void mu_terms_least(struct mu_tracked *t, const struct mu_census *census);

/* ---- host ports (place/terms_ports.c) ---- */

/* Make the list of their censuses, once in a session. Errors: MU_ENOMEM. Cost: O(censuses + ports
 * log ports) the first time. */
int mu_ports_collect(struct mu_terms *terms);
/* The censuses of ports that conflict with a wanted one, in ranges of the list; returns how many
 * ranges. Cost: O(log ports). */
uint32_t mu_ports_in_the_way(struct mu_terms *terms, const struct mu_port_item *wanted,
                             struct mu_port_range ranges[MU_PORT_RANGES_MAX]);

/* ---- sums (place/terms_sum.c) ---- */

/* The sum of a class and kin for one of two purposes; not *known: it has no parts yet, and is known
 * once the caller has added them and set its session. Valid until the next find or drop. */
struct mu_sum *mu_sum_find(struct mu_terms *terms, struct mu_class_ix class_ix,
                           struct mu_kin_ix kin, bool spread, bool *known);
int mu_sum_add(struct mu_terms *terms, struct mu_sum *sum, uint32_t census, int64_t weight);
/* What it comes to now on each row; a key that a row lacks adds nothing. Errors: MU_ENOMEM. Cost:
 * O(rows * keys + parts + moves), and O(domains * parts) the first time in a session. */
int mu_sum_rows(struct mu_terms *terms, struct mu_sum *sum, int64_t *rows);
void mu_sums_drop(struct mu_terms *terms);

/* ---- preferences (place/terms_prefer.c) ---- */

/* floor(2^16 * ln(x)), x >= 1; from 1,000 on, rarely, one less. Cost: O(1), some 50 ns. */
#define MU_TERMS_LN_SHIFT 16
int64_t mu_terms_ln(uint64_t x);

/* ---- views (place/terms_view.c) ---- */

/* The view of a census under this limit rule: skew 0 where the limit is 0. MU_NO_VIEW: out of
 * memory. Valid until the next find. Cost: O(views of the census). */
uint32_t mu_view_find(struct mu_terms *terms, uint32_t census, int32_t skew, int32_t min_domains,
                      bool self);
/* Bring a view up to date; its bits, one per row, are *out until the next update. Errors:
 * MU_ENOMEM. Cost: O(moves since it was current + rows of domains that crossed the limit), or
 * O(domains) where too many have moved. */
int mu_view_update(struct mu_terms *terms, uint32_t census, uint32_t view, const uint64_t **out);
/* Rows in whose domain the census counts anyone. */
int mu_view_any(struct mu_terms *terms, uint32_t census, const uint64_t **out);
/* Forget all views. */
void mu_views_drop(struct mu_terms *terms);

#endif
