#include "tests/support/world_random.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/base/assert.h"

#define MI INT64_C(1048576)

static const struct mu_str keys[] = {{"app", 3}, {"tier", 4}, {"job", 3}};
static const struct mu_str values[] = {{"a", 1}, {"b", 1}, {"c", 1}, {"7", 1}, {"12", 2}};
static const struct mu_str topologies[] = {
    {"zone", 4}, {"rack", 4}, {"kubernetes.io/hostname", 22}, {"nowhere", 7}};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t below(struct mu_random *random, size_t bound)
{
    return (uint32_t)mu_random_below(random, bound);
}

static void *make(struct mu_arena *arena, size_t count, size_t bytes)
{
    void *block = mu_arena_calloc(arena, count > 0 ? count : 1, bytes);
    MU_ASSERT(block != NULL);
    return block;
}

static struct mu_str kept(struct mu_arena *arena, const char *line)
{
    struct mu_str s = mu_arena_str(arena, mu_str_of(line));
    MU_ASSERT(s.data != NULL);
    return s;
}

struct mu_str mu_world_text(struct mu_arena *arena, const char *prefix, uint32_t number)
{
    char line[64];
    (void)snprintf(line, sizeof line, "%s%" PRIu32, prefix, number);
    return kept(arena, line);
}

static struct mu_str uid(struct mu_arena *arena, const char *prefix, uint32_t number)
{
    char line[64];
    (void)snprintf(line, sizeof line, "%s%012" PRIx32, prefix, number);
    return kept(arena, line);
}

static uint32_t random_labels(struct mu_arena *arena, struct mu_random *random,
                              const struct mu_label **out)
{
    struct mu_label *labels = make(arena, COUNT(keys), sizeof *labels);
    uint32_t count = 0;
    for (size_t k = 0; k < COUNT(keys); k++)
        if (mu_random_chance(random, 600))
            labels[count++] = (struct mu_label){keys[k], values[below(random, COUNT(values))]};
    *out = labels;
    return count;
}

static struct mu_requirement random_requirement(struct mu_arena *arena, struct mu_random *random,
                                                bool numbers)
{
    struct mu_requirement r = {.key = keys[below(random, COUNT(keys))],
                               .op = (enum mu_op)below(random, numbers ? 7 : 4)};
    if (r.op == MU_OP_IN || r.op == MU_OP_NOT_IN)
        r.value_count = 1 + below(random, 3);
    else if (r.op == MU_OP_GT || r.op == MU_OP_LT)
        r.value_count = 1;
    struct mu_str *list = make(arena, r.value_count, sizeof *list);
    for (uint32_t v = 0; v < r.value_count; v++)
        list[v] = values[below(random, COUNT(values))];
    if (r.op == MU_OP_GT || r.op == MU_OP_LT)
        list[0] = values[3 + below(random, 2)]; /* a number, as the source has checked */
    r.values = list;
    return r;
}

static struct mu_selector random_selector(struct mu_arena *arena, struct mu_random *random,
                                          bool numbers)
{
    struct mu_selector s = {.nothing = mu_random_chance(random, 30),
                            .requirement_count = below(random, 3)};
    struct mu_requirement *list = make(arena, s.requirement_count, sizeof *list);
    for (uint32_t i = 0; i < s.requirement_count; i++)
        list[i] = random_requirement(arena, random, numbers);
    s.requirements = list;
    return s;
}

/* ---- nodes and namespaces ------------------------------------------------------------------- */

static void random_node_labels(struct mu_world *world, struct mu_random *random,
                               struct mu_node_object *node)
{
    struct mu_label *labels = make(world->arena, COUNT(keys) + 3, sizeof *labels);
    uint32_t count = 0;
    if (mu_random_chance(random, 900))
        labels[count++] =
            (struct mu_label){topologies[0], mu_world_text(world->arena, "z", below(random, 3))};
    if (mu_random_chance(random, 700))
        labels[count++] =
            (struct mu_label){topologies[1], mu_world_text(world->arena, "r", below(random, 6))};
    if (mu_random_chance(random, 950)) /* now and then another's name */
        labels[count++] = (struct mu_label){
            topologies[2], mu_random_chance(random, 950) ? node->name : MU_STR("node-0")};
    for (size_t k = 0; k < COUNT(keys); k++)
        if (mu_random_chance(random, 400))
            labels[count++] = (struct mu_label){keys[k], values[below(random, COUNT(values))]};
    node->labels = labels;
    node->label_count = count;
}

