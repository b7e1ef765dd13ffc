#ifndef MU_TESTS_MANIFEST_KIT_H
#define MU_TESTS_MANIFEST_KIT_H
/* Manifests in tests: texts read, and answers about them. */
#include "tests/mu_test.h"

#include <jansson.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "tools/answer/explain.h"
#include "tools/answer/settle.h"
#include "tools/answer/write.h"
#include "tools/manifest/manifest.h"

struct offline_rig {
    struct mu_manifest *manifest;
    struct mu_db *db;
    struct mu_arena *arena;
};

static inline int rig_bind(void *context, const struct mu_plan_bind *bind, uint64_t now_ns)
{
    struct offline_rig *rig = context;
    return mu_manifest_bind(rig->manifest, rig->db, bind, now_ns);
}

static inline struct offline_rig rig_read(const char *name, const char *text)
{
    struct offline_rig rig = {.manifest = mu_manifest_create(),
                              .arena = mu_arena_create((size_t)1 << 30)};
    assert_non_null(rig.manifest);
    assert_non_null(rig.arena);
    assert_int_equal(mu_manifest_read(rig.manifest, name, mu_str_of(text)), 0);
    mu_manifest_resolve(rig.manifest);
    return rig;
}

static inline void rig_drop(struct offline_rig *rig)
{
    mu_db_destroy(rig->db);
    mu_manifest_destroy(rig->manifest);
    mu_arena_destroy(rig->arena);
}

/* The complaints about a text, and what is only noted, as strings of the arena. */
static inline const char *rig_errors(struct offline_rig *rig)
{
    return mu_arena_str(rig->arena, mu_manifest_errors(rig->manifest)).data;
}
static inline const char *rig_notes(struct offline_rig *rig)
{
    return mu_arena_str(rig->arena, mu_manifest_notes(rig->manifest)).data;
}

static inline void rig_load(struct offline_rig *rig, struct mu_uid unbound)
{
    const struct mu_str names[] = {MU_STR("default-scheduler"), MU_STR("muster")};
    struct mu_db_config config = {
        .scheduler_names = names, .scheduler_name_count = 2, .quiet_ns = 1};
    if (mu_manifest_error_count(rig->manifest) != 0)
        print_error("%s", rig_errors(rig));
    assert_int_equal(mu_manifest_error_count(rig->manifest), 0);
    rig->db = mu_db_create(&config);
    assert_non_null(rig->db);
    assert_int_equal(mu_manifest_load(rig->manifest, rig->db, unbound, 1), 0);
}

static inline json_t *rig_json(struct mu_buf *out)
{
    json_error_t where;
    assert_int_equal(out->failed, 0);
    json_t *tree = json_loadb((const char *)out->data, out->len, JSON_REJECT_DUPLICATES, &where);
    if (tree == NULL)
        print_error("%s\n", where.text);
    assert_non_null(tree);
    mu_buf_fini(out);
    return tree;
}

/* What `muster place` says of a text, as JSON. */
static inline struct mu_settled rig_settle(struct offline_rig *rig,
                                           const struct mu_profile *profile)
{
    struct mu_settle_config config = {
        .session = {.profile = profile}, .now_ns = 2, .bind = rig_bind, .context = rig};
    struct mu_settled settled;
    struct mu_error error = {0, ""};
    rig_load(rig, (struct mu_uid){0, 0});
    if (mu_settle(rig->db, &config, rig->arena, &settled, &error) != 0)
        fail_msg("%s", error.text);
    return settled;
}

static inline json_t *rig_place(struct offline_rig *rig, const struct mu_profile *profile)
{
    const struct mu_settled settled = rig_settle(rig, profile);
    struct mu_buf out = {.max = 0};
    assert_int_equal(mu_settled_write_json(&settled, &out), 0);
    return rig_json(&out);
}

/* What `muster explain` says of a pod. */
static inline struct mu_explanation rig_explain(struct offline_rig *rig, const char *ns,
                                                const char *name)
{
    struct mu_explanation x;
    struct mu_uid uid;
    if (!mu_manifest_find(rig->manifest, mu_str_of(ns), mu_str_of(name), &uid))
        fail_msg("no pod %s/%s\n%s", ns, name, rig_errors(rig));
    rig_load(rig, uid);
    struct mu_snapshot *snapshot = mu_db_replica_create(rig->db);
    assert_non_null(snapshot);
    mu_settle_ask_occupants(rig->db);
    int rc;
    do
        rc = mu_db_replica_sync(rig->db, snapshot, 0);
    while (rc == 1);
    assert_int_equal(rc, 0);
    assert_int_equal(mu_explain(rig->db, snapshot, &mu_profile_spread, uid, rig->arena, &x), 0);
    mu_db_replica_destroy(rig->db, snapshot);
    struct mu_manifest_was was;
    mu_manifest_was(rig->manifest, &was);
    x.was_on = was.node;
    x.was_finished = was.finished;
    x.was_deleted = was.deleted;
    return x;
}

static inline json_t *rig_explain_json(struct offline_rig *rig, const char *ns, const char *name)
{
    struct mu_explanation x = rig_explain(rig, ns, name);
    struct mu_buf out = {.max = 0};
    assert_int_equal(mu_explanation_write_json(&x, &out), 0);
    return rig_json(&out);
}

#endif
