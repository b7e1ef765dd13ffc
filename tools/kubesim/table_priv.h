#ifndef MU_TOOLS_KUBESIM_TABLE_PRIV_H
#define MU_TOOLS_KUBESIM_TABLE_PRIV_H
/* Inside the tables: columns, and the functions that print cells (table_cells.c, table_pod.c). */
#include "tools/kubesim/table.h"
#include "tools/kubesim/wire.h"

struct mu_table_column {
    const char *name;
    const char *type; /* "string", "integer", "boolean", "date" */
    bool wide;        /* shows with -o wide alone */
    /* Where custom resources keep it ("status.phase"); NULL: the kind's function prints it. */
    const char *path;
};

/* One object on its way into a row. */
struct mu_table_object {
    const struct mu_kind *kind;
    struct mu_str raw, meta, spec, status; /* fields 1, 2 and 3: views */
    int64_t now_s;
};

/* How a kind is printed. */
struct mu_table_printer {
    const char *group, *kind;
    const struct mu_table_column *columns; /* ends with name NULL */
    /* Append all cells, with commas between them; NULL: the name, and what `path` names. */
    void (*cells)(const struct mu_table_object *object, struct mu_buf *out);
};

/* Field numbers of the API that several printers read. */
enum { META_NAME = 1, META_CREATED = 8, META_DELETED = 9, META_LABELS = 11 };

/* ---- reading: absent fields read as empty and 0 ------------------------------------------- */

static inline struct mu_str mu_table_part(struct mu_str message, uint32_t number)
{
    return mu_pb_bytes(message, number, 0);
}
static inline bool mu_table_has(struct mu_str message, uint32_t number)
{
    struct mu_pb_field field;
    return mu_pb_find(message, number, &field);
}
static inline int64_t mu_table_number(struct mu_str message, uint32_t number)
{
    struct mu_pb_field field;
    bool found = mu_pb_find(message, number, &field) && !field.is_bytes;
    return found ? (int64_t)field.varint : 0;
}
/* The next element of a repeated field, off *rest. */
static inline bool mu_table_next(struct mu_str *rest, uint32_t number, struct mu_str *element)
{
    struct mu_pb_field field;
    while (mu_pb_next(rest, &field) == 1) {
        if (field.number == number && field.is_bytes) {
            *element = field.bytes;
            return true;
        }
    }
    return false;
}
uint32_t mu_table_count(struct mu_str message, uint32_t number);

/* ---- cells: each is followed by a comma that the row's end drops -------------------------- */

void mu_table_text(struct mu_buf *out, struct mu_str text);
/* As above; `none` stands for an empty text. */
void mu_table_text_or(struct mu_buf *out, struct mu_str text, const char *none);
void mu_table_integer(struct mu_buf *out, int64_t value);
/* The time since a Time or MicroTime message, "<unknown>" when it is not set. */
void mu_table_age(struct mu_buf *out, const struct mu_table_object *object, struct mu_str time);
void mu_table_name(struct mu_buf *out, const struct mu_table_object *object);
void mu_table_created(struct mu_buf *out, const struct mu_table_object *object);

extern const struct mu_table_column mu_table_pod_columns[];
void mu_table_pod_cells(const struct mu_table_object *object, struct mu_buf *out);
/* The printer of a kind. Never NULL: kinds without one show NAME and AGE. */
const struct mu_table_printer *mu_table_printer_of(const struct mu_kind *kind);

#endif
