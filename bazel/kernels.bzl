"""flashcp-kernelgen as genrules: attention kernels as objects, and the table that lists them."""

KERNEL_TARGETS = ["avx2", "avx512", "avx512-bf16"]

def generated_kernels(name, emulated = False, deps = [], **kwargs):
    """A library NAME that defines GeneratedKernels(), or EmulatedKernels().

    Emulated kernels run on any x86-64-v3, slowly; tests use them where the
    CPU lacks the instructions. Only objects are linked in, no LLVM.
    """
    flags = "--emulated" if emulated else ""
    function = "EmulatedKernels" if emulated else "GeneratedKernels"
    objects = []
    for target in KERNEL_TARGETS:
        objects.append("%s_%s.pic.o" % (name, target))
        native.genrule(
            name = "%s_%s_gen" % (name, target),
            outs = [objects[-1]],
            tools = ["//tools:flashcp-kernelgen"],
            cmd = "$(location //tools:flashcp-kernelgen) --target %s %s --emit obj -o $@" % (target, flags),
            message = "flashcp-kernelgen",
        )
    native.genrule(
        name = name + "_table_gen",
        outs = [name + "_table.cc"],
        tools = ["//tools:flashcp-kernelgen"],
        cmd = "$(location //tools:flashcp-kernelgen) %s --function %s --emit table -o $@" % (flags, function),
        message = "flashcp-kernelgen",
    )
    native.cc_library(
        name = name,
        srcs = [name + "_table.cc"] + objects,
        deps = deps,
        **kwargs
    )
