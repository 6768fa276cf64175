#!/usr/bin/env bash
# Installs grpcurl into .tools/bin with Go, unless one is on the PATH or there already. Without Go it only says so,
# except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.9.3

if have grpcurl || [ -x .tools/bin/grpcurl ]; then exit 0; fi
if ! have go; then
    hint="grpcurl is missing; put it on the PATH, or install Go and it is built here"
    [ "${CI:-}" != true ] || die "$hint"
    say "$hint"
    exit 0
fi
say "building grpcurl $version into .tools/bin (about a minute, once)"
again go_quiet install "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$version"
