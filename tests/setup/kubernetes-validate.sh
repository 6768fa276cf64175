#!/usr/bin/env bash
# Installs kubernetes-validate from PyPI, which brings the schemas of Kubernetes with it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.37.0

[ "$(.tools/bin/kubernetes-validate --version 2>/dev/null)" = $version ] && exit 0
pypi_install kubernetes-validate "kubernetes-validate==$version"
