#!/usr/bin/env bash
# Draws where the CPU time of holdfastd and of its client goes while 64 workers take locks of their own:
# flamegraph-server.svg and flamegraph-client.svg in docs/benchmarks.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)

"${CARGO_TARGET_DIR:-target}/release/holdfast-bench" run \
    --points own --systems holdfast --workers 64 --warm-seconds 3 --seconds 10 --repetitions 1 >"$folder/said" 2>&1 &
bench=$!
trap 'kill "$bench" 2>/dev/null || true; rm -rf "$folder"' EXIT

# child PATTERN: the process of the benchmark with this command line.
child() {
    for _ in $(seq 300); do
        pgrep -P "$bench" -f "$1" && return
        sleep 0.1
    done
    echo "no $1: $(cat "$folder/said")" >&2
    return 1
}
server=$(child 'holdfastd .*--listen')
client=$(child 'holdfast-bench load')

# It is warm then, and still under load when this ends.
sleep 3
perf record --quiet --event cpu-clock --freq 499 --call-graph dwarf,16384 --pid "$server,$client" \
    --output "$folder/perf" -- sleep 5
for role in server client; do
    perf script --input "$folder/perf" --no-inline --pid "${!role}" |
        inferno-collapse-perf |
        inferno-flamegraph --minwidth 0.3 --title "holdfast, $role: 64 workers, a lock each" >"$folder/svg"
    # Without the remarks of its author, of which one is not for this repository.
    grep -v '^ *//' "$folder/svg" >"docs/benchmarks/flamegraph-$role.svg"
    echo "docs/benchmarks/flamegraph-$role.svg"
done
