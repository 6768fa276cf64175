#!/usr/bin/env bash
# checks.sh IMAGE: runs the image the way a careful cluster does, and fails at the first thing that does not hold. As root,
# in a network namespace of its own (image.sh makes it); leaves no container and no process behind.
set -euo pipefail
image=$1
work=$(mktemp -d)
chmod 755 "$work"
names=holdfast-check-$$
number=0

# Without systemd podman complains that it has no timer for health checks; one is run by hand below.
podman() { command podman --log-level fatal "$@"; }

cleanup() {
    for container in $(podman ps -aq --filter "name=^$names"); do podman rm --force --time 0 "$container" >/dev/null; done
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
    wait
    podman image unmount "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT
ip link set lo up

# Nothing may be written (nor to /tmp), nothing is permitted, no privilege is gained. Limits are low enough for a sandbox,
# where podman's own may not be set.
hardened=(--read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges --network host
    --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --health-interval disable)

# start OPTION... -- ARGUMENT...: a container in the background; $container is its name.
start() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    number=$((number + 1))
    container=$names-$number
    podman run --detach --name "$container" "${hardened[@]}" "${options[@]}" "$image" "$@" >/dev/null
}

# once OPTION... -- ARGUMENT...: the same in the foreground.
once() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    timeout 30 podman --log-level fatal run --rm "${hardened[@]}" "${options[@]}" "$image" "$@"
}

# holds WHAT COMMAND...: it succeeds; its output is in $output.
holds() {
    local what=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok   $what"
        return
    fi
    echo "FAIL $what" >&2
    echo "$output" >&2
    [ -z "${container:-}" ] || podman logs --tail 20 "$container" >&2
    exit 1
}

# soon COMMAND...: it succeeds within 15 s; if not, its last words are told.
soon() {
    local deadline=$((SECONDS + 15)) said
    until said=$("$@" 2>&1); do
        if [ $SECONDS -ge $deadline ]; then
            echo "$said"
            return 1
        fi
        sleep 0.1
    done
}

# What a command says; if it is something else, that is told.
says() { # says TEXT COMMAND...: its output holds the text
    local said
    said=$("${@:2}" 2>&1) || true
    [[ $said == *"$1"* ]] || { echo "$said"; false; }
}
lacks() { ! says "$@" >/dev/null; } # lacks TEXT COMMAND...: the text is not in its output
is() { # is TEXT COMMAND...: its output is the text
    local said
    said=$("${@:2}" 2>&1) || true
    [ "$said" = "$1" ] || { echo "$said"; false; }
}
exits() { # exits CODE COMMAND...
    local code=0
    "${@:2}" || code=$?
    [ "$code" -eq "$1" ] || { echo "exit code $code"; false; }
}
of_image() { podman image inspect --format "{{$1}}" "$image"; }
of_container() { podman inspect --format "{{$1}}" "$container"; }
of_process() { grep -P "^$1:" "/proc/$(of_container .State.Pid)/status" | tr -s '\t ' ' '; }

# Not 127.0.0.1: only a server that listens everywhere answers on the loopback's other addresses.
address=127.0.0.2
secure=(-plaintext)
http() { # http PATH: the answer's status
    exec 3<>"/dev/tcp/$address/7421" || return
    printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
    cut -d ' ' -f 2 <&3 | head -n 1
    exec 3<&-
}
readyz() { podman exec "$container" holdfastd health; }
call() { # call METHOD [JSON]
    grpcurl "${secure[@]}" -connect-timeout 2 -max-time 40 -d "${2:-{\}}" "$address:7420" "$1"
}
serving() { says '"status": "SERVING"' call grpc.health.v1.Health/Check "{\"service\":\"$1\"}"; }
acquire() { call holdfast.v1.LockService/Acquire "{\"resource\":\"$1\",\"holder\":\"$2\",\"wait\":\"$3\"}"; }

stops() { podman stop --time 30 "$container" >/dev/null && is 0 of_container .State.ExitCode; }
logged() { podman logs "$container" 2>&1; }

below() { [ "$1" -lt "$2" ] || { echo "$1, which is not below $2"; false; } }
bytes() { du --summarize --apparent-size --block-size=1 "$1" | cut -f 1; }
files() { # files FIND_ARGUMENT...: of the image, but for licences
    (cd "$root" && find . -not -type d -not -path './usr/share/doc/*' "$@" | sort | xargs)
}

