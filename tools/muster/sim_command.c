/*
 * muster sim: one workload under virtual time with the demo's report, or a range of seeds with
 * every invariant checked.
 */
#include "tools/muster/sim_command.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"
#include "engine/base/log.h"
#include "engine/base/plant.h"
#include "tools/muster/progress.h"
#include "tools/muster/result.h"
#include "tools/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int mu_sim_seeds_parse(void *target, const char *value, struct mu_error *error)
{
    struct mu_seed_range range = {.given = true};
    const char *dots = strstr(value, "..");
    struct mu_str first =
        dots == NULL ? mu_str_of(value) : (struct mu_str){value, (uint32_t)(dots - value)};
    struct mu_str last = dots == NULL ? first : mu_str_of(dots + 2);
    if (!mu_str_to_u64(first, &range.first) || !mu_str_to_u64(last, &range.last) ||
        range.first > range.last || range.last - range.first >= 1000000)
        return mu_error_set(error, MU_EINVAL,
                            "'%s' is no range of seeds; expected A..B with A <= B, at most 1000000",
                            value);
    if (target != NULL)
        *(struct mu_seed_range *)target = range;
    return 0;
}

/* ---- one workload ------------------------------------------------------------------------- */

static int each_object(void *context, enum mu_result_kind kind,
                       int (*fn)(void *into, struct mu_str raw), void *into)
{
    static const char *const plurals[MU_RESULT_KINDS] = {"namespaces", "nodes", "pods"};
    return mu_sim_each(context, plurals[kind], fn, into);
}

static void times_of(void *context, uint32_t i, uint64_t *created_ns, uint64_t *bound_ns)
{
    const struct mu_sim_times *times = mu_sim_times(context);
    *created_ns = times[i].created_ns;
    *bound_ns = times[i].bound_ns;
}

struct live {
    struct mu_progress progress;
    uint32_t total;
    uint64_t virtual_ns; /* as shown last */
    uint32_t bound;
};

static void show(void *context, uint64_t now_ns, uint32_t bound)
{
    struct live *live = context;
    char detail[64];
    const struct mu_clock *clock = mu_clock_real();
    live->virtual_ns = now_ns;
    live->bound = bound;
    (void)snprintf(detail, sizeof detail, "day %.1f of virtual time",
                   (double)now_ns / (double)MU_NS_PER_S / 86400.0);
    mu_progress_show(&live->progress, "binding pods", bound, live->total, detail,
                     clock->now_ns(clock));
}

static int report(struct mu_sim *sim, const struct mu_workload *workload,
                  const struct mu_sim_options *options, bool *clean, struct mu_error *error)
{
    struct mu_report_result result;
    struct mu_result_source source = {
        .context = sim, .each = each_object, .pod_count = workload->pod_count, .times = times_of};
    int rc = mu_result_compute(&source, &result, error);
    if (rc == 0)
        rc = mu_result_print(&result, options->json, error);
    if (rc == 0 && options->dump != NULL)
        rc = mu_result_dump(&source, options->dump, error);
    *clean = rc == 0 && mu_result_clean(&result);
    return rc;
}

static int run_workload(const struct mu_sim_options *options)
{
    struct mu_workload *workload = NULL;
    struct mu_error error = {0};
    struct mu_sim_result result;
    struct live live = {0};
    bool clean = false;
    int rc = mu_workload_from_flags(&options->workload, &workload, &error);
    if (rc == 0)
        rc = mu_result_dump_check(options->dump, &error);
    if (rc != 0) {
        (void)fprintf(stderr, "muster sim: %s\n", error.text);
        return 2;
    }
    struct mu_sim_config config = {.seed = options->workload.seed,
                                   .workload = workload,
                                   .profile = options->profile,
                                   .rest_ns = 600 * MU_NS_PER_S,
                                   .horizon_ns = UINT64_MAX / 2,
                                   .session_delay_ns = 5 * MU_NS_PER_MS};
    struct mu_sim *sim = mu_sim_create(&config);
    live.total = workload->pod_count;
    mu_progress_init(&live.progress);
    rc = sim == NULL ? mu_error_set(&error, MU_ENOMEM, "out of memory")
                     : mu_sim_run(sim, &result, show, &live, &error);
    if (rc == 0) {
        live.progress.last_ns = 0; /* the last state is shown in any case */
        show(&live, live.virtual_ns, live.bound);
    }
    mu_progress_end(&live.progress);
    if (rc == 0)
        rc = report(sim, workload, options, &clean, &error);
    if (rc != 0)
        (void)fprintf(stderr, "muster sim: %s\n", error.code != 0 ? error.text : mu_error_text(rc));
    mu_sim_destroy(sim);
    mu_workload_destroy(workload);
    return rc == 0 && clean ? 0 : 1;
}

