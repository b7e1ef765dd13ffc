#ifndef MU_INFORMER_JSON_FACTS_H
#define MU_INFORMER_JSON_FACTS_H
/*
 * What descriptors do not say about the JSON form of Kubernetes messages: which messages are not
 * objects of their fields, which fields are there although they are empty, and by which key a
 * strategic merge patch merges a list. Facts go by the names of messages, so that they hold for the
 * trimmed messages of informer/proto and the complete ones of tools/kubesim/schema alike.
 */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* Messages whose JSON is not an object of their fields. */
enum mu_json_shape {
    MU_JSON_OBJECT,
    MU_JSON_QUANTITY,      /* its text */
    MU_JSON_TIME,          /* RFC 3339, seconds */
    MU_JSON_MICRO_TIME,    /* RFC 3339, microseconds */
    MU_JSON_INT_OR_STRING, /* a number or a string */
    MU_JSON_RAW,           /* JSON text kept as it is */
    MU_JSON_LIST,          /* its one repeated field */
    MU_JSON_ENTRY,         /* repeated: members of one JSON object */
    MU_JSON_INLINE         /* its fields are those of the message around it */
};
/* The shape of a field's values. Thread: any. Cost: O(1). */
enum mu_json_shape mu_json_shape_of(const ProtobufCFieldDescriptor *field);

/* Which fields of a message are printed. Bit n stands for field n. */
struct mu_json_presence {
    uint64_t always;  /* whatever it holds: "", 0, {}, null where nothing is set */
    uint64_t pointer; /* of a scalar: when it is set, also to "", 0 or false. Others: when it holds
                         something else than that */
    bool no_empty_text; /* trimmed messages: empty strings are not told from missing ones */
};
/* Thread: any. Cost: O(1) for the messages that a thread has met lately. */
struct mu_json_presence mu_json_presence_of(const ProtobufCMessageDescriptor *type);

/* How a strategic merge patch treats a field of a message. */
struct mu_json_merge {
    bool merge;         /* a list: by key or, without one, as a set. Otherwise it is replaced */
    const char *key;    /* the elements' key; NULL: primitive elements */
    bool retain_keys;   /* $retainKeys is part of the patches that clients make */
    bool whole_replace; /* an object that is replaced, not merged */
};
/* Thread: any. Cost: O(log of rules). */
struct mu_json_merge mu_json_merge_of(const ProtobufCMessageDescriptor *type, const char *field);

#endif
