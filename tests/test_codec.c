#include "informer/codec.h"

#include "tests/kube_fixture.h"

/* kubernetes-wire.md §1.1 and §1.3: bytes that upstream writes. */
static const uint8_t BINDING_VECTOR[] = {
    0x6b, 0x38, 0x73, 0x00, 0x0a, 0x0d, 0x0a, 0x02, 0x76, 0x31, 0x12, 0x07, 0x42, 0x69,
    0x6e, 0x64, 0x69, 0x6e, 0x67, 0x12, 0x1d, 0x0a, 0x0f, 0x0a, 0x01, 0x70, 0x1a, 0x07,
    0x64, 0x65, 0x66, 0x61, 0x75, 0x6c, 0x74, 0x2a, 0x01, 0x75, 0x12, 0x0a, 0x0a, 0x04,
    0x4e, 0x6f, 0x64, 0x65, 0x1a, 0x02, 0x6e, 0x31, 0x1a, 0x00, 0x22, 0x00,
};
static const uint8_t WATCH_VECTOR[] = {
    0x00, 0x00, 0x00, 0x2a, 0x0a, 0x05, 0x41, 0x44, 0x44, 0x45, 0x44, 0x12, 0x21, 0x0a, 0x1f, 0x6b,
    0x38, 0x73, 0x00, 0x0a, 0x0a, 0x0a, 0x02, 0x76, 0x31, 0x12, 0x04, 0x4e, 0x6f, 0x64, 0x65, 0x12,
    0x09, 0x0a, 0x07, 0x0a, 0x02, 0x6e, 0x31, 0x32, 0x01, 0x37, 0x1a, 0x00, 0x22, 0x00,
};
#define VECTOR(bytes) ((struct mu_str){(const char *)(bytes), sizeof(bytes)})

static void assert_str(struct mu_str s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.data != NULL ? s.data : "", expected, s.len);
}

/* A copy of exactly len bytes, so that a read beyond them is an error a sanitizer sees. */
static struct mu_str exact_copy(struct mu_str s, uint32_t len)
{
    char *copy = mu_mem_alloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, s.data, len);
    return (struct mu_str){copy, len};
}

static void drop_copy(struct mu_str copy)
{
    mu_mem_free((void *)(uintptr_t)copy.data);
}

/* --- envelope ------------------------------------------------------------------------------ */

static void test_envelope_open__binding_vector__yields_its_parts(void **state)
{
    (void)state;
    struct mu_envelope envelope;
    struct mu_error error;
    assert_true(mu_envelope_has_magic(VECTOR(BINDING_VECTOR)));
    assert_int_equal(mu_envelope_open(VECTOR(BINDING_VECTOR), &envelope, &error), 0);
    assert_str(envelope.api_version, "v1");
    assert_str(envelope.kind, "Binding");
    assert_int_equal(envelope.raw.len, 29);
}

static void test_envelope_open__cut_anywhere__error_or_whole_fields(void **state)
{
    (void)state;
    /* Cuts that fall between fields leave a shorter but well-formed message. */
    for (uint32_t len = 0; len < sizeof BINDING_VECTOR; len++) {
        struct mu_str cut = exact_copy(VECTOR(BINDING_VECTOR), len);
        struct mu_envelope envelope = {.raw = {NULL, 99}};
        struct mu_error error;
        int rc = mu_envelope_open(cut, &envelope, &error);
        if (len == 19 || len == 50 || len == 52) {
            assert_int_equal(rc, 0);
            assert_int_equal(envelope.raw.len, len == 19 ? 0 : 29);
        } else {
            assert_int_equal(rc, MU_ETRUNCATED);
            assert_int_equal(error.code, MU_ETRUNCATED);
            assert_int_equal(envelope.raw.len, 99); /* unchanged */
        }
        drop_copy(cut);
    }
}

