#!/usr/bin/env bash
# Installs what stands between clients and replicas in tests. Where that cannot be done it only says so, except in CI:
# the tests leave out what is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for proxy in envoy nginx; do
    if ! tests/setup/$proxy.sh; then
        hint="$proxy is not tested: it cannot be installed here"
        [ "${CI:-}" != true ] || die "$hint"
        say "$hint"
    fi
done
