#ifndef MU_TOOLS_KUBESIM_YAML_WRITE_H
#define MU_TOOLS_KUBESIM_YAML_WRITE_H
/*
 * JSON text as YAML in block style, in one pass and in the same order:
 *
 *   {"a":{"b":[1,{"c":"x"}]},"d":[]}   a:
 *                                        b:
 *                                        - 1
 *                                        - c: x
 *                                      d: []
 *
 * A string stands bare when no YAML reader could take it for anything else, and keeps its JSON
 * quotes otherwise, which YAML reads the same way.
 */
#include "engine/base/buf.h"

/* Append `json`, which is well-formed (our own output), as YAML. Errors: the buffer's; MU_EPROTO
 * (text that no JSON value begins with, or nested too deep). Thread: any. Cost: O(bytes). */
int mu_yaml_from_json(struct mu_str json, struct mu_buf *out);

#endif
