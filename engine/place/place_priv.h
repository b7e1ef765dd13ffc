#ifndef MU_ENGINE_PLACE_PLACE_PRIV_H
#define MU_ENGINE_PLACE_PLACE_PRIV_H
/*
 * Inside placing: what its rooms share.
 *
 *   place/place.c           life, sessions, picking, taking and giving back, trials
 *   place/class.c     what is known about a class: its need, mask and preferences, and that it fits
 *                     nowhere
 *   place/slots.c     where a class fits, and how often: room for several
 *   place/pins.c      rows by name and hostname, for classes pinned to one
 *   place/explain.c   why it does not
 *   place/run.c       many pods of one class at once
 *   place/reach.c     how many of a gang do together, and why the next does not
 *   place/evict.c     what it looks like once pods have left
 *   place/within.c    on a part of the nodes
 *   place/domains.c   how many of a gang find room in each domain of a topology key
 *   place/nominated.c       room that is kept for pods which are expected on a node
 *
 * What every pick passes through is inline: it is found known, hundreds of thousands of times in a
 * session.
 */
#include "engine/place/choose.h"
#include "engine/place/cut.h"
#include "engine/device.h"
#include "engine/place/fragment.h"
#include "engine/place/place.h"
#include "engine/place/prefer.h"

/* What is known about a class. */
struct mu_place_class {
    uint64_t id;      /* of the class that this describes */
    uint64_t session; /* in which mask and feasibility were last looked up */
    uint64_t mask_epoch, prefer_epoch;
    const struct mu_filter_mask *mask;
    uint64_t taste; /* another one whenever the preferences have changed */
    uint64_t prefer_version;
    struct mu_affinity_ix affinity;
    struct mu_symbol hostname; /* pinned to nodes of it, or to the one of this name; 0: not so */
    struct mu_symbol only_name;
    uint64_t resources; /* bits of all resources it asks for, pods included */
    bool impossible;    /* whatever the nodes have */
    bool nowhere;       /* or asks for a resource without a column in this session's snapshot */
    /* "Fits nowhere" holds: in this session; until this trial is rolled back; for the snapshots
     * of one model with these generations. 0: not known. */
    uint64_t none_session;
    uint64_t none_trial;
    bool none_known;
    uint64_t none_static, none_capacity;
    /* For whom: MU_NONE and 0 where no rule about other pods had a say. */
    uint32_t none_kin;
    uint64_t none_state, none_terms;
    /* No more than so many fit: held as true as "fits nowhere" is. */
    uint32_t slots_max;
    uint64_t slots_session;
    bool slots_known;
    uint64_t slots_static, slots_capacity;
    /* Refusals: counted in which session; for the untouched snapshot of which generation. */
    uint64_t refusals_session;
    bool refusals_untouched;
    uint64_t refusals_generation, refusals_static;
    struct mu_refusals *refusals;
    struct mu_prefer *prefer; /* as of prefer_epoch; NULL: indifferent */
    struct mu_choose_class choose;
    struct mu_scan_need *need; /* behind this struct, in the same block */
};

enum {
    MU_ENTRY_EVICTED = 1u << 0,     /* an occupant's room, given back */
    MU_ENTRY_TERMINATING = 1u << 1, /* it was terminating: no spread counts it */
    MU_ENTRY_SAVED = 1u << 2,       /* the row's devices as they were are on the stack of them */
    MU_ENTRY_HOLDING = 1u << 3      /* it only holds room: required affinity does not count it */
};
struct mu_place_entry {
    struct mu_place_pod pod;
    uint32_t row;
    uint32_t times; /* so many pods; one, where there are devices or somebody counts them */
    int8_t sign;
    uint8_t flags;
    uint16_t devices; /* that go with it */
    uint64_t state;   /* of the terms, before */
};

/* What the rows are that pass all rules but room, for the last pod that such rules concerned. */
struct mu_place_mask_of {
    const struct mu_filter_mask *mask; /* NULL: none */
    struct mu_place_pod pod;
    uint64_t session, state, mask_epoch;
};

/* The part of the nodes that is placed on. */
struct mu_place_within {
    bool on;
    uint32_t topology, domain; /* topology MU_NONE: all domains */
    const uint64_t *kept;      /* rows that are left out; NULL: none */
    /* The mask that was cut last, its rows being the part, and of which it is; NULL: of one that
     * may have changed. */
    const struct mu_filter_mask *of;
    struct mu_mask_cut cut;
};

/* Rows by name and by hostname (engine/place/pins.c): symbol << 32 | row, ascending. */
#define MU_PLACE_PIN_KINDS 2
struct mu_place_pins {
    uint64_t session;           /* in which they were brought up to date */
    uint64_t static_generation; /* of which they are */
    uint32_t row_cap;
    uint64_t *entries[MU_PLACE_PIN_KINDS]; /* NULL: none are made */
    uint32_t count[MU_PLACE_PIN_KINDS];
    uint64_t *fresh;   /* for MU_STATIC_CHANGED_MAX entries */
    uint64_t *changed; /* bit per row, all 0 in between */
};
/* Entries of one symbol, as far as they have it. */
struct mu_place_pin_rows {
    const uint64_t *at, *end;
    struct mu_symbol symbol;
};

