"""Writes what `bazel build //:dist` makes: one set of files as tarball, Debian package and wheel.

make_dist.py OUT_FOLDER FLASHCP_H FOLDER=FILE...

FOLDER says what a file is: bin, lib, include, licenses, or the folder of the Python package that it
belongs to, such as python/flashcp. Equal inputs give equal bytes, wherever and whenever it runs.
"""

import os
import re
import subprocess
import sys
from typing import Dict, Tuple

from archives import File, Files, tar_gz
from debian import make_deb
from man_pages import man_pages
from wheel import make_wheel

HERE = os.path.dirname(os.path.abspath(__file__))


def read_version(header: str) -> str:
    """Returns the version that flashcp.h states: its one source."""
    with open(header, encoding="utf-8") as file:
        found = dict(re.findall(r"#define FLASHCP_VERSION_(MAJOR|MINOR|PATCH) (\d+)", file.read()))
    return ".".join(found[part] for part in ("MAJOR", "MINOR", "PATCH"))


def needed_glibc(paths: Dict[str, str]) -> Tuple[int, int]:
    """Returns the oldest glibc that has all symbols that programs and libraries need."""
    versions = {(2, 17)}  # of the oldest manylinux that is named by its glibc
    for folder_and_name, path in paths.items():
        if folder_and_name.startswith(("bin/", "lib/")):
            text = subprocess.run(
                ["readelf", "--version-info", path], check=True, capture_output=True, text=True
            ).stdout
            versions |= {(int(a), int(b)) for a, b in re.findall(r"\bGLIBC_(\d+)\.(\d+)", text)}
    return max(versions)


def read_files(paths: Dict[str, str]) -> Files:
    """Returns the files by their places: "bin/flashcp"."""
    files = {}
    for place, path in sorted(paths.items()):
        with open(path, "rb") as file:
            files[place] = File(file.read(), executable=place.startswith(("bin/", "lib/")))
    return files


def template(name: str, version: str) -> File:
    """Returns a file of this folder with its version filled in."""
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return File(file.read().replace("@VERSION@", version).encode())


def below(files: Files, folder: str) -> Files:
    """Returns the files of a folder, by their paths in it."""
    return {p[len(folder) + 1 :]: file for p, file in files.items() if p.startswith(folder + "/")}


def installed_tree(files: Files, version: str, program: str) -> Files:
    """Returns the files of an installation prefix, in which nothing names its own place."""
    tree = {p: f for p, f in files.items() if p.startswith(("bin/", "lib/", "include/"))}
    for name in ("flashcpConfig.cmake", "flashcpConfigVersion.cmake"):
        tree[f"lib/cmake/flashcp/{name}"] = template(name, version)
    for name in ("flashcp.pc", "flashcp_compiler.pc"):
        tree[f"lib/pkgconfig/{name}"] = template(name, version)
    for name, text in man_pages(version, program).items():
        tree[f"share/man/man1/{name}"] = File(text.encode())
    for name, licence in below(files, "licenses").items():
        tree[f"share/licenses/flashcp/{name}"] = licence
    return tree


def python_package(files: Files) -> Files:
    """Returns the Python package, with the libraries and the program inside."""
    package = below(files, "python")
    package |= {f"flashcp/lib/{name}": file for name, file in below(files, "lib").items()}
    package |= {f"flashcp/bin/{name}": file for name, file in below(files, "bin").items()}
    return package


def write(folder: str, name: str, data: bytes) -> None:
    """Writes a file of the result."""
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def main(out: str, header: str, *arguments: str) -> None:
    version = read_version(header)
    paths = {}
    for argument in arguments:
        folder, _, path = argument.partition("=")
        paths[f"{folder}/{os.path.basename(path)}"] = path
    files = read_files(paths)
    name = f"flashcp-{version}"
    tree = installed_tree(files, version, os.path.abspath(paths["bin/flashcp"]))
    top = f"{name}-linux-x86_64"
    write(out, f"{top}.tar.gz", tar_gz({f"{top}/{p}": file for p, file in tree.items()}))
    glibc = needed_glibc(paths)
    write(out, f"flashcp_{version}_amd64.deb", make_deb(version, glibc, tree))
    tag = "py3-none-manylinux_{}_{}_x86_64".format(*glibc)
    description = template("description.md", version).data.decode()
    wheel = make_wheel(version, tag, python_package(files), below(files, "licenses"), description)
    write(out, f"{name}-{tag}.whl", wheel)


if __name__ == "__main__":
    main(*sys.argv[1:])
