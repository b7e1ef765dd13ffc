#ifndef MU_TESTS_DB_TWIN_H
#define MU_TESTS_DB_TWIN_H
/*
 * The cluster DB's naive twin: plain arrays of nodes and pods, the rules of engine/db/db.h written
 * down once more in the dullest way, and random changes sent to the DB and made here alike.
 */
#include "tests/db_fixture.h"

#include "engine/base/random.h"
#include "engine/db/db_priv.h"

enum { NODES = 10, PODS = 48, NAMES = 4, RES = 5, REPLICAS = 4, STEPS = 6000, SEEDS = 16 };
enum { GANGS = 2 * 2 * NAMES, KEYS = GANGS + PODS, NO_KEY = -1 };
__extension__ typedef __int128 wide;

struct twin_node {
    bool present, unschedulable, tainted;
    uint32_t uid, zone, incarnation;
    uint32_t images; /* bit per image of twin_images */
    uint64_t version;
    int64_t alloc[RES];
};
struct twin_pod {
    bool exists, ours, terminating, terminal, gated, tolerates, confirmed;
    uint32_t uid, unbuilt, size, subgroup, zone; /* zone 0: no selector */
    uint64_t version, created_s;
    int32_t priority;
    int node;      /* bound to; -1 */
    int nominated; /* expected on; -1, or NODES: one that is never there */
    enum mu_gang_source source;
    uint32_t gang;
    int64_t requests[RES];
    int64_t paddings[2]; /* of cpu and memory */
    enum mu_ledger_state ledger;
    int ledger_node;
};
/* What a gang keeps that its members do not say. */
struct twin_gang {
    uint32_t frozen, incarnation;
    uint64_t settle_ns, order;
};
struct twin_replica {
    struct mu_snapshot *s;
    bool complete;
    uint64_t digest, op;
    uint32_t gang_incarnation[KEYS];
    uint32_t node_incarnation[NODES];
};
struct twin {
    struct mu_db *db;
    struct mu_random random;
    struct twin_node nodes[NODES];
    struct twin_pod pods[PODS];
    struct twin_gang gangs[KEYS];
    struct twin_replica replicas[REPLICAS];
    uint64_t version, now_ns, op, order, stale;
    uint32_t uid, admitted, conflicts;
};

static const int64_t capacities[][RES] = {{4000, 16 * GIB, 0, 10, 0},
                                          {8000, 32 * GIB, 0, 10, 0},
                                          {8000, 32 * GIB, 0, 10, 4},
                                          {2000, INT64_MAX, 7, 3, 0},
                                          {0, 0, 0, 0, 0}};
static const char *const resource_names[RES] = {"cpu", "memory", "ephemeral-storage", "pods",
                                                "example.com/gpu"};

#define TWIN_IMAGES 3
static const struct mu_image twin_images[TWIN_IMAGES] = {
    {{"web:1", 5}, 100}, {{"db:1", 4}, 200}, {{"side:1", 6}, INT64_C(5) << 40}};

static uint32_t below(struct twin *t, uint32_t bound)
{
    return (uint32_t)mu_random_below(&t->random, bound);
}
static bool chance(struct twin *t, uint32_t permille)
{
    return mu_random_chance(&t->random, permille);
}

/* --- the twin's own rules ------------------------------------------------------------------- */

static bool twin_member(const struct twin_pod *p)
{
    return p->exists && p->ours && !p->terminal && !p->terminating &&
           !(p->source == MU_GANG_SOLO && p->node >= 0);
}
static enum mu_role twin_role(const struct twin_pod *p)
{
    if (!twin_member(p))
        return MU_ROLE_NONE;
    if (p->node >= 0 || p->ledger == MU_LEDGER_IN_FLIGHT)
        return MU_ROLE_PLACED;
    return p->gated || p->unbuilt != 0 ? MU_ROLE_BLOCKED : MU_ROLE_PENDING;
}
static int twin_key(const struct twin *t, uint32_t pod)
{
    const struct twin_pod *p = &t->pods[pod];
    if (!twin_member(p))
        return NO_KEY;
    if (p->source == MU_GANG_SOLO)
        return GANGS + (int)pod;
    return (int)((pod % 2 * 2 + (p->source == MU_GANG_PLAIN)) * NAMES + p->gang);
}
/* The node that a pod is charged to; -1: none. */
static int twin_charged(const struct twin_pod *p)
{
    if (!p->exists)
        return -1;
    if (p->ledger != MU_LEDGER_NONE)
        return p->ledger_node;
    return p->terminal ? -1 : p->node;
}
/* Whether it waits and is expected on the node. */
static bool twin_nominated(const struct twin_pod *p, int node)
{
    return p->exists && p->node < 0 && !p->terminal && !p->terminating &&
           p->ledger == MU_LEDGER_NONE && p->nominated == node;
}
static void twin_free(const struct twin *t, int node, wide *free)
{
    for (int r = 0; r < RES; r++)
        free[r] = t->nodes[node].present ? t->nodes[node].alloc[r] : 0;
    for (uint32_t i = 0; i < PODS; i++) {
        if (twin_charged(&t->pods[i]) != node)
            continue;
        for (int r = 0; r < RES; r++)
            free[r] -= r == MU_RES_PODS ? 1 : t->pods[i].requests[r];
    }
}
/* What is assumed of cpu or memory beyond what is asked for. */
static int64_t twin_padding(const struct twin *t, int node, int which)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < PODS; i++)
        sum += twin_charged(&t->pods[i]) == node ? t->pods[i].paddings[which] : 0;
    return sum;
}
static int64_t floored(wide value)
{
    return value < MU_FREE_MIN ? MU_FREE_MIN : (int64_t)value;
}

