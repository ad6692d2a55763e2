#!/usr/bin/env bash
# Install Debian's Chromium for `make test-web`, if this is root and apt is available.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium
else
    echo "no Chromium found: install the package chromium, or the tests of pages are skipped"
fi
