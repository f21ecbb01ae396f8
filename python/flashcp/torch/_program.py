"""A rank's program read from the tables of its plan: steps, messages and buffers as Python objects.

Everything that does not depend on the caller's tensors is worked out here, once for each plan:
which rows a message gathers, which steps a step waits for, which buffer sums the gradients of
which.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Dict, List, Sequence, Tuple

import numpy
import torch

from flashcp.tables import BufferKind, Direction, Opcode, Stream

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
_BY_NUMBER = (torch.float32, torch.bfloat16, torch.float16)  # flashcp.tables.DType
GRADIENT_TAG = 1 << 30
PLACE_ALIGNMENT = 64

_CALLERS = range(BufferKind.QUERY, BufferKind.VALUE_GRADIENT + 1)
_SAVED = (BufferKind.SAVED_KEY, BufferKind.SAVED_VALUE)
_PER_QUERY_HEAD = (
    BufferKind.QUERY,
    BufferKind.OUTPUT,
    BufferKind.LSE,
    BufferKind.OUTPUT_GRADIENT,
    BufferKind.QUERY_GRADIENT,
)


class Rows:
    """Rows of a tensor: a slice if they are one range, an index tensor otherwise."""

    def __init__(self, ranges: Sequence[Tuple[int, int]], device: torch.device) -> None:
        """`ranges`: (begin, count), in order."""
        self.count = sum(count for _, count in ranges)
        joined: List[List[int]] = []
        for begin, count in ranges:
            if joined and sum(joined[-1]) == begin:
                joined[-1][1] += count
            elif count:
                joined.append([begin, count])
        self._index = None
        self._begin = joined[0][0] if joined else 0
        if len(joined) > 1:
            rows = numpy.concatenate([numpy.arange(b, b + n, dtype=numpy.int64) for b, n in joined])
            self._index = torch.from_numpy(rows).to(device)

    def get(self, tensor: torch.Tensor) -> torch.Tensor:
        """The rows: a view if they are one range."""
        if self._index is None:
            return tensor.narrow(0, self._begin, self.count)
        return tensor.index_select(0, self._index)

    def put(self, tensor: torch.Tensor, values: torch.Tensor) -> None:
        """Overwrites the rows, rounded to the tensor's dtype."""
        if self._index is None:
            tensor.narrow(0, self._begin, self.count).copy_(values)
        else:
            tensor.index_copy_(0, self._index, values.to(tensor.dtype))

    def add(self, tensor: torch.Tensor, values: torch.Tensor) -> None:
        """Adds to the rows; no row occurs twice, so the order of additions is that of calls."""
        if self._index is None:
            tensor.narrow(0, self._begin, self.count).add_(values)
        else:
            tensor.index_add_(0, self._index, values.to(tensor.dtype))


@dataclass
class Part:
    """Heads [head_begin, head_end) of rows of a buffer, as they travel in a message."""

    buffer: int
    heads: slice
    rows: Rows
    saved: bool
    count: int  # elements


@dataclass
class Message:
    """One message; `tag` counts on by `tag_step` from round to round."""

    sends: bool
    peer: int
    tag: int
    tag_step: int
    parts: List[Part]


@dataclass(frozen=True)
class Step:
    """An instruction of one round, with the earlier steps that it waits for."""

    number: int
    round: int
    stage: int
    opcode: Opcode
    entries: range  # messages or tiles
    exchanges: bool  # belongs to the communication stream
    waits: Tuple[int, ...]