static void test_envelope_open__not_an_envelope__eproto(void **state)
{
    (void)state;
    struct mu_envelope envelope;
    const struct mu_str bodies[] = {
        MU_STR("Too many requests, please try again later."),
        MU_STR("{\"kind\":\"Status\"}"),
        MU_STR("k8s\0\0\1x"),                                        /* field number 0 */
        MU_STR("k8s\0\x0b"),                                         /* a group */
        MU_STR("k8s\0\x1a\x04gzip"),                                 /* contentEncoding */
        MU_STR("k8s\0\x22\x04json"),                                 /* contentType */
        MU_STR("k8s\0\x0a\x02\x0b\x00"),                             /* typeMeta holds a group */
        MU_STR("k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), /* length beyond 64 bits */
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(mu_envelope_open(bodies[i], &envelope, NULL), MU_EPROTO);
        struct mu_error error = {0};
        (void)mu_envelope_open(bodies[i], &envelope, &error);
        assert_non_null(strstr(error.text, "envelope"));
    }
}

static void test_envelope_wrap__opened_again__same_parts(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    struct mu_envelope envelope;
    assert_int_equal(mu_buf_append_text(&out, "before"), 0);
    assert_int_equal(mu_envelope_wrap(&out, MU_STR("policy/v1"), MU_STR("Eviction"), MU_STR("raw")),
                     0);
    assert_int_equal(out.len,
                     6 + mu_envelope_size(MU_STR("policy/v1"), MU_STR("Eviction"), MU_STR("raw")));
    struct mu_str body = fixture_str(&out);
    body.data += 6;
    body.len -= 6;
    assert_int_equal(mu_envelope_open(body, &envelope, NULL), 0);
    assert_str(envelope.api_version, "policy/v1");
    assert_str(envelope.kind, "Eviction");
    assert_str(envelope.raw, "raw");
    mu_buf_fini(&out);
}

static void test_envelope_wrap__no_room__nothing_appended(void **state)
{
    (void)state;
    struct mu_buf out;
    mu_buf_init(&out, 10);
    assert_int_equal(mu_envelope_wrap(&out, MU_STR("v1"), MU_STR("Pod"), MU_STR("raw")), MU_ELIMIT);
    assert_int_equal(out.len, 0);
    struct mu_buf none = {0};
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    assert_int_equal(mu_envelope_wrap(&none, MU_STR("v1"), MU_STR("Pod"), MU_STR("")), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_int_equal(none.len, 0);
    mu_buf_fini(&out);
    mu_buf_fini(&none);
}

/* --- watch --------------------------------------------------------------------------------- */

struct seen {
    uint32_t count;
    enum mu_watch_type types[8];
    uint64_t versions[8];
    int fail_at; /* the callback returns -1 at this event, counted from 1 */
};

static int see(void *context, const struct mu_watch_event *event)
{
    struct seen *seen = context;
    struct mu_object_meta meta;
    assert_true(seen->count < 8);
    assert_int_equal(mu_meta_decode(event->object.raw, &meta, NULL), 0);
    assert_str(event->object.api_version, "v1");
    seen->types[seen->count] = event->type;
    seen->versions[seen->count] = meta.version;
    seen->count++;
    return seen->fail_at == (int)seen->count ? -1 : 0;
}

/* Four frames; ends[i] is where frame i ends. */
static void write_frames(struct mu_buf *out, size_t ends[4])
{
    struct mu_buf raw = {0};
    const enum mu_watch_type types[] = {MU_WATCH_ADDED, MU_WATCH_MODIFIED, MU_WATCH_DELETED,
                                        MU_WATCH_BOOKMARK};
    for (uint64_t i = 0; i < 4; i++) {
        mu_buf_clear(&raw);
        fixture_object(&raw, "a-pod", 100 + i);
        assert_int_equal(
            mu_watch_frame_write(out, types[i], MU_STR("v1"), MU_STR("Pod"), fixture_str(&raw)), 0);
        ends[i] = out->len;
    }
    mu_buf_fini(&raw);
}

/* How many frames are whole within len bytes, and whether something of another is there. */
static uint32_t whole_frames(const size_t ends[4], size_t len, bool *partial)
{
    uint32_t whole = 0;
    while (whole < 4 && ends[whole] <= len)
        whole++;
    *partial = len > (whole == 0 ? 0 : ends[whole - 1]);
    return whole;
}

static void assert_all_seen(const struct seen *seen)
{
    assert_int_equal(seen->count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(seen->types[i], i); /* ADDED, MODIFIED, DELETED, BOOKMARK */
        assert_int_equal(seen->versions[i], 100 + i);
    }
}

static void test_watch_frame_write__node_vector__same_bytes(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    const uint8_t raw[] = {0x0a, 0x07, 0x0a, 0x02, 0x6e, 0x31, 0x32, 0x01, 0x37};
    assert_int_equal(
        mu_watch_frame_write(&out, MU_WATCH_ADDED, MU_STR("v1"), MU_STR("Node"), VECTOR(raw)), 0);
    assert_int_equal(out.len, sizeof WATCH_VECTOR);
    assert_memory_equal(out.data, WATCH_VECTOR, sizeof WATCH_VECTOR);
    mu_buf_fini(&out);
}

static void test_watch_frame_write__object_too_large__elimit(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    char *big = mu_mem_zalloc(MU_WATCH_FRAME_MAX);
    struct mu_str raw = {big, MU_WATCH_FRAME_MAX - 20};
    assert_int_equal(mu_watch_frame_write(&out, MU_WATCH_ADDED, MU_STR("v1"), MU_STR("Pod"), raw),
                     MU_ELIMIT);
    assert_int_equal(out.len, 0);
    mu_mem_free(big);
    mu_buf_fini(&out);
}

static void test_watch_feed__split_at_every_byte__same_events(void **state)
{
    (void)state;
    size_t ends[4];
    struct mu_buf stream = {0};
    write_frames(&stream, ends);
    struct mu_str all = fixture_str(&stream);
    for (uint32_t cut = 0; cut <= all.len; cut++) {
        struct mu_watch_decoder decoder;
        struct seen seen = {0};
        mu_watch_decoder_init(&decoder);
        struct mu_str head = {all.data, cut};
        struct mu_str tail = {all.data + cut, all.len - cut};
        assert_int_equal(mu_watch_decoder_feed(&decoder, head, see, &seen, NULL), 0);
        assert_int_equal(mu_watch_decoder_feed(&decoder, tail, see, &seen, NULL), 0);
        assert_false(mu_watch_decoder_partial(&decoder));
        assert_all_seen(&seen);
        mu_watch_decoder_fini(&decoder);
    }
    mu_buf_fini(&stream);
}

static void test_watch_feed__byte_by_byte__same_events(void **state)
{
    (void)state;
    size_t ends[4];
    struct mu_buf stream = {0};
    struct mu_watch_decoder decoder;
    struct seen seen = {0};
    write_frames(&stream, ends);
    mu_watch_decoder_init(&decoder);
    for (size_t i = 0; i < stream.len; i++) {
        struct mu_str one = exact_copy((struct mu_str){(char *)stream.data + i, 1}, 1);
        assert_int_equal(mu_watch_decoder_feed(&decoder, one, see, &seen, NULL), 0);
        drop_copy(one);
        bool partial;
        assert_int_equal(seen.count, whole_frames(ends, i + 1, &partial));
        assert_int_equal(mu_watch_decoder_partial(&decoder), partial);
    }
    assert_all_seen(&seen);
    mu_watch_decoder_fini(&decoder);
    mu_buf_fini(&stream);
}

static void test_watch_feed__frame_of_3_gib__refused_from_four_bytes(void **state)
{
    (void)state;
    const uint8_t length[4] = {0xc0, 0x00, 0x00, 0x00};
    for (uint32_t cut = 0; cut < 4; cut++) { /* also with the length in two pieces */
        struct mu_watch_decoder decoder;
        struct mu_error error;
        struct seen seen = {0};
        mu_watch_decoder_init(&decoder);
        size_t live = mu_mem_live_bytes();
        int rc = mu_watch_decoder_feed(&decoder, (struct mu_str){(const char *)length, cut}, see,
                                       &seen, &error);
        assert_int_equal(rc, 0);
        rc = mu_watch_decoder_feed(&decoder, (struct mu_str){(const char *)length + cut, 4 - cut},
                                   see, &seen, &error);
        assert_int_equal(rc, MU_ELIMIT);
        assert_non_null(strstr(error.text, "3221225472 bytes"));
        assert_true(mu_mem_live_bytes() - live <= 128);
        assert_int_equal(seen.count, 0);
        /* and the stream stays refused */
        assert_int_equal(mu_watch_decoder_feed(&decoder, VECTOR(WATCH_VECTOR), see, &seen, NULL),
                         MU_ELIMIT);
        mu_watch_decoder_fini(&decoder);
    }
}

static void test_watch_feed__cut_anywhere__partial_unless_between_frames(void **state)
{
    (void)state;
    size_t ends[4];
    struct mu_buf stream = {0};
    write_frames(&stream, ends);
    for (uint32_t len = 0; len <= stream.len; len++) {
        struct mu_watch_decoder decoder;
        struct seen seen = {0};
        struct mu_str cut = exact_copy(fixture_str(&stream), len);
        mu_watch_decoder_init(&decoder);
        assert_int_equal(mu_watch_decoder_feed(&decoder, cut, see, &seen, NULL), 0);
        bool partial;
        assert_int_equal(seen.count, whole_frames(ends, len, &partial));
        assert_int_equal(mu_watch_decoder_partial(&decoder), partial);
        mu_watch_decoder_fini(&decoder);
        drop_copy(cut);
    }
    mu_buf_fini(&stream);
}

static void test_watch_feed__broken_frame__eproto(void **state)
{
    (void)state;
    const struct mu_str frames[] = {
        MU_STR("\0\0\0\0"),                /* an empty event */
        MU_STR("\0\0\0\x07\x0a\x05OTHER"), /* an unknown type */
        MU_STR("\0\0\0\x07\x0a\x05"
               "ADDED"), /* no object */
        MU_STR("\0\0\0\x04\x0a\x05"
               "AD"), /* a field past the frame */
        MU_STR("\0\0\0\x0d\x0a\x05"
               "ADDED\x12\x04\x0a\x02no"), /* no envelope */
        MU_STR("\0\0\0\x0f\x0a\x05"
               "ADDED\x12\x06\x0a\x04k8s\0"), /* an empty one */
        MU_STR("\0\0\0\x0b\x0a\x05"
               "ADDED\x12\x02\x0b\0"), /* object holds a group */
    };
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct mu_watch_decoder decoder;
        struct mu_error error = {0};
        struct seen seen = {0};
        mu_watch_decoder_init(&decoder);
        assert_int_equal(mu_watch_decoder_feed(&decoder, frames[i], see, &seen, &error), MU_EPROTO);
        assert_true(strlen(error.text) > 0);
        assert_int_equal(seen.count, 0);
        mu_watch_decoder_fini(&decoder);
    }
}

static void test_watch_feed__callback_fails__its_code_and_no_more_events(void **state)
{
    (void)state;
    size_t ends[4];
    struct mu_buf stream = {0};
    struct mu_watch_decoder decoder;
    struct seen seen = {.fail_at = 2};
    write_frames(&stream, ends);
    mu_watch_decoder_init(&decoder);
    assert_int_equal(mu_watch_decoder_feed(&decoder, fixture_str(&stream), see, &seen, NULL), -1);
    assert_int_equal(seen.count, 2);
    assert_int_equal(mu_watch_decoder_feed(&decoder, fixture_str(&stream), see, &seen, NULL), -1);
    assert_int_equal(seen.count, 2);
    mu_watch_decoder_fini(&decoder);
    mu_buf_fini(&stream);
}

static void test_watch_feed__out_of_memory__enomem(void **state)
{
    (void)state;
    struct mu_watch_decoder decoder;
    struct mu_error error;
    struct seen seen = {0};
    mu_watch_decoder_init(&decoder);
    mu_mem_debug_set((struct mu_mem_debug){.fail_nth = 1});
    struct mu_str head = {(const char *)WATCH_VECTOR, 20};
    assert_int_equal(mu_watch_decoder_feed(&decoder, head, see, &seen, &error), MU_ENOMEM);
    mu_mem_debug_set((struct mu_mem_debug){0});
    assert_false(mu_watch_decoder_partial(&decoder));
    mu_watch_decoder_fini(&decoder);
}

static void test_watch_feed__one_huge_frame__storage_is_given_back(void **state)
{
    (void)state;
    struct mu_watch_decoder decoder;
    struct seen seen = {0};
    struct mu_buf raw = {0};
    struct mu_buf stream = {0};
    fixture_object(&raw, "big", 5);
    uint32_t padding = 4u << 20;
    const uint8_t head[] = {0x7a, 0x80, 0x80, 0x80, 0x02}; /* unknown field 15, 4 MiB */
    assert_int_equal(mu_buf_append(&raw, head, sizeof head), 0);
    char *zeros = mu_mem_zalloc(padding);
    assert_int_equal(mu_buf_append(&raw, zeros, padding), 0);
    assert_int_equal(mu_watch_frame_write(&stream, MU_WATCH_ADDED, MU_STR("v1"), MU_STR("Pod"),
                                          fixture_str(&raw)),
                     0);
    mu_watch_decoder_init(&decoder);
    for (size_t at = 0; at < stream.len; at += 16384) {
        size_t len = stream.len - at < 16384 ? stream.len - at : 16384;
        struct mu_str piece = {(char *)stream.data + at, (uint32_t)len};
        assert_int_equal(mu_watch_decoder_feed(&decoder, piece, see, &seen, NULL), 0);
    }
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.versions[0], 5);
    assert_true(decoder.pending.cap <= 1u << 20);
    mu_watch_decoder_fini(&decoder);
    mu_mem_free(zeros);
    mu_buf_fini(&raw);
    mu_buf_fini(&stream);
}

