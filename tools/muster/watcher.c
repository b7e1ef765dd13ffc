#include "tools/muster/watcher.h"
#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/mem.h"

struct pod_key {
    struct mu_str ns, name;
};

static uint64_t key_hash(struct mu_str ns, struct mu_str name)
{
    return mu_hash_mix(mu_hash_str(ns, 0), mu_hash_str(name, 1));
}

static bool index_equal(const void *context, uint32_t value, const void *key)
{
    const struct mu_watcher *w = context;
    const struct pod_key *k = key;
    const struct mu_pod_object *pod = &w->workload->pods[value].object;
    return mu_str_equal(pod->name, k->name) && mu_str_equal(pod->ns, k->ns);
}

static uint64_t index_hash(const void *context, uint32_t value)
{
    const struct mu_watcher *w = context;
    const struct mu_pod_object *pod = &w->workload->pods[value].object;
    return key_hash(pod->ns, pod->name);
}

static void finish(struct mu_watcher *w, struct mu_watcher_times *times, uint64_t now_ns)
{
    if (times->finished)
        return;
    times->finished = true;
    w->last_finished_ns = now_ns;
    w->finished++;
}

static void saw_pod(struct mu_watcher *w, struct mu_str raw, bool left, uint64_t now_ns)
{
    struct mu_object_meta meta;
    struct mu_pod_bound bound;
    mu_arena_reset(w->arena);
    if (mu_meta_decode(raw, &meta, NULL) != 0 ||
        mu_pod_bound_decode(raw, w->arena, &bound, NULL) != 0 || bound.node.len == 0)
        return;
    struct pod_key key = {meta.ns, meta.name};
    uint32_t i = mu_index_find(w->by_name, key_hash(meta.ns, meta.name), &key);
    if (i == MU_INDEX_NONE)
        return;
    struct mu_watcher_times *times = &w->times[i];
    times->seen = w->lists;
    if (times->bound_ns == 0) {
        times->bound_ns = now_ns;
        w->last_bound_ns = now_ns;
        w->bound++;
    }
    if (left || bound.terminal)
        finish(w, times, now_ns);
}

static int pod_seen(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    (void)version;
    saw_pod(context, raw, false, now_ns);
    return 0;
}

/* Its last state still says where it ran. */
static int pod_left(void *context, struct mu_str raw, uint64_t version, uint64_t now_ns)
{
    (void)version;
    saw_pod(context, raw, true, now_ns);
    return 0;
}

static void relist_begin(void *context)
{
    struct mu_watcher *w = context;
    w->lists++;
}

/* A bound pod that a whole list does not show is gone. It stays counted as bound. */
static int relist_sweep(void *context, uint64_t now_ns)
{
    struct mu_watcher *w = context;
    for (uint32_t i = 0; i < w->workload->pod_count; i++)
        if (w->times[i].bound_ns != 0 && w->times[i].seen != w->lists)
            finish(w, &w->times[i], now_ns);
    return 0;
}

int mu_watcher_init(struct mu_watcher *w, const struct mu_workload *workload, uint64_t token_base,
                    struct mu_random *random)
{
    struct mu_reflector_config config = {
        .name = MU_STR("pods"), .path = MU_STR("/api/v1/pods"), .token_base = token_base};
    struct mu_reflector_sink sink = {w, pod_seen, pod_left, relist_begin, relist_sweep};
    *w = (struct mu_watcher){.workload = workload};
    w->times = mu_mem_calloc((size_t)workload->pod_count + 1, sizeof *w->times);
    w->by_name = mu_index_create(workload->pod_count, index_equal, index_hash, w);
    w->arena = mu_arena_create(64u << 20);
    w->reflector = mu_reflector_create(&config, &sink, random);
    int rc = w->times == NULL || w->by_name == NULL || w->arena == NULL || w->reflector == NULL
                 ? MU_ENOMEM
                 : 0;
    for (uint32_t i = 0; rc == 0 && i < workload->pod_count; i++)
        rc = mu_index_insert(w->by_name, index_hash(w, i), i);
    if (rc != 0)
        mu_watcher_fini(w);
    return rc;
}

void mu_watcher_fini(struct mu_watcher *w)
{
    mu_reflector_destroy(w->reflector);
    mu_arena_destroy(w->arena);
    mu_index_destroy(w->by_name);
    mu_mem_free(w->times);
    *w = (struct mu_watcher){0};
}
