"""Archives of files in memory, equal bytes from equal files: sorted, of root, at one date."""

import gzip
import io
import tarfile
import zipfile
from typing import Dict, NamedTuple

# The first that a zip file can hold.
DATE = (1980, 1, 1, 0, 0, 0)
SECONDS = 315532800


class File(NamedTuple):
    """A file to be packed."""

    data: bytes
    executable: bool = False


Files = Dict[str, File]  # by path in the archive


def tar_gz(files: Files) -> bytes:
    """Returns a .tar.gz; folders are entries of their own, as dpkg wants them."""
    folders = {path[:end] for path in files for end, sign in enumerate(path) if sign == "/"}
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(folders | set(files)):
            entry = tarfile.TarInfo(path)
            entry.mtime = SECONDS
            entry.uname = entry.gname = "root"
            if path in folders:
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o755
                archive.addfile(entry)
            else:
                entry.size = len(files[path].data)
                entry.mode = 0o755 if files[path].executable else 0o644
                archive.addfile(entry, io.BytesIO(files[path].data))
    return gzip.compress(tar.getvalue(), mtime=0)


def zip_file(files: Files) -> bytes:
    """Returns a .zip, its entries in the order of `files`: a wheel has its own rule."""
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for path, file in files.items():
            entry = zipfile.ZipInfo(path, DATE)
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.data, compresslevel=9)
    return result.getvalue()
