#!/usr/bin/env bash
# `api.sh`: makes docs/api.md of the comments of the proto files. `api.sh --check`: it is as it would be made, and its links
# lead somewhere.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ] && ! command -v protoc-gen-doc >/dev/null; then exit; fi # tests/setup has said so

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
buf generate proto -o "$made" --template '{"version": "v2", "plugins": [
    {"local": "protoc-gen-doc", "out": ".", "strategy": "all", "opt": "docs/api.md.tmpl,api.md"}]}'

if [ "${1:-}" != --check ]; then
    cp "$made/api.md" docs/api.md
elif ! diff -u docs/api.md "$made/api.md" >&2; then
    echo "api: docs/api.md is not what the proto files say: run \`make api\`" >&2
    exit 1
fi
# As GitHub names them: in lower case, without dots.
grep '^##' docs/api.md | sed 's/^#* //; s/[.]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]' | sort >"$made/headings"
grep -o '](#[^)]*)' docs/api.md | tr -d '](#)' | sort --unique >"$made/links"
if [ -n "$(uniq --repeated "$made/headings")$(comm -23 "$made/links" "$made/headings" | tee /dev/stderr)" ]; then
    echo "api: docs/api.md has links that lead nowhere, or to one heading of two" >&2
    exit 1
fi
