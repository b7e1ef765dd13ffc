/*
 * The cells of a pod. STATUS is the hardest of all: it is the phase, unless a reason says more:
 *
 *   the status' own reason; SchedulingGated; what the first init container that has not done its
 *   work is at ("Init:1/3", "Init:Error"); once those are done, what a container waits for or ended
 *   with, the first container's word being the last; and Terminating, for a pod that is being
 *   deleted, over all of it.
 *
 * RESTARTS counts those of the containers that READY counts, and says when the last one was.
 * Source: printPod of the real server.
 */
#include <inttypes.h>
#include <stdio.h>
#include "tools/kubesim/table_priv.h"

enum { SPEC_CONTAINERS = 2, SPEC_NODE = 10, SPEC_INIT_CONTAINERS = 20, SPEC_READINESS_GATES = 28 };
enum {
    STATUS_PHASE = 1,
    STATUS_CONDITIONS = 2,
    STATUS_REASON = 4,
    STATUS_POD_IP = 6,
    STATUS_CONTAINERS = 8,
    STATUS_INIT_CONTAINERS = 10,
    STATUS_NOMINATED = 11,
    STATUS_POD_IPS = 12
};
/* Of a container's status; of its state; of a terminated state. */
enum { NAME = 1, STATE = 2, LAST_STATE = 3, READY = 4, RESTARTS = 5, STARTED = 9 };
enum { WAITING = 1, RUNNING = 2, TERMINATED = 3 };
enum { EXIT_CODE = 1, SIGNAL = 2, TERMINATED_REASON = 3, FINISHED = 6 };

const struct mu_table_column mu_table_pod_columns[] = {{"Name", "string", false, NULL},
                                                       {"Ready", "string", false, NULL},
                                                       {"Status", "string", false, NULL},
                                                       {"Restarts", "string", false, NULL},
                                                       {"Age", "string", false, NULL},
                                                       {"IP", "string", true, NULL},
                                                       {"Node", "string", true, NULL},
                                                       {"Nominated Node", "string", true, NULL},
                                                       {"Readiness Gates", "string", true, NULL},
                                                       {NULL, NULL, false, NULL}};

/* What is gathered while going through the containers. */
struct tally {
    char reason[512];
    uint32_t total, ready;
    int64_t restarts, last_restart_s;
};

static void set_reason(struct tally *tally, const char *prefix, struct mu_str reason)
{
    (void)snprintf(tally->reason, sizeof tally->reason, "%s%.*s", prefix, MU_STR_ARGS(reason));
}

/* Why a container ended. */
static void set_ended(struct tally *tally, const char *prefix, struct mu_str terminated)
{
    struct mu_str reason = mu_table_part(terminated, TERMINATED_REASON);
    int64_t signal = mu_table_number(terminated, SIGNAL);
    if (reason.len > 0) {
        set_reason(tally, prefix, reason);
    } else {
        (void)snprintf(tally->reason, sizeof tally->reason, "%s%s:%d", prefix,
                       signal != 0 ? "Signal" : "ExitCode",
                       (int)(signal != 0 ? signal : mu_table_number(terminated, EXIT_CODE)));
    }
}

static void add_restarts(struct mu_str container, int64_t *restarts, int64_t *last_s)
{
    struct mu_str last = mu_table_part(mu_table_part(container, LAST_STATE), TERMINATED);
    int64_t finished_s = mu_table_number(mu_table_part(last, FINISHED), 1);
    *restarts += mu_table_number(container, RESTARTS);
    *last_s = finished_s > *last_s ? finished_s : *last_s;
}

/* A sidecar: an init container that is restarted always. */
static bool is_sidecar(struct mu_str container)
{
    enum { RESTART_POLICY = 24 };
    return mu_str_equal(mu_table_part(container, RESTART_POLICY), MU_STR("Always"));
}

