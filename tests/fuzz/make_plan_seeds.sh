#!/bin/bash
# Makes tests/fuzz/corpus/plan/seed_*.plan again, after a change of the plan's format or rules:
# small plans that together have every kind of instruction, buffer, mask and message. $FLASHCP names
# the program, by default the one that Bazel builds.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${FLASHCP:-}" ]; then
  bazel build //tools:flashcp
  FLASHCP=$(bazel info bazel-bin 2>/dev/null)/tools/flashcp
fi
corpus=tests/fuzz/corpus/plan
mkdir -p "$corpus"
rm -f "$corpus"/seed_*.plan
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "40 9 24 0 7" >"$work/lengths"
echo '[40, {"length": 30, "mask": "full"}, {"length": 33, "mask": "window:5"}, 1]' >"$work/masks"
# Small blocks, so that small batches are cut; two ranks share a node, so that rows are relayed.
cat >"$work/cluster.json" <<'JSON'
{"name": "two nodes", "ranks_per_node": 2,
 "intra_node": {"bytes_per_us": 50000, "latency_us": 1},
 "inter_node": {"bytes_per_us": 100, "latency_us": 5},
 "tiles": {"block_rows": 4, "block_columns": 4, "columns": [4, 64],
           "forward_us": [0.5, 8], "backward_us": [1, 16]}}
JSON

# seed NAME LENGTHS RANKS [OPTION...]
seed() {
  "$FLASHCP" compile --quiet "$work/$2" --ranks "$3" --cluster "$work/cluster.json" \
    --heads 4:2 --head-dim 8 "${@:4}" -o "$corpus/seed_$1.plan"
}
for strategy in contiguous zigzag per-doc whole-doc flashcp-paper auto; do
  seed "$strategy" lengths 4 --strategy "$strategy"
done
seed one_rank masks 1
seed masks masks 3 --strategy per-doc --dtype f32
seed all_gather masks 2 --strategy contiguous --exchange all-gather
seed relays lengths 4 --strategy per-doc --exchange all-gather --dtype f16
seed saved masks 4 --strategy zigzag --memory-budget 1
seed slack lengths 3 --slack 30 --strategy whole-doc --scale 0.5
