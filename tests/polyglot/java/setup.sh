#!/usr/bin/env bash
# Builds polyglot-java into .tools: the runner of this folder and the client that grpc-java generates, with Maven. Without
# a JDK and Maven it only says so, except in CI, where a test that cannot run is a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"

if polyglot_is_built java; then exit 0; fi
polyglot_needs java javac mvn || exit 0
polyglot_sources java
target=$(realpath .tools/polyglot/java)
mkdir -p "$target/src/main/protobuf"
cp -R proto/holdfast "$target/src/main/protobuf/"
mvn --batch-mode --quiet --file "$target/pom.xml" compile >"$target/build.log" 2>&1 ||
    die "the client in java does not build: $(cat "$target/build.log")"
# One short run: a JVM that starts quickly.
polyglot_program java \
    "exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '$target/target/classes:$target/target/lib/*' polyglot.Runner"
polyglot_built java
