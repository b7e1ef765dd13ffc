#include "engine/session/session_priv.h"

#include <string.h>

#include "engine/base/assert.h"

/*
 * The question behind a layout that failed, put to engine/session/pack.h: a type for each class in
 * each sub-group, a bin for each node on which some member fits, a dimension for each amount asked
 * for.
 *
 * That is the whole question where no rule about other pods concerns a member, none holds room, and
 * none asks for a part of a device: what a node has left is then a sum. Elsewhere nothing is asked.
 * Room that is kept for nominated pods is in the bins only as far as it keeps a type off a node; so
 * NO holds, and what seems to fit is tried.
 */

/* Nodes beyond which nothing is asked; the bins of so many take some tens of milliseconds. */
#define SEARCH_ROWS_MAX (1u << 18)

/* Making bins and groups of so many nodes counts as a step. */
#define ROWS_PER_STEP 8u

struct question {
    struct mu_pack pack;
    struct mu_place_pod pods[MU_PACK_TYPES_MAX];
    uint8_t *type_of; /* by member */
    uint32_t *row_of; /* by bin */
    uint32_t dims[MU_RESOURCES_MAX];
};

/* True when pods of this class share a device with others. */
static bool is_sharing(const struct mu_snapshot *snapshot, const struct mu_class *class_)
{
    bool sharing = false;
    for (uint32_t d = 0; d < class_->demand_count && snapshot->devices != NULL; d++)
        sharing = sharing || class_->demands[d].resource.v == snapshot->share_resource;
    return sharing;
}

/* Sort the members into types. False: it cannot be asked. */
static bool types_make(const struct mu_session *session, const struct mu_attempt *a,
                       struct question *q)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    const struct mu_gang_block *block = a->block;
    struct mu_pack *pack = &q->pack;
    pack->part_count = block->subgroup_count;
    for (uint32_t s = 0; s < block->subgroup_count; s++) {
        const struct mu_gang_subgroup *subgroup = &block->subgroups[s];
        pack->part_need[s] = mu_gang_subgroup_need(subgroup);
        uint32_t first = pack->type_count; /* of this sub-group */
        for (uint32_t i = 0; i < subgroup->member_count; i++) {
            const struct mu_gang_member *member = &block->members[subgroup->member_begin + i];
            const struct mu_class *class_ = mu_model_get_class(snapshot->model, member->class_ix);
            uint32_t t = first;
            while (t < pack->type_count && q->pods[t].class_ix.v != member->class_ix.v)
                t++;
            if (t == MU_PACK_TYPES_MAX || member->held.v != MU_NONE ||
                is_sharing(snapshot, class_) ||
                mu_terms_concern(snapshot, member->class_ix, member->kin))
                return false;
            if (t == pack->type_count) {
                q->pods[t] = mu_session_pod(member);
                pack->types[pack->type_count++] = (struct mu_pack_type){.part = s};
            }
            pack->types[t].count++;
            q->type_of[subgroup->member_begin + i] = (uint8_t)t;
        }
    }
    pack->need = mu_session_need(a);
    return true;
}

static void dims_make(const struct mu_session *session, struct question *q)
{
    struct mu_pack *pack = &q->pack;
    uint32_t number[MU_RESOURCES_MAX];
    memset(number, 0xff, sizeof number);
    number[MU_RES_PODS] = 0;
    q->dims[0] = MU_RES_PODS;
    pack->dim_count = 1;
    for (uint32_t t = 0; t < pack->type_count; t++) {
        const struct mu_class *class_ =
            mu_model_get_class(session->snapshot->model, q->pods[t].class_ix);
        pack->types[t].demand[0] = 1;
        for (uint32_t d = 0; d < class_->demand_count; d++) {
            uint32_t r = class_->demands[d].resource.v;
            if (r >= session->snapshot->resource_count)
                continue; /* it fits nowhere */
            if (number[r] == UINT32_MAX) {
                number[r] = pack->dim_count;
                q->dims[pack->dim_count++] = r;
            }
            pack->types[t].demand[number[r]] += class_->demands[d].amount;
        }
    }
}

