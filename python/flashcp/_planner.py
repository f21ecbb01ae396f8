"""Planner: plans the next batches on threads of the C library while this one is computed."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import threading
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Generic,
    Iterable,
    Iterator,
    Optional,
    Tuple,
    TypeVar,
)

from flashcp import _library
from flashcp._compile import option_texts, request_of
from flashcp._errors import CancelledError, DeadlineExceededError, FailedPreconditionError
from flashcp._library import Handle, RequestBuilder, check
from flashcp._plan import Plan

if TYPE_CHECKING:
    from flashcp._compile import DocumentLengths

Batch = TypeVar("Batch")

# Waits are cut into pieces, between which Python handles signals such as Ctrl-C.
_PIECE_S = 0.2


class _Threads:
    """A flashcp_planner of this process."""

    def __init__(self, threads: int) -> None:
        pointer = ctypes.c_void_p()
        self._library = _library.compiler()
        check(self._library.flashcp_planner_create(threads, ctypes.byref(pointer)))
        self._handle = Handle(pointer.value, self._library.flashcp_planner_destroy)
        self._changed = threading.Condition()
        self._calls = 0  # under way
        self._closed = False
        self.process = os.getpid()

    def submit(self, request: RequestBuilder) -> int:
        """Returns the ticket of a request."""
        ticket = ctypes.c_uint64()
        with self._call() as planner:
            check(
                self._library.flashcp_planner_submit(
                    planner, ctypes.byref(request.request), ctypes.byref(ticket)
                )
            )
        return ticket.value

    def take(self, ticket: int, timeout: float) -> Plan:
        """Waits for a plan, at most `timeout` seconds."""
        pointer = ctypes.c_void_p()
        with self._call() as planner:
            check(
                self._library.flashcp_planner_take(planner, ticket, timeout, ctypes.byref(pointer))
            )
        return Plan(_library.plan_handle(pointer))

    def close(self) -> None:
        """Lets no call begin, waits for those under way, which are short, and ends the threads."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._calls == 0)
        self._handle.close()

    @contextlib.contextmanager
    def _call(self) -> Iterator[Optional[int]]:
        with self._changed:
            if self._closed:
                raise CancelledError("planner: it was closed")
            self._calls += 1
        try:
            yield self._handle.pointer
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def __del__(self) -> None:
        # A forked child has the memory of its parent's planner, but not its threads: nothing ends.
        if getattr(self, "process", None) not in (None, os.getpid()):
            self._handle.pointer = None


class PendingPlan:
    """A plan that is being made; returned by `Planner.submit`."""

    def __init__(self, threads: _Threads, ticket: int) -> None:
        self._threads = threads
        self._ticket = ticket
        self._lock = threading.Lock()
        self._plan: Optional[Plan] = None
        self._error: Optional[Exception] = None

    def result(self, timeout: Optional[float] = None) -> Plan:
        """Waits for the plan, at most `timeout` seconds (None: as long as it takes).

        Raises the error of compiling, each time it is called; DeadlineExceededError (a
        TimeoutError) after the timeout, and may then be called again; CancelledError if the planner
        was closed; FailedPreconditionError in a process that was forked since `submit`.
        """
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise DeadlineExceededError(f"planner: no plan within {timeout} s")
        try:
            if self._plan is None and self._error is None:
                self._take_once(timeout)
            if self._error is not None:
                raise self._error
            assert self._plan is not None
            return self._plan
        finally:
            self._lock.release()

    def _take_once(self, timeout: Optional[float]) -> None:
        try:
            self._plan = self._take(timeout)
        except DeadlineExceededError:
            raise
        except Exception as error:
            self._error = error

    def _take(self, timeout: Optional[float]) -> Plan:
        if self._threads.process != os.getpid():
            raise FailedPreconditionError(
                "planner: this plan was submitted before the process forked, and threads do not "
                "follow a fork: submit it in this process"
            )
        remaining = float("inf") if timeout is None else timeout
        while True:
            piece = min(remaining, _PIECE_S)
            remaining -= piece
            try:
                return self._threads.take(self._ticket, piece)
            except DeadlineExceededError:
                if remaining <= 0:
                    raise