static void random_taints(struct mu_world *world, struct mu_random *random,
                          struct mu_node_object *node)
{
    struct mu_taint *taints = make(world->arena, 2, sizeof *taints);
    node->taint_count = mu_random_chance(random, 700) ? 0 : 1 + below(random, 2);
    for (uint32_t i = 0; i < node->taint_count; i++)
        taints[i] = (struct mu_taint){keys[below(random, COUNT(keys))],
                                      values[below(random, COUNT(values))],
                                      (enum mu_taint_effect)(1 + below(random, 4))};
    node->taints = taints;
}

static void random_node(struct mu_world *world, struct mu_random *random, uint32_t n)
{
    struct mu_node_object *node = &world->nodes[n];
    struct mu_amount *amounts = make(world->arena, 3, sizeof *amounts);
    amounts[0] = (struct mu_amount){MU_STR("cpu"), mu_random_chance(random, 500) ? 4000 : 64000};
    amounts[1] = (struct mu_amount){MU_STR("memory"), 65536 * MI};
    amounts[2] = (struct mu_amount){MU_STR("pods"), mu_random_chance(random, 900) ? 110 : 3};
    *node = (struct mu_node_object){
        .name = mu_world_text(world->arena, "node-", n),
        .uid = uid(world->arena, "11111111-0000-4000-8000-", n),
        .version = ++world->version,
        .allocatable = amounts,
        .allocatable_count = 3,
        .unschedulable = mu_random_chance(random, 50),
    };
    random_node_labels(world, random, node);
    random_taints(world, random, node);
}

/* ---- pods ----------------------------------------------------------------------------------- */

static void random_tolerations(struct mu_world *world, struct mu_random *random,
                               struct mu_pod_object *pod)
{
    struct mu_toleration *list = make(world->arena, 2, sizeof *list);
    pod->toleration_count = mu_random_chance(random, 600) ? 0 : 1 + below(random, 2);
    for (uint32_t i = 0; i < pod->toleration_count; i++) {
        enum mu_toleration_op op = (enum mu_toleration_op)below(random, 4);
        bool exists = op == MU_TOLERATE_EXISTS;
        list[i] = (struct mu_toleration){.key = mu_random_chance(random, exists ? 300 : 100)
                                                    ? MU_STR("")
                                                    : keys[below(random, COUNT(keys))],
                                         .op = op,
                                         .effect = (enum mu_taint_effect)below(random, 4)};
        if (!exists)
            list[i].value = values[below(random, COUNT(values))];
    }
    pod->tolerations = list;
}

static void random_node_terms(struct mu_world *world, struct mu_random *random,
                              struct mu_pod_object *pod)
{
    if (mu_random_chance(random, 200)) {
        struct mu_label *selector = make(world->arena, 1, sizeof *selector);
        selector[0] =
            (struct mu_label){topologies[0], mu_world_text(world->arena, "z", below(random, 3))};
        pod->selector = selector;
        pod->selector_count = 1;
    }
    if (mu_random_chance(random, 700))
        return;
    pod->has_node_terms = true;
    pod->node_term_count = mu_random_chance(random, 50) ? 0 : 1 + below(random, 3);
    struct mu_node_term *terms = make(world->arena, pod->node_term_count, sizeof *terms);
    for (uint32_t t = 0; t < pod->node_term_count; t++) {
        terms[t].labels = random_selector(world->arena, random, true);
        terms[t].labels.nothing = false;
        if (!mu_random_chance(random, 150))
            continue;
        struct mu_requirement *field = make(world->arena, 1, sizeof *field);
        struct mu_str *name = make(world->arena, 1, sizeof *name);
        *name = world->nodes[below(random, world->node_count)].name;
        *field = (struct mu_requirement){MU_STR("metadata.name"),
                                         mu_random_chance(random, 700) ? MU_OP_IN : MU_OP_NOT_IN,
                                         name, 1};
        terms[t].fields = (struct mu_selector){.requirements = field, .requirement_count = 1};
    }
    pod->node_terms = terms;
}

