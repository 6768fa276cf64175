#!/usr/bin/env bash
# Installs redis-server system-wide from Debian's packages, when none is on the PATH. No service is left running or
# enabled: the tests start their own processes on ports of their own.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have redis-server && exit 0

# Debian starts a service as it installs it, unless this policy (often there in containers) forbids it.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && have apt-get; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    trap 'as_root rm -f $policy' EXIT
    as_root chmod 755 $policy
fi
apt_install "tests run real Redis masters" redis-server
if [ -d /run/systemd/system ]; then
    as_root systemctl disable --now --quiet redis-server
fi
