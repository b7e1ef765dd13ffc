#include "tools/kubesim/query.h"

#include "tools/kubesim/limits.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mu_percent_decode(struct mu_str text, bool plus, struct mu_arena *arena, struct mu_str *out)
{
    char *bytes = mu_arena_alloc(arena, (size_t)text.len + 1);
    if (bytes == NULL) {
        return MU_ENOMEM;
    }
    uint32_t len = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return MU_EINVAL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0') {
            return MU_EINVAL;
        }
        bytes[len++] = c;
    }
    bytes[len] = '\0';
    *out = (struct mu_str){bytes, len};
    return 0;
}

static int add(struct mu_query *query, struct mu_str pair, struct mu_arena *arena,
               struct mu_error *error)
{
    if (query->count == MU_QUERY_PARAMS) {
        return mu_error_set(error, MU_ELIMIT, "query: more than %d parameters", MU_QUERY_PARAMS);
    }
    const char *equals = memchr(pair.data, '=', pair.len);
    struct mu_str name = pair;
    struct mu_str value = {"", 0};
    if (equals != NULL) {
        name.len = (uint32_t)(equals - pair.data);
        value = (struct mu_str){equals + 1, pair.len - name.len - 1};
    }
    int code = mu_percent_decode(name, true, arena, &query->params[query->count].name);
    if (code == 0) {
        code = mu_percent_decode(value, true, arena, &query->params[query->count].value);
    }
    if (code != 0) {
        return mu_error_set(error, code, "query: '%.*s' is not percent-encoded text",
                            (int)(pair.len < 80 ? pair.len : 80), pair.data);
    }
    query->count++;
    return 0;
}

int mu_query_parse(struct mu_str text, struct mu_arena *arena, struct mu_query *out,
                   struct mu_error *error)
{
    out->count = 0;
    if (text.len > MU_KUBESIM_QUERY_BYTES) {
        return mu_error_set(error, MU_ELIMIT, "query: longer than %u bytes",
                            MU_KUBESIM_QUERY_BYTES);
    }
    while (text.len > 0) {
        const char *end = memchr(text.data, '&', text.len);
        uint32_t len = end != NULL ? (uint32_t)(end - text.data) : text.len;
        int code = len == 0 ? 0 : add(out, (struct mu_str){text.data, len}, arena, error);
        if (code != 0) {
            return code;
        }
        uint32_t step = len + (end != NULL);
        text = (struct mu_str){text.data + step, text.len - step};
    }
    return 0;
}

struct mu_str mu_query_get(const struct mu_query *query, const char *name)
{
    for (uint32_t i = 0; i < query->count; i++) {
        if (mu_str_equal(query->params[i].name, mu_str_of(name))) {
            return query->params[i].value;
        }
    }
    return (struct mu_str){NULL, 0};
}

bool mu_query_bool(const struct mu_query *query, const char *name, bool *out)
{
    struct mu_str value = mu_query_get(query, name);
    *out = mu_str_equal(value, MU_STR("true")) || mu_str_equal(value, MU_STR("1"));
    return *out || value.len == 0 || mu_str_equal(value, MU_STR("false")) ||
           mu_str_equal(value, MU_STR("0"));
}
