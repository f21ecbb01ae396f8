"""attention(): a custom operator where PyTorch has them (2.4), an autograd function everywhere.

torch.compile, activation checkpointing and selective checkpointing see one opaque operator. The
plan is named by `handle`, a CPU int64 tensor: a Python int would compile again for each plan, and
the tensor, which autograd saves, finds the right plan in backward too.
"""

from __future__ import annotations

import itertools
from typing import Any, Dict, Literal, Optional, Tuple, Union, overload

import torch
from torch import Tensor

from flashcp.torch._engines import Engine

HAS_OPERATOR = hasattr(torch.library, "register_autograd")

Result = Union[Tensor, Tuple[Tensor, Tensor]]
Three = Tuple[Tensor, Tensor, Tensor]


class Engines:
    """The engines of one batch, by the name of the mask; "" is the first."""

    def __init__(self, engines: Dict[str, Engine]) -> None:
        self._engines = dict(engines)
        self._engines.setdefault("", next(iter(engines.values())))

    def find(self, mask: str) -> Engine:
        engine = self._engines.get(mask)
        if engine is None:
            names = [name for name in self._engines if name]
            raise ValueError(f"no mask {mask!r} in this ContextParallel: expected one of {names}")
        return engine


_BY_HANDLE: Dict[int, Engines] = {}
_numbers = itertools.count(1)


def add(engines: Engines) -> int:
    """Registers the engines of a batch; returns the number that its handle holds."""
    number = next(_numbers)
    _BY_HANDLE[number] = engines
    return number


def remove(number: int) -> None:
    """Forgets the engines of a batch."""
    _BY_HANDLE.pop(number, None)


def _find(handle: Tensor, mask: str) -> Engine:
    number = int(handle)
    engines = _BY_HANDLE.get(number)
    if engines is None:
        raise RuntimeError(
            f"the batch of handle {number} is gone: keep its Batch until its last backward pass; "
            "planner.steps() does so until the next step is asked for"
        )
    return engines.find(mask)


@overload
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    handle: Tensor,
    mask: Optional[str] = None,
    *,
    dropout_p: float = 0.0,
    return_lse: Literal[False] = False,
    operator: Optional[bool] = None,
) -> Tensor: ...
@overload
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    handle: Tensor,
    mask: Optional[str] = None,
    *,
    dropout_p: float = 0.0,
    return_lse: Literal[True],
    operator: Optional[bool] = None,
) -> Tuple[Tensor, Tensor]: ...
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    handle: Tensor,
    mask: Optional[str] = None,
    *,
    dropout_p: float = 0.0,
    return_lse: bool = False,
    operator: Optional[bool] = None,
) -> Result:
    """Exact attention of this rank's queries over all keys of the batch that the mask shows.

    Collective: all ranks of the group call it in the same order, forward and backward.

    Args:
      q: [tokens of the rank, query heads, head_dim]; k, v: [tokens, key/value heads, head_dim], in
        the plan's dtype and the order of rows of `Batch.shard`. Under autocast they are converted
        to its dtype. Any strides; those of tokens and heads cost no copy on backend "torch".
      handle: `Batch.handle`.
      mask: a name in ContextParallel's `masks`; None: the first one.
      dropout_p: must be 0: ranks see parts of a row, and their masks would not agree.
      return_lse: return (o, lse), lse [tokens, query heads] in f32, which has no gradient.
      operator: False: the autograd function, with less overhead in eager mode, which selective
        checkpointing and torch.compile(fullgraph=True) do not see.

    Returns:
      o [tokens, query heads, head_dim] in the plan's dtype; rows that see no key are 0.
    """
    if dropout_p:
        raise ValueError(
            f"attention: dropout_p is {dropout_p}; dropout on attention scores is not supported, "
            "since ranks see parts of a row: set it to 0 (dropout elsewhere is yours to keep)"
        )
    q, k, v = _autocast(q, k, v)
    if HAS_OPERATOR and operator is not False:
        backward = torch.is_grad_enabled() and (
            q.requires_grad or k.requires_grad or v.requires_grad
        )
        o, lse, _ = torch.ops.flashcp.attention.default(q, k, v, handle, mask or "", backward)
        return (o, lse) if return_lse else o
    o, lse = _Attention.apply(q, k, v, _find(handle, mask or ""), torch.is_grad_enabled())
    return (o, lse) if return_lse else o


def plan_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    plan: Any,
    group: Any,
    rank: int,
    *,
    return_lse: bool = False,
) -> Result:
    """What flashcp.attention does with torch tensors: differentiable, over a flashcp.Group."""
    from flashcp.torch._engines import NativeEngine

    engine = NativeEngine(plan, group, rank)
    o, lse = _Attention.apply(q, k, v, engine, torch.is_grad_enabled())
    return (o, lse) if return_lse else o


