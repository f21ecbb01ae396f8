"""GPU kernels: PTX by flashcp-kernelgen, cubins by ptxas if there is one, and both embedded."""

load("@ptxas//:ptxas.bzl", "HAS_PTXAS")

# The shapes of each target, as --dim takes them; a test says which of the generator's are missing.
_DIMS = {
    "sm_80": ["64", "96", "128", "192", "192:128", "256"],
    "sm_90a": ["64", "128", "192", "192:128", "256"],
}

_DTYPES = ["bf16", "f16"]

# What the PTX of a target is assembled for. The driver assembles sm_80's for all later GPUs.
_ARCHITECTURES = {
    "sm_80": ["sm_80", "sm_100"],
    "sm_90a": ["sm_90a"],
}

def _shapes(target):
    """The names of files of a target, with the flags that choose their kernels."""
    files = {target + "_memory": "--dim none"}
    for dim in _DIMS[target]:
        for dtype in _DTYPES:
            key, _, value = dim.partition(":")
            file = "%s_%s_%s_%s" % (target, dtype, key, value or key)
            files[file] = "--dim %s --dtype %s" % (dim, dtype)
    return files

def _generate(name, target, flags):
    native.genrule(
        name = name + "_ptx",
        outs = [name + ".ptx"],
        tools = ["//tools:flashcp-kernelgen"],
        cmd = "$(location //tools:flashcp-kernelgen) --target %s %s --emit ptx -o $@" % (target, flags),
        message = "flashcp-kernelgen",
    )

def _assemble(name, architecture):
    """NAME.ARCHITECTURE.cubin, and the assembler's report beside it."""
    file = "%s.%s" % (name, architecture)
    native.genrule(
        name = file + "_cubin",
        srcs = [name + ".ptx"],
        outs = [file + ".cubin", file + ".log"],
        tools = ["@ptxas"],
        cmd = ("$(location @ptxas) -arch=%s -v --warn-on-spills $< -o $(RULEDIR)/%s.cubin" +
               " >$(RULEDIR)/%s.log 2>&1 || { cat $(RULEDIR)/%s.log >&2; exit 1; }") %
              (architecture, file, file, file),
        message = "ptxas",
    )

def gpu_kernels(name):
    """Makes all files, and from them

    NAME_tables: what the kernels are, a file a target;
    NAME_assembled: the tables, and the cubins and reports of ptxas, if there is one;
    NAME_object, NAME_list: an object with all images, compressed, and their places in it.
    """
    tables, images, cubins, reports = [], [], [], []
    for target in sorted(_DIMS):
        tables.append(target + "_kernels.inc")
        native.genrule(
            name = target + "_kernels",
            outs = [tables[-1]],
            tools = ["//tools:flashcp-kernelgen"],
            cmd = "$(location //tools:flashcp-kernelgen) --target %s --emit table -o $@" % target,
            message = "flashcp-kernelgen",
        )
        for file, flags in _shapes(target).items():
            _generate(file, target, flags)
            images.append(file + ".ptx")
            if not HAS_PTXAS:
                continue
            for architecture in _ARCHITECTURES[target]:
                _assemble(file, architecture)
                cubins.append("%s.%s.cubin" % (file, architecture))
                reports.append("%s.%s.log" % (file, architecture))
    native.filegroup(name = name + "_tables", srcs = tables)
    native.filegroup(
        name = name + "_assembled",
        srcs = tables + cubins + reports,
        visibility = ["//tests:__subpackages__"],
    )
    native.genrule(
        name = name + "_embed",
        srcs = images + cubins,
        outs = [name + ".pic.o", name + "_images.inc"],
        tools = ["//tools/kernelgen:embed_images.py"],
        cmd = "/usr/bin/python3 $(location //tools/kernelgen:embed_images.py) $(CC)" +
              " $(RULEDIR)/%s.pic.o $(RULEDIR)/%s_images.inc $(SRCS)" % (name, name),
        message = "Embedding",
        toolchains = ["@bazel_tools//tools/cpp:current_cc_toolchain"],
    )
