#!/usr/bin/env python3
"""Holds ptxas' reports on all GPU kernels to their limits: no spill, no warning such as C7510 (wgmma
serialized), no more registers than the kernel's shape allows. Keeps the reports as one file."""
import os
import re
import sys

# What ptxas says of each kernel with -v; anything else is a warning.
KNOWN = re.compile(r"""ptxas\ info\s*:\ (
    \(C7\d+\)\ (?P<note>.*) |
    [0-9]+\ bytes\ gmem.* | Compiling\ entry\ function\ '(?P<symbol>\w+)'\ for\ '\w+' |
    Function\ properties\ for\ \w+ | Used\ (?P<registers>\d+)\ registers.* | Compile\ time.*) |
    \s*\d+\ bytes\ stack\ frame,\ (?P<stores>\d+)\ bytes\ spill\ stores,
    \ (?P<loads>\d+)\ bytes\ spill\ loads | \s*""", re.VERBOSE)


def read_limits(path):
    """Returns the most registers of each kernel of a table."""
    with open(path) as file:
        fields = [re.split(r"[(,)] ?", line) for line in file]
    return {line[1]: int(line[7]) for line in fields}


def check(path, limits, seen):
    """Returns what is wrong in a report."""
    symbol, faults = None, []
    with open(path) as file:
        for line in file:
            match = KNOWN.fullmatch(line.rstrip("\n"))
            if not match or match["note"]:
                faults.append(line.strip())
                continue
            symbol = match["symbol"] or symbol
            if match["symbol"]:
                seen.add(symbol)
            if match["stores"] and int(match["stores"]) + int(match["loads"]) > 0:
                faults.append("%s spills: %s" % (symbol, line.strip()))
            if match["registers"] and int(match["registers"]) > limits.get(symbol, 0):
                faults.append("%s: at most %d registers expected, %s found" % (
                    symbol, limits.get(symbol, 0), match["registers"]))
    return ["%s: %s" % (os.path.basename(path), fault) for fault in faults]


def main(paths):
    reports = [path for path in paths if path.endswith(".log")]
    if not reports:
        print("SKIPPED: no ptxas when this was built; set CUDA_HOME, or install cuda-nvcc")
        return 0
    limits = {}
    for path in paths:
        if path.endswith(".inc"):
            limits.update(read_limits(path))
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    seen, faults = set(), []
    for path in reports:
        faults += check(path, limits, seen)
        if outputs:
            with open(os.path.join(outputs, "ptxas.log"), "a") as kept, open(path) as report:
                kept.write("%s\n%s\n" % (os.path.basename(path), report.read()))
    faults += ["no report on " + symbol for symbol in sorted(set(limits) - seen)]
    print("\n".join(faults) or "%d kernels in %d files" % (len(seen), len(reports)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
