"""Companions of a permuted layout against loops over documents, and round trips over ranks."""

from __future__ import annotations

import unittest
from typing import List

import numpy

import flashcp

LENGTHS = [60, 0, 1, 13, 90]
RANKS = 3


def make_plan() -> flashcp.Plan:
    """Returns a plan that cuts documents in many pieces."""
    return flashcp.compile(LENGTHS, RANKS, (2, 1), 8, cluster="cpu", strategy="per-doc")


class CompanionsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.plan = make_plan()
        self.tokens = numpy.random.default_rng(1).integers(0, 1000, self.plan.tokens)

    def rolled(self, shift: int) -> List[int]:
        """Returns the tokens rolled by a loop over documents."""
        result: List[int] = []
        begin = 0
        for length in LENGTHS:
            document = self.tokens[begin : begin + length].tolist()
            begin += length
            for position in range(length):
                source = position - shift
                result.append(document[source] if 0 <= source < length else -100)
        return result

    def test_scatter_and_gather(self) -> None:
        x = numpy.random.default_rng(2).random((self.plan.tokens, 3, 2))
        rows = [flashcp.scatter(x, self.plan, rank) for rank in range(RANKS)]
        self.assertEqual(
            [len(local) for local in rows], [self.plan.rank_tokens(rank) for rank in range(RANKS)]
        )
        numpy.testing.assert_array_equal(flashcp.gather(rows, self.plan), x)
        # However x lies, attention takes its rows.
        self.assertTrue(flashcp.scatter(numpy.asfortranarray(x), self.plan, 1).flags.c_contiguous)

    def test_roll(self) -> None:
        for shift in (-1, -2, -70, 0, 1, 5, 1000):
            expected = self.rolled(shift)
            whole = flashcp.roll(self.tokens, shift, self.plan)
            self.assertEqual(whole.tolist(), expected)
            for rank in range(RANKS):
                local = flashcp.roll(self.tokens, shift, self.plan, rank)
                numpy.testing.assert_array_equal(local, whole[self.plan.token_indices(rank)])
        columns = numpy.stack([self.tokens, -self.tokens], 1)
        rolled = flashcp.roll(columns, -1, self.plan, fill=7)
        self.assertEqual(rolled.shape, columns.shape)
        self.assertEqual(rolled[-1].tolist(), [7, 7])

    def test_labels_and_mask(self) -> None:
        for ahead in (1, 2):
            labels = flashcp.next_token_labels(
                self.tokens.astype(numpy.uint16), self.plan, ahead=ahead
            )
            self.assertEqual(labels.tolist(), self.rolled(-ahead))
            mask = flashcp.loss_mask(self.plan, ahead=ahead)
            self.assertEqual(mask.dtype, bool)
            self.assertEqual(mask.tolist(), [label != -100 for label in self.rolled(-ahead)])
            count = 0
            for rank in range(RANKS):
                local = flashcp.next_token_labels(self.tokens, self.plan, rank, ahead=ahead)
                own = flashcp.loss_mask(self.plan, rank, ahead=ahead)
                numpy.testing.assert_array_equal(own, local != flashcp.IGNORE_INDEX)
                count += int(own.sum())
            self.assertEqual(count, sum(max(length - ahead, 0) for length in LENGTHS))

    def test_over_a_group(self) -> None:
        group = flashcp.Group.threads(RANKS)
        x = numpy.random.default_rng(2).random((self.plan.tokens, 5)).astype(numpy.float32)

        def round_trip(rank: int) -> List[numpy.ndarray]:
            local = flashcp.scatter(x, self.plan, rank)
            sequence = flashcp.to_sequence_order(local, self.plan, group, rank)
            back = flashcp.from_sequence_order(sequence, self.plan, group, rank)
            numpy.testing.assert_array_equal(back, local)
            return [sequence, flashcp.gather(local, self.plan, group, rank)]

        results = group.run(round_trip)
        for _, whole in results:
            numpy.testing.assert_array_equal(whole, x)
        numpy.testing.assert_array_equal(numpy.concatenate([s for s, _ in results]), x)
        self.assertEqual(
            [len(sequence) for sequence, _ in results],
            [self.plan.rank_tokens(rank) for rank in range(RANKS)],
        )
        runs = [flashcp.sequence_range(self.plan, rank) for rank in range(RANKS)]
        self.assertEqual([token for run in runs for token in run], list(range(self.plan.tokens)))

    def test_rows_that_differ_between_ranks(self) -> None:
        group = flashcp.Group.threads(RANKS, timeout=20)

        def gather(rank: int) -> None:
            local = numpy.zeros((self.plan.rank_tokens(rank), 1 if rank == 1 else 2))
            flashcp.gather(local, self.plan, group, rank)

        with self.assertRaisesRegex(ValueError, "rank 1 .*bytes"):
            group.run(gather)

    def test_refused(self) -> None:
        group = flashcp.Group.threads(RANKS)
        with self.assertRaisesRegex(ValueError, "x: expected 164 rows, .* found 163"):
            flashcp.scatter(self.tokens[1:], self.plan, 0)
        with self.assertRaisesRegex(ValueError, "expected the rows of 3 ranks, found 164"):
            flashcp.gather(self.tokens, self.plan)
        with self.assertRaisesRegex(ValueError, "rows of rank 0: expected"):
            flashcp.gather([self.tokens] * 3, self.plan)
        with self.assertRaisesRegex(ValueError, "x: expected .* rows, the tokens of rank 1"):
            flashcp.gather(self.tokens, self.plan, group, 1)
        with self.assertRaisesRegex(ValueError, "the plan is of 3 ranks, the group has 1"):
            flashcp.gather(self.tokens, self.plan, flashcp.Group.threads(1))
        with self.assertRaisesRegex(ValueError, "ahead is at least 1, found 0"):
            flashcp.next_token_labels(self.tokens, self.plan, ahead=0)


if __name__ == "__main__":
    unittest.main()
