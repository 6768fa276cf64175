#!/usr/bin/env bash
# Builds polyglot-csharp into .tools: the runner of this folder and the client that Grpc.Tools generates. Without the .NET
# SDK it only says so, in CI as well: the machines of CI have none.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"

if polyglot_is_built csharp; then exit 0; fi
if ! have dotnet; then
    say "the client in csharp is left out: install the .NET SDK, and it is built here"
    exit 0
fi
polyglot_sources csharp
target=$(realpath .tools/polyglot/csharp)
mkdir "$target/proto"
cp -R proto/holdfast "$target/proto/"
dotnet publish "$target" --configuration Release --output "$target/out" --nologo --verbosity quiet >"$target/build.log" 2>&1 ||
    die "the client in csharp does not build: $(cat "$target/build.log")"
polyglot_program csharp "exec dotnet '$target/out/polyglot.dll'"
polyglot_built csharp
