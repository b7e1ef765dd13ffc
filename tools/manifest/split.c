/*
 * YAML is cut where a line starts a document ("---"): such a line cannot stand inside a scalar. The
 * items of a list are cut at the lines that start with the indentation of its first item and a
 * dash, up to the first line that is indented less; the dash becomes a space, which leaves the item
 * a document of its own with its columns as they were. JSON is cut by brackets outside strings.
 *
 * A list is walked twice: for the shell, which is what is around the items, and for the items. The
 * kind of a list stands behind its items as often as before them.
 */
#include "tools/manifest/split.h"

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/error.h"

struct split {
    const char *base; /* of the file */
    mu_piece_fn fn;
    void *context;
    struct mu_buf text; /* a piece that does not stand in the file as it is */
};

struct cursor {
    const char *at, *end;
    uint32_t line;
};

static struct mu_str span(const char *begin, const char *end)
{
    return (struct mu_str){begin, (uint32_t)(end - begin)};
}

/* `at`: where it stands in the file, which need not be where text is. */
static int give(struct split *s, enum mu_piece_kind kind, bool json, struct mu_str text,
                const char *at, uint32_t line)
{
    const struct mu_piece piece = {
        .kind = kind, .json = json, .text = text, .line = line, .offset = (uint32_t)(at - s->base)};
    return s->fn(s->context, &piece);
}

/* The shell from the parts before and behind the items, then whatever it asks for: the return value
 * is 0 when the items are wanted, MU_PIECE_WHOLE when they were given with all the rest. */
static int give_shell(struct split *s, bool json, struct mu_str whole, struct mu_str before,
                      struct mu_str behind, uint32_t line)
{
    mu_buf_clear(&s->text);
    (void)mu_buf_append_str(&s->text, before);
    if (mu_buf_append_str(&s->text, behind) != 0)
        return MU_ENOMEM;
    struct mu_str shell = {(const char *)s->text.data, (uint32_t)s->text.len};
    int status = give(s, MU_PIECE_SHELL, json, shell, whole.data, line);
    if (status != MU_PIECE_WHOLE)
        return status;
    status = give(s, MU_PIECE_DOCUMENT, json, whole, whole.data, line);
    return status != 0 ? status : MU_PIECE_WHOLE;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct cursor *c)
{
    for (; c->at < c->end && is_space(*c->at); c->at++)
        c->line += *c->at == '\n';
}

/* Bytes at which a walk stops: inside a string, inside brackets, and behind a word. Nearly all
 * others are passed by at a byte a cycle, which counts: a list of 100,000 objects is walked
 * twice. */
static const bool stops_string[256] = {['"'] = true, ['\\'] = true, ['\n'] = true};
static const bool stops_bracket[256] = {
    ['"'] = true, ['{'] = true, ['}'] = true, ['['] = true, [']'] = true, ['\n'] = true};
static const bool stops_word[256] = {
    ['"'] = true, ['{'] = true, ['}'] = true,  ['['] = true,  [']'] = true,
    [','] = true, [' '] = true, ['\t'] = true, ['\n'] = true, ['\r'] = true};

static void skip_to(struct cursor *c, const bool stops[256])
{
    const char *at = c->at;
    while (at < c->end && !stops[(unsigned char)*at])
        at++;
    c->at = at;
}

/* Behind the string that starts here; the text's end when it does not end. */
static void skip_string(struct cursor *c)
{
    c->at++;
    for (skip_to(c, stops_string); c->at < c->end && *c->at != '"'; skip_to(c, stops_string)) {
        c->at += *c->at == '\\' && c->at + 1 < c->end;
        c->line += *c->at == '\n';
        c->at++;
    }
    c->at += c->at < c->end;
}

/* Behind the bracket that starts here, with all that is in it. */
static void skip_bracket(struct cursor *c)
{
    uint32_t depth = 0;
    do {
        char here = *c->at;
        if (here == '"') {
            skip_string(c);
        } else {
            depth += here == '{' || here == '[';
            depth -= here == '}' || here == ']';
            c->line += here == '\n';
            c->at++;
        }
        if (depth > 0)
            skip_to(c, stops_bracket);
    } while (depth > 0 && c->at < c->end);
}

/* Behind the value that starts here: a string, a bracket, or a word. */
static void skip_value(struct cursor *c)
{
    if (c->at == c->end)
        return;
    if (*c->at == '"')
        skip_string(c);
    else if (*c->at == '{' || *c->at == '[')
        skip_bracket(c);
    else
        skip_to(c, stops_word);
}

