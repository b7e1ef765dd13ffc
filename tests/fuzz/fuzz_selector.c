/*
 * Label selectors, field selectors and Accept headers, one a line: no text crashes. What is
 * accepted keeps its promises: a selector says the same of an object each time, the label part and
 * the field part together are their conjunction, and an answer is never in a form that was not
 * offered.
 *
 * covers: tools/kubesim/selector.c tools/kubesim/negotiate.c
 */
#include <stddef.h>
#include <stdint.h>
#include "engine/base/assert.h"
#include "informer/proto/core.pb-c.h"
#include "tools/kubesim/negotiate.h"
#include "tools/kubesim/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pod with the labels app=web, size=7 and the empty tier, on node n1, in the host's network. */
static struct mu_kobject *make_pod(void)
{
    static char texts[][12] = {"default", "p",   "1",    "muster", "n1",   "Running",
                               "app",     "web", "tier", "",       "size", "7"};
    Kube__StringEntry labels[3] = {KUBE__STRING_ENTRY__INIT, KUBE__STRING_ENTRY__INIT,
                                   KUBE__STRING_ENTRY__INIT};
    Kube__StringEntry *list[3] = {&labels[0], &labels[1], &labels[2]};
    for (int i = 0; i < 3; i++) {
        labels[i].key = texts[6 + 2 * i];
        labels[i].value = texts[7 + 2 * i];
    }
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__PodSpec spec = KUBE__POD_SPEC__INIT;
    Kube__PodStatus status = KUBE__POD_STATUS__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    meta.namespace_ = texts[0];
    meta.name = texts[1];
    meta.resourceversion = texts[2];
    meta.n_labels = 3;
    meta.labels = list;
    spec.schedulername = texts[3];
    spec.nodename = texts[4];
    spec.has_hostnetwork = 1;
    spec.hostnetwork = 1;
    status.phase = texts[5];
    pod.metadata = &meta;
    pod.spec = &spec;
    pod.status = &status;
    struct mu_kobject *object = mu_kobject_pack(&pod.base);
    MU_ASSERT(object != NULL);
    return object;
}

static struct mu_str take_line(struct mu_str *rest)
{
    struct mu_str line = {rest->data, 0};
    while (line.len < rest->len && rest->data[line.len] != '\n') {
        line.len++;
    }
    uint32_t step = line.len + (line.len < rest->len);
    rest->data += step;
    rest->len -= step;
    return line;
}

/* Compile; *match says whether the pod is selected. False: refused. */
static bool select_pod(const struct mu_kobject *pod, struct mu_str labels, struct mu_str fields,
                       bool *match)
{
    struct mu_selector *selector = NULL;
    struct mu_error error = {0, ""};
    int code = mu_selector_create(&mu_kinds[MU_KIND_PODS], labels, fields, &selector, &error);
    if (code != 0) {
        MU_ASSERT(selector == NULL && (code == MU_EINVAL || code == MU_ELIMIT));
        MU_ASSERT(error.text[0] != '\0');
        return false;
    }
    *match = mu_selector_match(selector, pod);
    MU_ASSERT(*match == mu_selector_match(selector, pod));
    mu_selector_destroy(selector);
    return true;
}

static void try_selectors(struct mu_str labels, struct mu_str fields)
{
    static const struct mu_str none = {NULL, 0};
    struct mu_kobject *pod = make_pod();
    bool by_labels = false;
    bool by_fields = false;
    bool by_both = false;
    bool labels_fine = select_pod(pod, labels, none, &by_labels);
    bool fields_fine = select_pod(pod, none, fields, &by_fields);
    bool both_fine = select_pod(pod, labels, fields, &by_both);
    MU_ASSERT(!both_fine || (labels_fine && fields_fine));
    MU_ASSERT(!both_fine || by_both == (by_labels && by_fields));
    mu_kobject_unref(pod);
}

static void try_accept(struct mu_str accept)
{
    for (unsigned offers = 0; offers < 16; offers++) {
        struct mu_api_form form;
        bool can = mu_api_negotiate(accept, offers, &form);
        bool protobuf = form.media == MU_MEDIA_PROTOBUF;
        MU_ASSERT(protobuf || form.media == MU_MEDIA_JSON || form.media == MU_MEDIA_YAML);
        MU_ASSERT(can || (form.media == MU_MEDIA_JSON && form.as == MU_AS_ITSELF));
        MU_ASSERT(!protobuf || (offers & MU_OFFER_PROTOBUF) != 0);
        MU_ASSERT(form.media != MU_MEDIA_YAML || (offers & MU_OFFER_STREAM) == 0);
        bool discovery = form.as == MU_AS_DISCOVERY;
        MU_ASSERT(!discovery || (offers & MU_OFFER_DISCOVERY) != 0);
        MU_ASSERT(discovery || form.as == MU_AS_ITSELF || (offers & MU_OFFER_OBJECTS) != 0);
        MU_ASSERT(!protobuf || (form.as != MU_AS_TABLE && !discovery));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536) {
        return 0;
    }
    struct mu_str rest = {(const char *)data, (uint32_t)size};
    struct mu_str labels = take_line(&rest);
    struct mu_str fields = take_line(&rest);
    try_selectors(labels, fields);
    try_accept(rest);
    return 0;
}
