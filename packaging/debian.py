"""A Debian package: an archive of two archives, one says what it is and one holds its files."""

from typing import Tuple

from archives import SECONDS, File, Files, tar_gz

_CONTROL = """\
Package: flashcp
Version: {version}
Architecture: amd64
Maintainer: The FlashCP authors
Installed-Size: {kibibytes}
Depends: libc6 (>= {glibc}), libgcc-s1
Suggests: openmpi-bin
Section: science
Priority: optional
Description: Context-parallel attention: planner, runtime and command line
 Plans exact context-parallel attention for packed training batches, and runs
 the plans: the command flashcp, the C and C++ API, and manual pages.
"""


def _member(name: str, data: bytes) -> bytes:
    """Returns one entry of an ar archive."""
    header = f"{name:<16}{SECONDS:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return header.encode() + data + b"\n" * (len(data) % 2)


def make_deb(version: str, glibc: Tuple[int, int], tree: Files) -> bytes:
    """Returns the package of an installation prefix, which becomes /usr."""
    kibibytes = sum(len(file.data) for file in tree.values()) // 1024
    control = _CONTROL.format(
        version=version, kibibytes=kibibytes, glibc="{}.{}".format(*glibc)
    ).encode()
    licences = [file.data for p, file in sorted(tree.items()) if p.startswith("share/licenses/")]
    copyright_file = {"./usr/share/doc/flashcp/copyright": File(b"\n\n".join(licences))}
    files = {f"./usr/{p}": file for p, file in tree.items()} | copyright_file
    return b"!<arch>\n" + b"".join(
        (
            _member("debian-binary", b"2.0\n"),
            _member("control.tar.gz", tar_gz({"./control": File(control)})),
            _member("data.tar.gz", tar_gz(files)),
        )
    )
