"""A tensor of no library: numpy memory behind DLPack, which counts exports and releases."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Optional, Tuple

import numpy

_CODES = {"f32": (2, 32), "f16": (2, 16), "bf16": (4, 16)}
_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_DESTRUCTOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_new = ctypes.pythonapi.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _DESTRUCTOR]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


class _Versioned(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint32 * 2),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


class Foreign:
    """Exports `memory` as a tensor of a plan's dtype. The data begin half-way, behind an offset."""

    def __init__(
        self,
        memory: numpy.ndarray,
        dtype: str,
        versioned: bool = False,
        read_only: bool = False,
        device: Tuple[int, int] = (1, 0),
        strides: Optional[Tuple[int, ...]] = None,
    ) -> None:
        self._memory = memory
        self._dtype = dtype
        self._versioned = versioned
        self._read_only = read_only
        self._device = device
        self._strides = strides
        self._alive: Dict[int, Any] = {}
        self.exported = self.released = 0

    def __dlpack_device__(self) -> Tuple[int, int]:
        return self._device

    def __dlpack__(self, **options: Any) -> Any:
        if options and not self._versioned:
            raise TypeError("an older library, which knows no max_version")
        shape = self._memory.shape
        numbers = ctypes.c_int64 * len(shape)
        code, bits = _CODES[self._dtype]
        tensor = _Tensor(
            self._memory.ctypes.data - 16,
            (ctypes.c_int32 * 2)(*self._device),
            len(shape),
            code,
            bits,
            1,
            numbers(*shape),
            numbers(*self._strides) if self._strides else None,
            16,
        )
        key = self.exported
        self.exported += 1
        if self._versioned:
            version = (ctypes.c_uint32 * 2)(1, 0)
            managed: Any = _Versioned(version, None, _DELETER(), int(self._read_only), tensor)
            name = b"dltensor_versioned"
        else:
            managed = _Managed(tensor, None, _DELETER())
            name = b"dltensor"

        def release(_: Any) -> None:
            self.released += 1
            # The callback that runs is freed by the next export, not by itself.
            self._alive[key] = destructor

        destructor = _DESTRUCTOR(release)
        self._alive[key] = (managed, name, destructor)
        return _new(ctypes.addressof(managed), name, destructor)
