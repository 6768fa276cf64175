#!/usr/bin/env bash
# Installs Prometheus and promtool from Debian's package into .tools, when they are missing; the pictures of its web page
# are not needed.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have prometheus && have promtool && exit 0
[ -x .tools/bin/prometheus ] && [ -x .tools/bin/promtool ] && exit 0
deb_unpack "alerts and the dashboard are tested with Prometheus" prometheus usr/bin/prometheus usr/bin/promtool
