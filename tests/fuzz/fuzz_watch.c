/*
 * Watch frames: no input crashes, and how the stream is cut into pieces does not matter. The first
 * byte says how long the pieces are; the rest is fed whole to one decoder and in pieces to another,
 * and both must deliver the same events and end the same way.
 *
 * covers: informer/codec_watch.c
 */
#include <stddef.h>
#include <stdint.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "informer/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t digest;
    uint32_t events;
};

static int on_event(void *context, const struct mu_watch_event *event)
{
    struct seen *seen = context;
    struct mu_object_meta meta;
    MU_ASSERT(event->type <= MU_WATCH_ERROR);
    seen->digest = mu_hash_mix(seen->digest, event->type);
    seen->digest = mu_hash_mix(seen->digest, mu_hash_str(event->object.kind, 1));
    seen->digest = mu_hash_mix(seen->digest, mu_hash_str(event->object.raw, 2));
    if (mu_meta_decode(event->object.raw, &meta, NULL) == 0)
        seen->digest = mu_hash_mix(seen->digest, meta.version);
    seen->events++;
    /* What was read can be written. */
    struct mu_buf again = {0};
    int rc = mu_watch_frame_write(&again, event->type, event->object.api_version,
                                  event->object.kind, event->object.raw);
    MU_ASSERT(rc == 0 && again.len > 4 + event->object.raw.len);
    mu_buf_fini(&again);
    return 0;
}

/* Feed all of it in pieces of at most `piece` bytes, each in a block of its own size. */
static int feed_pieces(struct mu_watch_decoder *decoder, const uint8_t *data, size_t size,
                       size_t piece, struct seen *seen)
{
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        char *copy = mu_mem_alloc(len);
        MU_ASSERT(copy != NULL);
        memcpy(copy, data + at, len);
        struct mu_error error = {.code = 0};
        rc = mu_watch_decoder_feed(decoder, (struct mu_str){copy, (uint32_t)len}, on_event, seen,
                                   &error);
        MU_ASSERT(rc == 0 || (rc == error.code && error.text[0] != '\0'));
        mu_mem_free(copy);
        MU_ASSERT(decoder->pending.len <= 4 + (size_t)MU_WATCH_FRAME_MAX);
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 1 << 20)
        return 0;
    struct mu_watch_decoder whole;
    struct mu_watch_decoder cut;
    struct seen seen_whole = {.digest = 0};
    struct seen seen_cut = {.digest = 0};
    mu_watch_decoder_init(&whole);
    mu_watch_decoder_init(&cut);
    size_t piece = 1 + (size_t)data[0];
    int rc_whole = feed_pieces(&whole, data + 1, size - 1, size, &seen_whole);
    int rc_cut = feed_pieces(&cut, data + 1, size - 1, piece, &seen_cut);
    MU_ASSERT(rc_whole == rc_cut);
    MU_ASSERT(seen_whole.events == seen_cut.events && seen_whole.digest == seen_cut.digest);
    if (rc_whole == 0)
        MU_ASSERT(mu_watch_decoder_partial(&whole) == mu_watch_decoder_partial(&cut));
    mu_watch_decoder_fini(&whole);
    mu_watch_decoder_fini(&cut);
    return 0;
}
