/*
 * Everything that is read from the wire as a whole body: envelope, list, metadata, Status. No input
 * crashes; views lie inside the input; what was opened can be wrapped and opened again; what is
 * refused leaves its output alone.
 *
 * What encodes a binding takes no input from the wire, and so is not covered here.
 *
 * covers: informer/wire.c
 * covers: informer/codec.c:-optional_size,put_optional,mu_binding_encode,mu_pod_bound_decode
 * covers: informer/codec.c:-device_list,annotation_size,put_annotation
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/arena.h"
#include "engine/base/assert.h"
#include "informer/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct mu_str view, struct mu_str whole)
{
    MU_ASSERT(view.len <= whole.len);
    if (view.len > 0)
        MU_ASSERT(view.data >= whole.data && view.data + view.len <= whole.data + whole.len);
}

struct walk {
    struct mu_str whole;
    uint32_t items;
};

static int on_item(void *context, struct mu_str raw)
{
    struct walk *walk = context;
    struct mu_object_meta meta = {.version = 77};
    struct mu_error error = {.code = 0};
    check_inside(raw, walk->whole);
    int rc = mu_meta_decode(raw, &meta, &error);
    MU_ASSERT(rc == 0 || (rc == error.code && meta.version == 77 && error.text[0] != '\0'));
    if (rc == 0) {
        check_inside(meta.name, raw);
        check_inside(meta.uid, raw);
        check_inside(meta.resource_version, raw);
        MU_ASSERT(meta.resource_version.len > 0 || meta.version == 0);
    }
    walk->items++;
    return 0;
}

static void check_wrapped(const struct mu_envelope *envelope)
{
    struct mu_buf out = {.data = NULL};
    struct mu_envelope again;
    MU_ASSERT(mu_envelope_wrap(&out, envelope->api_version, envelope->kind, envelope->raw) == 0);
    struct mu_str body = {(const char *)out.data, (uint32_t)out.len};
    MU_ASSERT(out.len == mu_envelope_size(envelope->api_version, envelope->kind, envelope->raw));
    MU_ASSERT(mu_envelope_open(body, &again, NULL) == 0);
    MU_ASSERT(mu_str_equal(again.api_version, envelope->api_version));
    MU_ASSERT(mu_str_equal(again.kind, envelope->kind));
    MU_ASSERT(mu_str_equal(again.raw, envelope->raw));
    mu_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 << 20)
        return 0;
    struct mu_str body = {(const char *)data, (uint32_t)size};
    struct mu_envelope envelope = {.raw = {"kept", 4}};
    struct mu_error error = {.code = 0};
    int rc = mu_envelope_open(body, &envelope, &error);
    if (rc != 0) {
        MU_ASSERT(rc == error.code && error.text[0] != '\0');
        MU_ASSERT(envelope.raw.len == 4);
        return 0;
    }
    check_inside(envelope.raw, body);
    check_inside(envelope.kind, body);
    check_inside(envelope.api_version, body);
    check_wrapped(&envelope);

    struct walk walk = {.whole = envelope.raw};
    struct mu_list_head head = {.continue_token = {"kept", 4}};
    rc = mu_list_open(envelope.raw, &head, on_item, &walk, &error);
    MU_ASSERT(rc == 0 || (walk.items == 0 && head.continue_token.len == 4));
    (void)on_item(&walk, envelope.raw);

    struct mu_arena *arena = mu_arena_create(MU_DECODE_BYTES_MAX);
    struct mu_status status;
    MU_ASSERT(arena != NULL);
    rc = mu_status_decode(body, arena, &status);
    MU_ASSERT(rc == 0 || rc == MU_EPROTO || rc == MU_ELIMIT || rc == MU_ENOMEM);
    mu_arena_destroy(arena);
    return 0;
}
