#!/usr/bin/python3
"""The tarball, unpacked and moved: its program runs, its pages and licences are there, and programs
in C and C++ build against it by CMake and by pkg-config, and run.

tree_test.py DIST_FOLDER EXAMPLES_FOLDER RUN_MPI
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from typing import Dict, Optional

import linkage_test

DIST, EXAMPLES, RUN_MPI = (os.path.abspath(path) for path in sys.argv[1:4])
TEMPORARY = os.environ["TEST_TMPDIR"]
# Nothing of the build is found by chance.
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": TEMPORARY, "LC_ALL": "C.UTF-8"}


def run(*command: str, environment: Optional[Dict[str, str]] = None) -> str:
    """Returns what a command prints; says all of it if it fails."""
    result = subprocess.run(
        command, env=PLAIN | (environment or {}), cwd=TEMPORARY, text=True, capture_output=True
    )
    assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


def unpack(archive: str, version: str) -> str:
    """Returns the folder of the tree: a folder other than that which it was unpacked in."""
    with tarfile.open(archive) as tar:
        assert all(member.uid == member.gid == 0 for member in tar), "files belong to nobody"
        tar.extractall(os.path.join(TEMPORARY, "unpacked"))
    moved = os.path.join(TEMPORARY, "moved here")
    shutil.move(os.path.join(TEMPORARY, "unpacked", f"flashcp-{version}-linux-x86_64"), moved)
    return moved


def check_files(tree: str) -> None:
    """Looks at what lies in the tree, and at what its files say."""
    binaries = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(tree)
        for name in names
        if open(os.path.join(folder, name), "rb").read(4) == b"\x7fELF"
    ]
    names = sorted(os.path.relpath(path, tree) for path in binaries)
    assert names == [
        "bin/flashcp",
        "lib/libflashcp.so",
        "lib/libflashcp_compiler.so",
        "lib/libflashcp_mpi.so",
    ], names
    errors = linkage_test.check(binaries, os.path.join(tree, "include/flashcp.h"))
    assert not errors, "\n".join(errors)
    licences = set(os.listdir(os.path.join(tree, "share/licenses/flashcp")))
    linked_in = {"Abseil", "CLI11", "FlatBuffers", "LLVM", "libstdcxx", "nlohmann-json"}
    assert licences == {"LICENSE"} | {f"{name}.txt" for name in linked_in}, licences
    for name in licences:
        assert os.path.getsize(os.path.join(tree, "share/licenses/flashcp", name)) > 500, name


def check_program(tree: str, version: str) -> None:
    """Plans a batch and runs it, by the program of the tree."""
    flashcp = os.path.join(tree, "bin/flashcp")
    assert run(flashcp, "--version").startswith(f"flashcp {version} ")
    with open(os.path.join(TEMPORARY, "lengths.txt"), "w", encoding="utf-8") as file:
        file.write("40 0 7 17 300")
    shape = ["--ranks", "4", "--heads", "4:2", "--head-dim", "32"]
    run(flashcp, "compile", "lengths.txt", *shape, "-o", "a.plan")
    assert "364 tokens" in run(flashcp, "inspect", "a.plan")
    assert "check against float64: ok" in run(flashcp, "run", "a.plan", "--backward", "--check")


def check_manual(tree: str, version: str) -> None:
    """Compares the pages with the help: each command has one, with all of its options."""
    flashcp = os.path.join(tree, "bin/flashcp")
    commands = re.findall(r"^  (\w+) ", run(flashcp, "--help").split("Subcommands:")[1], re.M)
    commands.remove("help")
    assert len(commands) >= 7, commands
    pages = set(os.listdir(os.path.join(tree, "share/man/man1")))
    assert pages == {"flashcp.1"} | {f"flashcp-{c}.1" for c in commands}, pages
    for command in commands:
        with open(os.path.join(tree, f"share/man/man1/flashcp-{command}.1"), "r") as file:
            page = file.read()
        options = re.findall(r"^  (-\S.*?)(?:  |$)", run(flashcp, command, "--help"), re.M)
        assert options, command
        for option in options:
            assert "\n.B " + option.replace("-", "\\-") + "\n" in page, (command, option)
        assert f'"FlashCP {version}"' in page
        assert "on this CPU" not in page, f"{command}: the page depends on the machine of the build"


def build_by_cmake(tree: str, example: str) -> str:
    """Returns the program of an example, whose CMakeLists.txt finds the tree by its prefix."""
    build = os.path.join(TEMPORARY, f"cmake-{example}")
    source = os.path.join(EXAMPLES, example)
    run("cmake", "-S", source, "-B", build, f"-DCMAKE_PREFIX_PATH={tree}", "-Wno-dev")
    run("cmake", "--build", build)
    return os.path.join(build, example)


def build_by_pkg_config(tree: str, example: str, compiler: str, source: str) -> str:
    """Returns the program of an example, built by hand."""
    program = os.path.join(TEMPORARY, f"pkg-config-{example}")
    path = {"PKG_CONFIG_PATH": os.path.join(tree, "lib/pkgconfig")}
    # A space in the folder's name comes escaped: the shell reads the flags once more.
    build = f"{compiler} -Wall -Werror -pthread -o {program} {source}"
    flags = "$(pkg-config --cflags --libs flashcp_compiler)"
    run("sh", "-c", f'eval "{build} {flags}"', environment=path)
    return program


def check_examples(tree: str) -> None:
    """Builds the C and the C++ example in both ways, and runs what is built: by threads, by MPI."""
    printed = {}
    for example, compiler, source in (
        ("embed_c", "gcc -std=c11", "embed_c/embed.c"),
        ("embed_cpp", "g++ -std=c++17", "embed_cpp/embed.cc"),
    ):
        by_cmake = build_by_cmake(tree, example)
        path = os.path.join(EXAMPLES, source)
        by_pkg_config = build_by_pkg_config(tree, example, compiler, path)
        printed[example] = sorted(run(by_cmake).splitlines())
        assert printed[example] == sorted(run(by_pkg_config).splitlines()), printed
    assert printed["embed_c"][0] == "rank 0: 1024 tokens, LSE of the last 6.105", printed
    processes = sorted(run(RUN_MPI, "4", by_cmake).splitlines())
    assert len(processes) == 4 and processes == printed["embed_cpp"], processes


def check_debian_package(version: str) -> None:
    """Looks into the Debian package with the tools that would install it."""
    package = os.path.join(DIST, f"flashcp_{version}_amd64.deb")
    fields = run("dpkg-deb", "--field", package)
    assert f"Version: {version}\n" in fields and "libc6 (>= 2.34)" in fields, fields
    root = os.path.join(TEMPORARY, "root")
    run("dpkg-deb", "--extract", package, root)
    assert run(os.path.join(root, "usr/bin/flashcp"), "--version").startswith("flashcp ")
    assert os.path.exists(os.path.join(root, "usr/share/doc/flashcp/copyright"))


def main() -> None:
    (archive,) = [n for n in os.listdir(DIST) if n.endswith("-linux-x86_64.tar.gz")]
    version = archive.split("-")[1]
    tree = unpack(os.path.join(DIST, archive), version)
    check_files(tree)
    check_program(tree, version)
    check_manual(tree, version)
    check_examples(tree)
    check_debian_package(version)


if __name__ == "__main__":
    main()
