/*
 * Manifests to verdicts: whatever a file holds, it is read, complained about, put into a cluster
 * DB, placed and explained, and every answer is JSON. The first byte lets that allocation of
 * reading fail, the second one of what comes after it.
 *
 * libfyaml 0.7 loses a few kilobytes on some texts that are not YAML, so the sanitizer is told not
 * to look for leaks; our own memory is counted here instead.
 *
 * covers: tools/manifest/split.c tools/manifest/read.c tools/manifest/check.c
 * covers: tools/manifest/load.c tools/manifest/manifest.c informer/yaml_line.c
 * covers: tools/manifest/group.c tools/manifest/unknown.c
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tools/answer/write.h"
#include "tools/manifest/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sanitizer looks for this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

struct rig {
    struct mu_manifest *manifest;
    struct mu_db *db;
    struct mu_arena *arena;
    struct mu_uid pod; /* one that waits */
};

static int bind_pod(void *context, const struct mu_plan_bind *bind, uint64_t now_ns)
{
    struct rig *rig = context;
    return mu_manifest_bind(rig->manifest, rig->db, bind, now_ns);
}

static void fail_nth(uint8_t nth)
{
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = nth});
}

static void check_json(struct mu_buf *out)
{
    fail_nth(0); /* what checks is not what is tried */
    if (out->failed == 0) {
        json_t *tree = json_loadb((const char *)out->data, out->len, JSON_REJECT_DUPLICATES, NULL);
        MU_ASSERT(tree != NULL);
        json_decref(tree);
    }
    mu_buf_fini(out);
}

/* Lines, each with a place in front; none of them with a control character. */
static void check_lines(struct mu_str lines)
{
    for (uint32_t i = 0; i < lines.len; i++)
        MU_ASSERT((unsigned char)lines.data[i] >= 0x20 || lines.data[i] == '\n');
    MU_ASSERT(lines.len == 0 || lines.data[lines.len - 1] == '\n');
}

static int explain(struct rig *rig)
{
    struct mu_explanation x;
    struct mu_buf json = {.max = 0};
    struct mu_buf table = {.max = 0};
    struct mu_snapshot *snapshot = mu_db_replica_create(rig->db);
    int rc = snapshot == NULL ? MU_ENOMEM : 1;
    while (rc == 1)
        rc = mu_db_replica_sync(rig->db, snapshot, 0);
    if (rc == 0)
        rc = mu_explain(rig->db, snapshot, &mu_profile_spread, rig->pod, rig->arena, &x);
    if (rc == 0) {
        (void)mu_explanation_write_json(&x, &json);
        (void)mu_explanation_write_table(&x, &table);
        check_json(&json);
    }
    mu_buf_fini(&json);
    mu_buf_fini(&table);
    if (snapshot != NULL)
        mu_db_replica_destroy(rig->db, snapshot);
    return rc;
}

static int place(struct rig *rig)
{
    struct mu_settle_config config = {
        .session = {.profile = &mu_profile_default}, .now_ns = 2, .bind = bind_pod, .context = rig};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    struct mu_buf json = {.max = 0};
    struct mu_buf table = {.max = 0};
    int rc = mu_settle(rig->db, &config, rig->arena, &settled, &error);
    MU_ASSERT(rc == 0 || rc == MU_ENOMEM);
    if (rc != 0)
        return rc;
    (void)mu_settled_write_json(&settled, &json);
    (void)mu_settled_write_table(&settled, &table);
    check_json(&json);
    mu_buf_fini(&table);
    return 0;
}

static int run(struct rig *rig, const uint8_t *fails, struct mu_str text)
{
    const struct mu_str names[] = {MU_STR("default-scheduler")};
    struct mu_db_config config = {
        .scheduler_names = names, .scheduler_name_count = 1, .quiet_ns = 1};
    rig->manifest = mu_manifest_create();
    rig->arena = mu_arena_create((size_t)64 << 20);
    rig->db = mu_db_create(&config);
    if (rig->manifest == NULL || rig->arena == NULL || rig->db == NULL)
        return MU_ENOMEM;
    fail_nth(fails[0]);
    int rc = mu_manifest_read(rig->manifest, "fuzz.yaml", text);
    if (rc != 0)
        return rc;
    mu_manifest_resolve(rig->manifest);
    bool asked = mu_manifest_find(rig->manifest, MU_STR("default"), MU_STR("p"), &rig->pod);
    fail_nth(fails[1]);
    rc = mu_manifest_load(rig->manifest, rig->db, rig->pod, 1);
    if (rc == 0 && asked)
        rc = explain(rig);
    return rc == 0 ? place(rig) : rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 16)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct rig rig = {.manifest = NULL};
    struct mu_str text = {(const char *)data + 2, (uint32_t)size - 2};
    int rc = run(&rig, data, text);
    fail_nth(0);
    MU_ASSERT(rc == 0 || data[0] != 0 || data[1] != 0);
    if (rig.manifest != NULL) {
        check_lines(mu_manifest_notes(rig.manifest));
        check_lines(mu_manifest_errors(rig.manifest));
    }
    mu_db_destroy(rig.db);
    mu_manifest_destroy(rig.manifest);
    mu_arena_destroy(rig.arena);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
