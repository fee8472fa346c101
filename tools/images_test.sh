#!/usr/bin/env bash
# Builds the CPU images of deploy/Dockerfile with buildah, runs the stack from them with podman
# (read-only roots, no privileges, uid 10001, memory limits) and asks it a question.
#
#   tools/images_test.sh build|run|clean      all three without an argument; `build gateway` builds one
#
# EMBEDDING=onnx builds the retriever without torch, for the packaged embedding model, which it is asked with.
# ENGINE=host runs the engine from the checkout's own environment instead of an image of 5 GB; its agent
# still comes from an image. ENGINE_SECONDS (900) is how long an engine may take to start.
# Needs `make setup`, buildah, podman and runc; no Docker engine. IMAGES_STATE is the folder for images and layers
# (about 20 GB), BASE_DIR the base as a Hugging Face folder, EMBEDDING_DIR the folder that holds the
# prepared embedding model. Where the registry of images cannot be reached, PYTHON_ROOT_TAR names a
# Debian root with Python 3.11 that stands in for the official image; this makes one:
#   mmdebstrap --variant=minbase \
#     --include=python3,python3-venv,python3-pip,ca-certificates,libgomp1,libnuma1 bookworm root.tar
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/containers.sh
CA=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
PORT=${PORT:-18000}
ENGINE=${ENGINE:-image}

build_image() { # build_image <name> <further options of buildah>...
  local name=$1 started=$SECONDS
  shift
  local options=(--build-arg "PYTHON_IMAGE=$python_image")
  [ -e "$CA" ] && options+=(--volume "$CA:$CA:ro" --build-arg "PIP_CERT=$CA" --build-arg "SSL_CERT_FILE=$CA")
  if [ -n "${PIP_FIND_LINKS:-}" ]; then
    options+=(--volume "$PIP_FIND_LINKS:$PIP_FIND_LINKS:ro" --build-arg "PIP_FIND_LINKS=$PIP_FIND_LINKS")
  fi
  [ -n "${TORCH_INDEX:-}" ] && options+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
  # The OCI form of an image has no place for a health check.
  buildah bud --format docker --isolation=chroot --network=host --layers --pull-never \
    --signature-policy "$STATE/policy.json" -f deploy/Dockerfile "${options[@]}" "$@" \
    -t "localhost/inkstone/$name:$VERSION" . > "$STATE/$name.log" 2>&1 || {
    tail -30 "$STATE/$name.log" >&2
    say "the image $name could not be built; all of it: $STATE/$name.log"
    return 1
  }
  say "built $name in $((SECONDS - started)) s"
}

choose_python_image() {
  python_image=$(sed -n 's/^ARG PYTHON_IMAGE=//p' deploy/Dockerfile)
  [ -z "${PYTHON_ROOT_TAR:-}" ] || python_image=localhost/inkstone/python:stand-in
  buildah inspect --type image "$python_image" > /dev/null 2>&1 && return
  if [ -n "${PYTHON_ROOT_TAR:-}" ]; then
    say "the stand-in for the official Python image is made from $PYTHON_ROOT_TAR"
    local container
    container=$(buildah from --signature-policy "$STATE/policy.json" scratch)
    buildah add -q "$container" "$PYTHON_ROOT_TAR" / > /dev/null
    buildah run --isolation=chroot "$container" ln -sf python3 /usr/bin/python
    buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit -q --rm --signature-policy "$STATE/policy.json" "$container" "$python_image"
  else
    buildah pull --signature-policy "$STATE/policy.json" "$python_image"
  fi
}

build() { # build <images>...
  local engine=localhost/inkstone/engine-cpu:$VERSION
  choose_python_image
  [ "$ENGINE" = image ] || engine=$python_image
  for image in "$@"; do
    case "$image" in
      engine-cpu) build_image engine-cpu --target engine-cpu ;;
      generator) build_image generator --target generator --build-arg "VLLM_IMAGE=$engine" ;;
      *) build_image "$image" --build-arg "SERVICE=$image" --build-arg "EMBEDDING=${EMBEDDING:-torch}" \
           --target service ;;
    esac
  done
  podman images --filter dangling=false --format 'table {{.Repository}}:{{.Tag}} {{.Size}}'
}