/* ---- seeds -------------------------------------------------------------------------------- */

static void write_json_text(struct mu_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)mu_buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            (void)mu_buf_printf(out, "\\u%04x", c);
        else
            (void)mu_buf_append(out, &c, 1);
    }
}

static void write_violation(struct mu_buf *out, const struct mu_violation *v, uint64_t seed,
                            bool json)
{
    if (!json) {
        (void)mu_buf_printf(out, "seed %" PRIu64 " step %" PRIu64 ": %s: %s\n", seed, v->step,
                            v->invariant, v->what);
        return;
    }
    (void)mu_buf_printf(
        out, "%s{\"seed\":%" PRIu64 ",\"invariant\":\"%s\",\"step\":%" PRIu64 ",\"what\":\"",
        out->len == 0 ? "" : ",", seed, v->invariant, v->step);
    write_json_text(out, v->what);
    (void)mu_buf_append_text(out, "\"}");
}

/* What a range of seeds came to. */
struct seeds_sum {
    uint64_t steps, hash, violations;
    uint64_t kills, pauses, touches, roll_forwards, rollbacks, late_writes;
    uint64_t preemptions, victims, given_up;
    struct mu_buf text; /* of the violations */
};

static void add_result(struct seeds_sum *sum, const struct mu_sim_result *result)
{
    sum->steps += result->steps;
    sum->hash = mu_hash_mix(sum->hash, result->trace_hash);
    for (int step = 0; step < MU_KILL_STEPS; step++) {
        sum->kills += (uint64_t)result->kills[step][0] + result->kills[step][1];
        sum->pauses += (uint64_t)result->pauses[step][0] + result->pauses[step][1];
    }
    sum->touches += result->touches;
    sum->roll_forwards += result->roll_forwards;
    sum->rollbacks += result->rollbacks;
    sum->preemptions += result->preemptions;
    sum->victims += result->victims;
    sum->given_up += result->given_up;
    sum->late_writes += result->late_writes;
}

static int print_seeds(const struct seeds_sum *sum, uint64_t count, bool json,
                       struct mu_error *error)
{
    struct mu_str text = {(const char *)sum->text.data, (uint32_t)sum->text.len};
    if (sum->text.failed != 0)
        return mu_error_set(error, sum->text.failed, "violations: %s",
                            mu_error_text(sum->text.failed));
    int len;
    if (json)
        len = printf("{\"seeds\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"kills\":%" PRIu64
                     ",\"pauses\":%" PRIu64 ",\"touches\":%" PRIu64 ",\"roll_forwards\":%" PRIu64
                     ",\"rollbacks\":%" PRIu64 ",\"late_writes\":%" PRIu64
                     ",\"preemptions\":%" PRIu64 ",\"victims\":%" PRIu64 ",\"given_up\":%" PRIu64
                     ",\"violations\":[%.*s],\"trace_hash\":\"%016" PRIx64 "\"}\n",
                     count, sum->steps, sum->kills, sum->pauses, sum->touches, sum->roll_forwards,
                     sum->rollbacks, sum->late_writes, sum->preemptions, sum->victims,
                     sum->given_up, MU_STR_ARGS(text), sum->hash);
    else
        len = printf(
            "%.*s%" PRIu64 " kills, %" PRIu64 " pauses, %" PRIu64 " pods touched, %" PRIu64
            " roll-forwards, %" PRIu64 " rollbacks, %" PRIu64 " late writes\n%" PRIu64
            " preemptions with %" PRIu64 " victims, %" PRIu64 " given up\n%" PRIu64
            " seed%s, %" PRIu64 " steps, %" PRIu64 " violations, trace hash %016" PRIx64 "\n",
            MU_STR_ARGS(text), sum->kills, sum->pauses, sum->touches, sum->roll_forwards,
            sum->rollbacks, sum->late_writes, sum->preemptions, sum->victims, sum->given_up, count,
            count == 1 ? "" : "s", sum->steps, sum->violations, sum->hash);
    if (len < 0 || fflush(stdout) != 0)
        return mu_error_set(error, MU_EIO, "report: %s", mu_error_text(MU_EIO));
    return 0;
}

