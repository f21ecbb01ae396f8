"""Sequence order: rank r holds a run of global tokens, for convolutions and state-space layers.

A plan's rows are permuted; what mixes neighbours needs them in order. `Runs` moves rows between the
two orders, as a linear map and its transpose, so that each is the other's gradient. With a halo, a
rank also gets the rows just before its run, whose gradients go home and are added there.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy
import torch

from flashcp.torch._channel import Channel

_TAG = 1 << 29  # above the tags of plans that are in use together with this group


class Runs:
    """Row exchanges of one plan and rank. `gather`, if given, collects the bytes of all ranks
    instead of a channel: (tensor, rows of each rank) -> [all rows, ...]."""

    def __init__(
        self, plan: Any, rank: int, halo: int, channel: Optional[Channel], gather: Any
    ) -> None:
        self.rank, self.halo = rank, halo
        self._channel, self._gather = channel, gather
        counts = [plan.rank_tokens(r) for r in range(plan.ranks)]
        ends = numpy.cumsum(counts)
        tokens = [plan.token_indices(r) for r in range(plan.ranks)]
        self.counts, self.rows = counts, counts[rank]
        # The run of each rank with its halo, of which `missing` rows lie before the first token.
        begins = [int(end) - count - halo for end, count in zip(ends, counts)]
        self._missing = [max(0, -begin) for begin in begins]
        runs = [
            numpy.arange(max(0, begin), int(end), dtype=numpy.int64)
            for begin, end in zip(begins, ends)
        ]
        row_of = numpy.empty(plan.tokens, numpy.int64)
        owner_of = numpy.empty(plan.tokens, numpy.int64)
        for r, own in enumerate(tokens):
            row_of[own], owner_of[own] = numpy.arange(len(own)), r
        # For each peer: my rows that it wants, and its rows that I want, in the order of its run.
        self._sent = [_index(row_of[run[owner_of[run] == rank]]) for run in runs]
        mine, skip = runs[rank], self._missing[rank]
        self._wanted = [
            _index(numpy.nonzero(owner_of[mine] == r)[0] + skip) for r in range(plan.ranks)
        ]

    def to_runs(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, ...] in local order -> [halo + rows, ...] in sequence order; 0 before token 0."""
        y = x.new_zeros((self.halo + self.rows, *x.shape[1:]))
        pieces = [x[index.to(x.device)] for index in self._sent]
        for index, piece in zip(self._wanted, self._swap(pieces, self._wanted, x)):
            y[index.to(x.device)] = piece
        return y

    def from_runs(self, y: torch.Tensor) -> torch.Tensor:
        """The transpose: each local row is the sum of what runs hold of it, rank after rank."""
        x = y.new_zeros((self.rows, *y.shape[1:]))
        pieces = [y[index.to(y.device)] for index in self._wanted]
        for index, piece in zip(self._sent, self._swap(pieces, self._sent, y)):
            x.index_add_(0, index.to(y.device), piece)
        return x

    def _swap(
        self, pieces: List[torch.Tensor], expected: List[torch.Tensor], like: torch.Tensor
    ) -> List[torch.Tensor]:
        """Sends piece r to rank r; returns what each rank sent."""
        if self._gather is not None:
            return self._swap_by_gather(pieces, expected, like)
        received = [like.new_empty((len(index), *like.shape[1:])) for index in expected]
        received[self.rank] = pieces[self.rank]
        others = [r for r in range(len(pieces)) if r != self.rank]
        assert self._channel is not None, "without gather there is a channel"
        works = self._channel.post(
            [(pieces[r].contiguous(), r, _TAG) for r in others if len(pieces[r])],
            [(received[r], r, _TAG) for r in others if len(received[r])],
        )
        for work in works:
            work.wait()
        return received

    def _swap_by_gather(
        self, pieces: List[torch.Tensor], expected: List[torch.Tensor], like: torch.Tensor
    ) -> List[torch.Tensor]:
        """The same where all that a group can do is to collect everything."""
        sizes = torch.tensor([len(piece) for piece in pieces])
        table = self._gather(sizes, [len(pieces)] * len(pieces)).view(len(pieces), -1)
        rows = table.sum(1).tolist()
        flat = self._gather(torch.cat(pieces), rows).split(rows)
        return [part.split(row.tolist())[self.rank] for part, row in zip(flat, table)]


def _index(rows: numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(numpy.ascontiguousarray(rows))


class ToSequenceOrder(torch.autograd.Function):
    """Local rows to runs; its gradient is the transpose."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, runs: Runs) -> torch.Tensor:
        ctx.runs = runs
        return runs.to_runs(x)

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Tuple[torch.Tensor, None]:
        return ctx.runs.from_runs(dy), None


class FromSequenceOrder(torch.autograd.Function):
    """Runs without halo to local rows; its gradient is the transpose."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor, runs: Runs) -> torch.Tensor:
        ctx.runs = runs
        return runs.from_runs(y)

    @staticmethod
    def backward(ctx: Any, dx: torch.Tensor) -> Tuple[torch.Tensor, None]:
        return ctx.runs.to_runs(dx), None
