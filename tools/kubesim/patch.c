/* Merge patches (RFC 7386) and JSON patches (RFC 6902). */
#include "tools/kubesim/patch.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tools/kubesim/limits.h"

static int out_of_memory(struct mu_error *error)
{
    return mu_error_set(error, MU_ENOMEM, "%s", mu_error_text(MU_ENOMEM));
}

/* jansson's iterators and references are not const. */
static json_t *unconst(const json_t *json)
{
    return (json_t *)(uintptr_t)json;
}

/* ---- RFC 7386 ----------------------------------------------------------------------------- */

static int merge_into(json_t *target, const json_t *patch);

/* The value that a member gets: the patch's own where it is no object, else what merging it into
 * `old` (NULL: nothing) gives. A new reference; NULL when out of memory. */
static json_t *merged_member(json_t *old, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_incref(unconst(patch));
    json_t *object = json_is_object(old) ? json_incref(old) : json_object();
    if (object != NULL && merge_into(object, patch) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int merge_into(json_t *target, const json_t *patch)
{
    json_t *from = unconst(patch);
    for (void *it = json_object_iter(from); it != NULL; it = json_object_iter_next(from, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *value = json_object_iter_value(it);
        if (json_is_null(value)) {
            (void)json_object_del(target, key); /* it may not be there */
            continue;
        }
        json_t *member = merged_member(json_object_get(target, key), value);
        if (member == NULL || json_object_set_new(target, key, member) != 0)
            return MU_ENOMEM;
    }
    return 0;
}

int mu_patch_merge(json_t **target, const json_t *patch, struct mu_error *error)
{
    json_t *result = merged_member(*target, patch);
    if (result == NULL)
        return out_of_memory(error);
    json_decref(*target);
    *target = result;
    return 0;
}

/* ---- JSON pointers (RFC 6901) ------------------------------------------------------------- */

struct pointer {
    char *text; /* segments behind each other, unescaped, each ended by NUL; owned */
    uint32_t count;
};

static void pointer_fini(struct pointer *pointer)
{
    mu_mem_free(pointer->text);
    *pointer = (struct pointer){NULL, 0};
}

/* Split and unescape. Errors: MU_EINVAL, MU_ELIMIT, MU_ENOMEM. */
static int pointer_parse(const json_t *json, struct pointer *out, struct mu_error *error)
{
    const char *text = json_string_value(json);
    size_t len = json_string_length(json);
    if (text == NULL || (len > 0 && text[0] != '/') || strlen(text) != len)
        return mu_error_set(error, MU_EINVAL, "expected a JSON pointer: '' or '/name/...'");
    char *copy = mu_mem_alloc(len + 1);
    if (copy == NULL)
        return out_of_memory(error);
    uint32_t count = 0;
    size_t to = 0;
    bool sound = true;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '/' && count++ > 0)
            copy[to++] = '\0';
        if (c == '~' && i + 1 < len && (text[i + 1] == '0' || text[i + 1] == '1'))
            copy[to++] = text[++i] == '0' ? '~' : '/';
        else if (c == '~')
            sound = false;
        else if (c != '/')
            copy[to++] = c;
    }
    copy[to] = '\0';
    *out = (struct pointer){copy, count};
    if (sound && count <= MU_KUBESIM_PATCH_DEPTH)
        return 0;
    pointer_fini(out);
    return sound ? mu_error_set(error, MU_ELIMIT, "a pointer has more than %u parts",
                                MU_KUBESIM_PATCH_DEPTH)
                 : mu_error_set(error, MU_EINVAL, "expected '~0' or '~1' after '~' in a pointer");
}

/* An array index: digits without leading zeros, below `limit`. False: it is none. */
static bool parse_index(const char *text, size_t limit, size_t *out)
{
    size_t value = 0;
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0') || strlen(text) > 9)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (size_t)(*text - '0');
    }
    *out = value;
    return value < limit;
}

static json_t *child(json_t *parent, const char *segment)
{
    size_t index;
    if (json_is_array(parent))
        return parse_index(segment, json_array_size(parent), &index) ? json_array_get(parent, index)
                                                                     : NULL;
    return json_object_get(parent, segment); /* NULL when it is no object */
}

static const char *next_segment(const char *segment)
{
    return segment + strlen(segment) + 1;
}

/* The value at the pointer, or NULL. */
static json_t *resolve(json_t *root, const struct pointer *pointer)
{
    const char *segment = pointer->text;
    for (uint32_t i = 0; i < pointer->count && root != NULL; i++, segment = next_segment(segment))
        root = child(root, segment);
    return root;
}

/* The container of the pointer's last segment (count > 0), or NULL. */
static json_t *resolve_parent(json_t *root, const struct pointer *pointer, const char **last)
{
    const char *segment = pointer->text;
    for (uint32_t i = 0; i + 1 < pointer->count && root != NULL; i++) {
        root = child(root, segment);
        segment = next_segment(segment);
    }
    *last = segment;
    return root;
}

/* ---- RFC 6902 ----------------------------------------------------------------------------- */

