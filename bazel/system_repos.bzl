"""Repository rules that wrap what Debian (or the user) has installed.

Nothing is downloaded.  Each rule links headers into its repository, so that
Bazel's inclusion check accepts them, and leaves the libraries where they are
with -L and -rpath.
"""

_HEADER = 'package(default_visibility = ["//visibility:public"])\n'
_INSTALL = "run tools/install_dependencies.sh"

def _run(ctx, args):
    result = ctx.execute(args)
    return result.stdout.strip() if result.return_code == 0 else None

def _stamp(ctx, paths):
    """Writes the file "stamp": sizes and dates of libraries that Bazel does not see.

    As data of the wrapper library it makes tests run again, rather than come
    from a cache, once apt has upgraded what they load.
    """
    ctx.file("stamp", _run(ctx, ["stat", "-L", "-c", "%n %s %Y"] + paths) or "none")

_LLVM_BUILD = """
exports_files(["lit.sh", "stamp", "static.lds"])

filegroup(name = "FileCheck", srcs = ["bin/FileCheck"])
filegroup(name = "not", srcs = ["bin/not"])
filegroup(name = "count", srcs = ["bin/count"])
filegroup(name = "split-file", srcs = ["bin/split-file"])
filegroup(name = "llvm-mca", srcs = ["bin/llvm-mca"])
filegroup(name = "mlir-tblgen", srcs = ["bin/mlir-tblgen"])
filegroup(name = "td", srcs = glob(["include/mlir/**/*.td"]))

cc_library(
    name = "mlir",
    hdrs = glob([
        "include/mlir/**/*.h", "include/mlir/**/*.inc", "include/mlir/**/*.def",
        "include/mlir-c/**/*.h", "include/mlir-c/**/*.inc",
        "include/llvm/**/*.h", "include/llvm/**/*.inc", "include/llvm/**/*.def",
        "include/llvm/**/*.gen",
        "include/llvm-c/**/*.h",
    ]),
    data = ["stamp"],
    includes = ["include"],
    linkopts = ["-L{root}/lib", "-Wl,-rpath,{root}/lib", "-lMLIR", "-lLLVM"],
)

# LLVM alone, for programs that need no MLIR.
cc_library(
    name = "llvm",
    hdrs = glob([
        "include/llvm/**/*.h", "include/llvm/**/*.inc", "include/llvm/**/*.def",
        "include/llvm/**/*.gen",
        "include/llvm-c/**/*.h",
    ]),
    data = ["stamp"],
    includes = ["include"],
    linkopts = ["-L{root}/lib", "-Wl,-rpath,{root}/lib", "-lLLVM"],
)
"""

def _llvm_impl(ctx):
    root = ctx.os.environ.get("LLVM_ROOT", "/usr/lib/llvm-22")
    if not ctx.path(root + "/bin/mlir-tblgen").exists:
        fail("no MLIR 22 under %s: %s, or set LLVM_ROOT" % (root, _INSTALL))
    ctx.symlink(root + "/include", "include")
    ctx.symlink(root + "/bin", "bin")
    _stamp(ctx, [root + "/lib/libMLIR.so", root + "/lib/libLLVM.so"])
    archives = _run(ctx, ["sh", "-c", "echo %s/lib/libMLIR*.a %s/lib/libLLVM*.a" % (root, root)])
    ctx.file("static.lds", "/* MLIR and LLVM as archives. */\nGROUP ( %s )\n" % archives)
    ctx.file("lit.sh", "#!/bin/sh\nexec /usr/bin/python3 %s/bin/lit \"$@\"\n" % root)
    ctx.file("BUILD.bazel", _HEADER + _LLVM_BUILD.format(root = root))

llvm_configure = repository_rule(
    implementation = _llvm_impl,
    doc = "LLVM and MLIR from $LLVM_ROOT, by default Debian's /usr/lib/llvm-22.",
    environ = ["LLVM_ROOT"],
    local = True,
)

def _library(ctx, name, cflags, libs, next_include):
    """The BUILD text of one cc_library, its include folders linked in as includeN."""
    includes = []
    defines = []
    for flag in cflags.split(" "):
        if flag.startswith("-D"):
            defines.append(flag[2:])
        elif flag.startswith("-I"):
            folder = "include%d" % (next_include + len(includes))
            ctx.symlink(flag[2:], folder)
            includes.append(folder)
    hdrs = "glob(%r)" % [x + "/**" for x in includes] if includes else "[]"
    rpaths = ["-Wl,-rpath," + x[2:] for x in libs if x.startswith("-L")]
    return "cc_library(name = %r, hdrs = %s, defines = %r, includes = %r, linkopts = %r)\n" % (
        name,
        hdrs,
        defines,
        includes,
        rpaths + libs,
    ), len(includes)