/* --- lists --------------------------------------------------------------------------------- */

struct items {
    uint32_t count;
    int stop_at;
};

static int take_item(void *context, struct mu_str raw)
{
    struct items *items = context;
    struct mu_object_meta meta;
    assert_int_equal(mu_meta_decode(raw, &meta, NULL), 0);
    items->count++;
    assert_int_equal(meta.version, items->count);
    return items->stop_at == (int)items->count ? 42 : 0;
}

static void write_list(struct mu_buf *out, bool metadata_last)
{
    struct mu_buf item = {0};
    const char meta[] = "\x0a\x0b\x12\x03"
                        "777\x1a\x04next";
    if (!metadata_last)
        assert_int_equal(mu_buf_append(out, meta, sizeof meta - 1), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        mu_buf_clear(&item);
        fixture_object(&item, "item", i);
        const uint8_t head[] = {0x12, (uint8_t)item.len};
        assert_true(item.len < 128);
        assert_int_equal(mu_buf_append(out, head, 2), 0);
        assert_int_equal(mu_buf_append(out, item.data, item.len), 0);
    }
    if (metadata_last)
        assert_int_equal(mu_buf_append(out, meta, sizeof meta - 1), 0);
    mu_buf_fini(&item);
}

static void test_list_open__three_items__head_then_items(void **state)
{
    (void)state;
    for (int last = 0; last <= 1; last++) {
        struct mu_buf list = {0};
        struct mu_list_head head;
        struct items items = {0};
        write_list(&list, last != 0);
        assert_int_equal(mu_list_open(fixture_str(&list), &head, take_item, &items, NULL), 0);
        assert_str(head.resource_version, "777");
        assert_str(head.continue_token, "next");
        assert_int_equal(items.count, 3);
        mu_buf_fini(&list);
    }
}

