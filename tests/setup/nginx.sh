#!/usr/bin/env bash
# Installs nginx from Debian's package, when it is missing: unpacked into .tools, because installing it would start a
# service.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have nginx && exit 0
[ -x .tools/bin/nginx ] && exit 0
have apt-get || die "proxies are tested with nginx: no apt-get here, install it by hand"
say "proxies are tested with nginx: unpacking it into .tools"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
chmod 755 "$unpacked" # apt downloads as a user of its own
fetch() { (cd "$unpacked" && apt-get download -qq nginx >/dev/null 2>&1); }
fetch || { as_root apt-get update -qq >/dev/null && fetch; }
dpkg-deb --extract "$unpacked"/nginx_*.deb "$unpacked"
mkdir -p .tools/bin
install -m 755 "$unpacked/usr/sbin/nginx" .tools/bin/
