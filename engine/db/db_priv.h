#ifndef MU_ENGINE_DB_DB_PRIV_H
#define MU_ENGINE_DB_DB_PRIV_H
/*
 * Inside the cluster DB: its records and what its rooms call of one another.
 *
 *   db/db.c          life, batches, counts, relist, reclaiming
 *   db/node.c     node objects; charges         db/row.c   rows and chunks
 *   db/pod.c      pod objects                   db/view.c  looking up, UIDs
 *   db/gang.c     gang rows, members, blocks
 *   db/gang_terms.c  what a gang must have, from its object or its members
 *   db/group.c    group objects
 *   db/claim.c    what pods state about their gangs
 *   db/ledger.c   admitting plans, outcomes of binds
 *   db/trial.c    whether a plan has room
 *   db/evict.c    whether pods may be a plan's victims
 *   db/gang_end.c  gangs that are bound in part, and their end
 *   db/device.c   devices of rows, and which pods have which
 *   db/image.c    images of rows, and how many nodes have which
 *   db/typical.c  the requests by which fragmentation is judged
 *   db/nominated.c  pods that are expected on a node
 *   db/occupant.c  who is on which row, as victims are looked for
 *   db/budget.c   disruption budgets, and whom they cover
 *   db/replica.c  replicas and their sync
 *   db/census.c   what pods count for, by domain (more rooms in db/census_priv.h)
 *   db/audit.c    audit and digest
 *
 * Two halves. Every public call that can fail first prepares (takes references, rows, slots, index
 * entries: each step can fail, and undoing is releasing) and then commits with steps that cannot
 * fail. Functions named *_reserve and *_obtain belong to the first half, all others to the second.
 *
 * Reach. What a replica can reach by id or pointer is released with a tag, the `reach` counter of
 * the moment. A replica whose sync has just drained shows nothing that was released before, so it
 * notes the counter and moves it on; what carries a tag that all replicas have passed is freed.
 */
#include "engine/base/index.h"
#include "engine/db/db.h"
#include "engine/device.h"
#include "engine/limits.h"
#include "engine/rowset.h"
#include "engine/slab.h"

/* A sum that would fall below it stays there and is recomputed when a pod leaves: no overflow. */
#define MU_FREE_MIN (-(INT64_C(1) << 62))

/* --- nodes --------------------------------------------------------------------------------- */

/* The writer's view of a row. A row is a hole (nothing there), absent (no node object, but pods
 * name it: flags without MU_NODE_PRESENT, name set) or present. The fields that replicas show are
 * those of struct mu_node_static, packed: a byte here is a megabyte at a million nodes. */
struct mu_node_rec {
    struct mu_uid uid;
    uint64_t version;
    struct mu_label_set_ix labels;
    struct mu_capacity_ix capacity;
    struct mu_symbol name;
    struct mu_symbol hostname;
    uint32_t tie;
    uint32_t generation; /* survives reuse of the row */
    uint32_t pods;       /* first of the pods bound here or with a ledger entry here; MU_NONE */
    uint16_t taints;     /* struct mu_taint_set_ix */
    uint16_t flags;
};
_Static_assert(sizeof(struct mu_node_rec) == 56, "no padding");
_Static_assert(MU_TAINT_SETS_MAX <= UINT16_MAX + 1u, "a taint set's number fits its field");

/* 64 rows. Owned by one capacity class, or shared by all small ones. */
struct mu_chunk {
    struct mu_node_rec *recs;
    int64_t *free; /* row-major, `stride` values a row: the master of the replicas' columns */
    struct mu_device_row *devices;  /* by row; NULL: none of them is tracked */
    struct mu_image_set_ix *images; /* by row; NULL: none of them has listed any */
    uint64_t used;                  /* bit per row in use */
    uint64_t listed; /* bit per row: its node was named since the last relist began */
    uint32_t stride; /* resources beyond it are 0 in every row; never shrinks */
    uint32_t owner;  /* capacity class, or MU_CHUNK_SHARED */
    uint32_t next;   /* list of the owner's chunks that have a hole, or of unused chunks */
    uint32_t prev;
};
#define MU_CHUNK_SHARED UINT32_MAX
#define MU_NODE_PAGE    4096u
#define MU_NODE_PAGES   (MU_SYMBOLS_MAX / MU_NODE_PAGE)
struct mu_capacity_rows {
    uint32_t rows; /* in use by this class, in its own chunks and in shared ones */
    uint32_t open; /* first of its own chunks that has a hole; MU_NONE */
};

/* --- pods ---------------------------------------------------------------------------------- */

enum {
    MU_POD_USED = 1u << 0,
    MU_POD_OURS = 1u << 1,
    MU_POD_TERMINATING = 1u << 2,
    MU_POD_TERMINAL = 1u << 3,
    MU_POD_GATED = 1u << 4,
    MU_POD_CONTROLLED = 1u << 5,
    MU_POD_BOUND = 1u << 6,     /* seen with a node name */
    MU_POD_CONFIRMED = 1u << 7, /* IN_FLIGHT: the server said that the bind happened */
    MU_POD_SOLO = 1u << 8,
    MU_POD_NOMINATED = 1u << 10, /* has an entry among the nominations */
    MU_POD_PICKED = 1u << 9,     /* within a check of a plan only: one of its binds or victims */
    MU_POD_NEVER = 1u << 11,     /* never preempts */
    MU_POD_SPARED = 1u << 12,    /* marked as no victim */
    MU_POD_RUNS = 1u << 13       /* bound, and seen to run */
};
struct mu_pod_rec {
    struct mu_uid uid;
    uint64_t version;
    uint64_t report;
    char *name;         /* not NUL-terminated */
    uint32_t created_s; /* in 2106 and later: as at its end */
    uint32_t started_s; /* the same; UINT32_MAX: not known to have started */
    struct mu_symbol ns;
    struct mu_class_ix class_ix;
    struct mu_kin_ix kin;
    struct mu_node_ix node; /* bound to, else charged by the ledger; MU_NONE */
    uint32_t node_next;
    uint32_t node_prev;
    struct mu_gang_ix gang; /* MU_NONE: not a live member of any */
    uint32_t gang_next;
    uint32_t gang_prev;
    uint32_t claim; /* what it states about its gang; MU_NONE: nothing */
    uint32_t unbuilt;
    int32_t priority;
    uint32_t mark;
    uint16_t flags;
    uint8_t name_len;
    uint8_t ledger;   /* enum mu_ledger_state */
    uint16_t devices; /* named or chosen; what they are for follows from class and node */
};
_Static_assert(MU_NAME_BYTES_MAX <= UINT8_MAX, "a name's length is one byte");
_Static_assert(sizeof(struct mu_pod_rec) == 112, "a pod with everything stays below 256 bytes");

