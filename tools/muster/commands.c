#include "tools/muster/commands.h"
#include "tools/flags.h"
#include "tools/muster/demo.h"
#include "tools/muster/offline.h"
#include "tools/muster/offline_commands.h"
#include "tools/muster/replay.h"
#include "tools/muster/sim_command.h"
#include "tools/musterd/options.h"

#include <stdio.h>

/* --profile may come before the file that defines it: looked up when all flags are read. */
struct profile_flags {
    const char *name, *config;
};

/* The whole of the file is read, as musterd would: what it refuses is refused here. Static, for the
 * profiles outlive the command. */
static struct mu_daemon_options daemon_options;

/* Returns -1 to go on, 2 with a line on stderr when something is wrong. */
static int choose_profile(const char *command, struct profile_flags *flags,
                          const struct mu_profile **out)
{
    struct mu_error error;
    const char *flag = "config";
    int rc = 0;
    *out = &mu_profile_default;
    if (flags->config != NULL)
        rc = mu_daemon_options_load(&daemon_options, flags->config, &error);
    if (rc == 0 && daemon_options.profile != NULL)
        *out = daemon_options.profile;
    if (rc == 0 && flags->name != NULL) {
        flag = "profile";
        rc = mu_profile_parse(&daemon_options.profiles, mu_str_of(flags->name), out, &error);
    }
    if (rc != 0)
        (void)fprintf(stderr, "%s: --%s: %s\n", command, flag, error.text);
    return rc == 0 ? -1 : 2;
}

/* Read the flags, then the profile that they name. Returns -1 to go on, else the exit status. */
static int read_command(const char *command, const char *about, const struct mu_flag *flags,
                        uint32_t flag_count, int argc, char **argv, struct profile_flags *profiles,
                        const struct mu_profile **out)
{
    int status = mu_flags_main(command, about, flags, flag_count, argc, argv);
    return status >= 0 ? status : choose_profile(command, profiles, out);
}

#define FLAG(name_, kind_, target_, value_, help_)                                                 \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .target = (target_), .value = (value_), .help = (help_)  \
    }
#define WORKLOAD_FLAGS(w)                                                                          \
    FLAG("openb-nodes", MU_FLAG_TEXT, &(w).openb_nodes, "FILE",                                    \
         "node list of the openb trace (CSV or .xz)"),                                             \
        FLAG("openb-pods", MU_FLAG_TEXT, &(w).openb_pods, "FILE",                                  \
             "pod list of the openb trace (CSV or .xz)"),                                          \
        FLAG("philly", MU_FLAG_TEXT, &(w).philly, "FILE",                                          \
             "training jobs of a Philly trace (CSV or .xz); nodes: --openb-nodes, or generated"),  \
        FLAG("seed", MU_FLAG_U64, &(w).seed, "N",                                                  \
             "seed of the generated pods, and of chance in a run")
#define PROFILE_FLAGS(p, config_help)                                                              \
    FLAG("profile", MU_FLAG_TEXT, &(p).name, "NAME",                                               \
         "how nodes are chosen: default, binpack, gpu-frag, spread, pack, or one of --config "     \
         "(default)"),                                                                             \
        FLAG("score", MU_FLAG_TEXT, &(p).name, "NAME", "the same as --profile"),                   \
        FLAG("config", MU_FLAG_TEXT, &(p).config, "FILE", config_help)
#define ONLY_PROFILES                                                                              \
    "a configuration of musterd, of which only its profiles and its choice of one are used"
#define OUTPUT_FLAGS(o)                                                                            \
    FLAG("json", MU_FLAG_BOOL, &(o).json, NULL, "print one JSON object"),                          \
        FLAG("dump", MU_FLAG_TEXT, &(o).dump, "FILE",                                              \
             "write the final nodes and pods as a v1 List")

int mu_command_demo(int argc, char **argv)
{
    struct profile_flags profiles = {.name = NULL};
    struct mu_demo_options o = {.workload = {.seed = MU_WORKLOAD_DEFAULT_SEED}};
    const struct mu_flag flags[] = {
        WORKLOAD_FLAGS(o.workload),
        PROFILE_FLAGS(profiles, "configuration of musterd"),
        OUTPUT_FLAGS(o),
        FLAG("keep", MU_FLAG_BOOL, &o.keep, NULL, "leave API server and scheduler running"),
        {.name = "replay",
         .kind = MU_FLAG_U32,
         .target = &o.replay,
         .value = "SPEED",
         .help = "create and end pods at their recorded times, SPEED times as fast",
         .min = 1,
         .max = MU_REPLAY_SPEED_MAX}};
    int status =
        read_command("muster demo",
                     "Start an embedded API server and the scheduler, bind a workload, report.\n"
                     "Without files: 1,523 nodes, single pods and training gangs of 2 to 64, from "
                     "a fixed seed.\n"
                     "Without --replay: all pods at once, and none ends.",
                     flags, sizeof flags / sizeof flags[0], argc, argv, &profiles, &o.profile);
    if (status >= 0)
        return status;
    o.config = profiles.config;
    return mu_demo_run(&o);
}

