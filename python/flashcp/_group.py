"""Group: the ranks that run a plan together, as threads of this process or as processes of MPI."""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Callable, List, Optional, TypeVar

from flashcp import _library
from flashcp._errors import AbortedError, InvalidArgumentError
from flashcp._executors import RankExecutors
from flashcp._library import Handle, check

Result = TypeVar("Result")


def _options(compute_threads: int, kernels: Optional[str], timeout: float) -> Any:
    size = ctypes.sizeof(_library.GroupOptions)
    name = None if kernels is None else kernels.encode()
    return _library.GroupOptions(size, compute_threads, name, timeout)


def _call_in_threads(call: Callable[[int, int], None], ranks: int) -> None:
    threads = [
        threading.Thread(target=call, args=(rank, rank), name=f"flashcp rank {rank}", daemon=True)
        for rank in range(ranks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Group:
    """The ranks of a context-parallel group: made by `threads` or `mpi`.

    Each rank is used by one thread at a time; different ranks by different threads, side by side.
    All ranks make the same calls in the same order. An error of a pass on one rank ends the group
    on all: make another one, or restart. Executors of plans are kept in the group until the plan or
    the group dies.
    """

    def __init__(self, handle: Handle) -> None:
        """Takes over a handle of the C library; use `threads` or `mpi` instead."""
        library = _library.runtime()
        self._handle = handle
        self._size: int = library.flashcp_group_size(handle.pointer)
        self._rank: int = library.flashcp_group_rank(handle.pointer)
        self._executors = [RankExecutors(handle, rank) for rank in range(self._size)]

    @staticmethod
    def threads(
        ranks: int,
        *,
        compute_threads: int = 1,
        kernels: Optional[str] = None,
        timeout: float = 60.0,
    ) -> "Group":
        """Returns a group whose ranks are threads of this process; `run` starts them.

        Args:
          ranks: number of ranks.
          compute_threads: of each rank; results do not depend on it.
          kernels: None: the fastest that run here; else the name of one, see docs/kernels.md.
          timeout: seconds that a rank waits while the awaited ranks do nothing.
        """
        pointer = ctypes.c_void_p()
        options = _options(compute_threads, kernels, timeout)
        library = _library.runtime()
        check(library.flashcp_group_threads(ranks, ctypes.byref(options), ctypes.byref(pointer)))
        return Group(Handle(pointer.value, library.flashcp_group_destroy))

    @staticmethod
    def mpi(
        communicator: Any = None,
        *,
        compute_threads: int = 1,
        kernels: Optional[str] = None,
        timeout: float = 60.0,
    ) -> "Group":
        """Returns the group of the processes that mpirun has started; collective.

        Args:
          communicator: None: all processes (MPI_COMM_WORLD); a communicator of mpi4py; or a Fortran
            handle (MPI_Comm_c2f) as an int. MPI is initialised if it is not yet.
          compute_threads, kernels: as for `threads`.
          timeout: seconds that a rank waits for another process; longer than its longest pass.

        UnimplementedError (a NotImplementedError), with what to install, if there is no MPI.
        """
        pointer = ctypes.c_void_p()
        options = _options(compute_threads, kernels, timeout)
        library = _library.runtime()
        number = communicator.py2f() if hasattr(communicator, "py2f") else communicator
        fortran = None if number is None else ctypes.byref(ctypes.c_int(number))
        check(library.flashcp_group_mpi(fortran, ctypes.byref(options), ctypes.byref(pointer)))
        return Group(Handle(pointer.value, library.flashcp_group_destroy))

    @staticmethod
    def nccl(unique_id: bytes, rank: int, world: int) -> "Group":
        """Is not there yet: NotImplementedError says what is."""
        raise NotImplementedError(
            "Group.nccl: this version runs its kernels on the CPU, over threads (Group.threads) "
            "and MPI (Group.mpi). On GPUs, flashcp.torch executes plans in PyTorch over a "
            "ProcessGroup, NCCL included: flashcp.torch.ContextParallel"
        )

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self._size

    @property
    def rank(self) -> int:
        """The rank of this process; -1 if all ranks are threads of this process."""
        return self._rank

    def abort(self, rank: int, reason: str) -> None:
        """Ends the group from `rank`, from any thread: the other ranks fail when they wait."""
        check(_library.runtime().flashcp_group_abort(self._handle.pointer, rank, reason.encode()))

    def run(self, function: Callable[[int], Result]) -> List[Result]:
        """Calls function(rank) for each rank of this process; returns the results.

        Each rank is a thread; under MPI there is one, in the calling thread. If a call fails, the
        group is aborted, so that no rank waits for it, and its error is raised once all have
        returned.
        """
        results: List[Any] = [None] * (1 if self._rank >= 0 else self._size)
        errors: List[BaseException] = []

        def call(rank: int, place: int) -> None:
            try:
                results[place] = function(rank)
            except BaseException as error:
                errors.append(error)
                self.abort(rank, f"{type(error).__name__}: {error}")

        if self._rank >= 0:
            call(self._rank, 0)
        else:
            try:
                _call_in_threads(call, self._size)
            except KeyboardInterrupt:  # The ranks would go on, or wait.
                self.abort(0, "KeyboardInterrupt")
                raise
        if errors:
            # The reason, rather than what it did to the other ranks.
            raise next((e for e in errors if not isinstance(e, AbortedError)), errors[0])
        return results

    def _rank_or_own(self, rank: Optional[int]) -> int:
        """Returns the rank that a call is for, None being that of this process."""
        if rank is None:
            if self._rank >= 0:
                return self._rank
            if self._size == 1:
                return 0
            raise InvalidArgumentError(
                f"rank: all {self._size} ranks of the group are in this process: name one"
            )
        if not 0 <= rank < self._size:
            raise InvalidArgumentError(
                f"rank: expected 0 to {self._size - 1}, ranks of the group, found {rank}"
            )
        if self._rank >= 0 and rank != self._rank:
            raise InvalidArgumentError(
                f"rank: this process is rank {self._rank} of the group, found {rank}"
            )
        return rank

    def __repr__(self) -> str:
        place = "threads" if self._rank < 0 else f"processes, this one is rank {self._rank}"
        return f"<flashcp.Group of {self._size} ranks: {place}>"
