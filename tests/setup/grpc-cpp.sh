#!/usr/bin/env bash
# Installs what the page of C++ is done with: CMake, gRPC and SQLite, from Debian's packages. Where that cannot be done it
# only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

have cmake && have g++ && have pkg-config && have protoc && have grpc_cpp_plugin && pkg-config --exists grpc++ protobuf sqlite3 && exit 0
if [ "${CI:-}" = true ] || { have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }; then
    apt_install "the page of C++ is done with Debian's gRPC" g++ cmake pkg-config libgrpc++-dev libprotobuf-dev \
        protobuf-compiler protobuf-compiler-grpc libsqlite3-dev
else
    say "the page of C++ is left out: install gRPC and CMake"
fi
