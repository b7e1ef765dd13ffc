#ifndef MU_TOOLS_MANIFEST_SPLIT_H
#define MU_TOOLS_MANIFEST_SPLIT_H
/*
 * A file of manifests, cut into pieces that are read one by one: its documents, and of a list
 * (`kind: List`, `PodList`) its items. So a dump of a whole cluster, which is one document, takes
 * the memory of one object at a time.
 *
 * The cut is by the lines of YAML and the brackets of JSON alone. It never fails: what it does not
 * understand is one piece, and whoever reads that says what is wrong with it.
 */
#include <stdbool.h>
#include <stdint.h>
#include "engine/base/str.h"

enum mu_piece_kind {
    MU_PIECE_DOCUMENT,
    MU_PIECE_SHELL, /* a document without the items of its top-level `items`: they come next */
    MU_PIECE_ITEM
};
struct mu_piece {
    enum mu_piece_kind kind;
    bool json;
    struct mu_str text; /* valid during the call */
    uint32_t line;      /* of its first line in the file, from 1 */
    uint32_t offset;    /* of its first byte */
};
/* Takes a piece. For a shell: MU_PIECE_WHOLE asks for the document as it stands, not for its items.
 * Any other value but 0 ends the cut. */
#define MU_PIECE_WHOLE 1
typedef int (*mu_piece_fn)(void *context, const struct mu_piece *piece);

/* Cut text: JSON when its first character but space is '{', else YAML. Returns 0, what fn returned,
 * or MU_ENOMEM. Thread: any. Cost: O(bytes). */
int mu_manifest_split(struct mu_str text, mu_piece_fn fn, void *context);

#endif
