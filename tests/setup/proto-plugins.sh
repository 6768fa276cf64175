#!/usr/bin/env bash
# Installs what proto/buf.gen.yaml generates with, and what its stubs are compiled with: protoc, plugins and C++ libraries
# of gRPC from Debian's packages, the rest into .tools with Go, npm, pip and Maven. The plugin of C# is published on NuGet
# alone, which needs .NET; it is built from gRPC's source, which the package grpcio-tools brings.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
go_version=1.36.12 go_grpc_version=1.6.2
java_version=1.82.0
csharp_version=1.76.0
python=(grpcio==1.85.1 protobuf==7.36.2)

for tool in go npm mvn javac python3 g++; do have $tool || die "client stubs of every language need $tool: install it"; done
mkdir -p .tools/bin

if ! have grpc_cpp_plugin || ! pkg-config --exists grpc++ protobuf 2>/dev/null || ! [ -e /usr/include/google/protobuf/compiler/plugin.h ]; then
    apt_install "stubs of Python, C# and C++" protobuf-compiler protobuf-compiler-grpc libgrpc++-dev libprotoc-dev pkg-config
fi

if [ "$(.tools/stubs-python/bin/pip freeze 2>/dev/null | grep -Fxc -e "${python[0]}" -e "${python[1]}")" != 2 ]; then
    say "installing ${python[*]} into .tools"
    python3 -c 'import ensurepip' 2>/dev/null || apt_install "stubs of Python run on packages from PyPI" python3-venv
    python3 -m venv .tools/stubs-python
    .tools/stubs-python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "${python[@]}"
fi

# go_plugin MODULE VERSION
go_plugin() {
    local name=${1##*/}
    if [[ $(".tools/bin/$name" --version 2>/dev/null) == *" "?(v)"$2" ]]; then return; fi
    say "building $name $2 into .tools"
    again go_quiet install "$1@v$2"
}
go_plugin google.golang.org/protobuf/cmd/protoc-gen-go $go_version
go_plugin google.golang.org/grpc/cmd/protoc-gen-go-grpc $go_grpc_version

npm_install tests/stubs/typescript stubs-typescript check.ts protoc-gen-ts_proto
ln -sf ../stubs-typescript/node_modules/.bin/protoc-gen-ts_proto .tools/bin/protoc-gen-ts_proto

plugin=protoc-gen-grpc-java-$java_version
if ! [ -x ".tools/bin/$plugin" ]; then
    say "installing $plugin into .tools"
    machine=$(uname -m)
    mvn --quiet --batch-mode -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -Dmdep.stripClassifier=true \
        -Dartifact="io.grpc:protoc-gen-grpc-java:$java_version:exe:linux-${machine/aarch64/aarch_64}" -DoutputDirectory="$PWD/.tools/bin"
    chmod +x ".tools/bin/$plugin.exe"
    mv ".tools/bin/$plugin.exe" ".tools/bin/$plugin"
fi
ln -sf "$plugin" .tools/bin/protoc-gen-grpc-java

plugin=grpc_csharp_plugin-$csharp_version
if ! [ -x ".tools/bin/$plugin" ]; then
    say "building $plugin into .tools"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    .tools/stubs-python/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$work" "grpcio-tools==$csharp_version"
    tar -xzf "$work"/*.tar.gz -C "$work" --strip-components 1
    names=::google::protobuf::compiler::csharp # in a header that Debian's protobuf calls otherwise than the newest
    (cd "$work/grpc_root" && g++ -std=c++17 -I. -Iinclude -include google/protobuf/compiler/csharp/csharp_names.h \
        -DGRPC_CUSTOM_CSHARP_GETCLASSNAME=$names::GetClassName -DGRPC_CUSTOM_CSHARP_GETFILENAMESPACE=$names::GetFileNamespace \
        -DGRPC_CUSTOM_CSHARP_GETOUTPUTFILE=$names::GetOutputFile -DGRPC_CUSTOM_CSHARP_GETREFLECTIONCLASSNAME=$names::GetReflectionClassName \
        src/compiler/csharp_plugin.cc src/compiler/csharp_generator.cc src/compiler/proto_parser_helper.cc -lprotoc -lprotobuf -o "$work/plugin")
    mv "$work/plugin" ".tools/bin/$plugin"
fi
ln -sf "$plugin" .tools/bin/grpc_csharp_plugin
