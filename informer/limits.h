#ifndef MU_INFORMER_LIMITS_H
#define MU_INFORMER_LIMITS_H
/*
 * Every bound of the informer, in one place. Reaching one is a reported condition (MU_ELIMIT with
 * the object named), never a crash.
 */
#include "engine/limits.h"

#define MU_WATCH_FRAME_MAX  (16u << 20)  /* one watch event; client-go's cap */
#define MU_LIST_PAGE_MAX    (256u << 20) /* one page of a list */
#define MU_OBJECT_BYTES_MAX (16u << 20)  /* one encoded object */
/* protobuf-c's copy of an object. A hostile object decodes to about 40 times its size (an empty
 * repeated message costs 2 bytes on the wire); real ones to about 3 times. */
#define MU_DECODE_BYTES_MAX (64u << 20)
#define MU_STATUS_BYTES_MAX (1u << 20) /* an error body worth decoding */
/* Container statuses of one pod that are looked at; matching them to containers is quadratic. */
#define MU_CONTAINER_STATUSES_MAX 512u

#define MU_BINDS_OPEN_MAX      (1u << 20) /* binds taken and not settled */
#define MU_BINDS_IN_FLIGHT_MAX (1u << 16)

_Static_assert(MU_BINDS_OPEN_MAX <= (1u << 24), "a slot number takes 24 bits of a token");
_Static_assert(MU_OBJECT_BYTES_MAX <= MU_WATCH_FRAME_MAX, "an event holds one object");
_Static_assert(MU_WATCH_FRAME_MAX <= MU_LIST_PAGE_MAX, "a page holds any object");

#endif
