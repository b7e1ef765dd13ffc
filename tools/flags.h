#ifndef MU_TOOLS_FLAGS_H
#define MU_TOOLS_FLAGS_H
/*
 * Command-line flags from a declarative table, shared by all programs.
 *
 *     static const struct mu_flag flags[] = {
 *         {"port", MU_FLAG_U32, &port, "N", "TCP port, 0 for any free one", .max = 65535},
 *         {"json", MU_FLAG_BOOL, &json, NULL, "print one JSON object"},
 *     };
 *
 * Accepted: `--name value`, `--name=value`; a switch is `--name`, `--name=true` or `--name=false`.
 * A flag with a letter is also `-f value`, `-fvalue` or, a switch, `-f`. The last of several wins,
 * but a MU_FLAG_CALL may collect them. `--help` and `-h` are built in. One flag of the table may
 * stand for the operands, the words that no flag takes. Nothing is stored unless the whole command
 * line is right, so a failing parse leaves every target as it was.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "engine/base/error.h"

enum mu_flag_kind {
    MU_FLAG_BOOL,    /* bool * */
    MU_FLAG_U32,     /* uint32_t *, within [min, max] */
    MU_FLAG_U64,     /* uint64_t *, within [min, max] */
    MU_FLAG_TEXT,    /* const char **: points into argv; never empty */
    MU_FLAG_CHOICE,  /* uint32_t *: index into `choices` */
    MU_FLAG_CALL,    /* by `parse`, once for each time it is given */
    MU_FLAG_OPERANDS /* the words without dashes ("-" is one): by `parse`, in order; its name stands
                      * for them in messages and in the usage line */
};

/* Reads one value. With target NULL it only checks. Returns 0, or an error whose text says what is
 * wrong with the value ("'x' is not a fault; expected ..."): the flag's name is put before it. */
typedef int (*mu_flag_parse_fn)(void *target, const char *value, struct mu_error *error);

struct mu_flag {
    const char *name; /* without dashes */
    enum mu_flag_kind kind;
    void *target;
    const char *value; /* stands for the value in the help: "N"; NULL for switches */
    const char *help;
    uint64_t min, max;          /* numbers only; max 0: no upper bound of its own */
    const char *const *choices; /* MU_FLAG_CHOICE: ends with NULL */
    mu_flag_parse_fn parse;     /* MU_FLAG_CALL, MU_FLAG_OPERANDS */
    char letter;                /* its short form; 0: it has none */
};

#define MU_FLAGS_HELP 1 /* the line asks for help */

/* Parse argv[1..argc). Returns 0, MU_FLAGS_HELP, or MU_EINVAL with one line in *error that names
 * the flag and what was expected; targets are then unchanged. Texts point into argv. */
int mu_flags_parse(const struct mu_flag *flags, uint32_t count, int argc, char *const *argv,
                   struct mu_error *error);
/* Usage line, summary, every flag: in 80 columns, new lines of the texts kept. */
void mu_flags_help(FILE *out, const char *program, const char *summary, const struct mu_flag *flags,
                   uint32_t count);
/* What every program does first: parse; on help print it to stdout, on an error print
 * "program: text" to stderr. Returns -1 to go on, else the exit status (0 help, 2 wrong flags). */
int mu_flags_main(const char *program, const char *summary, const struct mu_flag *flags,
                  uint32_t count, int argc, char *const *argv);

#endif
