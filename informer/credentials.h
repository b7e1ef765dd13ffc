#ifndef MU_INFORMER_CREDENTIALS_H
#define MU_INFORMER_CREDENTIALS_H
/*
 * When credentials are read again: a pure state machine (state, answer or read or wish, now) ->
 * (next moment, news). Reading itself is the shell's (informer/access.h).
 *
 *   ACCEPTED  the server takes them: read every PERIOD, for tokens and certificates are rotated
 *   REFUSED   a 401 came: read at once, then after 1 s, 2 s, ... PERIOD, until an answer shows that
 *             the server takes them again
 *
 * Between two reads lies at least a second, however many 401s come at the same time, and whatever
 * the answers alternate between. Who repeats the refused request is its own machine (reflector,
 * binder), after its own back-off. Credentials that cannot change (all of them inline) are never
 * read again. After a wish (SIGHUP) they are read at once in any state.
 */
#include <stdbool.h>
#include <stdint.h>

/* Worth a line in a log, each once when it begins. */
enum mu_credentials_news {
    MU_CREDENTIALS_NOTHING,
    MU_CREDENTIALS_REFUSED,     /* the first 401 */
    MU_CREDENTIALS_TAKEN,       /* accepted again */
    MU_CREDENTIALS_UNREADABLE,  /* reading failed: the old ones stay in use */
    MU_CREDENTIALS_READABLE,    /* reading works again, nothing has changed */
    MU_CREDENTIALS_CHANGED,     /* new ones are in use */
    MU_CREDENTIALS_CHANGED_NONE /* read as wished: nothing has changed */
};

/* In the caller's storage; fields are private. */
struct mu_credentials {
    bool may_change;
    bool refused;
    bool unreadable;
    bool wished;
    uint64_t not_before_ns; /* a second after the last read */
    uint64_t next_ns;       /* UINT64_MAX: never */
    uint64_t pause_ns;      /* REFUSED: from one read to the next */
};

/* They have just been read for the first time. */
void mu_credentials_init(struct mu_credentials *credentials, bool may_change, uint64_t now_ns);
/* The status of an HTTP answer. Those that say nothing about credentials (429, 5xx) are ignored. */
enum mu_credentials_news mu_credentials_answer(struct mu_credentials *credentials, int status,
                                               uint64_t now_ns);
/* Somebody asks for a read. */
void mu_credentials_wish(struct mu_credentials *credentials, uint64_t now_ns);
/* When they are to be read; UINT64_MAX: not before an answer or a wish. */
uint64_t mu_credentials_next_ns(const struct mu_credentials *credentials);
/* They have been read. result: as of mu_kubeconfig_reload (> 0 changed, 0 not, < 0 an error). */
enum mu_credentials_news mu_credentials_read(struct mu_credentials *credentials, int result,
                                             uint64_t now_ns);

#endif
