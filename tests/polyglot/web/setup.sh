#!/usr/bin/env bash
# Builds polyglot-web into .tools: what serves the page of docs/clients/browser.md, with the client that protoc-gen-es
# generates. Without Node it only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"
target=.tools/polyglot/web

if polyglot_is_built web; then exit 0; fi
polyglot_needs web node npm || exit 0
tests/setup/buf.sh
polyglot_sources web
buf=$PWD/.tools/bin/buf
proto=$PWD/proto
cd -P "$target"
npm ci --no-audit --no-fund --loglevel=error >/dev/null
PATH=$PWD/node_modules/.bin:$PATH "$buf" generate "$proto"
cd "$OLDPWD"
# It would go with its standard input, which a test has no use for.
bundle="app.js --bundle --format=esm --outfile=bundle.js --servedir=. --watch=forever"
polyglot_program web "cd $(realpath "$target") && exec node_modules/.bin/esbuild $bundle"
polyglot_built web
