/*
 * Settings are rows of one table: the key of the YAML file, the flag of the same meaning, how its
 * text is read, and what it changes. Defaults come first, then the file, then flags, each through
 * the same reader, so that a key and its flag cannot drift apart.
 */
#include "tools/musterd/options.h"
#include "engine/base/clock.h"
#include "informer/limits.h"
#include "informer/server_url.h"
#include "tools/flags.h"
#include "tools/musterd/options_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_server(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    struct mu_server_url url;
    int rc = mu_server_url_parse(mu_str_of(value), &url, error);
    if (rc != 0)
        return rc;
    if (url.tls)
        return mu_error_set(error, MU_EINVAL,
                            "'%s': https:// needs a kubeconfig, expected --kubeconfig FILE", value);
    if (url.path.len > 0)
        return mu_error_set(error, MU_EINVAL, "'%s': expected http://HOST:PORT", value);
    if (o != NULL) {
        memcpy(o->host, url.host, sizeof url.host);
        o->port = url.port;
    }
    return 0;
}

/* Text for a fixed field: not empty, no control characters. */
static int read_text(char *out, size_t bytes, const char *value, const char *what,
                     struct mu_error *error)
{
    size_t len = strlen(value);
    bool clean = true;
    for (const char *at = value; *at != '\0'; at++)
        clean = clean && (unsigned char)*at >= 0x20 && *at != 0x7f;
    if (!clean || len == 0 || len >= bytes)
        return mu_error_set(error, MU_EINVAL, "'%.64s': expected %s of 1 to %zu bytes", value, what,
                            bytes - 1);
    if (out != NULL)
        memcpy(out, value, len + 1);
    return 0;
}

static int read_kubeconfig(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    return read_text(o != NULL ? o->kubeconfig : NULL, sizeof o->kubeconfig, value, "a file",
                     error);
}

static int read_context(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    return read_text(o != NULL ? o->context : NULL, sizeof o->context, value, "a name", error);
}

static int read_scheduler_names(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t count = 0;
    bool clean = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-.,") == strlen(value);
    for (const char *at = value; at != NULL; count++) {
        size_t len = strcspn(at, ",");
        if (!clean || len == 0 || len > MU_NAME_BYTES_MAX || count == MU_SCHEDULER_NAMES_MAX)
            return mu_error_set(
                error, MU_EINVAL,
                "'%s': expected 1 to %u names of 1 to %u of a-z 0-9 - . joined by commas", value,
                MU_SCHEDULER_NAMES_MAX, MU_NAME_BYTES_MAX);
        if (o != NULL) {
            memcpy(o->scheduler_names[count], at, len);
            o->scheduler_names[count][len] = '\0';
        }
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    if (o != NULL)
        o->scheduler_name_count = count;
    return 0;
}

static int read_profile(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    const struct mu_profile *profile = NULL;
    bool could_be =
        value[0] != '\0' && strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(value);
    if ((o == NULL || o->profiles_unknown) && could_be)
        return 0; /* perhaps one of the file's: judged when it is stored */
    if (o == NULL)
        return mu_profile_parse(NULL, mu_str_of(value), &profile, error);
    int rc = mu_profile_parse(&o->profiles, mu_str_of(value), &profile, error);
    if (rc == 0)
        o->profile = profile;
    return rc;
}

int mu_duration_parse(const char *text, uint64_t *out_ns, struct mu_error *error)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ms", MU_NS_PER_MS},
                 {"s", MU_NS_PER_S},
                 {"m", 60 * MU_NS_PER_S},
                 {"h", 3600 * MU_NS_PER_S}};
    size_t digits = strspn(text, "0123456789");
    uint64_t count = 0;
    bool number = mu_str_to_u64((struct mu_str){text, (uint32_t)digits}, &count);
    for (size_t i = 0; number && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        if (count > 24 * 3600 * MU_NS_PER_S / units[i].ns)
            break;
        *out_ns = count * units[i].ns;
        return 0;
    }
    return mu_error_set(error, MU_EINVAL,
                        "'%s': expected a duration up to 24 h, such as 200ms, 5s, 2m or 1h", text);
}

#define DURATION_READER(name, field)                                                               \
    static int name(void *target, const char *value, struct mu_error *error)                       \
    {                                                                                              \
        uint64_t ns = 0;                                                                           \
        int rc = mu_duration_parse(value, &ns, error);                                             \
        if (rc == 0 && ns == 0)                                                                    \
            rc = mu_error_set(error, MU_EINVAL, "'%s': expected more than 0", value);              \
        if (rc == 0 && target != NULL)                                                             \
            ((struct mu_daemon_options *)target)->field = ns;                                      \
        return rc;                                                                                 \
    }