start() { # start <name> <image> <options of podman>... -- <command>...
  local name=$1 image=$2
  shift 2
  local options=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  podman run -d --replace --name "inkstone-$name" --network=host --read-only --tmpfs /tmp:rw,exec \
    --cap-drop=ALL --security-opt=no-new-privileges --user 10001:10001 "${options[@]}" \
    "localhost/inkstone/$image:$VERSION" "$@" > /dev/null
}

start_engine() { # start_engine <its key>
  local variables=("VLLM_API_KEY=$1" VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_NO_USAGE_STATS=1
    HF_HUB_OFFLINE=1 VLLM_TARGET_DEVICE=cpu VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind
    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE TORCHDYNAMO_DISABLE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0)
  local server=(-m services.generator.cpu_engine --served-model-name base --port "$((PORT + 4))"
    --host 127.0.0.1 --dtype auto --max-model-len 1024 --max-num-seqs 4 --enable-lora --max-loras 2
    --max-cpu-loras 2 --max-lora-rank 32 --middleware services.generator.guard.RouteGuard
    --enable-force-include-usage --enable-prompt-tokens-details --scheduling-policy priority
    --distributed-executor-backend uni --enforce-eager)
  local engine_check="python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:$((PORT + 4))/health', timeout=4)\""
  if [ "$ENGINE" = host ]; then
    env "${variables[@]}" VLLM_CACHE_ROOT="$STATE/vllm" PYTHONPATH="$PWD" "${VENV:-.venv}/bin/python" \
      "${server[@]}" --model "$BASE_DIR" > "$STATE/engine.log" 2>&1 &
    engine_process=$!
  else
    start engine generator --memory=10g --shm-size=1g --health-cmd "$engine_check" "${common[@]}" "${variables[@]/#/--env=}" \
      -v "$data/generator:/var/lib/inkstone:ro" --env=VLLM_CACHE_ROOT=/tmp/vllm \
      -- python3 "${server[@]}" --model /srv/models/base
  fi
}

