"""Examples and the code in the documentation run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
import unittest


class ExampleTest(unittest.TestCase):
    def test_dataloader(self) -> None:
        def lines(*options: str) -> str:
            command = [sys.executable, "examples/dataloader/look_ahead.py", "--batches", "4"]
            text = subprocess.run([*command, *options], stdout=subprocess.PIPE, check=True).stdout
            return re.sub("waited .* ms", "", text.decode())

        ahead = lines("--lookahead", "2")
        self.assertEqual(len(ahead.splitlines()), 4)
        self.assertEqual(len(set(re.findall("plan ([0-9a-f]{16})", ahead))), 4)
        # The same plans, in the same order, when worker processes make them.
        self.assertEqual(lines("--workers", "2"), ahead)

    def test_documentation(self) -> None:
        for document, least in (("README.md", 1), ("docs/python.md", 3)):
            with open(document, encoding="utf-8") as file:
                programs = re.findall("```python\n(.*?)```", file.read(), re.S)
            self.assertGreaterEqual(len(programs), least)
            for number, program in enumerate(programs):
                with self.subTest(document, number=number):
                    subprocess.run([sys.executable, "-c", program], check=True)


if __name__ == "__main__":
    unittest.main()
