#!/bin/bash
# examples/embed_cpp as a workspace of its own: all that it needs of FlashCP loads and is visible, the
# dialect's files are generated, and its source compiles. A build of the rest compiles the whole
# compiler again, which takes minutes; `bazel run //:embed` in the folder does that.
# Argument: a file of the folder.
set -euo pipefail
folder=$(dirname "$(readlink -f "$1")")
export HOME=${HOME:-$TEST_TMPDIR}
output=$(mktemp -d "$TEST_TMPDIR/bazel.XXXXXX")
bazel=(bazel --output_user_root="$output" --max_idle_secs=5 --host_jvm_args=-Xmx800m)
trap '"${bazel[@]}" shutdown; chmod -R u+w "$output"; rm -rf "$output"' EXIT

cd "$folder"
flags=(--jobs=2 --color=no --curses=no --noshow_progress --symlink_prefix=/)
# The object of embed.cc alone, after the analysis of all that is linked with it.
"${bazel[@]}" build "${flags[@]}" --output_groups=compilation_outputs //:embed
"${bazel[@]}" build "${flags[@]}" @flashcp//dialects/cp:cp_inc
