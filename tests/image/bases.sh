#!/usr/bin/env bash
# Prints the build argument that names the Dockerfile's base image: none where it can be pulled. Where no registry gives it,
# a stand-in is made once, under a name of its own, from Debian's packages and the Rust of this machine.
set -euo pipefail
source "$(dirname "$0")/../setup/lib.sh"
suite=bookworm
debian=localhost/holdfast-stand-in/debian:$suite-slim
rust=localhost/holdfast-stand-in/rust:1-$suite

pulled() { as_root timeout 900 buildah pull --quiet --policy missing "$1" >/dev/null 2>&1; }
here() { as_root buildah inspect --type image "$1" >/dev/null 2>&1; }
note() { echo "image: $*" >&2; } # stdout is the answer

# filled CONTAINER FOLDER TAR_ARGUMENTS...: what tar packs, unpacked in that folder of the container.
filled() {
    local container=$1 folder
    folder=$(as_root buildah mount "$container")$2
    shift 2
    as_root tar --numeric-owner -cf - "$@" | as_root tar --numeric-owner -C "$folder" -xf -
    as_root buildah umount "$container" >/dev/null
}

if pulled rust:1-$suite; then exit 0; fi
note "the base image cannot be pulled here; a stand-in takes its place"

if ! here "$debian"; then
    note "making $debian (half a minute, once)"
    work=$(mktemp -d)
    trap 'as_root rm -rf --one-file-system "$work"' EXIT
    as_root timeout 300 debootstrap --variant=minbase --include=ca-certificates $suite "$work/tree" >"$work/log" 2>&1 || {
        tail -n 20 "$work/log" >&2
        die "debootstrap failed"
    }
    container=$(as_root buildah from scratch)
    filled "$container" / -C "$work/tree" --exclude './dev/*' --exclude './var/cache/apt/archives/*.deb' .
    as_root buildah commit --quiet --rm "$container" $debian >/dev/null
fi

if ! here "$rust"; then
    note "making $rust of $(rustc --version) (half a minute, once)"
    container=$(as_root buildah from --pull=never $debian)
    as_root timeout 300 buildah run --isolation chroot "$container" -- sh -c \
        'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev' \
        >/dev/null 2>&1 || die "no C compiler could be installed in the stand-in for Rust"
    filled "$container" /usr/local -C "$(rustc --print sysroot)" --exclude ./share .
    as_root buildah config --env CARGO_HOME=/usr/local/cargo "$container"
    as_root buildah commit --quiet --rm "$container" $rust >/dev/null
fi

echo "--build-arg=RUST_IMAGE=$rust"
