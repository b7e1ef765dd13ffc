#include "tools/muster/keep.h"

#include <errno.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/str.h"
#include "informer/codec.h"

enum { NAME_BYTES = 256, PATH_BYTES = 256 };

/* ---- which pod to describe ---- */

struct choice {
    struct mu_arena *arena;
    char ns[NAME_BYTES], name[NAME_BYTES]; /* empty: none yet */
    bool waits;
};

static void copy_name(char out[NAME_BYTES], struct mu_str name)
{
    (void)snprintf(out, NAME_BYTES, "%.*s", MU_STR_ARGS(name));
}

/* The first that waits, else the first. */
static int consider(void *context, struct mu_str raw)
{
    struct choice *choice = context;
    struct mu_object_meta meta;
    struct mu_pod_bound bound;
    if (choice->waits)
        return 0;
    mu_arena_reset(choice->arena);
    if (mu_meta_decode(raw, &meta, NULL) != 0 ||
        mu_pod_bound_decode(raw, choice->arena, &bound, NULL) != 0)
        return 0;
    choice->waits = bound.node.len == 0;
    if (choice->waits || choice->name[0] == '\0') {
        copy_name(choice->ns, meta.ns);
        copy_name(choice->name, meta.name);
    }
    return 0;
}

static void choose(const struct mu_result_source *source, struct choice *choice)
{
    *choice = (struct choice){.arena = mu_arena_create(64u << 20)};
    if (choice->arena != NULL)
        (void)source->each(source->context, MU_RESULT_PODS, consider, choice);
    mu_arena_destroy(choice->arena);
    choice->arena = NULL;
}

/* ---- printing ---- */

/* A word as the shell reads it. */
static void print_word(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+:@%=,";
    if (word[strspn(word, plain)] == '\0') {
        (void)fputs(word, out);
        return;
    }
    (void)fputc('\'', out);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            (void)fputs("'\\''", out);
        else
            (void)fputc(*word, out);
    }
    (void)fputc('\'', out);
}

static void print_kubectl(FILE *out, const struct mu_keep *keep, const char *command,
                          const char *last)
{
    (void)fputs("    kubectl --kubeconfig ", out);
    print_word(out, keep->kubeconfig);
    (void)fprintf(out, " %s%s", command, last != NULL ? " " : "");
    if (last != NULL)
        print_word(out, last);
    (void)fputc('\n', out);
}

/* The name is generated: the line can be used more than once. */
static int write_manifest(const char *path, const struct mu_keep *keep, struct mu_error *error)
{
    FILE *file = fopen(path, "we");
    bool written = file != NULL && fprintf(file,
                                           "apiVersion: v1\n"
                                           "kind: Pod\n"
                                           "metadata:\n"
                                           "  generateName: hello-\n"
                                           "spec:\n"
                                           "  schedulerName: %s\n"
                                           "  containers:\n"
                                           "  - name: main\n"
                                           "    image: registry.k8s.io/pause:3.9\n"
                                           "    resources:\n"
                                           "      requests:\n"
                                           "        cpu: 1m\n"
                                           "        memory: 1Mi\n",
                                           keep->scheduler_name) > 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    return written ? 0 : mu_error_set(error, MU_EIO, "%s: %s", path, strerror(errno));
}

int mu_keep_print(FILE *out, const struct mu_keep *keep, const struct mu_result_source *source,
                  struct mu_error *error)
{
    char manifest[PATH_BYTES], describe[NAME_BYTES + 64];
    struct choice choice;
    (void)snprintf(manifest, sizeof manifest, "%s/" MU_KEEP_MANIFEST, keep->directory);
    int rc = write_manifest(manifest, keep, error);
    if (rc != 0)
        return rc;
    choose(source, &choice);
    bool elsewhere = choice.name[0] != '\0' && strcmp(choice.ns, "default") != 0;
    (void)snprintf(describe, sizeof describe, "describe%s%s pod", elsewhere ? " -n " : "",
                   elsewhere ? choice.ns : "");
    (void)fprintf(out,
                  "\nLeft running (logs in %s):\n  API server %s, process %d\n"
                  "  scheduler process %d\n\nWorth trying:\n",
                  keep->directory, keep->url, keep->kubesim_pid, keep->musterd_pid);
    print_kubectl(out, keep, elsewhere ? "get pods -A -o wide" : "get pods -o wide", NULL);
    print_kubectl(out, keep, choice.name[0] != '\0' ? describe : "describe nodes",
                  choice.name[0] != '\0' ? choice.name : NULL);
    print_kubectl(out, keep, "create -f", manifest);
    (void)fprintf(out, "\nEnd them with: kill %d %d; rm -r ", keep->musterd_pid, keep->kubesim_pid);
    print_word(out, keep->directory);
    (void)fputc('\n', out);
    return 0;
}
