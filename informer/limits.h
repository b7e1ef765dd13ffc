#ifndef MU_INFORMER_LIMITS_H
#define MU_INFORMER_LIMITS_H
/*
 * Every bound of the informer, in one place. Reaching one is a reported condition (MU_ELIMIT with
 * the object named), never a crash.
 */
#include "engine/limits.h"

#define MU_WATCH_FRAME_MAX (16u << 20)  /* one watch event; client-go's cap */
#define MU_LIST_PAGE_MAX   (256u << 20) /* one page of a list */
/* A list that never ends: pages of one list, and those of them in a row without an object. */
#define MU_LIST_PAGES_MAX        (1u << 17)
#define MU_LIST_BARREN_PAGES_MAX 64u
#define MU_OBJECT_BYTES_MAX      (16u << 20) /* one encoded object */
/* protobuf-c's copy of an object. A hostile object decodes to about 40 times its size (an empty
 * repeated message costs 2 bytes on the wire); real ones to about 3 times. What is translated from
 * the copy is smaller than it, so an arena of MU_DECODE_ARENA_BYTES never runs out: an object that
 * is too large is told from a lack of memory. */
#define MU_DECODE_BYTES_MAX   (30u << 20)
#define MU_DECODE_ARENA_BYTES (64u << 20)
/* What the walker of the hot path takes (walk.c); anything larger is protobuf-c's. It must be sure
 * that protobuf-c would take it too, whose copy is at worst 125 times as large: two bytes become an
 * empty message of at most 104 bytes, a pointer and, doubled for slack, 48 bytes of notes. */
#define MU_WALK_BYTES_MAX      (128u << 10)
#define MU_WALK_VIEW_BYTES_MAX (1u << 20)
#define MU_STATUS_BYTES_MAX    (1u << 20) /* an error body worth decoding */
#define MU_GANG_JSON_BYTES_MAX (1u << 16) /* a list in an annotation about a gang */
/* Container statuses of one pod that are looked at; matching them to containers is quadratic. */
#define MU_CONTAINER_STATUSES_MAX 512u

#define MU_BINDS_OPEN_MAX      (1u << 20) /* binds taken and not settled */
#define MU_BINDS_IN_FLIGHT_MAX (1u << 16)

/* Journal slots in objects of the API server. */
#define MU_SLOTS_MAX        64u
#define MU_SLOT_BYTES_MAX   (64u << 10)  /* of one slot's content */
#define MU_SLOT_BURST_BYTES (128u << 10) /* written at once after a pause */

/* Pods that are touched at once, and what they are marked with. */
#define MU_TOUCHES_MAX    256u
#define MU_TOUCH_MARK_MAX 63u

/* Reports: conditions and events about pods. */
#define MU_REPORT_PODS_MAX      (1u << 17) /* pods whose condition waits or was lately written */
#define MU_REPORT_EVENTS_MAX    (1u << 17) /* events not yet written; what is beyond is dropped */
#define MU_REPORT_IN_FLIGHT_MAX 1024u
#define MU_REPORT_RATE_MAX      100000u /* writes a second */
#define MU_REPORT_TEXT_MAX      2048u   /* message of a condition */
#define MU_EVENT_NOTE_MAX       1024u   /* the server's, as are the next two */
#define MU_EVENT_WORD_MAX       128u    /* reason, action, reporting instance */
#define MU_EVENT_NAME_MAX       253u

/* HTTP: what one peer may make us hold. */
#define MU_HTTP_REQUESTS_MAX    (1u << 20)   /* open in one client, waiting ones included */
#define MU_HTTP_CONNECTIONS_MAX 64u          /* of one client */
#define MU_HTTP_PATH_MAX        (16u << 10)  /* path and query that we send */
#define MU_HTTP_HEADER_LIST_MAX (32u << 10)  /* of a request to us, by RFC 9113's measure; 431 */
#define MU_HTTP_PIPELINE_MAX    (64u << 10)  /* HTTP/1.1 bytes read ahead of a response */
#define MU_HTTP_HIGH_WATER      (256u << 10) /* queued on a stream: write says MU_EAGAIN */
#define MU_HTTP_LOW_WATER       (64u << 10)  /* then on_drain */
/* Queued on a stream by a writer that ignores MU_EAGAIN: holds any watch event. */
#define MU_HTTP_STREAM_QUEUE_MAX (32u << 20)
/* All queued responses, and all request bodies (503), of one server. */
#define MU_HTTP_SERVER_QUEUE_MAX  (UINT64_C(2) << 30)
#define MU_HTTP_SERVER_BODIES_MAX (UINT64_C(512) << 20)
/* What counts as progress of a peer whose turn it is: so many bytes in an idle time, or the end of
 * what it was about. A byte a second is none. */
#define MU_HTTP_PROGRESS_MIN 4096u
/* Flow control: bytes a peer may send unasked. The client takes everything at once, so its windows
 * cost no memory; the server's bodies are counted. */
#define MU_HTTP_CLIENT_STREAM_WINDOW     (8 << 20)
#define MU_HTTP_CLIENT_CONNECTION_WINDOW (256 << 20)
#define MU_HTTP_SERVER_STREAM_WINDOW     (1 << 20)
#define MU_HTTP_SERVER_CONNECTION_WINDOW (64 << 20)

