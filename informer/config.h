#ifndef MU_INFORMER_CONFIG_H
#define MU_INFORMER_CONFIG_H
/*
 * Configuration files: a bounded part of YAML as a tree of scalars, sequences and mappings, each
 * with its place in the file.
 *
 * One document, a mapping at its root. Refused, because they make a file mean something else than
 * it seems to, or grow: anchors and aliases, tags, duplicate keys, keys that are not scalars.
 *
 * A program asks for keys by name and every question is remembered; mu_config_finish then refuses
 * each key that nobody asked for, and names those that are known there. A setting that is spelled
 * wrong is thus an error and never the default in disguise.
 *
 * Every error is one line: "file:line:column: 'key': expected ..., found '...'".
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/error.h"
#include "engine/base/str.h"

enum mu_config_kind { MU_CONFIG_SCALAR, MU_CONFIG_SEQUENCE, MU_CONFIG_MAPPING };

struct mu_config_known; /* a key that was asked for */

struct mu_config_node {
    enum mu_config_kind kind;
    uint32_t line;      /* from 1; of the key in a mapping, else of the value */
    uint32_t column;    /* from 1 */
    struct mu_str key;  /* of a mapping's child; NUL-terminated, as text */
    struct mu_str text; /* scalar */
    bool plain;         /* scalar without quotes: may be a number, a truth value or null */
    uint32_t count;     /* children */
    struct mu_config_node *child; /* the first, in the order of the file */
    struct mu_config_node *next;
    struct mu_config_known *known;
};

struct mu_config; /* opaque; one user */

/* Parse text; `name` stands for the file in errors. An empty text is an empty mapping. Errors:
 * MU_EINVAL, MU_ELIMIT (informer/limits.h), MU_ENOMEM; *out unchanged. Owns: caller, until
 * destroy; so are all nodes and texts. */
int mu_config_parse(struct mu_str text, const char *name, struct mu_config **out,
                    struct mu_error *error);
/* The same for a text that holds secrets: errors do not quote what was found. */
int mu_config_parse_secret(struct mu_str text, const char *name, struct mu_config **out,
                           struct mu_error *error);
/* The same from a file. Errors: also those of mu_file_open and mu_file_read. */
int mu_config_load(const char *path, struct mu_config **out, struct mu_error *error);
/* Texts are wiped: a file may hold secrets. */
void mu_config_destroy(struct mu_config *config);
struct mu_config_node *mu_config_root(struct mu_config *config);

/* The value of `key` (static text) in a mapping, NULL when it is not there or mapping is NULL. The
 * key is known from now on. */
struct mu_config_node *mu_config_find(struct mu_config *config, struct mu_config_node *mapping,
                                      const char *key);
/* Refuse every key, anywhere, that nobody asked for. Errors: MU_EINVAL; MU_ENOMEM when a question
 * could not be remembered. */
int mu_config_finish(struct mu_config *config, struct mu_error *error);

/* Typed values. Where the key is absent the target stays as it is (the default) and 0 is returned;
 * a present value of another kind or range is MU_EINVAL. A null is a value of no kind. */
int mu_config_mapping(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                      struct mu_config_node **value, struct mu_error *error);
int mu_config_sequence(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                       struct mu_config_node **value, struct mu_error *error);
/* Text of at least one byte; borrowed from the configuration, NUL-terminated. */
int mu_config_text(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                   struct mu_str *value, struct mu_error *error);
int mu_config_u64(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                  uint64_t min, uint64_t max, uint64_t *value, struct mu_error *error);
int mu_config_bool(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                   bool *value, struct mu_error *error);
/* Index into `choices`, which end with NULL. */
int mu_config_choice(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                     const char *const *choices, uint32_t *value, struct mu_error *error);
/* A whole number with a unit: 500us, 250ms, 1s, 5m, 2h. */
int mu_config_duration_ns(struct mu_config *config, struct mu_config_node *mapping, const char *key,
                          uint64_t max_ns, uint64_t *value, struct mu_error *error);
/* The text of a node itself, such as an item of a sequence. */
int mu_config_node_text(const struct mu_config *config, const struct mu_config_node *node,
                        struct mu_str *value, struct mu_error *error);

/* The value is absent in all but name: nothing, ~ or null, without quotes. */
bool mu_config_is_null(const struct mu_config_node *node);
/* Report a node as not what was expected ("a directory"). Returns MU_EINVAL. */
int mu_config_refuse(const struct mu_config *config, const struct mu_config_node *node,
                     const char *expected, struct mu_error *error);

#endif
