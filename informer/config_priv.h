#ifndef MU_INFORMER_CONFIG_PRIV_H
#define MU_INFORMER_CONFIG_PRIV_H
/* Shared by the two halves of the configuration: reading YAML and answering questions. */
#include "engine/base/arena.h"
#include "informer/config.h"

enum { MU_CONFIG_NAME_BYTES = 96 };

struct mu_config {
    struct mu_arena *arena; /* nodes, texts, known keys */
    struct mu_config_node *root;
    int failed;  /* a question that could not be remembered */
    bool secret; /* errors do not quote what was found */
    char name[MU_CONFIG_NAME_BYTES];
};

struct mu_config_known {
    const char *key;
    struct mu_config_known *next; /* in the order of the questions */
};

#endif
