#!/usr/bin/env bash
# Resolves pyproject.toml into requirements/: local.lock for one machine, one lock for each image.
# PIP_FIND_LINKS may name a folder of wheels. torch is installed apart (tools/setup.sh, Dockerfile);
# the CUDA builds of its companions break a CPU torch.
set -euo pipefail
VENV=${VENV:-.venv}
TORCH="torch==2.13.0+cpu"
links=()
[ -n "${PIP_FIND_LINKS:-}" ] && links=(--find-links "$PIP_FIND_LINKS")

compile() { # compile <file> <python version> <further options of uv>...
  local file=$1 python=$2
  shift 2
  "$VENV/bin/uv" pip compile pyproject.toml --python-version "$python" \
    "${links[@]}" --generate-hashes --no-header --no-annotate --no-emit-find-links \
    --no-emit-index-url --no-emit-package torch --no-emit-package torchvision \
    --no-emit-package torchaudio --no-emit-package torchcodec "$@" -q -o "requirements/$file"
  printf '%-16s %s packages pinned\n' "$file" "$(grep -c '^[a-z].*==' "requirements/$file")"
}

compile local.lock 3.11 --extra local --group dev "$@"

# The images hold what the tests ran with: their versions are those of local.lock.
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
sed -n 's/^\([a-z][^ ]*==[^ ]*\).*/\1/p' requirements/local.lock > "$pins"
echo "$TORCH" >> "$pins"
compile gateway.lock 3.11 --extra gateway --extra tracing --constraint "$pins"
compile retriever.lock 3.11 --extra retriever --extra tracing --constraint "$pins"
compile retriever-onnx.lock 3.11 --extra retriever-onnx --extra tracing --constraint "$pins"
compile tuner.lock 3.11 --extra tuner --extra tracing --constraint "$pins"
compile operations.lock 3.11 --extra cli --constraint "$pins"
# The agent lives in the engine's image, whose Python is 3.12.
compile generator.lock 3.12 --extra generator --extra tracing --constraint "$pins"
compile engine-cpu.lock 3.11 --extra engine-cpu --constraint "$pins"
# What speaks to S3 wants an older python-dateutil than the tests ran with.
sed -i '/^python-dateutil==/d' "$pins"
compile s3.lock 3.11 --extra s3 --constraint "$pins"
