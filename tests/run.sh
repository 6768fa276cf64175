#!/usr/bin/env bash
# Runs every test, with the options for cargo that are given. The churn of clients lasts ten minutes and
# needs little of the machine, so the others run beside it.
set -euo pipefail

churn=churn_leaves_nothing_behind
cargo build --workspace --bins --examples "$@"
cargo test --workspace --no-run "$@"

log=$(mktemp)
set -m # a group of its own, to be ended as a whole
cargo test --workspace "$@" --test streams "$churn" >"$log" 2>&1 &
beside=$!
set +m
trap 'kill -- "-$beside" 2>/dev/null || true; rm -f "$log"' EXIT

# A failure in one suite does not keep the others from being run: all that fails is seen at once.
cargo test --workspace "$@" --no-fail-fast -- --skip "$churn"
echo "waiting for the churn of clients"
if wait "$beside" && grep -q '^test .*churn_leaves_nothing_behind \.\.\. ok$' "$log"; then
    tail -n 4 "$log"
else
    cat "$log"
    exit 1
fi
