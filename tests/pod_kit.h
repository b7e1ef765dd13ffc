#ifndef MU_TESTS_POD_KIT_H
#define MU_TESTS_POD_KIT_H
/* A pod under construction for the translation tests. Requests are written as text:
 * "cpu=500m memory=1Gi". */
#include "engine/resource.h"
#include "tests/kube_fixture.h"

enum { CONTAINERS = 4, ENTRIES = 160 };

/* A pod under construction: everything that its messages point to. */
struct kit {
    Kube__Pod pod;
    Kube__ObjectMeta meta;
    Kube__PodSpec spec;
    Kube__PodStatus status;
    Kube__Container containers[2][CONTAINERS]; /* [1]: init */
    Kube__Container *container_list[2][CONTAINERS];
    Kube__ResourceRequirements needs[2][CONTAINERS];
    Kube__ContainerStatus statuses[2][CONTAINERS];
    Kube__ContainerStatus *status_list[2][CONTAINERS];
    Kube__ResourceRequirements actual[2][CONTAINERS];
    Kube__ResourceRequirements pod_needs, pod_actual;
    Kube__QuantityEntry entries[ENTRIES];
    Kube__QuantityEntry *entry_list[ENTRIES];
    Kube__Quantity quantities[ENTRIES];
    char text[ENTRIES][2][80];
    uint32_t entry_count;
    struct mu_arena *arena;
    struct mu_buf raw;
    struct mu_error warn, error;
    struct mu_pod_object out;
};

static inline struct kit *kit_create(void)
{
    struct kit *kit = mu_mem_zalloc(sizeof *kit);
    assert_non_null(kit);
    kube__pod__init(&kit->pod);
    kube__object_meta__init(&kit->meta);
    kube__pod_spec__init(&kit->spec);
    kube__pod_status__init(&kit->status);
    kube__resource_requirements__init(&kit->pod_needs);
    kube__resource_requirements__init(&kit->pod_actual);
    kit->pod.metadata = &kit->meta;
    kit->pod.spec = &kit->spec;
    kit->pod.status = &kit->status;
    kit->meta.name = FIXTURE_TEXT("p");
    kit->meta.namespace_ = FIXTURE_TEXT("ns");
    kit->meta.uid = FIXTURE_TEXT("u");
    kit->meta.resourceversion = FIXTURE_TEXT("5");
    kit->arena = mu_arena_create(16 << 20);
    assert_non_null(kit->arena);
    return kit;
}

static inline void kit_destroy(struct kit *kit)
{
    mu_buf_fini(&kit->raw);
    mu_arena_destroy(kit->arena);
    mu_mem_free(kit);
}

/* "name=quantity ..." as a map. */
static inline size_t kit_map(struct kit *kit, const char *text, Kube__QuantityEntry ***out)
{
    uint32_t first = kit->entry_count;
    int used;
    while (true) {
        uint32_t i = kit->entry_count;
        assert_true(i < ENTRIES);
        if (sscanf(text, " %79[^= ]=%79[^ ]%n", kit->text[i][0], kit->text[i][1], &used) != 2)
            break;
        text += used;
        kube__quantity_entry__init(&kit->entries[i]);
        kube__quantity__init(&kit->quantities[i]);
        kit->entries[i].key = kit->text[i][0];
        kit->entries[i].value = &kit->quantities[i];
        kit->quantities[i].string = kit->text[i][1];
        kit->entry_list[i] = &kit->entries[i];
        kit->entry_count++;
    }
    *out = &kit->entry_list[first];
    return kit->entry_count - first;
}

static inline Kube__Container *kit_container(struct kit *kit, bool init, const char *requests)
{
    size_t *count = init ? &kit->spec.n_initcontainers : &kit->spec.n_containers;
    static const char *const names[2][CONTAINERS] = {{"a0", "a1", "a2", "a3"},
                                                     {"i0", "i1", "i2", "i3"}};
    assert_true(*count < CONTAINERS);
    Kube__Container *c = &kit->containers[init][*count];
    Kube__ResourceRequirements *needs = &kit->needs[init][*count];
    kube__container__init(c);
    kube__resource_requirements__init(needs);
    needs->n_requests = kit_map(kit, requests, &needs->requests);
    c->name = FIXTURE_TEXT(names[init][*count]);
    c->resources = needs;
    kit->container_list[init][*count] = c;
    kit->spec.containers = kit->container_list[0];
    kit->spec.initcontainers = kit->container_list[1];
    ++*count;
    return c;
}

static inline void kit_sidecar(struct kit *kit, const char *requests)
{
    kit_container(kit, true, requests)->restartpolicy = FIXTURE_TEXT("Always");
}

/* Status of the container of that name; NULL: not reported. */
static inline void kit_status(struct kit *kit, bool init, const char *name, const char *allocated,
                              const char *actual)
{
    size_t *count = init ? &kit->status.n_initcontainerstatuses : &kit->status.n_containerstatuses;
    Kube__ContainerStatus *cs = &kit->statuses[init][*count];
    Kube__ResourceRequirements *used = &kit->actual[init][*count];
    kube__container_status__init(cs);
    kube__resource_requirements__init(used);
    cs->name = FIXTURE_TEXT(name);
    if (allocated != NULL)
        cs->n_allocatedresources = kit_map(kit, allocated, &cs->allocatedresources);
    if (actual != NULL) {
        used->n_requests = kit_map(kit, actual, &used->requests);
        cs->resources = used;
    }
    kit->status_list[init][*count] = cs;
    kit->status.containerstatuses = kit->status_list[0];
    kit->status.initcontainerstatuses = kit->status_list[1];
    ++*count;
}

static inline void kit_pod_level(struct kit *kit, const char *requests)
{
    kit->pod_needs.n_requests = kit_map(kit, requests, &kit->pod_needs.requests);
    kit->spec.resources = &kit->pod_needs;
}

static inline int kit_try(struct kit *kit)
{
    mu_buf_clear(&kit->raw);
    fixture_pack(&kit->raw, &kit->pod);
    mu_arena_reset(kit->arena);
    memset(&kit->out, 0, sizeof kit->out);
    kit->warn.text[0] = kit->error.text[0] = '\0';
    kit->warn.code = 1; /* decode must reset it */
    return mu_pod_decode(fixture_str(&kit->raw), kit->arena, &kit->out, &kit->warn, &kit->error);
}

static inline void kit_decode(struct kit *kit)
{
    int rc = kit_try(kit);
    if (rc != 0)
        fail_msg("%s: %s", mu_error_name(rc), kit->error.text);
}

static inline int64_t amount(const struct kit *kit, const char *name)
{
    for (uint32_t i = 0; i < kit->out.request_count; i++) {
        assert_true(kit->out.requests[i].value > 0);
        if (mu_str_equal(kit->out.requests[i].resource, mu_str_of(name)))
            return kit->out.requests[i].value;
    }
    return 0;
}

static inline void assert_clean(const struct kit *kit)
{
    if (kit->out.unbuilt != 0 || kit->warn.code != 0)
        fail_msg("unbuilt %#x, warning \"%s\"", kit->out.unbuilt, kit->warn.text);
}

#endif
