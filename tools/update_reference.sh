#!/bin/bash
# Writes docs/reference/ again, from the descriptions in the .td files.
set -euo pipefail
cd "$(dirname "$0")/.."
bazel build //docs:generated
generated=$(bazel info bazel-bin 2>/dev/null)/docs/generated
install -m 644 "$generated/dialect.md" "$generated/passes.md" docs/reference/
