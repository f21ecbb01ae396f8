"""Repositories that @bazel_tools needs, for a build without network.

Debian's bazel-bootstrap is 4.2.3, reports no version, and keeps the rule sets
that Bazel would download under /usr/share/bazel.  A released Bazel carries
its own pins, so there the names are left alone.
"""

def _bundled_impl(ctx):
    # By a file of this repository, which other workspaces have elsewhere.
    folder = ctx.path(Label("//:WORKSPACE")).dirname
    for name in ctx.attr.folder.split("/"):
        folder = folder.get_child(name)
    for entry in folder.readdir():
        ctx.symlink(entry, entry.basename)

_bundled_repository = repository_rule(
    implementation = _bundled_impl,
    doc = "A folder of this repository as a repository of its own.",
    attrs = {"folder": attr.string(mandatory = True)},
    local = True,
)

def offline_repositories():
    version = native.bazel_version
    if version and not version.startswith("4.") and version != "no_version":
        return
    _bundled_repository(name = "rules_cc", folder = "third_party/rules_cc")
    _bundled_repository(name = "remote_coverage_tools", folder = "third_party/remote_coverage_tools")
    native.local_repository(name = "rules_java", path = "/usr/share/bazel/rules/java")
    native.local_repository(name = "rules_proto", path = "/usr/share/bazel/rules/proto")

    # tools/platforms, not platforms: only this copy defines :incompatible.
    native.local_repository(name = "platforms", path = "/usr/share/bazel/tools/platforms")
    native.local_repository(name = "bazel_skylib", path = "/usr/share/bazel/tools/skylib")
