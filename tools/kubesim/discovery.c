/*
 * Discovery comes in two forms. Aggregated: /api and /apis each answer with everything below them
 * in one APIGroupDiscoveryList, to clients that ask for that kind and version. Legacy: /api and
 * /apis name the groups, and each group version lists its resources; subresources are entries
 * "pods/binding" of that list.
 */
#include "tools/kubesim/discovery.h"

#include <stdio.h>
#include "tools/kubesim/served.h"

static void put(struct mu_buf *out, const char *text)
{
    (void)mu_buf_append_text(out, text);
}

/* ["a","b"] */
static void put_words(struct mu_buf *out, const char *const *words)
{
    put(out, "[");
    for (uint32_t i = 0; words[i] != NULL; i++) {
        (void)mu_buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", words[i]);
    }
    put(out, "]");
}

static void put_short_names(struct mu_buf *out, const struct mu_kind *kind)
{
    if (kind->short_names != NULL) {
        put(out, ",\"shortNames\":");
        put_words(out, kind->short_names);
    }
    if (kind->in_all) {
        put(out, ",\"categories\":[\"all\"]");
    }
}

static void put_group_version(struct mu_buf *out, const char *group, const char *version)
{
    (void)mu_buf_printf(out, "{\"groupVersion\":\"%s%s%s\",\"version\":\"%s\"}", group,
                        group[0] == '\0' ? "" : "/", version, version);
}

/* ---- legacy ------------------------------------------------------------------------------- */

/* The members of an APIGroup behind its kind. */
static void put_group(struct mu_buf *out, const struct mu_served_group *group)
{
    (void)mu_buf_printf(out, "\"name\":\"%s\",\"versions\":[", group->group);
    for (uint32_t i = 0; i < group->version_count; i++) {
        put(out, i == 0 ? "" : ",");
        put_group_version(out, group->group, group->versions[i]);
    }
    put(out, "],\"preferredVersion\":");
    put_group_version(out, group->group, group->versions[0]);
}

