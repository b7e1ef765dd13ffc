#include "tools/flags.h"

#include <string.h>
#include "engine/base/assert.h"
#include "engine/base/str.h"

#define HELP_COLUMN  26 /* what flags mean, or farther right where one is longer */
#define HELP_COLUMNS 80 /* of a terminal */

/* The flag called by the first `len` bytes of `name`, or NULL. */
static const struct mu_flag *find(const struct mu_flag *flags, uint32_t count, const char *name,
                                  size_t len)
{
    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].kind != MU_FLAG_OPERANDS && strlen(flags[i].name) == len &&
            memcmp(flags[i].name, name, len) == 0) {
            return &flags[i];
        }
    }
    return NULL;
}

/* The flag with this letter, or NULL. */
static const struct mu_flag *find_letter(const struct mu_flag *flags, uint32_t count, char letter)
{
    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].letter != 0 && flags[i].letter == letter) {
            return &flags[i];
        }
    }
    return NULL;
}

/* What stands for the operands, or NULL: there are none. */
static const struct mu_flag *operands_of(const struct mu_flag *flags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (flags[i].kind == MU_FLAG_OPERANDS) {
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
        return mu_error_set(error, MU_EINVAL, "%s%s: %.200s",
                            flag->kind == MU_FLAG_OPERANDS ? "" : "--", flag->name, why.text);
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
    if (value[0] == '\0' && flag->kind != MU_FLAG_OPERANDS) {
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
    case MU_FLAG_OPERANDS:
        return set_call(flag, value, store, error);
    default:
        MU_ASSERT(flag->kind == MU_FLAG_TEXT);
        if (store) {
            *(const char **)flag->target = value;
        }
        return 0;
    }
}

/* A word that is not `--name`: an operand, or a flag by its letter, behind which its value may
 * stand at once. */
static int find_short(const struct mu_flag *flags, uint32_t count, const char *word,
                      const struct mu_flag **out, const char **value, struct mu_error *error)
{
    bool dashed = word[0] == '-' && word[1] != '\0';
    *out = dashed ? find_letter(flags, count, word[1]) : operands_of(flags, count);
    if (dashed && *out != NULL && word[2] != '\0') {
        *value = word + 2;
        *out = (*out)->kind == MU_FLAG_BOOL ? NULL : *out;
    }
    if (*out != NULL) {
        return 0;
    }
    return dashed ? mu_error_set(error, MU_EINVAL, "unknown flag '%.64s' (see --help)", word)
                  : mu_error_set(error, MU_EINVAL,
                                 "unexpected argument '%.64s'; flags start with -- (see --help)",
                                 word);
}

/* The flag that `word` names, and its value where that is part of the word. */
static int find_flag(const struct mu_flag *flags, uint32_t count, const char *word,
                     const struct mu_flag **out, const char **value, struct mu_error *error)
{
    *value = NULL;
    if (strncmp(word, "--", 2) != 0 || word[2] == '\0') {
        int code = find_short(flags, count, word, out, value, error);
        MU_ASSERT(code != 0 || *out != NULL);
        if (code == 0 && (*out)->kind == MU_FLAG_OPERANDS) {
            *value = word;
        }
        return code;
    }
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    *out = find(flags, count, name, len);
    *value = equals != NULL ? equals + 1 : NULL;
    return *out != NULL ? 0
                        : mu_error_set(error, MU_EINVAL, "unknown flag --%.*s (see --help)",
                                       (int)(len < 64 ? len : 64), name);
}

/* One pass over the line. The first pass only checks, the second stores: that is what makes a
 * failing parse leave no trace. */
static int pass(const struct mu_flag *flags, uint32_t count, int argc, char *const *argv,
                bool store, struct mu_error *error)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return MU_FLAGS_HELP;
        }
        const struct mu_flag *flag;
        const char *value;
        int code = find_flag(flags, count, argv[i], &flag, &value, error);
        if (code != 0) {
            return code;
        }
        if (value == NULL && flag->kind != MU_FLAG_BOOL) {
            if (i + 1 >= argc) {
                return mu_error_set(error, MU_EINVAL, "--%s: expects %s, got nothing", flag->name,
                                    flag->value);
            }
            value = argv[++i];
        }
        code = set(flag, value, store, error);
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

/* "-n, --name VALUE", or what stands for the operands; returns its length. */
static int left_of(const struct mu_flag *flag, char *text, size_t bytes)
{
    if (flag->kind == MU_FLAG_OPERANDS) {
        return snprintf(text, bytes, "%s", flag->name);
    }
    char letter[8] = "";
    if (flag->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    }
    return snprintf(text, bytes, "%s--%s%s%s", letter, flag->name, flag->value != NULL ? " " : "",
                    flag->value != NULL ? flag->value : "");
}

/* How much of a word stands on a line with so much room: all of it, but that a list without spaces
 * that is wider is broken behind a comma. */
static int break_word(const char *word, int len, int room)
{
    if (len <= room)
        return len;
    for (int cut = room; cut > 0; cut--)
        if (word[cut - 1] == ',')
            return cut;
    return len;
}

/* Words up to the right edge, which go on in column `indent`; a new line and a line's indentation
 * are kept. `at` is the column where it begins. */
static void put_wrapped(FILE *out, const char *text, int indent, int at)
{
    while (*text != '\0') {
        int spaces = (int)strspn(text, " ");
        int word = (int)strcspn(text + spaces, " \n");
        if (text[spaces] == '\n') {
            (void)fputc('\n', out);
            text += spaces + 1;
            at = 0;
            continue;
        }
        if (at > indent && at + spaces + word > HELP_COLUMNS) {
            word = break_word(text + spaces, word, HELP_COLUMNS - indent);
            (void)fprintf(out, "\n%*s%.*s", indent, "", word, text + spaces);
            at = indent + word;
        } else {
            word = break_word(text + spaces, word, HELP_COLUMNS - at - spaces);
            (void)fprintf(out, "%.*s", spaces + word, text);
            at += spaces + word;
        }
        text += spaces + word;
    }
    (void)fputc('\n', out);
}

void mu_flags_help(FILE *out, const char *program, const char *summary, const struct mu_flag *flags,
                   uint32_t count)
{
    int width = HELP_COLUMN;
    for (uint32_t i = 0; i < count; i++) {
        int wide = left_of(&flags[i], NULL, 0);
        width = wide > width ? wide : width;
    }
    const struct mu_flag *operands = operands_of(flags, count);
    (void)fprintf(out, "usage: %s %s%s[flags]\n\n", program, operands != NULL ? operands->name : "",
                  operands != NULL ? " " : "");
    put_wrapped(out, summary, 0, 0);
    (void)fputc('\n', out);
    for (uint32_t i = 0; i < count; i++) {
        char left[64];
        (void)left_of(&flags[i], left, sizeof left);
        (void)fprintf(out, "  %-*s ", width, left);
        put_wrapped(out, flags[i].help, width + 3, width + 3);
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
