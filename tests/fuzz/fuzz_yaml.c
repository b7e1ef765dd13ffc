/*
 * YAML as JSON trees: no input crashes, what is ours is freed, the tree is within its bounds, and
 * as JSON text it means the same. The first byte lets that allocation of ours fail.
 *
 * libfyaml 0.7 loses a few kilobytes on some texts that are not YAML, so the sanitizer is told not
 * to look for leaks; our own memory is counted here instead.
 *
 * covers: informer/yaml_json.c informer/yaml_events.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/limits.h"
#include "informer/yaml_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The sanitizer looks for this name. NOLINTNEXTLINE(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static void check_depth(const json_t *value, uint32_t depth)
{
    const char *key;
    json_t *member;
    MU_ASSERT(depth <= MU_YAML_DEPTH_MAX + 1);
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        check_depth(member, depth + 1);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        check_depth(json_array_get(value, i), depth + 1);
}

/* JSON is YAML: the tree's text must read as the same tree. */
static void check_text(const json_t *documents)
{
    json_t *again = NULL;
    struct mu_error error = {0, ""};
    const json_t *document = json_array_get(documents, 0);
    char *text = json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL)
        return;
    if (mu_json_value_read(mu_str_of(text), &again, NULL, &error) == 0)
        MU_ASSERT(json_equal(again, document) || strchr(text, '.') != NULL ||
                  strchr(text, 'e') != NULL);
    json_decref(again);
    mu_mem_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 16)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct mu_str text = {(const char *)data + 1, (uint32_t)size - 1};
    json_t *documents = NULL;
    struct mu_json_problems problems = {0};
    struct mu_error error = {0, ""};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = data[0]});
    int status = mu_yaml_read(text, "fuzz.yaml", &documents, &problems, &error);
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT((status == 0) == (documents != NULL));
    MU_ASSERT(status == 0 || strncmp(error.text, "fuzz.yaml:", 10) == 0);
    if (status == 0) {
        MU_ASSERT(json_array_size(documents) <= MU_YAML_DOCUMENTS_MAX);
        check_depth(documents, 0);
        check_text(documents);
    }
    json_decref(documents);
    mu_json_problems_fini(&problems);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
