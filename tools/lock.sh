#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/local.lock. PIP_FIND_LINKS may name a folder of wheels.
# torch is installed apart (tools/setup.sh); the CUDA builds of its companions break a CPU torch.
set -euo pipefail
VENV=${VENV:-.venv}
links=()
[ -n "${PIP_FIND_LINKS:-}" ] && links=(--find-links "$PIP_FIND_LINKS")
"$VENV/bin/uv" pip compile pyproject.toml --extra local --group dev --python-version 3.11 \
  "${links[@]}" --generate-hashes --no-header --no-annotate --no-emit-find-links \
  --no-emit-index-url --no-emit-package torch --no-emit-package torchvision \
  --no-emit-package torchaudio --no-emit-package torchcodec "$@" -q -o requirements/local.lock
grep -c '^[a-z].*==' requirements/local.lock | sed 's/$/ packages pinned/'
