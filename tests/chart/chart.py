"""chart.py HOLDFASTD HOLDFAST: renders the chart with each file of helm/holdfast/ci and holds the result to what Kubernetes and
the real holdfastd, holdfast and redis-server accept; and gives it the values of refused.yaml, which it must refuse for the reason
named there. Prints each check, fails at the first that does not hold. Run by chart.sh, which brings helm and kubernetes-validate."""

import base64
import contextlib
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import tomllib

import yaml

HOLDFASTD, HOLDFAST = sys.argv[1:]
CHART = pathlib.Path("helm/holdfast")
REFUSED = pathlib.Path("tests/chart/refused.yaml")
# The oldest that Chart.yaml allows, and the newest that kubernetes-validate brings.
KUBERNETES = ["1.30.0", "1.37.0"]
MOUNT = "/etc/holdfast"
# Of the Prometheus operator, which Kubernetes has no schemas of.
OPERATOR = "monitoring.coreos.com/v1"
# The volumes that the profile "restricted" of Pod Security allows, as far as anybody here needs them.
VOLUMES = {"configMap", "emptyDir", "projected", "secret"}
ELSEWHERE = "in a Secret that is not the chart's"
# What stands in Secrets that are not the chart's and that holdfastd reads before it is satisfied; certificates are made.
FILES = {
    "auth/tokens.toml": f"[[tokens]]\nname = 'ci'\nsha256 = '{'0' * 64}'\n",
    "auth/policy.toml": "[[rules]]\nidentities = ['token:ci']\nresources = ['*']\nallow = ['acquire']\n",
    "auth/jwks.json": f'{{"keys": [{{"kty": "oct", "alg": "HS256", "kid": "a", "k": "{"A" * 43}"}}]}}',
}

passed = 0


