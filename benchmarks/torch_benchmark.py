"""Prints what flashcp.torch costs, and how its attention compares with PyTorch's own.

    FLASHCP_LIBRARY_DIR=bazel-bin/api PYTHONPATH=python python benchmarks/torch_benchmark.py

The calls: forward of one token and one head of 8, where all is overhead, over the same pass by the
C interface alone. The attention: a pack of 2,048 tokens (900, 700, 448), 8 query heads on 2 of 64,
f32, causal, one thread; PyTorch computes document by document (scaled_dot_product_attention, 2.0
on). Medians of interleaved runs, the fastest in brackets.
"""

from __future__ import annotations

import statistics
import time
from typing import Callable, Dict, List

import torch
import torch.nn.functional as F

import flashcp.torch as fcp
from flashcp.torch import _operator

LENGTHS, HEADS, HEAD_DIM = [900, 700, 448], (8, 2), 64


def interleaved(functions: Dict[str, Callable[[], object]], rounds: int, calls: int = 1):
    """Returns the microseconds of a call of each function, by round, round after round."""
    times: Dict[str, List[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            begin = time.process_time()
            for _ in range(calls):
                function()
            times[name].append((time.process_time() - begin) / calls * 1e6)
    return times


def show(times: Dict[str, List[float]], unit: float, label: str) -> None:
    for name, values in times.items():
        median, least = statistics.median(values) / unit, min(values) / unit
        print(f"{name:44} {median:9.2f} {label}  [{least:.2f}]")


def tensors(rows: int, heads, dim: int, gradients: bool):
    return [
        torch.randn(rows, count, dim).requires_grad_(gradients)
        for count in (heads[0], heads[1], heads[1])
    ]


def show_calls() -> None:
    context = fcp.ContextParallel(None, heads=(1, 1), head_dim=8, dtype=torch.float32)
    batch = context.batch([1])
    engine = _operator._BY_HANDLE[int(batch.handle)].find("")
    for gradients in (False, True):
        q, k, v = tensors(1, (1, 1), 8, gradients)
        with torch.no_grad():
            o, lse, saved = engine.forward(q, k, v, gradients)
        addresses = engine._forward_call.tensors(q, k, v, o, lse, saved)
        functions = {
            "C executor": lambda: engine._executors.forward(engine.plan, addresses, gradients),
            "attention, autograd function": lambda: fcp.attention(
                q, k, v, batch.handle, operator=False
            ),
        }
        if fcp._operator.HAS_OPERATOR:
            functions["attention, operator"] = lambda: fcp.attention(q, k, v, batch.handle)
        print("forward that backward follows" if gradients else "forward alone")
        times = interleaved(functions, 60, 200)
        show(times, 1, "us")
        base = times["C executor"]
        over = {
            f"  {name}, over the C executor": [a - b for a, b in zip(values, base)]
            for name, values in times.items()
            if name != "C executor"
        }
        show(over, 1, "us")


def by_document(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """PyTorch's attention of each document; keys repeated, as its fastest kernel takes them."""
    outputs = []
    for parts in zip(*(x.split(LENGTHS) for x in (q, k, v))):
        queries, keys, values = (x.transpose(0, 1)[None] for x in parts)
        ratio = queries.shape[1] // keys.shape[1]
        keys, values = (x.repeat_interleave(ratio, 1) for x in (keys, values))
        o = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        outputs.append(o[0].transpose(0, 1))
    return torch.cat(outputs)


def grouped(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """The same with PyTorch's enable_gqa."""
    outputs = []
    for parts in zip(*(x.split(LENGTHS) for x in (q, k, v))):
        queries, keys, values = (x.transpose(0, 1)[None] for x in parts)
        o = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        outputs.append(o[0].transpose(0, 1))
    return torch.cat(outputs)


def show_attention() -> None:
    context = fcp.ContextParallel(None, heads=HEADS, head_dim=HEAD_DIM, dtype=torch.float32)
    batch = context.batch(LENGTHS)
    q, k, v = tensors(sum(LENGTHS), HEADS, HEAD_DIM, True)
    do = torch.randn_like(q)
    kinds = {
        "FlashCP": lambda q, k, v: fcp.attention(q, k, v, batch.handle),
        "PyTorch, document by document": by_document,
        "PyTorch, document by document, enable_gqa": grouped,
    }
    want = by_document(q, k, v)
    forward, backward = {}, {}
    for name, function in kinds.items():
        assert (function(q, k, v) - want).abs().max() < 1e-4
        detached = [x.detach() for x in (q, k, v)]
        forward[name] = lambda f=function, x=detached: f(*x)
    outputs = {name: function(q, k, v) for name, function in kinds.items()}
    for name, o in outputs.items():
        backward[name] = lambda o=o: torch.autograd.grad(o, (q, k, v), do, retain_graph=True)
    for title, functions in (("forward", forward), ("backward", backward)):
        print(title)
        show(interleaved(functions, 25), 1000, "ms")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"PyTorch {torch.__version__}")
    show_calls()
    if hasattr(F, "scaled_dot_product_attention"):
        show_attention()
