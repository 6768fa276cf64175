#!/usr/bin/env bash
# Installs perf system-wide from Debian's packages, when none is on the PATH.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have perf && exit 0
apt_install "make flamegraph looks at the CPU with perf" linux-perf
