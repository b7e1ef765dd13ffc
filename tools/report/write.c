/* The result of a report in words and as JSON. Numbers are fixed point: no float is involved. */
#include <inttypes.h>
#include <stdio.h>
#include "engine/base/clock.h"
#include "engine/quantity.h"
#include "engine/resource.h"
#include "tools/report/report.h"

#define NUMBER_BYTES 32 /* 20 digits, 6 commas */
#define AMOUNT_BYTES (NUMBER_BYTES + 8)
#define HOUR_NS      (3600 * MU_NS_PER_S)
#define DAY_NS       (24 * HOUR_NS)

/* 1234567 -> "1,234,567". */
static const char *grouped(uint64_t value, char text[NUMBER_BYTES])
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, value);
    int at = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

/* part of whole in thousandths, 0 when there is no whole. */
static uint64_t permille(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (uint64_t)((mu_u128)part * 1000 / whole);
}

/* Pods a second in tenths. */
static uint64_t rate_tenths(const struct mu_report_result *r)
{
    return r->elapsed_ns == 0 ? 0
                              : (uint64_t)((mu_u128)r->bound * 10 * MU_NS_PER_S / r->elapsed_ns);
}

/* An amount in the unit that people use for it. */
static const char *amount_text(uint32_t resource, int64_t value, char text[AMOUNT_BYTES])
{
    uint64_t amount = value > 0 ? (uint64_t)value : 0;
    char number[NUMBER_BYTES];
    if (resource == MU_RES_CPU)
        (void)snprintf(text, AMOUNT_BYTES, "%s cores", grouped(amount / 1000, number));
    else if (resource == MU_RES_MEMORY || resource == MU_RES_EPHEMERAL)
        (void)snprintf(text, AMOUNT_BYTES, "%s GiB", grouped(amount >> 30, number));
    else
        (void)grouped(amount, text);
    return text;
}

/* Tenths of the smallest unit of which they are not too many to read. */
static const char *span_text(uint64_t ns, char text[AMOUNT_BYTES])
{
    static const struct {
        const char *name;
        uint64_t ns, below_ns;
    } units[] = {{"ms", MU_NS_PER_MS, 10 * MU_NS_PER_S},
                 {"s", MU_NS_PER_S, 2 * HOUR_NS},
                 {"h", HOUR_NS, 2 * DAY_NS},
                 {"days", DAY_NS, UINT64_MAX}};
    char number[NUMBER_BYTES];
    size_t u = 0;
    while (u + 1 < sizeof units / sizeof units[0] && ns >= units[u].below_ns)
        u++;
    uint64_t tenths = ns / (units[u].ns / 10);
    (void)snprintf(text, AMOUNT_BYTES, "%s.%" PRIu64 " %s", grouped(tenths / 10, number),
                   tenths % 10, units[u].name);
    return text;
}

/* Left out where the pods' arrivals take so long that it says nothing: below a tenth. */
static void write_rate(const struct mu_report_result *r, struct mu_buf *out)
{
    char text[NUMBER_BYTES];
    uint64_t rate = rate_tenths(r);
    if (rate >= 100)
        (void)mu_buf_printf(out, ": %s pods/s", grouped(rate / 10, text));
    else if (rate > 0)
        (void)mu_buf_printf(out, ": %" PRIu64 ".%" PRIu64 " pods/s", rate / 10, rate % 10);
}

static void write_counts(const struct mu_report_result *r, struct mu_buf *out)
{
    char a[AMOUNT_BYTES], b[AMOUNT_BYTES];
    uint64_t share = permille(r->bound, r->pods);
    (void)mu_buf_printf(out, "nodes        %10s\n", grouped(r->nodes, a));
    (void)mu_buf_printf(out, "pods         %10s, in %s gangs of two or more and as single pods\n",
                        grouped(r->pods, a), grouped(r->gangs, b));
    (void)mu_buf_printf(out, "bound        %10s (%" PRIu64 ".%" PRIu64 " %%)", grouped(r->bound, a),
                        share / 10, share % 10);
    if (r->elapsed_ns > 0) {
        (void)mu_buf_printf(out, " in %s.%03" PRIu64 " s", grouped(r->elapsed_ns / MU_NS_PER_S, a),
                            r->elapsed_ns % MU_NS_PER_S / MU_NS_PER_MS);
        if (r->elapsed_ns >= 2 * HOUR_NS)
            (void)mu_buf_printf(out, " (%s)", span_text(r->elapsed_ns, a));
        write_rate(r, out);
    }
    (void)mu_buf_append_text(out, "\n");
    if (r->finished > 0)
        (void)mu_buf_printf(out, "  %10s  have finished\n", grouped(r->finished, a));
    if (r->failed > 0)
        (void)mu_buf_printf(out, "  %10s  of these failed\n", grouped(r->failed, a));
    if (r->latency_count > 0)
        (void)mu_buf_printf(out, "latency      p50 %s, p99 %s from creation to bound\n",
                            span_text(r->latency_ns_p50, a), span_text(r->latency_ns_p99, b));
    (void)mu_buf_printf(out, "pending      %10s\n", grouped(r->pending, a));
    for (uint32_t i = 0; i < r->reason_count; i++)
        (void)mu_buf_printf(out, "  %10s  %s\n", grouped(r->reasons[i].pods, a),
                            r->reasons[i].text);
}

