"""The `flashcp` command: replaces this process by the packaged program."""

from __future__ import annotations

import os
import sys
from typing import List, Optional

from flashcp import _library


def program() -> str:
    """Returns the path of the program: bin/flashcp beside the libraries, or of the package."""
    candidates = [
        os.path.join(os.path.dirname(__file__), "bin", "flashcp"),
        os.path.join(_library.folder(), os.pardir, "bin", "flashcp"),
        os.path.join(_library.folder(), "flashcp"),
    ]
    for path in candidates:
        if os.access(path, os.X_OK):
            return os.path.normpath(path)
    raise FileNotFoundError(
        "the program flashcp: it belongs into the folder bin of the package, or beside "
        f"$FLASHCP_LIBRARY_DIR; not found as {', '.join(candidates)}"
    )


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs `flashcp ARGUMENTS`, by default those of this process. Returns only with an error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        path = program()
    except FileNotFoundError as error:
        print(f"flashcp: {error}", file=sys.stderr)
        return 1
    # Standard streams stay; signals and the exit code are the program's.
    os.execv(path, [path, *arguments])