def holds(what, fact, told=""):
    global passed
    if not fact:
        sys.exit(f"FAIL {what}\n{told}")
    passed += 1
    print(f"ok   {what}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def template(*values, kubernetes=KUBERNETES[-1]):
    given = [f"--values={file}" for file in values]
    return run("helm", "template", "locks", CHART, "--kube-version", kubernetes, *given)


class Release:
    """What one set of values renders to."""

    def __init__(self, text):
        self.manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
        self.deployment = self.only("Deployment")
        self.pod = self.deployment["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]

    def all(self, kind):
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def only(self, kind):
        (manifest,) = self.all(kind)
        return manifest

    def pods(self):
        """Labels and spec of every kind of pod, by the name of what makes it."""
        makers = self.all("Deployment") + self.all("StatefulSet")
        pods = {manifest["metadata"]["name"]: manifest["spec"]["template"] for manifest in makers}
        pods |= {manifest["metadata"]["name"]: manifest for manifest in self.all("Pod")}
        return {name: (pod["metadata"]["labels"], pod["spec"]) for name, pod in pods.items()}

    def selected(self):
        """Which pods each thing that selects some means: kind and name, and the names of what makes them."""
        for manifest in self.manifests:
            spec = manifest.get("spec", {})
            selector = spec.get("podSelector", spec.get("selector"))
            if selector is None or manifest["apiVersion"] == OPERATOR:
                continue
            wanted = selector.get("matchLabels", selector).items()
            found = {name for name, (labels, _) in self.pods().items() if wanted <= labels.items()}
            yield f"{manifest['kind']} {manifest['metadata']['name']}", found

    def passwords(self):
        return [base64.b64decode(text).decode() for secret in self.all("Secret") for text in secret["data"].values()]

    def files(self):
        """The files of the pod's one volume, by the path in it."""
        (volume,) = self.pod["spec"]["volumes"]
        (mount,) = self.container["volumeMounts"]
        assert mount["mountPath"] == MOUNT and mount["name"] == volume["name"]
        files = {}
        for source in volume["projected"]["sources"]:
            ((kind, source),) = source.items()
            if kind == "configMap":
                files |= self.only("ConfigMap")["data"]
                continue
            own = {secret["metadata"]["name"]: secret["data"] for secret in self.all("Secret")}.get(source["name"])
            for item in source["items"]:
                text = FILES.get(item["path"], ELSEWHERE) if own is None else base64.b64decode(own[item["key"]]).decode()
                assert item["path"] not in files, f"{item['path']} is mounted twice"
                files[item["path"]] = text
        return files


def holdfastd(release, command):
    """What holdfastd says to its arguments and files, mounted in another place."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in release.files().items():
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace(MOUNT, folder))
        arguments = [argument.replace(MOUNT, folder) for argument in release.container["args"]]
        return run(HOLDFASTD, command, *arguments)


def texts(value):
    """Every text in a manifest."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if not isinstance(value, list):
        return [str(value)]
    return [text for item in value for text in texts(item)]


def judged(text, kubernetes):
    """What the schemas of Kubernetes say to manifests."""
    manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest and manifest["apiVersion"] != OPERATOR]
    text = yaml.safe_dump_all(manifests)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return run("kubernetes-validate", "--kubernetes-version", kubernetes, "--strict", file.name)


def unrestricted(spec):
    """What the profile "restricted" of Pod Security would not allow, and what else no pod of ours may have."""
    pod = spec.get("securityContext", {})
    if not pod.get("runAsNonRoot") or pod.get("runAsUser", 0) == 0:
        yield "it may be root"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "it has no seccomp profile"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    yield from (f"volume {volume}" for volume in spec.get("volumes", []) if not (volume.keys() - {"name"}) <= VOLUMES)
    if spec.get("automountServiceAccountToken") is not False:
        yield "it has a token of Kubernetes"
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "it may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "it has capabilities"
        if not own.get("readOnlyRootFilesystem"):
            yield "its root can be written"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "it has a port of the host"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield "its memory has no limit"


def check_restricted(spec):
    """That a pod which is less restricted would not pass."""
    looser = {
        "root": {"securityContext": spec["securityContext"] | {"runAsUser": 0}},
        "any system call": {"securityContext": spec["securityContext"] | {"seccompProfile": {"type": "Unconfined"}}},
        "the network of the host": {"hostNetwork": True},
        "files of the host": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
        "a token of Kubernetes": {"automountServiceAccountToken": True},
    }
    (container,) = spec["containers"]
    for key in container["securityContext"]:
        left = {other: value for other, value in container["securityContext"].items() if other != key}
        looser[f"no {key}"] = {"containers": [container | {"securityContext": left}]}
    for what, change in looser.items():
        holds(f"a pod with {what} would not pass", list(unrestricted(spec | change)))


def check_rendering(values):
    name = values.stem
    code, out, err = run("helm", "lint", "--strict", CHART, f"--values={values}")
    holds(f"{name}: helm lint", code == 0, out + err)
    for kubernetes in KUBERNETES:
        code, text, err = template(values, kubernetes=kubernetes)
        holds(f"{name}: rendered for Kubernetes {kubernetes}", code == 0, err)
        code, out, err = judged(text, kubernetes)
        holds(f"{name}: its schemas accept every manifest", code == 0, out + err)
        code, _, _ = judged(text.replace("maxUnavailable:", "maxUnavailabel:"), kubernetes)
        holds(f"{name}: and would not accept a misspelled one", code != 0)
    release = Release(text)

    said = [text for manifest in release.manifests if manifest["kind"] != "Secret" for text in texts(manifest)]
    shown = [password for password in release.passwords() if any(password in text for text in said)]
    holds(f"{name}: passwords stand in the Secret alone", not shown, shown)
    selected = dict(release.selected())
    masters = {manifest["metadata"]["name"] for manifest in release.all("StatefulSet")}
    replicas = {release.deployment["metadata"]["name"]}
    odd = {what: pods for what, pods in selected.items() if pods != replicas and not (pods and pods <= masters)}
    holds(f"{name}: every selector finds replicas alone, or masters alone", not odd, odd)
    for maker, (_, spec) in release.pods().items():
        why = list(unrestricted(spec))
        holds(f"{name}: {maker}: its pods are restricted", not why, why)
    code, out, err = holdfastd(release, "check")
    holds(f"{name}: holdfastd accepts its configuration", code == 0, out + err)
    code, out, err = holdfastd(release, "config")
    config = tomllib.loads(out)
    ports = {port["name"]: port["containerPort"] for port in release.container["ports"]}
    listens = {"grpc": config["grpc"]["listen"], "admin": config["admin"]["listen"]}
    holds(
        f"{name}: it listens where its ports are",
        all(listens[port].endswith(f":{number}") for port, number in ports.items()) and len(ports) == 2,
        listens,
    )
    drain = int(re.match(r"(\d+)s$", config["grpc"]["drain_timeout"])[1])
    sleep = release.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = release.pod["spec"]["terminationGracePeriodSeconds"]
    holds(f"{name}: there is time to drain", grace > sleep + 2 * drain, f"{grace} s")
    return release, config


def settings(config, path=()):
    """Every setting but those of masters, by its path."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from settings(value, (*path, key))
        elif key not in ("masters", "listen"):
            yield ".".join((*path, key)), value


def check_values(configs):
    defaults = dict(settings(tomllib.loads(run(HOLDFASTD, "config", "--master", "redis://a")[1])))
    plain = dict(settings(configs["existing-secret"]))
    # Collected by machines.
    holds("the chart's defaults are holdfastd's, but for the log", plain == defaults | {"log.format": "json"}, plain)
    changed = dict(settings(configs["everything"]))
    same = [key for key, value in plain.items() if changed[key] == value]
    holds("every setting can be set", not same, same)

    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    holds("every value of the schema has its place in values.yaml", schema["properties"].keys() - values == {"global"})
    everything = yaml.safe_load((CHART / "ci/everything.yaml").read_text())
    unsaid = values.keys() - everything
    holds("everything.yaml says everything", unsaid == {"dev", "bundledMasters"}, unsaid)


def check_network(name, release, grpc, admin, masters, elsewhere):
    """Who may come in, and which ports may be called, of masters that the chart brings and of others."""
    policy = {manifest["metadata"]["name"]: manifest["spec"] for manifest in release.all("NetworkPolicy")}
    spec = policy[release.deployment["metadata"]["name"]]
    comes = {rule["ports"][0]["port"]: rule.get("from", "anybody") for rule in spec["ingress"]}
    if grpc != "anybody":
        labels = release.only("Pod")["metadata"]["labels"].items()
        test = comes["grpc"].pop()["podSelector"]["matchLabels"].items()
        holds(f"{name}: helm test may come in", test and test <= labels, test)
    holds(f"{name}: who may come in", comes == {"grpc": grpc} | ({"admin": admin} if admin else {}), comes)
    goes = [({port["port"] for port in rule["ports"]}, rule.get("to", "anywhere")) for rule in spec["egress"]]
    replicas, bundled = (manifest["spec"]["selector"] for manifest in (release.deployment, (release.all("PodDisruptionBudget"))[0]))
    wanted = [({53}, "anywhere")]
    if masters:
        wanted.append(({"redis"}, [{"podSelector": bundled}]))
        (rule,) = policy[f"{release.deployment['metadata']['name']}-masters"]["ingress"]
        only = rule == {"ports": [{"port": "redis"}], "from": [{"podSelector": replicas}]}
        holds(f"{name}: to its masters come its replicas alone", only, rule)
    wanted += elsewhere
    holds(f"{name}: and where they may go", goes == wanted, goes)


def check_monitoring(release):
    (monitor,) = release.all("ServiceMonitor")
    services = release.all("Service")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    found = [service for service in services if wanted <= service["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]
    ports = [port["name"] for service in found for port in service["spec"]["ports"]]
    holds("the ServiceMonitor finds the admin port of one Service", ports == [endpoint["port"]] == ["admin"], ports)
    holds("which has replicas that are not ready, too", found[0]["spec"]["publishNotReadyAddresses"])
    holds("and asks for /metrics", endpoint["path"] == "/metrics" and endpoint["interval"] == "30s", endpoint)
    holds("with the labels that a Prometheus selects by", monitor["metadata"]["labels"]["release"] == "prometheus")
    (rule,) = release.all("PrometheusRule")
    alerts = yaml.safe_load(pathlib.Path("ops/alerts.yml").read_text())
    holds("the PrometheusRule is ops/alerts.yml", rule["spec"] == alerts and len(alerts["groups"]) > 1)
    jobs = {relabeling["targetLabel"]: relabeling["replacement"] for relabeling in endpoint["relabelings"]}
    holds("whose job is that of the ServiceMonitor", f'job="{jobs["job"]}"' in str(alerts), jobs)


def check_master(release):
    """A real Redis takes the configuration of a bundled master."""
    secret = next(secret for secret in release.all("Secret") if "redis.conf" in secret["data"])
    text = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    (container,) = release.all("StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
    with tempfile.TemporaryDirectory() as folder:
        file, port = pathlib.Path(folder, "redis.conf"), free_port()
        file.write_text(text["redis.conf"])
        arguments = [argument.replace("/etc/redis/redis.conf", str(file)) for argument in container["command"]]
        with running(*arguments, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder):
            asked = ["redis-cli", "-p", str(port), "--no-auth-warning", "-a", text["password"], "config", "get", "maxmemory-policy"]
            soon(lambda: "noeviction" in run(*asked)[1])
            holds("a bundled master keeps everything", "noeviction" in run(*asked)[1])
            answer = run("redis-cli", "-p", str(port), "ping")[1]
            holds("and asks for its password", "NOAUTH" in answer, answer)


def check_test(releases):
    """The command line of `helm test`, with a server that needs no TLS."""
    port = free_port()
    server = f"127.0.0.1:{port}"
    with running(HOLDFASTD, "--dev", "--listen", server, "--admin-listen", f"127.0.0.1:{free_port()}"):
        for name, release in releases.items():
            (container,) = release.only("Pod")["spec"]["containers"]
            (asked,) = [argument for argument in container["args"] if argument.startswith("--server=")]
            scheme = "https" if "tls" in release.only("ConfigMap")["data"]["holdfast.toml"].split("[lease]")[0] else "http"
            own = release.deployment["metadata"]["name"]
            (service,) = [found for found in release.all("Service") if found["metadata"]["name"] == own]
            place = f"--server={scheme}://{service['metadata']['name']}.default.svc:{service['spec']['ports'][0]['port']}"
            holds(f"{name}: helm test asks its Service", asked == place, asked)
            left_out = ("--ca=", "--cert=", "--key=", "--token-file=")
            arguments = [argument for argument in container["args"] if not argument.startswith(left_out)]
            arguments = [f"--server=http://{server}" if argument == asked else argument for argument in arguments]
            arguments[arguments.index("--") + 1 :] = [HOLDFAST, "--version"]
            code, out, err = run(HOLDFAST, *arguments)
            holds(f"{name}: and takes a lock there", code == 0 and out.startswith("holdfast "), out + err)
    code, _, _ = run(HOLDFAST, *arguments[:1], "--timeout=1s", *[part for part in arguments[1:] if "--timeout" not in part])
    holds("helm test fails where nobody serves", code != 0)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(*command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def soon(happens):
    deadline = time.monotonic() + 15
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.05)


def check_refusals():
    three = [{"name": name, "url": f"redis://{name}"} for name in "abc"]
    for case in yaml.safe_load(REFUSED.read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"masters": three} | case["values"], file)
            file.flush()
            code, out, err = template(file.name)
        holds(f"refused: {case['because']}", code != 0 and case["because"] in err, err or "it is accepted")


def make_certificate():
    """One for itself, in place of what cert-manager makes."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = pathlib.Path(folder, "key"), pathlib.Path(folder, "certificate")
        made = run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=locks"),
            *("-keyout", key, "-out", certificate),
        )
        assert made[0] == 0, made
        FILES["tls/tls.key"] = key.read_text()
        FILES["tls/tls.crt"] = FILES["tls/ca.crt"] = certificate.read_text()


