#ifndef MU_ENGINE_BASE_LOG_H
#define MU_ENGINE_BASE_LOG_H
/*
 * Structured logging: one line per record, logfmt or JSON, to a sink function (stderr by default).
 * A record is an event name plus typed fields:
 *     mu_log(MU_LOG_INFO, "gang bound", MU_F_STR("gang", name), MU_F_U64("pods", n), MU_F_END);
 * Values are escaped; a line is cut at MU_LOG_LINE_BYTES. Thread: any (a line is written whole).
 */
#include <stdint.h>
#include "engine/base/clock.h"
#include "engine/base/str.h"

#define MU_LOG_LINE_BYTES 4096

enum mu_log_level { MU_LOG_DEBUG, MU_LOG_INFO, MU_LOG_WARN, MU_LOG_ERROR };
enum mu_log_format { MU_LOG_LOGFMT, MU_LOG_JSON };
enum mu_log_field_type { MU_FIELD_END, MU_FIELD_STR, MU_FIELD_I64, MU_FIELD_U64, MU_FIELD_BOOL };

struct mu_log_field {
    enum mu_log_field_type type;
    const char *name; /* [a-z0-9_]+ */
    struct mu_str str;
    int64_t i64;
    uint64_t u64;
};
#define MU_F_STR(name_, value_) ((struct mu_log_field){MU_FIELD_STR, (name_), (value_), 0, 0})
#define MU_F_TEXT(name_, value_)                                                                   \
    ((struct mu_log_field){MU_FIELD_STR, (name_), mu_str_of(value_), 0, 0})
#define MU_F_I64(name_, value_) ((struct mu_log_field){MU_FIELD_I64, (name_), {0, 0}, (value_), 0})
#define MU_F_U64(name_, value_) ((struct mu_log_field){MU_FIELD_U64, (name_), {0, 0}, 0, (value_)})
#define MU_F_BOOL(name_, value_)                                                                   \
    ((struct mu_log_field){MU_FIELD_BOOL, (name_), {0, 0}, 0, !!(value_)})

/* `line` ends with '\n' and is not NUL-terminated. */
typedef void (*mu_log_sink_fn)(void *context, enum mu_log_level level, const char *line,
                               uint32_t len);

struct mu_log_config {
    enum mu_log_level level; /* records below it cost one comparison */
    enum mu_log_format format;
    const struct mu_clock *clock; /* for the ts field; NULL: no ts (deterministic output) */
    mu_log_sink_fn sink;          /* NULL: stderr */
    void *sink_context;
};
/* Set for the process. Thread: before threads start, or in a test. */
void mu_log_configure(const struct mu_log_config *config);
void mu_log_write(enum mu_log_level level, const char *event, const struct mu_log_field *fields);
enum mu_log_level mu_log_level(void);
/* "debug", "info", "warn", "error" -> level. Returns 0 or MU_EINVAL. */
int mu_log_level_parse(struct mu_str text, enum mu_log_level *out);

/* Ends the field list of mu_log: mu_log(level, "event", MU_F_U64("n", n), MU_F_END). */
#define MU_F_END ((struct mu_log_field){MU_FIELD_END, NULL, {0, 0}, 0, 0})
#define mu_log(level_, event_, ...)                                                                \
    ((level_) < mu_log_level()                                                                     \
         ? (void)0                                                                                 \
         : mu_log_write((level_), (event_), (const struct mu_log_field[]){__VA_ARGS__}))

#endif
