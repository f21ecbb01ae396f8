#!/usr/bin/python3
"""The libraries in a process that holds another LLVM, with all of its symbols visible to everyone:
plans are what they are without, whichever comes first.

beside_llvm_test.py DIST_FOLDER
"""

import ctypes
import glob
import os
import subprocess
import sys
import zipfile
from typing import List


class Document(ctypes.Structure):
    _fields_ = [("length", ctypes.c_int64), ("mask", ctypes.c_char_p)]


class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class Request(ctypes.Structure):
    _fields_ = [
        ("documents", ctypes.POINTER(Document)),
        ("num_documents", ctypes.c_size_t),
        ("options", ctypes.POINTER(Option)),
        ("num_options", ctypes.c_size_t),
        ("layout", ctypes.c_void_p),
    ]


def open_globally(path: str) -> ctypes.CDLL:
    return ctypes.CDLL(path, mode=os.RTLD_NOW | ctypes.RTLD_GLOBAL)


def plan_bytes(folder: str, mode: int) -> bytes:
    """Returns a plan made by the libraries in `folder`."""
    runtime = ctypes.CDLL(os.path.join(folder, "libflashcp.so"), mode=mode)
    compiler = ctypes.CDLL(os.path.join(folder, "libflashcp_compiler.so"), mode=mode)
    documents = (Document * 3)((300, None), (0, b"full"), (212, b"window:64"))
    options = (Option * 2)((b"ranks", b"4"), (b"heads", b"4:2"))
    request = Request(documents, 3, options, 2, None)
    plan = ctypes.c_void_p()
    status = compiler.flashcp_compile(ctypes.byref(request), ctypes.byref(plan))
    runtime.flashcp_last_error.restype = ctypes.c_char_p
    assert status == 0, runtime.flashcp_last_error()
    size = ctypes.c_size_t()
    runtime.flashcp_plan_bytes.restype = ctypes.c_void_p
    return ctypes.string_at(runtime.flashcp_plan_bytes(plan, ctypes.byref(size)), size.value)


def main(case: str, folder: str, others: List[str]) -> bytes:
    mode = os.RTLD_NOW | (ctypes.RTLD_GLOBAL if case == "global" else 0)
    if case == "after":
        assert plan_bytes(folder, mode), "no plan"
    if case != "alone":
        for other in others:
            open_globally(other)
        assert ctypes.CDLL(None).LLVMContextCreate, "the other LLVM's symbols are not visible"
    plan = plan_bytes(folder, mode)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        loaded = maps.read()
    for other in others:
        name = os.path.basename(other)
        assert (name in loaded) == (case != "alone"), f"{case}: {name}"
    return plan


def start() -> None:
    (wheel,) = glob.glob(os.path.join(sys.argv[1], "flashcp-*.whl"))
    folder = os.environ["TEST_TMPDIR"]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    others = ["/usr/lib/llvm-22/lib/libLLVM.so.22.1", "/usr/lib/llvm-22/lib/libMLIR.so.22.1"]
    plans = {
        case: subprocess.run(
            [sys.executable, __file__, case, os.path.join(folder, "flashcp/lib"), *others],
            check=True,
            capture_output=True,
        ).stdout
        for case in ("alone", "before", "after", "global")
    }
    assert plans["alone"], "no plan"
    assert len(set(plans.values())) == 1, {case: len(plan) for case, plan in plans.items()}
    print(f"a plan of {len(plans['alone'])} bytes, equal in all cases")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        start()
    else:
        sys.stdout.buffer.write(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
