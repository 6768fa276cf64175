#!/usr/bin/env bash
# Installs Prometheus and promtool from Debian's package, when they are missing: unpacked into .tools, because
# installing it would start a service, and the pictures of its web page are not needed.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have prometheus && have promtool && exit 0
[ -x .tools/bin/prometheus ] && [ -x .tools/bin/promtool ] && exit 0
have apt-get || die "alerts and the dashboard are tested with Prometheus: no apt-get here, install prometheus by hand"
say "alerts and the dashboard are tested with Prometheus: unpacking it into .tools"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
chmod 755 "$unpacked" # apt downloads as a user of its own
fetch() { (cd "$unpacked" && apt-get download -qq prometheus >/dev/null 2>&1); }
fetch || { as_root apt-get update -qq >/dev/null && fetch; }
dpkg-deb --extract "$unpacked"/prometheus_*.deb "$unpacked"
mkdir -p .tools/bin
install -m 755 "$unpacked/usr/bin/prometheus" "$unpacked/usr/bin/promtool" .tools/bin/
