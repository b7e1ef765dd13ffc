/*
 * Placement rules for the pods of small worlds. Everything is drawn from short lists, so that
 * within a few dozen pods rules meet: selectors that others' labels match, ports that collide,
 * domains that fill up. What the drawn parts have in common (keys, values, namespaces) is
 * world_priv.h's.
 */
#include "tools/sim/world_priv.h"

#include "engine/base/assert.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

#define REQUIRE(key_, op_, ...)                                                                    \
    {                                                                                              \
        .key = {key_, sizeof key_ - 1}, .op = op_, .values = (const struct mu_str[]){__VA_ARGS__}, \
        .value_count = sizeof((const struct mu_str[]){__VA_ARGS__}) / sizeof(struct mu_str)        \
    }
#define PRESENCE(key_, op_)                                                                        \
    {                                                                                              \
        .key = {key_, sizeof key_ - 1}, .op = op_                                                  \
    }
#define TEXT(literal) MU_WORLD_TEXT(literal)
#define ONE(requirement)                                                                           \
    {                                                                                              \
        .requirements = (const struct mu_requirement[]){requirement}, .requirement_count = 1       \
    }

static const struct mu_str apps[] = {TEXT("web"), TEXT("db"), TEXT("job")};
static const struct mu_str tiers[] = {TEXT("1"), TEXT("2"), TEXT("10")};
static const struct mu_str namespaces[] = {TEXT("default"), TEXT(MU_WORLD_TEAM_A),
                                           TEXT(MU_WORLD_TEAM_B)};
static const struct mu_str keys[] = {TEXT("zone"), TEXT("zone"), TEXT("kubernetes.io/hostname")};

