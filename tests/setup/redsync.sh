#!/usr/bin/env bash
# Builds the load of the benchmarks for redsync, tests/bench/go, as .tools/bin/redsync-load. Without Go it only says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source=tests/bench/go
target=.tools/bin/redsync-load

if [ -x $target ] && [ -z "$(find $source -newer $target -type f)" ]; then exit 0; fi
if ! have go; then
    say "redsync is not measured: install Go, and its load is built here"
    exit 0
fi
say "building the load of redsync into .tools/bin"
mkdir -p .tools/bin
go build -C $source -o "$PWD/$target" 2>&1 | { grep -v '^go: downloading' >&2 || true; }
