"""Status codes of the C library as exceptions, each also of the built-in kind that fits it."""

from __future__ import annotations

TYPE_CHECKING = False  # The import of typing would cost more than the rest of the package's.
if TYPE_CHECKING:
    from typing import Dict, Type


class FlashcpError(Exception):
    """Anything that FlashCP refuses or that fails while it runs.

    The text is that of the library; it names what was found and what is allowed. After an error of
    a pass (`attention`, `attention_backward`) the group of ranks has ended: every rank gets an
    error, and the group is of no further use.
    """

    status: str = "UNKNOWN"


class CancelledError(FlashcpError):
    """A wait that its owner ended, such as that of a planner that was closed."""

    status = "CANCELLED"


class InvalidArgumentError(FlashcpError, ValueError):
    """An option, a document, a tensor or the bytes of a plan that are not allowed."""

    status = "INVALID_ARGUMENT"


class DeadlineExceededError(FlashcpError, TimeoutError):
    """Another rank, or a plan, was waited for longer than the timeout."""

    status = "DEADLINE_EXCEEDED"


class NotFoundError(FlashcpError, LookupError):
    """A file, a table, or kernels for a plan that are not there."""

    status = "NOT_FOUND"


class ResourceExhaustedError(FlashcpError, MemoryError):
    """More memory or threads than there are."""

    status = "RESOURCE_EXHAUSTED"


class FailedPreconditionError(FlashcpError):
    """A plan that breaks a rule or differs between ranks, or a call at the wrong time."""

    status = "FAILED_PRECONDITION"


class AbortedError(FlashcpError):
    """Another rank failed; the text names it and its reason."""

    status = "ABORTED"


class UnimplementedError(FlashcpError, NotImplementedError):
    """Something that this build or this machine does not have."""

    status = "UNIMPLEMENTED"


class InternalError(FlashcpError):
    """A call of MPI that failed, or a bug."""

    status = "INTERNAL"


class UnavailableError(FlashcpError):
    """Something of the machine that is not there now, such as a network."""

    status = "UNAVAILABLE"


# By the numbers of flashcp_status.
_BY_STATUS: Dict[int, Type[FlashcpError]] = {
    1: CancelledError,
    3: InvalidArgumentError,
    4: DeadlineExceededError,
    5: NotFoundError,
    8: ResourceExhaustedError,
    9: FailedPreconditionError,
    10: AbortedError,
    12: UnimplementedError,
    13: InternalError,
    14: UnavailableError,
}


def error_of(status: int, text: str) -> FlashcpError:
    """Returns the exception for a flashcp_status that is not FLASHCP_OK."""
    return _BY_STATUS.get(status, FlashcpError)(text)
