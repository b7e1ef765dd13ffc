/*
 * From bytes to views in one pass, without a copy of any text.
 *
 * The walker takes a message only in the form in which every encoder writes it; there its result is
 * that of protobuf-c, and there is no second opinion to keep in step with:
 *   - tags of one or two bytes, lengths of at most five, varints of at most 64 bits, no groups;
 *   - a field that our .proto files know has the type on the wire that they say;
 *   - a message that can be there once is there once (protobuf merges repetitions);
 *   - the elements of a list lie one behind the other, so that they can be counted before the array
 *     is set aside.
 * Anything else, and whatever is larger than usual, is declined: protobuf-c then takes or refuses
 * it. Truncated and hostile input is part of that: every length is held against what is left.
 *
 * A list costs a look at its headers to be counted, then the walk itself; views come to at most
 * MU_WALK_VIEW_BYTES_MAX. Depth is that of the tables, which have no cycles.
 */
#include "informer/view_priv.h"

#include "engine/base/assert.h"
#include "informer/limits.h"
#include "informer/wire_priv.h"

enum { SLAB_BYTES = 2 << 10, LENGTH_BYTES_MAX = 5, VARINT_BYTES_MAX = 10 };
enum { PAIR_KEY_TAG = 1 << 3 | MU_WIRE_BYTES, PAIR_VALUE_TAG = 2 << 3 | MU_WIRE_BYTES };

struct walk {
    struct mu_arena *arena;
    uint8_t *slab; /* the rest of the block that views are cut from */
    size_t slab_left;
    size_t left;        /* of the bound */
    const uint8_t *end; /* of the object */
};

static const struct mu_field unknown = {.kind = MU_FIELD_UNKNOWN};

/* Zeroed, aligned to 8. NULL: no memory, or beyond the bound. */
static void *take(struct walk *w, size_t bytes)
{
    bytes = (bytes + 7) & ~(size_t)7;
    if (bytes > w->slab_left) {
        size_t slab = bytes > SLAB_BYTES ? bytes : SLAB_BYTES;
        if (slab > w->left)
            return NULL;
        uint8_t *block = mu_arena_zalloc(w->arena, slab);
        if (block == NULL)
            return NULL;
        w->left -= slab;
        w->slab = block;
        w->slab_left = slab;
    }
    void *view = w->slab;
    w->slab += bytes;
    w->slab_left -= bytes;
    return view;
}

/* --- the wire ------------------------------------------------------------------------------- */

/* A varint of at most `bytes_max` bytes, below 2^64. */
static inline bool take_varint(struct mu_wire *wire, unsigned bytes_max, uint64_t *value)
{
    if (wire->at != wire->end && *wire->at < 0x80) { /* nearly every one */
        *value = *wire->at++;
        return true;
    }
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes_max && wire->at != wire->end; i++) {
        uint64_t byte = *wire->at++;
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false;
        v |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = v;
            return true;
        }
    }
    return false;
}

/* A tag of one or two bytes. */
static inline bool take_tag(struct mu_wire *wire, uint32_t *tag)
{
    *tag = *wire->at++;
    if (*tag >= 0x80) {
        if (wire->at == wire->end || *wire->at >= 0x80)
            return false;
        *tag = (*tag & 0x7f) | (uint32_t)*wire->at++ << 7;
    }
    return *tag >> 3 != 0;
}

static inline bool take_bytes(struct mu_wire *wire, struct mu_str *bytes)
{
    uint64_t len;
    if (!take_varint(wire, LENGTH_BYTES_MAX, &len) || len > (uint64_t)(wire->end - wire->at))
        return false;
    *bytes = (struct mu_str){(const char *)wire->at, (uint32_t)len};
    wire->at += len;
    return true;
}

/* What nobody looks at, of a wire type with a fixed length; no other type is left. */
static inline bool skip_fixed(struct mu_wire *wire, uint32_t wire_type)
{
    size_t len = wire_type == MU_WIRE_FIXED64 ? 8 : 4;
    if ((wire_type != MU_WIRE_FIXED64 && wire_type != MU_WIRE_FIXED32) ||
        (size_t)(wire->end - wire->at) < len)
        return false;
    wire->at += len;
    return true;
}

static inline const struct mu_field *field_of(const struct mu_view_type *type, uint32_t number)
{
    return number < type->field_count ? &type->fields[number] : &unknown;
}

/* --- what is not kept ----------------------------------------------------------------------- */

