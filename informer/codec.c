/*
 * Envelope, lists, metadata, Status, Binding.
 *
 * What is only framing (envelope, list, metadata) is read by the field cursor of wire_priv.h: no
 * copy, no allocation, views into the input. What is an object (Status, Pod) is decoded by
 * protobuf-c into the caller's arena.
 */
#include "informer/codec.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "informer/decode_priv.h"
#include "informer/wire_priv.h"

static const char MAGIC[4] = {'k', '8', 's', '\0'};

/* Field numbers: kubernetes-wire.md §1.1, §2.1. */
enum { UNKNOWN_TYPE_META = 1, UNKNOWN_RAW = 2, UNKNOWN_ENCODING = 3, UNKNOWN_CONTENT_TYPE = 4 };
enum { TYPE_META_VERSION = 1, TYPE_META_KIND = 2 };
enum { LIST_METADATA = 1, LIST_ITEMS = 2 };
enum { LIST_META_VERSION = 2, LIST_META_CONTINUE = 3 };
enum { OBJECT_METADATA = 1 };
enum { META_NAME = 1, META_NAMESPACE = 3, META_UID = 5, META_VERSION = 6, META_ANNOTATIONS = 12 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/* The next field of a message named `what`; fills *error where mu_wire_next only returns a code. */
static int next_field(struct mu_wire *wire, struct mu_wire_field *field, const char *what,
                      struct mu_error *error)
{
    int rc = mu_wire_next(wire, field);
    if (rc < 0)
        return mu_error_set(error, rc, "%s: %s", what,
                            rc == MU_ETRUNCATED ? "a field runs past the end"
                                                : "not a protobuf message");
    return rc;
}

static bool is_bytes(const struct mu_wire_field *field, uint32_t number)
{
    return field->number == number && field->type == MU_WIRE_BYTES;
}

/* --- envelope ------------------------------------------------------------------------------ */

bool mu_envelope_has_magic(struct mu_str body)
{
    return mu_str_starts_with(body, (struct mu_str){MAGIC, sizeof MAGIC});
}

static int read_type_meta(struct mu_str message, struct mu_envelope *out, struct mu_error *error)
{
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = next_field(&wire, &field, "envelope.typeMeta", error)) > 0) {
        if (is_bytes(&field, TYPE_META_VERSION))
            out->api_version = field.bytes;
        else if (is_bytes(&field, TYPE_META_KIND))
            out->kind = field.bytes;
    }
    return rc;
}

static int read_unknown(struct mu_str message, struct mu_envelope *out, struct mu_error *error)
{
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = next_field(&wire, &field, "envelope", error)) > 0) {
        if (is_bytes(&field, UNKNOWN_TYPE_META))
            rc = read_type_meta(field.bytes, out, error);
        else if (is_bytes(&field, UNKNOWN_RAW))
            out->raw = field.bytes;
        else if (is_bytes(&field, UNKNOWN_ENCODING) && field.bytes.len > 0)
            rc = mu_error_set(error, MU_EPROTO, "envelope.contentEncoding: expected none");
        else if (is_bytes(&field, UNKNOWN_CONTENT_TYPE) && field.bytes.len > 0)
            rc = mu_error_set(error, MU_EPROTO, "envelope.contentType: expected none");
        if (rc < 0)
            return rc;
    }
    return rc;
}

int mu_envelope_open(struct mu_str body, struct mu_envelope *out, struct mu_error *error)
{
    if (!mu_envelope_has_magic(body)) {
        struct mu_str magic = {MAGIC, sizeof MAGIC};
        bool cut = body.len < magic.len && mu_str_starts_with(magic, body);
        return mu_error_set(error, cut ? MU_ETRUNCATED : MU_EPROTO,
                            "envelope: expected the magic \"k8s\\0\", have %u other bytes",
                            body.len);
    }
    if (body.len == sizeof MAGIC)
        return mu_error_set(error, MU_ETRUNCATED, "envelope: nothing behind the magic");
    struct mu_envelope envelope = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct mu_str unknown = {body.data + sizeof MAGIC, body.len - (uint32_t)sizeof MAGIC};
    int rc = read_unknown(unknown, &envelope, error);
    if (rc == 0)
        *out = envelope;
    return rc;
}

