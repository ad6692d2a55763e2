#!/usr/bin/env bash
# Start `deblur serve` by a command and let it restore an example.
# usage: scripts/check_server.sh COMMAND...    for instance: deblur, or python -m deblur
set -euo pipefail
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
env -u DEBLUR_TOKEN "$@" serve --port 0 --model small >"$work/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 600); do
    if [ -s "$work/log" ]; then break; fi
    kill -0 "$server"
    sleep 0.2
done
url=$(cut -d' ' -f1 "$work/log")
python3 - "$url" "$source/deblur/assets/examples/bear.jpg" <<'PYTHON'
import sys
import urllib.request

url, path = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
assert opener.open(f"{url}healthz").read() == b"ok\n"
head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="bear.jpg"\r\n\r\n'
with open(path, "rb") as photo:
    body = head + photo.read() + b"\r\n--x--\r\n"
kind = {"Content-Type": "multipart/form-data; boundary=x"}
answer = opener.open(urllib.request.Request(f"{url}v1/restore", body, kind))
assert answer.headers["Content-Type"] == "image/jpeg", answer.headers
print(f"restored bear.jpg to {len(answer.read())} bytes")
PYTHON
kill -TERM "$server"
status=0
wait "$server" || status=$?
test "$status" = 143
