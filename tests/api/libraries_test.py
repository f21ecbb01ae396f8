#!/usr/bin/env python3
"""What the libraries show, need and load: libraries_test.py HEADER RUNTIME COMPILER MPI."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HEADER, RUNTIME, COMPILER, MPI = sys.argv[1:5]

# Functions of one library of another, in no header that is installed.
INTERNAL = {"flashcp_internal_fail", "flashcp_internal_join_mpi"}


def declared() -> "set[str]":
    """Functions of the header."""
    with open(HEADER) as file:
        return set(re.findall(r"FLASHCP_API [^;]*?\b(flashcp_\w+)\(", file.read()))


def compiled() -> "set[str]":
    """Those of them that compile."""
    return {name for name in declared() if "compile" in name or "planner" in name}


def shown(library: str) -> "set[str]":
    """Symbols that a library defines for others."""
    command = ["nm", "-D", "--defined-only", library]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {line.split()[-1] for line in output.splitlines()}


def needed(library: str) -> str:
    """Libraries that loading one loads, one after the other."""
    return subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout


class LibrariesTest(unittest.TestCase):
    def test_functions_of_the_header_are_there(self) -> None:
        self.assertGreater(len(declared()), 30)
        self.assertEqual(shown(RUNTIME), declared() - compiled() | {"flashcp_internal_fail"})
        self.assertEqual(shown(MPI), {"flashcp_internal_join_mpi"})
        self.assertLessEqual(compiled(), shown(COMPILER))

    def test_the_runtime_loads_no_llvm_and_no_mpi(self) -> None:
        for word in ("LLVM", "MLIR", "mpi"):
            self.assertNotIn(word, needed(RUNTIME))
        self.assertIn("libmpi", needed(MPI))

    def test_local_symbols_suffice(self) -> None:
        """Loads with RTLD_LOCAL, as Python and plug-ins do, in a process of its own."""
        script = f"""
import ctypes
runtime, compiler = ctypes.CDLL({RUNTIME!r}), ctypes.CDLL({COMPILER!r})
plan = ctypes.c_void_p()
assert compiler.flashcp_compile(None, ctypes.byref(plan)) == 3
runtime.flashcp_last_error.restype = ctypes.c_char_p
assert runtime.flashcp_last_error() == b"flashcp_compile: request is null"
"""
        subprocess.run([sys.executable, "-c", script], check=True)

    def test_without_its_mpi_library_a_group_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = os.path.realpath(temporary)
            path = shutil.copy(RUNTIME, folder)
            runtime = ctypes.CDLL(path)
            runtime.flashcp_last_error.restype = ctypes.c_char_p
            group = ctypes.c_void_p()
            status = runtime.flashcp_group_mpi(None, None, ctypes.byref(group))
            self.assertEqual(status, 12)
            text = runtime.flashcp_last_error().decode()
            self.assertIn("MPI cannot be loaded", text)
            self.assertIn(os.path.join(folder, "libflashcp_mpi.so"), text)
            self.assertIn("libopenmpi3", text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
