#ifndef MU_TOOLS_KUBESIM_VALIDATE_H
#define MU_TOOLS_KUBESIM_VALIDATE_H
/* Names, labels and quantities: the syntax rules of apimachinery's validation. Pure. */
#include "engine/base/str.h"

/* RFC 1123 label: lower case letters, digits, '-', alphanumeric ends, at most 63. */
bool mu_valid_dns_label(struct mu_str s);
/* Labels joined by dots, at most 253. */
bool mu_valid_dns_subdomain(struct mu_str s);
/* [prefix/]name: name at most 63 of letters, digits, '-', '_', '.', alphanumeric ends. */
bool mu_valid_label_key(struct mu_str s);
/* Empty, or as the name part of a key. */
bool mu_valid_label_value(struct mu_str s);
/* A key of a ConfigMap: letters, digits, '-', '_', '.', at most 253, not "." nor "..*". */
bool mu_valid_config_key(struct mu_str s);

#endif
