"""Plan: an immutable plan, its token layout as numpy arrays, its tables as views of its bytes."""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy

from flashcp import _library, tables
from flashcp._library import Handle, check

DTYPES = ("f32", "bf16", "f16")


class RankInfo(NamedTuple):
    """Sizes of one rank."""

    tokens: int
    """Rows of the rank's tensors."""
    workspace_bytes: int
    """Memory that an executor takes for forward alone."""
    backward_workspace_bytes: int
    """Memory that an executor takes for backward; one that does both takes the larger one."""
    saved_bytes: int
    """Memory that the caller keeps from forward to backward."""


class _Memory:
    """Bytes of a plan for numpy.asarray, which keeps this object, and so the plan, alive."""

    def __init__(self, handle: Handle, address: int, size: int) -> None:
        self._handle = handle
        self.__array_interface__ = {
            "data": (address, True),
            "shape": (size,),
            "typestr": "|u1",
            "version": 3,
        }


class RankTables:
    """The tables of one rank: read-only numpy structured arrays, views of the plan's bytes.

    Attributes are named as in plan.fbs: `layout`, `buffers`, `instructions`, `waits`, `tiles`,
    `messages`, `parts`, `slices`, `backward_instructions`, `backward_waits`; dtypes are those of
    `flashcp.tables`.
    """

    __slots__ = ("_plan", "_rank")

    def __init__(self, plan: "Plan", rank: int) -> None:
        self._plan = plan
        self._rank = rank

    @property
    def layout(self) -> numpy.ndarray:
        """Token ranges in the order of the rank's rows: tables.TOKEN_RANGE."""
        return self._plan._table(self._rank, "layout")

    @property
    def buffers(self) -> numpy.ndarray:
        """The caller's tensors first, then the workspace: tables.BUFFER."""
        return self._plan._table(self._rank, "buffers")

    @property
    def instructions(self) -> numpy.ndarray:
        """The forward program: tables.INSTRUCTION."""
        return self._plan._table(self._rank, "instructions")

    @property
    def waits(self) -> numpy.ndarray:
        """The waits of the forward program: tables.WAIT."""
        return self._plan._table(self._rank, "waits")

    @property
    def tiles(self) -> numpy.ndarray:
        """Attention tiles of both programs: tables.TILE."""
        return self._plan._table(self._rank, "tiles")

    @property
    def messages(self) -> numpy.ndarray:
        """Messages of both programs: tables.MESSAGE."""
        return self._plan._table(self._rank, "messages")

    @property
    def parts(self) -> numpy.ndarray:
        """The parts of the messages: tables.PART."""
        return self._plan._table(self._rank, "parts")

    @property
    def slices(self) -> numpy.ndarray:
        """The rows of the parts: tables.SLICE."""
        return self._plan._table(self._rank, "slices")

    @property
    def backward_instructions(self) -> numpy.ndarray:
        """The backward program: tables.INSTRUCTION."""
        return self._plan._table(self._rank, "backward_instructions")

    @property
    def backward_waits(self) -> numpy.ndarray:
        """The waits of the backward program: tables.WAIT."""
        return self._plan._table(self._rank, "backward_waits")


