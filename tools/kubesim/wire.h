#ifndef MU_TOOLS_KUBESIM_WIRE_H
#define MU_TOOLS_KUBESIM_WIRE_H
/*
 * Protobuf on the level of fields: selectors and version stamps read one or two fields of an object
 * that stays encoded. Apart from informer's reader on purpose: the server is what the client's
 * decoder is tested against.
 */
#include "engine/base/buf.h"
#include "engine/base/str.h"

struct mu_renumber; /* tools/kubesim/kinds.h */

struct mu_pb_field {
    uint32_t number;
    bool is_bytes;
    uint64_t varint;     /* of varint and fixed fields */
    struct mu_str bytes; /* content of a length-delimited field: a view */
    struct mu_str whole; /* tag, length and content: a view */
};
/* Take the first field off *rest. Returns 1, 0 at the end, MU_EPROTO (*rest is then undefined). */
int mu_pb_next(struct mu_str *rest, struct mu_pb_field *field);
/* The last field of that number in message; false when there is none (or message is malformed). */
bool mu_pb_find(struct mu_str message, uint32_t number, struct mu_pb_field *out);
/* The bytes of field a, or of field b inside it (b != 0). Empty when absent. */
struct mu_str mu_pb_bytes(struct mu_str message, uint32_t a, uint32_t b);
/* The entry of a map<string,string> (repeated field `number`) with this key. The last one wins. */
bool mu_pb_map_get(struct mu_str message, uint32_t number, struct mu_str key, struct mu_str *value);

/* Append; the buffer's sticky error tells of failure. */
void mu_pb_put_varint(struct mu_buf *out, uint64_t value);
void mu_pb_put_bytes(struct mu_buf *out, uint32_t number, struct mu_str bytes);
/* Bytes that mu_pb_put_bytes would append. */
size_t mu_pb_bytes_size(uint32_t number, size_t len);
/* Tag and length of a length-delimited field; its content is the caller's to append. */
void mu_pb_put_head(struct mu_buf *out, uint32_t number, size_t len);
/* Append message with its top-level fields numbered as the other side of `map` has them, content
 * unchanged and in the same order. Fields that the map does not name have no place there and are
 * left out. Errors: MU_EPROTO, the buffer's; *out is then as it was. */
int mu_pb_renumber(struct mu_str message, const struct mu_renumber *map, bool to_stored,
                   struct mu_buf *out);

#endif
