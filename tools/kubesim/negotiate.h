#ifndef MU_TOOLS_KUBESIM_NEGOTIATE_H
#define MU_TOOLS_KUBESIM_NEGOTIATE_H
/* Content negotiation: what an Accept header asks for (kubernetes-wire §1.2). */
#include <stdbool.h>
#include "engine/base/str.h"
#include "informer/call.h"

struct mu_api_form {
    enum mu_media media; /* MU_MEDIA_JSON, MU_MEDIA_PROTOBUF, MU_MEDIA_YAML */
};

/* The first clause of `accept` (by q, then by order) that can be served; protobuf: whether the
 * resource has that form. False: none can (406). An empty header is JSON. Cost: O(bytes). */
bool mu_api_negotiate(struct mu_str accept, bool protobuf, struct mu_api_form *out);

#endif
