#!/usr/bin/env bash
# Installs what the tests of the dashboard look at it with: Chromium, system-wide from Debian's packages when there is
# none on the PATH, and dashboard-browser (tests/dashboard), which drives it, into .tools with npm. Where that cannot
# be done it only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

if ! have chromium; then
    if [ "${CI:-}" = true ] || { have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }; then
        apt_install "tests look at the dashboard with a browser" chromium
    else
        say "the tests of the dashboard are left out: install chromium"
    fi
fi
npm_install tests/dashboard dashboard-browser browser.js dashboard-browser
