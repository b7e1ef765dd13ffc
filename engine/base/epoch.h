#ifndef MU_ENGINE_BASE_EPOCH_H
#define MU_ENGINE_BASE_EPOCH_H
/*
 * Epoch-based reclamation over Concurrency Kit (epoch_ck.c alone includes it): a reader brackets
 * its use of shared objects, the writer unlinks an object and retires it; it is freed once no
 * reader can still hold it.
 */
#include <stdint.h>

struct mu_epoch;        /* one domain */
struct mu_epoch_record; /* one participating thread */

typedef void (*mu_epoch_free_fn)(void *object);

struct mu_epoch *mu_epoch_create(void);
/* All records must be unregistered; runs what is still retired. */
void mu_epoch_destroy(struct mu_epoch *epoch);
/* A record is used by one thread at a time. Errors: NULL. */
struct mu_epoch_record *mu_epoch_register(struct mu_epoch *epoch);
/* Outside of any section. Does not wait: what is still retired waits for the next owner of the
 * record, or for mu_epoch_destroy. */
void mu_epoch_unregister(struct mu_epoch_record *record);
/* Nestable. Cost: about 6 ns. */
void mu_epoch_begin(struct mu_epoch_record *record);
void mu_epoch_end(struct mu_epoch_record *record);
/* Free object by fn once every reader that is inside now has left. Errors: MU_ENOMEM (object not
 * retired). Thread: the record's. */
int mu_epoch_retire(struct mu_epoch_record *record, void *object, mu_epoch_free_fn fn);
/* Run what has become safe, without waiting. Returns how many objects were freed. */
uint32_t mu_epoch_poll(struct mu_epoch_record *record);
/* Wait until everything retired through this record is freed. Not from inside a section. */
void mu_epoch_barrier(struct mu_epoch_record *record);

#endif
