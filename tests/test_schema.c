/*
 * The full messages (tools/kubesim/schema) against the trimmed ones (informer/proto): bytes travel
 * between the two, so what both have must be the same field.
 */
#include "tests/mu_test.h"

#include "informer/proto/core.pb-c.h"
#include "informer/proto/events.pb-c.h"
#include "informer/proto/scheduling.pb-c.h"
#include "tools/kubesim/schema/authentication.pb-c.h"
#include "tools/kubesim/schema/authorization.pb-c.h"
#include "tools/kubesim/schema/coordination.pb-c.h"
#include "tools/kubesim/schema/core.pb-c.h"
#include "tools/kubesim/schema/coscheduling.pb-c.h"
#include "tools/kubesim/schema/events.pb-c.h"
#include "tools/kubesim/schema/gang.pb-c.h"
#include "tools/kubesim/schema/pod.pb-c.h"
#include "tools/kubesim/schema/policy.pb-c.h"
#include "tools/kubesim/schema/scheduling.pb-c.h"
#include "tools/kubesim/schema/volcano.pb-c.h"

/* Descriptor pairs met so far. */
struct walk {
    struct {
        const ProtobufCMessageDescriptor *trimmed, *full;
    } seen[256];
    size_t count;
    size_t fields;
    char problem[256]; /* the first difference; empty: none */
};

static bool meet(struct walk *walk, const ProtobufCMessageDescriptor *trimmed,
                 const ProtobufCMessageDescriptor *full)
{
    for (size_t i = 0; i < walk->count; i++)
        if (walk->seen[i].trimmed == trimmed && walk->seen[i].full == full)
            return false;
    assert_true(walk->count < sizeof walk->seen / sizeof walk->seen[0]);
    walk->seen[walk->count].trimmed = trimmed;
    walk->seen[walk->count++].full = full;
    return true;
}

/* Breadth first over a growing list: messages may refer to themselves. */
static void compare(struct walk *walk, const ProtobufCMessageDescriptor *trimmed,
                    const ProtobufCMessageDescriptor *full)
{
    size_t at = walk->count;
    (void)meet(walk, trimmed, full);
    for (; at < walk->count; at++) {
        trimmed = walk->seen[at].trimmed;
        full = walk->seen[at].full;
        for (unsigned i = 0; i < trimmed->n_fields; i++) {
            const ProtobufCFieldDescriptor *field = &trimmed->fields[i];
            const ProtobufCFieldDescriptor *twin =
                protobuf_c_message_descriptor_get_field_by_name(full, field->name);
            walk->fields++;
            if (twin == NULL || twin->id != field->id || twin->type != field->type ||
                twin->label != field->label) {
                (void)snprintf(walk->problem, sizeof walk->problem, "%s.%s", trimmed->name,
                               field->name);
                return;
            }
            if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                (void)meet(walk, field->descriptor, twin->descriptor);
        }
    }
}

static void test_schema__trimmed_messages__are_part_of_the_full_ones(void **state)
{
    static const struct {
        const ProtobufCMessageDescriptor *trimmed, *full;
    } pairs[] = {
        {&kube__pod_list__descriptor, &kubeapi__pod_list__descriptor},
        {&kube__node_list__descriptor, &kubeapi__node_list__descriptor},
        {&kube__namespace_list__descriptor, &kubeapi__namespace_list__descriptor},
        {&kube__binding__descriptor, &kubeapi__binding__descriptor},
        {&kube__priority_class_list__descriptor, &kubeapi__priority_class_list__descriptor},
        {&kube__event_list__descriptor, &kubeapi__events__event_list__descriptor},
        {&kube__status__descriptor, &kubeapi__status__descriptor},
        {&kube__delete_options__descriptor, &kubeapi__delete_options__descriptor},
        {&kube__watch_event__descriptor, &kubeapi__watch_event__descriptor},
    };
    struct walk walk = {.count = 0};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        compare(&walk, pairs[i].trimmed, pairs[i].full);
        assert_string_equal(walk.problem, "");
    }
    assert_true(walk.fields > 250); /* it did look at them */
    (void)state;
}

