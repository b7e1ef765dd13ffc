#ifndef MU_TESTS_KUBE_FIXTURE_H
#define MU_TESTS_KUBE_FIXTURE_H
/* Encoded Kubernetes objects for tests: small builders over the generated messages. */
#include "engine/base/buf.h"
#include "informer/codec.h"
#include "informer/proto/core.pb-c.h"
#include "tests/mu_test.h"

/* Generated messages hold char *, and packing only reads them. */
#define FIXTURE_TEXT(text) ((char *)(uintptr_t)(text))

static inline struct mu_str fixture_str(const struct mu_buf *buf)
{
    return (struct mu_str){(const char *)buf->data, (uint32_t)buf->len};
}

/* Append the encoding of any generated message. */
static inline void fixture_pack(struct mu_buf *out, const void *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    assert_int_equal(mu_buf_reserve(out, size + 1), 0);
    assert_int_equal(protobuf_c_message_pack(message, out->data + out->len), size);
    out->len += size;
}

/* {metadata{name, uid "uid-<name>", resourceVersion}}, namespace "ns": the least that is a pod or
 * node. */
static inline void fixture_object(struct mu_buf *out, const char *name, uint64_t version)
{
    char text[24];
    char uid[64];
    Kube__ObjectMeta meta = KUBE__OBJECT_META__INIT;
    Kube__Pod pod = KUBE__POD__INIT;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    (void)snprintf(uid, sizeof uid, "uid-%s", name);
    meta.name = FIXTURE_TEXT(name);
    meta.namespace_ = FIXTURE_TEXT("ns");
    meta.uid = uid;
    meta.resourceversion = text;
    pod.metadata = &meta;
    fixture_pack(out, &pod);
}

/* An enveloped v1 Status. */
static inline void fixture_status(struct mu_buf *out, int code, const char *reason,
                                  const char *cause, int retry_after_s)
{
    struct mu_buf raw = {0};
    Kube__Status status = KUBE__STATUS__INIT;
    Kube__StatusDetails details = KUBE__STATUS_DETAILS__INIT;
    Kube__StatusCause one = KUBE__STATUS_CAUSE__INIT;
    Kube__StatusCause *causes[1] = {&one};
    status.status = FIXTURE_TEXT(code < 300 ? "Success" : "Failure");
    status.has_code = true;
    status.code = code;
    status.reason = FIXTURE_TEXT(reason);
    status.message = FIXTURE_TEXT("a message");
    status.details = &details;
    details.has_retryafterseconds = retry_after_s != 0;
    details.retryafterseconds = retry_after_s;
    one.reason = FIXTURE_TEXT(cause);
    details.n_causes = cause == NULL ? 0 : 1;
    details.causes = causes;
    fixture_pack(&raw, &status);
    assert_int_equal(mu_envelope_wrap(out, MU_STR("v1"), MU_STR("Status"), fixture_str(&raw)), 0);
    mu_buf_fini(&raw);
}

#endif