DURATION_READER(read_quiet, quiet_ns)
DURATION_READER(read_batch, batch_window_ns)
DURATION_READER(read_hold, hold_ns)
DURATION_READER(read_gang_deadline, gang_deadline_ns)
DURATION_READER(read_connect, connect_wait_ns)
DURATION_READER(read_drain, drain_ns)
DURATION_READER(read_eviction_interval, eviction_interval_ns)

static int read_count(const char *value, uint32_t min, uint32_t max, uint32_t *out,
                      struct mu_error *error)
{
    uint64_t count;
    if (!mu_str_to_u64(mu_str_of(value), &count) || count < min || count > max)
        return mu_error_set(error, MU_EINVAL, "'%s': expected a whole number from %u to %u", value,
                            min, max);
    *out = (uint32_t)count;
    return 0;
}

static int read_in_flight(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t ignored;
    return read_count(value, 1, 10000, o != NULL ? &o->binds_in_flight : &ignored, error);
}

static int read_connections(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t ignored;
    return read_count(value, 1, 64, o != NULL ? &o->connections : &ignored, error);
}

static int read_report_rate(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t ignored;
    return read_count(value, 0, MU_REPORT_RATE_MAX, o != NULL ? &o->report_rate : &ignored, error);
}

/* A name of the server's objects, or of a namespace, as far as it matters here. */
static bool is_name(const char *text, size_t len, size_t max)
{
    static const char ends[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    return len > 0 && len <= max && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") >= len &&
           strchr(ends, text[0]) != NULL && strchr(ends, text[len - 1]) != NULL;
}

static int read_journal(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    const char *slash = strchr(value, '/');
    bool memory = strcmp(value, "memory") == 0;
    if (!memory && (slash == NULL || !is_name(value, (size_t)(slash - value), 63) ||
                    !is_name(slash + 1, strlen(slash + 1), MU_JOURNAL_NAME_MAX)))
        return mu_error_set(error, MU_EINVAL,
                            "'%.80s': expected NAMESPACE/NAME, the name of at most %u bytes of "
                            "a-z 0-9 - ., or memory",
                            value, MU_JOURNAL_NAME_MAX);
    if (o == NULL)
        return 0;
    o->journal_memory = memory;
    o->journal_ns[0] = o->journal_name[0] = '\0';
    if (memory)
        return 0;
    (void)snprintf(o->journal_ns, sizeof o->journal_ns, "%.*s", (int)(slash - value), value);
    (void)snprintf(o->journal_name, sizeof o->journal_name, "%s", slash + 1);
    return 0;
}

static int read_journal_rate(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t ignored;
    return read_count(value, 10000, 100000000, o != NULL ? &o->journal_rate : &ignored, error);
}

static int read_order(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    bool strict = strcmp(value, "strict") == 0;
    if (!strict && strcmp(value, "free") != 0)
        return mu_error_set(error, MU_EINVAL, "'%s': expected free or strict", value);
    if (o != NULL)
        o->strict = strict;
    return 0;
}

/* 0s is one of its values. */
static int read_reserve_after(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint64_t ns = 0;
    int rc = mu_duration_parse(value, &ns, error);
    if (rc == 0 && o != NULL)
        o->reserve_after_ns = ns;
    return rc;
}

static int read_short_gang(void *target, const char *value, struct mu_error *error)
{
    static const char *const words[] = {
        [MU_SHORT_COMPLETE] = "complete", [MU_SHORT_END] = "end", [MU_SHORT_KEEP] = "keep"};
    struct mu_daemon_options *o = target;
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(value, words[i]) != 0)
            continue;
        if (o != NULL)
            o->short_gangs = (enum mu_short_policy)i;
        return 0;
    }
    return mu_error_set(error, MU_EINVAL, "'%s': expected complete, end or keep", value);
}

static int read_preempts(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    bool yes = strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0)
        return mu_error_set(error, MU_EINVAL, "'%s': expected true or false", value);
    if (o != NULL)
        o->preempts = yes;
    return 0;
}

/* 0s is one of its values, too. */
static int read_min_run(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint64_t ns = 0;
    int rc = mu_duration_parse(value, &ns, error);
    if (rc == 0 && o != NULL)
        o->min_run_ns = ns;
    return rc;
}

static int read_evictions(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    uint32_t ignored;
    return read_count(value, 0, 1000000, o != NULL ? &o->evictions_per_interval : &ignored, error);
}

