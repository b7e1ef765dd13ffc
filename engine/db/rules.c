#include "engine/db/census_priv.h"

#include "engine/base/assert.h"

/*
 * Admission: the rules about other pods, once more, against the present (I11). A plan was made on a
 * snapshot; since then other pods have come, gone and been admitted.
 *
 * The books are brought up to date first, within the bound of one sync step; where that does not
 * reach, the plan is refused like any other that the world has overtaken. Then the plan's victims
 * are taken off, all binds of the gang are counted where they would be, each is judged with itself
 * taken off, and all is put back. The order in which a gang was placed is not known here. It does
 * not matter: every rule but spread asks for something that later members can only make truer or
 * that concerns both sides alike, and for spread members that do not carry the constraint are left
 * out where they are what would break it.
 */
struct check {
    struct mu_db *db;
    const struct mu_plan_gang *gang;
};

/* --- trying out ------------------------------------------------------------------------------ */

/* Count without telling anyone: it is taken back before anybody looks. */
static int trial_count(struct mu_db *db, uint32_t census, uint32_t pod, int step)
{
    struct mu_census_rec *c = mu_census_at(db->books, census);
    uint32_t domain = mu_census_domain(db, c, mu_pod_at(db, pod));
    if (domain == MU_NONE)
        return 0;
    mu_census_add(db, c, domain, step);
    return 0;
}

/* As if the bind's pod were on its node, to be bound: the record says so for the length of the
 * visit. */
static int there(struct mu_db *db, const struct mu_plan_bind *bind, mu_census_visit_fn visit,
                 int step)
{
    struct mu_pod_rec *p = mu_pod_at(db, bind->pod.v);
    const struct mu_node_ix held = p->node;
    const uint8_t ledger = p->ledger;
    p->node = bind->node;
    p->ledger = MU_LEDGER_IN_FLIGHT;
    int rc = mu_census_each(db, bind->pod.v, visit, step);
    p->node = held;
    p->ledger = ledger;
    return rc;
}

/* Put all binds in their places (1), or take them back (-1): room that a pod holds elsewhere is not
 * its place. */
static void place_all(struct mu_db *db, const struct mu_plan_gang *gang, int step)
{
    for (uint32_t i = 0; i < gang->bind_count; i++) {
        uint32_t pod = gang->binds[i].pod.v;
        if (mu_pod_at(db, pod)->node.v != MU_NONE)
            (void)mu_census_each(db, pod, trial_count, -step);
        (void)there(db, &gang->binds[i], trial_count, step);
    }
}

/* Take off (-1) or count again (1) the pods that are to go first. */
static void vanish(struct mu_db *db, const struct mu_plan_gang *gang, int step)
{
    for (uint32_t i = 0; i < gang->evict_count; i++) {
        uint32_t pod = mu_evict_pod(db, &gang->evicts[i]);
        if (pod != MU_NONE)
            (void)mu_census_each(db, pod, trial_count, step);
    }
}

/* --- rules ----------------------------------------------------------------------------------- */

static int32_t count_at(const struct mu_census_rec *c, uint32_t domain)
{
    return domain < c->own.domain_count ? c->own.counts[domain] : 0;
}

/* The census of a rule, NULL where it cannot be judged. */
static const struct mu_census_rec *census_of(const struct mu_books *b, struct mu_census_ix number)
{
    if (!mu_census_is(number))
        return NULL;
    const struct mu_census_rec *c = mu_census_at(b, number.v);
    bool partial = c->own.kind != MU_CENSUS_PORT && mu_matcher_at(b, c->own.matcher.v)->overflow;
    return partial ? NULL : c;
}

static const char *const unjudged = "a rule of it cannot be judged";
static const char *const no_affinity_key = "its node lacks the topology key of its pod affinity";
static const char *const no_spread_key = "its node lacks the topology key of its spread";

