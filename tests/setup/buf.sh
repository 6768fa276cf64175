#!/usr/bin/env bash
# Installs buf, the linter of the proto files and a client by hand, into .tools with npm, and links the program as
# .tools/bin/buf: the one that npm would put there starts it and passes no signals on.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.75.0

is_there() { [ "$(.tools/bin/buf --version 2>/dev/null)" = "$version" ] && [[ $(readlink .tools/bin/buf) == */buf-* ]]; }

is_there && exit 0
have npm || apt_install "buf comes from npm" npm
say "installing buf $version into .tools"
mkdir -p .tools/bin
npm --prefix .tools install --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version" >/dev/null
(cd .tools/bin && ln -sf ../node_modules/@bufbuild/buf-*/bin/buf buf)