static int read_log_level(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    enum mu_log_level level;
    if (mu_log_level_parse(mu_str_of(value), &level) != 0)
        return mu_error_set(error, MU_EINVAL, "'%s': expected debug, info, warn or error", value);
    if (o != NULL)
        o->log_level = level;
    return 0;
}

static int read_log_format(void *target, const char *value, struct mu_error *error)
{
    struct mu_daemon_options *o = target;
    bool json = strcmp(value, "json") == 0;
    if (!json && strcmp(value, "logfmt") != 0)
        return mu_error_set(error, MU_EINVAL, "'%s': expected logfmt or json", value);
    if (o != NULL)
        o->log_format = json ? MU_LOG_JSON : MU_LOG_LOGFMT;
    return 0;
}

const struct mu_setting mu_settings[] = {
    {NULL, "kubeconfig", "kubeconfig", "FILE",
     "API server and credentials ($KUBECONFIG, then those of the pod that it runs in)",
     read_kubeconfig},
    {NULL, "context", "context", "NAME", "of the kubeconfig (its current one)", read_context},
    {NULL, "server", "server", "URL", "instead: an API server in cleartext, http://HOST:PORT",
     read_server},
    {NULL, "schedulerNames", "scheduler-name", "NAME[,NAME]",
     "pods of these schedulerNames are ours (muster)", read_scheduler_names},
    {NULL, "profile", "profile", "NAME",
     "how the best node is chosen: default, binpack, gpu-frag, spread, pack, or the file's "
     "(default)",
     read_profile},
    {NULL, "score", "score", "NAME", "the same as --profile", read_profile},
    {NULL, "quietTime", "quiet-time", "TIME",
     "a gang without a stated size is complete when no member arrived for so long (1s)",
     read_quiet},
    {NULL, "batchWindow", "batch-window", "TIME", "from the first change to the session (2ms)",
     read_batch},
    {NULL, "holdTime", "hold-time", "TIME", "room kept for a refused member of a placed gang (30s)",
     read_hold},
    {NULL, "order", "order", "ORDER",
     "free: a gang without room lets those behind it go ahead; strict: it blocks them (free)",
     read_order},
    {NULL, "reserveAfter", "reserve-after", "TIME",
     "nodes are kept for a gang that has waited so long for room, 0s for never (0s)",
     read_reserve_after},
    {NULL, "gangDeadline", "gang-deadline", "TIME",
     "given to a gang that runs in part to be completed (5m)", read_gang_deadline},
    {NULL, "shortGang", "short-gang", "POLICY",
     "what becomes of it then. complete: what a controller recreates is deleted; end: the same, "
     "and at once where the gang has been whole; keep: nothing (complete)",
     read_short_gang},
    {"preemption", "enabled", "preemption", "BOOL",
     "true: pods of lower priority leave where a gang finds no room; false: nobody does (true)",
     read_preempts},
    {"preemption", "minRunTime", "preemption-min-run-time", "TIME",
     "no pod leaves before it has run for so long, 0s for any (0s)", read_min_run},
    {"preemption", "evictionsPerInterval", "preemption-evictions", "N",
     "pods that are made to leave in one interval, 0 for any number (0)", read_evictions},
    {"preemption", "interval", "preemption-interval", "TIME", "the interval (1m)",
     read_eviction_interval},
    {NULL, "connectTimeout", "connect-timeout", "TIME", "give up without a first list after (30s)",
     read_connect},
    {NULL, "drainTimeout", "drain-timeout", "TIME",
     "binds in flight may take so long at the end (10s)", read_drain},
    {NULL, "bindsInFlight", "binds-in-flight", "N", "binds under way at once (256)",
     read_in_flight},
    {NULL, "connections", "connections", "N", "HTTP/2 connections (4)", read_connections},
    {NULL, "reportRate", "report-rate", "N",
     "conditions and events written to pods a second, 0 for none (100)", read_report_rate},
    {NULL, "journal", "journal", "NS/NAME",
     "ConfigMaps NAME-0 to NAME-63 that keep what is under way, or memory: a restart forgets it "
     "(kube-system/SCHEDULER-journal)",
     read_journal},
    {NULL, "journalRate", "journal-rate", "BYTES", "written to them a second (1000000)",
     read_journal_rate},
    {NULL, "logLevel", "log-level", "LEVEL", "debug, info, warn or error (info)", read_log_level},
    {NULL, "logFormat", "log-format", "FORMAT", "logfmt or json (logfmt)", read_log_format},
};
const uint32_t mu_setting_count = sizeof mu_settings / sizeof mu_settings[0];

