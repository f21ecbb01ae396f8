#!/bin/bash
# examples/embed_cpp as a workspace of its own: all that it needs of FlashCP, and all that a program may
# use below the C interface, loads and is visible; the files of dialect and plan are generated, and the
# plan's library and the program's source compile. A build of the rest compiles the whole compiler
# again, which takes minutes; `bazel run //:embed` in the folder does that.
# Argument: a file of the folder.
set -euo pipefail
folder=$(dirname "$(readlink -f "$1")")
export HOME=${HOME:-$TEST_TMPDIR}
output=$(mktemp -d "$TEST_TMPDIR/bazel.XXXXXX")
bazel=(bazel --output_user_root="$output" --max_idle_secs=5 --host_jvm_args=-Xmx800m)

mkdir "$TEST_TMPDIR/embed"
cd "$TEST_TMPDIR/embed"
trap '"${bazel[@]}" shutdown; chmod -R u+w "$output"; rm -rf "$output"' EXIT
cp "$folder/embed.cc" "$folder/BUILD.bazel" "$folder/.bazelrc" .
sed "s|\"../..\"|\"$folder/../..\"|" "$folder/WORKSPACE" >WORKSPACE
cat >>BUILD.bazel <<'END'
cc_library(
    name = "below",
    deps = ["@flashcp//" + name for name in [
        "compiler:compile",
        "compiler/input:request",
        "compiler/solver:problem",
        "model",
        "runtime:executor",
        "runtime:layout",
        "runtime/cpu:cpu_device",
        "runtime/mpi:mpi_transport",
        "runtime/plan",
        "runtime/plan:verify",
        "runtime/threads:run_threads",
    ]],
)
END

flags=(--jobs=2 --color=no --curses=no --noshow_progress)
"${bazel[@]}" build "${flags[@]}" --nobuild //:below
# The object of embed.cc alone, after the analysis of all that is linked with it.
"${bazel[@]}" build "${flags[@]}" --output_groups=compilation_outputs //:embed
"${bazel[@]}" build "${flags[@]}" @flashcp//dialects/cp:cp_inc @flashcp//runtime/plan