static void test_schema__different_messages__difference_named(void **state)
{
    struct walk walk = {.count = 0};
    compare(&walk, &kube__event__descriptor, &kubeapi__event__descriptor);
    assert_string_equal(walk.problem, "kube.Event.eventTime"); /* core/v1 numbers it otherwise */
    (void)state;
}

/* The rules reach the metadata of every kind through the trimmed message, also where the kind's own
 * message is the full one: the parts that both have lie at the same place in memory. */
static void test_schema__object_meta__one_layout(void **state)
{
    const ProtobufCMessageDescriptor *trimmed = &kube__object_meta__descriptor;
    for (unsigned i = 0; i < trimmed->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &trimmed->fields[i];
        const ProtobufCFieldDescriptor *twin = protobuf_c_message_descriptor_get_field_by_name(
            &kubeapi__object_meta__descriptor, field->name);
        assert_non_null(twin);
        assert_int_equal(twin->offset, field->offset);
        assert_int_equal(twin->quantifier_offset, field->quantifier_offset);
    }
    static const struct {
        const ProtobufCMessageDescriptor *trimmed, *full;
    } parts[] = {
        {&kube__time__descriptor, &kubeapi__time__descriptor},
        {&kube__string_entry__descriptor, &kubeapi__string_entry__descriptor},
        {&kube__owner_reference__descriptor, &kubeapi__owner_reference__descriptor},
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_int_equal(parts[i].trimmed->sizeof_message, parts[i].full->sizeof_message);
        assert_int_equal(parts[i].trimmed->n_fields, parts[i].full->n_fields);
        for (unsigned f = 0; f < parts[i].full->n_fields; f++)
            assert_int_equal(parts[i].trimmed->fields[f].offset, parts[i].full->fields[f].offset);
    }
    (void)state;
}

/* Every kind's object has metadata as field 1, lists have metadata and items. */
static void test_schema__kinds__metadata_first(void **state)
{
    static const ProtobufCMessageDescriptor *const kinds[] = {
        &kubeapi__pod__descriptor,
        &kubeapi__node__descriptor,
        &kubeapi__namespace__descriptor,
        &kubeapi__config_map__descriptor,
        &kubeapi__service_account__descriptor,
        &kubeapi__event__descriptor,
        &kubeapi__events__event__descriptor,
        &kubeapi__binding__descriptor,
        &kubeapi__pod_disruption_budget__descriptor,
        &kubeapi__eviction__descriptor,
        &kubeapi__lease__descriptor,
        &kubeapi__priority_class__descriptor,
        &kubeapi__gang__workload__descriptor,
        &kubeapi__gang__pod_group__descriptor,
        &kubeapi__gang__composite_pod_group__descriptor,
        &kubeapi__token_request__descriptor,
        &kubeapi__token_review__descriptor,
        &kubeapi__self_subject_review__descriptor,
        &kubeapi__subject_access_review__descriptor,
        &kubeapi__self_subject_access_review__descriptor,
        &kubeapi__local_subject_access_review__descriptor,
        &kubeapi__self_subject_rules_review__descriptor,
        &kubeapi__coscheduling__pod_group__descriptor,
        &kubeapi__volcano__pod_group__descriptor,
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const ProtobufCFieldDescriptor *meta = protobuf_c_message_descriptor_get_field(kinds[i], 1);
        assert_non_null(meta);
        assert_string_equal(meta->name, "metadata");
        assert_ptr_equal(meta->descriptor, &kubeapi__object_meta__descriptor);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema__trimmed_messages__are_part_of_the_full_ones),
        cmocka_unit_test(test_schema__different_messages__difference_named),
        cmocka_unit_test(test_schema__object_meta__one_layout),
        cmocka_unit_test(test_schema__kinds__metadata_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
