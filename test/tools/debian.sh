#!/usr/bin/env bash
# debian.sh TARGET PROGRAM [HINT]: installs the Debian package PROGRAM for `make TARGET`, where apt-get is and one may use it.
# Does nothing when PROGRAM is there already.
set -euo pipefail
target=$1 program=$2 hint=${3:-}

if command -v "$program" >/dev/null; then exit 0; fi

fail() {
  echo "make $target: $1" >&2
  [ -z "$hint" ] || echo "  $hint" >&2
  exit 1
}

command -v apt-get >/dev/null || fail "there is no apt-get here to install $program with."
[ "$(id -u)" = 0 ] || fail "only root may install it: sudo apt-get install $program"
echo "make $target: installing $program with apt-get" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$program") >"$log" 2>&1 || {
  tail -20 "$log" >&2
  fail "apt-get could not install $program (its last words are above)."
}
