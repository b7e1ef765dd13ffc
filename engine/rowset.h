#ifndef MU_ENGINE_ROWSET_H
#define MU_ENGINE_ROWSET_H
/*
 * A set of row numbers: one bit per row and a summary bit per 64 rows.
 *
 * Why not a list: adding is idempotent and cannot fail once room is reserved, so that marking a
 * row dirty is safe in the no-fail half of every change; and rows come out in ascending order,
 * which is what memory likes when they are copied. Emptying n of N rows costs O(n + N / 4096).
 *
 * One user. Zero-initialised is a valid empty set without room.
 */
#include <stdbool.h>
#include <stdint.h>

struct mu_rowset {
    uint64_t *words;
    uint64_t *summary; /* bit w: words[w] != 0 */
    uint32_t cap;      /* rows that fit, a multiple of 4096 */
    uint32_t count;    /* rows in the set */
    uint32_t first;    /* no row below it is in the set */
};

void mu_rowset_fini(struct mu_rowset *set);
/* Room for rows [0, rows). Errors: MU_ENOMEM; nothing changed. */
int mu_rowset_reserve(struct mu_rowset *set, uint32_t rows);
/* Add / drop a row below cap. Returns true when that changed the set. Cost: O(1). */
bool mu_rowset_add(struct mu_rowset *set, uint32_t row);
bool mu_rowset_drop(struct mu_rowset *set, uint32_t row);
bool mu_rowset_has(const struct mu_rowset *set, uint32_t row);
/* Add all of [0, rows). Cost: O(rows / 64). */
void mu_rowset_fill(struct mu_rowset *set, uint32_t rows);
/* Lowest row at or after `from`; UINT32_MAX when there is none. */
uint32_t mu_rowset_next(const struct mu_rowset *set, uint32_t from);
/* Take out the lowest rows, at most `max` of them, ascending. Returns how many. */
uint32_t mu_rowset_take(struct mu_rowset *set, uint32_t *rows, uint32_t max);
void mu_rowset_clear(struct mu_rowset *set);

#endif