/* What a walk over the members of a JSON object finds. */
struct json_list {
    struct cursor first;   /* behind the '[' of `items` */
    const char *items_end; /* its ']'; NULL: no such member */
    struct cursor after;   /* behind the object */
    bool closed;
};

static void walk_members(struct cursor c, struct json_list *out)
{
    *out = (struct json_list){.items_end = NULL};
    c.at++;
    for (;;) {
        skip_space(&c);
        if (c.at == c.end || *c.at == '}')
            break;
        const char *key = c.at;
        skip_value(&c);
        if (c.at == key)
            break; /* not JSON: one piece to the end */
        bool is_items = mu_str_equal(span(key, c.at), MU_STR("\"items\""));
        skip_space(&c);
        if (c.at < c.end && *c.at == ':')
            c.at++;
        skip_space(&c);
        struct cursor value = c;
        skip_value(&c);
        if (is_items && value.at < value.end && *value.at == '[' && c.at[-1] == ']' &&
            out->items_end == NULL) {
            value.at++;
            out->first = value;
            out->items_end = c.at - 1;
        }
        skip_space(&c);
        if (c.at < c.end && *c.at != '}') {
            if (*c.at != ',')
                break;
            c.at++;
        }
    }
    out->closed = c.at < c.end && *c.at == '}';
    c.at += out->closed;
    out->after = c;
}

static int give_json_items(struct split *s, const struct json_list *list)
{
    struct cursor c = list->first;
    c.end = list->items_end;
    int status = 0;
    for (skip_space(&c); status == 0 && c.at < c.end; skip_space(&c)) {
        const char *begin = c.at;
        uint32_t line = c.line;
        while (c.at < c.end && *c.at != ',') { /* more than a value: its reader will object */
            const char *before = c.at;
            skip_value(&c);
            c.at += c.at == before; /* a bracket that nothing opened */
            skip_space(&c);
        }
        status = give(s, MU_PIECE_ITEM, true, span(begin, c.at), begin, line);
        c.at += c.at < c.end && *c.at == ',';
    }
    return status;
}

/* The object at c; c is then behind it. */
static int split_object(struct split *s, struct cursor *c)
{
    struct json_list list;
    const char *begin = c->at;
    uint32_t line = c->line;
    walk_members(*c, &list);
    if (!list.closed) { /* its reader says what is wrong */
        c->at = c->end;
        return give(s, MU_PIECE_DOCUMENT, true, span(begin, c->end), begin, line);
    }
    *c = list.after;
    struct mu_str whole = span(begin, c->at);
    if (list.items_end == NULL)
        return give(s, MU_PIECE_DOCUMENT, true, whole, begin, line);
    int status =
        give_shell(s, true, whole, span(begin, list.first.at), span(list.items_end, c->at), line);
    if (status == 0)
        status = give_json_items(s, &list);
    return status == MU_PIECE_WHOLE ? 0 : status;
}

/* ---- YAML --------------------------------------------------------------------------------- */

struct line {
    const char *begin, *end; /* without and with its line feed: end is behind it */
    uint32_t indent;         /* spaces at its start */
    bool blank;              /* nothing, or a comment */
};

static bool next_line(struct cursor *c, struct line *out)
{
    if (c->at == c->end)
        return false;
    const char *feed = memchr(c->at, '\n', (size_t)(c->end - c->at));
    *out = (struct line){.begin = c->at, .end = feed != NULL ? feed + 1 : c->end};
    const char *p = out->begin;
    while (p < out->end && *p == ' ')
        p++;
    out->indent = (uint32_t)(p - out->begin);
    while (p < out->end && is_space(*p))
        p++;
    out->blank = p == out->end || *p == '#';
    c->at = out->end;
    c->line++;
    return true;
}

/* The line starts with `word`, and space or nothing comes behind it. */
static bool starts_with(const struct line *line, uint32_t at, struct mu_str word)
{
    struct mu_str rest = span(line->begin + at, line->end);
    return mu_str_starts_with(rest, word) &&
           (rest.len == word.len || is_space(rest.data[word.len]));
}

static bool is_item(const struct line *line, uint32_t indent)
{
    return line->indent == indent && starts_with(line, indent, MU_STR("-"));
}