struct twin_count {
    uint32_t members, placed, bound, blocked, pending, rules, stated;
    int32_t priority;
    uint64_t created_s;
    bool split;
};
static struct twin_count twin_count(const struct twin *t, int key)
{
    struct twin_count c = {.priority = INT32_MAX, .created_s = UINT64_MAX};
    uint32_t subgroup = UINT32_MAX;
    for (uint32_t i = 0; i < PODS; i++) {
        const struct twin_pod *p = &t->pods[i];
        if (twin_key(t, i) != key)
            continue;
        enum mu_role role = twin_role(p);
        uint32_t size = p->source == MU_GANG_SOLO ? 1 : p->size;
        c.members++;
        c.placed += role == MU_ROLE_PLACED;
        c.bound += role == MU_ROLE_PLACED && (p->node >= 0 || p->confirmed);
        c.pending += role == MU_ROLE_PENDING;
        c.blocked += role == MU_ROLE_BLOCKED;
        c.rules |= role == MU_ROLE_BLOCKED ? p->unbuilt : 0;
        c.stated = size > c.stated ? size : c.stated;
        c.priority = p->priority < c.priority ? p->priority : c.priority;
        c.created_s = p->created_s < c.created_s ? p->created_s : c.created_s;
        c.split |= subgroup != UINT32_MAX && subgroup != p->subgroup;
        subgroup = p->subgroup;
    }
    return c;
}
static uint32_t twin_size(const struct twin *t, int key, const struct twin_count *c)
{
    uint32_t frozen = c->placed != 0 ? t->gangs[key].frozen : 0;
    frozen = frozen < c->members ? frozen : c->members;
    return c->stated != 0 ? c->stated : frozen;
}

/* Arrivals and departures since `before`: settle times, frozen sizes, incarnations. */
static void twin_moved(struct twin *t, const struct twin *before)
{
    t->op++;
    for (int key = 0; key < KEYS; key++) {
        bool arrived = false;
        bool solo_left = false;
        uint32_t was = 0;
        uint32_t is = 0;
        for (uint32_t i = 0; i < PODS; i++) {
            bool had = twin_key(before, i) == key;
            bool has = twin_key(t, i) == key;
            arrived |= has && (!had || before->pods[i].uid != t->pods[i].uid);
            solo_left |= key >= GANGS && had && has && before->pods[i].uid != t->pods[i].uid;
            was += had;
            is += has;
        }
        struct twin_gang *g = &t->gangs[key];
        if ((was != 0 && is == 0) || solo_left) {
            g->frozen = 0;
            g->incarnation++;
        }
        if ((was == 0 && is != 0) || solo_left)
            g->order = ++t->order;
        if (arrived)
            g->settle_ns = t->now_ns + FIXTURE_QUIET_NS;
    }
}

/* --- objects --------------------------------------------------------------------------------- */

static const char *node_name(int node)
{
    static char name[16];
    (void)snprintf(name, sizeof name, "node-%d", node);
    return name;
}
/* Every third pod's UID is not a UUID. */
static struct mu_str uid_text(uint32_t uid)
{
    static char text[48];
    if (uid % 3 == 0)
        (void)snprintf(text, sizeof text, "uid/%u", uid);
    else
        (void)snprintf(text, sizeof text, "%08x-0000-4000-8000-%012x", uid * 2654435761u, uid);
    return mu_str_of(text);
}
static struct mu_str pod_ns(uint32_t pod)
{
    return pod % 2 == 0 ? MU_STR("even") : MU_STR("odd");
}