/* What a live pod of ours is to its gang. */
enum mu_role { MU_ROLE_NONE, MU_ROLE_PENDING, MU_ROLE_BLOCKED, MU_ROLE_PLACED };

/* --- gangs --------------------------------------------------------------------------------- */

struct mu_block {
    struct mu_gang_block shown; /* its arrays follow in the same allocation */
    struct mu_block *next;      /* released blocks */
    uint64_t tag;
};
struct mu_gang_rec {
    struct mu_gang_row row; /* generation survives reuse */
    struct mu_symbol ns;
    struct mu_symbol name; /* empty for a solo pod */
    struct mu_symbol part; /* MU_GANG_WORKLOAD: of its object */
    uint32_t members;      /* first live member; MU_NONE */
    uint32_t frozen;       /* size fixed by the first admit; counts while some are placed */
    uint32_t ended;        /* bound members that left without having been told to; as frozen */
    uint32_t risen;        /* members that have become bound since the last recount, at least */
    uint32_t group;        /* record of its object; MU_NONE: its source has none */
    uint32_t home;         /* row of the gang that says there is none; MU_NONE: an ordinary row */
    uint32_t next, prev;   /* among the rows of `group`, or of `home` */
    uint32_t singles;      /* first of the rows whose home this is; MU_NONE */
    uint32_t topology;     /* that the row keeps in use; MU_NONE: its key has no number */
    struct mu_symbol topology_key; /* that it asks about; 0: none */
    uint8_t source;                /* enum mu_gang_source */
    bool used;
    bool untracked; /* its key is one more than there are numbers for */
    bool split;     /* sub-groups count by themselves */
    bool overfull;  /* more sub-groups than MU_SUBGROUPS_MAX */
    bool held;      /* nobody is placed, whatever the members say */
    bool whole;     /* its minimum was bound once; as frozen */
    bool found;     /* some member was bound when it was first seen; as frozen */
    bool ending;    /* a plan to end it was admitted and is not over */
};

/* A claim's words (db/claim.c); behind them, in pairs, the sub-groups that must be there: symbol
 * and minimum, 0: not stated. */
enum {
    MU_CLAIM_SUBGROUP, /* symbol: the pod's own */
    MU_CLAIM_PACK_KEY, /* symbol */
    MU_CLAIM_SIZE,
    MU_CLAIM_SUBGROUP_MIN,
    MU_CLAIM_TIMEOUT,
    MU_CLAIM_FLAGS,
    MU_CLAIM_SUBGROUPS, /* how many */
    MU_CLAIM_WORDS
};
enum { MU_CLAIMS_WAITING_ONLY = 1u << 0, MU_CLAIMS_PACK_REQUIRED = 1u << 1 };
struct mu_claim_rec {
    uint32_t *words; /* NULL: a free record */
    uint32_t refs;
};

struct mu_named_min {
    struct mu_symbol name;
    uint32_t min;
    bool single; /* of a group object's part: no gang */
};
enum {
    MU_GROUP_USED = 1u << 0,
    MU_GROUP_PRESENT = 1u << 1, /* else a row waits for it */
    MU_GROUP_SINGLE_POLICY = 1u << 2,
    MU_GROUP_HAS_PRIORITY = 1u << 3,
    MU_GROUP_NEVER = 1u << 4,
    MU_GROUP_SPARED = 1u << 5,
    MU_GROUP_SINGLE_VICTIMS = 1u << 6,
    MU_GROUP_PACK_REQUIRED = 1u << 7
};
struct mu_group_rec {
    uint64_t version;
    uint64_t report; /* struct mu_group_object */
    struct mu_named_min *subgroups;
    struct mu_symbol ns, name, pack_key;
    uint32_t rows; /* first of the gang rows that it describes; MU_NONE */
    uint32_t mark;
    uint32_t subgroup_count;
    uint32_t min, timeout_s, unbuilt;
    int32_t priority;
    uint16_t flags;
    uint8_t source;
    uint8_t shown; /* set of enum mu_group_shown */
};

/* What a gang must have (db/gang_terms.c). */
struct mu_gang_terms {
    uint32_t min;  /* members; 0: nobody says */
    uint32_t held; /* set of enum mu_rule: nobody is placed; 0: nothing holds them */
    uint32_t timeout_s;
    struct mu_symbol pack_key;
    bool pack_required, waiting_only;
    bool object;    /* there is one, and claims are not heard */
    bool must_have; /* there is none, and should be */
    uint32_t last_claim;
    uint32_t subgroup_count;
    struct mu_named_min subgroups[MU_SUBGROUPS_MAX]; /* ascending symbols; minima above 0 */
};

/* --- replicas ------------------------------------------------------------------------------ */

