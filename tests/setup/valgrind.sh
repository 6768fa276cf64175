#!/usr/bin/env bash
# Installs valgrind system-wide from Debian's packages, when none is on the PATH. Callgrind needs no debug
# symbols of libc, which other tools of valgrind do.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have valgrind && exit 0
apt_install "make counts counts instructions with callgrind" valgrind
