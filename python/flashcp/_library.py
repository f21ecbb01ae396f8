"""flashcp.h by ctypes: the libraries, their functions with types, and handles that end themselves.

All of ctypes that the package does to call C is here; DLPack's structs are in _dlpack.py. A call
drops the GIL. The runtime's library is opened at the first use of a plan, a group or an executor,
the compiler's at the first compile.
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

from flashcp._errors import error_of

RUNTIME = "libflashcp.so"
COMPILER = "libflashcp_compiler.so"

# Version of flashcp.h that the structs below are of. Minor versions only add.
VERSION_MAJOR, VERSION_MINOR = 0, 1


class PlanInfo(Structure):
    """flashcp_plan_info."""

    _fields_ = [
        ("hash", c_uint64),
        ("tokens", c_int64),
        ("documents", c_int64),
        ("ranks", c_int32),
        ("query_heads", c_int32),
        ("key_value_heads", c_int32),
        ("head_dim", c_int32),
        ("head_groups", c_int32),
        ("dtype", c_int),
        ("scale", c_float),
        ("forward_us", c_double),
        ("backward_us", c_double),
        ("bound_us", c_double),
    ]


class RankInfo(Structure):
    """flashcp_rank_info."""

    _fields_ = [
        ("tokens", c_int64),
        ("workspace_bytes", c_uint64),
        ("backward_workspace_bytes", c_uint64),
        ("saved_bytes", c_uint64),
    ]


class Document(Structure):
    """flashcp_document."""

    _fields_ = [("length", c_int64), ("mask", c_char_p)]


class Option(Structure):
    """flashcp_option."""

    _fields_ = [("name", c_char_p), ("value", c_char_p)]


class Request(Structure):
    """flashcp_request."""

    _fields_ = [
        ("documents", POINTER(Document)),
        ("num_documents", c_size_t),
        ("options", POINTER(Option)),
        ("num_options", c_size_t),
        ("layout", c_void_p),
    ]


class GroupOptions(Structure):
    """flashcp_group_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("compute_threads", c_int),
        ("kernels", c_char_p),
        ("timeout_s", c_double),
    ]


class Tensor(Structure):
    """flashcp_tensor."""

    _fields_ = [("data", c_void_p), ("bytes", c_uint64)]


class Tensors(Structure):
    """flashcp_tensors."""

    _fields_ = [
        ("query", Tensor),
        ("key", Tensor),
        ("value", Tensor),
        ("output", Tensor),
        ("lse", Tensor),
        ("saved", Tensor),
        ("output_gradient", Tensor),
        ("query_gradient", Tensor),
        ("key_gradient", Tensor),
        ("value_gradient", Tensor),
    ]


_Signature = Tuple[Any, Sequence[Any]]
_STATUS = c_int

_RUNTIME_FUNCTIONS: Dict[str, _Signature] = {
    "flashcp_version": (c_uint32, []),
    "flashcp_last_error": (c_char_p, []),
    "flashcp_status_name": (c_char_p, [_STATUS]),
    "flashcp_plan_from_bytes": (_STATUS, [c_char_p, c_size_t, POINTER(c_void_p)]),
    "flashcp_plan_load": (_STATUS, [c_char_p, POINTER(c_void_p)]),
    "flashcp_plan_save": (_STATUS, [c_void_p, c_char_p]),
    "flashcp_plan_destroy": (None, [c_void_p]),
    "flashcp_plan_bytes": (c_void_p, [c_void_p, POINTER(c_size_t)]),
    "flashcp_plan_get_info": (_STATUS, [c_void_p, POINTER(PlanInfo)]),
    "flashcp_plan_get_rank_info": (_STATUS, [c_void_p, c_int, POINTER(RankInfo)]),
    "flashcp_plan_token_indices": (_STATUS, [c_void_p, c_int, c_void_p, c_size_t]),
    "flashcp_plan_position_ids": (_STATUS, [c_void_p, c_int, c_void_p, c_size_t]),
    "flashcp_plan_document_ids": (_STATUS, [c_void_p, c_int, c_void_p, c_size_t]),
    "flashcp_plan_scatter": (
        _STATUS,
        [c_void_p, c_int, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t],
    ),
    "flashcp_plan_gather": (
        _STATUS,
        [c_void_p, c_int, c_size_t, c_void_p, c_size_t, c_void_p, c_size_t],
    ),
    "flashcp_plan_table": (
        _STATUS,
        [c_void_p, c_int, c_char_p, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_size_t)],
    ),
    "flashcp_plan_inspect": (_STATUS, [c_void_p, POINTER(c_void_p)]),
    "flashcp_text_destroy": (None, [c_void_p]),
    "flashcp_group_threads": (_STATUS, [c_int, POINTER(GroupOptions), POINTER(c_void_p)]),
    "flashcp_group_mpi": (_STATUS, [POINTER(c_int), POINTER(GroupOptions), POINTER(c_void_p)]),
    "flashcp_group_size": (c_int, [c_void_p]),
    "flashcp_group_rank": (c_int, [c_void_p]),
    "flashcp_group_abort": (_STATUS, [c_void_p, c_int, c_char_p]),
    "flashcp_group_all_gather": (
        _STATUS,
        [c_void_p, c_int, c_void_p, POINTER(c_uint64), c_void_p],
    ),
    "flashcp_group_destroy": (None, [c_void_p]),
    "flashcp_executor_create": (_STATUS, [c_void_p, c_void_p, c_int, c_int, POINTER(c_void_p)]),
    "flashcp_executor_destroy": (None, [c_void_p]),
    "flashcp_forward": (_STATUS, [c_void_p, POINTER(Tensors), c_void_p]),
    "flashcp_backward": (_STATUS, [c_void_p, POINTER(Tensors), c_void_p]),
    "flashcp_synchronize": (_STATUS, [c_void_p, c_double]),
}