/* Nodes on which some member fits now. */
static int bins_make(struct mu_session *session, struct question *q)
{
    const struct mu_snapshot *snapshot = session->snapshot;
    struct mu_pack *pack = &q->pack;
    uint32_t *types = mu_arena_alloc(session->scratch, snapshot->node_rows * sizeof *types);
    int64_t *room = mu_arena_alloc(session->scratch,
                                   (size_t)snapshot->node_rows * pack->dim_count * sizeof *room);
    q->row_of = mu_arena_alloc(session->scratch, snapshot->node_rows * sizeof *q->row_of);
    if (types == NULL || room == NULL || q->row_of == NULL)
        return MU_ENOMEM;
    for (uint32_t begin = 0; begin < snapshot->node_rows; begin += MU_NODE_CHUNK) {
        uint64_t fits[MU_PACK_TYPES_MAX], any = 0;
        for (uint32_t t = 0; t < pack->type_count; t++) {
            int error = mu_place_fits(session->place, q->pods[t], begin, &fits[t]);
            if (error != 0)
                return error;
            any |= fits[t];
        }
        for (; any != 0; any &= any - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(any), bin = pack->bin_count++;
            q->row_of[bin] = begin + bit;
            types[bin] = 0;
            for (uint32_t t = 0; t < pack->type_count; t++)
                types[bin] |= (uint32_t)(fits[t] >> bit & 1) << t;
            for (uint32_t d = 0; d < pack->dim_count; d++)
                room[(size_t)bin * pack->dim_count + d] = snapshot->free[q->dims[d]][begin + bit];
        }
    }
    pack->bin_types = types;
    pack->bin_free = room;
    return 0;
}

int mu_session_search(struct mu_session *session, struct mu_attempt *a,
                      struct mu_session_found *out)
{
    *out = (struct mu_session_found){.result = {.answer = MU_PACK_UNDECIDED}};
    uint64_t own = a->search_steps - a->search_used, left = session->search_left;
    uint64_t budget = own < left ? own : left;
    bool cut = left < own; /* what others have used is not there */
    uint64_t fixed = session->snapshot->node_rows / ROWS_PER_STEP;
    if (own == 0 || session->snapshot->node_rows > SEARCH_ROWS_MAX)
        return 0;
    mu_arena_reset(session->scratch);
    struct question *q = mu_arena_zalloc(session->scratch, sizeof *q);
    if (q == NULL)
        return MU_ENOMEM;
    q->type_of = mu_arena_alloc(session->scratch, a->block->member_count);
    if (q->type_of == NULL)
        return MU_ENOMEM;
    if (!types_make(session, a, q))
        return 0;
    if (budget <= fixed) { /* there is not even enough to look at the nodes */
        a->search_ran_out = true;
        a->search_cut = a->search_cut || cut;
        return 0;
    }
    dims_make(session, q);
    int error = bins_make(session, q);
    if (error == 0)
        error = mu_pack_solve(&q->pack, budget - fixed, session->scratch, &out->result);
    uint64_t used = fixed + out->result.steps;
    used = used < budget ? used : budget;
    bool ran_out = error == 0 && out->result.answer == MU_PACK_UNDECIDED;
    a->search_used += used;
    session->search_left -= used;
    a->search_ran_out = a->search_ran_out || ran_out;
    a->search_cut = a->search_cut || (ran_out && cut);
    out->row_of = q->row_of;
    out->type_of = q->type_of;
    return error;
}

/* The next member of a type that has no node yet. */
static uint32_t member_next(const struct mu_session *session, const struct mu_attempt *a,
                            const uint8_t *type_of, uint32_t type, uint32_t from)
{
    uint32_t m = from;
    while (m < a->block->member_count && (type_of[m] != type || session->nodes[m] != MU_NONE))
        m++;
    return m;
}

int mu_session_take_found(struct mu_session *session, struct mu_attempt *a,
                          const struct mu_session_found *found, bool *done)
{
    uint32_t next[MU_PACK_TYPES_MAX] = {0};
    MU_ASSERT(found->result.answer == MU_PACK_FIT && a->placed == 0);
    *done = true;
    for (uint32_t p = 0; p < found->result.put_count && *done; p++) {
        const struct mu_pack_put *put = &found->result.puts[p];
        uint32_t row = found->row_of[put->bin];
        for (uint32_t n = 0; n < put->count && *done; n++) {
            uint32_t m = member_next(session, a, found->type_of, put->type, next[put->type]);
            MU_ASSERT(m < a->block->member_count);
            next[put->type] = m + 1;
            const struct mu_place_pod pod = mu_session_pod(&a->block->members[m]);
            uint64_t bits;
            int error =
                mu_place_fits(session->place, pod, row / MU_NODE_CHUNK * MU_NODE_CHUNK, &bits);
            *done = error == 0 && (bits >> row % MU_NODE_CHUNK & 1) != 0;
            MU_ASSERT(error != 0 || *done || session->snapshot->nominated_count > 0);
            if (*done)
                error = mu_place_take(session->place, pod, (struct mu_node_ix){row});
            if (error != 0)
                return error;
            if (!*done)
                break;
            session->nodes[m] = row;
            session->devices[m] = mu_place_devices(session->place);
            a->placed++;
        }
    }
    return 0;
}
