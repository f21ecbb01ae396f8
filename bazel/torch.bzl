"""Tests of flashcp.torch, by Debian's PyTorch and by the current one; skipped without them."""

def torch_tests(
        name,
        srcs,
        deps = [],
        data = [],
        programs = [],
        torches = ["floor", "current"],
        mpi = False,
        size = "medium",
        shard_count = None,
        tags = []):
    """Makes FILE_TORCH for each of srcs and torches, and a test_suite NAME of them.

    deps are further .py files that they import, programs what they take as
    arguments; with mpi each is run by two processes of mpirun.
    """
    tests = []
    for src in srcs:
        for torch in torches:
            test = src.rpartition("/")[2][:-len(".py")] + "_" + torch
            native.sh_test(
                name = test,
                size = size,
                srcs = ["//bazel:run_torch.sh"],
                shard_count = shard_count,
                args = [torch, "$(rootpath %s)" % src] + (["--mpi"] if mpi else []) +
                       ["$(rootpath %s)" % program for program in programs],
                data = [
                    src,
                    "//api:libflashcp.so",
                    "//api:libflashcp_compiler.so",
                    "//api:libflashcp_mpi.so",
                    "//bazel:run_mpi.sh",
                    "//bazel:run_python.sh",
                    "//python:sources",
                ] + deps + data + programs,
                tags = tags + ["python", "torch"] + (["mpi"] if mpi else []),
            )
            tests.append(test)
    native.test_suite(name = name, tests = tests)
