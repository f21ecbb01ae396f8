"""Executors of the plans that a rank runs: made at the first pass, ended with plan or group.

A plan can die at any time, in any thread, even within a pass of another plan on this rank. An
executor must not end then, since a rank is used by one thread at a time: what died while the rank
is in use is ended by the thread that uses it, when it is done.
"""

from __future__ import annotations

import ctypes
import functools
import threading
import weakref
from typing import Any, Dict, List, Optional, Tuple

from flashcp import _library
from flashcp._errors import InvalidArgumentError
from flashcp._library import Handle, Tensors, check
from flashcp._plan import Plan


class Executor:
    """Runs one rank of a plan; keeps the plan's and the group's C objects alive."""

    __slots__ = ("_handle", "_plan", "_group", "backward")

    def __init__(self, plan: Plan, group: Handle, rank: int, backward: bool) -> None:
        """Collective over the ranks of the group. Errors are those of Executor::Create."""
        pointer = ctypes.c_void_p()
        library = _library.runtime()
        check(
            library.flashcp_executor_create(
                plan._handle.pointer, group.pointer, rank, int(backward), ctypes.byref(pointer)
            )
        )
        self._handle = Handle(pointer.value, library.flashcp_executor_destroy)
        self._plan = plan._handle
        self._group = group
        self.backward = backward

    def close(self) -> None:
        """Ends the executor, then lets go of the plan and the group."""
        self._handle.close()

    def __del__(self) -> None:
        handle: Optional[Handle] = getattr(self, "_handle", None)
        if handle is not None:
            handle.close()


class RankExecutors:
    """The executors of one rank of a group."""

    def __init__(self, group: Handle, rank: int) -> None:
        self._group = group
        self._rank = rank
        self._lock = threading.Lock()  # Held while the rank is in use.
        # By id of the plan; the reference's callback removes the entry when the plan dies.
        self._live: Dict[int, Tuple["weakref.ref[Plan]", List[Executor]]] = {}
        self._dead: List[Executor] = []

    def forward(self, plan: Plan, tensors: Tensors, backward: bool, stream: Any = None) -> None:
        """Runs a forward pass; `backward`: with an executor that can run backward too."""
        with _Use(self):
            executor = self._find(plan, backward)
            check(
                _library.runtime().flashcp_forward(
                    executor._handle.pointer, ctypes.byref(tensors), stream
                )
            )

    def backward(self, plan: Plan, tensors: Tensors, stream: Any = None) -> None:
        """Runs a backward pass."""
        with _Use(self):
            executor = self._find(plan, True)
            check(
                _library.runtime().flashcp_backward(
                    executor._handle.pointer, ctypes.byref(tensors), stream
                )
            )

    def all_gather(self, local: Any, sizes: List[int], result: Any) -> None:
        """Collects `sizes` bytes from each rank, one after the other; addresses of host memory."""
        with _Use(self):
            check(
                _library.runtime().flashcp_group_all_gather(
                    self._group.pointer,
                    self._rank,
                    local,
                    (ctypes.c_uint64 * len(sizes))(*sizes),
                    result,
                )
            )

    def count(self) -> int:
        """Returns the number of executors that exist."""
        return sum(len(executors) for _, executors in list(self._live.values())) + len(self._dead)

    def _find(self, plan: Plan, backward: bool) -> Executor:
        entry = self._live.get(id(plan))
        if entry is None:
            died = functools.partial(_plan_died, weakref.ref(self), id(plan))
            entry = self._live[id(plan)] = weakref.ref(plan, died), []
        for executor in entry[1]:
            if executor.backward or not backward:
                return executor
        executor = Executor(plan, self._group, self._rank, backward)
        entry[1].append(executor)
        return executor

    def _remove(self, key: int) -> None:
        _, executors = self._live.pop(key)
        self._dead.extend(executors)
        self._end_dead()

    def _end_dead(self) -> None:
        # The holder of the lock looks again when it has left it, so others may leave it the work.
        while self._dead and self._lock.acquire(blocking=False):
            try:
                while self._dead:
                    self._dead.pop().close()
            finally:
                self._lock.release()


class _Use:
    """The use of a rank by this thread."""

    __slots__ = ("_executors",)

    def __init__(self, executors: RankExecutors) -> None:
        self._executors = executors

    def __enter__(self) -> None:
        self._executors._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._executors._lock.release()
        self._executors._end_dead()


def _plan_died(executors: "weakref.ref[RankExecutors]", key: int, _: object) -> None:
    found = executors()
    if found is not None:
        found._remove(key)


def check_ranks(plan: Plan, size: int) -> None:
    """InvalidArgumentError if a plan is not of `size` ranks."""
    if plan.ranks != size:
        raise InvalidArgumentError(
            f"the plan is of {plan.ranks} ranks, the group has {size}: compile with ranks={size}"
        )
