#!/usr/bin/env bash
# Puts the pinned compilers of hostsim's test modules into .tools/ of the
# repository: Zig for C (from its wheel), AssemblyScript (with npm, where Node.js is).
# Does nothing when they are there already.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
  echo "make toolchains: $1" >&2
  exit 1
}

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

# fetch DIR PINS COMMAND…: runs the command in a new directory that becomes
# .tools/DIR, unless that was made from the same pins.
fetch() {
  local dir=.tools/$1 pins=$2
  shift 2
  if cmp -s "$pins" "$dir/pins"; then return; fi
  mkdir -p .tools
  work=$(mktemp -d "$dir.XXXXXX")
  "$@" "$work"
  cp "$pins" "$work/pins"
  rm -rf "$dir"
  mv "$work" "$dir"
}

zig() {
  python3 -m pip --version >/dev/null 2>&1 || fail "python3 with pip is needed to fetch Zig (Debian: apt install python3-pip)."
  echo "make toolchains: fetching Zig (100 MB) into .tools/" >&2
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary=:all: --require-hashes \
    --requirement test/tools/toolchains.txt --target "$1" ||
    fail "pip found no wheel for $(uname -s) on $(uname -m), or could not fetch it (its message is above)."
  "$1/ziglang/zig" version >/dev/null 2>&1 || fail "the fetched Zig does not run on this machine."
}

assemblyscript() {
  echo "make toolchains: fetching AssemblyScript (17 MB) into .tools/" >&2
  cp "$sample/package.json" "$sample/package-lock.json" "$1"
  (cd "$1" && npm ci --loglevel error --ignore-scripts --no-audit --no-fund >&2) ||
    fail "npm could not fetch AssemblyScript (its message is above)."
}

sample=hostsim/internal/testdata/sample/assemblyscript
fetch zig test/tools/toolchains.txt zig
if command -v npm >/dev/null && command -v node >/dev/null; then
  fetch assemblyscript "$sample/package-lock.json" assemblyscript
else
  echo "make toolchains: no Node.js with npm here, so the AssemblyScript sample won't be tested." >&2
fi
