#!/usr/bin/env bash
# Builds the runners of all languages whose toolchain is there, all at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

builds=()
for setup in */setup.sh; do
    "./$setup" &
    builds+=($!)
done
for build in "${builds[@]}"; do wait "$build"; done
