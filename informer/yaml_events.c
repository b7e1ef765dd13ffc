#include "informer/yaml_events.h"

#include <string.h>
#include "informer/utf8.h"

/* libfyaml counts lines and columns from 0; we and editors from 1. */

struct parse {
    const char *name;
    struct mu_error *error;
    mu_yaml_event_fn fn;
    void *context;
};

static int fail_at(const struct parse *p, int line, int column, int code, const char *what)
{
    return mu_error_set(p->error, code, "%s:%d:%d: %s", p->name, line + 1, column + 1, what);
}

static int fail_event(const struct parse *p, struct fy_event *event, const char *what)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    return mark == NULL ? fail_at(p, 0, 0, MU_EINVAL, what)
                        : fail_at(p, mark->line, mark->column, MU_EINVAL, what);
}

static int fail_memory(const struct parse *p)
{
    return mu_error_set(p->error, MU_ENOMEM, "%s: out of memory", p->name);
}

void mu_yaml_event_at(struct fy_event *event, uint32_t *line, uint32_t *column)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    *line = mark == NULL ? 1 : (uint32_t)mark->line + 1;
    *column = mark == NULL ? 1 : (uint32_t)mark->column + 1;
}

/* ---- text ---- */

/* What YAML calls printable. */
static bool is_printable(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c <= 0x7E) || c == 0x85 ||
           (c >= 0xA0 && c != 0xFFFE && c != 0xFFFF);
}

/* Refuse what libfyaml would take for the end of the text: the rest would be ignored in silence. */
static int text_check(const struct parse *p, struct mu_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.data;
    int line = 0;
    int column = 0;
    uint32_t len;
    for (uint32_t at = 0; at < text.len; at += len) {
        uint32_t code = 0;
        len = mu_utf8_length(bytes + at, text.len - at, &code);
        if (len == 0)
            return fail_at(p, line, column, MU_EINVAL, "expected UTF-8");
        if (!is_printable(code))
            return fail_at(p, line, column, MU_EINVAL, "expected no control characters");
        column++;
        if (code == '\n') {
            line++;
            column = 0;
        }
    }
    return 0;
}

/* ---- events ---- */

static bool is_decorated(const struct fy_event *event)
{
    switch (event->type) {
    case FYET_SCALAR:
        return event->scalar.anchor != NULL || event->scalar.tag != NULL;
    case FYET_SEQUENCE_START:
        return event->sequence_start.anchor != NULL || event->sequence_start.tag != NULL;
    case FYET_MAPPING_START:
        return event->mapping_start.anchor != NULL || event->mapping_start.tag != NULL;
    default:
        return false;
    }
}

static int on_event(const struct parse *p, struct fy_event *event)
{
    if (event->type == FYET_STREAM_START)
        return 0;
    if (event->type == FYET_ALIAS || is_decorated(event))
        return fail_event(p, event, "expected no anchors, aliases or tags");
    return p->fn(p->context, event);
}

/* The end of the stream must be the end of the text: see text_check. */
static int on_end(const struct parse *p, struct fy_event *event, struct mu_str text)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    if (mark != NULL && mark->input_pos == text.len)
        return 0;
    return fail_event(p, event, "expected YAML up to the end of the file");
}

/* What libfyaml has to say about a text that is not YAML. */
static int fail_syntax(const struct parse *p, struct fy_diag *diag)
{
    void *at = NULL;
    const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
    if (e == NULL)
        return mu_error_set(p->error, MU_EINVAL, "%s: expected YAML", p->name);
    return mu_error_set(p->error, MU_EINVAL, "%s:%d:%d: expected YAML: %.120s", p->name, e->line,
                        e->column, e->msg);
}

static int events_read(const struct parse *p, struct fy_parser *parser, struct fy_diag *diag,
                       struct mu_str text)
{
    int status = 0;
    bool ended = false;
    while (status == 0 && !ended) {
        struct fy_event *event = fy_parser_parse(parser);
        if (event == NULL || event->type == FYET_NONE) {
            fy_parser_event_free(parser, event);
            return fail_syntax(p, diag);
        }
        ended = event->type == FYET_STREAM_END;
        status = ended ? on_end(p, event, text) : on_event(p, event);
        fy_parser_event_free(parser, event);
    }
    return status != 0 || !fy_parser_get_stream_error(parser) ? status : fail_syntax(p, diag);
}

static int run(const struct parse *p, struct mu_str text)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    struct fy_diag *diag = fy_diag_create(&diag_config);
    if (diag == NULL)
        return fail_memory(p);
    fy_diag_set_collect_errors(diag, true);
    struct fy_parse_cfg parse_config = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DISABLE_RECYCLING | FYPCF_JSON_NONE,
        .diag = diag,
    };
    struct fy_parser *parser = fy_parser_create(&parse_config);
    int status = parser == NULL ? fail_memory(p) : 0;
    if (status == 0 && fy_parser_set_string(parser, text.data, text.len) != 0)
        status = fail_memory(p);
    if (status == 0)
        status = events_read(p, parser, diag, text);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

int mu_yaml_events(struct mu_str text, const char *name, mu_yaml_event_fn fn, void *context,
                   struct mu_error *error)
{
    struct parse p = {name, error, fn, context};
    int status = text_check(&p, text);
    return status == 0 && text.len > 0 ? run(&p, text) : status;
}
