#!/usr/bin/env bash
# Generates the client stubs of every language into target/stubs/gen, as proto/buf.gen.yaml says, and compiles each with
# the tools of its language, together with a program that uses both services. C# has no compiler here: of its stubs only
# the files and the clients in them are looked for.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

fail() {
    echo "stubs: $*" >&2
    exit 1
}

rm -rf target/stubs
mkdir -p target/stubs
cd target/stubs
buf generate "$root/proto" --template "$root/proto/buf.gen.yaml"

# In each, the program lies beside the stubs of its language.
go_compiles() { go vet ./...; }
python_compiles() { "$root/.tools/stubs-python/bin/python" check.py; }
typescript_compiles() {
    ln -s "$root/.tools/stubs-typescript/node_modules" node_modules
    node_modules/.bin/tsc --noEmit --strict --module nodenext --target es2022 --types node check.ts
}
java_compiles() { mvn --quiet --batch-mode -Dstyle.color=never compile; }
cpp_compiles() { find . -name '*.cc' -print0 | xargs -0 -n 1 -P 2 g++ -std=c++17 -Wall -Werror -fsyntax-only -I.; }

for language in go python typescript java cpp; do
    begin=$SECONDS
    cp -r "$root/tests/stubs/$language/." "gen/$language/"
    (cd "gen/$language" && "${language}_compiles") || fail "those of $language do not compile"
    echo "stubs: $language compiles ($((SECONDS - begin)) s)"
done

for file in python/holdfast/v1/{lock_service,admin_service,lock}_pb2.pyi csharp/{LockService,AdminService,Lock}.cs; do
    [ -s "gen/$file" ] || fail "there is no gen/$file"
done
for service in LockService AdminService; do
    grep -q "class ${service}Client : grpc::ClientBase<${service}Client>" "gen/csharp/${service}Grpc.cs" ||
        fail "there is no client of $service for csharp"
done
echo "stubs: csharp is generated, and not compiled"
