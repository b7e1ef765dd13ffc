#ifndef MU_ENGINE_DB_CENSUS_PRIV_H
#define MU_ENGINE_DB_CENSUS_PRIV_H
/*
 * Inside the censuses: their records and what their rooms call of one another.
 *
 *   db/census.c        what pods count for; bringing the books up to date
 *   db/census_class.c  classes and their censuses
 *   db/kin.c           matchers, kins, and which of them match
 *   db/topology.c      topology keys, domains of rows, eligible nodes
 *   db/label_key.c     which label keys rows carry, and rules ask about
 *   db/census_copy.c   the part of replicas
 *   db/rules.c         admission: the rules once more
 *   db/census_audit.c  recomputing
 *
 * db/census.c opens with how it works.
 */
#include "engine/base/index.h"
#include "engine/db/db_priv.h"

/* --- tables by a number that others give out ------------------------------------------------ */

/* Pages that never move; a page is made before its first record is used, zeroed. */
struct mu_pages {
    void **pages;
    uint32_t page_count;
    uint32_t record_bytes;
};
enum { MU_PAGE_SHIFT = 10, MU_PAGE_RECORDS = 1 << MU_PAGE_SHIFT };
int mu_pages_init(struct mu_pages *table, uint32_t records_max, uint32_t record_bytes);
void mu_pages_fini(struct mu_pages *table);
/* Make the page of a number. Errors: MU_ENOMEM. */
int mu_pages_reserve(struct mu_pages *table, uint32_t number);
/* NULL: its page was never made. */
static inline void *mu_pages_at(const struct mu_pages *table, uint32_t number)
{
    char *page = table->pages[number >> MU_PAGE_SHIFT];
    if (page == NULL)
        return NULL;
    return page + (size_t)(number & (MU_PAGE_RECORDS - 1)) * table->record_bytes;
}

/* --- records -------------------------------------------------------------------------------- */

struct mu_domain {
    struct mu_symbol value;
    uint32_t rows; /* that have it */
};
struct mu_topology {
    struct mu_symbol key; /* held */
    uint32_t refs;        /* censuses and fields; 0: not in use */
    uint32_t cap;         /* counts by domain are made for so many; a power of two */
    uint64_t generation;  /* moves when a row gets or loses a domain; no two keys share one */
    struct mu_slab domains;
    struct mu_index *by_value;
    struct mu_pages of_row; /* uint32_t by row: its domain + 1; 0: none */
};
/* A set of eligible nodes, counted by the domains of one key: what SPREAD censuses share. */
struct mu_field {
    uint64_t id; /* 0: not in use */
    uint32_t refs;
    uint32_t topology;
    uint64_t keys;
    struct mu_affinity_ix affinity;   /* held */
    struct mu_tolerance_ix tolerance; /* held */
    bool honor_taints;
    struct mu_rowset eligible; /* rows */
    uint32_t cap;
    uint32_t *domains; /* eligible rows by domain */
    uint64_t moves;    /* changes of them */
    uint32_t looks;    /* requirements that judging a row may look at */
};
enum mu_census_state {
    MU_CENSUS_WAITING,  /* counts nobody yet */
    MU_CENSUS_BUILDING, /* counts the pods below the walk's cursor */
    MU_CENSUS_COMPLETE  /* counts everybody */
};
struct mu_census_rec {
    struct mu_census own; /* domain_count: room in counts. domains: in the field */
    uint32_t refs;        /* of classes: one for each term, spread, port and carried term */
    uint32_t next;        /* of the same matcher; of the same bucket of ports */
    uint32_t field;       /* SPREAD; else MU_NONE */
    uint32_t cells;       /* its part of the bound on cells: what it was made or widened for */
    uint8_t state;        /* enum mu_census_state */
    bool missed;          /* a pod that it should count came before it was complete */
    uint32_t cleared;     /* in `to_clear`: domains below it are 0 again */
    /* SPREAD: the least count over the domains with eligible nodes (mu_census_least). */
    bool least_known;
    uint64_t least_moves;   /* of the field, when it was found */
    uint32_t least_domains; /* with eligible nodes */
    uint32_t at_least;      /* of those, so many have it */
    int32_t least;
};
/* Where candidates for a kin are looked up: by a label that the matcher asks for, by its only
 * namespace, or (neither) always. */
