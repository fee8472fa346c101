#!/usr/bin/env bash
# Other people's rules on deploy/: checkov's policies on every rendered tree and the Dockerfile, the
# custom resources' own validators, and podman-compose's reader on compose.yaml. Nothing is sent
# anywhere. What it needs is installed into .cache/deploy-check, from PyPI and npm (about 400 MB).
set -euo pipefail
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
TOOLS=$(realpath -m "${DEPLOY_CHECK_DIR:-.cache/deploy-check}")
CHECKOV=3.3.30 PODMAN_COMPOSE=1.6.0
mapfile -t TREES < <(cd deploy/kustomize && grep -rl --include=kustomization.yaml 'kind: Kustomization$' . \
  | xargs -n1 dirname | sed 's#^\./##' | sort)

# Left out, with the reason:
# CKV_K8S_11 a limit on CPU throttles a service that the node has room for; memory is bounded.
# CKV_K8S_15 an image with a version in its tag does not change, so it need not be pulled each time.
# CKV_K8S_35 vLLM and Qdrant take their keys from the environment only.
# CKV_K8S_43 a digest belongs to your registry: set it in `images:` of your overlay.
# CKV_K8S_8, CKV_K8S_9 an engine's readiness is its agent's; Jobs are not probed.
# CKV_K8S_40 Qdrant's image runs as 1000; that ours run as 10001 is a test of ours.
# CKV_DOCKER_7 the tags stand in ARGs, and a test of ours reads them there.
SKIP_KUBERNETES=CKV_K8S_11,CKV_K8S_15,CKV_K8S_35,CKV_K8S_43,CKV_K8S_8,CKV_K8S_9,CKV_K8S_40
SKIP_DOCKERFILE=CKV_DOCKER_7

if [ ! -x "$TOOLS/venv/bin/checkov" ]; then
  python3 -m venv "$TOOLS/venv"
  "$TOOLS/venv/bin/pip" install -q "checkov==$CHECKOV" "podman-compose==$PODMAN_COMPOSE"
fi
if command -v npm > /dev/null && [ ! -d "$TOOLS/npm/node_modules" ]; then
  mkdir -p "$TOOLS/npm"
  npm install --silent --no-audit --no-fund --prefix "$TOOLS/npm" \
    @kubernetes-models/gateway-api@0.5.1 @kubernetes-models/prometheus-operator@6.0.0 js-yaml@4.3.2
fi

built=$TOOLS/built
rm -rf "$built" && mkdir -p "$built"
failed=0
for tree in "${TREES[@]}"; do
  "$VENV/bin/kubectl" kustomize "deploy/kustomize/$tree" > "$built/${tree//\//-}.yaml"
done
echo "rendered ${#TREES[@]} trees"

echo "== checkov, Kubernetes"
"$TOOLS/venv/bin/checkov" -d "$built" --framework kubernetes --compact --quiet --skip-download \
  --skip-check "$SKIP_KUBERNETES" || failed=1
echo "== checkov, Dockerfile"
"$TOOLS/venv/bin/checkov" -f deploy/Dockerfile --framework dockerfile --compact --quiet --skip-download \
  --skip-check "$SKIP_DOCKERFILE" || failed=1
if command -v node > /dev/null; then
  echo "== custom resources"
  node tools/custom_resources.mjs "$TOOLS/npm/node_modules" "$built"/*.yaml || failed=1
fi
echo "== compose"
for further in "" "-f deploy/compose.cpu.yaml"; do
  # shellcheck disable=SC2086 # two words, or none
  "$TOOLS/venv/bin/podman-compose" -f deploy/compose.yaml $further config > "$TOOLS/compose.yaml" || failed=1
done
if [ "$failed" -ne 0 ]; then
  echo "deploy-check: failed"
  exit 1
fi
echo "deploy-check: all passed"
