#include "tools/kubesim/shown.h"

#include <stdio.h>
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tools/kubesim/discovery.h"
#include "tools/kubesim/wire.h"

/* Field numbers of core/v1 that are read or written here. */
enum { OBJECT_META = 1, OBJECT_SPEC = 2, OBJECT_STATUS = 3 };
enum { META_NAME = 1, META_UID = 5, META_CREATED = 8 };
enum {
    SPEC_CONTAINERS = 2,
    SPEC_DNS_POLICY = 6,
    SPEC_ACCOUNT_NAME = 8,
    SPEC_ACCOUNT = 9,
    SPEC_NODE = 10,
    SPEC_HOST_NETWORK = 11,
    SPEC_SECURITY = 14,
    SPEC_INIT_CONTAINERS = 20,
    SPEC_TOLERATIONS = 22,
    SPEC_SERVICE_LINKS = 30
};
enum {
    CONTAINER_NAME = 1,
    CONTAINER_IMAGE = 2,
    CONTAINER_RESOURCES = 8,
    CONTAINER_MESSAGE_PATH = 13,
    CONTAINER_PULL_POLICY = 14,
    CONTAINER_MESSAGE_POLICY = 20,
    CONTAINER_RESTART = 24
};
enum { TOLERATION_KEY = 1, TOLERATION_OPERATOR = 2, TOLERATION_EFFECT = 4, TOLERATION_SECONDS = 5 };
enum {
    STATUS_PHASE = 1,
    STATUS_CONDITIONS = 2,
    STATUS_HOST_IP = 5,
    STATUS_POD_IP = 6,
    STATUS_START = 7,
    STATUS_CONTAINERS = 8,
    STATUS_INIT_CONTAINERS = 10,
    STATUS_POD_IPS = 12,
    STATUS_HOST_IPS = 16
};
enum {
    CONDITION_TYPE = 1,
    CONDITION_STATUS = 2,
    CONDITION_HEARTBEAT = 3,
    CONDITION_MOVED = 4,
    CONDITION_REASON = 5,
    CONDITION_MESSAGE = 6
};
enum { NODE_CONDITIONS = 4, NODE_ADDRESSES = 5, NODE_INFO = 7 };

