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
                                     .accept = accept,
                                     .body = body};
    if (mark != NULL) {
        request.path.len = (uint32_t)(mark - url);
    }
    struct mu_api_response response;
    mu_apiserver_handle(server, &request, now_ns, &response);
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

#endif
