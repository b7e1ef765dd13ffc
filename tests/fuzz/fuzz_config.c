/*
 * Configuration: no input crashes, the tree is within its bounds, every question has an answer.
 *
 * libfyaml 0.7 loses a few kilobytes on some texts that are not YAML (many single quotes, then a
 * tab), so the sanitizer is told not to look for leaks; our own memory is counted here instead.
 *
 * covers: informer/config.c:-mu_config_load informer/config_yaml.c
 * covers: informer/config_profile.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/config_profile.h"
#include "informer/limits.h"

enum { INPUT_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sanitizer looks for this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* Depth: MU_CONFIG_DEPTH_MAX. Returns how many nodes there are. */
static uint32_t check_tree(const struct mu_config_node *node, uint32_t depth)
{
    MU_ASSERT(depth <= MU_CONFIG_DEPTH_MAX && node->line > 0 && node->column > 0);
    MU_ASSERT(node->kind != MU_CONFIG_SCALAR || node->child == NULL);
    MU_ASSERT(node->text.len == 0 || memchr(node->text.data, '\0', node->text.len) == NULL);
    MU_ASSERT(node->text.data == NULL || node->text.data[node->text.len] == '\0');
    uint32_t children = 0;
    uint32_t nodes = 1;
    for (const struct mu_config_node *child = node->child; child != NULL; child = child->next) {
        nodes += check_tree(child, depth + 1);
        children++;
        for (const struct mu_config_node *other = node->child;
             node->kind == MU_CONFIG_MAPPING && other != child; other = other->next)
            MU_ASSERT(!mu_str_equal(other->key, child->key));
    }
    MU_ASSERT(children == node->count);
    return nodes;
}

/* What is taken is within its bounds; what is not leaves no trace. */
static void ask_profiles(struct mu_config *config)
{
    static struct mu_profile_set set;
    struct mu_error error;
    set.count = 0;
    int status = mu_config_profiles(config, mu_config_root(config), &set, &error);
    MU_ASSERT(status == 0 || set.count == 0);
    for (uint32_t n = 0; n < set.count; n++)
        MU_ASSERT(mu_profile_check(&set.profiles[n], &error) == 0);
}

static void ask(struct mu_config *config)
{
    static const char *const choices[] = {"spread", "pack", NULL};
    struct mu_config_node *root = mu_config_root(config), *child = NULL;
    struct mu_error error;
    struct mu_str text;
    uint64_t number = 7;
    uint32_t choice;
    bool truth;
    if (mu_config_u64(config, root, "a", 0, 9, &number, &error) != 0)
        MU_ASSERT(error.code == MU_EINVAL || error.code == MU_ENOMEM);
    MU_ASSERT(number <= 9);
    (void)mu_config_duration_ns(config, root, "a", UINT64_MAX, &number, &error);
    (void)mu_config_bool(config, root, "b", &truth, &error);
    (void)mu_config_choice(config, root, "b", choices, &choice, &error);
    (void)mu_config_text(config, root, "c", &text, &error);
    (void)mu_config_sequence(config, root, "d", &child, &error);
    if (mu_config_mapping(config, root, "d", &child, &error) == 0 && child != NULL)
        (void)mu_config_find(config, child, "a");
    (void)mu_config_node_text(config, root, &text, &error);
    (void)mu_config_is_null(root);
    ask_profiles(config);
    int status = mu_config_finish(config, &error);
    MU_ASSERT(status == 0 || (status < 0 && error.code == status));
}

/* An input that begins with '!' says in its second byte which allocation fails. */
static struct mu_str take_order(struct mu_str input)
{
    if (input.len < 2 || input.data[0] != '!')
        return input;
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = (uint8_t)input.data[1]});
    return (struct mu_str){input.data + 2, input.len - 2};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct mu_config *config = NULL;
    struct mu_error error = {0, ""};
    struct mu_str text = take_order((struct mu_str){(const char *)data, (uint32_t)size});
    int status = mu_config_parse(text, "fuzz.yaml", &config, &error);
    if (status != 0) {
        mu_mem_debug_set((struct mu_mem_debug){0});
        MU_ASSERT(status == error.code && config == NULL);
        MU_ASSERT(status == MU_ENOMEM || strncmp(error.text, "fuzz.yaml:", 10) == 0);
        MU_ASSERT(mu_mem_live_bytes() == live);
        return 0;
    }
    MU_ASSERT(mu_config_root(config)->kind == MU_CONFIG_MAPPING);
    MU_ASSERT(check_tree(mu_config_root(config), 0) <= MU_CONFIG_NODES_MAX);
    ask(config);
    mu_config_destroy(config);
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