static void put_group_list(struct mu_buf *out, const struct mu_served_groups *groups)
{
    put(out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
    for (uint32_t i = 1; i < groups->count; i++) { /* core is no group here */
        put(out, i == 1 ? "{" : ",{");
        put_group(out, &groups->groups[i]);
        put(out, "}");
    }
    put(out, "]}\n");
}

static void put_subresource(struct mu_buf *out, const struct mu_kind *kind, const char *name,
                            const char *type, const char *const *verbs)
{
    (void)mu_buf_printf(out,
                        ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s,%s\"verbs\":",
                        kind->plural, name, kind->namespaced ? "true" : "false", type);
    put_words(out, verbs);
    put(out, "}");
}

static void put_resource_list(struct mu_buf *out, uint32_t hidden, const char *group,
                              const char *version)
{
    (void)mu_buf_printf(out,
                        "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":"
                        "\"%s%s%s\",\"resources\":[",
                        group, group[0] == '\0' ? "" : "/", version);
    bool first = true;
    for (struct mu_served at = {.hidden = hidden}; mu_served_next_in(&at, group, version);
         first = false) {
        const struct mu_kind *kind = at.kind;
        (void)mu_buf_printf(out,
                            "%s{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,"
                            "\"kind\":\"%s\",\"verbs\":",
                            first ? "" : ",", kind->plural, kind->singular,
                            kind->namespaced ? "true" : "false", kind->kind);
        put_words(out, mu_served_verbs(kind));
        put_short_names(out, kind);
        put(out, "}");
        char type[160];
        if (kind->has_status) {
            (void)snprintf(type, sizeof type, "\"kind\":\"%s\",", kind->kind);
            put_subresource(out, kind, "status", type, mu_served_status_verbs);
        }
        for (const struct mu_kind_sub *sub = kind->subs; sub != NULL && sub->name != NULL; sub++) {
            /* The body's group and version are told where they are not those of the list. */
            bool own = strcmp(sub->group, group) == 0 && strcmp(sub->version, version) == 0;
            (void)snprintf(type, sizeof type,
                           own ? "\"kind\":\"%s\","
                               : "\"kind\":\"%s\",\"group\":\"%s\",\"version\":\"%s\",",
                           sub->kind, sub->group, sub->version);
            put_subresource(out, kind, sub->name, type, mu_served_sub_verbs);
        }
    }
    put(out, "]}\n");
}

/* ---- aggregated --------------------------------------------------------------------------- */

static void put_response_kind(struct mu_buf *out, const char *group, const char *version,
                              const char *kind)
{
    (void)mu_buf_printf(out,
                        "\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}",
                        group, version, kind);
}

static void put_aggregated_sub(struct mu_buf *out, bool first, const char *name, const char *group,
                               const char *version, const char *kind, const char *const *verbs)
{
    (void)mu_buf_printf(out, "%s{\"subresource\":\"%s\",", first ? ",\"subresources\":[" : ",",
                        name);
    put_response_kind(out, group, version, kind);
    put(out, ",\"verbs\":");
    put_words(out, verbs);
    put(out, "}");
}

static void put_aggregated_resource(struct mu_buf *out, const struct mu_served *at)
{
    const struct mu_kind *kind = at->kind;
    bool first = true;
    (void)mu_buf_printf(out, "{\"resource\":\"%s\",", kind->plural);
    put_response_kind(out, at->group, at->version, kind->kind);
    (void)mu_buf_printf(out, ",\"scope\":\"%s\",\"singularResource\":\"%s\",\"verbs\":",
                        kind->namespaced ? "Namespaced" : "Cluster", kind->singular);
    put_words(out, mu_served_verbs(kind));
    put_short_names(out, kind);
    if (kind->has_status) {
        put_aggregated_sub(out, first, "status", at->group, at->version, kind->kind,
                           mu_served_status_verbs);
        first = false;
    }
    for (const struct mu_kind_sub *sub = kind->subs; sub != NULL && sub->name != NULL; sub++) {
        put_aggregated_sub(out, first, sub->name, sub->group, sub->version, sub->kind,
                           mu_served_sub_verbs);
        first = false;
    }
    put(out, first ? "}" : "]}");
}

/* Groups [from, to) with their versions and resources. */
static void put_aggregated(struct mu_buf *out, const struct mu_served_groups *groups, uint32_t from,
                           uint32_t to, bool beta)
{
    (void)mu_buf_printf(out,
                        "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":"
                        "\"apidiscovery.k8s.io/%s\",\"metadata\":{},\"items\":[",
                        beta ? "v2beta1" : "v2");
    for (uint32_t i = from; i < to; i++) {
        const struct mu_served_group *group = &groups->groups[i];
        (void)mu_buf_printf(out, "%s{\"metadata\":{\"name\":\"%s\"},\"versions\":[",
                            i == from ? "" : ",", group->group);
        for (uint32_t v = 0; v < group->version_count; v++) {
            (void)mu_buf_printf(out, "%s{\"version\":\"%s\",\"resources\":[", v == 0 ? "" : ",",
                                group->versions[v]);
            bool first = true;
            for (struct mu_served at = {.hidden = groups->hidden};
                 mu_served_next_in(&at, group->group, group->versions[v]); first = false) {
                put(out, first ? "" : ",");
                put_aggregated_resource(out, &at);
            }
            put(out, "],\"freshness\":\"Current\"}");
        }
        put(out, "]}");
    }
    put(out, "]}\n");
}

/* ---- paths -------------------------------------------------------------------------------- */

/* Answers of one text. */
static bool answer_fixed(struct mu_call *call, const struct mu_api_path *path)
{
    static const struct {
        const char *segment;
        enum mu_media media;
        const char *body;
    } fixed[] = {
        {"healthz", MU_MEDIA_TEXT, "ok"},
        {"livez", MU_MEDIA_TEXT, "ok"},
        {"readyz", MU_MEDIA_TEXT, "ok"},
        /* No Go is involved; the field is what `kubectl version -o yaml` prints. */
        {"version", MU_MEDIA_JSON,
         "{\"major\":\"1\",\"minor\":\"35\",\"gitVersion\":\"" MU_KUBESIM_VERSION "\","
         "\"gitCommit\":\"\",\"gitTreeState\":\"\",\"buildDate\":\"1970-01-01T00:00:00Z\","
         "\"goVersion\":\"none\",\"compiler\":\"cc\",\"platform\":\"linux/amd64\"}\n"},
    };
    for (size_t i = 0; path->count == 1 && i < sizeof fixed / sizeof fixed[0]; i++) {
        if (mu_api_path_is(path, 0, fixed[i].segment)) {
            call->response->status = 200;
            call->response->media = fixed[i].media;
            put(&call->response->body, fixed[i].body);
            return true;
        }
    }
    return false;
}

static void finish(struct mu_call *call, bool aggregated)
{
    struct mu_api_response *response = call->response;
    if (response->body.failed != 0) {
        int code = response->body.failed;
        (void)mu_api_internal(call, code);
        return;
    }
    response->status = 200;
    response->media = MU_MEDIA_JSON;
    if (aggregated) {
        response->content_type =
            call->form.beta
                ? "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
                : "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    }
}

/* /api and /apis. */
static bool answer_root(struct mu_call *call, const struct mu_api_path *path,
                        const struct mu_served_groups *groups)
{
    struct mu_buf *out = &call->response->body;
    bool core = mu_api_path_is(path, 0, "api");
    if (!mu_api_accepts(call, MU_OFFER_DISCOVERY)) {
        return true;
    }
    bool aggregated = call->form.as == MU_AS_DISCOVERY;
    if (aggregated) {
        put_aggregated(out, groups, core ? 0 : 1, core ? 1 : groups->count, call->form.beta);
    } else if (core) {
        put(out, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],"
                 "\"serverAddressByClientCIDRs\":[]}\n");
    } else {
        put_group_list(out, groups);
    }
    finish(call, aggregated);
    return true;
}

bool mu_api_discover(struct mu_call *call, const struct mu_api_path *path)
{
    bool core = mu_api_path_is(path, 0, "api");
    struct mu_served_groups groups;
    if (call->request->method != MU_GET) {
        return false;
    }
    if (!core && !mu_api_path_is(path, 0, "apis")) {
        return answer_fixed(call, path) || mu_api_openapi(call, path);
    }
    mu_served_groups(call->server->hidden, &groups);
    uint32_t at = core ? 0 : 1; /* the segment that names the group */
    if (path->count == 1) {
        return answer_root(call, path, &groups);
    }
    const struct mu_served_group *group =
        mu_served_group_find(&groups, core ? MU_STR("") : path->segments[at]);
    if (group == NULL || path->count > at + 2 || (!core && path->segments[at].len == 0)) {
        return false;
    }
    struct mu_buf *out = &call->response->body;
    if (path->count == at + 1) {
        if (mu_api_accepts(call, 0)) {
            put(out, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
            put_group(out, group);
            put(out, "}\n");
            finish(call, false);
        }
        return true;
    }
    const char *version = mu_served_version_find(group, path->segments[at + 1]);
    if (version == NULL) {
        return false;
    }
    if (mu_api_accepts(call, 0)) {
        put_resource_list(out, groups.hidden, group->group, version);
        finish(call, false);
    }
    return true;
}
