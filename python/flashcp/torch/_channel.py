"""Messages between ranks over a torch.distributed ProcessGroup, of any backend and device."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple

import torch
import torch.distributed as dist

# (tensor, rank in the group, tag)
Post = Tuple[torch.Tensor, int, int]


class Channel:
    """Sends and receives of one rank. `group` may be None for a group of one rank."""

    def __init__(self, group: Any, device: torch.device) -> None:
        self._group = group
        self._device = device
        self.rank = 0 if group is None else group.rank()
        self.size = 1 if group is None else group.size()
        # NCCL matches messages by their order inside one call, and has no tags.
        self._batched = group is not None and "nccl" in backend_name(group, device)

    def post(self, sends: Sequence[Post], receives: Sequence[Post]) -> List[Any]:
        """Starts messages together; returns works, each with wait() and is_completed()."""
        if not sends and not receives:
            return []
        if self._batched:
            return self._post_batch(sends, receives)
        works = [self._group.recv([tensor], peer, tag) for tensor, peer, tag in receives]
        works += [self._group.send([tensor], peer, tag) for tensor, peer, tag in sends]
        return works

    def _post_batch(self, sends: Sequence[Post], receives: Sequence[Post]) -> List[Any]:
        operations = []
        for function, posts in ((dist.isend, sends), (dist.irecv, receives)):
            for tensor, peer, tag in posts:
                peer = _global_rank(self._group, peer)
                operations.append(dist.P2POp(function, tensor, peer, self._group, tag))
        return dist.batch_isend_irecv(operations)

    def agree(self, values: Sequence[int], names: Sequence[str]) -> None:
        """Compares 64-bit numbers with those of the other ranks. Collective. ValueError names the
        first that differs, on every rank."""
        if self.size == 1:
            return
        signed = [value - (1 << 64) if value >= 1 << 63 else value for value in values]
        mine = torch.tensor(signed, dtype=torch.int64, device=self._device)
        all_ = [torch.empty_like(mine) for _ in range(self.size)]
        self._group.allgather([all_], [mine]).wait()
        rows = [row.tolist() for row in all_]
        for i, name in enumerate(names):
            for rank, row in enumerate(rows):
                if row[i] != rows[0][i]:
                    raise ValueError(
                        f"ranks have different plans: {name} is {row[i] % (1 << 64):016x} on rank "
                        f"{rank} and {rows[0][i] % (1 << 64):016x} on rank 0; all ranks of the "
                        "group need the same lengths in the same order, and the same options"
                    )


def backend_name(group: Any, device: torch.device) -> str:
    """The name of the backend that moves tensors of the device."""
    try:
        return str(group._get_backend(device).name()).lower()
    except (AttributeError, RuntimeError):
        pass
    try:
        return str(dist.get_backend(group)).lower()
    except (RuntimeError, ValueError, KeyError, AssertionError):  # a group that no one registered
        return type(group).__name__.lower()


def _global_rank(group: Any, rank: int) -> int:
    if hasattr(dist, "get_global_rank"):
        return dist.get_global_rank(group, rank)
    return dist.distributed_c10d._get_global_rank(group, rank)
