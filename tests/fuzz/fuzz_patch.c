/*
 * Patches: no input crashes or leaks, the patch is left as it is, what a JSON patch makes is within
 * its bounds, and merging the same again changes nothing.
 *
 * Input: which patch, which allocation fails, then the target and the patch as JSON, a NUL between.
 *
 * covers: tools/kubesim/patch.c tools/kubesim/patch_strategic.c
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/json_read.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/patch.h"
#include "tools/kubesim/schema/pod.pb-c.h"

enum kind { MERGE, JSON, STRATEGIC, KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(enum kind kind, json_t **target, const json_t *patch)
{
    struct mu_error error = {0, ""};
    int status;
    if (kind == MERGE)
        status = mu_patch_merge(target, patch, &error);
    else if (kind == JSON)
        status = mu_patch_json(target, patch, &error);
    else
        status = mu_patch_strategic(target, patch, &kubeapi__pod__descriptor, &error);
    MU_ASSERT(status == 0 || status == MU_EINVAL || status == MU_ELIMIT || status == MU_ENOMEM);
    MU_ASSERT(status == 0 || error.code == status);
    return status;
}

static void check(enum kind kind, uint8_t fail_nth, json_t **target, const json_t *patch)
{
    json_t *before = json_deep_copy(patch);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = fail_nth});
    int status = apply(kind, target, patch);
    mu_mem_debug_set((struct mu_mem_debug){0});
    MU_ASSERT(json_equal(before, patch));
    MU_ASSERT(kind != JSON || mu_patch_depth(*target) <= MU_KUBESIM_PATCH_DEPTH);
    if (status == 0 && kind == MERGE) {
        json_t *once = json_deep_copy(*target);
        MU_ASSERT(apply(kind, target, patch) == 0 && json_equal(once, *target));
        json_decref(once);
    }
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *middle = size < 3 ? NULL : memchr(data + 2, 0, size - 2);
    if (middle == NULL || size > 1 << 15)
        return 0;
    size_t live = mu_mem_live_bytes();
    struct mu_str first = {(const char *)data + 2, (uint32_t)(middle - data - 2)};
    struct mu_str second = {(const char *)middle + 1,
                            (uint32_t)(size - (size_t)(middle - data) - 1)};
    struct mu_error error = {0, ""};
    json_t *target = NULL;
    json_t *patch = NULL;
    bool parsed = mu_json_value_read(first, &target, NULL, &error) == 0 &&
                  mu_json_value_read(second, &patch, NULL, &error) == 0;
    /* Stored objects and patches are this deep at most, patch_object.c sees to it. */
    if (parsed && mu_patch_depth(target) <= MU_KUBESIM_PATCH_DEPTH / 2 &&
        mu_patch_depth(patch) <= MU_KUBESIM_PATCH_DEPTH)
        check(data[0] % KINDS, data[1], &target, patch);
    json_decref(target);
    json_decref(patch);
    MU_ASSERT(mu_mem_live_bytes() == live);
    return 0;
}
