#include "engine/base/error.h"

#include <stdarg.h>
#include <stdio.h>

int mu_error_set(struct mu_error *e, int code, const char *format, ...)
{
    if (e != NULL) {
        va_list args;
        va_start(args, format);
        e->code = code;
        (void)vsnprintf(e->text, sizeof e->text, format, args);
        for (char *at = e->text; *at != '\0'; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f)
                *at = '?'; /* input is quoted in it: no control byte may reach a terminal */
        va_end(args);
    }
    return code;
}

const char *mu_error_name(int code)
{
    switch (code) {
#define MU_ERROR_CASE(name, value, text)                                                           \
    case name:                                                                                     \
        return #name;
        MU_ERROR_LIST(MU_ERROR_CASE)
#undef MU_ERROR_CASE
    default:
        return "error";
    }
}

const char *mu_error_text(int code)
{
    switch (code) {
#define MU_ERROR_CASE(name, value, text)                                                           \
    case name:                                                                                     \
        return text;
        MU_ERROR_LIST(MU_ERROR_CASE)
#undef MU_ERROR_CASE
    default:
        return "unknown error";
    }
}
