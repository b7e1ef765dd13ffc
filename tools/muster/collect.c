#include "tools/muster/collect.h"
#include "engine/base/clock.h"
#include "engine/base/mem.h"
#include "informer/codec.h"

#include <stdio.h>

#define PAGE_LIMIT    1000
#define TRIES_MAX     5
#define OBJECTS_BYTES ((size_t)8 << 30)

struct collect_span {
    size_t at;
    uint32_t len;
};

struct mu_collect {
    struct mu_buf path;
    uint64_t token_base, token;
    struct mu_buf page;    /* body of the page under way */
    struct mu_buf objects; /* all raw objects, one after another */
    struct collect_span *spans;
    uint32_t count, cap;
    struct mu_buf token_continue;
    int status;
    uint32_t tries; /* of the whole list that came to nothing */
    bool done;
    struct mu_error failure;
};

struct mu_collect *mu_collect_create(struct mu_str path, uint64_t token_base)
{
    struct mu_collect *c = mu_mem_zalloc(sizeof *c);
    if (c == NULL)
        return NULL;
    c->token_base = c->token = token_base;
    mu_buf_init(&c->page, MU_LIST_PAGE_MAX);
    mu_buf_init(&c->objects, OBJECTS_BYTES);
    if (mu_buf_append_str(&c->path, path) != 0) {
        mu_collect_destroy(c);
        return NULL;
    }
    return c;
}

void mu_collect_destroy(struct mu_collect *c)
{
    if (c == NULL)
        return;
    mu_buf_fini(&c->path);
    mu_buf_fini(&c->page);
    mu_buf_fini(&c->objects);
    mu_buf_fini(&c->token_continue);
    mu_mem_free(c->spans);
    mu_mem_free(c);
}

static void fail(struct mu_collect *c, int code, const char *what)
{
    (void)mu_error_set(&c->failure, code, "list %.*s: %s", (int)c->path.len,
                       (const char *)c->path.data, what);
}

static void ask(struct mu_collect *c, struct mu_outbox *out)
{
    struct mu_request *request = mu_outbox_add(out);
    mu_buf_clear(&c->page);
    c->status = 0;
    if (request == NULL) {
        fail(c, MU_ENOMEM, "out of memory");
        return;
    }
    request->token = ++c->token;
    request->method = MU_GET;
    request->timeout_ns = 60 * MU_NS_PER_S;
    int rc = mu_buf_append(&request->path, c->path.data, c->path.len);
    if (rc == 0)
        rc = mu_buf_printf(&request->path, "?limit=%d", PAGE_LIMIT);
    if (rc == 0 && c->token_continue.len > 0) {
        rc = mu_buf_append_text(&request->path, "&continue=");
        if (rc == 0)
            rc = mu_path_append_encoded(&request->path,
                                        (struct mu_str){(const char *)c->token_continue.data,
                                                        (uint32_t)c->token_continue.len});
    }
    if (rc != 0)
        fail(c, rc, mu_error_text(rc));
}

void mu_collect_start(struct mu_collect *c, struct mu_outbox *out)
{
    ask(c, out);
}

static int keep_item(void *context, struct mu_str raw)
{
    struct mu_collect *c = context;
    int rc =
        mu_mem_grow((void **)&c->spans, &c->cap, c->count + 1, UINT32_MAX / 2, sizeof *c->spans);
    if (rc != 0)
        return rc;
    c->spans[c->count] = (struct collect_span){c->objects.len, raw.len};
    rc = mu_buf_append_str(&c->objects, raw);
    if (rc == 0)
        c->count++;
    return rc;
}

static void take_page(struct mu_collect *c, struct mu_outbox *out)
{
    struct mu_str body = {(const char *)c->page.data, (uint32_t)c->page.len};
    struct mu_envelope envelope;
    struct mu_list_head head = {0};
    int rc = mu_envelope_open(body, &envelope, &c->failure);
    if (rc == 0)
        rc = mu_list_open(envelope.raw, &head, keep_item, c, &c->failure);
    mu_buf_clear(&c->token_continue);
    if (rc == 0)
        rc = mu_buf_append_str(&c->token_continue, head.continue_token);
    if (rc != 0) {
        if (c->failure.code == 0)
            fail(c, rc, mu_error_text(rc));
        return;
    }
    if (c->token_continue.len == 0)
        c->done = true;
    else
        ask(c, out);
}

/* From the first page again: an expired continue token, or a reply that did not arrive. Each try is
 * of the whole list, so that pages which arrive do not make up for those which do not. */
static void again(struct mu_collect *c, bool lost, struct mu_outbox *out)
{
    char why[48] = "no answer";
    if (!lost)
        (void)snprintf(why, sizeof why, "the server answers HTTP %d", c->status);
    if (++c->tries >= TRIES_MAX) {
        fail(c, MU_EIO, why);
        return;
    }
    c->count = 0;
    mu_buf_clear(&c->objects);
    mu_buf_clear(&c->token_continue);
    ask(c, out);
}

bool mu_collect_reply(struct mu_collect *c, const struct mu_reply *reply, struct mu_outbox *out)
{
    if (reply->token <= c->token_base || reply->token > c->token)
        return false;
    if (reply->token != c->token || c->done || c->failure.code != 0)
        return true;
    switch (reply->kind) {
    case MU_REPLY_HEAD:
        c->status = reply->status;
        break;
    case MU_REPLY_DATA:
        if (mu_buf_append_str(&c->page, reply->data) != 0)
            fail(c, MU_ELIMIT, "page too large");
        break;
    case MU_REPLY_END:
        if (c->status == 200)
            take_page(c, out);
        else
            again(c, false, out);
        break;
    case MU_REPLY_LOST:
        again(c, true, out);
        break;
    }
    return true;
}

int mu_collect_state(const struct mu_collect *c, struct mu_error *error)
{
    *error = c->failure;
    return c->failure.code != 0 ? c->failure.code : c->done ? 1 : 0;
}

uint32_t mu_collect_count(const struct mu_collect *c)
{
    return c->count;
}

struct mu_str mu_collect_get(const struct mu_collect *c, uint32_t i)
{
    return (struct mu_str){(const char *)c->objects.data + c->spans[i].at, c->spans[i].len};
}
