"""Batch: one packed batch of a context-parallel group, planned: its layout and its companions."""

from __future__ import annotations

import weakref
from typing import Any, Dict, Mapping, Optional, Sequence, TypeVar, Union

import numpy
import torch

from flashcp.torch import _operator
from flashcp.torch._engines import Engine
from flashcp.torch._sequence import FromSequenceOrder, Runs, ToSequenceOrder

IGNORE_INDEX = -100  # The label that cross entropy skips.

T = TypeVar("T", torch.Tensor, Mapping[str, torch.Tensor])


class Batch:
    """The rows of this rank of one batch. Made by `ContextParallel.batch` or a planner's `steps`.

    Attributes of the sample that the batch was made of are attributes of the batch, too. Keep the
    batch until its last backward pass.

    Attributes:
      handle: CPU int64 tensor, the argument of `attention`.
      lengths: of the documents, the one that pads the batch included.
      padding: tokens of that document, at the end of the pack; 0 without one.
      plans: of each mask by its name; all place the same tokens on the same rows.
      plan: the first of them.
      rank, ranks: of the context-parallel group.
      sample: what the batch was made of.
    """

    def __init__(
        self,
        context: Any,
        plans: Mapping[str, Any],
        engines: Dict[str, Engine],
        padding: int,
        sample: Any = None,
    ) -> None:
        self._context = context
        self.plans, self.plan = dict(plans), next(iter(plans.values()))
        self.rank, self.ranks = context.rank, context.ranks
        self.device = context.device
        self.lengths = [int(length) for length in self.plan.documents["length"]]
        self.padding, self.sample = padding, sample
        number = _operator.add(_operator.Engines(engines))
        self.handle = torch.tensor(number, dtype=torch.int64)
        self._end = weakref.finalize(self, _operator.remove, number)
        self._cache: Dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        sample = self.__dict__.get("sample")
        if isinstance(sample, Mapping) and name in sample:
            return sample[name]
        if sample is not None and not name.startswith("_") and hasattr(sample, name):
            return getattr(sample, name)
        raise AttributeError(f"Batch has no attribute {name!r}, nor has the sample it was made of")

    def close(self) -> None:
        """Forgets the plans of the batch; its handle is of no use afterwards."""
        self._end()

    def __enter__(self) -> "Batch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- The layout

    @property
    def tokens_total(self) -> int:
        """Tokens of all documents, padding included."""
        return self.plan.tokens

    @property
    def token_indices(self) -> torch.Tensor:
        """The global token of each local row, int64 [rows]."""
        return self._ids("token_indices")

    @property
    def position_ids(self) -> torch.Tensor:
        """The position of each local row in its document, int64 [rows]: what RoPE takes."""
        return self._ids("position_ids")

    @property
    def document_ids(self) -> torch.Tensor:
        """The document of each local row, int64 [rows]."""
        return self._ids("document_ids")

    def _ids(self, name: str) -> torch.Tensor:
        if name not in self._cache:
            values = getattr(self.plan, name)(self.rank)
            self._cache[name] = torch.from_numpy(numpy.asarray(values)).to(self.device)
        return self._cache[name]

    # ---- Tensors in global order: documents one after the other

    def shard(self, tensors: T, fill: Optional[Mapping[str, Any]] = None) -> T:
        """Returns this rank's rows of tensors in global order, on the context's device.

        Args:
          tensors: a tensor [tokens, ...], or a mapping of names to such tensors; with or without
            the tokens that pad the batch.
          fill: what padding rows hold, by name; without an entry -100 for names that contain
            "label", 0 otherwise.
        """
        if isinstance(tensors, torch.Tensor):
            return self._shard("tensor", tensors, 0)
        fill = fill or {}
        return {
            name: self._shard(name, x, fill.get(name, IGNORE_INDEX if "label" in name else 0))
            for name, x in tensors.items()
        }

    def _shard(self, name: str, x: torch.Tensor, fill: Any) -> torch.Tensor:
        x = self._pad(name, x, fill)
        return x.index_select(0, self.token_indices.to(x.device)).to(self.device)

    def _pad(self, name: str, x: torch.Tensor, fill: Any) -> torch.Tensor:
        if x.shape[0] == self.tokens_total:
            return x
        if x.shape[0] != self.tokens_total - self.padding:
            raise ValueError(
                f"{name} has {x.shape[0]} rows, and the batch has {self.tokens_total} tokens"
                + (f", {self.padding} of them padding" if self.padding else "")
                + ": tensors are packed, one document after the other, without a batch dimension"
            )
        return torch.cat([x, x.new_full((self.padding, *x.shape[1:]), fill)])

    def roll(self, x: torch.Tensor, shift: int, fill: Any = IGNORE_INDEX) -> torch.Tensor:
        """Rolls a tensor in global order within each document: row p becomes that of position
        p - shift; rows without one, and padding, are `fill`. [tokens, ...], padding included."""
        x = self._pad("x", x, fill)
        lengths = self.lengths[:-1] if self.padding else self.lengths
        pieces = []
        for document in x[: self.tokens_total - self.padding].split(lengths):
            kept = max(0, len(document) - abs(shift))
            hole = x.new_full((len(document) - kept, *x.shape[1:]), fill)
            rows = document[:kept] if shift >= 0 else document[len(document) - kept :]
            pieces += [hole, rows] if shift >= 0 else [rows, hole]
        pieces.append(x.new_full((self.padding, *x.shape[1:]), fill))
        return torch.cat(pieces)

    def next_token_labels(
        self, tokens: torch.Tensor, ahead: int = 1, loss_mask: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """Labels in global order: the token `ahead` positions on in the document, -100 at its end,
        in padding, and where `loss_mask` [tokens] is 0 for that token. Shifted before the
        permutation: shard the result."""
        if loss_mask is not None:
            tokens = torch.where(loss_mask.bool(), tokens, tokens.new_full((), IGNORE_INDEX))
        return self.roll(tokens, -ahead, IGNORE_INDEX)

    def label_count(self) -> int:
        """Labels of next-token prediction in this rank's rows: what `all_reduce_count` adds up."""
        last = torch.tensor(self.lengths)[self.document_ids.cpu()] - 1
        real = self.token_indices.cpu() < self.tokens_total - self.padding
        return int(((self.position_ids.cpu() < last) & real).sum())

    # ---- Views in sequence order

    def to_sequence_order(self, x: torch.Tensor, halo: int = 0) -> torch.Tensor:
        """[rows, ...] -> [halo + rows, ...]: this rank's run of global tokens, for convolutions and
        state-space layers, behind the `halo` tokens before it (zeros before token 0).
        Differentiable; collective, and so is its backward."""
        return ToSequenceOrder.apply(x, self._runs(halo))

    def from_sequence_order(self, y: torch.Tensor) -> torch.Tensor:
        """The inverse of to_sequence_order without halo. Differentiable; collective."""
        return FromSequenceOrder.apply(y, self._runs(0))

    def sequence_ids(self, halo: int = 0) -> "tuple[torch.Tensor, torch.Tensor]":
        """Document and position of each row of to_sequence_order, int64 [halo + rows]; -1 before
        token 0. State must not pass from a document to the next."""
        lengths = torch.tensor(self.lengths)
        documents = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        starts = torch.cumsum(lengths, 0) - lengths
        runs = self._runs(halo)
        end = sum(runs.counts[: self.rank + 1])
        tokens = torch.arange(end - runs.rows - halo, end)
        document = torch.where(tokens >= 0, documents[tokens.clamp(min=0)], tokens.new_full((), -1))
        position = torch.where(tokens >= 0, tokens - starts[document.clamp(min=0)], document)
        return document.to(self.device), position.to(self.device)

    def _runs(self, halo: int) -> Runs:
        if halo not in self._cache:
            self._cache[halo] = self._context._make_runs(self.plan, halo)
        return self._cache[halo]


def all_reduce_count(
    batches: Sequence[Union[Batch, torch.Tensor]], mesh: Any = None
) -> torch.Tensor:
    """Labels of all ranks and microbatches: what a sum of losses is divided by.

    Args:
      batches: of this rank: a Batch counts its labels of next-token prediction, a tensor of labels
        those that are not negative (-100 is not scored).
      mesh: a DeviceMesh, all of whose ranks are counted; or a ProcessGroup; or the ContextParallel
        whose ranks are counted; None: the default process group, or this rank alone without one.

    Returns: f32 [] on the device of the ranks; at least 1, so that the loss without labels is 0.
    """
    count = sum(
        batch.label_count() if isinstance(batch, Batch) else int((batch >= 0).sum())
        for batch in batches
    )
    return _all_reduce_sum(count, mesh).clamp(min=1)


def _all_reduce_sum(count: int, mesh: Any) -> torch.Tensor:
    import torch.distributed as dist

    from flashcp.torch._context import ContextParallel

    if isinstance(mesh, ContextParallel):
        return torch.tensor(float(mesh._sum(count)), device=mesh.device)
    if hasattr(mesh, "mesh_dim_names"):
        groups = mesh.get_all_groups() if mesh.ndim > 1 else [mesh.get_group()]
        device = torch.device(mesh.device_type)
    elif mesh is not None or (dist.is_available() and dist.is_initialized()):
        groups = [mesh if mesh is not None else dist.group.WORLD]
        nccl = dist.get_backend(groups[0]) == "nccl"
        device = torch.device("cuda" if nccl else "cpu")
    else:
        groups, device = [], torch.device("cpu")
    total = torch.tensor(float(count), dtype=torch.float64, device=device)
    for group in groups:
        dist.all_reduce(total, group=group)
    return total.float()
