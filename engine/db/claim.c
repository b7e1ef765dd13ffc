#include "engine/db/db_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"

/*
 * Claims: what pods state about their gangs, each content once, counted by the pods that state it.
 * The pods of a gang state the same, or as many things as it has sub-groups; most pods of a cluster
 * state nothing, which is no claim at all. Only the writer reads them, so that one is freed as soon
 * as nobody states it any more; its symbols, which replicas may show, are released by reach.
 *
 * A claim is a row of words (CLAIM_*), then a name and a minimum for each sub-group that must be
 * there: equal content, equal words.
 */

enum { WORDS_MAX = MU_CLAIM_WORDS + 2 * MU_SUBGROUPS_MAX, RECORD_SHIFT = 8 };

struct claim_key {
    const uint32_t *words;
    uint32_t count;
};

static uint32_t word_count(const uint32_t *words)
{
    return MU_CLAIM_WORDS + 2 * words[MU_CLAIM_SUBGROUPS];
}

static uint64_t key_hash(const struct mu_db *db, const uint32_t *words)
{
    return mu_hash_bytes(words, word_count(words) * sizeof *words, db->seed);
}

static bool claim_equal(const void *context, uint32_t value, const void *key)
{
    const uint32_t *held = mu_claim_words(context, value);
    const struct claim_key *k = key;
    return word_count(held) == k->count && memcmp(held, k->words, k->count * sizeof *held) == 0;
}

static uint64_t claim_hash(const void *context, uint32_t value)
{
    return key_hash(context, mu_claim_words(context, value));
}

int mu_claims_init(struct mu_db *db)
{
    mu_slab_init(&db->claims, sizeof(struct mu_claim_rec), RECORD_SHIFT, MU_CLAIMS_MAX);
    db->claim_by_content = mu_index_create(0, claim_equal, claim_hash, db);
    return db->claim_by_content == NULL ? MU_ENOMEM : 0;
}

void mu_claims_fini(struct mu_db *db)
{
    for (uint32_t claim = 0; claim < db->claims.high; claim++)
        mu_mem_free(((struct mu_claim_rec *)mu_slab_at(&db->claims, claim))->words);
    mu_slab_fini(&db->claims);
    mu_index_destroy(db->claim_by_content);
}

/* Give up a reference to each symbol of the words. */
static void release_symbols(struct mu_db *db, const uint32_t *words)
{
    mu_symbol_unref(db->symbols, (struct mu_symbol){words[MU_CLAIM_SUBGROUP]}, db->reach);
    mu_symbol_unref(db->symbols, (struct mu_symbol){words[MU_CLAIM_PACK_KEY]}, db->reach);
    for (uint32_t i = 0; i < words[MU_CLAIM_SUBGROUPS]; i++)
        mu_symbol_unref(db->symbols, (struct mu_symbol){words[MU_CLAIM_WORDS + 2 * i]}, db->reach);
}

/* The words of what a pod states, with a reference to each symbol. */
static int words_obtain(struct mu_db *db, const struct mu_gang_ref *ref, uint32_t *words)
{
    struct mu_symbol subgroup = {0}, pack_key = {0};
    int rc = mu_symbol_intern(db->symbols, ref->subgroup, &subgroup);
    if (rc == 0)
        rc = mu_symbol_intern(db->symbols, ref->pack_key, &pack_key);
    words[MU_CLAIM_SUBGROUP] = subgroup.v;
    words[MU_CLAIM_PACK_KEY] = pack_key.v;
    words[MU_CLAIM_SIZE] = ref->size;
    words[MU_CLAIM_SUBGROUP_MIN] = ref->subgroup_min;
    words[MU_CLAIM_TIMEOUT] = ref->timeout_s;
    words[MU_CLAIM_FLAGS] = (ref->waiting_only ? MU_CLAIMS_WAITING_ONLY : 0u) |
                            (ref->pack_required ? MU_CLAIMS_PACK_REQUIRED : 0u);
    words[MU_CLAIM_SUBGROUPS] = 0;
    for (uint32_t i = 0; rc == 0 && i < ref->subgroup_count; i++) {
        struct mu_symbol name;
        rc = mu_symbol_intern(db->symbols, ref->subgroups[i].name, &name);
        if (rc != 0)
            break;
        words[MU_CLAIM_WORDS + 2 * i] = name.v;
        words[MU_CLAIM_WORDS + 2 * i + 1] = ref->subgroups[i].min;
        words[MU_CLAIM_SUBGROUPS] = i + 1;
    }
    if (rc != 0)
        release_symbols(db, words);
    return rc;
}

static int record_make(struct mu_db *db, const uint32_t *words, uint64_t hash, uint32_t *claim)
{
    const size_t bytes = word_count(words) * sizeof *words;
    int rc = mu_slab_take(&db->claims, claim);
    if (rc != 0)
        return rc;
    struct mu_claim_rec *rec = mu_slab_at(&db->claims, *claim);
    *rec = (struct mu_claim_rec){.words = mu_mem_alloc(bytes), .refs = 1};
    rc = rec->words == NULL ? MU_ENOMEM : 0;
    if (rc == 0) {
        memcpy(rec->words, words, bytes);
        rc = mu_index_insert(db->claim_by_content, hash, *claim);
    }
    if (rc != 0) {
        mu_mem_free(rec->words);
        rec->words = NULL;
        mu_slab_give(&db->claims, *claim);
    }
    return rc;
}

int mu_claim_obtain(struct mu_db *db, const struct mu_gang_ref *ref, uint32_t *claim)
{
    static const uint32_t nothing[MU_CLAIM_WORDS];
    uint32_t words[WORDS_MAX];
    MU_ASSERT(ref->subgroup_count <= MU_SUBGROUPS_MAX);
    int rc = words_obtain(db, ref, words);
    if (rc != 0)
        return rc;
    *claim = MU_NONE;
    if (memcmp(words, nothing, sizeof nothing) == 0)
        return 0;
    const struct claim_key key = {words, word_count(words)};
    const uint64_t hash = key_hash(db, words);
    *claim = mu_index_find(db->claim_by_content, hash, &key);
    if (*claim != MU_INDEX_NONE) {
        ((struct mu_claim_rec *)mu_slab_at(&db->claims, *claim))->refs++;
        release_symbols(db, words); /* the record has its own */
        return 0;
    }
    rc = record_make(db, words, hash, claim);
    if (rc != 0)
        release_symbols(db, words);
    return rc;
}

void mu_claim_unref(struct mu_db *db, uint32_t claim)
{
    if (claim == MU_NONE)
        return;
    struct mu_claim_rec *rec = mu_slab_at(&db->claims, claim);
    MU_ASSERT(rec->refs > 0);
    if (--rec->refs > 0)
        return;
    mu_index_remove(db->claim_by_content, key_hash(db, rec->words), claim);
    release_symbols(db, rec->words);
    mu_mem_free(rec->words);
    rec->words = NULL;
    mu_slab_give(&db->claims, claim);
}