static void set_defaults(struct mu_daemon_options *o)
{
    *o = (struct mu_daemon_options){.scheduler_names = {"muster"},
                                    .scheduler_name_count = 1,
                                    .profile = &mu_profile_default,
                                    .quiet_ns = MU_NS_PER_S,
                                    .batch_window_ns = 2 * MU_NS_PER_MS,
                                    .hold_ns = 30 * MU_NS_PER_S,
                                    .gang_deadline_ns = 300 * MU_NS_PER_S,
                                    .preempts = true,
                                    .eviction_interval_ns = 60 * MU_NS_PER_S,
                                    .connect_wait_ns = 30 * MU_NS_PER_S,
                                    .drain_ns = 10 * MU_NS_PER_S,
                                    .binds_in_flight = 256,
                                    .connections = 4,
                                    .report_rate = 100,
                                    .journal_rate = 1000000,
                                    .log_level = MU_LOG_INFO,
                                    .log_format = MU_LOG_LOGFMT};
}

static bool env_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0';
}

/* What contradicts itself, or is missing; NULL: nothing. */
static const char *conflict(const struct mu_daemon_options *o)
{
    bool server = o->host[0] != '\0', kubeconfig = o->kubeconfig[0] != '\0';
    bool env = env_set("KUBECONFIG"), pod = env_set("KUBERNETES_SERVICE_HOST");
    if (server && kubeconfig)
        return "a server and a kubeconfig are given; expected one of --server and --kubeconfig";
    if (o->context[0] != '\0' && (server || (!kubeconfig && !env)))
        return "a context is given without a kubeconfig; expected --kubeconfig FILE";
    if (!server && !kubeconfig && !env && !pod)
        return "no API server given; expected --kubeconfig FILE or --server http://HOST:PORT "
               "($KUBECONFIG is not set, and this is no pod)";
    return NULL;
}

int mu_daemon_options_server(const struct mu_daemon_options *o, struct mu_kubeconfig **out,
                             struct mu_error *error)
{
    const char *context = o->context[0] != '\0' ? o->context : NULL;
    if (o->kubeconfig[0] != '\0')
        return mu_kubeconfig_load(o->kubeconfig, context, out, error);
    if (o->host[0] != '\0')
        return mu_kubeconfig_cleartext(o->host, o->port, out) == 0
                   ? 0
                   : mu_error_set(error, MU_ENOMEM, "out of memory");
    if (env_set("KUBECONFIG"))
        return mu_kubeconfig_load_list(getenv("KUBECONFIG"), context, out, error);
    return mu_kubeconfig_in_cluster(NULL, out, error);
}

/* Two passes over the command line: the first finds --config, the second overrides the file. */
int mu_daemon_options_read(struct mu_daemon_options *o, int argc, char *const *argv)
{
    const char *config = NULL;
    bool version = false;
    struct mu_daemon_options ignored;
    struct mu_flag flags[32] = {
        {.name = "config",
         .kind = MU_FLAG_TEXT,
         .target = &config,
         .value = "FILE",
         .help = "YAML file with the settings below, in camelCase"},
        {.name = "version", .kind = MU_FLAG_BOOL, .target = &version, .help = "print the version"}};
    uint32_t count = 2;
    _Static_assert(sizeof mu_settings / sizeof mu_settings[0] + 2 <= 32, "all settings have flags");
    for (uint32_t i = 0; i < mu_setting_count; i++)
        flags[count++] = (struct mu_flag){.name = mu_settings[i].flag,
                                          .kind = MU_FLAG_CALL,
                                          .target = &ignored,
                                          .value = mu_settings[i].value,
                                          .help = mu_settings[i].help,
                                          .parse = mu_settings[i].read};
    set_defaults(&ignored);
    ignored.profiles_unknown = true;
    set_defaults(o);
    int status = mu_flags_main("musterd", "The scheduler daemon: places gangs on a cluster.", flags,
                               count, argc, argv);
    if (status >= 0)
        return status;
    if (version) {
        (void)printf("musterd %s\n", MU_VERSION);
        return 0;
    }
    struct mu_error error;
    if (config != NULL && mu_daemon_options_load(o, config, &error) != 0) {
        (void)fprintf(stderr, "musterd: %s\n", error.text);
        return 2;
    }
    for (uint32_t i = 2; i < count; i++)
        flags[i].target = o;
    status = mu_flags_main("musterd", "", flags, count, argc, argv);
    if (status >= 0)
        return status;
    const char *wrong = conflict(o);
    if (wrong != NULL) {
        (void)fprintf(stderr, "musterd: %s\n", wrong);
        return 2;
    }
    return -1;
}
