/* The cells of each kind but pods. */
#include <stdlib.h>
#include "informer/json_object.h"
#include "tools/kubesim/table_priv.h"

#define NAME_COLUMN                                                                                \
    {                                                                                              \
        "Name", "string", false, NULL                                                              \
    }
#define AGE_COLUMN                                                                                 \
    {                                                                                              \
        "Age", "string", false, NULL                                                               \
    }
#define NO_COLUMN                                                                                  \
    {                                                                                              \
        NULL, NULL, false, NULL                                                                    \
    }

/* ---- nodes -------------------------------------------------------------------------------- */

static const struct mu_table_column node_columns[] = {NAME_COLUMN,
                                                      {"Status", "string", false, NULL},
                                                      {"Roles", "string", false, NULL},
                                                      AGE_COLUMN,
                                                      {"Version", "string", false, NULL},
                                                      {"Internal-IP", "string", true, NULL},
                                                      {"External-IP", "string", true, NULL},
                                                      {"OS-Image", "string", true, NULL},
                                                      {"Kernel-Version", "string", true, NULL},
                                                      {"Container-Runtime", "string", true, NULL},
                                                      NO_COLUMN};

enum { ROLES_MAX = 16 }; /* shown */

static int compare_roles(const void *a, const void *b)
{
    const struct mu_str *x = a;
    const struct mu_str *y = b;
    return mu_str_compare(*x, *y);
}

/* Labels node-role.kubernetes.io/ROLE and kubernetes.io/role=ROLE, sorted, each once. */
static void roles_cell(const struct mu_table_object *object, struct mu_buf *out)
{
    static const struct mu_str prefix = {"node-role.kubernetes.io/", 24};
    struct mu_str roles[ROLES_MAX];
    uint32_t count = 0;
    struct mu_str rest = object->meta;
    struct mu_str entry;
    while (count < ROLES_MAX && mu_table_next(&rest, META_LABELS, &entry)) {
        struct mu_str key = mu_table_part(entry, 1);
        struct mu_str value = mu_table_part(entry, 2);
        if (mu_str_starts_with(key, prefix) && key.len > prefix.len) {
            roles[count++] = (struct mu_str){key.data + prefix.len, key.len - prefix.len};
        } else if (mu_str_equal(key, MU_STR("kubernetes.io/role")) && value.len > 0) {
            roles[count++] = value;
        }
    }
    if (count > 1) {
        qsort(roles, count, sizeof roles[0], compare_roles);
    }
    struct mu_buf text = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || !mu_str_equal(roles[i], roles[i - 1])) {
            (void)mu_buf_append_text(&text, i == 0 ? "" : ",");
            (void)mu_buf_append_str(&text, roles[i]);
        }
    }
    out->failed = out->failed != 0 ? out->failed : text.failed;
    mu_table_text_or(out, (struct mu_str){(const char *)text.data, (uint32_t)text.len}, "<none>");
    mu_buf_fini(&text);
}

static struct mu_str node_address(const struct mu_table_object *object, struct mu_str type)
{
    struct mu_str rest = object->status;
    struct mu_str address;
    while (mu_table_next(&rest, 5, &address)) {
        if (mu_str_equal(mu_table_part(address, 1), type)) {
            return mu_table_part(address, 2);
        }
    }
    return (struct mu_str){NULL, 0};
}

static void node_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    enum { CONDITIONS = 4, INFO = 7, UNSCHEDULABLE = 4 };
    const char *ready = "Unknown";
    struct mu_str rest = object->status;
    struct mu_str condition;
    while (mu_table_next(&rest, CONDITIONS, &condition)) {
        if (mu_str_equal(mu_table_part(condition, 1), MU_STR("Ready"))) {
            bool yes = mu_str_equal(mu_table_part(condition, 2), MU_STR("True"));
            ready = yes ? "Ready" : "NotReady";
        }
    }
    struct mu_str info = mu_table_part(object->status, INFO);
    mu_table_name(out, object);
    (void)mu_buf_printf(out, "\"%s%s\",", ready,
                        mu_table_number(object->spec, UNSCHEDULABLE) != 0 ? ",SchedulingDisabled"
                                                                          : "");
    roles_cell(object, out);
    mu_table_created(out, object);
    mu_table_text(out, mu_table_part(info, 7)); /* kubelet */
    mu_table_text_or(out, node_address(object, MU_STR("InternalIP")), "<none>");
    mu_table_text_or(out, node_address(object, MU_STR("ExternalIP")), "<none>");
    mu_table_text_or(out, mu_table_part(info, 5), "<unknown>"); /* OS image */
    mu_table_text_or(out, mu_table_part(info, 4), "<unknown>"); /* kernel */
    mu_table_text_or(out, mu_table_part(info, 6), "<unknown>"); /* container runtime */
}

/* ---- namespaces, priority classes, configuration ------------------------------------------ */

static const struct mu_table_column namespace_columns[] = {
    NAME_COLUMN, {"Status", "string", false, NULL}, AGE_COLUMN, NO_COLUMN};

