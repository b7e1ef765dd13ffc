#include "engine/preempt/preempt_priv.h"

#include <string.h>

/*
 * Candidates in order: a stable radix sort, since there are hundreds of thousands of them in a
 * large cluster, and most of what they are ordered by is the same in all.
 */

#define DIGIT_BITS 8u
#define DIGITS     (1u << DIGIT_BITS)
#define LOW_DIGITS 4u
#define ALL_DIGITS 12u

static uint32_t digit_of(const struct mu_unit_key *key, uint32_t digit)
{
    uint64_t value = digit < LOW_DIGITS ? key->low >> digit * DIGIT_BITS
                                        : key->high >> (digit - LOW_DIGITS) * DIGIT_BITS;
    return (uint32_t)(value & (DIGITS - 1));
}

void mu_unit_keys_sort(struct mu_unit_key *keys, struct mu_unit_key *room, uint32_t count)
{
    for (uint32_t digit = 0; count > 1 && digit < ALL_DIGITS; digit++) {
        uint32_t counts[DIGITS] = {0};
        for (uint32_t i = 0; i < count; i++)
            counts[digit_of(&keys[i], digit)]++;
        if (counts[digit_of(&keys[0], digit)] == count)
            continue;
        for (uint32_t d = 0, begin = 0; d < DIGITS; d++) {
            uint32_t size = counts[d];
            counts[d] = begin;
            begin += size;
        }
        for (uint32_t i = 0; i < count; i++)
            room[counts[digit_of(&keys[i], digit)]++] = keys[i];
        memcpy(keys, room, count * sizeof *keys);
    }
}

/* Where units are equal in all else, the one whose first pod comes later is less important: so they
 * are sorted by that first. */
static struct mu_unit_key place_of(const struct mu_victims *v, uint32_t unit)
{
    const struct mu_victim_pod *pod = &v->pods[v->units[unit].begin];
    return (struct mu_unit_key){UINT32_MAX - pod->row, UINT32_MAX - pod->at, unit};
}

static struct mu_unit_key importance_of(const struct mu_victims *v, uint32_t unit)
{
    const struct mu_victim_unit *u = &v->units[unit];
    uint64_t priority = (uint64_t)((int64_t)u->priority - INT32_MIN);
    return (struct mu_unit_key){priority << 32 | u->count, UINT32_MAX - u->started, unit};
}

int mu_preempt_order(struct mu_preempt *p, uint32_t *units, uint32_t count)
{
    struct mu_victims *v = &p->victims;
    struct mu_unit_key *keys = mu_arena_alloc(p->arena, ((size_t)count + 1) * 2 * sizeof *keys);
    uint32_t *violating = mu_arena_alloc(p->arena, ((size_t)count + 1) * sizeof *violating);
    if (keys == NULL || violating == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = place_of(v, units[i]);
    mu_unit_keys_sort(keys, keys + count, count);
    for (uint32_t i = 0; i < count; i++)
        keys[i] = importance_of(v, keys[i].unit);
    mu_unit_keys_sort(keys, keys + count, count);
    for (uint32_t i = count; i-- > 0;)
        p->violations[keys[i].unit] = mu_victims_classify(v, keys[i].unit);
    mu_victims_classified(v);
    uint32_t kept = 0, moved = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (p->violations[keys[i].unit] > 0)
            violating[moved++] = keys[i].unit;
        else
            units[kept++] = keys[i].unit;
    }
    memcpy(units + kept, violating, moved * sizeof *violating);
    return 0;
}