static void send_node(struct twin *t, int node, const struct twin_node *n)
{
    struct mu_amount amounts[RES];
    char uid[24];
    struct mu_label zone = {MU_STR("zone"), n->zone == 1 ? MU_STR("z1") : MU_STR("z2")};
    struct mu_taint taint = {MU_STR("dedicated"), MU_STR("x"), MU_EFFECT_NO_SCHEDULE};
    uint32_t count = 0;
    for (uint32_t r = 0; r < RES; r++)
        if (n->alloc[r] != 0)
            amounts[count++] = (struct mu_amount){mu_str_of(resource_names[r]), n->alloc[r]};
    struct mu_image images[TWIN_IMAGES];
    uint32_t image_count = 0;
    for (uint32_t i = 0; i < TWIN_IMAGES; i++)
        if ((n->images >> i & 1) != 0)
            images[image_count++] = twin_images[i];
    (void)snprintf(uid, sizeof uid, "node-uid-%u", n->uid);
    struct mu_node_object object = {.name = mu_str_of(node_name(node)),
                                    .uid = mu_str_of(uid),
                                    .version = n->version,
                                    .labels = &zone,
                                    .label_count = n->zone != 0,
                                    .taints = &taint,
                                    .taint_count = n->tainted,
                                    .allocatable = amounts,
                                    .allocatable_count = count,
                                    .images = images,
                                    .image_count = image_count,
                                    .unschedulable = n->unschedulable};
    assert_int_equal(mu_db_node_upsert(t->db, &object, t->now_ns, NULL), 0);
}

static void send_pod(struct twin *t, uint32_t pod, const struct twin_pod *p)
{
    static const char *const gangs[NAMES] = {"alpha", "beta", "gamma", "delta"};
    static const char *const subgroups[3] = {"", "leader", "workers"};
    struct mu_amount amounts[RES];
    char name[16];
    char nominated[16];
    struct mu_label selector = {MU_STR("zone"), p->zone == 1 ? MU_STR("z1") : MU_STR("z2")};
    struct mu_toleration toleration = {MU_STR("dedicated"), MU_STR(""), MU_TOLERATE_EXISTS,
                                       MU_EFFECT_ANY};
    uint32_t count = 0;
    for (uint32_t r = 0; r < RES; r++)
        if (p->requests[r] != 0)
            amounts[count++] = (struct mu_amount){mu_str_of(resource_names[r]), p->requests[r]};
    (void)snprintf(name, sizeof name, "pod-%u", pod);
    (void)snprintf(nominated, sizeof nominated, "node-%d", p->nominated);
    struct mu_pod_object object = {
        .ns = pod_ns(pod),
        .name = mu_str_of(name),
        .uid = uid_text(p->uid),
        .version = p->version,
        .created_s = p->created_s,
        .scheduler_name = p->ours ? fixture_scheduler : MU_STR("default-scheduler"),
        .node_name = p->node < 0 ? MU_STR("") : mu_str_of(node_name(p->node)),
        .priority = p->priority,
        .phase = p->terminal ? MU_POD_SUCCEEDED : MU_POD_PENDING,
        .terminating = p->terminating,
        .gated = p->gated,
        .unbuilt = p->unbuilt,
        .nominated_node = p->nominated < 0 ? MU_STR("") : mu_str_of(nominated),
        .requests = amounts,
        .request_count = count,
        .cpu_padding = p->paddings[0],
        .memory_padding = p->paddings[1],
        .selector = &selector,
        .selector_count = p->zone != 0,
        .tolerations = &toleration,
        .toleration_count = p->tolerates};
    if (p->source != MU_GANG_SOLO)
        object.gang = (struct mu_gang_ref){.source = p->source,
                                           .name = mu_str_of(gangs[p->gang]),
                                           .subgroup = mu_str_of(subgroups[p->subgroup]),
                                           .size = p->size};
    assert_int_equal(mu_db_pod_upsert(t->db, &object, t->now_ns, NULL), 0);
}

/* --- random changes --------------------------------------------------------------------------- */

static void change_node(struct twin *t)
{
    int i = (int)below(t, NODES);
    struct twin_node n = t->nodes[i];
    if (!n.present || chance(t, 100))
        n.uid = ++t->uid;
    if (!n.present || chance(t, 300))
        memcpy(n.alloc, capacities[below(t, 5)], sizeof n.alloc);
    n.unschedulable = chance(t, 150);
    n.tainted = chance(t, 150);
    n.zone = below(t, 3);
    n.images = chance(t, 500) ? n.images : below(t, 1 << TWIN_IMAGES);
    if (t->nodes[i].present && chance(t, 100)) { /* an old answer, late */
        n.version = t->nodes[i].version - 1;
        send_node(t, i, &n);
        t->stale++;
        return;
    }
    n.version = ++t->version;
    send_node(t, i, &n);
    const struct twin_node *old = &t->nodes[i];
    n.incarnation +=
        !old->present || old->uid != n.uid || memcmp(old->alloc, n.alloc, sizeof n.alloc) != 0;
    n.present = true;
    t->nodes[i] = n;
}