static bool is_number(enum mu_field_kind kind)
{
    return kind == MU_FIELD_BOOL || kind == MU_FIELD_INT32 || kind == MU_FIELD_INT64;
}

static bool is_message(enum mu_field_kind kind)
{
    return kind == MU_FIELD_MESSAGE || kind == MU_FIELD_MESSAGES || kind == MU_FIELD_INLINE;
}

/* Is it a message of this type? */
static bool has_form(const struct mu_view_type *type, struct mu_str raw)
{
    struct mu_wire wire;
    mu_wire_open(&wire, raw);
    while (wire.at != wire.end) {
        uint32_t tag;
        uint64_t number;
        struct mu_str bytes;
        if (!take_tag(&wire, &tag))
            return false;
        const struct mu_field *field = field_of(type, tag >> 3);
        bool ok = field->kind == MU_FIELD_UNKNOWN;
        switch (tag & 7) {
        case MU_WIRE_VARINT:
            ok = (ok || is_number(field->kind)) && take_varint(&wire, VARINT_BYTES_MAX, &number);
            break;
        case MU_WIRE_BYTES:
            ok = !is_number(field->kind) && take_bytes(&wire, &bytes) &&
                 (!is_message(field->kind) || has_form(field->type, bytes));
            break;
        default:
            ok = ok && skip_fixed(&wire, tag & 7);
        }
        if (!ok)
            return false;
    }
    return true;
}

/* --- what is kept --------------------------------------------------------------------------- */

static bool walk(struct walk *w, const struct mu_view_type *type, struct mu_str raw, uint8_t *view);

/* Is one of its bytes 0? A byte that borrows from the subtraction has its top bit set then; an
 * error can only be in bytes above one that is 0. */
static inline bool has_nul(uint64_t word)
{
    return ((word - UINT64_C(0x0101010101010101)) & ~word & UINT64_C(0x8080808080808080)) != 0;
}

/* Texts are short: a few words of eight bytes are faster than memchr. The last one reads beyond the
 * text, within the object, and what is beyond does not count (x86-64 is little-endian). */
static inline struct mu_str text_of(const struct walk *w, struct mu_str bytes)
{
    const char *at = bytes.data;
    uint32_t left = bytes.len;
    uint64_t word;
    bool nul = false;
    if (left + 8 > (uint64_t)(w->end - (const uint8_t *)at)) {
        nul = memchr(at, '\0', left) != NULL;
    } else {
        for (; left > 8; at += 8, left -= 8) {
            memcpy(&word, at, sizeof word);
            nul |= has_nul(word);
        }
        memcpy(&word, at, sizeof word);
        nul |= left > 0 && has_nul(word | ~UINT64_C(0) << (8 * left - 1) << 1);
    }
    if (nul)
        bytes.len = (uint32_t)strnlen(bytes.data, bytes.len);
    return bytes;
}

/* Elements of the list at hand: the first one, which the wire stands behind, and those that follow
 * with the same tag. */
static uint32_t count_run(struct mu_wire wire, uint32_t tag)
{
    struct mu_str bytes;
    uint32_t next, count = 1;
    while (wire.at != wire.end && take_tag(&wire, &next) && next == tag &&
           take_bytes(&wire, &bytes))
        count++;
    return count;
}

/* A pair as every encoder writes it: key and value, each shorter than 128 bytes. */
static inline bool take_pair(const struct walk *w, struct mu_str raw, struct mu_label *pair)
{
    const uint8_t *at = (const uint8_t *)raw.data;
    if (raw.len < 4 || at[0] != PAIR_KEY_TAG)
        return false;
    uint32_t key = at[1];
    if (key >= 0x80 || raw.len < key + 4 || at[key + 2] != PAIR_VALUE_TAG)
        return false;
    uint32_t value = at[key + 3];
    if (value >= 0x80 || raw.len != key + value + 4)
        return false;
    pair->key = text_of(w, (struct mu_str){raw.data + 2, key});
    pair->value = text_of(w, (struct mu_str){raw.data + key + 4, value});
    return true;
}

/* An element of a list, into its place. */
static inline bool walk_element(struct walk *w, const struct mu_field *field, struct mu_str bytes,
                                uint8_t *item)
{
    if (field->kind == MU_FIELD_TEXTS) {
        struct mu_str text = text_of(w, bytes);
        memcpy(item, &text, sizeof text);
        return true;
    }
    if (field->type->is_pair && take_pair(w, bytes, (struct mu_label *)(void *)item))
        return true;
    return walk(w, field->type, bytes, item);
}

