#ifndef MU_TOOLS_KUBESIM_QUERY_H
#define MU_TOOLS_KUBESIM_QUERY_H
/* Percent-encoding, and the parameters of a query string. */
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/base/str.h"

#define MU_QUERY_PARAMS 32

struct mu_query {
    uint32_t count;
    struct {
        struct mu_str name, value;
    } params[MU_QUERY_PARAMS];
};

/* Undo %XX (and '+' for a space when `plus`); the result lives in the arena. Errors: MU_EINVAL
 * (malformed escape, NUL), MU_ENOMEM. */
int mu_percent_decode(struct mu_str text, bool plus, struct mu_arena *arena, struct mu_str *out);
/* Split "a=b&c=d". Errors: MU_EINVAL, MU_ELIMIT, MU_ENOMEM with text. */
int mu_query_parse(struct mu_str text, struct mu_arena *arena, struct mu_query *out,
                   struct mu_error *error);
/* First value of that name; data is NULL when the parameter is absent. */
struct mu_str mu_query_get(const struct mu_query *query, const char *name);
/* "true" and "1" are true, "false", "0", "" and absence are not. False for anything else. */
bool mu_query_bool(const struct mu_query *query, const char *name, bool *out);

#endif
