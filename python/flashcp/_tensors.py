"""The caller's tensors as memory: numpy arrays, tensors with data_ptr() (torch), and DLPack's.

Nothing is copied: a tensor that the C library could not read as it lies is refused.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy

from flashcp import _dlpack
from flashcp._errors import InvalidArgumentError

# Names of element types that hold each dtype of a plan. NumPy has no bfloat16, but uint16 for its
# bits.
_NAMES: Dict[str, Tuple[str, ...]] = {
    "f32": ("float32",),
    "bf16": ("bfloat16", "uint16"),
    "f16": ("float16",),
}
_NUMPY: Dict[str, str] = {"f32": "float32", "bf16": "uint16", "f16": "float16"}


class Memory(NamedTuple):
    """A dense row-major tensor on the host."""

    address: int
    bytes: int
    owner: Any  # keeps the memory alive


def memory_of(
    name: str, tensor: Any, shape: Tuple[int, ...], dtype: str, write: bool = False
) -> Memory:
    """Returns the memory of a tensor [shape] of a plan's dtype.

    InvalidArgumentError names the tensor, what is expected and what was found, for a wrong shape,
    element type or device, and for one that is not dense and row-major or, with `write`, read-only.
    TypeError for an object that is not a tensor.
    """
    if isinstance(tensor, numpy.ndarray):
        return _of_numpy(name, tensor, shape, dtype, write)
    if hasattr(tensor, "data_ptr") and hasattr(tensor, "is_contiguous"):
        return _of_data_ptr(name, tensor, shape, dtype)
    if hasattr(tensor, "__dlpack__"):
        return _of_dlpack(name, tensor, shape, dtype, write)
    raise TypeError(
        f"{name}: expected a numpy array, a torch tensor or a tensor with __dlpack__, found "
        f"{type(tensor).__module__}.{type(tensor).__qualname__}"
    )


def empty(shape: Tuple[int, ...], dtype: str, like: Any) -> Any:
    """Returns a new tensor for a plan's dtype: of the kind of `like` if it is of numpy or torch."""
    if isinstance(like, numpy.ndarray):
        return numpy.empty(shape, like.dtype)
    if hasattr(like, "new_empty"):
        return like.new_empty(shape)
    return numpy.empty(shape, _NUMPY[dtype])


def empty_lse(shape: Tuple[int, ...], like: Any) -> Any:
    """Returns a new float32 tensor: of torch if `like` is, else of numpy."""
    if hasattr(like, "new_empty"):
        return like.new_empty(shape, dtype=sys.modules["torch"].float32)
    return numpy.empty(shape, numpy.float32)


def empty_saved(size: int) -> numpy.ndarray:
    """Returns memory for rows that forward saves: uint8 [size], aligned to 64 bytes."""
    memory = numpy.empty(size + 63, numpy.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size]


def _of_numpy(
    name: str, tensor: numpy.ndarray, shape: Tuple[int, ...], dtype: str, write: bool
) -> Memory:
    found = _names.get(tensor.dtype) or _name_of(tensor.dtype)
    _check(name, tensor.shape, shape, found, dtype)
    if not tensor.flags.c_contiguous:
        raise _not_dense(name, shape, tensor.strides, "bytes", "numpy.ascontiguousarray")
    if write and not tensor.flags.writeable:
        raise InvalidArgumentError(f"{name}: is written, but the array is read-only")
    return Memory(tensor.ctypes.data, tensor.nbytes, tensor)


_names: Dict[numpy.dtype[Any], str] = {}  # since numpy makes the name anew each time


def _name_of(dtype: numpy.dtype[Any]) -> str:
    # A dtype of ml_dtypes is named as the type that it is. A foreign byte order has its own name.
    name = dtype.name if dtype.isnative else str(dtype)
    return _names.setdefault(dtype, name)


def _of_data_ptr(name: str, tensor: Any, shape: Tuple[int, ...], dtype: str) -> Memory:
    found = str(tensor.dtype).rpartition(".")[2]
    device = getattr(tensor, "device", None)
    _check_device(name, str(device), getattr(device, "type", "cpu") == "cpu")
    _check(name, tuple(tensor.shape), shape, found, dtype)
    if not tensor.is_contiguous():
        raise _not_dense(name, shape, tensor.stride(), "elements", "contiguous()")
    return Memory(tensor.data_ptr(), tensor.numel() * tensor.element_size(), tensor)


def _of_dlpack(name: str, tensor: Any, shape: Tuple[int, ...], dtype: str, write: bool) -> Memory:
    content = _dlpack.read(tensor)
    _check_device(name, content.device, content.on_host)
    _check(name, content.shape, shape, content.dtype, dtype)
    if content.strides is not None and not _is_dense(shape, content.strides):
        raise _not_dense(name, shape, content.strides, "elements", "a contiguous copy")
    if write and content.read_only:
        raise InvalidArgumentError(f"{name}: is written, but the tensor is read-only")
    size = int(numpy.prod(shape, dtype=numpy.int64)) * (4 if dtype == "f32" else 2)
    return Memory(content.address, size, content.capsule)


def _is_dense(shape: Tuple[int, ...], strides: Tuple[int, ...]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size != 1 and stride != expected:
            return 0 in shape
        expected *= size
    return True


def _check_device(name: str, device: str, on_host: bool) -> None:
    if not on_host:
        raise InvalidArgumentError(
            f"{name}: expected a tensor on the CPU, found one on {device}: this version's kernels "
            "run on the CPU; flashcp.torch runs plans on GPUs by PyTorch"
        )


def _check(
    name: str, found: Tuple[int, ...], shape: Tuple[int, ...], found_dtype: str, dtype: str
) -> None:
    if found != shape:
        raise InvalidArgumentError(f"{name}: expected shape {shape}, found {tuple(found)}")
    if found_dtype not in _NAMES[dtype]:
        raise InvalidArgumentError(
            f"{name}: expected {' or '.join(_NAMES[dtype])}, as the plan is of {dtype}, found "
            f"{found_dtype}"
        )


def _not_dense(
    name: str, shape: Tuple[int, ...], strides: Any, unit: str, remedy: str
) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{name}: expected dense rows of shape {shape} one after the other, found strides of "
        f"{tuple(strides)} {unit}: pass {remedy}"
    )