static bool is_named_sidecar(struct mu_str spec, struct mu_str name)
{
    struct mu_str container;
    while (mu_table_next(&spec, SPEC_INIT_CONTAINERS, &container)) {
        if (mu_str_equal(mu_table_part(container, NAME), name)) {
            return is_sidecar(container);
        }
    }
    return false;
}

/* The condition of that type: its status and reason. */
static bool find_condition(struct mu_str status, struct mu_str type, struct mu_str *out)
{
    struct mu_str condition;
    while (mu_table_next(&status, STATUS_CONDITIONS, &condition)) {
        if (mu_str_equal(mu_table_part(condition, 1), type)) {
            *out = condition;
            return true;
        }
    }
    return false;
}

static bool is_true(struct mu_str status, struct mu_str type)
{
    struct mu_str condition = {NULL, 0};
    return find_condition(status, type, &condition) &&
           mu_str_equal(mu_table_part(condition, 2), MU_STR("True"));
}

/* Whether this init container is done with, or has started if it is a sidecar; if not, *tally has
 * the reason. */
static bool init_is_done(const struct mu_table_object *object, struct mu_str container,
                         uint32_t index, bool sidecar, struct tally *tally)
{
    struct mu_str state = mu_table_part(container, STATE);
    struct mu_str terminated = mu_table_part(state, TERMINATED);
    struct mu_str waits_for = mu_table_part(mu_table_part(state, WAITING), 1);
    bool ended = mu_table_has(state, TERMINATED);
    if (ended && mu_table_number(terminated, EXIT_CODE) == 0) {
        return true;
    }
    if (sidecar && mu_table_number(container, STARTED) != 0) {
        tally->ready += mu_table_number(container, READY) != 0;
        return true;
    }
    if (ended) {
        set_ended(tally, "Init:", terminated);
    } else if (waits_for.len > 0 && !mu_str_equal(waits_for, MU_STR("PodInitializing"))) {
        set_reason(tally, "Init:", waits_for);
    } else {
        (void)snprintf(tally->reason, sizeof tally->reason, "Init:%u/%u", index,
                       mu_table_count(object->spec, SPEC_INIT_CONTAINERS));
    }
    return false;
}

/* Returns whether the pod still initialises. *sidecars: their restarts alone. */
static bool walk_init(const struct mu_table_object *object, struct tally *tally,
                      struct tally *sidecars)
{
    struct mu_str rest = object->status;
    struct mu_str container;
    for (uint32_t i = 0; mu_table_next(&rest, STATUS_INIT_CONTAINERS, &container); i++) {
        bool sidecar = is_named_sidecar(object->spec, mu_table_part(container, NAME));
        add_restarts(container, &tally->restarts, &tally->last_restart_s);
        if (sidecar) {
            add_restarts(container, &sidecars->restarts, &sidecars->last_restart_s);
        }
        if (!init_is_done(object, container, i, sidecar, tally)) {
            return true;
        }
    }
    return false;
}

static void walk_containers(const struct mu_table_object *object, struct tally *tally)
{
    bool running = false;
    bool decided = false; /* the first container with a reason has the last word */
    struct mu_str rest = object->status;
    struct mu_str container;
    while (mu_table_next(&rest, STATUS_CONTAINERS, &container)) {
        struct mu_str state = mu_table_part(container, STATE);
        struct mu_str waits_for = mu_table_part(mu_table_part(state, WAITING), 1);
        add_restarts(container, &tally->restarts, &tally->last_restart_s);
        if (waits_for.len > 0 || mu_table_has(state, TERMINATED)) {
            if (!decided && waits_for.len > 0) {
                set_reason(tally, "", waits_for);
            } else if (!decided) {
                set_ended(tally, "", mu_table_part(state, TERMINATED));
            }
            decided = true;
        } else if (mu_table_number(container, READY) != 0 && mu_table_has(state, RUNNING)) {
            running = true;
            tally->ready++;
        }
    }
    if (running && strcmp(tally->reason, "Completed") == 0) {
        bool ready = is_true(object->status, MU_STR("Ready"));
        set_reason(tally, "", ready ? MU_STR("Running") : MU_STR("NotReady"));
    }
}

