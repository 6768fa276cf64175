#!/usr/bin/env bash
# Builds polyglot-go in .tools: the runner of this folder, with the client that the plugins of protobuf and gRPC generate,
# which are tools of its module. Without Go it only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"
target=$(realpath -m .tools)/polyglot/go

if polyglot_is_built go; then exit 0; fi
polyglot_needs go go || exit 0
tests/setup/buf.sh
polyglot_sources go
buf=$(realpath -m .tools)/bin/buf proto=$PWD/proto
build() { (cd "$target" && "$buf" generate "$proto" && go build -o polyglot-go .) 2>&1 | { grep -v '^go: downloading' >&2 || true; }; }
again build
polyglot_program go "exec $target/polyglot-go"
polyglot_built go
