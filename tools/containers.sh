# What images_test.sh and kube_test.sh have in common; sourced, from the repository's root.
# shellcheck shell=bash
STATE=$(realpath -m "${IMAGES_STATE:-.cache/images}")
MODELS=$(realpath -m "${INKSTONE_MODELS_DIR:-.inkstone/models}")
BASE_DIR=$(realpath -m "${BASE_DIR:-$MODELS/gemma-3-270m}")
EMBEDDING_DIR=$(realpath -m "${EMBEDDING_DIR:-$MODELS}")
# shellcheck disable=SC2034,SC2209 # the images' tag, for those who source this
VERSION=test

say() { printf '\033[1m[%s %ss]\033[0m %s\n' "$(basename "$0" _test.sh)" "$SECONDS" "$*"; }

prepare() { # podman and buildah keep all that is theirs in $STATE
  mkdir -p "$STATE"
  printf '[storage]\ndriver = "overlay"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' \
    "$STATE" "$STATE" > "$STATE/storage.conf"
  printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\npids_limit = 0\n[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "%s/networks"\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' \
    "$STATE" > "$STATE/containers.conf"
  printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' > "$STATE/policy.json"
  export CONTAINERS_STORAGE_CONF=$STATE/storage.conf CONTAINERS_CONF=$STATE/containers.conf
  # Without systemd nothing would start the checks by themselves: check_health does.
  export DISABLE_HC_SYSTEMD=true
}

secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

new_key() { printf 'ink_%s_%s' "$(head -c 4 /dev/urandom | od -An -tx1 | tr -d ' \n')" "$(secret)"; }

await() { # await <what> <url> <seconds> <its container>
  local deadline=$((SECONDS + $3))
  until curl -fsS -o /dev/null "$2" 2> /dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      say "$1 did not come up; its log:"
      podman logs --tail 40 "$4" >&2 || tail -40 "$STATE/$1.log" >&2
      return 1
    fi
    sleep 1
  done
  say "$1 is ready"
}

check_health() { # the check of every container that has one
  for name in $(podman ps --format '{{.Names}}'); do
    [ "$(podman inspect --format '{{json .Config.Healthcheck}}' "$name")" != null ] || continue
    podman healthcheck run "$name"
    say "$name is healthy: $(podman inspect --format '{{json .Config.Healthcheck.Test}}' "$name")"
  done
}

check_confined() { # nobody is root or writes to a root
  for name in $(podman ps --format '{{.Names}} {{.Image}}' | sed -n 's#^\(\S*\) localhost/inkstone/.*#\1#p'); do
    podman exec "$name" sh -c 'test "$(id -u)" = 10001 && ! touch /srv/inkstone/x 2>/dev/null && ! touch /x 2>/dev/null'
  done
  say "every process runs as uid 10001 on a root that it cannot write"
}

ask() { # ask <the gateway's URL> <the operator's key>: documents in, an adapter in, an answer out
  export INKSTONE_URL=$1 INKSTONE_API_KEY=$2 PYTHONPATH=$PWD
  local inkstone=${VENV:-.venv}/bin/inkstone
  "$inkstone" documents add handbook examples/corpus/*.md
  "$inkstone" adapters add examples/adapters/friendly | tee "$STATE/adapter"
  "$inkstone" assistants set helpdesk --profile examples/profiles/friendly.json \
    --collection handbook --adapter "$(grep -o 'friendly@[0-9a-f]*' "$STATE/adapter" | head -1)"
  "$inkstone" ask "How long is the warranty of a kettle?" --model helpdesk
  "$inkstone" ask "환불은 며칠 안에 되나요?" --model helpdesk
}

count_series() { # count_series <name> <URL>...
  while [ $# -gt 0 ]; do
    curl -fsS "$2/metrics" | grep -c '^inkstone_' | xargs printf '%s shows %s series of its own\n' "$1"
    shift 2
  done
}
