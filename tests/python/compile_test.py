"""compile(): documents of all kinds, every option of the command line, errors that name them."""

from __future__ import annotations

import inspect
import re
import subprocess
import tempfile
import threading
import unittest
from typing import Any, List

import numpy

import flashcp
from flashcp import _compile, tables

SMALL = dict(ranks=2, heads=(2, 1), head_dim=8, cluster="cpu")


class CompileTest(unittest.TestCase):
    def test_documents(self) -> None:
        expected = flashcp.compile([40, 24, 0], **SMALL)
        for lengths in (
            (40, 24, 0),
            [numpy.int32(40), numpy.uint8(24), (0, None)],
            numpy.array([40, 24, 0], numpy.uint16),
            [(40, "causal"), (24, "causal"), (numpy.int64(0), "causal")],
        ):
            self.assertEqual(flashcp.compile(lengths, **SMALL), expected)  # type: ignore[arg-type]
        masks = flashcp.compile([(40, "window:8"), (24, "full"), 10], mask="causal", **SMALL)
        bands = masks.documents["band"]
        self.assertEqual(bands["lower"].tolist(), [-7, tables.NO_LOWER, tables.NO_LOWER])
        self.assertEqual(bands["upper"].tolist(), [0, tables.NO_UPPER, 0])

    def test_refused(self) -> None:
        cases: List[Any] = [
            ([3, -1], {}, "-1"),
            ([3, 2.5], {}, "document 1: .* found 2.5"),
            ([3, "4"], {}, "document 1: .* found '4'"),
            ([2**64], {}, "document 0"),
            (numpy.zeros((2, 2), int), {}, r"one dimension, .* \(2, 2\)"),
            ([(3, "oblique")], {}, "document 0: .*oblique"),
            ([(3, 4)], {}, "mask: .*found 4"),
            ([3], {"heads": (3, 2)}, "heads: .*multiple"),
            ([3], {"head_dim": 9}, "head-dim: .*9"),
            ([3], {"strategy": "best"}, "strategy: .*best"),
            ([3], {"dtype": "int8"}, "dtype: .*int8"),
            ([3], {"ranks": 0}, "ranks: .*0"),
            ([3], {"mask": "window:0"}, "mask: .*window:W.*found .0"),
            ([3], {"scale": float("nan")}, "scale: .*nan"),
        ]
        for lengths, options, text in cases:
            with self.subTest(text), self.assertRaisesRegex(flashcp.InvalidArgumentError, text):
                flashcp.compile(lengths, **{**SMALL, **options})
        with self.assertRaisesRegex(flashcp.InvalidArgumentError, "layout.*document"):
            flashcp.compile([9, 3], layout=flashcp.compile([9, 4], **SMALL), **SMALL)
        for document in ((1, 2, 3), (3,), (None, "full"), [], 1.0):
            with self.assertRaisesRegex(flashcp.InvalidArgumentError, "document 1: "):
                flashcp.compile([3, document], **SMALL)
        with self.assertRaisesRegex(LookupError, "cluster: /nowhere.json: cannot be opened"):
            flashcp.compile([3], 2, cluster="/nowhere.json")
        with self.assertRaises(TypeError):
            flashcp.compile([3], rank=2)  # type: ignore[call-arg]

    def test_every_option_of_the_command_line(self) -> None:
        text = subprocess.run(
            ["tools/flashcp", "compile", "--help"], stdout=subprocess.PIPE, check=True
        ).stdout.decode()
        options = set(re.findall(r"^ +--([a-z-]+)", text, re.M))
        # Those of a file or of a process.
        options -= {"output", "batch", "emit", "timing", "quiet", "help", "version", "layout-of"}
        self.assertIn("workspace-limit", options)
        keywords = set(inspect.signature(flashcp.compile).parameters) - {"doc_lengths", "layout"}
        self.assertEqual({name.replace("_", "-") for name in keywords}, options)

    def test_planner_takes_the_same_options(self) -> None:
        def defaults(function: Any) -> Any:
            parameters = inspect.signature(function).parameters
            return {name: parameter.default for name, parameter in parameters.items()}

        expected = defaults(flashcp.compile)
        del expected["doc_lengths"], expected["layout"]
        self.assertEqual(defaults(_compile.option_texts), expected)

    def test_defaults_are_those_of_the_command_line(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".plan") as file:
            command = ["tools/flashcp", "compile", "-", "--ranks", "8", "-o", file.name, "--quiet"]
            subprocess.run(command, input=b"5000 300", check=True)
            self.assertEqual(flashcp.Plan.load(file.name), flashcp.compile([5000, 300]))

    def test_options_reach_the_plan(self) -> None:
        lengths = [900, 400, 77]
        base = flashcp.compile(lengths, **SMALL)
        for change in (
            {"exchange": "all-gather"},
            {"slack": 5.5},
            {"time_budget": 0.25},
            {"strategy": "per-doc"},
            {"memory_budget": 0.5},
            {"workspace_limit": 7},
            {"scale": 0.1},
            {"ranks": 3},
            {"heads": 2},
            {"heads": "4:1"},
            {"head_dim": 16},
            {"dtype": "float32"},
            {"mask": "full"},
            {"cluster": "h100x8"},
        ):
            with self.subTest(**change):  # type: ignore[arg-type]
                plan = flashcp.compile(lengths, **{**SMALL, **change})
                self.assertNotEqual(plan.to_bytes(), base.to_bytes())
        whole = flashcp.compile([8], heads=(2, 1), head_dim=8, ranks=None, cluster="h100x64")
        self.assertEqual(whole.ranks, 64)

    def test_threads_side_by_side(self) -> None:
        lengths = [2000, 300, 4096, 5]
        expected = flashcp.compile(lengths, ranks=4)
        found: List[flashcp.Plan] = []

        def compile_some() -> None:
            for _ in range(3):
                found.append(flashcp.compile(lengths, ranks=4))

        threads = [threading.Thread(target=compile_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(found), 12)
        self.assertTrue(all(plan == expected for plan in found))
        # The text of an error is that of the thread.
        texts: List[str] = []

        def fail(name: str) -> None:
            for _ in range(50):
                try:
                    flashcp.compile([3], strategy=name)
                except flashcp.InvalidArgumentError as error:
                    texts.append(name if name in str(error) else str(error))

        threads = [threading.Thread(target=fail, args=(f"name{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(set(texts)), ["name0", "name1", "name2", "name3"])


if __name__ == "__main__":
    unittest.main()
