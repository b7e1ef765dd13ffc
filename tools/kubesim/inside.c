/*
 * Changes that no client asked for: kubelets and controllers write through here. A call is made up
 * whose answer is dropped; the rules for clients (what may change, who may change it) do not apply.
 */
#include "tools/kubesim/api_priv.h"

#include "engine/base/assert.h"

void mu_inside_begin(struct mu_inside *inside, struct mu_apiserver *server, enum mu_kind_ix kind,
                     struct mu_str ns, struct mu_str name, uint64_t now_ns)
{
    *inside = (struct mu_inside){.response = {.status = 0}};
    mu_arena_reset(server->arena);
    server->arena_full = false;
    /* Answers print the names as NUL-terminated text. */
    ns = (struct mu_str){mu_api_text(server, ns), ns.len};
    name = (struct mu_str){mu_api_text(server, name), name.len};
    inside->call = (struct mu_call){.server = server,
                                    .request = &inside->request,
                                    .response = &inside->response,
                                    .now_ns = now_ns,
                                    .route = {.kind = kind, .ns = ns, .name = name}};
}

void mu_inside_end(struct mu_inside *inside)
{
    mu_buf_fini(&inside->response.body);
}

int mu_api_edit(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                struct mu_str name, uint64_t now_ns, mu_api_edit_fn edit, void *context)
{
    struct mu_kobject *object = mu_store_get(server->store, kind, ns, name);
    if (object == NULL) {
        return MU_ENOENT;
    }
    struct mu_inside inside;
    mu_inside_begin(&inside, server, kind, ns, name, now_ns);
    ProtobufCMessage *message =
        mu_api_unpack(server, mu_kinds[kind].descriptor, mu_kobject_raw(object));
    bool full = message == NULL || server->arena_full;
    int code = full ? MU_ENOMEM : edit(context, &inside.call, message);
    if (code == 0 && (server->arena_full || mu_api_store(&inside.call, kind, message, NULL) != 0)) {
        code = MU_ENOMEM;
    }
    mu_inside_end(&inside);
    return code;
}

int mu_api_remove(struct mu_apiserver *server, enum mu_kind_ix kind, struct mu_str ns,
                  struct mu_str name, struct mu_str uid, int64_t grace_s, uint64_t now_ns)
{
    struct mu_kobject *object = mu_store_get(server->store, kind, ns, name);
    if (object == NULL || !mu_str_equal(mu_kobject_uid(object), uid)) {
        return MU_ENOENT;
    }
    struct mu_inside inside;
    mu_inside_begin(&inside, server, kind, ns, name, now_ns);
    ProtobufCMessage *message =
        mu_api_unpack(server, mu_kinds[kind].descriptor, mu_kobject_raw(object));
    bool gone = false;
    struct mu_kobject *last = NULL;
    bool full = message == NULL || server->arena_full;
    int code = full ? MU_ENOMEM
                    : mu_api_remove_object(&inside.call, object, message, grace_s, &gone, &last);
    mu_kobject_unref(last);
    mu_inside_end(&inside);
    return code == 0 ? 0 : MU_ENOMEM;
}
