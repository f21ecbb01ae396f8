"""attention and attention_backward against float64, over strategies, masks, dtypes and ranks."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
import tracemalloc
import unittest
from typing import Any, Dict, List, Sequence, Tuple

import numpy

import flashcp
import reference
from foreign import Foreign

HEADS, DIM = (4, 2), 16
Documents = Sequence[Tuple[int, str]]


def compiled(documents: Documents, ranks: int, dtype: str = "f32", **options: Any) -> flashcp.Plan:
    """Returns a plan of small heads for the CPU."""
    return flashcp.compile(
        documents, ranks=ranks, heads=HEADS, head_dim=DIM, dtype=dtype, cluster="cpu", **options
    )


def run(plan: flashcp.Plan, group: flashcp.Group, inputs: reference.Inputs) -> reference.Results:
    """Returns results in global order of all ranks' forward and backward passes."""

    def rank_results(rank: int) -> List[numpy.ndarray]:
        q, k, v, do = [flashcp.scatter(reference.encode(x, plan.dtype), plan, rank) for x in inputs]
        o, residuals = flashcp.attention(q, k, v, plan, group, rank, for_backward=True)
        saved = residuals.saved
        assert saved is None or saved.ctypes.data % 64 == 0, "saved memory is aligned"
        gradients = flashcp.attention_backward(do, residuals, plan, group, rank)
        return [o, residuals.lse, *gradients]

    ranks = group.run(rank_results)
    return reference.Results(*[flashcp.gather(rows, plan) for rows in zip(*ranks)])


class ExactnessTest(unittest.TestCase):
    def check(self, documents: Documents, plan: flashcp.Plan, group: flashcp.Group) -> None:
        inputs = reference.random_inputs(plan.tokens, HEADS, DIM, plan.dtype)
        expected = reference.attention(inputs, documents, plan.scale)
        found = run(plan, group, inputs)
        for name, value in found._asdict().items():
            # LSE is never rounded to the dtype.
            limit = reference.TOLERANCE["f32" if name == "lse" else plan.dtype]
            error = reference.error(value, getattr(expected, name))
            self.assertLess(error, limit, f"{name} of {plan}")

    def test_strategies_and_masks(self) -> None:
        lengths = [97, 0, 30, 1, 64, 3]
        strategies = ["contiguous", "zigzag", "per-doc", "whole-doc", "flashcp-paper", "auto"]
        for ranks in (1, 2, 3, 4):
            group = flashcp.Group.threads(ranks)
            for strategy, mask in itertools.product(strategies, ["causal", "full", "window:13"]):
                documents = reference.documents_of(lengths, mask)
                with self.subTest(ranks=ranks, strategy=strategy, mask=mask):
                    self.check(documents, compiled(documents, ranks, strategy=strategy), group)

    def test_dtypes_exchanges_and_saved_rows(self) -> None:
        documents = [(150, "causal"), (20, "full"), (90, "window:31")]
        group = flashcp.Group.threads(4)
        saved = set()
        for dtype, exchange, budget in itertools.product(
            ["f32", "bf16", "f16"], ["needed", "all-gather"], [0, 64]
        ):
            with self.subTest(dtype=dtype, exchange=exchange, budget=budget):
                plan = compiled(
                    documents, 4, dtype, exchange=exchange, memory_budget=budget, strategy="zigzag"
                )
                saved.add(any(plan.rank_info(rank).saved_bytes for rank in range(4)))
                self.check(documents, plan, group)
        self.assertEqual(saved, {True, False}, "saved memory is tested")

    def test_ranks_without_tokens(self) -> None:
        for lengths, ranks in (([1], 3), ([2, 1], 4), ([0], 2), ([], 2)):
            with self.subTest(lengths=lengths, ranks=ranks):
                documents = reference.documents_of(lengths, "causal")
                self.check(documents, compiled(documents, ranks), flashcp.Group.threads(ranks))

    def test_several_head_groups_and_scale(self) -> None:
        documents = [(300, "causal"), (41, "causal")]
        plan = compiled(documents, 2, scale=0.3, strategy="zigzag", workspace_limit=0.08)
        self.assertAlmostEqual(plan.scale, 0.3, 6)
        self.check(documents, plan, flashcp.Group.threads(2))

    def test_layout_of_another_plan(self) -> None:
        documents = [(200, "causal"), (31, "causal"), (77, "causal")]
        full = compiled(documents, 2)
        local = compiled([length for length, _ in documents], 2, mask="window:9", layout=full)
        numpy.testing.assert_array_equal(full.token_indices(1), local.token_indices(1))
        self.check(
            [(length, "window:9") for length, _ in documents], local, flashcp.Group.threads(2)
        )


