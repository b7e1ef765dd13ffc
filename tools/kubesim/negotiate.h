#ifndef MU_TOOLS_KUBESIM_NEGOTIATE_H
#define MU_TOOLS_KUBESIM_NEGOTIATE_H
/*
 * Content negotiation: what an Accept header asks for (kubernetes-wire §1.2).
 *
 *   accept := clause (',' clause)*      clause := type '/' subtype (';' name '=' value)*
 *
 * A clause can be served when its type is one of ours or a wildcard, when what it asks to convert
 * to (as, g, v) is offered in that media type, and when its stream, if any, is "watch". Of those
 * that can be served the one with the highest q wins, of equals the first. q=0 and clauses that
 * are malformed are never served; parameters that we do not know are passed over, as on the real
 * server. Within a wildcard JSON comes before YAML and protobuf.
 */
#include <stdbool.h>
#include "engine/base/str.h"
#include "informer/call.h"

/* What an object or a list is turned into. */
enum mu_api_as {
    MU_AS_ITSELF,
    MU_AS_TABLE,        /* Table of meta.k8s.io */
    MU_AS_PARTIAL,      /* PartialObjectMetadata */
    MU_AS_PARTIAL_LIST, /* PartialObjectMetadataList */
    MU_AS_DISCOVERY     /* APIGroupDiscoveryList of apidiscovery.k8s.io */
};

struct mu_api_form {
    enum mu_media media; /* MU_MEDIA_JSON, MU_MEDIA_PROTOBUF, MU_MEDIA_YAML */
    enum mu_api_as as;
    bool beta; /* the conversion's older version: v1beta1, v2beta1 */
};

/* What the path at hand can be given as, beside JSON and YAML: bits. */
enum mu_api_offer {
    MU_OFFER_PROTOBUF = 1u << 0,
    MU_OFFER_OBJECTS = 1u << 1,   /* Table, PartialObjectMetadata and its list */
    MU_OFFER_DISCOVERY = 1u << 2, /* APIGroupDiscoveryList, in JSON */
    MU_OFFER_STREAM = 1u << 3     /* it is a watch: no YAML */
};

/* False: nothing that `accept` names can be served (406); *out is then plain JSON. An empty header
 * is JSON. Thread: any. Cost: O(bytes). */
bool mu_api_negotiate(struct mu_str accept, unsigned offers, struct mu_api_form *out);

#endif
