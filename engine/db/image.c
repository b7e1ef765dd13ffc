#include "engine/db/db_priv.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Images of nodes: which set each row has, and how many nodes list each image.
 *
 * Nothing is allocated until a node lists an image. A chunk has the numbers of its rows' sets once
 * one of them lists any; nodes are counted by the symbols of names, in pages. A page's `moved` is
 * the image generation at which it changed last: a replica copies those that it has another `moved`
 * of, in slices, since the names of a large cluster's images are in thousands of pages. A pass over
 * them brings it to the generation at which the pass began; a sync ends when that is the present
 * one, so that what is shown is of one moment.
 *
 * A row's set is a reference of the row's; it is counted while the node is present.
 *
 * The audit counts all sets again into a shadow, in slices over the rows, and then compares it with
 * the counts, in slices over the pages. What happens in between to rows that it has passed is
 * followed in the shadow, so that the two must agree whenever a page is compared; where they do
 * not, the shadow is right.
 */

int mu_row_images_reserve(struct mu_db *db, uint32_t row, struct mu_image_set_ix set)
{
    const struct mu_image_set *images = mu_model_get_image_set(db->model, set);
    struct mu_chunk *chunk = mu_row_chunk(db, row);
    if (images->count == 0)
        return 0;
    if (db->image_pages == NULL)
        db->image_pages = mu_mem_calloc(MU_IMAGE_PAGES, sizeof(*db->image_pages));
    if (db->image_pages == NULL)
        return MU_ENOMEM;
    if (chunk->images == NULL)
        chunk->images = mu_mem_calloc(MU_NODE_CHUNK, sizeof *chunk->images);
    if (chunk->images == NULL)
        return MU_ENOMEM;
    for (uint32_t i = 0; i < images->count; i++) {
        uint32_t page = images->items[i].name.v / MU_IMAGE_PAGE;
        if (db->image_pages[page] == NULL)
            db->image_pages[page] = mu_mem_zalloc(sizeof **db->image_pages);
        if (db->image_pages[page] == NULL)
            return MU_ENOMEM;
        db->image_page_bound = page >= db->image_page_bound ? page + 1 : db->image_page_bound;
    }
    return 0;
}

struct mu_image_set_ix mu_row_images(const struct mu_db *db, uint32_t row)
{
    const struct mu_image_set_ix *images = mu_row_chunk(db, row)->images;
    struct mu_image_set_ix none = {0};
    return images == NULL ? none : images[row % MU_NODE_CHUNK];
}

/* --- the audit ------------------------------------------------------------------------------- */

enum { AUDIT_RATIO = 16 /* images looked at for the cost of a copied row */ };

static void shadow_end(struct mu_db *db)
{
    struct mu_image_shadow *s = &db->image_shadow;
    for (uint32_t page = 0; s->pages != NULL && page < db->image_page_bound; page++)
        mu_mem_free(s->pages[page]);
    mu_mem_free(s->pages);
    *s = (struct mu_image_shadow){.pages = NULL};
}

static bool shadow_has(const struct mu_db *db, uint32_t row)
{
    const struct mu_image_shadow *s = &db->image_shadow;
    return s->pages != NULL && (s->comparing || row < s->cursor);
}

/* A node with these images comes to the rows that were counted (1), or goes (-1). Without memory
 * the audit of images ends; a later round begins it anew. */
static void shadow_count(struct mu_db *db, struct mu_image_set_ix set, int sign)
{
    const struct mu_image_set *images = mu_model_get_image_set(db->model, set);
    struct mu_image_page **pages = db->image_shadow.pages;
    for (uint32_t i = 0; i < images->count; i++) {
        struct mu_symbol name = images->items[i].name;
        struct mu_image_page **page = &pages[name.v / MU_IMAGE_PAGE];
        if (*page == NULL)
            *page = mu_mem_zalloc(sizeof **page);
        if (*page == NULL) {
            shadow_end(db);
            return;
        }
        (*page)->nodes[name.v % MU_IMAGE_PAGE] += (uint32_t)sign;
    }
}

