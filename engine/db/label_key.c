#include "engine/db/census_priv.h"

#include "engine/base/assert.h"

/*
 * Label keys: how many rows carry each, and how many rules ask about it.
 *
 * Numbers of topology keys are few and pods can make up keys, so a number is only for a key that
 * some row carries: what a rule comes to over any other one needs no counting (MU_CENSUS_VOID). The
 * rows are those that have entered, counted with the labels that they entered with.
 *
 *     asked, no row   --the first row with it enters-->  keys_moved: those who ask take its number
 *     asked, rows     --the last row with it leaves-->   keys_moved: and give it up
 *
 * keys_moved begins a walk over all who may ask (db/census.c), which goes by what is so when it
 * gets there: a row that only left to enter again moves nobody.
 */
struct label_key {
    uint32_t rows;
    uint32_t asked;
};

int mu_label_keys_init(struct mu_books *b)
{
    return mu_pages_init(&b->label_keys, MU_SYMBOLS_MAX, sizeof(struct label_key));
}

void mu_label_keys_fini(struct mu_books *b)
{
    mu_pages_fini(&b->label_keys);
}

int mu_label_key_ask(struct mu_books *b, struct mu_symbol key)
{
    int rc = mu_pages_reserve(&b->label_keys, key.v);
    if (rc == 0)
        ((struct label_key *)mu_pages_at(&b->label_keys, key.v))->asked++;
    return rc;
}

void mu_label_key_unask(struct mu_books *b, struct mu_symbol key)
{
    struct label_key *k = mu_pages_at(&b->label_keys, key.v);
    MU_ASSERT(k != NULL && k->asked > 0);
    k->asked--;
}

bool mu_label_key_carried(const struct mu_books *b, struct mu_symbol key)
{
    const struct label_key *k = mu_pages_at(&b->label_keys, key.v);
    return k != NULL && k->rows > 0;
}

static void count(struct mu_books *b, struct mu_symbol key, int step)
{
    struct label_key *k = mu_pages_at(&b->label_keys, key.v);
    MU_ASSERT(k != NULL && (step > 0 || k->rows > 0));
    k->rows += (uint32_t)step;
    b->keys_moved |= k->asked > 0 && k->rows == (step > 0 ? 1u : 0u);
}

/* The hostname label is kept apart from its set, unless it is empty. */
int mu_label_keys_reserve(struct mu_db *db, uint32_t row)
{
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    const struct mu_labels_view labels = mu_model_labels(db->model, rec->labels, rec->hostname);
    struct mu_books *b = db->books;
    int rc = rec->hostname.v == 0 ? 0 : mu_pages_reserve(&b->label_keys, labels.hostname_key.v);
    for (uint32_t i = 0; rc == 0 && i < labels.set->count; i++)
        rc = mu_pages_reserve(&b->label_keys, labels.set->pairs[i].key.v);
    return rc;
}

void mu_label_keys_count(struct mu_db *db, uint32_t row, int step)
{
    const struct mu_node_rec *rec = mu_row_rec(db, row);
    const struct mu_labels_view labels = mu_model_labels(db->model, rec->labels, rec->hostname);
    if (rec->hostname.v != 0)
        count(db->books, labels.hostname_key, step);
    for (uint32_t i = 0; i < labels.set->count; i++)
        count(db->books, labels.set->pairs[i].key, step);
}
