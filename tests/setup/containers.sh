#!/usr/bin/env bash
# Installs what builds and runs the image, from Debian's packages: buildah, podman with runc, debootstrap for stand-ins.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have buildah && have podman && have runc && have debootstrap && have catatonit && exit 0
apt_install "the image is built and run" buildah podman runc debootstrap catatonit containernetworking-plugins
