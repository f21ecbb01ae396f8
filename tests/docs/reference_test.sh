#!/bin/bash
# The reference in docs/reference/ is what TableGen makes of the .td files now.
set -euo pipefail
status=0
for page in dialect passes; do
  if ! diff -u "docs/reference/$page.md" "$1/$page.md"; then
    echo "docs/reference/$page.md is out of date: run tools/update_reference.sh"
    status=1
  fi
done
exit $status
