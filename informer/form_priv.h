#ifndef MU_INFORMER_FORM_PRIV_H
#define MU_INFORMER_FORM_PRIV_H
/* What a reflector asks of a server's answers, whichever of the two forms they have. */
#include "informer/codec.h"

/* The version of an object; 0: it cannot be read. */
uint64_t mu_form_version(bool json, struct mu_str raw);

/* A page of a list: its head, and `raw`, which is within the body. Errors: MU_EPROTO,
 * MU_ETRUNCATED. */
struct mu_form_page {
    struct mu_list_head head;
    struct mu_str raw;
    uint64_t version;
};
int mu_form_page_open(bool json, struct mu_str body, struct mu_form_page *out,
                      struct mu_error *error);
/* Its objects. Returns what `item` did, when that was not 0. */
int mu_form_page_each(bool json, const struct mu_form_page *page, mu_list_item_fn item,
                      void *context);

/* The Status of an answer, and of an ERROR event. False: it is none. */
bool mu_form_status(bool json, struct mu_str body, struct mu_arena *arena, struct mu_status *out);
bool mu_form_event_status(bool json, const struct mu_envelope *object, struct mu_arena *arena,
                          struct mu_status *out);

#endif
