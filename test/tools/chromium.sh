#!/usr/bin/env bash
# Installs Chromium for the test of the bridge's page. Does nothing when it is there already, or when CHROMIUM= names another.
set -euo pipefail

if [ -n "${CHROMIUM:-}" ]; then
  command -v "$CHROMIUM" >/dev/null && exit 0
  echo "make chromium: CHROMIUM=$CHROMIUM is not an executable file." >&2
  exit 1
fi
exec "$(dirname "$0")/debian.sh" chromium chromium "Install it yourself and name it: CHROMIUM=/path/to/chromium (or Chrome)"
