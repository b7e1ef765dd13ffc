#ifndef MU_TOOLS_KUBESIM_SELECTOR_H
#define MU_TOOLS_KUBESIM_SELECTOR_H
/*
 * Label and field selectors of LIST and WATCH, compiled once and matched against encoded objects.
 *
 *   labels  key, !key, key=v, key==v, key!=v, key in (a,b), key notin (a,b), key>n, key<n; joined
 *           by commas
 *   fields  name=v, name==v, name!=v; joined by commas; '\' escapes ',', '=' and '\' in values
 *
 * != and notin also match objects without the key; > and < only those whose value is a whole number
 * too. Source: apimachinery labels and fields.
 */
#include "engine/base/error.h"
#include "tools/kubesim/kinds.h"
#include "tools/kubesim/kobject.h"

struct mu_selector; /* opaque */

/* Compile both texts (copied); *out is NULL when they select everything. Owns: caller, until
 * destroy. Errors: MU_EINVAL (text says what was expected), MU_ELIMIT, MU_ENOMEM. */
int mu_selector_create(const struct mu_kind *kind, struct mu_str labels, struct mu_str fields,
                       struct mu_selector **out, struct mu_error *error);
void mu_selector_destroy(struct mu_selector *selector);
/* True for a NULL selector. Cost: a walk over the object's top levels. */
bool mu_selector_match(const struct mu_selector *selector, const struct mu_kobject *object);

#endif
