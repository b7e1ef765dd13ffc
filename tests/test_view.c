/*
 * Views of pods, nodes, namespaces and budgets: the walker against protobuf-c. Messages are made at
 * random from protobuf-c's descriptors, so that no field can be forgotten here, and then damaged.
 */
#include "tests/mu_test.h"

#include "engine/base/buf.h"
#include "informer/limits.h"
#include "informer/wire_priv.h"
#include "tests/view_equal.h"

static const struct mu_view_type *const roots[] = {&mu_view_of_pod, &mu_view_of_node,
                                                   &mu_view_of_namespace, &mu_view_of_budget};
enum { ROOTS = sizeof roots / sizeof roots[0] };

static struct mu_str buf_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* --- the tables ----------------------------------------------------------------------------- */

static size_t bytes_of(const struct mu_field *field)
{
    switch (field->kind) {
    case MU_FIELD_TEXT:
        return sizeof(struct mu_str);
    case MU_FIELD_BOOL:
        return sizeof(bool);
    case MU_FIELD_INT32:
        return sizeof(int32_t);
    case MU_FIELD_INT64:
        return sizeof(int64_t);
    case MU_FIELD_MESSAGE:
        return sizeof(void *);
    case MU_FIELD_TEXTS:
    case MU_FIELD_MESSAGES:
        return sizeof(struct mu_any_list);
    default:
        return 0;
    }
}

static bool kind_fits(const struct mu_field *field, const ProtobufCFieldDescriptor *is)
{
    bool list = is->label == PROTOBUF_C_LABEL_REPEATED;
    assert_true(list || is->label == PROTOBUF_C_LABEL_OPTIONAL);
    switch (is->type) {
    case PROTOBUF_C_TYPE_STRING:
        return field->kind == (list ? MU_FIELD_TEXTS : MU_FIELD_TEXT);
    case PROTOBUF_C_TYPE_MESSAGE:
        return field->type != NULL && field->type->descriptor == is->descriptor &&
               (field->kind == (list ? MU_FIELD_MESSAGES : MU_FIELD_MESSAGE) ||
                (!list && field->kind == MU_FIELD_INLINE));
    case PROTOBUF_C_TYPE_BOOL:
        return !list && field->kind == MU_FIELD_BOOL;
    case PROTOBUF_C_TYPE_INT32:
        return !list && field->kind == MU_FIELD_INT32;
    case PROTOBUF_C_TYPE_INT64:
        return !list && field->kind == MU_FIELD_INT64;
    default:
        return false;
    }
}

static void check_table(const struct mu_view_type *type)
{
    for (uint32_t number = 0; number < type->field_count; number++) {
        const struct mu_field *field = &type->fields[number];
        const ProtobufCFieldDescriptor *is =
            protobuf_c_message_descriptor_get_field(type->descriptor, number);
        if ((is != NULL) != (field->kind != MU_FIELD_UNKNOWN) ||
            (is != NULL && !kind_fits(field, is)))
            fail_msg("%s, field %u: the table says otherwise", type->descriptor->name, number);
        if (field->kept)
            assert_in_range(field->at + bytes_of(field), 0, type->bytes);
        if (field->kept && field->type != NULL)
            assert_true(field->type->bytes > 0);
        if (field->type != NULL)
            check_table(field->type);
    }
    for (unsigned i = 0; i < type->descriptor->n_fields; i++)
        assert_in_range(type->descriptor->fields[i].id, 1,
                        type->field_count < MU_NUMBER_LAST ? type->field_count - 1
                                                           : MU_NUMBER_LAST - 1);
}

static void test_view_tables__descriptors__every_field_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROOTS; i++)
        check_table(roots[i]);
}

/* --- random messages ------------------------------------------------------------------------ */

static const char *const words[] = {"",
                                    "cpu",
                                    "memory",
                                    "100m",
                                    "2Gi",
                                    "example.com/gpu",
                                    "Running",
                                    "Always",
                                    "In",
                                    "DoesNotExist",
                                    "Exists",
                                    "NoExecute",
                                    "kubernetes.io/hostname",
                                    "web",
                                    "False",
                                    "PodScheduled",
                                    "DoNotSchedule",
                                    "Honor",
                                    "a-rather-long-name.of.something",
                                    "TCP",
                                    "default"};

