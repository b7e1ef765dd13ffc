/* muster: the command line. */
#include <stdio.h>
#include <string.h>
#include "tools/muster/child.h"
#include "tools/muster/commands.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not for people, and not listed */
};

static int help(int argc, char **argv);

static const struct command commands[] = {
    {"demo", mu_command_demo, "run a scheduler against an embedded API server and report"},
    {"sim", mu_command_sim, "run the same under virtual time, or check seeds of small clusters"},
    {"place", mu_command_place, "where the pods of manifests would go, without a cluster"},
    {"explain", mu_command_explain, "why a pod of manifests fits or does not fit each node"},
    {"version", mu_command_version, "print the version"},
    {"help", help, "print this"},
    {MU_CHILD_TETHER, mu_child_tether, NULL},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* The flags of one command, or all commands. */
static int help(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < COMMAND_COUNT; i++) {
        char *args[] = {argv[1], (char[]){"--help"}, NULL};
        if (commands[i].help != NULL && commands[i].run != help &&
            strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(2, args);
    }
    if (argc > 1) {
        (void)fprintf(stderr, "muster help: '%s' is not a command with help of its own\n", argv[1]);
        return 2;
    }
    (void)printf("usage: muster COMMAND [flags]\n\nGang scheduler for very large Kubernetes "
                 "clusters.\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].help != NULL)
            (void)printf("  %-10s %s\n", commands[i].name, commands[i].help);
    (void)printf("\n'muster COMMAND --help' lists a command's flags.\n");
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (*name == '\0')
        (void)fprintf(stderr, "muster: no command given; expected one of");
    else
        (void)fprintf(stderr, "muster: '%s' is not a command; expected one of", name);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].help != NULL)
            (void)fprintf(stderr, " %s", commands[i].name);
    (void)fputc('\n', stderr);
    return 2;
}
