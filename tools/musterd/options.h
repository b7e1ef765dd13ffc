#ifndef MU_TOOLS_MUSTERD_OPTIONS_H
#define MU_TOOLS_MUSTERD_OPTIONS_H
/* What musterd can be told: by flags, and by a YAML file whose keys flags override. */
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/session/session.h"
#include "informer/kubeconfig.h"
#include "informer/server_url.h"

#define MU_SCHEDULER_NAMES_MAX 16u
#define MU_PATH_BYTES_MAX      4095u
#define MU_JOURNAL_NAME_MAX    200u /* leaves room for the number of a slot */

struct mu_daemon_options {
    char host[MU_HOST_BYTES_MAX + 1]; /* of --server, without brackets; empty: not given */
    uint16_t port;
    char kubeconfig[MU_PATH_BYTES_MAX + 1]; /* empty: not given */
    char context[MU_NAME_BYTES_MAX + 1];    /* of the kubeconfig; empty: its current one */
    char scheduler_names[MU_SCHEDULER_NAMES_MAX][MU_NAME_BYTES_MAX + 1];
    uint32_t scheduler_name_count;
    const struct mu_profile *profile; /* a built-in one, or one of those below */
    struct mu_profile_set profiles;   /* of the file */
    bool profiles_unknown;            /* the file has not been read: any name may be one of its */
    uint64_t quiet_ns;
    uint64_t batch_window_ns;
    uint64_t hold_ns;
    uint64_t gang_deadline_ns; /* of a gang that is bound in part */
    enum mu_short_policy short_gangs;
    bool strict;               /* a gang without room blocks those behind it */
    uint64_t reserve_after_ns; /* nodes are kept for a gang that has waited so long; 0: never */
    bool preempts;             /* pods of lower priority are evicted where there is no room */
    uint64_t min_run_ns;       /* a pod that has run for less is no victim */
    uint32_t evictions_per_interval; /* 0: any number */
    uint64_t eviction_interval_ns;
    uint64_t connect_wait_ns; /* how long the first list may take before the daemon gives up */
    uint64_t drain_ns;
    uint32_t binds_in_flight;
    uint32_t connections;
    uint32_t report_rate; /* conditions and events a second; 0: none */
    /* Where the journal is kept; both empty: kube-system and the first scheduler's name with
     * "-journal" behind it. */
    char journal_ns[MU_NAME_BYTES_MAX + 1], journal_name[MU_JOURNAL_NAME_MAX + 1];
    bool journal_memory;   /* nowhere: a restart forgets what was under way */
    uint32_t journal_rate; /* bytes a second */
    enum mu_log_level log_level;
    enum mu_log_format log_format;
};

/* Defaults, then the file of --config, then flags. Returns -1 to go on, else the exit status
 * (0 after --help or --version; 2, with one line on stderr, when something is wrong). */
int mu_daemon_options_read(struct mu_daemon_options *options, int argc, char *const *argv);

/* Apply a YAML file. Errors: MU_EINVAL naming file, line, key and what was expected; *o may have
 * been changed in part (the caller gives up). */
int mu_daemon_options_load(struct mu_daemon_options *o, const char *path, struct mu_error *error);

/* Where the API server is, in this order: the kubeconfig given, the server given, the kubeconfigs
 * of $KUBECONFIG, the pod that we run in. Errors, in words: those of informer/kubeconfig.h. */
int mu_daemon_options_server(const struct mu_daemon_options *options, struct mu_kubeconfig **out,
                             struct mu_error *error);

#endif
