"""attention() and attention_backward(): a pass of one rank over tensors of the caller."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, Optional, Tuple

import numpy

from flashcp._errors import InvalidArgumentError
from flashcp._executors import check_ranks
from flashcp._group import Group
from flashcp._library import Tensors
from flashcp._plan import Plan
from flashcp._tensors import Memory, empty, empty_lse, empty_saved, memory_of


class Residuals(NamedTuple):
    """What backward needs of a forward pass. Tensors must not change in between."""

    query: Any
    key: Any
    value: Any
    output: Any
    lse: Any
    """Natural logarithm of the sum of exponentials, float32 [tokens, query heads]."""
    saved: Optional[numpy.ndarray]
    """Received rows that are not sent again, uint8; None if the plan saves none."""


def attention(
    q: Any,
    k: Any,
    v: Any,
    plan: Plan,
    group: Group,
    rank: Optional[int] = None,
    *,
    for_backward: bool = False,
    return_lse: bool = False,
    out: Any = None,
    stream: Optional[int] = None,
) -> Any:
    """Exact attention of this rank's queries over all keys of the batch that the masks allow.

    Collective: all ranks call it, in the same order. Rows are in the plan's order for the rank
    (`plan.token_indices`). Tensors are not copied: they are dense, row-major, on the CPU.

    Args:
      q: [tokens of the rank, query heads, head_dim] of the plan's dtype.
      k, v: [tokens of the rank, key/value heads, head_dim] of the plan's dtype. Each of the three
        is a numpy array (bf16: uint16 or ml_dtypes.bfloat16), a torch tensor, or any tensor with
        __dlpack__.
      plan: of the group's number of ranks.
      group: the ranks that run it.
      rank: None: that of this process (MPI, or a group of one rank).
      for_backward: return (o, residuals) for `attention_backward`.
      return_lse: return (o, lse), lse being float32 [tokens, query heads], natural logarithm.
      out: tensor [tokens, query heads, head_dim] that o is written to and that is returned.
      stream: of the caller, on devices that have streams; None on the CPU.

    Returns:
      o: as `out`, or a new numpy array like q: [tokens, query heads, head_dim], of q's dtype if q
      is an array, else float32, float16, or uint16 with the bits of bf16. Rows that see no key are
      0, with LSE -inf. For torch tensors, a torch tensor: differentiable in q, k and v unless
      for_backward or out is given; lse is not differentiable.

    Raises:
      InvalidArgumentError (a ValueError), which names the tensor, before anything is sent. After
      AbortedError (another rank failed), DeadlineExceededError (a TimeoutError: a rank did not
      come) or another FlashcpError of the pass, the group has ended on all ranks.
    """
    if for_backward and return_lse:
        raise InvalidArgumentError("attention: residuals hold the lse: ask for one of them")
    rank = group._rank_or_own(rank)
    if _is_torch(q) and out is None and not for_backward:
        from flashcp import torch as flashcp_torch

        return flashcp_torch.plan_attention(q, k, v, plan, group, rank, return_lse=return_lse)
    check_ranks(plan, group.size)
    residuals = _forward(q, k, v, plan, group, rank, for_backward, out, stream)
    if for_backward:
        return residuals.output, residuals
    return (residuals.output, residuals.lse) if return_lse else residuals.output


def attention_backward(
    do: Any,
    residuals: Residuals,
    plan: Plan,
    group: Group,
    rank: Optional[int] = None,
    *,
    out: Optional[Tuple[Any, Any, Any]] = None,
    stream: Optional[int] = None,
) -> Tuple[Any, Any, Any]:
    """The gradients of this rank's q, k and v: sums of what queries of all ranks give to them.

    Collective, like `attention`. The same bits in every run.

    Args:
      do: gradient of o, [tokens of the rank, query heads, head_dim] of the plan's dtype.
      residuals: of `attention(..., for_backward=True)` with the same plan, group and rank.
      out: tensors that the gradients are written to and that are returned.
      plan, group, rank, stream: as for `attention`.

    Returns:
      (dq, dk, dv), of the shapes of q, k and v, and of the kind of o.

    Raises: as `attention`.
    """
    rank = group._rank_or_own(rank)
    check_ranks(plan, group.size)
    sizes = _Sizes(plan, rank)
    like = residuals.query
    query, key, value, output, lse, saved = residuals
    dq, dk, dv = out or (
        empty(sizes.query, sizes.dtype, like),
        empty(sizes.key, sizes.dtype, like),
        empty(sizes.key, sizes.dtype, like),
    )
    memory = sizes.forward(query, key, value, output, lse, saved, write=False)
    memory += [
        sizes.memory("do", do, sizes.query),
        sizes.memory("dq", dq, sizes.query, write=True),
        sizes.memory("dk", dk, sizes.key, write=True),
        sizes.memory("dv", dv, sizes.key, write=True),
    ]
    group._executors[rank].backward(plan, _tensors(memory), stream)
    return dq, dk, dv


def _forward(
    q: Any,
    k: Any,
    v: Any,
    plan: Plan,
    group: Group,
    rank: int,
    backward: bool,
    out: Any,
    stream: Optional[int],
) -> Residuals:
    sizes = _Sizes(plan, rank)
    output = empty(sizes.query, sizes.dtype, q) if out is None else out
    lse = empty_lse(sizes.lse, q)
    saved = empty_saved(sizes.saved_bytes) if sizes.saved_bytes else None
    memory = sizes.forward(q, k, v, output, lse, saved, write=True)
    group._executors[rank].forward(plan, _tensors(memory), backward, stream)
    return Residuals(q, k, v, output, lse, saved)


class _Sizes:
    """Shapes of the tensors of one rank of a plan."""

    def __init__(self, plan: Plan, rank: int) -> None:
        info = plan.rank_info(rank)
        query_heads, key_value_heads = plan.heads
        self.dtype = plan.dtype
        self.query = (info.tokens, query_heads, plan.head_dim)
        self.key = (info.tokens, key_value_heads, plan.head_dim)
        self.lse = (info.tokens, query_heads)
        self.saved_bytes = info.saved_bytes

    def memory(self, name: str, tensor: Any, shape: Tuple[int, ...], write: bool = False) -> Memory:
        """Returns the memory of a tensor of the plan's dtype."""
        return memory_of(name, tensor, shape, self.dtype, write)

    def forward(
        self, q: Any, k: Any, v: Any, o: Any, lse: Any, saved: Optional[numpy.ndarray], write: bool
    ) -> "list[Memory]":
        """Returns the memory of a forward pass's tensors, in the order of flashcp_tensors."""
        return [
            self.memory("q", q, self.query),
            self.memory("k", k, self.key),
            self.memory("v", v, self.key),
            self.memory("o", o, self.query, write),
            memory_of("lse", lse, self.lse, "f32", write),
            self._saved(saved),
        ]

    def _saved(self, saved: Optional[numpy.ndarray]) -> Memory:
        found = 0 if saved is None else saved.nbytes
        if found != self.saved_bytes:
            raise InvalidArgumentError(
                f"saved: expected {self.saved_bytes} bytes, as the plan says, found {found}"
            )
        if saved is None:
            return Memory(0, 0, None)
        return Memory(saved.ctypes.data, found, saved)


def _tensors(memory: "list[Memory]") -> Tensors:
    # `memory` of the caller owns what the addresses point to until the pass is done.
    return Tensors(*[(m.address if m.bytes else None, m.bytes) for m in memory])


def _is_torch(tensor: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)
