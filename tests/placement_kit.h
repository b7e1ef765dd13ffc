#ifndef MU_TESTS_PLACEMENT_KIT_H
#define MU_TESTS_PLACEMENT_KIT_H
/*
 * Placement rules of a pod under construction, from text and back. A selector is written as its
 * requirements, "zone In a b; disk Exists; size Gt 5"; "-" stands for an absent word, "_" for an
 * empty one. What the decoder made of it is written the same way, with NEVER as an operator,
 * "(all)" for a selector without requirements and "(nothing)" for one that selects nothing.
 */
#include "tests/pod_kit.h"

static inline void *rule_alloc(struct mu_arena *arena, size_t count, size_t size)
{
    void *block = mu_arena_calloc(arena, count, size);
    assert_non_null(block);
    return block;
}

static inline char *rule_word(struct mu_arena *arena, const char *from, size_t len)
{
    if (len == 1 && from[0] == '-')
        return NULL;
    char *word = rule_alloc(arena, len + 1, 1);
    if (len != 1 || from[0] != '_')
        memcpy(word, from, len);
    return word;
}

/* The words of `text`, split at any of `separators`. */
static inline size_t rule_words(struct mu_arena *arena, const char *text, const char *separators,
                                char **out, size_t max)
{
    size_t count = 0;
    while (*(text += strspn(text, separators)) != '\0') {
        size_t len = strcspn(text, separators);
        assert_true(count < max);
        out[count++] = rule_word(arena, text, len);
        text += len;
    }
    return count;
}

static inline char **rule_list(struct mu_arena *arena, const char *text, size_t *count)
{
    char **words = rule_alloc(arena, 64, sizeof *words);
    *count = rule_words(arena, text, " ", words, 64);
    return words;
}

/* Kube__NodeSelectorRequirement and Kube__LabelSelectorRequirement differ in name only. */
#define RULE_REQUIREMENTS(arena, text, type, init, list, n)                                        \
    do {                                                                                           \
        char *parts_[32] = {NULL};                                                                 \
        (n) = rule_words((arena), (text), ";", parts_, 32);                                        \
        (list) = rule_alloc((arena), (n) + 1, sizeof *(list));                                     \
        for (size_t i_ = 0; i_ < (n); i_++) {                                                      \
            type *one_ = rule_alloc((arena), 1, sizeof *one_);                                     \
            size_t count_;                                                                         \
            char **words_ = rule_list((arena), parts_[i_], &count_);                               \
            init(one_);                                                                            \
            one_->key = words_[0];                                                                 \
            one_->operator_ = words_[1];                                                           \
            one_->values = &words_[2];                                                             \
            one_->n_values = count_ > 2 ? count_ - 2 : 0;                                          \
            (list)[i_] = one_;                                                                     \
        }                                                                                          \
    } while (0)

static inline Kube__NodeSelectorTerm *rule_node_term(struct mu_arena *arena,
                                                     const char *expressions, const char *fields)
{
    Kube__NodeSelectorTerm *term = rule_alloc(arena, 1, sizeof *term);
    kube__node_selector_term__init(term);
    RULE_REQUIREMENTS(arena, expressions, Kube__NodeSelectorRequirement,
                      kube__node_selector_requirement__init, term->matchexpressions,
                      term->n_matchexpressions);
    RULE_REQUIREMENTS(arena, fields, Kube__NodeSelectorRequirement,
                      kube__node_selector_requirement__init, term->matchfields,
                      term->n_matchfields);
    return term;
}

/* pairs: "k v k v". NULL, NULL: no selector at all. */
static inline Kube__LabelSelector *rule_selector(struct mu_arena *arena, const char *pairs,
                                                 const char *expressions)
{
    if (pairs == NULL && expressions == NULL)
        return NULL;
    Kube__LabelSelector *selector = rule_alloc(arena, 1, sizeof *selector);
    kube__label_selector__init(selector);
    size_t count;
    char **words = rule_list(arena, pairs != NULL ? pairs : "", &count);
    selector->matchlabels = rule_alloc(arena, count + 1, sizeof *selector->matchlabels);
    for (size_t i = 0; i + 1 < count; i += 2) {
        Kube__StringEntry *entry = rule_alloc(arena, 1, sizeof *entry);
        kube__string_entry__init(entry);
        entry->key = words[i];
        entry->value = words[i + 1];
        selector->matchlabels[selector->n_matchlabels++] = entry;
    }
    RULE_REQUIREMENTS(arena, expressions != NULL ? expressions : "", Kube__LabelSelectorRequirement,
                      kube__label_selector_requirement__init, selector->matchexpressions,
                      selector->n_matchexpressions);
    return selector;
}

/* Labels of the pod itself: "k v k v". */
static inline void rule_own_labels(struct kit *kit, struct mu_arena *arena, const char *pairs)
{
    Kube__LabelSelector *own = rule_selector(arena, pairs, NULL);
    kit->meta.labels = own->matchlabels;
    kit->meta.n_labels = own->n_matchlabels;
}

/* An array of one pointer. */
static inline void *rule_one(struct mu_arena *arena, void *item)
{
    void **list = rule_alloc(arena, 1, sizeof *list);
    list[0] = item;
    return list;
}

/* --- and back ------------------------------------------------------------------------------ */

static inline void rule_print(struct mu_buf *out, const struct mu_selector *selector)
{
    static const char *const words[] = {"In", "NotIn", "Exists", "DoesNotExist",
                                        "Gt", "Lt",    "NEVER"};
    if (selector->nothing || selector->requirement_count == 0)
        (void)mu_buf_append_text(out, selector->nothing ? "(nothing)" : "(all)");
    for (uint32_t i = 0; i < selector->requirement_count; i++) {
        const struct mu_requirement *item = &selector->requirements[i];
        (void)mu_buf_printf(out, "%s%.*s %s", i > 0 ? "; " : "", MU_STR_ARGS(item->key),
                            words[item->op]);
        for (uint32_t v = 0; v < item->value_count; v++)
            (void)mu_buf_printf(out, " %.*s", MU_STR_ARGS(item->values[v]));
    }
}

static inline void assert_selector(const struct mu_selector *selector, const char *expected)
{
    struct mu_buf out = {.max = 0};
    rule_print(&out, selector);
    assert_int_equal(mu_buf_append(&out, "", 1), 0);
    assert_string_equal((const char *)out.data, expected);
    mu_buf_fini(&out);
}

static inline void assert_str(struct mu_str s, const char *expected)
{
    if (!mu_str_equal(s, mu_str_of(expected)))
        fail_msg("\"%.*s\", expected \"%s\"", MU_STR_ARGS(s), expected);
}

/* Decode, and expect these marks of what could not be taken over. Whether the rule itself is built
 * is not looked at. */
static inline void assert_marks(struct kit *kit, uint32_t marks)
{
    const uint32_t looked_at = MU_RULE_OVERSIZED | MU_RULE_UNREADABLE | MU_RULE_REQUEST;
    kit_decode(kit);
    if ((kit->out.unbuilt & looked_at) != marks)
        fail_msg("marks %#x, expected %#x (\"%s\")", kit->out.unbuilt & looked_at, marks,
                 kit->warn.text);
    assert_int_equal(kit->warn.code != 0, marks != 0);
}

#endif
