#ifndef MU_TOOLS_MUSTERD_OPTIONS_PRIV_H
#define MU_TOOLS_MUSTERD_OPTIONS_PRIV_H
/* The table of settings, for options.c (flags), options_file.c (YAML) and tests. */
#include "tools/musterd/options.h"

struct mu_setting {
    const char *group; /* the mapping in the file that has the key; NULL: the root */
    const char *key;
    const char *flag;  /* without dashes */
    const char *value; /* stands for the value in the help */
    const char *help;  /* ends with the default in parentheses where there is one */
    /* Reads text into a struct mu_daemon_options, or only checks, as far as can be told without
     * the file, when target is NULL. */
    int (*read)(void *target, const char *text, struct mu_error *error);
};
extern const struct mu_setting mu_settings[];
extern const uint32_t mu_setting_count;

/* "200ms", "5s", "2m". Errors: MU_EINVAL. */
int mu_duration_parse(const char *text, uint64_t *out_ns, struct mu_error *error);

#endif
