#include "informer/form_priv.h"

#include "informer/codec_json.h"

uint64_t mu_form_version(bool json, struct mu_str raw)
{
    struct mu_object_meta meta;
    int rc = json ? mu_json_meta_decode(raw, &meta, NULL) : mu_meta_decode(raw, &meta, NULL);
    return rc == 0 ? meta.version : 0;
}

int mu_form_page_open(bool json, struct mu_str body, struct mu_form_page *out,
                      struct mu_error *error)
{
    struct mu_envelope envelope = {.raw = body};
    int rc = json ? 0 : mu_envelope_open(body, &envelope, error);
    if (rc == 0)
        rc = json ? mu_json_list_open(body, &out->head, NULL, NULL, error)
                  : mu_list_open(envelope.raw, &out->head, NULL, NULL, error);
    if (rc != 0)
        return rc;
    out->raw = envelope.raw;
    if (!mu_str_to_u64(out->head.resource_version, &out->version) || out->version == 0)
        return mu_error_set(error, MU_EPROTO,
                            "metadata.resourceVersion: expected a decimal number");
    return 0;
}

int mu_form_page_each(bool json, const struct mu_form_page *page, mu_list_item_fn item,
                      void *context)
{
    struct mu_list_head head;
    return json ? mu_json_list_open(page->raw, &head, item, context, NULL)
                : mu_list_open(page->raw, &head, item, context, NULL);
}

bool mu_form_status(bool json, struct mu_str body, struct mu_arena *arena, struct mu_status *out)
{
    return (json ? mu_json_status_decode(body, arena, out) : mu_status_decode(body, arena, out)) ==
           0;
}

bool mu_form_event_status(bool json, const struct mu_envelope *object, struct mu_arena *arena,
                          struct mu_status *out)
{
    if (!mu_str_equal(object->kind, MU_STR("Status")))
        return false;
    return (json ? mu_json_status_decode(object->raw, arena, out)
                 : mu_status_decode_raw(object->raw, arena, out)) == 0;
}
