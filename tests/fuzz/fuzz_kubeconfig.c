/*
 * kubeconfigs: no input crashes, what is accepted keeps its promises, an error is one line that
 * begins with the file's name, and nothing leaks. The first line may choose a context ("#name"); an
 * input that begins with '!' says in its second byte which allocation fails.
 *
 * Files that an input names are read if they exist: only regular ones, and never written.
 *
 * libfyaml 0.7 loses a few kilobytes on some texts that are not YAML, so the sanitizer is told not
 * to look for leaks; our own memory is counted here instead.
 *
 * covers: informer/kubeconfig_yaml.c:-add_file,mu_kubeconfig_load,mu_kubeconfig_load_list
 * covers: informer/kubeconfig.c:-join,pod_url,pod_namespace,pod_read,mu_kubeconfig_in_cluster
 * covers: informer/server_url.c informer/secret.c
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/kubeconfig.h"
#include "informer/limits.h"
#include "informer/server_url.h"

enum { INPUT_BYTES_MAX = 1 << 16, CONTEXT_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sanitizer looks for this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void check_text(struct mu_str s)
{
    MU_ASSERT(s.len == 0 || s.data != NULL);
    MU_ASSERT(s.len == 0 || s.data[s.len] == '\0');
}

static void check_view(const struct mu_kubeconfig_view *v)
{
    MU_ASSERT(v->host.len > 0 && v->host.len <= MU_HOST_BYTES_MAX && v->port > 0);
    MU_ASSERT(v->path.len == 0 || (v->path.data[0] == '/' && v->path.len <= MU_SERVER_PATH_MAX &&
                                   v->path.data[v->path.len - 1] != '/'));
    MU_ASSERT((v->cert.len > 0) == (v->key.len > 0));
    MU_ASSERT(!v->insecure || v->ca.len == 0);
    MU_ASSERT(v->tls || (v->ca.len == 0 && v->cert.len == 0 && v->token.len == 0));
    MU_ASSERT(v->ca.len <= MU_CREDENTIAL_BYTES_MAX + MU_CONFIG_BYTES_MAX);
    MU_ASSERT(v->token.len <= MU_TOKEN_BYTES_MAX);
    for (uint32_t i = 0; i < v->token.len; i++)
        MU_ASSERT(v->token.data[i] > ' ' && v->token.data[i] < 0x7f);
    check_text(v->ca);
    check_text(v->cert);
    check_text(v->key);
    check_text(v->token);
    check_text(v->server_name);
    check_text(v->ns);
}

static void check_error(const struct mu_error *error, int status)
{
    MU_ASSERT(status < 0 && status == error->code);
    MU_ASSERT(status == MU_ENOMEM || strncmp(error->text, "fuzz:", 5) == 0);
    MU_ASSERT(strpbrk(error->text, "\r\n") == NULL);
}

/* The context of a first line "#name"; empty: the current one. */
static void read_context(struct mu_str text, char context[CONTEXT_BYTES])
{
    uint32_t len = 0;
    if (text.len > 0 && text.data[0] == '#') {
        const char *name = text.data + 1;
        while (len + 1 < text.len && len + 1 < CONTEXT_BYTES && name[len] != '\n' &&
               name[len] != '\0')
            len++;
        memcpy(context, name, len);
    }
    context[len] = '\0';
}

static void check_reload(struct mu_kubeconfig *config)
{
    struct mu_error error = {0, ""};
    struct mu_kubeconfig_view view = mu_kubeconfig_view(config);
    check_view(&view);
    int status = mu_kubeconfig_reload(config, &error);
    MU_ASSERT(view.may_change || status == 0);
    MU_ASSERT(status >= 0 || status == error.code);
    view = mu_kubeconfig_view(config);
    check_view(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return 0;
    struct mu_str text = {(const char *)data, (uint32_t)size};
    struct mu_mem_debug debug = {0};
    if (size > 1 && data[0] == '!') {
        debug.fail_nth = data[1];
        text = (struct mu_str){text.data + 2, text.len - 2};
    }
    char context[CONTEXT_BYTES];
    read_context(text, context);
    size_t live = mu_mem_live_bytes();
    struct mu_kubeconfig *config = NULL;
    struct mu_error error = {0, ""};
    mu_mem_debug_set(debug);
    int status = mu_kubeconfig_parse(text, "fuzz", "/nonexistent", context, &config, &error);
    if (status != 0) {
        check_error(&error, status);
        MU_ASSERT(config == NULL);
    } else {
        check_reload(config);
    }
    mu_mem_debug_set((struct mu_mem_debug){0});
    mu_kubeconfig_destroy(config);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
