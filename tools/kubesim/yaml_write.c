#include "tools/kubesim/yaml_write.h"

#include <strings.h>
#include "engine/base/error.h"
#include "informer/utf8.h"
#include "tools/kubesim/limits.h"

struct writer {
    struct mu_str rest;
    struct mu_buf *out;
};

static int write_value(struct writer *w, uint32_t indent, uint32_t depth, bool inline_first);

static void put(struct writer *w, const char *text)
{
    (void)mu_buf_append_text(w->out, text);
}

static void put_indent(struct writer *w, uint32_t indent)
{
    for (uint32_t i = 0; i < indent; i++) {
        put(w, " ");
    }
}

/* The next character that is no space, or '\0'. */
static char peek(struct writer *w)
{
    while (w->rest.len > 0 && strchr(" \t\r\n", w->rest.data[0]) != NULL &&
           w->rest.data[0] != '\0') {
        w->rest.data++;
        w->rest.len--;
    }
    return w->rest.len > 0 ? w->rest.data[0] : '\0';
}

static bool take(struct writer *w, char c)
{
    if (peek(w) != c || c == '\0') {
        return false;
    }
    w->rest.data++;
    w->rest.len--;
    return true;
}

/* The string that begins here, quotes included; len 0: none. */
static struct mu_str take_string(struct writer *w)
{
    struct mu_str text = {w->rest.data, 0};
    if (peek(w) != '"') {
        return text;
    }
    text.data = w->rest.data;
    uint32_t len = 1;
    while (len < w->rest.len && w->rest.data[len] != '"') {
        len += w->rest.data[len] == '\\' ? 2 : 1;
    }
    if (len >= w->rest.len) {
        return text;
    }
    text.len = len + 1;
    w->rest.data += text.len;
    w->rest.len -= text.len;
    return text;
}

/* Words that YAML 1.1 or 1.2 reads as something else than text. */
static bool is_reserved(struct mu_str s)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on",
                                        "off",  "y",    "n",     "nan", "inf"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (s.len == strlen(words[i]) && strncasecmp(s.data, words[i], s.len) == 0) {
            return true;
        }
    }
    return false;
}

/* Letters first, then nothing that has a meaning of its own: never a number, a time or a mark. */
static bool is_bare(struct mu_str s)
{
    if (s.len == 0 || s.len > 128 || is_reserved(s)) {
        return false;
    }
    for (uint32_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool inner = (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '/';
        if (!letter && (i == 0 || !inner)) {
            return false;
        }
    }
    return true;
}

/* JSON's quotes are YAML's, but for characters that YAML wants escaped: those that it does not
 * print and those that YAML 1.1 takes for line breaks. */
static bool needs_escape(uint32_t c)
{
    return (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || c == 0xFEFF || c == 0xFFFE ||
           c == 0xFFFF;
}

static int write_quoted(struct writer *w, struct mu_str quoted)
{
    uint32_t start = 0;
    uint32_t length;
    for (uint32_t at = 0; at < quoted.len; at += length) {
        uint32_t code = 0;
        length = mu_utf8_length((const uint8_t *)quoted.data + at, quoted.len - at, &code);
        if (length == 0) {
            return MU_EPROTO; /* not our own output */
        }
        if (needs_escape(code)) {
            (void)mu_buf_append(w->out, quoted.data + start, at - start);
            (void)mu_buf_printf(w->out, "\\u%04x", code);
            start = at + length;
        }
    }
    return mu_buf_append(w->out, quoted.data + start, quoted.len - start);
}

static int write_string(struct writer *w)
{
    struct mu_str quoted = take_string(w);
    if (quoted.len < 2) {
        return MU_EPROTO;
    }
    struct mu_str inner = {quoted.data + 1, quoted.len - 2};
    return is_bare(inner) ? mu_buf_append_str(w->out, inner) : write_quoted(w, quoted);
}

/* Numbers, true, false, null: as they are. */
static int write_word(struct writer *w)
{
    uint32_t len = 0;
    while (len < w->rest.len && strchr(",]} \t\r\n", w->rest.data[len]) == NULL) {
        len++;
    }
    (void)mu_buf_append(w->out, w->rest.data, len);
    w->rest.data += len;
    w->rest.len -= len;
    return len == 0 ? MU_EPROTO : 0;
}

/* Members of an object, one a line; the first one follows a "- " when inline_first. */
static int write_members(struct writer *w, uint32_t indent, uint32_t depth, bool inline_first)
{
    bool first = true;
    int code = 0;
    do {
        if (!first || !inline_first) {
            put_indent(w, indent);
        }
        first = false;
        code = write_string(w);
        if (code == 0 && !take(w, ':')) {
            code = MU_EPROTO;
        }
        put(w, ":");
        char next = peek(w);
        /* Elements of a list stand below their key, members of an object further in. */
        uint32_t inner = next == '{' ? indent + 2 : indent;
        code = code != 0 ? code : write_value(w, inner, depth, false);
    } while (code == 0 && take(w, ','));
    return code != 0 ? code : take(w, '}') ? 0 : MU_EPROTO;
}

static int write_elements(struct writer *w, uint32_t indent, uint32_t depth)
{
    int code = 0;
    do {
        put_indent(w, indent);
        put(w, "-");
        code = write_value(w, indent + 2, depth, true);
    } while (code == 0 && take(w, ','));
    return code != 0 ? code : take(w, ']') ? 0 : MU_EPROTO;
}

/* What follows a "key:" or a "-", to the end of its line or below it. */
static int write_value(struct writer *w, uint32_t indent, uint32_t depth, bool inline_first)
{
    if (depth == MU_KUBESIM_JSON_DEPTH) {
        return MU_EPROTO;
    }
    if (take(w, '{')) {
        if (take(w, '}')) {
            put(w, " {}\n");
            return 0;
        }
        put(w, inline_first ? " " : "\n");
        return write_members(w, indent, depth + 1, inline_first);
    }
    if (take(w, '[')) {
        if (take(w, ']')) {
            put(w, " []\n");
            return 0;
        }
        put(w, "\n");
        return write_elements(w, indent, depth + 1);
    }
    put(w, " ");
    int code = peek(w) == '"' ? write_string(w) : write_word(w);
    put(w, "\n");
    return code;
}

int mu_yaml_from_json(struct mu_str json, struct mu_buf *out)
{
    struct writer w = {json, out};
    size_t before = out->len;
    int code = MU_EPROTO;
    if (take(&w, '{')) {
        if (take(&w, '}')) {
            put(&w, "{}\n");
            code = 0;
        } else {
            code = write_members(&w, 0, 0, false);
        }
    }
    code = code != 0 ? code : out->failed;
    if (code != 0) {
        out->len = before;
    }
    return code;
}