static void test_list_open__callback_stops__its_code(void **state)
{
    (void)state;
    struct mu_buf list = {0};
    struct mu_list_head head;
    struct items items = {.stop_at = 2};
    write_list(&list, false);
    assert_int_equal(mu_list_open(fixture_str(&list), &head, take_item, &items, NULL), 42);
    assert_int_equal(items.count, 2);
    assert_int_equal(mu_list_open(fixture_str(&list), &head, NULL, NULL, NULL), 0);
    mu_buf_fini(&list);
}

static void test_list_open__cut_anywhere__no_item_unless_whole_fields(void **state)
{
    (void)state;
    struct mu_buf list = {0};
    write_list(&list, false);
    size_t item = (list.len - 13) / 3;
    for (uint32_t len = 0; len < list.len; len++) {
        struct mu_str cut = exact_copy(fixture_str(&list), len);
        struct mu_list_head head;
        struct items items = {0};
        struct mu_error error;
        int rc = mu_list_open(cut, &head, take_item, &items, &error);
        if (len == 0 || (len >= 13 && (len - 13) % item == 0)) {
            assert_int_equal(rc, 0);
        } else {
            assert_int_equal(rc, MU_ETRUNCATED);
            assert_int_equal(items.count, 0);
            assert_non_null(strstr(error.text, "list"));
        }
        drop_copy(cut);
    }
    mu_buf_fini(&list);
}

