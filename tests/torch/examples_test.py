"""The examples: losses do not depend on how ranks run, nor on whose attention runs."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import torch

STEPS = 50
MODES = {
    "4 threads": ["--threads", "4"],
    "2 processes": ["--processes", "2"],
}
if hasattr(torch.library, "register_autograd"):  # what has FSDP2 and DeviceMesh
    MODES["FSDP2, dp 2 x cp 2"] = ["--processes", "4", "--dp", "2", "--wrap", "fsdp"]
    MODES["DDP, dp 2 x cp 2"] = ["--processes", "4", "--dp", "2", "--wrap", "ddp"]


def run(name, *arguments):
    program = os.path.join("examples", name)
    result = subprocess.run(
        [sys.executable, program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = result.stdout.decode()
    assert result.returncode == 0, f"{name} {arguments}:\n{text}"
    return text


class TrainGpt(unittest.TestCase):
    def _losses(self, *arguments):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            run("train_gpt/train_gpt.py", "--steps", str(STEPS), "--output", file.name, *arguments)
            return json.load(file)

    def test_losses_agree(self):
        alone = self._losses()
        self.assertEqual(len(alone), STEPS)
        self.assertLess(alone[-1], 0.6 * alone[0])
        for port, (name, arguments) in enumerate(MODES.items(), 29531):
            with self.subTest(name):
                losses = self._losses(*arguments, "--port", str(port))
                worst = max(abs(a - b) for a, b in zip(losses, alone))
                self.assertEqual(len(losses), STEPS)
                self.assertLess(worst, 1e-4)


class HuggingFace(unittest.TestCase):
    def test_losses_are_those_of_one_process(self):
        text = run("huggingface/train_qwen2.py", "--check")
        print(text)
        if "SKIPPED" not in text:
            self.assertIn("largest difference to one process", text)


if __name__ == "__main__":
    unittest.main()
