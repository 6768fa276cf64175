#!/usr/bin/env bash
# Builds the programs that use redsync, and puts them into .tools/bin: redsync-load of the benchmarks (tests/bench/go)
# and redsync-client of the tests (tests/coexistence/go). Without Go it only says so, except in CI, where a test that
# cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# build SOURCE TOOL: unless it is there and newer.
build() {
    local source=$1 target=.tools/bin/$2
    if [ -x "$target" ] && [ -z "$(find "$source" -newer "$target" -type f)" ]; then return; fi
    if ! have go; then
        hint="redsync is left out: install Go, and $2 is built here"
        [ "${CI:-}" != true ] || die "$hint"
        say "$hint"
        return
    fi
    say "building $2 into .tools"
    mkdir -p .tools/bin
    again go_quiet build -C "$source" -o "$PWD/$target"
}

build tests/bench/go redsync-load
build tests/coexistence/go redsync-client
