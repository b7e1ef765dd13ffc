#include "informer/server_url.h"

#include <arpa/inet.h>
#include <stddef.h>

#include "informer/limits.h"

enum { SHOWN_BYTES = 80 };

static int refuse(struct mu_str text, struct mu_error *error)
{
    bool cut = text.len > SHOWN_BYTES;
    return mu_error_set(error, MU_EINVAL,
                        "'%.*s%s' is no server address; expected https://HOST:PORT or "
                        "http://HOST:PORT",
                        cut ? SHOWN_BYTES : (int)text.len, text.data != NULL ? text.data : "",
                        cut ? "..." : "");
}

static bool take(struct mu_str *text, struct mu_str prefix)
{
    if (!mu_str_starts_with(*text, prefix))
        return false;
    text->data += prefix.len;
    text->len -= prefix.len;
    return true;
}

/* How many of the bytes up front are letters, digits or in `more`. */
static uint32_t span(struct mu_str text, const char *more)
{
    uint32_t len = 0;
    for (; len < text.len; len++) {
        char c = text.data[len];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == '\0' || strchr(more, c) == NULL))
            break;
    }
    return len;
}

/* A name, an IPv4 address, or an IPv6 address in brackets. */
static bool take_host(struct mu_str *rest, struct mu_server_url *url)
{
    bool bracket = take(rest, MU_STR("["));
    uint32_t len = bracket ? span(*rest, ":.") : span(*rest, "-._");
    if (len == 0 || len > MU_HOST_BYTES_MAX)
        return false;
    memcpy(url->host, rest->data, len);
    url->host[len] = '\0';
    rest->data += len;
    rest->len -= len;
    struct in6_addr address;
    return !bracket || (take(rest, MU_STR("]")) && inet_pton(AF_INET6, url->host, &address) == 1);
}

static bool take_port(struct mu_str *rest, struct mu_server_url *url)
{
    url->port = url->tls ? 443 : 80;
    if (!take(rest, MU_STR(":")))
        return true;
    uint64_t port;
    uint32_t len = span(*rest, "");
    if (!mu_str_to_u64((struct mu_str){rest->data, len}, &port) || port == 0 || port > 65535)
        return false;
    url->port = (uint16_t)port;
    rest->data += len;
    rest->len -= len;
    return true;
}

static bool take_path(struct mu_str rest, struct mu_server_url *url)
{
    bool good = rest.len == 0 || rest.data[0] == '/';
    if (!good || span(rest, "/-._~%!$&'()*+,;=:@") != rest.len || rest.len > MU_SERVER_PATH_MAX)
        return false;
    while (rest.len > 0 && rest.data[rest.len - 1] == '/')
        rest.len--;
    url->path = rest;
    return true;
}

int mu_server_url_parse(struct mu_str text, struct mu_server_url *out, struct mu_error *error)
{
    struct mu_server_url url = {.tls = false};
    struct mu_str rest = text;
    url.tls = take(&rest, MU_STR("https://"));
    if (!url.tls && !take(&rest, MU_STR("http://")))
        return refuse(text, error);
    if (!take_host(&rest, &url) || !take_port(&rest, &url) || !take_path(rest, &url))
        return refuse(text, error);
    *out = url;
    return 0;
}
