#include "tools/muster/offline.h"

#include <stdio.h>
#include <string.h>
#include "engine/base/arena.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "informer/file.h"

#define ANSWER_BYTES_MAX (UINT64_C(64) << 30)
#define START_NS         UINT64_C(1)
#define QUIET_NS         UINT64_C(1) /* nobody else arrives: gangs settle at once */

const char *const mu_output_names[] = {"table", "json", NULL};
_Static_assert(MU_OUTPUT_TABLE == 0 && MU_OUTPUT_JSON == 1, "order of mu_output_names");

int mu_offline_file(void *target, const char *value, struct mu_error *error)
{
    struct mu_offline_options *o = target;
    if (o == NULL)
        return 0;
    if (o->file_count == MU_MANIFEST_FILES_MAX)
        return mu_error_set(error, MU_ELIMIT, "expected at most %u files", MU_MANIFEST_FILES_MAX);
    o->files[o->file_count++] = value;
    return 0;
}

int mu_offline_pod(void *target, const char *value, struct mu_error *error)
{
    struct mu_offline_options *o = target;
    if (value[0] == '\0')
        return mu_error_set(error, MU_EINVAL, "expected NAMESPACE/NAME, got nothing");
    if (o == NULL || o->pod != NULL)
        return mu_offline_file(target, value, error);
    o->pod = value;
    return 0;
}

void mu_offline_show(struct mu_offline *o, const char *stage, uint32_t done, uint32_t total)
{
    const struct mu_clock *clock = mu_clock_real();
    if (o->progress.terminal)
        mu_progress_show(&o->progress, stage, done, total, "", clock->now_ns(clock));
}

int mu_offline_fail(struct mu_offline *o, int code, const char *text)
{
    mu_progress_end(&o->progress);
    (void)fprintf(stderr, "%s: %s\n", o->program,
                  text != NULL && text[0] != '\0' ? text : mu_error_text(code));
    return 1;
}

/* ---- files -------------------------------------------------------------------------------- */

static int read_stdin(struct mu_buf *out, struct mu_error *error)
{
    static char block[1 << 16];
    size_t len;
    while ((len = fread(block, 1, sizeof block, stdin)) > 0) {
        if (out->len + len > MU_MANIFEST_BYTES_MAX)
            return mu_error_set(error, MU_ELIMIT, "standard input: expected at most 3 GiB");
        int rc = mu_buf_append(out, block, len);
        if (rc != 0)
            return mu_error_set(error, rc, "standard input: %s", mu_error_text(rc));
    }
    return ferror(stdin) ? mu_error_set(error, MU_EIO, "standard input: cannot be read") : 0;
}

static int read_path(const char *path, struct mu_buf *out, struct mu_error *error)
{
    struct mu_file *file;
    int rc = mu_file_open(path, MU_MANIFEST_BYTES_MAX, &file, error);
    if (rc == 0) {
        rc = mu_file_read_all(file, out, error);
        mu_file_close(file);
    }
    return rc;
}

static void show_read(void *context, uint32_t done, uint32_t total)
{
    mu_offline_show(context, "reading KiB", done >> 10, total >> 10);
}

/* The exit status, 0 also when there are complaints. */
static int read_file(struct mu_offline *o, const char *path)
{
    struct mu_buf text = {.max = 0};
    struct mu_error error = {0, ""};
    bool is_stdin = strcmp(path, "-") == 0;
    int rc = is_stdin ? read_stdin(&text, &error) : read_path(path, &text, &error);
    int status = 0;
    if (rc != 0) {
        (void)mu_offline_fail(o, rc, error.text);
        status = rc == MU_ENOMEM ? 1 : 2;
    } else {
        rc = mu_manifest_read(o->manifest, is_stdin ? "(stdin)" : path,
                              (struct mu_str){(const char *)text.data, (uint32_t)text.len});
        status = rc != 0 ? mu_offline_fail(o, rc, "") : 0;
    }
    mu_buf_fini(&text);
    return status;
}

static void print_complaints(struct mu_offline *o)
{
    struct mu_str notes = mu_manifest_notes(o->manifest);
    struct mu_str errors = mu_manifest_errors(o->manifest);
    mu_progress_end(&o->progress);
    o->progress.stage = NULL;
    (void)fprintf(stderr, "%.*s%.*s", MU_STR_ARGS(notes), MU_STR_ARGS(errors));
}

