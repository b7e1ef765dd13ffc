#include "tools/kubesim/negotiate.h"

#include <strings.h>

enum { Q_ONE = 1000 }; /* q in thousandths */

/* One clause, read. */
struct clause {
    struct mu_str type, subtype;
    struct mu_str as, group, version, stream; /* data NULL: not given */
    uint32_t q;
    bool malformed;
};

/* ---- reading ------------------------------------------------------------------------------ */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct mu_str trim(struct mu_str s)
{
    while (s.len > 0 && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

static bool same(struct mu_str s, const char *want)
{
    return s.len == strlen(want) && strncasecmp(s.data, want, s.len) == 0;
}

/* Take what stands before the next `end` outside of quotes off *rest, and the end with it. */
static struct mu_str take_until(struct mu_str *rest, char end)
{
    uint32_t len = 0;
    bool quoted = false;
    while (len < rest->len && (quoted || rest->data[len] != end)) {
        quoted ^= rest->data[len] == '"';
        len++;
    }
    struct mu_str taken = {rest->data, len};
    uint32_t step = len + (len < rest->len);
    rest->data += step;
    rest->len -= step;
    return trim(taken);
}

/* "0", "0.7", "1.000" in thousandths (further digits are cut off); false for anything else. */
static bool read_q(struct mu_str text, uint32_t *out)
{
    if (text.len == 0 || (text.data[0] != '0' && text.data[0] != '1') ||
        (text.len > 1 && text.data[1] != '.')) {
        return false;
    }
    uint32_t scale = Q_ONE;
    uint32_t value = text.data[0] == '1' ? Q_ONE : 0;
    for (uint32_t i = 2; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        scale /= 10;
        value += (uint32_t)(text.data[i] - '0') * scale;
    }
    *out = value < Q_ONE ? value : Q_ONE;
    return true;
}

static void read_parameter(struct mu_str text, struct clause *clause)
{
    struct mu_str value = text;
    struct mu_str name = take_until(&value, '=');
    value = trim(value);
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value = (struct mu_str){value.data + 1, value.len - 2};
    }
    if (same(name, "q")) {
        clause->malformed |= !read_q(value, &clause->q);
    } else if (same(name, "as")) {
        clause->as = value;
    } else if (same(name, "g")) {
        clause->group = value;
    } else if (same(name, "v")) {
        clause->version = value;
    } else if (same(name, "stream")) {
        clause->stream = value;
    }
}

static struct clause read_clause(struct mu_str text)
{
    struct clause clause = {.q = Q_ONE};
    struct mu_str range = take_until(&text, ';');
    clause.type = take_until(&range, '/');
    clause.subtype = trim(range);
    clause.malformed = clause.type.len == 0 || clause.subtype.len == 0;
    while (text.len > 0) {
        read_parameter(take_until(&text, ';'), &clause);
    }
    return clause;
}

/* ---- choosing ----------------------------------------------------------------------------- */

static bool names_type(const struct clause *clause, const char *subtype)
{
    if (same(clause->type, "*")) {
        return same(clause->subtype, "*");
    }
    return same(clause->type, "application") &&
           (same(clause->subtype, "*") || same(clause->subtype, subtype));
}

/* Whether an answer in `media` can be what the clause asks to convert to. */
static bool convert(const struct clause *clause, unsigned offers, struct mu_api_form *form)
{
    static const struct {
        const char *as, *group, *version, *beta;
        enum mu_api_as is;
        unsigned offer;
        bool protobuf;
    } known[] = {
        {"Table", "meta.k8s.io", "v1", "v1beta1", MU_AS_TABLE, MU_OFFER_OBJECTS, false},
        {"PartialObjectMetadata", "meta.k8s.io", "v1", "v1beta1", MU_AS_PARTIAL, MU_OFFER_OBJECTS,
         true},
        {"PartialObjectMetadataList", "meta.k8s.io", "v1", "v1beta1", MU_AS_PARTIAL_LIST,
         MU_OFFER_OBJECTS, true},
        {"APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2", "v2beta1", MU_AS_DISCOVERY,
         MU_OFFER_DISCOVERY, false},
    };
    form->as = MU_AS_ITSELF;
    form->beta = false;
    if (clause->as.data == NULL && clause->group.data == NULL && clause->version.data == NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        form->beta = same(clause->version, known[i].beta);
        if (same(clause->as, known[i].as) && same(clause->group, known[i].group) &&
            (form->beta || same(clause->version, known[i].version)) &&
            (offers & known[i].offer) != 0 &&
            (known[i].protobuf || form->media != MU_MEDIA_PROTOBUF)) {
            form->as = known[i].is;
            return true;
        }
    }
    return false;
}

static bool serve(const struct clause *clause, unsigned offers, struct mu_api_form *form)
{
    static const struct {
        const char *subtype;
        enum mu_media media;
        unsigned needs, never;
    } types[] = {{"json", MU_MEDIA_JSON, 0, 0},
                 {"yaml", MU_MEDIA_YAML, 0, MU_OFFER_STREAM},
                 {"vnd.kubernetes.protobuf", MU_MEDIA_PROTOBUF, MU_OFFER_PROTOBUF, 0}};
    if (clause->malformed || clause->q == 0 ||
        (clause->stream.len > 0 && !same(clause->stream, "watch"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        form->media = types[i].media;
        if (names_type(clause, types[i].subtype) && (offers & types[i].needs) == types[i].needs &&
            (offers & types[i].never) == 0 && convert(clause, offers, form)) {
            return true;
        }
    }
    return false;
}

bool mu_api_negotiate(struct mu_str accept, unsigned offers, struct mu_api_form *out)
{
    *out = (struct mu_api_form){.media = MU_MEDIA_JSON};
    accept = trim(accept);
    if (accept.len == 0) {
        return true;
    }
    uint32_t best = 0;
    while (accept.len > 0) {
        struct clause clause = read_clause(take_until(&accept, ','));
        struct mu_api_form form = {.media = MU_MEDIA_JSON};
        if (clause.q > best && serve(&clause, offers, &form)) {
            best = clause.q;
            *out = form;
        }
    }
    return best > 0;
}