/* The pod is not counted itself while these ask. */
static const char *check_terms(const struct check *k, const struct mu_pod_rec *p, uint32_t row)
{
    const struct mu_books *b = k->db->books;
    const struct mu_class *c = mu_model_get_class(k->db->model, p->class_ix);
    const struct mu_class_census *block = mu_class_at(b, p->class_ix)->block;
    bool met = true;
    bool nobody = true;
    bool self = true;
    for (uint32_t i = 0; i < c->term_count; i++) {
        if (c->terms[i].kind > MU_TERM_ANTI_AFFINITY)
            continue;
        if (block->terms[i].v == MU_CENSUS_VOID && c->terms[i].kind == MU_TERM_AFFINITY)
            return no_affinity_key;
        if (block->terms[i].v == MU_CENSUS_VOID)
            continue;
        const struct mu_census_rec *census = census_of(b, block->terms[i]);
        if (census == NULL)
            return unjudged;
        uint32_t domain = mu_topology_domain(&b->topologies[census->own.topology], row);
        bool near = domain != MU_NONE && count_at(census, domain) > 0;
        if (c->terms[i].kind == MU_TERM_ANTI_AFFINITY && near)
            return "its node is near a pod that it must not be near";
        if (c->terms[i].kind != MU_TERM_AFFINITY)
            continue;
        if (domain == MU_NONE)
            return no_affinity_key;
        met = met && near;
        nobody = nobody && census->own.total == 0;
        self = self && mu_kin_matches(b, p->kin.v, c->terms[i].matcher.v);
    }
    /* The first of its sort may begin anywhere. */
    return met || (nobody && self) ? NULL
                                   : "its node is near none of the pods that it must be near";
}

static const char *check_symmetry(const struct check *k, const struct mu_pod_rec *p, uint32_t row)
{
    const struct mu_books *b = k->db->books;
    if (mu_kin_at(b, p->kin.v)->partial)
        return unjudged;
    for (uint32_t e = mu_kin_at(b, p->kin.v)->edges; e != MU_NONE;) {
        const struct mu_edge *edge = mu_slab_at(&b->edges, e);
        uint32_t number = mu_matcher_at(b, edge->matcher)->first;
        for (; number != MU_NONE; number = mu_census_at(b, number)->next) {
            const struct mu_census_rec *c = mu_census_at(b, number);
            if (c->own.kind != MU_CENSUS_CARRY || c->own.term != MU_TERM_ANTI_AFFINITY)
                continue;
            uint32_t domain = mu_topology_domain(&b->topologies[c->own.topology], row);
            if (domain != MU_NONE && count_at(c, domain) > 0)
                return "its node is near a pod that must not be near it";
        }
        e = edge->kin_next;
    }
    return NULL;
}

static const char *check_ports(const struct check *k, const struct mu_pod_rec *p, uint32_t row)
{
    const struct mu_books *b = k->db->books;
    const struct mu_class *c = mu_model_get_class(k->db->model, p->class_ix);
    struct mu_symbol any = {0};
    bool known = mu_symbol_find(k->db->symbols, MU_STR("0.0.0.0"), &any);
    for (uint32_t i = 0; i < c->port_count; i++) {
        const struct mu_port_item *want = &c->ports[i];
        if (!mu_census_is(mu_class_at(b, p->class_ix)->block->ports[i]))
            return unjudged;
        uint32_t number = b->ports[want->port % MU_PORT_BUCKETS];
        for (; number != MU_NONE; number = mu_census_at(b, number)->next) {
            const struct mu_census_rec *census = mu_census_at(b, number);
            const struct mu_port_item *is = &census->own.port;
            bool meets =
                is->ip.v == want->ip.v || (known && (is->ip.v == any.v || want->ip.v == any.v));
            if (is->port == want->port && is->protocol == want->protocol && meets &&
                count_at(census, row) > 0)
                return "a host port of it is taken on its node";
        }
    }
    return NULL;
}

/* --- spread ---------------------------------------------------------------------------------- */

/* Members in the domain that are counted and do not carry the constraint: they may have come after
 * those that do. */
static int32_t free_riders(const struct check *k, const struct mu_census_rec *c, uint32_t number,
                           uint32_t domain)
{
    const struct mu_books *b = k->db->books;
    int32_t riders = 0;
    for (uint32_t i = 0; i < k->gang->bind_count; i++) {
        const struct mu_pod_rec *p = mu_pod_at(k->db, k->gang->binds[i].pod.v);
        const struct mu_class *class_ = mu_model_get_class(k->db->model, p->class_ix);
        uint32_t row = k->gang->binds[i].node.v;
        if (mu_topology_domain(&b->topologies[c->own.topology], row) != domain ||
            !mu_kin_matches(b, p->kin.v, c->own.matcher.v))
            continue;
        bool carries = false;
        for (uint32_t s = 0; s < class_->hard_spread_count; s++)
            carries |= mu_class_at(b, p->class_ix)->block->spreads[s].v == number;
        riders += !carries;
    }
    return riders;
}

