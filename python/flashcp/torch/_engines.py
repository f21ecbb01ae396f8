"""Engines: one rank of one plan behind the same two calls, whichever backend runs it.

    o, lse, saved = engine.forward(q, k, v, backward)
    dq, dk, dv = engine.backward(q, k, v, o, lse, saved, do)

`saved` are the bytes that the plan keeps from forward to backward; the caller owns all tensors, so
that autograd, checkpointing and offloading see them.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Any, Optional, Sequence, Tuple

import torch
from torch import Tensor

from flashcp._library import Tensors
from flashcp.torch._channel import Channel
from flashcp.torch._executor import TorchExecutor
from flashcp.torch._program import DTYPES
from flashcp.torch.providers import Provider

Results = Tuple[Tensor, Tensor, Tensor]


class Engine:
    """What both backends share: the shapes of a rank, and their checks."""

    backend = ""

    def __init__(self, plan: Any, rank: int) -> None:
        info = plan.rank_info(rank)
        query_heads, kv_heads = plan.heads
        self.plan, self.rank = plan, rank
        self.dtype = DTYPES[plan.dtype]
        self.saved_bytes = info.saved_bytes
        self.query_shape = (info.tokens, query_heads, plan.head_dim)
        self.key_shape = (info.tokens, kv_heads, plan.head_dim)
        self._lse_shape = (info.tokens, query_heads)

    def check(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        """ValueError or TypeError for tensors that are not this rank's, before anything is sent."""
        if (
            q.shape == self.query_shape
            and k.shape == self.key_shape
            and v.shape == self.key_shape
            and q.dtype == k.dtype == v.dtype == self.dtype
            and q.device == k.device == v.device
        ):
            return
        for name, x, shape in (
            ("q", q, self.query_shape),
            ("k", k, self.key_shape),
            ("v", v, self.key_shape),
        ):
            if x.dtype != self.dtype:
                raise TypeError(
                    f"attention on rank {self.rank}: {name} is {x.dtype}, and the plan is for "
                    f"{self.dtype}: convert {name}, or make ContextParallel with dtype={x.dtype}"
                )
            if x.shape != shape:
                raise ValueError(
                    f"attention on rank {self.rank}: {name} has shape {list(x.shape)}, and the "
                    f"plan is for [tokens, heads, head_dim] = {list(shape)}; rows are those of "
                    "batch.shard, without a batch dimension"
                )
        raise ValueError(
            f"attention on rank {self.rank}: q, k, v are on {q.device}, {k.device}, {v.device}"
        )

    def forward(self, q: Tensor, k: Tensor, v: Tensor, backward: bool) -> Results:
        raise NotImplementedError

    def backward(
        self, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, saved: Tensor, do: Tensor
    ) -> Results:
        raise NotImplementedError


class NativeEngine(Engine):
    """The C++ runtime, over the ranks of a flashcp.Group: threads of this process, or MPI."""

    backend = "native"

    def __init__(self, plan: Any, group: Any, rank: int, stream: Optional[int] = None) -> None:
        super().__init__(plan, rank)
        if plan.ranks != group.size:
            raise ValueError(f"the plan is for {plan.ranks} ranks, and the group has {group.size}")
        self._executors, self._stream = group._executors[rank], stream
        query, key, lse = (
            math.prod(x) for x in (self.query_shape, self.key_shape, self._lse_shape)
        )
        itemsize = torch.empty(0, dtype=self.dtype).element_size()
        query, key = query * itemsize, key * itemsize
        self._forward_call = _Call([query, key, key, query, lse * 4, self.saved_bytes])
        self._backward_call = _Call(
            [query, key, key, query, lse * 4, self.saved_bytes, query, query, key, key]
        )

    def check(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        if q.device.type != "cpu":
            raise ValueError(
                f"attention on rank {self.rank}: the tensors are on {q.device}, and backend "
                '"native" computes on the CPU in this version: use backend="torch" over a '
                "ProcessGroup, which runs on every device of PyTorch"
            )
        super().check(q, k, v)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, backward: bool) -> Results:
        self.check(q, k, v)
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        o = torch.empty_like(q)
        lse = torch.empty(self._lse_shape, dtype=torch.float32)
        saved = torch.empty(self.saved_bytes, dtype=torch.uint8)
        tensors = self._forward_call.tensors(q, k, v, o, lse, saved)
        self._executors.forward(self.plan, tensors, backward, self._stream)
        return o, lse, saved

    def backward(
        self, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, saved: Tensor, do: Tensor
    ) -> Results:
        q, k, v, o, lse, do = (x.contiguous() for x in (q, k, v, o, lse, do))
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        tensors = self._backward_call.tensors(q, k, v, o, lse, saved, do, dq, dk, dv)
        self._executors.backward(self.plan, tensors, self._stream)
        return dq, dk, dv


class _Call:
    """Makes the flashcp_tensors of a pass: sizes are the plan's, addresses come with the call."""

    def __init__(self, sizes: Sequence[int]) -> None:
        size = ctypes.sizeof(Tensors)
        self._pack = struct.Struct(f"{'PQ' * len(sizes)}{size - 16 * len(sizes)}x").pack
        self._values = [value for size in sizes for value in (0, size)]

    def tensors(self, *tensors: Tensor) -> Tensors:
        values = self._values.copy()
        values[::2] = [x.data_ptr() for x in tensors]
        return Tensors.from_buffer_copy(self._pack(*values))


class TorchEngine(Engine):
    """The plan in PyTorch, over a ProcessGroup, with a provider's kernels."""

    backend = "torch"

    def __init__(
        self, plan: Any, channel: Channel, provider: Provider, device: torch.device
    ) -> None:
        super().__init__(plan, channel.rank)
        self._device = device
        self._executor = TorchExecutor(plan, channel, provider, device)

    def check(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        super().check(q, k, v)
        if q.device != self._device:
            raise ValueError(
                f"attention on rank {self.rank}: the tensors are on {q.device}, and "
                f"ContextParallel was made for {self._device}"
            )

    def forward(self, q: Tensor, k: Tensor, v: Tensor, backward: bool) -> Results:
        self.check(q, k, v)
        return self._executor.forward(_dense_rows(q), _dense_rows(k), _dense_rows(v))

    def backward(
        self, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, saved: Tensor, do: Tensor
    ) -> Results:
        q, k, v, do = (_dense_rows(x) for x in (q, k, v, do))
        return self._executor.backward(q, k, v, o, lse, saved, do)


def _dense_rows(x: Tensor) -> Tensor:
    """Strides over tokens and heads are read as they are; elements of a head must be dense."""
    return x if x.stride(-1) == 1 and x.stride(0) and x.stride(1) else x.contiguous()
