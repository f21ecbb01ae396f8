"""Planner: the bytes of compile, bounded look-ahead, errors at their batch, forks and spawns."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import unittest
from typing import Any, Iterator, List

import flashcp

OPTIONS = dict(ranks=2, heads=(2, 1), head_dim=8, cluster="cpu")
BATCHES = [[40, 24], [(100, "full"), 3], [7, 0, 9], [512]]
# Takes a while to plan.
LONG = [5000, 300, 70, 9000, 1234, 800] * 8


def expected() -> List[bytes]:
    """Returns the plans that compile makes of BATCHES."""
    return [flashcp.compile(batch, **OPTIONS).to_bytes() for batch in BATCHES]


def plan_in_worker(planner: flashcp.Planner, queue: Any) -> None:
    """Plans with the planner of the parent, and without one."""
    try:
        plans = [plan for _, plan in planner.plans(BATCHES)]
        compiled = [flashcp.compile(batch, **OPTIONS) for batch in BATCHES]
        queue.put([plan.to_bytes() for plan in plans] + [plan.to_bytes() for plan in compiled])
        queue.put(plans)  # Pickled as bytes, as a DataLoader sends them.
        planner.close()
    except BaseException as error:
        queue.put(error)
        raise


def take_in_worker(pending: flashcp.PendingPlan, queue: Any) -> None:
    """Takes a plan that the parent submitted."""
    try:
        queue.put(pending.result(5))
    except BaseException as error:
        queue.put(error)


class PlannerTest(unittest.TestCase):
    def test_same_plans_as_compile(self) -> None:
        with flashcp.Planner(lookahead=2, threads=2, **OPTIONS) as planner:
            found = list(planner.plans(BATCHES))
        self.assertEqual([batch for batch, _ in found], BATCHES)
        self.assertEqual([plan.to_bytes() for _, plan in found], expected())

    def test_bounded_lookahead(self) -> None:
        read: List[int] = []

        def batches() -> Iterator[int]:
            for index in range(6):
                read.append(index)
                yield index

        with flashcp.Planner(lookahead=2, **OPTIONS) as planner:
            plans = planner.plans(batches(), lengths=lambda index: [index + 8])
            self.assertEqual(read, [])
            for index in range(6):
                batch, plan = next(plans)
                self.assertEqual((batch, plan.tokens), (index, index + 8))
                self.assertEqual(read, list(range(min(6, index + 3))))
            self.assertRaises(StopIteration, next, plans)

    def test_errors_at_their_batch(self) -> None:
        def batches() -> Iterator[List[Any]]:
            yield [8]
            yield [(8, "oblique")]
            yield ["8"]
            yield [16]
            raise OSError("no more data")

        with flashcp.Planner(lookahead=3, **OPTIONS) as planner:
            plans = planner.plans(batches())
            self.assertEqual(next(plans)[1].tokens, 8)
            with self.assertRaisesRegex(flashcp.InvalidArgumentError, "oblique"):
                next(plans)
            with self.assertRaisesRegex(flashcp.InvalidArgumentError, "document 0"):
                next(plans)
            self.assertEqual(next(plans)[1].tokens, 16)
            with self.assertRaisesRegex(OSError, "no more data"):
                next(plans)
            self.assertRaises(StopIteration, next, plans)

    def test_submit(self) -> None:
        with flashcp.Planner(**OPTIONS) as planner:
            pending = planner.submit([300, 20], mask="window:8", ranks=4)
            plan = pending.result()
            self.assertIs(pending.result(0), plan)
            self.assertEqual(
                plan, flashcp.compile([300, 20], **{**OPTIONS, "mask": "window:8", "ranks": 4})
            )
            # On the layout of another plan.
            local = planner.submit([300, 20], layout=plan, mask="window:3", ranks=None).result()
            self.assertEqual(local.token_indices(1).tolist(), plan.token_indices(1).tolist())
            # Waiting can be given up and taken up again.
            for _ in range(30):
                last = planner.submit(LONG, ranks=8)
            with self.assertRaises(TimeoutError):
                last.result(timeout=0)
            self.assertEqual(last.result().tokens, sum(LONG))
        self.assertEqual(plan, pending.result(), "a plan that was taken outlives the planner")
        with self.assertRaises(flashcp.CancelledError):
            planner.submit([8])
        planner.close()

    def test_close_ends_waits(self) -> None:
        planner = flashcp.Planner(**OPTIONS)
        # More than are planned until the planner is closed.
        pending = [planner.submit(LONG, ranks=8) for _ in range(1000)]
        errors: List[BaseException] = []

        def wait() -> None:
            try:
                pending[-1].result()
            except BaseException as error:
                errors.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        planner.close()
        waiter.join()
        self.assertEqual([type(error) for error in errors], [flashcp.CancelledError])
        with self.assertRaises(flashcp.CancelledError):
            pending[-2].result()

    def test_wrong_options(self) -> None:
        with self.assertRaises(TypeError):
            flashcp.Planner(rank=2)
        with self.assertRaisesRegex(ValueError, "at least 1"):
            flashcp.Planner(lookahead=0)


class WorkersTest(unittest.TestCase):
    """DataLoader workers are forked or spawned processes."""

    def check_worker(self, method: str) -> None:
        context = multiprocessing.get_context(method)
        with flashcp.Planner(lookahead=2, **OPTIONS) as planner:
            # The parent's threads are at work when the child is made.
            running = [planner.submit(LONG, ranks=8) for _ in range(8)]
            workers = []
            for _ in range(2):
                queue = context.Queue()
                worker = context.Process(target=plan_in_worker, args=(planner, queue))
                worker.start()
                workers.append((worker, queue))
            for worker, queue in workers:
                self.assertEqual(queue.get(timeout=60), expected() * 2)
                self.assertEqual([plan.to_bytes() for plan in queue.get(timeout=60)], expected())
                worker.join(60)
                self.assertEqual(worker.exitcode, 0)
            self.assertEqual([plan.result().tokens for plan in running], [sum(LONG)] * 8)

    def test_forked(self) -> None:
        self.check_worker("fork")

    def test_spawned(self) -> None:
        self.check_worker("spawn")

    def test_pending_plan_does_not_follow_a_fork(self) -> None:
        context = multiprocessing.get_context("fork")
        with flashcp.Planner(**OPTIONS) as planner:
            pending = planner.submit([8])
            queue = context.Queue()
            worker = context.Process(target=take_in_worker, args=(pending, queue))
            worker.start()
            error = queue.get(timeout=60)
            worker.join(60)
            self.assertIsInstance(error, flashcp.FailedPreconditionError)
            self.assertIn("forked", str(error))
            self.assertEqual(pending.result().tokens, 8)

    def test_pickled_planner_has_its_options(self) -> None:
        planner = pickle.loads(pickle.dumps(flashcp.Planner(lookahead=3, **OPTIONS)))
        with planner:
            self.assertEqual(planner.lookahead, 3)
            self.assertEqual(planner.submit(BATCHES[0]).result().to_bytes(), expected()[0])


if __name__ == "__main__":
    unittest.main()
