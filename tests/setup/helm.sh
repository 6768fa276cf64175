#!/usr/bin/env bash
# Builds helm into .tools/bin with Go. Without a cluster it renders for the Kubernetes that is compiled in.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=3.21.4
kubernetes=36 # 1.36, of the k8s.io modules that this helm is made of

[[ $(.tools/bin/helm version --short 2>/dev/null) == "v$version"* ]] && exit 0
have go || die "helm is built with Go, and there is none"
say "building helm $version into .tools/bin (a minute or two, once)"
module=helm.sh/helm/v3
again go_quiet install -ldflags "-X $module/internal/version.version=v$version
    -X $module/pkg/chartutil.k8sVersionMajor=1 -X $module/pkg/chartutil.k8sVersionMinor=$kubernetes" \
    "$module/cmd/helm@v$version"
