#ifndef MU_TOOLS_KUBESIM_RENDER_H
#define MU_TOOLS_KUBESIM_RENDER_H
/*
 * Objects in the form that a client asked for. The stored form is protobuf under the kind's own
 * group and version; it is given out as it is, renumbered for a further group version, cut down to
 * its metadata, as JSON, or as a row of a Table. Text shows what is not stored too (shown.h), and
 * so does a single object in protobuf; protobuf lists and watches carry the stored bytes: whoever
 * reads a million pods that way is a program that decides by what is stored. YAML is JSON here: the
 * answer is turned into YAML as a whole, once it is complete.
 */
#include "tools/kubesim/api_priv.h"

/* How one client sees the objects of a kind. */
struct mu_api_view {
    enum mu_kind_ix kind;
    const struct mu_kind_api *api; /* NULL: the kind's own group and version */
    struct mu_api_form form;
    enum { MU_INCLUDE_METADATA, MU_INCLUDE_NONE, MU_INCLUDE_OBJECT } include; /* of a row */
};
/* The view of the call's client. Errors: as every function that takes a call (a bad
 * includeObject). */
int mu_api_view_of(struct mu_call *call, struct mu_api_view *out);

/* What an answer says that it is. The texts live as long as the table of kinds. */
const char *mu_render_version(const struct mu_api_view *view);
const char *mu_render_kind(const struct mu_api_view *view);
const char *mu_render_list_kind(const struct mu_api_view *view);
bool mu_render_is_text(const struct mu_api_view *view); /* JSON or YAML */

/* Append one object: whole, with kind and version, protobuf without envelope. A Table has one row;
 * its columns can be left out where they have been sent before. Errors: MU_ENOMEM, MU_ELIMIT,
 * MU_EPROTO; *out is then as it was. Cost: O(object). */
int mu_render_object(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                     int64_t now_s, bool columns, struct mu_buf *out);
/* Append one object as an element of a list: a field 2 with the stored bytes, or JSON. Errors: as
 * above. */
int mu_render_item(struct mu_apiserver *server, const struct mu_api_view *view, struct mu_str raw,
                   int64_t now_s, struct mu_buf *out);
/* Seconds since 1970. */
int64_t mu_render_now_s(const struct mu_apiserver *server, uint64_t now_ns);

#endif
