#!/usr/bin/env bash
# run-dev.sh LISTEN ADMIN_LISTEN: starts `holdfastd --dev` in the foreground, takes a first lock, and shows how to take
# another from a second terminal. Ctrl-C drains the server and ends with its exit code. Installs grpcurl if Go is there,
# for those who want to see the calls.
set -euo pipefail

# In a terminal Ctrl-C goes to every process of the foreground group, make among them, which would report an error.
# With job control on, this script runs itself again in a foreground group of its own.
if [ -t 0 ] && [ "${1:-}" != --in-own-group ]; then
    set -m
    "$0" --in-own-group "$@"
    exit
fi
if [ "${1:-}" = --in-own-group ]; then shift; fi

source "$(dirname "$0")/lib.sh"
listen=$1
admin=$2

tests/setup/grpcurl.sh
say "building holdfastd and holdfast (minutes the first time)"
cargo build --locked --quiet -p holdfast-server -p holdfast-client --features holdfast-client/cli --bins

grpcurl=
if have grpcurl; then
    grpcurl=grpcurl
elif [ -x .tools/bin/grpcurl ]; then
    grpcurl=./.tools/bin/grpcurl
fi

# healthy: whether the admin port answers GET /healthz with 200.
healthy() {
    local answer=
    {
        printf 'GET /healthz HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n\r\n' >&3
        answer=$(timeout 1 cat <&3)
    } 3<>"/dev/tcp/${admin%:*}/${admin##*:}" || return 1
    [[ $answer == "HTTP/1.1 200 "* ]]
}

if healthy 2>/dev/null; then
    die "a server answers on $admin already; for a second one: make run LISTEN=127.0.0.1:7430 ADMIN_LISTEN=127.0.0.1:7431"
fi

built=${CARGO_TARGET_DIR:-target}/debug
# One SIGTERM asks the server to drain; job control keeps it out of the group that Ctrl-C reaches.
server=
trap '[ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true' INT TERM HUP
set -m
"$built/holdfastd" --dev --listen "$listen" --admin-listen "$admin" </dev/null >/dev/null & # its own hint stands below
server=$!
set +m

alive() { kill -0 "$server" 2>/dev/null; }

first_lock() {
    echo
    echo "A first lock:"
    "$built/holdfast" --server "http://$listen" --timeout 5s acquire first-lock --holder "make run" ||
        true # a hint, not a check: the server stays
}

ready=
for _ in {1..100}; do
    if ! alive; then break; fi
    if healthy 2>/dev/null; then
        ready=yes
        break
    fi
    sleep 0.1 || true # Ctrl-C ends it too
done

if [ -n "$ready" ]; then
    first_lock
    server_flag=
    if [ "$listen" != 127.0.0.1:7420 ]; then server_flag=" --server http://$listen"; fi
    echo
    echo "Take one yourself, from this directory in another terminal:"
    echo "  $built/holdfast$server_flag acquire hello --holder me"
    echo "or see the call itself:"
    echo "  ${grpcurl:-grpcurl} -plaintext -d '{\"resource\":\"hello\",\"holder\":\"me\"}' $listen holdfast.v1.LockService/Acquire"
    echo
    echo "Ctrl-C stops the server."
elif alive; then
    echo "holdfastd does not answer http://$admin/healthz after 10 s" >&2
fi

# A trapped signal interrupts wait: only the server's own end counts.
code=0
wait "$server" || code=$?
while alive; do
    code=0
    wait "$server" || code=$?
done
exit "$code"
