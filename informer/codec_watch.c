/*
 * Watch framing: 4 bytes of length (big-endian), then a WatchEvent without envelope whose object
 * is an envelope of its own.
 *
 * Frames may be split anywhere over the pieces that arrive. A frame that is whole within a piece
 * is read where it lies; only the one that straddles two pieces is gathered in `pending`, which
 * therefore never holds more than one frame. A length above the cap is refused when its four bytes
 * are there, before anything is set aside for it.
 */
#include "informer/codec.h"

#include "engine/base/assert.h"
#include "informer/codec_json.h"
#include "informer/wire_priv.h"

#define LENGTH_BYTES 4u
/* Storage kept between frames; one huge object does not cost its size for ever. */
#define PENDING_KEPT_BYTES (1u << 20)

enum { EVENT_TYPE = 1, EVENT_OBJECT = 2, EXTENSION_RAW = 1 };

static const struct {
    struct mu_str text;
    enum mu_watch_type type;
} TYPES[] = {
    {{"ADDED", 5}, MU_WATCH_ADDED},     {{"MODIFIED", 8}, MU_WATCH_MODIFIED},
    {{"DELETED", 7}, MU_WATCH_DELETED}, {{"BOOKMARK", 8}, MU_WATCH_BOOKMARK},
    {{"ERROR", 5}, MU_WATCH_ERROR},
};
#define TYPE_COUNT (sizeof TYPES / sizeof TYPES[0])

void mu_watch_decoder_init(struct mu_watch_decoder *decoder)
{
    *decoder = (struct mu_watch_decoder){.failed = 0};
    mu_buf_init(&decoder->pending, LENGTH_BYTES + MU_WATCH_FRAME_MAX);
}

void mu_watch_decoder_init_json(struct mu_watch_decoder *decoder)
{
    *decoder = (struct mu_watch_decoder){.json = true};
    mu_buf_init(&decoder->pending, MU_WATCH_FRAME_MAX);
}

bool mu_watch_type_find(struct mu_str text, enum mu_watch_type *type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (mu_str_equal(text, TYPES[i].text)) {
            *type = TYPES[i].type;
            return true;
        }
    }
    return false;
}

void mu_watch_decoder_fini(struct mu_watch_decoder *decoder)
{
    mu_buf_fini(&decoder->pending);
}

bool mu_watch_decoder_partial(const struct mu_watch_decoder *decoder)
{
    return decoder->pending.len > 0;
}

static uint32_t frame_length(const uint8_t *head)
{
    return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

static int read_extension(struct mu_str message, struct mu_str *raw)
{
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, message);
    while ((rc = mu_wire_next(&wire, &field)) > 0) {
        if (field.number == EXTENSION_RAW && field.type == MU_WIRE_BYTES)
            *raw = field.bytes;
    }
    return rc;
}

/* The frame's length is known and its bytes are all there, so whatever runs past its end is a
 * broken frame and not a short read. */