static void tally_pod(const struct mu_table_object *object, struct tally *tally)
{
    struct mu_str phase = mu_table_part(object->status, STATUS_PHASE);
    struct mu_str reason = mu_table_part(object->status, STATUS_REASON);
    struct mu_str scheduled = {NULL, 0};
    set_reason(tally, "", reason.len > 0 ? reason : phase);
    if (find_condition(object->status, MU_STR("PodScheduled"), &scheduled) &&
        mu_str_equal(mu_table_part(scheduled, 5), MU_STR("SchedulingGated"))) {
        set_reason(tally, "", MU_STR("SchedulingGated"));
    }
    tally->total = mu_table_count(object->spec, SPEC_CONTAINERS);
    struct mu_str rest = object->spec;
    struct mu_str container;
    while (mu_table_next(&rest, SPEC_INIT_CONTAINERS, &container)) {
        tally->total += is_sidecar(container);
    }
    struct tally sidecars = {.reason = ""};
    if (!walk_init(object, tally, &sidecars) || is_true(object->status, MU_STR("Initialized"))) {
        tally->restarts = sidecars.restarts;
        tally->last_restart_s = sidecars.last_restart_s;
        walk_containers(object, tally);
    }
    bool ended = mu_str_equal(phase, MU_STR("Succeeded")) || mu_str_equal(phase, MU_STR("Failed"));
    if (mu_table_has(object->meta, META_DELETED)) {
        if (mu_str_equal(reason, MU_STR("NodeLost"))) {
            set_reason(tally, "", MU_STR("Unknown"));
        } else if (!ended) {
            set_reason(tally, "", MU_STR("Terminating"));
        }
    }
}

/* How many of the readiness gates are open. */
static void gates_cell(const struct mu_table_object *object, struct mu_buf *out)
{
    uint32_t gates = 0;
    uint32_t open = 0;
    struct mu_str rest = object->spec;
    struct mu_str gate;
    while (mu_table_next(&rest, SPEC_READINESS_GATES, &gate)) {
        gates++;
        open += is_true(object->status, mu_table_part(gate, 1));
    }
    if (gates == 0) {
        mu_table_text(out, MU_STR("<none>"));
    } else {
        (void)mu_buf_printf(out, "\"%u/%u\",", open, gates);
    }
}

void mu_table_pod_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    struct tally tally = {.reason = ""};
    tally_pod(object, &tally);
    mu_table_name(out, object);
    (void)mu_buf_printf(out, "\"%u/%u\",", tally.ready, tally.total);
    mu_table_text(out, mu_str_of(tally.reason));
    (void)mu_buf_printf(out, "\"%" PRId64, tally.restarts);
    if (tally.restarts != 0 && tally.last_restart_s != 0) {
        (void)mu_buf_append_text(out, " (");
        mu_table_duration(object->now_s - tally.last_restart_s, out);
        (void)mu_buf_append_text(out, " ago)");
    }
    (void)mu_buf_append_text(out, "\",");
    mu_table_created(out, object);
    struct mu_str ip = {NULL, 0};
    struct mu_str rest = object->status;
    struct mu_str first;
    if (mu_table_next(&rest, STATUS_POD_IPS, &first)) {
        ip = mu_table_part(first, 1);
    }
    mu_table_text_or(out, ip.len > 0 ? ip : mu_table_part(object->status, STATUS_POD_IP), "<none>");
    mu_table_text_or(out, mu_table_part(object->spec, SPEC_NODE), "<none>");
    mu_table_text_or(out, mu_table_part(object->status, STATUS_NOMINATED), "<none>");
    gates_cell(object, out);
}