holds "the image's user is no root" is 65532:65532 of_image .Config.User
holds "it runs holdfastd" is '[holdfastd]' of_image .Config.Entrypoint
holds "it is stopped by SIGTERM" is SIGTERM of_image .Config.StopSignal
holds "it says what it is" is Holdfast of_image 'index .Labels "org.opencontainers.image.title"'
holds "it names its ports" is 'map[7420/tcp:{} 7421/tcp:{}]' of_image .Config.ExposedPorts
holds "holdfastd --version" says 'holdfastd ' once -- --version
holds "holdfast --version" says 'holdfast ' once --entrypoint holdfast -- --version

descriptors() { once -- descriptors >"$work/holdfast.binpb"; }
holds "it gives out the contract it serves" descriptors
holds "which is the one of this tree" buf breaking "$work/holdfast.binpb" --against proto
holds "and the other way round" buf breaking proto --against "$work/holdfast.binpb"

root=$(podman image mount "$image")
holds "it has less than 40 MB" below "$(bytes "$root")" 40000000
echo "     $(bytes "$root") bytes, of them $(bytes "$root/usr/local/bin") of programs"
holds "there is nothing in it but the two programs and what they need" is \
    "./etc/group ./etc/nsswitch.conf ./etc/passwd ./etc/ssl/certs/ca-certificates.crt ./usr/local/bin/holdfast ./usr/local/bin/holdfastd" \
    files -not -path './lib*'
holds "which is libraries" is '' files -path './lib*' -not -name '*.so*'
holds "so there is no shell to be had" exits 127 once --entrypoint sh -- -c true
for licence in holdfast/LICENSE libc6/copyright libgcc-s1/copyright; do
    holds "the licence $licence is in it" test -s "$root/usr/share/doc/$licence"
done
holds "where nobody serves, the health check says so" says "cannot ask 127.0.0.1:7421" once -- health
holds "and fails" exits 1 once -- health

start -- --dev
holds "--dev serves /healthz" soon is 200 http /healthz
holds "--dev is ready" soon is 200 http /readyz
holds "gRPC health: up" soon serving ""
holds "gRPC health: locks can be taken" soon serving holdfast.v1.LockService
holds "a lock is taken" says fencingToken acquire hello me 0s
holds "one is taken with what the image gave out" says fencingToken grpcurl -plaintext -protoset "$work/holdfast.binpb" \
    -d '{"resource":"by-protoset"}' "$address:7420" holdfast.v1.LockService/Acquire
holds "the health check of the image agrees" podman healthcheck run "$container"
holds "which is holdfastd itself" is '[CMD holdfastd health]' of_image .HealthCheck.Test
holds "the command line in it takes a lock" says fencing_token podman exec "$container" holdfast --output json acquire inside
holds "the server is the container's first process" is 'Name: holdfastd' of_process Name
holds "it is not root" is 'Uid: 65532 65532 65532 65532' of_process Uid
holds "it has no capability" is 'CapEff: 0000000000000000' of_process CapEff
holds "it can gain no privilege" is 'NoNewPrivs: 1' of_process NoNewPrivs
for folder in / /etc /usr/local/bin; do
    # As the container's processes see it.
    holds "not even root could write to $folder" says 'Read-only file system' touch "/proc/$(of_container .State.Pid)/root$folder/file"
done
acquire hello somebody-else 30s >"$work/waiter" 2>&1 &
holds "somebody waits for the lock" soon says '"waiters": 1' acquire hello a-third 0s
holds "stop drains and exits 0" stops
holds "the one who waited was told" soon grep -q SERVER_DRAINING "$work/waiter"
holds "the log says so" says drained logged

password=not-for-a-log
declare -A hosts=([6391]=127.0.0.1 [6392]=in-hosts.test [6393]=in-dns.test)
for port in 6391 6392 6393; do
    redis-server --port $port --bind 127.0.0.1 --requirepass $password --save '' --appendonly no >/dev/null &
    printf '[[masters]]\nname = "m%s"\nurl = "redis://%s:%s"\npassword_file = "/etc/holdfast/password"\n' $port "${hosts[$port]}" $port
done >"$work/holdfast.toml"
echo $password >"$work/password"
.tools/python/bin/python tests/image/nameserver.py &
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
mounted=(--volume "$work:/etc/holdfast:ro" --add-host in-hosts.test:127.0.0.1 --volume "$work/resolv.conf:/etc/resolv.conf:ro")
config=(--config /etc/holdfast/holdfast.toml)

