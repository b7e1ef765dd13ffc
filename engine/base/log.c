#include "engine/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

/*
 * A record is built in a buffer on the stack and handed to the sink whole. MU_LOG_LINE_BYTES is the
 * size up to which POSIX pipes keep a write together, so that lines of several threads, and of
 * several processes on one pipe, do not mix.
 *
 * TAIL_BYTES at the end of the buffer are kept for what closes a line. When something does not fit
 * before them the line is cut: a string between two characters, anything else as a whole field;
 * what follows is dropped, and "cut" says so. A cut line is still valid logfmt or JSON.
 *
 * Values come from outside, and lines end up on terminals: control characters (C1 ones and the
 * Unicode line separators included) are escaped, bytes that are not UTF-8 become U+FFFD.
 */

enum { TAIL_BYTES = 16, TS_BYTES = 32 };

struct line {
    char bytes[MU_LOG_LINE_BYTES];
    uint32_t len;
    bool cut;
    enum mu_log_format format;
};

static void stderr_sink(void *context, enum mu_log_level level, const char *line, uint32_t len);

static struct mu_log_config config = {MU_LOG_INFO, MU_LOG_LOGFMT, NULL, stderr_sink, NULL};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
enum { LEVELS = sizeof level_names / sizeof level_names[0] };
_Static_assert(LEVELS == MU_LOG_ERROR + 1, "a name per level");

/* ---- configuration ---- */

static void stderr_sink(void *context, enum mu_log_level level, const char *line, uint32_t len)
{
    (void)context;
    (void)level;
    /* One write(2) as a rule; a second only when a signal or a full pipe cut the first short. */
    while (len > 0) {
        ssize_t written = write(STDERR_FILENO, line, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; /* nobody to tell */
        line += written;
        len -= (uint32_t)written;
    }
}

void mu_log_configure(const struct mu_log_config *wanted)
{
    MU_ASSERT(wanted->level <= MU_LOG_ERROR && wanted->format <= MU_LOG_JSON);
    config = *wanted;
    if (config.sink == NULL)
        config.sink = stderr_sink;
}

enum mu_log_level mu_log_level(void)
{
    return config.level;
}

int mu_log_level_parse(struct mu_str text, enum mu_log_level *out)
{
    for (int i = 0; i < LEVELS; i++) {
        if (mu_str_equal(text, mu_str_of(level_names[i]))) {
            *out = (enum mu_log_level)i;
            return 0;
        }
    }
    return MU_EINVAL;
}

/* ---- building a line ---- */

/* Append all of it, or nothing and cut. */
static void put(struct line *line, const char *bytes, uint32_t len)
{
    if (line->cut || line->len + len > MU_LOG_LINE_BYTES - TAIL_BYTES) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, (uint32_t)strlen(text));
}

/* Append although the line may be cut: into the tail. */
static void put_tail(struct line *line, const char *text)
{
    uint32_t len = (uint32_t)strlen(text);
    MU_ASSERT(line->len + len <= MU_LOG_LINE_BYTES);
    memcpy(line->bytes + line->len, text, len);
    line->len += len;
}

/* Length of the UTF-8 character at the start of s and its code point; 0 when it is none (overlong
 * forms, surrogates and numbers above U+10FFFF are none). */
