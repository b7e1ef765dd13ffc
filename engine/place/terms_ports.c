#include "engine/place/terms_priv.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

/*
 * Host ports: whose ports are in the way of one that a class wants.
 *
 * A tenant's pods may use tens of thousands of ports and a pod may want hundreds, so that the one
 * are not compared with the other. The censuses of ports are sorted once in a session, by number,
 * protocol and address. Those in the way of a port are then neighbours, and found by two searches
 * at most:
 *
 *     wanted at 0.0.0.0         every address of the number and protocol
 *     wanted at another one     that address, and 0.0.0.0
 *
 * A class has no port twice, so the ports of one meet a census once, and those at 0.0.0.0 once more
 * for each other address that the class wants.
 */

static int by_port(const void *a, const void *b)
{
    const struct mu_port_census *x = a, *y = b;
    if (x->port != y->port)
        return x->port < y->port ? -1 : 1;
    return (x->ip > y->ip) - (x->ip < y->ip);
}

static uint64_t port_of(const struct mu_port_item *item)
{
    return (uint64_t)item->port << 32 | (uint32_t)item->protocol;
}

int mu_ports_collect(struct mu_terms *terms)
{
    const struct mu_snapshot *s = terms->snapshot;
    const struct mu_symtab *symbols = mu_model_names(s->model);
    uint32_t other = 0; /* the last address that was compared: mostly they are all alike */
    if (terms->ports_session == terms->session)
        return 0;
    terms->port_count = 0;
    terms->every_ip = 0;
    terms->cells += s->census_count;
    for (uint32_t c = 0; c < s->census_count; c++) {
        const struct mu_port_item *item = &s->censuses[c].port;
        if (s->censuses[c].id == 0 || s->censuses[c].kind != MU_CENSUS_PORT)
            continue;
        void *array = terms->ports;
        if (mu_mem_grow(&array, &terms->port_cap, terms->port_count + 1, MU_CENSUSES_MAX,
                        sizeof *terms->ports) != 0)
            return MU_ENOMEM;
        terms->ports = array;
        terms->ports[terms->port_count++] = (struct mu_port_census){port_of(item), item->ip.v, c};
        if (terms->every_ip == 0 && item->ip.v != other) {
            other = item->ip.v;
            if (mu_str_equal(mu_symbol_str(symbols, item->ip), MU_STR("0.0.0.0")))
                terms->every_ip = other;
        }
    }
    if (terms->port_count > 0)
        qsort(terms->ports, terms->port_count, sizeof *terms->ports, by_port);
    terms->ports_session = terms->session;
    return 0;
}

/* The first census that is not below this port and address. */
static uint32_t first_of(struct mu_terms *terms, uint64_t port, uint32_t ip)
{
    const struct mu_port_census wanted = {.port = port, .ip = ip};
    uint32_t low = 0, high = terms->port_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        terms->cells++;
        if (by_port(&terms->ports[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t mu_ports_in_the_way(struct mu_terms *terms, const struct mu_port_item *wanted,
                             struct mu_port_range ranges[MU_PORT_RANGES_MAX])
{
    const uint64_t port = port_of(wanted);
    MU_ASSERT(terms->ports_session == terms->session && wanted->ip.v != 0);
    if (wanted->ip.v == terms->every_ip) {
        ranges[0] = (struct mu_port_range){first_of(terms, port, 0), first_of(terms, port + 1, 0)};
        return 1;
    }
    const uint32_t ips[MU_PORT_RANGES_MAX] = {wanted->ip.v, terms->every_ip};
    const uint32_t count = terms->every_ip == 0 ? 1 : 2;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = first_of(terms, port, ips[i]);
        ranges[i].begin = ranges[i].end = at;
        while (ranges[i].end < terms->port_count && terms->ports[ranges[i].end].port == port &&
               terms->ports[ranges[i].end].ip == ips[i])
            ranges[i].end++;
    }
    return count;
}
