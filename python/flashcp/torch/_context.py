"""ContextParallel: the context-parallel group of a trainer, and the plans of its batches."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Optional
from typing import Sequence, Tuple, Union
from collections import deque

import numpy
import torch

from flashcp.torch import providers
from flashcp.torch._batch import Batch
from flashcp.torch._channel import Channel, backend_name
from flashcp.torch._engines import Engine, NativeEngine, TorchEngine
from flashcp.torch._sequence import Runs
from flashcp.torch.providers import Provider


class ContextParallel:
    """Makes batches for the ranks of one context-parallel group.

    Args:
      group: a one-dimensional DeviceMesh such as mesh["cp"], a ProcessGroup, a flashcp.Group
        (threads of this process, or MPI), or None for one rank.
      heads: (query heads, key/value heads).
      head_dim: elements of a head, 8 to 256 in steps of 8.
      dtype: of Q, K and V: torch.bfloat16, torch.float16 or torch.float32.
      scale: of the scores before softmax; None: 1 / sqrt(head_dim).
      masks: name -> "causal", "full" or "window:W". The first one's plan places the tokens; the
        others take over its layout. For hybrid models put the full mask first: layouts made for a
        window leave full layers out of balance.
      cluster: a preset or a cluster file, for which plans are optimised; None: "cpu" on the CPU,
        else "h100x8".
      row_multiple: tokens of a rank become a multiple of this: a document that nobody scores pads
        the batch. Needed by sequence parallelism and FP8, and to have equal rows on all ranks.
      backend: "native" (the C++ runtime; CPU tensors, flashcp.Group), "torch" (PyTorch over a
        ProcessGroup, any device), or "auto": by the group.
      provider: kernels of backend "torch": "reference", "flash_attn", "magi", or "auto".
      rank: of this thread in a flashcp.Group of threads.
      device: of the tensors; None: that of the mesh, the current GPU for NCCL groups, else the CPU.
      options: further ones of flashcp.compile, such as strategy, exchange, memory_budget.
    """

    def __init__(
        self,
        group: Any = None,
        *,
        heads: Tuple[int, int],
        head_dim: int,
        dtype: torch.dtype = torch.bfloat16,
        scale: Optional[float] = None,
        masks: Union[str, Mapping[str, str]] = "causal",
        cluster: Optional[str] = None,
        row_multiple: int = 1,
        backend: str = "auto",
        provider: str = "auto",
        rank: Optional[int] = None,
        device: Union[str, torch.device, None] = None,
        **options: Any,
    ) -> None:
        if row_multiple < 1:
            raise ValueError(f"row_multiple is {row_multiple}: expected at least 1")
        if row_multiple > 1 and options.get("slack"):
            raise ValueError("row_multiple and slack exclude each other: slack makes rows unequal")
        self.masks: Dict[str, str] = {masks: masks} if isinstance(masks, str) else dict(masks)
        if not self.masks or "" in self.masks:
            raise ValueError(
                'masks: expected at least one, each with a name, such as {"full": "causal"}'
            )
        self.heads, self.head_dim, self.dtype = tuple(heads), head_dim, dtype
        self.row_multiple = row_multiple
        self.backend = _backend_of(group) if backend == "auto" else backend
        self.group: Any = None
        self.provider: Optional[Provider] = None  # of backend "torch", as is the channel
        self._channel: Optional[Channel] = None
        self.scale = head_dim**-0.5 if scale is None else scale
        if self.backend == "native":
            self._use_native(group, rank, device)
        elif self.backend == "torch":
            self._use_torch(group, device, provider)
        else:
            raise ValueError(f'backend is {backend!r}: expected "auto", "native" or "torch"')
        self._options = {
            "ranks": self.ranks,
            "heads": self.heads,
            "head_dim": head_dim,
            "dtype": dtype,
            "scale": scale,
            "cluster": cluster or ("cpu" if self.device.type == "cpu" else "h100x8"),
            **options,
        }

    def _use_native(self, group: Any, rank: Optional[int], device: Any) -> None:
        import flashcp

        group = flashcp.Group.threads(1) if group is None else group
        if not isinstance(group, flashcp.Group):
            raise ValueError(
                f'backend "native" runs over flashcp.Group.threads or flashcp.Group.mpi, and the '
                f'group is {type(group).__name__}: use backend="torch" over it'
            )
        self.group, self.ranks = group, group.size
        self.rank = group._rank_or_own(rank)
        self.device = torch.device("cpu" if device is None else device)
        if self.device.type != "cpu":
            raise ValueError(
                f'backend "native" computes on the CPU in this version, and the device is '
                f'{self.device}: use backend="torch" over a ProcessGroup'
            )

    def _use_torch(self, group: Any, device: Any, provider: str) -> None:
        self.group = group.get_group() if hasattr(group, "mesh_dim_names") else group
        if not hasattr(self.group, "allgather") and self.group is not None:
            raise ValueError(
                'backend "torch" runs over a ProcessGroup or a DeviceMesh of one dimension, and '
                f'the group is {type(group).__name__}: use backend="native" over it'
            )
        if device is None:
            device = getattr(group, "device_type", None) or _device_of(self.group)
        self.device = torch.device(device)
        if self.device.type == "cuda" and self.device.index is None:
            self.device = torch.device("cuda", torch.cuda.current_device())
        self._channel = Channel(self.group, self.device)
        self.rank, self.ranks = self._channel.rank, self._channel.size
        self.provider = providers.find(provider, self.dtype, self.device, self.head_dim)

    # ---- Batches

    def padding(self, lengths: Sequence[int]) -> int:
        """Tokens that make the rows of each rank equal and a multiple of row_multiple."""
        return 0 if self.row_multiple == 1 else -sum(lengths) % (self.row_multiple * self.ranks)

    def compile(self, lengths: Sequence[int]) -> Dict[str, Any]:
        """Returns the plan of each mask. A pure function of its arguments: all ranks, and workers
        of a DataLoader, get the same bytes."""
        import flashcp

        lengths = _integers(lengths)
        padding = self.padding(lengths)
        documents = [*lengths, padding] if padding else lengths
        plans: Dict[str, Any] = {}
        options = self._options
        for name, mask in self.masks.items():
            layout = next(iter(plans.values()), None)
            plans[name] = flashcp.compile(documents, mask=mask, layout=layout, **options)
            # What places tokens is the layout's from now on.
            options = {k: v for k, v in options.items() if k not in ("strategy", "slack")}
        return plans

    def batch(
        self,
        lengths: Sequence[int],
        sample: Any = None,
        plans: Optional[Mapping[str, Any]] = None,
    ) -> Batch:
        """Makes the batch of documents of these lengths. Collective: compares plans with the other
        ranks. `plans`: what `compile` returned for the same lengths, here or in another process."""
        lengths = _integers(lengths)
        plans = self.compile(lengths) if plans is None else plans
        if list(plans) != list(self.masks):
            raise ValueError(f"plans are of the masks {list(plans)}, expected {list(self.masks)}")
        if self._channel is not None:
            self._channel.agree(
                [plan.hash for plan in plans.values()], [f"the plan of mask {m!r}" for m in plans]
            )
        engines = {name: self._engine(plan) for name, plan in plans.items()}
        return Batch(self, plans, engines, self.padding(lengths), sample)

    def _engine(self, plan: Any) -> Engine:
        if self.backend == "native":
            return NativeEngine(plan, self.group, self.rank)
        assert self._channel is not None and self.provider is not None
        return TorchEngine(plan, self._channel, self.provider, self.device)

    def planner(self, lookahead: int = 2, threads: int = 1) -> "StepPlanner":
        """Plans batches in the background; see StepPlanner.steps."""
        return StepPlanner(self, lookahead, threads)

    # ---- Collectives of the group, for companions

    def _make_runs(self, plan: Any, halo: int) -> Runs:
        gather = None if self.backend == "torch" else self._gather
        return Runs(plan, self.rank, halo, self._channel, gather)

    def _gather(self, x: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Collects tensors [rows of a rank, ...] of all ranks of a flashcp.Group."""
        x = x.detach().contiguous()
        whole = x.new_empty((sum(rows), *x.shape[1:]))
        row_bytes = x.element_size() * int(numpy.prod(x.shape[1:], dtype=numpy.int64))
        self.group._executors[self.rank].all_gather(
            x.data_ptr(), [count * row_bytes for count in rows], whole.data_ptr()
        )
        return whole

    def _sum(self, count: int) -> int:
        """The sum of a number over the ranks."""
        if self.ranks == 1:
            return count
        mine = torch.tensor([count], dtype=torch.int64, device=self.device)
        if self.backend == "native":
            return int(self._gather(mine, [1] * self.ranks).sum())
        self.group.allreduce([mine]).wait()
        return int(mine)