/* A copy of counts by domain, and which of them are dirty (db/census_copy.c). */
struct mu_twin {
    uint64_t id; /* of what it is a copy of; 0: of nothing */
    uint32_t *cells;
    uint32_t cap;
    struct mu_rowset dirty;
    uint64_t *eligible; /* of a field: bit per row; as wide as the columns */
};
struct mu_twins {
    struct mu_twin *twins; /* by number */
    uint32_t cap;
};
struct mu_replica_counts {
    struct mu_rowset census_dirty, field_dirty, class_dirty, kin_dirty;
    struct mu_twins censuses, fields;
    uint32_t node_cap;       /* what the copies of eligible nodes are made for */
    uint32_t shown_cap;      /* room in the snapshot's list of censuses */
    uint64_t topology_reset; /* columns to start anew */
    uint64_t cells;          /* dirty ones of all twins */
};

struct mu_replica {
    struct mu_snapshot shown; /* first: the two pointers are one */
    struct mu_replica_counts counts;
    struct mu_rowset free_dirty;
    struct mu_rowset static_dirty;
    struct mu_rowset gang_dirty;
    /* Rows copied by this sync for their static columns, and for what is free; a count beyond the
     * bound: too many to list. */
    uint32_t static_changed[MU_STATIC_CHANGED_MAX];
    uint32_t static_changed_count;
    uint32_t free_changed[MU_FREE_CHANGED_MAX];
    uint32_t free_changed_count;
    struct mu_nominated *nominated;
    uint32_t nominated_cap;
    struct mu_image_page **image_pages; /* its own copy of the DB's */
    uint32_t image_page_bound;
    uint32_t image_page_next;          /* to look at in this pass */
    uint64_t image_goal, image_copied; /* generations: of this pass, of the last one */
    struct mu_rowset occupants_dirty;
    const struct mu_occupants **occupants; /* by row; NULL: nobody has asked for it lately */
    uint32_t occupants_cap;
    uint64_t occupants_epoch;
    struct mu_budget *budgets;
    uint32_t budgets_cap;
    struct mu_pod_ix *disrupted;
    uint32_t disrupted_cap;
    struct mu_rowset kin_budgets_dirty;
    const struct mu_kin_budgets **kin_budgets; /* by kin */
    uint32_t kin_budgets_cap;
    bool shows;       /* nothing has been copied since it was handed over */
    uint64_t reach;   /* everything released with a tag <= this is out of its reach */
    uint32_t effort;  /* the budget of this sync is shifted left by it */
    uint64_t backlog; /* rows left after the last step of this sync */
};

struct mu_nomination {
    uint32_t pod;
    struct mu_symbol node; /* name; a reference */
};
/* Nodes by image, counted anew by the audit beside the counts (db/image.c). */
struct mu_image_shadow {
    struct mu_image_page **pages; /* made as names come up; NULL: no audit of them is under way */
    uint32_t cursor;              /* the next row to count, then the next page to compare */
    bool comparing;
};
/* Before every block that replicas show (mu_shown_alloc): when it was released. */
struct mu_released {
    struct mu_released *next;
    uint64_t tag;
};
struct mu_member_key;   /* db/gang.c: scratch for sorting */
struct mu_books;        /* db/census_priv.h */
struct mu_occupancy;    /* db/occupant.c */
struct mu_budget_table; /* db/budget.c */

struct mu_db {
    struct mu_model *model;
    struct mu_symtab *symbols;
    struct mu_str *scheduler_names;
    uint32_t scheduler_name_count;
    uint64_t quiet_ns;
    uint64_t now_ns; /* the latest that was told */
    uint32_t nodes_hint;

    struct mu_chunk *chunks;
    uint32_t chunk_count;
    uint32_t chunk_cap;
    uint32_t chunk_unused; /* list of chunks without a row in use */
    uint32_t chunk_shared; /* list of shared chunks with a hole */
    struct mu_capacity_rows *capacities;
    uint32_t capacity_cap;
    struct mu_capacity_ix capacity_none; /* the empty capacity: absent nodes */
    uint32_t *node_pages[MU_NODE_PAGES]; /* by name symbol: row + 1, 0 for none */
    uint32_t nodes_present;

    uint64_t seed; /* of the pod indexes: names come from outside */
    struct mu_slab pods;
    struct mu_index *pod_by_uid;
    struct mu_index *pod_by_name;

    struct mu_slab gangs;
    struct mu_index *gang_by_name; /* solo gangs are found through their pod */
    struct mu_slab claims;
    struct mu_index *claim_by_content;
    struct mu_slab groups;
    struct mu_index *group_by_name;
    uint32_t group_marks[MU_GANG_SOURCES]; /* current relist epoch of each source */
    uint32_t group_sweep[MU_GANG_SOURCES]; /* next record to look at */
    uint32_t group_sources;                /* that some row has asked for, ever */
    const char *group_unknown[MU_GANG_SOURCES];
    struct mu_rowset gang_stale; /* rows to recount and blocks to rebuild before the next copy */
    uint64_t gang_sequence;
    uint32_t pending_gangs;
    struct mu_member_key *keys;
    uint32_t key_cap;

    struct mu_books *books; /* NULL: no pod with a rule about others has been seen */
    bool books_wanted;      /* one has: they are opened by the next sync */
    uint64_t term_generation;

    struct mu_replica *replicas[MU_REPLICAS_MAX];
    uint32_t replica_count;
    uint64_t reach;
    struct mu_block *released_first;
    struct mu_block *released_last;
    struct mu_released *shown_first;
    struct mu_released *shown_last;

    uint32_t *class_live; /* by class: pods of it that are not terminal */
    uint32_t class_live_cap;
    uint32_t typical_count; /* classes that ask for devices, the most common first, as of some */
    uint64_t typical_moves; /* earlier moment: it comes when so many pods have come and gone */
    uint64_t pod_moves;
    struct mu_class_ix typical[MU_TYPICAL_MAX];
    uint32_t typical_shown_count; /* what a replica was shown last */
    struct mu_typical typical_shown[MU_TYPICAL_MAX];
    uint32_t share_resource; /* MU_GPU_SHARE_RESOURCE's number, once a row is tracked */
    bool devices_tracked;    /* some row is, or was */