static void count_rows(struct mu_db *db, uint32_t budget, uint32_t *spent)
{
    struct mu_image_shadow *s = &db->image_shadow;
    while (s->pages != NULL && s->cursor < mu_row_count(db) && *spent < budget) {
        struct mu_image_set_ix set = mu_row_images(db, s->cursor++);
        *spent += 1 + mu_model_get_image_set(db->model, set)->count / AUDIT_RATIO;
        shadow_count(db, set, 1);
    }
    if (s->pages == NULL || s->cursor < mu_row_count(db))
        return;
    s->comparing = true;
    s->cursor = 0;
}

/* Put the shadow's counts in the place of those that differ. */
static uint32_t compare_page(struct mu_db *db, uint32_t at)
{
    static const struct mu_image_page none;
    MU_ASSERT(db->image_shadow.pages != NULL);
    const struct mu_image_page *right = db->image_shadow.pages[at];
    struct mu_image_page *page = db->image_pages[at];
    uint32_t drift = 0;
    right = right == NULL ? &none : right;
    for (uint32_t i = 0; page != NULL && i < MU_IMAGE_PAGE; i++)
        drift += page->nodes[i] != right->nodes[i];
    if (drift == 0)
        return 0;
    memcpy(page->nodes, right->nodes, sizeof page->nodes);
    page->moved = ++db->image_generation;
    return drift;
}

uint32_t mu_images_audit(struct mu_db *db, uint32_t budget, bool *whole)
{
    struct mu_image_shadow *s = &db->image_shadow;
    uint32_t spent = 0, drift = 0;
    if (s->pages == NULL && db->image_pages != NULL)
        s->pages = mu_mem_calloc(MU_IMAGE_PAGES, sizeof(*s->pages));
    if (s->pages != NULL && !s->comparing)
        count_rows(db, budget, &spent);
    for (; s->comparing && s->cursor < db->image_page_bound && spent < budget; s->cursor++) {
        spent += MU_IMAGE_PAGE / AUDIT_RATIO;
        drift += compare_page(db, s->cursor);
    }
    *whole = s->pages == NULL || (s->comparing && s->cursor >= db->image_page_bound);
    if (*whole)
        shadow_end(db);
    return drift;
}

/* --- rows ------------------------------------------------------------------------------------ */

/* A node with these images comes (1) or goes (-1). */
static void count(struct mu_db *db, struct mu_image_set_ix set, int sign)
{
    const struct mu_image_set *images = mu_model_get_image_set(db->model, set);
    for (uint32_t i = 0; i < images->count; i++) {
        struct mu_symbol name = images->items[i].name;
        struct mu_image_page *page = db->image_pages[name.v / MU_IMAGE_PAGE];
        uint32_t *nodes = &page->nodes[name.v % MU_IMAGE_PAGE];
        MU_ASSERT(sign > 0 || *nodes > 0);
        *nodes = sign > 0 ? *nodes + 1 : *nodes - 1;
        page->moved = db->image_generation;
    }
}

void mu_row_images_set(struct mu_db *db, uint32_t row, struct mu_image_set_ix set)
{
    struct mu_chunk *chunk = mu_row_chunk(db, row);
    struct mu_image_set_ix old = mu_row_images(db, row);
    if (old.v == set.v)
        return;
    db->image_generation++;
    count(db, old, -1);
    count(db, set, 1);
    if (shadow_has(db, row))
        shadow_count(db, old, -1);
    if (shadow_has(db, row))
        shadow_count(db, set, 1);
    MU_ASSERT(chunk->images != NULL);
    chunk->images[row % MU_NODE_CHUNK] = set;
    mu_row_mark_images(db, row);
}