static size_t type_meta_size(struct mu_str api_version, struct mu_str kind)
{
    return mu_wire_bytes_size(TYPE_META_VERSION, api_version.len) +
           mu_wire_bytes_size(TYPE_META_KIND, kind.len);
}

size_t mu_envelope_size(struct mu_str api_version, struct mu_str kind, struct mu_str raw)
{
    return sizeof MAGIC + mu_wire_bytes_size(UNKNOWN_TYPE_META, type_meta_size(api_version, kind)) +
           mu_wire_bytes_size(UNKNOWN_RAW, raw.len) + mu_wire_bytes_size(UNKNOWN_ENCODING, 0) +
           mu_wire_bytes_size(UNKNOWN_CONTENT_TYPE, 0);
}

int mu_envelope_wrap(struct mu_buf *out, struct mu_str api_version, struct mu_str kind,
                     struct mu_str raw)
{
    /* Reserved as a whole, so that a failure leaves no half envelope behind. */
    int rc = mu_buf_reserve(out, mu_envelope_size(api_version, kind, raw));
    if (rc != 0)
        return rc;
    (void)mu_buf_append(out, MAGIC, sizeof MAGIC);
    mu_wire_put_head(out, UNKNOWN_TYPE_META, type_meta_size(api_version, kind));
    mu_wire_put_bytes(out, TYPE_META_VERSION, api_version);
    mu_wire_put_bytes(out, TYPE_META_KIND, kind);
    mu_wire_put_bytes(out, UNKNOWN_RAW, raw);
    /* Upstream writes both although they are empty; so do we, byte for byte. */
    mu_wire_put_head(out, UNKNOWN_ENCODING, 0);
    mu_wire_put_head(out, UNKNOWN_CONTENT_TYPE, 0);
    return out->failed;
}

/* --- lists --------------------------------------------------------------------------------- */

static int read_list_meta(struct mu_str message, struct mu_list_head *head, struct mu_error *error)
{
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = next_field(&wire, &field, "list.metadata", error)) > 0) {
        if (is_bytes(&field, LIST_META_VERSION))
            head->resource_version = field.bytes;
        else if (is_bytes(&field, LIST_META_CONTINUE))
            head->continue_token = field.bytes;
    }
    return rc;
}

int mu_list_open(struct mu_str raw, struct mu_list_head *head, mu_list_item_fn item, void *context,
                 struct mu_error *error)
{
    if (raw.len > MU_LIST_PAGE_MAX)
        return mu_error_set(error, MU_ELIMIT, "list: %u bytes, expected at most %u", raw.len,
                            MU_LIST_PAGE_MAX);
    struct mu_list_head found = {{NULL, 0}, {NULL, 0}};
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, raw);
    while ((rc = next_field(&wire, &field, "list", error)) > 0) {
        if (is_bytes(&field, LIST_METADATA))
            rc = read_list_meta(field.bytes, &found, error);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        return rc;
    *head = found;
    if (item == NULL)
        return 0;
    mu_wire_open(&wire, raw);
    while (mu_wire_next(&wire, &field) > 0) {
        if (!is_bytes(&field, LIST_ITEMS))
            continue;
        mu_wire_prefetch(wire.at, (size_t)(wire.end - wire.at));
        if ((rc = item(context, field.bytes)) != 0)
            return rc;
    }
    return 0;
}

/* --- metadata ------------------------------------------------------------------------------ */

static int read_annotation(struct mu_str message, struct mu_object_meta *meta,
                           struct mu_error *error)
{
    struct mu_str key = {NULL, 0};
    struct mu_str value = {NULL, 0};
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = next_field(&wire, &field, "metadata.annotations", error)) > 0) {
        if (is_bytes(&field, ENTRY_KEY))
            key = field.bytes;
        else if (is_bytes(&field, ENTRY_VALUE))
            value = field.bytes;
    }
    if (rc == 0 && mu_str_equal(key, MU_STR("k8s.io/initial-events-end")))
        meta->initial_events_end = mu_str_equal(value, MU_STR("true"));
    return rc;
}

