#!/usr/bin/env bash
# inspect_feed.sh FOLDER: is every file of the feed there and readable? Prints name, size and SHA-256 of each; the last
# line, which becomes the task's XCom, identifies the flights file that the run was made from.
set -euo pipefail
folder=${1:?usage: inspect_feed.sh FOLDER}

shopt -s nullglob
for name in weather planes airports flights; do
  files=("$folder/$name".csv "$folder/$name".csv.gz "$folder/$name".csv.zip)
  found=()
  for file in "${files[@]}"; do if [[ -r $file ]]; then found+=("$file"); fi; done
  if ((${#found[@]} == 0)); then
    echo "inspect_feed: $folder has no readable $name.csv (nor .csv.gz, .csv.zip): not delivered yet?" >&2
    exit 1
  fi
  for file in "${found[@]}"; do
    sum=$(sha256sum <"$file")
    echo "${file##*/} $(stat -c %s "$file" 2>/dev/null || stat -f %z "$file") ${sum%% *}"
  done
done
