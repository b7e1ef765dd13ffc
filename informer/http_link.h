#ifndef MU_INFORMER_HTTP_LINK_H
#define MU_INFORMER_HTTP_LINK_H
/* An intrusive circular list. A list head and an unlinked element both point to themselves. */
#include <stdbool.h>
#include <stddef.h>

struct mu_link {
    struct mu_link *next;
    struct mu_link *prev;
};

#define MU_LINK_OWNER(link_, type_, member_)                                                       \
    ((type_ *)(void *)((char *)(link_)-offsetof(type_, member_)))

static inline void mu_link_init(struct mu_link *link)
{
    link->next = link;
    link->prev = link;
}

static inline bool mu_link_empty(const struct mu_link *list)
{
    return list->next == list;
}

/* Put an unlinked element at the end of the list. */
static inline void mu_link_append(struct mu_link *list, struct mu_link *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

/* Unlink; harmless on an unlinked element. */
static inline void mu_link_remove(struct mu_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    mu_link_init(link);
}

/* Move all elements of `from` to the end of `to`. */
static inline void mu_link_splice(struct mu_link *to, struct mu_link *from)
{
    if (mu_link_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    mu_link_init(from);
}

#endif
