"""All repositories that the build needs, for this workspace and for others.

Another workspace uses FlashCP with

    local_repository(name = "flashcp", path = "PATH/OF/THE/CLONE")
    load("@flashcp//bazel:repositories.bzl", "flashcp_repositories")
    flashcp_repositories()
"""

load(":offline.bzl", "offline_repositories")
load(
    ":system_repos.bzl",
    "abseil_source",
    "header_repository",
    "licence_repository",
    "llvm_configure",
    "pkg_config_repository",
    "ptxas_configure",
)

def flashcp_repositories():
    """Defines them, those of a test or benchmark too; what nobody uses is not fetched."""
    offline_repositories()

    llvm_configure(name = "llvm")

    pkg_config_repository(
        name = "absl",
        libs = {
            "status": "absl_status absl_statusor",
            "strings": "absl_strings absl_str_format",
            "synchronization": "absl_synchronization absl_time",
            "containers": "absl_flat_hash_map absl_flat_hash_set absl_hash absl_span",
        },
    )

    # Packages alone: files that the archives lack for shared libraries.
    abseil_source(name = "abseil_source")

    pkg_config_repository(
        name = "gtest",
        libs = {
            "gtest": "gmock gtest",
            "gtest_main": "gmock gtest_main gtest",
        },
    )

    pkg_config_repository(
        name = "benchmark",
        libs = {"benchmark": "benchmark"},
    )

    pkg_config_repository(
        name = "flatbuffers",
        libs = {"flatbuffers": "flatbuffers"},
        tools = ["flatc"],
    )

    pkg_config_repository(
        name = "mpi",
        libs = {"mpi": "ompi-c"},
    )

    header_repository(
        name = "cli11",
        header = "CLI/CLI.hpp",
        package = "libcli11-dev",
    )

    header_repository(
        name = "nlohmann_json",
        header = "nlohmann/json.hpp",
        package = "nlohmann-json3-dev",
    )

    # GPU kernels are embedded compressed.
    header_repository(
        name = "zlib",
        header = "zlib.h",
        linkopts = ["-lz"],
        package = "zlib1g-dev",
    )

    ptxas_configure(name = "ptxas")

    # Benchmarks alone: the yardstick of the CPU kernels.
    header_repository(
        name = "dnnl",
        header = "dnnl.hpp",
        linkopts = ["-ldnnl"],
        package = "libdnnl-dev",
    )

    # Licences of all that is linked into the packages of //:dist.
    licence_repository(
        name = "licences",
        packages = {
            "Abseil": "libabsl-dev",
            "CLI11": "libcli11-dev",
            "FlatBuffers": "libflatbuffers-dev",
            "LLVM": "libmlir-22-dev",
            "libstdcxx": "libstdc++-12-dev",
            "nlohmann-json": "nlohmann-json3-dev",
        },
    )
