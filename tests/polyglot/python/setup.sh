#!/usr/bin/env bash
# Installs polyglot-python and polyglot-python-aio into .tools: the runners of this folder, the client that grpcio-tools
# generates, and what they need from PyPI. Without Python it only says so, except in CI, where a test that cannot run
# is a failure.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../setup/lib.sh"
here=tests/polyglot/python
target=.tools/polyglot/python

if polyglot_is_built python; then exit 0; fi
polyglot_needs python python3 || exit 0
python3 -c 'import ensurepip' 2>/dev/null || apt_install "the Python client comes from PyPI" python3-venv
polyglot_sources python
python3 -m venv "$target/venv"
"$target/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"
"$target/venv/bin/python" -m grpc_tools.protoc -Iproto --python_out="$target" --grpc_python_out="$target" \
    proto/holdfast/v1/*.proto
for runner in python:runner.py python-aio:runner_aio.py; do
    polyglot_program "${runner%%:*}" "exec $(realpath $target)/venv/bin/python $(realpath $target)/${runner#*:}"
done
polyglot_built python
