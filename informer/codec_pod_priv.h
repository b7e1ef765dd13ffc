#ifndef MU_INFORMER_CODEC_POD_PRIV_H
#define MU_INFORMER_CODEC_POD_PRIV_H
/*
 * A pod on its way from views to struct mu_pod_object: codec_pod.c has the whole,
 * the other rooms a part each.
 *
 * Each mu_pod_put_* fills one part of `out` from the views. Returns 0, also when the part is beyond
 * a bound (left out) or cannot be read: then the pod is marked and the warning names the field.
 * Errors: MU_ENOMEM with *error set.
 */
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/object.h"
#include "informer/tally_priv.h"
#include "informer/view_priv.h"

struct mu_pod_reader {
    const struct mu_view_meta *meta; /* may be NULL until the identity is read */
    const struct mu_view_spec *spec;
    const struct mu_view_status *status; /* may be NULL */
    struct mu_arena *arena;
    struct mu_pod_object *out;
    uint32_t requirements_left, values_left; /* what its selectors may still take */
    bool assuming;   /* containers that ask for no cpu or memory are taken as scores see them */
    bool incomplete; /* there are such */
    struct mu_error *warn;
    struct mu_error *error;
};

/* The rules, over the views: what mu_pod_decode does once they are there. */
int mu_pod_translate(const struct mu_view_pod *view, struct mu_arena *arena,
                     struct mu_pod_object *out, struct mu_error *warn, struct mu_error *error);

static inline bool mu_text_is(struct mu_str text, const char *word)
{
    return mu_str_equal(text, mu_str_of(word));
}

static inline bool mu_pod_is_sidecar(const struct mu_view_container *init)
{
    return mu_text_is(init->restart_policy, "Always");
}

/* "pod ns/name: field[name]: expected". Keeps the first warning: it is the one with the cause. */
void mu_pod_warn(const struct mu_pod_reader *r, const char *field, struct mu_str name,
                 const char *expected);
/* A list beyond its bound is left out: the pod is charged where it is placed, and never placed. */
int mu_pod_leave_out(struct mu_pod_reader *r, const char *field, size_t count, uint32_t max);
int mu_pod_no_memory(const struct mu_pod_reader *r, const char *what);

/* --- codec_selector.c ---------------------------------------------------------------------- */

/* Keys whose values are taken from the pod's own labels. */
struct mu_own_keys {
    struct mu_text_list in, not_in;
    /* What the selector says of such a key is the server's merge: left as it is. */
    bool merged_once;
};

/* Read a term of node affinity. What cannot be read is MU_OP_NEVER: it keeps the term from
 * matching. Errors: MU_ELIMIT (the pod's selectors are beyond their bounds), MU_ENOMEM; without a
 * text. */
int mu_pod_node_term(struct mu_pod_reader *r, const struct mu_view_node_term *from,
                     struct mu_node_term *to);
/* Read a selector of pods or namespaces. NULL selects nothing. What cannot be read is MU_OP_NEVER
 * and marks the pod: `field` names it. Errors: as above. */
int mu_pod_selector(struct mu_pod_reader *r, const struct mu_view_selector *from,
                    const struct mu_own_keys *own, const char *field, struct mu_selector *to);
/* An array of strings in the arena, paid from the bound of values. Errors: as above. */
int mu_pod_values(struct mu_pod_reader *r, const struct mu_text_list *from,
                  const struct mu_str **to);

/* --- codec_placement.c --------------------------------------------------------------------- */

int mu_pod_put_node_affinity(struct mu_pod_reader *r);
int mu_pod_put_terms(struct mu_pod_reader *r);
int mu_pod_put_spreads(struct mu_pod_reader *r);
int mu_pod_put_ports(struct mu_pod_reader *r);
int mu_pod_put_images(struct mu_pod_reader *r);

/* --- codec_device.c ------------------------------------------------------------------------ */

/* Add the share of a device that annotations ask for. */
void mu_pod_add_share(struct mu_pod_reader *r, struct mu_tally *requests);
/* The devices that a bound pod was given. */
void mu_pod_put_devices(struct mu_pod_reader *r);

#endif
