#!/usr/bin/env bash
# sign_manifest.sh FOLDER: writes FOLDER/manifest.txt, the SHA-256 of each file and the NOTE, and prints its signature; the
# last line becomes the task's XCom. Environment: NOTE, anybody's text; PARTNER_SECRET; PYTHON.
# `openssl dgst -hmac "$PARTNER_SECRET"` would be shorter, and show the secret in the list of processes.
set -euo pipefail
folder=${1:?usage: sign_manifest.sh FOLDER}
here=$(dirname "$0")

sums=$(cd "$folder/planes" && sha256sum -- *.csv)
printf '%s\nnote: %s\n' "$sums" "$NOTE" >"$folder/manifest.txt"
"$PYTHON" -I "$here/signature.py" <"$folder/manifest.txt"
