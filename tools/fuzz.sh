#!/bin/bash
# fuzz.sh [TARGET [SECONDS]]: libFuzzer on one target (plan, lengths, cluster, npy), by default on
# each of them for 60 seconds. Inputs that reach new code are kept in .cache/fuzz/TARGET for the next
# run, inputs that fail in .cache/fuzz/TARGET_failed: see docs/testing.md.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh clang-22 libclang-rt-22-dev
targets=(plan lengths cluster npy)
[ $# = 0 ] || targets=("$1")
seconds=${2:-60}

labels=("${targets[@]/#///tests/fuzz:}")
bazel build --config=ci --config=fuzz "${labels[@]/%/_fuzzer}"
bin=$(bazel info --config=ci --config=fuzz bazel-bin 2>/dev/null)/tests/fuzz

status=0
for target in "${targets[@]}"; do
  found=.cache/fuzz/$target
  mkdir -p "$found" "${found}_failed"
  echo "== $target, $seconds s"
  # An input that takes 10 s is a hang; bytes are few, so memory stays small.
  "$bin/${target}_fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=1 -artifact_prefix="${found}_failed/" \
    "$found" "tests/fuzz/corpus/$target" || status=1
done
exit $status