static int read_object_meta(struct mu_str message, struct mu_object_meta *meta,
                            struct mu_error *error)
{
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = next_field(&wire, &field, "metadata", error)) > 0) {
        if (field.type != MU_WIRE_BYTES)
            continue;
        switch (field.number) {
        case META_NAME:
            meta->name = field.bytes;
            break;
        case META_NAMESPACE:
            meta->ns = field.bytes;
            break;
        case META_UID:
            meta->uid = field.bytes;
            break;
        case META_VERSION:
            meta->resource_version = field.bytes;
            break;
        case META_ANNOTATIONS:
            if ((rc = read_annotation(field.bytes, meta, error)) < 0)
                return rc;
            break;
        default:
            break;
        }
    }
    return rc;
}

int mu_meta_decode(struct mu_str raw, struct mu_object_meta *out, struct mu_error *error)
{
    struct mu_object_meta meta = {.version = 0};
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, raw);
    while ((rc = next_field(&wire, &field, "object", error)) > 0) {
        if (is_bytes(&field, OBJECT_METADATA))
            rc = read_object_meta(field.bytes, &meta, error);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    if (meta.resource_version.len > 0 && !mu_str_to_u64(meta.resource_version, &meta.version))
        return mu_error_set(error, MU_EPROTO,
                            "%.*s/%.*s: metadata.resourceVersion: expected a decimal number",
                            MU_STR_ARGS(meta.ns), MU_STR_ARGS(meta.name));
    *out = meta;
    return 0;
}

/* --- Status -------------------------------------------------------------------------------- */

int mu_status_decode_raw(struct mu_str raw, struct mu_arena *arena, struct mu_status *out)
{
    if (raw.len > MU_STATUS_BYTES_MAX)
        return MU_ELIMIT;
    const void *message;
    int rc = mu_decode_message(raw, &kube__status__descriptor, arena, "Status", &message, NULL);
    if (rc != 0)
        return rc;
    const Kube__Status *status = message;
    const Kube__StatusDetails *details = status->details;
    *out = (struct mu_status){
        .code = status->code,
        .status = mu_str_of(status->status),
        .reason = mu_str_of(status->reason),
        .message = mu_str_of(status->message),
    };
    if (details != NULL && details->n_causes > 0)
        out->cause = mu_str_of(details->causes[0]->reason);
    if (details != NULL && details->retryafterseconds > 0)
        out->retry_after_s = (uint32_t)details->retryafterseconds;
    return 0;
}

int mu_status_decode(struct mu_str body, struct mu_arena *arena, struct mu_status *out)
{
    struct mu_envelope envelope = {0};
    int rc = mu_envelope_open(body, &envelope, NULL);
    if (rc != 0)
        return MU_EPROTO;
    if (!mu_str_equal(envelope.kind, MU_STR("Status")))
        return MU_EPROTO;
    return mu_status_decode_raw(envelope.raw, arena, out);
}

/* --- Binding ------------------------------------------------------------------------------- */

enum { BINDING_METADATA = 1, BINDING_TARGET = 2, REFERENCE_KIND = 1, REFERENCE_NAME = 3 };

static size_t optional_size(uint32_t number, struct mu_str bytes)
{
    return bytes.len == 0 ? 0 : mu_wire_bytes_size(number, bytes.len);
}

static void put_optional(struct mu_buf *out, uint32_t number, struct mu_str bytes)
{
    if (bytes.len > 0)
        mu_wire_put_bytes(out, number, bytes);
}

/* "0,3" into `text`, which has room for the numbers of 64 devices. */
static struct mu_str device_list(uint64_t devices, char text[64 * 3])
{
    uint32_t len = 0;
    for (; devices != 0; devices &= devices - 1) {
        int device = __builtin_ctzll(devices);
        if (len > 0)
            text[len++] = ',';
        if (device >= 10)
            text[len++] = (char)('0' + device / 10);
        text[len++] = (char)('0' + device % 10);
    }
    return (struct mu_str){text, len};
}

/* An annotation, unless it is empty. */
static size_t annotation_size(struct mu_str key, struct mu_str value)
{
    return value.len == 0 ? 0
                          : mu_wire_bytes_size(ENTRY_KEY, key.len) +
                                mu_wire_bytes_size(ENTRY_VALUE, value.len);
}

static void put_annotation(struct mu_buf *raw, struct mu_str key, struct mu_str value)
{
    if (value.len == 0)
        return;
    mu_wire_put_head(raw, META_ANNOTATIONS, annotation_size(key, value));
    mu_wire_put_bytes(raw, ENTRY_KEY, key);
    mu_wire_put_bytes(raw, ENTRY_VALUE, value);
}

