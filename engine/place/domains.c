#include "engine/place/place_priv.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/device.h"

/*
 * How many of a gang's members each domain of a topology key has room for.
 *
 * Counted class by class, as if the others took none, over the nodes as they are now; members that
 * hold room and those of classes beyond the first few count as placed, and so do pods that rules
 * about other pods concern, since some of the gang may open nodes to others. So a domain without
 * enough room by this count has no room for the gang, and one with enough may have: for members of
 * one class without such rules it has.
 *
 * Of those with enough the one with the fewest places is best: it leaves the larger ones whole.
 */
#define TYPES_MAX 16u

struct type {
    struct mu_place_pod pod;
    uint32_t count; /* members */
    uint32_t want;  /* of them that cannot be spared */
};
struct counting {
    struct mu_place *place;
    uint32_t topology;
    uint32_t type_count;
    struct type types[TYPES_MAX];
    uint32_t unbounded; /* members that are not counted */
    uint32_t need;
    uint32_t domain_bound;
    uint32_t *places; /* by domain and type, up to the type's members */
    uint64_t *slots;  /* by domain: places of all types together */
    uint32_t *row_of; /* by domain: a row of it, MU_NONE: none takes a member */
};

uint32_t mu_place_need(const struct mu_gang_row *gang, uint32_t size)
{
    uint32_t need = 0;
    for (uint32_t s = 0; s < gang->block->subgroup_count; s++)
        need += mu_gang_subgroup_need(&gang->block->subgroups[s]);
    if (size > gang->placed_count + need)
        need = size - gang->placed_count;
    return need;
}

static void types_collect(struct counting *c, const struct mu_gang_row *gang, uint32_t size)
{
    const struct mu_gang_block *block = gang->block;
    for (uint32_t m = 0; m < block->member_count; m++) {
        const struct mu_gang_member *member = &block->members[m];
        uint32_t t = 0;
        while (t < c->type_count && c->types[t].pod.class_ix.v != member->class_ix.v)
            t++;
        if (member->held.v != MU_NONE || t == TYPES_MAX ||
            mu_terms_concern(c->place->snapshot, member->class_ix, member->kin)) {
            c->unbounded++;
            continue;
        }
        if (t == c->type_count)
            c->types[c->type_count++] = (struct type){.pod = {member->class_ix, member->kin}};
        c->types[t].count++;
    }
    c->need = mu_place_need(gang, size);
    MU_ASSERT(c->need <= block->member_count);
    uint32_t spare = block->member_count - c->need;
    for (uint32_t t = 0; t < c->type_count; t++)
        c->types[t].want = c->types[t].count > spare ? c->types[t].count - spare : 0;
}

/* Pods of a class that a row where one fits takes, up to `most`. */
static uint32_t row_places(const struct mu_snapshot *s, const struct mu_class *class_, uint32_t row,
                           uint32_t most)
{
    int64_t places = s->free[MU_RES_PODS][row] < most ? s->free[MU_RES_PODS][row] : most;
    for (uint32_t d = 0; d < class_->demand_count; d++) {
        uint32_t r = class_->demands[d].resource.v;
        int64_t room = s->free[r][row] / class_->demands[d].amount;
        if (s->devices != NULL && r == s->share_resource)
            room = mu_device_slots(&s->devices[row], class_->demands[d].amount, room);
        places = room < places ? room : places;
    }
    return (uint32_t)places;
}

static int type_count_places(struct counting *c, uint32_t t)
{
    const struct mu_snapshot *s = c->place->snapshot;
    const struct type *type = &c->types[t];
    const struct mu_class *class_ = mu_model_get_class(s->model, type->pod.class_ix);
    for (uint32_t begin = 0; begin < s->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t bits;
        int error = mu_place_fits(c->place, type->pod, begin, &bits);
        if (error != 0)
            return error;
        for (; bits != 0; bits &= bits - 1) {
            uint32_t row = begin + (uint32_t)__builtin_ctzll(bits);
            uint32_t domain = s->topology[c->topology][row];
            if (domain == MU_NONE)
                continue;
            MU_ASSERT(domain < c->domain_bound);
            uint32_t places = row_places(s, class_, row, MU_GANG_MEMBERS_MAX);
            uint32_t *sum = &c->places[(size_t)domain * c->type_count + t];
            *sum = places < type->count - *sum ? *sum + places : type->count;
            c->slots[domain] += places;
            c->row_of[domain] = row;
        }
    }
    return 0;
}

