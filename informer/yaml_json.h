#ifndef MU_INFORMER_YAML_JSON_H
#define MU_INFORMER_YAML_JSON_H
/*
 * YAML as a JSON tree, as Kubernetes takes it (sigs.k8s.io/yaml): manifests and request bodies.
 *
 * Plain scalars mean what YAML 1.1 says, as that library reads it:
 *   null    empty, ~, null, Null, NULL
 *   bool    true false yes no on off y n, also Capitalised and UPPER CASE (y n: both cases)
 *   number  decimal, 0x 0o 0b, octal with a leading 0, '_' between digits; with fraction, exponent.
 *           A number that is whole becomes a JSON integer when 64 bits hold it
 *   text    everything else: times, 12:30, versions; and all that is quoted or in a block
 * A key that is a number or a bool is the text of its value ("yes:" is "true"). Refused: anchors,
 * aliases, tags, merge keys (<<), .inf and .nan, null as a key, keys that are no scalars.
 */
#include <jansson.h>
#include "engine/base/str.h"
#include "informer/json_read.h"

/* Read a text of any number of documents into a JSON array of them; empty documents are left out.
 * `name` stands for the text in errors. Of a key that comes twice the later value counts; with
 * `problems` (may be NULL) it is told: `line 3: key "a" already set in map`. Owns: caller,
 * json_decref. Errors: MU_EINVAL (name, line, column, what was expected), MU_ELIMIT
 * (informer/limits.h), MU_ENOMEM; *documents unchanged. Thread: any. Cost: O(bytes). */
int mu_yaml_read(struct mu_str text, const char *name, json_t **documents,
                 struct mu_json_problems *problems, struct mu_error *error);

#endif