def _pkg_config_impl(ctx):
    pkg_config = ctx.which("pkg-config")
    if not pkg_config:
        fail("no pkg-config on PATH: " + _INSTALL)
    build = _HEADER
    include = 0
    for name in sorted(ctx.attr.libs):
        packages = ctx.attr.libs[name].split(" ")
        cflags = _run(ctx, [pkg_config, "--cflags"] + packages)
        if cflags == None:
            fail("pkg-config knows no %s: %s" % (ctx.attr.libs[name], _INSTALL))
        libs = [x for x in _run(ctx, [pkg_config, "--libs"] + packages).split(" ") if x]
        text, used = _library(ctx, name, cflags, libs, include)
        build += text
        include += used
    for tool in ctx.attr.tools:
        path = ctx.which(tool)
        if not path:
            fail("no %s on PATH: %s" % (tool, _INSTALL))
        ctx.file(tool + ".sh", "#!/bin/sh\nexec %s \"$@\"\n" % path)
        build += "filegroup(name = %r, srcs = [%r])\n" % (tool, tool + ".sh")
    ctx.file("BUILD.bazel", build)

pkg_config_repository = repository_rule(
    implementation = _pkg_config_impl,
    doc = "Libraries that pkg-config knows: target name -> space-separated packages.",
    attrs = {
        "libs": attr.string_dict(),
        "tools": attr.string_list(doc = "programs on PATH, each a target of its name"),
    },
    environ = ["PKG_CONFIG_PATH", "PATH"],
    local = True,
)

def _header_impl(ctx):
    if not ctx.path("/usr/include/" + ctx.attr.header).exists:
        fail("no /usr/include/%s (Debian's %s): %s" % (ctx.attr.header, ctx.attr.package, _INSTALL))

    # /usr/include is always searched and never checked, so there is nothing to link in.
    ctx.file("BUILD.bazel", _HEADER + "cc_library(name = %r, linkopts = %r)\n" % (
        ctx.name,
        ctx.attr.linkopts,
    ))

header_repository = repository_rule(
    implementation = _header_impl,
    doc = "A library of headers below /usr/include that pkg-config does not know, and how to link it.",
    attrs = {
        "header": attr.string(mandatory = True),
        "linkopts": attr.string_list(),
        "package": attr.string(mandatory = True),
    },
    local = True,
)

def _licences_impl(ctx):
    for name, package in ctx.attr.packages.items():
        path = "/usr/share/doc/%s/copyright" % package
        if not ctx.path(path).exists:
            fail("no %s, the licence of what is linked in: %s" % (path, _INSTALL))
        ctx.symlink(path, name + ".txt")
    names = [name + ".txt" for name in sorted(ctx.attr.packages)]
    ctx.file("BUILD.bazel", _HEADER + "filegroup(name = %r, srcs = %r)\n" % (ctx.name, names))

licence_repository = repository_rule(
    implementation = _licences_impl,
    doc = "The licences of Debian packages, for what contains their code.",
    attrs = {"packages": attr.string_dict(doc = "name of a file, without .txt -> package")},
    local = True,
)

_ABSEIL_SOURCE_BUILD = """
# Looked for when it is needed, not when this is read: without it all else builds.
genrule(
    name = "files",
    outs = [
        "absl/base/internal/sysinfo.cc",
        "absl/container/internal/raw_hash_set.cc",
        "absl/strings/internal/cordz_functions.cc",
        "absl/strings/internal/str_format/parser.cc",
    ],
    cmd = "cp -r '{folder}/absl' $(RULEDIR) || {{ echo '{missing}' >&2; exit 1; }}",
    tags = ["local"],
)

cc_library(
    name = "shared",
    srcs = [":files"],
    copts = ["-w"],
    # Before the archives, which define the same.
    alwayslink = True,
    deps = ["@absl//:containers", "@absl//:status", "@absl//:strings", "@absl//:synchronization"],
)
"""

def _abseil_source_impl(ctx):
    home = _run(ctx, ["sh", "-c", "getent passwd $(id -u) | cut -d: -f6"])
    version = _run(ctx, ["dpkg-query", "-W", "-f", "${source:Version}", "libabsl-dev"]) or "none"
    folder = "%s/.cache/flashcp/abseil-%s" % (home, version)
    missing = "flashcp: no source of the installed Abseil, %s: run tools/install_abseil_source.sh"
    ctx.file("BUILD.bazel", _HEADER + _ABSEIL_SOURCE_BUILD.format(
        folder = folder,
        missing = missing % version,
    ))

abseil_source = repository_rule(
    implementation = _abseil_source_impl,
    doc = """Files of Abseil, compiled for shared libraries.

    Debian's archives are for programs alone: these files reach variables of a
    thread, or of another library, as a shared library cannot.  All else comes
    from the archives.  tools/install_abseil_source.sh takes them from Debian's
    source package of the installed version.
    """,
    local = True,
)

def _ptxas_impl(ctx):
    folders = [ctx.os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    paths = [ctx.path(x + "/bin/ptxas") for x in folders if x] + [ctx.which("ptxas")]
    found = [str(x) for x in paths if x and x.exists]
    ctx.file("ptxas.bzl", "HAS_PTXAS = %s\n" % bool(found))
    ctx.file("ptxas.sh", "#!/bin/sh\nexec %s \"$@\"\n" % (found[0] if found else "false"))
    ctx.file("BUILD.bazel", _HEADER + "filegroup(name = 'ptxas', srcs = ['ptxas.sh'])\n")

ptxas_configure = repository_rule(
    implementation = _ptxas_impl,
    doc = """NVIDIA's assembler, of $CUDA_HOME, /usr/local/cuda or PATH, if there is one.

    Without it GPU kernels are built as PTX, which drivers assemble.
    """,
    environ = ["CUDA_HOME", "PATH"],
    local = True,
)
