"""Two processes of mpirun: attention, gradients and companions over MPI, without mpi4py."""

from __future__ import annotations

import sys
import unittest

import numpy

import flashcp
import reference

HEADS, DIM = (4, 2), 16


class MpiTest(unittest.TestCase):
    group: flashcp.Group

    @classmethod
    def setUpClass(cls) -> None:
        cls.group = flashcp.Group.mpi(timeout=60)

    def test_group(self) -> None:
        self.assertEqual(self.group.size, 2)
        self.assertIn(self.group.rank, (0, 1))
        self.assertNotIn("mpi4py", sys.modules)
        self.assertEqual(self.group.run(lambda rank: rank + 10), [self.group.rank + 10])
        with self.assertRaisesRegex(ValueError, f"this process is rank {self.group.rank}"):
            plan = flashcp.compile([64], 2, HEADS, DIM, "f32", "cpu")
            flashcp.gather(numpy.zeros(32), plan, self.group, 1 - self.group.rank)

    def test_communicators(self) -> None:
        """A Fortran handle, and an object of mpi4py, which gives one."""

        class Communicator:
            def py2f(self) -> int:
                return 0  # OpenMPI's MPI_COMM_WORLD

        plan = flashcp.compile([9, 4], 2, HEADS, DIM, "f32", "cpu")
        for communicator in (0, Communicator()):
            group = flashcp.Group.mpi(communicator, timeout=60)
            self.assertEqual((group.size, group.rank), (2, self.group.rank))
            rows = plan.token_indices(group.rank)
            self.assertEqual(flashcp.gather(rows, plan, group).tolist(), list(range(13)))

    def test_attention(self) -> None:
        documents = [(150, "causal"), (20, "full"), (90, "window:31")]
        for dtype in ("f32", "bf16"):
            plan = flashcp.compile(
                documents, 2, HEADS, DIM, dtype, "cpu", "zigzag", memory_budget=64
            )
            inputs = reference.random_inputs(plan.tokens, HEADS, DIM, dtype)
            expected = reference.attention(inputs, documents)
            q, k, v, do = [
                flashcp.scatter(reference.encode(x, dtype), plan, self.group.rank) for x in inputs
            ]
            o, residuals = flashcp.attention(q, k, v, plan, self.group, for_backward=True)
            gradients = flashcp.attention_backward(do, residuals, plan, self.group)
            for name, local in zip(("o", "dq", "dk", "dv"), (o, *gradients)):
                whole = flashcp.gather(local, plan, self.group)
                error = reference.error(whole, getattr(expected, name))
                self.assertLess(error, reference.TOLERANCE[dtype], f"{name} of {plan}")

    def test_sequence_order(self) -> None:
        plan = flashcp.compile([60, 0, 13, 90], 2, HEADS, DIM, "f32", "cpu", "per-doc")
        x = numpy.arange(plan.tokens * 3).reshape(plan.tokens, 3)
        local = flashcp.scatter(x, plan, self.group.rank)
        sequence = flashcp.to_sequence_order(local, plan, self.group)
        run = flashcp.sequence_range(plan, self.group.rank)
        numpy.testing.assert_array_equal(sequence, x[run.start : run.stop])
        numpy.testing.assert_array_equal(
            flashcp.from_sequence_order(sequence, plan, self.group), local
        )


if __name__ == "__main__":
    unittest.main()
