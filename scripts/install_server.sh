#!/usr/bin/env bash
# Install deblur's server into FOLDER, and let it answer: the Dockerfile's steps, which need no Docker.
# usage: scripts/install_server.sh FOLDER [check]    check: start it and ask it, too
# $TORCH: how pip gets PyTorch; the default is the CPU build.
set -euo pipefail
folder=${1:?usage: $0 FOLDER [check]}
source=$(cd "$(dirname "$0")/.." && pwd)
TORCH=${TORCH:---index-url https://download.pytorch.org/whl/cpu torch torchvision}
if [ ! -x "$folder/bin/python" ]; then
    python3 -m venv "$folder"
fi
# shellcheck disable=SC2086  # several words
"$folder/bin/pip" install --quiet --no-cache-dir $TORCH
rm -rf "$source/build/lib"  # modules that are deleted since would be installed, too
"$folder/bin/pip" install --quiet --no-cache-dir "$source[heif,web]"
if [ "${2:-}" = check ]; then
    "$source/scripts/check_server.sh" "$folder/bin/python" -m deblur
fi
