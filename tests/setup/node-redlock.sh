#!/usr/bin/env bash
# Installs the programs that use node-redlock into .tools with npm, and links them into .tools/bin: node-redlock-load
# of the benchmarks (tests/bench/node) and node-redlock-client of the tests (tests/coexistence/node). Without npm it
# only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

npm_install tests/bench/node node-redlock load.js node-redlock-load
npm_install tests/coexistence/node node-redlock-client client.js node-redlock-client
