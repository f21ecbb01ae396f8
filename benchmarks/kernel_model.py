#!/usr/bin/env python3
"""Models generated CPU kernels with llvm-mca, for CPUs that are not at hand; nothing is measured.

Reads the assembly of flashcp-kernelgen, finds its loops, and lets llvm-mca walk them as a block of
full, unmasked panels does: forward 128 keys, backward 96 rows and 96 keys. Percents are of what
llvm-mca gives independent multiply-adds on the same CPU. Caches, branches and fetching are ideal.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys

from assembly_loops import Loop, find_products, fmas_of, read_function

# llvm-mca's Skylake runs 512-bit multiply-adds on two ports, as Xeons do and its Sapphire Rapids
# does not; but has an arithmetic port take part in 512-bit loads. CPU+loads takes them for 256-bit
# ones, which it gives a load port alone.
CPUS = {"avx2": ["znver3"],
        "avx512": ["sapphirerapids", "skylake-avx512", "skylake-avx512+loads"],
        "avx512-bf16": ["sapphirerapids", "skylake-avx512", "skylake-avx512+loads"]}
# Shape of a block, as in codegen/x86/KernelShape.h and .cpp.
KEYS, ROWS = {"forward": 128, "backward": 96}, 96
EXP2_FMAS = 5
STEP = 4  # of product loops
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def fail(message):
    sys.exit(f"kernel_model: error: {message}")


def set_trips(direction, function, dim):
    """How often each loop runs for one block. Returns products, names, and all multiply-adds."""
    products, keys = find_products(function), KEYS[direction]
    most = max(len(fmas_of(loop)) for loop in products)
    wide = [loop for loop in products if len(fmas_of(loop)) == most]
    for narrow in set(products) - set(wide):  # the same for fewer vectors, in masked panels alone
        narrow.trips = 0
        if narrow.parent not in [loop.parent for loop in wide]:
            narrow.parent.trips = 0
    products = wide
    names = ["K Q^T", "V^T P"] if direction == "forward" else ["K Q^T", "V dO^T", "dQ"]
    sides = len(products) - len(names)  # dV, then dK: loops over chunks of dims, or unrolled
    names += ["dV"] * (sides // 2) + ["dK"] * (sides // 2)
    if len(names) != len(products) or (sides > 0) != (direction == "backward"):
        fail(f"{direction}: {len(products)} product loops; adapt set_trips to the generator")
    words = 2 if products[0].text("vdpbf16ps") else 1
    lanes = 16 if "zmm" in fmas_of(products[0])[0] else 8
    counts = {"K Q^T": (dim, keys), "V dO^T": (dim, keys), "V^T P": (keys, dim),
              "dQ": (keys, dim), "dV": (ROWS, keys), "dK": (ROWS, keys)}
    widths = [len(loop.text(r"vmov[au]ps\s+\S*\(")) // STEP for loop in products]
    total = 0
    for loop, name, width in zip(products, names, widths):
        loop.trips = counts[name][0] // words // STEP
        loop.parent.trips = counts[name][1] * width * STEP // len(fmas_of(loop))
        outer = loop.parent.parent  # blocks of keys; panels; or chunks of dims
        if name in ("dV", "dK") and outer is not function:
            outer.trips = 2 * dim // (lanes * width * sides)
        elif direction == "backward" and outer is not function:
            outer.trips = ROWS // (lanes * widths[0])
        total += len(fmas_of(loop)) * loop.trips * loop.parent.trips * outer.trips
    if direction == "forward":
        block = products[0].parent.parent
        weights = [loop for loop in block.inner() if not loop.children]
        if len(weights) != widths[0] or {len(loop.text("vfmadd")) for loop in weights} != {
                2 * EXP2_FMAS}:
            fail(f"forward: {len(weights)} loops of weights; adapt set_trips to the generator")
        for loop in weights:
            loop.trips = keys // 2
    if function.text("vpcmp(gt|[lngu])"):
        fail(f"{direction}: the way chosen compares keys for the mask; adapt choose_path")
    rows = 2 * lanes * widths[0] if direction == "forward" else 5 * ROWS
    expected = rows * keys * dim // lanes // words
    if total != expected:
        fail(f"{direction}: found {total} multiply-adds in a block, expected {expected}; adapt "
             "set_trips to the generator")
    return products, names, total


class Mca:
    def __init__(self, program, cpu):
        self.program = program
        self.cpu, plus, suffix = cpu.partition("+")
        self.loads = suffix == "loads"
        if plus and not self.loads:
            fail(f"--cpu {cpu}: expected CPU or CPU+loads")

    def cycles(self, lines, iterations):
        if self.loads:
            lines = [re.sub(r"^(vmovaps|vbroadcastss)(\s.*\(.*\), )%zmm", r"\1\2%ymm", line)
                     for line in lines]
        command = [self.program, "-mtriple=x86_64", f"-mcpu={self.cpu}",
                   f"-iterations={iterations}", "-instruction-info=0", "-resource-pressure=0"]
        done = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True)
        found = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
        # An unknown CPU is only a warning there, and another one's model.
        if not found or "not a recognized processor" in done.stderr:
            fail(f"{' '.join(command)}: {done.stderr.strip()[:300]}")
        return int(found.group(1))

    def peak(self, fma):
        """Multiply-adds a cycle where none waits for another."""
        opcode, register = re.match(r"(\w+).*(%[yz]mm)", fma).groups()
        lines = [f"{opcode} {register}12, {register}13, {register}{i}" for i in range(12)]
        return 12000 / self.cycles(lines, 1000)

    def walk(self, loop):
        """Cycles of all iterations. What lies between loops of loops is walked by itself."""
        if loop.trips == 0:
            return 0
        if not any(inner.children for inner in loop.inner()):
            return self.cycles(loop.text(repeat=True), loop.trips)
        between = [item for item in loop.path if not isinstance(item, Loop)]
        return loop.trips * (self.cycles(between, 1) + sum(map(self.walk, loop.inner())))


def print_kernel(title, direction, assembly, dim, mca, cpu):
    text = re.search(rf"^flashcp_{direction}_\w+:\n(.*?)^\.Lfunc_end", assembly, re.M | re.S)
    if not text:
        fail(f"{title}: no function flashcp_{direction}_... in the assembly of --kernelgen")
    function = read_function(text.group(1).split("\n"))
    products, names, total = set_trips(direction, function, dim)
    peak = mca.peak(fmas_of(products[0])[0])
    rows = {}  # loops that are alike share one
    for loop, name in zip(products, names):
        row = len(fmas_of(loop)), mca.cycles(loop.text(), 1000) / 1000
        rows.setdefault(row, {})[name] = None
    rows[total, mca.walk(function)] = ["**block**"]
    for (fmas, cycles), names in rows.items():
        print(f"| {title} | {direction} | {cpu} | {peak:.2f} | {', '.join(names)} | {fmas} | "
              f"{cycles:.10g} | {100 * fmas / cycles / peak:.0f}% |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--target", nargs="+", default=list(CPUS), choices=list(CPUS))
    parser.add_argument("--dim", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--cpu", nargs="+", help="of llvm-mca, CPU or CPU+loads; by default those "
                        "that docs/kernels.md reports")
    parser.add_argument("--kernelgen", default=f"{ROOT}/bazel-bin/tools/flashcp-kernelgen")
    parser.add_argument("--mca", default="/usr/lib/llvm-22/bin/llvm-mca")
    arguments = parser.parse_args()
    for option, remedy in (("kernelgen", "bazel build //tools:flashcp-kernelgen"),
                           ("mca", "install Debian's llvm-22")):
        program = getattr(arguments, option)
        if not shutil.which(program):
            fail(f"--{option}: no program {program}; {remedy}, or name another")
    print("Modelled, not measured.\n\n| heads | pass | CPU model | its peak, a cycle | loop | "
          "multiply-adds | cycles | of peak |\n" + "|---" * 8 + "|")
    for target in arguments.target:
        for dim in arguments.dim:
            done = subprocess.run([arguments.kernelgen, "--target", target, "--dim", str(dim),
                                   "--emit", "asm"], text=True, capture_output=True)
            if done.returncode:
                fail(f"{arguments.kernelgen}: {done.stderr.strip()}")
            for cpu in arguments.cpu or CPUS[target]:
                for direction in KEYS:
                    print_kernel(f"{target}, d {dim}", direction, done.stdout, dim,
                                 Mca(arguments.mca, cpu), cpu)


if __name__ == "__main__":
    main()