class TensorsTest(unittest.TestCase):
    """Tensors of other libraries, and those that are refused."""

    def setUp(self) -> None:
        self.documents = [(50, "causal"), (14, "full")]
        self.group = flashcp.Group.threads(1)

    def inputs(self, dtype: str) -> Tuple[List[numpy.ndarray], reference.Results]:
        inputs = reference.random_inputs(64, HEADS, DIM, dtype)
        plan = compiled(self.documents, 1, dtype)
        local = [flashcp.scatter(reference.encode(x, dtype), plan, 0) for x in inputs]
        return local, reference.attention(inputs, self.documents)

    def test_dlpack_of_all_dtypes(self) -> None:
        for dtype, versioned in itertools.product(("f32", "bf16", "f16"), (False, True)):
            with self.subTest(dtype=dtype, versioned=versioned):
                plan = compiled(self.documents, 1, dtype)
                local, expected = self.inputs(dtype)
                q, k, v, do = [Foreign(x, dtype, versioned=versioned) for x in local]
                o, residuals = flashcp.attention(q, k, v, plan, self.group, for_backward=True)
                dq, dk, dv = flashcp.attention_backward(do, residuals, plan, self.group)
                for found, name in zip((o, dq, dk, dv), ("o", "dq", "dk", "dv")):
                    rows = flashcp.gather([found], plan)
                    self.assertLess(
                        reference.error(rows, getattr(expected, name)), reference.TOLERANCE[dtype]
                    )
                for tensor in (q, k, v, do):
                    self.assertEqual(
                        tensor.exported, tensor.released, "a capsule outlives its call"
                    )

    def test_dlpack_output(self) -> None:
        plan = compiled(self.documents, 1)
        (q, k, v, _), expected = self.inputs("f32")
        memory = numpy.zeros_like(q)
        out = Foreign(memory, "f32", versioned=True)
        self.assertIs(flashcp.attention(q, k, v, plan, self.group, out=out), out)
        self.assertLess(
            reference.error(flashcp.gather([memory], plan), expected.o), reference.TOLERANCE["f32"]
        )
        with self.assertRaisesRegex(flashcp.InvalidArgumentError, "o: .*read-only"):
            read_only = Foreign(memory, "f32", versioned=True, read_only=True)
            flashcp.attention(q, k, v, plan, self.group, out=read_only)

    def test_ml_dtypes(self) -> None:
        try:
            import ml_dtypes
        except ImportError:
            self.skipTest("ml_dtypes is not installed")
        plan = compiled(self.documents, 1, "bf16")
        (q, k, v, _), expected = self.inputs("bf16")
        bf16 = [x.view(ml_dtypes.bfloat16) for x in (q, k, v)]
        o = flashcp.attention(*bf16, plan, self.group)
        self.assertEqual(o.dtype, ml_dtypes.bfloat16)
        rows = flashcp.gather([o.view(numpy.uint16)], plan)
        self.assertLess(reference.error(rows, expected.o), reference.TOLERANCE["bf16"])

    def test_no_copies(self) -> None:
        documents = [(4096, "window:16")]
        plan = flashcp.compile(documents, 1, (2, 1), 64, "f32", "cpu")
        q = numpy.zeros((4096, 2, 64), numpy.float32)
        k, v = numpy.zeros((2, 4096, 1, 64), numpy.float32)
        out = numpy.empty_like(q)
        gradients = numpy.empty_like(q), numpy.empty_like(k), numpy.empty_like(v)
        for kind in (lambda x: x, lambda x: Foreign(x, "f32")):
            tensors = [kind(x) for x in (q, k, v, q)]
            _, residuals = flashcp.attention(  # Makes the executor.
                *tensors[:3], plan, self.group, for_backward=True, out=out
            )
            tracemalloc.start()
            flashcp.attention(*tensors[:3], plan, self.group, for_backward=True, out=out)
            flashcp.attention_backward(
                kind(q), residuals._replace(output=kind(out)), plan, self.group, out=gradients
            )
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            # LSE is 32 KiB; the smallest tensor, which no copy is below, has 1 MiB.
            self.assertLess(peak, k.nbytes // 4)

    def test_refused(self) -> None:
        plan = compiled(self.documents, 1)
        (q, k, v, _), _ = self.inputs("f32")
        wide = numpy.zeros((64, 4, 2 * DIM), numpy.float32)
        cases: Dict[str, Tuple[Any, ...]] = {
            r"q: expected shape \(64, 4, 16\), found \(63, 4, 16\)": (q[1:], k, v),
            r"k: expected shape \(64, 2, 16\), found \(64, 4, 16\)": (q, q, v),
            "v: expected float32, as the plan is of f32, found float64": (
                q,
                k,
                v.astype(numpy.float64),
            ),
            "q: expected float32, .* found >f4": (q.astype(">f4"), k, v),
            "q: expected dense rows .* found strides of .* bytes: pass numpy.ascontiguousarray": (
                wide[:, :, :DIM],
                k,
                v,
            ),
            "k: expected a tensor on the CPU, found one on cuda:1": (
                q,
                Foreign(k, "f32", device=(2, 1)),
                v,
            ),
            "k: expected float32, .* found bfloat16": (q, Foreign(k, "bf16"), v),
            "k: expected dense rows .* elements": (
                q,
                Foreign(k, "f32", strides=(64, 16, 1)),
                v,
            ),
        }
        for text, tensors in cases.items():
            with self.subTest(text), self.assertRaisesRegex(flashcp.InvalidArgumentError, text):
                flashcp.attention(*tensors, plan, self.group)
        with self.assertRaisesRegex(TypeError, "v: expected a numpy array, .* found builtins.list"):
            flashcp.attention(q, k, v.tolist(), plan, self.group)
        out = numpy.zeros_like(q)
        out.flags.writeable = False
        with self.assertRaisesRegex(flashcp.InvalidArgumentError, "o: .*read-only"):
            flashcp.attention(q, k, v, plan, self.group, out=out)
        # The group is not ended by what is refused before anything is sent.
        flashcp.attention(q, k, v, plan, self.group)


class GroupTest(unittest.TestCase):
    def test_wrong_ranks(self) -> None:
        plan = compiled([(64, "causal")], 2)
        group = flashcp.Group.threads(2)
        q = numpy.zeros((32, 4, DIM), numpy.float32)
        k = numpy.zeros((32, 2, DIM), numpy.float32)
        with self.assertRaisesRegex(ValueError, "all 2 ranks .* name one"):
            flashcp.attention(q, k, k, plan, group)
        with self.assertRaisesRegex(ValueError, "rank: expected 0 to 1, .* found 2"):
            flashcp.attention(q, k, k, plan, group, 2)
        with self.assertRaisesRegex(ValueError, "the plan is of 2 ranks, the group has 1"):
            flashcp.attention(q, k, k, plan, flashcp.Group.threads(1), 0)
        with self.assertRaisesRegex(ValueError, "ranks"):
            flashcp.Group.threads(0)

    def test_nccl_says_what_is_there(self) -> None:
        with self.assertRaisesRegex(NotImplementedError, "Group.mpi.*flashcp.torch"):
            flashcp.Group.nccl(b"", 0, 1)

    def test_failure_of_a_rank_ends_all(self) -> None:
        plan = compiled([(64, "causal")], 2, strategy="zigzag")
        group = flashcp.Group.threads(2, timeout=30)
        waiting = threading.Event()

        def fail_on_one(rank: int) -> None:
            if rank == 1:
                waiting.wait(30)
                raise ZeroDivisionError("of rank 1")
            q = numpy.zeros((32, 4, DIM), numpy.float32)
            k = numpy.zeros((32, 2, DIM), numpy.float32)
            waiting.set()
            try:
                flashcp.attention(q, k, k, plan, group, rank)
            except flashcp.AbortedError as error:
                aborted.append(str(error))
                raise

        aborted: List[str] = []
        with self.assertRaisesRegex(ZeroDivisionError, "of rank 1"):
            group.run(fail_on_one)
        self.assertEqual(len(aborted), 1)
        self.assertIn("ZeroDivisionError: of rank 1", aborted[0])

    def test_interrupt(self) -> None:
        group = flashcp.Group.threads(2)
        plan = compiled([(64, "causal")], 2, strategy="zigzag")
        ended = threading.Event()

        def wait_for_rank_1(rank: int) -> None:
            if rank == 1:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                return
            try:
                flashcp.gather(numpy.zeros(32), plan, group, 0)
            except flashcp.AbortedError:
                ended.set()
                raise

        with self.assertRaises(KeyboardInterrupt):
            group.run(wait_for_rank_1)
        self.assertTrue(ended.wait(30), "the rank that waited has ended")

    def test_rank_that_does_not_come(self) -> None:
        plan = compiled([(64, "causal")], 2, strategy="zigzag")
        group = flashcp.Group.threads(2, timeout=0.2)
        q = numpy.zeros((32, 4, DIM), numpy.float32)
        k = numpy.zeros((32, 2, DIM), numpy.float32)
        with self.assertRaises(TimeoutError) as caught:
            flashcp.attention(q, k, k, plan, group, 0)
        self.assertIsInstance(caught.exception, flashcp.DeadlineExceededError)


class LifetimeTest(unittest.TestCase):
    """Executors end with the plan, with the group, and not while their rank is in use."""

    q = numpy.zeros((16, 4, DIM), numpy.float32)
    k = numpy.zeros((16, 2, DIM), numpy.float32)

    def test_thousand_plans(self) -> None:
        group = flashcp.Group.threads(1)
        data = compiled([(16, "causal")], 1).to_bytes()
        resident = []
        for index in range(1000):
            plan = flashcp.Plan.from_bytes(data)
            flashcp.attention(self.q, self.k, self.k, plan, group)
            flashcp.attention(self.q, self.k, self.k, plan, group, for_backward=True)
            self.assertEqual(group._executors[0].count(), 2)
            if index in (199, 999):
                with open("/proc/self/statm", encoding="ascii") as file:
                    resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"))
        # A plan that stays takes its bytes, and 90 KB with its executors.
        self.assertLess(resident[1] - resident[0], 800 * 2 * len(data))
        del plan
        self.assertEqual(group._executors[0].count(), 0)

    def test_group_dies_first(self) -> None:
        plan = compiled([(16, "causal")], 1)
        for _ in range(3):
            group = flashcp.Group.threads(1)
            flashcp.attention(self.q, self.k, self.k, plan, group)
            executors = group._executors[0]
            handle = group._handle
            ((_, (executor,)),) = executors._live.values()
            del group, executors
            self.assertTrue(handle.pointer, "the executor keeps the group")
            del executor
        self.assertTrue(plan._handle.pointer)

    def test_plan_dies_in_another_thread(self) -> None:
        group = flashcp.Group.threads(2)
        plans = [compiled([(32, "causal")], 2) for _ in range(20)]
        kept = compiled([(32, "causal")], 2)

        def passes(rank: int) -> None:
            for index in range(20):
                flashcp.attention(self.q, self.k, self.k, plans[index], group, rank)
                flashcp.attention(self.q, self.k, self.k, kept, group, rank)
                done[rank] = index

        done = [-1, -1]
        ranks = threading.Thread(target=group.run, args=(passes,))
        ranks.start()
        for index in range(20):
            while min(done) < index and ranks.is_alive():
                time.sleep(0.001)
            plans[index] = None  # type: ignore[call-overload]
        ranks.join()
        self.assertEqual([executors.count() for executors in group._executors], [1, 1])


if __name__ == "__main__":
    unittest.main()
