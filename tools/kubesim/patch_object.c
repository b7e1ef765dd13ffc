/*
 * A PATCH request: stored bytes ─▶ JSON ─▶ tree, patched ─▶ message of the schema ─▶ message of the
 * rules. By way of JSON, as on the real server: patches are about the fields that clients see.
 */
#include "engine/base/assert.h"
#include "informer/json_object.h"
#include "tools/kubesim/body.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/patch.h"

/* Everything that one patch takes. */
struct work {
    enum mu_media media;
    enum mu_strictness strictness;
    struct mu_body_form form;
    struct mu_json_problems problems;
    json_t *patch;
    json_t *before; /* the object as it is */
    json_t *after;  /* a copy, which is patched */
};

int mu_patch_check_media(struct mu_call *call)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    switch (call->request->content) {
    case MU_MEDIA_MERGE_PATCH:
    case MU_MEDIA_JSON_PATCH:
        return 0;
    case MU_MEDIA_STRATEGIC_PATCH:
        if (!kind->json_only)
            return 0;
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "%s is a custom resource: expected application/merge-patch+json or "
                           "application/json-patch+json",
                           kind->plural);
    case MU_MEDIA_APPLY_PATCH:
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "this server has no server-side apply: expected "
                           "application/strategic-merge-patch+json, "
                           "application/merge-patch+json or application/json-patch+json");
    default:
        return mu_api_fail(call, 415, "UnsupportedMediaType",
                           "body: expected application/strategic-merge-patch+json, "
                           "application/merge-patch+json or application/json-patch+json");
    }
}

/* The patch as a tree. */
static int read_patch(struct mu_call *call, struct work *work)
{
    struct mu_error error = {0, ""};
    struct mu_json_problems *problems = work->strictness == MU_IGNORE ? NULL : &work->problems;
    if (call->request->body.len > MU_KUBESIM_BODY_MAX)
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "body: longer than %u bytes",
                           MU_KUBESIM_BODY_MAX);
    int status = mu_json_value_read(call->request->body, &work->patch, problems, &error);
    if (status == MU_EINVAL)
        return mu_api_fail(call, 400, "BadRequest", "patch: %s", error.text);
    if (status != 0)
        return mu_api_internal(call, status);
    if (work->media != MU_MEDIA_JSON_PATCH && !json_is_object(work->patch))
        return mu_api_fail(call, 400, "BadRequest", "patch: expected a JSON object");
    if (mu_patch_depth(work->patch) > MU_KUBESIM_PATCH_DEPTH)
        return mu_api_fail(call, 400, "BadRequest", "patch: nested deeper than %u",
                           MU_KUBESIM_PATCH_DEPTH);
    return 0;
}

/* The stored object as a tree, and a copy of it. */
static int read_stored(struct mu_call *call, struct mu_str stored, struct work *work)
{
    const struct mu_kind *kind = &mu_kinds[call->route.kind];
    struct mu_str served = {NULL, 0};
    struct mu_buf text = {0};
    struct mu_error error = {0, ""};
    int code = mu_body_to_served(call, stored, &served);
    if (code != 0)
        return code;
    ProtobufCMessage *message = mu_api_unpack(call->server, work->form.schema, served);
    int status = message == NULL ? MU_ENOMEM
                                 : mu_json_message_write(&text, mu_str_of(work->form.api_version),
                                                         mu_str_of(kind->kind), message, &error);
    struct mu_str json = {(const char *)text.data, (uint32_t)text.len};
    if (status == 0)
        status = mu_json_text_read(json, &work->before, NULL, &error);
    mu_buf_fini(&text);
    work->after = status == 0 ? json_deep_copy(work->before) : NULL;
    return work->after == NULL ? mu_api_internal(call, status != 0 ? status : MU_ENOMEM) : 0;
}

static int apply(struct mu_call *call, struct work *work)
{
    struct mu_error error = {0, ""};
    int status;
    if (work->media == MU_MEDIA_JSON_PATCH)
        status = mu_patch_json(&work->after, work->patch, &error);
    else if (work->media == MU_MEDIA_MERGE_PATCH)
        status = mu_patch_merge(&work->after, work->patch, &error);
    else
        status = mu_patch_strategic(&work->after, work->patch, work->form.schema, &error);
    if (status == MU_EINVAL)
        return mu_api_fail(call, 422, "Invalid", "patch: %s", error.text);
    if (status == MU_ELIMIT)
        return mu_api_fail(call, 413, "RequestEntityTooLarge", "patch: %s", error.text);
    return status != 0 ? mu_api_internal(call, status) : 0;
}

/* What the patch made of the object, as a message. */
static int read_patched(struct mu_call *call, struct work *work, ProtobufCMessage **after)
{
    struct mu_error error = {0, ""};
    struct mu_json_problems *problems = work->strictness == MU_IGNORE ? NULL : &work->problems;
    struct mu_str served = {NULL, 0};
    ProtobufCMessage *message = mu_api_new(call->server, work->form.schema);
    int status = message == NULL ? MU_ENOMEM
                                 : mu_json_message_read(message, work->after, call->server->arena,
                                                        problems, &error);
    if (status == MU_EINVAL)
        return mu_api_fail(call, 422, "Invalid", "patch: %s", error.text);
    if (status != 0)
        return mu_api_internal(call, status);
    if (work->problems.count > 0 && work->strictness == MU_STRICT) {
        const char *text = mu_body_strict_text(call, &work->problems);
        return text == NULL ? mu_api_internal(call, MU_ENOMEM)
                            : mu_api_fail(call, 422, "Invalid", "patch: %s", text);
    }
    int code = mu_body_warn(call, &work->problems);
    if (code == 0)
        code = mu_body_encode(call, message, &served);
    return code != 0 ? code : mu_body_to_stored(call, served, after);
}

int mu_patch_object(struct mu_call *call, struct mu_str stored, ProtobufCMessage **after)
{
    struct work work = {.media = call->request->content, .form = mu_body_form_of(call)};
    int code = mu_body_strictness(call, &work.strictness);
    if (code == 0)
        code = read_patch(call, &work);
    if (code == 0)
        code = read_stored(call, stored, &work);
    if (code == 0)
        code = apply(call, &work);
    *after = NULL;
    /* An object that came as protobuf may spell emptiness in more bytes than we would: what changes
     * nothing must leave them alone, or every no-op would be a new version. */
    if (code == 0 && !json_equal(work.before, work.after))
        code = read_patched(call, &work, after);
    MU_ASSERT(code != 0 || *after == NULL || (*after)->descriptor != NULL);
    json_decref(work.patch);
    json_decref(work.before);
    json_decref(work.after);
    mu_json_problems_fini(&work.problems);
    return code;
}
