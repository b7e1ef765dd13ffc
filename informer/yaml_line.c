/*
 * Trees know no lines, so the text is walked once more, event by event, along the path: only when
 * there is something to say about a field.
 *
 * A path is what errors print, so keys stand in it as they are, dots included: at a mapping, a key
 * is on the way when the rest of the path starts with it and ends there or goes on with '.' or '['.
 * A key may also stand in brackets, as that of a label does.
 */
#include "informer/yaml_line.h"

#include <stdbool.h>
#include <stdio.h>
#include "engine/base/assert.h"
#include "informer/yaml_events.h"

#define DEPTH_MAX 64u

struct level {
    bool mapping;
    bool on_way; /* the path led here */
    bool key_next;
    uint32_t index;       /* sequence: of the next element */
    const char *rest;     /* of the path, behind this level */
    const char *rest_key; /* mapping: behind the key whose value comes next; NULL: not on the way */
};

struct search {
    const char *path;
    uint32_t line; /* of the deepest part found */
    bool done;
    uint32_t depth;
    struct level levels[DEPTH_MAX];
};

/* What is left of the path behind `key`; NULL: the path does not lead there. */
static const char *behind_key(const char *rest, const char *key, size_t len)
{
    const size_t bracket = rest[0] == '[';
    if (len == 0 || strncmp(rest + bracket, key, len) != 0)
        return NULL;
    rest += bracket + len;
    if (bracket != 0 && *rest++ != ']')
        return NULL;
    if (*rest == '.')
        return rest + 1;
    return *rest == '\0' || *rest == '[' ? rest : NULL;
}

static const char *behind_index(const char *rest, uint32_t index)
{
    char text[16];
    int len = snprintf(text, sizeof text, "[%u]", index);
    if (strncmp(rest, text, (size_t)len) != 0)
        return NULL;
    rest += len;
    return *rest == '.' ? rest + 1 : rest;
}

/* A scalar at the place of a key. */
static void on_key(struct search *s, struct level *level, struct fy_event *event)
{
    size_t len = 0;
    const char *text =
        event->scalar.value != NULL ? fy_token_get_text(event->scalar.value, &len) : NULL;
    level->key_next = false;
    level->rest_key = level->on_way && text != NULL ? behind_key(level->rest, text, len) : NULL;
    if (level->rest_key != NULL) {
        uint32_t column;
        mu_yaml_event_at(event, &s->line, &column);
        s->done = *level->rest_key == '\0';
    }
}

/* The rest of the path at the value that comes now; NULL: it is not on the way. */
static const char *value_rest(struct search *s, struct fy_event *event)
{
    if (s->depth == 0)
        return s->path;
    struct level *level = &s->levels[s->depth - 1];
    if (level->mapping) {
        level->key_next = true;
        return level->rest_key;
    }
    const char *rest = level->on_way ? behind_index(level->rest, level->index) : NULL;
    level->index++;
    if (rest != NULL) {
        uint32_t column;
        mu_yaml_event_at(event, &s->line, &column);
        s->done = *rest == '\0';
    }
    return rest;
}

static int on_event(void *context, struct fy_event *event)
{
    struct search *s = context;
    struct level *level = s->depth > 0 ? &s->levels[s->depth - 1] : NULL;
    bool opens = event->type == FYET_MAPPING_START || event->type == FYET_SEQUENCE_START;
    if (s->done)
        return MU_ECANCELED;
    if (event->type == FYET_MAPPING_END || event->type == FYET_SEQUENCE_END) {
        MU_ASSERT(level != NULL); /* the parser pairs them */
        bool was_on_way = level->on_way;
        s->depth--;
        return was_on_way ? MU_ECANCELED : 0; /* the way ends inside */
    }
    if (!opens && event->type != FYET_SCALAR)
        return 0;
    if (level != NULL && level->mapping && level->key_next) {
        if (event->type != FYET_SCALAR)
            return MU_ECANCELED;
        on_key(s, level, event);
        return 0;
    }
    const char *rest = value_rest(s, event);
    if (opens) {
        if (s->depth == DEPTH_MAX)
            return MU_ECANCELED;
        bool mapping = event->type == FYET_MAPPING_START;
        s->levels[s->depth++] = (struct level){
            .mapping = mapping, .key_next = mapping, .on_way = rest != NULL, .rest = rest};
    }
    return 0;
}

uint32_t mu_yaml_line(struct mu_str text, const char *path)
{
    struct search s = {.path = path, .line = 1};
    if (*path != '\0')
        (void)mu_yaml_events(text, "", on_event, &s, NULL);
    return s.line;
}
