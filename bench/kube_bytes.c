#include "bench/kube_bytes.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "informer/wire_priv.h"

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* --- a pod ---------------------------------------------------------------------------------- */

/* Numbers of fields: kubernetes-wire §2.1 and §2.2. */
static void put(struct mu_buf *out, uint32_t number, const char *text)
{
    mu_wire_put_bytes(out, number, mu_str_of(text));
}

static void put_inner(struct mu_buf *out, uint32_t number, struct mu_buf *inner)
{
    mu_wire_put_bytes(out, number, buf_str(inner));
    mu_buf_fini(inner);
}

static void put_number(struct mu_buf *out, uint32_t number, uint64_t value)
{
    mu_wire_put_varint(out, (uint64_t)number << 3);
    mu_wire_put_varint(out, value);
}

static void put_pair(struct mu_buf *out, uint32_t number, const char *key, const char *value)
{
    struct mu_buf pair = {.data = NULL};
    put(&pair, 1, key);
    put(&pair, 2, value);
    put_inner(out, number, &pair);
}

static void put_amount(struct mu_buf *out, uint32_t number, const char *key, const char *value)
{
    struct mu_buf entry = {.data = NULL}, quantity = {.data = NULL};
    put(&quantity, 1, value);
    put(&entry, 1, key);
    put_inner(&entry, 2, &quantity);
    put_inner(out, number, &entry);
}

static void put_filler(struct mu_buf *out, uint32_t number, size_t len)
{
    struct mu_buf filler = {.data = NULL};
    while (filler.len < len)
        (void)mu_buf_append_text(&filler, "{\"f:metadata\":{\"f:labels\":{\"f:app\":{}}}}");
    put_inner(out, number, &filler);
}

