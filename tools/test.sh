#!/bin/bash
# The whole test suite, from a fresh machine. Arguments go to `bazel test`.
set -uo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh || exit 1

log=$(mktemp)
trap 'rm -f "$log"' EXIT
bazel test --config=ci "$@" //... 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
passed=$(grep -cE '^//\S+ .*PASSED' "$log")
failed=$(grep -cE '^//\S+ .*(FAILED|TIMEOUT|NO STATUS|INCOMPLETE)' "$log")
echo "$passed passed, $failed failed"
exit "$status"
