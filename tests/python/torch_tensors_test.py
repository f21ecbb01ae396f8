"""PyTorch's tensors in flashcp.attention: read where they lie, results of their kind, gradients."""

from __future__ import annotations

import unittest
from typing import Tuple

import numpy

import flashcp
import reference
from flashcp import _dlpack

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

HEADS, DIM = (4, 2), 16
DOCUMENTS = [(50, "causal"), (14, "full")]


@unittest.skipIf(torch is None, "PyTorch is not installed")
class TorchTensorsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.group = flashcp.Group.threads(1)
        self.dtypes = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}

    def inputs(self, dtype: str) -> "Tuple[flashcp.Plan, reference.Results, list[torch.Tensor]]":
        """Returns a plan, what it has to compute, and its inputs."""
        plan = flashcp.compile(DOCUMENTS, 1, HEADS, DIM, dtype, "cpu")
        inputs = reference.random_inputs(64, HEADS, DIM, dtype)
        rows = [
            torch.from_numpy(flashcp.scatter(x, plan, 0)).to(self.dtypes[dtype]) for x in inputs
        ]
        return plan, reference.attention(inputs, DOCUMENTS), rows

    def check(
        self, name: str, found: "torch.Tensor", expected: numpy.ndarray, limit: float
    ) -> None:
        self.assertIsInstance(found, torch.Tensor)
        self.assertLess(reference.error(found.double().numpy(), expected), limit, name)

    def test_passes(self) -> None:
        for dtype in self.dtypes:
            with self.subTest(dtype=dtype):
                plan, expected, (q, k, v, do) = self.inputs(dtype)
                o, residuals = flashcp.attention(q, k, v, plan, self.group, for_backward=True)
                gradients = flashcp.attention_backward(do, residuals, plan, self.group)
                rows = plan.token_indices(0)
                limit = reference.TOLERANCE[dtype]
                for name, tensor in zip(("o", "dq", "dk", "dv"), (o, *gradients)):
                    self.assertEqual(tensor.dtype, self.dtypes[dtype])
                    self.check(name, tensor, getattr(expected, name)[rows], limit)
                self.assertEqual(residuals.lse.dtype, torch.float32)
                self.check("lse", residuals.lse, expected.lse[rows], reference.TOLERANCE["f32"])
                out = torch.empty_like(q)
                self.assertIs(flashcp.attention(q, k, v, plan, self.group, out=out), out)
                self.assertTrue(torch.equal(out, o))

    def test_differentiable(self) -> None:
        for dtype in self.dtypes:
            with self.subTest(dtype=dtype):
                plan, expected, (q, k, v, do) = self.inputs(dtype)
                leaves = [x.requires_grad_() for x in (q, k, v)]
                o, lse = flashcp.attention(*leaves, plan, self.group, return_lse=True)
                o.backward(do)
                rows = plan.token_indices(0)
                limit = reference.TOLERANCE[dtype]
                for name, tensor in zip(("o", "dq", "dk", "dv"), (o, *[x.grad for x in leaves])):
                    self.check(name, tensor.detach(), getattr(expected, name)[rows], limit)
                self.check("lse", lse, expected.lse[rows], reference.TOLERANCE["f32"])

    def test_refused(self) -> None:
        plan, _, (q, k, v, _) = self.inputs("f32")
        fused = torch.zeros(64, 8, DIM)
        for text, tensors in {
            r"q: expected shape \(64, 4, 16\), found \(63, 4, 16\)": (q[1:], k, v),
            "k: expected float32, .* found float64": (q, k.double(), v),
            r"v: expected dense rows .*strides of \(128, 16, 1\) elements: pass contiguous": (
                q,
                k,
                fused[:, 6:],
            ),
            "k: expected a tensor on the CPU, found one on meta": (q, k.to("meta"), v),
        }.items():
            with self.subTest(text), self.assertRaisesRegex(flashcp.InvalidArgumentError, text):
                flashcp.attention(*tensors, plan, self.group, for_backward=True)

    def test_capsules_of_torch(self) -> None:
        for dtype, name in (("f32", "float32"), ("bf16", "bfloat16"), ("f16", "float16")):
            tensor = torch.zeros(6, 4, DIM).to(self.dtypes[dtype])[1:, ::2]
            read = _dlpack.read(tensor)
            self.assertEqual((read.dtype, read.device, read.on_host), (name, "cpu", True))
            self.assertEqual((read.address, read.shape), (tensor.data_ptr(), (5, 2, DIM)))
            self.assertEqual(read.strides, tensor.stride())

    def test_scatter_is_differentiable(self) -> None:
        plan, _, _ = self.inputs("f32")
        x = torch.arange(64.0, requires_grad=True)
        rows = flashcp.scatter(x, plan, 0)
        rows.sum().backward()
        self.assertEqual(rows.tolist(), plan.token_indices(0).tolist())
        self.assertEqual(x.grad.tolist(), [1.0] * 64)


if __name__ == "__main__":
    unittest.main()
