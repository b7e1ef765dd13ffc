#include "tools/musterd/options.h"

int mu_server_url_parse(struct mu_str url, char host[256], uint16_t *port, struct mu_error *error)
{
    const struct mu_str scheme = MU_STR("http://");
    const char *expected = "expected http://HOST:PORT";
    if (mu_str_starts_with(url, MU_STR("https://")))
        return mu_error_set(error, MU_EUNSUPPORTED, "'%.*s': TLS is not built yet; %s",
                            MU_STR_ARGS(url), expected);
    if (!mu_str_starts_with(url, scheme))
        return mu_error_set(error, MU_EINVAL, "'%.*s' is no server address; %s", MU_STR_ARGS(url),
                            expected);
    struct mu_str rest = {url.data + scheme.len, url.len - scheme.len};
    if (rest.len > 0 && rest.data[rest.len - 1] == '/')
        rest.len--;
    uint32_t colon = rest.len;
    while (colon > 0 && rest.data[colon - 1] != ':')
        colon--;
    struct mu_str name = {rest.data, colon == 0 ? 0 : colon - 1};
    struct mu_str number = {rest.data + colon, rest.len - colon};
    uint64_t value = 0;
    if (name.len > 2 && name.data[0] == '[' && name.data[name.len - 1] == ']') {
        name.data++; /* IPv6 */
        name.len -= 2;
    }
    if (name.len == 0 || name.len > 255 || memchr(name.data, '/', name.len) != NULL ||
        !mu_str_to_u64(number, &value) || value == 0 || value > 65535)
        return mu_error_set(error, MU_EINVAL, "'%.*s' is no server address; %s", MU_STR_ARGS(url),
                            expected);
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    *port = (uint16_t)value;
    return 0;
}
