#!/usr/bin/env bash
# Breaks the contract in a checkout of its own, and demands that breaking.sh refuses it there; what may be changed passes.
set -euo pipefail
setup=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE # set when a git hook runs lint
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

failures=0
fail() {
    echo "breaking_test: $*" >&2
    failures=$((failures + 1))
}

# passes SAYING ROOT: breaking.sh accepts what is there, and says so. refuses WHAT SAYING: not in the checkout.
passes() {
    local output
    if ! output=$("$setup/breaking.sh" "$2" 2>&1); then
        fail "refused: $output"
    elif [[ $output != *"$1"* ]]; then
        fail "passes, but does not say '$1': $output"
    fi
}
refuses() {
    local output
    if output=$("$setup/breaking.sh" "$tree/main" 2>&1); then
        fail "passes $1: $output"
    elif [[ $output != *"$2"* ]]; then
        fail "$1: does not say '$2': $output"
    fi
}

git() { command git -c user.name=test -c user.email=test -C "$tree/main" "$@"; }
commit() { git commit --quiet --all --message "$1"; }

# edit FILE SCRIPT: it changes the file.
edit() {
    local file=$tree/main/proto/holdfast/v1/$1
    cp "$file" "$tree/before"
    sed -i "$2" "$file"
    ! cmp --quiet "$file" "$tree/before" || fail "'$2' changes nothing in $1"
}

# breaks WHAT SAYING FILE SCRIPT: the edit is refused in the tree, on a branch, and on main, whatever came after it.
breaks() {
    edit "$3" "$4"
    refuses "$1 in the tree" "$2"
    git switch --quiet --create broken
    commit "$1"
    refuses "$1 on a branch" "$2"
    edit "$3" '1i // In short:'
    commit "something else in the contract"
    git switch --quiet main
    git merge --quiet --no-ff --message "Merge" broken
    echo >>"$tree/main/proto/README.md"
    commit "something else"
    refuses "$1 on main" "$2"
    git reset --quiet --hard "$first"
    git branch --quiet --delete --force broken
}

mkdir "$tree/main"
cp -r "$setup/../../proto" "$tree/main/"
passes "no earlier contract" "$tree/main" # as in an archive of the sources

git init --quiet --initial-branch main
git add proto
commit "the first contract"
first=$(git rev-parse --short HEAD)
passes "no earlier contract" "$tree/main"

breaks "a field with another number" 'Previously present field "2"' lock.proto 's/string lease_id = 2;/string lease_id = 12;/'
breaks "a field with another name" 'changed name from "immediate"' admin_service.proto 's/bool immediate = 4;/bool at_once = 4;/'
breaks "a field of another type" 'changed type from "uint32"' lock.proto 's/uint32 votes = 6;/uint64 votes = 6;/'
breaks "an rpc that is gone" 'Previously present RPC "Release"' lock_service.proto '/^  rpc Release(/d'

edit lock.proto 's/^message LeaseLost {/&\n  string added = 15;/'
passes "the clients of $first are served" "$tree/main"
commit "a field more"
passes "the clients of $first are served" "$tree/main"

command git clone --quiet --depth 1 "file://$tree/main" "$tree/shallow"
passes "no earlier contract" "$tree/shallow"

[ "$failures" -eq 0 ]
