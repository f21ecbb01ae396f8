"""A wheel of files that the build has made, without setuptools: a zip file that lists its files."""

import base64
import hashlib

from archives import File, Files, zip_file

_METADATA = """\
Metadata-Version: 2.1
Name: flashcp
Version: {version}
Summary: Plans and runs exact context-parallel attention over packed batches
License: Apache-2.0
{licences}\
Classifier: Intended Audience :: Developers
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: 3
Classifier: Topic :: Scientific/Engineering :: Artificial Intelligence
Classifier: Typing :: Typed
Requires-Python: >=3.9
Requires-Dist: numpy
Provides-Extra: torch
Requires-Dist: torch>=1.13; extra == "torch"
Description-Content-Type: text/markdown

"""


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def make_wheel(version: str, tag: str, package: Files, licences: Files, description: str) -> bytes:
    """Returns the wheel of `package`, paths as in site-packages, with the program as a command."""
    info = f"flashcp-{version}.dist-info"
    names = "".join(f"License-File: {name}\n" for name in sorted(licences))
    metadata = _METADATA.format(version=version, licences=names) + description
    wheel = f"Wheel-Version: 1.0\nGenerator: flashcp\nRoot-Is-Purelib: false\nTag: {tag}\n"
    about = {
        f"{info}/METADATA": File(metadata.encode()),
        f"{info}/WHEEL": File(wheel.encode()),
        f"{info}/entry_points.txt": File(b"[console_scripts]\nflashcp = flashcp._cli:main\n"),
        f"{info}/top_level.txt": File(b"flashcp\n"),
        **{f"{info}/licenses/{name}": file for name, file in licences.items()},
    }
    # The description of the wheel comes last: installers find it without reading all of it.
    files = dict(sorted(package.items())) | dict(sorted(about.items()))
    record = "".join(f"{p},sha256={_digest(f.data)},{len(f.data)}\n" for p, f in files.items())
    files[f"{info}/RECORD"] = File((record + f"{info}/RECORD,,\n").encode())
    return zip_file(files)