    struct mu_nomination *nominations;
    uint32_t nomination_count;
    uint32_t nomination_cap;

    struct mu_occupancy *occupancy;
    struct mu_budget_table *budgets;

    struct mu_image_page **image_pages; /* NULL: no node has listed an image */
    uint32_t image_page_bound;          /* pages are below it */
    uint64_t image_generation;
    struct mu_image_shadow image_shadow;

    bool changed; /* since the last batch's end */
    uint64_t static_generation;
    uint64_t capacity_generation;
    uint32_t pod_mark;            /* current relist epoch of pods */
    uint32_t sweep[MU_DB_KINDS];  /* next to look at, by enum mu_db_kind */
    uint32_t audit_next;          /* row */
    uint32_t audit_nominated;     /* the next entry, or pod */
    bool audit_nominated_pods;    /* it is a pod */
    bool audit_rows, audit_books; /* done in this round */
    bool audit_images, audit_nominations;
    bool audit_behind; /* some of those rows could be judged in part only */
    struct mu_db_counts counts;
};

/* --- rows and charges (db/row.c) ------------------------------------------------------------ */

static inline struct mu_chunk *mu_row_chunk(const struct mu_db *db, uint32_t row)
{
    return &db->chunks[row / MU_NODE_CHUNK];
}
static inline struct mu_node_rec *mu_row_rec(const struct mu_db *db, uint32_t row)
{
    return &mu_row_chunk(db, row)->recs[row % MU_NODE_CHUNK];
}
static inline int64_t *mu_row_free(const struct mu_db *db, uint32_t row)
{
    struct mu_chunk *chunk = mu_row_chunk(db, row);
    return chunk->free + (size_t)(row % MU_NODE_CHUNK) * chunk->stride;
}
static inline uint32_t mu_row_count(const struct mu_db *db)
{
    return db->chunk_count * MU_NODE_CHUNK;
}
static inline bool mu_row_used(const struct mu_db *db, uint32_t row)
{
    return row < mu_row_count(db) &&
           (mu_row_chunk(db, row)->used >> (row % MU_NODE_CHUNK) & 1) != 0;
}
static inline void mu_row_list(struct mu_db *db, uint32_t row)
{
    mu_row_chunk(db, row)->listed |= UINT64_C(1) << (row % MU_NODE_CHUNK);
}
static inline bool mu_row_listed(const struct mu_db *db, uint32_t row)
{
    return (mu_row_chunk(db, row)->listed >> (row % MU_NODE_CHUNK) & 1) != 0;
}
/* Take a row for a capacity class, zeroed but for its generation; the reference to the class
 * becomes the row's at commit. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_row_obtain(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t *row);
/* Give a row back: a hole again, with the next generation. `capacity` as at obtain. */
void mu_row_release(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t row);
/* Undo mu_row_obtain: the row was shown to nobody. */
void mu_row_cancel(struct mu_db *db, struct mu_capacity_ix capacity, uint32_t row);
/* Room for `resources` values in the row's chunk. Errors: MU_ENOMEM. */
int mu_row_reserve(struct mu_db *db, uint32_t row, uint32_t resources);
/* Resources that this class's charge touches: a stride. */
uint32_t mu_row_class_stride(const struct mu_db *db, struct mu_class_ix class_ix);
/* `named`: devices of the pod, 0: none. Returns those that it was charged for. */
uint16_t mu_row_charge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix, uint16_t named);
void mu_row_uncharge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix, uint16_t devices);
/* True when some sum of the row has lost its true value: on the floor (MU_FREE_MIN), or a device
 * that is over-committed. */
bool mu_row_floored(const struct mu_db *db, uint32_t row);
/* The true sums of a row from its pods, but those with a flag of `without`: MU_RESOURCES_MAX
 * values, and its devices where they are tracked (count 0: not). Returns how many pods it looked
 * at. Cost: O(these). */
uint32_t mu_row_sum(const struct mu_db *db, uint32_t row, uint16_t without, int64_t *out,
                    struct mu_device_row *devices);
/* Make them the row's. */
void mu_row_restore(struct mu_db *db, uint32_t row);
void mu_row_mark_free(struct mu_db *db, uint32_t row);
void mu_row_mark_static(struct mu_db *db, uint32_t row);
/* The row is to be copied; what filters look at is as it was. */
void mu_row_mark_images(struct mu_db *db, uint32_t row);

/* --- devices (db/device.c) ------------------------------------------------------------------ */

/* Room for the devices of a row. Errors: MU_ENOMEM. */
int mu_row_devices_reserve(struct mu_db *db, uint32_t row);
/* NULL: not tracked. */
struct mu_device_row *mu_row_devices(const struct mu_db *db, uint32_t row);
struct mu_device_ask mu_row_device_ask(const struct mu_db *db, const struct mu_device_row *devices,
                                       struct mu_class_ix class_ix);
/* Write the columns that follow from the devices into the `stride` sums of their row. */
void mu_row_devices_derive(const struct mu_db *db, const struct mu_device_row *devices,
                           uint32_t stride, int64_t *free);
/* True for devices that somebody named and that a pod of this class can have there. */
bool mu_row_devices_usable(const struct mu_db *db, uint32_t row, struct mu_class_ix class_ix,
                           uint16_t named);
/* As mu_row_charge, of the devices alone. */
uint16_t mu_row_devices_charge(struct mu_db *db, uint32_t row, struct mu_class_ix class_ix,
                               uint16_t named);
/* The devices of a tracked row from its pods, but those with a flag of `without`. */
void mu_row_devices_sum(const struct mu_db *db, uint32_t row, uint16_t without,
                        struct mu_device_row *out);
