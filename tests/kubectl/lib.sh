# shellcheck shell=bash
# How tests/kubectl/run starts the programs, runs kubectl and looks at what it printed. Sourced.
#
# run NAME ARGS...     kubectl must succeed; what follows looks at its output
# refused NAME ARGS... kubectl must fail
# sees REGEX           a line of the output (stdout and stderr) matches
# lacks REGEX          none does
# row CELL...          a line of stdout has these cells, as regular expressions, in this order
# Every check prints one line: "ok" or "FAIL", with the output that it did not like.

checks=0
failures=0
name=
out=$work/out
err=$work/err
declare -A pid_of=()

pass() {
    checks=$((checks + 1))
    printf 'ok    %s%s\n' "$name" "${1:+: $1}"
}

flunk() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    printf 'FAIL  %s: %s\n' "$name" "$1"
    sed 's/^/      | /' "$out" "$err"
}

skip() {
    printf 'skip  %s\n' "$1"
}

# The kubectl that was found, with a cache and a home of its own and never for longer than this.
k() {
    timeout "${patience:-30}" "$kubectl" "$@" >"$out" 2>"$err" </dev/null
}

run() {
    name=$1
    shift
    local status=0
    k "$@" || status=$?
    if ((status == 0)); then
        pass
    else
        flunk "kubectl $* ended with status $status"
    fi
}

refused() {
    name=$1
    shift
    local status=0
    k "$@" || status=$?
    if ((status == 124)); then
        flunk "kubectl $* did not end"
    elif ((status != 0)); then
        pass
    else
        flunk "kubectl $* succeeded"
    fi
}

sees() {
    if grep -Eqe "$1" "$out" "$err"; then
        pass "says '$1'"
    else
        flunk "does not say '$1'"
    fi
}

lacks() {
    if grep -Eqe "$1" "$out" "$err"; then
        flunk "says '$1'"
    else
        pass "does not say '$1'"
    fi
}

row() {
    local cells
    cells=$(printf '[[:space:]]+%s' "$@")
    cells="^${cells#'[[:space:]]+'}[[:space:]]*\$"
    if grep -Eqe "$cells" "$out"; then
        pass "row '$*'"
    else
        flunk "no row '$*'"
    fi
}

# lines N: stdout has so many lines.
lines() {
    local have
    have=$(wc -l <"$out")
    if ((have == $1)); then
        pass "$1 lines"
    else
        flunk "$have lines, not $1"
    fi
}

# eventually NAME SECONDS COMMAND...: the command succeeds within this time.
eventually() {
    name=$1
    local tries=$(($2 * 10))
    shift 2
    : >"$out"
    : >"$err"
    while ((tries > 0)); do
        if "$@" >"$out" 2>"$err" </dev/null; then
            pass
            return 0
        fi
        tries=$((tries - 1))
        sleep 0.1
    done
    flunk "not in time: $*"
    return 1
}

# in_file FILE REGEX: for eventually.
in_file() {
    grep -Eqe "$2" "$1" 2>/dev/null
}

# says REGEX COMMAND...: for eventually.
says() {
    local regex=$1
    shift
    "$@" 2>&1 | grep -Eqe "$regex"
}

# field OBJECT JSONPATH VALUE: for eventually.
field() {
    [[ $("$kubectl" get "$1" -o "jsonpath=$2" 2>/dev/null) == "$3" ]]
}

# start NAME COMMAND...: in the background, ended by `stop_all`. Its output goes to $work/NAME.log.
start() {
    local log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null &
    pid_of[$log]=$!
}

# ends NAME: what was started by that name ends well when it is asked to.
ends() {
    local log=$work/$1.log status=0
    name="$1 ends"
    kill "${pid_of[$log]}"
    wait "${pid_of[$log]}" || status=$?
    cp "$log" "$out"
    if ((status == 0)); then
        pass
    else
        flunk "with status $status"
    fi
}

# Only what still runs: a number whose process has been waited for may be another's by now.
stop_all() {
    local pid
    for pid in $(jobs -pr); do
        kill "$pid" 2>/dev/null || true
    done
    wait
}
