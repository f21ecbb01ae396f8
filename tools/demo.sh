#!/bin/bash
# The main job, from a fresh machine: plans for 128K tokens on 8 ranks with every strategy, their
# comparison, and exact attention of a small batch on 4 thread ranks.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh
bazel build //tools:flashcp
flashcp=bazel-bin/tools/flashcp

plans=$(mktemp -d)
trap 'rm -rf "$plans"' EXIT

echo
echo "== Plans for examples/batch_128k.txt on 8 ranks, one for each strategy"
for strategy in contiguous zigzag per-doc whole-doc flashcp-paper auto; do
  "$flashcp" compile examples/batch_128k.txt --ranks 8 --strategy $strategy -o "$plans/$strategy.plan"
  "$flashcp" verify "$plans/$strategy.plan"
done

echo
echo "== Their comparison"
"$flashcp" compare examples/batch_128k.txt --ranks 8

echo
echo "== examples/batch_small.txt on 4 ranks, run and checked against float64"
"$flashcp" compile examples/batch_small.txt --ranks 4 --heads 8:2 --head-dim 64 -o "$plans/small.plan"
"$flashcp" run "$plans/small.plan" --check

cat <<'END'

== What to try next
  bazel-bin/tools/flashcp compile examples/batch_128k.txt --cluster h100-ib8 -o /tmp/batch.plan
  bazel-bin/tools/flashcp inspect /tmp/batch.plan
  bazel-bin/tools/flashcp compile examples/batch_small.txt --ranks 2 --emit ir     # the program as IR
  bazel-bin/tools/flashcp compare examples/batch_128k.txt --cluster h100-ib8   # a network between all GPUs
  bazel-bin/tools/flashcp --help, and docs/cli.md for the formats
END
