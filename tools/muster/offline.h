#ifndef MU_TOOLS_MUSTER_OFFLINE_H
#define MU_TOOLS_MUSTER_OFFLINE_H
/* What `muster place` and `muster explain` share: manifests from files, a cluster DB from them, and
 * the answer's way out. Complaints go to stderr, answers to stdout. */
#include "engine/base/buf.h"
#include "engine/session/session.h"
#include "tools/manifest/limits.h"
#include "tools/manifest/manifest.h"
#include "tools/muster/progress.h"

enum mu_output { MU_OUTPUT_TABLE, MU_OUTPUT_JSON };
extern const char *const mu_output_names[];

/* Set `profile`, leave the rest zero. */
struct mu_offline_options {
    const char *files[MU_MANIFEST_FILES_MAX]; /* "-": standard input */
    uint32_t file_count;
    uint32_t output; /* enum mu_output */
    const struct mu_profile *profile;
    const char *pod; /* explain: "ns/name"; NULL: not said */
};
/* Flags (tools/flags.h): -f adds a file; target is struct mu_offline_options. */
int mu_offline_file(void *target, const char *value, struct mu_error *error);
/* The operands of explain: the pod, then more files. */
int mu_offline_pod(void *target, const char *value, struct mu_error *error);

struct mu_offline {
    const char *program;
    struct mu_manifest *manifest;
    struct mu_db *db;
    struct mu_arena *arena; /* the answer */
    struct mu_progress progress;
};

/* Read the files and, when they are sound, load the DB. `pod` (may be NULL): its name, "ns/name" or
 * a name in `default`; *uid is then its UID, and it is loaded without a node. Returns 0, or the
 * exit status after saying why: 2 the input is wrong, 1 something else is. Close in any case. */
int mu_offline_open(struct mu_offline *offline, const char *program,
                    const struct mu_offline_options *options, const char *pod, struct mu_uid *uid);
void mu_offline_close(struct mu_offline *offline);
/* Write to stdout. Returns the exit status: 0, or 1 after saying why. */
int mu_offline_write(const struct mu_offline *offline, const struct mu_buf *out);
/* Say what went wrong; returns 1. */
int mu_offline_fail(struct mu_offline *offline, int code, const char *text);
/* A stage has come so far; shown on a terminal. */
void mu_offline_show(struct mu_offline *offline, const char *stage, uint32_t done, uint32_t total);

#endif
