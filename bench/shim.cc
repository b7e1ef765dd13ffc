// The only C++ of the project: bench/bench.h over Google Benchmark.
//
// Names stay exactly as registered: the library's own real-time mode would append to them, so rates
// per wall time are computed here.
#include "bench/bench.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

using steady = std::chrono::steady_clock;

struct mu_bench {
    benchmark::State *state;
    bool wall;
    bool started;
    bool failed;
    steady::time_point since; // the clock runs from here, while started
    steady::duration elapsed;
};

namespace
{
mu_bench_def *registered;
bool any_failed;

void run(benchmark::State &state, const mu_bench_def *def)
{
    mu_bench bench = {&state, def->wall, false, false, {}, {}};
    def->body(&bench, def->argument);
}
} // namespace

void mu_bench_register(mu_bench_def *def)
{
    def->next = registered;
    registered = def;
}

bool mu_bench_running(mu_bench *bench)
{
    bool more = bench->state->KeepRunning();
    if (more && !bench->started) {
        bench->started = true;
        bench->since = steady::now();
    } else if (!more && bench->started) {
        bench->started = false;
        bench->elapsed += steady::now() - bench->since;
    }
    return more;
}

void mu_bench_pause(mu_bench *bench)
{
    bench->elapsed += steady::now() - bench->since;
    bench->state->PauseTiming();
}

void mu_bench_resume(mu_bench *bench)
{
    bench->state->ResumeTiming();
    bench->since = steady::now();
}

double mu_bench_seconds(const mu_bench *bench)
{
    return std::chrono::duration<double>(bench->elapsed).count();
}

void mu_bench_items(mu_bench *bench, uint64_t items)
{
    if (!bench->wall) {
        bench->state->SetItemsProcessed(static_cast<int64_t>(items));
        return;
    }
    double seconds = mu_bench_seconds(bench);
    bench->state->counters["items_per_second"] =
        seconds > 0 ? static_cast<double>(items) / seconds : 0;
}

void mu_bench_counter(mu_bench *bench, const char *name, double value)
{
    bench->state->counters[name] = value;
}

void mu_bench_counter_per_round(mu_bench *bench, const char *name, double value)
{
    bench->state->counters[name] = benchmark::Counter(value, benchmark::Counter::kAvgIterations);
}

void mu_bench_fail(mu_bench *bench, const char *why)
{
    if (!bench->failed)
        bench->state->SkipWithError(why);
    bench->failed = true;
    any_failed = true;
}

int main(int argc, char **argv)
{
    // Constructors of different files run in no particular order.
    std::vector<const mu_bench_def *> defs;
    for (const mu_bench_def *def = registered; def != nullptr; def = def->next)
        defs.push_back(def);
    std::sort(defs.begin(), defs.end(), [](const mu_bench_def *a, const mu_bench_def *b) {
        return std::strcmp(a->name, b->name) < 0;
    });
    for (const mu_bench_def *def : defs)
        benchmark::RegisterBenchmark(def->name, run, def)->Unit(benchmark::kMillisecond);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    size_t count = benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    if (count == 0)
        return 2; // the filter matched nothing: the library has said so
    return any_failed ? 1 : 0;
}