def _autocast(*tensors: Tensor) -> Tuple[Tensor, ...]:
    """Converts to autocast's dtype, as operators of PyTorch do, if it is on."""
    dtype = _autocast_dtype(tensors[0].device.type)
    return tensors if dtype is None else tuple(x.to(dtype) for x in tensors)


def _autocast_dtype(device: str) -> Optional[torch.dtype]:
    """The dtype of autocast on a kind of device; None if it is off."""
    if device == "meta":
        return None
    if hasattr(torch, "get_autocast_dtype"):  # 2.4
        return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    if device == "cpu":
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None


class _Attention(torch.autograd.Function):
    """The engine's two passes as one differentiable function."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, engine: Engine, grad_enabled: bool
    ) -> Tuple[Tensor, Tensor]:
        # Grad mode is off in here; needs_input_grad is of the inputs alone.
        backward = grad_enabled and any(ctx.needs_input_grad)
        o, lse, saved = engine.forward(q, k, v, backward)
        if backward:
            ctx.save_for_backward(q, k, v, o, lse, saved)
            ctx.engine = engine
        ctx.mark_non_differentiable(lse)
        return o, lse

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, do: Tensor, _: Tensor) -> Tuple[Optional[Tensor], ...]:
        return (*ctx.engine.backward(*ctx.saved_tensors, do), None, None)


if HAS_OPERATOR:
    # Not by custom_op, whose checks of each call cost 10 us; opcheck makes them in the tests.
    _FORWARD, _BACKWARD = "flashcp::attention", "flashcp::attention_backward"
    torch.library.define(
        _FORWARD,
        "(Tensor q, Tensor k, Tensor v, Tensor handle, str mask, bool backward)"
        " -> (Tensor, Tensor, Tensor)",
    )
    torch.library.define(
        _BACKWARD,
        "(Tensor dout, Tensor q, Tensor k, Tensor v, Tensor o, Tensor lse, Tensor saved,"
        " Tensor handle, str mask) -> (Tensor, Tensor, Tensor)",
    )

    @torch.library.impl(_FORWARD, "CompositeExplicitAutograd")
    def _forward(
        q: Tensor, k: Tensor, v: Tensor, handle: Tensor, mask: str, backward: bool
    ) -> Three:
        return _find(handle, mask).forward(q, k, v, backward)

    @torch.library.impl(_BACKWARD, "CompositeExplicitAutograd")
    def _backward(
        dout: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        lse: Tensor,
        saved: Tensor,
        handle: Tensor,
        mask: str,
    ) -> Three:
        return _find(handle, mask).backward(q, k, v, o, lse, saved, dout)

    @torch.library.register_fake(_FORWARD)
    def _(q: Tensor, k: Tensor, v: Tensor, handle: Tensor, mask: str, backward: bool) -> Three:
        saved = torch.library.get_ctx().new_dynamic_size()  # of the plan: tracing does not see it
        return (
            torch.empty_like(q, memory_format=torch.contiguous_format),
            q.new_empty(q.shape[:2], dtype=torch.float32),
            q.new_empty(saved, dtype=torch.uint8),
        )

    @torch.library.register_fake(_BACKWARD)
    def _(
        dout: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        o: Tensor,
        lse: Tensor,
        saved: Tensor,
        handle: Tensor,
        mask: str,
    ) -> Three:
        return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))

    class _Operator(torch.autograd.Function):
        """The gradient of the operator, which is the other operator."""

        @staticmethod
        def forward(
            ctx: Any, q: Tensor, k: Tensor, v: Tensor, handle: Tensor, mask: str, backward: bool
        ) -> Three:
            with torch._C._AutoDispatchBelowAutograd():
                o, lse, saved = torch.ops.flashcp.attention.default(q, k, v, handle, mask, backward)
            ctx.mark_non_differentiable(lse, saved)
            ctx.save_for_backward(q, k, v, o, lse, saved, handle)
            ctx.mask = mask
            return o, lse, saved

        @staticmethod
        def backward(ctx: Any, do: Tensor, _lse: Tensor, _saved: Tensor) -> Tuple[Any, ...]:
            gradients = torch.ops.flashcp.attention_backward.default(
                do, *ctx.saved_tensors, ctx.mask
            )
            return (*gradients, None, None, None)

    @torch.library.impl(_FORWARD, "Autograd")
    def _differentiable(
        q: Tensor, k: Tensor, v: Tensor, handle: Tensor, mask: str, backward: bool
    ) -> Three:
        # What register_autograd makes of the class above takes 20 us a call longer.
        if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
            return _Operator.apply(q, k, v, handle, mask, backward)
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.flashcp.attention.default(q, k, v, handle, mask, backward)


def keep_attention() -> Tuple[Any, Any]:
    """context_fn of torch.utils.checkpoint.checkpoint: recomputes a block without its attention,
    whose exchange then runs once, not twice. PyTorch 2.4; use_reentrant=False."""
    from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

    def policy(_context: Any, operator: Any, *_args: Any, **_kwargs: Any) -> Any:
        kept = operator == torch.ops.flashcp.attention.default
        return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)
