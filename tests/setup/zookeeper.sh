#!/usr/bin/env bash
# Installs ZooKeeper's jars and Java from Debian's packages, when they are missing. No service comes with them.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ -e /usr/share/java/zookeeper.jar ] && have java && exit 0
apt_install "ZooKeeper is measured" default-jre-headless libzookeeper-java