/* A class whose pods can be counted (class_live). Errors: MU_ENOMEM. */
int mu_typical_reserve(struct mu_db *db, struct mu_class_ix class_ix);
/* Show the typical requests; the generation moves when others were shown last.
 * Cost: O(MU_TYPICAL_MAX), and O(classes) each time that an eighth of the pods has come or gone. */
void mu_typical_show(struct mu_db *db, struct mu_snapshot *snapshot);
/* Track the row as given (count 0: no longer), with its pods on it. The row is reserved, and its
 * sums are the caller's to restore. True when anything changed. Cost: O(its pods). */
bool mu_row_devices_configure(struct mu_db *db, uint32_t row, const struct mu_device_row *as);

/* --- images (db/image.c) -------------------------------------------------------------------- */

/* Room to give the row this set, and to count it. Errors: MU_ENOMEM. */
int mu_row_images_reserve(struct mu_db *db, uint32_t row, struct mu_image_set_ix set);
struct mu_image_set_ix mu_row_images(const struct mu_db *db, uint32_t row);
/* The row has this set from now on; number 0 for a node that goes. The reference to the old one is
 * the caller's to drop. */
void mu_row_images_set(struct mu_db *db, uint32_t row, struct mu_image_set_ix set);
/* A node moves, and its images with it: nothing is counted. Room was reserved for them in `to`. */
void mu_row_images_move(struct mu_db *db, uint32_t from, uint32_t to);
void mu_images_destroy(struct mu_db *db);
/* Count on, for the cost of `budget` copied rows, and repair. *whole: all nodes and images have
 * been looked at, or there is no memory for it. Returns counts that were wrong. */
uint32_t mu_images_audit(struct mu_db *db, uint32_t budget, bool *whole);
/* The part of a replica: room; what is shown at the end of a sync. */
int mu_images_replica_reserve(struct mu_db *db, struct mu_replica *r);
/* Copy what has changed, as much as is for one step; pages left to look at. Errors: MU_ENOMEM. */
int mu_images_copy(const struct mu_db *db, struct mu_replica *r);
uint32_t mu_images_backlog(const struct mu_db *db, const struct mu_replica *r);
void mu_images_show(const struct mu_db *db, struct mu_replica *r);
void mu_images_replica_fini(struct mu_replica *r);

/* --- nominations (db/nominated.c) ----------------------------------------------------------- */

/* Room for one more (`more`: the pod has no entry yet), and the symbol of a node's name, with a
 * reference. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_nominated_obtain(struct mu_db *db, struct mu_str node, bool more, struct mu_symbol *out);
/* The pod is expected on this node, symbol 0: on none. Takes over the reference. */
void mu_nominated_set(struct mu_db *db, uint32_t pod, struct mu_symbol node);
/* Where a pod is expected; symbol 0: nowhere. */
struct mu_symbol mu_nominated_node(const struct mu_db *db, uint32_t pod);
/* Look at the next entries, then at the next pods, for the cost of `budget` copied rows: each entry
 * is of one pod that waits and says so, and each pod that says so has one. What is wrong is dropped
 * and counted. *whole: all have been looked at. */
uint32_t mu_nominated_audit(struct mu_db *db, uint32_t budget, bool *whole);
/* Whether a pod of a gang fits a row, where it fits without nominations, with room left for those
 * that are nominated there and count against the gang. */
bool mu_nominated_leave_room(const struct mu_db *db, uint32_t row, const struct mu_class *c,
                             uint32_t gang);
/* The part of a replica: room; what is shown at the end of a sync. */
int mu_nominated_replica_reserve(const struct mu_db *db, struct mu_replica *r);
void mu_nominated_show(const struct mu_db *db, struct mu_replica *r);

/* --- occupants (db/occupant.c) -------------------------------------------------------------- */

int mu_occupants_create(struct mu_db *db); /* MU_ENOMEM: destroy is due all the same */
void mu_occupants_destroy(struct mu_db *db);
/* Room for a pod of this priority, until the next change. Errors: MU_ENOMEM. */
int mu_occupants_reserve(struct mu_db *db, int32_t priority);
/* A gang may have this priority though no pod has, until it is let go as often as it was held.
 * Errors: MU_ENOMEM. */
int mu_occupants_hold(struct mu_db *db, int32_t priority);
void mu_occupants_let_go(struct mu_db *db, int32_t priority);
/* Room to mark rows below `rows`. Errors: MU_ENOMEM. */
int mu_occupants_rows_reserve(struct mu_db *db, uint32_t rows);
/* A pod's record is no longer as it was `before` (flags 0: it was not there), its gang included; of
 * one that goes it has no flags. Room for its priority was reserved. */
void mu_occupants_pod_moved(struct mu_db *db, const struct mu_pod_rec *before,
                            const struct mu_pod_rec *after);
/* A node and its pods are in another row now. */
void mu_occupants_row_moved(struct mu_db *db, uint32_t from, uint32_t to);
/* A gang's row is no longer as it was `before`; one that goes has no flags. */
void mu_occupants_gang_moved(struct mu_db *db, const struct mu_gang_row *before,
                             const struct mu_gang_row *after);
/* The part of a replica. Bring the blocks of rows up to date where some gang could preempt, and
 * copy them, until *spent, raised by the cost in rows, reaches `budget`; to be called when the
 * gangs' rows are. Errors: MU_ENOMEM (the rest waits). */
int mu_occupants_sync(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent);
/* What is left of that. */
uint64_t mu_occupants_backlog(const struct mu_db *db, const struct mu_replica *r);
void mu_occupants_show(struct mu_db *db, struct mu_replica *r);
/* Something else has moved that victims are chosen by: replicas say so. */
void mu_occupants_moved(struct mu_db *db);
/* 1 when what a row shows is not what its pods say; it is made anew. Cost: O(its pods). */
uint32_t mu_occupants_audit_row(struct mu_db *db, uint32_t row);
void mu_occupants_replica_fini(struct mu_replica *r);

/* --- budgets (db/budget.c) ------------------------------------------------------------------ */

