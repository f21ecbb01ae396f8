#!/bin/bash
# size_test.sh LIBRARY KERNEL_OBJECT...: the stripped runtime without its kernels stays under 1.5 MB,
# the kernels under 4 MB.
set -eu
library=$1; shift

# Bytes of a file without symbols that nothing needs.
stripped() {
  strip --strip-unneeded -o "$TEST_TMPDIR/stripped" "$1"
  stat -c %s "$TEST_TMPDIR/stripped"
}

# The functions that files define for others, sorted.
functions() { nm --defined-only "$@" | awk '$2 == "T" {print $3}' | sort; }

kernels=0
for object in "$@"; do kernels=$((kernels + $(stripped "$object"))); done
whole=$(stripped "$library")
# What the library holds of the kernels is their sections, without the headers of objects.
loaded=$(size -A "$@" | awk '/^\.(text|rodata|eh_frame)/ {sum += $2} END {print sum}')
runtime=$((whole - loaded))

echo "runtime library: $whole bytes, without kernels $runtime (1500000 allowed)"
echo "kernel objects: $kernels bytes (4000000 allowed)"
# Every function of the kernels must be in the library, or this would measure nothing.
functions "$@" > "$TEST_TMPDIR/functions"
missing=$(functions -D "$library" | comm -13 - "$TEST_TMPDIR/functions")
[ -s "$TEST_TMPDIR/functions" ] || { echo "no functions in $*"; exit 1; }
[ -z "$missing" ] || { echo "not in the library: $missing"; exit 1; }
[ "$runtime" -gt 100000 ] && [ "$runtime" -lt 1500000 ] && [ "$kernels" -lt 4000000 ]