int mu_command_sim(int argc, char **argv)
{
    struct profile_flags profiles = {.name = NULL};
    struct mu_sim_options o = {.workload = {.seed = MU_WORKLOAD_DEFAULT_SEED}};
    const struct mu_flag flags[] = {
        WORKLOAD_FLAGS(o.workload),
        PROFILE_FLAGS(profiles, ONLY_PROFILES),
        OUTPUT_FLAGS(o),
        {.name = "seeds",
         .kind = MU_FLAG_CALL,
         .target = &o.seeds,
         .value = "A..B",
         .help = "check invariants on small random clusters, one a seed",
         .parse = mu_sim_seeds_parse},
        FLAG("faults", MU_FLAG_TEXT, &o.faults, "LIST",
             "with --seeds: drop, delay, duplicate, reorder, 410, 409, 429, lost-reply, late, cut, "
             "churn, kill, pause, wake, joined by commas; all or none (all)"),
#ifdef MU_PLANTS
        FLAG("plant", MU_FLAG_TEXT, &o.plant, "ID",
             "with --seeds: an unsound shortcut that they are to find; list prints them"),
#endif
    };
    int status = read_command(
        "muster sim",
        "Run scheduler and cluster in one process under virtual time: a workload with its "
        "recorded arrivals and durations, or (--seeds) small clusters with faults and every "
        "invariant checked.",
        flags, sizeof flags / sizeof flags[0], argc, argv, &profiles, &o.profile);
    if (status >= 0)
        return status;
    return mu_sim_command_run(&o);
}

#define OFFLINE_FLAGS(o)                                                                           \
    {.name = "file",                                                                               \
     .letter = 'f',                                                                                \
     .kind = MU_FLAG_CALL,                                                                         \
     .target = &(o),                                                                               \
     .value = "FILE",                                                                              \
     .help = "manifests in YAML or JSON (or .xz), - for standard input; may be repeated",          \
     .parse = mu_offline_file},                                                                    \
        {.name = "output",                                                                         \
         .letter = 'o',                                                                            \
         .kind = MU_FLAG_CHOICE,                                                                   \
         .target = &(o).output,                                                                    \
         .value = "table|json",                                                                    \
         .help = "form of the answer (table)",                                                     \
         .choices = mu_output_names},                                                              \
        PROFILE_FLAGS(profiles, ONLY_PROFILES)

int mu_command_place(int argc, char **argv)
{
    struct profile_flags profiles = {.name = NULL};
    struct mu_offline_options o = {.output = 0};
    const struct mu_flag flags[] = {OFFLINE_FLAGS(o),
                                    {.name = "[FILE...]",
                                     .kind = MU_FLAG_OPERANDS,
                                     .target = &o,
                                     .value = "FILE",
                                     .help = "more manifests",
                                     .parse = mu_offline_file}};
    int status = read_command(
        "muster place",
        "Where the pods of manifests would go, who would be evicted for them, and why the others "
        "would wait: sessions until nothing changes. No cluster is needed. Who is evicted is gone "
        "at once, and nobody creates it again.\n\n"
        "Manifests are YAML or JSON, written by hand or printed by kubectl: several documents, "
        "Lists, '-f -' for standard input. Nodes, pods, namespaces, priority classes, disruption "
        "budgets and PodGroups are read, with the defaults of an API server; other kinds are "
        "skipped with a line on standard error. A pod with a nodeName runs already. Pods arrive "
        "by creationTimestamp, then in the order of the input.\n\n"
        "Exit status: 0, also when pods wait; 2 when a flag or a manifest is wrong, which is one "
        "line each (file:line: Kind ns/name: field: problem); 1 when something else fails.\n\n"
        "  kubectl get nodes,pods,namespaces,priorityclasses,pdb -A -o yaml >now.yaml\n"
        "  muster place -f now.yaml -f new-job.yaml",
        flags, sizeof flags / sizeof flags[0], argc, argv, &profiles, &o.profile);
    return status >= 0 ? status : mu_place_command_run(&o);
}

int mu_command_explain(int argc, char **argv)
{
    struct profile_flags profiles = {.name = NULL};
    struct mu_offline_options o = {.output = 0};
    const struct mu_flag flags[] = {{.name = "NAMESPACE/NAME [FILE...]",
                                     .kind = MU_FLAG_OPERANDS,
                                     .target = &o,
                                     .value = "POD",
                                     .help = "the pod; then more manifests",
                                     .parse = mu_offline_pod},
                                    OFFLINE_FLAGS(o)};
    int status = read_command(
        "muster explain",
        "Which nodes could take a pod by itself, beside the pods that run, and what would have to "
        "change on the others. A pod that runs is looked at as if it were still to be placed. "
        "Manifests and exit status as for 'muster place'; 2 also when there is no such pod. The "
        "namespace is 'default' when only a NAME is given.\n\n"
        "The table tells each reason once, with the change that the nearest node needs; '-o json' "
        "tells every node and all of its changes. Scores are larger where better, and compare "
        "within one answer. Last comes who would have to be evicted for the pod, with its gang, "
        "to be placed, where there is no room without.\n\n"
        "  muster explain team-a/trainer-0 -f now.yaml -f new-job.yaml",
        flags, sizeof flags / sizeof flags[0], argc, argv, &profiles, &o.profile);
    return status >= 0 ? status : mu_explain_command_run(&o);
}

int mu_command_version(int argc, char **argv)
{
    int status = mu_flags_main("muster version", "Print the version.", NULL, 0, argc, argv);
    if (status < 0)
        (void)printf("muster %s\n", MU_VERSION);
    return status < 0 ? 0 : status;
}
