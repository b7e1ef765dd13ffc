#include "tools/muster/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "engine/base/assert.h"
#include "engine/base/str.h"

static void on_exit_cb(uv_process_t *process, int64_t exit_status, int term_signal)
{
    struct mu_child *child = process->data;
    child->ended = true;
    child->exit_status = exit_status;
    child->term_signal = term_signal;
    uv_close((uv_handle_t *)process, NULL);
    if (child->on_end != NULL)
        child->on_end(child->context, child);
}

static int own_path(char path[MU_CHILD_PATH_BYTES])
{
    size_t len = MU_CHILD_PATH_BYTES;
    return uv_exepath(path, &len);
}

/* The program of that name in this program's folder, and whether it can be run. */
static int sibling_path(const char *name, char path[MU_CHILD_PATH_BYTES])
{
    int rc = own_path(path);
    if (rc != 0)
        return rc;
    char *slash = strrchr(path, '/');
    size_t dir = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    if (dir + strlen(name) + 1 > MU_CHILD_PATH_BYTES)
        return UV_ENAMETOOLONG;
    memcpy(path + dir, name, strlen(name) + 1);
    return access(path, X_OK) == 0 ? 0 : uv_translate_sys_error(errno);
}

int mu_child_tether(int argc, char **argv)
{
    uint64_t parent;
    if (argc < 3 || !mu_str_to_u64(mu_str_of(argv[1]), &parent)) {
        (void)fprintf(stderr, "muster %s: for muster itself; expected PID PROGRAM [ARGUMENTS]\n",
                      argv[0]);
        return 2;
    }
    /* If the parent ended before the first call, the second one shows it: nobody would tell. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || (uint64_t)getppid() != parent)
        return 1;
    (void)execv(argv[2], argv + 2);
    (void)fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
    return 127;
}

static int spawn(uv_loop_t *loop, struct mu_child *child, char **args, int output)
{
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD}, {.flags = UV_INHERIT_FD}};
    stdio[1].data.fd = stdio[2].data.fd = output;
    uv_process_options_t options = {.exit_cb = on_exit_cb,
                                    .file = args[0],
                                    .args = args,
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = 3,
                                    .stdio = stdio};
    child->process.data = child;
    int rc = uv_spawn(loop, &child->process, &options);
    if (rc != 0)
        uv_close((uv_handle_t *)&child->process, NULL);
    return rc;
}

int mu_child_start(uv_loop_t *loop, struct mu_child *child, const char *name, char **argv,
                   bool tethered, const char *log_path, struct mu_error *error)
{
    char path[MU_CHILD_PATH_BYTES], self[MU_CHILD_PATH_BYTES], pid[24];
    char *args[MU_CHILD_ARGS_MAX + 4] = {self, MU_CHILD_TETHER, pid};
    int rc = own_path(self);
    if (rc == 0)
        rc = sibling_path(name, path);
    if (rc != 0)
        return mu_error_set(error, rc,
                            "%s: %s (expected it beside this program: build all targets)", name,
                            uv_strerror(rc));
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    argv[0] = path;
    for (size_t i = 0; argv[i] != NULL; i++) {
        MU_ASSERT(i < MU_CHILD_ARGS_MAX);
        args[3 + i] = argv[i];
    }
    int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return mu_error_set(error, MU_EIO, "%s: cannot write its log %s", name, log_path);
    child->name = name;
    (void)snprintf(child->log_path, sizeof child->log_path, "%s", log_path);
    rc = spawn(loop, child, tethered ? args : argv, fd);
    (void)close(fd);
    if (rc != 0)
        return mu_error_set(error, rc, "%s: %s", path, uv_strerror(rc));
    child->started = true;
    return 0;
}

void mu_child_end(struct mu_child *child, int signum)
{
    if (child->started && !child->ended)
        (void)uv_process_kill(&child->process, signum);
}

void mu_child_release(struct mu_child *child)
{
    if (!child->started || child->ended)
        return;
    child->ended = true;
    uv_close((uv_handle_t *)&child->process, NULL);
}

void mu_child_print_tail(const struct mu_child *child, unsigned lines)
{
    char text[8192];
    size_t name_len = strlen(child->name);
    FILE *file = fopen(child->log_path, "re");
    if (file == NULL)
        return;
    if (fseek(file, 0, SEEK_END) == 0) {
        long size = ftell(file);
        long from = size > (long)sizeof text - 1 ? size - (long)sizeof text + 1 : 0;
        (void)fseek(file, from, SEEK_SET);
    }
    size_t len = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    char *at = text + len;
    for (unsigned seen = 0; at > text; at--)
        if (at[-1] == '\n' && at != text + len && ++seen == lines)
            break;
    for (char *line = at; *line != '\0';) {
        char *end = strchr(line, '\n');
        int width = end == NULL ? (int)strlen(line) : (int)(end - line);
        bool named = strncmp(line, child->name, name_len) == 0 && line[name_len] == ':';
        (void)fprintf(stderr, "%s%s%.*s\n", named ? "" : child->name, named ? "" : ": ", width,
                      line);
        line += width + (end != NULL);
    }
}
