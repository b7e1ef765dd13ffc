#include "engine/resource.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"

/*
 * The registry is one block with room for every name it may ever hold: at most 32 names of at most
 * 317 bytes make a search table dearer than the scan it would save, and a block that never moves
 * lets any thread read names.
 *
 * count  writer: the one that interns; readers: any; release here pairs with acquire in
 *        mu_resource_count and mu_resource_find, so that a name below the count is complete.
 */
struct mu_resources {
    _Atomic uint32_t count;
    uint32_t len[MU_RESOURCES_MAX];
    char text[MU_RESOURCES_MAX][MU_RESOURCE_NAME_BYTES_MAX];
};

static void append(struct mu_resources *r, struct mu_str name)
{
    uint32_t ix = atomic_load_explicit(&r->count, memory_order_relaxed);
    MU_ASSERT(ix < MU_RESOURCES_MAX && name.len <= MU_RESOURCE_NAME_BYTES_MAX);
    memcpy(r->text[ix], name.data, name.len);
    r->len[ix] = name.len;
    atomic_store_explicit(&r->count, ix + 1, memory_order_release);
}

struct mu_resources *mu_resources_create(void)
{
    struct mu_resources *r = mu_mem_zalloc(sizeof *r);
    if (r == NULL)
        return NULL;
    append(r, MU_STR("cpu"));
    append(r, MU_STR("memory"));
    append(r, MU_STR("ephemeral-storage"));
    append(r, MU_STR("pods"));
    MU_ASSERT(mu_resource_count(r) == MU_RES_EXTENDED);
    return r;
}

void mu_resources_destroy(struct mu_resources *resources)
{
    mu_mem_free(resources);
}

bool mu_resource_find(const struct mu_resources *resources, struct mu_str name,
                      struct mu_resource_ix *out)
{
    uint32_t count = mu_resource_count(resources);
    for (uint32_t i = 0; i < count; i++) {
        if (mu_str_equal(mu_resource_name(resources, (struct mu_resource_ix){i}), name)) {
            out->v = i;
            return true;
        }
    }
    return false;
}

int mu_resource_intern(struct mu_resources *resources, struct mu_str name,
                       struct mu_resource_ix *out)
{
    if (name.len == 0 || name.len > MU_RESOURCE_NAME_BYTES_MAX)
        return MU_EINVAL;
    if (mu_resource_find(resources, name, out))
        return 0;
    uint32_t count = mu_resource_count(resources);
    if (count == MU_RESOURCES_MAX)
        return MU_ELIMIT;
    append(resources, name);
    out->v = count;
    return 0;
}

struct mu_str mu_resource_name(const struct mu_resources *resources, struct mu_resource_ix ix)
{
    MU_ASSERT(ix.v < MU_RESOURCES_MAX && resources->len[ix.v] != 0);
    return (struct mu_str){resources->text[ix.v], resources->len[ix.v]};
}

uint32_t mu_resource_count(const struct mu_resources *resources)
{
    return atomic_load_explicit(&resources->count, memory_order_acquire);
}
