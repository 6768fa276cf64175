#!/usr/bin/env bash
# Builds helm into .tools/bin with Go.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=3.21.4

have go || die "helm is built with Go, and there is none"
[[ $(go version -m .tools/bin/helm 2>/dev/null) == *$'\thelm.sh/helm/v3\tv'$version$'\t'* ]] && exit 0
say "building helm $version into .tools/bin (a minute or two, once)"
GOBIN=$PWD/.tools/bin go install "helm.sh/helm/v3/cmd/helm@v$version" 2>&1 |
    { grep -v '^go: downloading' >&2 || true; }