run() {
  local data=$STATE/data
  rm -rf "$data"
  mkdir -p "$data"/{gateway,retriever,generator,tuner,artifacts,keys,secrets}
  for key in admin app agent tuner; do
    new_key > "$data/keys/$key.key"
  done
  local retriever engine
  retriever=$(secret) engine=$(secret)
  # Secrets are files, as in deploy/compose.yaml.
  printf %s "$retriever" | tee "$data/secrets/INKSTONE_GATEWAY_RETRIEVER_API_KEY" > "$data/secrets/INKSTONE_RETRIEVER_API_KEY"
  printf %s "$engine" | tee "$data/secrets/INKSTONE_GATEWAY_ENGINE_API_KEY" > "$data/secrets/INKSTONE_GENERATOR_ENGINE_API_KEY"
  cp "$data/keys/agent.key" "$data/secrets/INKSTONE_GENERATOR_API_KEY"
  cp "$data/keys/tuner.key" "$data/secrets/INKSTONE_TUNER_API_KEY"
  chown -R 10001:10001 "$data"
  trap stop EXIT
  local common=(-v "$data/secrets:/run/secrets:ro" -e INKSTONE_SECRETS_DIR=/run/secrets -v "$BASE_DIR:/srv/models/base:ro")
  start retriever retriever --memory=4g "${common[@]}" -v "$data/retriever:/var/lib/inkstone" \
    -v "$EMBEDDING_DIR:/srv/prepared:ro" -e INKSTONE_RETRIEVER_MODELS_DIR=/srv/prepared \
    -e INKSTONE_RETRIEVER_DATA_DIR=/var/lib/inkstone -e "INKSTONE_RETRIEVER_LISTENING__PORT=$((PORT + 1))"
  start gateway gateway --memory=1g "${common[@]}" -v "$data/gateway:/var/lib/inkstone" \
    -v "$data/keys:/etc/inkstone/keys:ro" -v "$data/artifacts:/srv/artifacts" \
    -e INKSTONE_GATEWAY_DATA_DIR=/var/lib/inkstone -e INKSTONE_GATEWAY_BOOTSTRAP_KEYS_DIR=/etc/inkstone/keys \
    -e "INKSTONE_GATEWAY_RETRIEVER_URL=http://127.0.0.1:$((PORT + 1))" -e INKSTONE_GATEWAY_ARTIFACTS_URL=file:///srv/artifacts \
    -e INKSTONE_GATEWAY_TOKENIZER_DIR=/srv/models/base -e "INKSTONE_GATEWAY_LISTENING__PORT=$PORT"
  start_engine "$engine"
  # The engine reads an adapter from the path at which the agent has put it.
  local place=/var/lib/inkstone
  [ "$ENGINE" = image ] || place=$data/generator
  start agent generator --memory=1g "${common[@]}" -v "$data/generator:$place" -v "$data/artifacts:/srv/artifacts:ro" \
    -e "INKSTONE_GENERATOR_GATEWAY_URL=http://127.0.0.1:$PORT" -e "INKSTONE_GENERATOR_ENGINE_URL=http://127.0.0.1:$((PORT + 4))" \
    -e "INKSTONE_GENERATOR_DATA_DIR=$place" -e INKSTONE_GENERATOR_ARTIFACTS_URL=file:///srv/artifacts \
    -e INKSTONE_GENERATOR_BASE_MODEL=/srv/models/base -e INKSTONE_GENERATOR_MAX_LORAS=2 -e INKSTONE_GENERATOR_MAX_CPU_LORAS=2 \
    -e INKSTONE_GENERATOR_LISTENING__HOST=127.0.0.1 -e "INKSTONE_GENERATOR_LISTENING__PORT=$((PORT + 2))"
  podman image exists "localhost/inkstone/tuner:$VERSION" && start tuner tuner --memory=4g "${common[@]}" -v "$data/tuner:/var/lib/inkstone" -v "$data/artifacts:/srv/artifacts" \
    -e "INKSTONE_TUNER_GATEWAY_URL=http://127.0.0.1:$PORT" -e INKSTONE_TUNER_ARTIFACTS_URL=file:///srv/artifacts \
    -e INKSTONE_TUNER_DATA_DIR=/var/lib/inkstone -e INKSTONE_TUNER_BASE_MODEL=/srv/models/base \
    -e "INKSTONE_TUNER_LISTENING__PORT=$((PORT + 3))"
  await retriever "http://127.0.0.1:$((PORT + 1))/readyz" 300 inkstone-retriever
  podman container exists inkstone-tuner && await tuner "http://127.0.0.1:$((PORT + 3))/healthz" 300 inkstone-tuner
  await engine "http://127.0.0.1:$((PORT + 4))/health" "${ENGINE_SECONDS:-900}" inkstone-engine
  await agent "http://127.0.0.1:$((PORT + 2))/readyz" 120 inkstone-agent
  await gateway "http://127.0.0.1:$PORT/readyz" 120 inkstone-gateway
  check_confined
  check_health
  refuse_health
  ask "http://127.0.0.1:$PORT" "$(cat "$data/keys/admin.key")"
  local metrics=(gateway "http://127.0.0.1:$PORT" retriever "http://127.0.0.1:$((PORT + 1))" agent "http://127.0.0.1:$((PORT + 2))")
  podman container exists inkstone-tuner && metrics+=(tuner "http://127.0.0.1:$((PORT + 3))")
  count_series "${metrics[@]}"
}

refuse_health() { # a check that has to fail, so that the others mean something
  if podman exec -e INKSTONE_GATEWAY_LISTENING__PORT="$((PORT + 9))" inkstone-gateway \
    python /srv/inkstone/healthcheck.py; then
    say "the check passes also where nobody listens"
    return 1
  fi
}

stop() {
  [ -z "${engine_process:-}" ] || kill "$engine_process" 2> /dev/null || true
  podman stop -t 20 -a > /dev/null 2>&1 || true
  podman rm -f -a > /dev/null 2>&1 || true
}

clean() {
  stop
  podman rmi -f -a > /dev/null 2>&1 || true
  say "the images are removed; $STATE may be deleted"
}

prepare
images=(gateway retriever tuner)
[ "$ENGINE" = host ] || images+=(engine-cpu)
images+=(generator)
command=${1:-all}
[ $# -lt 2 ] || images=("${@:2}")
case "$command" in
  build) build "${images[@]}" ;;
  run) run ;;
  clean) clean ;;
  all) build "${images[@]}" && run && clean ;;
  *) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
