#!/usr/bin/env bash
# Installs check-jsonschema from PyPI, which brings the schema of Compose files with it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=0.39.0

[[ $(.tools/bin/check-jsonschema --version 2>/dev/null) == *" $version" ]] && exit 0
pypi_install check-jsonschema "check-jsonschema==$version"