/* The value that makes a domain, by one of its rows. */
static struct mu_symbol value_of(const struct mu_snapshot *s, struct mu_symbol key, uint32_t row)
{
    const struct mu_labels_view labels = mu_snapshot_labels(s, (struct mu_node_ix){row});
    if (labels.hostname.v != 0 && key.v == labels.hostname_key.v)
        return labels.hostname;
    for (uint32_t i = 0; i < labels.set->count; i++)
        if (labels.set->pairs[i].key.v == key.v)
            return labels.set->pairs[i].value;
    return (struct mu_symbol){0};
}

static int domain_compare(const void *left, const void *right, void *context)
{
    const struct mu_symtab *symbols = mu_model_names(((const struct mu_snapshot *)context)->model);
    const struct mu_place_domain *a = left, *b = right;
    if (a->enough != b->enough)
        return a->enough ? -1 : 1;
    if (!a->enough && a->most != b->most)
        return a->most > b->most ? -1 : 1;
    if (a->enough && a->slots != b->slots)
        return a->slots < b->slots ? -1 : 1;
    return mu_str_compare(mu_symbol_str(symbols, a->value), mu_symbol_str(symbols, b->value));
}

static struct mu_place_domain domain_sum(const struct counting *c, uint32_t domain)
{
    const struct mu_snapshot *s = c->place->snapshot;
    struct mu_place_domain out = {.domain = domain,
                                  .value =
                                      value_of(s, s->topology_keys[c->topology], c->row_of[domain]),
                                  .most = c->unbounded,
                                  .slots = c->slots[domain],
                                  .enough = true};
    for (uint32_t t = 0; t < c->type_count; t++) {
        uint32_t places = c->places[(size_t)domain * c->type_count + t];
        out.most += places;
        out.enough = out.enough && places >= c->types[t].want;
    }
    out.enough = out.enough && out.most >= c->need;
    return out;
}

int mu_place_domains(struct mu_place *place, const struct mu_gang_row *gang, uint32_t size,
                     uint32_t topology, struct mu_arena *arena, struct mu_place_domains *out)
{
    struct mu_snapshot *s = place->snapshot;
    MU_ASSERT(topology < s->topology_count);
    struct counting c = {
        .place = place, .topology = topology, .domain_bound = s->domain_bound[topology]};
    types_collect(&c, gang, size);
    *out = (struct mu_place_domains){0};
    c.places =
        mu_arena_calloc(arena, (size_t)c.domain_bound * (c.type_count + 1), sizeof *c.places);
    c.slots = mu_arena_calloc(arena, (size_t)c.domain_bound + 1, sizeof *c.slots);
    c.row_of = mu_arena_alloc(arena, ((size_t)c.domain_bound + 1) * sizeof *c.row_of);
    out->items = mu_arena_alloc(arena, ((size_t)c.domain_bound + 1) * sizeof *out->items);
    if (c.places == NULL || c.slots == NULL || c.row_of == NULL || out->items == NULL)
        return MU_ENOMEM;
    memset(c.row_of, 0xff, c.domain_bound * sizeof *c.row_of);
    for (uint32_t t = 0; t < c.type_count; t++) {
        int error = type_count_places(&c, t);
        if (error != 0)
            return error;
    }
    for (uint32_t row = 0; c.unbounded > 0 && row < s->node_rows; row++)
        if (s->topology[topology][row] != MU_NONE)
            c.row_of[s->topology[topology][row]] = row;
    for (uint32_t d = 0; d < c.domain_bound; d++)
        if (c.row_of[d] != MU_NONE)
            out->items[out->count++] = domain_sum(&c, d);
    qsort_r(out->items, out->count, sizeof *out->items, domain_compare, s);
    return 0;
}