static const struct mu_selector everything = {.requirement_count = 0};
static const struct mu_selector pod_selectors[] = {
    ONE(REQUIRE("app", MU_OP_IN, TEXT("web"))),
    ONE(REQUIRE("app", MU_OP_IN, TEXT("db"))),
    ONE(REQUIRE("app", MU_OP_IN, TEXT("db"), TEXT("job"))),
    ONE(REQUIRE("app", MU_OP_NOT_IN, TEXT("web"))),
    ONE(PRESENCE("tier", MU_OP_EXISTS)),
    ONE(PRESENCE("tier", MU_OP_DOES_NOT_EXIST)),
};
static const struct mu_selector namespace_selectors[] = {
    ONE(REQUIRE(MU_WORLD_SPACE_KEY, MU_OP_IN, TEXT("prod"))),
    ONE(REQUIRE(MU_WORLD_SPACE_KEY, MU_OP_NOT_IN, TEXT("test"))),
    ONE(PRESENCE(MU_WORLD_SPACE_KEY, MU_OP_DOES_NOT_EXIST)),
    {.requirement_count = 0},
};
static const struct mu_node_term node_terms[] = {
    {.labels = ONE(REQUIRE("zone", MU_OP_IN, TEXT("a"), TEXT("b")))},
    {.labels = ONE(REQUIRE("zone", MU_OP_NOT_IN, TEXT("c")))},
    {.labels = ONE(PRESENCE("zone", MU_OP_EXISTS))},
    {.labels = ONE(PRESENCE("zone", MU_OP_DOES_NOT_EXIST))},
    {.labels = ONE(REQUIRE("tier", MU_OP_GT, TEXT("1")))},
    {.labels = ONE(REQUIRE("tier", MU_OP_LT, TEXT("10")))},
    {.fields = ONE(REQUIRE("metadata.name", MU_OP_IN, TEXT("node-00")))},
    {.labels = ONE(PRESENCE("tier", MU_OP_EXISTS)),
     .fields = ONE(REQUIRE("metadata.name", MU_OP_NOT_IN, TEXT("node-01")))},
};
static const struct mu_toleration tolerations[] = {
    {TEXT("dedicated"), TEXT("batch"), MU_TOLERATE_EQUAL, MU_EFFECT_NO_SCHEDULE},
    {TEXT("dedicated"), {NULL, 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY},
    {{NULL, 0}, {NULL, 0}, MU_TOLERATE_EXISTS, MU_EFFECT_NO_EXECUTE},
    {{NULL, 0}, {NULL, 0}, MU_TOLERATE_EXISTS, MU_EFFECT_ANY},
};
static const struct mu_host_port ports[] = {
    {TEXT("0.0.0.0"), MU_PROTOCOL_TCP, 8080},  {TEXT("10.0.0.1"), MU_PROTOCOL_TCP, 8080},
    {TEXT("10.0.0.2"), MU_PROTOCOL_TCP, 8080}, {TEXT("0.0.0.0"), MU_PROTOCOL_UDP, 8080},
    {TEXT("0.0.0.0"), MU_PROTOCOL_TCP, 9090},
};

#define PICK(r, list) (&(list)[mu_random_below((r), COUNT(list))])

static void draw_labels(struct mu_random *r, struct mu_world_rules *rules)
{
    rules->labels[0] = (struct mu_label){MU_STR("app"), *PICK(r, apps)};
    rules->labels[1] = (struct mu_label){MU_STR("tier"), *PICK(r, tiers)};
    rules->label_count = mu_random_chance(r, 300) ? 2 : 1;
}

/* In which namespaces: the pod's own, some by name, some by their labels, or both. */
static void draw_namespaces(struct mu_random *r, struct mu_pod_term *term)
{
    uint64_t way = mu_random_below(r, 5);
    if (way == 1 || way == 2) {
        uint32_t first = (uint32_t)mu_random_below(r, COUNT(namespaces));
        term->namespaces = &namespaces[first];
        term->namespace_count =
            (uint32_t)mu_random_between(r, 1, (int64_t)(COUNT(namespaces) - first));
    }
    if (way >= 2 && way <= 3)
        term->namespace_selector = PICK(r, namespace_selectors);
}

static void draw_term(struct mu_random *r, enum mu_term_kind kind, struct mu_world_rules *rules)
{
    MU_ASSERT(rules->term_count < COUNT(rules->terms));
    struct mu_pod_term *term = &rules->terms[rules->term_count++];
    bool preferred = kind == MU_TERM_PREFERRED || kind == MU_TERM_PREFERRED_ANTI;
    *term = (struct mu_pod_term){.kind = kind};
    term->weight = preferred ? (int32_t)mu_random_between(r, 1, 100) : 0;
    term->topology_key = *PICK(r, keys);
    term->selector = *PICK(r, pod_selectors);
    if (mu_random_chance(r, 50))
        term->selector = everything;
    else if (mu_random_chance(r, 30))
        term->selector = (struct mu_selector){.nothing = true};
    draw_namespaces(r, term);
}

static void draw_spread(struct mu_random *r, struct mu_world_rules *rules)
{
    struct mu_spread *spread = &rules->spreads[0];
    spread->hard = mu_random_chance(r, 800);
    spread->topology_key = *PICK(r, keys);
    spread->selector = *PICK(r, pod_selectors);
    spread->max_skew = (int32_t)mu_random_between(r, 1, 2);
    spread->min_domains = spread->hard ? (int32_t)mu_random_between(r, 1, 3) : 1;
    spread->honor_affinity = mu_random_chance(r, 700);
    spread->honor_taints = mu_random_chance(r, 300);
    rules->spread_count = 1;
    if (!mu_random_chance(r, 200))
        return;
    rules->spreads[1] = *spread;
    rules->spreads[1].hard = !spread->hard; /* the API takes one of each sort for a key */
    rules->spreads[1].min_domains = 1;
    rules->spread_count = 2;
}

void mu_world_rules_draw(struct mu_random *r, struct mu_world_rules *rules)
{
    *rules = (struct mu_world_rules){.ns = namespaces[0]};
    draw_labels(r, rules);
    if (mu_random_chance(r, 400))
        rules->ns = *PICK(r, namespaces);
    rules->toleration = *PICK(r, tolerations);
    rules->toleration_count = mu_random_chance(r, 300);
    if (!mu_random_chance(r, 600))
        return; /* plain pods are what rules of others meet */
    if (mu_random_chance(r, 150))
        draw_term(r, MU_TERM_AFFINITY, rules);
    if (mu_random_chance(r, 50))
        draw_term(r, MU_TERM_AFFINITY, rules);
    if (mu_random_chance(r, 200))
        draw_term(r, MU_TERM_ANTI_AFFINITY, rules);
    if (mu_random_chance(r, 100))
        draw_term(r, MU_TERM_PREFERRED, rules);
    if (mu_random_chance(r, 100))
        draw_term(r, MU_TERM_PREFERRED_ANTI, rules);
    if (mu_random_chance(r, 200))
        draw_spread(r, rules);
    if (mu_random_chance(r, 200)) {
        rules->port = *PICK(r, ports);
        rules->port_count = 1;
    }
    for (uint32_t more = mu_random_chance(r, 200) ? 2 : 0; more > 0; more--) {
        rules->node_terms[rules->node_term_count++] = *PICK(r, node_terms);
        if (mu_random_chance(r, 500))
            break;
    }
    if (mu_random_chance(r, 100)) {
        rules->preferred.weight = (int32_t)mu_random_between(r, 1, 100);
        rules->preferred.term = *PICK(r, node_terms);
        rules->preferred_count = 1;
    }
}

void mu_world_rules_apply(const struct mu_world_rules *rules, struct mu_pod_object *pod)
{
    pod->ns = rules->ns;
    pod->labels = rules->labels;
    pod->label_count = rules->label_count;
    pod->tolerations = &rules->toleration;
    pod->toleration_count = rules->toleration_count;
    pod->terms = rules->terms;
    pod->term_count = rules->term_count;
    pod->spreads = rules->spreads;
    pod->spread_count = rules->spread_count;
    pod->ports = &rules->port;
    pod->port_count = rules->port_count;
    pod->node_terms = rules->node_terms;
    pod->node_term_count = rules->node_term_count;
    pod->has_node_terms = rules->node_term_count > 0;
    pod->preferred_nodes = &rules->preferred;
    pod->preferred_node_count = rules->preferred_count;
}
