"""Tests of the Python package: each file is a program of unittest, run by Debian's Python."""

# Sanitizers want to be the first library of a process, which Python is not built for.
_TAGS = ["python", "no_asan", "no_tsan", "no_ubsan"]

def py_tests(name, srcs, deps = [], data = [], mpi = [], size = "small", tags = []):
    """Makes FILE without .py for each of srcs, and a test_suite NAME of them.

    Tests import the package from the source tree, with the C libraries that the
    build made, and each other's folder. deps are further .py files that they
    import; those of mpi are run by two processes of mpirun.
    """
    tests = []
    for src in srcs + mpi:
        test = src[:-len(".py")]
        native.sh_test(
            name = test,
            size = size,
            srcs = ["//bazel:run_python.sh"],
            args = ["$(rootpath %s)" % src] + (["--mpi"] if src in mpi else []),
            data = [
                src,
                "//api:libflashcp.so",
                "//api:libflashcp_compiler.so",
                "//api:libflashcp_mpi.so",
                "//bazel:run_mpi.sh",
                "//python:sources",
            ] + deps + data,
            tags = tags + _TAGS + (["mpi"] if src in mpi else []),
        )
        tests.append(test)
    native.test_suite(name = name, tests = tests)