int mu_cover_create(struct mu_db *db); /* MU_ENOMEM: destroy is due all the same */
void mu_cover_destroy(struct mu_db *db);
/* A block of occupants has one pod more of a kin, or one less. Room for the kin was reserved
 * (MU_ENOMEM). */
int mu_cover_kin_reserve(struct mu_db *db, struct mu_kin_ix kin);
void mu_cover_kin_enter(struct mu_db *db, struct mu_kin_ix kin);
void mu_cover_kin_exit(struct mu_db *db, struct mu_kin_ix kin);
/* No kin is left: what was kept for them goes. */
void mu_cover_rest(struct mu_db *db);
/* The part of a replica, while occupants are wanted: as theirs. */
int mu_cover_sync(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent);
uint64_t mu_cover_backlog(const struct mu_db *db, const struct mu_replica *r);
void mu_cover_show(const struct mu_db *db, struct mu_replica *r, bool wanted);
void mu_cover_replica_fini(struct mu_replica *r);
uint32_t mu_cover_count(const struct mu_db *db);
uint64_t mu_cover_digest(const struct mu_db *db);

/* --- nodes (db/node.c) ---------------------------------------------------------------------- */

/* The row of a node name; an absent one is made where the DB knows none. Errors: MU_ENOMEM,
 * MU_ELIMIT. Undone by mu_node_cancel, which drops an absent row that nobody has used. */
int mu_node_obtain(struct mu_db *db, struct mu_str name, uint32_t *row);
void mu_node_cancel(struct mu_db *db, uint32_t row);
/* The row of a name; MU_NONE: none. */
uint32_t mu_node_row(const struct mu_db *db, struct mu_symbol name);
void mu_node_drop_if_empty(struct mu_db *db, uint32_t row);
void mu_node_attach(struct mu_db *db, uint32_t row, uint32_t pod);
void mu_node_detach(struct mu_db *db, uint32_t pod); /* the row stays, even when empty */
void mu_node_remove_row(struct mu_db *db, uint32_t row);
void mu_node_destroy_all(struct mu_db *db);

/* --- pods (db/pod.c) ------------------------------------------------------------------------ */

static inline struct mu_pod_rec *mu_pod_at(const struct mu_db *db, uint32_t pod)
{
    return mu_slab_at(&db->pods, pod);
}
static inline struct mu_str mu_pod_name(const struct mu_pod_rec *p)
{
    return (struct mu_str){p->name, p->name_len};
}
/* True when the pod takes room on p->node. */
static inline bool mu_pod_charged(const struct mu_pod_rec *p)
{
    return p->ledger != MU_LEDGER_NONE ||
           (p->flags & (MU_POD_BOUND | MU_POD_TERMINAL)) == MU_POD_BOUND;
}
/* True when it takes that room and may never be bound: its bind was refused, or awaits victims. */
static inline bool mu_pod_only_holds(const struct mu_pod_rec *p)
{
    return p->ledger == MU_LEDGER_HELD || p->ledger == MU_LEDGER_WAITING;
}
enum mu_role mu_pod_role(const struct mu_pod_rec *p);
uint32_t mu_pod_find(const struct mu_db *db, struct mu_uid uid); /* MU_NONE: none */
uint32_t mu_pod_find_name(const struct mu_db *db, struct mu_symbol ns, struct mu_str name);
/* Set what decides where a pod is charged, and move charge, node list and counts accordingly.
 * `devices`: those that it is known to have; 0: not known. The node's chunk has room for the class
 * (mu_row_reserve). Does not touch the gang. */
void mu_pod_place(struct mu_db *db, uint32_t pod, uint32_t row, struct mu_class_ix class_ix,
                  struct mu_kin_ix kin, uint16_t flags, enum mu_ledger_state ledger,
                  uint16_t devices);
void mu_pod_remove_rec(struct mu_db *db, uint32_t pod, uint64_t now_ns);
void mu_pod_destroy_all(struct mu_db *db);
bool mu_pod_uid_equal(const void *context, uint32_t value, const void *key);
uint64_t mu_pod_uid_hash(const void *context, uint32_t value);
bool mu_pod_name_equal(const void *context, uint32_t value, const void *key);
uint64_t mu_pod_name_hash(const void *context, uint32_t value);

/* --- checks of a plan (db/ledger.c, db/trial.c, db/evict.c) ------------------------------------
 */

/* Sets *why: "pod ns/name: what". Returns MU_ECONFLICT. */
int mu_plan_conflict(struct mu_db *db, struct mu_error *why, uint32_t pod, const char *what);
/* Room for all binds at once; their pods were checked. Room that these hold themselves is theirs.
 * With victims: once those are gone; all binds and victims have MU_POD_PICKED. `choose`, the plan's
 * binds, are given devices; NULL: they have theirs. The sums are as before. Errors: MU_ECONFLICT,
 * MU_ENOMEM. */
int mu_trial_room(struct mu_db *db, const struct mu_plan_gang *plan, struct mu_plan_bind *choose,
                  struct mu_error *why);
/* Whether the plan's victims may be its victims, those of them that are still there; sets
 * MU_POD_PICKED of these, which the caller takes off again (mu_evict_unpick), also after an error.
 * Errors: MU_ECONFLICT. Cost: O(victims and members of their gangs). */
int mu_evict_check(struct mu_db *db, const struct mu_plan_gang *plan, struct mu_error *why);
void mu_evict_unpick(struct mu_db *db, const struct mu_plan_gang *plan);
/* The pod of a victim that still takes room, terminating or not; MU_NONE: it is gone. */
uint32_t mu_evict_pod(const struct mu_db *db, const struct mu_plan_evict *evict);

/* --- UIDs (db/view.c) ----------------------------------------------------------------------- */

/* The UID of a text, with a reference to its symbol where it has one. Errors: MU_EINVAL (empty or
 * too long), MU_ENOMEM, MU_ELIMIT. */
