#ifndef MU_TESTS_CLI_RIG_H
#define MU_TESTS_CLI_RIG_H
/* Programs run as people run them: their exit status, their output, and folders for their files. */
#include "tests/mu_test.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>

#define OUTPUT_BYTES (64u << 10)

struct result {
    int status; /* exit status, or 256 + signal */
    char out[OUTPUT_BYTES];
    char err[OUTPUT_BYTES];
};

static inline void program_path(const char *name, char path[4096])
{
    (void)snprintf(path, 4096, "%s/%s", MU_BIN_DIR, name);
}

static inline pid_t start(const char *name, const char *const *args, const char *out,
                          const char *err)
{
    char path[4096];
    char *argv[32] = {path};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    program_path(name, path);
    for (int i = 0; args[i] != NULL; i++) {
        assert_true(i < 30);
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(posix_spawn(&pid, path, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static inline int finish(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static inline void read_file(const char *path, char text[OUTPUT_BYTES])
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, OUTPUT_BYTES - 1, file);
    text[len] = '\0';
    (void)fclose(file);
}

/* A folder of this test, removed at its end with what is in it. */
struct place {
    char dir[64];
    char out[96], err[96], file[96], url[96];
};

static inline struct place place_make(void)
{
    struct place p;
    (void)snprintf(p.dir, sizeof p.dir, "/tmp/muster-cli-XXXXXX");
    assert_non_null(mkdtemp(p.dir));
    (void)snprintf(p.out, sizeof p.out, "%s/out", p.dir);
    (void)snprintf(p.err, sizeof p.err, "%s/err", p.dir);
    (void)snprintf(p.file, sizeof p.file, "%s/file", p.dir);
    (void)snprintf(p.url, sizeof p.url, "%s/url", p.dir);
    return p;
}

static inline void place_drop(const struct place *p)
{
    (void)unlink(p->out);
    (void)unlink(p->err);
    (void)unlink(p->file);
    (void)unlink(p->url);
    (void)rmdir(p->dir);
}

static inline struct result run(const char *name, const char *const *args)
{
    static struct result r;
    struct place p = place_make();
    r.status = finish(start(name, args, p.out, p.err));
    read_file(p.out, r.out);
    read_file(p.err, r.err);
    place_drop(&p);
    return r;
}

static inline int lines_of(const char *text)
{
    int lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

/* Refused with status 2 and exactly one line on stderr that holds `word`. */
static inline void refuses(const char *name, const char *const *args, const char *word)
{
    struct result r = run(name, args);
    if (r.status != 2 || lines_of(r.err) != 1 || strstr(r.err, word) == NULL)
        print_error("%s: status %d, stderr: %s", name, r.status, r.err);
    assert_int_equal(r.status, 2);
    assert_int_equal(lines_of(r.err), 1);
    assert_non_null(strstr(r.err, word));
}
#define REFUSES(name, word, ...) refuses(name, (const char *const[]){__VA_ARGS__, NULL}, word)

static inline void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void wait_for_url(const char *path, char url[128])
{
    for (int i = 0; i < 3000; i++) {
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            bool read = fgets(url, 128, file) != NULL;
            (void)fclose(file);
            url[strcspn(url, "\n")] = '\0';
            if (read)
                return;
        }
        (void)poll(NULL, 0, 10);
    }
    fail_msg("muster-kubesim does not serve");
}

#endif