static void random_terms(struct mu_world *world, struct mu_random *random,
                         struct mu_pod_object *pod)
{
    pod->term_count = mu_random_chance(random, 550) ? 0 : 1 + below(random, 3);
    struct mu_pod_term *terms = make(world->arena, pod->term_count, sizeof *terms);
    for (uint32_t i = 0; i < pod->term_count; i++) {
        struct mu_pod_term *term = &terms[i];
        *term = (struct mu_pod_term){
            .kind = (enum mu_term_kind)below(random, 4),
            .topology_key = topologies[below(random, mu_random_chance(random, 900) ? 3 : 4)],
            .selector = random_selector(world->arena, random, false),
        };
        term->weight = term->kind >= MU_TERM_PREFERRED ? 1 + (int32_t)below(random, 100) : 0;
        struct mu_str *namespaces = make(world->arena, 2, sizeof *namespaces);
        if (mu_random_chance(random, 700)) {
            namespaces[term->namespace_count++] = pod->ns;
        } else {
            struct mu_selector *selector = make(world->arena, 1, sizeof *selector);
            *selector = random_selector(world->arena, random, false);
            term->namespace_selector = selector;
            if (mu_random_chance(random, 300))
                namespaces[term->namespace_count++] =
                    world->namespaces[below(random, world->namespace_count)].name;
        }
        term->namespaces = namespaces;
    }
    pod->terms = terms;
}

static void random_spreads(struct mu_world *world, struct mu_random *random,
                           struct mu_pod_object *pod)
{
    pod->spread_count = mu_random_chance(random, 650) ? 0 : 1 + below(random, 2);
    struct mu_spread *spreads = make(world->arena, pod->spread_count, sizeof *spreads);
    uint32_t first = below(random, 3);
    for (uint32_t i = 0; i < pod->spread_count; i++)
        spreads[i] = (struct mu_spread){
            .topology_key = topologies[(first + i) % 3],
            .selector = random_selector(world->arena, random, false),
            .max_skew = 1 + (int32_t)below(random, 3),
            .min_domains = mu_random_chance(random, 800) ? 1 : 1 + (int32_t)below(random, 5),
            .hard = mu_random_chance(random, 700),
            .honor_affinity = mu_random_chance(random, 700),
            .honor_taints = mu_random_chance(random, 400),
        };
    pod->spreads = spreads;
}

static void random_ports(struct mu_world *world, struct mu_random *random,
                         struct mu_pod_object *pod)
{
    static const struct mu_str ips[] = {{"0.0.0.0", 7}, {"10.0.0.1", 8}, {"::", 2}};
    pod->port_count = mu_random_chance(random, 800) ? 0 : 1 + below(random, 2);
    struct mu_host_port *ports = make(world->arena, pod->port_count, sizeof *ports);
    for (uint32_t i = 0; i < pod->port_count; i++)
        ports[i] = (struct mu_host_port){ips[below(random, COUNT(ips))],
                                         (enum mu_protocol)below(random, 2),
                                         (uint16_t)(8080 + below(random, 2))};
    pod->ports = ports;
}

static void random_pod(struct mu_world *world, struct mu_random *random, uint32_t p, bool placed)
{
    struct mu_pod_object *pod = &world->pods[p];
    struct mu_amount *requests = make(world->arena, 2, sizeof *requests);
    requests[0] = (struct mu_amount){MU_STR("cpu"), 100 * below(random, 12)};
    requests[1] = (struct mu_amount){MU_STR("memory"), 64 * MI};
    *pod = (struct mu_pod_object){
        .ns = world->namespaces[below(random, world->namespace_count)].name,
        .name = mu_world_text(world->arena, "pod-", p),
        .uid = uid(world->arena, "22222222-0000-4000-8000-", p),
        .version = ++world->version,
        .created_s = 1 + p,
        .scheduler_name = MU_STR(MU_WORLD_SCHEDULER),
        .requests = requests,
        .request_count = 2,
    };
    if (placed) {
        pod->node_name = world->nodes[below(random, world->node_count)].name;
        pod->phase = mu_random_chance(random, 900) ? MU_POD_RUNNING : MU_POD_SUCCEEDED;
        pod->terminating = mu_random_chance(random, 100);
        if (mu_random_chance(random, 30))
            pod->node_name = MU_STR("node-that-is-gone");
    }
    pod->label_count = random_labels(world->arena, random, &pod->labels);
    random_tolerations(world, random, pod);
    random_node_terms(world, random, pod);
    random_terms(world, random, pod);
    random_spreads(world, random, pod);
    random_ports(world, random, pod);
}