int mu_uid_obtain(struct mu_db *db, struct mu_str text, struct mu_uid *out);
void mu_uid_release(struct mu_db *db, struct mu_uid uid);
/* Canonical order: by text. */
int mu_uid_compare(const struct mu_db *db, struct mu_uid a, struct mu_uid b);

/* --- gangs (db/gang.c) ---------------------------------------------------------------------- */

static inline struct mu_gang_rec *mu_gang_at(const struct mu_db *db, uint32_t gang)
{
    return mu_slab_at(&db->gangs, gang);
}
bool mu_gang_equal(const void *context, uint32_t value, const void *key);
uint64_t mu_gang_hash(const void *context, uint32_t value);
/* True when gang row `gang` is the one that `ref` in namespace ns names (never for solo). */
bool mu_gang_is(const struct mu_db *db, uint32_t gang, struct mu_symbol ns,
                const struct mu_gang_ref *ref);
/* The row of a gang; a new one where there is none, and always for a solo pod. Errors: MU_ENOMEM,
 * MU_ELIMIT. Undone by mu_gang_cancel, which drops a row that no member has joined. */
int mu_gang_obtain(struct mu_db *db, struct mu_symbol ns, const struct mu_gang_ref *ref,
                   uint32_t *gang);
void mu_gang_cancel(struct mu_db *db, uint32_t gang);
void mu_gang_drop_if_empty(struct mu_db *db, uint32_t gang);
void mu_gang_join(struct mu_db *db, uint32_t gang, uint32_t pod, uint64_t now_ns);
void mu_gang_leave(struct mu_db *db, uint32_t pod); /* the row stays, even when empty */
void mu_gang_touch(struct mu_db *db, uint32_t gang);
/* A pending member has another version and is otherwise the same: replicas get it, in silence. */
void mu_gang_renew(struct mu_db *db, uint32_t gang);
/* The object of a gang says something else: its rows are stale. */
void mu_gang_terms_moved(struct mu_db *db, uint32_t gang);
/* Keep the topology of a row's pack_key in use (db/gang_topology.c), and let it go. Errors:
 * MU_ENOMEM; nothing has changed. */
int mu_gang_topology_follow(struct mu_db *db, uint32_t gang);
void mu_gang_topology_drop(struct mu_db *db, uint32_t gang);
/* The same, when nodes begin or cease to carry keys; any number. Errors: MU_ENOMEM. */
int mu_gang_keys_follow(struct mu_db *db, uint32_t gang);
/* Whether a plan keeps a gang that must in one domain, with those of it that have a place. The row
 * is recounted. Cost: O(binds). */
bool mu_gang_topology_allows(const struct mu_db *db, const struct mu_plan_gang *plan);
/* Bring counts, size and flags of a row up to date; not its block. Cost: O(live members). */
void mu_gang_recount(struct mu_db *db, uint32_t gang);
/* True when its minimum is met without its members that have MU_POD_PICKED. The row is recounted.
 * Cost: O(live members). */
bool mu_gang_stands_without(const struct mu_db *db, uint32_t gang);
/* Recount and rebuild stale gangs until *spent, raised by their cost in rows, reaches `budget`.
 * Errors: MU_ENOMEM (the rest stays stale). */
int mu_gang_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent);
void mu_gang_destroy_all(struct mu_db *db);

/* --- gangs bound in part (db/gang_end.c) ----------------------------------------------------- */

/* Whether it is, since when, and whether it was whole: of a row with its size and its sums. */
void mu_gang_end_settle(const struct mu_db *db, struct mu_gang_rec *g,
                        const struct mu_gang_terms *terms);
/* A member has become bound: if its gang may be whole now, it is looked at at once, since nobody
 * may ask for it before it changes again. Cost: O(1), O(live members) about twice in a gang's life.
 */
void mu_gang_member_rises(struct mu_db *db, uint32_t gang);
/* Before it leaves: a pod that has come to its end, or is gone without having been told to go
 * (whoever is told leaves its gang then) and without another in its place. */
void mu_gang_member_ends(struct mu_db *db, uint32_t pod);

/* --- what a gang must have (db/gang_terms.c) ------------------------------------------------ */

/* The record of its object, of its home's in a row of one; NULL: its source has none. */
const struct mu_group_rec *mu_gang_group(const struct mu_db *db, const struct mu_gang_rec *g);
/* True when its object says that its pods are placed one by one. */
bool mu_gang_wants_singles(const struct mu_db *db, const struct mu_gang_rec *g);
/* The terms of a gang: begin, hear the claim of each member (those heard already cost nothing),
 * end. */
void mu_gang_terms_begin(const struct mu_db *db, const struct mu_gang_rec *g,
                         struct mu_gang_terms *t);
void mu_gang_terms_hear(const struct mu_db *db, struct mu_gang_terms *t, uint32_t claim);
void mu_gang_terms_end(struct mu_gang_terms *t);
/* Its entry among the sub-groups with minima; MU_NONE: it has none. */
uint32_t mu_gang_terms_find(const struct mu_gang_terms *t, struct mu_symbol name);
/* The sub-group that a member counts for, under these terms. */
struct mu_symbol mu_gang_subgroup_of(const struct mu_db *db, const struct mu_gang_rec *g,
                                     const struct mu_gang_terms *t, const struct mu_pod_rec *p);
/* The size that was frozen, of a gang whose members are summed up. With nobody left of those it was
 * frozen for, a new generation begins; with fewer left than that, nobody waits for those that have
 * ended. */
uint32_t mu_gang_frozen(const struct mu_gang_rec *g);
/* Whether the minimum of the gang and of each sub-group is met by the members that are placed:
 * `joining`: and those that have MU_POD_PICKED; else without those. Cost: O(live members). */
