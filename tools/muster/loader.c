#include "tools/muster/loader.h"
#include "engine/base/assert.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/codec.h"

#define RETRY_NS          (100 * MU_NS_PER_MS)
#define TIMEOUT_NS        (30 * MU_NS_PER_S)
#define ANSWER_BYTES_KEPT 4096u

enum load_state { LOAD_FRESH, LOAD_SENT, LOAD_RETRY, LOAD_DONE };

struct load_item {
    uint8_t state;
    bool repeated; /* a 409 may be our own first attempt */
    uint16_t status;
    uint32_t slot; /* SENT: of the answer's buffer */
};

/* The start of an answer's body: only a refusal's words are read. */
struct load_slot {
    struct mu_buf answer;
    uint32_t next_free;
};

struct mu_loader {
    struct mu_loader_config config;
    struct load_item *items;
    struct load_slot *slots;
    uint32_t slot_free;
    uint32_t next; /* first that was not sent yet */
    uint32_t in_flight;
    uint32_t created;
    uint32_t *retries; /* stack of items to send again */
    uint32_t retry_count;
    uint64_t retry_ns; /* not before */
    struct mu_error failure;
};

struct mu_loader *mu_loader_create(const struct mu_loader_config *config)
{
    struct mu_loader *l = mu_mem_zalloc(sizeof *l);
    if (l == NULL)
        return NULL;
    l->config = *config;
    if (l->config.in_flight_max == 0)
        l->config.in_flight_max = 256;
    l->items = mu_mem_calloc((size_t)config->count + 1, sizeof *l->items);
    l->retries = mu_mem_calloc(l->config.in_flight_max, sizeof *l->retries);
    l->slots = mu_mem_calloc(l->config.in_flight_max, sizeof *l->slots);
    if (l->items == NULL || l->retries == NULL || l->slots == NULL) {
        mu_loader_destroy(l);
        return NULL;
    }
    for (uint32_t i = 0; i < l->config.in_flight_max; i++)
        l->slots[i].next_free = i + 1;
    return l;
}

void mu_loader_destroy(struct mu_loader *l)
{
    if (l == NULL)
        return;
    for (uint32_t i = 0; l->slots != NULL && i < l->config.in_flight_max; i++)
        mu_buf_fini(&l->slots[i].answer);
    mu_mem_free(l->slots);
    mu_mem_free(l->retries);
    mu_mem_free(l->items);
    mu_mem_free(l);
}

static void send_item(struct mu_loader *l, uint32_t i, uint64_t now_ns, struct mu_outbox *out)
{
    struct mu_request *request = mu_outbox_add(out);
    int rc = request == NULL ? MU_ENOMEM : 0;
    if (rc == 0) {
        if (!l->items[i].repeated && l->config.sending != NULL)
            l->config.sending(l->config.context, i, now_ns);
        request->token = l->config.token_base + i;
        request->method = MU_POST;
        request->content = MU_MEDIA_PROTOBUF;
        request->timeout_ns = TIMEOUT_NS;
        rc = l->config.encode(l->config.context, i, &request->path, &request->body);
    }
    if (rc != 0) {
        (void)mu_error_set(&l->failure, rc, "object %u could not be encoded: %s", i,
                           mu_error_text(rc));
        return;
    }
    l->items[i].slot = l->slot_free;
    MU_ASSERT(l->items[i].slot < l->config.in_flight_max);
    l->slot_free = l->slots[l->items[i].slot].next_free;
    mu_buf_clear(&l->slots[l->items[i].slot].answer);
    l->items[i].state = LOAD_SENT;
    l->items[i].status = 0;
    l->in_flight++;
}

/* When the next fresh object may go; UINT64_MAX: there is none. */
static uint64_t fresh_ns(const struct mu_loader *l)
{
    if (l->next == l->config.count)
        return UINT64_MAX;
    return l->config.due_ns == NULL ? 0 : l->config.due_ns(l->config.context, l->next);
}

void mu_loader_tick(struct mu_loader *l, uint64_t now_ns, struct mu_outbox *out)
{
    while (l->failure.code == 0 && l->in_flight < l->config.in_flight_max) {
        if (l->retry_count > 0) {
            if (now_ns < l->retry_ns)
                return;
            send_item(l, l->retries[--l->retry_count], now_ns, out);
        } else {
            if (now_ns < fresh_ns(l))
                return;
            send_item(l, l->next++, now_ns, out);
        }
    }
}

static void judge(struct mu_loader *l, uint32_t i, uint64_t now_ns, bool lost)
{
    struct load_item *item = &l->items[i];
    struct load_slot *slot = &l->slots[item->slot];
    bool ok = item->status == 201 || item->status == 200 || (item->status == 409 && item->repeated);
    bool again = lost || item->status == 429 || item->status >= 500;
    l->in_flight--;
    if (ok && !lost) {
        item->state = LOAD_DONE;
        l->created++;
    } else if (again) {
        item->state = LOAD_RETRY;
        item->repeated = true;
        l->retries[l->retry_count++] = i;
        l->retry_ns = now_ns + RETRY_NS;
    } else if (l->failure.code == 0) {
        struct mu_arena *arena = mu_arena_create(1u << 20);
        struct mu_status status = {0};
        struct mu_str body = {(const char *)slot->answer.data, (uint32_t)slot->answer.len};
        if (arena == NULL || mu_status_decode(body, arena, &status) != 0)
            status.message = MU_STR("no reason given");
        (void)mu_error_set(&l->failure, MU_EPROTO, "object %u refused with HTTP %u: %.*s", i,
                           item->status, MU_STR_ARGS(status.message));
        mu_arena_destroy(arena);
    }
    slot->next_free = l->slot_free;
    l->slot_free = item->slot;
}

bool mu_loader_reply(struct mu_loader *l, const struct mu_reply *reply, uint64_t now_ns,
                     struct mu_outbox *out)
{
    if (reply->token < l->config.token_base ||
        reply->token - l->config.token_base >= l->config.count)
        return false;
    uint32_t i = (uint32_t)(reply->token - l->config.token_base);
    struct load_item *item = &l->items[i];
    if (item->state != LOAD_SENT)
        return true;
    struct mu_buf *answer = &l->slots[item->slot].answer;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        item->status = (uint16_t)reply->status;
        break;
    case MU_REPLY_DATA:
        if (answer->len + reply->data.len <= ANSWER_BYTES_KEPT)
            (void)mu_buf_append_str(answer, reply->data);
        break;
    case MU_REPLY_END:
    case MU_REPLY_LOST:
        judge(l, i, now_ns, reply->kind == MU_REPLY_LOST);
        mu_loader_tick(l, now_ns, out);
        break;
    }
    return true;
}

uint64_t mu_loader_next_ns(const struct mu_loader *l)
{
    if (l->failure.code != 0 || l->in_flight == l->config.in_flight_max)
        return UINT64_MAX;
    return l->retry_count > 0 ? l->retry_ns : fresh_ns(l);
}

uint32_t mu_loader_created(const struct mu_loader *l)
{
    return l->created;
}

bool mu_loader_done(const struct mu_loader *l)
{
    return l->failure.code != 0 || l->created == l->config.count;
}

int mu_loader_failed(const struct mu_loader *l, struct mu_error *error)
{
    *error = l->failure;
    return l->failure.code;
}
