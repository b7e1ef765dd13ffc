#ifndef MU_INFORMER_NAMES_H
#define MU_INFORMER_NAMES_H
/* The grammar of Kubernetes names, as its API validation has it. Thread: any. Cost: O(bytes). */
#include "engine/base/str.h"

/* What stands behind the slash of a qualified name: letters, digits and inner "-_.", 1 to 63. */
bool mu_name_is_part(struct mu_str s);
/* Lower-case DNS labels joined by dots, 1 to 253 bytes. */
bool mu_name_is_subdomain(struct mu_str s);
/* A part, or a subdomain, a slash and a part. */
bool mu_name_is_label_key(struct mu_str s);
/* A part, or nothing. */
bool mu_name_is_label_value(struct mu_str s);

#endif