static uint32_t utf8_char(struct mu_str s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *b = (const uint8_t *)s.data;
    if (b[0] < 0x80) {
        *code = b[0];
        return 1;
    }
    uint32_t len = b[0] >= 0xF0 ? 4 : b[0] >= 0xE0 ? 3 : 2;
    if (b[0] < 0xC2 || b[0] > 0xF4 || s.len < len)
        return 0;
    uint32_t c = b[0] & (0x7Fu >> len);
    for (uint32_t i = 1; i < len; i++) {
        if ((b[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (b[i] & 0x3F);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *code = c;
    return len;
}

static void put_char(struct line *line, const char *bytes, uint32_t len, uint32_t code)
{
    char escape[16];
    switch (code) {
    case '"':
        put_text(line, "\\\"");
        return;
    case '\\':
        put_text(line, "\\\\");
        return;
    case '\n':
        put_text(line, "\\n");
        return;
    case '\r':
        put_text(line, "\\r");
        return;
    case '\t':
        put_text(line, "\\t");
        return;
    default:
        break;
    }
    if (code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029) {
        (void)snprintf(escape, sizeof escape, "\\u%04" PRIx32, code);
        put_text(line, escape);
    } else {
        put(line, bytes, len);
    }
}

/* The quoted form is the same in both formats. Closed even when cut. */
static void put_quoted(struct line *line, struct mu_str s)
{
    put_text(line, "\"");
    bool open = !line->cut;
    while (s.len > 0 && !line->cut) {
        uint32_t code = 0xFFFD;
        uint32_t len = utf8_char(s, &code);
        if (len == 0)
            put_text(line, "\xEF\xBF\xBD"); /* U+FFFD for one byte that is no UTF-8 */
        else
            put_char(line, s.data, len, code);
        uint32_t step = len == 0 ? 1 : len;
        s = (struct mu_str){s.data + step, s.len - step};
    }
    if (open)
        put_tail(line, "\"");
}

/* logfmt leaves the quotes away where no reader can go wrong. */
static bool bare(struct mu_str s)
{
    for (uint32_t i = 0; i < s.len; i++) {
        uint8_t b = (uint8_t)s.data[i];
        if (b <= ' ' || b >= 0x7F || b == '=' || b == '"' || b == '\\')
            return false;
    }
    return s.len > 0 && s.len <= 256; /* longer ones may be cut, which needs the quotes */
}

static void put_string(struct line *line, struct mu_str s)
{
    if (line->format == MU_LOG_LOGFMT && bare(s))
        put(line, s.data, s.len);
    else
        put_quoted(line, s);
}

static void put_name(struct line *line, const char *name)
{
    bool first = line->len == 0;
    if (line->format == MU_LOG_JSON) {
        put_text(line, first ? "{\"" : ",\"");
        put_text(line, name);
        put_text(line, "\":");
    } else {
        if (!first)
            put_text(line, " ");
        put_text(line, name);
        put_text(line, "=");
    }
}

static void put_value(struct line *line, const struct mu_log_field *f)
{
    char number[24];
    switch (f->type) {
    case MU_FIELD_STR:
        put_string(line, f->str);
        return;
    case MU_FIELD_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, f->i64);
        put_text(line, number);
        return;
    case MU_FIELD_U64:
        (void)snprintf(number, sizeof number, "%" PRIu64, f->u64);
        put_text(line, number);
        return;
    case MU_FIELD_BOOL:
        put_text(line, f->u64 != 0 ? "true" : "false");
        return;
    case MU_FIELD_END:
        break;
    }
    mu_assert_fail(__FILE__, __LINE__, "a field has one of the types above");
}

static void put_field(struct line *line, const struct mu_log_field *f)
{
    if (line->cut)
        return;
    uint32_t mark = line->len;
    put_name(line, f->name);
    uint32_t value_at = line->len;
    if (!line->cut)
        put_value(line, f);
    /* Only a string that was opened may end early; its quotes are at least two bytes. */
    bool kept_part = f->type == MU_FIELD_STR && line->len >= value_at + 2;
    if (line->cut && !kept_part)
        line->len = mark;
}

/* RFC 3339 in UTC with microseconds. */
static void put_ts(struct line *line, uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / MU_NS_PER_S);
    struct tm utc;
    char text[TS_BYTES];
    if (gmtime_r(&seconds, &utc) == NULL)
        return;
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%06" PRIu64 "Z",
                   wall_ns % MU_NS_PER_S / MU_NS_PER_US);
    put_field(line, &MU_F_TEXT("ts", text));
}

void mu_log_write(enum mu_log_level level, const char *event, const struct mu_log_field *fields)
{
    if (level < config.level)
        return;
    MU_ASSERT(level <= MU_LOG_ERROR);
    struct line line;
    line.len = 0;
    line.cut = false;
    line.format = config.format;
    if (config.clock != NULL)
        put_ts(&line, config.clock->wall_ns(config.clock));
    put_field(&line, &MU_F_TEXT("level", level_names[level]));
    put_field(&line, &MU_F_TEXT("event", event));
    for (const struct mu_log_field *f = fields; f->type != MU_FIELD_END; f++)
        put_field(&line, f);
    if (line.cut)
        put_tail(&line, line.format == MU_LOG_JSON ? ",\"cut\":true" : " cut=true");
    put_tail(&line, line.format == MU_LOG_JSON ? "}\n" : "\n");
    config.sink(config.sink_context, level, line.bytes, line.len);
}
