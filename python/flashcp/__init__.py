"""FlashCP: plans and runs exact context-parallel attention over packed batches.

    plan = flashcp.compile([52311, 4096, 700], ranks=4, heads=(32, 8))
    rows = plan.token_indices(rank)            # which tokens of the pack this rank owns
    group = flashcp.Group.threads(4)           # or Group.mpi()
    o = flashcp.attention(q, k, v, plan, group, rank)

`flashcp.torch` holds what PyTorch trainers use; it is imported by name only. Names below are loaded
at their first use, so that the import costs little and a process that only plans loads no more than
it needs.
"""

from __future__ import annotations

import importlib
from flashcp._errors import (
    AbortedError,
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    FlashcpError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)

TYPE_CHECKING = False  # Without an import of typing.
if TYPE_CHECKING:
    from typing import Any, List

    from flashcp import tables
    from flashcp._attention import Residuals, attention, attention_backward
    from flashcp._companions import (
        IGNORE_INDEX,
        from_sequence_order,
        gather,
        loss_mask,
        next_token_labels,
        roll,
        scatter,
        sequence_range,
        to_sequence_order,
    )
    from flashcp._compile import compile
    from flashcp._group import Group
    from flashcp._plan import Plan, RankInfo, RankTables
    from flashcp._planner import PendingPlan, Planner

__version__ = "0.1.0"

# Modules of the names that are loaded at their first use.
_MODULES = {
    "IGNORE_INDEX": "_companions",
    "Group": "_group",
    "PendingPlan": "_planner",
    "Plan": "_plan",
    "Planner": "_planner",
    "RankInfo": "_plan",
    "RankTables": "_plan",
    "Residuals": "_attention",
    "attention": "_attention",
    "attention_backward": "_attention",
    "compile": "_compile",
    "from_sequence_order": "_companions",
    "gather": "_companions",
    "loss_mask": "_companions",
    "next_token_labels": "_companions",
    "roll": "_companions",
    "scatter": "_companions",
    "sequence_range": "_companions",
    "tables": "",
    "to_sequence_order": "_companions",
}

__all__ = [
    "AbortedError",
    "CancelledError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "FlashcpError",
    "InternalError",
    "InvalidArgumentError",
    "NotFoundError",
    "ResourceExhaustedError",
    "UnavailableError",
    "UnimplementedError",
    *_MODULES,
]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'flashcp' has no attribute '{name}'")
    loaded = importlib.import_module(f"flashcp.{module or name}")
    value = getattr(loaded, name) if module else loaded
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