class StepPlanner:
    """Plans the batches of coming steps on threads of this process, in order."""

    def __init__(self, context: ContextParallel, lookahead: int, threads: int) -> None:
        if lookahead < 0 or threads < 1:
            raise ValueError(
                f"planner: lookahead is {lookahead}, expected at least 0; threads is {threads}, "
                "expected at least 1"
            )
        self._context, self._lookahead = context, lookahead
        self._pool = ThreadPoolExecutor(threads, "flashcp planner")

    def __enter__(self) -> "StepPlanner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads; plans under way are dropped."""
        self._pool.shutdown(wait=True)

    def steps(
        self,
        loader: Iterable[Any],
        lengths: Union[str, Callable[[Any], Sequence[int]]] = "lengths",
        accumulate: int = 1,
    ) -> Iterator[List[Batch]]:
        """Yields the batches of each optimizer step, `accumulate` samples of the loader; a last
        step may have fewer. Plans are made `lookahead` steps ahead. Batches live until the next
        step is asked for, so also for its backward passes. All ranks of the group get the same
        samples.

        Args:
          loader: of samples: mappings, or objects with attributes.
          lengths: name of the documents' lengths in a sample, or a function of the sample.
        """
        samples = iter(loader)
        ahead: Deque[List[Tuple[Any, Sequence[int], "Future[Dict[str, Any]]"]]] = deque()
        step: List[Batch] = []
        while True:
            while len(ahead) <= self._lookahead:
                submitted = self._submit(samples, lengths, accumulate)
                if not submitted:
                    break
                ahead.append(submitted)
            if not ahead:
                return
            step = [
                self._context.batch(numbers, sample, plans.result())
                for sample, numbers, plans in ahead.popleft()
            ]
            yield step
            for batch in step:
                batch.close()

    def _submit(
        self, samples: Iterator[Any], lengths: Any, accumulate: int
    ) -> List[Tuple[Any, Sequence[int], "Future[Dict[str, Any]]"]]:
        submitted: List[Tuple[Any, Sequence[int], "Future[Dict[str, Any]]"]] = []
        for _, sample in zip(range(accumulate), samples):
            numbers = _integers(_lengths_of(sample, lengths))
            submitted.append((sample, numbers, self._pool.submit(self._context.compile, numbers)))
        return submitted


def _lengths_of(sample: Any, lengths: Union[str, Callable[[Any], Sequence[int]]]) -> Any:
    if callable(lengths):
        return lengths(sample)
    return sample[lengths] if isinstance(sample, Mapping) else getattr(sample, lengths)


def _integers(lengths: Any) -> List[int]:
    return [int(length) for length in (lengths.tolist() if hasattr(lengths, "tolist") else lengths)]


def _backend_of(group: Any) -> str:
    """ "native" for a flashcp.Group and for one rank on the CPU, "torch" for what PyTorch made."""
    if group is None:
        return "native"
    return "native" if type(group).__module__.startswith("flashcp") else "torch"


def _device_of(group: Any) -> str:
    """The kind of device whose tensors a group moves."""
    name = "" if group is None else backend_name(group, torch.device("cpu"))
    return "cuda" if "nccl" in name else "cpu"
