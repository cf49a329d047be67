#!/usr/bin/env bash
# Installs Chromium where apt-get is and one may use it, for the test of the bridge's page.
# Does nothing when it is there already, or when CHROMIUM= names another.
set -euo pipefail

browser=${CHROMIUM:-chromium}
if command -v "$browser" >/dev/null; then exit 0; fi

fail() {
  echo "make chromium: $1" >&2
  echo "  Install it yourself and name it: CHROMIUM=/path/to/chromium (or Chrome)" >&2
  exit 1
}

[ -z "${CHROMIUM:-}" ] || fail "CHROMIUM=$CHROMIUM is not an executable file."
command -v apt-get >/dev/null || fail "there is no apt-get here to install it with."
[ "$(id -u)" = 0 ] || fail "only root may install it: sudo apt-get install chromium"
echo "make chromium: installing Chromium with apt-get" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium) >"$log" 2>&1 || {
  tail -20 "$log" >&2
  fail "apt-get could not install it (its last words are above)."
}
