#!/usr/bin/env bash
# Installs the programs that use node-redlock into .tools with npm, and links them into .tools/bin: node-redlock-load
# of the benchmarks (tests/bench/node) and node-redlock-client of the tests (tests/coexistence/node). Without npm it
# only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

# place SOURCE FOLDER SCRIPT TOOL: into .tools/FOLDER, unless it is the same there.
place() {
    local source=$1 target=.tools/$2 script=$3 tool=$4
    if diff -rq --exclude=node_modules --exclude=.package-lock.json "$source" "$target" >/dev/null 2>&1; then return; fi
    if ! have npm; then
        hint="node-redlock is left out: install npm, and $tool is installed here"
        [ "${CI:-}" != true ] || die "$hint"
        say "$hint"
        return
    fi
    say "installing $tool into .tools"
    rm -rf "$target"
    mkdir -p "$target" .tools/bin
    cp "$source/package.json" "$source/package-lock.json" "$target/"
    npm --prefix "$target" ci --no-audit --no-fund --loglevel=error >/dev/null
    cp "$source/$script" "$target/"
    ln -sf "../$2/$script" ".tools/bin/$tool"
}

place tests/bench/node node-redlock load.js node-redlock-load
place tests/coexistence/node node-redlock-client client.js node-redlock-client