static void put_text(struct mu_random *random, struct mu_buf *out, uint32_t number)
{
    char text[80];
    uint32_t len = (uint32_t)mu_random_below(random, sizeof text);
    if (!mu_random_chance(random, 100)) {
        const char *word = words[mu_random_below(random, sizeof words / sizeof words[0])];
        mu_wire_put_bytes(out, number, mu_str_of(word));
        return;
    }
    for (uint32_t i = 0; i < len; i++)
        text[i] = (char)(mu_random_chance(random, 50) ? 0 : mu_random_below(random, 256));
    mu_wire_put_bytes(out, number, (struct mu_str){text, len});
}

static void put_number(struct mu_random *random, struct mu_buf *out, uint32_t number)
{
    static const uint64_t numbers[] = {0, 1, 2, 80, 300, UINT32_MAX, INT64_MAX, UINT64_MAX};
    mu_wire_put_varint(out, (uint64_t)number << 3); /* a varint */
    mu_wire_put_varint(out, numbers[mu_random_below(random, 8)]);
}

static void put_unknown(struct mu_random *random, struct mu_buf *out, uint32_t number)
{
    uint32_t type = (uint32_t[]){0, 1, 2, 5}[mu_random_below(random, 4)];
    mu_wire_put_varint(out, (uint64_t)number << 3 | type);
    if (type == MU_WIRE_VARINT)
        mu_wire_put_varint(out, mu_random_u64(random));
    else if (type == MU_WIRE_BYTES)
        mu_wire_put_varint(out, 2);
    (void)mu_buf_append(out, "12345678",
                        type == MU_WIRE_FIXED64   ? 8
                        : type == MU_WIRE_FIXED32 ? 4
                        : type == MU_WIRE_BYTES   ? 2
                                                  : 0);
}

static void put_message(struct mu_random *random, struct mu_buf *out,
                        const ProtobufCMessageDescriptor *type, uint32_t permille);

static void put_field(struct mu_random *random, struct mu_buf *out,
                      const ProtobufCFieldDescriptor *field, uint32_t permille)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        put_text(random, out, field->id);
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        struct mu_buf inner = {.data = NULL};
        put_message(random, &inner, field->descriptor, permille);
        mu_wire_put_bytes(out, field->id, buf_str(&inner));
        mu_buf_fini(&inner);
    } else {
        put_number(random, out, field->id);
        if (mu_random_chance(random, 100))
            put_number(random, out, field->id); /* the last one counts */
    }
}

/* As an encoder writes it: in the order of numbers. */
static void put_message(struct mu_random *random, struct mu_buf *out,
                        const ProtobufCMessageDescriptor *type, uint32_t permille)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        uint64_t count = mu_random_chance(random, permille);
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            count *= 1 + mu_random_below(random, 3);
        while (count-- > 0)
            put_field(random, out, field, permille);
        uint32_t number = field->id + 1 + (mu_random_chance(random, 100) ? 60 : 0);
        if (mu_random_chance(random, 30) &&
            protobuf_c_message_descriptor_get_field(type, number) == NULL)
            put_unknown(random, out, number);
    }
}

/* What both ways make of it. Returns whether the walker took it. */
static bool same_either_way(struct mu_test_run *run, struct mu_str raw,
                            const struct mu_view_type *type, struct mu_arena *arenas[2])
{
    struct mu_view_pod walked, unpacked; /* the largest */
    mu_arena_reset(arenas[0]);
    mu_arena_reset(arenas[1]);
    assert_in_range(type->bytes, 1, sizeof walked);
    bool took = mu_view_walk(raw, type, arenas[0], &walked);
    int rc = mu_view_unpack(raw, type, arenas[1], "object", &unpacked, NULL);
    MU_TEST_CHECK(run, rc == 0 || !took);
    MU_TEST_CHECK(run, !took || view_equal(type, &walked, &unpacked));
    return took;
}

static void test_view_walk__random_messages__taken_as_protobuf_c_takes_them(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(71);
    struct mu_arena *arenas[] = {mu_arena_create(MU_DECODE_ARENA_BYTES),
                                 mu_arena_create(MU_DECODE_ARENA_BYTES)};
    struct mu_buf raw = {.data = NULL};
    for (run.step = 0; run.step < 20000; run.step++) {
        const struct mu_view_type *type = roots[run.step % ROOTS];
        mu_buf_clear(&raw);
        put_message(&run.random, &raw, type->descriptor,
                    200 + (uint32_t)mu_random_below(&run.random, 600));
        if (raw.len <= MU_WALK_BYTES_MAX)
            MU_TEST_CHECK(&run, same_either_way(&run, buf_str(&raw), type, arenas));
    }
    mu_buf_fini(&raw);
    mu_arena_destroy(arenas[0]);
    mu_arena_destroy(arenas[1]);
}

