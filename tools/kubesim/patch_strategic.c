/*
 * Strategic merge patches: a merge patch in which lists merge by the rules of the API's types.
 *
 * An object is merged member by member; `type` follows along where the member is a message, and is
 * NULL inside maps and values without a type, where lists are replaced. Directives:
 *   $patch: replace | delete | merge   of an object, and as an element of a list
 *   $retainKeys: [...]                 members of the object that are not named go first
 *   $deleteFromPrimitiveList/f: [...]  values that leave the list f
 *   $setElementOrder/f: [...]          the order of f's elements afterwards
 *
 * Elements are found by the text of their key in an object that serves as hash table, so that two
 * long lists cost their lengths, not the product of them.
 */
#include "tools/kubesim/patch.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "informer/json_facts.h"

struct merge {
    struct mu_error *error;
};

static int merge_object(const struct merge *m, json_t *target, const json_t *patch,
                        const ProtobufCMessageDescriptor *type);

static int out_of_memory(const struct merge *m)
{
    return mu_error_set(m->error, MU_ENOMEM, "%s", mu_error_text(MU_ENOMEM));
}

static json_t *unconst(const json_t *json)
{
    return (json_t *)(uintptr_t)json;
}

/* ---- types -------------------------------------------------------------------------------- */

/* A member of an object of some type. */
struct member {
    const ProtobufCMessageDescriptor *type; /* of its value, or its elements; NULL: has none */
    struct mu_json_merge rule;
};

/* The field of that name in the message, or in one that JSON inlines into it. */
static struct member member_of(const ProtobufCMessageDescriptor *type, const char *name)
{
    struct member member = {NULL, {.merge = false}};
    if (type == NULL)
        return member;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, name);
    const ProtobufCMessageDescriptor *owner = type;
    for (unsigned i = 0; i < type->n_fields && field == NULL; i++) {
        if (mu_json_shape_of(&type->fields[i]) == MU_JSON_INLINE) {
            owner = type->fields[i].descriptor;
            field = protobuf_c_message_descriptor_get_field_by_name(owner, name);
        }
    }
    if (field == NULL)
        return member;
    member.rule = mu_json_merge_of(owner, name);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && mu_json_shape_of(field) == MU_JSON_OBJECT)
        member.type = field->descriptor;
    return member;
}

/* ---- hash tables of elements -------------------------------------------------------------- */

