"""FlashCP in PyTorch trainers: ContextParallel, attention, and the companions of a permuted layout.

    ctx = flashcp.torch.ContextParallel(mesh["cp"], heads=(32, 8), head_dim=128)
    with ctx.planner(lookahead=2) as planner:
        for micros in planner.steps(loader):
            ...
    o = flashcp.torch.attention(q, k, v, handle)     # in the model

docs/embedding.md has a whole trainer, and what to change where in others.
"""

from flashcp.torch import providers
from flashcp.torch._batch import IGNORE_INDEX, Batch, all_reduce_count
from flashcp.torch._context import ContextParallel, StepPlanner
from flashcp.torch._operator import attention, keep_attention, plan_attention
from flashcp.torch._transformers import register_with_transformers

__all__ = [
    "IGNORE_INDEX",
    "Batch",
    "ContextParallel",
    "StepPlanner",
    "all_reduce_count",
    "attention",
    "keep_attention",
    "plan_attention",
    "providers",
    "register_with_transformers",
]