class Planner:
    """Plans batches ahead on background threads; the options are those of `compile`.

        with flashcp.Planner(lookahead=2, ranks=8, heads=(32, 8)) as planner:
            for batch, plan in planner.plans(loader, lengths=lambda batch: batch["lengths"]):
                ...

    Planning is a pure function: each rank plans for itself, and all get the same bytes.
    Thread-safe. A planner may be made before a fork or be sent to a spawned process: each process
    that uses it gets threads of its own.

    Args:
      lookahead: batches that `plans` reads and plans before they are asked for; at least 1.
      threads: that plan side by side.
      options: defaults of `submit` and `plans`, by the names of `compile`. A wrong name is a
        TypeError here; a wrong value is an error of the batch.
    """

    def __init__(self, lookahead: int = 2, threads: int = 1, **options: Any) -> None:
        if lookahead < 1 or threads < 1:
            raise ValueError(
                f"Planner: lookahead and threads are at least 1, found {lookahead} and {threads}"
            )
        option_texts(**{name: value for name, value in options.items() if name != "layout"})
        self.lookahead = lookahead
        self._count = threads
        self._options = options
        # By process. Without a lock, which a fork could copy while another thread holds it.
        self._threads: Dict[int, _Threads] = {}
        self._closed = False

    def submit(
        self, doc_lengths: "DocumentLengths", *, layout: Optional[Plan] = None, **options: Any
    ) -> PendingPlan:
        """Starts planning a batch and returns at once; documents and options as for `compile`.

        InvalidArgumentError for documents that are not numbers; what the compiler refuses is raised
        by the result.
        """
        merged = {**self._options, **options}
        default_layout = merged.pop("layout", None)
        layout = default_layout if layout is None else layout
        request = request_of(doc_lengths, layout, option_texts(**merged))
        threads = self._running()
        return PendingPlan(threads, threads.submit(request))

    def plans(
        self,
        batches: Iterable[Batch],
        lengths: Callable[[Batch], "DocumentLengths"] = lambda batch: batch,  # type: ignore
        **options: Any,
    ) -> "Iterator[Tuple[Batch, Plan]]":
        """Yields (batch, plan) in order, planning at most `lookahead` batches ahead.

        `lengths` returns the documents of a batch. An error of reading, of `lengths` or of planning
        is raised when its batch is reached, not before; a batch that cannot be planned does not end
        the iterator: the next call goes on with the next batch.
        """
        return _Lookahead(self, iter(batches), lengths, options)

    def close(self) -> None:
        """Ends the threads and drops what was not taken; again does nothing."""
        self._closed = True
        threads = self._threads.pop(os.getpid(), None)
        if threads is not None:
            threads.close()

    def __enter__(self) -> "Planner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Tuple[Any, Tuple[Any, ...]]:
        return _remade, (self.lookahead, self._count, self._options)

    def _running(self) -> _Threads:
        if self._closed:
            raise CancelledError("planner: it was closed")
        threads = self._threads.get(os.getpid())
        # Of two threads that come here first, one keeps its planner and the other one's ends.
        return threads or self._threads.setdefault(os.getpid(), _Threads(self._count))


def _remade(lookahead: int, threads: int, options: Any) -> Planner:
    return Planner(lookahead, threads, **options)


class _Failed:
    """An error of a batch before its planning."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Lookahead(Generic[Batch]):
    """The iterator of `Planner.plans`."""

    def __init__(
        self,
        planner: Planner,
        batches: Iterator[Batch],
        lengths: Callable[[Batch], Any],
        options: Any,
    ) -> None:
        self._planner = planner
        self._batches: Optional[Iterator[Batch]] = batches
        self._lengths = lengths
        self._options = options
        self._pending: Deque[Tuple[Any, Any]] = collections.deque()

    def __iter__(self) -> "_Lookahead[Batch]":
        return self

    def __next__(self) -> Tuple[Batch, Plan]:
        # The batch that is returned now, and those ahead of it.
        while self._batches is not None and len(self._pending) <= self._planner.lookahead:
            self._read()
        if not self._pending:
            raise StopIteration
        batch, plan = self._pending.popleft()
        if isinstance(plan, _Failed):
            raise plan.error
        return batch, plan.result()

    def _read(self) -> None:
        assert self._batches is not None
        try:
            batch = next(self._batches)
        except StopIteration:
            self._batches = None
            return
        except Exception as error:  # A generator that failed has no next batch.
            self._batches = None
            self._pending.append((None, _Failed(error)))
            return
        try:
            plan = self._planner.submit(self._lengths(batch), **self._options)
        except Exception as error:
            self._pending.append((batch, _Failed(error)))
            return
        self._pending.append((batch, plan))
