#!/usr/bin/env bash
# Puts Debian's prometheus and promtool into the environment, without installing them: the tests of
# dashboards and alerts run them. Where there is no apt, or no network, those tests are skipped.
set -euo pipefail
VENV=${VENV:-.venv}
[ -x "$VENV/prometheus/usr/bin/promtool" ] && exit 0
command -v promtool prometheus > /dev/null && exit 0
skip() { echo "prometheus is not to be had here; tests that need it are skipped" >&2; exit 0; }
command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || skip
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
fetch() { (cd "$folder" && apt-get -q download prometheus > /dev/null 2>&1); }
fetch || { apt-get -q update > /dev/null 2>&1 && fetch; } || skip
dpkg-deb -x "$folder"/prometheus_*.deb "$folder/x"
mkdir -p "$VENV/prometheus/usr/bin"
mv "$folder"/x/usr/bin/prometheus "$folder"/x/usr/bin/promtool "$VENV/prometheus/usr/bin/"
