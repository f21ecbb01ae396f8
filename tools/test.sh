#!/bin/bash
# The whole test suite, from a fresh machine, and parts of it under sanitizers: races in the executor
# and between its threads, bad memory on files from outside. Arguments go to `bazel test`.
set -uo pipefail
cd "$(dirname "$0")/.."
tools/install_dependencies.sh || exit 1
tools/install_python_tools.sh || echo "types, format and auditwheel are not checked"
tools/install_torch.sh || echo "tests of flashcp.torch with the current PyTorch are skipped"
tools/install_nvdisasm.sh || echo "the test of GPU kernels' machine code is skipped"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
options=("$@")
status=0

# run OPTION_OR_TARGET...: one `bazel test`, into the log.
run() {
  bazel test --config=ci "${options[@]}" "$@" 2>&1 | tee -a "$log"
  local result=${PIPESTATUS[0]}
  [ "$status" != 0 ] || status=$result
}
run //...
run --config=tsan //tests/runtime/threads:threads_transport_test //tests/runtime:executor_test \
  //tests/runtime/program:streams_test \
  //tests/runtime/cpu:gradient_order_test //tests/runtime/cpu:spread_test
run --config=asan //tests/fuzz/... //tests/runtime/plan/...

passed=$(grep -cE '^//\S+ .*PASSED' "$log")
failed=$(grep -cE '^//\S+ .*(FAILED|TIMEOUT|NO STATUS|INCOMPLETE)' "$log")
echo "$passed passed, $failed failed"
exit "$status"
