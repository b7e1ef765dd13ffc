#ifndef MU_TOOLS_MANIFEST_LIMITS_H
#define MU_TOOLS_MANIFEST_LIMITS_H
/* Every bound on manifests. Reaching one is a line that names the file and the object. */
#include "engine/limits.h"

#define MU_MANIFEST_BYTES_MAX      (UINT64_C(3) << 30)  /* of one file, unpacked */
#define MU_MANIFEST_PIECE_MAX      (16u << 20)          /* one JSON value that is no list */
#define MU_MANIFEST_STORE_MAX      (UINT64_C(64) << 30) /* all objects, encoded */
#define MU_MANIFEST_ARENA_MAX      (64u << 20)          /* one object in the making */
#define MU_MANIFEST_NEST_MAX       4u                   /* lists inside lists */
#define MU_MANIFEST_FILES_MAX      1024u
#define MU_MANIFEST_CONTAINERS_MAX 10240u     /* of a pod, init containers included */
#define MU_MANIFEST_RESOURCES_MAX  256u       /* in one list of requests or limits */
#define MU_MANIFEST_LINES_MAX      100u       /* complaints that are told one by one */
#define MU_MANIFEST_SEARCH_MAX     (8u << 20) /* text that is read again for lines of complaints */
#define MU_MANIFEST_KINDS_MAX      64u        /* unused kinds that are told one by one */

#endif
