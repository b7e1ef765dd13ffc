#ifndef MU_INFORMER_CODEC_NODE_PRIV_H
#define MU_INFORMER_CODEC_NODE_PRIV_H
/* A node on its way from views to struct mu_node_object. */
#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/object.h"
#include "informer/view_priv.h"

struct mu_node_reader {
    struct mu_arena *arena;
    struct mu_node_object *out;
    struct mu_error *warn;
    struct mu_error *error;
};

/* The rules, over the views: what mu_node_decode does once they are there. */
int mu_node_translate(const struct mu_view_node *view, struct mu_arena *arena,
                      struct mu_node_object *out, struct mu_error *warn, struct mu_error *error);

/* "node name: field[item]: expected". Keeps the first warning. */
void mu_node_warn(const struct mu_node_reader *r, const char *field, struct mu_str item,
                  const char *expected);

/* codec_device.c: the devices that are tracked one by one, from labels and allocatable. */
void mu_node_put_devices(struct mu_node_reader *r);

#endif
