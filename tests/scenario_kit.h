#ifndef MU_TESTS_SCENARIO_KIT_H
#define MU_TESTS_SCENARIO_KIT_H
/*
 * The reference scenarios (tests/data/scenarios/) end to end, over whatever carries requests: who
 * runs first, who comes then, and what is to be true in the end.
 *
 * A manifest's pods with a node are those that run already: they are created without it, so that
 * the scheduler has placed them itself before the others come. Victims are bare pods, so they are
 * gone when they were evicted; they are created once more then, as a controller would, and wait.
 */
#include "tests/mu_test.h"

#include <jansson.h>
#include "engine/base/mem.h"
#include "informer/yaml_json.h"

struct scenario {
    const char *name;
    size_t high, low;             /* that run in the end */
    size_t high_waits, low_waits; /* that wait, those who came back not counted */
    size_t evicted;
};
static const struct scenario scenarios[] = {
    {"1", 2, 1, 0, 2, 0}, {"2", 2, 1, 0, 0, 2}, {"3", 2, 1, 0, 0, 2}, {"4", 0, 3, 4, 0, 0},
    {"5", 1, 0, 0, 0, 3}, {"6", 2, 0, 0, 0, 2}, {"7", 1, 2, 0, 0, 0},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0], SCENARIO_BYTES = 1 << 14 };

/* The objects of a scenario. Owns: caller, json_decref. */
static inline json_t *scenario_read(const char *name)
{
    char path[4096], text[SCENARIO_BYTES];
    struct mu_error error = {0, ""};
    json_t *documents;
    (void)snprintf(path, sizeof path, MU_SOURCE_DIR "/tests/data/scenarios/%s.yaml", name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    assert_true(len > 0 && len < sizeof text);
    assert_int_equal(
        mu_yaml_read((struct mu_str){text, (uint32_t)len}, name, &documents, NULL, &error), 0);
    json_t *items = json_incref(json_object_get(json_array_get(documents, 0), "items"));
    json_decref(documents);
    assert_true(json_array_size(items) > 6);
    return items;
}

/* Which of a scenario's objects. */
enum scenario_part { SCENARIO_CLUSTER, SCENARIO_FIRST, SCENARIO_THEN };

static inline const char *scenario_text(const json_t *object, const char *in, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, in), key));
    return text != NULL ? text : "";
}

static inline enum scenario_part scenario_part_of(const json_t *object)
{
    if (strcmp(json_string_value(json_object_get(object, "kind")), "Pod") != 0)
        return SCENARIO_CLUSTER;
    return scenario_text(object, "spec", "nodeName")[0] != '\0' ? SCENARIO_FIRST : SCENARIO_THEN;
}

/* Create an object through `post`, which takes a path and a body. */
typedef void (*scenario_post_fn)(void *context, const char *path, const char *body);
static inline void scenario_create(const json_t *object, scenario_post_fn post, void *context)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *path = strcmp(kind, "Pod") == 0    ? "/api/v1/namespaces/default/pods"
                       : strcmp(kind, "Node") == 0 ? "/api/v1/nodes"
                                                   : "/apis/scheduling.k8s.io/v1/priorityclasses";
    json_t *copy = json_deep_copy(object);
    if (strcmp(kind, "Pod") == 0) {
        json_t *spec = json_object_get(copy, "spec");
        (void)json_object_del(spec, "nodeName");
        assert_int_equal(
            json_object_set_new(spec, "terminationGracePeriodSeconds", json_integer(1)), 0);
    }
    char *body = json_dumps(copy, JSON_COMPACT);
    assert_non_null(body);
    post(context, path, body);
    mu_mem_free(body);
    json_decref(copy);
}

static inline uint32_t scenario_create_part(const json_t *items, enum scenario_part part,
                                            scenario_post_fn post, void *context)
{
    uint32_t count = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (scenario_part_of(json_array_get(items, i)) != part)
            continue;
        scenario_create(json_array_get(items, i), post, context);
        count++;
    }
    return count;
}

/* What a list of pods shows. */
struct scenario_view {
    size_t high, low, high_waits, low_waits; /* terminating ones in none of these */
    size_t terminating;
};
/* Each node has room for one such pod: two on one are a mistake, leaving or not. */
static inline struct scenario_view scenario_look(const json_t *list)
{
    const json_t *pods = json_object_get(list, "items");
    struct scenario_view view = {0};
    assert_true(json_is_array(pods));
    for (size_t i = 0; i < json_array_size(pods); i++) {
        const json_t *pod = json_array_get(pods, i);
        const char *node = scenario_text(pod, "spec", "nodeName");
        bool high = strncmp(scenario_text(pod, "metadata", "name"), "high", 4) == 0;
        for (size_t j = 0; j < i && node[0] != '\0'; j++)
            assert_string_not_equal(scenario_text(json_array_get(pods, j), "spec", "nodeName"),
                                    node);
        if (scenario_text(pod, "metadata", "deletionTimestamp")[0] != '\0')
            view.terminating++;
        else if (node[0] == '\0')
            *(high ? &view.high_waits : &view.low_waits) += 1;
        else
            *(high ? &view.high : &view.low) += 1;
    }
    return view;
}

static inline bool scenario_is_over(const struct scenario *s, const struct scenario_view *view,
                                    size_t back)
{
    return view->terminating == 0 && view->high == s->high && view->low == s->low &&
           view->high_waits == s->high_waits && view->low_waits == s->low_waits + back;
}

/* Create once more what the list shows no longer. Returns how many. */
static inline size_t scenario_bring_back(const json_t *items, const json_t *list,
                                         scenario_post_fn post, void *context)
{
    const json_t *pods = json_object_get(list, "items");
    size_t back = 0;
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *object = json_array_get(items, i);
        bool there = scenario_part_of(object) == SCENARIO_CLUSTER;
        for (size_t p = 0; p < json_array_size(pods); p++)
            there = there || strcmp(scenario_text(json_array_get(pods, p), "metadata", "name"),
                                    scenario_text(object, "metadata", "name")) == 0;
        if (there)
            continue;
        scenario_create(object, post, context);
        back++;
    }
    return back;
}

#endif