int mu_binding_encode(struct mu_buf *out, const struct mu_binding *binding)
{
    MU_ASSERT(binding->name.len > 0 && binding->node.len > 0 && binding->uid.len > 0);
    const struct mu_str keys[] = {MU_STR(MU_PLAN_ANNOTATION), MU_STR(MU_DEVICE_ANNOTATION)};
    char list[64 * 3];
    const struct mu_str values[] = {binding->plan, device_list(binding->devices, list)};
    const struct mu_str kind = MU_STR("Node");
    char digits[24] = "";
    if (binding->version > 0)
        (void)snprintf(digits, sizeof digits, "%" PRIu64, binding->version);
    struct mu_str version = mu_str_of(digits);
    size_t meta = mu_wire_bytes_size(META_NAME, binding->name.len) +
                  mu_wire_bytes_size(META_NAMESPACE, binding->ns.len) +
                  mu_wire_bytes_size(META_UID, binding->uid.len) +
                  optional_size(META_VERSION, version);
    for (uint32_t i = 0; i < 2; i++)
        if (values[i].len > 0)
            meta += mu_wire_bytes_size(META_ANNOTATIONS, annotation_size(keys[i], values[i]));
    size_t target = mu_wire_bytes_size(REFERENCE_KIND, kind.len) +
                    mu_wire_bytes_size(REFERENCE_NAME, binding->node.len);

    struct mu_buf raw = {.max = MU_OBJECT_BYTES_MAX};
    mu_wire_put_head(&raw, BINDING_METADATA, meta);
    mu_wire_put_bytes(&raw, META_NAME, binding->name);
    mu_wire_put_bytes(&raw, META_NAMESPACE, binding->ns);
    mu_wire_put_bytes(&raw, META_UID, binding->uid);
    put_optional(&raw, META_VERSION, version);
    for (uint32_t i = 0; i < 2; i++)
        put_annotation(&raw, keys[i], values[i]);
    mu_wire_put_head(&raw, BINDING_TARGET, target);
    mu_wire_put_bytes(&raw, REFERENCE_KIND, kind);
    mu_wire_put_bytes(&raw, REFERENCE_NAME, binding->node);
    int rc = raw.failed;
    if (rc == 0)
        rc = mu_envelope_wrap(out, MU_STR("v1"), MU_STR("Binding"),
                              (struct mu_str){(const char *)raw.data, (uint32_t)raw.len});
    mu_buf_fini(&raw);
    return rc;
}

/* --- a pod that was read back -------------------------------------------------------------- */

int mu_pod_bound_decode(struct mu_str raw, struct mu_arena *arena, struct mu_pod_bound *out,
                        struct mu_error *error)
{
    const void *message;
    int rc = mu_decode_message(raw, &kube__pod__descriptor, arena, "pod", &message, error);
    if (rc != 0)
        return rc;
    const Kube__Pod *pod = message;
    const Kube__ObjectMeta *meta = pod->metadata;
    if (meta == NULL || meta->uid == NULL || meta->uid[0] == '\0')
        return mu_error_set(error, MU_EPROTO, "pod: metadata.uid: expected one, have none");
    struct mu_pod_bound bound = {
        .uid = mu_str_of(meta->uid),
        .node = mu_str_of(pod->spec == NULL ? NULL : pod->spec->nodename),
        .plan = mu_decode_entry(meta->annotations, meta->n_annotations, MU_PLAN_ANNOTATION),
        .terminating = meta->deletiontimestamp != NULL,
    };
    if (meta->has_deletiongraceperiodseconds && meta->deletiongraceperiodseconds > 0)
        bound.grace_s = meta->deletiongraceperiodseconds < UINT32_MAX
                            ? (uint32_t)meta->deletiongraceperiodseconds
                            : UINT32_MAX;
    const char *phase = pod->status == NULL ? NULL : pod->status->phase;
    bound.terminal =
        phase != NULL && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
    if (mu_decode_version(mu_str_of(meta->resourceversion), &bound.version) != 0)
        return mu_error_set(error, MU_EPROTO,
                            "pod %s: metadata.resourceVersion: expected a decimal number",
                            meta->name == NULL ? "" : meta->name);
    *out = bound;
    return 0;
}
