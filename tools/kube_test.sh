#!/usr/bin/env bash
# Runs the Deployments of deploy/kustomize/overlays/dev as kustomize renders them, with podman in the
# place of a cluster: `podman play kube`, one pod each on a network of their own, from the images that
# tools/images_test.sh has built (`build`), and asks the system a question.
#
#   tools/kube_test.sh [up|down]     both without an argument, with the question between them
#
# The one setting that differs from the overlay's: the embedding model is the packaged one, which no
# hub has to give. tools/play_kube.py says what podman cannot do by itself. Needs what
# tools/images_test.sh needs, netavark and aardvark-dns; IMAGES_STATE, BASE_DIR, EMBEDDING_DIR and
# ENGINE_SECONDS are the same.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/containers.sh
prepare
ORDER=(retriever gateway generator tuner)
NETWORK=$("${VENV:-.venv}/bin/python" -c 'from tools.play_kube import NETWORK; print(NETWORK)')
rendered=$STATE/kube

at() { "${VENV:-.venv}/bin/python" -c "from tools.play_kube import address; print(address('$1'))"; }

kube_secret() { # kube_secret <name> <key> <value>...: a Secret as podman 4.3 reads one
  local name=$1 encoded=() plain=()
  shift
  while [ $# -gt 0 ]; do
    encoded+=("\"$1\": \"$(printf %s "$2" | base64 -w0)\"") plain+=("\"$1\": \"$2\"")
    shift 2
  done
  # The first for variables, the second for files (tools/play_kube.py).
  podman secret create "$name" <(IFS=,; printf '{%s}' "${encoded[*]}") > /dev/null
  podman secret create "$name-files" <(IFS=,; printf '{"data": {%s}}' "${plain[*]}") > /dev/null
}

volume() { # volume <name> <uid>: an empty claim
  podman volume create "$1" > /dev/null
  chown "$2:$2" "$(podman volume inspect --format '{{.Mountpoint}}' "$1")"
}

up() {
  rm -rf "$rendered"
  "${VENV:-.venv}/bin/kubectl" kustomize deploy/kustomize/overlays/dev \
    | "${VENV:-.venv}/bin/python" tools/play_kube.py "$rendered" --tag "$VERSION" \
      --set INKSTONE_RETRIEVER_EMBEDDING_MODEL=multilingual-e5-small
  podman network create --subnet "$NETWORK.0/24" inkstone > /dev/null
  new_key > "$STATE/admin.key"
  kube_secret inkstone-keys admin.key "$(cat "$STATE/admin.key")" app.key "$(new_key)" \
    agent.key "$(new_key)" tuner.key "$(new_key)"
  kube_secret inkstone-shared retriever "$(secret)" engine "$(secret)"
  local claim claims
  mapfile -t claims < <(grep -rhoP '(?<=claimName: )\S+' "$rendered" | sort -u)
  for claim in "${claims[@]}"; do
    volume "$claim" 10001
  done
  local models retriever
  models=$(podman volume inspect --format '{{.Mountpoint}}' models)
  retriever=$(podman volume inspect --format '{{.Mountpoint}}' retriever)
  cp -r "$BASE_DIR" "$models/base"
  mkdir "$retriever/models"
  cp -r "$EMBEDDING_DIR"/multilingual-e5-small-* "$retriever/models/"
  chown -R 10001:10001 "$models" "$retriever"
  local name
  for name in "${ORDER[@]}"; do
    podman play kube --network "inkstone:ip=$(at "$name"),alias=$name" "$rendered/$name.yaml"
  done
}

check() {
  await retriever "http://$(at retriever):8001/readyz" 300 retriever-pod-0-retriever
  await tuner "http://$(at tuner):8003/healthz" 300 tuner-pod-0-tuner
  await engine "http://$(at generator):8100/health" "${ENGINE_SECONDS:-900}" generator-pod-0-engine
  await agent "http://$(at generator):8002/readyz" 300 generator-pod-0-agent
  await gateway "http://$(at gateway):8000/readyz" 120 gateway-pod-0-gateway
  check_confined
  check_health
  ask "http://$(at gateway):8000" "$(cat "$STATE/admin.key")"
  count_series gateway "http://$(at gateway):8000" retriever "http://$(at retriever):8001" \
    agent "http://$(at generator):8002" tuner "http://$(at tuner):8003"
}

down() {
  podman pod rm -f -t 20 -a > /dev/null 2>&1 || true
  podman volume rm -f -a > /dev/null 2>&1 || true
  podman secret rm -a > /dev/null 2>&1 || true
  podman network rm -f inkstone > /dev/null 2>&1 || true
}

case "${1:-all}" in
  up) up && check ;;
  down) down ;;
  all) trap down EXIT; down; up && check ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
