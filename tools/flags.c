#include "tools/flags.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/str.h"

#define HELP_COLUMN 26 /* what flags mean, or farther right where one is longer */

/* The flag called by the first `len` bytes of `name`, or NULL. */
static const struct mu_flag *find(const struct mu_flag *flags, uint32_t count, const char *name,
                                  size_t len)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strlen(flags[i].name) == len && memcmp(flags[i].name, name, len) == 0) {
            return &flags[i];
        }
    }
    return NULL;
}

static int set_number(const struct mu_flag *flag, const char *value, bool store,
                      struct mu_error *error)
{
    uint64_t most = flag->kind == MU_FLAG_U32 ? UINT32_MAX : UINT64_MAX;
    uint64_t max = flag->max != 0 && flag->max < most ? flag->max : most;
    uint64_t number = 0;
    if (!mu_str_to_u64(mu_str_of(value), &number) || number < flag->min || number > max) {
        return mu_error_set(error, MU_EINVAL,
                            "--%s: '%.64s' is not a whole number between %llu and %llu", flag->name,
                            value, (unsigned long long)flag->min, (unsigned long long)max);
    }
    if (store && flag->kind == MU_FLAG_U32) {
        *(uint32_t *)flag->target = (uint32_t)number;
    } else if (store) {
        *(uint64_t *)flag->target = number;
    }
    return 0;
}

static int set_bool(const struct mu_flag *flag, const char *value, bool store,
                    struct mu_error *error)
{
    bool yes = value == NULL || strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0) {
        return mu_error_set(error, MU_EINVAL, "--%s: '%.64s' is neither true nor false", flag->name,
                            value);
    }
    if (store) {
        *(bool *)flag->target = yes;
    }
    return 0;
}

static int set_choice(const struct mu_flag *flag, const char *value, bool store,
                      struct mu_error *error)
{
    char list[128] = "";
    size_t used = 0;
    for (uint32_t i = 0; flag->choices[i] != NULL; i++) {
        if (strcmp(flag->choices[i], value) == 0) {
            if (store) {
                *(uint32_t *)flag->target = i;
            }
            return 0;
        }
        int n =
            snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", flag->choices[i]);
        used += n > 0 && (size_t)n < sizeof list - used ? (size_t)n : 0;
    }
    return mu_error_set(error, MU_EINVAL, "--%s: '%.64s' is not one of %s", flag->name, value,
                        list);
}

static int set_call(const struct mu_flag *flag, const char *value, bool store,
                    struct mu_error *error)
{
    struct mu_error why = {0, ""};
    int code = flag->parse(store ? flag->target : NULL, value, &why);
    if (code != 0) {
        return mu_error_set(error, MU_EINVAL, "--%s: %.200s", flag->name, why.text);
    }
    return 0;
}

/* Check the value, and store it when `store`. value is NULL only for a bare switch. */
static int set(const struct mu_flag *flag, const char *value, bool store, struct mu_error *error)
{
    if (flag->kind == MU_FLAG_BOOL) {
        return set_bool(flag, value, store, error);
    }
    MU_ASSERT(value != NULL);
    if (value[0] == '\0') {
        return mu_error_set(error, MU_EINVAL, "--%s: expects %s, got nothing", flag->name,
                            flag->value);
    }
    switch (flag->kind) {
    case MU_FLAG_U32:
    case MU_FLAG_U64:
        return set_number(flag, value, store, error);
    case MU_FLAG_CHOICE:
        return set_choice(flag, value, store, error);
    case MU_FLAG_CALL:
        return set_call(flag, value, store, error);
    default:
        MU_ASSERT(flag->kind == MU_FLAG_TEXT);
        if (store) {
            *(const char **)flag->target = value;
        }
        return 0;
    }
}

/* One pass over the line. The first pass only checks, the second stores: that is what makes a
 * failing parse leave no trace. */
static int pass(const struct mu_flag *flags, uint32_t count, int argc, char *const *argv,
                bool store, struct mu_error *error)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            return MU_FLAGS_HELP;
        }
        if (strncmp(word, "--", 2) != 0 || word[2] == '\0') {
            return mu_error_set(error, MU_EINVAL,
                                "unexpected argument '%.64s'; flags start with -- (see --help)",
                                word);
        }
        const char *name = word + 2;
        const char *equals = strchr(name, '=');
        size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
        const struct mu_flag *flag = find(flags, count, name, len);
        if (flag == NULL) {
            return mu_error_set(error, MU_EINVAL, "unknown flag --%.*s (see --help)",
                                (int)(len < 64 ? len : 64), name);
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && flag->kind != MU_FLAG_BOOL) {
            if (i + 1 >= argc) {
                return mu_error_set(error, MU_EINVAL, "--%s: expects %s, got nothing", flag->name,
                                    flag->value);
            }
            value = argv[++i];
        }
        int code = set(flag, value, store, error);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int mu_flags_parse(const struct mu_flag *flags, uint32_t count, int argc, char *const *argv,
                   struct mu_error *error)
{
    int code = pass(flags, count, argc, argv, false, error);
    return code == 0 ? pass(flags, count, argc, argv, true, error) : code;
}

/* "--name VALUE"; returns its length. */
static int left_of(const struct mu_flag *flag, char *text, size_t bytes)
{
    return snprintf(text, bytes, "--%s%s%s", flag->name, flag->value != NULL ? " " : "",
                    flag->value != NULL ? flag->value : "");
}

void mu_flags_help(FILE *out, const char *program, const char *summary, const struct mu_flag *flags,
                   uint32_t count)
{
    int width = HELP_COLUMN;
    for (uint32_t i = 0; i < count; i++) {
        int wide = left_of(&flags[i], NULL, 0);
        width = wide > width ? wide : width;
    }
    (void)fprintf(out, "usage: %s [flags]\n\n%s\n\n", program, summary);
    for (uint32_t i = 0; i < count; i++) {
        char left[64];
        (void)left_of(&flags[i], left, sizeof left);
        (void)fprintf(out, "  %-*s %s\n", width, left, flags[i].help);
    }
    (void)fprintf(out, "  %-*s %s\n", width, "--help", "print this text");
}

int mu_flags_main(const char *program, const char *summary, const struct mu_flag *flags,
                  uint32_t count, int argc, char *const *argv)
{
    struct mu_error error = {0, ""};
    int code = mu_flags_parse(flags, count, argc, argv, &error);
    if (code == MU_FLAGS_HELP) {
        mu_flags_help(stdout, program, summary, flags, count);
        return 0;
    }
    if (code != 0) {
        (void)fprintf(stderr, "%s: %s\n", program, error.text);
        return 2;
    }
    return -1;
}