class Buffer:
    """One buffer of the rank, whose memory differs by round."""

    def __init__(self, row: numpy.void, kv_heads: int, query_heads: int) -> None:
        self.kind = BufferKind(int(row["kind"]))
        self.offset, self.rows = int(row["offset"]), int(row["rows"])
        self.heads, self.dim = int(row["heads"]), int(row["dim"])
        self.dtype = _BY_NUMBER[int(row["dtype"])]
        self.caller = self.kind in _CALLERS
        self.saved = self.kind in _SAVED
        # Heads of one round in a buffer that holds all of them.
        self.group = query_heads if self.kind in _PER_QUERY_HEAD else kv_heads
        self.places = int(row["places"])
        itemsize = torch.empty(0, dtype=self.dtype).element_size()
        self.bytes = self.rows * self.heads * self.dim * itemsize
        self.place_bytes = -(-self.bytes // PLACE_ALIGNMENT) * PLACE_ALIGNMENT

    def view(self, memory: torch.Tensor, round_: int) -> torch.Tensor:
        """The buffer of a round, [rows, heads, dim], or [rows, heads] if dim is 1, in the bytes of
        the saved memory or of a workspace."""
        begin = self.offset + (round_ % self.places) * self.place_bytes
        flat = memory.narrow(0, begin, self.bytes).view(self.dtype)
        shape = (self.rows, self.heads) + ((self.dim,) if self.dim > 1 else ())
        return self.of_round(flat.view(shape), round_) if self.saved else flat.view(shape)

    def of_round(self, tensor: torch.Tensor, round_: int) -> torch.Tensor:
        """The heads that a round computes of a tensor that holds all heads."""
        return tensor.narrow(1, round_ * self.group, self.group)


class Program:
    """Both passes of one rank."""

    def __init__(self, plan: Any, rank: int, device: torch.device) -> None:
        tables, info = plan.rank(rank), plan.rank_info(rank)
        self.rank, self.tokens, self.dtype = rank, info.tokens, DTYPES[plan.dtype]
        self.query_heads, self.kv_heads = plan.heads
        self.dim, self.scale, self.rounds = plan.head_dim, plan.scale, plan.head_groups
        self.workspace_bytes = info.workspace_bytes
        self.backward_workspace_bytes = info.backward_workspace_bytes
        self.saved_bytes = info.saved_bytes
        group = self.kv_heads // self.rounds, self.query_heads // self.rounds
        self.buffers = [Buffer(row, *group) for row in tables.buffers]
        self._only = {buffer.kind: i for i, buffer in enumerate(self.buffers)}
        self.tiles = tables.tiles
        self.forward = _steps(tables.instructions, tables.waits, self.rounds)
        self.backward = _steps(tables.backward_instructions, tables.backward_waits, self.rounds)
        self.messages = _messages(tables, self.buffers, device)
        self._pair_buffers()
        self._find_incoming()

    def find(self, kind: BufferKind) -> int:
        """The buffer of a kind that each rank has one of."""
        return self._only[kind]

    def _of_kinds(self, *kinds: BufferKind) -> List[int]:
        return [i for i, buffer in enumerate(self.buffers) if buffer.kind in kinds]

    def _pair_buffers(self) -> None:
        """Finds the sums, and the rounded gradients, of each buffer of keys or values: the i-th
        buffer of a kind has the i-th of its partner's."""
        kinds = BufferKind
        self.sum_of: Dict[int, int] = {}
        self.gradient_of: Dict[int, int] = {}
        for name in ("KEY", "VALUE"):
            remote, saved = kinds[f"REMOTE_{name}"], kinds[f"SAVED_{name}"]
            for table, sources, partner in (
                (self.sum_of, (kinds[name],), kinds[f"{name}_SUM"]),
                (self.sum_of, (remote, saved), kinds[f"REMOTE_{name}_SUM"]),
                (self.gradient_of, (remote,), remote),
                (self.gradient_of, (saved,), kinds[f"OUTGOING_{name}"]),
            ):
                table.update(zip(self._of_kinds(*sources), self._of_kinds(partner)))

    def _find_incoming(self) -> None:
        """Finds where the gradients of each sent message come back to: (buffer, first element,
        end), message after message in the buffer of its exchange."""
        self.incoming: Dict[int, Tuple[int, int, int]] = {}
        buffers = iter(self._of_kinds(BufferKind.INCOMING))
        for step in self.forward:
            if step.round > 0 or not step.exchanges:
                continue
            sent = [m for m in step.entries if self.messages[m].sends]
            ends = accumulate(sum(p.count for p in self.messages[m].parts) for m in sent)
            buffer, begin = next(buffers) if sent else 0, 0
            for message, end in zip(sent, ends):
                self.incoming[message] = buffer, begin, end
                begin = end


def _steps(instructions: numpy.ndarray, waits: numpy.ndarray, rounds: int) -> List[Step]:
    """Unrolls a program round after round; steps are numbered in this order."""
    steps: List[Step] = []
    rows, wait_rows = instructions.tolist(), waits.tolist()
    names = instructions.dtype.names or ()
    for round_ in range(rounds):
        for row in rows:
            field = dict(zip(names, row))
            waited = tuple(
                (round_ - before) * len(rows) + instruction
                for instruction, before in wait_rows[field["wait_begin"] : field["wait_end"]]
                if before <= round_
            )
            steps.append(
                Step(
                    number=len(steps),
                    round=round_,
                    stage=field["stage"],
                    opcode=Opcode(field["opcode"]),
                    entries=range(field["begin"], field["end"]),
                    exchanges=field["stream"] == Stream.COMMUNICATION,
                    waits=waited,
                )
            )
    return steps


def _messages(tables: Any, buffers: List[Buffer], device: torch.device) -> List[Message]:
    """Makes the messages; parts that share slices share their index tensors."""
    slices, shared = tables.slices.tolist(), {}
    parts = []
    for row in tables.parts:
        begin, end = int(row["slice_begin"]), int(row["slice_end"])
        if (begin, end) not in shared:
            shared[begin, end] = Rows(slices[begin:end], device)
        rows, buffer = shared[begin, end], int(row["buffer"])
        heads = slice(int(row["head_begin"]), int(row["head_end"]))
        count = rows.count * (heads.stop - heads.start) * buffers[buffer].dim
        parts.append(Part(buffer, heads, rows, bool(row["saved"]), count))
    pairs = [(int(row["peer"]), int(row["direction"])) for row in tables.messages]
    of_pair = Counter(pairs)
    messages = []
    for row, pair in zip(tables.messages, pairs):
        messages.append(
            Message(
                sends=pair[1] == Direction.SEND,
                peer=pair[0],
                tag=int(row["tag"]),
                tag_step=of_pair[pair],
                parts=parts[int(row["part_begin"]) : int(row["part_end"])],
            )
        )
    return messages