/* --- metadata, Status, Binding ------------------------------------------------------------- */

static void test_meta_decode__whole_object__views(void **state)
{
    (void)state;
    struct mu_buf raw = {0};
    struct mu_object_meta meta;
    fixture_object(&raw, "web-1", 18446744073709551615u);
    assert_int_equal(mu_meta_decode(fixture_str(&raw), &meta, NULL), 0);
    assert_str(meta.name, "web-1");
    assert_str(meta.ns, "ns");
    assert_str(meta.uid, "uid-web-1");
    assert_true(meta.version == UINT64_MAX);
    assert_false(meta.initial_events_end);
    assert_true((const uint8_t *)meta.name.data > raw.data);
    assert_true((const uint8_t *)meta.name.data < raw.data + raw.len);
    mu_buf_fini(&raw);
}

static void test_meta_decode__end_of_initial_events__seen(void **state)
{
    (void)state;
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *entries[1] = {&entry};
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_object_meta out;
    struct mu_buf raw = {0};
    entry.key = FIXTURE_TEXT("k8s.io/initial-events-end");
    entry.value = FIXTURE_TEXT("true");
    meta.n_annotations = 1;
    meta.annotations = entries;
    meta.resourceversion = FIXTURE_TEXT("12");
    pod.metadata = &meta;
    fixture_pack(&raw, &pod);
    assert_int_equal(mu_meta_decode(fixture_str(&raw), &out, NULL), 0);
    assert_true(out.initial_events_end);
    assert_int_equal(out.version, 12);
    mu_buf_fini(&raw);
}

