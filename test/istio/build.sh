#!/usr/bin/env bash
# Compiles what the tests need of Istio, and build/pilot-agent, and installs iptables. Go keeps what it has compiled, so that
# only the first time takes long.
set -euo pipefail
cd "$(dirname "$0")"

../tools/debian.sh test-istio iptables "Without it the tests of sidecars fail."
packages=$(go list -deps -test . istio.io/istio/pilot/cmd/pilot-agent | sort -u | wc -l)
echo "make test-istio: compiling Istio, up to $packages packages: about 8 minutes on two cores the first time" >&2
{
  # The imports first, without linking anything.
  go build -v $(go list -f '{{join .TestImports " "}}' .)
  go build -v -o ../../build/ istio.io/istio/pilot/cmd/pilot-agent
} 2>&1 | awk '
  NF > 1 || /^#/ { print; next }  # errors
  ++n % 100 == 0 { print "make test-istio: " n " packages compiled"; fflush() }' >&2