/* *visited grows by the number of values. */
static uint32_t depth_of(const json_t *value, uint64_t *visited)
{
    uint32_t depth = 0;
    json_t *json = unconst(value);
    (*visited)++;
    for (void *it = json_object_iter(json); it != NULL; it = json_object_iter_next(json, it)) {
        uint32_t inner = depth_of(json_object_iter_value(it), visited);
        depth = inner > depth ? inner : depth;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        uint32_t inner = depth_of(json_array_get(json, i), visited);
        depth = inner > depth ? inner : depth;
    }
    return depth + (json_is_object(value) || json_is_array(value));
}

uint32_t mu_patch_depth(const json_t *value)
{
    uint64_t visited = 0;
    return depth_of(value, &visited);
}

struct job {
    json_t *root;     /* owned */
    size_t copied;    /* bytes of text that copies made so far */
    uint64_t visited; /* values that were walked over or shifted so far */
    struct mu_error *error;
};

static int does_not_apply(const struct job *job, const char *why)
{
    return mu_error_set(job->error, MU_EINVAL, "%s", why);
}

/* A few bytes can move a large value or shift a long array again and again: that is counted. */
static int check_visited(const struct job *job)
{
    return job->visited <= MU_KUBESIM_PATCH_VISITED
               ? 0
               : mu_error_set(job->error, MU_ELIMIT, "the operations touch more than %u values",
                              MU_KUBESIM_PATCH_VISITED);
}

/* Put a value (a reference that is taken, also on an error) at the pointer. */
static int job_add(struct job *job, const struct pointer *at, json_t *value)
{
    const char *last;
    json_t *parent = at->count == 0 ? NULL : resolve_parent(job->root, at, &last);
    size_t index = 0;
    if (value == NULL)
        return out_of_memory(job->error);
    uint32_t depth = depth_of(value, &job->visited);
    int status = check_visited(job);
    if (status != 0) {
        json_decref(value);
        return status;
    }
    if (at->count + depth > MU_KUBESIM_PATCH_DEPTH) {
        status = mu_error_set(job->error, MU_ELIMIT, "the result is nested deeper than %u",
                              MU_KUBESIM_PATCH_DEPTH);
    } else if (at->count == 0) {
        json_decref(job->root);
        job->root = json_incref(value);
    } else if (json_is_object(parent)) {
        if (json_object_set(parent, last, value) != 0)
            status = out_of_memory(job->error);
    } else if (!json_is_array(parent)) {
        status = does_not_apply(job, "add: its parent does not exist");
    } else if (strcmp(last, "-") != 0 && !parse_index(last, json_array_size(parent) + 1, &index)) {
        status = does_not_apply(job, "add: expected an index of the array, or '-'");
    } else {
        index = strcmp(last, "-") == 0 ? json_array_size(parent) : index;
        job->visited += json_array_size(parent) - index;
        if (json_array_insert(parent, index, value) != 0)
            status = out_of_memory(job->error);
    }
    json_decref(value);
    return status;
}

/* Take the value away; *out (may be NULL) gets a reference to it. */
static int job_remove(struct job *job, const struct pointer *at, json_t **out)
{
    const char *last;
    size_t index = 0;
    json_t *value = resolve(job->root, at);
    if (value == NULL)
        return does_not_apply(job, "the path does not exist");
    if (at->count == 0)
        return does_not_apply(job, "the whole object cannot be removed");
    json_t *parent = resolve_parent(job->root, at, &last);
    if (out != NULL)
        *out = json_incref(value);
    if (json_is_object(parent)) {
        (void)json_object_del(parent, last);
    } else {
        bool is_index = parse_index(last, json_array_size(parent), &index);
        MU_ASSERT(is_index); /* it has been resolved */
        job->visited += json_array_size(parent) - index;
        (void)json_array_remove(parent, index);
    }
    return out != NULL ? 0 : check_visited(job); /* what is moved is looked at when it is put */
}

static int job_replace(struct job *job, const struct pointer *at, const json_t *value)
{
    const char *last;
    size_t index = 0;
    if (resolve(job->root, at) == NULL)
        return does_not_apply(job, "replace: the path does not exist");
    json_t *parent = at->count == 0 ? NULL : resolve_parent(job->root, at, &last);
    if (!json_is_array(parent))
        return job_add(job, at, json_deep_copy(value)); /* which replaces a member, and the root */
    if (at->count + mu_patch_depth(value) > MU_KUBESIM_PATCH_DEPTH)
        return mu_error_set(job->error, MU_ELIMIT, "the result is nested deeper than %u",
                            MU_KUBESIM_PATCH_DEPTH);
    bool is_index = parse_index(last, json_array_size(parent), &index);
    MU_ASSERT(is_index); /* it has been resolved */
    return json_array_set_new(parent, index, json_deep_copy(value)) == 0
               ? 0
               : out_of_memory(job->error);
}

