"""Ranks of a test as threads, over gloo or over the C++ runtime, and float64 attention."""

import threading
from datetime import timedelta

import torch
import torch.distributed as dist

import flashcp

TOLERANCE = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}
_groups = {}


def gloo(size):
    """A bare gloo group for each of `size` ranks of this process; kept, since plans come and go."""
    if size not in _groups:
        store, groups = dist.HashStore(), [None] * size

        def make(rank):
            groups[rank] = dist.ProcessGroupGloo(store, rank, size, timedelta(seconds=60))

        in_threads(size, make)
        _groups[size] = groups
    return _groups[size]


def in_threads(size, function):
    """Calls function(rank) in a thread for each rank; returns the results, or raises an error."""
    results, errors = [None] * size, []

    def call(rank):
        try:
            torch.set_num_threads(1)
            results[rank] = function(rank)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=call, args=(r,), daemon=True) for r in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a rank hangs"
    return results


def tensors(plan, seed=0):
    """q, k, v and the gradient of o in global order, in the plan's dtype."""
    from flashcp.torch._program import DTYPES

    generator = torch.Generator().manual_seed(seed)
    query_heads, kv_heads = plan.heads
    return [
        torch.randn(plan.tokens, heads, plan.head_dim, generator=generator).to(DTYPES[plan.dtype])
        for heads in (query_heads, kv_heads, kv_heads, query_heads)
    ]


def exact(plan, q, k, v):
    """O and LSE of all documents in global order, differentiable, in the dtype of q."""
    outputs, lses, start = [], [], 0
    for document in plan.documents:
        length = int(document["length"])
        lower, upper = (int(document["band"][side]) for side in ("lower", "upper"))
        tokens = slice(start, start + length)
        start += length
        ratio = plan.heads[0] // plan.heads[1]
        keys, values = (x[tokens].repeat_interleave(ratio, 1).transpose(0, 1) for x in (k, v))
        i, j = torch.arange(length)[:, None], torch.arange(length)[None]
        scores = q[tokens].transpose(0, 1) @ keys.transpose(1, 2) * plan.scale
        scores = scores.masked_fill((j - i < lower) | (j - i > upper), float("-inf"))
        lse = scores.logsumexp(-1)
        base = lse.masked_fill(lse == float("-inf"), 0.0)
        outputs.append(((scores - base[..., None]).exp() @ values).transpose(0, 1))
        lses.append(lse.transpose(0, 1))
    return torch.cat(outputs), torch.cat(lses)


def exact_step(plan, q, k, v, do):
    """(o, lse, dq, dk, dv) in float64, global order."""
    inputs = [x.double().requires_grad_() for x in (q, k, v)]
    o, lse = exact(plan, *inputs)
    o.backward(do.double())
    return [o.detach(), lse.detach(), *(x.grad for x in inputs)]


def to_global(plan, parts):
    """Rows of all ranks, one list a rank, in global order."""
    order = torch.cat([torch.from_numpy(plan.token_indices(r)) for r in range(plan.ranks)])
    return [torch.cat(rows)[order.argsort()] for rows in zip(*parts)]


def difference(got, want):
    """The largest difference, relative to the largest value or 1; equal infinities are equal."""
    got, want = got.double(), want.double()
    error = torch.where(got == want, torch.zeros_like(want), (got - want).abs())
    finite = want[want.isfinite()]
    if error.numel() == 0 or finite.numel() == 0:
        return float(error.max()) if error.numel() else 0.0
    return float(error.max() / finite.abs().max().clamp(min=1))


def gloo_step(plan, make_provider, q, k, v, do):
    """(o, lse, dq, dk, dv) of backend "torch" in global order."""
    from flashcp.torch._channel import Channel
    from flashcp.torch._engines import TorchEngine

    device = torch.device("cpu")
    groups = gloo(plan.ranks) if plan.ranks > 1 else [None]

    def rank_step(rank):
        engine = TorchEngine(plan, Channel(groups[rank], device), make_provider(), device)
        return engine_step(plan, engine, rank, q, k, v, do)

    return to_global(plan, in_threads(plan.ranks, rank_step))


def native_step(plan, q, k, v, do):
    """The same of backend "native", over threads."""
    from flashcp.torch._engines import NativeEngine

    group = flashcp.Group.threads(plan.ranks)
    parts = group.run(
        lambda rank: engine_step(plan, NativeEngine(plan, group, rank), rank, q, k, v, do)
    )
    return to_global(plan, parts)


def engine_step(plan, engine, rank, q, k, v, do):
    rows = torch.from_numpy(plan.token_indices(rank))
    q, k, v, do = (x[rows] for x in (q, k, v, do))
    with torch.no_grad():
        o, lse, saved = engine.forward(q, k, v, True)
        return [o, lse, *engine.backward(q, k, v, o, lse, saved, do)]
