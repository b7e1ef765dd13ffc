#ifndef MU_INFORMER_SLOT_STORE_H
#define MU_INFORMER_SLOT_STORE_H
/*
 * Keeps the slots of a journal where they outlive the process: a pure state machine
 * (state, call or reply or tick, now) -> (results, requests).
 *
 * A slot is read whole and written whole. A write is a compare-and-swap against what was last seen
 * of the slot here, by a read or by a write of our own, and its result is one of two, never a
 * guess:
 *
 *   WRITTEN  the slot holds the new content
 *   TAKEN    it does not and never will: somebody else has written the slot, or removed it. Whoever
 *            wants to go on reads it first
 *
 * Two places for the slots:
 *
 *   mu_slot_store_create         ConfigMaps NAME-0, NAME-1, ... of one namespace, the content under
 *                                the key "slot" of binaryData. A write is a PUT with the
 *                                resourceVersion last seen; an object that is not there yet is
 *                                POSTed, which another's POST refuses likewise.
 *   mu_slot_store_create_memory  a struct mu_slot_memory, which outlives the store (tests), at once
 *                                or after a delay
 *
 * Writes keep to a budget of bytes a second; reads are free. What the server refuses for now (429,
 * 5xx, 401, 403) is tried again until it is taken: a journal has no other choice.
 */
#include "engine/base/error.h"
#include "engine/base/random.h"
#include "informer/call.h"
#include "informer/limits.h"

struct mu_slot_store;  /* opaque; one thread */
struct mu_slot_memory; /* opaque; one thread */

struct mu_slot_store_config {
    struct mu_str ns, name; /* of the objects; copied; not empty, but for memory */
    uint32_t slot_count;    /* 1 to MU_SLOTS_MAX */
    uint32_t bytes_per_s;   /* budget of writes: content and what is around it; 0: 1,000,000 */
    uint64_t token_base;    /* tokens are token_base + [0, 2^48) */
    uint64_t timeout_ns;    /* per request; 0: 10 s */
};

enum mu_slot_outcome { MU_SLOT_READ, MU_SLOT_WRITTEN, MU_SLOT_TAKEN };
struct mu_slot_result {
    uint32_t slot;
    enum mu_slot_outcome outcome;
    bool present;          /* READ: there is such an object */
    struct mu_str content; /* READ: valid until the slot is read or written again */
};
struct mu_slot_store_stats {
    uint64_t reads, writes; /* requests, repeated ones included */
    uint64_t written;       /* writes that are in */
    uint64_t verified;      /* of them, those found by reading the slot again */
    uint64_t taken, conflicts, throttled, lost;
    uint64_t bytes; /* sent */
    uint32_t busy;  /* slots under way */
};

/* Errors: NULL when out of memory. */
struct mu_slot_store *mu_slot_store_create(const struct mu_slot_store_config *config,
                                           struct mu_random *random);
struct mu_slot_store *mu_slot_store_create_memory(const struct mu_slot_store_config *config,
                                                  struct mu_slot_memory *memory, uint64_t delay_ns,
                                                  struct mu_random *random);
void mu_slot_store_destroy(struct mu_slot_store *store);

/* Read a slot that nothing is under way for. */
void mu_slot_store_read(struct mu_slot_store *store, uint32_t slot, uint64_t now_ns,
                        struct mu_outbox *out);
/* Write a slot that has been read, or written, and that nothing is under way for. `content` (not
 * empty, at most MU_SLOT_BYTES_MAX) is copied. No two contents that are ever written to a slot may
 * be equal: that is how a write whose reply was lost is told apart. Errors: MU_ENOMEM; nothing is
 * under way. */
int mu_slot_store_write(struct mu_slot_store *store, uint32_t slot, struct mu_str content,
                        uint64_t now_ns, struct mu_outbox *out);
/* The next result, if there is one. Call until it returns false after each call below and above. */
bool mu_slot_store_take(struct mu_slot_store *store, struct mu_slot_result *result);

/* False when the token is not ours. */
bool mu_slot_store_reply(struct mu_slot_store *store, const struct mu_reply *reply, uint64_t now_ns,
                         struct mu_outbox *out);
void mu_slot_store_tick(struct mu_slot_store *store, uint64_t now_ns, struct mu_outbox *out);
/* When tick next has something to do; UINT64_MAX: only a reply will tell. */
uint64_t mu_slot_store_next_ns(const struct mu_slot_store *store);
/* Something is under way for this slot, or its result has not been taken. */
bool mu_slot_store_busy(const struct mu_slot_store *store, uint32_t slot);
/* What keeps the server from taking slots, in words; empty: nothing. Valid until the next call. */
const char *mu_slot_store_problem(const struct mu_slot_store *store);
void mu_slot_store_stats(const struct mu_slot_store *store, struct mu_slot_store_stats *out);

struct mu_slot_memory *mu_slot_memory_create(uint32_t slot_count);
void mu_slot_memory_destroy(struct mu_slot_memory *memory);
/* Somebody else's write: the next write of a store that has not seen it is TAKEN. Empty content:
 * the slot is removed. Errors: MU_ENOMEM. */
int mu_slot_memory_put(struct mu_slot_memory *memory, uint32_t slot, struct mu_str content);
/* What a slot holds; false: there is none. Valid until it is written. */
bool mu_slot_memory_get(const struct mu_slot_memory *memory, uint32_t slot, struct mu_str *content);

#endif