/* Copies may double what is there again and again: their text is counted. */
static int job_copy(struct job *job, const struct pointer *from, const struct pointer *to)
{
    json_t *value = resolve(job->root, from);
    if (value == NULL)
        return does_not_apply(job, "copy: 'from' does not exist");
    job->copied += json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (job->copied > MU_KUBESIM_PATCH_COPIED)
        return mu_error_set(job->error, MU_ELIMIT, "copies amount to more than %u bytes",
                            MU_KUBESIM_PATCH_COPIED);
    return job_add(job, to, json_deep_copy(value));
}

/* Whether `to` lies inside `from`. */
static bool is_inside(const struct pointer *from, const struct pointer *to)
{
    const char *a = from->text;
    const char *b = to->text;
    uint32_t i = 0;
    for (; i < from->count && i < to->count && strcmp(a, b) == 0; i++) {
        a = next_segment(a);
        b = next_segment(b);
    }
    return i == from->count && to->count > from->count;
}

static int job_move(struct job *job, const struct pointer *from, const struct pointer *to)
{
    json_t *value = NULL;
    if (is_inside(from, to))
        return does_not_apply(job, "move: 'path' lies inside 'from'");
    if (from->count == 0 && to->count == 0)
        return 0;
    int status = job_remove(job, from, &value);
    return status != 0 ? status : job_add(job, to, value);
}

/* Equal as the RFC says: numbers by value, however they are written. */
static bool same_value(const json_t *a, const json_t *b)
{
    json_t *x = unconst(a);
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b)) {
        double real = json_is_real(a) ? json_real_value(a) : json_real_value(b);
        json_int_t whole = json_is_integer(a) ? json_integer_value(a) : json_integer_value(b);
        return real >= -9e18 && real <= 9e18 && (json_int_t)real == whole &&
               !(real > (double)whole) && !(real < (double)whole);
    }
    if (json_is_object(a) && json_object_size(a) == json_object_size(b)) {
        for (void *it = json_object_iter(x); it != NULL; it = json_object_iter_next(x, it)) {
            const json_t *other = json_object_get(b, json_object_iter_key(it));
            if (other == NULL || !same_value(json_object_iter_value(it), other))
                return false;
        }
        return true;
    }
    if (json_is_array(a) && json_is_array(b) && json_array_size(a) == json_array_size(b)) {
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!same_value(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    return json_equal(a, b) != 0;
}

static int job_test(struct job *job, const struct pointer *at, const json_t *value)
{
    const json_t *found = resolve(job->root, at);
    if (found == NULL)
        return does_not_apply(job, "test: the path does not exist");
    return same_value(found, value) ? 0 : does_not_apply(job, "test: the value is another one");
}

static int job_run(struct job *job, const json_t *operation)
{
    enum needs { VALUE = 1, FROM = 2 };
    static const struct {
        const char *name;
        enum needs needs;
    } operations[] = {{"add", VALUE}, {"replace", VALUE}, {"test", VALUE},
                      {"remove", 0},  {"move", FROM},     {"copy", FROM}};
    enum { ADD, REPLACE, TEST, REMOVE, MOVE, COPY, COUNT };
    const char *name = json_string_value(json_object_get(operation, "op"));
    const json_t *value = json_object_get(operation, "value");
    int which = 0;
    while (which < COUNT && (name == NULL || strcmp(name, operations[which].name) != 0))
        which++;
    if (which == COUNT)
        return does_not_apply(job, "expected an 'op' of RFC 6902");
    if (operations[which].needs == VALUE && value == NULL)
        return does_not_apply(job, "expected a 'value'");
    struct pointer path = {NULL, 0};
    struct pointer from = {NULL, 0};
    int status = pointer_parse(json_object_get(operation, "path"), &path, job->error);
    if (status == 0 && operations[which].needs == FROM)
        status = pointer_parse(json_object_get(operation, "from"), &from, job->error);
    if (status == 0 && which == ADD)
        status = job_add(job, &path, json_deep_copy(value));
    else if (status == 0 && which == REPLACE)
        status = job_replace(job, &path, value);
    else if (status == 0 && which == TEST)
        status = job_test(job, &path, value);
    else if (status == 0 && which == REMOVE)
        status = job_remove(job, &path, NULL);
    else if (status == 0 && which == MOVE)
        status = job_move(job, &from, &path);
    else if (status == 0)
        status = job_copy(job, &from, &path);
    pointer_fini(&path);
    pointer_fini(&from);
    return status;
}

int mu_patch_json(json_t **target, const json_t *patch, struct mu_error *error)
{
    if (!json_is_array(patch))
        return mu_error_set(error, MU_EINVAL, "expected a list of operations");
    if (json_array_size(patch) > MU_KUBESIM_PATCH_OPS)
        return mu_error_set(error, MU_ELIMIT, "more than %u operations", MU_KUBESIM_PATCH_OPS);
    struct mu_error why = {0, ""};
    struct job job = {.root = json_incref(*target), .error = &why};
    int status = 0;
    for (size_t i = 0; i < json_array_size(patch) && status == 0; i++) {
        status = job_run(&job, json_array_get(patch, i));
        if (status != 0)
            (void)mu_error_set(error, status, "operation %zu: %s", i, why.text);
    }
    json_decref(*target);
    *target = job.root;
    return status;
}
