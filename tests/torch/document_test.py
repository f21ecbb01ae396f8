"""The trainer of docs/embedding.md runs as it stands, and its loss falls."""

import re
import unittest

import flashcp.torch as fcp


class Document(unittest.TestCase):
    def test_the_first_block_runs(self):
        with open("docs/embedding.md") as file:
            text = file.read()
        blocks = re.findall(r"```python\n(.*?)```", text, re.S)
        names = {}
        exec(compile(blocks[0], "docs/embedding.md", "exec"), names)
        self.assertTrue(0 < float(names["loss"].detach()) < 5)

    def test_names_exist(self):
        with open("docs/embedding.md") as file:
            text = file.read()
        for name in set(re.findall(r"fcp\.(\w+)", text)):
            self.assertTrue(hasattr(fcp, name), name)
        for name in set(re.findall(r"\bm\.(\w+)", text)) - {"tokens"}:
            self.assertTrue(hasattr(fcp.Batch, name) or name in ("handle",), name)


if __name__ == "__main__":
    unittest.main()
