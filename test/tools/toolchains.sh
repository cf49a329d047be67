#!/usr/bin/env bash
# Puts the pinned compilers of hostsim's test modules into .tools/ of the
# repository: Zig for C (from its wheel), AssemblyScript (with npm, where Node.js is),
# and the crates of the Rust sample with the Rust that builds it: the machine's own,
# or Debian's, which root may install. Does nothing when they are there already.
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

# builds RUSTC: reports whether it has a standard library for WebAssembly.
builds() {
  local target lib
  for target in wasm32-wasip1 wasm32-wasi; do
    if lib=$("$1" --print target-libdir --target "$target" 2>/dev/null) && [ -d "$lib" ]; then return; fi
  done
  return 1
}

# find_rust sets rust to the directory of a rustc and cargo that build for WebAssembly.
find_rust() {
  local rustc
  for rustc in ${RUSTC:-} $(command -v rustc) /usr/bin/rustc; do
    rust=$(dirname "$rustc")
    if [ -x "$rust/cargo" ] && builds "$rustc"; then return; fi
  done
  return 1
}

# install_rust takes Debian's packages: rustup's toolchains have no WebAssembly, and no package registry has it.
install_rust() {
  local std=libstd-rust-dev-wasm32
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  apt-cache show "$std" >/dev/null 2>&1 || apt-get update -qq
  apt-cache show "$std" >/dev/null 2>&1 || return 1
  echo "make toolchains: installing Debian's Rust with WebAssembly (115 MB): rustc, cargo, $std" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends rustc cargo "$std" \
    $(apt-cache depends "$std" | awk '/Recommends: lld/ {print $2}') >/dev/null || fail "apt-get could not install Rust."
  find_rust || fail "Debian's Rust has no standard library for WebAssembly."
}

# crates: the old cargo of Debian 12 knows the registry's present protocol as an unstable feature only.
crates() {
  local to=$PWD/$1
  ln -s "$rust/rustc" "$rust/cargo" "$to"
  (cd "$rust_sample" && CARGO_HOME=$to/home RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_SPARSE_REGISTRY=true "$to/cargo" fetch --locked --quiet >&2) ||
    fail "cargo could not fetch the Rust sample's crates (its message is above)."
}

sample=hostsim/internal/testdata/sample/assemblyscript
rust_sample=hostsim/internal/testdata/sample/rust
fetch zig test/tools/toolchains.txt zig
if command -v npm >/dev/null && command -v node >/dev/null; then
  fetch assemblyscript "$sample/package-lock.json" assemblyscript
else
  echo "make toolchains: no Node.js with npm here, so the AssemblyScript sample won't be tested." >&2
fi
if find_rust || install_rust; then
  fetch rust "$rust_sample/Cargo.lock" crates
else
  echo "make toolchains: no Rust with WebAssembly here (rustup target add wasm32-wasip1; root on Debian gets it from apt), so the Rust sample won't be tested." >&2
fi
