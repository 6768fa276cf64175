#!/usr/bin/env bash
# Installs the load of the benchmarks for node-redlock, tests/bench/node, into .tools with npm, and links it as
# .tools/bin/node-redlock-load. Without npm it only says so.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source=tests/bench/node
target=.tools/node-redlock

if diff -rq --exclude=node_modules --exclude=.package-lock.json $source $target >/dev/null 2>&1; then exit 0; fi
if ! have npm; then
    say "node-redlock is not measured: install npm, and its load is installed here"
    exit 0
fi
say "installing the load of node-redlock into .tools"
rm -rf $target
mkdir -p $target .tools/bin
cp $source/package.json $source/package-lock.json $target/
npm --prefix $target ci --no-audit --no-fund --loglevel=error >/dev/null
cp $source/load.js $target/
ln -sf ../node-redlock/load.js .tools/bin/node-redlock-load
