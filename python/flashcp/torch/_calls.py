"""The tiles of an attend as calls of a kernel, and what becomes of a call's results.

A call computes some tiles of one key buffer, one range of heads: a strided view of queries and one
of keys that span its tiles. A kernel that takes several tiles at a time gets those whose query and
key ranges are disjoint and ascend together, as FlashAttention's packed sequences do; gaps between
them are not read. Tiles that share query rows stay in program order, as the plan's `first` and
`last` ask for.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy
import torch

from flashcp.torch._bands import Rectangle, trim
from flashcp.torch._program import Rows


@dataclass(frozen=True)
class Tile:
    """A trimmed tile: query rows and key rows of buffers, and the band of their pairs."""

    row: int
    key_row: int
    area: Rectangle

    @property
    def row_end(self) -> int:
        return self.row + self.area.queries

    @property
    def key_end(self) -> int:
        return self.key_row + self.area.keys


@dataclass
class Results:
    """Rows of a call with equal flags: `inside` the call, in the `tensors` of the caller, and in
    the accumulator."""

    first: bool
    last: bool
    inside: Rows
    tensors: Rows
    accumulator: Rows


@dataclass
class Call:
    """One call of a kernel. Heads and buffers are of a round; rows count from the spans' begin."""

    query_buffer: int
    key_buffer: int
    value_buffer: int
    output_buffer: int
    lse_buffer: int
    accumulator_buffer: int
    heads: slice
    kv_heads: slice
    tiles: List[Tile] = field(default_factory=list)
    flags: List[Tuple[bool, bool, int]] = field(
        default_factory=list
    )  # first, last, accumulator row
    rows: slice = field(init=False)  # that the tiles span, in the query buffer
    keys: slice = field(init=False)  # and in the key buffer
    results: List[Results] = field(default_factory=list)
    query_rows: Rows = field(init=False)  # of all tiles, inside the call
    key_rows: Rows = field(init=False)
    data: Any = None  # of the kernel

    def accepts(self, tile: Tile) -> bool:
        """Whether the ranges stay disjoint and ascending in both rows and keys."""
        i = bisect_left([t.row for t in self.tiles], tile.row)
        before, after = self.tiles[i - 1] if i else None, self.tiles[i : i + 1]
        return (
            before is None or (before.row_end <= tile.row and before.key_end <= tile.key_row)
        ) and not (after and (after[0].row < tile.row_end or after[0].key_row < tile.key_end))

    def insert(self, tile: Tile, flags: Tuple[bool, bool, int]) -> None:
        i = bisect_left([t.row for t in self.tiles], tile.row)
        self.tiles.insert(i, tile)
        self.flags.insert(i, flags)

    def finish(self, device: torch.device) -> None:
        """Works out the spans and what becomes of the results."""
        self.rows = slice(self.tiles[0].row, max(t.row_end for t in self.tiles))
        self.keys = slice(min(t.key_row for t in self.tiles), max(t.key_end for t in self.tiles))
        groups: Dict[Tuple[bool, bool], List[int]] = {}
        for i, (first, last, _) in enumerate(self.flags):
            groups.setdefault((first, last), []).append(i)
        for (first, last), members in groups.items():
            spans = [(self.tiles[i].row, self.tiles[i].area.queries) for i in members]
            rows = [(self.flags[i][2], count) for i, (_, count) in zip(members, spans)]
            inside = [(begin - self.rows.start, count) for begin, count in spans]
            self.results.append(
                Results(first, last, *(Rows(r, device) for r in (inside, spans, rows)))
            )
        self.query_rows = Rows(
            [(t.row - self.rows.start, t.area.queries) for t in self.tiles], device
        )
        self.key_rows = Rows(
            [(t.key_row - self.keys.start, t.area.keys) for t in self.tiles], device
        )


