#!/usr/bin/env bash
# Builds cargo-deny into .tools/bin with cargo; it checks dependencies against deny.toml.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=0.20.2

[ "$(.tools/bin/cargo-deny --version 2>/dev/null)" = "cargo-deny $version" ] && exit 0
# The debug profile builds three times as fast as the release one, and a check takes a second in either.
say "building cargo-deny $version into .tools/bin (about a minute, once)"
CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=0 cargo install cargo-deny --version "$version" --locked --debug \
    --no-default-features --root .tools --quiet