/* Our own header: "Bearer " and a token; service account tokens take 1 KiB. */
#define MU_HTTP_AUTHORIZATION_MAX (7u + MU_TOKEN_BYTES_MAX)
#define MU_HTTP_WARNINGS_MAX      64u        /* of one response */
#define MU_HTTP_WARNINGS_BYTES    (8u << 10) /* all of them, as header values */

/* TLS: PEM texts, and what a connection may hold back. */
#define MU_TLS_CA_BYTES_MAX   (4u << 20) /* a bundle; a distribution's whole store is 0.25 MiB */
#define MU_TLS_CA_COUNT_MAX   4096u
#define MU_TLS_CERT_BYTES_MAX (64u << 10) /* a chain, leaf first */
#define MU_TLS_CERT_COUNT_MAX 16u
#define MU_TLS_KEY_BYTES_MAX  (32u << 10)
#define MU_TLS_NAME_MAX       255u
#define MU_TLS_PEER_BYTES_MAX 4096u /* name and groups of a client certificate */
/* Encrypted bytes that were made while reading (handshake, alerts) and wait for the socket. */
#define MU_TLS_OUT_MAX (256u << 10)

/* Files read at start-up. */
#define MU_FILE_XZ_MEMORY_MAX  (128u << 20) /* what xz -9 needs, twice */
#define MU_CSV_BYTES_MAX       (UINT64_C(4) << 30)
#define MU_CSV_ROW_BYTES_MAX   (1u << 20)
#define MU_CSV_FIELD_BYTES_MAX (1u << 16)
#define MU_CSV_COLUMNS_MAX     256u
#define MU_CONFIG_BYTES_MAX    (1u << 20)
#define MU_CONFIG_NODES_MAX    (1u << 14)
#define MU_CONFIG_KEYS_MAX     1024u /* of one mapping; looking for duplicates is quadratic */
#define MU_CONFIG_DEPTH_MAX    32u
#define MU_CONFIG_KNOWN_MAX    128u /* different keys that a program asks of one mapping */

/* Where the server is, and who we are. */
#define MU_SERVER_PATH_MAX      1024u        /* of a server's URL */
#define MU_KUBECONFIG_FILES_MAX 16u          /* of a list of kubeconfigs */
#define MU_CREDENTIAL_BYTES_MAX (512u << 10) /* a CA bundle, a certificate chain, a key */
#define MU_TOKEN_BYTES_MAX      (16u << 10)  /* fits a server's bound on headers */

/* JSON and YAML of API objects. */
#define MU_JSON_DEPTH_MAX      64u  /* messages inside each other; the API's own go to 20 */
#define MU_JSON_NEST_MAX       128u /* brackets of an object that is cut out of a list */
#define MU_JSON_PROBLEMS_MAX   100u /* unknown and duplicate fields told of one object */
#define MU_JSON_PATH_BYTES_MAX 512u /* of a field, as it is told */
#define MU_TIME_S_MIN          INT64_C(-62167219200) /* the years that RFC 3339 has */
#define MU_TIME_S_MAX          INT64_C(253402300799)
#define MU_YAML_BYTES_MAX      (3u << 20) /* of one text, as a request's body */
#define MU_YAML_NODES_MAX      (1u << 18) /* of one text */
#define MU_YAML_DOCUMENTS_MAX  1024u
#define MU_YAML_DEPTH_MAX      63u

_Static_assert(MU_BINDS_OPEN_MAX <= (1u << 24), "a slot number takes 24 bits of a token");
_Static_assert(MU_OBJECT_BYTES_MAX <= MU_WATCH_FRAME_MAX, "an event holds one object");
_Static_assert(MU_CSV_FIELD_BYTES_MAX <= MU_CSV_ROW_BYTES_MAX, "a row holds any field");
_Static_assert(2 * MU_SERVER_PATH_MAX <= MU_HTTP_PATH_MAX, "a path of ours fits behind any");
_Static_assert(MU_CREDENTIAL_BYTES_MAX / 3 * 4 < MU_CONFIG_BYTES_MAX,
               "inline as well as in a file");
_Static_assert(MU_CONFIG_DEPTH_MAX < 64, "below the depth that libfyaml is sure to parse");
_Static_assert(2 * MU_DECODE_BYTES_MAX + 2 * MU_WALK_VIEW_BYTES_MAX < MU_DECODE_ARENA_BYTES,
               "an attempt to walk, then protobuf-c's copy, its views and the translation fit");
_Static_assert(125 * MU_WALK_BYTES_MAX < MU_DECODE_BYTES_MAX, "protobuf-c takes what is walked");
_Static_assert(MU_WATCH_FRAME_MAX <= MU_LIST_PAGE_MAX, "a page holds any object");
_Static_assert(MU_HTTP_LOW_WATER < MU_HTTP_HIGH_WATER, "a drained stream is below its mark");
_Static_assert(MU_HTTP_HIGH_WATER < MU_HTTP_STREAM_QUEUE_MAX, "EAGAIN comes before the refusal");
_Static_assert(2 * MU_TLS_CERT_BYTES_MAX < MU_TLS_OUT_MAX, "a server's first flight fits");
_Static_assert(MU_HTTP_AUTHORIZATION_MAX + (8u << 10) < MU_HTTP_HEADER_LIST_MAX,
               "our own server takes it, with a path and the other fields");
_Static_assert(MU_WATCH_FRAME_MAX + MU_HTTP_HIGH_WATER <= MU_HTTP_STREAM_QUEUE_MAX,
               "a stream below its mark takes any watch event");

#endif
