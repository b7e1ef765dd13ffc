#include "tools/kubesim/table.h"

#include <inttypes.h>
#include "informer/json_object.h"
#include "tools/kubesim/table_priv.h"

/* ---- durations ---------------------------------------------------------------------------- */

/* The real printers show two units while the smaller one still matters. */
void mu_table_duration(int64_t seconds, struct mu_buf *out)
{
    int64_t minutes = seconds / 60;
    int64_t hours = seconds / 3600;
    int64_t days = hours / 24;
    if (seconds < -1) {
        (void)mu_buf_append_text(out, "<invalid>"); /* clocks may differ by a second or so */
    } else if (seconds < 120) {
        (void)mu_buf_printf(out, "%" PRId64 "s", seconds < 0 ? 0 : seconds);
    } else if (minutes < 10 && seconds % 60 != 0) {
        (void)mu_buf_printf(out, "%" PRId64 "m%" PRId64 "s", minutes, seconds % 60);
    } else if (minutes < 180) {
        (void)mu_buf_printf(out, "%" PRId64 "m", minutes);
    } else if (hours < 8 && minutes % 60 != 0) {
        (void)mu_buf_printf(out, "%" PRId64 "h%" PRId64 "m", hours, minutes % 60);
    } else if (hours < 48) {
        (void)mu_buf_printf(out, "%" PRId64 "h", hours);
    } else if (days < 8 && hours % 24 != 0) {
        (void)mu_buf_printf(out, "%" PRId64 "d%" PRId64 "h", days, hours % 24);
    } else if (days < 730) {
        (void)mu_buf_printf(out, "%" PRId64 "d", days);
    } else if (days < 2920 && days % 365 != 0) {
        (void)mu_buf_printf(out, "%" PRId64 "y%" PRId64 "d", days / 365, days % 365);
    } else {
        (void)mu_buf_printf(out, "%" PRId64 "y", days / 365);
    }
}

/* ---- cells -------------------------------------------------------------------------------- */

uint32_t mu_table_count(struct mu_str message, uint32_t number)
{
    struct mu_str element;
    uint32_t count = 0;
    while (mu_table_next(&message, number, &element)) {
        count++;
    }
    return count;
}

void mu_table_text(struct mu_buf *out, struct mu_str text)
{
    (void)mu_json_string_write(out, text);
    (void)mu_buf_append_text(out, ",");
}

void mu_table_text_or(struct mu_buf *out, struct mu_str text, const char *none)
{
    mu_table_text(out, text.len > 0 ? text : mu_str_of(none));
}

void mu_table_integer(struct mu_buf *out, int64_t value)
{
    (void)mu_buf_printf(out, "%" PRId64 ",", value);
}

void mu_table_age(struct mu_buf *out, const struct mu_table_object *object, struct mu_str time)
{
    int64_t seconds = mu_table_number(time, 1);
    (void)mu_buf_append_text(out, "\"");
    if (seconds == 0) {
        (void)mu_buf_append_text(out, "<unknown>");
    } else {
        mu_table_duration(object->now_s - seconds, out);
    }
    (void)mu_buf_append_text(out, "\",");
}

void mu_table_name(struct mu_buf *out, const struct mu_table_object *object)
{
    mu_table_text(out, mu_table_part(object->meta, META_NAME));
}

void mu_table_created(struct mu_buf *out, const struct mu_table_object *object)
{
    mu_table_age(out, object, mu_table_part(object->meta, META_CREATED));
}

/* What a column's path names, found by the names in the kind's descriptor. null when the object has
 * no such field, as the real server's columns of custom resources. */
static void path_cell(const struct mu_table_object *object, const struct mu_table_column *column,
                      struct mu_buf *out)
{
    const ProtobufCMessageDescriptor *descriptor = mu_kind_schema(object->kind);
    struct mu_str message = object->raw;
    struct mu_pb_field field = {0};
    const char *name = column->path;
    while (name != NULL) {
        char segment[64];
        const char *dot = strchr(name, '.');
        size_t len = dot != NULL ? (size_t)(dot - name) : strlen(name);
        const ProtobufCFieldDescriptor *step = NULL;
        if (descriptor != NULL && len < sizeof segment) {
            memcpy(segment, name, len);
            segment[len] = '\0';
            step = protobuf_c_message_descriptor_get_field_by_name(descriptor, segment);
        }
        if (step == NULL || !mu_pb_find(message, step->id, &field)) {
            (void)mu_buf_append_text(out, "null,");
            return;
        }
        descriptor = step->type == PROTOBUF_C_TYPE_MESSAGE ? step->descriptor : NULL;
        message = field.bytes;
        name = dot != NULL ? dot + 1 : NULL;
    }
    if (strcmp(column->type, "date") == 0) {
        mu_table_age(out, object, message);
    } else if (field.is_bytes) {
        mu_table_text(out, message);
    } else {
        mu_table_integer(out, (int64_t)field.varint);
    }
}

/* ---- rows --------------------------------------------------------------------------------- */

void mu_table_columns(const struct mu_kind *kind, struct mu_buf *out)
{
    (void)mu_buf_append_text(out, "[");
    const struct mu_table_column *columns = mu_table_printer_of(kind)->columns;
    for (uint32_t i = 0; columns[i].name != NULL; i++) {
        (void)mu_buf_printf(out,
                            "%s{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\","
                            "\"description\":\"\",\"priority\":%d}",
                            i == 0 ? "" : ",", columns[i].name, columns[i].type,
                            i == 0 ? "name" : "", columns[i].wide);
    }
    (void)mu_buf_append_text(out, "]");
}

void mu_table_cells(const struct mu_kind *kind, struct mu_str raw, int64_t now_s,
                    struct mu_buf *out)
{
    const struct mu_table_printer *printer = mu_table_printer_of(kind);
    struct mu_table_object object = {.kind = kind,
                                     .raw = raw,
                                     .meta = mu_table_part(raw, 1),
                                     .spec = mu_table_part(raw, 2),
                                     .status = mu_table_part(raw, 3),
                                     .now_s = now_s};
    (void)mu_buf_append_text(out, "[");
    if (printer->cells != NULL) {
        printer->cells(&object, out);
    } else {
        mu_table_name(out, &object);
        for (const struct mu_table_column *column = printer->columns + 1; column->name != NULL;
             column++) {
            path_cell(&object, column, out);
        }
    }
    if (out->failed == 0) {
        out->data[out->len - 1] = ']'; /* the last cell's comma */
    }
}
