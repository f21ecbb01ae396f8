"""The package as a whole: what its import loads, its names, its version, and its command."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stderr

import flashcp
from flashcp import _cli, _library


def python(code: str, **environment: str) -> str:
    """Returns what a new process prints; modules that it has loaded are in `sys.modules`."""
    return subprocess.run(
        [sys.executable, "-c", "import sys, os\n" + code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()


class ImportTest(unittest.TestCase):
    def test_import_loads_little(self) -> None:
        code = "import flashcp\nprint(*sys.modules)"
        modules = set(python(code).split())
        self.assertIn("flashcp", modules)
        for heavy in ("numpy", "torch", "ctypes", "json", "multiprocessing", "flashcp._library"):
            self.assertNotIn(heavy, modules)

    def test_libraries_are_opened_when_used(self) -> None:
        code = (
            "import flashcp\n"
            "def opened(): return {n for n in ('libflashcp.so', 'libflashcp_compiler.so')\n"
            "                      if n in open('/proc/self/maps').read()}\n"
            "flashcp.Plan, flashcp.attention, flashcp.compile, flashcp.Planner\n"
            "assert not opened(), opened()\n"
            "flashcp.Group.threads(1)\n"
            "assert opened() == {'libflashcp.so'}, opened()\n"
            "assert 'LLVM' not in open('/proc/self/maps').read()\n"
            "flashcp.compile([8], ranks=1)\n"
            "assert len(opened()) == 2, opened()\n"
            "assert 'torch' not in sys.modules\n"
        )
        self.assertEqual(python(code), "")

    def test_missing_library(self) -> None:
        code = (
            "import flashcp\n"
            "try: flashcp.Group.threads(1)\n"
            "except ImportError as error: print(error)\n"
        )
        self.assertRegex(
            python(code, FLASHCP_LIBRARY_DIR="/nowhere"),
            "libflashcp.so: .*/nowhere.*install the flashcp wheel",
        )

    def test_names(self) -> None:
        for name in flashcp.__all__:
            self.assertIsNotNone(getattr(flashcp, name))
            self.assertIn(name, dir(flashcp))
        with self.assertRaisesRegex(AttributeError, "no attribute 'attend'"):
            flashcp.attend

    def test_docstrings(self) -> None:
        """Each public name, and each public member of a class, is documented."""
        for name in flashcp.__all__:
            value = getattr(flashcp, name)
            if not callable(value):
                continue
            self.assertTrue(value.__doc__, name)
            for member, content in vars(value).items() if isinstance(value, type) else ():
                if not member.startswith("_") and (callable(content) or hasattr(content, "fget")):
                    self.assertTrue(content.__doc__, f"{name}.{member}")


class BindingTest(unittest.TestCase):
    """The binding against api/flashcp.h."""

    def setUp(self) -> None:
        with open("api/flashcp.h", encoding="utf-8") as file:
            self.header = re.sub("//[^\n]*", "", file.read())

    def test_functions(self) -> None:
        declared = {
            name: [] if arguments.strip() in ("void", "") else arguments.split(",")
            for name, arguments in re.findall(
                r"FLASHCP_API [^;(]*?(flashcp_\w+)\(([^)]*)\);", self.header
            )
        }
        bound = {**_library._RUNTIME_FUNCTIONS, **_library._COMPILER_FUNCTIONS}
        self.assertEqual(set(bound), set(declared))
        for name, (_, arguments) in bound.items():
            self.assertEqual(len(arguments), len(declared[name]), name)

    def test_structs(self) -> None:
        for struct in (
            _library.PlanInfo,
            _library.RankInfo,
            _library.Document,
            _library.Option,
            _library.Request,
            _library.GroupOptions,
            _library.Tensor,
            _library.Tensors,
        ):
            name = re.sub("(?<!^)([A-Z])", r"_\1", struct.__name__).lower()
            body = re.search(
                rf"typedef struct flashcp_{name} \{{(.*?)\}}", self.header, re.S
            ).group(
                1
            )  # type: ignore[union-attr]
            fields = re.findall(r"(\w+);", body)
            self.assertEqual([field for field, *_ in struct._fields_], fields, name)

    def test_status_codes(self) -> None:
        codes = dict(re.findall(r"FLASHCP_(\w+) = (\d+)", self.header.split("flashcp_status;")[0]))
        from flashcp._errors import _BY_STATUS

        for name, number in codes.items():
            if name not in ("OK", "UNKNOWN"):
                self.assertEqual(_BY_STATUS[int(number)].status, name)
        self.assertEqual(len(_BY_STATUS), len(codes) - 2)


class CommandTest(unittest.TestCase):
    def test_runs_the_program(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "bin"))
            os.makedirs(os.path.join(folder, "lib"))
            program = os.path.join(folder, "bin", "flashcp")
            with open(program, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\necho "$@"\nexit 3\n')
            os.chmod(program, 0o755)
            found = subprocess.run(
                [sys.executable, "-m", "flashcp", "inspect", "a b"],
                env={**os.environ, "FLASHCP_LIBRARY_DIR": os.path.join(folder, "lib")},
                stdout=subprocess.PIPE,
            )
            self.assertEqual((found.stdout, found.returncode), (b"inspect a b\n", 3))

    def test_missing_program(self) -> None:
        found = io.StringIO()
        before = os.environ["FLASHCP_LIBRARY_DIR"]
        os.environ["FLASHCP_LIBRARY_DIR"] = "/nowhere/lib"
        try:
            with redirect_stderr(found):
                self.assertEqual(_cli.main(["--version"]), 1)
        finally:
            os.environ["FLASHCP_LIBRARY_DIR"] = before
        self.assertRegex(found.getvalue(), "^flashcp: the program flashcp: .*/nowhere")


if __name__ == "__main__":
    unittest.main()
