"""lit tests: one Bazel test for each file, and a suite for the folder."""

def lit_tests(name, srcs, tools = [], data = [], size = "small", tags = []):
    """Makes FILE.test for each of srcs and a test_suite NAME of them.

    tools are binaries the RUN lines call by their plain name; data is what
    they read, found below %S.
    """
    tests = []
    tools = tools + ["@llvm//:FileCheck", "@llvm//:count", "@llvm//:not", "@llvm//:split-file"]
    for src in srcs:
        test = src.replace("/", "_") + ".test"
        native.sh_test(
            name = test,
            size = size,
            srcs = ["//bazel:run_lit.sh"],
            args = ["$(rootpath @llvm//:lit.sh)", "$(rootpath %s)" % src] +
                   ["$(rootpath %s)" % t for t in tools],
            data = [src, "//tests:lit.cfg.py", "@llvm//:lit.sh"] + tools + data,
            tags = tags + ["lit"],
        )
        tests.append(test)
    native.test_suite(name = name, tests = tests)