static struct mu_str view(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

static void put_text(struct mu_buf *out, uint32_t number, const char *text)
{
    mu_pb_put_bytes(out, number, mu_str_of(text));
}

static void put_number(struct mu_buf *out, uint32_t number, uint64_t value)
{
    mu_pb_put_varint(out, (uint64_t)number << 3);
    mu_pb_put_varint(out, value);
}

/* Append a message that was built in `part`, and empty that. */
static void put_part(struct mu_buf *out, uint32_t number, struct mu_buf *part)
{
    mu_pb_put_bytes(out, number, view(part));
    out->failed = out->failed != 0 ? out->failed : part->failed;
    mu_buf_clear(part);
}

/* ---- specs -------------------------------------------------------------------------------- */

/* Without a tag, or tagged latest: looked for anew at each start. */
static bool pulls_always(struct mu_str image)
{
    uint32_t tag = image.len;
    for (uint32_t i = image.len; i > 0 && image.data[i - 1] != '/'; i--) {
        if (image.data[i - 1] == '@') {
            return false; /* named by its content */
        }
        tag = image.data[i - 1] == ':' ? i : tag;
    }
    if (tag == image.len) {
        return true;
    }
    return mu_str_equal((struct mu_str){image.data + tag, image.len - tag}, MU_STR("latest"));
}

static void show_container(struct mu_buf *out, uint32_t number, struct mu_str container,
                           struct mu_buf *part)
{
    struct mu_pb_field field;
    (void)mu_buf_append_str(part, container);
    if (!mu_pb_find(container, CONTAINER_RESOURCES, &field)) {
        put_text(part, CONTAINER_RESOURCES, "");
    }
    if (!mu_pb_find(container, CONTAINER_MESSAGE_PATH, &field)) {
        put_text(part, CONTAINER_MESSAGE_PATH, "/dev/termination-log");
    }
    if (!mu_pb_find(container, CONTAINER_MESSAGE_POLICY, &field)) {
        put_text(part, CONTAINER_MESSAGE_POLICY, "File");
    }
    if (!mu_pb_find(container, CONTAINER_PULL_POLICY, &field)) {
        bool always = pulls_always(mu_pb_bytes(container, CONTAINER_IMAGE, 0));
        put_text(part, CONTAINER_PULL_POLICY, always ? "Always" : "IfNotPresent");
    }
    put_part(out, number, part);
}

/* Whether a toleration covers the taint `key` with effect NoExecute. */
static bool tolerates(struct mu_str toleration, struct mu_str key)
{
    struct mu_str of = mu_pb_bytes(toleration, TOLERATION_KEY, 0);
    struct mu_str effect = mu_pb_bytes(toleration, TOLERATION_EFFECT, 0);
    return (of.len == 0 || mu_str_equal(of, key)) &&
           (effect.len == 0 || mu_str_equal(effect, MU_STR("NoExecute")));
}

static void put_toleration(struct mu_buf *out, struct mu_str key, struct mu_buf *part)
{
    mu_pb_put_bytes(part, TOLERATION_KEY, key);
    put_text(part, TOLERATION_OPERATOR, "Exists");
    put_text(part, TOLERATION_EFFECT, "NoExecute");
    put_number(part, TOLERATION_SECONDS, 300);
    put_part(out, SPEC_TOLERATIONS, part);
}

static int show_spec(struct mu_str spec, struct mu_buf *out, struct mu_buf *part)
{
    static const struct mu_str unready = {"node.kubernetes.io/not-ready", 28};
    static const struct mu_str unreachable = {"node.kubernetes.io/unreachable", 30};
    bool dns = false, account = false, security = false, links = false;
    bool tolerated[2] = {false, false};
    struct mu_str name = MU_STR("default");
    struct mu_pb_field field;
    int code = 0;
    while ((code = mu_pb_next(&spec, &field)) == 1) {
        if (field.is_bytes &&
            (field.number == SPEC_CONTAINERS || field.number == SPEC_INIT_CONTAINERS)) {
            show_container(out, field.number, field.bytes, part);
            continue;
        }
        (void)mu_buf_append_str(out, field.whole);
        dns |= field.number == SPEC_DNS_POLICY;
        account |= field.number == SPEC_ACCOUNT;
        security |= field.number == SPEC_SECURITY;
        links |= field.number == SPEC_SERVICE_LINKS;
        if (field.number == SPEC_ACCOUNT_NAME && field.is_bytes && field.bytes.len > 0) {
            name = field.bytes;
        } else if (field.number == SPEC_TOLERATIONS && field.is_bytes) {
            tolerated[0] |= tolerates(field.bytes, unready);
            tolerated[1] |= tolerates(field.bytes, unreachable);
        }
    }
    if (!tolerated[0]) {
        put_toleration(out, unready, part);
    }
    if (!tolerated[1]) {
        put_toleration(out, unreachable, part);
    }
    if (!dns) {
        put_text(out, SPEC_DNS_POLICY, "ClusterFirst");
    }
    if (!account) {
        mu_pb_put_bytes(out, SPEC_ACCOUNT, name); /* the older name of serviceAccountName */
    }
    if (!security) {
        put_text(out, SPEC_SECURITY, "");
    }
    if (!links) {
        put_number(out, SPEC_SERVICE_LINKS, 1);
    }
    return code;
}

/* ---- what kubelets report ----------------------------------------------------------------- */

/* Addresses follow from names, so that they stay the same from one look to the next. */
static void host_address(struct mu_str node, char *out, size_t size)
{
    uint64_t hash = mu_hash_stable(node.data, node.len);
    (void)snprintf(out, size, "172.%u.%u.%u", 16 + (unsigned)(hash & 15),
                   (unsigned)(hash >> 8 & 255), 1 + (unsigned)(hash >> 16 & 255) % 254);
}

static void pod_address(struct mu_str uid, char *out, size_t size)
{
    uint64_t hash = mu_hash_stable(uid.data, uid.len);
    (void)snprintf(out, size, "10.%u.%u.%u", (unsigned)(hash & 255), (unsigned)(hash >> 8 & 255),
                   1 + (unsigned)(hash >> 16 & 255) % 254);
}

/* A running or finished pod, as its kubelet knows it. */
struct report {
    struct mu_str uid;
    struct mu_str start; /* encoded Times */
    struct mu_str ready_moved;
    bool ready, finished;
};

static void put_condition(struct mu_buf *out, const char *type, bool value, const char *reason,
                          struct mu_str moved, struct mu_buf *part)
{
    put_text(part, CONDITION_TYPE, type);
    put_text(part, CONDITION_STATUS, value ? "True" : "False");
    mu_pb_put_bytes(part, CONDITION_MOVED, moved);
    if (reason != NULL) {
        put_text(part, CONDITION_REASON, reason);
    }
    put_part(out, STATUS_CONDITIONS, part);
}

static void put_conditions(struct mu_buf *out, const struct report *report, struct mu_buf *part)
{
    const char *over = report->finished ? "PodCompleted" : NULL;
    put_condition(out, "PodReadyToStartContainers", !report->finished, NULL,
                  report->finished ? report->ready_moved : report->start, part);
    put_condition(out, "Initialized", true, over, report->start, part);
    put_condition(out, "ContainersReady", report->ready, over, report->ready_moved, part);
}

/* state: running since, or terminated as completed: the exit code is 0, which (as that of restarts)
 * is written as nothing, as when it comes back from JSON. Sizes come before content. */
static void put_state(struct mu_buf *out, const struct report *report, bool over)
{
    enum { STATE = 2, RUNNING = 2, TERMINATED = 3 };
    struct mu_str until = report->finished ? report->ready_moved : report->start;
    size_t size = mu_pb_bytes_size(1, report->start.len);
    if (over) {
        size = mu_pb_bytes_size(3, 9) + mu_pb_bytes_size(5, report->start.len) +
               mu_pb_bytes_size(6, until.len);
    }
    mu_pb_put_head(out, STATE, mu_pb_bytes_size(over ? TERMINATED : RUNNING, size));
    mu_pb_put_head(out, over ? TERMINATED : RUNNING, size);
    if (!over) {
        mu_pb_put_bytes(out, 1, report->start);
        return;
    }
    put_text(out, 3, "Completed");
    mu_pb_put_bytes(out, 5, report->start);
    mu_pb_put_bytes(out, 6, until);
}

static void put_container_status(struct mu_buf *out, const struct report *report,
                                 struct mu_str container, bool init, struct mu_buf *part)
{
    char id[64];
    struct mu_str image = mu_pb_bytes(container, CONTAINER_IMAGE, 0);
    struct mu_str name = mu_pb_bytes(container, CONTAINER_NAME, 0);
    /* An init container has ended, save a sidecar, which runs along. */
    bool sidecar = init && mu_pb_bytes(container, CONTAINER_RESTART, 0).len > 0;
    bool over = report->finished || (init && !sidecar);
    uint64_t hash = mu_hash_str(name, mu_hash_stable(report->uid.data, report->uid.len));
    (void)snprintf(id, sizeof id, "simulated://%016llx", (unsigned long long)hash);
    mu_pb_put_bytes(part, 1, name);
    put_state(part, report, over);
    if (report->ready || (init && !sidecar)) {
        put_number(part, 4, 1);
    }
    mu_pb_put_bytes(part, 6, image);
    mu_pb_put_bytes(part, 7, image);
    put_text(part, 8, id);
    put_number(part, 9, !over);
    put_part(out, init ? STATUS_INIT_CONTAINERS : STATUS_CONTAINERS, part);
}

static void put_addresses(struct mu_buf *out, struct mu_str spec, struct mu_str uid,
                          struct mu_buf *part)
{
    char host[32];
    char own[32];
    struct mu_pb_field field;
    bool shared = mu_pb_find(spec, SPEC_HOST_NETWORK, &field) && field.varint != 0;
    host_address(mu_pb_bytes(spec, SPEC_NODE, 0), host, sizeof host);
    pod_address(uid, own, sizeof own);
    put_text(out, STATUS_HOST_IP, host);
    put_text(out, STATUS_POD_IP, shared ? host : own);
    put_text(part, 1, shared ? host : own);
    put_part(out, STATUS_POD_IPS, part);
    put_text(part, 1, host);
    put_part(out, STATUS_HOST_IPS, part);
}

/* True when a simulated kubelet runs or ran this pod: it wrote when it started it, and a kubelet
 * that reports containers itself is not simulated. */
static bool is_simulated(struct mu_str status, struct report *report)
{
    struct mu_str phase = {NULL, 0};
    struct mu_pb_field field;
    bool reported = false;
    while (mu_pb_next(&status, &field) == 1) {
        if (field.number == STATUS_PHASE && field.is_bytes) {
            phase = field.bytes;
        } else if (field.number == STATUS_START && field.is_bytes) {
            report->start = field.bytes;
        } else if (field.number == STATUS_CONTAINERS) {
            reported = true;
        } else if (field.number == STATUS_CONDITIONS && field.is_bytes &&
                   mu_str_equal(mu_pb_bytes(field.bytes, CONDITION_TYPE, 0), MU_STR("Ready"))) {
            report->ready =
                mu_str_equal(mu_pb_bytes(field.bytes, CONDITION_STATUS, 0), MU_STR("True"));
            report->ready_moved = mu_pb_bytes(field.bytes, CONDITION_MOVED, 0);
        }
    }
    report->finished = mu_str_equal(phase, MU_STR("Succeeded"));
    return report->start.len > 0 && !reported &&
           (report->finished || mu_str_equal(phase, MU_STR("Running")));
}

static void show_status(struct mu_str status, struct mu_str spec, struct mu_str uid,
                        struct mu_buf *out, struct mu_buf *part)
{
    struct report report = {.uid = uid};
    struct mu_pb_field field;
    if (!is_simulated(status, &report)) {
        (void)mu_buf_append_str(out, status);
        return;
    }
    put_conditions(out, &report, part); /* in front: the real kubelet's order, or nearly */
    (void)mu_buf_append_str(out, status);
    put_addresses(out, spec, uid, part);
    while (mu_pb_next(&spec, &field) == 1) {
        bool init = field.number == SPEC_INIT_CONTAINERS;
        if (field.is_bytes && (init || field.number == SPEC_CONTAINERS)) {
            put_container_status(out, &report, field.bytes, init, part);
        }
    }
}

/* ---- objects ------------------------------------------------------------------------------ */

int mu_pod_show(struct mu_str raw, struct mu_buf *out)
{
    size_t before = out->len;
    struct mu_buf whole = {0};
    struct mu_buf part = {0};
    struct mu_str spec = mu_pb_bytes(raw, OBJECT_SPEC, 0);
    struct mu_str uid = mu_pb_bytes(raw, OBJECT_META, META_UID);
    struct mu_pb_field field;
    int code = 0;
    int spec_code = 0;
    while ((code = mu_pb_next(&raw, &field)) == 1 && spec_code == 0) {
        if (field.number == OBJECT_SPEC && field.is_bytes) {
            spec_code = show_spec(field.bytes, &whole, &part);
            put_part(out, OBJECT_SPEC, &whole);
        } else if (field.number == OBJECT_STATUS && field.is_bytes) {
            show_status(field.bytes, spec, uid, &whole, &part);
            put_part(out, OBJECT_STATUS, &whole);
        } else {
            (void)mu_buf_append_str(out, field.whole);
        }
    }
    code = code < 0 ? code : spec_code != 0 ? spec_code : out->failed;
    mu_buf_fini(&whole);
    mu_buf_fini(&part);
    if (code != 0) {
        out->len = before;
    }
    return code;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void put_node_condition(struct mu_buf *out, const char *type, const char *reason,
                               const char *message, struct mu_str created, struct mu_buf *part)
{
    put_text(part, CONDITION_TYPE, type);
    put_text(part, CONDITION_STATUS, "False");
    mu_pb_put_bytes(part, CONDITION_HEARTBEAT, created);
    mu_pb_put_bytes(part, CONDITION_MOVED, created);
    put_text(part, CONDITION_REASON, reason);
    put_text(part, CONDITION_MESSAGE, message);
    put_part(out, NODE_CONDITIONS, part);
}

/* The Ready condition with why and since when. */
static void show_ready(struct mu_str condition, struct mu_str created, struct mu_buf *out,
                       struct mu_buf *part)
{
    struct mu_str moved = mu_pb_bytes(condition, CONDITION_MOVED, 0);
    bool ready = mu_str_equal(mu_pb_bytes(condition, CONDITION_STATUS, 0), MU_STR("True"));
    (void)mu_buf_append_str(part, condition);
    if (moved.len == 0) {
        mu_pb_put_bytes(part, CONDITION_MOVED, created);
    }
    if (mu_pb_bytes(condition, CONDITION_HEARTBEAT, 0).len == 0) {
        mu_pb_put_bytes(part, CONDITION_HEARTBEAT, moved.len > 0 ? moved : created);
    }
    if (mu_pb_bytes(condition, CONDITION_REASON, 0).len == 0) {
        put_text(part, CONDITION_REASON, ready ? "KubeletReady" : "NodeStatusUnknown");
        put_text(part, CONDITION_MESSAGE,
                 ready ? "kubelet is posting ready status"
                       : "Kubelet stopped posting node status.");
    }
    put_part(out, NODE_CONDITIONS, part);
}

static void put_node_address(struct mu_buf *out, const char *type, struct mu_str address,
                             struct mu_buf *part)
{
    put_text(part, 1, type);
    mu_pb_put_bytes(part, 2, address);
    put_part(out, NODE_ADDRESSES, part);
}

static void put_node_info(struct mu_buf *out, struct mu_str uid, struct mu_buf *part)
{
    static const char *const texts[] = {/* from kernelVersion on, in the order of their numbers */
                                        "6.1.0-simulated",
                                        "Simulated Linux",
                                        "simulated://1.0.0",
                                        MU_KUBESIM_VERSION,
                                        MU_KUBESIM_VERSION,
                                        "linux",
                                        "amd64"};
    for (uint32_t number = 1; number <= 3; number++) { /* machineID, systemUUID, bootID */
        mu_pb_put_bytes(part, number, uid);
    }
    for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put_text(part, 4 + i, texts[i]);
    }
    put_part(out, NODE_INFO, part);
}

static void show_node_status(struct mu_str status, struct mu_str meta, struct mu_buf *out,
                             struct mu_buf *part)
{
    char address[32];
    struct mu_str name = mu_pb_bytes(meta, META_NAME, 0);
    struct mu_str created = mu_pb_bytes(meta, META_CREATED, 0);
    struct mu_pb_field field;
    if (mu_pb_find(status, NODE_INFO, &field)) {
        (void)mu_buf_append_str(out, status); /* its kubelet speaks for itself */
        return;
    }
    put_node_condition(out, "MemoryPressure", "KubeletHasSufficientMemory",
                       "kubelet has sufficient memory available", created, part);
    put_node_condition(out, "DiskPressure", "KubeletHasNoDiskPressure",
                       "kubelet has no disk pressure", created, part);
    put_node_condition(out, "PIDPressure", "KubeletHasSufficientPID",
                       "kubelet has sufficient PID available", created, part);
    while (mu_pb_next(&status, &field) == 1) {
        if (field.number == NODE_CONDITIONS && field.is_bytes &&
            mu_str_equal(mu_pb_bytes(field.bytes, CONDITION_TYPE, 0), MU_STR("Ready"))) {
            show_ready(field.bytes, created, out, part);
        } else {
            (void)mu_buf_append_str(out, field.whole);
        }
    }
    host_address(name, address, sizeof address);
    put_node_address(out, "InternalIP", mu_str_of(address), part);
    put_node_address(out, "Hostname", name, part);
    put_node_info(out, mu_pb_bytes(meta, META_UID, 0), part);
}

int mu_node_show(struct mu_str raw, struct mu_buf *out)
{
    size_t before = out->len;
    struct mu_buf whole = {0};
    struct mu_buf part = {0};
    struct mu_str meta = mu_pb_bytes(raw, OBJECT_META, 0);
    struct mu_pb_field field;
    int code = 0;
    while ((code = mu_pb_next(&raw, &field)) == 1) {
        if (field.number == OBJECT_STATUS && field.is_bytes) {
            show_node_status(field.bytes, meta, &whole, &part);
            put_part(out, OBJECT_STATUS, &whole);
        } else {
            (void)mu_buf_append_str(out, field.whole);
        }
    }
    code = code != 0 ? code : out->failed;
    mu_buf_fini(&whole);
    mu_buf_fini(&part);
    if (code != 0) {
        out->len = before;
    }
    return code;
}
