#include "tools/answer/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct mu_str mu_answer_name(struct mu_arena *arena, struct mu_str ns, struct mu_str name)
{
    char *text = mu_arena_alloc(arena, (size_t)ns.len + name.len + 2);
    if (text == NULL)
        return (struct mu_str){NULL, 0};
    int len = snprintf(text, (size_t)ns.len + name.len + 2, "%.*s/%.*s", MU_STR_ARGS(ns),
                       MU_STR_ARGS(name));
    return (struct mu_str){text, (uint32_t)len};
}

bool mu_answer_is_bytes(struct mu_str resource)
{
    return mu_str_equal(resource, MU_STR("memory")) ||
           mu_str_equal(resource, MU_STR("ephemeral-storage")) ||
           mu_str_starts_with(resource, MU_STR("hugepages-"));
}

void mu_answer_amount(struct mu_buf *out, struct mu_str resource, int64_t amount, bool human)
{
    static const struct {
        char suffix[3];
        int64_t unit;
    } units[] = {{"Ei", INT64_C(1) << 60}, {"Pi", INT64_C(1) << 50}, {"Ti", INT64_C(1) << 40},
                 {"Gi", INT64_C(1) << 30}, {"Mi", INT64_C(1) << 20}, {"Ki", INT64_C(1) << 10}};
    bool cpu = mu_str_equal(resource, MU_STR("cpu"));
    if (cpu && amount % 1000 != 0) {
        (void)mu_buf_printf(out, "%" PRId64 "m", amount);
        return;
    }
    for (size_t i = 0; human && mu_answer_is_bytes(resource) && i < sizeof units / sizeof units[0];
         i++) {
        /* Rounded up: what is asked for must be enough. */
        int64_t unit = units[i].unit;
        if (amount < unit)
            continue;
        int64_t rest = amount % unit;
        int64_t hundredths = rest / 128 * 100 / (unit / 128);
        hundredths += (rest != 0 && hundredths * (unit / 100) < rest);
        (void)mu_buf_printf(out, "%" PRId64, amount / unit + hundredths / 100);
        if (hundredths % 100 != 0)
            (void)mu_buf_printf(out, ".%02" PRId64, hundredths % 100);
        (void)mu_buf_append_text(out, units[i].suffix);
        return;
    }
    (void)mu_buf_printf(out, "%" PRId64, cpu ? amount / 1000 : amount);
}

uint32_t mu_answer_devices(char text[MU_ANSWER_DEVICES_BYTES], uint64_t devices)
{
    uint32_t len = 0;
    text[0] = '\0';
    for (uint64_t rest = devices; rest != 0; rest &= rest - 1)
        len += (uint32_t)snprintf(text + len, MU_ANSWER_DEVICES_BYTES - len, "%s%d",
                                  len > 0 ? "," : "", __builtin_ctzll(rest));
    return len;
}

const char *mu_answer_filter(struct mu_verdict verdict)
{
    return verdict.kind == MU_VERDICT_KINDS ? "Unsupported" : mu_verdict_filter(verdict.kind);
}

bool mu_answer_may_preempt(struct mu_verdict verdict)
{
    return verdict.kind != MU_VERDICT_KINDS && mu_verdict_may_preempt(verdict.kind);
}
