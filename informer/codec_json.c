/*
 * A scanner follows strings and brackets. Two depths of looking: a watch stream is cut into objects
 * byte by byte, with three marks of state that survive from one piece to the next (depth, inside a
 * string, behind a backslash); a whole text is cut into its members or elements by a cursor, which
 * also checks that brackets close as they opened.
 *
 * Numbers and words are not judged here, nor what strings hold: whoever parses an object does that
 * (informer/codec_group.h). A list is followed to its end before its first object is handed on.
 */
#include "informer/codec_json.h"

#include <jansson.h>
#include <string.h>

#include "engine/base/assert.h"
#include "informer/json_read.h"
#include "informer/wire_priv.h"

/* Storage kept between events; one huge object does not cost its size for ever. */
#define PENDING_KEPT_BYTES (1u << 20)

/* ---- the cursor --------------------------------------------------------------------------- */

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
        s->at++;
}

static bool take_char(struct scan *s, char want)
{
    skip_space(s);
    if (s->at == s->end || *s->at != want)
        return false;
    s->at++;
    return true;
}

/* From an opening quote to behind the closing one. */
static bool skip_string(struct scan *s)
{
    MU_ASSERT(*s->at == '"');
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\' && ++s->at == s->end)
            return false;
    }
    return false;
}

