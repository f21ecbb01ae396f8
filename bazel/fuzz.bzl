"""Fuzz targets: one function, run by libFuzzer to find inputs and by a test to replay them."""

def fuzz_target(name, srcs, deps = []):
    """Makes a test and a fuzzer of a file that defines LLVMFuzzerTestOneInput.

    NAME_corpus_test, built by any compiler, runs it on each file of corpus/NAME.
    NAME_fuzzer needs clang and --config=fuzz: tools/fuzz.sh builds and runs it.
    """
    native.cc_test(
        name = name + "_corpus_test",
        size = "small",
        srcs = srcs,
        args = [native.package_name() + "/corpus/" + name],
        data = native.glob(["corpus/%s/*" % name]),
        deps = deps + [":replay_main"],
    )
    native.cc_binary(
        name = name + "_fuzzer",
        testonly = True,
        srcs = srcs,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = deps,
    )