enum mu_anchor_kind { MU_ANCHOR_ALWAYS, MU_ANCHOR_NAMESPACE, MU_ANCHOR_LABEL };
struct mu_anchor {
    uint32_t kind;
    uint32_t key, value; /* symbols; NAMESPACE: value only */
};
struct mu_matcher_rec {
    uint64_t seq;   /* order of arrival; a kin knows those up to its own seq */
    uint32_t refs;  /* censuses; 0: not known here */
    uint32_t first; /* census */
    uint32_t edges; /* its matches */
    uint32_t edge_count;
    uint32_t touch; /* in `to_touch`: the next of them whose kin is to be shown anew */
    uint32_t left;  /* in `to_touch` or `to_drop`: about so many are to be gone through */
    uint32_t edge;  /* that to the kin at hand, in the look of number `look`; db/kin.c */
    uint64_t look;
    struct mu_anchor anchor;
    uint32_t next, prev; /* of the same bucket */
    bool by_namespace;   /* its answer depends on labels of namespaces */
    bool overflow;       /* a match was left out: the table of matches was full */
};
struct mu_kin_rec {
    uint64_t seq;
    uint32_t uses;    /* pods in the books */
    uint32_t charged; /* those of them that are counted */
    uint32_t edges;
    struct mu_symbol ns;
    const struct mu_kin_census *block; /* shown; NULL: nothing matches it */
    bool used;
    bool partial; /* a match was left out */
};
/* A matcher that matches a kin. */
struct mu_edge {
    uint32_t kin, matcher;
    uint32_t kin_next, kin_prev;
    uint32_t matcher_next, matcher_prev;
};
struct mu_class_rec {
    uint32_t uses; /* pods in the books */
    const struct mu_class_census *block;
};

/* A walk over everything for what is new: classes and gangs that ask about keys, rows, kins, pods.
 */
enum mu_stage { MU_STAGE_NONE, MU_STAGE_KEYS, MU_STAGE_ROWS, MU_STAGE_KINS, MU_STAGE_PODS };
enum { MU_ANCHOR_BUCKETS = 1 << 14, MU_CHANGED_NAMESPACES = 64, MU_PORT_BUCKETS = 1024 };
struct mu_changed_namespaces {
    uint32_t count;
    bool all; /* more than fit */
    struct mu_symbol ns[MU_CHANGED_NAMESPACES];
};

struct mu_shadow {   /* db/census_audit.c */
    uint32_t next;   /* to be audited: censuses first, then fields */
    uint32_t number; /* of the census or field under audit */
    uint64_t id;     /* its own; 0: no audit under way */
    bool field;
    bool comparing;
    uint32_t cursor;
    uint32_t cap;
    int32_t *counts;
    int64_t total;
    uint32_t drift; /* domains of it that were wrong */
};

struct mu_books {
    struct mu_rowset pods_in, pods_dirty;
    struct mu_rowset rows_in, rows_dirty;
    struct mu_topology topologies[MU_TOPOLOGIES_MAX];
    uint32_t topology_high; /* one past the highest in use */
    struct mu_pages label_keys;
    bool keys_moved; /* some key that is asked about may have a number now, or not any more */
    bool keys_short; /* one went without a number since one was given up last */
    struct mu_slab fields;
    uint32_t field_looks; /* of all of them; what a row costs that enters */
    struct mu_slab censuses;
    struct mu_index *census_by_content;
    uint32_t ports[MU_PORT_BUCKETS]; /* PORT censuses, by port modulo their number */
    uint64_t id_last;                /* of censuses and fields, and generations of keys */
    uint64_t cells;                  /* of all censuses together */
    struct mu_pages classes;
    struct mu_rowset classes_idle;
    struct mu_pages matchers;
    struct mu_pages kins;
    struct mu_slab edges;
    struct mu_rowset kins_idle, kins_stale;
    struct mu_rowset to_touch; /* matchers whose kins are to be shown anew */
    struct mu_rowset to_drop;  /* matchers that nobody asks any more: their matches go */
    uint64_t matches_left;     /* `left` of all of them */
    struct mu_rowset to_clear; /* censuses that begin anew: their counts go */
    uint64_t clear_left;       /* domains */
    uint32_t kin_bound;
    uint64_t matcher_seq, looks;
    uint32_t *anchors; /* buckets; the last one: MU_ANCHOR_ALWAYS */
    enum mu_stage stage;
    uint32_t cursor;
    uint32_t waiting; /* censuses */
    bool rows_wanted, kins_wanted;
    struct mu_changed_namespaces changed, changed_now;
    struct mu_shadow shadow;
};

static inline struct mu_census_rec *mu_census_at(const struct mu_books *b, uint32_t census)
{
    return mu_slab_at(&b->censuses, census);
}
static inline struct mu_field *mu_field_at(const struct mu_books *b, uint32_t field)
{
    return mu_slab_at(&b->fields, field);
}
static inline struct mu_matcher_rec *mu_matcher_at(const struct mu_books *b, uint32_t matcher)
{
    return mu_pages_at(&b->matchers, matcher);
}
static inline struct mu_kin_rec *mu_kin_at(const struct mu_books *b, uint32_t kin)
{
    return mu_pages_at(&b->kins, kin);
}