@dataclass(frozen=True)
class Untouched:
    """Rows of a tile that see none of its keys: a partial result begins empty, or ends."""

    call: Call  # buffers and heads
    first: bool
    last: bool
    rows: slice
    accumulator: slice


@dataclass
class Attend:
    """The work of one attend instruction."""

    untouched: List[Untouched]
    calls: List[Call]


def make_attend(
    tiles: numpy.ndarray, ratio: int, provider: Any, query_rows: int, device: torch.device
) -> Attend:
    """Groups the tiles of an attend for a provider. `ratio`: query heads of a key head."""
    attend = Attend([], [])
    names = tiles.dtype.names or ()
    open_calls: List[Tuple[Any, Call]] = []
    # The last call that computed a row of a key head: a later tile of the row follows it.
    last_call = numpy.full((0, query_rows), -1, numpy.int64)
    for row in tiles.tolist():
        fields = dict(zip(names, row))
        call = _call_of(fields, ratio)
        heads_end = call.kv_heads.stop
        if heads_end > len(last_call):
            more = numpy.full((heads_end - len(last_call), query_rows), -1, numpy.int64)
            last_call = numpy.concatenate([last_call, more])
        lower, upper = fields["band"]
        whole = Rectangle(
            fields["query_position"],
            fields["query_count"],
            fields["key_position"],
            fields["key_count"],
            lower,
            upper,
        )
        area = trim(whole)
        attend.untouched += _untouched(call, fields, whole, area)
        if area is None:
            continue
        skipped = area.query - whole.query
        tile = Tile(
            fields["query_row"] + skipped,
            fields["key_row"] + area.key - whole.key,
            area,
        )
        flags = fields["first"], fields["last"], fields["accumulator_row"] + skipped
        seen = last_call[call.kv_heads, tile.row : tile.row_end]
        index = _place(open_calls, int(seen.max()) + 1, call, tile, provider)
        open_calls[index][1].insert(tile, flags)
        seen[:] = index
    for _, call in open_calls:
        call.finish(device)
        call.data = provider.prepare(call, device)
        attend.calls.append(call)
    return attend


def _call_of(fields: Dict[str, Any], ratio: int) -> Call:
    buffers = ("query", "key", "value", "output", "lse", "accumulator")
    begin, end = fields["head_begin"], fields["head_end"]
    return Call(
        **{f"{name}_buffer": fields[f"{name}_buffer"] for name in buffers},
        heads=slice(begin, end),
        kv_heads=slice(begin // ratio, (end - 1) // ratio + 1),
    )


def _place(
    open_calls: List[Tuple[Any, Call]], first: int, call: Call, tile: Tile, provider: Any
) -> int:
    """Returns the index of the first call that takes the tile, from `first` on, or of a new one."""
    key = (
        *(call.query_buffer, call.key_buffer, call.value_buffer, call.output_buffer),
        *(call.lse_buffer, call.accumulator_buffer, call.heads.start, call.heads.stop),
        provider.key(tile.area),
    )
    if provider.joins_tiles:
        for index in range(first, len(open_calls)):
            other_key, other = open_calls[index]
            if other_key == key and other.accepts(tile):
                return index
    open_calls.append((key, call))
    return len(open_calls) - 1


def _untouched(call: Call, fields: Dict[str, Any], whole: Rectangle, area: Any) -> List[Untouched]:
    """The rows before and behind those that see a key, if something has to become of them."""
    first, last = fields["first"], fields["last"]
    if first == last:  # nothing starts and ends, or a chain starts and ends: O is 0 already
        return []
    begin = whole.queries if area is None else area.query - whole.query
    end = whole.queries if area is None else begin + area.queries
    ranges: Sequence[Tuple[int, int]] = ((0, begin), (end, whole.queries))
    row, accumulator = fields["query_row"], fields["accumulator_row"]
    return [
        Untouched(
            call, first, last, slice(row + a, row + b), slice(accumulator + a, accumulator + b)
        )
        for a, b in ranges
        if a < b
    ]
