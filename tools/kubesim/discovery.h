#ifndef MU_TOOLS_KUBESIM_DISCOVERY_H
#define MU_TOOLS_KUBESIM_DISCOVERY_H
/*
 * Everything that is answered without an object: health, version, which resources there are
 * (aggregated and legacy discovery), and what their fields are (OpenAPI v3). All of it is printed
 * from the table of kinds; kubernetes-wire §10 says who asks for what.
 */
#include "tools/kubesim/api_priv.h"

#define MU_KUBESIM_VERSION "v1.35.0-muster-kubesim"

/* Answer the call if `path` is such a path; false: it is not. */
bool mu_api_discover(struct mu_call *call, const struct mu_api_path *path);

/* Below /openapi (openapi.c); false when nothing is there. */
bool mu_api_openapi(struct mu_call *call, const struct mu_api_path *path);
/* /openapi/v2 (openapi_v2.c). Returns true. */
bool mu_api_openapi_v2(struct mu_call *call);

/* The messages that a document describes, each once: those before `done` are printed. */
struct mu_schemas {
    const ProtobufCMessageDescriptor *list[MU_KUBESIM_SCHEMAS_MAX];
    uint32_t count, done;
    uint32_t hidden; /* kinds that are not served */
};
void mu_schemas_add(struct mu_schemas *schemas, const ProtobufCMessageDescriptor *descriptor);

#endif