/* ---- the whole ------------------------------------------------------------------------------ */

void mu_world_random(struct mu_world *world, struct mu_arena *arena, struct mu_random *random,
                     const struct mu_world_shape *shape)
{
    MU_ASSERT(shape->nodes > 0 && shape->namespaces > 0);
    *world = (struct mu_world){
        .arena = arena,
        .nodes = make(arena, shape->nodes, sizeof *world->nodes),
        .node_count = shape->nodes,
        .namespaces = make(arena, shape->namespaces, sizeof *world->namespaces),
        .namespace_count = shape->namespaces,
        .pods = make(arena, shape->pods, sizeof *world->pods),
        .pod_count = shape->pods,
    };
    for (uint32_t n = 0; n < shape->namespaces; n++) {
        world->namespaces[n].name = mu_world_text(arena, "ns-", n);
        world->namespaces[n].label_count =
            random_labels(arena, random, &world->namespaces[n].labels);
    }
    for (uint32_t n = 0; n < shape->nodes; n++)
        random_node(world, random, n);
    for (uint32_t p = 0; p < shape->pods; p++)
        random_pod(world, random, p, mu_random_chance(random, shape->placed_permille));
}

static void change_node(struct mu_world *world, struct mu_random *random,
                        struct mu_world_changed *changed)
{
    changed->node = below(random, world->node_count);
    struct mu_node_object *n = &world->nodes[changed->node];
    n->version = ++world->version;
    if (mu_random_chance(random, 200)) {
        changed->replaced = n->uid;
        n->uid = uid(world->arena, "33333333-0000-4000-8000-", (uint32_t)world->version);
    }
    n->unschedulable = mu_random_chance(random, 50);
    random_node_labels(world, random, n);
    random_taints(world, random, n);
}

static void change_pod(struct mu_world *world, struct mu_random *random,
                       struct mu_world_changed *changed)
{
    changed->pod = below(random, world->pod_count);
    struct mu_pod_object *p = &world->pods[changed->pod];
    p->version = ++world->version;
    if (mu_random_chance(random, 200)) {
        changed->replaced = p->uid;
        p->uid = uid(world->arena, "44444444-0000-4000-8000-", (uint32_t)world->version);
        p->terminating = false;
        p->phase = p->node_name.len > 0 ? MU_POD_RUNNING : MU_POD_PENDING;
    }
    if (mu_random_chance(random, 500))
        p->label_count = random_labels(world->arena, random, &p->labels);
    if (p->node_name.len > 0 && mu_random_chance(random, 300))
        p->terminating = true;
    if (p->node_name.len > 0 && mu_random_chance(random, 200))
        p->phase = MU_POD_FAILED;
}

struct mu_world_changed mu_world_change(struct mu_world *world, struct mu_random *random)
{
    struct mu_world_changed changed = {
        .node = UINT32_MAX, .pod = UINT32_MAX, .ns = UINT32_MAX, .replaced = {"", 0}};
    if (mu_random_chance(random, 150)) {
        changed.ns = below(random, world->namespace_count);
        struct mu_rules_namespace *ns = &world->namespaces[changed.ns];
        ns->label_count = random_labels(world->arena, random, &ns->labels);
    } else if (world->pod_count == 0 || mu_random_chance(random, 350)) {
        change_node(world, random, &changed);
    } else {
        change_pod(world, random, &changed);
    }
    return changed;
}

struct mu_rules_world mu_world_view(const struct mu_world *world)
{
    return (struct mu_rules_world){
        .nodes = world->nodes,
        .node_count = world->node_count,
        .pods = world->pods,
        .pod_count = world->pod_count,
        .namespaces = world->namespaces,
        .namespace_count = world->namespace_count,
    };
}
