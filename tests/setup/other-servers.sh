#!/usr/bin/env bash
# Installs the servers that are tested beside Debian's Redis. Where that cannot be done it only says so, except in CI:
# the tests leave out what is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for server in valkey redis-6.2; do
    if ! tests/setup/$server.sh; then
        hint="$server is not tested: there is no package of it for this machine"
        [ "${CI:-}" != true ] || die "$hint"
        say "$hint"
    fi
done
