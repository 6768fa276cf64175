"""chart.py HOLDFASTD: renders the chart with each file of helm/holdfast/ci and holds the result to what Kubernetes and
the real holdfastd accept; and gives it the values of refused.yaml, which it must refuse for the reason named there.
Prints each check, fails at the first that does not hold. Run by chart.sh, which brings helm and kubernetes-validate."""

import base64
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

import yaml

HOLDFASTD = sys.argv[1]
CHART = pathlib.Path("helm/holdfast")
REFUSED = pathlib.Path("tests/chart/refused.yaml")
# The oldest that Chart.yaml allows, and the newest that kubernetes-validate brings.
KUBERNETES = ["1.30.0", "1.37.0"]
MOUNT = "/etc/holdfast"
ELSEWHERE = "in a Secret that is not the chart's"

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
                text = ELSEWHERE if own is None else base64.b64decode(own[item["key"]]).decode()
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
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return run("kubernetes-validate", "--kubernetes-version", kubernetes, "--strict", file.name)


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
    labels = release.pod["metadata"]["labels"].items()
    selectors = [manifest["spec"]["selector"] for manifest in release.all("Service")]
    selectors += [release.only(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    holds(f"{name}: every selector finds the replicas", all(selector.items() <= labels for selector in selectors))
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
    holds("everything.yaml says everything", values.keys() - everything == {"dev"}, values.keys() - everything)


def check_refusals():
    three = [{"name": name, "url": f"redis://{name}"} for name in "abc"]
    for case in yaml.safe_load(REFUSED.read_text()):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"masters": three} | case["values"], file)
            file.flush()
            code, out, err = template(file.name)
        holds(f"refused: {case['because']}", code != 0 and case["because"] in err, err or "it is accepted")


releases, configs = {}, {}
for values in sorted((CHART / "ci").glob("*.yaml")):
    releases[values.stem], configs[values.stem] = check_rendering(values)
check_values(configs)
masters = {name: len(config.get("masters", [])) for name, config in configs.items()}
holds(
    "no master is lost on the way",
    masters == {"dev": 0, "everything": 3, "existing-secret": 3, "five-masters": 5, "units": 3},
    masters,
)
passwords = {name: len(release.passwords()) for name, release in releases.items()}
kept = {"dev": 0, "everything": 1, "existing-secret": 0, "five-masters": 5, "units": 1}
holds("nor a password", passwords == kept, passwords)
holds("the chart keeps no password that it is not given", not releases["existing-secret"].all("Secret"))
probe = {name: release.container["readinessProbe"] for name, release in releases.items()}
holds("readiness is the replica's, not the masters'", probe["five-masters"]["grpc"] == {"port": 7420, "service": ""})
holds("with TLS it is asked over HTTP", probe["everything"]["httpGet"] == {"path": "/readyz", "port": "admin"})
check_refusals()
print(f"chart: {passed} passed, 0 failed")