static void damage(struct mu_random *random, struct mu_buf *raw)
{
    size_t at = mu_random_below(random, raw->len);
    size_t len = mu_random_below(random, raw->len - at) % 16;
    switch (mu_random_below(random, 5)) {
    case 0:
        raw->data[at] ^= (uint8_t)(1u << mu_random_below(random, 8));
        break;
    case 1:
        raw->data[at] = (uint8_t)mu_random_u64(random);
        break;
    case 2:
        memmove(raw->data + at, raw->data + at + len, raw->len - at - len);
        raw->len -= len;
        break;
    case 3:
        raw->len = at + 1;
        break;
    default:
        memmove(raw->data + mu_random_below(random, raw->len - len), raw->data + at, len);
    }
}

static void test_view_walk__damaged_messages__taken_only_as_protobuf_c_takes_them(void **state)
{
    (void)state;
    struct mu_test_run run = mu_test_run_begin(72);
    struct mu_arena *arenas[] = {mu_arena_create(MU_DECODE_ARENA_BYTES),
                                 mu_arena_create(MU_DECODE_ARENA_BYTES)};
    struct mu_buf raw = {.data = NULL};
    uint32_t taken = 0, left = 0;
    for (run.step = 0; run.step < 60000; run.step++) {
        const struct mu_view_type *type = roots[run.step % ROOTS];
        mu_buf_clear(&raw);
        put_message(&run.random, &raw, type->descriptor,
                    200 + (uint32_t)mu_random_below(&run.random, 300));
        for (uint64_t n = mu_random_below(&run.random, 3); raw.len > 0 && n < 3; n++)
            damage(&run.random, &raw);
        /* At the very end of a page of its own under AddressSanitizer: a read beyond is seen. */
        uint8_t *exact = mu_mem_alloc(raw.len + 1);
        assert_non_null(exact);
        memcpy(exact + 1, raw.data != NULL ? raw.data : exact, raw.len);
        struct mu_str text = {(const char *)exact + 1, (uint32_t)raw.len};
        bool took = same_either_way(&run, text, type, arenas);
        taken += took;
        left += !took;
        mu_mem_free(exact);
    }
    assert_true(taken > 5000 && left > 5000); /* both are looked at */
    mu_buf_fini(&raw);
    mu_arena_destroy(arenas[0]);
    mu_arena_destroy(arenas[1]);
}

/* --- what the walker leaves to protobuf-c --------------------------------------------------- */

/* Walk as a pod; how protobuf-c judges is in *rc. */
static bool walks(struct mu_str raw, int *rc)
{
    struct mu_arena *arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    struct mu_view_pod view;
    assert_non_null(arena);
    bool took = mu_view_walk(raw, &mu_view_of_pod, arena, &view);
    *rc = mu_view_unpack(raw, &mu_view_of_pod, arena, "pod", &view, NULL);
    mu_arena_destroy(arena);
    return took;
}