/* Where the element with this key value is in the table, or -1. MU_ENOMEM in *status. */
static json_int_t table_get(const json_t *table, const json_t *key, int *status)
{
    char *text = json_dumps(key, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    const json_t *place = text == NULL ? NULL : json_object_get(table, text);
    *status = text == NULL ? MU_ENOMEM : 0;
    mu_mem_free(text);
    return place == NULL ? -1 : json_integer_value(place);
}

static int table_set(json_t *table, const json_t *key, size_t place)
{
    char *text = json_dumps(key, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    int failed = text == NULL || json_object_set_new(table, text, json_integer((json_int_t)place));
    mu_mem_free(text);
    return failed ? MU_ENOMEM : 0;
}

/* An element's key: the member `key` of an object, or (NULL) the value itself. */
static const json_t *key_of(const json_t *element, const char *key)
{
    return key == NULL ? element : json_object_get(element, key);
}

/* A table of a list's elements; of equal ones the first. NULL when out of memory. */
static json_t *table_of(const json_t *list, const char *key)
{
    json_t *table = json_object();
    for (size_t i = json_array_size(list); i-- > 0 && table != NULL;) {
        const json_t *value = key_of(json_array_get(list, i), key);
        if (value != NULL && table_set(table, value, i) != 0) {
            json_decref(table);
            table = NULL;
        }
    }
    return table;
}

/* ---- directives --------------------------------------------------------------------------- */

static const char *directive_of(const json_t *patch)
{
    return json_string_value(json_object_get(patch, "$patch"));
}

static bool says(const json_t *patch, const char *directive)
{
    const char *text = directive_of(patch);
    return text != NULL && strcmp(text, directive) == 0;
}

static int check_directive(const struct merge *m, const json_t *patch)
{
    const json_t *value = json_object_get(patch, "$patch");
    if (value == NULL || says(patch, "merge") || says(patch, "replace") || says(patch, "delete"))
        return 0;
    return mu_error_set(m->error, MU_EINVAL, "$patch: expected merge, replace or delete");
}

/* Drop the members that are not in the list. */
static int retain_keys(const struct merge *m, json_t *target, const json_t *keys)
{
    if (!json_is_array(keys))
        return mu_error_set(m->error, MU_EINVAL, "$retainKeys: expected a list of names");
    json_t *table = table_of(keys, NULL);
    int status = table == NULL ? MU_ENOMEM : 0;
    void *it = json_object_iter(target);
    while (it != NULL && status == 0) {
        const char *name = json_object_iter_key(it);
        json_t *text = json_string(name);
        it = json_object_iter_next(target, it); /* before the member goes */
        if (text == NULL)
            status = MU_ENOMEM;
        else if (table_get(table, text, &status) < 0 && status == 0)
            (void)json_object_del(target, name);
        json_decref(text);
    }
    json_decref(table);
    return status == 0 ? 0 : out_of_memory(m);
}

/* Drop the values of `values` from a list of primitives. */
static int delete_values(const struct merge *m, json_t *list, const json_t *values)
{
    if (!json_is_array(values))
        return mu_error_set(m->error, MU_EINVAL, "$deleteFromPrimitiveList: expected a list");
    json_t *table = table_of(values, NULL);
    json_t *kept = json_array();
    int status = table == NULL || kept == NULL ? MU_ENOMEM : 0;
    for (size_t i = 0; i < json_array_size(list) && status == 0; i++) {
        json_t *value = json_array_get(list, i);
        if (table_get(table, value, &status) < 0 && status == 0 &&
            json_array_append(kept, value) != 0)
            status = MU_ENOMEM;
    }
    if (status == 0 && (json_array_clear(list) != 0 || json_array_extend(list, kept) != 0))
        status = MU_ENOMEM;
    json_decref(table);
    json_decref(kept);
    return status == 0 ? 0 : out_of_memory(m);
}

/* ---- order -------------------------------------------------------------------------------- */

/* What deciding the order needs. */
struct order {
    const char *key;
    json_t *live;          /* table: place in the list as it was */
    json_t *wanted;        /* table: place in $setElementOrder */
    size_t wanted_count;   /* places there */
    json_t **slots;        /* by place: the element, borrowed, or NULL */
    json_t *named_by_none; /* the other elements, as they come */
};

static void order_fini(struct order *order)
{
    json_decref(order->live);
    json_decref(order->wanted);
    json_decref(order->named_by_none);
    mu_mem_free(order->slots);
}

/* Take note of the list as it is before the patch. */
static int order_init(struct order *order, const json_t *live, const json_t *directive,
                      const char *key)
{
    *order = (struct order){.key = key,
                            .live = table_of(live, key),
                            .wanted = table_of(directive, key),
                            .wanted_count = json_array_size(directive),
                            .slots = NULL,
                            .named_by_none = json_array()};
    order->slots = mu_mem_calloc(order->wanted_count + 1, sizeof(json_t *));
    bool made = order->live != NULL && order->wanted != NULL && order->slots != NULL &&
                order->named_by_none != NULL;
    return made ? 0 : MU_ENOMEM;
}

/* The elements of a patch are in the directive's order, or the patch contradicts itself. */
static int order_check(const struct merge *m, const struct order *order, const json_t *patch)
{
    json_int_t last = -1;
    for (size_t i = 0; i < json_array_size(patch); i++) {
        const json_t *element = json_array_get(patch, i);
        const json_t *key = key_of(element, order->key);
        int status = 0;
        json_int_t place = key == NULL ? -1 : table_get(order->wanted, key, &status);
        if (status != 0)
            return out_of_memory(m);
        if (directive_of(element) != NULL)
            continue;
        if (place < last || place < 0)
            return mu_error_set(m->error, MU_EINVAL,
                                "the order in the patch's list is not that of $setElementOrder");
        last = place;
    }
    return 0;
}

/* Whether the first of two elements stood before the second in the list as it was. */
static bool was_before(const struct order *order, const json_t *a, const json_t *b, int *status)
{
    const json_t *key = key_of(a, order->key);
    json_int_t x = key == NULL ? -1 : table_get(order->live, key, status);
    if (*status != 0 || x < 0)
        return false;
    return x < table_get(order->live, key_of(b, order->key), status);
}

static int order_sort_in(struct order *order, const json_t *list)
{
    int status = 0;
    for (size_t i = 0; i < json_array_size(list) && status == 0; i++) {
        json_t *element = json_array_get(list, i);
        const json_t *key = key_of(element, order->key);
        json_int_t place = key == NULL ? -1 : table_get(order->wanted, key, &status);
        if (status == 0 && place >= 0 && order->slots[place] == NULL)
            order->slots[place] = element;
        else if (status == 0)
            status = json_array_append(order->named_by_none, element) == 0 ? 0 : MU_ENOMEM;
    }
    return status;
}

/* The list in its new order: the elements that the directive names in its order, each of the others
 * before the first named one that it stood before. A new reference, NULL when out of memory. */
static json_t *order_apply(struct order *order, const json_t *list)
{
    json_t *out = json_array();
    const json_t *others = order->named_by_none;
    int status = out == NULL ? MU_ENOMEM : order_sort_in(order, list);
    size_t left = 0;
    for (size_t place = 0; place < order->wanted_count && status == 0; place++) {
        json_t *named = order->slots[place];
        while (named != NULL && left < json_array_size(others) &&
               was_before(order, json_array_get(others, left), named, &status) && status == 0)
            status = json_array_append(out, json_array_get(others, left++)) == 0 ? 0 : MU_ENOMEM;
        if (named != NULL && status == 0)
            status = json_array_append(out, named) == 0 ? 0 : MU_ENOMEM;
    }
    for (; left < json_array_size(others) && status == 0; left++)
        status = json_array_append(out, json_array_get(others, left)) == 0 ? 0 : MU_ENOMEM;
    if (status == 0)
        return out;
    json_decref(out);
    return NULL;
}

/* ---- lists -------------------------------------------------------------------------------- */

/* Merge one element into the list, whose table is kept true. */
static int merge_element(const struct merge *m, json_t *list, json_t *table, json_t *element,
                         const struct member *member)
{
    const char *name = member->rule.key;
    const json_t *key = key_of(element, name);
    int status = name == NULL ? 0 : check_directive(m, element);
    if (status != 0 || (name != NULL && says(element, "replace")))
        return status; /* said of the whole list, and done */
    if (key == NULL || (name == NULL && (json_is_object(key) || json_is_array(key))))
        return mu_error_set(m->error, MU_EINVAL, "an element of a list has no merge key '%s'",
                            name == NULL ? "" : name);
    json_int_t place = table_get(table, key, &status);
    if (status != 0)
        return out_of_memory(m);
    bool found = place >= 0 && !json_is_null(json_array_get(list, (size_t)place));
    if (name != NULL && says(element, "delete")) /* the place stays empty until the end */
        return !found || json_array_set_new(list, (size_t)place, json_null()) == 0
                   ? 0
                   : out_of_memory(m);
    if (found && name == NULL)
        return 0;
    if (found)
        return merge_object(m, json_array_get(list, (size_t)place), element, member->type);
    json_t *fresh = name == NULL ? json_incref(element) : json_object();
    if (fresh == NULL || table_set(table, key, json_array_size(list)) != 0 ||
        json_array_append(list, fresh) != 0)
        status = out_of_memory(m);
    if (status == 0 && name != NULL)
        status = merge_object(m, fresh, element, member->type);
    json_decref(fresh);
    return status;
}

/* A null in a list that merges is the place of a deleted element. */
static int drop_empty_places(const struct merge *m, json_t *list)
{
    json_t *kept = json_array();
    int failed = kept == NULL;
    for (size_t i = 0; i < json_array_size(list) && !failed; i++)
        if (!json_is_null(json_array_get(list, i)))
            failed = json_array_append(kept, json_array_get(list, i));
    failed = failed || json_array_clear(list) || json_array_extend(list, kept);
    json_decref(kept);
    return failed ? out_of_memory(m) : 0;
}

static int merge_elements(const struct merge *m, json_t *list, const json_t *patch,
                          const struct member *member)
{
    for (size_t i = 0; i < json_array_size(patch); i++)
        if (member->rule.key != NULL && says(json_array_get(patch, i), "replace"))
            (void)json_array_clear(list);
    json_t *table = table_of(list, member->rule.key);
    int status = table == NULL ? out_of_memory(m) : 0;
    for (size_t i = 0; i < json_array_size(patch) && status == 0; i++)
        status = merge_element(m, list, table, json_array_get(patch, i), member);
    json_decref(table);
    return status == 0 ? drop_empty_places(m, list) : status;
}

/* Lay a list over the member `name`, and put it in order. `patch` NULL: only order what is
 * there. */
static int merge_list(const struct merge *m, json_t *target, const char *name, const json_t *patch,
                      const json_t *directive, const struct member *member)
{
    json_t *old = json_object_get(target, name);
    if (directive != NULL && !json_is_array(directive))
        return mu_error_set(m->error, MU_EINVAL, "$setElementOrder/%s: expected a list", name);
    if (!member->rule.merge && patch != NULL)
        return json_object_set(target, name, unconst(patch)) == 0 ? 0 : out_of_memory(m);
    if (!member->rule.merge || (patch == NULL && !json_is_array(old)))
        return 0; /* nothing to put in order */
    json_t *list = json_is_array(old) ? json_incref(old) : json_array();
    struct order order = {.key = NULL};
    int status = list == NULL ? out_of_memory(m) : 0;
    if (status == 0 && directive != NULL)
        status = order_init(&order, list, directive, member->rule.key) == 0
                     ? order_check(m, &order, patch)
                     : out_of_memory(m);
    if (status == 0 && patch != NULL)
        status = merge_elements(m, list, patch, member);
    if (status == 0 && directive != NULL) {
        json_t *sorted = order_apply(&order, list);
        json_decref(list);
        list = sorted;
        status = list == NULL ? out_of_memory(m) : 0;
    }
    order_fini(&order);
    if (status == 0 && json_object_set(target, name, list) != 0)
        status = out_of_memory(m);
    json_decref(list);
    return status;
}

/* ---- objects ------------------------------------------------------------------------------ */

static const char order_prefix[] = "$setElementOrder/";
static const char delete_prefix[] = "$deleteFromPrimitiveList/";

/* What stands behind the prefix, or NULL. */
static const char *after(const char *name, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(name, prefix, len) == 0 ? name + len : NULL;
}

/* "$setElementOrder/<name>" of the patch; *status tells of memory. */
static const json_t *order_of(const json_t *patch, const char *name, int *status)
{
    size_t size = sizeof order_prefix + strlen(name);
    char *text = mu_mem_alloc(size);
    const json_t *found = NULL;
    *status = text == NULL ? MU_ENOMEM : 0;
    if (text != NULL) {
        memcpy(text, order_prefix, sizeof order_prefix);
        memcpy(text + sizeof order_prefix - 1, name, strlen(name) + 1);
        found = json_object_get(patch, text);
    }
    mu_mem_free(text);
    return found;
}

static int merge_value(const struct merge *m, json_t *target, const char *name, const json_t *patch,
                       const json_t *value, const ProtobufCMessageDescriptor *type)
{
    struct member member = member_of(type, name);
    json_t *old = json_object_get(target, name);
    int status = 0;
    if (json_is_null(value)) {
        (void)json_object_del(target, name); /* it may not be there */
        return 0;
    }
    if (json_is_array(value)) {
        const json_t *directive = order_of(patch, name, &status);
        return status != 0 ? out_of_memory(m)
                           : merge_list(m, target, name, value, directive, &member);
    }
    if (!json_is_object(value) || member.rule.whole_replace)
        return json_object_set(target, name, unconst(value)) == 0 ? 0 : out_of_memory(m);
    json_t *object = json_is_object(old) ? json_incref(old) : json_object();
    if (object == NULL || json_object_set(target, name, object) != 0)
        status = out_of_memory(m);
    if (status == 0)
        status = merge_object(m, object, value, member.type);
    json_decref(object);
    return status;
}

/* One member of the patch: a directive about lists, or a value. */
static int merge_member(const struct merge *m, json_t *target, const char *name,
                        const json_t *patch, const json_t *value,
                        const ProtobufCMessageDescriptor *type)
{
    const char *ordered = after(name, order_prefix);
    if (ordered != NULL && json_is_array(json_object_get(patch, ordered)))
        return 0; /* taken care of with the list */
    if (ordered != NULL) {
        struct member member = member_of(type, ordered);
        return merge_list(m, target, ordered, NULL, value, &member);
    }
    if (strcmp(name, "$patch") == 0 || strcmp(name, "$retainKeys") == 0 ||
        after(name, delete_prefix) != NULL)
        return 0; /* obeyed before */
    return merge_value(m, target, name, patch, value, type);
}

static int merge_object(const struct merge *m, json_t *target, const json_t *patch,
                        const ProtobufCMessageDescriptor *type)
{
    if (!json_is_object(patch) || !json_is_object(target))
        return mu_error_set(m->error, MU_EINVAL, "expected an object where objects are merged");
    int status = check_directive(m, patch);
    if (status != 0)
        return status;
    if (says(patch, "delete") || says(patch, "replace"))
        (void)json_object_clear(target);
    if (says(patch, "delete"))
        return 0;
    const json_t *keys = json_object_get(patch, "$retainKeys");
    if (keys != NULL)
        status = retain_keys(m, target, keys);
    json_t *from = unconst(patch);
    for (void *it = json_object_iter(from); it != NULL && status == 0;
         it = json_object_iter_next(from, it)) {
        const char *name = after(json_object_iter_key(it), delete_prefix);
        json_t *list = name == NULL ? NULL : json_object_get(target, name);
        if (json_is_array(list))
            status = delete_values(m, list, json_object_iter_value(it));
    }
    for (void *it = json_object_iter(from); it != NULL && status == 0;
         it = json_object_iter_next(from, it))
        status = merge_member(m, target, json_object_iter_key(it), patch,
                              json_object_iter_value(it), type);
    return status;
}

int mu_patch_strategic(json_t **target, const json_t *patch, const ProtobufCMessageDescriptor *type,
                       struct mu_error *error)
{
    struct merge merge = {error};
    return merge_object(&merge, *target, patch, type);
}
