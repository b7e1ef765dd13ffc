#include "tools/workload/machine.h"

#include "engine/base/assert.h"
#include "informer/codec.h"

#define PODS_PER_NODE 110
#define GPU_MILLIS    1000

/* Its GPUs as devices that are tracked one by one: the last two labels, and what they mean. */
static void track(struct mu_node_object *node, uint32_t gpus)
{
    node->label_count += 2;
    node->device_resource = MU_STR(MU_GPU_RESOURCE);
    node->device_count = gpus;
    node->devices_whole = true;
}

int mu_workload_add_machine(struct mu_workload *workload, const struct mu_machine *machine,
                            const char *where, struct mu_error *error)
{
    const struct mu_amount amounts[] = {
        {MU_STR("cpu"), machine->cpu_millis},
        {MU_STR("memory"), machine->memory_bytes},
        {MU_STR("pods"), PODS_PER_NODE},
        {MU_STR(MU_GPU_RESOURCE), machine->gpus},
    };
    const struct mu_label hostname = {MU_STR("kubernetes.io/hostname"), machine->name};
    const struct mu_label sharing = {MU_STR(MU_SHARING_LABEL), MU_STR("true")};
    const struct mu_label honored = {MU_STR(MU_DEVICE_LABEL), MU_STR("honored")};
    struct mu_label labels[4] = {hostname, sharing, honored};
    const struct mu_taint training = {MU_STR(MU_DEDICATED_TAINT), MU_STR(MU_DEDICATED_TRAINING),
                                      MU_EFFECT_NO_SCHEDULE};
    struct mu_node_object node = {
        .name = machine->name,
        .labels = labels,
        .label_count = 1,
        .taints = &training,
        .taint_count = machine->for_training ? 1 : 0,
        .allocatable = amounts,
        .allocatable_count = machine->gpus > 0 ? 4 : 3,
    };
    if (machine->model.len > 0) {
        labels[1] = (struct mu_label){MU_STR(MU_GPU_MODEL_LABEL), machine->model};
        labels[2] = sharing;
        labels[3] = honored;
        node.label_count = 2;
    }
    if (machine->gpus > 0 && machine->gpus <= MU_DEVICES_PER_NODE)
        track(&node, machine->gpus);
    return mu_workload_add_node(workload, &node, where, error);
}

struct mu_amount mu_gpu_request(int64_t millis)
{
    MU_ASSERT(millis > 0 && (millis < GPU_MILLIS || millis % GPU_MILLIS == 0));
    if (millis < GPU_MILLIS)
        return (struct mu_amount){MU_STR(MU_GPU_SHARE_RESOURCE), millis};
    return (struct mu_amount){MU_STR(MU_GPU_RESOURCE), millis / GPU_MILLIS};
}
