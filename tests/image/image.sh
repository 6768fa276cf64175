#!/usr/bin/env bash
# image.sh: builds the Dockerfile with buildah as localhost/holdfast:VERSION, and holds the result to checks.sh.
set -euo pipefail
source "$(dirname "$0")/../setup/lib.sh"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
image=localhost/holdfast:$version

tests/setup/containers.sh
tests/setup/redis.sh
tests/setup/grpcurl.sh
tests/setup/buf.sh
tests/setup/check-jsonschema.sh
have grpcurl || die "the image is called with grpcurl, and there is none"

mapfile -t bases < <(tests/image/bases.sh)
secrets=()
if [ -s "${SSL_CERT_FILE:-}" ]; then secrets=("--secret=id=ca,src=$SSL_CERT_FILE"); fi

echo "image: building $image (minutes the first time)"
# The format of Docker, because the other one has no place for HEALTHCHECK; layers, so that what did not change is kept.
as_root timeout 3000 buildah build --format docker --layers --isolation chroot --network host --pull-never "${bases[@]}" "${secrets[@]}" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" --tag "$image" . || die "the image cannot be built"

# A network namespace of its own: every port is free there, and host networking reaches nobody else.
as_root env PATH="$PATH" timeout --kill-after=30 300 unshare --net tests/image/checks.sh "$image"
