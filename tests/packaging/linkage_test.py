#!/usr/bin/python3
"""Packaged files load on Ubuntu 22.04 and RHEL 9: they need glibc 2.34 or older and libgcc_s. The
libraries export the C API, all of it and nothing else.

linkage_test.py FLASHCP_H FILE...
"""

import re
import subprocess
import sys
from typing import Iterable, List, Set

ALLOWED = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"}
LATE = ("MPI_", "ompi_", "flashcp_")
# Symbols of the C++ runtime that are not called if they are absent.
OPTIONAL = ("_ITM_", "__gmon_start__", "__cxa_pure_virtual", "_ZTH")
NEWEST = {"GLIBC": (2, 34), "GCC": (4, 8)}  # of RHEL 9's libc.so.6; of every manylinux's libgcc_s


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(path: str) -> List[List[str]]:
    """Returns kind and name of each dynamic symbol, as nm prints them."""
    lines = output("nm", "-D", "--with-symbol-versions", path).splitlines()
    return [line.split()[-2:] for line in lines]


def exports(path: str) -> Set[str]:
    """Returns what the file defines for others. Small letters are local; names with a version are
    variables of libc, copied into a program."""
    return {name for kind, name in symbols(path) if kind in "BDRTVWu" and "@" not in name}


def check_needs(path: str) -> List[str]:
    """Returns what the file needs and should not."""
    errors = []
    dynamic = output("readelf", "-dW", path)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert "libc.so.6" in needed, f"readelf does not say what {path} needs: {dynamic}"
    foreign = {n for n in needed - ALLOWED if not re.fullmatch(r"libflashcp\w*\.so", n)}
    if foreign:
        errors.append(f"needs {sorted(foreign)}, expected at most {sorted(ALLOWED)}")
    runpath = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic)
    if runpath not in ([], ["$ORIGIN"]):
        errors.append(f"looks for libraries in {runpath}, expected its own folder at most")
    for _, name in symbols(path):
        if match := re.search(r"@([A-Z]+)_([\d.]+)$", name):
            newest = NEWEST.get(match[1], ())
            if tuple(int(part) for part in match[2].split(".")) > newest:
                errors.append(f"needs {name}, expected {match[1]} {newest} or older")
    # Undefined symbols come from another of the files, or from an MPI that is loaded first.
    for kind, name in symbols(path):
        if kind == "U" and "@" not in name and not name.startswith(LATE):
            errors.append(f"needs {name}, which no library that it names defines")
        if kind == "w" and "@" not in name and not name.startswith(LATE + OPTIONAL):
            errors.append(f"may lack {name}, expected MPI's symbols alone")
    return [f"{path}: {error}" for error in errors]


def check_exports(paths: Iterable[str], header: str) -> List[str]:
    """Compares what the files export together with what the header declares."""
    with open(header, encoding="utf-8") as file:
        declared = set(re.findall(r"^FLASHCP_API .*?(flashcp_\w+)\(", file.read(), re.M))
    assert "flashcp_compile" in declared, f"{header} declares {declared}"
    # Called by one library of another.
    declared |= {"flashcp_internal_fail", "flashcp_internal_join_mpi"}
    found = {path: exports(path) for path in paths}
    errors = [
        f"{path} exports {sorted(names - declared)[:5]}, expected what {header} declares"
        for path, names in found.items()
        if names - declared
    ]
    if missing := declared.difference(*found.values()):
        errors.append(f"no file exports {sorted(missing)}, which {header} declares")
    return errors


def check(paths: Iterable[str], header: str) -> List[str]:
    """Returns what is wrong with the packaged files."""
    return [e for path in paths for e in check_needs(path)] + check_exports(paths, header)


def main() -> int:
    header, *files = sys.argv[1:]
    assert files, "expected files to check"
    errors = check(files, header)
    print("\n".join(errors or [f"{len(files)} files ok"]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
