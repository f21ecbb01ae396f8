"""Companions of a permuted layout: what else a trainer does with tokens that a plan has placed.

Global order: all documents one after the other, token 0 to plan.tokens - 1. Local order: the rows
of a rank, `plan.token_indices(rank)`. Sequence order: rank r holds a run of global tokens, as many
as it has local rows: what convolutions and state-space layers work on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

import numpy

from flashcp._errors import InvalidArgumentError
from flashcp._executors import check_ranks
from flashcp._plan import Plan

if TYPE_CHECKING:
    from flashcp._group import Group

IGNORE_INDEX = -100  # The label that cross entropy skips.


def scatter(x: Any, plan: Plan, rank: int) -> Any:
    """Returns the rank's rows of a tensor in global order: [tokens, ...] -> [rank's tokens, ...].

    A copy, of the kind of x: anything that an int64 array can index, torch tensors included; dense
    and row-major for numpy arrays.
    """
    _check_rows("x", x, plan.tokens, "of the batch")
    rows = plan.token_indices(rank)
    return x.take(rows, axis=0) if isinstance(x, numpy.ndarray) else x[rows]


def gather(
    x: Any, plan: Plan, group: "Optional[Group]" = None, rank: Optional[int] = None
) -> numpy.ndarray:
    """Returns the tensor in global order: the inverse of `scatter`.

    Without a group, `x` is a sequence of the rows of all ranks, each [rank's tokens, ...]. With
    one, `x` is this rank's rows, numpy, and the call is collective: each rank gets the whole
    tensor, [tokens, ...].
    """
    if group is None:
        if len(x) != plan.ranks:
            raise InvalidArgumentError(
                f"gather: expected the rows of {plan.ranks} ranks, found {len(x)}; with the rows "
                "of one rank, pass group and rank"
            )
        rows = [numpy.asarray(local) for local in x]
    else:
        rows = _all_gather(x, plan, group, rank)
    result = numpy.empty((plan.tokens,) + rows[0].shape[1:], rows[0].dtype)
    for owner, local in enumerate(rows):
        _check_rows(f"rows of rank {owner}", local, plan.rank_tokens(owner), f"of rank {owner}")
        result[plan.token_indices(owner)] = local
    return result


def roll(
    x: Any, shift: int, plan: Plan, rank: Optional[int] = None, *, fill: Any = IGNORE_INDEX
) -> numpy.ndarray:
    """Returns x rolled within each document: row p becomes that of position p - shift.

    As numpy.roll, but rows that have no such position in their document are `fill`: roll(tokens,
    -1) are the labels of next-token prediction, roll(tokens, -2) those of the token after it.

    Args:
      x: numpy array in global order, [tokens, ...].
      rank: return the rank's rows, in local order; None: all rows, in global order.
    """
    x = numpy.asarray(x)
    _check_rows("x", x, plan.tokens, "of the batch")
    lengths = plan.document_lengths
    begin = numpy.cumsum(lengths) - lengths
    rows = numpy.arange(plan.tokens) if rank is None else plan.token_indices(rank)
    documents = (
        numpy.repeat(numpy.arange(len(lengths)), lengths)
        if rank is None
        else plan.document_ids(rank)
    )
    positions = rows - begin[documents] - shift
    inside = (positions >= 0) & (positions < lengths[documents])
    result = numpy.full((len(rows),) + x.shape[1:], fill, x.dtype)
    result[inside] = x[rows[inside] - shift]
    return result


def next_token_labels(
    tokens: Any, plan: Plan, rank: Optional[int] = None, *, ahead: int = 1
) -> numpy.ndarray:
    """Returns the label of each row: the token `ahead` positions on in its document, else -100.

    `tokens` is an integer array in global order, [tokens]; unsigned ones become int64. The shift is
    made before the permutation, so no rank needs a row of another one. Returns the rank's rows, or
    all in global order.
    """
    tokens = numpy.asarray(tokens)
    if tokens.dtype.kind == "u":
        tokens = tokens.astype(numpy.int64)
    if ahead < 1:
        raise InvalidArgumentError(f"next_token_labels: ahead is at least 1, found {ahead}")
    return roll(tokens, -ahead, plan, rank)


def loss_mask(plan: Plan, rank: Optional[int] = None, *, ahead: int = 1) -> numpy.ndarray:
    """Returns if a row has a label `ahead` positions on: bool, of the rank's rows or of all.

    Its sum over all ranks is the divisor of a mean loss: ranks have unequal numbers of labels.
    """
    return roll(numpy.ones(plan.tokens, bool), -ahead, plan, rank, fill=False)


def to_sequence_order(
    x: Any, plan: Plan, group: "Group", rank: Optional[int] = None
) -> numpy.ndarray:
    """Returns this rank's run of global tokens, of all ranks' local rows. Collective.

    [rank's tokens, ...] -> [rank's tokens, ...]; row i is global token
    `sequence_range(plan, rank).start + i`.
    """
    run = sequence_range(plan, group._rank_or_own(rank))
    return gather(x, plan, group, rank)[run.start : run.stop]


def from_sequence_order(
    y: Any, plan: Plan, group: "Group", rank: Optional[int] = None
) -> numpy.ndarray:
    """Returns this rank's local rows, of all ranks' runs of global tokens. Collective.

    The inverse of `to_sequence_order`.
    """
    whole = numpy.concatenate(_all_gather(y, plan, group, rank))
    return numpy.take(whole, plan.token_indices(group._rank_or_own(rank)), axis=0)


def sequence_range(plan: Plan, rank: int) -> range:
    """Returns the global tokens of a rank in sequence order; runs of ranks follow each other."""
    begin = sum(plan.rank_tokens(before) for before in range(rank))
    return range(begin, begin + plan.rank_tokens(rank))


def _all_gather(x: Any, plan: Plan, group: "Group", rank: Optional[int]) -> List[numpy.ndarray]:
    """Returns the rows of all ranks. All have the same row shape and dtype."""
    rank = group._rank_or_own(rank)
    check_ranks(plan, group.size)
    x = numpy.ascontiguousarray(x)
    counts = [plan.rank_tokens(owner) for owner in range(plan.ranks)]
    _check_rows("x", x, counts[rank], f"of rank {rank}")
    whole = numpy.empty((plan.tokens,) + x.shape[1:], x.dtype)
    row_bytes = x.dtype.itemsize * int(numpy.prod(x.shape[1:], dtype=numpy.int64))
    group._executors[rank].all_gather(
        x.ctypes.data, [count * row_bytes for count in counts], whole.ctypes.data
    )
    return numpy.split(whole, numpy.cumsum(counts)[:-1])


def _check_rows(name: str, x: Any, rows: int, owner: str) -> None:
    found = len(x)
    if found != rows:
        raise InvalidArgumentError(
            f"{name}: expected {rows} rows, the tokens {owner}, found {found}"
        )