holds "a configuration that is mounted read-only is good" says 'good: 3 masters' once "${mounted[@]}" -- check "${config[@]}"
holds "bootstrap makes the masters vote" soon says 'master m6393 votes' once "${mounted[@]}" -- bootstrap "${config[@]}"
start "${mounted[@]}" -- "${config[@]}"
holds "with Redis masters it is ready" soon is 200 http /readyz
for port in 6391 6392 6393; do
    holds "a master at ${hosts[$port]} is found and votes" soon says "m$port is voting" readyz
done
holds "locks can be taken" soon serving holdfast.v1.LockService
holds "a lock is taken on three masters" says '"masters": 3' acquire orders me 0s
holds "it stands on the master" soon is 1 env REDISCLI_AUTH=$password redis-cli -p 6391 exists redlock:orders
for port in 6391 6392 6393; do REDISCLI_AUTH=$password redis-cli -p $port shutdown nosave; done
holds "without masters no lock is taken" soon says NO_QUORUM acquire orders me 0s
holds "and the health of the locks says so" soon says NOT_SERVING call grpc.health.v1.Health/Check '{"service":"holdfast.v1.LockService"}'
holds "but it stays ready, to say why" is 200 http /readyz
holds "and up" serving ""
holds "stop drains and exits 0 without masters too" stops
holds "the log shows no password" lacks "$password" logged

# One certificate for everybody; as the public roots, too.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=holdfast -addext subjectAltName=IP:127.0.0.1,IP:127.0.0.2 \
    -addext basicConstraints=critical,CA:FALSE -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
chmod 644 "$work/key.pem"
redis-server --port 0 --tls-port 6394 --tls-auth-clients no --tls-cert-file "$work/cert.pem" --tls-key-file "$work/key.pem" \
    --tls-ca-cert-file "$work/cert.pem" --bind 127.0.0.1 --save '' --appendonly no >/dev/null &
cat >"$work/holdfast.toml" <<'TOML'
[grpc]
tls = { cert = "/etc/holdfast/cert.pem", key = "/etc/holdfast/key.pem" }
[[masters]]
name = "tls"
url = "rediss://127.0.0.1:6394"
TOML
secure=(-cacert "$work/cert.pem")
start "${mounted[@]}" --volume "$work/cert.pem:/etc/ssl/certs/ca-certificates.crt:ro" -- "${config[@]}"
holds "with TLS on both sides it is ready" soon is 200 http /readyz
holds "clients are served with TLS" serving ""
holds "the public roots are where it looks for them" soon says "master tls is quarantined" readyz
holds "the health check does not mind" podman healthcheck run "$container"
holds "stop drains and exits 0 with TLS too" stops

echo 'no_such_key = 1' >"$work/holdfast.toml"
holds "a bad configuration exits 64" exits 64 once "${mounted[@]}" -- "${config[@]}"
holds "and is named" says no_such_key once "${mounted[@]}" -- "${config[@]}"
holds "so does none at all" exits 64 once --
# What ops/compose.yaml runs of ours, by its own words; each service has an address in place of a container of its own.
replicas=() arguments=()
composed=(--volume "$work:/etc/holdfast:ro")
.tools/python/bin/python tests/image/compose.py "$work" >"$work/services"
while read -r kind name words; do
    address=127.0.3.$((++number))
    eval "arguments=($words)"
    if [ "$kind" = replica ]; then
        replicas+=("$address")
        serving=("${arguments[@]}")
        continue
    fi
    composed+=(--add-host "$name:$address")
    redis-server --bind "$address" "${arguments[@]}" >/dev/null &
done <"$work/services"
secure=(-plaintext)
holds "compose: masters are bootstrapped" soon says 'master e votes' once "${composed[@]}" -- bootstrap "${config[@]}"
for address in "${replicas[@]}"; do
    start "${composed[@]}" --env "HOLDFAST_GRPC__LISTEN=$address:7420" --env "HOLDFAST_ADMIN__LISTEN=$address:7421" -- "${serving[@]}"
    holds "compose: a replica serves" soon serving holdfast.v1.LockService
    holds "compose: its health check agrees" soon podman healthcheck run "$container"
    for name in a b c d e; do holds "compose: its master $name votes" soon says "$name is voting" readyz; done
done
address=${replicas[0]}
holds "compose: one replica grants" says '"masters": 5' acquire composed one 0s
address=${replicas[1]}
holds "compose: the other one knows it" says '"holder": "one"' acquire composed two 0s

for container in $(podman ps -q --filter "name=^$names"); do holds "stop drains and exits 0" stops; done
holds "nothing is left running" is '' podman ps -q --filter "name=^$names"
