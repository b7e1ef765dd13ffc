#include "engine/base/epoch.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <ck_epoch.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mem.h"
#include "engine/base/tsan_priv.h"

/*
 * Epochs (Fraser, "Practical Lock-Freedom", 2004), as Concurrency Kit has them: a global counter,
 * and per thread the value it saw when it entered a section. An object retired in epoch e is freed
 * when every thread inside a section has been seen in a later epoch, or no thread is inside one.
 *
 * Concurrency Kit never lets go of a record's memory, and unregistering there forgets what the
 * record still has to free. So we never unregister there: a record given back stays known (outside
 * every section, it holds nobody up) with its retired objects, and the next thread that registers
 * takes it over. Lock order: `lock` is a leaf; nothing is called under it but list operations and
 * ck_epoch_register.
 */

struct mu_epoch_record {
    ck_epoch_record_t ck; /* first: cache-line aligned by its type */
    struct mu_epoch *epoch;
    struct mu_epoch_record *next; /* of all records; written once, under lock */
    bool taken;                   /* under lock */
    uint32_t pending;             /* retired and not freed; the record's thread */
};

struct mu_epoch {
    ck_epoch_t ck;
    pthread_mutex_t lock;
    struct mu_epoch_record *records; /* under lock */
};

/* What waits: Concurrency Kit's entry and our callback. */
struct retired {
    ck_epoch_entry_t entry;
    struct mu_epoch_record *record;
    void *object;
    mu_epoch_free_fn fn;
};

/* Lock and unlock fail only on misuse of the mutex. */
static void lock(struct mu_epoch *epoch)
{
    int failed = pthread_mutex_lock(&epoch->lock);
    MU_ASSERT(failed == 0);
}

static void unlock(struct mu_epoch *epoch)
{
    int failed = pthread_mutex_unlock(&epoch->lock);
    MU_ASSERT(failed == 0);
}

struct mu_epoch *mu_epoch_create(void)
{
    struct mu_epoch *epoch = mu_mem_zalloc_aligned(CK_MD_CACHELINE, sizeof *epoch);
    if (epoch == NULL)
        return NULL;
    if (pthread_mutex_init(&epoch->lock, NULL) != 0) {
        mu_mem_free(epoch);
        return NULL;
    }
    ck_epoch_init(&epoch->ck);
    return epoch;
}

void mu_epoch_destroy(struct mu_epoch *epoch)
{
    if (epoch == NULL)
        return;
    struct mu_epoch_record *record = epoch->records;
    for (struct mu_epoch_record *r = record; r != NULL; r = r->next) {
        MU_ASSERT(!r->taken);
        ck_epoch_reclaim(&r->ck); /* nobody is inside: everything is safe */
        MU_ASSERT(r->pending == 0);
    }
    while (record != NULL) {
        struct mu_epoch_record *next = record->next;
        mu_mem_free(record);
        record = next;
    }
    (void)pthread_mutex_destroy(&epoch->lock);
    mu_mem_free(epoch);
}

struct mu_epoch_record *mu_epoch_register(struct mu_epoch *epoch)
{
    lock(epoch);
    struct mu_epoch_record *record = epoch->records;
    while (record != NULL && record->taken)
        record = record->next;
    if (record == NULL) {
        record = mu_mem_zalloc_aligned(CK_MD_CACHELINE, sizeof *record);
        if (record != NULL) {
            record->epoch = epoch;
            record->next = epoch->records;
            epoch->records = record;
            ck_epoch_register(&epoch->ck, &record->ck, NULL);
        }
    }
    if (record != NULL)
        record->taken = true;
    unlock(epoch);
    return record;
}

void mu_epoch_unregister(struct mu_epoch_record *record)
{
    if (record == NULL)
        return;
    struct mu_epoch *epoch = record->epoch;
    lock(epoch);
    MU_ASSERT(record->taken);
    MU_ASSERT(record->ck.active == 0); /* not inside a section */
    record->taken = false;
    unlock(epoch);
}

void mu_epoch_begin(struct mu_epoch_record *record)
{
    ck_epoch_begin(&record->ck, NULL);
}

void mu_epoch_end(struct mu_epoch_record *record)
{
    MU_ASSERT(record->ck.active > 0);
    mu_tsan_release(record->epoch); /* with free_retired: my reads are before the free */
    (void)ck_epoch_end(&record->ck, NULL);
}

static void free_retired(ck_epoch_entry_t *entry)
{
    struct retired *retired = (struct retired *)(void *)entry;
    struct mu_epoch_record *record = retired->record;
    mu_tsan_acquire(record->epoch); /* with mu_epoch_end */
    MU_ASSERT(record->pending > 0);
    record->pending--;
    retired->fn(retired->object);
    mu_mem_free(retired);
}
_Static_assert(offsetof(struct retired, entry) == 0, "an entry's address is its container's");

int mu_epoch_retire(struct mu_epoch_record *record, void *object, mu_epoch_free_fn fn)
{
    struct retired *retired = mu_mem_alloc(sizeof *retired);
    if (retired == NULL)
        return MU_ENOMEM;
    retired->record = record;
    retired->object = object;
    retired->fn = fn;
    record->pending++;
    ck_epoch_call(&record->ck, &retired->entry, free_retired);
    return 0;
}

uint32_t mu_epoch_poll(struct mu_epoch_record *record)
{
    uint32_t before = record->pending;
    if (before == 0)
        return 0;
    (void)ck_epoch_poll(&record->ck);
    /* A callback may itself have retired objects; they count against the freed ones. */
    return record->pending < before ? before - record->pending : 0;
}

void mu_epoch_barrier(struct mu_epoch_record *record)
{
    MU_ASSERT(record->ck.active == 0); /* it would wait for itself */
    while (record->pending > 0)
        ck_epoch_barrier(&record->ck);
}
