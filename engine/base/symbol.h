#ifndef MU_ENGINE_BASE_SYMBOL_H
#define MU_ENGINE_BASE_SYMBOL_H
/*
 * Interned strings: equal text has equal id, so that the engine compares integers. Reference
 * counted; a symbol without references stays readable until it is reclaimed, and reclaiming waits
 * for a generation that the caller knows no reader to hold.
 *
 * One writer (intern, ref, unref, reclaim). mu_symbol_str may run in any thread that learned the
 * id through a hand-over after the intern: text and its directory never move.
 */
#include <stddef.h>
#include <stdint.h>
#include "engine/base/str.h"

struct mu_symtab; /* opaque */
struct mu_symbol {
    uint32_t v; /* 0 is the empty string, always present */
};

struct mu_symtab *mu_symtab_create(uint32_t symbols_max);
void mu_symtab_destroy(struct mu_symtab *table);
/* The id of text, one reference more. Errors: MU_ENOMEM, MU_ELIMIT. */
int mu_symbol_intern(struct mu_symtab *table, struct mu_str text, struct mu_symbol *out);
/* The id if present (perhaps without references, not yet reclaimed), without taking a reference;
 * false otherwise. Thread: the writer's. */
bool mu_symbol_find(const struct mu_symtab *table, struct mu_str text, struct mu_symbol *out);
void mu_symbol_ref(struct mu_symtab *table, struct mu_symbol symbol);
/* Drop a reference; at zero the symbol is kept until mu_symtab_reclaim(generation or later).
 * Interning the same text before that revives it. Generations are expected to rise: one below that
 * of an earlier unref still waiting counts as that one. References to the empty string are not
 * counted. */
void mu_symbol_unref(struct mu_symtab *table, struct mu_symbol symbol, uint64_t generation);
/* Free unreferenced symbols whose last unref carried a generation <= safe_generation, at most
 * `budget` of them. Returns how many were freed. */
uint32_t mu_symtab_reclaim(struct mu_symtab *table, uint64_t safe_generation, uint32_t budget);
/* Text of an id, also NUL-terminated. Valid until reclaimed. */
struct mu_str mu_symbol_str(const struct mu_symtab *table, struct mu_symbol symbol);
uint32_t mu_symtab_count(const struct mu_symtab *table);
size_t mu_symtab_bytes(const struct mu_symtab *table);

#endif