static int read_event(struct mu_str frame, struct mu_watch_event *event, struct mu_error *error)
{
    struct mu_str type = {NULL, 0};
    struct mu_str object = {NULL, 0};
    struct mu_wire wire;
    struct mu_wire_field field;
    int rc;
    mu_wire_open(&wire, frame);
    while ((rc = mu_wire_next(&wire, &field)) > 0) {
        if (field.number == EVENT_TYPE && field.type == MU_WIRE_BYTES)
            type = field.bytes;
        else if (field.number == EVENT_OBJECT && field.type == MU_WIRE_BYTES)
            rc = read_extension(field.bytes, &object);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        return mu_error_set(error, MU_EPROTO, "watch event: not a WatchEvent (%u bytes)",
                            frame.len);
    if (!mu_watch_type_find(type, &event->type))
        return mu_error_set(error, MU_EPROTO, "watch event: type: unknown word of %u bytes",
                            type.len);
    rc = mu_envelope_open(object, &event->object, error);
    if (rc == MU_ETRUNCATED)
        rc = mu_error_set(error, MU_EPROTO, "watch event: object: not a whole envelope");
    return rc;
}

static int check_length(uint32_t len, struct mu_error *error)
{
    if (len > MU_WATCH_FRAME_MAX)
        return mu_error_set(error, MU_ELIMIT, "watch frame: %u bytes, expected at most %u", len,
                            MU_WATCH_FRAME_MAX);
    return 0;
}

static int deliver(const uint8_t *frame, uint32_t len, mu_watch_event_fn event, void *context,
                   struct mu_error *error)
{
    struct mu_watch_event found;
    int rc = read_event((struct mu_str){(const char *)frame, len}, &found, error);
    return rc != 0 ? rc : event(context, &found);
}

/* Move up to `want - pending.len` bytes over from *data. */
static int gather(struct mu_buf *pending, struct mu_str *data, size_t want, struct mu_error *error)
{
    MU_ASSERT(want > pending->len);
    size_t more = want - pending->len;
    if (more > data->len)
        more = data->len;
    if (mu_buf_append(pending, data->data, more) != 0)
        return mu_error_set(error, MU_ENOMEM, "watch frame: no memory to gather %zu bytes", want);
    data->data += more;
    data->len -= (uint32_t)more;
    return 0;
}

/* Complete the frame begun in `pending` as far as *data goes, and deliver it when it is whole. */
static int finish_pending(struct mu_watch_decoder *decoder, struct mu_str *data,
                          mu_watch_event_fn event, void *context, struct mu_error *error)
{
    struct mu_buf *pending = &decoder->pending;
    int rc = 0;
    if (pending->len < LENGTH_BYTES)
        rc = gather(pending, data, LENGTH_BYTES, error);
    if (rc != 0 || pending->len < LENGTH_BYTES)
        return rc;
    uint32_t len = frame_length(pending->data);
    rc = check_length(len, error);
    if (rc == 0 && pending->len < LENGTH_BYTES + len)
        rc = gather(pending, data, LENGTH_BYTES + (size_t)len, error);
    if (rc != 0 || pending->len < LENGTH_BYTES + len)
        return rc;
    rc = deliver(pending->data + LENGTH_BYTES, len, event, context, error);
    mu_buf_clear(pending);
    if (pending->cap > PENDING_KEPT_BYTES) {
        mu_buf_fini(pending);
        mu_buf_init(pending, LENGTH_BYTES + MU_WATCH_FRAME_MAX);
    }
    return rc;
}

static int feed(struct mu_watch_decoder *decoder, struct mu_str data, mu_watch_event_fn event,
                void *context, struct mu_error *error)
{
    int rc = 0;
    if (decoder->pending.len > 0 && data.len > 0)
        rc = finish_pending(decoder, &data, event, context, error);
    while (rc == 0 && data.len >= LENGTH_BYTES) {
        uint32_t len = frame_length((const uint8_t *)data.data);
        rc = check_length(len, error);
        if (rc != 0 || data.len - LENGTH_BYTES < len)
            break;
        const uint8_t *frame = (const uint8_t *)data.data + LENGTH_BYTES;
        data.data += LENGTH_BYTES + len;
        data.len -= LENGTH_BYTES + len;
        mu_wire_prefetch(data.data, data.len);
        rc = deliver(frame, len, event, context, error);
    }
    if (rc == 0 && data.len > 0)
        rc = gather(&decoder->pending, &data, decoder->pending.len + data.len, error);
    return rc;
}

int mu_watch_decoder_feed(struct mu_watch_decoder *decoder, struct mu_str data,
                          mu_watch_event_fn event, void *context, struct mu_error *error)
{
    if (decoder->failed != 0)
        return mu_error_set(error, decoder->failed, "watch stream: has already failed");
    decoder->failed = decoder->json ? mu_json_watch_feed(decoder, data, event, context, error)
                                    : feed(decoder, data, event, context, error);
    return decoder->failed;
}

int mu_watch_frame_write(struct mu_buf *out, enum mu_watch_type type, struct mu_str api_version,
                         struct mu_str kind, struct mu_str raw)
{
    MU_ASSERT((size_t)type < TYPE_COUNT && TYPES[type].type == type);
    struct mu_str text = TYPES[type].text;
    size_t envelope = mu_envelope_size(api_version, kind, raw);
    size_t extension = mu_wire_bytes_size(EXTENSION_RAW, envelope);
    size_t body =
        mu_wire_bytes_size(EVENT_TYPE, text.len) + mu_wire_bytes_size(EVENT_OBJECT, extension);
    if (body > MU_WATCH_FRAME_MAX)
        return MU_ELIMIT;
    int rc = mu_buf_reserve(out, LENGTH_BYTES + body); /* no half frame after a failure */
    if (rc != 0)
        return rc;
    const uint8_t head[LENGTH_BYTES] = {(uint8_t)(body >> 24), (uint8_t)(body >> 16),
                                        (uint8_t)(body >> 8), (uint8_t)body};
    (void)mu_buf_append(out, head, sizeof head);
    mu_wire_put_bytes(out, EVENT_TYPE, text);
    mu_wire_put_head(out, EVENT_OBJECT, extension);
    mu_wire_put_head(out, EXTENSION_RAW, envelope);
    return mu_envelope_wrap(out, api_version, kind, raw);
}
