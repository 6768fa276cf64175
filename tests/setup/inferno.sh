#!/usr/bin/env bash
# Installs inferno, which draws flame graphs, into .tools/bin.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=0.12.8

[[ $(cargo install --list --root .tools 2>/dev/null) == *"inferno v$version:"* ]] && exit 0
say "building inferno $version into .tools (a minute, once)"
cargo install --locked --quiet --root .tools --version "$version" inferno