static void namespace_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    mu_table_name(out, object);
    mu_table_text(out, mu_table_part(object->status, 1));
    mu_table_created(out, object);
}

static const struct mu_table_column priority_columns[] = {
    NAME_COLUMN,
    {"Value", "integer", false, NULL},
    {"Global-Default", "boolean", false, NULL},
    AGE_COLUMN,
    {"PreemptionPolicy", "string", false, NULL},
    NO_COLUMN};

static void priority_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    mu_table_name(out, object);
    mu_table_integer(out, mu_table_number(object->raw, 2));
    (void)mu_buf_append_text(out, mu_table_number(object->raw, 3) != 0 ? "true," : "false,");
    mu_table_created(out, object);
    mu_table_text_or(out, mu_table_part(object->raw, 5), "PreemptLowerPriority");
}

static const struct mu_table_column config_map_columns[] = {
    NAME_COLUMN, {"Data", "integer", false, NULL}, AGE_COLUMN, NO_COLUMN};

static void config_map_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    enum { DATA = 2, BINARY_DATA = 3 };
    mu_table_name(out, object);
    mu_table_integer(out, (int64_t)mu_table_count(object->raw, DATA) +
                              mu_table_count(object->raw, BINARY_DATA));
    mu_table_created(out, object);
}

static const struct mu_table_column account_columns[] = {
    NAME_COLUMN, {"Secrets", "integer", false, NULL}, AGE_COLUMN, NO_COLUMN};

static void account_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    mu_table_name(out, object);
    mu_table_integer(out, mu_table_count(object->raw, 2));
    mu_table_created(out, object);
}

static const struct mu_table_column lease_columns[] = {
    NAME_COLUMN, {"Holder", "string", false, NULL}, AGE_COLUMN, NO_COLUMN};

static void lease_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    mu_table_name(out, object);
    mu_table_text(out, mu_table_part(object->spec, 1));
    mu_table_created(out, object);
}

/* ---- disruption budgets ------------------------------------------------------------------- */

static const struct mu_table_column budget_columns[] = {
    NAME_COLUMN,
    {"Min Available", "string", false, NULL},
    {"Max Unavailable", "string", false, NULL},
    {"Allowed Disruptions", "integer", false, NULL},
    AGE_COLUMN,
    NO_COLUMN};

/* An IntOrString: 1 type, 2 number, 3 text. */
static void int_or_string_cell(struct mu_str spec, uint32_t number, struct mu_buf *out)
{
    struct mu_str value = mu_table_part(spec, number);
    if (!mu_table_has(spec, number)) {
        mu_table_text(out, MU_STR("N/A"));
    } else if (mu_table_number(value, 1) != 0) {
        mu_table_text(out, mu_table_part(value, 3));
    } else {
        (void)mu_buf_printf(out, "\"%d\",", (int)mu_table_number(value, 2));
    }
}

static void budget_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    enum { MIN_AVAILABLE = 1, MAX_UNAVAILABLE = 3, DISRUPTIONS_ALLOWED = 3 };
    mu_table_name(out, object);
    int_or_string_cell(object->spec, MIN_AVAILABLE, out);
    int_or_string_cell(object->spec, MAX_UNAVAILABLE, out);
    mu_table_integer(out, mu_table_number(object->status, DISRUPTIONS_ALLOWED));
    mu_table_created(out, object);
}

/* ---- events ------------------------------------------------------------------------------- */

static const struct mu_table_column event_columns[] = {{"Last Seen", "string", false, NULL},
                                                       {"Type", "string", false, NULL},
                                                       {"Reason", "string", false, NULL},
                                                       {"Object", "string", false, NULL},
                                                       {"Subobject", "string", true, NULL},
                                                       {"Source", "string", true, NULL},
                                                       {"Message", "string", false, NULL},
                                                       {"First Seen", "string", true, NULL},
                                                       {"Count", "integer", true, NULL},
                                                       {"Name", "string", true, NULL},
                                                       NO_COLUMN};

/* "kind/name" of the object that the event is about, the kind in small letters. */
static void involved_cell(struct mu_str involved, struct mu_buf *out)
{
    struct mu_str kind = mu_table_part(involved, 1);
    struct mu_str name = mu_table_part(involved, 3);
    struct mu_buf text = {0};
    for (uint32_t i = 0; i < kind.len; i++) {
        char c = kind.data[i];
        c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        (void)mu_buf_append(&text, &c, 1);
    }
    if (name.len > 0) {
        (void)mu_buf_append_text(&text, "/");
        (void)mu_buf_append_str(&text, name);
    }
    out->failed = out->failed != 0 ? out->failed : text.failed;
    mu_table_text(out, (struct mu_str){(const char *)text.data, (uint32_t)text.len});
    mu_buf_fini(&text);
}

