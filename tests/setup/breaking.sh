#!/usr/bin/env bash
# Refuses what breaks the clients of the contract, as buf says it (proto/buf.yaml). `breaking.sh [ROOT]` compares the
# files as they are with those of main; where they are the same, with what main had before it last changed them.
# breaking_test.sh breaks the contract in a tree of its own.
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

# Prints the commit to compare with; nothing, if this is no checkout of its own or its history does not reach back so far.
baseline() {
    local main base=
    [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ] || return 0
    for main in origin/main main; do
        if base=$(git merge-base HEAD "$main" 2>/dev/null); then break; fi
    done
    if [ -z "$base" ] || git diff --quiet "$base" -- proto/holdfast; then
        base=$(git log -1 --first-parent --format=%H -- proto/holdfast)^ # a branch that was merged is one change
    fi
    git rev-parse --quiet --verify "$base^{tree}:proto" >/dev/null && git rev-parse --short "$base" || true
}

base=$(baseline)
if [ -z "$base" ]; then
    echo "breaking: no earlier contract to compare with: this is no git checkout, or it has no history"
    exit 0
fi
earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$base" proto | tar -x -C "$earlier"
buf breaking proto --against "$earlier/proto"
echo "breaking: the clients of $base are served"
