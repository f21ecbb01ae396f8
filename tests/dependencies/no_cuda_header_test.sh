#!/bin/bash
# No source of those named includes a header of a CUDA toolkit: builds must not need one.
set -euo pipefail

if grep -nE '#include *[<"](cuda|cu[a-z]+_runtime|nccl|nvtx)' "$@"; then
  echo "CUDA and NCCL are opened at run time; runtime/cuda declares what it calls" >&2
  exit 1
fi