/* "component, host" of the source, or what the newer fields say of it. */
static void source_cell(struct mu_str event, struct mu_buf *out)
{
    enum { SOURCE = 5, REPORTING_COMPONENT = 14, REPORTING_INSTANCE = 15 };
    struct mu_str source = mu_table_part(event, SOURCE);
    struct mu_str component = mu_table_part(source, 1);
    struct mu_str host = mu_table_part(source, 2);
    component = component.len > 0 ? component : mu_table_part(event, REPORTING_COMPONENT);
    host = host.len > 0 ? host : mu_table_part(event, REPORTING_INSTANCE);
    struct mu_buf text = {0};
    (void)mu_buf_append_str(&text, component);
    if (host.len > 0) {
        (void)mu_buf_append_text(&text, ", ");
        (void)mu_buf_append_str(&text, host);
    }
    out->failed = out->failed != 0 ? out->failed : text.failed;
    mu_table_text(out, (struct mu_str){(const char *)text.data, (uint32_t)text.len});
    mu_buf_fini(&text);
}

static struct mu_str trim(struct mu_str text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL &&
           text.data[text.len - 1] != '\0') {
        text.len--;
    }
    return text;
}

static void event_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    enum { INVOLVED = 2, REASON, MESSAGE, FIRST = 6, LAST, COUNT, TYPE, TIME, SERIES };
    struct mu_str event = object->raw;
    struct mu_str series = mu_table_part(event, SERIES);
    struct mu_str involved = mu_table_part(event, INVOLVED);
    struct mu_str first = mu_table_part(event, FIRST);
    struct mu_str last = mu_table_part(event, LAST);
    int64_t count = mu_table_number(event, COUNT);
    first = mu_table_number(first, 1) != 0 ? first : mu_table_part(event, TIME);
    last = mu_table_number(last, 1) != 0 ? last : first;
    if (mu_table_has(event, SERIES)) {
        last = mu_table_part(series, 2);
        count = mu_table_number(series, 1);
    }
    mu_table_age(out, object, last);
    mu_table_text(out, mu_table_part(event, TYPE));
    mu_table_text(out, mu_table_part(event, REASON));
    involved_cell(involved, out);
    mu_table_text(out, mu_table_part(involved, 7));
    source_cell(event, out);
    mu_table_text(out, trim(mu_table_part(event, MESSAGE)));
    mu_table_age(out, object, first);
    mu_table_integer(out, count != 0 ? count : 1); /* one that happened once says no count */
    mu_table_name(out, object);
}

/* ---- pod groups and the rest -------------------------------------------------------------- */

/* Columns that their custom resource definitions ask for. */
static const struct mu_table_column plugin_group_columns[] = {
    NAME_COLUMN,
    {"Phase", "string", false, "status.phase"},
    {"MinMember", "integer", false, "spec.minMember"},
    {"Running", "integer", false, "status.running"},
    {"Succeeded", "integer", false, "status.succeeded"},
    {"Failed", "integer", false, "status.failed"},
    {"Age", "date", false, "metadata.creationTimestamp"},
    NO_COLUMN};

static const struct mu_table_column volcano_group_columns[] = {
    NAME_COLUMN,
    {"STATUS", "string", false, "status.phase"},
    {"minMember", "integer", false, "spec.minMember"},
    {"RUNNINGS", "integer", false, "status.running"},
    {"AGE", "date", false, "metadata.creationTimestamp"},
    {"QUEUE", "string", true, "spec.queue"},
    NO_COLUMN};

static const struct mu_table_column plain_columns[] = {NAME_COLUMN, AGE_COLUMN, NO_COLUMN};

static void plain_cells(const struct mu_table_object *object, struct mu_buf *out)
{
    mu_table_name(out, object);
    mu_table_created(out, object);
}

const struct mu_table_printer *mu_table_printer_of(const struct mu_kind *kind)
{
    static const struct mu_table_printer printers[] = {
        {"", "Pod", mu_table_pod_columns, mu_table_pod_cells},
        {"", "Node", node_columns, node_cells},
        {"", "Namespace", namespace_columns, namespace_cells},
        {"", "ConfigMap", config_map_columns, config_map_cells},
        {"", "ServiceAccount", account_columns, account_cells},
        {"", "Event", event_columns, event_cells},
        {"scheduling.k8s.io", "PriorityClass", priority_columns, priority_cells},
        {"policy", "PodDisruptionBudget", budget_columns, budget_cells},
        {"coordination.k8s.io", "Lease", lease_columns, lease_cells},
        {"scheduling.x-k8s.io", "PodGroup", plugin_group_columns, NULL},
        {"scheduling.volcano.sh", "PodGroup", volcano_group_columns, NULL},
    };
    static const struct mu_table_printer plain = {"", "", plain_columns, plain_cells};
    for (size_t i = 0; i < sizeof printers / sizeof printers[0]; i++) {
        if (strcmp(kind->kind, printers[i].kind) == 0 &&
            strcmp(kind->group, printers[i].group) == 0) {
            return &printers[i];
        }
    }
    return &plain;
}