/* --- topologies, domains, eligible nodes (db/topology.c) ------------------------------------- */

/* The number of a key, one reference more. A new number is for a required rule, or while fewer than
 * MU_TOPOLOGIES_PREFERRED are in use. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_topology_obtain(struct mu_db *db, struct mu_symbol key, bool required, uint32_t *out);
/* Whether a key has one; how many keys more could get one. */
bool mu_topology_known(const struct mu_books *b, struct mu_symbol key);
uint32_t mu_topology_left(const struct mu_books *b, bool required);
void mu_topology_ref(struct mu_db *db, uint32_t topology);
void mu_topology_unref(struct mu_db *db, uint32_t topology);
/* The domain of a row; MU_NONE where it has none. */
static inline uint32_t mu_topology_domain(const struct mu_topology *t, uint32_t row)
{
    const uint32_t *slot = mu_pages_at(&t->of_row, row);
    return slot == NULL ? MU_NONE : *slot - 1;
}
/* Domains that counts over a topology, or over MU_TOPOLOGY_ROW, are made for. */
uint32_t mu_topology_cap(const struct mu_db *db, uint32_t topology);
/* Everything that is counted by this key needs wider arrays: replicas make them anew. */
void mu_topology_widened(struct mu_db *db, uint32_t topology);
/* The field of a constraint, one reference more. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_field_obtain(struct mu_db *db, const struct mu_census *want, uint32_t *out);
void mu_field_unref(struct mu_db *db, uint32_t field);
/* Give a row its domains, and count it where it is eligible. Errors: MU_ENOMEM, MU_ELIMIT: call
 * again. What it has already is kept. */
int mu_row_enter(struct mu_db *db, uint32_t row);
/* What entering or judging a row costs, in copied rows. */
static inline uint32_t mu_row_enter_rows(const struct mu_books *b)
{
    return (b->topology_high + b->fields.used) / 4 + b->field_looks / 8;
}
/* Whether a row has the domain that its labels say. */
bool mu_topology_audit(const struct mu_db *db, uint32_t topology, uint32_t row);
bool mu_field_eligible(const struct mu_db *db, const struct mu_field *field, uint32_t row);
void mu_topology_init(struct mu_books *b);
void mu_topology_destroy_all(struct mu_db *db);

/* --- label keys (db/label_key.c) ------------------------------------------------------------- */

int mu_label_keys_init(struct mu_books *b); /* MU_ENOMEM: fini is due all the same */
void mu_label_keys_fini(struct mu_books *b);
/* Somebody asks about a key (Errors: MU_ENOMEM), or no longer does. */
int mu_label_key_ask(struct mu_books *b, struct mu_symbol key);
void mu_label_key_unask(struct mu_books *b, struct mu_symbol key);
/* Whether a row that has entered carries it. */
bool mu_label_key_carried(const struct mu_books *b, struct mu_symbol key);
/* Room to count the labels of a row (Errors: MU_ENOMEM); count them (step 1), or take them off
 * again (-1). Cost: O(labels). */
int mu_label_keys_reserve(struct mu_db *db, uint32_t row);
void mu_label_keys_count(struct mu_db *db, uint32_t row, int step);

/* --- kins and matchers (db/kin.c) ------------------------------------------------------------ */

/* One census more that asks a matcher. Errors: MU_ENOMEM. */
int mu_matcher_obtain(struct mu_db *db, struct mu_matcher_ix matcher);
void mu_matcher_release(struct mu_db *db, struct mu_matcher_ix matcher);
void mu_matcher_link(struct mu_db *db, uint32_t census);
void mu_matcher_unlink(struct mu_db *db, uint32_t census);
/* One pod more of a kin: the first one finds what matches it. *spent rises by what was looked at.
 * Errors: MU_ENOMEM. */
int mu_kin_enter(struct mu_db *db, struct mu_kin_ix kin, uint32_t *spent);
void mu_kin_exit(struct mu_db *db, struct mu_kin_ix kin);
/* Bring a kin up to the newest matcher, and to the namespaces that have changed. *spent rises by
 * what was looked at. Errors: MU_ENOMEM. */
int mu_kin_extend(struct mu_db *db, uint32_t kin, uint32_t *spent);
bool mu_kin_matches(const struct mu_books *b, uint32_t kin, uint32_t matcher);
/* True when what is noted about a kin and a matcher was wrong. It is put right; the censuses begin
 * anew. *spent rises by what was looked at. */