/* For whom, and in which state, the bonus of a class was made last; session 0: for nobody. */
struct mu_place_bonus_of {
    struct mu_place_pod pod;
    uint64_t session, state, mask_version, changes;
};

/* Why the last pod that rules about other pods concern does not fit, and for whom and when that was
 * counted; session 0: for nobody. */
struct mu_place_reasons_of {
    struct mu_place_pod pod;
    uint64_t session;
    uint32_t taken;
    struct mu_refusals refusals;
};

/* What is sorted when many pods are placed at once: by the smaller number. A step is one pod on its
 * way to a row: how far its score is below the best of them, and the row. */
struct mu_place_step {
    uint32_t by;
    uint32_t at;
};

/* What placing many pods of one class works with (engine/place/run.c). */
struct mu_place_run {
    uint32_t row_cap;
    int64_t *keys;   /* by row: of the next pod there; MU_SCORE_KEY_NONE beyond the rows */
    int64_t *best;   /* by block of rows, the largest */
    uint32_t *taken; /* by row: in the batch in hand */
    struct mu_place_step *steps, *spare, *rows;
    /* What the keys are of. */
    uint64_t class_id, session, changes, epoch, taste, mask_epoch;
    uint64_t width; /* how far below the best key a batch of the present size goes, most likely */
};

struct mu_place {
    struct mu_place_bonus_of bonus;
    struct mu_place_run run;
    struct mu_room room;
    struct mu_choose choose;
    struct mu_fragment fragment;
    struct mu_filter *filter;
    struct mu_terms *terms;
    struct mu_place_mask_of concerned;
    struct mu_place_within within;
    struct mu_place_pins pins;
    struct mu_snapshot *snapshot; /* NULL: between sessions */
    const struct mu_model *model;
    uint64_t model_serial; /* of the classes known */
    uint64_t session;      /* number of the present one */
    uint64_t trial;        /* number of the present or last one */
    bool in_trial;
    bool given;           /* held room is handed back: the state is not one to remember */
    uint32_t trial_begin; /* of the outermost */
    uint32_t trial_depth;
    uint32_t trial_begins[MU_PLACE_TRIALS_MAX];
    uint32_t vacated; /* occupants whose room is given back: nor is this state */
    struct mu_device_row *saved;
    uint32_t saved_count, saved_cap;
    struct mu_prefer_log prefers;
    uint64_t prefer_bytes;           /* of all columns */
    uint64_t taste_last;             /* given to a class */
    struct mu_place_class **classes; /* by class index */
    uint32_t class_cap;
    struct mu_place_entry *log;
    uint32_t log_count;
    uint32_t log_cap;
    uint16_t devices;      /* of the last take */
    int32_t whom_priority; /* of the pods that are being placed, and their gang */
    struct mu_gang_ix whom_gang;
    uint64_t nominations_over[MU_NOMINATIONS_MAX / 64]; /* in this session */
    /* Nominations by row, and by pod: that and their number, ascending. */
    uint64_t nominated_rows[MU_NOMINATIONS_MAX], nominated_pods[MU_NOMINATIONS_MAX];
    struct mu_place_reasons_of reasons;
    struct mu_refusals adjusted; /* by what is kept */
    uint64_t digest;             /* MU_VERIFY: of the free columns as they came */
    struct mu_place_counts counts;
};

/* Forget all that is known about classes. */
void mu_place_classes_forget(struct mu_place *place);
/* Look a class up for the first time in this session; make what is known about it if it is new.
 * NULL when out of memory. */
struct mu_place_class *mu_place_class_meet(struct mu_place *place, struct mu_class_ix ix);
static inline struct mu_place_class *mu_place_class_get(struct mu_place *place,
                                                        struct mu_class_ix ix)
{
    if (ix.v < place->class_cap && place->classes[ix.v] != NULL &&
        place->classes[ix.v]->session == place->session)
        return place->classes[ix.v];
    return mu_place_class_meet(place, ix);
}

/* Mask and summaries of a class that may fit somewhere. Errors: MU_ENOMEM. */
int mu_place_class_renew(struct mu_place *place, struct mu_class_ix ix,
                         struct mu_place_class *known);
static inline int mu_place_class_prepare(struct mu_place *place, struct mu_class_ix ix,
                                         struct mu_place_class *known)
{
    if (known->mask == NULL || known->mask_epoch != mu_filter_epoch(place->filter) ||
        known->prefer_epoch != place->prefers.epoch) {
        int error = mu_place_class_renew(place, ix, known);
        if (error != 0)
            return error;
    }
    return mu_room_prepare(&place->room, known->resources);
}

/* Whether some rule about other pods decides where such a pod may go. */
static inline bool mu_place_concerned(const struct mu_place *place, struct mu_place_pod pod)
{
    return mu_terms_concern(place->snapshot, pod.class_ix, pod.kin);
}