class Plan:
    """What each of `ranks` ranks does for one batch: made by `compile`, `load` or `from_bytes`.

    Immutable, and safe to use from many threads. A plan pickles as its bytes, and two plans are
    equal if their bytes are. Errors of all methods: InvalidArgumentError (a ValueError) for a rank
    that the plan does not have.
    """

    __slots__ = ("_handle", "_info", "_bytes", "_rank_infos", "__weakref__")

    def __init__(self, handle: Handle) -> None:
        """Takes over a handle of the C library; use `compile`, `load` or `from_bytes` instead."""
        self._handle = handle
        self._info = _library.PlanInfo()
        check(_library.runtime().flashcp_plan_get_info(handle.pointer, ctypes.byref(self._info)))
        self._bytes: Optional[numpy.ndarray] = None
        self._rank_infos: Dict[int, RankInfo] = {}

    # ---- Files and bytes

    @staticmethod
    def load(path: Union[str, "os.PathLike[str]"]) -> "Plan":
        """Reads a plan from a file that `save` or `flashcp compile` wrote, and verifies it.

        InvalidArgumentError for a file that is not a plan of this version, FailedPreconditionError
        for a plan that breaks a rule; the text names the rule.
        """
        pointer = ctypes.c_void_p()
        check(_library.runtime().flashcp_plan_load(os.fsencode(path), ctypes.byref(pointer)))
        return Plan(_library.plan_handle(pointer))

    @staticmethod
    def from_bytes(data: Union[bytes, bytearray, memoryview, numpy.ndarray]) -> "Plan":
        """Makes a plan of the bytes of its file, which are copied and verified as by `load`."""
        pointer = ctypes.c_void_p()
        content = bytes(data)
        check(
            _library.runtime().flashcp_plan_from_bytes(content, len(content), ctypes.byref(pointer))
        )
        return Plan(_library.plan_handle(pointer))

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the plan's bytes to a file."""
        check(_library.runtime().flashcp_plan_save(self._handle.pointer, os.fsencode(path)))

    @property
    def buffer(self) -> numpy.ndarray:
        """The bytes of the plan's file without a copy: read-only uint8 [size]."""
        if self._bytes is None:
            size = ctypes.c_size_t()
            address = _library.runtime().flashcp_plan_bytes(
                self._handle.pointer, ctypes.byref(size)
            )
            self._bytes = numpy.asarray(_Memory(self._handle, address, size.value))
        return self._bytes

    def to_bytes(self) -> bytes:
        """Returns a copy of the bytes of the plan's file; the same on every machine."""
        return self.buffer.tobytes()

    __bytes__ = to_bytes

    def __reduce__(self) -> Tuple[Any, Tuple[bytes]]:
        return Plan.from_bytes, (self.to_bytes(),)

    # ---- The whole plan

    @property
    def hash(self) -> int:
        """Hash of the content, 64 bits; equal on all ranks that have the same plan."""
        return int(self._info.hash)

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return int(self._info.tokens)

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return int(self._info.ranks)

    @property
    def heads(self) -> Tuple[int, int]:
        """Query heads, and key/value heads."""
        return self._info.query_heads, self._info.key_value_heads

    @property
    def head_dim(self) -> int:
        """Elements of one head."""
        return int(self._info.head_dim)

    @property
    def head_groups(self) -> int:
        """Rounds of a pass: its heads are computed group after group."""
        return int(self._info.head_groups)

    @property
    def dtype(self) -> str:
        """Element type of Q, K, V, O and their gradients: "f32", "bf16" or "f16"."""
        return DTYPES[self._info.dtype]

    @property
    def scale(self) -> float:
        """Scale of the scores before softmax."""
        return float(self._info.scale)

    @property
    def forward_us(self) -> float:
        """Modelled microseconds of forward on the slowest rank; never measured."""
        return float(self._info.forward_us)

    @property
    def backward_us(self) -> float:
        """Modelled microseconds of backward on the slowest rank; never measured."""
        return float(self._info.backward_us)

    @property
    def bound_us(self) -> float:
        """Modelled lower bound of forward + backward, over all placements."""
        return float(self._info.bound_us)

    @property
    def documents(self) -> numpy.ndarray:
        """The documents of the batch in the order of the pack: tables.DOCUMENT, a view."""
        return self._table(0, "documents")

    @property
    def document_lengths(self) -> numpy.ndarray:
        """Tokens of each document: int64 [documents]."""
        return self.documents["length"].astype(numpy.int64)

    def inspect(self) -> Dict[str, Any]:
        """Returns balance, bytes, memory, modelled times: what `flashcp inspect --json` prints."""
        text = ctypes.c_void_p()
        check(_library.runtime().flashcp_plan_inspect(self._handle.pointer, ctypes.byref(text)))
        content: Dict[str, Any] = json.loads(_library.text_of(text))
        return content

    # ---- One rank

    def rank_info(self, rank: int) -> RankInfo:
        """Returns the sizes of a rank's tensors and memory."""
        known = self._rank_infos.get(rank)
        if known is not None:
            return known
        info = _library.RankInfo()
        check(
            _library.runtime().flashcp_plan_get_rank_info(
                self._handle.pointer, rank, ctypes.byref(info)
            )
        )
        return self._rank_infos.setdefault(
            rank,
            RankInfo(
                info.tokens, info.workspace_bytes, info.backward_workspace_bytes, info.saved_bytes
            ),
        )

    def rank_tokens(self, rank: int) -> int:
        """Returns the number of tokens that the rank owns: rows of its tensors."""
        return self.rank_info(rank).tokens

    def token_indices(self, rank: int) -> numpy.ndarray:
        """Returns the global token of each local row: int64 [rank's tokens].

        Global tokens count through the documents, one after the other:
        `global_tensor[plan.token_indices(rank)]` are the rank's rows.
        """
        return self._layout(_library.runtime().flashcp_plan_token_indices, rank)

    def position_ids(self, rank: int) -> numpy.ndarray:
        """Returns each local row's position in its document, for RoPE: int64 [rank's tokens]."""
        return self._layout(_library.runtime().flashcp_plan_position_ids, rank)

    def document_ids(self, rank: int) -> numpy.ndarray:
        """Returns the document of each local row: int64 [rank's tokens]."""
        return self._layout(_library.runtime().flashcp_plan_document_ids, rank)

    def rank(self, rank: int) -> RankTables:
        """Returns the tables of a rank, as views of the plan's bytes."""
        self.rank_info(rank)  # Refuses a rank that is not there.
        return RankTables(self, rank)

    def _layout(self, function: Any, rank: int) -> numpy.ndarray:
        values = numpy.empty(self.rank_tokens(rank), numpy.int64)
        check(function(self._handle.pointer, rank, values.ctypes.data, values.size))
        return values

    def _table(self, rank: int, name: str) -> numpy.ndarray:
        rows, count, row_bytes = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
        check(
            _library.runtime().flashcp_plan_table(
                self._handle.pointer,
                rank,
                name.encode(),
                ctypes.byref(rows),
                ctypes.byref(count),
                ctypes.byref(row_bytes),
            )
        )
        dtype = tables.TABLES[name]
        if count.value == 0:
            return self.buffer[:0].view(dtype)
        if row_bytes.value != dtype.itemsize:
            raise ImportError(
                f"table {name}: the library's rows have {row_bytes.value} bytes, this package "
                f"knows rows of {dtype.itemsize}: install both from one version"
            )
        begin = (rows.value or 0) - self.buffer.ctypes.data
        return self.buffer[begin : begin + count.value * dtype.itemsize].view(dtype)

    # ---- Python

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return self is other or (
            self.hash == other.hash and numpy.array_equal(self.buffer, other.buffer)
        )

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        query, key_value = self.heads
        return (
            f"<flashcp.Plan {self.hash:016x}: {self._info.documents} documents, {self.tokens} "
            f"tokens, {self.ranks} ranks, heads {query}:{key_value} of {self.head_dim}, "
            f"{self.dtype}>"
        )
