#ifndef MU_INFORMER_YAML_LINE_H
#define MU_INFORMER_YAML_LINE_H
/* Where a field stands in a text of YAML or JSON. */
#include <stdint.h>
#include "engine/base/str.h"

/* The line, from 1, of the field that `path` ("spec.containers[0].image") names in the first
 * document of text, or of the deepest part of it that is there; 1 when that cannot be told.
 * Thread: any. Cost: O(bytes). */
uint32_t mu_yaml_line(struct mu_str text, const char *path);

#endif