static void test_view_walk__unusual_forms__left_to_protobuf_c(void **state)
{
    (void)state;
    static const struct {
        struct mu_str raw;
        bool fine; /* says protobuf-c */
    } cases[] = {
        {{"\x0a\x00\x0a\x00", 4}, true},                              /* metadata twice */
        {{"\x0a\x06\x5a\x00\x62\x00\x5a\x00", 8}, true},              /* labels in two places */
        {{"\x0a\x04\x0a\x82\x00\x61", 6}, false},                     /* a length runs out */
        {{"\x8a\x80\x00\x00", 4}, true},                              /* a tag of three bytes */
        {{"\x0a\x86\x80\x80\x80\x80\x00\x0a\x00", 9}, false},         /* a length of six bytes */
        {{"\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, true}, /* more than 64 bits */
        {{"\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, false},
        {{"\x3b\x3c", 2}, false},         /* a group */
        {{"\x08\x01", 2}, false},         /* metadata as a number */
        {{"\x0a\x02\x08\x01", 4}, false}, /* a name as a number */
        {{"\x0a\x05\x0d"
          "abcd",
          7},
         false}, /* a name of four fixed bytes */
        {{"\x0a\x09\x09"
          "abcdefgh",
          11},
         false},
        {{"\x12\x03\xca\x01\x00", 5}, false},     /* spec.priority as text */
        {{"\x12\x04\x12\x02\x42\x05", 6}, false}, /* resources run out of their container */
        {{"\x1a\x04\x12\x02\x1a\x05", 6}, false}, /* so does a time that nobody looks at */
        {{"\x02\x00", 2}, false},                 /* field 0 */
        {{"\x80\x00\x00", 3}, true},              /* field 0, in two bytes */
        {{"\x0a", 1}, false},
        {{"\x8a", 1}, false},
        {{"\x39\x01", 2}, false}, /* eight bytes, of which one is there */
        {{"\x3d\x01", 2}, false},
        {{"\x0a\x07\x5a\x05\x0a\x01k\x12\x05", 9}, false}, /* a label's value runs out of it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc;
        bool took = walks(cases[i].raw, &rc);
        if (took || (rc == 0) != cases[i].fine)
            fail_msg("case %zu: walked %d, protobuf-c %d", i, took, rc);
    }
}

static void test_view_walk__larger_than_usual__left_to_protobuf_c(void **state)
{
    (void)state;
    struct mu_buf raw = {.data = NULL}, meta = {.data = NULL};
    struct mu_arena *arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    struct mu_view_pod view;
    for (uint32_t i = 0; i < MU_WALK_VIEW_BYTES_MAX / sizeof(struct mu_label); i++)
        mu_wire_put_bytes(&meta, 11, MU_STR(""));
    mu_wire_put_bytes(&raw, 1, buf_str(&meta)); /* few bytes, large views */
    assert_in_range(raw.len, 1, MU_WALK_BYTES_MAX);
    assert_false(mu_view_walk(buf_str(&raw), &mu_view_of_pod, arena, &view));
    assert_int_equal(mu_view_open(buf_str(&raw), &mu_view_of_pod, arena, "pod", &view, NULL), 0);
    assert_int_equal(view.meta->labels.count, MU_WALK_VIEW_BYTES_MAX / sizeof(struct mu_label));
    mu_buf_clear(&raw);
    mu_buf_clear(&meta);
    while (meta.len < MU_WALK_BYTES_MAX)
        (void)mu_buf_append_text(&meta, "0123456789abcdef");
    mu_wire_put_bytes(&raw, 7, buf_str(&meta)); /* a field that nobody knows */
    assert_false(mu_view_walk(buf_str(&raw), &mu_view_of_pod, arena, &view));
    assert_int_equal(mu_view_open(buf_str(&raw), &mu_view_of_pod, arena, "pod", &view, NULL), 0);
    mu_arena_destroy(arena);
    mu_buf_fini(&raw);
    mu_buf_fini(&meta);
}

/* A small pod, in an arena of `arg` bytes. */
static void test_view_open__no_memory__says_so(void **state)
{
    (void)state;
    const struct mu_str raw = MU_STR("\x0a\x06\x0a\x01p\x5a\x01\x0a\x12\x00");
    const struct mu_str good = MU_STR("\x0a\x0b\x0a\x01p\x5a\x06\x0a\x01k\x12\x01v\x12\x00");
    struct mu_view_pod view;
    struct mu_error error = {.code = 0};
    bool open = false;
    struct mu_arena *arena = mu_arena_create(MU_DECODE_ARENA_BYTES);
    assert_int_equal(mu_view_open(raw, &mu_view_of_pod, arena, "pod", &view, &error), MU_EPROTO);
    mu_arena_destroy(arena);
    for (size_t bytes = 16; !open; bytes += 16) {
        arena = mu_arena_create(bytes);
        assert_non_null(arena);
        int rc = mu_view_open(good, &mu_view_of_pod, arena, "pod", &view, &error);
        assert_true(rc == 0 || rc == MU_ENOMEM);
        open = rc == 0;
        if (open)
            assert_true(mu_str_equal(view.meta->labels.items[0].value, MU_STR("v")));
        int unpacked = mu_view_unpack(good, &mu_view_of_pod, arena, "pod", &view, &error);
        assert_true(unpacked == 0 || unpacked == MU_ENOMEM);
        mu_arena_destroy(arena);
        assert_in_range(bytes, 16, 64 << 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view_tables__descriptors__every_field_is_there),
        cmocka_unit_test(test_view_walk__random_messages__taken_as_protobuf_c_takes_them),
        cmocka_unit_test(test_view_walk__damaged_messages__taken_only_as_protobuf_c_takes_them),
        cmocka_unit_test(test_view_walk__unusual_forms__left_to_protobuf_c),
        cmocka_unit_test(test_view_walk__larger_than_usual__left_to_protobuf_c),
        cmocka_unit_test(test_view_open__no_memory__says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
