#!/usr/bin/env bash
# Installs buf, the linter of the proto files, into .tools with npm, and links it as .tools/bin/buf.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.75.0

[ "$(.tools/bin/buf --version 2>/dev/null)" = "$version" ] && exit 0
have npm || apt_install "buf comes from npm" npm
say "installing buf $version into .tools"
mkdir -p .tools/bin
npm --prefix .tools install --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version" >/dev/null
ln -sf ../node_modules/.bin/buf .tools/bin/buf
