"""The packages, in one folder: their names hold the version, which is read during the build."""

def _dist_impl(ctx):
    out = ctx.actions.declare_directory(ctx.label.name)
    arguments = ctx.actions.args()
    arguments.add(ctx.file.script)
    arguments.add(out.path)
    arguments.add(ctx.file.version)
    inputs = ctx.files.version + ctx.files.script + ctx.files.modules
    for target, folder in ctx.attr.files.items():
        for file in target.files.to_list():
            arguments.add(file, format = folder + "=%s")
            inputs.append(file)
    for file in ctx.files.python:
        arguments.add(file, format = file.dirname + "=%s")
        inputs.append(file)
    ctx.actions.run(
        executable = "/usr/bin/python3",
        arguments = ["-B", arguments],
        inputs = inputs,
        outputs = [out],
        mnemonic = "Dist",
        use_default_shell_env = True,
        progress_message = "Packing %s" % out.short_path,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]))]

_dist = rule(
    implementation = _dist_impl,
    doc = "Packs files into a tarball, a Debian package and a wheel.",
    attrs = {
        "files": attr.label_keyed_string_dict(
            allow_files = True,
            doc = "file -> folder: bin, lib, include or licenses",
        ),
        "python": attr.label_list(allow_files = True, doc = "sources below python/"),
        "version": attr.label(
            allow_single_file = True,
            doc = "the header that states the version",
        ),
        "script": attr.label(default = "//packaging:make_dist.py", allow_single_file = True),
        "modules": attr.label(default = "//packaging:dist_modules"),
    },
)

def dist(name, **kwargs):
    """The folder NAME of the packages: a tarball, a Debian package and a wheel."""
    _dist(
        name = name,
        files = {
            "//packaging:flashcp": "bin",
            "//packaging:libflashcp.so": "lib",
            "//packaging:libflashcp_compiler.so": "lib",
            "//packaging:libflashcp_mpi.so": "lib",
            "//api:flashcp.h": "include",
            "//api:flashcp.hpp": "include",
            "//api:flashcp_tables.h": "include",
            "//:LICENSE": "licenses",
            "@licences": "licenses",
        },
        python = ["//python:sources"],
        version = "//api:flashcp.h",
        **kwargs
    )