static void test_meta_decode__bad_input__error_names_the_field(void **state)
{
    (void)state;
    struct mu_object_meta meta = {.version = 99};
    struct mu_error error;
    /* metadata{name "p", resourceVersion "1x"} */
    const struct mu_str raw = MU_STR("\x0a\x07\x0a\x01p\x32\x02"
                                     "1x");
    assert_int_equal(mu_meta_decode(raw, &meta, &error), MU_EPROTO);
    assert_non_null(strstr(error.text, "resourceVersion"));
    assert_int_equal(meta.version, 99);
    assert_int_equal(mu_meta_decode(MU_STR("\x0a\x07\x0a\x01p"), &meta, &error), MU_ETRUNCATED);
    assert_int_equal(mu_meta_decode(MU_STR("\x0a\x03\x62\x01\x0b"), &meta, &error), MU_EPROTO);
    assert_int_equal(mu_meta_decode(MU_STR(""), &meta, &error), 0);
    assert_int_equal(meta.version, 0);
}

static void test_status_decode__failure__all_parts(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_buf body = {0};
    struct mu_status status;
    fixture_status(&body, 504, "Timeout", "ResourceVersionTooLarge", 1);
    assert_int_equal(mu_status_decode(fixture_str(&body), arena, &status), 0);
    assert_int_equal(status.code, 504);
    assert_str(status.status, "Failure");
    assert_str(status.reason, "Timeout");
    assert_str(status.cause, "ResourceVersionTooLarge");
    assert_str(status.message, "a message");
    assert_int_equal(status.retry_after_s, 1);
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

static void test_status_decode__not_a_status__eproto(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    struct mu_status status;
    assert_int_equal(mu_status_decode(MU_STR("Too many requests"), arena, &status), MU_EPROTO);
    assert_int_equal(mu_status_decode(MU_STR(""), arena, &status), MU_EPROTO);
    assert_int_equal(mu_status_decode(VECTOR(BINDING_VECTOR), arena, &status), MU_EPROTO);
    assert_int_equal(mu_status_decode_raw(MU_STR("\x12\x05"
                                                 "cut"),
                                          arena, &status),
                     MU_EPROTO);
    mu_arena_destroy(arena);
}

static void test_status_decode__no_memory_or_too_long__refused(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(64);
    struct mu_status status;
    struct mu_buf body = {0};
    fixture_status(&body, 500, "InternalError", NULL, 0);
    assert_int_equal(mu_status_decode(fixture_str(&body), arena, &status), MU_ENOMEM);
    struct mu_str huge = {(const char *)body.data, MU_STATUS_BYTES_MAX + 1};
    assert_int_equal(mu_status_decode_raw(huge, arena, &status), MU_ELIMIT); /* unread */
    mu_buf_fini(&body);
    mu_arena_destroy(arena);
}

static const struct mu_binding PLAIN = {
    .ns = {"default", 7}, .name = {"p", 1}, .uid = {"u", 1}, .node = {"n1", 2}};

static void test_binding_encode__plain__the_vector(void **state)
{
    (void)state;
    struct mu_buf out = {0};
    assert_int_equal(mu_binding_encode(&out, &PLAIN), 0);
    assert_int_equal(out.len, sizeof BINDING_VECTOR);
    assert_memory_equal(out.data, BINDING_VECTOR, sizeof BINDING_VECTOR);
    mu_buf_fini(&out);
}

static void test_binding_encode__version_and_plan__read_back(void **state)
{
    (void)state;
    struct mu_binding binding = PLAIN;
    struct mu_buf out = {0};
    struct mu_envelope envelope;
    binding.version = 4711;
    binding.plan = MU_STR("shard-0/17");
    assert_int_equal(mu_binding_encode(&out, &binding), 0);
    assert_int_equal(mu_envelope_open(fixture_str(&out), &envelope, NULL), 0);
    Kube__Binding *back =
        kube__binding__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
    assert_non_null(back);
    assert_string_equal(back->metadata->resourceversion, "4711");
    assert_string_equal(back->metadata->uid, "u");
    assert_int_equal(back->metadata->n_annotations, 1);
    assert_string_equal(back->metadata->annotations[0]->key, MU_PLAN_ANNOTATION);
    assert_string_equal(back->metadata->annotations[0]->value, "shard-0/17");
    assert_string_equal(back->target->kind, "Node");
    assert_string_equal(back->target->name, "n1");
    kube__binding__free_unpacked(back, NULL);
    mu_buf_fini(&out);
}

static void test_binding_encode__devices__as_a_list(void **state)
{
    (void)state;
    static const struct {
        uint64_t devices;
        const char *list;
    } cases[] = {{1, "0"}, {9, "0,3"}, {0x8400, "10,15"}, {UINT64_C(1) << 63 | 2, "1,63"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mu_binding binding = PLAIN;
        struct mu_buf out = {0};
        struct mu_envelope envelope;
        binding.plan = MU_STR("p");
        binding.devices = cases[i].devices;
        assert_int_equal(mu_binding_encode(&out, &binding), 0);
        assert_int_equal(mu_envelope_open(fixture_str(&out), &envelope, NULL), 0);
        Kube__Binding *back =
            kube__binding__unpack(NULL, envelope.raw.len, (const uint8_t *)envelope.raw.data);
        assert_non_null(back);
        assert_int_equal(back->metadata->n_annotations, 2);
        assert_string_equal(back->metadata->annotations[1]->key, MU_DEVICE_ANNOTATION);
        assert_string_equal(back->metadata->annotations[1]->value, cases[i].list);
        kube__binding__free_unpacked(back, NULL);
        mu_buf_fini(&out);
    }
    struct mu_binding all = PLAIN;
    struct mu_buf out = {0};
    all.devices = UINT64_MAX;
    assert_int_equal(mu_binding_encode(&out, &all), 0);
    mu_buf_fini(&out);
}

static bool encode_binding(void *context)
{
    struct mu_buf out = {0};
    (void)context;
    int rc = mu_binding_encode(&out, &PLAIN);
    assert_true(rc == 0 || (rc == MU_ENOMEM && out.len == 0));
    mu_buf_fini(&out);
    return rc == 0;
}

static void test_binding_encode__out_of_memory__nothing_appended(void **state)
{
    (void)state;
    assert_true(mu_test_fail_each(encode_binding, NULL) >= 2);
}

static void test_pod_bound_decode__bound_pod__node_and_plan(void **state)
{
    (void)state;
    struct mu_arena *arena = mu_arena_create(1 << 20);
    Kube__StringEntry entry = KUBE__STRING_ENTRY__INIT;
    Kube__StringEntry *entries[1] = {&entry};
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__PodStatus status = KUBE__POD_STATUS__INIT;
    Kube__Time time = KUBE__TIME__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    struct mu_buf raw = {0};
    struct mu_pod_bound out;
    entry.key = FIXTURE_TEXT(MU_PLAN_ANNOTATION);
    entry.value = FIXTURE_TEXT("plan-1");
    meta.n_annotations = 1;
    meta.annotations = entries;
    meta.uid = FIXTURE_TEXT("u");
    meta.resourceversion = FIXTURE_TEXT("9");
    meta.deletiontimestamp = &time;
    spec.nodename = FIXTURE_TEXT("n1");
    status.phase = FIXTURE_TEXT("Failed");
    pod.metadata = &meta;
    pod.spec = &spec;
    pod.status = &status;
    fixture_pack(&raw, &pod);
    assert_int_equal(mu_pod_bound_decode(fixture_str(&raw), arena, &out, NULL), 0);
    assert_str(out.uid, "u");
    assert_str(out.node, "n1");
    assert_str(out.plan, "plan-1");
    assert_int_equal(out.version, 9);
    assert_true(out.terminating && out.terminal);
    mu_buf_clear(&raw);
    struct mu_error error;
    assert_int_equal(mu_pod_bound_decode(fixture_str(&raw), arena, &out, &error), MU_EPROTO);
    assert_non_null(strstr(error.text, "metadata.uid"));
    mu_buf_fini(&raw);
    mu_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope_open__binding_vector__yields_its_parts),
        cmocka_unit_test(test_envelope_open__cut_anywhere__error_or_whole_fields),
        cmocka_unit_test(test_envelope_open__not_an_envelope__eproto),
        cmocka_unit_test(test_envelope_wrap__opened_again__same_parts),
        cmocka_unit_test(test_envelope_wrap__no_room__nothing_appended),
        cmocka_unit_test(test_watch_frame_write__node_vector__same_bytes),
        cmocka_unit_test(test_watch_frame_write__object_too_large__elimit),
        cmocka_unit_test(test_watch_feed__split_at_every_byte__same_events),
        cmocka_unit_test(test_watch_feed__byte_by_byte__same_events),
        cmocka_unit_test(test_watch_feed__frame_of_3_gib__refused_from_four_bytes),
        cmocka_unit_test(test_watch_feed__cut_anywhere__partial_unless_between_frames),
        cmocka_unit_test(test_watch_feed__broken_frame__eproto),
        cmocka_unit_test(test_watch_feed__callback_fails__its_code_and_no_more_events),
        cmocka_unit_test(test_watch_feed__out_of_memory__enomem),
        cmocka_unit_test(test_watch_feed__one_huge_frame__storage_is_given_back),
        cmocka_unit_test(test_list_open__three_items__head_then_items),
        cmocka_unit_test(test_list_open__callback_stops__its_code),
        cmocka_unit_test(test_list_open__cut_anywhere__no_item_unless_whole_fields),
        cmocka_unit_test(test_meta_decode__whole_object__views),
        cmocka_unit_test(test_meta_decode__end_of_initial_events__seen),
        cmocka_unit_test(test_meta_decode__bad_input__error_names_the_field),
        cmocka_unit_test(test_status_decode__failure__all_parts),
        cmocka_unit_test(test_status_decode__not_a_status__eproto),
        cmocka_unit_test(test_status_decode__no_memory_or_too_long__refused),
        cmocka_unit_test(test_binding_encode__plain__the_vector),
        cmocka_unit_test(test_binding_encode__version_and_plan__read_back),
        cmocka_unit_test(test_binding_encode__devices__as_a_list),
        cmocka_unit_test(test_binding_encode__out_of_memory__nothing_appended),
        cmocka_unit_test(test_pod_bound_decode__bound_pod__node_and_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
