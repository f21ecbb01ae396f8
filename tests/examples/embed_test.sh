#!/bin/bash
# The examples of embedding run: threads and processes compute the same, and zeros have the LSE that
# their number of keys gives. Arguments: the programs of C++ and of C, run_mpi.sh.
set -euo pipefail
cpp=$PWD/$1 c=$PWD/$2 run_mpi=$PWD/$3

threads=$("$cpp" | sort)
processes=$("$run_mpi" 4 "$cpp" | sort)
if [ "$threads" != "$processes" ] || [ "$(wc -l <<<"$threads")" != 4 ]; then
  printf 'threads:\n%s\nprocesses:\n%s\n' "$threads" "$processes" >&2
  exit 1
fi
# Each row of P sums to 1, so a gradient of O of ones gives V as many as O has elements.
awk '{ sum += $NF } END { exit !(sum > 1048575 && sum < 1048577) }' <<<"$threads"

"$c" | sort | diff - <(echo "rank 0: 1024 tokens, LSE of the last 6.105
rank 1: 1024 tokens, LSE of the last 4.852")