/* The pod is counted itself: its own domain may be the least without it, and is fine then. */
static const char *check_spread(const struct check *k, const struct mu_pod_rec *p, uint32_t row)
{
    const struct mu_books *b = k->db->books;
    const struct mu_class *c = mu_model_get_class(k->db->model, p->class_ix);
    for (uint32_t i = 0; i < c->hard_spread_count; i++) {
        const struct mu_spread_item *s = &c->spreads[i];
        struct mu_census_ix number = mu_class_at(b, p->class_ix)->block->spreads[i];
        const struct mu_census_rec *census = census_of(b, number);
        if (number.v == MU_CENSUS_VOID)
            return no_spread_key;
        if (census == NULL)
            return unjudged;
        uint32_t domain = mu_topology_domain(&b->topologies[census->own.topology], row);
        if (domain == MU_NONE)
            return no_spread_key;
        uint32_t domains;
        int32_t least = mu_census_least(k->db, number.v, &domains);
        bool matched = mu_kin_matches(b, p->kin.v, census->own.matcher.v);
        bool counted = matched && !census->own.counts_none &&
                       mu_rowset_has(&mu_field_at(b, census->field)->eligible, row);
        int32_t others = count_at(census, domain) - counted;
        least = domains == 0 || domains < (uint32_t)s->min_domains ? 0 : least;
        least = counted && others < least ? others : least;
        int64_t skew = (int64_t)others + (matched || census->own.counts_none) - least;
        if (skew > s->max_skew)
            skew -= free_riders(k, census, number.v, domain);
        if (skew > s->max_skew)
            return "its spread would be too uneven";
    }
    return NULL;
}

/* --- the gang -------------------------------------------------------------------------------- */

static const char *check_bind(const struct check *k, const struct mu_plan_bind *bind)
{
    const struct mu_pod_rec *p = mu_pod_at(k->db, bind->pod.v);
    bool rules = mu_class_has_rules(mu_model_get_class(k->db->model, p->class_ix));
    const struct mu_kin_rec *kin = mu_kin_at(k->db->books, p->kin.v);
    if (!rules && kin->edges == MU_NONE && !kin->partial)
        return NULL;
    const char *what = rules ? check_spread(k, p, bind->node.v) : NULL;
    if (what != NULL)
        return what;
    (void)there(k->db, bind, trial_count, -1);
    if (rules)
        what = check_terms(k, p, bind->node.v);
    if (what == NULL)
        what = check_symmetry(k, p, bind->node.v);
    if (what == NULL && rules)
        what = check_ports(k, p, bind->node.v);
    (void)there(k->db, bind, trial_count, 1);
    return what;
}

int mu_census_check(struct mu_db *db, const struct mu_plan_gang *gang, uint32_t *which,
                    const char **what)
{
    uint32_t spent = 0;
    int rc = mu_census_refresh(db, MU_SYNC_ROWS_PER_STEP, &spent);
    if (rc != 0 || db->books == NULL)
        return rc;
    *which = 0;
    *what = "the counts of pods are not up to date";
    if (mu_census_backlog(db) != 0)
        return MU_ECONFLICT;
    const struct check k = {.db = db, .gang = gang};
    for (uint32_t i = 0; rc == 0 && i < gang->bind_count; i++)
        rc = there(db, &gang->binds[i], mu_census_room, 1);
    if (rc != 0)
        return rc;
    vanish(db, gang, -1);
    place_all(db, gang, 1);
    for (uint32_t i = 0; rc == 0 && i < gang->bind_count; i++) {
        const char *why = check_bind(&k, &gang->binds[i]);
        if (why == NULL)
            continue;
        *which = i;
        *what = why;
        rc = MU_ECONFLICT;
    }
    place_all(db, gang, -1);
    vanish(db, gang, 1);
    return rc;
}