/* ---- the DB ------------------------------------------------------------------------------- */

static void show_load(void *context, uint32_t done, uint32_t total)
{
    mu_offline_show(context, "loading objects", done, total);
}

static int find_pod(struct mu_offline *o, const char *pod, struct mu_uid *uid)
{
    const char *slash = strchr(pod, '/');
    struct mu_str ns =
        slash != NULL ? (struct mu_str){pod, (uint32_t)(slash - pod)} : MU_STR("default");
    struct mu_str name = mu_str_of(slash != NULL ? slash + 1 : pod);
    if (mu_manifest_find(o->manifest, ns, name, uid))
        return 0;
    (void)fprintf(stderr, "%s: no pod %.*s/%.*s in the input\n", o->program, MU_STR_ARGS(ns),
                  MU_STR_ARGS(name));
    return 2;
}

static int load(struct mu_offline *o, struct mu_uid unbound)
{
    const struct mu_str names[] = {MU_STR("default-scheduler"), MU_STR("muster")};
    struct mu_manifest_counts counts;
    mu_manifest_counts(o->manifest, &counts);
    struct mu_db_config config = {.scheduler_names = names,
                                  .scheduler_name_count = 2,
                                  .quiet_ns = QUIET_NS,
                                  .nodes_hint = counts.nodes,
                                  .pods_hint = counts.pods};
    o->db = mu_db_create(&config);
    mu_manifest_set_progress(o->manifest, show_load, o);
    int rc = o->db == NULL ? MU_ENOMEM : mu_manifest_load(o->manifest, o->db, unbound, START_NS);
    return rc != 0 ? mu_offline_fail(o, rc, "") : 0;
}

/* A file that is empty is most likely the wrong one. */
static void note_emptiness(const struct mu_offline *o)
{
    struct mu_manifest_counts n;
    mu_manifest_counts(o->manifest, &n);
    if (n.nodes + n.pods + n.namespaces + n.priority_classes + n.budgets + n.groups + n.skipped ==
            0 &&
        mu_manifest_error_count(o->manifest) == 0)
        (void)fprintf(stderr, "%s: no objects in the input\n", o->program);
}

int mu_offline_open(struct mu_offline *o, const char *program,
                    const struct mu_offline_options *options, const char *pod, struct mu_uid *uid)
{
    *o = (struct mu_offline){.program = program, .manifest = mu_manifest_create()};
    mu_progress_init(&o->progress);
    o->arena = mu_arena_create(ANSWER_BYTES_MAX);
    if (o->manifest == NULL || o->arena == NULL)
        return mu_offline_fail(o, MU_ENOMEM, "");
    if (options->file_count == 0) {
        (void)fprintf(stderr, "%s: expected manifests: -f FILE, or -f - for standard input\n",
                      program);
        return 2;
    }
    mu_manifest_set_progress(o->manifest, show_read, o);
    for (uint32_t i = 0; i < options->file_count; i++) {
        int status = read_file(o, options->files[i]);
        if (status != 0)
            return status;
    }
    mu_manifest_resolve(o->manifest);
    int status = 0;
    struct mu_uid none = {0, 0};
    if (mu_manifest_error_count(o->manifest) == 0 && pod != NULL)
        status = find_pod(o, pod, uid);
    if (status == 0 && mu_manifest_error_count(o->manifest) == 0)
        status = load(o, pod != NULL ? *uid : none);
    bool wrong = mu_manifest_error_count(o->manifest) > 0;
    print_complaints(o);
    note_emptiness(o);
    return status == 0 && wrong ? 2 : status;
}

void mu_offline_close(struct mu_offline *o)
{
    mu_progress_end(&o->progress);
    mu_db_destroy(o->db);
    mu_manifest_destroy(o->manifest);
    mu_arena_destroy(o->arena);
}

int mu_offline_write(const struct mu_offline *o, const struct mu_buf *out)
{
    if (out->failed != 0) {
        (void)fprintf(stderr, "%s: %s\n", o->program, mu_error_text(out->failed));
        return 1;
    }
    if (fwrite(out->data, 1, out->len, stdout) == out->len && fflush(stdout) == 0)
        return 0;
    (void)fprintf(stderr, "%s: standard output cannot be written\n", o->program);
    return 1;
}
