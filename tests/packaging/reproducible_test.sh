#!/bin/bash
# Packages are equal byte for byte when they are linked and packed again in another folder.
# reproducible_test.sh DIST DIST_AGAIN LIBRARY LIBRARY_AGAIN
set -eu
dist=$1 again=$2
files=$(ls "$dist")
[ "$(wc -w <<< "$files")" = 3 ] || { echo "expected three files, found: $files"; exit 1; }
[ "$files" = "$(ls "$again")" ] || { echo "other names: $(ls "$again")"; exit 1; }
for file in $files; do
  cmp "$dist/$file" "$again/$file"
done
cmp "$3" "$4"
# Nothing says in which folder or for whom it was built.
for path in /home/ /root/ /tmp/ .cache/bazel; do
  if grep -qF "$path" "$3"; then
    echo "$3 holds $path: $(strings "$3" | grep -F "$path" | head -3)"
    exit 1
  fi
done
