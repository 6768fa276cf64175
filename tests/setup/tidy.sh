#!/usr/bin/env bash
# The rules of the repository that no compiler checks. `tidy.sh [ROOT]` reports each violation as `tidy: path[:line]: why`
# and fails if there is any. It reads what git tracks or would track; tidy_test.sh breaks each rule once.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

violations=0
report() {
    echo "tidy: $1" >&2
    violations=$((violations + 1))
}

# files PATHSPEC...: those that exist, as git sees them.
files() {
    git ls-files -co --exclude-standard -- "$@" | while read -r file; do
        if [ -f "$file" ]; then echo "$file"; fi
    done
}

# code FILE: its lines without comments, so that prose may name what code must not.
code() {
    case $1 in
    *.rs) sed 's://.*::' "$1" ;;
    *.toml) sed 's:#.*::' "$1" ;;
    *) cat "$1" ;;
    esac
}

# forbid WHY REGEX PATHSPEC...: no line of code there matches.
forbid() {
    local why=$1 regex=$2 file line
    shift 2
    while read -r file; do
        while IFS=: read -r line _; do
            report "$file:$line: $why"
        done < <(code "$file" | grep -nE "$regex" || true)
    done < <(files "$@")
}

# A reader learns from the first lines what a file owns, and what it deliberately does not.
while read -r file; do
    [[ $(head -n 1 "$file") == '//!'* ]] || report "$file:1: a Rust file opens with //!"
done < <(files '*.rs')

# Lints are declared once, at the root; a member that forgets to inherit them has none.
while read -r file; do
    grep -A1 -Fx '[lints]' "$file" | grep -qx 'workspace = true' ||
        report "$file: a member has [lints] workspace = true"
done < <(files '*/Cargo.toml')

# Work left over is filed as an issue, where it is seen.
while IFS=: read -r file line _; do
    report "$file:$line: leftover work belongs in an issue"
done < <(git ls-files -coz --exclude-standard | xargs -0 grep -nsIEw 'TO[D]O|FIX[M]E' /dev/null || true)

# The simulator replays the engine from a seed: time, entropy and order of iteration come in as arguments or not at all.
forbid "the engine is pure: no runtime, master, clock, entropy, thread or unordered map" \
    '\b(tokio|redis|getrandom|SystemTime|HashMap|HashSet)\b|\bstd::(thread|time::.*\bInstant)\b' \
    server/engine/src server/engine/Cargo.toml

# One folder knows the Redis client, so that another master backend is one more folder.
forbid "Redis types stop at masters/redis" \
    '(^|[^:[:alnum:]_])(::)?redis::|\buse (::)?redis( as|;)' \
    server/src ':!server/src/masters/redis' ':!server/src/masters/redis.rs'

# Its examples have a Redis to write to, which is why cargo-deny lets the client name it.
forbid "the client knows no Redis" \
    '(^|[^:[:alnum:]_])(::)?redis::|\buse (::)?redis( as|;)' \
    client/src

# Wire types are converted at the edge, so that the contract can change without the protocol.
forbid "proto types stop at grpc and admin" '\bholdfast_proto\b' \
    server/src ':!server/src/grpc' ':!server/src/grpc.rs' ':!server/src/admin' ':!server/src/admin.rs'

[ "$violations" -eq 0 ]
