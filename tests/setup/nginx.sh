#!/usr/bin/env bash
# Installs nginx from Debian's package into .tools, when it is missing.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have nginx && exit 0
[ -x .tools/bin/nginx ] && exit 0
deb_unpack "proxies are tested with nginx" nginx usr/sbin/nginx
