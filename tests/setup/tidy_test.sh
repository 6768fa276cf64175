#!/usr/bin/env bash
# Breaks each rule of tidy.sh once, in a tree of its own, and demands that it is reported there; a clean tree passes.
set -euo pipefail
tidy=$(cd "$(dirname "$0")" && pwd)/tidy.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE # set when a git hook runs lint
git init --quiet

failures=0
fail() {
    echo "tidy_test: $*" >&2
    failures=$((failures + 1))
}

# clean_tree: what every rule accepts, near misses included.
clean_tree() {
    rm -rf ./*
    mkdir -p client/src server/engine/src server/src/masters/redis server/src/grpc
    printf '[package]\nname = "server"\n\n[lints]\nworkspace = true\n' >server/Cargo.toml
    printf '[package]\n# no tokio here\n\n[lints]\nworkspace = true\n' >server/engine/Cargo.toml
    printf '//! No tokio, no redis, no SystemTime.\nuse std::time::Duration;\n' >server/engine/src/lib.rs
    printf '//! Wiring.\nuse crate::masters::redis::RedisMaster;\nlet url = "redis://a";\n' >server/src/app.rs
    printf '//! Redis.\nuse redis::Client;\n' >server/src/masters/redis/script.rs
    printf '//! Takes locks.\nuse holdfast_proto::v1;\n' >client/src/lock.rs
    printf '//! Edge.\nuse holdfast_proto::v1;\n' >server/src/grpc/convert.rs
}

# broken PATH LINE WHY TEXT: TEXT, appended to PATH of a clean tree, is reported at that line with that reason.
broken() {
    local path=$1 line=$2 why=$3 text=$4 output
    clean_tree
    printf '%s\n' "$text" >>"$path"
    if output=$("$tidy" "$tree" 2>&1); then
        fail "passes in $path: $text"
    elif [ "$output" != "tidy: $path:$line$why" ]; then
        fail "$path: $text: wanted '$path:$line$why', got '$output'"
    fi
}

clean_tree
"$tidy" "$tree" || fail "a clean tree is reported"

broken server/src/new.rs 1: " a Rust file opens with //!" 'fn main() {}'
broken tests.rs 1: " a Rust file opens with //!" '// almost'

broken client/Cargo.toml "" " a member has [lints] workspace = true" '[package]'
broken client/Cargo.toml "" " a member has [lints] workspace = true" $'[lints]\nrust.unsafe_code = "deny"'
broken server/src/app.rs 4: " leftover work belongs in an issue" "// TO""DO: later"
broken notes.sh 1: " leftover work belongs in an issue" "# FIX""ME"

pure=" the engine is pure: no runtime, master, clock, entropy, thread or unordered map"
broken server/engine/Cargo.toml 6: "$pure" 'tokio.workspace = true'
for line in 'use tokio::sync::mpsc;' 'redis::cmd("GET");' 'use std::time::Instant;' \
    'use std::time::{Duration, Instant};' 'std::time::SystemTime::now();' 'use std::collections::HashMap;' \
    'let s: HashSet<u8>;' 'std::thread::sleep(d);' 'getrandom::fill(b);'; do
    broken server/engine/src/lib.rs 3: "$pure" "$line"
done

for line in 'use redis::Client;' 'use ::redis::Client;' 'use redis as client;' 'fn f(v: &redis::Value) {}'; do
    broken server/src/app.rs 4: " Redis types stop at masters/redis" "$line"
done
broken client/src/lock.rs 3: " the client knows no Redis" 'use redis::Client;'
broken server/src/app.rs 4: " proto types stop at grpc and admin" 'use holdfast_proto::v1;'

[ "$failures" -eq 0 ]
