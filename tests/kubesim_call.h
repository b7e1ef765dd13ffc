#ifndef MU_TESTS_KUBESIM_CALL_H
#define MU_TESTS_KUBESIM_CALL_H
/* Talking to an embedded API server in tests: JSON in, JSON out, unless a test says otherwise. */
#include <stdio.h>
#include <string.h>
#include "tools/kubesim/apiserver.h"

struct answer {
    int status;
    uint32_t retry_after_s;
    enum mu_media media;
    struct mu_buf body; /* NUL-terminated behind its content */
    struct mu_api_watch *watch;
};

static inline struct answer call_media(struct mu_apiserver *server, enum mu_method method,
                                       const char *url, enum mu_media content, struct mu_str body,
                                       enum mu_media accept, uint64_t now_ns)
{
    const char *mark = strchr(url, '?');
    struct mu_api_request request = {.method = method,
                                     .path = mu_str_of(url),
                                     .query = mu_str_of(mark == NULL ? "" : mark + 1),
                                     .content = content,
                                     .accept = mu_str_of(mu_media_text(accept)),
                                     .body = body};
    if (mark != NULL) {
        request.path.len = (uint32_t)(mark - url);
    }
    struct mu_api_response response;
    mu_apiserver_handle(server, &request, now_ns, &response);
    mu_buf_fini(&response.warnings);
    (void)mu_buf_append(&response.body, "", 1);
    response.body.len--;
    return (struct answer){response.status, response.retry_after_s, response.media, response.body,
                           response.watch};
}

static inline struct answer call(struct mu_apiserver *server, enum mu_method method,
                                 const char *url, const char *body)
{
    return call_media(server, method, url, MU_MEDIA_JSON, mu_str_of(body), MU_MEDIA_JSON, 0);
}

/* The status code; *text (may be NULL) gets the start of the body. */
static inline int call_status(struct mu_apiserver *server, enum mu_method method, const char *url,
                              const char *body, char *text, size_t size)
{
    struct answer answer = call(server, method, url, body);
    if (text != NULL) {
        (void)snprintf(text, size, "%s", (const char *)answer.body.data);
    }
    if (answer.watch != NULL) {
        mu_api_watch_close(answer.watch);
    }
    mu_buf_fini(&answer.body);
    return answer.status;
}

/* Decode frames into text, one "TYPE name@version" per line; bookmarks and errors without name. */
struct seen {
    char text[1 << 16];
    size_t len;
    uint64_t last_version;
    int error_code; /* of an ERROR event */
    int events;
    bool initial_end;
};

static inline int seen_event(void *context, const struct mu_watch_event *event)
{
    static const char *const names[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    struct seen *seen = context;
    seen->events++;
    if (event->type == MU_WATCH_ERROR) {
        struct mu_arena *arena = mu_arena_create(1 << 20);
        struct mu_status status = {0};
        if (mu_status_decode_raw(event->object.raw, arena, &status) == 0) {
            seen->error_code = status.code;
        }
        mu_arena_destroy(arena);
        return 0;
    }
    struct mu_object_meta meta;
    struct mu_error error;
    if (mu_meta_decode(event->object.raw, &meta, &error) != 0) {
        return MU_EPROTO;
    }
    seen->last_version = meta.version;
    seen->initial_end |= meta.initial_events_end;
    if (seen->len < sizeof seen->text - 300) {
        seen->len += (size_t)snprintf(seen->text + seen->len, sizeof seen->text - seen->len,
                                      "%s %.*s\n", names[event->type], MU_STR_ARGS(meta.name));
    }
    return 0;
}

/* Pull until the watch is idle or over, `bytes` at a time. */
static inline enum mu_watch_pull pull_all(struct mu_api_watch *watch, uint64_t now_ns, size_t bytes,
                                          struct seen *seen)
{
    struct mu_watch_decoder decoder;
    struct mu_buf frames = {0};
    struct mu_error error;
    mu_watch_decoder_init(&decoder);
    enum mu_watch_pull pull = MU_WATCH_MORE;
    while (pull == MU_WATCH_MORE) {
        mu_buf_clear(&frames);
        pull = mu_api_watch_pull(watch, now_ns, bytes, &frames);
        if (frames.len > 0 &&
            mu_watch_decoder_feed(&decoder,
                                  (struct mu_str){(const char *)frames.data, (uint32_t)frames.len},
                                  seen_event, seen, &error) != 0) {
            seen->error_code = -1;
        }
    }
    mu_watch_decoder_fini(&decoder);
    mu_buf_fini(&frames);
    return pull;
}

#endif