/* From an opening bracket to behind the one that closes it. */
static bool skip_nested(struct scan *s)
{
    char close[MU_JSON_NEST_MAX];
    uint32_t depth = 0;
    while (s->at < s->end) {
        const char c = *s->at;
        if (c == '"') {
            if (!skip_string(s))
                return false;
            continue;
        }
        if (c == '{' || c == '[') {
            if (depth == MU_JSON_NEST_MAX)
                return false;
            close[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (close[--depth] != c)
                return false;
        }
        s->at++;
        if (depth == 0)
            return true;
    }
    return false;
}

static bool ends_word(char c)
{
    return c == ',' || c == '}' || c == ']' || c == ':' || c == ' ' || c == '\n' || c == '\t' ||
           c == '\r';
}

/* Any value, without the space around it. */
static bool take_value(struct scan *s, struct mu_str *value)
{
    skip_space(s);
    const char *from = s->at;
    bool whole = s->at < s->end;
    if (whole && *s->at == '"')
        whole = skip_string(s);
    else if (whole && (*s->at == '{' || *s->at == '['))
        whole = skip_nested(s);
    else
        while (s->at < s->end && !ends_word(*s->at))
            s->at++;
    *value = (struct mu_str){from, (uint32_t)(s->at - from)};
    return whole && value->len > 0;
}

/* One after the other: 1, 0 at the end, MU_EPROTO. `first` is cleared. A member's key comes with
 * its quotes. key NULL: elements of a list. */
static int next_part(struct scan *s, bool *first, struct mu_str *key, struct mu_str *value)
{
    if (take_char(s, key != NULL ? '}' : ']'))
        return 0;
    if (!*first && !take_char(s, ','))
        return MU_EPROTO;
    *first = false;
    skip_space(s);
    if (key != NULL &&
        (s->at == s->end || *s->at != '"' || !take_value(s, key) || !take_char(s, ':')))
        return MU_EPROTO;
    return take_value(s, value) ? 1 : MU_EPROTO;
}

static bool is_key(struct mu_str key, struct mu_str name)
{
    MU_ASSERT(key.len >= 2);
    return mu_str_equal((struct mu_str){key.data + 1, key.len - 2}, name);
}

/* What a string says; empty when it is none, or has escapes. */
static struct mu_str plain_text(struct mu_str value)
{
    if (value.len < 2 || value.data[0] != '"' || memchr(value.data, '\\', value.len) != NULL)
        return MU_STR("");
    return (struct mu_str){value.data + 1, value.len - 2};
}

/* Values of some members of an object, which is followed to its end; of one that comes twice the
 * later. */
struct wanted {
    struct mu_str name;
    struct mu_str *value; /* empty: not there */
};
static int take_members(struct scan *s, const struct wanted *wanted, uint32_t count)
{
    struct mu_str key, value;
    bool first = true;
    int rc;
    for (uint32_t i = 0; i < count; i++)
        *wanted[i].value = MU_STR("");
    if (!take_char(s, '{'))
        return MU_EPROTO;
    while ((rc = next_part(s, &first, &key, &value)) > 0)
        for (uint32_t i = 0; i < count; i++)
            if (is_key(key, wanted[i].name))
                *wanted[i].value = value;
    return rc;
}

static int members_of(struct mu_str text, const struct wanted *wanted, uint32_t count)
{
    if (text.len == 0)
        return MU_EPROTO;
    struct scan s = {text.data, text.data + text.len};
    int rc = take_members(&s, wanted, count);
    skip_space(&s);
    return rc == 0 && s.at != s.end ? MU_EPROTO : rc;
}

/* ---- lists, metadata ---------------------------------------------------------------------- */

static bool is_null(struct mu_str value)
{
    return value.len == 0 || mu_str_equal(value, MU_STR("null"));
}

/* Walk the elements. item NULL: check them. */
static int each_element(struct mu_str list, mu_list_item_fn item, void *context)
{
    struct mu_str value;
    bool first = true;
    int rc;
    if (is_null(list))
        return 0;
    struct scan s = {list.data, list.data + list.len};
    if (!take_char(&s, '['))
        return MU_EPROTO;
    while ((rc = next_part(&s, &first, NULL, &value)) > 0) {
        if (value.data[0] != '{')
            return MU_EPROTO;
        rc = item == NULL ? 0 : item(context, value);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int mu_json_list_open(struct mu_str body, struct mu_list_head *head, mu_list_item_fn item,
                      void *context, struct mu_error *error)
{
    struct mu_str meta, items, version, more;
    const struct wanted parts[] = {{MU_STR("metadata"), &meta}, {MU_STR("items"), &items}};
    const struct wanted fields[] = {{MU_STR("resourceVersion"), &version},
                                    {MU_STR("continue"), &more}};
    if (members_of(body, parts, 2) != 0 || each_element(items, NULL, NULL) != 0)
        return mu_error_set(error, MU_EPROTO, "list: expected an object of JSON with items");
    if (members_of(meta, fields, 2) != 0)
        return mu_error_set(error, MU_EPROTO, "list: metadata: expected an object of JSON");
    *head = (struct mu_list_head){plain_text(version), plain_text(more)};
    if (head->continue_token.len == 0 && !is_null(more) && more.len > 2)
        return mu_error_set(error, MU_EPROTO, "list: metadata.continue: expected a plain text");
    return item == NULL ? 0 : each_element(items, item, context);
}

int mu_json_meta_decode(struct mu_str raw, struct mu_object_meta *out, struct mu_error *error)
{
    struct mu_str meta, ns, name, uid, version;
    const struct wanted part = {MU_STR("metadata"), &meta};
    const struct wanted fields[] = {{MU_STR("namespace"), &ns},
                                    {MU_STR("name"), &name},
                                    {MU_STR("uid"), &uid},
                                    {MU_STR("resourceVersion"), &version}};
    *out = (struct mu_object_meta){.version = 0};
    if (members_of(raw, &part, 1) != 0 || members_of(meta, fields, 4) != 0)
        return mu_error_set(error, MU_EPROTO, "object: expected JSON with metadata");
    out->ns = plain_text(ns);
    out->name = plain_text(name);
    out->uid = plain_text(uid);
    out->resource_version = plain_text(version);
    if (!mu_str_to_u64(out->resource_version, &out->version))
        out->version = 0;
    return 0;
}

/* ---- Status ------------------------------------------------------------------------------- */

static struct mu_str copied(const json_t *object, const char *key, struct mu_arena *arena,
                            bool *failed)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return MU_STR("");
    struct mu_str copy = mu_arena_str(
        arena, (struct mu_str){json_string_value(value), (uint32_t)json_string_length(value)});
    *failed = *failed || copy.data == NULL;
    return copy.data == NULL ? MU_STR("") : copy;
}

static int status_of(const json_t *tree, struct mu_arena *arena, struct mu_status *out)
{
    const json_t *kind = json_object_get(tree, "kind");
    const json_t *details = json_object_get(tree, "details");
    const json_int_t code = json_integer_value(json_object_get(tree, "code"));
    const json_int_t retry = json_integer_value(json_object_get(details, "retryAfterSeconds"));
    bool failed = false;
    if (!json_is_string(kind) || strcmp(json_string_value(kind), "Status") != 0)
        return MU_EPROTO;
    *out =
        (struct mu_status){.code = code > 0 && code < 1000 ? (int)code : 0,
                           .retry_after_s = retry > 0 && retry <= INT32_MAX ? (uint32_t)retry : 0};
    out->status = copied(tree, "status", arena, &failed);
    out->reason = copied(tree, "reason", arena, &failed);
    out->message = copied(tree, "message", arena, &failed);
    out->cause =
        copied(json_array_get(json_object_get(details, "causes"), 0), "reason", arena, &failed);
    return failed ? MU_ENOMEM : 0;
}

int mu_json_status_decode(struct mu_str body, struct mu_arena *arena, struct mu_status *out)
{
    json_t *tree = NULL;
    int rc = mu_json_text_read(body, &tree, NULL, NULL);
    if (rc != 0)
        return rc == MU_ENOMEM ? rc : MU_EPROTO;
    rc = status_of(tree, arena, out);
    json_decref(tree);
    return rc;
}

/* ---- watch streams ------------------------------------------------------------------------ */

static int deliver(struct mu_str text, mu_watch_event_fn event, void *context,
                   struct mu_error *error)
{
    struct mu_str type, object, kind, version;
    struct mu_watch_event found;
    const struct wanted parts[] = {{MU_STR("type"), &type}, {MU_STR("object"), &object}};
    const struct wanted names[] = {{MU_STR("kind"), &kind}, {MU_STR("apiVersion"), &version}};
    if (members_of(text, parts, 2) != 0 || members_of(object, names, 2) != 0)
        return mu_error_set(error, MU_EPROTO, "watch event: expected JSON with type and object");
    if (!mu_watch_type_find(plain_text(type), &found.type))
        return mu_error_set(error, MU_EPROTO, "watch event: type: unknown word of %u bytes",
                            type.len);
    found.object = (struct mu_envelope){plain_text(version), plain_text(kind), object};
    return event(context, &found);
}

/* Follow the stream from data[0] on. Returns how many bytes belong to the object that ends among
 * them, or 0: all of them do, and more. */
static uint32_t follow(struct mu_watch_decoder *d, struct mu_str data)
{
    for (uint32_t i = 0; i < data.len; i++) {
        const char c = data.data[i];
        if (d->json_escape)
            d->json_escape = false;
        else if (d->json_string && c == '\\')
            d->json_escape = true;
        else if (c == '"')
            d->json_string = !d->json_string;
        else if (!d->json_string && (c == '{' || c == '['))
            d->json_depth++;
        else if (!d->json_string && (c == '}' || c == ']') && --d->json_depth == 0)
            return i + 1;
    }
    return 0;
}

static int gather(struct mu_buf *pending, struct mu_str data, struct mu_error *error)
{
    if (pending->len + data.len > MU_WATCH_FRAME_MAX)
        return mu_error_set(error, MU_ELIMIT, "watch event: above %u bytes", MU_WATCH_FRAME_MAX);
    if (mu_buf_append_str(pending, data) != 0)
        return mu_error_set(error, MU_ENOMEM, "watch event: no memory to gather %zu bytes",
                            pending->len + data.len);
    return 0;
}

static void let_go(struct mu_buf *pending)
{
    mu_buf_clear(pending);
    if (pending->cap > PENDING_KEPT_BYTES) {
        mu_buf_fini(pending);
        mu_buf_init(pending, MU_WATCH_FRAME_MAX);
    }
}

int mu_json_watch_feed(struct mu_watch_decoder *d, struct mu_str data, mu_watch_event_fn event,
                       void *context, struct mu_error *error)
{
    struct mu_buf *pending = &d->pending;
    int rc = 0;
    while (rc == 0) {
        struct scan s = {data.data, data.data + data.len};
        if (pending->len == 0)
            skip_space(&s);
        data = (struct mu_str){s.at, (uint32_t)(s.end - s.at)};
        if (data.len == 0)
            return 0;
        if (pending->len == 0 && data.data[0] != '{')
            return mu_error_set(error, MU_EPROTO, "watch event: expected an object of JSON");
        const uint32_t used = follow(d, data);
        struct mu_str text = {data.data, used};
        if (used == 0)
            return gather(pending, data, error);
        if (used > MU_WATCH_FRAME_MAX)
            return mu_error_set(error, MU_ELIMIT, "watch event: %u bytes, expected at most %u",
                                used, MU_WATCH_FRAME_MAX);
        if (pending->len > 0) {
            rc = gather(pending, text, error);
            text = (struct mu_str){(const char *)pending->data, (uint32_t)pending->len};
        }
        if (rc == 0)
            rc = deliver(text, event, context, error);
        let_go(pending);
        data = (struct mu_str){data.data + used, data.len - used};
    }
    return rc;
}