bool mu_kin_repair(struct mu_db *db, uint32_t kin, uint32_t matcher, uint32_t *spent);
/* Make anew the shown blocks of kins whose censuses changed, forget kins without pods. */
int mu_kin_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent);
void mu_kin_sweep(struct mu_db *db, uint32_t budget, uint32_t *spent);
int mu_kin_init(struct mu_books *b); /* MU_ENOMEM: destroy_all is due all the same */
void mu_kin_destroy_all(struct mu_db *db);

/* --- classes and censuses (db/census_class.c) ------------------------------------------------ */

static inline bool mu_class_has_rules(const struct mu_class *c)
{
    return (c->term_count | c->spread_count | c->port_count) != 0;
}
/* Of a class with rules. */
static inline struct mu_class_rec *mu_class_at(const struct mu_books *b,
                                               struct mu_class_ix class_ix)
{
    return mu_pages_at(&b->classes, class_ix.v);
}
/* One pod more of a class: the first one asks for the censuses. Errors: MU_ENOMEM. */
int mu_class_enter(struct mu_db *db, struct mu_class_ix class_ix, uint32_t *spent);
void mu_class_exit(struct mu_db *db, struct mu_class_ix class_ix);
/* The keys that a class asks about may be carried now, or not any more, or have numbers left: its
 * censuses anew where that is so. Errors: MU_ENOMEM. */
int mu_class_keys_follow(struct mu_db *db, uint32_t class_number, uint32_t *spent);
/* Forget classes without pods. */
void mu_class_sweep(struct mu_db *db, uint32_t budget, uint32_t *spent);
int mu_class_init(struct mu_books *b); /* MU_ENOMEM: destroy_all is due all the same */
void mu_class_destroy_all(struct mu_db *db);

/* --- censuses (db/census.c, db/census_copy.c) ------------------------------------------------ */

/* Every census that a pod in the books counts for, by kin and by class. Stops at an error. */
typedef int (*mu_census_visit_fn)(struct mu_db *db, uint32_t census, uint32_t pod, int step);
int mu_census_each(struct mu_db *db, uint32_t pod, mu_census_visit_fn visit, int step);
/* A visit: room to count the pod where it is. Errors: MU_ENOMEM. */
int mu_census_room(struct mu_db *db, uint32_t census, uint32_t pod, int step);
/* Begin anew: all its counts are 0 until the next walk is over. */
void mu_census_reset(struct mu_db *db, uint32_t census);
/* Clear the counts of those, until *spent reaches `budget`. */
void mu_census_clear(struct mu_db *db, uint32_t budget, uint32_t *spent);
/* Room for one more kin / class / census number in every replica's sets. Errors: MU_ENOMEM. */
int mu_census_marks_reserve(struct mu_db *db, uint32_t census);
int mu_field_marks_reserve(struct mu_db *db, uint32_t field);
int mu_class_marks_reserve(struct mu_db *db, uint32_t class_number);
int mu_kin_marks_reserve(struct mu_db *db, uint32_t kin);
void mu_census_mark(struct mu_db *db, uint32_t census);
void mu_census_mark_cell(struct mu_db *db, uint32_t census, uint32_t domain);
void mu_field_mark(struct mu_db *db, uint32_t field);
void mu_field_mark_cell(struct mu_db *db, uint32_t field, uint32_t domain);
void mu_class_mark(struct mu_db *db, uint32_t class_number);
void mu_kin_mark(struct mu_db *db, uint32_t kin);
/* A topology's number was given up, or taken: replicas start its column anew. */
void mu_topology_mark(struct mu_db *db, uint32_t topology);
void mu_topology_mark_row(struct mu_db *db, uint32_t row);
/* The domain of a census in which a charged pod counts, if it counts at all; MU_NONE: none. */
uint32_t mu_census_domain(const struct mu_db *db, const struct mu_census_rec *c,
                          const struct mu_pod_rec *p);

/* One pod more (step 1) or less (-1) in a domain. Cost: O(1). */
void mu_census_add(struct mu_db *db, struct mu_census_rec *c, uint32_t domain, int step);
/* The least count of a SPREAD census over the domains that have eligible nodes, and how many they
 * are in *domains; INT32_MAX of none. Cost: O(1), but O(domains) once all that had the least have
 * more, or nodes have come or gone. */
int32_t mu_census_least(struct mu_db *db, uint32_t census, uint32_t *domains);

/* --- audit (db/census_audit.c) --------------------------------------------------------------- */

/* A pod's count has moved while its census is audited. */
void mu_census_audit_follow(struct mu_db *db, uint32_t census, uint32_t pod, uint32_t domain,
                            int step);
/* A row has become eligible in a field that may be audited, or is no longer. */
void mu_field_audit_follow(struct mu_db *db, uint32_t field, uint32_t row, uint32_t domain,
                           int step);
/* Give up the audit of the census or field in hand. */
void mu_census_audit_drop(struct mu_db *db);

#endif