/* A whole list. `bytes`: its first element; the wire stands behind that. */
static bool walk_list(struct walk *w, const struct mu_field *field, uint32_t tag,
                      struct mu_str bytes, struct mu_wire *wire, uint8_t *view)
{
    size_t size = field->kind == MU_FIELD_TEXTS ? sizeof(struct mu_str) : field->type->bytes;
    struct mu_any_list list = {.count = count_run(*wire, tag)};
    uint8_t *item = take(w, list.count * size);
    if (item == NULL)
        return false;
    list.items = item;
    memcpy(view + field->at, &list, sizeof list);
    bool ok = walk_element(w, field, bytes, item);
    for (uint32_t i = 1; ok && i < list.count; i++) {
        uint32_t same;
        item += size;
        ok = take_tag(wire, &same) && take_bytes(wire, &bytes) &&
             walk_element(w, field, bytes, item);
    }
    return ok;
}

/* A field of bytes. `again`: it was there before. */
static bool walk_bytes(struct walk *w, const struct mu_field *field, uint32_t tag, bool again,
                       struct mu_wire *wire, uint8_t *view)
{
    struct mu_str bytes;
    if (!take_bytes(wire, &bytes))
        return false;
    if (!field->kept)
        return !is_number(field->kind) &&
               (!is_message(field->kind) || has_form(field->type, bytes));
    switch (field->kind) {
    case MU_FIELD_TEXT: {
        struct mu_str text = text_of(w, bytes);
        memcpy(view + field->at, &text, sizeof text);
        return true;
    }
    case MU_FIELD_MESSAGE: {
        uint8_t *inner = again ? NULL : take(w, field->type->bytes);
        if (inner == NULL)
            return false;
        memcpy(view + field->at, &inner, sizeof inner);
        return walk(w, field->type, bytes, inner);
    }
    case MU_FIELD_INLINE:
        return !again && walk(w, field->type, bytes, view);
    case MU_FIELD_TEXTS:
    case MU_FIELD_MESSAGES:
        return !again && walk_list(w, field, tag, bytes, wire, view);
    default:
        return false; /* a number */
    }
}

static bool walk_number(const struct mu_field *field, struct mu_wire *wire, uint8_t *view)
{
    uint64_t value;
    if (!take_varint(wire, VARINT_BYTES_MAX, &value))
        return false;
    if (field->kind == MU_FIELD_UNKNOWN || !field->kept)
        return field->kind == MU_FIELD_UNKNOWN || is_number(field->kind);
    bool truth = value != 0;
    uint32_t low = (uint32_t)value; /* a negative int32 comes as ten bytes */
    if (field->kind == MU_FIELD_BOOL)
        memcpy(view + field->at, &truth, sizeof truth);
    else if (field->kind == MU_FIELD_INT32)
        memcpy(view + field->at, &low, sizeof low);
    else if (field->kind == MU_FIELD_INT64)
        memcpy(view + field->at, &value, sizeof value);
    else
        return false;
    return true;
}

static bool walk(struct walk *w, const struct mu_view_type *type, struct mu_str raw, uint8_t *view)
{
    mu_numbers numbers = 0;
    struct mu_wire wire;
    mu_wire_open(&wire, raw);
    while (wire.at != wire.end) {
        uint32_t tag;
        if (!take_tag(&wire, &tag))
            return false;
        const struct mu_field *field = field_of(type, tag >> 3);
        mu_numbers bit = mu_number_bit(tag >> 3);
        bool ok = field->kind == MU_FIELD_UNKNOWN;
        switch (tag & 7) {
        case MU_WIRE_VARINT:
            ok = walk_number(field, &wire, view);
            break;
        case MU_WIRE_BYTES:
            ok = walk_bytes(w, field, tag, (numbers & bit) != 0, &wire, view);
            break;
        default:
            ok = ok && skip_fixed(&wire, tag & 7);
        }
        if (!ok)
            return false;
        numbers |= bit;
    }
    if (type->has_numbers)
        memcpy(view, &numbers, sizeof numbers);
    return true;
}

bool mu_view_walk(struct mu_str raw, const struct mu_view_type *type, struct mu_arena *arena,
                  void *view)
{
    struct mu_wire whole;
    mu_wire_open(&whole, raw);
    struct walk w = {.arena = arena, .left = MU_WALK_VIEW_BYTES_MAX, .end = whole.end};
    MU_ASSERT(type->bytes > 0);
    memset(view, 0, type->bytes);
    return raw.len <= MU_WALK_BYTES_MAX && walk(&w, type, raw, view);
}