static void write_usage(const struct mu_report_result *r, struct mu_buf *out)
{
    char a[AMOUNT_BYTES], b[AMOUNT_BYTES], c[AMOUNT_BYTES];
    (void)mu_buf_printf(out, "\n%-24s %14s %14s %8s %14s\n", "utilisation", "requested", "of",
                        "share", "pending");
    for (uint32_t i = 0; i < r->usage_count; i++) {
        const struct mu_report_usage *u = &r->usage[i];
        if (u->allocatable == 0 && u->requested == 0 && u->pending == 0)
            continue;
        uint64_t share = permille((uint64_t)u->requested, (uint64_t)u->allocatable);
        (void)mu_buf_printf(out, "  %-22.*s %14s %14s %4" PRIu64 ".%" PRIu64 " %% %14s\n",
                            MU_STR_ARGS(u->resource), amount_text(i, u->requested, a),
                            amount_text(i, u->allocatable, b), share / 10, share % 10,
                            amount_text(i, u->pending, c));
    }
}

static void write_check(struct mu_buf *out, const char *what, uint64_t count)
{
    char text[NUMBER_BYTES];
    (void)mu_buf_printf(out, "  %-34s %8s  %s\n", what, grouped(count, text),
                        count == 0 ? "ok" : "VIOLATED");
}

int mu_report_write_text(const struct mu_report_result *result, struct mu_buf *out)
{
    write_counts(result, out);
    write_usage(result, out);
    (void)mu_buf_append_text(out, "\nchecks, recomputed from the API server's own objects\n");
    write_check(out, "partial gangs", result->partial_gangs);
    write_check(out, "over-committed nodes", result->overcommitted_nodes);
    write_check(out, "pending pods that would still fit", result->pending_that_fit);
    if (result->stray_pods > 0)
        write_check(out, "pods bound to a node that is gone", result->stray_pods);
    return out->failed;
}

/* Nanoseconds as a number with three decimals in units of `unit_ns`. */
static void write_decimal(struct mu_buf *out, const char *key, uint64_t ns, uint64_t unit_ns)
{
    (void)mu_buf_printf(out, ",\"%s\":%" PRIu64 ".%03" PRIu64, key, ns / unit_ns,
                        ns % unit_ns / (unit_ns / 1000));
}

int mu_report_write_json(const struct mu_report_result *result, struct mu_buf *out)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"nodes", result->nodes},
        {"pods", result->pods},
        {"gangs", result->gangs},
        {"bound", result->bound},
        {"pending", result->pending},
        {"partial_gangs", result->partial_gangs},
        {"overcommitted_nodes", result->overcommitted_nodes},
        {"pending_that_fit", result->pending_that_fit},
    };
    uint64_t rate = rate_tenths(result);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        (void)mu_buf_printf(out, "%s\"%s\":%" PRIu64, i == 0 ? "{" : ",", counts[i].key,
                            counts[i].value);
    write_decimal(out, "seconds", result->elapsed_ns, MU_NS_PER_S);
    (void)mu_buf_printf(out, ",\"pods_per_second\":%" PRIu64 ".%" PRIu64, rate / 10, rate % 10);
    write_decimal(out, "bind_latency_ms_p50", result->latency_ns_p50, MU_NS_PER_MS);
    write_decimal(out, "bind_latency_ms_p99", result->latency_ns_p99, MU_NS_PER_MS);
    return mu_buf_append_text(out, "}\n");
}
