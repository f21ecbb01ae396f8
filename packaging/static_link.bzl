"""Programs and libraries of the packages: all that is not glibc or libgcc_s is linked in.

The objects are those of the development build, which links the same code to
shared libraries because that is quick. Only the link differs, so the code
that is shipped is the code that the tests run.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

# Debian's linker of the development build, named here because the flags below are for it.
_LINK = [
    "-fuse-ld=gold",
    "-Wl,-z,relro,-z,now",
    "-Wl,--gc-sections",
    "-Wl,--icf=safe",
    # Symbols of archives stay inside: another LLVM or Abseil in the process is not disturbed.
    "-Wl,--exclude-libs,ALL",
    # A second libgcc_s in a process would not see the frames of the first; each system has one.
    "-shared-libgcc",
    "-s",
]

def _objects(library):
    return library.pic_objects or library.objects

def _own_code(linker_input):
    """Returns the flags that link libraries of this repository, members only if needed."""
    flags = []
    for library in linker_input.libraries:
        if not library.alwayslink:
            paths = [object.path for object in _objects(library)]
            flags += ["-Wl,--start-lib"] + paths + ["-Wl,--end-lib"]
    return flags + linker_input.user_link_flags

def _flags(linker_input, llvm_script):
    """Returns the flags that link one library, statically."""
    repository = linker_input.owner.workspace_name
    if repository == "":
        return _own_code(linker_input)
    if repository == "llvm":
        return [llvm_script.path]
    flags = [flag for flag in linker_input.user_link_flags if not flag.startswith("-Wl,-rpath")]
    return ["-Wl,-Bstatic"] + flags + ["-Wl,-Bdynamic"]

def _collect(ctx):
    """Returns the objects to link, those of them that come first and whole, and flags in order."""
    late = [target.label for target in ctx.attr.late]
    objects = []
    whole = []  # first, since archives then define only what is missing
    flags = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            if linker_input.owner in late:
                continue
            flags += _flags(linker_input, ctx.file._llvm_script)
            for library in linker_input.libraries:
                objects += _objects(library)
                if library.alwayslink:
                    whole += _objects(library)
    return struct(objects = objects, whole = whole, flags = flags)

def _arguments(ctx, linked, output):
    """Returns the command line, in a file."""
    arguments = ctx.actions.args()
    arguments.add("-o", output)
    arguments.add_all(_LINK)
    arguments.add(ctx.file._exports, format = "-Wl,--version-script=%s")
    if ctx.attr.shared:
        arguments.add_all(["-shared", "-Wl,-soname," + output.basename])
    else:
        arguments.add("-pie")
    if not ctx.attr.late:
        arguments.add("-Wl,--no-undefined")
    elif not ctx.attr.shared:
        # So that the program starts without them. A test looks which symbols these are.
        arguments.add("-Wl,--weak-unresolved-symbols")
    arguments.add_all(linked.whole)
    arguments.add_all(linked.flags)
    arguments.add_all(ctx.files.shared_deps)
    if ctx.files.shared_deps:
        arguments.add("-Wl,-rpath,$ORIGIN")
    arguments.add_all(["-l:libstdc++.a", "-lm"])
    arguments.use_param_file("@%s", use_always = True)
    arguments.set_param_file_format("multiline")
    return arguments

def _static_link_impl(ctx):
    toolchain = find_cpp_toolchain(ctx)
    compiler = cc_common.get_tool_for_action(
        feature_configuration = cc_common.configure_features(ctx = ctx, cc_toolchain = toolchain),
        action_name = "c++-link-executable",
    )
    output = ctx.actions.declare_file(ctx.attr.output or ctx.label.name)
    linked = _collect(ctx)
    ctx.actions.run(
        executable = compiler,
        arguments = [_arguments(ctx, linked, output)],
        inputs = depset(
            linked.objects + ctx.files.shared_deps +
            [ctx.file._llvm_script, ctx.file._llvm_stamp, ctx.file._exports],
            transitive = [toolchain.all_files],
        ),
        outputs = [output],
        mnemonic = "StaticLink",
        use_default_shell_env = True,
        progress_message = "Linking %s statically" % output.short_path,
    )
    return [DefaultInfo(files = depset([output]), executable = output)]

static_link = rule(
    implementation = _static_link_impl,
    doc = "Links C++ libraries into one file that needs glibc and libgcc_s alone.",
    attrs = {
        "deps": attr.label_list(providers = [CcInfo], mandatory = True),
        "late": attr.label_list(
            doc = "libraries behind deps that the program loads by itself, if there are any",
        ),
        "output": attr.string(doc = "path of the file, by default the name"),
        "shared": attr.bool(doc = "a shared library, which exports the C API alone"),
        "shared_deps": attr.label_list(
            allow_files = [".so"],
            doc = "shared libraries that will lie in the same folder",
        ),
        "_exports": attr.label(default = "//api:exports.lds", allow_single_file = True),
        "_llvm_script": attr.label(default = "@llvm//:static.lds", allow_single_file = True),
        "_llvm_stamp": attr.label(default = "@llvm//:stamp", allow_single_file = True),
        "_cc_toolchain": attr.label(default = "@bazel_tools//tools/cpp:current_cc_toolchain"),
    },
    executable = True,
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    fragments = ["cpp"],
)