_COMPILER_FUNCTIONS: Dict[str, _Signature] = {
    "flashcp_compile": (_STATUS, [POINTER(Request), POINTER(c_void_p)]),
    "flashcp_planner_create": (_STATUS, [c_int, POINTER(c_void_p)]),
    "flashcp_planner_submit": (_STATUS, [c_void_p, POINTER(Request), POINTER(c_uint64)]),
    "flashcp_planner_take": (_STATUS, [c_void_p, c_uint64, c_double, POINTER(c_void_p)]),
    "flashcp_planner_destroy": (None, [c_void_p]),
}


def folder() -> str:
    """Returns the folder of the C libraries: $FLASHCP_LIBRARY_DIR, else lib/ of the package."""
    return os.environ.get("FLASHCP_LIBRARY_DIR") or os.path.join(os.path.dirname(__file__), "lib")


def _open(name: str, functions: Dict[str, _Signature]) -> ctypes.CDLL:
    path = os.path.join(folder(), name)
    try:
        # Symbols stay local to the library: other packages may hold an LLVM or an Abseil.
        library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise ImportError(
            f"{name}: {error}. It belongs into {folder()}: install the flashcp wheel, or set "
            "FLASHCP_LIBRARY_DIR to the folder that holds it"
        ) from error
    for function, (result, arguments) in functions.items():
        entry = getattr(library, function)
        entry.restype, entry.argtypes = result, arguments
    return library


_lock = threading.Lock()
_opened: Dict[str, ctypes.CDLL] = {}


def _library(name: str, functions: Dict[str, _Signature]) -> ctypes.CDLL:
    library = _opened.get(name)
    if library is not None:
        return library
    with _lock:
        if name not in _opened:
            _opened[name] = _open(name, functions)
        return _opened[name]


def runtime() -> ctypes.CDLL:
    """Returns libflashcp.so, opened at the first call. ImportError if it is not there."""
    library = _opened.get(RUNTIME)
    if library is not None:
        return library
    library = _library(RUNTIME, _RUNTIME_FUNCTIONS)
    version = library.flashcp_version()
    if version // 10000 != VERSION_MAJOR or version // 100 % 100 < VERSION_MINOR:
        with _lock:
            _opened.pop(RUNTIME, None)
        raise ImportError(
            f"{RUNTIME} of {folder()} has version {version // 10000}.{version // 100 % 100}, this "
            f"package needs {VERSION_MAJOR}.{VERSION_MINOR}"
        )
    return library


def compiler() -> ctypes.CDLL:
    """Returns libflashcp_compiler.so, opened at the first call. ImportError if it is not there."""
    library = _opened.get(COMPILER)
    if library is not None:
        return library
    runtime()  # The compiler's errors are read from the runtime.
    return _library(COMPILER, _COMPILER_FUNCTIONS)


def check(status: int) -> None:
    """Raises the exception of a status that is not FLASHCP_OK, with the text of this thread."""
    if status:
        text = runtime().flashcp_last_error() or b""
        raise error_of(status, text.decode("utf-8", "replace"))


class Handle:
    """An object of the C library, which ends with this one."""

    __slots__ = ("pointer", "_destroy", "__weakref__")

    def __init__(self, pointer: Optional[int], destroy: Callable[[int], None]) -> None:
        assert pointer, "a call that succeeds hands out an object"
        self.pointer: Optional[int] = pointer
        self._destroy = destroy

    def close(self) -> None:
        """Ends the object now; again does nothing."""
        pointer, self.pointer = self.pointer, None
        if pointer:
            self._destroy(pointer)

    def __del__(self) -> None:
        # None if the constructor failed.
        if getattr(self, "pointer", None):
            self.close()


def plan_handle(pointer: c_void_p) -> Handle:
    """Owns a flashcp_plan."""
    return Handle(pointer.value, runtime().flashcp_plan_destroy)


class RequestBuilder:
    """A flashcp_request, and the memory that it points into, which lives as long as this object."""

    def __init__(
        self,
        documents: int,
        count: int,
        options: Dict[str, str],
        layout: Optional[Handle],
        owner: Any,
    ) -> None:
        """`documents` is the address of `count` flashcp_documents, which `owner` keeps."""
        self._options = (Option * len(options))(
            *[Option(name.encode(), value.encode()) for name, value in options.items()]
        )
        self._kept = layout, owner
        self.request = Request(
            ctypes.cast(documents, POINTER(Document)),
            count,
            self._options,
            len(options),
            layout.pointer if layout else None,
        )


def text_address(text: bytes) -> Tuple[int, Any]:
    """Returns the address of a text with a zero behind it, and what keeps it."""
    kept = c_char_p(text)
    return ctypes.cast(kept, c_void_p).value or 0, kept


def text_of(pointer: c_void_p) -> str:
    """Takes over a text that the library has handed out."""
    try:
        return ctypes.string_at(pointer.value or 0).decode()
    finally:
        runtime().flashcp_text_destroy(pointer)
