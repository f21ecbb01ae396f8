"""Prints what the Python package costs: imports, the call of a pass, and look-ahead.

    FLASHCP_LIBRARY_DIR=bazel-bin/api PYTHONPATH=python /usr/bin/python3 benchmarks/python_benchmark.py

Each figure is the median of some runs, with the fastest in brackets; of imports, the processor time
too, which other programs on the host disturb less.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Callable, List, Tuple

IMPORTS = {
    "import flashcp": ("", "import flashcp"),
    "its names, numpy with them": (
        "import flashcp",
        "flashcp.Plan, flashcp.attention, flashcp.compile",
    ),
    "numpy alone": ("", "import numpy"),
    "open the runtime's library": (
        "import flashcp\nfrom flashcp import _library",
        "_library.runtime()",
    ),
    "open the compiler's library": (
        "import flashcp\nfrom flashcp import _library\n_library.runtime()",
        "_library.compiler()",
    ),
    "first compile": (
        "import flashcp\nfrom flashcp import _library\n_library.compiler(); flashcp.compile",
        "flashcp.compile([8], 1, (1, 1), 8, cluster='cpu')",
    ),
}


def show(name: str, times: List[float], unit: float, label: str) -> None:
    """Prints one figure."""
    median, least = statistics.median(times) * unit, min(times) * unit
    print(f"{name:42} {median:8.2f} {label}  [{least:.2f}]")


def time_in_process(setup: str, code: str) -> Tuple[float, float]:
    """Returns the seconds that code takes in a new process after setup, on the clock and of CPU."""
    program = (
        f"{setup}\nimport time\nbegin = time.perf_counter(), time.process_time()\n{code}\n"
        "print(time.perf_counter() - begin[0], time.process_time() - begin[1])"
    )
    command = [sys.executable, "-c", program]
    clock, processor = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
    return float(clock), float(processor)


def times_of(function: Callable[[], object], number: int) -> List[float]:
    """Returns the seconds of each of some calls."""
    times = []
    for _ in range(number):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return times


def show_calls() -> None:
    """Prints the cost of a pass over a plan without work: what is left is the call."""
    import numpy

    import flashcp
    from flashcp import _attention

    plan = flashcp.compile([1], 1, (1, 1), 8, "f32", "cpu")
    group = flashcp.Group.threads(1)
    q = numpy.zeros((1, 1, 8), numpy.float32)
    out = numpy.empty_like(q)
    o, residuals = flashcp.attention(q, q, q, plan, group, for_backward=True)
    memory = _attention._Sizes(plan, 0).forward(q, q, q, o, residuals.lse, None, True)
    tensors = _attention._tensors(memory)
    executors = group._executors[0]
    calls = {
        "forward of one token, C executor by ctypes": lambda: executors.forward(
            plan, tensors, True
        ),
        "attention(q, k, v, ...), numpy": lambda: flashcp.attention(q, q, q, plan, group, out=out),
        "attention_backward(...), numpy": lambda: flashcp.attention_backward(
            q, residuals, plan, group
        ),
    }
    for name, call in calls.items():
        show(name, times_of(call, 2000), 1e6, "us")


def main() -> None:
    """Prints all figures."""
    for name, (setup, code) in IMPORTS.items():
        clock, processor = zip(*[time_in_process(setup, code) for _ in range(9)])
        show(name, list(clock), 1e3, "ms")
        show("  of CPU", list(processor), 1e3, "ms")
    show_calls()


if __name__ == "__main__":
    main()
