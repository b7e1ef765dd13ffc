# shellcheck shell=bash
# What tools/setup, tools/check, tools/demo and .ci/run share. Sourced, never run.
#
# Everything here talks on stderr, so that stdout stays the program's own (tools/demo --json).
# A long step shows that it lives: a line every ten seconds, or ninja's own counter. The details of
# a quiet step go to build/logs/<step>.log, whose tail is printed when the step fails.
set -euo pipefail

mu_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
mu_logs=$mu_root/build/logs
mu_jobs=${MUSTER_JOBS:-$(nproc 2>/dev/null || echo 2)}

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "muster: $*"
    exit 1
}

# run_logged STEP COMMAND... : run quietly; on failure print the log's tail and return 1.
run_logged() {
    local step=$1 log pid status=0 seconds=0
    shift
    mkdir -p "$mu_logs"
    log=$mu_logs/$step.log
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        seconds=$((seconds + 1))
        ((seconds % 50 != 0)) || say "    $step: $((seconds / 5)) s"
    done
    wait "$pid" || status=$?
    if ((status != 0)); then
        say "    $step failed with status $status; the end of $log:"
        tail -n 60 "$log" >&2
        return 1
    fi
}

# Show a line per tenth of a build, and every line that is not progress (warnings, errors).
ninja_progress() {
    local line tenth shown=0
    while IFS= read -r line; do
        if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
            tenth=$((BASH_REMATCH[1] * 10 / BASH_REMATCH[2]))
            if ((tenth > shown)); then
                shown=$tenth
                say "    ${BASH_REMATCH[1]} of ${BASH_REMATCH[2]} steps"
            fi
        else
            say "$line"
        fi
    done
}

# build_preset PRESET [TARGET...] : configure and build; all targets when none is named.
build_preset() {
    local preset=$1
    shift
    say "==> configure $preset"
    (cd "$mu_root" && run_logged "configure-$preset" cmake --preset "$preset") ||
        fail "the $preset build cannot be configured: see above (tools/setup installs what it needs)"
    say "==> build $preset"
    local command=(cmake --build --preset "$preset" --parallel "$mu_jobs")
    (($# == 0)) || command+=(--target "$@")
    # The status bar of a terminal is ninja's own affair; elsewhere it would be one line a file.
    if [[ -t 2 ]]; then
        (cd "$mu_root" && "${command[@]}" >&2) || fail "the $preset build failed: see above"
    else
        (cd "$mu_root" && NINJA_STATUS='[%f/%t] ' "${command[@]}" 2>&1) | ninja_progress ||
            fail "the $preset build failed: see above"
    fi
}

# run_ctest PRESET : every test of a build; ctest's lines are the last thing printed.
run_ctest() {
    ctest --test-dir "$mu_root/build/$1" --output-on-failure --no-tests=error --parallel "$mu_jobs"
}

# fuzz_one SECONDS HARNESS : fuzz from the tracked corpus, with the input's dictionary if it has one;
# what is new goes under build/fuzz.
fuzz_one() {
    local seconds=$1 harness=$2 name input out extra=()
    name=$(basename "$harness")
    input=${name#fuzz_}
    out=$mu_root/build/fuzz/found/$input
    mkdir -p "$out" "$mu_root/build/fuzz/crashes"
    [[ ! -f $mu_root/tests/fuzz/$input.dict ]] || extra+=("-dict=$mu_root/tests/fuzz/$input.dict")
    # libFuzzer writes to the first folder and only reads the others.
    "$harness" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$mu_root/build/fuzz/crashes/$input-" "${extra[@]}" "$out" \
        "$mu_root/tests/fuzz/corpus/$input"
}

# run_fuzzers SECONDS : build the harnesses and run each for so long, as many at once as there are
# cores.
run_fuzzers() {
    local seconds=$1 harness name failed=0 running=0
    build_preset fuzz
    local harnesses=()
    for harness in "$mu_root"/build/fuzz/bin/fuzz_*; do
        [[ -x $harness ]] && harnesses+=("$harness")
    done
    ((${#harnesses[@]} > 0)) || fail "the fuzz build has no harness in build/fuzz/bin"
    say "==> fuzz ${#harnesses[@]} inputs, $seconds s each, $mu_jobs at a time"
    for harness in "${harnesses[@]}"; do
        name=$(basename "$harness")
        run_logged "$name" fuzz_one "$seconds" "$harness" &
        running=$((running + 1))
        if ((running >= mu_jobs)); then
            wait -n || failed=1
            running=$((running - 1))
        fi
    done
    while ((running > 0)); do
        wait -n || failed=1
        running=$((running - 1))
    done
    ((failed == 0)) || fail "a fuzzer found a failing input: see above and build/fuzz/crashes"
}