static int run_seeds(const struct mu_sim_options *options)
{
    struct mu_sim_small small = {.profile = options->profile};
    struct mu_error error = {0};
    struct mu_progress progress;
    struct seeds_sum sum = {0};
    const struct mu_clock *clock = mu_clock_real();
    uint64_t count = options->seeds.last - options->seeds.first + 1;
    int rc = mu_sim_faults_parse(options->faults, &small, &error);
    if (rc != 0) {
        (void)fprintf(stderr, "muster sim: --faults: %s\n", error.text);
        return 2;
    }
    mu_progress_init(&progress);
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        struct mu_sim_result result;
        uint64_t seed = options->seeds.first + i;
        rc = mu_sim_small_run(&small, seed, &result, &error);
        if (rc != 0)
            break;
        add_result(&sum, &result);
        for (uint32_t v = 0; v < result.violation_count && v < MU_SIM_VIOLATIONS_KEPT; v++) {
            write_violation(&sum.text, &result.violations[v], seed, options->json);
            sum.violations++;
        }
        if (i + 1 == count)
            progress.last_ns = 0; /* the last state is shown in any case */
        mu_progress_show(&progress, "seeds", (uint32_t)(i + 1), (uint32_t)count, "",
                         clock->now_ns(clock));
    }
    mu_progress_end(&progress);
    if (rc == 0)
        rc = print_seeds(&sum, count, options->json, &error);
    if (rc != 0)
        (void)fprintf(stderr, "muster sim: %s\n", error.text);
    mu_buf_fini(&sum.text);
    return rc == 0 && sum.violations == 0 ? 0 : 1;
}

#ifdef MU_PLANTS
static int list_plants(void)
{
    (void)printf("%-12s %-5s %s\n", "ID", "STEP", "WHAT IS WRONG");
    for (int i = MU_PLANT_NONE + 1; i < MU_PLANTS_END; i++) {
        const struct mu_plant_info *info = mu_plant_info((enum mu_plant)i);
        (void)printf("%-12s %-5s %s\n", info->id, info->step, info->what);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* Plant what is asked for, or list them. Returns -1 to go on, else the exit status. */
static int plant(const struct mu_sim_options *options)
{
    if (options->plant == NULL)
        return -1;
    if (strcmp(options->plant, "list") == 0)
        return list_plants();
    mu_planted = mu_plant_find(options->plant);
    if (mu_planted == MU_PLANT_NONE)
        (void)fprintf(stderr, "muster sim: --plant: there is no '%.64s'; list prints them\n",
                      options->plant);
    else if (!options->seeds.given)
        (void)fprintf(stderr, "muster sim: --plant goes with --seeds\n");
    else
        return -1;
    return 2;
}
#endif

int mu_sim_command_run(const struct mu_sim_options *options)
{
#ifdef MU_PLANTS
    int status = plant(options);
    if (status >= 0)
        return status;
#endif
    if (!options->seeds.given && options->faults != NULL) {
        (void)fprintf(stderr, "muster sim: --faults goes with --seeds\n");
        return 2;
    }
    bool workload = options->workload.openb_nodes != NULL || options->workload.openb_pods != NULL ||
                    options->workload.philly != NULL;
    if (options->seeds.given && (workload || options->dump != NULL)) {
        (void)fprintf(stderr, "muster sim: --seeds makes its own clusters: --openb-nodes, "
                              "--openb-pods, --philly and --dump do not go with it\n");
        return 2;
    }
    struct mu_log_config quiet = {.level = MU_LOG_ERROR};
    mu_log_configure(&quiet); /* what the scheduler would say of each pod is not the result */
    return options->seeds.given ? run_seeds(options) : run_workload(options);
}