static void put_metadata(struct mu_buf *out, bool managed_fields)
{
    struct mu_buf meta = {.data = NULL}, time = {.data = NULL}, owner = {.data = NULL};
    put(&meta, 1, "web-frontend-7c9d8b6f5-NNNNNNNN");
    put(&meta, 2, "web-frontend-7c9d8b6f5-");
    put(&meta, 3, "production");
    put(&meta, 5, "0a1b2c3d-4e5f-4a6b-8c7d-0000NNNNNNNN");
    put(&meta, 6, "1NNNNNNNN");
    put_number(&time, 1, 1700000000);
    put_inner(&meta, 8, &time);
    put_pair(&meta, 11, "app.kubernetes.io/name", "web-frontend");
    put_pair(&meta, 11, "app.kubernetes.io/instance", "web-frontend-production");
    put_pair(&meta, 11, "pod-template-hash", "7c9d8b6f5");
    put_pair(&meta, 11, "topology.example.com/tier", "frontend");
    put_pair(&meta, 12, "prometheus.io/scrape", "true");
    put_pair(&meta, 12, "checksum/config", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c");
    put(&owner, 1, "ReplicaSet");
    put(&owner, 3, "web-frontend-7c9d8b6f5");
    put(&owner, 4, "11111111-2222-4333-8444-555555555555");
    put(&owner, 5, "apps/v1");
    put_number(&owner, 6, 1);
    put_inner(&meta, 13, &owner);
    if (managed_fields)
        put_filler(&meta, 17, 1000);
    put_inner(out, 1, &meta);
}

static void put_container(struct mu_buf *out)
{
    struct mu_buf container = {.data = NULL}, needs = {.data = NULL};
    put(&container, 1, "web");
    put(&container, 2, "registry.example.com/team/web-frontend:1.24.3");
    put_filler(&container, 7, 160);                    /* env */
    for (uint32_t number = 1; number <= 2; number++) { /* limits, requests */
        put_amount(&needs, number, "cpu", "CCCCm");
        put_amount(&needs, number, "memory", "256Mi");
    }
    put_inner(&container, 8, &needs);
    put_filler(&container, 10, 200); /* livenessProbe */
    put_inner(out, 2, &container);
}

static void put_spec(struct mu_buf *out, bool bound)
{
    struct mu_buf spec = {.data = NULL}, volume = {.data = NULL}, source = {.data = NULL};
    put(&volume, 1, "kube-api-access-x7k2p");
    put_filler(&source, 26, 80); /* projected */
    put_inner(&volume, 2, &source);
    put_inner(&spec, 1, &volume);
    put_container(&spec);
    put(&spec, 3, "Always");
    put(&spec, 8, "web-frontend");
    if (bound)
        put(&spec, 10, "node-MMMMMM");
    put(&spec, 19, "muster");
    for (int i = 0; i < 2; i++) {
        struct mu_buf toleration = {.data = NULL};
        put(&toleration, 1,
            i == 0 ? "node.kubernetes.io/not-ready" : "node.kubernetes.io/unreachable");
        put(&toleration, 2, "Exists");
        put(&toleration, 4, "NoExecute");
        put_number(&toleration, 5, 300);
        put_inner(&spec, 22, &toleration);
    }
    put_number(&spec, 25, 0);
    put_inner(out, 2, &spec);
}

static void put_status(struct mu_buf *out, bool bound)
{
    static const char *const types[] = {"PodScheduled", "Initialized", "ContainersReady", "Ready"};
    struct mu_buf status = {.data = NULL};
    put(&status, 1, bound ? "Running" : "Pending");
    for (int i = 0; bound && i < 4; i++) {
        struct mu_buf condition = {.data = NULL}, time = {.data = NULL};
        put_number(&time, 1, 1700000000);
        put(&condition, 1, types[i]);
        put(&condition, 2, "True");
        put_inner(&condition, 4, &time);
        put_inner(&status, 2, &condition);
    }
    put(&status, 9, "Guaranteed");
    put_inner(out, 3, &status);
}

void mu_bytes_pod(struct mu_buf *out, bool bound, bool managed_fields)
{
    put_metadata(out, managed_fields);
    put_spec(out, bound);
    put_status(out, bound);
    MU_ASSERT(out->failed == 0);
}

/* Overwrite every occurrence of the run `mark` with the number in decimal, padded with zeros. */
static void stamp(struct mu_buf *pod, const char *mark, uint32_t number)
{
    char digits[16];
    size_t len = strlen(mark);
    (void)snprintf(digits, sizeof digits, "%0*u", (int)len, number);
    uint8_t *at = pod->data;
    while ((at = memmem(at, pod->len - (size_t)(at - pod->data), mark, len)) != NULL)
        memcpy(at, digits, len);
}

void mu_bytes_stamp_pod(struct mu_buf *pod, uint32_t number, uint32_t cpu_millis, uint32_t node)
{
    stamp(pod, "NNNNNNNN", number);
    stamp(pod, "CCCC", cpu_millis);
    stamp(pod, "MMMMMM", node);
}

/* --- a node --------------------------------------------------------------------------------- */

static void put_node_metadata(struct mu_buf *out)
{
    struct mu_buf meta = {.data = NULL}, time = {.data = NULL};
    put(&meta, 1, "node-MMMMMM");
    put(&meta, 5, "1b2c3d4e-5f6a-4b7c-8d9e-000000MMMMMM");
    put(&meta, 6, "100MMMMMM");
    put_number(&time, 1, 1690000000);
    put_inner(&meta, 8, &time);
    put_pair(&meta, 11, "beta.kubernetes.io/arch", "amd64");
    put_pair(&meta, 11, "beta.kubernetes.io/os", "linux");
    put_pair(&meta, 11, "kubernetes.io/arch", "amd64");
    put_pair(&meta, 11, "kubernetes.io/hostname", "node-MMMMMM");
    put_pair(&meta, 11, "kubernetes.io/os", "linux");
    put_pair(&meta, 11, "node.kubernetes.io/instance-type", "m6i.16xlarge");
    put_pair(&meta, 11, "topology.kubernetes.io/region", "eu-central-1");
    put_pair(&meta, 11, "topology.kubernetes.io/zone", "eu-central-ZZ");
    put_pair(&meta, 12, "node.alpha.kubernetes.io/ttl", "0");
    put_pair(&meta, 12, "csi.volume.kubernetes.io/nodeid",
             "{\"ebs.csi.aws.com\":\"i-0123456789abcdef0\"}");
    put_filler(&meta, 17, 800);
    put_inner(out, 1, &meta);
}

static void put_images(struct mu_buf *status)
{
    for (int i = 0; i < 12; i++) {
        struct mu_buf image = {.data = NULL};
        char name[80];
        (void)snprintf(name, sizeof name, "registry.example.com/team/service-%d:1.%d.0", i, i);
        put(&image, 1, name);
        put_number(&image, 2, 100000000 + (uint64_t)i * 1000000);
        put_inner(status, 8, &image);
    }
}

static void put_node_status(struct mu_buf *out)
{
    static const char *const types[] = {"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"};
    struct mu_buf status = {.data = NULL}, info = {.data = NULL};
    for (uint32_t number = 1; number <= 2; number++) { /* capacity, allocatable */
        put_amount(&status, number, "cpu", "64");
        put_amount(&status, number, "ephemeral-storage", "104845292Ki");
        put_amount(&status, number, "memory", "263856572Ki");
        put_amount(&status, number, "pods", "110");
    }
    for (int i = 0; i < 4; i++) {
        struct mu_buf condition = {.data = NULL}, time = {.data = NULL};
        put(&condition, 1, types[i]);
        put(&condition, 2, i == 3 ? "True" : "False");
        put_number(&time, 1, 1700000000);
        put_inner(&condition, 3, &time);
        put(&condition, 5, "KubeletHasNoSuchProblem");
        put(&condition, 6, "kubelet has sufficient of what there is to have");
        put_inner(&status, 4, &condition);
    }
    put(&info, 4, "6.1.0-13-amd64");
    put(&info, 7, "v1.31.0");
    put(&info, 9, "linux");
    put(&info, 10, "amd64");
    put_inner(&status, 7, &info);
    put_images(&status);
    put_inner(out, 3, &status);
}

void mu_bytes_node(struct mu_buf *out)
{
    struct mu_buf spec = {.data = NULL};
    put_node_metadata(out);
    put(&spec, 3, "aws:///eu-central-1a/i-0123456789abcdef0");
    put_inner(out, 2, &spec);
    put_node_status(out);
    MU_ASSERT(out->failed == 0);
}

void mu_bytes_stamp_node(struct mu_buf *node, uint32_t number)
{
    stamp(node, "MMMMMM", number);
    stamp(node, "ZZ", number % 3);
}
