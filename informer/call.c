#include "informer/call.h"

#include <strings.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"

const char *mu_method_text(enum mu_method method)
{
    switch (method) {
    case MU_GET:
        return "GET";
    case MU_POST:
        return "POST";
    case MU_PUT:
        return "PUT";
    case MU_PATCH:
        return "PATCH";
    case MU_DELETE:
        return "DELETE";
    }
    MU_UNREACHABLE("a method outside its enum");
}

const char *mu_media_text(enum mu_media media)
{
    switch (media) {
    case MU_MEDIA_NONE:
        return "";
    case MU_MEDIA_PROTOBUF:
        return "application/vnd.kubernetes.protobuf";
    case MU_MEDIA_JSON:
        return "application/json";
    case MU_MEDIA_MERGE_PATCH:
        return "application/merge-patch+json";
    case MU_MEDIA_STRATEGIC_PATCH:
        return "application/strategic-merge-patch+json";
    case MU_MEDIA_JSON_PATCH:
        return "application/json-patch+json";
    case MU_MEDIA_APPLY_PATCH:
        return "application/apply-patch+yaml";
    case MU_MEDIA_YAML:
        return "application/yaml";
    case MU_MEDIA_TEXT:
        return "text/plain";
    }
    MU_UNREACHABLE("a media type outside its enum");
}

enum mu_media mu_http_media(struct mu_str content_type)
{
    struct mu_str type = content_type;
    const char *end = type.len == 0 ? NULL : memchr(type.data, ';', type.len);
    if (end != NULL)
        type.len = (uint32_t)(end - type.data);
    while (type.len > 0 && (type.data[type.len - 1] == ' ' || type.data[type.len - 1] == '\t'))
        type.len--;
    static const enum mu_media known[] = {
        MU_MEDIA_PROTOBUF,   MU_MEDIA_JSON,        MU_MEDIA_MERGE_PATCH, MU_MEDIA_STRATEGIC_PATCH,
        MU_MEDIA_JSON_PATCH, MU_MEDIA_APPLY_PATCH, MU_MEDIA_YAML};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *text = mu_media_text(known[i]);
        if (type.len == strlen(text) && strncasecmp(type.data, text, type.len) == 0)
            return known[i];
    }
    if (type.len > 5 && strncasecmp(type.data, "text/", 5) == 0)
        return MU_MEDIA_TEXT;
    return MU_MEDIA_NONE;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int mu_path_append_encoded(struct mu_buf *path, struct mu_str text)
{
    static const char HEX[] = "0123456789ABCDEF";
    uint32_t from = 0; /* start of the run that needs no encoding */
    for (uint32_t i = 0; i < text.len; i++) {
        if (is_unreserved(text.data[i]))
            continue;
        unsigned char c = (unsigned char)text.data[i];
        const char escape[3] = {'%', HEX[c >> 4], HEX[c & 15]};
        (void)mu_buf_append(path, text.data + from, i - from);
        (void)mu_buf_append(path, escape, sizeof escape);
        from = i + 1;
    }
    if (from < text.len)
        (void)mu_buf_append(path, text.data + from, text.len - from);
    return path->failed;
}

static void request_fini(struct mu_request *request)
{
    mu_buf_fini(&request->path);
    mu_buf_fini(&request->body);
}

/* Close the gap that the taken requests left; their buffers moved on with them. */
static void drop_taken(struct mu_outbox *outbox)
{
    outbox->count -= outbox->taken;
    if (outbox->count > 0)
        memmove(outbox->requests, outbox->requests + outbox->taken,
                outbox->count * sizeof outbox->requests[0]);
    outbox->taken = 0;
}

void mu_outbox_fini(struct mu_outbox *outbox)
{
    request_fini(&outbox->current);
    for (uint32_t i = outbox->taken; i < outbox->count; i++)
        request_fini(&outbox->requests[i]);
    mu_mem_free(outbox->requests);
    *outbox = (struct mu_outbox){.requests = NULL};
}

struct mu_request *mu_outbox_add(struct mu_outbox *outbox)
{
    MU_ASSERT(outbox->taken <= outbox->count && outbox->count <= outbox->cap);
    /* More than half of a full array is taken: moving the rest costs less than the taking did. */
    if (outbox->count == outbox->cap && outbox->taken > outbox->count / 2)
        drop_taken(outbox);
    if (outbox->count == outbox->cap) {
        void *array = outbox->requests;
        if (mu_mem_grow(&array, &outbox->cap, outbox->count + 1, MU_OUTBOX_MAX,
                        sizeof outbox->requests[0]) != 0)
            return NULL;
        outbox->requests = array;
    }
    struct mu_request *request = &outbox->requests[outbox->count++];
    *request = (struct mu_request){.token = 0};
    return request;
}

struct mu_request *mu_outbox_take(struct mu_outbox *outbox)
{
    MU_ASSERT(outbox->taken <= outbox->count);
    request_fini(&outbox->current);
    outbox->current = (struct mu_request){.token = 0};
    if (outbox->taken == outbox->count) {
        drop_taken(outbox); /* empty: start again at the front */
        return NULL;
    }
    outbox->current = outbox->requests[outbox->taken++];
    return &outbox->current;
}

bool mu_outbox_empty(const struct mu_outbox *outbox)
{
    return outbox->taken == outbox->count;
}
