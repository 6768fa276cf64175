#!/usr/bin/env bash
# Renders the chart and judges it; see chart.py.
set -euo pipefail
source "$(dirname "$0")/../setup/lib.sh"

tests/setup/redis.sh
tests/setup/helm.sh
tests/setup/kubernetes-validate.sh
cargo build --locked --quiet --package holdfast-server --bin holdfastd
cargo build --locked --quiet --package holdfast-client --features cli --bin holdfast
built=${CARGO_TARGET_DIR:-target}/debug
timeout 300 .tools/python/bin/python tests/chart/chart.py "$built/holdfastd" "$built/holdfast"
