"""DLPack's structs: reads the memory of another library's tensor without a copy."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Optional, Tuple


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_READ_ONLY = 1  # Of the flags.
_CPU, _CUDA_HOST = 1, 3

_DEVICES = {1: "cpu", 2: "cuda", 3: "cuda host", 7: "vulkan", 8: "metal", 10: "rocm", 14: "oneapi"}
_CODES = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}  # of dtypes

_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class DlpackTensor(NamedTuple):
    """A tensor behind DLPack; its memory is valid while `capsule` lives."""

    address: int
    shape: Tuple[int, ...]
    strides: Optional[Tuple[int, ...]]  # in elements; None: row-major
    dtype: str  # such as "float32", "bfloat16"
    device: str  # such as "cpu", "cuda:1"
    on_host: bool
    read_only: bool
    capsule: Any


def read(tensor: Any) -> DlpackTensor:
    """Returns the memory of an object that has __dlpack__.

    The capsule is not consumed: when it is dropped, it tells its library so itself.
    """
    capsule = _capsule(tensor)
    read_only = False
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = _Versioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        read_only = bool(versioned.flags & _READ_ONLY)
        content = versioned.tensor
    else:
        # The first member of the older struct, of which the others are not read.
        content = _Tensor.from_address(_pointer(capsule, b"dltensor"))
    dtype = f"{_CODES.get(content.dtype.code, f'code {content.dtype.code}')}{content.dtype.bits}"
    if content.dtype.lanes != 1:
        dtype += f"x{content.dtype.lanes}"
    device = _DEVICES.get(content.device.type, f"device type {content.device.type}")
    return DlpackTensor(
        (content.data or 0) + content.byte_offset,
        tuple(content.shape[: content.ndim]),
        tuple(content.strides[: content.ndim]) if content.strides else None,
        dtype,
        device if content.device.type == _CPU else f"{device}:{content.device.id}",
        content.device.type in (_CPU, _CUDA_HOST),
        read_only,
        capsule,
    )


def _capsule(tensor: Any) -> Any:
    try:
        return tensor.__dlpack__(max_version=(1, 1))
    except TypeError:  # A library from before max_version.
        return tensor.__dlpack__()
