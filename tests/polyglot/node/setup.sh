#!/usr/bin/env bash
# Installs polyglot-node into .tools: the runner of this folder, the client that ts-proto generates, and what they need
# from npm. Without npm it only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"

if polyglot_is_built node; then exit 0; fi
polyglot_needs node node npm || exit 0
polyglot_sources node
proto=$PWD/proto
target=$(cd -P .tools/polyglot/node && pwd)
(
    cd "$target"
    # Not npm ci, which wants buf for all platforms to be in the lock file, and not every mirror has them.
    npm install --no-audit --no-fund --loglevel=error >/dev/null
    PATH=$PWD/node_modules/.bin:$PATH
    buf generate "$proto"
    tsc
)
polyglot_program node "exec node $target/build/runner.js"
polyglot_built node