make_certificate()
releases, configs = {}, {}
for values in sorted((CHART / "ci").glob("*.yaml")):
    releases[values.stem], configs[values.stem] = check_rendering(values)
check_values(configs)
masters = {name: len(config.get("masters", [])) for name, config in configs.items()}
holds(
    "no master is lost on the way",
    masters == {"bundled": 5, "dev": 0, "everything": 3, "existing-secret": 3, "five-masters": 5, "units": 3},
    masters,
)
passwords = {name: len(release.passwords()) for name, release in releases.items()}
kept = {"bundled": 2, "dev": 0, "everything": 1, "existing-secret": 0, "five-masters": 5, "units": 1}
holds("nor a password", passwords == kept, passwords)
holds("the chart keeps no password of masters that it does not bring", not releases["existing-secret"].all("Secret"))
probe = {name: release.container["readinessProbe"] for name, release in releases.items()}
holds("readiness is the replica's, not the masters'", probe["five-masters"]["grpc"] == {"port": 7420, "service": ""})
holds("with TLS it is asked over HTTP", probe["everything"]["httpGet"] == {"path": "/readyz", "port": "admin"})
check_network("bundled", releases["bundled"], "anybody", None, True, [])
everything = yaml.safe_load((CHART / "ci/everything.yaml").read_text())["networkPolicy"]
inside = [({4317, 6380, 6381}, everything["egressTo"])]
check_network("everything", releases["everything"], everything["grpcFrom"], everything["adminFrom"], False, inside)
holds("without networkPolicy there is none", not releases["five-masters"].all("NetworkPolicy"))
(scaler,) = releases["bundled"].all("HorizontalPodAutoscaler")
scaled = releases["bundled"].deployment
target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": scaled["metadata"]["name"]}
holds("the autoscaler means the Deployment", scaler["spec"]["scaleTargetRef"] == target, scaler["spec"])
holds("which then says no number of its own", "replicas" not in scaled["spec"])
check_restricted(scaled["spec"]["template"]["spec"])
check_monitoring(releases["everything"])
check_master(releases["bundled"])
check_test(releases)
check_refusals()
print(f"chart: {passed} passed, 0 failed")