struct yaml_list {
    struct cursor first; /* the first item's line; `end` is behind the last item */
    uint32_t indent;
};

/* Find the items of a top-level `items:` in block style. */
static bool find_items(struct cursor c, struct yaml_list *out)
{
    struct line line;
    bool inside = false;
    bool found = false;
    *out = (struct yaml_list){.indent = 0};
    for (struct cursor before = c; next_line(&c, &line); before = c) {
        if (line.blank)
            continue;
        if (!inside) {
            inside = line.indent == 0 && starts_with(&line, 0, MU_STR("items:"));
            struct mu_str rest = span(line.begin, line.end);
            for (uint32_t i = 6; inside && i < rest.len && rest.data[i] != '#'; i++)
                inside = is_space(rest.data[i]);
        } else if (!found) {
            found = starts_with(&line, line.indent, MU_STR("-"));
            if (!found)
                return false;
            *out = (struct yaml_list){.first = before, .indent = line.indent};
        } else if (line.indent < out->indent ||
                   (line.indent == out->indent && !is_item(&line, out->indent))) {
            out->first.end = line.begin;
            return true;
        }
    }
    if (found)
        out->first.end = c.end;
    return found;
}

static int give_yaml_item(struct split *s, const char *begin, const char *end, uint32_t indent,
                          uint32_t line)
{
    mu_buf_clear(&s->text);
    if (mu_buf_append(&s->text, begin, (size_t)(end - begin)) != 0)
        return MU_ENOMEM;
    MU_ASSERT(s->text.len > indent && s->text.data[indent] == '-');
    s->text.data[indent] = ' ';
    struct mu_str text = {(const char *)s->text.data, (uint32_t)s->text.len};
    return give(s, MU_PIECE_ITEM, false, text, begin, line);
}

static int give_yaml_items(struct split *s, const struct yaml_list *list)
{
    struct cursor c = list->first;
    struct cursor begin = c;
    struct line line;
    int status = 0;
    for (struct cursor before = c; status == 0 && next_line(&c, &line); before = c) {
        if (line.blank || !is_item(&line, list->indent) || before.at == begin.at)
            continue;
        status = give_yaml_item(s, begin.at, before.at, list->indent, begin.line);
        begin = before;
    }
    return status != 0 ? status : give_yaml_item(s, begin.at, begin.end, list->indent, begin.line);
}

static int split_document(struct split *s, struct cursor c)
{
    struct yaml_list list;
    struct mu_str whole = span(c.at, c.end);
    if (!find_items(c, &list))
        return give(s, MU_PIECE_DOCUMENT, false, whole, c.at, c.line);
    int status =
        give_shell(s, false, whole, span(c.at, list.first.at), span(list.first.end, c.end), c.line);
    if (status == 0)
        status = give_yaml_items(s, &list);
    return status == MU_PIECE_WHOLE ? 0 : status;
}

static int split_yaml(struct split *s, struct cursor c)
{
    struct cursor begin = c;
    struct line line;
    bool content = false; /* what is before the first of it (%YAML) belongs to the document */
    int status = 0;
    for (struct cursor before = c; status == 0 && next_line(&c, &line); before = c) {
        bool starts = starts_with(&line, 0, MU_STR("---"));
        if (starts && content) {
            struct cursor document = begin;
            document.end = before.at;
            status = split_document(s, document);
            begin = before;
            content = false;
        }
        bool bare = starts && (size_t)(line.end - line.begin) <= 4;
        content = content || (!line.blank && !bare && *line.begin != '%');
    }
    return status != 0 || !content ? status : split_document(s, begin);
}

int mu_manifest_split(struct mu_str text, mu_piece_fn fn, void *context)
{
    struct split s = {.base = text.data, .fn = fn, .context = context};
    struct cursor c = {.at = text.data, .end = text.data + text.len, .line = 1};
    int status = 0;
    if (text.len == 0)
        return 0;
    if (mu_str_starts_with(text, MU_STR("\xEF\xBB\xBF"))) /* byte order mark */
        c.at += 3;
    struct cursor start = c;
    skip_space(&c);
    while (status == 0 && c.at < c.end && *c.at == '{') {
        status = split_object(&s, &c);
        skip_space(&c);
        start = c;
    }
    if (status == 0 && c.at < c.end)
        status = split_yaml(&s, start);
    mu_buf_fini(&s.text);
    return status;
}
