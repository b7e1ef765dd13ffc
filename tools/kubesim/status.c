/* Answers: objects, and v1 Status for everything that went wrong. */
#include "tools/kubesim/api_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/json_object.h"
#include "tools/kubesim/limits.h"
#include "tools/kubesim/render.h"

/* Append the encoding of a message. */
static int pack(struct mu_buf *out, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    int code = mu_buf_reserve(out, size);
    if (code == 0) {
        out->len += protobuf_c_message_pack(message, out->data + out->len);
    }
    return code;
}

static int wrap(struct mu_buf *out, const char *api_version, const char *kind,
                const ProtobufCMessage *message)
{
    struct mu_buf raw = {0};
    int code = pack(&raw, message);
    if (code == 0) {
        code = mu_envelope_wrap(out, mu_str_of(api_version), mu_str_of(kind),
                                (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
    }
    mu_buf_fini(&raw);
    return code;
}

/* The last resort: an answer that needs no memory. */
static int plain_500(struct mu_call *call)
{
    mu_buf_fini(&call->response->body);
    call->response->body = (struct mu_buf){0};
    call->response->status = 500;
    call->response->media = MU_MEDIA_TEXT;
    return MU_ENOMEM;
}

int mu_api_respond_message(struct mu_call *call, int http, const char *api_version,
                           const char *kind, const ProtobufCMessage *message)
{
    struct mu_api_response *response = call->response;
    MU_ASSERT(response->body.len == 0);
    response->status = http;
    bool json = call->form.media != MU_MEDIA_PROTOBUF;
    response->media = json ? MU_MEDIA_JSON : MU_MEDIA_PROTOBUF;
    int code = json ? mu_json_message_write(&response->body, mu_str_of(api_version),
                                            mu_str_of(kind), message, NULL)
                    : wrap(&response->body, api_version, kind, message);
    return code == 0 ? 0 : plain_500(call);
}

int mu_api_not_acceptable(struct mu_call *call, const char *why)
{
    call->form = (struct mu_api_form){.media = MU_MEDIA_JSON};
    return mu_api_fail(call, 406, "NotAcceptable",
                       "only the following media types are accepted: application/json, "
                       "application/yaml, application/vnd.kubernetes.protobuf%s%s",
                       why[0] == '\0' ? "" : ": ", why);
}

bool mu_api_accepts(struct mu_call *call, unsigned offers)
{
    bool can = mu_api_negotiate(call->request->accept, offers, &call->form);
    if (!can) {
        (void)mu_api_not_acceptable(call, "");
    }
    return can;
}

int mu_api_respond_object(struct mu_call *call, int http, const struct mu_kobject *object)
{
    struct mu_api_response *response = call->response;
    struct mu_api_view view;
    int code = mu_api_view_of(call, &view);
    if (code != 0) {
        return code;
    }
    if (view.form.as == MU_AS_PARTIAL_LIST) {
        return mu_api_not_acceptable(call, "a list was asked for where there is one object");
    }
    MU_ASSERT(response->body.len == 0);
    response->status = http;
    if (mu_render_is_text(&view)) {
        response->media = MU_MEDIA_JSON;
        int64_t now_s = mu_render_now_s(call->server, call->now_ns);
        code = mu_render_object(call->server, &view, mu_kobject_raw(object), now_s, true,
                                &response->body);
        return code == 0 ? 0 : plain_500(call);
    }
    response->media = MU_MEDIA_PROTOBUF;
    struct mu_buf cut = {0};
    struct mu_str raw = mu_kobject_raw(object);
    if (view.form.as != MU_AS_ITSELF || view.api != NULL || mu_kinds[view.kind].show != NULL) {
        code = mu_render_object(call->server, &view, raw, 0, false, &cut);
        raw = (struct mu_str){(const char *)cut.data, (uint32_t)cut.len};
    }
    if (code == 0) {
        code = mu_envelope_wrap(&response->body, mu_str_of(mu_render_version(&view)),
                                mu_str_of(mu_render_kind(&view)), raw);
    }
    mu_buf_fini(&cut);
    return code == 0 ? 0 : plain_500(call);
}

/* protobuf-c's strings are not const, but packing only reads them. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* What a failure says beside its code. */
struct failure {
    int http;
    const char *reason;
    const char *message;
    const char *cause;
    const char *cause_message; /* NULL: as message */
    const char *field;
    int32_t retry_after_s;
    const struct mu_api_unknown *unknown; /* NULL: the route says what was asked for */
};

static void fail(struct mu_call *call, const struct failure *failure)
{
    Kube__Status status = KUBE__STATUS__INIT;
    Kube__StatusDetails details = KUBE__STATUS_DETAILS__INIT;
    Kube__StatusCause cause = KUBE__STATUS_CAUSE__INIT;
    Kube__StatusCause *causes[] = {&cause};
    Kube__ListMeta meta = KUBE__LIST_META__INIT;
    status.metadata = &meta;
    status.status = text("Failure");
    status.message = text(failure->message);
    status.reason = text(failure->reason);
    status.details = &details;
    status.has_code = 1;
    status.code = failure->http;
    if (failure->unknown != NULL) {
        details.name = text(failure->unknown->name);
        details.kind = text(failure->unknown->resource);
        details.group = text(failure->unknown->group);
    } else if (call->route.kind < MU_KIND_COUNT) {
        details.name = text(call->route.name.data); /* NUL-terminated, or NULL */
        /* Of what is invalid the kind is told, elsewhere the resource. */
        details.kind = text(failure->http == 422 ? mu_kinds[call->route.kind].kind
                                                 : mu_kinds[call->route.kind].plural);
        details.group = text(mu_kinds[call->route.kind].group);
    }
    if (failure->cause != NULL) {
        cause.reason = text(failure->cause);
        cause.message =
            text(failure->cause_message != NULL ? failure->cause_message : failure->message);
        cause.field = text(failure->field);
        details.n_causes = 1;
        details.causes = causes;
    }
    if (failure->retry_after_s > 0) {
        details.has_retryafterseconds = 1;
        details.retryafterseconds = failure->retry_after_s;
        call->response->retry_after_s = (uint32_t)failure->retry_after_s;
    }
    mu_buf_clear(&call->response->body);
    (void)mu_api_respond_message(call, failure->http, "v1", "Status", &status.base);
}

/* Where a message goes that the arena has no room for. */
struct words {
    char room[512];
};

/* The message, in the arena or in `words`, cut there. A refusal for lack of memory can be said
 * whatever there is; that its words are short is no reason to refuse anything. */
__attribute__((format(printf, 3, 0))) static const char *
print(struct mu_call *call, struct words *words, const char *format, va_list args)
{
    static const char cut[] = "...";
    va_list again;
    bool full = call->server->arena_full;
    va_copy(again, args);
    const char *whole = mu_api_vprint(call->server, format, args);
    call->server->arena_full = full;
    if (whole == NULL &&
        vsnprintf(words->room, sizeof words->room, format, again) >= (int)sizeof words->room) {
        memcpy(words->room + sizeof words->room - sizeof cut, cut, sizeof cut);
    }
    va_end(again);
    return whole != NULL ? whole : words->room;
}

__attribute__((format(printf, 3, 4))) static const char *
print_one(struct mu_call *call, struct words *words, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *message = print(call, words, format, args);
    va_end(args);
    return message;
}

int mu_api_fail(struct mu_call *call, int http, const char *reason, const char *format, ...)
{
    struct words words;
    va_list args;
    va_start(args, format);
    const char *message = print(call, &words, format, args);
    va_end(args);
    fail(call, &(struct failure){.http = http, .reason = reason, .message = message});
    return MU_EINVAL;
}

int mu_api_fail_cause(struct mu_call *call, int http, const char *reason, const char *cause,
                      const char *cause_message, int32_t retry_after_s, const char *format, ...)
{
    struct words words;
    va_list args;
    va_start(args, format);
    const char *message = print(call, &words, format, args);
    va_end(args);
    fail(call, &(struct failure){.http = http,
                                 .reason = reason,
                                 .message = message,
                                 .cause = cause,
                                 .cause_message = cause_message,
                                 .retry_after_s = retry_after_s});
    return MU_EINVAL;
}

void mu_api_fail_unknown(struct mu_call *call, const struct mu_api_unknown *unknown)
{
    fail(call, &(struct failure){.http = 404,
                                 .reason = "NotFound",
                                 .message = "the server could not find the requested resource",
                                 .unknown = unknown});
}

/* The cause's reason, by how the text about the field begins (apimachinery's field errors). */
static const char *cause_of(const char *about)
{
    static const struct {
        const char *begin, *reason;
    } causes[] = {{"Required value", "FieldValueRequired"},
                  {"Duplicate value", "FieldValueDuplicate"},
                  {"Unsupported value", "FieldValueNotSupported"},
                  {"Forbidden", "FieldValueForbidden"},
                  {"Too long", "FieldValueTooLong"},
                  {"Too many", "FieldValueTooMany"},
                  {"Not found", "FieldValueNotFound"}};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if (strncmp(about, causes[i].begin, strlen(causes[i].begin)) == 0) {
            return causes[i].reason;
        }
    }
    return "FieldValueInvalid";
}

int mu_api_invalid(struct mu_call *call, const char *field, const char *format, ...)
{
    if (call->server->arena_full) {
        return mu_api_no_room(call); /* what was looked at may lack a part */
    }
    struct words about_words;
    struct words words;
    va_list args;
    va_start(args, format);
    const char *about = print(call, &about_words, format, args);
    va_end(args);
    const char *message =
        print_one(call, &words, "%s \"%.*s\" is invalid: %s: %s", mu_kinds[call->route.kind].kind,
                  MU_STR_ARGS(call->route.name), field, about);
    fail(call, &(struct failure){.http = 422,
                                 .reason = "Invalid",
                                 .message = message,
                                 .cause = cause_of(about),
                                 .cause_message = about,
                                 .field = field});
    return MU_EINVAL;
}

int mu_api_too_large_version(struct mu_call *call, uint64_t version)
{
    char message[128];
    (void)snprintf(message, sizeof message,
                   "Too large resource version: %" PRIu64 ", current: %" PRIu64, version,
                   mu_store_version(call->server->store));
    fail(call, &(struct failure){.http = 504,
                                 .reason = "Timeout",
                                 .message = message,
                                 .cause = "ResourceVersionTooLarge",
                                 .retry_after_s = 1});
    return MU_EINVAL;
}

int mu_api_internal(struct mu_call *call, int code)
{
    return mu_api_fail(call, 500, "InternalError", "%s", mu_error_text(code));
}

int mu_api_no_room(struct mu_call *call)
{
    if (mu_arena_used_bytes(call->server->arena) <= MU_KUBESIM_DECODE_MAX / 2) {
        return mu_api_internal(call, MU_ENOMEM);
    }
    return mu_api_fail(call, 413, "RequestEntityTooLarge", "body: decodes to more than %u bytes",
                       MU_KUBESIM_DECODE_MAX);
}

int mu_api_success(struct mu_call *call, int http)
{
    Kube__Status status = KUBE__STATUS__INIT;
    Kube__ListMeta meta = KUBE__LIST_META__INIT;
    status.metadata = &meta;
    status.status = text("Success");
    status.has_code = 1;
    status.code = http;
    return mu_api_respond_message(call, http, "v1", "Status", &status.base);
}

int mu_api_status_pack(struct mu_buf *out, int http, const char *reason, const char *message,
                       const char *cause_reason)
{
    Kube__Status status = KUBE__STATUS__INIT;
    Kube__StatusDetails details = KUBE__STATUS_DETAILS__INIT;
    Kube__StatusCause cause = KUBE__STATUS_CAUSE__INIT;
    Kube__StatusCause *causes[] = {&cause};
    status.status = text("Failure");
    status.message = text(message);
    status.reason = text(reason);
    status.has_code = 1;
    status.code = http;
    if (cause_reason != NULL) {
        cause.reason = text(cause_reason);
        details.n_causes = 1;
        details.causes = causes;
        status.details = &details;
    }
    return pack(out, &status.base);
}