static void twin_remove_node(struct twin *t, int i)
{
    t->nodes[i].incarnation += t->nodes[i].present;
    t->nodes[i].present = false;
}

static void change_pod_gang(struct twin *t, struct twin_pod *p)
{
    p->source = (enum mu_gang_source)below(t, 3);
    p->gang = below(t, NAMES);
    p->size = p->source == MU_GANG_MUSTER && chance(t, 700) ? 1 + below(t, 5) : 0;
    p->subgroup = p->source != MU_GANG_SOLO && chance(t, 150) ? below(t, 3) : 0;
}

/* What the DB does with ledger entries when it sees an object. */
static void twin_settle_ledger(struct twin_pod *p)
{
    if (p->node >= 0 || p->terminal || (p->terminating && p->ledger == MU_LEDGER_HELD))
        p->ledger = MU_LEDGER_NONE;
    if (p->ledger != MU_LEDGER_IN_FLIGHT)
        p->confirmed = false;
}

static void change_pod(struct twin *t)
{
    uint32_t i = below(t, PODS);
    struct twin_pod p = t->pods[i];
    bool fresh = !p.exists || chance(t, 80);
    if (fresh) {
        p = (struct twin_pod){
            .exists = true, .uid = ++t->uid, .node = -1, .nominated = -1, .ours = chance(t, 850)};
        p.created_s = 100 + below(t, 6);
        change_pod_gang(t, &p);
    }
    if (fresh || chance(t, 150)) {
        for (int r = 0; r < RES; r++)
            p.requests[r] = 0;
        p.requests[0] = 250 * below(t, 9);
        p.requests[1] = GIB * below(t, 4);
        p.requests[4] = chance(t, 200) ? 1 + below(t, 2) : 0;
        if (chance(t, 20))
            p.requests[0] = INT64_MAX - below(t, 2); /* hostile */
        for (int which = 0; which < 2; which++)
            p.paddings[which] = chance(t, 300) ? 100 * (1 + below(t, 3)) : 0;
        p.zone = chance(t, 200) ? 1 + below(t, 2) : 0;
        p.tolerates = chance(t, 300);
    }
    if (chance(t, 60))
        change_pod_gang(t, &p);
    p.priority = chance(t, 100) ? (int32_t)below(t, 5) - 2 : p.priority;
    p.gated = chance(t, p.gated ? 500 : 60);
    p.unbuilt = chance(t, 60) ? 1u << below(t, 4) : 0;
    if (p.node < 0 && chance(t, 350))
        p.node =
            p.ledger != MU_LEDGER_NONE && chance(t, 700) ? p.ledger_node : (int)below(t, NODES);
    else if (chance(t, 20))
        p.node = -1; /* no API server does that; a source may */
    if (chance(t, p.nominated < 0 ? 40 : 300))
        p.nominated = (int)below(t, NODES + 2) - 1;
    p.terminating = p.terminating ? chance(t, 900) : chance(t, 60);
    p.terminal = p.terminal ? chance(t, 900) : chance(t, 50);
    if (t->pods[i].exists && chance(t, 80)) {
        p.version = t->pods[i].version - 1;
        send_pod(t, i, &p);
        t->stale++;
        return;
    }
    p.version = ++t->version;
    send_pod(t, i, &p);
    twin_settle_ledger(&p);
    t->pods[i] = p;
}

static void remove_pod(struct twin *t)
{
    uint32_t i = below(t, PODS);
    char name[16];
    (void)snprintf(name, sizeof name, "pod-%u", i);
    bool other = chance(t, 100);
    struct mu_str uid = other ? MU_STR("someone else") : uid_text(t->pods[i].uid);
    mu_db_pod_remove(t->db, pod_ns(i), mu_str_of(name), uid, t->now_ns);
    t->pods[i].exists &= other;
}

static void relist(struct twin *t)
{
    enum mu_db_kind kind = chance(t, 500) ? MU_DB_NODES : MU_DB_PODS;
    mu_db_relist_begin(t->db, kind);
    for (int i = 0; kind == MU_DB_NODES && i < NODES; i++) {
        if (t->nodes[i].present && chance(t, 850))
            send_node(t, i, &t->nodes[i]);
        else
            twin_remove_node(t, i);
    }
    for (uint32_t i = 0; kind == MU_DB_PODS && i < PODS; i++) {
        if (t->pods[i].exists && chance(t, 850))
            send_pod(t, i, &t->pods[i]);
        else
            t->pods[i].exists = false;
    }
    while (mu_db_relist_sweep(t->db, kind, 1 + below(t, 20), t->now_ns) == 1)
        ;
}

#endif