/* The rows that pass all rules but room. The class is prepared. Errors: MU_ENOMEM. */
int mu_place_mask_cut(struct mu_place *place, struct mu_place_pod pod,
                      const struct mu_place_class *known, const struct mu_filter_mask **out);
/* What the part in hand leaves of them: *mask is replaced, until the next cut. */
void mu_place_within_cut(struct mu_place *place, const struct mu_place_class *known,
                         const struct mu_filter_mask **mask);
void mu_place_within_begin(struct mu_place *place);
void mu_place_within_fini(struct mu_place *place);
static inline int mu_place_mask(struct mu_place *place, struct mu_place_pod pod,
                                const struct mu_place_class *known,
                                const struct mu_filter_mask **out)
{
    *out = known->mask;
    int error = mu_place_concerned(place, pod) ? mu_place_mask_cut(place, pod, known, out) : 0;
    if (error == 0 && place->within.on)
        mu_place_within_cut(place, known, out);
    return error;
}

/* ---- what place/nominated.c needs of the others, and they of it ---- */

struct mu_device_ask mu_place_device_ask(const struct mu_place *place, struct mu_class_ix class_ix,
                                         uint32_t row);
int mu_place_change(struct mu_place *place, struct mu_place_pod pod, uint32_t row, uint16_t devices,
                    int sign, uint32_t flags);
void mu_place_undo(struct mu_place *place, uint32_t log_count);
/* Room for so many more entries of the log. Errors: MU_ENOMEM. */
int mu_place_log_reserve(struct mu_place *place, uint32_t entries);
/* True when the profile looks at fragmentation, and there is something to see. */
bool mu_place_fragmenting(const struct mu_place *place);
void mu_place_run_init(struct mu_place_run *run);
void mu_place_run_fini(struct mu_place_run *run);
uint32_t mu_place_pick_row(struct mu_place *place, struct mu_place_class *known,
                           const struct mu_filter_mask *mask);
/* Count the nodes by why such a pod does not fit there now, trial or not: all, or those of one
 * domain of topology number `topology` (MU_NONE: all); nothing is remembered. Errors: MU_ENOMEM.
 * Cost: O(rows), and a mask of the rules about other pods. */
int mu_place_refusals_count(struct mu_place *place, struct mu_place_pod pod, uint32_t topology,
                            uint32_t domain, struct mu_refusals *out);
/* The verdict on a row without nominated pods. */
int mu_place_verdict_alone(struct mu_place *place, struct mu_place_pod pod, struct mu_node_ix node,
                           struct mu_verdict *out);
void mu_nominated_begin(struct mu_place *place);
/* The rows that pods are nominated to, each once, ascending: the one of *at, which is moved to the
 * next; MU_NONE behind the last. *at is 0 before the first. */
uint32_t mu_nominated_row(const struct mu_place *place, uint32_t *at);
/* Let the pods that count take what they are nominated to a row for, until mu_place_undo() to where
 * the log is now. Errors: MU_ENOMEM; the same undo is due. */
int mu_nominated_occupy(struct mu_place *place, uint32_t row);
/* The verdict with them; unchanged where there are none. Errors: MU_ENOMEM. */
int mu_nominated_verdict(struct mu_place *place, struct mu_place_pod pod, uint32_t row,
                         struct mu_verdict *verdict);
/* *out is the best row, nominations aside: go on to the best one with them. Errors: MU_ENOMEM. */
int mu_nominated_pick(struct mu_place *place, struct mu_place_pod pod, struct mu_place_class *known,
                      const struct mu_filter_mask *mask, struct mu_node_ix *out);

/* Whether such a pod is known to fit nowhere; note that it does not. */
bool mu_place_none_recall(const struct mu_place *place, const struct mu_place_class *known,
                          struct mu_place_pod pod);
void mu_place_none_remember(struct mu_place *place, struct mu_place_class *known,
                            struct mu_place_pod pod);

/* Whether the class is pinned to nodes by hostname or name, which its mask does not know of; and
 * whether a row of the mask is one of those. */
static inline bool mu_place_pinned(const struct mu_place_class *known)
{
    return (known->hostname.v | known->only_name.v) != 0;
}
bool mu_place_pinned_to(const struct mu_place *place, const struct mu_place_class *known,
                        uint32_t row);
/* Whether rows can be looked up by what they are called, for the rest of the session; false: not
 * for want of memory. Cost: O(rows) the first time in a session in which nodes have changed. */
bool mu_place_pins_current(struct mu_place *place);
/* Those from `begin` on that a pinned class may be pinned to. The pins are current. */
struct mu_place_pin_rows mu_place_pin_rows(const struct mu_place *place,
                                           const struct mu_place_class *known, uint32_t begin);
/* The next of them; MU_NONE behind the last. */
static inline uint32_t mu_place_pin_next(struct mu_place_pin_rows *rows)
{
    if (rows->at == rows->end || *rows->at >> 32 != rows->symbol.v)
        return MU_NONE;
    return (uint32_t)*rows->at++;
}
void mu_place_pins_fini(struct mu_place_pins *pins);

#endif
