#!/usr/bin/env bash
# Installs protoc-gen-doc, which makes docs/api.md, into .tools/bin with Go. Without Go it only says so, except in CI, where
# a check that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.5.1

[[ $(.tools/bin/protoc-gen-doc --version 2>/dev/null) == *" version $version" ]] && exit 0
if ! have go; then
    hint="docs/api.md is not looked at: install Go, and protoc-gen-doc is built here"
    [ "${CI:-}" != true ] || die "$hint"
    say "$hint"
    exit 0
fi
say "building protoc-gen-doc $version into .tools"
again go_quiet install "github.com/pseudomuto/protoc-gen-doc/cmd/protoc-gen-doc@v$version"