void mu_row_images_move(struct mu_db *db, uint32_t from, uint32_t to)
{
    struct mu_image_set_ix set = mu_row_images(db, from);
    if (set.v == 0)
        return;
    MU_ASSERT(mu_row_chunk(db, to)->images != NULL);
    mu_row_chunk(db, to)->images[to % MU_NODE_CHUNK] = set;
    mu_row_chunk(db, from)->images[from % MU_NODE_CHUNK].v = 0;
    if (shadow_has(db, from) != shadow_has(db, to))
        shadow_count(db, set, shadow_has(db, to) ? 1 : -1);
}

void mu_images_destroy(struct mu_db *db)
{
    shadow_end(db);
    for (uint32_t page = 0; page < db->image_page_bound; page++)
        mu_mem_free(db->image_pages[page]);
    mu_mem_free(db->image_pages);
}

/* --- replicas -------------------------------------------------------------------------------- */

/* In one step of a sync, some 50 us; more where changes outrun it, as with rows. */
enum { COPIES_PER_STEP = 64, LOOKS_PER_STEP = 4096 };

int mu_images_replica_reserve(struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    if (db->image_pages == NULL)
        return 0;
    if (s->images == NULL) {
        s->images = mu_mem_zalloc_aligned(64, s->node_cap * sizeof *s->images);
        if (s->images == NULL)
            return MU_ENOMEM;
        mu_rowset_fill(&r->static_dirty, mu_row_count(db));
    }
    if (r->image_pages == NULL) {
        r->image_pages = mu_mem_calloc(MU_IMAGE_PAGES, sizeof(*r->image_pages));
        if (r->image_pages == NULL)
            return MU_ENOMEM;
        s->image_pages = r->image_pages;
    }
    return 0;
}

static int page_copy(const struct mu_db *db, struct mu_replica *r, uint32_t page)
{
    const struct mu_image_page *from = db->image_pages[page];
    if (r->image_pages[page] == NULL) {
        r->image_pages[page] = mu_mem_alloc(sizeof *from);
        if (r->image_pages[page] == NULL)
            return MU_ENOMEM;
        r->image_page_bound = page >= r->image_page_bound ? page + 1 : r->image_page_bound;
    }
    memcpy(r->image_pages[page], from, sizeof *from);
    return 0;
}

int mu_images_copy(const struct mu_db *db, struct mu_replica *r)
{
    uint32_t copies = (uint32_t)COPIES_PER_STEP << r->effort;
    uint32_t looks = (uint32_t)LOOKS_PER_STEP << r->effort;
    for (; r->image_copied != db->image_generation && copies > 0 && looks > 0; looks--) {
        uint32_t page = r->image_page_next;
        MU_ASSERT(page < db->image_page_bound);
        if (page == 0)
            r->image_goal = db->image_generation;
        const struct mu_image_page *from = db->image_pages[page], *copy = r->image_pages[page];
        if (from != NULL && (copy == NULL || copy->moved != from->moved)) {
            int rc = page_copy(db, r, page);
            if (rc != 0)
                return rc;
            copies--;
        }
        r->image_page_next = page + 1 < db->image_page_bound ? page + 1 : 0;
        if (r->image_page_next == 0)
            r->image_copied = r->image_goal;
    }
    return 0;
}

uint32_t mu_images_backlog(const struct mu_db *db, const struct mu_replica *r)
{
    bool behind = r->image_copied != db->image_generation;
    return behind ? db->image_page_bound - r->image_page_next : 0;
}

void mu_images_show(const struct mu_db *db, struct mu_replica *r)
{
    struct mu_snapshot *s = &r->shown;
    MU_ASSERT(r->image_copied == db->image_generation);
    s->image_base = s->image_generation;
    s->image_generation = db->image_generation;
}

void mu_images_replica_fini(struct mu_replica *r)
{
    for (uint32_t page = 0; page < r->image_page_bound; page++)
        mu_mem_free(r->image_pages[page]);
    mu_mem_free(r->image_pages);
    mu_mem_free(r->shown.images);
}
