"""Repositories that @bazel_tools needs, for a build without network.

Debian's bazel-bootstrap is 4.2.3, reports no version, and keeps the rule sets
that Bazel would download under /usr/share/bazel.  A released Bazel carries
its own pins, so there the names are left alone.
"""

def offline_repositories():
    version = native.bazel_version
    if version and not version.startswith("4.") and version != "no_version":
        return
    native.local_repository(name = "rules_cc", path = "third_party/rules_cc")
    native.local_repository(name = "remote_coverage_tools", path = "third_party/remote_coverage_tools")
    native.local_repository(name = "rules_java", path = "/usr/share/bazel/rules/java")
    native.local_repository(name = "rules_proto", path = "/usr/share/bazel/rules/proto")

    # tools/platforms, not platforms: only this copy defines :incompatible.
    native.local_repository(name = "platforms", path = "/usr/share/bazel/tools/platforms")
    native.local_repository(name = "bazel_skylib", path = "/usr/share/bazel/tools/skylib")
