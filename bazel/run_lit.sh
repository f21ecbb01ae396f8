#!/bin/bash
# run_lit.sh LIT TEST_FILE [TOOL...]: runs one lit test in Bazel's runfiles.
set -eu
lit=$PWD/$1 test=$2; shift 2
bin=$TEST_TMPDIR/bin
mkdir -p "$bin"
for tool in "$@"; do
  ln -sf "$PWD/$tool" "$bin/${tool##*/}"
done
export LIT_OUT=$TEST_TMPDIR/out PATH=$bin:/usr/bin:/bin
exec "$lit" -v --no-progress-bar -j1 "$test"
