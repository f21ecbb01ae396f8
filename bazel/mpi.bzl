"""Tests whose ranks are processes."""

def mpi_test(name, processes, srcs, deps = [], data = [], size = "small", tags = []):
    """A test of GoogleTest's that `processes` processes run, started by mpirun."""
    native.cc_binary(
        name = name + "_program",
        testonly = True,
        srcs = srcs,
        data = data,
        deps = deps + ["//tests/testing:mpi_test_main"],
    )
    native.sh_test(
        name = name,
        size = size,
        srcs = ["//bazel:run_mpi.sh"],
        args = [str(processes), "$(rootpath :%s_program)" % name],
        data = [":%s_program" % name],
        tags = tags + ["mpi"],
    )
