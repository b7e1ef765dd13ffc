#include "informer/call.h"

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
    MU_ASSERT(!"method");
    return "";
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
    case MU_MEDIA_TEXT:
        return "text/plain";
    }
    MU_ASSERT(!"media");
    return "";
}

static void request_fini(struct mu_request *request)
{
    mu_buf_fini(&request->path);
    mu_buf_fini(&request->body);
}

/* Free the requests that were handed out and close the gap. */
static void drop_taken(struct mu_outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->taken; i++)
        request_fini(&outbox->requests[i]);
    outbox->count -= outbox->taken;
    memmove(outbox->requests, outbox->requests + outbox->taken,
            outbox->count * sizeof outbox->requests[0]);
    outbox->taken = 0;
}

void mu_outbox_fini(struct mu_outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->count; i++)
        request_fini(&outbox->requests[i]);
    mu_mem_free(outbox->requests);
    *outbox = (struct mu_outbox){NULL, 0, 0, 0};
}

struct mu_request *mu_outbox_add(struct mu_outbox *outbox)
{
    /* Half of a full array taken: moving the rest costs no more than the taking did. */
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
    if (outbox->taken == outbox->count) {
        if (outbox->count > 0)
            drop_taken(outbox); /* empty: start again at the front */
        return NULL;
    }
    return &outbox->requests[outbox->taken++];
}

bool mu_outbox_empty(const struct mu_outbox *outbox)
{
    return outbox->taken == outbox->count;
}
