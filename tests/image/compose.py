"""compose.py FOLDER: what ops/compose.yaml runs of ours, for checks.sh, which has no Docker: writes holdfast.toml into the
folder and prints a line for each service: `master NAME ARGUMENT...` and `replica NAME ARGUMENT...`. Fails if a file that
is mounted does not exist, or if something that a hardened container has is missing."""

import pathlib
import shlex
import sys

from ruamel.yaml import YAML

OPS = pathlib.Path("ops")
compose = YAML(typ="safe").load(OPS / "compose.yaml")
services = compose["services"]
for name, service in services.items():
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), f"{name}: open to others"
    assert "healthcheck" in service or "build" in service, f"{name}: nobody asks for its health"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in compose["volumes"] or (OPS / source).is_file(), f"{name}: no {source}"
    for config in service.get("configs", []):
        assert config["source"] in compose["configs"], f"{name}: no configuration {config['source']}"

pathlib.Path(sys.argv[1], "holdfast.toml").write_text(compose["configs"]["holdfast"]["content"])
for name, service in services.items():
    if "build" in service:
        print("replica", name, shlex.join(service["command"]))
    elif service["image"].startswith("redis:"):
        (server, *arguments) = service["command"]
        assert server == "redis-server" and service["networks"] == ["masters"], name
        print("master", name, shlex.join(arguments))
