"""mlir-tblgen as a genrule: one per output file."""

def mlir_tablegen(name, td, outs, deps = []):
    """Runs mlir-tblgen on td once for each entry of outs (file -> options).

    deps are further .td files that td includes, by paths from the repository's
    root or from LLVM's include folder.
    """
    name_of_repository = native.repository_name()[1:]  # "" where this is the main one
    root = "external/" + name_of_repository if name_of_repository else "."
    for out, opts in outs.items():
        native.genrule(
            name = name + "_" + out.replace(".", "_"),
            srcs = [td, "@llvm//:td"] + deps,
            outs = [out],
            tools = ["@llvm//:mlir-tblgen"],
            # Not external/llvm: the name of that folder differs between Bazel versions.
            cmd = "t=$(location @llvm//:mlir-tblgen); $$t %s $(location %s) -I %s -I $${t%%%%/bin/*}/include -o $@" % (opts, td, root),
            message = "mlir-tblgen",
        )
    native.filegroup(name = name, srcs = outs.keys())
