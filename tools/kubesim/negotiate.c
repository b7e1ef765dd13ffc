#include "tools/kubesim/negotiate.h"

#include <string.h>

bool mu_api_negotiate(struct mu_str accept, bool protobuf, struct mu_api_form *out)
{
    const char *type = mu_media_text(MU_MEDIA_PROTOBUF);
    bool takes = protobuf && accept.len > 0 && memmem(accept.data, accept.len, type, strlen(type));
    out->media = takes ? MU_MEDIA_PROTOBUF : MU_MEDIA_JSON;
    return true;
}