bool mu_gang_minimum_met(const struct mu_db *db, uint32_t gang, bool joining);
/* How many members a recounted gang lacks for the minima that somebody states: of the placed ones,
 * or of those that are bound. Cost: O(1), of a split gang O(live members). */
uint32_t mu_gang_lacks(const struct mu_db *db, const struct mu_gang_rec *g,
                       const struct mu_gang_terms *terms, bool bound);

/* --- group objects (db/group.c), claims (db/claim.c) ---------------------------------------- */

int mu_groups_init(struct mu_db *db); /* MU_ENOMEM: fini is due all the same */
void mu_groups_fini(struct mu_db *db);
static inline struct mu_group_rec *mu_group_at(const struct mu_db *db, uint32_t group)
{
    return mu_slab_at(&db->groups, group);
}
uint32_t mu_group_find(const struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                       struct mu_str name); /* MU_NONE: none */
/* The record of an object, there or not. Errors: MU_ENOMEM, MU_ELIMIT. Undone by the other. */
int mu_group_obtain(struct mu_db *db, enum mu_gang_source source, struct mu_str ns,
                    struct mu_str name, uint32_t *group);
void mu_group_drop_if_unused(struct mu_db *db, uint32_t group);

int mu_claims_init(struct mu_db *db); /* as above */
void mu_claims_fini(struct mu_db *db);
static inline const uint32_t *mu_claim_words(const struct mu_db *db, uint32_t claim)
{
    return ((const struct mu_claim_rec *)mu_slab_at(&db->claims, claim))->words;
}
/* What a pod states, with a reference; MU_NONE: nothing. Its names are within bounds. Errors:
 * MU_ENOMEM, MU_ELIMIT. */
int mu_claim_obtain(struct mu_db *db, const struct mu_gang_ref *ref, uint32_t *claim);
void mu_claim_unref(struct mu_db *db, uint32_t claim);

/* --- censuses (db/census.c, db/topology.c, db/census_copy.c, db/census_audit.c) -------------- */

/* What an event must say before it changes anything that pods count by; without books, nothing
 * happens. A pod: its place, kin, class or phase. A row: labels, hostname, taints, name, presence,
 * or its number (with all of its pods). A namespace: its labels. */
void mu_census_pod_leave(struct mu_db *db, uint32_t pod);
void mu_census_row_leave(struct mu_db *db, uint32_t row);
void mu_census_namespace(struct mu_db *db, struct mu_symbol ns);
/* db/namespace.c: what a sweep does with the record of a namespace. */
void mu_namespace_sweep(struct mu_db *db, uint32_t record);
/* A pod of this class has come: the books are opened where its rules need them. */
void mu_census_class_seen(struct mu_db *db, struct mu_class_ix class_ix);
/* Room to mark numbers below `pods`, `rows`. Errors: MU_ENOMEM. */
int mu_census_pods_reserve(struct mu_db *db, uint32_t pods);
int mu_census_rows_reserve(struct mu_db *db, uint32_t rows);
/* Enter what has left, build what is new, until *spent, raised by the cost in rows, reaches
 * `budget`. Errors: MU_ENOMEM (the rest waits). */
int mu_census_refresh(struct mu_db *db, uint32_t budget, uint32_t *spent);
/* What is left of that; 0: the counts are complete. */
uint64_t mu_census_backlog(const struct mu_db *db);
int mu_census_open(struct mu_db *db);
void mu_census_destroy(struct mu_db *db);
/* Admission (db/rules.c): the rules about other pods, for all binds of a gang at once. Returns 0,
 * MU_ECONFLICT with the bind and the reason, or MU_ENOMEM; the counts are as before. */
int mu_census_check(struct mu_db *db, const struct mu_plan_gang *gang, uint32_t *which,
                    const char **what);
/* The part of a replica: everything dirty; room; copying; what is shown at the end of a sync. */
int mu_census_replica_init(struct mu_db *db, struct mu_replica *r);
void mu_census_replica_fini(struct mu_replica *r);
int mu_census_replica_reserve(struct mu_db *db, struct mu_replica *r);
int mu_census_copy(struct mu_db *db, struct mu_replica *r, uint32_t budget, uint32_t *spent);
void mu_census_copy_row(const struct mu_db *db, struct mu_replica *r, uint32_t row);
uint64_t mu_census_replica_backlog(const struct mu_replica *r);
void mu_census_show(const struct mu_db *db, struct mu_replica *r);
/* Bring the books up to date if they are behind; else recount one census and one field after
 * another, for the cost of `budget` copied rows a call (the cells of a new shadow apart). Returns
 * domains that were wrong and are repaired. *whole: the last one is done. */
uint32_t mu_census_audit(struct mu_db *db, uint32_t budget, bool *whole);
/* The same for the domains of a row: 1 when they were wrong. *spent rises by what was judged. */
uint32_t mu_census_audit_row(struct mu_db *db, uint32_t row, uint32_t *spent);
/* For tests: make a count of pods, of eligible nodes, wrong. */
void mu_census_debug_drift(struct mu_db *db, uint32_t census, uint32_t domain, int32_t by);
void mu_census_debug_field_drift(struct mu_db *db, uint32_t census, uint32_t domain, int32_t by);

/* --- db/db.c ------------------------------------------------------------------------------------
 */

/* A block that replicas show by pointer: memory for it (NULL: none left), giving it up before it
 * was shown, releasing it (NULL: nothing). It is freed when no replica can reach it. */
void *mu_shown_alloc(size_t bytes);
void mu_shown_cancel(const void *shown);
void mu_shown_release(struct mu_db *db, const void *shown);
/* Free what no replica can reach any more, a bounded amount. */
void mu_db_reclaim(struct mu_db *db);
/* Counts a refusal and names the object. Returns `code`. */
int mu_db_refuse(struct mu_db *db, struct mu_error *error, int code, const char *kind,
                 struct mu_str ns, struct mu_str name, const char *what);

#endif
