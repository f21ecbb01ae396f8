"""Plans ahead of a stream of batches, so that training never waits for the planner.

Each batch is a list of document lengths that fills a pack. While the ranks compute one batch, the
planner reads and plans the next ones. Run it with the package installed:

    python look_ahead.py [--batches 8] [--lookahead 2] [--workers 2]

With --workers the plans are made in processes, as the workers of a DataLoader would, and come back
pickled; the bytes are the same.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from typing import Iterator, List, Tuple

import numpy

import flashcp

RANKS, HEADS, DIM, TOKENS = 2, (4, 2), 32, 2048
OPTIONS = dict(ranks=RANKS, heads=HEADS, head_dim=DIM, dtype="f32", cluster="cpu")


def batches(number: int) -> Iterator[List[int]]:
    """Yields the document lengths of each batch, long ones now and then."""
    lengths = random.Random(1)
    for _ in range(number):
        batch: List[int] = []
        while sum(batch) < TOKENS:
            length = int(lengths.lognormvariate(5, 1)) + 1
            batch.append(min(length, TOKENS - sum(batch)))
        yield batch


def step(group: flashcp.Group, plan: flashcp.Plan) -> float:
    """Runs attention forward and backward on all ranks; returns the sum of the output."""

    def rank_step(rank: int) -> float:
        rows = plan.rank_tokens(rank)
        data = numpy.random.default_rng(plan.hash % 2**32 + rank)
        q, k, v = [
            data.standard_normal((rows, heads, DIM)).astype(numpy.float32)
            for heads in (HEADS[0], HEADS[1], HEADS[1])
        ]
        o, residuals = flashcp.attention(q, k, v, plan, group, rank, for_backward=True)
        flashcp.attention_backward(numpy.ones_like(o), residuals, plan, group, rank)
        return float(o.sum())

    return sum(group.run(rank_step))


def plan_in_worker(batch: List[int]) -> Tuple[List[int], flashcp.Plan]:
    """Plans one batch in a worker process."""
    return batch, flashcp.compile(batch, **OPTIONS)


def train(stream: Iterator[Tuple[List[int], flashcp.Plan]]) -> None:
    """Takes batches with their plans, and says how long each one was waited for."""
    group = flashcp.Group.threads(RANKS)
    while True:
        begin = time.perf_counter()
        try:
            batch, plan = next(stream)
        except StopIteration:
            return
        waited = time.perf_counter() - begin
        total = step(group, plan)
        print(
            f"{len(batch):3} documents, plan {plan.hash:016x}, output {total:+.4f}, "
            f"waited {waited * 1e3:.1f} ms"
        )


def main() -> None:
    """Reads the arguments and runs the stream."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--lookahead", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.workers:
        with multiprocessing.Pool(arguments.workers) as pool:
            train(pool.imap(plan_in_worker, batches(arguments.batches)))
        return
    with flashcp.Planner(lookahead=arguments.lookahead, **OPTIONS) as planner:
        train(planner.plans(batches(arguments.batches)))


if __name__ == "__main__":
    main()
