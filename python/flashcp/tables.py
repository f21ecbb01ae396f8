"""The tables of a plan as numpy structured dtypes: the structs of flashcp_tables.h, and enums.

A table that `Plan.documents` or `Plan.rank(r)` returns is a view of the plan's bytes: one row of it
is one struct of the file, fields are named as in plan.fbs, which says their units. Enums are ubyte
fields that compare equal to the members below:

    tables = plan.rank(0)
    attends = tables.instructions[tables.instructions["opcode"] == Opcode.ATTEND]
"""

from __future__ import annotations

from enum import IntEnum
from typing import Dict, Sequence, Tuple

import numpy


class DType(IntEnum):
    """Element types."""

    F32 = 0
    BF16 = 1
    F16 = 2


class BufferKind(IntEnum):
    """What a buffer holds; plan.fbs says what each kind is for."""

    QUERY = 0
    KEY = 1
    VALUE = 2
    OUTPUT = 3
    LSE = 4
    OUTPUT_GRADIENT = 5
    QUERY_GRADIENT = 6
    KEY_GRADIENT = 7
    VALUE_GRADIENT = 8
    REMOTE_KEY = 9
    REMOTE_VALUE = 10
    SAVED_KEY = 11
    SAVED_VALUE = 12
    ACCUMULATOR = 13
    DELTA = 14
    QUERY_SUM = 15
    KEY_SUM = 16
    VALUE_SUM = 17
    REMOTE_KEY_SUM = 18
    REMOTE_VALUE_SUM = 19
    OUTGOING_KEY = 20
    OUTGOING_VALUE = 21
    INCOMING = 22


class Direction(IntEnum):
    """Whether the rank sends or receives a message."""

    SEND = 0
    RECEIVE = 1


class Opcode(IntEnum):
    """Instructions of both programs."""

    EXCHANGE = 0
    ATTEND = 1
    CLEAR_GRADIENTS = 2
    RESEND = 3
    ATTEND_BACKWARD = 4
    PACK_GRADIENTS = 5
    EXCHANGE_GRADIENTS = 6
    ADD_GRADIENTS = 7
    STORE_GRADIENTS = 8


class Stream(IntEnum):
    """The stream of an instruction."""

    COMPUTE = 0
    COMMUNICATION = 1


def _struct(fields: Sequence[Tuple[str, object]]) -> numpy.dtype:
    # Padded as C pads, which is how FlatBuffers lays structs out.
    return numpy.dtype(list(fields), align=True)


_UINT, _INT, _ULONG, _USHORT, _UBYTE = "<u4", "<i4", "<u8", "<u2", "u1"

BAND = _struct([("lower", _INT), ("upper", _INT)])
DOCUMENT = _struct([("length", _UINT), ("band", BAND)])
TOKEN_RANGE = _struct([("document", _UINT), ("begin", _UINT), ("end", _UINT)])
BUFFER = _struct(
    [
        ("offset", _ULONG),
        ("rows", _UINT),
        ("heads", _UINT),
        ("dim", _UINT),
        ("kind", _UBYTE),
        ("dtype", _UBYTE),
        ("places", _UBYTE),
    ]
)
SLICE = _struct([("begin", _UINT), ("count", _UINT)])
PART = _struct(
    [
        ("buffer", _UINT),
        ("head_begin", _UINT),
        ("head_end", _UINT),
        ("slice_begin", _UINT),
        ("slice_end", _UINT),
        ("saved", "?"),
    ]
)
MESSAGE = _struct(
    [
        ("bytes", _ULONG),
        ("peer", _UINT),
        ("tag", _UINT),
        ("part_begin", _UINT),
        ("part_end", _UINT),
        ("direction", _UBYTE),
    ]
)
TILE = _struct(
    [
        ("document", _UINT),
        ("query_position", _UINT),
        ("query_count", _UINT),
        ("key_position", _UINT),
        ("key_count", _UINT),
        ("band", BAND),
        ("query_row", _UINT),
        ("key_row", _UINT),
        ("accumulator_row", _UINT),
        ("head_begin", _UINT),
        ("head_end", _UINT),
        ("query_buffer", _USHORT),
        ("key_buffer", _USHORT),
        ("value_buffer", _USHORT),
        ("output_buffer", _USHORT),
        ("lse_buffer", _USHORT),
        ("accumulator_buffer", _USHORT),
        ("first", "?"),
        ("last", "?"),
    ]
)
WAIT = _struct([("instruction", _UINT), ("rounds", _UINT)])
INSTRUCTION = _struct(
    [
        ("begin", _UINT),
        ("end", _UINT),
        ("wait_begin", _UINT),
        ("wait_end", _UINT),
        ("stage", _UINT),
        ("opcode", _UBYTE),
        ("stream", _UBYTE),
    ]
)

# Tables of a plan by the names of flashcp_plan_table; all but the first are of a rank.
TABLES: Dict[str, numpy.dtype] = {
    "documents": DOCUMENT,
    "layout": TOKEN_RANGE,
    "buffers": BUFFER,
    "instructions": INSTRUCTION,
    "waits": WAIT,
    "tiles": TILE,
    "messages": MESSAGE,
    "parts": PART,
    "slices": SLICE,
    "backward_instructions": INSTRUCTION,
    "backward_waits": WAIT,
}

# No limit on a side of a band.
NO_LOWER = -(2**31)
NO_UPPER = 2**31 - 1
